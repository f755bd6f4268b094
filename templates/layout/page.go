// Package layout draws the frame around every page: Shell inside a workspace, Bare
// without one, and the error page for both. It takes ready values, so whoever fills a
// Page decides what the reader may see.
package layout

import (
	"context"
	"io"
	"strconv"

	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/templates/ui"
)

// Page is everything the frame of a workspace shows.
type Page struct {
	Title string
	Lang  string // BCP 47, "en" when empty
	Theme string // "light", "dark", or empty for the choice of the system
	// Zone is the time zone of the account in words of the IANA database. Empty means
	// that the browser shall tell it once, with a POST of time_zone to ZoneHref.
	Zone     string
	ZoneHref string
	// Collapsed keeps the sidebar small. The browser sends it in the cookie SidebarCookie.
	Collapsed    bool
	ShortcutsOff bool

	Workspace    Workspace
	Workspaces   []Workspace // the ones the reader may switch to, this one included
	NewWorkspace string      // address, empty where the reader may not create one
	Nav          []Bucket
	Crumbs       []Crumb
	User         User

	HelpHref   string // the article of this route; empty leads to the help centre
	SearchHref string // answers GET with q: a page, or options for the palette
	LiveHref   string // stream of events; empty for none
	Bell       Bell
	DevLogin   bool
	Flash      *Flash
	Assets     ui.Assets
}

// SidebarCookie is the cookie that says "collapsed" when the sidebar is small.
const SidebarCookie = "sidebar"

// Workspace is one the reader belongs to, with the role there in words.
type Workspace struct {
	Name string
	Slug string
	Role string
	Href string
}

// Bucket is a group of the sidebar.
type Bucket struct {
	Label string
	Open  bool
	Links []NavLink
}

// NavLink is a page of the sidebar. Count is a number or a short state; CountTone
// says how bad it is. Key is the letter that follows "g".
type NavLink struct {
	Label     string
	Href      string
	Icon      string
	Key       string
	Current   bool
	Count     string
	CountTone ui.Tone
}

// Crumb is a step of the breadcrumb; the last one is the page itself.
type Crumb struct {
	Text string
	Href string
}

// Bell is the list of the newest unread notifications. Href is the address of the
// fragment BellMenu, InboxHref the page of all of them.
type Bell struct {
	Unread    int
	Items     []BellItem
	Href      string
	InboxHref string
	ReadHref  string // POST marks all as read
}

// BellItem is one notification.
type BellItem struct {
	Text string
	Href string
	Icon string
	Tone ui.Tone
	Time ui.Time
}

// User is who is signed in.
type User struct {
	Name     string
	Initials string
	Email    string
}

// Flash is the answer to an act that survives a redirect. Success is a toast; any
// other tone stays on the page.
type Flash struct {
	Tone ui.Tone
	Text string
}

// BarePage is a page without a workspace: sign-in, help centre, errors.
type BarePage struct {
	Title    string
	Lang     string
	Theme    string
	Narrow   bool   // one small card in the middle
	HomeHref string // "/" when empty
	SignIn   *ui.Link
	DevLogin bool
	Flash    *Flash
	Footer   string // such as the version
	Assets   ui.Assets
}

// ErrorView is what an error page says. RoleNeeded is the missing role of a 403,
// Changes the two versions of a 409, RetryHref the address to try again of a 503.
type ErrorView struct {
	Status     int
	Title      string
	Message    string
	Reference  string
	Actions    []ui.LinkButton
	RoleNeeded string
	RetryHref  string
	Changes    *ui.Diff
}

// PaletteItem is a record in the command palette.
type PaletteItem struct {
	Text string
	Key  string
	Hint string
	Icon string
	Href string
}

// Shell draws the frame of a workspace around its children.
func Shell(p Page) templ.Component {
	return withAssets(p.Assets, shell(p))
}

// Bare draws the frame of a page without a workspace around its children.
func Bare(p BarePage) templ.Component {
	return withAssets(p.Assets, bare(p))
}

// withAssets tells everything inside c where the files of the page are.
func withAssets(a ui.Assets, c templ.Component) templ.Component {
	if a == (ui.Assets{}) {
		return c
	}
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return c.Render(ui.WithAssets(ctx, a), w)
	})
}

// htmxConfig names the one extension in use and keeps htmx within the policy: it must
// not add a style sheet of its own.
const htmxConfig = `{"extensions":"sse","includeIndicatorCSS":false,"defaultTimeout":30000}`

// manyWorkspaces is the number from which a list wants a field to narrow it.
const manyWorkspaces = 7

func (p Page) root() templ.Attributes {
	a := rootAttrs(p.Lang, p.Theme)
	if p.Workspace.Slug != "" {
		a["data-workspace"] = p.Workspace.Slug
	}
	if p.ShortcutsOff {
		a["data-shortcuts"] = "off"
	}
	if p.Collapsed {
		a["data-sidebar"] = "collapsed"
	}
	if p.Zone == "" && p.ZoneHref != "" {
		a["data-detect-zone"] = p.ZoneHref
	}
	return a
}

func rootAttrs(lang, theme string) templ.Attributes {
	a := templ.Attributes{"lang": "en"}
	if lang != "" {
		a["lang"] = lang
	}
	if theme == "light" || theme == "dark" {
		a["data-theme"] = theme
	}
	return a
}

// otherTheme is what the button in the top bar sends without script.
func otherTheme(theme string) string {
	if theme == "dark" {
		return "light"
	}
	return "dark"
}

func pressed(theme, choice string) string {
	return strconv.FormatBool(theme == choice || theme == "" && choice == "system")
}

func (f *Flash) toast() bool {
	return f != nil && (f.Tone == ui.OK || f.Tone == ui.Fine || f.Tone == "")
}

func (f *Flash) notice() bool { return f != nil && !f.toast() }

func (b Bell) label() string {
	if b.Unread == 0 {
		return "Notifications, none unread"
	}
	return "Notifications, " + strconv.Itoa(b.Unread) + " unread"
}

// pip is the number on the bell; more than two digits do not fit.
func (b Bell) pip() string {
	if b.Unread > 99 {
		return "99+"
	}
	return strconv.Itoa(b.Unread)
}

func countClass(t ui.Tone) string {
	if t == "" {
		return "count"
	}
	return "count " + string(t)
}

func (p BarePage) home() string {
	if p.HomeHref == "" {
		return "/"
	}
	return p.HomeHref
}

func (p BarePage) mainClass() string {
	if p.Narrow {
		return "bare-main is-narrow"
	}
	return "bare-main"
}

func (e ErrorView) icon() string {
	switch e.Status {
	case 403:
		return "lock"
	case 404:
		return "search"
	case 409:
		return "git-compare"
	case 429:
		return "hourglass"
	case 503:
		return "cloud"
	}
	return "triangle-alert"
}

func (e ErrorView) status() string { return strconv.Itoa(e.Status) }

// accountName is the head of the account menu.
func (p Page) accountName() string {
	if p.Zone == "" {
		return p.User.Name
	}
	return p.User.Name + " · " + p.Zone
}
