package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// benchHosts is how many servers, on as many addresses, the pipeline is measured with.
const benchHosts = 1000

// farm starts TLS servers on addresses of their own, since a scanner holds two connections
// to one address at most. It returns their port and the root to trust.
func farm(b *testing.B) (addrs []netip.AddrPort, root *certtest.Cert) {
	b.Helper()
	now := time.Now()
	root = certtest.Must(certtest.SelfSigned(certtest.Spec{CommonName: "Bench Root", CA: true, NotBefore: now.Add(-100 * day), NotAfter: now.Add(3000 * day)}))
	issuer := certtest.Must(root.Issue(certtest.Spec{CommonName: "Bench CA", CA: true, NotBefore: now.Add(-99 * day), NotAfter: now.Add(2000 * day)}))
	var ips []netip.Addr
	for i := range benchHosts {
		ips = append(ips, netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}))
	}
	leaf := certtest.Must(issuer.Issue(certtest.Spec{CommonName: "bench", DNSNames: []string{"bench.test"}, IPs: ips, NotBefore: now.Add(-day), NotAfter: now.Add(80 * day)}))
	cfg := &tls.Config{Certificates: []tls.Certificate{leaf.TLS(issuer)}, SessionTicketsDisabled: true}
	for _, ip := range ips {
		l, err := tls.Listen("tcp", net.JoinHostPort(ip.String(), "0"), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { l.Close() })
		addrs = append(addrs, l.Addr().(*net.TCPAddr).AddrPort())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					if c.(*tls.Conn).Handshake() == nil {
						_, _ = io.Copy(io.Discard, c)
					}
				}()
			}
		}()
	}
	return addrs, root
}

const (
	benchParallel = 64
	// benchPause is shorter than in the program, so that a round begins soon, and long enough
	// that claims of nothing are not what is measured.
	benchPause = 200 * time.Millisecond
)

// benchLimits are out of the way: what is measured is the pipeline.
var benchLimits = Limits{StartsPerWorkspace: 100_000, Starts: 100_000, PerNetwork: 1000}

// BenchmarkBareHandshake is the floor of T1: a verified handshake and nothing else.
func BenchmarkBareHandshake(b *testing.B) {
	addrs, root := farm(b)
	pool := certtest.Pool(root)
	work := make(chan netip.AddrPort)
	var wg sync.WaitGroup
	for range benchParallel {
		wg.Go(func() {
			for a := range work {
				if err := handshake(a, pool); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		work <- addrs[i%len(addrs)]
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "scans/s")
}

func handshake(a netip.AddrPort, pool *x509.CertPool) error {
	conn, err := net.DialTimeout("tcp", a.String(), 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	return tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: a.Addr().String()}).Handshake()
}

// BenchmarkPipeline is T1: claim, handshake, verify, compare and persist unchanged scans.
// pg-ms/scan is the CPU time of PostgreSQL's backends where the system tells it.
func BenchmarkPipeline(b *testing.B) {
	addrs, root := farm(b)
	d := dbtest.New(b)
	ws := d.Workspace(b, "bench")
	s := benchService(b, d, root)
	ctx := context.Background()
	ids := benchRows(b, d, ws, len(addrs))
	for i, a := range addrs {
		benchExec(b, d, fmt.Sprintf(`SET session_replication_role = replica;
			UPDATE monitored_hosts SET hostname = '%s', port = %d WHERE id = '%s'; RESET session_replication_role`, a.Addr(), a.Port(), ids[i]))
	}
	run := func(rounds int) {
		runCtx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		before := s.scans.scanned.Load()
		go func() { done <- s.Run(runCtx) }()
		for round := range rounds {
			benchExec(b, d, `UPDATE scan_cursors SET taken_s = 0, next_at = now()`)
			for s.scans.scanned.Load()-before < int64((round+1)*len(addrs)) {
				select {
				case err := <-done:
					b.Fatalf("loop ended: %v", err)
				case <-time.After(2 * time.Millisecond):
				}
			}
		}
		stop()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		s.scans = newScanLoop(s, benchParallel, benchLimits)
		s.scans.pause = benchPause
	}
	run(1) // the first scans store certificates and snapshots
	rounds := max(1, b.N/len(addrs))
	cpu := newBackendCPU(d)
	cpu.read(b)
	b.ResetTimer()
	run(rounds)
	b.StopTimer()
	n := float64(rounds * len(addrs))
	b.ReportMetric(n/b.Elapsed().Seconds(), "scans/s")
	b.ReportMetric(cpu.read(b)*1000/n, "pg-ms/scan")
	var changed int
	if err := d.Admin(b).QueryRow(ctx, `SELECT count(*) FROM scan_observations WHERE changed`).Scan(&changed); err != nil || changed != len(addrs) {
		b.Fatalf("%d changed observations of %d hosts, %v: not the unchanged path", changed, len(addrs), err)
	}
}

// BenchmarkClaim is T3: a claim of 500 due hosts, flat from 100,000 rows to 1,000,000.
func BenchmarkClaim(b *testing.B) {
	for _, rows := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			d := dbtest.New(b)
			ws := d.Workspace(b, "bench")
			benchRows(b, d, ws, rows)
			ctx := context.Background()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				benchExec(b, d, `UPDATE scan_cursors SET taken_s = floor(extract(epoch FROM now())) - 86400 * 500 / `+strconv.Itoa(rows)+` - 1, next_at = now()`)
				b.StartTimer()
				err := d.System(ctx, func(tx *db.SystemTx) error {
					_, err := claimDueHosts(ctx, tx, maxClaim, maxClaim, nil, tx.Now.Add(leaseTime))
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchService(b *testing.B, d *dbtest.DB, root *certtest.Cert) *Service {
	b.Helper()
	jobs, err := job.New(d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	policy, err := access.NewPolicy()
	if err != nil {
		b.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(eventTypes()...)
	if err != nil {
		b.Fatal(err)
	}
	s := New(Deps{
		DB: d.DB, Ledger: ledger.New(catalogue, jobs, dbtest.Keyring(b)), Jobs: jobs, Policy: policy, Clock: clock.System(),
		Log: slog.New(slog.DiscardHandler), Dialer: outbound.NewDialer(outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true}),
		Roots: x509lint.Roots{Public: certtest.Pool(root)}, ScanConcurrency: benchParallel, Limits: benchLimits,
	})
	s.scans.pause = benchPause
	return s
}

// benchRows makes n hosts whose slots spread over the coming day.
func benchRows(b *testing.B, d *dbtest.DB, ws uuid.UUID, n int) []uuid.UUID {
	b.Helper()
	ctx := context.Background()
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	tx, err := d.Admin(b).Begin(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil {
		b.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO monitored_hosts (workspace_id, id, hostname, display_name, port, scan_interval, state, created_at, updated_at)
			SELECT $2, id, 'h' || n || '.test', 'h', 443, '24h', 'active', now(), now() FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, n)`,
		`INSERT INTO host_schedule (workspace_id, host_id, interval_s, phase_s)
			SELECT $2, id, 86400, n * 7919 % 86400 FROM unnest($1::uuid[]) WITH ORDINALITY AS r(id, n)`,
		`INSERT INTO scan_cursors (workspace_id, interval_s, taken_s, taken_host, next_at)
			SELECT $2, 86400, floor(extract(epoch FROM now())), min(id::text)::uuid, now() + interval '1 day' FROM unnest($1::uuid[]) AS r(id)`,
	} {
		if _, err := tx.Exec(ctx, sql, ids, ws); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		b.Fatal(err)
	}
	benchExec(b, d, `VACUUM ANALYZE host_schedule`)
	return ids
}

func benchExec(b *testing.B, d *dbtest.DB, sql string) {
	b.Helper()
	if _, err := d.Admin(b).Exec(context.Background(), sql); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkImport adds 5,000 hosts, the most that one import takes.
func BenchmarkImport(b *testing.B) {
	root := certtest.Must(certtest.SelfSigned(certtest.Spec{CommonName: "Bench Root", CA: true, NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(day)}))
	d := dbtest.New(b)
	s := benchService(b, d, root)
	if err := s.policy.Add(s.Module().Permissions...); err != nil {
		b.Fatal(err)
	}
	member := d.Member(b, d.Workspace(b, "bench"), "Mara Lind", "member")
	b.ResetTimer()
	for i := range b.N {
		var list strings.Builder
		for n := range MaxImportRows {
			fmt.Fprintf(&list, "h%d.round%d.example.com\n", n, i)
		}
		p, err := s.ImportHosts(context.Background(), member, Import{Text: list.String(), Interval: "24h"})
		if err != nil || p.New != MaxImportRows {
			b.Fatalf("%d added, %v", p.New, err)
		}
	}
}
