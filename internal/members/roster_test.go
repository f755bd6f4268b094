package members

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestARoleChangeIsRecordedWithBothRoles(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	m, err := b.svc.ChangeMember(ctx, b.admin, b.memberID(t, b.ws, b.viewer), Change{Role: roleOf(access.Approver)})
	if err != nil || m.Role != access.Approver || m.Name != "Vera Viewer" {
		t.Fatalf("%+v, %v", m, err)
	}
	var diff string
	if err := b.Admin(t).QueryRow(ctx, `SELECT diff::text FROM audit.event WHERE action = 'member.role_changed'`).Scan(&diff); err != nil {
		t.Fatal(err)
	}
	if want := `[{"to": "approver", "from": "viewer", "field": "role"}]`; diff != want {
		t.Errorf("diff %s, want %s", diff, want)
	}
	if n := b.count(t, `SELECT count(*) FROM events WHERE name = 'member.role_changed' AND payload->>'previous_role' = 'viewer' AND payload->>'user_id' = $1`, b.viewer.UserID.String()); n != 1 {
		t.Error("the event does not say who and what before")
	}
}

func TestTheRightsOfTheMomentDecide(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	target := b.memberID(t, b.ws, b.viewer)
	if _, err := b.svc.ChangeMember(ctx, b.owner, b.memberID(t, b.ws, b.admin), Change{Role: roleOf(access.Viewer)}); err != nil {
		t.Fatal(err)
	}
	// b.admin still says "admin", as a request that was under way would.
	if _, err := b.svc.ChangeMember(ctx, b.admin, target, Change{Role: roleOf(access.Admin)}); code(err) != "forbidden" {
		t.Errorf("somebody demoted meanwhile changed a role: %v", err)
	}
	if _, err := b.svc.ChangeMember(ctx, b.owner, b.memberID(t, b.ws, b.admin), Change{Role: roleOf(access.Admin), State: stateOf(Suspended)}); err != nil {
		t.Fatal(err)
	}
	if err := b.svc.RemoveMember(ctx, b.admin, target); code(err) != "forbidden" {
		t.Errorf("somebody suspended meanwhile removed a member: %v", err)
	}
	wrong := int64(7)
	if _, err := b.svc.ChangeMember(ctx, b.owner, target, Change{Role: roleOf(access.Admin), Version: &wrong}); code(err) != "version current_version" {
		t.Errorf("an old version was accepted: %v", err)
	}
	if _, err := b.svc.ChangeMember(ctx, b.viewer, target, Change{Role: roleOf(access.Member)}); code(err) != "forbidden" {
		t.Errorf("a viewer changed a role: %v", err)
	}
}

func TestThereIsAlwaysAnOwner(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	id := b.memberID(t, b.ws, b.owner)
	if _, err := b.svc.ChangeMember(ctx, b.owner, id, Change{Role: roleOf(access.Admin)}); code(err) != "last_owner" {
		t.Errorf("the last owner stepped down: %v", err)
	}
	if err := b.svc.RemoveMember(ctx, b.owner, id); code(err) != "last_owner" {
		t.Errorf("the last owner left: %v", err)
	}
	if _, err := b.svc.ChangeMember(ctx, b.owner, b.memberID(t, b.ws, b.admin), Change{Role: roleOf(access.Owner)}); err != nil {
		t.Fatal(err)
	}
	if err := b.svc.RemoveMember(ctx, b.owner, id); err != nil {
		t.Errorf("an owner beside another could not leave: %v", err)
	}
}

func TestTwoOwnersWhoDemoteEachOtherAtOnceLeaveOne(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	second := b.Member(t, b.ws, "Otto Owner", "owner")
	ids := []uuid.UUID{b.memberID(t, b.ws, b.owner), b.memberID(t, b.ws, second)}
	actors := []db.Actor{second, b.owner}
	errs := make([]error, 2)
	var ready, done sync.WaitGroup
	ready.Add(2)
	for i := range ids {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			_, errs[i] = b.svc.ChangeMember(ctx, actors[i], ids[i], Change{Role: roleOf(access.Viewer)})
		})
	}
	done.Wait()
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
			if !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Conflict) {
				t.Errorf("failed for another reason: %v", err)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d of two failed: %v", failed, errs)
	}
	if n := b.count(t, `SELECT count(*) FROM members WHERE workspace_id = $1 AND role = 'owner'`, b.ws); n != 1 {
		t.Errorf("%d owners are left, want 1", n)
	}
}

func TestTwoOwnersWhoLeaveAtOnceLeaveOne(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	second := b.Member(t, b.ws, "Otto Owner", "owner")
	errs := make([]error, 2)
	var ready, done sync.WaitGroup
	ready.Add(2)
	for i, a := range []db.Actor{b.owner, second} {
		id := b.memberID(t, b.ws, a)
		done.Go(func() {
			ready.Done()
			ready.Wait()
			errs[i] = b.svc.RemoveMember(ctx, a, id)
		})
	}
	done.Wait()
	codes := []string{code(errs[0]), code(errs[1])}
	slices.Sort(codes)
	if diff := cmp.Diff([]string{"", "last_owner"}, codes); diff != "" {
		t.Error(diff)
	}
}

func TestARemovedMemberLeavesNothingBehindButTheRecord(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	id := b.memberID(t, b.ws, b.viewer)
	if _, err := b.svc.CreateGroup(ctx, b.admin, "Ops", []uuid.UUID{id}); err != nil {
		t.Fatal(err)
	}
	if err := b.svc.RemoveMember(ctx, b.admin, id); err != nil {
		t.Fatal(err)
	}
	if got := b.place(t, b.ws, b.viewer.UserID); got != "none" {
		t.Errorf("still %q", got)
	}
	if n := b.count(t, `SELECT count(*) FROM people_group_members`); n != 0 {
		t.Error("still in a group")
	}
	if b.audited(t, b.ws, "member.removed") != 1 {
		t.Error("not recorded")
	}
}

func TestAStrangerSeesAndChangesNobody(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	id := b.memberID(t, b.ws, b.viewer)
	if _, err := b.svc.Member(ctx, b.strang, id); !fault.Is(err, fault.NotFound) {
		t.Errorf("read: %v", err)
	}
	if _, err := b.svc.ChangeMember(ctx, b.strang, id, Change{Role: roleOf(access.Owner)}); !fault.Is(err, fault.NotFound) {
		t.Errorf("change: %v", err)
	}
	if err := b.svc.RemoveMember(ctx, b.strang, id); !fault.Is(err, fault.NotFound) {
		t.Errorf("remove: %v", err)
	}
	var names []string
	if err := b.svc.ExportMembers(ctx, b.strang, Filter{}, func(m Member) error {
		names = append(names, m.Name)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Stan Stranger"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestMembersAreFilteredAndSorted(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	if _, err := b.svc.ChangeMember(ctx, b.admin, b.memberID(t, b.ws, b.viewer), Change{State: stateOf(Suspended)}); err != nil {
		t.Fatal(err)
	}
	names := func(f Filter, sort string, limit int) []string {
		var out []string
		q, err := f.query()
		if err != nil {
			t.Fatal(err)
		}
		cursor := ""
		for {
			if q, err = q.Sort(sort).Limit(limit).After(cursor); err != nil {
				t.Fatal(err)
			}
			var page db.Page[Member]
			if err := b.InWorkspace(ctx, b.viewer, func(tx *db.Tx) error {
				var err error
				page, err = q.Page(ctx, tx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			for _, m := range page.Items {
				out = append(out, m.Name)
			}
			if cursor = page.Next; cursor == "" {
				return out
			}
		}
	}
	all := []string{"Adam Admin", "Olga Owner", "Vera Viewer"}
	for _, sort := range []string{"name", "email"} {
		if diff := cmp.Diff(all, names(Filter{}, sort, 1)); diff != "" {
			t.Errorf("%s: %s", sort, diff)
		}
	}
	if diff := cmp.Diff([]string{"Olga Owner", "Adam Admin", "Vera Viewer"}, names(Filter{}, "-role", 1)); diff != "" {
		t.Error(diff)
	}
	for _, sort := range []string{"last_seen", "-last_seen", "joined", "-joined"} {
		got := names(Filter{}, sort, 1)
		slices.Sort(got)
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("%s: %s", sort, diff)
		}
	}
	if diff := cmp.Diff([]string{"Vera Viewer"}, names(Filter{State: Suspended}, "name", 10)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Adam Admin"}, names(Filter{Role: access.Admin, Text: "ADAM.ADMIN@"}, "name", 10)); diff != "" {
		t.Error(diff)
	}
	for _, f := range []Filter{{Role: "king"}, {State: "gone"}} {
		if _, err := f.query(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if n := b.audited(t, b.ws, "member.exported"); n != 0 {
		t.Errorf("reading a page was recorded as an export %d times", n)
	}
}

func TestOnlyActivePeopleAreRecipients(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	viewer, admin, owner := b.memberID(t, b.ws, b.viewer), b.memberID(t, b.ws, b.admin), b.memberID(t, b.ws, b.owner)
	g, err := b.svc.CreateGroup(ctx, b.owner, "Ops", []uuid.UUID{viewer, admin})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.ChangeMember(ctx, b.owner, viewer, Change{State: stateOf(Suspended)}); err != nil {
		t.Fatal(err)
	}
	read := func(a db.Actor, members, groups []uuid.UUID) []string {
		out := []string{}
		if err := b.InWorkspace(ctx, a, func(tx *db.Tx) error {
			people, err := b.svc.ResolveRecipients(ctx, tx, members, groups)
			for _, p := range people {
				out = append(out, p.Name)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if diff := cmp.Diff([]string{"Adam Admin", "Olga Owner"}, read(b.owner, []uuid.UUID{owner, admin}, []uuid.UUID{g.ID})); diff != "" {
		t.Error(diff)
	}
	if got := read(b.owner, nil, nil); len(got) != 0 {
		t.Errorf("nobody named gives %v", got)
	}
	if got := read(b.strang, []uuid.UUID{owner}, []uuid.UUID{g.ID}); len(got) != 0 {
		t.Errorf("a stranger reaches %v", got)
	}
	if err := b.InWorkspace(ctx, b.viewer, func(tx *db.Tx) error {
		people, err := b.svc.People(ctx, tx)
		if len(people) != 2 {
			t.Errorf("people %v", people)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWhoIsRemovedLosesTheirTokensInTheSameTransaction(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx, id := context.Background(), b.memberID(t, b.ws, b.viewer)
	b.tokens.fail = errors.New("no")
	if err := b.svc.RemoveMember(ctx, b.admin, id); !errors.Is(err, b.tokens.fail) {
		t.Fatalf("removal without revocation: %v", err)
	}
	if got := b.place(t, b.ws, b.viewer.UserID); got == "none" {
		t.Error("removed although the tokens stay")
	}
	b.tokens.fail = nil
	if err := b.svc.RemoveMember(ctx, b.admin, id); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uuid.UUID{b.viewer.UserID, b.viewer.UserID}, b.tokens.revoked); diff != "" {
		t.Error(diff)
	}
}
