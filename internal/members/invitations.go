package members

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// Issued is an invitation together with its link, which is known only now: the table
// holds a hash.
type Issued struct {
	Invitation
	Link string
}

// MailsInvitations reports whether links are mailed as well as shown.
func (s *Service) MailsInvitations() bool { return s.mailer != nil }

// Invite invites one person.
func (s *Service) Invite(ctx context.Context, a db.Actor, in NewInvitation) (Issued, error) {
	in.Row = 0
	issued, err := s.InviteMany(ctx, a, []NewInvitation{in})
	if err != nil {
		return Issued{}, err
	}
	return issued[0], nil
}

// InviteMany invites everybody in the rows, or nobody when any row has a problem.
func (s *Service) InviteMany(ctx context.Context, a db.Actor, rows []NewInvitation) ([]Issued, error) {
	if len(rows) == 0 || len(rows) > MaxInvitations {
		return nil, fault.InvalidField("rows", "too_many", fmt.Sprintf("Send between 1 and %d invitations at once.", MaxInvitations))
	}
	var out []Issued
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		by, err := s.acting(ctx, tx)
		if err != nil {
			return err
		}
		if err := checkRows(by, rows).Err(); err != nil {
			return err
		}
		if err := s.clearTheWay(ctx, tx, rows); err != nil {
			return err
		}
		if err := s.checkPlaces(ctx, tx, len(rows)); err != nil {
			return err
		}
		if out, err = s.issue(ctx, tx, rows); err != nil {
			return err
		}
		return s.announce(ctx, tx, "invitation.created", out)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// clearTheWay refuses addresses that belong to members or wait for an answer, and revokes
// invitations that expired unanswered, since an address has one open invitation at most.
func (s *Service) clearTheWay(ctx context.Context, tx *db.Tx, rows []NewInvitation) error {
	emails := make([]string, len(rows))
	byEmail := make(map[string]NewInvitation, len(rows))
	for i, row := range rows {
		emails[i], byEmail[row.Email] = row.Email, row
	}
	joined, err := memberEmails.All(ctx, tx, db.Args{"emails": emails})
	if err != nil {
		return err
	}
	open, err := openInvitations.All(ctx, tx, db.Args{"emails": emails})
	if err != nil {
		return err
	}
	var details []fault.Detail
	for _, email := range joined {
		details = append(details, fault.Detail{
			Field: byEmail[email].field("email"), Code: "already_member", Message: email + " is a member already.",
		})
	}
	for _, inv := range open {
		if inv.State(tx.Now) == Pending {
			details = append(details, fault.Detail{
				Field: byEmail[inv.Email].field("email"), Code: "already_invited",
				Message: inv.Email + " has an open invitation. Send that one again, or revoke it first.",
			})
			continue
		}
		if err := s.revoke(ctx, tx, inv, "expired and replaced"); err != nil {
			return err
		}
	}
	return fault.InvalidDetails(details)
}

// issue writes the invitations and returns them with their links.
func (s *Service) issue(ctx context.Context, tx *db.Tx, rows []NewInvitation) ([]Issued, error) {
	out := make([]Issued, len(rows))
	n := struct {
		ids    []uuid.UUID
		emails []string
		roles  []string
		hashes [][]byte
	}{}
	by := uuid.NullUUID{UUID: tx.Actor.UserID, Valid: tx.Actor.UserID != uuid.Nil}
	for i, row := range rows {
		id, err := newID()
		if err != nil {
			return nil, err
		}
		link, hash := s.newLink()
		out[i] = Issued{Link: link, Invitation: Invitation{
			ID: id, Email: row.Email, Role: row.Role, InvitedBy: by, CreatedAt: tx.Now, SentAt: tx.Now, ExpiresAt: tx.Now.Add(invitationLife),
		}}
		n.ids, n.emails = append(n.ids, id), append(n.emails, row.Email)
		n.roles, n.hashes = append(n.roles, string(row.Role)), append(n.hashes, hash)
	}
	_, err := insertInvitations.Run(ctx, tx, db.Args{
		"ids": n.ids, "emails": n.emails, "roles": n.roles, "hashes": n.hashes, "by": by, "expires": tx.Now.Add(invitationLife),
	})
	return out, err
}

func (s *Service) newLink() (link string, hash []byte) {
	token, hash := secret.NewToken("inv_")
	return s.baseURL("/invitations/" + token), hash
}

// announce records each invitation and mails it, when there is a mailer.
func (s *Service) announce(ctx context.Context, tx *db.Tx, action string, issued []Issued) error {
	ws, err := loadWorkspace.One(ctx, tx, nil)
	if err != nil {
		return err
	}
	for _, inv := range issued {
		if err := s.record(ctx, tx, ledger.Entry{
			Action: action, Subject: inv.subject(), After: inv.Invitation, Payload: inv.payload(),
		}); err != nil {
			return err
		}
		if s.mailer == nil {
			continue
		}
		m, err := newInvitationMail(ctx, ws, tx.Actor.Name, inv)
		if err != nil {
			return err
		}
		if err := s.mailer.QueueInvitation(ctx, tx, inv.Email, m.subject, m.text, m.html); err != nil {
			return fmt.Errorf("queue mail of invitation %s: %w", inv.ID, err)
		}
	}
	return nil
}

// subject leaves the address out: the audit log keeps no personal data in the clear, and
// the page that shows it asks for the address by the id.
func (i Invitation) subject() event.Subject { return event.Subject{Type: "invitation", ID: i.ID} }

func (i Invitation) payload() InvitationPayload {
	return InvitationPayload{InvitationID: i.ID, Email: i.Email, Role: string(i.Role)}
}

// Invitation reads one invitation.
func (s *Service) Invitation(ctx context.Context, a db.Actor, id uuid.UUID) (Invitation, error) {
	var inv Invitation
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		inv, err = loadInvitation.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return inv, err
}

// ResendInvitation makes a new link that works for another 7 days; the old one ends.
func (s *Service) ResendInvitation(ctx context.Context, a db.Actor, id uuid.UUID) (Issued, error) {
	var out Issued
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		by, err := s.acting(ctx, tx)
		if err != nil {
			return err
		}
		inv, err := lockInvitation.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if st := inv.State(tx.Now); st == Accepted || st == Revoked {
			return fault.NewConflict("invitation_closed", "This invitation was "+wordFor(st)+". Invite the person anew.")
		}
		if inv.Role == access.Owner && !by.owner {
			return fault.NewDenied("forbidden", "Only an owner may invite an owner.")
		}
		if inv.State(tx.Now) == Expired {
			// It takes a place again.
			if err := s.checkPlaces(ctx, tx, 1); err != nil {
				return err
			}
		}
		link, hash := s.newLink()
		inv.SentAt, inv.ExpiresAt = tx.Now, tx.Now.Add(invitationLife)
		if _, err := renewInvitation.Run(ctx, tx, db.Args{"id": id, "hash": hash, "expires": inv.ExpiresAt}); err != nil {
			return err
		}
		out = Issued{Invitation: inv, Link: link}
		return s.announce(ctx, tx, "invitation.resent", []Issued{out})
	})
	return out, err
}

func wordFor(s InvitationState) string {
	if s == Accepted {
		return "accepted"
	}
	return "revoked"
}

// RevokeInvitation ends an invitation that nobody accepted.
func (s *Service) RevokeInvitation(ctx context.Context, a db.Actor, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := s.acting(ctx, tx); err != nil {
			return err
		}
		inv, err := lockInvitation.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if st := inv.State(tx.Now); st == Accepted || st == Revoked {
			return fault.NewConflict("invitation_closed", "This invitation was "+wordFor(st)+" meanwhile.")
		}
		return s.revoke(ctx, tx, inv, "")
	})
}

func (s *Service) revoke(ctx context.Context, tx *db.Tx, inv Invitation, reason string) error {
	if _, err := markRevoked.Run(ctx, tx, db.Args{"id": inv.ID}); err != nil {
		return err
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: "invitation.revoked", Subject: inv.subject(), Reason: reason, Payload: inv.payload(),
		Changes: []ledger.Change{{Field: "state", From: Pending, To: Revoked}},
	})
}

// Offer is an invitation as the holder of its link sees it.
type Offer struct {
	Invitation
	WorkspaceID   uuid.UUID `db:"workspace_id"`
	WorkspaceName string    `db:"workspace_name"`
	Slug          string    `db:"slug"`
	Inviter       string    `db:"inviter"`
}

// FindOffer finds the invitation of a link.
func (s *Service) FindOffer(ctx context.Context, token string) (Offer, error) {
	o, ok, err := findOffer.Maybe(ctx, s.db.SystemRead(), db.Args{"hash": secret.HashToken(token)})
	if err == nil && !ok {
		err = &fault.Error{
			Kind: fault.NotFound, Code: "invitation_unknown",
			Message: "This invitation link is not valid. Copy the whole link from the mail, or ask for another invitation.",
		}
	}
	return o, err
}

// AcceptOffer lets the signed-in person behind the actor join by a link. It returns where.
func (s *Service) AcceptOffer(ctx context.Context, a db.Actor, token string) (Offer, error) {
	o, err := s.FindOffer(ctx, token)
	if err != nil {
		return o, err
	}
	who, err := identityOf.One(ctx, s.db.SystemRead(), db.Args{"user": a.UserID})
	if err != nil {
		return o, err
	}
	if err := s.mayAccept(o.Invitation, who); err != nil {
		return o, err
	}
	a.WorkspaceID = o.WorkspaceID
	return o, s.accept(ctx, a, o.ID, a.UserID)
}

type identityRow struct {
	Email         string `db:"email"`
	EmailVerified bool   `db:"email_verified"`
}

func (s *Service) mayAccept(inv Invitation, who identityRow) error {
	if err := inv.usable(s.clock.Now()); err != nil {
		return err
	}
	return inv.fits(who.Email, who.EmailVerified)
}

// accept turns an invitation into a membership. The caller has checked that the address
// is the person's.
func (s *Service) accept(ctx context.Context, a db.Actor, id, userID uuid.UUID) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := lockWorkspace.One(ctx, tx, nil); err != nil {
			return err
		}
		inv, err := lockInvitation.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := inv.usable(tx.Now); err != nil {
			return err
		}
		m, err := s.admit(ctx, tx, inv, userID)
		if err != nil {
			return err
		}
		if _, err := markAccepted.Run(ctx, tx, db.Args{"id": inv.ID, "user": userID}); err != nil {
			return err
		}
		parent := m.subject()
		return s.record(ctx, tx, ledger.Entry{
			Action: "invitation.accepted", Subject: inv.subject(), Parent: &parent, Payload: inv.payload(),
			Changes: []ledger.Change{{Field: "state", From: Pending, To: Accepted}},
		})
	})
}

// admit adds the person, or raises the role of somebody who came by a group meanwhile.
func (s *Service) admit(ctx context.Context, tx *db.Tx, inv Invitation, userID uuid.UUID) (Member, error) {
	m, ok, err := memberByUser.Maybe(ctx, tx, db.Args{"user": userID})
	if err != nil {
		return m, err
	}
	if !ok {
		return s.join(ctx, tx, userID, inv.Role, Invited)
	}
	if m.State == Suspended {
		return m, fault.NewDenied("membership_suspended", "Your membership of this workspace is suspended. Ask one of its admins to resume it.")
	}
	before := m.Membership
	if inv.Role.Rank() > m.Role.Rank() {
		m.Role = inv.Role
	}
	if m.JoinedVia == Group {
		// From now on the membership rests on the invitation and outlives the group.
		m.JoinedVia = Invited
	}
	if m.Membership == before {
		return m, nil
	}
	m.Version++
	return m, s.saveMember(ctx, tx, before, m)
}
