package archtest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/dbtest"
)

// platformTables stand above workspaces: docs/architecture.md lists each with its reason.
var platformTables = []string{"users", "user_identities", "sessions", "used_logout_tokens", "workspaces", "goose_db_version"}

// definerFunctions run with the rights of their owner; each is reviewed and listed in
// docs/architecture.md.
var definerFunctions = []string{
	"audit.after_insert", "audit.ensure_partition", "audit.faults", "audit.require", "audit.reseal_key", "audit.search",
	"public.ensure_observation_partition", "public.drop_observation_partitions",
}

func query(t *testing.T, d *dbtest.DB, sql string) []string {
	t.Helper()
	rows, err := d.Admin(t).Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const ours = `n.nspname IN ('public', 'audit')`

func TestRowSecurity(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, rel := range query(t, d, `
		SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND `+ours+` AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity)`) {
		if !slices.Contains(platformTables, strings.TrimPrefix(rel, "public.")) {
			t.Errorf("%s: row-level security is off or not forced", rel)
		}
	}
	for _, rel := range query(t, d, `
		SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND `+ours+` AND NOT c.relispartition AND NOT EXISTS (
			SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'workspace_id' AND a.attnotnull
			AND a.atttypid = 'uuid'::regtype)`) {
		if !slices.Contains(platformTables, strings.TrimPrefix(rel, "public.")) {
			t.Errorf("%s: no workspace_id uuid NOT NULL", rel)
		}
	}
	for _, rel := range query(t, d, `
		SELECT n.nspname || '.' || c.relname || ' ' || p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE `+ours+` AND 'vigilo_app'::regrole = ANY (p.polroles)
		AND pg_get_expr(p.polqual, p.polrelid) NOT LIKE '%current_setting(''app.workspace_id''::text))::uuid%'`) {
		t.Errorf("%s: the policy of vigilo_app does not ask for app.workspace_id", rel)
	}
	for _, rel := range query(t, d, `
		SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'v' AND `+ours+` AND NOT coalesce(c.reloptions::text LIKE '%security_invoker=true%', false)
		UNION ALL SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'm' AND `+ours) {
		t.Errorf("%s: a view without security_invoker, or a materialized view", rel)
	}
}

func TestKeysLeadWithTheWorkspace(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, idx := range query(t, d, `
		SELECT t.relname || ' ' || i.relname FROM pg_index x
		JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
		JOIN pg_namespace n ON n.oid = t.relnamespace
		WHERE `+ours+` AND x.indisunique AND NOT t.relispartition AND NOT EXISTS (
			SELECT 1 FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = x.indkey[0] AND a.attname = 'workspace_id')`) {
		if table, _, _ := strings.Cut(idx, " "); !slices.Contains(platformTables, table) {
			t.Errorf("%s: a unique index that does not start with workspace_id reveals what other workspaces hold", idx)
		}
	}
	for _, fk := range query(t, d, `
		SELECT conrelid::regclass || ' ' || conname FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class target ON target.oid = f.confrelid
		WHERE f.contype = 'f' AND `+ours+`
		AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = f.confrelid AND a.attname = 'workspace_id')
		AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = f.conrelid AND a.attnum = f.conkey[1] AND a.attname = 'workspace_id')`) {
		t.Errorf("%s: a reference between tenant tables that does not carry workspace_id", fk)
	}
}

func TestPrivilegesAreNarrow(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, g := range query(t, d, `
		SELECT DISTINCT table_schema || '.' || table_name || ' ' || grantee || ' ' || privilege_type
		FROM information_schema.table_privileges
		WHERE table_schema IN ('public', 'audit') AND (grantee = 'PUBLIC'
			OR (grantee IN ('vigilo_app', 'vigilo_system') AND privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')))`) {
		t.Errorf("granted too much: %s", g)
	}
	for _, g := range query(t, d, `
		SELECT table_schema || '.' || table_name || ' ' || privilege_type FROM information_schema.table_privileges
		WHERE table_schema = 'audit' AND grantee = 'vigilo_app' AND privilege_type IN ('UPDATE', 'DELETE')`) {
		t.Errorf("the application may change the audit log: %s", g)
	}
	for _, fn := range query(t, d, `
		SELECT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE `+ours+` AND p.prosecdef`) {
		if !slices.Contains(definerFunctions, fn) {
			t.Errorf("%s: a definer function that is not on the list", fn)
		}
	}
	for _, fn := range query(t, d, `
		SELECT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE `+ours+` AND p.prosecdef AND NOT coalesce(p.proconfig::text LIKE '%search_path%', false)`) {
		t.Errorf("%s: a definer function without a fixed search_path", fn)
	}
}

// slowIndexes are indexed columns of types whose operators are not leakproof: under
// row-level security the planner does not use such an index (ADR 0002). The words of audit
// entries are searched by audit.search alone, whose role every policy of the log lets pass.
func TestIndexesAreUsableUnderRowSecurity(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, idx := range query(t, d, `
		SELECT t.relname || '.' || a.attname || ' ' || format_type(a.atttypid, NULL) FROM pg_index x
		JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
		JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (x.indkey::int2[]) AND a.attnum > 0
		JOIN pg_type y ON y.oid = a.atttypid
		WHERE `+ours+` AND NOT t.relispartition AND t.relname || '.' || a.attname <> 'event.words' AND (y.typtype = 'e' OR y.typcategory = 'A'
			OR a.atttypid IN ('numeric'::regtype, 'jsonb'::regtype, 'tsvector'::regtype))`) {
		t.Errorf("%s: an index that row-level security disables", idx)
	}
}
