package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// traceReceiver is a small OTLP receiver.
type traceReceiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []*tracepb.Span
}

func newTraceReceiver(t *testing.T) *traceReceiver {
	t.Helper()
	r := &traceReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var data tracepb.TracesData // the same on the wire as the request of the service
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || req.URL.Path != "/v1/traces" || req.Header.Get("X-Team") != "a b" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, rs := range data.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				r.got = append(r.got, ss.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// find returns the first span of a name in a trace; of any trace for the empty one.
func (r *traceReceiver) find(trace, name string) *tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.got {
		if s.Name == name && (trace == "" || hex.EncodeToString(s.TraceId) == trace) {
			return s
		}
	}
	return nil
}

// below returns the first span of a name right below another one.
func (r *traceReceiver) below(parent *tracepb.Span, name string) *tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.got {
		if s.Name == name && string(s.ParentSpanId) == string(parent.SpanId) {
			return s
		}
	}
	return nil
}

// byID returns a span of a trace.
func (r *traceReceiver) byID(id []byte) *tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.got {
		if string(s.SpanId) == string(id) {
			return s
		}
	}
	return nil
}

func attributeOf(s *tracepb.Span, name string) string {
	for _, a := range s.GetAttributes() {
		if a.Key == name {
			if v, ok := a.Value.Value.(*commonpb.AnyValue_IntValue); ok {
				return strconv.FormatInt(v.IntValue, 10)
			}
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// TestOneTraceLeadsFromTheRequestToTheWebhook changes something with tracing on: the
// request, its transaction, the jobs that follow from it and the delivery are one trace.
func TestOneTraceLeadsFromTheRequestToTheWebhook(t *testing.T) {
	t.Parallel()
	r, h := newTraceReceiver(t), newHook(t)
	p := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+r.URL, "OTEL_EXPORTER_OTLP_HEADERS=X-Team=a%20b")
	ws := p.workspace(t, "acme")
	p.webhook(t, "acme", h, "session_limits.*")
	a := p.json(t, p.token(t, "acme", "admin"), http.MethodPatch, "/ws/acme/api/v1/workspace", `{"session_idle_minutes":60}`)
	if a.status != http.StatusOK {
		t.Fatalf("change: %d %s", a.status, clip(a.body))
	}
	const route = "PATCH /ws/{slug}/api/v1/workspace"
	var request *tracepb.Span
	eventually(t, "the span of the request arrives", func() bool {
		request = r.find("", route)
		return request != nil
	})
	if got := attributeOf(request, "vigilo.workspace_id"); got != ws.String() {
		t.Errorf("workspace %q, want %s", got, ws)
	}
	if got := attributeOf(request, "vigilo.request_id"); got == "" || got != a.header.Get("X-Request-Id") {
		t.Errorf("request id %q, want %q", got, a.header.Get("X-Request-Id"))
	}
	if got := attributeOf(request, "http.response.status_code"); got != "200" || request.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("status %q, kind %s", got, request.Kind)
	}
	id := hex.EncodeToString(request.TraceId)
	if tx := r.below(request, "db transaction"); tx == nil || attributeOf(tx, "vigilo.workspace_id") != ws.String() {
		t.Errorf("transaction of the request: %v", tx)
	}
	var call *tracepb.Span
	eventually(t, "the span of the delivery arrives", func() bool {
		call = r.find(id, "HTTP POST")
		return call != nil && r.byID(call.ParentSpanId) != nil
	})
	var way []string
	for s := call; s != nil; s = r.byID(s.ParentSpanId) {
		way = append(way, s.Name)
	}
	if last := way[len(way)-1]; last != route || len(way) < 4 {
		t.Errorf("the way back from the delivery: %v", way)
	}
	for _, name := range way[1 : len(way)-1] {
		if !strings.HasPrefix(name, "job ") {
			t.Errorf("%s is no job on the way %v", name, way)
		}
	}
	if got := attributeOf(call, "server.address"); got != "127.0.0.1" || attributeOf(call, "http.response.status_code") != "204" {
		t.Errorf("delivery to %q: %v", got, call)
	}
	if log := p.json(t, p.token(t, "acme", "owner"), http.MethodGet, "/ws/acme/api/v1/audit?action=session_limits.changed", ""); !strings.Contains(log.body, id) {
		t.Errorf("the audit entry does not name the trace %s: %s", id, clip(log.body))
	}
	p.get(t, "admin@acme.test", "/ws/acme/members")
	p.get(t, "", "/static/nothing.js")
	p.get(t, "", "/healthz")
	p.stop(t) // sends the rest
	for _, s := range r.got {
		if strings.Contains(s.Name, "static") || strings.Contains(s.Name, "healthz") {
			t.Errorf("a span for %s", s.Name)
		}
	}
	if b := r.find("", "db batch"); b == nil || attributeOf(b, "vigilo.workspace_id") != ws.String() {
		t.Errorf("the batch of a page: %v", b)
	}
}
