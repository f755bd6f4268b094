-- +goose Up
-- What reaches whom: the inbox of each member, what they chose to hear about and how, and
-- the mail that is on its way.
SET row_security = off;

-- One row per person and event. A row that is not shown in the inbox (in_app false) exists
-- because mail was wanted: the key makes both channels idempotent.
CREATE TABLE notifications (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    user_id      uuid NOT NULL,
    dedupe_key   text COLLATE "C" NOT NULL CHECK (char_length(dedupe_key) BETWEEN 1 AND 200),
    event_name   text COLLATE "C" NOT NULL,
    severity     text NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    title        text NOT NULL,
    body         text NOT NULL DEFAULT '',
    path         text NOT NULL DEFAULT '', -- below the workspace; empty for things without a page
    icon         text NOT NULL,
    subject_type text COLLATE "C" NOT NULL DEFAULT '',
    subject_id   uuid,
    subject_title text NOT NULL DEFAULT '',
    in_app       boolean NOT NULL,
    mail_due_at  timestamptz, -- mail that is held back for a digest or by quiet hours
    created_at   timestamptz NOT NULL,
    read_at      timestamptz,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id, user_id, dedupe_key),
    -- Whoever leaves the workspace leaves nothing behind in it.
    FOREIGN KEY (workspace_id, user_id) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE
);
CREATE INDEX notifications_inbox ON notifications (workspace_id, user_id, created_at DESC, id DESC) WHERE in_app;
CREATE INDEX notifications_unread ON notifications (workspace_id, user_id, created_at DESC, id DESC)
    WHERE in_app AND read_at IS NULL;
-- Sweeps over all workspaces: held mail each minute, old rows each day.
CREATE INDEX notifications_mail_due ON notifications (mail_due_at) WHERE mail_due_at IS NOT NULL;
CREATE INDEX notifications_by_age ON notifications USING brin (created_at);
SELECT tenant_table('notifications', 'SELECT, INSERT, UPDATE (read_at, mail_due_at)');
GRANT SELECT (workspace_id, id, user_id, mail_due_at, created_at), DELETE ON notifications TO vigilo_system;

-- How a member wants to be reached. No row means the defaults, which are those below.
CREATE TABLE notification_settings (
    workspace_id   uuid NOT NULL,
    user_id        uuid NOT NULL,
    floor          text NOT NULL DEFAULT 'info' CHECK (floor IN ('info', 'low', 'medium', 'high', 'critical')),
    mail_enabled   boolean NOT NULL DEFAULT true,
    digest         text NOT NULL DEFAULT 'none' CHECK (digest IN ('none', 'hourly', 'daily')),
    digest_at      smallint NOT NULL DEFAULT 480 CHECK (digest_at BETWEEN 0 AND 1439), -- minutes after midnight, own zone
    quiet          boolean NOT NULL DEFAULT false,
    quiet_from     smallint NOT NULL DEFAULT 1320 CHECK (quiet_from BETWEEN 0 AND 1439),
    quiet_to       smallint NOT NULL DEFAULT 420 CHECK (quiet_to BETWEEN 0 AND 1439),
    bypass         boolean NOT NULL DEFAULT true, -- critical things are mailed at once
    version        bigint NOT NULL DEFAULT 1,
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE
);
SELECT tenant_table('notification_settings');

-- What a member decided about the channels of an event. NULL is no decision: the default
-- of the event holds, or that of the notice when a module names the member itself.
CREATE TABLE notification_choices (
    workspace_id uuid NOT NULL,
    user_id      uuid NOT NULL,
    event_name   text COLLATE "C" NOT NULL,
    in_app       boolean,
    mail         boolean,
    PRIMARY KEY (workspace_id, user_id, event_name),
    FOREIGN KEY (workspace_id, user_id) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE
);
CREATE INDEX notification_choices_by_event ON notification_choices (workspace_id, event_name);
SELECT tenant_table('notification_choices');

-- Things that a member does not want to hear about, whatever happens to them.
CREATE TABLE notification_mutes (
    workspace_id uuid NOT NULL,
    user_id      uuid NOT NULL,
    subject_type text COLLATE "C" NOT NULL,
    subject_id   uuid NOT NULL,
    title        text NOT NULL,
    path         text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, user_id, subject_type, subject_id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE
);
CREATE INDEX notification_mutes_by_subject ON notification_mutes (workspace_id, subject_type, subject_id);
SELECT tenant_table('notification_mutes');

-- The mail server of a workspace, in place of the one of the installation.
CREATE TABLE mail_settings (
    workspace_id    uuid NOT NULL REFERENCES workspaces (id),
    id              uuid NOT NULL,
    host            text NOT NULL CHECK (char_length(host) BETWEEN 1 AND 253),
    port            integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    username        text NOT NULL DEFAULT '',
    sealed_password bytea,
    sender          text NOT NULL,
    tls             text NOT NULL CHECK (tls IN ('starttls', 'implicit', 'none')),
    version         bigint NOT NULL DEFAULT 1,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    UNIQUE (workspace_id)
);
SELECT tenant_table('mail_settings');
SELECT require_audit('mail_settings');

-- Mail on its way and how it ended. The text of a mail that is not made of notifications
-- may hold a link that opens something, so it is sealed, and dropped once it was sent.
CREATE TABLE mails (
    workspace_id     uuid NOT NULL REFERENCES workspaces (id),
    id               uuid NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('notification', 'digest', 'direct')),
    user_id          uuid, -- NULL for addresses outside the workspace
    notification_ids uuid[] NOT NULL DEFAULT '{}',
    recipient        text NOT NULL,
    subject          text NOT NULL,
    sealed_body      bytea,
    dedupe_key       text COLLATE "C",
    state            text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed', 'dropped')),
    attempts         integer NOT NULL DEFAULT 0,
    problem          text NOT NULL DEFAULT '', -- class of the last failure
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, user_id) REFERENCES members (workspace_id, user_id) ON DELETE CASCADE,
    CHECK ((kind = 'direct') = (notification_ids = '{}'))
);
CREATE UNIQUE INDEX mails_dedupe_key ON mails (workspace_id, dedupe_key, recipient) WHERE dedupe_key IS NOT NULL;
CREATE INDEX mails_problems ON mails (workspace_id, updated_at DESC, id DESC) WHERE problem <> '';
CREATE INDEX mails_by_user ON mails (workspace_id, user_id) WHERE user_id IS NOT NULL;
-- Sweep over all workspaces: old rows each day.
CREATE INDEX mails_by_age ON mails (created_at);
SELECT tenant_table('mails', 'SELECT, INSERT, UPDATE (state, attempts, problem, sealed_body, updated_at)');
GRANT SELECT (workspace_id, id, created_at), DELETE ON mails TO vigilo_system;
