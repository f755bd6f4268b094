package tlsscan

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

var errTooMuchData = errors.New("the peer sent more than the limit")

type phase int

const (
	phaseConnect phase = iota
	phaseDialogue
	phaseHandshake
)

// attempt is what one connection showed.
type attempt struct {
	err          error
	phase        phase
	state        tls.ConnectionState
	proven       bool // the server has shown that it holds the key
	askedForCert bool
	looksLikeTLS bool
	plaintext    bool // bytes between the go-ahead of STARTTLS and our hello
	wire         []byte
}

// attempt connects once and shakes hands. r learns the address.
func (s *Scanner) attempt(ctx context.Context, p plan, r *Result) attempt {
	seen := attempt{phase: phaseConnect}
	raw, err := s.connect(ctx, p)
	if err != nil {
		seen.err = err
		return seen
	}
	defer raw.Close()
	// Deadlines end reads; a cancelled scan must end them too.
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r.Address = raw.RemoteAddr().String()
	conn := &guardedConn{Conn: raw, left: maxWireBytes, keep: p.readWire}

	if p.starttls != "" {
		seen.phase = phaseDialogue
		if seen.plaintext, seen.err = s.dialogue(ctx, conn, p); seen.err != nil {
			return seen
		}
		conn.startHandshake()
	}
	seen.phase = phaseHandshake
	if seen.err = limit(ctx, raw, orDefault(s.Timeouts.Handshake, 5*time.Second)); seen.err != nil {
		return seen
	}
	client := tls.Client(conn, s.config(p, &seen))
	seen.err = client.Handshake()
	seen.looksLikeTLS = !conn.answered || isRecordType(conn.first)
	seen.wire = conn.kept
	if conn.left < 0 {
		seen.err = errTooMuchData
	}
	seen.state = client.ConnectionState()
	// A server that asks for our certificate has proven its key before, unless the key
	// exchange is static RSA, where its Finished is the proof.
	staticRSA := strings.HasPrefix(tls.CipherSuiteName(seen.state.CipherSuite), "TLS_RSA_")
	seen.proven = seen.err == nil || (seen.askedForCert && !staticRSA)
	if seen.err == nil {
		// A close_notify is polite; whether it arrives changes nothing.
		_ = client.CloseWrite()
	}
	return seen
}

func (s *Scanner) connect(ctx context.Context, p plan) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(s.Timeouts.Connect, 5*time.Second))
	defer cancel()
	conn, err := s.Dial(ctx, p.network, p.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// config accepts everything that crypto/tls can speak: to read is not to approve.
func (s *Scanner) config(p plan, seen *attempt) *tls.Config {
	cfg := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // bad certificates are what we look for; Validate judges them
		ServerName:         p.serverName,
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       allSuites(),
		CurvePreferences:   s.Groups,
		NextProtos:         p.alpn,
		Time:               s.Clock.Now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.askedForCert = true
			return &tls.Certificate{}, nil
		},
	}
	if p.readWire {
		cfg.MaxVersion = tls.VersionTLS12
	}
	return cfg
}

func allSuites() []uint16 {
	var ids []uint16
	for _, suite := range tls.CipherSuites() {
		ids = append(ids, suite.ID)
	}
	for _, suite := range tls.InsecureCipherSuites() {
		ids = append(ids, suite.ID)
	}
	return ids
}

// limit sets a deadline d from now, or the one of ctx if that is earlier. It reads the
// timer of the context package rather than a clock, which tests may have stopped.
func limit(ctx context.Context, conn net.Conn, d time.Duration) error {
	step, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline, _ := step.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	// A cancellation between the check above and SetDeadline would have been overwritten.
	return ctx.Err()
}

// isALPNRefusal reports whether the server speaks none of the protocols we named.
func isALPNRefusal(err error) bool {
	return strings.Contains(err.Error(), "no application protocol")
}

// isCertificateRefusal reports whether crypto/tls refused the server's certificate for
// its form. It has no types for these errors.
func isCertificateRefusal(err error) bool {
	text := err.Error()
	return strings.Contains(text, "tls: failed to parse certificate from server") ||
		strings.Contains(text, "tls: server sent certificate containing RSA key larger") ||
		strings.Contains(text, "tls: server's certificate contains an unsupported type")
}

// acceptWire reads the certificates of a handshake that crypto/tls gave up, and reports
// whether there were any.
func (s *Scanner) acceptWire(ctx context.Context, p plan, seen attempt, r *Result) bool {
	ders := certificatesOnWire(seen.wire)
	if len(ders) == 0 {
		return false
	}
	r.TLSVersion = "TLS 1.2 or older"
	r.addFinding(x509lint.CodeHandshakeAborted, x509lint.Info, "")
	if seen.plaintext {
		r.addFinding(x509lint.CodePlaintextAfter, x509lint.High, "")
	}
	parsed := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			r.addFinding(x509lint.CodeUnparsable, x509lint.High, fmt.Sprintf("certificate %d: %s", i+1, strings.TrimPrefix(err.Error(), "x509: ")))
			continue
		}
		parsed[i] = cert
	}
	r.keep(ders, parsed)
	r.State = StateReachable
	if parsed[0] == nil {
		r.Reason = ClassUnparsable
		// The other dimensions stay empty: nothing is known of them.
		r.Dimensions = x509lint.Dimensions{Trust: x509lint.Untrusted, Revocation: x509lint.RevocationUnknown}
		r.Status = r.Dimensions.Primary(x509lint.UrgencyNone)
		r.Sentence = "The server sent a certificate that cannot be read."
		return true
	}
	s.judge(ctx, p, r)
	return true
}

// accept takes over what a handshake showed and judges it.
func (s *Scanner) accept(ctx context.Context, p plan, seen attempt, r *Result) {
	cs := seen.state
	r.TLSVersion = tls.VersionName(cs.Version)
	r.CipherSuite = tls.CipherSuiteName(cs.CipherSuite)
	if cs.CurveID != 0 {
		r.Group = cs.CurveID.String()
	}
	r.ALPN = cs.NegotiatedProtocol
	if len(cs.PeerCertificates) == 0 {
		r.fail(StateHandshakeFailed, ClassNoCertificate, "The server sent no certificate.", errors.New("no certificate"))
		return
	}
	if seen.plaintext {
		r.addFinding(x509lint.CodePlaintextAfter, x509lint.High, "")
	}
	if seen.askedForCert {
		r.addFinding(x509lint.CodeClientCert, x509lint.Info, "")
	}
	ders := make([][]byte, len(cs.PeerCertificates))
	for i, c := range cs.PeerCertificates {
		ders[i] = c.Raw
	}
	r.keep(ders, cs.PeerCertificates)
	r.State = StateReachable
	s.judge(ctx, p, r)
}

// keep stores the certificates up to the bounds of this package. The leaf always fits:
// crypto/tls refuses larger messages.
func (r *Result) keep(ders [][]byte, parsed []*x509.Certificate) {
	n, size := 0, 0
	for n < len(ders) && n < MaxCertificates && size+len(ders[n]) <= MaxCertificateBytes {
		size += len(ders[n])
		n++
	}
	if n < len(ders) {
		r.addFinding(x509lint.CodeChainTruncated, x509lint.Medium, fmt.Sprintf("%d of %d certificates kept", n, len(ders)))
	}
	r.Certificates, r.Parsed = ders[:n:n], parsed[:n:n]
}

func (r *Result) addFinding(code string, severity x509lint.Severity, detail string) {
	r.Findings = append(r.Findings, x509lint.Finding{Code: code, Severity: severity, Detail: detail})
}

// guardedConn counts what is read, so that a peer cannot feed us for ever, and remembers
// the first byte and, on demand, all of it.
type guardedConn struct {
	net.Conn
	left     int
	answered bool
	first    byte
	keep     bool
	kept     []byte
}

// startHandshake forgets what a STARTTLS dialogue received.
func (c *guardedConn) startHandshake() { c.answered, c.kept = false, nil }

func (c *guardedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.left = -1
		return 0, errTooMuchData
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	if n > 0 && !c.answered {
		c.answered, c.first = true, p[0]
	}
	if c.keep {
		c.kept = append(c.kept, p[:n]...)
	}
	return n, err
}

// isRecordType reports whether b can begin an answer to a ClientHello: the record types
// of TLS (RFC 8446, 5.1), or the length byte of SSL 2.
func isRecordType(b byte) bool { return (b >= 20 && b <= 23) || b == 0x80 }

// certificatesOnWire returns the entries of the Certificate message in a stream of
// unencrypted TLS 1.2 records (RFC 5246, 6.2.1 and 7.4.2), or nil.
func certificatesOnWire(stream []byte) [][]byte {
	records := cryptobyte.String(stream)
	var handshake []byte
	for !records.Empty() {
		var kind uint8
		var version uint16
		var body cryptobyte.String
		if !records.ReadUint8(&kind) || !records.ReadUint16(&version) || !records.ReadUint16LengthPrefixed(&body) || kind != 22 {
			break
		}
		handshake = append(handshake, body...)
	}
	messages := cryptobyte.String(handshake)
	for !messages.Empty() {
		var kind uint8
		var body cryptobyte.String
		if !messages.ReadUint8(&kind) || !messages.ReadUint24LengthPrefixed(&body) {
			return nil
		}
		if kind != 11 {
			continue
		}
		var list cryptobyte.String
		if !body.ReadUint24LengthPrefixed(&list) {
			return nil
		}
		var out [][]byte
		for !list.Empty() && len(out) <= MaxCertificates {
			var entry cryptobyte.String
			if !list.ReadUint24LengthPrefixed(&entry) {
				return nil
			}
			out = append(out, entry)
		}
		return out
	}
	return nil
}
