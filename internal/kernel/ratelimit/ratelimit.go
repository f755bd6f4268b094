// Package ratelimit is a token-bucket limiter inside the process, keyed by text such
// as an address or an account. Each process counts for itself; that is enough to slow
// down guessing, and needs no round trip.
package ratelimit

import (
	"container/list"
	"math"
	"sync"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// maxKeys bounds the memory to some 10 MB. Beyond it the key that was used longest ago
// is forgotten and starts afresh.
const maxKeys = 100_000

// Limiter gives each key a bucket. It is safe for concurrent use.
type Limiter struct {
	rate  float64 // tokens per second
	burst float64
	clock clock.Clock
	limit int // keys

	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  *list.List // of *bucket, the most recently used first
}

type bucket struct {
	key    string
	tokens float64
	at     time.Time // when tokens was right
}

// New returns a limiter that refills rate tokens a second up to burst. Each key
// starts with burst. It panics unless rate is positive and burst at least 1: a limiter
// that lets nothing through is a mistake in the program.
func New(rate float64, burst int, c clock.Clock) *Limiter {
	if !(rate > 0) || math.IsInf(rate, 1) || burst < 1 {
		panic("ratelimit: rate has to be positive and burst at least 1")
	}
	return &Limiter{
		rate: rate, burst: float64(burst), clock: c, limit: maxKeys, buckets: map[string]*list.Element{}, recent: list.New(),
	}
}

// Per returns the rate of n events in a period, for New.
func Per(n int, period time.Duration) float64 { return float64(n) / period.Seconds() }

// Allow takes a token of the key if there is one. Remaining is how many whole tokens
// are left; retryAfter is how long until the next one when there is none, otherwise 0.
func (l *Limiter) Allow(key string) (ok bool, retryAfter time.Duration, remaining int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(key)
	if b.tokens >= 1 {
		b.tokens--
		return true, 0, int(b.tokens)
	}
	// Rounded up, else the caller who waits exactly so long is refused once more.
	return false, time.Duration(math.Ceil((1-b.tokens)/l.rate*1e6)) * time.Microsecond, 0
}

// Limit returns how many tokens a key has at most.
func (l *Limiter) Limit() int { return int(l.burst) }

// Refill returns how long it takes until n tokens have come back.
func (l *Limiter) Refill(n int) time.Duration {
	return time.Duration(math.Ceil(float64(n)/l.rate*1e6)) * time.Microsecond
}

// bucket returns the refilled bucket of a key and marks it as used.
func (l *Limiter) bucket(key string) *bucket {
	now := l.clock.Now()
	if e, ok := l.buckets[key]; ok {
		l.recent.MoveToFront(e)
		b := e.Value.(*bucket)
		// A clock that was set back refills nothing.
		if gone := now.Sub(b.at); gone > 0 {
			b.tokens, b.at = min(l.burst, b.tokens+gone.Seconds()*l.rate), now
		}
		return b
	}
	if l.recent.Len() >= l.limit {
		oldest := l.recent.Back()
		delete(l.buckets, oldest.Value.(*bucket).key)
		l.recent.Remove(oldest)
	}
	b := &bucket{key: key, tokens: l.burst, at: now}
	l.buckets[key] = l.recent.PushFront(b)
	return b
}
