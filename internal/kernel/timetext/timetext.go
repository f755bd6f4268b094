// Package timetext puts times in words for people, in one way for all pages: how far a
// moment lies from now, and when it is in the zone of whoever reads. Times are kept in UTC
// everywhere else; only words are local.
package timetext

import (
	"strconv"
	"time"

	"github.com/vigilo/vigilo/templates/ui"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// skew is how far a time may lie ahead and still be called now: the clocks of the
// database and of the program need not agree to the second.
const skew = 5 * time.Second

// Relative says how far t is from now: "just now", "3 minutes ago", "in 2 days". What lies
// less than a minute back is just now; what is about to come counts seconds.
func Relative(t, now time.Time) string {
	switch d := t.Sub(now); {
	case d <= -time.Minute:
		return Span(-d) + " ago"
	case d <= skew:
		return "just now"
	default:
		return "in " + Span(d)
	}
}

// Span is a length of time in the largest unit that still tells it well, rounded down:
// hours up to two days, days up to two years of 365 days. The sign does not count.
func Span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Minute:
		return count(int64(d/time.Second), "second")
	case d < time.Hour:
		return count(int64(d/time.Minute), "minute")
	case d < 2*day:
		return count(int64(d/time.Hour), "hour")
	case d < 2*year:
		return count(int64(d/day), "day")
	default:
		return count(int64(d/year), "year")
	}
}

func count(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.FormatInt(n, 10) + " " + unit + "s"
}

// Moment shows how far t is from now and when it is: to the minute in this year, else the
// date. Hovering shows all of it, as with every function of this package that returns a
// ui.Time.
func Moment(t, now time.Time, zone *time.Location) ui.Time {
	layout := "2 Jan 15:04"
	if t.In(zone).Year() != now.In(zone).Year() {
		layout = "2 Jan 2006"
	}
	return shown(t, zone, Relative(t, now)+", "+t.In(zone).Format(layout))
}

// Since shows only how far t is from now.
func Since(t, now time.Time, zone *time.Location) ui.Time {
	return shown(t, zone, Relative(t, now))
}

// Date shows the day of t, such as 2 Jan 2026.
func Date(t time.Time, zone *time.Location) ui.Time {
	return shown(t, zone, t.In(zone).Format("2 Jan 2006"))
}

// Minute shows t to the minute, such as 2 Jan 2026, 15:04.
func Minute(t time.Time, zone *time.Location) ui.Time {
	return shown(t, zone, t.In(zone).Format("2 Jan 2006, 15:04"))
}

// Second shows t to the second, such as 2 Jan 2026, 15:04:05.
func Second(t time.Time, zone *time.Location) ui.Time {
	return shown(t, zone, t.In(zone).Format("2 Jan 2006, 15:04:05"))
}

func shown(t time.Time, zone *time.Location, text string) ui.Time {
	return ui.Time{ISO: t.UTC().Format(time.RFC3339), Text: text, Title: Full(t, zone)}
}

// Full is t with its weekday, its offset's abbreviation and the zone: "Monday, 2 January
// 2006, 15:04:05 CET, Europe/Oslo". The abbreviation tells apart the hour that comes twice
// in autumn; the zone says what an abbreviation cannot.
func Full(t time.Time, zone *time.Location) string {
	local := t.In(zone)
	text := local.Format("Monday, 2 January 2006, 15:04:05 MST")
	if name, abbreviation := zone.String(), local.Format("MST"); name != abbreviation {
		text += ", " + name
	}
	return text
}

// Prose is t to the minute as a sentence says it: "2 January 2006, 15:04 CET".
func Prose(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("2 January 2006, 15:04 MST")
}
