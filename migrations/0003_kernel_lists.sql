-- +goose Up
-- How people like to see lists: views that they named, and columns that they chose. Both
-- are personal, and nobody else's state, so the audit log does not hold them. Nothing
-- refers to people, whose tables come later; who leaves and comes back finds them again.
SET row_security = off;

CREATE TABLE list_views (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    user_id      uuid NOT NULL,
    -- The list, such as certificates.hosts.
    list         text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 40),
    -- Filter and order, as in the address of the list.
    query        text NOT NULL CHECK (char_length(query) <= 2000),
    -- Empty for the columns that the person chose for the list.
    columns      text[] COLLATE "C" NOT NULL,
    is_default   boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT list_views_name_key UNIQUE (workspace_id, user_id, list, name)
);
CREATE UNIQUE INDEX list_views_default_key ON list_views (workspace_id, user_id, list) WHERE is_default;
SELECT tenant_table('list_views');

CREATE TABLE list_columns (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    user_id      uuid NOT NULL,
    list         text COLLATE "C" NOT NULL,
    columns      text[] COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, user_id, list)
);
SELECT tenant_table('list_columns');
