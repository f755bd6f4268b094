package identity

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/identity/oidctest"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestSignInThroughTheProviderLeadsToThePageAskedFor(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)

	login := br.get("/login?return_to=" + url.QueryEscape("/ws/acme/certificates?state=active"))
	if login.status != http.StatusOK || !strings.Contains(login.body, "Sign in with Example ID") {
		t.Fatalf("sign-in page: %d %s", login.status, login.body)
	}
	start := "/login/oidc?return_to=" + url.QueryEscape("/ws/acme/certificates?state=active")
	if want := `href="` + start + `"`; !strings.Contains(login.body, want) {
		t.Errorf("sign-in page does not lead to %s", want)
	}
	done := b.signIn(t, br, start, "ada", "engine")
	if done.status != http.StatusSeeOther || done.location != "/ws/acme/certificates?state=active" {
		t.Errorf("callback answered %d to %q: %s", done.status, done.location, done.body)
	}
	var email, name string
	var verified bool
	if err := b.Admin(t).QueryRow(t.Context(), `SELECT email, name, email_verified FROM users`).Scan(&email, &name, &verified); err != nil {
		t.Fatal(err)
	}
	if email != "ada@example.org" || name != "Ada Lovelace" || !verified {
		t.Errorf("person is %s, %s, verified %v", email, name, verified)
	}
	if br.cookie("vigilo-flow") != "" {
		t.Error("the cookie of the flow is still there")
	}
	if again := br.get("/login"); again.location != "/workspaces/new" {
		t.Errorf("a person without a workspace is sent to %q", again.location)
	}
}

func TestPersonIsIssuerAndSubjectNeverTheAddress(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	b.signIn(t, b.browser(t), "/login/oidc", "ada", "engine")
	// bob claims ada's address.
	b.signIn(t, b.browser(t), "/login/oidc", "bob", "builder")
	if b.userOf(t, "u-ada") == b.userOf(t, "u-bob") {
		t.Error("two subjects with one address became one person")
	}
	b.op.SetUser(oidctest.User{Subject: "u-ada", Username: "ada", Password: "engine", Email: "countess@example.org", EmailVerified: true, Name: "Ada King"})
	b.signIn(t, b.browser(t), "/login/oidc", "ada", "engine")
	if n := b.count(t, `SELECT count(*) FROM users`); n != 2 {
		t.Errorf("%d people, want 2", n)
	}
	if n := b.count(t, `SELECT count(*) FROM users WHERE email = 'countess@example.org' AND name = 'Ada King'`); n != 1 {
		t.Error("the person was not brought up to date")
	}
}

func TestSignInChangesTheTokenAndEndsTheFormerSession(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)
	// An attacker plants a token of their own choice, then one of a session of their own.
	planted := strings.Repeat("a", 43)
	b.signIn(t, br.use(planted), "/login/oidc", "ada", "engine")
	first := br.sessionToken()
	if first == planted || !b.knows(t, first) || b.knows(t, planted) {
		t.Fatal("sign-in kept the planted token")
	}
	b.signIn(t, br, "/login/oidc", "ada", "engine")
	second := br.sessionToken()
	if second == first || !b.knows(t, second) {
		t.Error("sign-in did not change the token")
	}
	if b.knows(t, first) {
		t.Error("the former session of the browser lives on")
	}
}

func TestAnswerOfTheProviderIsGoodForItsBrowserAndOnce(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	victim, attacker := b.browser(t), b.browser(t)
	start := attacker.get("/login/oidc")
	callback, err := b.op.SignIn(t.Context(), attacker.Client, start.location, "ada", "engine")
	if err != nil {
		t.Fatal(err)
	}
	if a := victim.get(callback.String()); a.status != http.StatusForbidden || victim.sessionToken() != "" {
		t.Errorf("another browser finished the sign-in: %d", a.status)
	}
	if a := attacker.get(callback.String()); a.status != http.StatusSeeOther {
		t.Fatalf("the browser that began it: %d %s", a.status, a.body)
	}
	if a := attacker.get(callback.String()); a.status != http.StatusForbidden || !strings.Contains(a.body, "Start again.") {
		t.Errorf("the answer was accepted twice: %d", a.status)
	}
}

func TestTwoTabsCanSignInAtOnce(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)
	one, two := br.get("/login/oidc?return_to=/ws/one"), br.get("/login/oidc?return_to=/ws/two")
	for want, start := range map[string]string{"/ws/one": one.location, "/ws/two": two.location} {
		callback, err := b.op.SignIn(t.Context(), br.Client, start, "ada", "engine")
		if err != nil {
			t.Fatal(err)
		}
		if a := br.get(callback.String()); a.location != want {
			t.Errorf("callback leads to %q, want %q", a.location, want)
		}
	}
}

func TestCancelledSignInShowsThePageAndKeepsWhereToGo(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)
	start := br.get("/login/oidc?return_to=/ws/acme/hosts")
	callback, err := b.op.Cancel(t.Context(), br.Client, start.location)
	if err != nil {
		t.Fatal(err)
	}
	a := br.get(callback.String())
	if a.status != http.StatusForbidden || !strings.Contains(a.body, "You are not signed in") || !strings.Contains(a.body, "return_to=%2Fws%2Facme%2Fhosts") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if strings.Contains(a.body, "access_denied") {
		t.Error("the provider's own words are on the page")
	}
}

func TestReturnToStaysOnThisSite(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	for _, evil := range []string{
		"//evil.example", "https://evil.example/", `/\evil.example`, "/\t/evil.example", "javascript:alert(1)", "evil", "/login/oidc", "/logout", "/",
		"http:evil.example", "/%0d%0aLocation: //evil.example\r\n", "/login",
	} {
		br := b.browser(t)
		done := b.signIn(t, br, "/login/oidc?return_to="+url.QueryEscape(evil), "ada", "engine")
		if done.status != http.StatusSeeOther || done.location != "/workspaces/new" {
			t.Errorf("return_to %q leads to %d %q", evil, done.status, done.location)
		}
		if again := br.get("/login?return_to=" + url.QueryEscape(evil)); again.location != "/workspaces/new" {
			t.Errorf("return_to %q of a signed-in person leads to %q", evil, again.location)
		}
	}
}

func TestPlatformAdminNeedsAVerifiedAddress(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, func(d *Deps) { d.PlatformAdmins = []string{"ada@example.org"} })
	b.signIn(t, b.browser(t), "/login/oidc", "ada", "engine")
	b.signIn(t, b.browser(t), "/login/oidc", "bob", "builder") // the same address, not verified
	if n := b.count(t, `SELECT count(*) FROM users WHERE platform_admin AND id = $1`, b.userOf(t, "u-ada")); n != 1 {
		t.Error("the verified address is no platform administrator")
	}
	if n := b.count(t, `SELECT count(*) FROM users WHERE platform_admin AND id = $1`, b.userOf(t, "u-bob")); n != 0 {
		t.Error("an address that nobody verified is a platform administrator")
	}
	b.svc.PlatformAdmins = nil
	if err := b.svc.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM users WHERE platform_admin`); n != 0 {
		t.Error("a platform administrator who is no longer configured kept the right")
	}
}

func TestHookSeesWhoSignsInAndCanRefuse(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	var seen []string
	b.svc.OnSignIn(func(_ context.Context, u User, id *oidcrp.Identity) error {
		seen = append(seen, u.Email+" "+id.Subject)
		if u.Name == "Bob" {
			return fault.NewDenied("not_invited", "Nobody invited you.")
		}
		return nil
	})
	b.signIn(t, b.browser(t), "/login/oidc", "ada", "engine")
	br := b.browser(t)
	if a := b.signIn(t, br, "/login/oidc", "bob", "builder"); a.status != http.StatusForbidden || !strings.Contains(a.body, "Nobody invited you.") {
		t.Errorf("refusal of a hook: %d", a.status)
	}
	if br.sessionToken() != "" {
		t.Error("a refused person has a session")
	}
	if want := []string{"ada@example.org u-ada", "ada@example.org u-bob"}; !slices.Equal(seen, want) {
		t.Errorf("hook saw %q", seen)
	}
}

func TestProviderThatIsDownIsSaidOnThePage(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	b.svc.OIDC = oidcrp.New(oidcrp.Config{Issuer: "http://127.0.0.1:1", ClientID: "x", RedirectURL: b.site.URL + CallbackPath})
	a := b.browser(t).get("/login/oidc")
	if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "does not answer") || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestDisabledPersonIsRefusedAndTheirWorkspacesKnow(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ws := b.Workspace(t, "acme")
	u, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "mara@example.test", Name: "Mara"})
	if err != nil {
		t.Fatal(err)
	}
	b.join(t, ws, u.ID, "member")
	b.exec(t, `UPDATE users SET disabled_at = now() WHERE id = $1`, u.ID)
	a := b.browser(t).post("/login/dev", url.Values{"email": {u.Email}})
	if a.status != http.StatusForbidden || !strings.Contains(a.body, "disabled") {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.work(t)
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE workspace_id = $1 AND action = 'session.refused' AND outcome = 2 AND actor_id = $2`, ws, u.ID); n != 1 {
		t.Errorf("%d entries about the refusal, want 1", n)
	}
}

func TestDevLoginListsDemoPeopleAndOneClickSignsIn(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ws := b.Workspace(t, "acme")
	for _, role := range []string{"viewer", "owner"} {
		u, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: role + "@example.test", Name: "Demo " + role})
		if err != nil {
			t.Fatal(err)
		}
		b.join(t, ws, u.ID, role)
	}
	br := b.browser(t)
	page := br.get("/login").body
	owner, viewer := strings.Index(page, "Demo owner"), strings.Index(page, "Demo viewer")
	if owner < 0 || viewer < owner || !strings.Contains(page, ">DEV") {
		t.Errorf("the page lists them wrongly: owner at %d, viewer at %d", owner, viewer)
	}
	a := br.post("/login/dev", url.Values{"email": {"viewer@example.test"}, "return_to": {"/ws/acme/hosts"}})
	if a.status != http.StatusSeeOther || a.location != "/ws/acme/hosts" || br.sessionToken() == "" {
		t.Errorf("%d to %q", a.status, a.location)
	}
	if a := br.get("/"); a.location != "/ws/acme" {
		t.Errorf("the start page leads to %q", a.location)
	}
	for _, unknown := range []string{"nobody@example.test", "", "x\x00y", "\xff"} {
		other := b.browser(t)
		if a := other.post("/login/dev", url.Values{"email": {unknown}}); a.status != http.StatusUnprocessableEntity || other.sessionToken() != "" {
			t.Errorf("email %q: %d", unknown, a.status)
		}
	}
}

func TestDevLoginDoesNotExistBesideAProvider(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	if _, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "mara@example.test", Name: "Mara"}); err != nil {
		t.Fatal(err)
	}
	br := b.browser(t)
	if a := br.post("/login/dev", url.Values{"email": {"mara@example.test"}}); a.status != http.StatusNotFound || br.sessionToken() != "" {
		t.Errorf("answered %d", a.status)
	}
	if page := br.get("/login").body; strings.Contains(page, "mara@example.test") {
		t.Error("the demo people are listed")
	}
}

func TestMissingProviderDoesNotSwitchTheDevLoginOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(d *Deps) { d.DevLogin = false })
	if _, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "mara@example.test", Name: "Mara"}); err != nil {
		t.Fatal(err)
	}
	br := b.browser(t)
	if a := br.post("/login/dev", url.Values{"email": {"mara@example.test"}}); a.status != http.StatusNotFound || br.sessionToken() != "" {
		t.Errorf("answered %d", a.status)
	}
	if page := br.get("/login").body; strings.Contains(page, "mara@example.test") || !strings.Contains(page, "nobody can sign in") {
		t.Error("the page does not say that sign-in is not set up")
	}
}

func TestSignOutWorksAlthoughTheHintCannotBeOpened(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)
	b.signIn(t, br, "/login/oidc", "ada", "engine")
	token := br.sessionToken()
	b.exec(t, `UPDATE sessions SET id_token = '\x01'`)
	if a := br.post("/logout", url.Values{}); a.status != http.StatusOK || a.header.Get("Refresh") == "" || br.sessionToken() != "" || b.knows(t, token) {
		t.Errorf("answered %d", a.status)
	}
}

func TestDemoPersonCannotBeTakenOverByAProvider(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	u, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "ada@example.org", Name: "Demo Ada"})
	if err != nil {
		t.Fatal(err)
	}
	b.signIn(t, b.browser(t), "/login/oidc", "ada", "engine")
	if b.userOf(t, "u-ada") == u.ID {
		t.Error("a verified address led into an account of another identity")
	}
}

func TestEnsureUserTwiceIsOnePerson(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	in := SeedUser{Email: "Mara@Example.test", Name: "Mara", TimeZone: "Europe/Oslo", PlatformAdmin: true}
	one, err := b.svc.EnsureUser(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	in.Name = "Mara Lind"
	two, err := b.svc.EnsureUser(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if one.ID != two.ID || two.Name != "Mara Lind" || two.Email != "mara@example.test" || two.TimeZone != "Europe/Oslo" || !two.PlatformAdmin {
		t.Errorf("%+v then %+v", one, two)
	}
}

func TestSignInAttemptsAreLimitedPerAddress(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, func(d *Deps) { d.SignInsPerMinute = 0 })
	br := b.browser(t)
	for i := range DefaultSignInsPerMinute {
		if a := br.get("/login/oidc"); a.status != http.StatusSeeOther {
			t.Fatalf("attempt %d: %d", i+1, a.status)
		}
	}
	if a := br.get("/login/oidc"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("attempt 11: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
}

func TestSignInAttemptsAreLimitedPerAccountAndRecover(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(d *Deps) { d.SignInsPerMinute = 3 })
	if _, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "mara@example.test", Name: "Mara"}); err != nil {
		t.Fatal(err)
	}
	// One attempt came from elsewhere; the account counts it although the address does not.
	if err := b.svc.attempt("account", "mara@example.test"); err != nil {
		t.Fatal(err)
	}
	br := b.browser(t)
	try := func() int { return br.post("/login/dev", url.Values{"email": {"mara@example.test"}}).status }
	if one, two, three := try(), try(), try(); one != 303 || two != 303 || three != http.StatusTooManyRequests {
		t.Errorf("attempts answered %d, %d, %d", one, two, three)
	}
	b.clock.Advance(60e9)
	if again := try(); again != 303 {
		t.Errorf("a minute later: %d", again)
	}
}

func TestAddressesOfOneIPv6NetworkCountAsOne(t *testing.T) {
	t.Parallel()
	var got []string
	for _, text := range []string{"2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1", "192.0.2.1"} {
		got = append(got, network(mustAddr(t, text)))
	}
	if got[0] != got[1] || got[0] == got[2] || got[3] != "192.0.2.1" {
		t.Errorf("%q", got)
	}
}

func TestFormFromAnotherSiteCannotSignAnybodyInOrOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if _, err := b.svc.EnsureUser(t.Context(), SeedUser{Email: "mara@example.test", Name: "Mara"}); err != nil {
		t.Fatal(err)
	}
	br := b.browser(t)
	a := br.do(http.MethodPost, "/login/dev", url.Values{"email": {"mara@example.test"}}, http.Header{"Sec-Fetch-Site": {"cross-site"}})
	if a.status != http.StatusForbidden || br.sessionToken() != "" {
		t.Errorf("answered %d", a.status)
	}
}

func TestBackchannelLogoutEndsTheSessionAtOnce(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	ws := b.Workspace(t, "acme")
	phone, laptop, other := b.browser(t), b.browser(t), b.browser(t)
	b.signIn(t, phone, "/login/oidc", "ada", "engine")
	b.signIn(t, laptop, "/login/oidc", "ada", "engine")
	b.signIn(t, other, "/login/oidc", "bob", "builder")
	b.join(t, ws, b.userOf(t, "u-ada"), "member")
	sessions := b.op.Sessions("u-ada")
	if len(sessions) != 2 {
		t.Fatalf("the provider has %d sessions", len(sessions))
	}
	if err := b.op.EndSession(t.Context(), sessions[0].ID); err != nil {
		t.Fatal(err)
	}
	if b.knows(t, phone.sessionToken()) {
		t.Error("the session of the sid lives on")
	}
	if !b.knows(t, laptop.sessionToken()) {
		t.Error("a session of another sid ended too")
	}
	if err := b.op.EndSubject(t.Context(), "u-ada"); err != nil {
		t.Fatal(err)
	}
	if b.knows(t, laptop.sessionToken()) {
		t.Error("a session of the subject lives on")
	}
	if !b.knows(t, other.sessionToken()) {
		t.Error("somebody else's session ended")
	}
	b.work(t)
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE workspace_id = $1 AND action = 'session.ended' AND reason = 'ended by the identity provider'`, ws); n != 2 {
		t.Errorf("%d entries about the ends, want 2", n)
	}
}

func TestLogoutTokenIsGoodOnceAndBadOnesAreRefused(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	provider := b.browser(t) // without cookies, as a provider calls
	token, err := b.op.LogoutToken(clientID, "u-ada", "")
	if err != nil {
		t.Fatal(err)
	}
	first := provider.post(BackchannelPath, url.Values{"logout_token": {token}})
	if first.status != http.StatusOK || !strings.Contains(first.header.Get("Cache-Control"), "no-store") {
		t.Errorf("first use: %d, Cache-Control %q", first.status, first.header.Get("Cache-Control"))
	}
	foreign, err := b.op.LogoutToken("another-client", "u-ada", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{"replayed": token, "garbage": "garbage", "empty": "", "of another client": foreign} {
		a := provider.post(BackchannelPath, url.Values{"logout_token": {bad}})
		var body struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if a.status != http.StatusBadRequest || body.Error != "invalid_request" || !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestSignOutEndsTheSessionHereAndThere(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)
	b.signIn(t, br, "/login/oidc", "ada", "engine")
	token := br.sessionToken()
	a := br.post("/logout", url.Values{})
	_, to, ok := strings.Cut(a.header.Get("Refresh"), "url=")
	if a.status != http.StatusOK || !ok {
		t.Fatalf("%d, Refresh %q", a.status, a.header.Get("Refresh"))
	}
	if br.sessionToken() != "" || b.knows(t, token) {
		t.Error("the session lives on here")
	}
	end := br.get(to)
	for end.status/100 == 3 && !strings.HasPrefix(end.location, b.site.URL) {
		end = br.get(end.location)
	}
	if end.location != b.site.URL+PostLogoutPath {
		t.Errorf("the provider sends the browser to %q (%d)", end.location, end.status)
	}
	if back := br.get(PostLogoutPath); !strings.Contains(back.body, "You are signed out.") {
		t.Error("the page does not say that the person is signed out")
	}
	if n := b.count(t, `SELECT count(*) FROM sessions WHERE id_token IS NOT NULL`); n != 0 {
		t.Error("the ID token of an ended session is kept")
	}
	if a := br.post("/logout", url.Values{}); a.location != PostLogoutPath {
		t.Errorf("signing out twice: %d to %q", a.status, a.location)
	}
}

func TestSigningInAgainDoesNotPassOnTheSessionOfTheProvider(t *testing.T) {
	t.Parallel()
	b := newOIDCBench(t, nil)
	br := b.browser(t)
	if a := b.signIn(t, br, "/login/oidc", "ada", "engine"); a.status != http.StatusSeeOther {
		t.Fatalf("first sign-in: %d %s", a.status, a.body)
	}
	// Somebody at a browser that was left alone does not know the password.
	a := br.get("/login/oidc?return_to=%2Faccount")
	if _, err := b.op.SignIn(t.Context(), br.Client, a.location, "ada", "guess"); err == nil {
		t.Error("the provider's session was enough")
	}
	if a := b.signIn(t, br, "/login/oidc?return_to=%2Faccount", "ada", "engine"); a.status != http.StatusSeeOther || a.location != "/account" {
		t.Errorf("with the password: %d to %q", a.status, a.location)
	}
}
