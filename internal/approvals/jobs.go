package approvals

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// SweepArgs look, once for all workspaces, where time alone changes something.
type SweepArgs struct{}

// Kind implements river.JobArgs.
func (SweepArgs) Kind() string { return "approvals.sweep" }

// DueArgs do what is due in one workspace: deadlines of stages, beginnings and ends of
// delegations and absences.
type DueArgs struct{ job.InWorkspace }

// Kind implements river.JobArgs.
func (DueArgs) Kind() string { return "approvals.due" }

// InsertOpts implements river.JobArgsWithInsertOpts: one job per workspace waits or runs.
func (DueArgs) InsertOpts() river.InsertOpts { return once() }

// RerouteArgs route open requests again: those that touch the people, or all of them when
// nobody is named. After is the request where a former job stopped.
type RerouteArgs struct {
	job.InWorkspace
	Users []uuid.UUID `json:"users"`
	After uuid.UUID   `json:"after"`
}

// Kind implements river.JobArgs.
func (RerouteArgs) Kind() string { return "approvals.reroute" }

func once() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable,
		rivertype.JobStateScheduled,
	}}}
}

func (s *Service) workers(w *river.Workers) {
	river.AddWorker(w, &sweepWorker{s: s})
	river.AddWorker(w, &dueWorker{s: s})
	river.AddWorker(w, &rerouteWorker{s: s})
}

func schedules() []job.Schedule {
	return []job.Schedule{{Every: time.Minute, Job: func() river.JobArgs { return SweepArgs{} }, AtStart: true}}
}

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]
	s *Service
}

// Work implements river.Worker.
func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepArgs]) error { return w.s.Sweep(ctx) }

type dueWorker struct {
	river.WorkerDefaults[DueArgs]
	s *Service
}

// Work implements river.Worker.
func (w *dueWorker) Work(ctx context.Context, j *river.Job[DueArgs]) error {
	return w.s.DoDue(ctx, j.Args.WorkspaceID)
}

type rerouteWorker struct {
	river.WorkerDefaults[RerouteArgs]
	s *Service
}

// Work implements river.Worker.
func (w *rerouteWorker) Work(ctx context.Context, j *river.Job[RerouteArgs]) error {
	return w.s.Reroute(ctx, j.Args)
}

// Sweep finds the workspaces in which something is due and inserts a job for each.
func (s *Service) Sweep(ctx context.Context) error {
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		due, err := dueWorkspaces.All(ctx, tx, nil)
		if err != nil {
			return err
		}
		jobs := make([]river.JobArgs, len(due))
		for i, id := range due {
			jobs[i] = DueArgs{job.InWorkspace{WorkspaceID: id}}
		}
		return s.jobs.InsertSystem(ctx, tx, jobs...)
	})
}

const (
	patience     = 40 * time.Second // how long one job works before it leaves the rest to another
	dueBatch     = 50
	rerouteBatch = 100
	// postponed is when a stage is looked at again whose subject takes no decisions now.
	postponed = time.Hour
)

// DoDue does what is due in a workspace. After a standstill each thing is done once.
func (s *Service) DoDue(ctx context.Context, workspace uuid.UUID) error {
	if err := s.turn(ctx, workspace); err != nil {
		return err
	}
	start := s.clock.Now()
	var problems []error
	failed := map[uuid.UUID]bool{}
	for s.clock.Now().Sub(start) < patience {
		var due []uuid.UUID
		if err := s.db.InWorkspace(ctx, db.System(workspace, "approval deadlines"), func(tx *db.Tx) error {
			var err error
			due, err = dueStages.All(ctx, tx, db.Args{"limit": dueBatch + len(failed)})
			return err
		}); err != nil {
			return err
		}
		due = slices.DeleteFunc(due, func(id uuid.UUID) bool { return failed[id] })
		if len(due) == 0 {
			break
		}
		for _, id := range due {
			// One request that fails keeps no other from its deadline.
			if err := s.db.InWorkspace(ctx, db.System(workspace, "approval deadlines"), func(tx *db.Tx) error {
				return s.deadline(ctx, tx, id)
			}); err != nil {
				problems, failed[id] = append(problems, fmt.Errorf("deadline of request %s: %w", id, err)), true
			}
		}
	}
	return errors.Join(problems...)
}

// turn notes delegations and absences that began or ended and routes what they touch.
func (s *Service) turn(ctx context.Context, workspace uuid.UUID) error {
	return s.db.InWorkspace(ctx, db.System(workspace, "delegations and absences"), func(tx *db.Tx) error {
		turned, err := turnedDelegations.All(ctx, tx, nil)
		if err != nil {
			return err
		}
		users, err := turnedAbsences.All(ctx, tx, nil)
		if err != nil {
			return err
		}
		for _, row := range turned {
			users = append(users, row.Principal)
			if row.EndsAt.After(tx.Now) || row.RevokedAt != nil {
				continue
			}
			d, err := loadDelegation.One(ctx, tx, db.Args{"id": row.ID})
			if err != nil {
				return err
			}
			if err := s.record(ctx, tx, ledger.Entry{
				Action: eventDelegationEnded, Subject: d.subject(), Payload: delegationPayload(d),
			}); err != nil {
				return err
			}
			if err := s.tellDelegate(ctx, tx, d, eventDelegationEnded, "You no longer decide for "+nameOr(d.PrincipalName)); err != nil {
				return err
			}
		}
		if len(users) == 0 {
			return nil
		}
		return s.jobs.Insert(ctx, tx, rerouteFor(tx, users...))
	})
}

func rerouteFor(tx *db.Tx, users ...uuid.UUID) river.JobArgs {
	users = slices.Clone(users)
	slices.SortFunc(users, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return RerouteArgs{InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, Users: slices.Compact(users)}
}

// Reroute routes open requests again, each in a transaction of its own; where it stops,
// another job goes on.
func (s *Service) Reroute(ctx context.Context, args RerouteArgs) error {
	ws, start := args.WorkspaceID, s.clock.Now()
	for {
		var ids []uuid.UUID
		if err := s.db.InWorkspace(ctx, db.System(ws, "approval routing"), func(tx *db.Tx) error {
			var err error
			if len(args.Users) == 0 {
				ids, err = openRequestsAfter.All(ctx, tx, db.Args{"after": args.After, "limit": rerouteBatch})
			} else {
				ids, err = requestsTouching.All(ctx, tx, db.Args{"users": args.Users, "after": args.After, "limit": rerouteBatch})
			}
			return err
		}); err != nil {
			return err
		}
		for _, id := range ids {
			if err := s.db.InWorkspace(ctx, db.System(ws, "approval routing"), func(tx *db.Tx) error {
				return s.reroute(ctx, tx, id)
			}); err != nil {
				return fmt.Errorf("route request %s: %w", id, err)
			}
			args.After = id
		}
		if len(ids) < rerouteBatch {
			return nil
		}
		if s.clock.Now().Sub(start) > patience {
			return s.db.InWorkspace(ctx, db.System(ws, "approval routing"), func(tx *db.Tx) error { return s.jobs.Insert(ctx, tx, args) })
		}
	}
}

// deadline does what is due for a request: people are reminded, then others are asked, and
// at last it goes back to its author. Nothing is ever approved because time passed.
func (s *Service) deadline(ctx context.Context, tx *db.Tx, request uuid.UUID) error {
	at, err := requestPlace.One(ctx, tx, db.Args{"id": request})
	if err != nil {
		return err
	}
	r, err := s.lockRound(ctx, tx, at)
	if err != nil {
		return err
	}
	i := r.open()
	if r.req.State != StateOpen || i < 0 || !r.takes {
		_, err := postponeStage.Run(ctx, tx, db.Args{"request": request, "next_at": tx.Now.Add(postponed)})
		return err
	}
	st := &r.stages[i]
	switch {
	case st.NextAt == nil || st.NextAt.After(tx.Now):
		return nil
	case !tx.Now.Before(*st.DueAt):
		return s.timeOut(ctx, tx, r, i)
	case !tx.Now.Before(*st.EscalateAt):
		st.Reminded, st.Escalated, st.NextAt = true, true, st.DueAt
		if _, err := s.escalate(ctx, tx, r, i, func(seatRow) bool { return true }); err != nil {
			return err
		}
	default:
		st.Reminded, st.NextAt = true, st.EscalateAt
		if err := s.remind(ctx, tx, r, *st); err != nil {
			return err
		}
		// A seat that nobody can fill need not wait for the others to be late.
		if _, err := s.escalate(ctx, tx, r, i, r.unrouted); err != nil {
			return err
		}
		if err := s.record(ctx, tx, ledger.Entry{
			Action: eventReminded, Subject: r.req.subject(), Parent: r.req.parent(), Payload: r.seatsPayload(*st, nil),
		}); err != nil {
			return err
		}
	}
	_, err = saveStage.Run(ctx, tx, stageArgs(*st))
	return err
}

// unrouted reports whether nobody is asked for a seat.
func (r *round) unrouted(seat seatRow) bool {
	return !slices.ContainsFunc(r.routes, func(e routeRow) bool { return e.SeatID == seat.ID && e.Open && e.Assignee.Valid })
}

func (s *Service) timeOut(ctx context.Context, tx *db.Tx, r *round, i int) error {
	st := &r.stages[i]
	why := fmt.Sprintf("Nobody decided stage “%s” in time.", st.Name)
	if r.req.Kind != Retro {
		return s.settle(ctx, tx, r, TimedOut, CodeTimeout, settler{comment: why})
	}
	st.NextAt, r.req.Overdue = nil, true
	if _, err := saveStage.Run(ctx, tx, stageArgs(*st)); err != nil {
		return err
	}
	if err := r.save(ctx, tx); err != nil {
		return err
	}
	if err := s.record(ctx, tx, ledger.Entry{
		Action: eventOverdue, Subject: r.req.subject(), Parent: r.req.parent(), Payload: payloadOf(r.req), Reason: why,
	}); err != nil {
		return err
	}
	return s.tellProvider(ctx, tx, r, Settlement{
		RequestID: r.req.ID, Kind: Retro, Outcome: Overdue, Revision: r.req.Revision, Code: CodeTimeout, Reason: why,
	})
}

func nameOr(name string) string {
	if name == "" {
		return "a former member"
	}
	return name
}
