package approvals

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// NewAbsence is what somebody says about an absence. A zero user means themselves.
type NewAbsence struct {
	UserID uuid.UUID
	Start  time.Time
	End    time.Time
	Reason string
}

func (a Absence) subject() event.Subject {
	return event.Subject{Type: "absence", ID: a.ID, Title: "Absence of " + nameOr(a.Name)}
}

func (s *Service) mayEnterAbsence(tx *db.Tx, user uuid.UUID) error {
	if user == tx.Actor.UserID && user != uuid.Nil {
		return s.policy.Check(tx.Actor, ManageAbsences)
	}
	return s.policy.Check(tx.Actor, AdminDelegations)
}

// CreateAbsence enters when somebody is away. Their seats go to their delegate from its
// start, and come back at its end if nobody has decided.
func (s *Service) CreateAbsence(ctx context.Context, actor db.Actor, in NewAbsence) (Absence, error) {
	var a Absence
	err := s.db.InWorkspace(ctx, actor, func(tx *db.Tx) error {
		if in.UserID == uuid.Nil {
			in.UserID = tx.Actor.UserID
		}
		if err := s.mayEnterAbsence(tx, in.UserID); err != nil {
			return err
		}
		id, err := newID()
		if err != nil {
			return err
		}
		a = Absence{
			ID: id, UserID: in.UserID, Start: in.Start.UTC().Truncate(time.Microsecond), End: in.End.UTC().Truncate(time.Microsecond),
			Reason: strings.TrimSpace(in.Reason), CreatedBy: author(tx), CreatedAt: tx.Now,
		}
		var c form.Check
		c.Longest("reason", a.Reason, "The reason", maxReason)
		checkSpan(&c, a.Start, a.End, tx.Now, maxAbsence, "An absence lasts at most a year.")
		names, err := readLabels(ctx, tx, nil, a.UserID)
		if err != nil {
			return err
		}
		if a.Name = names[a.UserID]; a.Name == "" {
			c.Add("user", "not_found", "This person is not a member of the workspace.")
		}
		if err := c.Err(); err != nil {
			return err
		}
		next := a.Start
		if !next.After(tx.Now) {
			next = a.End
		}
		if _, err := insertAbsence.Run(ctx, tx, db.Args{
			"id": a.ID, "user": a.UserID, "starts_at": a.Start, "ends_at": a.End, "reason": a.Reason, "by": a.CreatedBy, "next_at": next,
		}); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: eventAbsenceCreated, Subject: a.subject(), After: a, Payload: absencePayload(a), Jobs: []river.JobArgs{rerouteFor(tx, a.UserID)},
		})
	})
	return a, err
}

// DeleteAbsence removes an absence: who came back early is asked again at once.
func (s *Service) DeleteAbsence(ctx context.Context, actor db.Actor, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, actor, func(tx *db.Tx) error {
		a, err := s.ownAbsence(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := deleteAbsence.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: eventAbsenceDeleted, Subject: a.subject(), Before: a, Payload: absencePayload(a), Jobs: []river.JobArgs{rerouteFor(tx, a.UserID)},
		})
	})
}

// ownAbsence reads an absence that the actor may remove; others look like missing ones.
func (s *Service) ownAbsence(ctx context.Context, tx *db.Tx, id uuid.UUID) (Absence, error) {
	a, err := loadAbsence.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return a, err
	}
	if a.UserID != tx.Actor.UserID && !s.policy.Can(tx.Actor, AdminDelegations) {
		return a, fault.NewNotFound("absence")
	}
	return a, s.mayEnterAbsence(tx, a.UserID)
}

// Absent returns who of some people is away at any moment of [from, to), by absences and by
// delegations that say so.
func (s *Service) Absent(ctx context.Context, tx *db.Tx, users []uuid.UUID, from, to time.Time) ([]Away, error) {
	if len(users) == 0 {
		return nil, nil
	}
	rows, err := awayBetween.All(ctx, tx, db.Args{"users": users, "from": from, "to": to})
	if err != nil {
		return nil, err
	}
	out := make([]Away, len(rows))
	for i, r := range rows {
		out[i] = Away{UserID: r.UserID, Start: r.StartsAt, End: r.EndsAt, Reason: r.Reason}
	}
	return out, nil
}
