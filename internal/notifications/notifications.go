// Package notifications tells members what happened: in the inbox behind the bell, and by
// mail. Members choose what reaches them, how, and when not. Other modules hand it notices
// and mail in their own transaction; events reach whoever subscribed to them.
package notifications

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// The permissions of this module. Everybody has an inbox and preferences of their own.
const (
	ReadNotifications access.Permission = "notification.read"
	ManageMail        access.Permission = "mail.manage"
)

// Sealer seals what the database must not show; kernel/secret implements it.
type Sealer interface {
	Seal(workspace uuid.UUID, purpose string, plain []byte) ([]byte, error)
	Open(workspace uuid.UUID, purpose string, sealed []byte) ([]byte, error)
}

// Deps are what the module works with.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Jobs   *job.Engine
	Policy *access.Policy
	Index  *search.Index
	Sealer Sealer
	Clock  clock.Clock
	Log    *slog.Logger
	// BaseURL makes an absolute address of a path.
	BaseURL func(path string) string
	// SMTP is the mail server of the installation; nil when there is none.
	SMTP *mail.Settings
	// Dial reaches mail servers that workspaces name, so it guards private networks.
	Dial mail.Dialer
	// InstallationDial reaches the mail server of the installation, which the operator
	// may run on the same machine.
	InstallationDial mail.Dialer
	// Roots are trusted beside the machine's; nil for none.
	Roots *x509.CertPool
	// TestLimit bounds test mails by person; nil means no limit.
	TestLimit web.Limiter
}

// Service holds the use cases.
type Service struct {
	db     *db.DB
	ledger *ledger.Ledger
	jobs   *job.Engine
	policy *access.Policy
	index  *search.Index
	sealer Sealer
	clock  clock.Clock
	log    *slog.Logger

	baseURL          func(string) string
	smtp             *mail.Settings
	dial             mail.Dialer
	installationDial mail.Dialer
	roots            *x509.CertPool
	testLimit        web.Limiter
}

// New returns the service.
func New(d Deps) *Service {
	return &Service{
		db: d.DB, ledger: d.Ledger, jobs: d.Jobs, policy: d.Policy, index: d.Index, sealer: d.Sealer, clock: d.Clock,
		log: d.Log, baseURL: d.BaseURL, smtp: d.SMTP, dial: d.Dial, installationDial: d.InstallationDial,
		roots: d.Roots, testLimit: d.TestLimit,
	}
}

// ErrUnknownEvent is returned for a notice about an event that nobody declared: a bug of
// ours that tests find.
var ErrUnknownEvent = errors.New("notifications: event is not in the catalogue")

// Notify tells the recipients in the caller's transaction: nothing is told if it rolls
// back. Each recipient's preferences and muted things are honoured; without a choice of
// their own they see the notice in the inbox, and are mailed when the notice says so.
func (s *Service) Notify(ctx context.Context, tx *db.Tx, n Notice) error {
	t, ok := s.ledger.Catalogue().Type(n.EventName)
	if !ok {
		return fmt.Errorf("%w: %s", ErrUnknownEvent, n.EventName)
	}
	if n.Severity == "" {
		n.Severity = t.Severity
	}
	if len(n.Recipients) == 0 {
		return nil
	}
	args := recipientArgs(n, event.Channels{InApp: true, Mail: n.Mail})
	args["users"] = n.Recipients
	people, err := namedRecipients.All(ctx, tx, args)
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, n, people)
}

// handleEvent tells members who subscribed to an event, but never the one who caused it.
// It may run twice for one event: the second time adds nothing.
func (s *Service) handleEvent(ctx context.Context, ev event.Event) error {
	t, ok := s.ledger.Catalogue().Type(ev.Name)
	if !ok {
		return fmt.Errorf("%w: %s", ErrUnknownEvent, ev.Name)
	}
	n := noticeOf(t, ev)
	return s.db.InWorkspace(ctx, db.System(ev.WorkspaceID, "notification"), func(tx *db.Tx) error {
		statement := allRecipients
		if t.Notify == (event.Channels{}) {
			statement = choosingRecipients
		}
		people, err := statement.All(ctx, tx, recipientArgs(n, t.Notify))
		if err != nil {
			return err
		}
		least := audience(t).Rank()
		people = slices.DeleteFunc(people, func(r recipient) bool {
			return ev.Actor.ID != uuid.Nil && r.UserID == ev.Actor.ID || access.Role(r.Role).Rank() < least
		})
		if len(people) == 0 {
			return nil
		}
		key := search.Key{Type: ev.Subject.Type, ID: ev.Subject.ID}
		refs, err := s.index.Resolve(ctx, tx, []search.Key{key})
		if err != nil {
			return fmt.Errorf("name subject of %s: %w", ev.Name, err)
		}
		n.Path = refs[key].Path
		return s.tell(ctx, tx, n, people)
	})
}

func recipientArgs(n Notice, defaults event.Channels) db.Args {
	return db.Args{
		"event": n.EventName, "in_app": defaults.InApp, "mail": defaults.Mail, "subject_type": n.SubjectType,
		"subject_id": uuid.NullUUID{UUID: n.SubjectID, Valid: n.SubjectID != uuid.Nil},
	}
}

// tell adds the rows, wakes open pages and queues mail, in a fixed number of statements.
func (s *Service) tell(ctx context.Context, tx *db.Tx, n Notice, people []recipient) error {
	canMail, err := s.hasServer(ctx, tx)
	if err != nil {
		return err
	}
	var (
		ids, users []uuid.UUID
		inApp      []bool
		due        []*time.Time
		atOnce     = map[uuid.UUID]string{} // address by user
	)
	for _, r := range people {
		p := r.preferences()
		mailed := r.Mail && p.MailEnabled && canMail
		if !p.Wants(n.Severity) || !r.InApp && !mailed {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make notification id: %w", err)
		}
		var later *time.Time
		if mailed {
			if at, held := p.MailAt(tx.Now, zone(r.Zone), n.Severity); held {
				later = &at
			} else {
				atOnce[r.UserID] = r.Email
			}
		}
		ids, users, inApp, due = append(ids, id), append(users, r.UserID), append(inApp, r.InApp), append(due, later)
	}
	if len(ids) == 0 {
		return nil
	}
	n = tidy(n)
	rows, err := addNotifications.All(ctx, tx, db.Args{
		"ids": ids, "users": users, "in_app": inApp, "due": due, "dedupe_key": n.DedupeKey, "event_name": n.EventName,
		"severity": n.Severity, "title": n.Title, "body": n.Body, "path": n.Path, "icon": n.Icon,
		"subject_type": n.SubjectType, "subject_title": n.SubjectTitle,
		"subject_id": uuid.NullUUID{UUID: n.SubjectID, Valid: n.SubjectID != uuid.Nil},
	})
	if err != nil {
		return err
	}
	var bells []event.LiveMessage
	var mails []added
	for _, r := range rows {
		if r.InApp {
			bells = append(bells, event.LiveMessage{Name: n.EventName, SubjectType: bellTopic, UserID: r.UserID})
		}
		if atOnce[r.UserID] != "" {
			mails = append(mails, r)
		}
	}
	if err := event.Tell(ctx, tx, bells...); err != nil {
		return err
	}
	return s.queueNotificationMails(ctx, tx, n.Title, mails, atOnce)
}

// bellTopic is what open pages listen to for their bell.
const bellTopic = "bell"

// tidy makes the texts of a notice fit their places, whoever wrote them.
func tidy(n Notice) Notice {
	n.Title, n.Body = clip(oneLine(n.Title), maxTitle), clip(strings.TrimSpace(n.Body), maxBody)
	if n.SubjectTitle == "" {
		n.SubjectTitle = n.Title
	}
	n.SubjectTitle = clip(oneLine(n.SubjectTitle), maxTitle)
	if n.Icon == "" {
		n.Icon = severityIcon(n.Severity)
	}
	if !web.Local(n.Path) {
		n.Path = ""
	}
	return n
}

// queueNotificationMails queues one mail for each notification.
func (s *Service) queueNotificationMails(ctx context.Context, tx *db.Tx, subject string, rows []added, address map[uuid.UUID]string) error {
	if len(rows) == 0 {
		return nil
	}
	var ids, users, notifications []uuid.UUID
	var recipients []string
	var jobs []river.JobArgs
	for _, r := range rows {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make mail id: %w", err)
		}
		ids, users, notifications = append(ids, id), append(users, r.UserID), append(notifications, r.ID)
		recipients = append(recipients, address[r.UserID])
		jobs = append(jobs, sendArgs{InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, MailID: id})
	}
	_, err := addNotificationMails.Run(ctx, tx, db.Args{
		"ids": ids, "users": users, "notifications": notifications, "recipients": recipients, "subject": subject,
	})
	if err != nil {
		return err
	}
	return s.jobs.Insert(ctx, tx, jobs...)
}

// zone loads a time zone; a name that this machine does not know counts as UTC.
func zone(name string) *time.Location {
	if loc, err := time.LoadLocation(name); err == nil {
		return loc
	}
	return time.UTC
}

// self returns the person whose inbox an actor may see: themselves.
func self(a db.Actor) (uuid.UUID, error) {
	if a.UserID == uuid.Nil {
		return uuid.Nil, fault.NewDenied("forbidden", "A service token belongs to no person, so it has no notifications. Use a personal token.")
	}
	return a.UserID, nil
}
