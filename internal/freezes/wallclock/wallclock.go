// Package wallclock turns local dates and hours of a time zone into instants, and rules
// such as "each Friday from 18:00" into the spans of time that they mean. The time
// package does not promise what it makes of hours that a change of the clock skips or
// repeats, so this package resolves them itself (work.md 2.4). It reads no clock.
package wallclock

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Date is a day of the proleptic Gregorian calendar, without a zone. The zero value is no
// date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads a date as in 2027-03-28, or 20270328 as iCalendar writes it.
func ParseDate(text string) (Date, error) {
	layout := time.DateOnly
	if !strings.Contains(text, "-") {
		layout = "20060102"
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date such as 2027-03-28", text)
	}
	return dateOf(t), nil
}

// DateIn returns the date that a zone has at an instant.
func DateIn(t time.Time, zone *time.Location) Date { return dateOf(t.In(zone)) }

func dateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{Year: y, Month: m, Day: d}
}

// IsZero reports whether d is no date.
func (d Date) IsZero() bool { return d == Date{} }

// String writes the date as in 2027-03-28, empty for no date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.utc().Format(time.DateOnly)
}

// utc returns midnight of the date in UTC, where every day has 24 hours.
func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// AddDays returns the date n days later, or earlier when n is negative.
func (d Date) AddDays(n int) Date { return dateOf(d.utc().AddDate(0, 0, n)) }

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return d.utc().Weekday() }

// Compare orders dates: -1, 0 or 1.
func (d Date) Compare(o Date) int { return d.utc().Compare(o.utc()) }

// daysTo returns how many days later o is.
func (d Date) daysTo(o Date) int { return int(o.utc().Sub(d.utc()) / (24 * time.Hour)) }

// Hour is a time of day in minutes since midnight, 0 to 1439.
type Hour int

// ParseHour reads a time of day as in 02:30.
func ParseHour(text string) (Hour, error) {
	h, m, ok := strings.Cut(text, ":")
	hours, errH := strconv.Atoi(h)
	minutes, errM := strconv.Atoi(m)
	if !ok || errH != nil || errM != nil || len(h) > 2 || len(m) != 2 || hours < 0 || hours > 23 || minutes < 0 || minutes > 59 ||
		strings.ContainsAny(text, "+-") {
		return 0, fmt.Errorf("%q is not a time of day such as 02:30", text)
	}
	return Hour(hours*60 + minutes), nil
}

// String writes the time of day as in 02:30.
func (h Hour) String() string { return fmt.Sprintf("%02d:%02d", int(h)/60, int(h)%60) }

// Edge says which instant is meant when the clock shows a time twice.
type Edge int

// The edges: the first time that the clock shows it, or the last.
const (
	Earlier Edge = iota
	Later
)

// Offsets of a zone are looked up this far around a local time, which is further than any
// zone has ever been from UTC, and this often: no zone changes twice in so short a time.
const (
	reach = 30 * 60 * 60
	step  = 6 * 60 * 60
)

// Resolve returns the instant at which the clock of the zone shows h on day d. A time that
// is shown twice is the one that e says. A time that is never shown is the instant at
// which the clock was put forward: nothing is shifted, and the order of times is kept.
func Resolve(d Date, h Hour, zone *time.Location, e Edge) time.Time {
	found, gap, _ := candidates(d, h, zone)
	switch {
	case len(found) == 0:
		return gap
	case e == Later:
		return found[len(found)-1]
	default:
		return found[0]
	}
}

// ResolveRFC5545 is Resolve as iCalendar has it: a time that is shown twice is the first
// one, and one that is never shown is read with the offset before the gap
// (reliability.md 4.6, RFC 5545 3.3.5).
func ResolveRFC5545(d Date, h Hour, zone *time.Location) time.Time {
	found, _, shifted := candidates(d, h, zone)
	if len(found) == 0 {
		return shifted
	}
	return found[0]
}

// candidates returns every instant at which the clock shows h on day d, in order. When
// there is none, gap is when the clock was put forward over it, and shifted is the time
// read with the offset before that.
func candidates(d Date, h Hour, zone *time.Location) (found []time.Time, gap, shifted time.Time) {
	local := d.utc().Unix() + int64(h)*60
	before := offset(local-reach, zone)
	found = try(nil, local, before, zone)
	for t := local - reach; t < local+reach; t += step {
		after := offset(t+step, zone)
		if after == before {
			continue
		}
		found = try(found, local, after, zone)
		if at := change(t, t+step, zone); local-before >= at && local-after < at {
			gap, shifted = instant(at), instant(local-before)
		}
		before = after
	}
	slices.SortFunc(found, time.Time.Compare)
	return slices.Compact(found), gap, shifted
}

// try adds the instant that a local time has at an offset, if the zone has that offset then.
func try(found []time.Time, local, at int64, zone *time.Location) []time.Time {
	if offset(local-at, zone) == at {
		found = append(found, instant(local-at))
	}
	return found
}

func instant(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

// offset is how many seconds a zone is ahead of UTC.
func offset(unix int64, zone *time.Location) int64 {
	_, seconds := time.Unix(unix, 0).In(zone).Zone()
	return int64(seconds)
}

// change returns the first instant with another offset than from, of a span in which the
// offset changes once. Time.ZoneBounds would say so too, were it right on the last day of
// leap years after the last change that the zone data lists.
func change(from, to int64, zone *time.Location) int64 {
	old := offset(from, zone)
	for to-from > 1 {
		middle := from + (to-from)/2
		if offset(middle, zone) == old {
			from = middle
		} else {
			to = middle
		}
	}
	return to
}

// Interval is a span of time; the end is not part of it.
type Interval struct {
	Start, End time.Time
}

// Empty reports whether nothing lies in the interval.
func (i Interval) Empty() bool { return !i.Start.Before(i.End) }

// Overlaps reports whether two intervals share a moment. An empty one shares none.
func (i Interval) Overlaps(o Interval) bool {
	return !i.Empty() && !o.Empty() && i.Start.Before(o.End) && o.Start.Before(i.End)
}

// Covers reports whether o lies in the interval as a whole.
func (i Interval) Covers(o Interval) bool { return !o.Start.Before(i.Start) && !o.End.After(i.End) }

// Clip returns the part of the interval that lies in o.
func (i Interval) Clip(o Interval) Interval {
	if i.Start.Before(o.Start) {
		i.Start = o.Start
	}
	if i.End.After(o.End) {
		i.End = o.End
	}
	return i
}

// Merge returns the same time as spans that neither touch nor overlap, in order.
func Merge(in []Interval) []Interval {
	sorted := slices.DeleteFunc(slices.Clone(in), Interval.Empty)
	slices.SortFunc(sorted, func(a, b Interval) int { return a.Start.Compare(b.Start) })
	out := sorted[:0]
	for _, i := range sorted {
		if n := len(out); n > 0 && !i.Start.After(out[n-1].End) {
			if i.End.After(out[n-1].End) {
				out[n-1].End = i.End
			}
			continue
		}
		out = append(out, i)
	}
	return out
}

// Outside returns the parts of span that lie in none of the merged intervals.
func Outside(span Interval, merged []Interval) []Interval {
	var out []Interval
	at := span.Start
	for _, i := range merged {
		if i = i.Clip(span); i.Empty() {
			continue
		}
		if at.Before(i.Start) {
			out = append(out, Interval{Start: at, End: i.Start})
		}
		at = i.End
	}
	if at.Before(span.End) {
		out = append(out, Interval{Start: at, End: span.End})
	}
	return out
}

// The years over which changes of the clock are compared: a new edition of the zone data
// that touches any of them is noticed.
const (
	versionFrom = 1970
	versionTo   = 2070
)

// ZoneVersion names what is known of a zone: it differs when another edition of the zone
// data moves, adds or drops a change of its clock.
func ZoneVersion(zone *time.Location) string {
	h := sha256.New()
	const day = 24 * 60 * 60
	end := time.Date(versionTo, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	t := time.Date(versionFrom, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	note := func(at int64) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(at)))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(offset(at, zone))))
	}
	note(t)
	for before := offset(t, zone); t < end; t += day {
		if after := offset(t+day, zone); after != before {
			note(change(t, t+day, zone))
			before = after
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
