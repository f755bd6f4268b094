package integrations

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ratelimit"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// people knows each actor by their first name.
type people map[string]db.Actor

func (p people) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := p[token]
	if !ok {
		return web.Principal{}, false, nil
	}
	out := web.Principal{
		Kind: db.ActorUser, ID: a.ID, Role: access.Role(a.Role), AuthMethod: "dev",
		User: web.User{ID: a.UserID, Name: a.Name, Email: a.Email, TimeZone: "Europe/Oslo", Shortcuts: true},
	}
	if (slug == "globex") == (token == "stan") {
		out.Workspace = &web.Workspace{ID: a.WorkspaceID, Slug: slug, Name: slug}
	}
	return out, true, nil
}

func (p people) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return p.Session(ctx, token, slug)
}

// site is the module behind a real server.
type site struct {
	*bench
	*httptest.Server
}

func newSite(t *testing.T, change ...func(*Deps)) site {
	t.Helper()
	b := setUp(t, change...)
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Options{
		Policy: b.policy, Clock: clock.System(), Log: b.svc.log, BaseURL: base,
		Auth: people{"ada": b.admin, "mia": b.member, "vera": b.Member(t, b.ws, "Vera Viewer", "viewer"), "stan": b.strang},
	})
	m := b.svc.Module()
	s.SetNav(m.Nav)
	m.Routes(s.Module(m.Name))
	m.API(api.New(s, b.DB.DB, dbtest.Keyring(t), "test").Module(m.Name))
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return site{bench: b, Server: srv}
}

func (s site) do(t *testing.T, who, method, path, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(path, "/api/") {
		req.Header.Set("Authorization", "Bearer "+who)
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: who})
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
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

// expect asks and checks status and a part of the answer.
func (s site) expect(t *testing.T, who, method, path, body string, code int, want string) string {
	t.Helper()
	res, text := s.do(t, who, method, path, body)
	if res.StatusCode != code || !strings.Contains(text+res.Header.Get("Location"), want) {
		t.Errorf("%s %s as %s: %d, want %d with %q:\n%s", method, path, who, res.StatusCode, code, want, text)
	}
	return text
}

var secretPattern = regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`)

func TestAnAdminGoesThroughThePages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	receiver := newSink(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n > 1 {
			w.WriteHeader(http.StatusGone)
		}
		_, _ = io.WriteString(w, "<script>hello</script>")
	})
	s.expect(t, "ada", "GET", "/ws/acme/integrations", "", 200, "No webhook yet")
	s.expect(t, "ada", "GET", "/ws/acme/integrations/webhooks/new", "", 200, `value="thing.*"`)
	refused := s.expect(t, "ada", "POST", "/ws/acme/integrations/webhooks/new", "url=&description=Deploy+bot&pattern=thing.made", 422, "An address is needed.")
	if !strings.Contains(refused, "Deploy bot") || !regexp.MustCompile(`value="thing.made"[^>]*checked|checked[^>]*value="thing.made"`).MatchString(refused) {
		t.Errorf("what was typed is lost: %s", refused)
	}
	form := url.Values{"url": {receiver.URL}, "description": {"Deploy bot"}, "pattern": {"thing.made"}}.Encode()
	page := s.expect(t, "ada", "POST", "/ws/acme/integrations/webhooks/new", form, 201, "Copy the secret now.")
	secret := secretPattern.FindString(page)
	if secret == "" {
		t.Fatal("no secret is shown")
	}
	var id uuid.UUID
	if err := s.Admin(t).QueryRow(context.Background(), `SELECT id FROM webhook_endpoints`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	at := "/ws/acme/integrations/webhooks/" + id.String()
	s.expect(t, "ada", "GET", "/ws/acme/integrations", "", 200, "Deploy bot")
	s.expect(t, "ada", "GET", "/ws/acme/integrations?q=nobody", "", 200, "No webhook matches")
	s.expect(t, "ada", "GET", "/ws/acme/integrations?state=disabled", "", 200, "No webhook matches")
	s.expect(t, "ada", "GET", "/ws/acme/integrations?sort=-url&format=csv", "", 200, "Deploy bot")
	s.expect(t, "ada", "GET", at, "", 200, "Nothing was sent yet")
	tested := s.expect(t, "ada", "POST", at+"/test", "", 200, "The test event was accepted.")
	if strings.Contains(tested, "<script>hello") || !strings.Contains(tested, "&lt;script&gt;hello") {
		t.Error("the answer of the receiver is not shown as text")
	}
	s.expect(t, "ada", "GET", at+"/edit", "", 200, "Save")
	s.expect(t, "ada", "POST", at+"/edit", "url="+url.QueryEscape(receiver.URL)+"&description=Bot&pattern=thing.*&version=9", 409, "Somebody else changed this webhook")
	s.expect(t, "ada", "POST", at+"/edit", "url="+url.QueryEscape(receiver.URL)+"&description=Bot&pattern=thing.*&version=1", 303, at)
	s.expect(t, "ada", "POST", at+"/disable", "", 303, at)
	s.expect(t, "ada", "GET", at, "", 200, "This webhook is disabled.")
	s.expect(t, "ada", "POST", at+"/enable", "", 303, at)
	s.expect(t, "ada", "GET", at+"/rotate", "", 200, "24 hours")
	rotated := secretPattern.FindString(s.expect(t, "ada", "POST", at+"/rotate", "", 200, "the previous secret signs, too"))
	if rotated == "" || rotated == secret {
		t.Error("no new secret is shown")
	}

	s.work(t, nil)
	s.happen(t, "thing.made")
	wait(t, "it failed and is disabled", func() bool {
		return s.inState(t, Failed) == 1 && s.count(t, `SELECT count(*) FROM webhook_endpoints WHERE NOT enabled`) == 1
	})
	delivery := at + "/deliveries/" + s.delivery(t).String()
	s.expect(t, "ada", "GET", at+"?state=failed", "", 200, "thing.made")
	s.expect(t, "ada", "GET", at+"?state=delivered", "", 200, "No delivery matches")
	s.expect(t, "ada", "GET", at+"?format=csv", "", 200, "thing.made,failed,1,410,status")
	s.expect(t, "ada", "GET", at, "", 200, "It answered 410 Gone")
	detail := s.expect(t, "ada", "GET", delivery, "", 200, "Vigilo has given up on this delivery.")
	for _, want := range []string{"webhook-signature", "v1,", "410 Gone", "&#34;size&#34;: 3", "webhook-id"} {
		if !strings.Contains(detail, want) {
			t.Errorf("the page of a delivery lacks %q", want)
		}
	}
	s.expect(t, "ada", "POST", delivery+"/replay", "", 409, "disabled")
	s.expect(t, "ada", "POST", at+"/enable", "", 303, at)
	s.expect(t, "ada", "GET", at+"/replay", "", 200, "Created since")
	s.expect(t, "ada", "POST", at+"/replay", "since=soon", 422, "Use a date and a time")
	s.expect(t, "ada", "POST", at+"/replay", "since=2020-01-01T00:00", 303, at)
	wait(t, "it was tried again", func() bool { return s.count(t, `SELECT count(*) FROM webhook_attempts`) == 2 })
	s.expect(t, "ada", "GET", at+"/delete", "", 200, "Delete Bot?")

	// No page shows a secret again.
	for _, path := range []string{"/ws/acme/integrations", at, at + "/edit", at + "/rotate", at + "/delete", delivery, "/ws/acme/integrations?format=csv"} {
		if _, text := s.do(t, "ada", "GET", path, ""); strings.Contains(text, "whsec_") {
			t.Errorf("%s shows a secret", path)
		}
	}
	if text := s.log.String(); strings.Contains(text, secret) || strings.Contains(text, rotated) {
		t.Error("the log holds a secret")
	}
	s.expect(t, "ada", "POST", at+"/delete", "", 303, "/ws/acme/integrations")
	s.expect(t, "ada", "GET", at, "", 404, "does not exist")
}

func TestNetworksAreSetOnTheirPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.expect(t, "ada", "GET", "/ws/acme/integrations/networks", "", 200, "Ranges")
	s.expect(t, "ada", "POST", "/ws/acme/integrations/networks", "networks=169.254.169.254&version=0", 422, "does not permit")
	s.expect(t, "ada", "POST", "/ws/acme/integrations/networks", "networks=10.0.0.0%2F8&version=0", 303, "/integrations/networks")
	s.expect(t, "ada", "GET", "/ws/acme/integrations/networks", "", 200, "10.0.0.0/8")
	s.expect(t, "ada", "POST", "/ws/acme/integrations/networks", "networks=&version=0", 409, "Somebody changed this")
}

func TestTheCatalogueIsOpenToEveryMember(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := s.expect(t, "vera", "GET", "/ws/acme/integrations/events", "", 200, "thing.made")
	if !strings.Contains(text, "kept in the audit log, not sent") || strings.Contains(text, "/integrations/networks") {
		t.Error("the catalogue hides what is not sent, or links to what a viewer may not open")
	}
	if text := s.expect(t, "vera", "GET", "/ws/acme/integrations/events?q=BROKEN", "", 200, "thing.broken"); strings.Contains(text, "thing.made") {
		t.Error("the filter finds too much")
	}
	s.expect(t, "vera", "GET", "/ws/acme/integrations/events?q=zzz", "", 200, "No event matches")
}

func TestOnlyAdminsOfTheWorkspaceManageWebhooks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	e, _ := s.add(t, somewhere, "*")
	if err := s.svc.fanOut(context.Background(), event.Event{ID: uuid.New(), WorkspaceID: s.ws, Name: "thing.made", Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	at := "/integrations/webhooks/" + e.ID.String()
	delivery := "/deliveries/" + s.delivery(t).String()
	for _, c := range []struct{ method, path string }{
		{"GET", "/integrations"},
		{"GET", "/integrations/networks"},
		{"POST", "/integrations/networks"},
		{"GET", "/integrations/webhooks/new"},
		{"POST", "/integrations/webhooks/new"},
		{"GET", at},
		{"GET", at + "/edit"},
		{"POST", at + "/edit"},
		{"POST", at + "/enable"},
		{"POST", at + "/disable"},
		{"POST", at + "/test"},
		{"GET", at + "/rotate"},
		{"POST", at + "/rotate"},
		{"GET", at + "/delete"},
		{"POST", at + "/delete"},
		{"GET", at + "/replay"},
		{"POST", at + "/replay"},
		{"GET", at + delivery},
		{"POST", at + delivery + "/replay"},
		{"GET", "/api/v1/webhooks"},
		{"GET", "/api/v1/webhooks/" + e.ID.String()},
		{"PATCH", "/api/v1/webhooks/" + e.ID.String()},
		{"DELETE", "/api/v1/webhooks/" + e.ID.String()},
		{"POST", "/api/v1/webhooks/" + e.ID.String() + "/rotate-secret"},
		{"POST", "/api/v1/webhooks/" + e.ID.String() + "/test"},
		{"GET", "/api/v1/webhooks/" + e.ID.String() + "/deliveries"},
		{"POST", "/api/v1" + delivery + "/replay"},
	} {
		body := ""
		if strings.Contains(c.path, "/api/") && c.method == "PATCH" {
			body = "{}"
		}
		for _, who := range []string{"mia", "vera"} {
			s.expect(t, who, c.method, "/ws/acme"+c.path, body, 403, "")
		}
		if strings.Contains(c.path, e.ID.String()) || strings.Contains(c.path, delivery) {
			// Of another workspace, under one's own and under the other's name.
			s.expect(t, "stan", c.method, "/ws/globex"+c.path, body, 404, "")
		}
		s.expect(t, "stan", c.method, "/ws/acme"+c.path, body, 404, "")
	}
	if after, err := s.svc.Endpoint(context.Background(), s.admin, e.ID); err != nil || after.Version != 1 {
		t.Errorf("something changed: %+v, %v", after, err)
	}
}

func TestTheAPIManagesWebhooks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	receiver := newSink(t, nil)
	const base = "/ws/acme/api/v1"
	read := func(text string) map[string]any {
		t.Helper()
		out := map[string]any{}
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return out
	}
	s.expect(t, "ada", "GET", base+"/webhooks", "", 200, `"items":[]`)
	s.expect(t, "ada", "POST", base+"/webhooks", `{"url":"x","patterns":["thing.lost"]}`, 422, `"field":"patterns"`)
	s.expect(t, "ada", "POST", base+"/webhooks", `{"url":"https://example.com","patterns":["*"],"colour":1}`, 422, `"unknown_field"`)
	made := read(s.expect(t, "ada", "POST", base+"/webhooks", `{"url":"`+receiver.URL+`","patterns":["thing.*"]}`, 201, base+"/webhooks/"))
	at := base + "/webhooks/" + made["id"].(string)
	secret, _ := made["secret"].(string)
	if !secretPattern.MatchString(secret) || made["enabled"] != true {
		t.Errorf("created %v", made)
	}
	for _, path := range []string{base + "/webhooks", at} {
		if text := s.expect(t, "ada", "GET", path, "", 200, `"thing.*"`); strings.Contains(text, "whsec_") {
			t.Errorf("%s answers the secret again: %s", path, text)
		}
	}
	s.expect(t, "ada", "PATCH", at, `{"description":"Bot","version":7}`, 409, `"version_conflict"`)
	s.expect(t, "ada", "PATCH", at, `{"description":"Bot","version":1}`, 200, `"version":2`)
	s.expect(t, "ada", "PATCH", at, `{"enabled":false}`, 200, `"disabled_reason":"manual"`)
	s.expect(t, "ada", "GET", base+"/webhooks?state=disabled", "", 200, `"Bot"`)
	s.expect(t, "ada", "GET", base+"/webhooks?sort=colour", "", 422, `"field":"sort"`)
	s.expect(t, "ada", "GET", base+"/webhooks?colour=1", "", 422, `"unknown_parameter"`)
	s.expect(t, "ada", "PATCH", at, `{"enabled":true}`, 200, `"disabled_reason":null`)
	rotated := read(s.expect(t, "ada", "POST", at+"/rotate-secret", "", 200, `"previous_secret_until"`))
	if rotated["secret"] == secret || !secretPattern.MatchString(rotated["secret"].(string)) {
		t.Error("the secret was not rotated")
	}
	s.expect(t, "ada", "POST", at+"/test", "", 200, `"accepted":true`)

	s.work(t, nil)
	s.happen(t, "thing.made")
	wait(t, "one is delivered", func() bool { return s.inState(t, Delivered) == 1 })
	s.happen(t, "thing.broken")
	wait(t, "both are delivered", func() bool { return s.inState(t, Delivered) == 2 })
	first := read(s.expect(t, "ada", "GET", at+"/deliveries?limit=1", "", 200, `"event":"thing.broken"`))
	second := read(s.expect(t, "ada", "GET", at+"/deliveries?limit=1&cursor="+first["next_cursor"].(string), "", 200, `"event":"thing.made"`))
	if second["next_cursor"] != nil {
		t.Error("the last page has a next one")
	}
	s.expect(t, "ada", "GET", at+"/deliveries?state=failed", "", 200, `"items":[]`)
	one := second["items"].([]any)[0].(map[string]any)
	s.expect(t, "ada", "POST", base+"/deliveries/"+one["id"].(string)+"/replay", "", 202, `"state":"pending"`)
	wait(t, "it is delivered again", func() bool {
		return s.count(t, `SELECT count(*) FROM webhook_deliveries WHERE attempts = 2 AND state = 'delivered'`) == 1
	})
	s.expect(t, "ada", "POST", base+"/deliveries/"+uuid.NewString()+"/replay", "", 404, `"not_found"`)
	s.expect(t, "ada", "POST", base+"/deliveries/x/replay", "", 404, `"not_found"`)
	s.expect(t, "ada", "DELETE", at, "", 204, "")
	s.expect(t, "ada", "GET", at+"/deliveries", "", 404, `"not_found"`)
	if strings.Contains(s.log.String(), secret) {
		t.Error("the log holds the secret")
	}
}

func TestTestEventsAreLimitedPerPerson(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(d *Deps) { d.TestLimit = ratelimit.New(0.01, 2, clock.System()) })
	receiver := newSink(t, nil)
	e, _ := s.add(t, receiver.URL, "*")
	page, call := "/ws/acme/integrations/webhooks/"+e.ID.String()+"/test", "/ws/acme/api/v1/webhooks/"+e.ID.String()+"/test"
	s.expect(t, "ada", "POST", page, "", 200, "accepted")
	s.expect(t, "ada", "POST", call, "", 200, "accepted")
	for _, path := range []string{page, call} {
		res, text := s.do(t, "ada", "POST", path, "")
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q: %s", path, res.StatusCode, res.Header.Get("Retry-After"), text)
		}
	}
	if n := len(receiver.all()); n != 2 {
		t.Errorf("%d test events were sent, want 2", n)
	}
}
