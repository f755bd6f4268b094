// Package x509lint judges certificates and chains: validity, names, trust, structure,
// strength and expiry. It is pure: no network, no clock, no database. The rules and
// their vectors are those of the product's certificate specification (RFC 5280,
// RFC 9525 and the CA/Browser Forum's validity schedule).
package x509lint

import (
	"crypto/sha256"
	"crypto/x509"
)

// Severity orders findings for a person.
type Severity string

// The severities, from "good to know" to "act now".
const (
	Info     Severity = "info"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Finding is one fact worth telling about a certificate or a chain. Code is stable;
// Detail names the certificate, name or number it is about and may be empty.
type Finding struct {
	Code     string
	Severity Severity
	Detail   string
}

// Codes of findings.
const (
	CodeWrongOrder       = "wrong_order"
	CodeDuplicate        = "duplicate"
	CodeUnrelated        = "unrelated"
	CodeRootIncluded     = "root_included"
	CodeExpiredExtra     = "expired_extra"
	CodeExpiredNeeded    = "expired_needed"
	CodeCrossSign        = "depends_on_cross_sign"
	CodeMalformedSAN     = "malformed_san"
	CodePublicWildcard   = "wildcard_public_suffix"
	CodeIPAsDNS          = "ip_as_dns_name"
	CodeCNOnly           = "cn_only"
	CodeWeakKey          = "weak_key"
	CodeInsecureKey      = "insecure_key"
	CodeInsecureSign     = "insecure_signature"
	CodeValidityTooLong  = "validity_too_long"
	CodeAIAUnavailable   = "aia_unavailable"
	CodeAIABlocked       = "aia_blocked"
	CodeUnparsable       = "unparsable_certificate"
	CodePlaintextAfter   = "plaintext_after_starttls"
	CodeClientCert       = "client_certificate_requested"
	CodeHandshakeAborted = "handshake_not_completed"
	CodeChainTruncated   = "chain_truncated"
)

// TimeState is where a moment lies in the validity period of a certificate.
type TimeState string

// TrustState is what path validation says of a served chain.
type TrustState string

// NameState is whether a certificate names the host.
type NameState string

// RevocationState is what is known of the revocation of a certificate.
type RevocationState string

// Strength is a class of key or signature.
type Strength string

// PolicyState is whether a certificate keeps the rules for public certificates.
type PolicyState string

// The values of the six dimensions.
const (
	TimeValid       TimeState = "valid"
	TimeNotYetValid TimeState = "not_yet_valid"
	TimeExpired     TimeState = "expired"

	TrustedPublic    TrustState = "trusted_public"
	TrustedWorkspace TrustState = "trusted_workspace"
	TrustIncomplete  TrustState = "incomplete"
	TrustSelfSigned  TrustState = "self_signed"
	Untrusted        TrustState = "untrusted"
	Distrusted       TrustState = "distrusted"

	NameMatch    NameState = "match"
	NameMismatch NameState = "mismatch"

	RevocationGood          RevocationState = "good"
	RevocationRevoked       RevocationState = "revoked"
	RevocationUnknown       RevocationState = "unknown"
	RevocationUnavailable   RevocationState = "unavailable"
	RevocationStale         RevocationState = "stale"
	RevocationNotOffered    RevocationState = "not_offered"
	RevocationNotApplicable RevocationState = "not_applicable"

	StrengthOK       Strength = "ok"
	StrengthWeak     Strength = "weak"
	StrengthInsecure Strength = "insecure"

	PolicyOK         PolicyState = "ok"
	PolicyViolations PolicyState = "violations"
)

// Dimensions is the state of a served certificate, each part judged alone, so that an
// expired private certificate is not called one of an unknown authority.
type Dimensions struct {
	Time       TimeState
	Trust      TrustState
	Name       NameState
	Revocation RevocationState
	Strength   Strength
	Policy     PolicyState
}

// Status is the one word shown for a certificate.
type Status string

// The statuses, in the order in which the first that applies is shown.
const (
	StatusRevoked         Status = "revoked"
	StatusExpired         Status = "expired"
	StatusNotYetValid     Status = "not_yet_valid"
	StatusNameMismatch    Status = "name_mismatch"
	StatusSelfSigned      Status = "self_signed"
	StatusUntrusted       Status = "untrusted"
	StatusIncompleteChain Status = "incomplete_chain"
	StatusCritical        Status = "critical"
	StatusExpiring        Status = "expiring"
	StatusWeak            Status = "weak"
	StatusPolicyViolation Status = "policy_violation"
	StatusValid           Status = "valid"
)

// Primary returns the status to show: the first that applies. A distrusted chain is
// shown as untrusted.
func (d Dimensions) Primary(u Urgency) Status {
	switch {
	case d.Revocation == RevocationRevoked:
		return StatusRevoked
	case d.Time == TimeExpired:
		return StatusExpired
	case d.Time == TimeNotYetValid:
		return StatusNotYetValid
	case d.Name == NameMismatch:
		return StatusNameMismatch
	case d.Trust == TrustSelfSigned:
		return StatusSelfSigned
	case d.Trust == Untrusted, d.Trust == Distrusted:
		return StatusUntrusted
	case d.Trust == TrustIncomplete:
		return StatusIncompleteChain
	case u == UrgencyCritical:
		return StatusCritical
	case u == UrgencyExpiring:
		return StatusExpiring
	case d.Strength == StrengthWeak, d.Strength == StrengthInsecure:
		return StatusWeak
	case d.Policy == PolicyViolations:
		return StatusPolicyViolation
	}
	return StatusValid
}

// Fingerprint is the SHA-256 of the certificate's DER encoding.
func Fingerprint(c *x509.Certificate) [32]byte { return sha256.Sum256(c.Raw) }

// SPKIHash is the SHA-256 of the certificate's subject public key info: equal for two
// certificates exactly when they share a key (RFC 7469, 2.4).
func SPKIHash(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
