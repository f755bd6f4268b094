package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// plain opens a tab in which no script of a page runs.
func (p *program) plain(t *testing.T, email string) *tab {
	t.Helper()
	b := p.open(t, email, looks[0])
	b.withoutScript()
	return b
}

// open goes to a path; nothing but the document itself is waited for.
func (b *tab) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.base + path))
}

// says waits until the page holds a text.
func (b *tab) says(text string) {
	b.t.Helper()
	b.waitFor(fmt.Sprintf("the page says %q", text), fmt.Sprintf(`document.readyState === "complete" && document.body.innerText.includes(%q)`, text))
}

// at waits until an address with this ending is open, query included.
func (b *tab) at(ending string) {
	b.t.Helper()
	b.waitFor("the address ends in "+ending, fmt.Sprintf(`document.readyState === "complete" && (location.pathname + location.search).endsWith(%q)`, ending))
}

// write types into a field in place of what it holds.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.click(selector)
	b.press("a", chromedp.ModifierCtrl)
	b.press(kb.Backspace)
	b.press(text)
	if got := evaluate[string](b, fmt.Sprintf(`document.querySelector(%q).value`, selector)); got != text {
		b.t.Fatalf("%s holds %q instead of %q", selector, got, text)
	}
}

// TestEverythingWorksWithoutScript does the work of a workspace in a browser that runs no
// scripts.
func TestEverythingWorksWithoutScript(t *testing.T) {
	t.Parallel()
	servers := farm(t)
	p := start(t, trust(t, servers))
	p.workspace(t, "acme")
	p.workspace(t, "globex")
	token := p.token(t, "acme", "member")
	// More than a page of hosts, which nobody scans.
	for i := range 54 {
		p.create(t, token, "acme", "/hosts", fmt.Sprintf(`{"hostname":"paused-%02d.example.test","active":false,"tags":["bulk"]}`, i))
	}
	server, _ := serverOf(t, servers, "expired")

	b := p.plain(t, "")
	b.open("/login")
	b.click(`button[value="member@acme.test"]`)
	b.waitFor("the workspace", `location.pathname.startsWith("/ws/acme")`)
	if evaluate[bool](b, `document.querySelectorAll("[aria-selected]").length > 0`) {
		t.Fatal("a script has filled the palette: this test would prove nothing")
	}

	t.Run("add a host", func(t *testing.T) {
		b.t = t
		b.open("/ws/acme/certificates/new")
		b.click("form.form .form-foot .btn.is-primary")
		b.waitFor("what is missing", `document.querySelector("[data-errors]")`)
		b.write("#hostname", server.Host)
		b.write("#port", fmt.Sprint(server.Port))
		b.write("#server_name", server.ServerName)
		b.choose("#owner", "Member Tester")
		b.click("form.form .form-foot .btn.is-primary")
		b.waitFor("the host", `/\/certificates\/[0-9a-f-]{36}$/.test(location.pathname)`)
		path := b.path()
		eventually(t, "the certificate is there after a reload", func() bool {
			b.open(path)
			return strings.Contains(b.text("main"), "The certificate has expired.")
		})
	})
	t.Run("filter, sort and page a list", func(t *testing.T) { b.t = t; listWithoutScript(t, b, server.ServerName) })
	t.Run("act on many and remove", func(t *testing.T) { b.t = t; bulkWithoutScript(t, b) })
	t.Run("acknowledge alerts", func(t *testing.T) {
		b.t = t
		p.settle(t)
		b.open("/ws/acme/alerts")
		n := evaluate[int](b, `document.querySelectorAll("tbody .check").length`)
		if n == 0 {
			t.Fatalf("no alert about the expired certificate: %s", b.text("main"))
		}
		b.click("tbody .check")
		b.click(".bulk button:not([type=reset])")
		b.says("1 alert acknowledged")
	})
	t.Run("choose notifications", func(t *testing.T) {
		b.t = t
		b.open("/ws/acme/notifications/preferences")
		b.choose("#severity_floor", evaluate[string](b, `document.querySelector("#severity_floor").options[2].text`))
		b.click(`input[name="mail"][value="host.added"]`)
		b.click("form.form .form-foot .btn.is-primary")
		b.says("Your preferences are saved.")
		if !evaluate[bool](b, `document.querySelector("#severity_floor").selectedIndex === 2 && document.querySelector('input[name="mail"][value="host.added"]').checked`) {
			t.Error("the preferences were not kept")
		}
	})
	t.Run("help is a page", func(t *testing.T) {
		b.t = t
		b.open("/ws/acme/certificates")
		b.click(`[data-open="help"]`)
		b.waitFor("the article", `location.pathname.startsWith("/help/") && document.querySelectorAll("h1").length === 1`)
		b.open("/help")
		b.write("#q", "certificate")
		b.press(kb.Enter)
		b.says("Articles found")
	})
	t.Run("search is a page", func(t *testing.T) {
		b.t = t
		b.open("/ws/acme")
		b.click(".sidebar a.jump")
		b.waitFor("the search page", `location.pathname === "/ws/acme/search"`)
		b.write(`main input[name="q"]`, server.ServerName)
		b.press(kb.Enter)
		b.waitFor("the host is found", fmt.Sprintf(`document.querySelector("main").innerText.includes(%q) && document.querySelector('main a[href^="/ws/acme/certificates/"]')`, server.ServerName))
	})
	t.Run("theme", func(t *testing.T) {
		b.t = t
		b.open("/ws/acme/certificates")
		b.click("[data-theme-form] [data-toggle]")
		b.waitFor("the page is dark", `document.documentElement.dataset.theme === "dark" && location.pathname === "/ws/acme/certificates"`)
		b.click("[data-theme-form] [data-toggle]")
		b.waitFor("the page is light again", `document.documentElement.dataset.theme === "light"`)
	})
	t.Run("what admins do", func(t *testing.T) { adminWithoutScript(t, p) })
}

func listWithoutScript(t *testing.T, b *tab, title string) {
	t.Helper()
	b.open("/ws/acme/certificates")
	first := func() string { return b.text("tbody .row-link") }
	b.click(`.table th:first-of-type ~ th a, .table th a[href*="sort=host"]`)
	b.waitFor("sorted by name", `document.querySelector("th[aria-sort=ascending] a")?.innerText.includes("Host")`)
	top := first()
	b.click(`.pager a[rel=next]`)
	b.waitFor("the second page", `location.search.includes("cursor=") && document.querySelector(".pager a[rel=prev]")`)
	if n := evaluate[int](b, `document.querySelectorAll("tbody .row-link").length`); n != 5 {
		t.Errorf("the second page has %d rows, want 5", n)
	}
	b.click(`.pager a[rel=prev]`)
	b.waitFor("the first page", `document.querySelectorAll("tbody .row-link").length === 50`)
	if got := first(); got != top {
		t.Errorf("back on the first page begins with %q, want %q", got, top)
	}
	b.click(`th[aria-sort=ascending] a`)
	b.waitFor("sorted backwards", `document.querySelector("th[aria-sort=descending]")`)
	if got := first(); got == top {
		t.Errorf("the order did not change: %q is first", got)
	}

	b.write("#q", "paused-07")
	b.press(kb.Enter)
	b.waitFor("one host fits the text", `document.querySelectorAll("tbody .row-link").length === 1 && location.search.includes("q=paused-07")`)
	b.write("#q", "")
	b.press(kb.Enter)
	b.waitFor("all are back", `document.querySelectorAll("tbody .row-link").length === 50`)
	b.click(".chip.is-add")
	b.waitFor("the filters", `document.querySelector(".is-panel:popover-open")`)
	b.choose("#state", "Active")
	b.click(".is-panel .btn.is-primary")
	b.waitFor("one host is active", `document.querySelectorAll("tbody .row-link").length === 1`)
	if got := first(); !strings.Contains(got, title) {
		t.Errorf("the active host is %q, want %q", got, title)
	}
	b.click(".chips .chip a")
	b.waitFor("the filter is gone", `document.querySelectorAll("tbody .row-link").length === 50 && !location.search.includes("state=")`)
	b.write("#q", "nothing-like-this")
	b.press(kb.Enter)
	b.says("No host matches")
}

func bulkWithoutScript(t *testing.T, b *tab) {
	t.Helper()
	b.open("/ws/acme/certificates?q=paused-0&sort=host")
	if evaluate[bool](b, `document.querySelector(".bulk").checkVisibility()`) {
		t.Error("the bar is shown although nothing is selected")
	}
	b.click("tbody tr:nth-child(1) .check")
	b.click("tbody tr:nth-child(2) .check")
	b.waitFor("the bar", `document.querySelector(".bulk").checkVisibility()`)
	b.click(`.bulk button[value="tag"]`)
	b.says("Add tags to 2 hosts")
	b.write("#tags", "chosen")
	b.click(".card-foot .btn.is-primary")
	b.says("2 hosts tagged.")
	b.open("/ws/acme/certificates?tag=chosen&sort=host")
	if n := evaluate[int](b, `document.querySelectorAll("tbody .row-link").length`); n != 2 {
		t.Errorf("%d hosts carry the tag, want 2", n)
	}
	b.click("tbody tr:nth-child(1) .check")
	b.click(`.bulk button[value="delete"]`)
	b.says("Remove paused-00.example.test")
	b.click(".card-foot a.btn")
	b.at("/ws/acme/certificates")
	b.open("/ws/acme/certificates?tag=chosen&sort=host")
	b.click("tbody tr:nth-child(1) .check")
	b.click(`.bulk button[value="delete"]`)
	b.says("Remove paused-00.example.test")
	b.click(".card-foot button.is-danger")
	b.says("1 host removed.")
	b.open("/ws/acme/certificates?tag=chosen")
	if got := b.text("tbody"); strings.Contains(got, "paused-00") || !strings.Contains(got, "paused-01") {
		t.Errorf("left are %s", got)
	}
}

// adminWithoutScript adds a rule, invites somebody and changes to another workspace.
func adminWithoutScript(t *testing.T, p *program) {
	t.Helper()
	p.seat(t, "globex", "admin@acme.test")
	b := p.plain(t, "admin@acme.test")
	b.open("/ws/acme/alert-rules/new")
	b.write("#name", "Production ends")
	b.choose("#trigger", "Expiring soon")
	b.write("#threshold_days", "45")
	b.click(`input[name="target"][value="tags"]`)
	b.write("#target_tags", "production")
	b.write("#emails", "ops@example.test")
	b.click("form.form .form-foot .btn.is-primary")
	b.waitFor("the rule", `/\/alert-rules\/[0-9a-f-]{36}$/.test(location.pathname) && document.readyState === "complete"`)
	if text := b.text("main"); !strings.Contains(text, "Production ends") || !strings.Contains(text, "45 days") || !strings.Contains(text, "ops@example.test") {
		t.Errorf("the rule is not as it was written: %s", text)
	}
	b.click(`a[href$="/delete"]`)
	b.waitFor("the question", `location.pathname.endsWith("/delete")`)
	b.click(".card-foot button.is-danger")
	b.at("/ws/acme/alert-rules")
	if strings.Contains(b.text("main"), "Production ends") {
		t.Error("the rule is still there")
	}

	b.open("/ws/acme/members/invitations/new")
	b.write("#email", "mara@example.test")
	b.click(`input[name="role"][value="viewer"]`)
	b.click("form.form .form-foot .btn.is-primary")
	b.says("Invitation for mara@example.test")
	link := evaluate[string](b, `document.querySelector("main").innerText.match(/http:\/\/\S+\/invitations?\/\S+/)?.[0] ?? ""`)
	if link == "" {
		t.Fatalf("the page shows no link: %s", b.text("main"))
	}
	guest := p.plain(t, "mara@example.test")
	guest.t = t
	guest.open(strings.TrimPrefix(link, p.base))
	guest.click("main form .btn.is-primary")
	guest.waitFor("the new member is in", `location.pathname.startsWith("/ws/acme")`)

	b.open("/ws/acme/certificates")
	b.click("button.workspace")
	b.waitFor("the workspaces", `document.querySelector("#ws-menu:popover-open")`)
	b.click(`#ws-menu a[data-workspace-item="globex"]`)
	b.waitFor("the other workspace", `location.pathname.startsWith("/ws/globex")`)
	b.click(`[popovertarget="me-menu"]`)
	b.click(`#me-menu form[action="/logout"] button`)
	b.says("You are signed out")
	ok(t, p.get(t, "", "/ws/globex"), http.StatusSeeOther, "nobody asks for a page")
}
