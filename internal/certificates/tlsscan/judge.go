package tlsscan

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

const (
	maxAIAURLs  = 3 // of one certificate
	maxAIADepth = 4
	maxAIABytes = 64 << 10
	// fromCache is the value of MissingFrom when the scanner knew the missing piece.
	fromCache = "cache"
)

// judge fills in everything that follows from the certificates in r, of which the leaf parses.
func (s *Scanner) judge(ctx context.Context, p plan, r *Result) {
	now := s.Clock.Now()
	served := slices.DeleteFunc(slices.Clone(r.Parsed), func(c *x509.Certificate) bool { return c == nil })
	leaf := served[0]
	when := x509lint.TrustTime(leaf, now)

	v := x509lint.Validate(leaf, served[1:], s.Roots, when)
	known := s.Intermediates
	if v.Trust == x509lint.Untrusted && v.Reason == x509lint.ReasonUnknownAuthority {
		v, known = s.complete(ctx, served, when, v, r)
	}
	if v.Trust == x509lint.Untrusted {
		if c := x509lint.ExpiredNeeded(leaf, served[1:], s.Roots, when); c != nil {
			r.addFinding(x509lint.CodeExpiredNeeded, x509lint.High, x509lint.Label(c))
			v.Reason = x509lint.ReasonExpired
		}
	}
	r.Anchor, r.Reason, r.Chains, r.ChainNotAfter = v.Anchor, v.Reason, v.Chains, v.NotAfter()
	r.NotBefore, r.NotAfter = leaf.NotBefore, leaf.NotAfter

	judged := served
	if len(v.Chains) > 0 {
		judged = v.Chains[0].Certificates
	}
	strength, weak := x509lint.ChainStrength(judged)
	r.Dimensions = x509lint.Dimensions{
		Time:       x509lint.Period(leaf.NotBefore, leaf.NotAfter, now),
		Trust:      v.Trust,
		Name:       x509lint.MatchName(leaf, p.serverName),
		Revocation: x509lint.RevocationUnknown,
		Strength:   strength,
		Policy:     x509lint.PolicyOK,
	}
	r.Findings = slices.Concat(r.Findings, x509lint.NameFindings(leaf), x509lint.Structure(served, known, v, now), weak)
	if v.Anchor == x509lint.AnchorPublic && x509lint.ValidityTooLong(leaf.NotBefore, leaf.NotAfter) {
		r.Dimensions.Policy = x509lint.PolicyViolations
		r.addFinding(x509lint.CodeValidityTooLong, x509lint.Medium, fmt.Sprintf("%d days, at most %d are allowed",
			x509lint.ValidityDays(leaf.NotBefore, leaf.NotAfter), x509lint.MaxValidityDays(leaf.NotBefore)))
	}
	r.Status = r.StatusAt(now, s.Expiry)
}

// StatusAt returns the status to show at now under p. It needs no new scan: only the
// position in the validity period moves with time.
func (r Result) StatusAt(now time.Time, p x509lint.ExpiryPolicy) x509lint.Status {
	if r.Leaf() == nil {
		return r.Status
	}
	d := r.Dimensions
	d.Time = x509lint.Period(r.NotBefore, r.NotAfter, now)
	return d.Primary(p.Urgency(r.NotBefore, r.NotAfter, now))
}

// complete looks for the missing piece of a chain, first among the known intermediates,
// then at the issuers' URLs. It returns the validation with what it found, and all
// authorities known now.
func (s *Scanner) complete(
	ctx context.Context, served []*x509.Certificate, when time.Time, before x509lint.Validation, r *Result,
) (x509lint.Validation, []*x509.Certificate) {
	leaf := served[0]
	extra := slices.Clone(s.Intermediates)
	found := func(from string) (x509lint.Validation, bool) {
		v := x509lint.Validate(leaf, slices.Concat(served[1:], extra), s.Roots, when)
		if len(v.Chains) == 0 {
			return before, false
		}
		v.Trust = x509lint.TrustIncomplete
		r.MissingFrom = from
		return v, true
	}
	if len(extra) > 0 {
		if v, ok := found(fromCache); ok {
			return v, extra
		}
	}
	if s.FetchAIA == nil {
		return before, extra
	}
	tip := leaf
	for range len(served) {
		next := x509lint.IssuerOf(tip, served)
		if next == nil {
			break
		}
		tip = next
	}
	for range maxAIADepth {
		if bytes.Equal(tip.RawSubject, tip.RawIssuer) {
			break
		}
		url, issuers, err := s.fetchIssuers(ctx, tip)
		if err != nil {
			code := x509lint.CodeAIAUnavailable
			if errors.Is(err, outbound.ErrBlocked) {
				code = x509lint.CodeAIABlocked
			}
			r.addFinding(code, x509lint.Medium, x509lint.Label(tip))
			break
		}
		extra = append(extra, issuers...)
		if v, ok := found(url); ok {
			return v, extra
		}
		if tip = x509lint.IssuerOf(tip, issuers); tip == nil {
			break
		}
	}
	return before, extra
}

// fetchIssuers returns the certificates behind the first of c's issuer URLs that
// answers, and that URL. No URL at all is not an error and returns nothing.
func (s *Scanner) fetchIssuers(ctx context.Context, c *x509.Certificate) (string, []*x509.Certificate, error) {
	var failure error
	for _, url := range c.IssuingCertificateURL[:min(len(c.IssuingCertificateURL), maxAIAURLs)] {
		if lower := strings.ToLower(url); !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
			continue
		}
		issuers, err := s.fetchIssuer(ctx, url)
		if err == nil {
			return url, issuers, nil
		}
		if failure == nil || errors.Is(err, outbound.ErrBlocked) {
			failure = err
		}
	}
	return "", nil, failure
}

func (s *Scanner) fetchIssuer(ctx context.Context, url string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(s.Timeouts.AIA, 5*time.Second))
	defer cancel()
	body, err := s.FetchAIA(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("fetch issuer: %w", err)
	}
	if len(body) > maxAIABytes {
		return nil, fmt.Errorf("fetch issuer: %w", outbound.ErrTooLarge)
	}
	return parseIssuers(body)
}

// parseIssuers reads one certificate in DER, as RFC 5280, 4.2.2.1 asks, a certificate in
// PEM, which servers also send, or a certs-only CMS message (RFC 5652).
func parseIssuers(body []byte) ([]*x509.Certificate, error) {
	if block, _ := pem.Decode(body); block != nil {
		body = block.Bytes
	}
	cert, err := x509.ParseCertificate(body)
	if err == nil {
		return []*x509.Certificate{cert}, nil
	}
	certs, cmsErr := parseCMS(body)
	if cmsErr != nil {
		return nil, fmt.Errorf("parse issuer: %w", err)
	}
	return certs[:min(len(certs), MaxCertificates)], nil
}

func parseCMS(der []byte) ([]*x509.Certificate, error) {
	var content struct {
		Type asn1.ObjectIdentifier
		Data struct {
			Version int
			Digests asn1.RawValue
			Inner   asn1.RawValue
			Certs   asn1.RawValue `asn1:"optional,tag:0"`
			CRLs    asn1.RawValue `asn1:"optional,tag:1"`
			Signers asn1.RawValue
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(der, &content); err != nil {
		return nil, fmt.Errorf("parse CMS: %w", err)
	}
	certs, err := x509.ParseCertificates(content.Data.Certs.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse certificates in CMS: %w", err)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in CMS")
	}
	return certs, nil
}
