package members

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// State says whether a membership opens the workspace.
type State string

// The states of a membership. A suspended member keeps their place and opens nothing.
const (
	Active    State = "active"
	Suspended State = "suspended"
)

// States lists the states.
func States() []State { return []State{Active, Suspended} }

// Label is the state in words.
func (s State) Label() string {
	if s == Suspended {
		return "Suspended"
	}
	return "Active"
}

// JoinedVia says how somebody became a member.
type JoinedVia string

// The ways into a workspace. Only memberships by Group follow the identity provider.
const (
	Created JoinedVia = "created"
	Invited JoinedVia = "invite"
	Group   JoinedVia = "group"
	Seeded  JoinedVia = "seed"
)

// Label is the way in words.
func (j JoinedVia) Label() string {
	switch j {
	case Created:
		return "Created the workspace"
	case Invited:
		return "Invitation"
	case Group:
		return "Identity provider group"
	default:
		return "Demo data"
	}
}

// Membership is one person's place in a workspace.
type Membership struct {
	ID         uuid.UUID   `db:"id"`
	UserID     uuid.UUID   `db:"user_id"`
	Role       access.Role `db:"role" audit:"role"`
	State      State       `db:"state" audit:"state"`
	JoinedVia  JoinedVia   `db:"joined_via"`
	JoinedAt   time.Time   `db:"joined_at"`
	LastSeenAt *time.Time  `db:"last_seen_at"`
	Version    int64       `db:"version"`
}

// Member is a membership with the name of the person.
type Member struct {
	Membership
	Name  string `db:"name"`
	Email string `db:"email"`
}

// Change is what may be changed about a membership; nil leaves a field as it is. Version
// and IfMatch are what the caller saw, if they say so.
type Change struct {
	Role    *access.Role
	State   *State
	Version *int64
	IfMatch string
}

// acting is who changes memberships, as the rules see them.
type acting struct {
	userID uuid.UUID
	role   access.Role
	owner  bool // may make and unmake owners
}

var errLastOwner = fault.NewConflict("last_owner",
	"This is the last owner of the workspace. Promote someone else to owner first.")

// apply changes m. otherOwners is how many other active owners the workspace has.
func (m *Membership) apply(by acting, c Change, otherOwners int64) error {
	before := *m
	if c.Role != nil {
		if !c.Role.Valid() {
			return fault.InvalidField("role", "not_allowed", "Choose a role from the list.")
		}
		m.Role = *c.Role
	}
	if c.State != nil {
		if !slices.Contains(States(), *c.State) {
			return fault.InvalidField("state", "not_allowed", "A member is active or suspended.")
		}
		m.State = *c.State
	}
	if *m == before {
		return nil
	}
	self := by.userID != uuid.Nil && by.userID == m.UserID
	switch {
	case self && m.Role.Rank() > before.Role.Rank():
		return fault.NewDenied("own_role", "Nobody raises their own role. Ask another owner or admin.")
	case self && m.State != before.State:
		return fault.NewConflict("own_state", "You cannot suspend yourself. Ask another admin.")
	case (before.Role == access.Owner || m.Role == access.Owner) && !by.owner:
		return fault.NewDenied("forbidden", "Only an owner may make, change or suspend owners.")
	}
	if before.leads() && !m.leads() && otherOwners == 0 {
		return errLastOwner
	}
	m.Version++
	return nil
}

// mayRemove says whether a membership may end.
func (m Membership) mayRemove(by acting, otherOwners int64) error {
	if m.Role == access.Owner && !by.owner {
		return fault.NewDenied("forbidden", "Only an owner may remove an owner.")
	}
	if m.leads() && otherOwners == 0 {
		return errLastOwner
	}
	return nil
}

// leads reports whether the person can act as an owner now.
func (m Membership) leads() bool { return m.Role == access.Owner && m.State == Active }

// mayGrant says whether a role may be handed out, by invitation or by rule.
func mayGrant(by acting, role access.Role) error {
	if !role.Valid() {
		return fault.InvalidField("role", "not_allowed", "Choose a role from the list: viewer, member, approver, admin or owner.")
	}
	if role == access.Owner && !by.owner {
		return fault.InvalidField("role", "owner_only", "Only an owner may make owners. Choose another role.")
	}
	return nil
}
