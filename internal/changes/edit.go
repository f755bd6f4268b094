package changes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/tasks"
)

// Edit is what a person sets of a change. Nil fields stay as they are, or take the default
// of a new change.
type Edit struct {
	Type                *string
	Title               *string
	Description         *string
	Priority            *string
	Category            *string
	Environment         *string
	Start, End          *time.Time // the zero time takes the window away
	ImplementationPlan  *string
	BackoutPlan         *string
	TestPlan            *string
	Downtime            *bool
	Vendor              *string
	Custom              *map[string]string
	Owner               *string   // user, membership or e-mail address; empty for nobody
	Implementers        *[]string // as Owner
	Assets              *[]string // ids
	Tags                *[]string
	Parent              *string // id or key; empty for none
	LeadReason          *string
	AutoSchedule        *bool
	EvidenceRequired    *bool
	RiskAnswers         *map[string]string
	Risk                *string // the level that a person sets; empty leaves it to the computation
	OutcomeNotes        *string
	ActualStart         *time.Time
	Template            *string // id of a template, at creation only
	TemplateValues      *map[string]string
	Watchers            *[]string // at creation only
	Certificates, Links *[]string // ids of certificates and addresses, at creation only
	Reason              string    // for lowering the risk
	// IfMatch and Version are what the editor saw; both may be absent.
	IfMatch string
	Version *int64
}

func put[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func putText[T ~string](dst *T, v *string, tidy func(string) string) {
	if v != nil {
		*dst = T(tidy(*v))
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// apply returns c as the edit makes it, with what is wrong by field.
func (e Edit) apply(c Change, people roster) (Change, *form.Check) {
	putText(&c.Type, e.Type, strings.TrimSpace)
	putText(&c.Title, e.Title, oneLine)
	putText(&c.Description, e.Description, tidyText)
	putText(&c.Priority, e.Priority, strings.TrimSpace)
	putText(&c.Category, e.Category, strings.TrimSpace)
	putText(&c.Environment, e.Environment, environment)
	if e.Start != nil {
		c.Start = minute(e.Start)
	}
	if e.End != nil {
		c.End = minute(e.End)
	}
	putText(&c.ImplementationPlan, e.ImplementationPlan, tidyText)
	putText(&c.BackoutPlan, e.BackoutPlan, tidyText)
	putText(&c.TestPlan, e.TestPlan, tidyText)
	put(&c.Downtime, e.Downtime)
	putText(&c.Vendor, e.Vendor, oneLine)
	put(&c.Custom, e.Custom)
	putText(&c.LeadReason, e.LeadReason, tidyText)
	put(&c.AutoSchedule, e.AutoSchedule)
	put(&c.EvidenceRequired, e.EvidenceRequired)
	put(&c.RiskAnswers, e.RiskAnswers)
	putText(&c.RiskManual, e.Risk, strings.TrimSpace)
	putText(&c.OutcomeNotes, e.OutcomeNotes, tidyText)
	if e.ActualStart != nil {
		c.ActualStart = minute(e.ActualStart)
	}
	if e.Tags != nil {
		c.Tags = tidyTags(*e.Tags)
	}
	check := c.check()
	e.applyPeople(&c, people, check)
	if e.Assets != nil {
		c.AssetIDs = nil
		for _, text := range *e.Assets {
			id, err := uuid.Parse(strings.TrimSpace(text))
			if err != nil {
				check.Add("assets", "unknown_asset", fmt.Sprintf("%q is not an asset.", text))
				continue
			}
			c.AssetIDs = append(c.AssetIDs, id)
		}
		c.AssetIDs = byText(c.AssetIDs)
	}
	c.checkLists(check)
	return c, check
}

func (e Edit) applyPeople(c *Change, people roster, check *form.Check) {
	if e.Owner != nil {
		c.Owner = uuid.NullUUID{}
		if text := strings.TrimSpace(*e.Owner); text != "" {
			p, ok := people.find(text)
			if !ok {
				check.Add("owner", "unknown_member", "This person is not an active member of the workspace.")
			}
			c.Owner = db.NullID(p.UserID)
		}
	}
	if e.Implementers == nil {
		return
	}
	before := c.Implementers
	c.Implementers = nil
	for _, text := range *e.Implementers {
		p, ok := people.find(text)
		if !ok {
			// Who was named before and left since stays until somebody takes them off.
			if id, err := uuid.Parse(strings.TrimSpace(text)); err == nil && slices.Contains(before, id) {
				c.Implementers = append(c.Implementers, id)
				continue
			}
			check.Add("implementers", "unknown_member", "This person is not an active member of the workspace.")
			continue
		}
		c.Implementers = append(c.Implementers, p.UserID)
	}
	c.Implementers = byText(c.Implementers)
}

// Create files a change as a draft.
func (s *Service) Create(ctx context.Context, a db.Actor, e Edit) (Change, error) {
	var out Change
	if err := s.policy.Check(a, CanCreate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = s.create(ctx, tx, e)
		return err
	})
	return out, err
}

// CreateIn is Create inside the transaction of a caller, such as a module that drafts
// changes by itself.
func (s *Service) CreateIn(ctx context.Context, tx *db.Tx, e Edit) (Change, error) {
	return s.create(ctx, tx, e)
}

func (s *Service) create(ctx context.Context, tx *db.Tx, e Edit) (Change, error) {
	people, err := s.roster(ctx, tx)
	if err != nil {
		return Change{}, err
	}
	id, err := newID()
	if err != nil {
		return Change{}, err
	}
	c := Change{
		ID: id, Type: lifecycle.Normal, State: lifecycle.Draft, Priority: lifecycle.Medium, Category: "other", Requester: db.NullID(tx.Actor.UserID),
		Owner: db.NullID(tx.Actor.UserID), Custom: map[string]string{}, RiskAnswers: map[string]string{}, TemplateValues: map[string]string{},
		Risk: lifecycle.Low, Retro: "none", PIR: "none", Revision: 1, Version: 1, CreatedAt: tx.Now, CreatedBy: db.NullID(tx.Actor.UserID), UpdatedAt: tx.Now,
	}
	var t *usable
	if e.Template != nil && strings.TrimSpace(*e.Template) != "" {
		if t, err = s.templateFor(ctx, tx, *e.Template); err != nil {
			return c, err
		}
		if err := t.fill(&c, &e); err != nil {
			return c, err
		}
	} else if e.Type != nil && *e.Type == string(lifecycle.Standard) {
		return c, fault.InvalidField("template_id", "required", "A standard change begins from a template. Choose one, or make this a normal change.")
	}
	c, check := e.apply(c, people)
	if err := s.checkRefs(ctx, tx, &c, e, check); err != nil {
		return c, err
	}
	if err := check.Err(); err != nil {
		return c, err
	}
	if c.Key, err = ledger.NextKey(ctx, tx, "CHG", 5); err != nil {
		return c, err
	}
	c.rewindow(s.limits.ShiftTolerance, false)
	steps := t.steps()
	if _, err := c.rehash(steps, tx.Actor.UserID); err != nil {
		return c, err
	}
	if err := insertChange(ctx, tx, c); err != nil {
		return c, err
	}
	if err := addSteps(ctx, tx, c.ID, steps); err != nil {
		return c, err
	}
	if _, err := s.record(ctx, tx, ledger.Entry{Action: EventCreated, Subject: c.subject(), After: c, Payload: c.payload()}); err != nil {
		return c, err
	}
	if err := s.firstLinks(ctx, tx, c, e, people); err != nil {
		return c, err
	}
	if err := s.recompute(ctx, tx, &c); err != nil {
		return c, err
	}
	if t != nil {
		if _, err := s.tasks.Copy(ctx, tx, t.drafts(), SubjectChange, c.ID, taskBase(c, tx.Now)); err != nil {
			return c, fmt.Errorf("copy tasks of template: %w", err)
		}
	}
	return c, nil
}

// taskBase is what due dates of tasks are counted from.
func taskBase(c Change, now time.Time) time.Time {
	if c.Start != nil {
		return *c.Start
	}
	return now
}

// firstLinks adds what the form of a new change offers beside its fields.
func (s *Service) firstLinks(ctx context.Context, tx *db.Tx, c Change, e Edit, people roster) error {
	if e.Watchers != nil {
		for _, text := range *e.Watchers {
			p, ok := people.find(text)
			if !ok {
				return errUnknownPerson("watchers")
			}
			if err := s.watch(ctx, tx, c, p.UserID); err != nil {
				return err
			}
		}
	}
	for _, group := range []struct {
		kind string
		list *[]string
	}{{"certificate", e.Certificates}, {"url", e.Links}} {
		if group.list == nil {
			continue
		}
		for _, text := range *group.list {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			if _, err := s.link(ctx, tx, c, NewLink{Kind: group.kind, Target: text}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRefs looks at what a change names: its assets and its parent.
func (s *Service) checkRefs(ctx context.Context, tx *db.Tx, c *Change, e Edit, check *form.Check) error {
	if e.Assets != nil && len(c.AssetIDs) > 0 {
		briefs, err := s.assets.Briefs(ctx, tx, c.AssetIDs)
		if err != nil {
			return fmt.Errorf("read assets: %w", err)
		}
		for _, id := range c.AssetIDs {
			found := false
			for _, b := range briefs {
				found = found || b.ID == id
			}
			if !found {
				check.Add("assets", "unknown_asset", "This asset does not exist: "+id.String()+".")
			}
		}
	}
	if e.Parent == nil {
		return nil
	}
	c.ParentID = uuid.NullUUID{}
	text := strings.TrimSpace(*e.Parent)
	if text == "" {
		return nil
	}
	parent, err := findChange(ctx, tx, text)
	switch {
	case fault.Is(err, fault.NotFound):
		check.Add("parent", "unknown_change", "There is no change "+text+".")
		return nil
	case err != nil:
		return err
	case parent.ID == c.ID:
		check.Add("parent", "self", "A change cannot be its own parent.")
		return nil
	}
	above, err := ancestors.All(ctx, tx, db.Args{"id": parent.ID})
	if err != nil {
		return err
	}
	if slices.Contains(above, c.ID) {
		check.Add("parent", "circle", parent.Key+" is below this change already.")
		return nil
	}
	c.ParentID = db.NullID(parent.ID)
	return nil
}

// Update changes a change. A material edit of one in review restarts its approval; of one
// that is approved or scheduled it brings it back to review (T6).
func (s *Service) Update(ctx context.Context, a db.Actor, ref string, e Edit) (Change, error) {
	var out Change
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		if err := api.CheckVersion(e.IfMatch, e.Version, before.Version); err != nil {
			return err
		}
		out, err = s.edit(ctx, tx, before, e)
		return err
	})
	return out, err
}

func (s *Service) edit(ctx context.Context, tx *db.Tx, before Change, e Edit) (Change, error) {
	people, err := s.roster(ctx, tx)
	if err != nil {
		return before, err
	}
	c, check := e.apply(before, people)
	if err := s.checkRefs(ctx, tx, &c, e, check); err != nil {
		return before, err
	}
	s.checkRisk(tx.Actor, before, c, e.Reason, check)
	if c.Type != before.Type && c.Type == lifecycle.Standard {
		check.Add("type", "not_allowed", "A standard change begins from a template; file a new one.")
	}
	if before.Type == lifecycle.Standard && c.Type != before.Type {
		c.TemplateNote = "Made a " + string(c.Type) + " change by " + tx.Actor.Name + "."
	}
	if c.ActualStart != nil && before.ActualStart != nil && !c.ActualStart.Equal(*before.ActualStart) && c.ActualStart.After(tx.Now) {
		check.Add("actual_start", "in_future", "A change cannot have started in the future.")
	}
	if err := check.Err(); err != nil {
		return before, err
	}
	changes, err := ledger.Diff(before, c)
	if err != nil || len(changes) == 0 {
		return before, err
	}
	var refused []string
	for _, ch := range changes {
		if !editable(before.State, ch.Field) {
			refused = append(refused, ch.Field)
		}
	}
	if len(refused) > 0 {
		return before, notEditable(before, refused)
	}
	return s.saveEdit(ctx, tx, before, c, ledger.Entry{Action: EventUpdated, Reason: e.Reason})
}

// saveEdit writes an edit with what follows from it: another revision, another round of
// approval, another risk. The entry gets its subject and values here.
func (s *Service) saveEdit(ctx context.Context, tx *db.Tx, before, c Change, entry ledger.Entry) (Change, error) {
	steps, err := stepsOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return before, err
	}
	if c.State.Open() && c.State != lifecycle.InProgress {
		meets, err := s.meetsMore(ctx, tx, before, c)
		if err != nil {
			return before, err
		}
		c.rewindow(s.limits.ShiftTolerance, meets)
	}
	material, err := c.rehash(steps, tx.Actor.UserID)
	if err != nil {
		return before, err
	}
	if moved(before, c) && c.State == lifecycle.Scheduled {
		c.ScheduleSequence++
	}
	c.Version++
	c.UpdatedAt = tx.Now
	c.setCheck(s.limits)
	entry.Subject, entry.Before = c.subject(), before
	if material && c.SubmittedHash != nil && c.State != lifecycle.Draft {
		c, err = s.restart(ctx, tx, c, "Edited by "+tx.Actor.Name+".")
	} else {
		err = saveChange(ctx, tx, c)
	}
	if err != nil {
		return before, err
	}
	entry.After, entry.Payload = c, c.payload()
	if _, err := s.record(ctx, tx, entry); err != nil {
		return before, err
	}
	if err := s.recompute(ctx, tx, &c); err != nil {
		return before, err
	}
	return c, s.lapseOnRisk(ctx, tx, &c)
}

func moved(before, after Change) bool {
	return instant(before.Start) != instant(after.Start) || instant(before.End) != instant(after.End)
}

// meetsMore reports whether a moved window meets a freeze that the former one did not.
func (s *Service) meetsMore(ctx context.Context, tx *db.Tx, before, after Change) (bool, error) {
	if before.State == lifecycle.Draft || !moved(before, after) || !after.HasWindow() || !before.HasWindow() {
		return false, nil
	}
	old, err := s.freezeHits(ctx, tx, before)
	if err != nil {
		return false, err
	}
	now, err := s.freezeHits(ctx, tx, after)
	if err != nil {
		return false, err
	}
	for _, hit := range now {
		known := false
		for _, o := range old {
			known = known || o.FreezeID == hit.FreezeID
		}
		if hit.Blocks && !known {
			return true, nil
		}
	}
	return false, nil
}

// restart begins a new revision and asks for its approval: the change is in review
// afterwards, whatever it was. Decisions about former revisions stay and count no more.
func (s *Service) restart(ctx context.Context, tx *db.Tx, c Change, why string) (Change, error) {
	c.Revision++
	c.SubmittedHash = c.ContentHash
	if err := s.freezes.VoidOverrides(ctx, tx, c.ID, c.Revision); err != nil {
		return c, fmt.Errorf("void overrides of %s: %w", c.Key, err)
	}
	return s.reopen(ctx, tx, c, why)
}

// reopen asks for approval again, of the present revision.
func (s *Service) reopen(ctx context.Context, tx *db.Tx, c Change, why string) (Change, error) {
	before := c.State
	c.State, c.StateReason = lifecycle.Review, why
	c.ApprovalValidUntil, c.ApprovedAt, c.ApprovedRisk, c.Preauthorisation = nil, nil, "", nil
	if before == lifecycle.Scheduled {
		c.ScheduleSequence++
	}
	c.setCheck(s.limits)
	if err := saveChange(ctx, tx, c); err != nil {
		return c, err
	}
	if err := s.approvals.Withdraw(ctx, tx, SubjectChange, c.ID, why); err != nil {
		return c, fmt.Errorf("withdraw approval of %s: %w", c.Key, err)
	}
	subject, err := s.approvalSubject(ctx, tx, c)
	if err != nil {
		return c, err
	}
	if _, err := s.approvals.Open(ctx, tx, subject, kindNormal); err != nil {
		return c, err
	}
	if before == lifecycle.Review {
		return c, nil
	}
	id, err := s.record(ctx, tx, ledger.Entry{
		Action: EventReviewRestarted, Subject: c.subject(), Payload: c.payload(), Reason: why,
		Changes: []ledger.Change{{Field: "state", From: before, To: c.State}},
	})
	if err != nil {
		return c, err
	}
	people, err := s.involved(ctx, tx, c)
	if err != nil {
		return c, err
	}
	return c, s.tell(ctx, tx, c, id, Notice{
		Recipients: people, EventName: EventReviewRestarted, Title: c.Key + " must be approved again",
		Body: "It was " + strings.ToLower(before.Label()) + ". " + why,
	})
}

// taskParent lets tasks belong to changes and guard their steps.
func (s *Service) taskParent() tasks.ParentKind {
	return tasks.ParentKind{
		Type: SubjectChange, Label: "Change", Icon: "git-pull-request-arrow", Gates: true,
		Path: func(id uuid.UUID) string { return changePath(id.String()) + "/tasks" },
		Read: func(ctx context.Context, tx *db.Tx, id uuid.UUID) (tasks.Parent, error) {
			c, err := changeByID.One(ctx, tx, db.Args{"id": id})
			if err != nil {
				return tasks.Parent{}, err
			}
			p := tasks.Parent{Key: c.Key, Title: c.Title, Implementers: c.Implementers}
			if c.State.Final() && c.PIR != "required" {
				p.Closed = c.Key + " is " + strings.ToLower(c.State.Label()) + "; its tasks stay as they are."
			}
			return p, nil
		},
		Find: func(ctx context.Context, tx *db.Tx, text string) (uuid.UUID, bool, error) {
			c, err := findChange(ctx, tx, text)
			if fault.Is(err, fault.NotFound) {
				return uuid.Nil, false, nil
			}
			return c.ID, err == nil, err
		},
	}
}
