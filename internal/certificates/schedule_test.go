package certificates

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

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

func TestNextSlotKeepsItsPhaseAndSkipsWhatWasMissed(t *testing.T) {
	t.Parallel()
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	for _, c := range []struct {
		now, want int64
	}{
		{0, 45},
		{44, 45},
		{45, 105},
		{46, 105},
		{104, 105},
		{105, 165},
		{1000, 1005}, // 14 slots missed, none made up
	} {
		if got := NextSlot(at(c.now), time.Minute, 45*time.Second); !got.Equal(at(c.want)) {
			t.Errorf("after %d s comes %d s, want %d s", c.now, got.Unix(), c.want)
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

// due makes n hosts of a workspace due since the given time, without names that resolve.
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
		`INSERT INTO host_schedule (workspace_id, host_id, next_at, interval_s, phase_s)
			SELECT '` + ws.String() + `', id, '` + since.Format(time.RFC3339) + `'::timestamptz + n * interval '1 millisecond', 3600, 17
			FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, n)`,
	} {
		args := []any{ids}
		if sql[:3] == "SET" {
			args = nil
		}
		if _, err := tx.Exec(w.t.Context(), sql, args...); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := tx.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func (w *world) claims(limit int, fair bool) []claim {
	w.t.Helper()
	var out []claim
	err := w.d.System(w.t.Context(), func(tx *db.SystemTx) error {
		var err error
		out, err = claimDueHosts(w.t.Context(), tx, limit, fair, tx.Now.Add(leaseTime), maxJitter)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestClaimMovesToTheNextSlotWithALittleJitter(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	w.due(w.ws, 50, noon.Add(-5*time.Hour))
	if n := len(w.claims(500, false)); n != 50 {
		t.Fatalf("%d claimed, want all 50", n)
	}
	// The slot after noon with phase 17 s; five missed ones are not made up.
	slot := noon.Add(17 * time.Second)
	if n := w.count(`SELECT count(*) FROM host_schedule WHERE next_at >= $1 AND next_at <= $1 + interval '180 seconds'`, slot); n != 50 {
		t.Errorf("%d of 50 come within 5 %% after their slot", n)
	}
	if n := w.count(`SELECT count(DISTINCT next_at) FROM host_schedule`); n < 40 {
		t.Errorf("only %d different starts", n)
	}
	if n := len(w.claims(500, false)); n != 0 {
		t.Errorf("%d claimed twice for one slot", n)
	}
	// Jitter never accumulates: many rounds later the phase is the same.
	for range 30 {
		clk.Advance(time.Hour)
		w.claims(500, false)
	}
	slot = slot.Add(30 * time.Hour)
	if n := w.count(`SELECT count(*) FROM host_schedule WHERE next_at >= $1 AND next_at <= $1 + interval '180 seconds'`, slot); n != 50 {
		t.Errorf("%d of 50 kept their phase for 30 rounds", n)
	}
}

func TestLeasedHostIsLeftAloneUntilTheLeaseEnds(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	ids := w.due(w.ws, 1, noon.Add(-time.Minute))
	w.claims(10, false)
	// Due again while somebody is still at it, as after an edit of the interval.
	w.exec(`UPDATE host_schedule SET next_at = $1`, noon)
	clk.Advance(time.Minute)
	if n := len(w.claims(10, false)); n != 0 {
		t.Fatal("a leased host was claimed")
	}
	clk.Advance(leaseTime)
	if got := w.claims(10, true); len(got) != 1 || got[0].HostID != ids[0] {
		t.Fatalf("after the lease: %v", got)
	}
}

func TestEdgeComesBeforeTheSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.NewFixed(noon))
	w.due(w.ws, 2, noon.Add(-time.Minute))
	w.exec(`UPDATE host_schedule SET edge_at = $1`, noon.Add(5*time.Second))
	w.claims(10, false)
	if n := w.count(`SELECT count(*) FROM host_schedule WHERE next_at = $1`, noon.Add(5*time.Second)); n != 2 {
		t.Errorf("%d of 2 come at their edge", n)
	}
}

func TestBacklogOfOneWorkspaceDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.NewFixed(noon))
	other := w.d.Workspace(t, "other")
	w.due(w.ws, 300, noon.Add(-time.Hour))
	w.due(other, 5, noon.Add(-time.Second))
	got := map[uuid.UUID]int{}
	for _, c := range w.claims(20, true) {
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
	for i := range claimers {
		wg.Go(func() {
			for {
				var got []claim
				err := w.d.System(t.Context(), func(tx *db.SystemTx) error {
					var err error
					got, err = claimDueHosts(t.Context(), tx, 25, i%2 == 0, tx.Now.Add(leaseTime), maxJitter)
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
				done := len(taken) >= hosts || len(got) == 0
				mu.Unlock()
				if done {
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
	// What every claimer saw as locked by another one stays due; nothing is lost.
	left := len(w.claims(1000, false))
	if len(taken)+left != hosts {
		t.Errorf("%d taken and %d left of %d", len(taken), left, hosts)
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
	g := newAddressGate(2)
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

func TestExpireRemovesWhatIsOlderThan90Days(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	h = w.scanNow(h)
	w.exec(`UPDATE scan_observations SET scanned_at = scanned_at - interval '91 days' WHERE changed`)
	if err := w.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM scan_observations WHERE host_id = $1`, h.ID); n != 1 {
		t.Errorf("%d observations left, want the fresh one", n)
	}
	if n := w.count(`SELECT count(*) FROM scans`); n != 1 {
		t.Errorf("%d requested scans left, want the fresh one", n)
	}
}
