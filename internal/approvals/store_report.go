package approvals

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// The statements of this file read who the people are: members, groups of people and their
// names, which modules members and identity own.

type personRow struct {
	UserID uuid.UUID   `db:"user_id"`
	Name   string      `db:"name"`
	Email  string      `db:"email"`
	Role   access.Role `db:"role"`
	Active bool        `db:"active"`
}

type poolRow struct {
	Of     string    `db:"of_source"`
	UserID uuid.UUID `db:"user_id"`
}

const personColumns = `m.user_id, u.name, u.email, m.role, m.state = 'active' AND u.disabled_at IS NULL AS active`

var (
	peopleByID = db.Define[personRow]("approvals.people_by_id", `
	SELECT `+personColumns+` FROM members m JOIN users u ON u.id = m.user_id
	WHERE m.workspace_id = @ws AND m.user_id = ANY (@ids)`)
	peopleByEmail = db.Define[personRow]("approvals.people_by_email", `
	SELECT `+personColumns+` FROM members m JOIN users u ON u.id = m.user_id
	WHERE m.workspace_id = @ws AND u.email = ANY (@emails) ORDER BY m.joined_at, m.id LIMIT 1000`)
	decidersByName = db.Define[personRow]("approvals.deciders_by_name", `
	SELECT `+personColumns+` FROM members m JOIN users u ON u.id = m.user_id
	WHERE m.workspace_id = @ws AND m.state = 'active' AND m.role IN ('approver', 'admin', 'owner') ORDER BY u.name, m.user_id LIMIT 1000`)
	// poolPeople are the active members of roles and groups that may decide, each by the
	// name of the role or the id of the group.
	poolPeople = db.Define[poolRow]("approvals.pool_people", `
	SELECT r.role AS of_source, m.user_id FROM unnest(@roles::text[], @ranks::integer[]) AS r (role, rank)
	JOIN members m ON m.workspace_id = @ws AND m.state = 'active'
		AND array_position(ARRAY['viewer', 'member', 'approver', 'admin', 'owner'], m.role) >= r.rank
	UNION ALL
	SELECT g.group_id::text, m.user_id FROM people_group_members g
	JOIN members m ON m.workspace_id = g.workspace_id AND m.id = g.member_id AND m.state = 'active'
		AND m.role IN ('approver', 'admin', 'owner')
	WHERE g.workspace_id = @ws AND g.group_id = ANY (@groups)
	ORDER BY 1, 2 LIMIT 20000`)
	groupNames = db.Define[nameRow]("approvals.group_names", `
	SELECT id, name FROM people_groups WHERE workspace_id = @ws AND id = ANY (@ids)`)
	allGroups = db.Define[nameRow]("approvals.all_groups", `
	SELECT id, name FROM people_groups WHERE workspace_id = @ws ORDER BY name, id LIMIT 100`)
	workspaceZone  = db.Define[string]("approvals.workspace_zone", `SELECT timezone FROM workspaces WHERE id = @ws`)
	policyVersions = db.Define[PolicyVersion]("approvals.policy_versions", `
	SELECT v.version, v.name, v.active, v.definition, v.created_at, v.created_by, coalesce(u.name, '') AS author
	FROM approval_policy_versions v LEFT JOIN users u ON u.id = v.created_by
	WHERE v.workspace_id = @ws AND v.policy_id = @id ORDER BY v.version DESC LIMIT 50`)
)

// Delegation lets one person decide for another from Start until End.
type Delegation struct {
	ID            uuid.UUID     `db:"id"`
	Key           string        `db:"key"`
	Principal     uuid.UUID     `db:"principal_id"`
	Delegate      uuid.UUID     `db:"delegate_id" audit:"delegate"`
	Kind          string        `db:"kind" audit:"kind"`
	Scope         string        `db:"scope" audit:"scope"`
	ScopeValue    string        `db:"scope_value" audit:"scope_value"`
	Start         time.Time     `db:"starts_at" audit:"start"`
	End           time.Time     `db:"ends_at" audit:"end"`
	Reason        string        `db:"reason" audit:"reason"`
	CreatedBy     uuid.NullUUID `db:"created_by"`
	CreatedAt     time.Time     `db:"created_at"`
	UpdatedAt     time.Time     `db:"updated_at"`
	RevokedAt     *time.Time    `db:"revoked_at" audit:"revoked_at"`
	Version       int64         `db:"version"`
	PrincipalName string        `db:"principal_name"` // empty for somebody who left
	DelegateName  string        `db:"delegate_name"`
	// ScopeName is the name of the policy of a delegation for one.
	ScopeName string `db:"scope_name"`
}

// Absence says that somebody is away from Start until End.
type Absence struct {
	ID        uuid.UUID     `db:"id"`
	UserID    uuid.UUID     `db:"user_id" audit:"user"`
	Start     time.Time     `db:"starts_at" audit:"start"`
	End       time.Time     `db:"ends_at" audit:"end"`
	Reason    string        `db:"reason" audit:"reason"`
	CreatedBy uuid.NullUUID `db:"created_by"`
	CreatedAt time.Time     `db:"created_at"`
	Name      string        `db:"name"`
}

const (
	namedDelegation = delegationColumns + `, coalesce(p.name, '') AS principal_name, coalesce(q.name, '') AS delegate_name,
		coalesce(y.name, '') AS scope_name`
	delegationTables = `approval_delegations d LEFT JOIN users p ON p.id = d.principal_id LEFT JOIN users q ON q.id = d.delegate_id
		LEFT JOIN approval_policies y ON y.workspace_id = d.workspace_id AND d.scope = 'policy' AND y.id::text = d.scope_value`
	namedAbsence = `a.id, a.user_id, a.starts_at, a.ends_at, a.reason, a.created_by, a.created_at, coalesce(u.name, '') AS name`
)

var (
	loadDelegation = db.Define[Delegation]("approvals.load_delegation", `
	SELECT `+namedDelegation+` FROM `+delegationTables+` WHERE d.workspace_id = @ws AND d.id = @id`).Called("delegation")
	lockDelegation = db.Define[Delegation]("approvals.lock_delegation", `
	SELECT `+namedDelegation+` FROM `+delegationTables+` WHERE d.workspace_id = @ws AND d.id = @id FOR UPDATE OF d`).Called("delegation")
	delegationRefs = db.Define[Delegation]("approvals.delegation_refs", `
	SELECT `+namedDelegation+` FROM `+delegationTables+` WHERE d.workspace_id = @ws AND d.id = ANY (@ids)`)
	// currentDelegations of a person run now or later: those they gave and those they got.
	currentDelegations = db.Define[Delegation]("approvals.current_delegations", `
	SELECT `+namedDelegation+` FROM `+delegationTables+`
	WHERE d.workspace_id = @ws AND d.revoked_at IS NULL AND d.ends_at > @now AND (d.principal_id = @user OR d.delegate_id = @user)
	ORDER BY d.starts_at, d.id LIMIT 200`)
	loadAbsence = db.Define[Absence]("approvals.load_absence", `
	SELECT `+namedAbsence+` FROM approval_absences a LEFT JOIN users u ON u.id = a.user_id
	WHERE a.workspace_id = @ws AND a.id = @id`).Called("absence")
	absenceRefs = db.Define[nameRow]("approvals.absence_refs", `
	SELECT a.id, coalesce(u.name, '') AS name FROM approval_absences a LEFT JOIN users u ON u.id = a.user_id
	WHERE a.workspace_id = @ws AND a.id = ANY (@ids)`)
	currentAbsences = db.Define[Absence]("approvals.current_absences", `
	SELECT `+namedAbsence+` FROM approval_absences a LEFT JOIN users u ON u.id = a.user_id
	WHERE a.workspace_id = @ws AND a.user_id = @user AND a.ends_at > @now ORDER BY a.starts_at, a.id LIMIT 200`)
)

// delegationList and absenceList are lists of the whole workspace.
var delegationList = db.DefineList(db.ListSpec[Delegation]{
	Name: "approvals.delegations", Columns: namedDelegation, From: delegationTables, Where: `d.workspace_id = @ws`,
	Filters: map[string]string{
		"person":  `(d.principal_id = @person OR d.delegate_id = @person)`,
		"current": `(d.revoked_at IS NULL AND d.ends_at > @now)`,
		"scope":   `d.scope = @scope`,
		"over":    `(d.revoked_at IS NOT NULL OR d.ends_at <= @now)`,
		"text":    `(lower(coalesce(p.name, '')) ^@ lower(@text) OR lower(coalesce(q.name, '')) ^@ lower(@text) OR d.key ^@ upper(@text))`,
	},
	Sorts: map[string]db.SortBy[Delegation]{
		"ends_at": {Expr: "d.ends_at", Cast: "timestamptz", Of: func(d Delegation) string { return stamp(d.End) }},
		"key":     {Expr: "d.key", Cast: "text", Of: func(d Delegation) string { return d.Key }},
	},
	Default: "-ends_at", IDExpr: "d.id", ID: func(d Delegation) uuid.UUID { return d.ID },
})

var absenceList = db.DefineList(db.ListSpec[Absence]{
	Name: "approvals.absences", Columns: namedAbsence, From: `approval_absences a LEFT JOIN users u ON u.id = a.user_id`,
	Where: `a.workspace_id = @ws`,
	Filters: map[string]string{
		"person":  `a.user_id = @person`,
		"current": `a.ends_at > @now`,
	},
	Sorts: map[string]db.SortBy[Absence]{
		"starts_at": {Expr: "a.starts_at", Cast: "timestamptz", Of: func(a Absence) string { return stamp(a.Start) }},
	},
	Default: "-starts_at", IDExpr: "a.id", ID: func(a Absence) uuid.UUID { return a.ID },
})

// QueueItem is a seat that somebody is asked about, or has decided.
type QueueItem struct {
	SeatID     uuid.UUID     `db:"seat_id"`
	RequestID  uuid.UUID     `db:"request_id"`
	Type       string        `db:"subject_type"`
	SubjectID  uuid.UUID     `db:"subject_id"`
	Key        string        `db:"subject_key"`
	Title      string        `db:"title"`
	Path       string        `db:"path"`
	Kind       Kind          `db:"kind"`
	Risk       string        `db:"risk"`
	Emergency  bool          `db:"emergency"`
	Revision   int64         `db:"revision"`
	Stage      string        `db:"stage"`
	Label      string        `db:"label"`
	Reauth     bool          `db:"reauth"`
	OpenedAt   time.Time     `db:"opened_at"`
	DueAt      time.Time     `db:"due_at"`
	Overdue    bool          `db:"overdue"`
	Principal  uuid.UUID     `db:"principal_id"`
	Assignee   uuid.NullUUID `db:"assignee_id"`
	Escalated  bool          `db:"escalated"`
	Unrouted   Unrouted      `db:"unrouted"`
	Assigned   string        `db:"assignee_name"`
	For        string        `db:"principal_name"`
	Verdict    string        `db:"verdict"`
	Comment    string        `db:"comment"`
	DecidedAt  time.Time     `db:"decided_at"`
	StageState string        `db:"stage_state"`
}

const (
	queueCommon = `s.id AS seat_id, s.request_id, q.subject_type, q.subject_id, q.subject_key, q.title, q.path, q.kind, q.risk, q.emergency,
		q.revision, t.name AS stage, s.label, coalesce((t.spec->>'reauth')::boolean, false) AS reauth, s.opened_at,
		coalesce(t.due_at, s.opened_at) AS due_at, q.overdue, t.state AS stage_state`
	queueTables = ` JOIN approval_seats s ON s.workspace_id = r.workspace_id AND s.id = r.seat_id
		JOIN approval_requests q ON q.workspace_id = s.workspace_id AND q.id = s.request_id
		JOIN approval_stages t ON t.workspace_id = s.workspace_id AND t.id = s.stage_id`
)

func queueSorts() map[string]db.SortBy[QueueItem] {
	return map[string]db.SortBy[QueueItem]{
		"due_at":    {Expr: "coalesce(t.due_at, s.opened_at)", Cast: "timestamptz", Of: func(i QueueItem) string { return stamp(i.DueAt) }},
		"opened_at": {Expr: "s.opened_at", Cast: "timestamptz", Of: func(i QueueItem) string { return stamp(i.OpenedAt) }},
		"key":       {Expr: "q.subject_key", Cast: "text", Of: func(i QueueItem) string { return i.Key }},
	}
}

// queueList holds open seats by who is asked and by whom they belong to. A seat for which
// somebody is asked twice, in person and for others, is there once: by its own route first.
var queueList = db.DefineList(db.ListSpec[QueueItem]{
	Name: "approvals.queue",
	Columns: queueCommon + `, r.principal_id, r.assignee_id, r.escalated, r.unrouted, coalesce(au.name, '') AS assignee_name,
		coalesce(pu.name, '') AS principal_name, '' AS verdict, '' AS comment, s.opened_at AS decided_at`,
	From:  `approval_routes r` + queueTables + ` LEFT JOIN users au ON au.id = r.assignee_id LEFT JOIN users pu ON pu.id = r.principal_id`,
	Where: `r.workspace_id = @ws AND r.open`,
	Filters: map[string]string{
		"mine": `r.assignee_id = @me AND NOT EXISTS (SELECT 1 FROM approval_routes o WHERE o.workspace_id = r.workspace_id AND o.seat_id = r.seat_id
			AND o.open AND o.assignee_id = @me AND (o.escalated, o.principal_id <> @me, o.position) < (r.escalated, r.principal_id <> @me, r.position))`,
		"delegated": `r.principal_id = @me AND r.assignee_id IS DISTINCT FROM @me`,
		"any": `NOT EXISTS (SELECT 1 FROM approval_routes o WHERE o.workspace_id = r.workspace_id AND o.seat_id = r.seat_id
			AND o.open AND (o.escalated, o.position) < (r.escalated, r.position))`,
		"risk":   `q.risk = @risk`,
		"kind":   `q.kind = @kind`,
		"type":   `q.subject_type = @type`,
		"before": `t.due_at < @before`,
		"text":   `(q.subject_key ^@ upper(@text) OR position(lower(@text) IN lower(q.title)) > 0)`,
	},
	Sorts: queueSorts(), Default: "due_at", IDExpr: "s.id", ID: func(i QueueItem) uuid.UUID { return i.SeatID },
})

// decidedList holds what somebody has decided, newest first.
var decidedList = db.DefineList(db.ListSpec[QueueItem]{
	Name: "approvals.decided",
	Columns: queueCommon + `, r.principal_id, r.actor_id AS assignee_id, false AS escalated, '' AS unrouted, r.actor_name AS assignee_name,
		r.principal_name, r.verdict, r.comment, r.decided_at`,
	From:  `approval_decisions r` + queueTables,
	Where: `r.workspace_id = @ws`,
	Filters: map[string]string{
		"mine": `r.actor_id = @me`,
		"risk": `q.risk = @risk`,
		"kind": `q.kind = @kind`,
		"type": `q.subject_type = @type`,
		"text": `(q.subject_key ^@ upper(@text) OR position(lower(@text) IN lower(q.title)) > 0)`,
	},
	Sorts: map[string]db.SortBy[QueueItem]{
		"decided_at": {Expr: "r.decided_at", Cast: "timestamptz", Of: func(i QueueItem) string { return stamp(i.DecidedAt) }},
		"key":        {Expr: "q.subject_key", Cast: "text", Of: func(i QueueItem) string { return i.Key }},
	},
	Default: "-decided_at", IDExpr: "s.id", ID: func(i QueueItem) uuid.UUID { return i.SeatID },
})

type tallyRow struct {
	Waiting   int64 `db:"waiting"`
	Delegated int64 `db:"delegated"`
	Late      int64 `db:"late"`
	Soon      int64 `db:"soon"`
	Week      int64 `db:"week"`
}

// queueTally counts what waits for a person, capped by how much one person can ever have.
var queueTally = db.Define[tallyRow]("approvals.queue_tally", `
	SELECT count(DISTINCT r.seat_id) FILTER (WHERE r.assignee_id = @me) AS waiting,
		count(DISTINCT r.seat_id) FILTER (WHERE r.principal_id = @me AND r.assignee_id IS DISTINCT FROM @me) AS delegated,
		count(DISTINCT r.seat_id) FILTER (WHERE r.assignee_id = @me AND t.due_at <= @now) AS late,
		count(DISTINCT r.seat_id) FILTER (WHERE r.assignee_id = @me AND t.due_at < @soon) AS soon,
		count(DISTINCT r.seat_id) FILTER (WHERE r.assignee_id = @me AND t.due_at < @week) AS week
	FROM approval_routes r JOIN approval_seats s ON s.workspace_id = r.workspace_id AND s.id = r.seat_id
	JOIN approval_stages t ON t.workspace_id = s.workspace_id AND t.id = s.stage_id
	WHERE r.workspace_id = @ws AND r.open AND (r.assignee_id = @me OR r.principal_id = @me)`)

// itemsOf are open seats by id that a person is asked about or that belong to them.
var itemsOf = db.Define[QueueItem]("approvals.items_of", `
	SELECT DISTINCT ON (s.id) `+queueCommon+`, r.principal_id, r.assignee_id, r.escalated, r.unrouted, coalesce(au.name, '') AS assignee_name,
		coalesce(pu.name, '') AS principal_name, '' AS verdict, '' AS comment, s.opened_at AS decided_at
	FROM approval_routes r`+queueTables+` LEFT JOIN users au ON au.id = r.assignee_id LEFT JOIN users pu ON pu.id = r.principal_id
	WHERE r.workspace_id = @ws AND r.open AND s.id = ANY (@ids) AND (r.assignee_id = @me OR r.principal_id = @me)
	ORDER BY s.id, r.principal_id <> @me, r.position`)
