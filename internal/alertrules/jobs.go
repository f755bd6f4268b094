package alertrules

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// SweepArgs look, once for all workspaces, where time alone changes something.
type SweepArgs struct{}

// Kind implements river.JobArgs.
func (SweepArgs) Kind() string { return "alertrules.sweep" }

// DueArgs judge the hosts of one workspace that are due.
type DueArgs struct{ job.InWorkspace }

// Kind implements river.JobArgs.
func (DueArgs) Kind() string { return "alertrules.due" }

// InsertOpts implements river.JobArgsWithInsertOpts: one job per workspace waits or runs,
// however many sweeps find it due.
func (DueArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable,
		rivertype.JobStateScheduled,
	}}}
}

// RecheckArgs judge every host of a workspace after a rule changed. After is the host
// where a former job stopped.
type RecheckArgs struct {
	job.InWorkspace
	RuleID  uuid.UUID `json:"rule_id" river:"unique"`
	Version int64     `json:"version" river:"unique"`
	After   uuid.UUID `json:"after" river:"unique"`
}

// Kind implements river.JobArgs.
func (RecheckArgs) Kind() string { return "alertrules.recheck" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (RecheckArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

const (
	// keepResolved is how long an alert is kept after it ended.
	keepResolved = 400 * day
	purgeBatch   = 5000
)

// PurgeArgs remove alerts that ended longer than keepResolved ago, in all workspaces.
type PurgeArgs struct{}

// Kind implements river.JobArgs.
func (PurgeArgs) Kind() string { return "alertrules.purge" }

func (s *Service) workers(w *river.Workers) {
	river.AddWorker(w, &purgeWorker{s: s})
	river.AddWorker(w, &sweepWorker{s: s})
	river.AddWorker(w, &dueWorker{s: s})
	river.AddWorker(w, &recheckWorker{s: s})
}

func schedules() []job.Schedule {
	return []job.Schedule{
		{Every: time.Minute, Job: func() river.JobArgs { return SweepArgs{} }, AtStart: true},
		{Every: day, Job: func() river.JobArgs { return PurgeArgs{} }, AtStart: true},
	}
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
	return w.s.EvaluateDue(ctx, j.Args.WorkspaceID)
}

type recheckWorker struct {
	river.WorkerDefaults[RecheckArgs]
	s *Service
}

// Work implements river.Worker.
func (w *recheckWorker) Work(ctx context.Context, j *river.Job[RecheckArgs]) error {
	return w.s.recheckHosts(ctx, j.Args)
}

type purgeWorker struct {
	river.WorkerDefaults[PurgeArgs]
	s *Service
}

// Work implements river.Worker.
func (w *purgeWorker) Work(ctx context.Context, _ *river.Job[PurgeArgs]) error { return w.s.purge(ctx) }

// purge deletes in small transactions, so that no other writer waits for long.
func (s *Service) purge(ctx context.Context) error {
	for n := int64(purgeBatch); n == purgeBatch; {
		err := s.db.System(ctx, func(tx *db.SystemTx) error {
			var err error
			n, err = purgeAlerts.Run(ctx, tx, db.Args{"before": tx.Now.Add(-keepResolved), "limit": purgeBatch})
			return err
		})
		if err != nil {
			return fmt.Errorf("purge alerts: %w", err)
		}
	}
	return nil
}

// Sweep finds the workspaces in which hosts are due and inserts a job for each, so that
// one of them never holds up the others.
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

// patience is how long one job works before it leaves the rest to the next sweep.
const patience = 40 * time.Second

// EvaluateDue judges the hosts of a workspace whose time has come. It does what is due
// now: after a standstill each host is judged once, not once for each minute missed.
func (s *Service) EvaluateDue(ctx context.Context, workspace uuid.UUID) error {
	start := s.clock.Now()
	for s.clock.Now().Sub(start) < patience {
		var ids []uuid.UUID
		err := s.db.InWorkspace(ctx, db.System(workspace, "alert rules"), func(tx *db.Tx) error {
			var err error
			ids, err = dueHosts.All(ctx, tx, db.Args{"limit": evaluationBatch})
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := s.Evaluate(ctx, workspace, ids, nil); err != nil {
			return err
		}
	}
	return nil
}

const (
	walkBatch   = 500
	walkPerJob  = 5000
	walkBatches = walkPerJob / walkBatch
)

// recheckHosts ends what fires for rules that no longer watch, then judges hosts in order
// of their ids; where it stops, another job goes on.
func (s *Service) recheckHosts(ctx context.Context, args RecheckArgs) error {
	ws := args.WorkspaceID
	if args.After == uuid.Nil {
		if err := s.closeOrphans(ctx, ws); err != nil {
			return err
		}
	}
	for range walkBatches {
		var ids []uuid.UUID
		err := s.db.InWorkspace(ctx, db.System(ws, "alert rules"), func(tx *db.Tx) error {
			hosts, err := s.hosts.HostsByExpiry(ctx, tx, farAway(), args.After, walkBatch)
			if err != nil {
				return fmt.Errorf("walk hosts: %w", err)
			}
			for _, h := range hosts {
				ids = append(ids, h.ID)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			args.After = ids[len(ids)-1]
			if err := s.Evaluate(ctx, ws, ids, nil); err != nil {
				return err
			}
		}
		if len(ids) < walkBatch {
			return nil
		}
	}
	return s.db.InWorkspace(ctx, db.System(ws, "alert rules"), func(tx *db.Tx) error { return s.jobs.Insert(ctx, tx, args) })
}
