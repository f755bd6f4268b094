// Package approvals decides who must agree before something happens, asks them, and keeps
// proof of what they said. It knows nothing of changes: a module registers a provider for
// the type of its subjects and is told when a request is settled. Policies, delegations and
// absences are kept here; the rules that count seats and route them are in package seats.
package approvals

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// The permissions of this module.
const (
	ReadApprovals     access.Permission = "approval.read"
	DecideApprovals   access.Permission = "approval.decide"
	ReadPolicies      access.Permission = "policy.read"
	ManagePolicies    access.Permission = "policy.manage"
	ManageDelegations access.Permission = "delegation.manage" // one's own
	AdminDelegations  access.Permission = "delegation.admin"  // those of others
	ManageAbsences    access.Permission = "absence.manage"    // one's own
)

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

// Notifier tells people in the caller's transaction.
type Notifier interface {
	Notify(ctx context.Context, tx *db.Tx, n Notice) error
}

// Deps are what the module works with.
type Deps struct {
	DB       *db.DB
	Ledger   *ledger.Ledger
	Jobs     *job.Engine
	Policy   *access.Policy
	Clock    clock.Clock
	Log      *slog.Logger
	Notifier Notifier
}

// Service holds the use cases. Providers are added while the program is put together and
// only read afterwards.
type Service struct {
	db        *db.DB
	ledger    *ledger.Ledger
	jobs      *job.Engine
	policy    *access.Policy
	clock     clock.Clock
	log       *slog.Logger
	notifier  Notifier
	providers map[string]SubjectProvider
}

// New returns the service.
func New(d Deps) *Service {
	return &Service{
		db: d.DB, ledger: d.Ledger, jobs: d.Jobs, policy: d.Policy, clock: d.Clock, log: d.Log, notifier: d.Notifier,
		providers: map[string]SubjectProvider{},
	}
}

// Provide registers who owns the subjects of a type, such as "change".
func (s *Service) Provide(subjectType string, p SubjectProvider) { s.providers[subjectType] = p }

func (s *Service) provider(subjectType string) (SubjectProvider, error) {
	p, ok := s.providers[subjectType]
	if !ok {
		return nil, fmt.Errorf("approvals: nobody provides subjects of type %q", subjectType)
	}
	return p, nil
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
