package telemetry

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// Metrics holds the metrics of a process in a registry of its own. Labels are routes,
// kinds and outcomes of our own code, never what a client sent.
type Metrics struct {
	registry     *prometheus.Registry
	requests     *prometheus.CounterVec
	requestTime  *prometheus.HistogramVec
	requestsOpen prometheus.Gauge
	jobs         *prometheus.CounterVec
	jobTime      *prometheus.HistogramVec
	jobWait      *prometheus.HistogramVec
}

// NewMetrics returns the metrics of HTTP requests, jobs, the Go runtime and the process.
// The version of the program becomes a label of vigilo_build_info.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vigilo_http_requests_total", Help: "HTTP requests that were answered.",
		}, []string{"method", "route", "status"}),
		requestTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vigilo_http_request_duration_seconds", Help: "Time from the request's header to the end of the answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		requestsOpen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "vigilo_http_requests_in_flight", Help: "HTTP requests that are being answered, live streams included.",
		}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vigilo_jobs_total", Help: "Attempts at background jobs by outcome.",
		}, []string{"kind", "outcome"}),
		jobTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vigilo_job_duration_seconds", Help: "Time that an attempt at a job took.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 1800},
		}, []string{"kind"}),
		jobWait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vigilo_job_wait_seconds", Help: "Time from when a job was due to the start of its attempt.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 1800},
		}, []string{"kind"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vigilo_build_info", Help: "Always 1; the labels say which program runs.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, m.requests, m.requestTime, m.requestsOpen, m.jobs, m.jobTime, m.jobWait,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry is where other packages register their own metrics.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Middleware counts and times the requests of next. After a request was served, route
// tells the pattern that matched, such as "/w/{workspace}/hosts/{id}"; an empty text
// means that none did.
func (m *Metrics) Middleware(c clock.Clock, route func(*http.Request) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := c.Now()
			m.requestsOpen.Inc()
			answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			panicked := true
			defer func() {
				status := answer.Status()
				switch {
				case status == 0 && panicked:
					status = http.StatusInternalServerError
				case status == 0:
					status = http.StatusOK
				}
				m.requestsOpen.Dec()
				m.observeRequest(r.Method, route(r), status, c.Now().Sub(began))
			}()
			next.ServeHTTP(answer, r)
			panicked = false
		})
	}
}

// methodLabel returns the method, or other: a client may send any word.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

func (m *Metrics) observeRequest(method, route string, status int, took time.Duration) {
	method = methodLabel(method)
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.requestTime.WithLabelValues(method, route).Observe(seconds(took))
}

// JobOutcome is how an attempt at a job ended.
type JobOutcome string

// The outcomes of an attempt.
const (
	JobDone      JobOutcome = "done"
	JobRetried   JobOutcome = "retried"   // failed and will be tried again
	JobSnoozed   JobOutcome = "snoozed"   // put itself off
	JobCancelled JobOutcome = "cancelled" // will not be tried again, by decision
	JobDiscarded JobOutcome = "discarded" // failed for the last time
)

// ObserveJob counts one attempt at a job of a kind: how long it waited after it was due,
// and how long it took.
func (m *Metrics) ObserveJob(kind string, outcome JobOutcome, waited, took time.Duration) {
	m.jobs.WithLabelValues(kind, string(outcome)).Inc()
	m.jobWait.WithLabelValues(kind).Observe(seconds(waited))
	m.jobTime.WithLabelValues(kind).Observe(seconds(took))
}

// seconds is never negative: clocks of machines differ and step back.
func seconds(d time.Duration) float64 { return max(0, d.Seconds()) }

// Handler serves the metrics to a client on this machine, and to any client that sends
// the token as a bearer token. Without a token only this machine may read.
func (m *Metrics) Handler(token secret.Text) http.Handler {
	metrics := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case fromThisMachine(r), hasToken(r, token):
			metrics.ServeHTTP(w, r)
		case token != "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
			http.Error(w, "Send the metrics token as a bearer token.", http.StatusUnauthorized)
		default:
			http.Error(w, "Metrics are open to this machine only. Set VIGILO_METRICS_TOKEN to read them from elsewhere.",
				http.StatusForbidden)
		}
	})
}

// fromThisMachine reports whether the client connected over loopback by itself. A proxy
// on this machine does so for clients from anywhere; it says so in a header.
func fromThisMachine(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// hasToken compares hashes, so that neither length nor content shows in the time.
func hasToken(r *http.Request, token secret.Text) bool {
	scheme, sent, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || token == "" || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	want, got := sha256.Sum256([]byte(token.Reveal())), sha256.Sum256([]byte(sent))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
