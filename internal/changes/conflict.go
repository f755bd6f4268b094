package changes

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// conflictRow is a stored conflict of a change, seen from it.
type conflictRow struct {
	ID        uuid.UUID     `db:"id"`
	Type      string        `db:"type"`
	Severity  string        `db:"severity"`
	Detail    string        `db:"detail"`
	AssetID   uuid.NullUUID `db:"asset_id"`
	OtherID   uuid.NullUUID `db:"other_id"`
	OtherKey  string        `db:"other_key"`
	OtherText string        `db:"other_title"`
	Accepted  bool          `db:"accepted"`
}

// conflictsFor returns the stored conflicts of a change as the rules look at them. A risk
// that was accepted counts for the revisions that both changes had then.
func (s *Service) conflictsFor(ctx context.Context, tx *db.Tx, c Change) ([]lifecycle.Conflict, error) {
	rows, err := conflictsOf.All(ctx, tx, db.Args{"id": c.ID})
	if err != nil {
		return nil, err
	}
	out := make([]lifecycle.Conflict, len(rows))
	for i, r := range rows {
		text := r.OtherText
		if text == "" {
			text = r.Detail
		}
		out[i] = lifecycle.Conflict{ID: r.ID, Type: r.Type, Hard: r.Severity == "hard", Accepted: r.Accepted, Key: r.OtherKey, Text: text}
	}
	return out, nil
}
