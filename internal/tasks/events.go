package tasks

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Names of the events of this module.
const (
	EventCreated           = "task.created"
	EventUpdated           = "task.updated"
	EventAssigned          = "task.assigned"
	EventStarted           = "task.started"
	EventStopped           = "task.put_back"
	EventCompleted         = "task.completed"
	EventSkipped           = "task.skipped"
	EventCancelled         = "task.cancelled"
	EventReopened          = "task.reopened"
	EventDeleted           = "task.deleted"
	EventDependencyAdded   = "task_dependency.created"
	EventDependencyRemoved = "task_dependency.deleted"
)

// The types of subjects in events and the audit log.
const (
	SubjectTask       = "task"
	SubjectDependency = "task_dependency"
)

// TaskPayload is the body of the events of a task.
type TaskPayload struct {
	TaskID     uuid.UUID     `json:"task_id"`
	Key        string        `json:"key"`
	Title      string        `json:"title"`
	State      State         `json:"state"`
	Reason     string        `json:"reason,omitempty"`
	Assignee   uuid.NullUUID `json:"assignee"`
	DueAt      *time.Time    `json:"due_at,omitempty"`
	ParentType string        `json:"parent_type,omitempty"`
	ParentID   uuid.NullUUID `json:"parent_id"`
	Gate       string        `json:"gate,omitempty"`
}

// DependencyPayload is the body of task_dependency.created and deleted; both ends are keys.
type DependencyPayload struct {
	DependencyID uuid.UUID `json:"dependency_id"`
	Predecessor  string    `json:"predecessor"`
	Successor    string    `json:"successor"`
	LagMinutes   int       `json:"lag_minutes"`
}

func (t Task) subject() event.Subject {
	return event.Subject{Type: SubjectTask, ID: t.ID, Key: t.Key, Title: t.Title}
}

// parentSubject is the record that the task is for, whose activity shows the entry too.
func (t Task) parentSubject(p Parent) *event.Subject {
	if !t.ParentID.Valid {
		return nil
	}
	return &event.Subject{Type: t.ParentType, ID: t.ParentID.UUID, Key: p.Key, Title: p.Title}
}

func (t Task) payload() TaskPayload {
	return TaskPayload{
		TaskID: t.ID, Key: t.Key, Title: t.Title, State: t.State, Reason: t.StateReason, Assignee: t.AssigneeID, DueAt: t.due(),
		ParentType: t.ParentType, ParentID: t.ParentID, Gate: t.Gate,
	}
}

// due is the due date, nil when there is none.
func (t Task) due() *time.Time {
	if !t.HasDue() {
		return nil
	}
	at := t.DueAt.UTC()
	return &at
}

// dueChange is the change of the due date as the audit log shows it: a task without one has
// none, not one in the year 9999.
func dueChange(before, after Task) []ledger.Change {
	if before.DueAt.Equal(after.DueAt) {
		return nil
	}
	return []ledger.Change{{Field: "due", From: before.due(), To: after.due()}}
}

func stateEvent(from, to State) string {
	switch to {
	case Doing:
		return EventStarted
	case Done:
		return EventCompleted
	case Skipped:
		return EventSkipped
	case Cancelled:
		return EventCancelled
	case Todo:
	}
	if from == Doing {
		return EventStopped
	}
	return EventReopened
}

func eventTypes() []event.Type {
	due := time.Date(2026, time.November, 20, 16, 0, 0, 0, time.UTC)
	task := TaskPayload{Key: "TASK-0031", Title: "Take a backup of orders", State: Todo, DueAt: &due, ParentType: "change", Gate: BeforeStart}
	in := func(s State, reason string) TaskPayload {
		t := task
		t.State, t.Reason = s, reason
		return t
	}
	edge := DependencyPayload{Predecessor: "TASK-0030", Successor: "TASK-0031", LagMinutes: 30}
	declare := func(name, label string, s event.Severity, example any) event.Type {
		return event.Type{Name: name, Label: label, Group: "Tasks", Severity: s, Category: event.CategoryActivity, Example: example}
	}
	return []event.Type{
		declare(EventCreated, "Task added", event.Info, task),
		declare(EventUpdated, "Task changed", event.Info, task),
		// Who is given a task is told by the module itself, which knows whom.
		declare(EventAssigned, "Task assigned", event.Low, task),
		declare(EventStarted, "Task started", event.Info, in(Doing, "")),
		declare(EventStopped, "Task put back", event.Info, task),
		declare(EventCompleted, "Task done", event.Info, in(Done, "")),
		declare(EventSkipped, "Task skipped", event.Low, in(Skipped, "The standby has a fresh copy.")),
		declare(EventCancelled, "Task cancelled", event.Low, in(Cancelled, "")),
		declare(EventReopened, "Task reopened", event.Low, task),
		declare(EventDeleted, "Task deleted", event.Low, task),
		declare(EventDependencyAdded, "Task waits for another", event.Info, edge),
		declare(EventDependencyRemoved, "Task no longer waits for another", event.Info, edge),
	}
}
