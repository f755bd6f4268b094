package oidcrp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

const (
	// Tokens that name unknown keys may cause this many fetches at once, and one more
	// every keyFetchEvery; anyone can post such a token to the logout endpoint.
	keyFetchBurst = 5
	keyFetchEvery = 10 * time.Second
)

// errKeysUnavailable marks that the keys could not be fetched, as opposed to a token
// that no key verifies.
var errKeysUnavailable = errors.New("keys of the identity provider cannot be fetched")

// keySet verifies signatures with the provider's published keys and fetches them
// again when a token names a key it does not know (OpenID Connect Core 10.1.1).
type keySet struct {
	url     string
	client  *http.Client
	clock   clock.Clock
	fetches *rate.Limiter

	// fetching holds one token, so that one caller fetches while others wait.
	fetching chan struct{}

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	version int // counts fetches
}

func newKeySet(url string, client *http.Client, c clock.Clock) *keySet {
	s := &keySet{
		url: url, client: client, clock: c,
		fetches: rate.NewLimiter(rate.Every(keyFetchEvery), keyFetchBurst), fetching: make(chan struct{}, 1),
	}
	s.fetching <- struct{}{}
	return s
}

type keyFailureKey struct{}

// withKeyFailure returns a context through which VerifySignature reports that the
// keys could not be fetched: go-oidc drops the error's identity on the way.
func withKeyFailure(ctx context.Context, failure *error) context.Context {
	return context.WithValue(ctx, keyFailureKey{}, failure)
}

// VerifySignature returns the payload of a compact JWS that one of the keys signed.
// The algorithm was checked by the verifier that calls it.
func (s *keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := s.verify(ctx, raw)
	if failure, ok := ctx.Value(keyFailureKey{}).(*error); ok && errors.Is(err, errKeysUnavailable) {
		*failure = err
	}
	return payload, err
}

func (s *keySet) verify(ctx context.Context, raw string) ([]byte, error) {
	algorithms := make([]jose.SignatureAlgorithm, 0, len(acceptedAlgorithms()))
	for _, a := range acceptedAlgorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	token, err := jose.ParseSigned(raw, algorithms)
	if err != nil {
		return nil, fmt.Errorf("parse token: %w", err)
	}
	keys, version := s.current()
	if payload, ok := verifyWith(keys, token); ok {
		return payload, nil
	}
	if keys, err = s.refresh(ctx, version); err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(keys, token); ok {
		return payload, nil
	}
	return nil, errors.New("no key of the identity provider verifies the signature")
}

func verifyWith(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, bool) {
	header := token.Signatures[0].Header
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := token.Verify(key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

func (s *keySet) current() ([]jose.JSONWebKey, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys, s.version
}

// refresh returns keys newer than the version the caller saw.
func (s *keySet) refresh(ctx context.Context, seen int) ([]jose.JSONWebKey, error) {
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errKeysUnavailable, ctx.Err())
	case <-s.fetching:
	}
	defer func() { s.fetching <- struct{}{} }()

	keys, version := s.current()
	if version > seen {
		return keys, nil
	}
	if !s.fetches.AllowN(s.clock.Now(), 1) {
		return nil, errors.New("unknown key, and the keys were fetched too often of late")
	}
	keys, err := s.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errKeysUnavailable, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.version = keys, s.version+1
	return keys, nil
}

func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", s.url, res.Status)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("decode keys: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		// Keys of a kind we do not know are to be ignored (RFC 7517 section 5), as are
		// encryption keys and, if a provider leaks them, private and symmetric ones.
		if json.Unmarshal(raw, &key) == nil && key.IsPublic() && key.Use != "enc" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

var _ oidc.KeySet = (*keySet)(nil)
