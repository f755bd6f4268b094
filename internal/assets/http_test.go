package assets

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

// doors knows people by their role: the secret is the role's name, in the workspace acme.
type doors struct{ w *world }

func (d doors) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := map[string]db.Actor{"viewer": d.w.viewer, "member": d.w.member, "admin": d.w.admin}[token]
	p := web.Principal{
		Kind: db.ActorUser, ID: a.UserID, User: web.User{ID: a.UserID, Name: a.Name, TimeZone: "Europe/Oslo"}, Role: access.Role(token), AuthMethod: "dev",
	}
	if slug == "acme" {
		p.Workspace = &web.Workspace{ID: d.w.ws, Slug: "acme", Name: "Acme", TimeZone: "UTC"}
		p.Memberships = []web.Membership{{Slug: "acme", Name: "Acme", Role: p.Role}}
	}
	return p, ok, nil
}

func (d doors) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	p, ok, err := d.Session(ctx, token, slug)
	p.Kind = db.ActorAPIKey
	return p, ok, err
}

// site is the service behind a real web server.
type site struct {
	*world
	srv *httptest.Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	w := newWorld(t)
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	server := web.New(web.Options{
		DB: w.d.DB, Policy: w.policy, Auth: doors{w}, Clock: w.d.Clock, BaseURL: base, DevLogin: true,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	m := w.Module()
	server.SetNav(m.Nav)
	m.Routes(server.Module(m.Name))
	m.API(api.New(server, w.d.DB, dbtest.Keyring(t), "test").Module(m.Name))
	s := &site{world: w, srv: httptest.NewServer(server.Handler())}
	t.Cleanup(s.srv.Close)
	return s
}

type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, path, role, contentType, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.srv.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(path, "/api/v1/") {
		req.Header.Set("Authorization", "Bearer "+role)
	} else {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: role})
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(raw)}
}

func (s *site) get(path, role string) answer { return s.do(http.MethodGet, path, role, "", "") }

func (s *site) post(path, role string, form url.Values) answer {
	return s.do(http.MethodPost, path, role, "application/x-www-form-urlencoded", form.Encode())
}

func (s *site) json(method, path, role, body string, header ...string) answer {
	return s.do(method, "/ws/acme/api/v1"+path, role, "application/json", body, header...)
}

func (s *site) want(a answer, status int, texts ...string) {
	s.t.Helper()
	if a.StatusCode != status {
		s.t.Errorf("%s %s: status %d, want %d: %.600s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
		return
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			s.t.Errorf("%s %s lacks %q", a.Request.Method, a.Request.URL, text)
		}
	}
}

func TestPagesOfAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.AddPanel(Panel{
		ID: "hosts", Title: "Certificates", Empty: "None.", Permission: CanRead,
		Read: func(_ *db.Batch, _ db.Actor, asset uuid.UUID) func(*time.Location, time.Time) (PanelView, error) {
			return func(*time.Location, time.Time) (PanelView, error) {
				return PanelView{Rows: []ui.Row{{Title: "panel of " + asset.String(), Href: "/certificates"}}}, nil
			}
		},
	})
	s.want(s.get("/ws/acme/assets", "member"), 200, "No asset yet", "Add asset")
	s.want(s.get("/ws/acme/assets/map", "member"), 200, "Nothing to draw yet")
	made := s.post("/ws/acme/assets", "member", url.Values{
		"name": {"<b>Orders</b>"}, "ci_type": {"service"}, "environment": {"prod"}, "criticality": {"critical"}, "owner": {s.admin.UserID.String()},
		"description": {"one\ntwo"}, "custom": {"Rack: B7"}, "lead_minutes": {"30"}, "tags": {"a, b, c"},
	})
	s.want(made, 303)
	path := made.Header.Get("Location")
	dbase := s.add("db-orders-01", kind("database"))
	s.want(s.get(path, "viewer"), 200, "&lt;b&gt;Orders&lt;/b&gt;", "Tomas Ferreira", "Rack", "30 minutes", "<p>two</p>", "panel of ", "Nothing is known that it depends on.")
	s.want(s.post("/ws/acme/assets", "member", url.Values{"name": {""}, "lead_minutes": {"x"}}), 422, "Name is needed.", "Use whole minutes", `value="x"`)
	s.want(s.post("/ws/acme/assets", "member", url.Values{"name": {"<B>orders</B>"}, "ci_type": {"service"}}), 409, "There is another service of this name.", "Open it")
	s.want(s.get(path+"/edit", "member"), 200, `name="version" value="1"`, "Rack: B7")
	s.want(s.post(path, "member", url.Values{"name": {"Orders"}, "ci_type": {"service"}, "version": {"1"}}), 303)
	s.want(s.post(path, "member", url.Values{"name": {"Mine"}, "ci_type": {"service"}, "version": {"1"}}), 409, "Somebody saved version 2 meanwhile", `value="Mine"`, `name="version" value="2"`)

	s.want(s.get(path+"/relationships?direction=above", "member"), 200, "Is needed by")
	s.want(s.post(path+"/relationships", "member", url.Values{"direction": {"below depends_on"}, "other": {"nothing"}}), 422, "No other asset in use has this name.")
	s.add("db-orders-02", kind("database"))
	s.want(s.post(path+"/relationships", "member", url.Values{"direction": {"below depends_on"}, "other": {"db-orders"}}), 422, "Which one?", dbase.ID.String())
	s.want(s.post(path+"/relationships", "member", url.Values{
		"direction": {"below depends_on"}, "other": {"db-orders"}, "choice": {dbase.ID.String()}, "protocol": {"tcp"}, "port": {"5432"}, "exclusive": {"on"},
	}), 303)
	s.want(s.get(path, "member"), 200, "db-orders-01", "depends on · database in production · tcp/5432 · no stand-in", "Remove the relationship with db-orders-01")
	s.want(s.get(path+"/impact", "viewer"), 200, "Nothing in use is known to depend on it.", "db-orders-01", "no stand-in on the way")
	s.want(s.get(dbase.page()+"/impact?depth=1", "viewer"), 200, "Orders", "Without stand-in")
	s.want(s.get(dbase.page()+"/impact?depth=9", "viewer"), 422)
	s.want(s.get(path+"/activity", "viewer"), 200, "Asset added", "Relationship added")
	s.want(s.get("/ws/acme/assets/map", "viewer"), 200, "<svg", "Orders", "graph-tree", "1 relationship")
	s.want(s.get("/ws/acme/assets/map?focus="+dbase.ID.String()+"&depth=1", "viewer"), 200, "graph-node is-focus", "Around")
	s.want(s.get("/ws/acme/assets/map?criticality=low", "viewer"), 200, "No asset matches")

	s.want(s.get(dbase.page()+"/delete", "admin"), 200, "Retire it instead")
	s.want(s.post(dbase.page()+"/delete", "admin", nil), 409, "Retire it instead")
	s.want(s.get(dbase.page()+"/retire", "member"), 200, "Retire db-orders-01")
	s.want(s.post("/ws/acme/assets/retire", "member", url.Values{"id": {dbase.ID.String()}}), 303)
	s.want(s.get("/ws/acme/assets?view=retired", "viewer"), 200, "db-orders-01")
	s.want(s.get(dbase.page(), "member"), 200, "This asset is retired.", "Take back into use")
	s.want(s.post(dbase.page()+"/reinstate", "member", nil), 303)
}

// page is the page of the asset in the workspace of the tests.
func (a Asset) page() string { return "/ws/acme" + a.Path() }

func TestTheListFiltersSortsAndEdits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.add("alpha", func(n *NewAsset) {
		n.Criticality, n.Team, n.Tags, n.Owner = "critical", "pay", []string{"x"}, s.admin.Email
	})
	b := s.add("beta", func(n *NewAsset) { n.Environment = "dev" })
	has := func(query string, names ...string) {
		t.Helper()
		page := s.get("/ws/acme/assets?"+query, "viewer")
		s.want(page, 200)
		for _, x := range []Asset{a, b} {
			want := strings.Contains(strings.Join(names, " "), x.Name)
			if got := strings.Contains(page.body, x.ID.String()); got != want {
				t.Errorf("%s: %s listed %v, want %v", query, x.Name, got, want)
			}
		}
	}
	has("", "alpha", "beta")
	has("criticality=critical", "alpha")
	has("environment=dev", "beta")
	has("team=pay&tag=x", "alpha")
	has("owner=none", "beta")
	has("owner="+s.admin.UserID.String(), "alpha")
	has("q=bet", "beta")
	has("view=unowned", "beta")
	has("view=retired")
	has("sort=-criticality&q=zzz")
	s.want(s.get("/ws/acme/assets?q=zzz&team=pay", "viewer"), 200, "Remove the filter on team", "Clear the search")
	s.want(s.get("/ws/acme/assets?environment=moon", "viewer"), 422)
	s.want(s.get("/ws/acme/assets?view=moon", "viewer"), 422)
	csv := s.get("/ws/acme/assets?format=csv&environment=dev", "viewer")
	s.want(csv, 200, "beta,server,")
	if strings.Contains(csv.body, "alpha") {
		t.Error("the export ignores the filter")
	}
	s.want(s.post("/ws/acme/assets/bulk", "member", url.Values{"do": {"edit"}, "id": {a.ID.String(), b.ID.String()}}), 303)
	s.want(s.post("/ws/acme/assets/bulk", "member", url.Values{"do": {"edit"}}), 422)
	s.want(s.get("/ws/acme/assets/edit?id="+a.ID.String()+"&id="+b.ID.String(), "member"), 200, "Edit 2 assets")
	s.want(s.post("/ws/acme/assets/edit", "member", url.Values{"id": {a.ID.String()}}), 422, "Change at least one field.")
	s.want(s.post("/ws/acme/assets/edit", "member", url.Values{"id": {a.ID.String(), b.ID.String()}, "owner": {"none"}, "add_tags": {"new"}}), 303)
	has("tag=new&owner=none", "alpha", "beta")
	s.want(s.post("/ws/acme/assets/edit", "viewer", url.Values{"id": {a.ID.String()}}), 403)
}

func TestTheImportPageShowsEachLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.want(s.get("/ws/acme/assets/import", "member"), 200, "Check the list")
	s.want(s.post("/ws/acme/assets/import", "member", url.Values{"text": {"name,ci_type\nshop,service\nx,toaster"}}), 200, "1 row cannot be imported.", "Choose one of")
	s.want(s.post("/ws/acme/assets/import", "member", url.Values{"text": {"nothing"}}), 422, "The first line must be a header")
	s.want(s.post("/ws/acme/assets/import", "member", url.Values{"text": {"name,ci_type\nshop,service"}}), 200, "Add 1 asset")
	s.want(s.post("/ws/acme/assets/import", "member", url.Values{"text": {"name,ci_type\nshop,service"}, "step": {"confirm"}}), 303)
	s.want(s.get("/ws/acme/assets", "viewer"), 200, "shop")
}

func TestTheMapIsExportedAsAnSVGOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.relate(s.add("a & <b>", kind("service")), s.add("db", kind("database")))
	a := s.get("/ws/acme/assets/map?format=svg", "viewer")
	s.want(a, 200, "a &amp; &lt;b&gt;", "#ffffff")
	if a.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(a.Header.Get("Content-Disposition"), "assets.svg") {
		t.Errorf("%v", a.Header)
	}
	d := xml.NewDecoder(strings.NewReader(a.body))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheAPIOfAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.json("POST", "/assets", "member", `{"name":"Orders","ci_type":"service","owner":"`+s.admin.Email+`","tags":["a"],"custom_fields":{"Rack":"B7"}}`)
	s.want(made, 201, `"version":1`, `"owner":"`+s.admin.UserID.String()+`"`)
	var a struct{ ID uuid.UUID }
	if err := json.Unmarshal([]byte(made.body), &a); err != nil || !strings.HasSuffix(made.Header.Get("Location"), "/api/v1/assets/"+a.ID.String()) {
		t.Fatal(err, made.Header)
	}
	path := "/assets/" + a.ID.String()
	s.want(s.json("POST", "/assets", "member", `{"name":"","ci_type":"toaster"}`), 422, `"field":"name"`, `"field":"ci_type"`)
	s.want(s.json("POST", "/assets", "member", `{"name":"orders","ci_type":"service"}`), 409, `"asset_exists"`)
	s.want(s.json("POST", "/assets", "viewer", `{"name":"x"}`), 403)
	s.want(s.json("PATCH", path, "member", `{"criticality":"high","version":1}`), 200, `"criticality":"high"`, `"version":2`)
	s.want(s.json("PATCH", path, "member", `{"criticality":"low"}`, "If-Match", `"1"`), 409, `"version_conflict"`)
	dbase := s.add("db", kind("database"))
	edge := s.json("POST", "/asset-relationships", "member", `{"from":"`+a.ID.String()+`","to":"`+dbase.ID.String()+`","exclusive":true}`)
	s.want(edge, 201, `"type":"depends_on"`)
	s.want(s.json("POST", "/asset-relationships", "member", `{"from":"`+a.ID.String()+`","to":"`+a.ID.String()+`"}`), 422, `"self_relationship"`)
	s.want(s.json("POST", "/asset-relationships", "member", `{"from":"`+a.ID.String()+`","to":"`+dbase.ID.String()+`"}`), 409, `"relationship_exists"`)
	s.want(s.json("GET", "/assets/"+dbase.ID.String()+"/impact?depth=2", "viewer", ""), 200, `"downstream":[{"id":"`+a.ID.String(), `"depth":1`, `"exclusive":true`, `"upstream":[]`)
	s.want(s.json("GET", "/assets/"+dbase.ID.String()+"/impact?depth=7", "viewer", ""), 422)
	s.want(s.json("GET", path+"/relationships", "viewer", ""), 200, `"to":"`+dbase.ID.String())
	s.want(s.json("DELETE", path, "admin", ""), 409, `"asset_referenced"`, "1 relationship")
	s.want(s.json("GET", "/assets?criticality=high&limit=1", "viewer", ""), 200, `"name":"Orders"`, `"next_cursor":null`)
	s.want(s.json("GET", "/assets?colour=red", "viewer", ""), 422, "unknown_parameter")
	var e struct{ ID uuid.UUID }
	if err := json.Unmarshal([]byte(edge.body), &e); err != nil {
		t.Fatal(err)
	}
	s.want(s.json("DELETE", "/asset-relationships/"+e.ID.String(), "member", ""), 204)
	s.want(s.json("DELETE", "/asset-relationships/"+e.ID.String(), "member", ""), 404)
	s.want(s.json("PATCH", path, "member", `{"lifecycle":"retired"}`), 200, `"lifecycle":"retired"`, `"retired_at":"2026`)
	s.want(s.json("DELETE", path, "member", ""), 403)
	s.want(s.json("DELETE", path, "admin", ""), 204)
	s.want(s.json("GET", path, "viewer", ""), 404)
	s.want(s.json("GET", "/assets/"+uuid.NewString()+"/impact", "viewer", ""), 404)
	s.want(s.do("POST", "/ws/acme/api/v1/assets/import?dry_run=true", "member", "text/csv", "name,ci_type\nx,vm\ny,toaster"), 200, `"created":1`, `"wrong":1`, `"line":3`)
	s.want(s.do("POST", "/ws/acme/api/v1/assets/import", "member", "text/csv", "name,ci_type\nx,vm\ny,toaster"), 422, "line 3: ci_type")
	s.want(s.do("POST", "/ws/acme/api/v1/assets/import", "member", "text/csv", "name,ci_type\nx,vm"), 200, `"created":1`)
	s.want(s.json("GET", "/assets/export.csv?ci_type=vm", "viewer", ""), 200, "x,vm,")
}
