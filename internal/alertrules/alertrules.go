// Package alertrules says what is wrong with hosts to those who asked to hear of it. A
// rule watches hosts for one condition; an alert begins when the condition becomes true
// and ends by itself when it no longer holds. The package learns of hosts by events and
// asks for their state through an interface, so it needs no other module.
package alertrules

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// The permissions of this module.
const (
	ReadAlerts        access.Permission = "alert.read"
	AcknowledgeAlerts access.Permission = "alert.acknowledge"
	SilenceAlerts     access.Permission = "alert_silence.manage"
	ReadRules         access.Permission = "alert_rule.read"
	ManageRules       access.Permission = "alert_rule.manage"
)

// HostSource tells the present state of hosts.
type HostSource interface {
	// Hosts returns the hosts that still exist, in any order.
	Hosts(ctx context.Context, tx *db.Tx, ids []uuid.UUID) ([]Host, error)
	// HostsByExpiry walks the hosts whose certificate ends before a moment: at most limit of
	// them after the one named, uuid.Nil for the first. Hosts without a certificate count as
	// ending in the year 9999.
	HostsByExpiry(ctx context.Context, tx *db.Tx, before time.Time, after uuid.UUID, limit int) ([]Host, error)
}

// Notice is something that members shall be told in their inbox, and by mail when they
// like. It has the fields of the notices of module notifications.
type Notice struct {
	Recipients   []uuid.UUID // users
	DedupeKey    string
	EventName    string
	Severity     event.Severity
	Title        string
	Body         string
	Path         string // below the workspace
	Icon         string
	SubjectType  string
	SubjectID    uuid.UUID
	SubjectTitle string
	Mail         bool
}

// Mail is a notice for plain addresses.
type Mail struct {
	To        []string
	DedupeKey string
	Severity  event.Severity
	Title     string
	Body      string
	Path      string
	Because   string
}

// Notifier tells people in the caller's transaction.
type Notifier interface {
	Notify(ctx context.Context, tx *db.Tx, n Notice) error
	// QueueMailTo queues mail, or returns false when there is no mail server.
	QueueMailTo(ctx context.Context, tx *db.Tx, m Mail) (queued bool, err error)
}

// Endpoint is a webhook that a rule may name.
type Endpoint struct {
	ID      uuid.UUID
	Name    string
	Enabled bool
}

// WebhookAnswer is what an endpoint said to a test.
type WebhookAnswer struct {
	// Status is the HTTP status, 0 when there was no answer; Problem then says why.
	Status  int
	Latency time.Duration
	Problem string
}

// WebhookSender delivers events to endpoints that rules name.
type WebhookSender interface {
	Endpoints(ctx context.Context, tx *db.Tx) ([]Endpoint, error)
	// Deliver queues deliveries in the caller's transaction; an endpoint that gets the event
	// anyway gets it once.
	Deliver(ctx context.Context, tx *db.Tx, endpointIDs []uuid.UUID, ev event.Event) error
	// SendNow delivers outside any transaction and waits for the answer. An endpoint that
	// does not answer is an answer, not an error.
	SendNow(ctx context.Context, a db.Actor, endpointID uuid.UUID, ev event.Event) (WebhookAnswer, error)
}

// Deps are what the module works with.
type Deps struct {
	DB       *db.DB
	Ledger   *ledger.Ledger
	Jobs     *job.Engine
	Policy   *access.Policy
	Clock    clock.Clock
	Log      *slog.Logger
	Hosts    HostSource
	Notifier Notifier
	Webhooks WebhookSender
	// TestLimit bounds test alerts by person; nil means no limit.
	TestLimit web.Limiter
}

// Service holds the use cases.
type Service struct {
	db        *db.DB
	ledger    *ledger.Ledger
	jobs      *job.Engine
	policy    *access.Policy
	clock     clock.Clock
	log       *slog.Logger
	hosts     HostSource
	notifier  Notifier
	webhooks  WebhookSender
	testLimit web.Limiter
}

// New returns the service.
func New(d Deps) *Service {
	return &Service{
		db: d.DB, ledger: d.Ledger, jobs: d.Jobs, policy: d.Policy, clock: d.Clock, log: d.Log,
		hosts: d.Hosts, notifier: d.Notifier, webhooks: d.Webhooks, testLimit: d.TestLimit,
	}
}

func newID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make id: %w", err)
	}
	return id, nil
}

// record writes an entry and drops its id.
func (s *Service) record(ctx context.Context, tx *db.Tx, e ledger.Entry) error {
	_, err := s.ledger.Record(ctx, tx, e)
	return err
}
