package members

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Person is a member as other modules see them.
type Person struct {
	MemberID uuid.UUID   `db:"member_id"`
	UserID   uuid.UUID   `db:"user_id"`
	Name     string      `db:"name"`
	Email    string      `db:"email"`
	Role     access.Role `db:"role"`
}

// People returns the active members of the workspace by name, at most 5,000.
func (s *Service) People(ctx context.Context, tx *db.Tx) ([]Person, error) {
	return allPeople.All(ctx, tx, nil)
}

// ResolveRecipients returns the active members that are named or belong to a named
// group, each once, by name.
func (s *Service) ResolveRecipients(ctx context.Context, tx *db.Tx, memberIDs, groupIDs []uuid.UUID) ([]Person, error) {
	if len(memberIDs) == 0 && len(groupIDs) == 0 {
		return nil, nil
	}
	return recipients.All(ctx, tx, db.Args{"members": ids(memberIDs), "groups": ids(groupIDs)})
}

// ids gives the database an empty list instead of null.
func ids(in []uuid.UUID) []uuid.UUID {
	if in == nil {
		return []uuid.UUID{}
	}
	return in
}

// Member reads one member with their name.
func (s *Service) Member(ctx context.Context, a db.Actor, id uuid.UUID) (Member, error) {
	var m Member
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		m, err = loadMember.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return m, err
}

// ChangeMember changes the role or the state of a member.
func (s *Service) ChangeMember(ctx context.Context, a db.Actor, id uuid.UUID, c Change) (Member, error) {
	var out Member
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		by, err := s.acting(ctx, tx)
		if err != nil {
			return err
		}
		m, err := loadMember.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(c.IfMatch, c.Version, m.Version); err != nil {
			return err
		}
		others, err := otherOwners.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		before := m.Membership
		if err := m.apply(by, c, others); err != nil {
			return err
		}
		out = m
		return s.saveMember(ctx, tx, before, m)
	})
	return out, err
}

func (s *Service) acting(ctx context.Context, tx *db.Tx) (acting, error) {
	a, err := s.lock(ctx, tx)
	if err != nil {
		return acting{}, err
	}
	return acting{userID: a.UserID, role: access.Role(a.Role), owner: s.policy.Can(a, OwnWorkspace)}, nil
}

// saveMember writes what changed, with one entry for the role and one for the state.
func (s *Service) saveMember(ctx context.Context, tx *db.Tx, before Membership, m Member) error {
	if before == m.Membership {
		return nil
	}
	if _, err := updateMember.Run(ctx, tx, db.Args{
		"id": m.ID, "role": m.Role, "state": m.State, "joined_via": m.JoinedVia, "version": m.Version,
	}); err != nil {
		return err
	}
	payload := m.payload()
	if before.Role != m.Role {
		payload.PreviousRole = string(before.Role)
		if err := s.record(ctx, tx, ledger.Entry{
			Action: "member.role_changed", Subject: m.subject(), Changes: []ledger.Change{{Field: "role", From: before.Role, To: m.Role}}, Payload: payload,
		}); err != nil {
			return err
		}
	}
	if before.State == m.State {
		return nil
	}
	action := "member.resumed"
	if m.State == Suspended {
		action = "member.suspended"
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: m.subject(), Changes: []ledger.Change{{Field: "state", From: before.State, To: m.State}}, Payload: payload,
	})
}

// RemoveMember ends a membership. What the person did stays.
func (s *Service) RemoveMember(ctx context.Context, a db.Actor, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		by, err := s.acting(ctx, tx)
		if err != nil {
			return err
		}
		m, err := loadMember.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		others, err := otherOwners.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := m.mayRemove(by, others); err != nil {
			return err
		}
		return s.remove(ctx, tx, m)
	})
}

func (s *Service) remove(ctx context.Context, tx *db.Tx, m Member) error {
	if err := s.record(ctx, tx, ledger.Entry{
		Action: "member.removed", Subject: m.subject(), Before: m.Membership, Payload: m.payload(),
	}); err != nil {
		return err
	}
	if err := s.tokens.RevokeTokensOf(ctx, tx, m.UserID, "the owner left the workspace"); err != nil {
		return fmt.Errorf("revoke tokens of member %s: %w", m.ID, err)
	}
	_, err := deleteMember.Run(ctx, tx, db.Args{"id": m.ID})
	return err
}

// join adds a member and records it. The caller holds the lock of the workspace, or has
// just made it.
func (s *Service) join(ctx context.Context, tx *db.Tx, userID uuid.UUID, role access.Role, via JoinedVia) (Member, error) {
	if err := s.checkJoin(ctx, tx); err != nil {
		return Member{}, err
	}
	id, err := newID()
	if err != nil {
		return Member{}, err
	}
	if _, err := insertMember.Run(ctx, tx, db.Args{"id": id, "user": userID, "role": role, "via": via}); err != nil {
		return Member{}, err
	}
	// Read back with the name, which the person's row shows only to their workspaces.
	m, err := loadMember.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return Member{}, err
	}
	return m, s.record(ctx, tx, ledger.Entry{
		Action: "member.joined", Subject: m.subject(), After: m.Membership, Detail: map[string]any{"via": string(via)}, Payload: m.payload(),
	})
}

func (m Member) subject() event.Subject {
	return event.Subject{Type: "member", ID: m.ID, Title: m.Name}
}

func (m Member) payload() MemberPayload {
	return MemberPayload{
		MemberID: m.ID, UserID: m.UserID, Role: string(m.Role), State: string(m.State), JoinedVia: string(m.JoinedVia),
	}
}

// Filter narrows the list of members.
type Filter struct {
	Text  string
	Role  access.Role
	State State
}

func (f Filter) query() (*db.ListQuery[Member], error) {
	q := memberList.Query()
	if err := searchable(f.Text); err != nil {
		return nil, err
	}
	if f.Text != "" {
		q.Filter("text", db.Args{"text": f.Text})
	}
	if f.Role != "" {
		if !f.Role.Valid() {
			return nil, fault.InvalidField("role", "not_allowed", "There is no such role.")
		}
		q.Filter("role", db.Args{"role": f.Role})
	}
	if f.State != "" {
		if f.State != Active && f.State != Suspended {
			return nil, fault.InvalidField("state", "not_allowed", "A member is active or suspended.")
		}
		q.Filter("state", db.Args{"state": f.State})
	}
	return q, nil
}

// searchable refuses what no text of the database can hold.
func searchable(text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fault.InvalidField("q", "invalid_text", "This contains characters that no record holds.")
	}
	return nil
}

// ExportMembers calls fn for each member that matches, and records the export.
func (s *Service) ExportMembers(ctx context.Context, a db.Actor, f Filter, fn func(Member) error) error {
	q, err := f.query()
	if err != nil {
		return err
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		rows := int64(0)
		if err := q.Each(ctx, tx, func(m Member) error {
			rows++
			return fn(m)
		}); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: "member.exported", Subject: event.Subject{Type: "workspace", ID: a.WorkspaceID}, Detail: map[string]any{"rows": rows},
		})
	})
}
