package alertrules

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// The statements of this file read who the people are: members, groups of people and
// their names, which modules members and identity own.

const alertColumns = `a.id, a.rule_id, a.rule_name, a.trigger, a.severity, a.host_id, a.host_title, a.host_path, a.message, a.state,
	a.fired_at, a.resolved_at, a.resolved_reason, a.acknowledged_at, a.acknowledged_by, a.last_notified_at, a.muted_by, a.muted_id`

// person is an active member. Named is false for those who are only asked for as owners.
type person struct {
	MemberID uuid.UUID `db:"member_id"`
	UserID   uuid.UUID `db:"user_id"`
	Name     string    `db:"name"`
	Email    string    `db:"email"`
	Named    bool      `db:"named"`
}

var (
	recipients = db.Define[person]("alertrules.recipients", `
	SELECT member_id, user_id, name, email, named FROM (
		SELECT m.id AS member_id, m.user_id, u.name, u.email,
			m.id = ANY (@members::uuid[]) OR (@admins::boolean AND m.role IN ('admin', 'owner'))
				OR EXISTS (SELECT 1 FROM people_group_members x WHERE x.workspace_id = @ws AND x.member_id = m.id
					AND x.group_id = ANY (@groups::uuid[])) AS named
		FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.workspace_id = @ws AND m.state = 'active') AS p
	WHERE named OR member_id = ANY (@owners::uuid[])
	ORDER BY name, member_id LIMIT 5000`)
	membersByEmail = db.Define[person]("alertrules.members_by_email", `
	SELECT m.id AS member_id, m.user_id, u.name, u.email, true AS named
	FROM members m JOIN users u ON u.id = m.user_id
	WHERE m.workspace_id = @ws AND m.state = 'active' AND u.email = ANY (@emails)
	ORDER BY m.joined_at, m.id LIMIT 1000`)
	membersByID = db.Define[person]("alertrules.members_by_id", `
	SELECT m.id AS member_id, m.user_id, u.name, u.email, true AS named
	FROM members m JOIN users u ON u.id = m.user_id
	WHERE m.workspace_id = @ws AND m.id = ANY (@ids) ORDER BY u.name, m.id LIMIT 1000`)
	countMembers = db.Define[int64]("alertrules.count_members", `
	SELECT count(*) FROM members WHERE workspace_id = @ws AND id = ANY (@ids)`)
	countGroups = db.Define[int64]("alertrules.count_groups", `
	SELECT count(*) FROM people_groups WHERE workspace_id = @ws AND id = ANY (@ids)`)
	allGroups = db.Define[nameRow]("alertrules.all_groups", `
	SELECT id, name FROM people_groups WHERE workspace_id = @ws ORDER BY name, id LIMIT 200`)
)

// alertList is the list of alerts. The acknowledger is empty when it was a token or
// somebody who left.
var alertList = db.DefineList(db.ListSpec[Alert]{
	Name:    "alertrules.list",
	Columns: alertColumns + `, coalesce(u.name, '') AS acknowledger`,
	From:    `alerts a LEFT JOIN users u ON u.id = a.acknowledged_by`,
	Where:   `a.workspace_id = @ws`,
	Filters: map[string]string{
		"id":           `a.id = @id`,
		"state":        `a.state = @state`,
		"rule":         `a.rule_id = @rule`,
		"severity":     `a.severity = @severity`,
		"host":         `a.host_id = @host`,
		"text":         `a.host_title ^@ @text`,
		"muted_id":     `a.muted_id = @muted_id`,
		"waiting":      `a.acknowledged_at IS NULL AND a.muted_by = ''`,
		"acknowledged": `(a.acknowledged_at IS NOT NULL) = @acknowledged`,
	},
	Sorts: map[string]db.SortBy[Alert]{
		"fired_at": {Expr: "a.fired_at", Cast: "timestamptz", Of: func(a Alert) string { return stamp(a.FiredAt) }},
		"host":     {Expr: "a.host_title", Cast: "text", Of: func(a Alert) string { return a.HostTitle }},
	},
	Default: "-fired_at",
	IDExpr:  "a.id",
	ID:      func(a Alert) uuid.UUID { return a.ID },
})

// silenceList is the list of silences. The author is empty when it was a token or somebody
// who left.
var silenceList = db.DefineList(db.ListSpec[Silence]{
	Name:    "alertrules.silences",
	Columns: silenceColumns + `, coalesce(u.name, '') AS author`,
	From:    `alert_silences s LEFT JOIN users u ON u.id = s.created_by`,
	Where:   `s.workspace_id = @ws`,
	Filters: map[string]string{
		"id":        `s.id = @id`,
		"live":      `s.ends_at > @now`,
		"active":    `s.ends_at > @now AND s.starts_at <= @now`,
		"scheduled": `s.ends_at > @now AND s.starts_at > @now`,
		"ended":     `s.ends_at <= @now`,
	},
	Sorts: map[string]db.SortBy[Silence]{
		"ends_at": {Expr: "s.ends_at", Cast: "timestamptz", Of: func(s Silence) string { return stamp(s.EndsAt) }},
	},
	Default: "-ends_at",
	IDExpr:  "s.id",
	ID:      func(s Silence) uuid.UUID { return s.ID },
})
