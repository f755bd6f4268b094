package certificates

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Person is somebody who may own a host. ID is their membership.
type Person struct {
	ID     uuid.UUID
	UserID uuid.UUID
	Name   string
	Email  string
}

// owner finds a person by membership, user or e-mail address. An empty text is nobody.
func (s *Service) owner(ctx context.Context, tx *db.Tx, text string) (uuid.NullUUID, error) {
	if text = strings.TrimSpace(text); text == "" {
		return uuid.NullUUID{}, nil
	}
	people, err := s.people(ctx, tx)
	if err != nil {
		return uuid.NullUUID{}, fmt.Errorf("read people: %w", err)
	}
	if p, ok := findPerson(people, text); ok {
		return db.NullID(p.ID), nil
	}
	return uuid.NullUUID{}, fault.InvalidField("owner", "unknown_member", "This person is not a member of the workspace.")
}

func findPerson(people []Person, text string) (Person, bool) {
	for _, p := range people {
		if text == p.ID.String() || text == p.UserID.String() || strings.EqualFold(text, p.Email) {
			return p, true
		}
	}
	return Person{}, false
}

// withOwner adds what is wrong with the owner to what else is wrong with a host.
func (s *Service) withOwner(ctx context.Context, tx *db.Tx, text string, known uuid.NullUUID, problems error) (uuid.NullUUID, error) {
	var c form.Check
	if err := c.Merge(problems); err != nil {
		return known, err
	}
	if text != "" {
		id, err := s.owner(ctx, tx, text)
		if err := c.Merge(err); err != nil {
			return known, err
		}
		known = id
	}
	return known, c.Err()
}
