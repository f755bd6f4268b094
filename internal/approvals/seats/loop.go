package seats

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// common is what the delegations of a path share: the moments and the subjects for which
// all of them apply.
type common struct {
	start, end time.Time
	changeType string
	policy     string
}

func (c common) with(d Delegation) (common, bool) {
	if d.Start.After(c.start) {
		c.start = d.Start
	}
	if d.End.Before(c.end) {
		c.end = d.End
	}
	if !c.start.Before(c.end) {
		return c, false
	}
	// A subject has one type, and a seat is asked for by one policy; it may have many tags.
	narrow := func(have *string) bool {
		if *have != "" && *have != d.Scope.Value {
			return false
		}
		*have = d.Scope.Value
		return true
	}
	switch d.Scope.Kind {
	case ScopeChangeType:
		return c, narrow(&c.changeType)
	case ScopePolicy:
		return c, narrow(&c.policy)
	default:
		return c, true
	}
}

// FindLoop returns the people on a loop that a new delegation would close: for some common
// moment and subject, following delegations from its delegate reaches its principal. It
// begins and ends with the principal; nil means that there is none. A delegation with the
// id of the new one is an older version of it and does not count.
func FindLoop(existing []Delegation, d Delegation) []uuid.UUID {
	if d.Delegate == d.Principal {
		return []uuid.UUID{d.Principal, d.Principal}
	}
	from := map[uuid.UUID][]Delegation{}
	for _, e := range existing {
		if e.ID != d.ID {
			from[e.Principal] = append(from[e.Principal], e)
		}
	}
	start, ok := common{start: d.Start, end: d.End}.with(d)
	if !ok {
		return nil
	}
	type place struct {
		at     uuid.UUID
		shares common
	}
	seen := map[place]bool{}
	var walk func(p place, path []uuid.UUID) []uuid.UUID
	walk = func(p place, path []uuid.UUID) []uuid.UUID {
		// A place reached before with the same constraints led nowhere then. People already on
		// the path would only make a detour, which never allows more than the direct way.
		if seen[p] {
			return nil
		}
		seen[p] = true
		for _, e := range from[p.at] {
			shares, ok := p.shares.with(e)
			if !ok || slices.Contains(path[1:], e.Delegate) {
				continue
			}
			next := append(slices.Clone(path), e.Delegate)
			if e.Delegate == d.Principal {
				return next
			}
			if found := walk(place{e.Delegate, shares}, next); found != nil {
				return found
			}
		}
		return nil
	}
	return walk(place{d.Delegate, start}, []uuid.UUID{d.Principal, d.Delegate})
}
