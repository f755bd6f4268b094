package wallclock

import (
	"slices"
	"time"
)

// Mode says how the hours of an occurrence are resolved.
type Mode int

// The modes. Widest is for what protects: of an hour that comes twice it takes the first
// as a start and the last as an end. Narrowest is for what allows, the other way round, and
// so may leave nothing. Elapsed is for what lasts: the start is that of RFC 5545, and the
// length is what the clock says on an ordinary day.
const (
	Widest Mode = iota
	Narrowest
	Elapsed
)

// Window is a span of local hours that recurs.
type Window struct {
	First Date // no occurrence of the rule lies before it
	Start Hour
	End   Hour
	// EndDays is how many days after the start the end lies: 0 is the same day.
	EndDays int
	Zone    *time.Location
	Rule    Rule
}

// Occurrence is one span of a window. It is empty when its local hours do not exist on
// that day, or when Narrowest leaves nothing of them.
type Occurrence struct {
	Date Date
	Interval
}

// Length is how long the local hours last on an ordinary day.
func (w Window) Length() time.Duration {
	return time.Duration(w.EndDays)*24*time.Hour + time.Duration(w.End-w.Start)*time.Minute
}

// At resolves the occurrence that begins on day d.
func (w Window) At(d Date, m Mode) Occurrence {
	o := Occurrence{Date: d}
	last := d.AddDays(w.EndDays)
	switch m {
	case Elapsed:
		o.Start = ResolveRFC5545(d, w.Start, w.Zone)
		o.End = o.Start.Add(w.Length())
	case Narrowest:
		o.Start, o.End = Resolve(d, w.Start, w.Zone, Later), Resolve(last, w.End, w.Zone, Earlier)
		if o.End.Before(o.Start) {
			o.End = o.Start
		}
	default:
		o.Start, o.End = Resolve(d, w.Start, w.Zone, Earlier), Resolve(last, w.End, w.Zone, Later)
	}
	return o
}

// Between returns the occurrences that end after from and begin before to, in the order of
// their dates, at most limit of them; 0 means all.
func (w Window) Between(from, to time.Time, m Mode, limit int) []Occurrence {
	if !from.Before(to) {
		return nil
	}
	// Two days more than the occurrence lasts: dates of zones differ by one, and a day may
	// be missing.
	first := DateIn(from, w.Zone).AddDays(-w.EndDays - 2)
	last := DateIn(to, w.Zone).AddDays(1)
	var out []Occurrence
	w.dates(first, last, func(d Date) bool {
		o := w.At(d, m)
		if !o.Start.Before(to) || !o.End.After(from) {
			return true
		}
		out = append(out, o)
		return limit == 0 || len(out) < limit
	})
	return out
}

// dates calls yield for the dates of the window from one to another, both included, in
// order, until it returns false.
func (w Window) dates(from, to Date, yield func(Date) bool) {
	extra := slices.Clone(w.Rule.RDates)
	slices.SortFunc(extra, Date.Compare)
	extra = slices.Compact(extra)
	more := true
	emit := func(d Date) bool {
		if d.Compare(from) >= 0 && d.Compare(to) <= 0 && !slices.Contains(w.Rule.ExDates, d) {
			more = yield(d)
		}
		return more
	}
	n := 0
	w.Rule.each(w.First, from, to, func(d Date) bool {
		if w.ended(d) {
			return false
		}
		if n++; w.Rule.Count > 0 && n > w.Rule.Count {
			return false
		}
		for len(extra) > 0 && extra[0].Compare(d) < 0 {
			if !emit(extra[0]) {
				return false
			}
			extra = extra[1:]
		}
		if len(extra) > 0 && extra[0] == d {
			extra = extra[1:]
		}
		return emit(d)
	})
	for _, d := range extra {
		if !more || !emit(d) {
			return
		}
	}
}

// ended reports whether the rule has ended before the occurrence of day d begins.
func (w Window) ended(d Date) bool {
	u := w.Rule.Until
	switch {
	case u.Date.IsZero():
		return false
	case u.UTC:
		until := u.Date.utc().Add(time.Duration(u.Hour) * time.Minute)
		return Resolve(d, w.Start, w.Zone, Earlier).After(until)
	case u.HasHour && d == u.Date:
		return w.Start > u.Hour
	default:
		return d.Compare(u.Date) > 0
	}
}

// each calls yield for the dates of the rule in order, beginning with first, until it
// returns false or the period lies after to. Without a count, periods that end before from
// are skipped.
func (r Rule) each(first, from, to Date, yield func(Date) bool) {
	for k := r.skip(first, from); ; k++ {
		start, dates := r.period(first, k)
		if start.Compare(to) > 0 {
			return
		}
		for _, d := range dates {
			if d.Compare(first) >= 0 && !yield(d) {
				return
			}
		}
	}
}

// skip returns the number of the first period that can hold a date at or after from. A
// count must be counted from the beginning.
func (r Rule) skip(first, from Date) int {
	if r.Count > 0 || from.Compare(first) <= 0 {
		return 0
	}
	var periods int
	switch r.Freq {
	case Daily:
		periods = first.daysTo(from)
	case Weekly:
		periods = monday(first).daysTo(from) / 7
	case Monthly:
		periods = (from.Year-first.Year)*12 + int(from.Month-first.Month)
	case Yearly:
		periods = from.Year - first.Year
	}
	return max(0, periods/r.Interval-1)
}

func monday(d Date) Date { return d.AddDays(-(int(d.Weekday()) + 6) % 7) }

// period returns the k-th period of the rule: its first day, and its dates in order.
func (r Rule) period(first Date, k int) (Date, []Date) {
	switch r.Freq {
	case Daily:
		d := first.AddDays(k * r.Interval)
		if r.inMonths(d) && r.onMonthDay(d) && r.onWeekday(d) {
			return d, []Date{d}
		}
		return d, nil
	case Weekly:
		start := monday(first).AddDays(7 * k * r.Interval)
		var out []Date
		for i := range 7 {
			d := start.AddDays(i)
			on := d.Weekday() == first.Weekday()
			if len(r.ByDay) > 0 {
				on = r.onWeekday(d)
			}
			if on && r.inMonths(d) {
				out = append(out, d)
			}
		}
		return start, out
	case Monthly:
		m := int(first.Month) - 1 + k*r.Interval
		start := Date{Year: first.Year + m/12, Month: time.Month(m%12 + 1), Day: 1}
		if !r.inMonths(start) {
			return start, nil
		}
		return start, r.inPeriod(start, daysIn(start.Year, start.Month), first)
	default:
		return r.year(first, k)
	}
}

func (r Rule) year(first Date, k int) (Date, []Date) {
	start := Date{Year: first.Year + k*r.Interval, Month: time.January, Day: 1}
	months := slices.Sorted(slices.Values(r.ByMonth))
	switch {
	case len(months) > 0:
	case len(r.ByMonthDay) > 0:
		for m := time.January; m <= time.December; m++ {
			months = append(months, m)
		}
	case len(r.ByDay) > 0:
		return start, r.inPeriod(start, start.daysTo(Date{Year: start.Year + 1, Month: time.January, Day: 1}), first)
	default:
		months = []time.Month{first.Month}
	}
	var out []Date
	for _, m := range months {
		out = append(out, r.inPeriod(Date{Year: start.Year, Month: m, Day: 1}, daysIn(start.Year, m), first)...)
	}
	return start, out
}

// inPeriod returns the dates of a month or a year: those on the days of the month and the
// weekdays that the rule names, or else the day of the month that the first date has.
func (r Rule) inPeriod(start Date, days int, first Date) []Date {
	var out []Date
	for i := range days {
		d := start.AddDays(i)
		on := d.Day == first.Day
		if len(r.ByMonthDay)+len(r.ByDay) > 0 {
			on = r.onMonthDay(d) && r.onOrdinal(d, i, days)
		}
		if on {
			out = append(out, d)
		}
	}
	return out
}

func (r Rule) inMonths(d Date) bool {
	return len(r.ByMonth) == 0 || slices.Contains(r.ByMonth, d.Month)
}

func (r Rule) onMonthDay(d Date) bool {
	return len(r.ByMonthDay) == 0 || slices.Contains(r.ByMonthDay, d.Day) ||
		slices.Contains(r.ByMonthDay, d.Day-daysIn(d.Year, d.Month)-1)
}

func (r Rule) onWeekday(d Date) bool {
	return len(r.ByDay) == 0 || slices.ContainsFunc(r.ByDay, func(w Weekday) bool { return w.Day == d.Weekday() })
}

// onOrdinal reports whether the i-th of so many days is a weekday that the rule names.
func (r Rule) onOrdinal(d Date, i, days int) bool {
	return len(r.ByDay) == 0 || slices.ContainsFunc(r.ByDay, func(w Weekday) bool {
		return w.Day == d.Weekday() && (w.Ordinal == 0 || w.Ordinal == i/7+1 || w.Ordinal == -((days-1-i)/7+1))
	})
}

func daysIn(year int, m time.Month) int {
	return time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// horizon is how many years a rule is searched for a first date: leap days that fall on a
// given weekday come every 28 years, or 40 around a year without one.
const horizon = 41

// Never reports whether the window has no occurrence at all.
func (w Window) Never() bool {
	never := true
	w.dates(Date{Year: 1, Month: time.January, Day: 1}, Date{Year: w.First.Year + horizon, Month: time.January, Day: 1}, func(Date) bool {
		never = false
		return false
	})
	return never
}
