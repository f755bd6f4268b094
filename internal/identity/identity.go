// Package identity knows who people are and how a request proves it: sign-in through an
// OpenID provider or the development login, server-side sessions, personal access tokens
// and service tokens.
//
// A person is identified by issuer and subject of the provider, never by e-mail. The
// cookie of a session and the text of a token are 256 random bits of which the database
// holds only the SHA-256.
//
// People stand above workspaces, the audit log inside them. So that a workspace sees who
// came and went, the transaction that starts or ends a session inserts one job for each
// workspace the person is an active member of; each job writes session.started or
// session.ended (or session.refused) into that workspace's log and is repeated until it
// succeeds. A sign-in that is refused before the person is known belongs to no workspace:
// it is logged with the id of its request. The sign-in of a platform administrator
// without memberships shows in no workspace; what they then do there does.
package identity

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/ratelimit"
)

// Paths that the registration at an identity provider names.
const (
	// CallbackPath receives the provider's answer.
	CallbackPath = "/login/callback"
	// PostLogoutPath is where the provider sends the browser after a logout.
	PostLogoutPath = "/login"
	// BackchannelPath receives logout tokens.
	BackchannelPath = "/logout/backchannel"
)

// DevIssuer is the issuer of people who sign in without a provider; their subject is
// their e-mail address.
const DevIssuer = "dev"

// Defaults of Deps.
const (
	DefaultIdle             = 12 * time.Hour
	DefaultAbsolute         = 7 * 24 * time.Hour
	DefaultSignInsPerMinute = 10
)

// Deps are what the module needs.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Jobs   *job.Engine
	Policy *access.Policy
	Clock  clock.Clock
	Log    *slog.Logger
	Sealer ledger.Sealer
	// OIDC is the identity provider; nil where there is none.
	OIDC *oidcrp.Provider
	// DevLogin lets anyone in as any demo person (VIGILO_AUTH=dev). It is never offered
	// beside a provider, and a missing provider alone does not switch it on.
	DevLogin bool
	// ProviderName is the provider's name on the sign-in button.
	ProviderName string
	// PlatformAdmins are addresses in lower case. Whoever the provider says has one of
	// them, verified, is a platform administrator from the next sign-in on.
	PlatformAdmins []string
	// Idle and Absolute end a session that was not used, or is old; 0 means the defaults.
	Idle, Absolute time.Duration
	// SignInsPerMinute bounds attempts per address and per account; 0 means the default.
	SignInsPerMinute int
}

// Service is the module.
type Service struct {
	Deps
	limit *ratelimit.Limiter
	hooks []SignInHook
}

// New returns the module.
func New(d Deps) *Service {
	d.Idle, d.Absolute = cmp.Or(d.Idle, DefaultIdle), cmp.Or(d.Absolute, DefaultAbsolute)
	d.SignInsPerMinute = cmp.Or(d.SignInsPerMinute, DefaultSignInsPerMinute)
	d.ProviderName = cmp.Or(d.ProviderName, "single sign-on")
	return &Service{
		Deps:  d,
		limit: ratelimit.New(ratelimit.Per(d.SignInsPerMinute, time.Minute), d.SignInsPerMinute, d.Clock),
	}
}

// devLogin reports whether people sign in without a provider.
func (s *Service) devLogin() bool { return s.DevLogin && s.OIDC == nil }

// User is a person.
type User struct {
	ID            uuid.UUID `db:"id"`
	Email         string    `db:"email"` // lower case
	EmailVerified bool      `db:"email_verified"`
	Name          string    `db:"name"`
	// TimeZone is an IANA name, empty until the browser or the person says.
	TimeZone      string     `db:"time_zone"`
	Theme         string     `db:"theme"` // system, light or dark
	Shortcuts     bool       `db:"shortcuts"`
	PlatformAdmin bool       `db:"platform_admin"`
	DisabledAt    *time.Time `db:"disabled_at"`
}

// SignInHook is told who is about to sign in, before their session starts and before they
// are sent anywhere. With a provider, identity is what it said; with the development login
// it is nil. An error refuses the sign-in.
type SignInHook func(ctx context.Context, u User, identity *oidcrp.Identity) error

// OnSignIn adds a hook. Hooks run in the order they were added; add them before serving.
func (s *Service) OnSignIn(h SignInHook) { s.hooks = append(s.hooks, h) }
