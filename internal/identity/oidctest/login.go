package oidctest

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/http/cookiejar"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/net/html"
)

const sessionCookie = "oidctest_session"

//go:embed login.html
var loginPage string

//go:embed login.css
var loginStyle []byte

// loginTemplate is parsed once and never changed.
var loginTemplate = template.Must(template.New("login").Parse(loginPage))

type loginView struct {
	Style, Action, ID, Username, Problem string
}

func showStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(loginStyle) // a browser that went away needs no answer
}

// showLogin asks for the password, or goes on at once when the browser has a session.
func (o *OP) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("id")
	if cookie, err := r.Cookie(sessionCookie); err == nil && o.resume(id, cookie.Value) {
		o.goOn(w, r, id)
		return
	}
	o.renderLogin(w, http.StatusOK, loginView{ID: id})
}

// resume binds a sign-in to an open session.
func (o *OP) resume(id, sid string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	req, session := o.requests[id], o.sessions[sid]
	if req == nil || session == nil || req.wantsLogin() {
		return false
	}
	req.session = session
	return true
}

func (o *OP) login(w http.ResponseWriter, r *http.Request) {
	id, username := r.PostFormValue("id"), r.PostFormValue("username")
	if r.PostFormValue("cancel") != "" {
		o.cancel(w, r, id)
		return
	}
	session, err := o.signIn(id, username, r.PostFormValue("password"))
	if err != nil {
		o.renderLogin(w, http.StatusUnprocessableEntity, loginView{ID: id, Username: username, Problem: err.Error()})
		return
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain http on loopback
		Name: sessionCookie, Value: session.ID, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	o.goOn(w, r, id)
}

func (o *OP) signIn(id, username, password string) (*Session, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	req := o.requests[id]
	if req == nil {
		//lint:ignore ST1005 the page shows it as it is
		return nil, errors.New("This sign-in has expired. Start again.")
	}
	user, ok := o.users[username]
	if !ok || subtle.ConstantTimeCompare([]byte(user.Password), []byte(password)) != 1 {
		//lint:ignore ST1005 the page shows it as it is
		return nil, errors.New("Username or password is wrong.")
	}
	session := &Session{ID: randomID(), Subject: user.Subject, AuthTime: o.opts.Clock.Now()}
	o.sessions[session.ID] = session
	req.session = session
	return session, nil
}

func (o *OP) cancel(w http.ResponseWriter, r *http.Request, id string) {
	o.mu.Lock()
	req := o.requests[id]
	delete(o.requests, id)
	o.mu.Unlock()
	if req == nil {
		http.Error(w, "This sign-in has expired.", http.StatusNotFound)
		return
	}
	op.AuthRequestError(w, r, req, oidc.ErrAccessDenied().WithDescription("cancelled by the person"), o.provider)
}

// goOn returns to the library, which issues the code and redirects to the client.
func (o *OP) goOn(w http.ResponseWriter, r *http.Request, id string) {
	callback := op.AuthCallbackURL(o.provider)(op.ContextWithIssuer(r.Context(), o.issuer), id)
	http.Redirect(w, r, callback, http.StatusSeeOther)
}

func (o *OP) renderLogin(w http.ResponseWriter, status int, view loginView) {
	view.Action, view.Style = o.url("/login", nil), o.url("/login.css", nil)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := loginTemplate.Execute(w, view); err != nil {
		o.opts.Logger.Warn("login page was not sent", "error", err)
	}
}

// NewBrowser returns a client with a cookie jar of its own.
func NewBrowser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // only a public suffix list can fail, and there is none
	}
	return &http.Client{Jar: jar}
}

// SignIn walks from authURL through the login form, as a person does with browser,
// and returns the callback with the provider's answer, without visiting it. A browser
// that still has a session passes without a form.
func (o *OP) SignIn(ctx context.Context, browser *http.Client, authURL, username, password string) (*url.URL, error) {
	return o.walk(ctx, browser, authURL, url.Values{"username": {username}, "password": {password}})
}

// Cancel walks to the login form and refuses to sign in.
func (o *OP) Cancel(ctx context.Context, browser *http.Client, authURL string) (*url.URL, error) {
	return o.walk(ctx, browser, authURL, url.Values{"cancel": {"1"}})
}

func (o *OP) walk(ctx context.Context, browser *http.Client, authURL string, answer url.Values) (*url.URL, error) {
	inside := *browser
	inside.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		if next.URL.Host != o.host {
			return http.ErrUseLastResponse
		}
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authURL, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	res, err := inside.Do(req)
	if err != nil {
		return nil, fmt.Errorf("open login page: %w", err)
	}
	defer res.Body.Close()
	if callback, err := res.Location(); err == nil {
		return callback, nil
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("login page answered %s", res.Status)
	}
	action, form, err := readForm(res)
	if err != nil {
		return nil, err
	}
	for name, values := range answer {
		form[name] = values
	}
	return submit(ctx, &inside, action, form)
}

func submit(ctx context.Context, browser *http.Client, action string, form url.Values) (*url.URL, error) {
	res, err := postForm(ctx, browser, action, form)
	if err != nil {
		return nil, fmt.Errorf("submit login form: %w", err)
	}
	defer res.Body.Close()
	callback, err := res.Location()
	if err != nil {
		return nil, fmt.Errorf("login form answered %s", res.Status)
	}
	return callback, nil
}

// readForm returns the address and the hidden inputs of the first form of a page.
func readForm(res *http.Response) (action string, hidden url.Values, err error) {
	page, err := html.Parse(res.Body)
	if err != nil {
		return "", nil, fmt.Errorf("parse login page: %w", err)
	}
	hidden = url.Values{}
	for node := range page.Descendants() {
		if node.Type != html.ElementNode {
			continue
		}
		attr := map[string]string{}
		for _, a := range node.Attr {
			attr[a.Key] = a.Val
		}
		switch {
		case node.Data == "form" && action == "":
			action = attr["action"]
		case node.Data == "input" && attr["type"] == "hidden":
			hidden.Set(attr["name"], attr["value"])
		}
	}
	if action == "" {
		return "", nil, errors.New("page has no form")
	}
	return action, hidden, nil
}
