package assets

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// The saved views that every workspace has.
const (
	viewInUse    = "in_use"
	viewCritical = "critical"
	viewUnowned  = "unowned"
	viewPlanned  = "planned"
	viewRetired  = "retired"
	viewAll      = "all"
)

func viewNames() []string {
	return []string{viewInUse, viewCritical, viewUnowned, viewPlanned, viewRetired, viewAll}
}

// filter narrows the list of assets. Zero fields do not.
type filter struct {
	// Text is words that begin a part of a name, a tag, a team or an external id; all must be
	// found.
	Text                                           string
	Name, Hostname, Type, Environment, Criticality string
	Lifecycle, Team, Tag, Provider, ExternalID     string
	// Owner is a user, or "none".
	Owner string
	// View is one of the saved views; empty lets everything through, as viewAll does.
	View string
}

// narrower is what the lists of assets have in common.
type narrower interface {
	add(name string, args db.Args)
}

type itemQuery struct{ *db.ListQuery[Item] }

func (q itemQuery) add(name string, args db.Args) { q.Filter(name, args) }

type mapQuery struct{ *db.ListQuery[mapNode] }

func (q mapQuery) add(name string, args db.Args) { q.Filter(name, args) }

// query turns the filter into a query of the list. What it does not understand is
// fault.Invalid.
func (f filter) query() (*db.ListQuery[Item], error) {
	q := itemQuery{assetList.Query()}
	return q.ListQuery, f.narrow(q)
}

func (f filter) narrow(q narrower) error {
	for i, w := range searchWords(f.Text) {
		name := "word" + strconv.Itoa(i+1)
		from, upto := db.PrefixRange(w)
		q.add(name, db.Args{name + "_from": from, name + "_upto": upto})
	}
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"ci_type", f.Type, Types()},
		{"environment", f.Environment, Environments()},
		{"criticality", f.Criticality, Criticalities()},
		{"lifecycle", f.Lifecycle, texts(Lifecycles())},
		{"provider", f.Provider, Providers()},
	} {
		switch {
		case c.value == "":
		case !slices.Contains(c.allowed, c.value):
			return fault.InvalidField(c.name, "not_allowed", "Choose one of: "+strings.Join(c.allowed, ", ")+".")
		default:
			q.add(c.name, db.Args{c.name: c.value})
		}
	}
	for name, value := range map[string]string{
		"name": nameKey(oneLine(f.Name)), "hostname": strings.ToLower(f.Hostname), "team": f.Team, "tag": strings.ToLower(f.Tag),
		"external_id": f.ExternalID,
	} {
		if value = storable(value); value != "" {
			q.add(name, db.Args{name: value})
		}
	}
	return f.narrowWho(q)
}

func (f filter) narrowWho(q narrower) error {
	switch f.Owner {
	case "":
	case "none":
		q.add("no_owner", nil)
	default:
		id, err := uuid.Parse(f.Owner)
		if err != nil {
			return fault.InvalidField("owner", "not_allowed", "Owner must be a user, or none.")
		}
		q.add("owner", db.Args{"owner": id})
	}
	switch f.View {
	case "", viewAll:
	case viewInUse:
		q.add("in_use", nil)
	case viewCritical:
		q.add("in_use", nil)
		if f.Criticality == "" {
			q.add("criticality", db.Args{"criticality": "critical"})
		}
	case viewUnowned:
		q.add("in_use", nil)
		if f.Owner == "" {
			q.add("no_owner", nil)
		}
	case viewPlanned, viewRetired:
		if f.Lifecycle == "" {
			q.add("lifecycle", db.Args{"lifecycle": f.View})
		}
	default:
		return fault.InvalidField("view", "not_allowed", "View must be one of: "+strings.Join(viewNames(), ", ")+".")
	}
	return nil
}

// storable drops what PostgreSQL refuses in a text.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

// csvHeader are the columns of an export; those that can be set are read by an import.
func csvHeader() []string {
	return []string{
		"id", "name", "ci_type", "hostname", "environment", "criticality", "lifecycle", "owner", "team", "tags", "provider",
		"external_id", "lead_minutes", "trail_minutes", "one_change_at_a_time", "description", "custom", "version", "updated_at",
	}
}

// writeCSV writes every asset that matches. Cells that a spreadsheet would compute are
// defused with an apostrophe.
func (s *Service) writeCSV(ctx context.Context, a db.Actor, q *db.ListQuery[Item], w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader()); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		people, err := s.people(ctx, tx)
		if err != nil {
			return fmt.Errorf("read people: %w", err)
		}
		emails := make(map[uuid.UUID]string, len(people))
		for _, p := range people {
			emails[p.UserID] = p.Email
		}
		return q.Each(ctx, tx, func(i Item) error {
			if err := out.Write(csvRow(i.Asset, emails[i.OwnerID.UUID])); err != nil {
				return fmt.Errorf("write export: %w", err)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func csvRow(a Asset, owner string) []string {
	return []string{
		a.ID.String(), export.Cell(a.Name), a.Type, export.Cell(a.Hostname), a.Environment, a.Criticality, string(a.Lifecycle),
		export.Cell(owner), export.Cell(a.Team), export.Cell(strings.Join(a.Tags, ", ")), a.Provider, export.Cell(a.ExternalID),
		strconv.Itoa(int(a.LeadMinutes)), strconv.Itoa(int(a.TrailMinutes)), strconv.FormatBool(a.OneChangeAtATime),
		export.Cell(a.Description), export.Cell(customText(a.Custom, "; ")), strconv.FormatInt(a.Version, 10),
		a.UpdatedAt.UTC().Format(time.RFC3339),
	}
}
