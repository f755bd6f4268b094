package certificates

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// target is what a scan needs to know of a host, and what it is compared with.
type target struct {
	HostID         uuid.UUID     `db:"id"`
	Hostname       string        `db:"hostname"`
	Port           int32         `db:"port"`
	ServerName     string        `db:"server_name"`
	STARTTLS       string        `db:"starttls"`
	Family         string        `db:"family"`
	WarnDays       *int32        `db:"warn_days"`
	CriticalDays   *int32        `db:"critical_days"`
	Status         Status        `db:"status"`
	SnapshotID     uuid.NullUUID `db:"snapshot_id"`
	FactsHash      []byte        `db:"facts_hash"`
	Failures       int32         `db:"consecutive_failures"`
	LastErrorClass string        `db:"last_error_class"`
}

// Snapshot is what a scan found, shared by all scans that found the same.
type Snapshot struct {
	ID        uuid.UUID     `db:"id"`
	Facts     []byte        `db:"facts"`
	LeafID    uuid.NullUUID `db:"leaf_id"`
	Chain     []uuid.UUID   `db:"chain"`
	CreatedAt time.Time     `db:"created_at"`
}

// ReadFacts decodes the facts of the snapshot.
func (s Snapshot) ReadFacts() (tlsscan.Facts, error) {
	var f tlsscan.Facts
	if err := json.Unmarshal(s.Facts, &f); err != nil {
		return f, fmt.Errorf("decode facts of snapshot %s: %w", s.ID, err)
	}
	return f, nil
}

// Observation is one scan of a host.
type Observation struct {
	ScannedAt  time.Time     `db:"scanned_at"`
	Address    string        `db:"address"`
	Status     Status        `db:"status"`
	SnapshotID uuid.NullUUID `db:"snapshot_id"`
	DurationMS int32         `db:"duration_ms"`
	ErrorClass string        `db:"error_class"`
	Changed    bool          `db:"changed"`
}

// Scan is a scan that somebody asked for.
type Scan struct {
	ID          uuid.UUID     `db:"id"`
	HostID      uuid.UUID     `db:"host_id"`
	State       string        `db:"state"`
	SnapshotID  uuid.NullUUID `db:"snapshot_id"`
	Error       string        `db:"error"`
	RequestedBy uuid.NullUUID `db:"requested_by"`
	RequestedAt time.Time     `db:"requested_at"`
	StartedAt   *time.Time    `db:"started_at"`
	FinishedAt  *time.Time    `db:"finished_at"`
}

// The states of a scan.
const (
	ScanQueued    = "queued"
	ScanRunning   = "running"
	ScanSucceeded = "succeeded"
	ScanFailed    = "failed"
)

// Open reports whether the scan is still to come or under way.
func (s Scan) Open() bool { return s.State == ScanQueued || s.State == ScanRunning }

const scanColumns = `id, host_id, state, snapshot_id, error, requested_by, requested_at, started_at, finished_at`

var (
	scanTargets = db.Define[target]("certificates.scan_targets", `
	SELECT h.id, h.hostname, h.port, h.server_name, h.starttls, h.family, h.warn_days, h.critical_days, h.status,
		h.snapshot_id, s.facts_hash, h.consecutive_failures, h.last_error_class
	FROM monitored_hosts h
	LEFT JOIN tls_snapshots s ON s.workspace_id = h.workspace_id AND s.id = h.snapshot_id
	WHERE h.workspace_id = @ws AND h.id = ANY(@ids) AND (h.state = 'active' OR @paused_too)
	LIMIT 1000`)

	// recordUnchanged is the whole cost of a scan that found what was known: one update that
	// touches no index and one narrow row. Hosts that moved on meanwhile are left out.
	recordUnchanged = db.Define[uuid.UUID]("certificates.record_unchanged", `
	WITH seen AS (
		SELECT * FROM unnest(@ids::uuid[], @started::timestamptz[], @addresses::text[], @statuses::text[], @snapshots::uuid[],
			@durations::int[], @classes::text[], @failed::bool[])
			AS r(host_id, scanned_at, address, status, snapshot_id, duration_ms, error_class, failed)
	), kept AS (
		UPDATE monitored_hosts h
		SET last_scan_at = r.scanned_at,
			last_ok_at = CASE WHEN r.failed THEN h.last_ok_at ELSE r.scanned_at END,
			consecutive_failures = CASE WHEN r.failed THEN h.consecutive_failures + 1 ELSE 0 END
		FROM seen r
		WHERE h.workspace_id = @ws AND h.id = r.host_id AND h.status = r.status AND h.last_error_class = r.error_class
			AND (h.last_scan_at IS NULL OR h.last_scan_at < r.scanned_at)
			AND CASE WHEN r.failed THEN h.consecutive_failures >= 2
				ELSE h.consecutive_failures = 0 AND h.snapshot_id = r.snapshot_id END
		RETURNING h.id, r.scanned_at, r.address, r.status, r.snapshot_id, r.duration_ms, r.error_class
	), written AS (
		INSERT INTO scan_observations (workspace_id, host_id, scanned_at, address, status, snapshot_id, duration_ms, error_class, changed)
		SELECT @ws, id, scanned_at, address, status, snapshot_id, duration_ms, error_class, false FROM kept
	)
	SELECT id FROM kept`)

	insertObservations = db.DefineCommand("certificates.insert_observations", `
	INSERT INTO scan_observations (workspace_id, host_id, scanned_at, address, status, snapshot_id, duration_ms, error_class, changed)
	SELECT @ws, r.* FROM unnest(@ids::uuid[], @started::timestamptz[], @addresses::text[], @statuses::text[], @snapshots::uuid[],
		@durations::int[], @classes::text[], @changed::bool[]) AS r
	ON CONFLICT DO NOTHING`)

	setResults = db.DefineCommand("certificates.set_results", `
	UPDATE monitored_hosts h
	SET status = r.status, severity = r.severity, status_detail = r.status_detail, leaf_not_before = r.not_before,
		leaf_not_after = r.not_after, issuer = r.issuer, subject = r.subject, key_description = r.key, snapshot_id = r.snapshot,
		certificate_id = r.certificate, last_scan_at = r.last_scan_at, last_ok_at = r.last_ok_at,
		last_error_class = r.error_class, last_error = r.error, consecutive_failures = r.failures
	FROM unnest(@ids::uuid[], @statuses::text[], @severities::smallint[], @details::text[], @not_befores::timestamptz[],
		@not_afters::timestamptz[], @issuers::text[], @subjects::text[], @keys::text[], @snapshots::uuid[], @certificates::uuid[],
		@last_scans::timestamptz[], @last_oks::timestamptz[], @error_classes::text[], @errors::text[], @failures::int[])
		AS r (id, status, severity, status_detail, not_before, not_after, issuer, subject, key, snapshot, certificate, last_scan_at,
			last_ok_at, error_class, error, failures)
	WHERE h.workspace_id = @ws AND h.id = r.id`)

	snapshotsByHash = db.Define[snapshotKey]("certificates.snapshots_by_hash", `
	SELECT id, facts_hash FROM tls_snapshots WHERE workspace_id = @ws AND facts_hash = ANY(@hashes) LIMIT 1000`)
	insertSnapshots = db.DefineCommand("certificates.insert_snapshots", `
	INSERT INTO tls_snapshots (workspace_id, id, facts_hash, facts, leaf_id, chain, created_at, last_seen_at)
	SELECT @ws, r.id, r.hash, r.facts::jsonb, r.leaf, r.chain::uuid[], @now, @now
	FROM unnest(@ids::uuid[], @hashes::bytea[], @facts::text[], @leaves::uuid[], @chains::text[]) AS r (id, hash, facts, leaf, chain)
	ORDER BY r.hash
	ON CONFLICT (workspace_id, facts_hash) DO NOTHING`)
	// reviveSnapshots keeps the sweep away from old snapshots that are shown again. It waits
	// for a sweep that is about to remove one, which then is gone for whoever reads next.
	reviveSnapshots = db.DefineCommand("certificates.revive_snapshots", `
	UPDATE tls_snapshots SET last_seen_at = @now
	WHERE workspace_id = @ws AND facts_hash = ANY(@hashes) AND last_seen_at < @now::timestamptz - interval '30 days'`)
	// leaveSnapshots notes until when snapshots were shown that hosts show no more.
	leaveSnapshots = db.DefineCommand("certificates.leave_snapshots", `
	WITH seen AS (
		SELECT r.id, max(r.seen) AS seen FROM unnest(@ids::uuid[], @seen::timestamptz[]) AS r (id, seen) GROUP BY r.id
	), locked AS (
		SELECT s.id FROM tls_snapshots s WHERE s.workspace_id = @ws AND s.id IN (SELECT id FROM seen) ORDER BY s.id FOR UPDATE
	)
	UPDATE tls_snapshots s SET last_seen_at = greatest(s.last_seen_at, r.seen)
	FROM seen r JOIN locked l ON l.id = r.id
	WHERE s.workspace_id = @ws AND s.id = r.id`)
	snapshotByID = db.Define[Snapshot]("certificates.snapshot", `
	SELECT id, facts, leaf_id, chain, created_at FROM tls_snapshots WHERE workspace_id = @ws AND id = @id`).Called("snapshot")
	snapshotsByID = db.Define[Snapshot]("certificates.snapshots_by_id", `
	SELECT id, facts, leaf_id, chain, created_at FROM tls_snapshots WHERE workspace_id = @ws AND id = ANY(@ids) LIMIT 1000`)
	snapshotOfHost = db.Define[Snapshot]("certificates.snapshot_of_host", `
	SELECT s.id, s.facts, s.leaf_id, s.chain, s.created_at
	FROM monitored_hosts h
	JOIN tls_snapshots s ON s.workspace_id = h.workspace_id AND s.id = h.snapshot_id
	WHERE h.workspace_id = @ws AND h.id = @id`)

	changesOfHost = db.Define[changeRow]("certificates.changes_of_host", `
	SELECT o.scanned_at, o.address, o.status, o.snapshot_id, o.duration_ms, o.error_class, o.changed, s.facts
	FROM scan_observations o
	LEFT JOIN tls_snapshots s ON s.workspace_id = o.workspace_id AND s.id = o.snapshot_id
	WHERE o.workspace_id = @ws AND o.host_id = @id AND o.changed AND o.scanned_at < @before
	ORDER BY o.scanned_at DESC
	LIMIT @limit`)
	daysOfHost = db.Define[dayRow]("certificates.days_of_host", `
	SELECT floor(extract(epoch FROM (scanned_at - @from::timestamptz)) / 86400)::int AS day, count(*) AS scans,
		count(*) FILTER (WHERE error_class <> '') AS failed
	FROM scan_observations
	WHERE workspace_id = @ws AND host_id = @id AND scanned_at >= @from
	GROUP BY 1
	ORDER BY 1
	LIMIT 100`)
	countChanges = db.Define[int64]("certificates.count_changes", `
	SELECT count(*) FROM (
		SELECT 1 FROM scan_observations WHERE workspace_id = @ws AND host_id = @id AND changed LIMIT 1000) AS capped`)

	insertScan = db.DefineCommand("certificates.insert_scan", `
	INSERT INTO scans (workspace_id, id, host_id, state, requested_by, requested_at)
	VALUES (@ws, @id, @host, 'queued', @by, @now)`)
	openScanOfHost = db.Define[Scan]("certificates.open_scan_of_host", `
	SELECT `+scanColumns+` FROM scans
	WHERE workspace_id = @ws AND host_id = @host AND state IN ('queued', 'running') AND requested_at > @since
	ORDER BY requested_at DESC LIMIT 1`)
	lastScanOfHost = db.Define[Scan]("certificates.last_scan_of_host", `
	SELECT `+scanColumns+` FROM scans WHERE workspace_id = @ws AND host_id = @id ORDER BY requested_at DESC LIMIT 1`)
	scanByID = db.Define[Scan]("certificates.scan", `
	SELECT `+scanColumns+` FROM scans WHERE workspace_id = @ws AND id = @id`).Called("scan")
	lockScan = db.Define[Scan]("certificates.lock_scan", `
	SELECT `+scanColumns+` FROM scans WHERE workspace_id = @ws AND id = @id FOR UPDATE`).Called("scan")
	startScan = db.DefineCommand("certificates.start_scan", `
	UPDATE scans SET state = 'running', started_at = @now WHERE workspace_id = @ws AND id = @id`)
	finishScan = db.DefineCommand("certificates.finish_scan", `
	UPDATE scans SET state = @state, snapshot_id = @snapshot, error = @error, finished_at = @now
	WHERE workspace_id = @ws AND id = @id`)

	// allowLongSweep lifts the time limit of statements for the rest of a transaction.
	allowLongSweep = db.DefineSystem[string]("certificates.allow_long_sweep", `
	SELECT set_config('statement_timeout', '1500000', true)`)
	ensureObservations = db.DefineSystem[string]("certificates.ensure_observations", `
	SELECT ensure_observation_partition(@day::date)`)
	dropObservations = db.DefineSystem[int32]("certificates.drop_observations", `
	SELECT drop_observation_partitions(@before::date)`)
	expireSnapshots = db.DefineSystemCommand("certificates.expire_snapshots", `
	DELETE FROM tls_snapshots s
	WHERE s.last_seen_at < @before AND NOT EXISTS (
		SELECT 1 FROM monitored_hosts h WHERE h.workspace_id = s.workspace_id AND h.snapshot_id = s.id)`)
	// expireCerts removes what only scans have met and nobody has touched.
	expireCerts = db.DefineSystemCommand("certificates.expire_certificates", `
	DELETE FROM certificates c
	WHERE c.last_seen_at < @before AND c.source = 'scan' AND c.owner_member_id IS NULL AND c.version = 1
		AND NOT EXISTS (
			SELECT 1 FROM monitored_hosts h WHERE h.workspace_id = c.workspace_id AND h.certificate_id = c.id)
		AND NOT EXISTS (
			SELECT 1 FROM tls_snapshots s CROSS JOIN unnest(s.chain) AS link (id)
			WHERE s.workspace_id = c.workspace_id AND link.id = c.id)`)
	expireScans = db.DefineSystemCommand("certificates.expire_scans", `
	DELETE FROM scans WHERE requested_at < @before`)
)

type snapshotKey struct {
	ID   uuid.UUID `db:"id"`
	Hash []byte    `db:"facts_hash"`
}

type changeRow struct {
	Observation
	Facts []byte `db:"facts"`
}

type dayRow struct {
	Day    int32 `db:"day"`
	Scans  int64 `db:"scans"`
	Failed int64 `db:"failed"`
}

// saveResult writes what a scan changed of a host.
func saveResult(ctx context.Context, tx *db.Tx, h Host) error { return saveResults(ctx, tx, []Host{h}) }

// saveResults writes what scans changed of hosts that are locked or were just written.
func saveResults(ctx context.Context, tx *db.Tx, hosts []Host) error {
	n := len(hosts)
	ids, snapshots, certs := make([]uuid.UUID, n), make([]uuid.NullUUID, n), make([]uuid.NullUUID, n)
	statuses, severities, details := make([]string, n), make([]int16, n), make([]string, n)
	befores, afters, issuers, subjects := make([]*time.Time, n), make([]time.Time, n), make([]string, n), make([]string, n)
	keys, scans, oks := make([]string, n), make([]*time.Time, n), make([]*time.Time, n)
	classes, errs, failures := make([]string, n), make([]string, n), make([]int32, n)
	for i, h := range hosts {
		ids[i], snapshots[i], certs[i] = h.ID, h.SnapshotID, h.CertificateID
		statuses[i], severities[i], details[i] = string(h.Status), h.Status.Severity(), h.StatusDetail
		befores[i], afters[i], issuers[i], subjects[i], keys[i] = h.NotBefore, h.NotAfter, h.Issuer, h.Subject, h.Key
		scans[i], oks[i], classes[i], errs[i], failures[i] = h.LastScanAt, h.LastOKAt, h.LastErrorClass, h.LastError, h.Failures
	}
	_, err := setResults.Run(ctx, tx, db.Args{
		"ids": ids, "statuses": statuses, "severities": severities, "details": details, "not_befores": befores, "not_afters": afters,
		"issuers": issuers, "subjects": subjects, "keys": keys, "snapshots": snapshots, "certificates": certs, "last_scans": scans,
		"last_oks": oks, "error_classes": classes, "errors": errs, "failures": failures,
	})
	return err
}

// insertAll stores snapshots by their hashes. clash is true when somebody else stored the
// same facts meanwhile: their row stays, and its id is another one.
func insertAll(ctx context.Context, tx *db.Tx, snapshots []Snapshot, hashes [][]byte) (clash bool, err error) {
	n := len(snapshots)
	if n == 0 {
		return false, nil
	}
	ids, facts, leaves, chains := make([]uuid.UUID, n), make([]string, n), make([]uuid.NullUUID, n), make([]string, n)
	for i, s := range snapshots {
		ids[i], facts[i], leaves[i] = s.ID, string(s.Facts), s.LeafID
		// A list of lists is no array of PostgreSQL unless all are as long; each goes as text.
		list := make([]string, len(s.Chain))
		for k, id := range s.Chain {
			list[k] = id.String()
		}
		chains[i] = "{" + strings.Join(list, ",") + "}"
	}
	added, err := insertSnapshots.Run(ctx, tx, db.Args{"ids": ids, "hashes": hashes, "facts": facts, "leaves": leaves, "chains": chains})
	return added < int64(n), err
}
