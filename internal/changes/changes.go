// Package changes keeps changes: what is about to be done to the systems of a workspace,
// who agreed, what stands in the way, what was done and how it went. Package lifecycle holds
// the rules; this package collects what they look at, carries out what they allow, and keeps
// the proof. Approvals, freezes, assets and tasks are modules below this one.
package changes

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/tasks"
	"github.com/vigilo/vigilo/templates/ui"
)

// Permissions of this module. Who may move which change is decided by lifecycle.Evaluate;
// these say who may try.
const (
	CanRead      access.Permission = "change.read"
	CanCreate    access.Permission = "change.create"
	CanUpdate    access.Permission = "change.update"
	CanComment   access.Permission = "change.comment"
	CanSchedule  access.Permission = "change.schedule"
	CanStart     access.Permission = "change.start"
	CanComplete  access.Permission = "change.complete"
	CanManage    access.Permission = "change.manage"
	CanEmergency access.Permission = "change.emergency"
)

// The types of subjects in approvals, tasks, events and the audit log.
const (
	SubjectChange   = "change"
	SubjectTemplate = "change_template"
)

// Person is an active member of the workspace.
type Person struct {
	UserID   uuid.UUID
	MemberID uuid.UUID
	Name     string
	Email    string
}

// Notice is something that members shall be told. It has the fields of the notices of module
// notifications.
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

// History reads what happened to a thing, for its activity tab: it queues the read with
// those of the page and returns what turns it into a timeline afterwards.
type History func(b *db.Batch, subjectType string, id uuid.UUID, limit int) func(zone *time.Location, now time.Time) ([]ui.Entry, error)

// Trail reads the audit log of a thing, for the API and for evidence packs.
type Trail func(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID, limit int) ([]TrailEntry, error)

// TrailEntry is one line of the audit log.
type TrailEntry struct {
	ID         uuid.UUID      `json:"id"`
	At         time.Time      `json:"at"`
	Action     string         `json:"action"`
	Label      string         `json:"label"`
	Actor      string         `json:"actor"`
	ActorID    uuid.NullUUID  `json:"actor_id"`
	ActorKind  string         `json:"actor_kind"`
	Outcome    string         `json:"outcome"`
	Reason     string         `json:"reason,omitempty"`
	Changes    []TrailChange  `json:"changes"`
	Detail     map[string]any `json:"detail,omitempty"`
	TargetType string         `json:"target_type"`
	TargetID   uuid.UUID      `json:"target_id"`
	TargetKey  string         `json:"target_key,omitempty"`
}

// TrailChange is one field of a line; the values are JSON.
type TrailChange struct {
	Field string `json:"field"`
	From  any    `json:"from"`
	To    any    `json:"to"`
}

// Deps is what the module is built from.
type Deps struct {
	DB        *db.DB
	Ledger    *ledger.Ledger
	Jobs      *job.Engine
	Policy    *access.Policy
	Clock     clock.Clock
	Log       *slog.Logger
	Approvals *approvals.Service
	Assets    *assets.Service
	Freezes   *freezes.Service
	Tasks     *tasks.Service
	// Index names the things that changes link to.
	Index *search.Index
	// People lists the active members.
	People func(ctx context.Context, tx *db.Tx) ([]Person, error)
	// Notify tells people in the caller's transaction; nil tells nobody.
	Notify func(ctx context.Context, tx *db.Tx, n Notice) error
	// Activity fills the activity tab; Trail the audit answers. Either may be nil.
	Activity History
	Trail    Trail
}

// Service holds the use cases of this module.
type Service struct {
	db        *db.DB
	ledger    *ledger.Ledger
	jobs      *job.Engine
	policy    *access.Policy
	clock     clock.Clock
	log       *slog.Logger
	approvals *approvals.Service
	assets    *assets.Service
	freezes   *freezes.Service
	tasks     *tasks.Service
	index     *search.Index
	people    func(ctx context.Context, tx *db.Tx) ([]Person, error)
	notify    func(ctx context.Context, tx *db.Tx, n Notice) error
	activity  History
	trail     Trail
	limits    lifecycle.Limits
	blockers  []Blocker
}

// Blocker lets a module above this one say what stands in the way of a change: an incident
// on a target, an error budget that is used up. It fills the fields of the input that it
// knows.
type Blocker func(ctx context.Context, tx *db.Tx, c Change, in *lifecycle.Input) error

// AddBlocker adds to what the rules look at, before the program serves.
func (s *Service) AddBlocker(b Blocker) { s.blockers = append(s.blockers, b) }

// New returns the service, registered with the modules below: approvals ask it about changes
// and templates, freezes tell it whom they stop, tasks may belong to changes.
func New(d Deps) *Service {
	s := &Service{
		db: d.DB, ledger: d.Ledger, jobs: d.Jobs, policy: d.Policy, clock: d.Clock, log: d.Log, approvals: d.Approvals,
		assets: d.Assets, freezes: d.Freezes, tasks: d.Tasks, index: d.Index, people: d.People, notify: d.Notify,
		activity: d.Activity, trail: d.Trail, limits: lifecycle.Defaults(),
	}
	if s.people == nil {
		s.people = func(context.Context, *db.Tx) ([]Person, error) { return nil, nil }
	}
	if s.notify == nil {
		s.notify = func(context.Context, *db.Tx, Notice) error { return nil }
	}
	s.approvals.Provide(SubjectChange, changeProvider{s})
	s.approvals.Provide(SubjectTemplate, templateProvider{s})
	s.freezes.Listen(freezeListener{s})
	s.tasks.AddParent(s.taskParent())
	s.assets.AddReferrer(s.assetReferrer())
	s.assets.AddPanel(s.assetPanel())
	return s
}

func newID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make id: %w", err)
	}
	return id, nil
}

// record writes an entry and returns its id.
func (s *Service) record(ctx context.Context, tx *db.Tx, e ledger.Entry) (uuid.UUID, error) {
	return s.ledger.Record(ctx, tx, e)
}

// roster is the people of a workspace, to find and to name them.
type roster []Person

func (s *Service) roster(ctx context.Context, tx *db.Tx) (roster, error) {
	people, err := s.people(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	return people, nil
}

// find returns a person by user, membership or e-mail address.
func (r roster) find(text string) (Person, bool) {
	text = strings.TrimSpace(text)
	for _, p := range r {
		if text != "" && (text == p.UserID.String() || text == p.MemberID.String() || strings.EqualFold(text, p.Email)) {
			return p, true
		}
	}
	return Person{}, false
}

func (r roster) byUser(id uuid.UUID) (Person, bool) {
	for _, p := range r {
		if p.UserID == id {
			return p, true
		}
	}
	return Person{}, false
}

// name of a person, or what is known of somebody who left.
func (r roster) name(id uuid.UUID) string {
	switch p, ok := r.byUser(id); {
	case ok:
		return p.Name
	case id == uuid.Nil:
		return "Nobody"
	}
	return "Former member"
}

// tell notifies those who have to do with a change, except the one who acted.
func (s *Service) tell(ctx context.Context, tx *db.Tx, c Change, eventID uuid.UUID, n Notice) error {
	n.Recipients = slices.DeleteFunc(unique(n.Recipients), func(id uuid.UUID) bool { return id == tx.Actor.UserID })
	if len(n.Recipients) == 0 {
		return nil
	}
	n.DedupeKey, n.SubjectType, n.SubjectID, n.SubjectTitle = eventID.String(), SubjectChange, c.ID, c.Key+" "+c.Title
	if n.Path == "" {
		n.Path = c.Path()
	}
	if n.Icon == "" {
		n.Icon = "git-pull-request-arrow"
	}
	if err := s.notify(ctx, tx, n); err != nil {
		return fmt.Errorf("tell about %s: %w", c.Key, err)
	}
	return nil
}

// involved are the people who hear of what happens to a change.
func (s *Service) involved(ctx context.Context, tx *db.Tx, c Change) ([]uuid.UUID, error) {
	watchers, err := watchersOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return nil, err
	}
	out := append([]uuid.UUID{c.Requester.UUID, c.Owner.UUID}, c.Implementers...)
	return unique(append(out, watchers...)), nil
}

// unique drops repetitions and the zero id.
func unique(ids []uuid.UUID) []uuid.UUID {
	out := make([]uuid.UUID, 0, len(ids))
	for _, id := range ids {
		if id != uuid.Nil && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// byText orders ids as texts, so that a list of them has one form.
func byText(ids []uuid.UUID) []uuid.UUID {
	out := unique(ids)
	slices.SortFunc(out, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// Change reads a change by id or key.
func (s *Service) Change(ctx context.Context, a db.Actor, ref string) (Change, error) {
	var out Change
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = findChange(ctx, tx, ref)
		return err
	})
	return out, err
}

// HasChange reads whether the workspace has any change.
func (s *Service) HasChange(b *db.Batch) *db.Result[bool] { return anyChange.Queue(b, nil) }

func errUnknownPerson(field string) error {
	return fault.InvalidField(field, "unknown_member", "This person is not an active member of the workspace.")
}
