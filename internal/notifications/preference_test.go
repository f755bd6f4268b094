package notifications

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestQuietHoursEndByTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	const none = ""
	tests := []struct {
		name     string
		from, to int
		now      string
		want     string // in UTC, none outside quiet hours
	}{
		{"in the evening, until the morning", 22 * 60, 7 * 60, "2026-01-10T22:30:00Z", "2026-01-11T06:00:00Z"},
		{"after midnight, until the same morning", 22 * 60, 7 * 60, "2026-01-10T23:30:00Z", "2026-01-11T06:00:00Z"},
		{"the first minute is quiet", 22 * 60, 7 * 60, "2026-01-10T21:00:00Z", "2026-01-11T06:00:00Z"},
		{"the minute before is not", 22 * 60, 7 * 60, "2026-01-10T20:59:59Z", none},
		{"the end is not", 22 * 60, 7 * 60, "2026-01-11T06:00:00Z", none},
		{"within one day", 12 * 60, 13 * 60, "2026-01-10T11:30:00Z", "2026-01-10T12:00:00Z"},
		{"outside, within one day", 12 * 60, 13 * 60, "2026-01-10T12:00:00Z", none},
		{"the night is an hour shorter when clocks go forward", 22 * 60, 7 * 60, "2026-03-28T21:30:00Z", "2026-03-29T05:00:00Z"},
		{"the night is an hour longer when clocks go back", 22 * 60, 7 * 60, "2026-10-24T20:30:00Z", "2026-10-25T06:00:00Z"},
		{"an end that the clock skips is the jump", 22 * 60, 2*60 + 30, "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
		{"an end that comes twice is the first, seen before it", 22 * 60, 2*60 + 30, "2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"},
		{"and the second, seen between them", 22 * 60, 2*60 + 30, "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"},
	}
	berlin := location(t, "Europe/Berlin")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			end, quiet := QuietHours{On: true, From: tc.from, To: tc.to}.until(instant(t, tc.now), berlin)
			got := none
			if quiet {
				got = end.UTC().Format(time.RFC3339)
			}
			if got != tc.want {
				t.Errorf("end = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestQuietHoursThatAreOffNeverHold(t *testing.T) {
	t.Parallel()
	if _, quiet := (QuietHours{From: 0, To: 1439}).until(instant(t, "2026-01-10T12:00:00Z"), time.UTC); quiet {
		t.Error("quiet hours that are off held mail back")
	}
}

func TestWhenMailIsSent(t *testing.T) {
	t.Parallel()
	night := QuietHours{On: true, From: 22 * 60, To: 7 * 60}
	tests := []struct {
		name     string
		change   func(*Preferences)
		severity event.Severity
		now      string
		want     string // empty means at once
	}{
		{"at once by default", func(*Preferences) {}, event.Info, "2026-01-10T23:30:00Z", ""},
		{"held by quiet hours", func(p *Preferences) { p.Quiet = night }, event.High, "2026-01-10T22:30:00Z", "2026-01-11T06:00:00Z"},
		{"critical passes quiet hours", func(p *Preferences) { p.Quiet = night }, event.Critical, "2026-01-10T22:30:00Z", ""},
		{"critical waits when the member wants it to", func(p *Preferences) { p.Quiet, p.Bypass = night, false }, event.Critical, "2026-01-10T22:30:00Z", "2026-01-11T06:00:00Z"},
		{"at the next full hour", func(p *Preferences) { p.Digest = DigestHourly }, event.Info, "2026-01-10T12:10:00Z", "2026-01-10T13:00:00Z"},
		{"never in the past, on the hour itself", func(p *Preferences) { p.Digest = DigestHourly }, event.Info, "2026-01-10T12:00:00Z", "2026-01-10T13:00:00Z"},
		{"at the hour of the day in the zone", func(p *Preferences) { p.Digest = DigestDaily }, event.Info, "2026-01-10T08:00:00Z", "2026-01-11T07:00:00Z"},
		{"at the same hour after clocks went forward", func(p *Preferences) { p.Digest = DigestDaily }, event.Info, "2026-03-28T08:00:00Z", "2026-03-29T06:00:00Z"},
		{"a digest that falls into quiet hours waits for their end", func(p *Preferences) { p.Digest, p.Quiet = DigestHourly, night }, event.Info, "2026-01-10T20:30:00Z", "2026-01-11T06:00:00Z"},
		{"critical passes a digest", func(p *Preferences) { p.Digest = DigestDaily }, event.Critical, "2026-01-10T08:00:00Z", ""},
	}
	berlin := location(t, "Europe/Berlin")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := DefaultPreferences()
			tc.change(&p)
			at, held := p.MailAt(instant(t, tc.now), berlin, tc.severity)
			got := ""
			if held {
				got = at.UTC().Format(time.RFC3339)
			}
			if got != tc.want {
				t.Errorf("mail at %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSeverityFloor(t *testing.T) {
	t.Parallel()
	for i, floor := range event.Severities() {
		p := DefaultPreferences()
		p.Floor = floor
		for j, s := range event.Severities() {
			if got, want := p.Wants(s), j >= i; got != want {
				t.Errorf("floor %s: wants %s = %v, want %v", floor, s, got, want)
			}
		}
	}
}

func TestEveryFieldOfPreferencesIsChecked(t *testing.T) {
	t.Parallel()
	bad := Preferences{
		Floor: "loud", Digest: "weekly", DigestAt: -1, Quiet: QuietHours{On: true, From: 1440, To: -1},
	}
	want := map[string]string{
		"severity_floor": "The least severity must be one of: info, low, medium, high, critical.",
		"digest":         "The digest must be one of: none, hourly, daily.",
		"digest_at":      "Use a time of the day, such as 22:00.",
		"quiet_from":     "Use a time of the day, such as 22:00.",
		"quiet_to":       "Use a time of the day, such as 22:00.",
	}
	if diff := cmp.Diff(want, form.Messages(bad.Validate())); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	empty := DefaultPreferences()
	empty.Quiet = QuietHours{On: true, From: 60, To: 60}
	if form.Messages(empty.Validate())["quiet_to"] == "" {
		t.Error("quiet hours that end when they start were accepted")
	}
	if err := DefaultPreferences().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestTimesOfTheDayAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, minute := range []int{0, 1, 59, 60, 480, 1439} {
		if got := clockMinute(clockText(minute)); got != minute {
			t.Errorf("%d became %q became %d", minute, clockText(minute), got)
		}
	}
	for _, text := range []string{"", "24:00", "7", "x", "12:60"} {
		if got := clockMinute(text); got != -1 {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
