package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

const (
	scansAtOnce = 64
	// changedShare is one in how many servers has a new certificate in each round.
	changedShare = 100
)

// measureScans compares the whole pipeline with bare handshakes that verify (T1), also on
// an estate where many do not answer (T2), and weighs the process (T3).
func measureScans(ctx context.Context, b *bench) (err error) {
	n := pick(b, 3000, 1200)
	farm, err := newTLSFarm(b.clock, n)
	if err != nil {
		return err
	}
	defer farm.close()
	dir, err := os.MkdirTemp("", "vigilo-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, farm.root.PEM(), 0o600); err != nil {
		return fmt.Errorf("write root: %w", err)
	}
	o := vigiloOptions{keys: secret.NewKey(), settings: []string{
		"VIGILO_TRUSTED_ROOTS_FILE=" + roots,
		// What is measured is the pipeline, not the limits that protect strangers.
		"VIGILO_SCAN_STARTS=100000", "VIGILO_SCAN_STARTS_PER_WORKSPACE=100000", "VIGILO_SCAN_PER_NETWORK=100",
	}}
	v, err := b.start(ctx, o)
	if err != nil {
		return err
	}
	owner, err := v.workspace(ctx, "acme")
	if err := errors.Join(err, v.stop()); err != nil {
		return err
	}
	if err := b.addFarmHosts(ctx, farm, owner, n); err != nil {
		return err
	}
	o.work = true
	if err := b.compareScans(ctx, o, farm, owner, n); err != nil {
		return err
	}
	if err := b.hostileEstate(ctx, o, farm, n); err != nil {
		return err
	}
	return b.weighScanner(ctx, o, farm, n)
}

func withConcurrency(o vigiloOptions, n int) vigiloOptions {
	o.settings = append(slices.Clone(o.settings), "VIGILO_SCAN_CONCURRENCY="+strconv.Itoa(n))
	return o
}

// compareScans is T1. One instance runs through all rounds; the first, in which every
// certificate is new and every connection to the database young, is told apart.
func (b *bench) compareScans(ctx context.Context, o vigiloOptions, farm *tlsFarm, owner db.Actor, n int) (err error) {
	v, err := b.start(ctx, withConcurrency(o, scansAtOnce))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	first, used, err := b.scanAll(ctx, v, farm, n)
	if err != nil {
		return err
	}
	b.note("First scans of all hosts (certificates, snapshots, words, events): %s, PostgreSQL %s of processor time each.", perSecond(first), ms(used))
	var floors, calm, busy []float64
	var cpu []time.Duration
	for round := range pick(b, 5, 3) {
		if err := b.finishJobs(ctx); err != nil {
			return err
		}
		floor, err := bareHandshakes(ctx, farm, n)
		if err != nil {
			return err
		}
		same, used, err := b.scanAll(ctx, v, farm, n)
		if err != nil {
			return err
		}
		farm.renew(round*n/changedShare, n/changedShare)
		changed, _, err := b.scanAll(ctx, v, farm, n)
		if err != nil {
			return err
		}
		b.say("round %d: floor %s, nothing changed %s with %s of PostgreSQL each, some changed %s", round, perSecond(floor), perSecond(same), ms(used), perSecond(changed))
		floors, calm, busy, cpu = append(floors, floor), append(calm, same), append(busy, changed), append(cpu, used)
	}
	f, p, c, d := median(floors), median(calm), median(busy), median(cpu)
	what := fmt.Sprintf("claim, scan, verify, compare, store, rules and events, %d at once", scansAtOnce)
	b.add(result{"T1", what + ", nothing changed", perSecond(f), perSecond(p), ratio(share(p, f)), "≥ 0.85 × floor", judge(p >= 0.85*f)})
	b.add(result{
		"T1", fmt.Sprintf("the same, 1 in %d servers shows a new certificate", changedShare), perSecond(f), perSecond(c), ratio(share(c, f)), "≥ 0.85 × floor",
		judge(c >= 0.85*f),
	})
	b.add(result{"T1", "processor time of PostgreSQL per unchanged scan", "", ms(d), "", "≤ 0.15 ms", judge(d <= 150*time.Microsecond)})
	b.note("The floor of T1 is a loop of Go handshakes with verification against the same %d servers (half ECDSA, half RSA), %d at once. "+
		"The rate runs from the first connection to the last stored result, and PostgreSQL's time in it includes the claim and what the "+
		"rest of the program asks meanwhile.", n, scansAtOnce)
	return b.confirm(ctx, owner, n)
}

// hostileEvery is one in how many servers of a hostile estate accepts and stays silent.
const hostileEvery = 5

// hostileEstate scans an estate of which a fifth never answers.
func (b *bench) hostileEstate(ctx context.Context, o vigiloOptions, farm *tlsFarm, n int) (err error) {
	v, err := b.start(ctx, withConcurrency(o, hostileAtOnce))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	farm.hush(func(i int) bool { return i%hostileEvery == 0 })
	defer farm.hush(func(int) bool { return false })
	took := clock.Stopwatch()
	hurt := handshakes(ctx, farm, n, hostileAtOnce, hostilePatience)
	floor := float64(n) / took().Seconds()
	if want := (n + hostileEvery - 1) / hostileEvery; hurt != want {
		return fmt.Errorf("%d of %d servers did not answer, want %d", hurt, n, want)
	}
	rate, _, err := b.scanAll(ctx, v, farm, n)
	if err != nil {
		return err
	}
	b.add(result{
		"T2", fmt.Sprintf("hosts of an estate where 1 in %d accepts and never answers, %d at once", hostileEvery, hostileAtOnce),
		perSecond(floor), perSecond(rate), ratio(share(rate, floor)), "≥ 0.85 × floor", judge(rate >= 0.85*floor),
	})
	b.note("The floor of the hostile estate is the bare loop with the same patience of %s.", hostilePatience)
	return nil
}

const (
	// hostileAtOnce is what the program does unless it is told otherwise.
	hostileAtOnce   = 256
	hostilePatience = 5 * time.Second
	heavyAtOnce     = 1000
)

// weighScanner reads the memory of this process while 1,000 scans are in flight. It holds
// the other ends of their connections, too, so the figure is an upper bound.
func (b *bench) weighScanner(ctx context.Context, o vigiloOptions, farm *tlsFarm, n int) (err error) {
	v, err := b.start(ctx, withConcurrency(o, heavyAtOnce))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	debug.FreeOSMemory()
	idle, err := residentBytes()
	if err != nil {
		return err
	}
	farm.hush(func(int) bool { return true })
	defer farm.hush(func(int) bool { return false })
	if err := b.makeDue(ctx); err != nil {
		return err
	}
	var most int64
	err = waitFor(ctx, "1,000 scans in flight", time.Minute, func() (bool, error) {
		now, err := residentBytes()
		most = max(most, now)
		return v.Services.Certificates.LoopStats().Running >= min(heavyAtOnce, n), err
	})
	if err != nil {
		return err
	}
	const mega = 1 << 20
	b.add(result{
		"T3", "memory of the process with 1,000 scans in flight, the servers' ends included", fmt.Sprintf("%d MB idle", idle/mega),
		fmt.Sprintf("%d MB", most/mega), "", "≤ 120 MB", judge(most <= 120*mega),
	})
	return nil
}

// residentBytes returns how much memory this process holds.
func residentBytes() (int64, error) {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, fmt.Errorf("read memory of this process: %w", err)
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0, errors.New("memory of this process cannot be read")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read memory of this process: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// addFarmHosts watches every server of the farm.
func (b *bench) addFarmHosts(ctx context.Context, farm *tlsFarm, a db.Actor, n int) error {
	names, servers := make([]string, n), make([]string, n)
	for i := range n {
		names[i], servers[i] = farmAddress(i), farmName(i)
	}
	if err := b.fill(ctx, a, n, hostRows, scheduleRows); err != nil {
		return err
	}
	_, err := b.admin.Exec(ctx, `
		ALTER TABLE monitored_hosts DISABLE TRIGGER USER;`)
	if err != nil {
		return fmt.Errorf("switch guard off: %w", err)
	}
	_, err = b.admin.Exec(ctx, `
		UPDATE monitored_hosts h SET hostname = r.name, display_name = r.name, port = $3, server_name = r.server, state = 'active',
			status = 'unknown', severity = 15, leaf_not_before = NULL, leaf_not_after = '9999-12-31 23:59:59+00', issuer = '',
			last_scan_at = NULL, last_ok_at = NULL, owner_member_id = NULL
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r(name, server, i)
		WHERE h.id = ('01930000-0000-7000-8000-' || lpad(to_hex(r.i), 12, '0'))::uuid`, names, servers, farm.port)
	if err != nil {
		return fmt.Errorf("name hosts: %w", err)
	}
	if _, err = b.admin.Exec(ctx, `ALTER TABLE monitored_hosts ENABLE TRIGGER USER`); err != nil {
		return fmt.Errorf("switch guard on: %w", err)
	}
	return b.vacuum(ctx)
}

// bareHandshakes returns how many verified handshakes a second a plain loop makes.
func bareHandshakes(ctx context.Context, farm *tlsFarm, n int) (float64, error) {
	took := clock.Stopwatch()
	if failed := handshakes(ctx, farm, n, scansAtOnce, time.Minute); failed > 0 {
		return 0, fmt.Errorf("%d bare handshakes of %d failed", failed, n)
	}
	return float64(n) / took().Seconds(), nil
}

// handshakes shakes hands with every server, so many at once and each within patience. It
// returns how many failed.
func handshakes(ctx context.Context, farm *tlsFarm, n, atOnce int, patience time.Duration) int {
	var next, failed atomic.Int64
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if bareHandshake(ctx, farm, i, patience) != nil {
					failed.Add(1)
				}
			}
		})
	}
	group.Wait()
	return int(failed.Load())
}

func bareHandshake(ctx context.Context, farm *tlsFarm, i int, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(farmAddress(i), strconv.Itoa(farm.port)))
	if err != nil {
		return err
	}
	client := tls.Client(conn, &tls.Config{RootCAs: farm.pool, ServerName: farmName(i), MinVersion: tls.VersionTLS12})
	defer client.Close()
	return client.HandshakeContext(ctx)
}

// makeDue gives every host a slot that has passed.
func (b *bench) makeDue(ctx context.Context) error {
	if _, err := b.admin.Exec(ctx, `UPDATE scan_cursors SET taken_s = 0, next_at = now()`); err != nil {
		return fmt.Errorf("make hosts due: %w", err)
	}
	return nil
}

// finishJobs waits until the jobs that earlier rounds made are done.
func (b *bench) finishJobs(ctx context.Context) error {
	return waitFor(ctx, "jobs of earlier rounds", 5*time.Minute, func() (bool, error) {
		var busy bool
		err := b.admin.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM river.river_job WHERE state IN ('available', 'running', 'pending'))`).Scan(&busy)
		return !busy, err
	})
}

// scanAll makes every host due, lets the running program scan them all, and returns the
// rate and PostgreSQL's processor time per scan.
func (b *bench) scanAll(ctx context.Context, v *vigilo, farm *tlsFarm, n int) (rate float64, cpu time.Duration, err error) {
	if err := b.finishJobs(ctx); err != nil {
		return 0, 0, err
	}
	if err := b.vacuum(ctx); err != nil {
		return 0, 0, err
	}
	farm.mark()
	due, done := b.clock.Now(), v.Services.Certificates.LoopStats().Scanned
	if err := b.makeDue(ctx); err != nil {
		return 0, 0, err
	}
	before, err := b.databaseCPU(ctx)
	if err != nil {
		return 0, 0, err
	}
	err = waitFor(ctx, "scans", 3*time.Minute, func() (bool, error) {
		if v.Services.Certificates.LoopStats().Scanned-done < int64(n) {
			return false, nil
		}
		var left bool
		err := b.admin.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM monitored_hosts WHERE last_scan_at IS NULL OR last_scan_at < $1)`, due).Scan(&left)
		return !left, err
	})
	if err != nil {
		return 0, 0, err
	}
	took := b.clock.Now().Sub(farm.begin())
	used, err := b.databaseCPU(ctx)
	if err != nil {
		return 0, 0, err
	}
	return float64(n) / took.Seconds(), spent(before, used) / time.Duration(n), nil
}

// confirm makes sure that what was measured happened: every host is valid.
func (b *bench) confirm(ctx context.Context, a db.Actor, n int) error {
	var valid int
	err := b.admin.QueryRow(ctx, `SELECT count(*) FROM monitored_hosts WHERE workspace_id = $1 AND status = 'valid'`, a.WorkspaceID).Scan(&valid)
	if err != nil {
		return fmt.Errorf("count hosts: %w", err)
	}
	if valid != n {
		return fmt.Errorf("%d of %d hosts are valid after the scans", valid, n)
	}
	return nil
}
