package timetext

import (
	"fmt"
	"slices"
	"time"
)

// LocalLayout is how a form writes a local time: the value of an input of the type
// datetime-local.
const LocalLayout = "2006-01-02T15:04"

// SkippedError says that a clock in the zone never shows the time, because it was put
// forward over it. Next is the first moment after the gap.
type SkippedError struct{ Next time.Time }

func (e *SkippedError) Error() string {
	return "local time is skipped; the next is " + e.Next.Format(LocalLayout+" MST")
}

// Local reads a local time, in LocalLayout, in a zone. It returns the moments at which a
// clock there shows it, in UTC: one, or two with the earlier first when the clock is put
// back over it. A skipped time is a SkippedError.
func Local(text string, zone *time.Location) ([]time.Time, error) {
	wall, err := time.Parse(LocalLayout, text)
	if err != nil {
		return nil, fmt.Errorf("read local time: %w", err)
	}
	// The offsets in force a day earlier and a day later are all that can apply: no zone
	// changes twice within two days.
	var out []time.Time
	var last time.Time
	for _, around := range []time.Duration{-day, day} {
		_, offset := wall.Add(around).In(zone).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if at.In(zone).Format(LocalLayout) == text && !slices.ContainsFunc(out, at.Equal) {
			out = append(out, at)
		}
		if at.After(last) {
			last = at
		}
	}
	if len(out) == 0 {
		next, _ := last.In(zone).ZoneBounds()
		return nil, &SkippedError{Next: next}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out, nil
}
