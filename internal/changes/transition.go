package changes

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Act is a wish to move a change.
type Act struct {
	Action  lifecycle.Action
	Reason  string
	Outcome string // of a completion: successful or successful_with_issues
	Notes   string // how it went
	// IfMatch and Version are what the actor saw; both may be absent.
	IfMatch string
	Version *int64
}

// permission is what the route of an action asks for; the rules decide the rest.
func permission(a lifecycle.Action) (ok bool, perm string) {
	switch a {
	case lifecycle.Submit, lifecycle.Withdraw, lifecycle.Cancel:
		return true, string(CanUpdate)
	case lifecycle.Schedule, lifecycle.Unschedule:
		return true, string(CanSchedule)
	case lifecycle.Start:
		return true, string(CanStart)
	case lifecycle.StartEmergency:
		return true, string(CanEmergency)
	case lifecycle.Complete, lifecycle.Fail, lifecycle.Rollback:
		return true, string(CanComplete)
	}
	return false, ""
}

// Move carries out one transition of a change: it locks the change, collects what the rules
// look at, and either moves it or answers with everything that fails.
func (s *Service) Move(ctx context.Context, a db.Actor, ref string, act Act) (Change, error) {
	var out Change
	// A change whose risk has risen goes back to review; that stays although the wish that
	// showed it is refused.
	var risen error
	act.Reason, act.Notes = tidyText(act.Reason), tidyText(act.Notes)
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		if err := api.CheckVersion(act.IfMatch, act.Version, c.Version); err != nil {
			return err
		}
		if act.Action == lifecycle.Submit || act.Action == lifecycle.Schedule || act.Action == lifecycle.Start {
			if err := s.recompute(ctx, tx, &c); err != nil {
				return err
			}
		}
		f, err := s.collect(ctx, tx, c)
		if err != nil {
			return err
		}
		f.in.Reason, f.in.Outcome = act.Reason, act.Outcome
		if act.Outcome != "" && act.Outcome != Successful && act.Outcome != WithIssues {
			return fault.InvalidField("outcome", "not_allowed", "The outcome must be successful or successful_with_issues.")
		}
		failures := lifecycle.Evaluate(f.in, act.Action)
		if risky(c, act.Action) && !denied(failures) {
			if err := s.lapseOnRisk(ctx, tx, &c); err != nil {
				return err
			}
			out = c
			risen = fault.NewConflict("risk_increased", "The risk is "+string(c.Risk)+" now, higher than what was approved. The change is in review again.")
			return nil
		}
		if err := refuse(failures); err != nil {
			return err
		}
		out, err = s.perform(ctx, tx, c, f, act)
		return err
	})
	if err == nil {
		err = risen
	}
	return out, err
}

// risky reports whether the risk has risen above what was approved.
func risky(c Change, a lifecycle.Action) bool {
	if a != lifecycle.Schedule && a != lifecycle.Start {
		return false
	}
	return (c.State == lifecycle.Approved || c.State == lifecycle.Scheduled) && c.ApprovedRisk != "" && c.Risk.Rank() > c.ApprovedRisk.Rank()
}

// denied reports whether the actor may not do this at all.
func denied(failures []lifecycle.Failure) bool {
	for _, f := range failures {
		if f.Code == lifecycle.CodeForbidden || f.Code == lifecycle.CodeIllegal || f.Code == lifecycle.CodeVersion {
			return true
		}
	}
	return false
}

// lapseOnRisk brings an approved change whose risk has risen back to review (T6).
func (s *Service) lapseOnRisk(ctx context.Context, tx *db.Tx, c *Change) error {
	if !risky(*c, lifecycle.Schedule) {
		return nil
	}
	why := fmt.Sprintf("The risk rose from %s to %s.", c.ApprovedRisk, c.Risk)
	c.Version++
	c.UpdatedAt = tx.Now
	var err error
	*c, err = s.restart(ctx, tx, *c, why)
	return err
}

// perform does what the rules have allowed.
func (s *Service) perform(ctx context.Context, tx *db.Tx, c Change, f facts, act Act) (Change, error) {
	line, ok := lifecycle.Find(c.State, c.Type, act.Action)
	if !ok {
		return c, fmt.Errorf("changes: %s from %s was allowed and is not in the table", act.Action, c.State)
	}
	before := c
	c.State, c.StateReason = line.To, act.Reason
	c.Version++
	c.UpdatedAt = tx.Now
	after, action, err := s.effect(ctx, tx, before, c, f, act)
	if err != nil {
		return before, err
	}
	after.setCheck(s.limits)
	if err := saveChange(ctx, tx, after); err != nil {
		return before, err
	}
	payload := after.payload()
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: after.subject(), Before: before, After: after, Payload: payload, Reason: act.Reason, Detail: detailOf(after, act),
	})
	if err != nil {
		return before, err
	}
	if err := s.follow(ctx, tx, &after, f, act); err != nil {
		return before, err
	}
	return after, s.tellMoved(ctx, tx, after, id, action)
}

func detailOf(c Change, act Act) map[string]any {
	d := map[string]any{"revision": c.Revision}
	if act.Action == lifecycle.Submit && c.Preauthorisation != nil {
		d["preauthorised"] = c.Preauthorisation.Text()
	}
	if act.Notes != "" {
		d["notes"] = act.Notes
	}
	return d
}

// effect changes the fields that an action sets, and names its event.
func (s *Service) effect(ctx context.Context, tx *db.Tx, before, c Change, f facts, act Act) (Change, string, error) {
	now := tx.Now
	switch act.Action {
	case lifecycle.Submit:
		return s.submitted(ctx, tx, before, c, f, act)
	case lifecycle.Withdraw:
		return c, EventWithdrawn, nil
	case lifecycle.Schedule:
		c.ScheduledAt, c.MissedWindow, c.StateReason = &now, false, ""
		c.ScheduleSequence++
		return c, EventScheduled, nil
	case lifecycle.Unschedule:
		c.ScheduleSequence++
		return c, EventUnscheduled, nil
	case lifecycle.Start:
		c.ActualStart, c.StartedBy, c.StateReason = &now, db.NullID(tx.Actor.UserID), ""
		return c, EventStarted, nil
	case lifecycle.StartEmergency:
		c.ActualStart, c.StartedBy, c.Retro = &now, db.NullID(tx.Actor.UserID), "pending"
		if len(c.Implementers) == 0 && tx.Actor.UserID != uuid.Nil {
			c.Implementers = []uuid.UUID{tx.Actor.UserID}
		}
		return s.broken(ctx, tx, c)
	case lifecycle.Complete:
		c.ActualEnd, c.Outcome, c.OutcomeNotes = &now, act.Outcome, joined(c.OutcomeNotes, act.Notes)
		return c, EventCompleted, nil
	case lifecycle.Fail:
		c.ActualEnd, c.FailedAt, c.OutcomeNotes = &now, &now, joined(c.OutcomeNotes, act.Notes)
		return c, EventFailed, nil
	case lifecycle.Rollback:
		c.RecoveredAt, c.OutcomeNotes = &now, joined(c.OutcomeNotes, act.Notes)
		if before.State == lifecycle.InProgress {
			c.ActualEnd, c.FailedAt = &now, &now
		}
		return c, EventRolledBack, nil
	case lifecycle.Cancel:
		c.ScheduleSequence++
		return c, EventCancelled, nil
	}
	return c, "", fmt.Errorf("changes: nobody asks for %s", act.Action)
}

func joined(a, b string) string {
	return strings.Trim(a+"\n\n"+b, "\n")
}

// submitted gives a change the revision that is decided on. A standard change has its
// decision already: that about its template.
func (s *Service) submitted(ctx context.Context, tx *db.Tx, before, c Change, f facts, act Act) (Change, string, error) {
	c.StateReason = ""
	c.Submitter, c.SubmittedAt = db.NullID(tx.Actor.UserID), &tx.Now
	if c.SubmittedHash != nil && !bytes.Equal(c.SubmittedHash, c.ContentHash) {
		c.Revision++
	}
	c.SubmittedHash = c.ContentHash
	if act.Reason != "" && before.LeadReason == "" && f.in.Start.Sub(tx.Now) < s.limits.Lead {
		c.LeadReason = act.Reason
	}
	if c.Type != lifecycle.Standard {
		return c, EventSubmitted, nil
	}
	u, err := templateVersion.One(ctx, tx, db.Args{"id": c.TemplateID.UUID, "version": *c.TemplateVersion})
	if err != nil {
		return c, "", err
	}
	until := tx.Now.Add(s.limits.PreAuthorised)
	if c.End != nil && c.End.After(until) {
		until = *c.End
	}
	if until.After(u.ExpiresAt) {
		until = u.ExpiresAt
	}
	c.ApprovedAt, c.ApprovalValidUntil, c.ApprovedRisk = &tx.Now, &until, c.Risk
	c.Preauthorisation = &Preauthorisation{
		TemplateID: u.ID, Template: u.Name, Version: u.BodyVersion, BodyHash: u.BodyHash, ApprovedBy: u.ApprovedBy, Revision: c.Revision, At: tx.Now,
	}
	return c, EventApproved, nil
}

// broken prepares an emergency that starts without approval: its content is what will be
// looked at afterwards.
func (s *Service) broken(ctx context.Context, tx *db.Tx, c Change) (Change, string, error) {
	steps, err := stepsOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return c, "", err
	}
	if _, err := c.rehash(steps, tx.Actor.UserID); err != nil {
		return c, "", err
	}
	if c.SubmittedHash != nil && !bytes.Equal(c.SubmittedHash, c.ContentHash) {
		c.Revision++
	}
	c.SubmittedHash, c.Submitter, c.SubmittedAt = c.ContentHash, db.NullID(tx.Actor.UserID), &tx.Now
	return c, EventEmergencyStarted, nil
}

// follow does what an action brings about in other places.
func (s *Service) follow(ctx context.Context, tx *db.Tx, c *Change, f facts, act Act) error {
	switch act.Action {
	case lifecycle.Submit:
		if c.State == lifecycle.Review {
			return s.openApproval(ctx, tx, *c)
		}
		return s.autoSchedule(ctx, tx, c)
	case lifecycle.Withdraw:
		return s.closeApproval(ctx, tx, *c, act.Reason)
	case lifecycle.StartEmergency:
		return s.openRetro(ctx, tx, c, f, act.Reason)
	case lifecycle.Complete:
		why := reviewReason(*c, s.limits)
		if why == "" {
			return nil
		}
		return s.askReview(ctx, tx, c, why)
	case lifecycle.Fail, lifecycle.Rollback:
		if c.PIR == "none" {
			if err := s.askReview(ctx, tx, c, "failure"); err != nil {
				return err
			}
		}
		return s.judgeTemplate(ctx, tx, *c)
	case lifecycle.Cancel:
		return s.closeCancelled(ctx, tx, *c, act.Reason)
	case lifecycle.Schedule, lifecycle.Unschedule, lifecycle.Start:
	}
	return nil
}

func (s *Service) openApproval(ctx context.Context, tx *db.Tx, c Change) error {
	subject, err := s.approvalSubject(ctx, tx, c)
	if err != nil {
		return err
	}
	_, err = s.approvals.Open(ctx, tx, subject, kindNormal)
	return err
}

func (s *Service) closeApproval(ctx context.Context, tx *db.Tx, c Change, reason string) error {
	if err := s.approvals.Withdraw(ctx, tx, SubjectChange, c.ID, reason); err != nil {
		return fmt.Errorf("withdraw approval of %s: %w", c.Key, err)
	}
	return nil
}

// openRetro starts the clock of the retrospective approval and notes the freezes that the
// emergency passed.
func (s *Service) openRetro(ctx context.Context, tx *db.Tx, c *Change, f facts, reason string) error {
	if reason == "" {
		reason = "Serves the linked incident."
	}
	var hits []freezeHit
	for _, h := range f.hits {
		if h.Blocks {
			hits = append(hits, h)
		}
	}
	if len(hits) == 0 && !c.HasWindow() {
		// Without a planned window, what is in force now counts.
		running := *c
		end := tx.Now.Add(time.Hour)
		running.Start, running.End = &tx.Now, &end
		now, err := s.freezeHits(ctx, tx, running)
		if err != nil {
			return err
		}
		for _, h := range now {
			if h.Blocks {
				hits = append(hits, h)
			}
		}
	}
	if len(hits) > 0 {
		if err := s.freezes.SelfGrant(ctx, tx, c.ID, c.Revision, hits, reason); err != nil {
			return fmt.Errorf("note passed freezes of %s: %w", c.Key, err)
		}
	}
	if err := s.askReview(ctx, tx, c, "emergency"); err != nil {
		return err
	}
	subject, err := s.approvalSubject(ctx, tx, *c)
	if err != nil {
		return err
	}
	_, err = s.approvals.Open(ctx, tx, subject, approvals.Retro)
	return err
}

// autoSchedule schedules an approved change whose owner wished so, if nothing stands in the
// way; else it stays approved.
func (s *Service) autoSchedule(ctx context.Context, tx *db.Tx, c *Change) error {
	if !c.AutoSchedule || c.State != lifecycle.Approved {
		return nil
	}
	f, err := s.collect(ctx, tx, *c)
	if err != nil {
		return err
	}
	f.in.System = true
	if !lifecycle.Allowed(f.in, lifecycle.Schedule) {
		return nil
	}
	*c, err = s.perform(ctx, tx, *c, f, Act{Action: lifecycle.Schedule})
	return err
}

// closeCancelled clears what a cancelled change leaves behind.
func (s *Service) closeCancelled(ctx context.Context, tx *db.Tx, c Change, reason string) error {
	if err := s.closeApproval(ctx, tx, c, reason); err != nil {
		return err
	}
	if _, err := dropConflicts.Run(ctx, tx, db.Args{"id": c.ID}); err != nil {
		return err
	}
	if _, err := s.tasks.CancelOpen(ctx, tx, SubjectChange, c.ID, "The change was cancelled."); err != nil {
		return fmt.Errorf("cancel tasks of %s: %w", c.Key, err)
	}
	return nil
}

// tellMoved tells those involved what became of the change.
func (s *Service) tellMoved(ctx context.Context, tx *db.Tx, c Change, id uuid.UUID, action string) error {
	n := Notice{EventName: action, Body: c.StateReason}
	switch action {
	case EventScheduled:
		n.Title = c.Key + " is scheduled"
	case EventUnscheduled:
		n.Title = c.Key + " is no longer scheduled"
	case EventStarted:
		n.Title = c.Key + " has started"
	case EventEmergencyStarted:
		n.Title, n.Severity = c.Key+" has started as an emergency, without approval", event.High
	case EventCompleted:
		n.Title = c.Key + " is completed"
	case EventFailed:
		n.Title, n.Severity = c.Key+" has failed", event.High
	case EventRolledBack:
		n.Title, n.Severity = c.Key+" was rolled back", event.High
	case EventCancelled:
		n.Title = c.Key + " is cancelled"
	case EventWithdrawn:
		n.Title = c.Key + " was withdrawn"
	case EventApproved:
		n.Title, n.Body = c.Key+" is approved", ""
	default:
		return nil
	}
	people, err := s.involved(ctx, tx, c)
	if err != nil {
		return err
	}
	n.Recipients = people
	if n.Body == "" {
		n.Body = c.Title
	}
	return s.tell(ctx, tx, c, id, n)
}

// Option is what stands in the way of an action now.
type Option struct {
	Action   lifecycle.Action
	To       State // empty when the action is illegal in the present state
	Allowed  bool
	Asks     []string // what the actor must supply: reason, outcome
	Failures []lifecycle.Failure
}

// options evaluates every action for a change as it is.
func options(f facts) []Option {
	in := f.in
	in.Asking = true
	var out []Option
	for _, a := range lifecycle.Actions() {
		o := Option{Action: a, Asks: lifecycle.Asks(a), Failures: lifecycle.Evaluate(in, a)}
		if line, ok := lifecycle.Find(in.State, in.Type, a); ok {
			o.To = line.To
		}
		o.Allowed = len(o.Failures) == 0
		out = append(out, o)
	}
	return out
}

// Options returns every action with what stands in its way, without changing anything.
func (s *Service) Options(ctx context.Context, a db.Actor, ref string) (Change, []Option, error) {
	var c Change
	var out []Option
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if c, err = findChange(ctx, tx, ref); err != nil {
			return err
		}
		f, err := s.collect(ctx, tx, c)
		out = options(f)
		return err
	})
	return c, out, err
}
