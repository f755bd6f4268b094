package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

var (
	someWorkspace  = db.Define[string]("dbtest.some_workspace", `SELECT slug FROM workspaces WHERE slug = @slug`).Called("workspace")
	countByWriting = db.Define[int64]("dbtest.count_by_writing", `
	INSERT INTO key_counters (workspace_id, prefix, last) VALUES (@ws, @prefix, 1) RETURNING last`)
)

func TestAViewSeesOneWorkspaceAndWritesNothing(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	ctx := context.Background()
	a := db.System(d.Workspace(t, "acme"), "test")
	d.Workspace(t, "globex")
	err := d.View(ctx, a, func(tx *db.Tx) error {
		for range 2 {
			if n, err := countWorkspaces.One(ctx, tx, nil); err != nil || n != 1 {
				t.Errorf("%d workspaces, %v; want 1", n, err)
			}
		}
		if _, err := someWorkspace.One(ctx, tx, db.Args{"slug": "globex"}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a foreign workspace: %v, want not found", err)
		}
		if _, err := setCounter.Run(ctx, tx, db.Args{"prefix": "CHG"}); err == nil {
			t.Error("a command ran")
		}
		_, err := countByWriting.One(ctx, tx, db.Args{"prefix": "CHG"})
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "25006" {
			t.Errorf("a query that writes: %v, want SQLSTATE 25006", err)
		}
		// The connection is good for what follows, and the next one may write again.
		if n, err := countWorkspaces.One(ctx, tx, nil); err != nil || n != 1 {
			t.Errorf("after that: %d, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.InWorkspace(ctx, a, func(tx *db.Tx) error {
		_, err := setCounter.Run(ctx, tx, db.Args{"prefix": "CHG"})
		return err
	})
	if err != nil {
		t.Errorf("a transaction afterwards: %v", err)
	}
	if err := d.View(ctx, db.Actor{}, nil); !errors.Is(err, db.ErrNoWorkspace) {
		t.Errorf("without a workspace: %v", err)
	}
}

func TestReadsRideAlongOnceAndOnlyInTheirWorkspace(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	a := db.System(d.Workspace(t, "acme"), "test")
	other := db.System(d.Workspace(t, "globex"), "test")
	meter, err := dbtest.NewMeter(d.URL("vigilo_app"))
	if err != nil {
		t.Fatal(err)
	}
	defer meter.Close()
	url, err := meter.Through(d.URL("vigilo_app"))
	if err != nil {
		t.Fatal(err)
	}
	metered, err := db.Open(context.Background(), db.Config{AppURL: url, SystemURL: url, AppConns: 1}, d.Clock)
	if err != nil {
		t.Fatal(err)
	}
	defer metered.Close()
	count := func(ctx context.Context) {
		t.Helper()
		if err := metered.View(ctx, a, func(tx *db.Tx) error { _, err := countWorkspaces.One(ctx, tx, nil); return err }); err != nil {
			t.Fatal(err)
		}
	}
	var slug *db.Result[string]
	queued, done := 0, 0
	rider := func() context.Context {
		return db.WithRider(context.Background(), a, func(b *db.Batch) {
			queued++
			slug = someWorkspace.Queue(b, db.Args{"slug": "acme"})
		}, func() { done++ })
	}
	count(rider()) // prepares both statements
	ctx := rider()
	if err := metered.ReadBatch(ctx, other, func(b *db.Batch) { countWorkspaces.Queue(b, nil) }); err != nil || queued != 1 {
		t.Fatalf("in another workspace: queued %d times, %v", queued, err)
	}
	before := meter.Trips()
	count(ctx)
	count(ctx)
	if n := meter.Trips() - before; n != 2 || queued != 2 || done != 2 {
		t.Errorf("%d round trips for two reads, %d times queued, %d times done; want 2, 2, 2", n, queued, done)
	}
	if name, ok := slug.First(); !ok || name != "acme" {
		t.Errorf("the reads that rode along found %q", name)
	}
	if err := metered.ReadBatch(rider(), a, func(b *db.Batch) { countByWriting.Queue(b, db.Args{"nothing": 1}) }); err == nil || done != 2 {
		t.Errorf("a batch that failed: %v, %d times done", err, done)
	}
}
