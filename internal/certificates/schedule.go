package certificates

import (
	"hash/fnv"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// Phase returns where in its interval a host is scanned, in whole seconds: FNV-1a of the
// id as text, modulo the interval. It depends on nothing else, so a restart moves no host
// and the hosts of a workspace spread evenly. interval is at least one second.
func Phase(id string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // hash.Hash never fails
	seconds := uint64(interval / time.Second)
	return time.Duration(h.Sum64()%seconds) * time.Second //nolint:gosec // below the interval
}

// NextSlot returns the first k × interval + phase after now, for whole k. Slots that were
// missed are not made up.
func NextSlot(now time.Time, interval, phase time.Duration) time.Time {
	i, p := int64(interval/time.Second), int64(phase/time.Second)
	since := now.Unix() - p
	k := since/i + 1
	if since%i < 0 {
		k-- // division of Go rounds towards zero
	}
	return time.Unix(k*i+p, 0).UTC()
}

// maxJitter is the greatest share of an interval by which a scan starts after its slot.
// It is drawn anew for each slot and so never accumulates.
const maxJitter = 0.05

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
