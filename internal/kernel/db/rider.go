package db

import (
	"context"
	"sync/atomic"

	"github.com/google/uuid"
)

// rider is reads that wait for the next round trip to the database.
type rider struct {
	workspace uuid.UUID
	queue     func(b *Batch)
	done      func()
	taken     atomic.Bool
}

type riderKey struct{}

// WithRider returns a context whose first ReadBatch or View in the actor's workspace takes
// some reads along, so that they cost no round trip of their own: what the frame of a page
// shows is read with whatever the page itself reads. done is called once they were read;
// whoever needs them reads them alone if nothing did.
func WithRider(ctx context.Context, a Actor, queue func(b *Batch), done func()) context.Context {
	return context.WithValue(ctx, riderKey{}, &rider{workspace: a.WorkspaceID, queue: queue, done: done})
}

// ride adds the reads of a rider to a batch and returns what to call once they were read.
func ride(ctx context.Context, a Actor, b *Batch) (done func()) {
	r, ok := ctx.Value(riderKey{}).(*rider)
	if !ok || r.workspace != a.WorkspaceID || r.taken.Swap(true) {
		return func() {}
	}
	r.queue(b)
	return r.done
}
