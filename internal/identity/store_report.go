package identity

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// These statements join people with workspaces and their members: who asks, where, and
// with which role, in one round trip.

// sessionFound is everything about a session cookie and the workspace it asks for.
type sessionFound struct {
	SessionID     uuid.UUID     `db:"session_id"`
	AuthMethod    string        `db:"auth_method"`
	AMR           string        `db:"amr"`
	CreatedAt     time.Time     `db:"created_at"`
	SignedInAt    time.Time     `db:"signed_in_at"`
	LastSeenAt    time.Time     `db:"last_seen_at"`
	LongestIdle   int64         `db:"longest_idle"` // seconds
	RolesDigest   []byte        `db:"roles_digest"`
	LastWorkspace uuid.NullUUID `db:"last_workspace"`
	LastSlug      string        `db:"last_slug"`
	Current       bool          `db:"current"` // false for the former token of a renewed session
	UserID        uuid.UUID     `db:"user_id"`
	Name          string        `db:"name"`
	Email         string        `db:"email"`
	TimeZone      string        `db:"time_zone"`
	Theme         string        `db:"theme"`
	Shortcuts     bool          `db:"shortcuts"`
	PlatformAdmin bool          `db:"platform_admin"`
	workspaceFound
	Places []place `db:"places"`
}

// workspaceFound is the workspace of the request, when the person may see it.
type workspaceFound struct {
	WorkspaceID       uuid.NullUUID `db:"workspace_id"`
	WorkspaceSlug     string        `db:"workspace_slug"`
	WorkspaceName     string        `db:"workspace_name"`
	WorkspaceTimeZone string        `db:"workspace_time_zone"`
	limits
}

// tokenFound is everything about a bearer token.
type tokenFound struct {
	TokenID       uuid.UUID   `db:"token_id"`
	Kind          string      `db:"kind"`
	TokenName     string      `db:"token_name"`
	Scopes        []string    `db:"scopes"`
	LastUsedAt    *time.Time  `db:"last_used_at"`
	Role          access.Role `db:"role"`
	UserID        uuid.UUID   `db:"user_id"`
	Name          string      `db:"name"`
	Email         string      `db:"email"`
	TimeZone      string      `db:"time_zone"`
	Theme         string      `db:"theme"`
	Shortcuts     bool        `db:"shortcuts"`
	PlatformAdmin bool        `db:"platform_admin"`
	WorkspaceID   uuid.UUID   `db:"workspace_id"`
	WorkspaceSlug string      `db:"workspace_slug"`
	WorkspaceName string      `db:"workspace_name"`
	WorkspaceZone string      `db:"workspace_time_zone"`
}

var findSession = db.DefineSystem[sessionFound]("identity.find_session", `
	SELECT s.id AS session_id, s.auth_method, s.amr, s.created_at, s.signed_in_at, s.last_seen_at, s.longest_idle, s.roles_digest,
		s.token_hash = @hash AS current,
		coalesce(s.last_workspace, u.last_workspace) AS last_workspace, coalesce(lw.slug, '') AS last_slug,
		u.id AS user_id, u.name, u.email, coalesce(u.time_zone, '') AS time_zone, u.theme, u.shortcuts, u.platform_admin,
		w.id AS workspace_id, coalesce(w.slug, '') AS workspace_slug, coalesce(w.name, '') AS workspace_name,
		coalesce(w.timezone, '') AS workspace_time_zone, coalesce(w.session_idle_minutes, 0) AS session_idle_minutes,
		coalesce(w.session_absolute_minutes, 0) AS session_absolute_minutes,
		coalesce((
			SELECT json_agg(json_build_object('workspace_id', m.workspace_id, 'slug', mw.slug, 'name', mw.name, 'role', m.role)
				ORDER BY mw.name, mw.slug)
			FROM members m
			JOIN workspaces mw ON mw.id = m.workspace_id
			WHERE m.user_id = u.id AND m.state = 'active'), '[]') AS places
	FROM sessions s
	JOIN users u ON u.id = s.user_id
	LEFT JOIN workspaces lw ON lw.id = coalesce(s.last_workspace, u.last_workspace)
	LEFT JOIN workspaces w ON w.slug = @slug AND (u.platform_admin OR EXISTS (
		SELECT 1 FROM members m WHERE m.user_id = u.id AND m.workspace_id = w.id AND m.state = 'active'))
	WHERE (s.token_hash = @hash OR s.previous_hash = @hash AND s.previous_until > @now)
		AND s.revoked_at IS NULL AND s.expires_at > @now AND s.last_seen_at > @idle_since AND u.disabled_at IS NULL`)

var findToken = db.DefineSystem[tokenFound]("identity.find_token", `
	SELECT t.id AS token_id, t.kind, t.name AS token_name, t.scopes, t.last_used_at,
		coalesce(t.role, m.role, 'owner') AS role,
		coalesce(u.id, '00000000-0000-0000-0000-000000000000') AS user_id, coalesce(u.name, '') AS name,
		coalesce(u.email, '') AS email, coalesce(u.time_zone, '') AS time_zone, coalesce(u.theme, 'system') AS theme,
		coalesce(u.shortcuts, true) AS shortcuts, coalesce(u.platform_admin, false) AS platform_admin,
		w.id AS workspace_id, w.slug AS workspace_slug, w.name AS workspace_name, w.timezone AS workspace_time_zone
	FROM api_tokens t
	JOIN workspaces w ON w.id = t.workspace_id
	LEFT JOIN users u ON u.id = t.user_id
	LEFT JOIN members m ON m.workspace_id = t.workspace_id AND m.user_id = t.user_id AND m.state = 'active'
	WHERE t.token_hash = @hash AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > @now)
		AND (t.kind = 'service' OR u.disabled_at IS NULL AND (m.id IS NOT NULL OR u.platform_admin))`)

// touchSession writes that a session was used, where, and with which rights; with a new
// hash it also renews the token, once, whoever else asks at the same time.
var touchSession = db.DefineSystem[int64]("identity.touch_session", `
	WITH touched AS (
		UPDATE sessions
		SET last_seen_at = @now, longest_idle = greatest(longest_idle, extract(epoch FROM @now - last_seen_at)::bigint),
			roles_digest = @digest, last_workspace = coalesce(@workspace, last_workspace),
			previous_hash = CASE WHEN @new_hash::bytea IS NULL THEN previous_hash ELSE token_hash END,
			previous_until = CASE WHEN @new_hash::bytea IS NULL THEN previous_until ELSE @grace::timestamptz END,
			token_hash = coalesce(@new_hash::bytea, token_hash)
		WHERE id = @id AND revoked_at IS NULL AND (@new_hash::bytea IS NULL OR token_hash = @hash)
			AND (last_seen_at <= @before OR roles_digest IS DISTINCT FROM @digest
				OR last_workspace IS DISTINCT FROM coalesce(@workspace, last_workspace))
		RETURNING user_id
	), person AS (
		UPDATE users SET last_seen_at = @now, last_workspace = coalesce(@workspace, last_workspace)
		WHERE id IN (SELECT user_id FROM touched)
	), member AS (
		UPDATE members SET last_seen_at = @now
		WHERE workspace_id = @workspace AND user_id IN (SELECT user_id FROM touched)
	)
	SELECT count(*) FROM touched`)

var touchToken = db.DefineSystemCommand("identity.touch_token", `
	UPDATE api_tokens SET last_used_at = @now
	WHERE workspace_id = @workspace AND id = @id AND (last_used_at IS NULL OR last_used_at <= @before)`)

// placesOf lists a person's active memberships by name.
var placesOf = db.DefineSystem[place]("identity.places_of", `
	SELECT m.workspace_id, w.slug, w.name, m.role
	FROM members m
	JOIN workspaces w ON w.id = m.workspace_id
	WHERE m.user_id = @user AND m.state = 'active'
	ORDER BY w.name, w.slug
	LIMIT 500`)

// placeFound is a workspace that the person behind a session may open, and how old the
// session is.
type placeFound struct {
	place
	limits
	CreatedAt   time.Time `db:"created_at"`
	LastSeenAt  time.Time `db:"last_seen_at"`
	LongestIdle int64     `db:"longest_idle"` // seconds
}

var placeOfSession = db.DefineSystem[placeFound]("identity.place_of_session", `
	SELECT w.id AS workspace_id, w.slug, w.name, coalesce(m.role, 'owner') AS role, w.session_idle_minutes,
		w.session_absolute_minutes, s.created_at, s.last_seen_at, s.longest_idle
	FROM sessions s
	JOIN users u ON u.id = s.user_id
	JOIN workspaces w ON w.slug = @slug
	LEFT JOIN members m ON m.workspace_id = w.id AND m.user_id = u.id AND m.state = 'active'
	WHERE s.id = @session AND (m.id IS NOT NULL OR u.platform_admin)`)

var lastSlug = db.DefineSystem[string]("identity.last_slug", `
	SELECT w.slug FROM users u JOIN workspaces w ON w.id = u.last_workspace WHERE u.id = @user`)

type memberOf struct {
	UserID      uuid.UUID `db:"user_id"`
	WorkspaceID uuid.UUID `db:"workspace_id"`
}

var workspacesOf = db.DefineSystem[memberOf]("identity.workspaces_of", `
	SELECT user_id, workspace_id FROM members
	WHERE user_id = ANY (@users) AND state = 'active'
	ORDER BY user_id, workspace_id
	LIMIT 10000`)

// signedIn is the actor of an audit entry about a session.
type signedIn struct {
	Name          string `db:"name"`
	Email         string `db:"email"`
	PlatformAdmin bool   `db:"platform_admin"`
	Role          string `db:"role"`
	AuthMethod    string `db:"auth_method"`
	UserAgent     string `db:"user_agent"`
}

var actorOf = db.DefineSystem[signedIn]("identity.actor_of", `
	SELECT u.name, u.email, u.platform_admin, coalesce(m.role, '') AS role, coalesce(s.auth_method, '') AS auth_method,
		coalesce(s.user_agent, '') AS user_agent
	FROM users u
	LEFT JOIN members m ON m.user_id = u.id AND m.workspace_id = @workspace
	LEFT JOIN sessions s ON s.id = @session
	WHERE u.id = @user`)

// demoPerson is a line of the development login.
type demoPerson struct {
	Name          string `db:"name"`
	Email         string `db:"email"`
	PlatformAdmin bool   `db:"platform_admin"`
	Workspace     string `db:"workspace"`
	Role          string `db:"role"`
}

var demoPeople = db.DefineSystem[demoPerson]("identity.demo_people", `
	SELECT u.name, u.email, u.platform_admin, coalesce(w.name, '') AS workspace, coalesce(m.role, '') AS role
	FROM user_identities i
	JOIN users u ON u.id = i.user_id
	LEFT JOIN members m ON m.user_id = u.id AND m.state = 'active'
	LEFT JOIN workspaces w ON w.id = m.workspace_id
	WHERE i.issuer = 'dev' AND u.disabled_at IS NULL
	ORDER BY w.name NULLS FIRST, array_position(ARRAY['owner', 'admin', 'approver', 'member', 'viewer'], m.role), u.name, u.id
	LIMIT 300`)
