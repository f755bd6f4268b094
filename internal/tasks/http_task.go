package tasks

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/tasks"
	"github.com/vigilo/vigilo/templates/ui"
)

// activityShown is how many entries the activity tab shows.
const activityShown = 50

func (s *Service) showTask(r *web.Request) error { return s.answerTask(r, dependencyForm{}, nil) }

// answerTask shows a task, with why it could not be moved, or what was wrong with a
// dependency that somebody added.
func (s *Service) answerTask(r *web.Request, f dependencyForm, problem error) error {
	var near *db.Result[neighbour]
	t, err := s.readTask(r, func(b *db.Batch, args db.Args) { near = around.Queue(b, args) })
	if err != nil {
		return err
	}
	v := s.newTaskView(r, t, near.Rows, f, problem)
	page := web.Page{Title: t.Key + " " + t.Title, Crumbs: crumbs(r, web.Crumb{Text: t.Key})}
	if problem != nil {
		return r.InvalidPage(problem, page, views.DetailPage(v))
	}
	return r.Page(page, views.DetailPage(v))
}

// readTask reads the task that the address names by id or key, with what more adds to the
// same round trip: its arguments are the id and the key, of which one is empty.
func (s *Service) readTask(r *web.Request, more func(b *db.Batch, args db.Args)) (Item, error) {
	idOrKey := r.Param("id")
	id, err := uuid.Parse(idOrKey)
	byID := err == nil && len(idOrKey) == 36
	args := db.Args{"id": uuid.Nil, "key": keyOf(idOrKey)}
	if byID {
		args = db.Args{"id": id, "key": ""}
	}
	var row *db.Result[Item]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		if byID {
			row = itemByID.Queue(b, db.Args{"id": id})
		} else {
			row = itemByKey.Queue(b, db.Args{"key": args["key"]})
		}
		more(b, args)
	})
	if err != nil {
		return Item{}, err
	}
	t, ok := row.First()
	if !ok {
		return t, fault.NewNotFound("task")
	}
	return t, nil
}

// showActivity shows what was done with a task. Links to it carry the id, so that one round
// trip is enough; a key leads there with one more.
func (s *Service) showActivity(r *web.Request) error {
	var history func(*time.Location, time.Time) ([]ui.Entry, error)
	t, err := s.readTask(r, func(b *db.Batch, args db.Args) {
		if id, ok := args["id"].(uuid.UUID); ok && id != uuid.Nil {
			history = s.activity(b, SubjectTask, id, activityShown)
		}
	})
	if err != nil {
		return err
	}
	if history == nil {
		err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { history = s.activity(b, SubjectTask, t.ID, activityShown) })
		if err != nil {
			return err
		}
	}
	v := views.ActivityPage{Header: s.taskHeader(r, t, true)}
	if v.Entries, err = history(r.Zone(), r.Now()); err != nil {
		return err
	}
	if len(v.Entries) == 0 {
		v.Empty = &ui.Empty{Icon: "history", Title: "Nothing happened yet", Text: "What people do with this task appears here."}
	}
	return r.Page(web.Page{
		Title:  "Activity of " + t.Key,
		Crumbs: crumbs(r, web.Crumb{Text: t.Key, Href: r.Path(t.Path())}, web.Crumb{Text: "Activity"}),
	}, views.ActivityView(v))
}

// taskHeader makes what all pages of a task share.
func (s *Service) taskHeader(r *web.Request, t Item, activity bool) views.Header {
	path, badge := r.Path(t.Path()), stateBadge(t)
	v := views.Header{
		Head: ui.PageHead{Title: t.Title, Key: t.Key, Badge: &badge, Lede: taskLede(t)}, MayChange: r.Can(CanUpdate),
		Menu: ui.Menu{ID: "task-menu", Label: "Change", Items: taskMenu(path, t.Task)}, MoveTo: ui.Form{Action: path + "/state"},
		Actions: taskActions(t),
	}
	if s.activity != nil {
		v.Tabs = ui.Tabs{Label: "Task", Items: []ui.Tab{
			{Text: "Overview", Href: path, Current: !activity},
			{Text: "Activity", Href: r.Path("/tasks/" + t.ID.String() + "/activity"), Current: activity},
		}}
	}
	return v
}

func (s *Service) newTaskView(r *web.Request, t Item, near []neighbour, f dependencyForm, problem error) views.Detail {
	m := form.Messages(problem)
	v := views.Detail{
		Header: s.taskHeader(r, t, false), Facts: s.taskFacts(r, t),
		Before:    views.Neighbours{ID: "before", Title: "Waits for", Empty: "It can be started at any time."},
		After:     views.Neighbours{ID: "after", Title: "Is waited for by", Empty: "No task waits for it."},
		AddAction: ui.Form{Action: r.Path(t.Path() + "/dependencies"), Errors: dependencyErrors(problem)},
		Other:     ui.Field{Name: "predecessor", Label: "Task to wait for", Value: f.Predecessor, Error: m["predecessor"], Placeholder: "TASK-0007", Required: true, Unmarked: true},
		Lag:       ui.Field{Name: "lag_minutes", Label: "Minutes after it", Value: f.Lag, Error: m["lag_minutes"], Type: "number", Min: "0", Short: true},
	}
	if t.Description != "" {
		v.Description = strings.Split(t.Description, "\n")
	}
	for _, n := range near {
		row := s.newNeighbour(r, t, n)
		if n.Before {
			v.Before.Rows = append(v.Before.Rows, row)
		} else {
			v.After.Rows = append(v.After.Rows, row)
		}
	}
	e := fault.Find(problem)
	if e != nil && e.Kind == fault.Conflict {
		v.Notice = &ui.Notice{Tone: ui.Crit, Title: e.Message, Alert: true}
		v.AddAction.Errors = nil
	} else if t.Blocked() {
		v.Notice = &ui.Notice{Tone: ui.Warn, Icon: "hourglass", Title: "This task waits for " + count(t.Blockers, "other", "others") + ".", Text: "It can be started once what stands before it is done, skipped or cancelled."}
	} else if t.StateReason != "" && t.State.Settled() {
		v.Notice = &ui.Notice{Title: stateTitle(t.State) + ": " + t.StateReason}
	}
	return v
}

func (s *Service) newNeighbour(r *web.Request, t Item, n neighbour) views.Neighbour {
	out := views.Neighbour{Key: n.Key, Title: n.Title, Href: r.Path(n.Path()), Badge: stateBadge(n.Item), Sub: n.AssigneeName}
	if n.LagMinutes > 0 {
		out.Sub = strings.TrimPrefix(out.Sub+", then "+minutesLabel(n.LagMinutes)+" of waiting", ", ")
	}
	if r.Can(CanUpdate) {
		out.RemoveHref = r.Path(t.Path() + "/dependencies/" + n.DependencyID.String() + "/remove")
		out.RemoveText = "No longer wait for " + n.Key
		if !n.Before {
			out.RemoveText = "Let " + n.Key + " no longer wait"
		}
	}
	return out
}

func taskLede(t Item) string {
	if t.Gate == "" {
		return ""
	}
	text := gateLabel(t.Gate) + " of " + orText(t.ParentLabel, "its record") + " this must be done"
	if t.Verification {
		text += ", by somebody who did not do the work"
	}
	return text + "."
}

func taskMenu(path string, t Task) []ui.MenuItem {
	items := []ui.MenuItem{{Text: "Edit", Href: path + "/edit", Icon: "pencil"}}
	if !t.State.Settled() {
		items = append(items, ui.MenuItem{Text: "Skip", Href: path + "/skip", Icon: "minus"}, ui.MenuItem{Text: "Cancel the task", Href: path + "/cancel", Icon: "ban"})
	}
	return append(items, ui.MenuItem{Text: "Delete", Href: path + "/delete", Icon: "trash-2", Danger: true})
}

// taskActions are the moves that need no reason; the likely next one is primary.
func taskActions(t Item) []ui.Button {
	button := func(text, icon string, to State, kind ui.Kind) ui.Button {
		return ui.Button{Text: text, Icon: icon, Name: "state", Value: string(to), Kind: kind}
	}
	switch {
	case t.State.Settled():
		return []ui.Button{button("Reopen", "rotate-ccw", Todo, "")}
	case t.Blocked():
		return nil
	case t.State == Doing:
		return []ui.Button{button("Put back", "undo-2", Todo, ""), button("Done", "check", Done, ui.Primary)}
	}
	return []ui.Button{button("Done", "check", Done, ""), button("Start", "play", Doing, ui.Primary)}
}

func (s *Service) taskFacts(r *web.Request, t Item) []ui.Fact {
	zone, now := r.Zone(), r.Now()
	moment := func(at time.Time) *ui.Time {
		t := timetext.Minute(at, zone)
		return &t
	}
	badge := stateBadge(t)
	out := []ui.Fact{
		{Label: "State", Badge: &badge},
		{Label: "Assignee", Text: "Nobody", Person: person(t.AssigneeID, t.AssigneeName)},
		{Label: "Due", Text: "No date"},
	}
	if t.HasDue() {
		out[2].Time, out[2].Sub = moment(t.DueAt), until(t.DueAt, now)
		if t.State.Settled() {
			out[2].Sub = ""
		}
	}
	out = append(out, ui.Fact{Label: "Estimate", Text: minutesLabel(t.EstimateMinutes)})
	if l := s.parentLink(r, t.Task); l != nil {
		out = append(out, ui.Fact{Label: s.kindLabel(t.ParentType), Text: l.Text, Href: l.Href})
	}
	if t.Gate != "" {
		out = append(out, ui.Fact{Label: "Guards", Text: gateLabel(t.Gate)})
	}
	out = append(out, ui.Fact{Label: "Added", Time: moment(t.CreatedAt)})
	if t.StartedAt != nil {
		out = append(out, ui.Fact{Label: "Started", Time: moment(*t.StartedAt)})
	}
	if t.FinishedAt != nil {
		out = append(out, ui.Fact{Label: "Finished", Time: moment(*t.FinishedAt)})
	}
	return out
}

func orText(value, def string) string {
	if value == "" {
		return def
	}
	return value
}

// moveForm moves a task.
type moveForm struct {
	State  string `form:"state"`
	Reason string `form:"reason"`
}

func (s *Service) moveTask(r *web.Request) error {
	var f moveForm
	if err := r.Form(&f); err != nil {
		return err
	}
	t, err := s.ChangeState(r.Context(), r.Actor, r.Param("id"), State(f.State), f.Reason)
	to := State(f.State)
	switch e := fault.Find(err); {
	case e == nil:
	case e.Kind == fault.Invalid && (to == Skipped || to == Cancelled):
		return s.askReason(r, to, f.Reason, err)
	case e.Kind == fault.Conflict:
		return s.answerTask(r, dependencyForm{}, err)
	}
	if err != nil {
		return err
	}
	r.Flash(t.Key + " is " + stateWord(t.State) + ".")
	return r.SeeOther(r.Path(t.Path()))
}

func (s *Service) showSkip(r *web.Request) error { return s.askReason(r, Skipped, "", nil) }

func (s *Service) showCancel(r *web.Request) error { return s.askReason(r, Cancelled, "", nil) }

func (s *Service) askReason(r *web.Request, to State, reason string, problem error) error {
	t, err := s.Task(r.Context(), r.Actor, r.Param("id"))
	if err != nil {
		return err
	}
	v := views.MovePage{
		Title: "Skip " + t.Key, Lede: t.Title + ". Tasks that wait for it no longer wait.", Submit: "Skip", CancelHref: r.Path(t.Path()),
		Form:   ui.Form{Action: r.Path(t.Path() + "/state"), Hidden: []ui.Hidden{{Name: "state", Value: string(to)}}, Errors: formErrors(problem)},
		Reason: ui.Field{Name: "reason", Label: "Why?", Value: reason, Rows: 3, Required: true, Error: form.Messages(problem)["reason"], MaxLength: maxReason},
	}
	if to == Cancelled {
		v.Title, v.Submit, v.Reason.Required = "Cancel "+t.Key, "Cancel the task", false
	}
	page := web.Page{Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: t.Key, Href: r.Path(t.Path())}, web.Crumb{Text: v.Submit})}
	if problem != nil {
		return r.InvalidPage(problem, page, views.ReasonPage(v))
	}
	return r.Page(page, views.ReasonPage(v))
}

// dependencyForm adds a task to wait for.
type dependencyForm struct {
	Predecessor string `form:"predecessor"`
	Lag         string `form:"lag_minutes"`
}

func dependencyErrors(err error) []ui.FormError {
	if err == nil {
		return nil
	}
	return formErrors(err)
}

func (s *Service) addDependency(r *web.Request) error {
	var f dependencyForm
	if err := r.Form(&f); err != nil {
		return err
	}
	lag := 0
	if f.Lag != "" {
		n, err := strconv.Atoi(f.Lag)
		if err != nil {
			return s.answerTask(r, f, fault.InvalidField("lag_minutes", "not_a_number", "Use whole minutes, such as 30."))
		}
		lag = n
	}
	d, err := s.DependOn(r.Context(), r.Actor, r.Param("id"), f.Predecessor, lag)
	if e := fault.Find(err); e != nil && (e.Kind == fault.Invalid || e.Kind == fault.Conflict) {
		return s.answerTask(r, f, err)
	}
	if err != nil {
		return err
	}
	r.Flash(d.SuccessorKey + " waits for " + d.PredecessorKey + ".")
	return r.SeeOther(r.Path("/tasks/" + d.SuccessorKey))
}

func (s *Service) showRemoveDependency(r *web.Request) error {
	t, d, err := s.dependency(r)
	if err != nil {
		return err
	}
	const title = "No longer wait"
	return r.Page(web.Page{
		Title:  title,
		Crumbs: crumbs(r, web.Crumb{Text: t.Key, Href: r.Path(t.Path())}, web.Crumb{Text: title}),
	}, views.ConfirmPage(views.Confirmation{Title: title, Confirm: ui.ConfirmForm{
		Action: r.URL.Path, Title: title, Confirm: "No longer wait", Danger: true, CancelHref: r.Path(t.Path()),
		Text: d.SuccessorKey + " could then be started before " + d.PredecessorKey + " is finished.",
	}}))
}

// dependency reads the task and its dependency that the address names.
func (s *Service) dependency(r *web.Request) (Task, Dependency, error) {
	var t Task
	var d Dependency
	id, err := r.UUID("dependency", "dependency")
	if err != nil {
		return t, d, err
	}
	err = s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if t, err = findTask(r.Context(), tx, r.Param("id")); err != nil {
			return err
		}
		edges, err := dependenciesOf.All(r.Context(), tx, db.Args{"id": t.ID})
		for _, e := range edges {
			if e.ID == id {
				d = e
			}
		}
		if err == nil && d.ID == uuid.Nil {
			err = fault.NewNotFound("dependency")
		}
		return err
	})
	return t, d, err
}

func (s *Service) removeDependency(r *web.Request) error {
	t, d, err := s.dependency(r)
	if err != nil {
		return err
	}
	if err := s.RemoveDependency(r.Context(), r.Actor, t.ID.String(), d.ID); err != nil {
		return err
	}
	r.Flash(d.SuccessorKey + " no longer waits for " + d.PredecessorKey + ".")
	return r.SeeOther(r.Path(t.Path()))
}

func (s *Service) showDelete(r *web.Request) error {
	var t Task
	var edges []Dependency
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if t, err = findTask(r.Context(), tx, r.Param("id")); err != nil {
			return err
		}
		edges, err = dependenciesOf.All(r.Context(), tx, db.Args{"id": t.ID})
		return err
	})
	if err != nil {
		return err
	}
	c := ui.ConfirmForm{
		Action: r.Path(t.Path() + "/delete"), Title: "Delete " + t.Key, Confirm: "Delete", Danger: true, CancelHref: r.Path(t.Path()),
		Text: t.Title + ". The audit log keeps it; its key is never used again.",
	}
	for _, key := range successors(edges, t.ID) {
		c.Points = append(c.Points, key+" waits for it, and no longer will.")
	}
	return r.Page(web.Page{
		Title:  c.Title,
		Crumbs: crumbs(r, web.Crumb{Text: t.Key, Href: r.Path(t.Path())}, web.Crumb{Text: "Delete"}),
	}, views.ConfirmPage(views.Confirmation{Title: c.Title, Confirm: c}))
}

// removeTask deletes: the page before it has named every task that waits.
func (s *Service) removeTask(r *web.Request) error {
	t, err := s.DeleteTask(r.Context(), r.Actor, r.Param("id"), true)
	if err != nil {
		return err
	}
	r.Flash(t.Key + " is deleted.")
	return r.SeeOther(r.Path("/tasks?view=" + viewOpen))
}
