package tlsscan

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// exchange is one step of a scripted server: it waits for the whole of expect, then sends
// answer. An expect that ends with * matches up to the end of a line.
type exchange struct{ expect, answer string }

// play runs script and reports whether the client said what was expected.
func play(t *testing.T, c net.Conn, script []exchange) bool {
	for _, e := range script {
		if prefix, ok := strings.CutSuffix(e.expect, "*"); ok {
			line, err := readLine(c)
			if err != nil || !strings.HasPrefix(line, prefix) {
				t.Errorf("client said %q, want %q", line, e.expect)
				return false
			}
		} else {
			got := make([]byte, len(e.expect))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != e.expect {
				t.Errorf("client said %q, want %q", got, e.expect)
				return false
			}
		}
		if _, err := io.WriteString(c, e.answer); err != nil {
			return false
		}
	}
	return true
}

// readLine reads byte by byte, so as not to swallow the ClientHello.
func readLine(c net.Conn) (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for {
		if _, err := c.Read(one); err != nil {
			return b.String(), err
		}
		b.WriteByte(one[0])
		if one[0] == '\n' {
			return b.String(), nil
		}
	}
}

func mysqlGreeting(capabilities uint16) string {
	body := "\x0a8.4.0-test\x00" + "\x01\x00\x00\x00" + "abcdefgh" + "\x00" + string([]byte{byte(capabilities), byte(capabilities >> 8)}) + "\x2d\x02\x00"
	return string([]byte{byte(len(body)), 0, 0, 0}) + body
}

const (
	mysqlRequest = "\x20\x00\x00\x01" + "\x00\x8a\x00\x00" + "\x00\x00\x00\x01" + "\x2d"
	ldapRequest  = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	ldapOK       = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"
	ldapLongOK   = "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"
	rdpRequest   = "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00"
	xmppHeader   = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' " +
		"to='www.example.com' version='1.0'>"
	xmppOpen    = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' id='1' version='1.0'>"
	xmppTLS     = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	xmppOffer   = xmppOpen + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
	sieveOffer  = "\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n"
	postgresAsk = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
)

func TestSTARTTLSDialogues(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	ehlo := exchange{"EHLO vigilo.invalid\r\n", "250-mail\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"}
	banner := exchange{"", "220-mail\r\n220 ready\r\n"}
	tests := []struct {
		kind, name string
		script     []exchange
		class      string // "" means that the handshake follows
	}{
		{"smtp", "offered", []exchange{banner, ehlo, {"STARTTLS\r\n", "220 go\r\n"}}, ""},
		{"smtp", "lower case keyword", []exchange{banner, {"EHLO*", "250 starttls\r\n"}, {"STARTTLS\r\n", "220 go\r\n"}}, ""},
		{"smtp", "not offered", []exchange{banner, {"EHLO*", "250-mail\r\n250 SIZE\r\n"}}, "not_offered"},
		{"smtp", "refused later", []exchange{banner, ehlo, {"STARTTLS\r\n", "454 not now\r\n"}}, "refused"},
		{"smtp", "unknown command", []exchange{banner, ehlo, {"STARTTLS\r\n", "502 what\r\n"}}, "not_offered"},
		{"smtp", "turned away", []exchange{{"", "554 go away\r\n"}}, "refused"},
		{"smtp", "another protocol", []exchange{{"", "SSH-2.0-x\r\n"}}, "protocol_error"},
		{"smtp", "odd separator", []exchange{{"", "220/mail\r\n"}}, "protocol_error"},
		{"smtp", "endless banner", []exchange{{"", strings.Repeat("220-more\r\n", 2000)}}, "protocol_error"},
		{"smtp", "silent", []exchange{banner, {"EHLO*", "250-mail\r\n"}}, "timeout"},
		{"lmtp", "offered", []exchange{banner, {"LHLO vigilo.invalid\r\n", "250 STARTTLS\r\n"}, {"STARTTLS\r\n", "220 go\r\n"}}, ""},
		{"imap", "offered", []exchange{{"", "* OK ready\r\n"}, {"v1 STARTTLS\r\n", "* CAPABILITY x\r\nv1 OK go\r\n"}}, ""},
		{"imap", "unknown", []exchange{{"", "* OK ready\r\n"}, {"v1 STARTTLS\r\n", "v1 BAD what\r\n"}}, "not_offered"},
		{"imap", "refused", []exchange{{"", "* OK ready\r\n"}, {"v1 STARTTLS\r\n", "v1 NO never\r\n"}}, "refused"},
		{"imap", "already signed in", []exchange{{"", "* PREAUTH hi\r\n"}}, "not_offered"},
		{"imap", "turned away", []exchange{{"", "* BYE\r\n"}}, "refused"},
		{"imap", "another protocol", []exchange{{"", "+OK\r\n"}}, "protocol_error"},
		{"imap", "silent", nil, "timeout"},
		{"pop3", "offered", []exchange{{"", "+OK ready\r\n"}, {"STLS\r\n", "+OK go\r\n"}}, ""},
		{"pop3", "refused", []exchange{{"", "+OK ready\r\n"}, {"STLS\r\n", "-ERR no\r\n"}}, "refused"},
		{"pop3", "another protocol", []exchange{{"", "220 hi\r\n"}}, "protocol_error"},
		{"ftp", "offered", []exchange{banner, {"AUTH TLS\r\n", "234 go\r\n"}}, ""},
		{"ftp", "unknown", []exchange{banner, {"AUTH TLS\r\n", "504 what\r\n"}}, "not_offered"},
		{"ftp", "refused", []exchange{banner, {"AUTH TLS\r\n", "431 no\r\n"}}, "refused"},
		{"ldap", "offered", []exchange{{ldapRequest, ldapOK}}, ""},
		{"ldap", "long lengths", []exchange{{ldapRequest, ldapLongOK}}, ""},
		{"ldap", "unknown operation", []exchange{{ldapRequest, strings.Replace(ldapOK, "\x0a\x01\x00", "\x0a\x01\x02", 1)}}, "not_offered"},
		{"ldap", "busy", []exchange{{ldapRequest, strings.Replace(ldapOK, "\x0a\x01\x00", "\x0a\x01\x33", 1)}}, "refused"},
		{"ldap", "another protocol", []exchange{{"", "HTTP/1.1 400 Bad\r\n"}, {ldapRequest, ""}}, "protocol_error"},
		{"ldap", "huge length", []exchange{{ldapRequest, "\x30\x84\x7f\xff\xff\xff"}}, "protocol_error"},
		{"ldap", "silent", []exchange{{ldapRequest, "\x30"}}, "timeout"},
		{"postgres", "offered", []exchange{{postgresAsk, "S"}}, ""},
		{"postgres", "not offered", []exchange{{postgresAsk, "N"}}, "not_offered"},
		{"postgres", "error", []exchange{{postgresAsk, "E"}}, "protocol_error"},
		{"postgres", "silent", []exchange{{postgresAsk, ""}}, "timeout"},
		{"mysql", "offered", []exchange{{"", mysqlGreeting(0xffff)}, {mysqlRequest + strings.Repeat("\x00", 23), ""}}, ""},
		{"mysql", "not offered", []exchange{{"", mysqlGreeting(0xf7ff)}}, "not_offered"},
		{"mysql", "host not allowed", []exchange{{"", "\x05\x00\x00\x00\xff\x6a\x04no"}}, "refused"},
		{"mysql", "another protocol", []exchange{{"", "220 hello there\r\n"}}, "protocol_error"},
		{"mysql", "silent", nil, "timeout"},
		{"xmpp", "offered", []exchange{{xmppHeader, xmppOffer}, {xmppTLS, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}, ""},
		{"xmpp", "open element", []exchange{{xmppHeader, xmppOffer}, {xmppTLS, "<proceed xmlns='x'></proceed>"}}, ""},
		{"xmpp", "not offered", []exchange{{xmppHeader, xmppOpen + "<stream:features/>"}}, "not_offered"},
		{"xmpp", "refused", []exchange{{xmppHeader, xmppOffer}, {xmppTLS, "<failure xmlns='x'/>"}}, "refused"},
		{"xmpp", "unknown host", []exchange{{xmppHeader, xmppOpen + "<stream:error><host-unknown/></stream:error></stream:stream>"}}, "refused"},
		{"xmpp", "another protocol", []exchange{{xmppHeader, strings.Repeat("x", 9000)}}, "protocol_error"},
		{"sieve", "offered", []exchange{{"", sieveOffer}, {"STARTTLS\r\n", "OK \"go\"\r\n"}}, ""},
		{"sieve", "not offered", []exchange{{"", "\"SASL\" \"PLAIN\"\r\nOK\r\n"}}, "not_offered"},
		{"sieve", "refused", []exchange{{"", sieveOffer}, {"STARTTLS\r\n", "NO\r\n"}}, "refused"},
		{"sieve", "another protocol", []exchange{{"", "220 hi\r\n"}}, "protocol_error"},
		{"nntp", "offered", []exchange{{"", "201 ready\r\n"}, {"STARTTLS\r\n", "382 go\r\n"}}, ""},
		{"nntp", "unknown", []exchange{{"", "200 ready\r\n"}, {"STARTTLS\r\n", "502 what\r\n"}}, "not_offered"},
		{"nntp", "refused", []exchange{{"", "200 ready\r\n"}, {"STARTTLS\r\n", "580 no\r\n"}}, "refused"},
		{"nntp", "turned away", []exchange{{"", "400 closed\r\n"}}, "refused"},
		{"rdp", "offered", []exchange{{rdpRequest, "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x1f\x08\x00\x01\x00\x00\x00"}}, ""},
		{"rdp", "old", []exchange{{rdpRequest, "\x03\x00\x00\x0b\x06\xd0\x00\x00\x12\x34\x00"}}, "not_offered"},
		{"rdp", "refused", []exchange{{rdpRequest, "\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x03\x00\x08\x00\x02\x00\x00\x00"}}, "refused"},
		{"rdp", "another protocol", []exchange{{rdpRequest, "220 hello\r\n"}}, "protocol_error"},
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		tested[tt.kind] = true
		t.Run(tt.kind+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			target := serve(t, func(c net.Conn) {
				if !play(t, c, tt.script) {
					return
				}
				if tt.class != "" {
					hang(c)
					return
				}
				cfg := config(a.leaf.TLS(a.inter))
				if tt.kind == "postgres" {
					cfg.NextProtos = []string{"postgresql"}
				}
				shake(c, cfg)
			})
			target.STARTTLS = tt.kind
			s := impatient(a)
			if tt.class != "timeout" {
				s.Timeouts = Timeouts{} // on a busy machine a short step would be a false timeout
			}
			r := scan(t, s, target)
			switch tt.class {
			case "":
				wantState(t, r, StateReachable, "")
				wantCodes(t, r)
				if r.Status != x509lint.StatusValid || r.STARTTLS != tt.kind {
					t.Errorf("status %q", r.Status)
				}
			case "not_offered":
				wantState(t, r, StateNoTLS, "starttls_not_offered")
			default:
				wantState(t, r, StateHandshakeFailed, "starttls_"+tt.class)
			}
		})
	}
	for _, kind := range STARTTLSKinds() {
		if !tested[kind] {
			t.Errorf("%s has no test", kind)
		}
	}
}

func TestPlaintextAfterTheGoAheadIsAFinding(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	target := serve(t, func(c net.Conn) {
		if play(t, c, []exchange{{"", "+OK ready\r\n"}, {"STLS\r\n", "+OK go\r\n+OK injected\r\n"}}) {
			shake(c, config(a.leaf.TLS(a.inter)))
		}
	})
	target.STARTTLS = "pop3"
	r := scan(t, newScanner(a), target)
	wantState(t, r, StateReachable, "")
	wantCodes(t, r, x509lint.CodePlaintextAfter)
}

func TestXMPPServersUseTheirOwnNamespace(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	said := make(chan string, 1)
	go func() {
		defer server.Close()
		b := make([]byte, 4096)
		n, _ := server.Read(b)
		said <- string(b[:n])
	}()
	talk := &talk{ctx: t.Context(), conn: client, step: 1 << 40, r: bufio.NewReader(client)}
	_ = talk.xmpp("www.example.com", 5269)
	if got := <-said; !strings.Contains(got, "xmlns='jabber:server'") {
		t.Errorf("said %q", got)
	}
}

func TestBERLengths(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in      string
		content string
		ok      bool
	}{
		{"\x04\x02ab", "ab", true},
		{"\x04\x81\x02ab", "ab", true},
		{"\x04\x84\x00\x00\x00\x02abc", "ab", true},
		{"\x04\x03ab", "", false},
		{"\x04\x80ab", "", false},
		{"\x04\x85\x00\x00\x00\x00\x02ab", "", false},
		{"\x04\x84\xff\xff\xff\xffab", "", false},
		{"\x04\x82\x00", "", false},
		{"\x04", "", false},
	} {
		_, content, _, ok := berElement([]byte(tt.in))
		if ok != tt.ok || !slices.Equal(content, []byte(tt.content)) && !bytes.Equal(content, []byte(tt.content)) {
			t.Errorf("%q: %q, %v", tt.in, content, ok)
		}
	}
}
