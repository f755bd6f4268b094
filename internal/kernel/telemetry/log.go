// Package telemetry shows an operator what the program does: log lines that carry the
// ids of their request or job, and metrics in the format of Prometheus. Neither holds
// personal data.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/trace"
)

// LogOptions say how log lines are written.
type LogOptions struct {
	Level slog.Leveler // nil means info
	Text  bool         // key=value for people instead of JSON
}

// NewLogger returns a logger that adds the ids of the context (see WithAttrs) to each
// line that is written through a method that takes a context. Times are in UTC.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	opts := &slog.HandlerOptions{Level: o.Level, ReplaceAttr: utc}
	var h slog.Handler = slog.NewJSONHandler(w, opts)
	if o.Text {
		h = slog.NewTextHandler(w, opts)
	}
	return slog.New(&contextHandler{root: h, next: h})
}

func utc(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

// Attr is an id that log lines may carry. Only the functions below make one, so that
// names and addresses of people cannot get into the context by mistake.
type Attr struct{ attr slog.Attr }

// RequestID is the id of an HTTP request; the response carries it as X-Request-Id.
func RequestID(id string) Attr { return Attr{slog.String("request_id", id)} }

// WorkspaceID is the id of the workspace for which something is done.
func WorkspaceID(id uuid.UUID) Attr { return Attr{slog.String("workspace_id", id.String())} }

// UserID is the id of the person who does it.
func UserID(id uuid.UUID) Attr { return Attr{slog.String("user_id", id.String())} }

// JobID is the id of a background job.
func JobID(id int64) Attr { return Attr{slog.Int64("job_id", id)} }

type attrsKey struct{}

// WithAttrs returns a context whose log lines carry the ids, beside those that ctx has
// already. A second id of the same kind replaces the first.
func WithAttrs(ctx context.Context, attrs ...Attr) context.Context {
	old, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	have := slices.Clone(old)
	for _, a := range attrs {
		have = slices.DeleteFunc(have, func(old slog.Attr) bool { return old.Key == a.attr.Key })
		have = append(have, a.attr)
	}
	return context.WithValue(ctx, attrsKey{}, have)
}

// contextAttrs returns the ids of the context, and the id of its trace where there is one.
func contextAttrs(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	if id := trace.ID(ctx); id != "" {
		attrs = append(slices.Clip(attrs), slog.String("trace_id", id))
	}
	return attrs
}

// contextHandler adds the ids of the context at the top level of a line.
type contextHandler struct {
	root slog.Handler
	next slog.Handler // root with the steps applied
	// steps are the calls since root, kept once there is a group: the ids would end up
	// inside it.
	steps   []func(slog.Handler) slog.Handler
	grouped bool
}

func (h *contextHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.root.Enabled(ctx, level)
}

func (h *contextHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs := contextAttrs(ctx)
	if len(attrs) == 0 {
		return h.next.Handle(ctx, r)
	}
	if !h.grouped {
		r = r.Clone()
		r.AddAttrs(attrs...)
		return h.next.Handle(ctx, r)
	}
	next := h.root.WithAttrs(attrs)
	for _, step := range h.steps {
		next = step(next)
	}
	return next.Handle(ctx, r)
}

func (h *contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(h.grouped, func(n slog.Handler) slog.Handler { return n.WithAttrs(attrs) })
}

func (h *contextHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(true, func(n slog.Handler) slog.Handler { return n.WithGroup(name) })
}

func (h *contextHandler) with(grouped bool, step func(slog.Handler) slog.Handler) slog.Handler {
	return &contextHandler{
		root: h.root, next: step(h.next), grouped: grouped,
		steps: append(slices.Clip(h.steps), step),
	}
}
