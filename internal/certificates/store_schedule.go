package certificates

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// claim is a host that this process took for one slot.
type claim struct {
	WorkspaceID uuid.UUID `db:"workspace_id"`
	HostID      uuid.UUID `db:"host_id"`
	Slot        time.Time `db:"slot"`
	// IntervalS is the interval in seconds that the slot belongs to, 0 for a scan beside
	// the slots.
	IntervalS int32 `db:"interval_s"`
}

// lastHost comes after every host in the order of ids.
const lastHost = "ffffffff-ffff-ffff-ffff-ffffffffffff"

// freeOfLease keeps away from hosts that somebody is at.
const freeOfLease = `(s.lease_until IS NULL OR s.lease_until <= @now)`

// openSlots are the columns of a cursor that say which slots it has not handed out: those
// behind (from_s, from_host) up to the present second, but never more than one interval of
// them. Slots lie on a circle of phases, so from and to are phases, too.
const openSlots = `
	greatest(c.taken_s, @epoch::bigint - c.interval_s) AS from_s,
	CASE WHEN c.taken_s > @epoch - c.interval_s THEN c.taken_host ELSE '` + lastHost + `' END AS from_host,
	greatest(c.taken_s, @epoch - c.interval_s) % greatest(c.interval_s, 1) AS from_phase,
	@epoch % greatest(c.interval_s, 1) AS to_phase`

// wraps tells whether those slots pass the end of an interval.
const wraps = `from_phase > to_phase OR from_s = @epoch - interval_s`

// hostsOfSlots are the hosts of the open slots of a cursor p, at most p.take of them, in
// the order of their slots: one range of the index, or two where it wraps. most is a
// constant that p.take never exceeds: it tells the planner that there are few. Without it,
// it would read and sort the whole table.
func hostsOfSlots(most string) string {
	return `
	(SELECT * FROM (
		SELECT s.host_id, p.from_s - p.from_phase + s.phase_s AS slot_s
		FROM host_schedule s
		WHERE p.interval_s > 0 AND s.workspace_id = p.workspace_id AND s.interval_s = p.interval_s
			AND (s.phase_s, s.host_id) > (p.from_phase, p.from_host) AND s.phase_s <= CASE WHEN p.wraps THEN p.interval_s ELSE p.to_phase END
			AND p.from_s - p.from_phase + s.phase_s > s.slots_after_s AND ` + freeOfLease + `
		ORDER BY s.phase_s, s.host_id
		LIMIT ` + most + `) AS few LIMIT p.take)
	UNION ALL
	(SELECT * FROM (
		SELECT s.host_id, @epoch - p.to_phase + s.phase_s
		FROM host_schedule s
		WHERE p.interval_s > 0 AND p.wraps AND s.workspace_id = p.workspace_id AND s.interval_s = p.interval_s
			AND s.phase_s <= p.to_phase AND @epoch - p.to_phase + s.phase_s > s.slots_after_s AND ` + freeOfLease + `
		ORDER BY s.phase_s, s.host_id
		LIMIT ` + most + `) AS few LIMIT p.take)
	ORDER BY slot_s, host_id
	LIMIT p.take`
}

var (
	// keepPlan holds on to one plan of the statements that follow in the transaction:
	// planning claim_due anew costs more than running it.
	keepPlan = db.DefineSystem[string]("certificates.keep_plan", `
	SELECT set_config('plan_cache_mode', 'force_generic_plan', true)`)

	// claimDue takes what is due in all workspaces. The cursors of a workspace are locked, so
	// a slot is handed out once, and moved on: a slot that was missed for a whole interval is
	// skipped, never made up. Hosts take turns by workspace: the longest due of each, then
	// the second of each; no workspace gets more than its room. What is due beside the slots
	// is leased, since no cursor knows it.
	claimDue = db.DefineSystem[claim]("certificates.claim_due", `
	WITH due AS MATERIALIZED (
		SELECT c.workspace_id, c.interval_s, coalesce(r.room, @share::int) AS room, `+openSlots+`
		FROM scan_cursors c
		LEFT JOIN unnest(@workspaces::uuid[], @rooms::int[]) AS r (workspace_id, room) ON r.workspace_id = c.workspace_id
		WHERE c.next_at <= @now AND c.taken_s <= @epoch AND coalesce(r.room, 1) > 0
		ORDER BY c.next_at
		LIMIT 1000
		FOR UPDATE OF c SKIP LOCKED
	), plan AS MATERIALIZED (
		SELECT *, `+wraps+` AS wraps, least(room, (SELECT 10 + 1000 / greatest(count(*), 1) FROM due))::int AS take
		FROM due
	), found AS MATERIALIZED (
		SELECT p.workspace_id, p.interval_s, p.room, f.host_id, f.slot_s
		FROM plan p
		CROSS JOIN LATERAL (`+hostsOfSlots("1010")+`) AS f
		UNION ALL
		SELECT p.workspace_id, 0, p.room, e.host_id, floor(extract(epoch FROM e.next_at))::bigint
		FROM plan p
		CROSS JOIN LATERAL (
			SELECT * FROM (
				SELECT s.host_id, s.next_at
				FROM host_schedule s
				WHERE p.interval_s = 0 AND s.workspace_id = p.workspace_id AND s.next_at <= @now AND `+freeOfLease+`
				ORDER BY s.next_at
				LIMIT 1010
				FOR UPDATE OF s SKIP LOCKED) AS few
			LIMIT p.take
		) AS e
	), chosen AS MATERIALIZED (
		SELECT workspace_id, interval_s, host_id, slot_s
		FROM (
			SELECT *, row_number() OVER (PARTITION BY workspace_id ORDER BY slot_s, interval_s, host_id) AS turn FROM found) AS ranked
		WHERE turn <= room
		ORDER BY turn, slot_s
		LIMIT @limit
	), leased AS (
		UPDATE host_schedule s
		SET lease_until = @lease, next_at = CASE WHEN s.edge_at > @now THEN s.edge_at END
		FROM chosen t
		WHERE t.interval_s = 0 AND s.workspace_id = t.workspace_id AND s.host_id = t.host_id
	), tally AS (
		SELECT p.workspace_id, p.interval_s, p.to_phase, t.slot_s, t.host_id,
			coalesce(f.n, 0) = coalesce(t.n, 0) AND coalesce(f.n, 0) < p.take AS done
		FROM plan p
		LEFT JOIN (SELECT workspace_id, interval_s, count(*) AS n FROM found GROUP BY 1, 2) f USING (workspace_id, interval_s)
		LEFT JOIN (
			SELECT DISTINCT ON (workspace_id, interval_s) workspace_id, interval_s, slot_s, host_id,
				count(*) OVER (PARTITION BY workspace_id, interval_s) AS n
			FROM chosen
			ORDER BY workspace_id, interval_s, slot_s DESC, host_id DESC) t USING (workspace_id, interval_s)
	), advanced AS (
		UPDATE scan_cursors c
		SET taken_s = CASE WHEN t.done THEN @epoch ELSE coalesce(t.slot_s, c.taken_s) END,
			taken_host = CASE WHEN t.done THEN '`+lastHost+`' ELSE coalesce(t.host_id, c.taken_host) END,
			next_at = CASE WHEN NOT t.done THEN @now
				WHEN t.interval_s = 0 THEN least(@now + interval '1 minute', (
					SELECT s.next_at FROM host_schedule s WHERE s.workspace_id = t.workspace_id AND s.next_at > @now
					ORDER BY s.next_at LIMIT 1))
				ELSE least(@now + interval '1 minute', to_timestamp(@epoch - t.to_phase + coalesce((
					SELECT s.phase_s FROM host_schedule s
					WHERE s.workspace_id = t.workspace_id AND s.interval_s = t.interval_s AND s.phase_s > t.to_phase
					ORDER BY s.phase_s LIMIT 1), t.interval_s))) END
		FROM tally t
		WHERE c.workspace_id = t.workspace_id AND c.interval_s = t.interval_s
	)
	SELECT workspace_id, host_id, to_timestamp(min(slot_s)) AS slot, min(interval_s) AS interval_s
	FROM chosen
	GROUP BY workspace_id, host_id`)

	// countDue counts hosts that are due and not handed out, up to @cap, leaving out
	// workspaces that only wait for their own limit.
	countDue = db.DefineSystem[backlog]("certificates.count_due", `
	WITH plan AS (
		SELECT *, `+wraps+` AS wraps, @cap::int AS take
		FROM (
			SELECT c.workspace_id, c.interval_s, `+openSlots+`
			FROM scan_cursors c
			WHERE c.next_at <= @now AND c.taken_s <= @epoch AND c.interval_s > 0 AND c.workspace_id <> ALL (@held::uuid[])
			ORDER BY c.next_at
			LIMIT 1000) AS c
	)
	SELECT (SELECT count(*) FROM (
			SELECT 1 FROM plan p CROSS JOIN LATERAL (`+hostsOfSlots("20001")+`) AS f LIMIT @cap) AS capped) AS due,
		coalesce((SELECT min(interval_s) FROM scan_cursors WHERE interval_s > 0), 0) AS shortest_s`)

	// giveBack returns hosts that were taken and not scanned, when a process stops.
	giveBack = db.DefineSystemCommand("certificates.give_back", `
	UPDATE host_schedule s
	SET next_at = least(s.next_at, @now), lease_until = NULL
	FROM unnest(@workspaces::uuid[], @hosts::uuid[]) AS r(workspace_id, host_id)
	WHERE s.workspace_id = r.workspace_id AND s.host_id = r.host_id`)
	wakeGivenBack = db.DefineSystemCommand("certificates.wake_given_back", `
	UPDATE scan_cursors SET next_at = @now WHERE workspace_id = ANY(@workspaces) AND interval_s = 0 AND next_at > @now`)

	insertSchedule = db.DefineCommand("certificates.insert_schedule", `
	INSERT INTO host_schedule (workspace_id, host_id, interval_s, phase_s, slots_after_s, next_at)
	SELECT @ws, r.host_id, r.interval_s, r.phase_s, @epoch::bigint, @first::timestamptz
	FROM unnest(@hosts::uuid[], @intervals::int[], @phases::int[]) AS r(host_id, interval_s, phase_s)
	ON CONFLICT (workspace_id, host_id) DO UPDATE
	SET interval_s = excluded.interval_s, phase_s = excluded.phase_s, slots_after_s = excluded.slots_after_s,
		next_at = coalesce(excluded.next_at, host_schedule.next_at)`)
	insertCursors = db.DefineCommand("certificates.insert_cursors", `
	INSERT INTO scan_cursors (workspace_id, interval_s, taken_s, taken_host, next_at)
	SELECT @ws, r.interval_s, @epoch::bigint, '`+lastHost+`', @now FROM unnest(@intervals::int[]) AS r(interval_s)
	ON CONFLICT DO NOTHING`)
	// wakeCursors has cursors looked at by @at. One that is looked at by then anyway is not
	// locked, so that a batch of results does not hold up claims.
	wakeCursors = db.DefineCommand("certificates.wake_cursors", `
	UPDATE scan_cursors SET next_at = @at WHERE workspace_id = @ws AND interval_s = ANY(@intervals::int[]) AND next_at > @at`)

	deleteSchedule = db.DefineCommand("certificates.delete_schedule", `
	DELETE FROM host_schedule WHERE workspace_id = @ws AND host_id = ANY(@hosts)`)

	// setEdges notes when time alone will change the status, and asks for a scan at that
	// moment, or at @retry for a host that failed for the first time. What was asked for
	// before stays only with @keep.
	setEdges = db.DefineCommand("certificates.set_edges", `
	UPDATE host_schedule s
	SET edge_at = r.edge_at, next_at = least(CASE WHEN @keep THEN s.next_at END, r.edge_at, r.retry_at)
	FROM unnest(@hosts::uuid[], @edges::timestamptz[], @retries::timestamptz[]) AS r(host_id, edge_at, retry_at)
	WHERE s.workspace_id = @ws AND s.host_id = r.host_id`)
)

// extraInterval is the cursor of scans beside the slots.
const extraInterval int32 = 0

// addSchedule gives active hosts their place in the schedule, from their next slot on.
// Unless first is zero, each is scanned at first, too.
func addSchedule(ctx context.Context, tx *db.Tx, hosts []Host, first time.Time) error {
	var ids []uuid.UUID
	var intervals, phases []int32
	for _, h := range hosts {
		if h.State != Active {
			continue
		}
		interval := h.Interval.Duration()
		ids = append(ids, h.ID)
		intervals = append(intervals, int32(interval/time.Second))                 //nolint:gosec // at most a day
		phases = append(phases, int32(Phase(h.ID.String(), interval)/time.Second)) //nolint:gosec // below the interval
	}
	if len(ids) == 0 {
		return nil
	}
	var extra *time.Time
	if !first.IsZero() {
		extra = &first
	}
	now := tx.Now.Unix()
	_, err := insertSchedule.Run(ctx, tx, db.Args{"hosts": ids, "intervals": intervals, "phases": phases, "epoch": now, "first": extra})
	if err != nil {
		return err
	}
	cursors := append(slices.Clone(intervals), extraInterval)
	slices.Sort(cursors)
	cursors = slices.Compact(cursors)
	if _, err := insertCursors.Run(ctx, tx, db.Args{"intervals": cursors, "epoch": now}); err != nil {
		return err
	}
	_, err = wakeCursors.Run(ctx, tx, db.Args{"intervals": cursors, "at": tx.Now})
	return err
}

// scheduleEdges notes for hosts when time alone will change their status, and asks for
// scans then or at their retries, whichever comes first. keep holds on to scans that were
// asked for before; otherwise the result that the edges come from has answered them.
func scheduleEdges(ctx context.Context, tx *db.Tx, hosts []uuid.UUID, edges, retries []*time.Time, keep bool) error {
	_, err := setEdges.Run(ctx, tx, db.Args{"hosts": hosts, "edges": edges, "retries": retries, "keep": keep})
	if err != nil {
		return err
	}
	soonest := tx.Now.Add(2 * retryAfter) // whatever is later, the cursor comes by in time
	wake := false
	for _, list := range [][]*time.Time{edges, retries} {
		for _, at := range list {
			if at != nil && at.Before(soonest) {
				soonest, wake = *at, true
			}
		}
	}
	if !wake {
		return nil
	}
	_, err = wakeCursors.Run(ctx, tx, db.Args{"intervals": []int32{extraInterval}, "at": soonest})
	return err
}

// backlog is what waits in the schedule.
type backlog struct {
	Due int64 `db:"due"`
	// ShortestS is the shortest interval of any host, in seconds; 0 without hosts.
	ShortestS int32 `db:"shortest_s"`
}

// claimDueHosts takes up to limit due hosts until lease. rooms says how many at most of a
// workspace; those not named may have share.
func claimDueHosts(ctx context.Context, tx *db.SystemTx, limit, share int, rooms map[uuid.UUID]int, lease time.Time) ([]claim, error) {
	workspaces, numbers := make([]uuid.UUID, 0, len(rooms)), make([]int32, 0, len(rooms))
	for ws, n := range rooms {
		workspaces, numbers = append(workspaces, ws), append(numbers, int32(n)) //nolint:gosec // a number of starts a second
	}
	if _, err := keepPlan.One(ctx, tx, nil); err != nil {
		return nil, err
	}
	return claimDue.All(ctx, tx, db.Args{
		"epoch": tx.Now.Unix(), "limit": limit, "share": share, "workspaces": workspaces, "rooms": numbers, "lease": lease,
	})
}

// returnHosts makes due again what was taken and not scanned.
func returnHosts(ctx context.Context, tx *db.SystemTx, claims []claim) error {
	workspaces, hosts := make([]uuid.UUID, len(claims)), make([]uuid.UUID, len(claims))
	for i, c := range claims {
		workspaces[i], hosts[i] = c.WorkspaceID, c.HostID
	}
	if _, err := giveBack.Run(ctx, tx, db.Args{"workspaces": workspaces, "hosts": hosts}); err != nil {
		return err
	}
	_, err := wakeGivenBack.Run(ctx, tx, db.Args{"workspaces": workspaces})
	return err
}
