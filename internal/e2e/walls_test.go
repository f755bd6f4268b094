package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/web"
)

// marker is in every text that furnish writes for acme: it must never reach globex.
const marker = "acmeonly"

// tenantTables returns the tables that hold rows of workspaces and have an id.
func (p *program) tenantTables(t *testing.T) []string {
	t.Helper()
	rows, err := p.db.Admin(t).Query(context.Background(), `
		SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('public', 'audit')
		AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'workspace_id')
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// idsOf returns up to two ids of each table of a workspace, by table.
func (p *program) idsOf(t *testing.T, slug string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, table := range p.tenantTables(t) {
		column := "id"
		if table == "audit.event" {
			column = "event_id"
		}
		rows, err := p.db.Admin(t).Query(context.Background(),
			fmt.Sprintf(`SELECT %s::text FROM %s WHERE workspace_id = $1 LIMIT 2`, column, table), p.spaces[slug])
		if err != nil {
			continue // a table without an id of its own
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			continue
		}
		if len(ids) > 0 {
			out[table] = ids
		}
	}
	return out
}

// volatile are columns that move without anybody attacking: what the program itself writes
// while it works in the background.
const volatile = "last_seen_at|last_used_at|next_at|lease_until|last_scan_at|taken_s|taken_host"

// fingerprint stands for everything that a workspace holds.
func (p *program) fingerprint(t *testing.T, slug string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, table := range p.tenantTables(t) {
		var sum string
		err := p.db.Admin(t).QueryRow(context.Background(), fmt.Sprintf(`
			SELECT coalesce(md5(string_agg(r, '|' ORDER BY r)), '') FROM (
				SELECT regexp_replace(to_jsonb(x)::text, '"(%s)": ("[^"]*"|null|[0-9.]+),?', '', 'g') AS r
				FROM %s x WHERE workspace_id = $1) AS rows`, volatile, table), p.spaces[slug]).Scan(&sum)
		if err != nil {
			t.Fatalf("fingerprint of %s: %v", table, err)
		}
		out[table] = sum
	}
	return out
}

// TestWorkspaceWalls plays the owner of globex who tries every route, page and API, with
// ids of acme, in their own workspace and in acme's: nothing is found, nothing changes and
// nothing of acme is in any answer.
func TestWorkspaceWalls(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	p.workspace(t, "globex")
	p.furnish(t, "acme")
	p.settle(t)
	ids := p.idsOf(t, "acme")
	if len(ids) < 5 {
		t.Fatalf("acme holds rows in %d tables only; furnish it", len(ids))
	}
	before := p.fingerprint(t, "acme")
	token := p.token(t, "globex", "owner")
	for _, r := range sortedRoutes(p) {
		if r.Scope != web.InWorkspace || strings.HasSuffix(r.Pattern, "/live") {
			continue
		}
		p.attackOwnDoor(t, r, token)
		if strings.Count(r.Pattern, "{") < 2 {
			continue
		}
		for table, list := range ids {
			for _, id := range list {
				p.attackWithID(t, r, token, table, id)
			}
		}
	}
	p.settle(t)
	for table, sum := range p.fingerprint(t, "acme") {
		if before[table] != sum {
			t.Errorf("table %s of acme changed", table)
		}
	}
}

func (p *program) attack(t *testing.T, r web.Route, token, path string) answer {
	t.Helper()
	if r.API {
		return p.json(t, token, r.Method, path, "{}")
	}
	return p.call(t, "owner@globex.test", r.Method, path, "application/x-www-form-urlencoded", "")
}

// attackOwnDoor asks for the route in acme itself: the same 404 as for a workspace that
// does not exist.
func (p *program) attackOwnDoor(t *testing.T, r web.Route, token string) {
	t.Helper()
	path := fill(r.Pattern, "acme", nobodysID)
	a := p.attack(t, r, token, path)
	want := http.StatusNotFound
	if r.API {
		want = http.StatusUnauthorized // the token belongs to another workspace: it is no token here
	}
	if a.status != http.StatusNotFound && a.status != want {
		t.Errorf("%s %s as owner of globex: status %d", r.Method, path, a.status)
	}
	p.checkNothing(t, a, path, "")
}

func (p *program) attackWithID(t *testing.T, r web.Route, token, table, id string) {
	t.Helper()
	path := fill(r.Pattern, "globex", func(string) string { return id })
	a := p.attack(t, r, token, path)
	// A form or body may be refused before the record is looked for.
	if a.status != http.StatusNotFound && a.status != http.StatusUnprocessableEntity {
		t.Errorf("%s %s with an id of %s: status %d: %s", r.Method, r.Pattern, table, a.status, clip(a.body))
	}
	p.checkNothing(t, a, path, id)
}

// checkNothing fails when an answer holds anything of acme.
func (p *program) checkNothing(t *testing.T, a answer, path, asked string) {
	t.Helper()
	if strings.Contains(strings.ToLower(a.body), marker) {
		t.Errorf("%s: the answer holds a text of acme: %s", path, clip(a.body))
	}
	if asked == "" && strings.Contains(a.body, p.spaces["acme"].String()) {
		t.Errorf("%s: the answer holds the id of acme", path)
	}
}

// settle waits until no job is waiting or running.
func (p *program) settle(t *testing.T) {
	t.Helper()
	eventually(t, "no job is left", func() bool {
		idle, err := p.Jobs().Idle(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return idle
	})
}

// makePlatformAdmin raises a person above workspaces, as a provider's answer would.
func (p *program) makePlatformAdmin(t *testing.T, email string) {
	t.Helper()
	if _, err := p.db.Admin(t).Exec(context.Background(), `UPDATE users SET platform_admin = true WHERE email = $1`, email); err != nil {
		t.Fatal(err)
	}
}
