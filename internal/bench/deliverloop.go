package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// deliverArgs are a delivery of the floor: nothing but where and what.
type deliverArgs struct {
	URL  string `json:"url"`
	Body string `json:"body"`
}

// Kind implements river.JobArgs.
func (deliverArgs) Kind() string { return "bench.deliver" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (deliverArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: "bench"} }

// deliverLoop is the floor of deliveries: a job, a POST, a row in a log. It signs nothing,
// checks no address and keeps no state of the delivery.
type deliverLoop struct {
	river.WorkerDefaults[deliverArgs]
	pool   *pgxpool.Pool
	client *http.Client
	jobs   *river.Client[pgx.Tx]
}

func (b *bench) startDeliverLoop(ctx context.Context) (*deliverLoop, error) {
	if _, err := b.admin.Exec(ctx, `CREATE TABLE lab_attempts (id bigserial PRIMARY KEY, started_at timestamptz NOT NULL,
		latency_us bigint NOT NULL, status integer NOT NULL, answer bytea NOT NULL);
		GRANT INSERT ON lab_attempts TO vigilo_system; GRANT USAGE ON SEQUENCE lab_attempts_id_seq TO vigilo_system`); err != nil {
		return nil, fmt.Errorf("make log of the floor: %w", err)
	}
	cfg, err := pgxpool.ParseConfig(b.db.URL("vigilo_system"))
	if err != nil {
		return nil, fmt.Errorf("parse address of the database: %w", err)
	}
	cfg.MaxConns = 28 // as many as both pools of the product hold together
	l := &deliverLoop{client: newClient(2)}
	if l.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, l)
	l.jobs, err = river.NewClient(riverpgxv5.New(l.pool), &river.Config{
		Schema: "river", Workers: workers, Queues: map[string]river.QueueConfig{"bench": {MaxWorkers: 100}},
		FetchCooldown: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("make job client: %w", err)
	}
	if err := l.jobs.Start(ctx); err != nil {
		return nil, fmt.Errorf("start job client: %w", err)
	}
	return l, nil
}

// Work implements river.Worker.
func (l *deliverLoop) Work(ctx context.Context, j *river.Job[deliverArgs]) error {
	took := clock.Stopwatch()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.Args.URL, bytes.NewReader([]byte(j.Args.Body)))
	if err != nil {
		return err
	}
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	_, err = l.pool.Exec(ctx, `INSERT INTO lab_attempts (started_at, latency_us, status, answer) VALUES (now(), $1, $2, $3)`,
		took().Microseconds(), res.StatusCode, answer)
	return err
}

// enqueue adds a delivery of the body for each URL, times over, in one transaction.
func (l *deliverLoop) enqueue(ctx context.Context, urls []string, times int, body string) error {
	var params []river.InsertManyParams
	for range times {
		for _, u := range urls {
			params = append(params, river.InsertManyParams{Args: deliverArgs{URL: u, Body: body}})
		}
	}
	_, err := l.jobs.InsertMany(ctx, params)
	return err
}

func (l *deliverLoop) close(ctx context.Context) error {
	err := l.jobs.Stop(ctx)
	l.pool.Close()
	l.client.CloseIdleConnections()
	return err
}
