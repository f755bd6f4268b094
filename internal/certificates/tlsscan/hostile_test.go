package tlsscan

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// impatient shortens the timeouts so that hanging servers end soon.
func impatient(a authority) *Scanner {
	s := newScanner(a)
	s.Timeouts = Timeouts{Connect: 5 * time.Second, Step: 300 * time.Millisecond, Handshake: 300 * time.Millisecond, Total: 10 * time.Second}
	return s
}

func readHello(c net.Conn) { _, _ = c.Read(make([]byte, 16<<10)) }

// hang waits until the peer gives up.
func hang(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

// record frames a TLS 1.2 record.
func record(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(body))), body...)
}

// serverHello is a TLS 1.2 ServerHello for ECDHE-RSA-AES128-GCM-SHA256.
func serverHello() []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0xc0, 0x2f, 0)
	return record(22, append([]byte{2, 0, 0, byte(len(body))}, body...))
}

// flood sends b until the peer closes.
func flood(c net.Conn, b []byte) {
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// slowConn lets allow bytes through at once and then one byte at a time, or none.
type slowConn struct {
	net.Conn
	allow int
	pause time.Duration
}

func (c *slowConn) Write(p []byte) (int, error) {
	n := min(c.allow, len(p))
	if _, err := c.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	c.allow -= n
	for i := n; i < len(p); i++ {
		if c.pause == 0 {
			hang(c.Conn)
			return i, net.ErrClosed
		}
		<-time.After(c.pause)
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

type hostile struct {
	name  string
	serve func(net.Conn)
	state State
	class string
}

// scanner is impatient only with servers that are expected to hang: on a busy machine a
// short timeout would hide what the others do.
func (h hostile) scanner(a authority) *Scanner {
	if h.class == "timeout" {
		return impatient(a)
	}
	return newScanner(a)
}

func hostileServers(a authority) []hostile {
	tlsConfig := config(a.leaf.TLS(a.inter))
	bigCertificate := func(c net.Conn) {
		readHello(c)
		_, _ = c.Write(serverHello())
		_, _ = c.Write(record(22, []byte{11, 0x98, 0x96, 0x80})) // a message of 10,000,000 bytes
		chunk := record(22, make([]byte, 16<<10))
		for range 10_000_000 / (16 << 10) {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	}
	return []hostile{
		{"garbage", func(c net.Conn) { readHello(c); _, _ = c.Write(bytes.Repeat([]byte("\x99\xfe"), 500)) }, StateNoTLS, ClassNotTLS},
		{"garbage for ever", func(c net.Conn) { flood(c, bytes.Repeat([]byte{0xaa}, 4096)) }, StateNoTLS, ClassNotTLS},
		{"plain HTTP", func(c net.Conn) { readHello(c); _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, StateNoTLS, ClassNotTLS},
		{"SMTP banner", func(c net.Conn) { _, _ = c.Write([]byte("220 mail ESMTP\r\n")); hang(c) }, StateNoTLS, ClassNotTLS},
		{"hangs before its hello", func(c net.Conn) { readHello(c); hang(c) }, StateHandshakeFailed, "timeout"},
		{"hangs after its hello", func(c net.Conn) { shake(&slowConn{Conn: c, allow: 90}, tlsConfig) }, StateHandshakeFailed, "timeout"},
		{"hangs inside a record header", func(c net.Conn) { readHello(c); _, _ = c.Write([]byte{22, 3}); hang(c) }, StateHandshakeFailed, "timeout"},
		{"drips", func(c net.Conn) { shake(&slowConn{Conn: c, allow: 5, pause: 20 * time.Millisecond}, tlsConfig) }, StateHandshakeFailed, "timeout"},
		{"closes at once", func(net.Conn) {}, StateHandshakeFailed, "reset"},
		{"closes after the hello", readHello, StateHandshakeFailed, "reset"},
		{"resets", func(c net.Conn) { readHello(c); reset(c) }, StateHandshakeFailed, "reset"},
		{"10 MB certificate message", bigCertificate, StateHandshakeFailed, "tls"},
		{"oversized record", func(c net.Conn) { readHello(c); _, _ = c.Write([]byte{22, 3, 3, 0xff, 0xff}); hang(c) }, StateHandshakeFailed, "tls"},
		{"alert", func(c net.Conn) { readHello(c); _, _ = c.Write(record(21, []byte{2, 40})); hang(c) }, StateHandshakeFailed, "tls"},
		{"warnings for ever", func(c net.Conn) { readHello(c); flood(c, record(21, []byte{1, 90})) }, StateHandshakeFailed, "tls"},
		{"empty records for ever", func(c net.Conn) { readHello(c); flood(c, record(22, nil)) }, StateHandshakeFailed, "tls"},
		{"application data instead", func(c net.Conn) { readHello(c); flood(c, record(23, make([]byte, 8<<10))) }, StateHandshakeFailed, "tls"},
		{
			"certificate list of nothing", func(c net.Conn) {
				readHello(c)
				_, _ = c.Write(serverHello())
				_, _ = c.Write(record(22, []byte{11, 0, 0, 3, 0, 0, 0}))
				hang(c)
			}, StateHandshakeFailed, "tls",
		},
		{
			"certificate list of 80,000 empty entries", func(c net.Conn) {
				readHello(c)
				_, _ = c.Write(serverHello())
				const n = 80_000 * 3
				size := func(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }
				message := slices.Concat([]byte{11}, size(n+3), size(n), make([]byte, n))
				for len(message) > 0 {
					part := message[:min(len(message), 16<<10)]
					if _, err := c.Write(record(22, part)); err != nil {
						return
					}
					message = message[len(part):]
				}
				hang(c)
			}, StateHandshakeFailed, "tls",
		},
	}
}

func TestHostileServersEndInAResult(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, tt := range hostileServers(a) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scan(t, tt.scanner(a), serve(t, tt.serve))
			wantState(t, r, tt.state, tt.class)
		})
	}
}

// TestHostileServersCostBoundedMemory runs alone, since it reads the counters of the
// whole process. The servers are in the same process, so the bound is generous; an
// unbounded read of the 10 MB server or of the floods would still break it.
func TestHostileServersCostBoundedMemory(t *testing.T) { //nolint:paralleltest // see above
	a := newAuthority(t)
	for _, tt := range hostileServers(a) {
		target := serve(t, tt.serve)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		tt.scanner(a).Scan(context.Background(), target)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("%s: %d MiB were allocated", tt.name, grown>>20)
		}
	}
}

func TestReadStopsAtTheWireLimit(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		defer server.Close()
		flood(server, make([]byte, 4096))
	}()
	conn := &guardedConn{Conn: client, left: 10_000}
	total := 0
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		total += n
		if err != nil {
			if err != errTooMuchData {
				t.Errorf("got %v", err)
			}
			break
		}
	}
	if total != 10_000 {
		t.Errorf("read %d bytes", total)
	}
}

func TestOddCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	must := certtest.Must[*certtest.Cert]
	serialSpec := leafSpec()
	serialSpec.Edit = func(c *x509.Certificate) { c.SerialNumber, _ = new(big.Int).SetString("7f0102030405060708", 16) }
	serialised := must(a.inter.Issue(serialSpec))
	negative := patch(t, serialised, "\x7f\x01\x02\x03\x04\x05\x06\x07\x08", "\xff\x01\x02\x03\x04\x05\x06\x07\x08")
	badText := patch(t, a.leaf, "www.example.com", "www.\xff\xfeample.com")
	badIssuer := a.leaf.TLS(a.inter)
	badIssuer.Certificate[1] = bytes.Replace(a.inter.X509.Raw, []byte("Example CA"), []byte("Exam\xff\xfe CA"), 1)
	junk := tls.Certificate{Certificate: [][]byte{[]byte("this is not DER")}, PrivateKey: a.leaf.Key}

	for name, chain := range map[string]tls.Certificate{"negative serial": negative, "broken UTF-8": badText, "no DER at all": junk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := scan(t, newScanner(a), serveTLS(t, config(chain)))
			if r.State != StateReachable || r.Status != x509lint.StatusUntrusted || r.Reason != ClassUnparsable || r.Sentence == "" {
				t.Errorf("state %q, status %q, reason %q (%v)", r.State, r.Status, r.Reason, r.Err)
			}
			wantCodes(t, r, x509lint.CodeUnparsable, x509lint.CodeHandshakeAborted)
			if len(r.Certificates) != len(chain.Certificate) || !bytes.Equal(r.Certificates[0], chain.Certificate[0]) || r.Leaf() != nil {
				t.Error("the encoding was not kept as served")
			}
			if got := r.StatusAt(now().Add(1000*day), x509lint.ExpiryPolicy{}); got != x509lint.StatusUntrusted {
				t.Errorf("later: %q", got)
			}
			if f := r.Facts(); f.Fingerprint == "" || f.Subject != "" {
				t.Errorf("facts %+v", f)
			}
		})
	}
	t.Run("unparsable and TLS 1.3 only", func(t *testing.T) {
		t.Parallel()
		cfg := config(negative)
		cfg.MinVersion = tls.VersionTLS13
		r := scan(t, newScanner(a), serveTLS(t, cfg))
		wantState(t, r, StateHandshakeFailed, ClassUnparsable)
		wantCodes(t, r, x509lint.CodeUnparsable)
	})
	t.Run("unparsable intermediate", func(t *testing.T) {
		t.Parallel()
		r := scan(t, newScanner(a), serveTLS(t, config(badIssuer)))
		wantCodes(t, r, x509lint.CodeUnparsable, x509lint.CodeHandshakeAborted)
		if r.Leaf() == nil || r.Parsed[1] != nil || r.Dimensions.Name != x509lint.NameMatch || r.Status != x509lint.StatusUntrusted {
			t.Errorf("status %q, %+v", r.Status, r.Dimensions)
		}
	})
	t.Run("1,000 names", func(t *testing.T) {
		t.Parallel()
		s := leafSpec()
		for i := range 1000 {
			s.DNSNames = append(s.DNSNames, fmt.Sprintf("host-%d.%s.example.com", i, strings.Repeat("x", 60)))
		}
		r := scan(t, newScanner(a), serveTLS(t, config(must(a.inter.Issue(s)).TLS(a.inter))))
		if r.Status != x509lint.StatusValid || len(r.Facts().Names) != 1001 {
			t.Errorf("status %q, %d names (%v)", r.Status, len(r.Facts().Names), r.Err)
		}
	})
	t.Run("60 certificates", func(t *testing.T) {
		t.Parallel()
		chain := a.leaf.TLS(a.inter)
		for range 58 {
			chain.Certificate = append(chain.Certificate, a.root.X509.Raw)
		}
		r := scan(t, newScanner(a), serveTLS(t, config(chain)))
		if len(r.Certificates) != MaxCertificates || len(r.Parsed) != MaxCertificates || r.Status != x509lint.StatusValid {
			t.Errorf("%d certificates, status %q (%v)", len(r.Certificates), r.Status, r.Err)
		}
		wantCodes(t, r, x509lint.CodeChainTruncated, x509lint.CodeDuplicate, x509lint.CodeRootIncluded)
	})
	t.Run("key of somebody else", func(t *testing.T) {
		t.Parallel()
		stolen := a.leaf.TLS(a.inter)
		stolen.PrivateKey = a.inter.Key
		r := scan(t, newScanner(a), serveTLS(t, config(stolen)))
		if r.State != StateHandshakeFailed || len(r.Certificates) != 0 {
			t.Errorf("a certificate whose key was not proven is shown as served: %q", r.State)
		}
	})
}
