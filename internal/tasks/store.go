package tasks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const taskColumns = `t.id, t.key, t.title, t.description, t.parent_type, t.parent_id, t.parent_label, t.position, t.state, t.state_reason,
	t.gate, t.verification, t.assignee_user_id, t.due_at, t.estimate_minutes, t.started_at, t.finished_at, t.done_by,
	t.version, t.created_at, t.created_by, t.updated_at`

var (
	taskByID = db.Define[Task]("tasks.by_id", `
	SELECT `+taskColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.id = @id`).Called("task")
	taskByKey = db.Define[Task]("tasks.by_key", `
	SELECT `+taskColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.key = @key`).Called("task")
	lockByID = db.Define[Task]("tasks.lock_by_id", `
	SELECT `+taskColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.id = @id FOR UPDATE`).Called("task")
	lockByKey = db.Define[Task]("tasks.lock_by_key", `
	SELECT `+taskColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.key = @key FOR UPDATE`).Called("task")

	// lockMany takes many in the order of their ids, so that two batches never wait for each
	// other in a circle.
	lockMany = db.Define[Task]("tasks.lock_many", `
	SELECT `+taskColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.id = ANY(@ids) ORDER BY t.id LIMIT 1000 FOR UPDATE`)

	tasksByIDs = db.Define[Task]("tasks.by_ids", `
	SELECT `+taskColumns+` FROM tasks t WHERE t.workspace_id = @ws AND t.id = ANY(@ids) ORDER BY t.key LIMIT 1000`)

	tasksOfParent = db.Define[Task]("tasks.of_parent", `
	SELECT `+taskColumns+`
	FROM tasks t
	WHERE t.workspace_id = @ws AND t.parent_type = @type AND t.parent_id = @id
	ORDER BY t.position, t.id
	LIMIT 1000`)

	lockOpenOfParent = db.Define[Task]("tasks.lock_open_of_parent", `
	SELECT `+taskColumns+`
	FROM tasks t
	WHERE t.workspace_id = @ws AND t.parent_type = @type AND t.parent_id = @id AND t.state IN ('todo', 'doing')
	ORDER BY t.id
	LIMIT 1000
	FOR UPDATE`)

	openCounts = db.Define[idCount]("tasks.open_counts", `
	SELECT t.parent_id AS id, count(*) AS count
	FROM tasks t
	WHERE t.workspace_id = @ws AND t.parent_type = @type AND t.parent_id = ANY(@ids) AND t.state IN ('todo', 'doing')
	GROUP BY t.parent_id`)

	lastPosition = db.Define[int32]("tasks.last_position", `
	SELECT coalesce(max(position), 0) FROM tasks WHERE workspace_id = @ws AND parent_type = @type AND parent_id = @id`)

	insert = db.DefineCommand("tasks.insert", `
	INSERT INTO tasks (workspace_id, id, key, title, description, parent_type, parent_id, parent_label, position, state, gate, verification,
		assignee_user_id, due_at, estimate_minutes, created_at, created_by, updated_at)
	VALUES (@ws, @id, @key, @title, @description, @parent_type, @parent_id, @parent_label, @position, @state, @gate, @verification,
		@assignee, @due, @estimate, @now, @by, @now)`)

	update = db.DefineCommand("tasks.update", `
	UPDATE tasks
	SET title = @title, description = @description, parent_label = @parent_label, position = @position, state = @state, state_reason = @state_reason,
		gate = @gate, verification = @verification, assignee_user_id = @assignee, due_at = @due, estimate_minutes = @estimate,
		started_at = @started, finished_at = @finished, done_by = @done_by, version = @version, updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)

	deleteTask = db.DefineCommand("tasks.delete", `DELETE FROM tasks WHERE workspace_id = @ws AND id = @id`)

	insertTokens = db.DefineCommand("tasks.insert_tokens", `
	INSERT INTO task_tokens (workspace_id, task_id, token)
	SELECT @ws, @id, r.token FROM unnest(@tokens::text[]) AS r(token)
	ON CONFLICT DO NOTHING`)
	deleteTokens = db.DefineCommand("tasks.delete_tokens", `
	DELETE FROM task_tokens WHERE workspace_id = @ws AND task_id = @id`)

	// takeGraph makes those who add or remove edges of a workspace wait for each other: two
	// edges added at once would each miss the circle that they close together.
	takeGraph = db.DefineCommand("tasks.take_graph", `
	SELECT pg_advisory_xact_lock(hashtextextended('tasks.graph ' || @ws::uuid::text, 0))`)

	lockPredecessors = db.Define[predecessor]("tasks.lock_predecessors", `
	SELECT t.key, t.title, t.state, t.finished_at, d.lag_minutes
	FROM task_dependencies d
	JOIN tasks t ON t.workspace_id = d.workspace_id AND t.id = d.predecessor_id
	WHERE d.workspace_id = @ws AND d.successor_id = @id
	ORDER BY t.id
	FOR SHARE OF t`)

	dependenciesOf = db.Define[Dependency]("tasks.dependencies_of", dependencySQL+`
	WHERE d.workspace_id = @ws AND (d.predecessor_id = @id OR d.successor_id = @id)
	ORDER BY d.id`)

	edgesOfParent = db.Define[Dependency]("tasks.edges_of_parent", dependencySQL+`
	WHERE d.workspace_id = @ws AND a.parent_type = @type AND a.parent_id = @id AND b.parent_type = @type AND b.parent_id = @id
	ORDER BY d.id
	LIMIT 5000`)

	// edgesOnward reads every edge on a way that begins at a task. UNION drops what was seen,
	// so that a diamond is walked once.
	edgesOnward = db.Define[Dependency]("tasks.edges_onward", `
	WITH RECURSIVE onward (id, successor_id) AS (
		SELECT d.id, d.successor_id FROM task_dependencies d WHERE d.workspace_id = @ws AND d.predecessor_id = @id
		UNION
		SELECT d.id, d.successor_id FROM onward o JOIN task_dependencies d ON d.workspace_id = @ws AND d.predecessor_id = o.successor_id
	)
	`+dependencySQL+`
	WHERE d.workspace_id = @ws AND d.id IN (SELECT o.id FROM onward o)
	ORDER BY d.id`)

	insertDependency = db.DefineCommand("tasks.insert_dependency", `
	INSERT INTO task_dependencies (workspace_id, id, predecessor_id, successor_id, lag_minutes, created_at, created_by)
	VALUES (@ws, @id, @predecessor, @successor, @lag, @now, @by)
	ON CONFLICT ON CONSTRAINT task_dependencies_edge_key DO NOTHING`)
	deleteDependency = db.DefineCommand("tasks.delete_dependency", `
	DELETE FROM task_dependencies WHERE workspace_id = @ws AND id = @id`)
)

const dependencySQL = `
	SELECT d.id, d.predecessor_id, d.successor_id, d.lag_minutes, a.key AS predecessor_key, b.key AS successor_key
	FROM task_dependencies d
	JOIN tasks a ON a.workspace_id = d.workspace_id AND a.id = d.predecessor_id
	JOIN tasks b ON b.workspace_id = d.workspace_id AND b.id = d.successor_id`

type idCount struct {
	ID    uuid.UUID `db:"id"`
	Count int64     `db:"count"`
}

// findTask reads a task by its id or its key.
func findTask(ctx context.Context, tx *db.Tx, idOrKey string) (Task, error) {
	return oneTask(ctx, tx, idOrKey, taskByID, taskByKey)
}

func lockTask(ctx context.Context, tx *db.Tx, idOrKey string) (Task, error) {
	return oneTask(ctx, tx, idOrKey, lockByID, lockByKey)
}

func oneTask(ctx context.Context, tx *db.Tx, idOrKey string, byID, byKey db.Statement[Task]) (Task, error) {
	if id, err := uuid.Parse(idOrKey); err == nil && len(idOrKey) == 36 {
		return byID.One(ctx, tx, db.Args{"id": id})
	}
	return byKey.One(ctx, tx, db.Args{"key": keyOf(idOrKey)})
}

// keyOf writes a key as it is stored. What is none, or holds what PostgreSQL refuses, finds
// nothing.
func keyOf(text string) string {
	text = strings.ToUpper(strings.TrimSpace(text))
	if !strings.HasPrefix(text, "TASK-") || len(text) > 30 || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return ""
	}
	return text
}

func lockGraph(ctx context.Context, tx *db.Tx) error {
	_, err := takeGraph.Run(ctx, tx, nil)
	return err
}

func insertTask(ctx context.Context, tx *db.Tx, t Task) error {
	_, err := insert.Run(ctx, tx, db.Args{
		"id": t.ID, "key": t.Key, "title": t.Title, "description": t.Description, "parent_type": t.ParentType, "parent_id": t.ParentID, "parent_label": t.ParentLabel,
		"position": t.Position, "state": string(t.State), "gate": t.Gate, "verification": t.Verification, "assignee": t.AssigneeID,
		"due": t.DueAt, "estimate": t.EstimateMinutes, "by": t.CreatedBy,
	})
	if err != nil {
		return err
	}
	return addWords(ctx, tx, t)
}

func saveTask(ctx context.Context, tx *db.Tx, t Task) error {
	n, err := update.Run(ctx, tx, db.Args{
		"id": t.ID, "title": t.Title, "description": t.Description, "parent_label": t.ParentLabel, "position": t.Position, "state": string(t.State),
		"state_reason": t.StateReason, "gate": t.Gate, "verification": t.Verification, "assignee": t.AssigneeID, "due": t.DueAt,
		"estimate": t.EstimateMinutes, "started": t.StartedAt, "finished": t.FinishedAt, "done_by": t.DoneBy, "version": t.Version,
	})
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("tasks.update: %d rows", n)
	}
	if _, err := deleteTokens.Run(ctx, tx, db.Args{"id": t.ID}); err != nil {
		return err
	}
	return addWords(ctx, tx, t)
}

func addWords(ctx context.Context, tx *db.Tx, t Task) error {
	_, err := insertTokens.Run(ctx, tx, db.Args{"id": t.ID, "tokens": words(t)})
	return err
}

// maxWord is the longest word that people find a task by.
const maxWord = 80

// words by whose beginning people find a task: its key and those of its title.
func words(t Task) []string {
	out := append(splitWords(t.Title), strings.ToLower(t.Key))
	slices.Sort(out)
	return slices.Compact(out)
}

func splitWords(text string) []string {
	out := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '-' && r != '_' && r != '.'
	})
	for i, w := range out {
		if utf8.RuneCountInString(w) > maxWord {
			out[i] = string([]rune(w)[:maxWord])
		}
	}
	return out
}

// maxWords is how many words of a search are looked at.
const maxWords = 4

// searchWords cuts what a person typed into the prefixes to look for.
func searchWords(text string) []string {
	out := splitWords(strings.ToValidUTF8(text, ""))
	return out[:min(len(out), maxWords)]
}
