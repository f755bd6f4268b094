package approvals

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// Names of the events of this module.
const (
	eventPolicyCreated     = "approval_policy.created"
	eventPolicyUpdated     = "approval_policy.updated"
	eventRequested         = "approval.requested"
	eventDecided           = "approval.decided"
	eventApproved          = "approval.approved"
	eventRejected          = "approval.rejected"
	eventReturned          = "approval.returned"
	eventTimedOut          = "approval.timed_out"
	eventWithdrawn         = "approval.withdrawn"
	eventOverdue           = "approval.overdue"
	eventRerouted          = "approval.rerouted"
	eventVoided            = "approval.seat_voided"
	eventReminded          = "approval.reminded"
	eventEscalated         = "approval.escalated"
	eventDelegationCreated = "delegation.created"
	eventDelegationUpdated = "delegation.updated"
	eventDelegationRevoked = "delegation.revoked"
	eventDelegationEnded   = "delegation.ended"
	eventAbsenceCreated    = "absence.created"
	eventAbsenceDeleted    = "absence.deleted"
)

// PolicyPayload is the body of events about a policy.
type PolicyPayload struct {
	PolicyID uuid.UUID `json:"policy_id"`
	Name     string    `json:"name"`
	Active   bool      `json:"active"`
	Version  int64     `json:"version"`
	Stages   int       `json:"stages"`
}

// RequestPayload is the body of events about a request for approval.
type RequestPayload struct {
	RequestID   uuid.UUID      `json:"request_id"`
	Kind        Kind           `json:"kind"`
	State       State          `json:"state"`
	SubjectType string         `json:"subject_type"`
	SubjectID   uuid.UUID      `json:"subject_id"`
	SubjectKey  string         `json:"subject_key"`
	Title       string         `json:"title"`
	Revision    int64          `json:"revision"`
	Risk        string         `json:"risk"`
	Policies    []PinnedPolicy `json:"policies"`
	Code        string         `json:"code,omitempty"`
	Reason      string         `json:"reason,omitempty"`
	ValidUntil  *time.Time     `json:"valid_until,omitempty"`
}

// DecisionPayload is the body of approval.decided.
type DecisionPayload struct {
	DecisionID  uuid.UUID `json:"decision_id"`
	RequestID   uuid.UUID `json:"request_id"`
	SeatID      uuid.UUID `json:"seat_id"`
	SubjectType string    `json:"subject_type"`
	SubjectID   uuid.UUID `json:"subject_id"`
	SubjectKey  string    `json:"subject_key"`
	Revision    int64     `json:"revision"`
	Stage       string    `json:"stage"`
	Verdict     Verdict   `json:"verdict"`
	PrincipalID uuid.UUID `json:"principal_id"`
	ActorID     uuid.UUID `json:"actor_id"`
	Delegations []string  `json:"delegations"`
	Comment     string    `json:"comment"`
}

// SeatsPayload is the body of events about who is asked.
type SeatsPayload struct {
	RequestID  uuid.UUID   `json:"request_id"`
	SubjectKey string      `json:"subject_key"`
	Stage      string      `json:"stage"`
	SeatIDs    []uuid.UUID `json:"seat_ids"`
	UserIDs    []uuid.UUID `json:"user_ids"`
}

// DelegationPayload is the body of events about a delegation.
type DelegationPayload struct {
	DelegationID uuid.UUID `json:"delegation_id"`
	Key          string    `json:"key"`
	PrincipalID  uuid.UUID `json:"principal_id"`
	DelegateID   uuid.UUID `json:"delegate_id"`
	Kind         string    `json:"kind"`
	Scope        string    `json:"scope"`
	ScopeValue   string    `json:"scope_value,omitempty"`
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"`
}

// AbsencePayload is the body of events about an absence.
type AbsencePayload struct {
	AbsenceID uuid.UUID `json:"absence_id"`
	UserID    uuid.UUID `json:"user_id"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
}

func payloadOf(r requestRow) RequestPayload {
	p := RequestPayload{
		RequestID: r.ID, Kind: r.Kind, State: r.State, SubjectType: r.SubjectType, SubjectID: r.SubjectID, SubjectKey: r.SubjectKey,
		Title: r.Title, Revision: r.Revision, Risk: r.Risk, Policies: r.Pinned, Code: r.Code, Reason: r.Reason,
	}
	if r.ValidUntil != nil {
		until := r.ValidUntil.UTC()
		p.ValidUntil = &until
	}
	return p
}

func policyPayload(p Policy) PolicyPayload {
	return PolicyPayload{PolicyID: p.ID, Name: p.Name, Active: p.Active, Version: p.Version, Stages: len(p.Stages)}
}

func delegationPayload(d Delegation) DelegationPayload {
	return DelegationPayload{
		DelegationID: d.ID, Key: d.Key, PrincipalID: d.Principal, DelegateID: d.Delegate, Kind: d.Kind, Scope: d.Scope,
		ScopeValue: d.ScopeValue, Start: d.Start.UTC(), End: d.End.UTC(),
	}
}

func absencePayload(a Absence) AbsencePayload {
	return AbsencePayload{AbsenceID: a.ID, UserID: a.UserID, Start: a.Start.UTC(), End: a.End.UTC()}
}

func eventTypes() []event.Type {
	const group, awayGroup = "Approvals", "Delegations and absences"
	from, to := time.Date(2026, time.July, 6, 0, 0, 0, 0, time.UTC), time.Date(2026, time.July, 27, 0, 0, 0, 0, time.UTC)
	policy := PolicyPayload{PolicyID: uuid.Max, Name: "Peer review", Active: true, Version: 3, Stages: 1}
	request := RequestPayload{
		RequestID: uuid.Max, Kind: Normal, State: StateOpen, SubjectType: "change", SubjectID: uuid.Max, SubjectKey: "CHG-00012",
		Title: "Renew the shop certificate", Revision: 2, Risk: "medium", Policies: []PinnedPolicy{{ID: uuid.Max, Name: "Peer review", Version: 3}},
	}
	ended := request
	ended.State, ended.Reason, ended.ValidUntil = StateApproved, "Checked against staging.", &to
	decision := DecisionPayload{
		DecisionID: uuid.Max, RequestID: uuid.Max, SeatID: uuid.Max, SubjectType: "change", SubjectID: uuid.Max, SubjectKey: "CHG-00012",
		Revision: 2, Stage: "Peer", Verdict: Approve, PrincipalID: uuid.Max, ActorID: uuid.Max, Delegations: []string{"DLG-00003"},
		Comment: "Checked against staging.",
	}
	places := SeatsPayload{RequestID: uuid.Max, SubjectKey: "CHG-00012", Stage: "Peer", SeatIDs: []uuid.UUID{uuid.Max}, UserIDs: []uuid.UUID{uuid.Max}}
	delegation := DelegationPayload{
		DelegationID: uuid.Max, Key: "DLG-00003", PrincipalID: uuid.Max, DelegateID: uuid.Max, Kind: "out", Scope: "all", Start: from, End: to,
	}
	absence := AbsencePayload{AbsenceID: uuid.Max, UserID: uuid.Max, Start: from, End: to}
	of := func(category event.Category, group string, severity event.Severity) func(name, label string, example any) event.Type {
		return func(name, label string, example any) event.Type {
			return event.Type{Name: name, Label: label, Group: group, Severity: severity, Category: category, Example: example}
		}
	}
	// Nobody is notified of these by default: whoever is asked is told directly, and the
	// module of the subject tells its people what became of it.
	approval, notable := of(event.CategoryApproval, group, event.Info), of(event.CategoryApproval, group, event.Medium)
	admin, away := of(event.CategoryAdmin, group, event.Medium), of(event.CategoryAdmin, awayGroup, event.Info)
	return []event.Type{
		admin(eventPolicyCreated, "Approval policy created", policy),
		admin(eventPolicyUpdated, "Approval policy changed", policy),
		notable(eventRequested, "Approval needed", request),
		approval(eventDecided, "Somebody decided an approval", decision),
		approval(eventApproved, "Approved", ended),
		notable(eventRejected, "Rejected", ended),
		notable(eventReturned, "Returned to its author", ended),
		notable(eventTimedOut, "Approval ran out of time", ended),
		approval(eventWithdrawn, "Approval withdrawn", ended),
		notable(eventOverdue, "The look back at an emergency is overdue", request),
		approval(eventRerouted, "An approval was routed to others", places),
		approval(eventVoided, "A seat of an approval was voided", places),
		approval(eventReminded, "Approvers were reminded", places),
		notable(eventEscalated, "An approval was escalated", places),
		away(eventDelegationCreated, "Delegation created", delegation),
		away(eventDelegationUpdated, "Delegation changed", delegation),
		away(eventDelegationRevoked, "Delegation revoked", delegation),
		away(eventDelegationEnded, "Delegation ended", delegation),
		away(eventAbsenceCreated, "Absence entered", absence),
		away(eventAbsenceDeleted, "Absence removed", absence),
	}
}

// subscriptions route open requests again when membership changes: who may decide, and who
// belongs to a role or a group.
func (s *Service) subscriptions() []event.Subscription {
	return []event.Subscription{{
		Name: "approvals.reroute",
		Patterns: []string{
			"member.joined", "member.role_changed", "member.suspended", "member.resumed", "member.removed",
			"people_group.updated", "people_group.deleted",
		},
		Handle: func(ctx context.Context, ev event.Event) error {
			return s.db.InWorkspace(ctx, db.System(ev.WorkspaceID, "membership changed"), func(tx *db.Tx) error {
				return s.jobs.Insert(ctx, tx, rerouteAll(ev.WorkspaceID))
			})
		},
	}}
}

func rerouteAll(workspace uuid.UUID) river.JobArgs {
	return RerouteArgs{InWorkspace: job.InWorkspace{WorkspaceID: workspace}, Users: []uuid.UUID{}}
}
