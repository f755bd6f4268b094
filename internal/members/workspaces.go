package members

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// CreateWorkspace makes a workspace with the actor, a signed-in person, as its owner, and
// the defaults of every module, all in one transaction.
func (s *Service) CreateWorkspace(ctx context.Context, a db.Actor, in NewWorkspace) (Workspace, error) {
	if a.UserID == uuid.Nil {
		return Workspace{}, fault.NewDenied("forbidden", "Only a person can create a workspace.")
	}
	return s.createWorkspace(ctx, a, in, a.UserID, Created)
}

func (s *Service) createWorkspace(ctx context.Context, a db.Actor, in NewWorkspace, owner uuid.UUID, via JoinedVia) (Workspace, error) {
	in = in.normal()
	if err := in.check().Err(); err != nil {
		return Workspace{}, err
	}
	id, err := newID()
	if err != nil {
		return Workspace{}, err
	}
	// Nobody has rights in a workspace before it exists; its maker acts as the owner.
	a.WorkspaceID, a.Role, a.Scopes = id, string(access.Owner), nil
	var ws Workspace
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		ws = Workspace{ID: id, Slug: in.Slug, Name: in.Name, TimeZone: in.TimeZone, Plan: s.firstPlan(), Version: 1, CreatedAt: tx.Now}
		_, err := insertWorkspace.Run(ctx, tx, db.Args{"id": id, "slug": ws.Slug, "name": ws.Name, "timezone": ws.TimeZone, "plan": ws.Plan})
		if db.Violated(err, "workspaces_slug_key") {
			return fault.InvalidField("slug", "slug_taken", "This address is taken. Choose another one.")
		}
		if err != nil {
			return err
		}
		if err := s.record(ctx, tx, ledger.Entry{
			Action: "workspace.created", Subject: workspaceSubject(ws), After: ws, Payload: workspacePayload(ws),
		}); err != nil {
			return err
		}
		if _, err := s.join(ctx, tx, owner, access.Owner, via); err != nil {
			return err
		}
		for _, hook := range s.onCreated {
			if err := hook(ctx, tx, ws); err != nil {
				return fmt.Errorf("seed defaults: %w", err)
			}
		}
		return nil
	})
	return ws, err
}

// ProposeFreeSlug returns a slug for a name that is neither reserved nor taken now, or
// nothing when the name holds no letters to make one from.
func (s *Service) ProposeFreeSlug(ctx context.Context, name string) (string, error) {
	first := ProposeSlug(name)
	if first == "" {
		return "", nil
	}
	candidates := []string{first}
	for n := 2; n <= 20; n++ {
		suffix := "-" + strconv.Itoa(n)
		stem := first
		if len(stem)+len(suffix) > maxSlug {
			stem = strings.TrimRight(stem[:maxSlug-len(suffix)], "-")
		}
		candidates = append(candidates, stem+suffix)
	}
	taken, err := takenSlugs.All(ctx, s.db.SystemRead(), db.Args{"slugs": candidates})
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	for _, slug := range append(taken, reservedSlugs()...) {
		used[slug] = true
	}
	for _, c := range candidates {
		if !used[c] {
			return c, nil
		}
	}
	return first, nil
}

// Workspace reads the workspace of the actor.
func (s *Service) Workspace(ctx context.Context, a db.Actor) (Workspace, error) {
	var ws Workspace
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		ws, err = loadWorkspace.One(ctx, tx, nil)
		return err
	})
	return ws, err
}

// WorkspaceChange is what an admin may change; nil leaves a field as it is. Version and
// IfMatch are what the caller saw, if they say so.
type WorkspaceChange struct {
	Name                   *string
	TimeZone               *string
	SessionIdleMinutes     *int
	SessionAbsoluteMinutes *int
	Version                *int64
	IfMatch                string
}

// ChangeWorkspace renames the workspace, moves it to another time zone, or changes how long
// sessions last in it.
func (s *Service) ChangeWorkspace(ctx context.Context, a db.Actor, in WorkspaceChange) (Workspace, error) {
	var after Workspace
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, ManageWorkspace); err != nil {
			return err
		}
		before, err := lockedWorkspace.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if err := api.CheckVersion(in.IfMatch, in.Version, before.Version); err != nil {
			return err
		}
		if after, err = before.changed(in, s.sessionIdle, s.sessionAbsolute); err != nil || after == before {
			return err
		}
		after.Version++
		if _, err := saveWorkspace.Run(ctx, tx, db.Args{
			"name": after.Name, "timezone": after.TimeZone, "idle": after.SessionIdleMinutes,
			"absolute": after.SessionAbsoluteMinutes, "version": after.Version,
		}); err != nil {
			return err
		}
		return s.recordWorkspace(ctx, tx, before, after)
	})
	return after, err
}

// recordWorkspace writes one entry for the name and the zone and one for how long sessions
// last, which other people care about.
func (s *Service) recordWorkspace(ctx context.Context, tx *db.Tx, before, after Workspace) error {
	middle := after
	middle.SessionIdleMinutes, middle.SessionAbsoluteMinutes = before.SessionIdleMinutes, before.SessionAbsoluteMinutes
	if middle.Name != before.Name || middle.TimeZone != before.TimeZone {
		if err := s.record(ctx, tx, ledger.Entry{
			Action: "workspace.updated", Subject: workspaceSubject(after), Before: before, After: middle, Payload: workspacePayload(after),
		}); err != nil {
			return err
		}
	}
	if middle == after {
		return nil
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: "session_limits.changed", Subject: workspaceSubject(after), Before: middle, After: after,
		Payload: SessionLimitsPayload{IdleMinutes: after.SessionIdleMinutes, AbsoluteMinutes: after.SessionAbsoluteMinutes},
	})
}
