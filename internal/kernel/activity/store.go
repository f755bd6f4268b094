package activity

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Row is an entry as it is stored, with the sealed personal data of its actor.
type Row struct {
	WorkspaceID uuid.UUID       `db:"workspace_id"`
	EventID     uuid.UUID       `db:"event_id"`
	RecordedAt  time.Time       `db:"recorded_at"`
	OccurredAt  time.Time       `db:"occurred_at"`
	Action      string          `db:"action"`
	Category    int16           `db:"category"`
	Outcome     int16           `db:"outcome"`
	Severity    int16           `db:"severity"`
	ActorKind   int16           `db:"actor_kind"`
	ActorID     uuid.NullUUID   `db:"actor_id"`
	OnBehalfOf  uuid.NullUUID   `db:"on_behalf_of"`
	AuthMethod  *string         `db:"auth_method"`
	SessionID   uuid.NullUUID   `db:"session_id"`
	MFA         *string         `db:"mfa"`
	TargetType  string          `db:"target_type"`
	TargetID    uuid.UUID       `db:"target_id"`
	TargetKey   string          `db:"target_key"`
	ParentType  *string         `db:"parent_type"`
	ParentID    uuid.NullUUID   `db:"parent_id"`
	RequestID   uuid.NullUUID   `db:"request_id"`
	TraceID     *string         `db:"trace_id"`
	IP          *string         `db:"ip"`
	Reason      *string         `db:"reason"`
	Diff        json.RawMessage `db:"diff"`
	Detail      json.RawMessage `db:"detail"`
	PIIRef      uuid.NullUUID   `db:"pii_ref"`
	PIISubject  uuid.NullUUID   `db:"pii_subject"`
	Ciphertext  []byte          `db:"ciphertext"`
	SealedKey   []byte          `db:"sealed_key"`
}

// Columns and From select rows for Entries; the entry itself is called e. A query adds its
// own WHERE, which names e.workspace_id and bounds e.recorded_at, so that partitions are
// pruned.
const (
	Columns = `e.workspace_id, e.event_id, e.recorded_at, e.occurred_at, e.action, e.category, e.outcome, e.severity,
	e.actor_kind, e.actor_id, e.on_behalf_of, e.auth_method, e.session_id, e.mfa, e.target_type, e.target_id,
	e.target_key, e.parent_type, e.parent_id, e.request_id, e.trace_id, host(e.ip) AS ip, e.reason, e.diff, e.detail,
	e.pii_ref, p.subject_id AS pii_subject, p.ciphertext, k.sealed_key`
	From = `audit.event e` + joinPeople

	joinPeople = `
	LEFT JOIN audit.pii p ON p.workspace_id = e.workspace_id AND p.id = e.pii_ref
	LEFT JOIN audit.pii_key k ON k.workspace_id = p.workspace_id AND k.subject_id = p.subject_id`

	plain = `workspace_id, event_id, recorded_at, occurred_at, action, category, outcome, severity, actor_kind, actor_id,
		on_behalf_of, auth_method, session_id, mfa, target_type, target_id, target_key, parent_type, parent_id,
		request_id, trace_id, ip, reason, diff, detail, pii_ref`

	// reach is how far back the history of a thing goes: as many partitions as the log keeps
	// attached (governance.md 2.7, rule 6).
	reach = `recorded_at >= @now::timestamptz - interval '36 months'`
)

// Two ordered reads of limit rows each: one index serves the thing, another what belongs
// to it, and an OR of both would be served by neither.
var ofThing = db.Define[Row]("activity.of_thing", `
	SELECT `+Columns+` FROM (
		(SELECT `+plain+` FROM audit.event
		WHERE workspace_id = @ws AND `+reach+` AND target_type = @type AND target_id = @id
		ORDER BY recorded_at DESC, event_id DESC LIMIT @limit)
		UNION ALL
		(SELECT `+plain+` FROM audit.event
		WHERE workspace_id = @ws AND `+reach+` AND parent_type = @type AND parent_id = @id
			AND NOT (target_type = @type AND target_id = @id)
		ORDER BY recorded_at DESC, event_id DESC LIMIT @limit)
	) AS e`+joinPeople+`
	ORDER BY e.recorded_at DESC, e.event_id DESC LIMIT @limit`)

func ofThingArgs(targetType string, id uuid.UUID, limit int) db.Args {
	return db.Args{"type": targetType, "id": id, "limit": limit}
}

// Of reads the newest entries about a thing and about what belongs to it, newest first.
func (r *Reader) Of(ctx context.Context, tx *db.Tx, targetType string, id uuid.UUID, limit int) ([]Entry, error) {
	rows, err := ofThing.All(ctx, tx, ofThingArgs(targetType, id, limit))
	if err != nil {
		return nil, err
	}
	return r.Entries(rows)
}

// Pending is a read that was queued and not run yet.
type Pending struct {
	r    *Reader
	rows *db.Result[Row]
}

// Queue adds the read of Of to a batch.
func (r *Reader) Queue(b *db.Batch, targetType string, id uuid.UUID, limit int) *Pending {
	return &Pending{r: r, rows: ofThing.Queue(b, ofThingArgs(targetType, id, limit))}
}

// Entries returns what was read, once the batch has run, newest first.
func (p *Pending) Entries() ([]Entry, error) { return p.r.Entries(p.rows.Rows) }
