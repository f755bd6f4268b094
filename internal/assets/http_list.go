package assets

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/assets"
	"github.com/vigilo/vigilo/templates/ui"
)

// filterNames are the parts of the address that narrow the list.
func filterNames() []string {
	return []string{"q", "ci_type", "environment", "criticality", "lifecycle", "owner", "team", "tag", "provider", "view"}
}

// filterFrom reads the filter of the list. Without a view it shows what is in use.
func filterFrom(v url.Values) filter {
	f := filter{
		Text: v.Get("q"), Type: v.Get("ci_type"), Environment: v.Get("environment"), Criticality: v.Get("criticality"),
		Lifecycle: v.Get("lifecycle"), Owner: v.Get("owner"), Team: v.Get("team"), Tag: v.Get("tag"), Provider: v.Get("provider"),
		View: v.Get("view"),
	}
	if f.View == "" && f.Lifecycle == "" {
		f.View = viewInUse
	}
	return f
}

// listPage is what the list reads in one round trip.
type listPage struct {
	page    *db.PageResult[Item]
	count   *db.Result[int64]
	summary *db.Result[summaryRow]
	tags    *db.Result[nameCount]
	teams   *db.Result[nameCount]
	owners  *db.Result[ownerCount]
}

func (s *Service) showList(r *web.Request) error {
	params := r.URL.Query()
	f := filterFrom(params)
	q, err := f.query()
	if err != nil {
		return err
	}
	if params.Get("format") == "csv" {
		return s.csvDownload(r, q)
	}
	if q, err = q.Sort(params.Get("sort")).After(params.Get("cursor")); err != nil {
		return err
	}
	var p listPage
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		p.page, p.count, p.summary = q.Queue(b), q.QueueCount(b), summary.Queue(b, nil)
		p.tags, p.teams, p.owners = tagCounts.Queue(b, nil), teamCounts.Queue(b, nil), ownerCounts.Queue(b, nil)
	})
	if err != nil {
		return err
	}
	return r.Page(web.Page{Title: "Assets", Crumbs: crumbs(r)}, views.ListPage(newListView(r, f, q.SortInUse(), p)))
}

func (s *Service) csvDownload(r *web.Request, q *db.ListQuery[Item]) error {
	w := r.Download("assets.csv", "text/csv; charset=utf-8")
	if r.Method == http.MethodHead {
		return nil
	}
	return s.writeCSV(r.Context(), r.Actor, q.Sort(r.URL.Query().Get("sort")), w)
}

func newListView(r *web.Request, f filter, sort string, p listPage) views.List {
	sum, _ := p.summary.First()
	total, _ := p.count.First()
	base := r.Path("/assets")
	link := func(change func(url.Values)) string { return base + changedQuery(r.URL.Query(), change) }
	v := views.List{
		Lede: listLede(sum), Stats: listStats(base, sum), Tabs: listTabs(base, f.View, sum),
		BulkAction: r.Path("/assets/bulk"), ExportHref: link(func(q url.Values) { q.Set("format", "csv") }),
		AddHref: r.Path("/assets/new"), ImportHref: r.Path("/assets/import"), MapHref: mapLink(r),
		MayAdd: r.Can(CanCreate), MayImport: r.Can(CanImport), MayUpdate: r.Can(CanUpdate), MayRetire: r.Can(CanRetire),
		Caption: "Assets, " + sortWords(sort), Columns: listColumns(sort, link),
		Pager: ui.Pager{Label: group(int64(len(p.page.Page.Items))) + " of " + capped10k(total)},
		Bulk:  ui.Bulk{Label: "Actions for the selected assets"},
	}
	if total > int64(len(p.page.Page.Items)) && total <= MaxBulk {
		v.Bulk.Matching = "Select all " + group(total) + " that match"
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
	v.Filters, v.Fields = filterBar(r, f, p, base, link)
	for _, i := range p.page.Page.Items {
		v.Rows = append(v.Rows, newRow(r, i))
	}
	if len(v.Rows) == 0 {
		v.Empty = emptyList(r, f, sum, v.Filters.Chips)
	}
	return v
}

// changedQuery returns an address' query with a change made, back on the first page.
func changedQuery(q url.Values, change func(url.Values)) string {
	return web.ChangedQuery(q, append(filterNames(), "sort"), change)
}

// mapLink leads to the map with what narrows the list now.
func mapLink(r *web.Request) string {
	return r.Path("/assets/map") + changedQuery(r.URL.Query(), func(q url.Values) {
		for _, name := range []string{"sort", "view", "lifecycle", "provider"} {
			q.Del(name)
		}
	})
}

func listLede(sum summaryRow) string {
	if sum.InUse == 0 {
		return "What you run and own, and what depends on what."
	}
	text := counted(sum.InUse, "asset is in use", "assets are in use")
	if sum.Unowned == 0 {
		return text + ". Each has an owner."
	}
	return text + ". " + counted(sum.Unowned, "has no owner.", "have no owner.")
}

func listStats(base string, sum summaryRow) []ui.Stat {
	tone := func(n int64, t ui.Tone) ui.Tone {
		if n == 0 {
			return ui.Mute
		}
		return t
	}
	return []ui.Stat{
		{Label: "In use", Value: capped10k(sum.InUse), Detail: "planned or active", Href: base, Tone: ui.Mute, Icon: "boxes"},
		{Label: "Production", Value: capped10k(sum.Production), Detail: "people rely on", Href: base + "?environment=prod", Tone: tone(sum.Production, ui.Info), Icon: "radio-tower"},
		{Label: "Critical", Value: capped10k(sum.Critical), Detail: "must not fail", Href: base + "?view=" + viewCritical, Tone: tone(sum.Critical, ui.Crit), Icon: "shield-alert"},
		{Label: "No owner", Value: capped10k(sum.Unowned), Detail: "nobody to ask", Href: base + "?view=" + viewUnowned, Tone: tone(sum.Unowned, ui.Warn), Icon: "user"},
	}
}

func listTabs(base, view string, sum summaryRow) ui.Tabs {
	tab := func(text, name string, n int64) ui.Tab {
		href := base
		if name != viewInUse {
			href += "?view=" + name
		}
		return ui.Tab{Text: text, Href: href, Count: capped10k(n), Current: view == name}
	}
	return ui.Tabs{Label: "Saved views", Items: []ui.Tab{
		tab("In use", viewInUse, sum.InUse), tab("Critical", viewCritical, sum.Critical), tab("No owner", viewUnowned, sum.Unowned),
		tab("Planned", viewPlanned, sum.Planned), tab("Retired", viewRetired, sum.Retired),
		tab("All", viewAll, sum.InUse+sum.Retired),
	}}
}

func capped10k(n int64) string {
	if n > db.CountCap {
		return "10,000+"
	}
	return group(n)
}

func sortWords(sort string) string {
	words := map[string]string{
		"name": "by name", "-name": "by name, backwards", "criticality": "most critical first", "-criticality": "least critical first",
		"ci_type": "by type", "-ci_type": "by type, backwards", "environment": "by environment", "-environment": "by environment, backwards",
		"updated_at": "changed longest ago first", "-updated_at": "changed last first", "created_at": "oldest first", "-created_at": "newest first",
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
		column("Name", "name", ""), column("Type", "ci_type", ui.LeavesLast), column("Criticality", "criticality", ""),
		column("Environment", "environment", ui.LeavesThird), column("Owner", "", ui.LeavesThird), column("Team", "", ui.LeavesNext),
		column("Tags", "", ui.LeavesFirst), column("Changed", "updated_at", ui.LeavesFirst),
	}
}

func filterBar(r *web.Request, f filter, p listPage, action string, link func(func(url.Values)) string) (ui.Filters, []ui.Field) {
	out := ui.Filters{
		Action: action, Results: "results",
		Search: ui.Search{Name: "q", Value: f.Text, Label: "Filter assets", Placeholder: "Filter by name, host, tag or team"},
	}
	for _, name := range []string{"sort", "view"} {
		if text := r.URL.Query().Get(name); text != "" {
			out.Hidden = append(out.Hidden, ui.Hidden{Name: name, Value: text})
		}
	}
	chip := func(field, name, value string) {
		if value != "" {
			out.Chips = append(out.Chips, ui.Chip{
				Field: field, Operator: "is", Value: value, RemoveHref: link(func(q url.Values) { q.Del(name) }),
			})
		}
	}
	titled := func(value string, words func(string) string) string {
		if value == "" {
			return ""
		}
		return words(value)
	}
	chip("Type", "ci_type", titled(f.Type, typeTitle))
	chip("Environment", "environment", titled(f.Environment, environmentTitle))
	chip("Criticality", "criticality", titled(f.Criticality, criticalityLabel))
	chip("Lifecycle", "lifecycle", titled(f.Lifecycle, func(s string) string { return lifecycleLabel(Lifecycle(s)) }))
	chip("Team", "team", f.Team)
	chip("Tag", "tag", f.Tag)
	chip("Provider", "provider", titled(f.Provider, providerLabel))
	owner := ui.Field{Name: "owner", Label: "Owner", Options: []ui.Option{{Text: "Any"}, {Value: nobody, Text: "Nobody", Selected: f.Owner == nobody}}}
	word := f.Owner
	if f.Owner == nobody {
		word = "nobody"
	}
	for _, o := range p.owners.Rows {
		owner.Options = append(owner.Options, ui.Option{Value: o.ID.String(), Text: o.Name, Selected: f.Owner == o.ID.String()})
		if f.Owner == o.ID.String() {
			word = o.Name
		}
	}
	chip("Owner", "owner", word)
	return out, []ui.Field{
		anyField("ci_type", "Type", f.Type, Types(), typeTitle), anyField("environment", "Environment", f.Environment, Environments(), environmentTitle),
		anyField("criticality", "Criticality", f.Criticality, Criticalities(), criticalityLabel), owner,
		countedField("team", "Team", f.Team, p.teams.Rows), countedField("tag", "Tag", f.Tag, p.tags.Rows),
		anyField("provider", "Comes from", f.Provider, Providers(), providerLabel),
	}
}

// anyField is a choice that may also be left open.
func anyField(name, label, value string, values []string, words func(string) string) ui.Field {
	f := selectField(name, label, value, "", values, words)
	f.Options = append([]ui.Option{{Text: "Any"}}, f.Options...)
	f.Required, f.Unmarked = false, true
	return f
}

func countedField(name, label, value string, rows []nameCount) ui.Field {
	out := ui.Field{Name: name, Label: label, Unmarked: true, Options: []ui.Option{{Text: "Any"}}}
	found := value == ""
	for _, row := range rows {
		found = found || row.Name == value
		out.Options = append(out.Options, ui.Option{Value: row.Name, Text: row.Name + " (" + capped10k(row.Count) + ")", Selected: row.Name == value})
	}
	if !found {
		out.Options = append(out.Options, ui.Option{Value: value, Text: value, Selected: true})
	}
	return out
}

// tagsShown is how many tags of an asset fit into its row.
const tagsShown = 2

func newRow(r *web.Request, i Item) views.Row {
	row := views.Row{
		ID: i.ID.String(), Type: typeTitle(i.Type), Icon: typeIcon(i.Type), Criticality: criticalityBadge(i.Criticality),
		Environment: environmentTitle(i.Environment), Team: i.Team, Tags: i.Tags, Owner: person(i.OwnerID, i.OwnerName),
		Link:    ui.RowLink{Text: i.Name, Href: r.Path(i.Path()), Sub: typeTitle(i.Type) + ", " + environmentLabel(i.Environment)},
		Updated: r.Since(i.UpdatedAt),
	}
	if i.Hostname != "" && !strings.EqualFold(i.Hostname, i.Name) {
		row.Link.Dim = " " + i.Hostname
	}
	if i.Lifecycle != Active {
		b := lifecycleBadge(i.Lifecycle)
		row.State = &b
	}
	if n := len(i.Tags) - tagsShown; n > 0 {
		row.Tags, row.MoreTags = i.Tags[:tagsShown], "+"+group(int64(n))
	}
	return row
}

func emptyList(r *web.Request, f filter, sum summaryRow, chips []ui.Chip) *ui.Empty {
	e := &ui.Empty{Icon: "search", Title: "No asset matches"}
	var named []string
	for _, c := range chips {
		named = append(named, strings.ToLower(c.Field))
		e.Actions = append(e.Actions, ui.LinkButton{Text: "Remove the filter on " + strings.ToLower(c.Field), Href: c.RemoveHref})
	}
	if f.Text != "" {
		named = append(named, "text")
		e.Actions = append(e.Actions, ui.LinkButton{
			Text: "Clear the search", Href: r.Path("/assets") + changedQuery(r.URL.Query(), func(q url.Values) { q.Del("q") }),
		})
	}
	switch {
	case len(named) > 0:
		e.Text = "Nothing fits the filter on " + strings.Join(named, " and ") + "."
	case sum.InUse+sum.Retired == 0:
		e.Icon, e.Title = "boxes", "No asset yet"
		e.Text = "Add what you run: servers, databases, services. Then say what depends on what, and Vigilo shows what a change or a failure reaches."
		if r.Can(CanCreate) {
			e.Actions = []ui.LinkButton{
				{Text: "Add asset", Href: r.Path("/assets/new"), Icon: "plus", Kind: ui.Primary},
				{Text: "Import many", Href: r.Path("/assets/import"), Icon: "upload"},
			}
		}
	case f.View == viewUnowned:
		e.Icon, e.Title, e.Text = "circle-check", "Every asset has an owner", "That is good news: there is always somebody to ask."
		e.Actions = []ui.LinkButton{{Text: "Show all in use", Href: r.Path("/assets")}}
	default:
		e.Title, e.Text = "Nothing here", "No asset is in this view."
		e.Actions = []ui.LinkButton{{Text: "Show all assets", Href: r.Path("/assets?view=" + viewAll)}}
	}
	return e
}
