package certificates

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// This file reads the tables members and users of other modules, in joins, to show who
// owns a host without a further round trip.

// HostItem is a host with the name of its owner, empty without one.
type HostItem struct {
	Host
	OwnerName string `db:"owner_name"`
}

const hostItemColumns = hostColumns + `,
	coalesce((SELECT u.name FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.workspace_id = h.workspace_id AND m.id = h.owner_member_id), '') AS owner_name`

var (
	hostItem = db.Define[HostItem]("certificates.host_item", `
	SELECT `+hostItemColumns+` FROM monitored_hosts h WHERE h.workspace_id = @ws AND h.id = @id`).Called("host")

	// memberNames names owners that ownerNames does not know.
	memberNames = db.Define[ownerName]("certificates.member_names", `
	SELECT m.id, u.name FROM members m JOIN users u ON u.id = m.user_id
	WHERE m.workspace_id = @ws AND m.id = ANY(@ids) LIMIT 200`)

	// ownerNames names the owners that a filter offers.
	ownerNames = db.Define[ownerName]("certificates.owner_names", `
	SELECT m.id, u.name
	FROM (
		SELECT key FROM (`+mostFrequent(countOwner)+`) AS frequent
		UNION SELECT key FROM host_counts WHERE workspace_id = @ws AND kind = 'owner' AND NOT merged) AS o
	JOIN members m ON m.workspace_id = @ws AND m.id = o.key::uuid
	JOIN users u ON u.id = m.user_id
	ORDER BY u.name, m.id`)

	hostList = db.DefineList(hostSpec("certificates.hosts", hostItemColumns, func(h HostItem) hostKeys {
		return hostKeys{h.ID, h.Hostname, h.Issuer, h.NotAfter, h.CreatedAt, h.LastScanAt, h.Status}
	}))

	// listedHosts is the same list for the page, which shows less and knows its owners by other
	// means: both halve what a page costs.
	listedHosts = db.DefineList(hostSpec("certificates.listed_hosts", `h.id, h.hostname, h.display_name, h.port, h.server_name, h.state,
	h.owner_member_id, h.warn_days, h.critical_days, h.tags, h.created_at, h.status, h.status_detail, h.leaf_not_before,
	h.leaf_not_after, h.issuer, h.key_description, h.last_scan_at`, func(h listedHost) hostKeys {
		return hostKeys{h.ID, h.Hostname, h.Issuer, h.NotAfter, h.CreatedAt, h.LastScanAt, h.Status}
	}))

	expiringIn = db.Define[HostItem]("certificates.expiring_in", `
	SELECT `+hostItemColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.leaf_not_after >= @from AND h.leaf_not_after < @until AND h.leaf_not_before IS NOT NULL
	ORDER BY h.leaf_not_after, h.id
	LIMIT 500`)
)

// listedHost is a row of the list of hosts.
type listedHost struct {
	ID           uuid.UUID     `db:"id"`
	Hostname     string        `db:"hostname"`
	DisplayName  string        `db:"display_name"`
	Port         int32         `db:"port"`
	ServerName   string        `db:"server_name"`
	State        State         `db:"state"`
	OwnerID      uuid.NullUUID `db:"owner_member_id"`
	WarnDays     *int32        `db:"warn_days"`
	CriticalDays *int32        `db:"critical_days"`
	Tags         []string      `db:"tags"`
	CreatedAt    time.Time     `db:"created_at"`
	Status       Status        `db:"status"`
	StatusDetail string        `db:"status_detail"`
	NotBefore    *time.Time    `db:"leaf_not_before"`
	NotAfter     time.Time     `db:"leaf_not_after"`
	Issuer       string        `db:"issuer"`
	Key          string        `db:"key_description"`
	LastScanAt   *time.Time    `db:"last_scan_at"`
}

// host returns what the row knows of the host.
func (h listedHost) host() Host {
	return Host{
		ID: h.ID, Hostname: h.Hostname, DisplayName: h.DisplayName, Port: h.Port, ServerName: h.ServerName, State: h.State,
		OwnerID: h.OwnerID, WarnDays: h.WarnDays, CriticalDays: h.CriticalDays, Tags: h.Tags, CreatedAt: h.CreatedAt,
		Status: h.Status, StatusDetail: h.StatusDetail, NotBefore: h.NotBefore, NotAfter: h.NotAfter, Issuer: h.Issuer,
		Key: h.Key, LastScanAt: h.LastScanAt,
	}
}

// hostKeys are the values by which hosts are sorted.
type hostKeys struct {
	id               uuid.UUID
	hostname, issuer string
	ends, created    time.Time
	scanned          *time.Time
	status           Status
}

// hostSpec is the list of hosts, for rows of any shape.
func hostSpec[T any](name, columns string, keys func(T) hostKeys) db.ListSpec[T] {
	by := func(expr, cast string, of func(hostKeys) string) db.SortBy[T] {
		return db.SortBy[T]{Expr: expr, Cast: cast, Of: func(row T) string { return of(keys(row)) }}
	}
	return db.ListSpec[T]{
		Name: name, Columns: columns, From: "monitored_hosts h", Where: "h.workspace_id = @ws",
		Filters: map[string]string{
			"word1": wordFilter("word1"), "word2": wordFilter("word2"), "word3": wordFilter("word3"), "word4": wordFilter("word4"),
			"hostname": "h.hostname = @hostname",
			"status":   "coalesce(h.status, '') = ANY(@statuses)",
			"active":   "h.state = 'active'",
			"in_time":  "h.status <> 'expired'",
			"paused":   "h.state = 'paused'",
			"from":     "h.leaf_not_after >= @expires_from",
			"before":   "h.leaf_not_after < @expires_before",
			"issuer":   "h.issuer IS NOT DISTINCT FROM @issuer",
			"tag":      "@tag = ANY(h.tags)",
			"owner":    "h.owner_member_id IS NOT DISTINCT FROM @owner",
			"no_owner": "h.owner_member_id IS NULL",
			"ids":      "h.id = ANY(@ids)",
		},
		Size: "SELECT coalesce(sum(delta), 0) FROM host_counts WHERE workspace_id = @ws AND kind = 'status'",
		Narrow: map[string]db.Narrow{
			"word1": wordNarrow("word1"), "word2": wordNarrow("word2"), "word3": wordNarrow("word3"), "word4": wordNarrow("word4"),
			"status": {
				Size: `SELECT coalesce(sum(delta), 0) FROM host_counts WHERE workspace_id = @ws AND kind = 'status'
			AND split_part(key, ' ', 2) = ANY(@statuses)`,
				IDs: "SELECT id FROM monitored_hosts WHERE workspace_id = @ws AND status = ANY(@statuses)",
			},
			"paused": {
				Size: "SELECT coalesce(sum(delta), 0) FROM host_counts WHERE workspace_id = @ws AND kind = 'status' AND key ^@ 'paused '",
				IDs:  "SELECT id FROM monitored_hosts WHERE workspace_id = @ws AND state = 'paused'",
			},
			"issuer": {
				Size: "SELECT coalesce(sum(delta), 0) FROM host_counts WHERE workspace_id = @ws AND kind = 'issuer' AND key = @issuer",
				IDs:  "SELECT id FROM monitored_hosts WHERE workspace_id = @ws AND issuer = @issuer",
			},
			"tag": {
				Size: "SELECT coalesce(sum(delta), 0) FROM host_counts WHERE workspace_id = @ws AND kind = 'tag' AND key = @tag",
				IDs:  "SELECT host_id FROM host_tags WHERE workspace_id = @ws AND tag = @tag",
			},
			"owner": {
				Size: "SELECT coalesce(sum(delta), 0) FROM host_counts WHERE workspace_id = @ws AND kind = 'owner' AND key = @owner::uuid::text",
				IDs:  "SELECT id FROM monitored_hosts WHERE workspace_id = @ws AND owner_member_id = @owner",
			},
		},
		Sorts: map[string]db.SortBy[T]{
			"expires": by("h.leaf_not_after", "timestamptz", func(k hostKeys) string { return k.ends.Format(time.RFC3339Nano) }),
			"host":    by("h.hostname", `text COLLATE "C"`, func(k hostKeys) string { return k.hostname }),
			"issuer":  by("h.issuer", `text COLLATE "C"`, func(k hostKeys) string { return k.issuer }),
			"status":  by("h.severity", "smallint", func(k hostKeys) string { return strconv.Itoa(int(k.status.Severity())) }),
			"scanned": by("coalesce(h.last_scan_at, '-infinity')", "timestamptz", func(k hostKeys) string {
				if k.scanned == nil {
					return "-infinity"
				}
				return k.scanned.Format(time.RFC3339Nano)
			}),
			"created": by("h.created_at", "timestamptz", func(k hostKeys) string { return k.created.Format(time.RFC3339Nano) }),
		},
		Default: "expires", IDExpr: "h.id", ID: func(row T) uuid.UUID { return keys(row).id },
	}
}

// wordFilter asks each host for a word that begins with the argument.
func wordFilter(arg string) string {
	return `(SELECT true FROM host_tokens t WHERE t.workspace_id = @ws AND t.host_id = h.id AND ` + wordRange(arg) + ` LIMIT 1)`
}

// wordNarrow finds the hosts that have such a word.
func wordNarrow(arg string) db.Narrow {
	found := `SELECT t.host_id FROM host_tokens t WHERE t.workspace_id = @ws AND ` + wordRange(arg)
	return db.Narrow{
		Size: "SELECT count(*) FROM (" + found + " LIMIT " + strconv.Itoa(db.CountCap) + ") AS c",
		IDs:  found,
	}
}

func wordRange(arg string) string {
	return `t.token >= @` + arg + `_from AND t.token < @` + arg + `_upto`
}

type ownerName struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
}
