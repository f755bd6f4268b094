package alertrules

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// silence adds a silence of some hours over hosts with the tag shop, with an edit.
func (b *bench) silence(t *testing.T, hours int, edit func(*Silence)) Silence {
	t.Helper()
	s := Silence{
		Comment: "Move of the shop", Tags: []string{"shop"}, StartsAt: b.clk.Now(), EndsAt: b.clk.Now().Add(time.Duration(hours) * time.Hour),
	}
	if edit != nil {
		edit(&s)
	}
	s, err := b.svc.CreateSilence(context.Background(), b.member, s)
	if err != nil {
		t.Fatal(err)
	}
	b.sweep(t)
	return s
}

// chain makes a rule about chains without a cooldown, and a host with the tag shop; what
// it returns sets the status of that host.
func (b *bench) chain(t *testing.T) (Rule, func(status string)) {
	t.Helper()
	r := b.rule(t, "chain", func(r *Rule) { r.Trigger, r.CooldownMinutes = ChainInvalid, 0 })
	h := b.host("shop.example.com", 60, "shop")
	return r, func(status string) {
		h.Status = status
		b.inv.put(b.ws, h)
		b.happen(t, "host.status_changed", h)
	}
}

const (
	broken = "shop.example.com:443 has a chain that is not valid"
	mended = "Resolved: shop.example.com:443"
)

func (b *bench) told(t *testing.T, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, b.out.titles()); diff != "" {
		t.Errorf("told %s:\n%s", when, diff)
	}
}

func TestInsideASilenceAlertsFireAndNobodyIsTold(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, set := b.chain(t)
	b.silence(t, 4, nil)
	set("untrusted")
	b.told(t, "inside")
	if diff := cmp.Diff(map[string]string{"chain": "silence"}, b.muted(t)); diff != "" {
		t.Fatal(diff)
	}
	b.clk.Advance(4*time.Hour - time.Second)
	b.sweep(t)
	b.told(t, "a second before the end")
	b.clk.Advance(time.Second)
	b.sweep(t)
	b.told(t, "at the end", broken)
	if diff := cmp.Diff(map[string]string{"chain": ""}, b.muted(t)); diff != "" {
		t.Error(diff)
	}
	b.sweep(t)
	b.told(t, "once", broken)
}

func TestWhatBeginsAndEndsInsideASilenceIsNeverTold(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "changed", trigger(CertChanged))
	_, set := b.chain(t)
	b.silence(t, 4, nil)
	set("untrusted")
	set("valid")
	h, err := b.inv.HostsByExpiry(context.Background(), txOf(b.ws), farAway(), uuid.Nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	b.happen(t, certChanged, h[0])
	b.clk.Advance(5 * time.Hour)
	b.sweep(t)
	b.look(t, h...)
	b.told(t, "after it")
	if diff := cmp.Diff([]string{"resolved shop.example.com:443: chain", "resolved shop.example.com:443: changed"}, b.alerts(t)); diff != "" {
		t.Error(diff)
	}
	if b.events(t, eventFired)+b.events(t, eventResolved) != 0 || b.audited(t, eventHeldBack) != 2 {
		t.Errorf("fired %d, held back %d", b.events(t, eventFired), b.audited(t, eventHeldBack))
	}
}

func TestAnEndInsideASilenceIsToldAfterIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, set := b.chain(t)
	set("untrusted")
	b.told(t, "before", broken)
	b.silence(t, 4, nil)
	set("valid")
	set("untrusted") // another alert, of which nobody heard
	set("valid")
	b.told(t, "inside", broken)
	if n := b.events(t, eventResolved); n != 0 {
		t.Errorf("%d events say that it ended", n)
	}
	b.clk.Advance(4 * time.Hour)
	b.sweep(t)
	b.told(t, "after it", broken, mended)
	if n := b.events(t, eventResolved); n != 1 {
		t.Errorf("%d events say that it ended", n)
	}
	b.clk.Advance(time.Hour)
	set("valid")
	b.told(t, "once", broken, mended)
}

func TestAfterASilenceBothTheEndAndTheNewAlertAreTold(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, set := b.chain(t)
	set("untrusted")
	b.silence(t, 4, nil)
	set("valid")
	set("untrusted")
	b.clk.Advance(4 * time.Hour)
	b.sweep(t)
	b.told(t, "after it", broken, mended, broken)
}

func TestASilencePlannedAheadBeginsByItself(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, set := b.chain(t)
	b.silence(t, 4, func(s *Silence) { s.StartsAt, s.EndsAt = s.StartsAt.Add(time.Hour), s.EndsAt.Add(time.Hour) })
	set("untrusted")
	b.told(t, "before it", broken)
	b.clk.Advance(time.Hour)
	b.sweep(t)
	if diff := cmp.Diff(map[string]string{"chain": "silence"}, b.muted(t)); diff != "" {
		t.Error(diff)
	}
	b.clk.Advance(4 * time.Hour)
	b.sweep(t)
	if diff := cmp.Diff(map[string]string{"chain": ""}, b.muted(t)); diff != "" {
		t.Error(diff)
	}
	b.told(t, "once in all", broken)
}

func TestEndingASilenceTellsWhatStillFires(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	_, set := b.chain(t)
	s := b.silence(t, 4, nil)
	set("untrusted")
	b.clk.Advance(time.Minute)
	if _, err := b.svc.EndSilence(ctx, b.member, s.ID); err != nil {
		t.Fatal(err)
	}
	b.sweep(t)
	b.told(t, "after the early end", broken)
	if _, err := b.svc.EndSilence(ctx, b.member, s.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("ended twice: %v", err)
	}
	if _, err := b.svc.ChangeSilence(ctx, b.member, s.ID, SilenceChange{Edit: func(s *Silence) { s.Comment = "x" }}); !fault.Is(err, fault.Conflict) {
		t.Errorf("an ended one was changed: %v", err)
	}
	for name, want := range map[string]int{eventSilenceCreated: 1, eventSilenceEnded: 1, eventSilenceUpdated: 0} {
		if b.events(t, name) != want || b.audited(t, name) != want {
			t.Errorf("%s: %d events, %d audited, want %d", name, b.events(t, name), b.audited(t, name), want)
		}
	}
	// One that was only planned never began.
	later := b.silence(t, 4, func(s *Silence) { s.StartsAt = s.StartsAt.Add(time.Hour) })
	later, err := b.svc.EndSilence(ctx, b.member, later.ID)
	if err != nil || later.State(b.clk.Now()) != Ended || later.StartsAt.After(later.EndsAt) {
		t.Errorf("%+v, %v", later, err)
	}
}

func TestASilenceCanBeMadeLongerAndItsStartStays(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	_, set := b.chain(t)
	s := b.silence(t, 1, nil)
	set("untrusted")
	b.clk.Advance(30 * time.Minute)
	one := int64(1)
	longer := func(version *int64) (Silence, error) {
		return b.svc.ChangeSilence(ctx, b.admin, s.ID, SilenceChange{Version: version, Edit: func(s *Silence) {
			s.StartsAt, s.EndsAt = s.StartsAt.Add(20*time.Minute), s.EndsAt.Add(time.Hour)
		}})
	}
	got, err := longer(&one)
	if err != nil || !got.StartsAt.Equal(s.StartsAt) || !got.EndsAt.Equal(s.EndsAt.Add(time.Hour)) || got.Version != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := longer(&one); !fault.Is(err, fault.Conflict) {
		t.Errorf("an old version was saved: %v", err)
	}
	b.sweep(t)
	b.clk.Advance(31 * time.Minute)
	b.sweep(t)
	b.told(t, "after the first end")
	b.clk.Advance(time.Hour)
	b.sweep(t)
	b.told(t, "after the second", broken)
}

func TestWhatLiesInsideASilence(t *testing.T) {
	t.Parallel()
	rule, other, id := uuid.New(), uuid.New(), uuid.New()
	h := Host{ID: id, Tags: []string{"shop", "production"}}
	for name, tt := range map[string]struct {
		silence Silence
		want    bool
	}{
		"its host":              {Silence{Hosts: []uuid.UUID{uuid.New(), id}}, true},
		"another host":          {Silence{Hosts: []uuid.UUID{uuid.New()}}, false},
		"one of its tags":       {Silence{Tags: []string{"test", "shop"}}, true},
		"the start of a tag":    {Silence{Tags: []string{"sho"}}, false},
		"the rule":              {Silence{Rules: []uuid.UUID{rule}}, true},
		"another rule":          {Silence{Rules: []uuid.UUID{other}}, false},
		"all of them":           {Silence{Hosts: []uuid.UUID{id}, Tags: []string{"shop"}, Rules: []uuid.UUID{rule}}, true},
		"the tag, not the rule": {Silence{Tags: []string{"shop"}, Rules: []uuid.UUID{other}}, false},
	} {
		if got := tt.silence.Covers(rule, h); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTheStartOfASilenceIsInsideAndItsEndIsNot(t *testing.T) {
	t.Parallel()
	start := at("2026-11-01T10:00:00Z")
	a := Silence{ID: uuid.New(), StartsAt: start, EndsAt: start.Add(time.Hour)}
	b := Silence{ID: uuid.New(), StartsAt: start.Add(30 * time.Minute), EndsAt: start.Add(2 * time.Hour)}
	all := []Silence{a, b}
	for _, tt := range []struct {
		minute, next int // next is -1 for never
		by           uuid.UUID
		state        SilenceState // of a
	}{
		{-1, 0, uuid.Nil, Scheduled},
		{0, 30, a.ID, Active},
		{30, 60, b.ID, Active},
		{59, 60, b.ID, Active},
		{60, 120, b.ID, Ended},
		{120, -1, uuid.Nil, Ended},
	} {
		now := start.Add(time.Duration(tt.minute) * time.Minute)
		by, _ := silenced(all, uuid.New(), Host{}, now)
		next := nextTurn(all, uuid.New(), Host{}, now)
		if want := start.Add(time.Duration(tt.next) * time.Minute); by != tt.by || a.State(now) != tt.state || (tt.next >= 0) == next.IsZero() || (tt.next >= 0 && !next.Equal(want)) {
			t.Errorf("minute %d: by %s, %s, next turn %s", tt.minute, by, a.State(now), next)
		}
	}
}

func TestASilenceSaysEverythingThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	foreign := uuid.Must(uuid.NewV7())
	b.inv.put(b.other, Host{ID: foreign, Title: "theirs.example.com:443"})
	now := b.clk.Now()
	for name, tt := range map[string]struct {
		edit func(*Silence)
		want string
	}{
		"no comment":     {func(s *Silence) { s.Comment = " " }, "comment required"},
		"a long comment": {func(s *Silence) { s.Comment = strings.Repeat("é", 301) }, "comment too_long"},
		"nothing named":  {func(s *Silence) { s.Tags = nil }, "host_ids required"},
		"a foreign host": {func(s *Silence) { s.Hosts = []uuid.UUID{foreign} }, "host_ids not_found"},
		"a foreign rule": {func(s *Silence) { s.Rules = []uuid.UUID{uuid.New()} }, "rule_ids not_found"},
		"a long tag":     {func(s *Silence) { s.Tags = []string{strings.Repeat("x", 41)} }, "tags too_long"},
		"no end":         {func(s *Silence) { s.EndsAt = time.Time{} }, "ends_at in_the_past"},
		"an end before":  {func(s *Silence) { s.StartsAt, s.EndsAt = now.Add(2*time.Hour), now.Add(time.Hour) }, "ends_at before_start"},
		"too long":       {func(s *Silence) { s.EndsAt = now.Add(90*day + time.Second) }, "ends_at too_long"},
		"too far ahead":  {func(s *Silence) { s.StartsAt, s.EndsAt = now.Add(366*day), now.Add(367*day) }, "starts_at too_late"},
	} {
		s := Silence{Comment: name, Tags: []string{"shop"}, StartsAt: now, EndsAt: now.Add(time.Hour)}
		tt.edit(&s)
		if _, err := b.svc.CreateSilence(context.Background(), b.member, s); problems(err) != tt.want {
			t.Errorf("%s: %q, want %q", name, problems(err), tt.want)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM alert_silences`); n != 0 {
		t.Errorf("%d silences", n)
	}
	past := b.silence(t, 2, func(s *Silence) { s.StartsAt = s.StartsAt.Add(-time.Hour) })
	if !past.StartsAt.Equal(now) || past.Author != "Mara Member" {
		t.Errorf("%+v", past)
	}
	if _, err := b.svc.CreateSilence(context.Background(), b.viewer, past); !fault.Is(err, fault.Denied) {
		t.Errorf("a viewer silenced alerts: %v", err)
	}
}

func TestAlertsArePurged400DaysAfterTheyEnded(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	_, set := b.chain(t)
	h := b.host("old.example.com", -3)
	b.rule(t, "expired", trigger(Expired))
	b.look(t, h)
	set("untrusted")
	b.clk.Advance(time.Hour)
	set("valid")
	purge := func() []string {
		t.Helper()
		if err := b.svc.purge(context.Background()); err != nil {
			t.Fatal(err)
		}
		return b.alerts(t)
	}
	b.clk.Advance(400 * day)
	if got := purge(); len(got) != 2 {
		t.Errorf("at 400 days: %v", got)
	}
	b.clk.Advance(time.Second)
	if diff := cmp.Diff([]string{"firing old.example.com:443: expired"}, purge()); diff != "" {
		t.Errorf("what fires stays, what ended goes:\n%s", diff)
	}
}

// txOf names a workspace to the inventory.
func txOf(ws uuid.UUID) *db.Tx { return &db.Tx{Actor: db.System(ws, "test")} }
