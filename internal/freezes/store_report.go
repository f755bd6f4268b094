package freezes

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// The statements of this file name people and assets, which modules identity, members and
// assets own, so that a page of a freeze costs one round trip.

type thingRow struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
}

var (
	peopleOfFreeze = db.Define[thingRow]("freezes.people_of", `
	SELECT u.id, u.name FROM users u JOIN members m ON m.user_id = u.id
	WHERE m.workspace_id = @ws AND u.id IN (
		SELECT x FROM freezes f, unnest(ARRAY[f.owner_user_id, f.activated_by, f.lifted_by, f.created_by]) AS x
		WHERE f.workspace_id = @ws AND f.id = @id
		UNION SELECT requested_by FROM freeze_overrides WHERE workspace_id = @ws AND freeze_id = @id
		UNION SELECT decided_by FROM freeze_overrides WHERE workspace_id = @ws AND freeze_id = @id
		UNION SELECT changed_by FROM freeze_versions WHERE workspace_id = @ws AND freeze_id = @id
		UNION SELECT (snapshot->>'owner')::uuid FROM freeze_versions WHERE workspace_id = @ws AND freeze_id = @id)
	LIMIT 1000`)
	thingsOfFreeze = db.Define[thingRow]("freezes.things_of", `
	SELECT a.id, a.name FROM assets a
	WHERE a.workspace_id = @ws AND a.id IN (
		SELECT unnest(f.asset_ids || f.service_ids) FROM freezes f WHERE f.workspace_id = @ws AND f.id = @id)
	ORDER BY a.name, a.id LIMIT 500`)
)

func names(rows []thingRow) map[uuid.UUID]string {
	out := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Name
	}
	return out
}
