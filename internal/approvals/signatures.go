package approvals

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Contract is what other modules call, for those who build against it before it is done.
type Contract interface {
	Open(ctx context.Context, tx *db.Tx, subj Subject, k Kind) (Request, error)
	Preview(ctx context.Context, tx *db.Tx, subj Subject) (Preview, error)
	Withdraw(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID, reason string) error
	Status(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID) (Status, error)
	Decide(ctx context.Context, a db.Actor, seat uuid.UUID, d Decision) (Decided, error)
	DecideCAB(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID, revision int64, d CABDecision) (Decided, error)
	OpenCABSeats(ctx context.Context, tx *db.Tx, before time.Time) ([]CABItem, error)
	Decisions(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID) ([]Record, error)
	Absent(ctx context.Context, tx *db.Tx, users []uuid.UUID, from, to time.Time) ([]Away, error)
	SeedDefaults(ctx context.Context, tx *db.Tx) error
}
