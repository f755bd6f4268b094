package changes

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const stepColumns = `s.id, s.position, s.title, s.description, s.owner, s.minutes, s.verification, s.rollback_note, s.destructive,
	s.state, s.note, s.done_at, s.done_by`

const holdColumns = `h.id, h.change_id, h.kind, h.source_id, h.reason, h.created_at, h.created_by, h.released_at, h.released_by, h.release_reason`

const fileColumns = `f.id, f.name, f.content_type, f.size_bytes, f.sha256, f.uploaded_by, f.uploader_name, f.created_at, f.removed_at`

var (
	stepsOf = db.Define[Step]("changes.steps_of", `
	SELECT `+stepColumns+` FROM change_steps s WHERE s.workspace_id = @ws AND s.change_id = @id ORDER BY s.position LIMIT 500`)
	deleteSteps = db.DefineCommand("changes.delete_steps", `DELETE FROM change_steps WHERE workspace_id = @ws AND change_id = @id`)
	insertSteps = db.DefineCommand("changes.insert_steps", `
	INSERT INTO change_steps (workspace_id, id, change_id, position, title, description, owner, minutes, verification, rollback_note, destructive)
	SELECT @ws, r.id, @change, r.position, r.title, r.description, r.owner, r.minutes, r.verification, r.rollback, r.destructive
	FROM unnest(@ids::uuid[], @positions::int[], @titles::text[], @descriptions::text[], @owners::text[], @minutes::int[],
		@verifications::text[], @rollbacks::text[], @destructive::bool[])
		AS r(id, position, title, description, owner, minutes, verification, rollback, destructive)`)
	updateStepState = db.DefineCommand("changes.update_step_state", `
	UPDATE change_steps SET state = @state, note = @note, done_at = @at, done_by = @by WHERE workspace_id = @ws AND id = @id`)

	holdsOf = db.Define[Hold]("changes.holds_of", `
	SELECT `+holdColumns+` FROM change_holds h WHERE h.workspace_id = @ws AND h.change_id = @id ORDER BY h.created_at, h.id LIMIT 500`)
	holdOfSource = db.Define[Hold]("changes.hold_of_source", `
	SELECT `+holdColumns+`
	FROM change_holds h
	WHERE h.workspace_id = @ws AND h.source_id = @source AND h.released_at IS NULL AND (@any OR h.change_id = @id)
	ORDER BY h.change_id, h.id
	LIMIT 5000`)
	putHold = db.DefineCommand("changes.insert_hold", `
	INSERT INTO change_holds (workspace_id, id, change_id, kind, source_id, reason, created_at, created_by)
	VALUES (@ws, @id, @change, @kind, @source, @reason, @now, @by)`)
	releaseHold = db.DefineCommand("changes.release_hold", `
	UPDATE change_holds SET released_at = @now, released_by = @by, release_reason = @reason
	WHERE workspace_id = @ws AND id = @id AND released_at IS NULL`)

	linksOf = db.Define[Link]("changes.links_of", `
	SELECT l.id, l.kind, l.target_id, l.url, l.title, l.created_at, l.created_by
	FROM change_links l WHERE l.workspace_id = @ws AND l.change_id = @id ORDER BY l.created_at, l.id LIMIT 200`)
	putLink = db.DefineCommand("changes.insert_link", `
	INSERT INTO change_links (workspace_id, id, change_id, kind, target_id, url, title, created_at, created_by)
	VALUES (@ws, @id, @change, @kind, @target, @url, @title, @now, @by)
	ON CONFLICT ON CONSTRAINT change_links_key DO NOTHING`)
	deleteLink = db.Define[Link]("changes.delete_link", `
	DELETE FROM change_links WHERE workspace_id = @ws AND change_id = @change AND id = @id
	RETURNING id, kind, target_id, url, title, created_at, created_by`).Called("link")

	watchersOf = db.Define[uuid.UUID]("changes.watchers_of", `
	SELECT user_id FROM change_watchers WHERE workspace_id = @ws AND change_id = @id ORDER BY created_at, user_id LIMIT 500`)
	insertWatcher = db.DefineCommand("changes.insert_watcher", `
	INSERT INTO change_watchers (workspace_id, change_id, user_id, created_at) VALUES (@ws, @change, @user, @now)
	ON CONFLICT DO NOTHING`)
	deleteWatcher = db.DefineCommand("changes.delete_watcher", `
	DELETE FROM change_watchers WHERE workspace_id = @ws AND change_id = @change AND user_id = @user`)

	commentsOf = db.Define[Comment]("changes.comments_of", `
	SELECT id, author_id, author_name, body, created_at, deleted_at
	FROM change_comments WHERE workspace_id = @ws AND change_id = @id ORDER BY created_at, id LIMIT 1000`)
	lockComment = db.Define[Comment]("changes.lock_comment", `
	SELECT id, author_id, author_name, body, created_at, deleted_at
	FROM change_comments WHERE workspace_id = @ws AND change_id = @change AND id = @id FOR UPDATE`).Called("comment")
	putComment = db.DefineCommand("changes.insert_comment", `
	INSERT INTO change_comments (workspace_id, id, change_id, author_id, author_name, body, created_at)
	VALUES (@ws, @id, @change, @author, @name, @body, @now)`)
	clearComment = db.DefineCommand("changes.clear_comment", `
	UPDATE change_comments SET body = '', deleted_at = @now WHERE workspace_id = @ws AND id = @id`)

	attachmentsOf = db.Define[Attachment]("changes.attachments_of", `
	SELECT `+fileColumns+` FROM change_attachments f
	WHERE f.workspace_id = @ws AND f.change_id = @id AND f.removed_at IS NULL ORDER BY f.created_at, f.id LIMIT 200`)
	attachmentOf = db.Define[Attachment]("changes.attachment_of", `
	SELECT `+fileColumns+` FROM change_attachments f
	WHERE f.workspace_id = @ws AND f.change_id = @change AND f.id = @id AND f.removed_at IS NULL`).Called("file")
	putAttachment = db.DefineCommand("changes.insert_attachment", `
	INSERT INTO change_attachments (workspace_id, id, change_id, name, content_type, size_bytes, sha256, uploaded_by, uploader_name, created_at)
	VALUES (@ws, @id, @change, @name, @type, @size, @sha256, @by, @uploader, @now)`)
	dropAttachment = db.DefineCommand("changes.remove_attachment", `
	UPDATE change_attachments SET removed_at = @now, removed_by = @by WHERE workspace_id = @ws AND id = @id`)
	insertChunk = db.DefineCommand("changes.insert_chunk", `
	INSERT INTO change_attachment_chunks (workspace_id, attachment_id, position, data) VALUES (@ws, @id, @position, @data)`)
	chunkOf = db.Define[[]byte]("changes.chunk_of", `
	SELECT k.data FROM change_attachment_chunks k WHERE k.workspace_id = @ws AND k.attachment_id = @id AND k.position = @position`)
	deleteChunks = db.DefineCommand("changes.delete_chunks", `
	DELETE FROM change_attachment_chunks WHERE workspace_id = @ws AND attachment_id = @id`)

	evidenceOf = db.Define[Evidence]("changes.evidence_of", `
	SELECT id, kind, summary, url, attachment_id, facts, created_at, created_by, author_name
	FROM change_evidence WHERE workspace_id = @ws AND change_id = @id ORDER BY created_at, id LIMIT 500`)
	putEvidence = db.DefineCommand("changes.insert_evidence", `
	INSERT INTO change_evidence (workspace_id, id, change_id, kind, summary, url, attachment_id, facts, created_at, created_by, author_name)
	VALUES (@ws, @id, @change, @kind, @summary, @url, @attachment, @facts, @now, @by, @author)`)

	reviewOf = db.Define[Review]("changes.review_of", `
	SELECT why, due_at, summary, went_well, went_badly, follow_up, completed_at, completed_by, completer_name
	FROM change_reviews WHERE workspace_id = @ws AND change_id = @id`).Called("review")
	insertReview = db.DefineCommand("changes.insert_review", `
	INSERT INTO change_reviews (workspace_id, change_id, why, due_at) VALUES (@ws, @id, @why, @due)
	ON CONFLICT (workspace_id, change_id) DO UPDATE
	SET why = EXCLUDED.why, due_at = EXCLUDED.due_at, completed_at = NULL, completed_by = NULL`)
	updateReview = db.DefineCommand("changes.update_review", `
	UPDATE change_reviews
	SET summary = @summary, went_well = @well, went_badly = @badly, follow_up = @follow_up, completed_at = @now, completed_by = @by,
		completer_name = @name
	WHERE workspace_id = @ws AND change_id = @id`)

	tabCounts = db.Define[tabCountRow]("changes.tab_counts", `
	SELECT
		(SELECT count(*) FROM change_comments c WHERE c.workspace_id = @ws AND c.change_id = @id AND c.deleted_at IS NULL) AS comments,
		(SELECT count(*) FROM change_attachments f WHERE f.workspace_id = @ws AND f.change_id = @id AND f.removed_at IS NULL) AS files,
		EXISTS (SELECT 1 FROM change_watchers w WHERE w.workspace_id = @ws AND w.change_id = @id AND w.user_id = @me) AS watching`)

	countsOf = db.Define[counts]("changes.counts_of", `
	SELECT
		(SELECT count(*) FROM change_evidence e WHERE e.workspace_id = @ws AND e.change_id = @id AND e.kind = 'validation') AS validation,
		(SELECT count(*) FROM change_evidence e WHERE e.workspace_id = @ws AND e.change_id = @id AND e.kind = 'backout') AS backout,
		(SELECT count(*) FROM change_links l WHERE l.workspace_id = @ws AND l.change_id = @id AND l.kind = 'incident') AS incidents`)

	templateVersion = db.Define[usable]("changes.template_version", `
	SELECT t.id, t.name, t.state, t.expires_at, v.version AS body_version, v.body, v.body_hash, v.approved_by
	FROM change_templates t
	JOIN change_template_versions v ON v.workspace_id = t.workspace_id AND v.template_id = t.id
	WHERE t.workspace_id = @ws AND t.id = @id AND v.version = @version`).Called("template")
	templateAuthor = db.Define[uuid.NullUUID]("changes.template_author", `
	SELECT created_by FROM change_template_versions WHERE workspace_id = @ws AND template_id = @id AND version = @version`).Called("template")
	lastTemplateVersion = db.Define[int32]("changes.last_template_version", `
	SELECT max(version) FROM change_template_versions WHERE workspace_id = @ws AND template_id = @id`)
	approveTemplateVersion = db.DefineCommand("changes.approve_template_version", `
	UPDATE change_template_versions SET approved_by = @by, approved_at = @now
	WHERE workspace_id = @ws AND template_id = @id AND version = @version`)

	templateByID = db.Define[Template]("changes.template", `
	SELECT `+templateColumns+` FROM change_templates t WHERE t.workspace_id = @ws AND t.id = @id`).Called("template")
	lockTemplate = db.Define[Template]("changes.lock_template", `
	SELECT `+templateColumns+` FROM change_templates t WHERE t.workspace_id = @ws AND t.id = @id FOR UPDATE`).Called("template")
	allTemplates = db.Define[Template]("changes.all_templates", `
	SELECT `+templateColumns+` FROM change_templates t WHERE t.workspace_id = @ws ORDER BY t.state, t.name_key, t.id LIMIT 500`)
	activeTemplates = db.Define[Template]("changes.active_templates", `
	SELECT `+templateColumns+` FROM change_templates t
	WHERE t.workspace_id = @ws AND t.state = 'active' AND t.expires_at > @now ORDER BY t.name_key, t.id LIMIT 500`)
	putTemplate = db.DefineCommand("changes.insert_template", `
	INSERT INTO change_templates (workspace_id, id, name, name_key, state, state_reason, version_in_use, version_proposed, proposed_by,
		expires_at, version, created_at, created_by, updated_at)
	VALUES (@ws, @id, @name, lower(@name), @state, @reason, @in_use, @proposed, @proposed_by, @expires, @version, @now, @by, @now)`)
	updateTemplate = db.DefineCommand("changes.update_template", `
	UPDATE change_templates
	SET name = @name, name_key = lower(@name), state = @state, state_reason = @reason, version_in_use = @in_use, version_proposed = @proposed,
		proposed_by = @proposed_by, expires_at = @expires, version = @version, updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)
	putTemplateVersion = db.DefineCommand("changes.insert_template_version", `
	INSERT INTO change_template_versions (workspace_id, template_id, version, body, body_hash, created_at, created_by)
	VALUES (@ws, @id, @version, @body, @hash, @now, @by)`)
	// badUses counts the last uses of a template that went wrong.
	badUses = db.Define[int64]("changes.bad_uses", `
	SELECT count(*) FROM (
		SELECT c.state FROM change_requests c
		WHERE c.workspace_id = @ws AND c.template_id = @id AND c.actual_start IS NOT NULL
		ORDER BY c.actual_start DESC, c.id DESC LIMIT @limit) AS last
	WHERE last.state IN ('failed', 'rolled_back')`)
)

const templateColumns = `t.id, t.name, t.state, t.state_reason, t.version_in_use, t.version_proposed, t.proposed_by, t.expires_at,
	t.version, t.created_at, t.created_by, t.updated_at`

type counts struct {
	Validation int64 `db:"validation"`
	Backout    int64 `db:"backout"`
	Incidents  int64 `db:"incidents"`
}

type tabCountRow struct {
	Comments int64 `db:"comments"`
	Files    int64 `db:"files"`
	Watching bool  `db:"watching"`
}

func addSteps(ctx context.Context, tx *db.Tx, change uuid.UUID, steps []Step) error {
	if len(steps) == 0 {
		return nil
	}
	n := len(steps)
	ids, positions, minutes, destructive := make([]uuid.UUID, n), make([]int32, n), make([]int32, n), make([]bool, n)
	titles, descriptions, owners := make([]string, n), make([]string, n), make([]string, n)
	verifications, rollbacks := make([]string, n), make([]string, n)
	for i, s := range steps {
		ids[i], positions[i], titles[i], descriptions[i], owners[i] = s.ID, s.Position, s.Title, s.Description, s.Owner
		minutes[i], verifications[i], rollbacks[i], destructive[i] = s.Minutes, s.Verification, s.RollbackNote, s.Destructive
	}
	_, err := insertSteps.Run(ctx, tx, db.Args{
		"change": change, "ids": ids, "positions": positions, "titles": titles, "descriptions": descriptions, "owners": owners,
		"minutes": minutes, "verifications": verifications, "rollbacks": rollbacks, "destructive": destructive,
	})
	return err
}

func saveStepState(ctx context.Context, tx *db.Tx, s Step) error {
	_, err := updateStepState.Run(ctx, tx, db.Args{"id": s.ID, "state": s.State, "note": s.Note, "at": s.DoneAt, "by": s.DoneBy})
	return err
}

func insertHold(ctx context.Context, tx *db.Tx, h Hold) error {
	_, err := putHold.Run(ctx, tx, db.Args{"id": h.ID, "change": h.ChangeID, "kind": h.Kind, "source": h.SourceID, "reason": h.Reason, "by": h.CreatedBy})
	return err
}

func insertLink(ctx context.Context, tx *db.Tx, change uuid.UUID, l Link) (fresh bool, err error) {
	n, err := putLink.Run(ctx, tx, db.Args{
		"id": l.ID, "change": change, "kind": l.Kind, "target": l.TargetID, "url": l.URL, "title": clip(l.Title, 200), "by": l.CreatedBy,
	})
	return n == 1, err
}

func insertComment(ctx context.Context, tx *db.Tx, change uuid.UUID, c Comment) error {
	_, err := putComment.Run(ctx, tx, db.Args{"id": c.ID, "change": change, "author": c.AuthorID, "name": c.AuthorName, "body": c.Body})
	return err
}

func insertAttachment(ctx context.Context, tx *db.Tx, change uuid.UUID, f Attachment) error {
	_, err := putAttachment.Run(ctx, tx, db.Args{
		"id": f.ID, "change": change, "name": f.Name, "type": f.ContentType, "size": f.Size, "sha256": f.SHA256, "by": f.UploadedBy, "uploader": f.UploaderName,
	})
	return err
}

func removeAttachment(ctx context.Context, tx *db.Tx, id uuid.UUID, by uuid.NullUUID) error {
	if _, err := dropAttachment.Run(ctx, tx, db.Args{"id": id, "by": by}); err != nil {
		return err
	}
	_, err := deleteChunks.Run(ctx, tx, db.Args{"id": id})
	return err
}

func insertEvidence(ctx context.Context, tx *db.Tx, change uuid.UUID, e Evidence) error {
	_, err := putEvidence.Run(ctx, tx, db.Args{
		"id": e.ID, "change": change, "kind": e.Kind, "summary": e.Summary, "url": e.URL, "attachment": e.AttachmentID, "facts": e.Facts,
		"by": e.CreatedBy, "author": e.AuthorName,
	})
	return err
}

func saveReview(ctx context.Context, tx *db.Tx, change uuid.UUID, r Review) error {
	_, err := updateReview.Run(ctx, tx, db.Args{
		"id": change, "summary": r.Summary, "well": r.WentWell, "badly": r.WentBadly, "follow_up": r.FollowUp, "by": db.NullID(tx.Actor.UserID), "name": tx.Actor.Name,
	})
	return err
}

func insertTemplate(ctx context.Context, tx *db.Tx, t Template) error {
	args := t.args()
	args["by"] = t.CreatedBy
	_, err := putTemplate.Run(ctx, tx, args)
	return err
}

func saveTemplate(ctx context.Context, tx *db.Tx, t Template) error {
	_, err := updateTemplate.Run(ctx, tx, t.args())
	return err
}

func (t Template) args() db.Args {
	return db.Args{
		"id": t.ID, "name": t.Name, "state": string(t.State), "reason": clip(t.StateReason, 1000), "in_use": t.VersionInUse, "proposed": t.VersionProposed,
		"proposed_by": t.ProposedBy, "expires": t.ExpiresAt, "version": t.Version,
	}
}

func insertTemplateVersion(ctx context.Context, tx *db.Tx, id uuid.UUID, version int32, body TemplateBody, hash []byte) error {
	raw, err := jsonText(body)
	if err != nil {
		return err
	}
	_, err = putTemplateVersion.Run(ctx, tx, db.Args{"id": id, "version": version, "body": raw, "hash": hash, "by": db.NullID(tx.Actor.UserID)})
	return err
}
