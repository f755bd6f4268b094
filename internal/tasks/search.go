package tasks

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func (s *Service) searchSources() []search.Source {
	return []search.Source{{Name: "tasks", Permission: CanRead, Find: findHits}}
}

func findHits(ctx context.Context, tx *db.Tx, text string, limit int) ([]search.Hit, error) {
	words := searchWords(text)
	if len(words) == 0 {
		return nil, nil
	}
	from, upto := db.PrefixRange(words[0])
	rows, err := findTasks.All(ctx, tx, db.Args{"from": from, "upto": upto, "limit": limit})
	if err != nil {
		return nil, err
	}
	out := make([]search.Hit, len(rows))
	for i, t := range rows {
		out[i] = search.Hit{Title: t.Key + " " + t.Title, Hint: "Task, " + stateWord(t.State), Path: t.Path(), Icon: "list-todo"}
	}
	return out, nil
}

func (s *Service) resolvers() []search.Resolver {
	return []search.Resolver{{
		Type: SubjectTask, Label: "Task",
		Resolve: func(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
			rows, err := tasksByIDs.All(ctx, tx, db.Args{"ids": ids})
			out := make(map[uuid.UUID]search.Ref, len(rows))
			for _, t := range rows {
				out[t.ID] = ref(t)
			}
			return out, err
		},
		ByKey: func(ctx context.Context, tx *db.Tx, key string) (search.Ref, bool, error) {
			if key = keyOf(key); key == "" {
				return search.Ref{}, false, nil
			}
			t, ok, err := taskByKey.Maybe(ctx, tx, db.Args{"key": key})
			return ref(t), ok, err
		},
	}}
}

func ref(t Task) search.Ref {
	return search.Ref{Title: t.Title, Key: t.Key, Path: t.Path(), State: stateWord(t.State)}
}
