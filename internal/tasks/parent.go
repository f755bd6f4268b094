package tasks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Parent is a record that tasks are for, as its module describes it.
type Parent struct {
	Key, Title string
	// Closed says why its tasks no longer change, such as "The change is closed."; empty while
	// they do.
	Closed string
	// Implementers are users who may not pass its verification gates.
	Implementers []uuid.UUID
}

// ParentKind is a type of record that tasks may be for.
type ParentKind struct {
	// Type is the subject type, such as "change".
	Type  string
	Label string
	// Icon is a name of the sprite.
	Icon string
	// Gates says that tasks may guard the steps of its life.
	Gates bool
	// Path is the page of a record below the workspace.
	Path func(id uuid.UUID) string
	// Read answers for one record; absent is fault.NotFound.
	Read func(ctx context.Context, tx *db.Tx, id uuid.UUID) (Parent, error)
	// Find turns what a person writes, an id or a key, into an id.
	Find func(ctx context.Context, tx *db.Tx, text string) (uuid.UUID, bool, error)
}

// AddParent lets tasks belong to records of another module, before the program serves.
func (s *Service) AddParent(k ParentKind) { s.parents[k.Type] = k }

// parent reads the record that a task is for; the zero value when it is for none. A type
// that no module answers for, or a record that does not exist, is fault.Invalid.
func (s *Service) parent(ctx context.Context, tx *db.Tx, t Task) (Parent, error) {
	if !t.ParentID.Valid {
		return Parent{}, nil
	}
	kind, ok := s.parents[t.ParentType]
	if !ok {
		return Parent{}, fault.InvalidField("parent_type", "not_allowed", fmt.Sprintf("Tasks cannot be for a %q.", t.ParentType))
	}
	if t.Gate != "" && !kind.Gates {
		return Parent{}, fault.InvalidField("gate", "not_allowed", "Nothing waits for the tasks of this record.")
	}
	p, err := kind.Read(ctx, tx, t.ParentID.UUID)
	if fault.Is(err, fault.NotFound) {
		return Parent{}, fault.InvalidField("parent_id", "unknown_parent", "There is no such "+strings.ToLower(kind.Label)+".")
	}
	return p, err
}

// label is what the record is called in lists.
func (p Parent) label() string {
	text := oneLine(p.Key + " " + p.Title)
	if r := []rune(text); len(r) > maxLabel {
		return string(r[:maxLabel])
	}
	return text
}

const maxLabel = 300

// open is parent, refusing one whose tasks no longer change.
func (s *Service) open(ctx context.Context, tx *db.Tx, t Task) (Parent, error) {
	p, err := s.parent(ctx, tx, t)
	if err == nil && p.Closed != "" {
		err = fault.NewConflict("parent_closed", p.Closed)
	}
	return p, err
}

// Gate is a task that guards a transition of its parent.
type Gate struct {
	ID         uuid.UUID
	Key, Title string
	// Gate is the transition: before_start, before_complete or before_close.
	Gate     string
	State    State
	Assignee uuid.NullUUID
	DoneBy   uuid.NullUUID
	// Verification marks a gate that only somebody other than the implementers can pass.
	Verification bool
	// Done reports whether the gate lets the transition through: the task is done, or was
	// skipped with a reason. Cancelled tasks are no gates.
	Done bool
}

// Gates returns the gates of a record in order. A verification that one of the barred users
// did does not count as done: they may have joined the implementers after it.
func (s *Service) Gates(ctx context.Context, tx *db.Tx, parentType string, parent uuid.UUID, barred ...uuid.UUID) ([]Gate, error) {
	rows, err := tasksOfParent.All(ctx, tx, db.Args{"type": parentType, "id": parent})
	if err != nil {
		return nil, err
	}
	var out []Gate
	for _, t := range rows {
		if t.Gate == "" || t.State == Cancelled {
			continue
		}
		g := Gate{
			ID: t.ID, Key: t.Key, Title: t.Title, Gate: t.Gate, State: t.State, Assignee: t.AssigneeID, DoneBy: t.DoneBy,
			Verification: t.Verification, Done: t.State == Done || t.State == Skipped,
		}
		if t.Verification && slices.Contains(barred, t.DoneBy.UUID) {
			g.Done = false
		}
		out = append(out, g)
	}
	return out, nil
}

// ForParent returns the tasks of a record in order, with who does them and what blocks them.
func (s *Service) ForParent(ctx context.Context, tx *db.Tx, parentType string, parent uuid.UUID) ([]Item, error) {
	return itemsOfParent.All(ctx, tx, db.Args{"type": parentType, "id": parent})
}

// QueueForParent adds the read of ForParent to a batch.
func QueueForParent(b *db.Batch, parentType string, parent uuid.UUID) *db.Result[Item] {
	return itemsOfParent.Queue(b, db.Args{"type": parentType, "id": parent})
}

// OpenCounts returns how many tasks of each record are neither settled nor cancelled.
// Records without any are missing.
func (s *Service) OpenCounts(ctx context.Context, tx *db.Tx, parentType string, parents []uuid.UUID) (map[uuid.UUID]int, error) {
	rows, err := openCounts.All(ctx, tx, db.Args{"type": parentType, "ids": parents})
	out := make(map[uuid.UUID]int, len(rows))
	for _, r := range rows {
		out[r.ID] = int(r.Count)
	}
	return out, err
}

// Draft is a task that does not exist yet, in a list such as that of a template.
type Draft struct {
	// Ref names the draft within its list; After are the refs that it waits for.
	Ref   string   `json:"ref"`
	After []string `json:"after,omitempty"`

	Title           string        `json:"title"`
	Description     string        `json:"description,omitempty"`
	Gate            string        `json:"gate,omitempty"`
	Verification    bool          `json:"verification,omitempty"`
	AssigneeID      uuid.NullUUID `json:"assignee"`
	EstimateMinutes int           `json:"estimate_minutes,omitempty"`
	// Due is relative to the moment that Copy is given, negative for before it; nil for none.
	DueOffset *time.Duration `json:"due_offset,omitempty"`
}

// Drafts returns the tasks of a record as drafts, with due dates relative to at. Cancelled
// ones are left out.
func (s *Service) Drafts(ctx context.Context, tx *db.Tx, parentType string, parent uuid.UUID, at time.Time) ([]Draft, error) {
	rows, err := tasksOfParent.All(ctx, tx, db.Args{"type": parentType, "id": parent})
	if err != nil {
		return nil, err
	}
	edges, err := edgesOfParent.All(ctx, tx, db.Args{"type": parentType, "id": parent})
	if err != nil {
		return nil, err
	}
	after := map[uuid.UUID][]string{}
	for _, e := range edges {
		after[e.Successor] = append(after[e.Successor], e.PredecessorKey)
	}
	var out []Draft
	for _, t := range rows {
		if t.State == Cancelled {
			continue
		}
		d := Draft{
			Ref: t.Key, After: after[t.ID], Title: t.Title, Description: t.Description, Gate: t.Gate, Verification: t.Verification,
			AssigneeID: t.AssigneeID, EstimateMinutes: int(t.EstimateMinutes),
		}
		if t.HasDue() {
			offset := t.DueAt.Sub(at)
			d.DueOffset = &offset
		}
		out = append(out, d)
	}
	return out, nil
}

// Copy makes the tasks of a list for a record, in order, with their dependencies, and
// returns them. Due dates are counted from at. A ref that is not in the list is left out.
func (s *Service) Copy(ctx context.Context, tx *db.Tx, list []Draft, parentType string, parent uuid.UUID, at time.Time) ([]Task, error) {
	out := make([]Task, 0, len(list))
	made := make(map[string]Task, len(list))
	for i, d := range list {
		n := NewTask{
			Title: d.Title, Description: d.Description, ParentType: parentType, ParentID: parent, Gate: d.Gate,
			Verification: d.Verification, AssigneeID: d.AssigneeID, EstimateMinutes: d.EstimateMinutes, Position: i + 1,
		}
		if d.DueOffset != nil {
			n.Due = at.Add(*d.DueOffset)
		}
		t, err := s.Add(ctx, tx, n)
		if err != nil {
			return nil, fmt.Errorf("copy task %d: %w", i+1, err)
		}
		out, made[d.Ref] = append(out, t), t
	}
	for i, d := range list {
		for _, ref := range d.After {
			before, ok := made[ref]
			if !ok {
				continue
			}
			if _, err := s.depend(ctx, tx, before, out[i], 0); err != nil {
				return nil, fmt.Errorf("copy dependency of task %d: %w", i+1, err)
			}
		}
	}
	return out, nil
}

// CancelOpen cancels what is left to do for a record that ended, verifications too.
func (s *Service) CancelOpen(ctx context.Context, tx *db.Tx, parentType string, parent uuid.UUID, reason string) (int, error) {
	rows, err := lockOpenOfParent.All(ctx, tx, db.Args{"type": parentType, "id": parent})
	if err != nil {
		return 0, err
	}
	for _, before := range rows {
		after := before
		after.State, after.StateReason, after.FinishedAt = Cancelled, reason, &tx.Now
		after.Version, after.UpdatedAt = before.Version+1, tx.Now
		if err := saveTask(ctx, tx, after); err != nil {
			return 0, err
		}
		if _, err := s.recordState(ctx, tx, before, after); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}
