package changes

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func (s *Service) searchSources() []search.Source {
	return []search.Source{{Name: "changes", Permission: CanRead, Find: findHits}}
}

func findHits(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
	words := searchWords(text)
	if len(words) == 0 {
		return nil, nil
	}
	from, upto := db.PrefixRange(words[0])
	rows, err := findItems.All(ctx, tx, db.Args{"from": from, "upto": upto, "limit": limit})
	if err != nil {
		return nil, err
	}
	out := make([]search.Hit, len(rows))
	for i, c := range rows {
		out[i] = search.Hit{Title: c.Key + " " + c.Title, Hint: "Change, " + lowerFirst(c.State.Label()), Path: c.Path(), Icon: "git-pull-request-arrow"}
	}
	return out, nil
}

func (s *Service) resolvers() []search.Resolver {
	return []search.Resolver{
		{
			Type: SubjectChange, Label: "Change",
			Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
				rows, err := itemsByIDs.All(ctx, tx, db.Args{"ids": ids})
				out := make(map[uuid.UUID]search.Ref, len(rows))
				for _, c := range rows {
					out[c.ID] = search.Ref{Title: c.Title, Key: c.Key, Path: c.Path(), State: c.State.Label()}
				}
				return out, err
			},
			ByKey: func(ctx context.Context, tx *db.Tx, key string) (search.Ref, bool, error) {
				if key = keyOf(key); key == "" {
					return search.Ref{}, false, nil
				}
				c, ok, err := changeByKey.Maybe(ctx, tx, db.Args{"key": key})
				return search.Ref{Title: c.Title, Key: c.Key, Path: c.Path(), State: c.State.Label()}, ok, err
			},
		},
		{
			Type: SubjectTemplate, Label: "Change template",
			Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
				rows, err := allTemplates.All(ctx, tx, nil)
				out := map[uuid.UUID]search.Ref{}
				for _, t := range rows {
					for _, id := range ids {
						if id == t.ID {
							out[id] = search.Ref{Title: t.Name, Path: t.Path(), State: templateLabel(t.State)}
						}
					}
				}
				return out, err
			},
		},
	}
}
