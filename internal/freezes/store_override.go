package freezes

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const overrideColumns = `o.id, o.freeze_id, f.name AS freeze_name, o.freeze_version, o.change_id, o.change_key, o.change_title,
	o.change_path, o.revision, o.window_start, o.window_end, o.state, o.self_granted, o.reason, o.requested_by, o.requested_at,
	o.decided_by, o.decided_at, o.decision_note`

const overrideJoin = ` FROM freeze_overrides o JOIN freezes f ON f.workspace_id = o.workspace_id AND f.id = o.freeze_id
	WHERE o.workspace_id = @ws `

var (
	loadOverride = db.Define[Override]("freezes.load_override", `
	SELECT `+overrideColumns+overrideJoin+`AND o.id = @id AND o.freeze_id = @freeze`).Called("override")
	lockOverride = db.Define[Override]("freezes.lock_override", `
	SELECT `+overrideColumns+overrideJoin+`AND o.id = @id FOR UPDATE OF o`).Called("override")
	insertOverride = db.DefineCommand("freezes.insert_override", `
	INSERT INTO freeze_overrides (workspace_id, id, freeze_id, freeze_version, change_id, change_key, change_title, change_path,
		revision, window_start, window_end, state, self_granted, reason, requested_by, requested_at, decided_by, decided_at)
	VALUES (@ws, @id, @freeze, @freeze_version, @change, @change_key, @change_title, @change_path,
		@revision, @start, @end, @state, @self_granted, @reason, @by, @now, @decided_by, @decided_at)`)
	decideOverride = db.DefineCommand("freezes.decide_override", `
	UPDATE freeze_overrides SET state = @state, decided_by = @by, decided_at = @now, decision_note = @note
	WHERE workspace_id = @ws AND id = @id`)
	// Who decided a granted override stays on record when it becomes void.
	voidOverride = db.DefineCommand("freezes.void_override", `
	UPDATE freeze_overrides SET state = 'void', decided_at = coalesce(decided_at, @now), decision_note = @note
	WHERE workspace_id = @ws AND id = @id`)
	overridesOf = db.Define[Override]("freezes.overrides_of", `
	SELECT `+overrideColumns+overrideJoin+`AND o.freeze_id = @freeze ORDER BY o.requested_at DESC, o.id DESC LIMIT 100`)
	// openOverridesOf locks what an edit of the freeze makes void.
	openOverridesOf = db.Define[Override]("freezes.open_overrides_of", `
	SELECT `+overrideColumns+overrideJoin+`AND o.freeze_id = @freeze AND o.state IN ('requested', 'granted')
	ORDER BY o.id LIMIT 5000 FOR UPDATE OF o`)
	openOverridesFor = db.Define[Override]("freezes.open_overrides_for", `
	SELECT `+overrideColumns+overrideJoin+`AND o.change_id = @change AND o.revision < @revision AND o.state IN ('requested', 'granted')
	ORDER BY o.id LIMIT 1000 FOR UPDATE OF o`)
	// An override of a version that stopped less than the freeze does now is void, even
	// before it is marked so.
	validOverrides = db.Define[Override]("freezes.valid_overrides", `
	SELECT `+overrideColumns+overrideJoin+`AND o.change_id = @change AND o.revision = @revision AND o.state = 'granted'
	AND o.freeze_version >= f.widened_version ORDER BY o.id LIMIT 1000`)
	overridesFor = db.Define[Override]("freezes.overrides_for", `
	SELECT `+overrideColumns+overrideJoin+`AND o.change_id = @change ORDER BY o.requested_at DESC, o.id DESC LIMIT 200`)
	waitingOverrides = db.Define[Override]("freezes.waiting_overrides", `
	SELECT `+overrideColumns+overrideJoin+`AND o.state = 'requested' ORDER BY o.requested_at, o.id LIMIT 50`)
	overrideNames = db.Define[overrideNameRow]("freezes.override_names", `
	SELECT o.id, o.freeze_id, f.name, o.change_key, o.state`+overrideJoin+`AND o.id = ANY (@ids)`)
)

type overrideNameRow struct {
	ID        uuid.UUID     `db:"id"`
	FreezeID  uuid.UUID     `db:"freeze_id"`
	Name      string        `db:"name"`
	ChangeKey string        `db:"change_key"`
	State     OverrideState `db:"state"`
}

func overrideArgs(o Override) db.Args {
	return db.Args{
		"id": o.ID, "freeze": o.FreezeID, "freeze_version": o.FreezeVersion, "change": o.ChangeID, "change_key": o.ChangeKey,
		"change_title": o.ChangeTitle, "change_path": o.ChangePath, "revision": o.Revision, "start": o.Start, "end": o.End,
		"state": o.State, "self_granted": o.SelfGranted, "reason": o.Reason, "by": o.RequestedBy, "decided_by": o.DecidedBy,
		"decided_at": o.DecidedAt,
	}
}
