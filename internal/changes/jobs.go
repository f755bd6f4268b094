package changes

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// SweepArgs look in all workspaces for changes that time alone moves on.
type SweepArgs struct{}

// Kind implements river.JobArgs.
func (SweepArgs) Kind() string { return "changes.sweep" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByPeriod: 30 * time.Second}}
}

// CheckArgs move one change on, if it is due.
type CheckArgs struct {
	job.InWorkspace
	ChangeID uuid.UUID `json:"change_id" river:"unique"`
}

// Kind implements river.JobArgs.
func (CheckArgs) Kind() string { return "changes.check" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (CheckArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: 30 * time.Second}}
}

type sweepWorker struct {
	river.WorkerDefaults[SweepArgs]
	s *Service
}

// Work implements river.Worker.
func (w *sweepWorker) Work(ctx context.Context, _ *river.Job[SweepArgs]) error { return w.s.Sweep(ctx) }

type checkWorker struct {
	river.WorkerDefaults[CheckArgs]
	s *Service
}

// Work implements river.Worker.
func (w *checkWorker) Work(ctx context.Context, j *river.Job[CheckArgs]) error {
	return w.s.MoveDue(ctx, j.Args.WorkspaceID, j.Args.ChangeID)
}

// Sweep makes a job for each change that is due.
func (s *Service) Sweep(ctx context.Context) error {
	return s.db.System(ctx, func(tx *db.SystemTx) error {
		rows, err := due.All(ctx, tx, nil)
		if err != nil {
			return err
		}
		jobs := make([]river.JobArgs, len(rows))
		for i, r := range rows {
			jobs[i] = CheckArgs{InWorkspace: job.InWorkspace{WorkspaceID: r.WorkspaceID}, ChangeID: r.ID}
		}
		return s.jobs.InsertSystem(ctx, tx, jobs...)
	})
}

// MoveDue does what time alone asks for: a missed window, an approval that ended, a change
// that runs longer than planned. One that is not due, or no longer, stays as it is.
func (s *Service) MoveDue(ctx context.Context, workspace, id uuid.UUID) error {
	err := s.db.InWorkspace(ctx, db.System(workspace, "time passed"), func(tx *db.Tx) error {
		c, err := lockByID.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if c.CheckAt == nil || c.CheckAt.After(tx.Now) {
			return nil
		}
		switch {
		case c.State == lifecycle.Scheduled && c.End != nil && !tx.Now.Before(c.End.Add(s.limits.MissedGrace)):
			return s.missWindow(ctx, tx, c)
		case (c.State == lifecycle.Approved || c.State == lifecycle.Scheduled) && c.ApprovalValidUntil != nil && !tx.Now.Before(*c.ApprovalValidUntil):
			return s.expire(ctx, tx, c)
		case c.State == lifecycle.InProgress:
			return s.overrun(ctx, tx, c)
		}
		c.setCheck(s.limits)
		_, err = updateCheck.Run(ctx, tx, db.Args{"id": c.ID, "at": c.CheckAt})
		return err
	})
	if err != nil {
		return fmt.Errorf("move change %s: %w", id, err)
	}
	return nil
}

// missWindow takes a change that nobody started off the schedule (T8).
func (s *Service) missWindow(ctx context.Context, tx *db.Tx, before Change) error {
	c := before
	c.State, c.MissedWindow = lifecycle.Approved, true
	c.StateReason = "Nobody started it before its window ended."
	c.ScheduleSequence++
	c.Version++
	c.UpdatedAt = tx.Now
	c.setCheck(s.limits)
	if err := saveChange(ctx, tx, c); err != nil {
		return err
	}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: EventWindowMissed, Subject: c.subject(), Before: before, After: c, Payload: c.payload(), Reason: c.StateReason,
	})
	if err != nil {
		return err
	}
	people, err := s.involved(ctx, tx, c)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, c, id, Notice{
		Recipients: people, EventName: EventWindowMissed, Severity: event.Medium, Title: c.Key + " missed its window",
		Body: "It is approved still. Choose another window and schedule it again.", Mail: true,
	})
}

// expire brings a change whose approval ended back to review (T6). When nobody could approve
// it any more it goes back to its author.
func (s *Service) expire(ctx context.Context, tx *db.Tx, c Change) error {
	before := c
	c.Version++
	c.UpdatedAt = tx.Now
	const why = "The approval has expired."
	subject, err := s.approvalSubject(ctx, tx, c)
	if err != nil {
		return err
	}
	preview, err := s.approvals.Preview(ctx, tx, subject)
	if err != nil {
		return fmt.Errorf("preview approval of %s: %w", c.Key, err)
	}
	if len(preview.Problems) == 0 {
		_, err := s.reopen(ctx, tx, c, why)
		return err
	}
	c.State, c.StateReason = lifecycle.Draft, why+" Nobody could approve it now: "+preview.Problems[0].Text
	c.ApprovalValidUntil, c.ApprovedAt, c.ApprovedRisk, c.Preauthorisation = nil, nil, "", nil
	c.setCheck(s.limits)
	if err := saveChange(ctx, tx, c); err != nil {
		return err
	}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: EventReturned, Subject: c.subject(), Before: before, After: c, Payload: c.payload(), Reason: c.StateReason,
	})
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, c, id, Notice{
		Recipients: c.owners(), EventName: EventReturned, Severity: event.Medium, Title: c.Key + " came back: its approval has expired", Body: c.StateReason, Mail: true,
	})
}

// overrun tells once that a change runs longer than planned.
func (s *Service) overrun(ctx context.Context, tx *db.Tx, c Change) error {
	if _, err := updateCheck.Run(ctx, tx, db.Args{"id": c.ID, "at": nil}); err != nil {
		return err
	}
	id, err := s.record(ctx, tx, ledger.Entry{Action: EventOverran, Subject: c.subject(), Payload: c.payload(), Reason: "Its window has ended."})
	if err != nil {
		return err
	}
	people, err := s.involved(ctx, tx, c)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, c, id, Notice{
		Recipients: people, EventName: EventOverran, Severity: event.Medium, Title: c.Key + " runs longer than planned",
		Body: "Its window has ended. Complete it, or record that it failed.",
	})
}
