-- +goose Up
-- Module freezes: the windows in which changes may not run, may run only, or are expected,
-- and who let which change pass.
SET row_security = off;

-- A window. The arrays of its scope are read and written whole and never searched; ids in
-- them may outlive what they name, and then match nothing. Local hours are kept as people
-- say them: a date, two times of day and a zone. Instants follow from them.
CREATE TABLE freezes (
    workspace_id         uuid NOT NULL REFERENCES workspaces (id),
    id                   uuid NOT NULL,
    name                 text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    kind                 text NOT NULL CHECK (kind IN ('hard', 'soft', 'maintenance_only', 'maintenance')),
    state                text NOT NULL CHECK (state IN ('draft', 'active', 'lifted')),
    reason               text NOT NULL CHECK (char_length(reason) <= 2000),
    owner_user_id        uuid,
    environments         text[] NOT NULL DEFAULT '{}',
    asset_ids            uuid[] NOT NULL DEFAULT '{}',
    service_ids          uuid[] NOT NULL DEFAULT '{}',
    asset_tags           text[] NOT NULL DEFAULT '{}',
    asset_types          text[] NOT NULL DEFAULT '{}',
    change_types         text[] NOT NULL DEFAULT '{}',
    min_risk             text NOT NULL DEFAULT '' CHECK (min_risk IN ('', 'low', 'medium', 'high', 'critical')),
    include_downstream   boolean NOT NULL DEFAULT false,
    strict               boolean NOT NULL DEFAULT false, -- maintenance_only refuses instead of warning
    preapproves_standard boolean NOT NULL DEFAULT false,
    recurring            boolean NOT NULL,
    time_zone            text NOT NULL,
    starts_at            timestamptz,
    ends_at              timestamptz, -- null: open until lifted
    first_date           date,
    local_start          text NOT NULL DEFAULT '' CHECK (local_start ~ '^([0-2][0-9]:[0-5][0-9])?$'),
    local_end            text NOT NULL DEFAULT '' CHECK (local_end ~ '^([0-2][0-9]:[0-5][0-9])?$'),
    end_days             integer NOT NULL DEFAULT 0 CHECK (end_days BETWEEN 0 AND 92),
    rrule                text NOT NULL DEFAULT '',
    exdates              date[] NOT NULL DEFAULT '{}',
    rdates               date[] NOT NULL DEFAULT '{}',
    version              bigint NOT NULL DEFAULT 1,
    widened_version      bigint NOT NULL DEFAULT 1,
    -- How far occurrences are stored, when that was done, from which zone data, and how long
    -- the longest of them is.
    built_until          timestamptz NOT NULL,
    built_at             timestamptz NOT NULL,
    zone_version         text NOT NULL,
    longest_seconds      bigint NOT NULL,
    activated_at         timestamptz,
    activated_by         uuid,
    lifted_at            timestamptz,
    lifted_by            uuid,
    created_by           uuid,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CHECK (recurring = (starts_at IS NULL)),
    CHECK (recurring = (first_date IS NOT NULL)),
    CHECK (ends_at IS NULL OR ends_at > starts_at),
    CHECK ((state = 'lifted') = (lifted_at IS NOT NULL)),
    CHECK (state = 'draft' OR activated_at IS NOT NULL)
);
CREATE INDEX freezes_by_state ON freezes (workspace_id, state, id);
SELECT tenant_table('freezes');
SELECT require_audit('freezes', 'name, kind, state, reason, owner_user_id, environments, asset_ids, service_ids, asset_tags,
    asset_types, change_types, min_risk, include_downstream, strict, preapproves_standard, recurring, time_zone, starts_at,
    ends_at, first_date, local_start, local_end, end_days, rrule, exdates, rdates, version');
-- A sweep finds the workspaces whose occurrences were made from other zone data, or long ago.
GRANT SELECT (workspace_id, state, recurring, time_zone, zone_version, built_at) ON freezes TO vigilo_system;

-- What a freeze was in each of its versions.
CREATE TABLE freeze_versions (
    workspace_id uuid NOT NULL,
    freeze_id    uuid NOT NULL,
    version      bigint NOT NULL,
    snapshot     jsonb NOT NULL,
    widened      boolean NOT NULL,
    changed_by   uuid,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, freeze_id, version),
    FOREIGN KEY (workspace_id, freeze_id) REFERENCES freezes (workspace_id, id) ON DELETE CASCADE
);
SELECT tenant_table('freeze_versions', 'SELECT, INSERT, DELETE');

-- One row per occurrence, 18 months ahead. ends_at of one that is open lies in the year
-- 9999, so that comparisons need no special case; one whose local hours do not exist on its
-- day is empty.
CREATE TABLE freeze_occurrences (
    workspace_id uuid NOT NULL,
    freeze_id    uuid NOT NULL,
    local_date   date NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, freeze_id, local_date),
    FOREIGN KEY (workspace_id, freeze_id) REFERENCES freezes (workspace_id, id) ON DELETE CASCADE,
    CHECK (ends_at >= starts_at)
);
CREATE INDEX freeze_occurrences_by_end ON freeze_occurrences (workspace_id, freeze_id, ends_at) INCLUDE (starts_at);
SELECT tenant_table('freeze_occurrences');

-- Permission for one revision of one change to pass one freeze. Changes belong to a module
-- above, so their key and title are kept as they were.
CREATE TABLE freeze_overrides (
    workspace_id   uuid NOT NULL,
    id             uuid NOT NULL,
    freeze_id      uuid NOT NULL,
    freeze_version bigint NOT NULL,
    change_id      uuid NOT NULL,
    change_key     text NOT NULL,
    change_title   text NOT NULL,
    change_path    text NOT NULL,
    revision       bigint NOT NULL,
    window_start   timestamptz NOT NULL,
    window_end     timestamptz NOT NULL,
    state          text NOT NULL CHECK (state IN ('requested', 'granted', 'refused', 'void')),
    self_granted   boolean NOT NULL DEFAULT false,
    reason         text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 2000),
    requested_by   uuid NOT NULL,
    requested_at   timestamptz NOT NULL,
    decided_by     uuid,
    decided_at     timestamptz,
    decision_note  text NOT NULL DEFAULT '' CHECK (char_length(decision_note) <= 2000),
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, freeze_id) REFERENCES freezes (workspace_id, id) ON DELETE CASCADE,
    CHECK ((state = 'requested') <= (decided_at IS NULL)),
    CHECK (state NOT IN ('granted', 'refused') OR decided_by IS NOT NULL),
    -- Nobody grants their own request, unless an emergency said so and is flagged for it.
    CHECK (state <> 'granted' OR self_granted = (decided_by = requested_by))
);
CREATE UNIQUE INDEX freeze_overrides_open_key ON freeze_overrides (workspace_id, freeze_id, change_id, revision)
    WHERE state IN ('requested', 'granted');
CREATE INDEX freeze_overrides_by_change ON freeze_overrides (workspace_id, change_id, revision);
CREATE INDEX freeze_overrides_by_freeze ON freeze_overrides (workspace_id, freeze_id, requested_at, id);
CREATE INDEX freeze_overrides_waiting ON freeze_overrides (workspace_id, requested_at, id) WHERE state = 'requested';
SELECT tenant_table('freeze_overrides', 'SELECT, INSERT, UPDATE (state, decided_by, decided_at, decision_note), DELETE');
SELECT require_audit('freeze_overrides');
