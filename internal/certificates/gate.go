package certificates

import (
	"errors"
	"net/netip"
	"sync"
)

// connectionsPerAddress is how many connections scans hold to one address at a time.
const connectionsPerAddress = 2

// maxParked is how many scans may wait for busy addresses. Beyond it slots are missed,
// which is what a target that cannot keep up with its own hosts gets.
const maxParked = 5000

// busyError says that an address has all connections it may have.
type busyError struct{ addr netip.Addr }

func (e *busyError) Error() string { return "address is busy with other scans" }

// busy reports whether a scan was put off by the gate rather than by its target.
func busy(err error) bool {
	_, ok := errors.AsType[*busyError](err)
	return ok
}

// addressGate limits connections to one address and keeps the scans that wait for one. A
// waiting scan holds neither a connection nor a place among the running scans, so a slow
// address delays only its own hosts.
type addressGate struct {
	limit int

	mu     sync.Mutex
	open   map[netip.Addr]int
	parked map[netip.Addr][]func()
	count  int
}

func newAddressGate(limit int) *addressGate {
	return &addressGate{limit: limit, open: map[netip.Addr]int{}, parked: map[netip.Addr][]func(){}}
}

// enter takes a place at addr, or fails with a busyError. It is an outbound.Gate.
func (g *addressGate) enter(addr netip.Addr) (func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[addr] >= g.limit {
		return nil, &busyError{addr}
	}
	g.open[addr]++
	return func() { g.leave(addr) }, nil
}

func (g *addressGate) leave(addr netip.Addr) {
	g.mu.Lock()
	if g.open[addr]--; g.open[addr] <= 0 {
		delete(g.open, addr)
	}
	resume := g.next(addr)
	g.mu.Unlock()
	if resume != nil {
		resume()
	}
}

// next takes the scan off that has waited longest. The caller holds mu.
func (g *addressGate) next(addr netip.Addr) func() {
	list := g.parked[addr]
	if len(list) == 0 {
		return nil
	}
	g.count--
	if len(list) == 1 {
		delete(g.parked, addr)
	} else {
		g.parked[addr] = list[1:]
	}
	return list[0]
}

// park keeps resume until a place at the address of the busyError in err is free. It
// returns false, and forgets it, when too many wait already.
func (g *addressGate) park(err error, resume func()) bool {
	b, ok := errors.AsType[*busyError](err)
	if !ok {
		return false
	}
	g.mu.Lock()
	if g.open[b.addr] < g.limit {
		// The place became free between the refusal and now.
		g.mu.Unlock()
		resume()
		return true
	}
	defer g.mu.Unlock()
	if g.count >= maxParked {
		return false
	}
	g.parked[b.addr] = append(g.parked[b.addr], resume)
	g.count++
	return true
}

// release resumes everything that waits, when the process stops.
func (g *addressGate) release() {
	g.mu.Lock()
	var all []func()
	for addr, list := range g.parked {
		all = append(all, list...)
		delete(g.parked, addr)
	}
	g.count = 0
	g.mu.Unlock()
	for _, resume := range all {
		resume()
	}
}

// waiting returns how many scans wait.
func (g *addressGate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}
