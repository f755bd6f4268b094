package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

var insertAudit = db.DefineCommand("ledger.insert_audit", `
	INSERT INTO audit.event (workspace_id, event_id, occurred_at, action, category, outcome, severity, actor_kind,
		actor_id, auth_method, session_id, mfa, target_type, target_id, target_key, parent_type, parent_id,
		request_id, ip, pii_ref, reason, diff, detail, leaf_salt)
	VALUES (@ws, @id, @now, @action, @category, @outcome, @severity, @actor_kind,
		@actor_id, @auth_method, @session_id, @mfa, @target_type, @target_id, @target_key, @parent_type, @parent_id,
		@request_id, @ip, @pii_ref, @reason, @diff, @detail, @salt)`)

var insertEvent = db.DefineCommand("ledger.insert_event", `
	INSERT INTO events (workspace_id, id, name, occurred_at, actor_kind, actor_id, actor_name, reason,
		subject_type, subject_id, subject_key, subject_title, severity, payload, request_id)
	VALUES (@ws, @id, @name, @now, @actor_kind, @actor_id, @actor_name, @reason,
		@subject_type, @subject_id, @subject_key, @subject_title, @severity, @payload, @request_id)`)

// insertAudits and insertEvents write many rows, which share who did it and when.
var insertAudits = db.DefineCommand("ledger.insert_audits", `
	INSERT INTO audit.event (workspace_id, event_id, occurred_at, action, category, outcome, severity, actor_kind,
		actor_id, auth_method, session_id, mfa, target_type, target_id, target_key, parent_type, parent_id,
		request_id, ip, pii_ref, reason, diff, detail, leaf_salt)
	SELECT @ws, r.id, @now, r.action, r.category, r.outcome, r.severity, @actor_kind,
		@actor_id, @auth_method, @session_id, @mfa, r.target_type, r.target_id, r.target_key, r.parent_type, r.parent_id,
		@request_id, @ip, @pii_ref, r.reason, r.diff::jsonb, r.detail::jsonb, r.salt
	FROM unnest(@ids::uuid[], @actions::text[], @categories::smallint[], @outcomes::smallint[], @severities::smallint[],
		@target_types::text[], @target_ids::uuid[], @target_keys::text[], @parent_types::text[], @parent_ids::uuid[],
		@reasons::text[], @diffs::text[], @details::text[], @salts::bytea[])
		AS r (id, action, category, outcome, severity, target_type, target_id, target_key, parent_type, parent_id, reason, diff, detail, salt)`)

var insertEvents = db.DefineCommand("ledger.insert_events", `
	INSERT INTO events (workspace_id, id, name, occurred_at, actor_kind, actor_id, actor_name, reason,
		subject_type, subject_id, subject_key, subject_title, severity, payload, request_id)
	SELECT @ws, r.id, r.name, @now, @actor_kind, @actor_id, @actor_name, r.reason,
		r.subject_type, r.subject_id, r.subject_key, r.subject_title, r.severity, r.payload::jsonb, @request_id
	FROM unnest(@ids::uuid[], @names::text[], @reasons::text[], @subject_types::text[], @subject_ids::uuid[], @subject_keys::text[],
		@subject_titles::text[], @severities::text[], @payloads::text[])
		AS r (id, name, reason, subject_type, subject_id, subject_key, subject_title, severity, payload)`)

// chunk is how many entries one statement writes.
const chunk = 1000

// RecordAll writes many entries in tx, as Record writes one: each with its audit row, its
// event and its jobs, or none of any. It returns their ids in the order of the entries.
func (l *Ledger) RecordAll(ctx context.Context, tx *db.Tx, entries []Entry) ([]uuid.UUID, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	rows := make([]row, len(entries))
	ids := make([]uuid.UUID, len(entries))
	var jobs []river.JobArgs
	for i, e := range entries {
		var err error
		if rows[i], err = l.prepare(tx, e); err != nil {
			return nil, err
		}
		ids[i] = rows[i].id
		jobs = append(jobs, rows[i].jobs...)
	}
	common, err := l.common(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("record %d entries: %w", len(entries), err)
	}
	for part := range slices.Chunk(rows, chunk) {
		if err := writeRows(ctx, tx, part, common); err != nil {
			return nil, fmt.Errorf("record %d entries: %w", len(entries), err)
		}
	}
	for part := range slices.Chunk(jobs, chunk) {
		if err := l.jobs.Insert(ctx, tx, part...); err != nil {
			return nil, fmt.Errorf("record %d entries: %w", len(entries), err)
		}
	}
	return ids, nil
}

// common returns what all audit rows of a transaction share: who did it.
func (l *Ledger) common(ctx context.Context, tx *db.Tx) (db.Args, error) {
	a := tx.Actor
	pii, err := l.people.ref(ctx, tx)
	if err != nil {
		return nil, err
	}
	return db.Args{
		"actor_kind": int16(a.Kind), "actor_id": orNull(a.ID), "auth_method": orNil(a.AuthMethod), "session_id": orNull(a.SessionID),
		"mfa": nil, "request_id": orNull(a.RequestID), "ip": address(a.IP), "pii_ref": pii,
	}, nil
}

func (r row) auditArgs(common db.Args) db.Args {
	e := r.entry
	args := db.Args{
		"id": r.id, "action": e.Action, "category": int16(r.category), "outcome": int16(e.Outcome), "severity": ocsf(e.Severity),
		"target_type": e.Subject.Type, "target_id": e.Subject.ID, "target_key": e.Subject.Key, "parent_type": nil, "parent_id": nil,
		"reason": orNil(r.reason), "diff": r.diff, "detail": r.detail, "salt": r.salt,
	}
	if e.Parent != nil {
		args["parent_type"], args["parent_id"] = e.Parent.Type, e.Parent.ID
	}
	maps.Copy(args, common)
	return args
}

func (r row) eventArgs(a db.Actor) db.Args {
	e := r.entry
	return db.Args{
		"id": r.id, "name": e.Action, "actor_kind": int16(a.Kind), "actor_id": orNull(a.ID), "actor_name": a.Name,
		"reason": r.reason, "subject_type": e.Subject.Type, "subject_id": e.Subject.ID, "subject_key": e.Subject.Key,
		"subject_title": e.Subject.Title, "severity": string(e.Severity), "payload": r.payload, "request_id": orNull(a.RequestID),
	}
}

func writeRows(ctx context.Context, tx *db.Tx, rows []row, common db.Args) error {
	n := len(rows)
	ids, targets, parents := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.NullUUID, n)
	categories, outcomes, severities := make([]int16, n), make([]int16, n), make([]int16, n)
	actions, types, keys := make([]string, n), make([]string, n), make([]string, n)
	parentTypes, reasons := make([]*string, n), make([]*string, n)
	diffs, details, salts := make([]string, n), make([]string, n), make([][]byte, n)
	emitted := make([]row, 0, n)
	for i, r := range rows {
		e := r.entry
		ids[i], targets[i], actions[i], types[i], keys[i] = r.id, e.Subject.ID, e.Action, e.Subject.Type, e.Subject.Key
		categories[i], outcomes[i], severities[i] = int16(r.category), int16(e.Outcome), ocsf(e.Severity)
		reasons[i], diffs[i], details[i], salts[i] = orNil(r.reason), string(r.diff), string(r.detail), r.salt
		if e.Parent != nil {
			parentTypes[i], parents[i] = &e.Parent.Type, uuid.NullUUID{UUID: e.Parent.ID, Valid: true}
		}
		if r.emitted {
			emitted = append(emitted, r)
		}
	}
	args := db.Args{
		"ids": ids, "actions": actions, "categories": categories, "outcomes": outcomes, "severities": severities, "target_types": types,
		"target_ids": targets, "target_keys": keys, "parent_types": parentTypes, "parent_ids": parents, "reasons": reasons,
		"diffs": diffs, "details": details, "salts": salts,
	}
	maps.Copy(args, common)
	if _, err := insertAudits.Run(ctx, tx, args); err != nil {
		return err
	}
	return writeEvents(ctx, tx, emitted)
}

func writeEvents(ctx context.Context, tx *db.Tx, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	a, n := tx.Actor, len(rows)
	ids, subjects := make([]uuid.UUID, n), make([]uuid.UUID, n)
	names, reasons, types, keys := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	titles, severities, payloads := make([]string, n), make([]string, n), make([]string, n)
	for i, r := range rows {
		e := r.entry
		ids[i], names[i], reasons[i], types[i], subjects[i] = r.id, e.Action, r.reason, e.Subject.Type, e.Subject.ID
		keys[i], titles[i], severities[i], payloads[i] = e.Subject.Key, e.Subject.Title, string(e.Severity), string(r.payload)
	}
	_, err := insertEvents.Run(ctx, tx, db.Args{
		"ids": ids, "names": names, "reasons": reasons, "subject_types": types, "subject_ids": subjects, "subject_keys": keys,
		"subject_titles": titles, "severities": severities, "payloads": payloads,
		"actor_kind": int16(a.Kind), "actor_id": orNull(a.ID), "actor_name": a.Name, "request_id": orNull(a.RequestID),
	})
	return err
}

var nextKey = db.Define[int64]("ledger.next_key", `
	INSERT INTO key_counters (workspace_id, prefix, last) VALUES (@ws, @prefix, 1)
	ON CONFLICT (workspace_id, prefix) DO UPDATE SET last = key_counters.last + 1
	RETURNING last`)

// NextKey draws the next key of a prefix in the workspace, such as CHG-00012 for width 5.
// Keys are never reused. The counter row stays locked until tx ends.
func NextKey(ctx context.Context, tx *db.Tx, prefix string, width int) (string, error) {
	n, err := nextKey.One(ctx, tx, db.Args{"prefix": prefix})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s-%0*d", prefix, width, n), nil
}
