package identity

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/identity"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) accountRoutes(r *web.Router) {
	r.Account(http.MethodGet, "/account", s.showAccount)
	r.Account(http.MethodPost, "/account", s.saveAccount)
	r.Account(http.MethodPost, "/account/theme", s.saveTheme)
	r.Account(http.MethodPost, "/account/time-zone", s.saveDetectedZone)
	r.Account(http.MethodGet, "/account/sessions", s.showSessions)
	r.Account(http.MethodPost, "/account/sessions/end", s.endOtherSessionsOf)
	r.Account(http.MethodPost, "/account/sessions/{id}/end", s.endSessionOf)
}

// printable reports whether a text can be stored.
func printable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

func accountTabs(current string) ui.Tabs {
	t := ui.Tabs{Label: "Account", Items: []ui.Tab{
		{Text: "Profile", Href: "/account", Icon: "user"},
		{Text: "Sessions", Href: "/account/sessions", Icon: "monitor"},
		{Text: "API tokens", Href: "/account/tokens", Icon: "key-round"},
	}}
	for i := range t.Items {
		t.Items[i].Current = t.Items[i].Href == current
	}
	return t
}

// bareInvalid shows a form outside a workspace again when the person can mend it.
func bareInvalid(r *web.Request, err error, draw func(err error) error) error {
	if !fault.Is(err, fault.Invalid) {
		return err
	}
	r.LogFailure(err)
	return draw(err)
}

// formErrors lists the problems of a refused form for its summary.
func formErrors(err error, labels map[string]string) []ui.FormError {
	e := fault.Find(err)
	if e == nil {
		return nil
	}
	var out []ui.FormError
	for _, d := range e.Details {
		item := ui.FormError{Text: d.Message}
		if label, ok := labels[d.Field]; ok {
			item.Field, item.Label = d.Field, label
		}
		out = append(out, item)
	}
	if len(out) == 0 {
		out = append(out, ui.FormError{Text: e.Message})
	}
	return out
}

func (s *Service) showAccount(r *web.Request) error {
	u := r.User()
	return s.accountPage(r, Profile{TimeZone: u.TimeZone, Theme: u.Theme, Shortcuts: u.Shortcuts}, nil)
}

func (s *Service) accountPage(r *web.Request, p Profile, err error) error {
	problems := form.Messages(err)
	status := http.StatusOK
	v := views.Account{
		Tabs: accountTabs("/account"),
		Form: ui.Form{Action: "/account", Guard: true},
		Facts: []ui.Fact{
			{Label: "Name", Text: r.User().Name}, {Label: "E-mail", Text: r.User().Email},
		},
		TimeZone: ui.Field{
			Name: "time_zone", Label: "Time zone", Value: p.TimeZone, List: zones(), Autocomplete: "off", Error: problems["time_zone"],
			Hint: zoneHint(p.TimeZone, r.Now()), Placeholder: "Type a city, such as Oslo",
		},
		Theme: ui.Field{
			Name: "theme", Label: "Theme", Required: true, Error: problems["theme"], Options: []ui.Option{
				{Value: "system", Text: "As the system", Hint: "Follows the setting of your device.", Selected: p.Theme == "system"},
				{Value: "light", Text: "Light", Selected: p.Theme == "light"},
				{Value: "dark", Text: "Dark", Selected: p.Theme == "dark"},
			},
		},
		Shortcuts: ui.Choice{
			Name: "shortcuts", Label: "Keyboard shortcuts", Hint: "Single keys act on lists and pages. Ctrl K and Esc always work.", Checked: p.Shortcuts,
		},
	}
	if err != nil {
		status = http.StatusUnprocessableEntity
		v.Form.Errors = formErrors(err, map[string]string{"time_zone": "Time zone", "theme": "Theme"})
	}
	return r.Bare(web.Page{Title: "Your account", Status: status}, views.AccountPage(v))
}

// zoneHint says what time it is in the zone, which tells at once whether it is right.
func zoneHint(name string, now time.Time) string {
	loc, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return "Times are shown in this zone. Empty means the zone of each workspace."
	}
	return fmt.Sprintf("Times are shown in this zone. It is %s there now.", now.In(loc).Format("15:04 on Monday"))
}

func (s *Service) saveAccount(r *web.Request) error {
	var p Profile
	err := r.Form(&p)
	if err == nil {
		err = s.SetProfile(r.Context(), r.User().ID, p)
	}
	if err != nil {
		return bareInvalid(r, err, func(err error) error { return s.accountPage(r, p, err) })
	}
	r.Flash("Your choices are saved.")
	return r.SeeOther("/account")
}

func (s *Service) saveTheme(r *web.Request) error {
	var f struct {
		Theme string `form:"theme"`
	}
	if err := r.Form(&f); err != nil {
		return err
	}
	if err := s.SetTheme(r.Context(), r.User().ID, f.Theme); err != nil {
		return err
	}
	return done(r)
}

func (s *Service) saveDetectedZone(r *web.Request) error {
	var f struct {
		TimeZone string `form:"time_zone"`
	}
	if err := r.Form(&f); err != nil {
		return err
	}
	if err := s.DetectZone(r.Context(), r.User().ID, f.TimeZone); err != nil {
		return err
	}
	return done(r)
}

// done answers a small change: nothing for the script, the page they were on for a form.
func done(r *web.Request) error {
	if r.HTMX() {
		r.W.WriteHeader(http.StatusNoContent)
		return nil
	}
	if u, err := url.Parse(r.Referer()); err == nil && u.Host == r.Host && web.Local(u.RequestURI()) {
		return r.SeeOther(u.RequestURI())
	}
	return r.SeeOther("/account")
}

func (s *Service) showSessions(r *web.Request) error {
	now := r.Now()
	rows, err := openSessions.All(r.Context(), s.DB.SystemRead(), db.Args{"user": r.User().ID, "idle_since": now.Add(-s.Idle)})
	if err != nil {
		return err
	}
	v := views.Sessions{Tabs: accountTabs("/account/sessions")}
	for _, row := range rows {
		item := views.Session{
			Device: device(row.UserAgent), Address: "unknown", LastSeen: r.Moment(row.LastSeenAt),
			Started: r.Moment(row.CreatedAt), Current: row.ID == r.Principal.SessionID,
			EndURL: "/account/sessions/" + row.ID.String() + "/end",
		}
		if row.IP != nil {
			item.Address = row.IP.String()
		}
		item.Label = " of " + item.Device + ", " + item.Address
		if !item.Current {
			v.OthersURL = "/account/sessions/end"
		}
		v.Items = append(v.Items, item)
	}
	return r.Bare(web.Page{Title: "Your sessions"}, views.SessionsPage(v))
}

func (s *Service) endSessionOf(r *web.Request) error {
	id, err := r.UUID("id", "session")
	if err != nil {
		return err
	}
	if id == r.Principal.SessionID {
		return s.logout(r)
	}
	if err := s.endOne(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("That session is signed out.")
	return r.SeeOther("/account/sessions")
}

func (s *Service) endOtherSessionsOf(r *web.Request) error {
	n, err := s.endOtherSessions(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	switch n {
	case 0:
		r.Flash("There was no other session.")
	case 1:
		r.Flash("One other session is signed out.")
	default:
		r.Flash(fmt.Sprintf("%d other sessions are signed out.", n))
	}
	return r.SeeOther("/account/sessions")
}
