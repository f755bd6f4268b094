package changes

import "github.com/vigilo/vigilo/internal/kernel/db"

var (
	conflictsOf = db.Define[conflictRow]("changes.conflicts_of", `
	SELECT k.id, k.type, k.severity, k.detail, k.asset_id, coalesce(o.id, k.other_id) AS other_id,
		coalesce(o.key, '') AS other_key, coalesce(o.title, '') AS other_title,
		EXISTS (SELECT 1 FROM change_conflict_acceptances a
			WHERE a.workspace_id = k.workspace_id AND a.conflict_id = k.id AND a.low_revision = l.revision
			AND a.high_revision = coalesce(h.revision, 0)) AS accepted
	FROM change_conflicts k
	JOIN change_requests l ON l.workspace_id = k.workspace_id AND l.id = k.low_id
	LEFT JOIN change_requests h ON h.workspace_id = k.workspace_id AND h.id = k.high_id
	LEFT JOIN change_requests o ON o.workspace_id = k.workspace_id AND k.high_id IS NOT NULL
		AND o.id = CASE WHEN k.low_id = @id THEN k.high_id ELSE k.low_id END
	WHERE k.workspace_id = @ws AND k.id IN (
		SELECT id FROM change_conflicts WHERE workspace_id = @ws AND low_id = @id
		UNION
		SELECT id FROM change_conflicts WHERE workspace_id = @ws AND high_id = @id)
	ORDER BY k.severity, k.type, k.id
	LIMIT 1000`)

	// dropConflicts removes the pairs of a change on both sides.
	dropConflicts = db.DefineCommand("changes.drop_conflicts", `
	DELETE FROM change_conflicts WHERE workspace_id = @ws AND (low_id = @id OR high_id = @id)`)
)
