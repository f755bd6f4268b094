package freezes

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// SweepArgs look, once for all workspaces, whose stored occurrences are out of date.
type SweepArgs struct{}

// Kind implements river.JobArgs.
func (SweepArgs) Kind() string { return "freezes.sweep" }

// RebuildArgs store the occurrences of a workspace anew.
type RebuildArgs struct{ job.InWorkspace }

// Kind implements river.JobArgs.
func (RebuildArgs) Kind() string { return "freezes.rebuild" }

// InsertOpts implements river.JobArgsWithInsertOpts: one job per workspace waits or runs.
func (RebuildArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable,
		rivertype.JobStateScheduled,
	}}}
}

// ReconcileArgs hold changes that were scheduled while a freeze was being activated.
type ReconcileArgs struct {
	job.InWorkspace
	FreezeID uuid.UUID `json:"freeze_id" river:"unique"`
	Version  int64     `json:"version" river:"unique"`
}

// Kind implements river.JobArgs.
func (ReconcileArgs) Kind() string { return "freezes.reconcile" }

// InsertOpts implements river.JobArgsWithInsertOpts. Retried with pauses of its own, a
// first run that fails does no harm.
func (ReconcileArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
}

func (s *Service) workers(w *river.Workers) {
	river.AddWorker(w, &sweepWorker{s: s})
	river.AddWorker(w, &rebuildWorker{s: s})
	river.AddWorker(w, &reconcileWorker{s: s})
}

// schedules look at the zone data at each start, since it comes with the program and the
// machine, and at the age of what is stored.
func schedules() []job.Schedule {
	return []job.Schedule{{Every: 6 * time.Hour, Job: func() river.JobArgs { return SweepArgs{} }, AtStart: true}}
}

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]
	s *Service
}

// Work implements river.Worker.
func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepArgs]) error { return w.s.Sweep(ctx) }

type rebuildWorker struct {
	river.WorkerDefaults[RebuildArgs]
	s *Service
}

// Work implements river.Worker.
func (w *rebuildWorker) Work(ctx context.Context, j *river.Job[RebuildArgs]) error {
	return w.s.Rebuild(ctx, j.Args.WorkspaceID)
}

type reconcileWorker struct {
	river.WorkerDefaults[ReconcileArgs]
	s *Service
}

// settle is how long a transaction that did not see the freeze may take to end. Those that
// take longer meet the freeze when their change starts.
const settle = 5 * time.Second

// Work implements river.Worker.
func (w *reconcileWorker) Work(ctx context.Context, j *river.Job[ReconcileArgs]) error {
	if wait := j.CreatedAt.Add(settle).Sub(w.s.clock.Now()); wait > 0 {
		return river.JobSnooze(wait)
	}
	return w.s.Reconcile(ctx, j.Args.WorkspaceID, j.Args.FreezeID)
}

// rebuildAfter is how old stored occurrences may become: they reach 18 months ahead when
// they are made.
const rebuildAfter = 30 * 24 * time.Hour

// stale reports whether occurrences were made from other zone data than there is now, or
// long ago.
func (s *Service) stale(zone, version string, builtAt, now time.Time) bool {
	z, err := s.zone(zone)
	// A zone that this machine does not know is left to one that does.
	return err == nil && (z.version != version || now.Sub(builtAt) > rebuildAfter)
}

// Sweep inserts a job for each workspace whose occurrences are out of date.
func (s *Service) Sweep(ctx context.Context) error {
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		rows, err := staleZones.All(ctx, tx, nil)
		if err != nil {
			return err
		}
		var due []uuid.UUID
		for _, r := range rows {
			if !slices.Contains(due, r.WorkspaceID) && s.stale(r.Zone, r.ZoneVersion, r.BuiltAt, tx.Now) {
				due = append(due, r.WorkspaceID)
			}
		}
		jobs := make([]river.JobArgs, len(due))
		for i, id := range due {
			jobs[i] = RebuildArgs{job.InWorkspace{WorkspaceID: id}}
		}
		return s.jobs.InsertSystem(ctx, tx, jobs...)
	})
}

// Rebuild stores the occurrences of every recurring freeze of a workspace anew, each in a
// transaction of its own, and holds changes that meet one of the new ones.
func (s *Service) Rebuild(ctx context.Context, workspace uuid.UUID) error {
	a := db.System(workspace, "zone data or the calendar moved on")
	var all []Freeze
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		all, err = recurringFreezes.All(ctx, tx, nil)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range all {
		err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error { return s.rebuild(ctx, tx, f.ID) })
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

func (s *Service) rebuild(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	f, err := lockFreeze.One(ctx, tx, db.Args{"id": id})
	if err != nil || !f.Recurring || f.State == Lifted {
		return err
	}
	found, longest, err := s.build(&f, tx.Now)
	if err != nil {
		return err
	}
	_, err = noteBuilt.Run(ctx, tx, db.Args{"id": f.ID, "built_until": f.BuiltUntil, "zone_version": f.ZoneVersion, "longest": longest})
	if err != nil {
		return err
	}
	if err := s.store(ctx, tx, f, found); err != nil {
		return err
	}
	if f.State == Active {
		_, err = s.hold(ctx, tx, f, false)
	}
	return err
}

// Reconcile holds the scheduled changes inside an active freeze that are not held yet.
func (s *Service) Reconcile(ctx context.Context, workspace, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, db.System(workspace, "freeze in force"), func(tx *db.Tx) error {
		f, err := shareFreeze.One(ctx, tx, db.Args{"id": id})
		if err != nil || f.State != Active {
			return err
		}
		_, err = s.hold(ctx, tx, f, false)
		return err
	})
}
