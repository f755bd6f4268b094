package approvals

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestADelegateDecidesAndThePrincipalMayToo(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.adam)))
	d := b.delegation(t, b.ann, b.ben)
	s := b.open(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann>Ben]; Adam Admin open [Adam]" {
		t.Fatal(got)
	}
	if got := b.out.told(b.ben.UserID); len(got) != 2 || got[0] != "You decide for Ann Approver" || !strings.HasPrefix(got[1], "Approval needed") {
		t.Errorf("the delegate was told %v", got)
	}
	if got := b.out.notices[1].Body; !strings.HasPrefix(got, "You stand in for Ann Approver.") {
		t.Errorf("body %q", got)
	}
	seat := b.seatOf(t, s, 1, "Ann")
	b.approve(t, b.ben, seat)
	st := b.status(t, s)
	got := st.Stages[0].Blocks[0].Seats[0].Decisions[0]
	if got.Actor.Name != "Ben Approver" || got.Principal.Name != "Ann Approver" || cmp.Diff([]string{d.Key}, got.Delegations) != "" {
		t.Errorf("%+v", got)
	}
	_, err := b.decide(b.ann, seat, Approve)
	refused(t, err, fault.Conflict, "already_decided")

	second := b.open(t, func(s *Subject) { s.Key = "PAP-00002" })
	b.approve(t, b.ann, b.seatOf(t, second, 1, "Ann"))
	if got := b.seatLines(t, second, 1); got != "Ann Approver approved [Ann>Ben]; Adam Admin open [Adam]" {
		t.Error(got)
	}
}

func TestAnAbsenceRoutesPendingSeatsAndBringsThemBack(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.adam)))
	b.delegation(t, b.ann, b.ben, func(d *NewDelegation) { d.Kind, d.End = "assist", b.clk.Now().Add(30*24*time.Hour) })
	s := b.open(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann]; Adam Admin open [Adam]" {
		t.Fatal(got)
	}
	start := b.clk.Now().Add(4 * time.Hour)
	absence, err := b.svc.CreateAbsence(context.Background(), b.ann, NewAbsence{Start: start, End: start.Add(4 * time.Hour), Reason: "Dentist"})
	if err != nil {
		t.Fatal(err)
	}
	b.due(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann]; Adam Admin open [Adam]" {
		t.Errorf("before its start: %s", got)
	}
	b.clk.Advance(4 * time.Hour)
	b.due(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann>Ben]; Adam Admin open [Adam]" {
		t.Errorf("at its start: %s", got)
	}
	b.clk.Advance(4 * time.Hour)
	b.due(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann]; Adam Admin open [Adam]" {
		t.Errorf("at its end: %s", got)
	}
	if n := b.audited(t, eventRerouted); n != 2 {
		t.Errorf("rerouted %d times", n)
	}
	if err := b.svc.DeleteAbsence(context.Background(), b.ben, absence.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("somebody else removes it: %v", err)
	}
	if err := b.svc.DeleteAbsence(context.Background(), b.ann, absence.ID); err != nil {
		t.Error(err)
	}
}

func TestRevokingTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.adam)))
	d := b.delegation(t, b.ann, b.ben)
	s := b.open(t)
	seat := b.seatOf(t, s, 1, "Ann")
	if _, err := b.svc.RevokeDelegation(context.Background(), b.rita, d.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a stranger revokes: %v", err)
	}
	if _, err := b.svc.RevokeDelegation(context.Background(), b.ann, d.ID); err != nil {
		t.Fatal(err)
	}
	// Nothing has been routed again yet; the decision itself looks.
	_, err := b.decide(b.ben, seat, Approve)
	refused(t, err, fault.Denied, "not_asked")
	b.reroute(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann]; Adam Admin open [Adam]" {
		t.Error(got)
	}
	if got := b.out.told(b.ben.UserID); got[len(got)-1] != "You no longer decide for Ann Approver" {
		t.Errorf("told %v", got)
	}
}

func TestAnExcludedDelegateNeverInheritsTheSeat(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.adam)))
	b.delegation(t, b.ann, b.rita)
	b.delegation(t, b.rita, b.ben)
	s := b.open(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann>Rita delegate_excluded_sod]; Adam Admin open [Adam]" {
		t.Error(got)
	}
	for _, a := range []db.Actor{b.rita, b.ben} {
		if _, err := b.decide(a, b.seatOf(t, s, 1, "Ann"), Approve); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
}

func TestSeatsOfAGroupFollowItsMembers(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	carl := b.person(t, "Carl Approver", "approver")
	g := b.group(t, "Network", b.ann, b.ben)
	snapshot, dynamic := each(Source{Kind: seats.Group, ID: g}), each(Source{Kind: seats.Group, ID: g})
	dynamic.Dynamic = true
	b.stages(t, "Snapshot", then(1, allOf("Fixed", snapshot)))
	s := b.open(t)
	ctx := context.Background()
	join := func(a db.Actor) {
		if _, err := b.Admin(t).Exec(ctx, `INSERT INTO people_group_members SELECT workspace_id, $1, id FROM members WHERE user_id = $2`, g, a.UserID); err != nil {
			t.Fatal(err)
		}
	}
	route := func() {
		if err := b.svc.Reroute(ctx, rerouteAll(b.ws).(RerouteArgs)); err != nil {
			t.Fatal(err)
		}
	}
	join(carl)
	route()
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann]; Ben Approver open [Ben]" {
		t.Errorf("a snapshot grew: %s", got)
	}
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Ann"))
	b.member(t, b.ben, "state = 'suspended'")
	route()
	// Ben's seat is void, so everybody who is left has approved.
	if got := b.seatLines(t, s, 1); !b.status(t, s).Approved() || got != "Ann Approver approved [Ann]; Ben Approver voided [Ben]" {
		t.Errorf("%s, %s", got, b.status(t, s).Request.State)
	}
	if n := b.audited(t, eventVoided); n != 1 {
		t.Errorf("voided %d times", n)
	}

	p, err := b.svc.Policies(ctx, b.adam)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.ChangePolicy(ctx, b.adam, p[0].ID, PolicyChange{Edit: func(p *Policy) { p.Stages = []Stage{then(1, allOf("Open", dynamic))} }}); err != nil {
		t.Fatal(err)
	}
	b.member(t, b.ben, "state = 'active'")
	if _, err := b.Admin(t).Exec(ctx, `DELETE FROM people_group_members WHERE member_id IN (SELECT id FROM members WHERE user_id = $1)`, carl.UserID); err != nil {
		t.Fatal(err)
	}
	second := b.open(t)
	join(carl)
	route()
	if got := b.seatLines(t, second, 1); got != "Ann Approver open [Ann]; Ben Approver open [Ben]; Carl Approver open [Carl]" {
		t.Errorf("a dynamic group did not grow: %s", got)
	}
}

func TestWhenNobodyIsLeftItIsEscalatedOrGoesBack(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	g := b.group(t, "Network", b.ann)
	admins := role(access.Admin)
	with := allOf("Network", each(Source{Kind: seats.Group, ID: g}))
	with.Escalation = &admins
	p := b.stages(t, "P", with)
	first := b.open(t)
	if _, err := b.svc.ChangePolicy(context.Background(), b.adam, p.ID, PolicyChange{Edit: func(p *Policy) { p.Stages[0].Escalation = nil }}); err != nil {
		t.Fatal(err)
	}
	second := b.open(t)
	b.member(t, b.ann, "role = 'member'")
	if err := b.svc.Reroute(context.Background(), rerouteAll(b.ws).(RerouteArgs)); err != nil {
		t.Fatal(err)
	}
	if got := b.seatLines(t, first, 1); got != "Ann Approver voided [Ann]; Any of: Admins and above open [Adam]" {
		t.Error(got)
	}
	if st := b.status(t, second); st.Request.State != StateReturned || st.Request.Code != "approval_unsatisfiable" {
		t.Errorf("%+v", st.Request)
	}
	b.approve(t, b.adam, b.seatOf(t, first, 1, "Any"))
}

func TestTimeRemindsThenEscalatesThenReturns(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	admins := role(access.Admin)
	st := allOf("Owner", user(b.ann), user(b.ben))
	st.Escalation = &admins
	b.stages(t, "P", st)
	s := b.open(t)
	b.approve(t, b.ben, b.seatOf(t, s, 1, "Ben"))
	step := func(want int, action string) {
		t.Helper()
		b.due(t)
		if n := b.audited(t, action); n != want {
			t.Errorf("%s audited %d times, want %d", action, n, want)
		}
	}
	b.clk.Advance(24*time.Hour - time.Second)
	step(0, eventReminded)
	b.clk.Advance(time.Second)
	step(1, eventReminded)
	step(1, eventReminded)
	if got := b.out.told(b.ann.UserID); len(got) != 2 || !strings.HasPrefix(got[1], "Still waiting") {
		t.Errorf("told %v", got)
	}
	if got := b.out.told(b.ben.UserID); len(got) != 1 {
		t.Errorf("who decided was told %v", got)
	}
	b.clk.Advance(24 * time.Hour)
	step(1, eventEscalated)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann] [Adam escalated]; Ben Approver approved [Ben]" {
		t.Error(got)
	}
	b.clk.Advance(24*time.Hour - time.Second)
	step(0, eventTimedOut)
	other := b.open(t)
	b.clk.Advance(time.Second)
	step(1, eventTimedOut)
	if st := b.status(t, s); st.Request.State != StateTimedOut || st.Request.Code != "approval_timeout" {
		t.Errorf("%+v", st.Request)
	}
	if st := b.status(t, other); st.Request.State != StateOpen {
		t.Errorf("the other one: %+v", st.Request)
	}
	b.clk.Advance(96 * time.Hour) // over a weekend
	b.due(t)
	b.approve(t, b.adam, b.seatOf(t, other, 1, "Ann"))
	d := b.status(t, other).Stages[0].Blocks[0].Seats[0].Decisions[0]
	if d.Actor.Name != "Adam Admin" || d.Principal.Name != "Adam Admin" {
		t.Errorf("%+v", d)
	}
}

func TestASeatThatNobodyCanFillIsEscalatedWithTheReminder(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	admins := role(access.Admin)
	st := allOf("Owner", user(b.ann), user(b.ben))
	st.Escalation = &admins
	b.stages(t, "P", st)
	if _, err := b.svc.CreateAbsence(context.Background(), b.ann, NewAbsence{Start: b.clk.Now(), End: b.clk.Now().Add(300 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s := b.open(t)
	b.clk.Advance(24 * time.Hour)
	b.due(t)
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann absent] [Adam escalated]; Ben Approver open [Ben]" {
		t.Error(got)
	}
}

func TestADelegationSaysEverythingThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	for name, tt := range map[string]struct {
		by   db.Actor
		edit func(*NewDelegation)
		code string
	}{
		"nobody":             {b.ann, func(d *NewDelegation) { d.Delegate = uuid.Nil }, "required"},
		"oneself":            {b.ann, func(d *NewDelegation) { d.Delegate = b.ann.UserID }, "self"},
		"a member":           {b.ann, func(d *NewDelegation) { d.Delegate = b.mo.UserID }, "role_too_low"},
		"a stranger":         {b.ann, func(d *NewDelegation) { d.Delegate = b.stranger.UserID }, "not_found"},
		"backwards":          {b.ann, func(d *NewDelegation) { d.End = d.Start }, "before_start"},
		"over already":       {b.ann, func(d *NewDelegation) { d.Start, d.End = monday.Add(-48*time.Hour), monday }, "over"},
		"no end":             {b.ann, func(d *NewDelegation) { d.End = time.Time{} }, "required"},
		"91 days":            {b.ann, func(d *NewDelegation) { d.End = d.Start.Add(91 * 24 * time.Hour) }, "too_long"},
		"a kind":             {b.ann, func(d *NewDelegation) { d.Kind = "gone" }, "not_allowed"},
		"a scope":            {b.ann, func(d *NewDelegation) { d.Scope = "team" }, "not_allowed"},
		"a type":             {b.ann, func(d *NewDelegation) { d.Scope, d.ScopeValue = "change_type", "huge" }, "not_allowed"},
		"no tag":             {b.ann, func(d *NewDelegation) { d.Scope = "asset_group" }, "required"},
		"a policy":           {b.ann, func(d *NewDelegation) { d.Scope, d.ScopeValue = "policy", uuid.NewString() }, "not_found"},
		"a long reason":      {b.ann, func(d *NewDelegation) { d.Reason = strings.Repeat("x", 501) }, "too_long"},
		"somebody else's":    {b.ben, func(d *NewDelegation) { d.Principal = b.ann.UserID }, "forbidden"},
		"of a member":        {b.mo, func(*NewDelegation) {}, "forbidden"},
		"for a mere member":  {b.adam, func(d *NewDelegation) { d.Principal = b.mo.UserID }, "no_seat"},
		"for a stranger":     {b.adam, func(d *NewDelegation) { d.Principal = b.stranger.UserID }, "not_found"},
		"for another, by ad": {b.adam, func(d *NewDelegation) { d.Principal = b.ann.UserID }, ""},
	} {
		in := NewDelegation{Delegate: b.ben.UserID, Kind: "out", Scope: "all", Start: monday, End: monday.Add(24 * time.Hour)}
		tt.edit(&in)
		_, err := b.svc.CreateDelegation(ctx, tt.by, in)
		t.Run(name, func(t *testing.T) {
			switch {
			case tt.code == "" && err != nil:
				t.Error(err)
			case tt.code == "forbidden":
				refused(t, err, fault.Denied, tt.code)
			case tt.code != "":
				refused(t, err, fault.Invalid, tt.code)
			}
		})
	}
	if n := b.count(t, `SELECT count(*) FROM approval_delegations`); n != 1 {
		t.Errorf("%d delegations", n)
	}
}

func TestADelegationLoopIsRefusedWithItsPath(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.delegation(t, b.ann, b.ben)
	d := b.delegation(t, b.ben, b.adam, func(d *NewDelegation) { d.Scope, d.ScopeValue = "change_type", "normal" })
	in := NewDelegation{Delegate: b.ann.UserID, Kind: "out", Scope: "all", Start: monday, End: monday.Add(24 * time.Hour)}
	_, err := b.svc.CreateDelegation(context.Background(), b.adam, in)
	refused(t, err, fault.Invalid, "delegation_loop")
	if e := fault.Find(err); e == nil || !strings.Contains(e.Message, "Adam Admin → Ann Approver → Ben Approver → Adam Admin") {
		t.Errorf("%v", err)
	}
	in.Scope, in.ScopeValue = "change_type", "emergency"
	kept, err := b.svc.CreateDelegation(context.Background(), b.adam, in)
	if err != nil {
		t.Fatal(err)
	}
	// An edit may not close it either.
	_, err = b.svc.ChangeDelegation(context.Background(), b.adam, kept.ID, DelegationChange{Edit: func(d *Delegation) { d.ScopeValue = "normal" }})
	refused(t, err, fault.Invalid, "delegation_loop")
	one := int64(1)
	if _, err := b.svc.ChangeDelegation(context.Background(), b.ben, d.ID, DelegationChange{Edit: func(d *Delegation) { d.Reason = "Away" }, Version: &one}); err != nil {
		t.Fatal(err)
	}
	_, err = b.svc.ChangeDelegation(context.Background(), b.ben, d.ID, DelegationChange{Edit: func(d *Delegation) { d.Reason = "Here" }, Version: &one})
	refused(t, err, fault.Conflict, "version_conflict")
}

func TestADelegationEndsByItselfAndItsDelegateHearsOfIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.adam)))
	b.delegation(t, b.ann, b.ben)
	s := b.open(t)
	b.clk.Advance(48 * time.Hour)
	_, err := b.decide(b.ben, b.seatOf(t, s, 1, "Ann"), Approve)
	refused(t, err, fault.Denied, "not_asked")
	b.due(t)
	b.due(t)
	if b.audited(t, eventDelegationEnded) != 1 || b.out.told(b.ben.UserID)[2] != "You no longer decide for Ann Approver" {
		t.Errorf("ended %d times, told %v", b.audited(t, eventDelegationEnded), b.out.told(b.ben.UserID))
	}
	if got := b.seatLines(t, s, 1); !strings.HasPrefix(got, "Ann Approver open [Ann]") {
		t.Error(got)
	}
}

func TestTheSweepFindsWhatIsDue(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", anyOf("Peer", role(access.Approver)))
	b.open(t)
	sweep := func() int {
		if err := b.svc.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		return b.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'approvals.due'`)
	}
	if n := sweep(); n != 0 {
		t.Errorf("%d jobs before anything is due", n)
	}
	b.clk.Advance(24 * time.Hour)
	sweep()
	if n := sweep(); n != 1 {
		t.Errorf("%d jobs for one workspace", n)
	}
}

func TestAbsentTellsWhoIsAwayInAWindow(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	if _, err := b.svc.CreateAbsence(ctx, b.mo, NewAbsence{Start: monday, End: monday.Add(5 * time.Hour), Reason: "Training"}); err != nil {
		t.Fatal(err)
	}
	b.delegation(t, b.ann, b.ben, func(d *NewDelegation) { d.Start = monday.Add(5 * time.Hour) })
	b.delegation(t, b.ben, b.adam, func(d *NewDelegation) { d.Kind = "assist" })
	_, err := b.svc.CreateAbsence(ctx, b.viewer, NewAbsence{Start: monday, End: monday.Add(time.Hour)})
	refused(t, err, fault.Denied, "forbidden")
	_, err = b.svc.CreateAbsence(ctx, b.mo, NewAbsence{UserID: b.ann.UserID, Start: monday, End: monday.Add(time.Hour)})
	refused(t, err, fault.Denied, "forbidden")
	ask := func(from, to int) string {
		var names []string
		b.must(t, b.adam, func(ctx context.Context, tx *db.Tx) error {
			away, err := b.svc.Absent(ctx, tx, []uuid.UUID{b.mo.UserID, b.ann.UserID, b.ben.UserID}, monday.Add(time.Duration(from)*time.Hour), monday.Add(time.Duration(to)*time.Hour))
			for _, a := range away {
				names = append(names, map[uuid.UUID]string{b.mo.UserID: "Mo", b.ann.UserID: "Ann", b.ben.UserID: "Ben"}[a.UserID])
			}
			return err
		})
		return strings.Join(names, " ")
	}
	for _, tt := range []struct {
		from, to int
		want     string
	}{{-2, 0, ""}, {0, 1, "Mo"}, {4, 5, "Mo"}, {5, 6, "Ann"}, {4, 6, "Mo Ann"}} {
		if got := ask(tt.from, tt.to); got != tt.want {
			t.Errorf("%d to %d: %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}
