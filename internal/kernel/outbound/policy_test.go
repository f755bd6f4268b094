package outbound

import (
	"net/netip"
	"slices"
	"testing"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

func TestJudgeFollowsTheAddressTable(t *testing.T) {
	t.Parallel()
	// want is the reason in hosted and in self-hosted mode; "" is allowed.
	tests := []struct{ addr, hosted, selfHosted string }{
		{"93.184.215.14", "", ""},
		{"2606:4700::1111", "", ""},
		{"0.0.0.0", ReasonUnspecified, ReasonUnspecified},
		{"0.1.2.3", ReasonUnspecified, ReasonUnspecified},
		{"127.0.0.1", ReasonLoopback, ReasonLoopback},
		{"127.255.255.254", ReasonLoopback, ReasonLoopback},
		{"128.0.0.1", "", ""},
		{"169.254.0.1", ReasonLinkLocal, ReasonLinkLocal},
		{"169.254.169.254", ReasonMetadata, ReasonMetadata},
		{"169.254.170.2", ReasonMetadata, ReasonMetadata},
		{"100.100.100.200", ReasonMetadata, ReasonMetadata},
		{"168.63.129.16", ReasonMetadata, ReasonMetadata},
		{"168.63.129.17", "", ""},
		{"192.0.0.192", ReasonMetadata, ReasonMetadata},
		{"fd00:ec2::254", ReasonMetadata, ReasonMetadata},
		{"fd20:ce::254", ReasonMetadata, ReasonMetadata},
		{"224.0.0.1", ReasonMulticast, ReasonMulticast},
		{"239.255.255.250", ReasonMulticast, ReasonMulticast},
		{"240.0.0.1", ReasonReserved, ReasonReserved},
		{"255.255.255.255", ReasonReserved, ReasonReserved},
		{"::", ReasonUnspecified, ReasonUnspecified},
		{"::1", ReasonLoopback, ReasonLoopback},
		{"::127.0.0.1", ReasonLoopback, ReasonLoopback},
		{"fe80::1", ReasonLinkLocal, ReasonLinkLocal},
		{"fe80::1%eth0", ReasonLinkLocal, ReasonLinkLocal},
		{"ff02::1", ReasonMulticast, ReasonMulticast},
		{"10.0.0.5", ReasonNonPublic, ""},
		{"172.16.0.1", ReasonNonPublic, ""},
		{"172.32.0.1", "", ""},
		{"192.168.1.1", ReasonNonPublic, ""},
		{"100.64.0.1", ReasonNonPublic, ""},
		{"192.0.0.1", ReasonNonPublic, ""},
		{"192.0.2.1", ReasonNonPublic, ""},
		{"198.18.0.1", ReasonNonPublic, ""},
		{"198.19.255.255", ReasonNonPublic, ""},
		{"198.51.100.1", ReasonNonPublic, ""},
		{"203.0.113.1", ReasonNonPublic, ""},
		{"fc00::1", ReasonNonPublic, ""},
		{"fd12:3456::1", ReasonNonPublic, ""},
		{"100::1", ReasonNonPublic, ""},
		{"2001:db8::1", ReasonNonPublic, ""},
		{"2001:0:53aa::1", ReasonTunnel, ReasonTunnel},
		{"64:ff9b:1::1", ReasonTunnel, ReasonTunnel},
		{"::ffff:10.0.0.1", ReasonNonPublic, ""},
		{"::ffff:127.0.0.1", ReasonLoopback, ReasonLoopback},
		{"::ffff:93.184.215.14", "", ""},
		{"64:ff9b::a9fe:a9fe", ReasonMetadata, ReasonMetadata},
		{"64:ff9b::5db8:d70e", "", ""},
		{"2002:7f00:1::", ReasonLoopback, ReasonLoopback},
		{"2002:a00:1::1", ReasonNonPublic, ""},
		{"2002:5db8:d70e::1", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.addr, func(t *testing.T) {
			t.Parallel()
			for mode, want := range map[Mode]string{Hosted: tt.hosted, SelfHosted: tt.selfHosted} {
				got := Policy{Mode: mode}.Judge(netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 443))
				if got.Reason != want || got.Allowed != (want == "") {
					t.Errorf("%s: got %+v, want reason %q", mode, got, want)
				}
			}
		})
	}
}

func TestJudgeAppliesRulesInOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		policy Policy
		target string
		want   string
	}{
		{"zero policy denies private ranges", Policy{}, "10.0.0.1:443", ReasonNonPublic},
		{"loopback switch works in self-hosted", Policy{Mode: SelfHosted, AllowLoopback: true}, "127.0.0.1:443", ""},
		{"loopback switch opens ::1 too", Policy{Mode: SelfHosted, AllowLoopback: true}, "[::1]:443", ""},
		{"loopback switch does nothing in hosted", Policy{Mode: Hosted, AllowLoopback: true}, "127.0.0.1:443", ReasonLoopback},
		{"loopback switch leaves metadata closed", Policy{Mode: SelfHosted, AllowLoopback: true}, "169.254.169.254:80", ReasonMetadata},
		{
			"workspace allow does not open the shared range in hosted",
			Policy{Mode: Hosted, WorkspaceAllow: prefixes("100.64.0.0/10")},
			"100.64.0.1:443", ReasonNonPublic,
		},
		{
			"workspace allow opens it in self-hosted",
			Policy{Mode: SelfHosted, WorkspaceAllow: prefixes("100.64.0.0/10")},
			"100.64.0.1:443", "",
		},
		{
			"operator permits the workspace in hosted",
			Policy{Mode: Hosted, OperatorAllow: prefixes("100.64.0.0/10"), WorkspaceAllow: prefixes("100.64.0.0/10")},
			"100.64.0.1:443", "",
		},
		{
			"a wide operator range does not open the metadata service inside it",
			Policy{Mode: Hosted, OperatorAllow: prefixes("100.64.0.0/10")},
			"100.100.100.200:80", ReasonMetadata,
		},
		{"nor does everything", Policy{Mode: SelfHosted, OperatorAllow: prefixes("0.0.0.0/0")}, "168.63.129.16:80", ReasonMetadata},
		{"operator lifts a single hard denial", Policy{Mode: Hosted, OperatorAllow: prefixes("168.63.129.16/32")}, "168.63.129.16:80", ""},
		{"workspace cannot lift a hard denial", Policy{Mode: SelfHosted, WorkspaceAllow: prefixes("127.0.0.1/32")}, "127.0.0.1:80", ReasonLoopback},
		{
			"operator deny beats operator allow",
			Policy{Mode: SelfHosted, OperatorAllow: prefixes("10.0.0.0/8"), OperatorDeny: prefixes("10.1.0.0/16")},
			"10.1.0.1:80", ReasonOperatorDeny,
		},
		{
			"workspace deny beats workspace allow",
			Policy{Mode: SelfHosted, WorkspaceAllow: prefixes("10.0.0.0/8"), WorkspaceDeny: prefixes("10.1.0.0/16")},
			"10.1.0.1:80", ReasonWorkspaceDeny,
		},
		{"workspace deny holds for public addresses", Policy{WorkspaceDeny: prefixes("93.184.0.0/16")}, "93.184.215.14:80", ReasonWorkspaceDeny},
		{
			"workspace deny holds for an embedded address",
			Policy{Mode: SelfHosted, WorkspaceDeny: prefixes("93.184.0.0/16")},
			"[64:ff9b::5db8:d70e]:80", ReasonWorkspaceDeny,
		},
		{"denied port", Policy{DenyPorts: []uint16{25}}, "93.184.215.14:25", ReasonPort},
		{"other port", Policy{DenyPorts: []uint16{25}}, "93.184.215.14:443", ""},
		{"denied port is not opened by an allowed range", Policy{OperatorAllow: prefixes("10.0.0.0/8"), DenyPorts: []uint16{25}}, "10.0.0.1:25", ReasonPort},
		{
			"own database stays closed although loopback and its address are open",
			Policy{
				Mode: SelfHosted, AllowLoopback: true, OperatorAllow: prefixes("127.0.0.1/32"),
				OwnAddrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5432")},
			},
			"127.0.0.1:5432", ReasonOwn,
		},
		{
			"own database in mapped form",
			Policy{Mode: SelfHosted, AllowLoopback: true, OwnAddrs: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5432")}},
			"[::ffff:127.0.0.1]:5432", ReasonOwn,
		},
		{
			"a listener on every address covers loopback",
			Policy{Mode: SelfHosted, AllowLoopback: true, OwnAddrs: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8080")}},
			"127.0.0.1:8080", ReasonOwn,
		},
		{
			"port 0 covers every port",
			Policy{Mode: SelfHosted, OwnAddrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.9:0")}},
			"10.0.0.9:1234", ReasonOwn,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tt.policy.Judge(netip.MustParseAddrPort(tt.target))
			if got.Reason != tt.want || got.Allowed != (tt.want == "") {
				t.Errorf("Judge(%s) = %+v, want reason %q", tt.target, got, tt.want)
			}
		})
	}
	if got := (Policy{}).Judge(netip.AddrPort{}); got.Reason != ReasonInvalid {
		t.Errorf("Judge(zero) = %+v, want %q", got, ReasonInvalid)
	}
}

func TestParsePrefixes(t *testing.T) {
	t.Parallel()
	got, err := ParsePrefixes(" 10.1.2.3/8, 192.0.2.1\n::ffff:10.0.0.0/104 ::ffff:192.0.2.9 2001:db8::5/32,fe80::1%eth0 ")
	want := prefixes("10.0.0.0/8", "192.0.2.1/32", "10.0.0.0/8", "192.0.2.9/32", "2001:db8::/32", "fe80::1/128")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := ParsePrefixes(" ,\n"); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	for _, text := range []string{"10.0.0.0/33", "example.org", "10.0.0.0-10.0.0.9", "::ffff:10.0.0.0/90", "10.1"} {
		if got, err := ParsePrefixes(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestJudgeNameRefusesNumbersAndInnerNames(t *testing.T) {
	t.Parallel()
	tests := []struct{ host, hosted, selfHosted string }{
		{"example.org", "", ""},
		{"example.org.", "", ""},
		{"93.184.215.14", "", ""},
		{"::1", "", ""}, // judged as an address
		{"", ReasonInvalid, ReasonInvalid},
		{".", ReasonInvalid, ReasonInvalid},
		{"127.1", ReasonAmbiguous, ReasonAmbiguous},
		{"127.1.", ReasonAmbiguous, ReasonAmbiguous},
		{"0x7f000001", ReasonAmbiguous, ReasonAmbiguous},
		{"0X7F.1", ReasonAmbiguous, ReasonAmbiguous},
		{"127.0.0.0x1", ReasonAmbiguous, ReasonAmbiguous},
		{"2130706433", ReasonAmbiguous, ReasonAmbiguous},
		{"0", ReasonAmbiguous, ReasonAmbiguous},
		{"0177.0.0.1", ReasonAmbiguous, ReasonAmbiguous},
		{"0x", ReasonAmbiguous, ReasonAmbiguous},
		{"localhost", ReasonName, ""},
		{"LOCALHOST", ReasonName, ""},
		{"a.localhost", ReasonName, ""},
		{"printer.local", ReasonName, ""},
		{"vault.internal.", ReasonName, ""},
		{"db.prod.svc.cluster.local", ReasonName, ""},
		{"intranet", ReasonName, ""},
		{"local.example.org", "", ""},
	}
	for _, tt := range tests {
		for mode, want := range map[Mode]string{Hosted: tt.hosted, SelfHosted: tt.selfHosted} {
			if got := (Policy{Mode: mode}).JudgeName(tt.host); got.Reason != want || got.Allowed != (want == "") {
				t.Errorf("%s: JudgeName(%q) = %+v, want %q", mode, tt.host, got, want)
			}
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	p := Policy{Mode: Hosted, OperatorAllow: prefixes("10.1.0.0/16"), WorkspaceDeny: prefixes("198.51.0.0/16")}
	for name, text := range map[string]string{
		"public4": "93.184.215.14:443", "public6": "[2606:4700::1111]:443", "nat64": "[64:ff9b::5db8:d70e]:443", "metadata": "169.254.169.254:80",
	} {
		target := netip.MustParseAddrPort(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = p.Judge(target)
			}
		})
	}
}
