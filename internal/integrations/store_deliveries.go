package integrations

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const deliveryColumns = `d.id, d.endpoint_id, d.event_id, d.event_name, d.state, d.run, d.attempts, d.next_attempt_at,
	d.last_attempt_at, d.last_status, d.last_error, d.created_at`

// queuedRow is a delivery that was put in the queue.
type queuedRow struct {
	ID         uuid.UUID `db:"id"`
	EndpointID uuid.UUID `db:"endpoint_id"`
	Run        int       `db:"run"`
}

// work is what an attempt needs, in one row.
type work struct {
	Body          []byte     `db:"body"`
	EventID       uuid.UUID  `db:"event_id"`
	State         State      `db:"state"`
	Run           int        `db:"run"`
	Tries         int        `db:"tries"`
	NextAttemptAt *time.Time `db:"next_attempt_at"`
	target
}

// target is where an endpoint is and how to sign for it. It is never shown or logged.
type target struct {
	URL            string     `db:"url"`
	Enabled        bool       `db:"enabled"`
	FailingSince   *time.Time `db:"failing_since"`
	SecretSealed   []byte     `db:"secret_sealed"`
	PreviousSealed []byte     `db:"previous_sealed"`
	PreviousUntil  *time.Time `db:"previous_until"`
	Networks       string     `db:"networks"`
}

const targetColumns = `e.url, e.enabled, e.failing_since, e.secret_sealed, e.previous_sealed, e.previous_until,
	coalesce((SELECT s.networks FROM webhook_settings s WHERE s.workspace_id = @ws), '') AS networks`

// deliveryDetail is a delivery with what was sent.
type deliveryDetail struct {
	Delivery
	Body []byte `db:"body"`
}

var (
	insertDeliveries = db.Define[queuedRow]("integrations.insert_deliveries", `
	WITH b AS (
		INSERT INTO webhook_bodies (workspace_id, event_id, body, created_at) VALUES (@ws, @event, @body, @now)
		ON CONFLICT (workspace_id, event_id) DO NOTHING)
	INSERT INTO webhook_deliveries (workspace_id, id, endpoint_id, event_id, event_name, state, next_attempt_at, created_at)
	SELECT @ws, n.id, n.endpoint_id, @event, @name, 'pending', @now, @now
	FROM unnest(@ids::uuid[], @endpoints::uuid[]) AS n (id, endpoint_id)
	ON CONFLICT ON CONSTRAINT webhook_deliveries_once DO NOTHING
	RETURNING id, endpoint_id, run`)
	loadWork = db.Define[work]("integrations.load_work", `
	SELECT b.body, d.event_id, d.state, d.run, d.tries, d.next_attempt_at, `+targetColumns+`
	FROM webhook_deliveries d JOIN webhook_endpoints e ON e.workspace_id = d.workspace_id AND e.id = d.endpoint_id
	JOIN webhook_bodies b ON b.workspace_id = d.workspace_id AND b.event_id = d.event_id
	WHERE d.workspace_id = @ws AND d.id = @id`)
	loadTarget = db.Define[target]("integrations.load_target", `
	SELECT `+targetColumns+` FROM webhook_endpoints e WHERE e.workspace_id = @ws AND e.id = @id`).Called("webhook")

	// An attempt of a run that a replay has ended is kept, but decides nothing any more.
	saveAttempt = db.Define[int]("integrations.save_attempt", `
	WITH d AS (
		UPDATE webhook_deliveries
		SET attempts = attempts + 1, last_attempt_at = @started, last_status = @status, last_error = @error,
			tries = CASE WHEN run = @run THEN tries + 1 ELSE tries END,
			state = CASE WHEN run = @run THEN @state ELSE state END,
			next_attempt_at = CASE WHEN run = @run THEN @next::timestamptz ELSE next_attempt_at END
		WHERE workspace_id = @ws AND id = @id
		RETURNING id, attempts)
	INSERT INTO webhook_attempts (workspace_id, delivery_id, number, started_at, latency_us, status, outcome, error_class, signature, answer)
	SELECT @ws, d.id, d.attempts, @started, @latency, @status, @outcome, @error, @signature, @answer FROM d
	RETURNING number`)
	failDelivery = db.Define[uuid.UUID]("integrations.fail_delivery", `
	UPDATE webhook_deliveries SET state = 'failed', next_attempt_at = NULL, last_error = @error
	WHERE workspace_id = @ws AND id = @id AND run = @run AND state = 'pending'
	RETURNING id`)

	lockDelivery = db.Define[Delivery]("integrations.lock_delivery", `
	SELECT `+deliveryColumns+` FROM webhook_deliveries d WHERE d.workspace_id = @ws AND d.id = @id FOR UPDATE`).Called("delivery")
	replayDelivery = db.Define[queuedRow]("integrations.replay_delivery", `
	UPDATE webhook_deliveries SET state = 'pending', run = run + 1, tries = 0, next_attempt_at = @now
	WHERE workspace_id = @ws AND id = @id
	RETURNING id, endpoint_id, run`)
	replayFailed = db.Define[queuedRow]("integrations.replay_failed", `
	UPDATE webhook_deliveries SET state = 'pending', run = run + 1, tries = 0, next_attempt_at = @now
	WHERE workspace_id = @ws AND id IN (
		SELECT d.id FROM webhook_deliveries d
		WHERE d.workspace_id = @ws AND d.endpoint_id = @endpoint AND d.trouble = 'failed' AND d.created_at >= @since
		ORDER BY d.created_at, d.id LIMIT @limit FOR UPDATE)
	RETURNING id, endpoint_id, run`)

	oneDelivery = db.Define[deliveryDetail]("integrations.delivery", `
	SELECT `+deliveryColumns+`, b.body
	FROM webhook_deliveries d JOIN webhook_bodies b ON b.workspace_id = d.workspace_id AND b.event_id = d.event_id
	WHERE d.workspace_id = @ws AND d.endpoint_id = @endpoint AND d.id = @id`).Called("delivery")
	attemptsOf = db.Define[Attempt]("integrations.attempts", `
	SELECT number, started_at, latency_us, status, outcome, error_class, signature, answer FROM webhook_attempts
	WHERE workspace_id = @ws AND delivery_id = @id ORDER BY number DESC LIMIT 100`)
	countFailed = db.Define[int64]("integrations.count_failed", `
	SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries d
	WHERE d.workspace_id = @ws AND d.endpoint_id = @endpoint AND d.trouble = 'failed' LIMIT 10001) AS capped`)

	expireDeliveries = db.DefineSystemCommand("integrations.expire_deliveries", `
	DELETE FROM webhook_deliveries WHERE (workspace_id, id) IN (
		SELECT workspace_id, id FROM webhook_deliveries
		WHERE created_at < @before AND state <> 'pending' ORDER BY created_at LIMIT @limit)`)
	expireBodies = db.DefineSystemCommand("integrations.expire_bodies", `
	DELETE FROM webhook_bodies WHERE (workspace_id, event_id) IN (
		SELECT b.workspace_id, b.event_id FROM webhook_bodies b
		WHERE b.created_at < @before AND NOT EXISTS (
			SELECT 1 FROM webhook_deliveries d WHERE d.workspace_id = b.workspace_id AND d.event_id = b.event_id)
		ORDER BY b.created_at LIMIT @limit)`)
)

// settled is an attempt with what follows from it.
type settled struct {
	delivery, endpoint uuid.UUID
	run                int
	sent               sentAttempt
	verdict            verdict
	wasFailing         bool
}

func (s settled) queue(b *db.Batch) {
	saveAttempt.Queue(b, db.Args{
		"id": s.delivery, "run": s.run, "started": s.sent.startedAt, "latency": s.sent.Latency.Microseconds(), "status": orNil(s.sent.Status),
		"outcome": string(s.sent.Outcome), "error": string(s.sent.ErrorClass), "state": string(s.verdict.State), "next": s.verdict.NextAt,
		"signature": s.sent.signature, "answer": append([]byte{}, s.sent.Body...), // never NULL
	})
}

var deliveryList = db.DefineList(db.ListSpec[Delivery]{
	Name: "integrations.delivery_list", Columns: deliveryColumns, From: "webhook_deliveries d",
	Where: `d.workspace_id = @ws`,
	Filters: map[string]string{
		"endpoint":  `d.endpoint_id = @endpoint`,
		"delivered": `d.state = 'delivered'`,
		"pending":   `d.state = 'pending'`,
		"failed":    `d.trouble = 'failed'`,
	},
	Sorts: map[string]db.SortBy[Delivery]{
		"created_at": {Expr: "d.created_at", Cast: "timestamptz", Of: func(d Delivery) string { return d.CreatedAt.UTC().Format(time.RFC3339Nano) }},
	},
	Default: "-created_at",
	IDExpr:  "d.id",
	ID:      func(d Delivery) uuid.UUID { return d.ID },
})
