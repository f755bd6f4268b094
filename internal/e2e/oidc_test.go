package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/identity/oidctest"
	"github.com/vigilo/vigilo/internal/mailcatcher"
)

const (
	clientID     = "vigilo"
	clientSecret = "e2e-client-secret"
	password     = "correct horse"
)

// provided is the program together with the identity provider that it trusts.
type provided struct {
	*program
	op *oidctest.OP
	// away stops the provider before the test ends.
	away func()
}

// startWithProvider runs the program with a provider that knows users. Their password is
// password; their subject is the username.
func startWithProvider(t *testing.T, users []oidctest.User, settings ...string) *provided {
	t.Helper()
	p := &provided{}
	p.startProvider(t, "", users)
	p.program = start(t, append([]string{
		"VIGILO_AUTH=oidc", "VIGILO_OIDC_ISSUER=" + p.op.Issuer(), "VIGILO_OIDC_CLIENT_ID=" + clientID,
		"VIGILO_OIDC_CLIENT_SECRET=" + clientSecret, "VIGILO_OIDC_NAME=Example ID", "VIGILO_RATE_SIGN_IN=100000",
	}, settings...)...)
	p.register()
	return p
}

// startProvider runs the provider, at a given address when it comes back.
func (p *provided) startProvider(t *testing.T, addr string, users []oidctest.User) {
	t.Helper()
	op, err := oidctest.New(oidctest.Options{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		u.Password = password
		op.SetUser(u)
	}
	p.op = op
	p.away = sync.OnceFunc(func() {
		if err := op.Close(context.Background()); err != nil {
			t.Errorf("stop provider: %v", err)
		}
	})
	t.Cleanup(p.away)
}

// register tells the provider about the program: the same paths that install.md names.
func (p *provided) register() {
	p.op.SetClient(oidctest.Client{
		ID: clientID, Secret: clientSecret, RedirectURLs: []string{p.base + identity.CallbackPath},
		PostLogoutURLs: []string{p.base + identity.PostLogoutPath}, BackChannelLogoutURL: p.base + identity.BackchannelPath,
	})
}

// visitor is a browser without pictures: cookies and requests.
type visitor struct {
	t    *testing.T
	p    *provided
	http *http.Client
}

func (p *provided) visitor(t *testing.T) *visitor {
	client := oidctest.NewBrowser()
	client.Timeout = 30 * time.Second
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &visitor{t: t, p: p, http: client}
}

func (v *visitor) do(method, address, form string) answer {
	v.t.Helper()
	req, err := http.NewRequest(method, address, strings.NewReader(form))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, address, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(raw)}
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	return v.do(http.MethodGet, v.p.base+path, "")
}

func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	return v.do(http.MethodPost, v.p.base+path, form.Encode())
}

// callback walks from a page of ours through the provider's form and returns the address
// of the provider's answer, unvisited.
func (v *visitor) callback(username, back string) string {
	v.t.Helper()
	a := v.get("/login/oidc?return_to=" + url.QueryEscape(back))
	ok(v.t, a, http.StatusSeeOther, "start the sign-in")
	callback, err := v.p.op.SignIn(context.Background(), v.http, a.header.Get("Location"), username, password)
	if err != nil {
		v.t.Fatalf("sign in %s at the provider: %v", username, err)
	}
	return callback.String()
}

// signIn signs somebody in and returns where the program sends them.
func (v *visitor) signIn(username, back string) string {
	v.t.Helper()
	a := v.do(http.MethodGet, v.callback(username, back), "")
	ok(v.t, a, http.StatusSeeOther, "finish the sign-in of "+username)
	return a.header.Get("Location")
}

// mustSignIn fails unless the next page asks for a sign-in and remembers the page.
func (v *visitor) mustSignIn(path, why string) {
	v.t.Helper()
	a := v.get(path)
	if want := "/login?return_to=" + url.QueryEscape(path); a.status != http.StatusSeeOther || a.header.Get("Location") != want {
		v.t.Errorf("%s: status %d to %q, want 303 to %q", why, a.status, a.header.Get("Location"), want)
	}
}

// passForm fills the provider's form in a real browser.
func (b *tab) passForm(p *provided, username string) {
	b.t.Helper()
	b.waitFor("the form of the provider", fmt.Sprintf("location.href.startsWith(%q) && document.querySelector('#password')", p.op.Issuer()))
	b.fill("#username", username)
	b.fill("#password", password)
	b.click("button[type=submit]:not([name])")
}

func (b *tab) waitForPath(path string) {
	b.t.Helper()
	b.waitFor("the page "+path, fmt.Sprintf("location.origin === %q && location.pathname + location.search === %q && document.readyState === 'complete'", b.base, path))
}

// beside opens another tab of the same browser: it shares the cookies.
func (b *tab) beside() *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	other := &tab{t: b.t, ctx: ctx, base: b.base}
	if err := chromedp.Listen(ctx, other.listen); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	return other
}

func TestTheFirstPersonSignsInThroughTheProviderAndMakesAWorkspace(t *testing.T) {
	t.Parallel()
	p := startWithProvider(t, []oidctest.User{{Username: "ada", Email: "Ada@Example.test", EmailVerified: true, Name: "Ada Berg"}})
	b := p.open(t, "", looks[0])
	b.visit("/")
	if got := b.text("h1"); got != "Sign in" {
		t.Fatalf("the start page of nobody says %q", got)
	}
	b.checkAccessible("sign-in page", looks[0])
	b.picture("oidc-login")
	b.click("a.btn.is-primary")
	b.passForm(p, "ada")
	b.waitForPath("/workspaces/new")
	b.fill("#name", "Acme IT")
	b.waitFor("the address follows the name", `document.querySelector("#slug").value === "acme-it"`)
	b.click("main form button:not([type=button])")
	b.waitFor("the new workspace", `location.pathname.startsWith("/ws/acme-it") && document.readyState === "complete"`)
	b.checkQuiet("first sign-in")
	b.visit("/ws/acme-it/members")
	if list := b.text("main"); !strings.Contains(list, "Ada Berg") || !strings.Contains(list, "ada@example.test") || !strings.Contains(list, "Owner") {
		t.Errorf("the members of the new workspace do not show its owner: %s", clip(list))
	}
}

func TestADeepLinkSurvivesTheSignIn(t *testing.T) {
	t.Parallel()
	p := startWithProvider(t, []oidctest.User{{Username: "ada", Email: "ada@example.test", EmailVerified: true, Name: "Ada Berg"}})
	ws := p.workspace(t, "acme")
	owner := p.visitor(t)
	owner.signIn("ada", "")
	p.join(t, "ada@example.test", ws.String(), "viewer")

	const deep = "/ws/acme/members?q=ada"
	b := p.open(t, "", looks[1])
	b.visit(deep)
	b.waitForPath("/login?return_to=" + url.QueryEscape(deep))
	b.click("a.btn.is-primary")
	b.passForm(p, "ada")
	b.waitForPath(deep)
	b.checkQuiet("deep link")

	// Addresses of others and steps of the sign-in itself are no place to return to.
	for _, bad := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "/login", "/logout"} {
		if got := p.visitor(t).signIn("ada", bad); got != "/ws/acme" {
			t.Errorf("return_to %q leads to %q, want the workspace", bad, got)
		}
	}
}

// join puts somebody who has signed in into a workspace.
func (p *provided) join(t *testing.T, email, workspace, role string) {
	t.Helper()
	a := p.json(t, p.token(t, "acme", "owner"), http.MethodPost, "/ws/acme/api/v1/invitations", fmt.Sprintf(`{"email":%q,"role":%q}`, email, role))
	ok(t, a, http.StatusCreated, "invite "+email)
	name, _, _ := strings.Cut(email, "@")
	if got := p.visitor(t).signIn(name, ""); got != "/ws/acme" {
		t.Fatalf("%s with an invitation to %s lands on %q", email, workspace, got)
	}
}

var linkInMail = regexp.MustCompile(`https?://\S+/invitations/\S+`)

func TestAnInvitationIsAcceptedByTheVerifiedAddressAndByNobodyElse(t *testing.T) {
	t.Parallel()
	mails, err := mailcatcher.New(mailcatcher.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mails.Close(); err != nil {
			t.Error(err)
		}
	})
	host, port, _ := strings.Cut(mails.Addr(), ":")
	p := startWithProvider(t, []oidctest.User{
		{Username: "eve", Email: "nia@example.test", EmailVerified: false, Name: "Eve Pretender"},
		{Username: "bo", Email: "bo@example.test", EmailVerified: true, Name: "Bo Other"},
		{Username: "nia", Email: "Nia@Example.test", EmailVerified: true, Name: "Nia Invited"},
	}, "VIGILO_SMTP_HOST="+host, "VIGILO_SMTP_PORT="+port, "VIGILO_SMTP_TLS=none", "VIGILO_SMTP_FROM=Vigilo <vigilo@example.test>")
	p.workspace(t, "acme")
	ok(t, p.post(t, "owner@acme.test", "/ws/acme/members/invitations/new", "email=nia%40example.test&role=approver"), http.StatusOK, "invite")

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	mail, err := mails.Wait(ctx, func(m mailcatcher.Message) bool { return len(m.To) == 1 && m.To[0] == "nia@example.test" })
	if err != nil {
		t.Fatalf("no mail for the invited address: %v", err)
	}
	link := linkInMail.FindString(mail.Text)
	if !strings.HasPrefix(link, p.base+"/invitations/") {
		t.Fatalf("the mail has no link to us: %s", mail.Text)
	}
	path := strings.TrimPrefix(link, p.base)

	for _, stranger := range []string{"eve", "bo"} {
		v := p.visitor(t)
		if got := v.signIn(stranger, path); got != path {
			t.Fatalf("%s lands on %q after the sign-in, want the invitation", stranger, got)
		}
		ok(t, v.post(path, url.Values{}), http.StatusForbidden, stranger+" accepts the invitation of somebody else")
		ok(t, v.get("/ws/acme"), http.StatusNotFound, stranger+" opens the workspace")
	}

	b := p.open(t, "", looks[0])
	b.visit(path)
	if text := b.text("main"); !strings.Contains(text, "nia@example.test") || !strings.Contains(text, "Approver") {
		t.Errorf("the invitation does not say whom it is for and what they become: %s", text)
	}
	b.click("a.btn.is-primary")
	b.waitFor("the sign-in page", `location.pathname === "/login"`)
	b.click("a.btn.is-primary")
	b.passForm(p, "nia")
	b.waitForPath(path)
	b.visit("/ws/acme/members")
	if text := b.text("main"); !strings.Contains(text, "Nia Invited") || strings.Contains(text, "Eve") || strings.Contains(text, "Bo Other") {
		t.Errorf("the wrong people are members: %s", text)
	}
	// A link is good once.
	v := p.visitor(t)
	v.signIn("nia", path)
	if a := v.get(path); a.status == http.StatusOK {
		t.Errorf("a used invitation is offered again: %s", clip(a.body))
	}
}

func TestGroupsOfTheProviderGiveARoleAndTakeItAwayAtTheNextSignIn(t *testing.T) {
	t.Parallel()
	kim := oidctest.User{Username: "kim", Email: "kim@example.test", EmailVerified: true, Name: "Kim Ops", Password: password}
	p := startWithProvider(t, []oidctest.User{kim})
	p.workspace(t, "acme")
	for claim, role := range map[string]string{"/staff/ops": "admin", "staff": "viewer"} {
		ok(t, p.post(t, "owner@acme.test", "/ws/acme/members/mappings", "claim_value="+url.QueryEscape(claim)+"&role="+role), http.StatusSeeOther, "add rule")
	}
	in := func(groups ...string) *visitor {
		t.Helper()
		kim.Groups = groups
		p.op.SetUser(kim)
		v := p.visitor(t)
		v.signIn("kim", "/")
		return v
	}
	const adminsOnly = "/ws/acme/members/mappings"

	ok(t, in().get("/ws/acme"), http.StatusNotFound, "without a claim of groups")
	admin := in("/staff", "/staff/ops")
	ok(t, admin.get(adminsOnly), http.StatusOK, "the highest of two rules")
	viewer := in("staff")
	ok(t, viewer.get("/ws/acme/members"), http.StatusOK, "the lower rule")
	ok(t, viewer.get(adminsOnly), http.StatusForbidden, "what only admins may")
	ok(t, admin.get(adminsOnly), http.StatusForbidden, "the older session has the same rights")
	ok(t, in().get("/ws/acme"), http.StatusOK, "no claim of groups at all says nothing")
	kim.Groups = []string{}
	p.op.SetUser(kim)
	gone := p.visitor(t)
	if got := gone.signIn("kim", "/"); got != "/workspaces/new" {
		t.Errorf("somebody in no workspace lands on %q", got)
	}
	ok(t, gone.get("/ws/acme"), http.StatusNotFound, "an empty list of groups takes the place away")
	ok(t, viewer.get("/ws/acme"), http.StatusNotFound, "the older session lost it too")
}

func TestSigningOutEndsTheSessionOfTheProviderToo(t *testing.T) {
	t.Parallel()
	p := startWithProvider(t, []oidctest.User{{Username: "ada", Email: "ada@example.test", EmailVerified: true, Name: "Ada Berg"}})
	b := p.open(t, "", looks[0])
	b.visit("/account")
	b.click("a.btn.is-primary")
	b.passForm(p, "ada")
	b.waitForPath("/account")
	if n := len(p.op.Sessions("ada")); n != 1 {
		t.Fatalf("%d sessions at the provider after the sign-in", n)
	}
	b.click(`form[action="/logout"] button`)
	b.waitForPath("/login")
	if n := len(p.op.Sessions("ada")); n != 0 {
		t.Errorf("%d sessions at the provider after the sign-out", n)
	}
	b.checkQuiet("sign-out")
	b.visit("/account")
	b.waitForPath("/login?return_to=%2Faccount")
	b.click("a.btn.is-primary")
	b.waitFor("the provider asks for the password again", fmt.Sprintf("location.href.startsWith(%q) && document.querySelector('#password')", p.op.Issuer()))
}

func TestTheProviderEndsOneSessionOrAllOfAPersonAtOnce(t *testing.T) {
	t.Parallel()
	p := startWithProvider(t, []oidctest.User{
		{Username: "ada", Email: "ada@example.test", EmailVerified: true, Name: "Ada Berg"},
		{Username: "bo", Email: "bo@example.test", EmailVerified: true, Name: "Bo Other"},
	})
	ctx := context.Background()
	phone, desk, other := p.visitor(t), p.visitor(t), p.visitor(t)
	phone.signIn("ada", "")
	desk.signIn("ada", "")
	other.signIn("bo", "")
	for name, v := range map[string]*visitor{"phone": phone, "desk": desk, "other": other} {
		ok(t, v.get("/account"), http.StatusOK, name+" is signed in")
	}
	open := p.op.Sessions("ada")
	if len(open) != 2 {
		t.Fatalf("%d sessions of ada at the provider, want 2", len(open))
	}
	if err := p.op.EndSession(ctx, open[0].ID); err != nil {
		t.Fatalf("logout by sid: %v", err)
	}
	phone.mustSignIn("/account", "after a logout by sid")
	ok(t, desk.get("/account"), http.StatusOK, "the other session of the same person")

	again := p.visitor(t)
	again.signIn("ada", "")
	if err := p.op.EndSubject(ctx, "ada"); err != nil {
		t.Fatalf("logout by sub: %v", err)
	}
	desk.mustSignIn("/account", "after a logout by sub")
	again.mustSignIn("/account", "after a logout by sub")
	ok(t, other.get("/account"), http.StatusOK, "the session of somebody else")

	token, err := p.op.LogoutToken(clientID, "bo", "")
	if err != nil {
		t.Fatal(err)
	}
	ok(t, other.post(identity.BackchannelPath, url.Values{"logout_token": {token + "x"}}), http.StatusBadRequest, "a forged logout token")
	ok(t, other.get("/account"), http.StatusOK, "after a forged logout token")
	ok(t, p.visitor(t).post(identity.BackchannelPath, url.Values{"logout_token": {token}}), http.StatusOK, "a good logout token")
	ok(t, p.visitor(t).post(identity.BackchannelPath, url.Values{"logout_token": {token}}), http.StatusBadRequest, "the same logout token again")
	other.mustSignIn("/account", "after their logout")

	// A provider inside the network reaches us by another name than people do.
	inside := p.visitor(t)
	inside.signIn("bo", "")
	if token, err = p.op.LogoutToken(clientID, "bo", ""); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, p.base+identity.BackchannelPath, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "vigilo:8080"
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a logout token sent to another name of ours: status %d", res.StatusCode)
	}
	inside.mustSignIn("/account", "after a logout from inside the network")
}

func TestAFormSentAfterTheSessionExpiredIsSentAgainAfterSigningIn(t *testing.T) {
	t.Parallel()
	p := startWithProvider(t, []oidctest.User{{Username: "ada", Email: "ada@example.test", EmailVerified: true, Name: "Ada Berg"}})
	ws := p.workspace(t, "acme")
	p.visitor(t).signIn("ada", "")
	p.join(t, "ada@example.test", ws.String(), "admin")
	const page = "/ws/acme/members/groups/new"
	b := p.open(t, "", looks[0])
	b.visit(page)
	b.click("a.btn.is-primary")
	b.passForm(p, "ada")
	b.waitForPath(page)
	const typed = `On call & "night" <shift>`
	b.fill("main form input[name=name]", typed)
	if _, err := p.db.Admin(t).Exec(context.Background(), `UPDATE sessions SET expires_at = now() - interval '1 minute' WHERE auth_method = 'oidc'`); err != nil {
		t.Fatal(err)
	}
	b.click("main form button:not([type=button])")
	b.waitFor("the page that says so", `document.querySelector("h1")?.innerText === "Your session has ended"`)
	b.checkAccessible("session ended", looks[0])
	b.picture("session-ended")
	if kept := evaluate[string](b, `document.querySelector("form[method=post] input[name=name]").value`); kept != typed {
		t.Errorf("the page keeps %q of %q", kept, typed)
	}
	signIn := evaluate[string](b, `(a => a.target === "_blank" ? a.getAttribute("href") : "")(document.querySelector("a.btn.is-primary"))`)
	if want := "/login?return_to=" + url.QueryEscape(page); signIn != want {
		t.Fatalf("the page offers to sign in at %q in a new tab, want %q", signIn, want)
	}
	other := b.beside()
	other.visit(signIn)
	other.click("a.btn.is-primary")
	// The provider still knows this browser, so that no form is shown.
	other.waitForPath(page)
	b.click("form[method=post] button")
	b.waitFor("the new group", `/^.ws.acme.members.groups.[0-9a-f-]{36}$/.test(location.pathname) && document.readyState === "complete"`)
	if text := b.text("main"); !strings.Contains(text, typed) {
		t.Errorf("the group is not named as typed: %s", clip(text))
	}
}

func TestAProviderThatIsDownStopsSignInsOnly(t *testing.T) {
	t.Parallel()
	users := []oidctest.User{{Username: "ada", Email: "ada@example.test", EmailVerified: true, Name: "Ada Berg"}}
	p := startWithProvider(t, users)
	p.workspace(t, "acme")
	p.away()
	saysSo := func(a answer, what string) {
		t.Helper()
		ok(t, a, http.StatusServiceUnavailable, what)
		for _, want := range []string{"You cannot sign in right now", "Try again in a moment", "Sign in with Example ID"} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s: the page does not say %q", what, want)
			}
		}
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	}
	saysSo(p.visitor(t).get("/login/oidc?return_to=%2Fws%2Facme"), "sign-in while the provider was never seen")
	if a := p.visitor(t).get("/login/oidc?return_to=%2Fws%2Facme"); !strings.Contains(a.body, "return_to=%2Fws%2Facme") {
		t.Errorf("the page forgets where the person wanted to go: %s", clip(a.body))
	}
	ok(t, p.get(t, "owner@acme.test", "/ws/acme"), http.StatusOK, "a page of somebody signed in")
	ok(t, p.get(t, "", "/readyz"), http.StatusOK, "readiness")

	// It comes back at the same address, as a restart does.
	addr := strings.TrimPrefix(p.op.Issuer(), "http://")
	p.startProvider(t, addr, users)
	p.register()
	eventually(t, "sign-ins work again", func() bool {
		return p.visitor(t).get("/login/oidc").status == http.StatusSeeOther
	})
	v := p.visitor(t)
	v.signIn("ada", "")

	// It goes away between the form and our callback.
	late := p.visitor(t)
	callback := late.callback("ada", "/account")
	p.away()
	saysSo(late.do(http.MethodGet, callback, ""), "the callback")
	ok(t, v.get("/account"), http.StatusOK, "a page of somebody signed in")
	ok(t, v.post("/logout", url.Values{}), http.StatusOK, "sign-out")
	v.mustSignIn("/account", "after the sign-out")
}
