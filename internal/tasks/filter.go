package tasks

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// The saved views that every workspace has.
const (
	viewMine       = "mine"
	viewOpen       = "open"
	viewOverdue    = "overdue"
	viewUnassigned = "unassigned"
	viewDone       = "done"
	viewAll        = "all"
)

func viewNames() []string {
	return []string{viewMine, viewOpen, viewOverdue, viewUnassigned, viewDone, viewAll}
}

// filter narrows the list of tasks. Zero fields do not.
type filter struct {
	// Text is words that begin a word of the title or the key; all must be found.
	Text string
	// State is one or more states, separated by commas.
	State string
	// Assignee is a user, "me" or "none".
	Assignee   string
	ParentType string
	ParentID   string
	Gate       string
	Blocked    bool
	DueBefore  time.Time
	// View is one of the saved views; empty lets everything through, as viewAll does.
	View string
}

// query turns the filter into a query of the list for a person. What it does not understand
// is fault.Invalid.
func (f filter) query(me uuid.UUID) (*db.ListQuery[Item], error) {
	q := taskList.Query()
	for i, w := range searchWords(f.Text) {
		name := "word" + strconv.Itoa(i+1)
		from, upto := db.PrefixRange(w)
		q.Filter(name, db.Args{name + "_from": from, name + "_upto": upto})
	}
	var states []string
	for _, text := range strings.FieldsFunc(f.State, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(States(), State(text)) {
			return nil, fault.InvalidField("state", "not_allowed", "State must be one of: todo, doing, done, skipped, cancelled.")
		}
		states = append(states, text)
	}
	if len(states) > 0 {
		q.Filter("states", db.Args{"states": states})
	}
	switch {
	case f.Gate == "":
	case !slices.Contains(GateNames(), f.Gate):
		return nil, fault.InvalidField("gate", "not_allowed", "Gate must be one of: "+strings.Join(GateNames(), ", ")+".")
	default:
		q.Filter("gate", db.Args{"gate": f.Gate})
	}
	if f.Blocked {
		q.Filter("blocked", nil)
	}
	if !f.DueBefore.IsZero() {
		q.Filter("due_before", db.Args{"due_before": f.DueBefore})
	}
	if err := f.narrowParent(q); err != nil {
		return nil, err
	}
	return q, f.narrowWho(q, me)
}

func (f filter) narrowParent(q *db.ListQuery[Item]) error {
	kind := storable(f.ParentType)
	switch {
	case f.ParentID != "":
		id, err := uuid.Parse(f.ParentID)
		if err != nil || kind == "" {
			return fault.InvalidField("parent_id", "not_allowed", "Name the type and the id of a record.")
		}
		q.Filter("parent", db.Args{"parent_type": kind, "parent_id": id})
	case kind != "":
		q.Filter("parent_type", db.Args{"parent_type": kind})
	}
	return nil
}

func (f filter) narrowWho(q *db.ListQuery[Item], me uuid.UUID) error {
	switch f.Assignee {
	case "":
	case "none":
		q.Filter("no_assignee", nil)
	case "me":
		q.Filter("assignee", db.Args{"assignee": me})
	default:
		id, err := uuid.Parse(f.Assignee)
		if err != nil {
			return fault.InvalidField("assignee", "not_allowed", "Assignee must be a user, me or none.")
		}
		q.Filter("assignee", db.Args{"assignee": id})
	}
	switch f.View {
	case "", viewAll:
	case viewMine:
		q.Filter("open", nil)
		if f.Assignee == "" {
			q.Filter("assignee", db.Args{"assignee": me})
		}
	case viewOpen:
		q.Filter("open", nil)
	case viewOverdue:
		q.Filter("overdue", nil)
	case viewUnassigned:
		q.Filter("open", nil)
		if f.Assignee == "" {
			q.Filter("no_assignee", nil)
		}
	case viewDone:
		if f.State == "" {
			q.Filter("states", db.Args{"states": []string{string(Done), string(Skipped), string(Cancelled)}})
		}
		q.Sort("-updated")
	default:
		return fault.InvalidField("view", "not_allowed", "View must be one of: "+strings.Join(viewNames(), ", ")+".")
	}
	return nil
}

// storable drops what PostgreSQL refuses in a text.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

func csvHeader() []string {
	return []string{
		"id", "key", "title", "state", "reason", "assignee", "due_at", "estimate_minutes", "parent_type", "parent_id", "parent", "gate",
		"verification", "blocked", "created_at", "started_at", "finished_at",
	}
}

// writeCSV writes every task that matches. Cells that a spreadsheet would compute are
// defused with an apostrophe.
func (s *Service) writeCSV(ctx context.Context, a db.Actor, q *db.ListQuery[Item], w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader()); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		return q.Each(ctx, tx, func(i Item) error {
			if err := out.Write(csvRow(i)); err != nil {
				return fmt.Errorf("write export: %w", err)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func csvRow(i Item) []string {
	at := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	parent := ""
	if i.ParentID.Valid {
		parent = i.ParentID.UUID.String()
	}
	return []string{
		i.ID.String(), i.Key, export.Cell(i.Title), string(i.State), export.Cell(i.StateReason), export.Cell(i.AssigneeName), at(i.due()),
		strconv.Itoa(int(i.EstimateMinutes)), i.ParentType, parent, export.Cell(i.ParentLabel), i.Gate, strconv.FormatBool(i.Verification),
		strconv.FormatBool(i.Blocked()), at(&i.CreatedAt), at(i.StartedAt), at(i.FinishedAt),
	}
}

// Open is a task of somebody, for the home page.
type Open struct {
	Key, Title, Path string
	For              string
	Due              *time.Time
	Overdue, Blocked bool
}

// QueueMine reads the open tasks of a person, the most urgent first, and says what they
// are at a time once the batch has run.
func (s *Service) QueueMine(b *db.Batch, user uuid.UUID, limit int) func(now time.Time) []Open {
	rows := openOf.Queue(b, db.Args{"user": user, "limit": limit})
	return func(now time.Time) []Open {
		out := make([]Open, len(rows.Rows))
		for i, r := range rows.Rows {
			out[i] = Open{
				Key: r.Key, Title: r.Title, Path: r.Path(), For: r.ParentLabel, Due: r.due(), Overdue: r.Overdue(now), Blocked: r.Blocked(),
			}
		}
		return out
	}
}

// MoveTasks moves many tasks, all or none, and returns how many it moved. Those that are
// there already are left alone.
func (s *Service) MoveTasks(ctx context.Context, a db.Actor, ids []uuid.UUID, to State) (int, error) {
	moved := 0
	err := s.eachTask(ctx, a, ids, func(tx *db.Tx, before Task) error {
		if before.State == to {
			return nil
		}
		moved++
		_, err := s.edit(ctx, tx, before, TaskEdit{State: &to})
		return err
	})
	return moved, err
}

// TakeTasks gives many tasks to the actor, all or none, and returns how many were not theirs.
func (s *Service) TakeTasks(ctx context.Context, a db.Actor, ids []uuid.UUID) (int, error) {
	taken, me := 0, a.UserID.String()
	err := s.eachTask(ctx, a, ids, func(tx *db.Tx, before Task) error {
		if before.AssigneeID.UUID == a.UserID {
			return nil
		}
		taken++
		_, err := s.edit(ctx, tx, before, TaskEdit{Assignee: &me})
		return err
	})
	return taken, err
}

// MaxBulk is how many tasks one action may take.
const MaxBulk = 200

func (s *Service) eachTask(ctx context.Context, a db.Actor, ids []uuid.UUID, do func(tx *db.Tx, before Task) error) error {
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return err
	}
	switch {
	case len(ids) == 0:
		return fault.InvalidField("id", "required", "Select at least one task.")
	case len(ids) > MaxBulk:
		return fault.InvalidField("id", "too_many", fmt.Sprintf("At most %d tasks fit in one action.", MaxBulk))
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		rows, err := lockMany.All(ctx, tx, db.Args{"ids": ids})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fault.NewNotFound("task")
		}
		for _, before := range rows {
			if err := do(tx, before); err != nil {
				return err
			}
		}
		return nil
	})
}
