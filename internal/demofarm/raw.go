package demofarm

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// sessionLimit bounds one connection to a server that is not HTTP.
const sessionLimit = time.Minute

// serveHang accepts and says nothing.
func (f *Farm) serveHang(ctx context.Context, l net.Listener) {
	f.accept(ctx, l, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// serveSMTP speaks as much of RFC 5321 and RFC 3207 as leads to TLS and out again.
func (f *Farm) serveSMTP(ctx context.Context, l net.Listener, cfg *tls.Config, name string) {
	f.accept(ctx, l, func(c net.Conn) {
		if !smtpUntilTLS(c, name) {
			return
		}
		secure := tls.Server(c, cfg)
		if secure.HandshakeContext(ctx) != nil {
			return
		}
		lines := bufio.NewScanner(secure)
		for lines.Scan() {
			answer := "502 This server only demonstrates STARTTLS"
			switch verb, _, _ := strings.Cut(strings.ToUpper(lines.Text()), " "); verb {
			case "EHLO", "HELO", "NOOP":
				answer = "250 " + name
			case "QUIT":
				_, _ = io.WriteString(secure, "221 Goodbye\r\n")
				return
			}
			if _, err := io.WriteString(secure, answer+"\r\n"); err != nil {
				return
			}
		}
	})
}

// smtpUntilTLS speaks in clear and reports whether the client asked for TLS.
func smtpUntilTLS(c net.Conn, name string) bool {
	say := func(text string) bool {
		_, err := io.WriteString(c, text)
		return err == nil
	}
	if !say(fmt.Sprintf("220 %s ESMTP\r\n", name)) {
		return false
	}
	// Nothing may be read ahead: what follows STARTTLS belongs to TLS. A client waits for
	// the 220, so the buffer is empty then.
	lines := bufio.NewReaderSize(c, 1024)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return false
		}
		ok := true
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(string(line))), " "); verb {
		case "EHLO":
			ok = say(fmt.Sprintf("250-%s\r\n250 STARTTLS\r\n", name))
		case "HELO", "NOOP":
			ok = say("250 " + name + "\r\n")
		case "STARTTLS":
			return say("220 Ready to start TLS\r\n") && lines.Buffered() == 0
		case "QUIT":
			_ = say("221 Goodbye\r\n")
			return false
		default:
			ok = say("530 Must issue a STARTTLS command first\r\n")
		}
		if !ok {
			return false
		}
	}
}

// accept runs session for each connection until the farm stops.
func (f *Farm) accept(ctx context.Context, l net.Listener, session func(net.Conn)) {
	f.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() {
				defer c.Close()
				ctx, cancel := context.WithTimeout(ctx, sessionLimit)
				defer cancel()
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				defer stop()
				session(c)
			})
		}
	})
}
