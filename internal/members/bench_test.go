package members

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// bench is the module on a database of its own, with one workspace and its people. The
// clock starts a month ago, so that tests may move it without leaving the audit log's
// tolerance for times that lie ahead.
type bench struct {
	*dbtest.DB
	svc                          *Service
	policy                       *access.Policy
	index                        *search.Index
	jobs                         *job.Engine
	clk                          *clock.Fixed
	ws, other                    uuid.UUID
	owner, admin, viewer, strang db.Actor
	mail                         *mailbox
	tokens                       *tokenBox
}

// tokenBox is the other side of Tokens: whose tokens were revoked.
type tokenBox struct {
	mu      sync.Mutex
	revoked []uuid.UUID
	fail    error
}

func (b *tokenBox) RevokeTokensOf(_ context.Context, _ *db.Tx, userID uuid.UUID, _ string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revoked = append(b.revoked, userID)
	return b.fail
}

// mailbox is the other side of the Mailer: what would be queued.
type mailbox struct {
	mu   sync.Mutex
	sent []string
	fail error
}

func (m *mailbox) QueueInvitation(_ context.Context, _ *db.Tx, to, _, text, html string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.sent = append(m.sent, to+"\n"+text+"\n"+html)
	return nil
}

func setUp(t *testing.T) *bench {
	t.Helper()
	clk := clock.NewFixed(time.Now().Add(-30 * 24 * time.Hour))
	d := dbtest.NewAt(t, clk)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	jobs, err := job.New(d.DB, log)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(eventTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.NewPolicy()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{DB: d, policy: policy, index: search.NewIndex(searchSources(), resolvers()), jobs: jobs, clk: clk, mail: &mailbox{}, tokens: &tokenBox{}}
	b.svc = New(Deps{
		DB: d.DB, Ledger: ledger.New(catalogue, jobs, dbtest.Keyring(t)), Policy: policy, Index: b.index, Tokens: b.tokens, Clock: clk, Log: log,
		SessionIdle: 12 * time.Hour, SessionAbsolute: 7 * 24 * time.Hour,
		BaseURL: func(path string) string { return "https://vigilo.test" + path },
	})
	if err := policy.Add(b.svc.Module().Permissions...); err != nil {
		t.Fatal(err)
	}
	b.svc.SetMailer(b.mail)
	b.ws, b.other = d.Workspace(t, "acme"), d.Workspace(t, "globex")
	b.owner, b.admin = d.Member(t, b.ws, "Olga Owner", "owner"), d.Member(t, b.ws, "Adam Admin", "admin")
	b.viewer, b.strang = d.Member(t, b.ws, "Vera Viewer", "viewer"), d.Member(t, b.other, "Stan Stranger", "owner")
	return b
}

// user adds a person without a workspace.
func (b *bench) user(t *testing.T, name, email string, verified bool) db.Actor {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	if _, err := b.Admin(t).Exec(context.Background(), `INSERT INTO users (id, email, email_verified, name, created_at, updated_at)
		VALUES ($1, $2, $3, $4, now(), now())`, id, email, verified, name); err != nil {
		t.Fatal(err)
	}
	return db.Actor{Kind: db.ActorUser, ID: id, UserID: id, Name: name, Email: email, AuthMethod: "dev"}
}

// memberID returns the membership of a person in a workspace.
func (b *bench) memberID(t *testing.T, ws uuid.UUID, a db.Actor) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	if err := b.Admin(t).QueryRow(context.Background(), `SELECT id FROM members WHERE workspace_id = $1 AND user_id = $2`, ws, a.UserID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// place returns the role, state and way of a person, or "none".
func (b *bench) place(t *testing.T, ws, user uuid.UUID) string {
	t.Helper()
	var text string
	if err := b.Admin(t).QueryRow(context.Background(),
		`SELECT coalesce((SELECT role || ' ' || state || ' ' || joined_via FROM members WHERE workspace_id = $1 AND user_id = $2), 'none')`,
		ws, user).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func (b *bench) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := b.Admin(t).QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// audited returns how often an action was recorded in the workspace.
func (b *bench) audited(t *testing.T, ws uuid.UUID, action string) int {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM audit.event WHERE workspace_id = $1 AND action = $2`, ws, action)
}

// code returns the code of the first problem of an error.
func code(err error) string {
	e := fault.Find(err)
	switch {
	case err == nil:
		return ""
	case e == nil:
		return "internal: " + err.Error()
	case len(e.Details) > 0:
		return e.Details[0].Field + " " + e.Details[0].Code
	default:
		return e.Code
	}
}

func roleOf(r access.Role) *access.Role { return &r }
func stateOf(s State) *State            { return &s }
