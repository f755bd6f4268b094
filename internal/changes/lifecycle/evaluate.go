package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Input is everything that the guards look at, as it is at one moment. Whoever fills it
// leaves nothing out: what is missing counts as not approved, not allowed, not done.
type Input struct {
	Now    time.Time
	Limits Limits

	State   State
	Type    Type
	Risk    Level
	Version int64
	// Seen is the version that the actor saw; nil when they do not care.
	Seen     *int64
	Revision int64

	Actor        uuid.UUID // the person, zero for a service token or the engine
	System       bool      // the engine itself acts
	Rights       Rights
	Owners       []uuid.UUID // who answers for the change: its owner and who filed it
	Implementers []Implementer

	// Missing are fields that type and risk ask for and that are empty, in words.
	Missing    []Ref
	Start, End time.Time // the planned window, zero for none
	LeadReason string
	Template   *Template // of a standard change; nil when it has none

	Approval  Approval
	Holds     []Hold
	Freezes   []Freeze
	Conflicts []Conflict
	Budgets   []Ref // services whose error budget is used up
	Incidents []Ref // open SEV1 or SEV2 on a target asset, unless the change is linked to it
	Tasks     []GateTask

	// What the actor supplies.
	Reason  string
	Outcome string
	// Asking leaves out the guards about what the actor would supply, for pages that show what
	// is possible before anything was written.
	Asking bool

	IncidentLinked bool // an emergency that serves an incident needs no written justification
	EvidenceAsked  bool // whatever the risk
	Validation     int  // pieces of evidence that it worked
	Backout        int  // pieces of evidence that it was undone
}

// Rights are the permissions of the actor in the scope of the change's assets.
type Rights struct {
	Update    bool // change.update
	Schedule  bool // change.schedule
	Start     bool // change.start
	Complete  bool // change.complete
	Manage    bool // change.manage: a change manager
	Emergency bool // change.emergency
}

// Implementer is who carries the change out.
type Implementer struct {
	ID     uuid.UUID
	Name   string
	Active bool
	// AbsentUntil is set when they are absent at some moment of the window.
	AbsentUntil time.Time
}

// Template is the template of a standard change as it is now.
type Template struct {
	Name    string
	Active  bool
	Why     string // why it is not active
	Expires time.Time
	// Drift are what differs from the template or leaves its limits, in words.
	Drift []Ref
}

// Approval is where the approval stands.
type Approval struct {
	// Problems say why nobody could ever approve; they fail a submission.
	Problems []Ref
	Exists   bool
	Approved bool
	// PreAuthorised says that a template stands for the approval.
	PreAuthorised bool
	Revision      int64
	ValidUntil    time.Time
	BoardPending  bool
	Waiting       []Ref // who has still to decide, in words
	// OnlyApprover is the person whose decisions are all there are, zero when several decided.
	OnlyApprover uuid.UUID
}

// Hold is something that keeps a change from going on.
type Hold struct {
	ID     uuid.UUID
	Kind   string
	Reason string
}

// Freeze is a hard freeze that overlaps the window.
type Freeze struct {
	ID         uuid.UUID
	Name       string
	Start, End time.Time
	Open       bool // until it is lifted
	Overridden bool
}

// Conflict is a pair with another change or thing.
type Conflict struct {
	ID       uuid.UUID
	Type     string
	Hard     bool
	Accepted bool // a valid accepted-risk record exists for both revisions
	Key      string
	Text     string
}

// GateTask is a task that guards a transition.
type GateTask struct {
	ID    uuid.UUID
	Key   string
	Title string
	Gate  string // before_start, before_complete, before_close
	Done  bool
}

// Evaluate returns every guard that fails for an action. Nothing means that it may happen.
// An action that the state does not know answers only that, and names the ones it does.
func Evaluate(in Input, a Action) []Failure {
	line, ok := Find(in.State, in.Type, a)
	if !ok {
		return []Failure{illegal(in, a)}
	}
	var out []Failure
	for _, g := range line.Guards {
		out = append(out, check(in, a, g)...)
	}
	return out
}

// Allowed reports whether an action may happen.
func Allowed(in Input, a Action) bool { return len(Evaluate(in, a)) == 0 }

func illegal(in Input, a Action) Failure {
	f := Failure{Code: CodeIllegal}
	var words []string
	for _, legal := range Legal(in.State, in.Type) {
		f.Refs = append(f.Refs, Ref{Kind: "action", Key: string(legal), Text: legal.Label()})
		words = append(words, string(legal))
	}
	what := "This change is " + strings.ToLower(in.State.Label())
	switch {
	case a == StartEmergency && in.State == Draft:
		f.Message = "Only an emergency change can start without approval."
	case len(words) == 0:
		f.Message = what + "; nothing leads out of that state."
	default:
		f.Message = what + "; from there it can: " + strings.Join(words, ", ") + "."
	}
	return f
}

func check(in Input, a Action, g Guard) []Failure {
	switch g {
	case GuardVersion:
		return version(in)
	case GuardRole:
		return role(in, a)
	case GuardRequired:
		return required(in, a)
	case GuardWindow:
		return window(in)
	case GuardLead:
		return lead(in)
	case GuardPolicy:
		return policy(in)
	case GuardTemplate:
		return template(in)
	case GuardRevision:
		return revision(in)
	case GuardApproval:
		return approval(in)
	case GuardFresh:
		return fresh(in)
	case GuardBoard:
		return one(in.Approval.BoardPending, g, CodeBoard, "The change advisory board has not decided yet.")
	case GuardConflict:
		return conflicts(in)
	case GuardFreeze:
		return freezes(in)
	case GuardBudget:
		return refs(g, CodeBudget, "The error budget is used up: ", in.Budgets)
	case GuardIncident:
		return refs(g, CodeIncident, "An incident is open on a target: ", in.Incidents)
	case GuardTask:
		return tasks(in, a)
	case GuardImplement:
		return implementers(in)
	case GuardSeparation:
		return separation(in)
	case GuardHold:
		return holds(in)
	case GuardTime:
		return insideWindow(in)
	case GuardReason:
		return reason(in, a)
	case GuardEvidence:
		return evidence(in, a)
	}
	return []Failure{{Guard: g, Code: CodeForbidden, Message: "This condition is unknown."}}
}

func one(fails bool, g Guard, code, message string) []Failure {
	if !fails {
		return nil
	}
	return []Failure{{Guard: g, Code: code, Message: message}}
}

// refs fails when there is anything in the list, and names it.
func refs(g Guard, code, message string, list []Ref) []Failure {
	if len(list) == 0 {
		return nil
	}
	return []Failure{{Guard: g, Code: code, Message: message + texts(list) + ".", Refs: list}}
}

func texts(list []Ref) string {
	var words []string
	for _, r := range list {
		words = append(words, strings.TrimSpace(r.Key+" "+r.Text))
	}
	return strings.Join(words, ", ")
}

func version(in Input) []Failure {
	if in.Seen == nil || *in.Seen == in.Version {
		return nil
	}
	return []Failure{{
		Guard: GuardVersion, Code: CodeVersion, Message: "Somebody changed this change meanwhile. Read it again and repeat.",
		Refs: []Ref{{Kind: "version", Text: fmt.Sprint(in.Version)}},
	}}
}

func (in Input) owner() bool { return in.Actor != uuid.Nil && slices.Contains(in.Owners, in.Actor) }

func (in Input) implementer() bool {
	return in.Actor != uuid.Nil && slices.ContainsFunc(in.Implementers, func(i Implementer) bool { return i.ID == in.Actor })
}

// abandoned reports whether nobody who carries the change out is a member any more; then a
// change manager may end it.
func (in Input) abandoned() bool {
	return !slices.ContainsFunc(in.Implementers, func(i Implementer) bool { return i.Active })
}

func role(in Input, a Action) []Failure {
	if in.System {
		return nil
	}
	deny := func(message string) []Failure {
		return []Failure{{Guard: GuardRole, Code: CodeForbidden, Message: message}}
	}
	switch a {
	case Submit:
		if !in.Rights.Update {
			return deny("This needs the right to edit changes.")
		}
		if in.Type == Standard && !in.owner() && !in.Rights.Manage {
			return deny("Only the owner of a standard change submits it.")
		}
	case Withdraw, Cancel:
		if !in.Rights.Manage && (!in.owner() || !in.Rights.Update) {
			return deny("Only the owner of the change or a change manager may do this.")
		}
	case Schedule, Unschedule:
		if !in.Rights.Manage && (!in.owner() || !in.Rights.Schedule) {
			return deny("Only the owner of the change or a change manager may do this.")
		}
	case StartEmergency:
		if !in.Rights.Emergency {
			return deny("This needs the right to start emergency changes.")
		}
	case Start:
		if !in.implementer() || !in.Rights.Start {
			return deny("Only an implementer of the change starts it.")
		}
	case Complete, Fail, Rollback:
		ended := in.abandoned() && in.Rights.Manage
		if !ended && (!in.implementer() || !in.Rights.Complete) {
			return deny("Only an implementer of the change may do this.")
		}
	}
	return nil
}

func required(in Input, a Action) []Failure {
	if a == Complete {
		if in.Asking || in.Outcome != "" {
			return nil
		}
		return []Failure{{
			Guard: GuardRequired, Code: CodeMissing, Message: "Say how it went: successful, or successful with issues.",
			Refs: []Ref{{Kind: "field", Key: "outcome", Text: "outcome"}},
		}}
	}
	if len(in.Missing) == 0 {
		return nil
	}
	var words []string
	for _, r := range in.Missing {
		words = append(words, r.Text)
	}
	return []Failure{{
		Guard: GuardRequired, Code: CodeMissing, Message: "Fill in: " + strings.Join(words, ", ") + ".", Refs: in.Missing,
	}}
}

func window(in Input) []Failure {
	switch {
	case in.Start.IsZero() || in.End.IsZero():
		return one(true, GuardWindow, CodeWindow, "Say when the change starts and ends.")
	case !in.Start.Before(in.End):
		return one(true, GuardWindow, CodeWindow, "The window must start before it ends.")
	case in.End.Sub(in.Start) > in.Limits.LongestWindow:
		return one(true, GuardWindow, CodeWindow, fmt.Sprintf("The window is longer than %d days.", int(in.Limits.LongestWindow.Hours()/24)))
	case !in.End.After(in.Now):
		return one(true, GuardWindow, CodeWindow, "The window has passed; choose one in the future.")
	}
	return nil
}

func lead(in Input) []Failure {
	if in.Type != Normal || in.Start.IsZero() || in.LeadReason != "" {
		return nil
	}
	if in.Start.Sub(in.Now) >= in.Limits.Lead || strings.TrimSpace(in.Reason) != "" {
		return nil
	}
	return one(true, GuardLead, CodeLead, fmt.Sprintf("The change starts in less than %d hours. Move it, or give a reason for the short lead time.",
		int(in.Limits.Lead.Hours())))
}

func policy(in Input) []Failure {
	if len(in.Approval.Problems) == 0 {
		return nil
	}
	var words []string
	for _, r := range in.Approval.Problems {
		words = append(words, r.Text)
	}
	return []Failure{{
		Guard: GuardPolicy, Code: CodeUnsatisfiable, Message: "Nobody could approve this: " + strings.Join(words, " "), Refs: in.Approval.Problems,
	}}
}

func template(in Input) []Failure {
	t := in.Template
	switch {
	case t == nil:
		return one(true, GuardTemplate, CodeTemplateInactive, "A standard change comes from a template. Choose one, or make this a normal change.")
	case !t.Active:
		return one(true, GuardTemplate, CodeTemplateInactive, "The template "+t.Name+" "+t.Why+". Make this a normal change, or choose another template.")
	case !in.Now.Before(t.Expires):
		return one(true, GuardTemplate, CodeTemplateInactive, "The template "+t.Name+" has expired.")
	}
	return refs(GuardTemplate, CodeTemplateDrift, "This differs from the template "+t.Name+": ", t.Drift)
}

func revision(in Input) []Failure {
	return one(in.Approval.Exists && in.Approval.Revision != in.Revision, GuardRevision, CodeStaleRevision,
		fmt.Sprintf("The decisions were about revision %d; the change is at revision %d now.", in.Approval.Revision, in.Revision))
}

func approval(in Input) []Failure {
	if in.Approval.Exists && in.Approval.Approved {
		return nil
	}
	f := Failure{Guard: GuardApproval, Code: CodeApprovals, Message: "Not everybody has approved yet.", Refs: in.Approval.Waiting}
	if len(in.Approval.Waiting) > 0 {
		f.Message = "Approval is missing of: " + texts(in.Approval.Waiting) + "."
	}
	return []Failure{f}
}

// fresh also fails when there is no approval at all: what is unknown is not approved.
func fresh(in Input) []Failure {
	ap := in.Approval
	switch {
	case !ap.Exists || !ap.Approved:
		f := approval(in)[0]
		f.Guard = GuardFresh
		return []Failure{f}
	case !in.Now.Before(ap.ValidUntil):
		return one(true, GuardFresh, CodeExpired, "The approval has expired; the change must be approved again.")
	case !in.End.IsZero() && ap.ValidUntil.Before(in.End):
		return one(true, GuardFresh, CodeExpiresEarly, "The approval ends before the window does. Move the window forward, or have it approved again.")
	}
	return nil
}

func conflicts(in Input) []Failure {
	var list []Ref
	for _, c := range in.Conflicts {
		if c.Hard && !c.Accepted {
			list = append(list, Ref{Kind: "conflict", ID: c.ID, Key: c.Key, Text: c.Text})
		}
	}
	return refs(GuardConflict, CodeConflict, "It collides with: ", list)
}

func freezes(in Input) []Failure {
	var list []Ref
	for _, f := range in.Freezes {
		if !f.Overridden {
			list = append(list, Ref{Kind: "freeze", ID: f.ID, Text: f.Name})
		}
	}
	return refs(GuardFreeze, CodeFreeze, "The window lies inside a freeze: ", list)
}

func tasks(in Input, a Action) []Failure {
	var list []Ref
	for _, t := range in.Tasks {
		wanted := t.Gate == "before_start" || (a == Complete && t.Gate == "before_complete")
		if wanted && !t.Done {
			list = append(list, Ref{Kind: "task", ID: t.ID, Key: t.Key, Text: t.Title})
		}
	}
	return refs(GuardTask, CodeTasks, "These tasks must be done first: ", list)
}

func implementers(in Input) []Failure {
	if len(in.Implementers) == 0 {
		return one(true, GuardImplement, CodeNoImplementer, "Name who carries the change out.")
	}
	var out []Failure
	var gone, absent []Ref
	for _, i := range in.Implementers {
		ref := Ref{Kind: "person", ID: i.ID, Text: i.Name}
		switch {
		case !i.Active:
			gone = append(gone, ref)
		case !i.AbsentUntil.IsZero():
			absent = append(absent, ref)
		}
	}
	if len(gone) > 0 {
		out = append(out, refs(GuardImplement, CodeNoImplementer, "No longer a member: ", gone)...)
	}
	return append(out, refs(GuardImplement, CodeAbsent, "Absent during the window: ", absent)...)
}

func separation(in Input) []Failure {
	return one(in.Actor != uuid.Nil && in.Approval.OnlyApprover == in.Actor, GuardSeparation, CodeSeparation,
		"You are the only one who approved this change; somebody else must carry it out.")
}

func holds(in Input) []Failure {
	var list []Ref
	for _, h := range in.Holds {
		list = append(list, Ref{Kind: "hold", ID: h.ID, Key: h.Kind, Text: h.Reason})
	}
	if len(list) == 0 {
		return nil
	}
	var words []string
	for _, r := range list {
		words = append(words, r.Text)
	}
	return []Failure{{Guard: GuardHold, Code: CodeHold, Message: "The change is on hold: " + strings.Join(words, "; ") + ".", Refs: list}}
}

func insideWindow(in Input) []Failure {
	// An emergency may run without ever having had a window.
	if in.State == InProgress && in.Start.IsZero() {
		return nil
	}
	if in.Start.IsZero() || in.Now.Before(in.Start.Add(-in.Limits.EarlyStart)) && in.State == Scheduled {
		return one(true, GuardTime, CodeOutsideWindow, "The window has not begun yet.")
	}
	return one(!in.Now.Before(in.End), GuardTime, CodeOutsideWindow, "The window has passed.")
}

func reason(in Input, a Action) []Failure {
	if in.Asking || (a == StartEmergency && in.IncidentLinked) {
		return nil
	}
	text := strings.TrimSpace(in.Reason)
	if a == StartEmergency && utf8.RuneCountInString(text) < in.Limits.OverrideReason {
		return one(true, GuardReason, CodeReason, fmt.Sprintf("Write why this cannot wait, in at least %d characters, or link the incident.", in.Limits.OverrideReason))
	}
	return one(text == "", GuardReason, CodeReason, "Say why; this is kept in the audit log.")
}

// NeedsEvidence reports whether a change must show that it worked, or was undone.
func (in Input) NeedsEvidence() bool {
	return in.EvidenceAsked || in.Risk.Rank() >= in.Limits.EvidenceFrom.Rank()
}

func evidence(in Input, a Action) []Failure {
	if !in.NeedsEvidence() {
		return nil
	}
	if a == Rollback {
		return one(in.Backout == 0, GuardEvidence, CodeEvidence, "Add evidence that the change was undone.")
	}
	return one(in.Validation == 0, GuardEvidence, CodeEvidence, "Add evidence that the change works.")
}
