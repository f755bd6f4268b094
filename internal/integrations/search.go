package integrations

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// pathWebhooks is where the pages of endpoints are, below the workspace.
const pathWebhooks = "/integrations/webhooks"

func (s *Service) searchSource() search.Source {
	return search.Source{
		Name: "webhooks", Permission: ManageWebhooks,
		Find: func(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
			rows, err := findEndpoints.All(ctx, tx, db.Args{"text": text, "limit": limit})
			if err != nil {
				return nil, err
			}
			out := make([]search.Hit, len(rows))
			for i, e := range rows {
				out[i] = search.Hit{Title: e.Name(), Hint: "Webhook", Path: pathWebhooks + "/" + e.ID.String(), Icon: "webhook"}
			}
			return out, nil
		},
	}
}

func (s *Service) resolver() search.Resolver {
	return search.Resolver{
		Type: SubjectType, Label: "Webhook",
		Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := endpointsByID.All(ctx, tx, db.Args{"ids": ids, "limit": MaxEndpoints})
			if err != nil {
				return nil, err
			}
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, e := range rows {
				out[e.ID] = search.Ref{Title: e.Name(), Path: pathWebhooks + "/" + e.ID.String(), State: health(e).Label()}
			}
			return out, nil
		},
	}
}
