package oidctest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// Flaws says what a Bad provider does wrong. The zero value is a good provider.
type Flaws struct {
	// Claims, Userinfo, Discovery and TokenAnswer may change what is about to be sent.
	Claims      func(idToken map[string]any)
	Userinfo    func(userinfo map[string]any)
	Discovery   func(metadata map[string]any)
	TokenAnswer func(answer map[string]any)
	// Alg signs with RS256, with HS256 and the client secret, or with none, instead of
	// ES256.
	Alg string
	// UnknownKey signs with a key that is not published; its kid is not either.
	UnknownKey bool
	// Impostor signs with another key under the kid of the published one.
	Impostor bool
	// Callback may change the answer that the browser carries.
	Callback func(query url.Values)
	// Status answers instead of the endpoint at a path: /token, /keys, /userinfo or
	// /.well-known/openid-configuration.
	Status map[string]int
	// Hang lists paths that never answer.
	Hang map[string]bool
}

// Bad is an OpenID provider without pages that breaks chosen rules. Its person is
// always the same: sub "subject-1".
type Bad struct {
	issuer   string
	clientID string
	secret   string
	clock    clock.Clock
	server   *http.Server
	closed   chan struct{}
	served   chan error

	mu     sync.Mutex
	flaws  Flaws
	key    signingKey
	rsa    *rsa.PrivateKey // made when RS256 is first asked for
	grants map[string]url.Values
	hits   map[string]int
}

// BadOptions describes the one client of a Bad provider.
type BadOptions struct {
	ClientID, ClientSecret string
	IssuerPath             string
	Clock                  clock.Clock
	Flaws                  Flaws
}

// StartBad runs a Bad provider until the test ends.
func StartBad(t TB, opts BadOptions) *Bad {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	if opts.Clock == nil {
		opts.Clock = clock.System()
	}
	b := &Bad{
		issuer: "http://" + listener.Addr().String() + opts.IssuerPath, clientID: opts.ClientID, secret: opts.ClientSecret,
		clock: opts.Clock, closed: make(chan struct{}), served: make(chan error, 1), flaws: opts.Flaws,
		grants: map[string]url.Values{}, hits: map[string]int{},
	}
	if err := b.RotateKeys(); err != nil {
		t.Fatalf("%v", err)
	}
	mux := http.NewServeMux()
	for path, handler := range map[string]func(*http.Request) (any, int){
		"/.well-known/openid-configuration": b.discovery, "/keys": b.keys, "/token": b.token, "/userinfo": b.userinfo,
	} {
		mux.HandleFunc(opts.IssuerPath+path, b.endpoint(path, handler))
	}
	b.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { b.served <- b.server.Serve(listener) }()
	t.Cleanup(func() {
		close(b.closed)
		if err := b.server.Shutdown(context.Background()); err != nil {
			t.Fatalf("stop provider: %v", err)
		}
		if err := <-b.served; !errors.Is(err, http.ErrServerClosed) {
			t.Fatalf("serve: %v", err)
		}
	})
	return b
}

// Issuer returns the issuer URL.
func (b *Bad) Issuer() string { return b.issuer }

// SetFlaws replaces the flaws.
func (b *Bad) SetFlaws(f Flaws) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flaws = f
}

// Hits returns how often a path below the issuer was asked for.
func (b *Bad) Hits(path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hits[path]
}

// RotateKeys signs with a new key from now on and publishes only that one.
func (b *Bad) RotateKeys() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.key = signingKey{id: randomID(), private: private}
	return nil
}

// Authorize plays browser and login page: it takes the authorization request and
// returns the query of the callback.
func (b *Bad) Authorize(authURL string) (url.Values, error) {
	u, err := url.Parse(authURL)
	if err != nil {
		return nil, fmt.Errorf("parse authorization request: %w", err)
	}
	request := u.Query()
	if request.Get("response_type") != "code" || request.Get("code_challenge_method") != "S256" {
		return nil, fmt.Errorf("not a code request with PKCE S256: %s", authURL)
	}
	code := randomID()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grants[code] = request
	answer := url.Values{"code": {code}, "state": {request.Get("state")}}
	if b.flaws.Callback != nil {
		b.flaws.Callback(answer)
	}
	return answer, nil
}

// Sign returns a token with the claims and header type, signed as the flaws say.
func (b *Bad) Sign(claims map[string]any, typ string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sign(claims, typ)
}

func (b *Bad) sign(claims map[string]any, typ string) (string, error) {
	switch {
	case b.flaws.Alg == "none":
		payload, err := json.Marshal(claims)
		if err != nil {
			return "", fmt.Errorf("encode claims: %w", err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + ".", nil
	case b.flaws.Alg == "HS256":
		return sign(claims, jose.HS256, jose.JSONWebKey{Key: []byte(b.secret), KeyID: b.key.id}, jose.ContentType(typ))
	case b.flaws.Alg == "RS256":
		if b.rsa == nil {
			var err error
			if b.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
				return "", fmt.Errorf("generate key: %w", err)
			}
		}
		return sign(claims, jose.RS256, jose.JSONWebKey{Key: b.rsa, KeyID: "rsa"}, jose.ContentType(typ))
	case b.flaws.UnknownKey, b.flaws.Impostor:
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", fmt.Errorf("generate key: %w", err)
		}
		id := randomID()
		if b.flaws.Impostor {
			id = b.key.id
		}
		return sign(claims, jose.ES256, jose.JSONWebKey{Key: other, KeyID: id}, jose.ContentType(typ))
	default:
		return sign(claims, jose.ES256, jose.JSONWebKey{Key: b.key.private, KeyID: b.key.id}, jose.ContentType(typ))
	}
}

// endpoint counts the request, applies Hang and Status, and sends JSON.
func (b *Bad) endpoint(path string, answer func(*http.Request) (any, int)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.hits[path]++
		hang, status := b.flaws.Hang[path], b.flaws.Status[path]
		b.mu.Unlock()
		if hang {
			select {
			case <-r.Context().Done():
			case <-b.closed:
			}
			return
		}
		var body any
		if status == 0 {
			b.mu.Lock()
			body, status = answer(r)
			b.mu.Unlock()
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // a client that went away needs no answer
	}
}

func (b *Bad) discovery(*http.Request) (any, int) {
	metadata := map[string]any{
		"issuer": b.issuer, "authorization_endpoint": b.issuer + "/authorize", "token_endpoint": b.issuer + "/token",
		"jwks_uri": b.issuer + "/keys", "userinfo_endpoint": b.issuer + "/userinfo",
		"end_session_endpoint":                  b.issuer + "/logout",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "HS256", "none"},
	}
	if b.flaws.Discovery != nil {
		b.flaws.Discovery(metadata)
	}
	return metadata, http.StatusOK
}

func (b *Bad) keys(*http.Request) (any, int) {
	published := []any{
		jose.JSONWebKey{Key: &b.key.private.PublicKey, KeyID: b.key.id, Use: "sig", Algorithm: string(jose.ES256)},
		map[string]any{"kty": "XYZ", "kid": "of a kind nobody knows"},
	}
	if b.rsa != nil {
		published = append(published, jose.JSONWebKey{Key: &b.rsa.PublicKey, KeyID: "rsa", Use: "sig"})
	}
	return map[string]any{"keys": published}, http.StatusOK
}

func (b *Bad) token(r *http.Request) (any, int) {
	// Both are form-encoded inside the header (RFC 6749 section 2.3.1).
	id, secret, ok := r.BasicAuth()
	if !ok || id != url.QueryEscape(b.clientID) || secret != url.QueryEscape(b.secret) {
		return map[string]any{"error": "invalid_client"}, http.StatusUnauthorized
	}
	code := r.PostFormValue("code")
	request, known := b.grants[code]
	delete(b.grants, code)
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case !known, r.PostFormValue("redirect_uri") != request.Get("redirect_uri"),
		base64.RawURLEncoding.EncodeToString(challenge[:]) != request.Get("code_challenge"):
		return map[string]any{"error": "invalid_grant"}, http.StatusBadRequest
	}
	now := b.clock.Now()
	accessToken := "access-" + randomID()
	claims := map[string]any{
		"iss": b.issuer, "sub": "subject-1", "aud": b.clientID, "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(),
		"nonce": request.Get("nonce"), "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace",
		"at_hash": accessTokenHash(accessToken),
	}
	if b.flaws.Claims != nil {
		b.flaws.Claims(claims)
	}
	idToken, err := b.sign(claims, "JWT")
	if err != nil {
		return map[string]any{"error": "server_error", "error_description": err.Error()}, http.StatusInternalServerError
	}
	answer := map[string]any{
		"access_token": accessToken, "token_type": "Bearer", "expires_in": 300, "id_token": idToken,
	}
	if b.flaws.TokenAnswer != nil {
		b.flaws.TokenAnswer(answer)
	}
	return answer, http.StatusOK
}

func (b *Bad) userinfo(r *http.Request) (any, int) {
	if r.Header.Get("Authorization") == "" {
		return map[string]any{"error": "invalid_token"}, http.StatusUnauthorized
	}
	info := map[string]any{"sub": "subject-1", "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace"}
	if b.flaws.Userinfo != nil {
		b.flaws.Userinfo(info)
	}
	return info, http.StatusOK
}

// accessTokenHash is at_hash for the SHA-256 algorithms (OpenID Connect Core 3.1.3.6).
func accessTokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
