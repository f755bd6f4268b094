package freezes

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

var noon = time.Date(2026, time.November, 11, 12, 0, 0, 0, time.UTC)

// changes stands for the module of changes: it keeps them in memory, and holds as the real
// one must, by cause.
type changeBook struct {
	mu    sync.Mutex
	list  []*testChange
	holds map[uuid.UUID]map[uuid.UUID]bool // change → freezes that hold it
	told  []string
	valid map[uuid.UUID]bool // what OverrideChanged said last, by change
}

type testChange struct {
	OverrideSubject
	state string
}

func (b *changeBook) find(id uuid.UUID) *testChange {
	for _, c := range b.list {
		if c.ChangeID == id {
			return c
		}
	}
	return nil
}

func (b *changeBook) Inside(_ context.Context, _ *db.Tx, match func(Target) bool, spans []Interval) ([]Affected, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Affected
	for _, c := range b.list {
		window := Interval{Start: c.Start, End: c.End}
		if !match(c.Target) || !slices.ContainsFunc(spans, window.Overlaps) {
			continue
		}
		out = append(out, Affected{
			ChangeID: c.ChangeID, Key: c.Key, Title: c.Title, Path: c.Path, State: c.state, Start: c.Start, End: c.End, Hold: c.state == "Scheduled",
		})
	}
	slices.SortFunc(out, func(a, b Affected) int { return a.Start.Compare(b.Start) })
	return out, nil
}

func (b *changeBook) Held(_ context.Context, _ *db.Tx, f Freeze, affected []Affected) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range affected {
		if b.holds[a.ChangeID] == nil {
			b.holds[a.ChangeID] = map[uuid.UUID]bool{}
		}
		if !b.holds[a.ChangeID][f.ID] {
			b.holds[a.ChangeID][f.ID] = true
			b.told = append(b.told, a.Key+" is held by "+f.Name)
		}
	}
	return nil
}

func (b *changeBook) Released(_ context.Context, _ *db.Tx, freeze uuid.UUID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, by := range b.holds {
		delete(by, freeze)
	}
	return nil
}

func (b *changeBook) Subject(_ context.Context, _ *db.Tx, id uuid.UUID) (OverrideSubject, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.find(id); c != nil {
		return c.OverrideSubject, nil
	}
	return OverrideSubject{}, fault.NewNotFound("change")
}

func (b *changeBook) ChangeByKey(_ context.Context, _ *db.Tx, key string) (uuid.UUID, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.list {
		if c.Key == key {
			return c.ChangeID, true, nil
		}
	}
	return uuid.Nil, false, nil
}

func (b *changeBook) OverrideChanged(_ context.Context, _ *db.Tx, _, change uuid.UUID, valid bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.valid[change] = valid
	return nil
}

func (b *changeBook) held(c *testChange, f Freeze) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.holds[c.ChangeID][f.ID]
}

// inbox keeps what people are told.
type inbox struct {
	mu      sync.Mutex
	notices []Notice
}

func (n *inbox) Notify(_ context.Context, _ *db.Tx, notice Notice) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notices = append(n.notices, notice)
	return nil
}

// world is a database with a workspace, its people, and the service under test.
type world struct {
	*Service
	t                                       testing.TB
	d                                       *dbtest.DB
	clk                                     *clock.Fixed
	ws, other                               uuid.UUID
	viewer, member, approver, second, admin db.Actor
	stranger                                db.Actor
	assetsSvc                               *assets.Service
	book                                    *changeBook
	inbox                                   *inbox
	policy                                  *access.Policy
	certs                                   []PreviewItem
}

func newWorld(t testing.TB) *world {
	t.Helper()
	clk := clock.NewFixed(noon)
	d := dbtest.NewAt(t, clk)
	w := &world{
		t: t, d: d, clk: clk, ws: d.Workspace(t, "acme"), other: d.Workspace(t, "globex"), inbox: &inbox{},
		book: &changeBook{holds: map[uuid.UUID]map[uuid.UUID]bool{}, valid: map[uuid.UUID]bool{}},
	}
	w.viewer, w.member = d.Member(t, w.ws, "Vera Olsen", "viewer"), d.Member(t, w.ws, "Mara Lind", "member")
	w.approver, w.second = d.Member(t, w.ws, "Aiko Sato", "approver"), d.Member(t, w.ws, "Piet Vos", "approver")
	w.admin = d.Member(t, w.ws, "Tomas Ferreira", "admin")
	w.stranger = d.Member(t, w.other, "Gina Rossi", "owner")
	jobs, err := job.New(d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.policy, err = access.NewPolicy(access.Grant{Permission: web.LivePermission, Label: "Read", Min: access.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	w.assetsSvc = assets.New(assets.Deps{DB: d.DB, Policy: w.policy, Clock: clk, Log: slog.New(slog.DiscardHandler)})
	catalogue, err := event.NewCatalogue(append(eventTypes(), w.assetsSvc.Module().Events...)...)
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(catalogue, jobs, dbtest.Keyring(t))
	w.assetsSvc = assets.New(assets.Deps{DB: d.DB, Ledger: l, Policy: w.policy, Clock: clk, Log: slog.New(slog.DiscardHandler)})
	reader := activity.New(l)
	w.Service = New(Deps{
		DB: d.DB, Ledger: l, Jobs: jobs, Policy: w.policy, Clock: clk, Log: slog.New(slog.DiscardHandler), Assets: w.assetsSvc, Notifier: w.inbox,
		People: func(ctx context.Context, tx *db.Tx) ([]Person, error) {
			rows, err := tx.Query(ctx, `SELECT m.user_id, u.name, u.email, m.role FROM members m JOIN users u ON u.id = m.user_id ORDER BY u.name`)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
		},
		Certificates: func(_ context.Context, _ *db.Tx, from, to time.Time) ([]PreviewItem, error) {
			return slices.DeleteFunc(slices.Clone(w.certs), func(i PreviewItem) bool { return i.At.Before(from) || !i.At.Before(to) }), nil
		},
		Activity: func(b *db.Batch, kind string, id uuid.UUID, limit int) func(*time.Location, time.Time) ([]ui.Entry, error) {
			pending := reader.Queue(b, kind, id, limit)
			return func(zone *time.Location, now time.Time) ([]ui.Entry, error) {
				entries, err := pending.Entries()
				return activity.Timeline(entries, zone, now), err
			}
		},
	})
	w.Listen(w.book)
	if err := w.policy.Add(append(w.Module().Permissions, w.assetsSvc.Module().Permissions...)...); err != nil {
		t.Fatal(err)
	}
	return w
}

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02T15:04Z", text)
	if err != nil {
		panic(err)
	}
	return t
}

func ptr[T any](v T) *T { return &v }

// span is a one-off hard freeze of everything.
func span(from, to string) Freeze {
	return Freeze{Name: "Year-end freeze", Kind: Hard, Reason: "The shop earns most now.", Schedule: Schedule{
		Zone: "Europe/Berlin", StartsAt: ptr(at(from)), EndsAt: ptr(at(to)),
	}}
}

// weekly is a window from 22:00 to 02:00 in Berlin on the days of a rule.
func weekly(kind Kind, rule string) Freeze {
	return Freeze{Name: "Weekly", Kind: kind, Reason: "Quiet hours.", Schedule: Schedule{
		Recurring: true, Zone: "Europe/Berlin", FirstDate: "2026-11-01", LocalStart: "22:00", LocalEnd: "02:00", EndDays: 1, RRule: rule,
	}}
}

// active creates a freeze and puts it in force.
func (w *world) active(f Freeze) Freeze {
	w.t.Helper()
	f.State = Active
	out, err := w.CreateFreeze(w.t.Context(), w.admin, f)
	if err != nil {
		w.t.Fatalf("create %s: %v", f.Name, err)
	}
	return out
}

// change adds a scheduled change to the book. Its requester and owner is the member.
func (w *world) change(key, from, to string, edit ...func(*testChange)) *testChange {
	c := &testChange{state: "Scheduled", OverrideSubject: OverrideSubject{
		ChangeID: uuid.Must(uuid.NewV7()), Key: key, Title: "Renew the certificate", Path: "/changes/" + key, Revision: 1,
		Start: at(from), End: at(to), Target: Target{ChangeType: "normal", Risk: "medium"},
		Excluded: []Excluded{{UserID: w.admin.UserID, Why: "implementer"}},
	}}
	for _, e := range edit {
		e(c)
	}
	w.book.mu.Lock()
	w.book.list = append(w.book.list, c)
	w.book.mu.Unlock()
	return c
}

func (w *world) asset(name, kind string, tags ...string) assets.Asset {
	w.t.Helper()
	a, err := w.assetsSvc.AddAsset(w.t.Context(), w.admin, assets.NewAsset{Name: name, Type: kind, Tags: tags})
	if err != nil {
		w.t.Fatalf("add %s: %v", name, err)
	}
	return a
}

// in runs something in a transaction of the workspace.
func (w *world) in(a db.Actor, fn func(ctx context.Context, tx *db.Tx) error) {
	w.t.Helper()
	if err := w.d.InWorkspace(w.t.Context(), a, func(tx *db.Tx) error { return fn(w.t.Context(), tx) }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) check(t Target, from, to string) []Hit {
	w.t.Helper()
	var out []Hit
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error {
		var err error
		out, err = w.Check(ctx, tx, t, at(from), at(to))
		return err
	})
	return out
}

// events counts events of a name, audited those of the audit log.
func (w *world) events(name string) int {
	return w.count(`SELECT count(*) FROM events WHERE name = $1`, name)
}

func (w *world) audited(name string) int {
	return w.count(`SELECT count(*) FROM audit.event WHERE action = $1`, name)
}

func (w *world) count(sql string, args ...any) int {
	w.t.Helper()
	var n int
	if err := w.d.Admin(w.t).QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// refused checks that err is of a kind and has a code, or names a field.
func refused(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	e := fault.Find(err)
	if e == nil || e.Kind != kind {
		t.Errorf("%v, want kind %d with %s", err, kind, code)
		return
	}
	if e.Code != code && !slices.ContainsFunc(e.Details, func(d fault.Detail) bool { return d.Code == code || d.Field == code }) {
		t.Errorf("%v (%s %v), want %s", err, e.Code, e.Details, code)
	}
}
