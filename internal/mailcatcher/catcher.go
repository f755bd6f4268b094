// Package mailcatcher is a small SMTP server for development and tests. It takes any
// mail on loopback, keeps the newest in memory and, if asked, in a folder, and shows
// them on a page. It delivers nothing.
package mailcatcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

const (
	// maxMessages and maxBytes bound what is kept; the oldest go first.
	maxMessages = 500
	maxBytes    = 64 << 20
	// maxMessageBytes is the largest mail that is taken.
	maxMessageBytes = 10 << 20
	sessionTimeout  = time.Minute
)

// Options of a Catcher. The zero value listens on a free port and keeps no files.
type Options struct {
	// Addr is host:port; the host has to be a loopback address. Empty means a free
	// port of 127.0.0.1.
	Addr string
	// Dir receives each mail as an .eml file; it is created when missing. Files of
	// mails that fall out of memory are removed. Empty means no files.
	Dir    string
	Clock  clock.Clock
	Logger *slog.Logger // nil drops what the server has to say
}

// Catcher is a running server. It is safe for concurrent use.
type Catcher struct {
	opts   Options
	addr   string
	server *smtp.Server
	// listener is closed by us too: the server does not know it before it serves.
	listener net.Listener
	served   chan error

	mu       sync.Mutex
	messages []Message     // the newest last
	arrived  chan struct{} // closed and replaced at each arrival
}

// New starts a server; Close stops it.
func New(opts Options) (*Catcher, error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.Clock == nil {
		opts.Clock = clock.System()
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := checkLoopback(opts.Addr); err != nil {
		return nil, err
	}
	if opts.Dir != "" {
		if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("create mail folder: %w", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	c := &Catcher{
		opts: opts, addr: listener.Addr().String(), listener: listener, served: make(chan error, 1), arrived: make(chan struct{}),
	}
	c.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{catcher: c}, nil }))
	c.server.Domain, c.server.AllowInsecureAuth, c.server.EnableSMTPUTF8 = "localhost", true, true
	c.server.MaxMessageBytes, c.server.MaxRecipients = maxMessageBytes, 100
	c.server.ReadTimeout, c.server.WriteTimeout = sessionTimeout, sessionTimeout
	c.server.ErrorLog = smtpLog{opts.Logger}
	go func() { c.served <- c.server.Serve(listener) }()
	return c, nil
}

// checkLoopback refuses addresses that other machines reach: the server asks nobody
// for a password.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address of the mail catcher: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		return fmt.Errorf("mail catcher listens on loopback only, not on %q", addr)
	}
	return nil
}

// Addr returns host:port of the server.
func (c *Catcher) Addr() string { return c.addr }

// Close stops the server at once. What was caught stays readable.
func (c *Catcher) Close() error {
	err := c.server.Close()
	if closing := c.listener.Close(); !errors.Is(closing, net.ErrClosed) {
		err = errors.Join(err, closing)
	}
	if served := <-c.served; served != nil && !errors.Is(served, smtp.ErrServerClosed) && !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Messages returns what is kept, the newest first.
func (c *Catcher) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := slices.Clone(c.messages)
	slices.Reverse(newest)
	return newest
}

// Message returns the mail with an id.
func (c *Catcher) Message(id string) (Message, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.messages, func(m Message) bool { return m.ID == id })
	if i < 0 {
		return Message{}, false
	}
	return c.messages[i], true
}

// Wait returns the oldest kept message that matches, and waits for one until the
// context ends.
func (c *Catcher) Wait(ctx context.Context, match func(Message) bool) (Message, error) {
	for {
		c.mu.Lock()
		kept, arrived := slices.Clone(c.messages), c.arrived
		c.mu.Unlock()
		if i := slices.IndexFunc(kept, match); i >= 0 {
			return kept[i], nil
		}
		select {
		case <-ctx.Done():
			return Message{}, fmt.Errorf("no such mail among %d: %w", len(kept), ctx.Err())
		case <-arrived:
		}
	}
}

// add keeps a message and drops the oldest beyond the bounds.
func (c *Catcher) add(m Message) error {
	if err := c.write(m); err != nil {
		return err
	}
	c.mu.Lock()
	c.messages = append(c.messages, m)
	size := 0
	for _, kept := range c.messages {
		size += len(kept.Raw)
	}
	var dropped []Message
	for len(c.messages) > maxMessages || size > maxBytes {
		size -= len(c.messages[0].Raw)
		dropped = append(dropped, c.messages[0])
		c.messages = slices.Delete(c.messages, 0, 1)
	}
	close(c.arrived)
	c.arrived = make(chan struct{})
	c.mu.Unlock()
	return c.remove(dropped)
}

func (c *Catcher) write(m Message) error {
	if c.opts.Dir == "" {
		return nil
	}
	if err := os.WriteFile(c.path(m), m.Raw, 0o600); err != nil {
		return fmt.Errorf("keep mail: %w", err)
	}
	return nil
}

func (c *Catcher) remove(dropped []Message) error {
	if c.opts.Dir == "" {
		return nil
	}
	for _, m := range dropped {
		if err := os.Remove(c.path(m)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove old mail: %w", err)
		}
	}
	return nil
}

// path sorts by time of arrival; nothing of the mail is in it.
func (c *Catcher) path(m Message) string {
	return filepath.Join(c.opts.Dir, m.ReceivedAt.Format("20060102T150405.000000Z")+"-"+m.ID+".eml")
}

// session is one SMTP transaction after another on one connection.
type session struct {
	catcher *Catcher
	from    string
	to      []string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth takes any name and password, so that settings with credentials can be tried.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, _, _ string) error { return nil }), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(r); err != nil {
		return err
	}
	m := parse(raw.Bytes())
	m.ID, m.ReceivedAt, m.From, m.To = uuid.NewString(), s.catcher.opts.Clock.Now(), s.from, slices.Clone(s.to)
	return s.catcher.add(m)
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

// smtpLog carries the server's own lines to slog.
type smtpLog struct{ logger *slog.Logger }

func (l smtpLog) Printf(format string, v ...any) {
	l.logger.Warn("mail catcher", "detail", fmt.Sprintf(format, v...))
}

func (l smtpLog) Println(v ...any) { l.logger.Warn("mail catcher", "detail", fmt.Sprint(v...)) }
