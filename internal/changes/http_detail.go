package changes

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// pageData is what every page of a change shows around its own part.
type pageData struct {
	c        Change
	f        facts
	options  []Option
	comments int64
	files    int64
	tasks    int
	watching bool
}

// readPage reads a change with what stands in its way, and what more adds.
func (s *Service) readPage(r *web.Request, more func(tx *db.Tx, p *pageData) error) (*pageData, error) {
	p := &pageData{}
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if p.c, err = findChange(r.Context(), tx, r.Param("key")); err != nil {
			return err
		}
		if p.f, err = s.collect(r.Context(), tx, p.c); err != nil {
			return err
		}
		p.options = options(p.f)
		n, err := tabCounts.One(r.Context(), tx, db.Args{"id": p.c.ID, "me": r.Actor.UserID})
		if err != nil {
			return err
		}
		p.comments, p.files, p.watching = n.Comments, n.Files, n.Watching
		open, err := s.tasks.OpenCounts(r.Context(), tx, SubjectChange, []uuid.UUID{p.c.ID})
		if err != nil {
			return fmt.Errorf("count tasks of %s: %w", p.c.Key, err)
		}
		p.tasks = open[p.c.ID]
		if more == nil {
			return nil
		}
		return more(tx, p)
	})
	return p, err
}

// The tabs of a change, as parts of its address.
const (
	tabOverview    = ""
	tabApprovals   = "/approvals"
	tabTasks       = "/tasks"
	tabComments    = "/comments"
	tabAttachments = "/attachments"
	tabActivity    = "/activity"
)

func numberOrNone(n int64) string {
	if n == 0 {
		return ""
	}
	return cappedCount(n)
}

// header makes what all pages of a change share.
func (s *Service) header(r *web.Request, p *pageData, tab string) views.Header {
	c, now := p.c, r.Now()
	path := r.Path(c.Path())
	badge := stateBadge(c.State)
	h := views.Header{
		Head: ui.PageHead{
			Title: c.Title, Badge: &badge, Lede: lede(c, p.f.people, r),
			Printed: fmt.Sprintf("Vigilo, workspace %s. Printed %s by %s. %s, revision %d, version %d.", r.Workspace.Name,
				now.In(r.Zone()).Format("2 January 2006, 15:04 MST"), r.User().Name, c.Key, c.Revision, c.Version),
		},
		Steps: lifeSteps(c), Live: "change/" + c.ID.String() + " task", Self: path + tab, Menu: s.menu(r, p),
	}
	items := []ui.Tab{
		{Text: "Overview", Href: path},
		{Text: "Approvals", Href: path + tabApprovals},
		{Text: "Tasks", Href: path + tabTasks, Count: numberOrNone(int64(p.tasks))},
		{Text: "Comments", Href: path + tabComments, Count: numberOrNone(p.comments)},
		{Text: "Attachments", Href: path + tabAttachments, Count: numberOrNone(p.files)},
	}
	if s.activity != nil {
		items = append(items, ui.Tab{Text: "Activity", Href: path + tabActivity})
	}
	for i := range items {
		items[i].Current = items[i].Href == path+tab
	}
	h.Tabs = ui.Tabs{Label: "Change", Items: items}
	h.Notices = s.notices(r, p)
	s.nextAct(r, p, &h)
	return h
}

func lede(c Change, people roster, r *web.Request) string {
	text := c.Key + ", " + string(c.Type) + " change"
	if c.Requester.Valid {
		text += ", filed by " + people.name(c.Requester.UUID)
	}
	return text + " on " + c.CreatedAt.In(r.Zone()).Format("2 January 2006")
}

// lifeSteps draws the life of a change; one that ended badly says so in its last step.
func lifeSteps(c Change) []ui.Step {
	names := []string{"Draft", "Review", "Approved", "Scheduled", "In progress", "Completed"}
	at := map[State]int{
		lifecycle.Draft: 0, lifecycle.Review: 1, lifecycle.Approved: 2, lifecycle.Scheduled: 3, lifecycle.InProgress: 4, lifecycle.Completed: 5,
		lifecycle.Failed: 5, lifecycle.RolledBack: 5, lifecycle.Cancelled: 5,
	}[c.State]
	if c.State == lifecycle.Failed || c.State == lifecycle.RolledBack || c.State == lifecycle.Cancelled {
		names[5] = c.State.Label()
	}
	out := make([]ui.Step, len(names))
	for i, n := range names {
		out[i] = ui.Step{Text: n, Done: i < at || (c.State == lifecycle.Completed && i == at), Current: i == at && c.State != lifecycle.Completed}
	}
	if c.State == lifecycle.Cancelled {
		for i := range 5 {
			out[i].Done = (i == 0) || (i == 1 && c.SubmittedAt != nil) || (i == 2 && c.ApprovedAt != nil) || (i == 3 && c.ScheduledAt != nil)
		}
	}
	return out
}

// menu holds what is done seldom.
func (s *Service) menu(r *web.Request, p *pageData) ui.Menu {
	c, path := p.c, r.Path(p.c.Path())
	m := ui.Menu{ID: "change-menu", Label: "More", Icon: "ellipsis", IconOnly: true}
	if r.Can(CanUpdate) && c.State.Open() {
		m.Items = append(m.Items, ui.MenuItem{Text: "Edit", Href: path + "/edit", Icon: "pencil"})
		if c.State != lifecycle.InProgress {
			m.Items = append(m.Items, ui.MenuItem{Text: "Order of work", Href: path + "/steps", Icon: "list"})
		}
	}
	if r.Can(CanCreate) {
		m.Items = append(m.Items, ui.MenuItem{Text: "Copy into a new change", Href: query(r.Path("/changes/new"), "from", c.Key), Icon: "copy"})
	}
	if p.watching {
		m.Items = append(m.Items, ui.MenuItem{Text: "Stop watching", Href: path + "/unwatch", Icon: "eye-off", Post: true})
	} else {
		m.Items = append(m.Items, ui.MenuItem{Text: "Watch", Href: path + "/watch", Icon: "eye", Post: true})
	}
	if c.State.Open() && s.mayHold(r.Actor, c) == nil {
		m.Items = append(m.Items, ui.MenuItem{Text: "Put on hold", Href: path + "/hold", Icon: "circle-pause"})
	}
	m.Items = append(m.Items, ui.MenuItem{Text: "Proof, for the auditor", Href: path + "/proof", Icon: "shield-check"})
	return m
}

// notices are the things about a change that need attention, the worst first.
func (s *Service) notices(r *web.Request, p *pageData) []ui.Notice {
	var out []ui.Notice
	c, path := p.c, r.Path(p.c.Path())
	for _, h := range p.f.holds {
		if h.ReleasedAt != nil {
			continue
		}
		n := ui.Notice{Tone: ui.Warn, Icon: "circle-pause", Title: "On hold since " + h.CreatedAt.In(r.Zone()).Format("2 January, 15:04") + ".", Text: h.Reason}
		if h.Kind == "freeze" || h.Kind == "lockdown" {
			n.Icon, n.Text = "snowflake", h.Reason+" It goes on when the freeze is lifted or an override is granted."
			n.Action = &ui.Link{Text: "Look at the freeze", Href: r.Path("/settings/maintenance/" + h.SourceID.UUID.String())}
		} else if h.Kind == "manual" && s.mayHold(r.Actor, c) == nil {
			n.Action = &ui.Link{Text: "Release", Href: path + "/hold"}
		}
		out = append(out, n)
	}
	add := func(tone ui.Tone, icon, title, text string, action *ui.Link) {
		out = append(out, ui.Notice{Tone: tone, Icon: icon, Title: title, Text: text, Action: action})
	}
	switch {
	case c.State == lifecycle.Draft && c.StateReason != "":
		add(ui.Warn, "undo-2", "It came back for more work.", c.StateReason, nil)
	case c.State == lifecycle.Review && c.StateReason != "":
		add(ui.Info, "rotate-ccw", "It is being approved again.", c.StateReason, nil)
	case c.State == lifecycle.Approved && c.MissedWindow:
		add(ui.Warn, "clock", "It missed its window.", "Choose another one and schedule it again. The approval still counts.", &ui.Link{Text: "Change the window", Href: path + "/edit"})
	case c.State == lifecycle.InProgress && c.Overrun(r.Now()) > 0:
		add(ui.Warn, "clock", "It runs longer than planned.", "Its window ended "+relative(*c.End, r.Now())+". Complete it, or record that it failed.", nil)
	case c.State == lifecycle.Failed || c.State == lifecycle.RolledBack || c.State == lifecycle.Cancelled:
		if c.StateReason != "" {
			add(stateTone(c.State), stateIcon(c.State), c.State.Label()+".", c.StateReason, nil)
		}
	}
	if b := retroBadge(c.Retro); b != nil && c.Retro != "approved" {
		add(b.Tone, b.Icon, b.Text+".", "It started as an emergency, without approval.", &ui.Link{Text: "Who decides", Href: path + tabApprovals})
	}
	if c.PIR == "required" && (c.State.Final() || c.State == lifecycle.Failed) {
		add(ui.Info, "clipboard-check", "A review is asked for.", "Write down how it went and what follows from it.", &ui.Link{Text: "Write the review", Href: path + "/review"})
	}
	if c.TemplateNote != "" && c.State == lifecycle.Draft {
		add(ui.Info, "copy", "It goes the normal way now.", c.TemplateNote, nil)
	}
	return append(out, freezeNotices(r, p)...)
}

// freezeNotices say which freezes the window meets.
func freezeNotices(r *web.Request, p *pageData) []ui.Notice {
	var out []ui.Notice
	if !p.c.State.Open() || p.c.State == lifecycle.InProgress {
		return nil
	}
	held := func(id uuid.UUID) bool {
		return slices.ContainsFunc(p.f.holds, func(h Hold) bool { return h.ReleasedAt == nil && h.SourceID.UUID == id })
	}
	for _, h := range p.f.hits {
		if held(h.FreezeID) {
			continue
		}
		n := ui.Notice{Tone: ui.Warn, Icon: "snowflake", Title: "The window meets " + h.Name + ".", Text: h.Reason, Action: &ui.Link{Text: "Look at it", Href: r.Path("/settings/maintenance/" + h.FreezeID.String())}}
		switch _, ok := p.f.overridden[h.FreezeID]; {
		case ok:
			n.Tone, n.Title = ui.Info, "The window meets "+h.Name+"; an override is granted."
		case h.Blocks:
			n.Tone, n.Text = ui.Crit, h.Reason+" It cannot run then without an override."
		case h.Downstream:
			n.Text = h.Reason + " Only what depends on its assets is concerned."
		}
		out = append(out, n)
	}
	return out
}

func freezeFindings(r *web.Request, hits []freezes.Hit) []ui.Finding {
	var out []ui.Finding
	for _, h := range hits {
		f := ui.Finding{Tone: ui.Warn, Icon: "snowflake", Title: h.Name, Text: h.Reason, Action: &ui.Link{Text: "Look", Href: r.Path("/settings/maintenance/" + h.FreezeID.String())}}
		if h.Blocks {
			f.Tone, f.Text = ui.Crit, h.Reason+" The change cannot run then without an override."
		}
		out = append(out, f)
	}
	return out
}

// mySeat finds the open seat that the reader may fill.
func mySeat(r *web.Request, st approvals.Status) (approvals.SeatStatus, string, bool) {
	if !r.Can(approvals.DecideApprovals) || st.Request.State != approvals.StateOpen {
		return approvals.SeatStatus{}, "", false
	}
	for _, stage := range st.Stages {
		if stage.State != approvals.StageOpen {
			continue
		}
		for _, b := range stage.Blocks {
			for _, seat := range b.Seats {
				if seat.Status != approvals.SeatOpen {
					continue
				}
				for _, rt := range seat.Routes {
					switch me := r.Actor.UserID; {
					case rt.Assignee.UserID == me && rt.Principal.UserID != me && rt.Principal.Name != "":
						return seat, " for " + rt.Principal.Name, true
					case rt.Assignee.UserID == me || rt.Principal.UserID == me:
						return seat, ", " + lowerFirst(stage.Name), true
					}
				}
			}
		}
	}
	return approvals.SeatStatus{}, "", false
}

// nextAct puts what comes next at the head of the page: the reader's own decision, else the
// next action that the rules allow them.
func (s *Service) nextAct(r *web.Request, p *pageData, h *views.Header) {
	path := r.Path(p.c.Path())
	if seat, as, ok := mySeat(r, p.f.status); ok && !slices.ContainsFunc(excluded(p.c, r.Actor), func(e approvals.Excluded) bool { return e.UserID == r.Actor.UserID }) {
		action := path + "/decide/" + seat.ID.String()
		h.Decide = &views.Decide{Action: action, Seat: seat.ID.String(), Revision: fmt.Sprint(p.c.Revision), Title: p.c.Key, As: as}
		h.Reject = &ui.LinkButton{Text: "Reject", Href: query(action, "do", "reject"), Icon: "x", Kind: ui.Danger, Attrs: templ.Attributes{"data-open": "reject"}}
		h.Approve = &ui.LinkButton{Text: "Approve", Href: query(action, "do", "approve"), Icon: "check", Kind: ui.Primary, Attrs: templ.Attributes{"data-open": "approve"}}
		return
	}
	next := map[State]lifecycle.Action{
		lifecycle.Draft: lifecycle.Submit, lifecycle.Approved: lifecycle.Schedule, lifecycle.Scheduled: lifecycle.Start, lifecycle.InProgress: lifecycle.Complete,
		lifecycle.Failed: lifecycle.Rollback,
	}[p.c.State]
	for _, o := range p.options {
		if o.Action != next {
			continue
		}
		if a := newAct(r, p.c, o); a.Allowed {
			h.Primary = &a
		}
	}
}

func actionIcon(a lifecycle.Action) string {
	switch a {
	case lifecycle.Submit:
		return "send"
	case lifecycle.Withdraw, lifecycle.Unschedule, lifecycle.Rollback:
		return "undo-2"
	case lifecycle.Schedule:
		return "calendar"
	case lifecycle.Start:
		return "play"
	case lifecycle.StartEmergency:
		return "siren"
	case lifecycle.Complete:
		return "check"
	case lifecycle.Fail:
		return "circle-x"
	case lifecycle.Cancel:
		return "x"
	}
	return ""
}

// newAct makes a button of an action. One that only wants a reason leads to the page that
// asks for it; one that fails says why, each reason with its code.
func newAct(r *web.Request, c Change, o Option) views.Act {
	path := r.Path(c.Path()) + "/act/" + string(o.Action)
	a := views.Act{
		Text: o.Action.Label(), Icon: actionIcon(o.Action), Action: path, Version: fmt.Sprint(c.Version), Allowed: o.Allowed,
		Danger: o.Action == lifecycle.Cancel || o.Action == lifecycle.StartEmergency || o.Action == lifecycle.Fail || o.Action == lifecycle.Rollback,
	}
	if len(o.Asks) > 0 {
		a.Href = path
	}
	short := len(o.Failures) > 0 && !slices.ContainsFunc(o.Failures, func(f lifecycle.Failure) bool { return f.Code != lifecycle.CodeLead })
	if short {
		a.Allowed, a.Href = true, path
	}
	for _, f := range o.Failures {
		a.Reasons = append(a.Reasons, views.Reason{Code: f.Code, Text: f.Message})
	}
	return a
}

// acts are the actions of the present state. One whose only obstacle is that the reader has
// nothing to do with it stands below the others.
func acts(r *web.Request, p *pageData) []views.Act {
	var out, foreign []views.Act
	if !r.Can(CanUpdate) {
		return nil
	}
	for _, o := range p.options {
		if o.To == "" {
			continue
		}
		a := newAct(r, p.c, o)
		if len(o.Failures) == 1 && o.Failures[0].Code == lifecycle.CodeForbidden {
			foreign = append(foreign, a)
			continue
		}
		out = append(out, a)
	}
	return append(out, foreign...)
}

// page is the frame of a page of a change.
func (p *pageData) page(r *web.Request, part string) web.Page {
	title := p.c.Key + " " + p.c.Title
	if part != "" {
		title = part + " of " + p.c.Key
	}
	return web.Page{Title: title, Crumbs: changeCrumbs(r, p.c, part)}
}

// canonicalPath leads from an id in the address to the key.
func canonicalPath(r *web.Request, c Change) bool {
	return r.Method == http.MethodGet && !strings.EqualFold(r.Param("key"), c.Key)
}
