package assets

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Brief is an asset as other modules need it.
type Brief struct {
	ID                                                    uuid.UUID
	Name, Type, Environment, Criticality, Lifecycle, Team string
	OwnerUserID                                           uuid.NullUUID
	Tags                                                  []string
	OneChangeAtATime                                      bool
	// LeadBuffer and TrailBuffer pad the window of a change on this asset.
	LeadBuffer, TrailBuffer time.Duration
}

// Path is the page of the asset below its workspace.
func (b Brief) Path() string { return assetPath(b.ID) }

// IsService reports whether people use the asset as a service.
func (b Brief) IsService() bool { return b.Type == "service" || b.Type == "application" }

// Reached is an asset that a walk came to.
type Reached struct {
	Brief
	// Depth is the least number of steps from a start, 1 for a neighbour.
	Depth int
	// Exclusive says that every step of the way there is a dependency without a stand-in.
	Exclusive bool
	// From is the start that it was reached from first.
	From uuid.UUID
}

// Impact is what a walk found, nearest first. The starts themselves are not among it, nor
// are retired assets.
type Impact struct {
	// Downstream is what depends on the start: the blast radius.
	Downstream []Reached
	// Upstream is what the start depends on.
	Upstream []Reached
	// More says that a direction was cut at MaxImpact.
	More bool
}

// Limits of a walk.
const (
	MaxImpact    = 5000
	MaxDepth     = 6
	DefaultDepth = 3
)

// Briefs returns assets by id, retired ones too, by name. Ids that do not exist are left out.
func (s *Service) Briefs(ctx context.Context, tx *db.Tx, ids []uuid.UUID) ([]Brief, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := briefsByID.All(ctx, tx, db.Args{"ids": ids})
	return briefs(rows), err
}

// Find returns assets in use for a picker: those with a word that begins with the first
// word of text, the most critical first; the first by name when text is empty.
func (s *Service) Find(ctx context.Context, tx *db.Tx, text string, limit int) ([]Brief, error) {
	words := searchWords(text)
	if len(words) == 0 {
		rows, err := firstAssets.All(ctx, tx, db.Args{"limit": limit})
		return briefs(rows), err
	}
	from, upto := db.PrefixRange(words[0])
	rows, err := findAssets.All(ctx, tx, db.Args{"from": from, "upto": upto, "limit": limit})
	return briefs(rows), err
}

// Services returns the services that each asset belongs to: itself when it is a service or
// an application; else those of that kind which depend on it directly or which it is part
// of. An asset without any is missing.
func (s *Service) Services(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID][]Brief, error) {
	out := make(map[uuid.UUID][]Brief, len(ids))
	own, err := s.Briefs(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var rest []uuid.UUID
	for _, b := range own {
		if b.IsService() {
			out[b.ID] = []Brief{b}
		} else {
			rest = append(rest, b.ID)
		}
	}
	if len(rest) == 0 {
		return out, nil
	}
	rows, err := servicesOf.All(ctx, tx, db.Args{"ids": rest})
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		out[r.Asset] = append(out[r.Asset], r.brief())
	}
	return out, nil
}

// Impact walks from the starts in both directions, up to depth steps: 1 to MaxDepth, and
// DefaultDepth for 0. One query per direction, each at most MaxImpact assets.
func (s *Service) Impact(ctx context.Context, tx *db.Tx, start []uuid.UUID, depth int) (Impact, error) {
	var out Impact
	depth, err := checkDepth(depth)
	if err != nil || len(start) == 0 {
		return out, err
	}
	down, moreDown, err := walk(ctx, tx, walkDown, start, depth)
	if err != nil {
		return out, err
	}
	up, moreUp, err := walk(ctx, tx, walkUp, start, depth)
	return Impact{Downstream: down, Upstream: up, More: moreDown || moreUp}, err
}

func checkDepth(depth int) (int, error) {
	switch {
	case depth == 0:
		return DefaultDepth, nil
	case depth < 0 || depth > MaxDepth:
		return 0, fault.InvalidField("depth", "out_of_range", "Depth must be between 1 and 6 steps.")
	}
	return depth, nil
}

// ImpactOf reads one asset with its impact.
func (s *Service) ImpactOf(ctx context.Context, a db.Actor, id uuid.UUID, depth int) (Asset, Impact, error) {
	var asset Asset
	var out Impact
	depth, err := checkDepth(depth)
	if err != nil {
		return asset, out, err
	}
	var row *db.Result[Asset]
	var down, up *db.Result[reachedRow]
	err = s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		row = assetByID.Queue(b, db.Args{"id": id})
		args := walkArgs([]uuid.UUID{id}, depth)
		down, up = walkDown.Queue(b, args), walkUp.Queue(b, args)
	})
	if err != nil {
		return asset, out, err
	}
	asset, ok := row.First()
	if !ok {
		return asset, out, fault.NewNotFound("asset")
	}
	var moreDown, moreUp bool
	out.Downstream, moreDown = reached(down.Rows)
	out.Upstream, moreUp = reached(up.Rows)
	out.More = moreDown || moreUp
	return asset, out, nil
}
