-- +goose Up
-- The helpers that every tenant table is made with, so that no table forgets a rule of
-- isolation: workspace_id leads the key, row-level security is on and forced, and a
-- query outside a workspace fails loudly instead of returning nothing.
SET row_security = off;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO vigilo_app, vigilo_system;

-- tenant_table switches on isolation for a table with a workspace_id column. vigilo_app
-- sees the rows of app.workspace_id; vigilo_system has no grant unless a migration gives
-- it columns by name.
-- +goose StatementBegin
CREATE FUNCTION tenant_table(t regclass, app_grants text DEFAULT 'SELECT, INSERT, UPDATE, DELETE') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant ON %s TO vigilo_app '
        'USING (workspace_id = (SELECT current_setting(''app.workspace_id'')::uuid))', t);
    EXECUTE format('CREATE POLICY system ON %s TO vigilo_system USING (true)', t);
    EXECUTE format('GRANT %s ON %s TO vigilo_app', app_grants, t);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION tenant_table(regclass, text) FROM PUBLIC;

-- A workspace is the tenancy boundary. Its own row is seen only from inside it;
-- vigilo_system finds it by slug at the start of a request.
CREATE TABLE workspaces (
    id         uuid PRIMARY KEY,
    slug       text COLLATE "C" NOT NULL UNIQUE
               CHECK (slug ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$' AND length(slug) BETWEEN 3 AND 30),
    name       text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    timezone   text NOT NULL DEFAULT 'UTC',
    plan       text NOT NULL DEFAULT 'enterprise' CHECK (plan IN ('free', 'starter', 'pro', 'enterprise')),
    settings   jsonb NOT NULL DEFAULT '{}',
    version    bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE workspaces FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON workspaces TO vigilo_app USING (id = (SELECT current_setting('app.workspace_id')::uuid));
CREATE POLICY system ON workspaces TO vigilo_system USING (true);
GRANT SELECT, INSERT, UPDATE (name, timezone, settings, version, updated_at) ON workspaces TO vigilo_app;
GRANT SELECT (id, slug, name, timezone, plan, settings) ON workspaces TO vigilo_system;

-- Keys such as CHG-00012 count per workspace and prefix and are never reused: the
-- counter only grows, whatever is deleted.
CREATE TABLE key_counters (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    prefix       text COLLATE "C" NOT NULL,
    last         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, prefix)
);
SELECT tenant_table('key_counters', 'SELECT, INSERT, UPDATE');

-- Events: one row per state change, written in the transaction that made it. They feed
-- webhooks, notifications, playbooks and open pages.
CREATE TABLE events (
    workspace_id  uuid NOT NULL REFERENCES workspaces (id),
    id            uuid NOT NULL,
    name          text COLLATE "C" NOT NULL,
    occurred_at   timestamptz NOT NULL,
    actor_kind    smallint NOT NULL,
    actor_id      uuid,
    actor_name    text NOT NULL,
    reason        text NOT NULL DEFAULT '',
    subject_type  text COLLATE "C" NOT NULL,
    subject_id    uuid NOT NULL,
    subject_key   text NOT NULL DEFAULT '',
    subject_title text NOT NULL DEFAULT '',
    severity      text NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    payload       jsonb NOT NULL DEFAULT '{}',
    request_id    uuid,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX events_by_time ON events (workspace_id, occurred_at DESC, id DESC);
SELECT tenant_table('events', 'SELECT, INSERT');

-- Idempotency keys of the API, kept for 24 hours (api.md, Writes).
CREATE TABLE idempotency_keys (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    actor_id     uuid NOT NULL,
    key          text COLLATE "C" NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    fingerprint  bytea NOT NULL,
    status       integer,
    headers      jsonb,
    body         bytea,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, actor_id, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (workspace_id, created_at);
SELECT tenant_table('idempotency_keys');
GRANT SELECT (created_at), DELETE ON idempotency_keys TO vigilo_system;
