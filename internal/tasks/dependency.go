package tasks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Dependency says that Successor begins only once Predecessor is settled, and LagMinutes
// after that.
type Dependency struct {
	ID             uuid.UUID `db:"id"`
	Predecessor    uuid.UUID `db:"predecessor_id" audit:"predecessor"`
	Successor      uuid.UUID `db:"successor_id" audit:"successor"`
	LagMinutes     int32     `db:"lag_minutes" audit:"lag_minutes"`
	PredecessorKey string    `db:"predecessor_key"`
	SuccessorKey   string    `db:"successor_key"`
}

// predecessor is a task that stands before another.
type predecessor struct {
	Key        string     `db:"key"`
	Title      string     `db:"title"`
	State      State      `db:"state"`
	FinishedAt *time.Time `db:"finished_at"`
	LagMinutes int32      `db:"lag_minutes"`
}

// blockers returns the predecessors that keep a task from being started at now.
func blockers(rows []predecessor, now time.Time) []Blocker {
	var out []Blocker
	for _, p := range rows {
		b := Blocker{Key: p.Key, Title: p.Title, State: p.State}
		if p.State.Settled() {
			if p.FinishedAt == nil {
				continue
			}
			if b.Until = p.FinishedAt.Add(time.Duration(p.LagMinutes) * time.Minute); !b.Until.After(now) {
				continue
			}
		}
		out = append(out, b)
	}
	return out
}

// maxLag is a year in minutes.
const maxLag = 525600

// DependOn makes a task wait for another. A circle is fault.Invalid with the way around it.
func (s *Service) DependOn(ctx context.Context, a db.Actor, successor, predecessor string, lagMinutes int) (Dependency, error) {
	var out Dependency
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		after, err := findTask(ctx, tx, successor)
		if err != nil {
			return err
		}
		before, err := findTask(ctx, tx, predecessor)
		if fault.Is(err, fault.NotFound) {
			return fault.InvalidField("predecessor", "unknown_task", "There is no such task.")
		}
		if err != nil {
			return err
		}
		out, err = s.depend(ctx, tx, before, after, lagMinutes)
		return err
	})
	return out, err
}

func (s *Service) depend(ctx context.Context, tx *db.Tx, before, after Task, lagMinutes int) (Dependency, error) {
	if lagMinutes < 0 || lagMinutes > maxLag {
		return Dependency{}, fault.InvalidField("lag_minutes", "out_of_range", "Between 0 minutes and a year.")
	}
	if before.ID == after.ID {
		return Dependency{}, circleError([]string{after.Key, after.Key})
	}
	if _, err := s.open(ctx, tx, after); err != nil {
		return Dependency{}, err
	}
	if err := lockGraph(ctx, tx); err != nil {
		return Dependency{}, err
	}
	// All edges that lead onwards from the successor: if one of them comes to the
	// predecessor, the new edge would close a circle.
	edges, err := edgesOnward.All(ctx, tx, db.Args{"id": after.ID})
	if err != nil {
		return Dependency{}, err
	}
	if way := wayThrough(edges, after.ID, before.ID); way != nil {
		return Dependency{}, circleError(append([]string{before.Key}, way...))
	}
	id, err := newID()
	if err != nil {
		return Dependency{}, err
	}
	out := Dependency{
		ID: id, Predecessor: before.ID, Successor: after.ID, LagMinutes: int32(lagMinutes),
		PredecessorKey: before.Key, SuccessorKey: after.Key,
	}
	n, err := insertDependency.Run(ctx, tx, db.Args{
		"id": id, "predecessor": before.ID, "successor": after.ID, "lag": lagMinutes, "by": db.NullID(tx.Actor.UserID),
	})
	if err != nil {
		return out, err
	}
	if n == 0 {
		return out, fault.InvalidField("predecessor", "duplicate_dependency", after.Key+" waits for "+before.Key+" already.")
	}
	return out, s.recordEdge(ctx, tx, EventDependencyAdded, nil, &out)
}

// wayThrough returns the keys on the shortest way from one task to another along edges, both
// ends included; nil when there is none.
func wayThrough(edges []Dependency, from, to uuid.UUID) []string {
	next := map[uuid.UUID][]Dependency{}
	for _, e := range edges {
		next[e.Predecessor] = append(next[e.Predecessor], e)
	}
	came := map[uuid.UUID]Dependency{}
	queue := []uuid.UUID{from}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range next[at] {
			if _, seen := came[e.Successor]; seen || e.Successor == from {
				continue
			}
			came[e.Successor] = e
			if e.Successor == to {
				return wayBack(came, from, to)
			}
			queue = append(queue, e.Successor)
		}
	}
	return nil
}

func wayBack(came map[uuid.UUID]Dependency, from, to uuid.UUID) []string {
	var way []string
	for at := to; at != from; at = came[at].Predecessor {
		way = append(way, came[at].SuccessorKey)
		if came[at].Predecessor == from {
			way = append(way, came[at].PredecessorKey)
		}
	}
	slices.Reverse(way)
	return way
}

// circleError names the way around a circle: TASK-0001 → TASK-0002 → TASK-0001.
func circleError(way []string) error {
	e := &fault.Error{
		Kind: fault.Invalid, Code: "dependency_cycle",
		Message: "The tasks would wait for each other: " + strings.Join(way, " → ") + ".",
	}
	for _, key := range way {
		e.Details = append(e.Details, fault.Detail{Code: "dependency_cycle", Field: "predecessor", Message: e.Message, Ref: key})
	}
	return e
}

// RemoveDependency lets a task no longer wait for another. The task is named because the
// dependency must be one of its own, in either direction.
func (s *Service) RemoveDependency(ctx context.Context, a db.Actor, task string, id uuid.UUID) error {
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return err
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		t, err := findTask(ctx, tx, task)
		if err != nil {
			return err
		}
		if _, err := s.open(ctx, tx, t); err != nil {
			return err
		}
		edges, err := dependenciesOf.All(ctx, tx, db.Args{"id": t.ID})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(edges, func(e Dependency) bool { return e.ID == id })
		if i < 0 {
			return fault.NewNotFound("dependency")
		}
		return s.removeEdge(ctx, tx, edges[i])
	})
}

func (s *Service) removeEdge(ctx context.Context, tx *db.Tx, e Dependency) error {
	n, err := deleteDependency.Run(ctx, tx, db.Args{"id": e.ID})
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.NewNotFound("dependency")
	}
	return s.recordEdge(ctx, tx, EventDependencyRemoved, &e, nil)
}

func (s *Service) recordEdge(ctx context.Context, tx *db.Tx, action string, before, after *Dependency) error {
	e := after
	if e == nil {
		e = before
	}
	_, err := s.ledger.Record(ctx, tx, ledger.Entry{
		Action: action, Before: before, After: after,
		Subject: event.Subject{Type: SubjectDependency, ID: e.ID, Title: e.SuccessorKey + " waits for " + e.PredecessorKey},
		Parent:  &event.Subject{Type: SubjectTask, ID: e.Successor, Key: e.SuccessorKey},
		Payload: DependencyPayload{
			DependencyID: e.ID, Predecessor: e.PredecessorKey, Successor: e.SuccessorKey, LagMinutes: int(e.LagMinutes),
		},
	})
	return err
}

// successors returns the keys of the tasks that wait for a task.
func successors(edges []Dependency, id uuid.UUID) []string {
	var out []string
	for _, e := range edges {
		if e.Predecessor == id {
			out = append(out, e.SuccessorKey)
		}
	}
	return out
}

func hasSuccessors(t Task, waiting []string) error {
	e := &fault.Error{
		Kind: fault.Conflict, Code: "task_has_successors",
		Message: fmt.Sprintf("%s is waited for by %s. Confirm that they shall no longer wait.", t.Key, strings.Join(waiting, ", ")),
	}
	for _, key := range waiting {
		e.Details = append(e.Details, fault.Detail{Code: "task_has_successors", Message: key + " waits for " + t.Key + ".", Ref: key})
	}
	return e
}
