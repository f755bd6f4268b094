package x509lint

import (
	"crypto/x509"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
)

// now is the moment of the chain vectors.
func now() time.Time { return at("2026-06-01T12:00:00Z") }

// pki holds the certificates that the vectors of the specification name.
type pki struct {
	root, oldRoot, deadRoot, inter, leaf *certtest.Cert
	crossValid, crossDead                *certtest.Cert
}

func spec(name string, ca bool) certtest.Spec {
	s := certtest.Spec{CommonName: name, CA: ca, NotBefore: now().Add(-100 * day), NotAfter: now().Add(90 * day)}
	if ca {
		s.NotAfter = now().Add(3000 * day)
	} else {
		s.DNSNames = []string{name}
	}
	return s
}

func newPKI() pki {
	must := certtest.Must[*certtest.Cert]
	var p pki
	p.root = must(certtest.SelfSigned(spec("R", true)))
	p.oldRoot = must(certtest.SelfSigned(spec("Old R", true)))
	dead := spec("Dead R", true)
	dead.NotBefore, dead.NotAfter = now().Add(-900*day), now().Add(-10*day)
	p.deadRoot = must(certtest.SelfSigned(dead))
	p.inter = must(p.root.Issue(spec("I", true)))
	p.leaf = must(p.inter.Issue(spec("www.example.com", false)))
	p.crossValid = must(p.oldRoot.CrossSign(p.inter, now().Add(-50*day), now().Add(40*day)))
	p.crossDead = must(p.deadRoot.CrossSign(p.inter, now().Add(-500*day), now().Add(-10*day)))
	return p
}

func certs(list ...*certtest.Cert) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range list {
		out = append(out, c.X509)
	}
	return out
}

func codes(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Code)
	}
	slices.Sort(out)
	return out
}

func TestChainVectors(t *testing.T) {
	t.Parallel()
	p := newPKI()
	must := certtest.Must[*certtest.Cert]
	constrainedSpec := spec("I constrained", true)
	constrainedSpec.Edit = func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.org"}
	}
	constrained := must(p.root.Issue(constrainedSpec))
	outside := must(constrained.Issue(spec("www.example.com", false)))
	clientSpec := spec("www.example.com", false)
	clientSpec.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	client := must(p.inter.Issue(clientSpec))
	expiredSpec := spec("www.example.com", false)
	expiredSpec.NotAfter = now().Add(-day)
	expired := must(p.inter.Issue(expiredSpec))
	selfSigned := must(certtest.SelfSigned(spec("www.example.com", false)))
	expiredI := must(p.root.CrossSign(p.inter, now().Add(-500*day), now().Add(-10*day)))
	notCA := must(p.root.Issue(spec("not a ca", false)))
	belowNotCA := must(notCA.Issue(spec("www.example.com", false)))
	shortSpec := spec("I short", true)
	shortSpec.Edit = func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }
	short := must(p.root.Issue(shortSpec))
	second := must(short.Issue(spec("I second", true)))
	deep := must(second.Issue(spec("www.example.com", false)))
	criticalSpec := spec("www.example.com", false)
	criticalSpec.Edit = unknownCritical
	critical := must(p.inter.Issue(criticalSpec))
	rsaRoot := must(certtest.SelfSigned(withKey(spec("RSA R", true), certtest.RSA2048)))
	sha1Spec := spec("SHA-1 I", true)
	sha1Spec.Edit = func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	sha1Inter := must(rsaRoot.Issue(sha1Spec))
	crossRoot := must(p.oldRoot.CrossSign(p.root, now().Add(-50*day), now().Add(400*day)))
	belowSHA1 := must(sha1Inter.Issue(spec("www.example.com", false)))

	public := func(roots ...*certtest.Cert) Roots { return Roots{Public: certtest.Pool(roots...)} }
	tests := []struct {
		name     string
		served   []*certtest.Cert
		known    []*certtest.Cert
		roots    Roots
		trust    TrustState
		reason   string
		findings []string
		notAfter time.Time
	}{
		{
			name: "complete chain", served: []*certtest.Cert{p.leaf, p.inter}, roots: public(p.root),
			trust: TrustedPublic, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "intermediate first", served: []*certtest.Cert{p.inter, p.leaf}, roots: public(p.root),
			trust: TrustedPublic, findings: []string{CodeWrongOrder}, notAfter: p.inter.X509.NotAfter,
		},
		{
			name: "root between", served: []*certtest.Cert{p.leaf, p.root, p.inter}, roots: public(p.root),
			trust: TrustedPublic, findings: []string{CodeRootIncluded, CodeWrongOrder}, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "root last", served: []*certtest.Cert{p.leaf, p.inter, p.root}, roots: public(p.root),
			trust: TrustedPublic, findings: []string{CodeRootIncluded}, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "intermediate twice", served: []*certtest.Cert{p.leaf, p.inter, p.inter}, roots: public(p.root),
			trust: TrustedPublic, findings: []string{CodeDuplicate}, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "expired cross-sign of an expired root", served: []*certtest.Cert{p.leaf, p.inter, p.crossDead}, roots: public(p.root, p.deadRoot),
			trust: TrustedPublic, findings: []string{CodeExpiredExtra}, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "only the old root, through a cross-sign", served: []*certtest.Cert{p.leaf, p.crossValid}, known: []*certtest.Cert{p.inter},
			roots: public(p.oldRoot), trust: TrustedPublic, findings: []string{CodeCrossSign}, notAfter: p.crossValid.X509.NotAfter,
		},
		{
			name: "a known cross-sign does not make the regular path depend on it", served: []*certtest.Cert{p.leaf, p.inter},
			known: []*certtest.Cert{p.crossValid}, roots: public(p.root), trust: TrustedPublic, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "root early, its cross-sign in place", served: []*certtest.Cert{p.leaf, p.root, p.inter, crossRoot}, roots: public(p.root),
			trust: TrustedPublic, findings: []string{CodeRootIncluded}, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "two paths: the longer-lived one counts", served: []*certtest.Cert{p.leaf, p.inter, p.crossValid}, roots: public(p.root, p.oldRoot),
			trust: TrustedPublic, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "workspace root", served: []*certtest.Cert{p.leaf, p.inter}, roots: Roots{Public: certtest.Pool(p.oldRoot), Workspace: certtest.Pool(p.root)},
			trust: TrustedWorkspace, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "the same elsewhere", served: []*certtest.Cert{p.leaf, p.inter}, roots: public(p.oldRoot),
			trust: Untrusted, reason: ReasonUnknownAuthority,
		},
		{
			name: "no roots at all", served: []*certtest.Cert{p.leaf, p.inter}, roots: Roots{},
			trust: Untrusted, reason: ReasonUnknownAuthority,
		},
		{
			name: "missing intermediate", served: []*certtest.Cert{p.leaf}, roots: public(p.root),
			trust: Untrusted, reason: ReasonUnknownAuthority,
		},
		{
			name: "outside the name constraint", served: []*certtest.Cert{outside, constrained}, roots: public(p.root),
			trust: Untrusted, reason: ReasonNameConstraint,
		},
		{
			name: "expired leaf keeps its trust", served: []*certtest.Cert{expired, p.inter}, roots: public(p.root),
			trust: TrustedPublic, notAfter: expired.X509.NotAfter,
		},
		{
			name: "client certificate", served: []*certtest.Cert{client, p.inter}, roots: public(p.root),
			trust: Untrusted, reason: ReasonEKU,
		},
		{
			name: "self-signed", served: []*certtest.Cert{selfSigned}, roots: public(p.root),
			trust: TrustSelfSigned, reason: ReasonUnknownAuthority,
		},
		{
			name: "self-signed and an anchor", served: []*certtest.Cert{selfSigned}, roots: Roots{Workspace: certtest.Pool(selfSigned)},
			trust: TrustedWorkspace, notAfter: selfSigned.X509.NotAfter,
		},
		{
			name: "needed intermediate expired", served: []*certtest.Cert{p.leaf, expiredI}, roots: public(p.root),
			trust: Untrusted, reason: ReasonExpired,
		},
		{
			name: "foreign certificate in the list", served: []*certtest.Cert{p.leaf, p.inter, p.oldRoot}, roots: public(p.root),
			trust: TrustedPublic, findings: []string{CodeUnrelated}, notAfter: p.leaf.X509.NotAfter,
		},
		{
			name: "issuer is no authority", served: []*certtest.Cert{belowNotCA, notCA}, roots: public(p.root),
			trust: Untrusted, reason: ReasonNotCA,
		},
		{
			name: "path too long", served: []*certtest.Cert{deep, second, short}, roots: public(p.root),
			trust: Untrusted, reason: ReasonPathLength,
		},
		{
			name: "unknown critical extension", served: []*certtest.Cert{critical, p.inter}, roots: public(p.root),
			trust: Untrusted, reason: ReasonCritical,
		},
		{
			name: "SHA-1 in the intermediate", served: []*certtest.Cert{belowSHA1, sha1Inter}, roots: public(rsaRoot),
			trust: Untrusted, reason: ReasonInsecure,
		},
		{
			name: "distrusted authority", served: []*certtest.Cert{p.leaf, p.inter},
			roots: Roots{Public: certtest.Pool(p.root), Distrusted: map[[32]byte]bool{Fingerprint(p.root.X509): true}},
			trust: Distrusted, reason: ReasonDistrusted,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			served := certs(tt.served...)
			when := TrustTime(served[0], now())
			v := Validate(served[0], served[1:], tt.roots, when)
			if v.Trust != tt.trust || v.Reason != tt.reason {
				t.Errorf("trust %q, reason %q; want %q, %q", v.Trust, v.Reason, tt.trust, tt.reason)
			}
			if got := v.NotAfter(); !got.Equal(tt.notAfter) {
				t.Errorf("chain not after %s, want %s", got, tt.notAfter)
			}
			got := codes(Structure(served, certs(tt.known...), v, now()))
			if diff := cmp.Diff(tt.findings, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("the expired intermediate is named", func(t *testing.T) {
		t.Parallel()
		got := ExpiredNeeded(p.leaf.X509, certs(expiredI), public(p.root), now())
		if got == nil || !got.Equal(expiredI.X509) {
			t.Errorf("got %v", got)
		}
		if got := ExpiredNeeded(p.leaf.X509, certs(p.crossDead), public(p.root), now()); got != nil {
			t.Errorf("a certificate that helps nobody was named: %s", got.Subject)
		}
	})
}

func unknownCritical(c *x509.Certificate) {
	c.ExtraExtensions = append(c.ExtraExtensions, extension([]int{1, 2, 3, 4, 5}, true, []byte{5, 0}))
}

func withKey(s certtest.Spec, kind certtest.KeyKind) certtest.Spec {
	s.Key = kind
	return s
}

func TestStrengthOfKeysAndSignatures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind certtest.KeyKind
		text string
		want Strength
	}{
		{certtest.RSA1024, "RSA 1024", StrengthWeak},
		{certtest.RSA2048, "RSA 2048", StrengthOK},
		{certtest.ECDSAP224, "ECDSA P-224", StrengthOK},
		{certtest.ECDSAP256, "ECDSA P-256", StrengthOK},
		{certtest.ECDSAP384, "ECDSA P-384", StrengthOK},
		{certtest.Ed25519, "Ed25519", StrengthOK},
	} {
		pub := certtest.Must(certtest.NewKey(tt.kind)).Public()
		if got := KeyDescription(pub); got != tt.text {
			t.Errorf("KeyDescription = %q, want %q", got, tt.text)
		}
		if got := KeyStrength(pub); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
	if got := KeyStrength(rsaPublic(512, 65537)); got != StrengthInsecure {
		t.Errorf("RSA 512: %q", got)
	}
	if got := KeyStrength(rsaPublic(2048, 1)); got != StrengthInsecure {
		t.Errorf("RSA with exponent 1: %q", got)
	}
	for _, alg := range []x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1} {
		if SignatureStrength(alg) != StrengthInsecure {
			t.Errorf("%s is not insecure", alg)
		}
	}
	if SignatureStrength(x509.ECDSAWithSHA256) != StrengthOK {
		t.Error("ECDSA with SHA-256 is not ok")
	}
}

func TestSHA1CountsBelowTheRootOnly(t *testing.T) {
	t.Parallel()
	must := certtest.Must[*certtest.Cert]
	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	rootSpec := withKey(spec("R", true), certtest.RSA2048)
	rootSpec.Edit = sha1
	root := must(certtest.SelfSigned(rootSpec))
	good := must(root.Issue(spec("www.example.com", false)))
	badSpec := spec("www.example.com", false)
	badSpec.Edit = sha1
	bad := must(root.Issue(badSpec))
	if s, f := ChainStrength(certs(good, root)); s != StrengthOK || len(f) != 0 {
		t.Errorf("SHA-1 on the root: %q %v", s, f)
	}
	if s, f := ChainStrength(certs(bad, root)); s != StrengthInsecure || !slices.Equal(codes(f), []string{CodeInsecureSign}) {
		t.Errorf("SHA-1 on the leaf: %q %v", s, f)
	}
	weak := must(root.Issue(withKey(spec("www.example.com", false), certtest.RSA1024)))
	if s, f := ChainStrength(certs(weak, root)); s != StrengthWeak || !slices.Equal(codes(f), []string{CodeWeakKey}) {
		t.Errorf("RSA 1024: %q %v", s, f)
	}
}

func TestKeyHashIsSharedByCrossSigns(t *testing.T) {
	t.Parallel()
	p := newPKI()
	if SPKIHash(p.inter.X509) != SPKIHash(p.crossValid.X509) || Fingerprint(p.inter.X509) == Fingerprint(p.crossValid.X509) {
		t.Error("a cross-sign shares the key and not the fingerprint")
	}
	if SPKIHash(p.inter.X509) == SPKIHash(p.leaf.X509) {
		t.Error("different keys share a hash")
	}
}

func TestLabelFallsBack(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]*x509.Certificate{
		"a.example": {DNSNames: []string{"a.example"}, SerialNumber: big.NewInt(1)},
		"serial ff": {SerialNumber: big.NewInt(255)},
	} {
		if got := Label(c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
