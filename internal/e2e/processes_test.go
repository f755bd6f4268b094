package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// terminate asks the process to stop, as a service manager does, and returns its exit code.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	eventually(t, "the process ends", func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) accepts() bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// noteClaims makes the database remember which host was taken for which slot, beside the
// program: the observations of a scan say when it ran, not what for.
func noteClaims(t *testing.T, root *pgxpool.Pool) {
	t.Helper()
	_, err := root.Exec(context.Background(), `
		CREATE TABLE claims (host_id uuid NOT NULL, slot timestamptz NOT NULL);
		CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			INSERT INTO public.claims VALUES (OLD.host_id, OLD.next_at);
			RETURN NULL;
		END $$;
		CREATE TRIGGER note_claim AFTER UPDATE ON host_schedule FOR EACH ROW
			WHEN (NEW.lease_until IS NOT NULL AND NEW.lease_until IS DISTINCT FROM OLD.lease_until) EXECUTE FUNCTION note_claim()`)
	if err != nil {
		t.Fatal(err)
	}
}

// observations counts the scans of each host.
func observations(t *testing.T, root *pgxpool.Pool) map[string]int {
	t.Helper()
	return counts(t, root, `SELECT host_id::text, count(*) FROM scan_observations GROUP BY 1`)
}

func counts(t *testing.T, root *pgxpool.Pool, sql string) map[string]int {
	t.Helper()
	rows, err := root.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	var key string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error { out[key] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// hear reads the topics of a live stream until it ends.
func (p *program) hear(t *testing.T, session, path string) <-chan string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.base+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "vigilo", Value: session})
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("live stream: status %d", res.StatusCode)
	}
	topics := make(chan string, 1000)
	go func() {
		defer close(topics)
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if topic, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				topics <- topic
			}
		}
	}()
	return topics
}

// slowForm sends a form whose last byte waits until finish is called. It returns once the
// server reads the form.
func (p *program) slowForm(t *testing.T, session, path, form string) (finish func() answer) {
	t.Helper()
	body, rest := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, p.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(form))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Expect", "100-continue")
	req.AddCookie(&http.Cookie{Name: "vigilo", Value: session})
	reading := make(chan struct{})
	req = req.WithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }}))
	type result struct {
		answer
		err error
	}
	results := make(chan result, 1)
	go func() {
		client := &http.Client{
			// Long enough that only the server's word sends the body.
			Transport:     &http.Transport{ExpectContinueTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		res, err := client.Do(req)
		if err != nil {
			results <- result{err: err}
			return
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		results <- result{answer{status: res.StatusCode, header: res.Header, body: string(raw)}, err}
	}()
	select {
	case <-reading:
	case r := <-results:
		t.Fatalf("the form was answered before it was sent: %d %v", r.status, r.err)
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not read the form")
	}
	if _, err := io.WriteString(rest, form[:len(form)-1]); err != nil {
		t.Fatal(err)
	}
	return func() answer {
		t.Helper()
		if _, err := io.WriteString(rest, form[len(form)-1:]); err != nil {
			t.Fatal(err)
		}
		_ = rest.Close() // a pipe never fails to close
		r := <-results
		if r.err != nil {
			t.Fatalf("the request under way was cut off: %v", r.err)
		}
		return r.answer
	}
}

// TestSeveralProcessesShareOneDatabase runs two web processes and a worker, as install.md
// proposes, and stops them one after the other.
func TestSeveralProcessesShareOneDatabase(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	p := start(t)
	p.workspace(t, "acme")
	token, session := p.token(t, "acme", "admin"), p.session(t, "admin@acme.test")
	p.settle(t)
	p.stop(t)
	root := p.db.Admin(t)
	noteClaims(t, root)
	settings := []string{
		"VIGILO_AUTH=dev", "VIGILO_DATABASE_URL=" + p.db.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL=" + p.db.URL("vigilo_system"),
		"VIGILO_ALLOW_LOOPBACK=true", "VIGILO_SECRET_KEYS=" + p.keys, "VIGILO_DATA_DIR=" + t.TempDir(), "VIGILO_RATE_API=100000",
	}
	one, two := serveProcess(t, []string{"serve"}, settings...), serveProcess(t, []string{"serve"}, settings...)
	worker := launch(t, []string{"worker", "--queues", "scan,default"}, settings...)
	first, second := &program{base: one.base}, &program{base: two.base}

	const hosts = 8
	for range hosts {
		server := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(server.Close)
		addr := server.Listener.Addr().(*net.TCPAddr)
		first.create(t, token, "acme", "/hosts", fmt.Sprintf(`{"hostname":"127.0.0.1","port":%d,"scan_interval":"24h"}`, addr.Port))
	}
	everyHostHas := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("every host was scanned %d times", n), func() bool {
			seen := observations(t, root)
			for _, k := range seen {
				if k < n {
					return false
				}
			}
			return len(seen) == hosts
		})
	}
	everyHostHas(1)
	moveSlots := func() {
		t.Helper()
		if _, err := root.Exec(ctx, `UPDATE host_schedule SET next_at = now(), lease_until = NULL`); err != nil {
			t.Fatal(err)
		}
		if _, err := root.Exec(ctx, `UPDATE scan_cursors SET next_at = now() WHERE interval_s = 0`); err != nil {
			t.Fatal(err)
		}
	}
	const moves = 6
	for i := range moves {
		moveSlots()
		everyHostHas(i + 2)
	}

	// What one process changes, pages of the other hear of. Its ear opens after it serves.
	topics := first.hear(t, session, "/ws/acme/live")
	n := 0
	eventually(t, "a page of one process hears of a change made through the other", func() bool {
		n++
		a := second.json(t, token, http.MethodPost, "/ws/acme/api/v1/groups", fmt.Sprintf(`{"name":"Group %d"}`, n))
		ok(t, a, http.StatusCreated, "create a group")
		for {
			select {
			case topic := <-topics:
				if topic == "people_group/"+id(t, a) {
					return true
				}
			case <-time.After(time.Second):
				return false
			}
		}
	})

	// A rolling stop: what is under way is finished, new connections go elsewhere.
	finish := first.slowForm(t, session, "/ws/acme/members/groups/new", url.Values{"name": {"Sent during the stop"}}.Encode())
	if err := one.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stopping process takes no new connection", func() bool { return !one.accepts() })
	ok(t, finish(), http.StatusSeeOther, "the form that was under way")
	if code := one.wait(t); code != 0 {
		t.Errorf("the first process ended with exit code %d: %s", code, one.log)
	}
	for range topics { // the live stream ends with the process, not after its ten minutes
	}
	if a := second.json(t, token, http.MethodGet, "/ws/acme/api/v1/groups", ""); !strings.Contains(a.body, "Sent during the stop") {
		t.Errorf("the form that was under way is lost: %s", clip(a.body))
	}

	if code := two.terminate(t); code != 0 {
		t.Errorf("the second process ended with exit code %d: %s", code, two.log)
	}
	before := observations(t, root)
	moveSlots()
	eventually(t, "the worker alone scans every host", func() bool {
		for host, k := range observations(t, root) {
			if k <= before[host] {
				return false
			}
		}
		return true
	})
	if worker.accepts() {
		t.Error("a worker takes connections at VIGILO_ADDR")
	}
	if code := worker.terminate(t); code != 0 {
		t.Errorf("the worker ended with exit code %d: %s", code, worker.log)
	}

	scans, claims := observations(t, root), counts(t, root, `SELECT host_id::text, count(*) FROM claims GROUP BY 1`)
	for host, k := range scans {
		// Adding a host has it scanned at once, whatever its slot.
		if claims[host] != k-1 {
			t.Errorf("host %s was taken for %d slots and scanned %d times besides its first scan", host, claims[host], k-1)
		}
	}
	for slot, k := range counts(t, root, `SELECT host_id || ' at ' || slot, count(*) FROM claims GROUP BY 1`) {
		if k != 1 {
			t.Errorf("host %s was taken %d times for that slot", slot, k)
		}
	}
}

func TestAProcessWithWrongSettingsSaysWhichAndEnds(t *testing.T) {
	t.Parallel()
	database := []string{"VIGILO_DATABASE_URL=postgres://vigilo_app@127.0.0.1:1/v", "VIGILO_SYSTEM_DATABASE_URL=postgres://vigilo_system@127.0.0.1:1/v"}
	tests := []struct {
		name     string
		args     []string
		settings []string
		want     []string // variables, one a line, in the order of the reference
	}{
		{
			"nothing is set",
			[]string{"serve"},
			nil,
			[]string{"VIGILO_DATABASE_URL", "VIGILO_SYSTEM_DATABASE_URL", "VIGILO_SECRET_KEY_FILE", "VIGILO_OIDC_ISSUER", "VIGILO_OIDC_CLIENT_ID"},
		},
		{"a worker needs no provider", []string{"worker"}, database, []string{"VIGILO_SECRET_KEY_FILE"}},
		{"migrate needs the owner only", []string{"migrate"}, nil, []string{"VIGILO_OWNER_DATABASE_URL"}},
		{
			"several wrong values and a typing error",
			[]string{"serve"},
			[]string{"VIGILO_ADDR=nowhere", "VIGILO_SMTP_PORT=70000", "VIGILO_SESSION_IDLE=1d", "VIGILO_SMTP_HOTS=mail"},
			[]string{"VIGILO_ADDR", "VIGILO_SMTP_PORT", "VIGILO_SESSION_IDLE", "VIGILO_SMTP_HOTS"},
		},
		{
			"the development login beyond this machine",
			[]string{"serve"},
			append([]string{"VIGILO_AUTH=dev", "VIGILO_ADDR=0.0.0.0:0", "VIGILO_BASE_URL=https://vigilo.example.test"}, database...),
			[]string{"VIGILO_AUTH"},
		},
		{
			"the development login beside a provider",
			[]string{"serve"},
			append([]string{"VIGILO_AUTH=dev", "VIGILO_OIDC_ISSUER=https://id.example.test"}, database...),
			[]string{"VIGILO_AUTH"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := runBinary(t, tt.settings, tt.args...)
			if code != 1 || stdout != "" {
				t.Errorf("exit code %d, want 1; output %q", code, stdout)
			}
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			var named []string
			for _, line := range lines[:len(lines)-1] {
				variable, message, _ := strings.Cut(line, ": ")
				named = append(named, variable)
				if len(message) < 10 {
					t.Errorf("the line does not say what to do: %q", line)
				}
			}
			if got, want := strings.Join(named, " "), strings.Join(tt.want, " "); got != want {
				t.Errorf("it complains about %s, want %s:\n%s", got, want, stderr)
			}
			if want := fmt.Sprintf("vigilo: %d settings need to be corrected", len(tt.want)); lines[len(lines)-1] != want {
				t.Errorf("last line %q, want %q", lines[len(lines)-1], want)
			}
		})
	}
}
