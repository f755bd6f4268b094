package changes

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// This file reads the tables users and members of other modules, in joins, to name people
// without a further round trip.

// Item is a change as a list shows it.
type Item struct {
	ID             uuid.UUID     `db:"id"`
	Key            string        `db:"key"`
	Title          string        `db:"title"`
	Type           Type          `db:"type"`
	State          State         `db:"state"`
	Risk           Level         `db:"risk_level"`
	RiskRank       int16         `db:"risk_rank"`
	Priority       Level         `db:"priority"`
	Category       string        `db:"category"`
	Environment    string        `db:"environment"`
	Start          *time.Time    `db:"planned_start"`
	End            *time.Time    `db:"planned_end"`
	SortStart      time.Time     `db:"sort_start"`
	ActualStart    *time.Time    `db:"actual_start"`
	ActualEnd      *time.Time    `db:"actual_end"`
	Outcome        string        `db:"outcome"`
	Retro          string        `db:"retro_approval"`
	PIR            string        `db:"pir"`
	MissedWindow   bool          `db:"missed_window"`
	Owner          uuid.NullUUID `db:"owner_user_id"`
	OwnerName      string        `db:"owner_name"`
	Revision       int64         `db:"revision"`
	ScheduleNumber int32         `db:"schedule_sequence"`
	ScheduledAt    *time.Time    `db:"scheduled_at"`
	CreatedAt      time.Time     `db:"created_at"`
	UpdatedAt      time.Time     `db:"updated_at"`
	Version        int64         `db:"version"`
	Held           bool          `db:"held"`
	Tags           []string      `db:"tags"`
	Assets         int64         `db:"assets"`
}

// Path is the page of the change below its workspace.
func (i Item) Path() string { return changePath(i.Key) }

const itemColumns = `c.id, c.key, c.title, c.type, c.state, c.risk_level, c.risk_rank, c.priority, c.category, c.environment, c.planned_start,
	c.planned_end, c.sort_start, c.actual_start, c.actual_end, c.outcome, c.retro_approval, c.pir, c.missed_window, c.owner_user_id,
	coalesce((SELECT u.name FROM users u WHERE u.id = c.owner_user_id), '') AS owner_name, c.revision, c.schedule_sequence,
	c.scheduled_at, c.created_at, c.updated_at, c.version,
	EXISTS (SELECT 1 FROM change_holds h WHERE h.workspace_id = c.workspace_id AND h.change_id = c.id AND h.released_at IS NULL) AS held,
	ARRAY(SELECT t.tag FROM change_tags t WHERE t.workspace_id = c.workspace_id AND t.change_id = c.id ORDER BY t.tag) AS tags,
	(SELECT count(*) FROM change_assets a WHERE a.workspace_id = c.workspace_id AND a.change_id = c.id) AS assets`

// involving asks for changes that a person answers for or carries out.
const involving = `(c.owner_user_id = @me OR c.requester_user_id = @me OR c.id IN (
	SELECT i.change_id FROM change_implementers i WHERE i.workspace_id = @ws AND i.user_id = @me))`

// mineToDo asks for what waits for a person: to be reworked, started, ended or reviewed.
const mineToDo = involving + ` AND ((c.state = 'draft' AND c.state_reason <> '') OR c.state = 'in_progress'
	OR (c.state = 'scheduled' AND c.planned_start <= @now::timestamptz + interval '15 minutes')
	OR (c.state = 'approved' AND c.planned_start > @now) OR c.pir = 'required')`

var (
	itemsByIDs = db.Define[Item]("changes.items_by_ids", `
	SELECT `+itemColumns+` FROM change_requests c WHERE c.workspace_id = @ws AND c.id = ANY(@ids) ORDER BY c.key LIMIT 5000`)

	itemsInWindow = db.Define[Item]("changes.items_in_window", `
	SELECT `+itemColumns+`
	FROM change_requests c
	WHERE c.workspace_id = @ws AND c.planned_start < @until AND c.planned_end > @from
		AND c.state = ANY(@states) AND (@owner::uuid IS NULL OR c.owner_user_id = @owner)
		AND (@asset::uuid IS NULL OR c.id IN (SELECT a.change_id FROM change_assets a WHERE a.workspace_id = @ws AND a.asset_id = @asset))
	ORDER BY c.planned_start, c.id
	LIMIT 2000`)

	itemsOfAsset = db.Define[Item]("changes.items_of_asset", `
	SELECT `+itemColumns+`
	FROM change_requests c
	WHERE c.workspace_id = @ws AND c.id IN (SELECT a.change_id FROM change_assets a WHERE a.workspace_id = @ws AND a.asset_id = @asset)
	ORDER BY c.state IN ('completed', 'rolled_back', 'cancelled'), c.sort_start DESC, c.id
	LIMIT @limit`)

	itemsWaiting = db.Define[Item]("changes.items_waiting", `
	SELECT `+itemColumns+` FROM change_requests c WHERE c.workspace_id = @ws AND `+mineToDo+`
	ORDER BY c.sort_start, c.id LIMIT @limit`)

	childrenOf = db.Define[Item]("changes.children_of", `
	SELECT `+itemColumns+` FROM change_requests c WHERE c.workspace_id = @ws AND c.parent_id = @id ORDER BY c.sort_start, c.id LIMIT 100`)

	findItems = db.Define[Item]("changes.find", `
	SELECT `+itemColumns+`
	FROM change_requests c
	WHERE c.workspace_id = @ws AND c.id IN (
		SELECT k.change_id FROM change_tokens k WHERE k.workspace_id = @ws AND k.token >= @from AND k.token < @upto)
	ORDER BY c.state IN ('completed', 'rolled_back', 'cancelled'), c.updated_at DESC, c.id
	LIMIT @limit`)

	tagCounts = db.Define[nameCount]("changes.tag_counts", `
	SELECT tag AS name, count(*) AS count FROM change_tags WHERE workspace_id = @ws GROUP BY tag ORDER BY count(*) DESC, tag LIMIT 50`)

	ownerCounts = db.Define[ownerCount]("changes.owner_counts", `
	SELECT c.owner_user_id AS id, coalesce((SELECT u.name FROM users u WHERE u.id = c.owner_user_id), '') AS name, count(*) AS count
	FROM change_requests c
	WHERE c.workspace_id = @ws AND c.owner_user_id IS NOT NULL AND c.state IN ('draft', 'review', 'approved', 'scheduled', 'in_progress')
	GROUP BY c.owner_user_id ORDER BY count(*) DESC, c.owner_user_id LIMIT 100`)

	summary = db.Define[summaryRow]("changes.summary", `
	SELECT
		(SELECT count(*) FROM (SELECT 1 FROM change_requests WHERE workspace_id = @ws
			AND state IN ('draft', 'review', 'approved', 'scheduled', 'in_progress') LIMIT 10001) AS n) AS open,
		(SELECT count(*) FROM (SELECT 1 FROM change_requests WHERE workspace_id = @ws AND state = 'review' LIMIT 10001) AS n) AS review,
		(SELECT count(*) FROM (SELECT 1 FROM change_requests WHERE workspace_id = @ws AND state = 'in_progress' LIMIT 10001) AS n) AS running,
		(SELECT count(*) FROM (SELECT 1 FROM change_requests WHERE workspace_id = @ws AND state IN ('approved', 'scheduled')
			AND planned_start < @now::timestamptz + interval '7 days' AND planned_end > @now LIMIT 10001) AS n) AS soon,
		(SELECT count(*) FROM (SELECT 1 FROM change_requests WHERE workspace_id = @ws AND pir = 'required' LIMIT 10001) AS n) AS reviews,
		(SELECT count(*) FROM (SELECT 1 FROM change_requests c WHERE c.workspace_id = @ws AND `+mineToDo+` LIMIT 10001) AS n) AS waiting`)

	changeList = db.DefineList(db.ListSpec[Item]{
		Name: "changes.list", Columns: itemColumns, From: "change_requests c", Where: "c.workspace_id = @ws",
		Filters: map[string]string{
			"word1": wordFilter("word1"), "word2": wordFilter("word2"), "word3": wordFilter("word3"), "word4": wordFilter("word4"),
			"open":        "c.state IN ('draft', 'review', 'approved', 'scheduled', 'in_progress')",
			"closed":      "c.state IN ('completed', 'failed', 'rolled_back', 'cancelled')",
			"states":      "c.state = ANY(@states)",
			"types":       "c.type = ANY(@types)",
			"risks":       "c.risk_level = ANY(@risks)",
			"priority":    "c.priority = @priority",
			"environment": "c.environment = @environment",
			"category":    "c.category = @category",
			"owner":       "c.owner_user_id = @owner",
			"no_owner":    "c.owner_user_id IS NULL",
			"mine":        involving,
			"waiting":     mineToDo,
			"asset":       "c.id IN (SELECT a.change_id FROM change_assets a WHERE a.workspace_id = @ws AND a.asset_id = @asset)",
			"tag":         "c.id IN (SELECT t.change_id FROM change_tags t WHERE t.workspace_id = @ws AND t.tag = @tag)",
			"target":      "c.id IN (SELECT l.change_id FROM change_links l WHERE l.workspace_id = @ws AND l.kind = @target_kind AND l.target_id = @target)",
			"template":    "c.template_id = @template",
			"parent":      "c.parent_id = @parent",
			"starts_from": "c.sort_start >= @starts_from AND c.planned_start IS NOT NULL",
			"starts_to":   "c.sort_start < @starts_to",
			"soon": `c.state IN ('approved', 'scheduled') AND c.planned_start < @now::timestamptz + interval '7 days'
				AND c.planned_end > @now`,
			"reviews": "c.pir = 'required'",
			"retro":   "c.retro_approval = @retro",
			"held":    "EXISTS (SELECT 1 FROM change_holds h WHERE h.workspace_id = c.workspace_id AND h.change_id = c.id AND h.released_at IS NULL)",
		},
		Sorts: map[string]db.SortBy[Item]{
			"start":   {Expr: "c.sort_start", Cast: "timestamptz", Of: func(i Item) string { return i.SortStart.Format(time.RFC3339Nano) }},
			"created": {Expr: "c.created_at", Cast: "timestamptz", Of: func(i Item) string { return i.CreatedAt.Format(time.RFC3339Nano) }},
			"updated": {Expr: "c.updated_at", Cast: "timestamptz", Of: func(i Item) string { return i.UpdatedAt.Format(time.RFC3339Nano) }},
			"risk":    {Expr: "c.risk_rank", Cast: "smallint", Of: func(i Item) string { return strconv.Itoa(int(i.RiskRank)) }},
			"state":   {Expr: "c.state", Cast: `text COLLATE "C"`, Of: func(i Item) string { return string(i.State) }},
			"key":     {Expr: "c.key", Cast: `text COLLATE "C"`, Of: func(i Item) string { return i.Key }},
		},
		Default: "-updated", IDExpr: "c.id", ID: func(i Item) uuid.UUID { return i.ID },
	})
)

// wordFilter asks for changes with a word that begins with the argument.
func wordFilter(arg string) string {
	return `c.id IN (SELECT k.change_id FROM change_tokens k WHERE k.workspace_id = @ws AND k.token >= @` + arg + `_from AND k.token < @` + arg + `_upto)`
}

type nameCount struct {
	Name  string `db:"name"`
	Count int64  `db:"count"`
}

type ownerCount struct {
	ID    uuid.UUID `db:"id"`
	Name  string    `db:"name"`
	Count int64     `db:"count"`
}

type summaryRow struct {
	Open    int64 `db:"open"`
	Review  int64 `db:"review"`
	Running int64 `db:"running"`
	Soon    int64 `db:"soon"`
	Reviews int64 `db:"reviews"`
	Waiting int64 `db:"waiting"`
}
