package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

// binary is the program as people run it, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "vigilo-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "vigilo")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/vigilo").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

// process is one `vigilo serve` that can be killed.
type process struct {
	cmd  *exec.Cmd
	base string
	log  *bytes.Buffer
	done chan struct{}
}

// serveProcess starts the binary on a database and waits until it is ready.
func serveProcess(t *testing.T, args []string, settings ...string) *process {
	t.Helper()
	p := launch(t, args, settings...)
	eventually(t, "the process serves", func() bool {
		select {
		case <-p.done:
			t.Fatalf("the process ended: %s", p.log)
		default:
		}
		res, err := http.Get(p.base + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return p
}

// launch starts the binary with a free address for its pages.
func launch(t *testing.T, args []string, settings ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p := &process{base: "http://" + addr, log: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "VIGILO_ADDR=" + addr}, settings...)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // killed on purpose, or asked for its exit code
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.done
}

// sink is a webhook receiver that remembers which events arrived.
type sink struct {
	*httptest.Server
	mu   sync.Mutex
	seen map[string]int
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{seen: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var ev event.Event
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(raw, &ev)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.seen[ev.Subject.Title]++
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) has(title string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[title] > 0
}

// TestKilledProcessesLoseNothing kills the program twenty times while it takes changes, fans
// events out and delivers webhooks. Every change that was confirmed to the caller reaches
// the receiver at least once.
func TestKilledProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	p := start(t, "VIGILO_DATA_DIR="+t.TempDir())
	p.workspace(t, "acme")
	token := p.token(t, "acme", "admin")
	receiver := newSink(t)
	ok(t, p.json(t, token, http.MethodPost, "/ws/acme/api/v1/webhooks",
		fmt.Sprintf(`{"url":%q,"patterns":["people_group.*"]}`, receiver.URL+"/hook")), http.StatusCreated, "create a webhook")
	p.settle(t)
	settings := []string{
		"VIGILO_AUTH=dev", "VIGILO_DATABASE_URL=" + p.db.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL=" + p.db.URL("vigilo_system"),
		"VIGILO_ALLOW_LOOPBACK=true", "VIGILO_SECRET_KEYS=" + p.keys, "VIGILO_DATA_DIR=" + t.TempDir(),
	}
	p.stop(t)

	var confirmed []string
	for round := range 20 {
		proc := serveProcess(t, []string{"serve"}, settings...)
		remote := &program{base: proc.base}
		killed := make(chan struct{})
		for i := range 6 {
			if i == 4 {
				go func() {
					proc.kill()
					close(killed)
				}()
			}
			title := fmt.Sprintf("Group %d.%d", round, i)
			if a, err := remote.try(token, http.MethodPost, "/ws/acme/api/v1/groups", fmt.Sprintf(`{"name":%q}`, title)); err == nil && a.status == http.StatusCreated {
				confirmed = append(confirmed, title)
			}
		}
		<-killed
	}
	if len(confirmed) < 60 {
		t.Fatalf("only %d changes were confirmed; the test kills too early to mean anything", len(confirmed))
	}
	// Jobs that were running in killed processes are taken up again after minutes; the
	// clock of the rows is moved instead of waiting.
	if _, err := p.db.Admin(t).Exec(context.Background(), `UPDATE river.river_job SET attempted_at = attempted_at - interval '1 hour' WHERE state = 'running'`); err != nil {
		t.Fatal(err)
	}
	serveProcess(t, []string{"serve"}, settings...)
	for _, title := range confirmed {
		eventuallyWithin(t, rescueTime, title+" was delivered", func() bool { return receiver.has(title) })
	}
}
