package tasks

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

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// doors knows people by their role: the secret is the role's name, in the workspace acme.
type doors struct{ w *world }

func (d doors) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := map[string]db.Actor{"viewer": d.w.viewer, "member": d.w.mara}[token]
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

func TestPagesOfTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const base = "/ws/acme/tasks"
	s.want(s.get(base, "member"), 200, "Nothing is waiting for you", "Add task")
	s.want(s.post(base, "member", url.Values{"title": {""}, "due": {"soon"}}), 422, "Write a date and a time", `value="soon"`)
	s.want(s.post(base, "member", url.Values{"title": {""}}), 422, "Title is needed.")
	s.want(s.post(base, "member", url.Values{"title": {"x"}, "due": {"2026-03-29T02:30"}}), 422, "this time does not exist")
	made := s.post(base, "member", url.Values{
		"title": {"<i>Backup</i>"}, "assignee": {s.mara.UserID.String()}, "due": {"2026-11-12T16:00"}, "description": {"one\ntwo"}, "estimate_minutes": {"90"},
	})
	s.want(made, 303)
	path := made.Header.Get("Location")
	if path != base+"/TASK-0001" {
		t.Fatal(path)
	}
	s.want(s.get(path, "viewer"), 200, "&lt;i&gt;Backup&lt;/i&gt;", "12 Nov 2026, 16:00", "<p>two</p>", "It can be started at any time.", "90 minutes")
	s.want(s.get(base, "member"), 200, "TASK-0001", "in 27 hours")
	s.want(s.get(base+"?view=overdue", "member"), 200, "Nothing is overdue")
	s.want(s.get(base+"?view=moon", "member"), 422)
	s.want(s.get(path+"/edit", "member"), 200, `value="2026-11-12T16:00"`, `name="version" value="1"`)
	s.want(s.post(path, "member", url.Values{"title": {"Backup"}, "version": {"1"}}), 303)
	s.want(s.post(path, "member", url.Values{"title": {"Mine"}, "version": {"1"}}), 409, "Somebody saved version 2 meanwhile", `value="Mine"`)
	second := s.add("Check the backup")
	s.want(s.post("/ws/acme"+second.Path()+"/dependencies", "member", url.Values{"predecessor": {"task-0001"}}), 303)
	s.want(s.get("/ws/acme"+second.Path(), "viewer"), 200, "This task waits for 1 other.", "TASK-0001", "Waiting")
	s.want(s.post(path+"/dependencies", "member", url.Values{"predecessor": {second.Key}}), 422, "TASK-0002 → TASK-0001 → TASK-0002")
	s.want(s.post("/ws/acme"+second.Path()+"/state", "member", url.Values{"state": {"doing"}}), 409, "waits for TASK-0001")
	s.want(s.get(path+"/skip", "member"), 200, "Why?")
	s.want(s.post(path+"/state", "member", url.Values{"state": {"skipped"}}), 422, "Say why the task is skipped.")
	s.want(s.post(path+"/state", "viewer", url.Values{"state": {"done"}}), 403)
	s.want(s.post(path+"/state", "member", url.Values{"state": {"done"}}), 303)
	s.want(s.get(path, "member"), 200, "Reopen")
	s.want(s.get(path+"/activity", "viewer"), 200, "Task added", "Task done")
	s.want(s.get("/ws/acme"+second.Path()+"/activity", "viewer"), 200, "Task waits for another")
	s.want(s.get(path+"/delete", "member"), 200, "TASK-0002 waits for it, and no longer will.")
	s.want(s.post(base+"/bulk", "member", url.Values{"do": {"done"}, "id": {second.ID.String()}, "view": {"open"}}), 303)
	s.want(s.get(base+"?view=done&format=csv", "viewer"), 200, "TASK-0002,Check the backup,done")
	s.want(s.post(path+"/delete", "member", nil), 303)
	s.want(s.get(path, "member"), 404)
	s.want(s.get(base+"/TASK-%00", "member"), 404)
}

func TestAGateIsChosenOnTheFormOfItsRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	change := s.change()
	query := "?parent_type=change&parent_id=" + change.String()
	s.want(s.get("/ws/acme/tasks/new"+query, "member"), 200, "For CHG-00001 Rotate keys.", "Before the start")
	made := s.post("/ws/acme/tasks", "member", url.Values{"title": {"Check"}, "parent_type": {"change"}, "parent_id": {change.String()}, "gate": {"before_start"}, "verification": {"on"}})
	s.want(made, 303)
	s.want(s.get(made.Header.Get("Location"), "viewer"), 200, "Before the start of CHG-00001 Rotate keys this must be done, by somebody who did not do the work.", "/ws/acme/changes/"+change.String())
	s.want(s.post(made.Header.Get("Location")+"/state", "member", url.Values{"state": {"done"}}), 403, "verified by somebody")
	s.want(s.get("/ws/acme/tasks"+query, "viewer"), 200, "Check", "CHG-00001 Rotate keys")
}

func TestTheAPIOfTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.json("POST", "/tasks", "member", `{"title":"Backup","assignee":"`+s.tomas.Email+`","due_at":"2026-11-12T15:00:00Z","estimate_minutes":30}`)
	s.want(made, 201, `"key":"TASK-0001"`, `"state":"todo"`, `"due_at":"2026-11-12T15:00:00Z"`, `"assignee":"`+s.tomas.UserID.String())
	if !strings.Contains(made.Header.Get("Location"), "/api/v1/tasks/") {
		t.Error(made.Header)
	}
	s.want(s.json("POST", "/tasks", "member", `{"title":"Check"}`), 201, `"due_at":null`, `"key":"TASK-0002"`)
	s.want(s.json("POST", "/tasks", "member", `{"title":"","gate":"before_start"}`), 422, `"field":"title"`, `"field":"gate"`)
	s.want(s.json("POST", "/tasks", "viewer", `{"title":"x"}`), 403)
	edge := s.json("POST", "/tasks/TASK-0002/dependencies", "member", `{"predecessor":"TASK-0001"}`)
	s.want(edge, 201, `"predecessor_key":"TASK-0001"`)
	s.want(s.json("POST", "/tasks/TASK-0001/dependencies", "member", `{"predecessor":"TASK-0002"}`), 422, `"dependency_cycle"`, `"ref":"TASK-0001"`)
	s.want(s.json("PATCH", "/tasks/TASK-0002", "member", `{"state":"doing"}`), 409, `"task_blocked"`, `"ref":"TASK-0001"`)
	s.want(s.json("PATCH", "/tasks/TASK-0001", "member", `{"state":"doing","version":1}`), 200, `"state":"doing"`, `"version":2`)
	s.want(s.json("PATCH", "/tasks/TASK-0001", "member", `{"title":"x"}`, "If-Match", `"1"`), 409, `"version_conflict"`)
	s.want(s.json("PATCH", "/tasks/TASK-0001", "member", `{"no_due":true}`), 200, `"due_at":null`)
	s.want(s.json("GET", "/tasks/TASK-0002", "viewer", ""), 200, `"blocked":true`, `"dependencies":[{`)
	s.want(s.json("GET", "/tasks?blocked=true", "viewer", ""), 200, `"TASK-0002"`)
	s.want(s.json("GET", "/tasks?mine=true", "member", ""), 200, `"items":[]`)
	s.want(s.json("GET", "/tasks?state=flying", "member", ""), 422)
	s.want(s.json("DELETE", "/tasks/TASK-0001", "member", ""), 409, `"task_has_successors"`)
	var e struct{ ID uuid.UUID }
	if err := json.Unmarshal([]byte(edge.body), &e); err != nil {
		t.Fatal(err)
	}
	s.want(s.json("DELETE", "/tasks/TASK-0002/dependencies/"+e.ID.String(), "member", ""), 204)
	s.want(s.json("DELETE", "/tasks/TASK-0002/dependencies/"+e.ID.String(), "member", ""), 404)
	s.want(s.json("DELETE", "/tasks/TASK-0001", "member", ""), 204)
	s.want(s.json("GET", "/tasks/TASK-0001", "viewer", ""), 404)
}
