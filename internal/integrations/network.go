package integrations

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

const maxNetworks = 50

// webhookPolicy returns the rules for webhooks of a workspace. They are narrower than the
// installation's: even where scans may reach private addresses, a webhook may do so only if
// the operator's or the workspace's list names the range (foundation.md, section 7). A range
// that the operator does not permit opens nothing, even if it is still in the list.
func webhookPolicy(installation outbound.Policy, networks []netip.Prefix) outbound.Policy {
	p := installation
	p.Mode = outbound.Hosted
	p.OperatorAllow = slices.Clone(installation.OperatorAllow)
	if installation.Mode == outbound.SelfHosted {
		if installation.AllowLoopback {
			// The switch itself has no effect in Hosted mode.
			p.OperatorAllow = append(p.OperatorAllow, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
		}
		for _, n := range networks {
			if permitted(installation, n) {
				p.OperatorAllow = append(p.OperatorAllow, n)
			}
		}
	}
	return p
}

// permitted reports whether a workspace may open a range for its webhooks. On a hosted
// installation it may name only what the operator opened. On a self-hosted one it may name
// anything that is not denied outright. The first address decides that: a range inside a
// denied one starts there, and one that is wider than a denied range does not lift the
// denial (outbound.Policy, OperatorAllow).
func permitted(installation outbound.Policy, n netip.Prefix) bool {
	for _, allowed := range installation.OperatorAllow {
		if allowed.Bits() <= n.Bits() && allowed.Contains(n.Addr()) {
			return true
		}
	}
	if installation.Mode != outbound.SelfHosted {
		return false
	}
	bare := outbound.Policy{
		Mode: outbound.SelfHosted, AllowLoopback: installation.AllowLoopback, OperatorDeny: installation.OperatorDeny,
		WorkspaceAllow: []netip.Prefix{n},
	}
	return bare.Judge(netip.AddrPortFrom(n.Addr(), 443)).Allowed
}

// parseNetworks reads the list that an admin entered and checks it against what the
// operator permits. The text that comes back has one range on each line.
func parseNetworks(installation outbound.Policy, text string) (string, error) {
	prefixes, err := outbound.ParsePrefixes(text)
	if err != nil {
		return "", fault.InvalidField("networks", "invalid_range", "This list is not right: "+err.Error()+".")
	}
	var check form.Check
	if len(prefixes) > maxNetworks {
		check.Add("networks", "too_many", fmt.Sprintf("At most %d ranges fit.", maxNetworks))
	}
	var lines []string
	for _, p := range prefixes {
		if !permitted(installation, p) {
			check.Add("networks", "not_permitted", fmt.Sprintf("The operator of this installation does not permit %s.", p))
			break
		}
		if line := p.String(); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n"), check.Err()
}

// checkReach refuses an address that could never be reached, so that the person who enters
// it learns at once. Names are judged again, by their addresses, whenever they are dialed.
func checkReach(p outbound.Policy, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return nil // reported by checkURL
	}
	verdict := p.JudgeName(u.Hostname())
	if target, ok := numericHost(address); ok && verdict.Allowed {
		verdict = p.Judge(target)
	}
	if verdict.Allowed {
		return nil
	}
	message := "Webhooks may not reach this address: it is blocked by the network policy of this installation."
	if verdict.Reason == outbound.ReasonNonPublic {
		message = "This address is private. An admin can allow its range under Integrations, Network."
	}
	return fault.InvalidField("url", "blocked", message)
}

// storedNetworks reads a list that parseNetworks made.
func storedNetworks(text string) ([]netip.Prefix, error) {
	p, err := outbound.ParsePrefixes(text)
	if err != nil {
		return nil, fmt.Errorf("read networks of the workspace: %w", err)
	}
	return p, nil
}
