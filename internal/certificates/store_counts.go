package certificates

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// This file reads host_counts, which triggers of the database write. A page reads a few
// dozen short rows there instead of counting hosts, whatever their number.

// countRow is one count. Whole is false when the row that the job made of its former
// changes was not read, so that Count says only what changed since.
type countRow struct {
	Kind  string `db:"kind"`
	Key   string `db:"key"`
	Count int64  `db:"count"`
	Whole bool   `db:"whole"`
}

// The kinds of countRow. The key of countEnds is the number of a span of days, from 1.
const (
	countStatus = "status"
	countEnds   = "ends"
	countIssuer = "issuer"
	countOwner  = "owner"
	countTag    = "tag"
)

// choices is how many issuers, owners and tags a filter offers.
const choices = 50

var (
	readCounts = db.Define[countRow]("certificates.counts", `
	SELECT kind, key, sum(delta) AS count, bool_or(merged) AS whole
	FROM (
		SELECT kind, key, delta, merged FROM host_counts WHERE workspace_id = @ws AND kind = 'status'
		UNION ALL
		SELECT kind, width_bucket(key::int, @starts::int[])::text, delta, true FROM host_counts
		WHERE workspace_id = @ws AND kind = 'ends' AND key >= @first AND key < @until
		UNION ALL (`+mostFrequent(countIssuer)+`)
		UNION ALL (`+mostFrequent(countOwner)+`)
		UNION ALL (`+mostFrequent(countTag)+`)
		UNION ALL
		SELECT kind, key, delta, false FROM host_counts
		WHERE workspace_id = @ws AND kind = ANY('{issuer,owner,tag}') AND NOT merged
	) AS parts
	GROUP BY kind, key
	HAVING sum(delta) <> 0`)

	readCount = db.Define[int64]("certificates.count", `
	SELECT coalesce(sum(delta), 0) FROM host_counts WHERE workspace_id = @ws AND kind = @kind AND key = @key`)

	// unmerged lists workspaces whose counts have changed.
	unmerged = db.DefineSystem[uuid.UUID]("certificates.unmerged_counts", `
	SELECT DISTINCT workspace_id FROM host_counts WHERE NOT merged LIMIT 10000`)

	// mergeCounts makes one row of the rows of each count that has new ones. Rows that appear
	// meanwhile are left for the next time, so nobody waits and nothing is counted twice.
	mergeCounts = db.Define[int64]("certificates.merge_counts", `
	WITH todo AS (
		SELECT DISTINCT kind, key FROM (
			SELECT kind, key FROM host_counts WHERE workspace_id = @ws AND NOT merged LIMIT @limit) AS fresh
	), taken AS (
		DELETE FROM host_counts c USING todo t
		WHERE c.workspace_id = @ws AND c.kind = t.kind AND c.key = t.key
		RETURNING c.kind, c.key, c.delta, c.merged
	), put AS (
		INSERT INTO host_counts (workspace_id, kind, key, delta, merged)
		SELECT @ws, kind, key, sum(delta), true FROM taken GROUP BY kind, key HAVING sum(delta) <> 0
	)
	SELECT count(*) FROM taken WHERE NOT merged`)
)

func mostFrequent(kind string) string {
	return `SELECT kind, key, delta, merged FROM host_counts
		WHERE workspace_id = @ws AND kind = '` + kind + `' AND merged ORDER BY delta DESC LIMIT ` + strconv.Itoa(choices)
}

// queueCounts reads the counts that the list shows.
func queueCounts(b *db.Batch, now time.Time) *db.Result[countRow] {
	today := int32(startOfDay(now).Unix() / (24 * 60 * 60)) //nolint:gosec // a number of days
	spans := spanStarts()
	starts := make([]int32, len(spans))
	for i, n := range spans {
		starts[i] = today + n
	}
	key := func(day int32) string { return fmt.Sprintf("%07d", day) }
	return readCounts.Queue(b, db.Args{"starts": starts, "first": key(today), "until": key(today + 7*weeksShown)})
}

// spanStarts returns the days from today on which a span begins: each week, and what comes
// after the last day that is soon.
func spanStarts() []int32 {
	out := []int32{soonDays + 1}
	for week := range int32(weeksShown) {
		out = append(out, 7*week)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
