package members

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// PeopleGroup is a named group of members, such as those who receive an alert.
type PeopleGroup struct {
	ID        uuid.UUID `db:"id"`
	Name      string    `db:"name" audit:"name"`
	CreatedAt time.Time `db:"created_at"`
	Version   int64     `db:"version"`
	Size      int64     `db:"size"`
}

// Groups returns the groups of the workspace by name, at most 1,000.
func (s *Service) Groups(ctx context.Context, tx *db.Tx) ([]PeopleGroup, error) {
	return allGroups.All(ctx, tx, nil)
}

// GroupOf reads a group and who is in it, suspended members included.
func (s *Service) GroupOf(ctx context.Context, a db.Actor, id uuid.UUID) (PeopleGroup, []Member, error) {
	var g PeopleGroup
	var in []Member
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		if g, err = loadGroup.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		in, err = groupMembers.All(ctx, tx, db.Args{"id": id})
		return err
	})
	return g, in, err
}

// GroupChange is the name and the members of a group; nil leaves either as it is. Version
// and IfMatch are what the caller saw, if they say so.
type GroupChange struct {
	Name    *string
	Members []uuid.UUID
	Version *int64
	IfMatch string
}

func (c GroupChange) check() error {
	k := &form.Check{}
	if c.Name != nil {
		*c.Name = strings.TrimSpace(*c.Name)
		k.Text("name", *c.Name, "A name", maxName)
	}
	if len(c.Members) > MaxInvitations {
		k.Add("members", "too_many", "A group may have at most 5,000 members.")
	}
	return k.Err()
}

// CreateGroup adds a group.
func (s *Service) CreateGroup(ctx context.Context, a db.Actor, name string, memberIDs []uuid.UUID) (PeopleGroup, error) {
	change := GroupChange{Name: &name, Members: ids(memberIDs)}
	if err := change.check(); err != nil {
		return PeopleGroup{}, err
	}
	id, err := newID()
	if err != nil {
		return PeopleGroup{}, err
	}
	g := PeopleGroup{ID: id, Name: *change.Name, Version: 1}
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := s.lock(ctx, tx); err != nil {
			return err
		}
		g.CreatedAt = tx.Now
		if _, err := insertGroup.Run(ctx, tx, db.Args{"id": id, "name": g.Name}); err != nil {
			return groupNameTaken(err)
		}
		changes, err := s.fillGroup(ctx, tx, &g, change.Members)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{Action: "people_group.created", Subject: g.subject(), After: g, Changes: changes, Payload: g.payload()})
	})
	return g, err
}

// ChangeGroup renames a group, replaces its members, or both.
func (s *Service) ChangeGroup(ctx context.Context, a db.Actor, id uuid.UUID, c GroupChange) (PeopleGroup, error) {
	if err := c.check(); err != nil {
		return PeopleGroup{}, err
	}
	var g PeopleGroup
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := s.lock(ctx, tx); err != nil {
			return err
		}
		before, err := loadGroup.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(c.IfMatch, c.Version, before.Version); err != nil {
			return err
		}
		g = before
		if c.Name != nil {
			g.Name = *c.Name
		}
		var changes []ledger.Change
		if c.Members != nil {
			if changes, err = s.fillGroup(ctx, tx, &g, c.Members); err != nil {
				return err
			}
		}
		return s.saveGroup(ctx, tx, before, &g, changes)
	})
	return g, err
}

// saveGroup writes a group that changed, and records it.
func (s *Service) saveGroup(ctx context.Context, tx *db.Tx, before PeopleGroup, g *PeopleGroup, changes []ledger.Change) error {
	if *g == before && len(changes) == 0 {
		return nil
	}
	g.Version++
	if _, err := updateGroup.Run(ctx, tx, db.Args{"id": g.ID, "name": g.Name, "version": g.Version}); err != nil {
		return groupNameTaken(err)
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: "people_group.updated", Subject: g.subject(), Before: before, After: *g, Changes: changes, Payload: g.payload(),
	})
}

// fillGroup makes the group hold exactly the given members and returns what changed.
func (s *Service) fillGroup(ctx context.Context, tx *db.Tx, g *PeopleGroup, memberIDs []uuid.UUID) ([]ledger.Change, error) {
	memberIDs = slices.Clone(memberIDs)
	slices.SortFunc(memberIDs, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	memberIDs = slices.Compact(memberIDs)
	known, err := countMembers.One(ctx, tx, db.Args{"members": ids(memberIDs)})
	if err != nil {
		return nil, err
	}
	if known != int64(len(memberIDs)) {
		return nil, fault.InvalidField("members", "unknown_member", "Somebody in the list is not a member of this workspace any more. Choose again.")
	}
	removed, err := dropFromGroup.All(ctx, tx, db.Args{"id": g.ID, "members": ids(memberIDs)})
	if err != nil {
		return nil, err
	}
	added, err := addToGroup.All(ctx, tx, db.Args{"id": g.ID, "members": ids(memberIDs)})
	if err != nil {
		return nil, err
	}
	g.Size = known
	var changes []ledger.Change
	if len(added) > 0 {
		changes = append(changes, ledger.Change{Field: "members_added", To: added})
	}
	if len(removed) > 0 {
		changes = append(changes, ledger.Change{Field: "members_removed", From: removed})
	}
	return changes, nil
}

// DeleteGroup deletes a group; its members stay members.
func (s *Service) DeleteGroup(ctx context.Context, a db.Actor, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := s.lock(ctx, tx); err != nil {
			return err
		}
		g, err := loadGroup.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if _, err := deleteGroup.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{Action: "people_group.deleted", Subject: g.subject(), Before: g, Payload: g.payload()})
	})
}

func groupNameTaken(err error) error {
	if db.Violated(err, "people_groups_workspace_id_name_key") {
		return fault.InvalidField("name", "taken", "There is a group of this name already.")
	}
	return err
}

func (g PeopleGroup) subject() event.Subject {
	return event.Subject{Type: "people_group", ID: g.ID, Title: g.Name}
}

func (g PeopleGroup) payload() GroupPayload {
	return GroupPayload{GroupID: g.ID, Name: g.Name, Members: int(g.Size)}
}

// AddToGroup puts the member with the e-mail address into the group.
func (s *Service) AddToGroup(ctx context.Context, a db.Actor, id uuid.UUID, email string) (Member, error) {
	var m Member
	err := s.editGroup(ctx, a, id, func(tx *db.Tx, now []uuid.UUID) ([]uuid.UUID, error) {
		var ok bool
		var err error
		if m, ok, err = memberByEmail.Maybe(ctx, tx, db.Args{"email": strings.ToLower(strings.TrimSpace(email))}); err != nil {
			return nil, err
		}
		if !ok {
			return nil, fault.InvalidField("email", "unknown_member", "No member has this address. Invite the person first.")
		}
		return append(now, m.ID), nil
	})
	return m, err
}

// TakeFromGroup takes a member out of the group.
func (s *Service) TakeFromGroup(ctx context.Context, a db.Actor, id, memberID uuid.UUID) error {
	return s.editGroup(ctx, a, id, func(_ *db.Tx, now []uuid.UUID) ([]uuid.UUID, error) {
		return slices.DeleteFunc(now, func(m uuid.UUID) bool { return m == memberID }), nil
	})
}

// editGroup lets edit compute who shall be in the group from who is.
func (s *Service) editGroup(ctx context.Context, a db.Actor, id uuid.UUID, edit func(tx *db.Tx, now []uuid.UUID) ([]uuid.UUID, error)) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := s.lock(ctx, tx); err != nil {
			return err
		}
		before, err := loadGroup.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		now, err := groupMemberIDs.All(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		want, err := edit(tx, now)
		if err != nil {
			return err
		}
		g := before
		changes, err := s.fillGroup(ctx, tx, &g, want)
		if err != nil {
			return err
		}
		return s.saveGroup(ctx, tx, before, &g, changes)
	})
}
