package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates"
	"github.com/vigilo/vigilo/internal/integrations"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// receivers is how many endpoints get the events of T8; Vigilo allows 200 in a workspace.
const receivers = 100

// measureEvents times how soon an event leaves as a webhook (T7), how many deliveries a
// second one process makes, and what a dead endpoint costs the others (T8).
func measureEvents(ctx context.Context, b *bench) (err error) {
	s, err := newSink(b.clock, receivers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	v, err := b.start(ctx, vigiloOptions{work: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	owner, err := v.workspace(ctx, "acme")
	if err != nil {
		return err
	}
	if err := b.fill(ctx, owner, 100, hostRows); err != nil {
		return err
	}
	if err := b.timeFirstAttempt(ctx, v, owner, s); err != nil {
		return err
	}
	return b.compareDeliveries(ctx, v, s)
}

func (b *bench) timeFirstAttempt(ctx context.Context, v *vigilo, owner db.Actor, s *sink) error {
	_, _, err := v.Services.Integrations.Create(ctx, owner, integrations.NewEndpoint{
		URL: s.urls[0], Patterns: []string{certificates.EventHostPaused, certificates.EventHostResumed},
	})
	if err != nil {
		return fmt.Errorf("add webhook: %w", err)
	}
	var waits []time.Duration
	for i := range pick(b, 200, 40) {
		if _, err := v.Services.Certificates.SetPaused(ctx, owner, hostID(int64(i%100)), i/100%2 == 0); err != nil {
			return fmt.Errorf("pause host: %w", err)
		}
		recorded := b.clock.Now()
		var id uuid.UUID
		err := b.admin.QueryRow(ctx, `SELECT id FROM events WHERE workspace_id = $1 ORDER BY id DESC LIMIT 1`, owner.WorkspaceID).Scan(&id)
		if err != nil {
			return fmt.Errorf("find event: %w", err)
		}
		var at time.Time
		err = waitFor(ctx, "the webhook", time.Minute, func() (bool, error) {
			var ok bool
			at, ok = s.arrival(id.String())
			return ok, nil
		})
		if err != nil {
			return err
		}
		if i >= 10 { // the first ones open connections and prepare statements
			waits = append(waits, max(at.Sub(recorded), 0))
		}
		if err := pause(ctx, 40*time.Millisecond); err != nil {
			return err
		}
	}
	p50, p99 := quantile(waits, 0.5), quantile(waits, 0.99)
	b.add(result{"T7", "commit of a change to the first byte at the receiver, idle, p50", "", ms(p50), "", "≤ 20 ms", judge(p50 <= 20*time.Millisecond)})
	b.add(result{"T7", "the same, p99", "", ms(p99), "", "≤ 100 ms", judge(p99 <= 100*time.Millisecond)})
	return nil
}

// audience is a workspace whose events go to many endpoints.
type audience struct {
	actor     db.Actor
	endpoints []uuid.UUID
	// alive is how many of them answer.
	alive int
}

func (v *vigilo) audience(ctx context.Context, slug string, urls []string) (audience, error) {
	owner, err := v.workspace(ctx, slug)
	if err != nil {
		return audience{}, err
	}
	a := audience{actor: owner, alive: len(urls)}
	for i, u := range urls {
		e, _, err := v.Services.Integrations.Create(ctx, owner, integrations.NewEndpoint{
			URL: u, Description: fmt.Sprintf("receiver %d", i), Patterns: []string{certificates.EventHostRemoved},
		})
		if err != nil {
			return audience{}, fmt.Errorf("add webhook: %w", err)
		}
		a.endpoints = append(a.endpoints, e.ID)
	}
	return a, nil
}

func (b *bench) compareDeliveries(ctx context.Context, v *vigilo, s *sink) (err error) {
	healthy, err := v.audience(ctx, "healthy", s.urls)
	if err != nil {
		return err
	}
	one, err := v.audience(ctx, "onedead", append(s.urls[1:len(s.urls):len(s.urls)], s.deadURL))
	if err != nil {
		return err
	}
	one.alive--
	dead := one.endpoints[len(one.endpoints)-1]
	floor, err := b.startDeliverLoop(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.close(ctx)) }()
	if err := b.settle(ctx, dead); err != nil {
		return err
	}
	events := pick(b, 40, 10)
	body := strings.Repeat("x", 1024)
	var rates [3][]float64
	for round := range pick(b, 5, 3) {
		for i, send := range []func() (int, error){
			func() (int, error) { return len(s.urls) * events, floor.enqueue(ctx, s.urls, events, body) },
			func() (int, error) { return healthy.alive * events, v.deliver(ctx, healthy, events, b.clock.Now()) },
			func() (int, error) { return one.alive * events, v.deliver(ctx, one, events, b.clock.Now()) },
		} {
			before, _ := s.count()
			start := b.clock.Now()
			n, err := send()
			if err != nil {
				return fmt.Errorf("queue deliveries: %w", err)
			}
			queued := b.clock.Now()
			end, err := s.waitCount(ctx, before+n)
			if err != nil {
				return err
			}
			if round > 0 {
				rates[i] = append(rates[i], float64(n)/end.Sub(queued).Seconds())
			}
			b.say("round %d.%d: %d deliveries queued in %s, received in %s", round, i, n, ms(queued.Sub(start)), ms(end.Sub(queued)))
			if err := b.settle(ctx, dead); err != nil {
				return err
			}
		}
	}
	f, p, d := median(rates[0]), median(rates[1]), median(rates[2])
	b.add(result{"T8", "deliveries with signature, log and state, one process", perSecond(f), perSecond(p), ratio(share(p, f)), "≥ 0.6 × floor", judge(p >= 0.6*f)})
	b.add(result{
		"T8", "the same to 99 endpoints while a 100th never answers", perSecond(p) + " (all healthy)", perSecond(d), ratio(share(d, p)), "≥ 0.9 × healthy",
		judge(d >= 0.9*p),
	})
	b.note("The floor of T8 is a River job that posts 1 KB on a kept connection and inserts one log row, 100 at once. %d deliveries a round, "+
		"to %d addresses.", receivers*events, receivers)
	return nil
}

// settle waits until no job is left that could run now, but for those of the endpoint that
// never answers: each of them holds on until its timeout.
func (b *bench) settle(ctx context.Context, dead uuid.UUID) error {
	return waitFor(ctx, "idle queues", 2*time.Minute, func() (bool, error) {
		var idle bool
		err := b.admin.QueryRow(ctx, `SELECT NOT EXISTS (SELECT 1 FROM river.river_job
			WHERE state IN ('available', 'running') AND args->>'endpoint_id' IS DISTINCT FROM $1::text)`, dead.String()).Scan(&idle)
		return idle, err
	})
}

// deliver queues events for every endpoint in one transaction.
func (v *vigilo) deliver(ctx context.Context, a audience, n int, now time.Time) error {
	payload, err := json.Marshal(certificates.HostPayload{HostID: a.endpoints[0], Hostname: "host.example.com", Port: 443, Tags: []string{"production"}})
	if err != nil {
		return fmt.Errorf("encode payload: %w", err)
	}
	return v.DB().InWorkspace(ctx, a.actor, func(tx *db.Tx) error {
		for range n {
			id, err := uuid.NewV7()
			if err != nil {
				return fmt.Errorf("make id: %w", err)
			}
			ev := event.Event{
				ID: id, WorkspaceID: a.actor.WorkspaceID, Name: certificates.EventHostPaused, OccurredAt: now, Severity: event.Low,
				Actor:   event.Actor{Kind: a.actor.Kind.String(), ID: a.actor.ID, Name: a.actor.Name},
				Subject: event.Subject{Type: "host", ID: a.endpoints[0], Title: "host.example.com:443"}, SchemaV: 1, Payload: payload,
			}
			if err := v.Services.Integrations.Deliver(ctx, tx, a.endpoints, ev); err != nil {
				return err
			}
		}
		return nil
	})
}
