// Package ledger records what happened. One call, in the transaction of the state
// change, writes the audit entry, the event and the jobs that follow; RecordAll does so for
// many changes at the price of a few. If it fails, nothing happened.
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

// Record writes the entry in tx and returns its id, which the event shares.
func (l *Ledger) Record(ctx context.Context, tx *db.Tx, e Entry) (uuid.UUID, error) {
	r, err := l.prepare(tx, e)
	if err != nil {
		return uuid.Nil, err
	}
	common, err := l.common(ctx, tx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("record %s: %w", e.Action, err)
	}
	if _, err := insertAudit.Run(ctx, tx, r.auditArgs(common)); err != nil {
		return uuid.Nil, fmt.Errorf("record %s: %w", e.Action, err)
	}
	if r.emitted {
		if _, err := insertEvent.Run(ctx, tx, r.eventArgs(tx.Actor)); err != nil {
			return uuid.Nil, fmt.Errorf("emit %s: %w", e.Action, err)
		}
	}
	if err := l.jobs.Insert(ctx, tx, r.jobs...); err != nil {
		return uuid.Nil, fmt.Errorf("record %s: %w", e.Action, err)
	}
	return r.id, nil
}

// row is an entry made ready to be written.
type row struct {
	id           uuid.UUID
	entry        Entry
	category     event.Category
	diff, detail []byte
	salt         []byte
	reason       string
	// emitted says that there is an event, whose body is payload.
	emitted bool
	payload []byte
	jobs    []river.JobArgs
}

// prepare checks an entry and encodes it, without the database.
func (l *Ledger) prepare(tx *db.Tx, e Entry) (row, error) {
	t, ok := l.catalogue.Type(e.Action)
	if !ok {
		return row{}, fmt.Errorf("%w: %s", ErrUnknownAction, e.Action)
	}
	if t.NeedsReason && e.Reason == "" {
		return row{}, fault.InvalidField("reason", "required", "Say why; this is kept in the audit log.")
	}
	if e.Severity == "" {
		e.Severity = t.Severity
	}
	if e.Outcome == 0 {
		e.Outcome = Success
	}
	r := row{entry: e, category: t.Category, reason: e.Reason, jobs: e.Jobs, payload: []byte("{}"), salt: make([]byte, 16)}
	if r.reason == "" {
		r.reason = tx.Actor.Reason
	}
	if err := r.encode(tx.Actor); err != nil {
		return row{}, fmt.Errorf("record %s: %w", e.Action, err)
	}
	if r.emitted = e.Outcome == Success && !t.AuditOnly; r.emitted {
		r.jobs = append([]river.JobArgs{event.DispatchArgs{
			InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, EventID: r.id, Name: e.Action,
		}}, e.Jobs...)
	}
	return r, nil
}

func (r *row) encode(a db.Actor) error {
	e := r.entry
	var err error
	if r.id, err = uuid.NewV7(); err != nil {
		return fmt.Errorf("make event id: %w", err)
	}
	changes, err := Diff(e.Before, e.After)
	if err != nil {
		return err
	}
	if r.diff, err = json.Marshal(limit(append(changes, e.Changes...))); err != nil {
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
	if r.detail, err = json.Marshal(detail); err != nil {
		return fmt.Errorf("encode detail: %w", err)
	}
	if e.Payload != nil {
		if r.payload, err = json.Marshal(e.Payload); err != nil {
			return fmt.Errorf("encode payload: %w", err)
		}
	}
	if _, err := rand.Read(r.salt); err != nil {
		return fmt.Errorf("draw salt: %w", err)
	}
	return nil
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
