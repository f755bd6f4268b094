// Package access decides who may do what. Roles and permissions are Go values; pages,
// buttons and the API ask the same function.
package access

import (
	"fmt"
	"slices"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Role is what a member is in a workspace. Each role may do what the ones below it may.
type Role string

// The roles, lowest first. PlatformAdmin stands above workspaces and is no membership.
const (
	Viewer        Role = "viewer"
	Member        Role = "member"
	Approver      Role = "approver"
	Admin         Role = "admin"
	Owner         Role = "owner"
	PlatformAdmin Role = "platform_admin"
)

// Roles lists the roles of a workspace, lowest first.
func Roles() []Role { return []Role{Viewer, Member, Approver, Admin, Owner} }

// Rank orders roles: 0 for none, 1 for viewer, 6 for platform_admin.
func (r Role) Rank() int {
	return slices.Index([]Role{"", Viewer, Member, Approver, Admin, Owner, PlatformAdmin}, r)
}

// Valid reports whether r is a role that a membership may have.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Label is the role's name on a page.
func (r Role) Label() string {
	switch r {
	case Viewer:
		return "Viewer"
	case Member:
		return "Member"
	case Approver:
		return "Approver"
	case Admin:
		return "Admin"
	case Owner:
		return "Owner"
	case PlatformAdmin:
		return "Platform admin"
	default:
		return ""
	}
}

// Permission is a key of the form {area}.{verb}, such as host.create.
type Permission string

// Grant declares a permission and the lowest role that holds it. Modules declare theirs;
// a route may name only a declared one.
type Grant struct {
	Permission Permission
	Label      string
	Min        Role
}

// Policy is the set of declared permissions.
type Policy struct{ grants map[Permission]Grant }

// NewPolicy collects grants. It fails when two modules declare the same permission.
func NewPolicy(grants ...Grant) (*Policy, error) {
	p := &Policy{grants: make(map[Permission]Grant, len(grants))}
	return p, p.Add(grants...)
}

// Add collects more grants while the program is put together, before it serves.
func (p *Policy) Add(grants ...Grant) error {
	for _, g := range grants {
		if _, ok := p.grants[g.Permission]; ok {
			return fmt.Errorf("access: permission %s is declared twice", g.Permission)
		}
		if g.Min.Rank() < 1 {
			return fmt.Errorf("access: permission %s names no role", g.Permission)
		}
		p.grants[g.Permission] = g
	}
	return nil
}

// Grant returns the declaration of a permission.
func (p *Policy) Grant(perm Permission) (Grant, bool) {
	g, ok := p.grants[perm]
	return g, ok
}

// Grants returns every declaration, by permission.
func (p *Policy) Grants() []Grant {
	out := make([]Grant, 0, len(p.grants))
	for _, g := range p.grants {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Grant) int {
		if a.Permission < b.Permission {
			return -1
		}
		return 1
	})
	return out
}

// Can reports whether the actor holds the permission: their role reaches it, and a token
// with scopes names it. An undeclared permission is held by nobody.
func (p *Policy) Can(a db.Actor, perm Permission) bool {
	g, ok := p.grants[perm]
	if !ok {
		return false
	}
	if a.Scopes != nil && !slices.Contains(a.Scopes, string(perm)) {
		return false
	}
	role := Role(a.Role)
	if a.PlatformAdmin {
		role = PlatformAdmin
	}
	return role.Rank() >= g.Min.Rank()
}

// Check returns fault.Denied, naming the role that is needed, when the actor does not
// hold the permission.
func (p *Policy) Check(a db.Actor, perm Permission) error {
	if p.Can(a, perm) {
		return nil
	}
	g, ok := p.grants[perm]
	if !ok {
		return fault.NewDenied("forbidden", "Nobody may do this.")
	}
	if a.Scopes != nil && !slices.Contains(a.Scopes, string(perm)) {
		return fault.NewDenied("forbidden", fmt.Sprintf("This token does not have the scope %s.", perm))
	}
	return fault.NewDenied("forbidden", fmt.Sprintf("This needs the role %s or higher in this workspace. Ask an admin to change your role.", g.Min.Label()))
}
