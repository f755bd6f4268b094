package x509lint

import (
	"crypto/x509"
	"math"
	"testing"
	"time"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestDefaultWindowsFollowTheLifetime(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	for _, tt := range []struct{ life, warn, critical time.Duration }{
		{398 * day, 30 * day, 7 * day},
		{200 * day, 30 * day, 7 * day},
		{100 * day, 30 * day, 7 * day},
		{90 * day, 30 * day, 7 * day},
		{64 * day, 21*day + 8*h, 7 * day},
		{47 * day, 15*day + 16*h, 7 * day},
		{45 * day, 15 * day, 7 * day},
		{160 * h, 53*h + 20*time.Minute, 26*h + 40*time.Minute},
		{24 * h, 8 * h, 4 * h},
	} {
		start := at("2026-11-01T00:00:00Z")
		end := start.Add(tt.life - time.Second)
		if got := Lifetime(start, end); got != tt.life {
			t.Errorf("Lifetime = %v, want %v", got, tt.life)
		}
		warn, critical := ExpiryPolicy{}.Windows(start, end)
		if warn != tt.warn || critical != tt.critical {
			t.Errorf("%v: warn %v, critical %v; want %v, %v", tt.life, warn, critical, tt.warn, tt.critical)
		}
	}
}

func TestUrgencyOfA45DayCertificate(t *testing.T) {
	t.Parallel()
	start, end := at("2026-11-01T00:00:00Z"), at("2026-12-15T23:59:59Z")
	for _, tt := range []struct {
		now     string
		period  TimeState
		urgency Urgency
	}{
		{"2026-10-31T23:59:59Z", TimeNotYetValid, UrgencyNone},
		{"2026-11-01T00:00:00Z", TimeValid, UrgencyNone},
		{"2026-11-30T23:59:59Z", TimeValid, UrgencyNone},
		{"2026-12-01T00:00:00Z", TimeValid, UrgencyExpiring},
		{"2026-12-08T23:59:59Z", TimeValid, UrgencyExpiring},
		{"2026-12-09T00:00:00Z", TimeValid, UrgencyCritical},
		{"2026-12-15T23:59:59Z", TimeValid, UrgencyCritical},
		{"2026-12-15T23:59:59.999Z", TimeValid, UrgencyCritical},
		{"2026-12-16T00:00:00Z", TimeExpired, UrgencyNone},
	} {
		if got := Period(start, end, at(tt.now)); got != tt.period {
			t.Errorf("%s: period %q, want %q", tt.now, got, tt.period)
		}
		if got := (ExpiryPolicy{}).Urgency(start, end, at(tt.now)); got != tt.urgency {
			t.Errorf("%s: urgency %q, want %q", tt.now, got, tt.urgency)
		}
	}
	if got := Remaining(end, at("2026-11-30T23:59:59Z")); got != 15*day+time.Second {
		t.Errorf("Remaining = %v", got)
	}
}

func TestOverridesReplaceTheDefaultWindows(t *testing.T) {
	t.Parallel()
	start, end := at("2026-01-01T00:00:00Z"), at("2026-04-10T23:59:59Z") // 100 d
	for _, tt := range []struct {
		policy         ExpiryPolicy
		warn, critical time.Duration
	}{
		{ExpiryPolicy{Warn: Threshold{Days: 45}}, 45 * day, 7 * day},
		{ExpiryPolicy{Warn: Threshold{Percent: 50}, Critical: Threshold{Percent: 10}}, 50 * day, 10 * day},
		{ExpiryPolicy{Warn: Threshold{Days: 5, Percent: 50}}, 5 * day, 7 * day},
		{ExpiryPolicy{Critical: Threshold{Days: 14}}, 30 * day, 14 * day},
	} {
		warn, critical := tt.policy.Windows(start, end)
		if warn != tt.warn || critical != tt.critical {
			t.Errorf("%+v: warn %v, critical %v", tt.policy, warn, critical)
		}
	}
}

func TestDaysLeftRoundsDown(t *testing.T) {
	t.Parallel()
	noon := at("2026-06-01T12:00:00Z")
	for _, tt := range []struct {
		name string
		end  time.Time
		want int
	}{
		{"one day", noon.Add(day), 1},
		{"one second short of a day", noon.Add(day - time.Second), 0},
		{"the last second", noon, 0},
		{"expired a second ago", noon.Add(-time.Second), -1},
		{"expired a day ago", noon.Add(-day), -1},
		{"expired a day and a second ago", noon.Add(-day - time.Second), -2},
		{"thirty days", noon.Add(30 * day), 30},
	} {
		if got := DaysLeft(tt.end, noon); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if got := DaysLeft(noon, noon.Add(500*time.Millisecond)); got != 0 {
		t.Errorf("inside the last second: %d, want 0", got)
	}
}

func TestEndlessAndReversedPeriodsDoNotOverflow(t *testing.T) {
	t.Parallel()
	start, end := at("1000-01-01T00:00:00Z"), at("9999-12-31T23:59:59Z")
	if got := Lifetime(start, end); got != math.MaxInt64 {
		t.Errorf("Lifetime = %v", got)
	}
	if got := (ExpiryPolicy{}).Urgency(start, end, at("2026-01-01T00:00:00Z")); got != UrgencyNone {
		t.Errorf("urgency %q", got)
	}
	if got := Period(end, start, at("2026-01-01T00:00:00Z")); got != TimeExpired {
		t.Errorf("a reversed period is %q, want expired", got)
	}
}

func TestTrustIsJudgedInsideTheValidityPeriod(t *testing.T) {
	t.Parallel()
	leaf := &x509.Certificate{NotBefore: at("2026-01-01T00:00:00Z"), NotAfter: at("2026-02-01T00:00:00Z")}
	for now, want := range map[string]string{
		"2025-12-01T00:00:00Z":   "2026-01-01T00:00:00Z",
		"2026-01-15T10:00:00.5Z": "2026-01-15T10:00:00Z",
		"2026-03-01T00:00:00Z":   "2026-01-31T23:59:59Z",
	} {
		if got := TrustTime(leaf, at(now)); !got.Equal(at(want)) {
			t.Errorf("at %s: %s, want %s", now, got, want)
		}
	}
}

func TestMaximumValidityOfPublicCertificates(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		start, end  string
		days, limit int
		violation   bool
	}{
		{"2026-03-14T23:59:59Z", "2027-04-16T23:59:58Z", 398, 398, false},
		{"2026-03-15T00:00:00Z", "2026-09-30T23:59:59Z", 200, 200, false},
		{"2026-03-15T00:00:00Z", "2026-10-01T00:00:00Z", 201, 200, true},
		{"2026-03-15T00:00:00Z", "2027-04-16T23:59:59Z", 398, 200, true},
		{"2027-03-15T00:00:00Z", "2027-06-22T23:59:59Z", 100, 100, false},
		{"2027-03-15T00:00:00Z", "2027-06-23T00:00:00Z", 101, 100, true},
		{"2029-03-15T00:00:00Z", "2029-04-30T23:59:59Z", 47, 47, false},
		{"2029-03-15T00:00:00Z", "2029-05-01T00:00:00Z", 48, 47, true},
	} {
		if got := ValidityDays(at(tt.start), at(tt.end)); got != tt.days {
			t.Errorf("%s to %s: %d days, want %d", tt.start, tt.end, got, tt.days)
		}
		if got := MaxValidityDays(at(tt.start)); got != tt.limit {
			t.Errorf("%s: limit %d, want %d", tt.start, got, tt.limit)
		}
		if got := ValidityTooLong(at(tt.start), at(tt.end)); got != tt.violation {
			t.Errorf("%s to %s: violation %v", tt.start, tt.end, got)
		}
	}
}

func TestPrimaryStatusIsTheFirstThatApplies(t *testing.T) {
	t.Parallel()
	d := Dimensions{
		Time: TimeExpired, Trust: TrustSelfSigned, Name: NameMismatch, Revocation: RevocationRevoked,
		Strength: StrengthWeak, Policy: PolicyViolations,
	}
	u := UrgencyCritical
	steps := []struct {
		want Status
		fix  func()
	}{
		{StatusRevoked, func() { d.Revocation = RevocationUnknown }},
		{StatusExpired, func() { d.Time = TimeNotYetValid }},
		{StatusNotYetValid, func() { d.Time = TimeValid }},
		{StatusNameMismatch, func() { d.Name = NameMatch }},
		{StatusSelfSigned, func() { d.Trust = Distrusted }},
		{StatusUntrusted, func() { d.Trust = Untrusted }},
		{StatusUntrusted, func() { d.Trust = TrustIncomplete }},
		{StatusIncompleteChain, func() { d.Trust = TrustedPublic }},
		{StatusCritical, func() { u = UrgencyExpiring }},
		{StatusExpiring, func() { u = UrgencyNone }},
		{StatusWeak, func() { d.Strength = StrengthOK }},
		{StatusPolicyViolation, func() { d.Policy = PolicyOK }},
		{StatusValid, func() {}},
	}
	for _, s := range steps {
		if got := d.Primary(u); got != s.want {
			t.Errorf("%+v: %q, want %q", d, got, s.want)
		}
		s.fix()
	}
}
