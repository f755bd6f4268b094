// Package oidcrp is the OpenID Connect relying party: it sends a browser to the
// identity provider, judges what comes back, and verifies logout tokens. It holds
// no database and draws no page; whoever calls it keeps the flow in a sealed cookie
// and turns the identity into a session.
//
// It follows OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0 and
// Back-Channel Logout 1.0, with PKCE (RFC 7636) and the issuer response parameter
// (RFC 9207).
package oidcrp

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

const (
	// DefaultMaxSkew is how far the provider's clock may differ from ours.
	DefaultMaxSkew = 60 * time.Second
	// FlowLifetime is how long a person may take to sign in at the provider.
	FlowLifetime = 10 * time.Minute

	requestTimeout   = 10 * time.Second
	maxResponseBytes = 1 << 20
)

// Config describes the provider and how we are registered there.
type Config struct {
	// Issuer is compared exactly, a trailing slash included.
	Issuer       string
	ClientID     string
	ClientSecret string // empty for a public client
	// RedirectURL is our callback, exactly as registered.
	RedirectURL string
	// PostLogoutURL is where the provider sends the browser after a logout. Empty
	// leaves the browser at the provider.
	PostLogoutURL string
	// Scopes asked for; openid is always added. Empty means openid, profile, email.
	Scopes []string
	// GroupsClaim is a dotted path to an array of strings, such as groups or
	// realm_access.roles. Empty means that groups are not read.
	GroupsClaim string
	// HTTPClient talks to the provider. Nil means a client of our own with a timeout
	// of 10 s. Redirects are refused and answers are cut at 1 MiB either way.
	HTTPClient *http.Client
	Clock      clock.Clock   // nil means the clock of the machine
	MaxSkew    time.Duration // 0 means DefaultMaxSkew
}

// Provider is one identity provider as seen by one client registration. It is safe
// for concurrent use. Nothing is fetched before it is needed, so the program starts
// while the provider is down.
type Provider struct {
	cfg    Config
	client *http.Client

	// fetching holds one token; whoever has it may talk to the discovery endpoint.
	fetching chan struct{}

	mu       sync.Mutex
	found    *discovered
	failures int       // in a row
	notUntil time.Time // no fetch before this
	lastErr  error
}

// New returns a provider for the configuration. It does no I/O.
func New(cfg Config) *Provider {
	if cfg.Clock == nil {
		cfg.Clock = clock.System()
	}
	if cfg.MaxSkew == 0 {
		cfg.MaxSkew = DefaultMaxSkew
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{"profile", "email"}
	}
	if !slices.Contains(cfg.Scopes, "openid") {
		cfg.Scopes = append([]string{"openid"}, cfg.Scopes...)
	}
	p := &Provider{cfg: cfg, client: guardedClient(cfg.HTTPClient), fetching: make(chan struct{}, 1)}
	p.fetching <- struct{}{}
	return p
}

// Issuer returns the configured issuer.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// guardedClient copies base so that it refuses redirects and bounds answers. A
// redirect of the token request would carry the client secret to another host.
func guardedClient(base *http.Client) *http.Client {
	guarded := &http.Client{Timeout: requestTimeout}
	if base != nil {
		*guarded = *base
	}
	guarded.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	next := guarded.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	guarded.Transport = boundedTransport{next}
	return guarded
}

// boundedTransport fails the reading of an answer that is larger than
// maxResponseBytes; the libraries above read whole bodies.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = &boundedBody{ReadCloser: res.Body, left: maxResponseBytes}
	return res, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("answer of the identity provider is larger than %d bytes", maxResponseBytes)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// randomText returns 256 bits of randomness, 43 URL-safe characters.
func randomText() string {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(raw)
}

// wait pauses for d or until the context ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
