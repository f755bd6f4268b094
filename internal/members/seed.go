package members

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

const seedReason = "demo data"

// SeedWorkspace makes a workspace for demo data, with a person as its owner. A slug that
// is taken is fault.Invalid, so a second run finds out that the first one finished.
func (s *Service) SeedWorkspace(ctx context.Context, in NewWorkspace, owner uuid.UUID) (Workspace, error) {
	return s.createWorkspace(ctx, db.System(uuid.Nil, seedReason), in, owner, Seeded)
}

// WorkspaceBySlug finds a workspace that an earlier run of the demo made.
func (s *Service) WorkspaceBySlug(ctx context.Context, slug string) (uuid.UUID, error) {
	return workspaceBySlug.One(ctx, s.db.SystemRead(), db.Args{"slug": slug})
}

// SeedMember adds a person to a workspace for demo data. Somebody who belongs to it
// already stays as they are.
func (s *Service) SeedMember(ctx context.Context, workspaceID, userID uuid.UUID, role access.Role) (Member, error) {
	if !role.Valid() {
		return Member{}, fault.InvalidField("role", "not_allowed", "There is no such role.")
	}
	var m Member
	err := s.db.InWorkspace(ctx, db.System(workspaceID, seedReason), func(tx *db.Tx) error {
		if _, err := lockWorkspace.One(ctx, tx, nil); err != nil {
			return err
		}
		var ok bool
		var err error
		if m, ok, err = memberByUser.Maybe(ctx, tx, db.Args{"user": userID}); err != nil || ok {
			return err
		}
		m, err = s.join(ctx, tx, userID, role, Seeded)
		return err
	})
	return m, err
}
