package tlsscan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

// FactsVersion names the rules by which facts are normalised. Another rule needs another
// version, since stored hashes never change.
const FactsVersion = "vigilo-facts-1"

// Facts is what a scan found without when, where and how long: two scans of an unchanged
// endpoint have equal facts. Dates are those written in certificates, in RFC 3339;
// hashes are lower-case hex.
type Facts struct {
	Version     string `json:"version"`
	State       string `json:"state"`
	ErrorClass  string `json:"error_class,omitempty"`
	STARTTLS    string `json:"starttls,omitempty"`
	TLSVersion  string `json:"tls_version,omitempty"`
	CipherSuite string `json:"cipher_suite,omitempty"`
	Group       string `json:"group,omitempty"`
	ALPN        string `json:"alpn,omitempty"`

	Fingerprint  string   `json:"fingerprint,omitempty"`
	Subject      string   `json:"subject,omitempty"`
	Issuer       string   `json:"issuer,omitempty"`
	IssuerOrg    string   `json:"issuer_organization,omitempty"`
	Serial       string   `json:"serial,omitempty"`
	Key          string   `json:"key,omitempty"`
	KeyHash      string   `json:"key_hash,omitempty"`
	Signature    string   `json:"signature,omitempty"`
	NotBefore    string   `json:"not_before,omitempty"`
	NotAfter     string   `json:"not_after,omitempty"`
	Names        []string `json:"names,omitempty"`
	Intermediate []string `json:"intermediates,omitempty"` // fingerprints after the leaf, in served order

	Trust         string   `json:"trust,omitempty"`
	Anchor        string   `json:"anchor,omitempty"`
	Reason        string   `json:"reason,omitempty"`
	Name          string   `json:"name,omitempty"`
	Revocation    string   `json:"revocation,omitempty"`
	Strength      string   `json:"strength,omitempty"`
	Policy        string   `json:"policy,omitempty"`
	ChainNotAfter string   `json:"chain_not_after,omitempty"`
	MissingFrom   string   `json:"missing_from,omitempty"`
	Findings      []string `json:"findings,omitempty"` // "code" or "code: detail", sorted
}

// Facts returns the normalised facts of r. The position in the validity period is not
// among them: it follows from the dates and the day one looks.
func (r Result) Facts() Facts {
	f := Facts{
		Version: FactsVersion, State: string(r.State), ErrorClass: r.ErrorClass, STARTTLS: r.STARTTLS,
		TLSVersion: r.TLSVersion, CipherSuite: r.CipherSuite, Group: r.Group, ALPN: r.ALPN,
		Trust: string(r.Dimensions.Trust), Anchor: string(r.Anchor), Reason: r.Reason, Name: string(r.Dimensions.Name),
		Revocation: string(r.Dimensions.Revocation), Strength: string(r.Dimensions.Strength), Policy: string(r.Dimensions.Policy),
		ChainNotAfter: stamp(r.ChainNotAfter), MissingFrom: r.MissingFrom,
	}
	for i, der := range r.Certificates {
		sum := sha256.Sum256(der)
		if i == 0 {
			f.Fingerprint = hex.EncodeToString(sum[:])
		} else {
			f.Intermediate = append(f.Intermediate, hex.EncodeToString(sum[:]))
		}
	}
	if leaf := r.Leaf(); leaf != nil {
		spki := x509lint.SPKIHash(leaf)
		f.Subject, f.Issuer = text(leaf.Subject.String()), text(leaf.Issuer.String())
		f.IssuerOrg = text(strings.Join(leaf.Issuer.Organization, ", "))
		f.Serial, f.Key, f.KeyHash = leaf.SerialNumber.Text(16), x509lint.KeyDescription(leaf.PublicKey), hex.EncodeToString(spki[:])
		f.Signature = leaf.SignatureAlgorithm.String()
		f.NotBefore, f.NotAfter = stamp(leaf.NotBefore), stamp(leaf.NotAfter)
		for _, n := range leaf.DNSNames {
			f.Names = append(f.Names, text(strings.ToLower(n)))
		}
		for _, ip := range leaf.IPAddresses {
			f.Names = append(f.Names, ip.String())
		}
		slices.Sort(f.Names)
		f.Names = slices.Compact(f.Names)
	}
	for _, finding := range r.Findings {
		line := finding.Code
		if finding.Detail != "" {
			line += ": " + finding.Detail
		}
		f.Findings = append(f.Findings, line)
	}
	slices.Sort(f.Findings)
	f.Findings = slices.Compact(f.Findings)
	return f
}

// text makes foreign bytes storable: PostgreSQL refuses NUL and broken UTF-8.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

type field struct {
	name   string
	values []string
}

// fields returns the facts in the order of their hash. A new field needs a new FactsVersion.
func (f Facts) fields() []field {
	one := func(name, value string) field { return field{name, []string{value}} }
	return []field{
		one("version", f.Version), one("state", f.State), one("error_class", f.ErrorClass), one("starttls", f.STARTTLS),
		one("tls_version", f.TLSVersion), one("cipher_suite", f.CipherSuite), one("group", f.Group), one("alpn", f.ALPN),
		one("fingerprint", f.Fingerprint), one("subject", f.Subject), one("issuer", f.Issuer),
		one("issuer_organization", f.IssuerOrg), one("serial", f.Serial), one("key", f.Key), one("key_hash", f.KeyHash),
		one("signature", f.Signature), one("not_before", f.NotBefore), one("not_after", f.NotAfter),
		{"names", f.Names},
		{"intermediates", f.Intermediate},
		one("trust", f.Trust), one("anchor", f.Anchor), one("reason", f.Reason), one("name", f.Name),
		one("revocation", f.Revocation), one("strength", f.Strength), one("policy", f.Policy),
		one("chain_not_after", f.ChainNotAfter), one("missing_from", f.MissingFrom),
		{"findings", f.Findings},
	}
}

// Hash is the SHA-256 over the facts in a fixed encoding: for each field its name, the
// number of values and each value, texts preceded by their length. It is the address of
// a stored snapshot.
func (f Facts) Hash() [32]byte {
	var b []byte
	put := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, fl := range f.fields() {
		put(fl.name)
		b = binary.BigEndian.AppendUint32(b, uint32(len(fl.values)))
		for _, v := range fl.values {
			put(v)
		}
	}
	return sha256.Sum256(b)
}

// Change is one field that differs between two scans. Lists are joined with ", ".
type Change struct {
	Field    string
	From, To string
}

// Diff returns what changed from before to after, in the order of the fields, and nil
// when nothing did.
func Diff(before, after Facts) []Change {
	var out []Change
	newer := after.fields()
	for i, fl := range before.fields() {
		if !slices.Equal(fl.values, newer[i].values) {
			out = append(out, Change{fl.name, strings.Join(fl.values, ", "), strings.Join(newer[i].values, ", ")})
		}
	}
	return out
}
