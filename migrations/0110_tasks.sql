-- +goose Up
-- Module tasks: work to be done, on its own or for another record, and what must be done
-- before what.
SET row_security = off;

-- A task belongs to nothing, or to the record that parent_type and parent_id name; the
-- module of that record answers for its existence. position orders the tasks of one
-- parent. done_by is who finished it, which a verification gate asks for.
CREATE TABLE tasks (
    workspace_id     uuid NOT NULL REFERENCES workspaces (id),
    id               uuid NOT NULL,
    key              text COLLATE "C" NOT NULL,
    title            text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description      text NOT NULL DEFAULT '' CHECK (char_length(description) <= 10000),
    parent_type      text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(parent_type) <= 40),
    parent_id        uuid,
    -- What the record is called, as of the last change of the task, so that lists need not ask.
    parent_label     text NOT NULL DEFAULT '' CHECK (char_length(parent_label) <= 300),
    position         integer NOT NULL DEFAULT 0,
    state            text COLLATE "C" NOT NULL CHECK (state IN ('todo', 'doing', 'done', 'skipped', 'cancelled')),
    state_reason     text NOT NULL DEFAULT '' CHECK (char_length(state_reason) <= 1000),
    gate             text COLLATE "C" NOT NULL DEFAULT '' CHECK (gate IN ('', 'before_start', 'before_complete', 'before_close')),
    verification     boolean NOT NULL DEFAULT false,
    assignee_user_id uuid,
    -- Never null, since lists sort by it: a task without a due date comes last.
    due_at           timestamptz NOT NULL DEFAULT '9999-12-31 23:59:59+00',
    estimate_minutes integer NOT NULL DEFAULT 0 CHECK (estimate_minutes BETWEEN 0 AND 525600),
    started_at       timestamptz,
    finished_at      timestamptz,
    done_by          uuid,
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    created_by       uuid,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT tasks_key UNIQUE (workspace_id, key),
    CHECK ((parent_type = '') = (parent_id IS NULL)),
    CHECK (gate = '' OR parent_id IS NOT NULL),
    CHECK (NOT verification OR gate <> ''),
    CHECK ((state IN ('done', 'skipped', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT tasks_assignee_fkey FOREIGN KEY (workspace_id, assignee_user_id)
        REFERENCES members (workspace_id, user_id) ON DELETE SET NULL (assignee_user_id)
);
CREATE INDEX tasks_of_parent ON tasks (workspace_id, parent_type, parent_id, position, id) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_by_due ON tasks (workspace_id, due_at, id);
CREATE INDEX tasks_open ON tasks (workspace_id, due_at, id) WHERE state IN ('todo', 'doing');
CREATE INDEX tasks_of_assignee ON tasks (workspace_id, assignee_user_id, due_at, id) WHERE state IN ('todo', 'doing');
CREATE INDEX tasks_by_age ON tasks (workspace_id, created_at, id);
CREATE INDEX tasks_by_update ON tasks (workspace_id, updated_at, id);
CREATE INDEX tasks_by_state ON tasks (workspace_id, state, due_at, id);
SELECT tenant_table('tasks');
SELECT require_audit('tasks', 'title, description, parent_type, parent_id, state, state_reason, gate, verification, due_at,
    estimate_minutes');

-- The successor begins only once the predecessor is done, skipped or cancelled, and
-- lag_minutes after that.
CREATE TABLE task_dependencies (
    workspace_id   uuid NOT NULL,
    id             uuid NOT NULL,
    predecessor_id uuid NOT NULL,
    successor_id   uuid NOT NULL,
    lag_minutes    integer NOT NULL DEFAULT 0 CHECK (lag_minutes BETWEEN 0 AND 525600),
    created_at     timestamptz NOT NULL,
    created_by     uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT task_dependencies_edge_key UNIQUE (workspace_id, predecessor_id, successor_id),
    CONSTRAINT task_dependencies_not_self CHECK (predecessor_id <> successor_id),
    -- No cascade: deleting a task removes its dependencies by name, each with its audit entry.
    FOREIGN KEY (workspace_id, predecessor_id) REFERENCES tasks (workspace_id, id),
    FOREIGN KEY (workspace_id, successor_id) REFERENCES tasks (workspace_id, id)
);
CREATE INDEX task_dependencies_by_successor ON task_dependencies (workspace_id, successor_id, predecessor_id);
SELECT tenant_table('task_dependencies', 'SELECT, INSERT, DELETE');
SELECT require_audit('task_dependencies');

-- Words by whose beginning people find a task.
CREATE TABLE task_tokens (
    workspace_id uuid NOT NULL,
    task_id      uuid NOT NULL,
    token        text COLLATE "C" NOT NULL CHECK (char_length(token) BETWEEN 1 AND 80),
    PRIMARY KEY (workspace_id, token, task_id),
    FOREIGN KEY (workspace_id, task_id) REFERENCES tasks (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX task_tokens_by_task ON task_tokens (workspace_id, task_id);
SELECT tenant_table('task_tokens', 'SELECT, INSERT, DELETE');
