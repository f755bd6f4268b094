// Package activity reads the audit log for people: entries with the names of who acted,
// the label of what they did, and what changed. The audit page lists all of them; the page
// of any other thing shows its own as a tab.
//
// A module shows the tab in three steps. It queues the read with the other reads of its
// page (or asks with Of inside a transaction), turns the entries into a timeline, and lets
// templates/ui draw it:
//
//	var history *activity.Pending
//	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) {
//		history = s.activity.Queue(b, "host", id, 50)
//	})
//	entries, err := history.Entries()
//	view.Activity = activity.Timeline(entries, r.Zone(), r.Now()) // @ui.Timeline(v.Activity)
//
// An entry is a row of the timeline: Person and Actor are who acted, Text is the label of
// the action with its reason, Time is when it was recorded, Changes are the fields.
package activity

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Erased stands for the name of a person whose personal data was erased.
const Erased = "[erased]"

// Entry is one thing that happened, as it was recorded. Times are UTC.
type Entry struct {
	ID         uuid.UUID
	RecordedAt time.Time
	OccurredAt time.Time
	Action     string
	// Label is the action in words; an action that no module declares any more keeps its name.
	Label    string
	Category event.Category
	Outcome  ledger.Outcome
	// Severity is the OCSF severity_id, 1 informational to 5 critical.
	Severity   int16
	Actor      Actor
	OnBehalfOf uuid.NullUUID
	AuthMethod string
	MFA        string
	SessionID  uuid.NullUUID
	Target     event.Subject
	// Parent is what the target belongs to; its Type is empty when there is none.
	Parent    event.Subject
	RequestID uuid.NullUUID
	TraceID   string
	// IP is the address in text form, empty when none was known.
	IP      string
	Reason  string
	Changes []Change
	// Detail holds what else was recorded: strings, booleans, integers, lists and maps of them.
	Detail map[string]any
}

// Actor is who acted, with the name that they had then.
type Actor struct {
	Kind      db.ActorKind
	ID        uuid.UUID
	Name      string
	Email     string
	UserAgent string
	// Erased is set when the personal data was destroyed; Name then says so.
	Erased bool
}

// Change is one field with its former and its new value as JSON; null means absent.
type Change struct {
	Field string          `json:"field"`
	From  json.RawMessage `json:"from"`
	To    json.RawMessage `json:"to"`
}

// Reader turns rows of the audit log into entries.
type Reader struct{ ledger *ledger.Ledger }

// New returns a reader of the log that l writes.
func New(l *ledger.Ledger) *Reader { return &Reader{ledger: l} }

// Entries makes entries of rows of one workspace, in their order.
func (r *Reader) Entries(rows []Row) ([]Entry, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var sealed []ledger.SealedPerson
	for _, row := range rows {
		if row.PIIRef.Valid && row.PIISubject.Valid {
			sealed = append(sealed, ledger.SealedPerson{
				ID: row.PIIRef.UUID, SubjectID: row.PIISubject.UUID, Ciphertext: row.Ciphertext, SealedKey: row.SealedKey,
			})
		}
	}
	people, err := r.ledger.OpenPeople(rows[0].WorkspaceID, sealed)
	if err != nil {
		return nil, fmt.Errorf("name actors: %w", err)
	}
	out := make([]Entry, len(rows))
	for i, row := range rows {
		if out[i], err = r.entry(row, people); err != nil {
			return nil, fmt.Errorf("read audit entry %s: %w", row.EventID, err)
		}
	}
	return out, nil
}

func (r *Reader) entry(row Row, people map[uuid.UUID]ledger.Person) (Entry, error) {
	e := Entry{
		ID: row.EventID, RecordedAt: row.RecordedAt.UTC(), OccurredAt: row.OccurredAt.UTC(), Action: row.Action,
		Label: row.Action, Category: event.Category(row.Category), Outcome: ledger.Outcome(row.Outcome),
		Severity: row.Severity, Actor: actor(row, people), OnBehalfOf: row.OnBehalfOf, AuthMethod: text(row.AuthMethod),
		MFA: text(row.MFA), SessionID: row.SessionID,
		Target: event.Subject{Type: row.TargetType, ID: row.TargetID, Key: row.TargetKey},
		Parent: event.Subject{Type: text(row.ParentType), ID: row.ParentID.UUID}, RequestID: row.RequestID,
		TraceID: text(row.TraceID), IP: text(row.IP), Reason: text(row.Reason),
	}
	if t, ok := r.ledger.Catalogue().Type(row.Action); ok {
		e.Label = t.Label
	}
	if err := json.Unmarshal(row.Diff, &e.Changes); err != nil {
		return Entry{}, fmt.Errorf("decode changes: %w", err)
	}
	if err := json.Unmarshal(row.Detail, &e.Detail); err != nil {
		return Entry{}, fmt.Errorf("decode detail: %w", err)
	}
	e.Target.Title, _ = e.Detail["title"].(string)
	delete(e.Detail, "title")
	return e, nil
}

func actor(row Row, people map[uuid.UUID]ledger.Person) Actor {
	a := Actor{Kind: db.ActorKind(row.ActorKind), ID: row.ActorID.UUID}
	if a.Kind == db.ActorSystem {
		a.Name = "Vigilo"
		return a
	}
	p, ok := people[row.PIIRef.UUID]
	if !ok {
		a.Name, a.Erased = Erased, true
		return a
	}
	a.Name, a.Email, a.UserAgent = p.Name, p.Email, p.UserAgent
	return a
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
