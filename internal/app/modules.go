package app

import (
	"context"
	"net/url"
	"time"

	"github.com/vigilo/vigilo/internal/auditlog"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/integrations"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/ratelimit"
	"github.com/vigilo/vigilo/internal/members"
	"github.com/vigilo/vigilo/internal/notifications"
)

// Services are the modules' services, for the wiring below, the demo data and tests.
type Services struct {
	Identity      *identity.Service
	Members       *members.Service
	Notifications *notifications.Service
	Integrations  *integrations.Service
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
		DB: k.db, Ledger: k.ledger, Policy: k.policy, Index: k.index, Clock: k.clock, Log: k.log, BaseURL: k.address,
		InviteLimit: k.perMinute(k.cfg.Rate.Invitation), LinkLimit: k.perMinute(k.cfg.Rate.Invitation),
	})
	s.Notifications = notifications.New(notifications.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Policy: k.policy, Index: k.index, Sealer: k.keys, Clock: k.clock, Log: k.log,
		BaseURL: k.address, SMTP: k.mailSettings(), Dial: k.dialer.DialContext, InstallationDial: k.mailDialer().DialContext,
		Roots: k.roots, TestLimit: k.perMinute(k.cfg.Rate.WebhookTest),
	})
	s.Integrations = integrations.New(integrations.Deps{
		DB: k.db, Ledger: k.ledger, Jobs: k.jobs, Clock: k.clock, Log: k.log, Sealer: k.keys, Network: networkPolicy(k.cfg),
		Roots: k.roots, TestLimit: k.perMinute(k.cfg.Rate.WebhookTest),
	})
	s.AuditLog = auditlog.New(auditlog.Deps{DB: k.db, Ledger: k.ledger, Policy: k.policy, Index: k.index})
	s.wire()
	return s, []module.Module{
		s.Identity.Module(), s.Members.Module(), s.Notifications.Module(), s.Integrations.Module(), s.AuditLog.Module(),
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

// background returns what runs beside jobs in a process that works.
func (s *Services) background() []func(context.Context) error { return nil }

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
