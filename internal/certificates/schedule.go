package certificates

import (
	"hash/fnv"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// Phase returns where in its interval a host is scanned, in whole seconds: FNV-1a of the
// id as text, modulo the interval. Its slots are k × interval + phase for whole k. The phase
// depends on nothing else, so a restart moves no host and the hosts of a workspace spread
// evenly. interval is at least one second.
func Phase(id string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // hash.Hash never fails
	seconds := uint64(interval / time.Second)
	return time.Duration(h.Sum64()%seconds) * time.Second //nolint:gosec // below the interval
}

// retryAfter is when a host that failed for the first time is asked once more, so that a
// passing fault is told from a real one within minutes whatever the interval.
const retryAfter = time.Minute

// edgeAfter returns the next moment at which the passing of time alone changes the status
// of a certificate: it becomes valid, expiring, critical or expired. ok is false when
// nothing will.
func edgeAfter(notBefore, notAfter time.Time, p x509lint.ExpiryPolicy, now time.Time) (at time.Time, ok bool) {
	warn, critical := p.Windows(notBefore, notAfter)
	end := notAfter.Add(time.Second) // both ends count
	for _, t := range []time.Time{notBefore, end.Add(-warn), end.Add(-critical), end} {
		if t.After(now) && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}
