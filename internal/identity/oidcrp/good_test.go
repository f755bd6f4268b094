package oidcrp_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/identity/oidctest"
)

const (
	callbackURL   = "http://127.0.0.1:9/auth/callback"
	postLogoutURL = "http://127.0.0.1:9/goodbye"
)

// startOP runs a compliant provider with one client and one person.
func startOP(t *testing.T, change func(*oidctest.Options)) *oidctest.OP {
	t.Helper()
	opts := oidctest.Options{
		Clients: []oidctest.Client{{
			ID: "vigilo", Secret: "s3cret/with+signs", RedirectURLs: []string{callbackURL}, PostLogoutURLs: []string{postLogoutURL},
			ClaimsInIDToken: true,
		}},
		Users: []oidctest.User{{
			Subject: "u-1", Username: "ada", Password: "engine", Email: "ada@example.org", EmailVerified: true,
			Name: "Ada Lovelace", Groups: []string{"/admins", "ops", "ops"},
		}},
	}
	if change != nil {
		change(&opts)
	}
	return oidctest.Start(t, opts)
}

func newRP(o *oidctest.OP, change func(*oidcrp.Config)) *oidcrp.Provider {
	cfg := oidcrp.Config{
		Issuer: o.Issuer(), ClientID: "vigilo", ClientSecret: "s3cret/with+signs", RedirectURL: callbackURL,
		PostLogoutURL: postLogoutURL, GroupsClaim: "groups",
	}
	if change != nil {
		change(&cfg)
	}
	return oidcrp.New(cfg)
}

// signIn walks the whole way through the provider's form.
func signIn(t *testing.T, o *oidctest.OP, rp *oidcrp.Provider, browser *http.Client) oidcrp.Identity {
	t.Helper()
	authURL, flow, err := rp.Start(t.Context(), "/ws/demo")
	if err != nil {
		t.Fatal(err)
	}
	callback, err := o.SignIn(t.Context(), browser, authURL, "ada", "engine")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(callback.String(), callbackURL+"?") {
		t.Fatalf("provider redirected to %s", callback)
	}
	identity, err := rp.Finish(t.Context(), flow, callback.Query())
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestSignInThroughTheFormGivesTheIdentity(t *testing.T) {
	t.Parallel()
	for name, inToken := range map[string]bool{"claims in the ID token": true, "claims in userinfo": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOP(t, func(opts *oidctest.Options) { opts.Clients[0].ClaimsInIDToken = inToken })
			got := signIn(t, o, newRP(o, nil), oidctest.NewBrowser())
			want := oidcrp.Identity{
				Issuer: o.Issuer(), Subject: "u-1", Email: "ada@example.org", EmailVerified: true, Name: "Ada Lovelace",
				Groups: []string{"admins", "ops"}, GroupsPresent: true, SessionID: o.Sessions("u-1")[0].ID,
				AuthTime: o.Sessions("u-1")[0].AuthTime.Truncate(time.Second), ACR: "1", AMR: []string{"pwd"},
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(oidcrp.Identity{}, "RawIDToken")); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIssuerBelowAPathAndNestedRolesWork(t *testing.T) {
	t.Parallel()
	o := startOP(t, func(opts *oidctest.Options) {
		opts.IssuerPath, opts.GroupsClaim = "/realms/demo", "realm_access.roles"
	})
	if !strings.HasSuffix(o.Issuer(), "/realms/demo") {
		t.Fatalf("issuer is %s", o.Issuer())
	}
	rp := newRP(o, func(c *oidcrp.Config) { c.GroupsClaim = "realm_access.roles" })
	if got := signIn(t, o, rp, oidctest.NewBrowser()); !cmp.Equal(got.Groups, []string{"admins", "ops"}) {
		t.Errorf("groups = %q", got.Groups)
	}
}

func TestPublicClientSignsInWithPKCEAlone(t *testing.T) {
	t.Parallel()
	o := startOP(t, func(opts *oidctest.Options) { opts.Clients[0].Secret = "" })
	rp := newRP(o, func(c *oidcrp.Config) { c.ClientSecret = "" })
	if got := signIn(t, o, rp, oidctest.NewBrowser()); got.Subject != "u-1" {
		t.Errorf("subject = %q", got.Subject)
	}
}

func TestBrowserWithAProviderSessionPassesWithoutAForm(t *testing.T) {
	t.Parallel()
	o, browser := startOP(t, nil), oidctest.NewBrowser()
	rp := newRP(o, nil)
	first := signIn(t, o, rp, browser)
	authURL, flow, err := rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	callback, err := o.SignIn(t.Context(), browser, authURL, "ada", "not asked for")
	if err != nil {
		t.Fatal(err)
	}
	second, err := rp.Finish(t.Context(), flow, callback.Query())
	if err != nil {
		t.Fatal(err)
	}
	if second.SessionID != first.SessionID || second.SessionID == "" {
		t.Errorf("sid = %q, first was %q", second.SessionID, first.SessionID)
	}
}

func TestWrongPasswordGivesNoCallback(t *testing.T) {
	t.Parallel()
	o := startOP(t, nil)
	authURL, _, err := newRP(o, nil).Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if callback, err := o.SignIn(t.Context(), oidctest.NewBrowser(), authURL, "ada", "wrong"); err == nil {
		t.Errorf("callback = %s", callback)
	}
}

func TestCancelledSignInIsDenied(t *testing.T) {
	t.Parallel()
	o := startOP(t, nil)
	rp := newRP(o, nil)
	authURL, flow, err := rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	callback, err := o.Cancel(t.Context(), oidctest.NewBrowser(), authURL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = rp.Finish(t.Context(), flow, callback.Query())
	wantDenied(t, err, oidcrp.CodeAccessDenied)
}

func TestCodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	o := startOP(t, nil)
	rp := newRP(o, nil)
	authURL, flow, err := rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	callback, err := o.SignIn(t.Context(), oidctest.NewBrowser(), authURL, "ada", "engine")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.Finish(t.Context(), flow, callback.Query()); err != nil {
		t.Fatal(err)
	}
	_, err = rp.Finish(t.Context(), flow, callback.Query())
	wantDenied(t, err, oidcrp.CodeCodeRejected)
}

func TestCodeOfAnotherFlowFailsPKCE(t *testing.T) {
	t.Parallel()
	o := startOP(t, nil)
	rp := newRP(o, nil)
	authURL, flow, err := rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	callback, err := o.SignIn(t.Context(), oidctest.NewBrowser(), authURL, "ada", "engine")
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	// An attacker who injects a stolen code brings their own state along.
	flow.Verifier = other.Verifier
	_, err = rp.Finish(t.Context(), flow, callback.Query())
	wantDenied(t, err, oidcrp.CodeCodeRejected)
}

func TestKeysRotatedBetweenSignInsAreFetchedAgain(t *testing.T) {
	t.Parallel()
	o := startOP(t, nil)
	rp := newRP(o, nil)
	signIn(t, o, rp, oidctest.NewBrowser())
	if err := o.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	signIn(t, o, rp, oidctest.NewBrowser())
}

func TestLogoutAtTheProviderEndsItsSessionAndReturns(t *testing.T) {
	t.Parallel()
	o, browser := startOP(t, nil), oidctest.NewBrowser()
	rp := newRP(o, nil)
	identity := signIn(t, o, rp, browser)
	logout, ok := rp.LogoutURL(t.Context(), identity.RawIDToken, "st/1")
	if !ok {
		t.Fatal("provider has no logout address")
	}
	back := get(t, browser, logout)
	if want := postLogoutURL + "?state=st%2F1"; back.String() != want {
		t.Errorf("provider redirected to %s, want %s", back, want)
	}
	if open := o.Sessions("u-1"); len(open) != 0 {
		t.Errorf("sessions left: %v", open)
	}
}

func TestProviderSendsLogoutTokensThatWeAccept(t *testing.T) {
	t.Parallel()
	tokens := make(chan string, 4)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tokens <- r.PostFormValue("logout_token")
	}))
	t.Cleanup(receiver.Close)
	o := startOP(t, func(opts *oidctest.Options) { opts.Clients[0].BackChannelLogoutURL = receiver.URL })
	rp := newRP(o, nil)
	first := signIn(t, o, rp, oidctest.NewBrowser())
	signIn(t, o, rp, oidctest.NewBrowser())

	if err := o.EndSession(t.Context(), first.SessionID); err != nil {
		t.Fatal(err)
	}
	got, err := rp.VerifyLogoutToken(t.Context(), <-tokens)
	if err != nil {
		t.Fatal(err)
	}
	if got.SessionID != first.SessionID || got.Subject != "u-1" || got.Issuer != o.Issuer() || got.JTI == "" {
		t.Errorf("logout = %+v", got)
	}
	if err := o.EndSubject(t.Context(), "u-1"); err != nil {
		t.Fatal(err)
	}
	if got, err = rp.VerifyLogoutToken(t.Context(), <-tokens); err != nil {
		t.Fatal(err)
	}
	if got.SessionID != "" || got.Subject != "u-1" {
		t.Errorf("logout by subject = %+v", got)
	}
	if len(tokens) != 0 {
		t.Errorf("%d logout tokens too many", len(tokens))
	}
}

// get visits an address and returns where it redirects to.
func get(t *testing.T, browser *http.Client, address string) *url.URL {
	t.Helper()
	once := *browser
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := once.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	location, err := res.Location()
	if err != nil {
		t.Fatalf("%s answered %s", address, res.Status)
	}
	return location
}
