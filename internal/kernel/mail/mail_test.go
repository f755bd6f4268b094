package mail_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/mail"
)

// relay is a real SMTP server that keeps what it is sent.
type relay struct {
	host  string
	port  int
	roots *x509.CertPool

	rcpt     func(to string) error // may refuse
	data     error                 // answer to the message
	password string                // asked for when set
	hangUp   bool                  // close the connection right after taking a message

	mu       sync.Mutex
	received []received
}

type received struct {
	from, to, username string
	tls                bool
	raw                []byte
}

type relayOptions struct {
	implicit, noTLS bool
	change          func(*relay)
}

func startRelay(t *testing.T, opts relayOptions) *relay {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	r := &relay{host: "127.0.0.1", port: address.Port}
	if opts.change != nil {
		opts.change(r)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{relay: r, conn: c}, nil }))
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "relay.test", true, quiet{}
	if !opts.noTLS {
		certificate, roots := newCertificate(t)
		r.roots = roots
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		if opts.implicit {
			listener = tls.NewListener(listener, server.TLSConfig)
		}
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		// The server may not have begun to serve, and then knows no listener to close.
		_ = listener.Close()
		_ = server.Close()
		<-served
	})
	return r
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type session struct {
	relay *relay
	conn  *smtp.Conn
	got   received
}

func (s *session) AuthMechanisms() []string {
	if s.relay.password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if password != s.relay.password {
			return smtp.ErrAuthFailed
		}
		s.got.username = username
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.relay.password != "" && s.got.username == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "authentication required"}
	}
	s.got.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.got.to = to
	if s.relay.rcpt != nil {
		return s.relay.rcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.relay.data != nil {
		return s.relay.data
	}
	s.got.raw = raw
	_, s.got.tls = s.conn.TLSConnectionState()
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.received = append(s.relay.received, s.got)
	return nil
}

func (s *session) Reset() {
	if s.relay.hangUp && s.got.raw != nil {
		_ = s.conn.Conn().Close() // the point of the test
	}
}
func (s *session) Logout() error { return nil }

func newCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func (r *relay) sender(t *testing.T, change func(*mail.Settings)) *mail.Sender {
	t.Helper()
	s := mail.Settings{Host: r.host, Port: r.port, From: "Vigilo Ü <vigilo@example.org>", RootCAs: r.roots}
	if r.roots == nil {
		s.TLS = mail.NoTLS
	}
	if change != nil {
		change(&s)
	}
	sender, err := mail.NewSender(s, (&net.Dialer{}).DialContext, clock.NewFixed(now))
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func (r *relay) only(t *testing.T) received {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.received) != 1 {
		t.Fatalf("relay has %d messages, want 1", len(r.received))
	}
	return r.received[0]
}

func sample() mail.Message {
	return mail.Message{
		To: "Ada <ada@example.org>", Subject: "Zertifikat läuft ab: ✓", Text: "Guten Tag,\nes läuft ab.\n.\nEnde\n",
		HTML: "<p>Guten Tag, es <b>läuft</b> ab.</p>", MessageID: "event-1@vigilo.example.org",
		Headers: mail.OneClickUnsubscribe("https://vigilo.example.org/unsubscribe/" + strings.Repeat("t", 120)),
	}
}

func TestMessageArrivesWithBothPartsAndItsHeaders(t *testing.T) {
	t.Parallel()
	r := startRelay(t, relayOptions{})
	m := sample()
	if err := r.sender(t, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := r.only(t)
	if got.from != "vigilo@example.org" || got.to != "ada@example.org" || !got.tls {
		t.Errorf("envelope = %s to %s, tls %v", got.from, got.to, got.tls)
	}
	parsed, err := netmail.ReadMessage(bytes.NewReader(got.raw))
	if err != nil {
		t.Fatal(err)
	}
	var decoder mime.WordDecoder
	header := map[string]string{}
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-Id", "Auto-Submitted", "List-Unsubscribe", "List-Unsubscribe-Post", "X-Mailer", "User-Agent"} {
		if header[name], err = decoder.DecodeHeader(parsed.Header.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"From": `Vigilo Ü <vigilo@example.org>`, "To": `"Ada" <ada@example.org>`, "Subject": m.Subject,
		"Date": "Tue, 24 Nov 2026 12:00:00 +0000", "Message-Id": "<event-1@vigilo.example.org>", "Auto-Submitted": "auto-generated",
		"List-Unsubscribe": m.Headers["List-Unsubscribe"], "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"X-Mailer": "", "User-Agent": "",
	}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"text/plain": m.Text, "text/html": m.HTML}, parts(t, parsed)); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// parts returns the decoded body by media type.
func parts(t *testing.T, m *netmail.Message) map[string]string {
	t.Helper()
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	reader := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		found[kind] = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
}

func TestEachKindOfProtectionDelivers(t *testing.T) {
	t.Parallel()
	for mode, opts := range map[mail.TLS]relayOptions{
		mail.StartTLS: {}, mail.ImplicitTLS: {implicit: true}, mail.NoTLS: {noTLS: true},
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := startRelay(t, opts)
			if err := r.sender(t, func(s *mail.Settings) { s.TLS = mode }).Send(t.Context(), sample()); err != nil {
				t.Fatal(err)
			}
			if got := r.only(t); got.tls != (mode != mail.NoTLS) {
				t.Errorf("tls = %v", got.tls)
			}
		})
	}
}

func TestServerWithoutSTARTTLSGetsNothing(t *testing.T) {
	t.Parallel()
	r := startRelay(t, relayOptions{noTLS: true})
	err := r.sender(t, func(s *mail.Settings) { s.TLS = mail.StartTLS }).Send(t.Context(), sample())
	wantFault(t, err, fault.Unavailable, mail.CodeDeferred)
	if len(r.received) != 0 {
		t.Error("the message was sent without protection")
	}
}

func TestUntrustedCertificateGetsNothing(t *testing.T) {
	t.Parallel()
	for mode, opts := range map[mail.TLS]relayOptions{mail.StartTLS: {}, mail.ImplicitTLS: {implicit: true}} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			r := startRelay(t, opts)
			err := r.sender(t, func(s *mail.Settings) { s.TLS, s.RootCAs = mode, x509.NewCertPool() }).Send(t.Context(), sample())
			wantFault(t, err, fault.Unavailable, mail.CodeDeferred)
			if len(r.received) != 0 {
				t.Error("the message was sent to a server that nobody vouches for")
			}
		})
	}
}

func TestSignInWithPassword(t *testing.T) {
	t.Parallel()
	for mode, opts := range map[mail.TLS]relayOptions{mail.StartTLS: {}, mail.ImplicitTLS: {implicit: true}} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			opts.change = func(r *relay) { r.password = "right" }
			r := startRelay(t, opts)
			with := func(password string) func(*mail.Settings) {
				return func(s *mail.Settings) { s.TLS, s.Username, s.Password = mode, "vigilo", password }
			}
			if err := r.sender(t, with("right")).Send(t.Context(), sample()); err != nil {
				t.Fatal(err)
			}
			if got := r.only(t); got.username != "vigilo" {
				t.Errorf("username = %q", got.username)
			}
			wantFault(t, r.sender(t, with("wrong")).Send(t.Context(), sample()), fault.Unavailable, mail.CodeAuthFailed)
			anonymous := r.sender(t, func(s *mail.Settings) { s.TLS = mode })
			wantFault(t, anonymous.Send(t.Context(), sample()), fault.Unavailable, mail.CodeAuthFailed)
		})
	}
}

func TestReplyCodeDecidesWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*relay)
		kind   fault.Kind
		code   string
	}{
		{"recipient unknown", func(r *relay) { r.rcpt = answer(550) }, fault.Invalid, mail.CodeRejected},
		{"mailbox busy", func(r *relay) { r.rcpt = answer(451) }, fault.Unavailable, mail.CodeDeferred},
		{"content refused", func(r *relay) { r.data = answer(554)("") }, fault.Invalid, mail.CodeRejected},
		{"out of space", func(r *relay) { r.data = answer(452)("") }, fault.Unavailable, mail.CodeDeferred},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t, relayOptions{change: tc.change})
			wantFault(t, r.sender(t, nil).Send(t.Context(), sample()), tc.kind, tc.code)
		})
	}
}

func answer(code int) func(string) error {
	return func(string) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no"}
	}
}

func TestLostFarewellDoesNotCountAsFailure(t *testing.T) {
	t.Parallel()
	r := startRelay(t, relayOptions{noTLS: true, change: func(r *relay) { r.hangUp = true }})
	if err := r.sender(t, nil).Send(t.Context(), sample()); err != nil {
		t.Errorf("the server took the message, yet Send says %v", err)
	}
	r.only(t)
}

func TestNobodyListeningIsTemporary(t *testing.T) {
	t.Parallel()
	r := startRelay(t, relayOptions{})
	sender := r.sender(t, func(s *mail.Settings) { s.Port = 1 })
	wantFault(t, sender.Send(t.Context(), sample()), fault.Unavailable, mail.CodeDeferred)
}

func TestDeadlineEndsAServerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	// A server that greets and then says nothing: go-mail alone would wait for its own
	// timeout.
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	closed := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			closed <- err
			return
		}
		_, _ = io.WriteString(conn, "220 slow.test ESMTP\r\n")
		_, err = io.Copy(io.Discard, conn) // returns when the client hangs up
		closed <- err
	}()
	r := &relay{host: "127.0.0.1", port: listener.Addr().(*net.TCPAddr).Port}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = r.sender(t, nil).Send(ctx, sample())
	wantFault(t, err, fault.Unavailable, mail.CodeDeferred)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want the deadline in its chain", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestInjectedDialerIsTheOnlyWayOut(t *testing.T) {
	t.Parallel()
	refused := errors.New("address is in a private range")
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	sender, err := mail.NewSender(mail.Settings{Host: "127.0.0.1", Port: 25, From: "v@example.org"}, dial, clock.NewFixed(now))
	if err != nil {
		t.Fatal(err)
	}
	err = sender.Send(t.Context(), sample())
	wantFault(t, err, fault.Unavailable, mail.CodeDeferred)
	if !errors.Is(err, refused) {
		t.Errorf("error = %v", err)
	}
}

func TestHeaderInjectionIsRefused(t *testing.T) {
	t.Parallel()
	r := startRelay(t, relayOptions{noTLS: true})
	sender := r.sender(t, nil)
	for name, change := range map[string]func(*mail.Message){
		"subject with a line break":    func(m *mail.Message) { m.Subject = "x\r\nBcc: eve@example.org" },
		"subject with a line feed":     func(m *mail.Message) { m.Subject = "x\nBcc: eve@example.org" },
		"subject too long":             func(m *mail.Message) { m.Subject = strings.Repeat("x", 1000) },
		"recipient with a line break":  func(m *mail.Message) { m.To = "ada@example.org\r\nBcc: eve@example.org" },
		"two recipients":               func(m *mail.Message) { m.To = "ada@example.org, eve@example.org" },
		"recipient is no address":      func(m *mail.Message) { m.To = "ada" },
		"header value with line break": func(m *mail.Message) { m.Headers = map[string]string{"X-A": "b\r\nBcc: eve@example.org"} },
		"header name with line break":  func(m *mail.Message) { m.Headers = map[string]string{"X-A: b\r\nBcc": "eve@example.org"} },
		"header of our own":            func(m *mail.Message) { m.Headers = map[string]string{"bCC": "eve@example.org"} },
		"content type":                 func(m *mail.Message) { m.Headers = map[string]string{"Content-Type": "text/html"} },
		"message id with line break":   func(m *mail.Message) { m.MessageID = "a@b\r\nBcc: eve@example.org" },
		"message id with brackets":     func(m *mail.Message) { m.MessageID = "<a@b>" },
		"no text":                      func(m *mail.Message) { m.Text = "" },
		"one click over http":          func(m *mail.Message) { m.Headers = mail.OneClickUnsubscribe("http://vigilo.example.org/u/1") },
		"one click without an address": func(m *mail.Message) { delete(m.Headers, "List-Unsubscribe") },
	} {
		m := sample()
		change(&m)
		if f := fault.Find(sender.Send(t.Context(), m)); f == nil || f.Kind != fault.Invalid || f.Code != mail.CodeInvalid {
			t.Errorf("%s: error = %v", name, f)
		}
	}
	if len(r.received) != 0 {
		t.Errorf("%d messages were sent", len(r.received))
	}
}

func TestUnfitSettingsAreRefusedAllAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings mail.Settings
		fields   []string
	}{
		"everything":              {mail.Settings{TLS: "ssl"}, []string{"from", "host", "port", "tls"}},
		"password in the clear":   {mail.Settings{Host: "mail.example.org", Port: 25, From: "v@example.org", Username: "u", TLS: mail.NoTLS}, []string{"tls"}},
		"socket":                  {mail.Settings{Host: "unix:///run/mail", Port: 25, From: "v@example.org"}, []string{"host"}},
		"sender with line breaks": {mail.Settings{Host: "mail.example.org", Port: 25, From: "v@example.org\r\nX: y"}, []string{"from"}},
	} {
		_, err := mail.NewSender(tc.settings, nil, clock.NewFixed(now))
		f := fault.Find(err)
		if f == nil || f.Kind != fault.Invalid {
			t.Errorf("%s: error = %v", name, err)
			continue
		}
		var fields []string
		for _, d := range f.Details {
			fields = append(fields, d.Field)
		}
		if diff := cmp.Diff(tc.fields, fields); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func wantFault(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	if f := fault.Find(err); f == nil || f.Kind != kind || f.Code != code {
		t.Errorf("error = %v, want kind %d and code %s", err, kind, code)
	}
}
