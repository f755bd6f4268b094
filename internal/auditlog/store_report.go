package auditlog

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// member is somebody whom the log can be filtered by.
type member struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
}

// membersByName reads tables of the members module, for the list of actors to choose from.
var membersByName = db.Define[member]("auditlog.members", `
	SELECT m.user_id AS id, u.name FROM members m JOIN users u ON u.id = m.user_id
	WHERE m.workspace_id = @ws ORDER BY u.name, u.id LIMIT 200`)
