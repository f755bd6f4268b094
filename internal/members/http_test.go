package members

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
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

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// door lets people in by their e-mail address: what module identity does with cookies.
// Their place in the workspace comes from the database.
type door struct {
	b      *bench
	people map[string]db.Actor
}

func (d *door) Session(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := d.people[token]
	if !ok {
		return web.Principal{}, false, nil
	}
	p := web.Principal{Kind: db.ActorUser, ID: a.UserID, User: web.User{ID: a.UserID, Name: a.Name, Email: a.Email, TimeZone: "UTC"}, AuthMethod: "dev"}
	rows, err := d.b.SystemRead().Query(ctx, `SELECT w.id, w.slug, w.name, m.role FROM members m JOIN workspaces w ON w.id = m.workspace_id
		WHERE m.user_id = $1 AND m.state = 'active'`, a.UserID)
	if err != nil {
		return p, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var w web.Workspace
		var role access.Role
		if err := rows.Scan(&w.ID, &w.Slug, &w.Name, &role); err != nil {
			return p, false, err
		}
		p.Memberships = append(p.Memberships, web.Membership{Slug: w.Slug, Name: w.Name, Role: role})
		if w.Slug == slug {
			p.Workspace, p.Role = &w, role
		}
	}
	return p, true, rows.Err()
}

func (d *door) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return d.Session(ctx, token, slug)
}

// site is the module behind a real server.
type site struct {
	*bench
	t      *testing.T
	srv    *httptest.Server
	people map[string]db.Actor
	routes []web.Route
}

func open(t *testing.T) *site {
	t.Helper()
	b := setUp(t)
	people := map[string]db.Actor{}
	for _, a := range []db.Actor{b.owner, b.admin, b.viewer, b.strang} {
		people[a.Email] = a
	}
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Options{
		Policy: b.policy, Auth: &door{b: b, people: people}, Clock: b.clk, Log: slog.New(slog.DiscardHandler), BaseURL: base, Nav: b.svc.Module().Nav,
	})
	b.svc.SetNav(b.svc.Module().Nav)
	m := b.svc.Module()
	m.Routes(s.Module("members"))
	m.API(api.New(s, b.DB.DB, dbtest.Keyring(t), "test").Module("members"))
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return &site{bench: b, t: t, srv: srv, people: people, routes: s.Routes()}
}

type reply struct {
	status   int
	location string
	header   http.Header
	body     string
}

type request struct {
	method, path, as string
	form             url.Values
	json             string
	header           map[string]string
	raw              io.Reader
	contentType      string
}

func (s *site) do(r request) reply {
	s.t.Helper()
	body := r.raw
	if r.form != nil {
		body, r.contentType = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	}
	if r.json != "" {
		body, r.contentType = strings.NewReader(r.json), "application/json"
	}
	req, err := http.NewRequest(r.method, s.srv.URL+r.path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	if r.as != "" {
		if strings.Contains(r.path, "/api/") {
			req.Header.Set("Authorization", "Bearer "+r.as)
		} else {
			req.AddCookie(&http.Cookie{Name: "vigilo", Value: r.as})
		}
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
	return reply{status: res.StatusCode, location: res.Header.Get("Location"), header: res.Header, body: string(raw)}
}

func (s *site) get(as, path string) reply { return s.do(request{method: "GET", path: path, as: as}) }

func (s *site) post(as, path string, form url.Values) reply {
	if form == nil {
		form = url.Values{}
	}
	return s.do(request{method: "POST", path: path, as: as, form: form})
}

func (r reply) want(t *testing.T, name string, status int, texts ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("%s: status %d, want %d: %.300s", name, r.status, status, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(r.body+"\n"+r.location, text) {
			t.Errorf("%s: no %q in the answer", name, text)
		}
	}
}

const (
	ownerMail, adminMail   = "olga.owner@example.test", "adam.admin@example.test"
	viewerMail, strangMail = "vera.viewer@example.test", "stan.stranger@example.test"
)

var inlined = regexp.MustCompile(`<script>|\sstyle=|\son[a-z]+=`)

func TestEveryPageIsDrawnForWhoMayAndRefusedToOthers(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := context.Background()
	member := s.memberID(t, s.ws, s.viewer).String()
	inv := s.invite(t, "mara@example.com", access.Member).ID.String()
	rule := s.rule(t, "staff", access.Viewer).ID.String()
	g, err := s.svc.CreateGroup(ctx, s.admin, "Ops", []uuid.UUID{s.memberID(t, s.ws, s.viewer)})
	if err != nil {
		t.Fatal(err)
	}
	all, admins := []string{viewerMail, adminMail, ownerMail}, []string{adminMail, ownerMail}
	pages := map[string][]string{
		"": all, "/getting-started": all, "/search": all, "/search?q=vera": all, "/members": all, "/members?q=nobody": all,
		"/members?sort=-role&state=active": all, "/members/" + member: all, "/members/groups": all, "/members/groups/" + g.ID.String(): all,
		"/settings": admins, "/members/invitations": admins, "/members/invitations?state=all": admins, "/members/invitations?state=expired": admins,
		"/members/invitations/new": admins, "/members/invitations/import": admins, "/members/invitations/" + inv + "/revoke": admins,
		"/members/mappings": admins, "/members/mappings/" + rule + "/delete": admins, "/members/groups/new": admins,
		"/members/groups/" + g.ID.String() + "/delete": admins, "/members/" + member + "/remove": admins,
	}
	for page, may := range pages {
		for _, who := range all {
			r := s.get(who, "/ws/acme"+page)
			want := http.StatusForbidden
			if slices.Contains(may, who) {
				want = http.StatusOK
			}
			r.want(t, page+" for "+who, want)
			if n := strings.Count(r.body, "<h1"); n != 1 {
				t.Errorf("%s for %s: %d main headings", page, who, n)
			}
			if found := inlined.FindString(r.body); found != "" {
				t.Errorf("%s for %s holds %q, which the policy blocks", page, who, found)
			}
		}
		s.get(strangMail, "/ws/acme"+page).want(t, page+" for a stranger", http.StatusNotFound)
		s.get("", "/ws/acme"+page).want(t, page+" for nobody", http.StatusSeeOther, "/login?return_to=")
	}
	// Ids of another workspace are not there, whatever the page.
	for _, page := range []string{"/members/" + member, "/members/" + member + "/remove", "/members/groups/" + g.ID.String(), "/members/mappings/" + rule + "/delete", "/members/invitations/" + inv + "/revoke"} {
		s.get(strangMail, "/ws/globex"+page).want(t, page+" elsewhere", http.StatusNotFound)
	}
	for _, page := range []string{"/members/1", "/members/groups/x", "/members/mappings/x/delete", "/members/invitations/%00/revoke"} {
		s.get(adminMail, "/ws/acme"+page).want(t, page, http.StatusNotFound)
	}
}

func TestEveryRouteRefusesARoleThatIsTooLow(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, r := range s.routes {
		if r.Module != "members" || r.Scope != web.InWorkspace || r.Permission == ReadMembers || r.Permission == ReadWorkspace {
			continue
		}
		path := strings.NewReplacer("{slug}", "acme", "{id}", uuid.NewString(), "{key}", "K-1").Replace(r.Pattern)
		req := request{method: r.Method, path: path, as: viewerMail}
		if r.API && r.Method != http.MethodGet {
			req.json = "{}"
		}
		s.do(req).want(t, r.Method+" "+r.Pattern, http.StatusForbidden)
	}
}

func TestAPersonCreatesAWorkspaceInTheBrowser(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.people["mara"] = s.user(t, "Mara Lind", "mara@example.com", true)
	s.get("mara", "/workspaces").want(t, "no workspace yet", 200, "You belong to no workspace yet")
	s.get("mara", "/workspaces/new").want(t, "form", 200, `hx-select="#slug-field"`)
	s.get("mara", "/workspaces/new?name=Acme").want(t, "proposal", 200, `value="acme-2"`)
	s.get("mara", "/workspaces/new?name=Acme&slug=mine&proposed=acm").want(t, "own slug stays", 200, `name="slug" type="text" value="mine"`)
	s.post("mara", "/workspaces/new", url.Values{"name": {"Acme"}, "slug": {"acme"}}).want(t, "taken", 422, "This address is taken", `value="Acme"`)
	s.post("mara", "/workspaces/new", url.Values{"name": {""}}).want(t, "empty", 422, "A name is needed")
	s.post("mara", "/workspaces/new", url.Values{"name": {"<b>"}, "time_zone": {"<i>"}}).want(t, "markup", 422, "&lt;b&gt;")
	r := s.post("mara", "/workspaces/new", url.Values{"name": {"Acme"}})
	r.want(t, "created", 303, "/ws/acme-2/getting-started")
	s.get("mara", r.location).want(t, "getting started", 200, "Invite a colleague", "0 of 1 step done")
	s.get("mara", "/ws/acme-2").want(t, "home", 200, "/ws/acme-2/getting-started")
	s.post("mara", "/ws/acme-2/members/invitations/new", url.Values{"email": {"otto@example.com"}, "role": {"viewer"}}).want(t, "invite", 200, "shown only once")
	s.get("mara", r.location).want(t, "ticked off", 200, "All first steps are done")
	s.get("", "/workspaces/new").want(t, "nobody", 303, "/login")
}

func TestSettingsShowBothVersionsAfterAConflict(t *testing.T) {
	t.Parallel()
	s := open(t)
	form := url.Values{"name": {"Acme Group"}, "time_zone": {"Europe/Oslo"}, "version": {"1"}}
	s.post(adminMail, "/ws/acme/settings", form).want(t, "saved", 303, "/ws/acme/settings")
	form.Set("name", "Mine")
	s.post(ownerMail, "/ws/acme/settings", form).want(t, "conflict", 409, "Saved meanwhile", "Acme Group", `value="Mine"`, `name="version" value="2"`)
	form.Set("version", "2")
	form.Set("time_zone", "Nowhere")
	s.post(ownerMail, "/ws/acme/settings", form).want(t, "wrong zone", 422, "Choose a time zone", `value="Nowhere"`)
	form.Set("time_zone", "UTC")
	s.post(ownerMail, "/ws/acme/settings", form).want(t, "saved again", 303)
}

func TestMembersAreChangedOnTheirPage(t *testing.T) {
	t.Parallel()
	s := open(t)
	viewer, owner := s.memberID(t, s.ws, s.viewer).String(), s.memberID(t, s.ws, s.owner).String()
	path := "/ws/acme/members/" + viewer
	s.post(adminMail, path, url.Values{"role": {"approver"}, "version": {"1"}}).want(t, "role", 303, path)
	s.post(adminMail, path, url.Values{"role": {"member"}, "version": {"1"}}).want(t, "old version", 409, "Somebody changed this meanwhile")
	s.post(adminMail, path, url.Values{"role": {"king"}, "version": {"2"}}).want(t, "no such role", 422, "Choose a role")
	s.post(adminMail, path, url.Values{"role": {"owner"}, "version": {"2"}}).want(t, "owner by admin", 403, "Only an owner")
	s.post(adminMail, path+"/suspend", nil).want(t, "suspend", 303)
	s.get(viewerMail, "/ws/acme/members").want(t, "suspended", 404)
	s.get(adminMail, "/ws/acme/members?state=suspended").want(t, "filter", 200, "Vera Viewer", "Remove filter: State is Suspended")
	s.post(adminMail, path+"/resume", nil).want(t, "resume", 303)
	s.post(ownerMail, "/ws/acme/members/"+owner, url.Values{"role": {"admin"}, "version": {"1"}}).want(t, "last owner", 409, "Promote someone else to owner first")
	s.get(ownerMail, "/ws/acme/members/"+owner+"/remove").want(t, "confirm", 200, "Leave acme?")
	s.post(ownerMail, "/ws/acme/members/"+owner+"/remove", nil).want(t, "last owner leaves", 409, "Promote someone else to owner first")
	s.post(adminMail, path+"/remove", nil).want(t, "remove", 303, "/ws/acme/members")
	s.get(adminMail, path).want(t, "gone", 404)
}

func TestTheListOfMembersIsExportedWithoutFormulas(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := s.Admin(t).Exec(context.Background(), `UPDATE users SET name = '=cmd()' WHERE id = $1`, s.viewer.UserID); err != nil {
		t.Fatal(err)
	}
	r := s.get(viewerMail, "/ws/acme/members?format=csv&role=viewer")
	r.want(t, "export", 200)
	rows, err := csv.NewReader(strings.NewReader(r.body)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != "'=cmd()" || rows[1][2] != "viewer" {
		t.Errorf("%v, %v", rows, err)
	}
	if n := s.audited(t, s.ws, "member.exported"); n != 1 {
		t.Errorf("recorded %d times", n)
	}
}

func TestAFileOfInvitationsIsUploaded(t *testing.T) {
	t.Parallel()
	s := open(t)
	const path = "/ws/acme/members/invitations/import"
	s.post(adminMail, path, url.Values{"rows": {"a@example.com,member\nbad,member\nc@example.com,king"}}).
		want(t, "problems", 422, "Row 2: Use a full e-mail address", "Row 3: Choose a role", "bad,member")
	if n := s.count(t, `SELECT count(*) FROM invitations`); n != 0 {
		t.Fatalf("%d invitations were half written", n)
	}
	s.post(adminMail, path, url.Values{"rows": {""}}).want(t, "nothing", 422, "Paste at least one line")
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("file", "people.csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte("email,role\na@example.com,member\nb@example.com,viewer\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.do(request{method: "POST", path: path, as: adminMail, raw: &body, contentType: w.FormDataContentType()})
	r.want(t, "upload", 200, "a@example.com,https://vigilo.test/invitations/inv_", "2 invitations ready")
	if r.header.Get("Cache-Control") != "no-store" {
		t.Error("a page with links may be cached")
	}
	s.get(adminMail, "/ws/acme/members/invitations").want(t, "list", 200, "a@example.com", "in 7 days", "Adam Admin")
}

func TestTheLinkOfAnInvitationLeadsIntoTheWorkspace(t *testing.T) {
	t.Parallel()
	s := open(t)
	issued := s.invite(t, "mara@example.com", access.Member)
	s.people["mara"], s.people["otto"] = s.user(t, "Mara Lind", "mara@example.com", true), s.user(t, "Otto", "otto@example.com", true)
	path := strings.TrimPrefix(issued.Link, "https://vigilo.test")
	s.get("", path).want(t, "nobody", 200, "Sign in to accept", "/login?return_to=%2Finvitations%2Finv_", "Adam Admin invites you")
	s.post("", path, nil).want(t, "accept as nobody", 401, "session has ended")
	s.get("otto", path).want(t, "another", 403, "you are signed in as otto@example.com")
	s.post("otto", path, nil).want(t, "accept as another", 403, "you are signed in as otto@example.com")
	s.get("mara", path).want(t, "mara", 200, "Accept and open the workspace")
	s.post("mara", path, nil).want(t, "accept", 303, "/ws/acme")
	s.get("mara", "/ws/acme").want(t, "inside", 200)
	s.get("mara", path).want(t, "used", 409, "was used already")
	s.get("", "/invitations/inv_x").want(t, "unknown", 404, "not valid")
	gone := s.invite(t, "otto@example.com", access.Member)
	s.post(adminMail, "/ws/acme/members/invitations/"+gone.ID.String()+"/revoke", nil).want(t, "revoke", 303)
	s.get("otto", strings.TrimPrefix(gone.Link, "https://vigilo.test")).want(t, "revoked", 409, "was withdrawn")
}

func TestRulesAndGroupsAreEditedInTheBrowser(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.post(adminMail, "/ws/acme/members/mappings", url.Values{"claim_value": {"staff"}, "role": {"viewer"}}).want(t, "rule", 303)
	s.post(adminMail, "/ws/acme/members/mappings", url.Values{"claim_value": {"staff"}, "role": {"admin"}}).want(t, "again", 422, "There is a rule for this group already", `value="staff"`)
	s.get(adminMail, "/ws/acme/members/mappings").want(t, "list", 200, "staff")
	r := s.post(adminMail, "/ws/acme/members/groups/new", url.Values{"name": {"Ops"}})
	r.want(t, "group", 303, "/ws/acme/members/groups/")
	s.post(adminMail, "/ws/acme/members/groups/new", url.Values{"name": {"Ops"}}).want(t, "same name", 422, "There is a group of this name already")
	s.post(adminMail, r.location+"/people", url.Values{"email": {viewerMail}}).want(t, "add", 303)
	s.post(adminMail, r.location+"/people", url.Values{"email": {"nobody@example.com"}}).want(t, "add a stranger", 422, "No member has this address", `value="nobody@example.com"`)
	s.get(viewerMail, r.location).want(t, "seen by a viewer", 200, "Vera Viewer")
	s.post(adminMail, r.location, url.Values{"name": {"Network"}, "version": {"1"}}).want(t, "old version", 409)
	s.post(adminMail, r.location, url.Values{"name": {"Network"}, "version": {"2"}}).want(t, "rename", 303)
	s.post(adminMail, r.location+"/people/remove", url.Values{"member": {s.memberID(t, s.ws, s.viewer).String()}}).want(t, "take out", 303)
	s.get(adminMail, r.location).want(t, "empty", 200, "Nobody is in this group", "Network")
	s.post(adminMail, r.location+"/delete", nil).want(t, "delete", 303)
	s.get(adminMail, r.location).want(t, "gone", 404)
}

func TestHomeShowsWhatItsProvidersSay(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.get(adminMail, "/ws/acme").want(t, "calm", 200, "Nothing needs you now")
	s.svc.AddHome(func(*db.Batch, db.Actor) func() HomeSection { return func() HomeSection { return HomeSection{} } })
	s.svc.AddHome(func(b *db.Batch, a db.Actor) func() HomeSection {
		alone := hasColleague.Queue(b, nil)
		return func() HomeSection {
			if has, _ := alone.First(); !has {
				t.Error("the section was made before the batch ran")
			}
			return HomeSection{
				Title: "Certificates", Href: "/certificates", Items: []HomeItem{{Title: a.Name, Href: "/certificates/1", Meta: "6 days", Tone: "crit", Icon: "clock"}},
			}
		}
	})
	s.svc.AddHome(func(*db.Batch, db.Actor) func() HomeSection {
		return func() HomeSection { return HomeSection{Title: "Alerts", Empty: "No alert is firing."} }
	})
	s.get(adminMail, "/ws/acme").want(t, "two sections", 200, "1 thing to look at", "Adam Admin", "/ws/acme/certificates/1", "6 days", "No alert is firing.")
}

func TestSearchFindsRecordsPagesAndActions(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.index.Add(nil, []search.Resolver{{Type: "change", Label: "Change", ByKey: func(_ context.Context, _ *db.Tx, key string) (search.Ref, bool, error) {
		return search.Ref{Title: "A change", Path: "/changes/1"}, key == "CHG-00012", nil
	}}})
	s.get(viewerMail, "/ws/acme/search?q=VERA").want(t, "a person", 200, "/ws/acme/members/"+s.memberID(t, s.ws, s.viewer).String())
	s.get(viewerMail, "/ws/acme/search?q=stan").want(t, "a stranger", 200, "Nothing matches")
	s.get(adminMail, "/ws/acme/search?q=settings").want(t, "a page", 200, `href="/ws/acme/settings"`)
	r := s.get(viewerMail, "/ws/acme/search?q=settings")
	r.want(t, "a page that a viewer may not open", 200, "Nothing matches")
	palette := s.do(request{method: "GET", path: "/ws/acme/search?q=inv", as: adminMail, header: map[string]string{"HX-Request": "true"}})
	palette.want(t, "palette", 200, `role="option"`, `data-href="/ws/acme/members/invitations/new"`)
	if strings.Contains(palette.body, "<html") {
		t.Error("the palette got a whole page")
	}
	s.get(viewerMail, "/ws/acme/go/chg-00012").want(t, "key", 303, "/ws/acme/changes/1")
	s.get(viewerMail, "/ws/acme/go/CHG-9").want(t, "no such key", 404)
	s.get(viewerMail, "/ws/acme/search?q="+strings.Repeat("x", 300)).want(t, "too long", 422)
}

func TestTheAPIDoesWhatThePagesDo(t *testing.T) {
	t.Parallel()
	s := open(t)
	const base = "/ws/acme/api/v1"
	call := func(as, method, path, body string) reply {
		t.Helper()
		return s.do(request{method: method, path: base + path, as: as, json: body})
	}
	member := s.memberID(t, s.ws, s.viewer).String()
	call(viewerMail, "GET", "/members?role=viewer&limit=1", "").want(t, "list", 200, `"email":"vera.viewer@example.test"`, `"next_cursor":null`)
	call(viewerMail, "GET", "/members?colour=red", "").want(t, "unknown parameter", 422, "unknown_parameter")
	call(viewerMail, "GET", "/members?sort=shoe", "").want(t, "unknown order", 422, "email, joined, last_seen, name, role")
	call(viewerMail, "GET", "/members?q=%00", "").want(t, "a NUL", 422)
	call(adminMail, "PATCH", "/members/"+member, `{"role":"approver","version":1}`).want(t, "role", 200, `"role":"approver"`, `"version":2`)
	call(adminMail, "PATCH", "/members/"+member, `{"role":"member","version":1}`).want(t, "old version", 409, "version_conflict", "current_version")
	call(adminMail, "PATCH", "/members/"+member, `{"role":"king"}`).want(t, "no such role", 422)
	call(adminMail, "PATCH", "/members/"+member, `{"role":"owner"}`).want(t, "owner by admin", 403, "forbidden")
	call(adminMail, "PATCH", "/members/"+member, `{"state":"suspended"}`).want(t, "suspend", 200, `"state":"suspended"`)
	call(adminMail, "PATCH", "/members/nonsense", `{}`).want(t, "no id", 404, "not_found")
	call(strangMail, "GET", "/members", "").want(t, "a stranger", 404)

	r := call(adminMail, "POST", "/invitations", `{"email":"mara@example.com","role":"member"}`)
	r.want(t, "invite", 201, `"state":"pending"`, `"link":"https://vigilo.test/invitations/inv_`, base+"/invitations/")
	var inv struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &inv); err != nil {
		t.Fatal(err)
	}
	call(adminMail, "POST", "/invitations", `{"email":"mara","role":"member"}`).want(t, "no address", 422, `"field":"email"`)
	pending := call(adminMail, "GET", "/invitations?state=pending", "")
	pending.want(t, "pending", 200, "mara@example.com")
	if strings.Contains(pending.body, "link") {
		t.Error("the list shows links")
	}
	call(adminMail, "POST", "/invitations/"+inv.ID+"/resend", "").want(t, "resend", 200, `"link"`)
	call(adminMail, "DELETE", "/invitations/"+inv.ID, "").want(t, "revoke", 204)
	call(adminMail, "DELETE", "/invitations/"+inv.ID, "").want(t, "revoke again", 409)
	call(adminMail, "GET", "/invitations?state=revoked", "").want(t, "revoked", 200, "mara@example.com")

	r = call(adminMail, "POST", "/groups", `{"name":"Ops","members":["`+member+`"]}`)
	r.want(t, "group", 201, `"size":1`, member)
	var g struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &g); err != nil {
		t.Fatal(err)
	}
	call(adminMail, "PUT", "/groups/"+g.ID+"/members", `{"members":[]}`).want(t, "empty it", 200, `"size":0`)
	call(adminMail, "PUT", "/groups/"+g.ID+"/members", `{"members":["x"]}`).want(t, "no id", 422, `"field":"members"`)
	call(adminMail, "PUT", "/groups/"+g.ID+"/members", `{"members":["`+uuid.NewString()+`"]}`).want(t, "no member", 422, "unknown_member")
	call(adminMail, "PATCH", "/groups/"+g.ID, `{"name":"Network"}`).want(t, "rename", 200, "Network")
	call(viewerMail, "GET", "/groups", "").want(t, "suspended", 404)
	call(adminMail, "GET", "/groups", "").want(t, "groups", 200, "Network")
	call(adminMail, "DELETE", "/groups/"+g.ID, "").want(t, "delete", 204)
	call(adminMail, "GET", "/groups/"+g.ID, "").want(t, "gone", 404)

	r = call(adminMail, "POST", "/group-mappings", `{"claim_value":"staff","role":"viewer"}`)
	r.want(t, "rule", 201, `"claim_value":"staff"`)
	call(adminMail, "GET", "/group-mappings", "").want(t, "rules", 200, "staff")
	call(adminMail, "DELETE", strings.TrimPrefix(r.location, base), "").want(t, "delete rule", 204)

	call(adminMail, "GET", "/workspace", "").want(t, "workspace", 200, `"slug":"acme"`)
	call(adminMail, "PATCH", "/workspace", `{"name":"Acme Group"}`).want(t, "rename workspace", 200, "Acme Group")
	call(adminMail, "PATCH", "/workspace", `{"time_zone":"Nowhere"}`).want(t, "wrong zone", 422, `"field":"time_zone"`)
	call(adminMail, "DELETE", "/members/"+member, "").want(t, "remove", 204)
	call(adminMail, "DELETE", "/members/"+member, "").want(t, "remove again", 404)
}
