package changes

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/internal/tasks"
	"github.com/vigilo/vigilo/templates/ui"
)

// doors knows people by name: the secret is the first name, in the workspace acme.
type doors struct{ w *world }

func (d doors) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := map[string]db.Actor{
		"mara": d.w.mara, "tomas": d.w.tomas, "aiko": d.w.aiko, "ben": d.w.ben, "admin": d.w.admin, "viewer": d.w.viewer, "other": d.w.other,
	}[token]
	p := web.Principal{
		Kind: db.ActorUser, ID: a.UserID, User: web.User{ID: a.UserID, Name: a.Name, Email: a.Email, TimeZone: "Europe/Oslo", Shortcuts: true},
		Role: access.Role(a.Role), AuthMethod: "dev", SessionID: a.SessionID,
	}
	switch {
	case slug == "acme" && token != "other":
		p.Workspace = &web.Workspace{ID: d.w.ws, Slug: "acme", Name: "Acme", TimeZone: "UTC"}
		p.Memberships = []web.Membership{{Slug: "acme", Name: "Acme", Role: p.Role}}
	case slug == "globex" && token == "other":
		p.Workspace = &web.Workspace{ID: d.w.other.WorkspaceID, Slug: "globex", Name: "Globex", TimeZone: "UTC"}
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
	w.activity = func(*db.Batch, string, uuid.UUID, int) func(*time.Location, time.Time) ([]ui.Entry, error) {
		return func(*time.Location, time.Time) ([]ui.Entry, error) { return nil, nil }
	}
	base, err := url.Parse("http://vigilo.test")
	w.must(err)
	server := web.New(web.Options{
		DB: w.d.DB, Policy: w.policy, Auth: doors{w}, Clock: w.clk, BaseURL: base, DevLogin: true,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	a := api.New(server, w.d.DB, dbtest.Keyring(t), "test")
	m := w.Module()
	server.SetNav(m.Nav)
	m.Routes(server.Module(m.Name))
	m.API(a.Module(m.Name))
	s := &site{world: w, srv: httptest.NewServer(server.Handler())}
	t.Cleanup(s.srv.Close)
	return s
}

type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, path, who, contentType string, body io.Reader, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.ctx(), method, s.srv.URL+path, body)
	s.must(err)
	if strings.Contains(path, "/api/v1/") {
		req.Header.Set("Authorization", "Bearer "+who)
	} else {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: who})
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	s.must(err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	s.must(err)
	return answer{Response: res, body: string(raw)}
}

func (s *site) get(who, path string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, "/ws/acme"+path, who, "", nil)
}

// post sends a form.
func (s *site) post(who, path string, values ...string) answer {
	s.t.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(values); i += 2 {
		q.Add(values[i], values[i+1])
	}
	return s.do(http.MethodPost, "/ws/acme"+path, who, "application/x-www-form-urlencoded", strings.NewReader(q.Encode()))
}

// call sends JSON to the API.
func (s *site) call(who, method, path, body string) answer {
	s.t.Helper()
	kind := ""
	var src io.Reader
	if body != "" {
		kind, src = "application/json", strings.NewReader(body)
	}
	return s.do(method, "/ws/acme/api/v1"+path, who, kind, src)
}

func (a answer) want(t *testing.T, status int, words ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %.2000s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for _, w := range words {
		if !strings.Contains(a.body, w) {
			t.Fatalf("%s %s does not say %q: %.4000s", a.Request.Method, a.Request.URL, w, a.body)
		}
	}
	return a
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%v in %.500s", err, a.body)
	}
	return out
}

func codesOf(t *testing.T, a answer) []string {
	t.Helper()
	var out []string
	e, _ := a.json(t)["error"].(map[string]any)
	details, _ := e["details"].([]any)
	for _, d := range details {
		code, _ := d.(map[string]any)["code"].(string)
		if !slices.Contains(out, code) {
			out = append(out, code)
		}
	}
	return out
}

var inline = regexp.MustCompile(` style=|<script>| on[a-z]+=`)

func TestEveryPageOfAChangeAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.scheduled()
	s.must(s.AddStep(s.ctx(), s.mara, s.file().Key, NewStep{Title: "Drain"}))
	running := s.running()
	_, err := s.AddComment(s.ctx(), s.aiko, c.Key, "Mind the *gap*.")
	s.must(err)
	_, err = s.Attach(s.ctx(), s.mara, c.Key, "plan.txt", file("a plan"))
	s.must(err)
	_, err = s.tasks.AddTask(s.ctx(), s.mara, tasks.NewTask{Title: "Take a backup", ParentType: SubjectChange, ParentID: c.ID, Gate: tasks.BeforeStart})
	s.must(err)
	done := s.move(s.tomas, running, lifecycle.Fail)
	tpl := s.template()
	pages := map[string]string{
		"/changes": "Renew the certificate", "/changes/new": "Write it yourself", "/changes/new?type=normal": "Who will have to say yes",
		"/changes/new?type=emergency": "New emergency change", "/changes/new?template=" + tpl.ID.String(): "approved already",
		"/changes/new?from=" + c.Key: "Renew the certificate", "/changes/templates": "Restart", "/changes/templates/" + tpl.ID.String(): "What it fixes",
	}
	for _, key := range []string{c.Key, done.Key} {
		path := "/changes/" + key
		for tab, word := range map[string]string{
			"": "What can be done", "/approvals": "Peer", "/tasks": "", "/comments": "Comment", "/attachments": "", "/activity": "", "/edit": "Save",
			"/steps": "Add a step", "/links": "Add a link", "/evidence": "It works", "/proof": "The chain holds", "/act/cancel": "", "/hold": "Put on hold",
		} {
			pages[path+tab] = word
		}
	}
	pages["/changes/"+c.Key+"/comments"] = "<em>gap</em>"
	pages["/changes/"+c.Key+"/attachments"] = "plan.txt"
	pages["/changes/"+c.Key+"/tasks"] = "Take a backup"
	pages["/changes/"+done.Key+"/review"] = "it failed"
	pages["/changes?view=waiting"] = "Waiting for me"
	pages["/changes?q=renew&state=scheduled&type=normal&risk=low&environment=production&owner=me&tag=tls&from=2026-01-01&to=2027-01-01&sort=-risk"] = c.Key
	pages["/changes?tag=nothing"] = "Remove the filter on tag"
	for path, word := range pages {
		a := s.get("mara", path).want(t, http.StatusOK, word)
		if n := strings.Count(a.body, "<h1"); n != 1 {
			t.Errorf("%s has %d h1", path, n)
		}
		if m := inline.FindString(a.body); m != "" {
			t.Errorf("%s holds %q", path, m)
		}
	}
	s.get("mara", "/changes/templates/new").want(t, http.StatusForbidden)
	s.get("aiko", "/changes/templates/new").want(t, http.StatusOK, "Parameters")
	s.get("aiko", "/changes/templates/"+tpl.ID.String()+"/suspend").want(t, http.StatusOK, "Reason")
	s.get("viewer", "/changes/"+c.Key+"/edit").want(t, http.StatusForbidden)
	s.get("mara", "/changes/"+c.ID.String()).want(t, http.StatusOK, c.Key)
	s.get("mara", "/changes?format=csv").want(t, http.StatusOK, c.Key+",Renew")
}

func TestForeignIdsAnswer404Everywhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.running()
	f, err := s.Attach(s.ctx(), s.mara, c.Key, "plan.txt", file("a plan"))
	s.must(err)
	tpl := s.template()
	part := uuid.NewString()
	id := c.ID.String()
	for _, path := range []string{
		"/changes/" + id, "/changes/" + id + "/edit", "/changes/" + id + "/approvals", "/changes/" + id + "/tasks", "/changes/" + id + "/comments",
		"/changes/" + id + "/attachments", "/changes/" + id + "/attachments/" + f.ID.String(), "/changes/" + id + "/proof", "/changes/" + id + "/proof.json",
		"/changes/" + id + "/evidence-pack.zip", "/changes/" + id + "/act/cancel", "/changes/" + id + "/hold", "/changes/" + id + "/steps", "/changes/" + id + "/review",
		"/changes/" + id + "/decide/" + part, "/changes/templates/" + tpl.ID.String(), "/changes/templates/" + tpl.ID.String() + "/edit", "/changes/" + c.Key,
		"/api/v1/changes/" + id, "/api/v1/changes/" + id + "/transitions", "/api/v1/changes/" + id + "/approvals", "/api/v1/changes/" + id + "/audit",
		"/api/v1/changes/" + id + "/proof", "/api/v1/changes/" + id + "/evidence-pack", "/api/v1/changes/" + id + "/steps", "/api/v1/changes/" + id + "/review",
		"/api/v1/change-templates/" + tpl.ID.String(),
	} {
		s.do(http.MethodGet, "/ws/globex"+path, "other", "", nil).want(t, http.StatusNotFound)
	}
	for _, path := range []string{"/act/cancel", "/comments", "/steps", "/watch", "/hold", "/links", "/evidence"} {
		a := s.do(http.MethodPost, "/ws/globex/changes/"+id+path, "other", "application/x-www-form-urlencoded", strings.NewReader("body=x&title=x&reason=x&target=https://e.com&kind=url&summary=x"))
		a.want(t, http.StatusNotFound)
	}
	s.get("mara", "/changes/"+c.Key+"/decide/"+part).want(t, http.StatusForbidden)
	s.post("aiko", "/changes/"+c.Key+"/decide/"+part, "decision", "approve", "revision", "1").want(t, http.StatusNotFound)
	s.get("mara", "/changes/nonsense").want(t, http.StatusNotFound)
}

func TestAChangeIsFiledAndDecidedInTheBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.post("mara", "/changes", "title", "", "type", "normal", "priority", "low", "category", "other", "planned_start", "2026-03-29T02:30", "planned_end", "nonsense").
		want(t, http.StatusUnprocessableEntity, "A title is needed", "the next that exists is 03:00", "Write a day and a time")
	a := s.post("mara", "/changes", "title", "Renew it", "type", "normal", "priority", "low", "category", "security", "environment", "prod", "planned_start", "2026-03-05T22:00",
		"planned_end", "2026-03-05T23:00", "implementation_plan", "Do it.", "owner", s.mara.UserID.String(), "implementers", s.tomas.UserID.String(), "assets", s.edge.ID.String(), "tags", "a, b")
	a.want(t, http.StatusSeeOther)
	path := strings.TrimPrefix(a.Header.Get("Location"), "/ws/acme")
	c, err := s.Change(s.ctx(), s.mara, "CHG-00001")
	s.must(err)
	if c.Start.Format(time.RFC3339) != "2026-03-05T21:00:00Z" || len(c.AssetIDs) != 1 || len(c.Implementers) != 1 {
		t.Fatalf("%+v", c)
	}
	s.get("mara", path).want(t, http.StatusOK, "Submit for review", "Before it is submitted", "22:00")
	s.post("mara", path+"/act/submit", "version", fmt.Sprint(c.Version)).want(t, http.StatusSeeOther)
	page := s.get("aiko", path).want(t, http.StatusOK, `data-open="approve"`, "Your turn", "Approval is missing of")
	action := regexp.MustCompile(`action="/ws/acme(/changes/CHG-00001/decide/[^"]+)"`).FindStringSubmatch(page.body)[1]
	s.get("aiko", action+"?do=reject").want(t, http.StatusOK, "Return it for more work")
	s.post("aiko", action, "decision", "reject", "revision", "1").want(t, http.StatusUnprocessableEntity, "Reject CHG-00001")
	s.post("aiko", action, "decision", "approve", "revision", "1", "comment", "Go.").want(t, http.StatusSeeOther)
	s.get("mara", path).want(t, http.StatusOK, "Schedule", "No freeze stands in its way")
	s.post("mara", path+"/act/schedule").want(t, http.StatusSeeOther)
	s.get("tomas", path).want(t, http.StatusOK, `data-code="outside_window"`)
	s.post("tomas", path+"/act/start").want(t, http.StatusUnprocessableEntity, "The window has not begun yet.")
	s.clk.Advance(3*day + 12*time.Hour)
	s.post("tomas", path+"/act/start").want(t, http.StatusSeeOther)
	s.post("tomas", path+"/act/complete", "outcome", "").want(t, http.StatusUnprocessableEntity, "How did it go?")
	s.post("tomas", path+"/act/complete", "outcome", "successful", "notes", "All well.").want(t, http.StatusSeeOther)
	s.get("viewer", path).want(t, http.StatusOK, "Completed", "All well.")
	s.post("mara", path+"/act/nonsense").want(t, http.StatusNotFound)
	s.post("tomas", path+"/act/start-emergency", "reason", "x").want(t, http.StatusForbidden)
}

func TestTheFormSaysWhoWillHaveToSayYes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.freeze("Year end", s.clk.Now().Add(day), s.clk.Now().Add(9*day))
	form := []string{"title", "x", "type", "normal", "priority", "low", "category", "other", "risk", "high", "planned_start", "2026-03-05T22:00", "planned_end", "2026-03-05T23:00"}
	s.post("mara", "/changes/preview", form...).want(t, http.StatusOK, "Two approvers", "Aiko Tanaka", "Year end", "Save as draft")
	q := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		q.Add(form[i], form[i+1])
	}
	a := s.do(http.MethodPost, "/ws/acme/changes/preview", "mara", "application/x-www-form-urlencoded", strings.NewReader(q.Encode()), "HX-Request", "true").
		want(t, http.StatusOK, "Two approvers", "High risk")
	if strings.Contains(a.body, "<html") {
		t.Error("the fragment is a whole page")
	}
}

func TestBulkActionsTouchWhatTheyMay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b, c := s.file(), s.running(), s.file()
	q := []string{"do", "cancel", "id", a.ID.String(), "id", b.ID.String()}
	s.post("mara", "/changes/bulk", q...).want(t, http.StatusSeeOther)
	s.get("mara", "/changes/cancel?id="+a.ID.String()+"&id="+b.ID.String()).want(t, http.StatusOK, a.Key, "Reason")
	s.post("mara", "/changes/cancel", "id", a.ID.String()).want(t, http.StatusUnprocessableEntity, "Say why")
	s.post("mara", "/changes/cancel", "id", a.ID.String(), "id", b.ID.String(), "reason", "no longer needed").want(t, http.StatusSeeOther)
	if s.read(a).State != lifecycle.Cancelled || s.read(b).State != lifecycle.InProgress {
		t.Error(s.read(a).State, s.read(b).State)
	}
	s.post("mara", "/changes/tag", "id", c.ID.String(), "tags", "release").want(t, http.StatusSeeOther)
	if got := s.read(c).Tags; !slices.Contains(got, "release") || !slices.Contains(got, "tls") {
		t.Errorf("tags %v", got)
	}
	s.post("mara", "/changes/bulk", "do", "tag", "all", "true", "tag", "release").want(t, http.StatusSeeOther)
	s.post("mara", "/changes/bulk", "do", "cancel").want(t, http.StatusUnprocessableEntity)
}

func TestFilesAreWhatTheirBytesSay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.approved()
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 300_000)
	upload := func(name, content string) answer {
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		part, err := m.CreateFormFile("file", name)
		s.must(err)
		_, err = part.Write([]byte(content))
		s.must(err)
		s.must(m.Close())
		return s.do(http.MethodPost, "/ws/acme/api/v1/changes/"+c.Key+"/attachments", "mara", m.FormDataContentType(), &body)
	}
	made := upload("../../etc/diagram.png", png).want(t, http.StatusCreated).json(t)
	sum := sha256.Sum256([]byte(png))
	if made["name"] != "diagram.png" || made["content_type"] != "image/png" || made["sha256"] != hex.EncodeToString(sum[:]) {
		t.Errorf("%v", made)
	}
	base := "/changes/" + c.Key + "/attachments/"
	a := s.get("viewer", base+made["id"].(string)).want(t, http.StatusOK)
	if a.body != png || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "inline") || !strings.Contains(a.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%d bytes, %v", len(a.body), a.Header)
	}
	svg := upload("a.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`).want(t, http.StatusCreated).json(t)
	a = s.get("viewer", base+svg["id"].(string)).want(t, http.StatusOK)
	if !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("an SVG is shown: %v", a.Header)
	}
	for name, content := range map[string]string{"page.txt": "<!doctype html><script>alert(1)</script>", "tool.png": "MZ\x90\x00\x03\x00\x00\x00", "empty.txt": "", "run.sh": "\x7fELF\x02\x01\x01"} {
		upload(name, content).want(t, http.StatusUnprocessableEntity)
	}
	upload("big.txt", strings.Repeat("x", 25<<20+1)).want(t, http.StatusUnprocessableEntity, "too_large")
	if c = s.read(c); c.State != lifecycle.Approved {
		t.Errorf("an added file made it %s", c.State)
	}
	s.get("mara", base+made["id"].(string)+"/remove").want(t, http.StatusOK, "approved again")
	s.post("mara", base+made["id"].(string)+"/remove").want(t, http.StatusSeeOther)
	if c = s.read(c); c.State != lifecycle.Review || c.Revision != 2 {
		t.Errorf("after a file was removed: %s revision %d", c.State, c.Revision)
	}
	s.get("viewer", base+made["id"].(string)).want(t, http.StatusNotFound)
}

func TestTheAPIMovesAChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	start := s.clk.Now().Add(2 * day)
	body := fmt.Sprintf(`{"title":"Renew it","environment":"production","planned_start":%q,"planned_end":%q,"implementation_plan":"Do it.","implementers":[%q],"assets":[%q]}`,
		start.Format(time.RFC3339), start.Add(time.Hour).Format(time.RFC3339), s.tomas.Email, s.edge.ID)
	a := s.call("mara", http.MethodPost, "/changes", body).want(t, http.StatusCreated)
	if !strings.HasPrefix(a.Header.Get("Location"), "/ws/acme/api/v1/changes/") {
		t.Error(a.Header)
	}
	key, _ := a.json(t)["key"].(string)
	s.call("mara", http.MethodPost, "/changes", `{"titel":"x"}`).want(t, http.StatusUnprocessableEntity, "unknown_field")
	s.call("mara", http.MethodPost, "/changes", `{}`).want(t, http.StatusUnprocessableEntity, `"field":"title"`)
	s.call("viewer", http.MethodPost, "/changes", body).want(t, http.StatusForbidden)
	got := s.call("mara", http.MethodGet, "/changes/"+key+"/transitions", "").want(t, http.StatusOK).json(t)
	allowed := map[string]bool{}
	for _, tr := range got["transitions"].([]any) {
		m := tr.(map[string]any)
		allowed[m["action"].(string)] = m["allowed"].(bool)
	}
	if len(allowed) != len(lifecycle.Actions()) || !allowed["submit"] || allowed["start"] || !allowed["cancel"] {
		t.Errorf("transitions %v", allowed)
	}
	s.call("mara", http.MethodPost, "/changes/"+key+"/schedule", `{}`).want(t, http.StatusConflict, "illegal_transition")
	s.call("mara", http.MethodPost, "/changes/"+key+"/submit", "").want(t, http.StatusOK, `"state":"review"`, `"revision":1`)
	ap := s.call("mara", http.MethodGet, "/changes/"+key+"/approvals", "").want(t, http.StatusOK, `"state":"open"`).json(t)
	seat := ap["stages"].([]any)[0].(map[string]any)["seats"].([]any)[0].(map[string]any)["id"].(string)
	decide := "/changes/" + key + "/approvals/" + seat + "/decision"
	s.call("mara", http.MethodPost, decide, `{"decision":"approve","revision":1}`).want(t, http.StatusForbidden)
	s.call("aiko", http.MethodPost, decide, `{"decision":"approve","revision":7}`).want(t, http.StatusConflict, "stale_revision")
	s.call("aiko", http.MethodPost, "/changes/"+key+"/approvals/"+uuid.NewString()+"/decision", `{"decision":"approve","revision":1}`).want(t, http.StatusNotFound)
	s.call("aiko", http.MethodPost, decide, `{"decision":"approve","revision":1}`).want(t, http.StatusOK, `"request_state":"approved"`, `"state":"approved"`)
	s.call("ben", http.MethodPost, decide, `{"decision":"approve","revision":1}`).want(t, http.StatusConflict, "already_decided")
	s.call("mara", http.MethodPost, "/changes/"+key+"/schedule", `{}`).want(t, http.StatusOK, `"state":"scheduled"`)
	a = s.call("tomas", http.MethodPost, "/changes/"+key+"/start", `{}`).want(t, http.StatusUnprocessableEntity)
	if c := codesOf(t, a); !slices.Equal(c, []string{"outside_window"}) {
		t.Error(c)
	}
	v := s.call("mara", http.MethodGet, "/changes/"+key, "").json(t)["version"].(float64)
	s.call("mara", http.MethodPatch, "/changes/"+key, fmt.Sprintf(`{"title":"Renew","version":%d}`, int(v)-1)).want(t, http.StatusConflict, "version_conflict")
	s.call("mara", http.MethodPatch, "/changes/"+key, fmt.Sprintf(`{"title":"Renew","version":%d}`, int(v))).want(t, http.StatusOK, `"state":"scheduled"`)
	s.call("mara", http.MethodGet, "/changes?state=scheduled&sort=-created&limit=1", "").want(t, http.StatusOK, key)
	s.call("mara", http.MethodGet, "/changes?state=wrong", "").want(t, http.StatusUnprocessableEntity)
	s.call("mara", http.MethodGet, "/changes?nonsense=1", "").want(t, http.StatusUnprocessableEntity, "unknown_parameter")
	s.call("mara", http.MethodPut, "/changes/"+key+"/steps", `{"steps":[{"title":"One","minutes":5},{"title":""}]}`).want(t, http.StatusUnprocessableEntity, "steps[1].title")
	s.call("mara", http.MethodPut, "/changes/"+key+"/steps", `{"steps":[{"title":"One","minutes":5}]}`).want(t, http.StatusOK, `"title":"One"`)
	s.call("mara", http.MethodGet, "/changes/"+key, "").want(t, http.StatusOK, `"state":"review"`, `"revision":2`)
}

func TestTheGateFailsClosed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.scheduled()
	ask := func(key, want string) {
		t.Helper()
		s.call("viewer", http.MethodGet, "/gate?change="+key, "").want(t, http.StatusOK, want)
	}
	s.call("viewer", http.MethodGet, "/gate", "").want(t, http.StatusOK, `"allowed":false`, "change_missing")
	ask("CHG-99999", `"unknown_change"`)
	ask(uuid.NewString(), `"allowed":false`)
	ask("%00%27", `"allowed":false`)
	ask(c.Key, `"outside_window"`)
	s.clk.Advance(2 * day)
	ask(strings.ToLower(c.Key), `"allowed":true`)
	h, err := s.PutOnHold(s.ctx(), s.mara, c.Key, "Wait.")
	s.must(err)
	ask(c.ID.String(), `"on_hold"`)
	s.must(s.Release(s.ctx(), s.mara, c.Key, h.ID, "Go."))
	s.move(s.tomas, s.read(c), lifecycle.Start)
	ask(c.Key, `"allowed":true`)
	s.clk.Advance(time.Hour)
	ask(c.Key, `"outside_window"`)
	if s.call("nobody", http.MethodGet, "/gate?change="+c.Key, "").StatusCode != http.StatusUnauthorized {
		t.Error("the gate answers strangers")
	}
}

func TestProofAndPackHoldTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.approved()
	_, err := s.Attach(s.ctx(), s.mara, c.Key, "plan.txt", file("a plan"))
	s.must(err)
	_, err = s.Attach(s.ctx(), s.mara, c.Key, "plan.txt", file("another plan"))
	s.must(err)
	p := s.call("viewer", http.MethodGet, "/changes/"+c.Key+"/proof", "").want(t, http.StatusOK, `"valid":true`).json(t)
	raw, err := json.Marshal(p["canonical"])
	s.must(err)
	if len(raw) == 0 || p["content_hash"] != hex.EncodeToString(c.ContentHash) || len(p["decisions"].([]any)) != 1 {
		t.Errorf("%v", p)
	}
	var exact struct {
		Canonical json.RawMessage `json:"canonical"`
	}
	a := s.get("viewer", "/changes/"+c.Key+"/evidence-pack.zip").want(t, http.StatusOK)
	z, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
	s.must(err)
	files := map[string]string{}
	for _, f := range z.File {
		rc, err := f.Open()
		s.must(err)
		content, err := io.ReadAll(rc)
		s.must(err)
		files[f.Name] = string(content)
	}
	var m manifest
	s.must(json.Unmarshal([]byte(files["manifest.json"]), &m))
	if len(m.Files) != len(files)-1 {
		t.Errorf("the manifest names %d of %d files", len(m.Files), len(files)-1)
	}
	for _, f := range m.Files {
		if sum := sha256.Sum256([]byte(files[f.Path])); hex.EncodeToString(sum[:]) != f.SHA256 {
			t.Errorf("%s has another digest", f.Path)
		}
	}
	if files["attachments/plan.txt"] != "a plan" || files["attachments/1-plan.txt"] != "another plan" {
		t.Error("files of one name cover each other")
	}
	s.must(json.Unmarshal([]byte(files["proof.json"]), &exact))
	var compact bytes.Buffer
	s.must(json.Compact(&compact, exact.Canonical))
	if sum := sha256.Sum256(compact.Bytes()); hex.EncodeToString(sum[:]) != hex.EncodeToString(c.ContentHash) {
		t.Error("the canonical form in the pack does not have the content hash")
	}
	if n := s.audited(c, EventPackExported); n != 1 {
		t.Errorf("the export is audited %d times", n)
	}
	if _, err := s.d.Admin(t).Exec(s.ctx(), `UPDATE change_requests SET content_hash = sha256('x') WHERE id = $1`, c.ID); err == nil {
		s.get("viewer", "/changes/"+c.Key+"/proof").want(t, http.StatusOK, "The chain is broken")
	}
}

// template is an approved template of restarts.
func (w *world) template(change ...func(*TemplateBody)) Template {
	w.t.Helper()
	body := TemplateBody{
		TitlePattern: "Restart {{server}}", ImplementationPlan: "Restart **{{server}}**.", BackoutPlan: "Leave it.", RiskCeiling: lifecycle.Low, MaxAssets: 1,
		AssetTypes: []string{"server"}, MaxMinutes: 90, Environment: "prod",
		Parameters: []Parameter{{Name: "server", Label: "Server", Kind: "text", Pattern: "[a-z0-9-]+", Required: true}},
		Steps:      []NewStep{{Title: "Drain {{server}}", Minutes: 5}}, Tasks: []tasks.Draft{{Ref: "t", Title: "Tell the channel", Gate: tasks.BeforeStart}},
	}
	for _, fn := range change {
		fn(&body)
	}
	t, err := w.ProposeTemplate(w.ctx(), w.aiko, NewTemplate{Name: "Restart a server " + uuid.NewString()[:8], Body: body})
	w.must(err)
	w.must(w.decideSubject(w.ben, SubjectTemplate, t.ID, 1, approvals.Approve))
	t, _, _, err = w.TemplateVersions(w.ctx(), w.aiko, t.ID)
	w.must(err)
	return t
}
