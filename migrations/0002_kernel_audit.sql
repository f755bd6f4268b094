-- +goose Up
-- The audit log (governance.md 2.1 and 2.3). It lives in a schema that neither role of
-- the running program owns. Rows are inserted and read, never changed: privileges stop
-- the application, triggers stop whoever owns the tables, and the sealed log of a later
-- release finds what a superuser could still do.
SET row_security = off;

CREATE SCHEMA audit AUTHORIZATION vigilo_audit;
GRANT USAGE ON SCHEMA audit TO vigilo_app, vigilo_system;
SET ROLE vigilo_audit;

CREATE TABLE audit.event (
    workspace_id uuid NOT NULL,
    event_id     uuid NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    occurred_at  timestamptz NOT NULL,
    schema_v     smallint NOT NULL DEFAULT 1,
    action       text COLLATE "C" NOT NULL,
    category     smallint NOT NULL,
    outcome      smallint NOT NULL CHECK (outcome IN (1, 2, 3)), -- success, denied, failed
    severity     smallint NOT NULL CHECK (severity BETWEEN 0 AND 6), -- OCSF severity_id
    actor_kind   smallint NOT NULL,
    actor_id     uuid,
    on_behalf_of uuid,
    auth_method  text,
    session_id   uuid,
    mfa          text,
    target_type  text COLLATE "C" NOT NULL,
    target_id    uuid NOT NULL,
    target_key   text COLLATE "C" NOT NULL DEFAULT '',
    parent_type  text COLLATE "C",
    parent_id    uuid,
    request_id   uuid,
    trace_id     text,
    ip           inet,
    pii_ref      uuid,
    reason       text,
    diff         jsonb NOT NULL DEFAULT '[]',
    detail       jsonb NOT NULL DEFAULT '{}',
    leaf_salt    bytea NOT NULL CHECK (octet_length(leaf_salt) = 16),
    PRIMARY KEY (workspace_id, event_id, recorded_at),
    CHECK (occurred_at <= recorded_at + interval '5 minutes')
) PARTITION BY RANGE (recorded_at);
CREATE INDEX event_by_time ON audit.event (workspace_id, recorded_at DESC, event_id DESC);
CREATE INDEX event_by_target ON audit.event (workspace_id, target_type, target_id, recorded_at DESC, event_id DESC);
CREATE INDEX event_by_actor ON audit.event (workspace_id, actor_id, recorded_at DESC, event_id DESC);
CREATE INDEX event_by_action ON audit.event (workspace_id, action, recorded_at DESC, event_id DESC);
CREATE INDEX event_by_age ON audit.event USING brin (recorded_at);

ALTER TABLE audit.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit.event TO vigilo_app
    USING (workspace_id = (SELECT current_setting('app.workspace_id')::uuid));
GRANT SELECT ON audit.event TO vigilo_app;
-- recorded_at is left out: only the database says when a row arrived.
GRANT INSERT (workspace_id, event_id, occurred_at, schema_v, action, category, outcome, severity, actor_kind,
    actor_id, on_behalf_of, auth_method, session_id, mfa, target_type, target_id, target_key, parent_type, parent_id,
    request_id, trace_id, ip, pii_ref, reason, diff, detail, leaf_salt) ON audit.event TO vigilo_app;

-- What waits to be sealed. Filled by a trigger of the owner, so that the application can
-- neither skip nor clear it; its key also makes event ids unique across partitions.
CREATE TABLE audit.pending (
    workspace_id uuid NOT NULL,
    event_id     uuid NOT NULL,
    target_id    uuid NOT NULL,
    xact         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, event_id)
);
-- The completeness guard asks for a target that this transaction recorded.
CREATE INDEX pending_by_target ON audit.pending (workspace_id, target_id, xact);
ALTER TABLE audit.pending ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.pending FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON audit.pending TO vigilo_audit USING (true);

-- +goose StatementBegin
CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit rows are never changed or removed' USING ERRCODE = '42501';
END $$;

CREATE FUNCTION audit.after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO audit.pending (workspace_id, event_id, target_id)
    VALUES (NEW.workspace_id, NEW.event_id, NEW.target_id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.event
    FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit.event
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER after_insert AFTER INSERT ON audit.event
    FOR EACH ROW EXECUTE FUNCTION audit.after_insert();
-- ALWAYS: an ordinary trigger is skipped under session_replication_role = replica.
ALTER TABLE audit.event ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE audit.event ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE audit.event ENABLE ALWAYS TRIGGER after_insert;

-- ensure_partition makes the partition of the month that holds the day. Row-level security and the
-- truncate trigger of the parent do not reach a partition that is named directly, so it
-- gets its own, and nothing is ever granted on it.
-- +goose StatementBegin
CREATE FUNCTION audit.ensure_partition(day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    first date := date_trunc('month', day)::date;
    name  text := 'event_' || to_char(first, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit.ensure_partition'));
    IF to_regclass('audit.' || name) IS NOT NULL THEN
        RETURN name;
    END IF;
    EXECUTE format('CREATE TABLE audit.%I PARTITION OF audit.event FOR VALUES FROM (%L) TO (%L)',
        name, first::timestamp AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
    EXECUTE format('ALTER TABLE audit.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE audit.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()', name);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ALWAYS TRIGGER refuse_truncate', name);
    RETURN name;
END $$;

-- faults lists what is wrong with the guards: nothing, in a healthy database. The
-- program asks at start and refuses to serve when a row comes back.
CREATE FUNCTION audit.faults() RETURNS TABLE (relation text, fault text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH rel AS (
        SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relkind, c.relowner
        FROM pg_class c
        WHERE c.oid = 'audit.event'::regclass
           OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit.event'::regclass)
    )
    SELECT relname::text, 'row-level security is off or not forced' FROM rel
    WHERE NOT (relrowsecurity AND relforcerowsecurity)
    UNION ALL
    SELECT relname::text, 'something is granted on the partition' FROM rel
    WHERE relkind = 'r' AND relacl IS NOT NULL
      AND EXISTS (SELECT 1 FROM aclexplode(relacl) a WHERE a.grantee <> relowner)
    UNION ALL
    SELECT rel.relname::text, 'trigger ' || w.name || ' is missing or not enabled always'
    FROM rel CROSS JOIN (VALUES ('refuse_change'), ('refuse_truncate'), ('after_insert')) AS w(name)
    WHERE NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = rel.oid AND t.tgname = w.name AND t.tgenabled = 'A')
    UNION ALL
    SELECT 'event', 'partition of the current month is missing'
    WHERE to_regclass('audit.event_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL;
$$;

-- require is the completeness guard: attached to a table as a deferred constraint
-- trigger, it refuses a commit that changed a row without recording that row's id.
CREATE FUNCTION audit.require() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    row_id uuid;
BEGIN
    IF TG_OP = 'DELETE' THEN row_id := OLD.id; ELSE row_id := NEW.id; END IF;
    IF NOT EXISTS (
        SELECT 1 FROM audit.pending
        WHERE workspace_id = CASE TG_OP WHEN 'DELETE' THEN OLD.workspace_id ELSE NEW.workspace_id END
          AND target_id = row_id AND xact = pg_current_xact_id()) THEN
        RAISE EXCEPTION '% of %.% % has no audit entry in its transaction', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME, row_id
            USING ERRCODE = '23514', CONSTRAINT = 'audit_required';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit.ensure_partition(date) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION audit.faults() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.ensure_partition(date) TO vigilo_system;
GRANT EXECUTE ON FUNCTION audit.faults() TO vigilo_app, vigilo_system;

-- Personal data of an entry (names as they were, user agent) is sealed with a key per
-- person, so that erasing a person destroys one key and breaks no proof.
CREATE TABLE audit.pii_key (
    workspace_id uuid NOT NULL,
    subject_id   uuid NOT NULL,
    sealed_key   bytea,
    erased_at    timestamptz,
    PRIMARY KEY (workspace_id, subject_id)
);
CREATE TABLE audit.pii (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    subject_id   uuid NOT NULL,
    ciphertext   bytea NOT NULL,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, subject_id) REFERENCES audit.pii_key (workspace_id, subject_id)
);
ALTER TABLE audit.pii_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.pii_key FORCE ROW LEVEL SECURITY;
ALTER TABLE audit.pii ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit.pii FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit.pii_key TO vigilo_app
    USING (workspace_id = (SELECT current_setting('app.workspace_id')::uuid));
CREATE POLICY tenant ON audit.pii TO vigilo_app
    USING (workspace_id = (SELECT current_setting('app.workspace_id')::uuid));
GRANT SELECT, INSERT ON audit.pii_key, audit.pii TO vigilo_app;

-- reseal_key puts a person's key under another key of the installation: the one way to
-- change it. It can neither destroy a key nor replace one that the caller does not know.
CREATE POLICY owner ON audit.pii_key TO vigilo_audit
    USING (workspace_id = (SELECT current_setting('app.workspace_id')::uuid));
-- +goose StatementBegin
CREATE FUNCTION audit.reseal_key(subject uuid, old bytea, new bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    UPDATE audit.pii_key SET sealed_key = new
    WHERE workspace_id = current_setting('app.workspace_id')::uuid AND subject_id = subject
        AND sealed_key = old AND octet_length(new) > 32;
    RETURN FOUND;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION audit.reseal_key(uuid, bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.reseal_key(uuid, bytea, bytea) TO vigilo_app;

-- The owner is confined too (FORCE), so foreign keys and definer functions of its own
-- tables need no policy but statements by hand see nothing.
SELECT audit.ensure_partition(((now() AT TIME ZONE 'UTC')::date + make_interval(months => m))::date)
FROM generate_series(-1, 3) AS m;
RESET ROLE;

-- require_audit attaches the completeness guard to a table whose key is (workspace_id, id).
-- +goose StatementBegin
CREATE FUNCTION require_audit(t regclass, columns text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    EXECUTE format('CREATE CONSTRAINT TRIGGER audit_required AFTER INSERT OR DELETE OR UPDATE %s ON %s '
        'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.require()',
        CASE WHEN columns IS NULL THEN '' ELSE 'OF ' || columns END, t);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION require_audit(regclass, text) FROM PUBLIC;
