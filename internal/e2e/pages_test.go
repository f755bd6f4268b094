package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/web"
)

func TestTheFirstPagesAnswer(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	ok(t, p.get(t, "", "/healthz"), http.StatusOK, "health")
	ok(t, p.get(t, "", "/readyz"), http.StatusOK, "ready")
	ok(t, p.get(t, "", "/login"), http.StatusOK, "sign-in")
	a := p.get(t, "owner@acme.test", "/ws/acme")
	ok(t, a, http.StatusOK, "home")
	if !strings.Contains(a.body, "Acme") {
		t.Errorf("home does not name the workspace: %s", clip(a.body))
	}
	ok(t, p.get(t, p.token(t, "acme", "member"), "/ws/acme/api/v1/me"), http.StatusOK, "me")
}

// pagePaths returns the address of every page that needs no record: what each role of a
// new workspace can open.
func pagePaths(p *program) []string {
	var out []string
	for _, r := range p.Web().Routes() {
		if r.Method != http.MethodGet || r.API || strings.Contains(strings.Replace(r.Pattern, "{slug}", "", 1), "{") || notAPage(r) {
			continue
		}
		path := strings.Replace(r.Pattern, "{slug}", "acme", 1)
		if strings.HasPrefix(r.Pattern, "/help/") || path == "/" {
			continue
		}
		out = append(out, path)
	}
	return out
}

// notAPage names the GET routes that answer with something else than a page, or only to
// the form that leads to them.
func notAPage(r web.Route) bool {
	for _, suffix := range []string{
		"/live", "/bell", "/login/oidc", "/login/callback", ".csv", "/export", "/preview", "/news", "/pem", "/certificates/remove", "/certificates/tag",
		"/assets/edit", "/assets/retire",
	} {
		if strings.HasSuffix(r.Pattern, suffix) {
			return true
		}
	}
	return false
}

func TestEveryPageIsGoodToLookAt(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	p.furnish(t, "acme")
	paths := append(pagePaths(p), p.recordPaths(t, "acme")...)
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			b := p.open(t, "owner@acme.test", l)
			for _, path := range paths {
				b.visit(path)
				where := l.name + " " + path
				if status := evaluate[int](b, `performance.getEntriesByType("navigation")[0].responseStatus`); status != http.StatusOK {
					t.Errorf("%s: status %d", where, status)
				}
				if n := evaluate[int](b, `document.querySelectorAll("h1").length`); n != 1 {
					t.Errorf("%s: %d headings of the first level, want one", where, n)
				}
				b.checkFits(where)
				b.checkAccessible(where, l)
				b.checkQuiet(where)
				b.picture(l.name + strings.ReplaceAll(path, "/", "_"))
			}
		})
	}
}

// TestEveryPageHasHelp fails for a page without an article of its own or of a page above
// it. Pages outside a workspace are served by the article that names them.
func TestEveryPageHasHelp(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, r := range p.Web().Routes() {
		if r.Method != http.MethodGet || r.API || notAPage(r) || r.Module == "help" || strings.HasSuffix(r.Pattern, "/search") ||
			r.Pattern == "/" || strings.Contains(r.Pattern, "/go/") {
			continue
		}
		if _, found := p.HelpFor(r.Pattern); !found {
			t.Errorf("%s has no help article", r.Pattern)
		}
	}
}
