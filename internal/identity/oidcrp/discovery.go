package oidcrp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

const (
	// metadataLifetime bounds how long withdrawn keys and endpoints stay in use.
	metadataLifetime = time.Hour
	fetchAttempts    = 3
	firstRetryWait   = 100 * time.Millisecond
	firstHoldOff     = time.Second
	longestHoldOff   = 30 * time.Second
)

// discovered is what one successful discovery gave.
type discovered struct {
	provider  *oidc.Provider
	meta      metadata
	keys      *keySet
	verifier  *oidc.IDTokenVerifier
	oauth     *oauth2.Config
	fetchedAt time.Time
}

// metadata is the part of the discovery document that go-oidc does not expose
// (Discovery 1.0 section 3, RP-Initiated Logout 1.0 section 2.1, RFC 9207 section 3).
type metadata struct {
	JWKSURL          string   `json:"jwks_uri"`
	EndSessionURL    string   `json:"end_session_endpoint"`
	UserinfoURL      string   `json:"userinfo_endpoint"`
	Algorithms       []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	IssuerParameter  bool     `json:"authorization_response_iss_parameter_supported"`
}

// acceptedAlgorithms are the signatures we verify: public keys only. With none or a
// shared secret (HS256) anyone who knows our configuration could sign.
func acceptedAlgorithms() []string {
	return []string{
		oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
		oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
	}
}

// discover returns the provider's metadata, fetched at most once an hour. One caller
// fetches while the others wait. After a failure further fetches are held off for
// 1 s, doubling to 30 s, so that a provider that struggles is not hammered; metadata
// we already have stays in use meanwhile.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	if d, err, settled := p.cached(); settled {
		return d, err
	}
	select {
	case <-ctx.Done():
		return nil, fault.NewUnavailable(unavailableMessage, fmt.Errorf("wait for discovery: %w", ctx.Err()))
	case <-p.fetching:
	}
	defer func() { p.fetching <- struct{}{} }()

	// Another caller may have fetched while we waited.
	if d, err, settled := p.cached(); settled {
		return d, err
	}
	d, err := p.fetchWithRetry(ctx)

	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.found, p.failures, p.lastErr = d, 0, nil
		return d, nil
	}
	err = discoveryFailure(fmt.Errorf("discover %s: %w", p.cfg.Issuer, err))
	// A caller who gave up says nothing about the provider.
	if ctx.Err() == nil {
		p.lastErr = err
		p.notUntil = p.cfg.Clock.Now().Add(min(firstHoldOff<<min(p.failures, 10), longestHoldOff))
		p.failures++
	}
	if p.found != nil {
		return p.found, nil
	}
	return nil, err
}

// discoveryFailure tells a provider that does not answer from one that calls itself
// otherwise, which trying again does not mend.
func discoveryFailure(err error) error {
	if _, wrong := errors.AsType[*oidc.IssuerMismatchError](err); wrong {
		return &fault.Error{Kind: fault.Unavailable, Code: CodeIssuerMismatch, Message: issuerMismatchMessage, Cause: err}
	}
	return fault.NewUnavailable(unavailableMessage, err)
}

// cached returns what is known without I/O; settled is false when a fetch is due.
func (p *Provider) cached() (d *discovered, err error, settled bool) { //nolint:revive // the flag belongs last
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Clock.Now()
	heldOff := p.failures > 0 && now.Before(p.notUntil)
	switch {
	case p.found != nil && (heldOff || now.Sub(p.found.fetchedAt) < metadataLifetime):
		return p.found, nil, true
	case heldOff:
		return nil, p.lastErr, true
	default:
		return nil, nil, false
	}
}

func (p *Provider) fetchWithRetry(ctx context.Context) (*discovered, error) {
	pause := firstRetryWait
	for attempt := 1; ; attempt++ {
		d, err := p.fetch(ctx)
		if err == nil {
			return d, nil
		}
		// A document that names another issuer will not change by asking again.
		if _, wrong := errors.AsType[*oidc.IssuerMismatchError](err); wrong || attempt == fetchAttempts {
			return nil, err
		}
		if wait(ctx, pause+rand.N(pause)) != nil {
			return nil, err
		}
		pause *= 2
	}
}

func (p *Provider) fetch(ctx context.Context) (*discovered, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	provider, err := oidc.NewProvider(ctx, p.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var meta metadata
	if err := provider.Claims(&meta); err != nil {
		return nil, fmt.Errorf("decode metadata: %w", err)
	}
	endpoint := provider.Endpoint()
	err = errors.Join(
		p.checkEndpoint("authorization_endpoint", endpoint.AuthURL, true),
		p.checkEndpoint("token_endpoint", endpoint.TokenURL, true),
		p.checkEndpoint("jwks_uri", meta.JWKSURL, true),
		p.checkEndpoint("userinfo_endpoint", meta.UserinfoURL, false),
		p.checkEndpoint("end_session_endpoint", meta.EndSessionURL, false),
	)
	if err != nil {
		return nil, err
	}
	endpoint.AuthStyle = p.authStyle(meta)

	algorithms := slices.DeleteFunc(acceptedAlgorithms(), func(a string) bool { return !slices.Contains(meta.Algorithms, a) })
	if len(algorithms) == 0 {
		algorithms = []string{oidc.RS256} // the one every provider has to support
	}
	keys := newKeySet(meta.JWKSURL, p.client, p.cfg.Clock)
	return &discovered{
		provider: provider, meta: meta, keys: keys,
		// Issuer and times are judged by our own rules: go-oidc has an exception for
		// one issuer, allows five minutes before nbf and does not look at iat.
		verifier: oidc.NewVerifier(p.cfg.Issuer, keys, &oidc.Config{
			ClientID: p.cfg.ClientID, SupportedSigningAlgs: algorithms, SkipIssuerCheck: true, SkipExpiryCheck: true,
		}),
		oauth: &oauth2.Config{
			ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: endpoint,
			RedirectURL: p.cfg.RedirectURL, Scopes: p.cfg.Scopes,
		},
		fetchedAt: p.cfg.Clock.Now(),
	}, nil
}

// checkEndpoint refuses endpoints that are no web addresses, and plain http below an
// https issuer.
func (p *Provider) checkEndpoint(name, raw string, required bool) error {
	if raw == "" {
		if required {
			return fmt.Errorf("metadata has no %s", name)
		}
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	issuer, err := url.Parse(p.cfg.Issuer)
	if err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if u.Host == "" || (u.Scheme != "https" && (u.Scheme != "http" || issuer.Scheme != "http")) {
		return fmt.Errorf("%s %q is not an https address", name, raw)
	}
	return nil
}

// authStyle chooses how the token endpoint learns who we are. Trying both, as
// x/oauth2 does when it is not told, would spend the code on the first try.
func (p *Provider) authStyle(meta metadata) oauth2.AuthStyle {
	// Absent means client_secret_basic (Discovery 1.0 section 3).
	basic := len(meta.TokenAuthMethods) == 0 || slices.Contains(meta.TokenAuthMethods, "client_secret_basic")
	if p.cfg.ClientSecret != "" && basic {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}
