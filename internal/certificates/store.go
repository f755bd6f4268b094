package certificates

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const hostColumns = `h.id, h.hostname, h.display_name, h.port, h.server_name, h.starttls, h.family, h.scan_interval, h.state,
	h.owner_member_id, h.warn_days, h.critical_days, h.tags,
	h.version, h.created_at, h.updated_at, h.status, h.status_detail, h.leaf_not_before, h.leaf_not_after, h.issuer,
	h.subject, h.key_description, h.snapshot_id, h.certificate_id, h.last_scan_at, h.last_ok_at, h.last_error_class,
	h.last_error, h.consecutive_failures`

var (
	hostByID = db.Define[Host]("certificates.host", `
	SELECT `+hostColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.id = @id`).Called("host")

	lockHost = db.Define[Host]("certificates.lock_host", `
	SELECT `+hostColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.id = @id
	FOR UPDATE OF h`).Called("host")

	// lockHosts takes many in the order of their ids, so that two batches never wait for
	// each other in a circle.
	lockHosts = db.Define[Host]("certificates.lock_hosts", `
	SELECT `+hostColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.id = ANY(@ids)
	ORDER BY h.id
	LIMIT 1000
	FOR UPDATE OF h`)

	hostsByID = db.Define[Host]("certificates.hosts_by_id", `
	SELECT `+hostColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.id = ANY(@ids)
	LIMIT 1000`)

	hostsByExpiry = db.Define[Host]("certificates.hosts_by_expiry", `
	SELECT `+hostColumns+`
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.leaf_not_after < @before AND h.id > @after
	ORDER BY h.id
	LIMIT @limit`)

	insertHosts = db.DefineCommand("certificates.insert_hosts", `
	INSERT INTO monitored_hosts (workspace_id, id, hostname, display_name, port, server_name, starttls, family, scan_interval,
		state, owner_member_id, tags, warn_days, critical_days, created_at, created_by, updated_at)
	SELECT @ws, r.id, r.hostname, r.display_name, r.port, r.server_name, r.starttls, r.family, r.scan_interval, r.state,
		r.owner, string_to_array(r.tags, ','), r.warn_days, r.critical_days, @now, @by, @now
	FROM unnest(@ids::uuid[], @hostnames::text[], @display_names::text[], @ports::int[], @server_names::text[],
		@starttls::text[], @families::text[], @intervals::text[], @states::text[], @owners::uuid[], @tags::text[], @warn::int[],
		@critical::int[])
		AS r(id, hostname, display_name, port, server_name, starttls, family, scan_interval, state, owner, tags, warn_days, critical_days)`)

	updateHost = db.DefineCommand("certificates.update_host", `
	UPDATE monitored_hosts
	SET hostname = @hostname, display_name = @display_name, port = @port, server_name = @server_name, starttls = @starttls,
		family = @family, scan_interval = @scan_interval, state = @state, owner_member_id = @owner, tags = @tags, warn_days = @warn_days,
		critical_days = @critical_days, version = @version, updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)

	deleteHosts = db.DefineCommand("certificates.delete_hosts", `
	DELETE FROM monitored_hosts WHERE workspace_id = @ws AND id = ANY(@ids)`)
	deleteObservations = db.DefineCommand("certificates.delete_observations", `
	DELETE FROM scan_observations WHERE workspace_id = @ws AND host_id = ANY(@ids)`)

	hostOfEndpoint = db.Define[uuid.UUID]("certificates.host_of_endpoint", `
	SELECT h.id FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.hostname = @hostname AND h.port = @port AND h.starttls = @starttls
		AND h.server_name = @server_name AND h.family = @family`)

	existingEndpoints = db.Define[endpointRow]("certificates.existing_endpoints", `
	SELECT h.id, h.hostname, h.port, h.starttls, h.server_name, h.family
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.hostname = ANY(@hostnames)
	LIMIT 50000`)

	insertTokens = db.DefineCommand("certificates.insert_tokens", `
	INSERT INTO host_tokens (workspace_id, host_id, origin, token)
	SELECT @ws, r.host_id, @origin, r.token FROM unnest(@hosts::uuid[], @tokens::text[]) AS r(host_id, token)
	ON CONFLICT DO NOTHING`)
	deleteTokens = db.DefineCommand("certificates.delete_tokens", `
	DELETE FROM host_tokens WHERE workspace_id = @ws AND host_id = ANY(@hosts) AND origin = @origin`)

	// urgentHosts walks each of the statuses, worst first, in the order of their ends: whatever
	// the size of the workspace it reads a few rows of each. The limit is a number, since
	// PostgreSQL makes a plan anew each time for one that it does not know.
	urgentHosts = db.Define[Host]("certificates.urgent_hosts", `
	SELECT `+hostColumns+`
	FROM unnest(@statuses::text[]) WITH ORDINALITY AS s(status, rank)
	CROSS JOIN LATERAL (
		SELECT * FROM monitored_hosts
		WHERE workspace_id = @ws AND status = s.status AND state = 'active'
			AND leaf_not_after < CASE WHEN s.status = ANY(@ending::text[]) THEN @until::timestamptz ELSE 'infinity' END
		ORDER BY leaf_not_after, id
		LIMIT `+strconv.Itoa(maxUrgent)+`) AS h
	ORDER BY s.rank, h.leaf_not_after, h.id
	LIMIT `+strconv.Itoa(maxUrgent))

	anyHost = db.Define[bool]("certificates.any_host", `
	SELECT EXISTS (SELECT 1 FROM monitored_hosts WHERE workspace_id = @ws)`)

	findHosts = db.Define[foundHost]("certificates.find_hosts", `
	SELECT h.id, h.hostname, h.display_name, h.port, h.server_name, h.status
	FROM monitored_hosts h
	WHERE h.workspace_id = @ws AND h.id IN (
		SELECT t.host_id FROM host_tokens t
		WHERE t.workspace_id = @ws AND t.token >= @from AND t.token < @upto)
	ORDER BY h.hostname, h.port, h.id
	LIMIT @limit`)
)

type endpointRow struct {
	ID         uuid.UUID `db:"id"`
	Hostname   string    `db:"hostname"`
	Port       int32     `db:"port"`
	STARTTLS   string    `db:"starttls"`
	ServerName string    `db:"server_name"`
	Family     string    `db:"family"`
}

type foundHost struct {
	ID          uuid.UUID `db:"id"`
	Hostname    string    `db:"hostname"`
	DisplayName string    `db:"display_name"`
	Port        int32     `db:"port"`
	ServerName  string    `db:"server_name"`
	Status      Status    `db:"status"`
}

// addHosts writes hosts that do not exist yet, with their tags, words and schedule (see
// addSchedule for first).
func addHosts(ctx context.Context, tx *db.Tx, hosts []Host, first time.Time) error {
	n := len(hosts)
	ids, names, display := make([]uuid.UUID, n), make([]string, n), make([]string, n)
	ports, server, starttls, families := make([]int32, n), make([]string, n), make([]string, n), make([]string, n)
	intervals, states, owners := make([]string, n), make([]string, n), make([]*uuid.UUID, n)
	tags, warn, critical := make([]string, n), make([]*int32, n), make([]*int32, n)
	for i, h := range hosts {
		ids[i], names[i], display[i], ports[i], server[i] = h.ID, h.Hostname, h.DisplayName, h.Port, h.ServerName
		starttls[i], families[i], intervals[i], states[i] = h.STARTTLS, h.Family, string(h.Interval), string(h.State)
		owners[i], tags[i], warn[i], critical[i] = orNil(h.OwnerID), strings.Join(h.Tags, ","), h.WarnDays, h.CriticalDays
	}
	_, err := insertHosts.Run(ctx, tx, db.Args{
		"ids": ids, "hostnames": names, "display_names": display, "ports": ports, "server_names": server, "starttls": starttls,
		"families": families, "intervals": intervals, "states": states, "owners": owners, "tags": tags, "warn": warn, "critical": critical,
		"by": db.NullID(tx.Actor.UserID),
	})
	if err != nil {
		return err
	}
	if err := addHostTokens(ctx, tx, hosts); err != nil {
		return err
	}
	return addSchedule(ctx, tx, hosts, first)
}

func addHostTokens(ctx context.Context, tx *db.Tx, hosts []Host) error {
	words := make(map[uuid.UUID][]string, len(hosts))
	for _, h := range hosts {
		words[h.ID] = hostWords(h)
	}
	return putTokens(ctx, tx, "host", words)
}

func putTokens(ctx context.Context, tx *db.Tx, origin string, words map[uuid.UUID][]string) error {
	var ids []uuid.UUID
	var tokens []string
	for id, list := range words {
		for _, w := range list {
			ids, tokens = append(ids, id), append(tokens, w)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := insertTokens.Run(ctx, tx, db.Args{"hosts": ids, "tokens": tokens, "origin": origin})
	return err
}

// saveHost writes what people set of a host, with its tags and words.
func saveHost(ctx context.Context, tx *db.Tx, h Host) error {
	n, err := updateHost.Run(ctx, tx, db.Args{
		"id": h.ID, "hostname": h.Hostname, "display_name": h.DisplayName, "port": h.Port, "server_name": h.ServerName,
		"starttls": h.STARTTLS, "family": h.Family, "scan_interval": string(h.Interval), "state": string(h.State), "owner": h.OwnerID,
		"tags": orEmpty(h.Tags), "warn_days": h.WarnDays, "critical_days": h.CriticalDays, "version": h.Version,
	})
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("certificates.update_host: %d rows", n)
	}
	if _, err := deleteTokens.Run(ctx, tx, db.Args{"hosts": []uuid.UUID{h.ID}, "origin": "host"}); err != nil {
		return err
	}
	return addHostTokens(ctx, tx, []Host{h})
}

func orNil(id uuid.NullUUID) *uuid.UUID {
	if !id.Valid {
		return nil
	}
	return &id.UUID
}

// orEmpty keeps a list that nobody made from becoming null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
