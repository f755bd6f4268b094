// Package members owns workspaces and who belongs to them: roles, invitations, the
// groups of an identity provider, groups of people, and the pages that every workspace
// has (home, getting started, settings, search).
package members

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
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// The permissions of this module.
const (
	ReadWorkspace   access.Permission = "workspace.read"
	ManageWorkspace access.Permission = "workspace.manage"
	ReadMembers     access.Permission = "member.read"
	ManageMembers   access.Permission = "member.manage"
	OwnWorkspace    access.Permission = "member.own"
	SetPlan         access.Permission = "workspace.plan"
)

// Mailer queues mail in the caller's transaction. Without one, invitations work by their
// links alone.
type Mailer interface {
	QueueInvitation(ctx context.Context, tx *db.Tx, to, subject, text, html string) error
}

// CreatedHook seeds the defaults of a module in the transaction that makes a workspace.
type CreatedHook func(ctx context.Context, tx *db.Tx, ws Workspace) error

// Tokens ends the personal API tokens of somebody who leaves the workspace of tx, in the
// transaction that removes them, so that none comes back to life with a later membership.
type Tokens interface {
	RevokeTokensOf(ctx context.Context, tx *db.Tx, userID uuid.UUID, reason string) error
}

// Deps are what the module works with. InviteLimit and LinkLimit may be nil.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Policy *access.Policy
	Index  *search.Index
	Tokens Tokens
	Clock  clock.Clock
	Log    *slog.Logger
	// BaseURL makes an absolute address of a path.
	BaseURL func(path string) string
	// SessionIdle and SessionAbsolute are how long sessions last in this installation, which
	// a workspace may shorten.
	SessionIdle, SessionAbsolute time.Duration
	// PlanLimits makes the plan of a workspace bound what it holds.
	PlanLimits bool
	// InviteLimit bounds invitations by person, LinkLimit looking at links by address.
	InviteLimit web.Limiter
	LinkLimit   web.Limiter
}

// Service holds the use cases. The hooks are added while the program is put together and
// only read afterwards.
type Service struct {
	db      *db.DB
	ledger  *ledger.Ledger
	policy  *access.Policy
	index   *search.Index
	tokens  Tokens
	clock   clock.Clock
	log     *slog.Logger
	baseURL func(string) string

	sessionIdle, sessionAbsolute time.Duration
	planLimits                   bool
	inviteLimit, linkLimit       web.Limiter

	mailer    Mailer
	onCreated []CreatedHook
	steps     []Step
	providers []HomeProvider
	actions   []Action
	uses      []Use
	settings  []SettingsLink
	nav       []web.NavEntry
}

// New returns the service.
func New(d Deps) *Service {
	s := &Service{
		db: d.DB, ledger: d.Ledger, policy: d.Policy, index: d.Index, tokens: d.Tokens, clock: d.Clock, log: d.Log, baseURL: d.BaseURL,
		sessionIdle: d.SessionIdle, sessionAbsolute: d.SessionAbsolute, planLimits: d.PlanLimits, inviteLimit: d.InviteLimit, linkLimit: d.LinkLimit,
	}
	s.AddStep(inviteStep())
	s.AddAction(Action{Label: "Invite a colleague", Path: "/members/invitations/new", Icon: "user-plus", Permission: ManageMembers})
	s.AddAction(Action{Label: "Create a group of people", Path: "/members/groups/new", Icon: "users", Permission: ManageMembers})
	return s
}

// SetMailer sets who sends invitations.
func (s *Service) SetMailer(m Mailer) { s.mailer = m }

// SetNav tells the search page which pages the sidebar has.
func (s *Service) SetNav(nav []web.NavEntry) { s.nav = nav }

// OnWorkspaceCreated adds a hook that seeds defaults.
func (s *Service) OnWorkspaceCreated(h CreatedHook) { s.onCreated = append(s.onCreated, h) }

// AddStep adds a step to the getting-started page.
func (s *Service) AddStep(step Step) { s.steps = append(s.steps, step) }

// AddHome adds a section to the home page.
func (s *Service) AddHome(p HomeProvider) { s.providers = append(s.providers, p) }

// AddUse adds a line to what the settings page says of the plan.
func (s *Service) AddUse(u Use) { s.uses = append(s.uses, u) }

// AddSettings adds a link to the settings page of another module.
func (s *Service) AddSettings(l SettingsLink) { s.settings = append(s.settings, l) }

// AddAction adds an action to the search page and the command palette.
func (s *Service) AddAction(a Action) { s.actions = append(s.actions, a) }

// lock makes changes of membership in one workspace wait for each other, so that rules
// about all members (there is always an owner) hold. It returns the actor with the role
// that they have now: the one of the request may have been taken away meanwhile.
func (s *Service) lock(ctx context.Context, tx *db.Tx) (db.Actor, error) {
	a := tx.Actor
	if _, err := lockWorkspace.One(ctx, tx, nil); err != nil {
		return a, err
	}
	if a.UserID != uuid.Nil && !a.PlatformAdmin {
		m, ok, err := memberOfUser.Maybe(ctx, tx, db.Args{"user": a.UserID})
		if err != nil {
			return a, err
		}
		if !ok || m.State != Active {
			return a, fault.NewDenied("forbidden", "You are not a member of this workspace any more.")
		}
		a.Role = string(m.Role)
	}
	return a, s.policy.Check(a, ManageMembers)
}

func newID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make id: %w", err)
	}
	return id, nil
}

// record writes an entry and drops its id, which no use case here needs.
func (s *Service) record(ctx context.Context, tx *db.Tx, e ledger.Entry) error {
	_, err := s.ledger.Record(ctx, tx, e)
	return err
}

func workspaceSubject(w Workspace) event.Subject {
	return event.Subject{Type: "workspace", ID: w.ID, Key: w.Slug, Title: w.Name}
}
