package identity

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/identity/oidctest"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/kernel/web"
	assets "github.com/vigilo/vigilo/web"
)

// bench is the module behind a real server on a real database.
type bench struct {
	*dbtest.DB
	svc    *Service
	jobs   *job.Engine
	server *web.Server
	site   *httptest.Server
	op     *oidctest.OP // nil with the development login
	clock  *clock.Fixed // nil with the clock of the machine
	ring   *secret.Keyring
}

const (
	clientID     = "vigilo"
	clientSecret = "a shared secret of at least 32 bytes"
	chrome       = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)

// newBench returns a bench with the development login and a clock that stands still.
func newBench(t *testing.T, change func(*Deps)) *bench {
	t.Helper()
	fixed := clock.NewFixed(time.Now())
	b := assemble(t, fixed, change, func(*bench) *oidcrp.Provider { return nil })
	b.clock = fixed
	return b
}

// newOIDCBench returns a bench with a provider at which ada and bob can sign in.
func newOIDCBench(t *testing.T, change func(*Deps)) *bench {
	t.Helper()
	return assemble(t, clock.System(), change, func(b *bench) *oidcrp.Provider {
		b.op = oidctest.Start(t, oidctest.Options{
			Clients: []oidctest.Client{{
				ID: clientID, Secret: clientSecret, RedirectURLs: []string{b.site.URL + CallbackPath},
				PostLogoutURLs: []string{b.site.URL + PostLogoutPath}, BackChannelLogoutURL: b.site.URL + BackchannelPath,
				ClaimsInIDToken: true,
			}},
			Users: []oidctest.User{
				{Subject: "u-ada", Username: "ada", Password: "engine", Email: "Ada@Example.org", EmailVerified: true, Name: "Ada Lovelace"},
				{Subject: "u-bob", Username: "bob", Password: "builder", Email: "ada@example.org", Name: "Bob"},
			},
		})
		return oidcrp.New(oidcrp.Config{
			Issuer: b.op.Issuer(), ClientID: clientID, ClientSecret: clientSecret, RedirectURL: b.site.URL + CallbackPath,
			PostLogoutURL: b.site.URL + PostLogoutPath,
		})
	})
}

func assemble(t *testing.T, clk clock.Clock, change func(*Deps), provider func(*bench) *oidcrp.Provider) *bench {
	t.Helper()
	b := &bench{DB: dbtest.NewAt(t, clk), ring: dbtest.Keyring(t)}
	var handler atomic.Pointer[http.Handler]
	b.site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(b.site.Close)
	log := slog.New(slog.DiscardHandler)
	var err error
	if b.jobs, err = job.New(b.DB.DB, log); err != nil {
		t.Fatal(err)
	}
	policy, err := access.NewPolicy(
		access.Grant{Permission: web.LivePermission, Label: "Open the workspace", Min: access.Viewer},
		access.Grant{Permission: "cert.read", Label: "See certificates", Min: access.Viewer},
		access.Grant{Permission: "cert.edit", Label: "Edit certificates", Min: access.Member},
		access.Grant{Permission: "workspace.delete", Label: "Delete the workspace", Min: access.Owner},
		access.Grant{Permission: CanUseTokens, Label: "Keep personal API tokens", Min: access.Viewer},
		access.Grant{Permission: CanManageTokens, Label: "Keep service tokens", Min: access.Admin},
	)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(events()...)
	if err != nil {
		t.Fatal(err)
	}
	deps := Deps{
		DB: b.DB.DB, Ledger: ledger.New(catalogue, b.jobs, b.ring), Jobs: b.jobs, Policy: policy, Clock: clk, Log: log, Sealer: b.ring,
		OIDC: provider(b), DevLogin: true, ProviderName: "Example ID", SignInsPerMinute: 1000,
	}
	if change != nil {
		change(&deps)
	}
	b.svc = New(deps)
	base, err := url.Parse(b.site.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.server = web.New(web.Options{DB: b.DB.DB, Policy: policy, Auth: b.svc, Clock: clk, Log: log, BaseURL: base, DevLogin: b.svc.devLogin(), Static: assets.Handler()})
	b.svc.Module().Routes(b.server.Module("identity"))
	h := b.server.Handler()
	handler.Store(&h)
	return b
}

// serveAPI adds the API. It may be used by one test only: huma keeps its error shape in a
// variable of its package.
func (b *bench) serveAPI() {
	b.svc.Module().API(api.New(b.server, b.DB.DB, b.ring, "test").Module("identity"))
}

// work runs the jobs that wait, until none does.
func (b *bench) work(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	workers := river.NewWorkers()
	b.svc.Module().Workers(workers)
	if err := b.jobs.Start(ctx, job.StartOptions{Workers: workers, Queues: map[string]int{job.QueueDefault: 2}}); err != nil {
		t.Fatal(err)
	}
	for idle := false; !idle; {
		var err error
		if idle, err = b.jobs.Idle(ctx); err != nil {
			t.Fatalf("wait for jobs: %v", err)
		}
	}
	if err := b.jobs.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// browser is a person's browser. It follows no redirect by itself.
type browserOf struct {
	*http.Client
	t    *testing.T
	base string
}

func (b *bench) browser(t *testing.T) browserOf {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browserOf{t: t, base: b.site.URL, Client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (b browserOf) do(method, path string, form url.Values, header http.Header) answer {
	b.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = b.base + path
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("User-Agent", chrome)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{status: res.StatusCode, location: res.Header.Get("Location"), header: res.Header, body: string(body)}
}

func (b browserOf) get(path string) answer { b.t.Helper(); return b.do(http.MethodGet, path, nil, nil) }

func (b browserOf) post(path string, form url.Values) answer {
	b.t.Helper()
	return b.do(http.MethodPost, path, form, nil)
}

// cookie returns the value of a cookie by the beginning of its name.
func (b browserOf) cookie(prefix string) string {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, prefix) {
			return c.Value
		}
	}
	return ""
}

// sessionToken returns the session of the browser, empty for none.
func (b browserOf) sessionToken() string { return b.exact("vigilo") }

func (b browserOf) exact(name string) string {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// use puts a session into the browser.
func (b browserOf) use(token string) browserOf {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Jar.SetCookies(u, []*http.Cookie{{Name: "vigilo", Value: token, Path: "/"}})
	return b
}

// signIn walks through the provider's form and returns the answer of our callback.
func (b *bench) signIn(t *testing.T, br browserOf, start, username, password string) answer {
	t.Helper()
	a := br.get(start)
	if a.status != http.StatusSeeOther {
		t.Fatalf("GET %s: %d %s", start, a.status, a.body)
	}
	callback, err := b.op.SignIn(t.Context(), br.Client, a.location, username, password)
	if err != nil {
		t.Fatal(err)
	}
	return br.get(callback.String())
}

// session starts a session of an actor and returns its token.
func (b *bench) session(t *testing.T, a db.Actor) string {
	t.Helper()
	token, err := b.svc.StartSession(t.Context(), a.UserID, MethodDev, a.IP, chrome)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// knows reports whether a session token still stands for somebody.
func (b *bench) knows(t *testing.T, token string) bool {
	t.Helper()
	_, ok, err := b.svc.Session(t.Context(), token, "")
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// count runs a query of the superuser that returns one number.
func (b *bench) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := b.Admin(t).QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bench) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	conn, err := b.Admin(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	// The completeness guard is the product's; a fixture is no state change.
	if _, err := conn.Exec(t.Context(), `SET session_replication_role = replica`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `RESET session_replication_role`); err != nil {
		t.Fatal(err)
	}
}

// userOf returns the person of an identity.
func (b *bench) userOf(t *testing.T, subject string) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	if err := b.Admin(t).QueryRow(t.Context(), `SELECT user_id FROM user_identities WHERE subject = $1`, subject).Scan(&id); err != nil {
		t.Fatalf("no person has the subject %s: %v", subject, err)
	}
	return id
}

// join makes a person a member of a workspace.
func (b *bench) join(t *testing.T, workspace, user uuid.UUID, role string) {
	t.Helper()
	b.exec(t, `INSERT INTO members (workspace_id, id, user_id, role, joined_via, joined_at) VALUES ($1, $2, $3, $4, 'seed', now())`,
		workspace, uuid.Must(uuid.NewV7()), user, role)
}
