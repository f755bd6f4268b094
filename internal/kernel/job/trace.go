package job

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/vigilo/vigilo/internal/kernel/trace"
)

// Tracer makes the span of an attempt at a job and runs it; kernel/telemetry has one.
// carried is the span that made the job necessary, empty when none did.
type Tracer interface {
	Job(ctx context.Context, kind, carried string, id int64, attempt int, workspace string, run func(context.Context) error) error
}

// carried is the part of a job's metadata that holds its trace. Arguments would be part of
// what makes a job unique.
type carried struct {
	Traceparent string `json:"traceparent"`
}

// carryTrace puts the span that inserts a job into the job.
type carryTrace struct{ river.MiddlewareDefaults }

// InsertMany implements rivertype.JobInsertMiddleware.
func (*carryTrace) InsertMany(ctx context.Context, params []*rivertype.JobInsertParams,
	inner func(context.Context) ([]*rivertype.JobInsertResult, error),
) ([]*rivertype.JobInsertResult, error) {
	if parent := trace.Carry(ctx); parent != "" {
		for _, p := range params {
			var err error
			if p.Metadata, err = withTrace(p.Metadata, parent); err != nil {
				return nil, err
			}
		}
	}
	return inner(ctx)
}

// Metadata returns the metadata of a job that is inserted by other means than Insert: the
// span that makes it necessary, where there is one.
func Metadata(ctx context.Context) (json.RawMessage, error) {
	parent := trace.Carry(ctx)
	if parent == "" {
		return json.RawMessage("{}"), nil
	}
	return withTrace(nil, parent)
}

func withTrace(metadata []byte, parent string) ([]byte, error) {
	all := map[string]json.RawMessage{}
	if len(metadata) > 0 {
		if err := json.Unmarshal(metadata, &all); err != nil {
			return nil, fmt.Errorf("read metadata of job: %w", err)
		}
	}
	var err error
	if all["traceparent"], err = json.Marshal(parent); err != nil {
		return nil, fmt.Errorf("write trace of job: %w", err)
	}
	return json.Marshal(all)
}

// spanMiddleware makes a span of each attempt.
type spanMiddleware struct {
	river.MiddlewareDefaults
	trace Tracer
}

// Work implements rivertype.WorkerMiddleware.
func (m *spanMiddleware) Work(ctx context.Context, j *rivertype.JobRow, inner func(context.Context) error) error {
	var c carried
	if err := json.Unmarshal(j.Metadata, &c); err != nil {
		c = carried{} // a job without a trace is worked all the same
	}
	return m.trace.Job(ctx, j.Kind, c.Traceparent, j.ID, j.Attempt, workspaceOf(j), inner)
}
