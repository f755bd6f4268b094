-- +goose Up
-- Module changes: what is about to be done to the systems of a workspace, who agreed, what
-- it collides with, how it went.
SET row_security = off;

-- A standard change begins from a template. state is that of the template; its versions
-- have their own. version_in_use is the one that new changes begin from, null before the
-- first approval; version_proposed is the one that waits for approval.
CREATE TABLE change_templates (
    workspace_id     uuid NOT NULL REFERENCES workspaces (id),
    id               uuid NOT NULL,
    name             text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    name_key         text COLLATE "C" NOT NULL,
    state            text COLLATE "C" NOT NULL CHECK (state IN ('proposed', 'active', 'suspended', 'retired')),
    state_reason     text NOT NULL DEFAULT '' CHECK (char_length(state_reason) <= 1000),
    version_in_use   integer,
    version_proposed integer,
    proposed_by      uuid, -- who asked for the last approval
    expires_at       timestamptz NOT NULL,
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    created_by       uuid,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT change_templates_name_key UNIQUE (workspace_id, name_key)
);
CREATE INDEX change_templates_by_state ON change_templates (workspace_id, state, name_key, id);
SELECT tenant_table('change_templates', 'SELECT, INSERT, UPDATE');
SELECT require_audit('change_templates');

-- What a template holds, never changed once written: a change that began from a version
-- keeps it. body is read and written whole. approved_by holds names as they were.
CREATE TABLE change_template_versions (
    workspace_id uuid NOT NULL,
    template_id  uuid NOT NULL,
    version      integer NOT NULL CHECK (version > 0),
    body         jsonb NOT NULL,
    body_hash    bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    approved_by  text NOT NULL DEFAULT '',
    approved_at  timestamptz,
    created_at   timestamptz NOT NULL,
    created_by   uuid,
    PRIMARY KEY (workspace_id, template_id, version),
    FOREIGN KEY (workspace_id, template_id) REFERENCES change_templates (workspace_id, id)
);
SELECT tenant_table('change_template_versions', 'SELECT, INSERT, UPDATE (approved_by, approved_at)');

-- A change. ref_start and ref_end are the window that was decided on: a small shift of the
-- planned window leaves them, and so the content hash, as they were. submitted_hash is the
-- content of the last submission, null before the first. Times that are not known are null.
CREATE TABLE change_requests (
    workspace_id         uuid NOT NULL REFERENCES workspaces (id),
    id                   uuid NOT NULL,
    key                  text COLLATE "C" NOT NULL,
    type                 text COLLATE "C" NOT NULL CHECK (type IN ('standard', 'normal', 'emergency')),
    state                text COLLATE "C" NOT NULL CHECK (state IN ('draft', 'review', 'approved', 'scheduled', 'in_progress',
                             'completed', 'failed', 'rolled_back', 'cancelled')),
    state_reason         text NOT NULL DEFAULT '' CHECK (char_length(state_reason) <= 2000),
    title                text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description          text NOT NULL DEFAULT '' CHECK (char_length(description) <= 20000),
    priority             text COLLATE "C" NOT NULL CHECK (priority IN ('low', 'medium', 'high', 'critical')),
    category             text COLLATE "C" NOT NULL CHECK (category IN ('deployment', 'maintenance', 'security', 'configuration',
                             'infrastructure', 'database', 'network', 'access', 'other')),
    environment          text COLLATE "C" NOT NULL DEFAULT '' CHECK (environment IN ('', 'prod', 'staging', 'dev', 'qa', 'other')),
    planned_start        timestamptz,
    planned_end          timestamptz,
    ref_start            timestamptz,
    ref_end              timestamptz,
    actual_start         timestamptz,
    actual_end           timestamptz,
    failed_at            timestamptz,
    recovered_at         timestamptz,
    implementation_plan  text NOT NULL DEFAULT '' CHECK (char_length(implementation_plan) <= 50000),
    backout_plan         text NOT NULL DEFAULT '' CHECK (char_length(backout_plan) <= 50000),
    test_plan            text NOT NULL DEFAULT '' CHECK (char_length(test_plan) <= 50000),
    downtime             boolean NOT NULL DEFAULT false,
    vendor               text NOT NULL DEFAULT '' CHECK (char_length(vendor) <= 120),
    custom               jsonb NOT NULL DEFAULT '{}', -- names and values that people add; never a filter
    requester_user_id    uuid,
    owner_user_id        uuid,
    submitter_user_id    uuid,
    started_by           uuid,
    parent_id            uuid,
    lead_reason          text NOT NULL DEFAULT '' CHECK (char_length(lead_reason) <= 1000),
    auto_schedule        boolean NOT NULL DEFAULT false,
    evidence_required    boolean NOT NULL DEFAULT false,
    outcome              text COLLATE "C" NOT NULL DEFAULT '' CHECK (outcome IN ('', 'successful', 'successful_with_issues')),
    outcome_notes        text NOT NULL DEFAULT '' CHECK (char_length(outcome_notes) <= 10000),

    -- Risk: the level is the highest of what was computed, what the questionnaire says and
    -- what a person set. approved_risk is the level that was approved.
    risk_answers         jsonb NOT NULL DEFAULT '{}',
    risk_manual          text COLLATE "C" NOT NULL DEFAULT '' CHECK (risk_manual IN ('', 'low', 'medium', 'high', 'critical')),
    risk_questionnaire   text COLLATE "C" NOT NULL DEFAULT '' CHECK (risk_questionnaire IN ('', 'low', 'medium', 'high', 'critical')),
    risk_score           integer NOT NULL DEFAULT 0 CHECK (risk_score BETWEEN 0 AND 100),
    risk_level           text COLLATE "C" NOT NULL DEFAULT 'low' CHECK (risk_level IN ('low', 'medium', 'high', 'critical')),
    risk_rank            smallint NOT NULL GENERATED ALWAYS AS (
        CASE risk_level WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END) STORED,
    risk_lines           jsonb NOT NULL DEFAULT '[]',
    risk_at              timestamptz,
    approved_risk        text COLLATE "C" NOT NULL DEFAULT '' CHECK (approved_risk IN ('', 'low', 'medium', 'high', 'critical')),

    revision             bigint NOT NULL DEFAULT 1,
    content_hash         bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    submitted_hash       bytea CHECK (octet_length(submitted_hash) = 32),
    -- Who made a material edit of the present revision.
    editors              uuid[] NOT NULL DEFAULT '{}',
    -- SHA-256 of attachments that were taken away, sorted: taking one away is a material edit.
    removed_attachments  text[] NOT NULL DEFAULT '{}',
    submitted_at         timestamptz,
    approved_at          timestamptz,
    approval_valid_until timestamptz,
    scheduled_at         timestamptz, -- the last time; stays when it is unscheduled
    schedule_sequence    integer NOT NULL DEFAULT 0, -- grows with each change of a scheduled window
    preauthorisation     jsonb,
    retro_approval       text COLLATE "C" NOT NULL DEFAULT 'none' CHECK (retro_approval IN ('none', 'pending', 'approved', 'rejected', 'overdue')),
    pir                  text COLLATE "C" NOT NULL DEFAULT 'none' CHECK (pir IN ('none', 'required', 'done')),
    missed_window        boolean NOT NULL DEFAULT false,
    template_id          uuid,
    template_version     integer,
    template_values      jsonb NOT NULL DEFAULT '{}',
    template_note        text NOT NULL DEFAULT '', -- why it left the way of its template
    -- When time alone moves the change on: its approval ends, its window is missed.
    check_at             timestamptz,
    version              bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    created_by           uuid,
    updated_at           timestamptz NOT NULL,
    -- Never null, since lists sort by it: changes without a window come last.
    sort_start           timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(planned_start, timestamptz '9999-12-31 23:59:59+00')) STORED,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT change_requests_key UNIQUE (workspace_id, key),
    CHECK ((planned_start IS NULL) = (planned_end IS NULL)),
    CHECK ((ref_start IS NULL) = (ref_end IS NULL)),
    CHECK ((template_id IS NULL) = (template_version IS NULL)),
    CONSTRAINT change_requests_parent_fkey FOREIGN KEY (workspace_id, parent_id) REFERENCES change_requests (workspace_id, id),
    CONSTRAINT change_requests_template_fkey FOREIGN KEY (workspace_id, template_id, template_version)
        REFERENCES change_template_versions (workspace_id, template_id, version),
    CONSTRAINT change_requests_owner_fkey FOREIGN KEY (workspace_id, owner_user_id)
        REFERENCES members (workspace_id, user_id) ON DELETE SET NULL (owner_user_id)
) WITH (fillfactor = 80);
CREATE INDEX change_requests_by_start ON change_requests (workspace_id, sort_start, id);
CREATE INDEX change_requests_by_state ON change_requests (workspace_id, state, sort_start, id);
CREATE INDEX change_requests_open ON change_requests (workspace_id, sort_start, id)
    WHERE state IN ('draft', 'review', 'approved', 'scheduled', 'in_progress');
CREATE INDEX change_requests_by_risk ON change_requests (workspace_id, risk_rank, id);
CREATE INDEX change_requests_by_update ON change_requests (workspace_id, updated_at, id);
CREATE INDEX change_requests_by_age ON change_requests (workspace_id, created_at, id);
CREATE INDEX change_requests_by_owner ON change_requests (workspace_id, owner_user_id, sort_start, id) WHERE owner_user_id IS NOT NULL;
CREATE INDEX change_requests_of_parent ON change_requests (workspace_id, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX change_requests_of_template ON change_requests (workspace_id, template_id, created_at, id) WHERE template_id IS NOT NULL;
CREATE INDEX change_requests_reviews ON change_requests (workspace_id, actual_end, id) WHERE pir = 'required';
-- What overlaps a window: bounded by the longest window that a change may have.
CREATE INDEX change_requests_window ON change_requests (workspace_id, planned_start, planned_end)
    WHERE state IN ('review', 'approved', 'scheduled', 'in_progress');
CREATE INDEX change_requests_ended ON change_requests (workspace_id, actual_start, actual_end) WHERE actual_start IS NOT NULL;
-- Crosses workspaces on purpose: the sweep of vigilo_system asks for what is due anywhere.
CREATE INDEX change_requests_due ON change_requests (check_at) WHERE check_at IS NOT NULL;
SELECT tenant_table('change_requests', 'SELECT, INSERT, UPDATE');
GRANT SELECT (workspace_id, id, check_at) ON change_requests TO vigilo_system;
-- The owner is left out: when a member is removed the database clears it, and that removal
-- has its own entry. What is derived (risk, check_at) is no act of a person.
SELECT require_audit('change_requests', 'type, state, title, description, priority, category, environment, planned_start, planned_end,
    implementation_plan, backout_plan, test_plan, downtime, vendor, custom, parent_id, auto_schedule, evidence_required, outcome,
    outcome_notes, risk_answers, risk_manual, revision, retro_approval, pir, missed_window, actual_start, actual_end');

CREATE TABLE change_implementers (
    workspace_id uuid NOT NULL,
    change_id    uuid NOT NULL,
    user_id      uuid NOT NULL, -- stays when the member leaves: a guard names who is gone
    PRIMARY KEY (workspace_id, change_id, user_id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id)
);
CREATE INDEX change_implementers_by_user ON change_implementers (workspace_id, user_id, change_id);
SELECT tenant_table('change_implementers', 'SELECT, INSERT, DELETE');

CREATE TABLE change_assets (
    workspace_id uuid NOT NULL,
    change_id    uuid NOT NULL,
    asset_id     uuid NOT NULL,
    PRIMARY KEY (workspace_id, change_id, asset_id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id),
    CONSTRAINT change_assets_asset_fkey FOREIGN KEY (workspace_id, asset_id) REFERENCES assets (workspace_id, id)
);
CREATE INDEX change_assets_by_asset ON change_assets (workspace_id, asset_id, change_id);
SELECT tenant_table('change_assets', 'SELECT, INSERT, DELETE');

CREATE TABLE change_tags (
    workspace_id uuid NOT NULL,
    change_id    uuid NOT NULL,
    tag          text COLLATE "C" NOT NULL CHECK (char_length(tag) BETWEEN 1 AND 40),
    PRIMARY KEY (workspace_id, tag, change_id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id)
);
CREATE INDEX change_tags_by_change ON change_tags (workspace_id, change_id);
SELECT tenant_table('change_tags', 'SELECT, INSERT, DELETE');

-- Words by whose beginning people find a change.
CREATE TABLE change_tokens (
    workspace_id uuid NOT NULL,
    change_id    uuid NOT NULL,
    token        text COLLATE "C" NOT NULL CHECK (char_length(token) BETWEEN 1 AND 80),
    PRIMARY KEY (workspace_id, token, change_id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id)
);
CREATE INDEX change_tokens_by_change ON change_tokens (workspace_id, change_id);
SELECT tenant_table('change_tokens', 'SELECT, INSERT, DELETE');

-- The order of work. What is planned is part of the content that is approved; what is done
-- (state and below) is not.
CREATE TABLE change_steps (
    workspace_id  uuid NOT NULL,
    id            uuid NOT NULL,
    change_id     uuid NOT NULL,
    position      integer NOT NULL CHECK (position > 0),
    title         text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description   text NOT NULL DEFAULT '' CHECK (char_length(description) <= 10000),
    owner         text NOT NULL DEFAULT '' CHECK (char_length(owner) <= 80), -- a person or a role, in words
    minutes       integer NOT NULL DEFAULT 0 CHECK (minutes BETWEEN 0 AND 10080),
    verification  text NOT NULL DEFAULT '' CHECK (char_length(verification) <= 2000),
    rollback_note text NOT NULL DEFAULT '' CHECK (char_length(rollback_note) <= 2000),
    destructive   boolean NOT NULL DEFAULT false,
    state         text COLLATE "C" NOT NULL DEFAULT 'todo' CHECK (state IN ('todo', 'done', 'skipped')),
    note          text NOT NULL DEFAULT '' CHECK (char_length(note) <= 2000),
    done_at       timestamptz,
    done_by       uuid,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT change_steps_position_key UNIQUE (workspace_id, change_id, position) DEFERRABLE INITIALLY IMMEDIATE,
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id),
    CHECK ((state = 'todo') = (done_at IS NULL))
);
SELECT tenant_table('change_steps');

-- What keeps a change from going on. source_id is the freeze, incident or vendor whose hold
-- it is; releasing a cause releases its own holds and no others.
CREATE TABLE change_holds (
    workspace_id   uuid NOT NULL,
    id             uuid NOT NULL,
    change_id      uuid NOT NULL,
    kind           text COLLATE "C" NOT NULL CHECK (kind IN ('manual', 'freeze', 'lockdown', 'incident', 'vendor')),
    source_id      uuid,
    reason         text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 1000),
    created_at     timestamptz NOT NULL,
    created_by     uuid,
    released_at    timestamptz,
    released_by    uuid,
    release_reason text NOT NULL DEFAULT '',
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id),
    CHECK ((kind = 'manual') = (source_id IS NULL))
);
CREATE UNIQUE INDEX change_holds_source_key ON change_holds (workspace_id, change_id, source_id)
    WHERE released_at IS NULL AND source_id IS NOT NULL;
CREATE INDEX change_holds_by_change ON change_holds (workspace_id, change_id, created_at);
CREATE INDEX change_holds_by_source ON change_holds (workspace_id, source_id) WHERE released_at IS NULL AND source_id IS NOT NULL;
SELECT tenant_table('change_holds', 'SELECT, INSERT, UPDATE');

-- What a change is about besides its assets: a certificate, a host, an incident, another
-- change, an address elsewhere. target_id is null for an address.
CREATE TABLE change_links (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    change_id    uuid NOT NULL,
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('certificate', 'host', 'incident', 'change', 'url')),
    target_id    uuid,
    url          text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(url) <= 2048),
    title        text NOT NULL DEFAULT '' CHECK (char_length(title) <= 200),
    created_at   timestamptz NOT NULL,
    created_by   uuid,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id),
    CONSTRAINT change_links_key UNIQUE NULLS NOT DISTINCT (workspace_id, change_id, kind, target_id, url),
    CHECK ((kind = 'url') = (target_id IS NULL)),
    CHECK ((kind = 'url') = (url <> ''))
);
CREATE INDEX change_links_by_target ON change_links (workspace_id, kind, target_id) WHERE target_id IS NOT NULL;
SELECT tenant_table('change_links', 'SELECT, INSERT, DELETE');

CREATE TABLE change_watchers (
    workspace_id uuid NOT NULL,
    change_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, change_id, user_id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE
);
CREATE INDEX change_watchers_by_user ON change_watchers (workspace_id, user_id);
SELECT tenant_table('change_watchers', 'SELECT, INSERT, DELETE');

-- A comment that is taken back keeps its row without its words.
CREATE TABLE change_comments (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    change_id    uuid NOT NULL,
    author_id    uuid,
    author_name  text NOT NULL,
    body         text NOT NULL CHECK (char_length(body) <= 20000),
    created_at   timestamptz NOT NULL,
    deleted_at   timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id),
    CHECK ((deleted_at IS NULL) = (body <> ''))
);
CREATE INDEX change_comments_by_change ON change_comments (workspace_id, change_id, created_at, id);
SELECT tenant_table('change_comments', 'SELECT, INSERT, UPDATE (body, deleted_at)');

-- Files. The content lies in chunks, so that neither side holds a whole file in memory; a
-- file that is taken away leaves its name and digest.
CREATE TABLE change_attachments (
    workspace_id  uuid NOT NULL,
    id            uuid NOT NULL,
    change_id     uuid NOT NULL,
    name          text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    content_type  text COLLATE "C" NOT NULL,
    size_bytes    bigint NOT NULL CHECK (size_bytes BETWEEN 1 AND 26214400),
    sha256        bytea NOT NULL CHECK (octet_length(sha256) = 32),
    uploaded_by   uuid,
    uploader_name text NOT NULL,
    created_at    timestamptz NOT NULL,
    removed_at    timestamptz,
    removed_by    uuid,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id)
);
CREATE INDEX change_attachments_by_change ON change_attachments (workspace_id, change_id, created_at, id);
SELECT tenant_table('change_attachments', 'SELECT, INSERT, UPDATE (removed_at, removed_by)');

CREATE TABLE change_attachment_chunks (
    workspace_id  uuid NOT NULL,
    attachment_id uuid NOT NULL,
    position      integer NOT NULL CHECK (position >= 0),
    data          bytea NOT NULL CHECK (octet_length(data) BETWEEN 1 AND 262144),
    PRIMARY KEY (workspace_id, attachment_id, position),
    FOREIGN KEY (workspace_id, attachment_id) REFERENCES change_attachments (workspace_id, id)
);
-- Files are compressed already as often as not; the attempt would only cost.
ALTER TABLE change_attachment_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
SELECT tenant_table('change_attachment_chunks', 'SELECT, INSERT, DELETE');

-- What shows that a change works, or that it was undone.
CREATE TABLE change_evidence (
    workspace_id  uuid NOT NULL,
    id            uuid NOT NULL,
    change_id     uuid NOT NULL,
    kind          text COLLATE "C" NOT NULL CHECK (kind IN ('validation', 'backout')),
    summary       text NOT NULL CHECK (char_length(summary) BETWEEN 1 AND 5000),
    url           text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(url) <= 2048),
    attachment_id uuid,
    -- What a machine saw, such as the fingerprint that an endpoint serves.
    facts         jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL,
    created_by    uuid,
    author_name   text NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id),
    FOREIGN KEY (workspace_id, attachment_id) REFERENCES change_attachments (workspace_id, id)
);
CREATE INDEX change_evidence_by_change ON change_evidence (workspace_id, change_id, created_at, id);
SELECT tenant_table('change_evidence', 'SELECT, INSERT');

-- The post-implementation review, once one is asked for.
CREATE TABLE change_reviews (
    workspace_id   uuid NOT NULL,
    change_id      uuid NOT NULL,
    why            text NOT NULL, -- overrun, issues, emergency, risk, failure, retro
    due_at         timestamptz NOT NULL,
    summary        text NOT NULL DEFAULT '' CHECK (char_length(summary) <= 20000),
    went_well      text NOT NULL DEFAULT '' CHECK (char_length(went_well) <= 20000),
    went_badly     text NOT NULL DEFAULT '' CHECK (char_length(went_badly) <= 20000),
    follow_up      text NOT NULL DEFAULT '' CHECK (char_length(follow_up) <= 20000),
    completed_at   timestamptz,
    completed_by   uuid,
    completer_name text NOT NULL DEFAULT '',
    PRIMARY KEY (workspace_id, change_id),
    FOREIGN KEY (workspace_id, change_id) REFERENCES change_requests (workspace_id, id)
);
CREATE INDEX change_reviews_due ON change_reviews (workspace_id, due_at, change_id) WHERE completed_at IS NULL;
SELECT tenant_table('change_reviews', 'SELECT, INSERT, UPDATE');

-- What a change collides with. A pair of changes is one row: low_id is the lesser id. A row
-- without high_id is about something that is no change, which other_type and other_id name.
-- Rows that stay keep their id, and with it the risk that was accepted.
CREATE TABLE change_conflicts (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    low_id       uuid NOT NULL,
    high_id      uuid,
    type         text COLLATE "C" NOT NULL CHECK (type IN ('same_asset', 'dependency', 'same_service', 'people', 'freeze',
                     'outside_maintenance', 'incident', 'certificate')),
    asset_id     uuid,
    other_type   text COLLATE "C" NOT NULL DEFAULT '',
    other_id     uuid,
    severity     text COLLATE "C" NOT NULL CHECK (severity IN ('hard', 'soft')),
    detail       text NOT NULL DEFAULT '' CHECK (char_length(detail) <= 1000),
    computed_at  timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, low_id) REFERENCES change_requests (workspace_id, id),
    FOREIGN KEY (workspace_id, high_id) REFERENCES change_requests (workspace_id, id),
    CONSTRAINT change_conflicts_key UNIQUE NULLS NOT DISTINCT (workspace_id, low_id, high_id, type, asset_id, other_type, other_id),
    CHECK (high_id IS NULL OR low_id < high_id)
);
CREATE INDEX change_conflicts_by_high ON change_conflicts (workspace_id, high_id) WHERE high_id IS NOT NULL;
SELECT tenant_table('change_conflicts');

-- A risk that somebody took, for the revisions that both changes had then.
CREATE TABLE change_conflict_acceptances (
    workspace_id  uuid NOT NULL,
    id            uuid NOT NULL,
    conflict_id   uuid NOT NULL,
    low_revision  bigint NOT NULL,
    high_revision bigint NOT NULL DEFAULT 0,
    reason        text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 2000),
    accepted_by   uuid,
    accepter_name text NOT NULL,
    accepted_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, conflict_id) REFERENCES change_conflicts (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX change_conflict_acceptances_by_conflict ON change_conflict_acceptances (workspace_id, conflict_id);
SELECT tenant_table('change_conflict_acceptances', 'SELECT, INSERT');
