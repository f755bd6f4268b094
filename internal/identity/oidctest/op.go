// Package oidctest runs OpenID providers inside the process, on loopback: OP is a
// compliant one with a login form, sessions, key rotation and back-channel logout,
// Bad is one that breaks a chosen rule. Tests and development use them; they hold
// passwords in memory as plain text and serve plain http.
package oidctest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// User is a person who can sign in.
type User struct {
	Subject       string // empty means the username
	Username      string
	Password      string
	Email         string
	EmailVerified bool
	Name          string
	// Groups appear at the path of Options.GroupsClaim; nil leaves the claim out.
	Groups []string
}

// Client is a registered relying party.
type Client struct {
	ID     string
	Secret string // empty for a public client
	// RedirectURLs and PostLogoutURLs are matched exactly.
	RedirectURLs   []string
	PostLogoutURLs []string
	// BackChannelLogoutURL receives logout tokens; empty means none are sent.
	BackChannelLogoutURL string
	// ClaimsInIDToken puts profile, e-mail and groups into the ID token; otherwise
	// they are only in userinfo.
	ClaimsInIDToken bool
}

// Options describes a provider. The zero value is usable once clients and users are
// added.
type Options struct {
	Addr string // listen address, empty means a free port of 127.0.0.1
	// IssuerPath is the path of the issuer, such as /realms/demo.
	IssuerPath string
	Clients    []Client
	Users      []User
	// GroupsClaim is a dotted path, empty means groups.
	GroupsClaim string
	// IDTokenLifetime is how long ID tokens are good for, 0 means five minutes.
	IDTokenLifetime time.Duration
	Clock           clock.Clock
	// Logger receives logout tokens that could not be delivered. Nil drops them.
	Logger *slog.Logger
}

// Session is one person signed in at the provider with one browser.
type Session struct {
	ID       string // the sid claim
	Subject  string
	Clients  []string // ids of the clients that received a token, in order of sign-in
	AuthTime time.Time
}

// OP is a running provider. It is safe for concurrent use.
type OP struct {
	opts     Options
	issuer   string
	host     string
	provider *op.Provider
	server   *http.Server
	outbound *http.Client
	served   chan error

	mu       sync.Mutex
	clients  map[string]Client
	users    map[string]User // by username
	requests map[string]*authRequest
	codes    map[string]string // code to request id
	tokens   map[string]accessToken
	sessions map[string]*Session
	keys     []signingKey // the newest first
}

// TB is the part of testing.TB that Start and StartBad use, so that a program can
// import this package without the testing one.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Start runs a provider until the test ends.
func Start(t TB, opts Options) *OP {
	t.Helper()
	o, err := New(opts)
	if err != nil {
		t.Fatalf("start OpenID provider: %v", err)
	}
	t.Cleanup(func() {
		if err := o.Close(context.Background()); err != nil {
			t.Fatalf("stop OpenID provider: %v", err)
		}
	})
	return o
}

// New starts a provider; Close stops it.
func New(opts Options) (*OP, error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.GroupsClaim == "" {
		opts.GroupsClaim = "groups"
	}
	if opts.IDTokenLifetime == 0 {
		opts.IDTokenLifetime = 5 * time.Minute
	}
	if opts.Clock == nil {
		opts.Clock = clock.System()
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	path := strings.TrimSuffix(opts.IssuerPath, "/")
	o := &OP{
		opts: opts, issuer: "http://" + listener.Addr().String() + path, host: listener.Addr().String(),
		outbound: &http.Client{Timeout: 10 * time.Second}, served: make(chan error, 1),
		clients: map[string]Client{}, users: map[string]User{}, requests: map[string]*authRequest{},
		codes: map[string]string{}, tokens: map[string]accessToken{}, sessions: map[string]*Session{},
	}
	for _, c := range opts.Clients {
		o.SetClient(c)
	}
	for _, u := range opts.Users {
		o.SetUser(u)
	}
	if err := errors.Join(o.RotateKeys(), o.build()); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.Handle(path+"/", http.StripPrefix(path, o.provider))
	mux.HandleFunc("GET "+path+"/login", o.showLogin)
	mux.HandleFunc("POST "+path+"/login", o.login)
	mux.HandleFunc("GET "+path+"/login.css", showStyle)
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { o.served <- o.server.Serve(listener) }()
	return o, nil
}

func (o *OP) build() error {
	config := &op.Config{
		CodeMethodS256: true, AuthMethodPost: true, BackChannelLogoutSupported: true, BackChannelLogoutSessionSupported: true,
		DefaultLogoutRedirectURI: o.issuer + "/login",
	}
	rand.Read(config.CryptoKey[:])
	provider, err := op.NewProvider(config, &storage{o}, op.StaticIssuer(o.issuer), op.WithAllowInsecure(),
		op.WithIDTokenHintVerifierOpts(op.WithSupportedIDTokenHintSigningAlgorithms(string(jose.ES256))))
	if err != nil {
		return fmt.Errorf("build OpenID provider: %w", err)
	}
	o.provider = provider
	return nil
}

// Close stops the provider and waits for the requests under way.
func (o *OP) Close(ctx context.Context) error {
	err := o.server.Shutdown(ctx)
	o.outbound.CloseIdleConnections()
	if served := <-o.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Issuer returns the issuer URL, without a trailing slash.
func (o *OP) Issuer() string { return o.issuer }

// SetClient registers a client, or replaces the one with its id.
func (o *OP) SetClient(c Client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clients[c.ID] = c
}

// SetUser adds a user, or replaces the one with its username.
func (o *OP) SetUser(u User) {
	if u.Subject == "" {
		u.Subject = u.Username
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users[u.Username] = u
}

// RotateKeys signs with a new key from now on and publishes only that one.
func (o *OP) RotateKeys() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = []signingKey{{id: randomID(), private: private}}
	return nil
}

// Sessions returns the open sessions of a subject, the oldest first.
func (o *OP) Sessions(subject string) []Session {
	o.mu.Lock()
	defer o.mu.Unlock()
	var open []Session
	for _, s := range slices.SortedFunc(maps.Values(o.sessions), func(a, b *Session) int { return a.AuthTime.Compare(b.AuthTime) }) {
		if s.Subject == subject {
			copied := *s
			copied.Clients = slices.Clone(s.Clients)
			open = append(open, copied)
		}
	}
	return open
}

func (o *OP) userBySubject(subject string) (User, bool) {
	for _, u := range o.users {
		if u.Subject == subject {
			return u, true
		}
	}
	return User{}, false
}

// groupsClaim returns the first name of the groups path and the value below it.
func (o *OP) groupsClaim(groups []string) (name string, value any) {
	names := strings.Split(o.opts.GroupsClaim, ".")
	value = groups
	for _, inner := range slices.Backward(names[1:]) {
		value = map[string]any{inner: value}
	}
	return names[0], value
}

func (o *OP) url(path string, query url.Values) string {
	if len(query) == 0 {
		return o.issuer + path
	}
	return o.issuer + path + "?" + query.Encode()
}

// randomID returns 128 bits of randomness, 22 URL-safe characters.
func randomID() string {
	raw := make([]byte, 16)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// signingKey implements op.SigningKey.
type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

func (k signingKey) ID() string                                  { return k.id }
func (k signingKey) Key() any                                    { return k.private }
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }

// publicKey implements op.Key.
type publicKey struct{ signingKey }

func (k publicKey) Key() any                           { return &k.private.PublicKey }
func (k publicKey) Use() string                        { return "sig" }
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
