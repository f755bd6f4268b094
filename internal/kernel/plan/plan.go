// Package plan says how much a workspace may hold. Limits are for installations that serve
// workspaces of others; everywhere else they are off and a plan is only a word.
package plan

import (
	"fmt"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Name names a plan. The text is stored with the workspace.
type Name string

// The plans, smallest first.
const (
	Free       Name = "free"
	Starter    Name = "starter"
	Pro        Name = "pro"
	Enterprise Name = "enterprise"
)

// Limits bound a workspace. 0 is no limit.
type Limits struct {
	// Members counts memberships and open invitations.
	Members int
	// Hosts counts watched hosts, paused ones too.
	Hosts int
	// ShortestInterval is the shortest time between two scans of a host.
	ShortestInterval time.Duration
	// Retention is how long single scans are kept.
	Retention time.Duration
}

const day = 24 * time.Hour

// Names lists the plans, smallest first.
func Names() []Name { return []Name{Free, Starter, Pro, Enterprise} }

// limits is the table of all plans. What it does not name has no limits, so that a word
// which a later version took away locks nobody out.
func limits(n Name) Limits {
	switch n {
	case Free:
		return Limits{Members: 3, Hosts: 10, ShortestInterval: 24 * time.Hour, Retention: 14 * day}
	case Starter:
		return Limits{Members: 10, Hosts: 100, ShortestInterval: 6 * time.Hour, Retention: 30 * day}
	case Pro:
		return Limits{Members: 50, Hosts: 2000, ShortestInterval: 15 * time.Minute, Retention: 90 * day}
	case Enterprise:
		return Limits{}
	default:
		return Limits{}
	}
}

// Label is the plan's name on a page.
func (n Name) Label() string {
	switch n {
	case Free:
		return "Free"
	case Starter:
		return "Starter"
	case Pro:
		return "Pro"
	case Enterprise:
		return "Enterprise"
	default:
		return string(n)
	}
}

// Plan is the plan of a workspace with the limits that hold for it.
type Plan struct {
	Name Name
	Limits
}

// Of returns a plan. Without enforcement it has no limits.
func Of(n Name, enforced bool) Plan {
	p := Plan{Name: n}
	if enforced {
		p.Limits = limits(n)
	}
	return p
}

// codeExceeded is the code of every refusal.
const codeExceeded = "plan_limit"

// Exceeded reports whether an error is the refusal of a plan.
func Exceeded(err error) bool {
	e := fault.Find(err)
	return e != nil && e.Code == codeExceeded
}

// CheckMembers refuses more members than the plan holds; have counts those there are and
// the open invitations.
func (p Plan) CheckMembers(have, more int) error {
	if p.Members == 0 || have+more <= p.Members {
		return nil
	}
	return p.refuse(fmt.Sprintf("holds %d members, open invitations included, and %d are taken. Remove a member or revoke an invitation",
		p.Members, have))
}

// CheckHosts refuses more hosts than the plan holds.
func (p Plan) CheckHosts(have, more int) error {
	if p.Hosts == 0 || have+more <= p.Hosts {
		return nil
	}
	return p.refuse(fmt.Sprintf("holds %d hosts, and %d are watched. Delete hosts that nobody needs", p.Hosts, have))
}

// Allows reports whether hosts may be scanned this often.
func (p Plan) Allows(interval time.Duration) bool { return interval >= p.ShortestInterval }

func (p Plan) refuse(why string) error {
	return fault.NewInvalid(codeExceeded, fmt.Sprintf("The plan %s %s, or ask the people who run Vigilo for a larger plan.", p.Name.Label(), why))
}
