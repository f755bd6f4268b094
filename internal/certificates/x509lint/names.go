package x509lint

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// NormalizeHost returns host as it is looked up, sent as SNI and compared: an address in
// canonical form, or a name in lower-case A-labels without the trailing dot.
func NormalizeHost(host string) (string, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(bare); err == nil {
		return addr.Unmap().WithZone("").String(), nil
	}
	name := strings.TrimSuffix(host, ".")
	if !isASCII(name) {
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", fmt.Errorf("host name %q: %w", host, err)
		}
		name = strings.TrimSuffix(ascii, ".")
	}
	name = strings.ToLower(name)
	if !validPattern(name) || strings.Contains(name, "*") {
		return "", fmt.Errorf("host name %q is not valid", host)
	}
	return name, nil
}

// MatchName reports whether a subject alternative name of c stands for host, which is
// the result of NormalizeHost. The common name is never compared (RFC 9525, 6.3).
func MatchName(c *x509.Certificate, host string) NameState {
	if addr, err := netip.ParseAddr(host); err == nil {
		for _, ip := range c.IPAddresses {
			if san, ok := netip.AddrFromSlice(ip); ok && san.Unmap() == addr.Unmap() {
				return NameMatch
			}
		}
		return NameMismatch
	}
	for _, san := range c.DNSNames {
		if matchPattern(strings.ToLower(san), host) {
			return NameMatch
		}
	}
	return NameMismatch
}

// matchPattern compares one dNSName in lower case with a normalised host. The only
// wildcard is a whole left-most label, and it stands for exactly one label.
func matchPattern(pattern, host string) bool {
	rest, wild := strings.CutPrefix(pattern, "*.")
	if strings.Contains(rest, "*") || !validPattern(rest) {
		return false
	}
	if !wild {
		return pattern == host
	}
	_, parent, ok := strings.Cut(host, ".")
	return ok && parent == rest
}

// maxNameFindings bounds what one certificate with thousands of odd names can produce.
const maxNameFindings = 20

// NameFindings returns what is odd about the names in c, whatever host it is served for;
// at most 20 findings.
func NameFindings(c *x509.Certificate) []Finding {
	var out []Finding
	for _, san := range c.DNSNames {
		if len(out) == maxNameFindings {
			break
		}
		name := strings.ToLower(san)
		if _, err := netip.ParseAddr(name); err == nil {
			out = append(out, Finding{CodeIPAsDNS, Medium, clip(san)})
			continue
		}
		if !validPattern(name) {
			out = append(out, Finding{CodeMalformedSAN, Medium, clip(san)})
			continue
		}
		if rest, wild := strings.CutPrefix(name, "*."); wild && onPublicSuffix(rest) {
			out = append(out, Finding{CodePublicWildcard, High, clip(san)})
		}
	}
	if len(c.DNSNames)+len(c.IPAddresses) == 0 && c.Subject.CommonName != "" {
		out = append(out, Finding{CodeCNOnly, Medium, clip(c.Subject.CommonName)})
	}
	return out
}

// onPublicSuffix reports whether strangers can register names right under name. The
// private part of the list does not count: its owner may well hold such a wildcard.
func onPublicSuffix(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(name)
	return suffix == name && (icann || !strings.Contains(name, "."))
}

// validPattern reports whether name is made of non-empty labels of letters, digits,
// hyphens, underscores and asterisks. Where the asterisk stands is for the matcher.
func validPattern(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '*' {
				return false
			}
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// clip makes a foreign text fit for a page and a database row: short, valid UTF-8 and
// free of control characters.
func clip(s string) string {
	const limit = 200
	short := s[:min(len(s), limit)]
	out := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(short, "\uFFFD"))
	if len(s) > limit {
		out += "…"
	}
	return out
}
