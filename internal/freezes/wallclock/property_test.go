package wallclock

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// zones have changes of the clock of all kinds: by an hour and by half, in both halves of
// the year, at midnight, over the date line, in the past only, and none.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Africa/Cairo",
	"Asia/Kathmandu", "Africa/Casablanca", "America/St_Johns", "Antarctica/Troll", "Pacific/Kwajalein",
}

// around returns days near changes of the clock of a zone, where everything interesting is,
// and the ends of leap years.
func around(z *time.Location) []Date {
	var out []Date
	for d := (Date{2005, time.January, 1}); d.Year < 2045; d = d.AddDays(1) {
		t := d.utc().Unix()
		if offset(t, z) == offset(t+24*60*60, z) && (d.Month != time.December || d.Day != 31 || d.Year%4 != 0) {
			continue
		}
		for i := -2; i <= 2; i++ {
			out = append(out, d.AddDays(i))
		}
	}
	return out
}

func TestResolvedTimesKeepTheOrderOfLocalTimes(t *testing.T) {
	t.Parallel()
	for _, name := range zones {
		z := zone(t, name)
		for _, d := range around(z) {
			for _, e := range []Edge{Earlier, Later} {
				before := Resolve(d.AddDays(-1), 23*60+59, z, e)
				for h := Hour(0); h < 24*60; h += 15 {
					got := Resolve(d, h, z, e)
					if got.Before(before) {
						t.Fatalf("%s %s %s is %s, before %s of an earlier local time", name, d, h, got, before)
					}
					before = got
				}
			}
		}
	}
}

func TestAResolvedTimeShowsTheLocalTimeOrIsAChangeOfTheClock(t *testing.T) {
	t.Parallel()
	for _, name := range zones {
		z := zone(t, name)
		for _, d := range around(z) {
			for h := Hour(5); h < 24*60; h += 25 {
				first, last := Resolve(d, h, z, Earlier), Resolve(d, h, z, Later)
				if last.Before(first) {
					t.Fatalf("%s %s %s: last %s before first %s", name, d, h, last, first)
				}
				for _, got := range []time.Time{first, last} {
					local := got.In(z)
					if DateIn(got, z) == d && Hour(local.Hour()*60+local.Minute()) == h {
						continue
					}
					if offset(got.Unix()-1, z) == offset(got.Unix(), z) || !first.Equal(last) {
						t.Fatalf("%s %s %s is %s, which shows another time and is no change of the clock", name, d, h, local)
					}
				}
			}
		}
	}
}

// exists looks for a moment at which the clock shows a time inside the local hours of w on
// day d, minute by minute.
func exists(w Window, d Date) bool {
	from := Resolve(d, w.Start, w.Zone, Earlier).Add(-3 * time.Hour)
	to := Resolve(d.AddDays(w.EndDays), w.End, w.Zone, Later).Add(3 * time.Hour)
	start, end := d.utc().Add(time.Duration(w.Start)*time.Minute), d.AddDays(w.EndDays).utc().Add(time.Duration(w.End)*time.Minute)
	for t := from; t.Before(to); t = t.Add(time.Minute) {
		l := t.In(w.Zone)
		local := time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
		if !local.Before(start) && local.Before(end) {
			return true
		}
	}
	return false
}

func TestFreezesAreWidestAllowedHoursNarrowestAndNeitherIsEmptyWithoutCause(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, name := range zones {
		z := zone(t, name)
		for _, d := range around(z) {
			w := Window{First: d, Start: Hour(rnd.IntN(24 * 60)), EndDays: rnd.IntN(2), Zone: z}
			if w.EndDays == 0 {
				w.Start = Hour(rnd.IntN(24*60 - 1))
				w.End = w.Start + 1 + Hour(rnd.IntN(24*60-int(w.Start)-1))
			} else {
				w.End = Hour(rnd.IntN(int(w.Start) + 1))
			}
			wide, narrow, elapsed := w.At(d, Widest), w.At(d, Narrowest), w.At(d, Elapsed)
			text := fmt.Sprintf("%s %s %s-%s+%d", name, d, w.Start, w.End, w.EndDays)
			if !wide.Covers(narrow.Interval) {
				t.Fatalf("%s: widest %v does not hold narrowest %v", text, wide, narrow)
			}
			if wide.Empty() && exists(w, d) {
				t.Fatalf("%s: a freeze is empty although its hours exist", text)
			}
			if narrow.End.Before(narrow.Start) || wide.End.Before(wide.Start) {
				t.Fatalf("%s: ends before it begins", text)
			}
			if elapsed.End.Sub(elapsed.Start) != w.Length() {
				t.Fatalf("%s: maintenance lasts %s, want %s", text, elapsed.End.Sub(elapsed.Start), w.Length())
			}
		}
	}
}

func TestOccurrencesComeInOrderAndNoneIsLostAtTheEdgesOfASpan(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	rules := []string{"FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,SU", "FREQ=MONTHLY;BYMONTHDAY=-1,1", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=YEARLY;BYMONTH=3,10"}
	for _, name := range zones {
		for _, text := range rules {
			r, err := ParseRule(text)
			if err != nil {
				t.Fatal(err)
			}
			w := Window{First: Date{2008, time.January, 31}, Start: 150, End: 210, EndDays: rnd.IntN(3), Zone: zone(t, name), Rule: r}
			from, to := at(t, "2011-06-01T00:00Z"), at(t, "2013-06-01T00:00Z")
			all := w.Between(from, to, Widest, 0)
			for i := 1; i < len(all); i++ {
				if all[i].Date.Compare(all[i-1].Date) <= 0 || all[i].Start.Before(all[i-1].Start) || all[i].End.Before(all[i-1].End) {
					t.Fatalf("%s %s: %v after %v", name, text, all[i], all[i-1])
				}
			}
			middle := from.Add(time.Duration(rnd.Int64N(int64(to.Sub(from)))))
			seen := map[Date]bool{}
			for _, o := range append(w.Between(from, middle, Widest, 0), w.Between(middle, to, Widest, 0)...) {
				seen[o.Date] = true
			}
			for _, o := range all {
				// An empty one exactly where the spans meet is in neither.
				if !seen[o.Date] && !o.Start.Equal(middle) {
					t.Fatalf("%s %s: %v is lost where the spans meet at %s", name, text, o, middle)
				}
			}
		}
	}
}

func FuzzParseRule(f *testing.F) {
	for _, seed := range []string{
		"FREQ=DAILY", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;UNTIL=20271231T235959Z", "FREQ=MONTHLY;BYDAY=-1FR;COUNT=3",
		"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "RRULE:FREQ=DAILY\nEXDATE;TZID=Europe/Oslo:20270101T000000", "FREQ=YEARLY;BYDAY=53MO",
		"FREQ=DAILY;BYHOUR=1", "freq=weekly;byday=+2mo", "FREQ=MONTHLY;BYMONTHDAY=-31;INTERVAL=1000",
	} {
		f.Add(seed, int16(0), uint16(150))
	}
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, shift int16, start uint16) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		again, err := ParseRule(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%q is written as %q, which is read as %q: %v", text, r, again, err)
		}
		w := Window{First: Date{2027, time.January, 1}.AddDays(int(shift)), Start: Hour(start % (24 * 60)), EndDays: 1, Zone: z, Rule: r}
		from := time.Date(2027, time.March, 1, 0, 0, 0, 0, time.UTC)
		found := w.Between(from, from.AddDate(2, 0, 0), Widest, 0)
		for i, o := range found {
			if o.End.Before(o.Start) || (i > 0 && o.Start.Before(found[i-1].Start)) {
				t.Fatalf("%q: occurrence %v", text, o)
			}
		}
	})
}

func FuzzResolve(f *testing.F) {
	f.Add(uint8(1), int32(9948), uint16(150))
	f.Add(uint8(5), int32(4381), uint16(0))
	var locations []*time.Location
	for _, name := range zones {
		z, err := time.LoadLocation(name)
		if err != nil {
			f.Fatal(err)
		}
		locations = append(locations, z)
	}
	f.Fuzz(func(t *testing.T, i uint8, days int32, minutes uint16) {
		z := locations[int(i)%len(locations)]
		d, h := Date{2000, time.January, 1}.AddDays(int(days%80_000)), Hour(minutes%(24*60))
		first, last := Resolve(d, h, z, Earlier), Resolve(d, h, z, Later)
		if last.Before(first) {
			t.Fatalf("%s %s %s: %s, then %s", z, d, h, first, last)
		}
		// The clock never shows a later local time before it, and never an earlier one after.
		local := d.utc().Add(time.Duration(h) * time.Minute)
		show := func(at time.Time) time.Time {
			l := at.In(z)
			return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
		}
		if show(last).Before(local) {
			t.Fatalf("%s %s %s: at %s the clock shows %s", z, d, h, last, show(last))
		}
	})
}

func BenchmarkDailyFor18Months(b *testing.B) {
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	w := Window{First: Date{2020, time.January, 1}, Start: 22 * 60, End: 6 * 60, EndDays: 1, Zone: z, Rule: Rule{Freq: Daily, Interval: 1}}
	from := time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC)
	for b.Loop() {
		if n := len(w.Between(from, from.AddDate(0, 18, 0), Widest, 0)); n < 540 {
			b.Fatal(n)
		}
	}
}
