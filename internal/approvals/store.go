package approvals

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const policyColumns = `id, name, priority, active, match, stages, validity_days, version, created_at, updated_at, updated_by`

type nameRow struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
}

// Policies.
var (
	ownPolicies = db.DefineCommand("approvals.own_policies", `
	SELECT pg_advisory_xact_lock(hashtextextended('approval policies ' || @ws::uuid::text, 0))`)
	allPolicies = db.Define[Policy]("approvals.all_policies", `
	SELECT `+policyColumns+` FROM approval_policies WHERE workspace_id = @ws ORDER BY active DESC, priority DESC, name, id LIMIT 1000`)
	activePolicies = db.Define[Policy]("approvals.active_policies", `
	SELECT `+policyColumns+` FROM approval_policies WHERE workspace_id = @ws AND active ORDER BY priority DESC, name, id LIMIT 1000`)
	loadPolicy = db.Define[Policy]("approvals.load_policy", `
	SELECT `+policyColumns+` FROM approval_policies WHERE workspace_id = @ws AND id = @id`).Called("approval policy")
	lockPolicy = db.Define[Policy]("approvals.lock_policy", `
	SELECT `+policyColumns+` FROM approval_policies WHERE workspace_id = @ws AND id = @id FOR UPDATE`).Called("approval policy")
	countPolicies = db.Define[int64]("approvals.count_policies", `SELECT count(*) FROM approval_policies WHERE workspace_id = @ws`)
	insertPolicy  = db.DefineCommand("approvals.insert_policy", `
	INSERT INTO approval_policies (workspace_id, id, name, priority, active, match, stages, validity_days, version, created_at, updated_at, updated_by)
	VALUES (@ws, @id, @name, @priority, @active, @match, @stages, @validity_days, @version, @now, @now, @by)`)
	savePolicy = db.DefineCommand("approvals.save_policy", `
	UPDATE approval_policies SET name = @name, priority = @priority, active = @active, match = @match, stages = @stages,
		validity_days = @validity_days, version = @version, updated_at = @now, updated_by = @by
	WHERE workspace_id = @ws AND id = @id`)
	insertPolicyVersion = db.DefineCommand("approvals.insert_policy_version", `
	INSERT INTO approval_policy_versions (workspace_id, policy_id, version, name, active, definition, created_at, created_by)
	VALUES (@ws, @id, @version, @name, @active, @definition, @now, @by)`)
	policyNames = db.Define[nameRow]("approvals.policy_names", `
	SELECT id, name FROM approval_policies WHERE workspace_id = @ws AND id = ANY (@ids)`)
	policyChoices = db.Define[nameRow]("approvals.policy_choices", `
	SELECT id, name FROM approval_policies WHERE workspace_id = @ws ORDER BY name, id LIMIT 1000`)
	findPolicies = db.Define[nameRow]("approvals.find_policies", `
	SELECT id, name FROM approval_policies WHERE workspace_id = @ws AND position(lower(@text) IN lower(name)) > 0
	ORDER BY name, id LIMIT @limit`)
)

// policyList is the list of policies as the API pages through it.
var policyList = db.DefineList(db.ListSpec[Policy]{
	Name: "approvals.policies", Columns: policyColumns, From: `approval_policies`, Where: `workspace_id = @ws`,
	Filters: map[string]string{"active": `active = @active`},
	Sorts: map[string]db.SortBy[Policy]{
		"name":       {Expr: "name", Cast: "text", Of: func(p Policy) string { return p.Name }},
		"created_at": {Expr: "created_at", Cast: "timestamptz", Of: func(p Policy) string { return stamp(p.CreatedAt) }},
	},
	Default: "name", IDExpr: "id", ID: func(p Policy) uuid.UUID { return p.ID },
})

func policyArgs(p Policy) db.Args {
	return db.Args{
		"id": p.ID, "name": p.Name, "priority": p.Priority, "active": p.Active, "match": p.Match, "stages": p.Stages,
		"validity_days": p.ValidityDays, "version": p.Version, "by": p.UpdatedBy,
	}
}

const delegationColumns = `d.id, d.key, d.principal_id, d.delegate_id, d.kind, d.scope, d.scope_value, d.starts_at, d.ends_at, d.reason,
	d.created_by, d.created_at, d.updated_at, d.revoked_at, d.version`

// Delegations and absences.
var (
	// Two delegations that close a loop only together must not be added at the same time.
	ownDelegations = db.DefineCommand("approvals.own_delegations", `
	SELECT pg_advisory_xact_lock(hashtextextended('delegations ' || @ws::uuid::text, 0))`)
	insertDelegation = db.DefineCommand("approvals.insert_delegation", `
	INSERT INTO approval_delegations (workspace_id, id, key, principal_id, delegate_id, kind, scope, scope_value, starts_at, ends_at,
		reason, created_by, created_at, updated_at, next_at)
	VALUES (@ws, @id, @key, @principal, @delegate, @kind, @scope, @scope_value, @starts_at, @ends_at, @reason, @by, @now, @now, @next_at)`)
	saveDelegation = db.DefineCommand("approvals.save_delegation", `
	UPDATE approval_delegations SET delegate_id = @delegate, kind = @kind, scope = @scope, scope_value = @scope_value,
		starts_at = @starts_at, ends_at = @ends_at, reason = @reason, revoked_at = @revoked_at, updated_at = @now, next_at = @next_at,
		version = @version
	WHERE workspace_id = @ws AND id = @id`)
	// activeDelegations are those that run at a moment.
	activeDelegations = db.Define[delegationRow]("approvals.active_delegations", `
	SELECT `+delegationColumns+` FROM approval_delegations d
	WHERE d.workspace_id = @ws AND d.revoked_at IS NULL AND d.starts_at <= @at AND d.ends_at > @at ORDER BY d.created_at, d.id LIMIT 5000`)
	// overlappingDelegations may form a loop with one that runs in an interval.
	overlappingDelegations = db.Define[delegationRow]("approvals.overlapping_delegations", `
	SELECT `+delegationColumns+` FROM approval_delegations d
	WHERE d.workspace_id = @ws AND d.revoked_at IS NULL AND d.starts_at < @to AND d.ends_at > @from ORDER BY d.created_at, d.id LIMIT 5000`)
	delegationKeys = db.Define[keyRow]("approvals.delegation_keys", `
	SELECT id, key FROM approval_delegations WHERE workspace_id = @ws AND id = ANY (@ids)`)
	delegationByKey = db.Define[uuid.UUID]("approvals.delegation_by_key", `
	SELECT id FROM approval_delegations WHERE workspace_id = @ws AND key = @key`).Called("delegation")
	turnedDelegations = db.Define[delegationRow]("approvals.turned_delegations", `
	UPDATE approval_delegations d SET next_at = CASE WHEN d.ends_at > @now AND d.revoked_at IS NULL THEN d.ends_at END
	WHERE d.workspace_id = @ws AND d.next_at <= @now RETURNING `+delegationColumns)

	insertAbsence = db.DefineCommand("approvals.insert_absence", `
	INSERT INTO approval_absences (workspace_id, id, user_id, starts_at, ends_at, reason, created_by, created_at, next_at)
	VALUES (@ws, @id, @user, @starts_at, @ends_at, @reason, @by, @now, @next_at)`)
	deleteAbsence  = db.DefineCommand("approvals.delete_absence", `DELETE FROM approval_absences WHERE workspace_id = @ws AND id = @id`)
	activeAbsences = db.Define[absenceRow]("approvals.active_absences", `
	SELECT id, user_id, starts_at, ends_at, reason FROM approval_absences
	WHERE workspace_id = @ws AND starts_at <= @at AND ends_at > @at ORDER BY id LIMIT 5000`)
	turnedAbsences = db.Define[uuid.UUID]("approvals.turned_absences", `
	UPDATE approval_absences SET next_at = CASE WHEN ends_at > @now THEN ends_at END
	WHERE workspace_id = @ws AND next_at <= @now RETURNING user_id`)
	// awayBetween are absences, and delegations that say so, which overlap an interval.
	awayBetween = db.Define[awayRow]("approvals.away_between", `
	SELECT user_id, starts_at, ends_at, reason FROM approval_absences
	WHERE workspace_id = @ws AND user_id = ANY (@users) AND starts_at < @to AND ends_at > @from
	UNION ALL
	SELECT principal_id, starts_at, ends_at, reason FROM approval_delegations
	WHERE workspace_id = @ws AND principal_id = ANY (@users) AND kind = 'out' AND revoked_at IS NULL AND starts_at < @to AND ends_at > @from
	ORDER BY starts_at, user_id LIMIT 1000`)

	dueWorkspaces = db.DefineSystem[uuid.UUID]("approvals.due_workspaces", `
	SELECT workspace_id FROM approval_stages WHERE next_at <= @now
	UNION SELECT workspace_id FROM approval_delegations WHERE next_at <= @now
	UNION SELECT workspace_id FROM approval_absences WHERE next_at <= @now`)
)

type keyRow struct {
	ID  uuid.UUID `db:"id"`
	Key string    `db:"key"`
}

type delegationRow struct {
	ID         uuid.UUID     `db:"id"`
	Key        string        `db:"key"`
	Principal  uuid.UUID     `db:"principal_id"`
	Delegate   uuid.UUID     `db:"delegate_id"`
	Kind       string        `db:"kind"`
	Scope      string        `db:"scope"`
	ScopeValue string        `db:"scope_value"`
	StartsAt   time.Time     `db:"starts_at"`
	EndsAt     time.Time     `db:"ends_at"`
	Reason     string        `db:"reason"`
	CreatedBy  uuid.NullUUID `db:"created_by"`
	CreatedAt  time.Time     `db:"created_at"`
	UpdatedAt  time.Time     `db:"updated_at"`
	RevokedAt  *time.Time    `db:"revoked_at"`
	Version    int64         `db:"version"`
}

type absenceRow struct {
	ID       uuid.UUID `db:"id"`
	UserID   uuid.UUID `db:"user_id"`
	StartsAt time.Time `db:"starts_at"`
	EndsAt   time.Time `db:"ends_at"`
	Reason   string    `db:"reason"`
}

type awayRow struct {
	UserID   uuid.UUID `db:"user_id"`
	StartsAt time.Time `db:"starts_at"`
	EndsAt   time.Time `db:"ends_at"`
	Reason   string    `db:"reason"`
}

// stamp writes a time as a cursor does: text that a timestamptz accepts.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
