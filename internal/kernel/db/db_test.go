package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
)

var (
	countWorkspaces = db.Define[int64]("dbtest.count_workspaces", `SELECT count(*) FROM workspaces`)
	setCounter      = db.DefineCommand("dbtest.set_counter", `
	INSERT INTO key_counters (workspace_id, prefix, last) VALUES (@ws, @prefix, 1)`)
	foreignCounter = db.DefineCommand("dbtest.foreign_counter", `
	INSERT INTO key_counters (workspace_id, prefix, last) VALUES (@other, 'X', 1)`)
)

func TestAWorkspaceSeesOnlyItself(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	ctx := context.Background()
	a, b := d.Workspace(t, "acme"), d.Workspace(t, "globex")
	err := d.InWorkspace(ctx, db.System(a, "test"), func(tx *db.Tx) error {
		n, err := countWorkspaces.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if n != 1 {
			t.Errorf("workspace a sees %d workspaces, want 1", n)
		}
		_, err = setCounter.Run(ctx, tx, db.Args{"prefix": "CHG"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.InWorkspace(ctx, db.System(a, "test"), func(tx *db.Tx) error {
		_, err := foreignCounter.Run(ctx, tx, db.Args{"other": b})
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
		t.Errorf("insert for another workspace: %v, want SQLSTATE 42501", err)
	}
}

func TestAQueryWithoutAWorkspaceIsAnError(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	ctx := context.Background()
	if err := d.InWorkspace(ctx, db.Actor{}, nil); !errors.Is(err, db.ErrNoWorkspace) {
		t.Errorf("InWorkspace without a workspace: %v, want ErrNoWorkspace", err)
	}
	app, _ := d.Pools()
	for _, setting := range []string{"", "garbage", "'; select 1; --", uuid.NewString() + "x"} {
		tx, err := app.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, `SELECT set_config('app.workspace_id', $1, true)`, setting); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM workspaces`).Scan(&n); err == nil {
			t.Errorf("setting %q: saw %d rows, want an error", setting, n)
		}
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := app.QueryRow(ctx, `SELECT count(*) FROM workspaces`).Scan(&n); err == nil {
		t.Errorf("never set: saw %d rows, want an error", n)
	}
}

func TestTheRolesOfTheProgramAreHarmless(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	problems, err := d.CheckRoles(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
}
