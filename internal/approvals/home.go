package approvals

import (
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
)

// HomeItem is a seat that waits for the reader of the home page. Tone is "", warn or crit.
type HomeItem struct {
	Title string
	Href  string // below the workspace
	Meta  string
	Tone  string
}

// QueueHome reads what waits for the actor's decision, soonest due first. What it returns
// makes the items of it once the batch has run; it is nil for people who decide nothing.
func (s *Service) QueueHome(b *db.Batch, a db.Actor, limit int) func() []HomeItem {
	if !s.policy.Can(a, DecideApprovals) {
		return nil
	}
	page, now := queueList.Query().Filter("mine", db.Args{"me": a.UserID}).Limit(limit).Queue(b), b.Now()
	return func() []HomeItem {
		out := make([]HomeItem, len(page.Page.Items))
		for i, q := range page.Page.Items {
			out[i] = HomeItem{Title: strings.TrimSpace(q.Key + " " + q.Title), Href: "/approvals/" + q.SeatID.String(), Meta: q.Stage + ", due " + timetext.Relative(q.DueAt, now)}
			switch left := q.DueAt.Sub(now); {
			case left <= 0:
				out[i].Tone, out[i].Meta = "crit", q.Stage+", overdue"
			case left < 24*time.Hour:
				out[i].Tone = "warn"
			}
		}
		return out
	}
}
