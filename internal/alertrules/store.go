package alertrules

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

const ruleColumns = `id, name, scope, trigger, threshold_days, severity, enabled, cooldown_minutes, target, target_hosts,
	target_tags, notify_admins, notify_owner, member_ids, group_ids, emails, webhook_ids, version, created_at, updated_at`

type firingRow struct {
	RuleID uuid.UUID `db:"rule_id"`
	N      int64     `db:"n"`
}

type severityRow struct {
	Severity event.Severity `db:"severity"`
	N        int64          `db:"n"`
	Waiting  int64          `db:"waiting"`
}

type nameRow struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
}

var (
	allRules = db.Define[Rule]("alertrules.all_rules", `
	SELECT `+ruleColumns+` FROM alert_rules WHERE workspace_id = @ws ORDER BY name, id LIMIT 1000`)
	// The worst first, so that the first of several notices about one host is the worst.
	enabledRules = db.Define[Rule]("alertrules.enabled_rules", `
	SELECT `+ruleColumns+` FROM alert_rules WHERE workspace_id = @ws AND enabled
	ORDER BY CASE severity WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 WHEN 'low' THEN 4 ELSE 5 END,
		threshold_days, id LIMIT 1000`)
	loadRule = db.Define[Rule]("alertrules.load_rule", `
	SELECT `+ruleColumns+` FROM alert_rules WHERE workspace_id = @ws AND id = @id`).Called("alert rule")
	lockRule = db.Define[Rule]("alertrules.lock_rule", `
	SELECT `+ruleColumns+` FROM alert_rules WHERE workspace_id = @ws AND id = @id FOR UPDATE`).Called("alert rule")
	countRules = db.Define[int64]("alertrules.count_rules", `SELECT count(*) FROM alert_rules WHERE workspace_id = @ws`)
	insertRule = db.DefineCommand("alertrules.insert_rule", `
	INSERT INTO alert_rules (workspace_id, id, name, scope, trigger, threshold_days, severity, enabled, cooldown_minutes, target,
		target_hosts, target_tags, notify_admins, notify_owner, member_ids, group_ids, emails, webhook_ids, version,
		created_at, updated_at)
	VALUES (@ws, @id, @name, @scope, @trigger, @threshold_days, @severity, @enabled, @cooldown_minutes, @target,
		@target_hosts, @target_tags, @notify_admins, @notify_owner, @member_ids, @group_ids, @emails, @webhook_ids, @version,
		@now, @now)`)
	saveRule = db.DefineCommand("alertrules.save_rule", `
	UPDATE alert_rules SET name = @name, scope = @scope, trigger = @trigger, threshold_days = @threshold_days,
		severity = @severity, enabled = @enabled, cooldown_minutes = @cooldown_minutes, target = @target,
		target_hosts = @target_hosts, target_tags = @target_tags, notify_admins = @notify_admins,
		notify_owner = @notify_owner, member_ids = @member_ids, group_ids = @group_ids, emails = @emails,
		webhook_ids = @webhook_ids, version = @version, updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)
	deleteRule   = db.DefineCommand("alertrules.delete_rule", `DELETE FROM alert_rules WHERE workspace_id = @ws AND id = @id`)
	firingByRule = db.Define[firingRow]("alertrules.firing_by_rule", `
	SELECT rule_id, count(*) AS n FROM alerts WHERE workspace_id = @ws AND state = 'firing' GROUP BY rule_id LIMIT 1000`)
	firingBySeverity = db.Define[severityRow]("alertrules.firing_by_severity", `
	SELECT severity, count(*) AS n, count(*) FILTER (WHERE acknowledged_at IS NULL AND muted_by = '') AS waiting
	FROM alerts WHERE workspace_id = @ws AND state = 'firing' GROUP BY severity LIMIT 10`)
	ruleChoices = db.Define[nameRow]("alertrules.rule_choices", `
	SELECT id, name FROM alert_rules WHERE workspace_id = @ws ORDER BY name, id LIMIT 1000`)
	findRules = db.Define[nameRow]("alertrules.find_rules", `
	SELECT id, name FROM alert_rules WHERE workspace_id = @ws AND position(lower(@text) IN lower(name)) > 0
	ORDER BY name, id LIMIT @limit`)
	ruleNames = db.Define[nameRow]("alertrules.rule_names", `
	SELECT id, name FROM alert_rules WHERE workspace_id = @ws AND id = ANY (@ids)`)
)

// ruleList is the list of rules as the API pages through it.
var ruleList = db.DefineList(db.ListSpec[Rule]{
	Name:    "alertrules.rules",
	Columns: ruleColumns,
	From:    `alert_rules`,
	Where:   `workspace_id = @ws`,
	Filters: map[string]string{"trigger": `trigger = @trigger`, "enabled": `enabled = @enabled`},
	Sorts: map[string]db.SortBy[Rule]{
		"name":       {Expr: "name", Cast: "text", Of: func(r Rule) string { return r.Name }},
		"created_at": {Expr: "created_at", Cast: "timestamptz", Of: func(r Rule) string { return stamp(r.CreatedAt) }},
	},
	Default: "name",
	IDExpr:  "id",
	ID:      func(r Rule) uuid.UUID { return r.ID },
})

func ruleArgs(r Rule) db.Args {
	return db.Args{
		"id": r.ID, "name": r.Name, "scope": r.Scope, "trigger": r.Trigger, "threshold_days": r.ThresholdDays,
		"severity": r.Severity, "enabled": r.Enabled, "cooldown_minutes": r.CooldownMinutes, "target": r.Target,
		"target_hosts": r.TargetHosts, "target_tags": r.TargetTags, "notify_admins": r.NotifyAdmins,
		"notify_owner": r.NotifyOwner, "member_ids": r.MemberIDs, "group_ids": r.GroupIDs, "emails": r.Emails,
		"webhook_ids": r.WebhookIDs, "version": r.Version,
	}
}

type checkRow struct {
	HostID  uuid.UUID `db:"host_id"`
	Failing bool      `db:"failing"`
}

// The statements of one evaluation. Each takes all hosts of a batch at once.
var (
	// Whoever evaluates shares the rules, whoever changes a rule has them alone: no alert
	// begins for a rule after what fires for it was ended.
	shareRules = db.DefineCommand("alertrules.share_rules", `
	SELECT pg_advisory_xact_lock_shared(hashtextextended('alertrules ' || @ws::uuid::text, 0))`)
	ownRules = db.DefineCommand("alertrules.own_rules", `
	SELECT pg_advisory_xact_lock(hashtextextended('alertrules ' || @ws::uuid::text, 0))`)
	// lockChecks makes whoever evaluates the same hosts wait, in the order of their ids. Of
	// the events about failing scans the newest counts, whatever order they arrive in: ids
	// of events grow with time.
	lockChecks = db.Define[checkRow]("alertrules.lock_checks", `
	INSERT INTO alert_checks AS c (workspace_id, host_id, failing, failing_event)
	SELECT @ws, h, coalesce(@failing::boolean, false), CASE WHEN @failing::boolean IS NOT NULL THEN @event::uuid END
	FROM unnest(@ids::uuid[]) AS h ORDER BY h
	ON CONFLICT (workspace_id, host_id) DO UPDATE SET
		failing = CASE WHEN @failing::boolean IS NULL OR c.failing_event >= @event::uuid THEN c.failing ELSE @failing::boolean END,
		failing_event = CASE WHEN @failing::boolean IS NULL OR c.failing_event >= @event::uuid THEN c.failing_event ELSE @event::uuid END
	RETURNING host_id, failing`)
	scheduleChecks = db.DefineCommand("alertrules.schedule_checks", `
	UPDATE alert_checks c SET next_at = r.next_at
	FROM unnest(@ids::uuid[], @times::timestamptz[]) AS r (id, next_at)
	WHERE c.workspace_id = @ws AND c.host_id = r.id AND c.next_at IS DISTINCT FROM r.next_at`)
	dropChecks = db.DefineCommand("alertrules.drop_checks", `
	DELETE FROM alert_checks WHERE workspace_id = @ws AND host_id = ANY (@ids)`)
	dueHosts = db.Define[uuid.UUID]("alertrules.due_hosts", `
	SELECT host_id FROM alert_checks WHERE workspace_id = @ws AND next_at <= @now ORDER BY next_at, host_id LIMIT @limit`)
	dueWorkspaces = db.DefineSystem[uuid.UUID]("alertrules.due_workspaces", `
	SELECT DISTINCT workspace_id FROM alert_checks WHERE next_at <= @now LIMIT 10000`)

	loadTracks = db.Define[Track]("alertrules.load_tracks", `
	SELECT host_id, rule_id, alert_id, told, last_told_at, told_firing, suppressed, no_data_since, muted_by, muted_id, owed_id
	FROM alert_tracks WHERE workspace_id = @ws AND host_id = ANY (@ids)`)
	saveTracks = db.DefineCommand("alertrules.save_tracks", `
	INSERT INTO alert_tracks (workspace_id, host_id, rule_id, alert_id, told, last_told_at, told_firing, suppressed, no_data_since,
		muted_by, muted_id, owed_id)
	SELECT @ws, r.host_id, r.rule_id, r.alert_id, r.told, r.last_told_at, r.told_firing, r.suppressed, r.no_data_since,
		r.muted_by, r.muted_id, r.owed_id
	FROM unnest(@hosts::uuid[], @rules::uuid[], @alerts::uuid[], @told::boolean[], @last_told::timestamptz[],
			@told_firing::boolean[], @suppressed::int[], @no_data::timestamptz[], @muted_by::text[], @muted_ids::uuid[], @owed::uuid[])
		AS r (host_id, rule_id, alert_id, told, last_told_at, told_firing, suppressed, no_data_since, muted_by, muted_id, owed_id)
	ON CONFLICT (workspace_id, host_id, rule_id) DO UPDATE SET alert_id = excluded.alert_id, told = excluded.told,
		last_told_at = excluded.last_told_at, told_firing = excluded.told_firing, suppressed = excluded.suppressed,
		no_data_since = excluded.no_data_since, muted_by = excluded.muted_by, muted_id = excluded.muted_id,
		owed_id = excluded.owed_id`)
	dropTracks = db.DefineCommand("alertrules.drop_tracks", `
	DELETE FROM alert_tracks t USING unnest(@hosts::uuid[], @rules::uuid[]) AS r (host_id, rule_id)
	WHERE t.workspace_id = @ws AND t.host_id = r.host_id AND t.rule_id = r.rule_id`)
	dropTracksOfRules = db.DefineCommand("alertrules.drop_tracks_of_rules", `
	DELETE FROM alert_tracks t USING alert_rules r
	WHERE t.workspace_id = @ws AND r.workspace_id = @ws AND r.id = t.rule_id AND NOT r.enabled`)

	insertAlerts = db.DefineCommand("alertrules.insert_alerts", `
	INSERT INTO alerts (workspace_id, id, rule_id, rule_name, trigger, severity, host_id, host_title, host_path, message, state,
		fired_at, resolved_at, resolved_reason, event_id, muted_by, muted_id)
	SELECT @ws, r.id, r.rule_id, r.rule_name, r.trigger, r.severity, r.host_id, r.host_title, r.host_path, r.message, r.state,
		@now, CASE WHEN r.state = 'resolved' THEN @now::timestamptz END, r.reason, r.event_id,
		r.muted_by, r.muted_id
	FROM unnest(@ids::uuid[], @rules::uuid[], @rule_names::text[], @triggers::text[], @severities::text[], @hosts::uuid[],
			@host_titles::text[], @host_paths::text[], @messages::text[], @states::text[], @reasons::text[], @events::uuid[],
			@muted_by::text[], @muted_ids::uuid[])
		AS r (id, rule_id, rule_name, trigger, severity, host_id, host_title, host_path, message, state, reason, event_id, muted_by,
			muted_id)`)
	muteAlerts = db.DefineCommand("alertrules.mute_alerts", `
	UPDATE alerts a SET muted_by = r.muted_by, muted_id = r.muted_id
	FROM unnest(@ids::uuid[], @muted_by::text[], @muted_ids::uuid[]) AS r (id, muted_by, muted_id)
	WHERE a.workspace_id = @ws AND a.id = r.id`)
	resolveAlerts = db.Define[Alert]("alertrules.resolve_alerts", `
	UPDATE alerts a SET state = 'resolved', resolved_at = @now, resolved_reason = r.reason
	FROM unnest(@ids::uuid[], @reasons::text[]) AS r (id, reason)
	WHERE a.workspace_id = @ws AND a.id = r.id AND a.state = 'firing'
	RETURNING `+alertColumns+`, '' AS acknowledger`)
	loadAlerts = db.Define[Alert]("alertrules.load_alerts", `
	SELECT `+alertColumns+`, '' AS acknowledger FROM alerts a WHERE a.workspace_id = @ws AND a.id = ANY (@ids)`)
	noteNotified = db.DefineCommand("alertrules.note_notified", `
	UPDATE alerts SET last_notified_at = @now WHERE workspace_id = @ws AND id = ANY (@ids)`)
	rulesOfEvent = db.Define[uuid.UUID]("alertrules.rules_of_event", `
	SELECT rule_id FROM alerts WHERE workspace_id = @ws AND event_id = @event`)
	// purgeAlerts takes what ended before a moment, whatever the workspace.
	purgeAlerts = db.DefineSystemCommand("alertrules.purge", `
	DELETE FROM alerts WHERE (workspace_id, id) IN (
		SELECT workspace_id, id FROM alerts WHERE resolved_at < @before ORDER BY resolved_at LIMIT @limit)`)
	// orphans are alerts that fire although their rule is gone or does not watch any more.
	orphans = db.Define[orphanRow]("alertrules.orphans", `
	SELECT a.id, a.host_id, (r.id IS NULL) AS deleted FROM alerts a
	LEFT JOIN alert_rules r ON r.workspace_id = a.workspace_id AND r.id = a.rule_id
	WHERE a.workspace_id = @ws AND a.state = 'firing' AND coalesce(NOT r.enabled, true)
	ORDER BY a.id LIMIT @limit FOR UPDATE OF a`)
	acknowledgeAlerts = db.Define[Alert]("alertrules.acknowledge", `
	UPDATE alerts a SET acknowledged_at = @now, acknowledged_by = @by
	WHERE a.workspace_id = @ws AND a.id = ANY (@ids) AND a.state = 'firing' AND a.acknowledged_at IS NULL
	RETURNING `+alertColumns+`, '' AS acknowledger`)
	alertNames = db.Define[alertNameRow]("alertrules.alert_names", `
	SELECT id, host_title, rule_name, state FROM alerts WHERE workspace_id = @ws AND id = ANY (@ids)`)
	urgent = db.Define[Alert]("alertrules.urgent", `
	SELECT `+alertColumns+`, '' AS acknowledger FROM alerts a
	WHERE a.workspace_id = @ws AND a.state = 'firing' AND a.acknowledged_at IS NULL AND a.muted_by = ''
	ORDER BY a.fired_at DESC, a.id DESC LIMIT @limit`)
	findAlerts = db.Define[Alert]("alertrules.find_alerts", `
	SELECT `+alertColumns+`, '' AS acknowledger FROM alerts a
	WHERE a.workspace_id = @ws AND a.state = 'firing' AND a.host_title ^@ lower(@text)
	ORDER BY a.fired_at DESC, a.id DESC LIMIT @limit`)
)

type orphanRow struct {
	ID      uuid.UUID `db:"id"`
	HostID  uuid.UUID `db:"host_id"`
	Deleted bool      `db:"deleted"`
}

type alertNameRow struct {
	ID        uuid.UUID `db:"id"`
	HostTitle string    `db:"host_title"`
	RuleName  string    `db:"rule_name"`
	State     State     `db:"state"`
}

// stamp writes a time as a cursor does: text that a timestamptz accepts.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
