package identity

import (
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const userColumns = `u.id, u.email, u.email_verified, u.name, coalesce(u.time_zone, '') AS time_zone, u.theme, u.shortcuts,
		u.platform_admin, u.disabled_at`

// People.
var (
	// Two first sign-ins of one person at once would make two people of them.
	lockIdentity = db.DefineSystemCommand("identity.lock", `
	SELECT pg_advisory_xact_lock(hashtextextended(@key, 0))`)
	userByIdentity = db.DefineSystem[User]("identity.user_by_identity", `
	SELECT `+userColumns+`
	FROM user_identities i
	JOIN users u ON u.id = i.user_id
	WHERE i.issuer = @issuer AND i.subject = @subject
	FOR UPDATE OF u`)
	insertUser = db.DefineSystemCommand("identity.insert_user", `
	INSERT INTO users (id, email, email_verified, name, time_zone, theme, shortcuts, platform_admin, created_at, updated_at)
	VALUES (@id, @email, @email_verified, @name, nullif(@time_zone, ''), 'system', true, @platform_admin, @now, @now)`)
	insertIdentity = db.DefineSystemCommand("identity.insert_identity", `
	INSERT INTO user_identities (issuer, subject, user_id, created_at) VALUES (@issuer, @subject, @user, @now)`)
	updateUser = db.DefineSystemCommand("identity.update_user", `
	UPDATE users
	SET email = @email, email_verified = @email_verified, name = @name, platform_admin = @platform_admin, updated_at = @now
	WHERE id = @id`)
	setTheme = db.DefineSystemCommand("identity.set_theme", `
	UPDATE users SET theme = @theme, updated_at = @now WHERE id = @id`)
	detectZone = db.DefineSystemCommand("identity.detect_zone", `
	UPDATE users SET time_zone = @time_zone, updated_at = @now WHERE id = @id AND time_zone IS NULL`)
	setProfile = db.DefineSystemCommand("identity.set_profile", `
	UPDATE users SET time_zone = nullif(@time_zone, ''), theme = @theme, shortcuts = @shortcuts, updated_at = @now
	WHERE id = @id`)
	withdrawAdmins = db.DefineSystem[uuid.UUID]("identity.withdraw_platform_admins", `
	UPDATE users u SET platform_admin = false, updated_at = @now
	WHERE u.platform_admin AND u.email <> ALL (@admins)
		AND NOT EXISTS (SELECT 1 FROM user_identities i WHERE i.user_id = u.id AND i.issuer = 'dev')
	RETURNING u.id`)
)

// endedSession is a session that a statement has just ended.
type endedSession struct {
	ID     uuid.UUID `db:"id"`
	UserID uuid.UUID `db:"user_id"`
}

// sessionHint is what signing out at the provider needs.
type sessionHint struct {
	IDToken []byte `db:"id_token"`
	Method  string `db:"auth_method"`
}

// sessionRow is a line of the page of sessions.
type sessionRow struct {
	ID         uuid.UUID   `db:"id"`
	IP         *netip.Addr `db:"ip"`
	UserAgent  string      `db:"user_agent"`
	CreatedAt  time.Time   `db:"created_at"`
	LastSeenAt time.Time   `db:"last_seen_at"`
}

const endSession = `
	UPDATE sessions SET revoked_at = @now, revoked_reason = @reason, id_token = NULL
	WHERE revoked_at IS NULL AND expires_at > @now AND `

// Sessions.
var (
	insertSession = db.DefineSystemCommand("identity.insert_session", `
	INSERT INTO sessions (id, token_hash, user_id, auth_method, issuer, subject, sid, id_token, amr, ip, user_agent,
		created_at, signed_in_at, last_seen_at, expires_at)
	VALUES (@id, @hash, @user, @method, nullif(@issuer, ''), nullif(@subject, ''), nullif(@sid, ''), @id_token, @amr, @ip,
		@user_agent, @now, @signed_in, @now, @expires)`)
	sessionByHash = db.DefineSystem[sessionHint]("identity.session_hint", `
	SELECT id_token, auth_method FROM sessions
	WHERE (token_hash = @hash OR previous_hash = @hash AND previous_until > @now)
		AND revoked_at IS NULL AND expires_at > @now`)
	endByHash = db.DefineSystem[endedSession]("identity.end_by_hash", endSession+`
		(token_hash = @hash OR previous_hash = @hash AND previous_until > @now)
	RETURNING id, user_id`)
	endByID = db.DefineSystem[endedSession]("identity.end_by_id", endSession+`
		id = @id AND user_id = @user
	RETURNING id, user_id`)
	endOthers = db.DefineSystem[endedSession]("identity.end_others", endSession+`
		user_id = @user AND id <> @id
	RETURNING id, user_id`)
	endBySID = db.DefineSystem[endedSession]("identity.end_by_sid", endSession+`
		issuer = @issuer AND sid = @sid AND (@subject = '' OR subject = @subject)
	RETURNING id, user_id`)
	endBySubject = db.DefineSystem[endedSession]("identity.end_by_subject", endSession+`
		issuer = @issuer AND subject = @subject
	RETURNING id, user_id`)
	useLogoutToken = db.DefineSystemCommand("identity.use_logout_token", `
	INSERT INTO used_logout_tokens (issuer, jti, expires_at) VALUES (@issuer, @jti, @expires) ON CONFLICT DO NOTHING`)
	openSessions = db.DefineSystem[sessionRow]("identity.open_sessions", `
	SELECT id, ip, user_agent, created_at, last_seen_at
	FROM sessions
	WHERE user_id = @user AND revoked_at IS NULL AND expires_at > @now AND last_seen_at > @idle_since
	ORDER BY last_seen_at DESC, id
	LIMIT 200`)
	sweepSessions = db.DefineSystemCommand("identity.sweep_sessions", `
	DELETE FROM sessions WHERE expires_at < @before`)
	sweepLogoutTokens = db.DefineSystemCommand("identity.sweep_logout_tokens", `
	DELETE FROM used_logout_tokens WHERE expires_at < @now`)
)

// entryExists finds whether a job that runs twice has already recorded its entry.
var entryExists = db.Define[bool]("identity.entry_exists", `
	SELECT EXISTS (SELECT 1 FROM audit.event
		WHERE workspace_id = @ws AND target_type = @type AND target_id = @id AND action = @action
			AND request_id IS NOT DISTINCT FROM @request)`)
