package certificates

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// parsedCert is a certificate in the form in which it is stored: texts cleaned of what
// PostgreSQL refuses, and empty where the encoding cannot be read.
type parsedCert struct {
	fingerprint                         [32]byte
	spki, der                           []byte
	label, subject, issuer, issuerLabel string
	serial, key, signature              string
	isCA                                bool
	notBefore                           *time.Time
	notAfter                            time.Time
	names                               []string
}

// newParsedCert describes a DER encoding and, if it could be read, the certificate in it.
func newParsedCert(der []byte, c *x509.Certificate) parsedCert {
	p := parsedCert{fingerprint: sha256.Sum256(der), der: der, label: "Unreadable certificate", notAfter: noExpiry}
	if c == nil {
		return p
	}
	spki := x509lint.SPKIHash(c)
	p.spki, p.label = spki[:], storable(x509lint.Label(c))
	p.subject, p.issuer, p.issuerLabel = storable(c.Subject.String()), storable(c.Issuer.String()), issuerLabel(c.Issuer)
	p.serial, p.key, p.signature = c.SerialNumber.Text(16), x509lint.KeyDescription(c.PublicKey), c.SignatureAlgorithm.String()
	begin := c.NotBefore.UTC()
	p.isCA, p.notBefore, p.notAfter = c.IsCA, &begin, c.NotAfter.UTC()
	for _, n := range c.DNSNames {
		p.names = append(p.names, storable(strings.ToLower(n)))
	}
	for _, ip := range c.IPAddresses {
		p.names = append(p.names, ip.String())
	}
	return p
}

// storable replaces what PostgreSQL refuses in a text.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// issuerLabel names an authority as people speak of it: its common name, with the
// organisation before names such as "R11" that say nothing alone.
func issuerLabel(n pkix.Name) string {
	org := ""
	if len(n.Organization) > 0 {
		org = n.Organization[0]
	}
	switch {
	case n.CommonName == "" && org == "":
		return storable(clip(n.String(), 120))
	case n.CommonName == "":
		return storable(clip(org, 120))
	case org != "" && len(n.CommonName) <= 5:
		return storable(clip(org+" "+n.CommonName, 120))
	}
	return storable(clip(n.CommonName, 120))
}

// clip cuts a text after n runes and marks the cut.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// maxUploaded is how many certificates one upload may hold.
const maxUploaded = 50

// parsePEM reads the certificates of an upload, in their order. Private keys are refused
// rather than ignored, so that nobody believes them to be stored here.
func parsePEM(text []byte) ([]parsedCert, error) {
	var out []parsedCert
	rest := bytes.TrimSpace(text)
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			return nil, fault.InvalidField("pem", "private_key", "This holds a private key. Remove it; Vigilo needs the certificate only.")
		}
		if block.Type != "CERTIFICATE" {
			return nil, fault.InvalidField("pem", "not_a_certificate", "This holds a block of another kind than CERTIFICATE.")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.InvalidField("pem", "unreadable", "A certificate in this text cannot be read.")
		}
		out = append(out, newParsedCert(block.Bytes, c))
		if len(out) > maxUploaded {
			return nil, fault.InvalidField("pem", "too_many", "At most 50 certificates fit in one upload.")
		}
	}
	if len(out) == 0 {
		return nil, fault.InvalidField("pem", "required", "Paste a certificate in PEM form; it begins with -----BEGIN CERTIFICATE-----.")
	}
	return unique(out), nil
}

// unique keeps each certificate once and sorts by fingerprint.
func unique(certs []parsedCert) []parsedCert {
	slices.SortFunc(certs, func(a, b parsedCert) int { return bytes.Compare(a.fingerprint[:], b.fingerprint[:]) })
	return slices.CompactFunc(certs, func(a, b parsedCert) bool { return a.fingerprint == b.fingerprint })
}

// hostWords are the words by which people find a host: its name from each part on, so
// that a prefix finds any part, the name it is asked for, and its tags.
func hostWords(h Host) []string {
	words := slices.Concat(nameWords(h.Hostname), nameWords(h.ServerName))
	if h.DisplayName != h.Hostname {
		words = append(words, nameWords(strings.ToLower(h.DisplayName))...)
	}
	words = append(words, h.Hostname+":"+portText(h.Port))
	for _, t := range h.Tags {
		words = append(words, strings.Fields(t)...)
	}
	return cleanWords(words)
}

// certWords are the words by which people find a host through what it serves.
func certWords(leaf parsedCert) []string {
	words := strings.FieldsFunc(strings.ToLower(leaf.issuerLabel), notWord)
	words = append(words, leaf.serial, hex.EncodeToString(leaf.fingerprint[:]))
	words = append(words, leaf.names[:min(len(leaf.names), 30)]...)
	return cleanWords(words)
}

func notWord(r rune) bool { return strings.ContainsRune(" ,;()\"'/", r) }

// nameWords returns name and what remains of it after each dot and hyphen.
func nameWords(name string) []string {
	var out []string
	for rest := name; rest != ""; {
		out = append(out, rest)
		i := strings.IndexAny(rest, ".-")
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	return out
}

func cleanWords(words []string) []string {
	slices.Sort(words)
	words = slices.Compact(words)
	return slices.DeleteFunc(words, func(w string) bool { return w == "" || len(w) > 253 })
}

// maxWords is how many words of a search are looked at.
const maxWords = 4

// searchWords cuts what a person typed into the prefixes to look for.
func searchWords(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(storable(text)), func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
	if len(words) > maxWords {
		words = words[:maxWords]
	}
	for i, w := range words {
		w = strings.TrimPrefix(strings.TrimPrefix(w, "https://"), "http://")
		w = strings.TrimRight(strings.TrimPrefix(w, "*."), "/")
		// Fingerprints and serial numbers are often copied with colons.
		if bare := strings.ReplaceAll(w, ":", ""); len(bare) >= 8 && strings.Count(w, ":") >= 3 {
			if _, err := hex.DecodeString(bare + strings.Repeat("0", len(bare)%2)); err == nil {
				w = bare
			}
		}
		words[i] = clipBytes(w, 253)
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

func clipBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
