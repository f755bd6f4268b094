package identity

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// TokenPrefix starts every API token, so that people and secret scanners recognise one.
const TokenPrefix = "vgl_"

// shownDigits is how much of a token is kept to tell tokens apart, prefix included.
const shownDigits = 12

// Kinds of API token.
const (
	// KindPersonal acts for its owner, with their present role.
	KindPersonal = "personal"
	// KindService acts for a program, with a role of its own.
	KindService = "service"
)

// Token is an API token of a workspace, without its secret.
type Token struct {
	ID   uuid.UUID `db:"id"`
	Kind string    `db:"kind"`
	Name string    `db:"name" audit:"name"`
	// Prefix is the beginning of the secret.
	Prefix    string        `db:"prefix"`
	OwnerID   uuid.NullUUID `db:"owner_id"` // of a personal token
	OwnerName string        `db:"owner_name"`
	Role      access.Role   `db:"role" audit:"role"` // of a service token
	// Scopes are the permissions that it may use; nil means all of its role.
	Scopes     []string   `db:"scopes" audit:"scopes"`
	CreatedBy  string     `db:"created_by_name"`
	CreatedAt  time.Time  `db:"created_at"`
	ExpiresAt  *time.Time `db:"expires_at" audit:"expires_at"`
	LastUsedAt *time.Time `db:"last_used_at"`
	RevokedAt  *time.Time `db:"revoked_at" audit:"revoked_at"`
}

// State is active, expired or revoked.
func (t Token) State(now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return "revoked"
	case t.ExpiresAt != nil && !t.ExpiresAt.After(now):
		return "expired"
	default:
		return "active"
	}
}

// NewToken describes a token to be made.
type NewToken struct {
	Kind string
	Name string
	// Role is of a service token, viewer to admin.
	Role access.Role
	// Scopes nil means everything that the role may.
	Scopes []string
	// ExpiresAt nil means never.
	ExpiresAt *time.Time
}

// ServiceRoles are the roles that a service token may have, lowest first.
func ServiceRoles() []access.Role {
	return []access.Role{access.Viewer, access.Member, access.Approver, access.Admin}
}

// maxTokenLife bounds the expiry that may be asked for.
const maxTokenLife = 5 * 366 * 24 * time.Hour

// check returns fault.Invalid with every problem of a token that a would make now. The
// scopes must be permissions that the maker holds and, for a service token, its role too.
func (n NewToken) check(policy *access.Policy, a db.Actor, now time.Time) error {
	var c form.Check
	c.Text("name", n.Name, "A name", 80)
	c.OneOf("kind", n.Kind, "Kind", KindPersonal, KindService)
	holder := a
	if n.Kind == KindService {
		if !slices.Contains(ServiceRoles(), n.Role) {
			c.Add("role", "not_allowed", "Role must be one of: viewer, member, approver, admin.")
		}
		holder = db.Actor{Kind: db.ActorService, Role: string(n.Role)}
	} else if n.Role != "" {
		c.Add("role", "not_allowed", "A personal token has the role of its owner.")
	}
	switch {
	case n.Scopes == nil && a.Scopes != nil:
		c.Add("scopes", "required", "The token you use is limited to some permissions, so the new one must be too.")
	case n.Scopes != nil && len(n.Scopes) == 0:
		c.Add("scopes", "required", "Choose at least one permission.")
	}
	for _, scope := range n.Scopes {
		perm := access.Permission(scope)
		g, ok := policy.Grant(perm)
		switch {
		case !ok:
			c.Add("scopes", "not_allowed", fmt.Sprintf("There is no permission %.60q.", scope))
		case !policy.Can(a, perm):
			c.Add("scopes", "not_allowed", fmt.Sprintf("You do not have the permission %s.", scope))
		case n.Kind == KindService && !c.Has("role") && !policy.Can(holder, perm):
			c.Add("scopes", "not_allowed", fmt.Sprintf("The permission %s needs the role %s.", scope, g.Min.Label()))
		}
	}
	if n.ExpiresAt != nil {
		switch {
		case !n.ExpiresAt.After(now):
			c.Add("expires_at", "in_the_past", "Choose a time in the future.")
		case n.ExpiresAt.Sub(now) > maxTokenLife:
			c.Add("expires_at", "out_of_range", "Choose a time within the next five years.")
		}
	}
	return c.Err()
}

// held returns the permissions that an actor may give to a token, in order. A role limits
// them further; empty does not.
func held(policy *access.Policy, a db.Actor, role access.Role) []access.Grant {
	holder := db.Actor{Role: string(role)}
	var out []access.Grant
	for _, g := range policy.Grants() {
		if policy.Can(a, g.Permission) && (role == "" || policy.Can(holder, g.Permission)) {
			out = append(out, g)
		}
	}
	return out
}
