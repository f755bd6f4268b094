package seats

import (
	"slices"

	"github.com/google/uuid"
)

// Pool holds the people of each source, in a stable order.
type Pool map[Source][]uuid.UUID

// Seat is one required human decision. A personal seat has one principal; a shared one has
// candidates, of whom the first to decide fills it; the seat of a board has neither.
type Seat struct {
	Kind       Kind
	Source     Source // of a shared seat of mode any: the first of its sources
	Principals []uuid.UUID
}

// Built are the seats of a block, before anybody decided.
type Built struct {
	Seats []Seat
	// Need is how many of them must approve.
	Need int
	// Dropped are people who were left out because of separation of duties.
	Dropped []uuid.UUID
}

// Reduced reports whether separation of duties made the block smaller.
func (b Built) Reduced() bool { return len(b.Dropped) > 0 }

// Build makes the seats of a block. People who are excluded are dropped before anything is
// counted, and each person gets at most one personal seat.
func Build(b Block, pool Pool, excluded func(uuid.UUID) bool) Built {
	var out Built
	keep := func(people []uuid.UUID) []uuid.UUID {
		var kept []uuid.UUID
		for _, p := range people {
			switch {
			case slices.Contains(kept, p):
			case !excluded(p):
				kept = append(kept, p)
			case !slices.Contains(out.Dropped, p):
				out.Dropped = append(out.Dropped, p)
			}
		}
		return kept
	}
	switch b.Mode {
	case CAB:
		out.Seats = []Seat{{Kind: BoardSeat, Source: Source{Kind: Board}}}
	case Any:
		var all []uuid.UUID
		for _, s := range b.Sources {
			all = append(all, pool[s]...)
		}
		if all = keep(all); len(all) > 0 {
			out.Seats = []Seat{{Kind: Shared, Source: b.Sources[0], Principals: all}}
		}
	default:
		var seated []uuid.UUID
		for _, s := range b.Sources {
			people := keep(pool[s])
			if !s.Personal() {
				if len(people) > 0 {
					out.Seats = append(out.Seats, Seat{Kind: Shared, Source: s, Principals: people})
				}
				continue
			}
			for _, p := range people {
				if !slices.Contains(seated, p) {
					seated = append(seated, p)
					out.Seats = append(out.Seats, Seat{Kind: Personal, Source: s, Principals: []uuid.UUID{p}})
				}
			}
		}
	}
	out.Need = Need(b, len(out.Seats))
	return out
}

// Need returns how many approvals satisfy a block of m seats that count.
func Need(b Block, m int) int {
	switch b.Mode {
	case All:
		// Nobody left is not everybody: a block without a seat is never satisfied.
		return max(1, m)
	case NOfM:
		return max(1, b.Need)
	case Percent:
		return max(1, (b.Percent*m+99)/100)
	default:
		return 1
	}
}

// Mark is what became of a seat.
type Mark int

// The marks. A void seat does not count any more.
const (
	Open Mark = iota
	Approved
	Rejected
	Void
)

// Outcome is where a block stands.
type Outcome int

// The outcomes. Impossible means that too few seats are left although too few rejected.
const (
	Pending Outcome = iota
	Satisfied
	Refused
	Impossible
)

// Count sums up the seats of a block.
type Count struct {
	Need, Of, Approvals, Rejections int
	Outcome                         Outcome
}

// Tally counts a block. It depends on the marks alone, not on their order.
func Tally(b Block, marks []Mark) Count {
	var c Count
	for _, m := range marks {
		switch m {
		case Approved:
			c.Approvals++
		case Rejected:
			c.Rejections++
		case Void:
			continue
		case Open:
		}
		c.Of++
	}
	c.Need = Need(b, c.Of)
	switch {
	case c.Rejections > 0 && (b.OnReject == FailFast || b.Mode == All || b.Mode == CAB):
		c.Outcome = Refused
	case c.Approvals >= c.Need:
		c.Outcome = Satisfied
	case c.Rejections > 0 && c.Rejections > c.Of-c.Need:
		c.Outcome = Refused
	case c.Of < c.Need:
		c.Outcome = Impossible
	default:
		c.Outcome = Pending
	}
	return c
}

// Together returns the outcome of a stage: it is satisfied when all of its blocks are.
func Together(counts []Count) Outcome {
	out := Satisfied
	for _, c := range counts {
		switch c.Outcome {
		case Refused:
			return Refused
		case Impossible:
			out = Impossible
		case Pending:
			if out == Satisfied {
				out = Pending
			}
		case Satisfied:
		}
	}
	if len(counts) == 0 {
		return Impossible
	}
	return out
}
