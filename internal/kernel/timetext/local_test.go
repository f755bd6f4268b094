package timetext_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/timetext"
)

// The zones and dates are those of reliability.md 4.6.
func TestALocalTimeIsOneMomentTwoOrNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		zone, text string
		want       []string
		next       string // after the gap, in the zone
	}{
		{zone: "UTC", text: "2026-10-25T02:30", want: []string{"2026-10-25T02:30:00Z"}},
		{zone: "Europe/Berlin", text: "2026-07-01T12:00", want: []string{"2026-07-01T10:00:00Z"}},
		{zone: "Europe/Berlin", text: "2026-10-25T02:30", want: []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"}},
		{zone: "Europe/Berlin", text: "2026-10-25T01:59", want: []string{"2026-10-24T23:59:00Z"}},
		{zone: "Europe/Berlin", text: "2026-10-25T03:00", want: []string{"2026-10-25T02:00:00Z"}},
		{zone: "America/New_York", text: "2026-11-01T01:30", want: []string{"2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"}},
		{zone: "Europe/Berlin", text: "2027-03-28T02:30", next: "2027-03-28T03:00"},
		{zone: "America/New_York", text: "2027-03-14T02:30", next: "2027-03-14T03:00"},
		{zone: "Pacific/Apia", text: "2011-12-30T12:00", next: "2011-12-31T00:00"},
		{zone: "Australia/Lord_Howe", text: "2026-10-04T02:15", next: "2026-10-04T02:30"},
	} {
		z := zone(t, tt.zone)
		got, err := timetext.Local(tt.text, z)
		if skipped, ok := errors.AsType[*timetext.SkippedError](err); ok != (tt.next != "") {
			t.Errorf("%s in %s: %v", tt.text, tt.zone, err)
		} else if ok && skipped.Next.In(z).Format(timetext.LocalLayout) != tt.next {
			t.Errorf("%s in %s: the next is %s, want %s", tt.text, tt.zone, skipped.Next.In(z), tt.next)
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s in %s: %d moments, want %d", tt.text, tt.zone, len(got), len(tt.want))
			continue
		}
		for i, at := range got {
			if at.Format(time.RFC3339) != tt.want[i] {
				t.Errorf("%s in %s: moment %d is %s, want %s", tt.text, tt.zone, i, at, tt.want[i])
			}
		}
	}
	for _, text := range []string{"", "tomorrow", "2026-02-30T10:00", "2026-07-01", "2026-07-01T10:00Z"} {
		if at, err := timetext.Local(text, time.UTC); err == nil {
			t.Errorf("%q was read as %v", text, at)
		}
	}
}
