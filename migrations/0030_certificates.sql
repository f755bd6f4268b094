-- +goose Up
-- Module certificates: the endpoints that a workspace watches, when each is scanned next,
-- what was seen, and the certificates themselves.
SET row_security = off;

-- A monitored host is one endpoint. The columns from status on repeat what the last scan
-- showed, so that lists need no join. last_scan_at, last_ok_at and consecutive_failures
-- change with each scan and stand in no index: with free space on the page such an update
-- touches no index at all.
CREATE TABLE monitored_hosts (
    workspace_id         uuid NOT NULL REFERENCES workspaces (id),
    id                   uuid NOT NULL,
    hostname             text COLLATE "C" NOT NULL CHECK (char_length(hostname) BETWEEN 1 AND 253),
    display_name         text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 253),
    port                 integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    server_name          text COLLATE "C" NOT NULL DEFAULT '' CHECK (char_length(server_name) <= 253),
    starttls             text NOT NULL DEFAULT '' CHECK (char_length(starttls) <= 20),
    family               text NOT NULL DEFAULT '' CHECK (family IN ('', 'ip4', 'ip6')),
    scan_interval        text NOT NULL CHECK (scan_interval IN ('5m', '15m', '1h', '6h', '24h')),
    state                text NOT NULL CHECK (state IN ('active', 'paused')),
    owner_member_id      uuid,
    -- Sorted, each once. host_tags holds them once more, to find hosts by.
    tags                 text[] COLLATE "C" NOT NULL DEFAULT '{}' CHECK (array_position(tags, NULL) IS NULL),
    warn_days            integer CHECK (warn_days BETWEEN 1 AND 3650),
    critical_days        integer CHECK (critical_days BETWEEN 1 AND 3650),
    version              bigint NOT NULL DEFAULT 1,
    created_at           timestamptz NOT NULL,
    created_by           uuid,
    updated_at           timestamptz NOT NULL,

    status               text NOT NULL DEFAULT 'unknown' CHECK (status IN (
        'revoked', 'expired', 'not_yet_valid', 'name_mismatch', 'self_signed', 'untrusted', 'incomplete_chain',
        'critical', 'expiring', 'weak', 'policy_violation', 'valid',
        'unreachable', 'handshake_failed', 'no_tls', 'blocked_by_policy', 'unknown')),
    -- severity orders statuses by how much they matter, 0 first.
    severity             smallint NOT NULL DEFAULT 15,
    status_detail        text NOT NULL DEFAULT '',
    leaf_not_before      timestamptz,
    -- Never null, since lists sort by it: hosts without a certificate come last.
    leaf_not_after       timestamptz NOT NULL DEFAULT '9999-12-31 23:59:59+00',
    issuer               text COLLATE "C" NOT NULL DEFAULT '',
    subject              text NOT NULL DEFAULT '',
    key_description      text NOT NULL DEFAULT '',
    snapshot_id          uuid,
    certificate_id       uuid,
    last_scan_at         timestamptz,
    last_ok_at           timestamptz,
    last_error_class     text NOT NULL DEFAULT '',
    last_error           text NOT NULL DEFAULT '',
    consecutive_failures integer NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT monitored_hosts_endpoint_key UNIQUE (workspace_id, hostname, port, starttls, server_name, family),
    CONSTRAINT monitored_hosts_owner_fkey FOREIGN KEY (workspace_id, owner_member_id)
        REFERENCES members (workspace_id, id) ON DELETE SET NULL (owner_member_id)
) WITH (fillfactor = 80);
CREATE INDEX monitored_hosts_by_expiry ON monitored_hosts (workspace_id, leaf_not_after, id);
CREATE INDEX monitored_hosts_by_status ON monitored_hosts (workspace_id, status, leaf_not_after, id);
CREATE INDEX monitored_hosts_by_severity ON monitored_hosts (workspace_id, severity, id);
CREATE INDEX monitored_hosts_by_issuer ON monitored_hosts (workspace_id, issuer, id);
CREATE INDEX monitored_hosts_by_owner ON monitored_hosts (workspace_id, owner_member_id) WHERE owner_member_id IS NOT NULL;
CREATE INDEX monitored_hosts_by_certificate ON monitored_hosts (workspace_id, certificate_id) WHERE certificate_id IS NOT NULL;
CREATE INDEX monitored_hosts_paused ON monitored_hosts (workspace_id, leaf_not_after, id) WHERE state = 'paused';
SELECT tenant_table('monitored_hosts');
-- What people set is audited. The owner is left out: when a member is removed the
-- database clears it, and that removal has its own entry.
SELECT require_audit('monitored_hosts',
    'hostname, port, server_name, starttls, family, scan_interval, state, warn_days, critical_days');

-- Hosts by tag. Triggers write it from the tags of hosts, in whose rows lists read them.
CREATE TABLE host_tags (
    workspace_id uuid NOT NULL,
    host_id      uuid NOT NULL,
    tag          text COLLATE "C" NOT NULL CHECK (char_length(tag) BETWEEN 1 AND 40),
    PRIMARY KEY (workspace_id, tag, host_id),
    FOREIGN KEY (workspace_id, host_id) REFERENCES monitored_hosts (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX host_tags_by_host ON host_tags (workspace_id, host_id);
SELECT tenant_table('host_tags', 'SELECT, INSERT, DELETE');

-- +goose StatementBegin
CREATE FUNCTION put_tags() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO host_tags (workspace_id, host_id, tag)
    SELECT h.workspace_id, h.id, t.tag FROM changed h CROSS JOIN LATERAL unnest(h.tags) AS t(tag);
    RETURN NULL;
END $$;

CREATE FUNCTION replace_tags() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    DELETE FROM host_tags WHERE workspace_id = NEW.workspace_id AND host_id = NEW.id AND tag <> ALL (NEW.tags);
    INSERT INTO host_tags (workspace_id, host_id, tag)
    SELECT NEW.workspace_id, NEW.id, t.tag FROM unnest(NEW.tags) AS t(tag) WHERE t.tag <> ALL (OLD.tags);
    RETURN NULL;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION put_tags(), replace_tags() FROM PUBLIC;
CREATE TRIGGER tags_added AFTER INSERT ON monitored_hosts
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION put_tags();
CREATE TRIGGER tags_changed AFTER UPDATE OF tags ON monitored_hosts
    FOR EACH ROW WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION replace_tags();
ALTER TABLE monitored_hosts ENABLE ALWAYS TRIGGER tags_added;
ALTER TABLE monitored_hosts ENABLE ALWAYS TRIGGER tags_changed;

-- How many hosts there are of each kind, so that no page counts them. A change of hosts adds
-- rows with what it adds and takes away, whoever makes it; a count is the sum of its rows.
-- Rows are only added, so two changes never wait for each other, and a job puts those of
-- one count together (docs/adr/0015-counts-are-sums.md).
-- Nothing refers to workspaces: rows come from hosts, which do, and the check would lock the
-- workspace for each of them.
CREATE TABLE host_counts (
    workspace_id uuid NOT NULL,
    -- status: key is state and status; ends: the day in UTC, of active hosts that have not
    -- expired, as seven digits that count from 1970; issuer, owner (a membership) and tag: all
    -- hosts that have one.
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('status', 'ends', 'issuer', 'owner', 'tag')),
    key          text COLLATE "C" NOT NULL,
    delta        integer NOT NULL CHECK (delta <> 0),
    -- Whether the row is what the job made of others: one for each count.
    merged       boolean NOT NULL DEFAULT false
);
CREATE INDEX host_counts_by_key ON host_counts (workspace_id, kind, key) INCLUDE (delta);
CREATE UNIQUE INDEX host_counts_merged_key ON host_counts (workspace_id, kind, key) WHERE merged;
-- The most frequent ones, for the choices of a filter: an estate of appliances has as many
-- issuers as hosts.
CREATE INDEX host_counts_by_size ON host_counts (workspace_id, kind, delta DESC, key) WHERE merged;
-- What there is to put together.
CREATE INDEX host_counts_unmerged ON host_counts (workspace_id, kind, key) INCLUDE (delta) WHERE NOT merged;
SELECT tenant_table('host_counts', 'SELECT, INSERT, DELETE');
GRANT SELECT (workspace_id, merged) ON host_counts TO vigilo_system;

-- host_count_keys lists the counts that a host is part of.
CREATE FUNCTION host_count_keys(state text, status text, leaf_not_after timestamptz, issuer text, owner uuid)
RETURNS TABLE (kind text, key text) LANGUAGE sql STABLE AS $$
    SELECT 'status', state || ' ' || status
    UNION ALL SELECT 'ends', lpad(greatest(0, (leaf_not_after AT TIME ZONE 'UTC')::date - DATE '1970-01-01')::text, 7, '0')
        WHERE state = 'active' AND status <> 'expired' AND leaf_not_after < '9999-12-31 00:00:00+00'
    UNION ALL SELECT 'issuer', issuer WHERE issuer <> ''
    UNION ALL SELECT 'owner', owner::text WHERE owner IS NOT NULL
$$;

-- +goose StatementBegin
CREATE FUNCTION count_hosts() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO host_counts (workspace_id, kind, key, delta)
        SELECT h.workspace_id, c.kind, c.key, count(*)
        FROM changed h CROSS JOIN LATERAL host_count_keys(h.state, h.status, h.leaf_not_after, h.issuer, h.owner_member_id) AS c
        GROUP BY 1, 2, 3;
    ELSE
        INSERT INTO host_counts (workspace_id, kind, key, delta)
        SELECT h.workspace_id, c.kind, c.key, -count(*)
        FROM changed h CROSS JOIN LATERAL host_count_keys(h.state, h.status, h.leaf_not_after, h.issuer, h.owner_member_id) AS c
        GROUP BY 1, 2, 3;
    END IF;
    RETURN NULL;
END $$;

-- recount_host is for single rows: a statement cannot say which columns it changed, and a
-- scan that finds nothing new must not pay for one that does.
CREATE FUNCTION recount_host() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO host_counts (workspace_id, kind, key, delta)
    SELECT workspace_id, kind, key, sum(n)
    FROM (
        SELECT NEW.workspace_id, c.kind, c.key, 1
        FROM host_count_keys(NEW.state, NEW.status, NEW.leaf_not_after, NEW.issuer, NEW.owner_member_id) AS c
        UNION ALL
        SELECT OLD.workspace_id, c.kind, c.key, -1
        FROM host_count_keys(OLD.state, OLD.status, OLD.leaf_not_after, OLD.issuer, OLD.owner_member_id) AS c
    ) AS moves (workspace_id, kind, key, n)
    GROUP BY 1, 2, 3
    HAVING sum(n) <> 0;
    RETURN NULL;
END $$;

CREATE FUNCTION count_tags() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO host_counts (workspace_id, kind, key, delta)
        SELECT workspace_id, 'tag', tag, count(*) FROM changed GROUP BY workspace_id, tag;
    ELSE
        INSERT INTO host_counts (workspace_id, kind, key, delta)
        SELECT workspace_id, 'tag', tag, -count(*) FROM changed GROUP BY workspace_id, tag;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION host_count_keys(text, text, timestamptz, text, uuid), count_hosts(), recount_host(), count_tags()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION host_count_keys(text, text, timestamptz, text, uuid) TO vigilo_app;
CREATE TRIGGER count_added AFTER INSERT ON monitored_hosts
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_hosts();
CREATE TRIGGER count_removed AFTER DELETE ON monitored_hosts
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_hosts();
CREATE TRIGGER count_changed AFTER UPDATE OF state, status, leaf_not_after, issuer, owner_member_id ON monitored_hosts
    FOR EACH ROW WHEN ((OLD.state, OLD.status, OLD.leaf_not_after, OLD.issuer, OLD.owner_member_id)
        IS DISTINCT FROM (NEW.state, NEW.status, NEW.leaf_not_after, NEW.issuer, NEW.owner_member_id))
    EXECUTE FUNCTION recount_host();
CREATE TRIGGER count_added AFTER INSERT ON host_tags
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_tags();
CREATE TRIGGER count_removed AFTER DELETE ON host_tags
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_tags();
-- ALWAYS, so that a count is right however rows came to be: an ordinary trigger is skipped
-- under session_replication_role = replica.
ALTER TABLE monitored_hosts ENABLE ALWAYS TRIGGER count_added;
ALTER TABLE monitored_hosts ENABLE ALWAYS TRIGGER count_removed;
ALTER TABLE monitored_hosts ENABLE ALWAYS TRIGGER count_changed;
ALTER TABLE host_tags ENABLE ALWAYS TRIGGER count_added;
ALTER TABLE host_tags ENABLE ALWAYS TRIGGER count_removed;

-- Words of a host that people search by, as prefixes: its name from each part on, its
-- tags, and the issuer, subject, serial number and fingerprint of what it serves. LIKE
-- would read the whole workspace under row-level security.
CREATE TABLE host_tokens (
    workspace_id uuid NOT NULL,
    host_id      uuid NOT NULL,
    -- What the word comes from: set by people, or by what a scan saw.
    origin       text NOT NULL CHECK (origin IN ('host', 'certificate')),
    token        text COLLATE "C" NOT NULL CHECK (char_length(token) BETWEEN 1 AND 253),
    PRIMARY KEY (workspace_id, token, host_id, origin),
    FOREIGN KEY (workspace_id, host_id) REFERENCES monitored_hosts (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX host_tokens_by_host ON host_tokens (workspace_id, host_id, origin);
SELECT tenant_table('host_tokens', 'SELECT, INSERT, DELETE');

-- Where each active host stands in its interval: its slots are the seconds
-- k × interval_s + phase_s after slots_after_s. Only people move them, so a scan at its slot
-- writes nothing here: scan_cursors says up to where slots were handed out. next_at asks for
-- one scan beside the slots: the first one, one soon after a failure, one at edge_at, when
-- the passing of time alone changes the status, or one given back. lease_until says until
-- when somebody is at a scan of that kind. Paused hosts have no row.
CREATE TABLE host_schedule (
    workspace_id  uuid NOT NULL,
    host_id       uuid NOT NULL,
    interval_s    integer NOT NULL CHECK (interval_s > 0),
    phase_s       integer NOT NULL CHECK (phase_s >= 0 AND phase_s < interval_s),
    slots_after_s bigint NOT NULL DEFAULT 0,
    next_at       timestamptz,
    lease_until   timestamptz,
    edge_at       timestamptz,
    PRIMARY KEY (workspace_id, host_id),
    FOREIGN KEY (workspace_id, host_id) REFERENCES monitored_hosts (workspace_id, id) ON DELETE CASCADE
) WITH (fillfactor = 90);
CREATE INDEX host_schedule_slots ON host_schedule (workspace_id, interval_s, phase_s, host_id);
CREATE INDEX host_schedule_extra ON host_schedule (workspace_id, next_at) WHERE next_at IS NOT NULL;
SELECT tenant_table('host_schedule');
GRANT SELECT (workspace_id, host_id, interval_s, phase_s, slots_after_s, next_at, lease_until, edge_at),
    UPDATE (next_at, lease_until) ON host_schedule TO vigilo_system;

-- One row for each workspace and interval: every slot up to (taken_s, taken_host), in the
-- order of time and host, was handed out. The row of interval 0 stands for the scans beside
-- the slots. next_at is when to look next; it is never far ahead, so that a look that two
-- transactions missed between them comes late and not never.
CREATE TABLE scan_cursors (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    interval_s   integer NOT NULL CHECK (interval_s >= 0),
    taken_s      bigint NOT NULL,
    taken_host   uuid NOT NULL,
    next_at      timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, interval_s)
) WITH (fillfactor = 50);
-- Crosses workspaces on purpose: the claim of vigilo_system asks where something is due.
CREATE INDEX scan_cursors_due ON scan_cursors (next_at);
SELECT tenant_table('scan_cursors', 'SELECT, INSERT, UPDATE');
GRANT SELECT (workspace_id, interval_s, taken_s, taken_host, next_at),
    UPDATE (taken_s, taken_host, next_at) ON scan_cursors TO vigilo_system;

-- A certificate, once per workspace whoever serves it. The parsed columns are empty, and
-- not_before is null, when crypto/x509 cannot read the encoding.
CREATE TABLE certificates (
    workspace_id       uuid NOT NULL REFERENCES workspaces (id),
    id                 uuid NOT NULL,
    fingerprint_sha256 bytea NOT NULL CHECK (octet_length(fingerprint_sha256) = 32),
    spki_sha256        bytea CHECK (octet_length(spki_sha256) = 32),
    der                bytea NOT NULL,
    label              text COLLATE "C" NOT NULL,
    subject            text NOT NULL,
    issuer             text NOT NULL,
    issuer_label       text COLLATE "C" NOT NULL,
    serial             text COLLATE "C" NOT NULL,
    key_description    text NOT NULL,
    signature          text NOT NULL,
    is_ca              boolean NOT NULL,
    not_before         timestamptz,
    not_after          timestamptz NOT NULL,
    source             text NOT NULL CHECK (source IN ('scan', 'manual')),
    owner_member_id    uuid,
    notes              text NOT NULL DEFAULT '' CHECK (char_length(notes) <= 5000),
    first_seen_at      timestamptz NOT NULL,
    last_seen_at       timestamptz NOT NULL,
    version            bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT certificates_fingerprint_key UNIQUE (workspace_id, fingerprint_sha256),
    FOREIGN KEY (workspace_id, owner_member_id) REFERENCES members (workspace_id, id) ON DELETE SET NULL (owner_member_id)
);
CREATE INDEX certificates_by_expiry ON certificates (workspace_id, not_after, id);
CREATE INDEX certificates_by_label ON certificates (workspace_id, label, id);
CREATE INDEX certificates_by_issuer ON certificates (workspace_id, issuer_label, id);
CREATE INDEX certificates_by_serial ON certificates (workspace_id, serial);
SELECT tenant_table('certificates');

-- Subject alternative names, in lower case, in the order of the certificate.
CREATE TABLE certificate_names (
    workspace_id   uuid NOT NULL,
    certificate_id uuid NOT NULL,
    position       integer NOT NULL,
    name           text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, certificate_id, position),
    FOREIGN KEY (workspace_id, certificate_id) REFERENCES certificates (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX certificate_names_by_name ON certificate_names (workspace_id, name, certificate_id);
SELECT tenant_table('certificate_names', 'SELECT, INSERT');

-- What a scan found, without when and where: two scans of an unchanged endpoint share one
-- row. Its content never changes, which the missing grants hold. last_seen_at is kept only
-- roughly while a host shows it, and exactly once none does.
CREATE TABLE tls_snapshots (
    workspace_id uuid NOT NULL REFERENCES workspaces (id),
    id           uuid NOT NULL,
    facts_hash   bytea NOT NULL CHECK (octet_length(facts_hash) = 32),
    facts        jsonb NOT NULL,
    leaf_id      uuid,
    -- Certificates in the order in which they were served, the leaf first.
    chain        uuid[] NOT NULL,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT tls_snapshots_facts_key UNIQUE (workspace_id, facts_hash),
    FOREIGN KEY (workspace_id, leaf_id) REFERENCES certificates (workspace_id, id)
);
CREATE INDEX tls_snapshots_by_leaf ON tls_snapshots (workspace_id, leaf_id);
SELECT tenant_table('tls_snapshots', 'SELECT, INSERT, UPDATE (last_seen_at)');
-- The daily sweep crosses workspaces: what no host shows is kept for 400 days.
GRANT SELECT (workspace_id, id, chain, last_seen_at), DELETE ON tls_snapshots TO vigilo_system;
GRANT SELECT (workspace_id, id, source, owner_member_id, last_seen_at, version), DELETE ON certificates TO vigilo_system;
GRANT SELECT (workspace_id, snapshot_id, certificate_id) ON monitored_hosts TO vigilo_system;

-- One narrow row for each scan, kept for 400 days: a partition for each month, so that old
-- ones are dropped and never deleted row by row. There is no foreign key to the host: its
-- check would lock a host row for every scan. Rows are written only after the host was
-- locked or updated in the same transaction, and go with it.
CREATE TABLE scan_observations (
    workspace_id uuid NOT NULL,
    host_id      uuid NOT NULL,
    scanned_at   timestamptz NOT NULL,
    address      text NOT NULL,
    status       text NOT NULL,
    snapshot_id  uuid,
    duration_ms  integer NOT NULL,
    error_class  text NOT NULL DEFAULT '',
    -- Whether anything differed from the scan before.
    changed      boolean NOT NULL,
    PRIMARY KEY (workspace_id, host_id, scanned_at)
) PARTITION BY RANGE (scanned_at);
CREATE INDEX scan_observations_changed ON scan_observations (workspace_id, host_id, scanned_at DESC) WHERE changed;
SELECT tenant_table('scan_observations', 'SELECT, INSERT, DELETE');

-- ensure_observation_partition makes the partition of the month that holds the day and
-- returns its name. Row-level security of the parent does not reach a partition that is
-- named directly: it gets its own, without a policy, and nothing is ever granted on it.
-- +goose StatementBegin
CREATE FUNCTION ensure_observation_partition(day date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    first date := date_trunc('month', day)::date;
    name  text := 'scan_observations_' || to_char(first, 'YYYY_MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_observation_partition'));
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN name;
    END IF;
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.scan_observations FOR VALUES FROM (%L) TO (%L)',
        name, first::timestamp AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    RETURN name;
END $$;

-- drop_observation_partitions drops the months that ended before the day, but never one of
-- the last 90 days, and returns how many there were.
CREATE FUNCTION drop_observation_partitions(before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    last    date := least(before, (now() AT TIME ZONE 'UTC')::date - 90);
    name    text;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.scan_observations'::regclass
          AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= last
    LOOP
        EXECUTE format('DROP TABLE public.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ensure_observation_partition(date) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION drop_observation_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_observation_partition(date), drop_observation_partitions(date) TO vigilo_system;
SELECT ensure_observation_partition(((now() AT TIME ZONE 'UTC')::date + make_interval(months => m))::date)
FROM generate_series(-1, 3) AS m;

-- Scans that somebody asked for. Scheduled scans have no row here.
CREATE TABLE scans (
    workspace_id uuid NOT NULL,
    id           uuid NOT NULL,
    host_id      uuid NOT NULL,
    state        text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed')),
    snapshot_id  uuid,
    error        text NOT NULL DEFAULT '',
    requested_by uuid,
    requested_at timestamptz NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, host_id) REFERENCES monitored_hosts (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX scans_by_host ON scans (workspace_id, host_id, requested_at DESC);
-- For the daily sweep, which crosses workspaces.
CREATE INDEX scans_by_age ON scans (requested_at);
SELECT tenant_table('scans');
GRANT SELECT (requested_at), DELETE ON scans TO vigilo_system;
