package alertrules

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/alertrules"
	"github.com/vigilo/vigilo/templates/ui"
)

// filterOf reads the filters of the list; alerts that fire are shown unless it says
// otherwise. Unknown values are left out, so that an old bookmark still shows something.
func filterOf(q url.Values) Filter {
	f := Filter{State: Firing}
	switch q.Get("state") {
	case "resolved":
		f.State = Resolved
	case "all":
		f.State = ""
	}
	if id, err := uuid.Parse(q.Get("rule")); err == nil {
		f.Rule = id
	}
	if id, err := uuid.Parse(q.Get("host")); err == nil {
		f.Host = id
	}
	if sev := event.Severity(q.Get("severity")); sev.Rank() > 0 {
		f.Severity = sev
	}
	if id, err := uuid.Parse(q.Get("silence")); err == nil {
		f.MutedID = id
	}
	switch v := q.Get("acknowledged"); v {
	case "yes", "no":
		yes := v == "yes"
		f.Acknowledged = &yes
	case "waiting":
		f.Waiting = true
	}
	f.Text = strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(q.Get("q")), "\x00", ""), "")
	if len(f.Text) > 200 {
		f.Text = strings.ToValidUTF8(f.Text[:200], "")
	}
	return f
}

// alertPage is what the list reads, in one round trip.
type alertPage struct {
	page  db.Page[Alert]
	total int64
	sort  string
	rules []nameRow
	tally map[event.Severity]severityRow
	// active are the silences of now, the first to end first.
	active db.Page[Silence]
}

func (s *Service) showAlerts(r *web.Request) error {
	q := r.URL.Query()
	f := filterOf(q)
	if q.Get("format") == "csv" {
		return s.sendAlerts(r, f)
	}
	list, err := f.query().Sort(q.Get("sort")).After(q.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[Alert]
	var count *db.Result[int64]
	var rules *db.Result[nameRow]
	var tally *db.Result[severityRow]
	var active *db.PageResult[Silence]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count = list.Queue(b), list.QueueCount(b)
		rules, tally = ruleChoices.Queue(b, nil), firingBySeverity.Queue(b, nil)
		active = silenceList.Query().Filter("active", nil).Sort("ends_at").Queue(b)
	}); err != nil {
		return err
	}
	p := alertPage{page: page.Page, sort: list.SortInUse(), rules: rules.Rows, tally: map[event.Severity]severityRow{}, active: active.Page}
	p.total, _ = count.First()
	for _, row := range tally.Rows {
		p.tally[row.Severity] = row
	}
	return r.Page(web.Page{Title: "Alerts", Crumbs: []web.Crumb{{Text: "Reliability"}, {Text: "Alerts"}}},
		views.AlertListPage(alertListView(r, f, p)))
}

func alertListView(r *web.Request, f Filter, p alertPage) views.AlertList {
	path, q := r.Path("/alerts"), r.URL.Query()
	v := views.AlertList{
		Lede:    "What the alert rules found. An alert ends by itself when its condition no longer holds.",
		Stats:   alertStats(path, p.tally),
		Actions: []ui.LinkButton{{Text: "Export CSV", Href: web.Address(path, q, "format", "csv"), Icon: "download"}},
		Caption: "Alerts, newest first", Pager: ui.Pager{Label: countLabel(p.total, "alert")}, Back: r.URL.RequestURI(),
		Columns: web.Headings(path, q, p.sort, []web.SortColumn{
			{Name: "host", Column: ui.Column{Text: "Host"}},
			{Name: "", Column: ui.Column{Text: "Severity"}},
			{Name: "", Column: ui.Column{Text: "Rule", Leaves: ui.LeavesThird}},
			{Name: "", Column: ui.Column{Text: "What was found", Leaves: ui.LeavesNext}},
			{Name: "fired_at", Column: ui.Column{Text: "Fired", Leaves: ui.LeavesLast}},
			{Name: "", Column: ui.Column{Text: "State"}},
		}),
	}
	v.Silenced = silenceNotice(r, p.active, p.rules)
	if strings.HasSuffix(p.sort, "host") {
		v.Caption = "Alerts by host"
	}
	if r.Can(ReadRules) {
		v.Actions = append(v.Actions, ui.LinkButton{Text: "Alert rules", Href: r.Path("/alert-rules?scope=certificate"), Icon: "bell"})
	}
	v.Actions = append(v.Actions, ui.LinkButton{Text: "Silences", Href: r.Path("/alert-silences"), Icon: "circle-pause"})
	tab := func(text, state string, current bool) ui.Tab {
		return ui.Tab{Text: text, Href: web.Address(path, q, "state", state), Current: current}
	}
	v.Tabs = ui.Tabs{Label: "State", Items: []ui.Tab{
		tab("Firing", "", f.State == Firing), tab("Resolved", "resolved", f.State == Resolved), tab("All", "all", f.State == ""),
	}}
	alertFilters(r, f, p, &v)
	for _, a := range p.page.Items {
		row := views.AlertRow{
			ID: a.ID.String(), Link: ui.RowLink{Text: a.HostTitle, Sub: a.RuleName, Href: path + "/" + a.ID.String()},
			Severity: severityBadge(a.Severity), State: stateBadge(a), Message: a.Message, Fired: r.Moment(a.FiredAt),
			Rule: ui.Link{Text: a.RuleName, Href: web.Address(path, q, "rule", a.RuleID.String())}, Who: acknowledger(a),
		}
		if a.ResolvedAt != nil && a.ResolvedReason != reasonOneTime {
			ended := r.Moment(*a.ResolvedAt)
			row.Ended = &ended
		}
		v.Rows = append(v.Rows, row)
	}
	if p.page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", p.page.Next)
	}
	if p.page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", p.page.Prev)
	}
	if r.Can(AcknowledgeAlerts) && f.State == Firing {
		v.Acknowledge = path + "/acknowledge"
	}
	if len(v.Rows) == 0 {
		v.Empty = noAlerts(r, path, f, v.Filters.Chips)
	}
	return v
}

func alertStats(path string, tally map[event.Severity]severityRow) []ui.Stat {
	waiting := func(n int64) string {
		switch n {
		case 0:
			return "All acknowledged"
		default:
			return fmt.Sprintf("%d not acknowledged", n)
		}
	}
	stat := func(label, icon string, tone ui.Tone, href string, severities ...event.Severity) (ui.Stat, int64) {
		var n, open int64
		for _, sev := range severities {
			n, open = n+tally[sev].N, open+tally[sev].Waiting
		}
		s := ui.Stat{Label: label, Icon: icon, Value: strconv.FormatInt(n, 10), Detail: waiting(open), Tone: tone, Href: href}
		if n == 0 {
			s.Detail, s.Tone = "Nothing fires", ui.Mute
		}
		return s, open
	}
	critical, a := stat("Critical", "circle-x", ui.Crit, path+"?severity=critical", event.Critical)
	high, b := stat("High", "circle-alert", ui.Crit, path+"?severity=high", event.High)
	medium, c := stat("Medium", "triangle-alert", ui.Warn, path+"?severity=medium", event.Medium)
	low, d := stat("Low and info", "info", ui.Info, path, event.Low, event.Info)
	low.Href = path + "?severity=low"
	open := ui.Stat{
		Label: "Not acknowledged", Icon: "user", Value: strconv.FormatInt(a+b+c+d, 10), Tone: ui.Warn, Href: path + "?acknowledged=waiting",
		Detail: "Nobody has taken these on yet",
	}
	if a+b+c+d == 0 {
		open.Tone, open.Icon, open.Detail = ui.OK, "circle-check", "Somebody looks after everything"
	}
	return []ui.Stat{critical, high, medium, low, open}
}

func alertFilters(r *web.Request, f Filter, p alertPage, v *views.AlertList) {
	path, q := r.Path("/alerts"), r.URL.Query()
	v.Filters = ui.Filters{
		Action: path, Results: "results",
		Search: ui.Search{Name: "q", Value: f.Text, Label: "Filter by host", Placeholder: "Filter by the beginning of a host"},
	}
	keep := func(name, value string) {
		if value != "" {
			v.Filters.Hidden = append(v.Filters.Hidden, ui.Hidden{Name: name, Value: value})
		}
	}
	chip := func(field, operator, value, name string) {
		v.Filters.Chips = append(v.Filters.Chips, ui.Chip{Field: field, Operator: operator, Value: value, RemoveHref: web.Address(path, q, name, "")})
	}
	switch f.State {
	case Resolved:
		keep("state", "resolved")
	case "":
		keep("state", "all")
	case Firing:
	}
	if p.sort != "-fired_at" {
		keep("sort", p.sort)
	}
	v.Rule = ui.Field{Name: "rule", Label: "Rule", Required: true, Options: []ui.Option{{Text: "Any"}}}
	ruleName := "one that was deleted"
	for _, rule := range p.rules {
		v.Rule.Options = append(v.Rule.Options, ui.Option{Value: rule.ID.String(), Text: rule.Name, Selected: rule.ID == f.Rule})
		if rule.ID == f.Rule {
			ruleName = rule.Name
		}
	}
	v.Severity = ui.Field{Name: "severity", Label: "Severity", Required: true, Options: append([]ui.Option{{Text: "Any"}}, severityOptions(f.Severity)...)}
	handled := q.Get("acknowledged")
	v.Handled = ui.Field{Name: "acknowledged", Label: "Acknowledged", Required: true, Options: []ui.Option{
		{Text: "Any"},
		{Value: "waiting", Text: "No, and not muted", Selected: handled == "waiting"},
		{Value: "no", Text: "No", Selected: handled == "no"},
		{Value: "yes", Text: "Yes", Selected: handled == "yes"},
	}}
	if f.Rule != uuid.Nil {
		chip("Rule", "is", ruleName, "rule")
	}
	if f.Severity != "" {
		chip("Severity", "is", severityLabel(f.Severity), "severity")
	}
	if f.Host != uuid.Nil {
		name := "one host"
		if len(p.page.Items) > 0 {
			name = p.page.Items[0].HostTitle
		}
		keep("host", f.Host.String())
		chip("Host", "is", name, "host")
	}
	if f.MutedID != uuid.Nil {
		keep("silence", f.MutedID.String())
		chip("Inside", "is", "one silence", "silence")
	}
	if f.Waiting {
		chip("Acknowledged", "is", "no, and not muted", "acknowledged")
	}
	if f.Acknowledged != nil {
		chip("Acknowledged", "is", handled, "acknowledged")
	}
}

// noAlerts says why the list is empty: because all is well, or because of a filter.
func noAlerts(r *web.Request, path string, f Filter, chips []ui.Chip) *ui.Empty {
	var names []string
	if f.Text != "" {
		names = append(names, "the text “"+f.Text+"”")
	}
	for _, c := range chips {
		names = append(names, "the filter "+c.Field+" "+c.Operator+" "+c.Value)
	}
	switch {
	case len(names) > 0:
		return &ui.Empty{
			Icon: "filter", Title: "No alert matches", Text: "Remove " + strings.Join(names, " or ") + " to see more.",
			Actions: []ui.LinkButton{{Text: "Clear all", Href: path}},
		}
	case f.State == Firing:
		e := &ui.Empty{Icon: "circle-check", Title: "Nothing fires", Text: "Every host that a rule watches is as it should be."}
		if r.Can(ReadRules) {
			e.Actions = []ui.LinkButton{{Text: "See the alert rules", Href: r.Path("/alert-rules?scope=certificate"), Icon: "bell"}}
		}
		return e
	default:
		return &ui.Empty{Icon: "history", Title: "No alert yet", Text: "Alerts that have ended are kept here."}
	}
}

// sendAlerts writes the filtered list as CSV. Rows are read before the first byte, so
// that a failure is still an error page.
func (s *Service) sendAlerts(r *web.Request, f Filter) error {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write([]string{
		"host", "rule", "trigger", "severity", "state", "message", "fired_at", "resolved_at", "resolved_reason", "acknowledged_at", "acknowledged_by",
		"muted_by",
	}); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	stamped := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		return f.query().Sort(r.URL.Query().Get("sort")).Each(r.Context(), tx, func(a Alert) error {
			return w.Write([]string{
				export.Cell(a.HostTitle), export.Cell(a.RuleName), string(a.Trigger), string(a.Severity), string(a.State), export.Cell(a.Message),
				stamped(&a.FiredAt), stamped(a.ResolvedAt), a.ResolvedReason, stamped(a.AcknowledgedAt), export.Cell(a.Acknowledger),
				string(a.MutedBy),
			})
		})
	})
	if err != nil {
		return err
	}
	w.Flush()
	if _, err := r.Download("alerts.csv", "text/csv; charset=utf-8").Write([]byte(b.String())); err != nil {
		return fmt.Errorf("send csv: %w", err)
	}
	return nil
}

func (s *Service) showAlert(r *web.Request) error {
	id, err := r.UUID("id", "alert")
	if err != nil {
		return err
	}
	a, err := s.Alert(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	v := alertView(r, a)
	if a.MutedID.Valid {
		muting, err := s.mutingFact(r, a)
		if err != nil {
			return err
		}
		v.Facts = append(v.Facts, muting)
	}
	return r.Page(alertPageOf(r, a), views.AlertPage(v))
}

// mutingFact says why nobody is told of an alert, with the way there.
func (s *Service) mutingFact(r *web.Request, a Alert) (ui.Fact, error) {
	var names *db.Result[nameRow]
	statement, place, gone := ruleNames, "/alert-rules/", "A rule that was deleted"
	f := ui.Fact{Label: "Muted by the rule", Sub: "It says the same or more about the host."}
	if a.silenced() {
		statement, place, gone = silenceNames, "/alert-silences/", "A silence"
		f = ui.Fact{Label: "Muted by the silence", Sub: "It is told when the silence is over, if it still fires then."}
	}
	err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		names = statement.Queue(b, db.Args{"ids": []uuid.UUID{a.MutedID.UUID}})
	})
	if err != nil {
		return f, err
	}
	f.Text = gone
	if row, ok := names.First(); ok {
		f.Text, f.Href = row.Name, r.Path(place+row.ID.String())
	}
	if a.State == Resolved {
		f.Sub = "So it was when it ended."
	}
	return f, nil
}

func alertPageOf(r *web.Request, a Alert) web.Page {
	return web.Page{Title: a.HostTitle + ": " + a.RuleName, Crumbs: []web.Crumb{
		{Text: "Reliability"}, {Text: "Alerts", Href: r.Path("/alerts")}, {Text: a.HostTitle},
	}}
}

func alertView(r *web.Request, a Alert) views.Alert {
	badge := stateBadge(a)
	severity := severityBadge(a.Severity)
	fired := r.Moment(a.FiredAt)
	v := views.Alert{
		Head:     ui.PageHead{Title: a.HostTitle, Lede: a.RuleName, Badge: &badge},
		Severity: severity,
		Notice:   ui.Notice{Title: a.Message, Tone: severity.Tone},
		Facts: []ui.Fact{
			{Label: "Severity", Badge: &severity},
			{Label: "Trigger", Text: a.Trigger.Label()},
			{Label: "Rule", Text: a.RuleName, Href: r.Path("/alert-rules/" + a.RuleID.String())},
			{Label: "Host", Text: a.HostTitle, Href: r.Path(a.HostPath)},
			{Label: "Fired", Time: &fired},
		},
		History: []ui.Entry{{Icon: "siren", Tone: ui.Crit, Text: "The alert fired.", Time: fired}},
		Host:    ui.LinkButton{Text: "Open the host", Href: r.Path(a.HostPath), Icon: "lock"},
	}
	if a.ResolvedReason == reasonDeleted {
		v.Facts[2].Href = ""
	}
	if a.ResolvedReason == reasonRemoved {
		v.Facts[3].Href, v.Host.Href = "", ""
	}
	if a.LastNotifiedAt != nil {
		v.History = append(v.History, ui.Entry{Icon: "bell", Text: "Its recipients were told.", Time: r.Moment(*a.LastNotifiedAt)})
	} else {
		v.Facts = append(v.Facts, ui.Fact{
			Label: "Told", Text: "Nobody yet", Sub: "Within the cooldown of the rule, inside a silence, or while another alert about the host speaks for it.",
		})
	}
	if a.AcknowledgedAt != nil {
		v.History = append(v.History, ui.Entry{
			Icon: "user-check", Tone: ui.Note, Text: "Acknowledged " + acknowledger(a) + ".", Time: r.Moment(*a.AcknowledgedAt),
		})
	}
	switch {
	case a.ResolvedAt != nil:
		ended := r.Moment(*a.ResolvedAt)
		v.Notice.Tone = ui.Mute
		v.Facts = append(v.Facts, ui.Fact{Label: "Ended", Time: &ended, Sub: reasonText(a.ResolvedReason)})
		v.History = append(v.History, ui.Entry{Icon: "check", Tone: ui.OK, Text: "The alert ended: " + lower(reasonText(a.ResolvedReason)) + ".", Time: ended})
	case a.AcknowledgedAt == nil && r.Can(AcknowledgeAlerts):
		v.Acknowledge = r.Path("/alerts/" + a.ID.String() + "/acknowledge")
	}
	if a.State == Firing && r.Can(SilenceAlerts) {
		v.Silence = ui.LinkButton{
			Text: "Silence", Href: r.Path("/alert-silences/new?host=" + a.HostID.String() + "&rule=" + a.RuleID.String()), Icon: "circle-pause",
		}
	}
	return v
}

func (s *Service) acknowledgeOne(r *web.Request) error {
	id, err := r.UUID("id", "alert")
	if err != nil {
		return err
	}
	a, err := s.Acknowledge(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	r.Flash("You look after " + a.HostTitle)
	return r.SeeOther(r.Path("/alerts/" + id.String()))
}

func (s *Service) acknowledgeMany(r *web.Request) error {
	var f acknowledgeForm
	if err := r.Form(&f); err != nil {
		return err
	}
	ids, ok := parseIDs(f.IDs)
	back := r.Path("/alerts")
	if web.Local(f.ReturnTo) && (f.ReturnTo == back || strings.HasPrefix(f.ReturnTo, back+"?")) {
		back = f.ReturnTo
	}
	if !ok || len(ids) == 0 {
		r.Flash("Select at least one alert first")
		return r.SeeOther(back)
	}
	n, err := s.AcknowledgeMany(r.Context(), r.Actor, ids)
	if err != nil {
		return err
	}
	r.Flash(plural(n, "alert") + " acknowledged")
	return r.SeeOther(back)
}
