package members

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/plan"
)

// limited switches limits on and gives the workspace, which has three members, a plan.
func (b *bench) limited(t *testing.T, name plan.Name) {
	t.Helper()
	b.svc.planLimits = true
	root := b.admin
	root.PlatformAdmin = true
	if _, err := b.svc.ChangePlan(context.Background(), root, name); err != nil {
		t.Fatal(err)
	}
}

func TestInvitationsTakePlacesOfThePlan(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.limited(t, plan.Starter)
	var rows []NewInvitation
	for i := range plan.Of(plan.Starter, true).Members - 3 {
		rows = append(rows, NewInvitation{Email: fmt.Sprintf("p%d@example.com", i), Role: access.Viewer})
	}
	more := NewInvitation{Email: "more@example.com", Role: access.Viewer}
	if _, err := b.svc.InviteMany(ctx, b.admin, append(rows, more)); !plan.Exceeded(err) {
		t.Errorf("one more than there is room for: %v", err)
	}
	issued, err := b.svc.InviteMany(ctx, b.admin, rows)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Invite(ctx, b.admin, more); !plan.Exceeded(err) {
		t.Errorf("beyond the plan: %v", err)
	}
	if err := b.svc.RevokeInvitation(ctx, b.admin, issued[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Invite(ctx, b.admin, more); err != nil {
		t.Errorf("a place that was given back: %v", err)
	}
	// What has expired takes no place, until it is sent again.
	b.clk.Advance(8 * 24 * time.Hour)
	other := rows[:0:0]
	for i := range rows {
		other = append(other, NewInvitation{Email: fmt.Sprintf("q%d@example.com", i), Role: access.Viewer})
	}
	if _, err := b.svc.InviteMany(ctx, b.admin, other); err != nil {
		t.Errorf("after all have expired: %v", err)
	}
	if _, err := b.svc.ResendInvitation(ctx, b.admin, issued[1].ID); !plan.Exceeded(err) {
		t.Errorf("an expired one sent again: %v", err)
	}
}

func TestNobodyJoinsAFullWorkspaceAndTheirSignInGoesOn(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.rule(t, "staff", access.Viewer)
	mara, otto := b.user(t, "Mara Lind", "mara@example.com", true), b.user(t, "Otto Ek", "otto@example.com", true)
	b.invite(t, "mara@example.com", access.Member)
	b.limited(t, plan.Free) // holds the three that are there
	signIns := []SignIn{
		{UserID: mara.UserID, Email: "mara@example.com", EmailVerified: true},
		{UserID: otto.UserID, Groups: []string{"staff"}, GroupsPresent: true},
	}
	for _, in := range signIns {
		if err := b.svc.ApplySignIn(ctx, in); err != nil {
			t.Errorf("sign-in beside a full workspace: %v", err)
		}
		if got := b.place(t, b.ws, in.UserID); got != "none" {
			t.Errorf("joined a full workspace: %s", got)
		}
	}
	b.limited(t, plan.Enterprise)
	for _, in := range signIns {
		if err := b.svc.ApplySignIn(ctx, in); err != nil {
			t.Fatal(err)
		}
		if got := b.place(t, b.ws, in.UserID); got == "none" {
			t.Error("not let in under a larger plan")
		}
	}
}

func TestPlanIsChosenByPlatformAdminsAndRecorded(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	root := b.admin
	root.PlatformAdmin = true
	if _, err := b.svc.ChangePlan(ctx, root, plan.Pro); code(err) != "plans_off" {
		t.Errorf("without limits: %v", err)
	}
	if _, use, err := b.svc.Settings(ctx, b.admin); err != nil || use != nil {
		t.Errorf("use is shown without limits: %+v, %v", use, err)
	}
	b.limited(t, plan.Starter)
	for name, err := range map[string]error{
		"forbidden":        second(b.svc.ChangePlan(ctx, b.owner, plan.Pro)),
		"plan not_allowed": second(b.svc.ChangePlan(ctx, root, "gold")),
		"":                 second(b.svc.ChangePlan(ctx, root, plan.Starter)),
	} {
		if code(err) != name {
			t.Errorf("%q, want %q", code(err), name)
		}
	}
	if n := b.audited(t, b.ws, "workspace.plan_changed"); n != 1 {
		t.Errorf("recorded %d times, want 1", n)
	}
	b.invite(t, "mara@example.com", access.Member)
	b.svc.AddUse(Use{
		Label: "Groups", Limit: func(l plan.Limits) int { return l.Hosts },
		Count: func(context.Context, *db.Tx) (int, error) { return 7, nil },
	})
	ws, use, err := b.svc.Settings(ctx, b.admin)
	if err != nil || ws.Plan != plan.Starter {
		t.Fatalf("%+v, %v", ws, err)
	}
	limits := plan.Of(plan.Starter, true)
	want := []Used{
		{Label: "Members", Have: 4, Limit: limits.Members, Note: "With 1 open invitation."},
		{Label: "Groups", Have: 7, Limit: limits.Hosts},
	}
	if diff := cmp.Diff(want, use.Used); diff != "" {
		t.Error(diff)
	}
	kept, err := b.svc.Retentions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		if k.For == limits.Retention {
			if diff := cmp.Diff([]uuid.UUID{b.ws}, k.Workspaces); diff != "" {
				t.Error(diff)
			}
		} else if len(k.Workspaces) > 0 {
			t.Errorf("%v keep %s", k.Workspaces, k.For)
		}
	}
}

func TestNewWorkspaceStartsWithTheSmallestPlanWhereLimitsAreOn(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	for limits, want := range map[bool]plan.Name{false: plan.Enterprise, true: plan.Free} {
		b.svc.planLimits = limits
		ws, err := b.svc.CreateWorkspace(context.Background(), mara, NewWorkspace{Name: fmt.Sprintf("Limits %v", limits)})
		if err != nil || ws.Plan != want {
			t.Errorf("limits %v: plan %s, %v", limits, ws.Plan, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
