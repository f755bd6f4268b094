package freezes

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/freezes"
	"github.com/vigilo/vigilo/templates/ui"
)

// listFilter is what the address of the list says. Unknown values are left out, so that an
// old bookmark still shows something.
type listFilter struct {
	view string // empty for drafts and active ones, lifted, or all
	kind Kind
	text string
}

func filterOf(q url.Values) listFilter {
	f := listFilter{text: strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(q.Get("q")), "\x00", ""), "")}
	if v := q.Get("view"); v == "lifted" || v == "all" {
		f.view = v
	}
	if k := Kind(q.Get("kind")); slices.Contains(Kinds(), k) {
		f.kind = k
	}
	if len(f.text) > 200 {
		f.text = strings.ToValidUTF8(f.text[:200], "")
	}
	return f
}

func (f listFilter) query() *db.ListQuery[listRow] {
	q := freezeList.Query()
	switch f.view {
	case "":
		q = q.Filter("states", db.Args{"states": []string{string(Draft), string(Active)}})
	case "lifted":
		q = q.Filter("states", db.Args{"states": []string{string(Lifted)}})
	}
	if f.kind != "" {
		q = q.Filter("kinds", db.Args{"kinds": []string{string(f.kind)}})
	}
	if f.text != "" {
		q = q.Filter("text", db.Args{"text": f.text})
	}
	return q
}

func (s *Service) showList(r *web.Request) error {
	q := r.URL.Query()
	f := filterOf(q)
	if q.Get("format") == "csv" {
		return s.sendList(r, f)
	}
	list, err := f.query().Sort(q.Get("sort")).After(q.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[listRow]
	var count *db.Result[int64]
	waiting := &db.Result[Override]{}
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count = list.Queue(b), list.QueueCount(b)
		if r.Can(GrantOverrides) {
			waiting = waitingOverrides.Queue(b, nil)
		}
	}); err != nil {
		return err
	}
	total, _ := count.First()
	v := s.listView(r, f, page.Page, total, list.SortInUse())
	// Whoever asked does not decide.
	mine := func(o Override) bool { return o.RequestedBy == r.Actor.UserID }
	v.Waiting = overrideRows(r, slices.DeleteFunc(waiting.Rows, mine))
	return r.Page(web.Page{Title: "Freezes and maintenance", Crumbs: crumbs(r)}, views.ListPage(v))
}

func (s *Service) listView(r *web.Request, f listFilter, page db.Page[listRow], total int64, sort string) views.List {
	path, q := r.Path(listPath), r.URL.Query()
	v := views.List{
		Lede:    "When changes may not run, when they belong, and when alerts stay silent.",
		Caption: "Windows, what runs or comes next first", Pager: ui.Pager{Label: windowsText(total)},
		Actions: []ui.LinkButton{{Text: "Export CSV", Href: web.Address(path, q, "format", "csv"), Icon: "download"}},
		Filters: ui.Filters{
			Action: path, Results: "results",
			Search: ui.Search{Name: "q", Value: f.text, Label: "Filter by name", Placeholder: "Filter by name"},
		},
		Kind: ui.Field{Name: "kind", Label: "Kind", Unmarked: true, Options: []ui.Option{{Text: "Any kind"}}},
	}
	if strings.HasSuffix(sort, "name") {
		v.Caption = "Windows by name"
	}
	if r.Can(ManageFreezes) {
		v.Actions = append(v.Actions,
			ui.LinkButton{Text: "New maintenance window", Href: path + "/new?kind=maintenance", Icon: "wrench"},
			ui.LinkButton{Text: "New freeze", Href: path + "/new", Icon: "plus", Kind: ui.Primary})
	}
	for _, k := range Kinds() {
		v.Kind.Options = append(v.Kind.Options, ui.Option{Value: string(k), Text: k.Label(), Selected: k == f.kind})
	}
	tab := func(text, view string) ui.Tab {
		return ui.Tab{Text: text, Href: web.Address(path, q, "view", view), Current: f.view == view}
	}
	v.Tabs = ui.Tabs{Label: "State", Items: []ui.Tab{tab("Drafts and active", ""), tab("Lifted", "lifted"), tab("All", "all")}}
	if f.view != "" {
		v.Filters.Hidden = append(v.Filters.Hidden, ui.Hidden{Name: "view", Value: f.view})
	}
	chip := func(field, operator, value, name string) {
		v.Filters.Chips = append(v.Filters.Chips, ui.Chip{Field: field, Operator: operator, Value: value, RemoveHref: web.Address(path, q, name, "")})
	}
	if f.text != "" {
		chip("Name", "contains", f.text, "q")
	}
	if f.kind != "" {
		chip("Kind", "is", f.kind.Label(), "kind")
	}
	v.Columns = []ui.Column{
		sortable(path, q, sort, "name", ui.Column{Text: "Name"}),
		{Text: "Kind", Leaves: ui.LeavesLast},
		{Text: "Concerns", Leaves: ui.LeavesThird},
		sortable(path, q, sort, "next", ui.Column{Text: "Next", Leaves: ui.LeavesLast}),
		{Text: "State"},
	}
	for _, row := range page.Items {
		v.Rows = append(v.Rows, s.rowView(r, row))
	}
	if page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", page.Next)
	}
	if page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", page.Prev)
	}
	if len(v.Rows) == 0 {
		v.Empty = emptyList(r, f, v)
	}
	return v
}

func windowsText(n int64) string {
	if n > db.CountCap {
		return "more than 10,000 windows"
	}
	return plural(int(n), "window")
}

func sortable(path string, q url.Values, sort, name string, c ui.Column) ui.Column {
	c.Href = web.Address(path, q, "sort", name)
	switch sort {
	case name:
		c.Sort, c.Href = ui.Ascending, web.Address(path, q, "sort", "-"+name)
	case "-" + name:
		c.Sort = ui.Descending
	}
	return c
}

// running reports whether an occurrence is going on.
func (row listRow) running(now time.Time) bool {
	return row.NextStart != nil && !row.NextStart.After(now)
}

func (s *Service) rowView(r *web.Request, row listRow) views.Row {
	running := row.running(r.Now())
	v := views.Row{
		Link: ui.RowLink{Text: row.Name, Sub: row.Kind.Label() + ", " + lower(row.ScheduleText()), Href: r.Path(row.Path())},
		Kind: kindBadge(row.Kind), State: stateBadge(row.Freeze, running), Scope: row.ScopeText(),
	}
	switch {
	case row.State == Lifted:
		v.Note = "Lifted"
		if row.LiftedAt != nil {
			v.Note += " " + row.LiftedAt.In(r.Zone()).Format("2 Jan 2006")
		}
	case row.NextStart == nil:
		v.Note = "Nothing is to come"
		// What lies further ahead than anything is stored is reckoned.
		if next, err := s.Next(row.Freeze, r.Now(), 1); err == nil && len(next) > 0 {
			m := moment(r, "", next[0].Start)
			v.Next = &m
		}
	case running && row.NextEnd != nil && isNever(*row.NextEnd):
		v.Note = "Until it is lifted"
	case running && row.NextEnd != nil:
		m := moment(r, "Until", *row.NextEnd)
		v.Next = &m
	default:
		m := moment(r, "", *row.NextStart)
		v.Next = &m
	}
	return v
}

func emptyList(r *web.Request, f listFilter, v views.List) *ui.Empty {
	switch {
	case len(v.Filters.Chips) > 0:
		e := &ui.Empty{Icon: "snowflake", Title: "No window matches", Text: "Remove a filter to see more."}
		for _, c := range v.Filters.Chips {
			e.Actions = append(e.Actions, ui.LinkButton{Text: "Remove " + strings.ToLower(c.Field) + " " + c.Operator + " " + c.Value, Href: c.RemoveHref})
		}
		return e
	case f.view == "lifted":
		return &ui.Empty{Icon: "snowflake", Title: "Nothing was lifted yet", Text: "A freeze that is ended stays here on record."}
	}
	e := &ui.Empty{
		Icon: "snowflake", Title: "No freeze and no maintenance window",
		Text: "Changes may run at any time, and alerts are never silent. A freeze protects the weeks in which nothing should move.",
	}
	if r.Can(ManageFreezes) {
		e.Actions = v.Actions[1:]
	}
	return e
}

// maxExport is how many rows a download holds.
const maxExport = 100_000

func (s *Service) sendList(r *web.Request, f listFilter) error {
	var rows []listRow
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		return f.query().Each(r.Context(), tx, func(row listRow) error {
			if rows = append(rows, row); len(rows) > maxExport {
				return fmt.Errorf("more than %d freezes", maxExport)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	w := csv.NewWriter(r.Download("freezes.csv", "text/csv; charset=utf-8"))
	lines := [][]string{{"name", "kind", "state", "concerns", "schedule", "next_start", "next_end", "reason", "version"}}
	for _, row := range rows {
		lines = append(lines, []string{
			export.Cell(row.Name), string(row.Kind), string(row.State), export.Cell(row.ScopeText()), export.Cell(row.ScheduleText()),
			isoOrEmpty(row.NextStart), isoOrEmpty(row.NextEnd), export.Cell(row.Reason), fmt.Sprint(row.Version),
		})
	}
	return w.WriteAll(lines)
}

func isoOrEmpty(t *time.Time) string {
	if t == nil || isNever(*t) {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
