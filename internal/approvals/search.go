package approvals

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func searchSources() []search.Source {
	return []search.Source{{
		Name: "approval_policies", Permission: ReadPolicies, Find: func(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
			rows, err := findPolicies.All(ctx, tx, db.Args{"text": text, "limit": limit})
			out := make([]search.Hit, len(rows))
			for i, p := range rows {
				out[i] = search.Hit{Title: p.Name, Hint: "Approval policy", Path: "/settings/approval-policies/" + p.ID.String(), Icon: "clipboard-check"}
			}
			return out, err
		},
	}}
}

func resolvers() []search.Resolver {
	return []search.Resolver{
		{Type: "approval_policy", Label: "Approval policy", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := policyNames.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, p := range rows {
				out[p.ID] = search.Ref{Title: p.Name, Path: "/settings/approval-policies/" + p.ID.String()}
			}
			return out, err
		}},
		{Type: "approval_request", Label: "Approval", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := requestRefs.All(ctx, tx, db.Args{"ids": ids})
			return refsOf(rows), err
		}},
		{Type: "approval_decision", Label: "Decision", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := decisionRefs.All(ctx, tx, db.Args{"ids": ids})
			return refsOf(rows), err
		}},
		{Type: "delegation", Label: "Delegation", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := delegationRefs.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, d := range rows {
				out[d.ID] = search.Ref{Title: nameOr(d.DelegateName) + " for " + nameOr(d.PrincipalName), Key: d.Key, Path: "/account/away"}
			}
			return out, err
		}},
		{Type: "absence", Label: "Absence", Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := absenceRefs.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, a := range rows {
				out[a.ID] = search.Ref{Title: "Absence of " + nameOr(a.Name)}
			}
			return out, err
		}},
	}
}

func refsOf(rows []refRow) map[uuid.UUID]search.Ref {
	out := make(map[uuid.UUID]search.Ref, len(rows))
	for _, r := range rows {
		out[r.ID] = search.Ref{Title: r.Title, Key: r.Key, Path: r.Path, State: string(r.State)}
	}
	return out
}
