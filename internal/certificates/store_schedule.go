package certificates

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// claim is a host that this process took for one slot.
type claim struct {
	WorkspaceID uuid.UUID `db:"workspace_id"`
	HostID      uuid.UUID `db:"host_id"`
	Slot        time.Time `db:"slot"`
}

// takeDue moves the chosen hosts to their next slot and leases them, in the statement that
// takes them: a slot is handed out once, and one that was missed is skipped. The next slot
// is k × interval + phase; up to @jitter of the interval is added to its start only. An
// edge before it, where time alone changes the status, comes first. Rows that another
// process holds or has just moved are left to it.
const takeDue = `
	taken AS (
		SELECT s.workspace_id, s.host_id, s.next_at
		FROM host_schedule s
		JOIN chosen c ON c.workspace_id = s.workspace_id AND c.host_id = s.host_id
		WHERE s.next_at <= @now AND (s.lease_until IS NULL OR s.lease_until <= @now)
		FOR UPDATE OF s SKIP LOCKED
	)
	UPDATE host_schedule s
	SET lease_until = @lease,
		next_at = least(
			to_timestamp(((floor(extract(epoch FROM @now::timestamptz))::bigint - s.phase_s) / s.interval_s + 1) * s.interval_s + s.phase_s)
				+ make_interval(secs => random() * @jitter::float8 * s.interval_s),
			CASE WHEN s.edge_at > @now THEN s.edge_at END)
	FROM taken t
	WHERE s.workspace_id = t.workspace_id AND s.host_id = t.host_id
	RETURNING s.workspace_id, s.host_id, t.next_at AS slot`

var (
	// claimDue takes the longest due, whoever's they are. The constant limit tells the
	// planner that there are few whatever @limit is; without it, it reads the whole table.
	claimDue = db.DefineSystem[claim]("certificates.claim_due", `
	WITH chosen AS (
		SELECT workspace_id, host_id
		FROM (
			SELECT workspace_id, host_id, next_at
			FROM host_schedule
			WHERE next_at <= @now AND (lease_until IS NULL OR lease_until <= @now)
			ORDER BY next_at
			LIMIT 500) AS due
		ORDER BY next_at
		LIMIT @limit
	), `+takeDue)

	// claimFairly takes turns among workspaces: the longest due of each, then the second of
	// each. It is for times with more due than one claim takes, when the order of time
	// alone would let one workspace hold up all others.
	claimFairly = db.DefineSystem[claim]("certificates.claim_fairly", `
	WITH due AS (
		SELECT w.id AS workspace_id, d.host_id, d.next_at, row_number() OVER (PARTITION BY w.id ORDER BY d.next_at) AS turn
		FROM workspaces w
		CROSS JOIN LATERAL (
			SELECT s.host_id, s.next_at
			FROM host_schedule s
			WHERE s.workspace_id = w.id AND s.next_at <= @now AND (s.lease_until IS NULL OR s.lease_until <= @now)
			ORDER BY s.next_at
			LIMIT @share
		) d
	), chosen AS (
		SELECT workspace_id, host_id
		FROM (SELECT workspace_id, host_id, turn, next_at FROM due ORDER BY turn, next_at LIMIT 500) AS first
		ORDER BY turn, next_at
		LIMIT @limit
	), `+takeDue)

	// giveBack returns hosts that were taken and not scanned, when a process stops.
	giveBack = db.DefineSystemCommand("certificates.give_back", `
	UPDATE host_schedule s
	SET next_at = least(s.next_at, @now), lease_until = NULL
	FROM unnest(@workspaces::uuid[], @hosts::uuid[]) AS r(workspace_id, host_id)
	WHERE s.workspace_id = r.workspace_id AND s.host_id = r.host_id`)

	insertSchedule = db.DefineCommand("certificates.insert_schedule", `
	INSERT INTO host_schedule (workspace_id, host_id, next_at, interval_s, phase_s, edge_at)
	SELECT @ws, r.host_id, r.next_at, r.interval_s, r.phase_s, NULL
	FROM unnest(@hosts::uuid[], @next::timestamptz[], @intervals::int[], @phases::int[]) AS r(host_id, next_at, interval_s, phase_s)
	ON CONFLICT (workspace_id, host_id) DO UPDATE
	SET next_at = excluded.next_at, interval_s = excluded.interval_s, phase_s = excluded.phase_s`)

	deleteSchedule = db.DefineCommand("certificates.delete_schedule", `
	DELETE FROM host_schedule WHERE workspace_id = @ws AND host_id = ANY(@hosts)`)

	// setEdges notes when time alone will change the status, and brings the next scan
	// forward to that moment, or to @retry for a host that failed for the first time.
	setEdges = db.DefineCommand("certificates.set_edges", `
	UPDATE host_schedule s
	SET edge_at = r.edge_at, next_at = least(s.next_at, r.edge_at, r.retry_at)
	FROM unnest(@hosts::uuid[], @edges::timestamptz[], @retries::timestamptz[]) AS r(host_id, edge_at, retry_at)
	WHERE s.workspace_id = @ws AND s.host_id = r.host_id`)
)

// addSchedule gives active hosts their place in the schedule. first says when a host is
// scanned for the first time.
func addSchedule(ctx context.Context, tx *db.Tx, hosts []Host, first func(Host) time.Time) error {
	var ids []uuid.UUID
	var next []time.Time
	var intervals, phases []int32
	for _, h := range hosts {
		if h.State != Active {
			continue
		}
		interval := h.Interval.Duration()
		ids, next = append(ids, h.ID), append(next, first(h))
		intervals = append(intervals, int32(interval/time.Second))                 //nolint:gosec // at most a day
		phases = append(phases, int32(Phase(h.ID.String(), interval)/time.Second)) //nolint:gosec // below the interval
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := insertSchedule.Run(ctx, tx, db.Args{"hosts": ids, "next": next, "intervals": intervals, "phases": phases})
	return err
}

// nextSlot is the host's first regular slot after now.
func nextSlot(now time.Time) func(Host) time.Time {
	return func(h Host) time.Time {
		interval := h.Interval.Duration()
		return NextSlot(now, interval, Phase(h.ID.String(), interval))
	}
}

// at is the same first scan for all hosts.
func at(t time.Time) func(Host) time.Time { return func(Host) time.Time { return t } }

// claimDueHosts takes up to limit due hosts until lease. fair takes turns among workspaces.
func claimDueHosts(ctx context.Context, tx *db.SystemTx, limit int, fair bool, lease time.Time, jitter float64) ([]claim, error) {
	args := db.Args{"limit": limit, "lease": lease, "jitter": jitter}
	if !fair {
		return claimDue.All(ctx, tx, args)
	}
	args["share"] = fairShare
	return claimFairly.All(ctx, tx, args)
}

// fairShare is how many hosts of one workspace a fair claim looks at.
const fairShare = 100
