package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pidFile is what a server writes into postmaster.pid (PostgreSQL, miscadmin.h):
// line 1 pid, 4 port, 5 socket folder, 8 status.
type pidFile struct {
	pid       int
	port      int
	socketDir string
	ready     bool
}

func readPidFile(dataDir string) (pidFile, error) {
	raw, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	return parsePidFile(string(raw)), nil
}

// parsePidFile accepts a file that the server has not written to the end.
func parsePidFile(raw string) pidFile {
	line := func(n int) string {
		lines := strings.Split(raw, "\n")
		if n > len(lines) {
			return ""
		}
		return strings.TrimSpace(lines[n-1])
	}
	p := pidFile{socketDir: line(5), ready: line(8) == "ready"}
	p.pid, _ = strconv.Atoi(line(1))  // 0 is no process
	p.port, _ = strconv.Atoi(line(4)) // 0 is not ready
	return p
}

// attach returns the server that runs on dataDir, and nil when there is none. A stale
// postmaster.pid is removed. It waits for a server that is starting or stopping.
func attach(ctx context.Context, dataDir string) (*Server, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		p, err := readPidFile(dataDir)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, waitGone(ctx, dataDir)
		case err != nil:
			return nil, fmt.Errorf("read postmaster.pid: %w", err)
		case !runsIn(p.pid, dataDir):
			return nil, removeStale(ctx, dataDir, p)
		case p.ready && p.socketDir == "":
			return nil, fmt.Errorf("the PostgreSQL server on %s has no Unix socket: stop it first", dataDir)
		case p.ready:
			s := &Server{dataDir: dataDir, socketDir: p.socketDir, port: p.port, attached: true}
			err = s.ping(ctx)
			if err == nil {
				return s, nil
			}
			if ctx.Err() == nil && !runsIn(p.pid, dataDir) {
				continue // it was stopping
			}
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the PostgreSQL server on %s: %w", dataDir, ctx.Err()), err)
		case <-tick.C:
		}
	}
}

// runsIn reports whether the process is alive and works in dataDir, as a server does. A
// pid alone proves nothing: after a crash, or in a new container, it names another
// process. A zombie has no working folder and counts as dead.
func runsIn(pid int, dataDir string) bool {
	if pid <= 0 {
		return false
	}
	own, err := os.Stat(dataDir)
	if err != nil {
		return false
	}
	proc := "/proc/" + strconv.Itoa(pid)
	cwd, err := os.Stat(proc + "/cwd")
	if errors.Is(err, os.ErrPermission) {
		// Root in a container may not look into processes of other users. The command line is
		// open to all; to take a live server for a dead one would destroy the cluster.
		return commandOn(proc, own)
	}
	return err == nil && os.SameFile(cwd, own)
}

// commandOn reports whether a process was started with -D and the data folder.
func commandOn(proc string, dataDir os.FileInfo) bool {
	raw, err := os.ReadFile(proc + "/cmdline")
	if err != nil {
		return false
	}
	args := strings.Split(string(raw), "\x00")
	for i := range len(args) - 1 {
		if args[i] != "-D" {
			continue
		}
		if dir, err := os.Stat(args[i+1]); err == nil && os.SameFile(dir, dataDir) {
			return true
		}
	}
	return false
}

// removeStale removes the file that a killed server left behind. PostgreSQL refuses to
// start when the pid in it names any process of the same user.
func removeStale(ctx context.Context, dataDir string, stale pidFile) error {
	if err := waitGone(ctx, dataDir); err != nil {
		return err
	}
	// A server that was stopping has removed it by now.
	if now, err := readPidFile(dataDir); err != nil || now.pid != stale.pid {
		return nil
	}
	if err := os.Remove(filepath.Join(dataDir, "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale postmaster.pid: %w", err)
	}
	return nil
}

// waitGone waits until no process works in dataDir: backends outlive a killed server for
// a moment, and a new server beside them would damage the cluster.
func waitGone(ctx context.Context, dataDir string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		pids, err := processesIn(dataDir)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for processes %v of an ended PostgreSQL server on %s: %w", pids, dataDir, ctx.Err())
		case <-tick.C:
		}
	}
}

// processesIn returns the PostgreSQL processes whose working folder is dataDir.
func processesIn(dataDir string) ([]int, error) {
	if _, err := os.Stat(dataDir); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !runsIn(pid, dataDir) {
			continue
		}
		// A shell that stands in the folder is no reason to wait.
		if name, err := os.ReadFile("/proc/" + e.Name() + "/comm"); err == nil && strings.HasPrefix(string(name), "postgres") {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// lock guards creation and start of one cluster against other processes and other
// goroutines. The file stays: removing a lock file lets two holders in.
func lock(ctx context.Context, dataDir string) (unlock func(), err error) {
	f, err := os.OpenFile(dataDir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of data folder: %w", err)
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing gives the lock back
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock data folder: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for lock of data folder %s: %w", dataDir, ctx.Err()), f.Close())
		case <-tick.C:
		}
	}
}

// tryLock takes the lock only if nobody holds it.
func tryLock(dataDir string) (unlock func(), ok bool) {
	f, err := os.OpenFile(dataDir+".lock", os.O_RDWR, 0o600)
	if err != nil {
		return nil, false
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, false
	}
	return func() { _ = f.Close() }, true
}

// tail passes the server's output on and keeps the end of it for an error message.
type tail struct {
	mu   sync.Mutex
	next io.Writer
	last []byte
}

const tailBytes = 2048

// Write never fails: a broken log must not stall the server.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if len(t.last) > tailBytes {
		t.last = bytes.Clone(t.last[len(t.last)-tailBytes:])
	}
	if t.next != nil {
		_, _ = t.next.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lastLines(t.last)
}

// lastLines returns the last four lines in one, to be part of an error.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], " | ")
}
