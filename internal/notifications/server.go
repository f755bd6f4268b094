package notifications

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// Server is the mail server of a workspace. Its password is not part of it: it goes in
// and never comes out.
type Server struct {
	ID          uuid.UUID
	Host        string
	Port        int
	Username    string
	HasPassword bool
	From        string
	TLS         string
	Version     int64
}

func (r serverRow) server() Server {
	return Server{
		ID: r.ID, Host: r.Host, Port: r.Port, Username: r.Username, HasPassword: len(r.SealedPassword) > 0,
		From: r.Sender, TLS: r.TLS, Version: r.Version,
	}
}

// recorded is what the audit log compares.
type recorded struct {
	Host     string `audit:"host"`
	Port     int    `audit:"port"`
	Username string `audit:"username"`
	From     string `audit:"from"`
	TLS      string `audit:"tls"`
	Password []byte `audit:"password,secret"`
}

func (r serverRow) recorded() recorded {
	return recorded{Host: r.Host, Port: r.Port, Username: r.Username, From: r.Sender, TLS: r.TLS, Password: r.SealedPassword}
}

// NewServer is what an admin enters. An empty password keeps the one that is stored.
type NewServer struct {
	Host     string
	Port     int
	Username string
	Password string
	From     string
	TLS      string
	Version  int64
}

// MailPage is what the settings page shows.
type MailPage struct {
	// Server is that of the workspace; nil when it uses the installation's.
	Server *Server
	// Installation is the sender of the installation's server, empty without one.
	Installation string
	Problems     []Problem
}

// MailSettings reads the mail server of the workspace and what went wrong lately.
func (s *Service) MailSettings(ctx context.Context, a db.Actor) (MailPage, error) {
	if err := s.policy.Check(a, ManageMail); err != nil {
		return MailPage{}, err
	}
	var server *db.Result[serverRow]
	var problems *db.Result[Problem]
	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		server = loadServer.Queue(b, nil)
		problems = lastProblems.Queue(b, nil)
	})
	if err != nil {
		return MailPage{}, err
	}
	p := MailPage{Problems: problems.Rows}
	if row, ok := server.First(); ok {
		v := row.server()
		p.Server = &v
	}
	if s.smtp != nil {
		p.Installation = s.smtp.From
	}
	return p, nil
}

const passwordPurpose = "notifications.smtp_password"

// check refuses what cannot be a mail server, and a stored password for another server
// than it was entered for: whoever may change the host must not be able to send it there.
func (in NewServer) check(old *serverRow) error {
	var c form.Check
	c.Longest("host", in.Host, "The server", 253)
	c.Longest("username", in.Username, "The user name", 200)
	c.Longest("password", in.Password, "The password", 500)
	c.Longest("from", in.From, "The sender", 300)
	if in.Password != "" && in.Username == "" {
		c.Add("username", "required", "A password needs a user name.")
	}
	if _, err := mail.NewSender(mail.Settings{
		Host: in.Host, Port: in.Port, Username: in.Username, Password: in.Password, From: in.From, TLS: mail.TLS(in.TLS),
	}, nil, nil); err != nil {
		if err := c.Merge(err); err != nil {
			return err
		}
	}
	if in.Username != "" && in.Password == "" && old != nil && len(old.SealedPassword) > 0 &&
		(in.Host != old.Host || in.Port != old.Port || in.Username != old.Username || in.TLS != old.TLS) {
		c.Add("password", "required", "Enter the password again. It is kept only for the server and the user name it was entered for.")
	}
	return c.Err()
}

// SaveServer sets the mail server of the workspace.
func (s *Service) SaveServer(ctx context.Context, a db.Actor, in NewServer) error {
	if err := s.policy.Check(a, ManageMail); err != nil {
		return err
	}
	in.Host, in.From = strings.ToLower(strings.TrimSpace(in.Host)), strings.TrimSpace(in.From)
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		row, exists, err := lockServer.Maybe(ctx, tx, nil)
		if err != nil {
			return err
		}
		var old *serverRow
		if exists {
			old = &row
		}
		if err := in.check(old); err != nil {
			return err
		}
		if in.Version != row.Version {
			return errServerMoved
		}
		next := serverRow{
			ID: row.ID, Host: in.Host, Port: in.Port, Username: in.Username, SealedPassword: row.SealedPassword,
			Sender: in.From, TLS: in.TLS, Version: row.Version + 1,
		}
		if in.Username == "" {
			next.SealedPassword = nil
		}
		if in.Password != "" {
			if next.SealedPassword, err = s.sealer.Seal(a.WorkspaceID, passwordPurpose, []byte(in.Password)); err != nil {
				return fmt.Errorf("seal password of mail server: %w", err)
			}
		}
		return s.writeServer(ctx, tx, old, next)
	})
}

var errServerMoved = fault.NewConflict("version_conflict", "Somebody changed the mail settings meanwhile. Look at them again, then save.")

func (s *Service) writeServer(ctx context.Context, tx *db.Tx, old *serverRow, next serverRow) error {
	e := ledger.Entry{Action: eventMailSettings, Payload: MailSettingsPayload{
		Host: next.Host, Port: next.Port, TLS: next.TLS, From: next.Sender,
	}}
	write := saveServer
	if old == nil {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make id of mail settings: %w", err)
		}
		next.ID, write = id, addServer
	} else {
		e.Before = old.recorded()
	}
	_, err := write.Run(ctx, tx, db.Args{
		"id": next.ID, "host": next.Host, "port": next.Port, "username": next.Username, "sealed_password": next.SealedPassword,
		"sender": next.Sender, "tls": next.TLS,
	})
	if db.Violated(err, "mail_settings_workspace_id_key") {
		return errServerMoved
	}
	if err != nil {
		return err
	}
	e.After, e.Subject = next.recorded(), event.Subject{Type: "mail_settings", ID: next.ID, Title: next.Host}
	_, err = s.ledger.Record(ctx, tx, e)
	return err
}

// DropServer goes back to the mail server of the installation and forgets the password.
func (s *Service) DropServer(ctx context.Context, a db.Actor) error {
	if err := s.policy.Check(a, ManageMail); err != nil {
		return err
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		row, ok, err := lockServer.Maybe(ctx, tx, nil)
		if err != nil || !ok {
			return err
		}
		if _, err := dropServer.Run(ctx, tx, db.Args{"id": row.ID}); err != nil {
			return err
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{
			Action: eventMailSettings, Subject: event.Subject{Type: "mail_settings", ID: row.ID, Title: row.Host},
			Before: row.recorded(), Payload: MailSettingsPayload{},
		})
		return err
	})
}

// ErrNoServer is returned when mail is asked for and neither the workspace nor the
// installation has a mail server.
var ErrNoServer = fault.NewConflict(ErrNoServerCode, "No mail server is set up, so no mail can be sent. An admin can name one under Settings, E-mail.")

func (s *Service) hasServer(ctx context.Context, tx *db.Tx) (bool, error) {
	if s.smtp != nil {
		return true, nil
	}
	return hasServer.One(ctx, tx, nil)
}

// sender returns who sends mail of the workspace: its own server, or the installation's.
func (s *Service) sender(ctx context.Context, tx *db.Tx) (*mail.Sender, error) {
	row, ok, err := loadServer.Maybe(ctx, tx, nil)
	if err != nil {
		return nil, err
	}
	if !ok {
		if s.smtp == nil {
			return nil, ErrNoServer
		}
		settings := *s.smtp
		if settings.RootCAs == nil {
			settings.RootCAs = s.roots
		}
		return mail.NewSender(settings, s.installationDial, s.clock)
	}
	settings := mail.Settings{
		Host: row.Host, Port: row.Port, Username: row.Username, From: row.Sender, TLS: mail.TLS(row.TLS), RootCAs: s.roots,
	}
	if len(row.SealedPassword) > 0 {
		plain, err := s.sealer.Open(tx.Actor.WorkspaceID, passwordPurpose, row.SealedPassword)
		if err != nil {
			return nil, fmt.Errorf("open password of mail server: %w", err)
		}
		settings.Password = string(plain)
	}
	return mail.NewSender(settings, s.dial, s.clock)
}

// testTimeout bounds a test mail: somebody waits for the page.
const testTimeout = 20 * time.Second

// SendTest sends a mail to the actor at once. An empty answer means that the server took
// it; otherwise it is the class of what went wrong, never words of the server.
func (s *Service) SendTest(ctx context.Context, a db.Actor) (problem string, err error) {
	if err := s.policy.Check(a, ManageMail); err != nil {
		return "", err
	}
	if a.Email == "" {
		return "", fault.NewInvalid("no_address", "A test mail goes to your own address, and a service token has none.")
	}
	var from *mail.Sender
	var m mail.Message
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if from, err = s.sender(ctx, tx); err != nil {
			return err
		}
		at, err := loadPlace.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		m, err = s.testMessage(ctx, at, a)
		return err
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	return problemOf(from.Send(ctx, m)), nil
}

// The classes of a mail that was not sent.
const (
	problemRejected   = "rejected"
	problemInvalid    = "invalid"
	problemAuth       = "auth"
	problemDeferred   = "deferred"
	problemNoServer   = "no_server"
	problemConnection = "connection:" // and an outbound.Class
)

// problemOf returns the class of an error of Send, and "" for nil.
func problemOf(err error) string {
	if err == nil {
		return ""
	}
	code := ""
	if f := fault.Find(err); f != nil {
		code = f.Code
	}
	switch code {
	case mail.CodeRejected:
		return problemRejected
	case mail.CodeInvalid:
		return problemInvalid
	case mail.CodeAuthFailed:
		return problemAuth
	case ErrNoServerCode:
		return problemNoServer
	}
	cause := err
	if f := fault.Find(err); f != nil && f.Cause != nil {
		cause = f.Cause
	}
	if class := outbound.Classify(cause); class != outbound.ClassOther && class != "" {
		return problemConnection + string(class)
	}
	return problemDeferred
}

// ErrNoServerCode is the code of ErrNoServer.
const ErrNoServerCode = "mail_not_configured"

// ProblemText says in a sentence what a class means and what to do.
func ProblemText(problem string) string {
	if class, ok := strings.CutPrefix(problem, problemConnection); ok {
		return outbound.Class(class).Sentence()
	}
	switch problem {
	case problemRejected:
		return "The server refused the mail for good. Check the address of the recipient and whether the server lets this sender send."
	case problemInvalid:
		return "The mail could not be written: an address or a header is not valid."
	case problemAuth:
		return "The server refused the user name or the password."
	case problemNoServer:
		return "There was no mail server any more when the mail was due."
	default:
		return "The server did not take the mail for now, or does not offer the encryption that is asked for."
	}
}
