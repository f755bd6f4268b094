package seats

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// who makes the id of a person from a letter, so that tables read well.
func who(letter rune) uuid.UUID { return uuid.UUID{15: byte(letter)} }

func people(letters string) []uuid.UUID {
	var out []uuid.UUID
	for _, l := range letters {
		out = append(out, who(l))
	}
	return out
}

func letters(ids []uuid.UUID) string {
	s := ""
	for _, id := range ids {
		s += string(rune(id[15]))
	}
	return s
}

func nobody(uuid.UUID) bool { return false }

func without(letters string) func(uuid.UUID) bool {
	return func(id uuid.UUID) bool { return slices.Contains(people(letters), id) }
}

func TestPercentRoundsUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ p, m, want int }{
		{50, 3, 2}, {67, 3, 3}, {66, 3, 2}, {34, 3, 2}, {1, 3, 1}, {51, 4, 3}, {49, 5, 3}, {100, 4, 4}, {1, 0, 1}, {50, 4, 2}, {51, 1, 1},
	} {
		if got := Need(Block{Mode: Percent, Percent: tt.p}, tt.m); got != tt.want {
			t.Errorf("%d %% of %d = %d, want %d", tt.p, tt.m, got, tt.want)
		}
	}
}

func TestAPercentIsTheSmallestWholeNumberThatReachesIt(t *testing.T) {
	t.Parallel()
	for p := 1; p <= 100; p++ {
		for m := 1; m <= 60; m++ {
			n := Need(Block{Mode: Percent, Percent: p}, m)
			if n*100 < p*m || (n > 1 && (n-1)*100 >= p*m) || n < 1 || n > m {
				t.Fatalf("%d %% of %d = %d", p, m, n)
			}
		}
	}
}

func TestBlocksAreCountedByTheirMode(t *testing.T) {
	t.Parallel()
	marks := map[rune]Mark{'-': Open, 'a': Approved, 'r': Rejected, 'v': Void}
	for _, tt := range []struct {
		block Block
		marks string
		want  Outcome
	}{
		{Block{Mode: Any, OnReject: FailFast}, "-", Pending},
		{Block{Mode: Any, OnReject: FailFast}, "a", Satisfied},
		{Block{Mode: Any, OnReject: FailFast}, "r", Refused},
		{Block{Mode: Any, OnReject: UntilImpossible}, "r", Refused},
		{Block{Mode: Any, OnReject: FailFast}, "", Impossible},
		{Block{Mode: All, OnReject: FailFast}, "aa-", Pending},
		{Block{Mode: All, OnReject: FailFast}, "aaa", Satisfied},
		{Block{Mode: All, OnReject: FailFast}, "aav", Satisfied},
		{Block{Mode: All, OnReject: FailFast}, "vv", Impossible},
		{Block{Mode: All, OnReject: UntilImpossible}, "ar-", Refused},
		{Block{Mode: NOfM, Need: 2, OnReject: UntilImpossible}, "a--", Pending},
		{Block{Mode: NOfM, Need: 2, OnReject: UntilImpossible}, "a-a", Satisfied},
		{Block{Mode: NOfM, Need: 2, OnReject: UntilImpossible}, "r--", Pending},
		{Block{Mode: NOfM, Need: 2, OnReject: UntilImpossible}, "rr-", Refused},
		{Block{Mode: NOfM, Need: 2, OnReject: UntilImpossible}, "rv-", Refused},
		{Block{Mode: NOfM, Need: 2, OnReject: UntilImpossible}, "vv-", Impossible},
		{Block{Mode: NOfM, Need: 2, OnReject: FailFast}, "r--", Refused},
		{Block{Mode: Percent, Percent: 50, OnReject: UntilImpossible}, "aa-", Satisfied},
		{Block{Mode: Percent, Percent: 50, OnReject: UntilImpossible}, "rr-", Refused},
		{Block{Mode: Percent, Percent: 67, OnReject: UntilImpossible}, "aa-", Pending},
		{Block{Mode: CAB, OnReject: FailFast}, "-", Pending},
		{Block{Mode: CAB, OnReject: FailFast}, "a", Satisfied},
		{Block{Mode: CAB, OnReject: FailFast}, "r", Refused},
	} {
		var in []Mark
		for _, m := range tt.marks {
			in = append(in, marks[m])
		}
		if got := Tally(tt.block, in); got.Outcome != tt.want {
			t.Errorf("%s %q: %v, want %v (%+v)", tt.block.Mode, tt.marks, got.Outcome, tt.want, got)
		}
	}
}

func TestACountDoesNotDependOnTheOrderOfItsSeats(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		b := Block{
			Mode: []Mode{Any, All, NOfM, Percent}[r.IntN(4)], Need: 1 + r.IntN(4), Percent: 1 + r.IntN(100),
			OnReject: []OnReject{FailFast, UntilImpossible}[r.IntN(2)],
		}
		marks := make([]Mark, 1+r.IntN(6))
		for i := range marks {
			marks[i] = Mark(r.IntN(4))
		}
		want := Tally(b, marks)
		r.Shuffle(len(marks), func(i, j int) { marks[i], marks[j] = marks[j], marks[i] })
		if got := Tally(b, marks); got != want {
			t.Fatalf("%+v %v: %+v, then %+v", b, marks, want, got)
		}
		if want.Outcome == Satisfied && want.Approvals < want.Need {
			t.Fatalf("satisfied by too few: %+v", want)
		}
	}
}

func TestExcludedPeopleAreDroppedBeforeAnythingIsCounted(t *testing.T) {
	t.Parallel()
	user := func(l rune) Source { return Source{Kind: User, ID: who(l)} }
	pool := Pool{user('R'): people("R"), user('B'): people("B"), {Kind: Role, Role: "approver"}: people("RABC")}
	for name, tt := range map[string]struct {
		block    Block
		excluded string
		seats    int
		need     int
		reduced  bool
		fillable bool
	}{
		"all of R and B, R is the requester": {Block{Mode: All, Sources: []Source{user('R'), user('B')}}, "R", 1, 1, true, true},
		"all of R and B, nobody excluded":    {Block{Mode: All, Sources: []Source{user('R'), user('B')}}, "", 2, 2, false, true},
		"two of two":                         {Block{Mode: NOfM, Need: 2, Sources: []Source{user('R'), user('B')}}, "R", 1, 2, true, false},
		"a stage left with nobody":           {Block{Mode: All, Sources: []Source{user('R')}}, "R", 0, 1, true, false},
		"any of a role without the author":   {Block{Mode: Any, Sources: []Source{{Kind: Role, Role: "approver"}}}, "R", 1, 1, true, true},
		"percent counts who is left":         {Block{Mode: Percent, Percent: 100, Sources: []Source{user('R'), user('B')}}, "R", 1, 1, true, true},
		"a board has a seat of its own":      {Block{Mode: CAB}, "R", 1, 1, false, true},
	} {
		got := Build(tt.block, pool, without(tt.excluded))
		if len(got.Seats) != tt.seats || got.Need != tt.need || got.Reduced() != tt.reduced {
			t.Errorf("%s: %d seats, need %d, reduced %v", name, len(got.Seats), got.Need, got.Reduced())
		}
		req := Requirement{Need: got.Need, Board: tt.block.Mode == CAB}
		for _, s := range got.Seats {
			req.Humans = append(req.Humans, s.Principals)
		}
		if ok := len(Fillable([]StageNeeds{{Blocks: []Requirement{req}}})) == 0; ok != tt.fillable {
			t.Errorf("%s: fillable %v", name, ok)
		}
	}
}

func TestAPersonHasOnePersonalSeatWhateverTheSource(t *testing.T) {
	t.Parallel()
	owner, group := Source{Kind: AssetOwner}, Source{Kind: Group, ID: who('g'), Each: true}
	got := Build(Block{Mode: All, Sources: []Source{owner, group, {Kind: Group, ID: who('h')}}}, Pool{
		owner: people("AB"), group: people("BCA"), {Kind: Group, ID: who('h')}: people("AD"),
	}, nobody)
	var seats []string
	for _, s := range got.Seats {
		seats = append(seats, fmt.Sprintf("%s %s", s.Kind, letters(s.Principals)))
	}
	if diff := cmp.Diff([]string{"personal A", "personal B", "personal C", "shared AD"}, seats); diff != "" {
		t.Error(diff)
	}
}

func TestAPolicyAddsAndNeverTakesAway(t *testing.T) {
	t.Parallel()
	peer, owner := Source{Kind: Role, Role: "approver"}, Source{Kind: ServiceOwner}
	a := Policy{ID: who('a'), Name: "Peer", Priority: 10, Stages: []Stage{{Order: 1, Name: "Peer", Mode: Any, Sources: []Source{peer}}}}
	b := Policy{ID: who('b'), Name: "Owner", Priority: 20, Stages: []Stage{
		{Order: 1, Name: "Owners", Mode: All, Sources: []Source{owner}, Reauth: true, DeadlineDays: 2},
		{Order: 2, Name: "Board", Mode: CAB},
	}}
	c := Policy{ID: who('c'), Name: "Same again", Stages: []Stage{
		{Order: 1, Name: "Peer", Mode: Any, Sources: []Source{peer, peer}, DeadlineDays: 5},
		{Order: 1, Mode: All, Sources: []Source{owner, {Kind: Manager}}},
	}}
	got := Compose([]Policy{a, b, c})
	want := []Composed{
		{Order: 1, Name: "Owners and Peer", DeadlineDays: 2, Reauth: true, Distinct: true, Blocks: []Block{
			{Mode: All, OnReject: FailFast, Sources: []Source{owner, {Kind: Manager}}, Policies: people("bc")},
			{Mode: Any, OnReject: FailFast, Sources: []Source{peer}, Policies: people("ac")},
		}},
		{Order: 2, Name: "Board", Blocks: []Block{{Mode: CAB, OnReject: FailFast, Sources: []Source{}, Policies: people("b")}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(got, Compose([]Policy{c, a, b, a})); diff != "" {
		t.Errorf("the order or a repetition of policies matters: %s", diff)
	}
}

func TestEqualSourcesKeepTheStricterCount(t *testing.T) {
	t.Parallel()
	src := []Source{{Kind: Role, Role: "approver", Each: true}}
	got := Compose([]Policy{
		{ID: who('a'), Stages: []Stage{{Order: 1, Mode: NOfM, Need: 1, Sources: src}}},
		{ID: who('b'), Stages: []Stage{{Order: 1, Mode: NOfM, Need: 3, Sources: src, OnReject: FailFast}}},
	})
	if len(got) != 1 || len(got[0].Blocks) != 1 || got[0].Blocks[0].Need != 3 || got[0].Blocks[0].OnReject != FailFast {
		t.Errorf("%+v", got)
	}
}

func TestDifferentPeopleAreNeededWhereAStageAsksForThem(t *testing.T) {
	t.Parallel()
	one := func(letters string) Requirement { return Requirement{Need: 1, Humans: [][]uuid.UUID{people(letters)}} }
	for name, tt := range map[string]struct {
		stages []StageNeeds
		bad    []int
	}{
		"two seats, one person":            {[]StageNeeds{{Blocks: []Requirement{one("A"), one("A")}}}, []int{0}},
		"two seats, who fits where":        {[]StageNeeds{{Blocks: []Requirement{one("AB"), one("A")}}}, nil},
		"the same person in two stages":    {[]StageNeeds{{Blocks: []Requirement{one("A")}}, {Blocks: []Requirement{one("A")}}}, nil},
		"not where they must differ":       {[]StageNeeds{{Blocks: []Requirement{one("A")}}, {Blocks: []Requirement{one("A")}, Distinct: true}}, []int{1}},
		"but another one may come earlier": {[]StageNeeds{{Blocks: []Requirement{one("AB")}}, {Blocks: []Requirement{one("A")}, Distinct: true}}, nil},
		"three distinct stages, two people": {[]StageNeeds{
			{Blocks: []Requirement{one("AB")}, Distinct: true}, {Blocks: []Requirement{one("AB")}, Distinct: true}, {Blocks: []Requirement{one("AB")}, Distinct: true},
		}, []int{2}},
		"a board needs nobody of ours": {[]StageNeeds{{Blocks: []Requirement{{Need: 1, Board: true, Humans: [][]uuid.UUID{nil}}}}}, nil},
		"two of three seats": {[]StageNeeds{{Blocks: []Requirement{
			{Need: 2, Humans: [][]uuid.UUID{people("A"), people("B"), people("A")}}, one("A"),
		}}}, []int{0}},
	} {
		if diff := cmp.Diff(tt.bad, Fillable(tt.stages)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestFlowAgreesWithTryingEverything compares the flow with a search through all choices.
func TestFlowAgreesWithTryingEverything(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		blocks := make([]Requirement, 1+r.IntN(3))
		for i := range blocks {
			blocks[i].Need = 1 + r.IntN(2)
			for range 1 + r.IntN(3) {
				var humans []uuid.UUID
				for l := 'A'; l < 'E'; l++ {
					if r.IntN(3) == 0 {
						humans = append(humans, who(l))
					}
				}
				blocks[i].Humans = append(blocks[i].Humans, humans)
			}
		}
		if got, want := enough(blocks), tryAll(blocks, 0, 0, 0, map[uuid.UUID]bool{}); got != want {
			t.Fatalf("%+v: %v, want %v", blocks, got, want)
		}
	}
}

func tryAll(blocks []Requirement, b, seat, have int, used map[uuid.UUID]bool) bool {
	if b == len(blocks) {
		return true
	}
	if have == blocks[b].Need {
		return tryAll(blocks, b+1, 0, 0, used)
	}
	if seat == len(blocks[b].Humans) {
		return false
	}
	if tryAll(blocks, b, seat+1, have, used) {
		return true
	}
	for _, h := range blocks[b].Humans[seat] {
		if !used[h] {
			used[h] = true
			if tryAll(blocks, b, seat+1, have+1, used) {
				return true
			}
			delete(used, h)
		}
	}
	return false
}

func TestBusinessTimeSkipsWeekends(t *testing.T) {
	t.Parallel()
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	saoPaulo, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		t.Fatal(err)
	}
	at := func(zone *time.Location, month time.Month, day, hour int) time.Time {
		return time.Date(2018, month, day, hour, 0, 0, 0, zone)
	}
	for name, tt := range map[string]struct {
		from time.Time
		days int
		zone *time.Location
		want time.Time
	}{
		"Monday noon and three days":              {at(oslo, time.June, 4, 12), 3, oslo, at(oslo, time.June, 7, 12)},
		"Thursday noon and three days":            {at(oslo, time.June, 7, 12), 3, oslo, at(oslo, time.June, 12, 12)},
		"Saturday counts from Monday":             {at(oslo, time.June, 9, 15), 1, oslo, at(oslo, time.June, 12, 0)},
		"Friday in one zone, Saturday in another": {at(time.UTC, time.June, 8, 23), 1, oslo, at(oslo, time.June, 12, 0)},
		"a midnight that does not exist":          {at(saoPaulo, time.November, 2, 12), 2, saoPaulo, at(saoPaulo, time.November, 6, 12)},
	} {
		if got := AddBusiness(tt.from, time.Duration(tt.days)*Day, tt.zone); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", name, got.In(tt.zone), tt.want)
		}
	}
	d := DeadlinesOf(at(oslo, time.June, 4, 12), 3, oslo)
	if !d.Remind.Equal(at(oslo, time.June, 5, 12)) || !d.Escalate.Equal(at(oslo, time.June, 6, 12)) || !d.Due.Equal(at(oslo, time.June, 7, 12)) {
		t.Errorf("%+v", d)
	}
}
