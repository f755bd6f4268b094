package assets

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const briefColumns = `a.id, a.name, a.ci_type, a.environment, a.criticality, a.lifecycle, a.team, a.owner_user_id,
	ARRAY(SELECT t.tag FROM asset_tags t WHERE t.workspace_id = a.workspace_id AND t.asset_id = a.id ORDER BY t.tag) AS tags,
	a.one_change_at_a_time, a.lead_minutes, a.trail_minutes`

type briefRow struct {
	ID               uuid.UUID     `db:"id"`
	Name             string        `db:"name"`
	Type             string        `db:"ci_type"`
	Environment      string        `db:"environment"`
	Criticality      string        `db:"criticality"`
	Lifecycle        string        `db:"lifecycle"`
	Team             string        `db:"team"`
	OwnerID          uuid.NullUUID `db:"owner_user_id"`
	Tags             []string      `db:"tags"`
	OneChangeAtATime bool          `db:"one_change_at_a_time"`
	LeadMinutes      int32         `db:"lead_minutes"`
	TrailMinutes     int32         `db:"trail_minutes"`
}

func (r briefRow) brief() Brief {
	return Brief{
		ID: r.ID, Name: r.Name, Type: r.Type, Environment: r.Environment, Criticality: r.Criticality, Lifecycle: r.Lifecycle,
		Team: r.Team, OwnerUserID: r.OwnerID, Tags: r.Tags, OneChangeAtATime: r.OneChangeAtATime,
		LeadBuffer:  time.Duration(r.LeadMinutes) * time.Minute,
		TrailBuffer: time.Duration(r.TrailMinutes) * time.Minute,
	}
}

func briefs(rows []briefRow) []Brief {
	out := make([]Brief, len(rows))
	for i, r := range rows {
		out[i] = r.brief()
	}
	return out
}

type reachedRow struct {
	briefRow
	Depth     int32     `db:"depth"`
	Exclusive bool      `db:"exclusive"`
	Start     uuid.UUID `db:"start"`
}

// walkSQL is a walk along edges, level by level. Each level holds an asset once, whatever
// the number of ways to it, and never a start: so a circle costs one level and not a path
// for each way around it. A level is cut where the answer would be cut anyway.
func walkSQL(next, here string) string {
	return `
	WITH RECURSIVE walk (id, depth, start, exclusive) AS (
		SELECT s.id, 0, s.id, true FROM unnest(@start::uuid[]) AS s(id)
		UNION ALL
		SELECT l.id, l.depth, l.start, l.exclusive FROM (
			SELECT DISTINCT ON (e.` + next + `) e.` + next + ` AS id, w.depth + 1 AS depth, w.start,
				w.exclusive AND e.exclusive AS exclusive
			FROM walk w
			JOIN asset_relationships e ON e.workspace_id = @ws AND e.` + here + ` = w.id
			JOIN assets n ON n.workspace_id = @ws AND n.id = e.` + next + ` AND n.lifecycle <> 'retired'
			WHERE w.depth < @depth AND NOT e.` + next + ` = ANY(@start::uuid[])
			ORDER BY e.` + next + `, w.exclusive AND e.exclusive DESC, w.start
			LIMIT @cap) AS l
	), nearest AS (
		SELECT DISTINCT ON (id) id, depth, start, exclusive FROM walk
		WHERE depth > 0
		ORDER BY id, depth, exclusive DESC, start
	)
	SELECT ` + briefColumns + `, c.depth, c.exclusive, c.start
	FROM (SELECT * FROM nearest ORDER BY depth, id LIMIT @cap) AS c
	JOIN assets a ON a.workspace_id = @ws AND a.id = c.id
	ORDER BY c.depth, a.criticality_rank, a.name_key, a.id`
}

var (
	// walkDown finds what depends on the start: against the edges.
	walkDown = db.Define[reachedRow]("assets.walk_down", walkSQL("from_id", "to_id"))
	// walkUp finds what the start depends on: along the edges.
	walkUp = db.Define[reachedRow]("assets.walk_up", walkSQL("to_id", "from_id"))

	// servicesOf finds the services of assets that are none themselves: what depends on them
	// directly, and what they are part of.
	servicesOf = db.Define[serviceRow]("assets.services_of", `
	SELECT DISTINCT ON (s.asset, a.name_key, a.id) s.asset, `+briefColumns+`
	FROM (
		SELECT e.to_id AS asset, e.from_id AS service FROM asset_relationships e
		WHERE e.workspace_id = @ws AND e.to_id = ANY(@ids)
		UNION ALL
		SELECT e.from_id, e.to_id FROM asset_relationships e
		WHERE e.workspace_id = @ws AND e.from_id = ANY(@ids) AND e.type = 'part_of'
	) AS s
	JOIN assets a ON a.workspace_id = @ws AND a.id = s.service
	WHERE a.ci_type IN ('service', 'application') AND a.lifecycle <> 'retired'
	ORDER BY s.asset, a.name_key, a.id
	LIMIT 50000`)
)

type serviceRow struct {
	Asset uuid.UUID `db:"asset"`
	briefRow
}

func walk(ctx context.Context, tx *db.Tx, s db.Statement[reachedRow], start []uuid.UUID, depth int) ([]Reached, bool, error) {
	rows, err := s.All(ctx, tx, walkArgs(start, depth))
	if err != nil {
		return nil, false, fmt.Errorf("walk relationships: %w", err)
	}
	out, more := reached(rows)
	return out, more, nil
}

func walkArgs(start []uuid.UUID, depth int) db.Args {
	return db.Args{"start": start, "depth": depth, "cap": MaxImpact + 1}
}

// reached cuts the row that tells whether there is more.
func reached(rows []reachedRow) ([]Reached, bool) {
	more := len(rows) > MaxImpact
	if more {
		rows = rows[:MaxImpact]
	}
	out := make([]Reached, len(rows))
	for i, r := range rows {
		out[i] = Reached{Brief: r.brief(), Depth: int(r.Depth), Exclusive: r.Exclusive, From: r.Start}
	}
	return out, more
}
