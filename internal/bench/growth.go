package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// tenant is a workspace of a given size.
type tenant struct {
	slug    string
	rows    int
	actor   db.Actor
	session string
}

// loadingTime bounds how long the rows of one workspace may take to load.
const loadingTime = 110 * time.Second

// measureGrowth asks whether pages (T5) and the claim of due hosts (T3) get slower as
// tables grow.
func measureGrowth(ctx context.Context, b *bench) (err error) {
	v, err := b.start(ctx, vigiloOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop()) }()
	tenants := []*tenant{{slug: "small", rows: 1_000}, {slug: "medium", rows: pick(b, 100_000, 20_000)}, {slug: "large", rows: pick(b, 1_000_000, 100_000)}}
	var claims []time.Duration
	total := 0
	var pace time.Duration // per row, of the tenant before
	for _, t := range tenants {
		if fits := int(loadingTime / max(pace, 1)); t.rows > 10_000 && fits < t.rows {
			t.rows = max(fits/10_000*10_000, 10_000)
			b.note("The machine was too busy to load the intended size of the workspace %q in %s.", t.slug, loadingTime)
		}
		took := clock.Stopwatch()
		if err := b.populate(ctx, v, t); err != nil {
			return err
		}
		b.say("%s: %d hosts and as many audit entries in %s", t.slug, t.rows, took().Round(time.Second))
		pace, total = took()/time.Duration(t.rows), total+t.rows
		if t.rows == 1_000 {
			continue
		}
		c, err := b.timeClaim(ctx)
		if err != nil {
			return err
		}
		claims = append(claims, c)
	}
	if err := b.wear(ctx); err != nil {
		return err
	}
	b.addClaims(claims, tenants)
	for _, p := range []struct{ what, path string }{
		{"list of hosts, first page", "/certificates"},
		{"list of hosts with a tag", "/certificates?tag=team-5"},
		{"audit log, first page", "/governance/audit"},
		{"home", ""},
	} {
		if err := b.compareSizes(ctx, v, tenants, p.what, p.path); err != nil {
			return err
		}
	}
	b.note("Each size is a workspace of its own in one database of %s hosts and audit entries; clients ask one at a time. One host in "+
		"seven was scanned since the last vacuum.", thousands(total))
	return nil
}

func (b *bench) populate(ctx context.Context, v *vigilo, t *tenant) error {
	var err error
	if t.actor, err = v.workspace(ctx, t.slug); err != nil {
		return err
	}
	if t.session, err = v.session(ctx, t.actor); err != nil {
		return err
	}
	if err := b.fillMany(ctx, t.actor, t.rows, hostRows, scheduleRows); err != nil {
		return err
	}
	return b.vacuum(ctx)
}

// wear brings the table of hosts into the state in which it is most of the time.
func (b *bench) wear(ctx context.Context) error {
	for _, sql := range []string{scannedRows, `ANALYZE monitored_hosts`, `CHECKPOINT`} {
		if _, err := b.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("wear table of hosts: %w", err)
		}
	}
	return nil
}

func (b *bench) compareSizes(ctx context.Context, v *vigilo, tenants []*tenant, what, path string) error {
	client := newClient(1)
	defer client.CloseIdleConnections()
	times := make([]loads, len(tenants))
	for round := range pick(b, 4, 2) {
		for i, t := range tenants {
			l, err := drive(ctx, client, page{v.base + "/ws/" + t.slug + path, t.session}, 1, pick(b, time.Second, 300*time.Millisecond))
			if err != nil {
				return fmt.Errorf("%s of %s: %w", what, t.slug, err)
			}
			if round > 0 { // the first one warms caches
				times[i] = append(times[i], l)
			}
		}
	}
	last := len(tenants) - 1
	r := share(times[last].p50(), times[0].p50())
	var all []string
	for i, t := range tenants {
		all = append(all, ms(times[i].p50())+" at "+thousands(t.rows))
	}
	b.add(result{
		"T5", what + ", p50", all[0], strings.Join(all[1:], ", "), ratio(r), "≤ 1.5 × " + thousands(tenants[0].rows) + " rows", judge(r <= 1.5),
	})
	return nil
}

// timeClaim runs the product's own claim of 500 due hosts and rolls it back.
func (b *bench) timeClaim(ctx context.Context) (time.Duration, error) {
	var sqls [2]string
	for i, name := range []string{"certificates.keep_plan", "certificates.claim_due"} {
		var err error
		if sqls[i], err = declared(name); err != nil {
			return 0, err
		}
	}
	conn, err := pgx.Connect(ctx, b.db.URL("vigilo_system"))
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	var times []time.Duration
	var before map[int]time.Duration
	const warm = 3
	rounds := pick(b, 25, 8)
	for round := range rounds + warm {
		if round == warm {
			if before, err = b.databaseCPU(ctx); err != nil {
				return 0, err
			}
		}
		took, err := b.claimOnce(ctx, conn, sqls[0], sqls[1])
		if err != nil {
			return 0, fmt.Errorf("claim: %w", err)
		}
		if round >= warm {
			times = append(times, took)
		}
	}
	after, err := b.databaseCPU(ctx)
	if err != nil {
		return 0, err
	}
	b.note("A claim of 500 takes %s of PostgreSQL's processor time.", ms(spent(before, after)/time.Duration(rounds)))
	return median(times), nil
}

// claimOnce claims 500 hosts as the loop does, both statements included, and rolls back.
func (b *bench) claimOnce(ctx context.Context, conn *pgx.Conn, keepPlan, claimDue string) (time.Duration, error) {
	const limit = 500
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	now := b.clock.Now()
	took := clock.Stopwatch()
	if _, err := tx.Exec(ctx, keepPlan); err != nil {
		return 0, fmt.Errorf("keep plan: %w", err)
	}
	rows, err := tx.Query(ctx, claimDue, pgx.StrictNamedArgs{
		"now": now, "epoch": now.Unix(), "limit": limit, "share": limit, "workspaces": []uuid.UUID{}, "rooms": []int32{},
		"lease": now.Add(2 * time.Minute),
	})
	if err != nil {
		return 0, fmt.Errorf("ask: %w", err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	elapsed := took()
	if err := tx.Rollback(ctx); err != nil {
		return 0, fmt.Errorf("roll back: %w", err)
	}
	if n == 0 || n > limit {
		return 0, fmt.Errorf("took %d hosts", n)
	}
	return elapsed, nil
}

func (b *bench) addClaims(claims []time.Duration, tenants []*tenant) {
	r := share(claims[1], claims[0])
	b.add(result{
		"T3", "claim of 500 due hosts", ms(claims[0]) + " at " + thousands(tenants[0].rows+tenants[1].rows),
		ms(claims[1]) + " at " + thousands(tenants[0].rows+tenants[1].rows+tenants[2].rows), ratio(r), "≤ 5 ms and flat",
		judge(claims[1] <= 5*time.Millisecond && r <= 1.5),
	})
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
