package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/kernel/telemetry"
)

var (
	workspace = uuid.MustParse("0197f0c0-0000-7000-8000-000000000001")
	person    = uuid.MustParse("0197f0c0-0000-7000-8000-000000000002")
)

// line decodes the one line that log wrote, without its time.
func line(t *testing.T, log func(*slog.Logger)) map[string]any {
	t.Helper()
	var out bytes.Buffer
	log(telemetry.NewLogger(&out, telemetry.LogOptions{}))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if stamp, _ := got["time"].(string); !strings.HasSuffix(stamp, "Z") {
		t.Errorf("time is %q, want UTC", stamp)
	}
	delete(got, "time")
	return got
}

func TestLinesCarryTheIDsOfTheirContext(t *testing.T) {
	t.Parallel()
	ctx := telemetry.WithAttrs(t.Context(), telemetry.RequestID("r1"), telemetry.WorkspaceID(uuid.Nil))
	ctx = telemetry.WithAttrs(ctx, telemetry.WorkspaceID(workspace), telemetry.UserID(person), telemetry.JobID(7))
	ids := map[string]any{
		"request_id": "r1", "workspace_id": workspace.String(), "user_id": person.String(), "job_id": float64(7),
	}
	for _, tt := range []struct {
		name string
		log  func(*slog.Logger)
		want map[string]any
	}{
		{"plain", func(l *slog.Logger) { l.InfoContext(ctx, "m", "a", 1) }, map[string]any{"a": float64(1)}},
		{"with attributes", func(l *slog.Logger) { l.With("b", 2).InfoContext(ctx, "m", "a", 1) }, map[string]any{
			"a": float64(1), "b": float64(2),
		}},
		{"in a group, ids stay outside", func(l *slog.Logger) {
			l.With("b", 2).WithGroup("g").With("c", 3).InfoContext(ctx, "m", "a", 1)
		}, map[string]any{"b": float64(2), "g": map[string]any{"a": float64(1), "c": float64(3)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := map[string]any{"level": "INFO", "msg": "m"}
			for _, m := range []map[string]any{ids, tt.want} {
				for k, v := range m {
					want[k] = v
				}
			}
			if diff := cmp.Diff(want, line(t, tt.log)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestContextOfAChildDoesNotChangeItsParent(t *testing.T) {
	t.Parallel()
	parent := telemetry.WithAttrs(t.Context(), telemetry.RequestID("r1"))
	telemetry.WithAttrs(parent, telemetry.RequestID("r2"))
	got := line(t, func(l *slog.Logger) { l.InfoContext(parent, "m") })
	if got["request_id"] != "r1" {
		t.Errorf("request_id is %v", got["request_id"])
	}
}

func TestLoggerKeepsTheContractOfSlog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := withIDs{telemetry.NewLogger(&out, telemetry.LogOptions{}).Handler()}
	err := slogtest.TestHandler(h, func() []map[string]any {
		var lines []map[string]any
		for raw := range bytes.Lines(out.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			if m["request_id"] != "r1" {
				t.Errorf("line without the id: %s", raw)
			}
			lines = append(lines, m)
		}
		return lines
	})
	if err != nil {
		t.Error(err)
	}
}

// withIDs hands each record on with a context that carries an id.
type withIDs struct{ slog.Handler }

func (h withIDs) Handle(ctx context.Context, r slog.Record) error {
	return h.Handler.Handle(telemetry.WithAttrs(ctx, telemetry.RequestID("r1")), r)
}
func (h withIDs) WithAttrs(a []slog.Attr) slog.Handler { return withIDs{h.Handler.WithAttrs(a)} }
func (h withIDs) WithGroup(n string) slog.Handler      { return withIDs{h.Handler.WithGroup(n)} }

func TestLevelAndFormatAreObeyed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := telemetry.NewLogger(&out, telemetry.LogOptions{Level: slog.LevelWarn, Text: true})
	l.Info("hidden")
	l.WarnContext(telemetry.WithAttrs(t.Context(), telemetry.JobID(7)), "shown")
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "level=WARN msg=shown job_id=7\n") {
		t.Errorf("log is %q", got)
	}
}

// scrape reads the metrics over a real connection, which comes from loopback.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	srv := httptest.NewServer(m.Handler(""))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", res.StatusCode, body)
	}
	return string(body)
}

func wantLines(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w+"\n") {
			t.Errorf("metrics lack the line %q", w)
		}
	}
	if t.Failed() {
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, "vigilo_") {
				t.Log(strings.TrimSpace(l))
			}
		}
	}
}

func TestRequestsAreCountedByRouteNotByPath(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("1.2.3")
	c := clock.NewFixed(time.Unix(1, 0))
	pattern := func(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }
	router := chi.NewRouter()
	router.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { _ = recover() }() // stands for the error page
			next.ServeHTTP(w, r)
		})
	}, m.Middleware(c, pattern))
	router.Get("/hosts/{id}", func(w http.ResponseWriter, _ *http.Request) {
		c.Advance(20 * time.Millisecond)
		if err := http.NewResponseController(w).Flush(); err != nil { // live pages stream
			t.Errorf("flush: %v", err)
		}
	})
	router.Post("/hosts", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) })
	router.Get("/broken", func(http.ResponseWriter, *http.Request) { panic("bug") })
	srv := httptest.NewServer(router)
	defer srv.Close()
	for _, r := range []struct{ method, path string }{
		{"GET", "/hosts/1"}, {"GET", "/hosts/2"}, {"POST", "/hosts"}, {"GET", "/broken"}, {"GET", "/wp-login.php"}, {"BREW", "/hosts/3"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), r.method, srv.URL+r.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	text := scrape(t, m)
	wantLines(t, text,
		`vigilo_http_requests_total{method="GET",route="/hosts/{id}",status="200"} 2`,
		`vigilo_http_requests_total{method="POST",route="/hosts",status="422"} 1`,
		`vigilo_http_requests_total{method="GET",route="/broken",status="500"} 1`,
		`vigilo_http_requests_total{method="GET",route="none",status="404"} 1`,
		`vigilo_http_requests_total{method="other",route="none",status="405"} 1`,
		`vigilo_http_request_duration_seconds_bucket{method="GET",route="/hosts/{id}",le="0.01"} 0`,
		`vigilo_http_request_duration_seconds_bucket{method="GET",route="/hosts/{id}",le="0.025"} 2`,
		`vigilo_http_requests_in_flight 0`,
	)
	for _, leak := range []string{"/hosts/1", "wp-login", "BREW"} {
		if strings.Contains(text, leak) {
			t.Errorf("metrics contain %q, which a client sent", leak)
		}
	}
}

func TestJobsAreCountedByKindAndOutcome(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("1.2.3")
	m.ObserveJob("certificates.rescan", telemetry.JobDone, 2*time.Second, 40*time.Millisecond)
	m.ObserveJob("certificates.rescan", telemetry.JobRetried, -time.Hour, time.Minute)
	wantLines(t, scrape(t, m),
		`vigilo_jobs_total{kind="certificates.rescan",outcome="done"} 1`,
		`vigilo_jobs_total{kind="certificates.rescan",outcome="retried"} 1`,
		`vigilo_job_wait_seconds_sum{kind="certificates.rescan"} 2`,
		`vigilo_job_duration_seconds_bucket{kind="certificates.rescan",le="0.05"} 1`,
		`vigilo_job_duration_seconds_bucket{kind="certificates.rescan",le="60"} 2`,
	)
}

func TestRegistriesAreSeparateAndOpenToOtherPackages(t *testing.T) {
	t.Parallel()
	one, two := telemetry.NewMetrics("1"), telemetry.NewMetrics("2")
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "vigilo_pool_connections", Help: "x"})
	if err := one.Registry().Register(g); err != nil {
		t.Fatal(err)
	}
	wantLines(t, scrape(t, one), "vigilo_pool_connections 0")
	text := scrape(t, two)
	if strings.Contains(text, "vigilo_pool_connections") {
		t.Error("a metric shows up in another registry")
	}
	if !strings.Contains(text, `version="2"} 1`) || !strings.Contains(text, "go_goroutines ") {
		t.Error("build or runtime metrics are missing")
	}
}

func TestMetricsAreOpenToThisMachineAndToTheTokenOnly(t *testing.T) {
	t.Parallel()
	const token = secret.Text("0123456789abcdef")
	for _, tt := range []struct {
		name   string
		token  secret.Text
		remote string
		header http.Header
		want   int
	}{
		{"loopback", "", "127.0.0.1:5000", nil, 200},
		{"IPv6 loopback", "", "[::1]:5000", nil, 200},
		{"mapped loopback", "", "[::ffff:127.0.0.1]:5000", nil, 200},
		{"elsewhere, no token configured", "", "192.0.2.1:5000", nil, 403},
		{"elsewhere, no token configured, empty one sent", "", "192.0.2.1:5000", http.Header{"Authorization": {"Bearer "}}, 403},
		{"through a proxy on this machine", "", "127.0.0.1:5000", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, 403},
		{"through a proxy that sends Forwarded", token, "127.0.0.1:5000", http.Header{"Forwarded": {"for=192.0.2.1"}}, 401},
		{"elsewhere without the token", token, "192.0.2.1:5000", nil, 401},
		{"elsewhere with the token", token, "192.0.2.1:5000", http.Header{"Authorization": {"Bearer 0123456789abcdef"}}, 200},
		{"through a proxy with the token", token, "127.0.0.1:5000", http.Header{"Via": {"1.1 p"}, "Authorization": {"bearer 0123456789abcdef"}}, 200},
		{"elsewhere with another token", token, "192.0.2.1:5000", http.Header{"Authorization": {"Bearer 0123456789abcdeg"}}, 401},
		{"elsewhere with another scheme", token, "192.0.2.1:5000", http.Header{"Authorization": {"Basic 0123456789abcdef"}}, 401},
		{"no address", "", "", nil, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
			r.RemoteAddr = tt.remote
			for k, v := range tt.header {
				r.Header[k] = v
			}
			w := httptest.NewRecorder()
			telemetry.NewMetrics("1").Handler(tt.token).ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("status %d, want %d", w.Code, tt.want)
			}
			if open := strings.Contains(w.Body.String(), "go_goroutines"); open != (tt.want == 200) {
				t.Errorf("metrics in the body: %t", open)
			}
		})
	}
}
