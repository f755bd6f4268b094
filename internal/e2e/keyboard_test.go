package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press types keys into whatever has the focus. Each is sent as one event with its text, as
// by a keyboard: a page that takes the key then also takes the character away.
func (b *tab) press(keys string, modifiers ...chromedp.Modifier) {
	b.t.Helper()
	for _, r := range keys {
		events := kb.Encode(r)
		down, up := *events[0], *events[len(events)-1]
		for _, m := range modifiers {
			down.Modifiers |= int64(m)
			up.Modifiers |= int64(m)
		}
		if len(events) == 3 && len(modifiers) == 0 {
			down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
		}
		command(b, input.DispatchKeyEvent, down)
		command(b, input.DispatchKeyEvent, up)
	}
}

// focused describes what has the focus: tag, id and text.
func (b *tab) focused() string {
	b.t.Helper()
	return evaluate[string](b, `(() => {
		const e = document.activeElement;
		return e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.name ? "[" + e.name + "]" : "") + " " + (e.getAttribute("aria-label") ?? e.textContent).trim().replace(/\s+/g, " ").slice(0, 60);
	})()`)
}

// checkFocusSeen fails when nothing shows where the focus is: no outline around the
// element, around what is drawn for it or around the box of the field.
func (b *tab) checkFocusSeen(where string) {
	b.t.Helper()
	seen := evaluate[string](b, `(() => {
		const e = document.activeElement;
		if (e === document.body) return "nothing has the focus";
		const box = e.getBoundingClientRect();
		if (box.width === 0 || box.height === 0) return "it has no size";
		if (box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth) return "it is outside of the window";
		const drawn = (el, pseudo) => {
			const s = getComputedStyle(el, pseudo);
			return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 1 && s.outlineColor !== "rgba(0, 0, 0, 0)" && (!pseudo || s.content !== "none");
		};
		if (drawn(e) || drawn(e, "::after") || drawn(e, "::before")) return "";
		// The input of the palette fills its dialog, and the caret stands in it.
		if (e.closest("#palette") && e.matches("input")) return "";
		return "no outline";
	})()`)
	if seen != "" {
		b.t.Errorf("%s: focus on %s cannot be seen: %s", where, b.focused(), seen)
	}
}

// tabTo presses Tab until an element that matches has the focus, and looks at the focus on
// each of the way.
func (b *tab) tabTo(where, selector string) {
	b.t.Helper()
	var way []string
	for range 60 {
		b.press(kb.Tab)
		if !evaluate[bool](b, `document.activeElement !== document.body`) {
			continue // the browser's own bar, before the page begins again
		}
		b.checkFocusSeen(where)
		if evaluate[bool](b, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			return
		}
		way = append(way, b.focused())
	}
	b.t.Fatalf("%s: Tab does not lead to %s: %s", where, selector, strings.Join(way, " | "))
}

// loaded waits for another page.
func (b *tab) loaded(what, pathPattern string) {
	b.t.Helper()
	b.waitFor(what, fmt.Sprintf(`/%s/.test(location.pathname) && document.readyState === "complete"`, pathPattern))
}

// TestTheKeyboardAloneIsEnough signs in, adds a host and works on the list without a mouse.
func TestTheKeyboardAloneIsEnough(t *testing.T) {
	t.Parallel()
	servers := farm(t)
	p := start(t, trust(t, servers))
	p.workspace(t, "acme")
	token := p.token(t, "acme", "member")
	for _, name := range []string{"expired", "self-signed"} {
		s, _ := serverOf(t, servers, name)
		p.create(t, token, "acme", "/hosts", fmt.Sprintf(`{"hostname":%q,"port":%d,"server_name":%q}`, s.Host, s.Port, s.ServerName))
	}
	server, _ := serverOf(t, servers, "healthy")

	b := p.open(t, "", looks[0])
	b.visit("/login")
	b.tabTo("sign-in", `button[value="member@acme.test"]`)
	b.press(kb.Enter)
	b.loaded("the workspace", `^\/ws\/acme`)

	// The first Tab stop of a page leaves its frame out.
	b.press(kb.Tab)
	b.checkFocusSeen("skip link")
	b.press(kb.Enter)
	if got := evaluate[string](b, `document.activeElement.id`); got != "main" {
		t.Errorf("the skip link leads to %q", got)
	}

	b.press("gc")
	b.loaded("g c", `^\/ws\/acme\/certificates$`)
	b.tabTo("list", `a[href="/ws/acme/certificates/new"]`)
	b.press(kb.Enter)
	b.loaded("the form", `\/certificates\/new$`)
	if got := evaluate[string](b, `document.activeElement.id`); got != "hostname" {
		t.Errorf("the form puts the focus on %q", got)
	}
	b.press(server.Host)
	b.tabTo("form", "#port")
	b.press(fmt.Sprint(server.Port))
	b.tabTo("form", "#server_name")
	b.press(server.ServerName)
	b.tabTo("form", ".form-foot .btn.is-primary")
	b.press(kb.Enter)
	b.loaded("the host", `\/certificates\/[0-9a-f-]{36}$`)
	host := b.path()
	b.waitFor("the certificate", `document.querySelector("[aria-labelledby=identity]")`)

	checkRefusedForm(t, p)

	// The palette finds the host by its name.
	b.visit("/ws/acme")
	b.press("k", chromedp.ModifierCtrl)
	b.waitFor("the palette", `document.activeElement.closest("#palette")`)
	b.press(server.ServerName)
	b.waitFor("the host is found", fmt.Sprintf(`[...document.querySelectorAll("#palette [role=option]")].some(o => o.dataset.href.endsWith(%q))`, host))
	for range 20 {
		if b.holds(fmt.Sprintf(`document.querySelector("#palette [aria-selected=true]")?.dataset.href.endsWith(%q)`, host)) {
			break
		}
		b.press(kb.ArrowDown)
	}
	if got := evaluate[string](b, `document.getElementById(document.activeElement.getAttribute("aria-activedescendant"))?.innerText ?? ""`); !strings.Contains(got, server.ServerName) {
		t.Errorf("the palette tells screen readers of %q", got)
	}
	b.press(kb.Enter)
	b.loaded("the host", `\/certificates\/[0-9a-f-]{36}$`)
	b.press("k", chromedp.ModifierCtrl)
	b.waitFor("the palette", `document.querySelector("#palette[open]")`)
	b.press(kb.Escape)
	b.waitFor("the palette is closed", `!document.querySelector("#palette[open]")`)

	b.press("gc")
	b.loaded("g c", `^\/ws\/acme\/certificates$`)
	b.press("/")
	b.waitFor("the filter has the focus", `document.activeElement.id === "q"`)
	b.checkFocusSeen("filter")
	b.press("jx?gc/")
	if got := evaluate[string](b, `document.activeElement.value`); got != "jx?gc/" || b.path() != "/ws/acme/certificates" {
		t.Errorf("shortcuts act while somebody types: the field holds %q at %s", got, b.path())
	}
	b.visit("/ws/acme/certificates")
	checkRows(t, b)

	// Help takes the focus, keeps it and gives it back.
	b.tabTo("list", `[data-open="help"]`)
	b.press(kb.Enter)
	b.waitFor("help", `document.querySelector("#help[open] .help-title")`)
	b.checkFocusSeen("help")
	for range 12 {
		b.press(kb.Tab)
		if b.holds(`document.activeElement !== document.body && !document.activeElement.closest("#help")`) {
			t.Fatalf("the focus leaves the open help: %s", b.focused())
		}
	}
	b.press(kb.Escape)
	b.waitFor("help is closed and the focus is back", `!document.querySelector("#help[open]") && document.activeElement.matches('[data-open="help"]')`)
	b.checkFocusSeen("after help")
	b.press("h")
	b.waitFor("h opens help", `document.querySelector("#help[open]")`)
	b.press(kb.Escape)
	b.press("?")
	b.waitFor("the list of shortcuts", `document.querySelector("#shortcuts[open]")`)
	b.press(kb.Escape)
	b.waitFor("it is closed", `!document.querySelector("#shortcuts[open]")`)

	// Menus open and close where they are.
	b.tabTo("list", "#bell-button")
	b.press(kb.Enter)
	b.waitFor("the bell", `document.querySelector("#bell-menu:popover-open")`)
	b.tabTo("bell", "#bell-menu a")
	b.press(kb.Escape)
	b.waitFor("the bell is closed and has the focus", `!document.querySelector("#bell-menu:popover-open") && document.activeElement.id === "bell-button"`)
	b.checkQuiet("keyboard")
}

// checkRefusedForm looks at where the focus goes when something is missing. It has a tab of
// its own, since a form with entries asks before it is left.
func checkRefusedForm(t *testing.T, p *program) {
	t.Helper()
	b := p.open(t, "member@acme.test", looks[0])
	b.visit("/ws/acme/certificates/new")
	b.tabTo("empty form", ".form-foot .btn.is-primary")
	b.press(kb.Enter)
	b.waitFor("the summary has the focus", `document.activeElement.matches("[data-errors]")`)
	b.checkFocusSeen("refused form")
	b.tabTo("refused form", `[data-errors] a`)
	b.press(kb.Enter)
	b.waitFor("its link leads to the field", `document.activeElement.id === "hostname"`)
}

// checkRows walks the list of hosts with j, k, x and Enter.
func checkRows(t *testing.T, b *tab) {
	t.Helper()
	row := func() int {
		return evaluate[int](b, `[...document.querySelectorAll(".table tbody tr")].indexOf(document.activeElement.closest("tr"))`)
	}
	for i, step := range []struct {
		key  string
		want int
	}{{"j", 0}, {"j", 1}, {"j", 2}, {"j", 2}, {"k", 1}} {
		b.press(step.key)
		if got := row(); got != step.want {
			t.Fatalf("step %d, %s: the focus is in row %d, want %d", i, step.key, got, step.want)
		}
		b.checkFocusSeen("row")
	}
	b.press("x")
	b.waitFor("the row is selected and the bar shown", `document.querySelectorAll(".table tbody .check:checked").length === 1 &&
		document.querySelectorAll(".table tbody tr")[1].querySelector(".check").checked && document.querySelector(".bulk").checkVisibility()`)
	b.tabTo("bulk bar", ".bulk button")
	b.press("x")
	b.waitFor("the row is not selected", `!document.querySelector(".table tbody .check:checked") && !document.querySelector(".bulk").checkVisibility()`)
	b.press("j")
	want := evaluate[string](b, `document.activeElement.getAttribute("href")`)
	b.press(kb.Enter)
	b.waitFor("Enter opens the row", fmt.Sprintf(`location.pathname === %q && document.readyState === "complete"`, want))
	b.visit("/ws/acme/certificates")
}
