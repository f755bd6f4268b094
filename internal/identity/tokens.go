package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// Permissions of the module.
const (
	// CanUseTokens lets people keep personal tokens.
	CanUseTokens access.Permission = "token.create"
	// CanManageTokens lets them keep service tokens, and revoke anybody's.
	CanManageTokens access.Permission = "token.manage"
)

// errNotAPerson refuses personal tokens to programs.
var errNotAPerson = fault.NewDenied("forbidden", "Only a person can have a personal token. Make a service token instead.")

// CreateToken makes a token in the actor's workspace and returns it with its secret, which
// is shown once and not kept.
func (s *Service) CreateToken(ctx context.Context, a db.Actor, n NewToken) (t Token, token string, err error) {
	perm := CanUseTokens
	if n.Kind == KindService {
		perm = CanManageTokens
	}
	if err := s.Policy.Check(a, perm); err != nil {
		return Token{}, "", err
	}
	if n.Kind == KindPersonal && a.UserID == uuid.Nil {
		return Token{}, "", errNotAPerson
	}
	if n.Scopes != nil {
		// Appended to an empty list: no scope must not turn into nil, which means all.
		n.Scopes = append([]string{}, slices.Compact(slices.Sorted(slices.Values(n.Scopes)))...)
	}
	err = s.DB.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := n.check(s.Policy, a, tx.Now); err != nil {
			return err
		}
		t, token, err = s.insertToken(ctx, tx, n)
		return err
	})
	return t, token, err
}

func (s *Service) insertToken(ctx context.Context, tx *db.Tx, n NewToken) (Token, string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, "", fmt.Errorf("make token id: %w", err)
	}
	token, hash := secret.NewToken(TokenPrefix)
	t := Token{
		ID: id, Kind: n.Kind, Name: n.Name, Prefix: token[:shownDigits], Role: n.Role, Scopes: n.Scopes,
		CreatedBy: tx.Actor.Name, CreatedAt: tx.Now, ExpiresAt: n.ExpiresAt,
	}
	by := uuid.NullUUID{UUID: tx.Actor.UserID, Valid: tx.Actor.UserID != uuid.Nil}
	if n.Kind == KindPersonal {
		t.OwnerID, t.OwnerName = by, tx.Actor.Name
	}
	if _, err := insertToken.Run(ctx, tx, db.Args{
		"id": id, "hash": hash, "prefix": t.Prefix, "kind": t.Kind, "user": t.OwnerID, "role": string(t.Role), "name": t.Name,
		"scopes": t.Scopes, "created_by": by, "expires": t.ExpiresAt,
	}); err != nil {
		return Token{}, "", err
	}
	_, err = s.Ledger.Record(ctx, tx, ledger.Entry{
		Action: eventTokenCreated, Subject: t.subject(), After: t, Payload: t.payload(), Detail: map[string]any{"kind": t.Kind},
	})
	return t, token, err
}

func (t Token) subject() event.Subject {
	return event.Subject{Type: "token", ID: t.ID, Title: t.Name}
}

func (t Token) payload() TokenEvent {
	return TokenEvent{
		TokenID: t.ID, Kind: t.Kind, Name: t.Name, Prefix: t.Prefix, Owner: t.OwnerID, Role: string(t.Role),
		Scopes: slices.Concat([]string{}, t.Scopes),
	}
}

// CreatePersonalToken makes a personal token of the actor and returns its secret. Scopes
// nil means everything their role may; a zero expires means never.
func (s *Service) CreatePersonalToken(ctx context.Context, a db.Actor, name string, scopes []string, expires time.Time) (string, error) {
	n := NewToken{Kind: KindPersonal, Name: name, Scopes: scopes}
	if !expires.IsZero() {
		n.ExpiresAt = &expires
	}
	_, token, err := s.CreateToken(ctx, a, n)
	return token, err
}

// RevokeToken ends a token for good: one's own personal one, or any for whoever manages
// tokens. Revoking twice is no error.
func (s *Service) RevokeToken(ctx context.Context, a db.Actor, id uuid.UUID) (Token, error) {
	var t Token
	err := s.DB.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if t, err = s.visibleToken(ctx, tx, id, lockToken); err != nil {
			return err
		}
		return s.revoke(ctx, tx, &t, "")
	})
	return t, err
}

// FindToken returns a token that the actor may see.
func (s *Service) FindToken(ctx context.Context, a db.Actor, id uuid.UUID) (t Token, err error) {
	err = s.DB.InWorkspace(ctx, a, func(tx *db.Tx) error {
		t, err = s.visibleToken(ctx, tx, id, oneToken)
		return err
	})
	return t, err
}

// visibleToken reads a token; one that is not the actor's business looks like none.
func (s *Service) visibleToken(ctx context.Context, tx *db.Tx, id uuid.UUID, read db.Statement[Token]) (Token, error) {
	t, err := read.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return Token{}, err
	}
	own := t.OwnerID.Valid && t.OwnerID.UUID == tx.Actor.UserID
	if own && s.Policy.Can(tx.Actor, CanUseTokens) || s.Policy.Can(tx.Actor, CanManageTokens) {
		return t, nil
	}
	return Token{}, fault.NewNotFound("token")
}

func (s *Service) revoke(ctx context.Context, tx *db.Tx, t *Token, reason string) error {
	if t.RevokedAt != nil {
		return nil
	}
	before := *t
	t.RevokedAt = &tx.Now
	if _, err := revokeToken.Run(ctx, tx, db.Args{"id": t.ID}); err != nil {
		return err
	}
	_, err := s.Ledger.Record(ctx, tx, ledger.Entry{
		Action: eventTokenRevoked, Subject: t.subject(), Before: before, After: *t, Payload: t.payload(), Reason: reason,
		Detail: map[string]any{"kind": t.Kind},
	})
	return err
}

// RevokeTokensOf revokes every personal token of a person in the workspace of tx, as when
// they leave it: a token must not come back to life with a later membership.
func (s *Service) RevokeTokensOf(ctx context.Context, tx *db.Tx, userID uuid.UUID, reason string) error {
	tokens, err := lockTokensOf.All(ctx, tx, db.Args{"user": userID})
	if err != nil {
		return err
	}
	var errs []error
	for i := range tokens {
		errs = append(errs, s.revoke(ctx, tx, &tokens[i], reason))
	}
	return errors.Join(errs...)
}

// tokenQuery returns the list that the actor may see: their own tokens, or all for whoever
// manages tokens. Revoked ones are left out.
func (s *Service) tokenQuery(a db.Actor) *db.ListQuery[Token] {
	q := tokenList.Query()
	if !s.Policy.Can(a, CanManageTokens) {
		q.Filter("owner", db.Args{"user": a.UserID})
	}
	return q
}

// ownTokens lists a person's tokens in every workspace where they are still a member.
func (s *Service) ownTokens(ctx context.Context, userID uuid.UUID) ([]ownTokenRow, error) {
	rows, err := tokensOfPerson.All(ctx, s.DB.SystemRead(), db.Args{"user": userID})
	return rows, db.Classify(err)
}
