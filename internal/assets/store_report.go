package assets

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// This file reads the table users of another module, in joins, to show who owns an asset
// without a further round trip.

// Item is an asset with the name of its owner, empty without one, and how many
// relationships it has.
type Item struct {
	Asset
	OwnerName string `db:"owner_name"`
	// Below and Above count what it depends on and what depends on it.
	Below int64 `db:"below"`
	Above int64 `db:"above"`
}

const itemColumns = assetColumns + `,
	coalesce((SELECT u.name FROM users u WHERE u.id = a.owner_user_id), '') AS owner_name,
	(SELECT count(*) FROM asset_relationships e WHERE e.workspace_id = a.workspace_id AND e.from_id = a.id) AS below,
	(SELECT count(*) FROM asset_relationships e WHERE e.workspace_id = a.workspace_id AND e.to_id = a.id) AS above`

var (
	itemByID = db.Define[Item]("assets.item", `
	SELECT `+itemColumns+` FROM assets a WHERE a.workspace_id = @ws AND a.id = @id`).Called("asset")

	ownerCounts = db.Define[ownerCount]("assets.owner_counts", `
	SELECT o.owner_user_id AS id, u.name, o.count
	FROM (
		SELECT owner_user_id, count(*) AS count FROM assets
		WHERE workspace_id = @ws AND owner_user_id IS NOT NULL
		GROUP BY owner_user_id ORDER BY count(*) DESC LIMIT 50) AS o
	JOIN users u ON u.id = o.owner_user_id
	ORDER BY u.name, o.owner_user_id`)

	assetList = db.DefineList(db.ListSpec[Item]{
		Name: "assets.list", Columns: itemColumns, From: "assets a", Where: "a.workspace_id = @ws",
		Filters: listFilters(),
		Sorts: map[string]db.SortBy[Item]{
			"name": {Expr: "a.name_key", Cast: `text COLLATE "C"`, Of: func(i Item) string { return nameKey(i.Name) }},
			"criticality": {Expr: "a.criticality_rank", Cast: "smallint", Of: func(i Item) string {
				return strconv.Itoa(criticalityRank(i.Criticality))
			}},
			"ci_type":     {Expr: "a.ci_type", Cast: `text COLLATE "C"`, Of: func(i Item) string { return i.Type }},
			"environment": {Expr: "a.environment", Cast: `text COLLATE "C"`, Of: func(i Item) string { return i.Environment }},
			"updated_at":  {Expr: "a.updated_at", Cast: "timestamptz", Of: func(i Item) string { return i.UpdatedAt.Format(time.RFC3339Nano) }},
			"created_at":  {Expr: "a.created_at", Cast: "timestamptz", Of: func(i Item) string { return i.CreatedAt.Format(time.RFC3339Nano) }},
		},
		Default: "name", IDExpr: "a.id", ID: func(i Item) uuid.UUID { return i.ID },
	})

	summary = db.Define[summaryRow]("assets.summary", `
	SELECT
		`+capped("lifecycle <> 'retired'")+` AS in_use,
		`+capped("lifecycle <> 'retired' AND criticality_rank = 0")+` AS critical,
		`+capped("lifecycle <> 'retired' AND owner_user_id IS NULL")+` AS unowned,
		`+capped("lifecycle = 'planned'")+` AS planned,
		`+capped("lifecycle = 'retired'")+` AS retired,
		`+capped("lifecycle <> 'retired' AND environment = 'prod'")+` AS production`)

	mapList = db.DefineList(db.ListSpec[mapNode]{
		Name: "assets.map_list", Columns: mapColumns + ", 0 AS depth", From: "assets a",
		Where: "a.workspace_id = @ws AND a.lifecycle <> 'retired'", Filters: listFilters(),
		Sorts: map[string]db.SortBy[mapNode]{
			"criticality": {Expr: "a.criticality_rank", Cast: "smallint", Of: func(n mapNode) string {
				return strconv.Itoa(criticalityRank(n.Criticality))
			}},
		},
		Default: "criticality", IDExpr: "a.id", ID: func(n mapNode) uuid.UUID { return n.ID },
	})

	// mapAround reads what lies within some steps of one asset, in both directions.
	mapAround = db.Define[mapNode]("assets.map_around", `
	WITH RECURSIVE down (id, depth) AS (
		SELECT @focus::uuid, 0
		UNION
		SELECT l.id, l.depth FROM (
			SELECT DISTINCT e.from_id AS id, w.depth + 1 AS depth FROM down w
			JOIN asset_relationships e ON e.workspace_id = @ws AND e.to_id = w.id
			WHERE w.depth < @depth ORDER BY 1 LIMIT 200) AS l
	), up (id, depth) AS (
		SELECT @focus::uuid, 0
		UNION
		SELECT l.id, l.depth FROM (
			SELECT DISTINCT e.to_id AS id, w.depth + 1 AS depth FROM up w
			JOIN asset_relationships e ON e.workspace_id = @ws AND e.from_id = w.id
			WHERE w.depth < @depth ORDER BY 1 LIMIT 200) AS l
	)
	SELECT `+mapColumns+`, s.depth
	FROM (SELECT id, min(depth) AS depth FROM (SELECT * FROM down UNION ALL SELECT * FROM up) AS w GROUP BY id) AS s
	JOIN assets a ON a.workspace_id = @ws AND a.id = s.id
	WHERE a.lifecycle <> 'retired' OR a.id = @focus
	ORDER BY s.depth, a.criticality_rank, a.name_key, a.id
	LIMIT 200`)

	// mapNear reads assets that somebody opened on the map, and their neighbours.
	mapNear = db.Define[mapNode]("assets.map_near", `
	SELECT `+mapColumns+`, 0 AS depth
	FROM (
		SELECT o.id FROM unnest(@open::uuid[]) AS o(id)
		UNION SELECT e.to_id FROM asset_relationships e WHERE e.workspace_id = @ws AND e.from_id = ANY(@open)
		UNION SELECT e.from_id FROM asset_relationships e WHERE e.workspace_id = @ws AND e.to_id = ANY(@open)
	) AS s
	JOIN assets a ON a.workspace_id = @ws AND a.id = s.id
	WHERE a.lifecycle <> 'retired'
	ORDER BY a.criticality_rank, a.name_key, a.id
	LIMIT 200`)
)

// mapColumns hold the edges of each asset too, so that the map costs one round trip: the
// type of the edge and the id at its other end.
const mapColumns = briefColumns + `,
	ARRAY(SELECT e.type || ' ' || e.to_id FROM asset_relationships e
		WHERE e.workspace_id = a.workspace_id AND e.from_id = a.id ORDER BY e.to_id, e.type LIMIT 100) AS below,
	ARRAY(SELECT e.type || ' ' || e.from_id FROM asset_relationships e
		WHERE e.workspace_id = a.workspace_id AND e.to_id = a.id ORDER BY e.from_id, e.type LIMIT 100) AS above`

// mapNode is an asset on the map with its edges in words.
type mapNode struct {
	briefRow
	Below []string `db:"below"`
	Above []string `db:"above"`
	Depth int32    `db:"depth"`
}

func listFilters() map[string]string {
	return map[string]string{
		"word1": wordFilter("word1"), "word2": wordFilter("word2"), "word3": wordFilter("word3"), "word4": wordFilter("word4"),
		"name":        "a.name_key = @name",
		"hostname":    "a.hostname = @hostname",
		"ci_type":     "a.ci_type = @ci_type",
		"environment": "a.environment = @environment",
		"criticality": "a.criticality = @criticality",
		"lifecycle":   "a.lifecycle = @lifecycle",
		"in_use":      "a.lifecycle <> 'retired'",
		"team":        "a.team = @team",
		"provider":    "a.provider = @provider",
		"external_id": "a.external_id = @external_id",
		"tag":         "a.id IN (SELECT t.asset_id FROM asset_tags t WHERE t.workspace_id = @ws AND t.tag = @tag)",
		"owner":       "a.owner_user_id = @owner",
		"no_owner":    "a.owner_user_id IS NULL",
	}
}

// wordFilter asks for assets with a word that begins with the argument.
func wordFilter(arg string) string {
	return `a.id IN (SELECT t.asset_id FROM asset_tokens t WHERE t.workspace_id = @ws AND t.token >= @` + arg + `_from AND t.token < @` + arg + `_upto)`
}

// capped counts assets of the workspace and stops where the pages say "10,000+".
func capped(cond string) string {
	return "(SELECT count(*) FROM (SELECT 1 FROM assets WHERE workspace_id = @ws AND " + cond +
		" LIMIT " + strconv.Itoa(db.CountCap+1) + ") AS c)"
}

// criticalityRank is the order of the column criticality_rank.
func criticalityRank(c string) int {
	switch c {
	case "critical":
		return 0
	case "high":
		return 1
	case "medium":
		return 2
	}
	return 3
}

type summaryRow struct {
	InUse      int64 `db:"in_use"`
	Critical   int64 `db:"critical"`
	Unowned    int64 `db:"unowned"`
	Planned    int64 `db:"planned"`
	Retired    int64 `db:"retired"`
	Production int64 `db:"production"`
}

type ownerCount struct {
	ID    uuid.UUID `db:"id"`
	Name  string    `db:"name"`
	Count int64     `db:"count"`
}
