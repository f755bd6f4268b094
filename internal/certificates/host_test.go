package certificates

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

func TestParseAddressReadsWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, host, display string
		port                int
		starttls            string
	}{
		{"www.example.com", "www.example.com", "www.example.com", 0, ""},
		{"  WWW.Example.COM  ", "www.example.com", "www.example.com", 0, ""},
		{"www.example.com.", "www.example.com", "www.example.com", 0, ""},
		{"www.example.com:8443", "www.example.com", "www.example.com", 8443, ""},
		{"https://www.example.com/path?q=1#x", "www.example.com", "www.example.com", 443, ""},
		{"https://www.example.com:444/", "www.example.com", "www.example.com", 444, ""},
		{"http://www.example.com", "www.example.com", "www.example.com", 443, ""},
		{"smtp://mx.example.com", "mx.example.com", "mx.example.com", 25, "smtp"},
		{"ldaps://dc.example.com", "dc.example.com", "dc.example.com", 636, ""},
		{"postgresql://db.example.com:6432", "db.example.com", "db.example.com", 6432, "postgres"},
		{"example.com/about", "example.com", "example.com", 0, ""},
		{"münchen.de", "xn--mnchen-3ya.de", "münchen.de", 0, ""},
		{"xn--mnchen-3ya.de:443", "xn--mnchen-3ya.de", "münchen.de", 443, ""},
		{"192.0.2.1", "192.0.2.1", "192.0.2.1", 0, ""},
		{"192.0.2.1:443", "192.0.2.1", "192.0.2.1", 443, ""},
		{"[::1]:443", "::1", "::1", 443, ""},
		{"[2001:DB8:0:0::1]", "2001:db8::1", "2001:db8::1", 0, ""},
		{"2001:db8::1", "2001:db8::1", "2001:db8::1", 0, ""},
		{"https://[2001:db8::1]:8443/", "2001:db8::1", "2001:db8::1", 8443, ""},
		{"[::ffff:192.0.2.1]:443", "192.0.2.1", "192.0.2.1", 443, ""},
	} {
		a, err := ParseAddress(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if a.Host != c.host || a.Display != c.display || a.Port != c.port || a.STARTTLS != c.starttls {
			t.Errorf("%q became %+v", c.text, a)
		}
	}
}

func TestParseAddressRefusesWhatIsNoEndpoint(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5) + "abcd"
	if len(long) != 254 {
		t.Fatalf("the long name has %d characters", len(long))
	}
	for _, text := range []string{
		"", "   ", ".", "..", "a..b", "-a.example", "*.example.com", "example.com:0", "example.com:65536", "example.com:-1", "example.com:https",
		"example.com:", "user:secret@example.com", "https://user@example.com/", "file:///etc/passwd", "gopher://example.com", "https://",
		"[example.com]:443", "[::1", "[::1]443", "::1:443:", "1:2:3", "fe80::1%eth0", "[fe80::1%25eth0]:443", "exa mple.com", "example.com\n",
		"example.com\x00", "ex\tample.com", "\xff\xfe", "%65xample.com", "<script>", "a,b", long, strings.Repeat("a", 64) + ".example",
		"\u202eexample.com", "xn--", "xn--zzzzzz.", "'; DROP TABLE hosts;--",
	} {
		if text == "example.com\n" {
			continue // blanks around are cut off
		}
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q was accepted as %+v", text, a)
		} else if !fault.Is(err, fault.Invalid) || len(form.Messages(err)) == 0 {
			t.Errorf("%q: %v is no message for a person", text, err)
		}
	}
	if _, err := ParseAddress(long[:253]); err != nil {
		t.Errorf("a name of 253 characters is refused: %v", err)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"example.com", "[::1]:443", "https://münchen.de:1/", "xn--a", "a:b:c", "[", "]", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		again, err := ParseAddress(Host{DisplayName: a.Host, Port: 443}.Title())
		if err != nil || again.Host != a.Host {
			t.Errorf("%q became %q, which reads as %q (%v)", text, a.Host, again.Host, err)
		}
	})
}

func TestNewHostReportsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := NewHost{
		Hostname: "not a name", Port: 70000, ServerName: "also not", STARTTLS: "gopher", Family: "ip5", Interval: "2m",
		Tags: []string{strings.Repeat("x", 41)}, WarnDays: 5000, CriticalDays: -1,
	}.host(uuid.New(), noon)
	got := form.Messages(err)
	for _, field := range []string{"hostname", "port", "server_name", "starttls", "family", "scan_interval", "tags", "warn_days", "critical_days"} {
		if got[field] == "" {
			t.Errorf("nothing is said about %s", field)
		}
	}
}

func TestNewHostFillsInWhatFollows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   NewHost
		want Host
	}{
		{NewHost{Hostname: "a.test"}, Host{Hostname: "a.test", Port: 443, Interval: "24h", State: Active}},
		{NewHost{Hostname: "a.test", STARTTLS: "imap"}, Host{Hostname: "a.test", Port: 143, STARTTLS: "imap", Interval: "24h", State: Active}},
		{NewHost{Hostname: "smtp://a.test"}, Host{Hostname: "a.test", Port: 25, STARTTLS: "smtp", Interval: "24h", State: Active}},
		{NewHost{Hostname: "a.test:8443", Port: 8443}, Host{Hostname: "a.test", Port: 8443, Interval: "24h", State: Active}},
		{NewHost{Hostname: "https://a.test", Port: 8443, Interval: "5m"}, Host{Hostname: "a.test", Port: 8443, Interval: "5m", State: Active}},
		{NewHost{Hostname: "a.test", ServerName: "A.test."}, Host{Hostname: "a.test", Port: 443, Interval: "24h", State: Active}},
		{NewHost{Hostname: "a.test", ServerName: "b.test", Paused: true}, Host{Hostname: "a.test", Port: 443, ServerName: "b.test", Interval: "24h", State: Paused}},
	} {
		h, err := c.in.host(uuid.New(), noon)
		if err != nil {
			t.Errorf("%+v: %v", c.in, err)
			continue
		}
		if h.endpoint() != c.want.endpoint() || h.Interval != c.want.Interval || h.State != c.want.State {
			t.Errorf("%+v became %+v", c.in, h)
		}
	}
	if _, err := (NewHost{Hostname: "a.test:1", Port: 2}).host(uuid.New(), noon); form.Messages(err)["port"] == "" {
		t.Errorf("two different ports are not noticed: %v", err)
	}
	h, err := NewHost{Hostname: "a.test", Tags: []string{" Prod ", "prod", "b  c", ""}}.host(uuid.New(), noon)
	if err != nil || !slices.Equal(h.Tags, []string{"b c", "prod"}) {
		t.Errorf("tags became %q, %v", h.Tags, err)
	}
}

func TestHostNamedTwiceIsRefusedWithTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "shop.test", Tags: []string{"prod"}, Owner: w.member.Email})
	if err != nil {
		t.Fatal(err)
	}
	if !h.OwnerID.Valid {
		t.Error("the owner was not found by e-mail address")
	}
	_, _, err = w.AddHost(t.Context(), w.member, NewHost{Hostname: "https://SHOP.test/"})
	e := fault.Find(err)
	if e == nil || e.Kind != fault.Conflict || e.Code != "host_exists" || e.Details[0].Ref != h.ID.String() {
		t.Fatalf("got %v", err)
	}
	if _, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "shop.test", ServerName: "other.test"}); err != nil {
		t.Errorf("another server name is another endpoint: %v", err)
	}
	if _, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "x.test", Owner: uuid.NewString()}); form.Messages(err)["owner"] == "" {
		t.Errorf("a stranger became owner: %v", err)
	}
}

func TestEditedEndpointStartsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	port := w.serve(w.ca.leaf(time.Now(), "shop.test", 5*day)).port
	changed, err := w.UpdateHost(t.Context(), w.member, h.ID, HostEdit{Port: &port})
	if err != nil {
		t.Fatal(err)
	}
	got := w.host(h.ID)
	if got.Status != StatusUnknown || got.HasCertificate() || got.SnapshotID.Valid || got.LastScanAt != nil || got.Version != h.Version+1 {
		t.Errorf("what was seen elsewhere stayed: %+v", got)
	}
	if got = w.scanNow(changed); got.Status != "critical" {
		t.Errorf("status is %s", got.Status)
	}
	if n := len(w.emitted(EventCertObserved)); n != 2 {
		t.Errorf("the first certificate of the new endpoint was told %d times in all, want 2", n)
	}
}

func TestThresholdsJudgeTheKnownCertificateAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	warn := 85
	h, err := w.UpdateHost(t.Context(), w.member, h.ID, HostEdit{WarnDays: &warn})
	if err != nil || h.Status != "expiring" || w.host(h.ID).Status != "expiring" {
		t.Fatalf("status is %s, %v", h.Status, err)
	}
	zero := 0
	if h, err = w.UpdateHost(t.Context(), w.member, h.ID, HostEdit{WarnDays: &zero}); err != nil || h.Status != "valid" || h.WarnDays != nil {
		t.Fatalf("status is %s, %v", h.Status, err)
	}
}

func TestStaleVersionIsAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "shop.test"})
	if err != nil {
		t.Fatal(err)
	}
	interval, seen := Interval("5m"), h.Version
	if _, err := w.UpdateHost(t.Context(), w.member, h.ID, HostEdit{Interval: &interval, Version: &seen}); err != nil {
		t.Fatal(err)
	}
	interval = "1h"
	if _, err := w.UpdateHost(t.Context(), w.member, h.ID, HostEdit{Interval: &interval, Version: &seen}); !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v", err)
	}
	// An edit that changes nothing is no event and no version.
	interval = "5m"
	if got, err := w.UpdateHost(t.Context(), w.member, h.ID, HostEdit{Interval: &interval}); err != nil || got.Version != seen+1 {
		t.Errorf("version %d, %v", got.Version, err)
	}
	if n := len(w.emitted(EventHostUpdated)); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestRemovedHostLeavesItsCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	h := w.scanNow(w.add(w.serve(w.ca.leaf(time.Now(), "shop.test", 80*day)), "shop.test"))
	if n, err := w.RemoveHosts(t.Context(), w.member, []uuid.UUID{h.ID}); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	for _, table := range []string{"monitored_hosts", "host_tags", "host_tokens", "host_schedule", "scan_observations", "scans"} {
		if n := w.count(`SELECT count(*) FROM ` + table); n != 0 {
			t.Errorf("%s holds %d rows", table, n)
		}
	}
	if n := w.count(`SELECT count(*) FROM certificates`); n == 0 {
		t.Error("the certificates went too")
	}
	if _, err := w.RemoveHosts(t.Context(), w.member, []uuid.UUID{h.ID}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a second removal: %v", err)
	}
}

func TestSearchFindsAPartOfTheNameTheTagAndTheCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	srv := w.serve(w.ca.leaf(time.Now(), "mq-03.core.halden.test", 80*day))
	h := w.scanNow(w.add(srv, "mq-03.core.halden.test", func(n *NewHost) { n.Tags = []string{"messaging"} }))
	w.add(srv, "www.other.test")
	serial := w.serialOf(h)
	for text, want := range map[string]int{
		"mq": 1, "03": 1, "core.hal": 1, "HALDEN": 1, "test": 2, "messag": 1, "mq messaging": 1, "mq other": 0,
		"https://mq-03.core": 1, "issuing": 1, serial: 1, spacedHex(serial): 1, "zzz": 0, "%": 0, "q-03": 0, "": 2,
	} {
		q, err := hostFilter{Text: text}.query(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := w.list(q); got != want {
			t.Errorf("%q finds %d hosts, want %d", text, got, want)
		}
	}
}
