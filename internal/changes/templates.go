package changes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// templateFor finds the template that a new change begins from. One that cannot be used says
// why.
func (s *Service) templateFor(ctx context.Context, tx *db.Tx, text string) (*usable, error) {
	id, err := uuid.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, fault.InvalidField("template_id", "unknown_template", "There is no such template.")
	}
	t, ok, err := templateByID.Maybe(ctx, tx, db.Args{"id": id})
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fault.InvalidField("template_id", "unknown_template", "There is no such template.")
	case t.State != TemplateActive || t.VersionInUse == nil:
		return nil, fault.InvalidField("template_id", lifecycle.CodeTemplateInactive, "The template "+t.Name+" is "+string(t.State)+".")
	case !tx.Now.Before(t.ExpiresAt):
		return nil, fault.InvalidField("template_id", lifecycle.CodeTemplateInactive, "The template "+t.Name+" has expired.")
	}
	u, err := templateVersion.One(ctx, tx, db.Args{"id": id, "version": *t.VersionInUse})
	return &u, err
}

// NewTemplate is a template as a person proposes it.
type NewTemplate struct {
	Name    string
	Body    TemplateBody
	IfMatch string
	Version *int64
}

func (n *NewTemplate) check() error {
	n.Name = oneLine(n.Name)
	n.Body.tidy()
	c := n.Body.check()
	c.Text("name", n.Name, "A name", 120)
	return c.Err()
}

// ProposeTemplate writes a template and asks for its approval.
func (s *Service) ProposeTemplate(ctx context.Context, a db.Actor, n NewTemplate) (Template, error) {
	var out Template
	if err := s.policy.Check(a, CanManage); err != nil {
		return out, err
	}
	if err := n.check(); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		id, err := newID()
		if err != nil {
			return err
		}
		one := int32(1)
		out = Template{
			ID: id, Name: n.Name, State: TemplateProposed, VersionProposed: &one, ProposedBy: db.NullID(a.UserID), ExpiresAt: tx.Now.AddDate(0, 0, n.Body.ValidDays), Version: 1,
			CreatedAt: tx.Now, CreatedBy: db.NullID(a.UserID), UpdatedAt: tx.Now,
		}
		if err := insertTemplate(ctx, tx, out); err != nil {
			return named(err)
		}
		return s.propose(ctx, tx, nil, out, one, n.Body)
	})
	return out, err
}

// named turns what the database refuses into words.
func named(err error) error {
	if db.Violated(err, "change_templates_name_key") {
		return fault.InvalidField("name", "name_taken", "Another template has this name.")
	}
	return err
}

// propose writes a version and opens its approval.
func (s *Service) propose(ctx context.Context, tx *db.Tx, before *Template, t Template, version int32, body TemplateBody) error {
	hash, err := body.hash()
	if err != nil {
		return err
	}
	if err := insertTemplateVersion(ctx, tx, t.ID, version, body, hash); err != nil {
		return err
	}
	return s.askForTemplate(ctx, tx, before, t, version)
}

func (s *Service) askForTemplate(ctx context.Context, tx *db.Tx, before *Template, t Template, version int32) error {
	entry := ledger.Entry{Action: EventTemplateProposed, Subject: t.subject(), After: t, Payload: t.payload(version), Detail: map[string]any{"version": version}}
	if before != nil {
		entry.Before = *before
		if err := s.approvals.Withdraw(ctx, tx, SubjectTemplate, t.ID, "Another version was proposed."); err != nil {
			return fmt.Errorf("withdraw approval of template: %w", err)
		}
	}
	if _, err := s.record(ctx, tx, entry); err != nil {
		return err
	}
	subject, err := s.templateSubject(ctx, tx, t, version)
	if err != nil {
		return err
	}
	_, err = s.approvals.Open(ctx, tx, subject, approvals.Template)
	return err
}

// templateSubject is a proposed version as approvals see it.
func (s *Service) templateSubject(ctx context.Context, tx *db.Tx, t Template, version int32) (approvals.Subject, error) {
	u, err := templateVersion.One(ctx, tx, db.Args{"id": t.ID, "version": version})
	if err != nil {
		return approvals.Subject{}, err
	}
	author, err := templateAuthor.One(ctx, tx, db.Args{"id": t.ID, "version": version})
	if err != nil {
		return approvals.Subject{}, err
	}
	out := approvals.Subject{
		Type: SubjectTemplate, ID: t.ID, Key: "Template", Title: t.Name, Path: t.Path(), Revision: int64(version), ContentHash: u.BodyHash,
		Shown: templateText(u),
		Facts: approvals.Facts{
			ChangeType: string(lifecycle.Standard), Category: u.Body.Category, Environment: u.Body.Environment, Priority: string(lifecycle.Medium),
			Risk: string(u.Body.RiskCeiling), AssetTags: u.Body.AssetTags, AssetTypes: u.Body.AssetTypes, Requester: author.UUID, Downtime: u.Body.Downtime,
		},
	}
	for _, e := range []approvals.Excluded{{UserID: author.UUID, Why: "editor"}, {UserID: t.ProposedBy.UUID, Why: "requester"}} {
		if e.UserID != uuid.Nil && !slices.ContainsFunc(out.Excluded, func(o approvals.Excluded) bool { return o.UserID == e.UserID }) {
			out.Excluded = append(out.Excluded, e)
		}
	}
	return out, nil
}

// ChangeTemplate proposes another version. The one in use stays until it is approved; changes
// that began from it keep it.
func (s *Service) ChangeTemplate(ctx context.Context, a db.Actor, id uuid.UUID, n NewTemplate) (Template, error) {
	if err := n.check(); err != nil {
		return Template{}, err
	}
	return s.withTemplate(ctx, a, id, func(tx *db.Tx, before Template) (Template, error) {
		if err := api.CheckVersion(n.IfMatch, n.Version, before.Version); err != nil {
			return before, err
		}
		if before.State == TemplateRetired {
			return before, fault.NewConflict("retired", before.Name+" is retired. Propose a new template.")
		}
		last, err := lastTemplateVersion.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return before, err
		}
		t := before
		next := last + 1
		t.Name, t.VersionProposed, t.ProposedBy, t.Version, t.UpdatedAt = n.Name, &next, db.NullID(a.UserID), before.Version+1, tx.Now
		if err := saveTemplate(ctx, tx, t); err != nil {
			return before, named(err)
		}
		return t, s.propose(ctx, tx, &before, t, next, n.Body)
	})
}

func (s *Service) withTemplate(ctx context.Context, a db.Actor, id uuid.UUID, fn func(tx *db.Tx, t Template) (Template, error)) (Template, error) {
	var out Template
	if err := s.policy.Check(a, CanManage); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockTemplate.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		out, err = fn(tx, before)
		return err
	})
	return out, err
}

// ReinstateTemplate asks for the approval of a suspended template again.
func (s *Service) ReinstateTemplate(ctx context.Context, a db.Actor, id uuid.UUID) (Template, error) {
	return s.withTemplate(ctx, a, id, func(tx *db.Tx, before Template) (Template, error) {
		if before.State != TemplateSuspended || before.VersionInUse == nil {
			return before, fault.NewConflict("not_suspended", "Only a suspended template is reinstated.")
		}
		t := before
		t.VersionProposed, t.ProposedBy, t.Version, t.UpdatedAt = before.VersionInUse, db.NullID(a.UserID), before.Version+1, tx.Now
		if err := saveTemplate(ctx, tx, t); err != nil {
			return before, err
		}
		return t, s.askForTemplate(ctx, tx, &before, t, *t.VersionProposed)
	})
}

// SuspendTemplate stops the use of a template; drafts that began from it go the normal way.
func (s *Service) SuspendTemplate(ctx context.Context, a db.Actor, id uuid.UUID, reason string) (Template, error) {
	return s.endTemplate(ctx, a, id, TemplateSuspended, reason)
}

// RetireTemplate ends a template for good.
func (s *Service) RetireTemplate(ctx context.Context, a db.Actor, id uuid.UUID, reason string) (Template, error) {
	return s.endTemplate(ctx, a, id, TemplateRetired, reason)
}

func (s *Service) endTemplate(ctx context.Context, a db.Actor, id uuid.UUID, to TemplateState, reason string) (Template, error) {
	reason = oneLine(reason)
	return s.withTemplate(ctx, a, id, func(tx *db.Tx, t Template) (Template, error) {
		var c form.Check
		c.Text("reason", reason, "A reason", 1000)
		if err := c.Err(); err != nil {
			return t, err
		}
		if t.State == TemplateRetired || (to == TemplateSuspended && t.State != TemplateActive) {
			return t, fault.NewConflict("template_"+string(t.State), t.Name+" is "+string(t.State)+".")
		}
		err := s.stopTemplate(ctx, tx, &t, to, reason)
		return t, err
	})
}

func (s *Service) stopTemplate(ctx context.Context, tx *db.Tx, t *Template, to TemplateState, reason string) error {
	before := *t
	t.State, t.StateReason, t.VersionProposed = to, reason, nil
	t.Version++
	t.UpdatedAt = tx.Now
	if err := saveTemplate(ctx, tx, *t); err != nil {
		return err
	}
	if err := s.approvals.Withdraw(ctx, tx, SubjectTemplate, t.ID, reason); err != nil {
		return fmt.Errorf("withdraw approval of template: %w", err)
	}
	action := EventTemplateSuspended
	if to == TemplateRetired {
		action = EventTemplateRetired
	}
	version := int32(0)
	put(&version, t.VersionInUse)
	if _, err := s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: t.subject(), Before: before, After: *t, Payload: t.payload(version), Reason: reason,
	}); err != nil {
		return err
	}
	return s.loseDrafts(ctx, tx, *t)
}

// loseDrafts sends open drafts of a template that cannot be used any more the normal way.
func (s *Service) loseDrafts(ctx context.Context, tx *db.Tx, t Template) error {
	drafts, err := lockDraftsOfTemplate.All(ctx, tx, db.Args{"id": t.ID})
	if err != nil {
		return err
	}
	for _, before := range drafts {
		steps, err := stepsOf.All(ctx, tx, db.Args{"id": before.ID})
		if err != nil {
			return err
		}
		c := before
		c.Type = lifecycle.Normal
		c.TemplateNote = "The template " + t.Name + " is " + string(t.State) + ". This change goes the normal way now: it must be approved."
		if c.ContentHash, err = contentHash(c, steps); err != nil {
			return err
		}
		c.Version++
		c.UpdatedAt = tx.Now
		if err := saveChange(ctx, tx, c); err != nil {
			return err
		}
		id, err := s.record(ctx, tx, ledger.Entry{Action: EventTemplateLost, Subject: c.subject(), Before: before, After: c, Payload: c.payload(), Reason: c.TemplateNote})
		if err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c, id, Notice{
			Recipients: c.owners(), EventName: EventTemplateLost, Title: c.Key + " must be approved after all", Body: c.TemplateNote,
		}); err != nil {
			return err
		}
	}
	return nil
}

// The rule of automatic suspension: so many of the last uses failed or were rolled back.
const (
	judgedUses  = 10
	badUsesStop = 2
)

// judgeTemplate suspends a template whose uses go wrong.
func (s *Service) judgeTemplate(ctx context.Context, tx *db.Tx, c Change) error {
	if !c.TemplateID.Valid {
		return nil
	}
	t, err := lockTemplate.One(ctx, tx, db.Args{"id": c.TemplateID.UUID})
	if err != nil {
		return err
	}
	bad, err := badUses.One(ctx, tx, db.Args{"id": t.ID, "limit": judgedUses})
	if err != nil {
		return err
	}
	if t.State != TemplateActive || bad < badUsesStop {
		return nil
	}
	reason := fmt.Sprintf("%d of the last %d uses failed or were rolled back.", bad, judgedUses)
	if err := s.stopTemplate(ctx, tx, &t, TemplateSuspended, reason); err != nil {
		return err
	}
	people, err := s.roster(ctx, tx)
	if err != nil {
		return err
	}
	if _, ok := people.byUser(t.CreatedBy.UUID); !ok {
		return nil
	}
	return s.notify(ctx, tx, Notice{
		Recipients: []uuid.UUID{t.CreatedBy.UUID}, DedupeKey: fmt.Sprintf("%s/%d", t.ID, t.Version), EventName: EventTemplateSuspended,
		Severity: event.Medium, Title: "Template " + t.Name + " is suspended", Body: reason, Path: t.Path(), Icon: "circle-pause",
		SubjectType: SubjectTemplate, SubjectID: t.ID, SubjectTitle: t.Name,
	})
}

// SuspendForCause suspends the template of a change that was confirmed as the cause of a
// severe incident. A change without a template is left alone.
func (s *Service) SuspendForCause(ctx context.Context, tx *db.Tx, changeID uuid.UUID, incident string) error {
	c, err := changeByID.One(ctx, tx, db.Args{"id": changeID})
	if err != nil || !c.TemplateID.Valid {
		return err
	}
	t, err := lockTemplate.One(ctx, tx, db.Args{"id": c.TemplateID.UUID})
	if err != nil || t.State != TemplateActive {
		return err
	}
	return s.stopTemplate(ctx, tx, &t, TemplateSuspended, c.Key+" caused "+incident+".")
}

// templateProvider answers approvals about templates.
type templateProvider struct{ s *Service }

// LockForDecision implements approvals.SubjectProvider.
func (p templateProvider) LockForDecision(ctx context.Context, tx *db.Tx, id uuid.UUID) (approvals.Subject, bool, error) {
	t, err := lockTemplate.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return approvals.Subject{}, false, err
	}
	version, open := int32(1), t.VersionProposed != nil
	put(&version, t.VersionInUse)
	put(&version, t.VersionProposed)
	subject, err := p.s.templateSubject(ctx, tx, t, version)
	return subject, open && t.State != TemplateRetired, err
}

// Settled implements approvals.SubjectProvider.
func (p templateProvider) Settled(ctx context.Context, tx *db.Tx, subject approvals.Subject, r approvals.Settlement) error {
	before, err := lockTemplate.One(ctx, tx, db.Args{"id": subject.ID})
	if err != nil {
		return err
	}
	if before.VersionProposed == nil || int64(*before.VersionProposed) != r.Revision {
		return fault.NewConflict(lifecycle.CodeStaleRevision, "Another version of the template was proposed meanwhile.")
	}
	t := before
	version := *before.VersionProposed
	t.VersionProposed = nil
	t.Version++
	t.UpdatedAt = tx.Now
	action := EventTemplateRejected
	if r.Outcome == approvals.Approved {
		action = EventTemplateApproved
		if err := p.s.putInUse(ctx, tx, &t, version); err != nil {
			return err
		}
	} else {
		t.StateReason = r.Reason
	}
	if err := saveTemplate(ctx, tx, t); err != nil {
		return err
	}
	_, err = p.s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: t.subject(), Before: before, After: t, Payload: t.payload(version), Reason: r.Reason,
		Detail: map[string]any{"version": version},
	})
	return err
}

func (s *Service) putInUse(ctx context.Context, tx *db.Tx, t *Template, version int32) error {
	u, err := templateVersion.One(ctx, tx, db.Args{"id": t.ID, "version": version})
	if err != nil {
		return err
	}
	t.State, t.StateReason, t.VersionInUse, t.ExpiresAt = TemplateActive, "", &version, tx.Now.AddDate(0, 0, u.Body.ValidDays)
	status, err := s.approvals.Status(ctx, tx, SubjectTemplate, t.ID)
	if err != nil {
		return fmt.Errorf("read approval of template: %w", err)
	}
	_, err = approveTemplateVersion.Run(ctx, tx, db.Args{"id": t.ID, "version": version, "by": strings.Join(deciders(status), ", ")})
	return err
}

// deciders names who approved.
func deciders(st approvals.Status) []string {
	var out []string
	for _, stage := range st.Stages {
		for _, b := range stage.Blocks {
			for _, seat := range b.Seats {
				for _, d := range seat.Decisions {
					if d.Verdict == approvals.Approve {
						out = append(out, d.Actor.Name)
					}
				}
			}
		}
	}
	return out
}
