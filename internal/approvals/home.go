package approvals

import (
	"context"
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

// Home lists what waits for somebody, nearest deadline first. It is false for whoever
// decides no approvals.
func (s *Service) Home(ctx context.Context, tx *db.Tx, a db.Actor, limit int) ([]HomeItem, bool, error) {
	if !s.policy.Can(a, DecideApprovals) {
		return nil, false, nil
	}
	page, err := queueList.Query().Filter("mine", db.Args{"me": a.UserID}).Limit(limit).Page(ctx, tx)
	if err != nil {
		return nil, false, err
	}
	out := make([]HomeItem, len(page.Items))
	for i, q := range page.Items {
		out[i] = HomeItem{Title: strings.TrimSpace(q.Key + " " + q.Title), Href: "/approvals/" + q.SeatID.String(), Meta: q.Stage + ", due " + timetext.Relative(q.DueAt, tx.Now)}
		switch left := q.DueAt.Sub(tx.Now); {
		case left <= 0:
			out[i].Tone, out[i].Meta = "crit", q.Stage+", overdue"
		case left < 24*time.Hour:
			out[i].Tone = "warn"
		}
	}
	return out, true, nil
}
