package freezes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Footprint is what a change touches, put together from its assets and their services.
type Footprint struct {
	AssetIDs, ServiceIDs                []uuid.UUID
	Environments, AssetTags, AssetTypes []string
}

// Target is a change as a scope is held against it.
type Target struct {
	AssetIDs     []uuid.UUID
	ServiceIDs   []uuid.UUID
	Environments []string
	AssetTags    []string
	AssetTypes   []string
	ChangeType   string // standard, normal, emergency
	Risk         string // low, medium, high, critical
	// Downstream is what depends on the assets. Meeting a freeze there warns only, unless
	// the freeze includes what is downstream.
	Downstream Footprint
}

func (t Target) footprint() Footprint {
	return Footprint{
		AssetIDs: t.AssetIDs, ServiceIDs: t.ServiceIDs, Environments: t.Environments, AssetTags: t.AssetTags, AssetTypes: t.AssetTypes,
	}
}

// Scope says what a freeze is about. Each list that is not empty is a condition, and all of
// them must hold; of a list, one entry is enough. Assets and services are one list: they
// name things. Without any condition the scope is everything.
type Scope struct {
	Environments []string    `db:"environments" audit:"environments"`
	AssetIDs     []uuid.UUID `db:"asset_ids" audit:"asset_ids"`
	ServiceIDs   []uuid.UUID `db:"service_ids" audit:"service_ids"`
	AssetTags    []string    `db:"asset_tags" audit:"asset_tags"`
	AssetTypes   []string    `db:"asset_types" audit:"asset_types"`
	ChangeTypes  []string    `db:"change_types" audit:"change_types"`
	MinRisk      string      `db:"min_risk" audit:"min_risk"` // empty for any
	// IncludeDownstream also stops changes that reach the scope only through what depends on
	// their assets.
	IncludeDownstream bool `db:"include_downstream" audit:"include_downstream"`
}

// ChangeTypes lists the types of changes.
func ChangeTypes() []string { return []string{"standard", "normal", "emergency"} }

// Risks lists the levels of risk, least first.
func Risks() []string { return []string{"low", "medium", "high", "critical"} }

// Reach is how a scope meets a target.
type Reach int

// The ways: not at all, only through what depends on its assets, or directly.
const (
	Missed Reach = iota
	Downstream
	Direct
)

// Reach holds the scope against a target. A risk that is not known counts as the highest.
func (s Scope) Reach(t Target) Reach {
	if len(s.ChangeTypes) > 0 && t.ChangeType != "" && !slices.Contains(s.ChangeTypes, t.ChangeType) {
		return Missed
	}
	if risk := slices.Index(Risks(), t.Risk); s.MinRisk != "" && risk >= 0 && risk < slices.Index(Risks(), s.MinRisk) {
		return Missed
	}
	switch {
	case s.touches(t.footprint()):
		return Direct
	case s.touches(t.Downstream):
		return Downstream
	default:
		return Missed
	}
}

// Stops reports whether a freeze of this scope concerns the target, and does not only warn
// about what is downstream.
func (s Scope) Stops(t Target) bool {
	r := s.Reach(t)
	return r == Direct || (r == Downstream && s.IncludeDownstream)
}

// touches reports whether the conditions about things hold. A service is named as a service
// or as an asset of its own.
func (s Scope) touches(f Footprint) bool {
	things := len(s.AssetIDs)+len(s.ServiceIDs) == 0 || overlap(s.AssetIDs, f.AssetIDs) || overlap(s.ServiceIDs, f.ServiceIDs) ||
		overlap(s.ServiceIDs, f.AssetIDs) || overlap(s.AssetIDs, f.ServiceIDs)
	return things && either(s.Environments, f.Environments) && either(s.AssetTags, f.AssetTags) && either(s.AssetTypes, f.AssetTypes)
}

func either(wanted, have []string) bool { return len(wanted) == 0 || overlap(wanted, have) }

func overlap[T comparable](a, b []T) bool {
	return slices.ContainsFunc(a, func(v T) bool { return slices.Contains(b, v) })
}

// Everything reports whether the scope has no condition.
func (s Scope) Everything() bool {
	return len(s.Environments)+len(s.AssetIDs)+len(s.ServiceIDs)+len(s.AssetTags)+len(s.AssetTypes)+len(s.ChangeTypes) == 0 && s.MinRisk == ""
}

// key is the same for equal scopes: allowed hours of one scope add up.
func (s Scope) key() string {
	return fmt.Sprint(s.Environments, s.AssetIDs, s.ServiceIDs, s.AssetTags, s.AssetTypes, s.ChangeTypes, s.MinRisk, s.IncludeDownstream)
}

// widerThan reports whether the scope may meet a target that the old one does not.
func (s Scope) widerThan(old Scope) bool {
	things := slices.Concat(s.AssetIDs, s.ServiceIDs)
	oldThings := slices.Concat(old.AssetIDs, old.ServiceIDs)
	return grew(things, oldThings) || grew(s.Environments, old.Environments) || grew(s.AssetTags, old.AssetTags) ||
		grew(s.AssetTypes, old.AssetTypes) || grew(s.ChangeTypes, old.ChangeTypes) ||
		slices.Index(Risks(), s.MinRisk) < slices.Index(Risks(), old.MinRisk) || (s.IncludeDownstream && !old.IncludeDownstream)
}

// grew reports whether a condition lets more through than before; an empty one lets all.
func grew[T comparable](now, before []T) bool {
	if len(before) == 0 {
		return false
	}
	return len(now) == 0 || slices.ContainsFunc(now, func(v T) bool { return !slices.Contains(before, v) })
}

func (s *Scope) tidy() {
	s.Environments, s.AssetTypes, s.ChangeTypes = set(s.Environments), set(s.AssetTypes), set(s.ChangeTypes)
	s.AssetTags, s.MinRisk = set(s.AssetTags), strings.ToLower(strings.TrimSpace(s.MinRisk))
	s.AssetIDs, s.ServiceIDs = idSet(s.AssetIDs), idSet(s.ServiceIDs)
}

// set sorts, lowers and drops repetitions; it never returns nil, since columns are not null.
func set(in []string) []string {
	out := make([]string, 0, len(in))
	for _, v := range in {
		if v = strings.ToLower(strings.Join(strings.Fields(v), " ")); v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func idSet(in []uuid.UUID) []uuid.UUID {
	out := append(make([]uuid.UUID, 0, len(in)), in...)
	slices.SortFunc(out, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

func (s Scope) check(c *form.Check) {
	for _, list := range []struct {
		field, label string
		values, of   []string
	}{
		{"environments", "An environment", s.Environments, assets.Environments()},
		{"asset_types", "A type of asset", s.AssetTypes, assets.Types()},
		{"change_types", "A type of change", s.ChangeTypes, ChangeTypes()},
	} {
		for _, v := range list.values {
			if !slices.Contains(list.of, v) {
				c.OneOf(list.field, v, list.label, list.of...)
				break
			}
		}
	}
	if s.MinRisk != "" {
		c.OneOf("min_risk", s.MinRisk, "The risk", Risks()...)
	}
	for _, tag := range s.AssetTags {
		c.Longest("asset_tags", tag, "A tag", maxTag)
	}
	for _, n := range []struct {
		field, what string
		n           int
	}{
		{"asset_tags", "tags", len(s.AssetTags)}, {"asset_ids", "assets", len(s.AssetIDs)}, {"service_ids", "services", len(s.ServiceIDs)},
	} {
		if n.n > maxItems {
			c.Add(n.field, "too_many", fmt.Sprintf("A freeze names at most %d %s; these are %d. Use a tag instead.", maxItems, n.what, n.n))
		}
	}
}

// TargetOf puts together what a change on these assets touches: the assets, their services,
// and with a depth of 1 or more what depends on them. Extra environments are those that
// the change itself names.
func (s *Service) TargetOf(ctx context.Context, tx *db.Tx, assetIDs []uuid.UUID, depth int, environments ...string) (Target, error) {
	own, err := s.footprint(ctx, tx, assetIDs)
	if err != nil {
		return Target{}, err
	}
	t := Target{
		AssetIDs: own.AssetIDs, ServiceIDs: own.ServiceIDs, Environments: set(slices.Concat(own.Environments, environments)),
		AssetTags: own.AssetTags, AssetTypes: own.AssetTypes,
	}
	if depth < 1 || len(assetIDs) == 0 {
		return t, nil
	}
	impact, err := s.assets.Impact(ctx, tx, assetIDs, depth)
	if err != nil {
		return Target{}, fmt.Errorf("read what depends on the assets: %w", err)
	}
	for _, r := range impact.Downstream {
		t.Downstream.add(r.Brief)
		if r.IsService() {
			t.Downstream.ServiceIDs = append(t.Downstream.ServiceIDs, r.ID)
		}
	}
	t.Downstream.tidy()
	return t, nil
}

func (s *Service) footprint(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (Footprint, error) {
	var f Footprint
	if len(ids) == 0 {
		return f, nil
	}
	briefs, err := s.assets.Briefs(ctx, tx, ids)
	if err != nil {
		return f, fmt.Errorf("read assets: %w", err)
	}
	services, err := s.assets.Services(ctx, tx, ids)
	if err != nil {
		return f, fmt.Errorf("read services of assets: %w", err)
	}
	for _, b := range briefs {
		f.add(b)
		for _, svc := range services[b.ID] {
			f.ServiceIDs = append(f.ServiceIDs, svc.ID)
			// The scope is held against the services too; only their being assets of the
			// change is not claimed.
			f.describe(svc)
		}
	}
	f.tidy()
	return f, nil
}

func (f *Footprint) add(b assets.Brief) {
	f.AssetIDs = append(f.AssetIDs, b.ID)
	f.describe(b)
}

func (f *Footprint) describe(b assets.Brief) {
	f.Environments = append(f.Environments, b.Environment)
	f.AssetTypes = append(f.AssetTypes, b.Type)
	f.AssetTags = append(f.AssetTags, b.Tags...)
}

func (f *Footprint) tidy() {
	f.Environments, f.AssetTypes, f.AssetTags = set(f.Environments), set(f.AssetTypes), set(f.AssetTags)
	f.AssetIDs, f.ServiceIDs = idSet(f.AssetIDs), idSet(f.ServiceIDs)
}
