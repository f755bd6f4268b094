package identity

import (
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

func mustAddr(t *testing.T, text string) netip.Addr {
	t.Helper()
	ip, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return ip
}

func TestLandingPrefersThePageThenTheLastThenTheirOwnWorkspace(t *testing.T) {
	t.Parallel()
	one, two := place{Slug: "acme"}, place{Slug: "beta"}
	tests := []struct {
		name, returnTo, last string
		places               []place
		admin                bool
		want                 string
	}{
		{"page asked for", "/ws/x?y=1", "acme", []place{one}, false, "/ws/x?y=1"},
		{"start page is no page", "/", "beta", []place{one, two}, false, "/ws/beta"},
		{"sign-in page is no page", "/login?return_to=/x", "", []place{one}, false, "/ws/acme"},
		{"only workspace", "", "", []place{one}, false, "/ws/acme"},
		{"last one was left", "", "gone", []place{two}, false, "/ws/beta"},
		{"several and none visited", "", "", []place{one, two}, false, "/ws/acme"},
		{"none", "", "", nil, false, "/workspaces/new"},
		{"none left", "", "gone", nil, false, "/workspaces/new"},
		{"platform admin was in a workspace of others", "", "gone", nil, true, "/ws/gone"},
	}
	for _, tc := range tests {
		if got := landing(tc.returnTo, tc.places, tc.last, tc.admin); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestDeviceIsNamedInAFewWords(t *testing.T) {
	t.Parallel()
	for ua, want := range map[string]string{
		chrome: "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36 Edg/142.0":                   "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 14.5; rv:144.0) Gecko/20100101 Firefox/144.0":                                                     "Firefox on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"curl/8.5.0": "curl",
		"":           "Unknown device",
	} {
		if got := device(ua); got != want {
			t.Errorf("device(%q) = %q, want %q", ua, got, want)
		}
	}
}

func TestRolesDigestChangesWithRightsAndNotWithNames(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	base := []place{{WorkspaceID: a, Name: "A", Role: access.Viewer}, {WorkspaceID: b, Name: "B", Role: access.Admin}}
	renamed := []place{{WorkspaceID: b, Name: "A2", Role: access.Admin}, {WorkspaceID: a, Name: "Z", Role: access.Viewer}}
	promoted := []place{{WorkspaceID: a, Name: "A", Role: access.Member}, {WorkspaceID: b, Name: "B", Role: access.Admin}}
	if !cmp.Equal(rolesDigest(base, false), rolesDigest(renamed, false)) {
		t.Error("names and order count")
	}
	for name, other := range map[string][]byte{
		"a role": rolesDigest(promoted, false), "a membership": rolesDigest(base[:1], false), "platform admin": rolesDigest(base, true),
	} {
		if cmp.Equal(rolesDigest(base, false), other) {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestEveryTimeZoneOfTheListLoads(t *testing.T) {
	t.Parallel()
	if len(zones()) < 400 {
		t.Fatalf("%d zones", len(zones()))
	}
	for _, name := range zones() {
		if _, err := time.LoadLocation(name); err != nil {
			t.Error(err)
		}
	}
}

func TestSessionKnowsPersonWorkspaceAndMemberships(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme, beta, other := b.Workspace(t, "acme"), b.Workspace(t, "beta"), b.Workspace(t, "other")
	mara := b.Member(t, acme, "Mara Lind", "admin")
	b.join(t, beta, mara.UserID, "viewer")
	b.Member(t, other, "Somebody Else", "owner")
	token := b.session(t, mara)
	p, ok, err := b.svc.Session(t.Context(), token, "acme")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if p.SignedInAt.IsZero() {
		t.Error("the session does not say when the person signed in")
	}
	want := web.Principal{
		Kind: 1, ID: mara.UserID, SessionID: p.SessionID, SignedInAt: p.SignedInAt, AuthMethod: "dev", Role: access.Admin,
		User:        web.User{ID: mara.UserID, Name: "Mara Lind", Email: "mara.lind@example.test", TimeZone: "UTC", Theme: "system", Shortcuts: true},
		Workspace:   &web.Workspace{ID: acme, Slug: "acme", Name: "acme", TimeZone: "UTC"},
		Memberships: []web.Membership{{Slug: "acme", Name: "acme", Role: access.Admin}, {Slug: "beta", Name: "beta", Role: access.Viewer}},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	for _, slug := range []string{"other", "absent", "", "ACME", "a\x00b", "\xff", "acme'--"} {
		p, ok, err := b.svc.Session(t.Context(), token, slug)
		if err != nil || !ok || p.Workspace != nil || p.Role != "" {
			t.Errorf("slug %q: workspace %v, role %q, %v", slug, p.Workspace, p.Role, err)
		}
	}
	if p, _, err = b.svc.Session(t.Context(), token, ""); err != nil || p.LastWorkspace != "acme" {
		t.Errorf("last workspace %q, %v", p.LastWorkspace, err)
	}
	for _, bad := range []string{"", "x", strings.Repeat("x", 43), token + "x", token[:42], strings.Repeat("é", 43), "vgl_" + token} {
		if _, ok, err := b.svc.Session(t.Context(), bad, "acme"); ok || err != nil {
			t.Errorf("token %q: %v %v", bad, ok, err)
		}
	}
}

func TestSuspendedMembershipLooksLikeNone(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	mara := b.Member(t, acme, "Mara Lind", "admin")
	token := b.session(t, mara)
	b.exec(t, `UPDATE members SET state = 'suspended'`)
	p, ok, err := b.svc.Session(t.Context(), token, "acme")
	if err != nil || !ok || p.Workspace != nil || len(p.Memberships) != 0 {
		t.Errorf("%+v %v %v", p, ok, err)
	}
}

func TestPlatformAdminIsOwnerEverywhereButKeepsTheirOwnRole(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	b.Workspace(t, "beta")
	mara := b.Member(t, acme, "Mara Lind", "viewer")
	b.exec(t, `UPDATE users SET platform_admin = true`)
	token := b.session(t, mara)
	for slug, want := range map[string]access.Role{"acme": access.Viewer, "beta": access.Owner} {
		p, _, err := b.svc.Session(t.Context(), token, slug)
		if err != nil || p.Workspace == nil || p.Role != want || !p.User.PlatformAdmin {
			t.Errorf("%s: role %q, workspace %v, %v", slug, p.Role, p.Workspace, err)
		}
	}
	if p, _, err := b.svc.Session(t.Context(), token, "absent"); err != nil || p.Workspace != nil {
		t.Errorf("a workspace that does not exist: %v %v", p.Workspace, err)
	}
}

func TestSessionEndsIdleAndAtItsAbsoluteAge(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "member")
	idle, used := b.session(t, mara), b.session(t, mara)
	b.clock.Advance(DefaultIdle - time.Second)
	if !b.knows(t, used) {
		t.Fatal("a session ended before it was idle for long enough")
	}
	b.clock.Advance(time.Second)
	if b.knows(t, idle) {
		t.Error("an idle session lives on")
	}
	for elapsed := DefaultIdle; elapsed+time.Hour < DefaultAbsolute; elapsed += time.Hour {
		b.clock.Advance(time.Hour)
		if !b.knows(t, used) {
			t.Fatalf("a session in use ended after %s", elapsed)
		}
	}
	b.clock.Advance(time.Hour)
	if b.knows(t, used) {
		t.Error("a session outlived its absolute age")
	}
	if err := b.svc.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM sessions`); n != 2 {
		t.Errorf("%d sessions kept, want 2 for their retention", n)
	}
	b.clock.Advance(retention + time.Second)
	if err := b.svc.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM sessions`); n != 0 {
		t.Errorf("%d sessions survived the sweep", n)
	}
}

func TestDisabledPersonAndRevokedSessionAreNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "member")
	token := b.session(t, mara)
	b.exec(t, `UPDATE users SET disabled_at = now()`)
	if b.knows(t, token) {
		t.Error("a disabled person is signed in")
	}
	b.exec(t, `UPDATE users SET disabled_at = NULL`)
	if !b.knows(t, token) {
		t.Fatal("the session did not come back")
	}
	if err := b.svc.EndSessionsOf(t.Context(), mara.UserID, mara); err != nil {
		t.Fatal(err)
	}
	if b.knows(t, token) {
		t.Error("a revoked session lives on")
	}
}

func TestUseIsWrittenAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "member")
	token := b.session(t, mara)
	seen := func() (session, member time.Time) {
		t.Helper()
		if _, ok, err := b.svc.Session(t.Context(), token, "acme"); err != nil || !ok {
			t.Fatal(ok, err)
		}
		err := b.Admin(t).QueryRow(t.Context(), `SELECT s.last_seen_at, m.last_seen_at FROM sessions s JOIN members m USING (user_id)`).Scan(&session, &member)
		if err != nil {
			t.Fatal(err)
		}
		return session, member
	}
	first, member := seen()
	if !member.Equal(b.clock.Now()) {
		t.Errorf("the membership was last seen %s", member)
	}
	b.clock.Advance(59 * time.Second)
	if again, _ := seen(); !again.Equal(first) {
		t.Error("written within the minute")
	}
	b.clock.Advance(time.Second)
	if again, member := seen(); !again.Equal(b.clock.Now()) || !member.Equal(b.clock.Now()) {
		t.Error("not written after a minute")
	}
}

func TestRoleChangeRenewsTheTokenOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "member")
	br := b.browser(t).use(b.session(t, mara))
	br.get("/account")
	old := br.sessionToken()
	br.get("/account")
	if br.sessionToken() != old {
		t.Fatal("the token changed although no right did")
	}
	b.exec(t, `UPDATE members SET role = 'admin'`)
	br.get("/account")
	renewed := br.sessionToken()
	if renewed == old || !b.knows(t, renewed) {
		t.Fatal("the token did not change with the role")
	}
	if !b.knows(t, old) {
		t.Error("a request under way with the former token is refused")
	}
	if p, _, err := b.svc.Session(t.Context(), old, ""); err != nil || p.NewToken != "" {
		t.Error("the former token was renewed too")
	}
	b.clock.Advance(renewalGrace)
	if b.knows(t, old) {
		t.Error("the former token lives on")
	}
	if !b.knows(t, renewed) {
		t.Error("the new token does not")
	}
}

func TestStolenDumpGivesNothingUsable(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)
	b.signIn(t, br, "/login/oidc", "ada", "engine")
	session := br.sessionToken()
	ws := b.Workspace(t, "acme")
	b.join(t, ws, b.userOf(t, "u-ada"), "member")
	p, _, err := b.svc.Session(t.Context(), session, "acme")
	if err != nil {
		t.Fatal(err)
	}
	actor := b.Member(t, ws, "Mara Lind", "member")
	token, err := b.svc.CreatePersonalToken(t.Context(), actor, "script", nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var dump strings.Builder
	for _, table := range []string{"sessions", "api_tokens", "users", "user_identities", "events", "audit.event", "river.river_job"} {
		var text string
		if err := b.Admin(t).QueryRow(t.Context(), `SELECT coalesce(string_agg(x::text, E'\n'), '') FROM `+table+` x`).Scan(&text); err != nil {
			t.Fatal(err)
		}
		dump.WriteString(text)
	}
	for name, secretText := range map[string]string{"session": session, "token": token, "rest of the token": strings.TrimPrefix(token, TokenPrefix)[8:], "ID token": "eyJ"} {
		if strings.Contains(dump.String(), secretText) || strings.Contains(dump.String(), hex.EncodeToString([]byte(secretText))) {
			t.Errorf("the %s is in the dump", name)
		}
	}
	hash := hex.EncodeToString(secret.HashToken(session))
	if !strings.Contains(dump.String(), hash) {
		t.Error("the dump does not hold the hash, so the test looked at nothing")
	}
	if b.knows(t, hash[:43]) || p.SessionID == uuid.Nil {
		t.Error("the hash is usable")
	}
}

func TestSignInAndSignOutAreRecordedInEachWorkspaceOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme, beta, gone := b.Workspace(t, "acme"), b.Workspace(t, "beta"), b.Workspace(t, "gone")
	u, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "mara@example.test", Name: "Mara"})
	if err != nil {
		t.Fatal(err)
	}
	b.join(t, acme, u.ID, "member")
	b.join(t, beta, u.ID, "viewer")
	b.join(t, gone, u.ID, "viewer")
	b.exec(t, `UPDATE members SET state = 'suspended' WHERE workspace_id = $1`, gone)
	br := b.browser(t)
	br.post("/login/dev", url.Values{"email": {"mara@example.test"}})
	br.post("/logout", url.Values{})
	b.work(t)
	for _, ws := range []uuid.UUID{acme, beta} {
		for action, reason := range map[string]string{"session.started": "", "session.ended": "signed out"} {
			n := b.count(t, `SELECT count(*) FROM audit.event WHERE workspace_id = $1 AND action = $2 AND coalesce(reason, '') = $3
				AND actor_kind = 1 AND actor_id = $4 AND auth_method = 'dev' AND session_id = target_id AND ip = '127.0.0.1' AND request_id IS NOT NULL`,
				ws, action, reason, u.ID)
			if n != 1 {
				t.Errorf("workspace %s has %d entries of %s, want 1", ws, n, action)
			}
		}
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE workspace_id = $1`, gone); n != 0 {
		t.Error("a workspace that suspended the person hears of them")
	}
	// A worker that died after its commit runs the job again.
	b.exec(t, `UPDATE river.river_job SET state = 'available', finalized_at = NULL, attempt = 0`)
	b.work(t)
	if n := b.count(t, `SELECT count(*) FROM audit.event`); n != 4 {
		t.Errorf("%d entries after the jobs ran twice, want 4", n)
	}
}

func TestSessionsPageShowsAndEndsOwnSessionsOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ws := b.Workspace(t, "acme")
	mara, other := b.Member(t, ws, "Mara Lind", "member"), b.Member(t, ws, "Other Person", "owner")
	br := b.browser(t).use(b.session(t, mara))
	second, third, foreign := b.session(t, mara), b.session(t, mara), b.session(t, other)
	page := br.get("/account/sessions")
	if n := strings.Count(page.body, "Chrome on Linux</td>") + strings.Count(page.body, "Sign out<span"); n < 3 || strings.Count(page.body, "This session") != 1 {
		t.Errorf("page: %s", page.body)
	}
	id := func(token string) string {
		p, _, err := b.svc.Session(t.Context(), token, "")
		if err != nil {
			t.Fatal(err)
		}
		return p.SessionID.String()
	}
	if a := br.post("/account/sessions/"+id(foreign)+"/end", url.Values{}); a.status != http.StatusNotFound || !b.knows(t, foreign) {
		t.Errorf("ending a session of somebody else: %d", a.status)
	}
	if a := br.post("/account/sessions/"+id(second)+"/end", url.Values{}); a.status != http.StatusSeeOther || b.knows(t, second) {
		t.Errorf("ending one: %d", a.status)
	}
	if a := br.post("/account/sessions/end", url.Values{}); a.status != http.StatusSeeOther || b.knows(t, third) || !b.knows(t, br.sessionToken()) || !b.knows(t, foreign) {
		t.Errorf("ending all others: %d", a.status)
	}
	token := br.sessionToken()
	if a := br.post("/account/sessions/"+id(token)+"/end", url.Values{}); a.location != PostLogoutPath || b.knows(t, token) {
		t.Errorf("ending this one: %d to %q", a.status, a.location)
	}
	if a := br.get("/account/sessions"); a.location != "/login?return_to=%2Faccount%2Fsessions" {
		t.Errorf("signed out, the page leads to %q", a.location)
	}
}

func TestProfileIsCheckedAndSaved(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "viewer")
	br := b.browser(t).use(b.session(t, mara))
	if page := br.get("/account"); page.status != http.StatusOK || !strings.Contains(page.body, "Europe/Oslo") || !strings.Contains(page.body, "Mara Lind") {
		t.Fatalf("profile page: %d", page.status)
	}
	for field, form := range map[string]url.Values{
		"Choose a time zone": {"time_zone": {"Mars/Olympus"}, "theme": {"dark"}},
		"Theme must be":      {"time_zone": {"Europe/Oslo"}, "theme": {"pink"}},
	} {
		a := br.post("/account", form)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, field) || !strings.Contains(a.body, form.Get("time_zone")) {
			t.Errorf("%v: %d", form, a.status)
		}
	}
	if a := br.post("/account", url.Values{"time_zone": {"Europe/Oslo"}, "theme": {"dark"}}); a.location != "/account" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if page := br.get("/account").body; !strings.Contains(page, `data-theme="dark"`) || !strings.Contains(page, "Your choices are saved.") {
		t.Error("the page does not show what was saved")
	}
	if n := b.count(t, `SELECT count(*) FROM users WHERE time_zone = 'Europe/Oslo' AND theme = 'dark' AND NOT shortcuts`); n != 1 {
		t.Error("not saved")
	}
}

func TestThemeAndZoneOfTheBrowser(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "viewer")
	br := b.browser(t).use(b.session(t, mara))
	script := http.Header{"Hx-Request": {"true"}}
	for _, tc := range []struct {
		path, field, value string
		want               int
	}{
		{"/account/theme", "theme", "light", http.StatusNoContent},
		{"/account/theme", "theme", "neon", http.StatusUnprocessableEntity},
		{"/account/theme", "theme", "", http.StatusUnprocessableEntity},
		{"/account/time-zone", "time_zone", "Asia/Kolkata", http.StatusNoContent},
		{"/account/time-zone", "time_zone", "Local", http.StatusUnprocessableEntity},
		{"/account/time-zone", "time_zone", "../../etc/passwd", http.StatusUnprocessableEntity},
		{"/account/time-zone", "time_zone", "", http.StatusUnprocessableEntity},
	} {
		if a := br.do(http.MethodPost, tc.path, url.Values{tc.field: {tc.value}}, script); a.status != tc.want {
			t.Errorf("%s %q: %d, want %d", tc.path, tc.value, a.status, tc.want)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM users WHERE theme = 'light' AND time_zone = 'UTC'`); n != 1 {
		t.Error("a zone that the person has was replaced by the browser's, or the theme was not saved")
	}
	b.exec(t, `UPDATE users SET time_zone = NULL`)
	br.do(http.MethodPost, "/account/time-zone", url.Values{"time_zone": {"Asia/Kolkata"}}, script)
	if n := b.count(t, `SELECT count(*) FROM users WHERE time_zone = 'Asia/Kolkata'`); n != 1 {
		t.Error("the zone of the browser was not taken")
	}
	a := br.do(http.MethodPost, "/account/theme", url.Values{"theme": {"dark"}}, http.Header{"Referer": {b.site.URL + "/ws/acme/hosts?q=1"}})
	if a.location != "/ws/acme/hosts?q=1" {
		t.Errorf("without script the form leads to %q", a.location)
	}
	a = br.do(http.MethodPost, "/account/theme", url.Values{"theme": {"dark"}}, http.Header{"Referer": {"https://evil.example/x"}})
	if a.location != "/account" {
		t.Errorf("a foreign referrer leads to %q", a.location)
	}
}

// limit makes a workspace end sessions sooner, in minutes.
func (b *bench) limit(t *testing.T, workspace uuid.UUID, idle, absolute int) {
	t.Helper()
	b.exec(t, `UPDATE workspaces SET session_idle_minutes = $2, session_absolute_minutes = $3 WHERE id = $1`, workspace, idle, absolute)
}

func TestWorkspaceAsksToSignInAgainAfterAPauseAndStaysClosed(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme, beta := b.Workspace(t, "acme"), b.Workspace(t, "beta")
	mara := b.Member(t, acme, "Mara Lind", "admin")
	b.join(t, beta, mara.UserID, "member")
	b.limit(t, acme, 30, 0)
	token := b.session(t, mara)
	check := func(what, slug string, again bool) {
		t.Helper()
		p, ok, err := b.svc.Session(t.Context(), token, slug)
		if err != nil || !ok {
			t.Fatalf("%s: %v %v", what, ok, err)
		}
		if p.NewToken != "" {
			token = p.NewToken
		}
		if p.SignInAgain != again || (p.Workspace == nil) != again {
			t.Errorf("%s: again %v, workspace %v", what, p.SignInAgain, p.Workspace)
		}
	}
	check("at once", "acme", false)
	b.clock.Advance(29 * time.Minute)
	check("within the pause", "acme", false)
	b.clock.Advance(31 * time.Minute)
	check("the other workspace after the pause", "beta", false)
	check("after the pause, used elsewhere meanwhile", "acme", true)
	b.clock.Advance(2 * time.Minute)
	check("later", "acme", true)
	b.limit(t, acme, 0, 0)
	check("without the limit", "acme", false)
	b.limit(t, acme, 30, 0)
	token = b.session(t, mara)
	check("after signing in again", "acme", false)
}

func TestWorkspaceAsksToSignInAgainAtAnAge(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	mara := b.Member(t, acme, "Mara Lind", "member")
	b.limit(t, acme, 0, 60)
	token := b.session(t, mara)
	for i := range 4 {
		p, ok, err := b.svc.Session(t.Context(), token, "acme")
		if err != nil || !ok || p.SignInAgain {
			t.Fatalf("after %d minutes: %v %v %v", 20*i, p.SignInAgain, ok, err)
		}
		b.clock.Advance(20 * time.Minute)
	}
	b.clock.Advance(time.Second)
	if p, ok, err := b.svc.Session(t.Context(), token, "acme"); err != nil || !ok || !p.SignInAgain {
		t.Errorf("beyond the age: %v %v %v", p.SignInAgain, ok, err)
	}
	if p, ok, err := b.svc.Session(t.Context(), token, ""); err != nil || !ok || p.SignInAgain {
		t.Errorf("outside the workspace: %v %v %v", p.SignInAgain, ok, err)
	}
}

func TestSessionThatIsTooOldForAWorkspaceLeadsThroughTheSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	if _, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "mara@example.test", Name: "Mara Lind"}); err != nil {
		t.Fatal(err)
	}
	b.join(t, acme, b.userOf(t, "mara@example.test"), "admin")
	b.limit(t, acme, 30, 0)
	br := b.browser(t)
	br.post("/login/dev", url.Values{"email": {"mara@example.test"}})
	const page = "/ws/acme/settings/tokens"
	if a := br.get(page); a.status != http.StatusOK {
		t.Fatalf("fresh: %d %s", a.status, a.location)
	}
	old := br.sessionToken()
	b.clock.Advance(31 * time.Minute)
	want := "/login?again=1&return_to=" + url.QueryEscape(page)
	if a := br.get(page); a.status != http.StatusSeeOther || a.location != want {
		t.Errorf("page: %d to %q, want %q", a.status, a.location, want)
	}
	if a := br.post(page, url.Values{"name": {"kept"}}); a.status != http.StatusUnauthorized ||
		!strings.Contains(a.body, "kept") || !strings.Contains(a.body, "/login?again=1") {
		t.Errorf("form: %d %s", a.status, a.body)
	}
	// A token that is made on the account page opens the workspace, too.
	if a := br.get("/account/tokens/new?workspace=acme"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/login?again=1") {
		t.Errorf("token on the account page: %d to %q", a.status, a.location)
	}
	if a := br.post("/account/tokens", url.Values{"workspace": {"acme"}, "name": {"way in"}, "access": {"all"}, "expires_at": {"90"}}); a.status != http.StatusUnauthorized {
		t.Errorf("making a token: %d", a.status)
	}
	if n := b.count(t, `SELECT count(*) FROM api_tokens`); n != 0 {
		t.Errorf("%d tokens were made", n)
	}
	if a := br.get("/account"); a.status != http.StatusOK {
		t.Errorf("the account page: %d", a.status)
	}
	if a := br.get(want); a.status != http.StatusOK || !strings.Contains(a.body, "Sign in again for this workspace") {
		t.Errorf("sign-in page: %d %s", a.status, a.body)
	}
	if a := br.post("/login/dev", url.Values{"email": {"mara@example.test"}, "return_to": {page}}); a.location != page {
		t.Fatalf("signed in again: %d to %q", a.status, a.location)
	}
	if a := br.get(page); a.status != http.StatusOK {
		t.Errorf("after signing in again: %d %s", a.status, a.location)
	}
	if b.knows(t, old) {
		t.Error("the former session is still good")
	}
}
