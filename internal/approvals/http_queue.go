package approvals

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/approvals"
	"github.com/vigilo/vigilo/templates/ui"
)

// queueFilter narrows a queue. View is waiting, delegated or decided.
type queueFilter struct {
	View string
	Risk string
	Due  string // overdue, day, week
	Kind Kind
	Text string
	Type string // of the subject
}

func queueFilterOf(q url.Values) queueFilter {
	f := queueFilter{View: "waiting"}
	if v := q.Get("view"); v == "delegated" || v == "decided" {
		f.View = v
	}
	if v := q.Get("risk"); slices.Contains(Levels(), v) {
		f.Risk = v
	}
	if v := q.Get("due"); v == "overdue" || v == "day" || v == "week" {
		f.Due = v
	}
	if v := Kind(q.Get("kind")); v == Normal || v == Retro || v == Template {
		f.Kind = v
	}
	f.Text = strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(q.Get("q")), "\x00", ""), "")
	if len(f.Text) > 200 {
		f.Text = strings.ToValidUTF8(f.Text[:200], "")
	}
	return f
}

// query builds the list of a person's queue.
func (f queueFilter) query(me uuid.UUID, now time.Time) *db.ListQuery[QueueItem] {
	var q *db.ListQuery[QueueItem]
	switch f.View {
	case "decided":
		q = decidedList.Query().Filter("mine", db.Args{"me": me})
	case "delegated":
		q = queueList.Query().Filter("delegated", db.Args{"me": me})
	case "all":
		q = queueList.Query().Filter("any", nil)
	default:
		q = queueList.Query().Filter("mine", db.Args{"me": me})
	}
	if f.Risk != "" {
		q.Filter("risk", db.Args{"risk": f.Risk})
	}
	if f.Kind != "" {
		q.Filter("kind", db.Args{"kind": f.Kind})
	}
	if f.Type != "" {
		q.Filter("type", db.Args{"type": f.Type})
	}
	if f.Text != "" {
		q.Filter("text", db.Args{"text": f.Text})
	}
	if f.View != "decided" {
		if until := map[string]time.Duration{"day": 24 * time.Hour, "week": 7 * 24 * time.Hour}[f.Due]; f.Due != "" {
			q.Filter("before", db.Args{"before": now.Add(until)})
		}
	}
	return q
}

func (s *Service) showQueue(r *web.Request) error {
	q := r.URL.Query()
	f := queueFilterOf(q)
	if q.Get("format") == "csv" {
		return s.sendQueue(r, f)
	}
	me := r.Actor.UserID
	list, err := f.query(me, r.Now()).Sort(q.Get("sort")).After(q.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[QueueItem]
	var count *db.Result[int64]
	var tally *db.Result[tallyRow]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count = list.Queue(b), list.QueueCount(b)
		tally = queueTally.Queue(b, db.Args{"me": me, "soon": r.Now().Add(24 * time.Hour), "week": r.Now().Add(7 * 24 * time.Hour)})
	}); err != nil {
		return err
	}
	n, _ := tally.First()
	total, _ := count.First()
	v := queueView(r, f, page.Page, total, n, list.SortInUse())
	return r.Page(web.Page{Title: "Approvals", Crumbs: []web.Crumb{{Text: "Work"}, {Text: "Approvals"}}}, views.QueuePage(v))
}

func queueView(r *web.Request, f queueFilter, page db.Page[QueueItem], total int64, n tallyRow, sort string) views.Queue {
	path, q := r.Path("/approvals"), r.URL.Query()
	v := views.Queue{
		Lede: "What waits for your decision, nearest deadline first.", Decided: f.View == "decided", Back: r.URL.RequestURI(),
		Actions: []ui.LinkButton{
			{Text: "Export CSV", Href: web.Address(path, q, "format", "csv"), Icon: "download"},
			{Text: "Away and delegations", Href: r.Path("/account/away"), Icon: "user-check"},
		},
		Stats: []ui.Stat{
			stat("Waiting for you", "inbox", n.Waiting, ui.Info, path, "Nothing waits"),
			stat("Overdue", "circle-alert", n.Late, ui.Crit, path+"?due=overdue", "None"),
			stat("Due within a day", "clock", n.Soon, ui.Warn, path+"?due=day", "None"),
			stat("Due within a week", "calendar-days", n.Week, ui.Mute, path+"?due=week", "None"),
			stat("Yours, with others", "user-check", n.Delegated, ui.Mute, path+"?view=delegated", "Nothing is delegated"),
		},
		Pager: ui.Pager{Label: countLabel(total, "approval")},
	}
	if r.Can(ReadPolicies) {
		v.Actions = append(v.Actions, ui.LinkButton{Text: "Policies", Href: r.Path(policiesPath), Icon: "scroll-text"})
	}
	tab := func(text, view string, count int64) ui.Tab {
		t := ui.Tab{Text: text, Href: web.Address(path, url.Values{}, "view", view), Current: f.View == view || view == "" && f.View == "waiting"}
		if count > 0 {
			t.Count = strconv.FormatInt(count, 10)
		}
		return t
	}
	v.Tabs = ui.Tabs{Label: "Queue", Items: []ui.Tab{
		tab("Waiting for you", "", n.Waiting), tab("Delegated to others", "delegated", n.Delegated), tab("Decided by you", "decided", 0),
	}}
	v.Caption = "Approvals, nearest deadline first"
	cols := []web.SortColumn{
		{Name: "key", Column: ui.Column{Text: "Subject"}},
		{Name: "", Column: ui.Column{Text: "Risk", Leaves: ui.LeavesThird}},
		{Name: "", Column: ui.Column{Text: "Stage", Leaves: ui.LeavesNext}},
		{Name: "due_at", Column: ui.Column{Text: "Due"}},
		{Name: "opened_at", Column: ui.Column{Text: "Asked", Leaves: ui.LeavesFirst}},
	}
	if v.Decided {
		v.Caption = "Your decisions, newest first"
		cols = append(cols[:3], web.SortColumn{Name: "", Column: ui.Column{Text: "Decision"}}, web.SortColumn{Name: "decided_at", Column: ui.Column{Text: "When", Leaves: ui.LeavesLast}})
	}
	v.Columns = web.Headings(path, q, sort, cols)
	queueFilters(r, f, sort, &v)
	for _, i := range page.Items {
		v.Rows = append(v.Rows, queueRow(r, f, i))
	}
	if page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", page.Next)
	}
	if page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", page.Prev)
	}
	if !v.Decided && r.Can(DecideApprovals) {
		v.Decide = path + "/decide"
	}
	if len(v.Rows) == 0 {
		v.Empty = emptyQueue(r, path, f, v.Filters.Chips)
	}
	return v
}

func stat(label, icon string, n int64, tone ui.Tone, href, none string) ui.Stat {
	s := ui.Stat{Label: label, Icon: icon, Value: strconv.FormatInt(n, 10), Tone: tone, Href: href, Detail: "Open the list"}
	if n == 0 {
		s.Tone, s.Detail = ui.Mute, none
	}
	return s
}

func queueRow(r *web.Request, f queueFilter, i QueueItem) views.QueueRow {
	row := views.QueueRow{
		ID: i.SeatID.String(), Risk: riskBadge(i.Risk), Stage: i.Stage, Due: dueBadge(r.Now(), i.DueAt), When: timetext.Minute(i.DueAt, r.Zone()), Since: moment(r, i.OpenedAt),
		Link: ui.RowLink{Key: i.Key, Text: i.Title, Sub: i.Stage, Href: r.Path("/approvals/" + i.SeatID.String())},
	}
	if i.Kind == Retro {
		row.Link.Dim = " (look back)"
	}
	switch {
	case f.View == "decided":
		row.State, row.When, row.Note = verdictBadge(Verdict(i.Verdict)), moment(r, i.DecidedAt), i.Comment
		if runes := []rune(i.Comment); len(runes) > 120 {
			row.Note = string(runes[:119]) + "…"
		}
	case i.Unrouted != "":
		row.Note = unroutedText(i.Unrouted)
	case f.View == "delegated":
		row.Note = "With " + nameOr(i.Assigned)
	case i.Escalated:
		row.Note = "Nobody answered in time"
	case i.Principal != r.Actor.UserID:
		row.Note = "For " + nameOr(i.For)
	}
	return row
}

func queueFilters(r *web.Request, f queueFilter, sort string, v *views.Queue) {
	path, q := r.Path("/approvals"), r.URL.Query()
	v.Filters = ui.Filters{
		Action: path, Results: "results",
		Search: ui.Search{Name: "q", Value: f.Text, Label: "Filter by key or title", Placeholder: "Filter by key or title"},
	}
	if f.View != "waiting" {
		v.Filters.Hidden = append(v.Filters.Hidden, ui.Hidden{Name: "view", Value: f.View})
	}
	if q.Get("sort") != "" {
		v.Filters.Hidden = append(v.Filters.Hidden, ui.Hidden{Name: "sort", Value: sort})
	}
	chip := func(field, value, name string) {
		v.Filters.Chips = append(v.Filters.Chips, ui.Chip{Field: field, Operator: "is", Value: value, RemoveHref: web.Address(path, q, name, "")})
	}
	choice := func(name, label, chosen string, options ...ui.Option) ui.Field {
		field := ui.Field{Name: name, Label: label, Required: true, Options: append([]ui.Option{{Text: "Any"}}, options...)}
		for i := range field.Options {
			if field.Options[i].Value == chosen && chosen != "" {
				field.Options[i].Selected = true
				chip(label, lower(field.Options[i].Text), name)
			}
		}
		return field
	}
	v.Risk = choice("risk", "Risk", f.Risk, levelOptions("")...)
	if !v.Decided {
		v.Due = choice("due", "Deadline", f.Due, ui.Option{Value: "overdue", Text: "Passed"}, ui.Option{Value: "day", Text: "Within a day"}, ui.Option{Value: "week", Text: "Within a week"})
	}
	v.Kind = choice("kind", "Kind", string(f.Kind), kindOptions()...)
}

func kindOptions() []ui.Option {
	return []ui.Option{{Value: string(Normal), Text: kindText(Normal)}, {Value: string(Retro), Text: kindText(Retro)}, {Value: string(Template), Text: kindText(Template)}}
}

func kindText(k Kind) string {
	switch k {
	case Normal:
		return "Before it happens"
	case Retro:
		return "Look back at an emergency"
	case Template:
		return "Template"
	default:
		return string(k)
	}
}

func emptyQueue(r *web.Request, path string, f queueFilter, chips []ui.Chip) *ui.Empty {
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
			Icon: "filter", Title: "No approval matches", Text: "Remove " + strings.Join(names, " or ") + " to see more.",
			Actions: []ui.LinkButton{{Text: "Clear all", Href: path}},
		}
	case f.View == "delegated":
		return &ui.Empty{
			Icon: "user-check", Title: "Nothing of yours is with others", Text: "While a delegation runs, your approvals are listed here and you may still decide them.",
			Actions: []ui.LinkButton{{Text: "Away and delegations", Href: r.Path("/account/away"), Icon: "user-check"}},
		}
	case f.View == "decided":
		return &ui.Empty{Icon: "history", Title: "No decision yet", Text: "What you approve, return or reject is kept here."}
	default:
		return &ui.Empty{Icon: "circle-check", Title: "Nothing waits for you", Text: "You are told in your inbox, and by mail, when somebody needs your approval."}
	}
}

// sendQueue writes the filtered list as CSV. Rows are read before the first byte, so that a
// failure is still an error page.
func (s *Service) sendQueue(r *web.Request, f queueFilter) error {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if err := w.Write([]string{"key", "title", "type", "kind", "risk", "revision", "stage", "for", "due_at", "opened_at", "decision", "decided_at", "comment"}); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		return f.query(r.Actor.UserID, tx.Now).Sort(r.URL.Query().Get("sort")).Each(r.Context(), tx, func(i QueueItem) error {
			decidedAt := ""
			if i.Verdict != "" {
				decidedAt = i.DecidedAt.UTC().Format(time.RFC3339)
			}
			return w.Write([]string{
				export.Cell(i.Key), export.Cell(i.Title), i.Type, string(i.Kind), export.Cell(i.Risk), strconv.FormatInt(i.Revision, 10), export.Cell(i.Stage),
				export.Cell(i.For), i.DueAt.UTC().Format(time.RFC3339), i.OpenedAt.UTC().Format(time.RFC3339), i.Verdict, decidedAt, export.Cell(i.Comment),
			})
		})
	})
	if err != nil {
		return err
	}
	w.Flush()
	if _, err := r.Download("approvals.csv", "text/csv; charset=utf-8").Write([]byte(b.String())); err != nil {
		return fmt.Errorf("send csv: %w", err)
	}
	return nil
}

// maxBulk is how many seats one form decides.
const maxBulk = 90 // two fields each, within the limit of a form

type bulkForm struct {
	Do      string   `form:"do"`
	IDs     []string `form:"id"`
	Comment string   `form:"comment"`
}

func parseIDs(texts []string) []uuid.UUID {
	var out []uuid.UUID
	for _, t := range texts {
		if id, err := uuid.Parse(t); err == nil && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func (s *Service) showBulk(r *web.Request) error {
	q := r.URL.Query()
	f := bulkForm{Do: q.Get("do"), IDs: q["id"]}
	if len(parseIDs(f.IDs)) == 0 {
		r.Flash("Select at least one approval first")
		return r.SeeOther(r.Path("/approvals"))
	}
	v, err := s.bulkView(r, f, nil)
	if err != nil {
		return err
	}
	return r.Page(bulkPage(r, v), views.BulkPage(v))
}

func bulkPage(r *web.Request, v views.Bulk) web.Page {
	return web.Page{Title: v.Head.Title, Crumbs: []web.Crumb{{Text: "Work"}, {Text: "Approvals", Href: r.Path("/approvals")}, {Text: v.Head.Title}}}
}

// bulkView asks about the seats that are still open and the reader's; the others are gone.
func (s *Service) bulkView(r *web.Request, f bulkForm, err error) (views.Bulk, error) {
	verb := map[string]string{"approve": "Approve", "return": "Return", "reject": "Reject"}[f.Do]
	if verb == "" {
		return views.Bulk{}, fault.NewInvalid("not_allowed", "Choose whether to approve, return or reject.")
	}
	ids := parseIDs(f.IDs)
	if len(ids) > maxBulk {
		return views.Bulk{}, fault.NewInvalid("too_many", fmt.Sprintf("Decide at most %d at once.", maxBulk))
	}
	var items *db.Result[QueueItem]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		items = itemsOf.Queue(b, db.Args{"ids": ids, "me": r.Actor.UserID})
	}); err != nil {
		return views.Bulk{}, err
	}
	v := views.Bulk{
		Head: ui.PageHead{Title: verb + " " + plural(len(items.Rows), "approval"), Lede: "Each is decided on its own, at the revision below. One comment is kept with all of them."},
		Form: ui.Form{
			Action: r.Path("/approvals/decide"), Guard: true, Hidden: []ui.Hidden{{Name: "do", Value: f.Do}},
			Errors: web.FormErrors(err, map[string]string{"comment": "Comment"}),
		},
		Note:   web.WithError(ui.Field{Name: "comment", Label: "Comment", Value: f.Comment, Rows: 4, MaxLength: maxComment, Required: f.Do != "approve"}, err),
		Submit: verb + " " + plural(len(items.Rows), "approval"), Danger: f.Do == "reject", Back: r.Path("/approvals"),
	}
	for _, i := range items.Rows {
		row := ui.Row{
			Icon: "clipboard-check", Key: i.Key, Title: i.Title, Href: r.Path("/approvals/" + i.SeatID.String()),
			Sub: fmt.Sprintf("%s, revision %d", i.Stage, i.Revision), Badge: riskBadge(i.Risk),
		}
		v.Rows = append(v.Rows, views.BulkRow{ID: i.SeatID.String(), Revision: strconv.FormatInt(i.Revision, 10), Row: row})
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{
			Icon: "circle-check", Title: "None of them waits for you any more", Text: "They were decided meanwhile, or went to somebody else.",
			Actions: []ui.LinkButton{{Text: "Back to the approvals", Href: v.Back}},
		}
	}
	return v, nil
}

// decideBulk decides each seat in a transaction of its own: one that was lost meanwhile
// keeps no other from being decided.
func (s *Service) decideBulk(r *web.Request) error {
	var f bulkForm
	if err := r.Form(&f); err != nil {
		return err
	}
	again := func(err error) error {
		v, viewErr := s.bulkView(r, f, err)
		if viewErr != nil {
			return viewErr
		}
		return r.InvalidPage(err, bulkPage(r, v), views.BulkPage(v))
	}
	ids := parseIDs(f.IDs)
	if len(ids) == 0 || len(ids) > maxBulk {
		return again(fault.NewInvalid("out_of_range", fmt.Sprintf("Decide 1 to %d at once.", maxBulk)))
	}
	probe := Decision{Verdict: Verdict(f.Do), Comment: f.Comment, Revision: 1}
	if err := probe.check(); err != nil {
		return again(err)
	}
	done := 0
	var lost []string
	for _, id := range ids {
		// A revision that is no number is none that anybody has read.
		revision, err := strconv.ParseInt(r.PostForm.Get("revision_"+id.String()), 10, 64)
		if err != nil {
			err = fault.InvalidField("revision", "required", "Say which revision you have read.")
		} else {
			_, err = s.Decide(r.Context(), r.Actor, id, Decision{Verdict: Verdict(f.Do), Revision: revision, Comment: f.Comment})
		}
		switch e := fault.Find(err); {
		case err == nil:
			done++
		case e == nil || e.Kind == fault.Internal || e.Kind == fault.Unavailable:
			return fmt.Errorf("decide seat %s after %d others: %w", id, done, err)
		default:
			r.LogFailure(err)
			if !slices.Contains(lost, e.Message) {
				lost = append(lost, e.Message)
			}
		}
	}
	text := plural(done, "approval") + " decided"
	if n := len(ids) - done; n > 0 {
		text += fmt.Sprintf(", %d not: %s", n, strings.Join(lost, " "))
	}
	if runes := []rune(text); len(runes) > 280 {
		text = string(runes[:279]) + "…"
	}
	r.Flash(text)
	return r.SeeOther(r.Path("/approvals"))
}
