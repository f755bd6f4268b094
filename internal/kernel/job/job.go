// Package job runs background work on River. Jobs are inserted by the transaction that
// makes them necessary, carry their workspace in their arguments, and are repeated until
// they succeed or can never succeed.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

const schema = "river"

// InWorkspace is embedded in the arguments of every job that works for a workspace. The
// database refuses to let a workspace insert a job for another one.
type InWorkspace struct {
	WorkspaceID uuid.UUID `json:"workspace_id" river:"unique"`
}

// Workspace returns the workspace of the job.
func (w InWorkspace) Workspace() uuid.UUID { return w.WorkspaceID }

// Queues and how many jobs of each run at once in one process. A queue stands for a kind
// of patience: events are short and wanted at once, deliveries wait for strangers.
const (
	QueueDefault  = river.QueueDefault
	QueueEvents   = "events"
	QueueDelivery = "delivery"
	QueueMail     = "mail"
	QueueScan     = "scan"
)

// DefaultQueues returns the queues that a process works when it is not told otherwise.
func DefaultQueues() map[string]int {
	return map[string]int{QueueDefault: 10, QueueEvents: 20, QueueDelivery: 50, QueueMail: 5, QueueScan: 4}
}

// Schedule inserts a job again and again. The job does what is due; it is never "the run
// of ten o'clock", because missed ticks are not made up.
type Schedule struct {
	Every time.Duration
	Job   func() river.JobArgs
	// AtStart also inserts it when a process becomes the leader.
	AtStart bool
}

// Outcome is how an attempt at a job ended.
type Outcome string

// The outcomes of an attempt.
const (
	Done      Outcome = "done"
	Retried   Outcome = "retried"
	Snoozed   Outcome = "snoozed"
	Cancelled Outcome = "cancelled"
)

// Observer is told about each attempt at a job, for metrics: how long it waited after it
// was due, and how long it took.
type Observer func(kind string, outcome Outcome, waited, took time.Duration)

// Engine inserts jobs and, once started, works them.
type Engine struct {
	app    *river.Client[pgx.Tx]
	system *river.Client[pgx.Tx]
	work   *river.Client[pgx.Tx]
	db     *db.DB
	log    *slog.Logger
	waker  *waker
}

// New returns an engine that can insert. It asks nothing of the database yet.
func New(d *db.DB, log *slog.Logger) (*Engine, error) {
	appPool, systemPool := d.Pools()
	// A client tells workers of an insert at most once per queue and cooldown. With the
	// default of 100 ms the second job of a chain, such as dispatch and handle, would go
	// untold and wait for the next poll.
	cfg := func() *river.Config {
		return &river.Config{
			Schema: schema, Logger: quiet(log), FetchCooldown: river.FetchCooldownMin, Middleware: []rivertype.Middleware{&carryTrace{}},
		}
	}
	app, err := river.NewClient(riverpgxv5.New(appPool), cfg())
	if err != nil {
		return nil, fmt.Errorf("make job inserter of vigilo_app: %w", err)
	}
	system, err := river.NewClient(riverpgxv5.New(systemPool), cfg())
	if err != nil {
		return nil, fmt.Errorf("make job inserter of vigilo_system: %w", err)
	}
	w := &waker{db: d, log: log, queues: map[string]struct{}{}}
	return &Engine{app: app, system: system, db: d, log: log, waker: w}, nil
}

// quiet keeps River's own messages at warning and above: its information lines repeat
// every few seconds and tell an operator nothing.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(leveled{Handler: log.Handler(), min: slog.LevelWarn})
}

type leveled struct {
	slog.Handler
	min slog.Level
}

func (l leveled) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= l.min && l.Handler.Enabled(ctx, level)
}

func (l leveled) WithAttrs(a []slog.Attr) slog.Handler {
	return leveled{Handler: l.Handler.WithAttrs(a), min: l.min}
}

func (l leveled) WithGroup(name string) slog.Handler {
	return leveled{Handler: l.Handler.WithGroup(name), min: l.min}
}

// Insert adds jobs in the caller's transaction: they exist if and only if it commits.
// Each must belong to the workspace of the transaction.
func (e *Engine) Insert(ctx context.Context, tx *db.Tx, args ...river.JobArgs) error {
	return insert(ctx, e.app, tx.Tx, args)
}

// InsertSystem adds jobs in a system transaction.
func (e *Engine) InsertSystem(ctx context.Context, tx *db.SystemTx, args ...river.JobArgs) error {
	return insert(ctx, e.system, tx.Tx, args)
}

func insert(ctx context.Context, c *river.Client[pgx.Tx], tx pgx.Tx, args []river.JobArgs) error {
	if len(args) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(args))
	for i, a := range args {
		params[i].Args = a
	}
	if _, err := c.InsertManyTx(ctx, tx, params); err != nil {
		return fmt.Errorf("insert %d jobs, first %s: %w", len(args), args[0].Kind(), err)
	}
	return nil
}

// StartOptions say what a process works.
type StartOptions struct {
	Workers   *river.Workers
	Schedules []Schedule
	// Queues by name with their concurrency; nil means DefaultQueues.
	Queues   map[string]int
	Observer Observer
	// Trace makes the span of an attempt; nil makes none.
	Trace Tracer
}

// Start begins to work jobs and returns at once.
func (e *Engine) Start(ctx context.Context, o StartOptions) error {
	_, systemPool := e.db.Pools()
	queues := o.Queues
	if queues == nil {
		queues = DefaultQueues()
	}
	cfg := &river.Config{
		Schema:  schema,
		Logger:  quiet(e.log),
		Workers: o.Workers,
		Queues:  make(map[string]river.QueueConfig, len(queues)),
		// An event must reach its first webhook within milliseconds; the default
		// cooldown of 100 ms would be most of the way.
		FetchCooldown:               5 * time.Millisecond,
		FetchPollInterval:           time.Second,
		JobTimeout:                  time.Minute,
		RescueStuckJobsAfter:        3 * time.Minute,
		CompletedJobRetentionPeriod: 15 * time.Minute,
		CancelledJobRetentionPeriod: 24 * time.Hour,
		DiscardedJobRetentionPeriod: 7 * 24 * time.Hour,
		ErrorHandler:                errorLog{log: e.log},
		Middleware:                  []rivertype.Middleware{&carryTrace{}},
		// The migration drops the other two.
		ReindexerIndexNames: slices.DeleteFunc(river.ReindexerIndexNamesDefault(), func(name string) bool {
			return name == "river_job_args_index" || name == "river_job_metadata_index"
		}),
	}
	if o.Trace != nil {
		cfg.Middleware = append(cfg.Middleware, &spanMiddleware{trace: o.Trace})
	}
	cfg.Middleware = append(cfg.Middleware, &kindMiddleware{observe: o.Observer})
	for name, n := range queues {
		cfg.Queues[name] = river.QueueConfig{MaxWorkers: n}
	}
	for _, s := range o.Schedules {
		cfg.PeriodicJobs = append(cfg.PeriodicJobs, river.NewPeriodicJob(
			river.PeriodicInterval(s.Every),
			func() (river.JobArgs, *river.InsertOpts) { return s.Job(), nil },
			&river.PeriodicJobOpts{RunOnStart: s.AtStart},
		))
	}
	work, err := river.NewClient(riverpgxv5.New(systemPool), cfg)
	if err != nil {
		return fmt.Errorf("make job client: %w", err)
	}
	if err := work.Start(ctx); err != nil {
		return db.Classify(fmt.Errorf("start job client: %w", err))
	}
	e.work = work
	return nil
}

// Stop finishes running jobs until ctx ends, then cancels them; they will be repeated.
func (e *Engine) Stop(ctx context.Context) error {
	if e.work == nil {
		return nil
	}
	err := e.work.Stop(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = e.work.StopAndCancel(context.WithoutCancel(ctx))
	}
	return err
}

// Idle reports whether no job is waiting to run now or running, for tests and doctor.
func (e *Engine) Idle(ctx context.Context) (bool, error) {
	n, err := countBusy.One(ctx, e.db.SystemRead(), nil)
	return n == 0, err
}

var countBusy = db.DefineSystem[int64]("job.count_busy", `
	SELECT count(*) FROM river.river_job
	WHERE state IN ('available', 'running', 'pending') OR (state IN ('retryable', 'scheduled') AND scheduled_at <= @now)`)

// kindMiddleware turns the kinds of error into what River does with a job: what can never
// succeed is cancelled, the rest is tried again.
type kindMiddleware struct {
	river.MiddlewareDefaults
	observe Observer
}

func (m *kindMiddleware) Work(ctx context.Context, j *rivertype.JobRow, inner func(context.Context) error) error {
	took := clock.Stopwatch()
	err := inner(ctx)
	outcome := Done
	if err != nil {
		outcome = Retried
		_, snooze := errors.AsType[*river.JobSnoozeError](err)
		switch fault.KindOf(err) {
		case fault.Invalid, fault.Denied, fault.NotFound, fault.Conflict:
			outcome, err = Cancelled, river.JobCancel(err)
		case fault.Internal, fault.Unavailable:
			if snooze {
				outcome = Snoozed
			}
		}
	}
	if m.observe != nil {
		waited := time.Duration(0)
		if j.AttemptedAt != nil {
			waited = j.AttemptedAt.Sub(j.ScheduledAt)
		}
		m.observe(j.Kind, outcome, waited, took())
	}
	return err
}

type errorLog struct{ log *slog.Logger }

func (e errorLog) HandleError(ctx context.Context, j *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	e.log.LogAttrs(ctx, slog.LevelError, "job failed", slog.String("kind", j.Kind), slog.Int64("job_id", j.ID),
		slog.String("workspace_id", workspaceOf(j)), slog.Int("attempt", j.Attempt), slog.String("error", err.Error()))
	return nil
}

func (e errorLog) HandlePanic(ctx context.Context, j *rivertype.JobRow, v any, trace string) *river.ErrorHandlerResult {
	e.log.LogAttrs(ctx, slog.LevelError, "job panicked", slog.String("kind", j.Kind), slog.Int64("job_id", j.ID),
		slog.String("workspace_id", workspaceOf(j)), slog.Any("panic", v), slog.String("trace", trace))
	return nil
}

func workspaceOf(j *rivertype.JobRow) string {
	var a struct {
		WorkspaceID string `json:"workspace_id"`
	}
	if err := json.Unmarshal(j.EncodedArgs, &a); err != nil {
		return ""
	}
	return a.WorkspaceID
}
