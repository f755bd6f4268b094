package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestGateHearsOfTheAddressAndOfTheClose(t *testing.T) {
	t.Parallel()
	l, _ := listen(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	open := 0
	var asked netip.Addr
	d := NewDialer(Policy{Mode: SelfHosted, AllowLoopback: true}, WithResolver(staticResolver{"127.0.0.1"})).
		WithGate(func(a netip.Addr) (func(), error) {
			asked = a
			open++
			return func() { open-- }, nil
		})
	conn, err := d.DialContext(context.Background(), "tcp", net.JoinHostPort("host.example", port))
	if err != nil {
		t.Fatal(err)
	}
	if asked != netip.MustParseAddr("127.0.0.1") || open != 1 {
		t.Fatalf("gate heard of %s, %d open", asked, open)
	}
	conn.Close()
	conn.Close()
	if open != 0 {
		t.Fatalf("%d open after the close", open)
	}
}

func TestShutGateIsWhatTheCallerHears(t *testing.T) {
	t.Parallel()
	_, reached := listen(t, "127.0.0.1:0")
	full := errors.New("full")
	shut := netip.MustParseAddr("127.0.0.2")
	// 127.0.0.1 refuses on port 1, 127.0.0.2 is shut: the caller may try again later.
	d := NewDialer(Policy{Mode: SelfHosted, AllowLoopback: true}, WithResolver(staticResolver{"127.0.0.1", "127.0.0.2"})).
		WithGate(func(a netip.Addr) (func(), error) {
			if a == shut {
				return nil, full
			}
			return func() {}, nil
		})
	if _, err := d.DialContext(context.Background(), "tcp", "host.example:1"); !errors.Is(err, full) {
		t.Fatalf("got %v, want what the gate said", err)
	}
	if reached.Load() != 0 {
		t.Fatal("something was connected to")
	}
}

func TestGateIsOpenedWhenTheConnectionFails(t *testing.T) {
	t.Parallel()
	open := 0
	d := NewDialer(Policy{Mode: SelfHosted, AllowLoopback: true}).WithGate(func(netip.Addr) (func(), error) {
		open++
		return func() { open-- }, nil
	})
	if _, err := d.DialContext(context.Background(), "tcp", "127.0.0.1:1"); err == nil {
		t.Fatal("connected to a port where nothing listens")
	}
	if open != 0 {
		t.Fatalf("%d open after a refusal", open)
	}
}
