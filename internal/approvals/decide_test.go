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

func TestOneApprovalOfAnySatisfies(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "Peer", anyOf("Peer", role(access.Approver)))
	s := b.open(t)
	if diff := cmp.Diff("Any of: Approvers and above open [Ann] [Ben] [Adam]", b.seatLines(t, s, 1)); diff != "" {
		t.Fatal(diff)
	}
	for _, a := range []db.Actor{b.ann, b.ben, b.adam} {
		if got := b.out.told(a.UserID); len(got) != 1 || got[0] != "Approval needed: PAP-00001 Renew the shop certificate" {
			t.Errorf("%s was told %v", a.Name, got)
		}
	}
	if got := b.out.told(b.rita.UserID); got != nil {
		t.Errorf("the requester was told %v", got)
	}
	seat := b.seatOf(t, s, 1, "Any")
	d := b.approve(t, b.ben, seat)
	if d.RequestState != StateApproved || d.StageState != StageSatisfied {
		t.Errorf("%+v", d)
	}
	st := b.status(t, s)
	if !st.Approved() || !st.ValidAt(b.clk.Now().Add(14*24*time.Hour-time.Second)) || st.ValidAt(b.clk.Now().Add(14*24*time.Hour)) {
		t.Errorf("%+v", st.Request)
	}
	if who, ok := st.OnlyApprover(); !ok || who != b.ben.UserID {
		t.Errorf("only approver %v %v", who, ok)
	}
	if diff := cmp.Diff([]Outcome{Approved}, b.papers.outcomes()); diff != "" {
		t.Error(diff)
	}
	if _, err := b.decide(b.ann, seat, Approve); true {
		refused(t, err, fault.Conflict, "already_decided")
	}
	for action, want := range map[string]int{eventRequested: 1, eventDecided: 1, eventApproved: 1} {
		if n := b.audited(t, action); n != want {
			t.Errorf("%s audited %d times", action, n)
		}
	}
}

func TestNobodyDecidesTheirOwnWorkWhateverTheirRole(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "Peer", anyOf("Peer", role(access.Approver)), then(2, anyOf("Admin", role(access.Admin))))
	owner := b.person(t, "Olga Owner", "owner")
	s := b.open(t, func(s *Subject) { s.Excluded = append(s.Excluded, Excluded{b.adam.UserID, "implementer"}) })
	seat := b.seatOf(t, s, 1, "Any")
	for _, a := range []db.Actor{b.rita, b.adam} {
		_, err := b.decide(a, seat, Approve)
		refused(t, err, fault.Denied, "sod_violation")
	}
	// Excluded since: ann made a material edit while the revision stayed the same to her.
	b.papers.mu.Lock()
	late := b.papers.facts[s.ID]
	late.Excluded = append(late.Excluded, Excluded{b.ann.UserID, "editor"})
	b.papers.facts[s.ID] = late
	b.papers.mu.Unlock()
	_, err := b.decide(b.ann, seat, Approve)
	refused(t, err, fault.Denied, "sod_violation")
	b.approve(t, b.ben, seat)
	if got := b.seatLines(t, s, 2); got != "Any of: Admins and above open [Olga]" {
		t.Error(got)
	}
	b.approve(t, owner, b.seatOf(t, s, 2, "Any"))
}

func TestADecisionSaysEverythingThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "Peer", anyOf("Peer", role(access.Approver)))
	seat := b.seatOf(t, b.open(t), 1, "Any")
	for name, tt := range map[string]struct {
		d    Decision
		code string
	}{
		"no verdict":        {Decision{Revision: 1}, "not_allowed"},
		"an abstention":     {Decision{Verdict: "abstain", Revision: 1}, "not_allowed"},
		"a bare rejection":  {Decision{Verdict: Reject, Revision: 1, Comment: "  "}, "required"},
		"a bare return":     {Decision{Verdict: Return, Revision: 1}, "required"},
		"a long comment":    {Decision{Verdict: Approve, Revision: 1, Comment: strings.Repeat("é", 4001)}, "too_long"},
		"an odd comment":    {Decision{Verdict: Approve, Revision: 1, Comment: "a\x00b"}, "invalid_text"},
		"no revision":       {Decision{Verdict: Approve}, "required"},
		"an old revision":   {Decision{Verdict: Approve, Revision: 7}, "stale_revision"},
		"a long idempotent": {Decision{Verdict: Approve, Revision: 1, IdempotencyKey: strings.Repeat("x", 256)}, "too_long"},
	} {
		_, err := b.svc.Decide(context.Background(), b.ann, seat, tt.d)
		kind := fault.Invalid
		if tt.code == "stale_revision" {
			kind = fault.Conflict
		}
		t.Run(name, func(t *testing.T) { refused(t, err, kind, tt.code) })
	}
	service := b.adam
	service.Kind, service.UserID = db.ActorService, uuid.Nil
	_, err := b.decide(service, seat, Approve)
	refused(t, err, fault.Denied, "forbidden")
	_, err = b.decide(b.mo, seat, Approve)
	refused(t, err, fault.Denied, "forbidden")
	_, err = b.decide(b.stranger, seat, Approve)
	refused(t, err, fault.NotFound, "not_found")
	_, err = b.decide(b.ann, uuid.New(), Approve)
	refused(t, err, fault.NotFound, "not_found")
	if n := b.count(t, `SELECT count(*) FROM approval_decisions`); n != 0 {
		t.Errorf("%d decisions", n)
	}
}

func TestAnEditMakesWhatWasReadStale(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "Peer", anyOf("Peer", role(access.Approver)))
	s := b.open(t)
	seat := b.seatOf(t, s, 1, "Any")
	if _, err := b.Admin(t).Exec(context.Background(), `UPDATE papers SET content = 'second', revision = 2`); err != nil {
		t.Fatal(err)
	}
	_, err := b.decide(b.ann, seat, Approve)
	refused(t, err, fault.Conflict, "stale_revision")
	s.Revision, s.ContentHash = 2, sum("second")
	b.must(t, b.rita, func(ctx context.Context, tx *db.Tx) error {
		_, err := b.svc.Open(ctx, tx, s, Normal)
		return err
	})
	_, err = b.decide(b.ann, seat, Approve)
	refused(t, err, fault.Conflict, "stale_revision")
	_, err = b.svc.Decide(context.Background(), b.ann, seat, Decision{Verdict: Approve, Revision: 2})
	refused(t, err, fault.Conflict, "stale_revision")
	if got := b.status(t, s); got.Request.Revision != 2 || got.Request.State != StateOpen {
		t.Errorf("%+v", got.Request)
	}
	// The same revision with another content: somebody forgot to count it.
	if _, err := b.Admin(t).Exec(context.Background(), `UPDATE papers SET content = 'third'`); err != nil {
		t.Fatal(err)
	}
	_, err = b.svc.Decide(context.Background(), b.ann, b.seatOf(t, s, 1, "Any"), Decision{Verdict: Approve, Revision: 2})
	refused(t, err, fault.Conflict, "stale_revision")
}

func TestStagesFollowEachOtherAndAllMeansAll(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "Two steps", allOf("Owners", user(b.ann), Source{Kind: seats.AssetOwner}), then(2, anyOf("Admin", role(access.Admin))))
	s := b.open(t, func(s *Subject) { s.Facts.AssetOwners = []uuid.UUID{b.ann.UserID, b.ben.UserID, b.rita.UserID} })
	if diff := cmp.Diff("Ann Approver open [Ann]; Ben Approver open [Ben]", b.seatLines(t, s, 1)); diff != "" {
		t.Fatal(diff)
	}
	st := b.status(t, s)
	if !st.Stages[0].Blocks[0].Reduced || st.Stages[1].State != StageWaiting || st.Stages[0].Blocks[0].Need != 2 {
		t.Errorf("%+v", st.Stages)
	}
	ann, ben := b.seatOf(t, s, 1, "Ann"), b.seatOf(t, s, 1, "Ben")
	_, err := b.decide(b.ann, ben, Approve)
	refused(t, err, fault.Denied, "not_asked")
	b.approve(t, b.ann, ann)
	if got := b.status(t, s).Request.State; got != StateOpen {
		t.Errorf("after one of two: %s", got)
	}
	b.approve(t, b.ben, ben)
	b.approve(t, b.adam, b.seatOf(t, s, 2, "Any"))
	if got := b.status(t, s); !got.Approved() {
		t.Errorf("%+v", got)
	}
	if _, ok := b.status(t, s).OnlyApprover(); ok {
		t.Error("three people count as one")
	}
}

func TestRejectionsEndAsTheModeSays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stage Stage
		acts  string // each letter a person, upper case approves, lower case rejects
		want  State
	}{
		"any fails fast":            {anyOf("S", role(access.Approver)), "a", StateRejected},
		"any until nobody is left":  {Stage{Order: 1, Name: "S", Mode: seats.Any, OnReject: seats.UntilImpossible, Sources: []Source{role(access.Approver)}}, "ab", StateOpen},
		"and nobody is":             {Stage{Order: 1, Name: "S", Mode: seats.Any, OnReject: seats.UntilImpossible, Sources: []Source{role(access.Approver)}}, "abd", StateRejected},
		"any, the last one agrees":  {Stage{Order: 1, Name: "S", Mode: seats.Any, OnReject: seats.UntilImpossible, Sources: []Source{role(access.Approver)}}, "abD", StateApproved},
		"all":                       {allOf("S", each(role(access.Approver))), "Ab", StateRejected},
		"two of three":              {Stage{Order: 1, Name: "S", Mode: seats.NOfM, Need: 2, Sources: []Source{each(role(access.Approver))}}, "AbD", StateApproved},
		"two of three, two against": {Stage{Order: 1, Name: "S", Mode: seats.NOfM, Need: 2, Sources: []Source{each(role(access.Approver))}}, "Abd", StateRejected},
		"two of three, fail fast":   {Stage{Order: 1, Name: "S", Mode: seats.NOfM, Need: 2, OnReject: seats.FailFast, Sources: []Source{each(role(access.Approver))}}, "a", StateRejected},
		"67 percent of three":       {Stage{Order: 1, Name: "S", Mode: seats.Percent, Percent: 67, Sources: []Source{each(role(access.Approver))}}, "AB", StateOpen},
		"66 percent of three":       {Stage{Order: 1, Name: "S", Mode: seats.Percent, Percent: 66, Sources: []Source{each(role(access.Approver))}}, "AB", StateApproved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setUp(t)
			b.stages(t, "P", tt.stage)
			s := b.open(t)
			people := map[rune]db.Actor{'A': b.ann, 'B': b.ben, 'D': b.adam}
			for _, act := range tt.acts {
				v := Approve
				if act >= 'a' {
					v = Reject
				}
				a := people[[]rune(strings.ToUpper(string(act)))[0]]
				label := "Any"
				if tt.stage.Mode != seats.Any {
					label = a.Name
				}
				if _, err := b.decide(a, b.seatOf(t, s, 1, label), v); err != nil {
					t.Fatal(err)
				}
			}
			if got := b.status(t, s).Request.State; got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestAReturnGoesBackWithItsReason(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "All", allOf("All", each(role(access.Approver))))
	s := b.open(t)
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Ann"))
	if _, err := b.decide(b.ben, b.seatOf(t, s, 1, "Ben"), Return); err != nil {
		t.Fatal(err)
	}
	st := b.status(t, s)
	if st.Request.State != StateReturned || st.Request.Reason != "The backout plan is missing." {
		t.Errorf("%+v", st.Request)
	}
	if got := b.seatLines(t, s, 1); got != "Ann Approver approved [Ann]; Ben Approver returned [Ben]; Adam Admin superseded [Adam]" {
		t.Error(got)
	}
	_, err := b.decide(b.adam, b.seatOf(t, s, 1, "Adam"), Approve)
	refused(t, err, fault.Conflict, "stage_closed")
	_, err = b.decide(b.ann, b.seatOf(t, s, 1, "Ann"), Approve)
	refused(t, err, fault.Conflict, "already_decided")
}

func TestOnePersonHasOneVoiceInAStage(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "Peer", anyOf("Peer", role(access.Approver)))
	b.stages(t, "Owner", allOf("Owner", user(b.ann)))
	s := b.open(t)
	// Ann has a seat of her own, so the shared one does not ask her.
	if got := b.seatLines(t, s, 1); got != "Ann Approver open [Ann]; Any of: Approvers and above open [Ann duplicate_seat] [Ben] [Adam]" &&
		got != "Any of: Approvers and above open [Ann duplicate_seat] [Ben] [Adam]; Ann Approver open [Ann]" {
		t.Error(got)
	}
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Ann"))
	_, err := b.decide(b.ann, b.seatOf(t, s, 1, "Any"), Approve)
	refused(t, err, fault.Denied, "one_voice")
	b.approve(t, b.ben, b.seatOf(t, s, 1, "Any"))
	if !b.status(t, s).Approved() {
		t.Error("not approved")
	}
}

func TestAStageMayWantPeopleWhoHaveNotDecided(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	second := then(2, anyOf("Second", role(access.Approver)))
	second.DistinctAcrossStages = true
	b.stages(t, "P", anyOf("First", role(access.Approver)), second, then(3, anyOf("Third", role(access.Approver))))
	s := b.open(t)
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Any"))
	_, err := b.decide(b.ann, b.seatOf(t, s, 2, "Any"), Approve)
	refused(t, err, fault.Denied, "one_voice")
	b.approve(t, b.ben, b.seatOf(t, s, 2, "Any"))
	b.approve(t, b.ann, b.seatOf(t, s, 3, "Any"))
	if !b.status(t, s).Approved() {
		t.Error("not approved")
	}
}

func TestWhatNobodyCouldApproveIsRefusedWithAFix(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	s := b.paper(t)
	try := func() error {
		return b.in(t, b.rita, func(ctx context.Context, tx *db.Tx) error {
			_, err := b.svc.Open(ctx, tx, s, Normal)
			return err
		})
	}
	refused(t, try(), fault.Invalid, "approval_unsatisfiable") // no policy at all
	p := b.stages(t, "Two of two", Stage{Order: 1, Name: "Pair", Mode: seats.NOfM, Need: 2, Sources: []Source{user(b.rita), user(b.ben)}})
	err := try()
	refused(t, err, fault.Invalid, "approval_unsatisfiable")
	e := fault.Find(err)
	if e == nil || len(e.Details) != 1 || e.Details[0].Ref != "Pair" || !strings.Contains(e.Message, "Rita Requester") || !strings.Contains(e.Message, "“Two of two”") {
		t.Errorf("%+v", e)
	}
	escalation := role(access.Admin)
	if _, err := b.svc.ChangePolicy(context.Background(), b.adam, p.ID, PolicyChange{Edit: func(p *Policy) {
		p.Stages = []Stage{{Order: 1, Name: "Author", Mode: seats.All, Sources: []Source{user(b.rita)}, Escalation: &escalation}}
	}}); err != nil {
		t.Fatal(err)
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	if got := b.seatLines(t, s, 1); got != "Any of: Admins and above open [Adam]" {
		t.Error(got)
	}
	if n := b.count(t, `SELECT count(*) FROM approval_requests`); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAFreshSignInIsAskedForWhereThePolicySays(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	st := anyOf("Director", role(access.Admin))
	st.Reauth = true
	b.stages(t, "P", st)
	s := b.open(t)
	seat := b.seatOf(t, s, 1, "Any")
	b.clk.Advance(5*time.Minute + time.Second)
	_, err := b.decide(b.adam, seat, Approve)
	refused(t, err, fault.Denied, "reauth_required")
	token := b.adam
	token.Kind, token.SignedInAt = db.ActorAPIKey, time.Time{}
	_, err = b.decide(token, seat, Approve)
	refused(t, err, fault.Denied, "reauth_required")
	again := b.adam
	again.SignedInAt = b.clk.Now().Add(-5 * time.Minute)
	b.approve(t, again, seat)
}

func TestARepeatedDecisionAnswersTheSame(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.ben)))
	s := b.open(t)
	d := Decision{Verdict: Approve, Revision: 1, IdempotencyKey: "k1"}
	first, err := b.svc.Decide(context.Background(), b.ann, b.seatOf(t, s, 1, "Ann"), d)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.svc.Decide(context.Background(), b.ann, b.seatOf(t, s, 1, "Ann"), d)
	if err != nil || cmp.Diff(first.DecisionID, second.DecisionID) != "" {
		t.Errorf("%+v, %v", second, err)
	}
	d.IdempotencyKey = "k2"
	_, err = b.svc.Decide(context.Background(), b.ann, b.seatOf(t, s, 1, "Ann"), d)
	refused(t, err, fault.Conflict, "already_decided")
}

func TestABoardFillsItsSeat(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", anyOf("Peer", role(access.Approver)), then(2, Stage{Name: "Board", Mode: seats.CAB}))
	s := b.open(t)
	cab := func(revision int64, v Verdict) (out Decided, err error) {
		err = b.in(t, b.adam, func(ctx context.Context, tx *db.Tx) error {
			out, err = b.svc.DecideCAB(ctx, tx, s.Type, s.ID, revision, CABDecision{Verdict: v, BoardID: uuid.New(), ItemID: uuid.New(), Comment: "4 of 5"})
			return err
		})
		return out, err
	}
	_, err := cab(1, Approve)
	refused(t, err, fault.Conflict, "stage_closed")
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Any"))
	if !b.status(t, s).BoardPending() {
		t.Error("no board pending")
	}
	var items []CABItem
	b.must(t, b.adam, func(ctx context.Context, tx *db.Tx) error {
		items, err = b.svc.OpenCABSeats(ctx, tx, b.clk.Now().Add(time.Second))
		return err
	})
	if len(items) != 1 || items[0].Key != "PAP-00001" || items[0].Facts.Risk != "low" {
		t.Errorf("%+v", items)
	}
	_, err = b.decide(b.adam, items[0].SeatID, Approve)
	refused(t, err, fault.Denied, "not_asked")
	_, err = cab(2, Approve)
	refused(t, err, fault.Conflict, "stale_revision")
	if d, err := cab(1, Approve); err != nil || d.RequestState != StateApproved {
		t.Errorf("%+v, %v", d, err)
	}
	if b.status(t, s).BoardPending() {
		t.Error("board still pending")
	}
}

func TestARequestThatLooksBackGoesOverdueAndNeverCloses(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	s := b.paper(t)
	b.must(t, b.rita, func(ctx context.Context, tx *db.Tx) error {
		_, err := b.svc.Open(ctx, tx, s, Retro)
		return err
	})
	_, err := b.decide(b.ann, b.seatOf(t, s, 1, "Any"), Return)
	refused(t, err, fault.Invalid, "return_not_possible")
	b.clk.Advance(48*time.Hour + time.Second)
	b.due(t)
	b.due(t)
	if st := b.status(t, s); !st.Request.Overdue || st.Request.State != StateOpen {
		t.Errorf("%+v", st.Request)
	}
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Any"))
	if diff := cmp.Diff([]Outcome{Overdue, Approved}, b.papers.outcomes()); diff != "" {
		t.Error(diff)
	}
}

func TestWithdrawnRequestsKeepTheirDecisions(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.ben)))
	s := b.open(t)
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Ann"))
	for range 2 {
		b.must(t, b.rita, func(ctx context.Context, tx *db.Tx) error { return b.svc.Withdraw(ctx, tx, s.Type, s.ID, "Wrong host") })
	}
	if got := b.seatLines(t, s, 1); got != "Ann Approver approved [Ann]; Ben Approver superseded [Ben]" {
		t.Error(got)
	}
	_, err := b.decide(b.ben, b.seatOf(t, s, 1, "Ben"), Approve)
	refused(t, err, fault.Conflict, "stage_closed")
	if b.audited(t, eventWithdrawn) != 1 || len(b.papers.outcomes()) != 0 {
		t.Errorf("withdrawn %d times, settled %v", b.audited(t, eventWithdrawn), b.papers.outcomes())
	}
}
