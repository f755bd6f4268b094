// Package pgserver runs a private PostgreSQL cluster around the server binaries that
// are installed on the machine. `vigilo dev` and the tests use it, so that nobody has
// to set up a database by hand. The server listens on a Unix socket only, ends with
// the process that started it (even when that is killed), and is shared when a second
// process starts on the same data folder. It needs Linux: it relies on procfs, on user
// namespaces and on the parent-death signal.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// superuser is the role that initdb creates and that owns the cluster.
	superuser = "postgres"
	// port only names the socket file; nothing listens on TCP.
	port = 5432
	// startDeadline bounds a start when the context has no deadline: crash recovery of
	// a developer's cluster takes seconds, never minutes.
	startDeadline = 2 * time.Minute
	pollEvery     = 5 * time.Millisecond
)

// Options say which cluster to start. The zero value of each field but DataDir is a
// usable default.
type Options struct {
	// DataDir is the folder of the cluster. It is created when it does not exist; a
	// lock file and, during creation, a work folder stand beside it.
	DataDir string
	// Test trades durability for speed: nothing is flushed to disk.
	Test bool
	// Log receives what the server writes, nil for nothing. The last lines are part of
	// the error when a start fails, in any case.
	Log io.Writer
	// BinDir holds postgres and initdb. Empty means to search; see Find.
	BinDir string

	identity identity // tests fix it; zero means to choose
}

// Server is a running cluster that accepts connections.
type Server struct {
	dataDir   string
	socketDir string
	port      int
	attached  bool
	child     *child
}

// Start returns a server on o.DataDir that accepts connections. It creates the cluster
// when the folder is absent or empty, and attaches when a server already runs there.
// The context bounds the start only: the server lives until Stop or until this process
// ends, however it ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	dataDir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return nil, fmt.Errorf("resolve data folder: %w", err)
	}
	if o.DataDir == "" || dataDir == "/" {
		return nil, errors.New("start PostgreSQL: no data folder given")
	}
	if err := os.MkdirAll(filepath.Dir(dataDir), 0o755); err != nil {
		return nil, fmt.Errorf("create parent of data folder: %w", err)
	}
	unlock, err := lock(ctx, dataDir)
	if err != nil {
		return nil, err
	}
	defer unlock()

	if s, err := attach(ctx, dataDir); s != nil || err != nil {
		return s, err
	}
	return start(ctx, o, dataDir)
}

// start creates the cluster if needed and starts its server. The caller holds the lock
// and knows that no server runs on the folder.
func start(ctx context.Context, o Options, dataDir string) (*Server, error) {
	have, err := clusterVersion(dataDir)
	if err != nil {
		return nil, err
	}
	bin, err := binariesFor(o.BinDir, have)
	if err != nil {
		return nil, err
	}
	id := o.identity
	if id.kind == chooseIdentity {
		if id, err = choose(dataDir); err != nil {
			return nil, err
		}
	}
	if have == 0 {
		if err := initialise(ctx, o, bin, id, dataDir); err != nil {
			return nil, err
		}
	}
	socketDir, err := makeSocketDir(dataDir, id)
	if err != nil {
		return nil, err
	}
	c, err := spawn(ctx, o, bin, id, dataDir, socketDir)
	if err != nil {
		removeEmpty(socketDir)
		return nil, err
	}
	s := &Server{dataDir: dataDir, socketDir: socketDir, port: port, child: c}
	if err := s.waitReady(ctx); err != nil {
		c.kill()
		removeEmpty(socketDir)
		return nil, err
	}
	return s, nil
}

// initialise makes the cluster in a work folder and renames it, so that a killed
// initdb never leaves half a cluster in the data folder.
func initialise(ctx context.Context, o Options, bin string, id identity, dataDir string) error {
	work := dataDir + ".new"
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove unfinished cluster: %w", err)
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		return fmt.Errorf("create data folder: %w", err)
	}
	if err := id.own(work); err != nil {
		return err
	}
	args := []string{
		"-D", work, "-U", superuser, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
	}
	if o.Test {
		args = append(args, "--no-sync", "--wal-segsize=1")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), args...)
	cmd.SysProcAttr = id.attr()
	cmd.Env, cmd.Dir = environment(), "/"
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("create PostgreSQL cluster with %s: %w: %s", cmd.Path, err, lastLines(out)), os.RemoveAll(work))
	}
	if err := os.Remove(dataDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace empty data folder: %w", err)
	}
	if err := os.Rename(work, dataDir); err != nil {
		return fmt.Errorf("put cluster in place: %w", err)
	}
	return nil
}

// child is a postgres process that this process started.
type child struct {
	process *os.Process
	output  *tail
	exited  chan struct{}
	err     error // of Wait; read after exited is closed
}

// spawn starts postgres as a direct child. One locked goroutine owns it from start to
// end, because the parent-death signal is tied to the thread that forked.
func spawn(ctx context.Context, o Options, bin string, id identity, dataDir, socketDir string) (*child, error) {
	c := &child{output: &tail{next: o.Log}, exited: make(chan struct{})}
	args := []string{"-D", dataDir}
	for _, setting := range settings(o.Test, socketDir) {
		args = append(args, "-c", setting)
	}
	// The server outlives the context of the start.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(bin, "postgres"), args...)
	cmd.Env, cmd.Dir = environment(), "/"
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.WaitDelay = time.Second // an orphaned backend would hold the pipe open
	cmd.SysProcAttr = id.attr()
	// Ctrl-C in the terminal must reach only our own process, which then stops the server.
	cmd.SysProcAttr.Setpgid = true
	// SIGINT is the fast shutdown; SIGTERM would wait for clients.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT

	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		c.process = cmd.Process
		started <- err
		if err == nil {
			c.err = cmd.Wait()
		}
		close(c.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// kill ends the server at once and waits for it. Only a failed start uses it.
func (c *child) kill() {
	_ = c.process.Signal(syscall.SIGQUIT) // an error means that it has ended already
	select {
	case <-c.exited:
	case <-time.After(10 * time.Second):
		_ = c.process.Kill()
		<-c.exited
	}
}

func settings(test bool, socketDir string) []string {
	s := []string{
		"listen_addresses=",
		"unix_socket_directories=" + socketDir,
		"unix_socket_permissions=0700",
		"port=" + strconv.Itoa(port),
		"logging_collector=off",
		"log_destination=stderr",
		"timezone=UTC",
		"log_timezone=UTC",
	}
	if test {
		s = append(s,
			"fsync=off", "synchronous_commit=off", "full_page_writes=off",
			"wal_level=minimal", "max_wal_senders=0", "max_wal_size=1GB", "log_checkpoints=off",
			"autovacuum=off", "jit=off", "shared_buffers=128MB", "max_connections=300")
	}
	return s
}

// environment is bare on purpose: PG* variables and locales of the caller must not
// change the cluster.
func environment() []string {
	return []string{"LC_ALL=C.UTF-8", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
}

func (s *Server) waitReady(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if p, err := readPidFile(s.dataDir); err == nil && p.pid == s.child.process.Pid && p.ready {
			return s.ping(ctx)
		}
		select {
		case <-s.child.exited:
			return fmt.Errorf("PostgreSQL ended during its start: %w: %s", s.child.err, s.child.output)
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL to accept connections: %w: %s", ctx.Err(), s.child.output)
		case <-tick.C:
		}
	}
}

// ping opens one connection, which proves more than the status line of the server.
func (s *Server) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.SuperuserDSN("postgres"))
	if err != nil {
		return fmt.Errorf("connect to private PostgreSQL: %w", err)
	}
	if err := conn.Close(ctx); err != nil {
		return fmt.Errorf("close connection to private PostgreSQL: %w", err)
	}
	return nil
}

// SuperuserDSN returns the URL of a database for the role that owns the cluster.
func (s *Server) SuperuserDSN(database string) string { return s.DSN(superuser, "", database) }

// DSN returns the URL of a database for a role, over the Unix socket. The password may
// be empty: whoever may enter the socket folder is trusted, and only the owner may.
func (s *Server) DSN(role, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database}
	if password != "" {
		u.User = url.UserPassword(role, password)
	}
	u.RawQuery = url.Values{"host": {s.socketDir}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Attached reports whether the server was started by another process. Stop leaves it
// running then.
func (s *Server) Attached() bool { return s.attached }

// Stop ends the server by a fast shutdown, which disconnects clients, and removes the
// socket folder. It does nothing when the server is attached or has ended. When the
// context ends first, the server is ended without a final checkpoint and recovers at
// its next start.
func (s *Server) Stop(ctx context.Context) error {
	if s.attached {
		return nil
	}
	_ = s.child.process.Signal(syscall.SIGINT) // an error means that it has ended already
	var late error
	select {
	case <-s.child.exited:
	case <-ctx.Done():
		late = fmt.Errorf("stop PostgreSQL: %w", ctx.Err())
		s.child.kill()
	}
	// Whoever holds the lock is starting a server that uses this socket folder again.
	if unlock, ok := tryLock(s.dataDir); ok {
		defer unlock()
		removeEmpty(s.socketDir)
	}
	if late != nil {
		return late
	}
	if s.child.err != nil {
		return fmt.Errorf("PostgreSQL ended with an error: %w: %s", s.child.err, s.child.output)
	}
	return nil
}
