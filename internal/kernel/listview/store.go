package listview

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// View is a view that somebody named.
type View struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
	// Query is the filter and the order, as in the address of the list.
	Query string `db:"query"`
	// Columns are those of the view; empty for those that its owner chose for the list.
	Columns []string `db:"columns"`
	// Default is set for the view that the list opens with.
	Default bool `db:"is_default"`
}

var (
	// ofPerson also returns the choice of columns, as a view without a name.
	ofPerson = db.Define[View]("listview.of_person", `
	SELECT id, name, query, columns, is_default FROM list_views WHERE workspace_id = @ws AND user_id = @user AND list = @list
	UNION ALL
	SELECT '00000000-0000-0000-0000-000000000000', '', '', columns, false FROM list_columns
	WHERE workspace_id = @ws AND user_id = @user AND list = @list
	ORDER BY name`)

	// lockPerson keeps two requests of one person from passing the limit together.
	lockPerson = db.DefineCommand("listview.lock_person", `
	SELECT pg_advisory_xact_lock(hashtextextended('listview:' || @ws::text || @user::text, 0))`)
	countViews = db.Define[int64]("listview.count", `
	SELECT count(*) FROM list_views WHERE workspace_id = @ws AND user_id = @user AND list = @list`)
	insertView = db.DefineCommand("listview.insert", `
	INSERT INTO list_views (workspace_id, id, user_id, list, name, query, columns, created_at)
	VALUES (@ws, @id, @user, @list, @name, @query, @columns, @now)`)
	renameView = db.DefineCommand("listview.rename", `
	UPDATE list_views SET name = @name WHERE workspace_id = @ws AND user_id = @user AND list = @list AND id = @id`)
	requeryView = db.DefineCommand("listview.requery", `
	UPDATE list_views SET query = @query WHERE workspace_id = @ws AND user_id = @user AND list = @list AND id = @id`)
	recolumnView = db.DefineCommand("listview.recolumn", `
	UPDATE list_views SET columns = @columns WHERE workspace_id = @ws AND user_id = @user AND list = @list AND id = @id`)
	deleteView = db.DefineCommand("listview.delete", `
	DELETE FROM list_views WHERE workspace_id = @ws AND user_id = @user AND list = @list AND id = @id`)
	clearDefault = db.DefineCommand("listview.clear_default", `
	UPDATE list_views SET is_default = false WHERE workspace_id = @ws AND user_id = @user AND list = @list AND is_default`)
	setDefault = db.DefineCommand("listview.set_default", `
	UPDATE list_views SET is_default = true WHERE workspace_id = @ws AND user_id = @user AND list = @list AND id = @id`)
	putColumns = db.DefineCommand("listview.put_columns", `
	INSERT INTO list_columns (workspace_id, user_id, list, columns) VALUES (@ws, @user, @list, @columns)
	ON CONFLICT (workspace_id, user_id, list) DO UPDATE SET columns = excluded.columns`)
	dropColumns = db.DefineCommand("listview.drop_columns", `
	DELETE FROM list_columns WHERE workspace_id = @ws AND user_id = @user AND list = @list`)
)
