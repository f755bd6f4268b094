package integrations

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const endpointColumns = `e.id, e.url, e.description, e.patterns, e.enabled, e.disabled_reason, e.disabled_at, e.failing_since,
	e.previous_until, e.created_at, e.updated_at, e.version`

var (
	oneEndpoint = db.Define[Endpoint]("integrations.endpoint", `
	SELECT `+endpointColumns+` FROM webhook_endpoints e WHERE e.workspace_id = @ws AND e.id = @id`).Called("webhook")
	lockEndpoint = db.Define[Endpoint]("integrations.lock_endpoint", `
	SELECT `+endpointColumns+` FROM webhook_endpoints e WHERE e.workspace_id = @ws AND e.id = @id FOR UPDATE`).Called("webhook")
	allEndpoints = db.Define[Endpoint]("integrations.endpoints", `
	SELECT `+endpointColumns+` FROM webhook_endpoints e WHERE e.workspace_id = @ws ORDER BY e.id LIMIT @limit`)
	endpointsByID = db.Define[Endpoint]("integrations.endpoints_by_id", `
	SELECT `+endpointColumns+` FROM webhook_endpoints e WHERE e.workspace_id = @ws AND e.id = ANY (@ids) ORDER BY e.id LIMIT @limit`)
	findEndpoints = db.Define[Endpoint]("integrations.find_endpoints", `
	SELECT `+endpointColumns+` FROM webhook_endpoints e
	WHERE e.workspace_id = @ws AND strpos(lower(e.description || ' ' || e.url), lower(@text)) > 0
	ORDER BY e.id LIMIT @limit`)
	// A statement of its own before the count: that one must see what others committed.
	lockCount = db.DefineCommand("integrations.lock_count", `
	SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoints ' || @ws::text, 0))`)
	countEndpoints = db.Define[int64]("integrations.count_endpoints", `
	SELECT count(*) FROM webhook_endpoints WHERE workspace_id = @ws`)

	insertEndpointRow = db.DefineCommand("integrations.insert_endpoint", `
	INSERT INTO webhook_endpoints (workspace_id, id, url, description, patterns, enabled, disabled_reason, disabled_at,
		secret_sealed, created_at, updated_at)
	VALUES (@ws, @id, @url, @description, @patterns, @enabled, @disabled_reason, @disabled_at, @sealed, @now, @now)`)
	updateEndpoint = db.DefineCommand("integrations.update_endpoint", `
	UPDATE webhook_endpoints
	SET url = @url, description = @description, patterns = @patterns, enabled = @enabled, disabled_reason = @disabled_reason,
		disabled_at = @disabled_at, failing_since = @failing_since, updated_at = @now, version = @version
	WHERE workspace_id = @ws AND id = @id`)
	deleteEndpoint = db.DefineCommand("integrations.delete_endpoint", `
	DELETE FROM webhook_endpoints WHERE workspace_id = @ws AND id = @id`)
	rotateSecret = db.DefineCommand("integrations.rotate_secret", `
	UPDATE webhook_endpoints
	SET previous_sealed = secret_sealed, previous_until = @until, secret_sealed = @sealed, updated_at = @now, version = version + 1
	WHERE workspace_id = @ws AND id = @id`)
	startFailing = db.Define[uuid.UUID]("integrations.start_failing", `
	UPDATE webhook_endpoints SET failing_since = @since
	WHERE workspace_id = @ws AND id = @id AND failing_since IS NULL AND enabled
	RETURNING id`)
	stopFailing = db.Define[uuid.UUID]("integrations.stop_failing", `
	UPDATE webhook_endpoints SET failing_since = NULL
	WHERE workspace_id = @ws AND id = @id AND failing_since IS NOT NULL AND enabled
	RETURNING id`)

	readNetworks = db.Define[Networks]("integrations.networks", `
	SELECT networks, version FROM webhook_settings WHERE workspace_id = @ws`)
	lockNetworks = db.Define[Networks]("integrations.lock_networks", `
	SELECT networks, version FROM webhook_settings WHERE workspace_id = @ws FOR UPDATE`)
	saveNetworks = db.DefineCommand("integrations.save_networks", `
	INSERT INTO webhook_settings (workspace_id, id, networks, updated_at, version)
	VALUES (@ws, @ws, @networks, @now, @version)
	ON CONFLICT (workspace_id) DO UPDATE
	SET networks = excluded.networks, updated_at = excluded.updated_at, version = excluded.version
	WHERE webhook_settings.version = excluded.version - 1`)
)

func insertEndpoint(ctx context.Context, tx *db.Tx, e Endpoint, sealed []byte) error {
	_, err := insertEndpointRow.Run(ctx, tx, db.Args{
		"id": e.ID, "url": e.URL, "description": e.Description, "patterns": e.Patterns, "enabled": e.Enabled,
		"disabled_reason": e.DisabledReason, "disabled_at": e.DisabledAt, "sealed": sealed,
	})
	return err
}

func saveEndpoint(ctx context.Context, tx *db.Tx, e Endpoint) error {
	_, err := updateEndpoint.Run(ctx, tx, db.Args{
		"id": e.ID, "url": e.URL, "description": e.Description, "patterns": e.Patterns, "enabled": e.Enabled,
		"disabled_reason": e.DisabledReason, "disabled_at": e.DisabledAt, "failing_since": e.FailingSince, "version": e.Version,
	})
	return err
}

// EndpointRow is an endpoint in the list, with its newest delivery.
type EndpointRow struct {
	Endpoint
	LastState *State     `db:"last_state"`
	LastAt    *time.Time `db:"last_at"`
}

var endpointList = db.DefineList(db.ListSpec[EndpointRow]{
	Name:    "integrations.endpoint_list",
	Columns: endpointColumns + `, d.state AS last_state, d.created_at AS last_at`,
	From: `webhook_endpoints e LEFT JOIN LATERAL (
		SELECT d.state, d.created_at FROM webhook_deliveries d
		WHERE d.workspace_id = e.workspace_id AND d.endpoint_id = e.id
		ORDER BY d.created_at DESC, d.id DESC LIMIT 1) d ON true`,
	Where: `e.workspace_id = @ws`,
	Filters: map[string]string{
		"text":     `strpos(lower(e.description || ' ' || e.url), lower(@text)) > 0`,
		"enabled":  `e.enabled AND e.failing_since IS NULL`,
		"failing":  `e.enabled AND e.failing_since IS NOT NULL`,
		"disabled": `NOT e.enabled`,
	},
	Sorts: map[string]db.SortBy[EndpointRow]{
		"created_at": {Expr: "e.created_at", Cast: "timestamptz", Of: func(r EndpointRow) string { return r.CreatedAt.UTC().Format(time.RFC3339Nano) }},
		"url":        {Expr: "e.url", Cast: "text", Of: func(r EndpointRow) string { return r.URL }},
	},
	Default: "created_at",
	IDExpr:  "e.id",
	ID:      func(r EndpointRow) uuid.UUID { return r.ID },
})
