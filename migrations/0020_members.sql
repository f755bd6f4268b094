-- +goose Up
-- Who belongs to a workspace, with which role, and how they came.
SET row_security = off;

-- How long the sessions of people last inside a workspace, in minutes: 0 is as long as the
-- installation lets them. Never longer than that.
ALTER TABLE workspaces
    ADD COLUMN session_idle_minutes     integer NOT NULL DEFAULT 0 CHECK (session_idle_minutes = 0 OR session_idle_minutes >= 5),
    ADD COLUMN session_absolute_minutes integer NOT NULL DEFAULT 0 CHECK (session_absolute_minutes = 0 OR session_absolute_minutes >= 5);
GRANT UPDATE (session_idle_minutes, session_absolute_minutes) ON workspaces TO vigilo_app;
GRANT UPDATE (plan) ON workspaces TO vigilo_app;
GRANT SELECT (session_idle_minutes, session_absolute_minutes) ON workspaces TO vigilo_system;

CREATE TABLE members (
    workspace_id  uuid NOT NULL REFERENCES workspaces (id),
    id            uuid NOT NULL,
    user_id       uuid NOT NULL REFERENCES users (id),
    role          text NOT NULL CHECK (role IN ('viewer', 'member', 'approver', 'admin', 'owner')),
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    joined_via    text NOT NULL CHECK (joined_via IN ('created', 'invite', 'group', 'seed')),
    joined_at     timestamptz NOT NULL,
    last_seen_at  timestamptz,
    version       bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, user_id)
);
-- Not led by workspace_id: the workspace switcher asks for every workspace of a person.
CREATE INDEX members_by_user ON members (user_id, workspace_id);
SELECT tenant_table('members');
GRANT SELECT, UPDATE (last_seen_at) ON members TO vigilo_system;
SELECT require_audit('members', 'role, state');

-- A wrong query of the application shows no stranger: a person is visible only through
-- a membership of the current workspace (members is filtered by its own policy).
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users FOR SELECT TO vigilo_app
    USING (EXISTS (SELECT 1 FROM members m
        WHERE m.user_id = users.id AND m.workspace_id = (SELECT current_setting('app.workspace_id')::uuid)));
CREATE POLICY system ON users TO vigilo_system USING (true);
GRANT SELECT (id, email, name, time_zone, disabled_at, last_seen_at, created_at) ON users TO vigilo_app;

CREATE TABLE invitations (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    email        text COLLATE "C" NOT NULL,
    role         text NOT NULL CHECK (role IN ('viewer', 'member', 'approver', 'admin', 'owner')),
    token_hash   bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    invited_by   uuid REFERENCES users (id),
    created_at   timestamptz NOT NULL,
    sent_at      timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    accepted_at  timestamptz,
    accepted_by  uuid REFERENCES users (id),
    revoked_at   timestamptz,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, token_hash)
);
CREATE UNIQUE INDEX invitations_open_email_key ON invitations (workspace_id, email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
-- Not led by workspace_id: a link names no workspace, and sign-in asks for every
-- invitation of an address.
CREATE INDEX invitations_by_hash ON invitations (token_hash);
CREATE INDEX invitations_by_email ON invitations (email) WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_by_time ON invitations (workspace_id, created_at, id);
SELECT tenant_table('invitations', 'SELECT, INSERT, UPDATE');
GRANT SELECT ON invitations TO vigilo_system;
SELECT require_audit('invitations');

-- Rule: whoever's claim "groups" contains claim_value has the role, as long as it does.
CREATE TABLE group_mappings (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    claim_value  text COLLATE "C" NOT NULL CHECK (char_length(claim_value) BETWEEN 1 AND 200),
    role         text NOT NULL CHECK (role IN ('viewer', 'member', 'approver', 'admin', 'owner')),
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, claim_value)
);
-- Not led by workspace_id: sign-in asks in which workspaces a person's groups mean something.
CREATE INDEX group_mappings_by_claim ON group_mappings (claim_value);
SELECT tenant_table('group_mappings', 'SELECT, INSERT, DELETE');
GRANT SELECT ON group_mappings TO vigilo_system;
SELECT require_audit('group_mappings');

-- Groups of people: recipients of alerts, and later approvers.
CREATE TABLE people_groups (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    name         text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    created_at   timestamptz NOT NULL,
    version      bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, name)
);
SELECT tenant_table('people_groups');
SELECT require_audit('people_groups', 'name');

CREATE TABLE people_group_members (
    workspace_id uuid NOT NULL,
    group_id     uuid NOT NULL,
    member_id    uuid NOT NULL,
    PRIMARY KEY (workspace_id, group_id, member_id),
    FOREIGN KEY (workspace_id, group_id) REFERENCES people_groups (workspace_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workspace_id, member_id) REFERENCES members (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX people_group_members_by_member ON people_group_members (workspace_id, member_id);
SELECT tenant_table('people_group_members', 'SELECT, INSERT, DELETE');
