package members

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Mapping is a rule: whoever's groups at the identity provider contain ClaimValue has
// Role, as long as they do.
type Mapping struct {
	ID         uuid.UUID   `db:"id"`
	ClaimValue string      `db:"claim_value" audit:"claim_value"`
	Role       access.Role `db:"role" audit:"role"`
	CreatedAt  time.Time   `db:"created_at"`
}

const (
	maxClaim    = 200
	maxMappings = 200
)

// NewMapping is what an admin says about a rule.
type NewMapping struct {
	ClaimValue string
	Role       access.Role
}

// Mappings returns the rules of the workspace by group.
func (s *Service) Mappings(ctx context.Context, a db.Actor) ([]Mapping, error) {
	var out []Mapping
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = allMappings.All(ctx, tx, nil)
		return err
	})
	return out, err
}

// AddMapping adds a rule. It takes effect when people sign in next.
func (s *Service) AddMapping(ctx context.Context, a db.Actor, in NewMapping) (Mapping, error) {
	// Groups arrive without the slash that Keycloak writes before a path; a rule with one would never hold.
	in.ClaimValue = strings.TrimLeft(strings.TrimSpace(in.ClaimValue), "/")
	var out Mapping
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		by, err := s.acting(ctx, tx)
		if err != nil {
			return err
		}
		c := &form.Check{}
		c.Text("claim_value", in.ClaimValue, "A group", maxClaim)
		if err := c.Merge(mayGrant(by, in.Role)); err != nil {
			return err
		}
		if err := c.Err(); err != nil {
			return err
		}
		n, err := countMappings.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if n >= maxMappings {
			return fault.NewInvalid("too_many", "A workspace may have at most 200 rules. Delete one that nobody needs.")
		}
		id, err := newID()
		if err != nil {
			return err
		}
		out = Mapping{ID: id, ClaimValue: in.ClaimValue, Role: in.Role, CreatedAt: tx.Now}
		_, err = insertMapping.Run(ctx, tx, db.Args{"id": id, "claim": out.ClaimValue, "role": out.Role})
		if db.Violated(err, "group_mappings_workspace_id_claim_value_key") {
			return fault.InvalidField("claim_value", "taken", "There is a rule for this group already. Delete it first to give another role.")
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: "group_mapping.created", Subject: out.subject(), After: out, Payload: MappingPayload{ClaimValue: out.ClaimValue, Role: string(out.Role)},
		})
	})
	return out, err
}

func (m Mapping) subject() event.Subject {
	return event.Subject{Type: "group_mapping", ID: m.ID, Title: m.ClaimValue}
}

// Mapping reads one rule.
func (s *Service) Mapping(ctx context.Context, a db.Actor, id uuid.UUID) (Mapping, error) {
	var out Mapping
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = loadMapping.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return out, err
}

// DeleteMapping deletes a rule. Members who came by it lose their place when they sign in
// next, unless another rule holds.
func (s *Service) DeleteMapping(ctx context.Context, a db.Actor, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		by, err := s.acting(ctx, tx)
		if err != nil {
			return err
		}
		m, err := loadMapping.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if m.Role == access.Owner && !by.owner {
			return fault.NewDenied("forbidden", "Only an owner may delete a rule that makes owners.")
		}
		if _, err := deleteMapping.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: "group_mapping.deleted", Subject: m.subject(), Before: m, Payload: MappingPayload{ClaimValue: m.ClaimValue, Role: string(m.Role)},
		})
	})
}

// maxGroups is how many groups of one person are looked at; providers cut longer lists.
const maxGroups = 1000

// usableGroups drops what no rule can name.
func usableGroups(groups []string) []string {
	out := []string{}
	for _, g := range groups {
		if g != "" && utf8.ValidString(g) && utf8.RuneCountInString(g) <= maxClaim && !strings.ContainsRune(g, 0) {
			out = append(out, g)
		}
		if len(out) == maxGroups {
			break
		}
	}
	return out
}

// highest returns the highest of the roles, empty for none.
func highest(roles []access.Role) access.Role {
	var top access.Role
	for _, r := range roles {
		if r.Rank() > top.Rank() {
			top = r
		}
	}
	return top
}
