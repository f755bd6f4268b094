package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// hostRows makes n hosts of a workspace in one statement, as a year of use leaves them:
// most certificates are fine, a few are not, every third host has an owner. Ids grow, as
// those of the product do.
const hostRows = `
	INSERT INTO monitored_hosts (workspace_id, id, hostname, display_name, port, scan_interval, state, owner_member_id, tags, created_at,
		updated_at, status, severity, leaf_not_before, leaf_not_after, issuer, subject, key_description, last_scan_at, last_ok_at)
	SELECT $1, ('01930000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, name, name, 443, '24h',
		CASE WHEN i % 53 = 0 THEN 'paused' ELSE 'active' END, CASE WHEN i % 3 = 0 THEN $3::uuid END,
		CASE WHEN i % 3 = 0 THEN ARRAY['production', 'team-' || i % 12] ELSE ARRAY['team-' || i % 12] END,
		now() - interval '90 days', now() - interval '9 days', s.status, s.severity, now() - interval '60 days',
		now() + make_interval(hours => hours), 'Authority ' || i % 23, name, 'ECDSA P-256', now() - interval '1 hour', now() - interval '1 hour'
	FROM (
		SELECT i, 'host-' || i || '.region-' || i % 7 || '.example.com' AS name, (i::bigint * 7919 % 9600)::int - 48 AS hours
		FROM generate_series(1, $2::int) AS i) AS h
	CROSS JOIN LATERAL (SELECT * FROM (VALUES
		(hours < 0, 'expired', 1), (hours < 168, 'critical', 2), (i % 97 = 0, 'unreachable', 3), (i % 89 = 0, 'self_signed', 8),
		(hours < 720, 'expiring', 11), (true, 'valid', 16)) AS v(applies, status, severity) WHERE applies LIMIT 1) AS s`

// scannedRows is what scans do between two runs of autovacuum: one host in seven was seen
// again, which touches no index but leaves hardly a page that index-only scans could skip.
const scannedRows = `UPDATE monitored_hosts SET last_scan_at = now(), last_ok_at = now() WHERE abs(hashtext(id::text)) % 7 = 0`

// scheduleRows leaves 1.4 % of the hosts due: the slots of the last twenty minutes.
const scheduleRows = `
	WITH hosts AS (
		INSERT INTO host_schedule (workspace_id, host_id, interval_s, phase_s)
		SELECT $1, ('01930000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, 86400, (i::bigint * 7919 % 86400)::int
		FROM generate_series(1, $2::int) AS i)
	INSERT INTO scan_cursors (workspace_id, interval_s, taken_s, taken_host, next_at)
	VALUES ($1, 86400, floor(extract(epoch FROM now())) - 1200, '00000000-0000-0000-0000-000000000000', now())`

// auditRows spreads entries over the last 25 days, by a few people and the system.
const auditRows = `
	INSERT INTO audit.event (workspace_id, event_id, recorded_at, occurred_at, action, category, outcome, severity, actor_kind,
		actor_id, auth_method, target_type, target_id, target_key, diff, detail, leaf_salt)
	SELECT $1, gen_random_uuid(), at, at, (ARRAY['host.updated', 'host.added', 'cert.changed', 'member.role_changed', 'host.paused'])[1 + i % 5],
		1 + i % 3, 1, 1 + i % 3, CASE WHEN i % 2 = 0 THEN 1 ELSE 4 END, CASE WHEN i % 2 = 0 THEN $3::uuid END,
		CASE WHEN i % 2 = 0 THEN 'dev' END, 'host', ('01930000-0000-7000-8000-' || lpad(to_hex(i % 1000), 12, '0'))::uuid, '',
		'[{"field":"port","from":"443","to":"8443"}]', '{"title":"host.example.com:443"}', decode(md5(i::text), 'hex')
	FROM (SELECT i, now() - i * (interval '25 days' / $2::int) AS at FROM generate_series(1, $2::int) AS i) AS e`

// fill runs statements that make rows of a workspace. The guards of the product, which ask
// for an audit entry of each change, are for changes and not for a fixture.
func (b *bench) fill(ctx context.Context, a db.Actor, n int, statements ...string) error {
	var member uuid.UUID
	err := b.admin.QueryRow(ctx, `SELECT id FROM members WHERE workspace_id = $1 AND user_id = $2`, a.WorkspaceID, a.UserID).Scan(&member)
	if err != nil {
		return fmt.Errorf("find member: %w", err)
	}
	return pgx.BeginFunc(ctx, b.admin, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil {
			return fmt.Errorf("switch guards off: %w", err)
		}
		for _, sql := range statements {
			args := []any{a.WorkspaceID, n}
			switch {
			case sql == hostRows:
				args = append(args, member)
			case sql == auditRows:
				args = append(args, a.UserID)
			}
			if _, err := tx.Exec(ctx, sql, args...); err != nil {
				return fmt.Errorf("fill tables: %w", err)
			}
		}
		return nil
	})
}

// fillMany is fill for so many rows that indexes are cheaper to build afterwards.
func (b *bench) fillMany(ctx context.Context, a db.Actor, n int, statements ...string) error {
	rows, err := b.admin.Query(ctx, `
		SELECT format('DROP INDEX %s', i.indexrelid::regclass), replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indrelid IN ('monitored_hosts'::regclass, 'host_tags'::regclass, 'host_schedule'::regclass, 'audit.event'::regclass)
			AND NOT i.indisunique`)
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	type index struct{ Drop, Make string }
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return fmt.Errorf("list indexes: %w", err)
	}
	for _, i := range indexes {
		if _, err := b.admin.Exec(ctx, i.Drop); err != nil {
			return fmt.Errorf("drop index: %w", err)
		}
	}
	if err := b.fill(ctx, a, n, statements...); err != nil {
		return err
	}
	if err := b.fillAudit(ctx, a, n); err != nil {
		return err
	}
	for _, i := range indexes {
		if _, err := b.admin.Exec(ctx, i.Make); err != nil {
			return fmt.Errorf("make index again: %w", err)
		}
	}
	return nil
}

// fillAudit adds entries without the trigger that queues each of them for sealing.
func (b *bench) fillAudit(ctx context.Context, a db.Actor, n int) (err error) {
	if _, err := b.admin.Exec(ctx, `ALTER TABLE audit.event DISABLE TRIGGER after_insert`); err != nil {
		return fmt.Errorf("switch trigger off: %w", err)
	}
	defer func() {
		_, again := b.admin.Exec(ctx, `ALTER TABLE audit.event ENABLE ALWAYS TRIGGER after_insert`)
		err = errors.Join(err, again)
	}()
	return b.fill(ctx, a, n, auditRows)
}

func (b *bench) vacuum(ctx context.Context) error {
	_, err := b.admin.Exec(ctx, `VACUUM ANALYZE`)
	return err
}

// declared returns a statement of the product by its name.
func declared(name string) (string, error) {
	for _, d := range db.Statements() {
		if d.Name == name {
			return d.SQL, nil
		}
	}
	return "", fmt.Errorf("the program has no statement %s", name)
}

// databaseCPU returns how much processor time the backends of the program's two roles have
// used so far. The server must run on this machine.
func (b *bench) databaseCPU(ctx context.Context) (map[int]time.Duration, error) {
	rows, err := b.admin.Query(ctx, `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename IN ('vigilo_app', 'vigilo_system')`)
	if err != nil {
		return nil, fmt.Errorf("list backends: %w", err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("list backends: %w", err)
	}
	out := map[int]time.Duration{}
	for _, pid := range pids {
		raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
		if err != nil {
			continue // ended meanwhile
		}
		ran, _, _ := strings.Cut(string(raw), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read processor time of a backend: %w", err)
		}
		out[pid] = time.Duration(ns)
	}
	return out, nil
}

// spent returns the processor time between two readings.
func spent(before, after map[int]time.Duration) time.Duration {
	var sum time.Duration
	for pid, t := range after {
		sum += t - before[pid]
	}
	return sum
}
