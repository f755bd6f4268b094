package tlsscan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Classes of a failed dialogue.
const (
	dialogueNotOffered    = "not_offered"
	dialogueRefused       = "refused"
	dialogueProtocolError = "protocol_error"
	dialogueTimeout       = "timeout"
)

// maxBlock bounds one answer of a dialogue, of however many lines.
const maxBlock = 8 << 10

// dialogueError is a dialogue that did not reach its go-ahead. It never carries the
// peer's bytes.
type dialogueError struct {
	class string
	step  string
	cause error
}

func (e *dialogueError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("STARTTLS %s at %s: %v", e.class, e.step, e.cause)
	}
	return fmt.Sprintf("STARTTLS %s at %s", e.class, e.step)
}

func (e *dialogueError) Unwrap() error { return e.cause }

func (e *dialogueError) sentence() string {
	switch e.class {
	case dialogueNotOffered:
		return "The server does not offer STARTTLS."
	case dialogueRefused:
		return "The server refused to start TLS."
	case dialogueTimeout:
		return "The server did not answer in time while TLS was being negotiated."
	}
	return "The server does not speak the expected protocol."
}

// STARTTLSKinds returns the values of Target.STARTTLS, without the empty one.
func STARTTLSKinds() []string {
	return []string{"smtp", "lmtp", "imap", "pop3", "ftp", "ldap", "postgres", "mysql", "xmpp", "sieve", "nntp", "rdp"}
}

// dialogueOf returns the steps of a kind until its go-ahead.
func dialogueOf(kind string) (func(*talk, plan, string) error, bool) {
	switch kind {
	case "smtp":
		return func(t *talk, _ plan, hello string) error { return t.smtp("EHLO", hello) }, true
	case "lmtp":
		return func(t *talk, _ plan, hello string) error { return t.smtp("LHLO", hello) }, true
	case "imap":
		return func(t *talk, _ plan, _ string) error { return t.imap() }, true
	case "pop3":
		return func(t *talk, _ plan, _ string) error { return t.pop3() }, true
	case "ftp":
		return func(t *talk, _ plan, _ string) error { return t.ftp() }, true
	case "ldap":
		return func(t *talk, _ plan, _ string) error { return t.ldap() }, true
	case "postgres":
		return func(t *talk, _ plan, _ string) error { return t.postgres() }, true
	case "mysql":
		return func(t *talk, _ plan, _ string) error { return t.mysql() }, true
	case "xmpp":
		return func(t *talk, p plan, _ string) error { return t.xmpp(p.serverName, p.port) }, true
	case "sieve":
		return func(t *talk, _ plan, _ string) error { return t.sieve() }, true
	case "nntp":
		return func(t *talk, _ plan, _ string) error { return t.nntp() }, true
	case "rdp":
		return func(t *talk, _ plan, _ string) error { return t.rdp() }, true
	}
	return nil, false
}

// dialogue speaks p.starttls until the server is ready for a ClientHello. It reports
// whether bytes followed the go-ahead; they are thrown away, as they came unprotected.
func (s *Scanner) dialogue(ctx context.Context, conn net.Conn, p plan) (plaintext bool, err error) {
	steps, ok := dialogueOf(p.starttls)
	if !ok {
		return false, fmt.Errorf("unknown STARTTLS kind %q", p.starttls)
	}
	hello := s.HelloName
	if hello == "" {
		hello = "vigilo.invalid"
	}
	t := &talk{ctx: ctx, conn: conn, step: orDefault(s.Timeouts.Step, 5*time.Second), r: bufio.NewReaderSize(conn, maxBlock)}
	if err := steps(t, p, hello); err != nil {
		return false, err
	}
	return t.r.Buffered() > 0, nil
}

// talk is one dialogue. Each step has its own deadline and its own bound of bytes.
type talk struct {
	ctx  context.Context
	conn net.Conn
	step time.Duration
	r    *bufio.Reader
	name string // of the step, for errors
	left int
}

// begin starts a step: it sends request, if any, and gives the answer its time.
func (t *talk) begin(name, request string) error {
	t.name, t.left = name, maxBlock
	if err := limit(t.ctx, t.conn, t.step); err != nil {
		return t.broken(err)
	}
	if request == "" {
		return nil
	}
	if _, err := io.WriteString(t.conn, request); err != nil {
		return t.broken(err)
	}
	return nil
}

func (t *talk) failed(class string) error { return &dialogueError{class: class, step: t.name} }

// broken classes an error of the connection.
func (t *talk) broken(err error) error {
	class := dialogueProtocolError
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		class = dialogueTimeout
	}
	return &dialogueError{class: class, step: t.name, cause: err}
}

// line reads one line without its end.
func (t *talk) line() (string, error) {
	var b strings.Builder
	for {
		c, err := t.byte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return strings.TrimSuffix(b.String(), "\r"), nil
		}
		b.WriteByte(c)
	}
}

func (t *talk) byte() (byte, error) {
	if t.left == 0 {
		return 0, t.failed(dialogueProtocolError)
	}
	t.left--
	c, err := t.r.ReadByte()
	if err != nil {
		return 0, t.broken(err)
	}
	return c, nil
}

func (t *talk) bytes(n int) ([]byte, error) {
	if n > t.left {
		return nil, t.failed(dialogueProtocolError)
	}
	t.left -= n
	out := make([]byte, n)
	if _, err := io.ReadFull(t.r, out); err != nil {
		return nil, t.broken(err)
	}
	return out, nil
}

// reply reads an answer of SMTP's shape: lines of a code and a text, all but the last
// with a hyphen between (RFC 5321, 4.2.1). It returns the code and the texts.
func (t *talk) reply() (code string, texts []string, err error) {
	for {
		l, err := t.line()
		if err != nil {
			return "", nil, err
		}
		if len(l) < 3 || strings.Trim(l[:3], "0123456789") != "" {
			return "", nil, t.failed(dialogueProtocolError)
		}
		if len(l) == 3 {
			return l, append(texts, ""), nil
		}
		texts = append(texts, l[4:])
		switch l[3] {
		case ' ':
			return l[:3], texts, nil
		case '-':
		default:
			return "", nil, t.failed(dialogueProtocolError)
		}
	}
}

// command sends one command and expects code; an answer that is an error is classed by
// unknown, which tells "never heard of it" from "not now".
func (t *talk) command(name, request, code string, unknown ...string) ([]string, error) {
	if err := t.begin(name, request); err != nil {
		return nil, err
	}
	got, texts, err := t.reply()
	if err != nil {
		return nil, err
	}
	if got == code {
		return texts, nil
	}
	for _, u := range unknown {
		if got == u {
			return nil, t.failed(dialogueNotOffered)
		}
	}
	if got[0] == '4' || got[0] == '5' {
		return nil, t.failed(dialogueRefused)
	}
	return nil, t.failed(dialogueProtocolError)
}

func (t *talk) smtp(hello, name string) error {
	if _, err := t.command("banner", "", "220"); err != nil {
		return err
	}
	extensions, err := t.command("greeting", hello+" "+name+"\r\n", "250")
	if err != nil {
		return err
	}
	if !hasWord(extensions, "STARTTLS") {
		return t.failed(dialogueNotOffered)
	}
	_, err = t.command("STARTTLS", "STARTTLS\r\n", "220", "500", "502")
	return err
}

func (t *talk) ftp() error {
	if _, err := t.command("banner", "", "220"); err != nil {
		return err
	}
	_, err := t.command("AUTH TLS", "AUTH TLS\r\n", "234", "500", "502", "504")
	return err
}

func (t *talk) nntp() error {
	if err := t.begin("banner", ""); err != nil {
		return err
	}
	code, _, err := t.reply()
	switch {
	case err != nil:
		return err
	case code[0] == '4' || code[0] == '5':
		return t.failed(dialogueRefused)
	case code != "200" && code != "201":
		return t.failed(dialogueProtocolError)
	}
	_, err = t.command("STARTTLS", "STARTTLS\r\n", "382", "500", "502", "503")
	return err
}

func (t *talk) imap() error {
	if err := t.begin("greeting", ""); err != nil {
		return err
	}
	l, err := t.line()
	switch {
	case err != nil:
		return err
	case hasPrefixFold(l, "* PREAUTH"):
		return t.failed(dialogueNotOffered) // STARTTLS is only valid before authentication (RFC 9051, 6.2.1)
	case hasPrefixFold(l, "* BYE"):
		return t.failed(dialogueRefused)
	case !hasPrefixFold(l, "* OK"):
		return t.failed(dialogueProtocolError)
	}
	if err := t.begin("STARTTLS", "v1 STARTTLS\r\n"); err != nil {
		return err
	}
	for {
		l, err := t.line()
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(l, "* "):
		case hasPrefixFold(l, "v1 OK"):
			return nil
		case hasPrefixFold(l, "v1 BAD"):
			return t.failed(dialogueNotOffered)
		case hasPrefixFold(l, "v1 NO"):
			return t.failed(dialogueRefused)
		default:
			return t.failed(dialogueProtocolError)
		}
	}
}

func (t *talk) pop3() error {
	for _, step := range []struct{ name, request string }{{"greeting", ""}, {"STLS", "STLS\r\n"}} {
		if err := t.begin(step.name, step.request); err != nil {
			return err
		}
		l, err := t.line()
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(l, "+OK"):
		case strings.HasPrefix(l, "-ERR"):
			return t.failed(dialogueRefused)
		default:
			return t.failed(dialogueProtocolError)
		}
	}
	return nil
}

func (t *talk) sieve() error {
	if err := t.begin("greeting", ""); err != nil {
		return err
	}
	offered := false
	for {
		l, err := t.line()
		if err != nil {
			return err
		}
		if hasPrefixFold(l, `"STARTTLS"`) {
			offered = true
		}
		if done, err := t.sieveStatus(l); err != nil {
			return err
		} else if done {
			break
		}
		if !strings.HasPrefix(l, `"`) {
			return t.failed(dialogueProtocolError)
		}
	}
	if !offered {
		return t.failed(dialogueNotOffered)
	}
	if err := t.begin("STARTTLS", "STARTTLS\r\n"); err != nil {
		return err
	}
	l, err := t.line()
	if err != nil {
		return err
	}
	if done, err := t.sieveStatus(l); err != nil {
		return err
	} else if !done {
		return t.failed(dialogueProtocolError)
	}
	return nil
}

func (t *talk) sieveStatus(l string) (ok bool, err error) {
	if hasPrefixFold(l, "NO") || hasPrefixFold(l, "BYE") {
		return false, t.failed(dialogueRefused)
	}
	return hasPrefixFold(l, "OK"), nil
}

// xmpp opens a stream and asks for TLS (RFC 6120, 5.4). The server namespace is that of
// the port for servers among themselves.
func (t *talk) xmpp(to string, port uint16) error {
	namespace := "jabber:client"
	if port == 5269 {
		namespace = "jabber:server"
	}
	header := "<?xml version='1.0'?><stream:stream xmlns='" + namespace +
		"' xmlns:stream='http://etherx.jabber.org/streams' to='" + to + "' version='1.0'>"
	if err := t.begin("stream", header); err != nil {
		return err
	}
	features, err := t.until("</stream:features>", "<stream:features/>", "</stream:stream>")
	switch {
	case err != nil:
		return err
	case !strings.Contains(features, "<stream:stream"):
		return t.failed(dialogueProtocolError)
	case strings.Contains(features, "<stream:error"):
		return t.failed(dialogueRefused)
	case !strings.Contains(features, "urn:ietf:params:xml:ns:xmpp-tls"):
		return t.failed(dialogueNotOffered)
	}
	if err := t.begin("starttls", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
		return err
	}
	answer, err := t.until(">")
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(answer, "<failure"):
		return t.failed(dialogueRefused)
	case !strings.HasPrefix(answer, "<proceed"):
		return t.failed(dialogueProtocolError)
	}
	if !strings.HasSuffix(answer, "/>") {
		_, err = t.until("</proceed>")
	}
	return err
}

// until reads up to and including the first of ends, leading white space left out.
func (t *talk) until(ends ...string) (string, error) {
	var b strings.Builder
	for {
		c, err := t.byte()
		if err != nil {
			return "", err
		}
		if b.Len() == 0 && (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
			continue
		}
		b.WriteByte(c)
		if c != '>' {
			continue
		}
		for _, end := range ends {
			if strings.HasSuffix(b.String(), end) {
				return b.String(), nil
			}
		}
	}
}

func hasWord(lines []string, word string) bool {
	for _, l := range lines {
		if first, _, _ := strings.Cut(strings.TrimSpace(l), " "); strings.EqualFold(first, word) {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
