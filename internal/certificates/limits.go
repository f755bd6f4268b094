package certificates

import (
	"cmp"
	"time"

	"github.com/google/uuid"
)

// Limits bound what scans of this process ask of the network (reliability.md 4.9). A zero
// field gets its default.
type Limits struct {
	// StartsPerWorkspace is how many scans of one workspace begin in a second, 50.
	StartsPerWorkspace int
	// Starts is how many begin in a second altogether, 2,000.
	Starts int
	// PerNetwork is how many connections are open at once to one /24 of IPv4 or /56 of
	// IPv6, 10.
	PerNetwork int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		StartsPerWorkspace: cmp.Or(l.StartsPerWorkspace, 50), Starts: cmp.Or(l.Starts, 2000),
		PerNetwork: cmp.Or(l.PerNetwork, defaultPerNetwork),
	}
}

// startBudget says how many scans may begin now, altogether and in each workspace. A
// second's worth can be saved up and no more. Only the loop that claims uses it.
type startBudget struct {
	limits Limits
	all    allowance
	// used holds workspaces that have not saved up a whole second again.
	used map[uuid.UUID]*allowance
}

// allowance is what is left at a moment.
type allowance struct {
	left float64
	at   time.Time
}

func (a *allowance) refill(rate int, now time.Time) {
	a.left = min(float64(rate), a.left+now.Sub(a.at).Seconds()*float64(rate))
	a.at = now
}

func newStartBudget(l Limits) *startBudget {
	return &startBudget{limits: l, all: allowance{left: float64(l.Starts)}, used: map[uuid.UUID]*allowance{}}
}

// room returns how many scans may begin altogether and, for workspaces that may not begin
// a whole second's worth, in each.
func (b *startBudget) room(now time.Time) (all int, workspaces map[uuid.UUID]int) {
	if b.all.at.IsZero() {
		b.all.at = now
	}
	b.all.refill(b.limits.Starts, now)
	workspaces = make(map[uuid.UUID]int, len(b.used))
	for ws, a := range b.used {
		a.refill(b.limits.StartsPerWorkspace, now)
		if a.left >= float64(b.limits.StartsPerWorkspace) {
			delete(b.used, ws)
			continue
		}
		workspaces[ws] = int(a.left)
	}
	return int(b.all.left), workspaces
}

// spend takes n starts of a workspace and reports whether it has none left.
func (b *startBudget) spend(ws uuid.UUID, n int, now time.Time) (spent bool) {
	a := b.used[ws]
	if a == nil {
		a = &allowance{left: float64(b.limits.StartsPerWorkspace), at: now}
		b.used[ws] = a
	}
	a.left -= float64(n)
	b.all.left -= float64(n)
	return a.left < 1
}
