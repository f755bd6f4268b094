package integrations

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/integrations/deliver"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// problems lists field and code of each problem of an error.
func problems(err error) []string {
	var out []string
	if e := fault.Find(err); e != nil {
		for _, d := range e.Details {
			out = append(out, d.Field+" "+d.Code)
		}
		if len(e.Details) == 0 {
			out = append(out, e.Code)
		}
	}
	return out
}

func TestEveryFieldOfAnEndpointIsChecked(t *testing.T) {
	t.Parallel()
	c, err := event.NewCatalogue(thingTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	good := Endpoint{URL: "https://example.com/hook?key=1", Description: "Bot", Patterns: []string{"thing.*"}}
	for name, tc := range map[string]struct {
		change func(*Endpoint)
		want   []string
	}{
		"all right":             {func(*Endpoint) {}, nil},
		"http, port, name, all": {func(e *Endpoint) { e.URL, e.Patterns = "http://hooks:8080", []string{"*", "thing.made"} }, nil},
		"no address":            {func(e *Endpoint) { e.URL = "" }, []string{"url required"}},
		"no scheme":             {func(e *Endpoint) { e.URL = "example.com/x" }, []string{"url invalid_url"}},
		"another scheme":        {func(e *Endpoint) { e.URL = "ftp://example.com" }, []string{"url invalid_url"}},
		"no host":               {func(e *Endpoint) { e.URL = "https:///x" }, []string{"url invalid_url"}},
		"opaque":                {func(e *Endpoint) { e.URL = "https:example.com" }, []string{"url invalid_url"}},
		"blanks":                {func(e *Endpoint) { e.URL = "https://example.com/a b" }, []string{"url invalid_url"}},
		"password":              {func(e *Endpoint) { e.URL = "https://a:b@example.com" }, []string{"url invalid_url"}},
		"fragment":              {func(e *Endpoint) { e.URL = "https://example.com/#x" }, []string{"url invalid_url"}},
		"port too large":        {func(e *Endpoint) { e.URL = "https://example.com:70000" }, []string{"url invalid_url"}},
		"port zero":             {func(e *Endpoint) { e.URL = "https://example.com:0" }, []string{"url invalid_url"}},
		"address too long":      {func(e *Endpoint) { e.URL = "https://example.com/" + strings.Repeat("x", 2000) }, []string{"url too_long"}},
		"description too long":  {func(e *Endpoint) { e.Description = strings.Repeat("x", 201) }, []string{"description too_long"}},
		"NUL in a text":         {func(e *Endpoint) { e.Description = "a\x00" }, []string{"description invalid_text"}},
		"no event":              {func(e *Endpoint) { e.Patterns = nil }, []string{"patterns required"}},
		"unknown event":         {func(e *Endpoint) { e.Patterns = []string{"thing.lost"} }, []string{"patterns unknown_event"}},
		"event never sent":      {func(e *Endpoint) { e.Patterns = []string{"thing.seen"} }, []string{"patterns unknown_event"}},
		"wildcard inside":       {func(e *Endpoint) { e.Patterns = []string{"thi*"} }, []string{"patterns unknown_event"}},
		"too many":              {func(e *Endpoint) { e.Patterns = slices.Repeat([]string{"thing.made"}, 101) }, []string{"patterns too_many"}},
		"everything at once":    {func(e *Endpoint) { e.URL, e.Patterns = "", nil }, []string{"url required", "patterns required"}},
	} {
		e := good
		tc.change(&e)
		if diff := cmp.Diff(tc.want, problems(checkEndpoint(e, c))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPatternsThatAnotherCoversAreDropped(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want []string }{
		{[]string{" b.x", "a.x", "a.x", ""}, []string{"a.x", "b.x"}},
		{[]string{"a.x", "a.*", "b.y"}, []string{"a.*", "b.y"}},
		{[]string{"a.*", "*", "b.y"}, []string{"*"}},
		{nil, []string{}},
	} {
		if diff := cmp.Diff(tc.want, tidyPatterns(tc.in)); diff != "" {
			t.Errorf("%v: %s", tc.in, diff)
		}
	}
}

func TestAnEndpointIsNotToldAboutItself(t *testing.T) {
	t.Parallel()
	e := Endpoint{ID: uuid.New(), Enabled: true, Patterns: []string{"webhook.*"}}
	about := func(id uuid.UUID) event.Event {
		return event.Event{Name: EventUpdated, Subject: event.Subject{Type: SubjectType, ID: id}}
	}
	if e.Wants(about(e.ID)) {
		t.Error("an event about the endpoint would be sent to it")
	}
	if !e.Wants(about(uuid.New())) {
		t.Error("an event about another endpoint is not sent")
	}
	e.Enabled = false
	if e.Wants(about(uuid.New())) {
		t.Error("a disabled endpoint receives events")
	}
}

func prefixes(t *testing.T, text string) []netip.Prefix {
	t.Helper()
	p, err := outbound.ParsePrefixes(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWebhooksReachPrivateAddressesOnlyByName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		mode           outbound.Mode
		loopback       bool
		operator, deny string
		networks       string
		target         string
		want           bool
	}{
		{"public", outbound.SelfHosted, false, "", "", "", "93.184.216.34:443", true},
		{"private on a self-hosted installation", outbound.SelfHosted, false, "", "", "", "10.0.0.1:443", false},
		{"private that the workspace names", outbound.SelfHosted, false, "", "", "10.0.0.0/24", "10.0.0.1:443", true},
		{"private beside what the workspace names", outbound.SelfHosted, false, "", "", "10.0.0.0/24", "10.0.1.1:443", false},
		{"private that the operator names", outbound.SelfHosted, false, "10.0.0.0/8", "", "", "10.0.0.1:443", true},
		{"hosted, the workspace cannot open anything", outbound.Hosted, false, "", "", "10.0.0.0/24", "10.0.0.1:443", false},
		{"hosted, the operator can", outbound.Hosted, false, "10.0.0.0/8", "", "", "10.0.0.1:443", true},
		{"what the operator denies stays denied", outbound.SelfHosted, false, "", "10.0.0.0/24", "10.0.0.0/24", "10.0.0.1:443", false},
		{"loopback", outbound.SelfHosted, false, "", "", "127.0.0.1", "127.0.0.1:443", false},
		{"IPv6 loopback", outbound.SelfHosted, false, "", "", "::1", "[::1]:443", false},
		{"IPv4 loopback inside IPv6", outbound.SelfHosted, false, "", "", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]:443", false},
		{"loopback that the operator opened", outbound.SelfHosted, true, "", "", "", "127.0.0.1:443", true},
		{"metadata", outbound.SelfHosted, true, "", "", "169.254.169.254", "169.254.169.254:80", false},
		{"metadata in a range of the workspace", outbound.SelfHosted, false, "", "", "169.254.0.0/16", "169.254.169.254:80", false},
		{"metadata inside a wide range", outbound.SelfHosted, false, "", "", "100.64.0.0/10", "100.100.100.200:80", false},
		{"beside metadata in a wide range", outbound.SelfHosted, false, "", "", "100.64.0.0/10", "100.100.100.201:80", true},
		{"everything", outbound.SelfHosted, false, "", "", "0.0.0.0/0", "10.0.0.1:443", false},
	} {
		p := webhookPolicy(outbound.Policy{
			Mode: tc.mode, AllowLoopback: tc.loopback, OperatorAllow: prefixes(t, tc.operator), OperatorDeny: prefixes(t, tc.deny),
		}, prefixes(t, tc.networks))
		if got := p.Judge(netip.MustParseAddrPort(tc.target)); got.Allowed != tc.want {
			t.Errorf("%s: %+v, want allowed %v", tc.name, got, tc.want)
		}
	}
}

func TestNetworksAreCheckedAgainstTheOperator(t *testing.T) {
	t.Parallel()
	self := outbound.Policy{Mode: outbound.SelfHosted}
	hosted := outbound.Policy{Mode: outbound.Hosted, OperatorAllow: prefixes(t, "10.1.0.0/16")}
	for _, tc := range []struct {
		policy outbound.Policy
		in     string
		want   string
		bad    []string
	}{
		{self, " 10.0.0.7/8,\n10.0.0.0/8\t192.168.1.1 ", "10.0.0.0/8\n192.168.1.1/32", nil},
		{self, "", "", nil},
		{self, "ten", "", []string{"networks invalid_range"}},
		{self, "127.0.0.0/8", "127.0.0.0/8", []string{"networks not_permitted"}},
		{self, "169.254.169.254", "", []string{"networks not_permitted"}},
		{hosted, "10.1.2.0/24", "10.1.2.0/24", nil},
		{hosted, "10.0.0.0/8", "", []string{"networks not_permitted"}},
		{self, strings.Repeat("10.0.0.1 ", 51), "", []string{"networks too_many"}},
	} {
		got, err := parseNetworks(tc.policy, tc.in)
		if diff := cmp.Diff(tc.bad, problems(err)); diff != "" {
			t.Errorf("%q: %s", tc.in, diff)
		}
		if tc.bad == nil && got != tc.want {
			t.Errorf("%q: %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestAnAttemptDecidesWhatComesNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	for _, tc := range []struct {
		name    string
		attempt deliver.Attempt
		try     int
		failing *time.Time
		state   State
		low     time.Duration
		high    time.Duration
		disable DisabledReason
	}{
		{"success", deliver.Attempt{Outcome: deliver.Success}, 3, ago(time.Hour), Delivered, 0, 0, ""},
		{"first failure", deliver.Attempt{Outcome: deliver.Retry}, 1, nil, Pending, 5 * time.Second, 5500 * time.Millisecond, ""},
		{"second failure", deliver.Attempt{Outcome: deliver.Retry}, 2, ago(time.Minute), Pending, 5 * time.Minute, 330 * time.Second, ""},
		{"ninth failure", deliver.Attempt{Outcome: deliver.Retry}, 9, ago(52 * time.Hour), Pending, 24 * time.Hour, 27 * time.Hour, ""},
		{"last failure", deliver.Attempt{Outcome: deliver.Retry}, 10, ago(76 * time.Hour), Failed, 0, 0, ""},
		{"asked for a longer pause", deliver.Attempt{Outcome: deliver.Retry, RetryAfter: time.Hour}, 1, nil, Pending, time.Hour, time.Hour, ""},
		{"asked for a shorter pause", deliver.Attempt{Outcome: deliver.Retry, RetryAfter: time.Second}, 2, nil, Pending, 5 * time.Minute, 330 * time.Second, ""},
		{"gone", deliver.Attempt{Outcome: deliver.Gone}, 1, nil, Failed, 0, 0, DisabledGone},
		{"no request possible", deliver.Attempt{Outcome: deliver.Failed}, 1, nil, Failed, 0, 0, ""},
		{"a second short of five days", deliver.Attempt{Outcome: deliver.Retry}, 1, ago(disableAfter - time.Second), Pending, 5 * time.Second, 5500 * time.Millisecond, ""},
		{"five days", deliver.Attempt{Outcome: deliver.Retry}, 1, ago(disableAfter), Failed, 0, 0, DisabledFailing},
	} {
		v := judge(tc.attempt, tc.try, tc.failing, now)
		if v.State != tc.state || v.Disable != tc.disable || (v.NextAt != nil) != (tc.state == Pending) {
			t.Errorf("%s: %+v", tc.name, v)
		}
		if v.NextAt != nil {
			if pause := v.NextAt.Sub(now); pause < tc.low || pause > tc.high {
				t.Errorf("%s: next in %s, want %s to %s", tc.name, pause, tc.low, tc.high)
			}
		}
	}
}

func TestLanesShareWorkers(t *testing.T) {
	t.Parallel()
	enterAll := func(l *lanes, endpoint uuid.UUID, n int) (in []*ticket) {
		for range n {
			if tk, _, ok := l.enter(endpoint); ok {
				in = append(in, tk)
			}
		}
		return in
	}
	c := clock.NewFixed(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))

	for capacity, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 2, 50: 5, 100: 10} {
		if n := len(enterAll(newLanes(capacity, c), uuid.New(), 1000)); n != want {
			t.Errorf("one endpoint took %d of %d workers, want %d", n, capacity, want)
		}
	}

	l := newLanes(50, c)
	slow := make([]uuid.UUID, 40)
	for i := range slow {
		slow[i] = uuid.New()
		enterAll(l, slow[i], 1)
	}
	c.Advance(2 * time.Second)
	grown := 0
	for _, id := range slow {
		grown += len(enterAll(l, id, 5))
	}
	// 40 hold one each; half of the 10 that are free is 5, and then ever less.
	if grown != 7 {
		t.Errorf("endpoints that do not answer took %d more of 10 workers, want 7", grown)
	}

	l = newLanes(50, c)
	failing := make([]uuid.UUID, 100)
	for i := range failing {
		failing[i] = uuid.New()
		tk, _, ok := l.enter(failing[i])
		if !ok {
			t.Fatal("no worker for a first attempt")
		}
		tk.leave(true, 10*time.Second)
	}
	held := 0
	for _, id := range failing {
		held += len(enterAll(l, id, 5))
	}
	if held != 25 {
		t.Errorf("failing endpoints hold %d of 50 workers, want 25", held)
	}
	if n := len(enterAll(l, uuid.New(), 5)); n != 5 {
		t.Errorf("a healthy endpoint got %d workers beside them, want 5", n)
	}
}

func TestALaneIsFreeAgainAfterwards(t *testing.T) {
	t.Parallel()
	l := newLanes(50, clock.NewFixed(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)))
	id := uuid.New()
	first, _, _ := l.enter(id)
	first.doubt()
	first.doubt()
	if _, _, ok := l.enter(id); ok {
		t.Error("an endpoint in doubt got a second worker")
	}
	first.leave(true, time.Second)
	first.cancel()
	if l.busy != 0 || l.suspect != 0 {
		t.Errorf("%d busy, %d suspect after the only attempt", l.busy, l.suspect)
	}
	again, _, ok := l.enter(id)
	if !ok {
		t.Fatal("no worker for the next attempt")
	}
	again.leave(false, time.Second)
	if len(l.open) != 0 {
		t.Errorf("%d lanes kept for endpoints that work", len(l.open))
	}
}

func TestABacklogIsSpreadOverTime(t *testing.T) {
	t.Parallel()
	l := newLanes(8, clock.NewFixed(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)))
	id := uuid.New()
	tk, _, _ := l.enter(id)
	tk.leave(true, 10*time.Second)
	if _, _, ok := l.enter(id); !ok {
		t.Fatal("no worker")
	}
	var last time.Duration
	for range 1000 {
		_, pause, ok := l.enter(id)
		if ok || pause <= 0 || pause > maxWait {
			t.Fatalf("pause %s, taken %v", pause, ok)
		}
		last = max(last, pause)
	}
	if last < maxWait/2 {
		t.Errorf("a thousand are all back within %s", last)
	}
}
