package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/trace"
)

// receiver is a small OTLP receiver. It decodes with the generated code of the
// specification, which shares nothing with our encoder: the request of the trace service
// and TracesData are the same message on the wire.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int // statuses of the next answers; 200 when there are none left
	calls   int
	header  http.Header
	got     []*tracepb.ResourceSpans
}

func newReceiver(t *testing.T, answers ...int) *receiver {
	t.Helper()
	r := &receiver{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls++
		r.header = req.Header.Clone()
		if err != nil {
			t.Errorf("a receiver cannot read this: %v", err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if len(r.answers) > 0 {
			status := r.answers[0]
			r.answers = r.answers[1:]
			if w.WriteHeader(status); status != http.StatusOK {
				return
			}
		}
		r.got = append(r.got, data.ResourceSpans...)
	}))
	t.Cleanup(r.Close)
	return r
}

// spans returns what has arrived, by name.
func (r *receiver) spans() map[string]*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]*tracepb.Span{}
	for _, rs := range r.got {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				out[s.Name] = s
			}
		}
	}
	return out
}

func values(attrs []*commonpb.KeyValue) map[string]any {
	out := map[string]any{}
	for _, a := range attrs {
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			out[a.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[a.Key] = v.IntValue
		case *commonpb.AnyValue_BoolValue:
			out[a.Key] = v.BoolValue
		case *commonpb.AnyValue_DoubleValue:
			out[a.Key] = v.DoubleValue
		}
	}
	return out
}

func newTracing(t *testing.T, r *receiver, log *slog.Logger) *Tracing {
	t.Helper()
	tr, err := NewTracing(t.Context(), TraceOptions{
		Endpoint: r.URL + "/v1/traces", Headers: map[string]string{"Authorization": "Bearer t"}, Version: "1.2.3",
		Client: r.Client(), Clock: clock.System(), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestSpansArriveAsTheyWereMade(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	tr := newTracing(t, r, quiet())
	ctx, first := tr.tracer.Start(context.Background(), "first", oteltrace.WithSpanKind(oteltrace.SpanKindServer), oteltrace.WithAttributes(
		attribute.String("text", "ä"), attribute.Int("number", -7), attribute.Bool("flag", true), attribute.Float64("part", 0.25),
		attribute.StringSlice("list", []string{"a", "b"})))
	_, second := tr.tracer.Start(ctx, "second", oteltrace.WithLinks(oteltrace.Link{SpanContext: first.SpanContext()}))
	second.AddEvent("moment", oteltrace.WithAttributes(attribute.Int("n", 1)))
	second.SetStatus(codes.Error, "db_down")
	second.End()
	first.SetStatus(codes.Ok, "")
	first.End()
	if err := tr.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.spans()
	a, b := got["first"], got["second"]
	if a == nil || b == nil {
		t.Fatalf("arrived: %v", got)
	}
	traceID, spanID := first.SpanContext().TraceID(), first.SpanContext().SpanID()
	if !bytes.Equal(a.TraceId, traceID[:]) || !bytes.Equal(a.SpanId, spanID[:]) || len(a.ParentSpanId) != 0 || a.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("first: %v", a)
	}
	if !bytes.Equal(b.TraceId, traceID[:]) || !bytes.Equal(b.ParentSpanId, spanID[:]) || b.Kind != tracepb.Span_SPAN_KIND_INTERNAL {
		t.Errorf("second: %v", b)
	}
	if a.StartTimeUnixNano == 0 || a.StartTimeUnixNano > b.StartTimeUnixNano || a.EndTimeUnixNano < b.EndTimeUnixNano {
		t.Errorf("times: %v and %v", a, b)
	}
	want := map[string]any{"text": "ä", "number": int64(-7), "flag": true, "part": 0.25, "list": `["a","b"]`}
	if diff := cmp.Diff(want, values(a.Attributes)); diff != "" {
		t.Error(diff)
	}
	if a.Status.GetCode() != tracepb.Status_STATUS_CODE_OK || b.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || b.Status.GetMessage() != "db_down" {
		t.Errorf("status %v and %v", a.Status, b.Status)
	}
	if len(b.Events) != 1 || b.Events[0].Name != "moment" || b.Events[0].TimeUnixNano == 0 || values(b.Events[0].Attributes)["n"] != int64(1) {
		t.Errorf("events: %v", b.Events)
	}
	if len(b.Links) != 1 || !bytes.Equal(b.Links[0].SpanId, spanID[:]) || !bytes.Equal(b.Links[0].TraceId, traceID[:]) {
		t.Errorf("links: %v", b.Links)
	}
	about := values(r.got[0].Resource.Attributes)
	if about["service.name"] != "vigilo" || about["service.version"] != "1.2.3" || r.got[0].ScopeSpans[0].Scope.Name != trace.Scope {
		t.Errorf("from %v, %v", about, r.got[0].ScopeSpans[0].Scope)
	}
	if r.header.Get("Authorization") != "Bearer t" || r.header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("headers %v", r.header)
	}
}

func TestBatchIsSentAgainWhereThatMayHelp(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answers []int
		calls   int
		arrives bool
	}{
		"busy once":       {[]int{503}, 2, true},
		"busy all along":  {[]int{429, 502, 504, 503}, sends, false},
		"refused":         {[]int{400}, 1, false},
		"unknown address": {[]int{404}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, tc.answers...)
			var log bytes.Buffer
			tr := newTracing(t, r, slog.New(slog.NewTextHandler(&log, nil)))
			_, span := tr.tracer.Start(context.Background(), "it")
			span.End()
			if err := tr.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if r.calls != tc.calls || (r.spans()["it"] != nil) != tc.arrives {
				t.Errorf("%d calls, arrived %v", r.calls, r.spans()["it"] != nil)
			}
			if said := strings.Contains(log.String(), "spans not sent"); said == tc.arrives {
				t.Errorf("logged: %s", log.String())
			}
		})
	}
}

func TestReceiverThatIsAwayIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(time.Now())
	var log bytes.Buffer
	e := newExporter(TraceOptions{Endpoint: "http://127.0.0.1:1/", Client: &http.Client{}, Clock: clk, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, step := range []struct {
		wait  time.Duration
		lines int
	}{{0, 1}, {59 * time.Second, 1}, {time.Second, 2}} {
		clk.Advance(step.wait)
		if err := e.ExportSpans(ended, nil); err != nil {
			t.Errorf("a failure of the receiver is a failure of ours: %v", err)
		}
		if n := strings.Count(log.String(), "spans not sent"); n != step.lines {
			t.Errorf("after %s: %d lines, want %d", step.wait, n, step.lines)
		}
	}
}

func TestRequestsBecomeSpansAndStrangersDoNotChooseTheTrace(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	tr := newTracing(t, r, quiet())
	inner := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/away":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	served := func(_ http.ResponseWriter, req *http.Request) Served {
		return Served{Route: req.URL.Path, Workspace: "w", RequestID: "r"}
	}
	trusted := func(req *http.Request) bool { return req.Header.Get("Via") != "" }
	h := tr.Middleware(inner, trusted, served)
	const theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	call := func(method, path, via string) {
		req := httptest.NewRequest(method, path, nil)
		req.Header.Set("Traceparent", theirs)
		if via != "" {
			req.Header.Set("Via", via)
		}
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), req)
	}
	call("GET", "/page", "")
	call("GET", "/behind", "proxy")
	call("POST", "/away", "")
	call("BREW", "/odd", "")
	call("GET", "/panic", "")
	call("GET", "/static/app.js", "")
	call("GET", "/ws/acme/live", "")
	if err := tr.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.spans()
	if len(got) != 5 {
		t.Errorf("%d spans: %v", len(got), got)
	}
	want := map[string]any{
		"http.request.method": "GET", "http.route": "/page", "http.response.status_code": int64(200), "vigilo.workspace_id": "w", "vigilo.request_id": "r",
	}
	if diff := cmp.Diff(want, values(got["GET /page"].GetAttributes())); diff != "" {
		t.Error(diff)
	}
	for name, failed := range map[string]bool{"GET /page": false, "POST /away": true, "GET /panic": true, "other /odd": false} {
		s := got[name]
		if s == nil || (s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR) != failed || len(s.ParentSpanId) > 0 {
			t.Errorf("%s: %v", name, s)
		}
	}
	if s := got["GET /behind"]; s == nil || !bytes.Equal(s.ParentSpanId, []byte{0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31}) {
		t.Errorf("behind a proxy: %v", s)
	}
}

func TestJobContinuesTheTraceThatMadeIt(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	tr := newTracing(t, r, quiet())
	ctx, span := tr.tracer.Start(context.Background(), "request")
	carried := trace.Carry(ctx)
	span.End()
	boom := fault.NewConflict("too_late", "Somebody was faster.")
	err := tr.Job(context.Background(), "mail.send", carried, 7, 2, "w", func(ctx context.Context) error {
		if !trace.On(ctx) {
			t.Error("the job has no span")
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	if err := tr.Job(context.Background(), "sweep", "rubbish", 8, 1, "", func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := tr.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.spans()
	job, request, alone := got["job mail.send"], got["request"], got["job sweep"]
	if job == nil || !bytes.Equal(job.TraceId, request.TraceId) || !bytes.Equal(job.ParentSpanId, request.SpanId) || job.Status.GetMessage() != "too_late" {
		t.Errorf("job %v of request %v", job, request)
	}
	want := map[string]any{
		"vigilo.job.kind": "mail.send", "vigilo.job.id": int64(7), "vigilo.job.attempt": int64(2), "vigilo.workspace_id": "w", "error.type": "too_late",
	}
	if diff := cmp.Diff(want, values(job.GetAttributes())); diff != "" {
		t.Error(diff)
	}
	if alone == nil || len(alone.ParentSpanId) > 0 {
		t.Errorf("a job that nobody asked for: %v", alone)
	}
}

func TestTracingThatIsOffChangesNothing(t *testing.T) {
	t.Parallel()
	var off *Tracing
	served := 0
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		served++
		if trace.On(r.Context()) {
			t.Error("a span without tracing")
		}
	})
	off.Middleware(h, nil, nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := off.Job(t.Context(), "k", "", 1, 1, "", func(context.Context) error { served++; return nil }); err != nil || served != 2 {
		t.Errorf("served %d, %v", served, err)
	}
	off.StopSoon(quiet())
}

// Not parallel: it counts what the whole process allocates.
func TestAskingForASpanWhereThereIsNoneCostsNoMemory(t *testing.T) {
	ctx := context.WithValue(t.Context(), attrsKey{}, 1)
	if n := testing.AllocsPerRun(100, func() {
		if trace.On(ctx) || trace.Carry(ctx) != "" || trace.ID(ctx) != "" {
			t.Error("there is a span")
		}
	}); n != 0 {
		t.Errorf("asking allocates %v times", n)
	}
}

func TestLogLinesOfATraceNameIt(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	tr := newTracing(t, r, quiet())
	ctx, span := tr.tracer.Start(context.Background(), "it")
	var b bytes.Buffer
	log := NewLogger(&b, LogOptions{})
	log.InfoContext(WithAttrs(ctx, RequestID("r1")), "inside")
	log.InfoContext(context.Background(), "outside")
	span.End()
	lines := strings.Split(b.String(), "\n")
	if id := span.SpanContext().TraceID().String(); !strings.Contains(lines[0], `"trace_id":"`+id+`"`) || !strings.Contains(lines[0], "r1") || strings.Contains(lines[1], "trace_id") {
		t.Errorf("lines: %s", b.String())
	}
	if err := tr.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
