package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/templates/layout"
)

// User is the signed-in person.
type User struct {
	ID            uuid.UUID
	Name          string
	Email         string
	TimeZone      string // IANA, empty until known
	Theme         string // system, light or dark
	Shortcuts     bool
	PlatformAdmin bool
}

// Workspace is the workspace of a request.
type Workspace struct {
	ID       uuid.UUID
	Slug     string
	Name     string
	TimeZone string
}

// Membership is one entry of the workspace switcher.
type Membership struct {
	Slug string
	Name string
	Role access.Role
}

// Principal is who a cookie or token belongs to, and their place in the workspace of the
// request. Workspace is nil when there is none of that name or they do not belong to it;
// both look the same from outside.
type Principal struct {
	Kind          db.ActorKind
	ID            uuid.UUID // user or token
	User          User
	TokenName     string
	SessionID     uuid.UUID
	SignedInAt    time.Time // of the session, zero without one
	MFA           string    // the claim amr, as the provider said
	AuthMethod    string
	Workspace     *Workspace
	Role          access.Role
	Scopes        []string
	Memberships   []Membership
	LastWorkspace string
	// SignInAgain says that the session is too old for the workspace asked for, which
	// ends sessions sooner than the installation does. Workspace is nil then.
	SignInAgain bool
	// NewToken replaces the session token in the browser; empty keeps it.
	NewToken string
}

// Authenticator finds principals. ok is false when the secret is unknown, expired or
// revoked.
type Authenticator interface {
	Session(ctx context.Context, token, slug string) (p Principal, ok bool, err error)
	Token(ctx context.Context, token, slug string) (p Principal, ok bool, err error)
}

// Request is one HTTP request with who sent it and where.
type Request struct {
	*http.Request
	W         http.ResponseWriter
	Route     Route
	ID        uuid.UUID
	Actor     db.Actor
	Principal Principal
	// Workspace is the zero value outside a workspace.
	Workspace Workspace
	s         *Server
	began     time.Time
	wrote     bool
	zone      *time.Location     // what Zone found
	bell      func() layout.Bell // what was read for the frame
}

// Server returns the server that answers, for links and limits.
func (r *Request) Server() *Server { return r.s }

// User returns the signed-in person.
func (r *Request) User() User { return r.Principal.User }

// SignedIn reports whether a person or token is known.
func (r *Request) SignedIn() bool { return r.Principal.ID != uuid.Nil }

// Can reports whether the actor holds the permission, for buttons and links.
func (r *Request) Can(p access.Permission) bool { return r.s.o.Policy.Can(r.Actor, p) }

// Now returns the time of the server's clock.
func (r *Request) Now() time.Time { return r.s.o.Clock.Now() }

// Zone returns the person's time zone, else the workspace's, else UTC.
func (r *Request) Zone() *time.Location {
	if r.zone == nil {
		r.zone = r.findZone()
	}
	return r.zone
}

// findZone reads and parses a file of the system each time it is called; a list asks for
// the zone in each row.
func (r *Request) findZone() *time.Location {
	for _, name := range []string{r.Principal.User.TimeZone, r.Workspace.TimeZone} {
		if name == "" {
			continue
		}
		if loc, err := time.LoadLocation(name); err == nil {
			return loc
		}
	}
	return time.UTC
}

// Param returns a part of the path.
func (r *Request) Param(name string) string {
	raw := chi.URLParam(r.Request, name)
	if text, err := url.PathUnescape(raw); err == nil {
		return text
	}
	return raw
}

// UUID returns a part of the path as an id. Anything else answers like a missing record.
func (r *Request) UUID(name, what string) (uuid.UUID, error) {
	id, err := uuid.Parse(r.Param(name))
	if err != nil || len(r.Param(name)) != 36 {
		return uuid.Nil, fault.NewNotFound(what)
	}
	return id, nil
}

// Path returns a path below the workspace of the request.
func (r *Request) Path(path string) string { return "/ws/" + r.Workspace.Slug + path }

// HTMX reports whether htmx asked, and so wants a fragment.
func (r *Request) HTMX() bool { return r.Header.Get("HX-Request") == "true" }

// maxBody is the largest body of a form or an API call (security.md, limits).
const maxBody = 1 << 20

// MaxUpload is the largest upload.
const MaxUpload = 25 << 20

// Form reads the form of the request, urlencoded or multipart, into dst.
func (r *Request) Form(dst any) error {
	if err := r.ParseBody(); err != nil {
		return err
	}
	return form.Decode(r.PostForm, dst)
}

// ParseBody reads the body as a form.
func (r *Request) ParseBody() error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	limit := int64(maxBody)
	if kind == "multipart/form-data" {
		limit = MaxUpload
	}
	r.Body = http.MaxBytesReader(r.W, r.Body, limit)
	switch kind {
	case "multipart/form-data":
		err = r.ParseMultipartForm(1 << 20)
	case "application/x-www-form-urlencoded", "":
		err = r.Request.ParseForm()
	default:
		return &fault.Error{Kind: fault.Invalid, Code: "unsupported_media_type", Message: "Send a form (application/x-www-form-urlencoded)."}
	}
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return &fault.Error{Kind: fault.Invalid, Code: "too_large", Message: fmt.Sprintf("This is larger than %d MiB; send less at once.", limit>>20)}
	}
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Code: "malformed", Message: "The form could not be read. Go back and send it again.", Cause: err}
	}
	return nil
}

// SeeOther answers with a redirect after a successful action. The path must be our own.
func (r *Request) SeeOther(path string) error {
	if !Local(path) {
		return fmt.Errorf("web: redirect to a foreign address %q", path)
	}
	http.Redirect(r.W, r.Request, path, http.StatusSeeOther)
	r.wrote = true
	return nil
}

// Local reports whether a path stays on this site, whatever a browser makes of it.
func Local(path string) bool {
	if len(path) == 0 || path[0] != '/' || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t\x00") {
		return false
	}
	u, err := url.Parse(path)
	return err == nil && u.Host == "" && u.Scheme == ""
}

// Fragment answers with a part of a page, for htmx.
func (r *Request) Fragment(status int, c templ.Component) error {
	return r.render(status, c)
}

// maxKeptBuffer is the size from which a buffer is not kept for the next page.
const maxKeptBuffer = 1 << 20

func (r *Request) render(status int, c templ.Component) error {
	// A page that fails half way must not have begun.
	b, ok := r.s.buffers.Get().(*bytes.Buffer)
	if !ok {
		b = new(bytes.Buffer)
	}
	defer func() {
		if b.Cap() <= maxKeptBuffer {
			b.Reset()
			r.s.buffers.Put(b)
		}
	}()
	if err := c.Render(r.Context(), b); err != nil {
		return fmt.Errorf("render %s: %w", r.Route.Pattern, err)
	}
	h := r.W.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Add("Vary", "HX-Request")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	r.W.WriteHeader(status)
	r.wrote = true
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := r.W.Write(b.Bytes()); err != nil {
		// The reader went away; nobody is left to tell.
		r.s.o.Log.DebugContext(r.Context(), "answer not read", slog.String("error", err.Error()))
	}
	return nil
}

// Download starts an attachment and returns where to write it. Errors after the first
// byte can only be logged, so read what may fail before calling it.
func (r *Request) Download(name, contentType string) http.ResponseWriter {
	h := r.W.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	h.Set("Cache-Control", "no-store")
	r.wrote = true
	return r.W
}

// Flash leaves a message that the next page shows once.
func (r *Request) Flash(text string) {
	http.SetCookie(r.W, &http.Cookie{
		Name: flashCookie, Value: url.QueryEscape(text), Path: "/", MaxAge: 60,
		HttpOnly: true, Secure: r.s.o.Secure, SameSite: http.SameSiteLaxMode,
	})
}

const flashCookie = "vigilo_flash"

// takeFlash returns the message that was left, and removes it.
func (r *Request) takeFlash() string {
	c, err := r.Cookie(flashCookie)
	if err != nil || c.Value == "" {
		return ""
	}
	http.SetCookie(r.W, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: r.s.o.Secure, SameSite: http.SameSiteLaxMode})
	text, err := url.QueryUnescape(c.Value)
	if err != nil || len(text) > 300 {
		return ""
	}
	return text
}

// RemoteIP returns the address of the client: the last one that no trusted proxy added.
func (s *Server) RemoteIP(req *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	if !s.trusted(ip) {
		return ip
	}
	hops := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		ip = hop.Unmap().WithZone("")
		if !s.trusted(ip) {
			break
		}
	}
	return ip
}

func (s *Server) trusted(ip netip.Addr) bool {
	for _, p := range s.o.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
