package assets

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const assetColumns = `a.id, a.name, a.hostname, a.ci_type, a.environment, a.criticality, a.lifecycle, a.owner_user_id, a.team,
	a.provider, a.external_id, a.description, a.custom, a.lead_minutes, a.trail_minutes, a.one_change_at_a_time,
	ARRAY(SELECT t.tag FROM asset_tags t WHERE t.workspace_id = a.workspace_id AND t.asset_id = a.id ORDER BY t.tag) AS tags,
	a.retired_at, a.version, a.created_at, a.updated_at`

var (
	assetByID = db.Define[Asset]("assets.asset", `
	SELECT `+assetColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.id = @id`).Called("asset")

	lockAsset = db.Define[Asset]("assets.lock", `
	SELECT `+assetColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.id = @id
	FOR UPDATE OF a`).Called("asset")

	// lockAssets takes many in the order of their ids, so that two batches never wait for
	// each other in a circle.
	lockAssets = db.Define[Asset]("assets.lock_many", `
	SELECT `+assetColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.id = ANY(@ids)
	ORDER BY a.id
	LIMIT 1000
	FOR UPDATE OF a`)

	// shareAssets keeps the ends of a new edge from being retired or deleted meanwhile.
	shareAssets = db.Define[Asset]("assets.share", `
	SELECT `+assetColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.id = ANY(@ids)
	ORDER BY a.id
	LIMIT 2
	FOR SHARE OF a`)

	assetsByID = db.Define[Asset]("assets.by_ids", `
	SELECT `+assetColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.id = ANY(@ids)
	ORDER BY a.name_key, a.id
	LIMIT 1000`)

	assetsByNames = db.Define[nameRow]("assets.by_names", `
	SELECT a.id, a.ci_type, a.name_key
	FROM assets a
	WHERE a.workspace_id = @ws AND a.name_key = ANY(@names)
	LIMIT 50000`)

	externalIDs = db.Define[externalRow]("assets.external_ids", `
	SELECT a.id, a.provider, a.external_id
	FROM assets a
	WHERE a.workspace_id = @ws AND a.external_id = ANY(@ids) AND a.external_id <> ''
	LIMIT 50000`)

	insertAssets = db.DefineCommand("assets.insert", `
	INSERT INTO assets (workspace_id, id, name, name_key, hostname, ci_type, environment, criticality, lifecycle, owner_user_id,
		team, provider, external_id, description, custom, lead_minutes, trail_minutes, one_change_at_a_time, retired_at,
		created_at, created_by, updated_at)
	SELECT @ws, r.id, r.name, r.name_key, r.hostname, r.ci_type, r.environment, r.criticality, r.lifecycle, r.owner, r.team,
		r.provider, r.external_id, r.description, r.custom, r.lead, r.trail, r.one, r.retired_at, @now, @by, @now
	FROM unnest(@ids::uuid[], @names::text[], @name_keys::text[], @hostnames::text[], @types::text[], @environments::text[],
		@criticalities::text[], @lifecycles::text[], @owners::uuid[], @teams::text[], @providers::text[], @external_ids::text[],
		@descriptions::text[], @customs::jsonb[], @leads::int[], @trails::int[], @ones::boolean[], @retired::timestamptz[])
		AS r(id, name, name_key, hostname, ci_type, environment, criticality, lifecycle, owner, team, provider, external_id,
			description, custom, lead, trail, one, retired_at)`)

	updateAsset = db.DefineCommand("assets.update", `
	UPDATE assets
	SET name = @name, name_key = @name_key, hostname = @hostname, ci_type = @ci_type, environment = @environment,
		criticality = @criticality, lifecycle = @lifecycle, owner_user_id = @owner, team = @team, provider = @provider,
		external_id = @external_id, description = @description, custom = @custom, lead_minutes = @lead, trail_minutes = @trail,
		one_change_at_a_time = @one, retired_at = @retired_at, version = @version, updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)

	deleteAsset = db.DefineCommand("assets.delete", `DELETE FROM assets WHERE workspace_id = @ws AND id = @id`)

	insertTags = db.DefineCommand("assets.insert_tags", `
	INSERT INTO asset_tags (workspace_id, asset_id, tag)
	SELECT @ws, r.asset_id, r.tag FROM unnest(@assets::uuid[], @tags::text[]) AS r(asset_id, tag)
	ON CONFLICT DO NOTHING`)
	deleteTags = db.DefineCommand("assets.delete_tags", `
	DELETE FROM asset_tags WHERE workspace_id = @ws AND asset_id = @id`)

	insertTokens = db.DefineCommand("assets.insert_tokens", `
	INSERT INTO asset_tokens (workspace_id, asset_id, token)
	SELECT @ws, r.asset_id, r.token FROM unnest(@assets::uuid[], @tokens::text[]) AS r(asset_id, token)
	ON CONFLICT DO NOTHING`)
	deleteTokens = db.DefineCommand("assets.delete_tokens", `
	DELETE FROM asset_tokens WHERE workspace_id = @ws AND asset_id = @id`)

	relationshipByID = db.Define[Relationship]("assets.relationship", `
	SELECT id, from_id, to_id, type, protocol, port, exclusive, note, created_at
	FROM asset_relationships
	WHERE workspace_id = @ws AND id = @id`).Called("relationship")

	insertRelationship = db.DefineCommand("assets.insert_relationship", `
	INSERT INTO asset_relationships (workspace_id, id, from_id, to_id, type, protocol, port, exclusive, note, created_at, created_by)
	VALUES (@ws, @id, @from, @to, @type, @protocol, @port, @exclusive, @note, @now, @by)`)
	deleteRelationship = db.DefineCommand("assets.delete_relationship", `
	DELETE FROM asset_relationships WHERE workspace_id = @ws AND id = @id`)

	relationshipOfEdge = db.Define[uuid.UUID]("assets.relationship_of_edge", `
	SELECT id FROM asset_relationships
	WHERE workspace_id = @ws AND from_id = @from AND to_id = @to AND type = @type`)

	countRelationships = db.Define[int64]("assets.count_relationships", `
	SELECT (SELECT count(*) FROM asset_relationships WHERE workspace_id = @ws AND from_id = @id)
		+ (SELECT count(*) FROM asset_relationships WHERE workspace_id = @ws AND to_id = @id)`)

	// edgesOf reads both directions of an asset's edges with the other end. Limits are for
	// hubs: the impact page counts what does not fit here.
	edgesOf = db.Define[edgeRow]("assets.edges_of", `
	SELECT e.id, e.from_id, e.to_id, e.type, e.protocol, e.port, e.exclusive, e.note, e.created_at,
		b.id AS other_id, b.name AS other_name, b.ci_type AS other_type, b.environment AS other_environment,
		b.criticality AS other_criticality, b.lifecycle AS other_lifecycle
	FROM (
		(SELECT r.*, r.to_id AS other FROM asset_relationships r WHERE r.workspace_id = @ws AND r.from_id = @id ORDER BY r.id LIMIT 201)
		UNION ALL
		(SELECT r.*, r.from_id AS other FROM asset_relationships r WHERE r.workspace_id = @ws AND r.to_id = @id ORDER BY r.id LIMIT 201)
	) AS e
	JOIN assets b ON b.workspace_id = @ws AND b.id = e.other
	ORDER BY b.criticality_rank, b.name_key, e.id`)

	findAssets = db.Define[briefRow]("assets.find", `
	SELECT `+briefColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.lifecycle <> 'retired' AND a.id IN (
		SELECT t.asset_id FROM asset_tokens t
		WHERE t.workspace_id = @ws AND t.token >= @from AND t.token < @upto)
	ORDER BY a.criticality_rank, a.name_key, a.id
	LIMIT @limit`)

	// firstAssets is the start of a picker before anything was typed.
	firstAssets = db.Define[briefRow]("assets.first", `
	SELECT `+briefColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.lifecycle <> 'retired'
	ORDER BY a.name_key, a.id
	LIMIT @limit`)

	searchAssets = db.Define[briefRow]("assets.search", `
	SELECT `+briefColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.id IN (
		SELECT t.asset_id FROM asset_tokens t
		WHERE t.workspace_id = @ws AND t.token >= @from AND t.token < @upto)
	ORDER BY a.lifecycle = 'retired', a.criticality_rank, a.name_key, a.id
	LIMIT @limit`)

	briefsByID = db.Define[briefRow]("assets.briefs", `
	SELECT `+briefColumns+`
	FROM assets a
	WHERE a.workspace_id = @ws AND a.id = ANY(@ids)
	ORDER BY a.name_key, a.id
	LIMIT 50000`)

	anyAsset = db.Define[bool]("assets.any", `SELECT EXISTS (SELECT 1 FROM assets WHERE workspace_id = @ws)`)

	tagCounts = db.Define[nameCount]("assets.tag_counts", `
	SELECT tag AS name, count(*) AS count FROM asset_tags WHERE workspace_id = @ws GROUP BY tag ORDER BY count(*) DESC, tag LIMIT 50`)
	teamCounts = db.Define[nameCount]("assets.team_counts", `
	SELECT team AS name, count(*) AS count FROM assets WHERE workspace_id = @ws AND team <> '' GROUP BY team
	ORDER BY count(*) DESC, team LIMIT 50`)
)

type nameCount struct {
	Name  string `db:"name"`
	Count int64  `db:"count"`
}

type nameRow struct {
	ID      uuid.UUID `db:"id"`
	Type    string    `db:"ci_type"`
	NameKey string    `db:"name_key"`
}

type externalRow struct {
	ID         uuid.UUID `db:"id"`
	Provider   string    `db:"provider"`
	ExternalID string    `db:"external_id"`
}

// edgeRow is an edge with the asset at its other end.
type edgeRow struct {
	Relationship
	OtherID          uuid.UUID `db:"other_id"`
	OtherName        string    `db:"other_name"`
	OtherType        string    `db:"other_type"`
	OtherEnvironment string    `db:"other_environment"`
	OtherCriticality string    `db:"other_criticality"`
	OtherLifecycle   Lifecycle `db:"other_lifecycle"`
}

// addAssets writes assets that do not exist yet, with their tags and words.
func addAssets(ctx context.Context, tx *db.Tx, list []Asset) error {
	n := len(list)
	args := db.Args{"by": db.NullID(tx.Actor.UserID)}
	ids, owners, customs := make([]uuid.UUID, n), make([]*uuid.UUID, n), make([]map[string]string, n)
	leads, trails, ones, retired := make([]int32, n), make([]int32, n), make([]bool, n), make([]*time.Time, n)
	columns := map[string][]string{}
	for _, name := range []string{
		"names", "name_keys", "hostnames", "types", "environments", "criticalities", "lifecycles", "teams", "providers",
		"external_ids", "descriptions",
	} {
		columns[name] = make([]string, n)
	}
	for i, a := range list {
		ids[i], customs[i], leads[i], trails[i], ones[i] = a.ID, a.Custom, a.LeadMinutes, a.TrailMinutes, a.OneChangeAtATime
		owners[i], retired[i] = orNil(a.OwnerID), a.RetiredAt
		columns["names"][i], columns["name_keys"][i], columns["hostnames"][i] = a.Name, nameKey(a.Name), a.Hostname
		columns["types"][i], columns["environments"][i], columns["criticalities"][i] = a.Type, a.Environment, a.Criticality
		columns["lifecycles"][i], columns["teams"][i], columns["providers"][i] = string(a.Lifecycle), a.Team, a.Provider
		columns["external_ids"][i], columns["descriptions"][i] = a.ExternalID, a.Description
	}
	args["ids"], args["owners"], args["customs"] = ids, owners, customs
	args["leads"], args["trails"], args["ones"], args["retired"] = leads, trails, ones, retired
	for name, values := range columns {
		args[name] = values
	}
	if _, err := insertAssets.Run(ctx, tx, args); err != nil {
		return err
	}
	return addWords(ctx, tx, list)
}

// addWords writes the tags and the search words of assets.
func addWords(ctx context.Context, tx *db.Tx, list []Asset) error {
	var tagged, worded []uuid.UUID
	var tags, tokens []string
	for _, a := range list {
		for _, t := range a.Tags {
			tagged, tags = append(tagged, a.ID), append(tags, t)
		}
		for _, w := range words(a) {
			worded, tokens = append(worded, a.ID), append(tokens, w)
		}
	}
	if len(tags) > 0 {
		if _, err := insertTags.Run(ctx, tx, db.Args{"assets": tagged, "tags": tags}); err != nil {
			return err
		}
	}
	_, err := insertTokens.Run(ctx, tx, db.Args{"assets": worded, "tokens": tokens})
	return err
}

// saveAsset writes every field of an asset, with its tags and words.
func saveAsset(ctx context.Context, tx *db.Tx, a Asset) error {
	n, err := updateAsset.Run(ctx, tx, db.Args{
		"id": a.ID, "name": a.Name, "name_key": nameKey(a.Name), "hostname": a.Hostname, "ci_type": a.Type,
		"environment": a.Environment, "criticality": a.Criticality, "lifecycle": string(a.Lifecycle), "owner": a.OwnerID,
		"team": a.Team, "provider": a.Provider, "external_id": a.ExternalID, "description": a.Description, "custom": a.Custom,
		"lead": a.LeadMinutes, "trail": a.TrailMinutes, "one": a.OneChangeAtATime, "retired_at": a.RetiredAt, "version": a.Version,
	})
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("assets.update: %d rows", n)
	}
	if _, err := deleteTags.Run(ctx, tx, db.Args{"id": a.ID}); err != nil {
		return err
	}
	if _, err := deleteTokens.Run(ctx, tx, db.Args{"id": a.ID}); err != nil {
		return err
	}
	return addWords(ctx, tx, []Asset{a})
}

func orNil(id uuid.NullUUID) *uuid.UUID {
	if !id.Valid {
		return nil
	}
	return &id.UUID
}
