package notifications

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// ExternalMail is a notice for addresses that need not belong to members, such as the
// mailing list of a team that an alert rule names.
type ExternalMail struct {
	To []string
	// DedupeKey keeps the same mail from going to the same address twice.
	DedupeKey string
	Severity  event.Severity
	Title     string
	Body      string
	// Path is below the workspace; empty when there is no page.
	Path string
	// Because says why the address gets this mail and who can stop it.
	Because string
}

// body is the text of a direct mail, as it is sealed.
type body struct {
	Text string `json:"text"`
	HTML string `json:"html"`
}

const bodyPurpose = "notifications.mail_body"

// QueueMail queues one mail in the caller's transaction. The text is sealed until it was
// sent, so it may hold a link that opens something. Without a mail server it returns
// ErrNoServer.
func (s *Service) QueueMail(ctx context.Context, tx *db.Tx, to, subject, text, html string) error {
	ok, err := s.hasServer(ctx, tx)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNoServer
	}
	return s.queueDirect(ctx, tx, to, "", subject, body{Text: text, HTML: html})
}

// QueueInvitation is QueueMail for invitations, which also work by their link alone:
// without a mail server nothing is queued, and that is no error.
func (s *Service) QueueInvitation(ctx context.Context, tx *db.Tx, to, subject, text, html string) error {
	err := s.QueueMail(ctx, tx, to, subject, text, html)
	if errors.Is(err, ErrNoServer) {
		return nil
	}
	return err
}

// QueueMailTo queues a notice to addresses outside the inbox, in the caller's
// transaction. It returns false, and queues nothing, when there is no mail server.
func (s *Service) QueueMailTo(ctx context.Context, tx *db.Tx, m ExternalMail) (queued bool, err error) {
	if ok, err := s.hasServer(ctx, tx); err != nil || !ok {
		return false, err
	}
	at, err := loadPlace.One(ctx, tx, nil)
	if err != nil {
		return false, err
	}
	b, err := s.externalBody(ctx, at, m)
	if err != nil {
		return false, err
	}
	for _, to := range m.To {
		if err := s.queueDirect(ctx, tx, to, m.DedupeKey, m.Title, b); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *Service) queueDirect(ctx context.Context, tx *db.Tx, to, key, subject string, b body) error {
	if _, err := mail.ParseAddress(to); err != nil {
		return fault.InvalidField("to", "invalid_email", "Use a full e-mail address, such as mara@example.com.")
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode mail: %w", err)
	}
	sealed, err := s.sealer.Seal(tx.Actor.WorkspaceID, bodyPurpose, raw)
	if err != nil {
		return fmt.Errorf("seal mail: %w", err)
	}
	var dedupe *string
	if key != "" {
		dedupe = &key
	}
	return s.addMail(ctx, tx, db.Args{
		"kind": kindDirect, "user": uuid.NullUUID{}, "notifications": []uuid.UUID{}, "recipient": to,
		"subject": clip(oneLine(subject), maxTitle), "sealed_body": sealed, "dedupe_key": dedupe,
	})
}

// addMail adds the row and its job, unless the same mail was queued before.
func (s *Service) addMail(ctx context.Context, tx *db.Tx, args db.Args) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make mail id: %w", err)
	}
	args["id"] = id
	if _, isNew, err := addMail.Maybe(ctx, tx, args); err != nil || !isNew {
		return err
	}
	return s.jobs.Insert(ctx, tx, sendArgs{InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, MailID: id})
}

// queueDigest turns what is held back for a person into one mail.
func (s *Service) queueDigest(ctx context.Context, workspace, user uuid.UUID) error {
	return s.db.InWorkspace(ctx, db.System(workspace, "notification digest"), func(tx *db.Tx) error {
		items, err := takeDue.All(ctx, tx, db.Args{"user": user})
		if err != nil || len(items) == 0 {
			return err
		}
		r, ok, err := loadReader.Maybe(ctx, tx, db.Args{"user": user})
		if err != nil {
			return err
		}
		if !ok || !r.MailEnabled {
			return nil // they left, or want no mail any more; the inbox has everything
		}
		k, subject := kindNotification, items[0].Title
		if len(items) > 1 {
			k, subject = kindDigest, fmt.Sprintf("%d notifications", len(items))
		}
		ids := make([]uuid.UUID, len(items))
		for i, item := range items {
			ids[i] = item.ID
		}
		return s.addMail(ctx, tx, db.Args{
			"kind": k, "user": user, "notifications": ids, "recipient": r.Email, "subject": subject,
			"sealed_body": nil, "dedupe_key": nil,
		})
	})
}
