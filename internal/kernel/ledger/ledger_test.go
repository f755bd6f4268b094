package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

type thing struct {
	Name   string   `audit:"name"`
	Secret string   `audit:"secret,secret"`
	Tags   []string `audit:"tags"`
	Hidden string
}

type bench struct {
	*dbtest.DB
	ledger *ledger.Ledger
	jobs   *job.Engine
	actor  db.Actor
}

func setUp(t *testing.T) bench {
	t.Helper()
	d := dbtest.New(t)
	jobs, err := job.New(d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(
		event.Type{Name: "thing.changed", Label: "Thing changed", Group: "Things", Severity: event.Info, Category: event.CategoryActivity},
		event.Type{Name: "thing.forced", Label: "Thing forced", Group: "Things", Severity: event.High, Category: event.CategoryAdmin, NeedsReason: true},
		event.Type{Name: "session.started", Label: "Signed in", Group: "Access", Severity: event.Info, Category: event.CategoryAccess, AuditOnly: true},
	)
	if err != nil {
		t.Fatal(err)
	}
	ws := d.Workspace(t, "acme")
	return bench{DB: d, ledger: ledger.New(catalogue, jobs, dbtest.Keyring(t)), jobs: jobs, actor: d.Member(t, ws, "Mara Lind", "member")}
}

func (b bench) record(t *testing.T, e ledger.Entry) (uuid.UUID, error) {
	t.Helper()
	var id uuid.UUID
	err := b.InWorkspace(context.Background(), b.actor, func(tx *db.Tx) error {
		var err error
		id, err = b.ledger.Record(context.Background(), tx, e)
		return err
	})
	return id, err
}

func TestRecordWritesAuditEntryEventAndJobTogether(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	id, err := b.record(t, ledger.Entry{
		Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New(), Key: "T-1", Title: "One"},
		Before: thing{Name: "a", Secret: "x", Hidden: "1"}, After: thing{Name: "b", Secret: "y", Hidden: "2"},
		Payload: map[string]any{"n": 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	var diff, detail json.RawMessage
	var action string
	err = b.Admin(t).QueryRow(ctx, `SELECT action, diff, detail FROM audit.event WHERE event_id = $1`, id).Scan(&action, &diff, &detail)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"to": "b", "from": "a", "field": "name"}, {"to": "[redacted]", "from": "[redacted]", "field": "secret"}]`
	if string(diff) != want {
		t.Errorf("diff %s, want %s", diff, want)
	}
	if string(detail) != `{"title": "One"}` {
		t.Errorf("detail %s", detail)
	}
	for _, q := range []string{
		`SELECT count(*) FROM events WHERE id = $1 AND name = 'thing.changed'`,
		`SELECT count(*) FROM audit.pending WHERE event_id = $1`,
		`SELECT count(*) FROM river.river_job WHERE kind = 'event.dispatch' AND args->>'event_id' = $1::text`,
	} {
		var n int
		if err := b.Admin(t).QueryRow(ctx, q, id).Scan(&n); err != nil || n != 1 {
			t.Errorf("%s: %d, %v; want 1", q, n, err)
		}
	}
}

func TestNothingHappensWhenTheTransactionFails(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	boom := errors.New("boom")
	err := b.InWorkspace(context.Background(), b.actor, func(tx *db.Tx) error {
		if _, err := b.ledger.Record(context.Background(), tx, ledger.Entry{Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New()}}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	for _, table := range []string{"audit.event", "audit.pending", "events", "river.river_job"} {
		var n int
		if err := b.Admin(t).QueryRow(context.Background(), `SELECT count(*) FROM `+table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s holds %d rows, %v", table, n, err)
		}
	}
}

func TestUnknownActionsAndMissingReasonsAreRefused(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	subject := event.Subject{Type: "thing", ID: uuid.New()}
	if _, err := b.record(t, ledger.Entry{Action: "thing.invented", Subject: subject}); !errors.Is(err, ledger.ErrUnknownAction) {
		t.Errorf("unknown action: %v", err)
	}
	if _, err := b.record(t, ledger.Entry{Action: "thing.forced", Subject: subject}); err == nil {
		t.Error("an action that needs a reason was recorded without one")
	}
}

func TestAuditRowsCannotBeChanged(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	if _, err := b.record(t, ledger.Entry{Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New()}}); err != nil {
		t.Fatal(err)
	}
	var partition string
	if err := b.Admin(t).QueryRow(ctx, `SELECT tableoid::regclass FROM audit.event`).Scan(&partition); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE audit.event SET action = 'x'`, `DELETE FROM audit.event`, `TRUNCATE audit.event`, `DROP TABLE audit.event`,
		`INSERT INTO audit.event (workspace_id, event_id, recorded_at) VALUES (gen_random_uuid(), gen_random_uuid(), now())`,
		`SELECT * FROM ` + partition, `DELETE FROM audit.pending`, `SET session_replication_role = replica`,
	} {
		err := b.InWorkspace(ctx, b.actor, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
			t.Errorf("application: %s: %v, want 42501", sql, err)
		}
	}
	for _, sql := range []string{
		`UPDATE audit.event SET action = 'x'`, `DELETE FROM audit.event`, `TRUNCATE audit.event`, `TRUNCATE ` + partition,
		`UPDATE ` + partition + ` SET action = 'x'`,
		`SET session_replication_role = replica; UPDATE audit.event SET action = 'x'`,
	} {
		if _, err := b.Admin(t).Exec(ctx, sql); err == nil {
			t.Errorf("superuser: %s passed", sql)
		}
	}
}

func TestAChangeWithoutAnAuditEntryIsRefusedAtCommit(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	err := b.InWorkspace(ctx, b.actor, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE members SET role = 'owner' WHERE user_id = $1`, b.actor.UserID)
		return err
	})
	if !db.Violated(err, "audit_required") {
		t.Errorf("role changed by hand: %v, want a violation of audit_required", err)
	}
}

func TestAWorkspaceDoesNotReadTheAuditLogOfAnother(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	if _, err := b.record(t, ledger.Entry{Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New()}}); err != nil {
		t.Fatal(err)
	}
	other := b.Workspace(t, "globex")
	for _, table := range []string{"audit.event", "audit.pii", "audit.pii_key", "events", "river.river_job"} {
		err := b.InWorkspace(ctx, db.System(other, "test"), func(tx *db.Tx) error {
			var n int
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("the other workspace sees %d rows of %s", n, table)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", table, err)
		}
	}
}

func TestNamesAreSealedAndFoundAgain(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	var refs []uuid.UUID
	for range 2 {
		id, err := b.record(t, ledger.Entry{Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New()}})
		if err != nil {
			t.Fatal(err)
		}
		var ref uuid.UUID
		if err := b.Admin(t).QueryRow(ctx, `SELECT pii_ref FROM audit.event WHERE event_id = $1`, id).Scan(&ref); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	if refs[0] != refs[1] {
		t.Error("the same person and device were stored twice")
	}
	err := b.InWorkspace(ctx, b.actor, func(tx *db.Tx) error {
		people, err := b.ledger.People(ctx, tx, refs)
		if err == nil && people[refs[0]].Name != "Mara Lind" {
			t.Errorf("people %v", people)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnEventReachesEachSubscriberOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var mu sync.Mutex
	seen := map[string]int{}
	got := make(chan struct{}, 10)
	handle := func(name string) func(context.Context, event.Event) error {
		return func(_ context.Context, ev event.Event) error {
			mu.Lock()
			defer mu.Unlock()
			seen[name+" "+ev.Name+" "+ev.Subject.Key]++
			got <- struct{}{}
			return nil
		}
	}
	dispatcher, err := event.NewDispatcher(b.DB.DB, b.jobs, []event.Subscription{
		{Name: "test.all", Patterns: []string{"*", "thing.*"}, Handle: handle("all")},
		{Name: "test.none", Patterns: []string{"other.*"}, Handle: handle("none")},
		{Name: "test.exact", Patterns: []string{"thing.changed"}, Handle: handle("exact")},
	})
	if err != nil {
		t.Fatal(err)
	}
	workers := river.NewWorkers()
	dispatcher.Register(workers)
	if err := b.jobs.Start(ctx, job.StartOptions{Workers: workers}); err != nil {
		t.Fatal(err)
	}
	defer b.jobs.Stop(ctx)
	for _, key := range []string{"T-1", "T-2"} {
		if _, err := b.record(t, ledger.Entry{Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New(), Key: key}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		select {
		case <-got:
		case <-ctx.Done():
			t.Fatal("events did not arrive")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"all thing.changed T-1", "all thing.changed T-2", "exact thing.changed T-1", "exact thing.changed T-2"} {
		if seen[want] != 1 {
			t.Errorf("%s handled %d times, want once", want, seen[want])
		}
	}
	if len(seen) != 4 {
		t.Errorf("handled %v", seen)
	}
}

func TestManyEntriesAreRecordedTogether(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	parent := event.Subject{Type: "box", ID: uuid.New()}
	entries := make([]ledger.Entry, 300)
	for i := range entries {
		entries[i] = ledger.Entry{
			Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New(), Title: "One"},
			After: thing{Name: "a"}, Payload: map[string]int{"n": i}, Severity: event.High,
		}
	}
	entries[7].Parent, entries[7].Reason = &parent, "because"
	entries[8].Action = "session.started"
	entries[9].Outcome = ledger.Denied
	var ids []uuid.UUID
	err := b.InWorkspace(ctx, b.actor, func(tx *db.Tx) error {
		var err error
		ids, err = b.ledger.RecordAll(ctx, tx, entries...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != len(entries) {
		t.Fatalf("%d ids for %d entries", len(ids), len(entries))
	}
	for q, want := range map[string]int{
		`SELECT count(*) FROM audit.event`: 300,
		// Two entries make no event: one is for the audit log only, one was refused.
		`SELECT count(*) FROM events`: 298, `SELECT count(*) FROM river.river_job WHERE kind = 'event.dispatch'`: 298,
		`SELECT count(*) FROM audit.event WHERE reason = 'because' AND parent_type = 'box'`: 1,
		`SELECT count(*) FROM audit.event WHERE pii_ref IS NOT NULL`:                        300,
	} {
		var n int
		if err := b.Admin(t).QueryRow(ctx, q).Scan(&n); err != nil || n != want {
			t.Errorf("%s: %d, %v; want %d", q, n, err, want)
		}
	}
	for i, id := range ids {
		var target uuid.UUID
		if err := b.Admin(t).QueryRow(ctx, `SELECT target_id FROM audit.event WHERE event_id = $1`, id).Scan(&target); err != nil {
			t.Fatal(err)
		}
		if target != entries[i].Subject.ID {
			t.Fatalf("entry %d got the id of another", i)
		}
	}
}

// The row of the job that hands out an event is written by our own statement.
func TestTheJobOfAnEventIsWhatRiverWouldInsert(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	id, err := b.record(t, ledger.Entry{Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New()}})
	if err != nil {
		t.Fatal(err)
	}
	ours := jobRow(t, b)
	err = b.InWorkspace(ctx, b.actor, func(tx *db.Tx) error {
		return b.jobs.Insert(ctx, tx, event.DispatchArgs{
			InWorkspace: job.InWorkspace{WorkspaceID: b.actor.WorkspaceID}, EventID: id, Name: "thing.changed",
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if theirs := jobRow(t, b); ours != theirs {
		t.Errorf("our job and River's differ:\n%s\n%s", ours, theirs)
	}
}

// jobRow returns the job inserted last as JSON, without what differs between any two.
func jobRow(t *testing.T, b bench) string {
	t.Helper()
	var row string
	err := b.Admin(t).QueryRow(context.Background(), `
		SELECT (to_jsonb(j) - 'id' - 'created_at' - 'scheduled_at')::text FROM river.river_job j ORDER BY id DESC LIMIT 1`).Scan(&row)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// Workers are told about our own jobs on River's channel, in River's words.
func TestWorkersAreToldOfAnEventAsRiverTellsThem(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	told := make(chan string, 10)
	ready := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		_ = b.Listen(ctx, "river.river_insert", func() { close(ready) }, func(payload string) { told <- payload })
	})
	defer listening.Wait()
	defer cancel()
	<-ready
	id, err := b.record(t, ledger.Entry{Action: "thing.changed", Subject: event.Subject{Type: "thing", ID: uuid.New()}})
	if err != nil {
		t.Fatal(err)
	}
	next := func(who string) (payload map[string]string) {
		select {
		case text := <-told:
			if err := json.Unmarshal([]byte(text), &payload); err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			t.Fatalf("%s told nobody", who)
		}
		return payload
	}
	ours := next("our insert")
	err = b.InWorkspace(ctx, b.actor, func(tx *db.Tx) error {
		return b.jobs.Insert(ctx, tx, event.DispatchArgs{
			InWorkspace: job.InWorkspace{WorkspaceID: b.actor.WorkspaceID}, EventID: id, Name: "thing.changed",
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if theirs := next("River"); !maps.Equal(ours, theirs) {
		t.Errorf("we say %v, River says %v", ours, theirs)
	}
}
