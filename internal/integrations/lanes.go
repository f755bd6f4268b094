package integrations

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// lanes decide whether an attempt may start now, so that one endpoint never takes the
// workers of the others. The queue of jobs is shared and in order of time; what keeps it
// fair is that a job which may not start is put back at once and costs no worker.
//
//   - An endpoint gets at most a tenth of the workers.
//   - One that does not answer for a second gets at most half of what is free, so that many
//     of them cannot grow into the whole together.
//   - One whose last attempt failed gets one, and all such endpoints together get at most
//     half of the workers: each may hold its worker for the full timeout.
//   - What is put back is spread over the time that the endpoint needs for what is ahead
//     of it, at most maxWait, so that a long backlog is not looked at again and again.
//
// Lanes live in one process; with several, each keeps its own.
type lanes struct {
	capacity int // workers of the queue in this process
	share    int // of one endpoint
	clock    clock.Clock

	mu      sync.Mutex
	busy    int
	suspect int // workers held by endpoints whose last attempt failed
	open    map[uuid.UUID]*lane
}

type lane struct {
	// in are the attempts under way, the one that began first in front.
	in      []*ticket
	failing bool
	// took is a moving average of how long an attempt lasts.
	took time.Duration
	// next is when the endpoint will have room for one more that is put back now.
	next time.Time
}

const (
	slowAfter  = time.Second
	maxWait    = time.Minute
	firstGuess = 50 * time.Millisecond
)

func newLanes(capacity int, c clock.Clock) *lanes {
	capacity = max(capacity, 1)
	return &lanes{capacity: capacity, share: max(capacity/10, min(capacity/2, 2), 1), clock: c, open: map[uuid.UUID]*lane{}}
}

// enter takes a place for an attempt at the endpoint. When there is none, wait says when to
// ask again.
func (l *lanes) enter(endpoint uuid.UUID) (t *ticket, wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.open[endpoint]
	if e == nil {
		e = &lane{took: firstGuess}
		l.open[endpoint] = e
	}
	now := l.clock.Now()
	limit := l.limit(e, now)
	if len(e.in) >= limit {
		return nil, e.queue(now, limit), false
	}
	t = &ticket{lanes: l, endpoint: endpoint, began: now, suspect: e.failing}
	l.busy++
	e.in = append(e.in, t)
	if e.failing {
		l.suspect++
	}
	return t, 0, true
}

func (l *lanes) limit(e *lane, now time.Time) int {
	switch {
	case e.failing && l.suspect >= max(l.capacity/2, 1):
		return 0
	case e.failing:
		return 1
	case len(e.in) > 0 && now.Sub(e.in[0].began) >= slowAfter:
		return min(l.share, max((l.capacity-l.busy)/2, 1))
	default:
		return l.share
	}
}

// queue books the next place in time. Beyond maxWait places are drawn at random in the
// second half, or a backlog of an hour would come back all at once.
func (e *lane) queue(now time.Time, limit int) time.Duration {
	if e.next.Before(now) {
		e.next = now
	}
	wait := e.next.Sub(now) + e.took/time.Duration(max(limit, 1))
	if wait > maxWait {
		return maxWait/2 + rand.N(maxWait/2)
	}
	e.next = now.Add(wait)
	return wait
}

// ticket is a place in a lane, for one worker.
type ticket struct {
	lanes    *lanes
	endpoint uuid.UUID
	began    time.Time
	suspect  bool
	returned bool
}

// leave gives the place back and remembers how the attempt went.
func (t *ticket) leave(failed bool, took time.Duration) {
	t.done(func(e *lane) {
		e.failing = failed
		e.took = (3*e.took + took) / 4
	})
}

// cancel gives the place back, if leave did not: what happened says nothing about the
// endpoint.
func (t *ticket) cancel() { t.done(func(*lane) {}) }

func (t *ticket) done(note func(*lane)) {
	if t.returned {
		return
	}
	t.returned = true
	l := t.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.open[t.endpoint]
	note(e)
	l.busy--
	e.in = slices.DeleteFunc(e.in, func(other *ticket) bool { return other == t })
	if t.suspect {
		l.suspect--
	}
	if len(e.in) == 0 && !e.failing {
		delete(l.open, t.endpoint)
	}
}

// doubt marks an endpoint as failing before its attempt has ended, from what other
// processes or an earlier life of this one stored.
func (t *ticket) doubt() {
	l := t.lanes
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[t.endpoint].failing = true
	if !t.suspect {
		t.suspect = true
		l.suspect++
	}
}
