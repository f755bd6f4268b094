package auditlog

import (
	"bytes"
	"sort"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// entries is the log. Every query of it goes through listQuery, which adds the time range.
var entries = db.DefineList(db.ListSpec[activity.Row]{
	Name: "auditlog.entries", Columns: activity.Columns, From: activity.From,
	Where: `e.workspace_id = @ws`,
	Filters: map[string]string{
		"between":    `e.recorded_at >= @from AND e.recorded_at < @to`,
		"newer":      `e.recorded_at >= @newer_at AND (e.recorded_at, e.event_id) > (@newer_at, @newer_id)`,
		"actor":      `e.actor_id = @actor`,
		"actor_kind": `e.actor_kind = @actor_kind`,
		"action":     `e.action = @action`,
		// A range and not LIKE, which row-level security keeps from the index.
		"action_prefix": `e.action >= @prefix AND e.action < @prefix_end`,
		"target":        `e.target_type = @target_type AND e.target_id = @target_id`,
		"target_type":   `e.target_type = @target_type`,
		"target_id":     `e.target_id = @target_id`,
		// The empty key is named so that the planner may use the partial index.
		"target_key": `e.target_key = ANY (@target_keys) AND e.target_key <> ''`,
		"success":    `e.outcome = 1`,
		// Success is named so that the planner may use the partial index of the rest.
		"no_success": `e.outcome = @outcome AND e.outcome <> 1`,
		"category":   `e.category = @category`,
		"text": `(e.recorded_at, e.event_id) IN (
			SELECT t.at, t.id FROM unnest(@hit_times::timestamptz[], @hit_ids::uuid[]) AS t(at, id))`,
		// The query of words is made once, not for each entry.
		"words": `e.words @@ (SELECT audit.wanted(@text))`,
	},
	Sorts: map[string]db.SortBy[activity.Row]{
		"recorded_at": {
			Expr: "e.recorded_at", Cast: "timestamptz", Bound: true,
			Of: func(r activity.Row) string { return r.RecordedAt.UTC().Format(time.RFC3339Nano) },
		},
	},
	Default: "-recorded_at", IDExpr: "e.event_id",
	ID: func(r activity.Row) uuid.UUID { return r.EventID },
})

// The key of the table finds an entry in every partition without a time range.
var oneEntry = db.Define[activity.Row]("auditlog.entry", `
	SELECT `+activity.Columns+` FROM `+activity.From+`
	WHERE e.workspace_id = @ws AND e.event_id = @id`).Called("audit entry")

// hit is an entry that holds a text. Frequent stands in a single one in place of all: there
// are too many to collect.
type hit struct {
	RecordedAt time.Time `db:"recorded_at"`
	EventID    uuid.UUID `db:"event_id"`
	Frequent   bool      `db:"frequent"`
}

var (
	searchText = db.Define[hit]("auditlog.search", `
	SELECT recorded_at, event_id, frequent FROM audit.search(@from, @to, @text)`)
	databaseTime = db.Define[time.Time]("auditlog.database_time", `SELECT clock_timestamp()`)

	savedFilters = db.Define[SavedFilter]("auditlog.saved_filters", `
	SELECT id, owner_id, shared, name, query, created_at FROM audit_filters
	WHERE workspace_id = @ws AND (shared OR owner_id = @user)
	ORDER BY shared DESC, name, id LIMIT 100`)
	savedFilter = db.Define[SavedFilter]("auditlog.saved_filter", `
	SELECT id, owner_id, shared, name, query, created_at FROM audit_filters
	WHERE workspace_id = @ws AND id = @id AND (shared OR owner_id = @user)`).Called("saved filter")
	// Locking the row of the workspace would stop others' work; the lock is of this purpose.
	lockFilters = db.DefineCommand("auditlog.lock_filters", `
	SELECT pg_advisory_xact_lock(hashtextextended('auditlog.filters ' || @ws::uuid::text, 0))`)
	countFilters = db.Define[int64]("auditlog.count_filters", `
	SELECT count(*) FROM audit_filters
	WHERE workspace_id = @ws AND shared = @shared AND (shared OR owner_id = @user)`)
	insertFilter = db.DefineCommand("auditlog.insert_filter", `
	INSERT INTO audit_filters (workspace_id, id, owner_id, shared, name, query, created_at)
	VALUES (@ws, @id, @user, @shared, @name, @query, @now)`)
	deleteFilter = db.DefineCommand("auditlog.delete_filter", `
	DELETE FROM audit_filters WHERE workspace_id = @ws AND id = @id`)

	ensurePartition = db.DefineSystem[string]("auditlog.ensure_partition", `SELECT audit.ensure_partition(@day::date)`)
)

// hits are the entries that hold a text, newest first.
type hits struct {
	times []time.Time
	ids   []uuid.UUID
}

func newHits(rows []hit) *hits {
	h := &hits{times: make([]time.Time, len(rows)), ids: make([]uuid.UUID, len(rows))}
	for i, r := range rows {
		h.times[i], h.ids[i] = r.RecordedAt, r.EventID
	}
	return h
}

// window leaves the hits that a page can show: one more than it has rows, which tells that
// there are more. Descending is the order of the list; the hits are newest first always.
func (h *hits) window(w db.Window, descending bool) (*hits, error) {
	older, from, to := descending != w.Before, 0, len(h.ids)
	if w.ID != uuid.Nil {
		at, err := time.Parse(time.RFC3339Nano, w.Value)
		if err != nil {
			return nil, fault.InvalidField("cursor", "invalid_cursor", "This page link is damaged. Start again from the first page.")
		}
		// The first hit at or behind the place.
		place := sort.Search(len(h.ids), func(i int) bool {
			c := h.times[i].Compare(at)
			return c < 0 || (c == 0 && bytes.Compare(h.ids[i][:], w.ID[:]) <= 0)
		})
		if older {
			from = place
			if from < to && h.ids[from] == w.ID {
				from++
			}
		} else {
			to = place
		}
	}
	if older {
		to = min(to, from+w.Limit+1)
	} else {
		from = max(from, to-w.Limit-1)
	}
	return &hits{times: h.times[from:to], ids: h.ids[from:to]}, nil
}

// listQuery asks for the entries that meet the criteria.
func listQuery(c Criteria) *db.ListQuery[activity.Row] {
	q := entries.Query().Filter("between", db.Args{"from": c.From, "to": c.To})
	if c.ActorID != uuid.Nil {
		q.Filter("actor", db.Args{"actor": c.ActorID})
	}
	if c.ActorKind != 0 {
		q.Filter("actor_kind", db.Args{"actor_kind": int16(c.ActorKind)})
	}
	if c.Action != "" {
		q.Filter("action", db.Args{"action": c.Action})
	}
	if c.Prefix != "" {
		q.Filter("action_prefix", db.Args{"prefix": c.Prefix, "prefix_end": afterPrefix(c.Prefix)})
	}
	filterTarget(q, c)
	switch c.Outcome {
	case 0:
	case ledger.Success:
		q.Filter("success", nil)
	default:
		q.Filter("no_success", db.Args{"outcome": int16(c.Outcome)})
	}
	if c.Category != 0 {
		q.Filter("category", db.Args{"category": int16(c.Category)})
	}
	switch {
	case c.hits != nil:
		q.Filter("text", db.Args{"hit_times": c.hits.times, "hit_ids": c.hits.ids})
	case c.Text != "":
		q.Filter("words", db.Args{"text": c.Text})
	}
	return q
}

func filterTarget(q *db.ListQuery[activity.Row], c Criteria) {
	switch {
	case c.TargetType != "" && c.TargetID != uuid.Nil:
		q.Filter("target", db.Args{"target_type": c.TargetType, "target_id": c.TargetID})
		return
	case c.TargetID != uuid.Nil:
		q.Filter("target_id", db.Args{"target_id": c.TargetID})
	case c.TargetType != "":
		q.Filter("target_type", db.Args{"target_type": c.TargetType})
	}
	if c.TargetKey != "" {
		q.Filter("target_key", db.Args{"target_keys": keyForms(c.TargetKey)})
	}
}
