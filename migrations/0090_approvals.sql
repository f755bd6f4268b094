-- +goose Up
-- Module approvals: which policies ask whom, what is being decided, who is asked in place of
-- whom, and what was decided, with proof.
SET row_security = off;

-- A policy as it is now. What it said at any time is in its versions: each change adds one.
CREATE TABLE approval_policies (
    workspace_id  uuid NOT NULL REFERENCES workspaces (id),
    id            uuid NOT NULL,
    name          text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    priority      integer NOT NULL DEFAULT 100 CHECK (priority BETWEEN 0 AND 1000),
    active        boolean NOT NULL DEFAULT true,
    match         jsonb NOT NULL DEFAULT '{}', -- read whole, never searched
    stages        jsonb NOT NULL,
    validity_days integer NOT NULL DEFAULT 0 CHECK (validity_days BETWEEN 0 AND 365), -- 0: the default
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    updated_by    uuid, -- user or token; NULL for what came with the workspace
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT approval_policies_name_key UNIQUE (workspace_id, name)
);
SELECT tenant_table('approval_policies', 'SELECT, INSERT, UPDATE');
SELECT require_audit('approval_policies');

CREATE TABLE approval_policy_versions (
    workspace_id uuid NOT NULL,
    policy_id    uuid NOT NULL,
    version      bigint NOT NULL,
    name         text NOT NULL,
    active       boolean NOT NULL,
    definition   jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   uuid,
    PRIMARY KEY (workspace_id, policy_id, version),
    FOREIGN KEY (workspace_id, policy_id) REFERENCES approval_policies (workspace_id, id)
);
SELECT tenant_table('approval_policy_versions', 'SELECT, INSERT');

-- One round of approval of one revision of a subject. Facts are those of the moment when it
-- was opened; shown is the text that deciders read.
CREATE TABLE approval_requests (
    workspace_id   uuid NOT NULL REFERENCES workspaces (id),
    id             uuid NOT NULL,
    subject_type   text COLLATE "C" NOT NULL,
    subject_id     uuid NOT NULL,
    subject_key    text COLLATE "C" NOT NULL,
    title          text NOT NULL,
    path           text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('normal', 'retro', 'template')),
    state          text NOT NULL CHECK (state IN ('open', 'approved', 'rejected', 'returned', 'timed_out', 'withdrawn')),
    revision       bigint NOT NULL,
    content_hash   bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    shown          text NOT NULL,
    facts          jsonb NOT NULL,
    excluded       jsonb NOT NULL,
    emergency      boolean NOT NULL,
    risk           text NOT NULL,
    pinned         jsonb NOT NULL,
    validity_hours integer NOT NULL CHECK (validity_hours > 0),
    planned_end    timestamptz,
    opened_by      uuid,
    opened_at      timestamptz NOT NULL,
    settled_at     timestamptz,
    code           text NOT NULL DEFAULT '',
    reason         text NOT NULL DEFAULT '',
    valid_until    timestamptz,
    overdue        boolean NOT NULL DEFAULT false,
    version        bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, id),
    CHECK ((state = 'open') = (settled_at IS NULL)),
    CHECK ((state = 'approved') = (valid_until IS NOT NULL))
);
CREATE UNIQUE INDEX approval_requests_open_key ON approval_requests (workspace_id, subject_type, subject_id) WHERE state = 'open';
CREATE INDEX approval_requests_by_subject ON approval_requests (workspace_id, subject_type, subject_id, opened_at, id);
CREATE INDEX approval_requests_open ON approval_requests (workspace_id, id) WHERE state = 'open';
SELECT tenant_table('approval_requests', 'SELECT, INSERT, UPDATE (state, excluded, settled_at, code, reason, valid_until, overdue, version)');
SELECT require_audit('approval_requests', 'state');

-- A stage of a request. next_at is when time alone makes something happen: people are
-- reminded, others are asked, the request ends.
CREATE TABLE approval_stages (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    request_id   uuid NOT NULL,
    position     integer NOT NULL,
    name         text NOT NULL,
    state        text NOT NULL CHECK (state IN ('waiting', 'open', 'satisfied', 'rejected', 'closed')),
    spec         jsonb NOT NULL,
    opened_at    timestamptz,
    closed_at    timestamptz,
    remind_at    timestamptz,
    escalate_at  timestamptz,
    due_at       timestamptz,
    reminded     boolean NOT NULL DEFAULT false,
    escalated    boolean NOT NULL DEFAULT false,
    next_at      timestamptz,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, request_id, position),
    FOREIGN KEY (workspace_id, request_id) REFERENCES approval_requests (workspace_id, id)
);
CREATE INDEX approval_stages_by_next ON approval_stages (workspace_id, next_at) WHERE next_at IS NOT NULL;
-- Sweep over all workspaces, each minute: where is something due?
CREATE INDEX approval_stages_due ON approval_stages (next_at) WHERE next_at IS NOT NULL;
SELECT tenant_table('approval_stages', 'SELECT, INSERT, UPDATE');
GRANT SELECT (workspace_id, next_at) ON approval_stages TO vigilo_system;

-- A seat is one required human decision. Block is its requirement within the stage.
CREATE TABLE approval_seats (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    request_id   uuid NOT NULL,
    stage_id     uuid NOT NULL,
    block        integer NOT NULL,
    position     integer NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('personal', 'shared', 'cab')),
    source       jsonb NOT NULL,
    principal_id uuid, -- of a personal seat
    label        text NOT NULL,
    status       text NOT NULL CHECK (status IN ('open', 'approved', 'rejected', 'returned', 'voided', 'superseded')),
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, stage_id, position),
    FOREIGN KEY (workspace_id, request_id) REFERENCES approval_requests (workspace_id, id),
    FOREIGN KEY (workspace_id, stage_id) REFERENCES approval_stages (workspace_id, id),
    CHECK ((kind = 'personal') = (principal_id IS NOT NULL))
);
CREATE INDEX approval_seats_by_request ON approval_seats (workspace_id, request_id, position);
CREATE INDEX approval_seats_board ON approval_seats (workspace_id, opened_at, id) WHERE kind = 'cab' AND status = 'open';
SELECT tenant_table('approval_seats', 'SELECT, INSERT, UPDATE (status, closed_at)');

-- Who is asked to fill a seat in place of whom. The path leads from the principal to the
-- assignee; without an assignee the seat is unrouted and says why.
CREATE TABLE approval_routes (
    workspace_id uuid NOT NULL,
    seat_id      uuid NOT NULL,
    principal_id uuid NOT NULL,
    escalated    boolean NOT NULL,
    assignee_id  uuid,
    path         uuid[] NOT NULL,
    delegations  uuid[] NOT NULL,
    unrouted     text NOT NULL,
    open         boolean NOT NULL,
    position     integer NOT NULL,
    PRIMARY KEY (workspace_id, seat_id, principal_id, escalated),
    FOREIGN KEY (workspace_id, seat_id) REFERENCES approval_seats (workspace_id, id),
    CHECK ((assignee_id IS NULL) = (unrouted <> ''))
);
CREATE INDEX approval_routes_by_assignee ON approval_routes (workspace_id, assignee_id, seat_id) WHERE open;
CREATE INDEX approval_routes_by_principal ON approval_routes (workspace_id, principal_id, seat_id) WHERE open;
SELECT tenant_table('approval_routes');

-- Decisions are written once and kept as they are: each carries the hash of the one before
-- it about the same subject, and the id of its audit entry. One decision fills a seat;
-- others of the same seat are rejections where each of several people must reject.
CREATE TABLE approval_decisions (
    workspace_id    uuid NOT NULL REFERENCES workspaces (id),
    id              uuid NOT NULL,
    sequence        bigint NOT NULL CHECK (sequence > 0),
    subject_type    text COLLATE "C" NOT NULL,
    subject_id      uuid NOT NULL,
    subject_key     text NOT NULL,
    revision        bigint NOT NULL,
    content_hash    bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    shown_hash      bytea NOT NULL CHECK (octet_length(shown_hash) = 32),
    request_id      uuid NOT NULL,
    request_kind    text NOT NULL,
    policies        jsonb NOT NULL,
    stage_id        uuid NOT NULL,
    stage           integer NOT NULL,
    stage_name      text NOT NULL,
    seat_id         uuid NOT NULL,
    seat_source     text NOT NULL,
    fills           boolean NOT NULL,
    principal_id    uuid NOT NULL,
    principal_name  text NOT NULL,
    actor_id        uuid NOT NULL,
    actor_name      text NOT NULL,
    actor_role      text NOT NULL,
    path            uuid[] NOT NULL,
    delegations     text[] NOT NULL,
    verdict         text NOT NULL CHECK (verdict IN ('approve', 'reject', 'return')),
    comment         text NOT NULL,
    decided_at      timestamptz NOT NULL,
    session_id      uuid NOT NULL,
    auth_method     text NOT NULL,
    mfa             text NOT NULL,
    signed_in_at    timestamptz,
    address         text NOT NULL,
    board_item      uuid NOT NULL,
    idempotency_key text NOT NULL,
    audit_id        uuid NOT NULL,
    previous        bytea NOT NULL CHECK (octet_length(previous) IN (0, 32)),
    hash            bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT approval_decisions_sequence_key UNIQUE (workspace_id, subject_type, subject_id, sequence),
    CONSTRAINT approval_decisions_actor_key UNIQUE (workspace_id, seat_id, actor_id),
    FOREIGN KEY (workspace_id, request_id) REFERENCES approval_requests (workspace_id, id),
    FOREIGN KEY (workspace_id, stage_id) REFERENCES approval_stages (workspace_id, id),
    FOREIGN KEY (workspace_id, seat_id) REFERENCES approval_seats (workspace_id, id),
    CHECK (verdict <> 'reject' OR comment <> '')
);
CREATE UNIQUE INDEX approval_decisions_seat_key ON approval_decisions (workspace_id, seat_id) WHERE fills;
CREATE INDEX approval_decisions_by_actor ON approval_decisions (workspace_id, actor_id, decided_at, id);
CREATE INDEX approval_decisions_by_request ON approval_decisions (workspace_id, request_id, decided_at, id);
SELECT tenant_table('approval_decisions', 'SELECT, INSERT');
SELECT require_audit('approval_decisions');

-- Privileges stop the application; these stop whoever owns the tables.
-- +goose StatementBegin
CREATE FUNCTION approval_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed or removed', TG_TABLE_NAME USING ERRCODE = '42501';
END $$;
-- +goose StatementEnd
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON approval_decisions
    FOR EACH ROW EXECUTE FUNCTION approval_refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON approval_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION approval_refuse_change();
ALTER TABLE approval_decisions ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE approval_decisions ENABLE ALWAYS TRIGGER refuse_truncate;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON approval_policy_versions
    FOR EACH ROW EXECUTE FUNCTION approval_refuse_change();
ALTER TABLE approval_policy_versions ENABLE ALWAYS TRIGGER refuse_change;

-- A delegation lets one person decide for another in [starts_at, ends_at). next_at is its
-- next moment: its start, then its end. scope_value is the change type, the tag of assets,
-- or the id of the policy.
CREATE TABLE approval_delegations (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    key          text COLLATE "C" NOT NULL,
    principal_id uuid NOT NULL,
    delegate_id  uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('out', 'assist')),
    scope        text NOT NULL CHECK (scope IN ('all', 'change_type', 'asset_group', 'policy')),
    scope_value  text NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    reason       text NOT NULL,
    created_by   uuid,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    next_at      timestamptz,
    version      bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, key),
    CHECK (starts_at < ends_at),
    CHECK (principal_id <> delegate_id),
    CHECK ((scope = 'all') = (scope_value = ''))
);
CREATE INDEX approval_delegations_by_end ON approval_delegations (workspace_id, ends_at, id);
CREATE INDEX approval_delegations_by_principal ON approval_delegations (workspace_id, principal_id, ends_at) WHERE revoked_at IS NULL;
CREATE INDEX approval_delegations_by_delegate ON approval_delegations (workspace_id, delegate_id, ends_at) WHERE revoked_at IS NULL;
-- Sweep over all workspaces, as above.
CREATE INDEX approval_delegations_due ON approval_delegations (next_at) WHERE next_at IS NOT NULL;
SELECT tenant_table('approval_delegations', 'SELECT, INSERT, UPDATE');
SELECT require_audit('approval_delegations', 'delegate_id, kind, scope, scope_value, starts_at, ends_at, revoked_at');
GRANT SELECT (workspace_id, next_at) ON approval_delegations TO vigilo_system;

CREATE TABLE approval_absences (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    user_id      uuid NOT NULL,
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    reason       text NOT NULL,
    created_by   uuid,
    created_at   timestamptz NOT NULL,
    next_at      timestamptz,
    PRIMARY KEY (workspace_id, id),
    CHECK (starts_at < ends_at)
);
CREATE INDEX approval_absences_by_end ON approval_absences (workspace_id, ends_at, id);
CREATE INDEX approval_absences_by_user ON approval_absences (workspace_id, user_id, ends_at);
-- Sweep over all workspaces, as above.
CREATE INDEX approval_absences_due ON approval_absences (next_at) WHERE next_at IS NOT NULL;
SELECT tenant_table('approval_absences', 'SELECT, INSERT, UPDATE (next_at), DELETE');
SELECT require_audit('approval_absences', 'starts_at, ends_at');
GRANT SELECT (workspace_id, next_at) ON approval_absences TO vigilo_system;
