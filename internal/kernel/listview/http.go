package listview

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

// Param is the part of an address that names the view which is open, by its id. The list
// keeps it in its own links. With NoView the list does not open with the person's default.
const (
	Param  = "saved"
	NoView = "none"
)

// Routes adds the forms of views and columns below the path of the list. Whoever may read
// the list may have views of it.
func (l *List) Routes(r *web.Router, read access.Permission) {
	r.Get(l.spec.Path+"/views", read, l.showViews)
	r.Post(l.spec.Path+"/views", read, l.saveView)
	r.Post(l.spec.Path+"/views/{view}", read, l.editView)
	r.Post(l.spec.Path+"/columns", read, l.saveColumns)
}

// Pending is what a person has of the list, once its batch has run.
type Pending struct {
	list *List
	r    *web.Request
	rows *db.Result[View]
}

// Queue reads the views and the columns of the person who asks.
func (l *List) Queue(b *db.Batch, r *web.Request) Pending {
	return Pending{list: l, r: r, rows: ofPerson.Queue(b, l.args(r.Actor, nil))}
}

// State is how a person sees the list now.
type State struct {
	list  *List
	r     *web.Request
	views []View
	// choice is the person's choice of columns, nil for none.
	choice []string
	open   *View
}

// State returns what was read.
func (p Pending) State() State {
	s := State{list: p.list, r: p.r}
	at := p.r.URL.Query().Get(Param)
	for i, v := range p.rows.Rows {
		if v.Name == "" {
			s.choice = v.Columns
			continue
		}
		s.views = append(s.views, v)
		if v.ID.String() == at {
			s.open = &p.rows.Rows[i]
		}
	}
	return s
}

// Home returns the address of the view that the list opens with. ok is false when the
// request asks for something itself, or the person has no such view.
func (s State) Home() (href string, ok bool) {
	if s.r.URL.RawQuery != "" {
		return "", false
	}
	i := slices.IndexFunc(s.views, func(v View) bool { return v.Default })
	if i < 0 {
		return "", false
	}
	return s.href(s.views[i]), true
}

func (s State) href(v View) string { return s.list.href(s.r, v) }

func (l *List) href(r *web.Request, v View) string {
	q := url.Values{Param: {v.ID.String()}}.Encode()
	if v.Query != "" {
		q = v.Query + "&" + q
	}
	return r.Path(l.spec.Path) + "?" + q
}

// AllHref is the address of the list without a filter.
func (s State) AllHref() string {
	if slices.ContainsFunc(s.views, func(v View) bool { return v.Default }) {
		return s.r.Path(s.list.spec.Path) + "?" + Param + "=" + NoView
	}
	return s.r.Path(s.list.spec.Path)
}

// Open reports whether a view of the person is open.
func (s State) Open() bool { return s.open != nil }

// Columns returns the columns to show, and whether somebody chose them.
func (s State) Columns() (names []string, chosen bool) {
	names = s.choice
	if s.open != nil && len(s.open.Columns) > 0 {
		names = s.open.Columns
	}
	if len(names) == 0 {
		return s.list.standard(), false
	}
	// What the list no longer has is left out, and what cannot be hidden is put in.
	return s.list.known(names), true
}

// Tabs are the views of the person.
func (s State) Tabs() []ui.Tab {
	out := make([]ui.Tab, len(s.views))
	for i, v := range s.views {
		out[i] = ui.Tab{Text: v.Name, Href: s.href(v), Current: s.open != nil && s.open.ID == v.ID, Icon: "bookmark"}
	}
	return out
}

// Tools are the forms beside the filter.
func (s State) Tools() *ui.ListTools {
	path := s.r.Path(s.list.spec.Path)
	query := s.list.query(s.r.URL.Query())
	names, _ := s.Columns()
	t := &ui.ListTools{
		ColumnsAction: path + "/columns", SaveAction: path + "/views", ViewsHref: path + "/views", Query: query,
		Name: ui.Field{ID: "view-name", Name: "name", Label: "Name", Unmarked: true, MaxLength: 40, Placeholder: "Such as: mine, ending soon"},
	}
	for _, c := range s.list.spec.Columns {
		if !c.Fixed {
			t.Columns = append(t.Columns, ui.Choice{
				ID: "column-" + c.Name, Name: "column", Value: c.Name, Label: c.Label, Checked: slices.Contains(names, c.Name),
			})
		}
	}
	if s.open != nil {
		t.Saved, t.Open = s.open.ID.String(), s.open.Name
		if query != s.open.Query {
			t.UpdateAction = path + "/views/" + t.Saved
		}
	} else if s.r.URL.Query().Get(Param) == NoView {
		t.Saved = NoView
	}
	return t
}

type viewForm struct {
	Do      string   `form:"do"`
	Name    string   `form:"name"`
	Query   string   `form:"query"`
	Default bool     `form:"default"`
	Columns []string `form:"column"`
	Saved   string   `form:"saved"`
}

func (l *List) saveView(r *web.Request) error {
	var f viewForm
	if err := r.Form(&f); err != nil {
		return err
	}
	f.Name = strings.TrimSpace(f.Name)
	in := NewView{Name: f.Name, Query: f.Query}
	if from, err := uuid.Parse(f.Saved); err == nil {
		// A view that is made from another one begins with its columns.
		views, err := l.views(r)
		if err != nil {
			return err
		}
		for _, v := range views {
			if v.ID == from {
				in.Columns = v.Columns
			}
		}
	}
	v, err := l.Save(r.Context(), r.Actor, in)
	if err != nil {
		return l.viewsPage(r, uuid.Nil, f, err)
	}
	r.Flash("View saved.")
	return r.SeeOther(l.href(r, v))
}

func (l *List) editView(r *web.Request) error {
	id, err := r.UUID("view", "view")
	if err != nil {
		return err
	}
	var f viewForm
	if err := r.Form(&f); err != nil {
		return err
	}
	f.Name = strings.TrimSpace(f.Name)
	switch f.Do {
	case "delete":
		if err := l.Delete(r.Context(), r.Actor, id); err != nil {
			return err
		}
		r.Flash("View deleted.")
	case "update":
		if err := l.Edit(r.Context(), r.Actor, id, Edit{Query: &f.Query}); err != nil {
			return err
		}
		query, err := l.checked(f.Query, r.Now())
		if err != nil {
			return err
		}
		r.Flash("View saved.")
		return r.SeeOther(l.href(r, View{ID: id, Query: query}))
	default:
		if err := l.Edit(r.Context(), r.Actor, id, Edit{Name: &f.Name, Default: &f.Default}); err != nil {
			return l.viewsPage(r, id, f, err)
		}
		r.Flash("View saved.")
	}
	return r.SeeOther(r.Path(l.spec.Path + "/views"))
}

// saveColumns keeps the columns for the view that is open, or else for the list.
func (l *List) saveColumns(r *web.Request) error {
	var f viewForm
	if err := r.Form(&f); err != nil {
		return err
	}
	if f.Do == "reset" {
		f.Columns = nil
	}
	id, err := uuid.Parse(f.Saved)
	if err == nil {
		columns := f.Columns
		if f.Do == "reset" {
			columns = l.standard()
		}
		err = l.Edit(r.Context(), r.Actor, id, Edit{Columns: append([]string{}, columns...)})
	} else {
		err = l.ChooseColumns(r.Context(), r.Actor, f.Columns)
	}
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(f.Query)
	if err != nil {
		values = url.Values{}
	}
	back := url.Values{}
	if query := l.query(values); query != "" {
		back, _ = url.ParseQuery(query) // it was encoded a moment ago
	}
	if f.Saved == NoView || id != uuid.Nil {
		back.Set(Param, f.Saved)
	}
	r.Flash("Columns saved.")
	if len(back) == 0 {
		return r.SeeOther(r.Path(l.spec.Path))
	}
	return r.SeeOther(r.Path(l.spec.Path) + "?" + back.Encode())
}

// views returns the views of the person who asks.
func (l *List) views(r *web.Request) ([]View, error) {
	var p Pending
	if err := l.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { p = l.Queue(b, r) }); err != nil {
		return nil, err
	}
	return p.State().views, nil
}

func (l *List) showViews(r *web.Request) error { return l.viewsPage(r, uuid.Nil, viewForm{}, nil) }

// viewsPage draws the page of a person's views. problem is about the form f of the view of
// an id, or of a new one.
func (l *List) viewsPage(r *web.Request, id uuid.UUID, f viewForm, problem error) error {
	views, err := l.views(r)
	if err != nil {
		return err
	}
	path := r.Path(l.spec.Path)
	v := ui.ViewsPage{
		Title: "Views of " + l.spec.Title, Lede: "Only you see them. Each is a filter with an order and columns, under a name.", ListHref: path,
	}
	messages := form.Messages(problem)
	if problem != nil && id == uuid.Nil {
		v.New = &ui.ViewForm{
			Form: ui.Form{Action: path + "/views", Hidden: []ui.Hidden{{Name: "query", Value: f.Query}, {Name: "saved", Value: f.Saved}}, Errors: summary(messages, "name-new")},
			Name: ui.Field{ID: "name-new", Name: "name", Label: "Name", Value: f.Name, Error: messages["name"], Required: true, MaxLength: 40},
		}
	}
	for _, x := range views {
		card := ui.ViewForm{
			Title: x.Name, Href: l.href(r, x), Form: ui.Form{Action: path + "/views/" + x.ID.String()},
			Name:    ui.Field{ID: "name-" + x.ID.String(), Name: "name", Label: "Name", Value: x.Name, Required: true, MaxLength: 40},
			Default: ui.Choice{ID: "default-" + x.ID.String(), Name: "default", Value: "true", Label: "The list opens with this view", Checked: x.Default},
		}
		if problem != nil && x.ID == id {
			card.Name.Value, card.Name.Error, card.Default.Checked = f.Name, messages["name"], f.Default
			card.Form.Errors = summary(messages, card.Name.ID)
		}
		v.Views = append(v.Views, card)
	}
	if len(v.Views) == 0 && v.New == nil {
		v.Empty = &ui.Empty{
			Icon: "bookmark", Title: "You have no view yet", Text: "Filter and sort the list as you like it, then choose Save view.",
			Actions: []ui.LinkButton{{Text: "Back to the list", Href: path, Kind: ui.Primary}},
		}
	}
	page := web.Page{Title: v.Title, Crumbs: []web.Crumb{{Text: l.spec.Title, Href: path}, {Text: "Views"}}}
	if problem != nil {
		return r.InvalidPage(problem, page, ui.SavedViews(v))
	}
	return r.Page(page, ui.SavedViews(v))
}

// summary lists the problems of a form above it.
func summary(messages map[string]string, nameID string) []ui.FormError {
	var out []ui.FormError
	for _, field := range slices.Sorted(maps.Keys(messages)) {
		e := ui.FormError{Text: messages[field]}
		if field == "name" {
			e.Field, e.Label = nameID, "Name"
		}
		out = append(out, e)
	}
	return out
}
