package api_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/api"
)

func TestIdempotency(t *testing.T) {
	h := newHouse(t, true)
	// They count effects and move the clock, so they run one after the other.
	t.Run("a repetition has no effect and the same answer", func(t *testing.T) { repetition(t, h) })
	t.Run("calls at once have one effect", func(t *testing.T) { atOnce(t, h) })
	t.Run("a key is free again after a day", func(t *testing.T) { expiry(t, h) })
	t.Run("our failures are forgotten", func(t *testing.T) { forgotten(t, h) })
	t.Run("kept answers are sealed", func(t *testing.T) { sealed(t, h) })
}

// effects returns how many times do ran the operation.
func (h *house) effects(do func()) int64 {
	before := h.made.Load()
	do()
	return h.made.Load() - before
}

func thing(name, key string) call {
	return call{method: "POST", path: "/things", body: fmt.Sprintf(`{"name":%q}`, name), key: key}
}

func repetition(t *testing.T, h *house) {
	var first, second reply
	if n := h.effects(func() { first, second = thing("a", "k1").do(t, h), thing("a", "k1").do(t, h) }); n != 1 {
		t.Errorf("%d effects", n)
	}
	if first.status != http.StatusCreated || second.status != first.status || second.body != first.body {
		t.Errorf("first %d %s, second %d %s", first.status, first.body, second.status, second.body)
	}
	if second.header.Get("Location") != first.header.Get("Location") || second.header.Get("Idempotency-Replayed") != "true" ||
		first.header.Get("Idempotency-Replayed") != "" || second.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers of the repetition: %v", second.header)
	}
	if first.header.Get("X-Request-Id") == second.header.Get("X-Request-Id") {
		t.Error("two requests have one id")
	}
	for name, c := range map[string]call{
		"another body":  thing("b", "k1"),
		"another query": {method: "POST", path: "/things?mode=odd", body: `{"name":"a"}`, key: "k1"},
		"another path":  {method: "POST", path: "/deep", body: `{"name":"a"}`, key: "k1"},
	} {
		if n := h.effects(func() { c.do(t, h).refused(t, 422, "idempotency_mismatch") }); n != 0 {
			t.Errorf("%s: %d effects", name, n)
		}
	}
	other := thing("a", "k1")
	other.token = "p-other"
	if n := h.effects(func() { other.do(t, h) }); n != 1 {
		t.Errorf("somebody else's key stands in the way: %d effects", n)
	}
	if n := h.effects(func() { thing("a", "").do(t, h); thing("a", "").do(t, h) }); n != 2 {
		t.Errorf("calls without a key: %d effects", n)
	}
	refused := thing("taken", "k2")
	if n := h.effects(func() { refused.do(t, h).refused(t, 409, "taken") }); n != 1 {
		t.Errorf("refusal: %d runs", n)
	}
	if n := h.effects(func() {
		if r := refused.do(t, h); r.status != 409 || !strings.Contains(r.body, `"taken"`) {
			t.Errorf("repeated refusal: %d %s", r.status, r.body)
		}
	}); n != 0 {
		t.Errorf("a refusal was decided again: %d runs", n)
	}
	thing("a", strings.Repeat("k", 256)).do(t, h).refused(t, 422, "validation_failed")
}

func atOnce(t *testing.T, h *house) {
	const calls = 20
	release := h.hold("slow")
	replies := make([]reply, calls)
	n := h.effects(func() {
		var started, ended sync.WaitGroup
		for i := range calls {
			started.Add(1)
			ended.Go(func() {
				started.Done()
				replies[i] = thing("slow", "at-once").do(t, h)
			})
		}
		started.Wait()
		release()
		ended.Wait()
	})
	if n != 1 {
		t.Errorf("%d effects", n)
	}
	var body string
	created := 0
	for _, r := range replies {
		switch r.status {
		case http.StatusCreated:
			created++
			if body == "" {
				body = r.body
			}
			if r.body != body {
				t.Errorf("two answers: %s and %s", body, r.body)
			}
		case http.StatusConflict:
			r.refused(t, 409, "idempotency_in_progress")
		default:
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if created == 0 {
		t.Error("nobody got the answer")
	}
	if r := thing("slow", "at-once").do(t, h); r.status != http.StatusCreated || r.body != body {
		t.Errorf("afterwards: %d %s", r.status, r.body)
	}
}

func expiry(t *testing.T, h *house) {
	thing("a", "day").do(t, h)
	h.clock.Advance(24*time.Hour - time.Second)
	if n := h.effects(func() { thing("a", "day").do(t, h) }); n != 0 {
		t.Errorf("a second before a day has passed: %d effects", n)
	}
	h.clock.Advance(2 * time.Second)
	var other reply
	if n := h.effects(func() { other = thing("b", "day").do(t, h) }); n != 1 || other.status != http.StatusCreated {
		t.Errorf("after a day: %d effects, %d %s", n, other.status, other.body)
	}
	if n := h.effects(func() { thing("b", "day").do(t, h) }); n != 0 {
		t.Errorf("the new use of the key is not kept: %d effects", n)
	}
	h.clock.Advance(12 * time.Hour)
	thing("a", "young").do(t, h)
	h.clock.Advance(13 * time.Hour)
	w := &api.ExpireWorker{DB: h.db.DB}
	if err := w.Work(context.Background(), &river.Job[api.ExpireArgs]{}); err != nil {
		t.Fatal(err)
	}
	rows, err := h.db.Admin(t).Query(context.Background(), `SELECT key FROM idempotency_keys`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 1 || keys[0] != "young" {
		t.Errorf("keys after the sweep: %v", keys)
	}
}

func forgotten(t *testing.T, h *house) {
	h.failing.Store(true)
	thing("a", "failing").do(t, h).refused(t, 500, "internal")
	h.failing.Store(false)
	if n := h.effects(func() {
		if r := thing("a", "failing").do(t, h); r.status != http.StatusCreated {
			t.Errorf("after a failure: %d %s", r.status, r.body)
		}
	}); n != 1 {
		t.Errorf("after a failure: %d effects", n)
	}
	for range 2 {
		if n := h.effects(func() { thing("boom", "panic").do(t, h).refused(t, 500, "internal") }); n != 1 {
			t.Errorf("a panic keeps the key: %d runs", n)
		}
	}
}

func sealed(t *testing.T, h *house) {
	first := thing("a", "sealed").do(t, h)
	if !strings.Contains(first.body, topSecret) {
		t.Fatalf("the answer holds no secret: %s", first.body)
	}
	var body, headers []byte
	var actor uuid.UUID
	err := h.db.Admin(t).QueryRow(context.Background(), `SELECT actor_id, body, headers::text FROM idempotency_keys WHERE key = 'sealed'`).Scan(&actor, &body, &headers)
	if err != nil {
		t.Fatal(err)
	}
	if actor != personID("mara") || len(body) < len(topSecret) {
		t.Errorf("kept for %s: %d bytes", actor, len(body))
	}
	if bytes.Contains(body, []byte(topSecret)) || bytes.Contains(body, []byte("secret")) || bytes.Contains(headers, []byte(topSecret)) {
		t.Errorf("the secret can be read in the table: %q %s", body, headers)
	}
}
