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

// ExpireArgs remove scans and what they found once past their time, in all workspaces.
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

// How long things are kept (reliability.md 4.8).
const (
	// Retention is how long each scan is kept on its own, and a snapshot or certificate after
	// the last host showed it. Scans go by whole months.
	Retention = 400 * 24 * time.Hour
	// requestRetention is how long a scan that somebody asked for is kept as such.
	requestRetention = 90 * 24 * time.Hour
	// monthsAhead is how many months after the present one have a place for scans already: a
	// job that fails for a whole quarter still loses none.
	monthsAhead = 3
)

// Expire removes what is past its time and makes places for the coming months, in all
// workspaces.
func (s *Service) Expire(ctx context.Context) error {
	if err := s.ensureMonths(ctx); err != nil {
		return err
	}
	err := s.db.System(ctx, func(tx *db.SystemTx) error {
		_, err := dropObservations.One(ctx, tx, db.Args{"before": tx.Now.UTC().Add(-Retention)})
		return err
	})
	if err != nil {
		return fmt.Errorf("drop old scans: %w", err)
	}
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		if _, err := allowLongSweep.One(ctx, tx, nil); err != nil {
			return err
		}
		for _, sweep := range []struct {
			what    string
			command db.Command
			kept    time.Duration
		}{
			{"requests", expireScans, requestRetention},
			{"snapshots", expireSnapshots, Retention},
			{"certificates", expireCerts, Retention}, // after the snapshots that refer to them
		} {
			if _, err := sweep.command.Run(ctx, tx, db.Args{"before": tx.Now.Add(-sweep.kept)}); err != nil {
				return fmt.Errorf("expire %s: %w", sweep.what, err)
			}
		}
		return nil
	})
}

// ensureMonths makes the partitions of scans for the present month and the coming ones.
func (s *Service) ensureMonths(ctx context.Context) error {
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		now := tx.Now.UTC()
		for m := range monthsAhead + 1 {
			// From the first of the month: adding months to the 31st would skip short ones.
			first := time.Date(now.Year(), now.Month()+time.Month(m), 1, 0, 0, 0, 0, time.UTC)
			if _, err := ensureObservations.One(ctx, tx, db.Args{"day": first}); err != nil {
				return fmt.Errorf("make place for scans of %s: %w", first.Format("2006-01"), err)
			}
		}
		return nil
	})
}
