package members

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// rule adds a rule in the first workspace.
func (b *bench) rule(t *testing.T, claim string, role access.Role) Mapping {
	t.Helper()
	m, err := b.svc.AddMapping(context.Background(), b.owner, NewMapping{ClaimValue: claim, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// signIn tells the module that a person signed in with these groups.
func (b *bench) signIn(t *testing.T, a db.Actor, groups ...string) {
	t.Helper()
	in := SignIn{UserID: a.UserID, Email: a.Email, EmailVerified: true, Groups: groups, GroupsPresent: true}
	if err := b.svc.ApplySignIn(context.Background(), in); err != nil {
		t.Fatal(err)
	}
}

func TestGroupsGiveAndTakeMembership(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "staff", access.Viewer)
	admins := b.rule(t, "admins", access.Admin)
	if _, err := b.svc.AddMapping(context.Background(), b.strang, NewMapping{ClaimValue: "staff", Role: access.Member}); err != nil {
		t.Fatal(err)
	}
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	steps := []struct {
		name        string
		groups      []string
		here, there string
	}{
		{"no group that matters", []string{"other", "STAFF", "\x00", ""}, "none", "none"},
		{"one group, two workspaces", []string{"staff"}, "viewer active group", "member active group"},
		{"the highest role wins", []string{"staff", "admins"}, "admin active group", "member active group"},
		{"and goes with its group", []string{"staff"}, "viewer active group", "member active group"},
		{"all groups gone", nil, "none", "none"},
		{"back again", []string{"admins"}, "admin active group", "none"},
	}
	for _, tt := range steps {
		b.signIn(t, mara, tt.groups...)
		if here, there := b.place(t, b.ws, mara.UserID), b.place(t, b.other, mara.UserID); here != tt.here || there != tt.there {
			t.Errorf("%s: %q and %q, want %q and %q", tt.name, here, there, tt.here, tt.there)
		}
	}
	if err := b.svc.DeleteMapping(context.Background(), b.admin, admins.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.place(t, b.ws, mara.UserID); got != "admin active group" {
		t.Errorf("the rule acted before the next sign-in: %q", got)
	}
	b.signIn(t, mara, "admins")
	if got := b.place(t, b.ws, mara.UserID); got != "none" {
		t.Errorf("without the rule mara is still %q", got)
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE action = 'member.removed' AND reason = 'sign-in' AND workspace_id = $1`, b.ws); n != 2 {
		t.Errorf("%d removals recorded with their reason, want 2", n)
	}
}

func TestAProviderThatSendsNoGroupsTakesNothing(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "staff", access.Viewer)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	b.signIn(t, mara, "staff")
	if err := b.svc.ApplySignIn(context.Background(), SignIn{UserID: mara.UserID, Email: mara.Email, EmailVerified: true}); err != nil {
		t.Fatal(err)
	}
	if got := b.place(t, b.ws, mara.UserID); got != "viewer active group" {
		t.Errorf("mara is %q", got)
	}
}

func TestGroupsNeverTouchWhoCameAnotherWay(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "owners", access.Owner)
	issued := b.invite(t, "mara@example.com", access.Member)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	if _, err := b.svc.AcceptOffer(context.Background(), mara, token(issued)); err != nil {
		t.Fatal(err)
	}
	for _, groups := range [][]string{{"owners"}, nil} {
		b.signIn(t, mara, groups...)
		if got := b.place(t, b.ws, mara.UserID); got != "member active invite" {
			t.Errorf("with %v mara is %q", groups, got)
		}
	}
	b.signIn(t, b.viewer)
	// As when the person came by invitation between the look across workspaces and the lock.
	if err := b.svc.followGroups(context.Background(), b.ws, b.viewer.UserID, []string{"owners"}); err != nil {
		t.Fatal(err)
	}
	if got := b.place(t, b.ws, b.viewer.UserID); got != "viewer active seed" {
		t.Errorf("vera is %q", got)
	}
}

func TestGroupsNeverTakeTheLastOwner(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.rule(t, "owners", access.Owner)
	b.rule(t, "staff", access.Viewer)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	b.signIn(t, mara, "owners")
	if err := b.svc.RemoveMember(ctx, b.owner, b.memberID(t, b.ws, b.owner)); err != nil {
		t.Fatal(err)
	}
	for _, groups := range [][]string{{"staff"}, nil} {
		b.signIn(t, mara, groups...)
		if got := b.place(t, b.ws, mara.UserID); got != "owner active group" {
			t.Errorf("with %v the last owner is %q", groups, got)
		}
	}
	mara.WorkspaceID = b.ws
	if _, err := b.svc.ChangeMember(ctx, mara, b.memberID(t, b.ws, b.admin), Change{Role: roleOf(access.Owner)}); err != nil {
		t.Fatal(err)
	}
	b.signIn(t, mara, "staff")
	if got := b.place(t, b.ws, mara.UserID); got != "viewer active group" {
		t.Errorf("beside another owner mara is %q", got)
	}
}

func TestASuspendedMemberStaysSuspendedWhateverTheGroups(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "staff", access.Viewer)
	b.rule(t, "admins", access.Admin)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	b.signIn(t, mara, "staff")
	if _, err := b.svc.ChangeMember(context.Background(), b.admin, b.memberID(t, b.ws, mara), Change{State: stateOf(Suspended)}); err != nil {
		t.Fatal(err)
	}
	b.signIn(t, mara, "admins")
	if got := b.place(t, b.ws, mara.UserID); got != "admin suspended group" {
		t.Errorf("mara is %q", got)
	}
}

func TestSigningInAcceptsEveryOpenInvitationOfAConfirmedAddress(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.invite(t, "mara@example.com", access.Member)
	if _, err := b.svc.Invite(ctx, b.strang, NewInvitation{Email: "mara@example.com", Role: access.Viewer}); err != nil {
		t.Fatal(err)
	}
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	if err := b.svc.ApplySignIn(ctx, SignIn{UserID: mara.UserID, Email: "mara@example.com"}); err != nil {
		t.Fatal(err)
	}
	if got := b.place(t, b.ws, mara.UserID); got != "none" {
		t.Errorf("an address that nobody confirmed made mara %q", got)
	}
	if err := b.svc.ApplySignIn(ctx, SignIn{UserID: mara.UserID, Email: "MARA@example.com", EmailVerified: true}); err != nil {
		t.Fatal(err)
	}
	if here, there := b.place(t, b.ws, mara.UserID), b.place(t, b.other, mara.UserID); here != "member active invite" || there != "viewer active invite" {
		t.Errorf("mara is %q and %q", here, there)
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE action = 'invitation.accepted' AND reason = 'sign-in' AND parent_type = 'member'`); n != 2 {
		t.Errorf("%d recorded, want 2", n)
	}
}

func TestAnInvitationOutlivesTheGroup(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "staff", access.Viewer)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	issued := b.invite(t, "mara@example.com", access.Approver)
	b.clk.Advance(7 * 24 * time.Hour)
	b.signIn(t, mara, "staff")
	if got := b.place(t, b.ws, mara.UserID); got != "viewer active group" {
		t.Fatalf("an expired invitation counted: %q", got)
	}
	again, err := b.svc.ResendInvitation(context.Background(), b.admin, issued.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.AcceptOffer(context.Background(), mara, token(again)); err != nil {
		t.Fatal(err)
	}
	b.signIn(t, mara)
	if got := b.place(t, b.ws, mara.UserID); got != "approver active invite" {
		t.Errorf("mara is %q", got)
	}
}

func TestTwoSignInsAtOnceMakeOneMember(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "staff", access.Viewer)
	b.invite(t, "mara@example.com", access.Member)
	mara := b.user(t, "Mara Lind", "mara@example.com", true)
	var ready, done sync.WaitGroup
	ready.Add(4)
	for range 4 {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			in := SignIn{UserID: mara.UserID, Email: mara.Email, EmailVerified: true, Groups: []string{"staff"}, GroupsPresent: true}
			if err := b.svc.ApplySignIn(context.Background(), in); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if got := b.place(t, b.ws, mara.UserID); got != "member active invite" {
		t.Errorf("mara is %q", got)
	}
	if n := b.audited(t, b.ws, "member.joined"); n != 1 {
		t.Errorf("joined %d times", n)
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	owners := b.rule(t, "owners", access.Owner)
	long := make([]byte, 201)
	for i := range long {
		long[i] = 'x'
	}
	tests := []struct {
		name string
		by   db.Actor
		in   NewMapping
		want string
	}{
		{"no group", b.admin, NewMapping{ClaimValue: " ", Role: access.Viewer}, "claim_value required"},
		{"a long group", b.admin, NewMapping{ClaimValue: string(long), Role: access.Viewer}, "claim_value too_long"},
		{"a NUL", b.admin, NewMapping{ClaimValue: "a\x00", Role: access.Viewer}, "claim_value invalid_text"},
		{"no such role", b.admin, NewMapping{ClaimValue: "a", Role: "king"}, "role not_allowed"},
		{"an owner by an admin", b.admin, NewMapping{ClaimValue: "a", Role: access.Owner}, "role owner_only"},
		{"twice", b.admin, NewMapping{ClaimValue: "owners", Role: access.Viewer}, "claim_value taken"},
		{"twice, as a path", b.admin, NewMapping{ClaimValue: " /owners", Role: access.Viewer}, "claim_value taken"},
		{"by a viewer", b.viewer, NewMapping{ClaimValue: "a", Role: access.Viewer}, "forbidden"},
	}
	for _, tt := range tests {
		if _, err := b.svc.AddMapping(ctx, tt.by, tt.in); code(err) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, code(err), tt.want)
		}
	}
	if err := b.svc.DeleteMapping(ctx, b.admin, owners.ID); code(err) != "forbidden" {
		t.Errorf("an admin deleted a rule for owners: %v", err)
	}
	if err := b.svc.DeleteMapping(ctx, b.strang, owners.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a stranger deleted a rule: %v", err)
	}
	if _, err := b.svc.Mapping(ctx, b.strang, owners.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a stranger read a rule: %v", err)
	}
	if rules, err := b.svc.Mappings(ctx, b.strang); err != nil || len(rules) != 0 {
		t.Errorf("a stranger sees %v, %v", rules, err)
	}
}

func TestGroupsOfPeopleHoldMembersOfTheirWorkspaceOnly(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	viewer, admin, stranger := b.memberID(t, b.ws, b.viewer), b.memberID(t, b.ws, b.admin), b.memberID(t, b.other, b.strang)
	g, err := b.svc.CreateGroup(ctx, b.admin, " Ops ", []uuid.UUID{viewer, viewer})
	if err != nil || g.Name != "Ops" || g.Size != 1 {
		t.Fatalf("%+v, %v", g, err)
	}
	if _, err := b.svc.CreateGroup(ctx, b.admin, "Ops", nil); code(err) != "name taken" {
		t.Errorf("same name: %v", err)
	}
	if _, err := b.svc.CreateGroup(ctx, b.admin, "", nil); code(err) != "name required" {
		t.Errorf("no name: %v", err)
	}
	if _, err := b.svc.CreateGroup(ctx, b.viewer, "Mine", nil); code(err) != "forbidden" {
		t.Errorf("by a viewer: %v", err)
	}
	if _, err := b.svc.ChangeGroup(ctx, b.admin, g.ID, GroupChange{Members: []uuid.UUID{admin, stranger}}); code(err) != "members unknown_member" {
		t.Errorf("a stranger in the group: %v", err)
	}
	one := int64(1)
	if g, err = b.svc.ChangeGroup(ctx, b.admin, g.ID, GroupChange{Members: []uuid.UUID{admin}, Version: &one}); err != nil || g.Version != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	name := "Network"
	if _, err := b.svc.ChangeGroup(ctx, b.admin, g.ID, GroupChange{Name: &name, Version: &one}); code(err) != "version current_version" {
		t.Errorf("old version: %v", err)
	}
	if _, err := b.svc.AddToGroup(ctx, b.admin, g.ID, "VERA.viewer@example.test "); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.AddToGroup(ctx, b.admin, g.ID, "stan.stranger@example.test"); code(err) != "email unknown_member" {
		t.Errorf("added a stranger: %v", err)
	}
	if err := b.svc.TakeFromGroup(ctx, b.admin, g.ID, admin); err != nil {
		t.Fatal(err)
	}
	_, in, err := b.svc.GroupOf(ctx, b.viewer, g.ID)
	if err != nil || len(in) != 1 || in[0].Name != "Vera Viewer" {
		t.Errorf("in the group: %+v, %v", in, err)
	}
	if _, _, err := b.svc.GroupOf(ctx, b.strang, g.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a stranger read it: %v", err)
	}
	if _, err := b.svc.ChangeGroup(ctx, b.strang, g.ID, GroupChange{Name: &name}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a stranger changed it: %v", err)
	}
	if err := b.svc.DeleteGroup(ctx, b.strang, g.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a stranger deleted it: %v", err)
	}
	if err := b.svc.DeleteGroup(ctx, b.admin, g.ID); err != nil || b.audited(t, b.ws, "people_group.deleted") != 1 {
		t.Errorf("delete: %v", err)
	}
	if n := b.audited(t, b.ws, "people_group.updated"); n != 3 {
		t.Errorf("changes recorded %d times, want 3", n)
	}
}
