package freezes

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestActivatingHoldsScheduledChangesInsideAndLiftingReleasesThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	inside := w.change("CHG-00001", "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	touching := w.change("CHG-00002", "2027-01-04T07:00Z", "2027-01-04T09:00Z") // begins as the freeze ends
	running := w.change("CHG-00003", "2026-12-18T16:00Z", "2026-12-18T18:00Z", func(c *testChange) { c.state = "In progress" })
	f, err := w.CreateFreeze(ctx, w.admin, span("2026-12-18T17:00Z", "2027-01-04T07:00Z"))
	if err != nil || f.State != Draft || f.Version != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	if hits := w.check(inside.Target, "2026-12-20T10:00Z", "2026-12-20T12:00Z"); len(hits) != 0 {
		t.Errorf("a draft stops %v", hits)
	}
	_, p, err := w.PreviewFreeze(ctx, w.admin, f.ID, func(*Freeze) {})
	if err != nil || len(p.Affected) != 2 || len(p.Occurrences) != 1 {
		t.Fatalf("preview %+v, %v", p, err)
	}
	if len(w.book.told) != 0 {
		t.Errorf("a preview told %v", w.book.told)
	}
	_, err = w.ActivateFreeze(ctx, w.admin, f.ID, ptr(int64(7)), "")
	refused(t, err, fault.Conflict, "version_conflict")
	f, err = w.ActivateFreeze(ctx, w.admin, f.ID, ptr(int64(1)), "")
	if err != nil || f.State != Active || !f.ActivatedBy.Valid || f.ActivatedBy.UUID != w.admin.UserID {
		t.Fatalf("%+v, %v", f, err)
	}
	if !w.book.held(inside, f) || w.book.held(touching, f) || w.book.held(running, f) {
		t.Errorf("holds %v", w.book.holds)
	}
	if diff := cmp.Diff([]string{"CHG-00001 is held by Year-end freeze"}, w.book.told); diff != "" {
		t.Error(diff)
	}
	hits := w.check(inside.Target, "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	if len(hits) != 1 || !hits[0].Blocks || hits[0].FreezeID != f.ID || !hits[0].End.Equal(at("2027-01-04T07:00Z")) {
		t.Errorf("hits %+v", hits)
	}
	if hits := w.check(inside.Target, "2027-01-04T07:00Z", "2027-01-04T09:00Z"); len(hits) != 0 {
		t.Errorf("the end instant belongs to the freeze: %+v", hits)
	}
	_, err = w.ActivateFreeze(ctx, w.admin, f.ID, nil, "")
	refused(t, err, fault.Conflict, "freeze_active")
	refused(t, w.DeleteDraft(ctx, w.admin, f.ID, nil, ""), fault.Conflict, "freeze_active")

	_, err = w.LiftFreeze(ctx, w.admin, f.ID, "", nil, "")
	refused(t, err, fault.Invalid, "reason")
	f, err = w.LiftFreeze(ctx, w.admin, f.ID, "The year is over.", nil, "")
	if err != nil || f.State != Lifted || w.book.held(inside, f) {
		t.Fatalf("%+v, %v, %v", f, err, w.book.holds)
	}
	if hits := w.check(inside.Target, "2026-12-20T10:00Z", "2026-12-20T12:00Z"); len(hits) != 0 {
		t.Errorf("a lifted freeze stops %v", hits)
	}
	_, err = w.LiftFreeze(ctx, w.admin, f.ID, "Once more.", nil, "")
	refused(t, err, fault.Conflict, "freeze_lifted")
	_, err = w.ChangeFreeze(ctx, w.admin, f.ID, Change{Edit: func(f *Freeze) { f.Name = "x" }})
	refused(t, err, fault.Conflict, "freeze_lifted")
	for name, want := range map[string]int{eventCreated: 1, eventActivated: 1, eventLifted: 1, eventUpdated: 0} {
		if w.events(name) != want || w.audited(name) != want {
			t.Errorf("%s: %d events, %d audited, want %d", name, w.events(name), w.audited(name), want)
		}
	}
	if n := w.count(`SELECT count(*) FROM freeze_versions WHERE freeze_id = $1`, f.ID); n != 3 {
		t.Errorf("%d versions", n)
	}
}

func TestALockdownLastsUntilItIsLifted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := span("2026-11-11T12:00Z", "2026-11-12T12:00Z")
	f.EndsAt = nil
	f = w.active(f)
	for _, window := range [][2]string{{"2026-11-11T12:00Z", "2026-11-11T13:00Z"}, {"2031-11-11T12:00Z", "2031-11-11T13:00Z"}} {
		hits := w.check(Target{}, window[0], window[1])
		if len(hits) != 1 || !hits[0].Open || !hits[0].Blocks {
			t.Errorf("%v: %+v", window, hits)
		}
	}
	if hits := w.check(Target{}, "2026-11-11T11:00Z", "2026-11-11T12:00Z"); len(hits) != 0 {
		t.Errorf("before it: %+v", hits)
	}
	_, found, err := w.Occurrences(t.Context(), w.viewer, f.ID, noon, noon.AddDate(1, 0, 0), 10)
	if err != nil || len(found) != 1 || !found[0].Open {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestRecurringFreezesAreStoredAndReckonedBeyondThat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.active(weekly(Hard, "FREQ=DAILY"))
	n := w.count(`SELECT count(*) FROM freeze_occurrences WHERE freeze_id = $1`, f.ID)
	if n < 545 || n > 550 {
		t.Errorf("%d occurrences in 18 months", n)
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"2027-03-27T20:59Z", "2027-03-27T21:00Z", false},
		{"2027-03-27T20:59Z", "2027-03-27T21:01Z", true},
		{"2027-03-28T00:00Z", "2027-03-28T00:59Z", true},
		{"2027-03-28T01:00Z", "2027-03-28T05:00Z", false}, // 02:00 does not exist on that day: it ends as the clock changes
		{"2026-10-20T20:00Z", "2026-10-20T22:00Z", false}, // before the first day
		{"2040-06-01T21:00Z", "2040-06-01T22:00Z", true},  // long after what is stored
		{"2040-06-01T12:00Z", "2040-06-01T13:00Z", false},
	} {
		if hits := w.check(Target{}, c.from, c.to); (len(hits) == 1) != c.want {
			t.Errorf("%s to %s: %+v", c.from, c.to, hits)
		}
	}
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error {
		busy, err := w.Busy(ctx, tx, Target{}, at("2026-11-12T12:00Z"), at("2026-11-14T23:30Z"))
		want := []Interval{
			{Start: at("2026-11-12T21:00Z"), End: at("2026-11-13T01:00Z")},
			{Start: at("2026-11-13T21:00Z"), End: at("2026-11-14T01:00Z")},
			{Start: at("2026-11-14T21:00Z"), End: at("2026-11-14T23:30Z")},
		}
		if diff := cmp.Diff(want, busy); diff != "" {
			t.Error(diff)
		}
		return err
	})
}

func TestSoftFreezesWarnAndNothingIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.change("CHG-00001", "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	f := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
	f.Kind = Soft
	f = w.active(f)
	hits := w.check(c.Target, "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	if len(hits) != 1 || hits[0].Blocks || w.book.held(c, f) {
		t.Errorf("%+v, %v", hits, w.book.holds)
	}
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error {
		busy, err := w.Busy(ctx, tx, c.Target, noon, noon.AddDate(0, 6, 0))
		if len(busy) != 0 {
			t.Errorf("a soft freeze is busy: %v", busy)
		}
		return err
	})
	// Now it refuses.
	f, err := w.ChangeFreeze(t.Context(), w.admin, f.ID, Change{Edit: func(f *Freeze) { f.Kind = Hard }})
	if err != nil || f.WidenedVersion != f.Version || !w.book.held(c, f) {
		t.Errorf("%+v, %v, %v", f, err, w.book.holds)
	}
	// And no more, because the change lies outside.
	f, err = w.ChangeFreeze(t.Context(), w.admin, f.ID, Change{Edit: func(f *Freeze) { f.EndsAt = ptr(at("2026-12-19T00:00Z")) }, Version: &f.Version})
	if err != nil || w.book.held(c, f) {
		t.Errorf("%v, %v", err, w.book.holds)
	}
}

func TestAllowedHours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asset := w.asset("db-01", "database")
	onAsset := Target{AssetIDs: []uuid.UUID{asset.ID}}
	scoped := func(name, rule string, strict bool) Freeze {
		f := weekly(MaintenanceOnly, rule)
		f.Name, f.Strict, f.AssetIDs = name, strict, []uuid.UUID{asset.ID}
		return w.active(f)
	}
	tuesday := scoped("Tuesdays", "FREQ=WEEKLY;BYDAY=TU", false)
	within, outside := [2]string{"2026-11-17T21:30Z", "2026-11-18T00:30Z"}, [2]string{"2026-11-18T00:30Z", "2026-11-18T01:30Z"}
	if hits := w.check(onAsset, within[0], within[1]); len(hits) != 0 {
		t.Errorf("inside its hours: %+v", hits)
	}
	hits := w.check(onAsset, outside[0], outside[1])
	if len(hits) != 1 || hits[0].Blocks || hits[0].Kind != MaintenanceOnly || !hits[0].Start.Equal(at("2026-11-18T01:00Z")) || !hits[0].End.Equal(at("2026-11-18T01:30Z")) {
		t.Errorf("leaving its hours: %+v", hits)
	}
	if hits := w.check(Target{AssetIDs: []uuid.UUID{uuid.New()}}, outside[0], outside[1]); len(hits) != 0 {
		t.Errorf("another asset: %+v", hits)
	}
	// A second list of the same scope adds hours, also across the seam of both.
	scoped("Wednesdays", "FREQ=WEEKLY;BYDAY=WE", true)
	next := weekly(MaintenanceOnly, "FREQ=WEEKLY;BYDAY=WE")
	next.Name, next.LocalStart, next.LocalEnd, next.EndDays, next.AssetIDs = "Wednesday mornings", "02:00", "04:00", 0, []uuid.UUID{asset.ID}
	w.active(next)
	if hits := w.check(onAsset, outside[0], outside[1]); len(hits) != 0 {
		t.Errorf("where two lists meet: %+v", hits)
	}
	hits = w.check(onAsset, "2026-11-19T12:00Z", "2026-11-19T13:00Z")
	if len(hits) != 1 || !hits[0].Blocks {
		t.Errorf("outside all lists, one of them strict: %+v", hits)
	}
	// A list of another scope must hold as well.
	everything := weekly(MaintenanceOnly, "FREQ=WEEKLY;BYDAY=SA")
	everything.Name = "Saturdays"
	w.active(everything)
	if hits := w.check(onAsset, within[0], within[1]); len(hits) != 1 || hits[0].Name != "Saturdays" {
		t.Errorf("a list of another scope: %+v", hits)
	}
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error {
		busy, err := w.Busy(ctx, tx, onAsset, at("2026-11-17T12:00Z"), at("2026-11-18T12:00Z"))
		want := []Interval{{Start: at("2026-11-17T12:00Z"), End: at("2026-11-17T21:00Z")}, {Start: at("2026-11-18T03:00Z"), End: at("2026-11-18T12:00Z")}}
		if diff := cmp.Diff(want, busy); diff != "" {
			t.Error(diff)
		}
		return err
	})
	if tuesday.Blocks() {
		t.Error("a list that only warns blocks")
	}
}

func TestAStrictAllowListHoldsWhatLeavesItsHours(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.change("CHG-00001", "2026-11-17T21:30Z", "2026-11-17T22:30Z")
	bad := w.change("CHG-00002", "2026-11-18T12:00Z", "2026-11-18T13:00Z")
	f := weekly(MaintenanceOnly, "FREQ=WEEKLY;BYDAY=TU")
	f.Strict = true
	f = w.active(f)
	if w.book.held(good, f) || !w.book.held(bad, f) {
		t.Errorf("%v", w.book.holds)
	}
}

func TestDownstreamWarnsUnlessItIsIncluded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target := Target{AssetIDs: []uuid.UUID{uuid.New()}, Environments: []string{"dev"}, Downstream: Footprint{Environments: []string{"prod"}}}
	f := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
	f.Environments = []string{"prod"}
	f = w.active(f)
	hits := w.check(target, "2026-12-20T10:00Z", "2026-12-20T12:00Z")
	if len(hits) != 1 || hits[0].Blocks || !hits[0].Downstream {
		t.Errorf("%+v", hits)
	}
	if _, err := w.ChangeFreeze(t.Context(), w.admin, f.ID, Change{Edit: func(f *Freeze) { f.IncludeDownstream = true }}); err != nil {
		t.Fatal(err)
	}
	if hits := w.check(target, "2026-12-20T10:00Z", "2026-12-20T12:00Z"); len(hits) != 1 || !hits[0].Blocks {
		t.Errorf("%+v", hits)
	}
}

func TestTargetsAreReadFromAssetsTheirServicesAndWhatDependsOnThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, db1, report := w.asset("Shop", "service", "customer"), w.asset("db-01", "database", "pci"), w.asset("Reports", "application")
	for _, from := range []uuid.UUID{shop.ID, report.ID} {
		if _, err := w.assetsSvc.Relate(t.Context(), w.admin, assets.NewRelationship{From: from, To: db1.ID, Type: "depends_on"}); err != nil {
			t.Fatal(err)
		}
	}
	w.in(w.viewer, func(ctx context.Context, tx *db.Tx) error {
		target, err := w.TargetOf(ctx, tx, []uuid.UUID{db1.ID}, 2, "staging")
		if err != nil {
			return err
		}
		if diff := cmp.Diff([]string{"prod", "staging"}, target.Environments); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"customer", "pci"}, target.AssetTags); diff != "" {
			t.Error(diff)
		}
		if len(target.ServiceIDs) != 2 || len(target.AssetIDs) != 1 || len(target.Downstream.AssetIDs) != 2 {
			t.Errorf("%+v", target)
		}
		return nil
	})
}

func TestInputIsRefusedByField(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	server := w.asset("srv-01", "server")
	for field, edit := range map[string]func(*Freeze){
		"name":        func(f *Freeze) { f.Name = "" },
		"asset_ids":   func(f *Freeze) { f.AssetIDs = []uuid.UUID{uuid.New()} },
		"service_ids": func(f *Freeze) { f.ServiceIDs = []uuid.UUID{server.ID} }, // a server is no service
		"owner":       func(f *Freeze) { f.OwnerID = db.NullID(w.stranger.UserID) },
		"state":       func(f *Freeze) { f.State = Lifted },
	} {
		f := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
		edit(&f)
		_, err := w.CreateFreeze(ctx, w.admin, f)
		refused(t, err, fault.Invalid, field)
	}
	over := span("2026-10-18T17:00Z", "2026-10-19T07:00Z")
	over.State = Active
	_, err := w.CreateFreeze(ctx, w.admin, over)
	refused(t, err, fault.Invalid, "freeze_over")
	if n := w.count(`SELECT count(*) FROM freezes`); n != 0 {
		t.Errorf("%d freezes", n)
	}
	for _, a := range []db.Actor{w.viewer, w.member, w.approver} {
		_, err := w.CreateFreeze(ctx, a, span("2026-12-18T17:00Z", "2027-01-04T07:00Z"))
		refused(t, err, fault.Denied, "forbidden")
	}
}

func TestAnotherWorkspaceSeesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	f := w.active(span("2026-12-18T17:00Z", "2027-01-04T07:00Z"))
	_, err := w.Freeze(ctx, w.stranger, f.ID)
	refused(t, err, fault.NotFound, "not_found")
	_, err = w.ChangeFreeze(ctx, w.stranger, f.ID, Change{Edit: func(f *Freeze) { f.Name = "x" }})
	refused(t, err, fault.NotFound, "not_found")
	_, err = w.LiftFreeze(ctx, w.stranger, f.ID, "Because.", nil, "")
	refused(t, err, fault.NotFound, "not_found")
	_, err = w.RequestOverride(ctx, w.stranger, f.ID, NewOverride{Change: uuid.NewString(), Reason: "There is no other way."})
	refused(t, err, fault.NotFound, "not_found")
	w.in(w.stranger, func(ctx context.Context, tx *db.Tx) error {
		hits, err := w.Check(ctx, tx, Target{}, at("2026-12-20T10:00Z"), at("2026-12-20T12:00Z"))
		if len(hits) != 0 {
			t.Errorf("%+v", hits)
		}
		return err
	})
}

func TestOnlyOneOfTwoActivationsCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f, err := w.CreateFreeze(t.Context(), w.admin, span("2026-12-18T17:00Z", "2027-01-04T07:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.ActivateFreeze(context.Background(), w.admin, f.ID, nil, "") })
	}
	wg.Wait()
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
		} else {
			refused(t, err, fault.Conflict, "freeze_active")
		}
	}
	if good != 1 || w.events(eventActivated) != 1 {
		t.Errorf("%d activations, %d events", good, w.events(eventActivated))
	}
}

func TestPreviewNamesCertificatesThatEndInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.certs = []PreviewItem{
		{ID: uuid.New(), Title: "before", At: at("2026-12-01T00:00Z")},
		{ID: uuid.New(), Title: "inside", At: at("2026-12-24T00:00Z")},
		{ID: uuid.New(), Title: "after", At: at("2027-02-01T00:00Z")},
	}
	_, p, err := w.PreviewFreeze(t.Context(), w.admin, uuid.Nil, func(f *Freeze) { *f = span("2026-12-18T17:00Z", "2027-01-04T07:00Z") })
	if err != nil || len(p.Certificates) != 1 || p.Certificates[0].Title != "inside" || !p.Certificates[0].HasSafe ||
		!p.Certificates[0].Safe.End.Equal(at("2026-12-18T17:00Z")) {
		t.Fatalf("%+v, %v", p.Certificates, err)
	}
	// Another freeze takes what was left before it: no slot remains.
	w.active(span("2026-11-11T11:00Z", "2026-12-18T17:00Z"))
	_, p, err = w.PreviewFreeze(t.Context(), w.admin, uuid.Nil, func(f *Freeze) { *f = span("2026-12-18T17:00Z", "2027-01-04T07:00Z") })
	if err != nil || len(p.Certificates) != 1 || p.Certificates[0].HasSafe {
		t.Fatalf("%+v, %v", p.Certificates, err)
	}
	w.in(w.member, func(ctx context.Context, tx *db.Tx) error {
		slot, ok, err := w.LastSafe(ctx, tx, Target{}, noon, at("2026-12-24T00:00Z"), time.Hour)
		if !ok || !slot.Start.Equal(at("2026-12-18T17:00Z")) {
			t.Errorf("last safe slot %v %v", slot, ok)
		}
		return err
	})
	// What is only previewed stops nothing.
	if n := w.count(`SELECT count(*) FROM freezes`); n != 1 {
		t.Errorf("%d freezes", n)
	}
}

func TestMaintenanceWindowsSilenceTheirAssetsAndPreapprove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, other := w.asset("Shop", "service"), w.asset("db-01", "database", "pci")
	f := weekly(Maintenance, "FREQ=DAILY")
	f.AssetIDs, f.PreapprovesStandard, f.Reason = []uuid.UUID{shop.ID}, true, ""
	f.ChangeTypes, f.MinRisk = []string{"normal"}, "high" // belongs to freezes, and is dropped
	f = w.active(f)
	if len(f.ChangeTypes) != 0 || f.MinRisk != "" {
		t.Errorf("%+v", f.Scope)
	}
	w.in(w.viewer, func(ctx context.Context, tx *db.Tx) error {
		for moment, want := range map[string]int{"2026-11-11T21:00Z": 1, "2026-11-12T00:59Z": 1, "2026-11-12T01:00Z": 0, "2026-11-11T20:59Z": 0, "2029-11-11T21:00Z": 1} {
			got, err := w.InMaintenance(ctx, tx, []uuid.UUID{shop.ID, other.ID, uuid.New()}, at(moment))
			if err != nil || len(got) != want || (want == 1 && got[shop.ID].FreezeID != f.ID) {
				t.Errorf("at %s: %v, %v", moment, got, err)
			}
		}
		standard := Target{AssetIDs: []uuid.UUID{shop.ID}, ChangeType: "standard"}
		for _, c := range []struct {
			target   Target
			from, to string
			want     bool
		}{
			{standard, "2026-11-11T21:00Z", "2026-11-12T01:00Z", true},
			{standard, "2026-11-11T21:00Z", "2026-11-12T01:01Z", false},
			{Target{AssetIDs: []uuid.UUID{shop.ID}, ChangeType: "normal"}, "2026-11-11T21:00Z", "2026-11-12T01:00Z", false},
			{Target{AssetIDs: []uuid.UUID{other.ID}, ChangeType: "standard"}, "2026-11-11T21:00Z", "2026-11-12T01:00Z", false},
		} {
			_, ok, err := w.Preapproved(ctx, tx, c.target, at(c.from), at(c.to))
			if err != nil || ok != c.want {
				t.Errorf("%+v: %v, %v", c, ok, err)
			}
		}
		return nil
	})
	if hits := w.check(Target{AssetIDs: []uuid.UUID{shop.ID}}, "2026-11-11T21:00Z", "2026-11-11T22:00Z"); len(hits) != 0 {
		t.Errorf("maintenance stops a change: %+v", hits)
	}
	if n := w.count(`SELECT count(*) FROM freeze_occurrences`); n != maxMaintenance {
		t.Errorf("%d occurrences", n)
	}
	w.in(w.viewer, func(ctx context.Context, tx *db.Tx) error {
		slots, err := w.Slots(ctx, tx, at("2026-11-12T00:00Z"), at("2026-11-13T00:00Z"), 10)
		if len(slots) != 2 || slots[0].Date != "2026-11-11" || slots[1].Date != "2026-11-12" || slots[0].Freeze.ID != f.ID {
			t.Errorf("%+v", slots)
		}
		return err
	})
}

func TestOccurrencesAreRebuiltWhenTheZoneDataChangesAndMonthly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	f := w.active(weekly(Hard, "FREQ=DAILY"))
	jobs := func() int { return w.count(`SELECT count(*) FROM river.river_job WHERE kind = 'freezes.rebuild'`) }
	sweep := func(want int) {
		t.Helper()
		if err := w.Sweep(ctx); err != nil || jobs() != want {
			t.Errorf("sweep: %v, %d jobs, want %d", err, jobs(), want)
		}
	}
	sweep(0)
	// Another edition of the zone data was here when these rows were made.
	if _, err := w.d.Admin(t).Exec(ctx, `SET session_replication_role = replica; UPDATE freezes SET zone_version = 'old';
		UPDATE freeze_occurrences SET starts_at = starts_at + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	sweep(1)
	sweep(1)
	if err := w.Rebuild(ctx, w.ws); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM freeze_occurrences WHERE local_date = '2026-11-20' AND starts_at = '2026-11-20T21:00:00Z'`); n != 1 {
		t.Error("the occurrence is not as it should be")
	}
	if n := w.count(`SELECT count(*) FROM freezes WHERE zone_version = $1 AND version = $2`, f.ZoneVersion, f.Version); n != 1 {
		t.Error("the version of the zone data is not noted, or the freeze got a version of its own")
	}
	before := w.count(`SELECT count(*) FROM freeze_occurrences`)
	later := w.change("CHG-00001", "2028-06-01T20:00Z", "2028-06-01T21:00Z")
	w.clk.Advance(31 * 24 * time.Hour)
	if _, err := w.d.Admin(t).Exec(ctx, `DELETE FROM river.river_job`); err != nil {
		t.Fatal(err)
	}
	sweep(1)
	if err := w.Rebuild(ctx, w.ws); err != nil {
		t.Fatal(err)
	}
	if n := w.count(`SELECT count(*) FROM freeze_occurrences`); n < before+30 || !w.book.held(later, f) {
		t.Errorf("%d occurrences after %d, holds %v", n, before, w.book.holds)
	}
	if err := w.Reconcile(ctx, w.ws, f.ID); err != nil || len(w.book.told) != 1 {
		t.Errorf("%v, told %v", err, w.book.told)
	}
}

func TestDraftsCanBeDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f, err := w.CreateFreeze(t.Context(), w.admin, span("2026-12-18T17:00Z", "2027-01-04T07:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w.DeleteDraft(t.Context(), w.member, f.ID, nil, ""), fault.Denied, "forbidden")
	refused(t, w.DeleteDraft(t.Context(), w.admin, f.ID, nil, `"9"`), fault.Conflict, "version_conflict")
	if err := w.DeleteDraft(t.Context(), w.admin, f.ID, nil, `"1"`); err != nil {
		t.Fatal(err)
	}
	_, err = w.Freeze(t.Context(), w.viewer, f.ID)
	refused(t, err, fault.NotFound, "not_found")
	if w.audited(eventDeleted) != 1 || w.count(`SELECT count(*) FROM freeze_occurrences`) != 0 {
		t.Error("the draft left something, or no trace")
	}
}
