package e2e

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestWhatOpensIsAccessible looks at menus, panels and dialogs while they are open: most of
// them are not there for those who look at a page only.
func TestWhatOpensIsAccessible(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	p.seat(t, "acme", "second@acme.test")
	p.furnish(t, "acme")
	views := append(looks[:2:2], look{name: "desktop dark", width: 1440, height: 900, dark: true}, look{name: "phone dark", width: 390, height: 844, phone: true, dark: true})
	for _, l := range views {
		t.Run(l.name, func(t *testing.T) {
			b := p.open(t, "owner@acme.test", l)
			for _, o := range openings() {
				b.t = t
				b.visit("/ws/acme" + o.path)
				o.open(b)
				b.waitFor(o.name, o.until)
				b.settle()
				where := l.name + " " + o.name
				b.checkAccessible(where, l)
				b.checkFits(where)
				b.checkQuiet(where)
				b.picture("open_" + where)
			}
		})
	}
	ok(t, p.get(t, "owner@acme.test", "/ws/acme/certificates"), http.StatusOK, "the list afterwards")
}

// settle waits until nothing moves: axe measures colours, and half-faded ones fail.
func (b *tab) settle() {
	b.t.Helper()
	evaluate[bool](b, `Promise.all(document.getAnimations().filter(a => a.effect.getComputedTiming().endTime !== Infinity).map(a => a.finished.catch(() => {}))).then(() => true)`)
}

type opening struct {
	name, path string
	open       func(b *tab)
	until      string
}

// openings lists what can be opened on the list of certificates and on a host.
func openings() []opening {
	click := func(selector string) func(*tab) { return func(b *tab) { b.click(selector) } }
	drawer := func(b *tab) {
		if b.holds(`document.querySelector(".nav-toggle").checkVisibility()`) {
			b.click(".nav-toggle")
			b.waitFor("the drawer", `document.querySelector("#nav:popover-open")`)
			b.settle()
		}
	}
	const list = "/certificates"
	return []opening{
		{"bell", list, click("#bell-button"), `document.querySelector("#bell-menu:popover-open")`},
		{"account menu", list, click(`[popovertarget="me-menu"]`), `document.querySelector("#me-menu:popover-open")`},
		{"workspace menu", list, func(b *tab) { drawer(b); b.click("button.workspace") }, `document.querySelector("#ws-menu:popover-open")`},
		{"filters", list, click(".chip.is-add"), `document.querySelector(".is-panel:popover-open")`},
		{"palette", list, func(b *tab) { b.press("k", chromedp.ModifierCtrl) }, `document.querySelectorAll("#palette[open] [role=option]").length > 0`},
		{"palette with results", list, func(b *tab) {
			b.press("k", chromedp.ModifierCtrl)
			b.waitFor("the palette", `document.activeElement.closest("#palette")`)
			b.press("127.0.0.1")
		}, `document.querySelector('#palette[open] [role=option][data-href*="/certificates/"]')`},
		{"palette with nothing", list, func(b *tab) {
			b.press("k", chromedp.ModifierCtrl)
			b.waitFor("the palette", `document.activeElement.closest("#palette")`)
			b.press("qqqqqqqq")
		}, `document.querySelector("#palette [data-palette-status]").innerText === "Nothing found"`},
		{"help", list, click(`[data-open="help"]`), `document.querySelector("#help[open] .help-title")`},
		{"shortcuts", list, func(b *tab) { b.press("?") }, `document.querySelector("#shortcuts[open]")`},
		{"bulk bar", list, click("tbody .check"), `document.querySelector(".bulk").checkVisibility()`},
		{"bulk bar, all", list, click("[data-select-all]"), `document.querySelectorAll("tbody .check:checked").length > 1`},
		{"nothing found", list + "?q=nothing-like-this&status=expired", func(b *tab) { b.press(kb.Tab) }, `document.querySelector(".empty")`},
		{"menu of a host", list, func(b *tab) {
			b.click("tbody .row-link")
			b.waitFor("the host", `document.querySelector("#host [popovertarget]") && document.readyState === "complete"`)
			b.click("#host [popovertarget]")
		}, `document.querySelector("#host .menu:popover-open")`},
		{"export menu", "/governance/audit", click(`main [popovertarget="export"]`), `document.querySelector("#export:popover-open")`},
	}
}
