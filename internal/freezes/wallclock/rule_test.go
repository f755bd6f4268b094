package wallclock

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRulesExpandToLocalDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, first string
		want        string // the first dates
	}{
		{"FREQ=DAILY", "2027-03-27", "2027-03-27 2027-03-28 2027-03-29"},
		{"FREQ=DAILY;INTERVAL=10", "2027-03-27", "2027-03-27 2027-04-06 2027-04-16"},
		{"FREQ=DAILY;BYDAY=SA,SU", "2027-03-24", "2027-03-27 2027-03-28 2027-04-03"},
		{"FREQ=DAILY;BYMONTH=12;BYMONTHDAY=24,-1", "2027-01-01", "2027-12-24 2027-12-31 2028-12-24"},
		{"FREQ=DAILY;COUNT=2", "2027-03-27", "2027-03-27 2027-03-28"},
		{"FREQ=WEEKLY", "2027-01-06", "2027-01-06 2027-01-13 2027-01-20"},
		{"FREQ=WEEKLY;BYDAY=FR", "2027-01-06", "2027-01-08 2027-01-15 2027-01-22"},
		{"FREQ=WEEKLY;BYDAY=SU,MO", "2027-01-06", "2027-01-10 2027-01-11 2027-01-17"},
		{"FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR", "2027-01-06", "2027-01-08 2027-01-18 2027-01-22"},
		{"FREQ=WEEKLY;BYDAY=WE;UNTIL=20270113", "2027-01-06", "2027-01-06 2027-01-13"},
		{"FREQ=WEEKLY;BYDAY=WE;UNTIL=20270113T215959Z", "2027-01-06", "2027-01-06"},
		{"FREQ=WEEKLY;BYDAY=WE;UNTIL=20270113T220000Z", "2027-01-06", "2027-01-06 2027-01-13"},
		{"FREQ=WEEKLY;BYDAY=WE;UNTIL=20270113T215900", "2027-01-06", "2027-01-06"},
		{"FREQ=WEEKLY;BYMONTH=2", "2027-01-06", "2027-02-03 2027-02-10 2027-02-17"},
		{"FREQ=MONTHLY", "2027-01-31", "2027-01-31 2027-03-31 2027-05-31"},
		{"FREQ=MONTHLY;BYMONTHDAY=-1", "2027-01-06", "2027-01-31 2027-02-28 2027-03-31"},
		{"FREQ=MONTHLY;BYMONTHDAY=-2,1", "2027-01-06", "2027-01-30 2027-02-01 2027-02-27"},
		{"FREQ=MONTHLY;BYDAY=2TU", "2027-01-06", "2027-01-12 2027-02-09 2027-03-09"},
		{"FREQ=MONTHLY;BYDAY=-1FR", "2027-01-06", "2027-01-29 2027-02-26 2027-03-26"},
		{"FREQ=MONTHLY;BYDAY=+1MO,-1MO", "2027-01-06", "2027-01-25 2027-02-01 2027-02-22"},
		{"FREQ=MONTHLY;BYDAY=5TH", "2027-01-06", "2027-04-29 2027-07-29 2027-09-30"},
		{"FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "2027-01-06", "2027-08-13 2028-10-13 2029-04-13"},
		{"FREQ=MONTHLY;INTERVAL=3;BYDAY=SA", "2027-01-06", "2027-01-09 2027-01-16 2027-01-23"},
		{"FREQ=YEARLY", "2028-02-29", "2028-02-29 2032-02-29 2036-02-29"},
		{"FREQ=YEARLY;BYMONTH=6,12", "2027-01-15", "2027-06-15 2027-12-15 2028-06-15"},
		{"FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", "2027-01-01", "2027-11-25 2028-11-23 2029-11-22"},
		{"FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=15", "2026-12-15", "2026-12-15 2027-12-15 2028-12-15"},
		{"FREQ=YEARLY;BYDAY=1MO", "2027-01-01", "2027-01-04 2028-01-03 2029-01-01"},
		{"FREQ=YEARLY;BYDAY=-1SU", "2027-01-01", "2027-12-26 2028-12-31 2029-12-30"},
		{"FREQ=YEARLY;BYDAY=20MO", "1997-05-19", "1997-05-19 1998-05-18 1999-05-17"}, // RFC 5545, 3.8.5.3
		{"FREQ=YEARLY;BYMONTHDAY=31", "2027-01-01", "2027-01-31 2027-03-31 2027-05-31"},
		{"RRULE:FREQ=WEEKLY\nEXDATE:20270113\nRDATE;VALUE=DATE:20270115", "2027-01-06", "2027-01-06 2027-01-15 2027-01-20"},
		{"FREQ=WEEKLY;COUNT=3\nEXDATE:20270113T220000", "2027-01-06", "2027-01-06 2027-01-20"}, // what is left out counts
		{"FREQ=WEEKLY;COUNT=1\nRDATE:20261201,20270106,20270301", "2027-01-06", "2026-12-01 2027-01-06 2027-03-01"},
	} {
		r, err := ParseRule(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		w := Window{First: day(t, c.first), Start: hour(t, "22:00"), End: hour(t, "23:00"), Zone: time.UTC, Rule: r}
		var got []string
		for _, o := range w.Between(at(t, "1990-01-01T00:00Z"), at(t, "2100-01-01T00:00Z"), Widest, 3) {
			got = append(got, o.Date.String())
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s from %s: %s, want %s", c.rule, c.first, text, c.want)
		}
		if w.Never() {
			t.Errorf("%s never comes", c.rule)
		}
	}
}

func TestUnsupportedPartsAreNamed(t *testing.T) {
	t.Parallel()
	for rule, part := range map[string]string{
		"":                                     "FREQ",
		"EXDATE:20270101":                      "FREQ",
		"INTERVAL=2":                           "FREQ",
		"FREQ=HOURLY":                          "FREQ",
		"FREQ=SECONDLY;COUNT=2":                "FREQ",
		"FREQ=DAILY;BYHOUR=3":                  "BYHOUR",
		"FREQ=DAILY;BYSETPOS=1":                "BYSETPOS",
		"FREQ=YEARLY;BYWEEKNO=3":               "BYWEEKNO",
		"FREQ=YEARLY;BYYEARDAY=3":              "BYYEARDAY",
		"FREQ=WEEKLY;WKST=SU":                  "WKST",
		"FREQ=DAILY;RSCALE=GREGORIAN":          "RSCALE",
		"FREQ=DAILY;INTERVAL=0":                "INTERVAL",
		"FREQ=DAILY;INTERVAL=x":                "INTERVAL",
		"FREQ=DAILY;COUNT=0":                   "COUNT",
		"FREQ=DAILY;COUNT=10001":               "COUNT",
		"FREQ=DAILY;COUNT=2;UNTIL=20270101":    "UNTIL",
		"FREQ=DAILY;UNTIL=tomorrow":            "UNTIL",
		"FREQ=DAILY;UNTIL=20270101T25":         "UNTIL",
		"FREQ=DAILY;FREQ=DAILY":                "FREQ",
		"FREQ=DAILY;COUNT":                     "COUNT",
		"FREQ=DAILY;;COUNT=1":                  "",
		"FREQ=WEEKLY;BYDAY=XX":                 "BYDAY",
		"FREQ=WEEKLY;BYDAY=2MO":                "BYDAY",
		"FREQ=MONTHLY;BYDAY=0MO":               "BYDAY",
		"FREQ=MONTHLY;BYDAY=6MO":               "BYDAY",
		"FREQ=YEARLY;BYDAY=54MO":               "BYDAY",
		"FREQ=YEARLY;BYMONTH=1;BYDAY=20MO":     "BYDAY",
		"FREQ=YEARLY;BYMONTHDAY=1;BYDAY=20MO":  "BYDAY",
		"FREQ=WEEKLY;BYDAY=MO,MO":              "BYDAY",
		"FREQ=WEEKLY;BYMONTHDAY=1":             "BYMONTHDAY",
		"FREQ=MONTHLY;BYMONTHDAY=0":            "BYMONTHDAY",
		"FREQ=MONTHLY;BYMONTHDAY=32":           "BYMONTHDAY",
		"FREQ=YEARLY;BYMONTH=13":               "BYMONTH",
		"FREQ=DAILY\nRRULE:FREQ=DAILY":         "RRULE",
		"FREQ=DAILY\nEXDATE:never":             "EXDATE",
		"FREQ=DAILY\nRDATE;X=1:20270101":       "RDATE",
		"FREQ=DAILY\nEXRULE:FREQ=DAILY":        "RRULE",
		"DTSTART:20270101T000000\nFREQ=DAILY":  "DTSTART:20270101T000000",
		"FREQ=DAILY\nRDATE;VALUE=PERIOD:20270": "RDATE",
	} {
		r, err := ParseRule(rule)
		bad, ok := errors.AsType[*PartError](err)
		if !ok || bad.Part != part || bad.Message == "" {
			t.Errorf("%q: %v (%s), want the part %q", rule, err, r, part)
		}
	}
}

func TestALongWayAheadIsReachedWithoutCounting(t *testing.T) {
	t.Parallel()
	r, err := ParseRule("FREQ=WEEKLY;INTERVAL=3;BYDAY=TU")
	if err != nil {
		t.Fatal(err)
	}
	w := Window{First: day(t, "2001-01-02"), Start: 0, End: 60, Zone: zone(t, "Europe/Berlin"), Rule: r}
	var all []Date
	for _, o := range w.Between(at(t, "2000-01-01T00:00Z"), at(t, "2030-01-01T00:00Z"), Widest, 0) {
		all = append(all, o.Date)
	}
	from := at(t, "2027-05-05T00:00Z")
	var late []Date
	for _, o := range w.Between(from, at(t, "2030-01-01T00:00Z"), Widest, 0) {
		late = append(late, o.Date)
	}
	if len(late) == 0 {
		t.Fatal("nothing found")
	}
	if diff := cmp.Diff(all[len(all)-len(late):], late); diff != "" {
		t.Error(diff)
	}
}

func TestARuleThatNoDayFitsNeverComes(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;UNTIL=20200101", "FREQ=DAILY;COUNT=1\nEXDATE:20270101"} {
		r, err := ParseRule(rule)
		if err != nil {
			t.Fatal(err)
		}
		if w := (Window{First: day(t, "2027-01-01"), Start: 0, End: 60, Zone: time.UTC, Rule: r}); !w.Never() {
			t.Errorf("%s comes", rule)
		}
	}
}
