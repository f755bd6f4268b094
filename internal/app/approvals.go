package app

import (
	"context"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/members"
	"github.com/vigilo/vigilo/internal/notifications"
)

// approvalPeople tells people about approvals through module notifications.
type approvalPeople struct{ notifications *notifications.Service }

func (p approvalPeople) Notify(ctx context.Context, tx *db.Tx, n approvals.Notice) error {
	return p.notifications.Notify(ctx, tx, notifications.Notice(n))
}

// approvalsNow lists what waits for the reader's decision, for whoever decides at all.
func (s *Services) approvalsNow(b *db.Batch, a db.Actor) func() members.HomeSection {
	items := s.Approvals.QueueHome(b, a, homeLimit)
	return func() members.HomeSection {
		if items == nil {
			return members.HomeSection{}
		}
		out := members.HomeSection{Title: "Approvals", Href: "/approvals", Empty: "Nothing waits for your decision."}
		for _, i := range items() {
			out.Items = append(out.Items, members.HomeItem{Title: i.Title, Href: i.Href, Meta: i.Meta, Tone: i.Tone, Icon: "clipboard-check"})
		}
		return out
	}
}
