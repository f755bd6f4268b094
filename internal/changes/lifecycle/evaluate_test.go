package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var (
	noon  = time.Date(2026, time.November, 11, 12, 0, 0, 0, time.UTC)
	owner = uuid.MustParse("00000000-0000-0000-0000-000000000001")
	hands = uuid.MustParse("00000000-0000-0000-0000-000000000002")
	other = uuid.MustParse("00000000-0000-0000-0000-000000000003")
)

const day = 24 * time.Hour

// ready is a change in a state in which every guard passes for the owner or the implementer.
func ready(s State, t Type) Input {
	in := Input{
		Now: noon, Limits: Defaults(), State: s, Type: t, Risk: Low, Version: 4, Revision: 2, Actor: owner, Owners: []uuid.UUID{owner},
		Rights: Rights{Update: true, Schedule: true, Start: true, Complete: true}, Implementers: []Implementer{{ID: hands, Name: "Mara", Active: true}},
		Start: noon.Add(2 * day), End: noon.Add(2*day + time.Hour), Reason: "because it is needed", Outcome: "successful",
		Approval: Approval{Exists: true, Approved: true, Revision: 2, ValidUntil: noon.Add(14 * day), OnlyApprover: other},
	}
	switch t {
	case Standard:
		in.Template = &Template{Name: "Restart", Active: true, Expires: noon.Add(30 * day)}
	case Emergency:
		in.Rights.Emergency = true
	case Normal:
	}
	if s == Scheduled || s == InProgress || s == Failed {
		in.Start, in.End = noon.Add(-10*time.Minute), noon.Add(50*time.Minute)
		in.Actor = hands
	}
	return in
}

func codes(list []Failure) []string {
	out := []string{}
	for _, f := range list {
		out = append(out, f.Code)
	}
	return out
}

func TestEachGuardFailsWithItsCode(t *testing.T) {
	t.Parallel()
	seen := int64(3)
	ref := []Ref{{Kind: "task", Key: "TASK-0001", Text: "Drain"}}
	for _, c := range []struct {
		name   string
		state  State
		typ    Type
		action Action
		change func(*Input)
		want   []string
	}{
		{"all is well: submit", Draft, Normal, Submit, func(*Input) {}, []string{}},
		{"all is well: schedule", Approved, Normal, Schedule, func(*Input) {}, []string{}},
		{"all is well: start", Scheduled, Normal, Start, func(*Input) {}, []string{}},
		{"all is well: complete", InProgress, Normal, Complete, func(*Input) {}, []string{}},
		{"an old version", Draft, Normal, Submit, func(in *Input) { in.Seen = &seen }, []string{CodeVersion}},
		{"no right to edit", Draft, Normal, Submit, func(in *Input) { in.Rights.Update = false }, []string{CodeForbidden}},
		{"a stranger schedules", Approved, Normal, Schedule, func(in *Input) { in.Actor = other }, []string{CodeForbidden}},
		{"a change manager schedules", Approved, Normal, Schedule, func(in *Input) { in.Actor, in.Rights.Manage = other, true }, []string{}},
		{"a change manager does not start", Scheduled, Normal, Start, func(in *Input) {
			in.Actor, in.Rights.Manage, in.Approval.OnlyApprover = other, true, owner
		}, []string{CodeForbidden}},
		{"a manager ends what its implementer left", InProgress, Normal, Fail, func(in *Input) {
			in.Actor, in.Rights.Manage, in.Implementers[0].Active = other, true, false
		}, []string{}},
		{"a service token owns nothing", Approved, Normal, Schedule, func(in *Input) { in.Actor, in.Owners = uuid.Nil, []uuid.UUID{uuid.Nil} }, []string{CodeForbidden}},
		{"fields are missing", Draft, Normal, Submit, func(in *Input) { in.Missing = ref }, []string{CodeMissing}},
		{"no window", Draft, Normal, Submit, func(in *Input) { in.Start, in.End = time.Time{}, time.Time{} }, []string{CodeWindow}},
		{"an empty window", Draft, Normal, Submit, func(in *Input) { in.End = in.Start }, []string{CodeWindow}},
		{"a window without end in sight", Draft, Normal, Submit, func(in *Input) { in.End = in.Start.Add(31 * day) }, []string{CodeWindow}},
		{"a window that ends now", Approved, Normal, Schedule, func(in *Input) { in.Start, in.End = noon.Add(-time.Hour), noon }, []string{CodeWindow}},
		{"a second short of the lead time", Draft, Normal, Submit, func(in *Input) {
			in.Reason, in.Start = "", noon.Add(day-time.Second)
		}, []string{CodeLead}},
		{"the lead time to the second", Draft, Normal, Submit, func(in *Input) { in.Reason, in.Start = "", noon.Add(day) }, []string{}},
		{"a reason stands for lead time", Draft, Normal, Submit, func(in *Input) { in.Start = noon.Add(time.Hour) }, []string{}},
		{"an emergency needs no lead time", Draft, Emergency, Submit, func(in *Input) { in.Reason, in.Start = "", noon.Add(time.Minute) }, []string{}},
		{"nobody could approve", Draft, Normal, Submit, func(in *Input) { in.Approval.Problems = ref }, []string{CodeUnsatisfiable}},
		{"a standard change without template", Draft, Standard, Submit, func(in *Input) { in.Template = nil }, []string{CodeTemplateInactive}},
		{"a suspended template", Draft, Standard, Submit, func(in *Input) { in.Template.Active = false }, []string{CodeTemplateInactive}},
		{"a template that expires now", Draft, Standard, Submit, func(in *Input) { in.Template.Expires = noon }, []string{CodeTemplateInactive}},
		{"a locked field differs", Draft, Standard, Submit, func(in *Input) { in.Template.Drift = ref }, []string{CodeTemplateDrift}},
		{"decisions about an older revision", Approved, Normal, Schedule, func(in *Input) { in.Approval.Revision = 1 }, []string{CodeStaleRevision}},
		{"no approval at all", Approved, Normal, Schedule, func(in *Input) { in.Approval = Approval{} }, []string{CodeApprovals}},
		{"an approval that ends now", Approved, Normal, Schedule, func(in *Input) { in.Approval.ValidUntil = noon }, []string{CodeExpired}},
		{"an approval that ends inside the window", Approved, Normal, Schedule, func(in *Input) { in.Approval.ValidUntil = in.End.Add(-time.Second) }, []string{CodeExpiresEarly}},
		{"an approval that ends with the window", Approved, Normal, Schedule, func(in *Input) { in.Approval.ValidUntil = in.End }, []string{}},
		{"the board is silent", Review, Normal, Approve, func(in *Input) { in.Approval.BoardPending = true }, []string{CodeBoard}},
		{"a stage is open", Review, Normal, Approve, func(in *Input) { in.Approval.Approved = false }, []string{CodeApprovals}},
		{"a hard conflict", Approved, Normal, Schedule, func(in *Input) { in.Conflicts = []Conflict{{Hard: true}} }, []string{CodeConflict}},
		{"an accepted conflict", Approved, Normal, Schedule, func(in *Input) { in.Conflicts = []Conflict{{Hard: true, Accepted: true}, {}} }, []string{}},
		{"two freezes", Approved, Normal, Schedule, func(in *Input) { in.Freezes = []Freeze{{Name: "a"}, {Name: "b", Overridden: true}} }, []string{CodeFreeze}},
		{"overridden freezes", Approved, Normal, Schedule, func(in *Input) { in.Freezes = []Freeze{{Overridden: true}} }, []string{}},
		{"no error budget", Approved, Normal, Schedule, func(in *Input) { in.Budgets = ref }, []string{CodeBudget}},
		{"an incident on a target", Scheduled, Normal, Start, func(in *Input) { in.Incidents = ref }, []string{CodeIncident}},
		{"an open task before start", Scheduled, Normal, Start, func(in *Input) { in.Tasks = []GateTask{{Gate: "before_start"}} }, []string{CodeTasks}},
		{"a task before completion does not stop the start", Scheduled, Normal, Start, func(in *Input) { in.Tasks = []GateTask{{Gate: "before_complete"}} }, []string{}},
		{"an open task before completion", InProgress, Normal, Complete, func(in *Input) { in.Tasks = []GateTask{{Gate: "before_complete"}} }, []string{CodeTasks}},
		{"nobody carries it out", Approved, Normal, Schedule, func(in *Input) { in.Implementers = nil }, []string{CodeNoImplementer}},
		{"one is away", Approved, Normal, Schedule, func(in *Input) { in.Implementers[0].AbsentUntil = noon.Add(3 * day) }, []string{CodeAbsent}},
		{"one left", Approved, Normal, Schedule, func(in *Input) { in.Implementers[0].Active = false }, []string{CodeNoImplementer}},
		{"the only approver starts", Scheduled, Normal, Start, func(in *Input) { in.Approval.OnlyApprover = hands }, []string{CodeSeparation}},
		{"on hold", Scheduled, Normal, Start, func(in *Input) { in.Holds = []Hold{{Reason: "wait"}} }, []string{CodeHold}},
		{"a second too early", Scheduled, Normal, Start, func(in *Input) {
			in.Start, in.End = noon.Add(15*time.Minute+time.Second), noon.Add(time.Hour)
		}, []string{CodeOutsideWindow}},
		{"fifteen minutes early", Scheduled, Normal, Start, func(in *Input) {
			in.Start, in.End = noon.Add(15*time.Minute), noon.Add(time.Hour)
		}, []string{}},
		{"at the end of the window", Scheduled, Normal, Start, func(in *Input) { in.End = noon }, []string{CodeOutsideWindow}},
		{"no reason", Approved, Normal, Cancel, func(in *Input) { in.Reason = " " }, []string{CodeReason}},
		{"a reason of 14 characters for break-glass", Draft, Emergency, StartEmergency, func(in *Input) { in.Reason = "12345678901234" }, []string{CodeReason}},
		{"a reason of 15 characters for break-glass", Draft, Emergency, StartEmergency, func(in *Input) { in.Reason = "123456789012345" }, []string{}},
		{"an incident is reason enough", Draft, Emergency, StartEmergency, func(in *Input) { in.Reason, in.IncidentLinked = "", true }, []string{}},
		{"break-glass without the right", Draft, Emergency, StartEmergency, func(in *Input) { in.Rights.Emergency = false }, []string{CodeForbidden}},
		{"high risk without evidence", InProgress, Normal, Complete, func(in *Input) { in.Risk = High }, []string{CodeEvidence}},
		{"high risk with evidence", InProgress, Normal, Complete, func(in *Input) { in.Risk, in.Validation = High, 1 }, []string{}},
		{"a rollback asks for other evidence", Failed, Normal, Rollback, func(in *Input) { in.Risk, in.Validation = High, 1 }, []string{CodeEvidence}},
		{"no outcome", InProgress, Normal, Complete, func(in *Input) { in.Outcome = "" }, []string{CodeMissing}},
		{"everything at once", Scheduled, Normal, Start, func(in *Input) {
			in.Seen, in.Actor, in.Holds, in.Tasks = &seen, other, []Hold{{}}, []GateTask{{Gate: "before_start"}}
			in.Freezes, in.Conflicts, in.End = []Freeze{{}}, []Conflict{{Hard: true}}, noon
		}, []string{
			CodeVersion, CodeForbidden, CodeOutsideWindow, CodeExpiresEarly, CodeConflict, CodeFreeze, CodeTasks, CodeHold, CodeSeparation,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := ready(c.state, c.typ)
			c.change(&in)
			if c.name == "everything at once" {
				in.Approval.ValidUntil = noon.Add(-time.Second)
				c.want[3] = CodeExpired
			}
			if diff := cmp.Diff(c.want, codes(Evaluate(in, c.action))); diff != "" {
				t.Errorf("%s of a %s change (-want +got):\n%s", c.action, c.state, diff)
			}
		})
	}
}

// pairs is the table of work.md 2.1, written down a second time as from, action and to.
var pairs = map[Type]map[State]map[Action]State{
	Normal: {
		Draft:      {Submit: Review, Cancel: Cancelled},
		Review:     {Withdraw: Draft, Cancel: Cancelled},
		Approved:   {Schedule: Scheduled, Cancel: Cancelled},
		Scheduled:  {Unschedule: Approved, Start: InProgress, Cancel: Cancelled},
		InProgress: {Complete: Completed, Fail: Failed, Rollback: RolledBack},
		Failed:     {Rollback: RolledBack},
	},
	Standard: {
		Draft:      {Submit: Approved, Cancel: Cancelled},
		Review:     {Withdraw: Draft, Cancel: Cancelled},
		Approved:   {Schedule: Scheduled, Cancel: Cancelled},
		Scheduled:  {Unschedule: Approved, Start: InProgress, Cancel: Cancelled},
		InProgress: {Complete: Completed, Fail: Failed, Rollback: RolledBack},
		Failed:     {Rollback: RolledBack},
	},
	Emergency: {
		Draft:      {Submit: Review, StartEmergency: InProgress, Cancel: Cancelled},
		Review:     {Withdraw: Draft, Cancel: Cancelled},
		Approved:   {Schedule: Scheduled, Cancel: Cancelled},
		Scheduled:  {Unschedule: Approved, Start: InProgress, Cancel: Cancelled},
		InProgress: {Complete: Completed, Fail: Failed, Rollback: RolledBack},
		Failed:     {Rollback: RolledBack},
	},
}

func TestOnlyTheNamedTransitionsExist(t *testing.T) {
	t.Parallel()
	for _, typ := range Types() {
		for _, s := range States() {
			for _, a := range Actions() {
				line, ok := Find(s, typ, a)
				want, legal := pairs[typ][s][a]
				if ok != legal || line.To != want {
					t.Errorf("%s, %s: %s leads to %q (%v), want %q", typ, s, a, line.To, ok, want)
				}
			}
		}
	}
}

func TestAnIllegalTransitionNamesTheLegalOnes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state  State
		action Action
		want   string
	}{
		{InProgress, Cancel, "This change is in progress; from there it can: complete, fail, rollback."},
		{Completed, Cancel, "This change is completed; nothing leads out of that state."},
		{Draft, StartEmergency, "Only an emergency change can start without approval."},
		{Review, Schedule, "This change is in review; from there it can: withdraw, cancel."},
	} {
		got := Evaluate(ready(c.state, Normal), c.action)
		if len(got) != 1 || got[0].Code != CodeIllegal || got[0].Message != c.want {
			t.Errorf("%s: %+v, want %q", c.action, got, c.want)
		}
	}
}

func TestTheGateLetsThroughOnlyWhatMayRun(t *testing.T) {
	t.Parallel()
	for _, s := range States() {
		in := ready(s, Normal)
		in.Actor = other
		if got, want := Allowed(in, Gate), s == Scheduled || s == InProgress; got != want {
			t.Errorf("%s: %v, want %v: %v", s, got, want, codes(Evaluate(in, Gate)))
		}
		in.Holds = []Hold{{Reason: "freeze"}}
		if Allowed(in, Gate) {
			t.Errorf("%s: a held change passes the gate", s)
		}
	}
	if Allowed(Input{Limits: Defaults()}, Gate) {
		t.Error("an empty input passes the gate")
	}
}

// TestRandomWalksNeverLeaveTheTable plays random actions with random guards against a second
// model of the table.
func TestRandomWalksNeverLeaveTheTable(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 11))
	for walk := range 3000 {
		typ := Types()[rnd.IntN(3)]
		state := Draft
		for range 25 {
			a := Actions()[rnd.IntN(len(Actions()))]
			in := ready(state, typ)
			if a == Schedule || a == Unschedule || a == Cancel || a == Withdraw {
				in.Actor = owner
			}
			broken := rnd.IntN(3) == 0
			if broken {
				in.Rights = Rights{}
			}
			got := Evaluate(in, a)
			to, legal := pairs[typ][state][a]
			switch {
			case !legal && (len(got) != 1 || got[0].Code != CodeIllegal):
				t.Fatalf("walk %d: %s from %s: %v, want illegal", walk, a, state, codes(got))
			case legal && broken && !slices.Contains(codes(got), CodeForbidden):
				t.Fatalf("walk %d: %s from %s without rights: %v", walk, a, state, codes(got))
			case legal && !broken && len(got) > 0:
				t.Fatalf("walk %d: %s from %s: %v, want none", walk, a, state, codes(got))
			case legal && !broken:
				state = to
			}
			if state.Final() && len(Legal(state, typ)) > 0 {
				t.Fatalf("%s is final and leads to %v", state, Legal(state, typ))
			}
		}
	}
}

func FuzzEvaluate(f *testing.F) {
	f.Add(uint8(0), uint8(0), uint8(0), int64(0), int64(3600), uint16(0), "reason")
	f.Add(uint8(3), uint8(1), uint8(4), int64(-60), int64(60), uint16(0xffff), "")
	f.Fuzz(func(t *testing.T, s, typ, a uint8, start, end int64, bits uint16, why string) {
		in := ready(States()[int(s)%len(States())], Types()[int(typ)%3])
		action := append(Actions(), Gate, Approve, Return, Recheck, Miss)[int(a)%15]
		in.Start, in.End, in.Reason = noon.Add(time.Duration(start)), noon.Add(time.Duration(end)), why
		has := func(n int) bool { return bits&(1<<n) != 0 }
		in.Rights = Rights{Update: has(0), Schedule: has(1), Start: has(2), Complete: has(3), Manage: has(4), Emergency: has(5)}
		if has(6) {
			in.Holds = []Hold{{}}
		}
		if has(7) {
			in.Approval = Approval{}
		}
		if has(8) {
			in.Implementers = nil
		}
		in.Asking, in.System = has(9), has(10)
		got := Evaluate(in, action)
		if fmt.Sprint(got) != fmt.Sprint(Evaluate(in, action)) {
			t.Fatal("two evaluations of one input differ")
		}
		for _, x := range got {
			if x.Code == "" || x.Message == "" {
				t.Fatalf("a failure without words: %+v", x)
			}
		}
		if len(in.Holds) > 0 && (action == Start || action == Schedule || action == Gate || action == StartEmergency) && len(got) == 0 {
			t.Fatalf("%s of a held change passes", action)
		}
		if !in.Approval.Exists && (action == Start || action == Schedule || action == Approve) && len(got) == 0 {
			t.Fatalf("%s passes without approval", action)
		}
		if len(in.Implementers) == 0 && (action == Start || action == Schedule) && len(got) == 0 {
			t.Fatalf("%s passes without an implementer", action)
		}
		if in.Rights == (Rights{}) && !in.System && slices.Contains(Actions(), action) && len(got) == 0 {
			t.Fatalf("%s passes without any right", action)
		}
	})
}
