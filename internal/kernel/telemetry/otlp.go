package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// exporter sends spans as OTLP over HTTP with protobuf (OpenTelemetry Protocol 1.10). The
// exporter of the SDK brings gRPC along and would make the program a tenth larger; the
// message has four levels and is written here field by field.
type exporter struct {
	endpoint string
	headers  map[string]string
	client   *http.Client
	clock    clock.Clock
	log      *slog.Logger

	mu     sync.Mutex
	warned time.Time // when a failure was last logged
}

func newExporter(o TraceOptions) *exporter {
	return &exporter{endpoint: o.Endpoint, headers: o.Headers, client: o.Client, clock: o.Clock, log: o.Log}
}

// sends is how often a batch is sent before it is given up.
const sends = 3

// ExportSpans implements sdktrace.SpanExporter. A receiver that is away costs spans and a
// line in the log each minute, never more.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	body := encodeSpans(spans)
	var err error
	for n := range sends {
		var again bool
		if again, err = e.send(ctx, body); err == nil {
			return nil
		}
		if !again || !pause(ctx, time.Second<<n) {
			break
		}
	}
	e.warn(ctx, len(spans), err)
	return nil
}

// send reports whether sending again may help (OTLP, retryable response codes).
func (e *exporter) send(ctx context.Context, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("make request: %w", err)
	}
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	res, err := e.client.Do(req)
	if err != nil {
		return true, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)); err != nil {
		return true, fmt.Errorf("read answer: %w", err)
	}
	switch res.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, fmt.Errorf("the receiver answered %d", res.StatusCode)
	default:
		return false, fmt.Errorf("the receiver answered %d", res.StatusCode)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// warn logs a failure, at most once a minute.
func (e *exporter) warn(ctx context.Context, spans int, err error) {
	now := e.clock.Now()
	e.mu.Lock()
	quiet := now.Sub(e.warned) < time.Minute && !e.warned.IsZero()
	if !quiet {
		e.warned = now
	}
	e.mu.Unlock()
	if !quiet {
		e.log.LogAttrs(ctx, slog.LevelWarn, "spans not sent", slog.Int("spans", spans), slog.String("error", err.Error()))
	}
}

// Shutdown implements sdktrace.SpanExporter.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// encodeSpans writes an ExportTraceServiceRequest: spans by resource, then by scope. One
// process has one resource, and spans of a batch come from few scopes.
func encodeSpans(spans []sdktrace.ReadOnlySpan) []byte {
	byScope := map[instrumentation.Scope][]sdktrace.ReadOnlySpan{}
	var order []instrumentation.Scope
	for _, s := range spans {
		scope := s.InstrumentationScope()
		scope.Attributes = attribute.Set{}
		if byScope[scope] == nil {
			order = append(order, scope)
		}
		byScope[scope] = append(byScope[scope], s)
	}
	var resourceSpans []byte
	if len(spans) > 0 {
		resourceSpans = message(resourceSpans, 1, attributes(nil, 1, spans[0].Resource().Attributes()))
	}
	for _, scope := range order {
		scopeSpans := message(nil, 1, text(text(nil, 1, scope.Name), 2, scope.Version))
		for _, s := range byScope[scope] {
			scopeSpans = message(scopeSpans, 2, encodeSpan(s))
		}
		resourceSpans = message(resourceSpans, 2, scopeSpans)
	}
	return message(nil, 1, resourceSpans)
}

// encodeSpan writes a Span of opentelemetry/proto/trace/v1/trace.proto.
func encodeSpan(s sdktrace.ReadOnlySpan) []byte {
	sc := s.SpanContext()
	traceID, spanID := sc.TraceID(), sc.SpanID()
	b := message(nil, 1, traceID[:])
	b = message(b, 2, spanID[:])
	b = text(b, 3, sc.TraceState().String())
	if parent := s.Parent().SpanID(); parent.IsValid() {
		b = message(b, 4, parent[:])
	}
	b = text(b, 5, s.Name())
	b = varint(b, 6, uint64(s.SpanKind())) // both count internal, server, client, producer, consumer from 1
	b = moment(b, 7, s.StartTime())
	b = moment(b, 8, s.EndTime())
	b = attributes(b, 9, s.Attributes())
	b = varint(b, 10, uint64(s.DroppedAttributes()))
	for _, ev := range s.Events() {
		b = message(b, 11, attributes(text(moment(nil, 1, ev.Time), 2, ev.Name), 3, ev.Attributes))
	}
	for _, l := range s.Links() {
		linkedTrace, linkedSpan := l.SpanContext.TraceID(), l.SpanContext.SpanID()
		b = message(b, 13, attributes(message(message(nil, 1, linkedTrace[:]), 2, linkedSpan[:]), 4, l.Attributes))
	}
	if status := s.Status(); status.Code != codes.Unset {
		code := uint64(1) // ok
		if status.Code == codes.Error {
			code = 2
		}
		b = message(b, 15, varint(text(nil, 2, status.Description), 3, code))
	}
	return b
}

func message(b []byte, field protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), body)
}

func text(b []byte, field protowire.Number, value string) []byte {
	if value == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), value)
}

func varint(b []byte, field protowire.Number, value uint64) []byte {
	if value == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func fixed64(b []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), value)
}

func moment(b []byte, field protowire.Number, t time.Time) []byte {
	return fixed64(b, field, uint64(t.UnixNano()))
}

// attributes writes KeyValue messages of opentelemetry/proto/common/v1/common.proto.
func attributes(b []byte, field protowire.Number, attrs []attribute.KeyValue) []byte {
	for _, a := range attrs {
		b = message(b, field, message(text(nil, 1, string(a.Key)), 2, anyValue(a.Value)))
	}
	return b
}

// anyValue writes an AnyValue. A list becomes its text: ours have none, and those of the
// environment are texts.
func anyValue(v attribute.Value) []byte {
	switch v.Type() {
	case attribute.STRING:
		return message(nil, 1, []byte(v.AsString()))
	case attribute.BOOL:
		return protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), protowire.EncodeBool(v.AsBool()))
	case attribute.INT64:
		return protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), uint64(v.AsInt64()))
	case attribute.FLOAT64:
		return fixed64(nil, 4, math.Float64bits(v.AsFloat64()))
	default:
		return message(nil, 1, []byte(v.String()))
	}
}
