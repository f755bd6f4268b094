package certificates

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// TestAPageIsTheSameGatheredAndWalked asks for filters that few rows match and for such
// that nearly all do, in several orders, page by page in both directions.
func TestAPageIsTheSameGatheredAndWalked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	ctx := t.Context()
	var owner uuid.UUID
	if err := w.d.Admin(t).QueryRow(ctx, `SELECT id FROM members WHERE user_id = $1`, w.member.UserID).Scan(&owner); err != nil {
		t.Fatal(err)
	}
	// 80 hosts: more than 63 of them are many, since 63² is less than 50 times 80.
	w.exec(`SET session_replication_role = replica;
		INSERT INTO monitored_hosts (workspace_id, id, hostname, display_name, port, scan_interval, state, owner_member_id, tags, created_at,
			updated_at, status, severity, leaf_not_after, issuer)
		SELECT '` + w.ws.String() + `', gen_random_uuid(), 'h' || i || '.test', 'h' || i, 443, '24h', CASE WHEN i % 9 = 0 THEN 'paused' ELSE 'active' END,
			CASE WHEN i % 5 = 0 THEN '` + owner.String() + `'::uuid END, CASE WHEN i % 8 = 0 THEN '{all,some}' ELSE '{all}' END::text[], now(), now(),
			CASE WHEN i % 7 = 0 THEN 'weak' ELSE 'valid' END, i % 3, now() + make_interval(days => i % 20), CASE WHEN i % 6 = 0 THEN 'Rare' ELSE 'Usual' END
		FROM generate_series(1, 80) AS i;
		INSERT INTO host_tokens (workspace_id, host_id, origin, token)
		SELECT workspace_id, id, 'host', hostname FROM monitored_hosts UNION ALL SELECT workspace_id, id, 'host', 'test' FROM monitored_hosts;
		RESET session_replication_role`)
	for _, c := range []struct {
		filter hostFilter
		where  string
	}{
		{hostFilter{Tag: "all"}, "true"},
		{hostFilter{Tag: "some"}, "'some' = ANY(tags)"},
		{hostFilter{Issuer: "Usual"}, "issuer = 'Usual'"},
		{hostFilter{Issuer: "Rare", Tag: "all"}, "issuer = 'Rare'"},
		{hostFilter{Tag: "all", Status: "weak"}, "status = 'weak'"},
		{hostFilter{Status: "valid", Issuer: "Usual", Tag: "all"}, "status = 'valid' AND issuer = 'Usual'"},
		{hostFilter{Owner: owner.String()}, "owner_member_id IS NOT NULL"},
		{hostFilter{View: viewPaused}, "state = 'paused'"},
		{hostFilter{Text: "test"}, "true"},
		{hostFilter{Text: "h7"}, "hostname LIKE 'h7%'"},
		{hostFilter{Text: "test h1", Tag: "all"}, "hostname LIKE 'h1%'"},
		{hostFilter{Tag: "nobody"}, "false"},
	} {
		for sort, order := range map[string]string{
			"expires": "leaf_not_after, id", "-expires": "leaf_not_after DESC, id DESC", "host": "hostname, id", "-scanned": "id DESC",
		} {
			rows, err := w.d.Admin(t).Query(ctx, `SELECT id FROM monitored_hosts WHERE `+c.where+` ORDER BY `+order)
			if err != nil {
				t.Fatal(err)
			}
			want, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
			if err != nil {
				t.Fatal(err)
			}
			forth, back, count := w.turnPages(c.filter, sort)
			if !slices.Equal(want, forth) {
				t.Errorf("%+v by %s: %d hosts, or in another order; want %d", c.filter, sort, len(forth), len(want))
			}
			// Going back misses the last page, from which it began.
			if before := want[:max(0, (len(want)-1)/pageSize*pageSize)]; !slices.Equal(before, back) {
				t.Errorf("%+v by %s, backwards: %d hosts, or in another order; want %d", c.filter, sort, len(back), len(before))
			}
			if count != int64(len(want)) {
				t.Errorf("%+v: counted %d, want %d", c.filter, count, len(want))
			}
		}
	}
}

const pageSize = 7

// turnPages pages through a list to its end, and back from its last page to the first.
func (w *world) turnPages(f hostFilter, sort string) (forth, back []uuid.UUID, count int64) {
	w.t.Helper()
	read := func(cursor string) ([]uuid.UUID, db.Page[listedHost]) {
		q, err := queryOf(listedHosts, f, time.Now())
		if err != nil {
			w.t.Fatal(err)
		}
		if q, err = q.Sort(sort).Limit(pageSize).After(cursor); err != nil {
			w.t.Fatal(err)
		}
		var page *db.PageResult[listedHost]
		var n *db.Result[int64]
		if err := w.d.ReadBatch(context.Background(), w.member, func(b *db.Batch) { page, n = q.Queue(b), q.QueueCountTo(b, 1000) }); err != nil {
			w.t.Fatal(err)
		}
		count, _ = n.First()
		var ids []uuid.UUID
		for _, h := range page.Page.Items {
			ids = append(ids, h.ID)
		}
		return ids, page.Page
	}
	ids, page := read("")
	forth = ids
	for page.Next != "" {
		ids, page = read(page.Next)
		forth = append(forth, ids...)
	}
	for page.Prev != "" {
		ids, page = read(page.Prev)
		back = append(ids, back...)
	}
	return forth, back, count
}
