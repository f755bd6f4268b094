package assets

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func (s *Service) searchSources() []search.Source {
	return []search.Source{{Name: "assets", Permission: CanRead, Find: findHits}}
}

func findHits(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
	words := searchWords(text)
	if len(words) == 0 {
		return nil, nil
	}
	from, upto := db.PrefixRange(words[0])
	rows, err := searchAssets.All(ctx, tx, db.Args{"from": from, "upto": upto, "limit": limit})
	if err != nil {
		return nil, err
	}
	out := make([]search.Hit, len(rows))
	for i, r := range rows {
		out[i] = search.Hit{Title: r.Name, Hint: hint(r), Path: assetPath(r.ID), Icon: typeIcon(r.Type)}
	}
	return out, nil
}

func hint(r briefRow) string {
	if Lifecycle(r.Lifecycle) == Retired {
		return typeTitle(r.Type) + ", retired"
	}
	return typeTitle(r.Type) + ", " + environmentLabel(r.Environment)
}

func (s *Service) resolvers() []search.Resolver {
	return []search.Resolver{{
		Type: SubjectAsset, Label: "Asset",
		Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := briefsByID.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, r := range rows {
				out[r.ID] = search.Ref{Title: r.Name, Path: assetPath(r.ID), State: lifecycleLabel(Lifecycle(r.Lifecycle))}
			}
			return out, err
		},
	}}
}
