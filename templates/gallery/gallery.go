// Package gallery shows every component and state from fixtures, for eyes, pictures
// and tests. It is served in development only.
package gallery

import (
	"strconv"

	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/templates/help"
	"github.com/vigilo/vigilo/templates/layout"
	"github.com/vigilo/vigilo/templates/ui"
)

// Path is where the gallery expects to be served, followed by the name of a page.
const Path = "/gallery/"

// Page is one page of the gallery.
type Page struct {
	Name      string
	Component templ.Component
}

// Pages returns the pages with the given files and theme ("", "light" or "dark").
func Pages(assets ui.Assets, theme string) []Page {
	shell := func(current string, crumbs []layout.Crumb, body templ.Component) Page {
		frame := framePage(assets, theme, current, crumbs)
		return Page{Name: current, Component: wrap(layout.Shell(frame), body)}
	}
	bare := func(name string, narrow bool, body templ.Component) Page {
		frame := layout.BarePage{
			Title: "Gallery", Theme: theme, Narrow: narrow, DevLogin: true, Footer: "Vigilo, gallery", Assets: assets,
		}
		if !narrow {
			frame.SignIn = &ui.Link{Text: "Sign in", Href: "/login", Icon: "log-in"}
		}
		return Page{Name: name, Component: wrap(layout.Bare(frame), body)}
	}
	work := func(last string) []layout.Crumb {
		return []layout.Crumb{{Text: "Work"}, {Text: "Changes", Href: Path + "change"}, {Text: last}}
	}
	return []Page{
		shell("home", []layout.Crumb{{Text: "Home"}}, home()),
		shell("certificates", []layout.Crumb{{Text: "Reliability"}, {Text: "Certificates"}}, certificates()),
		shell("certificate", []layout.Crumb{
			{Text: "Reliability"}, {Text: "Certificates", Href: Path + "certificates"}, {Text: "pay.halden.example"},
		}, certificate()),
		shell("change", work("CHG-01042"), change()),
		shell("form", work("New change"), form()),
		shell("kit", []layout.Crumb{{Text: "Gallery"}, {Text: "Components"}}, kit()),
		shell("charts", []layout.Crumb{{Text: "Gallery"}, {Text: "Charts"}}, charts()),
		shell("errors", []layout.Crumb{{Text: "Gallery"}, {Text: "Errors"}}, errorStates()),
		bare("signin", true, signIn()),
		bare("help", false, help.IndexPage(helpIndex(""))),
		bare("help-none", false, help.IndexPage(help.Index{Query: "zebra"})),
		bare("help-article", false, help.ArticlePage(helpArticle())),
		bare("unavailable", false, layout.ErrorPage(layout.ErrorView{
			Status: 503, Title: "Vigilo cannot reach its database",
			Message:   "Nothing you saved is lost. The page works again as soon as the database answers.",
			Reference: "7f3a-19c2", RetryHref: Path + "unavailable",
		})),
		{Name: "fragment-help", Component: help.ArticleFragment(helpArticle())},
		{Name: "fragment-palette", Component: layout.PaletteOptions([]layout.PaletteItem{
			{Text: "Renew the certificate on pay.halden.example", Key: "CHG-01042", Hint: "Change", Icon: "git-pull-request-arrow", Href: Path + "change"},
			{Text: "pay.halden.example", Hint: "Certificate", Icon: "lock", Href: Path + "certificate"},
		})},
		{Name: "fragment-bell", Component: layout.BellMenu(layout.Bell{InboxHref: "/inbox"})},
	}
}

var (
	mara  = ui.Person{Name: "Mara Lindqvist", Initials: "ML", Hue: 1}
	tomas = ui.Person{Name: "Tomas Ferreira", Initials: "TF", Hue: 2}
	aiko  = ui.Person{Name: "Aiko Tanaka", Initials: "AT", Hue: 3}
	priya = ui.Person{Name: "Priya Nair", Initials: "PN", Hue: 4}
)

func at(iso, text string) ui.Time {
	return ui.Time{ISO: iso, Text: text, Title: text + " Europe/Oslo"}
}

func framePage(assets ui.Assets, theme, current string, crumbs []layout.Crumb) layout.Page {
	link := func(label, page, icon, key, count string, tone ui.Tone) layout.NavLink {
		return layout.NavLink{
			Label: label, Href: Path + page, Icon: icon, Key: key, Count: count, CountTone: tone,
			Current: page == current || page == "certificates" && current == "certificate" || page == "change" && current == "form",
		}
	}
	workspaces := []layout.Workspace{
		{Name: "Halden Platform", Slug: "halden-platform", Role: "Operator", Href: Path + "home"},
		{Name: "Halden Retail", Slug: "halden-retail", Role: "Viewer", Href: Path + "home"},
	}
	for _, name := range []string{"Nordlys", "Fjell Data", "Elvebakken", "Skagen Labs", "Rondane"} {
		workspaces = append(workspaces, layout.Workspace{Name: name, Slug: name, Role: "Member", Href: Path + "home"})
	}
	return layout.Page{
		Title: "Gallery", Theme: theme, Zone: "Europe/Oslo",
		Workspace: workspaces[0], Workspaces: workspaces, NewWorkspace: "/ws/new",
		Nav: []layout.Bucket{
			{Label: "Work", Open: true, Links: []layout.NavLink{
				link("Home", "home", "house", "h", "", ""),
				link("Changes", "change", "git-pull-request-arrow", "c", "4", ""),
				link("Approvals", "approvals", "badge-check", "a", "3", ""),
				link("Tasks", "tasks", "list-todo", "t", "7", ""),
				link("Projects", "projects", "folder-kanban", "p", "", ""),
				link("Incidents", "incidents", "siren", "i", "1", ui.Crit),
			}},
			{Label: "Reliability", Open: true, Links: []layout.NavLink{
				link("Certificates", "certificates", "lock", "l", "147", ""),
				link("Monitoring", "charts", "activity", "m", "1 down", ui.Crit),
				link("SLOs", "slos", "target", "s", "1 at risk", ui.Warn),
				link("Status pages", "status", "radio-tower", "", "", ""),
			}},
			{Label: "Inventory", Links: []layout.NavLink{
				link("Assets", "assets", "boxes", "", "", ""), link("Vendors", "vendors", "building-2", "", "", ""),
			}},
			{Label: "Governance", Links: []layout.NavLink{
				link("Risks", "risks", "triangle-alert", "", "", ""),
				link("Compliance", "compliance", "clipboard-check", "", "", ""),
				link("Audit log", "audit", "scroll-text", "", "", ""),
			}},
			{Label: "Knowledge", Links: []layout.NavLink{
				link("Components", "kit", "layout-grid", "k", "", ""),
				link("Articles", "articles", "file-text", "", "", ""),
			}},
			{Label: "Admin", Links: []layout.NavLink{
				link("Members", "members", "users", "", "", ""), link("Settings", "settings", "settings", "", "", ""),
			}},
		},
		Crumbs: crumbs, HelpHref: Path + "fragment-help", SearchHref: Path + "fragment-palette",
		Bell: layout.Bell{
			Unread: 3, InboxHref: "/inbox", ReadHref: "/inbox/read", Href: Path + "fragment-bell",
			Items: []layout.BellItem{
				{Text: "CHG-01042 needs your approval", Href: Path + "change", Icon: "badge-check", Time: at("2026-11-11T12:50:00Z", "14 minutes ago")},
				{Text: "pay.halden.example expires in 6 days", Href: Path + "certificate", Icon: "lock", Tone: ui.Crit, Time: at("2026-11-11T07:00:00Z", "6 hours ago")},
				{Text: "INC-0318 moved to monitoring", Href: "/incidents", Icon: "siren", Time: at("2026-11-10T16:12:00Z", "yesterday")},
			},
		},
		User:     layout.User{Name: "Mara Lindqvist", Initials: "ML", Email: "mara@halden.example"},
		DevLogin: true, Assets: assets, LiveHref: Path + "live",
		Flash: flashOn(current),
	}
}

func flashOn(page string) *layout.Flash {
	switch page {
	case "kit":
		return &layout.Flash{Tone: ui.OK, Text: "The endpoint was added"}
	case "errors":
		return &layout.Flash{Tone: ui.Warn, Text: "The mail could not be sent. The invitation itself was saved."}
	}
	return nil
}

type certificateRow struct {
	id    string
	link  ui.RowLink
	grade ui.Grade
	due   ui.Expiry
	owner ui.Person
	cells [4]string // service, issuer, key, environment
	seen  string
}

func certificateRows() []certificateRow {
	row := func(host, port, grade string, tone ui.Tone, passed int, in, iso, date, service, issuer, key, env string, owner ui.Person) certificateRow {
		gradeTone := ui.Fine
		switch grade {
		case "B", "C":
			gradeTone = ui.Warn
		case "F":
			gradeTone = ui.Crit
		}
		return certificateRow{
			id: host, link: ui.RowLink{Text: host, Dim: ":" + port, Sub: service + " · " + issuer, Href: Path + "certificate"},
			grade: ui.Grade{Text: grade, Tone: gradeTone}, owner: owner, seen: "4 min ago",
			due:   ui.Expiry{Text: in, Tone: tone, Percent: passed, Time: at(iso, date)},
			cells: [4]string{service, issuer, key, env},
		}
	}
	return []certificateRow{
		row("legacy-vpn.halden.example", "443", "F", ui.Crit, 100, "3 days ago", "2026-11-08", "8 Nov 2026", "Remote access", "Halden Internal CA 1", "RSA 2048", "Production", tomas),
		row("pay.halden.example", "443", "B", ui.Crit, 93, "in 6 days", "2026-11-17", "17 Nov 2026", "Payments", "DigiCert Global G2", "RSA 2048", "Production", mara),
		row("mq-03.core.halden.example", "5671", "B", ui.Warn, 90, "in 9 days", "2026-11-20", "20 Nov 2026", "Messaging", "Halden Internal CA 2", "ECDSA P-256", "Production", aiko),
		row("wiki.halden.example", "443", "A", ui.Warn, 87, "in 12 days", "2026-11-23", "23 Nov 2026", "Knowledge", "Let's Encrypt E7", "ECDSA P-256", "Corporate", priya),
		row("sso.halden.example", "443", "A+", ui.Warn, 79, "in 19 days", "2026-11-30", "30 Nov 2026", "Identity", "Let's Encrypt E8", "ECDSA P-384", "Production", tomas),
		row("ldap-02.corp.halden.example", "636", "C", ui.Warn, 93, "in 27 days", "2026-12-08", "8 Dec 2026", "Identity", "Halden Internal CA 1", "RSA 2048", "Corporate", tomas),
		row("api.halden.example", "443", "A+", "", 54, "in 41 days", "2026-12-22", "22 Dec 2026", "Payments", "Let's Encrypt E8", "ECDSA P-256", "Production", mara),
		row("hooks.halden.example", "443", "A+", "", 54, "in 41 days", "2026-12-22", "22 Dec 2026", "Payments", "Let's Encrypt E8", "ECDSA P-256", "Production", mara),
		row("status.halden.example", "443", "A", "", 47, "in 48 days", "2026-12-29", "29 Dec 2026", "Status pages", "Let's Encrypt E7", "ECDSA P-256", "Production", priya),
		row("grafana.ops.halden.example", "443", "A", "", 39, "in 55 days", "2027-01-05", "5 Jan 2027", "Observability", "Let's Encrypt E7", "ECDSA P-256", "Corporate", aiko),
		row("pg-main.core.halden.example", "5432", "A", "", 80, "in 73 days", "2027-01-23", "23 Jan 2027", "Ledger", "Halden Internal CA 2", "ECDSA P-256", "Production", aiko),
		row("edge-oslo.halden.example", "443", "A+", "", 7, "in 84 days", "2027-02-03", "3 Feb 2027", "Edge", "Let's Encrypt E8", "ECDSA P-256", "Production", priya),
	}
}

func expiring() ui.BarChart {
	axis := map[int]string{0: "Now", 3: "Dec", 7: "Jan", 12: "Feb"}
	c := ui.BarChart{Label: "Certificates expiring per week for the next 13 weeks: 2 this week, 4 in the following three weeks, then between 3 and 17 a week"}
	for i, n := range []int{2, 2, 1, 1, 3, 6, 11, 9, 14, 8, 12, 17, 10} {
		tone := ui.Mute
		switch {
		case i == 0:
			tone = ui.Crit
		case i < 4:
			tone = ui.Warn
		}
		week := strconv.Itoa(i + 1)
		c.Bars = append(c.Bars, ui.Bar{Value: n, Title: "Week " + week + ": " + strconv.Itoa(n), Axis: axis[i], Tone: tone})
	}
	return c
}

func helpIndex(q string) help.Index {
	return help.Index{Query: q, Sections: []help.Section{
		{ID: "start", Name: "Start", Articles: []help.Hit{
			{Title: "Getting started", Href: Path + "help-article", Text: "What Vigilo watches and the first three things to do."},
			{Title: "Keyboard shortcuts", Href: Path + "help-article", Text: "Keys that open, move and select."},
		}},
		{ID: "reliability", Name: "Reliability", Articles: []help.Hit{
			{Title: "Reading a certificate report", Href: Path + "help-article", Text: "What the grade means and when to act."},
		}},
	}}
}

func helpArticle() help.Article {
	return help.Article{
		Title: "Reading a certificate report", Summary: "What the grade means and when to act.", Section: "Reliability",
		Href: Path + "help-article", Related: []ui.Link{{Text: "Getting started", Href: Path + "help-article"}},
		Text: `<h2 id="grade">What the grade means</h2><p>Vigilo connects to every endpoint the way a browser would, and grades what it was given. See <a href="/help">all articles</a>.</p>` +
			`<ul><li><strong>A+ and A</strong>: modern protocols only, complete chain.</li><li><strong>B and C</strong>: works today, but something old is accepted.</li></ul>` +
			`<h3 id="act">When to act</h3><ol><li>Open the certificate.</li><li>Plan its renewal with <code>Create renewal change</code>.</li></ol>` +
			`<blockquote><p>Alerts go out 30, 14, 7 and 1 days before expiry.</p></blockquote>` +
			`<pre><code>openssl s_client -connect pay.halden.example:443 -servername pay.halden.example</code></pre>` +
			`<table><thead><tr><th>Grade</th><th>Meaning</th></tr></thead><tbody><tr><td>F</td><td>Visitors see a warning</td></tr></tbody></table>`,
	}
}
