// Package archtest holds the rules of docs/architecture.md as tests. Each was seen to
// fail once on purpose.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const modulePath = "github.com/vigilo/vigilo"

// source is one Go file of the project.
type source struct {
	path    string // relative to the root, with slashes
	dir     string
	file    *ast.File
	text    string
	imports []string
}

func (s source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return strings.HasSuffix(s.path, "_templ.go") }
func (s source) base() string    { return filepath.Base(s.path) }
func (s source) lines() int      { return strings.Count(s.text, "\n") }

var root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
})

var fileSet = token.NewFileSet()

// sources parses every Go file of the project once.
var sources = sync.OnceValue(func() []source {
	var out []source
	err := filepath.WalkDir(root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fileSet, path, raw, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root(), path)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel)), file: file, text: string(raw)}
		for _, imp := range file.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return out
})

// within reports whether a path is a folder or below it.
func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func TestTheKernelKnowsNoModule(t *testing.T) {
	t.Parallel()
	for _, s := range sources() {
		if !within(s.dir, "internal/kernel") || s.test() {
			continue
		}
		for _, imp := range s.imports {
			p, own := strings.CutPrefix(imp, modulePath+"/")
			allowed := within(p, "internal/kernel") || within(p, "templates/layout") || within(p, "templates/ui") ||
				within(p, "templates/help") || p == "migrations" || p == "web" || p == "docs"
			if own && !allowed {
				t.Errorf("%s imports %s", s.path, p)
			}
		}
	}
}

func TestTemplatesImportOnlyTemplates(t *testing.T) {
	t.Parallel()
	for _, s := range sources() {
		if !within(s.dir, "templates") || s.test() {
			continue
		}
		for _, imp := range s.imports {
			p, own := strings.CutPrefix(imp, modulePath+"/")
			if own && !within(p, "templates") && p != "web" {
				t.Errorf("%s imports %s", s.path, p)
			}
			if strings.Contains(imp, "jackc/pgx") || imp == "time" && s.generated() {
				t.Errorf("%s imports %s: templates render and neither query nor read a clock", s.path, imp)
			}
		}
	}
}

func TestOnlyTheProgramImportsApp(t *testing.T) {
	t.Parallel()
	allowed := []string{"cmd", "internal/app", "internal/archtest", "internal/e2e", "internal/bench", "internal/dev"}
	for _, s := range sources() {
		for _, imp := range s.imports {
			if p, own := strings.CutPrefix(imp, modulePath+"/"); own && within(p, "internal/app") {
				if !slices.ContainsFunc(allowed, func(a string) bool { return within(s.dir, a) }) {
					t.Errorf("%s imports internal/app", s.path)
				}
			}
		}
	}
}

// notModules are folders of internal that are no module.
var notModules = []string{"app", "archtest", "e2e", "kernel", "bench", "cli", "dev", "demofarm", "mailcatcher"}

// moduleDirs returns the folders of modules, such as internal/certificates.
func moduleDirs(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root(), "internal"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(notModules, e.Name()) {
			out = append(out, "internal/"+e.Name())
		}
	}
	return out
}

func TestFileNamesAreLayers(t *testing.T) {
	t.Parallel()
	modules := moduleDirs(t)
	for _, s := range sources() {
		if s.test() || !slices.Contains(modules, s.dir) {
			continue
		}
		if slices.Contains(s.imports, "net/http") && !strings.HasPrefix(s.base(), "http") {
			t.Errorf("%s imports net/http: only http*.go may", s.path)
		}
		if definesSQL(s) && !strings.HasPrefix(s.base(), "store") {
			t.Errorf("%s holds SQL: only store*.go may", s.path)
		}
	}
}

// definesSQL reports whether a file declares a statement.
func definesSQL(s source) bool {
	found := false
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fun := call.Fun
		if idx, ok := fun.(*ast.IndexExpr); ok {
			fun = idx.X
		}
		if sel, ok := fun.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "db" && strings.HasPrefix(sel.Sel.Name, "Define") {
				found = true
			}
		}
		return true
	})
	return found
}

// forbidden lists calls that have one home.
var forbidden = []struct {
	pkg, name string
	home      []string
	why       string
}{
	{"time", "Now", []string{"internal/kernel/clock"}, "take the time from tx.Now or a clock"},
	{"time", "Sleep", nil, "wait for a condition"},
	{"http", "Get", nil, "use kernel/outbound"},
	{"http", "Post", nil, "use kernel/outbound"},
	{"http", "DefaultClient", nil, "use kernel/outbound"},
	{"net", "Dial", nil, "use kernel/outbound"},
	{"net", "DialTimeout", nil, "use kernel/outbound"},
	{"templ", "Raw", []string{"templates/ui"}, "raw HTML only through ui.Markdown"},
	{"fmt", "Println", []string{"cmd/vigilo"}, "write to a logger or a writer"},
	{"fmt", "Printf", []string{"cmd/vigilo"}, "write to a logger or a writer"},
	{"fmt", "Print", []string{"cmd/vigilo"}, "write to a logger or a writer"},
	{"slog", "Info", nil, "use the logger that was given"},
	{"slog", "Warn", nil, "use the logger that was given"},
	{"slog", "Error", nil, "use the logger that was given"},
	{"slog", "Debug", nil, "use the logger that was given"},
}

func TestForbiddenCallsStayAtHome(t *testing.T) {
	t.Parallel()
	for _, s := range sources() {
		if s.test() || s.generated() {
			continue
		}
		for _, imp := range s.imports {
			if imp == "log" || imp == "math/rand" || imp == "io/ioutil" {
				t.Errorf("%s imports %s", s.path, imp)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok || x.Obj != nil {
				return true
			}
			for _, f := range forbidden {
				if x.Name == f.pkg && sel.Sel.Name == f.name && !slices.ContainsFunc(f.home, func(h string) bool { return within(s.dir, h) }) {
					t.Errorf("%s: %s.%s: %s", fileSet.Position(sel.Pos()), f.pkg, f.name, f.why)
				}
			}
			return true
		})
	}
}

// dialers are the packages that may make a dialer of their own: the guard itself, the
// database, and parts that never run against addresses of a person.
var dialers = []string{"internal/kernel/outbound", "internal/kernel/pgserver", "internal/kernel/dbtest"}

func TestOnlyTheGuardDials(t *testing.T) {
	t.Parallel()
	for _, s := range sources() {
		if s.test() || slices.ContainsFunc(dialers, func(d string) bool { return within(s.dir, d) }) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if sel, ok := lit.Type.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "net" && sel.Sel.Name == "Dialer" ||
					x.Name == "http" && sel.Sel.Name == "Transport" || x.Name == "tls" && sel.Sel.Name == "Dialer") {
					t.Errorf("%s makes a %s.%s: use kernel/outbound", fileSet.Position(lit.Pos()), x.Name, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, s := range sources() {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	t.Parallel()
	for _, s := range sources() {
		if !s.generated() && s.lines() > 600 {
			t.Errorf("%s has %d lines, more than 600", s.path, s.lines())
		}
	}
}

func TestPackageNamesNameAJob(t *testing.T) {
	t.Parallel()
	banned := []string{"util", "utils", "common", "base", "helper", "helpers", "manager", "models", "types", "shared", "misc", "lib"}
	for _, s := range sources() {
		if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(banned, name) || strings.Contains(name, "_") {
			t.Errorf("%s: package %s", s.path, name)
		}
	}
}

func TestEveryPackageHasADocComment(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources() {
		if s.test() && s.dir != "internal/archtest" && s.dir != "internal/e2e" {
			continue
		}
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestGoModHasNoReplace(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root(), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "replace ") {
		t.Error("go.mod has a replace directive")
	}
}
