package x509lint

import (
	"crypto/x509"
	"math"
	"time"
)

const day = 24 * time.Hour

// Urgency is how near the end of its validity a certificate is.
type Urgency string

// The urgencies. UrgencyNone also stands for expired and not yet valid, which TimeState tells.
const (
	UrgencyNone     Urgency = "none"
	UrgencyExpiring Urgency = "expiring"
	UrgencyCritical Urgency = "critical"
)

// Threshold is a point before the end of validity: Days if positive, else Percent (1 to
// 100) of the lifetime if positive, else the default.
type Threshold struct {
	Days    int
	Percent int
}

// ExpiryPolicy is when to warn. The zero value warns at min(30 days, a third of the
// lifetime) and is critical at min(7 days, a sixth).
type ExpiryPolicy struct {
	Warn     Threshold
	Critical Threshold
}

// Lifetime returns notAfter - notBefore + 1 s: both ends count (RFC 5280, 4.1.2.5). It
// saturates at 292 years and is negative for a period that ends before it begins.
func Lifetime(notBefore, notAfter time.Time) time.Duration {
	return plusSecond(notAfter.Sub(notBefore))
}

// Remaining returns notAfter + 1 s - now: zero or less once expired.
func Remaining(notAfter, now time.Time) time.Duration {
	return plusSecond(notAfter.Sub(now.Truncate(time.Second)))
}

func plusSecond(d time.Duration) time.Duration {
	if d > math.MaxInt64-time.Second {
		return math.MaxInt64
	}
	return d + time.Second
}

// DaysLeft returns the whole days from now until notAfter, rounded down: 0 on the last
// day, negative once expired. notAfter is inclusive (RFC 5280, 4.1.2.5).
func DaysLeft(notAfter, now time.Time) int {
	left := notAfter.Sub(now.Truncate(time.Second))
	days := int(left / day)
	if left%day < 0 {
		days--
	}
	return days
}

// Windows returns how long before the end of validity a certificate is expiring and
// critical under p.
func (p ExpiryPolicy) Windows(notBefore, notAfter time.Time) (warn, critical time.Duration) {
	life := Lifetime(notBefore, notAfter)
	return p.Warn.window(life, min(30*day, life/3)), p.Critical.window(life, min(7*day, life/6))
}

func (t Threshold) window(life, byDefault time.Duration) time.Duration {
	switch {
	case t.Days > 0:
		return time.Duration(min(t.Days, 36500)) * day
	case t.Percent > 0:
		return life / 100 * time.Duration(min(t.Percent, 100))
	}
	return byDefault
}

// Urgency returns how near to its end a validity period is at now.
func (p ExpiryPolicy) Urgency(notBefore, notAfter, now time.Time) Urgency {
	if Period(notBefore, notAfter, now) != TimeValid {
		return UrgencyNone
	}
	warn, critical := p.Windows(notBefore, notAfter)
	switch left := Remaining(notAfter, now); {
	case left <= critical:
		return UrgencyCritical
	case left <= warn:
		return UrgencyExpiring
	}
	return UrgencyNone
}

// Period returns where now lies in a validity period. A certificate that ends before it
// begins is expired rather than not yet valid.
func Period(notBefore, notAfter, now time.Time) TimeState {
	switch {
	case Remaining(notAfter, now) <= 0:
		return TimeExpired
	case now.Before(notBefore):
		return TimeNotYetValid
	}
	return TimeValid
}

// TrustTime returns the moment at which the chain of leaf is judged: now while it is
// valid, else the nearest moment at which it was or will be, so that expiry does not
// hide what trust would say.
func TrustTime(leaf *x509.Certificate, now time.Time) time.Time {
	switch Period(leaf.NotBefore, leaf.NotAfter, now) {
	case TimeExpired:
		return leaf.NotAfter.Add(-time.Second)
	case TimeNotYetValid:
		return leaf.NotBefore
	case TimeValid:
	}
	return now.Truncate(time.Second)
}
