// Package outbound holds the only dialer and HTTP client with which Vigilo reaches
// other machines: scans, checks, AIA, CRL, webhooks and integrations. The decision is
// taken on the numeric address of the socket that is about to connect, so that a
// second DNS answer cannot slip past it.
package outbound

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Mode is what an installation lets its workspaces reach when no rule names the target.
type Mode string

const (
	// Hosted denies every address that is not public, and names that only mean
	// something inside a network.
	Hosted Mode = "hosted"
	// SelfHosted allows private ranges; the hard denials stay.
	SelfHosted Mode = "self_hosted"
)

// Reasons of a Verdict that says no. They are stable, and may be shown to a tenant.
const (
	ReasonInvalid       = "invalid_address"
	ReasonAmbiguous     = "ambiguous_address" // 127.1, 0x7f000001: read differently by different programs
	ReasonOwn           = "own_address"
	ReasonOperatorDeny  = "operator_deny"
	ReasonUnspecified   = "unspecified"
	ReasonLoopback      = "loopback"
	ReasonLinkLocal     = "link_local"
	ReasonMulticast     = "multicast"
	ReasonReserved      = "reserved"
	ReasonMetadata      = "metadata"
	ReasonWorkspaceDeny = "workspace_deny"
	ReasonPort          = "port_denied"
	ReasonNonPublic     = "non_public"
	ReasonTunnel        = "tunnel" // Teredo and local NAT64: the real target cannot be known
	ReasonName          = "name_denied"
)

// Policy says which addresses one caller may reach. The zero value denies as Hosted
// does. Its slices are not changed after NewDialer; prefixes are in the form that
// ParsePrefixes returns.
type Policy struct {
	Mode Mode
	// AllowLoopback opens 127.0.0.0/8 and ::1 in SelfHosted mode. It has no effect in Hosted.
	AllowLoopback bool
	// OperatorAllow opens non-public ranges for this caller. It lifts a hard denial only
	// where a prefix lies inside the denied range: 0.0.0.0/0 lifts none of them.
	OperatorAllow []netip.Prefix
	// OperatorDeny is as hard as the built-in table and beats OperatorAllow.
	OperatorDeny []netip.Prefix
	// WorkspaceAllow opens what SelfHosted denies softly. In Hosted it opens nothing that
	// the operator did not open, so a tenant cannot reach the operator's network.
	WorkspaceAllow []netip.Prefix
	WorkspaceDeny  []netip.Prefix
	// DenyPorts are refused on every address; the caller derives them from its kind of check.
	DenyPorts []uint16
	// OwnAddrs are Vigilo's database, queue and listeners. Port 0 stands for every port, an
	// unspecified address for every loopback address. Nothing lifts them.
	OwnAddrs []netip.AddrPort
}

// Verdict is the answer to "may we connect there?". Reason is empty when Allowed.
type Verdict struct {
	Allowed bool
	Reason  string
}

type entry struct {
	prefix netip.Prefix
	reason string
}

var allowed = Verdict{Allowed: true}

// hardDeny is the table of reliability.md 4.10. Narrow entries stand first, so that
// the reason and the width needed to lift them are theirs.
var hardDeny = []entry{
	{netip.MustParsePrefix("169.254.169.254/32"), ReasonMetadata},
	{netip.MustParsePrefix("169.254.170.2/32"), ReasonMetadata},
	{netip.MustParsePrefix("100.100.100.200/32"), ReasonMetadata},
	{netip.MustParsePrefix("168.63.129.16/32"), ReasonMetadata},
	{netip.MustParsePrefix("192.0.0.192/32"), ReasonMetadata},
	{netip.MustParsePrefix("fd00:ec2::254/128"), ReasonMetadata},
	{netip.MustParsePrefix("fd20:ce::254/128"), ReasonMetadata},
	{netip.MustParsePrefix("0.0.0.0/8"), ReasonUnspecified},
	{netip.MustParsePrefix("127.0.0.0/8"), ReasonLoopback},
	{netip.MustParsePrefix("169.254.0.0/16"), ReasonLinkLocal},
	{netip.MustParsePrefix("224.0.0.0/4"), ReasonMulticast},
	{netip.MustParsePrefix("240.0.0.0/4"), ReasonReserved},
	{netip.MustParsePrefix("::/128"), ReasonUnspecified},
	{netip.MustParsePrefix("::1/128"), ReasonLoopback},
	{netip.MustParsePrefix("fe80::/10"), ReasonLinkLocal},
	{netip.MustParsePrefix("ff00::/8"), ReasonMulticast},
}

// tunnels hide their real target; they are denied in both modes but a workspace of a
// self-hosted installation may open them.
var tunnels = []netip.Prefix{
	netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
}

// nonPublic is denied in Hosted. fec0::/10 is the deprecated site-local range.
var nonPublic = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001:db8::/32"),
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	compatible = netip.MustParsePrefix("::/96") // RFC 4291, 2.5.5.1; also holds :: and ::1
)

// ParsePrefixes reads addresses and CIDR ranges as people write them, separated by
// commas or white space, into the form that Policy compares: masked, and IPv4 as IPv4.
// A single address is a range of one. The error names the first entry that is neither.
func ParsePrefixes(text string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		if addr, err := netip.ParseAddr(entry); err == nil {
			addr = addr.WithZone("").Unmap()
			out = append(out, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a range such as 192.0.2.0/24", entry)
		}
		if prefix.Addr().Is4In6() {
			if prefix.Bits() < 96 {
				return nil, fmt.Errorf("%q mixes IPv4 and IPv6 addresses", entry)
			}
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

// Judge says whether a connection to target may be opened. The order is: hard denial,
// denied port, workspace denial, workspace allowance, default of the mode. An IPv4
// address inside an IPv6 one is judged as well, and both must pass.
func (p Policy) Judge(target netip.AddrPort) Verdict {
	addr := target.Addr().WithZone("").Unmap()
	if !addr.IsValid() {
		return deny(ReasonInvalid)
	}
	if v := p.judge(addr, target.Port()); !v.Allowed {
		return v
	}
	if inner, ok := embedded(addr); ok {
		return p.judge(inner, target.Port())
	}
	return allowed
}

func (p Policy) judge(addr netip.Addr, port uint16) Verdict {
	if p.isOwn(addr, port) {
		return deny(ReasonOwn)
	}
	if contains(p.OperatorDeny, addr) {
		return deny(ReasonOperatorDeny)
	}
	for i := range hardDeny {
		if hardDeny[i].prefix.Contains(addr) && !p.lifts(hardDeny[i], addr) {
			return deny(hardDeny[i].reason)
		}
	}
	if slices.Contains(p.DenyPorts, port) {
		return deny(ReasonPort)
	}
	if contains(p.WorkspaceDeny, addr) {
		return deny(ReasonWorkspaceDeny)
	}
	if contains(p.OperatorAllow, addr) || (p.Mode == SelfHosted && contains(p.WorkspaceAllow, addr)) {
		return allowed
	}
	if contains(tunnels, addr) {
		return deny(ReasonTunnel)
	}
	if p.Mode != SelfHosted && contains(nonPublic, addr) {
		return deny(ReasonNonPublic)
	}
	return allowed
}

// lifts reports whether the operator opened addr against the hard denial e. Only a
// prefix at least as narrow as the denial counts: whoever allows 100.64.0.0/10 did not
// think of the metadata service inside it.
func (p Policy) lifts(e entry, addr netip.Addr) bool {
	if e.reason == ReasonLoopback && p.AllowLoopback && p.Mode == SelfHosted {
		return true
	}
	for _, a := range p.OperatorAllow {
		if a.Bits() >= e.prefix.Bits() && a.Contains(addr) {
			return true
		}
	}
	return false
}

func (p Policy) isOwn(addr netip.Addr, port uint16) bool {
	for _, own := range p.OwnAddrs {
		if own.Port() != 0 && own.Port() != port {
			continue
		}
		ownAddr := own.Addr().WithZone("").Unmap()
		if ownAddr == addr || (ownAddr.IsUnspecified() && (addr.IsLoopback() || addr.IsUnspecified())) {
			return true
		}
	}
	return false
}

// embedded returns the IPv4 address that a packet to addr would reach behind a
// translator (RFC 6052, RFC 3056).
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case compatible.Contains(addr) && !addr.IsUnspecified() && !addr.IsLoopback():
		return netip.AddrFrom4([4]byte(b[12:16])), true
	}
	return netip.Addr{}, false
}

// JudgeName says whether a name may be looked up. A name that some programs read as a
// number is refused in both modes; Hosted also refuses names that are only known
// inside a network. An address in canonical form passes here and is judged by Judge.
func (p Policy) JudgeName(host string) Verdict {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" {
		return deny(ReasonInvalid)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return allowed
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if isNumber(last) {
		return deny(ReasonAmbiguous)
	}
	if p.Mode == SelfHosted {
		return allowed
	}
	// cluster.local is covered by local.
	if last == name || slices.Contains([]string{"localhost", "local", "internal"}, last) {
		return deny(ReasonName)
	}
	return allowed
}

// isNumber reports whether the last label of a host makes it an IPv4 address in the
// URL Standard's "ends in a number" sense.
func isNumber(label string) bool {
	if label == "" {
		return false
	}
	if strings.Trim(label, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(label, "0x")
	if !ok {
		return false
	}
	_, err := strconv.ParseUint("0"+hex, 16, 64)
	return err == nil || strings.Trim(hex, "0123456789abcdef") == ""
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for i := range prefixes {
		if prefixes[i].Contains(addr) {
			return true
		}
	}
	return false
}

func deny(reason string) Verdict { return Verdict{Reason: reason} }
