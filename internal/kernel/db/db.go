// Package db is the only way to PostgreSQL. Tenant tables are reached through
// InWorkspace or ReadBatch, which set the workspace for one transaction; the few things
// that must look across workspaces go through System, under a role whose grants name
// exactly the columns it may see. No pool is exported.
package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/trace"
)

// ErrNoWorkspace is returned when a tenant query is asked for without a workspace. The
// database would refuse it too; this names the caller's mistake.
var ErrNoWorkspace = errors.New("db: no workspace set for a workspace transaction")

// DB holds one pool per database role.
type DB struct {
	app    *pgxpool.Pool
	system *pgxpool.Pool
	clock  clock.Clock
}

// Config says where the database is and how many connections each role may hold.
type Config struct {
	// AppURL connects as vigilo_app, which row-level security confines to one workspace.
	AppURL string
	// SystemURL connects as vigilo_system, which runs jobs and named cross-workspace reads.
	SystemURL string
	// AppConns and SystemConns are the greatest numbers of connections; 0 means 16 and 12.
	AppConns, SystemConns int32
}

// Open makes the pools without waiting for the database, so that the program can start
// and answer 503 while PostgreSQL is away.
func Open(ctx context.Context, c Config, clk clock.Clock) (*DB, error) {
	app, err := newPool(ctx, c.AppURL, cmpOr(c.AppConns, 16))
	if err != nil {
		return nil, fmt.Errorf("open pool of vigilo_app: %w", err)
	}
	system, err := newPool(ctx, c.SystemURL, cmpOr(c.SystemConns, 12))
	if err != nil {
		app.Close()
		return nil, fmt.Errorf("open pool of vigilo_system: %w", err)
	}
	return &DB{app: app, system: system, clock: clk}, nil
}

func cmpOr(v, or int32) int32 {
	if v == 0 {
		return or
	}
	return v
}

func newPool(ctx context.Context, url string, conns int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse connection string: %w", err)
	}
	cfg.MaxConns = conns
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.HealthCheckPeriod = 15 * time.Second
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	params := cfg.ConnConfig.RuntimeParams
	params["application_name"] = "vigilo"
	params["timezone"] = "UTC"
	params["statement_timeout"] = "30000"
	params["idle_in_transaction_session_timeout"] = "60000"
	params["lock_timeout"] = "10000"
	return pgxpool.NewWithConfig(ctx, cfg)
}

// Close ends all connections.
func (d *DB) Close() {
	d.app.Close()
	d.system.Close()
}

// Clock returns the clock that transactions take their time from.
func (d *DB) Clock() clock.Clock { return d.clock }

// Ping reports whether the database answers under both roles.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.app.Ping(ctx); err != nil {
		return Classify(err)
	}
	return Classify(d.system.Ping(ctx))
}

// Pools gives the job engine its two pools: app inserts jobs inside our transactions,
// system works them. Nothing else may ask for them (a rule test checks the callers).
func (d *DB) Pools() (app, system *pgxpool.Pool) { return d.app, d.system }

// Session is what statements run on: a workspace transaction or a system transaction.
type Session interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	auto() Args
}

// Tx is one transaction inside one workspace. Now is the same for its whole life, so
// that everything it writes carries one time.
type Tx struct {
	pgx.Tx
	Actor Actor
	Now   time.Time

	committed []func()
}

// AfterCommit has fn called once the transaction has committed, and never otherwise. It
// must not block.
func (t *Tx) AfterCommit(fn func()) { t.committed = append(t.committed, fn) }

func (t *Tx) auto() Args { return Args{"ws": t.Actor.WorkspaceID, "now": t.Now} }

// InWorkspace runs fn in a transaction that sees only the actor's workspace. It commits
// when fn returns nil and rolls back otherwise. Errors of the connection come back as
// fault.Unavailable.
func (d *DB) InWorkspace(ctx context.Context, a Actor, fn func(tx *Tx) error) (err error) {
	if a.WorkspaceID == uuid.Nil {
		return ErrNoWorkspace
	}
	if trace.On(ctx) {
		var end trace.End
		ctx, end = trace.StartCall(ctx, "db transaction", postgres, trace.Workspace(a.WorkspaceID))
		defer func() { end(err) }()
	}
	// A typed uuid cannot carry SQL, and one round trip begins and confines.
	begin := "begin; select set_config('app.workspace_id','" + a.WorkspaceID.String() + "',true)"
	t := &Tx{Actor: a, Now: d.clock.Now()}
	err = pgx.BeginTxFunc(ctx, d.app, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
		t.Tx = tx
		return fn(t)
	})
	if err != nil {
		return Classify(err)
	}
	for _, fn := range t.committed {
		fn()
	}
	return nil
}

// SystemTx is a transaction of the role vigilo_system, which may look across workspaces
// but only at what it was granted.
type SystemTx struct {
	pgx.Tx
	Now time.Time
}

func (t *SystemTx) auto() Args { return Args{"now": t.Now} }

// System runs fn in a transaction of the role vigilo_system. Every caller is one of the
// cross-workspace reads and writes that docs/architecture.md lists.
func (d *DB) System(ctx context.Context, fn func(tx *SystemTx) error) (err error) {
	if trace.On(ctx) {
		var end trace.End
		ctx, end = trace.StartCall(ctx, "db system transaction", postgres)
		defer func() { end(err) }()
	}
	err = pgx.BeginFunc(ctx, d.system, func(tx pgx.Tx) error {
		return fn(&SystemTx{Tx: tx, Now: d.clock.Now()})
	})
	return Classify(err)
}

// postgres names the database in spans.
var postgres = trace.Text("db.system.name", "postgresql")

type systemConn struct {
	*pgxpool.Pool
	now time.Time
}

func (c systemConn) auto() Args { return Args{"now": c.now} }

// SystemRead is a session of the role vigilo_system for one statement that needs no
// transaction of its own, such as looking up a session cookie.
func (d *DB) SystemRead() Session { return systemConn{Pool: d.system, now: d.clock.Now()} }

// Batch collects reads of one page, so that they cost one round trip.
type Batch struct {
	b    pgx.Batch
	auto Args
	now  time.Time
	err  error // the first statement whose arguments did not fit
}

// Now is the time that statements of the batch know as @now.
func (b *Batch) Now() time.Time { return b.now }

func (b *Batch) queue(name string, q query, args Args, read func(pgx.Rows) error) {
	bound, err := q.bind(args, b.auto)
	if err != nil {
		b.err = cmp.Or(b.err, fmt.Errorf("%s: %w", name, err))
		return
	}
	b.b.Queue(q.sql, bound...).Query(func(rows pgx.Rows) error {
		if err := read(rows); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// ReadBatch runs the statements that fill queues in one round trip and one implicit
// transaction confined to the actor's workspace.
func (d *DB) ReadBatch(ctx context.Context, a Actor, fill func(b *Batch)) (err error) {
	if a.WorkspaceID == uuid.Nil {
		return ErrNoWorkspace
	}
	now := d.clock.Now()
	b := &Batch{now: now, auto: Args{"ws": a.WorkspaceID, "now": now}}
	b.b.Queue("select set_config('app.workspace_id',$1,true)", a.WorkspaceID.String())
	fill(b)
	if b.err != nil {
		return b.err
	}
	if b.b.Len() == 1 {
		return nil // nothing is asked for
	}
	done := ride(ctx, a, b)
	if trace.On(ctx) {
		var end trace.End
		ctx, end = trace.StartCall(ctx, "db batch", postgres, trace.Workspace(a.WorkspaceID), trace.Number("db.operation.batch.size", b.b.Len()-1))
		defer func() { end(err) }()
	}
	if err := d.app.SendBatch(ctx, &b.b).Close(); err != nil {
		return Classify(err)
	}
	done()
	return nil
}

// WriteBatch is ReadBatch for statements that also write: they cost one round trip instead
// of four, and all of them happen or none. It suits only writes that need no answer of each
// other; what must be audited goes through InWorkspace and the ledger.
func (d *DB) WriteBatch(ctx context.Context, a Actor, fill func(b *Batch)) error {
	return d.ReadBatch(ctx, a, fill)
}

// Listen opens a connection of its own and calls fn for each notification on the
// channel until the context ends or the connection fails.
func (d *DB) Listen(ctx context.Context, channel string, ready func(), fn func(payload string)) error {
	conn, err := pgx.ConnectConfig(ctx, d.app.Config().ConnConfig.Copy())
	if err != nil {
		return Classify(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen on %s: %w", channel, err)
	}
	if ready != nil {
		ready()
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("wait for notification on %s: %w", channel, err)
		}
		fn(n.Payload)
	}
}

// Args are named arguments. Statements may also use @ws and @now, which the session
// supplies.
type Args map[string]any

// Classify turns a failure of the connection into fault.Unavailable and leaves every
// other error as it is.
func Classify(err error) error {
	if err == nil || fault.Find(err) != nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// 57P0x: shutdown, crash and start-up of the server; 53300: too many connections.
		if strings.HasPrefix(pg.Code, "57P0") || strings.HasPrefix(pg.Code, "08") || pg.Code == "53300" {
			return fault.NewUnavailable("The database is not answering. Try again in a moment.", err)
		}
		return err
	}
	_, connect := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	closed := errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "unexpected EOF") || strings.Contains(err.Error(), "conn closed")
	if connect || network || closed || pgconn.SafeToRetry(err) {
		return fault.NewUnavailable("The database is not answering. Try again in a moment.", err)
	}
	return err
}

// Violated reports whether err is a violation of the constraint or unique index with the
// given name. It is the only way a database error may become a message for a person.
func Violated(err error, constraint string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.ConstraintName == constraint
}
