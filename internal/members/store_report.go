package members

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// The statements of this file read the names of people, which module identity owns.

const (
	namedColumns = `m.id, m.user_id, m.role, m.state, m.joined_via, m.joined_at, m.last_seen_at, m.version, u.name, u.email`
	namedTables  = `members m JOIN users u ON u.id = m.user_id`
)

var (
	loadMember = db.Define[Member]("members.load_member", `
	SELECT `+namedColumns+` FROM `+namedTables+` WHERE m.workspace_id = @ws AND m.id = @id`).Called("member")
	memberByUser = db.Define[Member]("members.member_by_user", `
	SELECT `+namedColumns+` FROM `+namedTables+` WHERE m.workspace_id = @ws AND m.user_id = @user`).Called("member")
	// The oldest membership wins where two accounts carry one address.
	memberByEmail = db.Define[Member]("members.member_by_email", `
	SELECT `+namedColumns+` FROM `+namedTables+`
	WHERE m.workspace_id = @ws AND u.email = @email ORDER BY m.joined_at, m.id LIMIT 1`).Called("member")
	memberEmails = db.Define[string]("members.member_emails", `
	SELECT u.email FROM `+namedTables+` WHERE m.workspace_id = @ws AND u.email = ANY (@emails)`)
	groupMembers = db.Define[Member]("members.group_members", `
	SELECT `+namedColumns+` FROM `+namedTables+`
	JOIN people_group_members x ON x.workspace_id = m.workspace_id AND x.member_id = m.id
	WHERE m.workspace_id = @ws AND x.group_id = @id ORDER BY u.name, m.id LIMIT 5000`)
	allPeople = db.Define[Person]("members.all_people", `
	SELECT m.id AS member_id, m.user_id, u.name, u.email, m.role FROM `+namedTables+`
	WHERE m.workspace_id = @ws AND m.state = 'active' ORDER BY u.name, m.id LIMIT 5000`)
	recipients = db.Define[Person]("members.recipients", `
	SELECT m.id AS member_id, m.user_id, u.name, u.email, m.role FROM `+namedTables+`
	WHERE m.workspace_id = @ws AND m.state = 'active' AND (m.id = ANY (@members::uuid[]) OR m.id IN (
		SELECT x.member_id FROM people_group_members x WHERE x.workspace_id = @ws AND x.group_id = ANY (@groups::uuid[])))
	ORDER BY u.name, m.id LIMIT 5000`)
	findPeople = db.Define[foundRow]("members.find_people", `
	SELECT m.id, u.name, u.email FROM `+namedTables+`
	WHERE m.workspace_id = @ws AND position(lower(@text) IN lower(u.name || ' ' || u.email)) > 0
	ORDER BY u.name, m.id LIMIT @limit`)
	memberRefs = db.Define[refRow]("members.member_refs", `
	SELECT m.id, m.id AS member_id, u.name, m.state FROM `+namedTables+` WHERE m.workspace_id = @ws AND m.id = ANY (@ids)`)
	userRefs = db.Define[refRow]("members.user_refs", `
	SELECT u.id, m.id AS member_id, u.name, m.state FROM `+namedTables+` WHERE m.workspace_id = @ws AND u.id = ANY (@ids)`)
	identityOf = db.DefineSystem[identityRow]("members.identity_of", `
	SELECT email, email_verified FROM users WHERE id = @user`).Called("person")
	findOffer = db.DefineSystem[Offer]("members.find_offer", `
	SELECT i.id, i.email, i.role, i.invited_by, i.created_at, i.sent_at, i.expires_at, i.accepted_at, i.revoked_at,
		i.workspace_id, w.name AS workspace_name, w.slug, coalesce(u.name, '') AS inviter
	FROM invitations i JOIN workspaces w ON w.id = i.workspace_id LEFT JOIN users u ON u.id = i.invited_by
	WHERE i.token_hash = @hash`)
)

type foundRow struct {
	ID    uuid.UUID `db:"id"`
	Name  string    `db:"name"`
	Email string    `db:"email"`
}

type refRow struct {
	ID       uuid.UUID `db:"id"`
	MemberID uuid.UUID `db:"member_id"`
	Name     string    `db:"name"`
	State    State     `db:"state"`
}

// stamp writes a time as a cursor does: text that a timestamptz accepts.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

var memberList = db.DefineList(db.ListSpec[Member]{
	Name:    "members.list",
	Columns: namedColumns,
	From:    namedTables,
	Where:   `m.workspace_id = @ws`,
	Filters: map[string]string{
		"role":  `m.role = @role`,
		"state": `m.state = @state`,
		"text":  `position(lower(@text) IN lower(u.name || ' ' || u.email)) > 0`,
	},
	Sorts: map[string]db.SortBy[Member]{
		"name":   {Expr: `u.name`, Cast: "text", Of: func(m Member) string { return m.Name }},
		"email":  {Expr: `u.email`, Cast: "text", Of: func(m Member) string { return m.Email }},
		"joined": {Expr: `m.joined_at`, Cast: "timestamptz", Of: func(m Member) string { return stamp(m.JoinedAt) }},
		"role": {
			Expr: `array_position(ARRAY['viewer', 'member', 'approver', 'admin', 'owner'], m.role)`, Cast: "int",
			Of: func(m Member) string { return string(rune('0' + m.Role.Rank())) },
		},
		"last_seen": {Expr: `coalesce(m.last_seen_at, '-infinity'::timestamptz)`, Cast: "timestamptz", Of: func(m Member) string {
			if m.LastSeenAt == nil {
				return "-infinity"
			}
			return stamp(*m.LastSeenAt)
		}},
	},
	Default: "name",
	IDExpr:  `m.id`,
	ID:      func(m Member) uuid.UUID { return m.ID },
})

// InvitationRow is an invitation with the name of who sent it, empty when they left.
type InvitationRow struct {
	Invitation
	Inviter string `db:"inviter"`
}

const closed = `(i.accepted_at IS NOT NULL OR i.revoked_at IS NOT NULL)`

var invitationList = db.DefineList(db.ListSpec[InvitationRow]{
	Name: "members.invitations",
	Columns: `i.id, i.email, i.role, i.invited_by, i.created_at, i.sent_at, i.expires_at, i.accepted_at, i.revoked_at,
		coalesce(u.name, '') AS inviter`,
	From:  `invitations i LEFT JOIN users u ON u.id = i.invited_by`,
	Where: `i.workspace_id = @ws`,
	Filters: map[string]string{
		"open":           `NOT ` + closed,
		string(Pending):  `NOT ` + closed + ` AND i.expires_at > @now`,
		string(Expired):  `NOT ` + closed + ` AND i.expires_at <= @now`,
		string(Accepted): `i.accepted_at IS NOT NULL`,
		string(Revoked):  `i.accepted_at IS NULL AND i.revoked_at IS NOT NULL`,
		"text":           `position(lower(@text) IN i.email) > 0`,
	},
	Sorts: map[string]db.SortBy[InvitationRow]{
		"created": {Expr: `i.created_at`, Cast: "timestamptz", Of: func(i InvitationRow) string { return stamp(i.CreatedAt) }},
		"expires": {Expr: `i.expires_at`, Cast: "timestamptz", Of: func(i InvitationRow) string { return stamp(i.ExpiresAt) }},
		"email":   {Expr: `i.email`, Cast: "text", Of: func(i InvitationRow) string { return i.Email }},
	},
	Default: "-created",
	IDExpr:  `i.id`,
	ID:      func(i InvitationRow) uuid.UUID { return i.ID },
})

// Memberships of one person, for the page that lists workspaces.
var myWorkspaces = db.DefineSystem[MyWorkspace]("members.my_workspaces", `
	SELECT w.slug, w.name, m.role, m.state FROM members m JOIN workspaces w ON w.id = m.workspace_id
	WHERE m.user_id = @user ORDER BY w.name, w.slug LIMIT 1000`)

// MyWorkspace is a workspace of one person.
type MyWorkspace struct {
	Slug  string      `db:"slug"`
	Name  string      `db:"name"`
	Role  access.Role `db:"role"`
	State State       `db:"state"`
}
