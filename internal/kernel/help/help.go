// Package help is the library of help articles: Markdown files with front matter,
// rendered and sanitised once when the program starts. A defect in an article stops
// the start, so that no reader meets it.
package help

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/vigilo/vigilo/templates/ui"
)

// Article is one page of help. Slug is its address below /help: the path of its file
// without ".md", joined with hyphens; a folder's index.md has the name of the folder.
type Article struct {
	Slug    string
	Title   string
	Summary string
	Section string
	// Routes are the route patterns that the article explains, such as
	// "/ws/{slug}/certificates".
	Routes  []string
	Related []Reference
	Order   int
	// HTML is the sanitised text without the title; its headings start at h2.
	HTML ui.HTML

	text  string // without markup, for excerpts
	words string // the same in lower case, for the search
}

// Reference names another article.
type Reference struct {
	Slug  string
	Title string
}

// Section is a group of articles in reading order.
type Section struct {
	Name     string
	Articles []Article
}

// Library holds the articles. It does not change after Load and may be shared.
type Library struct {
	articles []Article // by section, order, title
	bySlug   map[string]int
	byRoute  map[string]int
}

// sectionOrder follows the buckets of the sidebar. Other sections come after them.
var sectionOrder = [...]string{
	"Start", "Work", "Reliability", "Inventory", "Governance", "Knowledge", "Admin",
}

// frontMatter is the head of a file. An unknown key is an error: it is a typing mistake.
type frontMatter struct {
	Title   string   `yaml:"title"`
	Summary string   `yaml:"summary"`
	Section string   `yaml:"section"`
	Routes  []string `yaml:"routes"`
	Related []string `yaml:"related"`
	Order   int      `yaml:"order"`
}

var slugPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Load reads every .md file of fsys. It reports all defects at once: bad front matter,
// a slug or route that two articles claim, and links to articles that do not exist.
func Load(fsys fs.FS) (*Library, error) {
	lib := &Library{bySlug: map[string]int{}, byRoute: map[string]int{}}
	related := map[string][]string{}
	linked := map[string][]string{}
	var defects []error

	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || path.Ext(name) != ".md" {
			return nil
		}
		source, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		article, head, links, err := parse(name, source)
		if err != nil {
			defects = append(defects, fmt.Errorf("%s: %w", name, err))
			return nil
		}
		related[article.Slug] = head.Related
		linked[article.Slug] = links
		lib.articles = append(lib.articles, article)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read help articles: %w", err)
	}

	slices.SortFunc(lib.articles, byReadingOrder)
	defects = append(defects, lib.index()...)
	defects = append(defects, lib.connect(related, linked)...)
	if err := errors.Join(defects...); err != nil {
		return nil, fmt.Errorf("help articles: %w", err)
	}
	return lib, nil
}

// index fills the maps and reports what two articles claim.
func (l *Library) index() []error {
	var defects []error
	for i, a := range l.articles {
		if _, taken := l.bySlug[a.Slug]; taken {
			defects = append(defects, fmt.Errorf("two articles have the slug %q", a.Slug))
			continue
		}
		l.bySlug[a.Slug] = i
		for _, route := range a.Routes {
			if other, taken := l.byRoute[route]; taken {
				defects = append(defects,
					fmt.Errorf("the route %s is claimed by %q and %q", route, l.articles[other].Slug, a.Slug))
				continue
			}
			l.byRoute[route] = i
		}
	}
	return defects
}

// connect resolves the names of related articles and checks the links in the text.
func (l *Library) connect(related, linked map[string][]string) []error {
	var defects []error
	for i := range l.articles {
		a := &l.articles[i]
		for _, slug := range related[a.Slug] {
			other, ok := l.bySlug[slug]
			if !ok {
				defects = append(defects, fmt.Errorf("%s: related article %q does not exist", a.Slug, slug))
				continue
			}
			a.Related = append(a.Related, Reference{Slug: slug, Title: l.articles[other].Title})
		}
		for _, slug := range linked[a.Slug] {
			if _, ok := l.bySlug[slug]; !ok {
				defects = append(defects, fmt.Errorf("%s: links to the article %q, which does not exist", a.Slug, slug))
			}
		}
	}
	return defects
}

// ForRoute returns the article for a route pattern: its own, or that of the nearest
// route above it inside a workspace, so that "/ws/{slug}/certificates/{id}" falls back
// to the article of the list. The home page's article serves the home page only.
func (l *Library) ForRoute(pattern string) (Article, bool) {
	pattern = normalRoute(pattern)
	for {
		if i, ok := l.byRoute[pattern]; ok {
			return l.articles[i], true
		}
		up := path.Dir(pattern)
		if strings.Count(up, "/") < 3 {
			return Article{}, false
		}
		pattern = up
	}
}

// Article returns the article with a slug.
func (l *Library) Article(slug string) (Article, bool) {
	i, ok := l.bySlug[slug]
	if !ok {
		return Article{}, false
	}
	return l.articles[i], true
}

// Sections returns all articles in reading order.
func (l *Library) Sections() []Section {
	var out []Section
	for _, a := range l.articles {
		if len(out) == 0 || out[len(out)-1].Name != a.Section {
			out = append(out, Section{Name: a.Section})
		}
		last := &out[len(out)-1]
		last.Articles = append(last.Articles, a)
	}
	return out
}

func byReadingOrder(a, b Article) int {
	return cmp.Or(
		cmp.Compare(sectionRank(a.Section), sectionRank(b.Section)),
		cmp.Compare(a.Section, b.Section),
		cmp.Compare(a.Order, b.Order),
		cmp.Compare(a.Title, b.Title),
		cmp.Compare(a.Slug, b.Slug),
	)
}

func sectionRank(name string) int {
	if i := slices.Index(sectionOrder[:], name); i >= 0 {
		return i
	}
	return len(sectionOrder)
}

func normalRoute(pattern string) string {
	return strings.TrimSuffix(strings.TrimSuffix(pattern, "*"), "/")
}

// parse turns a file into an article. links are the slugs that its text leads to.
func parse(name string, source []byte) (article Article, head frontMatter, links []string, err error) {
	body, err := splitFrontMatter(source, &head)
	if err != nil {
		return Article{}, frontMatter{}, nil, err
	}
	slug := slugOf(name)
	var defects []error
	if !slugPattern.MatchString(slug) {
		defects = append(defects, fmt.Errorf("the file name gives the slug %q; use lower-case words and hyphens", slug))
	}
	for _, required := range []struct{ key, value string }{
		{"title", head.Title}, {"summary", head.Summary}, {"section", head.Section},
	} {
		if strings.TrimSpace(required.value) == "" {
			defects = append(defects, fmt.Errorf("front matter has no %s", required.key))
		}
	}
	var routes []string
	for _, route := range head.Routes {
		if !strings.HasPrefix(route, "/") {
			defects = append(defects, fmt.Errorf("the route %q does not start with a slash", route))
		}
		routes = append(routes, normalRoute(route))
	}
	if err := errors.Join(defects...); err != nil {
		return Article{}, frontMatter{}, nil, err
	}

	page, err := render(body)
	if err != nil {
		return Article{}, frontMatter{}, nil, err
	}
	return Article{
		Slug: slug, Title: head.Title, Summary: head.Summary, Section: head.Section,
		Routes: routes, Order: head.Order, HTML: page.html, text: page.text, words: strings.ToLower(page.text),
	}, head, page.links, nil
}

func slugOf(name string) string {
	name = strings.TrimSuffix(name, ".md")
	if path.Base(name) == "index" && path.Dir(name) != "." {
		name = path.Dir(name)
	}
	return strings.ReplaceAll(name, "/", "-")
}

// splitFrontMatter decodes the YAML between the first two lines of three hyphens and
// returns the rest.
func splitFrontMatter(source []byte, into *frontMatter) ([]byte, error) {
	source = bytes.ReplaceAll(source, []byte("\r\n"), []byte("\n"))
	rest, found := bytes.CutPrefix(source, []byte("---\n"))
	if !found {
		return nil, errors.New("front matter is missing: the file starts with a line of three hyphens")
	}
	head, body, found := bytes.Cut(rest, []byte("\n---\n"))
	if !found {
		return nil, errors.New("front matter has no end: a second line of three hyphens")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(head))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return nil, fmt.Errorf("front matter: %w", err)
	}
	return body, nil
}
