package certificates

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

func TestEachStatusIsShownForAHostThatDeservesIt(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	w := newWorld(t, clock.System())
	selfSigned := certtest.Must(certtest.SelfSigned(certtest.Spec{CommonName: "self.test", DNSNames: []string{"self.test"}, NotBefore: now.Add(-day), NotAfter: now.Add(80 * day)}))
	strange := newAuthority(t, "Unknown Trust", now)
	future := certtest.Must(w.ca.issuer.Issue(certtest.Spec{CommonName: "future.test", DNSNames: []string{"future.test"}, NotBefore: now.Add(day), NotAfter: now.Add(80 * day)}))
	weak := certtest.Must(w.ca.issuer.Issue(certtest.Spec{CommonName: "weak.test", DNSNames: []string{"weak.test"}, Key: certtest.RSA1024, NotBefore: now.Add(-day), NotAfter: now.Add(80 * day)}))
	long := certtest.Must(w.ca.issuer.Issue(certtest.Spec{CommonName: "long.test", DNSNames: []string{"long.test"}, NotBefore: now.Add(-day), NotAfter: now.Add(900 * day)}))
	alone := w.ca.leaf(now, "alone.test", 80*day)
	alone.Certificate = alone.Certificate[:1]
	for _, c := range []struct {
		name string
		cert tls.Certificate
		want Status
	}{
		{"valid.test", w.ca.leaf(now, "valid.test", 80*day), "valid"},
		{"expiring.test", w.ca.leaf(now, "expiring.test", 20*day), "expiring"},
		{"critical.test", w.ca.leaf(now, "critical.test", 5*day), "critical"},
		{"expired.test", w.ca.leaf(now, "expired.test", -3*day), "expired"},
		{"future.test", future.TLS(w.ca.issuer), "not_yet_valid"},
		{"wrong.test", w.ca.leaf(now, "right.test", 80*day), "name_mismatch"},
		{"self.test", selfSigned.TLS(), "self_signed"},
		{"strange.test", strange.leaf(now, "strange.test", 80*day), "untrusted"},
		{"weak.test", weak.TLS(w.ca.issuer), "weak"},
		{"long.test", long.TLS(w.ca.issuer), "policy_violation"},
		{"alone.test", alone, "untrusted"},
	} {
		t.Run(string(c.want)+" "+c.name, func(t *testing.T) {
			h := w.scanNow(w.add(w.serve(c.cert), c.name))
			if h.Status != c.want {
				t.Fatalf("status is %s (%s, %s), want %s", h.Status, h.StatusDetail, h.LastError, c.want)
			}
			if !h.SnapshotID.Valid || !h.CertificateID.Valid || h.Issuer == "" || h.Key == "" {
				t.Errorf("facts of the certificate are missing: %+v", h)
			}
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		srv := w.serve(tls.Certificate{})
		srv.stopped()
		h := w.scanNow(w.add(srv, "down.test"))
		if h.Status != StatusUnreachable || h.LastErrorClass != "refused" || h.LastError == "" || h.SnapshotID.Valid {
			t.Fatalf("status is %s, class %q", h.Status, h.LastErrorClass)
		}
	})
	t.Run("handshake_failed", func(t *testing.T) {
		h := w.scanNow(w.add(w.serve(tls.Certificate{}), "broken.test"))
		if h.Status != StatusHandshakeFailed {
			t.Fatalf("status is %s (%s)", h.Status, h.LastError)
		}
	})
}

func TestUnchangedScanWritesOneNarrowRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	events := w.count(`SELECT count(*) FROM events`)
	for range 3 {
		h = w.scanNow(h)
	}
	if n := w.count(`SELECT count(*) FROM tls_snapshots`); n != 1 {
		t.Errorf("%d snapshots, want 1", n)
	}
	if n := w.count(`SELECT count(*) FROM scan_observations WHERE host_id = $1`, h.ID); n != 4 {
		t.Errorf("%d observations, want 4", n)
	}
	if n := w.count(`SELECT count(*) FROM scan_observations WHERE changed`); n != 1 {
		t.Errorf("%d changed observations, want the first only", n)
	}
	if n := w.count(`SELECT count(*) FROM events`); n != events {
		t.Errorf("unchanged scans made %d events", n-events)
	}
	if h.LastScanAt == nil || h.LastOKAt == nil || time.Since(*h.LastScanAt) > time.Minute {
		t.Errorf("the last scan is not noted: %v", h.LastScanAt)
	}
	if len(w.emitted(EventCertObserved)) != 1 {
		t.Error("the first certificate was not told once")
	}
}

func TestRenewalIsToldOnceWithItsDifferences(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, clock.System())
	srv := w.serve(w.ca.leaf(now, "shop.test", 5*day))
	h := w.scanNow(w.add(srv, "shop.test"))
	first := h.CertificateID
	renewed := w.ca.leaf(now, "shop.test", 85*day+time.Hour)
	srv.cert.Store(&renewed)
	h = w.scanNow(h)
	w.scanNow(h)
	told := w.emitted(EventCertChanged)
	if len(told) != 1 {
		t.Fatalf("cert.changed was told %d times", len(told))
	}
	if told[0]["fingerprint_sha256"] == told[0]["old_fingerprint_sha256"] || told[0]["old_fingerprint_sha256"] == "" {
		t.Errorf("fingerprints: %v, before %v", told[0]["fingerprint_sha256"], told[0]["old_fingerprint_sha256"])
	}
	fields := map[string]bool{}
	for _, c := range told[0]["changes"].([]any) {
		fields[c.(map[string]any)["field"].(string)] = true
	}
	for _, want := range []string{"fingerprint", "serial", "not_after", "key_hash"} {
		if !fields[want] {
			t.Errorf("changes do not name %s: %v", want, fields)
		}
	}
	if fields["names"] || fields["issuer"] {
		t.Errorf("changes name what stayed: %v", fields)
	}
	if n := len(w.emitted(EventCertIssuerChanged)); n != 0 {
		t.Errorf("the same issuer was told as another %d times", n)
	}
	status := w.emitted(EventStatusChanged)
	if last := status[len(status)-1]; last["from"] != "critical" || last["to"] != "valid" || last["days_left"] != float64(85) {
		t.Errorf("status change is %v", last)
	}
	if h.CertificateID == first || !h.CertificateID.Valid {
		t.Error("the host still shows the old certificate")
	}
	if n := w.count(`SELECT count(*) FROM certificates WHERE NOT is_ca`); n != 2 {
		t.Errorf("%d leaves stored, want 2", n)
	}
}

func TestOtherIssuerIsTold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w := newWorld(t, clock.System())
	srv := w.serve(w.ca.leaf(now, "shop.test", 80*day))
	h := w.scanNow(w.add(srv, "shop.test"))
	other := newAuthority(t, "Other Trust", now).leaf(now, "shop.test", 80*day)
	srv.cert.Store(&other)
	w.scanNow(h)
	if n := len(w.emitted(EventCertIssuerChanged)); n != 1 {
		t.Fatalf("cert.issuer_changed was told %d times", n)
	}
}

func TestFailureIsToldAtTheSecondInARowAndRecoveryOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	cert := w.ca.leaf(time.Now(), "shop.test", 80*day)
	srv := w.serve(cert)
	h := w.scanNow(w.add(srv, "shop.test"))
	srv.cert.Store(&tls.Certificate{})
	h = w.scanNow(h)
	if h.Status != StatusHandshakeFailed || len(w.emitted(EventScanFailed)) != 0 {
		t.Fatalf("after one failure: %s, told %d times", h.Status, len(w.emitted(EventScanFailed)))
	}
	if !h.HasCertificate() || !h.SnapshotID.Valid {
		t.Error("a failure forgot the known certificate")
	}
	// A first failure is looked at once more within minutes, whatever the interval.
	if n := w.count(`SELECT count(*) FROM host_schedule WHERE host_id = $1 AND next_at < now() + interval '2 minutes'`, h.ID); n != 1 {
		t.Error("the failure is not looked at again soon")
	}
	for range 3 {
		h = w.scanNow(h)
	}
	if h.Failures != 4 || len(w.emitted(EventScanFailed)) != 1 {
		t.Fatalf("after four failures: %d counted, told %d times", h.Failures, len(w.emitted(EventScanFailed)))
	}
	srv.cert.Store(&cert)
	h = w.scanNow(w.scanNow(h))
	if h.Status != "valid" || h.Failures != 0 || h.LastError != "" || len(w.emitted(EventScanRecovered)) != 1 {
		t.Fatalf("after recovery: %s, %d failures, %q, told %d times", h.Status, h.Failures, h.LastError, len(w.emitted(EventScanRecovered)))
	}
	if n := w.count(`SELECT count(*) FROM tls_snapshots`); n != 1 {
		t.Errorf("%d snapshots of one certificate", n)
	}
}

func TestTimeAloneChangesTheStatusAtTheEdge(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	h := w.scanNow(w.add(w.serve(w.ca.leaf(noon, "shop.test", 40*day)), "shop.test", func(n *NewHost) { n.Interval = "24h" }))
	var edge time.Time
	if err := w.d.Admin(t).QueryRow(t.Context(), `SELECT edge_at FROM host_schedule WHERE host_id = $1`, h.ID).Scan(&edge); err != nil {
		t.Fatal(err)
	}
	// 90 days of validity warn in the last 30 (reliability.md 3.3); both ends count.
	if want := h.NotAfter.Add(time.Second).Add(-30 * day); !edge.Equal(want) {
		t.Fatalf("edge at %s, want %s", edge, want)
	}
	clk.Advance(edge.Sub(noon) - time.Second)
	if h = w.scanNow(h); h.Status != "valid" {
		t.Fatalf("a second before the edge: %s", h.Status)
	}
	clk.Advance(time.Second)
	if h = w.scanNow(h); h.Status != "expiring" {
		t.Fatalf("at the edge: %s", h.Status)
	}
	if n := len(w.emitted(EventCertChanged)); n != 0 {
		t.Errorf("time alone was told as %d new certificates", n)
	}
}

func TestOlderResultDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	srv := w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day))
	h := w.add(srv, "shop.test")
	ctx := t.Context()
	tg := target{HostID: h.ID, Hostname: h.Hostname, Port: h.Port, Status: StatusUnknown}
	old := newOutcome(tg, w.scanner.Scan(ctx, tg.scan()))
	next := w.ca.leaf(time.Now(), "shop.test", 60*day)
	srv.cert.Store(&next)
	h = w.scanNow(h)
	if err := w.d.InWorkspace(ctx, scheduled(w.ws), func(tx *db.Tx) error { return w.record(ctx, tx, []outcome{old}) }); err != nil {
		t.Fatal(err)
	}
	if got := w.host(h.ID); got.CertificateID != h.CertificateID {
		t.Error("an older result came back")
	}
}

func TestScanOnRequestIsQueuedRunsAndEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	w.work()
	h, id, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "shop.test", Port: w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)).port})
	if err != nil {
		t.Fatal(err)
	}
	var sc Scan
	eventually(t, "the first scan ends", func() bool {
		if sc, err = w.ScanByID(t.Context(), w.member, id); err != nil {
			t.Fatal(err)
		}
		return !sc.Open()
	})
	if sc.State != ScanSucceeded || !sc.SnapshotID.Valid || sc.StartedAt == nil || sc.FinishedAt == nil {
		t.Fatalf("scan ended as %+v", sc)
	}
	if got := w.host(h.ID); got.Status != "valid" || got.SnapshotID != sc.SnapshotID {
		t.Fatalf("host is %s", got.Status)
	}
	// The job may run again after a crash; it then does nothing.
	if err := w.runScan(t.Context(), w.ws, id); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM scan_observations`); n != 1 {
		t.Errorf("%d observations of one scan", n)
	}
}

func TestFailedScanOnRequestSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	srv := w.serve(tls.Certificate{})
	srv.stopped()
	_, id, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "down.test", Port: srv.port})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.runScan(t.Context(), w.ws, id); err != nil {
		t.Fatal(err)
	}
	sc, err := w.ScanByID(t.Context(), w.member, id)
	if err != nil || sc.State != ScanFailed || sc.Error != "The connection was refused: nothing listens on this port." || sc.SnapshotID.Valid {
		t.Fatalf("%+v, %v", sc, err)
	}
}

func TestSecondRequestJoinsTheScanUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h, first, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "shop.test"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.RequestScan(t.Context(), w.member, h.ID)
	if err != nil || again.ID != first {
		t.Fatalf("got %s, want %s (%v)", again.ID, first, err)
	}
}
