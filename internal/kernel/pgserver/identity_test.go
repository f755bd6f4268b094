package pgserver

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Root cannot run PostgreSQL itself; each way around it is tried on its own.
func TestRootRunsTheServerUnderAnotherIdentity(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has a choice")
	}
	private := func(t *testing.T) string {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	user := func(name string) func(string) (identity, error) {
		return func(dir string) (identity, error) {
			id, err := lookup(name)
			return id.entering(dir), err
		}
	}
	for _, tt := range []struct {
		name   string
		folder func(*testing.T) string
		id     func(dir string) (identity, error)
	}{
		{"postgres in a public folder", publicDir, user("postgres")},
		{"postgres in a private folder", private, user("postgres")},
		{"nobody in a public folder", publicDir, user("nobody")},
		{"nobody in a private folder", private, user("nobody")},
		{"namespace in a private folder", private, func(string) (identity, error) { return identity{kind: inNamespace}, nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			parent := tt.folder(t)
			id, err := tt.id(parent)
			if err != nil {
				t.Skipf("this machine has no such user: %v", err)
			}
			if !id.works() {
				t.Skip("the kernel does not allow it")
			}
			dir := filepath.Join(parent, "data")
			s := mustStart(t, Options{DataDir: dir, Test: true, identity: id})
			query(t, s.SuperuserDSN("postgres"), `SELECT 'alive'`)
			mustStop(t, s)
			// The next start follows the owner of the folder, whatever a new one would get; its
			// starter is killed, because the kernel takes the signal away in some changes of user.
			killedStarterLeavesNoServer(t, Options{DataDir: dir, Test: true})
		})
	}
}

func TestRootChoosesPostgresOnlyWhereItMayEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has a choice")
	}
	want, err := lookup("postgres")
	if err != nil {
		t.Skip("this machine has no user postgres")
	}
	id, err := choose(filepath.Join(publicDir(t), "data"))
	if err != nil || id != want {
		t.Errorf("in a public folder: %+v, %v, want %+v", id, err, want)
	}
	private := t.TempDir()
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	if want.mayEnter(private) {
		t.Error("postgres may enter a folder with mode 0700 of root")
	}
	id, err = choose(filepath.Join(private, "data"))
	if err != nil || (id.kind != inNamespace && id.reach == 0) {
		t.Errorf("in a private folder: %+v, %v, want the namespace or the capability to enter", id, err)
	}
}

// The same tests pass for an ordinary user: root runs them again as nobody.
func TestOrdinaryUserNeedsNoPrivileges(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("every test of this package runs as an ordinary user already")
	}
	nobody, err := lookup("nobody")
	if err != nil {
		t.Skip("this machine has no user nobody")
	}
	home := publicDir(t)
	if err := nobody.own(home); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(home, "pgserver.test") // the build folder is closed to others
	copyFile(t, "/proc/self/exe", binary)
	cmd := exec.CommandContext(t.Context(), binary, "-test.v",
		"-test.run", "^(TestServerAcceptsConnections|TestKilledStarter|TestStalePidFile|TestPidFileThatNames|TestSecondStart)")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}
	cmd.Dir, cmd.SysProcAttr = "/", nobody.attr()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tests as nobody: %v\n%s", err, out)
	}
	if n := strings.Count(string(out), "--- PASS: "); n != 7 {
		t.Errorf("%d tests passed as nobody, want 7:\n%s", n, out)
	}
}

func mustStart(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) }) // for failed tests; others have stopped it
	return s
}

func mustStop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// query returns the one text value of a statement, empty for a command.
func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(values, "\n")
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// publicDir is a temporary folder that every user may enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
