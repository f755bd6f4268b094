// Package trace makes spans below the one that a context carries. Where tracing is off no
// context carries one, and asking costs a look into the context and nothing else.
//
// Spans hold ids, routes, kinds and codes of our own, never names, addresses or texts of
// people: traces leave the installation.
package trace

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Scope names who makes the spans.
const Scope = "github.com/vigilo/vigilo"

// Attr is a value of a span.
type Attr = attribute.KeyValue

// Workspace is the workspace that something is done for.
func Workspace(id uuid.UUID) Attr { return attribute.String("vigilo.workspace_id", id.String()) }

// Text is a value under a name of the semantic conventions, or one of ours that begins
// with vigilo.
func Text(name, value string) Attr { return attribute.String(name, value) }

// Number is a whole number.
func Number(name string, value int) Attr { return attribute.Int(name, value) }

// On reports whether the context carries a span that is recorded. Ask before making
// attributes.
func On(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

// End ends a span. An error marks it as failed.
type End func(err error, attrs ...Attr)

// Start begins a span below the one of ctx. Without one it does nothing.
func Start(ctx context.Context, name string, attrs ...Attr) (context.Context, End) {
	return start(ctx, name, trace.SpanKindInternal, attrs)
}

// StartCall begins the span of a call that leaves the process, such as one over HTTP.
func StartCall(ctx context.Context, name string, attrs ...Attr) (context.Context, End) {
	return start(ctx, name, trace.SpanKindClient, attrs)
}

func start(ctx context.Context, name string, kind trace.SpanKind, attrs []Attr) (context.Context, End) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error, ...Attr) {}
	}
	return Begin(ctx, parent.TracerProvider().Tracer(Scope), name, kind, attrs...)
}

// Begin begins a span of a tracer: below the span of ctx, which may come from elsewhere, or
// as the first of a trace.
func Begin(ctx context.Context, t trace.Tracer, name string, kind trace.SpanKind, attrs ...Attr) (context.Context, End) {
	ctx, span := t.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attrs...))
	return ctx, func(err error, attrs ...Attr) {
		span.SetAttributes(attrs...)
		if err != nil {
			code := Code(err)
			span.SetStatus(codes.Error, code)
			span.SetAttributes(attribute.String("error.type", code))
		}
		span.End()
	}
}

// Code is what a span says of an error: its code where it has one. The text of an error may
// name hosts and people and stays in the log.
func Code(err error) string {
	if e := fault.Find(err); e != nil && e.Code != "" {
		return e.Code
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "internal"
}

const traceparent = "traceparent"

// Carry returns the span of ctx as text that Continue takes (W3C Trace Context, 3.2), empty
// for none.
func Carry(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// Continue returns a context whose spans belong to the trace that a text of Carry names.
// Any other text changes nothing.
func Continue(ctx context.Context, carried string) context.Context {
	if carried == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceparent: carried})
}

// ID returns the id of the trace of ctx as it is written in logs, empty for none.
func ID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		return sc.TraceID().String()
	}
	return ""
}
