package freezes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// people signs in by the name of a role; the stranger belongs to globex only.
type people struct{ w *world }

func (p people) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	w := p.w
	a, ok := map[string]db.Actor{
		"admin": w.admin, "approver": w.approver, "second": w.second, "member": w.member, "viewer": w.viewer, "stranger": w.stranger,
	}[token]
	if !ok {
		return web.Principal{}, false, nil
	}
	out := web.Principal{Kind: db.ActorUser, ID: a.UserID, User: web.User{ID: a.UserID, Name: a.Name, TimeZone: "Europe/Berlin"}, Role: access.Role(a.Role)}
	switch {
	case slug == "acme" && token != "stranger":
		out.Workspace = &web.Workspace{ID: w.ws, Slug: "acme", Name: "Acme", TimeZone: "Europe/Berlin"}
	case slug == "globex" && token == "stranger":
		out.Workspace = &web.Workspace{ID: w.other, Slug: "globex", Name: "Globex"}
	}
	return out, true, nil
}

func (p people) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return p.Session(ctx, token, slug)
}

type site struct {
	*world
	srv *httptest.Server
}

func serve(t *testing.T) site {
	t.Helper()
	w := newWorld(t)
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Options{DB: w.d.DB, Policy: w.policy, Auth: people{w}, Clock: w.clk, Log: slog.New(slog.DiscardHandler), BaseURL: base})
	m := w.Module()
	s.SetNav(m.Nav)
	m.Routes(s.Module(m.Name))
	m.API(api.New(s, w.d.DB, dbtest.Keyring(t), "test").Module(m.Name))
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return site{w, srv}
}

// ask sends a request as somebody and returns status, place and body.
func (s site) ask(who, method, path, body string, headers ...string) (int, string, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.srv.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
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
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
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
	return res.StatusCode, res.Header.Get("Location"), string(raw)
}

var forbiddenMarkup = regexp.MustCompile(`<[^>]*\s(style|on[a-z]+)=|<script>|javascript:`)

// page asks for a page that must be there, obey the policy and hold some texts.
func (s site) page(who, path string, wanted ...string) string {
	s.t.Helper()
	code, _, body := s.ask(who, http.MethodGet, path, "")
	if code != http.StatusOK {
		s.t.Fatalf("%s asks for %s: %d %s", who, path, code, body)
	}
	if bad := forbiddenMarkup.FindString(body); bad != "" {
		s.t.Errorf("%s contains %s", path, bad)
	}
	if n := strings.Count(body, "<h1"); n != 1 {
		s.t.Errorf("%s has %d headings of the first level", path, n)
	}
	s.holds(path, body, wanted...)
	return body
}

func (s site) holds(what, body string, wanted ...string) {
	s.t.Helper()
	for _, text := range wanted {
		if !strings.Contains(body, text) {
			s.t.Errorf("no %q in %s", text, what)
		}
	}
}

// post sends a form and returns where it leads; anything but a redirect fails.
func (s site) post(who, path string, f url.Values) string {
	s.t.Helper()
	code, place, body := s.ask(who, http.MethodPost, path, f.Encode())
	if code != http.StatusSeeOther {
		s.t.Fatalf("%s sends %s: %d %s", who, path, code, body)
	}
	return place
}

func freezeForm1() url.Values {
	return url.Values{
		"name": {"<b>Year end</b>"}, "kind": {"hard"}, "reason": {"Nothing moves.\nReally."}, "schedule": {"once"}, "time_zone": {"Europe/Berlin"},
		"starts_at": {"2026-12-18T18:00"}, "ends_at": {"2027-01-04T08:00"}, "environments": {"prod"}, "service_ids": {"shop"},
		"change_types": {"normal", "standard"}, "min_risk": {"medium"}, "asset_tags": {"PCI, payments"},
	}
}

func TestPagesOfAFreeze(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const list = "/ws/acme/settings/maintenance"
	s.page("admin", list, "No freeze and no maintenance window", list+"/new")
	s.page("admin", list+"/new", "Hard freeze", `value="2026-11-11T14:00"`, "Every week, on the weekday of the first day", `value="Europe/Berlin"`)
	s.page("admin", list+"/new?kind=maintenance", "New maintenance window", "Standard changes inside need no approval")

	f := freezeForm1()
	f.Set("ends_at", "2026-12-18T17:00")
	code, _, body := s.ask("admin", http.MethodPost, list+"/new", f.Encode())
	if code != http.StatusUnprocessableEntity {
		t.Fatalf("wrong form: %d", code)
	}
	s.holds("refused form", body, "Nothing in use is named shop", "&lt;b&gt;Year end&lt;/b&gt;", "The end must lie after the beginning.", `value="2026-12-18T17:00"`, "PCI, payments")
	shop := s.asset("Shop", "service")
	f.Set("ends_at", "2027-01-04T08:00")
	place := s.post("admin", list+"/new", f)
	id := uuid.MustParse(strings.TrimSuffix(place[len(list)+1:], "/activate"))
	page := list + "/" + id.String()
	c := s.change("CHG-00007", "2026-12-20T10:00Z", "2026-12-20T12:00Z", func(c *testChange) {
		c.Target.Environments, c.Target.ServiceIDs, c.Target.AssetTags = []string{"prod"}, []uuid.UUID{shop.ID}, []string{"pci"}
		c.Excluded = nil
	})
	s.certs = []PreviewItem{{ID: uuid.New(), Title: "shop.example.com:443", Path: "/certificates/1", At: at("2026-12-24T00:00Z")}}
	s.page("admin", place, "Put this in force?", "CHG-00007", "1 scheduled change inside will be put on hold", "shop.example.com:443",
		"The last time to renew it is before 18 December 2026, 18:00 CET", "16 days 14 hours")
	s.page("viewer", page, "This is a draft.", "&lt;b&gt;Year end&lt;/b&gt;", "Really.", "Fri 18 Dec 2026, 18:00", "18 Dec, 17:00 UTC", "Shop", "payments, pci", "Medium and above")
	if body := s.page("viewer", page); strings.Contains(body, "/edit") || strings.Contains(body, "/activate") {
		t.Error("a viewer is offered to change it")
	}
	s.page("admin", page+"/edit", `value="2026-12-18T18:00"`, "Shop", "payments, pci")
	edit := freezeForm1()
	edit.Set("version", "1")
	edit.Set("name", "Year end")
	edit.Set("freeze_id", id.String())
	s.post("admin", page+"/edit", edit)
	code, _, body = s.ask("admin", http.MethodPost, page+"/edit", edit.Encode())
	if code != http.StatusConflict || !strings.Contains(body, "Somebody changed this meanwhile") {
		t.Errorf("an old version was saved over: %d", code)
	}
	if code, _, _ := s.ask("admin", http.MethodPost, page+"/activate", "version=1"); code != http.StatusConflict {
		t.Errorf("an old version was activated: %d", code)
	}
	s.post("admin", page+"/activate", url.Values{"version": {"2"}})
	s.page("viewer", list, "Year end", "Hard freeze", "Active", "Production, tagged payments or pci, 1 service")
	s.page("viewer", list+"?q=nothing", "No window matches", "Remove name contains nothing")
	s.page("viewer", list+"?kind=soft", "No window matches")
	s.page("viewer", list+"?view=lifted", "Nothing was lifted yet")
	s.page("viewer", page+"/inside", "Scheduled changes that it holds", "CHG-00007", "20 Dec 2026, 11:00")
	s.page("viewer", page+"/activity", "Version 3", "by Tomas Ferreira", "Freeze or maintenance window activated", "State", "Name")

	// An edit of what is in force is confirmed first.
	edit.Set("version", "3")
	edit.Set("ends_at", "2027-01-05T08:00")
	code, _, body = s.ask("admin", http.MethodPost, page+"/edit", edit.Encode())
	if code != http.StatusOK {
		t.Fatalf("confirm: %d", code)
	}
	s.holds("confirm page", body, "It stops more than before.", "Change this window now?", `name="confirmed" value="on"`, `name="change_types" value="standard"`)
	edit.Set("confirmed", "on")
	s.post("admin", page+"/edit", edit)
	if !s.book.held(c, Freeze{ID: id}) {
		t.Error("the change is not held")
	}
	s.page("viewer", page+"/activity", "Stops more than before", "18 Dec 2026, 18:00 to 5 Jan 2027, 08:00 CET")

	s.page("member", page+"/overrides/new?change=CHG-00007", `value="CHG-00007"`)
	code, _, body = s.ask("member", http.MethodPost, page+"/overrides/new", url.Values{"change": {"CHG-00007"}, "reason": {"Short"}}.Encode())
	if code != http.StatusUnprocessableEntity || !strings.Contains(body, "at least 15 characters") || !strings.Contains(body, ">Short<") {
		t.Errorf("a short reason: %d", code)
	}
	override := s.post("member", page+"/overrides/new", url.Values{"change": {"CHG-00007"}, "reason": {why}})
	s.page("member", override, "It waits for somebody else.", "Mara Lind", why)
	s.page("approver", list, "Requests that wait for you", "CHG-00007")
	if body := s.page("member", list); strings.Contains(body, "Requests that wait") {
		t.Error("a member is asked to decide")
	}
	s.page("viewer", override, "It waits for a decision.")
	s.page("approver", override, "Your decision", override+"/grant")
	code, _, body = s.ask("approver", http.MethodPost, override+"/refuse", "note=No")
	if code != http.StatusUnprocessableEntity || !strings.Contains(body, ">No<") {
		t.Errorf("a refusal without reason: %d", code)
	}
	s.post("approver", override+"/grant", url.Values{"note": {"It cannot wait."}})
	s.page("viewer", override, "Granted", "Aiko Sato", "It cannot wait.")
	s.page("viewer", page, "CHG-00007", "Granted")

	s.page("admin", page+"/lift", "Lift this now?")
	if code, _, _ := s.ask("admin", http.MethodPost, page+"/lift", "version=4"); code != http.StatusUnprocessableEntity {
		t.Errorf("lift without reason: %d", code)
	}
	s.post("admin", page+"/lift", url.Values{"version": {"4"}, "reason": {"All is done."}})
	s.page("viewer", page, "Lifted")
	s.page("viewer", list+"?view=lifted", "Year end")
	s.page("admin", list+"/new?from="+id.String(), "Copy of Year end", "Shop")
	for _, below := range []string{"/activate", "/lift", "/delete", "/edit"} {
		if code, to, _ := s.ask("admin", http.MethodGet, page+below, ""); code != http.StatusSeeOther || to != page {
			t.Errorf("%s of a lifted freeze: %d %s", below, code, to)
		}
	}
}

func TestTheFormTellsTheNextOccurrences(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const path = "/ws/acme/settings/maintenance/preview"
	f := freezeForm1()
	f.Set("schedule", "recurring")
	for name, value := range map[string]string{"first_date": "2027-03-26", "local_start": "22:00", "local_end": "06:00", "end_days": "1", "repeats": "FREQ=DAILY"} {
		f.Set(name, value)
	}
	code, _, body := s.ask("admin", http.MethodPost, path, f.Encode(), "HX-Request", "true")
	if code != http.StatusOK || strings.Contains(body, "<h1") || strings.Count(body, "<tr>") != 6 {
		t.Fatalf("%d %s", code, body)
	}
	s.holds("fragment", body, "Sat 27 Mar 2027, 22:00", "27 Mar, 21:00 UTC", "7 hours", "The clock changes: 8 hours on other days.", "Every day, 22:00 to 06:00 the next day Europe/Berlin.")
	_, _, body = s.ask("admin", http.MethodPost, path, f.Encode())
	s.holds("page without script", body, "New freeze", "&lt;b&gt;Year end&lt;/b&gt;", "27 Mar, 21:00 UTC", "<h1")
	f.Set("repeats", "custom")
	f.Set("rrule", "FREQ=HOURLY")
	_, _, body = s.ask("admin", http.MethodPost, path, f.Encode(), "HX-Request", "true")
	s.holds("fragment", body, "This rule is not supported: FREQ: HOURLY is not known")
	f.Set("schedule", "once")
	f.Set("starts_at", "")
	_, _, body = s.ask("admin", http.MethodPost, path, f.Encode(), "HX-Request", "true")
	s.holds("fragment", body, "Say when it begins.")
	if code, _, _ := s.ask("approver", http.MethodPost, path, f.Encode()); code != http.StatusForbidden {
		t.Errorf("an approver may ask for it: %d", code)
	}
}

func TestCSVDefusesFormulas(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
	f.Name = "=1+1"
	s.active(f)
	code, _, body := s.ask("viewer", http.MethodGet, "/ws/acme/settings/maintenance?format=csv", "")
	if code != http.StatusOK || !strings.Contains(body, "'=1+1,hard,active,Everything") || !strings.Contains(body, "2026-12-18T17:00:00Z") {
		t.Errorf("%d %s", code, body)
	}
}

func (s site) call(who, method, path, body string) (int, map[string]any) {
	s.t.Helper()
	code, _, text := s.ask(who, method, "/ws/acme/api/v1"+path, body)
	out := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return code, out
}

func TestTheAPI(t *testing.T) {
	t.Parallel()
	s := serve(t)
	post, get, patch := http.MethodPost, http.MethodGet, http.MethodPatch
	code, f := s.call("admin", post, "/freezes", `{"name":"Nights","kind":"hard","reason":"Quiet.","scope":{"environments":["prod"]},
		"schedule":{"time_zone":"Europe/Berlin","first_date":"2027-03-27","local_start":"22:00","local_end":"06:00","rrule":"FREQ=DAILY"}}`)
	if code != http.StatusCreated || f["state"] != "draft" || f["version"] != 1.0 || f["blocks"] != true {
		t.Fatalf("%d %v", code, f)
	}
	schedule, _ := f["schedule"].(map[string]any)
	if schedule["end_days"] != 1.0 || schedule["recurring"] != true || schedule["starts_at"] != nil {
		t.Errorf("schedule %v", schedule)
	}
	id, _ := f["id"].(string)
	for body, want := range map[string]string{
		`{"kind":"hard","reason":"x","schedule":{"starts_at":"2027-01-01T00:00:00Z"}}`:                                        "name",
		`{"name":"x","kind":"cold","reason":"x","schedule":{"starts_at":"2027-01-01T00:00:00Z"}}`:                             "kind",
		`{"name":"x","kind":"hard","reason":"x"}`:                                                                             "starts_at",
		`{"name":"x","kind":"hard","reason":"x","schedule":{"starts_at":"2027-01-01T00:00:00Z","rrule":"FREQ=DAILY"}}`:        "schedule",
		`{"name":"x","kind":"hard","reason":"x","owner":"me","schedule":{"starts_at":"2027-01-01T00:00:00Z"}}`:                "owner",
		`{"name":"x","kind":"hard","reason":"x","nonsense":1}`:                                                                "nonsense",
		`{"name":"x","kind":"hard","reason":"x","schedule":{"first_date":"2027-01-01","rrule":"FREQ=WEEKLY;BYSETPOS=1"}}`:     "rrule",
		`{"name":"x","kind":"hard","reason":"x","schedule":{"time_zone":"Nowhere","starts_at":"2027-01-01T00:00:00Z"}}`:       "time_zone",
		`{"name":"x","kind":"hard","reason":"x","scope":{"min_risk":"huge"},"schedule":{"starts_at":"2027-01-01T00:00:00Z"}}`: "min_risk",
	} {
		code, answer := s.call("admin", post, "/freezes", body)
		raw, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if code != http.StatusUnprocessableEntity || !strings.Contains(string(raw), `"field":"`+want) {
			t.Errorf("%s: %d %s", body, code, raw)
		}
	}
	code, list := s.call("viewer", get, "/freezes/"+id+"/occurrences?from=2027-03-27T00:00:00Z&to=2027-03-29T00:00:00Z", "")
	items, _ := list["items"].([]any)
	if code != http.StatusOK || len(items) != 2 {
		t.Fatalf("occurrences: %d %v", code, list)
	}
	if first, _ := items[0].(map[string]any); first["starts_at"] != "2027-03-27T21:00:00Z" || first["ends_at"] != "2027-03-28T04:00:00Z" || first["date"] != "2027-03-27" || first["empty"] != false {
		t.Errorf("first occurrence %v", first)
	}
	for _, bad := range []string{"from=x", "from=2027-03-27T00:00:00Z&to=2027-03-27T00:00:00Z", "to=2047-03-27T00:00:00Z", "until=1"} {
		if code, answer := s.call("viewer", get, "/freezes/"+id+"/occurrences?"+bad, ""); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %v", bad, code, answer)
		}
	}
	s.change("CHG-00007", "2027-03-27T22:00Z", "2027-03-27T23:00Z", func(c *testChange) { c.Target.Environments, c.Excluded = []string{"prod"}, nil })
	code, p := s.call("admin", post, "/freezes/preview", `{"freeze_id":"`+id+`","kind":"soft"}`)
	if changes, _ := p["changes"].([]any); code != http.StatusOK || len(changes) != 1 || len(p["occurrences"].([]any)) != 5 || p["widens"] != false {
		t.Errorf("preview: %d %v", code, p)
	}
	code, f = s.call("admin", patch, "/freezes/"+id, `{"name":"Quiet nights","version":1}`)
	if code != http.StatusOK || f["name"] != "Quiet nights" || f["version"] != 2.0 || f["scope"].(map[string]any)["environments"].([]any)[0] != "prod" {
		t.Errorf("patch: %d %v", code, f)
	}
	if code, answer := s.call("admin", patch, "/freezes/"+id, `{"name":"x","version":1}`); code != http.StatusConflict {
		t.Errorf("old version: %d %v", code, answer)
	}
	for _, wanted := range []int{http.StatusOK, http.StatusConflict} {
		if code, answer := s.call("admin", post, "/freezes/"+id+"/activate", ""); code != wanted {
			t.Errorf("activate: %d %v", code, answer)
		}
	}
	code, o := s.call("member", post, "/freezes/"+id+"/overrides", `{"change":"CHG-00007","revision":1,"reason":"`+why+`"}`)
	if code != http.StatusCreated || o["state"] != "requested" || o["change"] != "CHG-00007" {
		t.Fatalf("override: %d %v", code, o)
	}
	oid, _ := o["id"].(string)
	if code, answer := s.call("approver", post, "/freezes/"+id+"/overrides/"+oid+"/refuse", `{"note":"no"}`); code != http.StatusUnprocessableEntity {
		t.Errorf("refuse: %d %v", code, answer)
	}
	if code, answer := s.call("approver", post, "/freezes/"+uuid.NewString()+"/overrides/"+oid+"/grant", ""); code != http.StatusNotFound {
		t.Errorf("grant below another freeze: %d %v", code, answer)
	}
	code, o = s.call("approver", post, "/freezes/"+id+"/overrides/"+oid+"/grant", "")
	if code != http.StatusOK || o["state"] != "granted" || o["decided_by"] != s.approver.UserID.String() {
		t.Errorf("grant: %d %v", code, o)
	}
	code, answer := s.call("second", post, "/freezes/"+id+"/overrides/"+oid+"/grant", `{"note":"Me too."}`)
	if e, _ := answer["error"].(map[string]any); code != http.StatusConflict || e["code"] != "already_decided" {
		t.Errorf("second grant: %d %v", code, answer)
	}
	if code, list := s.call("viewer", get, "/freezes/"+id+"/overrides", ""); code != http.StatusOK || len(list["items"].([]any)) != 1 {
		t.Errorf("overrides: %d %v", code, list)
	}
	code, m := s.call("admin", post, "/maintenance-windows", `{"name":"Patches","schedule":{"starts_at":"2026-12-01T20:00:00Z","ends_at":"2026-12-01T22:00:00Z"}}`)
	if code != http.StatusCreated || m["state"] != "active" || m["kind"] != "maintenance" || m["blocks"] != false {
		t.Errorf("maintenance window: %d %v", code, m)
	}
	if code, list := s.call("viewer", get, "/maintenance-windows?state=active", ""); code != http.StatusOK || len(list["items"].([]any)) != 1 {
		t.Errorf("maintenance windows: %d %v", code, list)
	}
	if code, list := s.call("viewer", get, "/freezes?kind=hard&state=active&q=quiet&sort=-created_at", ""); code != http.StatusOK || len(list["items"].([]any)) != 1 {
		t.Errorf("list: %d %v", code, list)
	}
	if code, answer := s.call("admin", post, "/freezes/"+id+"/lift", `{"reason":""}`); code != http.StatusUnprocessableEntity {
		t.Errorf("lift: %d %v", code, answer)
	}
	if code, f = s.call("admin", post, "/freezes/"+id+"/lift", `{"reason":"It is over.","version":3}`); code != http.StatusOK || f["state"] != "lifted" {
		t.Errorf("lift: %d %v", code, f)
	}
	code, f = s.call("admin", post, "/freezes", `{"name":"Now","kind":"hard","reason":"Attack.","state":"active","schedule":{"starts_at":"2026-11-11T12:00:00Z"}}`)
	if code != http.StatusCreated || f["state"] != "active" || f["approver"] != s.admin.UserID.String() || f["schedule"].(map[string]any)["ends_at"] != nil {
		t.Errorf("lockdown: %d %v", code, f)
	}
	code, list = s.call("viewer", get, "/freezes/"+f["id"].(string)+"/occurrences", "")
	if first, _ := list["items"].([]any)[0].(map[string]any); code != http.StatusOK || first["open"] != true || first["ends_at"] != nil {
		t.Errorf("lockdown: %d %v", code, list)
	}
	_, draft := s.call("admin", post, "/freezes", `{"name":"Draft","kind":"soft","reason":"Later.","schedule":{"starts_at":"2027-11-11T12:00:00Z"}}`)
	if code, answer := s.call("admin", http.MethodDelete, "/freezes/"+draft["id"].(string), ""); code != http.StatusNoContent {
		t.Errorf("delete: %d %v", code, answer)
	}
}

func TestRightsAndForeignIDs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	f := s.active(span("2026-12-18T17:00Z", "2027-01-04T07:00Z"))
	c := s.change("CHG-00007", "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	o := s.asked(f, c)
	get, post := http.MethodGet, http.MethodPost
	page, rest := f.Path(), "/api/v1/freezes/"+f.ID.String()
	for _, route := range []struct {
		method, path string
		min          access.Role
	}{
		{get, listPath, access.Viewer},
		{get, listPath + "/new", access.Admin},
		{post, listPath + "/new", access.Admin},
		{post, listPath + "/preview", access.Admin},
		{get, page, access.Viewer},
		{get, page + "/inside", access.Viewer},
		{get, page + "/activity", access.Viewer},
		{get, page + "/edit", access.Admin},
		{post, page + "/edit", access.Admin},
		{get, page + "/activate", access.Admin},
		{post, page + "/activate", access.Admin},
		{get, page + "/lift", access.Admin},
		{post, page + "/lift", access.Admin},
		{get, page + "/delete", access.Admin},
		{post, page + "/delete", access.Admin},
		{get, page + "/overrides/new", access.Member},
		{post, page + "/overrides/new", access.Member},
		{get, o.Path(), access.Viewer},
		{post, o.Path() + "/grant", access.Approver},
		{post, o.Path() + "/refuse", access.Approver},
		{get, "/api/v1/freezes", access.Viewer},
		{post, "/api/v1/freezes", access.Admin},
		{get, rest, access.Viewer},
		{http.MethodPatch, rest, access.Admin},
		{http.MethodDelete, rest, access.Admin},
		{post, rest + "/activate", access.Admin},
		{post, rest + "/lift", access.Admin},
		{get, rest + "/occurrences", access.Viewer},
		{get, rest + "/overrides", access.Viewer},
		{post, rest + "/overrides", access.Member},
		{post, rest + "/overrides/" + o.ID.String() + "/grant", access.Approver},
		{post, rest + "/overrides/" + o.ID.String() + "/refuse", access.Approver},
		{post, "/api/v1/freezes/preview", access.Admin},
		{get, "/api/v1/maintenance-windows", access.Viewer},
		{post, "/api/v1/maintenance-windows", access.Admin},
	} {
		body := ""
		switch {
		case strings.HasSuffix(route.path, "/refuse"), strings.HasSuffix(route.path, "/grant"):
			body = `{"note":"It is not mine to decide."}`
		case strings.HasSuffix(route.path, "/lift"):
			body = `{"reason":"It is not mine to lift."}`
		case strings.HasSuffix(route.path, rest+"/overrides") && route.method == post:
			body = fmt.Sprintf(`{"change":"CHG-00007","reason":%q}`, why)
		case strings.HasPrefix(route.path, "/api") && route.method != get:
			body = "{}"
		}
		if !strings.HasPrefix(route.path, "/api") {
			body = ""
		}
		for _, role := range []access.Role{access.Viewer, access.Member, access.Approver} {
			if role.Rank() >= route.min.Rank() {
				continue
			}
			if code, _, _ := s.ask(string(role), route.method, "/ws/acme"+route.path, body); code != http.StatusForbidden {
				t.Errorf("%s %s by a %s: %d", route.method, route.path, role, code)
			}
		}
		if code, _, _ := s.ask("stranger", route.method, "/ws/acme"+route.path, body); code != http.StatusNotFound {
			t.Errorf("%s %s by a stranger: %d", route.method, route.path, code)
		}
		// The ids of acme lead nowhere in globex, whose owner may do everything there.
		if strings.Contains(route.path, f.ID.String()) {
			if code, _, text := s.ask("stranger", route.method, "/ws/globex"+route.path, body); code != http.StatusNotFound {
				t.Errorf("%s %s in another workspace: %d %s", route.method, route.path, code, text)
			}
		}
	}
	if got := s.page("viewer", "/ws/acme"+page); !strings.Contains(got, "Waits") {
		t.Error("something was changed")
	}
}
