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

// BenchmarkScanAgainstBareHandshake alternates both in one run, so that the load of the
// machine falls on both, and reports the ratio of their times (1.0 is as fast as the floor).
func BenchmarkScanAgainstBareHandshake(b *testing.B) {
	a := newAuthority(b)
	target := serveTLS(b, config(a.leaf.TLS(a.inter)))
	address := fmt.Sprintf("%s:%d", target.Host, target.Port)
	cfg := &tls.Config{RootCAs: certtest.Pool(a.root), ServerName: target.ServerName, Time: now, MinVersion: tls.VersionTLS12}
	s := newScanner(a)
	var floor, product time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		bare(b, address, cfg)
		middle := time.Now()
		if r := s.Scan(context.Background(), target); r.Status != x509lint.StatusValid {
			b.Fatal(r.Status, r.Err)
		}
		floor += middle.Sub(start)
		product += time.Since(middle)
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
