package integrations

import (
	"context"
	"sync"

	"github.com/google/uuid"
)

// maxTogether bounds how much of one kind of work is done in one statement.
const maxTogether = 100

// coalescer does the same work for many callers in one go. Whoever comes while nothing is
// under way for the workspace is served at once and alone; whoever comes meanwhile is
// served together with all others who did. So it adds no wait to a single delivery and
// takes most of the cost from many.
type coalescer[In, Out any] struct {
	// serve does the work for one workspace. It returns one result for each input.
	serve func(ctx context.Context, workspace uuid.UUID, in []In) ([]Out, error)

	mu      sync.Mutex
	waiting map[uuid.UUID][]request[In, Out] // present while a goroutine serves the workspace
}

type request[In, Out any] struct {
	in   In
	done chan result[Out] // of one
}

type result[Out any] struct {
	out Out
	err error
}

func newCoalescer[In, Out any](serve func(context.Context, uuid.UUID, []In) ([]Out, error)) *coalescer[In, Out] {
	return &coalescer[In, Out]{serve: serve, waiting: map[uuid.UUID][]request[In, Out]{}}
}

// do returns the result for one input. When ctx ends first the work may still be done.
func (c *coalescer[In, Out]) do(ctx context.Context, workspace uuid.UUID, in In) (Out, error) {
	r := request[In, Out]{in: in, done: make(chan result[Out], 1)}
	c.mu.Lock()
	queue, underWay := c.waiting[workspace]
	c.waiting[workspace] = append(queue, r)
	c.mu.Unlock()
	if !underWay {
		go c.drain(context.WithoutCancel(ctx), workspace)
	}
	select {
	case got := <-r.done:
		return got.out, got.err
	case <-ctx.Done():
		var none Out
		return none, ctx.Err()
	}
}

// drain serves a workspace until nobody waits.
func (c *coalescer[In, Out]) drain(ctx context.Context, workspace uuid.UUID) {
	for {
		c.mu.Lock()
		queue := c.waiting[workspace]
		if len(queue) == 0 {
			delete(c.waiting, workspace)
			c.mu.Unlock()
			return
		}
		now := queue[:min(len(queue), maxTogether)]
		c.waiting[workspace] = queue[len(now):]
		c.mu.Unlock()
		c.answer(ctx, workspace, now)
	}
}

// answer serves requests together, and one by one when that fails, so that a bad one spoils
// only itself.
func (c *coalescer[In, Out]) answer(ctx context.Context, workspace uuid.UUID, requests []request[In, Out]) {
	in := make([]In, len(requests))
	for i, r := range requests {
		in[i] = r.in
	}
	out, err := c.serve(ctx, workspace, in)
	switch {
	case err != nil && len(requests) > 1:
		for _, r := range requests {
			c.answer(ctx, workspace, []request[In, Out]{r})
		}
	case err != nil:
		requests[0].done <- result[Out]{err: err}
	default:
		for i, r := range requests {
			r.done <- result[Out]{out: out[i]}
		}
	}
}
