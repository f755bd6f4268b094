package web_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// people knows two secrets: "mara" is a member of acme, "viewer" reads there.
type people struct{}

func (people) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	if token != "mara" && token != "viewer" {
		return web.Principal{}, false, nil
	}
	p := web.Principal{Kind: db.ActorUser, ID: uuid.New(), User: web.User{ID: uuid.New(), Name: "Mara Lind", TimeZone: "UTC"}, Role: access.Member}
	if token == "viewer" {
		p.Role = access.Viewer
	}
	if slug == "acme" {
		p.Workspace = &web.Workspace{ID: uuid.New(), Slug: "acme", Name: "Acme"}
	}
	return p, true, nil
}

func (people) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return people{}.Session(ctx, token, slug)
}

func server(t *testing.T) *httptest.Server {
	t.Helper()
	policy, err := access.NewPolicy(
		access.Grant{Permission: web.LivePermission, Min: access.Viewer},
		access.Grant{Permission: "thing.read", Min: access.Viewer},
		access.Grant{Permission: "thing.change", Min: access.Member},
	)
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Options{Policy: policy, Auth: people{}, Clock: clock.System(), Log: slog.New(slog.DiscardHandler), BaseURL: base})
	r := s.Module("things")
	body := templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "<h1>Things</h1>")
		return err
	})
	r.Get("/things", "thing.read", func(r *web.Request) error { return r.Page(web.Page{Title: "Things"}, body) })
	r.Post("/things", "thing.change", func(r *web.Request) error {
		var f struct {
			Name string `form:"name"`
		}
		if err := r.Form(&f); err != nil {
			return err
		}
		if f.Name == "" {
			return r.InvalidPage(fault.InvalidField("name", "required", "Name is needed."), web.Page{Title: "Things"}, body)
		}
		r.Flash("Saved " + f.Name)
		return r.SeeOther(r.Path("/things"))
	})
	r.Get("/boom", "thing.read", func(*web.Request) error { panic("boom") })
	r.Get("/away", "thing.read", func(*web.Request) error { return fault.NewUnavailable("The database is not answering.", io.EOF) })
	s.AddAPI("things", http.MethodGet, "/things", "thing.change", func(r *web.Request) error { return r.JSON(http.StatusOK, 1) })
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return srv
}

type call struct {
	method, path, session, bearer, body, origin, site string
}

func (c call) do(t *testing.T, srv *httptest.Server) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(c.method, srv.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.session != "" {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: c.session})
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
		if v != "" {
			req.Header.Set(name, v)
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(raw)
}

func TestAnswersByWhoAsks(t *testing.T) {
	t.Parallel()
	srv := server(t)
	tests := []struct {
		name   string
		call   call
		status int
		want   string // in the body, or the Location of a redirect
	}{
		{"a member sees the page in the shell", call{method: "GET", path: "/ws/acme/things", session: "mara"}, 200, "<h1>Things</h1>"},
		{"nobody is sent to sign in and back", call{method: "GET", path: "/ws/acme/things?q=a"}, 303, "/login?return_to=%2Fws%2Facme%2Fthings%3Fq%3Da"},
		{"a post without a session keeps what was typed", call{method: "POST", path: "/ws/acme/things", body: "name=%3Cb%3E"}, 401, `value="&lt;b&gt;"`},
		{"another workspace is not there", call{method: "GET", path: "/ws/globex/things", session: "mara"}, 404, "This page does not exist"},
		{"no such page", call{method: "GET", path: "/ws/acme/nothing", session: "mara"}, 404, "Acme"},
		{"a role that is too low is named", call{method: "POST", path: "/ws/acme/things", session: "viewer", body: "name=x"}, 403, "Member"},
		{"a wrong form comes back", call{method: "POST", path: "/ws/acme/things", session: "mara", body: "name="}, 422, "<h1>Things</h1>"},
		{"a good form redirects", call{method: "POST", path: "/ws/acme/things", session: "mara", body: "name=x"}, 303, "/ws/acme/things"},
		{"a page of another site cannot post", call{method: "POST", path: "/ws/acme/things", session: "mara", body: "name=x", origin: "https://evil.test", site: "cross-site"}, 403, "another site"},
		{"a panic is a page with a reference", call{method: "GET", path: "/ws/acme/boom", session: "mara"}, 500, "Reference"},
		{"a database that is away is a 503", call{method: "GET", path: "/ws/acme/away", session: "mara"}, 503, "not answering"},
		{"the API refuses in JSON", call{method: "GET", path: "/ws/acme/api/v1/things"}, 401, `"code":"unauthenticated"`},
		{"the API refuses a wrong token even beside a session", call{method: "GET", path: "/ws/acme/api/v1/things", session: "mara", bearer: "x"}, 401, `"code":"unauthenticated"`},
		{"the API names the role", call{method: "GET", path: "/ws/acme/api/v1/things", bearer: "viewer"}, 403, `"code":"forbidden"`},
		{"the API hides other workspaces", call{method: "GET", path: "/ws/globex/api/v1/things", bearer: "mara"}, 404, `"code":"not_found"`},
		{"the API has no other pages", call{method: "GET", path: "/ws/acme/api/v1/x", bearer: "mara"}, 404, `"code":"not_found"`},
		{"a session reads the API", call{method: "GET", path: "/ws/acme/api/v1/things", session: "mara"}, 200, "1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, body := tt.call.do(t, srv)
			if res.StatusCode != tt.status {
				t.Errorf("status %d, want %d: %s", res.StatusCode, tt.status, body)
			}
			if !strings.Contains(body+res.Header.Get("Location"), tt.want) {
				t.Errorf("no %q in %s %s", tt.want, res.Header.Get("Location"), body)
			}
			if id := res.Header.Get("X-Request-Id"); len(id) != 36 {
				t.Errorf("request id %q", id)
			}
			policy := res.Header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("policy %q", policy)
			}
			if strings.Contains(tt.call.path, "/api/") && !json.Valid([]byte(body)) {
				t.Errorf("not JSON: %s", body)
			}
		})
	}
}

func TestLocalKeepsRedirectsOnThisSite(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/": true, "/ws/acme?q=1#x": true, "": false, "//evil.test": false, "/\\evil.test": false, "https://evil.test": false,
		"javascript:alert(1)": false, "/\t/evil.test": false, "ws/acme": false,
	} {
		if web.Local(path) != want {
			t.Errorf("Local(%q) = %v, want %v", path, !want, want)
		}
	}
}
