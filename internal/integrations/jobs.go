package integrations

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// DeliverArgs are one run of a delivery: its attempts, until one succeeds or none is left.
// The endpoint is here so that a job can be put back without asking the database.
type DeliverArgs struct {
	job.InWorkspace
	EndpointID uuid.UUID `json:"endpoint_id"`
	DeliveryID uuid.UUID `json:"delivery_id"`
	Run        int       `json:"run"`
}

// Kind implements river.JobArgs.
func (DeliverArgs) Kind() string { return "webhook.deliver" }

// InsertOpts implements river.JobArgsWithInsertOpts. Attempts at the endpoint are counted
// with the delivery; those of River count only failures of ours.
func (DeliverArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: job.QueueDelivery, MaxAttempts: 1000, Priority: 1}
}

type deliverWorker struct {
	river.WorkerDefaults[DeliverArgs]
	s *Service
}

// Work makes an attempt if the endpoint has room for one and puts the job back for the next.
func (w *deliverWorker) Work(ctx context.Context, j *river.Job[DeliverArgs]) error {
	t, wait, ok := w.s.lanes.enter(j.Args.EndpointID)
	if !ok {
		return river.JobSnooze(wait)
	}
	defer t.cancel()
	pause, err := w.s.attempt(ctx, j.Args, t)
	switch {
	case errors.Is(err, errInterrupted):
		return river.JobSnooze(0)
	case err != nil:
		return err
	case pause > 0:
		return river.JobSnooze(pause)
	}
	return nil
}

// NextRetry implements river.Worker. What fails here is our own database, which is soon
// back; River's pauses would grow to hours.
func (w *deliverWorker) NextRetry(j *river.Job[DeliverArgs]) time.Time {
	return w.s.clock.Now().Add(min(time.Duration(len(j.Errors)+1)*2*time.Second, time.Minute))
}

const (
	// keepDeliveries is how long a finished delivery and its attempts are kept.
	keepDeliveries = 30 * 24 * time.Hour
	expireBatch    = 5000
)

// ExpireArgs delete deliveries that are older than keepDeliveries.
type ExpireArgs struct{}

// Kind implements river.JobArgs.
func (ExpireArgs) Kind() string { return "webhook.expire" }

type expireWorker struct {
	river.WorkerDefaults[ExpireArgs]
	s *Service
}

// Work deletes in small transactions, so that no other writer waits for long.
func (w *expireWorker) Work(ctx context.Context, _ *river.Job[ExpireArgs]) error {
	return w.s.expire(ctx)
}

func (s *Service) expire(ctx context.Context) error {
	for _, c := range []db.Command{expireDeliveries, expireBodies} {
		for n := int64(expireBatch); n == expireBatch; {
			err := s.db.System(ctx, func(tx *db.SystemTx) error {
				var err error
				n, err = c.Run(ctx, tx, db.Args{"before": tx.Now.Add(-keepDeliveries), "limit": expireBatch})
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
