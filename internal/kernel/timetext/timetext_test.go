package timetext_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/templates/ui"
)

const day = 24 * time.Hour

func TestRelativeNamesTheLargestUnitThatTellsTheDistance(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		from time.Duration // of now
		want string
	}{
		{-3 * 365 * day, "3 years ago"},
		{-730 * day, "2 years ago"},
		{-730*day + time.Second, "729 days ago"},
		{-48 * time.Hour, "2 days ago"},
		{-48*time.Hour + time.Second, "47 hours ago"},
		{-time.Hour, "1 hour ago"},
		{-time.Hour + time.Nanosecond, "59 minutes ago"},
		{-2 * time.Minute, "2 minutes ago"},
		{-time.Minute, "1 minute ago"},
		{-time.Minute + time.Nanosecond, "just now"},
		{0, "just now"},
		{5 * time.Second, "just now"},
		{6 * time.Second, "in 6 seconds"},
		{59*time.Second + 999*time.Millisecond, "in 59 seconds"},
		{time.Minute, "in 1 minute"},
		{59 * time.Minute, "in 59 minutes"},
		{time.Hour, "in 1 hour"},
		{47 * time.Hour, "in 47 hours"},
		{2 * day, "in 2 days"},
		{400 * day, "in 400 days"},
		{2 * 365 * day, "in 2 years"},
	} {
		if got := timetext.Relative(now.Add(tt.from), now); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.from, got, tt.want)
		}
	}
}

func TestSpanCountsOneAndMany(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", -time.Second: "1 second", 90 * time.Second: "1 minute", 2 * time.Hour: "2 hours",
		49 * time.Hour: "2 days", 1095 * day: "3 years",
	} {
		if got := timetext.Span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestTimesAreThoseOfTheReadersZone(t *testing.T) {
	t.Parallel()
	oslo, sao := zone(t, "Europe/Oslo"), zone(t, "America/Sao_Paulo")
	summer := time.Date(2026, time.July, 1, 10, 0, 5, 123, time.UTC)
	newYear := time.Date(2026, time.December, 31, 23, 30, 0, 0, time.UTC)
	for name, tt := range map[string]struct{ got, want ui.Time }{
		"a moment of this year": {timetext.Moment(summer, summer.Add(3*time.Hour), oslo), ui.Time{
			ISO: "2026-07-01T10:00:05Z", Text: "3 hours ago, 1 Jul 12:00", Title: "Wednesday, 1 July 2026, 12:00:05 CEST, Europe/Oslo",
		}},
		"a moment of the next year of the reader": {timetext.Moment(newYear, newYear.Add(-time.Hour), oslo), ui.Time{
			ISO: "2026-12-31T23:30:00Z", Text: "in 1 hour, 1 Jan 2027", Title: "Friday, 1 January 2027, 00:30:00 CET, Europe/Oslo",
		}},
		"how long ago": {timetext.Since(summer, summer.Add(time.Minute), sao), ui.Time{
			ISO: "2026-07-01T10:00:05Z", Text: "1 minute ago", Title: "Wednesday, 1 July 2026, 07:00:05 -03, America/Sao_Paulo",
		}},
		"a date": {timetext.Date(newYear, oslo), ui.Time{
			ISO: "2026-12-31T23:30:00Z", Text: "1 Jan 2027", Title: "Friday, 1 January 2027, 00:30:00 CET, Europe/Oslo",
		}},
		"to the minute": {timetext.Minute(summer, time.UTC), ui.Time{
			ISO: "2026-07-01T10:00:05Z", Text: "1 Jul 2026, 10:00", Title: "Wednesday, 1 July 2026, 10:00:05 UTC",
		}},
		"to the second": {timetext.Second(summer, oslo), ui.Time{
			ISO: "2026-07-01T10:00:05Z", Text: "1 Jul 2026, 12:00:05", Title: "Wednesday, 1 July 2026, 12:00:05 CEST, Europe/Oslo",
		}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// The hour between two and three comes twice on 25 October 2026 in Oslo.
func TestTheHourThatComesTwiceCanBeToldApart(t *testing.T) {
	t.Parallel()
	oslo := zone(t, "Europe/Oslo")
	first := time.Date(2026, time.October, 25, 0, 30, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{
		first:                "Sunday, 25 October 2026, 02:30:00 CEST, Europe/Oslo",
		first.Add(time.Hour): "Sunday, 25 October 2026, 02:30:00 CET, Europe/Oslo",
	} {
		if got := timetext.Full(at, oslo); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	if got := timetext.Prose(first, oslo); got != "25 October 2026, 02:30 CEST" {
		t.Errorf("in a sentence: %q", got)
	}
}
