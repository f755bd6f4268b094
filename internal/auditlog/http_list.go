package auditlog

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/auditlog"
	"github.com/vigilo/vigilo/templates/ui"
)

// listPage holds what the list is built from.
type listPage struct {
	r        *web.Request
	s        *Service
	filter   Filter
	criteria Criteria
	page     Page
	cursor   string
	saved    []SavedFilter
	people   []member
	problem  error
}

func (p listPage) view() views.List {
	v := views.List{
		Head: ui.PageHead{Title: "Audit log", Lede: p.lede()},
		Tabs: p.tabs(), Filters: p.filters(), Fields: p.fields(), Errors: p.errors(),
		Table: ui.Table{ID: "audit-entries", Caption: "Entries of the audit log, newest first"},
		Columns: []ui.Column{
			{Text: "What"},
			{Text: "Who", Leaves: ui.LeavesLast},
			{Text: "About", Leaves: ui.LeavesThird},
			{Text: "Changed", Leaves: ui.LeavesNext},
			{Text: "When", Leaves: ui.LeavesLast, Sort: ui.Descending},
			{Text: "Address", Leaves: ui.LeavesFirst},
		},
		News: p.news(), Pager: p.pager(), Empty: p.empty(),
	}
	for _, e := range p.page.Entries {
		v.Rows = append(v.Rows, p.row(e))
	}
	if p.r.Can(canExport) && p.problem == nil {
		v.Exports = &ui.Menu{ID: "export", Label: "Export", Icon: "download", Heading: "All entries that match", Items: []ui.MenuItem{
			{Text: "CSV, for spreadsheets", Href: p.exportHref(CSV), Icon: "file-text"},
			{Text: "JSON lines, for programs", Href: p.exportHref(JSONL), Icon: "scroll-text"},
		}}
	}
	if f, ok := p.inUse(); ok && p.s.MayRemove(p.r.Actor, f) {
		v.RemoveHref = p.r.Path(pathLog + "/filters/" + f.ID.String() + "/remove")
	}
	return v
}

func (p listPage) lede() string {
	if p.problem != nil {
		return "Who did what, and when. Entries are never changed or removed."
	}
	zone := p.r.Zone()
	span := "since " + p.criteria.From.In(zone).Format("2 Jan 2006, 15:04 MST")
	if p.filter.To != "" {
		span = "from " + p.criteria.From.In(zone).Format("2 Jan 2006, 15:04") + " to " + p.criteria.To.In(zone).Format("2 Jan 2006, 15:04 MST")
	}
	return "Who did what, and when, " + span + ". Entries are never changed or removed."
}

func (p listPage) exportHref(f Format) string {
	v := p.filter.Values()
	v.Set("format", string(f))
	return p.r.Path(withQuery(pathLog+"/export", v))
}

// inUse returns the saved filter whose question is on the page.
func (p listPage) inUse() (SavedFilter, bool) {
	query := p.filter.Values().Encode()
	i := slices.IndexFunc(p.saved, func(f SavedFilter) bool { return f.Query == query })
	if i < 0 || query == "" {
		return SavedFilter{}, false
	}
	return p.saved[i], true
}

func (p listPage) tabs() ui.Tabs {
	used, saved := p.inUse()
	t := ui.Tabs{Label: "Saved filters", Items: []ui.Tab{{Text: "All", Href: p.r.Path(pathLog), Current: !p.filter.Narrows()}}}
	for _, f := range p.saved {
		tab := ui.Tab{Text: f.Name, Href: p.r.Path(pathLog + "?" + f.Query), Current: saved && f.ID == used.ID}
		if f.Shared {
			tab.Icon = "users"
		}
		t.Items = append(t.Items, tab)
	}
	if p.filter.Narrows() && !saved && p.problem == nil {
		t.Items = append(t.Items, ui.Tab{Text: "Save filter", Icon: "plus", Href: p.r.Path(withQuery(pathLog+"/filters/new", p.filter.Values()))})
	}
	return t
}

func (p listPage) filters() ui.Filters {
	f := ui.Filters{
		Action: p.r.Path(pathLog),
		Search: ui.Search{Name: "q", Value: p.filter.Text, Label: "Search the audit log", Placeholder: "Key, title, reason, action or value"},
	}
	for _, a := range p.asked() {
		if a.name == "q" {
			continue
		}
		f.Chips = append(f.Chips, ui.Chip{Field: a.label, Operator: "is", Value: a.value, RemoveHref: p.without(a.name)})
	}
	return f
}

// without is the address of the list without one part of the filter.
func (p listPage) without(name string) string {
	v := p.filter.Values()
	v.Del(name)
	return p.r.Path(withQuery(pathLog, v))
}

type asked struct{ name, label, value string }

// asked puts the parts of the filter in words, in the order of the form.
func (p listPage) asked() []asked {
	return askedBy(p.filter, p.actorName, p.s.index.Types())
}

func askedBy(f Filter, actorName func(string) string, types map[string]string) []asked {
	category := find(categories(), func(w word[event.Category]) bool { return w.name == f.Category })
	outcome := find(outcomes(), func(w word[ledger.Outcome]) bool { return w.name == f.Outcome })
	win := ""
	for _, w := range windows() {
		if w.name == f.Window && f.Window != DefaultWindow {
			win = w.label
		}
	}
	all := []asked{
		{"q", "Text", f.Text},
		{"actor", "Who", actorName(f.Actor)},
		{"action", "Action", f.Action},
		{"target_type", "Type", cmp.Or(types[f.TargetType], f.TargetType)},
		{"target", "About", f.Target},
		{"outcome", "Outcome", cmp.Or(outcome.label, f.Outcome)},
		{"category", "Category", cmp.Or(category.label, f.Category)},
		{"window", "Time", cmp.Or(win, f.Values().Get("window"))},
		{"from", "From", f.From},
		{"to", "To", f.To},
	}
	return slices.DeleteFunc(all, func(a asked) bool { return a.value == "" })
}

// actorName names the actor of the filter: a member, or whoever the entries name.
func (p listPage) actorName(actor string) string {
	switch actor {
	case "":
		return ""
	case ActorSystem:
		return "Vigilo"
	case ActorAnonymous:
		return "Not signed in"
	}
	for _, m := range p.people {
		if m.ID.String() == actor {
			return m.Name
		}
	}
	for _, e := range p.page.Entries {
		if e.Actor.ID.String() == actor {
			return e.Actor.Name
		}
	}
	return actor
}

func (p listPage) fields() []views.Field {
	f, wrong := p.filter, form.Messages(p.problem)
	field := func(name, label, value string) ui.Field {
		return ui.Field{Name: name, Label: label, Value: value, Error: wrong[name]}
	}
	choice := func(name, label, value string, options []ui.Option) views.Field {
		x := field(name, label, value)
		x.Options = append([]ui.Option{{Text: "Any"}}, options...)
		for i := range x.Options {
			x.Options[i].Selected = x.Options[i].Value == value
		}
		return views.Field{Field: x, Choice: true}
	}
	action := field("action", "Action", f.Action)
	action.Hint, action.Code, action.List = "A name, or its beginning up to a dot: host.", true, p.actionNames()
	target := field("target", "About", f.Target)
	target.Hint = "A key such as CHG-00012, or an id."
	win := choice("window", "Time", cmp.Or(f.Window, DefaultWindow), windowOptions())
	win.Options = win.Options[1:]
	from, to := field("from", "From", f.From), field("to", "To", f.To)
	from.Type, to.Type = dateInput(f.From), dateInput(f.To)
	to.Hint = "Both days are included, in the zone " + p.r.Zone().String() + ". They replace the time above."
	return []views.Field{
		choice("actor", "Who", f.Actor, p.actorOptions()),
		{Field: action},
		choice("target_type", "Type", f.TargetType, p.typeOptions()),
		{Field: target},
		choice("outcome", "Outcome", f.Outcome, wordOptions(outcomes())),
		choice("category", "Category", f.Category, wordOptions(categories())),
		win,
		{Field: from},
		{Field: to},
	}
}

func dateInput(value string) string {
	if _, err := time.Parse(time.DateOnly, value); err == nil || value == "" {
		return "date"
	}
	return "text"
}

func wordOptions[T any](all []word[T]) []ui.Option {
	out := make([]ui.Option, len(all))
	for i, w := range all {
		out[i] = ui.Option{Value: w.name, Text: w.label}
	}
	return out
}

func windowOptions() []ui.Option {
	var out []ui.Option
	for _, w := range windows() {
		out = append(out, ui.Option{Value: w.name, Text: w.label})
	}
	return out
}

func (p listPage) actorOptions() []ui.Option {
	out := []ui.Option{{Value: ActorSystem, Text: "Vigilo"}, {Value: ActorAnonymous, Text: "Not signed in"}}
	listed := p.filter.Actor == "" || p.filter.Actor == ActorSystem || p.filter.Actor == ActorAnonymous
	for _, m := range p.people {
		id := m.ID.String()
		listed = listed || id == p.filter.Actor
		out = append(out, ui.Option{Value: id, Text: m.Name, Group: "Members"})
	}
	if !listed {
		out = append(out, ui.Option{Value: p.filter.Actor, Text: p.actorName(p.filter.Actor), Group: "Others"})
	}
	return out
}

func (p listPage) typeOptions() []ui.Option {
	types := p.s.index.Types()
	if t := p.filter.TargetType; t != "" && types[t] == "" {
		types[t] = t
	}
	out := make([]ui.Option, 0, len(types))
	for name, label := range types {
		out = append(out, ui.Option{Value: name, Text: label})
	}
	slices.SortFunc(out, func(a, b ui.Option) int { return strings.Compare(a.Text, b.Text) })
	return out
}

// actionNames are suggestions: every action, and each noun with its dot.
func (p listPage) actionNames() []string {
	var out []string
	for _, t := range p.s.ledger.Catalogue().Types() {
		noun, _, _ := strings.Cut(t.Name, ".")
		out = append(out, t.Name, noun+".")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (p listPage) errors() []ui.FormError {
	e := fault.Find(p.problem)
	if e == nil {
		return nil
	}
	var out []ui.FormError
	for _, d := range e.Details {
		out = append(out, ui.FormError{Text: d.Message})
	}
	if len(out) == 0 {
		out = append(out, ui.FormError{Text: e.Message})
	}
	return out
}

// news lets the first page ask for newer entries. A range that has ended gets none, and a
// search for a text is not repeated behind the reader's back.
func (p listPage) news() *views.News {
	if p.problem != nil || p.cursor != "" || p.filter.To != "" || p.filter.Text != "" {
		return nil
	}
	at, id := p.r.Now(), uuid.Nil
	if len(p.page.Entries) > 0 {
		at, id = p.page.Entries[0].RecordedAt, p.page.Entries[0].ID
	}
	v := p.filter.Values()
	v.Set("at", at.UTC().Format(time.RFC3339Nano))
	v.Set("after", id.String())
	topics := slices.Sorted(maps.Keys(p.s.index.Types()))
	if len(topics) == 0 {
		return nil
	}
	return &views.News{Href: p.r.Path(withQuery(pathLog+"/news", v)), Topics: strings.Join(topics, " ")}
}

func (p listPage) pager() ui.Pager {
	label := strconv.Itoa(len(p.page.Entries)) + " of " + grouped(p.page.Count)
	if p.page.Count > p.page.CountCap {
		label = strconv.Itoa(len(p.page.Entries)) + " of " + grouped(p.page.CountCap) + "+"
	}
	out := ui.Pager{Label: label}
	place := func(cursor string) string {
		if cursor == "" {
			return ""
		}
		v := p.filter.Values()
		v.Set("cursor", cursor)
		return p.r.Path(withQuery(pathLog, v))
	}
	out.Prev, out.Next = place(p.page.Prev), place(p.page.Next)
	return out
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (p listPage) empty() *ui.Empty {
	if len(p.page.Entries) > 0 {
		return nil
	}
	asked := p.asked()
	switch {
	case p.problem != nil:
		return &ui.Empty{
			Icon: "scroll-text", Title: "The filter has mistakes", Text: "Correct it, or start again with everything.",
			Actions: []ui.LinkButton{{Text: "Show everything", Href: p.r.Path(pathLog)}},
		}
	case p.cursor != "":
		return &ui.Empty{
			Icon: "scroll-text", Title: "Nothing more", Text: "There are no entries beyond this place.",
			Actions: []ui.LinkButton{{Text: "Back to the newest", Href: p.r.Path(logAddress(p.filter))}},
		}
	case len(asked) == 0:
		return &ui.Empty{
			Icon: "scroll-text", Title: "Nothing has happened in the last 90 days",
			Text: "Every change, sign-in and export of this workspace is recorded here as it happens.",
		}
	}
	e := &ui.Empty{Icon: "scroll-text", Title: "No entry matches", Text: "Remove a part of the filter, or look further back in time."}
	for _, a := range asked[:min(len(asked), 3)] {
		e.Actions = append(e.Actions, ui.LinkButton{Text: "Remove “" + a.label + ": " + a.value + "”", Href: p.without(a.name), Small: true})
	}
	if p.filter.From == "" && p.filter.Window != "365d" {
		v := p.filter.Values()
		v.Set("window", "365d")
		e.Actions = append(e.Actions, ui.LinkButton{Text: "Look at 12 months", Href: p.r.Path(withQuery(pathLog, v)), Small: true})
	}
	return e
}

func (p listPage) row(e activity.Entry) views.Row {
	now, zone := p.r.Now(), p.r.Zone()
	sub := e.Actor.Name + ", " + timetext.Relative(e.RecordedAt, now)
	if thing := cmp.Or(e.Target.Key, e.Target.Title); thing != "" {
		sub = thing + ": " + sub
	}
	href := p.r.Path(pathLog + "/" + e.ID.String())
	row := views.Row{
		Time: activity.Moment(e.RecordedAt, zone, now), Ago: timetext.Relative(e.RecordedAt, now), Actor: e.Actor.Name,
		What:    ui.RowLink{Text: e.Label, Sub: sub, Href: href},
		Outcome: outcomeBadge(e.Outcome), Target: p.target(e, href), Changed: changedFields(e.Changes), Address: e.IP,
	}
	if e.Actor.Kind != db.ActorSystem {
		who := activity.Person(e.Actor)
		row.Person = &who
	}
	return row
}

func outcomeBadge(o ledger.Outcome) *ui.Badge {
	if o == ledger.Success {
		return nil
	}
	return &ui.Badge{Text: outcomeWord(o).label, Tone: activity.OutcomeTone(o)}
}

func (p listPage) target(e activity.Entry, href string) views.Thing {
	label, known := p.s.index.Types()[e.Target.Type]
	t := views.Thing{Kind: cmp.Or(label, activity.FieldName(e.Target.Type)), Key: e.Target.Key, Text: e.Target.Title}
	if t.Text == t.Key {
		t.Text = ""
	}
	if t.Text == "" && t.Key == "" {
		t.Text, t.Kind = t.Kind, ""
	}
	if known {
		t.Href = href + "/target"
		if t.Text == "" {
			t.Text, t.Key = t.Key, ""
		}
	}
	return t
}

// changedFields names the fields of an entry, as many as a cell holds.
func changedFields(changes []activity.Change) string {
	const most = 3
	var out []string
	for _, c := range changes[:min(len(changes), most)] {
		out = append(out, activity.FieldName(c.Field))
	}
	text := strings.Join(out, ", ")
	if more := len(changes) - most; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}
