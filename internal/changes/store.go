package changes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// written are the columns of a change that insert and update share, by the names of their
// arguments.
const written = `type, state, state_reason, title, description, priority, category, environment, planned_start, planned_end,
	ref_start, ref_end, actual_start, actual_end, failed_at, recovered_at, implementation_plan, backout_plan, test_plan,
	downtime, vendor, custom, requester_user_id, owner_user_id, submitter_user_id, started_by, parent_id, lead_reason,
	auto_schedule, evidence_required, outcome, outcome_notes, risk_answers, risk_manual, risk_questionnaire, approved_risk,
	revision, content_hash, submitted_hash, editors, removed_attachments, submitted_at, approved_at, approval_valid_until,
	scheduled_at, schedule_sequence, preauthorisation, retro_approval, pir, missed_window, template_id, template_version,
	template_values, template_note, check_at, version, updated_at`

// changeColumns are those of a whole change.
var changeColumns = "c.id, c.key, c." + strings.Join(writtenColumns(), ", c.") + `, c.risk_score, c.risk_level, c.risk_lines, c.risk_at,
	c.created_at, c.created_by,
	ARRAY(SELECT i.user_id FROM change_implementers i WHERE i.workspace_id = c.workspace_id AND i.change_id = c.id
		ORDER BY i.user_id::text) AS implementers,
	ARRAY(SELECT a.asset_id FROM change_assets a WHERE a.workspace_id = c.workspace_id AND a.change_id = c.id
		ORDER BY a.asset_id::text) AS asset_ids,
	ARRAY(SELECT t.tag FROM change_tags t WHERE t.workspace_id = c.workspace_id AND t.change_id = c.id ORDER BY t.tag) AS tags`

func writtenColumns() []string {
	out := strings.Split(written, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// assignments are the columns as an update sets them.
func assignments() string {
	var out []string
	for _, c := range writtenColumns() {
		out = append(out, c+" = @"+c)
	}
	return strings.Join(out, ", ")
}

var (
	changeByID = db.Define[Change]("changes.by_id", `
	SELECT `+changeColumns+` FROM change_requests c WHERE c.workspace_id = @ws AND c.id = @id`).Called("change")
	changeByKey = db.Define[Change]("changes.by_key", `
	SELECT `+changeColumns+` FROM change_requests c WHERE c.workspace_id = @ws AND c.key = @key`).Called("change")
	lockByID = db.Define[Change]("changes.lock_by_id", `
	SELECT `+changeColumns+` FROM change_requests c WHERE c.workspace_id = @ws AND c.id = @id FOR UPDATE OF c`).Called("change")
	lockByKey = db.Define[Change]("changes.lock_by_key", `
	SELECT `+changeColumns+` FROM change_requests c WHERE c.workspace_id = @ws AND c.key = @key FOR UPDATE OF c`).Called("change")

	lockDraftsOfTemplate = db.Define[Change]("changes.lock_drafts_of_template", `
	SELECT `+changeColumns+`
	FROM change_requests c
	WHERE c.workspace_id = @ws AND c.template_id = @id AND c.state = 'draft' AND c.type = 'standard'
	ORDER BY c.id
	LIMIT 1000
	FOR UPDATE OF c`)

	// openInWindow reads what is about to happen, or happens, between two moments.
	openInWindow = db.Define[Change]("changes.open_in_window", `
	SELECT `+changeColumns+`
	FROM change_requests c
	WHERE c.workspace_id = @ws AND c.state IN ('review', 'approved', 'scheduled', 'in_progress')
		AND c.planned_start < @until AND c.planned_end > @from
	ORDER BY c.planned_start, c.id
	LIMIT 5000`)

	countOfAsset = db.Define[int64]("changes.count_of_asset", `
	SELECT count(*) FROM change_assets WHERE workspace_id = @ws AND asset_id = @asset`)

	anyChange = db.Define[bool]("changes.any", `SELECT EXISTS (SELECT 1 FROM change_requests WHERE workspace_id = @ws)`)

	// ancestors are a change and all that are above it; UNION ends a circle.
	ancestors = db.Define[uuid.UUID]("changes.ancestors", `
	WITH RECURSIVE above (id, parent_id) AS (
		SELECT c.id, c.parent_id FROM change_requests c WHERE c.workspace_id = @ws AND c.id = @id
		UNION
		SELECT c.id, c.parent_id FROM above a JOIN change_requests c ON c.workspace_id = @ws AND c.id = a.parent_id
	)
	SELECT id FROM above`)

	insert = db.DefineCommand("changes.insert", `
	INSERT INTO change_requests (workspace_id, id, key, created_at, created_by, `+written+`)
	VALUES (@ws, @id, @key, @now, @created_by, @`+strings.Join(writtenColumns(), ", @")+`)`)

	update = db.DefineCommand("changes.update", `
	UPDATE change_requests SET `+assignments()+` WHERE workspace_id = @ws AND id = @id`)

	updateRisk = db.DefineCommand("changes.update_risk", `
	UPDATE change_requests
	SET risk_score = @score, risk_level = @level, risk_lines = @lines, risk_at = @at, risk_questionnaire = @questionnaire
	WHERE workspace_id = @ws AND id = @id`)

	updateCheck = db.DefineCommand("changes.update_check", `
	UPDATE change_requests SET check_at = @at WHERE workspace_id = @ws AND id = @id`)

	// updateLists makes the lists of a change what they shall be, in one statement.
	updateLists = db.DefineCommand("changes.update_lists", `
	WITH i AS (DELETE FROM change_implementers WHERE workspace_id = @ws AND change_id = @id AND user_id <> ALL(@implementers::uuid[])),
	a AS (DELETE FROM change_assets WHERE workspace_id = @ws AND change_id = @id AND asset_id <> ALL(@assets::uuid[])),
	t AS (DELETE FROM change_tags WHERE workspace_id = @ws AND change_id = @id AND tag <> ALL(@tags::text[])),
	k AS (DELETE FROM change_tokens WHERE workspace_id = @ws AND change_id = @id AND token <> ALL(@tokens::text[])),
	ni AS (INSERT INTO change_implementers (workspace_id, change_id, user_id)
		SELECT @ws, @id, r.v FROM unnest(@implementers::uuid[]) AS r(v) ON CONFLICT DO NOTHING),
	na AS (INSERT INTO change_assets (workspace_id, change_id, asset_id)
		SELECT @ws, @id, r.v FROM unnest(@assets::uuid[]) AS r(v) ON CONFLICT DO NOTHING),
	nt AS (INSERT INTO change_tags (workspace_id, change_id, tag)
		SELECT @ws, @id, r.v FROM unnest(@tags::text[]) AS r(v) ON CONFLICT DO NOTHING)
	INSERT INTO change_tokens (workspace_id, change_id, token)
	SELECT @ws, @id, r.v FROM unnest(@tokens::text[]) AS r(v) ON CONFLICT DO NOTHING`)

	// due asks for what time alone moves on, anywhere.
	due = db.DefineSystem[dueRow]("changes.due", `
	SELECT workspace_id, id FROM change_requests WHERE check_at <= @now ORDER BY check_at LIMIT 1000`)
)

type dueRow struct {
	WorkspaceID uuid.UUID `db:"workspace_id"`
	ID          uuid.UUID `db:"id"`
}

func (c Change) args() db.Args {
	return db.Args{
		"id": c.ID, "type": string(c.Type), "state": string(c.State), "state_reason": clip(c.StateReason, 2000), "title": c.Title,
		"description": c.Description, "priority": string(c.Priority), "category": c.Category, "environment": c.Environment,
		"planned_start": c.Start, "planned_end": c.End, "ref_start": c.RefStart, "ref_end": c.RefEnd, "actual_start": c.ActualStart,
		"actual_end": c.ActualEnd, "failed_at": c.FailedAt, "recovered_at": c.RecoveredAt, "implementation_plan": c.ImplementationPlan,
		"backout_plan": c.BackoutPlan, "test_plan": c.TestPlan, "downtime": c.Downtime, "vendor": c.Vendor, "custom": filled(c.Custom),
		"requester_user_id": c.Requester, "owner_user_id": c.Owner, "submitter_user_id": c.Submitter, "started_by": c.StartedBy,
		"parent_id": c.ParentID, "lead_reason": clip(c.LeadReason, 1000), "auto_schedule": c.AutoSchedule, "evidence_required": c.EvidenceRequired,
		"outcome": c.Outcome, "outcome_notes": clip(c.OutcomeNotes, 10_000), "risk_answers": filled(c.RiskAnswers), "risk_manual": string(c.RiskManual),
		"risk_questionnaire": string(c.RiskQuestionnaire), "approved_risk": string(c.ApprovedRisk), "revision": c.Revision,
		"content_hash": c.ContentHash, "submitted_hash": c.SubmittedHash, "editors": idList(c.Editors),
		"removed_attachments": textList(c.RemovedAttachments), "submitted_at": c.SubmittedAt, "approved_at": c.ApprovedAt,
		"approval_valid_until": c.ApprovalValidUntil, "scheduled_at": c.ScheduledAt, "schedule_sequence": c.ScheduleSequence,
		"preauthorisation": c.Preauthorisation, "retro_approval": c.Retro, "pir": c.PIR, "missed_window": c.MissedWindow,
		"template_id": c.TemplateID, "template_version": c.TemplateVersion, "template_values": filled(c.TemplateValues),
		"template_note": c.TemplateNote, "check_at": c.CheckAt, "version": c.Version, "updated_at": c.UpdatedAt,
	}
}

// clip keeps a text within a number of characters.
func clip(text string, limit int) string {
	if r := []rune(text); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return text
}

func filled(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// idList and textList give the database an empty list instead of null.
func idList(in []uuid.UUID) []uuid.UUID {
	if in == nil {
		return []uuid.UUID{}
	}
	return in
}

func textList(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}

func insertChange(ctx context.Context, tx *db.Tx, c Change) error {
	args := c.args()
	args["key"], args["created_by"] = c.Key, c.CreatedBy
	if _, err := insert.Run(ctx, tx, args); err != nil {
		return err
	}
	return saveLists(ctx, tx, c)
}

// saveChange writes the row of a change and its lists.
func saveChange(ctx context.Context, tx *db.Tx, c Change) error {
	n, err := update.Run(ctx, tx, c.args())
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("changes.update: %d rows", n)
	}
	return saveLists(ctx, tx, c)
}

func saveLists(ctx context.Context, tx *db.Tx, c Change) error {
	_, err := updateLists.Run(ctx, tx, db.Args{
		"id": c.ID, "implementers": idList(c.Implementers), "assets": idList(c.AssetIDs), "tags": textList(c.Tags), "tokens": tokens(c),
	})
	return err
}

func saveRisk(ctx context.Context, tx *db.Tx, c Change) error {
	lines := c.RiskLines
	if lines == nil {
		lines = []RiskLine{}
	}
	_, err := updateRisk.Run(ctx, tx, db.Args{
		"id": c.ID, "score": c.RiskScore, "level": string(c.Risk), "lines": lines, "at": c.RiskAt, "questionnaire": string(c.RiskQuestionnaire),
	})
	return err
}

// findChange reads a change by its id or its key.
func findChange(ctx context.Context, tx *db.Tx, ref string) (Change, error) {
	return oneChange(ctx, tx, ref, changeByID, changeByKey)
}

func lockChange(ctx context.Context, tx *db.Tx, ref string) (Change, error) {
	return oneChange(ctx, tx, ref, lockByID, lockByKey)
}

func oneChange(ctx context.Context, tx *db.Tx, ref string, byID, byKey db.Statement[Change]) (Change, error) {
	if id, err := uuid.Parse(ref); err == nil && len(ref) == 36 {
		return byID.One(ctx, tx, db.Args{"id": id})
	}
	return byKey.One(ctx, tx, db.Args{"key": keyOf(ref)})
}

// keyOf writes a key as it is stored. What is none finds nothing.
func keyOf(text string) string {
	text = strings.ToUpper(strings.TrimSpace(text))
	if !strings.HasPrefix(text, "CHG-") || len(text) > 30 || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return ""
	}
	return text
}

// maxWord is the longest word that people find a change by.
const maxWord = 80

// tokens are the words by whose beginning people find a change: its key and its title.
func tokens(c Change) []string {
	out := append(splitWords(c.Title), strings.ToLower(c.Key), strings.ToLower(c.Vendor))
	for _, t := range c.Tags {
		out = append(out, splitWords(t)...)
	}
	out = slices.DeleteFunc(out, func(w string) bool { return w == "" })
	slices.Sort(out)
	return slices.Compact(out)
}

func splitWords(text string) []string {
	out := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '-' && r != '_' && r != '.'
	})
	for i, w := range out {
		if utf8.RuneCountInString(w) > maxWord {
			out[i] = string([]rune(w)[:maxWord])
		}
	}
	return out
}

// maxWords is how many words of a search are looked at.
const maxWords = 4

func searchWords(text string) []string {
	out := splitWords(strings.ToValidUTF8(text, ""))
	return out[:min(len(out), maxWords)]
}

// maybeChange is findChange without an error for what does not exist.
func maybeChange(ctx context.Context, tx *db.Tx, ref string) (Change, bool, error) {
	if id, err := uuid.Parse(ref); err == nil && len(ref) == 36 {
		return changeByID.Maybe(ctx, tx, db.Args{"id": id})
	}
	return changeByKey.Maybe(ctx, tx, db.Args{"key": keyOf(ref)})
}
