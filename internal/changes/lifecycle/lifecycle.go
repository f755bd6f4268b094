// Package lifecycle holds the rules of a change's life: its states, who may move it, and
// what stands in the way. It is one pure function: pages, the API, background jobs and the
// gate of a deployment ask the same Evaluate, which answers with everything that fails and
// never only with the first.
package lifecycle

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// State is where a change stands.
type State string

// The states of a change. Completed, rolled back and cancelled are final; a failed change
// may still be rolled back.
const (
	Draft      State = "draft"
	Review     State = "review"
	Approved   State = "approved"
	Scheduled  State = "scheduled"
	InProgress State = "in_progress"
	Completed  State = "completed"
	Failed     State = "failed"
	RolledBack State = "rolled_back"
	Cancelled  State = "cancelled"
)

// States lists the states in the order of a change's life.
func States() []State {
	return []State{Draft, Review, Approved, Scheduled, InProgress, Completed, Failed, RolledBack, Cancelled}
}

// Final reports whether nothing leads out of the state.
func (s State) Final() bool { return s == Completed || s == RolledBack || s == Cancelled }

// Open reports whether the change has not ended yet.
func (s State) Open() bool {
	return s == Draft || s == Review || s == Approved || s == Scheduled || s == InProgress
}

// Label is the state on a page.
func (s State) Label() string {
	switch s {
	case Draft:
		return "Draft"
	case Review:
		return "In review"
	case Approved:
		return "Approved"
	case Scheduled:
		return "Scheduled"
	case InProgress:
		return "In progress"
	case Completed:
		return "Completed"
	case Failed:
		return "Failed"
	case RolledBack:
		return "Rolled back"
	case Cancelled:
		return "Cancelled"
	}
	return string(s)
}

// Type says how much a change must pass before it happens (ITIL 4: standard, normal,
// emergency).
type Type string

// The types of change. A standard change is pre-authorised by an approved template.
const (
	Standard  Type = "standard"
	Normal    Type = "normal"
	Emergency Type = "emergency"
)

// Types lists the types.
func Types() []Type { return []Type{Normal, Standard, Emergency} }

// Level grades risk.
type Level string

// The levels, least first.
const (
	Low      Level = "low"
	Medium   Level = "medium"
	High     Level = "high"
	Critical Level = "critical"
)

// Levels lists the levels, least first.
func Levels() []Level { return []Level{Low, Medium, High, Critical} }

// Rank orders levels: 1 for low to 4 for critical, 0 for none.
func (l Level) Rank() int { return slices.Index(Levels(), l) + 1 }

// Highest returns the highest of some levels; Low when none is given.
func Highest(levels ...Level) Level {
	out := Low
	for _, l := range levels {
		if l.Rank() > out.Rank() {
			out = l
		}
	}
	return out
}

// Action is something that moves a change.
type Action string

// What people do. Gate moves nothing: it is a deployment that asks whether it may run now.
const (
	Submit         Action = "submit"
	Withdraw       Action = "withdraw"
	Schedule       Action = "schedule"
	Unschedule     Action = "unschedule"
	Start          Action = "start"
	StartEmergency Action = "start-emergency"
	Complete       Action = "complete"
	Fail           Action = "fail"
	Rollback       Action = "rollback"
	Cancel         Action = "cancel"
	Gate           Action = "gate"
)

// What the engine does by itself: approvals were given or refused, were lost, or the window
// passed unused.
const (
	Approve Action = "approve"
	Return  Action = "return"
	Recheck Action = "re-review"
	Miss    Action = "miss"
)

// Actions lists what people can ask for, in the order of a change's life.
func Actions() []Action {
	return []Action{Submit, Withdraw, Schedule, Unschedule, Start, StartEmergency, Complete, Fail, Rollback, Cancel}
}

// Label is the action on a button.
func (a Action) Label() string {
	switch a {
	case Submit:
		return "Submit for review"
	case Withdraw:
		return "Withdraw"
	case Schedule:
		return "Schedule"
	case Unschedule:
		return "Unschedule"
	case Start:
		return "Start"
	case StartEmergency:
		return "Start as an emergency"
	case Complete:
		return "Complete"
	case Fail:
		return "Record a failure"
	case Rollback:
		return "Record a rollback"
	case Cancel:
		return "Cancel the change"
	}
	return string(a)
}

// Guard names a condition (work.md 2.1).
type Guard string

// The guards.
const (
	GuardVersion    Guard = "G-VER"
	GuardRole       Guard = "G-ROLE"
	GuardRequired   Guard = "G-REQ"
	GuardWindow     Guard = "G-WIN"
	GuardLead       Guard = "G-LEAD"
	GuardPolicy     Guard = "G-POL"
	GuardTemplate   Guard = "G-TPL"
	GuardRevision   Guard = "G-REV"
	GuardApproval   Guard = "G-APR"
	GuardFresh      Guard = "G-FRESH"
	GuardBoard      Guard = "G-CAB"
	GuardConflict   Guard = "G-CONF"
	GuardFreeze     Guard = "G-FRZ"
	GuardBudget     Guard = "G-BUD"
	GuardIncident   Guard = "G-INC"
	GuardTask       Guard = "G-TASK"
	GuardImplement  Guard = "G-IMPL"
	GuardSeparation Guard = "G-SOD"
	GuardHold       Guard = "G-HOLD"
	GuardTime       Guard = "G-TIME"
	GuardReason     Guard = "G-REASON"
	GuardEvidence   Guard = "G-EVID"
)

// The codes of failures.
const (
	CodeVersion          = "version_conflict"
	CodeForbidden        = "forbidden"
	CodeMissing          = "missing_fields"
	CodeWindow           = "invalid_window"
	CodeLead             = "lead_time_short"
	CodeUnsatisfiable    = "approval_unsatisfiable"
	CodeTemplateInactive = "template_inactive"
	CodeTemplateDrift    = "template_drift"
	CodeStaleRevision    = "stale_revision"
	CodeApprovals        = "approvals_pending"
	CodeExpired          = "approval_expired"
	CodeExpiresEarly     = "approval_expires_before_window"
	CodeBoard            = "cab_pending"
	CodeConflict         = "hard_conflict"
	CodeFreeze           = "freeze_conflict"
	CodeBudget           = "error_budget_exhausted"
	CodeIncident         = "asset_incident_active"
	CodeTasks            = "gate_tasks_open"
	CodeNoImplementer    = "implementer_missing"
	CodeAbsent           = "implementer_absent"
	CodeSeparation       = "sod_violation"
	CodeHold             = "on_hold"
	CodeOutsideWindow    = "outside_window"
	CodeReason           = "reason_required"
	CodeEvidence         = "evidence_required"
	CodeIllegal          = "illegal_transition"
)

// Ref points at something that a failure is about. ID may be zero when the thing has none.
type Ref struct {
	Kind string // task, freeze, change, hold, incident, asset, person, field, action
	ID   uuid.UUID
	Key  string
	Text string
}

// Failure is a guard that does not pass. Message is a sentence that says what would turn the
// action on.
type Failure struct {
	Guard   Guard
	Code    string
	Message string
	Refs    []Ref
}

// Transition is one line of the table T1 to T13.
type Transition struct {
	Name   string
	From   []State
	To     State
	Guards []Guard
	// Only limits the line to a type of change, empty for all.
	Only Type
	// NotFor leaves a type out.
	NotFor Type
}

// table is work.md 2.1, "Transitions". T3 also stands for an emergency that nobody could
// approve beforehand; T4 to T6 and the second half of T8 are the engine's own.
var table = map[Action][]Transition{
	Submit: {
		{Name: "T2", From: []State{Draft}, To: Approved, Only: Standard, Guards: []Guard{
			GuardVersion, GuardRole, GuardRequired, GuardWindow, GuardTemplate,
		}},
		{Name: "T1", From: []State{Draft}, To: Review, NotFor: Standard, Guards: []Guard{
			GuardVersion, GuardRole, GuardRequired, GuardWindow, GuardLead, GuardPolicy,
		}},
	},
	StartEmergency: {{Name: "T3", From: []State{Draft}, To: InProgress, Only: Emergency, Guards: []Guard{
		GuardVersion, GuardRole, GuardReason, GuardHold,
	}}},
	Approve:  {{Name: "T4", From: []State{Review}, To: Approved, Guards: []Guard{GuardRevision, GuardApproval, GuardBoard}}},
	Withdraw: {{Name: "T5", From: []State{Review}, To: Draft, Guards: []Guard{GuardVersion, GuardRole, GuardReason}}},
	Return:   {{Name: "T5", From: []State{Review}, To: Draft}},
	Recheck:  {{Name: "T6", From: []State{Approved, Scheduled}, To: Review}},
	Schedule: {{Name: "T7", From: []State{Approved}, To: Scheduled, Guards: []Guard{
		GuardVersion, GuardRole, GuardWindow, GuardFresh, GuardRevision, GuardConflict, GuardFreeze, GuardBudget,
		GuardImplement, GuardHold,
	}}},
	Unschedule: {{Name: "T8", From: []State{Scheduled}, To: Approved, Guards: []Guard{GuardVersion, GuardRole, GuardReason}}},
	Miss:       {{Name: "T8", From: []State{Scheduled}, To: Approved}},
	Start: {{Name: "T9", From: []State{Scheduled}, To: InProgress, Guards: []Guard{
		GuardVersion, GuardRole, GuardTime, GuardRevision, GuardFresh, GuardConflict, GuardFreeze, GuardBudget,
		GuardIncident, GuardTask, GuardImplement, GuardHold, GuardSeparation,
	}}},
	Complete: {{Name: "T10", From: []State{InProgress}, To: Completed, Guards: []Guard{
		GuardVersion, GuardRole, GuardTask, GuardEvidence, GuardRequired,
	}}},
	Fail: {{Name: "T11", From: []State{InProgress}, To: Failed, Guards: []Guard{GuardVersion, GuardRole, GuardReason}}},
	Rollback: {{Name: "T12", From: []State{InProgress, Failed}, To: RolledBack, Guards: []Guard{
		GuardVersion, GuardRole, GuardReason, GuardEvidence,
	}}},
	Cancel: {{Name: "T13", From: []State{Draft, Review, Approved, Scheduled}, To: Cancelled, Guards: []Guard{
		GuardVersion, GuardRole, GuardReason,
	}}},
	// A deployment under a scheduled change must be able to start it; under one that runs, it
	// must still be inside the window and not held.
	Gate: {
		{Name: "gate", From: []State{Scheduled}, To: Scheduled, Guards: []Guard{
			GuardTime, GuardRevision, GuardFresh, GuardConflict, GuardFreeze, GuardBudget, GuardIncident, GuardTask,
			GuardImplement, GuardHold,
		}},
		{Name: "gate", From: []State{InProgress}, To: InProgress, Guards: []Guard{GuardTime, GuardHold}},
	},
}

// Find returns the line of the table that an action takes from a state, for a change of a
// type; false when there is none.
func Find(s State, t Type, a Action) (Transition, bool) {
	for _, line := range table[a] {
		if slices.Contains(line.From, s) && (line.Only == "" || line.Only == t) && (line.NotFor == "" || line.NotFor != t) {
			return line, true
		}
	}
	return Transition{}, false
}

// Legal returns what people may ask for in a state, whatever the guards say.
func Legal(s State, t Type) []Action {
	var out []Action
	for _, a := range Actions() {
		if _, ok := Find(s, t, a); ok {
			out = append(out, a)
		}
	}
	return out
}

// Asks names what a person must supply with an action: reason, outcome.
func Asks(a Action) []string {
	switch a {
	case Withdraw, Unschedule, Fail, Rollback, Cancel, StartEmergency:
		return []string{"reason"}
	case Complete:
		return []string{"outcome"}
	}
	return nil
}

// Limits are the numbers of the rules. A setting of the workspace may hold others.
type Limits struct {
	Lead             time.Duration // from now to the start of a normal change
	EarlyStart       time.Duration // how long before its window a change may start
	MissedGrace      time.Duration // after its window, until a scheduled change counts as missed
	ShiftTolerance   time.Duration // a window may move this far without asking again
	LongestWindow    time.Duration
	Watch            time.Duration // after a change, its assets are watched
	OverrideReason   int           // fewest characters of a reason for an override
	EmergencyValid   time.Duration
	PreAuthorised    time.Duration // how long the authority of a template holds for one change
	EvidenceFrom     Level         // from this risk on, evidence is asked for
	ReviewFrom       Level         // from this risk on, a post-implementation review is
	ReviewWithinDays int
}

// Defaults returns the limits of work.md 2.1 and 2.2.
func Defaults() Limits {
	return Limits{
		Lead: 24 * time.Hour, EarlyStart: 15 * time.Minute, MissedGrace: 30 * time.Minute, ShiftTolerance: 30 * time.Minute,
		LongestWindow: 30 * 24 * time.Hour, Watch: 24 * time.Hour, OverrideReason: 15, EmergencyValid: 72 * time.Hour,
		PreAuthorised: 14 * 24 * time.Hour, EvidenceFrom: High, ReviewFrom: High, ReviewWithinDays: 7,
	}
}
