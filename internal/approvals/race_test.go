package approvals

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// raceRuns is how often the race is run; a release runs a thousand, which takes minutes.
var raceRuns = flag.Int("race-runs", 100, "how often parallel decisions are tried")

// TestParallelDecisionsSettleOnce lets fifty people decide at once, again and again, and
// holds what must be true whatever the order: a request settles at most once, a seat is
// decided at most once, and whoever loses is told why with a code.
func TestParallelDecisionsSettleOnce(t *testing.T) {
	t.Parallel()
	runs := *raceRuns
	if testing.Short() {
		runs = 20
	}
	b := setUp(t)
	people := []db.Actor{b.ann, b.ben, b.adam}
	for _, name := range []string{"Cleo", "Dan", "Eve", "Finn", "Gil"} {
		people = append(people, b.person(t, name+" Approver", "approver"))
	}
	p := b.stages(t, "P", anyOf("S", role(access.Approver)))
	shapes := []Stage{
		anyOf("S", role(access.Approver)),
		allOf("S", user(b.ann), user(b.ben), user(b.adam)),
		{Order: 1, Name: "S", Mode: seats.NOfM, Need: 3, Sources: []Source{each(role(access.Approver))}},
		{Order: 1, Name: "S", Mode: seats.Percent, Percent: 50, OnReject: seats.FailFast, Sources: []Source{each(role(access.Approver))}},
		{Order: 1, Name: "S", Mode: seats.Any, OnReject: seats.UntilImpossible, Sources: []Source{role(access.Approver)}},
	}
	r := rand.New(rand.NewPCG(7, 8))
	for run := range runs {
		if run%max(1, runs/len(shapes)) == 0 {
			shape := shapes[run/max(1, runs/len(shapes))%len(shapes)]
			if _, err := b.svc.ChangePolicy(context.Background(), b.adam, p.ID, PolicyChange{Edit: func(p *Policy) {
				p.Priority, p.Stages = p.Priority+1, []Stage{shape, then(2, anyOf("Last", role(access.Owner), role(access.Approver)))}
			}}); err != nil {
				t.Fatal(err)
			}
		}
		b.race(t, r, people)
	}
}

func (b *bench) race(t *testing.T, r *rand.Rand, people []db.Actor) {
	t.Helper()
	s := b.open(t)
	open := b.seatsOf(t, s, 1)
	type act struct {
		who  db.Actor
		seat SeatStatus
		v    Verdict
	}
	var acts []act
	for range 50 {
		a := act{people[r.IntN(len(people))], open[r.IntN(len(open))], Approve}
		if r.IntN(6) == 0 {
			a.v = Reject
		}
		acts = append(acts, a)
	}
	results := make([]error, len(acts))
	var wg sync.WaitGroup
	for i, a := range acts {
		wg.Go(func() { _, results[i] = b.decide(a.who, a.seat.ID, a.v) })
	}
	wg.Wait()
	won := 0
	for i, err := range results {
		if err == nil {
			won++
			continue
		}
		e := fault.Find(err)
		switch {
		case e == nil:
			t.Fatalf("%s: %v", acts[i].who.Name, err)
		case e.Kind == fault.Conflict && (e.Code == "already_decided" || e.Code == "stage_closed"):
		case e.Kind == fault.Denied && (e.Code == "not_asked" || e.Code == "one_voice"):
		default:
			t.Fatalf("%s: %s %v", acts[i].who.Name, e.Code, err)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM approval_decisions WHERE subject_id = $1`, s.ID); n != won {
		t.Fatalf("%d decisions are kept, %d were confirmed", n, won)
	}
	if n := b.count(t, `SELECT count(*) FROM (SELECT 1 FROM approval_decisions WHERE subject_id = $1 AND fills GROUP BY seat_id HAVING count(*) > 1) x`, s.ID); n != 0 {
		t.Fatalf("%d seats have two decisions", n)
	}
	if n := b.count(t, `SELECT count(*) FROM (SELECT 1 FROM approval_decisions WHERE subject_id = $1 AND stage = 1 GROUP BY actor_id HAVING count(*) > 1) x`, s.ID); n != 0 {
		t.Fatalf("%d people have two voices in one stage", n)
	}
	st := b.status(t, s)
	settled := 0
	b.papers.mu.Lock()
	for _, x := range b.papers.settled {
		if x.RequestID == st.Request.ID {
			settled++
		}
	}
	b.papers.mu.Unlock()
	switch want := map[State]int{StateOpen: 0, StateApproved: 1, StateRejected: 1}[st.Request.State]; {
	case settled != want:
		t.Fatalf("%s and settled %d times", st.Request.State, settled)
	case st.Request.State == StateApproved:
		t.Fatal("approved although its second stage was never asked")
	}
	first := st.Stages[0]
	for _, block := range first.Blocks {
		enough := block.Approvals >= block.Need
		if enough && block.Rejections == 0 && first.State != StageSatisfied {
			t.Fatalf("%d of %d approved and the stage is %s", block.Approvals, block.Need, first.State)
		}
		if !enough && first.State == StageSatisfied {
			t.Fatalf("satisfied by %d of %d", block.Approvals, block.Need)
		}
	}
	if err := Verify(b.records(t, s)); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkDecide measures one decision of two in a stage: locks, checks, routing, the
// record, its audit entry, event and job. The target is 100 ms at the 95th percentile.
func BenchmarkDecide(b *testing.B) {
	x := setUp(b)
	x.stages(b, "P", allOf("All", user(x.ann), user(x.ben)))
	for b.Loop() {
		b.StopTimer()
		s := x.open(b)
		seat := x.seatOf(b, s, 1, "Ann")
		b.StartTimer()
		x.approve(b, x.ann, seat)
	}
}
