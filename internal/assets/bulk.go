package assets

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// MaxBulk is how many assets one action may take.
const MaxBulk = 200

func checkBulk(ids []uuid.UUID) error {
	switch {
	case len(ids) == 0:
		return fault.InvalidField("id", "required", "Select at least one asset.")
	case len(ids) > MaxBulk:
		return fault.InvalidField("id", "too_many", fmt.Sprintf("At most %d assets fit in one action.", MaxBulk))
	}
	return nil
}

// EditAssets makes the same change to many assets, all or none, and returns how many it
// changed. Retired ones are refused, as they are one by one.
func (s *Service) EditAssets(ctx context.Context, a db.Actor, ids []uuid.UUID, e AssetEdit) (int, error) {
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return 0, err
	}
	changed := 0
	err := s.each(ctx, a, ids, func(tx *db.Tx, before Asset) error {
		after, err := s.edit(ctx, tx, before, e)
		if err == nil && after.Version != before.Version {
			changed++
		}
		return err
	})
	return changed, err
}

// RetireAssets retires many assets, all or none, and returns how many were not yet.
func (s *Service) RetireAssets(ctx context.Context, a db.Actor, ids []uuid.UUID) (int, error) {
	if err := s.policy.Check(a, CanRetire); err != nil {
		return 0, err
	}
	changed := 0
	err := s.each(ctx, a, ids, func(tx *db.Tx, before Asset) error {
		if before.Lifecycle == Retired {
			return nil
		}
		changed++
		retired := string(Retired)
		_, err := s.edit(ctx, tx, before, AssetEdit{Lifecycle: &retired})
		return err
	})
	return changed, err
}

// Reinstate takes a retired asset back into use.
func (s *Service) Reinstate(ctx context.Context, a db.Actor, id uuid.UUID) (Asset, error) {
	var out Asset
	if err := s.policy.Check(a, CanRetire); err != nil {
		return out, err
	}
	err := s.each(ctx, a, []uuid.UUID{id}, func(tx *db.Tx, before Asset) error {
		if before.Lifecycle != Retired {
			return fault.NewConflict("asset_in_use", before.Name+" is in use already.")
		}
		active := string(Active)
		var err error
		out, err = s.edit(ctx, tx, before, AssetEdit{Lifecycle: &active})
		return err
	})
	return out, err
}

// each locks assets and does something with each in one transaction. Ids that do not exist
// are left out; none at all is fault.NotFound.
func (s *Service) each(ctx context.Context, a db.Actor, ids []uuid.UUID, do func(tx *db.Tx, before Asset) error) error {
	if err := checkBulk(ids); err != nil {
		return err
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		rows, err := lockAssets.All(ctx, tx, db.Args{"ids": ids})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fault.NewNotFound("asset")
		}
		for _, before := range rows {
			if err := do(tx, before); err != nil {
				return err
			}
		}
		return nil
	})
}

// customText writes custom fields as people edit them: one "name: value" each.
func customText(fields map[string]string, between string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, name+": "+strings.ReplaceAll(fields[name], "\n", " "))
	}
	return strings.Join(out, between)
}

// parseCustom reads what customText writes. A line without a colon is fault.Invalid.
func parseCustom(text, between string) (map[string]string, error) {
	out := map[string]string{}
	for _, line := range strings.Split(text, between) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if name = oneLine(name); !ok || name == "" {
			return nil, fault.InvalidField("custom", "malformed", "Write each custom field as name: value.")
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}
