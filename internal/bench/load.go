package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// load is what a number of clients saw in one round.
type load struct {
	p50, p99 time.Duration
	rate     float64
}

// page is an address with the cookie that opens it.
type page struct {
	url, session string
}

// newClient returns a client that keeps a connection for each of its users.
func newClient(users int) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented type
	t.Proxy, t.MaxIdleConns, t.MaxIdleConnsPerHost, t.DisableCompression = nil, 0, users, true
	return &http.Client{Transport: t, Timeout: time.Minute}
}

// get fetches a page and returns its body.
func get(ctx context.Context, client *http.Client, p page) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if p.session != "" {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: p.session})
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get page: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", req.URL.Path, res.StatusCode)
	}
	return body, nil
}

// drive lets users fetch a page again and again for a while.
func drive(ctx context.Context, client *http.Client, p page, users int, span time.Duration) (load, error) {
	return repeat(ctx, users, span, func(ctx context.Context, _ int) error {
		_, err := get(ctx, client, p)
		return err
	})
}

// repeat lets workers do something again and again until span has passed.
func repeat(ctx context.Context, workers int, span time.Duration, do func(ctx context.Context, worker int) error) (load, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	total := clock.Stopwatch()
	for w := range workers {
		group.Go(func() {
			var own []time.Duration
			for total() < span && failed.Load() == nil {
				took := clock.Stopwatch()
				if err := do(ctx, w); err != nil {
					failed.Store(&err)
					return
				}
				own = append(own, took())
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return load{}, *err
	}
	return load{p50: quantile(all, 0.5), p99: quantile(all, 0.99), rate: float64(len(all)) / total().Seconds()}, nil
}

// loads gathers rounds.
type loads []load

func (l loads) p50() time.Duration {
	return median(each(l, func(v load) time.Duration { return v.p50 }))
}

func (l loads) p99() time.Duration {
	return median(each(l, func(v load) time.Duration { return v.p99 }))
}

func (l loads) rate() float64 { return median(each(l, func(v load) float64 { return v.rate })) }

func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

// waitFor asks again every 5 ms until ok or the context ends.
func waitFor(ctx context.Context, what string, limit time.Duration, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ok()
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
