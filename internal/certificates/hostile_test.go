package certificates

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// listen starts a server on an address of its own and gives each connection to serve.
func (w *world) listen(ip netip.Addr, serve func(net.Conn)) netip.AddrPort {
	w.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// present serves a certificate as any server does.
func present(cert tls.Certificate) func(net.Conn) {
	return func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
		if s.Handshake() == nil {
			_, _ = io.Copy(io.Discard, s)
		}
	}
}

func readHello(c net.Conn) { _, _ = c.Read(make([]byte, 16<<10)) }

// hang waits until the client gives up.
func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// frame makes a TLS record (RFC 5246, 6.2.1).
func frame(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(body))), body...)
}

// endless announces a certificate message of 10 MB behind a ServerHello of TLS 1.2 and
// sends it all.
func endless(c net.Conn) {
	readHello(c)
	hello := append([]byte{3, 3}, make([]byte, 32)...)
	hello = append(hello, 0, 0xc0, 0x2f, 0)
	_, _ = c.Write(frame(22, append([]byte{2, 0, 0, byte(len(hello))}, hello...)))
	_, _ = c.Write(frame(22, []byte{11, 0x98, 0x96, 0x80}))
	chunk := frame(22, make([]byte, 16<<10))
	for range 10_000_000 / (16 << 10) {
		if _, err := c.Write(chunk); err != nil {
			return
		}
	}
}

// drip sends the beginning of a large record one byte at a time.
func drip(c net.Conn) {
	readHello(c)
	_, _ = c.Write([]byte{22, 3, 3, 0x3f, 0xff})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := c.Write([]byte{2}); err != nil {
			return
		}
	}
}

func flood(c net.Conn) {
	for {
		if _, err := c.Write(bytes.Repeat([]byte{0xaa}, 4096)); err != nil {
			return
		}
	}
}

// TestHostileServersDoNotHoldUpTheProgram runs the real loop against servers of every evil
// kind, among healthy ones. It runs alone, since it reads the memory of the whole process;
// the servers are in it, too, so the bound is generous.
func TestHostileServersDoNotHoldUpTheProgram(t *testing.T) { //nolint:paralleltest // see above
	w := newWorld(t, clock.System())
	now := time.Now()
	addr := func(kind, n int) netip.Addr { return netip.AddrFrom4([4]byte{127, 3, byte(kind), byte(n)}) }
	issue := func(ip netip.Addr, edit func(*certtest.Spec)) *certtest.Cert {
		spec := certtest.Spec{CommonName: "hostile", IPs: []netip.Addr{ip}, NotBefore: now.Add(-day), NotAfter: now.Add(80 * day)}
		if edit != nil {
			edit(&spec)
		}
		return certtest.Must(w.ca.issuer.Issue(spec))
	}
	// patched serves a certificate whose encoding was changed after it was signed.
	patched := func(c *certtest.Cert, from, to string) func(net.Conn) {
		out := c.TLS(w.ca.issuer)
		raw := bytes.Replace(out.Certificate[0], []byte(from), []byte(to), 1)
		if bytes.Equal(raw, out.Certificate[0]) {
			t.Fatalf("the certificate has no %q", from)
		}
		return present(tls.Certificate{Certificate: append([][]byte{raw}, out.Certificate[1:]...), PrivateKey: c.Key})
	}
	serial := func(s *certtest.Spec) {
		s.Edit = func(c *x509.Certificate) { c.SerialNumber, _ = new(big.Int).SetString("7f0102030405060708", 16) }
	}
	names := func(s *certtest.Spec) {
		for i := range 1000 {
			s.DNSNames = append(s.DNSNames, fmt.Sprintf("n%d.many.test", i))
		}
	}
	called := func(name string) func(*certtest.Spec) { return func(s *certtest.Spec) { s.CommonName = name } }
	kinds := []struct {
		name   string
		serve  func(ip netip.Addr) func(net.Conn)
		status Status
		class  string
	}{
		{"hangs", func(netip.Addr) func(net.Conn) { return hang }, StatusHandshakeFailed, "timeout"},
		{"drips", func(netip.Addr) func(net.Conn) { return drip }, StatusHandshakeFailed, "timeout"},
		{"garbage for ever", func(netip.Addr) func(net.Conn) { return flood }, StatusNoTLS, "not_tls"},
		{"closes after the hello", func(netip.Addr) func(net.Conn) { return readHello }, StatusHandshakeFailed, "reset"},
		{"10 MB certificate", func(netip.Addr) func(net.Conn) { return endless }, StatusHandshakeFailed, "tls"},
		{"1,000 names", func(ip netip.Addr) func(net.Conn) { return present(issue(ip, names).TLS(w.ca.issuer)) }, "valid", ""},
		{"negative serial number", func(ip netip.Addr) func(net.Conn) {
			return patched(issue(ip, serial), "\x7f\x01\x02\x03\x04\x05\x06\x07\x08", "\xff\x01\x02\x03\x04\x05\x06\x07\x08")
		}, "untrusted", ""},
		{"broken UTF-8", func(ip netip.Addr) func(net.Conn) {
			return patched(issue(ip, called("naïve name")), "naïve name", "na\xff\xfeve name")
		}, "untrusted", ""},
		{"NUL in the subject", func(ip netip.Addr) func(net.Conn) {
			return present(issue(ip, called("good.test\x00.evil.test")).TLS(w.ca.issuer))
		}, "valid", ""},
		{"markup and line ends in the subject", func(ip netip.Addr) func(net.Conn) {
			return present(issue(ip, called("<script>\r\n\u202e=cmd")).TLS(w.ca.issuer))
		}, "valid", ""},
		{"healthy", func(ip netip.Addr) func(net.Conn) { return present(issue(ip, nil).TLS(w.ca.issuer)) }, "valid", ""},
	}
	const each = 4
	list := ""
	for k, kind := range kinds {
		for i := range each {
			ip := addr(k, i+1)
			list += w.listen(ip, kind.serve(ip)).String() + "\n"
		}
	}
	if _, err := w.ImportHosts(t.Context(), w.member, Import{Text: list, Interval: "24h"}); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	run(t, w.Service)
	eventually(t, "every host has a result", func() bool {
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
		return w.count(`SELECT count(*) FROM monitored_hosts WHERE last_scan_at IS NOT NULL`) == each*len(kinds)
	})
	if most > before+128<<20 {
		t.Errorf("the heap grew by %d MiB", (most-before)>>20)
	}

	type result struct {
		Hostname, Status, Class string
		Took                    int32
		End                     time.Time
	}
	rows, err := w.d.Admin(t).Query(t.Context(), `
		SELECT h.hostname, h.status, h.last_error_class, o.duration_ms, o.scanned_at + make_interval(secs => o.duration_ms / 1000.0)
		FROM monitored_hosts h JOIN scan_observations o ON o.host_id = h.id ORDER BY o.scanned_at DESC`)
	if err != nil {
		t.Fatal(err)
	}
	results, err := pgx.CollectRows(rows, pgx.RowToStructByPos[result])
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]time.Time, len(kinds))
	for _, r := range results {
		k := int(netip.MustParseAddr(r.Hostname).As4()[2])
		want := kinds[k]
		if r.Status != string(want.status) || r.Class != want.class {
			t.Errorf("%s: %s, class %q; want %s, class %q", want.name, r.Status, r.Class, want.status, want.class)
		}
		if r.Took > 20_000 {
			t.Errorf("%s: took %d ms, more than a scan may", want.name, r.Took)
		}
		if r.End.After(ends[k]) {
			ends[k] = r.End
		}
	}
	if healthy, hanging := ends[len(ends)-1], ends[0]; !healthy.Before(hanging) {
		t.Errorf("the last healthy host was done at %s, after the ones that hang at %s", healthy, hanging)
	}
	if s := w.LoopStats(); s.Missed != 0 {
		t.Errorf("%d results were lost", s.Missed)
	}
}
