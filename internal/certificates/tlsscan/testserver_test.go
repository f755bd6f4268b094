package tlsscan

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

const day = 24 * time.Hour

// now is the moment of every scan here.
func now() time.Time { return time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC) }

// authority is a root, its intermediate, and a leaf for www.example.com.
type authority struct{ root, inter, leaf *certtest.Cert }

func newAuthority(tb testing.TB) authority {
	tb.Helper()
	must := certtest.Must[*certtest.Cert]
	root := must(certtest.SelfSigned(certtest.Spec{CommonName: "R", CA: true, NotBefore: now().Add(-900 * day), NotAfter: now().Add(3000 * day)}))
	inter := must(root.Issue(certtest.Spec{
		CommonName: "I", Organization: "Example CA", CA: true, NotBefore: now().Add(-100 * day), NotAfter: now().Add(1000 * day),
	}))
	return authority{root, inter, must(inter.Issue(leafSpec()))}
}

func leafSpec() certtest.Spec {
	return certtest.Spec{
		CommonName: "www.example.com", DNSNames: []string{"www.example.com"},
		NotBefore: now().Add(-30 * day), NotAfter: now().Add(60 * day),
	}
}

// newScanner trusts a's root as a public one and reaches loopback.
func newScanner(a authority) *Scanner {
	d := outbound.NewDialer(outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true})
	return &Scanner{
		Dial: d.DialContext, Roots: x509lint.Roots{Public: certtest.Pool(a.root)}, Clock: clock.NewFixed(now()),
	}
}

// serve accepts connections on loopback and handles each with fn, then closes it.
func serve(tb testing.TB, fn func(net.Conn)) Target {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fn(c)
			}()
		}
	}()
	return Target{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port), ServerName: "www.example.com"}
}

// serveTLS serves handshakes with cfg until the peer closes.
func serveTLS(tb testing.TB, cfg *tls.Config) Target {
	tb.Helper()
	return serve(tb, func(c net.Conn) { shake(c, cfg) })
}

func shake(c net.Conn, cfg *tls.Config) {
	s := tls.Server(c, cfg)
	if s.Handshake() == nil {
		_, _ = s.Read(make([]byte, 1))
	}
}

func config(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: certs, MinVersion: tls.VersionTLS10, Time: now, CipherSuites: allSuites()}
}

func codes(r Result) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func wantCodes(t *testing.T, r Result, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := codes(r); !slices.Equal(got, want) {
		t.Errorf("findings %v, want %v", r.Findings, want)
	}
}

func wantState(t *testing.T, r Result, state State, class string) {
	t.Helper()
	if r.State != state || r.ErrorClass != class {
		t.Errorf("state %q, class %q; want %q, %q (%v)", r.State, r.ErrorClass, state, class, r.Err)
	}
	if (r.Sentence == "") != (class == "" && r.Leaf() != nil) {
		t.Errorf("sentence %q with state %q", r.Sentence, r.State)
	}
}

// scan fails the test instead of hanging when a scan does not end.
func scan(t *testing.T, s *Scanner, target Target) Result {
	t.Helper()
	done := make(chan Result, 1)
	go func() { done <- s.Scan(context.WithoutCancel(t.Context()), target) }()
	select {
	case r := <-done:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("the scan did not end")
		return Result{}
	}
}

// patch replaces bytes of an encoded certificate, which its signature then no longer fits.
func patch(t *testing.T, c *certtest.Cert, from, to string) tls.Certificate {
	t.Helper()
	if !strings.Contains(string(c.X509.Raw), from) || len(from) != len(to) {
		t.Fatalf("%x is not in the certificate", from)
	}
	der := []byte(strings.Replace(string(c.X509.Raw), from, to, -1))
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("the patched certificate still parses")
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.Key}
}
