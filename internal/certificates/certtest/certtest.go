// Package certtest issues certificates for tests and for the demo farm: roots,
// intermediates, cross-signs and leaves, regular ones and deliberately bad ones.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // key identifiers are SHA-1 by RFC 5280, 4.2.1.2
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// KeyKind names a key algorithm and size.
type KeyKind string

// The kinds of key that NewKey makes.
const (
	ECDSAP224 KeyKind = "ecdsa-p224"
	ECDSAP256 KeyKind = "ecdsa-p256"
	ECDSAP384 KeyKind = "ecdsa-p384"
	Ed25519   KeyKind = "ed25519"
	RSA1024   KeyKind = "rsa-1024"
	RSA2048   KeyKind = "rsa-2048"
)

// Spec describes a certificate. What is left out gets a regular value.
type Spec struct {
	CommonName   string
	Organization string
	DNSNames     []string
	IPs          []netip.Addr
	// NotBefore and NotAfter are both required. X.509 keeps whole seconds.
	NotBefore, NotAfter time.Time
	// Key is the kind of a new key, ECDSAP256 by default. Signer, if set, is used instead.
	Key    KeyKind
	Signer crypto.Signer
	// CA makes an authority; its key may sign, and it has no extended key usage.
	CA bool
	// ExtKeyUsage is serverAuth by default for a leaf.
	ExtKeyUsage []x509.ExtKeyUsage
	// Edit changes the template last, for everything that has no field here.
	Edit func(*x509.Certificate)
}

// Cert is an issued certificate and its private key.
type Cert struct {
	X509 *x509.Certificate
	Key  crypto.Signer
}

// NewKey makes a private key.
func NewKey(kind KeyKind) (crypto.Signer, error) {
	switch kind {
	case "", ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP224:
		return ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA1024:
		return rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // a weak key is what is wanted
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("unknown kind of key %q", kind)
}

// SelfSigned issues a certificate that its own key signs: a root when s.CA is set.
func SelfSigned(s Spec) (*Cert, error) { return issue(nil, s) }

// Issue issues a certificate signed by c.
func (c *Cert) Issue(s Spec) (*Cert, error) { return issue(c, s) }

// CrossSign issues a second certificate for the subject and key of other, signed by c,
// valid from notBefore to notAfter.
func (c *Cert) CrossSign(other *Cert, notBefore, notAfter time.Time) (*Cert, error) {
	return issue(c, Spec{
		NotBefore: notBefore, NotAfter: notAfter, Signer: other.Key, CA: other.X509.IsCA,
		Edit: func(t *x509.Certificate) {
			t.RawSubject = other.X509.RawSubject
			t.SubjectKeyId = other.X509.SubjectKeyId
		},
	})
}

func issue(parent *Cert, s Spec) (*Cert, error) {
	key := s.Signer
	if key == nil {
		var err error
		if key, err = NewKey(s.Key); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
	}
	template, err := s.template(key)
	if err != nil {
		return nil, err
	}
	signer, parentCert := key, template
	if parent != nil {
		signer, parentCert = parent.Key, parent.X509
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parentCert, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("issue %q: %w", s.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse issued %q: %w", s.CommonName, err)
	}
	return &Cert{X509: cert, Key: key}, nil
}

func (s Spec) template(key crypto.Signer) (*x509.Certificate, error) {
	if s.NotBefore.IsZero() || s.NotAfter.IsZero() {
		return nil, errors.New("a certificate needs NotBefore and NotAfter")
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	keyID := sha1.Sum(spki) //nolint:gosec // see the import
	t := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: s.CommonName},
		NotBefore:    s.NotBefore, NotAfter: s.NotAfter,
		DNSNames:              s.DNSNames,
		SubjectKeyId:          keyID[:],
		BasicConstraintsValid: true,
		IsCA:                  s.CA,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           s.ExtKeyUsage,
	}
	if s.Organization != "" {
		t.Subject.Organization = []string{s.Organization}
	}
	for _, ip := range s.IPs {
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.AsSlice()))
	}
	if s.CA {
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else if len(t.ExtKeyUsage) == 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	if s.Edit != nil {
		s.Edit(t)
	}
	return t, nil
}

// TLS returns c and the certificates to send after it, as a server configuration takes them.
func (c *Cert) TLS(after ...*Cert) tls.Certificate {
	out := tls.Certificate{Certificate: [][]byte{c.X509.Raw}, PrivateKey: c.Key}
	for _, a := range after {
		out.Certificate = append(out.Certificate, a.X509.Raw)
	}
	return out
}

// PEM returns the certificate in PEM form.
func (c *Cert) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.X509.Raw})
}

// KeyPEM returns the private key as PKCS #8 in PEM form.
func (c *Cert) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Parse reads what PEM and KeyPEM wrote.
func Parse(certPEM, keyPEM []byte) (*Cert, error) {
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("no PEM block for certificate or key")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key of type %T cannot sign", key)
	}
	return &Cert{X509: cert, Key: signer}, nil
}

// Pool returns a pool of the given certificates.
func Pool(certs ...*Cert) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c.X509)
	}
	return pool
}

// Must returns v and panics on an error; for tests, where issuing cannot fail for a
// reason that the test is about.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
