// Package ledger records what happened. One call, in the transaction of the state
// change, writes the audit entry, the event and the jobs that follow. If it fails,
// nothing happened.
package ledger

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// Outcome says how an action ended. The numbers are stored.
type Outcome int16

// The outcomes of the audit log.
const (
	Success Outcome = 1
	Denied  Outcome = 2
	Failed  Outcome = 3
)

// ErrUnknownAction is returned for a name that no module declared: a bug of ours that
// tests find.
var ErrUnknownAction = errors.New("ledger: action is not in the catalogue")

// Entry is one thing that happened.
type Entry struct {
	// Action is an event name of the catalogue.
	Action  string
	Subject event.Subject
	// Parent is the thing that the subject belongs to, such as the host of a scan.
	Parent *event.Subject
	// Before and After are compared field by field (see Diff); either may be nil.
	Before, After any
	// Changes are added to what Before and After give.
	Changes []Change
	// Detail is kept with the audit entry: strings, booleans, integers, lists and maps of them.
	Detail map[string]any
	// Payload is the body of the event, of the type that its declaration shows.
	Payload any
	Reason  string
	// Severity overrides the declared one when set.
	Severity event.Severity
	// Outcome is Success when zero. Entries that did not succeed make no event.
	Outcome Outcome
	// Jobs are inserted with the entry.
	Jobs []river.JobArgs
}

// Sealer seals personal data of entries; kernel/secret implements it.
type Sealer interface {
	Seal(workspace uuid.UUID, purpose string, plain []byte) ([]byte, error)
	Open(workspace uuid.UUID, purpose string, sealed []byte) ([]byte, error)
}

// Ledger records entries.
type Ledger struct {
	catalogue *event.Catalogue
	jobs      *job.Engine
	people    *people
}

// New returns a ledger.
func New(c *event.Catalogue, jobs *job.Engine, s Sealer) *Ledger {
	return &Ledger{catalogue: c, jobs: jobs, people: newPeople(s)}
}

// Catalogue returns the declared events.
func (l *Ledger) Catalogue() *event.Catalogue { return l.catalogue }

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

// Record writes the entry in tx and returns its id, which the event shares.
func (l *Ledger) Record(ctx context.Context, tx *db.Tx, e Entry) (uuid.UUID, error) {
	t, ok := l.catalogue.Type(e.Action)
	if !ok {
		return uuid.Nil, fmt.Errorf("%w: %s", ErrUnknownAction, e.Action)
	}
	if t.NeedsReason && e.Reason == "" {
		return uuid.Nil, fault.InvalidField("reason", "required", "Say why; this is kept in the audit log.")
	}
	if e.Severity == "" {
		e.Severity = t.Severity
	}
	if e.Outcome == 0 {
		e.Outcome = Success
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make event id: %w", err)
	}
	if err := l.writeAudit(ctx, tx, id, t, e); err != nil {
		return uuid.Nil, fmt.Errorf("record %s: %w", e.Action, err)
	}
	jobs := e.Jobs
	if e.Outcome == Success && !t.AuditOnly {
		if err := writeEvent(ctx, tx, id, e); err != nil {
			return uuid.Nil, fmt.Errorf("emit %s: %w", e.Action, err)
		}
		jobs = append([]river.JobArgs{event.DispatchArgs{
			InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, EventID: id, Name: e.Action,
		}}, jobs...)
	}
	if err := l.jobs.Insert(ctx, tx, jobs...); err != nil {
		return uuid.Nil, fmt.Errorf("record %s: %w", e.Action, err)
	}
	return id, nil
}

func (l *Ledger) writeAudit(ctx context.Context, tx *db.Tx, id uuid.UUID, t event.Type, e Entry) error {
	a := tx.Actor
	changes, err := Diff(e.Before, e.After)
	if err != nil {
		return err
	}
	diff, err := json.Marshal(limit(append(changes, e.Changes...)))
	if err != nil {
		return fmt.Errorf("encode changes: %w", err)
	}
	detail := map[string]any{}
	maps.Copy(detail, e.Detail)
	if e.Subject.Title != "" {
		detail["title"] = e.Subject.Title
	}
	if a.PlatformAdmin {
		detail["platform_admin"] = true
	}
	rawDetail, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("encode detail: %w", err)
	}
	pii, err := l.people.ref(ctx, tx)
	if err != nil {
		return err
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return fmt.Errorf("draw salt: %w", err)
	}
	reason := e.Reason
	if reason == "" {
		reason = a.Reason
	}
	args := db.Args{
		"id": id, "action": e.Action, "category": int16(t.Category), "outcome": int16(e.Outcome),
		"severity": ocsf(e.Severity), "actor_kind": int16(a.Kind), "actor_id": orNull(a.ID),
		"auth_method": orNil(a.AuthMethod), "session_id": orNull(a.SessionID), "mfa": orNil(a.MFA),
		"target_type": e.Subject.Type, "target_id": e.Subject.ID, "target_key": e.Subject.Key,
		"parent_type": nil, "parent_id": nil, "request_id": orNull(a.RequestID), "ip": address(a.IP),
		"pii_ref": pii, "reason": orNil(reason), "diff": diff, "detail": rawDetail, "salt": salt,
	}
	if e.Parent != nil {
		args["parent_type"], args["parent_id"] = e.Parent.Type, e.Parent.ID
	}
	_, err = insertAudit.Run(ctx, tx, args)
	return err
}

func writeEvent(ctx context.Context, tx *db.Tx, id uuid.UUID, e Entry) error {
	a := tx.Actor
	payload := []byte("{}")
	if e.Payload != nil {
		var err error
		if payload, err = json.Marshal(e.Payload); err != nil {
			return fmt.Errorf("encode payload: %w", err)
		}
	}
	reason := e.Reason
	if reason == "" {
		reason = a.Reason
	}
	_, err := insertEvent.Run(ctx, tx, db.Args{
		"id": id, "name": e.Action, "actor_kind": int16(a.Kind), "actor_id": orNull(a.ID), "actor_name": a.Name,
		"reason": reason, "subject_type": e.Subject.Type, "subject_id": e.Subject.ID,
		"subject_key": e.Subject.Key, "subject_title": e.Subject.Title, "severity": string(e.Severity),
		"payload": payload, "request_id": orNull(a.RequestID),
	})
	return err
}

// ocsf maps our severities to OCSF severity_id: 1 informational to 5 critical.
func ocsf(s event.Severity) int16 { return int16(s.Rank()) }

func orNull(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: id != uuid.Nil} }

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func address(ip netip.Addr) *netip.Addr {
	if !ip.IsValid() {
		return nil
	}
	ip = ip.Unmap().WithZone("")
	return &ip
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
