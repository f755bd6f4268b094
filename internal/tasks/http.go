package tasks

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/tasks"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) routes(r *web.Router) {
	r.Get("/tasks", CanRead, s.showList)
	r.Post("/tasks", CanUpdate, s.createTask)
	r.Get("/tasks/new", CanUpdate, s.showNew)
	r.Post("/tasks/bulk", CanUpdate, s.actOnTasks)
	r.Get("/tasks/{id}", CanRead, s.showTask)
	r.Post("/tasks/{id}", CanUpdate, s.updateTask)
	if s.activity != nil {
		r.Get("/tasks/{id}/activity", CanRead, s.showActivity)
	}
	r.Get("/tasks/{id}/edit", CanUpdate, s.showEdit)
	r.Post("/tasks/{id}/state", CanUpdate, s.moveTask)
	r.Get("/tasks/{id}/skip", CanUpdate, s.showSkip)
	r.Get("/tasks/{id}/cancel", CanUpdate, s.showCancel)
	r.Post("/tasks/{id}/dependencies", CanUpdate, s.addDependency)
	r.Get("/tasks/{id}/dependencies/{dependency}/remove", CanUpdate, s.showRemoveDependency)
	r.Post("/tasks/{id}/dependencies/{dependency}/remove", CanUpdate, s.removeDependency)
	r.Get("/tasks/{id}/delete", CanUpdate, s.showDelete)
	r.Post("/tasks/{id}/delete", CanUpdate, s.removeTask)
}

func crumbs(r *web.Request, more ...web.Crumb) []web.Crumb {
	out := []web.Crumb{{Text: "Tasks"}}
	if len(more) > 0 {
		out[0].Href = r.Path("/tasks")
	}
	return append(out, more...)
}

// filterNames are the parts of the address that narrow the list.
func filterNames() []string {
	return []string{"q", "state", "assignee", "parent_type", "parent_id", "gate", "blocked", "view"}
}

// filterFrom reads the filter of the list. Without any it shows the reader's own tasks.
func filterFrom(v url.Values) filter {
	f := filter{
		Text: v.Get("q"), State: v.Get("state"), Assignee: v.Get("assignee"), ParentType: v.Get("parent_type"),
		ParentID: v.Get("parent_id"), Gate: v.Get("gate"), Blocked: v.Get("blocked") != "", View: v.Get("view"),
	}
	if f.View == "" {
		f.View = viewMine
		if f.ParentID != "" {
			f.View = viewAll
		}
	}
	return f
}

func (s *Service) showList(r *web.Request) error {
	params := r.URL.Query()
	f := filterFrom(params)
	q, err := f.query(r.Actor.UserID)
	if err != nil {
		return err
	}
	q.Sort(params.Get("sort"))
	if params.Get("format") == "csv" {
		w := r.Download("tasks.csv", "text/csv; charset=utf-8")
		if r.Method == http.MethodHead {
			return nil
		}
		return s.writeCSV(r.Context(), r.Actor, q, w)
	}
	if q, err = q.After(params.Get("cursor")); err != nil {
		return err
	}
	var page *db.PageResult[Item]
	var total *db.Result[int64]
	var sum *db.Result[summaryRow]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, total, sum = q.Queue(b), q.QueueCount(b), summary.Queue(b, db.Args{"me": r.Actor.UserID})
	})
	if err != nil {
		return err
	}
	count, _ := total.First()
	numbers, _ := sum.First()
	v := s.newListView(r, f, q.SortInUse(), page.Page, count, numbers)
	return r.Page(web.Page{Title: "Tasks", Crumbs: crumbs(r)}, views.ListPage(v))
}

func (s *Service) newListView(r *web.Request, f filter, sort string, page db.Page[Item], total int64, sum summaryRow) views.List {
	base := r.Path("/tasks")
	link := func(change func(url.Values)) string { return base + changedQuery(r.URL.Query(), change) }
	v := views.List{
		Lede: listLede(sum), Tabs: listTabs(base, f.View, sum), MayChange: r.Can(CanUpdate), AddHref: r.Path("/tasks/new"),
		ExportHref: link(func(q url.Values) { q.Set("format", "csv") }), BulkAction: r.Path("/tasks/bulk"), Self: r.URL.RequestURI(),
		Caption: "Tasks, " + sortWords(sort), Columns: listColumns(sort, link), Bulk: ui.Bulk{Label: "Actions for the selected tasks"},
		Pager: ui.Pager{Label: fmt.Sprintf("%d of %s", len(page.Items), capped(total))},
	}
	if page.Next != "" {
		v.Pager.Next = link(func(q url.Values) { q.Set("cursor", page.Next) })
	}
	if page.Prev != "" {
		v.Pager.Prev = link(func(q url.Values) { q.Set("cursor", page.Prev) })
	}
	for _, name := range append(filterNames(), "sort") {
		if text := r.URL.Query().Get(name); text != "" {
			v.Filtered = append(v.Filtered, ui.Hidden{Name: name, Value: text})
		}
	}
	v.Filters, v.Fields = s.filterBar(r, f, base, link)
	for _, i := range page.Items {
		v.Rows = append(v.Rows, s.newRow(r, i))
	}
	if len(v.Rows) == 0 {
		v.Empty = emptyList(r, f, v.Filters.Chips)
	}
	return v
}

// changedQuery returns an address' query with a change made, back on the first page.
func changedQuery(q url.Values, change func(url.Values)) string {
	return web.ChangedQuery(q, append(filterNames(), "sort"), change)
}

func listLede(sum summaryRow) string {
	switch {
	case sum.Open == 0:
		return "Nothing is left to do."
	case sum.Overdue == 0:
		return count(sum.Open, "task is open", "tasks are open") + ", none overdue."
	}
	return count(sum.Open, "task is open", "tasks are open") + ", " + capped(sum.Overdue) + " overdue."
}

func listTabs(base, view string, sum summaryRow) ui.Tabs {
	tab := func(text, name, n string) ui.Tab {
		href := base
		if name != viewMine {
			href += "?view=" + name
		}
		return ui.Tab{Text: text, Href: href, Count: n, Current: view == name}
	}
	return ui.Tabs{Label: "Saved views", Items: []ui.Tab{
		tab("Mine", viewMine, capped(sum.Mine)), tab("All open", viewOpen, capped(sum.Open)), tab("Overdue", viewOverdue, capped(sum.Overdue)),
		tab("Nobody's", viewUnassigned, ""), tab("Finished", viewDone, ""), tab("All", viewAll, ""),
	}}
}

func sortWords(sort string) string {
	words := map[string]string{
		"due": "most urgent first", "-due": "least urgent first", "created": "oldest first", "-created": "newest first",
		"updated": "changed longest ago first", "-updated": "changed last first", "state": "by state", "-state": "by state, backwards",
	}
	return words[sort]
}

func listColumns(sort string, link func(func(url.Values)) string) []ui.Column {
	column := func(text, name string, leaves ui.Leaves) ui.Column {
		c := ui.Column{Text: text, Leaves: leaves}
		if name == "" {
			return c
		}
		next := name
		switch sort {
		case name:
			c.Sort, next = ui.Ascending, "-"+name
		case "-" + name:
			c.Sort = ui.Descending
		}
		c.Href = link(func(q url.Values) { q.Set("sort", next) })
		return c
	}
	return []ui.Column{
		column("Task", "", ""), column("State", "state", ""), column("Due", "due", ui.LeavesLast), column("Assignee", "", ui.LeavesThird),
		column("For", "", ui.LeavesNext), column("Changed", "updated", ui.LeavesFirst),
	}
}

func (s *Service) filterBar(r *web.Request, f filter, action string, link func(func(url.Values)) string) (ui.Filters, []ui.Field) {
	out := ui.Filters{
		Action: action, Results: "results",
		Search: ui.Search{Name: "q", Value: f.Text, Label: "Filter tasks", Placeholder: "Filter by key or title"},
	}
	for _, name := range []string{"sort", "view", "parent_id"} {
		if text := r.URL.Query().Get(name); text != "" {
			out.Hidden = append(out.Hidden, ui.Hidden{Name: name, Value: text})
		}
	}
	chip := func(field, value string, names ...string) {
		if value != "" {
			out.Chips = append(out.Chips, ui.Chip{Field: field, Operator: "is", Value: value, RemoveHref: link(func(q url.Values) {
				for _, n := range names {
					q.Del(n)
				}
			})})
		}
	}
	var stateWords []string
	for _, text := range strings.FieldsFunc(f.State, func(r rune) bool { return r == ',' }) {
		stateWords = append(stateWords, stateTitle(State(text)))
	}
	chip("State", strings.Join(stateWords, " or "), "state")
	who := map[string]string{"": "", "me": "me", "none": "nobody"}
	name, known := who[f.Assignee]
	if !known {
		name = "one person"
	}
	chip("Assignee", name, "assignee")
	chip("For", s.kindLabel(f.ParentType), "parent_type", "parent_id")
	chip("Gate", gateLabel(f.Gate), "gate")
	if f.Blocked {
		chip("Waiting", "for another task", "blocked")
	}
	assignee := ui.Field{Name: "assignee", Label: "Assignee", Unmarked: true, Options: []ui.Option{
		{Text: "Any"}, {Value: "me", Text: "Me", Selected: f.Assignee == "me"}, {Value: "none", Text: "Nobody", Selected: f.Assignee == "none"},
	}}
	if !known {
		assignee.Options = append(assignee.Options, ui.Option{Value: f.Assignee, Text: "One person", Selected: true})
	}
	state := ui.Field{Name: "state", Label: "State", Unmarked: true, Options: []ui.Option{{Text: "Any"}}}
	for _, st := range States() {
		state.Options = append(state.Options, ui.Option{Value: string(st), Text: stateTitle(st), Selected: f.State == string(st)})
	}
	parent := ui.Field{Name: "parent_type", Label: "For", Unmarked: true, Options: []ui.Option{{Text: "Anything"}}}
	for _, k := range s.kinds() {
		parent.Options = append(parent.Options, ui.Option{Value: k.Type, Text: k.Label, Selected: f.ParentType == k.Type})
	}
	gate := ui.Field{Name: "gate", Label: "Guards", Unmarked: true, Options: []ui.Option{{Text: "Any step or none"}}}
	for _, g := range GateNames() {
		gate.Options = append(gate.Options, ui.Option{Value: g, Text: gateLabel(g), Selected: f.Gate == g})
	}
	blocked := ui.Field{Name: "blocked", Label: "Waiting", Unmarked: true, Options: []ui.Option{
		{Text: "Any"}, {Value: "1", Text: "For another task", Selected: f.Blocked},
	}}
	return out, []ui.Field{state, assignee, parent, gate, blocked}
}

// kinds are the types that tasks may be for, by label.
func (s *Service) kinds() []ParentKind {
	var out []ParentKind
	for _, k := range s.parents {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b ParentKind) int { return strings.Compare(a.Label, b.Label) })
	return out
}

func (s *Service) kindLabel(kind string) string {
	if k, ok := s.parents[kind]; ok {
		return k.Label
	}
	return kind
}

func (s *Service) newRow(r *web.Request, i Item) views.Row {
	row := views.Row{
		ID: i.ID.String(), State: stateBadge(i), Assignee: person(i.AssigneeID, i.AssigneeName), For: s.parentLink(r, i.Task),
		Link:    ui.RowLink{Key: i.Key, Text: i.Title, Href: r.Path(i.Path()), Sub: i.ParentLabel},
		Updated: r.Since(i.UpdatedAt),
	}
	if i.HasDue() {
		t := timetext.Moment(i.DueAt, r.Now(), r.Zone())
		row.Due, row.DueTone = &t, dueTone(i.Task, r.Now())
	}
	return row
}

// parentLink leads to the record that a task is for; nil for none.
func (s *Service) parentLink(r *web.Request, t Task) *ui.Link {
	k, ok := s.parents[t.ParentType]
	if !ok {
		return nil
	}
	text := t.ParentLabel
	if text == "" {
		text = k.Label
	}
	return &ui.Link{Text: text, Href: r.Path(k.Path(t.ParentID.UUID)), Icon: k.Icon}
}

func emptyList(r *web.Request, f filter, chips []ui.Chip) *ui.Empty {
	e := &ui.Empty{Icon: "search", Title: "No task matches"}
	var named []string
	for _, c := range chips {
		named = append(named, strings.ToLower(c.Field))
		e.Actions = append(e.Actions, ui.LinkButton{Text: "Remove the filter on " + strings.ToLower(c.Field), Href: c.RemoveHref})
	}
	if f.Text != "" {
		named = append(named, "text")
		e.Actions = append(e.Actions, ui.LinkButton{
			Text: "Clear the search", Href: r.Path("/tasks") + changedQuery(r.URL.Query(), func(q url.Values) { q.Del("q") }),
		})
	}
	if len(named) > 0 {
		e.Text = "Nothing fits the filter on " + strings.Join(named, " and ") + "."
		return e
	}
	e.Icon = "circle-check"
	switch f.View {
	case viewMine:
		e.Title, e.Text = "Nothing is waiting for you", "Tasks that people give you appear here and on the home page."
	case viewOverdue:
		e.Title, e.Text = "Nothing is overdue", "Every task with a date is in time."
	case viewUnassigned:
		e.Title, e.Text = "Every open task has somebody", "Tasks that nobody has taken appear here."
	case viewOpen:
		e.Title, e.Text = "Nothing is left to do", "Add what should not be forgotten."
	default:
		e.Icon, e.Title, e.Text = "list-todo", "No task yet", "Tasks say who does what until when. Changes bring their own."
	}
	if r.Can(CanUpdate) {
		e.Actions = []ui.LinkButton{{Text: "Add task", Href: r.Path("/tasks/new"), Icon: "plus", Kind: ui.Primary}}
	}
	if f.View != viewOpen && f.View != viewAll {
		e.Actions = append(e.Actions, ui.LinkButton{Text: "All open tasks", Href: r.Path("/tasks?view=" + viewOpen)})
	}
	return e
}

// bulkForm is what the list sends for the selected rows. Its other fields repeat the filter.
type bulkForm struct {
	Do  string   `form:"do"`
	IDs []string `form:"id"`
}

func (s *Service) actOnTasks(r *web.Request) error {
	var f bulkForm
	if err := r.Form(&f); err != nil {
		return err
	}
	var ids []uuid.UUID
	for _, text := range f.IDs {
		if id, err := uuid.Parse(text); err == nil {
			ids = append(ids, id)
		}
	}
	back := r.Path("/tasks") + changedQuery(r.PostForm, func(url.Values) {})
	switch f.Do {
	case string(Doing), string(Done):
		n, err := s.MoveTasks(r.Context(), r.Actor, ids, State(f.Do))
		if err != nil {
			return err
		}
		r.Flash(count(int64(n), "task is ", "tasks are ") + stateWord(State(f.Do)) + ".")
	case "take":
		n, err := s.TakeTasks(r.Context(), r.Actor, ids)
		if err != nil {
			return err
		}
		r.Flash(count(int64(n), "task is yours", "tasks are yours") + " now.")
	default:
		return fault.NewInvalid("unknown_action", "Choose what to do with the selected tasks.")
	}
	return r.SeeOther(back)
}
