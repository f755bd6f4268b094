package certificates

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// HostExpiry is a host and its certificate as other modules judge it. NotAfter is zero
// when no certificate is known.
type HostExpiry struct {
	HostID       uuid.UUID
	Title        string // host:port
	Path         string
	NotBefore    time.Time
	NotAfter     time.Time
	Status       string
	StatusDetail string
	Tags         []string
	SnapshotID   uuid.NullUUID
	// WarnDays and CriticalDays are the host's own limits; nil for none.
	WarnDays, CriticalDays *int
	OwnerMemberID          uuid.NullUUID
}

func (h Host) expiry() HostExpiry {
	e := HostExpiry{
		HostID: h.ID, Title: h.Title(), Path: h.Path(), Status: string(h.Status), StatusDetail: h.StatusDetail,
		Tags: h.Tags, SnapshotID: h.SnapshotID, WarnDays: days(h.WarnDays), CriticalDays: days(h.CriticalDays),
		OwnerMemberID: h.OwnerID,
	}
	if h.HasCertificate() {
		e.NotAfter = h.NotAfter
		if h.NotBefore != nil {
			e.NotBefore = *h.NotBefore
		}
	}
	return e
}

func days(n *int32) *int {
	if n == nil {
		return nil
	}
	d := int(*n)
	return &d
}

// Hosts returns the hosts of the given ids, at most 1,000. Ids that do not exist are
// missing.
func (s *Service) Hosts(ctx context.Context, tx *db.Tx, ids []uuid.UUID) ([]HostExpiry, error) {
	hosts, err := hostsByID.All(ctx, tx, db.Args{"ids": ids})
	return expiries(hosts), err
}

// HostsByExpiry returns hosts whose certificate ends before a moment, in the order of
// their ids: pass the last one as after to go on, and the zero id to begin. Hosts without a
// certificate count as ending with the year 9999.
func (s *Service) HostsByExpiry(ctx context.Context, tx *db.Tx, before time.Time, after uuid.UUID, limit int) ([]HostExpiry, error) {
	hosts, err := hostsByExpiry.All(ctx, tx, db.Args{"before": before, "after": after, "limit": limit})
	return expiries(hosts), err
}

func expiries(hosts []Host) []HostExpiry {
	out := make([]HostExpiry, len(hosts))
	for i, h := range hosts {
		out[i] = h.expiry()
	}
	return out
}

// HostFacts returns what the last successful scan of a host found. ok is false when there
// was none.
func (s *Service) HostFacts(ctx context.Context, tx *db.Tx, id uuid.UUID) (f tlsscan.Facts, ok bool, err error) {
	snap, ok, err := snapshotOfHost.Maybe(ctx, tx, db.Args{"id": id})
	if err != nil || !ok {
		return f, false, err
	}
	f, err = snap.ReadFacts()
	return f, err == nil, err
}

// HasHost reports whether the workspace watches anything.
func (s *Service) HasHost(ctx context.Context, tx *db.Tx) (bool, error) {
	return anyHost.One(ctx, tx, nil)
}

// QueueHasHost is HasHost in a batch, for the getting-started page.
func (s *Service) QueueHasHost(b *db.Batch) *db.Result[bool] { return anyHost.Queue(b, nil) }

// HomeItem is a line on the home page: a host that needs somebody. Tone is that of
// templates/ui.
type HomeItem struct {
	Title string
	// Path is below the workspace.
	Path string
	Meta string
	Tone string
}

// maxUrgent is how many hosts there are on the home page at most.
const maxUrgent = 20

// QueueHome reads hosts that fail or whose certificate is in its last 30 days, worst
// first, at most limit and maxUrgent.
func (s *Service) QueueHome(b *db.Batch, limit int) func() []HomeItem {
	now := b.Now()
	ending := []Status{Status(x509lint.StatusExpired), Status(x509lint.StatusCritical), Status(x509lint.StatusExpiring)}
	urgent := slices.DeleteFunc(Statuses(), func(v Status) bool { return !v.Failing() && !slices.Contains(ending, v) })
	hosts := urgentHosts.Queue(b, db.Args{
		"statuses": texts(urgent), "ending": texts(ending), "until": now.Add(soonDays * 24 * time.Hour),
	})
	return func() []HomeItem {
		out := make([]HomeItem, min(limit, len(hosts.Rows)))
		for i, h := range hosts.Rows[:len(out)] {
			out[i] = HomeItem{Title: h.Title(), Path: h.Path(), Meta: homeWords(h, now), Tone: string(statusTone(h.Status))}
		}
		return out
	}
}

// homeWords says in a few words why a host needs somebody.
func homeWords(h Host, now time.Time) string {
	if h.Status.Failing() || !h.HasCertificate() {
		return statusLabel(h.Status)
	}
	return "Expires " + inDays(h.NotAfter, now)
}

// soonDays is the last stretch of a certificate in which lists and the home page show it.
const soonDays = 30

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// daysLeft returns the whole days that remain, for a host with a certificate.
func (h Host) daysLeft(now time.Time) int { return x509lint.DaysLeft(h.NotAfter, now) }
