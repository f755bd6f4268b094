package integrations

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/integrations/deliver"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// State is where a delivery stands.
type State string

// The states of a delivery. A failed one is a dead letter: nothing more happens to it
// unless somebody replays it.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Failed    State = "failed"
)

// States lists the states in the order of a filter.
func States() []State { return []State{Delivered, Pending, Failed} }

// ErrorEndpointDisabled is why a delivery failed that was still waiting when its endpoint
// was disabled.
const ErrorEndpointDisabled = "disabled"

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID            uuid.UUID  `db:"id"`
	EndpointID    uuid.UUID  `db:"endpoint_id"`
	EventID       uuid.UUID  `db:"event_id"`
	EventName     string     `db:"event_name"`
	State         State      `db:"state"`
	Run           int        `db:"run"`
	Attempts      int        `db:"attempts"`
	NextAttemptAt *time.Time `db:"next_attempt_at"`
	LastAttemptAt *time.Time `db:"last_attempt_at"`
	// LastStatus is the HTTP status of the last attempt, nil when no answer came.
	LastStatus *int      `db:"last_status"`
	LastError  string    `db:"last_error"`
	CreatedAt  time.Time `db:"created_at"`
}

// Attempt is one try, as it is kept.
type Attempt struct {
	Number     int             `db:"number"`
	StartedAt  time.Time       `db:"started_at"`
	LatencyUS  int64           `db:"latency_us"`
	Status     *int            `db:"status"`
	Outcome    deliver.Outcome `db:"outcome"`
	ErrorClass string          `db:"error_class"`
	Signature  string          `db:"signature"`
	// Answer is at most the first 4 KB of what came back; not text to trust.
	Answer []byte `db:"answer"`
}

// Latency returns how long the attempt took.
func (a Attempt) Latency() time.Duration { return time.Duration(a.LatencyUS) * time.Microsecond }

// body freezes an event as the bytes that are signed and sent.
func body(ev event.Event) ([]byte, error) {
	raw, err := json.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", ev.ID, err)
	}
	return raw, nil
}

func encode(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return raw, nil
}

// verdict is what an attempt means for its delivery and its endpoint.
type verdict struct {
	State State
	// NextAt is when to try again; nil unless State is Pending.
	NextAt *time.Time
	// Disable, when set, takes the endpoint out of use.
	Disable DisabledReason
}

// judge decides after attempt number try (from 1) of a run, which ended at now. A pause
// that the endpoint asked for counts when it is longer than ours. failingSince is when the
// endpoint began to fail, nil when it did not before this attempt.
func judge(a deliver.Attempt, try int, failingSince *time.Time, now time.Time) verdict {
	switch a.Outcome {
	case deliver.Success:
		return verdict{State: Delivered}
	case deliver.Gone:
		return verdict{State: Failed, Disable: DisabledGone}
	case deliver.Failed:
		return verdict{State: Failed}
	case deliver.Retry:
	}
	v := verdict{State: Failed}
	if failingSince != nil && now.Sub(*failingSince) >= disableAfter {
		v.Disable = DisabledFailing
		return v
	}
	// One source per call: sources are not safe for concurrent use.
	pause := deliver.Backoff(try, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	if pause == 0 {
		return v
	}
	next := now.Add(max(pause, a.RetryAfter))
	return verdict{State: Pending, NextAt: &next}
}

// printable makes an answer safe to show as text.
func printable(raw []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || (unicode.IsPrint(r) && r != unicode.ReplacementChar) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(string(raw), "\ufffd"))
}
