package certificates

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func TestAnotherWorkspaceSeesAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	sc, err := w.RequestScan(t.Context(), w.member, h.ID)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	strangers := w.d.Workspace(t, "strangers")
	eve := w.d.Member(t, strangers, "Eve Adler", "owner")
	ids := []uuid.UUID{h.ID}
	yes := true
	for name, try := range map[string]func() error{
		"read":   func() error { _, err := w.Host(ctx, eve, h.ID); return err },
		"edit":   func() error { _, err := w.UpdateHost(ctx, eve, h.ID, HostEdit{Paused: &yes}); return err },
		"scan":   func() error { _, err := w.RequestScan(ctx, eve, h.ID); return err },
		"remove": func() error { _, err := w.RemoveHosts(ctx, eve, ids); return err },
		"follow": func() error { _, err := w.ScanByID(ctx, eve, sc.ID); return err },
	} {
		if err := try(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
	for name, try := range map[string]func() (int, error){
		"bulk edit": func() (int, error) { return w.EditHosts(ctx, eve, ids, HostEdit{Paused: &yes}, nil) },
		"bulk scan": func() (int, error) { return w.RequestScans(ctx, eve, ids) },
	} {
		if n, err := try(); n != 0 || err != nil {
			t.Errorf("%s reached %d hosts, %v", name, n, err)
		}
	}
	err = w.d.InWorkspace(ctx, eve, func(tx *db.Tx) error {
		for _, table := range w.Module().Tables {
			var n int
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("%d rows of %s are visible", n, table)
			}
		}
		x := search.NewIndex(w.Module().Search, w.Module().Refs)
		hits, err := x.Find(ctx, tx, w.policy, "shop", 10)
		if err != nil || len(hits) != 0 {
			t.Errorf("search finds %v, %v", hits, err)
		}
		refs, err := x.Resolve(ctx, tx, []search.Key{{Type: "host", ID: h.ID}, {Type: "certificate", ID: h.CertificateID.UUID}})
		if err != nil || len(refs) != 0 {
			t.Errorf("references resolve to %v, %v", refs, err)
		}
		given, err := w.Hosts(ctx, tx, ids)
		if err != nil || len(given) != 0 {
			t.Errorf("other modules get %v, %v", given, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The same endpoint may be watched by both; neither hears of the other.
	if _, _, err := w.AddHost(ctx, eve, NewHost{Hostname: "shop.test", Port: int(h.Port)}); err != nil {
		t.Errorf("an endpoint of another workspace is taken: %v", err)
	}
}

func TestSnapshotsCannotBeChangedByTheProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	for _, role := range []string{"vigilo_app", "vigilo_system"} {
		for _, sql := range []string{`UPDATE tls_snapshots SET facts = '{}'`, `DELETE FROM tls_snapshots`, `TRUNCATE tls_snapshots`} {
			if role == "vigilo_system" && strings.HasPrefix(sql, "DELETE") {
				continue // the daily sweep
			}
			err := w.as(role, sql)
			if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
				t.Errorf("%s as %s: %v, want permission denied", sql, role, err)
			}
		}
	}
}

func TestSchedulerSeesNothingButTheSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	for _, table := range w.Module().Tables {
		err := w.as("vigilo_system", `SELECT * FROM `+table)
		switch table {
		case "host_schedule", "scan_cursors":
			if err != nil {
				t.Errorf("%s: %v", table, err)
			}
		default:
			if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
				t.Errorf("%s: %v, want permission denied", table, err)
			}
		}
	}
}

// as runs one statement as a role, in a workspace where the role has one.
func (w *world) as(role, sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, w.d.URL(role))
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `SELECT set_config('app.workspace_id', $1, false)`, w.ws.String()); err != nil {
		w.t.Fatal(err)
	}
	_, err = conn.Exec(ctx, sql)
	return err
}

func TestChangeWithoutAuditEntryIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "shop.test"})
	if err != nil {
		t.Fatal(err)
	}
	err = w.d.InWorkspace(t.Context(), w.member, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE monitored_hosts SET state = 'paused' WHERE id = $1`, h.ID)
		return err
	})
	if !db.Violated(err, "audit_required") {
		t.Errorf("got %v", err)
	}
}

func TestViewerMayReadAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "shop.test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, yes := t.Context(), true
	if _, err := w.Host(ctx, w.viewer, h.ID); err != nil {
		t.Errorf("read: %v", err)
	}
	for name, try := range map[string]func() error{
		"add":    func() error { _, _, err := w.AddHost(ctx, w.viewer, NewHost{Hostname: "x.test"}); return err },
		"import": func() error { _, err := w.ImportHosts(ctx, w.viewer, Import{Text: "x.test"}); return err },
		"edit":   func() error { _, err := w.UpdateHost(ctx, w.viewer, h.ID, HostEdit{Paused: &yes}); return err },
		"bulk": func() error {
			_, err := w.EditHosts(ctx, w.viewer, []uuid.UUID{h.ID}, HostEdit{Paused: &yes}, nil)
			return err
		},
		"scan":   func() error { _, err := w.RequestScan(ctx, w.viewer, h.ID); return err },
		"scans":  func() error { _, err := w.RequestScans(ctx, w.viewer, []uuid.UUID{h.ID}); return err },
		"remove": func() error { _, err := w.RemoveHosts(ctx, w.viewer, []uuid.UUID{h.ID}); return err },
		"upload": func() error { _, err := w.UploadCertificates(ctx, w.viewer, w.ca.root.PEM()); return err },
	} {
		if err := try(); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v, want denied", name, err)
		}
	}
}

func TestOtherModulesReadWhatTheyWerePromised(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	soon := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "soon.test", 5*day)), "soon.test", func(n *NewHost) { n.Tags = []string{"prod"} }))
	late := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "late.test", 80*day)), "late.test"))
	fresh, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "fresh.test"})
	if err != nil {
		t.Fatal(err)
	}
	err = w.d.InWorkspace(t.Context(), w.member, func(tx *db.Tx) error {
		ctx := t.Context()
		got, err := w.HostsByExpiry(ctx, tx, time.Now().Add(30*day), uuid.Nil, 10)
		if err != nil || len(got) != 1 || got[0].HostID != soon.ID || got[0].Title != soon.Title() || got[0].Path != "/certificates/"+soon.ID.String() ||
			got[0].Status != "critical" || got[0].Tags[0] != "prod" || !got[0].SnapshotID.Valid || !got[0].NotAfter.Equal(soon.NotAfter) {
			t.Errorf("by expiry: %+v, %v", got, err)
		}
		all, err := w.HostsByExpiry(ctx, tx, time.Now().Add(365*day), soon.ID, 10)
		if err != nil || len(all) != 1 || all[0].HostID != late.ID {
			t.Errorf("after the first: %+v, %v", all, err)
		}
		some, err := w.Hosts(ctx, tx, []uuid.UUID{late.ID, fresh.ID, uuid.New()})
		if err != nil || len(some) != 2 {
			t.Errorf("by id: %+v, %v", some, err)
		}
		facts, ok, err := w.HostFacts(ctx, tx, soon.ID)
		if err != nil || !ok || facts.Fingerprint == "" {
			t.Errorf("facts: %+v, %t, %v", facts, ok, err)
		}
		if _, ok, err := w.HostFacts(ctx, tx, fresh.ID); ok || err != nil {
			t.Errorf("facts of a host without any: %t, %v", ok, err)
		}
		if has, err := w.HasHost(ctx, tx); !has || err != nil {
			t.Errorf("has a host: %t, %v", has, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var home func() []HomeItem
	if err := w.d.ReadBatch(t.Context(), w.viewer, func(b *db.Batch) { home = w.QueueHome(b, 5) }); err != nil {
		t.Fatal(err)
	}
	if items := home(); len(items) != 1 || items[0].Title != soon.Title() || items[0].Tone != "is-crit" {
		t.Errorf("home: %+v", items)
	}
}
