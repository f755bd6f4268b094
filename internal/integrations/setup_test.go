package integrations

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// openNetwork lets tests reach their own sinks.
func openNetwork() outbound.Policy {
	return outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true}
}

// bench is the module on a database of its own, with two workspaces and their people.
type bench struct {
	*dbtest.DB
	svc                   *Service
	policy                *access.Policy
	ledger                *ledger.Ledger
	jobs                  *job.Engine
	log                   *logBuffer
	ws                    uuid.UUID
	admin, member, strang db.Actor
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func thingTypes() []event.Type {
	thing := func(name string) event.Type {
		return event.Type{
			Name: name, Label: name, Group: "Things", Severity: event.Info, Category: event.CategoryActivity,
			Example: map[string]any{"size": 3},
		}
	}
	seen := thing("thing.seen")
	seen.AuditOnly = true
	return []event.Type{thing("thing.made"), thing("thing.broken"), thing("other.made"), seen}
}

func setUp(t testing.TB, change ...func(*Deps)) *bench {
	t.Helper()
	d := dbtest.New(t)
	logs := &logBuffer{}
	log := slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	jobs, err := job.New(d.DB, log)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(append(eventTypes(), thingTypes()...)...)
	if err != nil {
		t.Fatal(err)
	}
	keys := dbtest.Keyring(t)
	policy, err := access.NewPolicy(
		access.Grant{Permission: ReadEvents, Min: access.Viewer}, access.Grant{Permission: web.LivePermission, Min: access.Viewer},
	)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{DB: d, policy: policy, ledger: ledger.New(catalogue, jobs, keys), jobs: jobs, log: logs}
	deps := Deps{DB: d.DB, Ledger: b.ledger, Jobs: jobs, Clock: clock.System(), Log: log, Sealer: keys, Network: openNetwork()}
	for _, c := range change {
		c(&deps)
	}
	b.svc = New(deps)
	if err := policy.Add(b.svc.Module().Permissions...); err != nil {
		t.Fatal(err)
	}
	b.ws = d.Workspace(t, "acme")
	b.admin, b.member = d.Member(t, b.ws, "Ada Admin", "admin"), d.Member(t, b.ws, "Mia Member", "member")
	b.strang = d.Member(t, d.Workspace(t, "globex"), "Stan Stranger", "admin")
	return b
}

// work starts the jobs of the module and of the fan-out, and returns how to stop them.
func (b *bench) work(t testing.TB, queues map[string]int) *job.Engine {
	t.Helper()
	engine, err := job.New(b.DB.DB, slog.New(slog.NewTextHandler(b.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	m := b.svc.Module()
	workers := river.NewWorkers()
	m.Workers(workers)
	dispatcher, err := event.NewDispatcher(b.DB.DB, engine, m.On)
	if err != nil {
		t.Fatal(err)
	}
	dispatcher.Register(workers)
	if err := engine.Start(context.Background(), job.StartOptions{Workers: workers, Queues: queues}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNow(t, engine) })
	return engine
}

// stopNow stops without waiting for running jobs: they are cancelled.
func stopNow(t testing.TB, engine *job.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := engine.Stop(ctx); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}

// happen records an event about a thing.
func (b *bench) happen(t testing.TB, name string) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	err := b.InWorkspace(context.Background(), b.member, func(tx *db.Tx) error {
		var err error
		id, err = b.ledger.Record(context.Background(), tx, ledger.Entry{
			Action: name, Subject: event.Subject{Type: "thing", ID: uuid.New(), Title: "A thing"}, Payload: map[string]any{"size": 3},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// add makes an endpoint and returns it with its secret.
func (b *bench) add(t testing.TB, url string, patterns ...string) (Endpoint, string) {
	t.Helper()
	e, secret, err := b.svc.Create(context.Background(), b.admin, NewEndpoint{URL: url, Patterns: patterns})
	if err != nil {
		t.Fatal(err)
	}
	return e, secret
}

func (b *bench) count(t testing.TB, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := b.Admin(t).QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// arrived is a request that a sink took.
type arrived struct {
	header http.Header
	body   []byte
}

// sink is a receiver that answers as it is told and keeps what arrived.
type sink struct {
	*httptest.Server
	mu     sync.Mutex
	got    []arrived
	answer func(n int, w http.ResponseWriter, r *http.Request) // n counts from 1
}

func newSink(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *sink {
	t.Helper()
	s := &sink{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.got = append(s.got, arrived{header: r.Header.Clone(), body: raw})
		n := len(s.got)
		s.mu.Unlock()
		if s.answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		s.answer(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) all() []arrived {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]arrived(nil), s.got...)
}

// status answers always the same.
func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// wait waits until a condition holds.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited too long until %s", what)
		case <-tick.C:
		}
	}
}
