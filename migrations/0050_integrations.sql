-- +goose Up
-- Webhooks: endpoints of a workspace, what is to be delivered to them, and each attempt.
SET row_security = off;

CREATE TABLE webhook_endpoints (
    workspace_id    uuid NOT NULL REFERENCES workspaces (id),
    id              uuid NOT NULL,
    url             text NOT NULL CHECK (char_length(url) BETWEEN 1 AND 2000),
    description     text NOT NULL DEFAULT '' CHECK (char_length(description) <= 200),
    patterns        text[] NOT NULL CHECK (cardinality(patterns) BETWEEN 1 AND 100),
    enabled         boolean NOT NULL,
    -- Sealed for this workspace. The previous one signs beside the new one until
    -- previous_until, so that receivers can change over without losing anything.
    secret_sealed   bytea NOT NULL,
    previous_sealed bytea,
    previous_until  timestamptz,
    disabled_reason text CHECK (disabled_reason IN ('manual', 'gone', 'failing')),
    disabled_at     timestamptz,
    -- The first attempt that failed since the last one that succeeded.
    failing_since   timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    version         bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, id),
    CHECK ((previous_sealed IS NULL) = (previous_until IS NULL)),
    CHECK (enabled = (disabled_reason IS NULL) AND enabled = (disabled_at IS NULL))
);
SELECT tenant_table('webhook_endpoints');
-- failing_since is left out: every failed attempt would need an audit entry.
SELECT require_audit('webhook_endpoints', 'url, description, patterns, enabled, secret_sealed');

-- What is sent of an event, frozen when it is queued, so that every attempt at every endpoint
-- sends the same bytes, whatever becomes of the thing that the event is about.
CREATE TABLE webhook_bodies (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    event_id     uuid NOT NULL,
    body         bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, event_id)
);
-- Retention sweeps all workspaces by age; the rows are stored in that order.
CREATE INDEX webhook_bodies_by_age ON webhook_bodies USING brin (created_at);
SELECT tenant_table('webhook_bodies', 'SELECT, INSERT');
GRANT SELECT (workspace_id, event_id, created_at), DELETE ON webhook_bodies TO vigilo_system;

-- One row per endpoint and event.
CREATE TABLE webhook_deliveries (
    workspace_id    uuid NOT NULL,
    id              uuid NOT NULL,
    endpoint_id     uuid NOT NULL,
    event_id        uuid NOT NULL,
    event_name      text COLLATE "C" NOT NULL,
    state           text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    -- A replay starts a new run; jobs of an older one find that they are late and end.
    run             integer NOT NULL DEFAULT 1,
    tries           integer NOT NULL DEFAULT 0, -- attempts of this run
    attempts        integer NOT NULL DEFAULT 0, -- attempts of all runs
    next_attempt_at timestamptz,
    last_attempt_at timestamptz,
    last_status     integer,
    last_error      text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    trouble         text COLLATE "C" GENERATED ALWAYS AS (
        CASE WHEN state = 'failed' THEN 'failed' WHEN state = 'pending' AND attempts > 0 THEN 'retrying' END) STORED,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT webhook_deliveries_once UNIQUE (workspace_id, event_id, endpoint_id),
    FOREIGN KEY (workspace_id, endpoint_id) REFERENCES webhook_endpoints (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, event_id) REFERENCES webhook_bodies (workspace_id, event_id),
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL))
) WITH (fillfactor = 70);
-- A delivery that succeeds at once changes no indexed column, so its update stays inside the
-- page (HOT). That is why dead letters are found by trouble and not by state.
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (workspace_id, endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_trouble ON webhook_deliveries (workspace_id, endpoint_id, trouble, created_at, id)
    WHERE trouble IS NOT NULL;
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries USING brin (created_at);
SELECT tenant_table('webhook_deliveries', 'SELECT, INSERT, UPDATE');
GRANT SELECT (workspace_id, id, event_id, state, created_at), DELETE ON webhook_deliveries TO vigilo_system;

CREATE TABLE webhook_attempts (
    workspace_id uuid NOT NULL,
    delivery_id  uuid NOT NULL,
    number       integer NOT NULL,
    started_at   timestamptz NOT NULL,
    latency_us   bigint NOT NULL,
    status       integer, -- NULL when no answer came
    outcome      text NOT NULL CHECK (outcome IN ('success', 'retry', 'gone', 'failed')),
    error_class  text NOT NULL DEFAULT '',
    signature    text NOT NULL,
    answer       bytea NOT NULL CHECK (octet_length(answer) <= 4096),
    PRIMARY KEY (workspace_id, delivery_id, number),
    FOREIGN KEY (workspace_id, delivery_id) REFERENCES webhook_deliveries (workspace_id, id) ON DELETE CASCADE
);
SELECT tenant_table('webhook_attempts', 'SELECT, INSERT');

-- Private ranges that webhooks of a workspace may reach. The id repeats the workspace, for
-- the completeness guard.
CREATE TABLE webhook_settings (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL CHECK (id = workspace_id),
    networks     text NOT NULL DEFAULT '' CHECK (char_length(networks) <= 4000),
    updated_at   timestamptz NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id)
);
SELECT tenant_table('webhook_settings', 'SELECT, INSERT, UPDATE');
SELECT require_audit('webhook_settings');
