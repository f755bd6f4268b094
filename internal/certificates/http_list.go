package certificates

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/listview"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

// filterNames are the parts of the address that narrow the list.
func filterNames() []string {
	return []string{"q", "status", "state", "tag", "issuer", "owner", "view"}
}

// keptNames are the parts that its own links keep.
func keptNames() []string { return append(filterNames(), "sort", listview.Param) }

func filterFrom(v url.Values) hostFilter {
	return hostFilter{
		Text: v.Get("q"), Status: v.Get("status"), State: v.Get("state"), Tag: v.Get("tag"), Issuer: v.Get("issuer"),
		Owner: v.Get("owner"), View: v.Get("view"),
	}
}

// filterQuery returns the parts of an address that narrow the list, with its "?".
func filterQuery(v url.Values) string {
	out := url.Values{}
	for _, name := range filterNames() {
		if text := v.Get(name); text != "" {
			out.Set(name, text)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "?" + out.Encode()
}

// hostsPage is what the list reads in one round trip.
type hostsPage struct {
	page   *db.PageResult[listedHost]
	total  total
	counts *db.Result[countRow]
	owners *db.Result[ownerName]
	seen   listview.Pending
}

func (s *Service) showHosts(r *web.Request) error {
	params := r.URL.Query()
	f := filterFrom(params)
	if params.Get("format") == "csv" {
		return s.csvDownload(r, f)
	}
	q, err := queryOf(listedHosts, f, r.Now())
	if err != nil {
		return err
	}
	if q, err = q.Sort(params.Get("sort")).After(params.Get("cursor")); err != nil {
		return err
	}
	var p hostsPage
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		p.page, p.total = q.Queue(b), queueTotal(b, f, q)
		p.counts, p.owners, p.seen = queueCounts(b, r.Now()), ownerNames.Queue(b, nil), s.views.Queue(b, r)
	})
	if err != nil {
		return err
	}
	state := p.seen.State()
	if home, ok := state.Home(); ok {
		return r.SeeOther(home)
	}
	names, err := s.nameOwners(r, p)
	if err != nil {
		return err
	}
	v := newListView(r, f, q.SortInUse(), p, state, names)
	return r.Page(web.Page{Title: "Certificates", Crumbs: crumbs(r)}, views.ListPage(v))
}

// nameOwners returns the names of the owners on a page. Those of the filter's choices are
// nearly always all of them; others take a read of their own.
func (s *Service) nameOwners(r *web.Request, p hostsPage) (map[uuid.UUID]string, error) {
	names := make(map[uuid.UUID]string, len(p.owners.Rows))
	for _, o := range p.owners.Rows {
		names[o.ID] = o.Name
	}
	var missing []uuid.UUID
	for _, h := range p.page.Page.Items {
		if _, ok := names[h.OwnerID.UUID]; h.OwnerID.Valid && !ok && !slices.Contains(missing, h.OwnerID.UUID) {
			missing = append(missing, h.OwnerID.UUID)
		}
	}
	if len(missing) == 0 {
		return names, nil
	}
	var more *db.Result[ownerName]
	err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { more = memberNames.Queue(b, db.Args{"ids": missing}) })
	if err != nil {
		return nil, err
	}
	for _, o := range more.Rows {
		names[o.ID] = o.Name
	}
	return names, nil
}

// weeksShown is how far the chart of coming ends looks.
const weeksShown = 13

func newListView(
	r *web.Request, f hostFilter, sort string, p hostsPage, state listview.State, owners map[uuid.UUID]string,
) views.List {
	c := newHostCounts(p.counts.Rows)
	base := r.Path("/certificates")
	params := r.URL.Query()
	link := func(change func(url.Values)) string { return base + changedQuery(params, change) }
	v := views.List{
		Lede: listLede(c), Stats: listStats(base, c), Chart: weekChart(c.Weeks, startOfDay(r.Now())),
		Tabs: listTabs(base, f.View, c, state), Self: r.URL.RequestURI(),
		BulkAction: r.Path("/certificates/bulk"), ExportHref: link(func(q url.Values) { q.Set("format", "csv") }),
		AddHref: r.Path("/certificates/new"), ImportHref: r.Path("/certificates/import"), CalendarHref: r.Path("/certificates/calendar"),
		RulesHref:  r.Path("/alert-rules?scope=certificate"),
		StoredHref: r.Path("/certificates/stored"), MayAdd: r.Can(canCreateHost), MayScan: r.Can(canScanHost),
		MayUpdate: r.Can(canUpdateHost), MayDelete: r.Can(canDeleteHost),
		Caption: "Hosts, " + sortWords(sort),
		Pager:   ui.Pager{Label: group(int64(len(p.page.Page.Items))) + " of " + p.total.text(c)},
		Bulk:    ui.Bulk{Label: "Actions for the selected hosts"},
	}
	v.Columns, v.KeepColumns = listColumns(state, sort, link)
	if n := p.total.number(c); n > int64(len(p.page.Page.Items)) && n <= MaxBulk {
		v.Bulk.Matching = fmt.Sprintf("Select all %d that match", n)
	}
	if c := p.page.Page.Next; c != "" {
		v.Pager.Next = link(func(q url.Values) { q.Set("cursor", c) })
	}
	if c := p.page.Page.Prev; c != "" {
		v.Pager.Prev = link(func(q url.Values) { q.Set("cursor", c) })
	}
	for _, name := range filterNames() {
		if text := params.Get(name); text != "" {
			v.Filtered = append(v.Filtered, ui.Hidden{Name: name, Value: text})
		}
	}
	fillFilters(&v, r, f, c, p.owners.Rows, link)
	v.Filters.Tools, v.Filters.ClearHref = state.Tools(), state.AllHref()
	v.Rows = newRows(r, p.page.Page.Items, owners, v.Columns)
	if len(v.Rows) == 0 {
		v.Empty = emptyList(r, f, state.AllHref(), v.Filters.Chips)
	}
	return v
}

// changedQuery returns an address' query with a change made, back on the first page.
func changedQuery(q url.Values, change func(url.Values)) string {
	return web.ChangedQuery(q, keptNames(), change)
}

func listLede(c hostCounts) string {
	if c.Total == 0 {
		return "Vigilo reads the certificates of your hosts and warns before they end."
	}
	text := group(c.Total) + " hosts are watched"
	if c.Total == 1 {
		text = "1 host is watched"
	}
	switch n := c.view(viewAttention); n {
	case 0:
		return text + ". All is well."
	case 1:
		return text + ". 1 needs attention."
	default:
		return text + ". " + group(n) + " need attention."
	}
}

func listStats(base string, c hostCounts) []ui.Stat {
	stat := func(label, view, detail, icon string, tone ui.Tone) ui.Stat {
		n := c.view(view)
		if n == 0 {
			tone = ui.Mute
		}
		return ui.Stat{Label: label, Value: group(n), Detail: detail, Href: base + "?view=" + view, Tone: tone, Icon: icon}
	}
	share := "no host yet"
	if c.Total > 0 {
		share = strconv.FormatInt(100*c.view(viewHealthy)/c.Total, 10) + "% of hosts"
	}
	return []ui.Stat{
		stat("Expired", viewExpired, "no longer accepted", "circle-x", ui.Crit),
		stat("Within 30 days", viewExpiring, "will expire", "clock", ui.Warn),
		stat("Wrong setup", viewMisconfigured, "name, trust or key", "triangle-alert", ui.Warn),
		stat("Healthy", viewHealthy, share, "circle-check", ui.OK),
	}
}

func listTabs(base, view string, c hostCounts, state listview.State) ui.Tabs {
	tab := func(text, name string) ui.Tab {
		href := base + "?view=" + name
		if name == "" {
			href = state.AllHref()
		}
		return ui.Tab{Text: text, Href: href, Count: group(c.view(name)), Current: view == name && !state.Open()}
	}
	t := ui.Tabs{Label: "Saved views", Items: []ui.Tab{
		tab("All", ""), tab("Needs attention", viewAttention), tab("Expiring in 30 days", viewExpiring),
		tab("Failing", viewFailing), tab("Paused", viewPaused),
	}}
	switch view {
	case viewExpired:
		t.Items = append(t.Items, tab("Expired", viewExpired))
	case viewMisconfigured:
		t.Items = append(t.Items, tab("Wrong setup", viewMisconfigured))
	case viewHealthy:
		t.Items = append(t.Items, tab("Healthy", viewHealthy))
	}
	t.Items = append(t.Items, state.Tabs()...)
	return t
}

// weekChart draws how many certificates end in each of the coming weeks, of which the
// first begins today.
func weekChart(counts [weeksShown]int64, today time.Time) ui.BarChart {
	c := ui.BarChart{Bars: make([]ui.Bar, 0, weeksShown)}
	month, total := today.Month(), int64(0)
	for i, n := range counts {
		from := today.AddDate(0, 0, 7*i)
		bar := ui.Bar{Value: int(n), Title: "Week from " + from.Format("2 Jan") + ": " + group(n)}
		switch {
		case i == 0:
			bar.Tone, bar.Axis = ui.Crit, "Now"
		case i <= 4:
			bar.Tone = ui.Warn
		}
		if i > 1 && from.Month() != month {
			bar.Axis = from.Format("Jan")
		}
		month = from.Month()
		total += n
		c.Bars = append(c.Bars, bar)
	}
	c.Label = fmt.Sprintf("Certificates expiring per week for the next %d weeks: %s this week, %s in all", weeksShown, group(counts[0]), group(total))
	return c
}

func fillFilters(v *views.List, r *web.Request, f hostFilter, c hostCounts, owners []ownerName, link func(func(url.Values)) string) {
	v.Filters = ui.Filters{
		Action: r.Path("/certificates"), Results: "results",
		Search: ui.Search{Name: "q", Value: f.Text, Label: "Filter hosts", Placeholder: "Filter by host, tag, issuer or serial"},
	}
	for _, name := range []string{"sort", "view", listview.Param} {
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
	var labels []string
	for _, text := range splitList(f.Status) {
		labels = append(labels, statusLabel(Status(text)))
	}
	chip("Status", "status", strings.Join(labels, " or "))
	chip("State", "state", f.State)
	chip("Tag", "tag", f.Tag)
	chip("Issuer", "issuer", f.Issuer)
	owner := f.Owner
	v.Owner = ui.Field{Name: "owner", Label: "Owner", Options: []ui.Option{{Text: "Any"}, {Value: "none", Text: "Nobody", Selected: owner == "none"}}}
	for _, o := range owners {
		if !slices.ContainsFunc(c.Owners, func(n nameCount) bool { return n.Name == o.ID.String() }) && f.Owner != o.ID.String() {
			continue
		}
		v.Owner.Options = append(v.Owner.Options, ui.Option{Value: o.ID.String(), Text: o.Name, Selected: f.Owner == o.ID.String()})
		if f.Owner == o.ID.String() {
			owner = o.Name
		}
	}
	chip("Owner", "owner", owner)

	v.Status = ui.Field{Name: "status", Label: "Status", Options: []ui.Option{{Text: "Any"}}}
	for _, s := range Statuses() {
		v.Status.Options = append(v.Status.Options, ui.Option{Value: string(s), Text: statusLabel(s), Selected: f.Status == string(s)})
	}
	if r.Can(canReadCerts) {
		v.Tabs.Items = append(v.Tabs.Items, ui.Tab{Text: "Stored certificates", Href: v.StoredHref, Icon: "archive"})
	}
	v.Issuer = countedField("issuer", "Issuer", f.Issuer, c.Issuers)
	v.Tag = countedField("tag", "Tag", f.Tag, c.Tags)
	v.State = ui.Field{Name: "state", Label: "Scans", Options: []ui.Option{
		{Text: "Any"},
		{Value: string(Active), Text: "Active", Selected: f.State == string(Active)},
		{Value: string(Paused), Text: "Paused", Selected: f.State == string(Paused)},
	}}
}

func countedField(name, label, value string, rows []nameCount) ui.Field {
	out := ui.Field{Name: name, Label: label, Options: []ui.Option{{Text: "Any"}}}
	found := value == ""
	for _, row := range rows {
		found = found || row.Name == value
		out.Options = append(out.Options, ui.Option{
			Value: row.Name, Text: row.Name + " (" + group(row.Count) + ")", Selected: row.Name == value,
		})
	}
	if !found {
		out.Options = append(out.Options, ui.Option{Value: value, Text: value, Selected: true})
	}
	return out
}

func emptyList(r *web.Request, f hostFilter, all string, chips []ui.Chip) *ui.Empty {
	if f.empty() {
		e := &ui.Empty{
			Icon: "lock", Title: "No host is watched yet",
			Text: "Add a host name. Vigilo reads its certificate within seconds and warns before it ends. Nothing is installed.",
		}
		if r.Can(canCreateHost) {
			e.Actions = []ui.LinkButton{
				{Text: "Add host", Href: r.Path("/certificates/new"), Icon: "plus", Kind: ui.Primary},
				{Text: "Import many", Href: r.Path("/certificates/import"), Icon: "upload"},
			}
		}
		return e
	}
	e := &ui.Empty{Icon: "search", Title: "No host matches"}
	var names []string
	for _, c := range chips {
		names = append(names, strings.ToLower(c.Field))
		e.Actions = append(e.Actions, ui.LinkButton{Text: "Remove the filter on " + strings.ToLower(c.Field), Href: c.RemoveHref})
	}
	if f.Text != "" {
		names = append(names, "text")
		e.Actions = append(e.Actions, ui.LinkButton{
			Text: "Clear the search", Href: r.Path("/certificates") + changedQuery(r.URL.Query(), func(q url.Values) { q.Del("q") }),
		})
	}
	switch {
	case len(names) > 0:
		e.Text = "Nothing fits the filter on " + strings.Join(names, " and ") + "."
	case slices.Contains([]string{viewAttention, viewExpired, viewFailing, viewMisconfigured, viewExpiring}, f.View):
		e.Icon, e.Title, e.Text = "circle-check", "Nothing here", "That is good news: no host is in this view."
		e.Actions = []ui.LinkButton{{Text: "Show all hosts", Href: all}}
	default:
		e.Text = "No host is in this view."
		e.Actions = []ui.LinkButton{{Text: "Show all hosts", Href: all}}
	}
	return e
}

func (s *Service) showCalendar(r *web.Request) error {
	zone, now := r.Zone(), r.Now().In(r.Zone())
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, zone)
	if text := r.URL.Query().Get("month"); text != "" {
		m, err := time.ParseInLocation("2006-01", text, zone)
		if err != nil || m.Year() < 1970 || m.Year() > 9998 {
			return fault.InvalidField("month", "invalid_month", "Write a month as 2026-11.")
		}
		first = m
	}
	next := first.AddDate(0, 1, 0)
	var rows *db.Result[HostItem]
	err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		rows = expiringIn.Queue(b, db.Args{"from": first, "until": next})
	})
	if err != nil {
		return err
	}
	v := newCalendar(r, first, next, now, rows.Rows)
	return r.Page(web.Page{Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: "Calendar"})}, views.CalendarPage(v))
}

func newCalendar(r *web.Request, first, next, now time.Time, hosts []HostItem) views.Calendar {
	path := func(m time.Time) string { return r.Path("/certificates/calendar?month=") + m.Format("2006-01") }
	prev := first.AddDate(0, -1, 0)
	v := views.Calendar{
		Title: "Expiry in " + first.Format("January 2006"), PrevHref: path(prev), PrevText: prev.Format("January"),
		NextHref: path(next), NextText: next.Format("January"), Today: r.Path("/certificates/calendar"),
		Lede: count(len(hosts), "certificate") + " end in this month. Days are those of " + first.Location().String() + ".",
		Month: ui.MonthCalendar{
			Caption: "Certificates that end in " + first.Format("January 2006"), Weekdays: []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"},
		},
	}
	if len(hosts) == 1 {
		v.Lede = "1 certificate ends in this month. Days are those of " + first.Location().String() + "."
	}
	byDay := map[string][]HostItem{}
	for _, h := range hosts {
		day := h.NotAfter.In(first.Location()).Format(time.DateOnly)
		byDay[day] = append(byDay[day], h)
		badge := statusBadge(h.Host, now)
		v.Rows = append(v.Rows, ui.Row{
			Icon: statusIcon(h.Status), Tone: expiryTone(h.Host, now), Title: h.Title(), Href: r.Path(h.Path()),
			Sub: h.NotAfter.In(first.Location()).Format("Monday 2 January, 15:04") + ", " + h.Issuer, Badge: &badge,
		})
	}
	if len(hosts) == 0 {
		v.Empty = &ui.Empty{Icon: "calendar", Title: "Nothing ends in this month", Text: "Look at the months around it, or at all hosts.", Actions: []ui.LinkButton{{Text: "All hosts", Href: r.Path("/certificates")}}}
	}
	day := first.AddDate(0, 0, -(int(first.Weekday())+6)%7)
	for day.Before(next) {
		var week []ui.CalendarDay
		for range 7 {
			week = append(week, calendarDay(r, day, first, now, byDay[day.Format(time.DateOnly)]))
			day = day.AddDate(0, 0, 1)
		}
		v.Month.Weeks = append(v.Month.Weeks, week)
	}
	return v
}

// shownPerDay is how many ends a day of the calendar has room for.
const shownPerDay = 3

func calendarDay(r *web.Request, day, first, now time.Time, hosts []HostItem) ui.CalendarDay {
	d := ui.CalendarDay{
		ISO: day.Format(time.DateOnly), Day: strconv.Itoa(day.Day()), Outside: day.Month() != first.Month(),
		Today: day.Format(time.DateOnly) == now.Format(time.DateOnly),
	}
	for i, h := range hosts {
		if i == shownPerDay {
			d.More = &ui.Link{Text: strconv.Itoa(len(hosts)-i) + " more", Href: "#ends"}
			break
		}
		d.Events = append(d.Events, ui.CalendarEvent{Text: cmp.Or(h.ServerName, h.DisplayName), Href: r.Path(h.Path()), Tone: cmp.Or(expiryTone(h.Host, now), ui.Mute)})
	}
	return d
}
