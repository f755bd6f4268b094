package event

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// LiveChannel is the PostgreSQL notification channel that tells open pages about events.
const LiveChannel = "vigilo_live"

// Subscription is one module's interest in events. Handle runs as a job of its own for
// each event, may run twice, and opens its own transactions.
type Subscription struct {
	// Name is unique in the program, such as "integrations.webhooks".
	Name     string
	Patterns []string
	Handle   func(ctx context.Context, ev Event) error
}

// DispatchArgs fan one event out to its subscribers.
type DispatchArgs struct {
	job.InWorkspace
	EventID uuid.UUID `json:"event_id" river:"unique"`
	Name    string    `json:"name"`
}

// Kind implements river.JobArgs.
func (DispatchArgs) Kind() string { return "event.dispatch" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (DispatchArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: job.QueueEvents, MaxAttempts: 100, Priority: 1}
}

// HandleArgs give one event to one subscriber.
type HandleArgs struct {
	job.InWorkspace
	EventID    uuid.UUID `json:"event_id" river:"unique"`
	Subscriber string    `json:"subscriber" river:"unique"`
}

// Kind implements river.JobArgs.
func (HandleArgs) Kind() string { return "event.handle" }

// InsertOpts implements river.JobArgsWithInsertOpts. Unique by event and subscriber, so
// that a dispatch that runs twice hands the event over once.
func (HandleArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: job.QueueEvents, MaxAttempts: 100, Priority: 1,
		UniqueOpts: river.UniqueOpts{ByArgs: true},
	}
}

// LiveMessage is what an open page is told: enough to decide whether to ask again.
type LiveMessage struct {
	WorkspaceID uuid.UUID `json:"ws"`
	Name        string    `json:"name"`
	SubjectType string    `json:"type"`
	SubjectID   uuid.UUID `json:"id"`
	// UserID limits the message to one person, zero means everybody in the workspace.
	UserID uuid.UUID `json:"user"`
}

var notifyLive = db.DefineCommand("event.notify_live", `
	SELECT pg_notify('vigilo_live', message) FROM unnest(@messages::text[]) AS message`)

// Tell sends messages to open pages of the workspace when tx commits.
func Tell(ctx context.Context, tx *db.Tx, messages ...LiveMessage) error {
	if len(messages) == 0 {
		return nil
	}
	texts := make([]string, len(messages))
	for i, m := range messages {
		m.WorkspaceID = tx.Actor.WorkspaceID
		raw, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("encode live message: %w", err)
		}
		texts[i] = string(raw)
	}
	_, err := notifyLive.Run(ctx, tx, db.Args{"messages": texts})
	return err
}

type eventRow struct {
	ID           uuid.UUID       `db:"id"`
	WorkspaceID  uuid.UUID       `db:"workspace_id"`
	Name         string          `db:"name"`
	OccurredAt   time.Time       `db:"occurred_at"`
	Severity     string          `db:"severity"`
	ActorKind    int16           `db:"actor_kind"`
	ActorID      uuid.NullUUID   `db:"actor_id"`
	ActorName    string          `db:"actor_name"`
	Reason       string          `db:"reason"`
	SubjectType  string          `db:"subject_type"`
	SubjectID    uuid.UUID       `db:"subject_id"`
	SubjectKey   string          `db:"subject_key"`
	SubjectTitle string          `db:"subject_title"`
	Payload      json.RawMessage `db:"payload"`
	RequestID    uuid.NullUUID   `db:"request_id"`
}

const eventColumns = `id, workspace_id, name, occurred_at, severity, actor_kind, actor_id, actor_name, reason,
	subject_type, subject_id, subject_key, subject_title, payload, request_id`

func (r eventRow) event() Event {
	return Event{
		ID: r.ID, WorkspaceID: r.WorkspaceID, Name: r.Name, OccurredAt: r.OccurredAt.UTC(), Severity: Severity(r.Severity),
		Actor:   Actor{Kind: db.ActorKind(r.ActorKind).String(), ID: r.ActorID.UUID, Name: r.ActorName, Reason: r.Reason},
		Subject: Subject{Type: r.SubjectType, ID: r.SubjectID, Key: r.SubjectKey, Title: r.SubjectTitle},
		SchemaV: 1, Payload: r.Payload, RequestID: r.RequestID,
	}
}

var (
	loadEvent = db.Define[eventRow]("event.load", `
	SELECT `+eventColumns+` FROM events WHERE workspace_id = @ws AND id = @id`).Called("event")
	eventsAfter = db.Define[eventRow]("event.after", `
	SELECT `+eventColumns+` FROM events WHERE workspace_id = @ws AND id > @after ORDER BY id LIMIT @limit`)
)

// Load reads one event of the workspace.
func Load(ctx context.Context, tx *db.Tx, id uuid.UUID) (Event, error) {
	r, err := loadEvent.One(ctx, tx, db.Args{"id": id})
	return r.event(), err
}

// After reads events of the workspace in the order of their ids, oldest first. Ids grow
// with time, but a transaction that commits late may add one slightly in the past.
func After(ctx context.Context, tx *db.Tx, after uuid.UUID, limit int) ([]Event, error) {
	rows, err := eventsAfter.All(ctx, tx, db.Args{"after": after, "limit": limit})
	if err != nil {
		return nil, err
	}
	out := make([]Event, len(rows))
	for i, r := range rows {
		out[i] = r.event()
	}
	return out, nil
}

// Dispatcher hands events to subscribers.
type Dispatcher struct {
	db   *db.DB
	jobs *job.Engine
	subs []Subscription
}

// NewDispatcher returns a dispatcher for the subscriptions.
func NewDispatcher(d *db.DB, jobs *job.Engine, subs []Subscription) (*Dispatcher, error) {
	seen := map[string]bool{}
	for _, s := range subs {
		if seen[s.Name] {
			return nil, fmt.Errorf("event: subscription %s is declared twice", s.Name)
		}
		seen[s.Name] = true
	}
	return &Dispatcher{db: d, jobs: jobs, subs: subs}, nil
}

// Register adds the dispatcher's workers.
func (d *Dispatcher) Register(w *river.Workers) {
	river.AddWorker(w, &dispatchWorker{d: d})
	river.AddWorker(w, &handleWorker{d: d})
}

type dispatchWorker struct {
	river.WorkerDefaults[DispatchArgs]
	d *Dispatcher
}

// Work inserts one job per matching subscriber and tells open pages, in one transaction.
func (w *dispatchWorker) Work(ctx context.Context, j *river.Job[DispatchArgs]) error {
	a := j.Args
	return w.d.db.InWorkspace(ctx, db.System(a.WorkspaceID, "event fan-out"), func(tx *db.Tx) error {
		ev, err := Load(ctx, tx, a.EventID)
		if err != nil {
			return err
		}
		var jobs []river.JobArgs
		for _, s := range w.d.subs {
			for _, p := range s.Patterns {
				if Match(p, ev.Name) {
					jobs = append(jobs, HandleArgs{InWorkspace: a.InWorkspace, EventID: a.EventID, Subscriber: s.Name})
					break
				}
			}
		}
		if err := w.d.jobs.Insert(ctx, tx, jobs...); err != nil {
			return err
		}
		return Tell(ctx, tx, LiveMessage{Name: ev.Name, SubjectType: ev.Subject.Type, SubjectID: ev.Subject.ID})
	})
}

type handleWorker struct {
	river.WorkerDefaults[HandleArgs]
	d *Dispatcher
}

var errNoSubscriber = errors.New("event: no such subscriber in this process")

func (w *handleWorker) Work(ctx context.Context, j *river.Job[HandleArgs]) error {
	a := j.Args
	for _, s := range w.d.subs {
		if s.Name != a.Subscriber {
			continue
		}
		var ev Event
		err := w.d.db.InWorkspace(ctx, db.System(a.WorkspaceID, "event delivery"), func(tx *db.Tx) error {
			var err error
			ev, err = Load(ctx, tx, a.EventID)
			return err
		})
		if err != nil {
			return err
		}
		if err := s.Handle(ctx, ev); err != nil {
			return fmt.Errorf("%s handles %s: %w", s.Name, ev.Name, err)
		}
		return nil
	}
	// A newer process declared it during a rolling upgrade; that one will take the retry.
	return fmt.Errorf("%w: %s", errNoSubscriber, a.Subscriber)
}
