package pgserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// victimVariable makes the test binary start a server on the folder it names and wait
// to be killed.
const victimVariable = "PGSERVER_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVariable); dir != "" {
		s, err := Start(context.Background(), Options{DataDir: dir, Test: true})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.SuperuserDSN("postgres"))
		select {}
	}
	os.Exit(m.Run())
}

func TestServerAcceptsConnectionsOnAPrivateSocketAndStops(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := mustStart(t, Options{DataDir: dir, Test: true})
	if s.Attached() {
		t.Error("the first start says that it attached")
	}
	got := query(t, s.SuperuserDSN("postgres"),
		`SELECT current_user || ' ' || current_setting('listen_addresses') || current_setting('fsync') || ' ' ||
			current_setting('server_encoding') || ' ' || current_setting('max_connections') || ' ' || current_setting('TimeZone')`)
	if want := "postgres off UTF8 300 UTC"; got != want {
		t.Errorf("settings are %q, want %q", got, want)
	}
	st, err := os.Stat(s.socketDir)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o700 {
		t.Errorf("socket folder has mode %v, want 0700", st.Mode().Perm())
	}
	query(t, s.SuperuserDSN("postgres"), `CREATE ROLE "app role" LOGIN`)
	if got := query(t, s.DSN("app role", "p@ss/w:rd", "postgres"), `SELECT current_user::text`); got != "app role" {
		t.Errorf("connected as %q, want the role of the DSN", got)
	}
	socketDir := s.socketDir
	mustStop(t, s)
	if _, err := os.Stat(socketDir); !os.IsNotExist(err) {
		t.Errorf("socket folder is left behind: %v", err)
	}
	mustStop(t, s) // a second stop is harmless
}

func TestDurableClusterKeepsItsDataAcrossRestarts(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data")}
	s := mustStart(t, o)
	if got := query(t, s.SuperuserDSN("postgres"), `SHOW fsync`); got != "on" {
		t.Errorf("fsync is %s, want on", got)
	}
	query(t, s.SuperuserDSN("postgres"), `CREATE DATABASE kept`)
	mustStop(t, s)
	s = mustStart(t, o)
	if got := query(t, s.SuperuserDSN("kept"), `SELECT current_database()::text`); got != "kept" {
		t.Errorf("connected to %q", got)
	}
}

func TestSecondStartAttachesAndLeavesTheServerRunning(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	first := mustStart(t, o)
	second := mustStart(t, o)
	if !second.Attached() {
		t.Fatal("the second start did not attach")
	}
	if diff := cmp.Diff(first.SuperuserDSN("x"), second.SuperuserDSN("x")); diff != "" {
		t.Error(diff)
	}
	mustStop(t, second)
	query(t, first.SuperuserDSN("postgres"), `SELECT 'alive'`)
}

func TestConcurrentStartsShareOneServer(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	type result struct {
		s   *Server
		err error
	}
	results := make(chan result, 4)
	for range cap(results) {
		go func() {
			s, err := Start(context.Background(), o)
			results <- result{s, err}
		}()
	}
	owners := 0
	for range cap(results) {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
			continue
		}
		if !r.s.Attached() {
			owners++
			t.Cleanup(func() { mustStop(t, r.s) })
		}
	}
	if owners != 1 {
		t.Errorf("%d starts own the server, want 1", owners)
	}
}

// Root runs the server in a namespace below a private folder and as postgres below a
// public one; the signal must arrive in both.
func TestKilledStarterLeavesNoServerAndRestartWorks(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]func(*testing.T) string{
		"private folder": func(t *testing.T) string { return t.TempDir() },
		"public folder":  publicDir,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedStarterLeavesNoServer(t, Options{DataDir: filepath.Join(folder(t), "data"), Test: true})
		})
	}
}

func killedStarterLeavesNoServer(t *testing.T, o Options) {
	t.Helper()
	victim := exec.Command("/proc/self/exe")
	victim.Env = append(os.Environ(), victimVariable+"="+o.DataDir)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	dsn, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(dsn, "error") {
		t.Fatalf("victim did not start a server: %q, %v", dsn, err)
	}
	dsn = strings.TrimSpace(dsn)
	// A client in a long query must not keep the server alive.
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	slept := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), `SELECT pg_sleep(600)`)
		slept <- err
	}()
	eventually(t, "the long query to run", func() bool {
		return query(t, dsn, `SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'`) == "1"
	})

	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // it was killed: the error is expected
	eventually(t, "the server to end with its starter", func() bool {
		pids, err := processesIn(o.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		return len(pids) == 0
	})
	if err := <-slept; err == nil {
		t.Error("the long query ended without an error")
	}
	if _, err := os.Stat(filepath.Join(o.DataDir, "postmaster.pid")); !os.IsNotExist(err) {
		t.Errorf("postmaster.pid after a fast shutdown: %v", err)
	}
	s := mustStart(t, o)
	if s.Attached() {
		t.Error("the restart attached to a server that is gone")
	}
}

func TestStartRightAfterTheStarterWasKilledWorks(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	s := mustStart(t, o)
	if err := s.child.process.Signal(syscall.SIGINT); err != nil { // what the kernel sends for a killed starter
		t.Fatal(err)
	}
	s = mustStart(t, o)
	query(t, s.SuperuserDSN("postgres"), `SELECT 'alive'`)
}

func TestStalePidFileOfAKilledServerIsReplaced(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	s := mustStart(t, o)
	query(t, s.SuperuserDSN("postgres"), `CREATE DATABASE kept`)
	if err := s.child.process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.child.exited
	if _, err := os.Stat(filepath.Join(o.DataDir, "postmaster.pid")); err != nil {
		t.Fatalf("a killed server should leave its pid file: %v", err)
	}
	s = mustStart(t, o)
	if s.Attached() {
		t.Error("attached to a killed server")
	}
	query(t, s.SuperuserDSN("kept"), `SELECT 'alive'`)
}

func TestPidFileThatNamesAnUnrelatedProcessIsReplaced(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	s := mustStart(t, o)
	mustStop(t, s)
	pidFile := filepath.Join(o.DataDir, "postmaster.pid")
	text := strconv.Itoa(os.Getpid()) + "\n" + o.DataDir + "\n1700000000\n5432\n/tmp\n\n 1 1\nready   \n"
	if err := os.WriteFile(pidFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustStart(t, o)
	if s.Attached() {
		t.Error("attached to this test process")
	}
	query(t, s.SuperuserDSN("postgres"), `SELECT 'alive'`)
}

func TestLongDataPathIsNoProblem(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-folder-name/", 12), "data")
	s := mustStart(t, Options{DataDir: dir, Test: true})
	query(t, s.SuperuserDSN("postgres"), `SELECT 'alive'`)
}

func TestUnfinishedClusterIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir+".new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil { // an empty folder is as good as none
		t.Fatal(err)
	}
	s := mustStart(t, Options{DataDir: dir, Test: true})
	query(t, s.SuperuserDSN("postgres"), `SELECT 'alive'`)
}

func TestFolderOfSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{DataDir: dir, Test: true})
	if err == nil || !strings.Contains(err.Error(), "is not empty and holds no PostgreSQL cluster") {
		t.Errorf("got %v", err)
	}
}

func TestClusterOfAnotherVersionIsRefusedWithThePackageToInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{DataDir: dir, Test: true})
	if err == nil || !strings.Contains(err.Error(), "install the package postgresql-99") {
		t.Errorf("got %v", err)
	}
}

func TestFailedStartTellsWhatTheServerSaid(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	mustStop(t, mustStart(t, o))
	conf := filepath.Join(o.DataDir, "postgresql.conf")
	if err := os.WriteFile(conf, []byte("no_such_setting = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("got %v, want the server's complaint", err)
	}
}

func TestCancelledStartLeavesNoServer(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, o); err == nil {
		t.Fatal("a cancelled start succeeded")
	}
	if pids, err := processesIn(o.DataDir); err != nil || len(pids) > 0 {
		t.Errorf("processes %v, %v", pids, err)
	}
}

func TestStopWithAnEndedContextEndsTheServer(t *testing.T) {
	t.Parallel()
	o := Options{DataDir: filepath.Join(t.TempDir(), "data"), Test: true}
	s := mustStart(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err == nil {
		t.Error("want the context's error, got none")
	}
	if pids, err := processesIn(o.DataDir); err != nil || len(pids) > 0 {
		t.Errorf("processes %v, %v", pids, err)
	}
}

func TestSocketFolderOfSomeoneElseIsNotUsed(t *testing.T) {
	t.Parallel()
	dataDir := filepath.Join(t.TempDir(), "data")
	id := identity{kind: asCaller, uid: os.Geteuid(), gid: os.Getegid()}
	squatted, err := makeSocketDir(dataDir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer removeEmpty(squatted)
	again, err := makeSocketDir(dataDir, id)
	if err != nil || again != squatted {
		t.Errorf("own folder is not used again: %s, %v", again, err)
	}
	if err := os.Chmod(squatted, 0o777); err != nil {
		t.Fatal(err)
	}
	other, err := makeSocketDir(dataDir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer removeEmpty(other)
	if other == squatted {
		t.Error("an open folder was used for the socket")
	}
}

func TestDebianFoldersAreComparedAsNumbers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"9", "10", "17", "9.6", "notes"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{filepath.Join(root, "17", "bin"), filepath.Join(root, "10", "bin"), filepath.Join(root, "9", "bin")}
	if diff := cmp.Diff(want, debianFolders(root)); diff != "" {
		t.Error(diff)
	}
}

func TestBinariesAreSearchedInPathThenDebianThenVariable(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fake := func(dir string) string {
		dir = filepath.Join(root, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"postgres", "initdb"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	real := fake("opt/pg")
	debian := fake("debian/16/bin")
	explicit := fake("explicit")
	onlyClient := filepath.Join(root, "client")
	linked := filepath.Join(root, "linked")
	for _, dir := range []string{onlyClient, linked} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(linked, "postgres")); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PATH": onlyClient + ":" + linked, binVariable: explicit}
	got := candidates(func(k string) string { return env[k] }, filepath.Join(root, "debian"))
	if diff := cmp.Diff([]string{real, debian, explicit}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFindReportsTheInstalledVersion(t *testing.T) {
	t.Parallel()
	dir, version, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(dir, "initdb"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), " "+strconv.Itoa(version)) {
		t.Errorf("Find says version %d, initdb says %s", version, out)
	}
}
