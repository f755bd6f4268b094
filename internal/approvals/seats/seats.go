// Package seats is the engine of approvals: it composes policies into stages, builds and
// counts seats, decides who may fill them, and finds loops of delegation. It is pure: no
// database, no clock.
package seats

import (
	"github.com/google/uuid"
)

// Mode is how the seats of a block are counted.
type Mode string

// The modes.
const (
	Any     Mode = "any"     // one seat for all listed people, the first approval satisfies
	All     Mode = "all"     // one seat per person, each must approve
	NOfM    Mode = "n_of_m"  // n approvals of m seats
	Percent Mode = "percent" // the smallest whole number of seats that is at least p percent
	CAB     Mode = "cab"     // one seat, filled by the decision of a board
)

// Modes lists the modes.
func Modes() []Mode { return []Mode{Any, All, NOfM, Percent, CAB} }

// OnReject says what a rejection does.
type OnReject string

// The answers to a rejection. The zero value means the mode's own: fail_fast for any and
// all, until_impossible for n_of_m and percent.
const (
	FailFast        OnReject = "fail_fast"
	UntilImpossible OnReject = "until_impossible"
)

// SourceKind says where the people of a stage come from.
type SourceKind string

// The sources of people.
const (
	User         SourceKind = "user"
	Role         SourceKind = "role" // everybody with the role or a higher one
	Group        SourceKind = "group"
	AssetOwner   SourceKind = "asset_owner"
	ServiceOwner SourceKind = "service_owner"
	BlastOwner   SourceKind = "blast_owner" // owners of services in the blast radius from a criticality up
	Manager      SourceKind = "manager"     // of the requester
	Board        SourceKind = "cab"
)

// SourceKinds lists the sources that people may be taken from.
func SourceKinds() []SourceKind {
	return []SourceKind{User, Role, Group, AssetOwner, ServiceOwner, BlastOwner, Manager}
}

// Source names people. It is comparable: equal sources are counted once.
type Source struct {
	Kind SourceKind `json:"kind"`
	// ID is the user or the group.
	ID uuid.UUID `json:"id,omitzero"`
	// Role of a role source.
	Role string `json:"role,omitempty"`
	// Criticality from which a blast_owner source counts: low, medium, high or critical.
	Criticality string `json:"criticality,omitempty"`
	// Each gives every person of a role or group a seat, as they are when the stage opens;
	// otherwise they share one and membership is tested when somebody decides.
	Each bool `json:"each,omitempty"`
	// Dynamic also gives a seat to people who join while the stage is open.
	Dynamic bool `json:"dynamic,omitempty"`
}

// Personal reports whether each person of the source has a seat of their own.
func (s Source) Personal() bool {
	switch s.Kind {
	case Role, Group:
		return s.Each
	default:
		return true
	}
}

// Kind says who may fill a seat.
type Kind string

// The kinds of seat.
const (
	Personal  Kind = "personal"
	Shared    Kind = "shared"
	BoardSeat Kind = "cab"
)

// Unrouted is why a seat has nobody who could fill it now; empty when it has somebody.
type Unrouted string

// The reasons.
const (
	Absent          Unrouted = "absent"
	Inactive        Unrouted = "inactive"
	NotPermitted    Unrouted = "not_permitted"
	DuplicateSeat   Unrouted = "duplicate_seat"
	DelegateSoD     Unrouted = "delegate_excluded_sod"
	DelegationLoop  Unrouted = "delegation_loop"
	DelegationDepth Unrouted = "delegation_depth"
)
