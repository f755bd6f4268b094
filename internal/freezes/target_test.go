package freezes

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/form"
)

func TestScopeMeetsTarget(t *testing.T) {
	t.Parallel()
	db1, shop, web1 := uuid.New(), uuid.New(), uuid.New()
	target := Target{
		AssetIDs: []uuid.UUID{db1}, ServiceIDs: []uuid.UUID{shop}, Environments: []string{"prod"}, AssetTags: []string{"pci"}, AssetTypes: []string{"database"},
		ChangeType: "normal", Risk: "medium",
		Downstream: Footprint{AssetIDs: []uuid.UUID{web1}, Environments: []string{"staging"}, AssetTypes: []string{"application"}},
	}
	for name, c := range map[string]struct {
		scope Scope
		want  Reach
		stops bool
	}{
		"everything":                       {Scope{}, Direct, true},
		"its environment":                  {Scope{Environments: []string{"prod", "dev"}}, Direct, true},
		"another environment":              {Scope{Environments: []string{"dev"}}, Missed, false},
		"its asset":                        {Scope{AssetIDs: []uuid.UUID{db1}}, Direct, true},
		"its service":                      {Scope{ServiceIDs: []uuid.UUID{shop}}, Direct, true},
		"the service as an asset":          {Scope{AssetIDs: []uuid.UUID{shop}}, Direct, true},
		"asset or service, one is enough":  {Scope{AssetIDs: []uuid.UUID{uuid.New()}, ServiceIDs: []uuid.UUID{shop}}, Direct, true},
		"environment and tag":              {Scope{Environments: []string{"prod"}, AssetTags: []string{"pci"}}, Direct, true},
		"environment and another tag":      {Scope{Environments: []string{"prod"}, AssetTags: []string{"gdpr"}}, Missed, false},
		"its type of asset":                {Scope{AssetTypes: []string{"database"}}, Direct, true},
		"its type of change":               {Scope{ChangeTypes: []string{"normal"}}, Direct, true},
		"another type of change":           {Scope{ChangeTypes: []string{"standard"}}, Missed, false},
		"its risk":                         {Scope{MinRisk: "medium"}, Direct, true},
		"a higher risk":                    {Scope{MinRisk: "high"}, Missed, false},
		"only downstream":                  {Scope{AssetIDs: []uuid.UUID{web1}}, Downstream, false},
		"downstream that is included":      {Scope{AssetIDs: []uuid.UUID{web1}, IncludeDownstream: true}, Downstream, true},
		"downstream needs all conditions":  {Scope{AssetIDs: []uuid.UUID{web1}, Environments: []string{"prod"}}, Missed, false},
		"downstream with its environment":  {Scope{AssetTypes: []string{"application"}, Environments: []string{"staging"}}, Downstream, false},
		"an asset that nobody has touched": {Scope{AssetIDs: []uuid.UUID{uuid.New()}}, Missed, false},
	} {
		if got := c.scope.Reach(target); got != c.want || c.scope.Stops(target) != c.stops {
			t.Errorf("%s: reach %d, stops %v; want %d, %v", name, got, c.scope.Stops(target), c.want, c.stops)
		}
	}
	if got := (Scope{MinRisk: "critical"}).Reach(Target{}); got != Direct {
		t.Errorf("a risk that is not known: %d", got)
	}
}

func TestScopeGrows(t *testing.T) {
	t.Parallel()
	a, b := uuid.New(), uuid.New()
	for name, c := range map[string]struct {
		old, now Scope
		want     bool
	}{
		"the same":                 {Scope{Environments: []string{"prod"}}, Scope{Environments: []string{"prod"}}, false},
		"one more environment":     {Scope{Environments: []string{"prod"}}, Scope{Environments: []string{"dev", "prod"}}, true},
		"one environment less":     {Scope{Environments: []string{"dev", "prod"}}, Scope{Environments: []string{"prod"}}, false},
		"a condition falls":        {Scope{Environments: []string{"prod"}}, Scope{}, true},
		"a condition is added":     {Scope{}, Scope{Environments: []string{"prod"}}, false},
		"another asset":            {Scope{AssetIDs: []uuid.UUID{a}}, Scope{AssetIDs: []uuid.UUID{b}}, true},
		"an asset as a service":    {Scope{AssetIDs: []uuid.UUID{a}}, Scope{ServiceIDs: []uuid.UUID{a}}, false},
		"lower risk":               {Scope{MinRisk: "high"}, Scope{MinRisk: "medium"}, true},
		"higher risk":              {Scope{MinRisk: "medium"}, Scope{MinRisk: "high"}, false},
		"any risk":                 {Scope{MinRisk: "low"}, Scope{}, true},
		"downstream too":           {Scope{}, Scope{IncludeDownstream: true}, true},
		"downstream no more":       {Scope{IncludeDownstream: true}, Scope{}, false},
		"one more type of change":  {Scope{ChangeTypes: []string{"normal"}}, Scope{ChangeTypes: []string{"normal", "standard"}}, true},
		"one type of change fewer": {Scope{ChangeTypes: []string{"normal", "standard"}}, Scope{ChangeTypes: []string{"normal"}}, false},
	} {
		if got := c.now.widerThan(c.old); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFieldsThatCannotBe(t *testing.T) {
	t.Parallel()
	once := func(edit func(*Freeze)) Freeze {
		f := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
		edit(&f)
		return f
	}
	again := func(edit func(*Freeze)) Freeze { f := weekly(Hard, "FREQ=WEEKLY"); edit(&f); return f }
	for name, c := range map[string]struct {
		f     Freeze
		field string
	}{
		"no name":               {once(func(f *Freeze) { f.Name = " " }), "name"},
		"a long name":           {once(func(f *Freeze) { f.Name = strings.Repeat("x", 121) }), "name"},
		"an unknown kind":       {once(func(f *Freeze) { f.Kind = "frozen" }), "kind"},
		"no reason":             {once(func(f *Freeze) { f.Reason = "" }), "reason"},
		"a long reason":         {once(func(f *Freeze) { f.Reason = strings.Repeat("x", 2001) }), "reason"},
		"an unknown zone":       {once(func(f *Freeze) { f.Zone = "Mars/Base" }), "time_zone"},
		"the machine's zone":    {once(func(f *Freeze) { f.Zone = "Local" }), "time_zone"},
		"no beginning":          {once(func(f *Freeze) { f.StartsAt = nil }), "starts_at"},
		"the end first":         {once(func(f *Freeze) { f.EndsAt = ptr(at("2026-12-18T17:00Z")) }), "ends_at"},
		"too long":              {once(func(f *Freeze) { f.EndsAt = ptr(at("2029-12-18T17:00Z")) }), "ends_at"},
		"long ago":              {once(func(f *Freeze) { f.StartsAt = ptr(at("1999-12-18T17:00Z")) }), "starts_at"},
		"open allowed hours":    {once(func(f *Freeze) { f.Kind, f.EndsAt = MaintenanceOnly, nil }), "ends_at"},
		"open maintenance":      {once(func(f *Freeze) { f.Kind, f.EndsAt = Maintenance, nil }), "ends_at"},
		"no first day":          {again(func(f *Freeze) { f.FirstDate = "" }), "first_date"},
		"a day that is none":    {again(func(f *Freeze) { f.FirstDate = "2027-02-29" }), "first_date"},
		"an hour that is none":  {again(func(f *Freeze) { f.LocalStart = "25:00" }), "local_start"},
		"no last hour":          {again(func(f *Freeze) { f.LocalEnd = "" }), "local_end"},
		"the end before":        {again(func(f *Freeze) { f.EndDays = 0 }), "local_end"},
		"days before":           {again(func(f *Freeze) { f.EndDays = -1 }), "end_days"},
		"too many days":         {again(func(f *Freeze) { f.EndDays = 93 }), "end_days"},
		"no rule":               {again(func(f *Freeze) { f.RRule = "" }), "rrule"},
		"an unsupported rule":   {again(func(f *Freeze) { f.RRule = "FREQ=DAILY;BYHOUR=1" }), "rrule"},
		"a rule without a day":  {again(func(f *Freeze) { f.RRule = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31" }), "rrule"},
		"a wrong day left out":  {again(func(f *Freeze) { f.ExDates = []string{"soon"} }), "exdates"},
		"a wrong extra day":     {again(func(f *Freeze) { f.RDates = []string{"2027-02-30"} }), "rdates"},
		"an unknown place":      {once(func(f *Freeze) { f.Environments = []string{"moon"} }), "environments"},
		"an unknown asset type": {once(func(f *Freeze) { f.AssetTypes = []string{"toaster"} }), "asset_types"},
		"an unknown change":     {once(func(f *Freeze) { f.ChangeTypes = []string{"big"} }), "change_types"},
		"an unknown risk":       {once(func(f *Freeze) { f.MinRisk = "some" }), "min_risk"},
		"a long tag":            {once(func(f *Freeze) { f.AssetTags = []string{strings.Repeat("x", 41)} }), "asset_tags"},
		"too many assets":       {once(func(f *Freeze) { f.AssetIDs = manyIDs(201) }), "asset_ids"},
		"too many services":     {once(func(f *Freeze) { f.ServiceIDs = manyIDs(201) }), "service_ids"},
	} {
		c.f.tidy()
		if got := form.Messages(c.f.check().Err()); got[c.field] == "" || len(got) != 1 {
			t.Errorf("%s: %v, want a message for %s", name, got, c.field)
		}
	}
	good := again(func(f *Freeze) { f.RRule, f.LocalStart = "rrule:freq=weekly;byday=fr\nEXDATE:20261225", "7:30" })
	good.tidy()
	if err := good.check().Err(); err != nil || good.RRule != "FREQ=WEEKLY;BYDAY=FR" || good.LocalStart != "07:30" || len(good.ExDates) != 1 || good.ExDates[0] != "2026-12-25" {
		t.Errorf("%v: %+v", err, good.Schedule)
	}
}

func manyIDs(n int) []uuid.UUID {
	out := make([]uuid.UUID, n)
	for i := range out {
		out[i] = uuid.New()
	}
	return out
}

func TestTheLifeOfAFreeze(t *testing.T) {
	t.Parallel()
	by := uuid.New()
	for _, c := range []struct {
		state        State
		activate     bool
		lift         bool
		whenActivate string
	}{{Draft, true, false, ""}, {Active, false, true, "freeze_active"}, {Lifted, false, false, "freeze_lifted"}} {
		f := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
		f.State = c.state
		if err := f.Activate(by, noon); (err == nil) != c.activate {
			t.Errorf("activate %s: %v", c.state, err)
		}
		f.State = c.state
		if err := f.Lift(by, noon); (err == nil) != c.lift {
			t.Errorf("lift %s: %v", c.state, err)
		}
	}
	old := span("2026-10-18T17:00Z", "2026-11-04T07:00Z")
	old.State = Draft
	if err := old.Activate(by, noon); err == nil {
		t.Error("what is over was activated")
	}
}

func TestWidening(t *testing.T) {
	t.Parallel()
	s := New(Deps{})
	base := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
	night := weekly(Hard, "FREQ=WEEKLY;BYDAY=FR")
	list := weekly(MaintenanceOnly, "FREQ=WEEKLY;BYDAY=FR")
	list.Strict = true
	for name, c := range map[string]struct {
		before Freeze
		edit   func(*Freeze)
		want   bool
	}{
		"nothing":                    {base, func(*Freeze) {}, false},
		"another reason":             {base, func(f *Freeze) { f.Reason = "x" }, false},
		"an hour longer":             {base, func(f *Freeze) { f.EndsAt = ptr(at("2027-01-04T08:00Z")) }, true},
		"an hour shorter":            {base, func(f *Freeze) { f.EndsAt = ptr(at("2027-01-04T06:00Z")) }, false},
		"earlier":                    {base, func(f *Freeze) { f.StartsAt = ptr(at("2026-12-18T16:59Z")) }, true},
		"open":                       {base, func(f *Freeze) { f.EndsAt = nil }, true},
		"only what is over is wider": {span("2026-11-10T00:00Z", "2026-11-20T00:00Z"), func(f *Freeze) { f.StartsAt = ptr(at("2026-11-01T00:00Z")) }, false},
		"a narrower scope":           {base, func(f *Freeze) { f.Environments = []string{"prod"} }, false},
		"soft":                       {base, func(f *Freeze) { f.Kind = Soft }, false},
		"soft before":                {func() Freeze { f := base; f.Kind = Soft; return f }(), func(f *Freeze) { f.Kind = Hard }, true},
		"another day":                {night, func(f *Freeze) { f.RRule = "FREQ=WEEKLY;BYDAY=FR,SA" }, true},
		"every other week":           {night, func(f *Freeze) { f.RRule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR" }, false},
		"a day left out":             {night, func(f *Freeze) { f.ExDates = []string{"2026-12-25"} }, false},
		"an extra day":               {night, func(f *Freeze) { f.RDates = []string{"2026-12-24"} }, true},
		"the same hours elsewhere":   {night, func(f *Freeze) { f.Zone = "Europe/Oslo" }, false},
		"other hours elsewhere":      {night, func(f *Freeze) { f.Zone = "Europe/London" }, true},
		"an end that was not":        {night, func(f *Freeze) { f.RRule = "FREQ=WEEKLY;BYDAY=FR;UNTIL=20270101" }, false},
		"more hours allowed":         {list, func(f *Freeze) { f.RRule = "FREQ=WEEKLY;BYDAY=FR,SA" }, false},
		"fewer hours allowed":        {list, func(f *Freeze) { f.RRule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR" }, true},
		"strict":                     {func() Freeze { f := list; f.Strict = false; return f }(), func(f *Freeze) { f.Strict = true }, true},
	} {
		after := c.before
		c.edit(&after)
		got, err := s.widens(c.before, after, noon)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestScheduleInWords(t *testing.T) {
	t.Parallel()
	with := func(rule, first string) Freeze { f := weekly(Hard, rule); f.FirstDate = first; return f }
	open := span("2026-12-18T17:00Z", "2027-01-04T07:00Z")
	open.EndsAt = nil
	for _, c := range []struct {
		f    Freeze
		want string
	}{
		{span("2026-12-18T17:00Z", "2027-01-04T07:00Z"), "18 Dec 2026, 18:00 to 4 Jan 2027, 08:00 CET"},
		{open, "From 18 Dec 2026, 18:00 CET until it is lifted"},
		{with("FREQ=WEEKLY;BYDAY=FR,SA", "2026-11-01"), "Every week on Friday and Saturday, 22:00 to 02:00 the next day Europe/Berlin"},
		{with("FREQ=WEEKLY", "2026-11-02"), "Every week on Monday, 22:00 to 02:00 the next day Europe/Berlin"},
		{with("FREQ=DAILY;INTERVAL=2;COUNT=5", "2026-11-02"), "Every 2 days, 5 times, 22:00 to 02:00 the next day Europe/Berlin"},
		{with("FREQ=MONTHLY;BYDAY=-1FR", "2026-11-02"), "Every month on the last Friday, 22:00 to 02:00 the next day Europe/Berlin"},
		{with("FREQ=MONTHLY;BYDAY=2TU", "2026-11-02"), "Every month on the 2nd Tuesday, 22:00 to 02:00 the next day Europe/Berlin"},
		{with("FREQ=MONTHLY", "2026-11-22"), "Every month on the 22nd, 22:00 to 02:00 the next day Europe/Berlin"},
		{with("FREQ=YEARLY", "2026-12-24"), "Every year on 24 December, 22:00 to 02:00 the next day Europe/Berlin"},
		{with("FREQ=YEARLY;BYMONTH=3,6;BYMONTHDAY=-1;UNTIL=20300101", "2026-12-24"), "Every year on the last day in March and June until 2030-01-01, 22:00 to 02:00 the next day Europe/Berlin"},
	} {
		if got := c.f.ScheduleText(); got != c.want {
			t.Errorf("%s: %q, want %q", c.f.RRule, got, c.want)
		}
	}
	if got := (Scope{Environments: []string{"prod"}, AssetTags: []string{"pci"}, MinRisk: "high"}).ScopeText(); got != "Production, tagged pci, risk high and above" {
		t.Errorf("scope %q", got)
	}
}

func TestTheLastGapBeforeTheEnd(t *testing.T) {
	t.Parallel()
	h := func(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Hour))) }
	taken := func(from, to float64) Interval { return Interval{Start: h(from), End: h(to)} }
	all := taken(0, 20)
	for _, c := range []struct {
		taken []Interval
		from  float64
		to    float64
		ok    bool
	}{
		{nil, 0, 20, true},
		{[]Interval{taken(5, 30)}, 0, 5, true},
		{[]Interval{taken(0, 30)}, 0, 0, false},
		{[]Interval{taken(0, 8), taken(10, 30)}, 8, 10, true},
		{[]Interval{taken(0, 19), taken(19.5, 30)}, 0, 0, false}, // half an hour is not enough
	} {
		got, ok := lastGap(all, c.taken, time.Hour)
		if ok != c.ok || (ok && (!got.Start.Equal(h(c.from)) || !got.End.Equal(h(c.to)))) {
			t.Errorf("%v: %v %v", c.taken, got, ok)
		}
	}
}
