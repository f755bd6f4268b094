package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
)

// State is how far a task is. Whether it is blocked is no state: that follows from its
// predecessors.
type State string

// The states of a task.
const (
	Todo      State = "todo"
	Doing     State = "doing"
	Done      State = "done"
	Skipped   State = "skipped"
	Cancelled State = "cancelled"
)

// States lists the states in the order of work.
func States() []State { return []State{Todo, Doing, Done, Skipped, Cancelled} }

// Settled reports whether nobody waits for the task any more.
func (s State) Settled() bool { return s == Done || s == Skipped || s == Cancelled }

// The transitions of a parent that a task may guard.
const (
	BeforeStart    = "before_start"
	BeforeComplete = "before_complete"
	BeforeClose    = "before_close"
)

// GateNames lists the transitions that a task may guard.
func GateNames() []string { return []string{BeforeStart, BeforeComplete, BeforeClose} }

// noDue stands in the due column for "no date": after every real one.
var noDue = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// Task is one piece of work.
type Task struct {
	ID          uuid.UUID `db:"id"`
	Key         string    `db:"key"`
	Title       string    `db:"title" audit:"title"`
	Description string    `db:"description" audit:"description"`
	// ParentType and ParentID name the record that the task is for; empty and null for none.
	ParentType string        `db:"parent_type" audit:"parent_type"`
	ParentID   uuid.NullUUID `db:"parent_id" audit:"parent_id"`
	// ParentLabel is what that record is called, as of the last change of the task.
	ParentLabel string `db:"parent_label"`
	Position    int32  `db:"position"`
	State       State  `db:"state" audit:"state"`
	StateReason string `db:"state_reason" audit:"state_reason"`
	// Gate is the transition of the parent that waits for this task, empty for none.
	Gate string `db:"gate" audit:"gate"`
	// Verification marks a gate that somebody other than the implementers must pass.
	Verification bool          `db:"verification" audit:"verification"`
	AssigneeID   uuid.NullUUID `db:"assignee_user_id" audit:"assignee"`
	// DueAt is in the year 9999 when there is no date; HasDue tells.
	DueAt           time.Time     `db:"due_at"`
	EstimateMinutes int32         `db:"estimate_minutes" audit:"estimate_minutes"`
	StartedAt       *time.Time    `db:"started_at"`
	FinishedAt      *time.Time    `db:"finished_at"`
	DoneBy          uuid.NullUUID `db:"done_by"`
	Version         int64         `db:"version"`
	CreatedAt       time.Time     `db:"created_at"`
	CreatedBy       uuid.NullUUID `db:"created_by"`
	UpdatedAt       time.Time     `db:"updated_at"`
}

// Path is the page of the task below its workspace.
func (t Task) Path() string { return "/tasks/" + t.Key }

// HasDue reports whether the task has a due date.
func (t Task) HasDue() bool { return t.DueAt.Year() < 9999 }

// Overdue reports whether the task should have been settled before now.
func (t Task) Overdue(now time.Time) bool {
	return !t.State.Settled() && t.HasDue() && t.DueAt.Before(now)
}

// Blocker is a predecessor that keeps a task from being started.
type Blocker struct {
	Key   string
	Title string
	State State
	// Until is when the lag after a settled predecessor ends; zero while it is open.
	Until time.Time
}

// move is a wish for another state.
type move struct {
	to     State
	reason string
	by     uuid.UUID
	// blockers are what stands before the task; barred are who may not verify.
	blockers []Blocker
	barred   []uuid.UUID
}

// to returns the task in another state.
//
//	todo, doing    → doing, done             unless something stands before it
//	doing          → todo
//	todo, doing    → skipped, cancelled      skipped with a reason
//	settled        → todo                    work begins again
//
// A verification gate can be neither skipped nor cancelled, and is done by somebody who
// did not do the work.
func (t Task) moved(m move, now time.Time) (Task, error) {
	m.reason = strings.TrimSpace(m.reason)
	if err := t.mayMove(m); err != nil {
		return t, err
	}
	out := t
	out.State, out.StateReason = m.to, m.reason
	out.FinishedAt, out.DoneBy = nil, uuid.NullUUID{}
	switch {
	case m.to == Todo:
		out.StartedAt = nil
	case m.to == Doing:
		out.StartedAt = &now
	case m.to.Settled():
		out.FinishedAt = &now
		if m.to == Done {
			out.DoneBy = db.NullID(m.by)
			if out.StartedAt == nil {
				out.StartedAt = &now
			}
		}
	}
	return out, nil
}

func (t Task) mayMove(m move) error {
	switch {
	case !slices.Contains(States(), m.to):
		return fault.InvalidField("state", "not_allowed", "State must be one of: todo, doing, done, skipped, cancelled.")
	case utf8.RuneCountInString(m.reason) > maxReason:
		return fault.InvalidField("reason", "too_long", fmt.Sprintf("At most %d characters fit here.", maxReason))
	case m.to == Skipped && m.reason == "":
		return fault.InvalidField("reason", "required", "Say why the task is skipped.")
	case t.State == m.to:
		return fault.NewConflict("state_conflict", t.Key+" is "+stateWord(m.to)+" already.")
	case t.State.Settled() && m.to != Todo:
		return fault.NewConflict("state_conflict", t.Key+" is "+stateWord(t.State)+". Reopen it first.")
	case t.Verification && (m.to == Skipped || m.to == Cancelled):
		return fault.NewConflict("verification_required", t.Key+" verifies the work of others, so it cannot be skipped or cancelled.")
	case m.to == Doing || m.to == Done:
		if len(m.blockers) > 0 {
			return blocked(t, m.blockers)
		}
	}
	if m.to == Done && t.Verification && (m.by == uuid.Nil || slices.Contains(m.barred, m.by)) {
		return fault.NewDenied("verification_required", t.Key+" must be verified by somebody who did not do the work.")
	}
	return nil
}

func blocked(t Task, blockers []Blocker) error {
	var names []string
	e := &fault.Error{Kind: fault.Conflict, Code: "task_blocked"}
	for _, b := range blockers {
		names = append(names, b.Key)
		text := b.Key + " " + b.Title + " is not finished."
		if !b.Until.IsZero() {
			text = b.Key + " " + b.Title + " is finished; the waiting time after it ends " + timetext.Prose(b.Until, time.UTC) + "."
		}
		e.Details = append(e.Details, fault.Detail{Code: "task_blocked", Field: "state", Message: text, Ref: b.Key})
	}
	e.Message = t.Key + " waits for " + strings.Join(names, ", ") + "."
	return e
}

func stateWord(s State) string {
	switch s {
	case Todo:
		return "to do"
	case Doing:
		return "in progress"
	case Done, Skipped, Cancelled:
	}
	return string(s)
}

// NewTask is a task as somebody describes it.
type NewTask struct {
	Title, Description string
	ParentType         string
	ParentID           uuid.UUID
	Gate               string
	Verification       bool
	// Assignee is a user, a membership or an e-mail address; AssigneeID is one that is known.
	Assignee   string
	AssigneeID uuid.NullUUID
	Due        time.Time // zero for none
	// EstimateMinutes is the work expected, 0 for unknown.
	EstimateMinutes int
	// Position orders tasks of one parent; 0 puts it last.
	Position int
}

const (
	maxTitle       = 200
	maxDescription = 10000
	maxReason      = 1000
	maxEstimate    = 525600 // a year in minutes
)

// task checks every field and returns the task. All problems are reported, by field.
func (n NewTask) task(id uuid.UUID, now time.Time) (Task, error) {
	var c form.Check
	t := Task{
		ID: id, Title: oneLine(n.Title), Description: strings.TrimSpace(strings.ReplaceAll(n.Description, "\r\n", "\n")),
		ParentType: n.ParentType, ParentID: db.NullID(n.ParentID), State: Todo, Gate: n.Gate, Verification: n.Verification,
		AssigneeID: n.AssigneeID, DueAt: noDue, EstimateMinutes: int32(max(0, min(n.EstimateMinutes, maxEstimate))),
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if t.Title == "" {
		c.Add("title", "required", "Title is needed.")
	}
	longest(&c, "title", t.Title, maxTitle)
	longest(&c, "description", t.Description, maxDescription)
	if !n.Due.IsZero() {
		t.DueAt = n.Due.UTC().Truncate(time.Microsecond)
		if y := t.DueAt.Year(); y < 2000 || y > 2200 {
			c.Add("due", "out_of_range", "Write a date in this century.")
		}
	}
	if n.EstimateMinutes < 0 || n.EstimateMinutes > maxEstimate {
		c.Add("estimate_minutes", "out_of_range", "Between 0 minutes and a year.")
	}
	if (n.ParentType == "") != (n.ParentID == uuid.Nil) {
		c.Add("parent", "incomplete", "Name both the type and the id of the record that the task is for.")
	}
	switch {
	case n.Gate == "":
		if n.Verification {
			c.Add("verification", "needs_gate", "Only a task that guards a step can verify it.")
		}
	case !slices.Contains(GateNames(), n.Gate):
		c.Add("gate", "not_allowed", "Choose one of: "+strings.Join(GateNames(), ", ")+".")
	case n.ParentID == uuid.Nil:
		c.Add("gate", "needs_parent", "Only a task of another record can guard its steps.")
	}
	return t, c.Err()
}

func longest(c *form.Check, field, value string, limit int) {
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		c.Add(field, "invalid_text", "This contains characters that cannot be stored.")
	case utf8.RuneCountInString(value) > limit:
		c.Add(field, "too_long", fmt.Sprintf("At most %d characters fit here.", limit))
	}
}

// oneLine folds all blanks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// TaskEdit changes a task. Nil fields stay as they are.
type TaskEdit struct {
	Title, Description *string
	Gate               *string
	Verification       *bool
	// Assignee is a user, a membership or an e-mail address; an empty text takes them off.
	Assignee *string
	// Due of the zero time takes the date away.
	Due             *time.Time
	EstimateMinutes *int
	Position        *int
	// State moves the task; Reason says why.
	State  *State
	Reason string
	// IfMatch and Version are what the editor saw; both may be absent.
	IfMatch string
	Version *int64
}

// apply returns t as the edit makes it, without its assignee and state.
func (e TaskEdit) apply(t Task) (Task, error) {
	n := NewTask{
		Title: t.Title, Description: t.Description, ParentType: t.ParentType, ParentID: t.ParentID.UUID, Gate: t.Gate,
		Verification: t.Verification, AssigneeID: t.AssigneeID, EstimateMinutes: int(t.EstimateMinutes),
	}
	if t.HasDue() {
		n.Due = t.DueAt
	}
	put(&n.Title, e.Title)
	put(&n.Description, e.Description)
	put(&n.Gate, e.Gate)
	put(&n.Verification, e.Verification)
	put(&n.Due, e.Due)
	put(&n.EstimateMinutes, e.EstimateMinutes)
	made, err := n.task(t.ID, t.CreatedAt)
	out := t
	out.Title, out.Description, out.Gate, out.Verification = made.Title, made.Description, made.Gate, made.Verification
	out.DueAt, out.EstimateMinutes = made.DueAt, made.EstimateMinutes
	if e.Position != nil {
		out.Position = int32(max(0, min(*e.Position, 1_000_000)))
	}
	return out, err
}

func put[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}
