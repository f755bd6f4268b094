package app

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/notifications"
)

// freezeOwners lists who may own a freeze and grant overrides.
func (s *Services) freezeOwners(ctx context.Context, tx *db.Tx) ([]freezes.Person, error) {
	people, err := s.Members.People(ctx, tx)
	if err != nil {
		return nil, err
	}
	out := make([]freezes.Person, len(people))
	for i, p := range people {
		out[i] = freezes.Person{UserID: p.UserID, Name: p.Name, Email: p.Email, Role: p.Role}
	}
	return out, nil
}

// freezePeople tells people about overrides through module notifications.
type freezePeople struct{ notifications *notifications.Service }

func (p freezePeople) Notify(ctx context.Context, tx *db.Tx, n freezes.Notice) error {
	return p.notifications.Notify(ctx, tx, notifications.Notice(n))
}

// The certificates that a freeze may meet are read in batches, up to a limit that no person
// would read to its end.
const (
	endingBatch = 500
	endingLimit = 5000
)

// certificatesEnding lists the hosts whose certificate ends between two moments, soonest
// first.
func (s *Services) certificatesEnding(ctx context.Context, tx *db.Tx, from, to time.Time) ([]freezes.PreviewItem, error) {
	var out []freezes.PreviewItem
	after := uuid.Nil
	for read := 0; read < endingLimit; read += endingBatch {
		hosts, err := s.Certificates.HostsByExpiry(ctx, tx, to, after, endingBatch)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			after = h.HostID
			if !h.NotAfter.Before(from) {
				out = append(out, freezes.PreviewItem{ID: h.HostID, Title: h.Title, Path: h.Path, At: h.NotAfter})
			}
		}
		if len(hosts) < endingBatch {
			break
		}
	}
	slices.SortStableFunc(out, func(a, b freezes.PreviewItem) int { return a.At.Compare(b.At) })
	return out, nil
}
