package identity

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const (
	tokenColumns = `t.id, t.kind, t.name, t.prefix, t.user_id AS owner_id, coalesce(o.name, '') AS owner_name,
		coalesce(t.role, '') AS role, t.scopes, coalesce(c.name, '') AS created_by_name, t.created_at, t.expires_at,
		t.last_used_at, t.revoked_at`
	tokenFrom = `api_tokens t
	LEFT JOIN users o ON o.id = t.user_id
	LEFT JOIN users c ON c.id = t.created_by`
)

var (
	insertToken = db.DefineCommand("identity.insert_token", `
	INSERT INTO api_tokens (workspace_id, id, token_hash, prefix, kind, user_id, role, name, scopes, created_by, created_at, expires_at)
	VALUES (@ws, @id, @hash, @prefix, @kind, @user, nullif(@role, ''), @name, @scopes, @created_by, @now, @expires)`)
	oneToken = db.Define[Token]("identity.token", `
	SELECT `+tokenColumns+`
	FROM `+tokenFrom+`
	WHERE t.workspace_id = @ws AND t.id = @id`).Called("token")
	lockToken = db.Define[Token]("identity.lock_token", `
	SELECT `+tokenColumns+`
	FROM `+tokenFrom+`
	WHERE t.workspace_id = @ws AND t.id = @id
	FOR UPDATE OF t`).Called("token")
	lockTokensOf = db.Define[Token]("identity.lock_tokens_of", `
	SELECT `+tokenColumns+`
	FROM `+tokenFrom+`
	WHERE t.workspace_id = @ws AND t.user_id = @user AND t.revoked_at IS NULL
	ORDER BY t.id
	LIMIT 10000
	FOR UPDATE OF t`)
	tokensByID = db.Define[Token]("identity.tokens_by_id", `
	SELECT `+tokenColumns+`
	FROM `+tokenFrom+`
	WHERE t.workspace_id = @ws AND t.id = ANY (@ids)`)
	revokeToken = db.DefineCommand("identity.revoke_token", `
	UPDATE api_tokens SET revoked_at = @now WHERE workspace_id = @ws AND id = @id AND revoked_at IS NULL`)
)

var tokenList = db.DefineList(db.ListSpec[Token]{
	Name: "identity.tokens", Columns: tokenColumns, From: tokenFrom,
	Where: "t.workspace_id = @ws AND t.revoked_at IS NULL",
	Filters: map[string]string{
		"owner": "t.user_id = @user",
		"kind":  "t.kind = @kind",
	},
	Sorts: map[string]db.SortBy[Token]{
		"created_at": {Expr: "t.created_at", Cast: "timestamptz", Of: func(t Token) string { return t.CreatedAt.Format(time.RFC3339Nano) }},
		"name":       {Expr: "t.name", Cast: "text", Of: func(t Token) string { return t.Name }},
	},
	Default: "-created_at", IDExpr: "t.id", ID: func(t Token) uuid.UUID { return t.ID },
})

// ownTokenRow is a line of the account page: a personal token and its workspace.
type ownTokenRow struct {
	ID            uuid.UUID  `db:"id"`
	Name          string     `db:"name"`
	Prefix        string     `db:"prefix"`
	Scopes        []string   `db:"scopes"`
	ExpiresAt     *time.Time `db:"expires_at"`
	LastUsedAt    *time.Time `db:"last_used_at"`
	WorkspaceSlug string     `db:"workspace_slug"`
	WorkspaceName string     `db:"workspace_name"`
}

// tokensOfPerson goes across workspaces: the account page belongs to none.
var tokensOfPerson = db.DefineSystem[ownTokenRow]("identity.tokens_of_person", `
	SELECT t.id, t.name, t.prefix, t.scopes, t.expires_at, t.last_used_at, w.slug AS workspace_slug, w.name AS workspace_name
	FROM api_tokens t
	JOIN workspaces w ON w.id = t.workspace_id
	WHERE t.user_id = @user AND t.revoked_at IS NULL
		AND EXISTS (SELECT 1 FROM members m
			WHERE m.workspace_id = t.workspace_id AND m.user_id = t.user_id AND m.state = 'active'
			UNION ALL SELECT 1 FROM users u WHERE u.id = t.user_id AND u.platform_admin)
	ORDER BY w.name, t.created_at DESC, t.id
	LIMIT 500`)
