package changes

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Hold keeps a change from going on, whatever its state. SourceID is what holds it; a hold
// that a person placed has none.
type Hold struct {
	ID            uuid.UUID     `db:"id"`
	ChangeID      uuid.UUID     `db:"change_id"`
	Kind          string        `db:"kind"` // manual, freeze, lockdown, incident, vendor
	SourceID      uuid.NullUUID `db:"source_id"`
	Reason        string        `db:"reason"`
	CreatedAt     time.Time     `db:"created_at"`
	CreatedBy     uuid.NullUUID `db:"created_by"`
	ReleasedAt    *time.Time    `db:"released_at"`
	ReleasedBy    uuid.NullUUID `db:"released_by"`
	ReleaseReason string        `db:"release_reason"`
}

// mayHold lets owners and change managers hold a change and let it go.
func (s *Service) mayHold(a db.Actor, c Change) error {
	for _, id := range c.owners() {
		if id == a.UserID && s.policy.Can(a, CanUpdate) {
			return nil
		}
	}
	if s.policy.Can(a, CanManage) {
		return nil
	}
	return fault.NewDenied("forbidden", "Only the owner of the change or a change manager may hold it.")
}

// PutOnHold places a hold by hand.
func (s *Service) PutOnHold(ctx context.Context, a db.Actor, ref, reason string) (Hold, error) {
	var out Hold
	reason = oneLine(reason)
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		if err := s.mayHold(a, c); err != nil {
			return err
		}
		switch {
		case reason == "":
			return fault.InvalidField("reason", lifecycle.CodeReason, "Say why; this is kept in the audit log.")
		case utf8.RuneCountInString(reason) > 1000:
			return fault.InvalidField("reason", "too_long", "At most 1000 characters fit.")
		case !c.State.Open():
			return fault.NewConflict("closed", c.Key+" is "+strings.ToLower(c.State.Label())+"; there is nothing left to hold.")
		}
		out, err = s.addHold(ctx, tx, c, "manual", uuid.Nil, reason)
		return err
	})
	return out, err
}

func (s *Service) addHold(ctx context.Context, tx *db.Tx, c Change, kind string, source uuid.UUID, reason string) (Hold, error) {
	id, err := newID()
	if err != nil {
		return Hold{}, err
	}
	if r := []rune(reason); len(r) > 1000 {
		reason = string(r[:1000])
	}
	h := Hold{ID: id, ChangeID: c.ID, Kind: kind, SourceID: db.NullID(source), Reason: reason, CreatedAt: tx.Now, CreatedBy: db.NullID(tx.Actor.UserID)}
	if err := insertHold(ctx, tx, h); err != nil {
		return h, err
	}
	return h, s.recordHold(ctx, tx, c, h, EventHeld, c.Key+" is on hold", reason)
}

func (s *Service) recordHold(ctx context.Context, tx *db.Tx, c Change, h Hold, action, title, reason string) error {
	payload := HoldPayload{ChangePayload: c.payload(), Kind: h.Kind, HoldReason: h.Reason}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: c.subject(), Payload: payload, Reason: reason,
		Detail: map[string]any{"kind": h.Kind, "hold": h.ID.String(), "cause": h.Reason},
	})
	if err != nil {
		return err
	}
	people, err := s.involved(ctx, tx, c)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, c, id, Notice{Recipients: people, EventName: action, Severity: event.Medium, Title: title, Body: reason, Icon: "circle-pause"})
}

// holdFor holds a change because of something else. What holds it already stays as it is.
func (s *Service) holdFor(ctx context.Context, tx *db.Tx, changeID uuid.UUID, kind string, source uuid.UUID, reason string) error {
	c, err := lockByID.One(ctx, tx, db.Args{"id": changeID})
	if err != nil {
		return err
	}
	held, err := holdOfSource.All(ctx, tx, db.Args{"source": source, "id": c.ID, "any": false})
	if err != nil || len(held) > 0 {
		return err
	}
	_, err = s.addHold(ctx, tx, c, kind, source, strings.TrimSuffix(oneLine(reason), ":"))
	return err
}

// HoldFor lets a module above this one hold a change: kind is incident or vendor.
func (s *Service) HoldFor(ctx context.Context, tx *db.Tx, changeID uuid.UUID, kind string, source uuid.UUID, reason string) error {
	return s.holdFor(ctx, tx, changeID, kind, source, reason)
}

// ReleaseSource removes the holds of one cause, and no others.
func (s *Service) ReleaseSource(ctx context.Context, tx *db.Tx, source uuid.UUID, reason string) error {
	return s.releaseSource(ctx, tx, source, uuid.Nil, reason)
}

// releaseSource removes the holds of a cause, of one change or, with the zero id, of all.
func (s *Service) releaseSource(ctx context.Context, tx *db.Tx, source, changeID uuid.UUID, reason string) error {
	rows, err := holdOfSource.All(ctx, tx, db.Args{"source": source, "id": changeID, "any": changeID == uuid.Nil})
	if err != nil {
		return err
	}
	for _, h := range rows {
		c, err := lockByID.One(ctx, tx, db.Args{"id": h.ChangeID})
		if err != nil {
			return err
		}
		if err := s.release(ctx, tx, c, h, reason); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) release(ctx context.Context, tx *db.Tx, c Change, h Hold, reason string) error {
	if _, err := releaseHold.Run(ctx, tx, db.Args{"id": h.ID, "by": db.NullID(tx.Actor.UserID), "reason": reason}); err != nil {
		return err
	}
	return s.recordHold(ctx, tx, c, h, EventReleased, c.Key+" is no longer held", reason)
}

// Release lets a change go on that a person had put on hold. The hold of a freeze or an
// incident goes with its cause.
func (s *Service) Release(ctx context.Context, a db.Actor, ref string, id uuid.UUID, reason string) error {
	reason = oneLine(reason)
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		rows, err := holdsOf.All(ctx, tx, db.Args{"id": c.ID})
		if err != nil {
			return err
		}
		for _, h := range rows {
			if h.ID != id {
				continue
			}
			switch {
			case h.ReleasedAt != nil:
				return fault.NewConflict("released", "This hold was released already.")
			case h.Kind != "manual":
				return fault.NewConflict("held_by_cause", "This hold goes when its cause does: "+h.Reason)
			}
			if err := s.mayHold(a, c); err != nil {
				return err
			}
			return s.release(ctx, tx, c, h, reason)
		}
		return fault.NewNotFound("hold")
	})
}
