package gallery_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/vigilo/vigilo/templates/gallery"
	"github.com/vigilo/vigilo/templates/ui"
)

// write saves the pages as files, to be looked at without a server.
var write = flag.String("write", "", "folder to write the pages of the gallery to")

type page struct {
	name string
	html []byte
	root *html.Node
}

func pages(t *testing.T) []page {
	t.Helper()
	var out []page
	for _, p := range gallery.Pages(ui.Assets{}, "dark") {
		var b bytes.Buffer
		if err := p.Component.Render(t.Context(), &b); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		root, err := html.Parse(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		out = append(out, page{p.Name, b.Bytes(), root})
	}
	return out
}

func (p page) whole() bool { return !strings.HasPrefix(p.name, "fragment-") }

func elements(root *html.Node, visit func(n *html.Node, attr map[string]string)) {
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attr := make(map[string]string, len(n.Attr))
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		visit(n, attr)
	}
}

func TestPagesCanBeWrittenToLookAt(t *testing.T) {
	t.Parallel()
	dir := *write
	if dir == "" {
		dir = t.TempDir()
	}
	for _, p := range pages(t) {
		if err := os.WriteFile(filepath.Join(dir, p.name+".html"), p.html, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingInlineIsRendered(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		elements(p.root, func(n *html.Node, attr map[string]string) {
			if n.Data == "style" || n.Data == "script" && (attr["src"] == "" || n.FirstChild != nil) {
				t.Errorf("%s: inline <%s>", p.name, n.Data)
			}
			for name, value := range attr {
				switch {
				case name == "style", strings.HasPrefix(name, "on"), strings.HasPrefix(name, "hx-on"), strings.HasPrefix(name, "hx-vals"):
					t.Errorf("%s: <%s %s=%q>", p.name, n.Data, name, value)
				case strings.Contains(strings.ToLower(value), "javascript:"), strings.HasPrefix(value, "js:"):
					t.Errorf("%s: <%s %s=%q>", p.name, n.Data, name, value)
				}
			}
		})
	}
}

func TestPagesHaveTitleLanguageHeadingAndLandmarks(t *testing.T) {
	t.Parallel()
	many := map[string]bool{"errors": true} // shows several pages on one
	for _, p := range pages(t) {
		if !p.whole() {
			continue
		}
		count := map[string]int{}
		elements(p.root, func(n *html.Node, attr map[string]string) {
			count[n.Data]++
			if n.Data == "html" && attr["lang"] == "" {
				t.Errorf("%s: no language", p.name)
			}
			if n.Data == "html" && attr["data-theme"] != "dark" {
				t.Errorf("%s: the theme of the account is not written", p.name)
			}
			if n.Data == "title" && (n.FirstChild == nil || !strings.HasSuffix(n.FirstChild.Data, "· Vigilo")) {
				// Titles of SVG shapes name their values.
				if n.Parent.Data == "head" {
					t.Errorf("%s: no title", p.name)
				}
			}
		})
		if count["h1"] != 1 && !many[p.name] {
			t.Errorf("%s: %d headings of level 1", p.name, count["h1"])
		}
		if count["main"] != 1 || count["header"] != 1 {
			t.Errorf("%s: %d main, %d header", p.name, count["main"], count["header"])
		}
	}
}

func TestNamesOfElementsAreUniqueAndReferencesResolve(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		ids := map[string]bool{}
		elements(p.root, func(_ *html.Node, attr map[string]string) {
			if id := attr["id"]; id != "" {
				if ids[id] {
					t.Errorf("%s: the id %q is used twice", p.name, id)
				}
				ids[id] = true
			}
		})
		if !p.whole() {
			continue
		}
		elements(p.root, func(n *html.Node, attr map[string]string) {
			for _, name := range []string{
				"for", "aria-labelledby", "aria-describedby", "aria-controls", "popovertarget", "commandfor",
				"data-open", "data-close", "list", "form",
			} {
				for ref := range strings.FieldsSeq(attr[name]) {
					if !ids[ref] {
						t.Errorf("%s: <%s %s=%q> names nothing on the page", p.name, n.Data, name, ref)
					}
				}
			}
			if ref, ok := strings.CutPrefix(attr["hx-target"], "#"); ok && !ids[ref] {
				t.Errorf("%s: hx-target %q names nothing on the page", p.name, ref)
			}
			if ref, ok := strings.CutPrefix(attr["href"], "#"); ok && n.Data == "a" && !ids[ref] {
				t.Errorf("%s: the link to #%s leads nowhere", p.name, ref)
			}
		})
	}
}

func TestControlsHaveNames(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		labelled := map[string]bool{}
		elements(p.root, func(n *html.Node, attr map[string]string) {
			if n.Data == "label" {
				labelled[attr["for"]] = true
			}
		})
		elements(p.root, func(n *html.Node, attr map[string]string) {
			switch n.Data {
			case "button", "a", "summary":
				if attr["aria-label"] == "" && strings.TrimSpace(words(n)) == "" {
					t.Errorf("%s: a <%s> without a name: %v", p.name, n.Data, n.Attr)
				}
			case "input", "select", "textarea":
				if attr["type"] == "hidden" || attr["aria-label"] != "" || labelled[attr["id"]] || n.Parent.Data == "label" {
					return
				}
				t.Errorf("%s: <%s name=%q> without a label", p.name, n.Data, attr["name"])
			}
		})
	}
}

func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// TestButtonsThatOpenDialogsDoNotSubmit guards against a trap of the platform: inside
// a form, a command button without a type neither submits nor opens.
func TestButtonsThatOpenDialogsDoNotSubmit(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		elements(p.root, func(n *html.Node, attr map[string]string) {
			if n.Data == "button" && (attr["command"] != "" || attr["popovertarget"] != "") && attr["type"] != "button" {
				t.Errorf("%s: %v", p.name, n.Attr)
			}
		})
	}
}

func TestARefusedFormNamesItsProblems(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		if p.name != "form" {
			continue
		}
		var alert, invalid, kept bool
		elements(p.root, func(n *html.Node, attr map[string]string) {
			alert = alert || attr["role"] == "alert" && strings.Contains(words(n), "3 things need your attention.")
			if attr["id"] == "host" {
				invalid = attr["aria-invalid"] == "true" && attr["aria-describedby"] == "host-error"
				kept = attr["value"] == "pay.halden"
			}
		})
		if !alert || !invalid || !kept {
			t.Errorf("alert %v, field marked %v, value kept %v", alert, invalid, kept)
		}
		return
	}
	t.Error("the gallery has no form")
}

func TestPagesStaySmall(t *testing.T) {
	t.Parallel()
	const most, mostElements = 20 << 10, 3000
	for _, p := range pages(t) {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := w.Write(p.html); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		n := 0
		elements(p.root, func(*html.Node, map[string]string) { n++ })
		if b.Len() > most || n > mostElements {
			t.Errorf("%s has %d bytes packed and %d elements", p.name, b.Len(), n)
		}
	}
}

const (
	templates = ".."
	styles    = "../../web/css"
	scripts   = "../../web/js"
	sprite    = "../../web/vendor/icons.svg"
)

// sources joins the files under dir with one of the suffixes, without generated code
// and tests.
func sources(t *testing.T, dir string, suffixes ...string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_templ.go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		for _, suffix := range suffixes {
			if strings.HasSuffix(name, suffix) {
				content, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				b.Write(content)
				b.WriteByte('\n')
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	cssNoise   = regexp.MustCompile(`(?s)/\*.*?\*/|"[^"]*"|url\([^)]*\)`)
	cssClass   = regexp.MustCompile(`\.([a-z][a-z0-9-]*)`)
	classWords = regexp.MustCompile(`class="([^"{}]*)"`)
	anyWord    = regexp.MustCompile(`[A-Za-z0-9_-]+`)
)

func cssClasses(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, m := range cssClass.FindAllStringSubmatch(cssNoise.ReplaceAllString(sources(t, styles, ".css"), ""), -1) {
		out[m[1]] = true
	}
	return out
}

// mailClasses are classes of mail, which brings a style sheet of its own.
var mailClasses = []string{"body", "box", "foot", "go", "head", "item", "meta"}

func TestEveryClassInTemplatesIsInTheStylesheet(t *testing.T) {
	t.Parallel()
	known := cssClasses(t)
	for _, m := range classWords.FindAllStringSubmatch(sources(t, templates, ".templ"), -1) {
		for c := range strings.FieldsSeq(m[1]) {
			if !known[c] && !slices.Contains(mailClasses, c) {
				t.Errorf("a template uses the class %q, which has no style", c)
			}
		}
	}
	for _, p := range pages(t) {
		elements(p.root, func(_ *html.Node, attr map[string]string) {
			for c := range strings.FieldsSeq(attr["class"]) {
				if !known[c] {
					t.Errorf("%s: the class %q has no style", p.name, c)
				}
			}
		})
	}
}

func TestEveryClassInTheStylesheetIsUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, w := range anyWord.FindAllString(sources(t, templates, ".templ", ".go")+sources(t, scripts, ".js"), -1) {
		used[w] = true
	}
	for c := range cssClasses(t) {
		if !used[c] {
			t.Errorf("the class %q is used nowhere", c)
		}
	}
}

func TestEveryIconIsInTheSprite(t *testing.T) {
	t.Parallel()
	drawn := map[string]bool{}
	for _, m := range regexp.MustCompile(`<symbol id="([^"]+)"`).FindAllStringSubmatch(sources(t, filepath.Dir(sprite), "icons.svg"), -1) {
		drawn[m[1]] = true
	}
	if len(drawn) == 0 {
		t.Fatal("the sprite is empty")
	}
	named := regexp.MustCompile(`(?:Icon\(|Icon:\s*)"([a-z0-9-]+)"`)
	for _, m := range named.FindAllStringSubmatch(sources(t, templates, ".templ", ".go"), -1) {
		if !drawn[m[1]] {
			t.Errorf("the icon %q is not in the sprite: add it to web/icons.txt and run the vendor script", m[1])
		}
	}
	for _, p := range pages(t) {
		elements(p.root, func(n *html.Node, attr map[string]string) {
			if n.Data != "use" {
				return
			}
			file, name, _ := strings.Cut(attr["href"], "#")
			if strings.HasSuffix(file, "icons.svg") && !drawn[name] {
				t.Errorf("%s: the icon %q is not in the sprite", p.name, name)
			}
		})
	}
}

func TestRawMarkupEntersThroughMarkdownOnly(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(templates, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".templ") && !strings.HasSuffix(name, ".go") ||
			strings.HasSuffix(name, "_templ.go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if n := bytes.Count(content, []byte("templ.Raw")); n > 0 && (filepath.Base(name) != "content.templ" || n > 1) {
			t.Errorf("%s uses templ.Raw", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
