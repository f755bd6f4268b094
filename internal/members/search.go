package members

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// Action is something to do that the search page and the command palette offer.
type Action struct {
	Label      string
	Path       string // below the workspace
	Icon       string
	Permission access.Permission
}

// Find searches the records of every module that the actor may read.
func (s *Service) Find(ctx context.Context, a db.Actor, text string, limit int) ([]search.Hit, error) {
	var hits []search.Hit
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		hits, err = s.index.Find(ctx, tx, s.policy, text, limit)
		return err
	})
	return hits, err
}

// FindByKey finds the page of a record by its key, such as CHG-00012.
func (s *Service) FindByKey(ctx context.Context, a db.Actor, key string) (search.Ref, bool, error) {
	var ref search.Ref
	var ok bool
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		ref, ok, err = s.index.ByKey(ctx, tx, key)
		return err
	})
	return ref, ok, err
}

func searchSources() []search.Source {
	return []search.Source{
		{Name: "members", Permission: ReadMembers, Find: func(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
			rows, err := findPeople.All(ctx, tx, db.Args{"text": text, "limit": limit})
			if err != nil {
				return nil, err
			}
			out := make([]search.Hit, len(rows))
			for i, r := range rows {
				out[i] = search.Hit{Title: r.Name, Hint: "Member · " + r.Email, Path: "/members/" + r.ID.String(), Icon: "user"}
			}
			return out, nil
		}},
		{Name: "people_groups", Permission: ReadMembers, Find: func(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
			rows, err := findGroups.All(ctx, tx, db.Args{"text": text, "limit": limit})
			if err != nil {
				return nil, err
			}
			out := make([]search.Hit, len(rows))
			for i, r := range rows {
				out[i] = search.Hit{Title: r.Name, Hint: "Group of people", Path: "/members/groups/" + r.ID.String(), Icon: "users"}
			}
			return out, nil
		}},
	}
}

func resolvers() []search.Resolver {
	people := func(statement db.Statement[refRow]) func(context.Context, *db.Tx, []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
		return func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := statement.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, r := range rows {
				out[r.ID] = search.Ref{Title: r.Name, Path: "/members/" + r.MemberID.String(), State: string(r.State)}
			}
			return out, err
		}
	}
	named := func(statement db.Statement[nameRow], path func(uuid.UUID) string) func(context.Context, *db.Tx, []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
		return func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := statement.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, r := range rows {
				out[r.ID] = search.Ref{Title: r.Name, Path: path(r.ID)}
			}
			return out, err
		}
	}
	return []search.Resolver{
		{Type: "member", Label: "Member", Resolve: people(memberRefs)},
		{Type: "user", Label: "Person", Resolve: people(userRefs)},
		{Type: "people_group", Label: "Group of people", Resolve: named(groupNames, func(id uuid.UUID) string { return "/members/groups/" + id.String() })},
		{Type: "invitation", Label: "Invitation", Resolve: named(invitationNames, func(uuid.UUID) string { return "/members/invitations" })},
		{Type: "workspace", Label: "Workspace", Resolve: func(ctx context.Context, tx *db.Tx, _ []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			ws, ok, err := loadWorkspace.Maybe(ctx, tx, nil)
			if err != nil || !ok {
				return nil, err
			}
			return map[uuid.UUID]search.Ref{ws.ID: {Title: ws.Name, Key: ws.Slug, Path: "/settings"}}, nil
		}},
	}
}
