// Package deliver sends one webhook request, judges the answer and says when to try
// again. It keeps no database: whoever calls it stores the attempt and schedules the
// next one.
package deliver

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

const (
	// Timeout bounds one attempt from dialing to the last byte we read.
	Timeout = 10 * time.Second
	// MaxBodyBytes is how much of an answer is kept.
	MaxBodyBytes = 4 << 10
	// MaxRetryAfter is the longest pause an endpoint can ask for.
	MaxRetryAfter = 24 * time.Hour
)

// Outcome is what an attempt means for the delivery.
type Outcome string

const (
	// Success is any 2xx.
	Success Outcome = "success"
	// Retry means to try again after Backoff, or RetryAfter if that is later.
	Retry Outcome = "retry"
	// Gone is 410: the endpoint wants no deliveries any more and is to be disabled.
	Gone Outcome = "gone"
	// Failed means that the request could not even be tried; trying again cannot help.
	Failed Outcome = "failed"
)

// ErrorClass names why an attempt was no success, for the page and for metrics. It is
// one of the classes of package outbound when no answer came, otherwise one of these.
type ErrorClass string

const (
	// ErrorStatus is an answer of 4xx or 5xx.
	ErrorStatus ErrorClass = "status"
	// ErrorRedirect is an answer of 3xx, which is not followed.
	ErrorRedirect ErrorClass = "redirect"
	// ErrorRequest is an address that no request can be sent to.
	ErrorRequest ErrorClass = "request"
	// ErrorCancelled means that we stopped; the endpoint is not to blame.
	ErrorCancelled ErrorClass = "cancelled"
)

// Attempt is one try and its result.
type Attempt struct {
	// Status is the HTTP status, 0 when no answer came.
	Status  int
	Latency time.Duration
	// Body is the beginning of the answer, at most MaxBodyBytes; not text to trust.
	Body    []byte
	Outcome Outcome
	// RetryAfter is the pause the endpoint asked for, 0 when none, at most MaxRetryAfter.
	RetryAfter time.Duration
	ErrorClass ErrorClass
	// Err is the cause for the log; nil when a status came.
	Err error
}

// Send makes one attempt. The client decides where connections may go; its redirect
// policy and timeout are replaced. Latency and Retry-After dates are read from c.
func Send(caller context.Context, client *http.Client, c clock.Clock, req *http.Request) Attempt {
	ctx, cancel := context.WithTimeout(caller, Timeout)
	defer cancel()
	once := *client
	once.Timeout = 0
	// Following a redirect would send the signed event to an address nobody entered.
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	if req.URL == nil || req.URL.Host == "" || (req.URL.Scheme != "https" && req.URL.Scheme != "http") {
		return Attempt{Outcome: Failed, ErrorClass: ErrorRequest, Err: errors.New("webhook address is not http or https")}
	}
	started := c.Now()
	res, err := once.Do(req.WithContext(ctx))
	if err != nil {
		a := unanswered(err, c.Now().Sub(started))
		// The error is then the cause of the cancellation, which can be any.
		if errors.Is(caller.Err(), context.Canceled) {
			a.ErrorClass = ErrorCancelled
		}
		return a
	}
	defer res.Body.Close()
	// A status is a verdict even if the rest of the answer never comes.
	body, readErr := io.ReadAll(io.LimitReader(res.Body, MaxBodyBytes))
	a := Attempt{Status: res.StatusCode, Latency: c.Now().Sub(started), Body: body}
	switch {
	case res.StatusCode/100 == 2 && readErr != nil:
		a.Outcome, a.ErrorClass, a.Err = Retry, classify(readErr), readErr
	case res.StatusCode/100 == 2:
		a.Outcome = Success
	case res.StatusCode == http.StatusGone:
		a.Outcome, a.ErrorClass = Gone, ErrorStatus
	case res.StatusCode/100 == 3:
		a.Outcome, a.ErrorClass = Retry, ErrorRedirect
	default:
		// Also 4xx: a receiver that is being mended answers 401 or 404 for a while.
		a.Outcome, a.ErrorClass = Retry, ErrorStatus
		a.RetryAfter = retryAfter(res.Header.Get("Retry-After"), c.Now())
	}
	return a
}

func unanswered(err error, latency time.Duration) Attempt {
	return Attempt{Latency: latency, Outcome: Retry, ErrorClass: classify(err), Err: err}
}

func classify(err error) ErrorClass {
	switch {
	case errors.Is(err, context.Canceled):
		return ErrorCancelled
	case errors.Is(err, http.ErrSchemeMismatch):
		return ErrorClass(outbound.ClassTLS) // plain HTTP where TLS was expected
	default:
		return ErrorClass(outbound.Classify(err))
	}
}

// retryAfter reads seconds or an HTTP date (RFC 9110 section 10.2.3). What cannot be
// read, or lies in the past, asks for nothing.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	var pause time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		pause = time.Duration(seconds) * time.Second
	} else if isDigits(value) {
		pause = MaxRetryAfter // more seconds than fit
	} else if at, err := http.ParseTime(value); err == nil {
		pause = at.Sub(now)
	}
	return max(0, min(pause, MaxRetryAfter))
}

func isDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// schedule returns the pauses between attempts, about three days in all.
func schedule() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// MaxAttempts is the first attempt and one after each pause of the schedule; after the
// last the delivery is a dead letter.
const MaxAttempts = 10

// Backoff returns how long to wait after a failed attempt, counted from 1. Up to a
// tenth is added at random, so that endpoints that failed together are not tried
// together. It is 0 when no further attempt is due.
func Backoff(attempt int, rnd *rand.Rand) time.Duration {
	pauses := schedule()
	if attempt < 1 || attempt > len(pauses) {
		return 0
	}
	pause := pauses[attempt-1]
	return pause + time.Duration(rnd.Int64N(int64(pause/10)))
}
