package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/alertrules"
	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/auditlog"
	"github.com/vigilo/vigilo/internal/certificates"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/changes"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/integrations"
	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/plan"
	"github.com/vigilo/vigilo/internal/kernel/ratelimit"
	"github.com/vigilo/vigilo/internal/members"
	"github.com/vigilo/vigilo/internal/notifications"
	"github.com/vigilo/vigilo/internal/tasks"
	"github.com/vigilo/vigilo/templates/ui"
)

// Services are the modules' services, for the wiring below, the demo data and tests.
type Services struct {
	Identity      *identity.Service
	Members       *members.Service
	Notifications *notifications.Service
	Integrations  *integrations.Service
	Assets        *assets.Service
	Tasks         *tasks.Service
	Approvals     *approvals.Service
	Freezes       *freezes.Service
	Changes       *changes.Service
	Certificates  *certificates.Service
	AlertRules    *alertrules.Service
	AuditLog      *auditlog.Service
}

// newModules builds every module. A module receives only modules that stand above it.
func newModules(k *kernel) (*Services, []module.Module, error) {
	s := &Services{}
	s.Identity = identity.New(identity.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Clock: k.clock, Log: k.log, Sealer: k.keys,
		OIDC: k.provider(), DevLogin: k.cfg.Auth == config.AuthDev, ProviderName: k.cfg.OIDC.Name, PlatformAdmins: k.cfg.PlatformAdmins,
		Idle: k.cfg.Session.Idle, Absolute: k.cfg.Session.Absolute, SignInsPerMinute: k.cfg.Rate.SignIn,
	})
	s.Members = members.New(members.Deps{
		DB: k.db, Ledger: k.ledger, Policy: k.policy, Index: k.index, Tokens: s.Identity, Clock: k.clock, Log: k.log,
		BaseURL: k.address, SessionIdle: k.cfg.Session.Idle, SessionAbsolute: k.cfg.Session.Absolute, PlanLimits: k.cfg.PlanLimits,
		InviteLimit: k.perMinute(k.cfg.Rate.Invitation), LinkLimit: k.perMinute(k.cfg.Rate.Invitation),
	})
	s.Notifications = notifications.New(notifications.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Index: k.index, Sealer: k.keys, Clock: k.clock, Log: k.log,
		BaseURL: k.address, SMTP: k.mailSettings(), Dial: k.dialer.DialContext, InstallationDial: k.mailDialer().DialContext,
		Roots: k.trusted, TestLimit: k.perMinute(k.cfg.Rate.WebhookTest),
	})
	s.Integrations = integrations.New(integrations.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Clock: k.clock, Log: k.log, Sealer: k.keys, Network: networkPolicy(k.cfg),
		Roots: k.trusted, TestLimit: k.perMinute(k.cfg.Rate.WebhookTest),
	})
	s.Assets = assets.New(assets.Deps{
		DB: k.db, Ledger: k.ledger, Policy: k.policy, Clock: k.clock, Log: k.log, People: s.assetOwners, Activity: assets.History(k.history()),
	})
	s.Tasks = tasks.New(tasks.Deps{
		DB: k.db, Ledger: k.ledger, Policy: k.policy, Clock: k.clock, Log: k.log, People: s.assignees, Notify: s.tellAssignees,
		Activity: tasks.History(k.history()),
	})
	s.Approvals = approvals.New(approvals.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Clock: k.clock, Log: k.log, Notifier: approvalPeople{s.Notifications},
	})
	s.Freezes = freezes.New(freezes.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Clock: k.clock, Log: k.log, Assets: s.Assets,
		People: s.freezeOwners, Notifier: freezePeople{s.Notifications}, Certificates: s.certificatesEnding,
		Activity: freezes.History(k.history()),
	})
	s.Changes = changes.New(changes.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Clock: k.clock, Log: k.log, Approvals: s.Approvals, Assets: s.Assets,
		Freezes: s.Freezes, Tasks: s.Tasks, Index: k.index, People: s.changePeople, Notify: s.tellAboutChanges,
		Activity: changes.History(k.history()), Trail: k.trail(),
	})
	roots, err := k.certificateRoots()
	if err != nil {
		return nil, nil, err
	}
	s.Certificates = certificates.New(certificates.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Clock: k.clock, Log: k.log, Dialer: k.dialer, Roots: roots,
		ScanConcurrency: k.cfg.ScanConcurrency, People: s.hostOwners, Activity: k.history(), Limits: certificates.Limits(k.cfg.Scan),
		Plan: s.Members.Plan, Retentions: s.retentions,
	})
	k.metrics.Registry().MustRegister(s.Certificates.Metrics()...)
	s.AlertRules = alertrules.New(alertrules.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Clock: k.clock, Log: k.log,
		Hosts: watchedHosts{s.Certificates}, Notifier: alertPeople{s.Notifications}, Webhooks: alertWebhooks{s.Integrations},
		TestLimit: k.perMinute(k.cfg.Rate.WebhookTest),
	})
	s.AuditLog = auditlog.New(auditlog.Deps{DB: k.db, Ledger: k.ledger, Policy: k.policy, Index: k.index})
	s.wire()
	return s, []module.Module{
		s.Identity.Module(), s.Members.Module(), s.Notifications.Module(), s.Integrations.Module(),
		s.Assets.Module(), s.Tasks.Module(), s.Freezes.Module(), s.Approvals.Module(), s.Changes.Module(),
		s.Certificates.Module(), s.AlertRules.Module(), s.AuditLog.Module(),
	}, nil
}

// wire connects modules that do not know each other.
func (s *Services) wire() {
	s.Identity.OnSignIn(func(ctx context.Context, u identity.User, id *oidcrp.Identity) error {
		in := members.SignIn{UserID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified}
		if id != nil {
			in.Groups, in.GroupsPresent = id.Groups, id.GroupsPresent
		}
		return s.Members.ApplySignIn(ctx, in)
	})
	s.Members.SetMailer(s.Notifications)
	s.Members.AddStep(members.Step{
		Label: "Add a host", Text: "Vigilo reads its certificate within seconds and watches it from then on. Nothing is installed.",
		Href: "/certificates/new", Action: "Add a host", Icon: "lock", Weight: 10, Permission: "host.create", Done: s.Certificates.QueueHasHost,
	})
	s.Members.AddUse(members.Use{Label: "Hosts", Limit: func(l plan.Limits) int { return l.Hosts }, Count: s.Certificates.CountHosts})
	s.Members.AddSettings(members.SettingsLink{
		Title: "E-mail", Text: "The mail server that invitations and notices leave by, and a test of it.", Path: "/settings/mail",
		Icon: "mail", Permission: notifications.ManageMail,
	})
	s.Members.AddSettings(members.SettingsLink{
		Title: "API tokens", Text: "Service tokens of programs, and every personal token of this workspace.", Path: "/settings/tokens",
		Icon: "key-round", Permission: identity.CanManageTokens,
	})
	s.Members.AddSettings(members.SettingsLink{
		Title: "Approval policies", Text: "Who must agree before something happens.", Path: "/settings/approval-policies",
		Icon: "clipboard-check", Permission: approvals.ReadPolicies,
	})
	s.Members.AddSettings(members.SettingsLink{
		Title: "Delegations", Text: "Who decides approvals in whose place.", Path: "/settings/delegations",
		Icon: "user-check", Permission: approvals.AdminDelegations,
	})
	s.Members.AddHome(s.approvalsNow)
	s.Members.AddHome(s.alertsNow)
	s.Members.AddHome(s.certificatesNow)
	s.Members.AddHome(s.tasksNow)
	s.wireWork()
	s.wireChanges()
	s.Members.OnWorkspaceCreated(func(ctx context.Context, tx *db.Tx, _ members.Workspace) error {
		return s.Approvals.SeedDefaults(ctx, tx)
	})
	s.Members.OnWorkspaceCreated(func(ctx context.Context, tx *db.Tx, _ members.Workspace) error {
		return s.AlertRules.SeedDefaults(ctx, tx)
	})
}

// homeLimit is how many things a section of the home page lists.
const homeLimit = 8

// certificatesNow lists certificates in their last 30 days and hosts that fail.
func (s *Services) certificatesNow(b *db.Batch, _ db.Actor) func() members.HomeSection {
	items := s.Certificates.QueueHome(b, homeLimit)
	return func() members.HomeSection {
		out := members.HomeSection{Title: "Certificates", Href: "/certificates", Empty: "No certificate ends within 30 days and every host answers."}
		for _, i := range items() {
			out.Items = append(out.Items, members.HomeItem{Title: i.Title, Href: i.Path, Meta: i.Meta, Tone: i.Tone, Icon: "lock"})
		}
		return out
	}
}

// retentions tells the certificates how long the plans of workspaces keep scans.
func (s *Services) retentions(ctx context.Context) ([]certificates.Kept, error) {
	kept, err := s.Members.Retentions(ctx)
	out := make([]certificates.Kept, len(kept))
	for i, k := range kept {
		out[i] = certificates.Kept{Workspaces: k.Workspaces, For: k.For}
	}
	return out, err
}

// hostOwners lists who may own a host.
func (s *Services) hostOwners(ctx context.Context, tx *db.Tx) ([]certificates.Person, error) {
	people, err := s.Members.People(ctx, tx)
	if err != nil {
		return nil, err
	}
	out := make([]certificates.Person, len(people))
	for i, p := range people {
		out[i] = certificates.Person{ID: p.MemberID, UserID: p.UserID, Name: p.Name, Email: p.Email}
	}
	return out, nil
}

// history fills the activity tab of a record from the audit log.
func (k *kernel) history() certificates.History {
	reader := activity.New(k.ledger)
	return func(b *db.Batch, subjectType string, id uuid.UUID, limit int) func(*time.Location, time.Time) ([]ui.Entry, error) {
		pending := reader.Queue(b, subjectType, id, limit)
		return func(zone *time.Location, now time.Time) ([]ui.Entry, error) {
			entries, err := pending.Entries()
			if err != nil {
				return nil, err
			}
			return activity.Timeline(entries, zone, now), nil
		}
	}
}

// certificateRoots are what certificates may chain to: the authorities of the machine, and
// those that the installation adds.
func (k *kernel) certificateRoots() (x509lint.Roots, error) {
	public, err := x509.SystemCertPool()
	if err != nil {
		return x509lint.Roots{}, fmt.Errorf("read the machine's trusted roots: %w", err)
	}
	return x509lint.Roots{Public: public, Workspace: k.roots}, nil
}

// mailSettings returns the mail server of the installation, nil when there is none.
func (k *kernel) mailSettings() *mail.Settings {
	c := k.cfg.SMTP
	if c.Host == "" {
		return nil
	}
	return &mail.Settings{
		Host: c.Host, Port: c.Port, Username: c.Username, Password: c.Password.Reveal(), From: c.From, TLS: mail.TLS(c.TLS),
	}
}

// background returns what runs beside jobs in a process that works the scan queue.
func (s *Services) background() []func(context.Context) error {
	return []func(context.Context) error{s.Certificates.Run}
}

// wireWeb gives the server what modules supply.
func (a *App) wireWeb() {
	a.k.web.SetAuth(a.Services.Identity)
	a.k.web.SetShell(a.Services.Notifications)
}

// address makes an absolute address of a path.
func (k *kernel) address(path string) string {
	base := k.cfg.BaseURL
	if base == nil {
		base = &url.URL{Scheme: "http", Host: k.cfg.Addr}
	}
	return base.Scheme + "://" + base.Host + path
}

func (k *kernel) perMinute(n int) *ratelimit.Limiter {
	return ratelimit.New(ratelimit.Per(n, time.Minute), n, k.clock)
}
