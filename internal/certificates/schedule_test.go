package certificates

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

func TestPhaseFollowsFromTheIdAlone(t *testing.T) {
	t.Parallel()
	// Vectors of reliability.md 4.9.
	for id, want := range map[string]time.Duration{"mon_1": 45, "mon_2": 12, "mon_42": 36} {
		if got := Phase(id, time.Minute); got != want*time.Second {
			t.Errorf("phase of %s is %s, want %d s", id, got, want)
		}
	}
}

func TestEdgesAreThoseOfTheThresholds(t *testing.T) {
	t.Parallel()
	// The 45-day vector of reliability.md 3.3.
	nb, na := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 15, 23, 59, 59, 0, time.UTC)
	for _, c := range []struct{ now, want time.Time }{
		{nb.Add(-time.Hour), nb},
		{nb, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 9, 0, 0, 0, 0, time.UTC)},
		{time.Date(2026, 12, 9, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 16, 0, 0, 0, 0, time.UTC)},
	} {
		if got, ok := edgeAfter(nb, na, x509lint.ExpiryPolicy{}, c.now); !ok || !got.Equal(c.want) {
			t.Errorf("after %s comes %s (%t), want %s", c.now, got, ok, c.want)
		}
	}
	if at, ok := edgeAfter(nb, na, x509lint.ExpiryPolicy{}, na.Add(time.Second)); ok {
		t.Errorf("an expired certificate changes once more at %s", at)
	}
}

// due makes n hosts of a workspace with an interval of an hour, without names that resolve.
// Their slots lie at since and in the seconds after it, twenty in each.
func (w *world) due(ws uuid.UUID, n int, since time.Time) []uuid.UUID {
	w.t.Helper()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	tx, err := w.d.Admin(w.t).Begin(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, sql := range []string{
		`SET LOCAL session_replication_role = replica`, // a fixture is no state change
		`INSERT INTO monitored_hosts (workspace_id, id, hostname, display_name, port, scan_interval, state, created_at, updated_at)
			SELECT '` + ws.String() + `', id, 'h' || n || '.test', 'h', 443, '1h', 'active', now(), now() FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, n)`,
		`INSERT INTO host_tokens (workspace_id, host_id, origin, token)
			SELECT '` + ws.String() + `', id, 'host', 'h' || n || '.test' FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, n)`,
		fmt.Sprintf(`INSERT INTO host_schedule (workspace_id, host_id, interval_s, phase_s)
			SELECT '%s', id, 3600, (%d + n / 20) %% 3600 FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, n)`, ws, since.Unix()),
	} {
		args := []any{ids}
		if sql[:3] == "SET" {
			args = nil
		}
		if _, err := tx.Exec(w.t.Context(), sql, args...); err != nil {
			w.t.Fatal(err)
		}
	}
	for interval, taken := range map[int32]int64{0: 0, 3600: since.Unix() - 1} {
		_, err := tx.Exec(w.t.Context(), `INSERT INTO scan_cursors (workspace_id, interval_s, taken_s, taken_host, next_at) VALUES ($1, $2, $3, $4, $5)`,
			ws, interval, taken, lastHost, since)
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if err := tx.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// ask makes a host due beside its slots.
func (w *world) ask(id uuid.UUID, at time.Time) {
	w.t.Helper()
	w.exec(`UPDATE host_schedule SET next_at = $2 WHERE host_id = $1`, id, at)
	w.exec(`UPDATE scan_cursors SET next_at = least(next_at, $1) WHERE interval_s = 0`, at)
}

func (w *world) claims(limit int) []claim { return w.claimsIn(limit, 500, nil) }

func (w *world) claimsIn(limit, share int, rooms map[uuid.UUID]int) []claim {
	w.t.Helper()
	var out []claim
	err := w.d.System(w.t.Context(), func(tx *db.SystemTx) error {
		var err error
		out, err = claimDueHosts(w.t.Context(), tx, limit, share, rooms, tx.Now.Add(leaseTime))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestSlotsKeepTheirPhaseAndWhatWasMissedIsSkipped(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	// The phases pass the end of the interval at noon: from 11:59:57 to 12:00:02.
	ids := w.due(w.ws, 100, noon.Add(-5*time.Hour-3*time.Second))
	want := map[uuid.UUID]time.Duration{}
	for i, id := range ids {
		want[id] = time.Duration((i+1)/20-3) * time.Second
	}
	clk.Advance(10 * time.Second)
	for round := range 30 {
		got := w.claims(500)
		if len(got) != len(ids) {
			t.Fatalf("round %d: %d claimed, want each of %d once", round, len(got), len(ids))
		}
		hour := noon.Add(time.Duration(round) * time.Hour)
		for _, c := range got {
			if c.Slot.Sub(hour) != want[c.HostID] || c.IntervalS != 3600 {
				t.Fatalf("round %d: slot %s of %d s, want %s after the hour", round, c.Slot, c.IntervalS, want[c.HostID])
			}
		}
		if again := w.claims(500); len(again) != 0 {
			t.Fatalf("round %d: %d claimed twice for one slot", round, len(again))
		}
		clk.Advance(time.Hour)
	}
}

func TestSlotsAreHandedOutInPartsAndEachOnce(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon.Add(10 * time.Second))
	w := newWorld(t, clk)
	w.due(w.ws, 100, noon.Add(-3*time.Second))
	taken := map[uuid.UUID]bool{}
	last := time.Time{}
	for range 100 {
		got := w.claims(7)
		for _, c := range got {
			if taken[c.HostID] {
				t.Fatal("a host was taken twice for one slot")
			}
			taken[c.HostID] = true
		}
		for _, c := range got {
			if c.Slot.Before(last) {
				t.Fatalf("a slot of %s came after one of %s", c.Slot, last)
			}
		}
		for _, c := range got {
			if c.Slot.After(last) {
				last = c.Slot
			}
		}
		// A host whose slot passes while the rest waits comes in its turn.
		clk.Advance(20 * time.Millisecond)
	}
	if len(taken) != 100 {
		t.Errorf("%d of 100 were taken", len(taken))
	}
}

func TestNewHostWaitsForItsNextSlot(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	w.due(w.ws, 10, noon.Add(-time.Hour)) // a cursor that lags by an hour
	h, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "new.test", Interval: "1h"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range w.claims(500) {
		if c.HostID == h.ID {
			t.Fatalf("claimed for %s, before it was added", c.Slot)
		}
	}
	phase := Phase(h.ID.String(), time.Hour)
	clk.Advance(time.Hour - time.Second)
	for _, c := range w.claims(500) {
		if c.HostID == h.ID && c.Slot.Sub(noon) == phase {
			return
		}
	}
	if phase != 0 {
		t.Errorf("not claimed in the slot at %s after noon", phase)
	}
}

func TestLeasedHostIsLeftAloneUntilTheLeaseEnds(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	ids := w.due(w.ws, 1, noon.Add(30*time.Second))
	w.ask(ids[0], noon.Add(-time.Minute))
	if got := w.claims(10); len(got) != 1 || got[0].IntervalS != 0 {
		t.Fatalf("claimed %v, want the scan beside the slots", got)
	}
	// Due again while somebody is still at it, in its slot and beside it.
	w.ask(ids[0], noon)
	clk.Advance(time.Minute)
	if n := len(w.claims(10)); n != 0 {
		t.Fatal("a leased host was claimed")
	}
	clk.Advance(leaseTime)
	if got := w.claims(10); len(got) != 1 || got[0].HostID != ids[0] {
		t.Fatalf("after the lease: %v", got)
	}
}

func TestEdgeComesBeforeTheSlot(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	ids := w.due(w.ws, 2, noon.Add(30*time.Minute))
	edge := noon.Add(5 * time.Second)
	for _, id := range ids {
		w.ask(id, noon.Add(-time.Second))
	}
	w.exec(`UPDATE host_schedule SET edge_at = $1`, edge)
	if n := len(w.claims(10)); n != 2 {
		t.Fatalf("%d claimed before the edge, want both", n)
	}
	w.exec(`UPDATE host_schedule SET lease_until = NULL`) // they are done
	clk.Advance(4 * time.Second)
	if n := len(w.claims(10)); n != 0 {
		t.Fatalf("%d claimed a second before the edge", n)
	}
	// Who looked a moment ago looks again within a minute.
	clk.Advance(time.Minute)
	got := w.claims(10)
	if len(got) != 2 || !got[0].Slot.Equal(edge) {
		t.Fatalf("claimed at the edge: %v", got)
	}
	w.exec(`UPDATE host_schedule SET lease_until = NULL`)
	if n := w.count(`SELECT count(*) FROM host_schedule WHERE next_at IS NOT NULL`); n != 0 {
		t.Error("an edge that has passed is still asked for")
	}
}

func TestRoomOfAWorkspaceIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.NewFixed(noon))
	other := w.d.Workspace(t, "other")
	w.due(w.ws, 40, noon.Add(-time.Minute))
	w.due(other, 40, noon.Add(-time.Minute))
	got := map[uuid.UUID]int{}
	for _, c := range w.claimsIn(500, 30, map[uuid.UUID]int{w.ws: 7}) {
		got[c.WorkspaceID]++
	}
	if got[w.ws] != 7 || got[other] != 30 {
		t.Errorf("took %d and %d, want 7 and 30", got[w.ws], got[other])
	}
	if n := len(w.claimsIn(500, 30, map[uuid.UUID]int{w.ws: 0, other: 0})); n != 0 {
		t.Errorf("%d claimed by workspaces without room", n)
	}
}

func TestBacklogOfOneWorkspaceDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.NewFixed(noon))
	other := w.d.Workspace(t, "other")
	w.due(w.ws, 300, noon.Add(-time.Hour))
	w.due(other, 5, noon.Add(-time.Second))
	got := map[uuid.UUID]int{}
	for _, c := range w.claims(20) {
		got[c.WorkspaceID]++
	}
	if got[other] != 5 || got[w.ws] != 15 {
		t.Errorf("took %d of the small and %d of the large workspace, want 5 and 15", got[other], got[w.ws])
	}
}

func TestTwoClaimersNeverTakeOneHostTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	const hosts, claimers = 600, 6
	w.due(w.ws, hosts, time.Now().Add(-time.Minute))
	var mu sync.Mutex
	taken := map[uuid.UUID]int{}
	var wg sync.WaitGroup
	for range claimers {
		wg.Go(func() {
			for {
				var got []claim
				err := w.d.System(t.Context(), func(tx *db.SystemTx) error {
					var err error
					got, err = claimDueHosts(t.Context(), tx, 25, 500, nil, tx.Now.Add(leaseTime))
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range got {
					taken[c.HostID]++
				}
				done := len(taken) >= hosts
				mu.Unlock()
				if done || t.Context().Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for id, n := range taken {
		if n > 1 {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
	if n := len(w.claims(1000)); n != 0 {
		t.Errorf("%d were handed out once more", n)
	}
}

// run starts the loop of a service and returns how to stop it.
func run(t *testing.T, s *Service) (stop func()) {
	t.Helper()
	s.scans.pause = 30 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func TestTwoProcessesScanEachHostOncePerSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	srv := w.serve(w.ca.leaf(time.Now(), "host.test", 80*day))
	const hosts = 40
	list := ""
	for i := range hosts {
		list += net.JoinHostPort(fmt.Sprintf("h%d.host.test", i), strconv.Itoa(srv.port)) + "\n"
	}
	if _, err := w.ImportHosts(t.Context(), w.member, Import{Text: list, Interval: "24h"}); err != nil {
		t.Fatal(err)
	}
	stop1, stop2 := run(t, w.Service), run(t, w.another(8))
	eventually(t, "every host is scanned", func() bool {
		return w.count(`SELECT count(*) FROM monitored_hosts WHERE last_scan_at IS NOT NULL`) == hosts
	})
	stop1()
	stop2()
	if n := w.count(`SELECT count(*) FROM scan_observations`); n != hosts {
		t.Errorf("%d scans of %d hosts for one slot", n, hosts)
	}
	if n := w.count(`SELECT count(*) FROM monitored_hosts WHERE status = 'name_mismatch'`); n != hosts {
		t.Errorf("%d of %d hosts have their status", n, hosts)
	}
	if n := w.count(`SELECT count(*) FROM tls_snapshots`); n != 1 {
		t.Errorf("%d snapshots of one certificate", n)
	}
}

func TestStoppedProcessGivesBackWhatItDidNotScan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	// A listener that accepts and stays silent keeps its scans running.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	list := ""
	for i := range 10 {
		list += net.JoinHostPort(fmt.Sprintf("h%d.test", i), strconv.Itoa(l.Addr().(*net.TCPAddr).Port)) + "\n"
	}
	if _, err := w.ImportHosts(t.Context(), w.member, Import{Text: list, Interval: "24h"}); err != nil {
		t.Fatal(err)
	}
	stop := run(t, w.Service)
	eventually(t, "all are claimed", func() bool {
		return w.count(`SELECT count(*) FROM host_schedule WHERE lease_until IS NOT NULL`) == 10
	})
	stop()
	if n := w.count(`SELECT count(*) FROM scan_observations`); n != 0 {
		t.Errorf("%d scans were stored that we ended ourselves", n)
	}
	if n := w.count(`SELECT count(*) FROM host_schedule WHERE next_at <= now() AND lease_until IS NULL`); n != 10 {
		t.Errorf("%d of 10 were given back", n)
	}
}

func TestPausedHostIsNotScanned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	srv := w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day))
	h := w.add(srv, "shop.test", func(n *NewHost) { n.Paused = true })
	if n := w.count(`SELECT count(*) FROM host_schedule`); n != 0 {
		t.Fatal("a paused host stands in the schedule")
	}
	if _, err := w.SetPaused(t.Context(), w.member, h.ID, false); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM host_schedule`); n != 1 {
		t.Fatal("a resumed host is not scheduled")
	}
	if _, err := w.SetPaused(t.Context(), w.member, h.ID, true); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM host_schedule`); n != 0 {
		t.Fatal("a host paused again is still scheduled")
	}
	if len(w.emitted(EventHostPaused)) != 1 || len(w.emitted(EventHostResumed)) != 1 || len(w.emitted(EventHostUpdated)) != 0 {
		t.Error("pause and resumption were not told as such")
	}
}

func TestGateKeepsTwoConnectionsAndParksTheRest(t *testing.T) {
	t.Parallel()
	g := newAddressGate(2, 10)
	addr := loopback{}
	ips, _ := addr.LookupNetIP(t.Context(), "", "")
	leave1, err1 := g.enter(ips[0])
	leave2, err2 := g.enter(ips[0])
	_, err3 := g.enter(ips[0])
	if err1 != nil || err2 != nil || !busy(err3) {
		t.Fatalf("entered with %v, %v, %v", err1, err2, err3)
	}
	resumed := 0
	for range 2 {
		if !g.park(err3, func() { resumed++ }) {
			t.Fatal("a scan was turned away while there is room to wait")
		}
	}
	if resumed != 0 || g.waiting() != 2 {
		t.Fatalf("parked: %d resumed, %d wait", resumed, g.waiting())
	}
	leave1()
	if resumed != 1 || g.waiting() != 1 {
		t.Fatalf("after one left: %d resumed, %d wait", resumed, g.waiting())
	}
	g.release()
	if resumed != 2 || g.waiting() != 0 {
		t.Fatalf("after the release: %d resumed, %d wait", resumed, g.waiting())
	}
	leave2()
	if !g.park(err3, func() { resumed++ }) || resumed != 3 {
		t.Fatal("a place that became free meanwhile was not used")
	}
}

func TestScansAreKeptFor400DaysByWholeMonths(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	now := time.Now().UTC()
	last := now.Add(-Retention)
	gone := time.Date(last.Year(), last.Month(), 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
	for _, at := range []time.Time{gone, last.Add(time.Hour)} {
		w.exec(`SELECT ensure_observation_partition($1::date)`, at)
		w.exec(`INSERT INTO scan_observations (workspace_id, host_id, scanned_at, address, status, duration_ms, changed)
			VALUES ($1, $2, $3, '', 'valid', 1, false)`, w.ws, h.ID, at)
	}
	w.exec(`UPDATE scans SET requested_at = requested_at - interval '91 days'`)
	if err := w.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM scan_observations WHERE host_id = $1`, h.ID); n != 2 {
		t.Errorf("%d observations left, want the fresh one and the one of 400 days ago", n)
	}
	if n := w.count(`SELECT count(*) FROM pg_class WHERE relname = 'scan_observations_' || to_char($1::date, 'YYYY_MM')`, gone); n != 0 {
		t.Error("the month before is still there")
	}
	if n := w.count(`SELECT count(*) FROM scans`); n != 0 {
		t.Errorf("%d requested scans left after 91 days", n)
	}
	for m := range 4 {
		first := time.Date(now.Year(), now.Month()+time.Month(m), 1, 0, 0, 0, 0, time.UTC)
		if n := w.count(`SELECT count(*) FROM pg_class WHERE relname = $1 AND relrowsecurity AND relforcerowsecurity`, "scan_observations_"+first.Format("2006_01")); n != 1 {
			t.Errorf("no protected place for scans of %s", first.Format("2006-01"))
		}
	}
}

func TestNobodyReadsObservationsPastTheWalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	partition := "scan_observations_" + time.Now().UTC().Format("2006_01")
	for _, role := range []string{"vigilo_app", "vigilo_system"} {
		for _, sql := range []string{`SELECT * FROM ` + partition, `DROP TABLE ` + partition, `TRUNCATE scan_observations`} {
			err := w.as(role, sql)
			if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
				t.Errorf("%s as %s: %v, want permission denied", sql, role, err)
			}
		}
	}
	// The clock of a program may be wrong; the database does not drop what is young.
	if err := w.as("vigilo_system", `SELECT drop_observation_partitions('2100-01-01')`); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM scan_observations`); n != 1 {
		t.Errorf("%d observations left, want the young one", n)
	}
}

func TestWhatNoHostShowsIsKeptFor400Days(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, clock.System())
	srv := w.serve(w.ca.leaf(now, "shop.test", 40*day))
	h := w.scanNow(w.add(srv, "shop.test"))
	first := h
	renewed := w.ca.leaf(now, "shop.test", 80*day)
	srv.cert.Store(&renewed)
	h = w.scanNow(h)
	gone := w.add(w.serve(w.ca.leaf(now, "gone.test", 80*day)), "gone.test")
	gone = w.scanNow(gone)
	if _, err := w.RemoveHosts(t.Context(), w.member, []uuid.UUID{gone.ID}); err != nil {
		t.Fatal(err)
	}
	left := func() (snapshots, certs int) {
		t.Helper()
		if err := w.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.count(`SELECT count(*) FROM tls_snapshots`), w.count(`SELECT count(*) FROM certificates WHERE NOT is_ca`)
	}
	w.exec(`UPDATE tls_snapshots SET last_seen_at = last_seen_at - interval '399 days'`)
	w.exec(`UPDATE certificates SET last_seen_at = last_seen_at - interval '399 days'`)
	if s, c := left(); s != 3 || c != 3 {
		t.Fatalf("after 399 days %d snapshots and %d leaves are left, want all three", s, c)
	}
	w.exec(`UPDATE tls_snapshots SET last_seen_at = last_seen_at - interval '2 days'`)
	w.exec(`UPDATE certificates SET last_seen_at = last_seen_at - interval '2 days'`)
	// Somebody wrote about the certificate of the host that is gone.
	w.exec(`UPDATE certificates SET notes = 'Ask Mara.', version = 2 WHERE id = $1`, gone.CertificateID)
	if s, c := left(); s != 1 || c != 2 {
		t.Fatalf("after 401 days %d snapshots and %d leaves are left, want the present one and the one with notes", s, c)
	}
	if n := w.count(`SELECT count(*) FROM certificates WHERE is_ca`); n != 1 {
		t.Errorf("%d issuers left, want the one in the chain that is shown", n)
	}
	if n := w.count(`SELECT count(*) FROM certificates WHERE id = $1`, first.CertificateID); n != 0 {
		t.Error("the certificate that was replaced is still there")
	}
	if got := w.host(h.ID); got.SnapshotID != h.SnapshotID || w.scanNow(h).Status != "valid" {
		t.Error("the host does not work after the sweep")
	}
}
