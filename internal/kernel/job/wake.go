package job

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// wakeTimeout is how long a call to workers may take; they look by themselves each second.
const wakeTimeout = 5 * time.Second

// waker tells workers about new jobs outside the transactions that insert them. A
// notification inside would make all commits wait for each other, because PostgreSQL
// orders notifications by one lock that is held until the commit is on disk.
type waker struct {
	db  *db.DB
	log *slog.Logger

	mu      sync.Mutex
	queues  map[string]struct{}
	running bool
}

// wakeWorkers names River's channel and the body that it expects there.
var wakeWorkers = db.DefineSystemCommand("job.wake_workers", `
	SELECT pg_notify('river.river_insert', json_build_object('queue', queue)::text) FROM unnest(@queues::text[]) AS queue`)

// Wake tells the workers of a queue that jobs were inserted by other means than Insert. It
// returns at once. Calls that come while one is under way share the next.
func (e *Engine) Wake(queue string) {
	w := e.waker
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queues[queue] = struct{}{}
	if !w.running {
		w.running = true
		go w.run()
	}
}

func (w *waker) run() {
	for {
		queues := w.take()
		if len(queues) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), wakeTimeout)
		_, err := wakeWorkers.Run(ctx, w.db.SystemRead(), db.Args{"queues": queues})
		cancel()
		if err != nil {
			w.log.Debug("workers not woken; they look by themselves", slog.String("error", err.Error()))
		}
	}
}

// take returns what is to be told, and notes the end of the work when that is nothing.
func (w *waker) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]string, 0, len(w.queues))
	for q := range w.queues {
		out = append(out, q)
	}
	clear(w.queues)
	w.running = len(out) > 0
	return out
}
