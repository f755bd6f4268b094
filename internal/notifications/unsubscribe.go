package notifications

import (
	"context"
	"encoding/base64"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// everyEvent stands for all mail in a link of a digest, which is about no single event.
const everyEvent = "*"

const unsubscribePurpose = "notifications.unsubscribe"

// ticket is what the link in a mail stands for.
type ticket struct {
	workspace, user uuid.UUID
	event           string
}

// unsubscribeLink makes the address in the foot and the header of a mail. The ticket is
// sealed, so nobody can make one for another person; it needs no session and does not
// expire, because a mail program may use it years later.
func (s *Service) unsubscribeLink(workspace, user uuid.UUID, eventName string) (string, error) {
	plain := append(append(workspace[:], user[:]...), eventName...)
	sealed, err := s.sealer.Seal(uuid.Nil, unsubscribePurpose, plain)
	if err != nil {
		return "", err
	}
	return s.baseURL("/unsubscribe/" + base64.RawURLEncoding.EncodeToString(sealed)), nil
}

var errBadLink = &fault.Error{
	Kind: fault.NotFound, Code: "not_found",
	Message: "This link is not complete. Copy the whole address from the mail, or change your preferences in Vigilo.",
}

func (s *Service) openTicket(token string) (ticket, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > 600 {
		return ticket{}, errBadLink
	}
	plain, err := s.sealer.Open(uuid.Nil, unsubscribePurpose, sealed)
	if err != nil || len(plain) <= 32 {
		return ticket{}, errBadLink
	}
	return ticket{workspace: uuid.UUID(plain[:16]), user: uuid.UUID(plain[16:32]), event: string(plain[32:])}, nil
}

// unsubscribeLabel names what a link is about: the label of an event, or empty for all mail.
func (s *Service) unsubscribeLabel(token string) (label string, err error) {
	t, err := s.openTicket(token)
	if err != nil || t.event == everyEvent {
		return "", err
	}
	if typ, ok := s.ledger.Catalogue().Type(t.event); ok {
		return typ.Label, nil
	}
	return t.event, nil
}

// Unsubscribe turns off mail for what the link of a mail stands for. It asks for no
// sign-in (RFC 8058). Doing it twice, or after leaving the workspace, is fine.
func (s *Service) Unsubscribe(ctx context.Context, token string) error {
	t, err := s.openTicket(token)
	if err != nil {
		return err
	}
	a := db.System(t.workspace, "unsubscribe link of a mail")
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, ok, err := loadReader.Maybe(ctx, tx, db.Args{"user": t.user}); err != nil || !ok {
			return err
		}
		if t.event == everyEvent {
			before, err := currentPreferences(ctx, tx, t.user)
			if err != nil || !before.MailEnabled {
				return err
			}
			after := before
			after.MailEnabled = false
			return s.savePreferences(ctx, tx, t.user, before, after, nil)
		}
		n, err := mailOff.Run(ctx, tx, db.Args{"user": t.user, "event": t.event})
		if err != nil || n == 0 {
			return err
		}
		return s.recordPreferences(ctx, tx, t.user, ledger.Entry{
			Changes: []ledger.Change{{Field: t.event, From: "mail", To: "no mail"}},
		})
	})
}
