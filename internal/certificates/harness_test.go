package certificates

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// noon is the time of tests whose clock stands still.
var noon = time.Date(2026, time.November, 11, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// world is a database with a workspace, its people, and the service under test.
type world struct {
	*Service
	t      *testing.T
	d      *dbtest.DB
	ws     uuid.UUID
	member db.Actor
	viewer db.Actor
	ca     *authority
}

// authority is a root that the service trusts and an issuer below it.
type authority struct{ root, issuer *certtest.Cert }

func newAuthority(t *testing.T, org string, now time.Time) *authority {
	t.Helper()
	root := certtest.Must(certtest.SelfSigned(certtest.Spec{
		CommonName: org + " Root", Organization: org, CA: true, NotBefore: now.Add(-3650 * day), NotAfter: now.Add(3650 * day),
	}))
	issuer := certtest.Must(root.Issue(certtest.Spec{
		CommonName: org + " Issuing CA", Organization: org, CA: true, NotBefore: now.Add(-3000 * day), NotAfter: now.Add(3000 * day),
	}))
	return &authority{root: root, issuer: issuer}
}

// leaf issues a certificate of 90 days with some of them left.
func (a *authority) leaf(now time.Time, name string, left time.Duration) tls.Certificate {
	end := now.Add(left)
	c := certtest.Must(a.issuer.Issue(certtest.Spec{CommonName: name, DNSNames: []string{name}, NotBefore: end.Add(-90 * day), NotAfter: end}))
	return c.TLS(a.issuer)
}

// loopback resolves every name to this machine.
type loopback struct{}

func (loopback) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// newWorld makes a world whose database reads the given clock.
func newWorld(t *testing.T, clk clock.Clock) *world {
	t.Helper()
	d := dbtest.NewAt(t, clk)
	w := &world{t: t, d: d, ca: newAuthority(t, "Test Trust", clk.Now())}
	w.ws = d.Workspace(t, "acme")
	// The clock of a test may show another year than the day on which the schema was made.
	w.exec(`SELECT ensure_observation_partition((($1::timestamptz AT TIME ZONE 'UTC')::date + make_interval(months => m))::date)
		FROM generate_series(-1, 4) AS m`, clk.Now())
	w.member, w.viewer = d.Member(t, w.ws, "Mara Lind", "member"), d.Member(t, w.ws, "Vera Olsen", "viewer")
	w.Service = w.another(16)
	return w
}

// another returns a second service on the same database, as another process would be.
func (w *world) another(concurrency int, change ...func(*Deps)) *Service {
	w.t.Helper()
	jobs, err := job.New(w.d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	policy, err := access.NewPolicy()
	if err != nil {
		w.t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(eventTypes()...)
	if err != nil {
		w.t.Fatal(err)
	}
	deps := Deps{
		DB: w.d.DB, Ledger: ledger.New(catalogue, jobs, dbtest.Keyring(w.t)), Jobs: jobs, Policy: policy, Clock: w.d.Clock,
		Log:             slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Dialer:          outbound.NewDialer(outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true}, outbound.WithResolver(loopback{})),
		Roots:           x509lint.Roots{Public: certtest.Pool(w.ca.root)},
		ScanConcurrency: concurrency,
		Timeouts:        tlsscan.Timeouts{Connect: 3 * time.Second, Handshake: 3 * time.Second, Step: 3 * time.Second},
		People: func(ctx context.Context, tx *db.Tx) ([]Person, error) {
			rows, err := tx.Query(ctx, `SELECT m.id, m.user_id, u.name, u.email FROM members m JOIN users u ON u.id = m.user_id ORDER BY u.name`)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
		},
	}
	for _, c := range change {
		c(&deps)
	}
	s := New(deps)
	if err := policy.Add(s.Module().Permissions...); err != nil {
		w.t.Fatal(err)
	}
	if err := policy.Add(access.Grant{Permission: web.LivePermission, Label: "Read", Min: access.Viewer}); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// server is a TLS server whose certificate can be changed while it runs.
type server struct {
	port    int
	cert    atomic.Pointer[tls.Certificate]
	scans   atomic.Int64
	stopped func()
}

// serve starts a server on loopback; a nil certificate makes one that refuses handshakes.
func (w *world) serve(cert tls.Certificate) *server {
	w.t.Helper()
	s := &server{}
	s.cert.Store(&cert)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	s.stopped = func() { l.Close() }
	w.t.Cleanup(s.stopped)
	cfg := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil }}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.scans.Add(1)
			go func() {
				defer conn.Close()
				c := tls.Server(conn, cfg)
				if c.Handshake() == nil {
					_, _ = io.Copy(io.Discard, c)
				}
			}()
		}
	}()
	return s
}

// add begins to watch a server under a name, without its first scan on request.
func (w *world) add(srv *server, name string, change ...func(*NewHost)) Host {
	w.t.Helper()
	in := NewHost{Hostname: net.JoinHostPort(name, strconv.Itoa(srv.port)), Interval: "1h"}
	for _, c := range change {
		c(&in)
	}
	h, _, err := w.AddHost(w.t.Context(), w.member, in)
	if err != nil {
		w.t.Fatalf("add %s: %v", name, err)
	}
	return h
}

// scanNow scans a host as the claimer would, and returns it afterwards.
func (w *world) scanNow(h Host) Host {
	w.t.Helper()
	ctx := w.t.Context()
	var targets []target
	err := w.d.InWorkspace(ctx, scheduled(w.ws), func(tx *db.Tx) error {
		var err error
		targets, err = scanTargets.All(ctx, tx, db.Args{"ids": []uuid.UUID{h.ID}, "paused_too": true})
		return err
	})
	if err != nil || len(targets) != 1 {
		w.t.Fatalf("read target: %v, %d targets", err, len(targets))
	}
	o := newOutcome(targets[0], w.scanner.Scan(ctx, targets[0].scan()))
	err = w.d.InWorkspace(ctx, scheduled(w.ws), func(tx *db.Tx) error { return w.record(ctx, tx, []outcome{o}) })
	if err != nil {
		w.t.Fatalf("record: %v", err)
	}
	return w.host(h.ID)
}

func (w *world) host(id uuid.UUID) Host {
	w.t.Helper()
	h, err := w.Host(w.t.Context(), w.member, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// emitted returns the payloads of the events of a name, oldest first.
func (w *world) emitted(name string) []map[string]any {
	w.t.Helper()
	rows, err := w.d.Admin(w.t).Query(w.t.Context(), `SELECT payload FROM events WHERE workspace_id = $1 AND name = $2 ORDER BY id`, w.ws, name)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]map[string]any, len(raw))
	for i, r := range raw {
		if err := json.Unmarshal(r, &out[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// count returns a number of the database, as its superuser sees it.
func (w *world) count(sql string, args ...any) int {
	w.t.Helper()
	var n int
	if err := w.d.Admin(w.t).QueryRow(w.t.Context(), sql, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// exec changes the database as its superuser.
func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.d.Admin(w.t).Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("did not happen in time: %s", what)
		case <-tick.C:
		}
	}
}

// work starts the jobs of the service until the test ends.
func (w *world) work() {
	w.t.Helper()
	workers := river.NewWorkers()
	w.Module().Workers(workers)
	d, err := event.NewDispatcher(w.d.DB, w.jobs, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	d.Register(workers)
	if err := w.jobs.Start(w.t.Context(), job.StartOptions{Workers: workers}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.jobs.Stop(stop); err != nil {
			w.t.Errorf("stop jobs: %v", err)
		}
	})
}

func (w *world) list(q *db.ListQuery[HostItem]) int {
	w.t.Helper()
	var n int
	err := w.d.InWorkspace(w.t.Context(), w.member, func(tx *db.Tx) error {
		p, err := q.Page(w.t.Context(), tx)
		n = len(p.Items)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) serialOf(h Host) string {
	w.t.Helper()
	var serial string
	if err := w.d.Admin(w.t).QueryRow(w.t.Context(), `SELECT serial FROM certificates WHERE id = $1`, h.CertificateID).Scan(&serial); err != nil {
		w.t.Fatal(err)
	}
	return serial
}
