package tlsscan

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// bare is the floor: connect, handshake with Go's own verification, close.
func bare(b *testing.B, address string, cfg *tls.Config) {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	client := tls.Client(conn, cfg)
	if err := client.Handshake(); err != nil {
		b.Fatal(err)
	}
	client.Close()
}

// bench holds one server and both ways to reach it.
type bench struct {
	scanner *Scanner
	target  Target
	cfg     *tls.Config
}

func newBench(b *testing.B) bench {
	b.Helper()
	a := newAuthority(b)
	return bench{
		newScanner(a), serveTLS(b, config(a.leaf.TLS(a.inter))),
		&tls.Config{RootCAs: certtest.Pool(a.root), ServerName: "www.example.com", Time: now, MinVersion: tls.VersionTLS12},
	}
}

func (x bench) bare(b *testing.B) {
	b.Helper()
	bare(b, fmt.Sprintf("%s:%d", x.target.Host, x.target.Port), x.cfg)
}

func (x bench) scan(b *testing.B) {
	b.Helper()
	if r := x.scanner.Scan(context.Background(), x.target); r.Status != x509lint.StatusValid {
		b.Fatal(r.Status, r.Err)
	}
}

func BenchmarkBareVerifiedHandshake(b *testing.B) {
	x := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		x.bare(b)
	}
}

func BenchmarkScan(b *testing.B) {
	x := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		x.scan(b)
	}
}

// BenchmarkScanAgainstBareHandshake runs both in turn, changing which goes first, so that
// the load of the machine and the server's last work fall on both, and reports the ratio
// of their times (1.0 is as fast as the floor).
func BenchmarkScanAgainstBareHandshake(b *testing.B) {
	x := newBench(b)
	var floor, product time.Duration
	bareFirst := true
	for b.Loop() {
		start := time.Now()
		if bareFirst {
			x.bare(b)
		} else {
			x.scan(b)
		}
		middle := time.Now()
		if bareFirst {
			x.scan(b)
		} else {
			x.bare(b)
		}
		first, second := middle.Sub(start), time.Since(middle)
		if bareFirst {
			floor, product = floor+first, product+second
		} else {
			floor, product = floor+second, product+first
		}
		bareFirst = !bareFirst
	}
	b.ReportMetric(float64(floor.Microseconds())/float64(b.N), "bare-µs")
	b.ReportMetric(float64(product.Microseconds())/float64(b.N), "scan-µs")
	b.ReportMetric(float64(product)/float64(floor), "scan/bare")
}

func BenchmarkFactsHash(b *testing.B) {
	a := newAuthority(b)
	r := newScanner(a).Scan(context.Background(), serveTLS(b, config(a.leaf.TLS(a.inter))))
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Facts().Hash()
	}
}
