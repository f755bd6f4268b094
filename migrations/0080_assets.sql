-- +goose Up
-- Module assets: what a workspace runs and owns, and what depends on what.
SET row_security = off;

-- name_key is the name in lower case: names are unique per type whatever their case, and
-- lists sort by it. A member who leaves gives up what they owned, which their removal
-- records.
CREATE TABLE assets (
    workspace_id         uuid NOT NULL REFERENCES workspaces (id),
    id                   uuid NOT NULL,
    name                 text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    name_key             text COLLATE "C" NOT NULL CHECK (char_length(name_key) BETWEEN 1 AND 240),
    hostname             text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(hostname) <= 253),
    ci_type              text COLLATE "C" NOT NULL CHECK (ci_type IN (
        'server', 'vm', 'container', 'service', 'domain', 'database', 'application', 'network', 'other')),
    environment          text COLLATE "C" NOT NULL CHECK (environment IN ('prod', 'staging', 'dev', 'qa', 'other')),
    criticality          text COLLATE "C" NOT NULL CHECK (criticality IN ('low', 'medium', 'high', 'critical')),
    -- 0 for critical to 3 for low, so that the worst comes first.
    criticality_rank     smallint NOT NULL GENERATED ALWAYS AS (
        CASE criticality WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END) STORED,
    lifecycle            text COLLATE "C" NOT NULL CHECK (lifecycle IN ('planned', 'active', 'retired')),
    owner_user_id        uuid,
    team                 text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(team) <= 60),
    provider             text COLLATE "C" NOT NULL CHECK (provider IN ('manual', 'aws', 'gcp', 'azure', 'k8s', 'consul')),
    external_id          text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(external_id) <= 200),
    description          text NOT NULL DEFAULT '' CHECK (char_length(description) <= 5000),
    -- Names and values that people add; never a filter.
    custom               jsonb NOT NULL DEFAULT '{}',
    -- Minutes that a change on this asset needs free before and after its window.
    lead_minutes         integer NOT NULL DEFAULT 0 CHECK (lead_minutes BETWEEN 0 AND 10080),
    trail_minutes        integer NOT NULL DEFAULT 0 CHECK (trail_minutes BETWEEN 0 AND 10080),
    one_change_at_a_time boolean NOT NULL DEFAULT false,
    retired_at           timestamptz,
    version              bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    created_by           uuid,
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT assets_name_key UNIQUE (workspace_id, ci_type, name_key),
    CHECK ((lifecycle = 'retired') = (retired_at IS NOT NULL)),
    CONSTRAINT assets_owner_fkey FOREIGN KEY (workspace_id, owner_user_id)
        REFERENCES members (workspace_id, user_id) ON DELETE SET NULL (owner_user_id)
);
-- What an account of a provider calls the thing names it once.
CREATE UNIQUE INDEX assets_external_key ON assets (workspace_id, provider, external_id) WHERE external_id <> '';
CREATE INDEX assets_by_name ON assets (workspace_id, name_key, id);
CREATE INDEX assets_by_criticality ON assets (workspace_id, criticality_rank, id);
CREATE INDEX assets_by_type ON assets (workspace_id, ci_type, id);
CREATE INDEX assets_by_environment ON assets (workspace_id, environment, id);
CREATE INDEX assets_by_update ON assets (workspace_id, updated_at, id);
CREATE INDEX assets_by_age ON assets (workspace_id, created_at, id);
CREATE INDEX assets_by_owner ON assets (workspace_id, owner_user_id, id) WHERE owner_user_id IS NOT NULL;
CREATE INDEX assets_by_team ON assets (workspace_id, team, id) WHERE team <> '';
CREATE INDEX assets_by_hostname ON assets (workspace_id, hostname) WHERE hostname <> '';
SELECT tenant_table('assets');
SELECT require_audit('assets', 'name, hostname, ci_type, environment, criticality, lifecycle, team, provider, external_id,
    description, custom, lead_minutes, trail_minutes, one_change_at_a_time');

CREATE TABLE asset_tags (
    workspace_id uuid NOT NULL,
    asset_id     uuid NOT NULL,
    tag          text COLLATE "C" NOT NULL CHECK (char_length(tag) BETWEEN 1 AND 40),
    PRIMARY KEY (workspace_id, tag, asset_id),
    FOREIGN KEY (workspace_id, asset_id) REFERENCES assets (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX asset_tags_by_asset ON asset_tags (workspace_id, asset_id);
SELECT tenant_table('asset_tags', 'SELECT, INSERT, DELETE');

-- Words by whose beginning people find an asset. LIKE would read the whole workspace under
-- row-level security.
CREATE TABLE asset_tokens (
    workspace_id uuid NOT NULL,
    asset_id     uuid NOT NULL,
    token        text COLLATE "C" NOT NULL CHECK (char_length(token) BETWEEN 1 AND 253),
    PRIMARY KEY (workspace_id, token, asset_id),
    FOREIGN KEY (workspace_id, asset_id) REFERENCES assets (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX asset_tokens_by_asset ON asset_tokens (workspace_id, asset_id);
SELECT tenant_table('asset_tokens', 'SELECT, INSERT, DELETE');

-- An edge is drawn from what depends to what it depends on, whatever its type. The two
-- indexes serve walks in either direction without reading the row.
CREATE TABLE asset_relationships (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    from_id      uuid NOT NULL,
    to_id        uuid NOT NULL,
    type         text COLLATE "C" NOT NULL CHECK (type IN ('depends_on', 'hosts', 'connects_to', 'managed_by', 'part_of')),
    protocol     text NOT NULL DEFAULT '' CHECK (char_length(protocol) <= 20),
    port         integer CHECK (port BETWEEN 1 AND 65535),
    -- Nothing else can stand in for the dependency.
    exclusive    boolean NOT NULL DEFAULT false,
    note         text NOT NULL DEFAULT '' CHECK (char_length(note) <= 500),
    created_at   timestamptz NOT NULL,
    created_by   uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT asset_relationships_edge_key UNIQUE (workspace_id, from_id, to_id, type),
    CONSTRAINT asset_relationships_not_self CHECK (from_id <> to_id),
    -- No cascade: an asset that anything refers to is retired, not deleted.
    CONSTRAINT asset_relationships_from_fkey FOREIGN KEY (workspace_id, from_id) REFERENCES assets (workspace_id, id),
    CONSTRAINT asset_relationships_to_fkey FOREIGN KEY (workspace_id, to_id) REFERENCES assets (workspace_id, id)
);
CREATE INDEX asset_relationships_walk_down ON asset_relationships (workspace_id, to_id) INCLUDE (from_id, type, exclusive);
CREATE INDEX asset_relationships_walk_up ON asset_relationships (workspace_id, from_id) INCLUDE (to_id, type, exclusive);
SELECT tenant_table('asset_relationships', 'SELECT, INSERT, DELETE');
SELECT require_audit('asset_relationships');
