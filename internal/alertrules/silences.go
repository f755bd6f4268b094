package alertrules

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Silence reads one silence.
func (s *Service) Silence(ctx context.Context, a db.Actor, id uuid.UUID) (Silence, error) {
	var out Silence
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = oneSilence(ctx, tx, id)
		return err
	})
	return out, err
}

func oneSilence(ctx context.Context, tx *db.Tx, id uuid.UUID) (Silence, error) {
	page, err := silenceList.Query().Filter("id", db.Args{"id": id}).Page(ctx, tx)
	if err != nil {
		return Silence{}, err
	}
	if len(page.Items) == 0 {
		return Silence{}, fault.NewNotFound("silence")
	}
	return page.Items[0], nil
}

// CreateSilence adds a silence; its id, author, version and times of change are given. One
// that would have begun in the past begins now.
func (s *Service) CreateSilence(ctx context.Context, a db.Actor, c Silence) (Silence, error) {
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.mayChangeSilences(ctx, tx); err != nil {
			return err
		}
		if c.StartsAt.Before(tx.Now) {
			c.StartsAt = tx.Now
		}
		c.tidy()
		if err := s.verifySilence(ctx, tx, &c, Silence{}); err != nil {
			return err
		}
		n, err := countLiveSilences.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if n >= maxLiveSilences {
			return fault.NewInvalid("too_many_silences", fmt.Sprintf("A workspace has at most %d silences that have not ended. End one that is no longer needed.", maxLiveSilences))
		}
		if c.ID, err = newID(); err != nil {
			return err
		}
		c.CreatedBy, c.Version, c.CreatedAt, c.UpdatedAt = tx.Actor.ID, 1, tx.Now, tx.Now
		args := silenceArgs(c)
		args["created_by"] = c.CreatedBy
		if _, err := insertSilence.Run(ctx, tx, args); err != nil {
			return err
		}
		if err := s.recordSilence(ctx, tx, ledger.Entry{Action: eventSilenceCreated, After: c}, c); err != nil {
			return err
		}
		c, err = oneSilence(ctx, tx, c.ID)
		return err
	})
	return c, err
}

// SilenceChange edits a silence. Version and IfMatch are what the caller saw, if they say so.
type SilenceChange struct {
	Edit    func(*Silence)
	Version *int64
	IfMatch string
}

// ChangeSilence edits a silence that has not ended. The start of an active one stays.
func (s *Service) ChangeSilence(ctx context.Context, a db.Actor, id uuid.UUID, c SilenceChange) (Silence, error) {
	return s.changeSilence(ctx, a, id, c.IfMatch, c.Version, eventSilenceUpdated, func(tx *db.Tx, silence *Silence, before Silence) error {
		c.Edit(silence)
		silence.ID, silence.CreatedAt, silence.CreatedBy, silence.Version = before.ID, before.CreatedAt, before.CreatedBy, before.Version
		switch {
		case before.State(tx.Now) == Active:
			silence.StartsAt = before.StartsAt
		case silence.StartsAt.Before(tx.Now):
			silence.StartsAt = tx.Now
		}
		silence.tidy()
		return s.verifySilence(ctx, tx, silence, before)
	})
}

// EndSilence ends a silence before its time. What still fires inside it is told soon
// after.
func (s *Service) EndSilence(ctx context.Context, a db.Actor, id uuid.UUID) (Silence, error) {
	return s.changeSilence(ctx, a, id, "", nil, eventSilenceEnded, func(tx *db.Tx, silence *Silence, _ Silence) error {
		silence.EndsAt = tx.Now
		if silence.StartsAt.After(tx.Now) {
			silence.StartsAt = tx.Now
		}
		return nil
	})
}

func (s *Service) changeSilence(
	ctx context.Context, a db.Actor, id uuid.UUID, ifMatch string, version *int64, action string,
	edit func(tx *db.Tx, silence *Silence, before Silence) error,
) (Silence, error) {
	var out Silence
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.mayChangeSilences(ctx, tx); err != nil {
			return err
		}
		before, err := oneSilence(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := api.CheckVersion(ifMatch, version, before.Version); err != nil {
			return err
		}
		if before.State(tx.Now) == Ended {
			return fault.NewConflict("silence_ended", "This silence has ended. Create a new one.")
		}
		out = before
		if err := edit(tx, &out, before); err != nil {
			return err
		}
		changes, err := ledger.Diff(before, out)
		if err != nil || len(changes) == 0 {
			return err
		}
		out.Version, out.UpdatedAt = before.Version+1, tx.Now
		if _, err := saveSilence.Run(ctx, tx, silenceArgs(out)); err != nil {
			return err
		}
		return s.recordSilence(ctx, tx, ledger.Entry{Action: action, Changes: changes}, out)
	})
	return out, err
}

// mayChangeSilences checks the right, and waits until nobody evaluates: what is told
// after the change knows of it, and no other change comes between.
func (s *Service) mayChangeSilences(ctx context.Context, tx *db.Tx) error {
	if err := s.policy.Check(tx.Actor, SilenceAlerts); err != nil {
		return err
	}
	_, err := ownRules.Run(ctx, tx, nil)
	return err
}

// recordSilence records a change and has everything that fires looked at again, so that
// it is muted, or told, at once.
func (s *Service) recordSilence(ctx context.Context, tx *db.Tx, e ledger.Entry, c Silence) error {
	if _, err := lookAgain.Run(ctx, tx, nil); err != nil {
		return err
	}
	e.Subject, e.Payload = c.subject(), silencePayload(c)
	e.Jobs = []river.JobArgs{DueArgs{job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}}}
	return s.record(ctx, tx, e)
}

// verifySilence checks the fields, and that what is newly named exists here.
func (s *Service) verifySilence(ctx context.Context, tx *db.Tx, silence *Silence, before Silence) error {
	c := silence.check(tx.Now)
	if err := c.Err(); err != nil {
		return err
	}
	if fresh := added(silence.Hosts, before.Hosts); len(fresh) > 0 {
		found, err := s.hosts.Hosts(ctx, tx, fresh)
		if err != nil {
			return fmt.Errorf("read hosts of silence: %w", err)
		}
		missing(c, "host_ids", "host", len(fresh)-len(found))
	}
	if fresh := added(silence.Rules, before.Rules); len(fresh) > 0 {
		found, err := ruleNames.All(ctx, tx, db.Args{"ids": fresh})
		if err != nil {
			return err
		}
		missing(c, "rule_ids", "rule", len(fresh)-len(found))
	}
	return c.Err()
}
