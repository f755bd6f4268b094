package alertrules

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func number(n int) *int { return &n }

func TestEvaluateJudgesOneRuleAtOneHost(t *testing.T) {
	t.Parallel()
	now := at("2026-11-01T12:00:00Z")
	ending := func(in time.Duration) HostState {
		end := now.Add(in)
		return HostState{Host: Host{Status: "valid", NotBefore: end.Add(-398 * day), NotAfter: end}}
	}
	status := func(s string) HostState {
		h := ending(100 * day)
		h.Status = s
		return h
	}
	within := func(days int) Rule { return Rule{Trigger: ExpiringSoon, ThresholdDays: days} }
	of := func(tr Trigger) Rule { return Rule{Trigger: tr} }
	never := HostState{Host: Host{Status: "unreachable", NotAfter: at("9999-12-31T23:59:59Z")}}
	failing := status("unreachable")
	failing.Failing = true
	tests := []struct {
		name string
		rule Rule
		host HostState
		want Condition
	}{
		{"30 days and one second before", within(30), ending(30 * day), False},
		{"30 days before, counting the last second", within(30), ending(30*day - time.Second), True},
		{"an expired certificate is within every limit", within(1), ending(-time.Hour), True},
		{"no certificate was ever seen", within(30), never, NoData},
		{"the last second is valid", of(Expired), ending(0), False},
		{"the second after", of(Expired), ending(-time.Second), True},
		{"nothing seen cannot expire", of(Expired), never, NoData},
		{"confirmed failing", of(ScanFailed), failing, True},
		{"one failed scan alone", of(ScanFailed), status("unreachable"), False},
		{"self-signed", of(ChainInvalid), status("self_signed"), True},
		{"untrusted", of(ChainInvalid), status("untrusted"), True},
		{"incomplete", of(ChainInvalid), status("incomplete_chain"), True},
		{"a good chain", of(ChainInvalid), status("expiring"), False},
		{"a wrong name hides the chain", of(ChainInvalid), status("name_mismatch"), Hidden},
		{"expiry hides the chain", of(ChainInvalid), status("expired"), Hidden},
		{"no answer says nothing of the chain", of(ChainInvalid), status("handshake_failed"), NoData},
		{"not scanned yet", of(ChainInvalid), status("unknown"), NoData},
		{"a wrong name", of(NameMismatch), status("name_mismatch"), True},
		{"a bad chain comes after the name", of(NameMismatch), status("untrusted"), False},
		{"expiry hides the name", of(NameMismatch), status("expired"), Hidden},
		{"a change is no state", of(CertChanged), status("valid"), False},
		{"a change of issuer is no state", of(IssuerChanged), status("valid"), False},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Evaluate(tt.rule, tt.host, now); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// The vectors of reliability.md 3.3: a rule of 30 days fires where the host would warn,
// one of 7 days where it is critical.
func TestThresholdsFollowTheLifetime(t *testing.T) {
	t.Parallel()
	h := HostState{Host: Host{Status: "valid", NotBefore: at("2026-11-01T00:00:00Z"), NotAfter: at("2026-12-15T23:59:59Z")}}
	own := h
	own.WarnDays, own.CriticalDays = number(20), number(3)
	warn, critical, expired := Rule{Trigger: ExpiringSoon, ThresholdDays: 30}, Rule{Trigger: ExpiringSoon, ThresholdDays: 7}, Rule{Trigger: Expired}
	tests := []struct {
		at   string
		host HostState
		want string // warn, critical, expired
	}{
		{"2026-11-30T23:59:59Z", h, "0 0 0"},
		{"2026-12-01T00:00:00Z", h, "1 0 0"},
		{"2026-12-08T23:59:59Z", h, "1 0 0"},
		{"2026-12-09T00:00:00Z", h, "1 1 0"},
		{"2026-12-15T23:59:59Z", h, "1 1 0"},
		{"2026-12-16T00:00:00Z", h, "1 1 1"},
		// The host's own limits replace the shares of the lifetime.
		{"2026-11-25T23:59:59Z", own, "0 0 0"},
		{"2026-11-26T00:00:00Z", own, "1 0 0"},
		{"2026-12-12T23:59:59Z", own, "1 0 0"},
		{"2026-12-13T00:00:00Z", own, "1 1 0"},
	}
	for _, tt := range tests {
		now := at(tt.at)
		got := fmt.Sprint(Evaluate(warn, tt.host, now), Evaluate(critical, tt.host, now), Evaluate(expired, tt.host, now))
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.at, got, tt.want)
		}
	}
	for _, tt := range []struct {
		life time.Duration
		days int
		want time.Duration
	}{
		{398 * day, 30, 30 * day},
		{90 * day, 30, 30 * day},
		{90 * day, 7, 7 * day},
		{64 * day, 30, 21*day + 8*time.Hour},
		{47 * day, 30, 15*day + 16*time.Hour},
		{47 * day, 7, 7 * day},
		{47 * day, 14, 14 * day},
		{160 * time.Hour, 30, 53*time.Hour + 20*time.Minute},
		{160 * time.Hour, 7, 26*time.Hour + 40*time.Minute},
		{160 * time.Hour, 1, day},
		{24 * time.Hour, 30, 8 * time.Hour},
		{24 * time.Hour, 7, 4 * time.Hour},
		{398 * day, 60, 60 * day},
	} {
		c := Host{NotBefore: at("2026-11-01T00:00:00Z"), NotAfter: at("2026-11-01T00:00:00Z").Add(tt.life - time.Second)}
		if got := c.threshold(tt.days); got != tt.want {
			t.Errorf("%d days of %s: %s, want %s", tt.days, tt.life, got, tt.want)
		}
	}
}

func TestTheNextEdgeIsWhenTheConditionBecomesTrue(t *testing.T) {
	t.Parallel()
	now := at("2026-11-01T00:00:00Z")
	h := Host{Status: "valid", NotBefore: now, NotAfter: at("2026-12-15T23:59:59Z")}
	for _, r := range []Rule{{Trigger: ExpiringSoon, ThresholdDays: 30}, {Trigger: ExpiringSoon, ThresholdDays: 1}, {Trigger: Expired}} {
		edge := nextEdge(r, h, now)
		if Evaluate(r, HostState{Host: h}, edge) != True || Evaluate(r, HostState{Host: h}, edge.Add(-time.Microsecond)) != False {
			t.Errorf("%s %d: %s is no edge", r.Trigger, r.ThresholdDays, edge)
		}
		if again := nextEdge(r, h, edge); !again.IsZero() {
			t.Errorf("%s %d: another edge at %s", r.Trigger, r.ThresholdDays, again)
		}
	}
}

func TestARuleWatchesItsTarget(t *testing.T) {
	t.Parallel()
	h := Host{ID: uuid.New(), Tags: []string{"production", "shop"}}
	for name, tt := range map[string]struct {
		rule Rule
		want bool
	}{
		"workspace":     {Rule{Target: WholeWorkspace}, true},
		"this host":     {Rule{Target: SomeHosts, TargetHosts: []uuid.UUID{uuid.New(), h.ID}}, true},
		"other hosts":   {Rule{Target: SomeHosts, TargetHosts: []uuid.UUID{uuid.New()}}, false},
		"one of tags":   {Rule{Target: TaggedHosts, TargetTags: []string{"test", "shop"}}, true},
		"none of tags":  {Rule{Target: TaggedHosts, TargetTags: []string{"sho"}}, false},
		"nothing named": {Rule{Target: TaggedHosts}, false},
	} {
		if got := tt.rule.Watches(h); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Vector AL1 of reliability.md 4.5: cooldown 30 minutes.
func TestTheCooldownTellsFourTimes(t *testing.T) {
	t.Parallel()
	var track Track
	told := ""
	for _, look := range []struct {
		minute int
		is     Condition
	}{{0, True}, {5, False}, {10, True}, {12, False}, {25, True}, {29, True}, {30, True}, {31, True}, {40, False}} {
		now := at("2026-11-01T10:00:00Z").Add(time.Duration(look.minute) * time.Minute)
		s := track.Step(look.is, Muting{}, 30*time.Minute, now, uuid.New())
		if s.TellFiring {
			told += fmt.Sprintf("%d fire %d; ", look.minute, s.Suppressed)
		}
		if s.TellResolved {
			told += fmt.Sprintf("%d resolve; ", look.minute)
		}
		if !s.Again.IsZero() && !s.Again.Equal(at("2026-11-01T10:30:00Z")) {
			t.Errorf("minute %d: look again at %s", look.minute, s.Again)
		}
	}
	if want := "0 fire 0; 5 resolve; 30 fire 2; 40 resolve; "; told != want {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestAnAlertOutlivesItsDataForAnHour(t *testing.T) {
	t.Parallel()
	now := at("2026-11-01T10:00:00Z")
	step := func(tr *Track, c Condition, minute int) Step {
		return tr.Step(c, Muting{}, 24*time.Hour, now.Add(time.Duration(minute)*time.Minute), uuid.New())
	}
	var track Track
	step(&track, True, 0)
	if s := step(&track, NoData, 10); s.Resolve.Valid || !s.Again.Equal(now.Add(70*time.Minute)) {
		t.Errorf("first look without data: %+v", s)
	}
	if s := step(&track, NoData, 69); s.Resolve.Valid {
		t.Error("ended after 59 minutes")
	}
	fresh := track
	if s := step(&fresh, Hidden, 69); s.Resolve.Valid || fresh.NoDataSince != nil {
		t.Errorf("a worse problem ended it: %+v", s)
	}
	if s := step(&track, NoData, 70); !s.Resolve.Valid || s.Reason != reasonNoData {
		t.Errorf("after an hour: %+v", s)
	}
	var quiet Track
	if s := step(&quiet, NoData, 0); s != (Step{}) || !quiet.blank() {
		t.Errorf("no data began something: %+v", s)
	}
}

func TestAMutedAlertIsToldWhenItIsHeardAgain(t *testing.T) {
	t.Parallel()
	now := at("2026-11-01T10:00:00Z")
	var track Track
	if s := track.Step(True, mutedBy(MutedByRule, uuid.New()), time.Hour, now, uuid.New()); !s.Fire || s.TellFiring {
		t.Errorf("muted: %+v", s)
	}
	if s := track.Step(True, Muting{}, time.Hour, now.Add(time.Minute), uuid.New()); s.Fire || !s.TellFiring || s.Suppressed != 0 {
		t.Errorf("heard: %+v", s)
	}
}
