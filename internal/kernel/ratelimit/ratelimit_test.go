package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func want(t *testing.T, l *Limiter, key string, ok bool, retryAfter time.Duration, remaining int) {
	t.Helper()
	if gotOK, gotAfter, gotLeft := l.Allow(key); gotOK != ok || gotAfter != retryAfter || gotLeft != remaining {
		t.Errorf("Allow(%q) = %v, %s, %d; want %v, %s, %d", key, gotOK, gotAfter, gotLeft, ok, retryAfter, remaining)
	}
}

func TestBurstPassesThenTheRateHolds(t *testing.T) {
	t.Parallel()
	c := clock.NewFixed(now)
	l := New(Per(6, time.Minute), 3, c)
	want(t, l, "a", true, 0, 2)
	want(t, l, "a", true, 0, 1)
	want(t, l, "a", true, 0, 0)
	want(t, l, "a", false, 10*time.Second, 0)
	c.Advance(4 * time.Second)
	want(t, l, "a", false, 6*time.Second, 0)
	c.Advance(6 * time.Second)
	want(t, l, "a", true, 0, 0)
	want(t, l, "a", false, 10*time.Second, 0)
}

func TestBucketNeverHoldsMoreThanTheBurst(t *testing.T) {
	t.Parallel()
	c := clock.NewFixed(now)
	l := New(1, 2, c)
	want(t, l, "a", true, 0, 1)
	c.Advance(time.Hour)
	want(t, l, "a", true, 0, 1)
	want(t, l, "a", true, 0, 0)
	want(t, l, "a", false, time.Second, 0)
}

func TestKeysDoNotShareABucket(t *testing.T) {
	t.Parallel()
	l := New(1, 1, clock.NewFixed(now))
	want(t, l, "a", true, 0, 0)
	want(t, l, "a", false, time.Second, 0)
	want(t, l, "b", true, 0, 0)
}

func TestWaitingExactlyRetryAfterIsEnough(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{1.0 / 3, 0.7, 7, 33.3, 999} {
		c := clock.NewFixed(now)
		l := New(rate, 1, c)
		for range 1000 {
			l.Allow("a")
			_, after, _ := l.Allow("a")
			c.Advance(after)
			if ok, again, _ := l.Allow("a"); !ok {
				t.Fatalf("rate %v: refused after %s, told to wait %s more", rate, after, again)
			}
			c.Advance(time.Hour)
		}
	}
}

func TestClockSetBackRefillsNothing(t *testing.T) {
	t.Parallel()
	c := clock.NewFixed(now)
	l := New(1, 1, c)
	want(t, l, "a", true, 0, 0)
	c.Advance(-time.Hour)
	want(t, l, "a", false, time.Second, 0)
	c.Advance(time.Hour)
	want(t, l, "a", false, time.Second, 0)
}

func TestMemoryIsBoundedAndTheKeyUsedLongestAgoIsForgotten(t *testing.T) {
	t.Parallel()
	l := New(1, 1, clock.NewFixed(now))
	l.limit = 3
	for _, key := range []string{"a", "b", "c"} {
		want(t, l, key, true, 0, 0)
	}
	want(t, l, "a", false, time.Second, 0) // "b" is now the oldest
	want(t, l, "d", true, 0, 0)
	want(t, l, "a", false, time.Second, 0)
	want(t, l, "c", false, time.Second, 0)
	want(t, l, "b", true, 0, 0)
	for i := range 1000 {
		l.Allow(fmt.Sprint(i))
	}
	if len(l.buckets) != 3 || l.recent.Len() != 3 {
		t.Errorf("%d buckets, %d in order, want 3", len(l.buckets), l.recent.Len())
	}
}

func TestConcurrentCallersGetTheBurstAndNoMore(t *testing.T) {
	t.Parallel()
	l := New(1, 50, clock.NewFixed(now))
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if ok, _, _ := l.Allow("a"); ok {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 50 {
		t.Errorf("%d passed, want 50", passed.Load())
	}
}

func TestUselessLimiterPanics(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rate  float64
		burst int
	}{{0, 1}, {-1, 1}, {1, 0}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%v, %d) did not panic", tc.rate, tc.burst)
				}
			}()
			New(tc.rate, tc.burst, clock.NewFixed(now))
		}()
	}
}
