package app

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/members"
	"github.com/vigilo/vigilo/internal/notifications"
	"github.com/vigilo/vigilo/internal/tasks"
	"github.com/vigilo/vigilo/templates/ui"
)

// assetOwners lists who may own an asset.
func (s *Services) assetOwners(ctx context.Context, tx *db.Tx) ([]assets.Person, error) {
	people, err := s.Members.People(ctx, tx)
	if err != nil {
		return nil, err
	}
	out := make([]assets.Person, len(people))
	for i, p := range people {
		out[i] = assets.Person{UserID: p.UserID, MemberID: p.MemberID, Name: p.Name, Email: p.Email}
	}
	return out, nil
}

// assignees lists who may be given a task.
func (s *Services) assignees(ctx context.Context, tx *db.Tx) ([]tasks.Person, error) {
	people, err := s.Members.People(ctx, tx)
	if err != nil {
		return nil, err
	}
	out := make([]tasks.Person, len(people))
	for i, p := range people {
		out[i] = tasks.Person{UserID: p.UserID, MemberID: p.MemberID, Name: p.Name, Email: p.Email}
	}
	return out, nil
}

func (s *Services) tellAssignees(ctx context.Context, tx *db.Tx, n tasks.Notice) error {
	return s.Notifications.Notify(ctx, tx, notifications.Notice(n))
}

// wireWork connects assets and tasks: tasks may be for an asset, and its page lists them.
func (s *Services) wireWork() {
	s.Tasks.AddParent(tasks.ParentKind{
		Type: assets.SubjectAsset, Label: "Asset", Icon: "boxes",
		Path: func(id uuid.UUID) string { return "/assets/" + id.String() },
		Read: func(ctx context.Context, tx *db.Tx, id uuid.UUID) (tasks.Parent, error) {
			found, err := s.Assets.Briefs(ctx, tx, []uuid.UUID{id})
			if err != nil {
				return tasks.Parent{}, err
			}
			if len(found) == 0 {
				return tasks.Parent{}, fault.NewNotFound("asset")
			}
			return tasks.Parent{Title: found[0].Name}, nil
		},
	})
	s.Assets.AddPanel(assets.Panel{
		ID: "tasks", Title: "Open tasks", Empty: "No task is open for this asset.", Permission: tasks.CanRead,
		Read: func(b *db.Batch, _ db.Actor, asset uuid.UUID) func(*time.Location, time.Time) (assets.PanelView, error) {
			rows := tasks.QueueForParent(b, assets.SubjectAsset, asset)
			return func(_ *time.Location, now time.Time) (assets.PanelView, error) {
				view := assets.PanelView{
					MoreText: "All", MorePath: "/tasks?parent_type=asset&parent_id=" + asset.String(),
				}
				for _, t := range rows.Rows {
					if t.State.Settled() || len(view.Rows) == homeLimit {
						continue
					}
					badge := tasks.Badge(t)
					row := ui.Row{Icon: "list-todo", Key: t.Key, Title: t.Title, Href: t.Path(), Sub: t.AssigneeName, Badge: &badge}
					if t.Overdue(now) {
						row.Tone = ui.Crit
					}
					view.Rows = append(view.Rows, row)
				}
				return view, nil
			}
		},
	})
	s.Assets.AddReferrer(assets.Referrer{
		One: "task", Many: "tasks",
		Count: func(ctx context.Context, tx *db.Tx, asset uuid.UUID) (int64, error) {
			list, err := s.Tasks.ForParent(ctx, tx, assets.SubjectAsset, asset)
			return int64(len(list)), err
		},
	})
}

// tasksNow lists the reader's own tasks, the most urgent first.
func (s *Services) tasksNow(b *db.Batch, a db.Actor) func() members.HomeSection {
	if a.UserID == uuid.Nil {
		return func() members.HomeSection { return members.HomeSection{} }
	}
	mine, now := s.Tasks.QueueMine(b, a.UserID, homeLimit), b.Now()
	return func() members.HomeSection {
		out := members.HomeSection{Title: "My tasks", Href: "/tasks", Empty: "No task is waiting for you."}
		for _, t := range mine(now) {
			item := members.HomeItem{Title: t.Key + " " + t.Title, Href: t.Path, Icon: "list-todo", Meta: t.When(now)}
			if t.Overdue {
				item.Tone = "crit"
			}
			out.Items = append(out.Items, item)
		}
		return out
	}
}
