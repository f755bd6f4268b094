package auditlog

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// PartitionsArgs make the partitions of the coming months.
type PartitionsArgs struct{}

// Kind implements river.JobArgs.
func (PartitionsArgs) Kind() string { return "auditlog.ensure_partitions" }

// monthsAhead is how many months after the present one have a partition already: a job
// that fails for a whole quarter still loses no entry.
const monthsAhead = 3

type partitionsWorker struct {
	river.WorkerDefaults[PartitionsArgs]
	s *Service
}

// Work implements river.Worker.
func (w *partitionsWorker) Work(ctx context.Context, _ *river.Job[PartitionsArgs]) error {
	return w.s.EnsurePartitions(ctx)
}

// EnsurePartitions makes the partition of the present month and of the next three, as far
// as they do not exist.
func (s *Service) EnsurePartitions(ctx context.Context) error {
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		now := tx.Now.UTC()
		for m := range monthsAhead + 1 {
			// From the first of the month: adding months to the 31st would skip short ones.
			first := time.Date(now.Year(), now.Month()+time.Month(m), 1, 0, 0, 0, 0, time.UTC)
			if _, err := ensurePartition.One(ctx, tx, db.Args{"day": first}); err != nil {
				return fmt.Errorf("make audit partition of %s: %w", first.Format("2006-01"), err)
			}
		}
		return nil
	})
}

func schedules() []job.Schedule {
	return []job.Schedule{{Every: 24 * time.Hour, AtStart: true, Job: func() river.JobArgs { return PartitionsArgs{} }}}
}
