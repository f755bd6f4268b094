package tasks

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// This file reads the tables members and users of other modules, in joins, to show who does
// a task without a further round trip.

// Item is a task with the name of who does it, and how many predecessors are not settled.
type Item struct {
	Task
	AssigneeName string `db:"assignee_name"`
	Blockers     int64  `db:"blockers"`
}

// Blocked reports whether something stands before a task that is not settled.
func (i Item) Blocked() bool { return i.Blockers > 0 && !i.State.Settled() }

const itemColumns = taskColumns + `,
	coalesce((SELECT u.name FROM users u WHERE u.id = t.assignee_user_id), '') AS assignee_name,
	` + blockersSQL + ` AS blockers`

// blockersSQL counts what keeps a task from being started: predecessors that are not
// settled, or whose lag is not over.
const blockersSQL = `(SELECT count(*) FROM task_dependencies d
		JOIN tasks p ON p.workspace_id = d.workspace_id AND p.id = d.predecessor_id
		WHERE d.workspace_id = t.workspace_id AND d.successor_id = t.id
		AND (p.state IN ('todo', 'doing') OR p.finished_at + make_interval(mins => d.lag_minutes) > @now))`

var (
	itemByID = db.Define[Item]("tasks.item_by_id", `
	SELECT `+itemColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.id = @id`).Called("task")
	itemByKey = db.Define[Item]("tasks.item_by_key", `
	SELECT `+itemColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.key = @key`).Called("task")

	itemsOfParent = db.Define[Item]("tasks.items_of_parent", `
	SELECT `+itemColumns+`
	FROM tasks t
	WHERE t.workspace_id = @ws AND t.parent_type = @type AND t.parent_id = @id
	ORDER BY t.position, t.id
	LIMIT 1000`)

	// around reads what stands before a task and what waits for it.
	around = db.Define[neighbour]("tasks.around", `
	SELECT d.id AS dependency_id, d.lag_minutes, d.successor_id = w.id AS before, `+itemColumns+`
	FROM (SELECT id FROM tasks WHERE workspace_id = @ws AND (id = @id OR key = @key) LIMIT 1) AS w
	JOIN task_dependencies d ON d.workspace_id = @ws AND (d.successor_id = w.id OR d.predecessor_id = w.id)
	JOIN tasks t ON t.workspace_id = @ws AND t.id = CASE WHEN d.successor_id = w.id THEN d.predecessor_id ELSE d.successor_id END
	ORDER BY t.key
	LIMIT 400`)

	openOf = db.Define[Item]("tasks.open_of", `
	SELECT `+itemColumns+`
	FROM tasks t
	WHERE t.workspace_id = @ws AND t.assignee_user_id = @user AND t.state IN ('todo', 'doing')
	ORDER BY t.due_at, t.id
	LIMIT @limit`)

	findTasks = db.Define[Item]("tasks.find", `
	SELECT `+itemColumns+`
	FROM tasks t
	WHERE t.workspace_id = @ws AND t.id IN (
		SELECT k.task_id FROM task_tokens k WHERE k.workspace_id = @ws AND k.token >= @from AND k.token < @upto)
	ORDER BY t.state IN ('done', 'skipped', 'cancelled'), t.due_at, t.id
	LIMIT @limit`)

	summary = db.Define[summaryRow]("tasks.summary", `
	SELECT
		(SELECT count(*) FROM (SELECT 1 FROM tasks WHERE workspace_id = @ws AND assignee_user_id = @me
			AND state IN ('todo', 'doing') LIMIT 10001) AS c) AS mine,
		(SELECT count(*) FROM (SELECT 1 FROM tasks WHERE workspace_id = @ws AND state IN ('todo', 'doing') LIMIT 10001) AS c) AS open,
		(SELECT count(*) FROM (SELECT 1 FROM tasks WHERE workspace_id = @ws AND state IN ('todo', 'doing')
			AND due_at < @now LIMIT 10001) AS c) AS overdue`)

	taskList = db.DefineList(db.ListSpec[Item]{
		Name: "tasks.list", Columns: itemColumns, From: "tasks t", Where: "t.workspace_id = @ws",
		Filters: map[string]string{
			"word1": wordFilter("word1"), "word2": wordFilter("word2"), "word3": wordFilter("word3"), "word4": wordFilter("word4"),
			"open":        "t.state IN ('todo', 'doing')",
			"states":      "t.state = ANY(@states)",
			"assignee":    "t.assignee_user_id = @assignee",
			"no_assignee": "t.assignee_user_id IS NULL",
			"parent":      "t.parent_type = @parent_type AND t.parent_id = @parent_id",
			"parent_type": "t.parent_type = @parent_type",
			"gate":        "t.gate = @gate",
			"overdue":     "t.state IN ('todo', 'doing') AND t.due_at < @now",
			"due_before":  "t.due_at < @due_before",
			"blocked":     "t.state IN ('todo', 'doing') AND " + blockersSQL + " > 0",
		},
		Sorts: map[string]db.SortBy[Item]{
			"due":     {Expr: "t.due_at", Cast: "timestamptz", Of: func(i Item) string { return i.DueAt.Format(time.RFC3339Nano) }},
			"created": {Expr: "t.created_at", Cast: "timestamptz", Of: func(i Item) string { return i.CreatedAt.Format(time.RFC3339Nano) }},
			"updated": {Expr: "t.updated_at", Cast: "timestamptz", Of: func(i Item) string { return i.UpdatedAt.Format(time.RFC3339Nano) }},
			"state":   {Expr: "t.state", Cast: `text COLLATE "C"`, Of: func(i Item) string { return string(i.State) }},
		},
		Default: "due", IDExpr: "t.id", ID: func(i Item) uuid.UUID { return i.ID },
	})
)

// wordFilter asks for tasks with a word that begins with the argument.
func wordFilter(arg string) string {
	return `t.id IN (SELECT k.task_id FROM task_tokens k WHERE k.workspace_id = @ws AND k.token >= @` + arg + `_from AND k.token < @` + arg + `_upto)`
}

type summaryRow struct {
	Mine    int64 `db:"mine"`
	Open    int64 `db:"open"`
	Overdue int64 `db:"overdue"`
}

// neighbour is a task with the edge to it; Before says that it stands before.
type neighbour struct {
	DependencyID uuid.UUID `db:"dependency_id"`
	LagMinutes   int32     `db:"lag_minutes"`
	Before       bool      `db:"before"`
	Item
}
