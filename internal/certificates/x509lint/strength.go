package x509lint

import (
	//lint:ignore SA1019 old certificates still carry DSA keys, and we describe them
	"crypto/dsa" //nolint:staticcheck // as above
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// KeyDescription names a public key as people write it: "RSA 2048", "ECDSA P-256", "Ed25519".
func KeyDescription(pub any) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	case *dsa.PublicKey:
		return fmt.Sprintf("DSA %d", k.P.BitLen())
	}
	return "unknown"
}

// KeyStrength classes a public key: RSA and DSA are weak below 2048 bits and insecure
// below 1024, elliptic curves weak below 224 and insecure below 160. A kind of key that
// crypto/x509 does not know is not judged and counts as ok.
func KeyStrength(pub any) Strength {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if k.E == 1 {
			return StrengthInsecure // every message is its own signature
		}
		return bitStrength(k.N.BitLen(), 2048, 1024)
	case *dsa.PublicKey:
		return bitStrength(k.P.BitLen(), 2048, 1024)
	case *ecdsa.PublicKey:
		return bitStrength(k.Curve.Params().BitSize, 224, 160)
	}
	return StrengthOK
}

func bitStrength(bits, weakBelow, insecureBelow int) Strength {
	switch {
	case bits < insecureBelow:
		return StrengthInsecure
	case bits < weakBelow:
		return StrengthWeak
	}
	return StrengthOK
}

// SignatureStrength classes the algorithm with which a certificate was signed.
func SignatureStrength(alg x509.SignatureAlgorithm) Strength {
	switch alg {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return StrengthInsecure
	default:
		return StrengthOK
	}
}

// ChainStrength returns the weakest class in certs and what made it so. The signature
// of a self-issued authority is not judged: whoever trusts it does not rely on it.
func ChainStrength(certs []*x509.Certificate) (Strength, []Finding) {
	worst := StrengthOK
	var findings []Finding
	add := func(s Strength, weakCode, insecureCode, detail string) {
		switch s {
		case StrengthInsecure:
			worst = StrengthInsecure
			findings = append(findings, Finding{insecureCode, High, detail})
		case StrengthWeak:
			if worst == StrengthOK {
				worst = StrengthWeak
			}
			findings = append(findings, Finding{weakCode, Medium, detail})
		case StrengthOK:
		}
	}
	for i, c := range certs {
		add(KeyStrength(c.PublicKey), CodeWeakKey, CodeInsecureKey, KeyDescription(c.PublicKey)+", "+Label(c))
		if i == 0 || !selfIssued(c) {
			add(SignatureStrength(c.SignatureAlgorithm), "", CodeInsecureSign, c.SignatureAlgorithm.String()+", "+Label(c))
		}
	}
	return worst, findings
}
