package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// TestCrossWorkspaceStatementsAreListed holds the statements that run as vigilo_system, and
// so may look across workspaces, against the list in docs/architecture.md.
func TestCrossWorkspaceStatementsAreListed(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root(), "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	doc := string(raw)
	for _, s := range db.Statements() {
		if s.Role == db.SystemRole && !strings.HasPrefix(s.Name, "dbtest.") && !strings.Contains(doc, "`"+s.Name+"`") {
			t.Errorf("%s runs across workspaces and is not listed in docs/architecture.md", s.Name)
		}
	}
	for _, fn := range definerFunctions {
		if !strings.Contains(doc, "`"+fn+"`") {
			t.Errorf("the definer function %s is not listed in docs/architecture.md", fn)
		}
	}
	for _, table := range platformTables {
		if !strings.Contains(doc, "`"+table+"`") {
			t.Errorf("the table %s above workspaces is not listed in docs/architecture.md", table)
		}
	}
}
