package members

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

// WorkspacePayload is the body of events about the workspace.
type WorkspacePayload struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	TimeZone string `json:"time_zone"`
}

func workspacePayload(w Workspace) WorkspacePayload {
	return WorkspacePayload{Slug: w.Slug, Name: w.Name, TimeZone: w.TimeZone}
}

// SessionLimitsPayload is the body of events about how long sessions last in the workspace,
// in minutes; 0 means as long as the installation lets them.
type SessionLimitsPayload struct {
	IdleMinutes     int `json:"idle_minutes"`
	AbsoluteMinutes int `json:"absolute_minutes"`
}

// PlanPayload is the body of events about the plan of the workspace.
type PlanPayload struct {
	Plan         string `json:"plan"`
	PreviousPlan string `json:"previous_plan"`
}

// MemberPayload is the body of events about a member.
type MemberPayload struct {
	MemberID     uuid.UUID `json:"member_id"`
	UserID       uuid.UUID `json:"user_id"`
	Role         string    `json:"role"`
	PreviousRole string    `json:"previous_role,omitempty"`
	State        string    `json:"state"`
	JoinedVia    string    `json:"joined_via"`
}

// InvitationPayload is the body of events about an invitation. It never holds the link.
type InvitationPayload struct {
	InvitationID uuid.UUID `json:"invitation_id"`
	Email        string    `json:"email"`
	Role         string    `json:"role"`
}

// MappingPayload is the body of events about a rule for groups of the identity provider.
type MappingPayload struct {
	ClaimValue string `json:"claim_value"`
	Role       string `json:"role"`
}

// GroupPayload is the body of events about a group of people.
type GroupPayload struct {
	GroupID uuid.UUID `json:"group_id"`
	Name    string    `json:"name"`
	Members int       `json:"members"`
}

func eventTypes() []event.Type {
	ws := WorkspacePayload{Slug: "acme", Name: "Acme", TimeZone: "Europe/Oslo"}
	member := MemberPayload{MemberID: uuid.Max, UserID: uuid.Max, Role: "member", State: "active", JoinedVia: "invite"}
	changed := member
	changed.PreviousRole = "viewer"
	invitation := InvitationPayload{InvitationID: uuid.Max, Email: "mara@example.com", Role: "member"}
	mapping := MappingPayload{ClaimValue: "vigilo-admins", Role: "admin"}
	group := GroupPayload{GroupID: uuid.Max, Name: "Network team", Members: 4}
	admin := func(name, label, group string, severity event.Severity, example any) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: severity, Category: event.CategoryAdmin, Example: example}
	}
	exported := admin("member.exported", "Member list exported", "Members", event.Info, nil)
	exported.Category, exported.AuditOnly = event.CategoryExport, true
	return []event.Type{
		admin("workspace.created", "Workspace created", "Workspace", event.Info, ws),
		admin("workspace.updated", "Workspace settings changed", "Workspace", event.Low, ws),
		admin("session_limits.changed", "Session limits changed", "Workspace", event.Medium, SessionLimitsPayload{IdleMinutes: 30, AbsoluteMinutes: 480}),
		admin("workspace.plan_changed", "Plan changed", "Workspace", event.Medium, PlanPayload{Plan: "pro", PreviousPlan: "free"}),
		admin("member.joined", "Member joined", "Members", event.Info, member),
		admin("member.role_changed", "Role changed", "Members", event.Medium, changed),
		admin("member.suspended", "Member suspended", "Members", event.Medium, member),
		admin("member.resumed", "Member resumed", "Members", event.Low, member),
		admin("member.removed", "Member removed", "Members", event.Medium, member),
		exported,
		admin("invitation.created", "Invitation sent", "Members", event.Info, invitation),
		admin("invitation.resent", "Invitation sent again", "Members", event.Info, invitation),
		admin("invitation.revoked", "Invitation revoked", "Members", event.Info, invitation),
		admin("invitation.accepted", "Invitation accepted", "Members", event.Info, invitation),
		admin("group_mapping.created", "Group rule added", "Members", event.Medium, mapping),
		admin("group_mapping.deleted", "Group rule deleted", "Members", event.Medium, mapping),
		admin("people_group.created", "Group of people created", "Members", event.Info, group),
		admin("people_group.updated", "Group of people changed", "Members", event.Info, group),
		admin("people_group.deleted", "Group of people deleted", "Members", event.Low, group),
	}
}
