package notifications

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// unfinished are the states in which a second job of the same kind adds nothing. A
// completed one must not hinder the next.
func unfinished() []rivertype.JobState {
	return []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}
}

// sendArgs send one mail.
type sendArgs struct {
	job.InWorkspace
	MailID uuid.UUID `json:"mail_id"`
}

// Kind implements river.JobArgs.
func (sendArgs) Kind() string { return "mail.send" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (sendArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: job.QueueMail, MaxAttempts: attempts}
}

type sendWorker struct {
	river.WorkerDefaults[sendArgs]
	s *Service
}

// Timeout leaves room around the minute that sending may take.
func (w *sendWorker) Timeout(*river.Job[sendArgs]) time.Duration { return 90 * time.Second }

// NextRetry waits longer each time: a server that says "later" means it.
func (w *sendWorker) NextRetry(j *river.Job[sendArgs]) time.Time {
	return w.s.clock.Now().Add(retryAfter(j.Attempt))
}

func (w *sendWorker) Work(ctx context.Context, j *river.Job[sendArgs]) error {
	return w.s.deliver(ctx, j.Args.WorkspaceID, j.Args.MailID, j.Attempt)
}

// sweepArgs look for mail that was held back and is due, in all workspaces.
type sweepArgs struct{}

// Kind implements river.JobArgs.
func (sweepArgs) Kind() string { return "notifications.sweep" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (sweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: job.QueueMail, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
}

type sweepWorker struct {
	river.WorkerDefaults[sweepArgs]
	s *Service
}

func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[sweepArgs]) error { return w.s.sweep(ctx) }

// digestArgs mail what is due for one person.
type digestArgs struct {
	job.InWorkspace
	UserID uuid.UUID `json:"user_id" river:"unique"`
}

// Kind implements river.JobArgs.
func (digestArgs) Kind() string { return "notifications.digest" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (digestArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: job.QueueMail, MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
}

type digestWorker struct {
	river.WorkerDefaults[digestArgs]
	s *Service
}

func (w *digestWorker) Work(ctx context.Context, j *river.Job[digestArgs]) error {
	return w.s.queueDigest(ctx, j.Args.WorkspaceID, j.Args.UserID)
}

// purgeArgs remove what nobody needs any more.
type purgeArgs struct{}

// Kind implements river.JobArgs.
func (purgeArgs) Kind() string { return "notifications.purge" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (purgeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished()}}
}

type purgeWorker struct {
	river.WorkerDefaults[purgeArgs]
	s *Service
}

func (w *purgeWorker) Work(ctx context.Context, _ *river.Job[purgeArgs]) error { return w.s.purge(ctx) }

// sweep inserts one job for each person whose held mail is due.
func (s *Service) sweep(ctx context.Context) error {
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		owners, err := whoIsDue.All(ctx, tx, nil)
		if err != nil {
			return err
		}
		args := make([]river.JobArgs, len(owners))
		for i, o := range owners {
			args[i] = digestArgs{InWorkspace: job.InWorkspace{WorkspaceID: o.WorkspaceID}, UserID: o.UserID}
		}
		return s.jobs.InsertSystem(ctx, tx, args...)
	})
}

const (
	keepNotifications = 180 * 24 * time.Hour
	keepMails         = 30 * 24 * time.Hour
)

// purge removes old rows, some thousands in one transaction, until none is left.
func (s *Service) purge(ctx context.Context) error {
	for _, p := range []struct {
		command db.Command
		keep    time.Duration
	}{{purgeNotifications, keepNotifications}, {purgeMails, keepMails}} {
		for n := int64(1); n > 0; {
			err := s.db.System(ctx, func(tx *db.SystemTx) error {
				var err error
				n, err = p.command.Run(ctx, tx, db.Args{"before": tx.Now.Add(-p.keep)})
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
