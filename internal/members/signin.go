package members

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// SignIn is what the identity provider said about a person who signs in.
type SignIn struct {
	UserID        uuid.UUID
	Email         string
	EmailVerified bool
	Groups        []string
	// GroupsPresent is false when the provider sent no claim of groups at all; then
	// memberships by group stay as they are.
	GroupsPresent bool
}

// ApplySignIn accepts the open invitations of a verified address and brings memberships
// by group in line with the rules of every workspace. Each workspace is a transaction of
// its own: a failure in one leaves the others done and is returned.
func (s *Service) ApplySignIn(ctx context.Context, in SignIn) error {
	var errs []error
	if in.EmailVerified && in.Email != "" {
		errs = append(errs, s.acceptOpen(ctx, in))
	}
	if in.GroupsPresent {
		errs = append(errs, s.applyGroups(ctx, in))
	}
	return errors.Join(errs...)
}

type openOffer struct {
	WorkspaceID uuid.UUID `db:"workspace_id"`
	ID          uuid.UUID `db:"id"`
}

const signInReason = "sign-in"

func (s *Service) acceptOpen(ctx context.Context, in SignIn) error {
	offers, err := openOffersOf.All(ctx, s.db.SystemRead(), db.Args{"email": strings.ToLower(strings.TrimSpace(in.Email))})
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range offers {
		err := s.accept(ctx, db.System(o.WorkspaceID, signInReason), o.ID, in.UserID)
		// Accepted in another tab, revoked this moment, suspended, or no place: nothing to do.
		if fault.Is(err, fault.Conflict) || fault.Is(err, fault.Denied) || s.isFull(ctx, err, o.WorkspaceID) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("accept invitation %s: %w", o.ID, err))
		}
	}
	return errors.Join(errs...)
}

type ruleRow struct {
	WorkspaceID uuid.UUID   `db:"workspace_id"`
	Role        access.Role `db:"role"`
}

type placeRow struct {
	WorkspaceID uuid.UUID   `db:"workspace_id"`
	Role        access.Role `db:"role"`
	JoinedVia   JoinedVia   `db:"joined_via"`
}

// applyGroups finds the workspaces where something may have to change, and changes it
// there after looking again under the lock of the workspace.
func (s *Service) applyGroups(ctx context.Context, in SignIn) error {
	groups := usableGroups(in.Groups)
	rules, err := rulesForGroups.All(ctx, s.db.SystemRead(), db.Args{"groups": groups})
	if err != nil {
		return err
	}
	places, err := placesOf.All(ctx, s.db.SystemRead(), db.Args{"user": in.UserID})
	if err != nil {
		return err
	}
	want := map[uuid.UUID]access.Role{}
	for _, r := range rules {
		want[r.WorkspaceID] = highest([]access.Role{want[r.WorkspaceID], r.Role})
	}
	var todo []uuid.UUID
	known := map[uuid.UUID]bool{}
	for _, p := range places {
		known[p.WorkspaceID] = true
		if p.JoinedVia == Group && want[p.WorkspaceID] != p.Role {
			todo = append(todo, p.WorkspaceID)
		}
	}
	for ws := range want {
		if !known[ws] {
			todo = append(todo, ws)
		}
	}
	slices.SortFunc(todo, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	var errs []error
	for _, ws := range todo {
		if err := s.followGroups(ctx, ws, in.UserID, groups); err != nil && !s.isFull(ctx, err, ws) {
			errs = append(errs, fmt.Errorf("follow groups in workspace %s: %w", ws, err))
		}
	}
	return errors.Join(errs...)
}

// followGroups gives a person the place that the rules of one workspace say. It never
// touches members who came another way, and never takes away the last owner.
func (s *Service) followGroups(ctx context.Context, ws, userID uuid.UUID, groups []string) error {
	return s.db.InWorkspace(ctx, db.System(ws, signInReason), func(tx *db.Tx) error {
		if _, err := lockWorkspace.One(ctx, tx, nil); err != nil {
			return err
		}
		roles, err := rolesForGroups.All(ctx, tx, db.Args{"groups": groups})
		if err != nil {
			return err
		}
		role := highest(roles)
		m, ok, err := memberByUser.Maybe(ctx, tx, db.Args{"user": userID})
		switch {
		case err != nil:
			return err
		case !ok && role == "":
			return nil
		case !ok:
			_, err := s.join(ctx, tx, userID, role, Group)
			return err
		case m.JoinedVia != Group || m.Role == role:
			return nil
		}
		if m.leads() && role != access.Owner {
			others, err := otherOwners.One(ctx, tx, db.Args{"id": m.ID})
			if err != nil || others == 0 {
				return err
			}
		}
		if role == "" {
			return s.remove(ctx, tx, m)
		}
		before := m.Membership
		m.Role = role
		m.Version++
		return s.saveMember(ctx, tx, before, m)
	})
}
