package db

import (
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// RolesSQL creates the database roles. It needs a superuser, or a role that may create
// roles, and may be run again.
//
//go:embed bootstrap.sql
var RolesSQL string

// riverGrants let vigilo_app insert jobs of its own workspace inside our transactions
// and see no others; vigilo_system works them all. Run after each migration, because a
// new River release may add tables.
const riverGrants = `
GRANT USAGE ON SCHEMA river TO vigilo_app, vigilo_system;
GRANT SELECT, INSERT ON river.river_job TO vigilo_app;
GRANT UPDATE (kind) ON river.river_job TO vigilo_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA river TO vigilo_app;
GRANT ALL ON ALL TABLES IN SCHEMA river TO vigilo_system;
GRANT ALL ON ALL SEQUENCES IN SCHEMA river TO vigilo_system;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA river TO vigilo_app, vigilo_system;
ALTER TABLE river.river_job ENABLE ROW LEVEL SECURITY;
ALTER TABLE river.river_job FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS tenant ON river.river_job;
CREATE POLICY tenant ON river.river_job TO vigilo_app
    USING (args->>'workspace_id' = (SELECT current_setting('app.workspace_id')));
DROP POLICY IF EXISTS system ON river.river_job;
CREATE POLICY system ON river.river_job TO vigilo_system USING (true);
DROP POLICY IF EXISTS owner ON river.river_job;
CREATE POLICY owner ON river.river_job TO vigilo_owner USING (true);`

// riverIndexes drops two indexes of River's that only its own page searches by. Half of
// what a job costs to insert goes into them (docs/benchmarks.md, T9).
const riverIndexes = `
DROP INDEX IF EXISTS river.river_job_args_index;
DROP INDEX IF EXISTS river.river_job_metadata_index;`

// Migrate brings the schema up to date as vigilo_owner. Two processes that start
// together wait for each other. It returns the version reached.
func Migrate(ctx context.Context, ownerURL string, files fs.FS, log *slog.Logger) (int64, error) {
	cfg, err := pgxpool.ParseConfig(ownerURL)
	if err != nil {
		return 0, fmt.Errorf("parse connection string of the owner: %w", err)
	}
	cfg.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return 0, fmt.Errorf("open pool of the owner: %w", err)
	}
	defer pool.Close()
	if err := migrateRiver(ctx, pool); err != nil {
		return 0, err
	}

	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return 0, fmt.Errorf("make migration lock: %w", err)
	}
	sqlDB := stdlib.OpenDBFromPool(pool)
	defer sqlDB.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, sqlDB, files, goose.WithSessionLocker(locker))
	if err != nil {
		return 0, fmt.Errorf("read migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	for _, r := range results {
		log.InfoContext(ctx, "migrated", "version", r.Source.Version, "took", r.Duration)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return version, nil
}

// migrateRiver brings the job tables up to date. Each of River's migrations commits on its
// own, because a new enum value cannot be used in the transaction that adds it.
func migrateRiver(ctx context.Context, pool *pgxpool.Pool) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return Classify(fmt.Errorf("connect as the owner: %w", err))
	}
	defer conn.Release()
	// One migrator at a time: River's own migrations take no lock.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtext('vigilo.river'))`); err != nil {
		return fmt.Errorf("lock job schema: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtext('vigilo.river'))`)
	if _, err := conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS river`); err != nil {
		return fmt.Errorf("create job schema: %w", err)
	}
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: "river", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("read job migrations: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate job schema: %w", err)
	}
	if _, err := conn.Exec(ctx, riverGrants+riverIndexes); err != nil {
		return fmt.Errorf("grant on job schema: %w", err)
	}
	return nil
}

// CheckRoles returns what is wrong with the roles that the program runs under: a
// superuser, a role that bypasses row-level security or one that owns tables would make
// isolation a matter of luck. Nothing is wrong when the list is empty.
func (d *DB) CheckRoles(ctx context.Context) ([]string, error) {
	var problems []string
	const q = `SELECT rolname, rolsuper OR rolbypassrls,
		EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relowner = r.oid AND n.nspname IN ('public', 'audit', 'river'))
		FROM pg_roles r WHERE rolname = current_user`
	for name, pool := range map[string]*pgxpool.Pool{"VIGILO_DATABASE_URL": d.app, "VIGILO_SYSTEM_DATABASE_URL": d.system} {
		var role string
		var mighty, owns bool
		if err := pool.QueryRow(ctx, q).Scan(&role, &mighty, &owns); err != nil {
			return nil, Classify(fmt.Errorf("read role of %s: %w", name, err))
		}
		if mighty {
			problems = append(problems, fmt.Sprintf("%s: role %s is a superuser or bypasses row-level security; use a plain role", name, role))
		}
		if owns {
			problems = append(problems, fmt.Sprintf("%s: role %s owns tables of Vigilo; use a role that owns nothing", name, role))
		}
	}
	rows, err := d.app.Query(ctx, `SELECT relation || ': ' || fault FROM audit.faults()`)
	if err != nil {
		return nil, Classify(fmt.Errorf("check audit guards: %w", err))
	}
	faults, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, Classify(fmt.Errorf("check audit guards: %w", err))
	}
	for _, f := range faults {
		problems = append(problems, "audit log: "+f)
	}
	return problems, nil
}
