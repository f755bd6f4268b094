package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// View runs fn with a transaction that only reads. It has no beginning and no end of its
// own: each statement is confined to the actor's workspace by itself and costs one round
// trip, where InWorkspace costs three for the first. Statements see what was committed when
// they ran, as in every transaction here.
func (d *DB) View(ctx context.Context, a Actor, fn func(tx *Tx) error) error {
	if a.WorkspaceID == uuid.Nil {
		return ErrNoWorkspace
	}
	now := d.clock.Now()
	v := &viewTx{d: d, actor: a, now: now, auto: Args{"ws": a.WorkspaceID, "now": now}}
	return Classify(fn(&Tx{Tx: v, Actor: a, Now: now}))
}

// viewTx implements what statements use of a transaction.
type viewTx struct {
	pgx.Tx
	d     *DB
	actor Actor
	auto  Args
	now   time.Time
}

var errViewWrites = errors.New("db: a view writes nothing")

// Exec implements pgx.Tx.
func (v *viewTx) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, errViewWrites
}

// Query implements pgx.Tx. The database itself refuses a statement that writes.
func (v *viewTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	b := &Batch{now: v.now, auto: v.auto}
	b.b.Queue("select set_config('app.workspace_id',$1,true), set_config('transaction_read_only','on',true)", v.actor.WorkspaceID.String())
	b.b.Queue(sql, args...)
	done := ride(ctx, v.actor, b)
	if b.err != nil {
		return nil, b.err
	}
	results := v.d.app.SendBatch(ctx, &b.b)
	if _, err := results.Exec(); err != nil {
		return nil, errors.Join(fmt.Errorf("confine view: %w", err), results.Close())
	}
	rows, err := results.Query()
	if err != nil {
		return nil, errors.Join(err, results.Close())
	}
	return &viewRows{Rows: rows, results: results, done: done}, nil
}

// viewRows ends the batch with its rows.
type viewRows struct {
	pgx.Rows
	results pgx.BatchResults
	done    func()
	closed  bool
	err     error
}

// Next implements pgx.Rows.
func (r *viewRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close implements pgx.Rows.
func (r *viewRows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.Rows.Close()
	r.err = r.Rows.Err()
	if err := r.results.Close(); r.err == nil {
		r.err = err
	}
	if r.err == nil {
		r.done()
	}
}

// Err implements pgx.Rows.
func (r *viewRows) Err() error {
	if r.closed {
		return r.err
	}
	return r.Rows.Err()
}
