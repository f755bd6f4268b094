package integrations

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

// BenchmarkFirstAttempt measures T7 of performance.md: from the commit of an event to the
// arrival of its first attempt, when nothing else happens.
func BenchmarkFirstAttempt(b *testing.B) {
	x := setUp(b)
	came := make(chan time.Time, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		came <- time.Now()
		w.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(s.Close)
	x.add(b, s.URL, "thing.made")
	x.work(b, nil)
	x.happen(b, "thing.made")
	<-came // connections are open now
	var took []time.Duration
	for b.Loop() {
		x.happen(b, "thing.made")
		committed := time.Now()
		took = append(took, (<-came).Sub(committed))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// quiet logs as a program in service does.
func quiet(d *Deps) { d.Log = slog.New(slog.DiscardHandler) }

// receivers are sinks that only count.
func receivers(b *testing.B, n int) ([]*httptest.Server, *atomic.Int64) {
	b.Helper()
	var total atomic.Int64
	out := make([]*httptest.Server, n)
	for i := range out {
		out[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			total.Add(1)
			w.WriteHeader(http.StatusNoContent)
		}))
		b.Cleanup(out[i].Close)
	}
	return out, &total
}

// labArgs are a job of the floor: post and log.
type labArgs struct {
	job.InWorkspace
	To int `json:"to"`
}

// Kind implements river.JobArgs.
func (labArgs) Kind() string { return "lab.post" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (labArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: job.QueueDelivery} }

type labWorker struct {
	river.WorkerDefaults[labArgs]
	client *http.Client
	to     []*httptest.Server
	body   string
	db     *db.DB
}

var labLog = db.DefineCommand("dbtest.lab_log", `INSERT INTO lab_log (at, status, answer) VALUES (@now, @status, @answer)`)

func (w *labWorker) Work(ctx context.Context, j *river.Job[labArgs]) error {
	res, err := w.client.Post(w.to[j.Args.To].URL, contentType, strings.NewReader(w.body))
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	_, err = labLog.Run(ctx, w.db.SystemRead(), db.Args{"status": res.StatusCode, "answer": ""})
	return err
}

const (
	benchEndpoints = 20
	benchEach      = 200
)

// BenchmarkSustained measures T8: deliveries with their log, against the floor of the same
// jobs that post and log and do nothing else. Each iteration drains what was queued before.
func BenchmarkSustained(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		x := setUp(b)
		sinks, total := receivers(b, benchEndpoints)
		if _, err := x.Admin(b).Exec(context.Background(), `CREATE TABLE lab_log (id bigserial PRIMARY KEY, at timestamptz, status int, answer text);
			GRANT ALL ON lab_log TO vigilo_system; GRANT ALL ON SEQUENCE lab_log_id_seq TO vigilo_system`); err != nil {
			b.Fatal(err)
		}
		w := &labWorker{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}, to: sinks, body: strings.Repeat("x", 1024), db: x.DB.DB}
		drain(b, total, func() {
			args := make([]river.JobArgs, 0, benchEndpoints*benchEach)
			for range benchEach {
				for i := range sinks {
					args = append(args, labArgs{InWorkspace: job.InWorkspace{WorkspaceID: x.ws}, To: i})
				}
			}
			err := x.InWorkspace(context.Background(), x.member, func(tx *db.Tx) error { return x.jobs.Insert(context.Background(), tx, args...) })
			if err != nil {
				b.Fatal(err)
			}
		}, func() *job.Engine { return startWorkers(b, x, func(ws *river.Workers) { river.AddWorker(ws, w) }) }, func() bool {
			return x.count(b, `SELECT count(*) FROM river.river_job WHERE state IN ('available', 'running')`) == 0
		})
	})
	b.Run("product", func(b *testing.B) {
		x := setUp(b, quiet)
		sinks, total := receivers(b, benchEndpoints)
		for _, s := range sinks {
			x.add(b, s.URL, "thing.made")
		}
		payload := []byte(fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", 512)))
		drain(b, total, func() {
			for range benchEach {
				ev := event.Event{ID: uuid.New(), WorkspaceID: x.ws, Name: "thing.made", OccurredAt: time.Now(), Payload: payload}
				if err := x.svc.fanOut(context.Background(), ev); err != nil {
					b.Fatal(err)
				}
			}
		}, func() *job.Engine { return startWorkers(b, x, x.svc.Module().Workers) }, func() bool { return x.inState(b, Pending) == 0 })
	})
}

func startWorkers(b *testing.B, x *bench, add func(*river.Workers)) *job.Engine {
	b.Helper()
	engine, err := job.New(x.DB.DB, x.svc.log)
	if err != nil {
		b.Fatal(err)
	}
	workers := river.NewWorkers()
	add(workers)
	if err := engine.Start(context.Background(), job.StartOptions{Workers: workers, Queues: map[string]int{job.QueueDelivery: 50}}); err != nil {
		b.Fatal(err)
	}
	return engine
}

func drain(b *testing.B, total *atomic.Int64, fill func(), start func() *job.Engine, empty func() bool) {
	b.Helper()
	var spent time.Duration
	n := int64(0)
	for b.Loop() {
		b.StopTimer()
		fill()
		before := total.Load()
		b.StartTimer()
		began := time.Now()
		engine := start()
		wait(b, "everything is delivered", func() bool {
			return total.Load()-before >= benchEndpoints*benchEach && empty()
		})
		spent += time.Since(began)
		n += total.Load() - before
		b.StopTimer()
		stopNow(b, engine)
		b.StartTimer()
	}
	b.ReportMetric(float64(n)/spent.Seconds(), "deliveries/s")
}
