// Package freezes keeps the windows in which changes may not run, may run only, or are
// expected: freezes, lockdowns, allow-lists and maintenance windows (work.md 2.4). Windows
// hold local hours of a time zone; engine wallclock makes instants of them, which are
// stored, so that whoever asks about a window of a change reads rows. The package knows
// nothing of changes: who does registers a Listener.
package freezes

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/templates/ui"
)

// The permissions of this module.
const (
	ReadFreezes      access.Permission = "freeze.read"
	ManageFreezes    access.Permission = "freeze.manage"
	RequestOverrides access.Permission = "freeze.request"
	GrantOverrides   access.Permission = "freeze.override"
)

// Interval is a span of time; the end is not part of it.
type Interval = wallclock.Interval

// Assets is what this module asks module assets.
type Assets interface {
	Briefs(ctx context.Context, tx *db.Tx, ids []uuid.UUID) ([]assets.Brief, error)
	Services(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (map[uuid.UUID][]assets.Brief, error)
	Impact(ctx context.Context, tx *db.Tx, start []uuid.UUID, depth int) (assets.Impact, error)
	Find(ctx context.Context, tx *db.Tx, text string, limit int) ([]assets.Brief, error)
}

// Person is an active member, as owner of a freeze and as whoever may grant an override.
type Person struct {
	UserID      uuid.UUID
	Name, Email string
	Role        access.Role
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

// Notifier tells people in the caller's transaction.
type Notifier interface {
	Notify(ctx context.Context, tx *db.Tx, n Notice) error
}

// PreviewItem is a certificate that ends while a freeze is in force.
type PreviewItem struct {
	ID    uuid.UUID
	Title string
	Path  string // below the workspace
	At    time.Time
}

// History fills the activity of a record from the audit log.
type History func(b *db.Batch, subjectType string, id uuid.UUID, limit int) func(zone *time.Location, now time.Time) ([]ui.Entry, error)

// Deps are what the module works with. Certificates, Activity and Notifier may be nil.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Jobs   *job.Engine
	Policy *access.Policy
	Clock  clock.Clock
	Log    *slog.Logger
	Assets Assets
	// People lists the active members.
	People   func(ctx context.Context, tx *db.Tx) ([]Person, error)
	Notifier Notifier
	// Certificates lists the certificates that end between two moments, soonest first.
	Certificates func(ctx context.Context, tx *db.Tx, from, to time.Time) ([]PreviewItem, error)
	Activity     History
}

// Service holds the use cases.
type Service struct {
	db           *db.DB
	ledger       *ledger.Ledger
	jobs         *job.Engine
	policy       *access.Policy
	clock        clock.Clock
	log          *slog.Logger
	assets       Assets
	people       func(ctx context.Context, tx *db.Tx) ([]Person, error)
	notifier     Notifier
	certificates func(ctx context.Context, tx *db.Tx, from, to time.Time) ([]PreviewItem, error)
	activity     History
	listener     Listener
	zones        sync.Map // name → *zoneData; reading one is reading a file
}

// New returns the service.
func New(d Deps) *Service {
	return &Service{
		db: d.DB, ledger: d.Ledger, jobs: d.Jobs, policy: d.Policy, clock: d.Clock, log: d.Log, assets: d.Assets,
		people: d.People, notifier: d.Notifier, certificates: d.Certificates, activity: d.Activity,
	}
}

// Listen names who looks after the things that freezes stop, before the program serves.
func (s *Service) Listen(l Listener) { s.listener = l }

// Affected is a change whose window meets a freeze.
type Affected struct {
	ChangeID   uuid.UUID
	Key, Title string
	Path       string // below the workspace
	State      string // in words, such as Scheduled
	Start, End time.Time
	Owner      uuid.NullUUID // user
	// Hold says that activating the freeze holds it: it is scheduled. What runs already is
	// listed and not stopped; what is not scheduled yet meets the freeze when it will be.
	Hold bool
}

// Listener is told what a freeze does to changes. All methods run in the caller's
// transaction.
type Listener interface {
	// Inside returns the changes that match and whose window shares a moment with a span,
	// soonest first, those that are over left out. Spans are in order and do not overlap.
	Inside(ctx context.Context, tx *db.Tx, match func(Target) bool, spans []Interval) ([]Affected, error)
	// Held adds a hold of the freeze to each change and tells its owner. It is called again
	// for the same freeze when more changes meet it: what it holds already stays as it is,
	// and nobody is told twice.
	Held(ctx context.Context, tx *db.Tx, f Freeze, affected []Affected) error
	// Released removes the holds of the freeze, and no others.
	Released(ctx context.Context, tx *db.Tx, freeze uuid.UUID) error
	// Subject locks a change and returns what an override of it is bound to. A change that
	// does not exist is fault.NotFound.
	Subject(ctx context.Context, tx *db.Tx, changeID uuid.UUID) (OverrideSubject, error)
}

// OverrideListener is what a Listener implements too when it knows changes by key and wants
// to hear of single overrides.
type OverrideListener interface {
	// ChangeByKey finds a change by its key, such as CHG-00012.
	ChangeByKey(ctx context.Context, tx *db.Tx, key string) (uuid.UUID, bool, error)
	// OverrideChanged says that an override of the freeze for the change was granted, or is
	// void from now on: its hold goes, or comes back.
	OverrideChanged(ctx context.Context, tx *db.Tx, freeze, changeID uuid.UUID, valid bool) error
}

// Excluded is somebody who may neither ask for an override of a change nor grant it, and
// why: requester, submitter, implementer, editor.
type Excluded struct {
	UserID uuid.UUID
	Why    string
}

// OverrideSubject is a change as an override is bound to it.
type OverrideSubject struct {
	ChangeID   uuid.UUID
	Key, Title string
	Path       string // below the workspace
	Revision   int64
	Start, End time.Time
	Target     Target
	Excluded   []Excluded
	// Closed says that the change is over or runs: nothing is left to override.
	Closed bool
}

type zoneData struct {
	zone    *time.Location
	version string
}

// zone loads a time zone and the version of its data.
func (s *Service) zone(name string) (*zoneData, error) {
	if z, ok := s.zones.Load(name); ok {
		if z, ok := z.(*zoneData); ok {
			return z, nil
		}
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("load time zone %s: %w", name, err)
	}
	z := &zoneData{zone: loc, version: wallclock.ZoneVersion(loc)}
	s.zones.Store(name, z)
	return z, nil
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
