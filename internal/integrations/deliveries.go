package integrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/integrations/deliver"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// fanOut queues an event for every endpoint that wants it. It may run twice for one event;
// the second time finds the deliveries and adds nothing.
func (s *Service) fanOut(ctx context.Context, ev event.Event) error {
	return s.db.InWorkspace(ctx, db.System(ev.WorkspaceID, "webhook fan-out"), func(tx *db.Tx) error {
		endpoints, err := s.Endpoints(ctx, tx)
		if err != nil {
			return err
		}
		var wanted []uuid.UUID
		for _, e := range endpoints {
			if e.Wants(ev) {
				wanted = append(wanted, e.ID)
			}
		}
		return s.queue(ctx, tx, wanted, ev)
	})
}

// Deliver queues an event for the endpoints, whatever their patterns say. Endpoints that are
// disabled or no longer exist are left out, and so are those that have the event already:
// an event reaches an endpoint through its patterns or by name, but not twice.
func (s *Service) Deliver(ctx context.Context, tx *db.Tx, endpointIDs []uuid.UUID, ev event.Event) error {
	if len(endpointIDs) == 0 {
		return nil
	}
	endpoints, err := endpointsByID.All(ctx, tx, db.Args{"ids": endpointIDs, "limit": MaxEndpoints})
	if err != nil {
		return err
	}
	var open []uuid.UUID
	for _, e := range endpoints {
		if e.Enabled {
			open = append(open, e.ID)
		}
	}
	return s.queue(ctx, tx, open, ev)
}

// queue stores the deliveries and their jobs together.
func (s *Service) queue(ctx context.Context, tx *db.Tx, endpoints []uuid.UUID, ev event.Event) error {
	if len(endpoints) == 0 {
		return nil
	}
	raw, err := body(ev)
	if err != nil {
		return err
	}
	ids := make([]uuid.UUID, len(endpoints))
	for i := range ids {
		if ids[i], err = uuid.NewV7(); err != nil {
			return fmt.Errorf("make delivery id: %w", err)
		}
	}
	rows, err := insertDeliveries.All(ctx, tx, db.Args{
		"event": ev.ID, "name": ev.Name, "body": raw, "ids": ids, "endpoints": endpoints,
	})
	if err != nil {
		return err
	}
	return s.jobs.Insert(ctx, tx, jobsFor(tx, rows)...)
}

func jobsFor(tx *db.Tx, rows []queuedRow) []river.JobArgs {
	out := make([]river.JobArgs, len(rows))
	for i, r := range rows {
		out[i] = DeliverArgs{
			InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, EndpointID: r.EndpointID, DeliveryID: r.ID, Run: r.Run,
		}
	}
	return out
}

// attempt makes one attempt at a delivery, if one is due, and says how long to wait for the
// next: 0 means that this run of the delivery is over. What it stores is the truth about
// the delivery; should the job be lost in between, the next one reads it.
func (s *Service) attempt(ctx context.Context, args DeliverArgs, t *ticket) (time.Duration, error) {
	w, err := s.loads.do(ctx, args.WorkspaceID, args.DeliveryID)
	if err != nil {
		return 0, interrupted(ctx, err)
	}
	now := s.clock.Now()
	if w == nil || w.State != Pending || w.Run != args.Run {
		return 0, nil // deleted with its endpoint, finished, or replayed under a new run
	}
	if !w.Enabled {
		return 0, s.giveUp(ctx, args)
	}
	if w.NextAttemptAt != nil && w.NextAttemptAt.After(now) {
		// An attempt was stored, but its job ended before it could be put back.
		return w.NextAttemptAt.Sub(now), nil
	}
	if w.FailingSince != nil {
		t.doubt()
	}
	sent, err := s.send(ctx, args.WorkspaceID, w.target, w.EventID, w.Body)
	if err != nil {
		return 0, err
	}
	if sent.ErrorClass == deliver.ErrorCancelled {
		return 0, errInterrupted // the endpoint may have it, and gets it again
	}
	t.leave(sent.Outcome != deliver.Success, sent.Latency)
	// The answer is there: a process that stops stores it all the same.
	return s.settle(context.WithoutCancel(ctx), args, *w, sent)
}

// errInterrupted means that this process stops in the middle of an attempt.
var errInterrupted = errors.New("attempt interrupted")

// interrupted tells the end of the process from a failure.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return errInterrupted
	}
	return err
}

// load reads what attempts need; nil for a delivery that was deleted. It and save send one
// plain statement for each delivery, all in one round trip and transaction: a statement
// over a list of ids may get a plan that reads the whole table.
func (s *Service) load(ctx context.Context, workspace uuid.UUID, ids []uuid.UUID) ([]*work, error) {
	loaded := make([]*db.Result[work], len(ids))
	err := s.db.ReadBatch(ctx, deliveryActor(workspace), func(b *db.Batch) {
		for i, id := range ids {
			loaded[i] = loadWork.Queue(b, db.Args{"id": id})
		}
	})
	out := make([]*work, len(ids))
	for i, l := range loaded {
		if w, ok := l.First(); ok {
			out[i] = &w
		}
	}
	return out, err
}

func deliveryActor(workspace uuid.UUID) db.Actor { return db.System(workspace, "webhook delivery") }

// giveUp ends a delivery whose endpoint was disabled while it waited.
func (s *Service) giveUp(ctx context.Context, args DeliverArgs) error {
	return s.db.WriteBatch(ctx, deliveryActor(args.WorkspaceID), func(b *db.Batch) {
		failDelivery.Queue(b, db.Args{"id": args.DeliveryID, "run": args.Run, "error": ErrorEndpointDisabled})
	})
}

// settle stores the attempt and what follows from it.
func (s *Service) settle(ctx context.Context, args DeliverArgs, w work, sent sentAttempt) (time.Duration, error) {
	v := judge(sent.Attempt, w.Tries+1, w.FailingSince, sent.startedAt.Add(sent.Latency))
	s.log.LogAttrs(ctx, slog.LevelDebug, "webhook attempt", slog.String("delivery_id", args.DeliveryID.String()),
		slog.String("endpoint_id", args.EndpointID.String()), slog.Int("status", sent.Status), slog.String("outcome", string(sent.Outcome)),
		slog.String("error_class", string(sent.ErrorClass)))
	_, err := s.saves.do(ctx, args.WorkspaceID, settled{
		delivery: args.DeliveryID, endpoint: args.EndpointID, run: args.Run, sent: sent, verdict: v, wasFailing: w.FailingSince != nil,
	})
	if err != nil {
		return 0, err
	}
	if v.Disable != "" {
		if err := s.disableByItself(ctx, args, v.Disable); err != nil {
			return 0, err
		}
	}
	if v.NextAt == nil {
		return 0, nil
	}
	return max(v.NextAt.Sub(s.clock.Now()), time.Millisecond), nil
}

// save stores attempts in one transaction. Endpoints whose health changed are locked first,
// as a deletion does, and in the order of their ids, so that nobody waits in a circle.
func (s *Service) save(ctx context.Context, workspace uuid.UUID, in []settled) ([]struct{}, error) {
	changed := map[uuid.UUID]settled{}
	for _, a := range in {
		if (a.verdict.State == Delivered) == a.wasFailing {
			changed[a.endpoint] = a
		}
	}
	endpoints := slices.SortedFunc(maps.Keys(changed), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	err := s.db.WriteBatch(ctx, deliveryActor(workspace), func(b *db.Batch) {
		for _, id := range endpoints {
			if a := changed[id]; a.wasFailing {
				stopFailing.Queue(b, db.Args{"id": id})
			} else {
				startFailing.Queue(b, db.Args{"id": id, "since": a.sent.startedAt})
			}
		}
		for _, a := range in {
			a.queue(b)
		}
	})
	return make([]struct{}, len(in)), err
}

// disableByItself takes an endpoint out of use and says why in the audit log.
func (s *Service) disableByItself(ctx context.Context, args DeliverArgs, reason DisabledReason) error {
	why := "no delivery succeeded for 5 days"
	if reason == DisabledGone {
		why = "the endpoint answered 410 Gone"
	}
	return s.db.InWorkspace(ctx, db.System(args.WorkspaceID, why), func(tx *db.Tx) error {
		return s.disable(ctx, tx, args.EndpointID, reason)
	})
}

func orNil(status int) *int {
	if status == 0 {
		return nil
	}
	return &status
}

// TestResult is what came of a test event.
type TestResult struct {
	EventID uuid.UUID
	Attempt deliver.Attempt
}

// SendTest sends a test event to an endpoint, also to a disabled one, and waits for the
// answer. It is no delivery: it is not repeated and says nothing about the endpoint's health.
func (s *Service) SendTest(ctx context.Context, a db.Actor, id uuid.UUID) (TestResult, error) {
	return s.try(ctx, a, id, func(e Endpoint) (event.Event, error) { return s.testEvent(a, e) })
}

// SendNow sends an event that another module made up to an endpoint, as SendTest does with
// its own, and waits for the answer.
func (s *Service) SendNow(ctx context.Context, a db.Actor, id uuid.UUID, ev event.Event) (deliver.Attempt, error) {
	r, err := s.try(ctx, a, id, func(Endpoint) (event.Event, error) { return ev, nil })
	return r.Attempt, err
}

func (s *Service) try(ctx context.Context, a db.Actor, id uuid.UUID, makeEvent func(Endpoint) (event.Event, error)) (TestResult, error) {
	var tgt target
	var e Endpoint
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if e, err = oneEndpoint.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		tgt, err = loadTarget.One(ctx, tx, db.Args{"id": id})
		return err
	})
	if err != nil {
		return TestResult{}, fmt.Errorf("test webhook %s: %w", id, err)
	}
	ev, err := makeEvent(e)
	if err != nil {
		return TestResult{}, err
	}
	raw, err := body(ev)
	if err != nil {
		return TestResult{}, err
	}
	sent, err := s.send(ctx, a.WorkspaceID, tgt, ev.ID, raw)
	if err != nil {
		return TestResult{}, fmt.Errorf("test webhook %s: %w", id, err)
	}
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		_, err := s.ledger.Record(ctx, tx, ledger.Entry{
			Action: EventTested, Subject: subject(e), Detail: map[string]any{
				"event_id": ev.ID.String(), "status": sent.Status, "outcome": string(sent.Outcome), "error_class": string(sent.ErrorClass),
			},
		})
		return err
	})
	if err != nil {
		return TestResult{}, fmt.Errorf("record test of webhook %s: %w", id, err)
	}
	return TestResult{EventID: ev.ID, Attempt: sent.Attempt}, nil
}

func (s *Service) testEvent(a db.Actor, e Endpoint) (event.Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return event.Event{}, fmt.Errorf("make event id: %w", err)
	}
	payload, err := encode(TestPayload{Message: "This is a test event from Vigilo. Your endpoint works if you can read and verify it."})
	if err != nil {
		return event.Event{}, err
	}
	return event.Event{
		ID: id, WorkspaceID: a.WorkspaceID, Name: TestEvent, OccurredAt: s.clock.Now(), Severity: event.Info,
		Actor:   event.Actor{Kind: a.Kind.String(), ID: a.ID, Name: a.Name},
		Subject: subject(e), SchemaV: 1, Payload: payload, RequestID: uuid.NullUUID{UUID: a.RequestID, Valid: a.RequestID != uuid.Nil},
	}, nil
}

// Replay sends a delivery again, whether it failed or was delivered before. The receiver
// gets the same bytes under the same webhook-id.
func (s *Service) Replay(ctx context.Context, a db.Actor, id uuid.UUID) (Delivery, error) {
	var d Delivery
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockDelivery.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if before.State == Pending {
			return fault.NewConflict("still_pending", "This delivery is still under way: Vigilo tries it again by itself.")
		}
		e, err := oneEndpoint.One(ctx, tx, db.Args{"id": before.EndpointID})
		if err != nil {
			return err
		}
		if !e.Enabled {
			return errDisabled
		}
		rows, err := replayDelivery.All(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{
			Action: EventReplayed, Subject: subject(e), Jobs: jobsFor(tx, rows),
			Detail: map[string]any{"delivery_id": id.String(), "event_id": before.EventID.String(), "event": before.EventName},
		})
		if err != nil {
			return err
		}
		d = before
		d.State, d.Run, d.NextAttemptAt = Pending, before.Run+1, &tx.Now
		return nil
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("replay delivery %s: %w", id, err)
	}
	return d, nil
}

var errDisabled = fault.NewConflict("webhook_disabled", "This webhook is disabled, so nothing is sent to it. Enable it first.")

// maxReplay is how many deliveries one call of ReplaySince puts back.
const maxReplay = 10_000

// ReplaySince sends the dead letters of an endpoint again that were created at or after a
// time, oldest first, and returns how many, at most 10,000 in one call.
func (s *Service) ReplaySince(ctx context.Context, a db.Actor, endpoint uuid.UUID, since time.Time) (int, error) {
	n := 0
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		e, err := oneEndpoint.One(ctx, tx, db.Args{"id": endpoint})
		if err != nil {
			return err
		}
		if !e.Enabled {
			return errDisabled
		}
		rows, err := replayFailed.All(ctx, tx, db.Args{"endpoint": endpoint, "since": since, "limit": maxReplay})
		if err != nil || len(rows) == 0 {
			return err
		}
		n = len(rows)
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{
			Action: EventReplayed, Subject: subject(e), Jobs: jobsFor(tx, rows),
			Detail: map[string]any{"deliveries": n, "since": since.UTC().Format(time.RFC3339)},
		})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("replay deliveries of webhook %s: %w", endpoint, err)
	}
	return n, nil
}
