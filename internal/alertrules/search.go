package alertrules

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func searchSources() []search.Source {
	return []search.Source{
		{Name: "alerts", Permission: ReadAlerts, Find: func(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
			rows, err := findAlerts.All(ctx, tx, db.Args{"text": text, "limit": limit})
			if err != nil {
				return nil, err
			}
			out := make([]search.Hit, len(rows))
			for i, a := range rows {
				out[i] = search.Hit{Title: a.HostTitle, Hint: "Firing alert · " + a.RuleName, Path: "/alerts/" + a.ID.String(), Icon: "siren"}
			}
			return out, nil
		}},
		{Name: "alert_rules", Permission: ReadRules, Find: func(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
			rows, err := findRules.All(ctx, tx, db.Args{"text": text, "limit": limit})
			if err != nil {
				return nil, err
			}
			out := make([]search.Hit, len(rows))
			for i, r := range rows {
				out[i] = search.Hit{Title: r.Name, Hint: "Alert rule", Path: "/alert-rules/" + r.ID.String(), Icon: "bell"}
			}
			return out, nil
		}},
	}
}

func resolvers() []search.Resolver {
	return []search.Resolver{
		{Type: "alert_rule", Label: "Alert rule", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := ruleNames.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, r := range rows {
				out[r.ID] = search.Ref{Title: r.Name, Path: "/alert-rules/" + r.ID.String()}
			}
			return out, err
		}},
		{Type: "alert_silence", Label: "Silence", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := silenceNames.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, r := range rows {
				out[r.ID] = search.Ref{Title: r.Name, Path: "/alert-silences/" + r.ID.String()}
			}
			return out, err
		}},
		{Type: "alert", Label: "Alert", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := alertNames.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, a := range rows {
				out[a.ID] = search.Ref{Title: a.HostTitle + ": " + a.RuleName, Path: "/alerts/" + a.ID.String(), State: string(a.State)}
			}
			return out, err
		}},
	}
}
