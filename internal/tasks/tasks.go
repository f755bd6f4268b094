// Package tasks keeps pieces of work: on their own, or for a record of another module,
// whose steps they may guard. What must be done first is an edge between two tasks; the
// edges never form a circle.
package tasks

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/templates/ui"
)

// Permissions of this module.
const (
	CanRead   access.Permission = "task.read"
	CanUpdate access.Permission = "task.update"
)

// Person is an active member, who may be given tasks.
type Person struct {
	UserID   uuid.UUID
	MemberID uuid.UUID
	Name     string
	Email    string
}

// Notice is something that a member shall be told. It has the fields of the notices of
// module notifications.
type Notice struct {
	Recipients   []uuid.UUID // users
	DedupeKey    string
	EventName    string
	Severity     event.Severity
	Title        string
	Body         string
	Path         string // below the workspace
	Icon         string
	SubjectType  string
	SubjectID    uuid.UUID
	SubjectTitle string
	Mail         bool
}

// History reads what happened to a thing, for its activity: it queues the read with those
// of the page and returns what turns it into a timeline afterwards.
type History func(b *db.Batch, subjectType string, id uuid.UUID, limit int) func(zone *time.Location, now time.Time) ([]ui.Entry, error)

// Deps is what the module is built from.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Policy *access.Policy
	Clock  clock.Clock
	Log    *slog.Logger
	// People lists who may be given tasks; nil means nobody can be named.
	People func(ctx context.Context, tx *db.Tx) ([]Person, error)
	// Notify tells people in the caller's transaction; nil tells nobody.
	Notify func(ctx context.Context, tx *db.Tx, n Notice) error
	// Activity fills the activity card; nil leaves it out.
	Activity History
}

// Service holds the use cases of this module.
type Service struct {
	db       *db.DB
	ledger   *ledger.Ledger
	policy   *access.Policy
	clock    clock.Clock
	log      *slog.Logger
	people   func(ctx context.Context, tx *db.Tx) ([]Person, error)
	notify   func(ctx context.Context, tx *db.Tx, n Notice) error
	activity History
	parents  map[string]ParentKind
}

// New returns the service.
func New(d Deps) *Service {
	s := &Service{
		db: d.DB, ledger: d.Ledger, policy: d.Policy, clock: d.Clock, log: d.Log, people: d.People, notify: d.Notify,
		activity: d.Activity, parents: map[string]ParentKind{},
	}
	if s.people == nil {
		s.people = func(context.Context, *db.Tx) ([]Person, error) { return nil, nil }
	}
	if s.notify == nil {
		s.notify = func(context.Context, *db.Tx, Notice) error { return nil }
	}
	return s
}

func newID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make id: %w", err)
	}
	return id, nil
}

// withAssignee finds a person by user, membership or e-mail address, and adds what is wrong
// with them to what else is wrong.
func (s *Service) withAssignee(ctx context.Context, tx *db.Tx, text string, problems error) (uuid.NullUUID, error) {
	var c form.Check
	if err := c.Merge(problems); err != nil {
		return uuid.NullUUID{}, err
	}
	if text = strings.TrimSpace(text); text == "" {
		return uuid.NullUUID{}, c.Err()
	}
	people, err := s.people(ctx, tx)
	if err != nil {
		return uuid.NullUUID{}, fmt.Errorf("read people: %w", err)
	}
	for _, p := range people {
		if text == p.UserID.String() || text == p.MemberID.String() || strings.EqualFold(text, p.Email) {
			return db.NullID(p.UserID), c.Err()
		}
	}
	c.Add("assignee", "unknown_member", "This person is not an active member of the workspace.")
	return uuid.NullUUID{}, c.Err()
}

// Task returns one task by its id or key.
func (s *Service) Task(ctx context.Context, a db.Actor, idOrKey string) (Task, error) {
	var out Task
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = findTask(ctx, tx, idOrKey)
		return err
	})
	return out, err
}

// AddTask adds a task.
func (s *Service) AddTask(ctx context.Context, a db.Actor, in NewTask) (Task, error) {
	var out Task
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = s.Add(ctx, tx, in)
		return err
	})
	return out, err
}

// Add adds a task in the caller's transaction, which has checked rights.
func (s *Service) Add(ctx context.Context, tx *db.Tx, in NewTask) (Task, error) {
	id, err := newID()
	if err != nil {
		return Task{}, err
	}
	out, err := in.task(id, tx.Now)
	if in.Assignee != "" {
		out.AssigneeID, err = s.withAssignee(ctx, tx, in.Assignee, err)
	}
	if err != nil {
		return out, err
	}
	p, err := s.open(ctx, tx, out)
	if err != nil {
		return out, err
	}
	if out.Key, err = ledger.NextKey(ctx, tx, "TASK", 4); err != nil {
		return out, err
	}
	out.Position, out.CreatedBy, out.ParentLabel = int32(in.Position), db.NullID(tx.Actor.UserID), p.label()
	if out.Position == 0 && out.ParentID.Valid {
		last, err := lastPosition.One(ctx, tx, db.Args{"type": out.ParentType, "id": out.ParentID.UUID})
		if err != nil {
			return out, err
		}
		out.Position = last + 1
	}
	if err := insertTask(ctx, tx, out); err != nil {
		return out, named(err)
	}
	eventID, err := s.ledger.Record(ctx, tx, ledger.Entry{
		Action: EventCreated, Subject: out.subject(), Parent: out.parentSubject(p), After: out,
		Changes: dueChange(Task{DueAt: noDue}, out), Payload: out.payload(),
	})
	if err != nil {
		return out, err
	}
	return out, s.tellAssignee(ctx, tx, out, p, eventID)
}

// named turns what the database refuses into words.
func named(err error) error {
	if db.Violated(err, "tasks_assignee_fkey") {
		return fault.InvalidField("assignee", "unknown_member", "This person is not an active member of the workspace.")
	}
	return err
}

// tellAssignee tells somebody that a task is theirs now, unless they took it themselves.
func (s *Service) tellAssignee(ctx context.Context, tx *db.Tx, t Task, p Parent, eventID uuid.UUID) error {
	if !t.AssigneeID.Valid || t.AssigneeID.UUID == tx.Actor.UserID {
		return nil
	}
	body := "Given to you by " + tx.Actor.Name + "."
	if p.Title != "" {
		body += " For " + strings.TrimSpace(p.Key+" "+p.Title) + "."
	}
	if t.HasDue() {
		body += " Due " + timetext.Prose(t.DueAt, time.UTC) + "."
	}
	return s.notify(ctx, tx, Notice{
		Recipients: []uuid.UUID{t.AssigneeID.UUID}, DedupeKey: eventID.String(), EventName: EventAssigned, Severity: event.Low,
		Title: t.Key + " " + t.Title, Body: body, Path: t.Path(), Icon: "list-todo", SubjectType: SubjectTask, SubjectID: t.ID,
		SubjectTitle: t.Key + " " + t.Title, Mail: true,
	})
}

// UpdateTask changes a task, and its state when the edit says so.
func (s *Service) UpdateTask(ctx context.Context, a db.Actor, idOrKey string, e TaskEdit) (Task, error) {
	var out Task
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockTask(ctx, tx, idOrKey)
		if err != nil {
			return err
		}
		if err := api.CheckVersion(e.IfMatch, e.Version, before.Version); err != nil {
			return err
		}
		out, err = s.edit(ctx, tx, before, e)
		return err
	})
	return out, err
}

func (s *Service) edit(ctx context.Context, tx *db.Tx, before Task, e TaskEdit) (Task, error) {
	out, err := e.apply(before)
	if e.Assignee != nil {
		out.AssigneeID, err = s.withAssignee(ctx, tx, *e.Assignee, err)
	}
	if err != nil {
		return before, err
	}
	p, err := s.open(ctx, tx, out)
	if err != nil {
		return before, err
	}
	if e.State != nil && *e.State != before.State {
		if out, err = s.move(ctx, tx, out, p, *e.State, e.Reason); err != nil {
			return before, err
		}
	}
	changes, err := ledger.Diff(before, out)
	if err != nil || (len(changes)+len(dueChange(before, out)) == 0 && out.Position == before.Position) {
		return out, err
	}
	out.Version, out.UpdatedAt, out.ParentLabel = before.Version+1, tx.Now, p.label()
	if err := saveTask(ctx, tx, out); err != nil {
		return out, named(err)
	}
	eventID, err := s.recordState(ctx, tx, before, out)
	if err != nil || out.AssigneeID == before.AssigneeID {
		return out, err
	}
	return out, s.tellAssignee(ctx, tx, out, p, eventID)
}

// ChangeState moves a task.
func (s *Service) ChangeState(ctx context.Context, a db.Actor, idOrKey string, to State, reason string) (Task, error) {
	var out Task
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockTask(ctx, tx, idOrKey)
		if err != nil {
			return err
		}
		p, err := s.open(ctx, tx, before)
		if err != nil {
			return err
		}
		if out, err = s.move(ctx, tx, before, p, to, reason); err != nil {
			return err
		}
		out.Version, out.UpdatedAt = before.Version+1, tx.Now
		if err := saveTask(ctx, tx, out); err != nil {
			return err
		}
		_, err = s.recordState(ctx, tx, before, out)
		return err
	})
	return out, err
}

// move asks what stands before a locked task and moves it.
func (s *Service) move(ctx context.Context, tx *db.Tx, t Task, p Parent, to State, reason string) (Task, error) {
	m := move{to: to, reason: reason, by: tx.Actor.UserID, barred: p.Implementers}
	if to == Doing || to == Done {
		rows, err := lockPredecessors.All(ctx, tx, db.Args{"id": t.ID})
		if err != nil {
			return t, err
		}
		m.blockers = blockers(rows, tx.Now)
	}
	return t.moved(m, tx.Now)
}

// recordState names what an edit did: another state by its own event, another assignee as
// such, the rest as an update. The entry carries every changed field.
func (s *Service) recordState(ctx context.Context, tx *db.Tx, before, after Task) (uuid.UUID, error) {
	action, reason := EventUpdated, ""
	switch {
	case before.State != after.State:
		action, reason = stateEvent(before.State, after.State), after.StateReason
	case before.AssigneeID != after.AssigneeID && after.AssigneeID.Valid:
		action = EventAssigned
	}
	return s.ledger.Record(ctx, tx, ledger.Entry{
		Action: action, Subject: after.subject(), Parent: after.parentSubject(Parent{}), Before: before, After: after,
		Changes: dueChange(before, after), Payload: after.payload(), Reason: reason,
	})
}

// DeleteTask removes a task with its dependencies. A task that others wait for is removed
// only when confirmed, since they then wait no longer; otherwise that is fault.Conflict
// naming them.
func (s *Service) DeleteTask(ctx context.Context, a db.Actor, idOrKey string, confirmed bool) (Task, error) {
	var out Task
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if out, err = lockTask(ctx, tx, idOrKey); err != nil {
			return err
		}
		p, err := s.open(ctx, tx, out)
		if err != nil {
			return err
		}
		if err := lockGraph(ctx, tx); err != nil {
			return err
		}
		edges, err := dependenciesOf.All(ctx, tx, db.Args{"id": out.ID})
		if err != nil {
			return err
		}
		if waiting := successors(edges, out.ID); len(waiting) > 0 && !confirmed {
			return hasSuccessors(out, waiting)
		}
		for _, e := range edges {
			if err := s.removeEdge(ctx, tx, e); err != nil {
				return err
			}
		}
		if _, err := deleteTask.Run(ctx, tx, db.Args{"id": out.ID}); err != nil {
			return err
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{
			Action: EventDeleted, Subject: out.subject(), Parent: out.parentSubject(p), Before: out, Payload: out.payload(),
		})
		return err
	})
	return out, err
}
