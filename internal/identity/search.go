package identity

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// tokenRefs names tokens in the audit log.
func tokenRefs() search.Resolver {
	return search.Resolver{
		Type: "token", Label: "API token",
		Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := tokensByID.All(ctx, tx, db.Args{"ids": ids})
			if err != nil {
				return nil, err
			}
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, t := range rows {
				out[t.ID] = search.Ref{Title: t.Name, Path: settingsPath, State: t.State(tx.Now)}
			}
			return out, nil
		},
	}
}

// sessionRefs gives sessions a label only: they stand above workspaces, and what an audit
// entry says of one is all that a workspace knows.
func sessionRefs() search.Resolver {
	return search.Resolver{
		Type: "session", Label: "Session",
		Resolve: func(context.Context, *db.Tx, []uuid.UUID) (map[uuid.UUID]search.Ref, error) { return nil, nil },
	}
}
