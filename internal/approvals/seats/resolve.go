package seats

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"
)

// maxHops is how many delegations may follow each other.
const maxHops = 3

// ScopeKind says what a delegation covers.
type ScopeKind string

// The scopes, widest first. An asset group is a tag of assets.
const (
	ScopeAll        ScopeKind = "all"
	ScopeChangeType ScopeKind = "change_type"
	ScopeAssetGroup ScopeKind = "asset_group"
	ScopePolicy     ScopeKind = "policy"
)

// ScopeKinds lists the scopes, widest first.
func ScopeKinds() []ScopeKind {
	return []ScopeKind{ScopeAll, ScopeChangeType, ScopeAssetGroup, ScopePolicy}
}

// Scope is what a delegation covers. Value is the change type, the tag, or the id of the
// policy; empty for all.
type Scope struct {
	Kind  ScopeKind
	Value string
}

// Topic is what a seat is about, for the scopes of delegations.
type Topic struct {
	ChangeType string
	Tags       []string
	Policies   []uuid.UUID
}

func (s Scope) covers(t Topic) bool {
	switch s.Kind {
	case ScopeAll:
		return true
	case ScopeChangeType:
		return s.Value == t.ChangeType
	case ScopeAssetGroup:
		return slices.Contains(t.Tags, s.Value)
	case ScopePolicy:
		return slices.ContainsFunc(t.Policies, func(id uuid.UUID) bool { return id.String() == s.Value })
	default:
		return false
	}
}

func (s Scope) narrowness() int { return slices.Index(ScopeKinds(), s.Kind) }

// DelegationKind says what a delegation says about its principal.
type DelegationKind string

// The kinds. Out means that the principal is absent while it runs; assist leaves them
// available and helps only when they cannot fill the seat otherwise.
const (
	Out    DelegationKind = "out"
	Assist DelegationKind = "assist"
)

// Delegation lets one person decide for another in [Start, End).
type Delegation struct {
	ID        uuid.UUID
	Principal uuid.UUID
	Delegate  uuid.UUID
	Kind      DelegationKind
	Scope     Scope
	Start     time.Time
	End       time.Time
	CreatedAt time.Time
}

// ActiveAt reports whether the delegation runs at a moment; its end is not part of it.
func (d Delegation) ActiveAt(t time.Time) bool { return !t.Before(d.Start) && t.Before(d.End) }

// Absence says that somebody is away in [Start, End).
type Absence struct {
	User  uuid.UUID
	Start time.Time
	End   time.Time
}

// Person is what the engine knows of somebody. Who is unknown is not active.
type Person struct {
	Active    bool
	Permitted bool // may decide approvals at all
}

// World is the state of affairs at one moment, as far as routing asks.
type World struct {
	At          time.Time
	People      map[uuid.UUID]Person
	Excluded    map[uuid.UUID]bool // by separation of duties
	Delegations []Delegation
	Absences    []Absence
}

// Able reports whether a person may decide at all now: active, permitted, not excluded.
func (w World) Able(id uuid.UUID) bool {
	p := w.People[id]
	return p.Active && p.Permitted && !w.Excluded[id]
}

// absent reports whether an absence, or a delegation that says so, covers the moment.
func (w World) absent(id uuid.UUID) bool {
	return slices.ContainsFunc(w.Absences, func(a Absence) bool {
		return a.User == id && !w.At.Before(a.Start) && w.At.Before(a.End)
	}) || slices.ContainsFunc(w.Delegations, func(d Delegation) bool {
		return d.Principal == id && d.Kind == Out && d.ActiveAt(w.At)
	})
}

// Assignment says who is asked to fill a seat in place of a principal.
type Assignment struct {
	Principal uuid.UUID
	// Assignee is zero when the seat is unrouted.
	Assignee    uuid.UUID
	Path        []uuid.UUID // from the principal to the last person looked at
	Delegations []uuid.UUID // between them
	Unrouted    Unrouted
}

// Routed reports whether somebody is asked.
func (a Assignment) Routed() bool { return a.Unrouted == "" }

// Resolve finds who fills a seat for a principal now. taken reports whether a person
// already holds another seat of the stage.
func (w World) Resolve(principal uuid.UUID, topic Topic, taken func(uuid.UUID) bool) Assignment {
	a := Assignment{Principal: principal, Path: []uuid.UUID{principal}}
	current := principal
	for {
		if w.Excluded[current] {
			// Never on by the delegations of somebody excluded: they could otherwise choose
			// who approves their own request.
			a.Unrouted = DelegateSoD
			return a
		}
		reason := w.unfit(current, taken)
		if reason == "" {
			a.Assignee = current
			return a
		}
		d, ok := w.delegation(current, topic)
		switch {
		case !ok:
			a.Unrouted = reason
			return a
		case slices.Contains(a.Path, d.Delegate):
			a.Unrouted = DelegationLoop
			return a
		case len(a.Path) > maxHops:
			a.Unrouted = DelegationDepth
			return a
		}
		a.Path, a.Delegations = append(a.Path, d.Delegate), append(a.Delegations, d.ID)
		current = d.Delegate
	}
}

func (w World) unfit(id uuid.UUID, taken func(uuid.UUID) bool) Unrouted {
	switch p := w.People[id]; {
	case !p.Active:
		return Inactive
	case !p.Permitted:
		return NotPermitted
	case w.absent(id):
		return Absent
	case taken(id):
		return DuplicateSeat
	default:
		return ""
	}
}

// delegation picks the delegation of somebody that is active and covers the topic: the
// narrowest scope first, then the oldest.
func (w World) delegation(of uuid.UUID, topic Topic) (Delegation, bool) {
	var best Delegation
	found := false
	for _, d := range w.Delegations {
		if d.Principal != of || !d.ActiveAt(w.At) || !d.Scope.covers(topic) {
			continue
		}
		if !found || cmp.Or(
			cmp.Compare(best.Scope.narrowness(), d.Scope.narrowness()),
			d.CreatedAt.Compare(best.CreatedAt), slices.Compare(d.ID[:], best.ID[:])) < 0 {
			best, found = d, true
		}
	}
	return best, found
}

// Chair is a seat that wants routing: who it stands for and what it is about. Filled names
// who has filled it already.
type Chair struct {
	Kind       Kind
	Principals []uuid.UUID
	Topic      Topic
	Filled     uuid.UUID
	// Closed seats hold nobody: voided, or of a block that is done.
	Closed bool
}

// Route resolves the open seats of one stage together, since a person holds at most one of
// them: seats whose principal is available come first, the others follow in their order.
// Each candidate of a shared seat is resolved on its own. The result is parallel to the
// chairs; filled and closed ones, and those of boards, have no assignments.
func (w World) Route(chairs []Chair) [][]Assignment {
	out := make([][]Assignment, len(chairs))
	holder := map[uuid.UUID]int{}
	for i, c := range chairs {
		if c.Filled != uuid.Nil {
			holder[c.Filled] = i
		}
	}
	takenFor := func(i int) func(uuid.UUID) bool {
		return func(id uuid.UUID) bool {
			at, ok := holder[id]
			return ok && at != i
		}
	}
	open := func(c Chair, k Kind) bool { return !c.Closed && c.Filled == uuid.Nil && c.Kind == k }
	for i, c := range chairs {
		if open(c, Personal) && w.unfit(c.Principals[0], takenFor(i)) == "" && !w.Excluded[c.Principals[0]] {
			out[i] = []Assignment{w.Resolve(c.Principals[0], c.Topic, takenFor(i))}
			holder[c.Principals[0]] = i
		}
	}
	for i, c := range chairs {
		if !open(c, Personal) || out[i] != nil {
			continue
		}
		a := w.Resolve(c.Principals[0], c.Topic, takenFor(i))
		if a.Routed() {
			holder[a.Assignee] = i
		}
		out[i] = []Assignment{a}
	}
	for i, c := range chairs {
		if open(c, Shared) {
			for _, p := range c.Principals {
				out[i] = append(out[i], w.Resolve(p, c.Topic, takenFor(i)))
			}
		}
	}
	return out
}
