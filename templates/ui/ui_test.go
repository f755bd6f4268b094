package ui

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/a-h/templ"
)

func draw(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func has(t *testing.T, html string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(html, w) {
			t.Errorf("no %s in\n%s", w, html)
		}
	}
}

func hasNot(t *testing.T, html string, unwanted ...string) {
	t.Helper()
	for _, u := range unwanted {
		if strings.Contains(html, u) {
			t.Errorf("%s in\n%s", u, html)
		}
	}
}

func TestTextIsEscapedAndBadLinksAreDefused(t *testing.T) {
	t.Parallel()
	html := draw(t, ActionLink(LinkButton{Text: "<b>x</b>", Href: "javascript:alert(1)"})) +
		draw(t, DropMenu(Menu{ID: "m", Label: "M", Items: []MenuItem{{Text: "x", Href: "javascript:alert(2)", Post: true}}})) +
		draw(t, Rows([]Row{{Title: `"><script>`, Href: "JavaScript:alert(3)"}})) +
		draw(t, ActionButton(Button{Text: "x", Action: "javascript:alert(4)"}))
	has(t, html, "&lt;b&gt;x&lt;/b&gt;", "&lt;script&gt;")
	hasNot(t, strings.ToLower(html), "javascript:", "<script")
}

func TestIconsComeFromTheSpriteInTheContext(t *testing.T) {
	t.Parallel()
	ctx := WithAssets(context.Background(), Assets{Icons: "/static/icons.1f.svg"})
	var b bytes.Buffer
	if err := Icon("lock").Render(ctx, &b); err != nil {
		t.Fatal(err)
	}
	has(t, b.String(), `href="/static/icons.1f.svg#lock"`, `aria-hidden="true"`)
	has(t, draw(t, Icon("lock")), `href="/static/icons.svg#lock"`)
}

func TestButtonsThatOpenADialogAreNotSubmitButtons(t *testing.T) {
	t.Parallel()
	has(t, draw(t, ActionButton(Button{Text: "Reject", Opens: "reject"})),
		`type="button"`, `command="show-modal"`, `commandfor="reject"`, `data-open="reject"`)
	has(t, draw(t, ActionButton(Button{Text: "Save", Name: "do", Value: "save"})), `type="submit"`, `name="do"`, `value="save"`)
}

func TestFieldsPointToTheirMessageBeforeTheirHint(t *testing.T) {
	t.Parallel()
	html := draw(t, Input(Field{Name: "host", Label: "Host", Value: "a\"b", Hint: "H", Error: "E", Required: true}))
	has(t, html, `aria-invalid="true"`, `aria-describedby="host-error host-hint"`, `value="a&#34;b"`, "required", `for="host"`)
	hasNot(t, html, "optional")
	has(t, draw(t, TextArea(Field{Name: "why", Label: "Why", Value: "</textarea>x"})), "(optional)", "&lt;/textarea&gt;x")
	hasNot(t, draw(t, Select(Field{Name: "g", Label: "G", Unmarked: true})), "optional", "aria-describedby", "aria-invalid")
}

func TestOptionsKeepTheirOrderInGroups(t *testing.T) {
	t.Parallel()
	got := groups([]Option{{Text: "a"}, {Text: "b", Group: "G"}, {Text: "c", Group: "G"}, {Text: "d"}})
	if len(got) != 3 || got[1].name != "G" || len(got[1].options) != 2 || got[2].options[0].Text != "d" {
		t.Errorf("groups = %+v", got)
	}
}

func TestTheSummaryOfErrorsCountsAndLinks(t *testing.T) {
	t.Parallel()
	if html := draw(t, FormErrors(nil)); html != "" {
		t.Errorf("a form without errors shows %q", html)
	}
	has(t, draw(t, FormErrors([]FormError{{Field: "host", Label: "Host", Text: "Too short."}})),
		`role="alert"`, "One thing needs your attention.", `href="#host"`)
}

func TestSortedColumnsSayHow(t *testing.T) {
	t.Parallel()
	html := draw(t, TableHead(true, []Column{
		{Text: "Host", Href: "?sort=host"}, {Text: "Expires", Href: "?sort=-expires", Sort: Descending, Leaves: LeavesFirst, End: true},
	}))
	has(t, html, `aria-sort="descending"`, "#arrow-down", `class="lo-3 end"`, "data-select-all")
	if strings.Count(html, "aria-sort") != 1 {
		t.Error("an unsorted column has aria-sort")
	}
}

func TestThePagerHasNoLinkWhereNothingFollows(t *testing.T) {
	t.Parallel()
	html := draw(t, PagerNav(Pager{Label: "1 to 50", Next: "?after=50"}))
	has(t, html, `href="?after=50"`, `aria-disabled="true"`, `rel="next"`)
	if strings.Count(html, "href=") != 1 {
		t.Errorf("links in\n%s", html)
	}
}

func TestMetersStayWithinTheirTrack(t *testing.T) {
	t.Parallel()
	for percent, want := range map[int]string{-5: "0", 0: "0", 42: "42", 140: "100"} {
		if got := (Meter{Percent: percent}).width(); got != want {
			t.Errorf("width of %d percent = %s, want %s", percent, got, want)
		}
	}
	has(t, draw(t, MeterBar(Meter{Percent: 5})), `aria-hidden="true"`)
	has(t, draw(t, MeterBar(Meter{Percent: 5, Label: "5 of 100"})), `role="img"`, `aria-label="5 of 100"`)
}

func TestBarsScaleToTheLargest(t *testing.T) {
	t.Parallel()
	shapes := BarChart{Bars: []Bar{{Value: 0}, {Value: 5}, {Value: 10}}}.shapes()
	for i, want := range []struct{ x, y, height string }{{"2", "44.5", "1.5"}, {"32", "24.4", "21.7"}, {"62", "2.7", "43.3"}} {
		if s := shapes[i]; s.x != want.x || s.y != want.y || s.height != want.height {
			t.Errorf("bar %d is at %s,%s with height %s; want %+v", i, s.x, s.y, s.height, want)
		}
	}
	if s := (BarChart{Bars: []Bar{{}}}).shapes(); s[0].height != "1.5" {
		t.Errorf("a chart of nothing has a bar of %s", s[0].height)
	}
}

func TestLinesFillTheirPlot(t *testing.T) {
	t.Parallel()
	c := LineChart{Series: []Point{{X: 10, Y: 0}, {X: 20, Y: 50}}, Y: []Tick{{At: 100}}}
	s := c.scale()
	if got := s.points(c.Series); got != "0,86 500,48" {
		t.Errorf("points = %q", got)
	}
	if got := s.area(c.Series); got != "0,86 0,86 500,48 500,86" {
		t.Errorf("area = %q", got)
	}
	flat := LineChart{Series: []Point{{X: 1, Y: 7}}}
	if got := flat.scale().points(flat.Series); got != "0,86" {
		t.Errorf("one point is at %q", got)
	}
	hasNot(t, draw(t, Lines(LineChart{Label: "Nothing yet"})), "NaN", "Inf")
}

func TestUptimeBarsGrowWithTheTimeLost(t *testing.T) {
	t.Parallel()
	second, hour, day := UptimeDay{Lost: 1.0 / 86400}, UptimeDay{Lost: 1.0 / 24}, UptimeDay{Lost: 1}
	if second.height() > 5 || hour.height() <= second.height() || day.height() != uptimeHeight {
		t.Errorf("heights are %.1f, %.1f, %.1f", second.height(), hour.height(), day.height())
	}
}

func TestDifferencesAreSaidInWords(t *testing.T) {
	t.Parallel()
	html := draw(t, DiffList(Diff{Changes: []Change{{Field: "Owner", To: "Mara"}, {Field: "Key", From: "RSA", To: "ECDSA"}}}))
	has(t, html, "not set", "<ins>Mara</ins>", "<del>RSA</del>", "Before", "After")
}

func TestMarkdownIsClosedToHtmx(t *testing.T) {
	t.Parallel()
	has(t, draw(t, Markdown("<p>ok</p>")), "hx-ignore", "<p>ok</p>")
}
