package db

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/google/uuid"
)

// ActorKind says what sort of thing acts. The numbers are stored in the audit log and
// never change their meaning.
type ActorKind int16

// The kinds of actor, as governance needs them told apart.
const (
	ActorUser      ActorKind = 1
	ActorAPIKey    ActorKind = 2 // a personal access token: UserID is its owner
	ActorService   ActorKind = 3 // a workspace service token
	ActorSystem    ActorKind = 4 // Vigilo itself; Reason says why
	ActorAnonymous ActorKind = 7
)

// String returns the word used in events, pages and the API.
func (k ActorKind) String() string {
	switch k {
	case ActorUser:
		return "user"
	case ActorAPIKey:
		return "api_key"
	case ActorService:
		return "service"
	case ActorSystem:
		return "system"
	default:
		return "anonymous"
	}
}

// Actor is who acts, in which workspace, and how they were recognised. It travels with
// every transaction, so that the audit log never depends on a caller remembering it.
type Actor struct {
	WorkspaceID uuid.UUID
	Kind        ActorKind
	// ID is the user, or the token for service actors; zero for the system.
	ID uuid.UUID
	// UserID is the person behind the actor; zero for service tokens and the system.
	UserID uuid.UUID
	Name   string
	Email  string
	// Role is the effective role in the workspace, empty outside one.
	Role string
	// PlatformAdmin is set for people above workspaces; each audit row names it.
	PlatformAdmin bool
	// Scopes limits a token to some permissions; nil means no limit beyond the role.
	Scopes []string
	// Reason is why the system acts, such as "scheduled scan".
	Reason     string
	AuthMethod string
	SessionID  uuid.UUID
	// SignedInAt is when the session began, zero without one; MFA is how the person proved
	// who they are, as the identity provider said (the claim amr), empty when it did not.
	SignedInAt time.Time
	MFA        string
	RequestID  uuid.UUID
	IP         netip.Addr
	UserAgent  string
}

// System returns Vigilo itself acting in a workspace for the given reason.
func System(workspaceID uuid.UUID, reason string) Actor {
	return Actor{WorkspaceID: workspaceID, Kind: ActorSystem, Name: "Vigilo", Role: "owner", Reason: reason}
}

// LogValue gives the log ids only: no names, addresses or e-mails.
func (a Actor) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("kind", a.Kind.String()), slog.String("id", a.ID.String()),
		slog.String("workspace_id", a.WorkspaceID.String()),
	)
}
