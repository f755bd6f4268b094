package freezes

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

const why = "The certificate ends before the freeze does."

// frozen is a world with a hard freeze and a change inside.
func frozen(t *testing.T) (*world, Freeze, *testChange) {
	w := newWorld(t)
	c := w.change("CHG-00012", "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	return w, w.active(span("2026-12-18T17:00Z", "2027-01-04T07:00Z")), c
}

func (w *world) asked(f Freeze, c *testChange) Override {
	w.t.Helper()
	o, err := w.RequestOverride(w.t.Context(), w.member, f.ID, NewOverride{Change: c.ChangeID.String(), Reason: why})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) valid(c *testChange, revision int64) map[uuid.UUID]Override {
	w.t.Helper()
	var out map[uuid.UUID]Override
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error {
		var err error
		out, err = w.Overridden(ctx, tx, c.ChangeID, revision)
		return err
	})
	return out
}

func TestOneAsksAndAnotherGrants(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	ctx := t.Context()
	o, err := w.RequestOverride(ctx, w.member, f.ID, NewOverride{Change: "chg-00012", Revision: ptr(int64(1)), Reason: "  " + why + "\r\n"})
	if err != nil || o.State != Requested || o.Reason != why || o.Revision != 1 || !o.Start.Equal(c.Start) {
		t.Fatalf("%+v, %v", o, err)
	}
	if got := w.valid(c, 1); len(got) != 0 {
		t.Errorf("a request lets pass: %v", got)
	}
	// Told are those who may grant it: the approvers, not the admin who is excluded.
	told := w.inbox.notices[0].Recipients
	if len(told) != 2 || !slices.Contains(told, w.approver.UserID) || !slices.Contains(told, w.second.UserID) {
		t.Errorf("told %v", told)
	}
	_, err = w.DecideOverride(ctx, w.member, f.ID, o.ID, true, "")
	refused(t, err, fault.Denied, "forbidden")
	_, err = w.DecideOverride(ctx, w.admin, f.ID, o.ID, true, "")
	refused(t, err, fault.Denied, "sod_violation")
	o, err = w.DecideOverride(ctx, w.approver, f.ID, o.ID, true, "It cannot wait.")
	if err != nil || o.State != Granted || o.DecidedBy.UUID != w.approver.UserID {
		t.Fatalf("%+v, %v", o, err)
	}
	got := w.valid(c, 1)
	if len(got) != 1 || got[f.ID].ID != o.ID || !w.book.valid[c.ChangeID] {
		t.Errorf("%v, %v", got, w.book.valid)
	}
	if got := w.valid(c, 2); len(got) != 0 {
		t.Errorf("another revision passes: %v", got)
	}
	if n := len(w.inbox.notices); n != 2 || !slices.Equal(w.inbox.notices[1].Recipients, []uuid.UUID{w.member.UserID}) {
		t.Errorf("notices %+v", w.inbox.notices)
	}
	_, err = w.DecideOverride(ctx, w.second, f.ID, o.ID, false, "I think that it can wait.")
	refused(t, err, fault.Conflict, "already_decided")
	_, err = w.RequestOverride(ctx, w.member, f.ID, NewOverride{Change: "CHG-00012", Reason: why})
	refused(t, err, fault.Conflict, "override_exists")
	if w.events(eventOverrideRequested) != 1 || w.audited(eventOverrideGranted) != 1 {
		t.Error("not everything is on record")
	}
}

func TestNobodyGrantsTheirOwnRequest(t *testing.T) {
	t.Parallel()
	w, f, _ := frozen(t)
	ctx := t.Context()
	o, err := w.RequestOverride(ctx, w.approver, f.ID, NewOverride{Change: "CHG-00012", Reason: why})
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"approver", "admin", "owner"} {
		self := w.approver
		self.Role = role
		for _, grant := range []bool{true, false} {
			_, err = w.DecideOverride(ctx, self, f.ID, o.ID, grant, "I decide this by myself.")
			refused(t, err, fault.Denied, "sod_violation")
		}
	}
	// A token acts for its owner, and no role is exempt.
	token := w.approver
	token.Kind, token.ID, token.PlatformAdmin = db.ActorAPIKey, uuid.New(), true
	_, err = w.DecideOverride(ctx, token, f.ID, o.ID, true, "")
	refused(t, err, fault.Denied, "sod_violation")
	service := db.Actor{WorkspaceID: w.ws, Kind: db.ActorService, ID: uuid.New(), Role: "owner", Name: "pipeline"}
	_, err = w.DecideOverride(ctx, service, f.ID, o.ID, true, "")
	refused(t, err, fault.Denied, "person_required")
}

func TestRequestsAreRefusedWithTheirReason(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	ctx := t.Context()
	outside := w.change("CHG-00013", "2027-02-20T10:00Z", "2027-02-20T12:00Z")
	closed := w.change("CHG-00014", "2026-12-20T10:00Z", "2026-12-20T12:00Z", func(c *testChange) { c.Closed = true })
	ask := func(a db.Actor, in NewOverride) error {
		_, err := w.RequestOverride(ctx, a, f.ID, in)
		return err
	}
	refused(t, ask(w.viewer, NewOverride{Change: "CHG-00012", Reason: why}), fault.Denied, "forbidden")
	refused(t, ask(w.admin, NewOverride{Change: "CHG-00012", Reason: why}), fault.Denied, "sod_violation")
	refused(t, ask(w.member, NewOverride{Change: "CHG-00012", Reason: "Too short."}), fault.Invalid, "reason_required")
	refused(t, ask(w.member, NewOverride{Change: "", Reason: why}), fault.Invalid, "change")
	refused(t, ask(w.member, NewOverride{Change: "CHG-99999", Reason: why}), fault.Invalid, "change")
	refused(t, ask(w.member, NewOverride{Change: uuid.NewString(), Reason: why}), fault.NotFound, "not_found")
	refused(t, ask(w.member, NewOverride{Change: c.Key, Revision: ptr(int64(7)), Reason: why}), fault.Conflict, "stale_revision")
	refused(t, ask(w.member, NewOverride{Change: outside.Key, Reason: why}), fault.Invalid, "freeze_not_met")
	refused(t, ask(w.member, NewOverride{Change: closed.Key, Reason: why}), fault.Conflict, "change_closed")
	f, err := w.ChangeFreeze(ctx, w.admin, f.ID, Change{Edit: func(f *Freeze) { f.Kind = Soft }})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, ask(w.member, NewOverride{Change: c.Key, Reason: why}), fault.Conflict, "freeze_not_blocking")
}

func TestARefusalSaysWhyAndTheNextRequestIsFree(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	o := w.asked(f, c)
	_, err := w.DecideOverride(t.Context(), w.approver, f.ID, o.ID, false, "No.")
	refused(t, err, fault.Invalid, "note")
	o, err = w.DecideOverride(t.Context(), w.approver, f.ID, o.ID, false, "Renew it before the freeze begins.")
	if err != nil || o.State != Refused || len(w.valid(c, 1)) != 0 {
		t.Fatalf("%+v, %v", o, err)
	}
	w.asked(f, c)
}

func TestAWideningFreezeVoidsOverridesAndANarrowingOneKeepsThem(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	ctx := t.Context()
	waiting := w.change("CHG-00013", "2026-12-21T10:00Z", "2026-12-21T12:00Z")
	o, asked := w.asked(f, c), w.asked(f, waiting)
	if _, err := w.DecideOverride(ctx, w.approver, f.ID, o.ID, true, ""); err != nil {
		t.Fatal(err)
	}
	f, err := w.ChangeFreeze(ctx, w.admin, f.ID, Change{Edit: func(f *Freeze) { f.EndsAt = ptr(at("2027-01-03T07:00Z")) }})
	if err != nil || len(w.valid(c, 1)) != 1 {
		t.Fatalf("narrower: %v, %v", err, w.valid(c, 1))
	}
	f, err = w.ChangeFreeze(ctx, w.admin, f.ID, Change{Edit: func(f *Freeze) { f.EndsAt = ptr(at("2027-01-05T07:00Z")) }})
	if err != nil || len(w.valid(c, 1)) != 0 || w.book.valid[c.ChangeID] || !w.book.held(c, f) {
		t.Fatalf("wider: %v, %v, %v", err, w.valid(c, 1), w.book.valid)
	}
	_, err = w.DecideOverride(ctx, w.approver, f.ID, asked.ID, true, "")
	refused(t, err, fault.Conflict, "already_decided")
	if n := w.audited(eventOverrideVoided); n != 2 {
		t.Errorf("%d voided", n)
	}
	// Who granted it stays on record.
	if n := w.count(`SELECT count(*) FROM freeze_overrides WHERE id = $1 AND state = 'void' AND decided_by = $2`, o.ID, w.approver.UserID); n != 1 {
		t.Error("the decision is gone")
	}
	w.asked(f, c)
}

func TestAMaterialEditVoidsOverrides(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	o := w.asked(f, c)
	c.Revision = 2
	_, err := w.DecideOverride(t.Context(), w.approver, f.ID, o.ID, true, "")
	refused(t, err, fault.Conflict, "stale_revision")
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error { return w.VoidOverrides(ctx, tx, c.ChangeID, 2) })
	fresh := w.asked(f, c)
	if _, err := w.DecideOverride(t.Context(), w.approver, f.ID, fresh.ID, true, ""); err != nil {
		t.Fatal(err)
	}
	if len(w.valid(c, 1)) != 0 || len(w.valid(c, 2)) != 1 {
		t.Errorf("revision 1 %v, revision 2 %v", w.valid(c, 1), w.valid(c, 2))
	}
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error {
		all, err := w.OverridesFor(ctx, tx, c.ChangeID)
		if len(all) != 2 || all[0].State != Granted || all[1].State != Void {
			t.Errorf("%+v", all)
		}
		return err
	})
}

func TestAnEmergencyGrantsItselfAndIsFlagged(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	soft := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
	soft.Name, soft.Kind = "Soft", Soft
	w.active(soft)
	w.asked(f, c)
	hits := w.check(c.Target, "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	if len(hits) != 2 || !hits[0].Blocks || hits[1].Blocks {
		t.Fatalf("%+v", hits)
	}
	grant := func(a db.Actor, revision int64, reason string) error {
		return w.d.InWorkspace(t.Context(), a, func(tx *db.Tx) error {
			return w.SelfGrant(t.Context(), tx, c.ChangeID, revision, hits, reason)
		})
	}
	refused(t, grant(w.approver, 1, "Short."), fault.Invalid, "reason_required")
	refused(t, grant(w.approver, 3, "The shop is down right now."), fault.Conflict, "stale_revision")
	refused(t, grant(db.System(w.ws, "test"), 1, "The shop is down right now."), fault.Denied, "person_required")
	for range 2 {
		if err := grant(w.approver, 1, "The shop is down right now."); err != nil {
			t.Fatal(err)
		}
	}
	got := w.valid(c, 1)
	if len(got) != 1 || !got[f.ID].SelfGranted || got[f.ID].DecidedBy.UUID != w.approver.UserID {
		t.Errorf("%+v", got)
	}
	if w.audited(eventOverrideSelfGranted) != 1 || w.events(eventOverrideSelfGranted) != 1 {
		t.Error("it is not on record once")
	}
}

func TestTwoDecisionsAtOnceMakeOne(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	o := w.asked(f, c)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			a := []db.Actor{w.approver, w.second}[i%2]
			_, errs[i] = w.DecideOverride(context.Background(), a, f.ID, o.ID, i < 4, "This is what I think about it.")
		})
	}
	wg.Wait()
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
		} else {
			refused(t, err, fault.Conflict, "already_decided")
		}
	}
	if n := w.audited(eventOverrideGranted) + w.audited(eventOverrideRefused); good != 1 || n != 1 {
		t.Errorf("%d decisions, %d on record", good, n)
	}
}

func TestWideningAndGrantingAtOnceNeverLeavesAValidOldOverride(t *testing.T) {
	t.Parallel()
	w, f, c := frozen(t)
	for round := range 4 {
		o := w.asked(f, c)
		var wg sync.WaitGroup
		wg.Go(func() {
			// Whichever comes first, the other sees it.
			_, err := w.DecideOverride(context.Background(), w.approver, f.ID, o.ID, true, "")
			if err != nil && fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
		})
		wg.Go(func() {
			_, err := w.ChangeFreeze(context.Background(), w.admin, f.ID, Change{Edit: func(f *Freeze) {
				f.EndsAt = ptr(f.EndsAt.AddDate(0, 0, 1+round))
			}})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if got := w.valid(c, 1); len(got) != 0 {
			t.Errorf("round %d: %+v", round, got)
		}
	}
}
