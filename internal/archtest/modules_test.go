package archtest

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/app"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// program builds the whole program without running it.
func program(t *testing.T, d *dbtest.DB) *app.App {
	t.Helper()
	cfg, problems := config.FromEnvironment([]string{
		"VIGILO_AUTH=dev", "VIGILO_ADDR=127.0.0.1:0", "VIGILO_DATA_DIR=" + t.TempDir(), "VIGILO_SECRET_KEYS=" + secret.NewKey(),
		"VIGILO_DATABASE_URL=" + d.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL=" + d.URL("vigilo_system"),
	})
	for _, p := range problems {
		t.Fatal(p)
	}
	a, err := app.New(context.Background(), cfg, slog.New(slog.DiscardHandler), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// kernelTables are owned by the kernel.
var kernelTables = []string{
	"key_counters", "events", "idempotency_keys", "list_views", "list_columns", "goose_db_version", "audit.event", "audit.pending", "audit.pii", "audit.pii_key",
}

func TestEveryTableHasOneOwner(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	owner := map[string]string{}
	for _, table := range kernelTables {
		owner[table] = "kernel"
	}
	for _, m := range program(t, d).Modules {
		for _, table := range m.Tables {
			if owner[table] != "" {
				t.Errorf("table %s is claimed by %s and %s", table, owner[table], m.Name)
			}
			owner[table] = m.Name
		}
	}
	var there []string
	for _, table := range query(t, d, `
		SELECT CASE n.nspname WHEN 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND `+ours) {
		there = append(there, table)
		if owner[table] == "" {
			t.Errorf("table %s has no owner", table)
		}
	}
	for table, name := range owner {
		if !slices.Contains(there, table) {
			t.Errorf("%s claims the table %s, which does not exist", name, table)
		}
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	modules := program(t, dbtest.New(t)).Modules
	byName := map[string]module.Module{}
	var types []event.Type
	for _, m := range modules {
		if byName[m.Name].Name != "" {
			t.Errorf("two modules are named %s", m.Name)
		}
		if _, err := os.Stat(filepath.Join(root(), "internal", m.Name)); err != nil {
			t.Errorf("module %s has no folder of its name", m.Name)
		}
		if m.Routes != nil {
			if _, err := os.Stat(filepath.Join(root(), "docs/help", m.Name, "index.md")); err != nil {
				t.Errorf("module %s has pages and no docs/help/%s/index.md", m.Name, m.Name)
			}
		}
		for _, g := range m.Permissions {
			if area, verb, ok := strings.Cut(string(g.Permission), "."); !ok || area == "" || verb == "" || g.Label == "" {
				t.Errorf("module %s: permission %q is not {area}.{verb} with a label", m.Name, g.Permission)
			}
		}
		for _, n := range m.Nav {
			if !strings.HasPrefix(n.Path, "/") || n.Icon == "" || n.Label == "" {
				t.Errorf("module %s: sidebar entry %+v is not complete", m.Name, n)
			}
		}
		types = append(types, m.Events...)
		byName[m.Name] = m
	}
	catalogue, err := event.NewCatalogue(types...)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		for _, s := range m.On {
			for _, p := range s.Patterns {
				if p != "*" && !catalogue.ValidPattern(p) {
					t.Errorf("module %s subscribes to %s, which nobody emits", m.Name, p)
				}
			}
		}
		for _, need := range m.Needs {
			if _, ok := byName[need]; !ok {
				t.Errorf("module %s needs %s, which does not exist", m.Name, need)
			}
		}
		if path := circle(byName, m.Name, nil); path != nil {
			t.Errorf("modules need each other: %s", strings.Join(path, " → "))
		}
	}
}

func circle(byName map[string]module.Module, name string, path []string) []string {
	if slices.Contains(path, name) {
		return append(path, name)
	}
	for _, need := range byName[name].Needs {
		if found := circle(byName, need, append(slices.Clone(path), name)); found != nil {
			return found
		}
	}
	return nil
}

// TestImportsFollowNeeds holds the imports of modules against what they declare.
func TestImportsFollowNeeds(t *testing.T) {
	t.Parallel()
	needs := map[string][]string{}
	for _, m := range program(t, dbtest.New(t)).Modules {
		needs[m.Name] = m.Needs
	}
	for _, s := range sources() {
		rest, ok := strings.CutPrefix(s.dir, "internal/")
		if !ok || s.test() {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		if _, isModule := needs[name]; !isModule {
			continue
		}
		for _, imp := range s.imports {
			p, own := strings.CutPrefix(imp, modulePath+"/internal/")
			other, engine, _ := strings.Cut(p, "/")
			if !own || other == "kernel" || other == name {
				continue
			}
			if !slices.Contains(needs[name], other) {
				t.Errorf("%s imports %s, which module %s does not declare as needed", s.path, other, name)
			}
			if engine != "" {
				t.Errorf("%s imports the engine %s of another module", s.path, p)
			}
		}
	}
	// Templates of a module are drawn by that module only.
	for _, s := range sources() {
		rest, ok := strings.CutPrefix(s.dir, "internal/")
		if !ok || s.test() {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		if _, isModule := needs[name]; !isModule {
			continue
		}
		for _, imp := range s.imports {
			p, own := strings.CutPrefix(imp, modulePath+"/templates/")
			if own && p != "ui" && p != "layout" && p != name && slices.Contains(slices.Collect(maps.Keys(needs)), p) {
				t.Errorf("%s draws with the templates of %s", s.path, p)
			}
		}
	}
}

// TestEveryEventIsEmitted looks for the name of each declared event where it is recorded.
func TestEveryEventIsEmitted(t *testing.T) {
	t.Parallel()
	for _, m := range program(t, dbtest.New(t)).Modules {
		for _, e := range m.Events {
			used := 0
			for _, s := range sources() {
				if within(s.dir, "internal/"+m.Name) && !s.test() {
					used += strings.Count(s.text, `"`+e.Name+`"`)
				}
			}
			if used == 0 {
				t.Errorf("module %s declares %s and never names it", m.Name, e.Name)
			}
		}
	}
}
