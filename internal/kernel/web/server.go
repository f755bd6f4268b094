// Package web turns requests into calls of modules and their answers into pages. A module
// hands it handlers that return errors; who sent the request, whether they may, what an
// error looks like and what is logged is decided here, once, for all of them.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Options configure a server.
type Options struct {
	DB     *db.DB
	Policy *access.Policy
	Auth   Authenticator
	Clock  clock.Clock
	Log    *slog.Logger
	// BaseURL is how people reach the program; it decides about Secure cookies and HSTS.
	BaseURL *url.URL
	Secure  bool
	// DevLogin shows the DEV badge.
	DevLogin       bool
	TrustedProxies []netip.Prefix
	// HelpFor returns the slug of the article that serves a route.
	HelpFor func(pattern string) (slug string, ok bool)
	Nav     []NavEntry
	// Shell supplies what the shell shows besides the page: unread notifications and counts.
	Shell ShellSource
	// APILimit bounds calls per token; nil means no limit.
	APILimit Quota
	// OnDenied records refusals of privileged actions in the audit log.
	OnDenied func(ctx context.Context, a db.Actor, route Route)
	Static   http.Handler
}

// Limiter says whether a caller may go on now; kernel/ratelimit implements it.
type Limiter interface {
	Allow(key string) (ok bool, retryAfter time.Duration, remaining int)
}

// Quota is a limiter that tells callers of the API where they stand.
type Quota interface {
	Limiter
	// Limit is how many calls there can be at once, Refill how long until n are free again.
	Limit() int
	Refill(n int) time.Duration
}

// Server is the HTTP side of the program.
type Server struct {
	o      Options
	mux    *chi.Mux
	routes []Route
	hub    *Hub
	// buffers hold pages while they are drawn.
	buffers sync.Pool
}

// New returns a server without routes.
func New(o Options) *Server {
	s := &Server{o: o, mux: chi.NewMux(), hub: NewHub()}
	s.mux.NotFound(func(w http.ResponseWriter, r *http.Request) { s.fallback(w, r, http.StatusNotFound) })
	s.mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) { s.fallback(w, r, http.StatusMethodNotAllowed) })
	if o.Static != nil {
		s.mux.Handle("/static/*", o.Static)
	}
	s.add(Route{Method: http.MethodGet, Pattern: "/ws/{slug}/live", Permission: LivePermission, Scope: InWorkspace, Module: "kernel"}, s.live)
	return s
}

// SetShell sets the source of what the shell shows; modules exist only after the server.
func (s *Server) SetShell(src ShellSource) { s.o.Shell = src }

// SetAuth sets the authenticator, for the same reason.
func (s *Server) SetAuth(a Authenticator) { s.o.Auth = a }

// SetNav sets the entries of the sidebar.
func (s *Server) SetNav(nav []NavEntry) { s.o.Nav = nav }

// Policy returns the permissions of the program.
func (s *Server) Policy() *access.Policy { return s.o.Policy }

// BaseURL returns an absolute address of a path, for mail and redirects of providers.
func (s *Server) BaseURL(path string) string {
	return strings.TrimSuffix(s.o.BaseURL.String(), "/") + path
}

// Secure reports whether cookies carry the Secure attribute.
func (s *Server) Secure() bool { return s.o.Secure }

// Hub returns the hub of live messages.
func (s *Server) Hub() *Hub { return s.hub }

// Handler returns the whole server with its outer layers.
func (s *Server) Handler() http.Handler {
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(s.request(w, r, Route{Method: r.Method, Pattern: r.URL.Path, Scope: Public, API: isAPI(r.URL.Path)}),
			fault.NewDenied("cross_origin", "This request came from another site, so it was refused. Open Vigilo itself and try again."))
	}))
	return s.outer(csrf.Handler(s.mux))
}

func isAPI(path string) bool {
	rest, ok := strings.CutPrefix(path, "/ws/")
	if !ok {
		return false
	}
	_, rest, _ = strings.Cut(rest, "/")
	return strings.HasPrefix(rest, "api/") // api alone is the page about it
}

// csp allows what the pages use and nothing else: no inline script, no inline style.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'"

type routeKey struct{}

// served is what layers around the server learn of a request.
type served struct {
	pattern   string
	workspace uuid.UUID
}

// TrackRoute lets layers around the server learn, once a request was served, which route
// did and for which workspace: RoutePattern and ServedWorkspace tell them.
func TrackRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		next.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), routeKey{}, &served{})))
	})
}

// RoutePattern returns the pattern of the route that served the request, empty for none.
func RoutePattern(req *http.Request) string {
	if s, ok := req.Context().Value(routeKey{}).(*served); ok {
		return s.pattern
	}
	return ""
}

// ServedWorkspace returns the workspace of the request, the nil one for none.
func ServedWorkspace(req *http.Request) uuid.UUID {
	if s, ok := req.Context().Value(routeKey{}).(*served); ok {
		return s.workspace
	}
	return uuid.Nil
}

type requestIDKey struct{}

// RequestID returns the id of the request that ctx belongs to.
func RequestID(ctx context.Context) uuid.UUID {
	id, _ := ctx.Value(requestIDKey{}).(uuid.UUID)
	return id
}

// outer gives each request an id, sets the headers of every answer and survives panics.
func (s *Server) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id, err := uuid.NewV7()
		if err != nil {
			http.Error(w, "no randomness", http.StatusInternalServerError)
			return
		}
		ctx := context.WithValue(req.Context(), requestIDKey{}, id)
		req = req.WithContext(ctx)
		h := w.Header()
		h.Set("X-Request-Id", id.String())
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if s.o.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				r := s.request(rec, req, Route{Method: req.Method, Pattern: req.URL.Path, Scope: Public, API: isAPI(req.URL.Path)})
				r.wrote = rec.status != 0
				s.fail(r, fmt.Errorf("panic: %v\n%s", v, stack()))
			}
		}()
		next.ServeHTTP(rec, req)
	})
}

// recorder remembers the status for metrics and lets streaming pass.
type recorder struct {
	http.ResponseWriter
	status int
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) request(w http.ResponseWriter, req *http.Request, route Route) *Request {
	return &Request{Request: req, W: w, Route: route, ID: RequestID(req.Context()), s: s, began: s.o.Clock.Now()}
}

// serve finds out who asks, whether they may, and lets the handler answer.
func (s *Server) serve(w http.ResponseWriter, req *http.Request, route Route, h Handler) {
	tracked, _ := req.Context().Value(routeKey{}).(*served)
	if tracked != nil {
		tracked.pattern = route.Pattern
	}
	r := s.request(w, req, route)
	err := s.identify(r)
	if tracked != nil {
		tracked.workspace = r.Workspace.ID
	}
	if err == nil {
		err = s.admit(r)
	}
	if err == nil {
		r.withShell()
		err = h(r)
	}
	if err != nil {
		s.fail(r, err)
	}
}

// cookieName is __Host- bound over https; the prefix is refused by browsers on http.
func (s *Server) cookieName() string {
	if s.o.Secure {
		return "__Host-vigilo"
	}
	return "vigilo"
}

// SetSession gives the browser its session; an empty token takes it away.
func (r *Request) SetSession(token string) {
	c := &http.Cookie{
		Name: r.s.cookieName(), Value: token, Path: "/", HttpOnly: true, Secure: r.s.o.Secure, SameSite: http.SameSiteLaxMode,
	}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(r.W, c)
}

// SessionToken returns the session cookie, or nothing.
func (r *Request) SessionToken() string {
	c, err := r.Cookie(r.s.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

func (s *Server) identify(r *Request) error {
	slug := ""
	if r.Route.Scope == InWorkspace {
		slug = slugOf(r.URL.Path)
	}
	r.Actor = db.Actor{
		Kind: db.ActorAnonymous, Name: "Anonymous", RequestID: r.ID, IP: s.RemoteIP(r.Request), UserAgent: clip(r.UserAgent(), 300),
	}
	var p Principal
	var ok bool
	var err error
	bearer, hasBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case hasBearer && r.Route.API:
		p, ok, err = s.o.Auth.Token(r.Context(), bearer, slug)
		if err == nil && !ok {
			return errUnauthenticated
		}
	case r.SessionToken() != "":
		p, ok, err = s.o.Auth.Session(r.Context(), r.SessionToken(), slug)
	}
	if err != nil {
		return fmt.Errorf("identify: %w", err)
	}
	if !ok {
		return nil
	}
	r.Principal = p
	if p.NewToken != "" {
		r.SetSession(p.NewToken)
	}
	a := &r.Actor
	a.Kind, a.ID, a.UserID, a.Name, a.Email = p.Kind, p.ID, p.User.ID, p.User.Name, p.User.Email
	if p.Kind == db.ActorService {
		a.Name = p.TokenName
	}
	a.PlatformAdmin, a.Scopes, a.AuthMethod, a.SessionID = p.User.PlatformAdmin, p.Scopes, p.AuthMethod, p.SessionID
	a.SignedInAt, a.MFA = p.SignedInAt, p.MFA
	if p.Workspace != nil {
		r.Workspace = *p.Workspace
		a.WorkspaceID, a.Role = p.Workspace.ID, string(p.Role)
	}
	return nil
}

// slugOf returns the workspace that a path names; it also works where no route matched.
func slugOf(path string) string {
	rest, _ := strings.CutPrefix(path, "/ws/")
	slug, _, _ := strings.Cut(rest, "/")
	return slug
}

func clip(s string, n int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// errUnauthenticated means that nobody is signed in where somebody must be.
var errUnauthenticated = &fault.Error{Kind: fault.Denied, Code: "unauthenticated", Message: "Sign in to continue, or send a valid token."}

const codeSignInAgain = "sign_in_again"

// SignInAgain answers 401 to somebody who is signed in, but too long ago for the workspace
// that they act in.
func SignInAgain() error {
	return &fault.Error{
		Kind: fault.Denied, Code: codeSignInAgain,
		Message: "This workspace ends sessions sooner than yours has lasted. Sign in again to continue.",
	}
}

func (s *Server) admit(r *Request) error {
	if r.Route.Scope == Public {
		return nil
	}
	if !r.SignedIn() {
		return errUnauthenticated
	}
	if r.Route.Scope == SignedIn {
		return nil
	}
	if r.Route.API {
		if err := s.limitAPI(r); err != nil {
			return err
		}
	}
	if r.Principal.SignInAgain {
		return SignInAgain()
	}
	if r.Workspace.ID == uuid.Nil {
		return fault.NewNotFound("page")
	}
	if err := s.o.Policy.Check(r.Actor, r.Route.Permission); err != nil {
		if s.o.OnDenied != nil && r.Method != http.MethodGet {
			s.o.OnDenied(r.Context(), r.Actor, r.Route)
		}
		return err
	}
	return nil
}

// limitAPI counts a call and says in each answer how many are left and in how many
// seconds all of them are.
func (s *Server) limitAPI(r *Request) error {
	if s.o.APILimit == nil {
		return nil
	}
	limit := s.o.APILimit.Limit()
	ok, retry, remaining := s.o.APILimit.Allow(r.Principal.ID.String())
	h := r.W.Header()
	h.Set("RateLimit-Limit", strconv.Itoa(limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("RateLimit-Reset", seconds(s.o.APILimit.Refill(limit-remaining)))
	if ok {
		return nil
	}
	return TooMany(retry)
}

// seconds writes a duration as whole seconds, rounded up: who waits so long waits enough.
func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// TooMany is the answer 429 to somebody who asks too often.
func TooMany(retry time.Duration) error {
	return &limited{retry: max(retry, time.Second)}
}

type limited struct{ retry time.Duration }

func (l *limited) Error() string {
	return "Too many requests. Try again in " + seconds(l.retry) + " seconds."
}
