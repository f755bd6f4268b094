// Package tlsscan examines the TLS service of one endpoint: one full handshake, the
// certificates as served, and what they are worth. It knows no database and no
// workspace. Scan never fails: an endpoint that cannot be reached, refuses or talks
// nonsense is a Result, and none of them costs more than the time and memory bounds
// of the Scanner.
//
// An endpoint whose certificates crypto/x509 cannot parse still counts as reachable when
// their encoding could be read from the wire, which TLS 1.2 allows: other clients may
// well accept it, so the person should see it. It carries the finding
// unparsable_certificate, and with an unparsable leaf the status untrusted. When the
// server insists on TLS 1.3 the encoding stays hidden and the state is handshake_failed.
package tlsscan

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// Bounds on what one endpoint can make us keep and read.
const (
	MaxCertificates     = 32
	MaxCertificateBytes = 256 << 10
	// maxWireBytes bounds what is read from one connection: the largest certificate
	// message that crypto/tls accepts, with its framing and the rest of a handshake.
	maxWireBytes = 384 << 10
)

// State says how far the endpoint let us come.
type State string

// The states; only StateReachable comes with certificates.
const (
	StateReachable       State = "reachable"
	StateUnreachable     State = "unreachable"
	StateHandshakeFailed State = "handshake_failed"
	StateNoTLS           State = "no_tls"
	StateBlocked         State = "blocked_by_policy"
)

// Error classes beside those of outbound.Class.
const (
	ClassInvalidTarget  = "invalid_target"
	ClassTooMuchData    = "too_much_data"
	ClassNotTLS         = "not_tls"
	ClassUnparsable     = "unparsable_certificate"
	ClassNoCertificate  = "no_certificate"
	classSTARTTLSPrefix = "starttls_"
)

// Target is one endpoint.
type Target struct {
	// Host is a name, in A-labels or U-labels, or an address.
	Host string
	Port uint16
	// ServerName is sent as SNI and compared with the certificate. Empty means Host.
	ServerName string
	// STARTTLS is empty for plain TLS, or one of STARTTLSKinds.
	STARTTLS string
	// Family is empty, "ip4" or "ip6".
	Family string
}

// Timeouts bound the phases of a scan. A zero field gets its default.
type Timeouts struct {
	Connect   time.Duration // lookup and connect, 5 s
	Step      time.Duration // one step of a STARTTLS dialogue, 5 s
	Handshake time.Duration // the TLS handshake, 5 s
	AIA       time.Duration // one fetch of an issuer, 5 s
	Total     time.Duration // everything, 20 s
}

// Scanner examines endpoints. Its fields are not changed once it is in use; it is then
// safe for concurrent use.
type Scanner struct {
	// Dial opens connections; in the program it is the guarded dialer's DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// FetchAIA gets an issuer's certificate, at most 64 KiB. Nil means that none is fetched.
	FetchAIA func(ctx context.Context, url string) ([]byte, error)
	Roots    x509lint.Roots
	// Intermediates are known authorities that complete chains before AIA is asked.
	Intermediates []*x509.Certificate
	Clock         clock.Clock
	Timeouts      Timeouts
	// Expiry is when to warn; the zero value holds the defaults.
	Expiry x509lint.ExpiryPolicy
	// Groups are offered for the key exchange; nil means Go's default, which begins with a
	// hybrid post-quantum group and costs about half as much again.
	Groups []tls.CurveID
	// HelloName is how we greet mail servers; empty means vigilo.invalid.
	HelloName string
}

// Result is what one scan found. ErrorClass and Sentence are fit for a tenant; Err is
// for the log only and is nil when State is StateReachable.
type Result struct {
	Started  time.Time
	Duration time.Duration
	// Address is the ip:port that was connected to; empty when none was.
	Address string

	State      State
	ErrorClass string
	Sentence   string
	Err        error

	STARTTLS    string
	TLSVersion  string // "TLS 1.3"
	CipherSuite string // IANA name
	Group       string // key exchange group, empty for static RSA
	ALPN        string

	// Certificates are the DER encodings as served, within the bounds of this package.
	Certificates [][]byte
	// Parsed runs along Certificates; an entry is nil where crypto/x509 refuses it.
	Parsed []*x509.Certificate

	Dimensions x509lint.Dimensions
	Status     x509lint.Status
	Anchor     x509lint.Anchor
	// Reason says why no chain was found.
	Reason   string
	Findings []x509lint.Finding

	NotBefore, NotAfter time.Time
	// ChainNotAfter is when the last of Chains breaks; zero without a chain.
	ChainNotAfter time.Time
	Chains        []x509lint.Chain
	// MissingFrom is where an incomplete chain's missing piece came from: the URL of an
	// issuer, or "cache".
	MissingFrom string
}

// Leaf returns the first served certificate, or nil when there is none that parses.
func (r Result) Leaf() *x509.Certificate {
	if len(r.Parsed) == 0 {
		return nil
	}
	return r.Parsed[0]
}

// Scan examines t. It returns within the total timeout.
func (s *Scanner) Scan(ctx context.Context, t Target) Result {
	r := Result{Started: s.Clock.Now(), STARTTLS: t.STARTTLS}
	ctx, cancel := context.WithTimeout(ctx, orDefault(s.Timeouts.Total, 20*time.Second))
	defer cancel()
	s.scan(ctx, t, &r)
	r.Duration = s.Clock.Now().Sub(r.Started)
	return r
}

func (s *Scanner) scan(ctx context.Context, t Target, r *Result) {
	plan, err := s.plan(t)
	if err != nil {
		r.fail(StateUnreachable, ClassInvalidTarget, "This address is not valid.", err)
		return
	}
	seen := s.attempt(ctx, plan, r)
	if seen.err != nil && isALPNRefusal(seen.err) {
		plan.alpn = nil
		seen = s.attempt(ctx, plan, r)
	}
	if seen.err != nil && isCertificateRefusal(seen.err) {
		refusal := seen.err
		plan.readWire = true
		seen = s.attempt(ctx, plan, r)
		if s.acceptWire(ctx, plan, seen, r) {
			return
		}
		seen.err = refusal
	}
	switch {
	case seen.err == nil, seen.proven && len(seen.state.PeerCertificates) > 0:
		s.accept(ctx, plan, seen, r)
	default:
		r.failHandshake(seen)
	}
}

// plan is a target made ready to dial.
type plan struct {
	network, address, host, serverName string
	starttls                           string
	port                               uint16
	alpn                               []string
	// readWire asks for TLS 1.2 at most and keeps what was received.
	readWire bool
}

func (s *Scanner) plan(t Target) (plan, error) {
	host, err := x509lint.NormalizeHost(t.Host)
	if err != nil {
		return plan{}, err
	}
	p := plan{host: host, serverName: host, starttls: t.STARTTLS, port: t.Port}
	if t.ServerName != "" {
		if p.serverName, err = x509lint.NormalizeHost(t.ServerName); err != nil {
			return plan{}, err
		}
	}
	switch t.Family {
	case "":
		p.network = "tcp"
	case "ip4":
		p.network = "tcp4"
	case "ip6":
		p.network = "tcp6"
	default:
		return plan{}, fmt.Errorf("unknown address family %q", t.Family)
	}
	switch t.STARTTLS {
	case "":
		p.alpn = []string{"h2", "http/1.1"}
	case "postgres":
		p.alpn = []string{"postgresql"}
	default:
		if _, ok := dialogueOf(t.STARTTLS); !ok {
			return plan{}, fmt.Errorf("unknown STARTTLS kind %q", t.STARTTLS)
		}
	}
	if t.Port == 0 {
		return plan{}, errors.New("port 0 cannot be reached")
	}
	p.address = net.JoinHostPort(host, strconv.Itoa(int(t.Port)))
	return p, nil
}

func (r *Result) fail(state State, class, sentence string, err error) {
	r.State, r.ErrorClass, r.Sentence, r.Err = state, class, sentence, err
}

// failHandshake describes an attempt that brought no certificate.
func (r *Result) failHandshake(seen attempt) {
	class := outbound.Classify(seen.err)
	if seen.phase == phaseConnect {
		state := StateUnreachable
		if class == outbound.ClassPolicy {
			state = StateBlocked
		}
		r.fail(state, string(class), class.Sentence(), seen.err)
		return
	}
	if failed, ok := errors.AsType[*dialogueError](seen.err); ok {
		state := StateHandshakeFailed
		if failed.class == dialogueNotOffered {
			state = StateNoTLS
		}
		r.fail(state, classSTARTTLSPrefix+failed.class, failed.sentence(), seen.err)
		return
	}
	switch {
	case errors.Is(seen.err, errTooMuchData):
		r.fail(StateHandshakeFailed, ClassTooMuchData, "The server sent more data than a handshake needs.", seen.err)
	case !seen.looksLikeTLS:
		r.fail(StateNoTLS, ClassNotTLS, "The server answered, but not with TLS.", seen.err)
	case isCertificateRefusal(seen.err):
		r.Findings = append(r.Findings, x509lint.Finding{Code: x509lint.CodeUnparsable, Severity: x509lint.High})
		r.fail(StateHandshakeFailed, ClassUnparsable, "The server sent a certificate that cannot be read.", seen.err)
	case class == outbound.ClassTLS || class == outbound.ClassOther:
		r.fail(StateHandshakeFailed, string(outbound.ClassTLS), handshakeSentence(seen.err), seen.err)
	default:
		r.fail(StateHandshakeFailed, string(class), class.Sentence(), seen.err)
	}
}

// handshakeSentence names the alert that ended a handshake; the text is crypto/tls's own.
func handshakeSentence(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if ok && op.Op == "remote error" {
		return "The server refused the handshake: " + strings.TrimPrefix(op.Err.Error(), "tls: ") + "."
	}
	return "The TLS handshake failed."
}

func orDefault(d, byDefault time.Duration) time.Duration {
	if d <= 0 {
		return byDefault
	}
	return d
}
