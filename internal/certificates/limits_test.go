package certificates

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

func TestStartsComeBackBySecondsAndAreNotSavedUp(t *testing.T) {
	t.Parallel()
	b := newStartBudget(Limits{StartsPerWorkspace: 50, Starts: 80})
	one, two := uuid.New(), uuid.New()
	now := noon
	all, rooms := b.room(now)
	if all != 80 || len(rooms) != 0 {
		t.Fatalf("at first %d, %v", all, rooms)
	}
	if b.spend(one, 49, now) {
		t.Error("one start is left, and none was said to be")
	}
	if !b.spend(one, 1, now) || b.spend(two, 20, now) {
		t.Error("the wrong workspace has spent its starts")
	}
	if all, rooms = b.room(now); all != 10 || rooms[one] != 0 || rooms[two] != 30 {
		t.Errorf("after 70 starts %d are left, by workspace %v", all, rooms)
	}
	if all, rooms = b.room(now.Add(500 * time.Millisecond)); all != 50 || rooms[one] != 25 || len(rooms) != 1 {
		t.Errorf("half a second later %d are left, by workspace %v", all, rooms)
	}
	if all, rooms = b.room(now.Add(time.Hour)); all != 80 || len(rooms) != 0 {
		t.Errorf("an hour later %d are left, by workspace %v", all, rooms)
	}
}

func TestWorkspaceBeginsNoMoreScansThanItsLimit(t *testing.T) {
	t.Parallel()
	clk := clock.NewFixed(noon)
	w := newWorld(t, clk)
	s := w.another(16, func(d *Deps) { d.Limits.StartsPerWorkspace = 5 })
	srv := w.serve(w.ca.leaf(noon, "host.test", 80*day))
	list := ""
	for i := range 12 {
		list += net.JoinHostPort(fmt.Sprintf("h%d.host.test", i), strconv.Itoa(srv.port)) + "\n"
	}
	if _, err := w.ImportHosts(t.Context(), w.member, Import{Text: list, Interval: "24h"}); err != nil {
		t.Fatal(err)
	}
	run(t, s)
	// The clock stands still between the steps, so nothing may begin in them.
	for _, want := range []int64{5, 10, 12} {
		eventually(t, fmt.Sprintf("%d hosts are scanned", want), func() bool {
			n := s.LoopStats().Scanned
			if n > want {
				t.Fatalf("%d scans began, want %d at most", n, want)
			}
			return n == want
		})
		clk.Advance(time.Second)
	}
}

func TestGateLimitsANetworkToo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ inside, outside string }{
		{"192.0.2.%d", "192.0.3.1"},
		{"::ffff:192.0.2.%d", "192.0.3.1"},
		{"2001:db8:0:aa%02x::1", "2001:db8:0:ab00::1"},
	} {
		g := newAddressGate(2, 10)
		var leave []func()
		for i := range 10 {
			l, err := g.enter(netip.MustParseAddr(fmt.Sprintf(c.inside, i)))
			if err != nil {
				t.Fatalf("%s: connection %d: %v", c.inside, i, err)
			}
			leave = append(leave, l)
		}
		_, err := g.enter(netip.MustParseAddr(fmt.Sprintf(c.inside, 99)))
		if !busy(err) {
			t.Fatalf("%s: the eleventh connection: %v", c.inside, err)
		}
		if _, err := g.enter(netip.MustParseAddr(c.outside)); err != nil {
			t.Errorf("%s: %v", c.outside, err)
		}
		resumed := false
		if !g.park(err, func() { resumed = true }) || resumed {
			t.Fatalf("%s: not parked", c.inside)
		}
		leave[3]()
		if !resumed {
			t.Errorf("%s: a place in the network became free and nobody took it", c.inside)
		}
	}
}

func TestPressureRisesStepByStepAndFallsWhenItIsCalm(t *testing.T) {
	t.Parallel()
	p := &pressure{pool: 10}
	now := noon
	judge := func(due int) PressureLevel {
		now = now.Add(judgePause)
		return p.judge(now, due, 5*time.Minute)
	}
	if l := judge(20); l != Calm {
		t.Fatalf("twice the pool is %d", l)
	}
	for _, want := range []PressureLevel{Hurried, Stretched, Shedding} {
		if l := judge(21); l != want {
			t.Fatalf("level %d, want %d", l, want)
		}
		for range 5 {
			if l := judge(21); l != want {
				t.Fatalf("level %d before %d had time to help", l, want)
			}
		}
	}
	if judge(21); p.now().Level != Shedding || p.now().Sentence() == "" || p.now().Due != 21 {
		t.Fatalf("at the top: %+v", p.now())
	}
	for _, want := range []PressureLevel{Stretched, Hurried, Calm} {
		for range 20 {
			if judge(0) == want {
				break
			}
		}
		if l := p.now().Level; l != want {
			t.Fatalf("level %d, want %d once it is calm", l, want)
		}
	}
	if p.now().Sentence() != "" {
		t.Error("a calm scanner has something to say")
	}
}

func TestLateScansArePressure(t *testing.T) {
	t.Parallel()
	p := &pressure{pool: 10}
	for range 94 {
		p.began(time.Second)
	}
	for range 6 {
		p.began(31 * time.Second)
	}
	// A tenth of 5 minutes is 30 s; of an hour, 6 minutes.
	if l := p.judge(noon, 1, time.Hour); l != Calm || p.now().Lag != 31*time.Second {
		t.Errorf("level %d with a lag of %s and an interval of an hour", l, p.now().Lag)
	}
	if l := p.judge(noon.Add(judgePause), 1, 5*time.Minute); l != Hurried {
		t.Errorf("level %d with an interval of 5 minutes", l)
	}
}

func TestPressureTakesFromHostsThatTellLeast(t *testing.T) {
	t.Parallel()
	dead := target{Failures: 25, Status: StatusUnreachable}
	frail := target{Failures: 9, Status: StatusUnreachable}
	healthy := target{Status: "valid"}
	expiring := target{Status: "expiring"}
	count := func(level PressureLevel, interval int32, t target) (usual, hurry, out int) {
		p := &pressure{}
		for k := range int64(60) {
			c := claim{HostID: uuid.UUID{15: 7}, IntervalS: interval}
			if interval > 0 {
				c.Slot = time.Unix(k*int64(interval)+11, 0)
			}
			switch p.handle(level, c, t) {
			case asUsual:
				usual++
			case inHurry:
				hurry++
			case leaveOut:
				out++
			}
		}
		if got := p.now(); got.Shortened != int64(hurry) || got.Stretched+got.Shed != int64(out) {
			out = -1 // the counters do not tell what happened
		}
		return usual, hurry, out
	}
	for _, c := range []struct {
		name                    string
		level                   PressureLevel
		interval                int32
		target                  target
		usual, hurry, leavesOut int
	}{
		{"calm, dead", Calm, 300, dead, 60, 0, 0},
		{"hurried, dead", Hurried, 300, dead, 0, 60, 0},
		{"hurried, frail", Hurried, 300, frail, 60, 0, 0},
		{"stretched, dead for 25 slots", Stretched, 300, dead, 0, 20, 40},
		{"stretched, dead for ever", Stretched, 86400, target{Failures: 5000}, 0, 12, 48},
		{"stretched, dead, asked for beside the slots", Stretched, 0, dead, 0, 60, 0},
		{"stretched, healthy", Stretched, 300, healthy, 60, 0, 0},
		{"shedding, healthy", Shedding, 300, healthy, 30, 0, 30},
		{"shedding, healthy once a day", Shedding, 86400, healthy, 60, 0, 0},
		{"shedding, expiring", Shedding, 300, expiring, 60, 0, 0},
	} {
		usual, hurry, out := count(c.level, c.interval, c.target)
		if usual != c.usual || hurry != c.hurry || out != c.leavesOut {
			t.Errorf("%s: %d as usual, %d in a hurry, %d left out; want %d, %d, %d", c.name, usual, hurry, out, c.usual, c.hurry, c.leavesOut)
		}
	}
}

func TestDueHostsAreCountedUpToACapAndWithoutHeldWorkspaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.NewFixed(noon))
	other := w.d.Workspace(t, "other")
	w.due(w.ws, 40, noon.Add(-time.Minute))
	w.due(other, 30, noon.Add(-time.Minute))
	for _, c := range []struct {
		cap  int
		held []uuid.UUID
		want int64
	}{{1000, []uuid.UUID{}, 70}, {50, []uuid.UUID{}, 50}, {1000, []uuid.UUID{other}, 40}} {
		got, err := countDue.One(t.Context(), w.d.SystemRead(), map[string]any{"epoch": noon.Unix(), "cap": c.cap, "held": c.held})
		if err != nil || got.Due != c.want || got.ShortestS != 3600 {
			t.Errorf("cap %d, without %v: %+v, %v; want %d", c.cap, c.held, got, err, c.want)
		}
	}
}
