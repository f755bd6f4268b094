package certificates

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// startOfDay returns when the day of a time began in UTC. Counts of ends are kept by such
// days, so that what a list says and what it shows never differ by a part of a day.
func startOfDay(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// nameCount is how many hosts have a name.
type nameCount struct {
	Name  string
	Count int64
}

// hostCounts is how many hosts of a workspace there are of each kind.
type hostCounts struct {
	Total, Active, Paused int64
	// Soon is how many active hosts end from today to soonDays from now, and Weeks in each
	// block of seven days from today; those that have expired already are left out of both.
	Soon  int64
	Weeks [weeksShown]int64
	// active and all hosts by status.
	active, all map[Status]int64
	// The most frequent ones, by name; of owners the memberships.
	Issuers, Owners, Tags []nameCount
}

func newHostCounts(rows []countRow) hostCounts {
	c := hostCounts{active: map[Status]int64{}, all: map[Status]int64{}}
	names := map[string][]countRow{}
	spans := spanStarts()
	for _, r := range rows {
		switch r.Kind {
		case countStatus:
			state, status, _ := strings.Cut(r.Key, " ")
			c.Total += r.Count
			c.all[Status(status)] += r.Count
			if State(state) == Paused {
				c.Paused += r.Count
				continue
			}
			c.Active += r.Count
			c.active[Status(status)] += r.Count
		case countEnds:
			span, err := strconv.Atoi(r.Key)
			if err != nil || span < 1 || span > len(spans) {
				continue
			}
			day := spans[span-1]
			c.Weeks[day/7] += r.Count
			if day <= soonDays {
				c.Soon += r.Count
			}
		default:
			names[r.Kind] = append(names[r.Kind], r)
		}
	}
	c.Issuers, c.Owners, c.Tags = frequent(names[countIssuer]), frequent(names[countOwner]), frequent(names[countTag])
	return c
}

// frequent returns the most frequent names with the most hosts first. Where there are more
// names than were read, those of which only the latest changes are known are left out.
func frequent(rows []countRow) []nameCount {
	whole := 0
	for _, r := range rows {
		if r.Whole {
			whole++
		}
	}
	var out []nameCount
	for _, r := range rows {
		if r.Count > 0 && (r.Whole || whole < choices) {
			out = append(out, nameCount{Name: r.Key, Count: r.Count})
		}
	}
	slices.SortFunc(out, func(a, b nameCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), choices)]
}

// activeOf returns how many active hosts have one of the statuses.
func (c hostCounts) activeOf(statuses []Status) int64 {
	n := int64(0)
	for _, s := range statuses {
		n += c.active[s]
	}
	return n
}

// view returns how many hosts a view shows.
func (c hostCounts) view(name string) int64 {
	switch name {
	case viewAttention:
		return c.activeOf(attention())
	case viewExpiring:
		return c.Soon
	case viewFailing:
		return c.activeOf(failingStatuses())
	case viewMisconfigured:
		return c.activeOf(misconfigured())
	case viewHealthy:
		return c.active[Status(x509lint.StatusValid)]
	case viewExpired:
		return c.active[Status(x509lint.StatusExpired)]
	case viewPaused:
		return c.Paused
	}
	return c.Total
}

// matching returns how many hosts a filter shows that one of these counts answers.
func (c hostCounts) matching(f hostFilter) int64 {
	switch {
	case f.View != "":
		return c.view(f.View)
	case f.State == string(Active):
		return c.Active
	case f.State == string(Paused):
		return c.Paused
	case f.Status != "":
		n := int64(0)
		for _, s := range uniq(splitList(f.Status)) {
			n += c.all[Status(s)]
		}
		return n
	}
	return c.Total
}

func uniq(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// listCap is where counting stops for a filter that no count answers.
const listCap = 1000

// total is how many hosts a filter shows, once its batch has run.
type total struct {
	filter hostFilter
	// rows is nil when the counts of the page say it.
	rows *db.Result[int64]
	// limit is where counting stopped, 0 for a number that is exact.
	limit int64
}

// queueTotal adds what it takes to know how many hosts the filter of a query shows.
func queueTotal(b *db.Batch, f hostFilter, q *db.ListQuery[listedHost]) total {
	t := total{filter: f}
	kept := func(kind, key string) { t.rows = readCount.Queue(b, db.Args{"kind": kind, "key": key}) }
	switch {
	case f.parts() > 1 || f.Text != "" || f.Hostname != "" || !f.Before.IsZero() || f.Owner == "none":
		t.rows, t.limit = q.QueueCountTo(b, listCap+1), listCap
	case f.Tag != "":
		kept(countTag, strings.ToLower(storable(f.Tag)))
	case f.Issuer != "":
		kept(countIssuer, storable(f.Issuer))
	case f.Owner != "":
		kept(countOwner, strings.ToLower(f.Owner))
	}
	return t
}

func (t total) number(c hostCounts) int64 {
	if t.rows == nil {
		return c.matching(t.filter)
	}
	n, _ := t.rows.First()
	return n
}

// text writes the number, with a plus when counting stopped.
func (t total) text(c hostCounts) string {
	if n := t.number(c); t.limit == 0 || n <= t.limit {
		return group(n)
	}
	return group(t.limit) + "+"
}

// parts returns how many conditions the filter has.
func (f hostFilter) parts() int {
	n := 0
	for _, part := range []string{f.Text, f.Status, f.State, f.Hostname, f.Tag, f.Issuer, f.Owner, f.View} {
		if part != "" {
			n++
		}
	}
	return n
}

// MergeArgs put the changes of each count together, in all workspaces.
type MergeArgs struct{}

// Kind implements river.JobArgs.
func (MergeArgs) Kind() string { return "certificates.merge_counts" }

// InsertOpts implements river.JobArgsWithInsertOpts: one at a time, and a missed one is
// made up by the next.
func (MergeArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByPeriod: mergeEvery}}
}

// mergeEvery is how often changes are put together, and mergeBatch how many in one
// transaction.
const (
	mergeEvery = time.Minute
	mergeBatch = 20_000
)

type mergeWorker struct {
	river.WorkerDefaults[MergeArgs]
	s *Service
}

// Work implements river.Worker.
func (w *mergeWorker) Work(ctx context.Context, _ *river.Job[MergeArgs]) error {
	return w.s.MergeCounts(ctx)
}

// MergeCounts makes one row of the changes of each count, in all workspaces, so that
// reading them stays cheap.
func (s *Service) MergeCounts(ctx context.Context) error {
	changed, err := unmerged.All(ctx, s.db.SystemRead(), nil)
	if err != nil {
		return db.Classify(err)
	}
	for _, ws := range changed {
		for n := int64(mergeBatch); n >= mergeBatch; {
			err := s.db.InWorkspace(ctx, db.System(ws, "counts put together"), func(tx *db.Tx) error {
				var err error
				n, err = mergeCounts.One(ctx, tx, db.Args{"limit": mergeBatch})
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
