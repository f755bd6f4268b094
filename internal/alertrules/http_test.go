package alertrules

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// people signs in by the name of a role; everybody else does not belong to acme.
type people struct{ b *bench }

func (p people) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := map[string]db.Actor{"admin": p.b.admin, "member": p.b.member, "viewer": p.b.viewer, "stranger": p.b.stranger}[token]
	if !ok {
		return web.Principal{}, false, nil
	}
	out := web.Principal{Kind: db.ActorUser, ID: a.UserID, User: web.User{ID: a.UserID, Name: a.Name, TimeZone: "Europe/Oslo"}, Role: access.Role(a.Role)}
	switch {
	case slug == "acme" && token != "stranger":
		out.Workspace = &web.Workspace{ID: p.b.ws, Slug: "acme", Name: "Acme"}
	case slug == "globex" && token == "stranger":
		out.Workspace = &web.Workspace{ID: p.b.other, Slug: "globex", Name: "Globex"}
	}
	return out, true, nil
}

func (p people) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return p.Session(ctx, token, slug)
}

type site struct {
	*bench
	srv *httptest.Server
}

func serve(t *testing.T) site {
	t.Helper()
	b := setUp(t)
	if err := b.policy.Add(access.Grant{Permission: web.LivePermission, Min: access.Viewer}); err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Options{DB: b.DB.DB, Policy: b.policy, Auth: people{b}, Clock: b.clk, Log: slog.New(slog.DiscardHandler), BaseURL: base})
	m := b.svc.Module()
	s.SetNav(m.Nav)
	m.Routes(s.Module(m.Name))
	m.API(api.New(s, b.DB.DB, dbtest.Keyring(t), "test").Module(m.Name))
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return site{b, srv}
}

// ask sends a request as somebody and returns status, place and body.
func (s site) ask(t *testing.T, who, method, path, body string) (int, string, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(path, "/api/") {
		req.Header.Set("Authorization", "Bearer "+who)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
	} else {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: who})
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
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
	return res.StatusCode, res.Header.Get("Location"), string(raw)
}

var forbiddenMarkup = regexp.MustCompile(`<[^>]*\s(style|on[a-z]+)=|<script>|javascript:`)

// page asks for a page that must be there and obey the policy.
func (s site) page(t *testing.T, who, path string) string {
	t.Helper()
	code, _, body := s.ask(t, who, http.MethodGet, path, "")
	if code != http.StatusOK {
		t.Fatalf("%s asks for %s: %d %s", who, path, code, body)
	}
	if bad := forbiddenMarkup.FindString(body); bad != "" {
		t.Errorf("%s contains %s", path, bad)
	}
	if n := strings.Count(body, "<h1"); n != 1 {
		t.Errorf("%s has %d headings of the first level", path, n)
	}
	return body
}

func (s site) contains(t *testing.T, body string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(body, w) {
			t.Errorf("no %q in page", w)
		}
	}
}

func TestPagesOfRules(t *testing.T) {
	t.Parallel()
	s := serve(t)
	hook := uuid.New()
	s.out.endpoints = []Endpoint{{ID: hook, Name: "https://hooks.example.com/a", Enabled: true}}
	s.out.answers[hook] = WebhookAnswer{Status: 503}
	shop := s.host("shop.example.com", 5)
	s.contains(t, s.page(t, "admin", "/ws/acme/alert-rules?scope=certificate"), "No alert rule", "/ws/acme/alert-rules/new")
	s.contains(t, s.page(t, "admin", "/ws/acme/alert-rules/new"), "Expiring soon", "https://hooks.example.com/a", `value="1440"`)
	s.contains(t, s.page(t, "admin", "/ws/acme/alert-rules/new?host="+shop.ID.String()), "shop.example.com:443")

	f := url.Values{
		"name": {"<b>Shop</b>"}, "trigger": {"expiring_soon"}, "threshold_days": {"ten"}, "severity": {"high"}, "target": {"hosts"},
		"target_host_ids": {"nowhere.example.com"}, "emails": {"vera.viewer@example.test\nTeam@example.com"}, "cooldown_minutes": {"60"},
		"notify_admins": {"on"}, "webhook_ids": {hook.String()}, "enabled": {"on"},
	}
	code, _, body := s.ask(t, "admin", http.MethodPost, "/ws/acme/alert-rules/new", f.Encode())
	if code != http.StatusUnprocessableEntity {
		t.Fatalf("wrong form: %d", code)
	}
	s.contains(t, body, "Use a whole number, such as 30.", "No host is named nowhere.example.com", "&lt;b&gt;Shop&lt;/b&gt;", `value="ten"`, "Team@example.com")
	f.Set("threshold_days", "10")
	f.Set("target_host_ids", "Shop.example.com")
	code, place, _ := s.ask(t, "admin", http.MethodPost, "/ws/acme/alert-rules/new", f.Encode())
	if code != http.StatusSeeOther {
		t.Fatalf("good form: %d", code)
	}
	s.contains(t, s.page(t, "viewer", place), "Expires within 10 days", "Vera Viewer", "team@example.com", "shop.example.com:443", "1 hour", "Admins and owners")
	list := s.page(t, "viewer", "/ws/acme/alert-rules")
	s.contains(t, list, "&lt;b&gt;Shop&lt;/b&gt;", "1 host", "Admins and owners, 1 member, 1 address, 1 webhook")
	if strings.Contains(list, "/disable") {
		t.Error("a viewer is offered to switch rules off")
	}
	rule, err := uuid.Parse(place[strings.LastIndex(place, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.svc.Rule(context.Background(), s.admin, rule)
	if err != nil || cmp.Diff([]uuid.UUID{s.memberID(t, s.viewer)}, r.MemberIDs) != "" || cmp.Diff([]string{"team@example.com"}, r.Emails) != "" {
		t.Errorf("%+v, %v", r, err)
	}
	s.contains(t, s.page(t, "admin", place+"/edit"), "vera.viewer@example.test\nteam@example.com", `value="10"`)
	s.contains(t, s.page(t, "admin", "/ws/acme/alert-rules/new?from="+rule.String()), "Copy of &lt;b&gt;Shop")

	f.Set("version", "1")
	f.Set("name", "Shop")
	if code, _, _ := s.ask(t, "admin", http.MethodPost, place+"/edit", f.Encode()); code != http.StatusSeeOther {
		t.Errorf("edit: %d", code)
	}
	f.Set("name", "Shop again")
	code, _, body = s.ask(t, "admin", http.MethodPost, place+"/edit", f.Encode())
	if code != http.StatusConflict || !strings.Contains(body, "Shop again") {
		t.Errorf("an old version was saved over: %d", code)
	}
	if code, _, _ := s.ask(t, "admin", http.MethodPost, place+"/disable", ""); code != http.StatusSeeOther {
		t.Errorf("disable: %d", code)
	}
	s.contains(t, s.page(t, "admin", place), "This rule is off.", place+"/enable")
	s.contains(t, s.page(t, "admin", place+"/test"), "Who gets it", "https://hooks.example.com/a")
	code, _, body = s.ask(t, "admin", http.MethodPost, place+"/test", "")
	if code != http.StatusOK {
		t.Fatalf("test: %d", code)
	}
	s.contains(t, body, "What each recipient got", "Answered 503", "Failed", "The mail is queued.", "Vera Viewer")
	s.contains(t, s.page(t, "admin", place+"/delete"), "Delete this alert rule?", "Its alerts stay in the list.")
	if code, _, _ := s.ask(t, "admin", http.MethodPost, place+"/delete", "version=1"); code != http.StatusConflict {
		t.Errorf("delete of an old version: %d", code)
	}
	if code, to, _ := s.ask(t, "admin", http.MethodPost, place+"/delete", "version=3"); code != http.StatusSeeOther || to != "/ws/acme/alert-rules" {
		t.Errorf("delete: %d %s", code, to)
	}
}

func TestPagesOfAlerts(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.contains(t, s.page(t, "viewer", "/ws/acme/alerts"), "Nothing fires")
	s.rule(t, "soon", nil)
	r := s.rule(t, "=cmd", func(r *Rule) { r.ThresholdDays, r.Severity = 7, "critical" })
	shop, blog := s.host("shop.example.com", 5), s.host("blog.example.com", 20)
	s.look(t, shop, blog)
	list := s.page(t, "member", "/ws/acme/alerts")
	s.contains(t, list, "shop.example.com:443", "blog.example.com:443", "3 alerts", "Acknowledge", "1 not acknowledged")
	if strings.Contains(s.page(t, "viewer", "/ws/acme/alerts"), "/alerts/acknowledge") {
		t.Error("a viewer is offered to acknowledge")
	}
	for query, want := range map[string]int{
		"?severity=critical": 1, "?rule=" + r.ID.String(): 1, "?host=" + shop.ID.String(): 2, "?q=SHOP": 2, "?q=hop": 0, "?state=resolved": 0,
		"?state=all": 3, "?acknowledged=yes": 0, "?acknowledged=no": 3, "?severity=nonsense&rule=x": 3, "?sort=host": 3, "?sort=-host": 3,
	} {
		body := s.page(t, "viewer", "/ws/acme/alerts"+query)
		if n := strings.Count(body, `class="row-link"`); n != want {
			t.Errorf("%s: %d rows, want %d", query, n, want)
		}
	}
	s.contains(t, s.page(t, "viewer", "/ws/acme/alerts?q=hop"), "Remove the text “hop” to see more.")
	code, _, body := s.ask(t, "viewer", http.MethodGet, "/ws/acme/alerts?format=csv&sort=host&rule="+r.ID.String(), "")
	if code != http.StatusOK || !strings.Contains(body, "shop.example.com:443,'=cmd,expiring_soon,critical,firing,") || strings.Count(body, "\n") != 2 {
		t.Errorf("csv %d: %s", code, body)
	}
	var ids []string
	rows, err := s.Admin(t).Query(context.Background(), `SELECT id::text FROM alerts ORDER BY host_title, rule_name`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	one := "/ws/acme/alerts/" + ids[0]
	s.contains(t, s.page(t, "member", one), "The alert fired.", "Its recipients were told.", one+"/acknowledge", shop.Path[:14])
	if code, to, _ := s.ask(t, "member", http.MethodPost, one+"/acknowledge", ""); code != http.StatusSeeOther || to != one {
		t.Errorf("acknowledge: %d %s", code, to)
	}
	s.contains(t, s.page(t, "viewer", one), "by Mara Member", "Acknowledged")
	f := url.Values{"id": ids, "return_to": {"/ws/acme/alerts?acknowledged=no"}}
	if code, to, _ := s.ask(t, "member", http.MethodPost, "/ws/acme/alerts/acknowledge", f.Encode()); code != http.StatusSeeOther || to != "/ws/acme/alerts?acknowledged=no" {
		t.Errorf("bulk: %d %s", code, to)
	}
	f.Set("return_to", "//evil.test")
	if _, to, _ := s.ask(t, "member", http.MethodPost, "/ws/acme/alerts/acknowledge", f.Encode()); to != "/ws/acme/alerts" {
		t.Errorf("went to %s", to)
	}
	if n := s.events(t, eventAcknowledged); n != 3 {
		t.Errorf("%d acknowledged", n)
	}
	s.inv.remove(s.ws, shop.ID)
	s.happen(t, "host.removed", shop)
	s.contains(t, s.page(t, "viewer", "/ws/acme/alerts?state=resolved"), "Resolved", "ended")
}

func TestRoutesAskForRights(t *testing.T) {
	t.Parallel()
	s := serve(t)
	r := s.rule(t, "soon", nil)
	s.look(t, s.host("shop.example.com", 5))
	rule, alert := "/alert-rules/"+r.ID.String(), "/alerts/"
	var id string
	if err := s.Admin(t).QueryRow(context.Background(), `SELECT id::text FROM alerts`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	alert += id
	silence := "/alert-silences/" + s.silence(t, 4, nil).ID.String()
	get, post := http.MethodGet, http.MethodPost
	routes := []struct {
		method, path string
		min          access.Role
	}{
		{get, "/alerts", access.Viewer},
		{get, alert, access.Viewer},
		{post, alert + "/acknowledge", access.Member},
		{post, "/alerts/acknowledge", access.Member},
		{get, "/alert-silences", access.Viewer},
		{get, silence, access.Viewer},
		{get, "/alert-silences/new", access.Member},
		{post, "/alert-silences/new", access.Member},
		{get, silence + "/edit", access.Member},
		{post, silence + "/edit", access.Member},
		{post, silence + "/end", access.Member},
		{get, "/api/v1/alert-silences", access.Viewer},
		{get, "/api/v1" + silence, access.Viewer},
		{post, "/api/v1/alert-silences", access.Member},
		{http.MethodPatch, "/api/v1" + silence, access.Member},
		{post, "/api/v1" + silence + "/end", access.Member},
		{get, "/alert-rules", access.Viewer},
		{get, rule, access.Viewer},
		{get, "/alert-rules/new", access.Admin},
		{post, "/alert-rules/new", access.Admin},
		{get, rule + "/edit", access.Admin},
		{post, rule + "/edit", access.Admin},
		{post, rule + "/enable", access.Admin},
		{post, rule + "/disable", access.Admin},
		{get, rule + "/test", access.Admin},
		{post, rule + "/test", access.Admin},
		{get, rule + "/delete", access.Admin},
		{post, rule + "/delete", access.Admin},
		{get, "/api/v1/alert-rules", access.Viewer},
		{get, "/api/v1" + rule, access.Viewer},
		{post, "/api/v1/alert-rules", access.Admin},
		{http.MethodPatch, "/api/v1" + rule, access.Admin},
		{http.MethodDelete, "/api/v1" + rule, access.Admin},
		{post, "/api/v1" + rule + "/test", access.Admin},
		{get, "/api/v1/alerts", access.Viewer},
		{post, "/api/v1" + alert + "/acknowledge", access.Member},
	}
	for _, route := range routes {
		body := ""
		if strings.HasPrefix(route.path, "/api") && route.method != get {
			body = "{}"
		}
		for _, role := range []access.Role{access.Viewer, access.Member} {
			if role.Rank() >= route.min.Rank() {
				continue
			}
			if code, _, _ := s.ask(t, string(role), route.method, "/ws/acme"+route.path, body); code != http.StatusForbidden {
				t.Errorf("%s %s by a %s: %d", route.method, route.path, role, code)
			}
		}
		if code, _, _ := s.ask(t, "stranger", route.method, "/ws/acme"+route.path, body); code != http.StatusNotFound {
			t.Errorf("%s %s by a stranger: %d", route.method, route.path, code)
		}
		// The ids of acme lead nowhere in globex, whose owner may do everything there.
		if strings.Contains(route.path, r.ID.String()) || strings.Contains(route.path, id) || strings.Contains(route.path, silence) {
			if code, _, text := s.ask(t, "stranger", route.method, "/ws/globex"+route.path, body); code != http.StatusNotFound {
				t.Errorf("%s %s in another workspace: %d %s", route.method, route.path, code, text)
			}
		}
	}
	if got := s.alerts(t); len(got) != 1 || s.events(t, eventRuleUpdated)+s.events(t, eventRuleDeleted)+s.events(t, eventAcknowledged) != 0 {
		t.Errorf("something was changed: %v", got)
	}
}

func TestTheAPI(t *testing.T) {
	t.Parallel()
	s := serve(t)
	call := func(who, method, path, body string) (int, map[string]any) {
		code, _, text := s.ask(t, who, method, "/ws/acme/api/v1"+path, body)
		out := map[string]any{}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &out); err != nil {
				t.Fatalf("%s %s: %v in %s", method, path, err, text)
			}
		}
		return code, out
	}
	code, rule := call("admin", http.MethodPost, "/alert-rules", `{"name":"API rule","trigger":"expiring_soon","threshold_days":10,"emails":["a@example.com"]}`)
	if code != http.StatusCreated || rule["threshold_days"] != 10.0 || rule["notify_admins"] != false || rule["cooldown_minutes"] != 1440.0 || rule["scope"] != "certificate" {
		t.Fatalf("%d %v", code, rule)
	}
	id, _ := rule["id"].(string)
	for body, want := range map[string]string{
		`{"trigger":"grade_below"}`:                       "trigger",
		`{"name":"x","scope":"monitoring"}`:               "scope",
		`{"name":"x","threshold_days":0}`:                 "threshold_days",
		`{"name":"x","nonsense":1}`:                       "nonsense",
		`{"name":"x","target":"hosts"}`:                   "target_host_ids",
		`{"name":"x","member_ids":["` + id + `"]}`:        "member_ids",
		`{"name":"x","target_host_ids":["not an id"]}`:    "target_host_ids",
		`{"name":"API rule"}`:                             "name",
		`{"name":"x","severity":"info","emails":["nix"]}`: "emails",
	} {
		code, answer := call("admin", http.MethodPost, "/alert-rules", body)
		raw, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if code != http.StatusUnprocessableEntity || !strings.Contains(string(raw), `"field":"`+want) {
			t.Errorf("%s: %d %s", body, code, raw)
		}
	}
	code, rule = call("admin", http.MethodPatch, "/alert-rules/"+id, `{"severity":"critical","version":1}`)
	if code != http.StatusOK || rule["severity"] != "critical" || rule["version"] != 2.0 || rule["name"] != "API rule" {
		t.Errorf("patch: %d %v", code, rule)
	}
	if code, answer := call("admin", http.MethodPatch, "/alert-rules/"+id, `{"severity":"low","version":1}`); code != http.StatusConflict {
		t.Errorf("old version: %d %v", code, answer)
	}
	if code, list := call("viewer", http.MethodGet, "/alert-rules?trigger=expiring_soon&enabled=true&sort=-created_at", ""); code != http.StatusOK || len(list["items"].([]any)) != 1 {
		t.Errorf("list: %d %v", code, list)
	}
	if code, got := call("viewer", http.MethodGet, "/alert-rules/"+id, ""); code != http.StatusOK || got["id"] != id {
		t.Errorf("get: %d %v", code, got)
	}
	if code, got := call("viewer", http.MethodGet, "/alert-rules/not-an-id", ""); code != http.StatusNotFound {
		t.Errorf("get: %d %v", code, got)
	}
	if code, got := call("viewer", http.MethodGet, "/alerts?color=red", ""); code != http.StatusUnprocessableEntity {
		t.Errorf("unknown parameter: %d %v", code, got)
	}
	s.look(t, s.host("shop.example.com", 5))
	code, list := call("viewer", http.MethodGet, "/alerts?state=firing&severity=critical&rule_id="+id+"&acknowledged=false&q=shop&limit=1", "")
	items, _ := list["items"].([]any)
	if code != http.StatusOK || len(items) != 1 {
		t.Fatalf("alerts: %d %v", code, list)
	}
	alert, _ := items[0].(map[string]any)
	if alert["host"] != "shop.example.com:443" || alert["state"] != "firing" || alert["acknowledged_by"] != nil {
		t.Errorf("alert %v", alert)
	}
	code, alert = call("member", http.MethodPost, "/alerts/"+alert["id"].(string)+"/acknowledge", "")
	if code != http.StatusOK || alert["acknowledged_by"] != s.member.UserID.String() {
		t.Errorf("acknowledge: %d %v", code, alert)
	}
	code, results := call("admin", http.MethodPost, "/alert-rules/"+id+"/test", "")
	if rows, _ := results["results"].([]any); code != http.StatusOK || len(rows) != 1 {
		t.Errorf("test: %d %v", code, results)
	}
	if code, got := call("admin", http.MethodDelete, "/alert-rules/"+id, ""); code != http.StatusNoContent {
		t.Errorf("delete: %d %v", code, got)
	}
}
