package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/trace"
)

// TraceOptions say where spans go.
type TraceOptions struct {
	// Endpoint takes OTLP over HTTP, such as https://collector.example.com/v1/traces.
	Endpoint string
	// Headers are sent along, such as the credentials that the receiver wants.
	Headers map[string]string
	// Version is the version of the program.
	Version string
	// Client sends them; it has a timeout.
	Client *http.Client
	Clock  clock.Clock
	Log    *slog.Logger
}

// Tracing makes the first spans of traces and sends all of them. Nil is off: its methods
// may be called and do nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   oteltrace.Tracer
}

// NewTracing starts to send spans in the background. How many traces are kept, names of the
// service and sizes of batches follow the variables OTEL_TRACES_SAMPLER,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_BSP_* of the OpenTelemetry
// specification.
func NewTracing(ctx context.Context, o TraceOptions) (*Tracing, error) {
	own := resource.NewSchemaless(attribute.String("service.name", "vigilo"), attribute.String("service.version", o.Version))
	fromEnvironment, err := resource.New(ctx, resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	about, err := resource.Merge(own, fromEnvironment)
	if err != nil {
		return nil, fmt.Errorf("describe the service in traces: %w", err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(newExporter(o)))
	return &Tracing{provider: p, tracer: p.Tracer(trace.Scope, oteltrace.WithInstrumentationVersion(o.Version))}, nil
}

// Stop sends what is left.
func (t *Tracing) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// Served is what a request turned out to be.
type Served struct {
	Route     string // pattern, empty when none matched
	Workspace string // id, empty outside workspaces
	RequestID string
}

// Middleware makes a span for each request of next. After a request was served, served
// tells what it was. A trace of the client is continued when trusted says that the request
// came through a proxy of ours; a stranger must not decide what is recorded.
func (t *Tracing) Middleware(next http.Handler, trusted func(*http.Request) bool, served func(http.ResponseWriter, *http.Request) Served) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !worthASpan(r) {
			next.ServeHTTP(w, r)
			return
		}
		ctx := r.Context()
		if trusted(r) {
			ctx = trace.Continue(ctx, r.Header.Get("Traceparent"))
		}
		ctx, span := t.tracer.Start(ctx, r.Method, oteltrace.WithSpanKind(oteltrace.SpanKindServer),
			oteltrace.WithAttributes(attribute.String("http.request.method", methodLabel(r.Method))))
		answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		status := http.StatusInternalServerError // of a handler that panics
		defer func() {
			endRequest(span, methodLabel(r.Method), served(answer, r), status)
		}()
		next.ServeHTTP(answer, r.WithContext(ctx))
		if status = answer.Status(); status == 0 {
			status = http.StatusOK
		}
	})
}

// worthASpan leaves out files that never change, and streams that stay open for hours.
func worthASpan(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/static/") && !strings.HasSuffix(r.URL.Path, "/live")
}

func endRequest(span oteltrace.Span, method string, s Served, status int) {
	name := method
	if s.Route != "" {
		name += " " + s.Route
		span.SetAttributes(attribute.String("http.route", s.Route))
	}
	span.SetName(name)
	span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("vigilo.request_id", s.RequestID))
	if s.Workspace != "" {
		span.SetAttributes(attribute.String("vigilo.workspace_id", s.Workspace))
	}
	if status >= 500 {
		code := strconv.Itoa(status)
		span.SetStatus(codes.Error, code)
		span.SetAttributes(attribute.String("error.type", code))
	}
	span.End()
}

// Job makes the span of an attempt at a job, below the span that carried names: the
// request that made it necessary. With tracing off it calls run and nothing else.
func (t *Tracing) Job(ctx context.Context, kind, carried string, id int64, attempt int, workspace string, run func(context.Context) error) error {
	if t == nil {
		return run(ctx)
	}
	attrs := []trace.Attr{
		attribute.String("vigilo.job.kind", kind), attribute.Int64("vigilo.job.id", id), attribute.Int("vigilo.job.attempt", attempt),
	}
	if workspace != "" {
		attrs = append(attrs, attribute.String("vigilo.workspace_id", workspace))
	}
	ctx, end := trace.Begin(trace.Continue(ctx, carried), t.tracer, "job "+kind, oteltrace.SpanKindConsumer, attrs...)
	err := run(ctx)
	end(err)
	return err
}

// stopTime bounds how long the last spans may take.
const stopTime = 5 * time.Second

// StopSoon is Stop for the end of the program: it waits a few seconds at most and only logs
// what goes wrong.
func (t *Tracing) StopSoon(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := t.Stop(ctx); err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "spans lost", slog.String("error", err.Error()))
	}
}
