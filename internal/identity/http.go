package identity

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/identity"
	"github.com/vigilo/vigilo/templates/ui"
)

// routes adds the pages. Those of the provider exist only with a provider, and the
// development login only without one.
func (s *Service) routes(r *web.Router) {
	r.Public(http.MethodGet, "/", s.showStart)
	r.Public(http.MethodGet, "/login", s.showLogin)
	r.Public(http.MethodPost, "/logout", s.logout)
	switch {
	case s.devLogin():
		r.Public(http.MethodPost, "/login/dev", s.loginDev)
	case s.OIDC != nil:
		r.Public(http.MethodGet, "/login/oidc", s.startLogin)
		r.Public(http.MethodGet, CallbackPath, s.finishLogin)
		r.Public(http.MethodPost, BackchannelPath, s.logoutByProvider)
	}
	s.accountRoutes(r)
	s.tokenRoutes(r)
}

// showStart sends a person to where they were, and anybody else to the sign-in page.
func (s *Service) showStart(r *web.Request) error {
	if !r.SignedIn() {
		return r.SeeOther("/login")
	}
	return r.SeeOther(home(r, ""))
}

// home is where a signed-in person goes.
func home(r *web.Request, returnTo string) string {
	places := make([]place, len(r.Principal.Memberships))
	for i, m := range r.Principal.Memberships {
		places[i] = place{Slug: m.Slug, Name: m.Name, Role: m.Role}
	}
	return landing(returnTo, places, r.Principal.LastWorkspace, r.User().PlatformAdmin)
}

// returnTo reads the page that a sign-in shall lead back to, empty for none of ours.
func returnTo(values url.Values) string {
	if path := values.Get("return_to"); len(path) <= 2000 && web.Local(path) && askedFor(path) {
		return path
	}
	return ""
}

func (s *Service) showLogin(r *web.Request) error {
	back := returnTo(r.URL.Query())
	switch {
	case r.SignedIn() && r.URL.Query().Get("again") == "act":
		return s.loginPage(r, back, http.StatusOK, &ui.Notice{
			Tone: ui.Info, Title: "Sign in again", Text: "What you are about to do asks that you prove anew who you are.",
		})
	case r.SignedIn() && r.URL.Query().Has("again"):
		return s.loginPage(r, back, http.StatusOK, &ui.Notice{
			Tone: ui.Info, Title: "Sign in again for this workspace",
			Text: "Its admins let sessions last less long than yours has lasted. Your other workspaces stay open.",
		})
	case r.SignedIn():
		return r.SeeOther(home(r, back))
	}
	return s.loginPage(r, back, http.StatusOK, nil)
}

// loginPage draws the sign-in page, with what went wrong before, if anything did.
func (s *Service) loginPage(r *web.Request, back string, status int, notice *ui.Notice) error {
	v := views.Login{Provider: s.ProviderName, Notice: notice}
	switch {
	case s.devLogin():
		people, err := demoPeople.All(r.Context(), s.DB.SystemRead(), nil)
		if err != nil {
			return err
		}
		v.Dev = devLogin(people, back)
	case s.OIDC != nil:
		v.StartHref = "/login/oidc"
		if back != "" {
			v.StartHref += "?return_to=" + url.QueryEscape(back)
		}
	}
	return r.Bare(web.Page{Title: "Sign in", Status: status, Narrow: true}, views.LoginPage(v))
}

// devLogin groups the demo people by workspace.
func devLogin(people []demoPerson, back string) *views.DevLogin {
	v := &views.DevLogin{Action: "/login/dev", ReturnTo: back}
	title := ""
	for i, p := range people {
		group, role := p.Workspace, access.Role(p.Role).Label()
		if group == "" {
			group = "Without a workspace"
		}
		if p.PlatformAdmin {
			role = access.PlatformAdmin.Label()
		}
		if i == 0 || group != title {
			title = group
			v.Groups = append(v.Groups, views.DevGroup{ID: "group-" + strconv.Itoa(len(v.Groups)), Title: group})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.People = append(g.People, views.DevPerson{
			Person: ui.Person{Name: p.Name, Initials: web.Initials(p.Name), Hue: 1 + len(g.People)%4}, Email: p.Email, Role: role,
		})
	}
	return v
}

// attempt counts one attempt of somebody and refuses when there were too many.
func (s *Service) attempt(what, who string) error {
	if ok, retry, _ := s.limit.Allow(what + "|" + who); !ok {
		return web.TooMany(retry)
	}
	return nil
}

// network is the address that attempts are counted for: an IPv6 customer has at least
// 2^64 addresses, so the network of them counts.
func network(ip netip.Addr) string {
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

func (s *Service) startLogin(r *web.Request) error {
	if err := s.attempt("start", network(r.Actor.IP)); err != nil {
		return err
	}
	back := returnTo(r.URL.Query())
	start := s.OIDC.Start
	if r.SignedIn() {
		// Who has a session comes here because it is too old for what they opened: the
		// session of the provider must not renew it without asking.
		start = s.OIDC.StartFresh
	}
	authURL, flow, err := start(r.Context(), back)
	if err != nil {
		return s.refuseLogin(r, err, back)
	}
	if err := s.keepFlow(r, flow); err != nil {
		return err
	}
	r.W.Header().Set("Cache-Control", "no-store")
	http.Redirect(r.W, r.Request, authURL, http.StatusSeeOther)
	return nil
}

func (s *Service) finishLogin(r *web.Request) error {
	if err := s.attempt("callback", network(r.Actor.IP)); err != nil {
		return err
	}
	query := r.URL.Query()
	flow, ok := s.takeFlow(r, query.Get("state"))
	if !ok {
		return s.refuseLogin(r, &fault.Error{
			Kind: fault.Denied, Code: oidcrp.CodeStateMismatch,
			Message: "This sign-in was not started in this browser, or it took too long. Start again.",
		}, "")
	}
	back := returnTo(url.Values{"return_to": {flow.ReturnTo}})
	identity, err := s.OIDC.Finish(r.Context(), flow, query)
	if err != nil {
		return s.refuseLogin(r, err, back)
	}
	if err := s.attempt("account", identity.Issuer+" "+identity.Subject); err != nil {
		return err
	}
	token, to, err := s.signInOIDC(r.Context(), identity, browser(r), back)
	if err != nil {
		return s.refuseLogin(r, err, back)
	}
	r.SetSession(token)
	return r.SeeOther(to)
}

func (s *Service) loginDev(r *web.Request) error {
	if err := s.attempt("start", network(r.Actor.IP)); err != nil {
		return err
	}
	if err := r.ParseBody(); err != nil {
		return err
	}
	back, email := returnTo(r.PostForm), r.PostForm.Get("email")
	if !printable(email) || len(email) > 254 {
		email = ""
	}
	if err := s.attempt("account", email); err != nil {
		return err
	}
	token, to, err := s.signInDev(r.Context(), email, browser(r), back)
	if err != nil {
		return s.refuseLogin(r, err, back)
	}
	r.SetSession(token)
	return r.SeeOther(to)
}

// browser describes who signs in, for the session and the log.
func browser(r *web.Request) client {
	c := clientOf(r.Actor)
	c.oldToken = r.SessionToken()
	return c
}

// refuseLogin shows the sign-in page with the reason. Refusals and outages are expected
// here and logged with the id of the request; anything else is a failure of ours.
func (s *Service) refuseLogin(r *web.Request, err error, back string) error {
	e := fault.Find(err)
	if e == nil {
		return err
	}
	notice := &ui.Notice{Title: "You are not signed in", Text: e.Message, Tone: ui.Warn, Alert: true}
	status := http.StatusForbidden
	switch e.Kind {
	case fault.Denied:
	case fault.Invalid:
		status = http.StatusUnprocessableEntity
		if len(e.Details) > 0 {
			notice.Text = e.Details[0].Message
		}
	case fault.Unavailable:
		status, notice.Title, notice.Tone = http.StatusServiceUnavailable, "You cannot sign in right now", ui.Crit
		r.W.Header().Set("Retry-After", "5")
	default:
		return err
	}
	r.LogFailure(err)
	return s.loginPage(r, back, status, notice)
}

// logout ends the session here and then at the provider. The browser is not redirected
// there: form-action 'self' of our own policy also forbids where a form is sent on to, so
// it goes by a page with a link that it follows at once.
func (s *Service) logout(r *web.Request) error {
	if r.SessionToken() == "" {
		return r.SeeOther(PostLogoutPath)
	}
	providerURL, err := s.signOut(r.Context(), browser(r))
	if err != nil {
		return err
	}
	r.SetSession("")
	r.Flash("You are signed out.")
	if providerURL == "" {
		return r.SeeOther(PostLogoutPath)
	}
	r.W.Header().Set("Refresh", "0; url="+providerURL)
	return r.Bare(web.Page{Title: "Signed out", Narrow: true}, views.GoodbyePage(views.Goodbye{Provider: s.ProviderName, Href: providerURL}))
}

// logoutByProvider takes a logout token (OpenID Connect Back-Channel Logout 1.0, 2.5 to
// 2.8). Every failure answers 400, as the specification wants, so that the provider knows.
func (s *Service) logoutByProvider(r *web.Request) error {
	type refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	r.W.Header().Set("Cache-Control", "no-store")
	err := r.ParseBody()
	if err == nil {
		_, err = s.backchannelLogout(r.Context(), r.PostForm.Get("logout_token"), clientOf(r.Actor))
	}
	if err == nil {
		r.W.WriteHeader(http.StatusOK)
		return nil
	}
	r.LogFailure(err)
	answer := refusal{Error: "invalid_request", Description: "The logout failed."}
	if e := fault.Find(err); e != nil {
		answer.Description = e.Message
	}
	return r.JSON(http.StatusBadRequest, answer)
}
