package help

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/docs"
)

func file(head, body string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("---\n" + head + "\n---\n" + body)}
}

func load(t *testing.T, fsys fstest.MapFS) *Library {
	t.Helper()
	lib, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

var sample = fstest.MapFS{
	"certificates/index.md": file("title: Certificates\nsummary: What a grade means.\nsection: Reliability\norder: 10\n"+
		"routes: [\"/ws/{slug}/certificates\"]\nrelated: [start]",
		"## Grades\n\nA grade sums up a handshake. See [the start](/help/start#first).\n"),
	"certificates/states.md": file("title: States of a certificate\nsummary: Valid, expiring, expired.\nsection: Reliability\norder: 20",
		"A grade is not a state.\n"),
	"start.md":  file("title: Start\nsummary: First steps.\nsection: Start\nroutes: [\"/ws/{slug}\"]", "## First\n\nOpen the list.\n"),
	"z.md":      file("title: Z\nsummary: Z.\nsection: Zoo", "Animals.\n"),
	"notes.txt": {Data: []byte("not an article")},
}

func TestTheShippedArticlesLoad(t *testing.T) {
	t.Parallel()
	lib, err := Load(docs.Help())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := lib.Article("getting-started"); !ok {
		t.Error("the article getting-started is missing")
	}
	if a, ok := lib.ForRoute("/ws/{slug}"); !ok || a.Slug != "getting-started" {
		t.Errorf("the home page has the article %q", a.Slug)
	}
}

func TestArticlesAreInReadingOrder(t *testing.T) {
	t.Parallel()
	var got []string
	for _, s := range load(t, sample).Sections() {
		got = append(got, s.Name+":")
		for _, a := range s.Articles {
			got = append(got, a.Slug)
		}
	}
	want := []string{"Start:", "start", "Reliability:", "certificates", "certificates-states", "Zoo:", "z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
}

func TestRoutesFindTheirArticle(t *testing.T) {
	t.Parallel()
	lib := load(t, sample)
	for pattern, want := range map[string]string{
		"/ws/{slug}/certificates":                "certificates",
		"/ws/{slug}/certificates/":               "certificates",
		"/ws/{slug}/certificates/{id}":           "certificates",
		"/ws/{slug}/certificates/{id}/handshake": "certificates",
		"/ws/{slug}":                             "start",
		"/ws/{slug}/incidents":                   "",
		"/login":                                 "",
		"/":                                      "",
	} {
		a, ok := lib.ForRoute(pattern)
		if a.Slug != want || ok != (want != "") {
			t.Errorf("ForRoute(%q) = %q, %v; want %q", pattern, a.Slug, ok, want)
		}
	}
}

func TestRelatedArticlesCarryTheirTitles(t *testing.T) {
	t.Parallel()
	a, _ := load(t, sample).Article("certificates")
	if diff := cmp.Diff([]Reference{{Slug: "start", Title: "Start"}}, a.Related); diff != "" {
		t.Errorf("related (-want +got):\n%s", diff)
	}
}

func TestTextIsSanitised(t *testing.T) {
	t.Parallel()
	lib := load(t, fstest.MapFS{"a.md": file("title: A\nsummary: A.\nsection: Start", strings.Join([]string{
		"## A Heading",
		"<script>alert(1)</script> and <b onclick=\"x()\">bold</b>",
		"[bad](javascript:alert(1)) [good](https://example.org/)",
		"![image](/x.png)",
		"| a | b |\n|:-:|--:|\n| 1 | 2 |",
	}, "\n\n")+"\n")})
	a, _ := lib.Article("a")
	html := string(a.HTML)
	for _, bad := range []string{"<script", "onclick", "javascript:", "<img", "style=", "align="} {
		if strings.Contains(html, bad) {
			t.Errorf("the text contains %q:\n%s", bad, html)
		}
	}
	for _, good := range []string{`<h2 id="a-heading">`, `href="https://example.org/"`, "<td>2</td>"} {
		if !strings.Contains(html, good) {
			t.Errorf("the text lacks %q:\n%s", good, html)
		}
	}
}

func TestDefectsStopTheLoad(t *testing.T) {
	t.Parallel()
	const head = "title: A\nsummary: A.\nsection: Start"
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"no front matter":     {fstest.MapFS{"a.md": {Data: []byte("## Hi\n")}}, "front matter is missing"},
		"open front matter":   {fstest.MapFS{"a.md": {Data: []byte("---\ntitle: A\n")}}, "has no end"},
		"unknown key":         {fstest.MapFS{"a.md": file(head+"\nsumary: B", "x\n")}, "sumary"},
		"no title":            {fstest.MapFS{"a.md": file("summary: A.\nsection: Start", "x\n")}, "no title"},
		"no summary":          {fstest.MapFS{"a.md": file("title: A\nsection: Start", "x\n")}, "no summary"},
		"no section":          {fstest.MapFS{"a.md": file("title: A\nsummary: A.", "x\n")}, "no section"},
		"bad name":            {fstest.MapFS{"A_b.md": file(head, "x\n")}, `slug "A_b"`},
		"relative route":      {fstest.MapFS{"a.md": file(head+"\nroutes: [ws]", "x\n")}, "does not start with a slash"},
		"heading of level 1":  {fstest.MapFS{"a.md": file(head, "# Title\n")}, "heading of level 1"},
		"broken related":      {fstest.MapFS{"a.md": file(head+"\nrelated: [gone]", "x\n")}, `"gone" does not exist`},
		"broken link in text": {fstest.MapFS{"a.md": file(head, "[x](/help/gone)\n")}, `"gone", which does not exist`},
		"same slug twice": {
			fstest.MapFS{"a-b.md": file(head, "x\n"), "a/b.md": file(head, "x\n")}, `slug "a-b"`,
		},
		"same route twice": {
			fstest.MapFS{"a.md": file(head+"\nroutes: [/x]", "x\n"), "b.md": file(head+"\nroutes: [/x/]", "x\n")},
			"/x is claimed by",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(tc.files)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Load = %v; want an error with %q", err, tc.want)
			}
		})
	}
}

func TestSearchRanksTitlesFirstAndWantsEveryWord(t *testing.T) {
	t.Parallel()
	lib := load(t, sample)
	for q, want := range map[string][]string{
		"state":        {"certificates-states"},
		"grade":        {"certificates", "certificates-states"},
		"Certif GRADE": {"certificates-states", "certificates"},
		"grade zebra":  nil,
		"rade":         nil,
		"":             nil,
		" .,":          nil,
	} {
		var got []string
		for _, h := range lib.Search(q) {
			got = append(got, h.Article.Slug)
		}
		if q == "Certif GRADE" {
			slices.Sort(got)
			slices.Sort(want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Search(%q) (-want +got):\n%s", q, diff)
		}
	}
}

func TestAHitShowsTheTextAroundTheWord(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("before ", 30) + "needle " + strings.Repeat("after ", 60)
	lib := load(t, fstest.MapFS{"a.md": file("title: A\nsummary: Sum.\nsection: Start", long+"\n")})
	hit := lib.Search("needle")[0]
	if !strings.Contains(hit.Excerpt, "needle") || !strings.HasPrefix(hit.Excerpt, "… ") || !strings.HasSuffix(hit.Excerpt, " …") {
		t.Errorf("excerpt = %q", hit.Excerpt)
	}
	if len(hit.Excerpt) > excerptLength+10 {
		t.Errorf("excerpt has %d bytes", len(hit.Excerpt))
	}
	if got := lib.Search("sum")[0].Excerpt; got != "Sum." {
		t.Errorf("excerpt of a hit in the summary = %q", got)
	}
}
