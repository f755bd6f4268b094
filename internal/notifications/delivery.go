package notifications

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/mail"
)

// attempts is how often a mail is tried; retryAfter lists the waits between them, about
// two days in all.
const attempts = 9

func retryAfter(attempt int) time.Duration {
	waits := [...]time.Duration{
		time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	}
	return waits[min(max(attempt, 1), len(waits))-1]
}

// deliver sends one mail. A failure that may pass is returned, so that the job comes back;
// one that will not is written down and ends the mail. A mail that was sent is not sent
// again, and one whose outcome was lost keeps its Message-ID.
func (s *Service) deliver(ctx context.Context, workspace, id uuid.UUID, attempt int) error {
	actor := db.System(workspace, "mail delivery")
	var from *mail.Sender
	var message mail.Message
	done := false
	err := s.db.InWorkspace(ctx, actor, func(tx *db.Tx) error {
		row, err := loadMail.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if done = row.State != "waiting"; done {
			return nil
		}
		var ok bool
		if message, ok, err = s.compose(ctx, tx, row); err != nil {
			return fmt.Errorf("compose mail %s: %w", id, err)
		}
		if !ok {
			done = true
			return end(ctx, tx, id, "dropped", "", attempt)
		}
		from, err = s.sender(ctx, tx)
		return err
	})
	if err == nil {
		if done {
			return nil
		}
		err = from.Send(ctx, message)
	} else if !errors.Is(err, ErrNoServer) {
		return err
	}
	return s.settle(ctx, actor, id, attempt, err)
}

// settle writes down how an attempt ended. It returns the failure if there will be another.
func (s *Service) settle(ctx context.Context, actor db.Actor, id uuid.UUID, attempt int, sendErr error) error {
	problem := problemOf(sendErr)
	final := sendErr != nil && (!fault.Is(sendErr, fault.Unavailable) || attempt >= attempts)
	// The attempt was made: its outcome is kept even when the process is told to stop.
	ctx = context.WithoutCancel(ctx)
	err := s.db.InWorkspace(ctx, actor, func(tx *db.Tx) error {
		switch {
		case sendErr == nil:
			return end(ctx, tx, id, "sent", "", attempt)
		case final:
			return end(ctx, tx, id, "failed", problem, attempt)
		default:
			_, err := noteProblem.Run(ctx, tx, db.Args{"id": id, "problem": problem, "attempts": attempt})
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("keep outcome of mail %s: %w", id, errors.Join(err, sendErr))
	}
	if final {
		return nil
	}
	return sendErr
}

func end(ctx context.Context, tx *db.Tx, id uuid.UUID, state, problem string, attempt int) error {
	_, err := endMail.Run(ctx, tx, db.Args{"id": id, "state": state, "problem": problem, "attempts": attempt})
	return err
}

// compose writes the message of a mail; false means that nobody wants it any more.
func (s *Service) compose(ctx context.Context, tx *db.Tx, row mailRow) (mail.Message, bool, error) {
	m := mail.Message{To: row.Recipient, Subject: row.Subject, MessageID: s.messageID(row.ID)}
	if row.Kind == kindDirect {
		raw, err := s.sealer.Open(tx.Actor.WorkspaceID, bodyPurpose, row.SealedBody)
		if err != nil {
			return m, false, fmt.Errorf("open mail: %w", err)
		}
		var b body
		if err := json.Unmarshal(raw, &b); err != nil {
			return m, false, fmt.Errorf("decode mail: %w", err)
		}
		m.Text, m.HTML = b.Text, b.HTML
		return m, true, nil
	}
	user := row.UserID.UUID
	r, ok, err := loadReader.Maybe(ctx, tx, db.Args{"user": user})
	if err != nil || !ok || !r.MailEnabled {
		return m, false, err
	}
	items, err := loadItems.All(ctx, tx, db.Args{"user": user, "ids": row.NotificationIDs})
	if err != nil || len(items) == 0 {
		return m, false, err
	}
	at, err := loadPlace.One(ctx, tx, nil)
	if err != nil {
		return m, false, err
	}
	eventName := everyEvent
	if row.Kind == kindNotification {
		eventName = items[0].EventName
	}
	leave, err := s.unsubscribeLink(tx.Actor.WorkspaceID, user, eventName)
	if err != nil {
		return m, false, err
	}
	m.Headers = map[string]string{"List-Unsubscribe": "<" + leave + ">"}
	if u, err := url.Parse(leave); err == nil && u.Scheme == "https" {
		m.Headers = mail.OneClickUnsubscribe(leave)
	}
	b, err := s.notificationBody(ctx, at, items, zone(r.Zone), leave)
	m.Text, m.HTML = b.Text, b.HTML
	return m, true, err
}

// messageID names the mail the same way at every attempt.
func (s *Service) messageID(id uuid.UUID) string {
	host := "vigilo.invalid"
	if u, err := url.Parse(s.baseURL("/")); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	return id.String() + "@" + host
}
