package certificates

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// counted returns the counts that the database keeps, and those that counting gives.
func (w *world) counted() (kept, real map[string]int64) {
	w.t.Helper()
	read := func(sql string) map[string]int64 {
		rows, err := w.d.Admin(w.t).Query(context.Background(), sql)
		if err != nil {
			w.t.Fatal(err)
		}
		out := map[string]int64{}
		var name string
		var n int64
		if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { out[name] = n; return nil }); err != nil {
			w.t.Fatal(err)
		}
		return out
	}
	kept = read(`SELECT workspace_id || ' ' || kind || ' ' || key, sum(delta) FROM host_counts GROUP BY 1 HAVING sum(delta) <> 0`)
	real = read(`
		SELECT workspace_id || ' status ' || state || ' ' || status, count(*) FROM monitored_hosts GROUP BY 1
		UNION ALL SELECT workspace_id || ' ends ' || lpad((extract(epoch FROM leaf_not_after)::bigint / 86400)::text, 7, '0'), count(*) FROM monitored_hosts
			WHERE state = 'active' AND status <> 'expired' AND leaf_not_after < '9999-12-31' GROUP BY 1
		UNION ALL SELECT workspace_id || ' issuer ' || issuer, count(*) FROM monitored_hosts WHERE issuer <> '' GROUP BY 1
		UNION ALL SELECT workspace_id || ' owner ' || owner_member_id, count(*) FROM monitored_hosts WHERE owner_member_id IS NOT NULL GROUP BY 1
		UNION ALL SELECT workspace_id || ' tag ' || tag, count(*) FROM monitored_hosts CROSS JOIN unnest(tags) AS tag GROUP BY 1`)
	return kept, real
}

// disturb does something at random to the hosts of a workspace, as the program's own role.
func disturb(ctx context.Context, tx *db.Tx, rnd *rand.Rand, members []uuid.UUID) error {
	ws := tx.Actor.WorkspaceID
	statuses := Statuses()
	status := func() string { return string(statuses[rnd.IntN(len(statuses))]) }
	end := func() time.Time { return tx.Now.Add(time.Duration(rnd.IntN(400*24)-24) * time.Hour) }
	some := `(SELECT id FROM monitored_hosts WHERE workspace_id = $1 ORDER BY md5(id::text || $2::text) LIMIT ` + fmt.Sprint(1+rnd.IntN(4)) + `)`
	seed := fmt.Sprint(rnd.Int64())
	exec := func(sql string, args ...any) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}
	switch rnd.IntN(8) {
	case 0, 1:
		return exec(`INSERT INTO monitored_hosts (workspace_id, id, hostname, display_name, port, scan_interval, state, owner_member_id,
				created_at, updated_at, status, leaf_not_after, issuer)
			SELECT $1, gen_random_uuid(), 'h' || $2::text || '-' || i, 'h', 443, '24h', CASE WHEN i % 3 = 0 THEN 'paused' ELSE 'active' END,
				CASE WHEN i % 2 = 0 THEN $3::uuid END, now(), now(), $4, $5, CASE WHEN i % 4 = 0 THEN '' ELSE 'CA ' || i % 3 END
			FROM generate_series(1, $6::int) AS i`, ws, seed, members[rnd.IntN(len(members))], status(), end(), 1+rnd.IntN(7))
	case 2:
		return exec(`UPDATE monitored_hosts SET status = $3, leaf_not_after = $4, issuer = $5 WHERE workspace_id = $1 AND id IN `+some,
			ws, seed, status(), end(), fmt.Sprintf("CA %d", rnd.IntN(3)))
	case 3:
		return exec(`UPDATE monitored_hosts SET state = CASE state WHEN 'active' THEN 'paused' ELSE 'active' END, owner_member_id = $3
			WHERE workspace_id = $1 AND id IN `+some, ws, seed, members[rnd.IntN(len(members))])
	case 4:
		return exec(`UPDATE monitored_hosts SET last_scan_at = now(), state = state WHERE workspace_id = $1 AND id IN `+some, ws, seed)
	case 5:
		return exec(`DELETE FROM monitored_hosts WHERE workspace_id = $1 AND id IN `+some, ws, seed)
	case 6:
		return exec(`UPDATE monitored_hosts SET tags = ARRAY(SELECT 't' || i FROM generate_series(1, $3::int) AS i)
			WHERE workspace_id = $1 AND id IN `+some, ws, seed, rnd.IntN(4))
	default:
		return exec(`UPDATE monitored_hosts SET tags = CASE WHEN tags = '{}' THEN '{t2,t9}' ELSE tags[2:] END
			WHERE workspace_id = $1 AND id IN `+some, ws, seed)
	}
}

func TestCountsAreThoseOfCounting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	ctx := context.Background()
	// The guard that asks for an entry of each change is the product's and has its own tests.
	if _, err := w.d.Admin(t).Exec(ctx, `ALTER TABLE monitored_hosts DISABLE TRIGGER audit_required; ALTER TABLE members DISABLE TRIGGER audit_required`); err != nil {
		t.Fatal(err)
	}
	undo := fmt.Errorf("rolled back on purpose")
	workers := make(chan error)
	spaces := []uuid.UUID{w.ws, w.d.Workspace(t, "globex")}
	seed := uint64(time.Now().UnixNano())
	for i := range 4 {
		ws := spaces[i%2]
		var members []uuid.UUID
		for j := range 2 {
			a := w.d.Member(t, ws, fmt.Sprintf("Owner %d %d", i, j), "member")
			var id uuid.UUID
			if err := w.d.Admin(t).QueryRow(ctx, `SELECT id FROM members WHERE workspace_id = $1 AND user_id = $2`, ws, a.UserID).Scan(&id); err != nil {
				t.Fatal(err)
			}
			members = append(members, id)
		}
		go func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 60 {
				// Rows of hosts may be wanted by two at once; counting them must add no waiting
				// of its own, so whoever loses a deadlock between hosts tries something else.
				err := w.d.InWorkspace(ctx, db.System(ws, "test"), func(tx *db.Tx) error {
					for range 1 + rnd.IntN(3) {
						if err := disturb(ctx, tx, rnd, members); err != nil {
							return err
						}
					}
					if rnd.IntN(5) == 0 {
						return undo
					}
					return nil
				})
				if err != nil && err != undo && !strings.Contains(err.Error(), "deadlock") {
					workers <- err
					return
				}
			}
			// A member who leaves takes the ownership with them, by a foreign key.
			workers <- w.d.InWorkspace(ctx, db.System(ws, "test"), func(tx *db.Tx) error {
				_, err := tx.Exec(ctx, `DELETE FROM members WHERE workspace_id = $1 AND id = $2`, ws, members[0])
				return err
			})
		}()
	}
	for left := 4; left > 0; {
		select {
		case err := <-workers:
			left--
			if err != nil {
				t.Fatal(err)
			}
		default:
			if err := w.MergeCounts(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	var strays int
	err := w.d.Admin(t).QueryRow(ctx, `SELECT count(*) FROM (SELECT workspace_id, id, unnest(tags) AS tag FROM monitored_hosts) AS h
		FULL JOIN host_tags t ON t.workspace_id = h.workspace_id AND t.host_id = h.id AND t.tag = h.tag WHERE h.id IS NULL OR t.host_id IS NULL`).Scan(&strays)
	if err != nil || strays != 0 {
		t.Errorf("seed %d: %d tags stand on one side only (%v)", seed, strays, err)
	}
	kept, real := w.counted()
	if len(real) < 20 {
		t.Fatalf("only %d counts: the test changed next to nothing", len(real))
	}
	if diff := cmp.Diff(real, kept); diff != "" {
		t.Errorf("seed %d: counted, then kept:\n%s", seed, diff)
	}
	if err := w.MergeCounts(ctx); err != nil {
		t.Fatal(err)
	}
	merged, _ := w.counted()
	if diff := cmp.Diff(real, merged); diff != "" {
		t.Errorf("seed %d: counted, then kept after a merge:\n%s", seed, diff)
	}
	var rows int
	if err := w.d.Admin(t).QueryRow(ctx, `SELECT count(*) FROM host_counts`).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if rows != len(real) {
		t.Errorf("%d rows for %d counts after a merge", rows, len(real))
	}
}

func TestAScanThatFindsNothingNewWritesNoCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	ctx := context.Background()
	if _, _, err := w.AddHost(ctx, w.member, NewHost{Hostname: "a.example.test"}); err != nil {
		t.Fatal(err)
	}
	rows := func() (n int) {
		if err := w.d.Admin(t).QueryRow(ctx, `SELECT count(*) FROM host_counts`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := rows()
	if before == 0 {
		t.Fatal("a host that was added is not counted")
	}
	err := w.d.InWorkspace(ctx, db.System(w.ws, "test"), func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE monitored_hosts SET last_scan_at = now(), consecutive_failures = 1 WHERE workspace_id = $1`, w.ws)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := rows(); after != before {
		t.Errorf("%d rows, want %d", after, before)
	}
}

func TestTheListSaysWhatItShows(t *testing.T) {
	t.Parallel()
	c := newHostCounts([]countRow{
		{Kind: countStatus, Key: "active valid", Count: 5},
		{Kind: countStatus, Key: "active expired", Count: 2},
		{Kind: countStatus, Key: "paused expired", Count: 1},
		{Kind: countEnds, Key: "1", Count: 1}, // days 0 to 6
		{Kind: countEnds, Key: "5", Count: 2}, // days 28 to 30
		{Kind: countEnds, Key: "6", Count: 4}, // days 31 to 34
	})
	if c.Total != 8 || c.Active != 7 || c.Paused != 1 || c.view(viewExpired) != 2 || c.view(viewHealthy) != 5 {
		t.Errorf("counts: %+v", c)
	}
	if c.Soon != 3 || c.Weeks[0] != 1 || c.Weeks[4] != 6 {
		t.Errorf("soon %d, weeks %v", c.Soon, c.Weeks)
	}
	if n := c.matching(hostFilter{Status: "expired,valid,expired"}); n != 8 {
		t.Errorf("%d hosts expired or valid, want 8", n)
	}
	if n := c.matching(hostFilter{Status: string(x509lint.StatusExpired)}); n != 3 {
		t.Errorf("%d hosts expired, want 3", n)
	}
}

func TestNamesAreOfferedByHowManyHaveThem(t *testing.T) {
	t.Parallel()
	got := frequent([]countRow{{Key: "b", Count: 2, Whole: true}, {Key: "a", Count: 2}, {Key: "c", Count: 9, Whole: true}, {Key: "gone", Count: 0, Whole: true}})
	if diff := cmp.Diff([]nameCount{{"c", 9}, {"a", 2}, {"b", 2}}, got); diff != "" {
		t.Error(diff)
	}
	var many []countRow
	for i := range choices {
		many = append(many, countRow{Key: fmt.Sprint(i), Count: 100, Whole: true})
	}
	if got := frequent(append(many, countRow{Key: "new", Count: 500})); len(got) != choices || got[0].Name == "new" {
		t.Errorf("a name whose number is not known whole is offered: %v", got[0])
	}
}
