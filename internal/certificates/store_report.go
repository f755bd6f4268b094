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

	// ownerNames names the owners that a filter offers.
	ownerNames = db.Define[ownerName]("certificates.owner_names", `
	SELECT m.id, u.name
	FROM (
		SELECT key FROM (`+mostFrequent(countOwner)+`) AS frequent
		UNION SELECT key FROM host_counts WHERE workspace_id = @ws AND kind = 'owner' AND NOT merged) AS o
	JOIN members m ON m.workspace_id = @ws AND m.id = o.key::uuid
	JOIN users u ON u.id = m.user_id
	ORDER BY u.name, m.id`)

	hostList = db.DefineList(db.ListSpec[HostItem]{
		Name: "certificates.hosts", Columns: hostItemColumns, From: "monitored_hosts h", Where: "h.workspace_id = @ws",
		Filters: map[string]string{
			"word1": wordFilter("word1"), "word2": wordFilter("word2"), "word3": wordFilter("word3"), "word4": wordFilter("word4"),
			"hostname": "h.hostname = @hostname",
			"status":   "h.status = ANY(@statuses)",
			"active":   "h.state = 'active'",
			"in_time":  "h.status <> 'expired'",
			"paused":   "h.state = 'paused'",
			"from":     "h.leaf_not_after >= @expires_from",
			"before":   "h.leaf_not_after < @expires_before",
			"issuer":   "h.issuer = @issuer",
			"tag":      "h.id IN (SELECT t.host_id FROM host_tags t WHERE t.workspace_id = @ws AND t.tag = @tag)",
			"owner":    "h.owner_member_id = @owner",
			"no_owner": "h.owner_member_id IS NULL",
			"ids":      "h.id = ANY(@ids)",
		},
		Sorts: map[string]db.SortBy[HostItem]{
			"expires": {Expr: "h.leaf_not_after", Cast: "timestamptz", Of: func(h HostItem) string { return h.NotAfter.Format(time.RFC3339Nano) }},
			"host":    {Expr: "h.hostname", Cast: `text COLLATE "C"`, Of: func(h HostItem) string { return h.Hostname }},
			"issuer":  {Expr: "h.issuer", Cast: `text COLLATE "C"`, Of: func(h HostItem) string { return h.Issuer }},
			"status":  {Expr: "h.severity", Cast: "smallint", Of: func(h HostItem) string { return strconv.Itoa(int(h.Status.Severity())) }},
			"scanned": {Expr: "coalesce(h.last_scan_at, '-infinity')", Cast: "timestamptz", Of: func(h HostItem) string {
				if h.LastScanAt == nil {
					return "-infinity"
				}
				return h.LastScanAt.Format(time.RFC3339Nano)
			}},
			"created": {Expr: "h.created_at", Cast: "timestamptz", Of: func(h HostItem) string { return h.CreatedAt.Format(time.RFC3339Nano) }},
		},
		Default: "expires", IDExpr: "h.id", ID: func(h HostItem) uuid.UUID { return h.ID },
	})

	expiringIn = db.Define[HostItem]("certificates.expiring_in", `
	SELECT `+hostItemColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.leaf_not_after >= @from AND h.leaf_not_after < @until AND h.leaf_not_before IS NOT NULL
	ORDER BY h.leaf_not_after, h.id
	LIMIT 500`)

	urgentHosts = db.Define[HostItem]("certificates.urgent_hosts", `
	SELECT `+hostItemColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.state = 'active' AND (
		(h.leaf_not_after < @until AND h.status IN ('expired', 'critical', 'expiring')) OR h.status = ANY(@failing))
	ORDER BY h.severity, h.leaf_not_after, h.id
	LIMIT @limit`)
)

// wordFilter asks for hosts with a word that begins with the argument.
func wordFilter(arg string) string {
	return `h.id IN (SELECT t.host_id FROM host_tokens t WHERE t.workspace_id = @ws AND t.token >= @` + arg + `_from AND t.token < @` + arg + `_upto)`
}

type ownerName struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
}
