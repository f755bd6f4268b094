package auditlog

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

var noon = time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)

func TestTimesAreReadInTheZoneOfTheReader(t *testing.T) {
	t.Parallel()
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		filter   Filter
		from, to time.Time
	}{
		{"nothing asked: 90 days, and an open end", Filter{}, noon.Add(-90 * day), noon.Add(ahead)},
		{"a window", Filter{Window: "7d"}, noon.Add(-7 * day), noon.Add(ahead)},
		{
			"the day on which clocks go forward has 23 hours",
			Filter{From: "2026-03-29", To: "2026-03-29"},
			time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 22, 0, 0, 0, time.UTC),
		},
		{
			"local times",
			Filter{From: "2026-03-01T08:30", To: "2026-03-01T09:00"},
			time.Date(2026, 3, 1, 7, 30, 0, 0, time.UTC), time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC),
		},
		{
			"times with a zone",
			Filter{From: "2026-03-01T08:30:00Z", To: "2026-03-01T09:00:00-02:00"},
			time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC), time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
		},
		{
			"an end alone",
			Filter{To: "2026-02-01T00:00:00Z"},
			time.Date(2025, 11, 3, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		},
		{"a start is stronger than a window", Filter{From: "2026-03-01T00:00:00Z", Window: "24h"}, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), noon.Add(ahead)},
	} {
		got, err := c.filter.Parse(noon, oslo)
		if err != nil || !got.From.Equal(c.from) || !got.To.Equal(c.to) {
			t.Errorf("%s: from %s to %s, %v; want %s to %s", c.name, got.From, got.To, err, c.from, c.to)
		}
	}
}

func TestEveryMistakeOfAFilterIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter Filter
		fields []string
	}{
		{Filter{Actor: "mara"}, []string{"actor"}},
		{Filter{Action: "Host Created"}, []string{"action"}},
		{Filter{Action: "*"}, nil},
		{Filter{Action: ".host"}, []string{"action"}},
		{Filter{Outcome: "ok", Category: "fun", Window: "2h"}, []string{"outcome", "category", "window"}},
		{Filter{From: "yesterday", To: "2026-03-01"}, []string{"from"}},
		{Filter{To: "31.12.2026"}, []string{"to"}},
		{Filter{From: "2026-03-02", To: "2026-03-01"}, []string{"from"}},
		{Filter{Text: "%%% ''"}, []string{"q"}},
		{Filter{Text: "a\x00b"}, []string{"q"}},
		{Filter{Text: strings.Repeat("a", 201)}, []string{"q"}},
		{Filter{Target: "a\x00b"}, []string{"target"}},
		{Filter{Target: "host:" + uuid.NewString(), TargetType: "person"}, []string{"target"}},
	} {
		_, err := c.filter.Parse(noon, time.UTC)
		var fields []string
		if e := fault.Find(err); e != nil {
			for _, d := range e.Details {
				fields = append(fields, d.Field)
			}
		}
		if diff := cmp.Diff(c.fields, fields); diff != "" {
			t.Errorf("%+v: %s", c.filter, diff)
		}
	}
}

func TestAFilterSurvivesItsQueryString(t *testing.T) {
	t.Parallel()
	f := Filter{
		Actor: ActorSystem, Action: "host.", TargetType: "host", Target: "a&b=c", Outcome: "denied", Category: "admin",
		Window: "7d", From: "2026-03-01", To: "2026-03-02", Text: "100% ü",
	}
	got, err := parseQuery(f.Values().Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, got); diff != "" {
		t.Error(diff)
	}
	if v := (Filter{Window: DefaultWindow}).Values(); !cmp.Equal(v, url.Values{}) {
		t.Errorf("the default window is part of the address: %v", v)
	}
}

func TestCellsThatStartAFormulaAreDefused(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"} {
		if got := export.Cell(cell); got != "'"+cell {
			t.Errorf("%q became %q", cell, got)
		}
	}
	for _, cell := range []string{"", "a=b", "1", "'=1"} {
		if got := export.Cell(cell); got != cell {
			t.Errorf("%q became %q", cell, got)
		}
	}
}

func TestNothingBetweenAPrefixAndItsEndIsMissed(t *testing.T) {
	t.Parallel()
	all := []string{"host", "host.", "host.a", "host.z_9", "host/", "hosta.b", "hostess.hired"}
	var got []string
	for _, a := range all {
		if a >= "host." && a < afterPrefix("host.") {
			got = append(got, a)
		}
	}
	if want := []string{"host.", "host.a", "host.z_9"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
