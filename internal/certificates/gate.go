package certificates

import (
	"errors"
	"net/netip"
	"sync"
)

// connectionsPerAddress is how many connections scans hold to one address at a time.
const connectionsPerAddress = 2

// defaultPerNetwork is how many they hold to one network, see networkOf.
const defaultPerNetwork = 10

// maxParked is how many scans may wait for busy addresses. Beyond it slots are missed,
// which is what a target that cannot keep up with its own hosts gets.
const maxParked = 5000

// busyError says that an address, or the network around it, has all connections it may
// have. Where is a prefix of one address or of a network.
type busyError struct{ where netip.Prefix }

func (e *busyError) Error() string { return "address is busy with other scans" }

// busy reports whether a scan was put off by the gate rather than by its target.
func busy(err error) bool {
	_, ok := errors.AsType[*busyError](err)
	return ok
}

// networkOf returns the /24 of an IPv4 address or the /56 of an IPv6 address: what one
// firewall or load balancer is likely to stand in front of.
func networkOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

func alone(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	return netip.PrefixFrom(addr, addr.BitLen())
}

// addressGate limits connections to one address and to one network, and keeps the scans
// that wait for one. A waiting scan holds neither a connection nor a place among the
// running scans, so a slow address delays only its own hosts.
type addressGate struct {
	perAddress, perNetwork int

	mu     sync.Mutex
	open   map[netip.Prefix]int
	parked map[netip.Prefix][]func()
	count  int
}

func newAddressGate(perAddress, perNetwork int) *addressGate {
	return &addressGate{
		perAddress: perAddress, perNetwork: perNetwork, open: map[netip.Prefix]int{}, parked: map[netip.Prefix][]func(){},
	}
}

// limit returns how many connections a prefix of one address or of a network may have.
func (g *addressGate) limit(p netip.Prefix) int {
	if p.IsSingleIP() {
		return g.perAddress
	}
	return g.perNetwork
}

// enter takes a place at addr, or fails with a busyError. It is an outbound.Gate.
func (g *addressGate) enter(addr netip.Addr) (func(), error) {
	places := [2]netip.Prefix{alone(addr), networkOf(addr)}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range places {
		if g.open[p] >= g.limit(p) {
			return nil, &busyError{p}
		}
	}
	for _, p := range places {
		g.open[p]++
	}
	return func() { g.leave(places) }, nil
}

func (g *addressGate) leave(places [2]netip.Prefix) {
	var resumed []func()
	g.mu.Lock()
	for _, p := range places {
		if g.open[p]--; g.open[p] <= 0 {
			delete(g.open, p)
		}
		if resume := g.next(p); resume != nil {
			resumed = append(resumed, resume)
		}
	}
	g.mu.Unlock()
	for _, resume := range resumed {
		resume()
	}
}

// next takes the scan off that has waited longest. The caller holds mu.
func (g *addressGate) next(p netip.Prefix) func() {
	list := g.parked[p]
	if len(list) == 0 {
		return nil
	}
	g.count--
	if len(list) == 1 {
		delete(g.parked, p)
	} else {
		g.parked[p] = list[1:]
	}
	return list[0]
}

// park keeps resume until a place is free where the busyError in err found none. It
// returns false, and forgets it, when too many wait already.
func (g *addressGate) park(err error, resume func()) bool {
	b, ok := errors.AsType[*busyError](err)
	if !ok {
		return false
	}
	g.mu.Lock()
	if g.open[b.where] < g.limit(b.where) {
		// The place became free between the refusal and now.
		g.mu.Unlock()
		resume()
		return true
	}
	defer g.mu.Unlock()
	if g.count >= maxParked {
		return false
	}
	g.parked[b.where] = append(g.parked[b.where], resume)
	g.count++
	return true
}

// release resumes everything that waits, when the process stops.
func (g *addressGate) release() {
	g.mu.Lock()
	var all []func()
	for p, list := range g.parked {
		all = append(all, list...)
		delete(g.parked, p)
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
