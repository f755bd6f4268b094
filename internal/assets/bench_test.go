package assets

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// seedGraph fills a workspace with 50,000 assets and 200,000 relationships, as the budget
// of the design says, and returns an asset in the middle. Assets stand in layers: each
// depends on four of the thousand before it, so that three steps reach a few hundred and
// six reach past the limit of a walk.
func seedGraph(b *testing.B, w *world) uuid.UUID {
	b.Helper()
	ctx := context.Background()
	var start uuid.UUID
	err := pgx.BeginFunc(ctx, w.d.Admin(b), func(tx pgx.Tx) error {
		// The completeness guard is the product's; a benchmark's data is no state change.
		for _, sql := range []string{
			`SET LOCAL session_replication_role = replica`,
			`CREATE TEMP TABLE n ON COMMIT DROP AS SELECT i, gen_random_uuid() AS id FROM generate_series(1, 50000) AS i`,
			`CREATE UNIQUE INDEX ON n (i)`,
			`INSERT INTO assets (workspace_id, id, name, name_key, ci_type, environment, criticality, lifecycle, provider, created_at, updated_at)
				SELECT '` + w.ws.String() + `', id, 'node-' || i, 'node-' || i, 'server', 'prod', 'medium', 'active', 'manual', now(), now() FROM n`,
			`INSERT INTO asset_tags (workspace_id, asset_id, tag) SELECT '` + w.ws.String() + `', id, 'tag' || i % 40 FROM n`,
			`INSERT INTO asset_relationships (workspace_id, id, from_id, to_id, type, created_at)
				SELECT '` + w.ws.String() + `', gen_random_uuid(), a.id, b.id, 'depends_on', now()
				FROM n a CROSS JOIN generate_series(1, 4) AS k
				JOIN n b ON b.i = a.i - 1 - (a.i * 7919 + k * 104729) % 1000
				ON CONFLICT DO NOTHING`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, `SELECT id FROM n WHERE i = 25000`).Scan(&start)
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := w.d.Admin(b).Exec(ctx, `ANALYZE assets, asset_tags, asset_relationships`); err != nil {
		b.Fatal(err)
	}
	return start
}

func BenchmarkImpact(b *testing.B) {
	w := newWorld(b)
	start := seedGraph(b, w)
	for _, c := range []struct {
		name  string
		depth int
	}{{"depth 3", 3}, {"depth 6", 6}} {
		b.Run(c.name, func(b *testing.B) {
			var got Impact
			for b.Loop() {
				err := w.d.InWorkspace(context.Background(), w.member, func(tx *db.Tx) error {
					var err error
					got, err = w.Impact(context.Background(), tx, []uuid.UUID{start}, c.depth)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(got.Downstream)+len(got.Upstream)), "assets/op")
		})
	}
}

func BenchmarkListPage(b *testing.B) {
	w := newWorld(b)
	seedGraph(b, w)
	q, err := filter{View: viewInUse, Text: "node-4"}.query()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := w.d.ReadBatch(context.Background(), w.member, func(batch *db.Batch) {
			q.Queue(batch)
			q.QueueCount(batch)
			summary.Queue(batch, nil)
			tagCounts.Queue(batch, nil)
			teamCounts.Queue(batch, nil)
			ownerCounts.Queue(batch, nil)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
