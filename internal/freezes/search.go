package freezes

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func searchSources() []search.Source {
	return []search.Source{{Name: "freezes", Permission: ReadFreezes, Find: func(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
		rows, err := findFreezes.All(ctx, tx, db.Args{"text": text, "limit": limit})
		if err != nil {
			return nil, err
		}
		out := make([]search.Hit, len(rows))
		for i, r := range rows {
			out[i] = search.Hit{Title: r.Name, Hint: r.Kind.Label() + " · " + r.State.Label(), Path: listPath + "/" + r.ID.String(), Icon: r.Kind.icon()}
		}
		return out, nil
	}}}
}

func resolvers() []search.Resolver {
	return []search.Resolver{
		{Type: "freeze", Label: "Freeze or maintenance window", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := freezeNames.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, r := range rows {
				out[r.ID] = search.Ref{Title: r.Name, Path: listPath + "/" + r.ID.String(), State: string(r.State)}
			}
			return out, err
		}},
		{Type: "freeze_override", Label: "Override of a freeze", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := overrideNames.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, r := range rows {
				out[r.ID] = search.Ref{
					Title: r.Name + " for " + r.ChangeKey, State: string(r.State),
					Path: Override{ID: r.ID, FreezeID: r.FreezeID}.Path(),
				}
			}
			return out, err
		}},
	}
}
