package assets

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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

// world is a database with a workspace, its people, and the service under test.
type world struct {
	*Service
	t                     testing.TB
	d                     *dbtest.DB
	ws                    uuid.UUID
	viewer, member, admin db.Actor
	stranger              db.Actor
}

func newWorld(t testing.TB) *world {
	t.Helper()
	d := dbtest.NewAt(t, clock.NewFixed(noon))
	w := &world{t: t, d: d, ws: d.Workspace(t, "acme")}
	w.viewer, w.member = d.Member(t, w.ws, "Vera Olsen", "viewer"), d.Member(t, w.ws, "Mara Lind", "member")
	w.admin = d.Member(t, w.ws, "Tomas Ferreira", "admin")
	w.stranger = d.Member(t, d.Workspace(t, "globex"), "Gina Rossi", "owner")
	jobs, err := job.New(d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(eventTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.NewPolicy(access.Grant{Permission: web.LivePermission, Label: "Read", Min: access.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(catalogue, jobs, dbtest.Keyring(t))
	reader := activity.New(l)
	w.Service = New(Deps{
		DB: d.DB, Ledger: l, Policy: policy, Clock: d.Clock, Log: slog.New(slog.DiscardHandler),
		People: func(ctx context.Context, tx *db.Tx) ([]Person, error) {
			rows, err := tx.Query(ctx, `SELECT m.user_id, m.id, u.name, u.email FROM members m JOIN users u ON u.id = m.user_id ORDER BY u.name`)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
		},
		Activity: func(b *db.Batch, kind string, id uuid.UUID, limit int) func(*time.Location, time.Time) ([]ui.Entry, error) {
			pending := reader.Queue(b, kind, id, limit)
			return func(zone *time.Location, now time.Time) ([]ui.Entry, error) {
				entries, err := pending.Entries()
				return activity.Timeline(entries, zone, now), err
			}
		},
	})
	if err := policy.Add(w.Module().Permissions...); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) add(name string, change ...func(*NewAsset)) Asset {
	w.t.Helper()
	in := NewAsset{Name: name, Type: "server"}
	for _, c := range change {
		c(&in)
	}
	a, err := w.AddAsset(w.t.Context(), w.member, in)
	if err != nil {
		w.t.Fatalf("add %s: %v", name, err)
	}
	return a
}

func kind(k string) func(*NewAsset) { return func(n *NewAsset) { n.Type = k } }

// relate says that from depends on to.
func (w *world) relate(from, to Asset, change ...func(*NewRelationship)) Relationship {
	w.t.Helper()
	in := NewRelationship{From: from.ID, To: to.ID}
	for _, c := range change {
		c(&in)
	}
	r, err := w.Relate(w.t.Context(), w.member, in)
	if err != nil {
		w.t.Fatalf("relate %s to %s: %v", from.Name, to.Name, err)
	}
	return r
}

// in runs something in a transaction of the workspace.
func (w *world) in(fn func(ctx context.Context, tx *db.Tx) error) {
	w.t.Helper()
	ctx := w.t.Context()
	if err := w.d.InWorkspace(ctx, w.member, func(tx *db.Tx) error { return fn(ctx, tx) }); err != nil {
		w.t.Fatal(err)
	}
}

// actions returns the names of the audit log about a thing, oldest first.
func (w *world) actions(id uuid.UUID) []string {
	w.t.Helper()
	rows, err := w.d.Admin(w.t).Query(w.t.Context(), `SELECT action FROM audit.event WHERE target_id = $1 ORDER BY recorded_at, event_id`, id)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// refused checks the kind and code of an error; for errors of fields, field and code.
func refused(t testing.TB, err error, k fault.Kind, code string) {
	t.Helper()
	e := fault.Find(err)
	if e == nil || e.Kind != k {
		t.Errorf("%v, want kind %d with %s", err, k, code)
		return
	}
	if e.Code == code {
		return
	}
	for _, d := range e.Details {
		if d.Code == code || d.Field+" "+d.Code == code {
			return
		}
	}
	t.Errorf("%v with code %s and details %v, want %s", err, e.Code, e.Details, code)
}
