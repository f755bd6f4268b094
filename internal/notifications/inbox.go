package notifications

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// unreadCap is where counting unread notifications stops.
const unreadCap = 100

// Inbox is a page of a member's notifications, with how many are unread (at most 100).
type Inbox struct {
	Page   db.Page[Item]
	Unread int64
}

// InboxFilter says which notifications to show.
type InboxFilter struct {
	Unread bool
	Cursor string
	Limit  int
}

// Inbox reads the actor's notifications, newest first.
func (s *Service) Inbox(ctx context.Context, a db.Actor, f InboxFilter) (Inbox, error) {
	user, err := self(a)
	if err != nil {
		return Inbox{}, err
	}
	q := inbox.Query().Filter("mine", db.Args{"user": user}).Limit(f.Limit)
	if f.Unread {
		q = q.Filter("unread", nil)
	}
	if q, err = q.After(f.Cursor); err != nil {
		return Inbox{}, err
	}
	var page *db.PageResult[Item]
	var unread *db.Result[int64]
	err = s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		page = q.Queue(b)
		unread = countUnread.Queue(b, db.Args{"user": user})
	})
	if err != nil {
		return Inbox{}, err
	}
	n, _ := unread.First()
	return Inbox{Page: page.Page, Unread: n}, nil
}

// MarkRead marks notifications of the actor as read and returns how many were not. Ids
// that are not theirs are passed over: they look like ids that do not exist.
func (s *Service) MarkRead(ctx context.Context, a db.Actor, ids []uuid.UUID) (int64, error) {
	if len(ids) > 200 {
		return 0, fault.InvalidField("ids", "too_many", "Mark at most 200 at once, or all.")
	}
	return s.mark(ctx, a, func(ctx context.Context, tx *db.Tx, user uuid.UUID) (int64, error) {
		return markRead.Run(ctx, tx, db.Args{"user": user, "ids": ids})
	})
}

// MarkAllRead marks everything in the actor's inbox as read.
func (s *Service) MarkAllRead(ctx context.Context, a db.Actor) (int64, error) {
	return s.mark(ctx, a, func(ctx context.Context, tx *db.Tx, user uuid.UUID) (int64, error) {
		return markAllRead.Run(ctx, tx, db.Args{"user": user})
	})
}

func (s *Service) mark(ctx context.Context, a db.Actor, run func(context.Context, *db.Tx, uuid.UUID) (int64, error)) (int64, error) {
	user, err := self(a)
	if err != nil {
		return 0, err
	}
	var n int64
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if n, err = run(ctx, tx, user); err != nil || n == 0 {
			return err
		}
		return event.Tell(ctx, tx, event.LiveMessage{Name: "notification.read", SubjectType: bellTopic, UserID: user})
	})
	return n, err
}

// Find reads one notification of the actor.
func (s *Service) Find(ctx context.Context, a db.Actor, id uuid.UUID) (Item, error) {
	user, err := self(a)
	if err != nil {
		return Item{}, err
	}
	var item Item
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		item, err = loadItem.One(ctx, tx, db.Args{"user": user, "id": id})
		return err
	})
	return item, err
}
