package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/pgserver"
)

// pgTool runs a client program of PostgreSQL.
func pgTool(t *testing.T, name string, args ...string) {
	t.Helper()
	bin, _, err := pgserver.Find()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(bin, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// runBinary runs a command of the program to its end and returns what it printed.
func runBinary(t *testing.T, settings []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, settings...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("run vigilo %v: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// contents stands for every row of every table of a database, as its superuser sees it.
func contents(t *testing.T, pool *pgxpool.Pool) map[string]string {
	t.Helper()
	ctx := context.Background()
	rows, err := pool.Query(ctx, `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname IN ('public', 'audit', 'river')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, table := range tables {
		var sum string
		err := pool.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) || ' rows ' || coalesce(md5(string_agg(r, '|' ORDER BY r COLLATE "C")), '')
			FROM (SELECT to_jsonb(x)::text AS r FROM %s x) AS rows`, table)).Scan(&sum)
		if err != nil {
			t.Fatalf("read %s: %v", table, err)
		}
		out[table] = sum
	}
	return out
}

// TestABackupIsRestoredIntoAnotherClusterAsTheDocsSay is the drill of
// docs/operations/backup.md.
func TestABackupIsRestoredIntoAnotherClusterAsTheDocsSay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := start(t)
	p.workspace(t, "acme")
	p.furnish(t, "acme")
	session, token := p.session(t, "owner@acme.test"), p.token(t, "acme", "owner")
	p.stop(t)
	before := contents(t, p.db.Admin(t))

	dump := filepath.Join(t.TempDir(), "vigilo.dump")
	pgTool(t, "pg_dump", "--format=custom", "--file="+dump, p.db.URL("postgres"))

	srv := ownServer(t, filepath.Join(t.TempDir(), "postgres"))
	t.Cleanup(func() {
		if err := srv.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	roles, _, code := runBinary(t, nil, "migrate", "--print-roles")
	if code != 0 {
		t.Fatalf("migrate --print-roles: exit code %d", code)
	}
	first, err := pgx.Connect(ctx, srv.SuperuserDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{roles, `CREATE DATABASE vigilo OWNER vigilo_owner`} {
		if _, err := first.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(ctx); err != nil {
		t.Fatal(err)
	}
	pgTool(t, "pg_restore", "--exit-on-error", "--dbname="+srv.SuperuserDSN("vigilo"), dump)

	root, err := pgxpool.New(ctx, srv.SuperuserDSN("vigilo"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(root.Close)
	if diff := cmp.Diff(before, contents(t, root)); diff != "" {
		t.Errorf("the restored rows differ (-before +after):\n%s", diff)
	}
	checkWalls(t, p, root)

	settings := []string{
		"VIGILO_AUTH=dev", "VIGILO_DATA_DIR=" + t.TempDir(), "VIGILO_SECRET_KEYS=" + p.keys, "VIGILO_ALLOW_LOOPBACK=true",
		"VIGILO_DATABASE_URL=" + srv.DSN("vigilo_app", "", "vigilo"), "VIGILO_SYSTEM_DATABASE_URL=" + srv.DSN("vigilo_system", "", "vigilo"),
	}
	report, problems, code := runBinary(t, settings, "doctor")
	if code != 0 || strings.Contains(report, "FAIL") || !strings.Contains(report, "the audit log is guarded") {
		t.Errorf("doctor on the restored database: exit code %d: %s%s", code, report, problems)
	}

	// Running migrations again on a restored database finds nothing to do.
	owner := []string{"VIGILO_OWNER_DATABASE_URL=" + srv.DSN("vigilo_owner", "", "vigilo")}
	if out, problems, code := runBinary(t, owner, "migrate"); code != 0 {
		t.Errorf("migrate the restored database: exit code %d: %s%s", code, out, problems)
	}

	proc := serveProcess(t, []string{"serve"}, settings...)
	restored := &program{base: proc.base}
	for _, page := range []string{"/ws/acme", "/ws/acme/certificates", "/ws/acme/alerts", "/ws/acme/alert-rules", "/ws/acme/members", "/ws/acme/integrations", "/ws/acme/governance/audit"} {
		a, err := restored.send("", session, http.MethodGet, page, "", "")
		if err != nil {
			t.Fatal(err)
		}
		ok(t, a, http.StatusOK, "a session from before the backup opens "+page)
	}
	// Names in the audit log are sealed with the keys file.
	a, err := restored.send("", session, http.MethodGet, "/ws/acme/governance/audit", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(a.body, "Owner Tester") {
		t.Errorf("the restored audit log names nobody: %s", clip(a.body))
	}
	a, err = restored.try(token, http.MethodPost, "/ws/acme/api/v1/groups", `{"name":"After the restore"}`)
	if err != nil {
		t.Fatal(err)
	}
	ok(t, a, http.StatusCreated, "a change after the restore")
	proc.kill()

	// A restore that lost a guard is found.
	if _, err := root.Exec(ctx, `ALTER TABLE audit.event DISABLE TRIGGER refuse_change`); err != nil {
		t.Fatal(err)
	}
	if report, _, code := runBinary(t, settings, "doctor"); code == 0 || !strings.Contains(report, "FAIL  roles and guards") {
		t.Errorf("doctor on a database without the guard: exit code %d: %s", code, report)
	}
}

// TestAnInstallationThatStoodStillForMonthsStarts drops the partitions that the daily job
// would have made meanwhile, which is also how an old backup looks.
func TestAnInstallationThatStoodStillForMonthsStarts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := dbtest.New(t)
	rows, err := d.Admin(t).Query(ctx, `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit.event'::regclass`)
	if err != nil {
		t.Fatal(err)
	}
	months, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(months) == 0 {
		t.Fatalf("%d partitions (%v)", len(months), err)
	}
	if _, err := d.Admin(t).Exec(ctx, `DROP TABLE `+strings.Join(months, ", ")); err != nil {
		t.Fatal(err)
	}
	settings := []string{
		"VIGILO_AUTH=dev", "VIGILO_DATA_DIR=" + t.TempDir(),
		"VIGILO_DATABASE_URL=" + d.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL=" + d.URL("vigilo_system"),
	}
	if report, _, code := runBinary(t, settings, "doctor"); code == 0 || !strings.Contains(report, "partition of the current month is missing") {
		t.Errorf("doctor before the start: exit code %d: %s", code, report)
	}
	serveProcess(t, []string{"serve"}, settings...)
	if report, _, code := runBinary(t, settings, "doctor"); code != 0 {
		t.Errorf("doctor after the start: exit code %d: %s", code, report)
	}
}

// checkWalls makes sure that what guards the rows came back with them.
func checkWalls(t *testing.T, p *program, root *pgxpool.Pool) {
	t.Helper()
	ctx := context.Background()
	walls := func(pool *pgxpool.Pool) map[string]string {
		t.Helper()
		rows, err := pool.Query(ctx, `SELECT c.oid::regclass::text, concat_ws(' ', 'row security', c.relrowsecurity, 'forced', c.relforcerowsecurity,
			'policies', (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid),
			'triggers', (SELECT string_agg(tgname || ' ' || tgenabled::text, ',' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal),
			'owner', pg_get_userbyid(c.relowner))
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'audit', 'river')`)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		var table, wall string
		if _, err := pgx.ForEachRow(rows, []any{&table, &wall}, func() error { out[table] = wall; return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	after := walls(root)
	if diff := cmp.Diff(walls(p.db.Admin(t)), after); diff != "" {
		t.Errorf("the guards differ (-before +after):\n%s", diff)
	}
	for _, table := range p.tenantTables(t) {
		if !strings.Contains(after[table], "forced t") {
			t.Errorf("row security is not forced on the restored %s: %s", table, after[table])
		}
	}
	var entries int
	if err := root.QueryRow(ctx, `SELECT count(*) FROM audit.event`).Scan(&entries); err != nil || entries == 0 {
		t.Fatalf("the restored audit log has %d entries (%v)", entries, err)
	}
	conn, err := root.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, change := range []string{`UPDATE audit.event SET action = 'x'`, `DELETE FROM audit.event`, `TRUNCATE audit.event`} {
		for _, as := range []string{`ROLE vigilo_app`, `ROLE vigilo_system`, `ROLE postgres`, `session_replication_role = replica`} {
			_, err := conn.Exec(ctx, `BEGIN; SET LOCAL `+as+`; `+change)
			if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "42501" {
				t.Errorf("%s with %s on the restored audit log is not refused: %v", change, as, err)
			}
			if _, err := conn.Exec(ctx, `ROLLBACK`); err != nil {
				t.Fatal(err)
			}
		}
	}
}
