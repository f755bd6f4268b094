package members

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/layout"
	views "github.com/vigilo/vigilo/templates/members"
	"github.com/vigilo/vigilo/templates/ui"
)

// bareInvalid shows a form outside a workspace again, with the status of the error.
func bareInvalid(r *web.Request, err error, p web.Page, body templ.Component) error {
	e := fault.Find(err)
	if e == nil || (e.Kind != fault.Invalid && e.Kind != fault.Conflict && e.Kind != fault.Denied) {
		return err
	}
	r.LogFailure(err)
	p.Status, _ = web.DescribeError(err, r.ID)
	return r.Bare(p, body)
}

// tone maps the word of a home item to a class.
func tone(word string) ui.Tone {
	switch word {
	case "ok":
		return ui.OK
	case "warn":
		return ui.Warn
	case "crit":
		return ui.Crit
	case "info":
		return ui.Info
	default:
		return ""
	}
}

func (s *Service) showHome(r *web.Request) error {
	var home func() Home
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { home = s.queueHome(b, r.Actor) }); err != nil {
		return err
	}
	return r.Page(web.Page{Title: "Home", Crumbs: []web.Crumb{{Text: "Home"}}}, views.HomePage(homeView(r, home())))
}

func homeView(r *web.Request, h Home) views.Home {
	v := views.Home{Title: "What needs you now", Lede: "Times in " + r.Zone().String() + "."}
	if n := h.Items(); n > 0 {
		v.Lede = plural(n, "thing") + " to look at. " + v.Lede
	}
	open := len(h.Steps) - h.StepsDone()
	if open > 0 && h.Items() > 0 {
		v.Start = &ui.Notice{
			Tone: ui.Info, Title: strconv.Itoa(h.StepsDone()) + " of " + strconv.Itoa(len(h.Steps)) + " first steps are done.",
			Action: &ui.Link{Text: "Getting started", Href: r.Path("/getting-started")},
		}
	}
	if h.Items() == 0 {
		v.Calm = &ui.Empty{Icon: "circle-check", Title: "Nothing needs you now", Text: "What becomes urgent appears here by itself."}
		if open > 0 {
			v.Calm = &ui.Empty{
				Icon: "flag", Title: "Nothing is here yet", Text: "The first steps take a few minutes. Then this page shows what needs you.",
				Actions: []ui.LinkButton{{Text: "Getting started", Href: r.Path("/getting-started"), Icon: "arrow-right", Kind: ui.Primary}},
			}
		}
	}
	for i, section := range h.Sections {
		card := ui.Card{ID: "home-" + strconv.Itoa(i), Title: section.Title, Flush: len(section.Items) > 0}
		if section.Href != "" {
			card.Link = &ui.Link{Text: "Show all", Href: r.Path(section.Href)}
		}
		rows := make([]ui.Row, len(section.Items))
		for j, item := range section.Items {
			rows[j] = ui.Row{Icon: item.Icon, Tone: tone(item.Tone), Title: item.Title, Href: r.Path(item.Href), Aside: item.Meta}
		}
		v.Sections = append(v.Sections, views.HomeSection{Card: card, Rows: rows, Empty: section.Empty})
	}
	return v
}

func (s *Service) showGettingStarted(r *web.Request) error {
	var read func() []StepState
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { read = s.queueSteps(b, r.Actor) }); err != nil {
		return err
	}
	steps := read()
	v := views.GettingStarted{HomeHref: r.Path(""), AllDone: len(steps) > 0}
	done := 0
	for _, st := range steps {
		v.Steps = append(v.Steps, views.Step{
			Label: st.Label, Text: st.Text, Done: st.IsDone, Action: ui.LinkButton{Text: st.Action, Href: r.Path(st.Href)},
		})
		v.AllDone = v.AllDone && st.IsDone
		if st.IsDone {
			done++
		}
	}
	v.Lede = strconv.Itoa(done) + " of " + plural(len(steps), "step") + " done. Take them in any order; each ticks itself off."
	if len(steps) == 0 {
		v.Lede = "The admins of this workspace take the first steps. You can look around meanwhile."
	}
	return r.Page(web.Page{Title: "Getting started", Crumbs: []web.Crumb{{Text: "Getting started"}}}, views.GettingStartedPage(v))
}

// searchLimit is how many records the search page shows, and the palette.
const searchLimit = 30

func (s *Service) showSearch(r *web.Request) error {
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	if len(text) > 200 || strings.ContainsRune(text, 0) {
		return fault.NewInvalid("too_long", "Search for something shorter.")
	}
	text = strings.ToValidUTF8(text, "")
	var hits []search.Hit
	if len([]rune(text)) >= search.MinText {
		var err error
		if hits, err = s.Find(r.Context(), r.Actor, text, searchLimit); err != nil {
			return err
		}
	}
	actions := s.matchingActions(r, text)
	if r.HTMX() {
		return r.Fragment(http.StatusOK, layout.PaletteOptions(paletteItems(r, hits, actions)))
	}
	return r.Page(web.Page{Title: "Search", Crumbs: []web.Crumb{{Text: "Search"}}}, views.SearchPage(s.searchView(r, text, hits, actions)))
}

// paletteItems leaves pages out: the palette takes them from the sidebar.
func paletteItems(r *web.Request, hits []search.Hit, actions []Action) []layout.PaletteItem {
	var out []layout.PaletteItem
	for _, h := range hits {
		out = append(out, layout.PaletteItem{Text: h.Title, Hint: h.Hint, Icon: h.Icon, Href: r.Path(h.Path)})
	}
	for _, a := range actions {
		out = append(out, layout.PaletteItem{Text: a.Label, Hint: "Action", Icon: a.Icon, Href: r.Path(a.Path)})
	}
	return out
}

func (s *Service) matchingActions(r *web.Request, text string) []Action {
	var out []Action
	for _, a := range s.actions {
		if matches(a.Label, text) && r.Can(a.Permission) {
			out = append(out, a)
		}
	}
	return out
}

func matches(label, text string) bool {
	return strings.Contains(strings.ToLower(label), strings.ToLower(text))
}

func (s *Service) searchView(r *web.Request, text string, hits []search.Hit, actions []Action) views.Search {
	v := views.Search{
		Action: r.Path("/search"), Lede: "Pages, records and things to do in " + r.Workspace.Name + ".",
		Field: ui.Search{Name: "q", Value: text, Label: "Search the workspace", Placeholder: "Key, title, name or page"},
	}
	add := func(id, title string, rows []ui.Row) {
		if len(rows) > 0 {
			v.Groups = append(v.Groups, views.SearchGroup{Card: ui.Card{ID: id, Title: title, Flush: true}, Rows: rows})
		}
	}
	var records, pages, todo []ui.Row
	for _, h := range hits {
		records = append(records, ui.Row{Icon: h.Icon, Title: h.Title, Href: r.Path(h.Path), Sub: h.Hint})
	}
	for _, p := range s.pages() {
		if matches(p.Label, text) && r.Can(p.Permission) {
			pages = append(pages, ui.Row{Icon: p.Icon, Title: p.Label, Href: r.Path(p.Path), Sub: string(p.Bucket)})
		}
	}
	for _, a := range actions {
		todo = append(todo, ui.Row{Icon: a.Icon, Title: a.Label, Href: r.Path(a.Path)})
	}
	add("records", "Records", records)
	add("pages", "Pages", pages)
	add("actions", "Actions", todo)
	if len(v.Groups) == 0 {
		v.Nothing = &ui.Empty{
			Icon: "search", Title: "Nothing matches “" + text + "”", Text: "Try fewer letters, a key such as CHG-00012, or the name of a page.",
			Actions: []ui.LinkButton{{Text: "Clear the search", Href: r.Path("/search")}},
		}
	}
	return v
}

// pages are those of the sidebar and the two that every workspace has beside it.
func (s *Service) pages() []web.NavEntry {
	return append([]web.NavEntry{
		{Label: "Home", Path: "", Icon: "house", Permission: ReadWorkspace},
		{Label: "Getting started", Path: "/getting-started", Icon: "flag", Permission: ReadWorkspace},
	}, s.nav...)
}

func (s *Service) goToKey(r *web.Request) error {
	key := strings.ToUpper(r.Param("key"))
	if len(key) > 40 || strings.ContainsRune(key, 0) {
		return fault.NewNotFound("record")
	}
	ref, ok, err := s.FindByKey(r.Context(), r.Actor, key)
	if err != nil {
		return err
	}
	if !ok || ref.Path == "" {
		return fault.NewNotFound("record")
	}
	return r.SeeOther(r.Path(ref.Path))
}
