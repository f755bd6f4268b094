// Package mail sends one message to one person over SMTP. It knows no templates and
// keeps no queue: a failed send says whether trying again later makes sense, and the
// job that called decides.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// sendTimeout bounds one message from dialing to the server's last answer; a context
// with an earlier deadline wins.
const sendTimeout = time.Minute

// TLS says how the connection to the server is protected.
type TLS string

const (
	// StartTLS upgrades a plain connection and refuses a server that cannot
	// (RFC 3207), usually on port 587.
	StartTLS TLS = "starttls"
	// ImplicitTLS speaks TLS from the first byte (RFC 8314), usually on port 465.
	ImplicitTLS TLS = "implicit"
	// NoTLS is for a relay on the same machine or a trusted network. A password is
	// then only sent to loopback.
	NoTLS TLS = "none"
)

// Settings describe the server and who we are there.
type Settings struct {
	Host     string
	Port     int
	Username string // empty means no sign-in
	Password string
	// From is an address with an optional name: Vigilo <vigilo@example.org>.
	From string
	TLS  TLS // empty means StartTLS
	// RootCAs are trusted instead of the machine's, for a private CA. Nil means the machine's.
	RootCAs *x509.CertPool
}

// Dialer opens the connection; the caller hands in the one that guards private
// networks.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Sender sends messages through one server. It is safe for concurrent use; each
// message has its own connection.
type Sender struct {
	settings Settings
	from     *netmail.Address
	dial     Dialer
	clock    clock.Clock
}

// NewSender checks the settings and does no I/O. Errors are fault.Invalid and name
// the field.
func NewSender(s Settings, dial Dialer, c clock.Clock) (*Sender, error) {
	if s.TLS == "" {
		s.TLS = StartTLS
	}
	var problems []fault.Detail
	add := func(field, message string) {
		problems = append(problems, fault.Detail{Code: "invalid", Field: field, Message: message})
	}
	from, err := parseAddress(s.From)
	if err != nil {
		add("from", "Enter an e-mail address, such as Vigilo <vigilo@example.org>.")
	}
	if _, err := netip.ParseAddr(s.Host); s.Host == "" || err != nil && strings.ContainsAny(s.Host, "/: \t\r\n") {
		add("host", "Enter the name or the address of the mail server.")
	}
	if s.Port < 1 || s.Port > 65535 {
		add("port", "Enter a port between 1 and 65535.")
	}
	switch {
	case !slices.Contains([]TLS{StartTLS, ImplicitTLS, NoTLS}, s.TLS):
		add("tls", "Choose starttls, implicit or none.")
	case s.TLS == NoTLS && s.Username != "" && !isLoopback(s.Host):
		add("tls", "A password is not sent without encryption. Choose starttls or implicit.")
	}
	if err := fault.InvalidDetails(problems); err != nil {
		return nil, err
	}
	return &Sender{settings: s, from: from, dial: dial, clock: c}, nil
}

// Send delivers the message to the server. Errors are
//
//   - fault.Invalid with code mail_invalid: the message itself is wrong,
//   - fault.Invalid with code mail_rejected: the server refused for good (5xx),
//   - fault.Unavailable with code mail_deferred: refused for now (4xx), no answer,
//     or no protected connection,
//   - fault.Unavailable with code mail_auth_failed: our credentials were refused,
//     which only an administrator can mend.
func (s *Sender) Send(ctx context.Context, m Message) error {
	msg, err := s.build(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	link := &link{dial: s.dial}
	defer link.close()
	defer context.AfterFunc(ctx, link.close)()

	client, err := s.client(link)
	if err != nil {
		return fmt.Errorf("prepare mail client: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	// Once the server has taken the message, a failing farewell is no failure: trying
	// again would deliver it twice.
	if err == nil || msg.IsDelivered() {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return classify(err)
}

func (s *Sender) client(l *link) (*gomail.Client, error) {
	config := &tls.Config{ServerName: s.settings.Host, MinVersion: tls.VersionTLS12, RootCAs: s.settings.RootCAs}
	options := []gomail.Option{
		gomail.WithPort(s.settings.Port), gomail.WithTimeout(sendTimeout), gomail.WithTLSConfig(config), gomail.WithoutNoop(),
	}
	switch s.settings.TLS {
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case ImplicitTLS:
		// go-mail leaves TLS to a dialer that is handed in.
		l.tls = config
		options = append(options, gomail.WithSSL())
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.settings.Username != "" {
		options = append(options, gomail.WithUsername(s.settings.Username), gomail.WithPassword(s.settings.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	options = append(options, gomail.WithDialContextFunc(l.open))
	return gomail.NewClient(s.settings.Host, options...)
}

// link is the connection of one Send. go-mail heeds the context only while dialing
// and forgets the connection when the greeting fails; closing it here ends every phase
// when the context ends.
type link struct {
	dial Dialer
	tls  *tls.Config // nil unless implicit

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (l *link) open(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := l.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.keep(conn)
	if l.tls == nil {
		return conn, nil
	}
	secured := tls.Client(conn, l.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secured, nil
}

func (l *link) keep(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	if l.closed {
		_ = conn.Close() // whoever uses it gets the error
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		_ = l.conn.Close() // usually closed already, after the farewell
	}
}

// isLoopback reports whether a password sent to host in the clear stays on this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
