package certificates

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// Status is the one word shown for a host: the primary status of its certificate, or why
// there is none.
type Status string

// The statuses that are no certificate's; the others are those of x509lint.
const (
	StatusUnreachable     Status = "unreachable"
	StatusHandshakeFailed Status = "handshake_failed"
	StatusNoTLS           Status = "no_tls"
	StatusBlocked         Status = "blocked_by_policy"
	StatusUnknown         Status = "unknown"
)

// Statuses lists every status by how much it matters, worst first.
func Statuses() []Status {
	return []Status{
		Status(x509lint.StatusRevoked), Status(x509lint.StatusExpired), Status(x509lint.StatusCritical),
		StatusUnreachable, StatusHandshakeFailed, StatusNoTLS,
		Status(x509lint.StatusNameMismatch), Status(x509lint.StatusUntrusted), Status(x509lint.StatusSelfSigned),
		Status(x509lint.StatusIncompleteChain), Status(x509lint.StatusNotYetValid), Status(x509lint.StatusExpiring),
		Status(x509lint.StatusWeak), Status(x509lint.StatusPolicyViolation), StatusBlocked, StatusUnknown, Status(x509lint.StatusValid),
	}
}

// Severity orders statuses by how much they matter, 0 first.
func (s Status) Severity() int16 {
	return int16(slices.Index(Statuses(), s)) //nolint:gosec // a short list
}

// Failing reports whether the last scan brought no certificate.
func (s Status) Failing() bool { return slices.Contains(failingStatuses(), s) }

func failingStatuses() []Status {
	return []Status{StatusUnreachable, StatusHandshakeFailed, StatusNoTLS, StatusBlocked}
}

// misconfigured are the statuses of certificates that are in time but wrong.
func misconfigured() []Status {
	return []Status{
		Status(x509lint.StatusRevoked), Status(x509lint.StatusNotYetValid), Status(x509lint.StatusNameMismatch),
		Status(x509lint.StatusSelfSigned), Status(x509lint.StatusUntrusted), Status(x509lint.StatusIncompleteChain),
		Status(x509lint.StatusWeak), Status(x509lint.StatusPolicyViolation),
	}
}

// attention are the statuses about which somebody should do something.
func attention() []Status {
	return slices.DeleteFunc(Statuses(), func(s Status) bool {
		return s == Status(x509lint.StatusValid) || s == StatusUnknown
	})
}

// judge returns the status that stored facts have at a moment: only the position in the
// validity period moves with time.
func judge(f tlsscan.Facts, p x509lint.ExpiryPolicy, now time.Time) Status {
	if f.State != string(tlsscan.StateReachable) {
		return Status(f.State)
	}
	notBefore, notAfter, ok := period(f)
	if !ok {
		return Status(x509lint.StatusUntrusted)
	}
	d := x509lint.Dimensions{
		Time: x509lint.Period(notBefore, notAfter, now), Trust: x509lint.TrustState(f.Trust), Name: x509lint.NameState(f.Name),
		Revocation: x509lint.RevocationState(f.Revocation), Strength: x509lint.Strength(f.Strength), Policy: x509lint.PolicyState(f.Policy),
	}
	return Status(d.Primary(p.Urgency(notBefore, notAfter, now)))
}

// period returns the validity period that facts hold; ok is false without a readable leaf.
func period(f tlsscan.Facts) (notBefore, notAfter time.Time, ok bool) {
	notBefore, err1 := time.Parse(time.RFC3339, f.NotBefore)
	notAfter, err2 := time.Parse(time.RFC3339, f.NotAfter)
	return notBefore, notAfter, err1 == nil && err2 == nil
}

// statusDetail explains a status in one sentence, empty where the dates say it all.
func statusDetail(s Status, f tlsscan.Facts) string {
	switch x509lint.Status(s) {
	case x509lint.StatusNameMismatch:
		if len(f.Names) == 0 {
			return "The certificate names no host."
		}
		text := "The certificate is for " + f.Names[0]
		if n := len(f.Names) - 1; n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		return text + "."
	case x509lint.StatusSelfSigned:
		return "The certificate is signed by its own key."
	case x509lint.StatusUntrusted:
		return untrustedBecause(f.Reason)
	case x509lint.StatusIncompleteChain:
		return "The server does not send an intermediate certificate that browsers need."
	case x509lint.StatusWeak:
		return firstFinding(f, x509lint.CodeInsecureKey, x509lint.CodeInsecureSign, x509lint.CodeWeakKey)
	case x509lint.StatusPolicyViolation:
		return firstFinding(f, x509lint.CodeValidityTooLong)
	default:
		return ""
	}
}

// firstFinding returns the detail of the first of the codes that facts hold.
func firstFinding(f tlsscan.Facts, codes ...string) string {
	for _, code := range codes {
		for _, line := range f.Findings {
			if c, detail, _ := strings.Cut(line, ": "); c == code {
				return describeFinding(c, detail).Text
			}
		}
	}
	return ""
}

func untrustedBecause(reason string) string {
	switch reason {
	case x509lint.ReasonUnknownAuthority, "":
		return "No trusted authority vouches for this certificate."
	case x509lint.ReasonEKU:
		return "The certificate may not be used by a server."
	case x509lint.ReasonNameConstraint:
		return "The issuer may not issue for this name."
	case x509lint.ReasonExpired:
		return "A certificate above this one has expired."
	case x509lint.ReasonNotCA:
		return "It is signed by a certificate that may not sign others."
	case x509lint.ReasonPathLength:
		return "The chain is longer than its issuer allows."
	case x509lint.ReasonInsecure:
		return "A signature in the chain uses a broken algorithm."
	case x509lint.ReasonCritical:
		return "The certificate carries a critical extension that nobody here understands."
	case x509lint.ReasonDistrusted:
		return "Its authority is no longer trusted."
	}
	return "The chain is not valid."
}

// Finding is a finding of a scan in words.
type Finding struct {
	Code     string
	Severity x509lint.Severity
	Title    string
	Text     string
}

// findings returns what a scan found, worst first.
func findings(f tlsscan.Facts) []Finding {
	out := make([]Finding, 0, len(f.Findings))
	for _, line := range f.Findings {
		code, detail, _ := strings.Cut(line, ": ")
		out = append(out, describeFinding(code, detail))
	}
	rank := []x509lint.Severity{x509lint.Critical, x509lint.High, x509lint.Medium, x509lint.Info}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return slices.Index(rank, a.Severity) - slices.Index(rank, b.Severity)
	})
	return out
}

// describeFinding puts a code of x509lint into words. detail names what it is about.
func describeFinding(code, detail string) Finding {
	f := Finding{Code: code, Severity: x509lint.Medium}
	set := func(s x509lint.Severity, title, text string) {
		f.Severity, f.Title, f.Text = s, title, text
	}
	about := ""
	if detail != "" {
		about = ": " + detail
	}
	switch code {
	case x509lint.CodeWrongOrder:
		set(x509lint.Medium, "The chain is in the wrong order", "Some clients refuse such a chain. Out of place"+about+".")
	case x509lint.CodeDuplicate:
		set(x509lint.Info, "A certificate is sent twice", "It costs bytes and nothing else"+about+".")
	case x509lint.CodeUnrelated:
		set(x509lint.Medium, "A certificate does not belong to the chain", "It leads nowhere from the leaf"+about+".")
	case x509lint.CodeRootIncluded:
		set(x509lint.Info, "The root is sent too", "Clients have their own copy and ignore this one"+about+".")
	case x509lint.CodeExpiredExtra:
		set(x509lint.Info, "An expired certificate is sent that nothing needs", "Old clients may stumble over it"+about+".")
	case x509lint.CodeExpiredNeeded:
		set(x509lint.High, "A certificate of the chain has expired", "The chain broke with it"+about+".")
	case x509lint.CodeCrossSign:
		set(x509lint.Medium, "Trust depends on a cross-signed certificate", "It ends when that one does"+about+".")
	case x509lint.CodeMalformedSAN:
		set(x509lint.Medium, "A name in the certificate is malformed", "Clients do not match it"+about+".")
	case x509lint.CodePublicWildcard:
		set(x509lint.Medium, "A wildcard covers a public suffix", "It stands for names of strangers"+about+".")
	case x509lint.CodeIPAsDNS:
		set(x509lint.Medium, "An address is written as a DNS name", "Clients do not match it"+about+".")
	case x509lint.CodeCNOnly:
		set(x509lint.High, "The name stands only in the common name", "Browsers have ignored it there for years"+about+".")
	case x509lint.CodeWeakKey:
		set(x509lint.Medium, "A key is weak", "It is shorter than today's minimum"+about+".")
	case x509lint.CodeInsecureKey:
		set(x509lint.High, "A key is insecure", "It can be broken in practice"+about+".")
	case x509lint.CodeInsecureSign:
		set(x509lint.High, "A signature is insecure", "Its algorithm is broken"+about+".")
	case x509lint.CodeValidityTooLong:
		set(x509lint.Medium, "The certificate lasts longer than allowed", "Public certificates have a maximum lifetime"+about+".")
	case x509lint.CodeAIAUnavailable:
		set(x509lint.Medium, "The issuer's certificate could not be fetched", "Its address did not answer"+about+".")
	case x509lint.CodeAIABlocked:
		set(x509lint.Medium, "The issuer's certificate was not fetched", "Its address is blocked by the network policy"+about+".")
	case x509lint.CodeUnparsable:
		set(x509lint.High, "A certificate cannot be read", "Its encoding is damaged or unusual; other clients may refuse it too"+about+".")
	case x509lint.CodePlaintextAfter:
		set(x509lint.High, "Unprotected bytes followed the start of TLS", "Somebody on the way could have sent them"+about+".")
	case x509lint.CodeClientCert:
		set(x509lint.Info, "The server asks for a client certificate", "Vigilo sends none"+about+".")
	case x509lint.CodeHandshakeAborted:
		set(x509lint.Info, "The server ended the handshake after its certificate", "What it sent was enough to judge it"+about+".")
	case x509lint.CodeChainTruncated:
		set(x509lint.Medium, "The chain was cut", "The server sends more certificates than Vigilo keeps"+about+".")
	default:
		set(x509lint.Info, strings.ToUpper(code[:min(1, len(code))])+strings.ReplaceAll(code[min(1, len(code)):], "_", " "), detail)
	}
	return f
}
