package notifications

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
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// people signs in whoever's first name is the secret.
type people map[string]db.Actor

func (p people) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := p[token]
	if !ok {
		return web.Principal{}, false, nil
	}
	out := web.Principal{
		Kind: a.Kind, ID: a.ID, Role: access.Role(a.Role), AuthMethod: "dev",
		User: web.User{ID: a.UserID, Name: a.Name, Email: a.Email, TimeZone: "Europe/Berlin"},
	}
	own := "acme"
	if token == "otto" {
		own = "globex"
	}
	if slug == own {
		out.Workspace = &web.Workspace{ID: a.WorkspaceID, Slug: own, Name: own, TimeZone: "UTC"}
	}
	return out, true, nil
}

func (p people) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return p.Session(ctx, token, slug)
}

type site struct {
	*bench
	*httptest.Server
}

func newSite(t *testing.T, change ...func(*Deps)) site {
	t.Helper()
	b := newBench(t, change...)
	base, err := url.Parse("https://vigilo.example")
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Options{
		DB: b.DB.DB, Policy: b.policy, Auth: people{"mara": b.mara, "tom": b.tom, "vera": b.vera, "otto": b.otto},
		Clock: b.clock, Log: slog.New(slog.DiscardHandler), BaseURL: base, Shell: b.Service,
	})
	m := b.Module()
	m.Routes(s.Module(m.Name))
	m.API(api.New(s, b.DB.DB, b.sealer, "test").Module(m.Name))
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return site{b, srv}
}

// ask sends a request as the person and returns status, Location and body.
func (s site) ask(t *testing.T, who, method, path, body string, header ...string) (int, string, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(body, "{") {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.Contains(path, "/api/") {
		req.Header.Set("Authorization", "Bearer "+who)
	} else if who != "" {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: who})
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
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

// page asks for a page that must be there.
func (s site) page(t *testing.T, who, path string) string {
	t.Helper()
	code, _, body := s.ask(t, who, http.MethodGet, path, "")
	if code != http.StatusOK {
		t.Fatalf("GET %s as %s: %d\n%s", path, who, code, body)
	}
	return body
}

// post sends a form and expects a redirect.
func (s site) post(t *testing.T, who, path string, f url.Values, to string) {
	t.Helper()
	code, location, body := s.ask(t, who, http.MethodPost, path, f.Encode())
	if code != http.StatusSeeOther || location != to {
		t.Fatalf("POST %s as %s: %d to %q, want a redirect to %q\n%s", path, who, code, location, to, body)
	}
}

func (s site) idOf(t *testing.T, a db.Actor) string {
	t.Helper()
	return s.value(t, `SELECT id::text FROM notifications WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1`, a.UserID)
}

func TestTheInboxPageAndTheBell(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	contains(t, "empty inbox", s.page(t, "mara", "/ws/acme/notifications"), "You have seen everything", "show=all")
	contains(t, "empty history", s.page(t, "mara", "/ws/acme/notifications?show=all"), "Nothing has happened yet")
	subject := thing("pay.example")
	s.handle(t, s.happen(t, s.tom, "thing.failed", subject))
	id := s.idOf(t, s.mara)

	body := s.page(t, "mara", "/ws/acme/notifications")
	contains(t, "inbox", body, "Thing failed: pay.example", "/ws/acme/notifications/"+id+`"`, "/ws/acme/notifications/"+id+"/mute", "just now",
		`data-live="bell"`, "Mark all as read", "Notifications, 1 unread")
	bell := s.page(t, "mara", "/ws/acme/notifications/bell")
	contains(t, "bell", bell, "Notifications, 1 unread", "Thing failed: pay.example", "/ws/acme/notifications/read?all=true")
	if strings.Contains(bell, "<html") {
		t.Error("the bell is a whole page")
	}
	if got := s.page(t, "otto", "/ws/globex/notifications?show=all"); strings.Contains(got, "pay.example") {
		t.Error("another workspace sees it")
	}
	if code, _, _ := s.ask(t, "otto", http.MethodGet, "/ws/acme/notifications", ""); code != http.StatusNotFound {
		t.Errorf("inbox of another workspace: %d", code)
	}
	if code, _, _ := s.ask(t, "vera", http.MethodGet, "/ws/acme/notifications/"+id, ""); code != http.StatusNotFound {
		t.Errorf("notification of a colleague: %d", code)
	}

	// Looking ahead does not count as reading; following the link does.
	s.ask(t, "mara", http.MethodGet, "/ws/acme/notifications/"+id, "", "Sec-Purpose", "prefetch")
	equal(t, "unread after looking ahead", 1, s.count(t, `SELECT count(*) FROM notifications WHERE id = $1::text::uuid AND read_at IS NULL`, id))
	code, location, _ := s.ask(t, "mara", http.MethodGet, "/ws/acme/notifications/"+id, "")
	if code != http.StatusSeeOther || location != "/ws/acme/things/"+subject.ID.String() {
		t.Errorf("following it: %d to %q", code, location)
	}
	contains(t, "bell afterwards", s.page(t, "mara", "/ws/acme/notifications/bell"), "none unread")
}

func TestMarkingAndMutingFromThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 4 {
		s.handle(t, s.happen(t, s.tom, "thing.changed", thing("noise")))
	}
	unread := func() int {
		return s.count(t, `SELECT count(*) FROM notifications WHERE user_id = $1 AND read_at IS NULL`, s.mara.UserID)
	}
	id := s.idOf(t, s.mara)
	s.post(t, "mara", "/ws/acme/notifications/read", url.Values{"only": {id}, "id": {uuid.NewString()}}, "/ws/acme/notifications")
	equal(t, "unread after one", 3, unread())
	s.post(t, "mara", "/ws/acme/notifications/read", url.Values{}, "/ws/acme/notifications")
	equal(t, "unread after nothing was selected", 3, unread())
	s.post(t, "mara", "/ws/acme/notifications/"+id+"/mute", url.Values{}, "/ws/acme/notifications")
	s.post(t, "mara", "/ws/acme/notifications/read?all=true", url.Values{}, "/ws/acme/notifications")
	equal(t, "unread after all", 0, unread())
	if code, _, _ := s.ask(t, "mara", http.MethodPost, "/ws/acme/notifications/read", "id=x"); code != http.StatusNotFound {
		t.Errorf("an id that is none: %d", code)
	}
	body := s.page(t, "mara", "/ws/acme/notifications/preferences")
	contains(t, "muted things", body, "noise", "Unmute")
	subject := s.value(t, `SELECT subject_id::text FROM notification_mutes`)
	s.post(t, "mara", "/ws/acme/notifications/unmute", url.Values{"subject_type": {"thing"}, "subject_id": {subject}}, "/ws/acme/notifications/preferences")
	contains(t, "muted things afterwards", s.page(t, "mara", "/ws/acme/notifications/preferences"), "Nothing is muted")
}

func preferencesValues() url.Values {
	return url.Values{
		"version": {"0"}, "severity_floor": {"medium"}, "mail_enabled": {"on"}, "digest": {"daily"}, "digest_at": {"09:30"},
		"quiet": {"on"}, "quiet_from": {"21:00"}, "quiet_to": {"06:30"},
		"in_app": {"thing.failed", "thing.noted"}, "mail": {"thing.noted"},
	}
}

func TestPreferencesAreSavedFromThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	body := s.page(t, "vera", "/ws/acme/notifications/preferences")
	contains(t, "page of a viewer", body, "Thing failed in the inbox", "Europe/Berlin", "Send critical things at once")
	if strings.Contains(body, "Rights changed") {
		t.Error("a viewer is offered administrative events")
	}
	s.post(t, "vera", "/ws/acme/notifications/preferences", preferencesValues(), "/ws/acme/notifications/preferences")
	p, err := s.Profile(t.Context(), s.vera)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "preferences", Preferences{
		Floor: event.Medium, MailEnabled: true, Digest: DigestDaily, DigestAt: 570, Quiet: QuietHours{On: true, From: 1260, To: 390}, Version: 1,
	}, p.Preferences)
	got := map[string]event.Channels{}
	for _, e := range p.Events {
		got[e.Type.Name] = e.Channels
	}
	equal(t, "matrix", map[string]event.Channels{
		"thing.burned": {}, "thing.changed": {}, "thing.failed": {InApp: true}, "thing.noted": {InApp: true, Mail: true},
	}, got)

	stale, _, body := s.ask(t, "vera", http.MethodPost, "/ws/acme/notifications/preferences", preferencesValues().Encode())
	if stale != http.StatusConflict {
		t.Errorf("a stale page: %d", stale)
	}
	contains(t, "stale page", body, "changed in another window")
	bad := preferencesValues()
	bad.Set("version", "1")
	bad.Set("quiet_from", "25:00")
	bad.Set("digest_at", "07:77")
	code, _, body := s.ask(t, "vera", http.MethodPost, "/ws/acme/notifications/preferences", bad.Encode())
	if code != http.StatusUnprocessableEntity {
		t.Errorf("a wrong time: %d", code)
	}
	contains(t, "refused page", body, `value="25:00"`, `value="07:77"`, "Use a time of the day", `value="06:30"`)
}

func TestWithoutAMailServerThePagesSaySo(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(d *Deps) { d.SMTP = nil })
	member := s.page(t, "tom", "/ws/acme/notifications/preferences")
	contains(t, "preferences", member, "No mail server is set up.")
	if strings.Contains(member, "/settings/mail") {
		t.Error("a member is sent to a page that they may not open")
	}
	contains(t, "preferences of an admin", s.page(t, "mara", "/ws/acme/notifications/preferences"), "/ws/acme/settings/mail")
	body := s.page(t, "mara", "/ws/acme/settings/mail")
	contains(t, "settings", body, "No mail server is set up.", "VIGILO_SMTP_HOST", "No mail has failed.")
	if strings.Contains(body, "Send test mail") {
		t.Error("a test is offered without a server")
	}
	code, _, body := s.ask(t, "mara", http.MethodPost, "/ws/acme/settings/mail/test", "")
	equal(t, "status of a test", http.StatusOK, code)
	contains(t, "answer", body, "No test mail was sent.")
}

func TestTheMailSettingsPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if code, _, body := s.ask(t, "tom", http.MethodGet, "/ws/acme/settings/mail", ""); code != http.StatusForbidden || !strings.Contains(body, "Admin") {
		t.Errorf("a member: %d", code)
	}
	contains(t, "settings", s.page(t, "mara", "/ws/acme/settings/mail"), "through the installation", "vigilo@vigilo.example", "Send test mail")
	own := settingsFor(t, s.caught.Addr())
	f := url.Values{
		"version": {"0"}, "host": {own.Host}, "port": {"0"}, "tls": {"none"}, "username": {"vigilo"}, "password": {"hunter2"}, "from": {"Acme <acme@example.org>"},
	}
	code, _, body := s.ask(t, "mara", http.MethodPost, "/ws/acme/settings/mail", f.Encode())
	equal(t, "status of a wrong port", http.StatusUnprocessableEntity, code)
	contains(t, "refused page", body, "Enter a port between 1 and 65535.", `value="vigilo"`)
	f.Set("port", s.mailPort(t))
	s.post(t, "mara", "/ws/acme/settings/mail", f, "/ws/acme/settings/mail")
	after := s.page(t, "mara", "/ws/acme/settings/mail")
	contains(t, "settings afterwards", after, "has its own mail server", "A password is stored.", "Stop using this server")
	for name, text := range map[string]string{"refused page": body, "page": after} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the %s shows the password", name)
		}
	}
	_, _, body = s.ask(t, "mara", http.MethodPost, "/ws/acme/settings/mail/test", "")
	contains(t, "answer", body, "The mail server took the test mail.", s.mara.Email)
	equal(t, "sender", "acme@example.org", s.mailTo(t, s.mara.Email).From)
	contains(t, "question", s.page(t, "mara", "/ws/acme/settings/mail/remove"), "Stop using 127.0.0.1?", "from Vigilo &lt;vigilo@vigilo.example&gt;")
	s.post(t, "mara", "/ws/acme/settings/mail/remove", url.Values{}, "/ws/acme/settings/mail")
	contains(t, "settings at last", s.page(t, "mara", "/ws/acme/settings/mail"), "through the installation")
}

// mailPort returns the port of the mail server.
func (s site) mailPort(t *testing.T) string {
	t.Helper()
	_, port, _ := strings.Cut(s.caught.Addr(), ":")
	return port
}

func TestUnsubscribingNeedsNoSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	link, err := s.unsubscribeLink(s.vera.WorkspaceID, s.vera.UserID, "thing.failed")
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(link, "https://vigilo.example")
	contains(t, "question", s.page(t, "", path), "Stop these e-mails?", "Thing failed", `action="`+path+`"`)
	equal(t, "choices after looking", 0, s.count(t, `SELECT count(*) FROM notification_choices`))
	// As a mail program sends it: no cookie, no origin.
	code, _, body := s.ask(t, "", http.MethodPost, path, "List-Unsubscribe=One-Click")
	equal(t, "status", http.StatusOK, code)
	contains(t, "answer", body, "You get no e-mail about")
	equal(t, "choices", "thing.failed false", s.value(t, `SELECT event_name || ' ' || mail FROM notification_choices WHERE user_id = $1`, s.vera.UserID))

	all, err := s.unsubscribeLink(s.vera.WorkspaceID, s.vera.UserID, everyEvent)
	if err != nil {
		t.Fatal(err)
	}
	code, _, body = s.ask(t, "", http.MethodPost, strings.TrimPrefix(all, "https://vigilo.example"), "List-Unsubscribe=One-Click")
	equal(t, "status", http.StatusOK, code)
	contains(t, "answer", body, "no e-mail about notifications any more")
	equal(t, "mail enabled", 1, s.count(t, `SELECT count(*) FROM notification_settings WHERE NOT mail_enabled AND user_id = $1`, s.vera.UserID))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		code, _, body := s.ask(t, "", method, path+"x", "")
		equal(t, "status of a damaged link", http.StatusNotFound, code)
		contains(t, "damaged link", body, "This link is not complete.")
	}
}

func TestTheAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const base = "/ws/acme/api/v1"
	for range 3 {
		s.handle(t, s.happen(t, s.tom, "thing.failed", thing("x")))
	}
	var list struct {
		Items      []NotificationBody `json:"items"`
		NextCursor *string            `json:"next_cursor"`
	}
	get := func(path string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.page(t, "mara", base+path)), into); err != nil {
			t.Fatal(err)
		}
	}
	get("/notifications?limit=2", &list)
	if len(list.Items) != 2 || list.NextCursor == nil || list.Items[0].Subject == nil || list.Items[0].Read {
		t.Fatalf("list: %+v", list)
	}
	get("/notifications?cursor="+*list.NextCursor, &list)
	equal(t, "second page", 1, len(list.Items))

	send := func(method, path, body string, want int, parts ...string) {
		t.Helper()
		code, _, got := s.ask(t, "mara", method, base+path, body)
		if code != want {
			t.Errorf("%s %s %s: %d, want %d\n%s", method, path, body, code, want, got)
		}
		contains(t, method+" "+path, got, parts...)
	}
	id := list.Items[0].ID.String()
	send(http.MethodPost, "/notifications/read", `{"ids":["`+id+`"]}`, 200, `"marked":1`)
	send(http.MethodPost, "/notifications/read", `{"ids":["`+id+`"]}`, 200, `"marked":0`)
	send(http.MethodPost, "/notifications/read", `{"all":true}`, 200, `"marked":2`)
	send(http.MethodPost, "/notifications/read", `{}`, 422, "Send either ids or all.")
	send(http.MethodPost, "/notifications/read", `{"all":true,"ids":["`+id+`"]}`, 422, "Send either ids or all.")
	send(http.MethodPost, "/notifications/read", `{"ids":["x"]}`, 422, "validation_failed")
	send(http.MethodGet, "/notifications?colour=red", "", 422, "unknown_parameter")
	send(http.MethodGet, "/notifications?cursor=x", "", 422, "invalid_cursor")
	get("/notifications?unread=true", &list)
	equal(t, "unread at last", 0, len(list.Items))

	// What GET answers, PUT accepts.
	answer := s.page(t, "mara", base+"/me/preferences")
	contains(t, "preferences", answer, `"severity_floor":"info"`, `"version":0`, `"mail_available":true`, `"name":"right.changed"`)
	changed := strings.Replace(answer, `"severity_floor":"info"`, `"severity_floor":"high"`, 1)
	send(http.MethodPut, "/me/preferences", changed, 200, `"severity_floor":"high"`, `"version":1`)
	send(http.MethodPut, "/me/preferences", changed, 409, "version_conflict")
	noVersion := `{"severity_floor":"low","mail_enabled":true,"digest":"none","digest_at":"08:00","quiet_hours":{"enabled":true,"from":"22:00","to":"07:00"},` +
		`"bypass_critical":true,"events":[{"name":"thing.noted","in_app":true,"mail":true}]}`
	send(http.MethodPut, "/me/preferences", noVersion, 200, `"name":"thing.noted","label":"Thing noted","group":"Things","severity":"low","in_app":true,"mail":true`)
	send(http.MethodPut, "/me/preferences", strings.Replace(noVersion, "thing.noted", "thing.unheard", 1), 422, "unknown_event")
	send(http.MethodPut, "/me/preferences", strings.Replace(noVersion, "08:00", "8 am", 1), 422, `"field":"digest_at"`)
	send(http.MethodPut, "/me/preferences", strings.Replace(noVersion, `"low"`, `"loud"`, 1), 422, "severity_floor")
}

func TestAnOpenPageHearsOfItsOwnNotifications(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ready, heard := make(chan struct{}), make(chan event.LiveMessage, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Ends with the context; what arrived is what counts.
		_ = b.Listen(ctx, event.LiveChannel, func() { close(ready) }, func(payload string) {
			var m event.LiveMessage
			if json.Unmarshal([]byte(payload), &m) == nil {
				heard <- m
			}
		})
	}()
	<-ready
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	got := map[uuid.UUID]bool{}
	for range 2 {
		select {
		case m := <-heard:
			if m.SubjectType != "bell" || m.SubjectID != uuid.Nil || m.WorkspaceID != b.mara.WorkspaceID {
				t.Errorf("message %+v", m)
			}
			got[m.UserID] = true
		case <-ctx.Done():
			t.Fatal("nothing was heard")
		}
	}
	equal(t, "who was told", map[uuid.UUID]bool{b.mara.UserID: true, b.vera.UserID: true}, got)
	cancel()
	<-done
}
