package changes

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/internal/tasks"
)

// monday is the time of tests.
var monday = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// outbox keeps what people were told.
type outbox struct {
	mu   sync.Mutex
	list []Notice
}

func (o *outbox) notify(_ context.Context, _ *db.Tx, n Notice) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, n)
	return nil
}

// told returns the titles that a person was told.
func (o *outbox) told(user uuid.UUID) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, n := range o.list {
		if slices.Contains(n.Recipients, user) {
			out = append(out, n.Title)
		}
	}
	return out
}

// silent tells nobody, for the modules below.
type silent struct{}

func (silent) Notify(context.Context, *db.Tx, approvals.Notice) error { return nil }

// world is a workspace with its people and every module that changes stand on.
type world struct {
	*Service
	t       testing.TB
	d       *dbtest.DB
	clk     *clock.Fixed
	out     *outbox
	ws      uuid.UUID
	mara    db.Actor // member, who files changes
	tomas   db.Actor // member, who carries them out
	aiko    db.Actor // approver
	ben     db.Actor // approver
	admin   db.Actor
	viewer  db.Actor
	other   db.Actor // owner of another workspace
	shop    assets.Asset
	edge    assets.Asset
	modules []module.Module
}

func newWorld(t testing.TB) *world {
	t.Helper()
	clk := clock.NewFixed(monday)
	d := dbtest.NewAt(t, clk)
	w := &world{t: t, d: d, clk: clk, out: &outbox{}}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	jobs, err := job.New(d.DB, log)
	w.must(err)
	policy, err := access.NewPolicy()
	w.must(err)
	catalogue, err := event.NewCatalogue()
	w.must(err)
	book := ledger.New(catalogue, jobs, dbtest.Keyring(t))
	index := search.NewIndex(nil, nil)
	people := func(ctx context.Context, tx *db.Tx) ([]Person, error) {
		rows, err := tx.Query(ctx, `SELECT m.user_id, m.id, u.name, u.email FROM members m JOIN users u ON u.id = m.user_id
			WHERE m.state = 'active' ORDER BY u.name`)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
	}
	as := assets.New(assets.Deps{DB: d.DB, Ledger: book, Policy: policy, Clock: clk, Log: log})
	ts := tasks.New(tasks.Deps{DB: d.DB, Ledger: book, Policy: policy, Clock: clk, Log: log})
	aps := approvals.New(approvals.Deps{DB: d.DB, Ledger: book, Jobs: jobs, Policy: policy, Clock: clk, Log: log, Notifier: silent{}})
	fs := freezes.New(freezes.Deps{
		DB: d.DB, Ledger: book, Jobs: jobs, Policy: policy, Clock: clk, Log: log, Assets: as,
		People: func(ctx context.Context, tx *db.Tx) ([]freezes.Person, error) {
			list, err := people(ctx, tx)
			out := make([]freezes.Person, len(list))
			for i, p := range list {
				out[i] = freezes.Person{UserID: p.UserID, Name: p.Name, Email: p.Email, Role: access.Approver}
			}
			return out, err
		},
	})
	w.Service = New(Deps{
		DB: d.DB, Ledger: book, Jobs: jobs, Policy: policy, Clock: clk, Log: log, Approvals: aps, Assets: as, Freezes: fs, Tasks: ts, Index: index,
		People: people, Notify: w.out.notify,
	})
	w.modules = []module.Module{as.Module(), ts.Module(), aps.Module(), fs.Module(), w.Module()}
	for _, m := range w.modules {
		w.must(policy.Add(m.Permissions...))
		w.must(catalogue.Add(m.Events...))
		index.Add(m.Search, m.Refs)
	}
	w.must(policy.Add(access.Grant{Permission: web.LivePermission, Label: "Read", Min: access.Viewer}))
	w.ws = d.Workspace(t, "acme")
	w.mara, w.tomas = w.person("Mara Lind", "member"), w.person("Tomas Ferreira", "member")
	w.aiko, w.ben = w.person("Aiko Tanaka", "approver"), w.person("Ben Okafor", "approver")
	w.admin, w.viewer = w.person("Priya Nair", "admin"), w.person("Vera Holm", "viewer")
	w.other = d.Member(t, d.Workspace(t, "globex"), "Gina Rossi", "owner")
	w.in(w.admin, func(tx *db.Tx) error { return aps.SeedDefaults(w.ctx(), tx) })
	w.shop = w.asset("shop", "service", "Aiko Tanaka")
	w.edge = w.asset("edge-oslo", "server", "")
	return w
}

func (w *world) ctx() context.Context { return context.Background() }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) person(name, role string) db.Actor {
	w.t.Helper()
	a := w.d.Member(w.t, w.ws, name, role)
	a.SessionID, a.SignedInAt = uuid.Must(uuid.NewV7()), w.clk.Now()
	return a
}

func (w *world) asset(name, kind, _ string) assets.Asset {
	w.t.Helper()
	a, err := w.assets.AddAsset(w.ctx(), w.admin, assets.NewAsset{Name: name, Type: kind, Environment: "prod", Criticality: "high"})
	w.must(err)
	return a
}

func (w *world) in(a db.Actor, fn func(tx *db.Tx) error) {
	w.t.Helper()
	w.must(w.d.InWorkspace(w.ctx(), a, fn))
}

func ptr[T any](v T) *T { return &v }

// edit is a change that can be submitted: low risk, in two days, carried out by tomas.
func (w *world) newEdit(change ...func(*Edit)) Edit {
	start := w.clk.Now().Add(2 * day)
	end := start.Add(time.Hour)
	e := Edit{
		Title: ptr("Renew the certificate on shop"), Category: ptr("security"), Environment: ptr("production"), Start: &start, End: &end,
		ImplementationPlan: ptr("1. Issue.\n2. Reload."), BackoutPlan: ptr("Reload the old one."), Implementers: &[]string{w.tomas.Email},
		Assets: &[]string{w.edge.ID.String()}, Tags: &[]string{"TLS", "shop"},
	}
	for _, c := range change {
		c(&e)
	}
	return e
}

func (w *world) file(change ...func(*Edit)) Change {
	w.t.Helper()
	c, err := w.Create(w.ctx(), w.mara, w.newEdit(change...))
	w.must(err)
	return c
}

func (w *world) move(a db.Actor, c Change, action lifecycle.Action, change ...func(*Act)) Change {
	w.t.Helper()
	out, err := w.try(a, c, action, change...)
	if err != nil {
		w.t.Fatalf("%s of %s: %v", action, c.Key, err)
	}
	return out
}

func (w *world) try(a db.Actor, c Change, action lifecycle.Action, change ...func(*Act)) (Change, error) {
	act := Act{Action: action, Reason: "because it is needed now", Version: &c.Version}
	if action == lifecycle.Submit || action == lifecycle.Complete {
		act.Reason = ""
	}
	if action == lifecycle.Complete {
		act.Outcome = Successful
	}
	for _, fn := range change {
		fn(&act)
	}
	return w.Move(w.ctx(), a, c.Key, act)
}

// decide fills the first open seat that the actor may fill.
func (w *world) decide(a db.Actor, c Change, v approvals.Verdict) error {
	w.t.Helper()
	return w.decideSubject(a, SubjectChange, c.ID, c.Revision, v)
}

func (w *world) decideSubject(a db.Actor, kind string, id uuid.UUID, revision int64, v approvals.Verdict) error {
	w.t.Helper()
	var st approvals.Status
	w.in(a, func(tx *db.Tx) error {
		var err error
		st, err = w.approvals.Status(w.ctx(), tx, kind, id)
		return err
	})
	last := errors.New("no seat is open")
	for _, stage := range st.Stages {
		for _, b := range stage.Blocks {
			for _, seat := range b.Seats {
				if stage.State != approvals.StageOpen || seat.Status != approvals.SeatOpen {
					continue
				}
				comment := ""
				if v != approvals.Approve {
					comment = "No way back is described."
				}
				if _, last = w.approvals.Decide(w.ctx(), a, seat.ID, approvals.Decision{Verdict: v, Revision: revision, Comment: comment}); last == nil {
					return nil
				}
			}
		}
	}
	return last
}

func (w *world) read(c Change) Change {
	w.t.Helper()
	out, err := w.Change(w.ctx(), w.mara, c.Key)
	w.must(err)
	return out
}

// approved files, submits and approves a change.
func (w *world) approved(change ...func(*Edit)) Change {
	w.t.Helper()
	c := w.move(w.mara, w.file(change...), lifecycle.Submit)
	w.must(w.decide(w.aiko, c, approvals.Approve))
	return w.read(c)
}

func (w *world) scheduled(change ...func(*Edit)) Change {
	w.t.Helper()
	return w.move(w.mara, w.approved(change...), lifecycle.Schedule)
}

// running is a change that tomas has started inside its window.
func (w *world) running(change ...func(*Edit)) Change {
	w.t.Helper()
	c := w.scheduled(change...)
	w.clk.Advance(c.Start.Sub(w.clk.Now()))
	return w.move(w.tomas, c, lifecycle.Start)
}

func (w *world) count(sql string, args ...any) int {
	w.t.Helper()
	var n int
	w.must(w.d.Admin(w.t).QueryRow(w.ctx(), sql, args...).Scan(&n))
	return n
}

func (w *world) audited(c Change, action string) int {
	return w.count(`SELECT count(*) FROM audit.event WHERE target_id = $1 AND action = $2`, c.ID, action)
}

// refused checks that an error is of a kind and names all codes, in order.
func refused(t testing.TB, err error, kind fault.Kind, codes ...string) {
	t.Helper()
	e := fault.Find(err)
	if e == nil || e.Kind != kind {
		t.Fatalf("%v, want kind %d", err, kind)
	}
	var got []string
	for _, d := range e.Details {
		if !slices.Contains(got, d.Code) {
			got = append(got, d.Code)
		}
	}
	if len(e.Details) == 0 {
		got = []string{e.Code}
	}
	if !slices.Equal(got, codes) {
		t.Fatalf("codes %v, want %v (%v)", got, codes, err)
	}
}

func file(text string) *bytes.Reader { return bytes.NewReader([]byte(text)) }
