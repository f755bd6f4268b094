package changes

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/internal/tasks"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) showApprovals(r *web.Request) error {
	p, err := s.readPage(r, nil)
	if err != nil {
		return err
	}
	v := views.Approvals{Header: s.header(r, p, tabApprovals)}
	st := p.f.status
	switch {
	case p.c.Preauthorisation != nil:
		v.Lede = p.c.Preauthorisation.Text()
		if !st.Exists {
			v.Empty = &ui.Empty{Icon: "badge-check", Title: "Pre-authorised", Text: "Nobody has to decide about this change: its template was approved."}
		}
	case !st.Exists && len(p.f.preview.Stages) == 0 && len(p.f.preview.Problems) == 0:
		v.Empty = &ui.Empty{Icon: "badge-check", Title: "Nobody has been asked yet", Text: "Whoever must agree is asked once the change is submitted."}
	case !st.Exists:
		v.Lede = "Not submitted yet. This is who would be asked now."
	}
	stages := st.Stages
	if !st.Exists {
		stages = p.f.preview.Stages
	}
	for _, pr := range p.f.preview.Problems {
		v.Problems = append(v.Problems, ui.Finding{Tone: ui.Crit, Icon: "circle-alert", Title: pr.Stage + ": " + pr.Text, Text: pr.Fix})
	}
	for _, stage := range stages {
		v.Stages = append(v.Stages, newStage(r, stage, st.Exists))
	}
	if st.Exists {
		v.Facts = roundFacts(r, p.c, st)
	}
	return r.Page(p.page(r, "Approvals"), views.ApprovalsPage(v))
}

func roundFacts(r *web.Request, c Change, st approvals.Status) []ui.Fact {
	var names []string
	for _, pp := range st.Request.Pinned {
		names = append(names, fmt.Sprintf("%s, version %d", pp.Name, pp.Version))
	}
	kind := "Before it happens"
	if st.Request.Kind == approvals.Retro {
		kind = "Afterwards, for an emergency"
	}
	opened := moment(st.Request.OpenedAt, r.Zone())
	out := []ui.Fact{
		{Label: "State", Text: upperFirst(strings.ReplaceAll(string(st.Request.State), "_", " "))},
		{Label: "Kind", Text: kind},
		{Label: "Revision", Text: fmt.Sprint(st.Request.Revision)},
		{Label: "Opened", Time: &opened},
		{Label: "Policies", Text: strings.Join(names, "; ")},
		{Label: "Content", Text: hex.EncodeToString(st.Request.ContentHash), Copy: "Copy the content hash"},
	}
	if st.Request.Revision != c.Revision {
		out[2].Sub = fmt.Sprintf("the change is at revision %d now", c.Revision)
	}
	if st.Request.ValidUntil != nil {
		t := moment(*st.Request.ValidUntil, r.Zone())
		out = append(out, ui.Fact{Label: "Valid until", Time: &t})
	}
	if st.Request.Reason != "" {
		out = append(out, ui.Fact{Label: "Why it ended", Text: st.Request.Reason})
	}
	return out
}

func newStage(r *web.Request, st approvals.StageStatus, asked bool) views.Stage {
	v := views.Stage{ID: fmt.Sprintf("stage-%d", st.Position), Title: st.Name, Badge: stageBadge(st.State)}
	if !asked {
		v.Badge = ui.Badge{Text: "Not asked yet", Tone: ui.Mute}
	}
	if st.DueAt != nil && st.State == approvals.StageOpen {
		v.Aside = "Due " + st.DueAt.In(r.Zone()).Format("Mon 2 Jan, 15:04")
	}
	var rules []string
	for _, b := range st.Blocks {
		rule := strings.Join(b.Sources, ", ")
		if text := ruleText(b); text != "" {
			rule += " (" + text + ")"
		}
		if b.Reduced {
			rule += ", without those who may not decide on their own work"
		}
		rules = append(rules, rule)
		for _, seat := range b.Seats {
			v.Seats = append(v.Seats, newSeats(r, st, seat, asked)...)
		}
	}
	v.Rule = strings.Join(rules, "; ")
	return v
}

func stageBadge(s approvals.StageState) ui.Badge {
	switch s {
	case approvals.StageOpen:
		return ui.Badge{Text: "Waiting for a decision", Tone: ui.Warn, Icon: "clock"}
	case approvals.StageSatisfied:
		return ui.Badge{Text: "Agreed", Tone: ui.OK, Icon: "check"}
	case approvals.StageRejected:
		return ui.Badge{Text: "Rejected", Tone: ui.Crit, Icon: "x"}
	case approvals.StageClosed:
		return ui.Badge{Text: "Closed", Tone: ui.Mute}
	case approvals.StageWaiting:
	}
	return ui.Badge{Text: "Later", Tone: ui.Mute}
}

func newSeats(r *web.Request, st approvals.StageStatus, seat approvals.SeatStatus, asked bool) []views.Seat {
	var out []views.Seat
	for _, d := range seat.Decisions {
		row := views.Seat{Person: person(d.Actor.UserID, d.Actor.Name), Sub: seat.Label, Comment: help.Text(d.Comment), Badge: ui.Badge{Text: "Approved", Tone: ui.OK, Icon: "check"}}
		if d.Comment == "" {
			row.Comment = ""
		}
		switch d.Verdict {
		case approvals.Reject:
			row.Badge = ui.Badge{Text: "Rejected", Tone: ui.Crit, Icon: "x"}
		case approvals.Return:
			row.Badge = ui.Badge{Text: "Returned", Tone: ui.Warn, Icon: "undo-2"}
		case approvals.Approve:
		}
		if d.Principal.UserID != d.Actor.UserID && d.Principal.Name != "" {
			row.Note = d.Actor.Name + " for " + d.Principal.Name
			if len(d.Delegations) > 0 {
				row.Note += ", delegation " + strings.Join(d.Delegations, ", ")
			}
		}
		t := moment(d.DecidedAt, r.Zone())
		row.When = &t
		out = append(out, row)
	}
	if len(out) > 0 {
		return out
	}
	for _, who := range seatPeople(seat) {
		row := views.Seat{Person: who.Person, Sub: who.Sub, Badge: ui.Badge{Text: upperFirst(string(seat.Status)), Tone: ui.Mute}}
		switch {
		case !asked:
			row.Badge = ui.Badge{Text: "Would be asked", Tone: ui.Mute}
		case who.Badge != nil:
			row.Badge = *who.Badge
		case seat.Status == approvals.SeatOpen && st.State == approvals.StageOpen:
			row.Badge = ui.Badge{Text: "Asked", Tone: ui.Warn, Icon: "clock"}
		case st.State == approvals.StageWaiting:
			row.Badge = ui.Badge{Text: "Later", Tone: ui.Mute}
		case seat.Status == approvals.SeatSuperseded:
			row.Badge = ui.Badge{Text: "No longer needed", Tone: ui.Mute}
		}
		out = append(out, row)
	}
	return out
}

// decideForm is what the dialogs and the page of a decision send.
type decideForm struct {
	Decision string `form:"decision"`
	Verdict  string `form:"verdict"`
	Revision int64  `form:"revision"`
	Comment  string `form:"comment"`
}

// verdict is what was decided; "return" is a button of the form that rejects.
func (f decideForm) verdict() approvals.Verdict {
	if f.Verdict == string(approvals.Return) {
		return approvals.Return
	}
	return approvals.Verdict(f.Decision)
}

func (s *Service) showDecide(r *web.Request) error {
	c, err := s.Change(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	seat, err := r.UUID("seat", "seat")
	if err != nil {
		return err
	}
	f := decideForm{Decision: r.URL.Query().Get("do"), Revision: c.Revision}
	if f.Decision != string(approvals.Reject) {
		f.Decision = string(approvals.Approve)
	}
	return s.askDecision(r, c, seat, f, nil)
}

func (s *Service) askDecision(r *web.Request, c Change, seat uuid.UUID, f decideForm, err error) error {
	title := "Approve " + c.Key
	note := ui.Field{Name: "comment", Label: "Note", Value: f.Comment, Rows: 4, MaxLength: 4000, Error: form.Messages(err)["comment"], Hint: "Recorded with your name and time. It cannot be edited later."}
	v := views.Ask{
		Title: title, Lede: c.Title, Submit: "Approve", CancelHref: r.Path(c.Path()),
		Form: ui.Form{
			Action: r.Path(c.Path()) + "/decide/" + seat.String(), Errors: formErrors(err),
			Hidden: []ui.Hidden{{Name: "decision", Value: f.Decision}, {Name: "revision", Value: fmt.Sprint(c.Revision)}},
		},
	}
	if f.Decision != string(approvals.Approve) {
		v.Title, v.Submit, v.Danger = "Reject "+c.Key, "Reject", true
		note.Label, note.Required, note.Hint = "Reason", true, "Needed. The author is told at once."
		v.Selects = []ui.Field{{Name: "decision", Label: "What happens", Required: true, Options: []ui.Option{
			{Value: "reject", Text: "Reject it", Selected: f.verdict() == approvals.Reject}, {Value: "return", Text: "Return it for more work", Selected: f.verdict() == approvals.Return},
		}}}
		v.Form.Hidden = v.Form.Hidden[1:]
	}
	v.Areas = []ui.Field{note}
	page := web.Page{Title: v.Title, Crumbs: changeCrumbs(r, c, v.Submit)}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func (s *Service) decideSeat(r *web.Request) error {
	var f decideForm
	if err := r.Form(&f); err != nil {
		return err
	}
	seat, err := r.UUID("seat", "seat")
	if err != nil {
		return err
	}
	c, err := s.Change(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	err = s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		st, err := s.approvals.Status(r.Context(), tx, SubjectChange, c.ID)
		if err == nil && !hasSeat(st, seat) {
			err = fault.NewNotFound("seat")
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = s.approvals.Decide(r.Context(), r.Actor, seat, approvals.Decision{Verdict: f.verdict(), Revision: f.Revision, Comment: f.Comment})
	if err != nil {
		return s.askDecision(r, c, seat, f, err)
	}
	r.Flash(map[approvals.Verdict]string{
		approvals.Approve: "You approved " + c.Key + ".", approvals.Reject: "You rejected " + c.Key + ".", approvals.Return: "You returned " + c.Key + ".",
	}[f.verdict()])
	return r.SeeOther(r.Path(c.Path()))
}

func gateWords(gate string) string {
	switch gate {
	case tasks.BeforeStart:
		return "The start"
	case tasks.BeforeComplete:
		return "The completion"
	case tasks.BeforeClose:
		return "The review"
	}
	return ""
}

func (s *Service) showTasks(r *web.Request) error {
	var rows []tasks.Item
	p, err := s.readPage(r, func(tx *db.Tx, p *pageData) error {
		var err error
		rows, err = s.tasks.ForParent(r.Context(), tx, SubjectChange, p.c.ID)
		return err
	})
	if err != nil {
		return err
	}
	v := views.Tasks{Header: s.header(r, p, tabTasks)}
	if r.Can(tasks.CanUpdate) && (p.c.State.Open() || p.c.PIR == "required") {
		v.AddHref = query(r.Path("/tasks/new"), "parent_type", SubjectChange, "parent_id", p.c.ID.String())
	}
	for _, t := range rows {
		row := views.TaskRow{Key: t.Key, Title: t.Title, Href: r.Path(t.Path()), Gate: gateWords(t.Gate), Verification: t.Verification, State: tasks.Badge(t), Assignee: t.AssigneeName}
		if t.HasDue() {
			due := moment(t.DueAt, r.Zone())
			row.Due = &due
		}
		v.Rows = append(v.Rows, row)
	}
	if len(rows) == 0 {
		v.Empty = &ui.Empty{Icon: "list-todo", Title: "No task belongs to this change", Text: "A task may hold back the start, the completion or the review until it is done: a backup, a rehearsal, a message to customers."}
		if v.AddHref != "" {
			v.Empty.Actions = []ui.LinkButton{{Text: "Add task", Href: v.AddHref, Icon: "plus", Kind: ui.Primary}}
		}
	}
	return r.Page(p.page(r, "Tasks"), views.TasksPage(v))
}

func (s *Service) showComments(r *web.Request) error { return s.commentsPage(r, "", nil) }

func (s *Service) commentsPage(r *web.Request, text string, err error) error {
	var rows []Comment
	p, readErr := s.readPage(r, func(tx *db.Tx, p *pageData) error {
		var err error
		rows, err = commentsOf.All(r.Context(), tx, db.Args{"id": p.c.ID})
		return err
	})
	if readErr != nil {
		return readErr
	}
	path := r.Path(p.c.Path())
	v := views.Comments{Header: s.header(r, p, tabComments)}
	for _, c := range rows {
		row := views.CommentRow{
			ID: c.ID.String(), Person: person(c.AuthorID.UUID, c.AuthorName), HTML: help.Text(c.Body), Time: moment(c.CreatedAt, r.Zone()), Deleted: c.DeletedAt != nil,
		}
		if c.DeletedAt == nil && r.Can(CanComment) && (c.AuthorID.UUID == r.Actor.UserID || r.Can(CanManage)) {
			row.DeleteAction = path + "/comments/" + row.ID + "/delete"
		}
		v.List = append(v.List, row)
	}
	if len(rows) == 0 {
		v.Empty = &ui.Empty{Icon: "message-square", Title: "Nobody has commented yet", Text: "Ask, or say what whoever carries it out should know. @name tells somebody."}
	}
	if r.Can(CanComment) {
		v.Form = &views.CommentForm{
			Action: path + "/comments", Errors: formErrors(err),
			Body: ui.Field{Name: "body", Label: "Comment", Value: text, Rows: 4, Required: true, MaxLength: maxText, Error: form.Messages(err)["body"], Hint: "Markdown works. @name tells somebody."},
		}
	}
	if err != nil {
		return r.InvalidPage(err, p.page(r, "Comments"), views.CommentsPage(v))
	}
	return r.Page(p.page(r, "Comments"), views.CommentsPage(v))
}

type commentForm struct {
	Body string `form:"body"`
}

func (s *Service) createComment(r *web.Request) error {
	var f commentForm
	if err := r.Form(&f); err != nil {
		return err
	}
	key := r.Param("key")
	c, err := s.AddComment(r.Context(), r.Actor, key, f.Body)
	if err != nil {
		if fault.Is(err, fault.Invalid) {
			return s.commentsPage(r, f.Body, err)
		}
		return err
	}
	return r.SeeOther(r.Path(changePath(key)) + "/comments#comment-" + c.ID.String())
}

func (s *Service) deleteComment(r *web.Request) error {
	id, err := r.UUID("id", "comment")
	if err != nil {
		return err
	}
	if err := s.DeleteComment(r.Context(), r.Actor, r.Param("key"), id); err != nil {
		return err
	}
	r.Flash("The comment was taken back.")
	return r.SeeOther(r.Path(changePath(r.Param("key"))) + "/comments")
}

// activityLimit is how many lines the tab shows.
const activityLimit = 100

func (s *Service) showActivity(r *web.Request) error {
	p, err := s.readPage(r, nil)
	if err != nil {
		return err
	}
	v := views.Activity{Header: s.header(r, p, tabActivity)}
	if v.Entries, err = s.timeline(r, p.c.ID, activityLimit); err != nil {
		return err
	}
	if len(v.Entries) == 0 {
		v.Empty = &ui.Empty{Icon: "activity", Title: "Nothing happened yet", Text: "What is done with this change is listed here, from the audit log."}
	}
	return r.Page(p.page(r, "Activity"), views.ActivityPage(v))
}

func (s *Service) showAttachments(r *web.Request) error { return s.attachmentsPage(r, nil) }

func (s *Service) attachmentsPage(r *web.Request, err error) error {
	var rows []Attachment
	p, readErr := s.readPage(r, func(tx *db.Tx, p *pageData) error {
		var err error
		rows, err = attachmentsOf.All(r.Context(), tx, db.Args{"id": p.c.ID})
		return err
	})
	if readErr != nil {
		return readErr
	}
	path := r.Path(p.c.Path())
	v := views.Attachments{Header: s.header(r, p, tabAttachments), Rows: fileRows(r, p.c, rows, r.Can(CanUpdate))}
	if len(rows) == 0 {
		v.Empty = &ui.Empty{Icon: "paperclip", Title: "No file is attached", Text: "Logs of a rehearsal, a diagram, the vendor's release notes. Text, images, PDF, office documents and zip archives up to 25 MiB."}
	}
	if r.Can(CanComment) {
		v.Form = &ui.Form{Action: path + "/attachments", Upload: true, Errors: formErrors(err)}
		v.File = ui.Field{Name: "file", Label: "File", Type: "file", Required: true, Error: form.Messages(err)["file"], Hint: "At most 25 MiB. Adding a file does not restart the approval; removing one does."}
	}
	if err != nil {
		return r.InvalidPage(err, p.page(r, "Attachments"), views.AttachmentsPage(v))
	}
	return r.Page(p.page(r, "Attachments"), views.AttachmentsPage(v))
}

func fileRows(r *web.Request, c Change, files []Attachment, mayRemove bool) []views.FileRow {
	var out []views.FileRow
	for _, f := range files {
		base := r.Path(c.Path()) + "/attachments/" + f.ID.String()
		row := views.FileRow{
			Name: f.Name, Href: base, Kind: f.ContentType, Size: sizeText(f.Size), By: f.UploaderName, Time: moment(f.CreatedAt, r.Zone()),
			SHA256: hex.EncodeToString(f.SHA256)[:16] + "…",
		}
		if mayRemove && editable(c.State, "attachments") {
			row.RemoveHref = base + "/remove"
		}
		out = append(out, row)
	}
	return out
}
