package wallclock

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02T15:04Z", time.RFC3339} {
		if v, err := time.Parse(layout, text); err == nil {
			return v
		}
	}
	t.Fatalf("%q is no time", text)
	return time.Time{}
}

func day(t testing.TB, text string) Date {
	t.Helper()
	d, err := ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func hour(t testing.TB, text string) Hour {
	t.Helper()
	h, err := ParseHour(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The local times around each change of the clock. Expected instants were worked out by
// hand from the published transitions, not taken from the time package.
func TestResolveAtTheEdgesOfTheClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, date, hour, earlier, later, rfc string }{
		{"UTC", "2027-03-28", "02:30", "2027-03-28T02:30Z", "2027-03-28T02:30Z", "2027-03-28T02:30Z"},
		// Berlin goes forward at 02:00 and back at 03:00 local time.
		{"Europe/Berlin", "2027-03-28", "01:59", "2027-03-28T00:59Z", "2027-03-28T00:59Z", "2027-03-28T00:59Z"},
		{"Europe/Berlin", "2027-03-28", "02:00", "2027-03-28T01:00Z", "2027-03-28T01:00Z", "2027-03-28T01:00Z"},
		{"Europe/Berlin", "2027-03-28", "02:30", "2027-03-28T01:00Z", "2027-03-28T01:00Z", "2027-03-28T01:30Z"},
		{"Europe/Berlin", "2027-03-28", "03:00", "2027-03-28T01:00Z", "2027-03-28T01:00Z", "2027-03-28T01:00Z"},
		{"Europe/Berlin", "2026-10-25", "01:59", "2026-10-24T23:59Z", "2026-10-24T23:59Z", "2026-10-24T23:59Z"},
		{"Europe/Berlin", "2026-10-25", "02:00", "2026-10-25T00:00Z", "2026-10-25T01:00Z", "2026-10-25T00:00Z"},
		{"Europe/Berlin", "2026-10-25", "02:30", "2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T00:30Z"},
		{"Europe/Berlin", "2026-10-25", "03:00", "2026-10-25T02:00Z", "2026-10-25T02:00Z", "2026-10-25T02:00Z"},
		{"America/New_York", "2027-03-14", "02:30", "2027-03-14T07:00Z", "2027-03-14T07:00Z", "2027-03-14T07:30Z"},
		{"America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30Z", "2026-11-01T06:30Z", "2026-11-01T05:30Z"},
		// Lord Howe moves by half an hour: 02:00 becomes 02:30, and 02:00 becomes 01:30.
		{"Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30Z", "2026-10-03T15:30Z", "2026-10-03T15:45Z"},
		{"Australia/Lord_Howe", "2026-10-04", "02:30", "2026-10-03T15:30Z", "2026-10-03T15:30Z", "2026-10-03T15:30Z"},
		{"Australia/Lord_Howe", "2027-04-04", "01:45", "2027-04-03T14:45Z", "2027-04-03T15:15Z", "2027-04-03T14:45Z"},
		{"Australia/Lord_Howe", "2027-04-04", "02:00", "2027-04-03T15:30Z", "2027-04-03T15:30Z", "2027-04-03T15:30Z"},
		// São Paulo used to go forward at midnight: the day began at one.
		{"America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04T03:00Z", "2018-11-04T03:00Z", "2018-11-04T03:00Z"},
		{"America/Sao_Paulo", "2018-11-04", "00:30", "2018-11-04T03:00Z", "2018-11-04T03:00Z", "2018-11-04T03:30Z"},
		{"America/Sao_Paulo", "2018-02-17", "23:30", "2018-02-18T01:30Z", "2018-02-18T02:30Z", "2018-02-18T01:30Z"},
		// Samoa crossed the date line: 30 December 2011 did not exist.
		{"Pacific/Apia", "2011-12-29", "23:59", "2011-12-30T09:59Z", "2011-12-30T09:59Z", "2011-12-30T09:59Z"},
		{"Pacific/Apia", "2011-12-30", "00:00", "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-30T10:00Z"},
		{"Pacific/Apia", "2011-12-30", "12:00", "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-30T22:00Z"},
		{"Pacific/Apia", "2011-12-31", "00:00", "2011-12-30T10:00Z", "2011-12-30T10:00Z", "2011-12-30T10:00Z"},
	} {
		d, h, z := day(t, c.date), hour(t, c.hour), zone(t, c.zone)
		if got := Resolve(d, h, z, Earlier); !got.Equal(at(t, c.earlier)) {
			t.Errorf("%s %s %s earlier: %s, want %s", c.zone, c.date, c.hour, got, c.earlier)
		}
		if got := Resolve(d, h, z, Later); !got.Equal(at(t, c.later)) {
			t.Errorf("%s %s %s later: %s, want %s", c.zone, c.date, c.hour, got, c.later)
		}
		if got := ResolveRFC5545(d, h, z); !got.Equal(at(t, c.rfc)) {
			t.Errorf("%s %s %s by RFC 5545: %s, want %s", c.zone, c.date, c.hour, got, c.rfc)
		}
	}
}

func TestOccurrencesByMode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, zone, date, start, end string
		days                         int
		mode                         Mode
		from, to                     string
	}{
		{"a daily freeze in the gap keeps what exists", "Europe/Berlin", "2027-03-28", "02:30", "03:30", 0, Widest, "2027-03-28T01:00Z", "2027-03-28T01:30Z"},
		{"hours that do not exist at all are empty", "Europe/Berlin", "2027-03-28", "02:00", "03:00", 0, Widest, "2027-03-28T01:00Z", "2027-03-28T01:00Z"},
		{"overnight lasts seven hours in spring", "Europe/Berlin", "2027-03-27", "22:00", "06:00", 1, Widest, "2027-03-27T21:00Z", "2027-03-28T04:00Z"},
		{"overnight lasts nine hours in autumn", "Europe/Berlin", "2026-10-24", "22:00", "06:00", 1, Widest, "2026-10-24T20:00Z", "2026-10-25T05:00Z"},
		{"a freeze takes the doubled hour twice", "Europe/Berlin", "2026-10-25", "02:00", "02:45", 0, Widest, "2026-10-25T00:00Z", "2026-10-25T01:45Z"},
		{"allowed hours take it once, at the end", "Europe/Berlin", "2026-10-25", "02:30", "04:00", 0, Narrowest, "2026-10-25T01:30Z", "2026-10-25T03:00Z"},
		{"allowed hours take it once, at the start", "Europe/Berlin", "2026-10-25", "01:00", "02:30", 0, Narrowest, "2026-10-24T23:00Z", "2026-10-25T00:30Z"},
		{"allowed hours inside the doubled hour are empty", "Europe/Berlin", "2026-10-25", "02:15", "02:45", 0, Narrowest, "2026-10-25T01:15Z", "2026-10-25T01:15Z"},
		{"maintenance lasts as long as ever", "Europe/Berlin", "2027-03-28", "02:30", "03:30", 0, Elapsed, "2027-03-28T01:30Z", "2027-03-28T02:30Z"},
		{"maintenance begins in the first of two hours", "America/New_York", "2026-11-01", "01:30", "02:30", 0, Elapsed, "2026-11-01T05:30Z", "2026-11-01T06:30Z"},
		{"a day that was skipped is empty", "Pacific/Apia", "2011-12-30", "08:00", "18:00", 0, Widest, "2011-12-30T10:00Z", "2011-12-30T10:00Z"},
		{"midnight that was skipped begins at one", "America/Sao_Paulo", "2018-11-04", "00:00", "06:00", 0, Widest, "2018-11-04T03:00Z", "2018-11-04T08:00Z"},
		{"half an hour is enough to matter", "Australia/Lord_Howe", "2026-10-04", "02:00", "03:00", 0, Widest, "2026-10-03T15:30Z", "2026-10-03T16:00Z"},
		{"three days", "UTC", "2027-01-01", "18:00", "08:00", 3, Widest, "2027-01-01T18:00Z", "2027-01-04T08:00Z"},
	} {
		w := Window{First: day(t, c.date), Start: hour(t, c.start), End: hour(t, c.end), EndDays: c.days, Zone: zone(t, c.zone)}
		o := w.At(w.First, c.mode)
		if !o.Start.Equal(at(t, c.from)) || !o.End.Equal(at(t, c.to)) {
			t.Errorf("%s: %s to %s, want %s to %s", c.name, o.Start, o.End, c.from, c.to)
		}
	}
}

// TestTheTimePackageWouldNotDo keeps the reason for this package: were it to agree one day,
// the package could go.
func TestTheTimePackageWouldNotDo(t *testing.T) {
	t.Parallel()
	ny := zone(t, "America/New_York")
	naive := time.Date(2027, time.March, 14, 2, 30, 0, 0, ny)
	if ours := Resolve(Date{2027, time.March, 14}, 150, ny, Earlier); ours.Equal(naive) {
		t.Errorf("time.Date now says %s as well", naive.UTC())
	}
}

func TestMergeAndOutside(t *testing.T) {
	t.Parallel()
	base := time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC)
	span := func(from, to int) Interval {
		return Interval{Start: base.Add(time.Duration(from) * time.Hour), End: base.Add(time.Duration(to) * time.Hour)}
	}
	merged := Merge([]Interval{span(5, 6), span(1, 3), span(2, 4), span(4, 5), span(9, 9), span(12, 10), span(8, 9)})
	want := []Interval{span(1, 6), span(8, 9)}
	if len(merged) != 2 || merged[0] != want[0] || merged[1] != want[1] {
		t.Errorf("merged %v, want %v", merged, want)
	}
	out := Outside(span(0, 12), merged)
	want = []Interval{span(0, 1), span(6, 8), span(9, 12)}
	if len(out) != 3 || out[0] != want[0] || out[1] != want[1] || out[2] != want[2] {
		t.Errorf("outside %v, want %v", out, want)
	}
	if got := Outside(span(2, 5), merged); len(got) != 0 {
		t.Errorf("outside of what is covered: %v", got)
	}
	if span(1, 2).Overlaps(span(2, 3)) || !span(1, 3).Overlaps(span(2, 4)) || span(2, 2).Overlaps(span(1, 3)) || span(1, 3).Overlaps(span(2, 2)) {
		t.Error("the end belongs to no interval, and an empty one meets nothing")
	}
}

func TestParseHoursAndDates(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "24:00", "12:60", "12", "1:2", "+1:00", "-1:00", "12:000", "aa:bb", "12:-1"} {
		if h, err := ParseHour(bad); err == nil {
			t.Errorf("%q was read as %s", bad, h)
		}
	}
	if h := hour(t, "7:05"); h.String() != "07:05" {
		t.Errorf("%s", h)
	}
	for _, bad := range []string{"", "2027-02-29", "2027-13-01", "20270229", "tomorrow", "2027-1-1"} {
		if d, err := ParseDate(bad); err == nil {
			t.Errorf("%q was read as %s", bad, d)
		}
	}
	if d := day(t, "20280229"); d.String() != "2028-02-29" || (Date{}).String() != "" {
		t.Errorf("%s", d)
	}
}

func TestZoneVersionTellsZonesApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe"} {
		v := ZoneVersion(zone(t, name))
		if len(v) != 16 || seen[v] != "" {
			t.Errorf("%s has version %q, as %s", name, v, seen[v])
		}
		seen[v] = name
		if again := ZoneVersion(zone(t, name)); again != v {
			t.Errorf("%s: %s, then %s", name, v, again)
		}
	}
}
