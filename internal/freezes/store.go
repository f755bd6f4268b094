package freezes

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const freezeColumns = `f.id, f.name, f.kind, f.state, f.reason, f.owner_user_id, f.environments, f.asset_ids, f.service_ids,
	f.asset_tags, f.asset_types, f.change_types, f.min_risk, f.include_downstream, f.strict, f.preapproves_standard,
	f.recurring, f.time_zone, f.starts_at, f.ends_at, coalesce(f.first_date::text, '') AS first_date, f.local_start, f.local_end,
	f.end_days, f.rrule, f.exdates::text[] AS exdates, f.rdates::text[] AS rdates, f.version, f.widened_version, f.built_until,
	f.zone_version, f.activated_at, f.activated_by, f.lifted_at, f.lifted_by, f.created_by, f.created_at, f.updated_at`

// inSpan are the occurrences of f that share a moment with the span from @from to @to. An
// occurrence that begins before the end of the span ends at most its own length later.
const inSpan = `o.workspace_id = @ws AND o.freeze_id = f.id AND o.ends_at > @from::timestamptz AND o.starts_at < @to::timestamptz
	AND o.ends_at < @to::timestamptz + make_interval(secs => f.longest_seconds) AND o.starts_at < o.ends_at`

// activeRow is an active freeze with its occurrences in a span.
type activeRow struct {
	Freeze
	Starts []time.Time `db:"starts"`
	Ends   []time.Time `db:"ends"`
}

// listRow is a freeze with the occurrence that runs or comes next.
type listRow struct {
	Freeze
	NextStart *time.Time `db:"next_start"`
	NextEnd   *time.Time `db:"next_end"`
	NextSort  time.Time  `db:"next_sort"`
}

// slotRow is an occurrence with its freeze, for calendars.
type slotRow struct {
	Freeze
	Date  string    `db:"local_date"`
	Start time.Time `db:"slot_start"`
	End   time.Time `db:"slot_end"`
}

type versionRow struct {
	Version   int64         `db:"version"`
	Snapshot  []byte        `db:"snapshot"`
	Widened   bool          `db:"widened"`
	ChangedBy uuid.NullUUID `db:"changed_by"`
	CreatedAt time.Time     `db:"created_at"`
}

type staleRow struct {
	WorkspaceID uuid.UUID `db:"workspace_id"`
	Zone        string    `db:"time_zone"`
	ZoneVersion string    `db:"zone_version"`
	BuiltAt     time.Time `db:"built_at"`
}

type nameRow struct {
	ID    uuid.UUID `db:"id"`
	Name  string    `db:"name"`
	Kind  Kind      `db:"kind"`
	State State     `db:"state"`
}

var (
	loadFreeze = db.Define[Freeze]("freezes.load", `
	SELECT `+freezeColumns+` FROM freezes f WHERE f.workspace_id = @ws AND f.id = @id`).Called("freeze")
	// Whoever changes a freeze has it alone; the key stays free, so that a change which was
	// locked first can still write its override.
	lockFreeze = db.Define[Freeze]("freezes.lock", `
	SELECT `+freezeColumns+` FROM freezes f WHERE f.workspace_id = @ws AND f.id = @id FOR NO KEY UPDATE`).Called("freeze")
	shareFreeze = db.Define[Freeze]("freezes.share", `
	SELECT `+freezeColumns+` FROM freezes f WHERE f.workspace_id = @ws AND f.id = @id FOR SHARE`).Called("freeze")
	countFreezes = db.Define[int64]("freezes.count", `
	SELECT count(*) FROM freezes WHERE workspace_id = @ws AND state IN ('draft', 'active')`)
	insertFreeze = db.DefineCommand("freezes.insert", `
	INSERT INTO freezes (workspace_id, id, name, kind, state, reason, owner_user_id, environments, asset_ids, service_ids,
		asset_tags, asset_types, change_types, min_risk, include_downstream, strict, preapproves_standard, recurring, time_zone,
		starts_at, ends_at, first_date, local_start, local_end, end_days, rrule, exdates, rdates, version, widened_version,
		built_until, built_at, zone_version, longest_seconds, activated_at, activated_by, lifted_at, lifted_by, created_by,
		created_at, updated_at)
	VALUES (@ws, @id, @name, @kind, @state, @reason, @owner, @environments, @asset_ids, @service_ids,
		@asset_tags, @asset_types, @change_types, @min_risk, @include_downstream, @strict, @preapproves, @recurring, @zone,
		@starts_at, @ends_at, nullif(@first_date::text, '')::date, @local_start, @local_end, @end_days, @rrule,
		@exdates::text[]::date[], @rdates::text[]::date[], @version, @widened_version,
		@built_until, @now, @zone_version, @longest, @activated_at, @activated_by, @lifted_at, @lifted_by, @created_by, @now, @now)`)
	saveFreeze = db.DefineCommand("freezes.save", `
	UPDATE freezes SET name = @name, kind = @kind, state = @state, reason = @reason, owner_user_id = @owner,
		environments = @environments, asset_ids = @asset_ids, service_ids = @service_ids, asset_tags = @asset_tags,
		asset_types = @asset_types, change_types = @change_types, min_risk = @min_risk,
		include_downstream = @include_downstream, strict = @strict, preapproves_standard = @preapproves,
		recurring = @recurring, time_zone = @zone, starts_at = @starts_at, ends_at = @ends_at,
		first_date = nullif(@first_date::text, '')::date, local_start = @local_start, local_end = @local_end,
		end_days = @end_days, rrule = @rrule, exdates = @exdates::text[]::date[], rdates = @rdates::text[]::date[],
		version = @version, widened_version = @widened_version, built_until = @built_until, built_at = @now,
		zone_version = @zone_version, longest_seconds = greatest(longest_seconds, @longest),
		activated_at = @activated_at, activated_by = @activated_by, lifted_at = @lifted_at, lifted_by = @lifted_by,
		updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)
	deleteFreeze = db.DefineCommand("freezes.delete", `DELETE FROM freezes WHERE workspace_id = @ws AND id = @id`)
	// noteBuilt writes what was stored of the occurrences; no version, since nothing was
	// decided.
	noteBuilt = db.DefineCommand("freezes.note_built", `
	UPDATE freezes SET built_until = @built_until, built_at = @now, zone_version = @zone_version,
		longest_seconds = greatest(longest_seconds, @longest)
	WHERE workspace_id = @ws AND id = @id`)

	insertVersion = db.DefineCommand("freezes.insert_version", `
	INSERT INTO freeze_versions (workspace_id, freeze_id, version, snapshot, widened, changed_by, created_at)
	VALUES (@ws, @id, @version, @snapshot, @widened, @by, @now)`)
	versionsOf = db.Define[versionRow]("freezes.versions_of", `
	SELECT version, snapshot, widened, changed_by, created_at FROM freeze_versions
	WHERE workspace_id = @ws AND freeze_id = @id ORDER BY version DESC LIMIT 50`)

	// What is over is history: of a recurring freeze only what still runs or is to come is
	// written anew.
	dropOccurrences = db.DefineCommand("freezes.drop_occurrences", `
	DELETE FROM freeze_occurrences WHERE workspace_id = @ws AND freeze_id = @id AND (@all::boolean OR ends_at > @now)`)
	insertOccurrences = db.DefineCommand("freezes.insert_occurrences", `
	INSERT INTO freeze_occurrences (workspace_id, freeze_id, local_date, starts_at, ends_at)
	SELECT @ws, @id, r.day::date, r.starts_at, r.ends_at
	FROM unnest(@days::text[], @starts::timestamptz[], @ends::timestamptz[]) AS r (day, starts_at, ends_at)
	ON CONFLICT (workspace_id, freeze_id, local_date) DO UPDATE SET starts_at = excluded.starts_at, ends_at = excluded.ends_at`)

	// activeIn returns every active freeze of the kinds with its occurrences in a span. All
	// of them are wanted, because an allow-list without any in the span stops most.
	activeIn = db.Define[activeRow]("freezes.active_in", `
	SELECT `+freezeColumns+`, coalesce(x.starts, '{}') AS starts, coalesce(x.ends, '{}') AS ends
	FROM freezes f LEFT JOIN LATERAL (
		SELECT array_agg(o.starts_at ORDER BY o.starts_at) AS starts, array_agg(o.ends_at ORDER BY o.starts_at) AS ends
		FROM freeze_occurrences o WHERE `+inSpan+`) x ON true
	WHERE f.workspace_id = @ws AND f.state = 'active' AND f.kind = ANY (@kinds)
	ORDER BY f.id LIMIT 2000`)
	slotsBetween = db.Define[slotRow]("freezes.slots_between", `
	SELECT `+freezeColumns+`, o.local_date::text AS local_date, o.starts_at AS slot_start, o.ends_at AS slot_end
	FROM freezes f JOIN freeze_occurrences o ON `+inSpan+`
	WHERE f.workspace_id = @ws AND (f.state = 'active' OR (f.state = 'lifted' AND o.starts_at < f.lifted_at))
	ORDER BY o.starts_at, f.id LIMIT @limit`)

	staleZones = db.DefineSystem[staleRow]("freezes.stale_zones", `
	SELECT workspace_id, time_zone, zone_version, min(built_at) AS built_at FROM freezes
	WHERE recurring AND state <> 'lifted' GROUP BY workspace_id, time_zone, zone_version LIMIT 100000`)
	recurringFreezes = db.Define[Freeze]("freezes.recurring", `
	SELECT `+freezeColumns+` FROM freezes f WHERE f.workspace_id = @ws AND f.recurring AND f.state IN ('draft', 'active')
	ORDER BY f.id LIMIT 2000`)

	findFreezes = db.Define[nameRow]("freezes.find", `
	SELECT id, name, kind, state FROM freezes WHERE workspace_id = @ws AND position(lower(@text) IN lower(name)) > 0
	ORDER BY (state = 'lifted'), name, id LIMIT @limit`)
	freezeNames = db.Define[nameRow]("freezes.names", `
	SELECT id, name, kind, state FROM freezes WHERE workspace_id = @ws AND id = ANY (@ids)`)
)

// freezeList is the list of freezes and maintenance windows, what comes next first.
var freezeList = db.DefineList(db.ListSpec[listRow]{
	Name: "freezes.list",
	Columns: freezeColumns + `, CASE WHEN f.state <> 'lifted' THEN n.starts_at END AS next_start,
		CASE WHEN f.state <> 'lifted' THEN n.ends_at END AS next_end, ` + nextSort + ` AS next_sort`,
	From: `freezes f LEFT JOIN LATERAL (
		SELECT o.starts_at, o.ends_at FROM freeze_occurrences o
		WHERE o.workspace_id = @ws AND o.freeze_id = f.id AND o.ends_at > @now AND o.starts_at < o.ends_at
		ORDER BY o.ends_at LIMIT 1) n ON true`,
	Where: `f.workspace_id = @ws`,
	Filters: map[string]string{
		"kinds":  `f.kind = ANY (@kinds)`,
		"states": `f.state = ANY (@states)`,
		"text":   `position(lower(@text) IN lower(f.name)) > 0`,
	},
	Sorts: map[string]db.SortBy[listRow]{
		"next":       {Expr: nextSort, Cast: "timestamptz", Of: func(r listRow) string { return stamp(r.NextSort) }},
		"name":       {Expr: "f.name", Cast: "text", Of: func(r listRow) string { return r.Name }},
		"created_at": {Expr: "f.created_at", Cast: "timestamptz", Of: func(r listRow) string { return stamp(r.CreatedAt) }},
	},
	Default: "next",
	IDExpr:  "f.id",
	ID:      func(r listRow) uuid.UUID { return r.ID },
})

// nextSort puts what has no occurrence left at the end, lifted ones last.
const nextSort = `CASE WHEN f.state = 'lifted' THEN '9999-12-31T00:00:00Z'::timestamptz
		ELSE coalesce(n.starts_at, '9999-01-01T00:00:00Z'::timestamptz) END`

// stamp writes a time as a cursor does: text that a timestamptz accepts.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func freezeArgs(f Freeze, longest int64) db.Args {
	return db.Args{
		"id": f.ID, "name": f.Name, "kind": f.Kind, "state": f.State, "reason": f.Reason, "owner": f.OwnerID,
		"environments": f.Environments, "asset_ids": f.AssetIDs, "service_ids": f.ServiceIDs, "asset_tags": f.AssetTags,
		"asset_types": f.AssetTypes, "change_types": f.ChangeTypes, "min_risk": f.MinRisk, "include_downstream": f.IncludeDownstream,
		"strict": f.Strict, "preapproves": f.PreapprovesStandard, "recurring": f.Recurring, "zone": f.Zone, "starts_at": f.StartsAt,
		"ends_at": f.EndsAt, "first_date": f.FirstDate, "local_start": f.LocalStart, "local_end": f.LocalEnd, "end_days": f.EndDays,
		"rrule": f.RRule, "exdates": f.ExDates, "rdates": f.RDates, "version": f.Version, "widened_version": f.WidenedVersion,
		"built_until": f.BuiltUntil, "zone_version": f.ZoneVersion, "longest": longest,
		"activated_at": f.ActivatedAt, "activated_by": f.ActivatedBy, "lifted_at": f.LiftedAt, "lifted_by": f.LiftedBy,
	}
}
