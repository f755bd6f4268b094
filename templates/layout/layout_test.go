package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/templates/ui"
)

func draw(t *testing.T, c templ.Component) string {
	t.Helper()
	body := templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		if _, err := io.WriteString(w, "<h1>Body</h1>"); err != nil {
			return err
		}
		return ui.Icon("lock").Render(ctx, w)
	})
	var b bytes.Buffer
	if err := c.Render(templ.WithChildren(t.Context(), body), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func has(t *testing.T, html string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(html, w) {
			t.Errorf("no %s in the page", w)
		}
	}
}

func hasNot(t *testing.T, html string, unwanted ...string) {
	t.Helper()
	for _, u := range unwanted {
		if strings.Contains(html, u) {
			t.Errorf("%s in the page", u)
		}
	}
}

func TestTheFrameTellsItsContentWhereTheFilesAre(t *testing.T) {
	t.Parallel()
	assets := ui.Assets{Stylesheet: "/static/a.1.css", Script: "/static/a.2.js", Htmx: "/static/h.3.js", Icons: "/static/i.4.svg", Mark: "/static/m.5.svg", Font: "/static/f.6.woff2"}
	for _, html := range []string{draw(t, Shell(Page{Title: "Home", Assets: assets})), draw(t, Bare(BarePage{Title: "Home", Assets: assets}))} {
		has(t, html, "<h1>Body</h1>", `href="/static/i.4.svg#lock"`, `href="/static/a.1.css"`, `src="/static/a.2.js"`, `src="/static/h.3.js"`,
			"<title>Home · Vigilo</title>", `lang="en"`, "Skip to content")
		hasNot(t, html, `"/static/icons.svg`)
	}
}

func TestTheThemeOfTheAccountIsWritten(t *testing.T) {
	t.Parallel()
	has(t, draw(t, Shell(Page{Theme: "dark"})), `data-theme="dark"`, `value="light" data-toggle`)
	has(t, draw(t, Shell(Page{Theme: "light"})), `data-theme="light"`)
	hasNot(t, draw(t, Shell(Page{})), "data-theme=")
	hasNot(t, draw(t, Shell(Page{Theme: "pink"})), "data-theme=")
}

func TestPreferencesReachTheScripts(t *testing.T) {
	t.Parallel()
	html := draw(t, Shell(Page{ZoneHref: "/account/time-zone", ShortcutsOff: true, Collapsed: true, Workspace: Workspace{Slug: "halden"}}))
	has(t, html, `data-detect-zone="/account/time-zone"`, `data-shortcuts="off"`, `data-sidebar="collapsed"`, `data-workspace="halden"`)
	html = draw(t, Shell(Page{Zone: "Europe/Oslo", ZoneHref: "/account/time-zone"}))
	hasNot(t, html, "data-detect-zone", "data-shortcuts", "data-sidebar")
}

func TestOnlySuccessIsAToast(t *testing.T) {
	t.Parallel()
	for tone, toast := range map[ui.Tone]bool{"": true, ui.OK: true, ui.Warn: false, ui.Crit: false, ui.Info: false} {
		html := draw(t, Shell(Page{Flash: &Flash{Tone: tone, Text: "Said so"}}))
		if got := strings.Contains(html, `class="toast"`); got != toast {
			t.Errorf("tone %q: toast is %v", tone, got)
		}
		if got := strings.Contains(html, `class="flash"`); got == toast {
			t.Errorf("tone %q: notice is %v", tone, got)
		}
		if strings.Count(html, "Said so") != 1 {
			t.Errorf("tone %q: the text stands %d times", tone, strings.Count(html, "Said so"))
		}
	}
	hasNot(t, draw(t, Shell(Page{})), `class="toast"`, `class="flash"`)
}

func TestHelpWithoutAnArticleIsALinkToTheCentre(t *testing.T) {
	t.Parallel()
	hasNot(t, draw(t, Shell(Page{})), `data-open="help"`)
	has(t, draw(t, Shell(Page{HelpHref: "/help/certificates"})), `href="/help/certificates" hx-get="/help/certificates"`, `data-open="help"`)
}

func TestTheBellCountsUpToTwoDigits(t *testing.T) {
	t.Parallel()
	for unread, want := range map[int]string{1: ">1</span>", 99: ">99</span>", 100: ">99+</span>"} {
		has(t, draw(t, BellMenu(Bell{Unread: unread})), want)
	}
	html := draw(t, BellMenu(Bell{}))
	hasNot(t, html, `class="pip"`)
	has(t, html, "none unread", "Nothing new")
}

func TestManyWorkspacesCanBeNarrowed(t *testing.T) {
	t.Parallel()
	few := []Workspace{{Name: "A", Slug: "a", Role: "Owner", Href: "/ws/a"}}
	hasNot(t, draw(t, Shell(Page{Workspaces: few})), "data-narrow/>", "New workspace")
	many := append(few, make([]Workspace, manyWorkspaces)...)
	has(t, draw(t, Shell(Page{Workspaces: many, NewWorkspace: "/ws/new", Workspace: few[0]})), "Filter workspaces", `href="/ws/new"`, `aria-current="true"`)
}

func TestTheDevelopmentLoginIsMarked(t *testing.T) {
	t.Parallel()
	has(t, draw(t, Shell(Page{DevLogin: true})), `class="dev"`)
	hasNot(t, draw(t, Shell(Page{})), `class="dev"`)
}

func TestTheMissingRoleAndTheReferenceAreNamed(t *testing.T) {
	t.Parallel()
	has(t, draw(t, ErrorPage(ErrorView{Status: 403, Title: "No", RoleNeeded: "Approver", Reference: "7f3a"})),
		`<span class="role">Approver</span>`, "<code>7f3a</code>", "Error 403")
	has(t, draw(t, ErrorPage(ErrorView{Status: 503, RetryHref: "/ws/a"})), `href="/ws/a"`, "Try again")
	has(t, draw(t, ErrorPage(ErrorView{Status: 409, Changes: &ui.Diff{Changes: []ui.Change{{Field: "Title", From: "a", To: "b"}}}})), "The two versions")
}

func TestHtmxIsConfiguredWithinThePolicy(t *testing.T) {
	t.Parallel()
	var config map[string]any
	if err := json.Unmarshal([]byte(htmxConfig), &config); err != nil {
		t.Fatal(err)
	}
	if config["includeIndicatorCSS"] != false || config["extensions"] != "sse" {
		t.Errorf("config = %v", config)
	}
}

func TestPaletteLinksAreDefused(t *testing.T) {
	t.Parallel()
	hasNot(t, draw(t, PaletteOptions([]PaletteItem{{Text: "x", Href: "javascript:alert(1)"}})), "javascript:")
}
