package x509lint

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"
)

// Anchor says whose root ends a chain.
type Anchor string

// The anchors; AnchorNone stands for no chain at all.
const (
	AnchorNone      Anchor = ""
	AnchorPublic    Anchor = "public"
	AnchorWorkspace Anchor = "workspace"
)

// Reasons why a chain is untrusted.
const (
	ReasonUnknownAuthority = "unknown_authority"
	ReasonEKU              = "eku"
	ReasonNameConstraint   = "name_constraint"
	ReasonExpired          = "expired_intermediate"
	ReasonNotCA            = "not_a_ca"
	ReasonPathLength       = "path_length"
	ReasonInsecure         = "insecure_signature"
	ReasonCritical         = "unhandled_critical_extension"
	ReasonDistrusted       = "distrusted"
	ReasonInvalid          = "invalid_chain"
)

// Roots is what a workspace trusts. A nil pool trusts nothing.
type Roots struct {
	Public    *x509.CertPool
	Workspace *x509.CertPool
	// Distrusted holds fingerprints of authorities that end no chain and pass none on.
	Distrusted map[[32]byte]bool
}

// Chain is one verified path, leaf first, anchor last.
type Chain struct {
	Certificates []*x509.Certificate
	Anchor       Anchor
}

// NotAfter returns the earliest end of validity inside the chain.
func (c Chain) NotAfter() time.Time {
	end := c.Certificates[0].NotAfter
	for _, cert := range c.Certificates[1:] {
		if cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}

// Validation is the result of building chains. Reason is empty when Chains is not.
type Validation struct {
	Trust  TrustState
	Anchor Anchor
	Chains []Chain
	Reason string
}

// NotAfter returns the latest over the chains of the earliest end inside each: the
// moment at which the last path breaks. It is zero without a chain.
func (v Validation) NotAfter() time.Time {
	var latest time.Time
	for _, c := range v.Chains {
		if end := c.NotAfter(); end.After(latest) {
			latest = end
		}
	}
	return latest
}

// Validate builds every chain from leaf through intermediates to roots that holds at
// the moment at, for use by a TLS server. Names are not looked at.
func Validate(leaf *x509.Certificate, intermediates []*x509.Certificate, roots Roots, at time.Time) Validation {
	pool := x509.NewCertPool()
	for _, c := range intermediates {
		pool.AddCert(c)
	}
	var v Validation
	var failure error
	distrusted := false
	for _, side := range []struct {
		roots  *x509.CertPool
		anchor Anchor
		trust  TrustState
	}{{roots.Public, AnchorPublic, TrustedPublic}, {roots.Workspace, AnchorWorkspace, TrustedWorkspace}} {
		if side.roots == nil {
			continue
		}
		paths, err := leaf.Verify(x509.VerifyOptions{
			Roots: side.roots, Intermediates: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		// An "unknown authority" of one pool says less than what the other objects to.
		if err != nil && (failure == nil || reason(failure) == ReasonUnknownAuthority) {
			failure = err
		}
		for _, path := range paths {
			if slices.ContainsFunc(path, func(c *x509.Certificate) bool { return roots.Distrusted[Fingerprint(c)] }) {
				distrusted = true
				continue
			}
			v.Chains = append(v.Chains, Chain{path, side.anchor})
			if v.Trust == "" {
				v.Trust, v.Anchor = side.trust, side.anchor
			}
		}
	}
	switch {
	case len(v.Chains) > 0:
	case distrusted:
		v.Trust, v.Reason = Distrusted, ReasonDistrusted
	case selfIssued(leaf):
		v.Trust, v.Reason = TrustSelfSigned, ReasonUnknownAuthority
	default:
		v.Trust, v.Reason = Untrusted, reason(failure)
	}
	return v
}

// reason turns an error of crypto/x509 into a code. The objection to a candidate
// authority is only in the text of UnknownAuthorityError, hence the look at it.
func reason(err error) string {
	if _, ok := errors.AsType[x509.UnhandledCriticalExtension](err); ok {
		return ReasonCritical
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.Expired:
			return ReasonExpired
		case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage, x509.UnconstrainedName, x509.TooManyConstraints:
			return ReasonNameConstraint
		case x509.IncompatibleUsage:
			return ReasonEKU
		case x509.NotAuthorizedToSign:
			return ReasonNotCA
		case x509.TooManyIntermediates:
			return ReasonPathLength
		default:
			return ReasonInvalid
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		text := err.Error()
		switch {
		case strings.Contains(text, "insecure algorithm"):
			return ReasonInsecure
		case strings.Contains(text, "expired or is not yet valid"):
			return ReasonExpired
		case strings.Contains(text, "parent certificate cannot sign"), strings.Contains(text, "not authorized to sign"):
			return ReasonNotCA
		}
	}
	return ReasonUnknownAuthority
}

// ExpiredNeeded returns the intermediate whose expiry alone breaks the path of leaf, or
// nil: with the clock set back to its last second a chain is found.
func ExpiredNeeded(leaf *x509.Certificate, intermediates []*x509.Certificate, roots Roots, at time.Time) *x509.Certificate {
	for _, c := range intermediates {
		if !c.NotAfter.Before(at) || c.NotAfter.Before(leaf.NotBefore) {
			continue
		}
		if len(Validate(leaf, intermediates, roots, c.NotAfter).Chains) > 0 {
			return c
		}
	}
	return nil
}

// Structure returns what is odd about the list as served, leaf first. known holds
// further authorities, such as a cache of intermediates, and tells a cross-sign from a
// plain intermediate. Issuing is read from names and key identifiers; whether the
// signatures hold is for Validate.
func Structure(served, known []*x509.Certificate, v Validation, at time.Time) []Finding {
	var out []Finding
	var list []*x509.Certificate
	for _, c := range served {
		if slices.ContainsFunc(list, c.Equal) {
			out = append(out, Finding{CodeDuplicate, Info, Label(c)})
			continue
		}
		list = append(list, c)
	}
	if c := misplaced(list); c != nil {
		out = append(out, Finding{CodeWrongOrder, Medium, Label(c)})
	}
	related := relatives(list)
	for i, c := range list {
		if i == 0 {
			continue
		}
		switch used := uses(v, c); {
		case !related[i]:
			out = append(out, Finding{CodeUnrelated, Info, Label(c)})
		case selfIssued(c) && c.IsCA:
			out = append(out, Finding{CodeRootIncluded, Info, Label(c)})
		case !used && len(v.Chains) > 0 && Period(c.NotBefore, c.NotAfter, at) == TimeExpired:
			out = append(out, Finding{CodeExpiredExtra, Info, Label(c)})
		}
	}
	if c := crossSign(v, list, known); c != nil {
		out = append(out, Finding{CodeCrossSign, Info, Label(c)})
	}
	return out
}

// misplaced returns the first certificate that stands before one it has issued, unless
// another issuer of that one follows as well, as with cross-signs.
func misplaced(list []*x509.Certificate) *x509.Certificate {
	for j := range list {
		var early *x509.Certificate
		late := false
		for i := range list {
			if i == j || !mayIssue(list[i], list[j]) {
				continue
			}
			if i > j {
				late = true
			} else if early == nil {
				early = list[i]
			}
		}
		if early != nil && !late {
			return early
		}
	}
	return nil
}

// relatives marks what hangs together with the first certificate by issuing.
func relatives(list []*x509.Certificate) []bool {
	seen := make([]bool, len(list))
	if len(list) == 0 {
		return seen
	}
	seen[0] = true
	queue := []int{0}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for j := range list {
			if !seen[j] && (mayIssue(list[i], list[j]) || mayIssue(list[j], list[i])) {
				seen[j] = true
				queue = append(queue, j)
			}
		}
	}
	return seen
}

// crossSign returns the authority through which every chain goes although a sibling, of
// the same name and key from another issuer, is known, not served and longer-lived: that
// sibling is the regular certificate, and the one in use its cross-sign.
func crossSign(v Validation, served, known []*x509.Certificate) *x509.Certificate {
	for _, chain := range v.Chains {
		for _, c := range chain.Certificates[1:] {
			if selfIssued(c) || slices.ContainsFunc(v.Chains, func(other Chain) bool {
				return !slices.ContainsFunc(other.Certificates, c.Equal)
			}) {
				continue
			}
			if slices.ContainsFunc(known, func(s *x509.Certificate) bool {
				return bytes.Equal(s.RawSubject, c.RawSubject) && !bytes.Equal(s.RawIssuer, c.RawIssuer) &&
					bytes.Equal(s.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) &&
					s.NotAfter.After(c.NotAfter) && !slices.ContainsFunc(served, s.Equal)
			}) {
				return c
			}
		}
	}
	return nil
}

func uses(v Validation, c *x509.Certificate) bool {
	return slices.ContainsFunc(v.Chains, func(chain Chain) bool {
		return slices.ContainsFunc(chain.Certificates, c.Equal)
	})
}

// mayIssue reports whether issuer's name, and key identifier where both carry one, are
// those that c names (RFC 5280, 4.2.1.1).
func mayIssue(issuer, c *x509.Certificate) bool {
	if !bytes.Equal(issuer.RawSubject, c.RawIssuer) {
		return false
	}
	return len(issuer.SubjectKeyId) == 0 || len(c.AuthorityKeyId) == 0 || bytes.Equal(issuer.SubjectKeyId, c.AuthorityKeyId)
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// IssuerOf returns the first of candidates that may have issued c, other than c itself, or nil.
func IssuerOf(c *x509.Certificate, candidates []*x509.Certificate) *x509.Certificate {
	for _, i := range candidates {
		if !i.Equal(c) && mayIssue(i, c) {
			return i
		}
	}
	return nil
}

// Label names a certificate in a finding: its common name, else its first DNS name, else
// its organisation, else its serial number.
func Label(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return clip(c.Subject.CommonName)
	case len(c.DNSNames) > 0:
		return clip(c.DNSNames[0])
	case len(c.Subject.Organization) > 0:
		return clip(c.Subject.Organization[0])
	}
	return "serial " + clip(c.SerialNumber.Text(16))
}
