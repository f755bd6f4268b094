package members

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/plan"
)

// Use is something that a plan bounds and another module counts.
type Use struct {
	Label string // such as "Hosts"
	Limit func(plan.Limits) int
	Count func(ctx context.Context, tx *db.Tx) (int, error)
}

// SettingsLink leads from the settings page to settings that another module keeps.
type SettingsLink struct {
	Title      string
	Text       string
	Path       string // below the workspace
	Icon       string
	Permission access.Permission
}

// taken is how many places of a workspace are taken.
type taken struct {
	Members int64 `db:"members"`
	Invited int64 `db:"invited"` // open invitations
}

func (t taken) all() int { return int(t.Members + t.Invited) }

// firstPlan is the plan of a new workspace.
func (s *Service) firstPlan() plan.Name {
	if s.planLimits {
		return plan.Free
	}
	return plan.Enterprise
}

// Plan returns the plan of the workspace of tx with the limits in force. Where limits are on
// it also makes other additions wait until tx ends, so that no two take the last place.
func (s *Service) Plan(ctx context.Context, tx *db.Tx) (plan.Plan, error) {
	if !s.planLimits {
		return plan.Plan{}, nil
	}
	name, err := lockPlan.One(ctx, tx, nil)
	return plan.Of(name, true), err
}

// Kept is how long the workspaces of a plan keep single scans.
type Kept struct {
	Workspaces []uuid.UUID
	For        time.Duration
}

// Retentions returns the workspaces whose plan keeps scans for a limited time.
func (s *Service) Retentions(ctx context.Context) ([]Kept, error) {
	if !s.planLimits {
		return nil, nil
	}
	var out []Kept
	for _, name := range plan.Names() {
		keep := plan.Of(name, true).Retention
		if keep == 0 {
			continue
		}
		ids, err := workspacesOfPlan.All(ctx, s.db.SystemRead(), db.Args{"plan": name})
		if err != nil {
			return nil, err
		}
		out = append(out, Kept{Workspaces: ids, For: keep})
	}
	return out, nil
}

// checkPlaces refuses invitations beyond the plan.
func (s *Service) checkPlaces(ctx context.Context, tx *db.Tx, more int) error {
	p, t, err := s.places(ctx, tx)
	if err != nil {
		return err
	}
	return p.CheckMembers(t.all(), more)
}

// checkJoin refuses one more member. Invitations have been counted when they were sent, and
// one that is accepted turns into a membership: only members count.
func (s *Service) checkJoin(ctx context.Context, tx *db.Tx) error {
	p, t, err := s.places(ctx, tx)
	if err != nil {
		return err
	}
	return p.CheckMembers(int(t.Members), 1)
}

func (s *Service) places(ctx context.Context, tx *db.Tx) (plan.Plan, taken, error) {
	p, err := s.Plan(ctx, tx)
	if err != nil || p.Members == 0 {
		return p, taken{}, err
	}
	t, err := countTaken.One(ctx, tx, nil)
	return p, t, err
}

// isFull reports whether somebody could not join because the plan holds no more members,
// and tells the operator: the sign-in goes on without that workspace.
func (s *Service) isFull(ctx context.Context, err error, workspace uuid.UUID) bool {
	if !plan.Exceeded(err) {
		return false
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "nobody can join: the plan is full", slog.String("workspace_id", workspace.String()))
	return true
}

// Used is a line of what a workspace uses of its plan.
type Used struct {
	Label string
	Have  int
	Limit int // 0 is no limit
	Note  string
}

// PlanUse is the plan of a workspace and what is used of it.
type PlanUse struct {
	plan.Plan
	Used []Used
}

// planUse reads what the workspace uses; nil where limits are off.
func (s *Service) planUse(ctx context.Context, tx *db.Tx, name plan.Name) (*PlanUse, error) {
	if !s.planLimits {
		return nil, nil
	}
	u := &PlanUse{Plan: plan.Of(name, true)}
	t, err := countTaken.One(ctx, tx, nil)
	if err != nil {
		return nil, err
	}
	members := Used{Label: "Members", Have: t.all(), Limit: u.Members}
	if t.Invited > 0 {
		members.Note = "With " + plural(int(t.Invited), "open invitation") + "."
	}
	u.Used = append(u.Used, members)
	for _, other := range s.uses {
		n, err := other.Count(ctx, tx)
		if err != nil {
			return nil, err
		}
		u.Used = append(u.Used, Used{Label: other.Label, Have: n, Limit: other.Limit(u.Limits)})
	}
	return u, nil
}

// Settings reads the workspace of the actor and what it uses of its plan, which is nil
// where limits are off.
func (s *Service) Settings(ctx context.Context, a db.Actor) (ws Workspace, use *PlanUse, err error) {
	err = s.db.View(ctx, a, func(tx *db.Tx) error {
		if ws, err = loadWorkspace.One(ctx, tx, nil); err != nil {
			return err
		}
		use, err = s.planUse(ctx, tx, ws.Plan)
		return err
	})
	return ws, use, err
}

// ChangePlan gives the workspace another plan. What it holds beyond a smaller one stays;
// nothing can be added until it fits.
func (s *Service) ChangePlan(ctx context.Context, a db.Actor, name plan.Name) (Workspace, error) {
	var after Workspace
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, SetPlan); err != nil {
			return err
		}
		if !s.planLimits {
			return fault.NewConflict("plans_off", "Plans have no limits in this installation. Set VIGILO_PLAN_LIMITS=true to use them.")
		}
		if !slices.Contains(plan.Names(), name) {
			return fault.InvalidField("plan", "not_allowed", "Choose one of the plans: free, starter, pro or enterprise.")
		}
		before, err := lockedWorkspace.One(ctx, tx, nil)
		if err != nil || before.Plan == name {
			after = before
			return err
		}
		after = before
		after.Plan = name
		after.Version++
		if _, err := savePlan.Run(ctx, tx, db.Args{"plan": name, "version": after.Version}); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: "workspace.plan_changed", Subject: workspaceSubject(after), Before: before, After: after,
			Payload: PlanPayload{Plan: string(name), PreviousPlan: string(before.Plan)},
		})
	})
	return after, err
}
