// Package ledger records what happened. One call, in the transaction of the state
// change, writes the audit entry, the event and the jobs that follow. If it fails,
// nothing happened.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/trace"
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

// insertEntries writes audit entries, the events of those that make one, and the job that
// hands each event out, in one statement: a round trip less costs more than a row. The row
// of a job is River's; TestTheJobOfAnEventIsWhatRiverWouldInsert holds it to that.
var insertEntries = db.DefineCommand("ledger.insert_entries", `
	WITH entry AS MATERIALIZED (
		SELECT * FROM unnest(@ids::uuid[], @actions::text[], @categories::smallint[], @outcomes::smallint[], @ocsf::smallint[],
			@target_types::text[], @target_ids::uuid[], @target_keys::text[], @parent_types::text[], @parent_ids::uuid[],
			@reasons::text[], @diffs::jsonb[], @details::jsonb[], @salts::bytea[], @emits::boolean[], @titles::text[],
			@severities::text[], @payloads::jsonb[])
			AS e(id, action, category, outcome, ocsf, target_type, target_id, target_key, parent_type, parent_id,
				reason, diff, detail, salt, emits, title, severity, payload)
	), audited AS (
		INSERT INTO audit.event (workspace_id, event_id, occurred_at, action, category, outcome, severity, actor_kind,
			actor_id, auth_method, session_id, mfa, target_type, target_id, target_key, parent_type, parent_id,
			request_id, trace_id, ip, pii_ref, reason, diff, detail, leaf_salt)
		SELECT @ws, e.id, @now, e.action, e.category, e.outcome, e.ocsf, @actor_kind,
			@actor_id, @auth_method, @session_id, @mfa, e.target_type, e.target_id, e.target_key, e.parent_type, e.parent_id,
			@request_id, @trace_id, @ip, @pii_ref, e.reason, e.diff, e.detail, e.salt
		FROM entry e
	), told AS (
		INSERT INTO events (workspace_id, id, name, occurred_at, actor_kind, actor_id, actor_name, reason,
			subject_type, subject_id, subject_key, subject_title, severity, payload, request_id)
		SELECT @ws, e.id, e.action, @now, @actor_kind, @actor_id, @actor_name, coalesce(e.reason, ''),
			e.target_type, e.target_id, e.target_key, e.title, e.severity, e.payload, @request_id
		FROM entry e WHERE e.emits
	)
	INSERT INTO river.river_job (args, kind, metadata, max_attempts, priority, queue, state, scheduled_at)
	SELECT jsonb_build_object('workspace_id', @ws::uuid, 'event_id', e.id, 'name', e.action),
		@kind, @metadata::jsonb, @max_attempts::smallint, @priority::smallint, @queue, 'available', now()
	FROM entry e WHERE e.emits`)

// Record writes the entry in tx and returns its id, which the event shares.
func (l *Ledger) Record(ctx context.Context, tx *db.Tx, e Entry) (uuid.UUID, error) {
	ids, err := l.RecordAll(ctx, tx, e)
	if err != nil {
		return uuid.Nil, err
	}
	return ids[0], nil
}

// RecordAll writes entries in tx, in one round trip however many, and returns their ids in
// the order of the entries.
func (l *Ledger) RecordAll(ctx context.Context, tx *db.Tx, entries ...Entry) ([]uuid.UUID, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var c columns
	var jobs []river.JobArgs
	for _, e := range entries {
		if err := l.add(&c, tx.Actor, e); err != nil {
			return nil, err
		}
		jobs = append(jobs, e.Jobs...)
	}
	pii, err := l.people.ref(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", entries[0].Action, err)
	}
	args := c.args(tx.Actor, pii)
	args["trace_id"] = orNil(trace.ID(ctx))
	if args["metadata"], err = job.Metadata(ctx); err != nil {
		return nil, fmt.Errorf("record %s: %w", entries[0].Action, err)
	}
	if _, err := insertEntries.Run(ctx, tx, args); err != nil {
		return nil, fmt.Errorf("record %s: %w", entries[0].Action, err)
	}
	if slices.Contains(c.emits, true) {
		tx.AfterCommit(func() { l.jobs.Wake(job.QueueEvents) })
	}
	if err := l.jobs.Insert(ctx, tx, jobs...); err != nil {
		return nil, fmt.Errorf("record %s: %w", entries[0].Action, err)
	}
	return c.ids, nil
}

// add checks an entry against its declaration and appends it to the columns.
func (l *Ledger) add(c *columns, a db.Actor, e Entry) error {
	t, ok := l.catalogue.Type(e.Action)
	if !ok {
		return fmt.Errorf("%w: %s", ErrUnknownAction, e.Action)
	}
	if t.NeedsReason && e.Reason == "" {
		return fault.InvalidField("reason", "required", "Say why; this is kept in the audit log.")
	}
	if e.Severity == "" {
		e.Severity = t.Severity
	}
	if e.Outcome == 0 {
		e.Outcome = Success
	}
	if err := c.add(a, t, e); err != nil {
		return fmt.Errorf("record %s: %w", e.Action, err)
	}
	return nil
}

// ocsf maps our severities to OCSF severity_id: 1 informational to 5 critical.
func ocsf(s event.Severity) int16 { return int16(s.Rank()) }

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
