package changes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/tasks"
)

// kindNormal is the kind of request that decides before anything happens.
const kindNormal = approvals.Normal

// facts are everything that the rules and the pages look at, as it is at one moment.
type facts struct {
	in         lifecycle.Input
	people     roster
	status     approvals.Status
	preview    approvals.Preview
	hits       []freezes.Hit
	overridden map[uuid.UUID]freezes.Override
	gates      []tasks.Gate
	holds      []Hold
	conflicts  []lifecycle.Conflict
}

// collect reads what Evaluate needs for a change and an actor. What the actor supplies with
// an action is for the caller to add.
func (s *Service) collect(ctx context.Context, tx *db.Tx, c Change) (facts, error) {
	var f facts
	a := tx.Actor
	f.in = lifecycle.Input{
		Now: tx.Now, Limits: s.limits, State: c.State, Type: c.Type, Risk: c.Risk, Version: c.Version, Revision: c.Revision,
		Actor: a.UserID, System: a.Kind == db.ActorSystem, Owners: c.owners(), Missing: c.missing(), LeadReason: c.LeadReason,
		EvidenceAsked: c.EvidenceRequired,
		Rights: lifecycle.Rights{
			Update: s.policy.Can(a, CanUpdate), Schedule: s.policy.Can(a, CanSchedule), Start: s.policy.Can(a, CanStart),
			Complete: s.policy.Can(a, CanComplete), Manage: s.policy.Can(a, CanManage), Emergency: s.policy.Can(a, CanEmergency),
		},
	}
	f.in.Start, f.in.End = c.window()
	var err error
	if f.people, err = s.roster(ctx, tx); err != nil {
		return f, err
	}
	for _, step := range []func(context.Context, *db.Tx, Change, *facts) error{
		s.collectApproval, s.collectFreezes, s.collectPeople, s.collectTasks, s.collectOwn, s.collectTemplate,
	} {
		if err := step(ctx, tx, c, &f); err != nil {
			return f, err
		}
	}
	for _, b := range s.blockers {
		if err := b(ctx, tx, c, &f.in); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (s *Service) collectApproval(ctx context.Context, tx *db.Tx, c Change, f *facts) error {
	var err error
	if f.status, err = s.approvals.Status(ctx, tx, SubjectChange, c.ID); err != nil {
		return fmt.Errorf("read approval of %s: %w", c.Key, err)
	}
	switch {
	case c.Preauthorisation != nil:
		f.in.Approval = lifecycle.Approval{Exists: true, Approved: true, PreAuthorised: true, Revision: c.Preauthorisation.Revision}
		if c.ApprovalValidUntil != nil {
			f.in.Approval.ValidUntil = *c.ApprovalValidUntil
		}
	case f.status.Exists && f.status.Request.Kind == approvals.Normal:
		f.in.Approval = lifecycle.Approval{
			Exists: true, Approved: f.status.Approved(), Revision: f.status.Request.Revision, BoardPending: f.status.BoardPending(),
			Waiting: waiting(f.status),
		}
		if f.status.Request.ValidUntil != nil {
			f.in.Approval.ValidUntil = *f.status.Request.ValidUntil
		}
		if only, ok := f.status.OnlyApprover(); ok {
			f.in.Approval.OnlyApprover = only
		}
	}
	if c.State != lifecycle.Draft || c.Type == lifecycle.Standard {
		return nil
	}
	subject, err := s.approvalSubject(ctx, tx, c)
	if err != nil {
		return err
	}
	if f.preview, err = s.approvals.Preview(ctx, tx, subject); err != nil {
		return fmt.Errorf("preview approval of %s: %w", c.Key, err)
	}
	for _, p := range f.preview.Problems {
		f.in.Approval.Problems = append(f.in.Approval.Problems, lifecycle.Ref{Kind: "stage", Key: p.Stage, Text: p.Text + " " + p.Fix})
	}
	return nil
}

// waiting names who has still to decide.
func waiting(st approvals.Status) []lifecycle.Ref {
	var out []lifecycle.Ref
	for _, stage := range st.Stages {
		if stage.State != approvals.StageOpen && stage.State != approvals.StageWaiting {
			continue
		}
		for _, b := range stage.Blocks {
			for _, seat := range b.Seats {
				if seat.Status == approvals.SeatOpen {
					out = append(out, lifecycle.Ref{Kind: "seat", ID: seat.ID, Text: seatWho(seat)})
				}
			}
		}
	}
	return out
}

// seatWho says in words who fills a seat.
func seatWho(seat approvals.SeatStatus) string {
	if len(seat.Routes) == 1 {
		r := seat.Routes[0]
		switch {
		case r.Assignee.UserID == uuid.Nil && r.Principal.Name != "":
			return r.Principal.Name
		case r.Assignee.Name != "" && r.Assignee.UserID != r.Principal.UserID && r.Principal.Name != "":
			return r.Assignee.Name + " for " + r.Principal.Name
		case r.Assignee.Name != "":
			return r.Assignee.Name
		}
	}
	return seat.Label
}

// target is the change as a scope of a freeze is held against it.
func (s *Service) target(ctx context.Context, tx *db.Tx, c Change) (freezes.Target, error) {
	var envs []string
	if c.Environment != "" {
		envs = []string{c.Environment}
	}
	t, err := s.freezes.TargetOf(ctx, tx, c.AssetIDs, reachDepth, envs...)
	if err != nil {
		return t, fmt.Errorf("read target of %s: %w", c.Key, err)
	}
	t.ChangeType, t.Risk = string(c.Type), string(c.Risk)
	return t, nil
}

// reachDepth is how far down the graph a freeze may warn about a change.
const reachDepth = 2

// freezeHits returns every freeze that the window of a change meets.
func (s *Service) freezeHits(ctx context.Context, tx *db.Tx, c Change) ([]freezes.Hit, error) {
	if !c.HasWindow() {
		return nil, nil
	}
	t, err := s.target(ctx, tx, c)
	if err != nil {
		return nil, err
	}
	hits, err := s.freezes.Check(ctx, tx, t, *c.Start, *c.End)
	if err != nil {
		return nil, fmt.Errorf("check freezes of %s: %w", c.Key, err)
	}
	return hits, nil
}

func (s *Service) collectFreezes(ctx context.Context, tx *db.Tx, c Change, f *facts) error {
	if c.State.Final() || c.State == lifecycle.Failed {
		return nil
	}
	var err error
	if f.hits, err = s.freezeHits(ctx, tx, c); err != nil || len(f.hits) == 0 {
		return err
	}
	if f.overridden, err = s.freezes.Overridden(ctx, tx, c.ID, c.Revision); err != nil {
		return fmt.Errorf("read freeze overrides of %s: %w", c.Key, err)
	}
	for _, h := range f.hits {
		if !h.Blocks {
			continue
		}
		_, ok := f.overridden[h.FreezeID]
		f.in.Freezes = append(f.in.Freezes, lifecycle.Freeze{ID: h.FreezeID, Name: h.Name, Start: h.Start, End: h.End, Open: h.Open, Overridden: ok})
	}
	return nil
}

// collectPeople reads who carries the change out, and who of them is away.
func (s *Service) collectPeople(ctx context.Context, tx *db.Tx, c Change, f *facts) error {
	var away []approvals.Away
	if c.HasWindow() && len(c.Implementers) > 0 && c.State.Open() {
		var err error
		if away, err = s.approvals.Absent(ctx, tx, c.Implementers, *c.Start, *c.End); err != nil {
			return fmt.Errorf("read absences: %w", err)
		}
	}
	for _, id := range c.Implementers {
		p, active := f.people.byUser(id)
		i := lifecycle.Implementer{ID: id, Name: p.Name, Active: active}
		if !active {
			i.Name = f.people.name(id)
		}
		for _, w := range away {
			if w.UserID == id && w.End.After(i.AbsentUntil) {
				i.AbsentUntil = w.End
			}
		}
		f.in.Implementers = append(f.in.Implementers, i)
	}
	return nil
}

func (s *Service) collectTasks(ctx context.Context, tx *db.Tx, c Change, f *facts) error {
	var err error
	if f.gates, err = s.tasks.Gates(ctx, tx, SubjectChange, c.ID, c.Implementers...); err != nil {
		return fmt.Errorf("read tasks of %s: %w", c.Key, err)
	}
	for _, g := range f.gates {
		f.in.Tasks = append(f.in.Tasks, lifecycle.GateTask{ID: g.ID, Key: g.Key, Title: g.Title, Gate: g.Gate, Done: g.Done})
	}
	return nil
}

// collectOwn reads this module's own tables.
func (s *Service) collectOwn(ctx context.Context, tx *db.Tx, c Change, f *facts) error {
	var err error
	if f.holds, err = holdsOf.All(ctx, tx, db.Args{"id": c.ID}); err != nil {
		return err
	}
	for _, h := range f.holds {
		if h.ReleasedAt == nil {
			f.in.Holds = append(f.in.Holds, lifecycle.Hold{ID: h.ID, Kind: h.Kind, Reason: h.Reason})
		}
	}
	if f.conflicts, err = s.conflictsFor(ctx, tx, c); err != nil {
		return err
	}
	f.in.Conflicts = f.conflicts
	counts, err := countsOf.One(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return err
	}
	f.in.Validation, f.in.Backout, f.in.IncidentLinked = int(counts.Validation), int(counts.Backout), counts.Incidents > 0
	return nil
}

func (s *Service) collectTemplate(ctx context.Context, tx *db.Tx, c Change, f *facts) error {
	if c.Type != lifecycle.Standard || !c.TemplateID.Valid || c.TemplateVersion == nil {
		return nil
	}
	u, err := templateVersion.One(ctx, tx, db.Args{"id": c.TemplateID.UUID, "version": *c.TemplateVersion})
	if err != nil {
		return err
	}
	t := lifecycle.Template{Name: u.Name, Active: u.State == TemplateActive, Expires: u.ExpiresAt}
	switch u.State {
	case TemplateSuspended:
		t.Why = "is suspended"
	case TemplateRetired:
		t.Why = "is retired"
	case TemplateProposed:
		t.Why = "is not approved yet"
	case TemplateActive:
	}
	if c.State == lifecycle.Draft {
		steps, err := stepsOf.All(ctx, tx, db.Args{"id": c.ID})
		if err != nil {
			return err
		}
		briefs, err := s.assets.Briefs(ctx, tx, c.AssetIDs)
		if err != nil {
			return fmt.Errorf("read assets: %w", err)
		}
		t.Drift = u.drift(c, steps, briefs)
	}
	f.in.Template = &t
	return nil
}

// approvalSubject is the change as approvals see it.
func (s *Service) approvalSubject(ctx context.Context, tx *db.Tx, c Change) (approvals.Subject, error) {
	subject := approvals.Subject{
		Type: SubjectChange, ID: c.ID, Key: c.Key, Title: c.Title, Path: c.Path(), Revision: c.Revision, ContentHash: c.ContentHash,
		Emergency: c.Type == lifecycle.Emergency,
		Facts: approvals.Facts{
			ChangeType: string(c.Type), Category: c.Category, Environment: c.Environment, Priority: string(c.Priority), Risk: string(c.Risk),
			AssetIDs: c.AssetIDs, Requester: c.Requester.UUID, Downtime: c.Downtime,
		},
		Excluded: excluded(c, tx.Actor),
	}
	if c.End != nil {
		subject.PlannedEnd = *c.End
	}
	briefs, err := s.assets.Briefs(ctx, tx, c.AssetIDs)
	if err != nil {
		return subject, fmt.Errorf("read assets: %w", err)
	}
	for _, b := range briefs {
		subject.Facts.AssetTags = append(subject.Facts.AssetTags, b.Tags...)
		subject.Facts.AssetTypes = append(subject.Facts.AssetTypes, b.Type)
		subject.Facts.AssetOwners = append(subject.Facts.AssetOwners, b.OwnerUserID.UUID)
	}
	services, err := s.assets.Services(ctx, tx, c.AssetIDs)
	if err != nil {
		return subject, fmt.Errorf("read services: %w", err)
	}
	for _, id := range c.AssetIDs {
		for _, svc := range services[id] {
			subject.Facts.ServiceOwners = append(subject.Facts.ServiceOwners, svc.OwnerUserID.UUID)
		}
	}
	impact, err := s.assets.Impact(ctx, tx, c.AssetIDs, 0)
	if err != nil {
		return subject, fmt.Errorf("read blast radius: %w", err)
	}
	for _, r := range impact.Downstream {
		if r.OwnerUserID.Valid && r.IsService() {
			subject.Facts.BlastOwners = append(subject.Facts.BlastOwners, approvals.BlastOwner{Owner: r.OwnerUserID.UUID, Criticality: r.Criticality})
		}
	}
	slices.Sort(subject.Facts.AssetTags)
	subject.Facts.AssetTags = slices.Compact(subject.Facts.AssetTags)
	slices.Sort(subject.Facts.AssetTypes)
	subject.Facts.AssetTypes = slices.Compact(subject.Facts.AssetTypes)
	subject.Facts.AssetOwners, subject.Facts.ServiceOwners = unique(subject.Facts.AssetOwners), unique(subject.Facts.ServiceOwners)
	steps, err := stepsOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return subject, err
	}
	subject.Shown = shownText(c, steps, briefs)
	return subject, nil
}

// excluded are those who may not decide about the change: it is their own work. A submission
// under way counts its actor as the submitter.
func excluded(c Change, a db.Actor) []approvals.Excluded {
	var out []approvals.Excluded
	add := func(id uuid.UUID, why string) {
		if id != uuid.Nil && !slices.ContainsFunc(out, func(e approvals.Excluded) bool { return e.UserID == id }) {
			out = append(out, approvals.Excluded{UserID: id, Why: why})
		}
	}
	add(c.Requester.UUID, "requester")
	add(c.Submitter.UUID, "submitter")
	if c.State == lifecycle.Draft {
		add(a.UserID, "submitter")
	}
	add(c.StartedBy.UUID, "starter")
	for _, id := range c.Implementers {
		add(id, "implementer")
	}
	for _, id := range c.Editors {
		add(id, "editor")
	}
	return out
}

// overrideSubject is the change as an override of a freeze is bound to it.
func (s *Service) overrideSubject(ctx context.Context, tx *db.Tx, c Change) (freezes.OverrideSubject, error) {
	t, err := s.target(ctx, tx, c)
	if err != nil {
		return freezes.OverrideSubject{}, err
	}
	out := freezes.OverrideSubject{
		ChangeID: c.ID, Key: c.Key, Title: c.Title, Path: c.Path(), Revision: c.Revision, Target: t,
		Closed: !c.State.Open() || c.State == lifecycle.InProgress,
	}
	out.Start, out.End = c.window()
	for _, e := range excluded(c, db.Actor{}) {
		out.Excluded = append(out.Excluded, freezes.Excluded{UserID: e.UserID, Why: e.Why})
	}
	return out, nil
}

// setCheck says when time alone moves the change on.
func (c *Change) setCheck(l lifecycle.Limits) {
	c.CheckAt = nil
	soonest := func(t time.Time) {
		if c.CheckAt == nil || t.Before(*c.CheckAt) {
			c.CheckAt = &t
		}
	}
	switch c.State {
	case lifecycle.Approved, lifecycle.Scheduled:
		if c.ApprovalValidUntil != nil {
			soonest(*c.ApprovalValidUntil)
		}
		if c.State == lifecycle.Scheduled && c.End != nil {
			soonest(c.End.Add(l.MissedGrace))
		}
	case lifecycle.InProgress:
		if c.End != nil {
			soonest(*c.End)
		}
	case lifecycle.Draft, lifecycle.Review, lifecycle.Completed, lifecycle.Failed, lifecycle.RolledBack, lifecycle.Cancelled:
	}
}

// refuse turns failures into the error that the API answers and pages show: all of them, and
// the first in the order of what decides the status.
func refuse(failures []lifecycle.Failure) error {
	if len(failures) == 0 {
		return nil
	}
	kind := func(f lifecycle.Failure) (fault.Kind, int) {
		switch f.Code {
		case lifecycle.CodeIllegal, lifecycle.CodeVersion:
			return fault.Conflict, 0
		case lifecycle.CodeForbidden, lifecycle.CodeSeparation:
			return fault.Denied, 1
		}
		return fault.Invalid, 2
	}
	first := failures[0]
	for _, f := range failures[1:] {
		_, a := kind(f)
		if _, b := kind(first); a < b {
			first = f
		}
	}
	e := &fault.Error{Code: first.Code, Message: first.Message}
	e.Kind, _ = kind(first)
	for _, f := range failures {
		if len(f.Refs) == 0 {
			e.Details = append(e.Details, fault.Detail{Code: f.Code, Message: f.Message})
			continue
		}
		for _, r := range f.Refs {
			d := fault.Detail{Code: f.Code, Message: f.Message, Ref: r.Key}
			if r.ID != uuid.Nil && r.Key == "" {
				d.Ref = r.ID.String()
			}
			if r.Kind == "field" {
				d.Field = r.Key
			}
			if f.Code == lifecycle.CodeVersion {
				d.Ref = r.Text
			}
			e.Details = append(e.Details, d)
		}
	}
	return e
}
