package changes

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// freezeHit is a freeze that a window meets.
type freezeHit = freezes.Hit

// changeProvider answers approvals about changes.
type changeProvider struct{ s *Service }

// LockForDecision implements approvals.SubjectProvider. A retrospective approval looks at a
// change that runs or is over.
func (p changeProvider) LockForDecision(ctx context.Context, tx *db.Tx, id uuid.UUID) (approvals.Subject, bool, error) {
	c, err := lockByID.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return approvals.Subject{}, false, err
	}
	subject, err := p.s.approvalSubject(ctx, tx, c)
	open := c.State == lifecycle.Review || c.Retro == "pending" || c.Retro == "overdue"
	return subject, open, err
}

// Settled implements approvals.SubjectProvider.
func (p changeProvider) Settled(ctx context.Context, tx *db.Tx, subject approvals.Subject, r approvals.Settlement) error {
	c, err := lockByID.One(ctx, tx, db.Args{"id": subject.ID})
	if err != nil {
		return err
	}
	if r.Kind == approvals.Retro {
		return p.s.settleRetro(ctx, tx, &c, string(r.Outcome), r.Reason)
	}
	if r.Outcome == approvals.Approved {
		return p.s.approve(ctx, tx, c, r)
	}
	return p.s.sendBack(ctx, tx, c, r)
}

// approve moves a change on once everybody has agreed (T4).
func (s *Service) approve(ctx context.Context, tx *db.Tx, before Change, r approvals.Settlement) error {
	in := lifecycle.Input{
		Now: tx.Now, Limits: s.limits, State: before.State, Type: before.Type, Revision: before.Revision, System: true,
		Approval: lifecycle.Approval{Exists: true, Approved: true, Revision: r.Revision, ValidUntil: r.ValidUntil},
	}
	if err := refuse(lifecycle.Evaluate(in, lifecycle.Approve)); err != nil {
		return err
	}
	c := before
	c.State, c.StateReason, c.ApprovedAt, c.ApprovedRisk = lifecycle.Approved, "", &tx.Now, c.Risk
	c.ApprovalValidUntil = &r.ValidUntil
	c.Version++
	c.UpdatedAt = tx.Now
	c.setCheck(s.limits)
	if err := saveChange(ctx, tx, c); err != nil {
		return err
	}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: EventApproved, Subject: c.subject(), Before: before, After: c, Payload: c.payload(), Detail: map[string]any{"revision": c.Revision},
	})
	if err != nil {
		return err
	}
	if err := s.tellMoved(ctx, tx, c, id, EventApproved); err != nil {
		return err
	}
	return s.autoSchedule(ctx, tx, &c)
}

// sendBack brings a change that was not approved back to its author (T5). Decisions stay.
func (s *Service) sendBack(ctx context.Context, tx *db.Tx, before Change, r approvals.Settlement) error {
	if _, ok := lifecycle.Find(before.State, before.Type, lifecycle.Return); !ok {
		return fault.NewConflict(lifecycle.CodeIllegal, before.Key+" is no longer in review.")
	}
	action, title := EventReturned, before.Key+" came back for more work"
	switch r.Outcome {
	case approvals.Rejected:
		action, title = EventRejected, before.Key+" was rejected"
	case approvals.TimedOut:
		title = before.Key + " came back: nobody decided in time"
	case approvals.Returned, approvals.Approved, approvals.Overdue:
	}
	reason := r.Reason
	if reason == "" {
		reason = string(r.Outcome)
	}
	c := before
	c.State, c.StateReason = lifecycle.Draft, reason
	c.Version++
	c.UpdatedAt = tx.Now
	c.setCheck(s.limits)
	if err := saveChange(ctx, tx, c); err != nil {
		return err
	}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: c.subject(), Before: before, After: c, Payload: c.payload(), Reason: reason,
		Detail: map[string]any{"revision": c.Revision, "code": r.Code},
	})
	if err != nil {
		return err
	}
	people, err := s.involved(ctx, tx, c)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, c, id, Notice{Recipients: people, EventName: action, Severity: event.Medium, Title: title, Body: reason, Mail: true})
}

// settleRetro notes how the retrospective approval of an emergency ended. A rejection does
// not undo what happened: it marks the change and asks for a review.
func (s *Service) settleRetro(ctx context.Context, tx *db.Tx, c *Change, outcome, reason string) error {
	before := *c
	action, severity := "", event.High
	switch outcome {
	case string(approvals.Approved):
		c.Retro, action, severity = "approved", EventRetroApproved, event.Info
	case string(approvals.Overdue):
		c.Retro, action = "overdue", EventRetroOverdue
	default:
		c.Retro, action = "rejected", EventRetroRejected
	}
	c.Version++
	c.UpdatedAt = tx.Now
	if err := saveChange(ctx, tx, *c); err != nil {
		return err
	}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: c.subject(), Before: before, After: *c, Payload: c.payload(), Reason: reason,
	})
	if err != nil {
		return err
	}
	if c.Retro == "rejected" {
		if err := s.askReview(ctx, tx, c, "retro"); err != nil {
			return err
		}
	}
	people, err := s.involved(ctx, tx, *c)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, *c, id, Notice{
		Recipients: people, EventName: action, Severity: severity, Title: c.Key + ": retrospective approval " + c.Retro, Body: reason, Mail: c.Retro != "approved",
	})
}

// freezeListener is told what freezes do to changes.
type freezeListener struct{ s *Service }

// Inside implements freezes.Listener.
func (l freezeListener) Inside(ctx context.Context, tx *db.Tx, match func(freezes.Target) bool, spans []freezes.Interval) ([]freezes.Affected, error) {
	if len(spans) == 0 {
		return nil, nil
	}
	rows, err := openInWindow.All(ctx, tx, db.Args{"from": spans[0].Start, "until": spans[len(spans)-1].End})
	if err != nil {
		return nil, err
	}
	var out []freezes.Affected
	for _, c := range rows {
		inside := false
		for _, span := range spans {
			inside = inside || (c.Start.Before(span.End) && span.Start.Before(*c.End))
		}
		if !inside {
			continue
		}
		t, err := l.s.target(ctx, tx, c)
		if err != nil {
			return nil, err
		}
		if match(t) {
			out = append(out, affected(c))
		}
	}
	return out, nil
}

func affected(c Change) freezes.Affected {
	out := freezes.Affected{ChangeID: c.ID, Key: c.Key, Title: c.Title, Path: c.Path(), State: c.State.Label(), Owner: c.Owner, Hold: c.State == lifecycle.Scheduled}
	out.Start, out.End = c.window()
	return out
}

// Held implements freezes.Listener.
func (l freezeListener) Held(ctx context.Context, tx *db.Tx, f freezes.Freeze, list []freezes.Affected) error {
	kind := "freeze"
	if f.Lockdown() {
		kind = "lockdown"
	}
	for _, a := range list {
		if !a.Hold {
			continue
		}
		if err := l.s.holdFor(ctx, tx, a.ChangeID, kind, f.ID, f.Name+": "+f.Reason); err != nil {
			return err
		}
	}
	return nil
}

// Released implements freezes.Listener.
func (l freezeListener) Released(ctx context.Context, tx *db.Tx, freeze uuid.UUID) error {
	return l.s.releaseSource(ctx, tx, freeze, uuid.Nil, "The freeze no longer stops it.")
}

// Subject implements freezes.Listener.
func (l freezeListener) Subject(ctx context.Context, tx *db.Tx, changeID uuid.UUID) (freezes.OverrideSubject, error) {
	c, err := lockByID.One(ctx, tx, db.Args{"id": changeID})
	if err != nil {
		return freezes.OverrideSubject{}, err
	}
	return l.s.overrideSubject(ctx, tx, c)
}

// ChangeByKey implements freezes.OverrideListener.
func (l freezeListener) ChangeByKey(ctx context.Context, tx *db.Tx, key string) (uuid.UUID, bool, error) {
	c, err := findChange(ctx, tx, key)
	if fault.Is(err, fault.NotFound) {
		return uuid.Nil, false, nil
	}
	return c.ID, err == nil, err
}

// OverrideChanged implements freezes.OverrideListener: the hold of the freeze goes with a
// valid override, and comes back without one.
func (l freezeListener) OverrideChanged(ctx context.Context, tx *db.Tx, freeze, changeID uuid.UUID, valid bool) error {
	if valid {
		return l.s.releaseSource(ctx, tx, freeze, changeID, "An override was granted.")
	}
	c, err := lockByID.One(ctx, tx, db.Args{"id": changeID})
	if err != nil {
		return err
	}
	if c.State != lifecycle.Scheduled {
		return nil
	}
	hits, err := l.s.freezeHits(ctx, tx, c)
	if err != nil {
		return err
	}
	for _, h := range hits {
		if h.FreezeID == freeze && h.Blocks {
			return l.s.holdFor(ctx, tx, c.ID, "freeze", freeze, fmt.Sprintf("%s: %s", h.Name, h.Reason))
		}
	}
	return nil
}
