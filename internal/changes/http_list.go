package changes

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// filterNames are the parts of the address that narrow the list.
func filterNames() []string {
	return []string{
		"q", "state", "type", "risk", "priority", "environment", "category", "owner", "asset", "tag", "template", "parent", "certificate", "host", "from", "to",
		"retro", "held", "view",
	}
}

func filterFrom(v url.Values) Filter {
	return Filter{
		Text: v.Get("q"), State: v.Get("state"), Type: v.Get("type"), Risk: v.Get("risk"), Priority: v.Get("priority"), Environment: v.Get("environment"),
		Category: v.Get("category"), Owner: v.Get("owner"), Asset: v.Get("asset"), Tag: v.Get("tag"), Template: v.Get("template"), Parent: v.Get("parent"),
		Certificate: v.Get("certificate"), Host: v.Get("host"), From: v.Get("from"), To: v.Get("to"), Retro: v.Get("retro"), Held: v.Get("held"), View: v.Get("view"),
	}
}

// listPage is what the list reads in one round trip.
type listPage struct {
	page    *db.PageResult[Item]
	count   *db.Result[int64]
	summary *db.Result[summaryRow]
	tags    *db.Result[nameCount]
	owners  *db.Result[ownerCount]
}

func (s *Service) showList(r *web.Request) error {
	params := r.URL.Query()
	f := filterFrom(params)
	q, err := f.query(r.Actor.UserID, r.Zone())
	if err != nil {
		return err
	}
	q.Sort(params.Get("sort"))
	if params.Get("format") == "csv" {
		return s.sendCSV(r, q)
	}
	if q, err = q.After(params.Get("cursor")); err != nil {
		return err
	}
	var p listPage
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		p.page, p.count = q.Queue(b), q.QueueCount(b)
		p.summary = summary.Queue(b, db.Args{"me": r.Actor.UserID})
		p.tags, p.owners = tagCounts.Queue(b, nil), ownerCounts.Queue(b, nil)
	})
	if err != nil {
		return err
	}
	v := newListView(r, f, q.SortInUse(), p)
	return r.Page(web.Page{Title: "Changes", Crumbs: crumbs(r)}, views.ListPage(v))
}

// changedQuery returns an address' query with a change made, back on the first page.
func changedQuery(q url.Values, change func(url.Values)) string {
	return web.ChangedQuery(q, append(filterNames(), "sort"), change)
}

func newListView(r *web.Request, f Filter, sort string, p listPage) views.List {
	sum, _ := p.summary.First()
	total, _ := p.count.First()
	base := r.Path("/changes")
	link := func(change func(url.Values)) string { return base + changedQuery(r.URL.Query(), change) }
	v := views.List{
		Lede: listLede(sum), Tabs: listTabs(base, f.View, sum), Self: r.URL.RequestURI(), BulkAction: r.Path("/changes/bulk"),
		ExportHref: link(func(q url.Values) { q.Set("format", "csv") }), AddHref: r.Path("/changes/new"), TemplatesHref: r.Path("/changes/templates"),
		MayAdd: r.Can(CanCreate), MayUpdate: r.Can(CanUpdate), Caption: "Changes, " + sortWords(sort), Columns: listColumns(sort, link),
		Pager: ui.Pager{Label: group(int64(len(p.page.Page.Items))) + " of " + cappedCount(total)}, Bulk: ui.Bulk{Label: "Actions for the selected changes"},
	}
	if total > int64(len(p.page.Page.Items)) && total <= MaxBulk {
		v.Bulk.Matching = fmt.Sprintf("Select all %d that match", total)
	}
	if c := p.page.Page.Next; c != "" {
		v.Pager.Next = link(func(q url.Values) { q.Set("cursor", c) })
	}
	if c := p.page.Page.Prev; c != "" {
		v.Pager.Prev = link(func(q url.Values) { q.Set("cursor", c) })
	}
	for _, name := range filterNames() {
		if text := r.URL.Query().Get(name); text != "" {
			v.Filtered = append(v.Filtered, ui.Hidden{Name: name, Value: text})
		}
	}
	fillFilters(&v, r, f, p, link)
	for _, c := range p.page.Page.Items {
		v.Rows = append(v.Rows, newRow(r, c))
	}
	if len(v.Rows) == 0 {
		v.Empty = emptyList(r, f, v.Filters.Chips)
	}
	return v
}

func listLede(sum summaryRow) string {
	if sum.Open == 0 && sum.Reviews == 0 {
		return "What is about to be done to your systems, who agreed, and how it went."
	}
	parts := []string{cappedCount(sum.Open) + " open"}
	if sum.Running > 0 {
		parts = append(parts, cappedCount(sum.Running)+" in progress")
	}
	if sum.Soon > 0 {
		parts = append(parts, cappedCount(sum.Soon)+" within 7 days")
	}
	if sum.Reviews > 0 {
		parts = append(parts, cappedCount(sum.Reviews)+" to be reviewed")
	}
	return strings.Join(parts, ", ") + "."
}

func listTabs(base, view string, sum summaryRow) ui.Tabs {
	tab := func(text, name string, n int64) ui.Tab {
		t := ui.Tab{Text: text, Href: base + "?view=" + name, Current: view == name}
		if name == "" {
			t.Href = base
		}
		if n >= 0 {
			t.Count = cappedCount(n)
		}
		return t
	}
	return ui.Tabs{Label: "Saved views", Items: []ui.Tab{
		tab("All", "", -1), tab("Open", viewOpen, sum.Open), tab("Waiting for me", viewWaiting, sum.Waiting), tab("Mine", viewMine, -1),
		tab("In review", viewReview, sum.Review), tab("Next 7 days", viewSoon, sum.Soon), tab("In progress", viewRunning, sum.Running),
		tab("To review", viewReviews, sum.Reviews), tab("Closed", viewClosed, -1),
	}}
}

func sortWords(sort string) string {
	words := map[string]string{
		"start": "soonest window first", "-start": "latest window first", "created": "oldest first", "-created": "newest first", "updated": "unchanged longest first",
		"-updated": "changed last first", "risk": "riskiest first", "-risk": "least risk first", "state": "by state", "-state": "by state, backwards",
		"key": "by key", "-key": "by key, backwards",
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
		column("Change", "key", ""), column("State", "state", ""), column("Window", "start", ui.LeavesLast), column("Risk", "risk", ui.LeavesThird),
		column("Where", "", ui.LeavesNext), column("Owner", "", ui.LeavesThird), column("Tags", "", ui.LeavesFirst),
	}
}

func choice(name, label, value string, options []ui.Option) ui.Field {
	f := ui.Field{Name: name, Label: label, Unmarked: true, Options: []ui.Option{{Text: "Any"}}}
	found := value == ""
	for _, o := range options {
		o.Selected = o.Value == value
		found = found || o.Selected
		f.Options = append(f.Options, o)
	}
	if !found {
		f.Options = append(f.Options, ui.Option{Value: value, Text: value, Selected: true})
	}
	return f
}

func fillFilters(v *views.List, r *web.Request, f Filter, p listPage, link func(func(url.Values)) string) {
	v.Filters = ui.Filters{
		Action: r.Path("/changes"), Results: "results",
		Search: ui.Search{Name: "q", Value: f.Text, Label: "Filter changes", Placeholder: "Filter by key, title, tag or vendor"},
	}
	for _, name := range []string{"sort", "view", "asset", "template", "parent", "certificate", "host", "held", "retro"} {
		if text := r.URL.Query().Get(name); text != "" {
			v.Filters.Hidden = append(v.Filters.Hidden, ui.Hidden{Name: name, Value: text})
		}
	}
	chip := func(field, name, value string) {
		if value != "" {
			v.Filters.Chips = append(v.Filters.Chips, ui.Chip{
				Field: field, Operator: "is", Value: value, RemoveHref: link(func(q url.Values) { q.Del(name) }),
			})
		}
	}
	var states, types, risks, envs, categories, owners, tags []ui.Option
	for _, s := range lifecycle.States() {
		states = append(states, ui.Option{Value: string(s), Text: s.Label()})
	}
	for _, t := range lifecycle.Types() {
		types = append(types, ui.Option{Value: string(t), Text: typeLabel(t)})
	}
	for _, l := range lifecycle.Levels() {
		risks = append(risks, ui.Option{Value: string(l), Text: upperFirst(string(l))})
	}
	for _, e := range Environments() {
		envs = append(envs, ui.Option{Value: e, Text: environmentLabel(e)})
	}
	for _, c := range Categories() {
		categories = append(categories, ui.Option{Value: c, Text: upperFirst(c)})
	}
	owners = append(owners, ui.Option{Value: "me", Text: "Me"}, ui.Option{Value: "none", Text: "Nobody"})
	owner := f.Owner
	for _, o := range p.owners.Rows {
		owners = append(owners, ui.Option{Value: o.ID.String(), Text: o.Name})
		if f.Owner == o.ID.String() {
			owner = o.Name
		}
	}
	for _, t := range p.tags.Rows {
		tags = append(tags, ui.Option{Value: t.Name, Text: t.Name + " (" + cappedCount(t.Count) + ")"})
	}
	v.Fields = []ui.Field{
		choice("state", "State", f.State, states), choice("type", "Type", f.Type, types), choice("risk", "Risk", f.Risk, risks),
		choice("environment", "Environment", environment(f.Environment), envs), choice("category", "Category", f.Category, categories),
		choice("owner", "Owner", f.Owner, owners), choice("tag", "Tag", f.Tag, tags),
	}
	v.Dates = []ui.Field{
		{Name: "from", Label: "Starts from", Type: "date", Value: f.From, Unmarked: true}, {Name: "to", Label: "Starts to", Type: "date", Value: f.To, Unmarked: true},
	}
	var labels []string
	for _, text := range splitList(f.State) {
		labels = append(labels, State(text).Label())
	}
	chip("State", "state", strings.Join(labels, " or "))
	chip("Type", "type", f.Type)
	chip("Risk", "risk", f.Risk)
	if f.Environment != "" {
		chip("Environment", "environment", environmentLabel(environment(f.Environment)))
	}
	chip("Category", "category", f.Category)
	chip("Owner", "owner", owner)
	chip("Tag", "tag", f.Tag)
	chip("Starts from", "from", f.From)
	chip("Starts to", "to", f.To)
	for _, c := range []struct{ field, name, value string }{
		{"Asset", "asset", f.Asset},
		{"Template", "template", f.Template},
		{"Part of", "parent", f.Parent},
		{"Certificate", "certificate", f.Certificate},
		{"Host", "host", f.Host},
	} {
		if c.value != "" {
			chip(c.field, c.name, "the chosen one")
		}
	}
	chip("Approval afterwards", "retro", f.Retro)
	if f.Held != "" {
		chip("On hold", "held", "yes")
	}
}

func newRow(r *web.Request, c Item) views.Row {
	zone := r.Zone()
	row := views.Row{
		ID: c.ID.String(), State: stateBadge(c.State), Risk: riskBadge(c.Risk), Where: environmentLabel(c.Environment), Tags: c.Tags,
		Link: ui.RowLink{Key: c.Key, Text: c.Title, Href: r.Path(c.Path()), Sub: windowText(c.Start, c.End, zone)},
	}
	if c.Environment == "" {
		row.Where = ""
	}
	if len(row.Tags) > 3 {
		row.Tags = row.Tags[:3]
	}
	if c.Start != nil {
		t := moment(*c.Start, zone)
		row.Window, row.When = &t, relative(*c.Start, r.Now())
	}
	switch c.Type {
	case lifecycle.Emergency:
		row.Marks = append(row.Marks, ui.Badge{Text: "Emergency", Tone: ui.Crit, Icon: "siren"})
	case lifecycle.Standard:
		row.Marks = append(row.Marks, ui.Badge{Text: "Standard", Tone: ui.Mute})
	case lifecycle.Normal:
	}
	if c.Held {
		row.Marks = append(row.Marks, ui.Badge{Text: "On hold", Tone: ui.Warn, Icon: "circle-pause"})
	}
	if c.MissedWindow && c.State == lifecycle.Approved {
		row.Marks = append(row.Marks, ui.Badge{Text: "Missed its window", Tone: ui.Warn, Icon: "clock"})
	}
	if c.PIR == "required" && !c.State.Open() {
		row.Marks = append(row.Marks, ui.Badge{Text: "Review due", Tone: ui.Warn, Icon: "clipboard-check"})
	}
	if b := retroBadge(c.Retro); b != nil && c.Retro != "approved" {
		row.Marks = append(row.Marks, *b)
	}
	if c.Owner.Valid && c.OwnerName != "" {
		p := person(c.Owner.UUID, c.OwnerName)
		row.Owner = &p
	}
	return row
}

func emptyList(r *web.Request, f Filter, chips []ui.Chip) *ui.Empty {
	if f.empty() {
		e := &ui.Empty{
			Icon: "git-pull-request-arrow", Title: "No change has been filed yet",
			Text: "Before something is done to a system, say here what, when and why. Whoever must agree is asked, and the record stays.",
		}
		if r.Can(CanCreate) {
			e.Actions = []ui.LinkButton{
				{Text: "New change", Href: r.Path("/changes/new"), Icon: "plus", Kind: ui.Primary}, {Text: "Templates", Href: r.Path("/changes/templates"), Icon: "copy"},
			}
		}
		return e
	}
	e := &ui.Empty{Icon: "search", Title: "No change matches"}
	var names []string
	for _, c := range chips {
		names = append(names, strings.ToLower(c.Field))
		e.Actions = append(e.Actions, ui.LinkButton{Text: "Remove the filter on " + strings.ToLower(c.Field), Href: c.RemoveHref})
	}
	if f.Text != "" {
		names = append(names, "text")
		e.Actions = append(e.Actions, ui.LinkButton{
			Text: "Clear the search", Href: r.Path("/changes") + changedQuery(r.URL.Query(), func(q url.Values) { q.Del("q") }),
		})
	}
	switch {
	case len(names) > 0:
		e.Text = "Nothing fits the filter on " + strings.Join(names, " and ") + "."
	case f.View == viewWaiting || f.View == viewReviews:
		e.Icon, e.Title, e.Text = "circle-check", "Nothing waits", "No change waits in this view."
		e.Actions = []ui.LinkButton{{Text: "Show all changes", Href: r.Path("/changes")}}
	default:
		e.Title, e.Text = "Nothing here", "No change is in this view."
		e.Actions = []ui.LinkButton{{Text: "Show all changes", Href: r.Path("/changes")}}
	}
	return e
}
