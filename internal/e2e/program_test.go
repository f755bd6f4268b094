// Package e2e runs the whole program, with a real database and a real browser, and looks
// at it from outside.
package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/app"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/members"
)

// program is Vigilo running for one test.
type program struct {
	*app.App
	base string
	db   *dbtest.DB
	keys string // of stored secrets
	halt func() // stops it before the test ends

	mu       sync.Mutex
	sessions map[string]string
	people   map[string]identity.User
	spaces   map[string]uuid.UUID
}

// start runs the whole program on a database of its own, with the development login.
// settings are NAME=value lines that change the defaults.
func start(t *testing.T, settings ...string) *program {
	t.Helper()
	return startOn(t, dbtest.New(t), secret.NewKey(), true, settings...)
}

// onlyServe stops the program and starts another one on its database that answers requests
// and works nothing in the background, so that nothing changes but by requests.
func (p *program) onlyServe(t *testing.T, settings ...string) *program {
	t.Helper()
	p.stop(t)
	next := startOn(t, p.db, p.keys, false, settings...)
	next.people, next.spaces = p.people, p.spaces
	return next
}

func startOn(t *testing.T, d *dbtest.DB, keys string, work bool, settings ...string) *program {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	lines := append([]string{
		"VIGILO_AUTH=dev", "VIGILO_ADDR=" + l.Addr().String(), "VIGILO_DATA_DIR=" + t.TempDir(),
		"VIGILO_DATABASE_URL=" + d.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL=" + d.URL("vigilo_system"),
		"VIGILO_ALLOW_LOOPBACK=true", "VIGILO_SECRET_KEYS=" + keys, "VIGILO_PLATFORM_ADMINS=root@example.test",
		// Tests ask more often than people; the limits have tests of their own.
		"VIGILO_RATE_API=100000", "VIGILO_RATE_WEBHOOK_TEST=100000", "VIGILO_RATE_TOKEN=100000", "VIGILO_RATE_INVITATION=100000",
	}, settings...)
	cfg, problems := config.FromEnvironment(lines)
	for _, p := range problems {
		t.Fatal(p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, cfg, slog.New(slog.DiscardHandler), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- a.Run(ctx, app.RunOptions{Listener: l, Work: work, Ready: func() { close(ready) }})
	}()
	halt := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("program stopped with: %v", err)
		}
		a.Close()
	})
	t.Cleanup(halt)
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("program did not start: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("program did not start within a minute")
	}
	return &program{
		App: a, base: "http://" + l.Addr().String(), db: d, keys: keys, halt: halt,
		sessions: map[string]string{}, people: map[string]identity.User{}, spaces: map[string]uuid.UUID{},
	}
}

// person adds somebody who can sign in.
func (p *program) person(t *testing.T, email string) identity.User {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if u, ok := p.people[email]; ok {
		return u
	}
	name, _, _ := strings.Cut(email, "@")
	u, err := p.Services.Identity.EnsureUser(context.Background(), identity.SeedUser{
		Email: email, Name: strings.ToUpper(name[:1]) + name[1:] + " Tester", TimeZone: "Europe/Oslo",
	})
	if err != nil {
		t.Fatalf("add person %s: %v", email, err)
	}
	p.people[email] = u
	return u
}

// workspace adds a workspace with one person for each role, named by it: viewer@acme.test
// to owner@acme.test.
func (p *program) workspace(t *testing.T, slug string) uuid.UUID {
	t.Helper()
	ctx := context.Background()
	owner := p.person(t, "owner@"+slug+".test")
	ws, err := p.Services.Members.SeedWorkspace(ctx, members.NewWorkspace{Name: strings.ToUpper(slug[:1]) + slug[1:], Slug: slug, TimeZone: "UTC"}, owner.ID)
	if err != nil {
		t.Fatalf("add workspace %s: %v", slug, err)
	}
	for _, role := range []access.Role{access.Viewer, access.Member, access.Approver, access.Admin} {
		u := p.person(t, string(role)+"@"+slug+".test")
		if _, err := p.Services.Members.SeedMember(ctx, ws.ID, u.ID, role); err != nil {
			t.Fatalf("add %s to %s: %v", role, slug, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spaces[slug] = ws.ID
	return ws.ID
}

// seat makes somebody a member of one more workspace.
func (p *program) seat(t *testing.T, slug, email string) {
	t.Helper()
	u := p.person(t, email)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.Services.Members.SeedMember(context.Background(), p.spaces[slug], u.ID, access.Member); err != nil {
		t.Fatalf("add %s to %s: %v", email, slug, err)
	}
}

// actor returns a person of a workspace as the services see them.
func (p *program) actor(t *testing.T, slug, role string) db.Actor {
	t.Helper()
	u := p.person(t, role+"@"+slug+".test")
	p.mu.Lock()
	defer p.mu.Unlock()
	return db.Actor{
		WorkspaceID: p.spaces[slug], Kind: db.ActorUser, ID: u.ID, UserID: u.ID, Name: u.Name, Email: u.Email, Role: role,
		AuthMethod: "dev", RequestID: uuid.Must(uuid.NewV7()), IP: netip.MustParseAddr("127.0.0.1"),
	}
}

// session returns a session token of a person.
func (p *program) session(t *testing.T, email string) string {
	t.Helper()
	u := p.person(t, email)
	p.mu.Lock()
	defer p.mu.Unlock()
	if token, ok := p.sessions[email]; ok {
		return token
	}
	token, err := p.Services.Identity.StartSession(context.Background(), u.ID, "dev", netip.MustParseAddr("127.0.0.1"), "e2e")
	if err != nil {
		t.Fatalf("start session of %s: %v", email, err)
	}
	p.sessions[email] = token
	return token
}

// token returns an API token of a person of a workspace with all their rights.
func (p *program) token(t *testing.T, slug, role string) string {
	t.Helper()
	token, err := p.Services.Identity.CreatePersonalToken(context.Background(), p.actor(t, slug, role), "e2e", nil, time.Time{})
	if err != nil {
		t.Fatalf("create token: %v", err)
	}
	return token
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request. who is an e-mail for a session, a token starting with vgl_ for the
// API, or empty.
func (p *program) call(t *testing.T, who, method, path, contentType, body string) answer {
	t.Helper()
	session := ""
	if who != "" && !strings.HasPrefix(who, "vgl_") {
		session = p.session(t, who)
	}
	a, err := p.send(who, session, method, path, contentType, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// try calls the API and returns what goes wrong on the way, for processes that may die.
func (p *program) try(token, method, path, body string) (answer, error) {
	return p.send(token, "", method, path, "application/json", body)
}

func (p *program) send(token, session, method, path, contentType, body string) (answer, error) {
	req, err := http.NewRequest(method, p.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if session != "" {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: session})
	} else if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{
		Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return answer{}, err
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(raw)}, nil
}

// stop ends the program before the test does; its database stays.
func (p *program) stop(t *testing.T) {
	t.Helper()
	p.halt()
}

func (p *program) get(t *testing.T, who, path string) answer {
	t.Helper()
	return p.call(t, who, http.MethodGet, path, "", "")
}

func (p *program) post(t *testing.T, who, path, form string) answer {
	t.Helper()
	return p.call(t, who, http.MethodPost, path, "application/x-www-form-urlencoded", form)
}

func (p *program) json(t *testing.T, who, method, path, body string) answer {
	t.Helper()
	return p.call(t, who, method, path, "application/json", body)
}

// eventually waits for a condition that other processes bring about.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	eventuallyWithin(t, 30*time.Second, what, cond)
}

// rescueTime is how long it may take until another process leads, looks for jobs of dead
// ones and works them.
const rescueTime = 2 * time.Minute

func eventuallyWithin(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if !within(limit, cond) {
		t.Fatalf("waited in vain: %s", what)
	}
}

// within waits for a condition and reports whether it came true in time.
func within(limit time.Duration, cond func() bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

func ok(t *testing.T, a answer, want int, what string) {
	t.Helper()
	if a.status != want {
		t.Fatalf("%s: status %d, want %d: %s", what, a.status, want, clip(a.body))
	}
}

func clip(s string) string {
	if len(s) > 600 {
		return fmt.Sprintf("%s … (%d bytes)", s[:600], len(s))
	}
	return s
}
