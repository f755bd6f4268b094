package members

import (
	"context"
	"errors"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

func TestCreatingAWorkspaceMakesItsMakerTheOwner(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	var seeded Workspace
	b.svc.OnWorkspaceCreated(func(ctx context.Context, tx *db.Tx, ws Workspace) error {
		seeded = ws
		_, err := tx.Exec(ctx, `INSERT INTO people_groups (workspace_id, id, name, created_at) VALUES ($1, $1, 'Everybody', now())`, ws.ID)
		if err != nil {
			return err
		}
		return b.svc.record(ctx, tx, ledger.Entry{Action: "people_group.created", Subject: PeopleGroup{ID: ws.ID, Name: "Everybody"}.subject()})
	})
	ws, err := b.svc.CreateWorkspace(ctx, mara, NewWorkspace{Name: "Halden Platform", TimeZone: "Europe/Oslo"})
	if err != nil {
		t.Fatal(err)
	}
	if ws.Slug != "halden-platform" || seeded.ID != ws.ID {
		t.Errorf("made %+v, seeded %+v", ws, seeded)
	}
	if got := b.place(t, ws.ID, mara.UserID); got != "owner active created" {
		t.Errorf("the maker is %q", got)
	}
	for _, action := range []string{"workspace.created", "member.joined", "people_group.created"} {
		if n := b.audited(t, ws.ID, action); n != 1 {
			t.Errorf("%s recorded %d times", action, n)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM events WHERE workspace_id = $1`, ws.ID); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestAWorkspaceIsMadeWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	boom := errors.New("boom")
	b.svc.OnWorkspaceCreated(func(context.Context, *db.Tx, Workspace) error { return boom })
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	if _, err := b.svc.CreateWorkspace(context.Background(), mara, NewWorkspace{Name: "Halden"}); !errors.Is(err, boom) {
		t.Fatalf("error %v, want that of the hook", err)
	}
	if n := b.count(t, `SELECT count(*) FROM workspaces WHERE slug = 'halden'`); n != 0 {
		t.Error("a workspace without its defaults was left behind")
	}
}

func TestASlugIsGivenOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	_, err := b.svc.CreateWorkspace(ctx, mara, NewWorkspace{Name: "Acme", Slug: "acme"})
	if got := code(err); got != "slug slug_taken" {
		t.Errorf("taken slug: %q", got)
	}
	for name, want := range map[string]string{"Acme": "acme-2", "Admin": "admin-2", "Halden": "halden", "日本": ""} {
		got, err := b.svc.ProposeFreeSlug(ctx, name)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := b.svc.CreateWorkspace(ctx, db.Actor{Kind: db.ActorService}, NewWorkspace{Name: "Robots"}); !fault.Is(err, fault.Denied) {
		t.Errorf("a token without a person created a workspace: %v", err)
	}
}

func TestSettingsAreSavedOverTheVersionThatWasSeen(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	str := func(s string) *string { return &s }
	one := int64(1)
	ws, err := b.svc.ChangeWorkspace(ctx, b.admin, WorkspaceChange{Name: str(" Acme Group "), TimeZone: str("Europe/Oslo"), Version: &one})
	if err != nil || ws.Name != "Acme Group" || ws.Version != 2 {
		t.Fatalf("%+v, %v", ws, err)
	}
	if n := b.audited(t, b.ws, "workspace.updated"); n != 1 {
		t.Errorf("recorded %d times", n)
	}
	tests := []struct {
		name string
		by   db.Actor
		in   WorkspaceChange
		want string
	}{
		{"an old version", b.admin, WorkspaceChange{Name: str("Other"), Version: &one}, "version current_version"},
		{"an old If-Match", b.admin, WorkspaceChange{Name: str("Other"), IfMatch: `"1"`}, "version current_version"},
		{"no name", b.admin, WorkspaceChange{Name: str(" ")}, "name required"},
		{"a wrong zone", b.admin, WorkspaceChange{TimeZone: str("Nowhere")}, "time_zone invalid_time_zone"},
		{"a viewer", b.viewer, WorkspaceChange{Name: str("Mine")}, "forbidden"},
	}
	for _, tt := range tests {
		if _, err := b.svc.ChangeWorkspace(ctx, tt.by, tt.in); code(err) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, code(err), tt.want)
		}
	}
	if _, err := b.svc.ChangeWorkspace(ctx, b.admin, WorkspaceChange{Name: str("Acme Group")}); err != nil || b.audited(t, b.ws, "workspace.updated") != 1 {
		t.Errorf("saving what is there already was recorded, %v", err)
	}
	if mine, err := b.svc.Workspace(ctx, b.strang); err != nil || mine.Slug != "globex" {
		t.Errorf("a stranger reads %+v, %v", mine, err)
	}
}

func TestSessionLimitsOnlyShorten(t *testing.T) {
	t.Parallel()
	b := setUp(t) // sessions of the installation: 12 hours idle, 7 days at most
	ctx := context.Background()
	limits := func(idle, absolute int) WorkspaceChange {
		return WorkspaceChange{SessionIdleMinutes: &idle, SessionAbsoluteMinutes: &absolute}
	}
	tests := []struct {
		name string
		by   db.Actor
		in   WorkspaceChange
		want string
	}{
		{"shorter than people can use", b.admin, limits(4, 0), "session_idle_minutes out_of_range"},
		{"negative", b.admin, limits(0, -5), "session_absolute_minutes out_of_range"},
		{"longer than the installation's", b.admin, limits(721, 0), "session_idle_minutes out_of_range"},
		{"far longer than a duration holds", b.admin, limits(0, math.MaxInt), "session_absolute_minutes out_of_range"},
		{"a pause longer than the session", b.admin, limits(600, 300), "session_idle_minutes out_of_range"},
		{"a viewer", b.viewer, limits(30, 480), "forbidden"},
		{"as long as the installation's", b.admin, limits(720, 10080), ""},
		{"both shorter", b.admin, limits(30, 480), ""},
		{"the same again", b.admin, limits(30, 480), ""},
		{"back", b.admin, limits(0, 0), ""},
	}
	for _, tt := range tests {
		if _, err := b.svc.ChangeWorkspace(ctx, tt.by, tt.in); code(err) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, code(err), tt.want)
		}
	}
	if n := b.audited(t, b.ws, "session_limits.changed"); n != 3 {
		t.Errorf("recorded %d times, want 3", n)
	}
	if n := b.audited(t, b.ws, "workspace.updated"); n != 0 {
		t.Errorf("recorded %d times as another change", n)
	}
	var diff string
	if err := b.Admin(t).QueryRow(ctx, `SELECT diff::text FROM audit.event WHERE workspace_id = $1 AND action = 'session_limits.changed'
		ORDER BY occurred_at, event_id OFFSET 1 LIMIT 1`, b.ws).Scan(&diff); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"session_idle_minutes", "720", "30", "session_absolute_minutes", "480"} {
		if !strings.Contains(diff, part) {
			t.Errorf("the entry does not say %s: %s", part, diff)
		}
	}
}

func TestSessionLimitsAreChosenOnTheSettingsPage(t *testing.T) {
	t.Parallel()
	s := open(t)
	const page = "/ws/acme/settings"
	s.get(adminMail, page).want(t, "page", 200, "12 hours, as in the whole installation", "7 days, as in the whole installation", `value="480"`)
	form := func(idle, absolute, version string) url.Values {
		return url.Values{"session_idle_minutes": {idle}, "session_absolute_minutes": {absolute}, "version": {version}}
	}
	s.post(adminMail, page+"/sessions", form("9999", "0", "1")).want(t, "too long", 422, "A workspace can only shorten sessions", "12 hours")
	s.post(adminMail, page+"/sessions", form("45", "480", "1")).want(t, "saved", 303, page)
	s.get(adminMail, page).want(t, "a time that is not offered", 200, `<option value="45" selected`, "45 minutes", `<option value="480" selected`)
	s.post(adminMail, page+"/sessions", form("30", "480", "1")).want(t, "saved over another version", 409, "Saved meanwhile", "45 minutes", "30 minutes")
	r := s.do(request{method: "PATCH", path: "/ws/acme/api/v1/workspace", as: adminMail, json: `{"session_idle_minutes":60}`})
	r.want(t, "by the API", 200, `"session_idle_minutes":60`, `"session_absolute_minutes":480`, `"plan":"enterprise"`)
}
