package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
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

// measureScans compares the whole pipeline with bare handshakes that verify (T1).
func measureScans(ctx context.Context, b *bench) (err error) {
	n := pick(b, 3000, 600)
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
		"VIGILO_TRUSTED_ROOTS_FILE=" + roots, "VIGILO_SCAN_CONCURRENCY=" + strconv.Itoa(scansAtOnce),
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
	var floors, calm, busy []float64
	var cpu []time.Duration
	for round := range pick(b, 5, 3) {
		floor, err := bareHandshakes(ctx, farm, n)
		if err != nil {
			return err
		}
		same, used, err := b.scanAll(ctx, o, farm, n)
		if err != nil {
			return err
		}
		if round == 0 {
			b.note("First scans of all hosts (certificates, snapshots, words, events): %s, PostgreSQL %s of processor time each.", perSecond(same), ms(used))
			continue
		}
		farm.renew(round*n/changedShare, n/changedShare)
		changed, _, err := b.scanAll(ctx, o, farm, n)
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
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	took := clock.Stopwatch()
	for range scansAtOnce {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := bareHandshake(ctx, farm, i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return 0, fmt.Errorf("bare handshake: %w", *err)
	}
	return float64(n) / took().Seconds(), nil
}

func bareHandshake(ctx context.Context, farm *tlsFarm, i int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(farmAddress(i), strconv.Itoa(farm.port)))
	if err != nil {
		return err
	}
	client := tls.Client(conn, &tls.Config{RootCAs: farm.pool, ServerName: farmName(i), MinVersion: tls.VersionTLS12})
	defer client.Close()
	return client.HandshakeContext(ctx)
}

// scanAll makes every host due, lets a fresh instance of the program scan them all, and
// returns the rate and PostgreSQL's processor time per scan.
func (b *bench) scanAll(ctx context.Context, o vigiloOptions, farm *tlsFarm, n int) (rate float64, cpu time.Duration, err error) {
	if _, err := b.admin.Exec(ctx, `UPDATE host_schedule SET next_at = now() - interval '1 minute', lease_until = NULL`); err != nil {
		return 0, 0, fmt.Errorf("make hosts due: %w", err)
	}
	if err := b.vacuum(ctx); err != nil {
		return 0, 0, err
	}
	farm.mark()
	due := b.clock.Now()
	v, err := b.start(ctx, o)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	var before map[int]time.Duration
	err = waitFor(ctx, "scans", 3*time.Minute, func() (bool, error) {
		if before == nil && !farm.begin().IsZero() {
			// What backends cost to start is no part of a scan.
			var err error
			if before, err = b.databaseCPU(ctx); err != nil {
				return false, err
			}
		}
		if v.Services.Certificates.LoopStats().Scanned < int64(n) {
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
