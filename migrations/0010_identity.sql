-- +goose Up
-- People and how they sign in. People stand above workspaces, so these tables have no
-- workspace_id; vigilo_system reads and writes them, and vigilo_app sees a person only
-- through a membership of the current workspace.
SET row_security = off;

CREATE TABLE users (
    id             uuid PRIMARY KEY,
    email          text COLLATE "C" NOT NULL, -- lower case
    email_verified boolean NOT NULL DEFAULT false,
    name           text NOT NULL,
    time_zone      text, -- IANA; NULL until the browser or the person says
    theme          text NOT NULL DEFAULT 'system' CHECK (theme IN ('system', 'light', 'dark')),
    shortcuts      boolean NOT NULL DEFAULT true,
    platform_admin boolean NOT NULL DEFAULT false,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    last_seen_at   timestamptz,
    last_workspace uuid -- outlives sessions: where the next sign-in leads
);
-- Not unique: two providers, or one that checks nothing, may know the same address twice.
CREATE INDEX users_by_email ON users (email);

-- The identity of a person at a provider is (issuer, subject), never the e-mail alone.
CREATE TABLE user_identities (
    issuer     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX user_identities_by_user ON user_identities (user_id);

-- Sessions: the cookie holds 256 random bits, the table only their SHA-256.
CREATE TABLE sessions (
    id             uuid PRIMARY KEY,
    token_hash     bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    auth_method    text NOT NULL CHECK (auth_method IN ('oidc', 'dev')),
    issuer         text COLLATE "C",
    subject        text COLLATE "C",
    sid            text COLLATE "C",
    id_token       bytea, -- sealed; the hint for RP-initiated logout
    amr            text NOT NULL DEFAULT '',
    ip             inet,
    user_agent     text NOT NULL DEFAULT '',
    last_workspace uuid,
    -- The memberships and roles at the last request. When they change, the token is renewed
    -- and the former one stays good for a moment, for the requests already under way.
    roles_digest   bytea,
    previous_hash  bytea CHECK (octet_length(previous_hash) = 32),
    previous_until timestamptz,
    created_at     timestamptz NOT NULL,
    -- When the person last proved who they are: at a provider that still knew them, that
    -- was before the session began.
    signed_in_at   timestamptz NOT NULL,
    last_seen_at   timestamptz NOT NULL,
    longest_idle   bigint NOT NULL DEFAULT 0, -- seconds; the longest pause so far
    expires_at     timestamptz NOT NULL,
    revoked_at     timestamptz,
    revoked_reason text
);
CREATE UNIQUE INDEX sessions_by_previous_hash ON sessions (previous_hash) WHERE previous_hash IS NOT NULL;
CREATE INDEX sessions_by_user ON sessions (user_id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_sid ON sessions (issuer, sid) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_subject ON sessions (issuer, subject) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Logout tokens that were used, so that a replay is refused (OIDC Back-Channel Logout 1.0, 2.6).
CREATE TABLE used_logout_tokens (
    issuer     text COLLATE "C" NOT NULL,
    jti        text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, jti)
);
GRANT SELECT, INSERT, UPDATE ON users TO vigilo_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON user_identities, sessions, used_logout_tokens TO vigilo_system;

-- Personal access tokens and service tokens belong to one workspace. Stored hashed; the
-- first characters are kept so that people can tell them apart.
CREATE TABLE api_tokens (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    token_hash   bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    prefix       text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('personal', 'service')),
    user_id      uuid REFERENCES users (id), -- owner of a personal token
    role         text CHECK (role IN ('viewer', 'member', 'approver', 'admin')), -- of a service token
    name         text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 80),
    scopes       text[], -- NULL: everything the role may
    created_by   uuid REFERENCES users (id),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, token_hash),
    CHECK ((kind = 'personal') = (user_id IS NOT NULL)),
    CHECK ((kind = 'service') = (role IS NOT NULL))
);
-- Not led by workspace_id: a bearer token is looked up before the workspace is known, and
-- neither is unique across workspaces, so they tell nothing about another one.
CREATE INDEX api_tokens_by_hash ON api_tokens (token_hash);
CREATE INDEX api_tokens_by_owner ON api_tokens (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX api_tokens_by_user ON api_tokens (workspace_id, user_id);
CREATE INDEX api_tokens_by_age ON api_tokens (workspace_id, created_at, id);
SELECT tenant_table('api_tokens', 'SELECT, INSERT, UPDATE (name, revoked_at, expires_at)');
GRANT SELECT, UPDATE (last_used_at) ON api_tokens TO vigilo_system;
SELECT require_audit('api_tokens', 'name, revoked_at, expires_at, scopes');
