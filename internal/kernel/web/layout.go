package web

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	assets "github.com/vigilo/vigilo/web"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/templates/layout"
	"github.com/vigilo/vigilo/templates/ui"
)

// Assets returns the addresses of the files that every page links.
var Assets = sync.OnceValue(func() ui.Assets {
	return ui.Assets{
		Stylesheet: assets.Asset(assets.Stylesheet), Script: assets.Asset(assets.Script), Htmx: assets.Asset(assets.Htmx),
		Icons: assets.Asset(assets.Icons), Mark: assets.Asset(assets.Mark), Font: assets.Asset(assets.Font),
	}
})

// shellPage turns the request into what the frame shows.
func (r *Request) shellPage(p Page, bell layout.Bell) layout.Page {
	u := r.User()
	v := layout.Page{
		Title: p.Title, Theme: theme(u.Theme), Zone: u.TimeZone, ZoneHref: "/account/time-zone", ShortcutsOff: !u.Shortcuts,
		Workspace:    layout.Workspace{Name: r.Workspace.Name, Slug: r.Workspace.Slug, Role: r.roleLabel(), Href: r.Path("")},
		NewWorkspace: "/workspaces/new", Crumbs: p.Crumbs, HelpHref: r.helpHref(), SearchHref: r.Path("/search"),
		LiveHref: r.liveHref(), Bell: bell, DevLogin: r.s.o.DevLogin, Assets: Assets(),
		User: layout.User{Name: u.Name, Initials: Initials(u.Name), Email: u.Email},
	}
	if len(v.Crumbs) == 0 {
		v.Crumbs = []Crumb{{Text: p.Title}}
	}
	if c, err := r.Cookie(layout.SidebarCookie); err == nil {
		v.Collapsed = c.Value == "collapsed"
	}
	for _, m := range r.Principal.Memberships {
		v.Workspaces = append(v.Workspaces, layout.Workspace{Name: m.Name, Slug: m.Slug, Role: m.Role.Label(), Href: "/ws/" + m.Slug})
	}
	nav := r.nav()
	current := r.current(nav)
	for _, b := range buckets {
		bucket := layout.Bucket{Label: string(b), Open: true}
		for _, e := range nav[b] {
			bucket.Links = append(bucket.Links, layout.NavLink{
				Label: e.Label, Href: r.Path(e.Path), Icon: e.Icon, Key: e.Key, Current: r.Path(e.Path) == current,
			})
		}
		if len(bucket.Links) > 0 {
			v.Nav = append(v.Nav, bucket)
		}
	}
	if text := r.takeFlash(); text != "" {
		v.Flash = &layout.Flash{Tone: ui.OK, Text: text}
	}
	return v
}

func (r *Request) barePage(p Page) layout.BarePage {
	v := layout.BarePage{Title: p.Title, Theme: theme(r.User().Theme), Narrow: p.Narrow, DevLogin: r.s.o.DevLogin, Assets: Assets()}
	if !r.SignedIn() && r.URL.Path != "/login" {
		v.SignIn = &ui.Link{Text: "Sign in", Href: "/login"}
	}
	if text := r.takeFlash(); text != "" {
		v.Flash = &layout.Flash{Tone: ui.OK, Text: text}
	}
	return v
}

// roleLabel is the badge under the workspace name.
func (r *Request) roleLabel() string {
	if r.Principal.User.PlatformAdmin {
		return access.PlatformAdmin.Label()
	}
	return r.Principal.Role.Label()
}

func theme(choice string) string {
	if choice == "system" {
		return ""
	}
	return choice
}

// Initials returns up to two letters that stand for a name.
func Initials(name string) string {
	var out []rune
	for _, word := range strings.Fields(name) {
		if first, _ := utf8.DecodeRuneInString(word); unicode.IsLetter(first) || unicode.IsDigit(first) {
			out = append(out, unicode.ToUpper(first))
		}
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	if len(out) == 0 {
		return "?"
	}
	return string(out)
}
