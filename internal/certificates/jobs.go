package certificates

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// ScanArgs carry out one scan that somebody asked for. Scheduled scans make no job.
type ScanArgs struct {
	job.InWorkspace
	ScanID uuid.UUID `json:"scan_id" river:"unique"`
}

// Kind implements river.JobArgs.
func (ScanArgs) Kind() string { return "certificates.scan" }

// scanAttempts is how often we try when the fault is ours.
const scanAttempts = 4

// InsertOpts implements river.JobArgsWithInsertOpts.
func (ScanArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: job.QueueScan, MaxAttempts: scanAttempts, Priority: 1}
}

type scanWorker struct {
	river.WorkerDefaults[ScanArgs]
	s *Service
}

// Work implements river.Worker.
func (w *scanWorker) Work(ctx context.Context, j *river.Job[ScanArgs]) error {
	err := w.s.runScan(ctx, j.Args.WorkspaceID, j.Args.ScanID)
	if errors.Is(err, errBusy) {
		return river.JobSnooze(time.Second)
	}
	if err != nil && j.Attempt >= j.MaxAttempts && ctx.Err() == nil {
		return errors.Join(err, w.s.abandonScan(ctx, j.Args.WorkspaceID, j.Args.ScanID))
	}
	return err
}

// ExpireArgs remove observations and requests that are past their time, in all workspaces.
type ExpireArgs struct{}

// Kind implements river.JobArgs.
func (ExpireArgs) Kind() string { return "certificates.expire" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (ExpireArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 5, UniqueOpts: river.UniqueOpts{ByPeriod: time.Hour}}
}

type expireWorker struct {
	river.WorkerDefaults[ExpireArgs]
	s *Service
}

// Timeout implements river.Worker: a first sweep after a long pause has much to do.
func (w *expireWorker) Timeout(*river.Job[ExpireArgs]) time.Duration { return 30 * time.Minute }

// Work implements river.Worker.
func (w *expireWorker) Work(ctx context.Context, _ *river.Job[ExpireArgs]) error {
	return w.s.Expire(ctx)
}

// Retention is how long each scan is kept on its own.
const Retention = 90 * 24 * time.Hour

// Expire removes observations and requested scans older than Retention, in all workspaces.
func (s *Service) Expire(ctx context.Context) error {
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		if _, err := allowLongSweep.One(ctx, tx, nil); err != nil {
			return err
		}
		args := db.Args{"before": tx.Now.Add(-Retention)}
		if _, err := expireObservations.Run(ctx, tx, args); err != nil {
			return fmt.Errorf("expire observations: %w", err)
		}
		if _, err := expireScans.Run(ctx, tx, args); err != nil {
			return fmt.Errorf("expire scans: %w", err)
		}
		return nil
	})
}
