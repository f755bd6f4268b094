package wallclock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Freq is how often a rule recurs.
type Freq string

// The frequencies that are known.
const (
	Daily   Freq = "DAILY"
	Weekly  Freq = "WEEKLY"
	Monthly Freq = "MONTHLY"
	Yearly  Freq = "YEARLY"
)

// Weekday is a day of the week with its ordinal in a month or year: 2 is the second, -1
// the last, 0 each of them.
type Weekday struct {
	Ordinal int
	Day     time.Weekday
}

// Rule is the part of an RFC 5545 recurrence rule that Vigilo knows (work.md 2.4). Local
// dates follow from it; weeks begin on Monday.
type Rule struct {
	Freq       Freq
	Interval   int // 1 or more
	ByDay      []Weekday
	ByMonthDay []int // 1 to 31, or -1 for the last day to -31
	ByMonth    []time.Month
	Count      int // 0 means without end
	Until      Until
	ExDates    []Date
	RDates     []Date
}

// Until is when a rule ends. A date counts as a whole; with HasHour the last start is not
// after that hour, in UTC or as the clock of the zone shows it.
type Until struct {
	Date    Date
	Hour    Hour
	HasHour bool
	UTC     bool
}

// MaxCount is the greatest number of occurrences that COUNT may ask for, and how many
// dates EXDATE and RDATE may list.
const (
	MaxCount = 10_000
	MaxDates = 400
)

// PartError names the part of a rule that is not understood.
type PartError struct {
	Part    string
	Message string
}

// Error names the part and says what is wrong.
func (e *PartError) Error() string { return e.Part + ": " + e.Message }

func refuse(part, format string, args ...any) error {
	return &PartError{Part: part, Message: fmt.Sprintf(format, args...)}
}

// weekdays lists the days as iCalendar counts a week.
func weekdays() []time.Weekday {
	return []time.Weekday{
		time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday,
	}
}

// ParseRule reads a rule, such as FREQ=WEEKLY;BYDAY=FR. "RRULE:" may stand in front, and
// lines that begin with EXDATE or RDATE may follow. Whatever is not known is refused with
// a PartError that names it.
func ParseRule(text string) (Rule, error) {
	r := Rule{Interval: 1}
	seen := false
	for line := range strings.Lines(strings.ToUpper(text)) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, ":")
		var err error
		switch {
		case line == "":
		case strings.HasPrefix(name, "EXDATE"):
			r.ExDates, err = parseDates(r.ExDates, name, "EXDATE", value)
		case strings.HasPrefix(name, "RDATE"):
			r.RDates, err = parseDates(r.RDates, name, "RDATE", value)
		case seen:
			err = refuse("RRULE", "only one rule can be given")
		default:
			seen = true
			err = r.parse(strings.TrimPrefix(line, "RRULE:"))
		}
		if err != nil {
			return Rule{}, err
		}
	}
	if !seen {
		return Rule{}, refuse("FREQ", "say how often, such as FREQ=WEEKLY")
	}
	return r, r.check()
}

func parseDates(out []Date, name, part, value string) ([]Date, error) {
	for param := range strings.SplitSeq(strings.TrimPrefix(name, part), ";") {
		if param != "" && !strings.HasPrefix(param, "TZID=") && param != "VALUE=DATE" && param != "VALUE=DATE-TIME" {
			return nil, refuse(part, "the parameter %s is not known", param)
		}
	}
	for item := range strings.SplitSeq(value, ",") {
		day, _, _ := strings.Cut(strings.TrimSpace(item), "T")
		d, err := ParseDate(day)
		if err != nil {
			return nil, refuse(part, "%s", err.Error())
		}
		out = append(out, d)
	}
	if len(out) > MaxDates {
		return nil, refuse(part, "at most %d dates can be listed", MaxDates)
	}
	return out, nil
}

func (r *Rule) parse(line string) error {
	done := map[string]bool{}
	for item := range strings.SplitSeq(strings.TrimSuffix(line, ";"), ";") {
		name, value, ok := strings.Cut(item, "=")
		if !ok || value == "" {
			return refuse(item, "write it as NAME=value")
		}
		if done[name] {
			return refuse(name, "it is given twice")
		}
		done[name] = true
		var err error
		switch name {
		case "FREQ":
			r.Freq = Freq(value)
			if !slices.Contains([]Freq{Daily, Weekly, Monthly, Yearly}, r.Freq) {
				err = refuse("FREQ", "%s is not known; use DAILY, WEEKLY, MONTHLY or YEARLY", value)
			}
		case "INTERVAL":
			r.Interval, err = number(name, value, 1, 1000)
		case "COUNT":
			r.Count, err = number(name, value, 1, MaxCount)
		case "UNTIL":
			r.Until, err = parseUntil(value)
		case "BYDAY":
			r.ByDay, err = list(name, value, parseWeekday)
		case "BYMONTHDAY":
			r.ByMonthDay, err = list(name, value, func(s string) (int, error) {
				n, err := number(name, s, -31, 31)
				if err == nil && n == 0 {
					err = refuse(name, "0 is no day of a month")
				}
				return n, err
			})
		case "BYMONTH":
			r.ByMonth, err = list(name, value, func(s string) (time.Month, error) {
				n, err := number(name, s, 1, 12)
				return time.Month(n), err
			})
		default:
			err = refuse(name, "this part is not supported; use FREQ, INTERVAL, BYDAY, BYMONTHDAY, BYMONTH, COUNT or UNTIL")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check refuses parts that do not go together.
func (r *Rule) check() error {
	switch {
	case r.Freq == "":
		return refuse("FREQ", "say how often, such as FREQ=WEEKLY")
	case r.Count > 0 && !r.Until.Date.IsZero():
		return refuse("UNTIL", "give COUNT or UNTIL, not both")
	case r.Freq == Weekly && len(r.ByMonthDay) > 0:
		return refuse("BYMONTHDAY", "it does not go with FREQ=WEEKLY")
	}
	for _, w := range r.ByDay {
		if w.Ordinal == 0 {
			continue
		}
		switch {
		case r.Freq != Monthly && r.Freq != Yearly:
			return refuse("BYDAY", "%s: an ordinal needs FREQ=MONTHLY or FREQ=YEARLY", w)
		case (r.Freq == Monthly || len(r.ByMonth) > 0) && (w.Ordinal > 5 || w.Ordinal < -5):
			return refuse("BYDAY", "%s: a month has at most five of each weekday", w)
		case r.Freq == Yearly && len(r.ByMonth) == 0 && len(r.ByMonthDay) > 0:
			return refuse("BYDAY", "%s: an ordinal in the year does not go with BYMONTHDAY", w)
		}
	}
	return nil
}

func number(part, text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, refuse(part, "%s is not a whole number from %d to %d", text, low, high)
	}
	return n, nil
}

func list[T comparable](part, value string, one func(string) (T, error)) ([]T, error) {
	var out []T
	for item := range strings.SplitSeq(value, ",") {
		v, err := one(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, v) {
			return nil, refuse(part, "%s is given twice", item)
		}
		out = append(out, v)
	}
	return out, nil
}

func parseWeekday(text string) (Weekday, error) {
	cut := max(0, len(text)-2)
	i := slices.IndexFunc(weekdays(), func(d time.Weekday) bool { return code(d) == text[cut:] })
	if i < 0 {
		return Weekday{}, refuse("BYDAY", "%s is no weekday; use MO, TU, WE, TH, FR, SA or SU", text)
	}
	day := weekdays()[i]
	if cut == 0 {
		return Weekday{Day: day}, nil
	}
	n, err := number("BYDAY", strings.TrimPrefix(text[:cut], "+"), -53, 53)
	if err == nil && n == 0 {
		err = refuse("BYDAY", "%s: 0 is no ordinal", text)
	}
	return Weekday{Ordinal: n, Day: day}, err
}

func parseUntil(text string) (Until, error) {
	day, hour, timed := strings.Cut(text, "T")
	d, err := ParseDate(day)
	if err != nil {
		return Until{}, refuse("UNTIL", "%s is not a date such as 20271231", text)
	}
	u := Until{Date: d, HasHour: timed}
	if !timed {
		return u, nil
	}
	hour, u.UTC = strings.CutSuffix(hour, "Z")
	t, err := time.Parse("150405", hour)
	if err != nil {
		return Until{}, refuse("UNTIL", "%s is not a time such as 20271231T235959Z", text)
	}
	u.Hour = Hour(t.Hour()*60 + t.Minute())
	return u, nil
}

// String writes the weekday as in 2TU or -1FR.
func (w Weekday) String() string {
	if w.Ordinal == 0 {
		return code(w.Day)
	}
	return strconv.Itoa(w.Ordinal) + code(w.Day)
}

// code is the weekday in two letters.
func code(d time.Weekday) string { return strings.ToUpper(d.String()[:2]) }

// String writes the rule in one canonical form, without EXDATE and RDATE. Parsing it gives
// the same rule.
func (r Rule) String() string {
	parts := []string{"FREQ=" + string(r.Freq)}
	if r.Interval > 1 {
		parts = append(parts, "INTERVAL="+strconv.Itoa(r.Interval))
	}
	if len(r.ByMonth) > 0 {
		parts = append(parts, "BYMONTH="+join(r.ByMonth, func(m time.Month) string { return strconv.Itoa(int(m)) }))
	}
	if len(r.ByMonthDay) > 0 {
		parts = append(parts, "BYMONTHDAY="+join(r.ByMonthDay, strconv.Itoa))
	}
	if len(r.ByDay) > 0 {
		parts = append(parts, "BYDAY="+join(r.ByDay, Weekday.String))
	}
	if r.Count > 0 {
		parts = append(parts, "COUNT="+strconv.Itoa(r.Count))
	}
	if u := r.Until; !u.Date.IsZero() {
		text := u.Date.utc().Format("20060102")
		if u.HasHour {
			text += fmt.Sprintf("T%02d%02d00", int(u.Hour)/60, int(u.Hour)%60)
		}
		if u.UTC {
			text += "Z"
		}
		parts = append(parts, "UNTIL="+text)
	}
	return strings.Join(parts, ";")
}

func join[T any](items []T, text func(T) string) string {
	out := make([]string, len(items))
	for i, v := range items {
		out[i] = text(v)
	}
	return strings.Join(out, ",")
}
