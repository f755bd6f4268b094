package changes

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/tasks"
)

func TestAChangeGoesAllTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.file()
	if c.Key != "CHG-00001" || c.State != lifecycle.Draft || c.Environment != "prod" || c.Owner.UUID != w.mara.UserID || c.Risk != lifecycle.Low {
		t.Fatalf("%+v", c)
	}
	if diff := cmp.Diff([]string{"shop", "tls"}, c.Tags); diff != "" {
		t.Error(diff)
	}
	c = w.move(w.mara, c, lifecycle.Submit)
	if c.State != lifecycle.Review || c.Revision != 1 || !bytes.Equal(c.SubmittedHash, c.ContentHash) {
		t.Fatalf("%+v", c)
	}
	w.must(w.decide(w.aiko, c, approvals.Approve))
	c = w.read(c)
	if c.State != lifecycle.Approved || c.ApprovalValidUntil == nil || c.ApprovedRisk != lifecycle.Low {
		t.Fatalf("%+v", c)
	}
	c = w.move(w.mara, c, lifecycle.Schedule)
	w.clk.Advance(2*day - 10*time.Minute)
	c = w.move(w.tomas, c, lifecycle.Start)
	if c.State != lifecycle.InProgress || !c.ActualStart.Equal(w.clk.Now()) || c.StartedBy.UUID != w.tomas.UserID {
		t.Fatalf("%+v", c)
	}
	w.clk.Advance(30 * time.Minute)
	c = w.move(w.tomas, c, lifecycle.Complete, func(a *Act) { a.Notes = "All is well." })
	if c.State != lifecycle.Completed || c.Outcome != Successful || c.PIR != "none" || c.Duration(w.clk.Now()) != 30*time.Minute {
		t.Fatalf("%+v", c)
	}
	for _, action := range []string{EventCreated, EventSubmitted, EventApproved, EventScheduled, EventStarted, EventCompleted} {
		if n := w.audited(c, action); n != 1 {
			t.Errorf("%s audited %d times", action, n)
		}
	}
	told := w.out.told(w.mara.UserID)
	for _, want := range []string{"CHG-00001 is approved", "CHG-00001 has started", "CHG-00001 is completed"} {
		if !slices.Contains(told, want) {
			t.Errorf("mara was not told %q: %v", want, told)
		}
	}
	if _, err := w.try(w.mara, c, lifecycle.Cancel); true {
		refused(t, err, fault.Conflict, lifecycle.CodeIllegal)
	}
}

func TestARefusalNamesEverythingThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bare, err := w.Create(w.ctx(), w.mara, Edit{Title: ptr("Something")})
	w.must(err)
	_, err = w.try(w.mara, bare, lifecycle.Submit)
	refused(t, err, fault.Invalid, lifecycle.CodeMissing, lifecycle.CodeWindow)
	var fields []string
	for _, d := range fault.Find(err).Details {
		fields = append(fields, d.Field)
	}
	if diff := cmp.Diff([]string{"environment", "planned_start", "implementation_plan", ""}, fields); diff != "" {
		t.Error(diff)
	}
	soon := w.file(func(e *Edit) { e.Start, e.End = ptr(w.clk.Now().Add(time.Hour)), ptr(w.clk.Now().Add(2*time.Hour)) })
	_, err = w.try(w.mara, soon, lifecycle.Submit)
	refused(t, err, fault.Invalid, lifecycle.CodeLead)
	soon = w.move(w.mara, soon, lifecycle.Submit, func(a *Act) { a.Reason = "The vendor is here today only." })
	if soon.LeadReason != "The vendor is here today only." {
		t.Errorf("lead reason %q", soon.LeadReason)
	}
	c := w.scheduled()
	old := c.Version - 1
	_, err = w.Move(w.ctx(), w.mara, c.Key, Act{Action: lifecycle.Start, Version: &old})
	refused(t, err, fault.Conflict, "current_version")
	_, err = w.try(w.mara, c, lifecycle.Start)
	refused(t, err, fault.Denied, lifecycle.CodeForbidden, lifecycle.CodeOutsideWindow)
	_, err = w.try(w.viewer, c, lifecycle.Cancel)
	refused(t, err, fault.Denied, lifecycle.CodeForbidden)
	_, err = w.try(w.other, c, lifecycle.Cancel)
	refused(t, err, fault.NotFound, "not_found")
}

func TestEachFieldOfAChangeIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("x", 50_001)
	for field, change := range map[string]func(*Edit){
		"title":               func(e *Edit) { e.Title = ptr(" ") },
		"type":                func(e *Edit) { e.Type = ptr("big") },
		"priority":            func(e *Edit) { e.Priority = ptr("urgent") },
		"category":            func(e *Edit) { e.Category = ptr("fun") },
		"environment":         func(e *Edit) { e.Environment = ptr("moon") },
		"planned_end":         func(e *Edit) { e.End = e.Start },
		"planned_start":       func(e *Edit) { e.Start = &time.Time{} },
		"description":         func(e *Edit) { e.Description = &long },
		"implementation_plan": func(e *Edit) { e.ImplementationPlan = &long },
		"backout_plan":        func(e *Edit) { e.BackoutPlan = &long },
		"test_plan":           func(e *Edit) { e.TestPlan = &long },
		"vendor":              func(e *Edit) { e.Vendor = ptr(strings.Repeat("v", 121)) },
		"owner":               func(e *Edit) { e.Owner = ptr("nobody@example.test") },
		"implementers":        func(e *Edit) { e.Implementers = &[]string{"nobody@example.test"} },
		"assets":              func(e *Edit) { e.Assets = &[]string{uuid.NewString()} },
		"tags":                func(e *Edit) { e.Tags = &[]string{strings.Repeat("t", 41)} },
		"risk":                func(e *Edit) { e.Risk = ptr("extreme") },
		"parent":              func(e *Edit) { e.Parent = ptr("CHG-99999") },
		"custom":              func(e *Edit) { e.Custom = &map[string]string{"": "x"} },
		"template_id":         func(e *Edit) { e.Type = ptr("standard") },
	} {
		_, err := w.Create(w.ctx(), w.mara, w.newEdit(change))
		e := fault.Find(err)
		if e == nil || e.Kind != fault.Invalid || len(e.Details) != 1 || e.Details[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := w.Create(w.ctx(), w.viewer, w.newEdit())
	refused(t, err, fault.Denied, "forbidden")
}

func TestAnEditWithoutContentKeepsTheRevision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.approved()
	for name, change := range map[string]Edit{
		"title": {Title: ptr("Renew it")}, "tags": {Tags: &[]string{"a"}}, "line ends": {ImplementationPlan: ptr("1. Issue. \r\n2. Reload.\r\n")},
		"the same assets": {Assets: &[]string{w.edge.ID.String(), w.edge.ID.String()}},
		"half an hour":    {Start: ptr(c.Start.Add(30 * time.Minute)), End: ptr(c.End.Add(30 * time.Minute))},
	} {
		got, err := w.Update(w.ctx(), w.mara, c.Key, change)
		if err != nil || got.State != lifecycle.Approved || got.Revision != 1 || !bytes.Equal(got.ContentHash, c.ContentHash) {
			t.Errorf("%s: %v, %s revision %d", name, err, got.State, got.Revision)
		}
	}
	got, err := w.Update(w.ctx(), w.mara, c.Key, Edit{Start: ptr(c.Start.Add(31 * time.Minute)), End: ptr(c.End.Add(31 * time.Minute))})
	if err != nil || got.State != lifecycle.Review || got.Revision != 2 {
		t.Errorf("31 minutes: %v, %s revision %d", err, got.State, got.Revision)
	}
}

func TestAMaterialEditAsksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, change := range map[string]Edit{
		"plan": {ImplementationPlan: ptr("Something else.")}, "assets": {Assets: &[]string{w.shop.ID.String()}}, "environment": {Environment: ptr("dev")},
		"implementers": {Implementers: &[]string{w.ben.Email}}, "downtime": {Downtime: ptr(true)}, "vendor": {Vendor: ptr("Example AS")},
		"answers": {RiskAnswers: &map[string]string{"tested": "no"}}, "longer": {End: ptr(w.clk.Now().Add(2*day + 61*time.Minute))},
	} {
		c := w.scheduled()
		got, err := w.Update(w.ctx(), w.mara, c.Key, change)
		if err != nil || got.State != lifecycle.Review || got.Revision != 2 || got.ApprovalValidUntil != nil || got.Preauthorisation != nil {
			t.Errorf("%s: %v, %s revision %d", name, err, got.State, got.Revision)
		}
		if n := w.audited(c, EventReviewRestarted); n != 1 {
			t.Errorf("%s: %d restarts audited", name, n)
		}
	}
	// Going back to an earlier text revives nothing.
	c := w.approved()
	edited, err := w.Update(w.ctx(), w.mara, c.Key, Edit{BackoutPlan: ptr("Another way.")})
	w.must(err)
	back, err := w.Update(w.ctx(), w.mara, c.Key, Edit{BackoutPlan: ptr("Reload the old one.")})
	w.must(err)
	if edited.Revision != 2 || back.Revision != 3 || back.State != lifecycle.Review || !bytes.Equal(back.ContentHash, c.ContentHash) {
		t.Errorf("revisions %d and %d, %s", edited.Revision, back.Revision, back.State)
	}
}

func TestWhoEditedTheRevisionDoesNotApproveIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.move(w.mara, w.file(), lifecycle.Submit)
	_, err := w.Update(w.ctx(), w.aiko, c.Key, Edit{TestPlan: ptr("Shake hands with each address.")})
	w.must(err)
	c = w.read(c)
	if c.State != lifecycle.Review || c.Revision != 2 {
		t.Fatalf("%s revision %d", c.State, c.Revision)
	}
	refused(t, w.decide(w.aiko, c, approvals.Approve), fault.Denied, "sod_violation")
	w.must(w.decide(w.ben, c, approvals.Approve))
	if c = w.read(c); c.State != lifecycle.Approved {
		t.Errorf("%s", c.State)
	}
}

func TestARejectionGoesBackToTheAuthor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.move(w.mara, w.file(), lifecycle.Submit)
	w.must(w.decide(w.aiko, c, approvals.Reject))
	c = w.read(c)
	if c.State != lifecycle.Draft || c.StateReason != "No way back is described." || w.audited(c, EventRejected) != 1 {
		t.Fatalf("%s, %q", c.State, c.StateReason)
	}
	if !slices.Contains(w.out.told(w.mara.UserID), c.Key+" was rejected") {
		t.Errorf("told %v", w.out.told(w.mara.UserID))
	}
	// Unchanged, it is the same revision; edited, another.
	c = w.move(w.mara, c, lifecycle.Submit)
	if c.Revision != 1 {
		t.Errorf("revision %d after nothing changed", c.Revision)
	}
	c = w.move(w.mara, c, lifecycle.Withdraw)
	c, err := w.Update(w.ctx(), w.mara, c.Key, Edit{BackoutPlan: ptr("Better.")})
	w.must(err)
	if c.State != lifecycle.Draft {
		t.Fatal(c.State)
	}
	if c = w.move(w.mara, c, lifecycle.Submit); c.Revision != 2 {
		t.Errorf("revision %d after an edit", c.Revision)
	}
}

func TestARunningChangeKeepsItsContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.running()
	_, err := w.Update(w.ctx(), w.mara, c.Key, Edit{BackoutPlan: ptr("x"), Assets: &[]string{}, Title: ptr("New")})
	refused(t, err, fault.Conflict, "not_editable")
	if n := len(fault.Find(err).Details); n != 2 {
		t.Errorf("%d fields refused, want 2: %v", n, err)
	}
	got, err := w.Update(w.ctx(), w.mara, c.Key, Edit{Title: ptr("New"), OutcomeNotes: ptr("Half way.")})
	if err != nil || got.Title != "New" || got.OutcomeNotes != "Half way." || got.State != lifecycle.InProgress {
		t.Errorf("%v %+v", err, got)
	}
}

func TestAnEmergencyStartsWithoutApprovalAndIsLookedAtAfterwards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	freeze := w.freeze("Year end", w.clk.Now().Add(-time.Hour), w.clk.Now().Add(5*day))
	c := w.file(func(e *Edit) { e.Type, e.Implementers = ptr("emergency"), nil })
	_, err := w.try(w.mara, c, lifecycle.StartEmergency)
	refused(t, err, fault.Denied, lifecycle.CodeForbidden)
	_, err = w.try(w.aiko, c, lifecycle.StartEmergency, func(a *Act) { a.Reason = "short" })
	refused(t, err, fault.Invalid, lifecycle.CodeReason)
	normal := w.file()
	_, err = w.try(w.aiko, normal, lifecycle.StartEmergency)
	refused(t, err, fault.Conflict, lifecycle.CodeIllegal)

	c = w.move(w.aiko, c, lifecycle.StartEmergency, func(a *Act) { a.Reason = "Checkout is down for everybody." })
	if c.State != lifecycle.InProgress || c.Retro != "pending" || c.PIR != "required" || !slices.Contains(c.Implementers, w.aiko.UserID) {
		t.Fatalf("%+v", c)
	}
	w.in(w.mara, func(tx *db.Tx) error {
		passed, err := w.freezes.Overridden(w.ctx(), tx, c.ID, c.Revision)
		if o, ok := passed[freeze.ID]; !ok || !o.SelfGranted {
			t.Errorf("overrides %+v", passed)
		}
		return err
	})
	c = w.move(w.aiko, w.read(c), lifecycle.Complete)
	refused(t, w.decide(w.aiko, c, approvals.Approve), fault.Denied, "sod_violation")
	w.must(w.decide(w.ben, c, approvals.Reject))
	c = w.read(c)
	if c.State != lifecycle.Completed || c.Retro != "rejected" || c.PIR != "required" || w.audited(c, EventRetroRejected) != 1 {
		t.Errorf("%s, retro %s, review %s", c.State, c.Retro, c.PIR)
	}
}

func (w *world) freeze(name string, from, to time.Time) freezes.Freeze {
	w.t.Helper()
	f, err := w.freezes.CreateFreeze(w.ctx(), w.admin, freezes.Freeze{
		Name: name, Kind: freezes.Hard, Reason: "No releases.", Schedule: freezes.Schedule{Zone: "UTC", StartsAt: &from, EndsAt: &to},
	})
	w.must(err)
	f, err = w.freezes.ActivateFreeze(w.ctx(), w.admin, f.ID, nil, "")
	w.must(err)
	return f
}

func TestAFreezeHoldsWhatIsScheduledAndLetsItGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.scheduled()
	manual, err := w.PutOnHold(w.ctx(), w.mara, c.Key, "Waiting for the vendor")
	w.must(err)
	f := w.freeze("Year end", w.clk.Now().Add(day), w.clk.Now().Add(5*day))
	c = w.read(c)
	if c.State != lifecycle.Scheduled {
		t.Fatalf("a held change is %s", c.State)
	}
	w.clk.Advance(2 * day)
	_, err = w.try(w.tomas, c, lifecycle.Start)
	refused(t, err, fault.Invalid, lifecycle.CodeFreeze, lifecycle.CodeHold)
	_, err = w.freezes.LiftFreeze(w.ctx(), w.admin, f.ID, "The year is over.", nil, "")
	w.must(err)
	c = w.read(c)
	_, err = w.try(w.tomas, c, lifecycle.Start)
	refused(t, err, fault.Invalid, lifecycle.CodeHold)
	if msg := fault.Find(err).Details[0].Message; !strings.Contains(msg, "Waiting for the vendor") || strings.Contains(msg, "Year end") {
		t.Errorf("holds: %s", msg)
	}
	w.must(w.Release(w.ctx(), w.mara, c.Key, manual.ID, "The vendor is here."))
	w.move(w.tomas, w.read(c), lifecycle.Start)
	if w.audited(c, EventHeld) != 2 || w.audited(c, EventReleased) != 2 {
		t.Error("holds are not audited")
	}
}

func TestTimeAloneMovesAChangeOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	missed := w.scheduled()
	w.clk.Advance(2*day + time.Hour + 29*time.Minute)
	w.must(w.MoveDue(w.ctx(), w.ws, missed.ID))
	if c := w.read(missed); c.State != lifecycle.Scheduled {
		t.Errorf("29 minutes after the window: %s", c.State)
	}
	w.clk.Advance(time.Minute)
	w.must(w.Sweep(w.ctx()))
	if n := w.count(`SELECT count(*) FROM river.river_job WHERE kind = 'changes.check' AND args->>'change_id' = $1`, missed.ID.String()); n != 1 {
		t.Errorf("%d jobs", n)
	}
	w.must(w.MoveDue(w.ctx(), w.ws, missed.ID))
	c := w.read(missed)
	if c.State != lifecycle.Approved || !c.MissedWindow || w.audited(c, EventWindowMissed) != 1 {
		t.Errorf("%s, missed %v", c.State, c.MissedWindow)
	}
	w.clk.Advance(14 * day)
	w.must(w.MoveDue(w.ctx(), w.ws, missed.ID))
	c = w.read(missed)
	if c.State != lifecycle.Review || c.Revision != 1 || c.ApprovalValidUntil != nil || w.audited(c, EventReviewRestarted) != 1 {
		t.Errorf("after the approval ended: %s revision %d", c.State, c.Revision)
	}
	late := w.running()
	w.clk.Advance(time.Hour)
	w.must(w.MoveDue(w.ctx(), w.ws, late.ID))
	w.must(w.MoveDue(w.ctx(), w.ws, late.ID))
	if n := w.audited(late, EventOverran); n != 1 {
		t.Errorf("told %d times that it overran", n)
	}
	late = w.move(w.tomas, w.read(late), lifecycle.Complete, func(*Act) { w.clk.Advance(time.Minute) })
	if late.PIR != "required" {
		t.Error("a change that overran asks for no review")
	}
}

func TestARiskAboveTheApprovedOneGoesBackToReview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.scheduled()
	w.clk.Advance(2 * day)
	if _, err := w.d.Admin(t).Exec(w.ctx(), `UPDATE change_requests SET risk_questionnaire = 'high' WHERE id = $1`, c.ID); err == nil {
		// The questionnaire answers higher than when it was approved.
		_, err = w.try(w.tomas, c, lifecycle.Start)
		refused(t, err, fault.Conflict, "risk_increased")
	} else {
		t.Fatal(err)
	}
	if c = w.read(c); c.State != lifecycle.Review || c.Risk != lifecycle.High || c.Revision != 2 {
		t.Errorf("%s, %s, revision %d", c.State, c.Risk, c.Revision)
	}
}

func TestOnlyAChangeManagerLowersTheRiskWithAReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.file(func(e *Edit) { e.Risk = ptr("high") })
	if c.Risk != lifecycle.High {
		t.Fatal(c.Risk)
	}
	_, err := w.Update(w.ctx(), w.mara, c.Key, Edit{Risk: ptr("low"), Reason: "It is small."})
	refused(t, err, fault.Invalid, "forbidden")
	_, err = w.Update(w.ctx(), w.aiko, c.Key, Edit{Risk: ptr("low")})
	refused(t, err, fault.Invalid, lifecycle.CodeReason)
	c, err = w.Update(w.ctx(), w.aiko, c.Key, Edit{Risk: ptr(""), Reason: "It is small."})
	if err != nil || c.Risk != lifecycle.Low {
		t.Errorf("%v %s", err, c.Risk)
	}
	if c, err = w.Update(w.ctx(), w.mara, c.Key, Edit{Risk: ptr("medium")}); err != nil || c.Risk != lifecycle.Medium {
		t.Errorf("raise: %v %s", err, c.Risk)
	}
}

func TestGateTasksHoldAChangeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.scheduled()
	task, err := w.tasks.AddTask(w.ctx(), w.mara, tasks.NewTask{Title: "Take a backup", ParentType: SubjectChange, ParentID: c.ID, Gate: tasks.BeforeStart})
	w.must(err)
	w.clk.Advance(2 * day)
	_, err = w.try(w.tomas, c, lifecycle.Start)
	refused(t, err, fault.Invalid, lifecycle.CodeTasks)
	if ref := fault.Find(err).Details[0].Ref; ref != task.Key {
		t.Errorf("names %q", ref)
	}
	_, err = w.tasks.ChangeState(w.ctx(), w.tomas, task.Key, tasks.Done, "")
	w.must(err)
	w.move(w.tomas, c, lifecycle.Start)
}

func TestCancellingClearsWhatItLeavesBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.move(w.mara, w.file(), lifecycle.Submit)
	_, err := w.tasks.AddTask(w.ctx(), w.mara, tasks.NewTask{Title: "Take a backup", ParentType: SubjectChange, ParentID: c.ID, Gate: tasks.BeforeStart})
	w.must(err)
	c = w.move(w.mara, c, lifecycle.Cancel)
	if c.State != lifecycle.Cancelled {
		t.Fatal(c.State)
	}
	if err := w.decide(w.aiko, c, approvals.Approve); err == nil {
		t.Error("a cancelled change was approved")
	}
	if n := w.count(`SELECT count(*) FROM tasks WHERE parent_id = $1 AND state = 'todo'`, c.ID); n != 0 {
		t.Errorf("%d tasks are left", n)
	}
}

func TestAFailureIsRolledBackAndReviewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.running()
	w.clk.Advance(10 * time.Minute)
	c = w.move(w.tomas, c, lifecycle.Fail)
	if c.PIR != "required" || c.FailedAt == nil {
		t.Fatalf("%+v", c)
	}
	w.clk.Advance(25 * time.Minute)
	c = w.move(w.tomas, w.read(c), lifecycle.Rollback)
	if d, ok := c.Recovery(); !ok || d != 25*time.Minute || c.State != lifecycle.RolledBack {
		t.Errorf("recovery %v %v, %s", d, ok, c.State)
	}
	_, err := w.CompleteReview(w.ctx(), w.mara, c.Key, NewReview{})
	refused(t, err, fault.Invalid, "required")
	gate, err := w.tasks.AddTask(w.ctx(), w.mara, tasks.NewTask{Title: "Write it down", ParentType: SubjectChange, ParentID: c.ID, Gate: tasks.BeforeClose})
	w.must(err)
	_, err = w.CompleteReview(w.ctx(), w.mara, c.Key, NewReview{Summary: "The handshake failed."})
	refused(t, err, fault.Invalid, lifecycle.CodeTasks)
	_, err = w.tasks.ChangeState(w.ctx(), w.mara, gate.Key, tasks.Done, "")
	w.must(err)
	if c, err = w.CompleteReview(w.ctx(), w.mara, c.Key, NewReview{Summary: "The handshake failed."}); err != nil || c.PIR != "done" {
		t.Errorf("%v %s", err, c.PIR)
	}
}

func TestTwoMovesAtOnceMakeOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.scheduled()
	w.clk.Advance(2 * day)
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			_, err := w.Move(w.ctx(), w.tomas, c.Key, Act{Action: lifecycle.Start})
			results <- err
		})
	}
	wg.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
		} else if fault.Find(err) == nil || fault.Find(err).Code != lifecycle.CodeIllegal {
			t.Error(err)
		}
	}
	if won != 1 || w.audited(c, EventStarted) != 1 {
		t.Errorf("%d won", won)
	}
}

func TestAnotherWorkspaceSeesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.running()
	for name, call := range map[string]func() error{
		"read":    func() error { _, err := w.Change(w.ctx(), w.other, c.ID.String()); return err },
		"edit":    func() error { _, err := w.Update(w.ctx(), w.other, c.ID.String(), Edit{Title: ptr("x")}); return err },
		"move":    func() error { _, err := w.try(w.other, c, lifecycle.Fail); return err },
		"comment": func() error { _, err := w.AddComment(w.ctx(), w.other, c.ID.String(), "hello"); return err },
		"hold":    func() error { _, err := w.PutOnHold(w.ctx(), w.other, c.ID.String(), "x"); return err },
		"attach":  func() error { _, err := w.Attach(w.ctx(), w.other, c.ID.String(), "a.txt", file("hello")); return err },
		"proof":   func() error { _, err := w.Proof(w.ctx(), w.other, c.ID.String()); return err },
		"steps":   func() error { return w.AddStep(w.ctx(), w.other, c.ID.String(), NewStep{Title: "x"}) },
	} {
		if err := call(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v, err := w.Ask(w.ctx(), w.other, c.ID.String())
	if err != nil || v.Allowed || v.Failures[0].Code != "unknown_change" {
		t.Errorf("gate: %v %+v", err, v)
	}
}
