-- +goose Up
-- Module alertrules: which conditions of hosts people want to hear about, what was found,
-- and what was told to whom and when.
SET row_security = off;

-- A rule. The arrays are read and written whole with the rule and never searched. Ids in
-- them may outlive what they name: such ids reach nobody.
CREATE TABLE alert_rules (
    workspace_id     uuid NOT NULL REFERENCES workspaces (id),
    id               uuid NOT NULL,
    name             text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    scope            text NOT NULL DEFAULT 'certificate' CHECK (scope IN ('certificate')),
    trigger          text NOT NULL CHECK (trigger IN ('expiring_soon', 'expired', 'scan_failed', 'chain_invalid',
                         'name_mismatch', 'cert_changed', 'cert_issuer_changed')),
    threshold_days   integer NOT NULL DEFAULT 0 CHECK (threshold_days BETWEEN 0 AND 365),
    severity         text NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    enabled          boolean NOT NULL DEFAULT true,
    cooldown_minutes integer NOT NULL DEFAULT 1440 CHECK (cooldown_minutes BETWEEN 0 AND 43200),
    target           text NOT NULL CHECK (target IN ('workspace', 'hosts', 'tags')),
    target_hosts     uuid[] NOT NULL DEFAULT '{}',
    target_tags      text[] NOT NULL DEFAULT '{}',
    notify_admins    boolean NOT NULL DEFAULT false, -- whoever is admin or owner when it fires
    notify_owner     boolean NOT NULL DEFAULT false, -- whoever owns the host when it fires
    member_ids       uuid[] NOT NULL DEFAULT '{}',
    group_ids        uuid[] NOT NULL DEFAULT '{}',
    emails           text[] NOT NULL DEFAULT '{}',
    webhook_ids      uuid[] NOT NULL DEFAULT '{}',
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT alert_rules_name_key UNIQUE (workspace_id, name),
    CHECK ((trigger = 'expiring_soon') = (threshold_days > 0))
);
SELECT tenant_table('alert_rules');
SELECT require_audit('alert_rules');

-- An alert is one period in which a condition held for one host, or one change that
-- happened. It keeps the words it had when it fired, so that it outlives rule and host.
CREATE TABLE alerts (
    workspace_id     uuid NOT NULL REFERENCES workspaces (id),
    id               uuid NOT NULL,
    rule_id          uuid NOT NULL,
    rule_name        text NOT NULL,
    trigger          text NOT NULL,
    severity         text NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    host_id          uuid NOT NULL,
    host_title       text COLLATE "C" NOT NULL,
    host_path        text NOT NULL,
    message          text NOT NULL,
    state            text NOT NULL CHECK (state IN ('firing', 'resolved')),
    fired_at         timestamptz NOT NULL,
    resolved_at      timestamptz,
    resolved_reason  text NOT NULL DEFAULT '',
    acknowledged_at  timestamptz,
    acknowledged_by  uuid, -- user or token
    last_notified_at timestamptz,
    event_id         uuid, -- the change that it is about
    muted_by         text NOT NULL DEFAULT '' CHECK (muted_by IN ('', 'silence', 'rule')), -- why nobody is told
    muted_id         uuid, -- that silence or that rule
    PRIMARY KEY (workspace_id, id),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CHECK ((muted_by = '') = (muted_id IS NULL))
);
CREATE UNIQUE INDEX alerts_firing_key ON alerts (workspace_id, rule_id, host_id) WHERE state = 'firing';
CREATE UNIQUE INDEX alerts_event_key ON alerts (workspace_id, event_id, rule_id) WHERE event_id IS NOT NULL;
CREATE INDEX alerts_by_state ON alerts (workspace_id, state, fired_at, id);
CREATE INDEX alerts_by_time ON alerts (workspace_id, fired_at, id);
CREATE INDEX alerts_by_host ON alerts (workspace_id, host_title, id);
CREATE INDEX alerts_by_host_id ON alerts (workspace_id, host_id, fired_at, id);
CREATE INDEX alerts_by_rule ON alerts (workspace_id, rule_id, fired_at, id);
CREATE INDEX alerts_by_muting ON alerts (workspace_id, muted_id, fired_at, id) WHERE muted_id IS NOT NULL;
-- The daily purge, over all workspaces.
CREATE INDEX alerts_by_end ON alerts (resolved_at) WHERE resolved_at IS NOT NULL;
SELECT tenant_table('alerts', 'SELECT, INSERT, UPDATE (state, resolved_at, resolved_reason, acknowledged_at,
    acknowledged_by, last_notified_at, muted_by, muted_id)');
GRANT SELECT (workspace_id, id, resolved_at), DELETE ON alerts TO vigilo_system;

-- What a rule remembers about a host: the alert that fires now, and what was told when,
-- for the cooldown. No row means that nothing ever happened.
CREATE TABLE alert_tracks (
    workspace_id  uuid NOT NULL,
    host_id       uuid NOT NULL,
    rule_id       uuid NOT NULL,
    alert_id      uuid,
    told          boolean NOT NULL,
    last_told_at  timestamptz,
    told_firing   boolean NOT NULL,
    suppressed    integer NOT NULL,
    no_data_since timestamptz,
    muted_by      text NOT NULL DEFAULT '' CHECK (muted_by IN ('', 'silence', 'rule')),
    muted_id      uuid,
    owed_id       uuid, -- an alert that ended inside a silence and whose end is still to be told
    PRIMARY KEY (workspace_id, host_id, rule_id),
    FOREIGN KEY (workspace_id, rule_id) REFERENCES alert_rules (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX alert_tracks_by_rule ON alert_tracks (workspace_id, rule_id);
SELECT tenant_table('alert_tracks');

-- A silence keeps alerts from being told for a time. It lies over an alert when each list
-- that is not empty names its host, one of the host's tags, or its rule. It ends by itself
-- and is kept, as a record of who silenced what. The arrays are like those of a rule.
CREATE TABLE alert_silences (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    comment      text NOT NULL CHECK (char_length(comment) BETWEEN 1 AND 300),
    host_ids     uuid[] NOT NULL DEFAULT '{}',
    tags         text[] NOT NULL DEFAULT '{}',
    rule_ids     uuid[] NOT NULL DEFAULT '{}',
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    created_by   uuid NOT NULL, -- user or token
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CHECK (starts_at <= ends_at),
    CHECK (cardinality(host_ids) + cardinality(tags) + cardinality(rule_ids) > 0)
);
CREATE INDEX alert_silences_by_end ON alert_silences (workspace_id, ends_at, id);
SELECT tenant_table('alert_silences', 'SELECT, INSERT, UPDATE (comment, host_ids, tags, rule_ids, starts_at, ends_at, version, updated_at)');
SELECT require_audit('alert_silences');

-- One row per host: whoever evaluates its rules locks it. next_at is when time alone
-- changes something, such as a threshold that will be crossed. failing says whether its
-- scans fail, as the newest event about that says.
CREATE TABLE alert_checks (
    workspace_id  uuid NOT NULL REFERENCES workspaces (id),
    host_id       uuid NOT NULL,
    next_at       timestamptz,
    failing       boolean NOT NULL DEFAULT false,
    failing_event uuid,
    PRIMARY KEY (workspace_id, host_id)
) WITH (fillfactor = 80);
CREATE INDEX alert_checks_by_next ON alert_checks (workspace_id, next_at) WHERE next_at IS NOT NULL;
-- Sweep over all workspaces, each minute: where is something due?
CREATE INDEX alert_checks_due ON alert_checks (next_at) WHERE next_at IS NOT NULL;
SELECT tenant_table('alert_checks');
GRANT SELECT (workspace_id, next_at) ON alert_checks TO vigilo_system;
