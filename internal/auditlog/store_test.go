package auditlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// fill adds n entries of the workspace, spread evenly over the last days, as a superuser:
// only the database says when an entry arrives, so the ledger cannot write the past. Every
// entry holds the word "routine", each hundredth "seldom".
func (b *bench) fill(t testing.TB, ws uuid.UUID, n, days int) {
	t.Helper()
	ctx := context.Background()
	for m := range days/30 + 2 {
		if _, err := b.Admin(t).Exec(ctx, `SELECT audit.ensure_partition((now() - make_interval(months => $1))::date)`, m); err != nil {
			t.Fatal(err)
		}
	}
	// The trigger adds to a list of the transaction for each row, which a million rows in one
	// transaction turn into hours.
	if _, err := b.Admin(t).Exec(ctx, `ALTER TABLE audit.event DISABLE TRIGGER after_insert`); err != nil {
		t.Fatal(err)
	}
	_, err := b.Admin(t).Exec(ctx, `
		INSERT INTO audit.event (workspace_id, event_id, recorded_at, occurred_at, action, category, outcome, severity,
			actor_kind, actor_id, target_type, target_id, target_key, detail, diff, leaf_salt)
		SELECT $1, gen_random_uuid(), at, at, CASE WHEN i % 50 = 0 THEN 'host.removed' ELSE 'scan.finished' END, 1,
			CASE WHEN i % 200 = 0 THEN 2 ELSE 1 END, 1,
			1, md5('actor ' || i % 200)::uuid, 'host', md5('host ' || i % 400)::uuid, 'H-' || i % 400,
			jsonb_build_object('title', CASE WHEN i % 100 = 0 THEN 'seldom ' ELSE '' END || 'routine ' || i),
			jsonb_build_array(jsonb_build_object('field', 'grade', 'from', 'B', 'to', 'A')), decode(md5(i::text), 'hex')
		FROM generate_series(1, $2::int) AS i,
			LATERAL (SELECT now() - make_interval(secs => i * ($3::float8 * 86400 / $2::int)) AS at) AS t`, ws, n, days)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admin(t).Exec(ctx, `ALTER TABLE audit.event ENABLE ALWAYS TRIGGER after_insert`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admin(t).Exec(ctx, `VACUUM ANALYZE audit.event`); err != nil {
		t.Fatal(err)
	}
}

// fixtureID is the id that fill derives from a text.
func fixtureID(t testing.TB, b *bench, text string) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	if err := b.Admin(t).QueryRow(context.Background(), `SELECT md5($1)::uuid`, text).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// explainer notes the plan of each query before it runs it.
type explainer struct {
	*db.Tx
	plans []string
}

func (e *explainer) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := e.Tx.Query(ctx, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) "+sql, args...)
	if err != nil {
		return nil, err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	e.plans = append(e.plans, strings.Join(lines, "\n"))
	return e.Tx.Query(ctx, sql, args...)
}

var (
	readPartition = regexp.MustCompile(`(?:on|using) event_(\d{4}_\d{2})`)
	scanned       = regexp.MustCompile(`Scan.* on event_(\d{4}_\d{2})[^\n]*\n`)
)

// partitionsRead returns the partitions that a plan really read.
func partitionsRead(plan string) []string {
	var out []string
	for _, line := range strings.Split(plan, "\n") {
		m := scanned.FindStringSubmatch(line + "\n")
		if m != nil && !strings.Contains(line, "never executed") && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

func TestPlansPruneAndUseTheIndexOfTheFilter(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.fill(t, b.ws, 40_000, 180)
	b.fill(t, b.Workspace(t, "globex"), 20_000, 180)
	ctx := context.Background()
	now := time.Now().UTC()
	recent := map[string]bool{}
	for m := range 5 {
		recent[now.AddDate(0, -m, -now.Day()+1).Format("2006_01")] = true
	}
	for _, c := range []struct {
		name   string
		filter Filter
		index  string // part of the name that PostgreSQL gives the index of a partition
	}{
		{"newest", Filter{}, "workspace_id_recorded_at_event_id_idx"},
		{"actor", Filter{Actor: fixtureID(t, b, "actor 7").String()}, "workspace_id_actor_id_"},
		{"target", Filter{Target: "host:" + fixtureID(t, b, "host 7").String()}, "workspace_id_target_type_target_id"},
		{"action", Filter{Action: "host.removed"}, "workspace_id_action_"},
		{"prefix of action", Filter{Action: "hostess."}, "workspace_id_action_"},
		{"key", Filter{Target: "H-7"}, "workspace_id_target_key_"},
		{"what was refused", Filter{Outcome: "denied"}, "workspace_id_outcome_"},
	} {
		crit, err := c.filter.Parse(now, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		err = b.InWorkspace(ctx, b.viewer, func(tx *db.Tx) error {
			x := &explainer{Tx: tx}
			page, err := listQuery(crit).Limit(20).Page(ctx, x)
			if err != nil {
				return err
			}
			if page.Next != "" {
				q, err := listQuery(crit).Limit(20).After(page.Next)
				if err != nil {
					return err
				}
				if _, err := q.Page(ctx, x); err != nil {
					return err
				}
			} else if c.filter.Action != "hostess." {
				t.Errorf("%s: one page only, so the cursor was not tried", c.name)
			}
			for i, plan := range x.plans {
				if !strings.Contains(plan, c.index) {
					t.Errorf("%s, page %d: the plan does not use an index like %s:\n%s", c.name, i+1, c.index, plan)
				}
				if strings.Contains(plan, "Seq Scan on event_") {
					t.Errorf("%s, page %d: the plan reads a whole partition:\n%s", c.name, i+1, plan)
				}
				for _, p := range partitionsRead(plan) {
					if !recent[p] {
						t.Errorf("%s, page %d: partition %s of another time was read:\n%s", c.name, i+1, p, plan)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestACursorPrunesThePartitionsAfterIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.fill(t, b.ws, 2_000, 180)
	ctx := context.Background()
	c, err := Filter{Window: "365d"}.Parse(time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	err = b.InWorkspace(ctx, b.viewer, func(tx *db.Tx) error {
		q := listQuery(c).Limit(200)
		for range 8 { // about 140 of the 180 days
			p, err := q.Page(ctx, tx)
			if err != nil {
				return err
			}
			if q, err = q.After(p.Next); err != nil {
				return err
			}
		}
		x := &explainer{Tx: tx}
		if _, err := q.Page(ctx, x); err != nil {
			return err
		}
		if this := time.Now().UTC().Format("2006_01"); slices.Contains(mentioned(x.plans[0]), this) {
			t.Errorf("a page of months ago still plans the partition of this month:\n%s", x.plans[0])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mentioned returns the partitions that a plan holds at all.
func mentioned(plan string) []string {
	var out []string
	for _, m := range readPartition.FindAllStringSubmatch(plan, -1) {
		out = append(out, m[1])
	}
	return out
}

// find runs the search as the application, in one transaction.
func (b *bench) find(t testing.TB, ws uuid.UUID, text string) []hit {
	t.Helper()
	var out []hit
	err := b.InWorkspace(context.Background(), db.System(ws, "test"), func(tx *db.Tx) error {
		var err error
		out, err = searchText.All(context.Background(), tx, db.Args{
			"from": time.Now().Add(-365 * day), "to": time.Now().Add(time.Hour), "text": text,
		})
		return err
	})
	if err != nil {
		t.Fatalf("search for %q: %v", text, err)
	}
	return out
}

func TestTheSearchCannotBeTricked(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	other := b.Workspace(t, "globex")
	b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host", Key: "H-1", Title: "plan's 100% a_b c\\d"}})
	theirs := b.Member(t, other, "Gus Globex", "owner")
	b.record(t, theirs, ledger.Entry{Action: "host.removed", Subject: event.Subject{Type: "host", Key: "H-2", Title: "plan globex"}})

	for text, want := range map[string]int{
		"plan": 1, "100%": 1, "%": 0, "_": 0, "a_b": 1, "axb": 0, `c\d`: 1, "plan's": 1, "'": 0, `plan' | 'globex`: 0,
		"plan:*": 1, "!plan": 1, "plan | globex": 0, "plan & 100": 1, "plan <-> 100": 1, "globex": 0, "": 0, "   ": 0,
		"ws:" + other.String(): 0, "'ws:" + other.String() + "'": 0, "plan') OR true --": 0, "plan\t\n100": 1,
		strings.Repeat("plan ", 5000): 1, strings.Repeat("x", 50_000): 0, "\u202eplan": 1, "plan 😀": 1,
	} {
		if got := len(b.find(t, b.ws, text)); got != want {
			t.Errorf("%.60q finds %d entries, want %d", text, got, want)
		}
	}
}

func TestOnlyTheApplicationSearchesAndOnlyInAWorkspace(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	const q = `SELECT * FROM audit.search('-infinity', 'infinity', 'a')`
	for role, code := range map[string]string{"vigilo_system": "42501", "vigilo_app": "42704"} {
		conn, err := pgx.Connect(ctx, b.URL(role))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, q)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != code {
			t.Errorf("%s without a workspace: %v, want %s", role, err, code)
		}
	}
	for _, sql := range []string{
		`SET ROLE vigilo_audit_search`, `CREATE FUNCTION audit.evil() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`ALTER FUNCTION audit.search(timestamptz, timestamptz, text) SECURITY INVOKER`,
	} {
		err := b.InWorkspace(ctx, b.admin, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" {
			t.Errorf("%s: %v, want 42501", sql, err)
		}
	}
	var creates, owns bool
	err := b.Admin(t).QueryRow(ctx, `SELECT has_schema_privilege('vigilo_audit_search', 'audit', 'CREATE'),
		EXISTS (SELECT 1 FROM pg_class WHERE relowner = 'vigilo_audit_search'::regrole)`).Scan(&creates, &owns)
	if err != nil || creates || owns {
		t.Errorf("the owner of the search may create %v, owns tables %v, %v", creates, owns, err)
	}
}

// Entries of fill hold "routine" each, "seldom" one in a hundred and "grade" in no title:
// every way to find them shows the same list.
func TestFrequentAndRareWordsAreFoundNewestFirst(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.fill(t, b.ws, 12_000, 60)
	ctx := context.Background()
	for _, tt := range []struct {
		text     string
		like     string // part of the title
		frequent bool
	}{
		{"routine", "routine", true},
		{"seldom", "seldom", false},
		{"seldom routine", "seldom", false},
		{"ROUT", "routine", true},
		{"routine 11999", "routine 11999", false},
		{"nowhere", "nowhere", false},
	} {
		found := b.find(t, b.ws, tt.text)
		if got := len(found) == 1 && found[0].Frequent; got != tt.frequent {
			t.Errorf("%q: frequent %v among %d", tt.text, got, len(found))
		}
		rows, err := b.Admin(t).Query(ctx, `SELECT event_id FROM audit.event WHERE detail->>'title' LIKE '%' || $1 || '%'
			ORDER BY recorded_at DESC, event_id DESC`, tt.like)
		if err != nil {
			t.Fatal(err)
		}
		want, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			t.Fatal(err)
		}
		if got := newHits(found).ids; !tt.frequent && !slices.Equal(got, want) {
			t.Errorf("%q finds %d entries in some order, want %d newest first", tt.text, len(got), len(want))
		}
		c, err := Filter{Text: tt.text, Window: "365d"}.Parse(time.Now(), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		var listed []uuid.UUID
		for cursor := ""; ; {
			p, err := b.s.List(ctx, b.viewer, c, func(q *db.ListQuery[activity.Row]) (*db.ListQuery[activity.Row], error) {
				return q.Limit(200).After(cursor)
			}, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			most := db.CountCap + 1
			if tt.frequent {
				most = walkCap + 1
			}
			if p.Count != int64(min(len(want), most)) {
				t.Fatalf("%q: counted %d, want %d", tt.text, p.Count, len(want))
			}
			for _, e := range p.Entries {
				listed = append(listed, e.ID)
			}
			if cursor = p.Next; cursor == "" || len(listed) > 1000 {
				break
			}
		}
		if !slices.Equal(listed, want[:min(len(want), len(listed))]) || len(listed) < min(len(want), 1000) {
			t.Errorf("%q lists %d entries in some order, want %d newest first", tt.text, len(listed), len(want))
		}
	}
}

// Pages of a rare word are cut from its hits, in both directions and both orders, as a
// list that is read whole would be.
func TestPagesOfARareWordFollowEachOther(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.fill(t, b.ws, 2_000, 60) // 20 of them seldom
	ctx := context.Background()
	c, err := Filter{Text: "seldom"}.Parse(time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, sort := range []string{"-recorded_at", "recorded_at"} {
		read := func(cursor string, limit int) Page {
			t.Helper()
			p, err := b.s.List(ctx, b.viewer, c, func(q *db.ListQuery[activity.Row]) (*db.ListQuery[activity.Row], error) {
				return q.Sort(sort).Limit(limit).After(cursor)
			}, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			if p.Count != 20 {
				t.Errorf("%s: counted %d", sort, p.Count)
			}
			return p
		}
		whole := ids(read("", 200).Entries)
		var forth, back []uuid.UUID
		p := read("", 7)
		for {
			forth = append(forth, ids(p.Entries)...)
			if p.Next == "" {
				break
			}
			p = read(p.Next, 7)
		}
		for cursor := p.Prev; cursor != ""; cursor = p.Prev {
			p = read(cursor, 7)
			back = append(ids(p.Entries), back...)
		}
		if len(whole) != 20 || !slices.Equal(forth, whole) || !slices.Equal(back, whole[:14]) {
			t.Errorf("%s: %d whole, %d forth, %d back", sort, len(whole), len(forth), len(back))
		}
	}
}

// A word that is frequent only among old entries is too much to collect, too.
func TestMoreHitsThanASearchCollectsAreWalked(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.fill(t, b.ws, 12_000, 60)
	for range 1_001 {
		b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host", Key: "H-1", Title: "recent"}})
	}
	if found := b.find(t, b.ws, "routine"); len(found) != 1 || !found[0].Frequent {
		t.Errorf("found %d", len(found))
	}
	p := b.list(t, b.viewer, Filter{Text: "routine"})
	if len(p.Entries) != 50 || !strings.HasPrefix(p.Entries[0].Target.Title, "routine 1") || p.Count != walkCap+1 {
		t.Errorf("%d entries, %d counted", len(p.Entries), p.Count)
	}
}

func TestASearchLeavesTheSessionAsItWas(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.fill(t, b.ws, 2_000, 60)
	ctx := context.Background()
	err := b.InWorkspace(ctx, b.admin, func(tx *db.Tx) error {
		for _, text := range []string{"routine", "seldom"} {
			if _, err := searchText.All(ctx, tx, db.Args{"from": time.Now().Add(-365 * day), "to": time.Now(), "text": text}); err != nil {
				return err
			}
		}
		for _, setting := range []string{"enable_seqscan", "enable_indexscan", "enable_bitmapscan", "search_path"} {
			var value, reset string
			if err := tx.QueryRow(ctx, `SELECT setting, reset_val FROM pg_settings WHERE name = $1`, setting).Scan(&value, &reset); err != nil {
				return err
			}
			if value != reset {
				t.Errorf("%s is %s after the search, was %s", setting, value, reset)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAuditPage measures the first page of each filter in a log of
// VIGILO_BENCH_ROWS entries over 12 months, half of them of this workspace.
func BenchmarkAuditPage(bb *testing.B) {
	n, err := strconv.Atoi(os.Getenv("VIGILO_BENCH_ROWS"))
	if err != nil || n < 1000 {
		bb.Skip("set VIGILO_BENCH_ROWS to a number such as 1000000")
	}
	b := setUp(bb)
	b.fill(bb, b.ws, n/2, 365)
	b.fill(bb, b.Workspace(bb, "globex"), n/2, 365)
	host := fixtureID(bb, b, "host 7")
	for name, f := range map[string]Filter{
		"newest": {}, "actor": {Actor: fixtureID(bb, b, "actor 7").String()}, "target": {Target: "host:" + host.String()},
		"action": {Action: "host.removed"}, "prefix": {Action: "host."}, "key": {Target: "H-7"}, "outcome": {Outcome: "denied"},
		"text_rare": {Text: fmt.Sprint("routine ", 500)}, "text_seldom": {Text: "seldom"}, "text_common": {Text: "routine"},
	} {
		bb.Run(name, func(bb *testing.B) {
			for bb.Loop() {
				b.list(bb, b.viewer, f)
			}
		})
	}
	bb.Run("activity_of_thing", func(bb *testing.B) {
		reader := activity.New(b.ledger)
		for bb.Loop() {
			err := b.InWorkspace(context.Background(), b.viewer, func(tx *db.Tx) error {
				_, err := reader.Of(context.Background(), tx, "host", host, 50)
				return err
			})
			if err != nil {
				bb.Fatal(err)
			}
		}
	})
}
