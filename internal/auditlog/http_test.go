package auditlog

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// door knows people by a word instead of a secret.
type door map[string]db.Actor

func (d door) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := d[token]
	p := web.Principal{Kind: a.Kind, ID: a.ID, User: web.User{ID: a.UserID, Name: a.Name, TimeZone: "Europe/Oslo"}, AuthMethod: "dev", Role: access.Role(a.Role)}
	if slug == "acme" && token != "stranger" {
		p.Workspace = &web.Workspace{ID: a.WorkspaceID, Slug: "acme", Name: "Acme"}
	}
	return p, ok, nil
}

func (d door) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return d.Session(ctx, token, slug)
}

type site struct {
	*bench
	*httptest.Server
}

func open(t *testing.T, withAPI bool) site {
	t.Helper()
	b := setUp(t)
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	stranger := b.Member(t, b.Workspace(t, "globex"), "Gus Globex", "owner")
	srv := web.New(web.Options{
		DB: b.DB.DB, Policy: b.policy, Auth: door{"admin": b.admin, "viewer": b.viewer, "stranger": stranger}, Clock: clock.System(),
		Log: slog.New(slog.DiscardHandler), BaseURL: base,
	})
	m := b.s.Module()
	srv.SetNav(m.Nav)
	m.Routes(srv.Module(m.Name))
	if withAPI {
		m.API(api.New(srv, b.DB.DB, b.keys, "test").Module(m.Name))
	}
	s := site{bench: b, Server: httptest.NewServer(srv.Handler())}
	t.Cleanup(s.Close)
	return s
}

// ask sends a request as somebody and returns the status and the body.
func (s site) ask(t *testing.T, who, method, path string, form url.Values) (*http.Response, string) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.Contains(path, "/api/v1") {
		req.Header.Set("Authorization", "Bearer "+who)
	} else {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: who})
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: 30 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

const audit = "/ws/acme" + pathLog

func (s site) page(t *testing.T, who, path string, status int) string {
	t.Helper()
	resp, body := s.ask(t, who, http.MethodGet, path, nil)
	if resp.StatusCode != status {
		t.Fatalf("%s as %s: status %d, want %d\n%.500s", path, who, resp.StatusCode, status, body)
	}
	return body
}

func wants(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(body, p) {
			t.Errorf("the page does not hold %q", p)
		}
	}
}

func lacks(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(body, p) {
			t.Errorf("the page holds %q", p)
		}
	}
}

func TestAViewerReadsTheLogAndAnAdminMayAlsoExport(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	id := s.record(t, s.admin, ledger.Entry{
		Action: "host.created", Subject: event.Subject{Type: "host", Key: "H-1", Title: "<script>alert(1)</script>"}, After: host{Name: "web"},
	})
	list := s.page(t, "viewer", audit, http.StatusOK)
	wants(t, list, "Host added", "Ada Admin", "H-1", "&lt;script&gt;", "1 of 1", audit+"/"+id.String()+"/target", `data-live="host"`, "Audit log")
	lacks(t, list, "<script>alert", audit+"/export", " style=", " onclick", "Save filter")
	wants(t, s.page(t, "admin", audit, http.StatusOK), audit+"/export?format=csv", audit+"/export?format=jsonl")
	s.page(t, "viewer", audit+"/export?format=csv", http.StatusForbidden)
	s.page(t, "stranger", audit, http.StatusNotFound)

	resp, body := s.ask(t, "admin", http.MethodGet, audit+"/export?format=csv&action=host.", nil)
	records, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(records) != 2 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") ||
		!strings.Contains(resp.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("export: %d records, %v, headers %v", len(records), err, resp.Header)
	}
	s.page(t, "admin", audit+"/export?format=pdf", http.StatusUnprocessableEntity)
	s.page(t, "admin", audit+"/export?format=csv&outcome=maybe", http.StatusUnprocessableEntity)
}

func TestTheListSaysWhatIsFilteredAndHowToGetOut(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	s.record(t, s.admin, ledger.Entry{Action: "host.removed", Subject: event.Subject{Type: "host"}, Outcome: ledger.Denied})
	body := s.page(t, "viewer", audit+"?outcome=denied&actor="+s.admin.ID.String()+"&q=removed", http.StatusOK)
	wants(t, body, "Denied", "Remove filter: Outcome is Denied", "Remove filter: Who is Ada Admin", `value="removed"`, "1 of 1", audit+"/filters/new?")
	lacks(t, body, "data-live=\"host\"")
	body = s.page(t, "viewer", audit+"?outcome=failed", http.StatusOK)
	wants(t, body, "No entry matches", "Remove “Outcome: Failed”", "Look at 12 months")
	for query, message := range map[string]string{
		"outcome=maybe": "Outcome must be one of", "from=soon": "Use a date such as", "q=%25%25": "at least one letter",
		"q=a%00b": "cannot be stored", "from=2026-03-02&to=2026-03-01": "before the end",
	} {
		wants(t, s.page(t, "viewer", audit+"?"+query, http.StatusUnprocessableEntity), message, "The filter has mistakes")
	}
	s.page(t, "viewer", audit+"?cursor=broken", http.StatusUnprocessableEntity)
}

func TestASearchIsRecordedOnceAndTurningPagesIsNot(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	for range 60 {
		s.record(t, s.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}})
	}
	searches := func() int { return len(s.list(t, s.admin, Filter{Action: eventSearched}).Entries) }
	s.page(t, "viewer", audit, http.StatusOK)
	if n := searches(); n != 0 {
		t.Errorf("the plain page was recorded as %d searches", n)
	}
	first := s.page(t, "viewer", audit+"?action=host.created", http.StatusOK)
	wants(t, first, "50 of 60")
	next := regexp.MustCompile(`href="([^"]*cursor=[^"]*)"`).FindStringSubmatch(first)
	if next == nil {
		t.Fatal("the first page leads nowhere")
	}
	wants(t, s.page(t, "viewer", strings.ReplaceAll(next[1], "&amp;", "&"), http.StatusOK), "10 of 60")
	if n := searches(); n != 1 {
		t.Errorf("%d searches recorded, want 1", n)
	}
}

func TestAnEntryLeadsToItsThingWhileThatExists(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	there, gone := uuid.New(), uuid.New()
	s.hosts[there] = search.Ref{Title: "Shop front", Key: "H-1", Path: "/hosts/" + there.String()}
	living := s.record(t, s.admin, ledger.Entry{
		Action: "host.created", Subject: event.Subject{Type: "host", ID: there, Key: "H-1", Title: "Shop"}, Reason: "asked for",
		Before: host{Name: "a"}, After: host{Name: "b"}, Detail: map[string]any{"ports": []int{443, 8443}},
	})
	dead := s.record(t, db.System(s.ws, "retention"), ledger.Entry{Action: "host.removed", Subject: event.Subject{Type: "host", ID: gone, Title: "Old"}})
	body := s.page(t, "viewer", audit+"/"+living.String(), http.StatusOK)
	wants(t, body, "Host added", "H-1 Shop front", `href="/ws/acme/hosts/`+there.String()+`"`, "asked for", "<del>a</del>", "<ins>b</ins>",
		"443, 8443", "ada.admin@example.test", "All about this thing", "All by this actor", "A person")
	lacks(t, body, "checkpoint", "proof", "seal")
	body = s.page(t, "viewer", audit+"/"+dead.String(), http.StatusOK)
	wants(t, body, "Old", "The system", "No field was changed", "retention")
	resp, _ := s.ask(t, "viewer", http.MethodGet, audit+"/"+living.String()+"/target", nil)
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != "/ws/acme/hosts/"+there.String() {
		t.Errorf("target: %d to %s", resp.StatusCode, got)
	}
	resp, _ = s.ask(t, "viewer", http.MethodGet, audit+"/"+dead.String()+"/target", nil)
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != audit+"/"+dead.String() {
		t.Errorf("target that is gone: %d to %s", resp.StatusCode, got)
	}
	s.page(t, "viewer", audit+"/"+uuid.NewString(), http.StatusNotFound)
	s.page(t, "viewer", audit+"/x", http.StatusNotFound)
}

func TestAnOpenPageLearnsOfNewEntriesWithoutMoving(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	s.record(t, s.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}})
	list := s.page(t, "viewer", audit+"?action=host.", http.StatusOK)
	news := regexp.MustCompile(`hx-get="([^"]*/news[^"]*)"`).FindStringSubmatch(list)
	if news == nil {
		t.Fatal("the page does not ask for news")
	}
	address := strings.ReplaceAll(news[1], "&amp;", "&")
	if body := s.page(t, "viewer", address, http.StatusOK); strings.TrimSpace(body) != "" {
		t.Errorf("news before there are any: %s", body)
	}
	s.record(t, s.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}})
	s.record(t, s.admin, ledger.Entry{Action: "session.started", Subject: event.Subject{Type: "session"}})
	wants(t, s.page(t, "viewer", address, http.StatusOK), "Show 1 new entry", audit+"?action=host.")
	s.page(t, "viewer", audit+"/news?at=now", http.StatusUnprocessableEntity)
}

func TestAFilterIsSavedAsATabAndRemovedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	body := s.page(t, "viewer", audit+"/filters/new?outcome=denied", http.StatusOK)
	wants(t, body, `name="query" value="outcome=denied"`, "Denied")
	lacks(t, body, `name="shared"`)
	wants(t, s.page(t, "admin", audit+"/filters/new?outcome=denied", http.StatusOK), `name="shared"`)
	resp, body := s.ask(t, "viewer", http.MethodPost, audit+"/filters", url.Values{"query": {"outcome=denied"}, "name": {""}})
	if resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("no name: status %d", resp.StatusCode)
	}
	wants(t, body, "A name is needed.")
	resp, _ = s.ask(t, "viewer", http.MethodPost, audit+"/filters", url.Values{"query": {"outcome=denied"}, "name": {"Refusals"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != audit+"?outcome=denied" {
		t.Errorf("saved: %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	body = s.page(t, "viewer", audit+"?outcome=denied", http.StatusOK)
	remove := regexp.MustCompile(`href="([^"]*/remove)"`).FindStringSubmatch(body)
	if remove == nil {
		t.Fatal("the saved filter cannot be removed")
	}
	wants(t, body, "Refusals")
	const tab = `href="` + audit + `?outcome=denied"`
	lacks(t, s.page(t, "admin", audit, http.StatusOK), tab)
	wants(t, s.page(t, "viewer", audit, http.StatusOK), tab)
	wants(t, s.page(t, "viewer", remove[1], http.StatusOK), "Remove the filter")
	s.page(t, "admin", remove[1], http.StatusNotFound)
	if resp, _ = s.ask(t, "viewer", http.MethodPost, remove[1], url.Values{}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("removed: %d", resp.StatusCode)
	}
	lacks(t, s.page(t, "viewer", audit, http.StatusOK), tab)
	if resp, _ := s.ask(t, "viewer", http.MethodGet, audit+"/filters/new", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("nothing to save: %d", resp.StatusCode)
	}
}

func TestTheAPIReadsExportsAndFollowsEvents(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	const base = "/ws/acme/api/v1"
	var made []uuid.UUID
	for i := range 3 {
		made = append(made, s.record(t, s.admin, ledger.Entry{
			Action: "host.created", Subject: event.Subject{Type: "host", Key: "H-1", Title: "Shop"}, After: host{Name: "web"}, Payload: map[string]int{"n": i},
		}))
	}
	s.record(t, s.admin, ledger.Entry{Action: "session.started", Subject: event.Subject{Type: "session"}})
	get := func(who, path string, status int, into any) string {
		t.Helper()
		body := s.page(t, who, base+path, status)
		if into != nil {
			if err := json.Unmarshal([]byte(body), into); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		return body
	}
	var list api.List[item]
	get("viewer", "/audit?action=host.&target=H-1&q=shop&limit=2", http.StatusOK, &list)
	if len(list.Items) != 2 || list.Items[0].ID != made[2] || list.NextCursor == nil || list.Items[0].Actor.Name != "Ada Admin" {
		t.Errorf("first page %+v", list)
	}
	var rest api.List[item]
	get("viewer", "/audit?action=host.&target=H-1&q=shop&limit=2&cursor="+*list.NextCursor, http.StatusOK, &rest)
	if len(rest.Items) != 1 || rest.Items[0].ID != made[0] || rest.NextCursor != nil {
		t.Errorf("second page %+v", rest)
	}
	if n := len(s.list(t, s.admin, Filter{Action: eventSearched}).Entries); n != 1 {
		t.Errorf("%d searches recorded, want 1", n)
	}
	wants(t, get("viewer", "/audit?colour=red", http.StatusUnprocessableEntity, nil), "unknown_parameter", "colour")
	wants(t, get("viewer", "/audit?outcome=maybe&from=soon", http.StatusUnprocessableEntity, nil), `"field":"outcome"`, `"field":"from"`)
	wants(t, get("viewer", "/audit?q=a%00b", http.StatusUnprocessableEntity, nil), `"field":"q"`)
	wants(t, get("viewer", "/audit?sort=colour", http.StatusUnprocessableEntity, nil), `"field":"sort"`)
	get("stranger", "/audit", http.StatusNotFound, nil)
	var one item
	get("viewer", "/audit/"+made[0].String(), http.StatusOK, &one)
	if one.ID != made[0] || one.Target.Title != "Shop" || len(one.Changes) != 1 {
		t.Errorf("entry %+v", one)
	}
	get("viewer", "/audit/"+uuid.NewString(), http.StatusNotFound, nil)
	get("viewer", "/audit/1", http.StatusNotFound, nil)
	get("viewer", "/audit/export?format=csv", http.StatusForbidden, nil)
	get("admin", "/audit/export", http.StatusUnprocessableEntity, nil)
	get("admin", "/audit/export?format=xml", http.StatusUnprocessableEntity, nil)
	if lines := strings.Count(get("admin", "/audit/export?format=jsonl&action=host.", http.StatusOK, nil), "\n"); lines != 3 {
		t.Errorf("export has %d lines, want 3", lines)
	}

	var page api.List[eventItem]
	get("viewer", "/events?limit=2", http.StatusOK, &page)
	if len(page.Items) != 2 || page.Items[0].ID != made[0] || string(page.Items[1].Payload) != `{"n":1}` || page.NextCursor == nil {
		t.Errorf("events %+v", page)
	}
	get("viewer", "/events?limit=2&cursor="+*page.NextCursor, http.StatusOK, &page)
	if len(page.Items) != 1 || page.Items[0].ID != made[2] || page.NextCursor != nil {
		t.Errorf("events after the first two %+v", page)
	}
	get("viewer", "/events?after="+made[1].String(), http.StatusOK, &page)
	if len(page.Items) != 1 || page.Items[0].ID != made[2] {
		t.Errorf("events after one %+v", page)
	}
	wants(t, get("viewer", "/events?after=x", http.StatusUnprocessableEntity, nil), `"field":"after"`)
	var types api.List[typeItem]
	get("viewer", "/event-types", http.StatusOK, &types)
	if len(types.Items) != len(s.ledger.Catalogue().Types()) {
		t.Errorf("%d event types", len(types.Items))
	}
}
