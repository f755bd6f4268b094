package members

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/plan"
)

const (
	workspaceColumns  = `id, slug, name, timezone, session_idle_minutes, session_absolute_minutes, plan, version, created_at`
	memberColumns     = `id, user_id, role, state, joined_via, joined_at, last_seen_at, version`
	invitationColumns = `id, email, role, invited_by, created_at, sent_at, expires_at, accepted_at, revoked_at`
)

// Workspaces.
var (
	insertWorkspace = db.DefineCommand("members.insert_workspace", `
	INSERT INTO workspaces (id, slug, name, timezone, plan, created_at, updated_at)
	VALUES (@id, @slug, @name, @timezone, @plan, @now, @now)`)
	loadWorkspace = db.Define[Workspace]("members.load_workspace", `
	SELECT `+workspaceColumns+` FROM workspaces WHERE id = @ws`).Called("workspace")
	lockedWorkspace = db.Define[Workspace]("members.locked_workspace", `
	SELECT `+workspaceColumns+` FROM workspaces WHERE id = @ws FOR NO KEY UPDATE`).Called("workspace")
	// NO KEY: rows that refer to the workspace may be written meanwhile.
	lockWorkspace = db.Define[uuid.UUID]("members.lock_workspace", `
	SELECT id FROM workspaces WHERE id = @ws FOR NO KEY UPDATE`).Called("workspace")
	saveWorkspace = db.DefineCommand("members.save_workspace", `
	UPDATE workspaces
	SET name = @name, timezone = @timezone, session_idle_minutes = @idle, session_absolute_minutes = @absolute,
		version = @version, updated_at = @now
	WHERE id = @ws`)
	savePlan = db.DefineCommand("members.save_plan", `
	UPDATE workspaces SET plan = @plan, version = @version, updated_at = @now WHERE id = @ws`)
	// Locked, so that two additions at once do not both take the last place.
	lockPlan = db.Define[plan.Name]("members.lock_plan", `
	SELECT plan FROM workspaces WHERE id = @ws FOR NO KEY UPDATE`).Called("workspace")
	workspacesOfPlan = db.DefineSystem[uuid.UUID]("members.workspaces_of_plan", `
	SELECT id FROM workspaces WHERE plan = @plan ORDER BY id`)
	workspaceBySlug = db.DefineSystem[uuid.UUID]("members.workspace_by_slug", `
	SELECT id FROM workspaces WHERE slug = @slug`).Called("workspace")
	takenSlugs = db.DefineSystem[string]("members.taken_slugs", `
	SELECT slug FROM workspaces WHERE slug = ANY (@slugs)`)
)

// Memberships.
var (
	insertMember = db.DefineCommand("members.insert_member", `
	INSERT INTO members (workspace_id, id, user_id, role, joined_via, joined_at)
	VALUES (@ws, @id, @user, @role, @via, @now)`)
	memberOfUser = db.Define[Membership]("members.member_of_user", `
	SELECT `+memberColumns+` FROM members WHERE workspace_id = @ws AND user_id = @user`).Called("member")
	otherOwners = db.Define[int64]("members.other_owners", `
	SELECT count(*) FROM members
	WHERE workspace_id = @ws AND role = 'owner' AND state = 'active' AND id <> @id`)
	updateMember = db.DefineCommand("members.update_member", `
	UPDATE members SET role = @role, state = @state, joined_via = @joined_via, version = @version
	WHERE workspace_id = @ws AND id = @id`)
	deleteMember = db.DefineCommand("members.delete_member", `
	DELETE FROM members WHERE workspace_id = @ws AND id = @id`)
	countMembers = db.Define[int64]("members.count_members", `
	SELECT count(*) FROM members WHERE workspace_id = @ws AND id = ANY (@members::uuid[])`)
	countTaken = db.Define[taken]("members.count_taken", `
	SELECT (SELECT count(*) FROM members WHERE workspace_id = @ws) AS members,
		(SELECT count(*) FROM invitations
			WHERE workspace_id = @ws AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > @now) AS invited`)
	placesOf = db.DefineSystem[placeRow]("members.places_of", `
	SELECT workspace_id, role, joined_via FROM members WHERE user_id = @user`)
	hasColleague = db.Define[bool]("members.has_colleague", `
	SELECT (SELECT count(*) FROM (SELECT 1 FROM members WHERE workspace_id = @ws LIMIT 2) AS few) > 1
		OR EXISTS (SELECT 1 FROM invitations WHERE workspace_id = @ws AND revoked_at IS NULL)`)
)

// Invitations.
var (
	insertInvitations = db.DefineCommand("members.insert_invitations", `
	INSERT INTO invitations (workspace_id, id, email, role, token_hash, invited_by, created_at, sent_at, expires_at)
	SELECT @ws, n.id, n.email, n.role, n.hash, @by, @now, @now, @expires
	FROM unnest(@ids::uuid[], @emails::text[], @roles::text[], @hashes::bytea[]) AS n (id, email, role, hash)`)
	loadInvitation = db.Define[Invitation]("members.load_invitation", `
	SELECT `+invitationColumns+` FROM invitations WHERE workspace_id = @ws AND id = @id`).Called("invitation")
	lockInvitation = db.Define[Invitation]("members.lock_invitation", `
	SELECT `+invitationColumns+` FROM invitations WHERE workspace_id = @ws AND id = @id FOR UPDATE`).Called("invitation")
	openInvitations = db.Define[Invitation]("members.open_invitations", `
	SELECT `+invitationColumns+` FROM invitations
	WHERE workspace_id = @ws AND email = ANY (@emails) AND accepted_at IS NULL AND revoked_at IS NULL`)
	renewInvitation = db.DefineCommand("members.renew_invitation", `
	UPDATE invitations SET token_hash = @hash, sent_at = @now, expires_at = @expires
	WHERE workspace_id = @ws AND id = @id`)
	markRevoked = db.DefineCommand("members.mark_revoked", `
	UPDATE invitations SET revoked_at = @now WHERE workspace_id = @ws AND id = @id`)
	markAccepted = db.DefineCommand("members.mark_accepted", `
	UPDATE invitations SET accepted_at = @now, accepted_by = @user WHERE workspace_id = @ws AND id = @id`)
	openOffersOf = db.DefineSystem[openOffer]("members.open_offers_of", `
	SELECT workspace_id, id FROM invitations
	WHERE email = @email AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > @now
	ORDER BY workspace_id LIMIT 200`)
	invitationNames = db.Define[nameRow]("members.invitation_names", `
	SELECT id, email AS name FROM invitations WHERE workspace_id = @ws AND id = ANY (@ids)`)
)

// Rules for groups of the identity provider.
var (
	allMappings = db.Define[Mapping]("members.all_mappings", `
	SELECT id, claim_value, role, created_at FROM group_mappings WHERE workspace_id = @ws ORDER BY claim_value LIMIT 500`)
	loadMapping = db.Define[Mapping]("members.load_mapping", `
	SELECT id, claim_value, role, created_at FROM group_mappings WHERE workspace_id = @ws AND id = @id`).Called("rule")
	countMappings = db.Define[int64]("members.count_mappings", `
	SELECT count(*) FROM group_mappings WHERE workspace_id = @ws`)
	insertMapping = db.DefineCommand("members.insert_mapping", `
	INSERT INTO group_mappings (workspace_id, id, claim_value, role, created_at) VALUES (@ws, @id, @claim, @role, @now)`)
	deleteMapping = db.DefineCommand("members.delete_mapping", `
	DELETE FROM group_mappings WHERE workspace_id = @ws AND id = @id`)
	rolesForGroups = db.Define[access.Role]("members.roles_for_groups", `
	SELECT role FROM group_mappings WHERE workspace_id = @ws AND claim_value = ANY (@groups)`)
	rulesForGroups = db.DefineSystem[ruleRow]("members.rules_for_groups", `
	SELECT workspace_id, role FROM group_mappings WHERE claim_value = ANY (@groups)`)
)

const groupColumns = `g.id, g.name, g.created_at, g.version,
	(SELECT count(*) FROM people_group_members x WHERE x.workspace_id = g.workspace_id AND x.group_id = g.id) AS size`

// Groups of people.
var (
	allGroups = db.Define[PeopleGroup]("members.all_groups", `
	SELECT `+groupColumns+` FROM people_groups g WHERE g.workspace_id = @ws ORDER BY g.name, g.id LIMIT 1000`)
	loadGroup = db.Define[PeopleGroup]("members.load_group", `
	SELECT `+groupColumns+` FROM people_groups g WHERE g.workspace_id = @ws AND g.id = @id`).Called("group")
	findGroups = db.Define[nameRow]("members.find_groups", `
	SELECT id, name FROM people_groups
	WHERE workspace_id = @ws AND position(lower(@text) IN lower(name)) > 0 ORDER BY name, id LIMIT @limit`)
	groupNames = db.Define[nameRow]("members.group_names", `
	SELECT id, name FROM people_groups WHERE workspace_id = @ws AND id = ANY (@ids)`)
	insertGroup = db.DefineCommand("members.insert_group", `
	INSERT INTO people_groups (workspace_id, id, name, created_at) VALUES (@ws, @id, @name, @now)`)
	updateGroup = db.DefineCommand("members.update_group", `
	UPDATE people_groups SET name = @name, version = @version WHERE workspace_id = @ws AND id = @id`)
	deleteGroup = db.DefineCommand("members.delete_group", `
	DELETE FROM people_groups WHERE workspace_id = @ws AND id = @id`)
	groupMemberIDs = db.Define[uuid.UUID]("members.group_member_ids", `
	SELECT member_id FROM people_group_members WHERE workspace_id = @ws AND group_id = @id LIMIT 5000`)
	dropFromGroup = db.Define[uuid.UUID]("members.drop_from_group", `
	DELETE FROM people_group_members
	WHERE workspace_id = @ws AND group_id = @id AND NOT member_id = ANY (@members::uuid[])
	RETURNING member_id`)
	addToGroup = db.Define[uuid.UUID]("members.add_to_group", `
	INSERT INTO people_group_members (workspace_id, group_id, member_id)
	SELECT @ws, @id, n.id FROM unnest(@members::uuid[]) AS n (id)
	ON CONFLICT DO NOTHING
	RETURNING member_id`)
)

// nameRow is a thing and what it is called.
type nameRow struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name"`
}
