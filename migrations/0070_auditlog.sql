-- +goose Up
-- Reading the audit log: three more ways in by index, a word search that row-level security
-- does not slow down, and saved filters.
SET row_security = off;

SET ROLE vigilo_audit;
-- By key (CHG-00012), by what a thing belongs to, and by what did not succeed. All are
-- partial: most entries have none of it.
CREATE INDEX event_by_key ON audit.event (workspace_id, target_key, recorded_at DESC, event_id DESC)
    WHERE target_key <> '';
CREATE INDEX event_by_parent ON audit.event (workspace_id, parent_type, parent_id, recorded_at DESC, event_id DESC)
    WHERE parent_id IS NOT NULL;
CREATE INDEX event_by_outcome ON audit.event (workspace_id, outcome, recorded_at DESC, event_id DESC)
    WHERE outcome <> 1;

-- words cuts a text into what can be searched for: runs of letters and digits in lower
-- case. Index and query use it both, so they always agree. The letter in front of each run
-- keeps the parser from taking 12e34abc for a number and a word; a run of nothing leaves
-- the letter alone. A text longer than 20 000 characters is found by its beginning, since
-- an entry must never fail to be written because it is long. One expression, so that the
-- planner can put it in place of the call.
CREATE FUNCTION audit.words(body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple'::regconfig,
    'w' || regexp_replace(left(body, 20000) COLLATE "default", '[^[:alnum:]]+', ' w', 'g'));

-- entry_words is what an entry is found by: key, action, reason, title, and the values of
-- its changes, in whose JSON a line break is written as a backslash and a letter. The
-- workspace is a word too, so that the index keeps workspaces apart by itself: a uuid
-- cannot stand in a GIN index without an extension. No text has a word with a colon.
CREATE FUNCTION audit.entry_words(workspace_id uuid, target_key text, action text, reason text, detail jsonb, diff jsonb)
RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN audit.words(target_key || ' ' || action || ' ' || coalesce(reason, '') || ' ' || coalesce(detail ->> 'title', '')
        || ' ' || coalesce(replace(jsonb_path_query_array(diff, '$[*].*')::text, '\n', ' '), ''))
    || array_to_tsvector(ARRAY['ws:' || workspace_id::text]);

-- The words are kept with the entry: whether a frequent word is in it is then known without
-- cutting the text again for each entry on the way back in time.
ALTER TABLE audit.event ADD COLUMN words tsvector
    GENERATED ALWAYS AS (audit.entry_words(workspace_id, target_key, action, reason, detail, diff)) STORED;

-- Without fastupdate no insert pays for the ones before it, and a search never reads a
-- list of unsorted words.
CREATE INDEX event_by_words ON audit.event USING gin (words) WITH (fastupdate = off);

-- wanted is what finds every word of a text, each as the start of a word; nothing when
-- there is none. Words hold letters and digits only, so the quotes cannot be left.
CREATE FUNCTION audit.wanted(body text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT string_agg('''' || w || ''':*', ' & ')::tsquery
    FROM unnest(tsvector_to_array(audit.words(body))) AS w WHERE w <> 'w');

REVOKE EXECUTE ON FUNCTION audit.words(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION audit.entry_words(uuid, text, text, text, jsonb, jsonb) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION audit.wanted(text) FROM PUBLIC;
-- Whoever inserts an entry evaluates the column.
GRANT EXECUTE ON FUNCTION audit.words(text) TO vigilo_app, vigilo_audit_search;
GRANT EXECUTE ON FUNCTION audit.entry_words(uuid, text, text, text, jsonb, jsonb) TO vigilo_app, vigilo_audit_search;
GRANT EXECUTE ON FUNCTION audit.wanted(text) TO vigilo_app, vigilo_audit_search;

-- The operator @@ is not leakproof: under row-level security the planner would not use
-- the index. The search therefore runs as a role whose policy lets everything pass, and
-- names the workspace itself.
GRANT USAGE, CREATE ON SCHEMA audit TO vigilo_audit_search;
GRANT SELECT (workspace_id, event_id, recorded_at, words) ON audit.event TO vigilo_audit_search;
CREATE POLICY search ON audit.event FOR SELECT TO vigilo_audit_search USING (true);
RESET ROLE;

SET ROLE vigilo_audit_search;
-- search returns the entries of a time range that hold every word of a text, newest first,
-- when there are at most 10 000. When there are more, or when a look at the newest says so,
-- it returns one row that says frequent: then the list is found sooner by walking back in
-- time, with the words as a filter, than by collecting all entries first. The workspace
-- comes from the session and from nowhere else. Callers join the answer to audit.event
-- under their own policy.
--
-- The planner guesses wrong between the index of times and the index of words, so each
-- look has only the plan that suits it; the settings end with the function.
-- +goose StatementBegin
CREATE FUNCTION audit.search(from_at timestamptz, until_at timestamptz, body text)
RETURNS TABLE (recorded_at timestamptz, event_id uuid, frequent boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog
SET enable_seqscan = off SET enable_indexscan = on SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    ws     CONSTANT uuid := current_setting('app.workspace_id')::uuid;
    wanted tsquery := audit.wanted(body);
    times  timestamptz[];
    ids    uuid[];
    n      integer;
BEGIN
    IF wanted IS NULL THEN
        RETURN;
    END IF;
    -- A page is 50 entries: where one in twenty of the newest holds the words, it is full
    -- within about a thousand.
    SELECT count(*) INTO n FROM (
        SELECT e.words FROM audit.event e
        WHERE e.workspace_id = ws AND e.recorded_at >= from_at AND e.recorded_at < until_at
        ORDER BY e.recorded_at DESC, e.event_id DESC LIMIT 1000
    ) AS newest WHERE newest.words @@ wanted;
    IF n < 50 THEN
        PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'on', true);
        wanted := wanted && ('''ws:' || ws || '''')::tsquery;
        SELECT array_agg(c.recorded_at), array_agg(c.event_id) INTO times, ids FROM (
            SELECT e.recorded_at, e.event_id FROM audit.event e
            WHERE e.workspace_id = ws AND e.recorded_at >= from_at AND e.recorded_at < until_at AND e.words @@ wanted
            LIMIT 10001
        ) AS c;
        n := coalesce(cardinality(ids), 0);
        IF n <= 10000 THEN
            RETURN QUERY SELECT f.recorded_at, f.event_id, false FROM unnest(times, ids) AS f(recorded_at, event_id)
                ORDER BY f.recorded_at DESC, f.event_id DESC;
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT from_at, '00000000-0000-0000-0000-000000000000'::uuid, true;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit.search(timestamptz, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.search(timestamptz, timestamptz, text) TO vigilo_app;
RESET ROLE;

SET ROLE vigilo_audit;
REVOKE CREATE ON SCHEMA audit FROM vigilo_audit_search;
RESET ROLE;

-- A saved filter is a name for a query string of the audit page: one's own, or shared
-- with the workspace. It is made and removed, never changed.
CREATE TABLE audit_filters (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    owner_id     uuid NOT NULL REFERENCES users (id),
    shared       boolean NOT NULL,
    name         text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 40),
    query        text NOT NULL CHECK (char_length(query) BETWEEN 1 AND 2000),
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX audit_filters_shared_name ON audit_filters (workspace_id, name) WHERE shared;
CREATE UNIQUE INDEX audit_filters_own_name ON audit_filters (workspace_id, owner_id, name) WHERE NOT shared;
SELECT tenant_table('audit_filters', 'SELECT, INSERT, DELETE');
SELECT require_audit('audit_filters');
