package help

import (
	"bytes"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/templates/ui"
)

func draw(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheIndexShowsSectionsUntilSomebodySearches(t *testing.T) {
	t.Parallel()
	x := Index{Sections: []Section{{ID: "s", Name: "Start", Articles: []Hit{{Title: "First steps", Href: "/help/first"}}}}}
	if html := draw(t, IndexPage(x)); !strings.Contains(html, "First steps") || !strings.Contains(html, `name="q"`) {
		t.Errorf("index:\n%s", html)
	}
	x.Query = `a"b`
	html := draw(t, IndexPage(x))
	if strings.Contains(html, "First steps") || !strings.Contains(html, "No article has all of these words") || !strings.Contains(html, `value="a&#34;b"`) {
		t.Errorf("search without a hit:\n%s", html)
	}
	x.Hits = []Hit{{Title: "Found", Href: "/help/found", Text: "<i>"}}
	if html := draw(t, IndexPage(x)); !strings.Contains(html, `href="/help/found"`) || strings.Contains(html, "<i>") {
		t.Errorf("search with a hit:\n%s", html)
	}
}

func TestTheFragmentLeadsToItsPage(t *testing.T) {
	t.Parallel()
	a := Article{Title: "Grades", Href: "/help/grades", Text: "<p>A</p>", Related: []ui.Link{{Text: "States", Href: "/help/states"}}}
	html := draw(t, ArticleFragment(a))
	for _, want := range []string{`href="/help/grades"`, "<p>A</p>", `href="/help/states"`} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s in\n%s", want, html)
		}
	}
	if strings.Contains(html, "<h1") || !strings.Contains(draw(t, ArticlePage(a)), "<h1>Grades</h1>") {
		t.Error("only the page has a heading of level 1")
	}
}
