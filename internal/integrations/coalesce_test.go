package integrations

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
)

func TestWhatComesMeanwhileIsDoneTogether(t *testing.T) {
	t.Parallel()
	ctx, one, two := context.Background(), uuid.New(), uuid.New()
	entered, release := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var sizes []int
	first := true
	c := newCoalescer(func(_ context.Context, ws uuid.UUID, in []int) ([]int, error) {
		mu.Lock()
		hold := ws == one && first
		if hold {
			first = false
		}
		if ws == one {
			sizes = append(sizes, len(in))
		}
		mu.Unlock()
		if hold {
			close(entered)
			<-release
		}
		out := make([]int, len(in))
		for i, n := range in {
			if n < 0 {
				return nil, errors.New("negative")
			}
			out[i] = 2 * n
		}
		return out, nil
	})
	var all sync.WaitGroup
	ask := func(ws uuid.UUID, n int) {
		all.Go(func() {
			got, err := c.do(ctx, ws, n)
			if (n < 0) != (err != nil) || (n >= 0 && got != 2*n) {
				t.Errorf("%d gave %d, %v", n, got, err)
			}
		})
	}
	ask(one, 1000)
	<-entered
	// Another workspace does not wait for the first.
	if got, err := c.do(ctx, two, 4); got != 8 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	for n := range 150 {
		ask(one, n)
	}
	wait(t, "all of them wait", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.waiting[one]) == 150
	})
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.do(gone, one, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left got %v", err)
	}
	close(release)
	all.Wait()
	wait(t, "nobody waits", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.waiting) == 0
	})
	if want := []int{1, 100, 51}; !slices.Equal(sizes, want) {
		t.Errorf("served %v together, want %v", sizes, want)
	}
}

func TestABadOneSpoilsOnlyItself(t *testing.T) {
	t.Parallel()
	c := newCoalescer(func(_ context.Context, _ uuid.UUID, in []int) ([]int, error) {
		if slices.Contains(in, 13) {
			return nil, errors.New("unlucky")
		}
		return in, nil
	})
	requests := make([]request[int, int], 3)
	for i, n := range []int{12, 13, 14} {
		requests[i] = request[int, int]{in: n, done: make(chan result[int], 1)}
	}
	c.answer(context.Background(), uuid.New(), requests)
	for i, r := range requests {
		if got := <-r.done; (got.err != nil) != (i == 1) {
			t.Errorf("request %d: %+v", i, got)
		}
	}
}
