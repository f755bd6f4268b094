package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrBlocked is what every refusal of this package matches with errors.Is.
var ErrBlocked = errors.New("blocked by policy")

// BlockedError is a connection that was never opened. Addr is the zero value when the
// name itself was refused.
type BlockedError struct {
	Host   string
	Addr   netip.AddrPort
	Reason string
}

// Error names the target and the reason. It is for the log; a tenant sees Classify.
func (e *BlockedError) Error() string {
	if !e.Addr.IsValid() {
		return fmt.Sprintf("%s is blocked by policy (%s)", e.Host, e.Reason)
	}
	return fmt.Sprintf("%s at %s is blocked by policy (%s)", e.Host, e.Addr, e.Reason)
}

// Is makes errors.Is(err, ErrBlocked) true.
func (e *BlockedError) Is(target error) bool { return target == ErrBlocked }

// Resolver looks names up. *net.Resolver is one.
type Resolver interface {
	// LookupNetIP returns the addresses of host; network is "ip", "ip4" or "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	// maxAddresses bounds how many addresses of one name are tried.
	maxAddresses = 8
	// stagger is the pause before the next address is tried beside the previous one
	// (RFC 8305, Connection Attempt Delay).
	stagger = 250 * time.Millisecond
)

// Dialer opens connections that its Policy allows. It is safe for concurrent use.
type Dialer struct {
	policy   Policy
	resolver Resolver
	timeout  time.Duration
	gate     Gate
}

// Gate is asked before each connection with the address that it would go to. It does not
// wait: it returns what to call once the connection is closed, or an error that the caller
// of DialContext gets, so that waiting never counts as a slow target.
type Gate func(addr netip.Addr) (release func(), err error)

// WithGate returns a copy of d that asks g before it connects.
func (d *Dialer) WithGate(g Gate) *Dialer {
	gated := *d
	gated.gate = g
	return &gated
}

// gateError marks what a gate said among other failures.
type gateError struct{ err error }

func (e *gateError) Error() string { return e.err.Error() }
func (e *gateError) Unwrap() error { return e.err }

// gatedConn tells the gate when it is closed.
type gatedConn struct {
	net.Conn
	release func()
	once    sync.Once
}

// Close closes the connection and frees its place.
func (c *gatedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}

// Option changes a Dialer while it is made.
type Option func(*Dialer)

// WithResolver replaces the resolver.
func WithResolver(r Resolver) Option { return func(d *Dialer) { d.resolver = r } }

// WithTimeout bounds lookup and connect together. The default is 5 s.
func WithTimeout(t time.Duration) Option { return func(d *Dialer) { d.timeout = t } }

// NewDialer returns a dialer that obeys p and asks Go's own resolver, never the one of
// the C library.
func NewDialer(p Policy, opts ...Option) *Dialer {
	d := &Dialer{policy: p, resolver: &net.Resolver{PreferGo: true}, timeout: 5 * time.Second}
	for _, o := range opts {
		o(d)
	}
	return d
}

// DialContext connects to address, "host:port" with a numeric port. network is tcp,
// tcp4, tcp6, udp, udp4 or udp6. The name is looked up once, the answers are filtered,
// the rest is tried in the order of the answer with a staggered start, and each socket
// is judged again before it connects. It returns a *BlockedError when nothing is left.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dial %q: port is not a number from 0 to 65535", address)
	}
	if v := d.policy.JudgeName(host); !v.Allowed {
		return nil, &BlockedError{Host: host, Reason: v.Reason}
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	addrs, err := d.lookup(ctx, network, host)
	if err != nil {
		return nil, err
	}
	targets := make([]netip.AddrPort, 0, len(addrs))
	var blocked *BlockedError
	for _, a := range addrs {
		target := netip.AddrPortFrom(a.Unmap(), uint16(port))
		if v := d.policy.Judge(target); !v.Allowed {
			blocked = &BlockedError{Host: host, Addr: target, Reason: v.Reason}
			continue
		}
		targets = append(targets, target)
	}
	if len(targets) == 0 {
		return nil, blocked
	}
	return d.race(ctx, network, host, targets[:min(len(targets), maxAddresses)])
}

// lookup returns at least one address of the family that network asks for.
func (d *Dialer) lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	family := "ip"
	if strings.HasSuffix(network, "4") || strings.HasSuffix(network, "6") {
		family += network[len(network)-1:]
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if (family == "ip4" && !a.Unmap().Is4()) || (family == "ip6" && a.Unmap().Is4()) {
			return nil, &net.DNSError{Err: "no address of this family", Name: host, IsNotFound: true}
		}
		return []netip.Addr{a}, nil
	}
	addrs, err := d.resolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, fmt.Errorf("look up %q: %w", host, err)
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

type attempt struct {
	conn net.Conn
	err  error
}

// race tries targets one after the other: the next starts when the previous failed or
// is slower than the stagger. The first connection wins, late ones are closed.
func (d *Dialer) race(ctx context.Context, network, host string, targets []netip.AddrPort) (net.Conn, error) {
	if len(targets) == 1 {
		return d.connect(ctx, network, host, targets[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan attempt, len(targets))
	started, finished := 0, 0
	defer func() {
		cancel()
		pending := started - finished
		go func() {
			for range pending {
				if r := <-results; r.conn != nil {
					r.conn.Close()
				}
			}
		}()
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var best error
	for finished < len(targets) {
		select {
		case <-next.C:
			if started < len(targets) {
				target := targets[started]
				started++
				go func() {
					conn, err := d.connect(ctx, network, host, target)
					results <- attempt{conn, err}
				}()
				next.Reset(stagger)
			}
		case r := <-results:
			finished++
			if r.err == nil {
				return r.conn, nil
			}
			// A missing IPv6 route says less than what the next address answered.
			// What a gate said comes first: that address was not tried at all.
			_, shut := errors.AsType[*gateError](r.err)
			if best == nil || shut || Classify(best) == ClassUnreachable {
				best = r.err
			}
			next.Reset(0)
		}
	}
	return nil, best
}

// connect opens one socket to a numeric address.
func (d *Dialer) connect(ctx context.Context, network, host string, target netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{
		FallbackDelay: -1,
		Control: func(_, address string, _ syscall.RawConn) error {
			final, err := netip.ParseAddrPort(address)
			if err != nil {
				return &BlockedError{Host: host, Reason: ReasonInvalid}
			}
			if v := d.policy.Judge(final); !v.Allowed {
				return &BlockedError{Host: host, Addr: final, Reason: v.Reason}
			}
			return nil
		},
	}
	if d.gate == nil {
		conn, err := dialer.DialContext(ctx, network, target.String())
		if err != nil {
			return nil, fmt.Errorf("connect to %q: %w", host, err)
		}
		return conn, nil
	}
	release, err := d.gate(target.Addr())
	if err != nil {
		return nil, fmt.Errorf("connect to %q: %w", host, &gateError{err})
	}
	conn, err := dialer.DialContext(ctx, network, target.String())
	if err != nil {
		release()
		return nil, fmt.Errorf("connect to %q: %w", host, err)
	}
	return &gatedConn{Conn: conn, release: release}, nil
}
