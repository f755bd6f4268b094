package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// SeedUser describes a person that a program adds, rather than a provider: a demo person
// or one of a test.
type SeedUser struct {
	// Issuer and Subject default to DevIssuer and the e-mail address.
	Issuer, Subject string
	Email           string
	Name            string
	TimeZone        string
	PlatformAdmin   bool
}

// EnsureUser adds the person unless they exist, and gives them the name, address and
// rights of in.
func (s *Service) EnsureUser(ctx context.Context, in SeedUser) (User, error) {
	email := strings.ToLower(strings.TrimSpace(in.Email))
	k := known{
		issuer: cmp.Or(in.Issuer, DevIssuer), subject: cmp.Or(in.Subject, email), email: email, verified: true,
		name: in.Name, zone: in.TimeZone, platformAdmin: in.PlatformAdmin,
	}
	var u User
	err := s.DB.System(ctx, func(tx *db.SystemTx) error {
		var err error
		u, err = ensure(ctx, tx, k)
		return err
	})
	return u, err
}

// known is what somebody vouches for about a person.
type known struct {
	issuer, subject string
	email           string
	verified        bool
	name            string
	zone            string // only for people who are new
	platformAdmin   bool
}

// ensure finds or makes the person of an identity and brings them up to date.
func ensure(ctx context.Context, tx *db.SystemTx, k known) (User, error) {
	if _, err := lockIdentity.Run(ctx, tx, db.Args{"key": k.issuer + "\n" + k.subject}); err != nil {
		return User{}, err
	}
	id := db.Args{"issuer": k.issuer, "subject": k.subject}
	u, ok, err := userByIdentity.Maybe(ctx, tx, id)
	if err != nil {
		return User{}, err
	}
	if !ok {
		return insert(ctx, tx, k)
	}
	same := u.Email == k.email && u.EmailVerified == k.verified && u.Name == k.name && u.PlatformAdmin == k.platformAdmin
	if same {
		return u, nil
	}
	if _, err := updateUser.Run(ctx, tx, db.Args{
		"id": u.ID, "email": k.email, "email_verified": k.verified, "name": k.name, "platform_admin": k.platformAdmin,
	}); err != nil {
		return User{}, err
	}
	u.Email, u.EmailVerified, u.Name, u.PlatformAdmin = k.email, k.verified, k.name, k.platformAdmin
	return u, nil
}

func insert(ctx context.Context, tx *db.SystemTx, k known) (User, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return User{}, fmt.Errorf("make user id: %w", err)
	}
	if _, err := insertUser.Run(ctx, tx, db.Args{
		"id": id, "email": k.email, "email_verified": k.verified, "name": k.name, "time_zone": k.zone,
		"platform_admin": k.platformAdmin,
	}); err != nil {
		return User{}, err
	}
	if _, err := insertIdentity.Run(ctx, tx, db.Args{"issuer": k.issuer, "subject": k.subject, "user": id}); err != nil {
		return User{}, err
	}
	return User{
		ID: id, Email: k.email, EmailVerified: k.verified, Name: k.name, TimeZone: k.zone, Theme: "system", Shortcuts: true,
		PlatformAdmin: k.platformAdmin,
	}, nil
}

// client is the browser of a sign-in.
type client struct {
	ip        netip.Addr
	userAgent string
	requestID uuid.UUID
	// oldToken is the session that the browser had; it ends when a new one starts.
	oldToken string
}

// errDisabled refuses a person whose account was closed.
var errDisabled = fault.NewDenied("account_disabled", "This account is disabled. Ask the people who look after Vigilo.")

// signInOIDC turns what the provider said into a session. It returns the token and where
// to send the browser.
func (s *Service) signInOIDC(ctx context.Context, id oidcrp.Identity, c client, returnTo string) (token, to string, err error) {
	k, err := s.judge(id)
	if err != nil {
		return "", "", err
	}
	sealed, err := s.Sealer.Seal(uuid.Nil, idTokenPurpose, []byte(id.RawIDToken))
	if err != nil {
		return "", "", fmt.Errorf("seal ID token: %w", err)
	}
	var u User
	err = s.DB.System(ctx, func(tx *db.SystemTx) error {
		u, err = ensure(ctx, tx, k)
		return err
	})
	if err != nil {
		return "", "", err
	}
	return s.admit(ctx, u, &id, newSession{
		client: c, method: MethodOIDC, issuer: id.Issuer, subject: id.Subject, sid: id.SessionID, idToken: sealed,
		amr: strings.Join(id.AMR, " "), authTime: id.AuthTime,
	}, returnTo)
}

// judge takes over what a provider says about a person. Text that cannot be stored is
// refused, never shortened: two people must not become one.
func (s *Service) judge(id oidcrp.Identity) (known, error) {
	for _, text := range []string{id.Issuer, id.Subject, id.Email, id.Name, id.SessionID} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || len(text) > 1000 {
			return known{}, &fault.Error{
				Kind: fault.Denied, Code: oidcrp.CodeTokenInvalid, Cause: errors.New("a claim cannot be stored"),
				Message: "The identity provider's answer is not valid. Tell your administrator.",
			}
		}
	}
	k := known{
		issuer: id.Issuer, subject: id.Subject, email: strings.ToLower(strings.TrimSpace(id.Email)),
		verified: id.EmailVerified && id.Email != "", name: strings.TrimSpace(id.Name),
	}
	k.name = cmp.Or(k.name, k.email, "Unnamed person")
	k.platformAdmin = k.verified && slices.Contains(s.PlatformAdmins, k.email)
	return k, nil
}

// signInDev lets somebody in as a demo person.
func (s *Service) signInDev(ctx context.Context, email string, c client, returnTo string) (token, to string, err error) {
	var u User
	err = s.DB.System(ctx, func(tx *db.SystemTx) error {
		var ok bool
		u, ok, err = userByIdentity.Maybe(ctx, tx, db.Args{"issuer": DevIssuer, "subject": strings.ToLower(email)})
		if err == nil && !ok {
			err = fault.InvalidField("email", "not_allowed", "There is no demo person with this address. Choose one from the list.")
		}
		return err
	})
	if err != nil {
		return "", "", err
	}
	return s.admit(ctx, u, nil, newSession{client: c, method: MethodDev, issuer: DevIssuer, subject: u.Email}, returnTo)
}

// admit asks the hooks, starts the session and finds where the person goes.
func (s *Service) admit(ctx context.Context, u User, id *oidcrp.Identity, n newSession, returnTo string) (token, to string, err error) {
	n.userID = u.ID
	if u.DisabledAt != nil {
		return "", "", errors.Join(errDisabled, s.recordRefusal(ctx, u.ID, n.client))
	}
	for _, hook := range s.hooks {
		if err := hook(ctx, u, id); err != nil {
			return "", "", fmt.Errorf("sign in %s: %w", u.ID, err)
		}
	}
	if token, err = s.startSession(ctx, n); err != nil {
		return "", "", err
	}
	places, err := placesOf.All(ctx, s.DB.SystemRead(), db.Args{"user": u.ID})
	if err != nil {
		return "", "", db.Classify(err)
	}
	last, _, err := lastSlug.Maybe(ctx, s.DB.SystemRead(), db.Args{"user": u.ID})
	if err != nil {
		return "", "", db.Classify(err)
	}
	return token, landing(returnTo, places, last, u.PlatformAdmin), nil
}

// newSession is a session about to start.
type newSession struct {
	client
	userID  uuid.UUID
	method  string
	issuer  string
	subject string
	sid     string
	idToken []byte // sealed
	amr     string
	// authTime is when the provider says that the person proved who they are, zero when it
	// does not say.
	authTime time.Time
}

const idTokenPurpose = "identity.id_token"

// StartSession starts a session of a person and returns its token, for seeding and tests.
// Method is MethodOIDC or MethodDev.
func (s *Service) StartSession(ctx context.Context, userID uuid.UUID, method string, ip netip.Addr, userAgent string) (token string, err error) {
	return s.startSession(ctx, newSession{client: client{ip: ip, userAgent: userAgent}, userID: userID, method: method})
}

func (s *Service) startSession(ctx context.Context, n newSession) (token string, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make session id: %w", err)
	}
	token, hash := secret.NewToken("")
	err = s.DB.System(ctx, func(tx *db.SystemTx) error {
		if n.oldToken != "" {
			old, err := endByHash.All(ctx, tx, db.Args{"hash": secret.HashToken(n.oldToken), "reason": endReplaced})
			if err != nil {
				return err
			}
			if err := s.recordEnds(ctx, tx, old, endReplaced, n.client); err != nil {
				return err
			}
		}
		signedIn := tx.Now
		if !n.authTime.IsZero() && n.authTime.Before(tx.Now) {
			signedIn = n.authTime
		}
		if _, err := insertSession.Run(ctx, tx, db.Args{
			"id": id, "hash": hash, "user": n.userID, "method": n.method, "issuer": n.issuer, "subject": n.subject,
			"sid": n.sid, "id_token": n.idToken, "amr": n.amr, "ip": address(n.ip), "user_agent": n.userAgent,
			"expires": tx.Now.Add(s.Absolute), "signed_in": signedIn,
		}); err != nil {
			return err
		}
		return s.record(ctx, tx, []endedSession{{ID: id, UserID: n.userID}}, RecordArgs{
			Action: eventStarted, RequestID: n.requestID, IP: addressText(n.ip), At: tx.Now,
		})
	})
	if err != nil {
		return "", fmt.Errorf("start session: %w", err)
	}
	return token, nil
}

// recordRefusal puts the refusal of a known person into the log of their workspaces.
func (s *Service) recordRefusal(ctx context.Context, userID uuid.UUID, c client) error {
	return s.DB.System(ctx, func(tx *db.SystemTx) error {
		return s.record(ctx, tx, []endedSession{{UserID: userID}}, RecordArgs{
			Action: eventRefused, RequestID: c.requestID, IP: addressText(c.ip), UserAgent: c.userAgent, Reason: "account disabled", At: tx.Now,
		})
	})
}

// record inserts one job for each session and workspace of its person.
func (s *Service) record(ctx context.Context, tx *db.SystemTx, sessions []endedSession, args RecordArgs) error {
	users := make([]uuid.UUID, len(sessions))
	for i, e := range sessions {
		users[i] = e.UserID
	}
	members, err := workspacesOf.All(ctx, tx, db.Args{"users": users})
	if err != nil {
		return err
	}
	var jobs []river.JobArgs
	for _, e := range sessions {
		for _, m := range members {
			if m.UserID == e.UserID {
				args.InWorkspace = job.InWorkspace{WorkspaceID: m.WorkspaceID}
				args.SessionID, args.UserID = e.ID, e.UserID
				jobs = append(jobs, args)
			}
		}
	}
	return s.Jobs.InsertSystem(ctx, tx, jobs...)
}

func (s *Service) recordEnds(ctx context.Context, tx *db.SystemTx, ended []endedSession, why endReason, c client) error {
	if len(ended) == 0 {
		return nil
	}
	return s.record(ctx, tx, ended, RecordArgs{
		Action: eventEnded, RequestID: c.requestID, IP: addressText(c.ip), Reason: why.words(), At: tx.Now,
	})
}

func address(ip netip.Addr) *netip.Addr {
	if !ip.IsValid() {
		return nil
	}
	ip = ip.Unmap().WithZone("")
	return &ip
}

func addressText(ip netip.Addr) string {
	if a := address(ip); a != nil {
		return a.String()
	}
	return ""
}

// retention is how long an ended session is kept: jobs may still want to name its device.
const retention = 30 * 24 * time.Hour

// Sweep removes what nobody needs any more, and withdraws the rights of platform
// administrators who are no longer configured.
func (s *Service) Sweep(ctx context.Context) error {
	return s.DB.System(ctx, func(tx *db.SystemTx) error {
		if _, err := sweepSessions.Run(ctx, tx, db.Args{"before": tx.Now.Add(-retention)}); err != nil {
			return err
		}
		if _, err := sweepLogoutTokens.Run(ctx, tx, nil); err != nil {
			return err
		}
		admins := s.PlatformAdmins
		if admins == nil {
			admins = []string{}
		}
		withdrawn, err := withdrawAdmins.All(ctx, tx, db.Args{"admins": admins})
		for _, id := range withdrawn {
			s.Log.WarnContext(ctx, "platform administrator withdrawn", "user_id", id.String())
		}
		return err
	})
}
