package tlsscan

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

func TestHealthyServerIsValid(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	target := serveTLS(t, config(a.leaf.TLS(a.inter)))
	r := scan(t, newScanner(a), target)
	wantState(t, r, StateReachable, "")
	wantCodes(t, r)
	want := x509lint.Dimensions{
		Time: x509lint.TimeValid, Trust: x509lint.TrustedPublic, Name: x509lint.NameMatch, Revocation: x509lint.RevocationUnknown,
		Strength: x509lint.StrengthOK, Policy: x509lint.PolicyOK,
	}
	if r.Dimensions != want || r.Status != x509lint.StatusValid || r.Anchor != x509lint.AnchorPublic {
		t.Errorf("got %+v, %q", r.Dimensions, r.Status)
	}
	if len(r.Certificates) != 2 || !r.Leaf().Equal(a.leaf.X509) || len(r.Chains) != 1 {
		t.Errorf("%d certificates, %d chains", len(r.Certificates), len(r.Chains))
	}
	if !r.ChainNotAfter.Equal(a.leaf.X509.NotAfter) || !r.NotAfter.Equal(a.leaf.X509.NotAfter) || !r.NotBefore.Equal(a.leaf.X509.NotBefore) {
		t.Errorf("not before %s, not after %s, chain %s", r.NotBefore, r.NotAfter, r.ChainNotAfter)
	}
	if r.TLSVersion != "TLS 1.3" || r.CipherSuite == "" || r.Group == "" || !strings.HasPrefix(r.Address, "127.0.0.1:") {
		t.Errorf("version %q, suite %q, group %q, address %q", r.TLSVersion, r.CipherSuite, r.Group, r.Address)
	}
	for moment, status := range map[time.Duration]x509lint.Status{
		29 * day: x509lint.StatusValid, 31 * day: x509lint.StatusExpiring, 54 * day: x509lint.StatusCritical, 61 * day: x509lint.StatusExpired,
	} {
		if got := r.StatusAt(now().Add(moment), x509lint.ExpiryPolicy{}); got != status {
			t.Errorf("after %v: %q, want %q", moment, got, status)
		}
	}
}

func TestEveryVersionFrom10IsRead(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for version, name := range map[uint16]string{
		tls.VersionTLS10: "TLS 1.0", tls.VersionTLS11: "TLS 1.1", tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3",
	} {
		cfg := config(a.leaf.TLS(a.inter))
		cfg.MinVersion, cfg.MaxVersion = version, version
		r := scan(t, newScanner(a), serveTLS(t, cfg))
		wantState(t, r, StateReachable, "")
		if r.TLSVersion != name || r.Status != x509lint.StatusValid {
			t.Errorf("%s: version %q, status %q", name, r.TLSVersion, r.Status)
		}
	}
	rsa := leafSpec()
	rsa.Key = certtest.RSA2048
	static := config(certtest.Must(a.inter.Issue(rsa)).TLS(a.inter))
	static.MaxVersion, static.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	r := scan(t, newScanner(a), serveTLS(t, static))
	if r.Status != x509lint.StatusValid || r.CipherSuite != "TLS_RSA_WITH_AES_128_CBC_SHA" || r.Group != "" {
		t.Errorf("static RSA: %q %q %q (%v)", r.Status, r.CipherSuite, r.Group, r.Err)
	}
}

func TestStatusOfServedCertificates(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	must := certtest.Must[*certtest.Cert]
	leaf := func(edit func(*certtest.Spec)) *certtest.Cert {
		s := leafSpec()
		edit(&s)
		return must(a.inter.Issue(s))
	}
	lasting := func(from, to time.Duration) *certtest.Cert {
		return leaf(func(s *certtest.Spec) { s.NotBefore, s.NotAfter = now().Add(from), now().Add(to) })
	}
	selfSigned := must(certtest.SelfSigned(leafSpec()))
	other := must(certtest.SelfSigned(certtest.Spec{CommonName: "X", CA: true, NotBefore: now().Add(-day), NotAfter: now().Add(day)}))
	wrongName := leaf(func(s *certtest.Spec) { s.DNSNames = []string{"other.example.com"} })
	expiredSpec := certtest.Spec{CommonName: "I", CA: true, Signer: a.inter.Key, NotBefore: now().Add(-500 * day), NotAfter: now().Add(-day)}
	expiredSpec.Edit = func(c *x509.Certificate) { c.RawSubject = a.inter.X509.RawSubject }
	expiredInter := must(a.root.Issue(expiredSpec))
	tests := []struct {
		name     string
		chain    tls.Certificate
		status   x509lint.Status
		trust    x509lint.TrustState
		reason   string
		findings []string
	}{
		{"expired", lasting(-90*day, -day).TLS(a.inter), x509lint.StatusExpired, x509lint.TrustedPublic, "", nil},
		{"not yet valid", lasting(day, 90*day).TLS(a.inter), x509lint.StatusNotYetValid, x509lint.TrustedPublic, "", nil},
		{"critical", lasting(-80*day, 5*day).TLS(a.inter), x509lint.StatusCritical, x509lint.TrustedPublic, "", nil},
		{"expiring", lasting(-70*day, 20*day).TLS(a.inter), x509lint.StatusExpiring, x509lint.TrustedPublic, "", nil},
		{"wrong name", wrongName.TLS(a.inter), x509lint.StatusNameMismatch, x509lint.TrustedPublic, "", nil},
		{"self-signed", selfSigned.TLS(), x509lint.StatusSelfSigned, x509lint.TrustSelfSigned, x509lint.ReasonUnknownAuthority, nil},
		{"unknown authority", must(other.Issue(leafSpec())).TLS(), x509lint.StatusUntrusted, x509lint.Untrusted, x509lint.ReasonUnknownAuthority, nil},
		{
			"weak key", leaf(func(s *certtest.Spec) { s.Key = certtest.RSA1024 }).TLS(a.inter), x509lint.StatusWeak, x509lint.TrustedPublic, "",
			[]string{x509lint.CodeWeakKey},
		},
		{
			"too long for a public certificate", lasting(-10*day, 300*day).TLS(a.inter), x509lint.StatusPolicyViolation, x509lint.TrustedPublic, "",
			[]string{x509lint.CodeValidityTooLong},
		},
		{
			"intermediate before the leaf",
			tls.Certificate{Certificate: [][]byte{a.inter.X509.Raw, a.leaf.X509.Raw}, PrivateKey: a.inter.Key},
			x509lint.StatusNameMismatch, x509lint.TrustedPublic, "",
			[]string{x509lint.CodeWrongOrder, x509lint.CodeCNOnly, x509lint.CodeValidityTooLong},
		},
		{
			"duplicate", a.leaf.TLS(a.inter, a.inter), x509lint.StatusValid, x509lint.TrustedPublic, "",
			[]string{x509lint.CodeDuplicate},
		},
		{
			"expired intermediate", a.leaf.TLS(expiredInter), x509lint.StatusUntrusted, x509lint.Untrusted, x509lint.ReasonExpired,
			[]string{x509lint.CodeExpiredNeeded},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := scan(t, newScanner(a), serveTLS(t, config(tt.chain)))
			wantState(t, r, StateReachable, "")
			wantCodes(t, r, tt.findings...)
			if r.Status != tt.status || r.Dimensions.Trust != tt.trust || r.Reason != tt.reason {
				t.Errorf("status %q, trust %q, reason %q; want %q, %q, %q", r.Status, r.Dimensions.Trust, r.Reason, tt.status, tt.trust, tt.reason)
			}
		})
	}
}

func TestWorkspaceRootIsTrustedOnlyThere(t *testing.T) {
	t.Parallel()
	a, b := newAuthority(t), newAuthority(t)
	target := serveTLS(t, config(a.leaf.TLS(a.inter)))
	with := newScanner(b)
	with.Roots.Workspace = certtest.Pool(a.root)
	if r := scan(t, with, target); r.Dimensions.Trust != x509lint.TrustedWorkspace || r.Status != x509lint.StatusValid {
		t.Errorf("inside: %q %q", r.Dimensions.Trust, r.Status)
	}
	if r := scan(t, newScanner(b), target); r.Dimensions.Trust != x509lint.Untrusted || r.Status != x509lint.StatusUntrusted {
		t.Errorf("elsewhere: %q %q", r.Dimensions.Trust, r.Status)
	}
}

func TestMissingIntermediate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cms := certtest.Must(asn1.Marshal(struct {
		Type asn1.ObjectIdentifier
		Data any `asn1:"explicit,tag:0"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, struct {
		Version int
		Digests asn1.RawValue
		Inner   struct{ Type asn1.ObjectIdentifier }
		Certs   asn1.RawValue
		Signers asn1.RawValue
	}{
		1,
		asn1.RawValue{Tag: asn1.TagSet, IsCompound: true},
		struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: a.inter.X509.Raw},
		asn1.RawValue{Tag: asn1.TagSet, IsCompound: true},
	}}))
	files := map[string][]byte{
		"/i.cer": a.inter.X509.Raw, "/i.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.inter.X509.Raw}), "/i.p7c": cms,
		"/junk": []byte("not a certificate"), "/huge": make([]byte, maxAIABytes+1),
	}
	issuers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(issuers.Close)
	client := outbound.NewDialer(outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true}).HTTPClient(outbound.HTTPOptions{})
	fetch := func(ctx context.Context, url string) ([]byte, error) {
		return outbound.Fetch(ctx, client, url, maxAIABytes)
	}
	hosted := outbound.NewDialer(outbound.Policy{Mode: outbound.Hosted}).HTTPClient(outbound.HTTPOptions{})
	guarded := func(ctx context.Context, url string) ([]byte, error) {
		return outbound.Fetch(ctx, hosted, url, maxAIABytes)
	}
	must := certtest.Must[*certtest.Cert]
	lower := must(a.inter.Issue(certtest.Spec{
		CommonName: "I2", CA: true, NotBefore: now().Add(-day), NotAfter: now().Add(100 * day),
		Edit: func(c *x509.Certificate) { c.IssuingCertificateURL = []string{issuers.URL + "/i.cer"} },
	}))
	files["/i2.cer"] = lower.X509.Raw

	tests := []struct {
		name     string
		issuer   *certtest.Cert
		urls     []string
		fetch    func(context.Context, string) ([]byte, error)
		cache    []*x509.Certificate
		trust    x509lint.TrustState
		from     string
		findings []string
	}{
		{"fetched in DER", a.inter, []string{issuers.URL + "/i.cer"}, fetch, nil, x509lint.TrustIncomplete, issuers.URL + "/i.cer", nil},
		{"fetched in PEM", a.inter, []string{issuers.URL + "/i.pem"}, fetch, nil, x509lint.TrustIncomplete, issuers.URL + "/i.pem", nil},
		{"fetched in CMS", a.inter, []string{issuers.URL + "/i.p7c"}, fetch, nil, x509lint.TrustIncomplete, issuers.URL + "/i.p7c", nil},
		{"second URL answers", a.inter, []string{"ldap://x/", issuers.URL + "/gone", issuers.URL + "/i.cer"}, fetch, nil, x509lint.TrustIncomplete, issuers.URL + "/i.cer", nil},
		{"two levels up", lower, []string{issuers.URL + "/i2.cer"}, fetch, nil, x509lint.TrustIncomplete, issuers.URL + "/i.cer", nil},
		{"known", a.inter, nil, fetch, []*x509.Certificate{a.inter.X509}, x509lint.TrustIncomplete, "cache", nil},
		{"no URL", a.inter, nil, fetch, nil, x509lint.Untrusted, "", nil},
		{"not found", a.inter, []string{issuers.URL + "/gone"}, fetch, nil, x509lint.Untrusted, "", []string{x509lint.CodeAIAUnavailable}},
		{"junk", a.inter, []string{issuers.URL + "/junk"}, fetch, nil, x509lint.Untrusted, "", []string{x509lint.CodeAIAUnavailable}},
		{"too large", a.inter, []string{issuers.URL + "/huge"}, fetch, nil, x509lint.Untrusted, "", []string{x509lint.CodeAIAUnavailable}},
		{"nothing listens", a.inter, []string{"http://127.0.0.1:1/i.cer"}, fetch, nil, x509lint.Untrusted, "", []string{x509lint.CodeAIAUnavailable}},
		{"private address", a.inter, []string{"http://10.0.0.5/i.cer"}, guarded, nil, x509lint.Untrusted, "", []string{x509lint.CodeAIABlocked}},
		{"switched off", a.inter, []string{issuers.URL + "/i.cer"}, nil, nil, x509lint.Untrusted, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := leafSpec()
			s.Edit = func(c *x509.Certificate) { c.IssuingCertificateURL = tt.urls }
			scanner := newScanner(a)
			scanner.FetchAIA, scanner.Intermediates = tt.fetch, tt.cache
			r := scan(t, scanner, serveTLS(t, config(must(tt.issuer.Issue(s)).TLS())))
			wantCodes(t, r, tt.findings...)
			status := x509lint.StatusUntrusted
			if tt.trust == x509lint.TrustIncomplete {
				status = x509lint.StatusIncompleteChain
			}
			if r.Dimensions.Trust != tt.trust || r.MissingFrom != tt.from || r.Status != status {
				t.Errorf("trust %q from %q, status %q; want %q from %q", r.Dimensions.Trust, r.MissingFrom, r.Status, tt.trust, tt.from)
			}
		})
	}
}

func TestEndpointsWithoutAService(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s := newScanner(a)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	hosted := newScanner(a)
	hosted.Dial = outbound.NewDialer(outbound.Policy{Mode: outbound.Hosted}).DialContext
	for _, tt := range []struct {
		name    string
		scanner *Scanner
		target  Target
		state   State
		class   string
	}{
		{"closed port", s, Target{Host: "127.0.0.1", Port: closed}, StateUnreachable, "refused"},
		{"blocked address", hosted, Target{Host: "127.0.0.1", Port: closed}, StateBlocked, "policy"},
		{"blocked name", hosted, Target{Host: "localhost", Port: closed}, StateBlocked, "policy"},
		{"wrong family", s, Target{Host: "127.0.0.1", Port: closed, Family: "ip6"}, StateUnreachable, "dns"},
		{"malformed host", s, Target{Host: "a b", Port: 443}, StateUnreachable, ClassInvalidTarget},
		{"malformed server name", s, Target{Host: "127.0.0.1", Port: 443, ServerName: "*.example"}, StateUnreachable, ClassInvalidTarget},
		{"port 0", s, Target{Host: "127.0.0.1"}, StateUnreachable, ClassInvalidTarget},
		{"unknown family", s, Target{Host: "127.0.0.1", Port: 443, Family: "ipx"}, StateUnreachable, ClassInvalidTarget},
		{"unknown STARTTLS", s, Target{Host: "127.0.0.1", Port: 443, STARTTLS: "gopher"}, StateUnreachable, ClassInvalidTarget},
	} {
		r := scan(t, tt.scanner, tt.target)
		wantState(t, r, tt.state, tt.class)
		if r.Err == nil || r.Status != "" || r.Leaf() != nil {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
}

func TestServersThatAskForAClientCertificateAreRead(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := config(a.leaf.TLS(a.inter))
		cfg.ClientAuth, cfg.MaxVersion = tls.RequireAndVerifyClientCert, version
		r := scan(t, newScanner(a), serveTLS(t, cfg))
		wantState(t, r, StateReachable, "")
		wantCodes(t, r, x509lint.CodeClientCert)
		if r.Status != x509lint.StatusValid || r.TLSVersion != tls.VersionName(version) || r.CipherSuite == "" || r.Group == "" {
			t.Errorf("%s: %q, %q, %q", tls.VersionName(version), r.Status, r.CipherSuite, r.Group)
		}
	}
	rsa := leafSpec()
	rsa.Key = certtest.RSA2048
	cfg := config(certtest.Must(a.inter.Issue(rsa)).TLS(a.inter))
	cfg.ClientAuth, cfg.MaxVersion = tls.RequireAndVerifyClientCert, tls.VersionTLS12
	cfg.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	r := scan(t, newScanner(a), serveTLS(t, cfg))
	wantState(t, r, StateHandshakeFailed, "tls") // with static RSA the key is not proven before the refusal
}

func TestServersOfOtherProtocolsAreRead(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cfg := config(a.leaf.TLS(a.inter))
	cfg.NextProtos = []string{"imap"} // refuses a hello that names other protocols only
	r := scan(t, newScanner(a), serveTLS(t, cfg))
	wantState(t, r, StateReachable, "")
	cfg = config(a.leaf.TLS(a.inter))
	cfg.NextProtos = []string{"h2"}
	if r := scan(t, newScanner(a), serveTLS(t, cfg)); r.ALPN != "h2" {
		t.Errorf("ALPN %q", r.ALPN)
	}
}

func TestServerNameIsSentAsSNI(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	names := make(chan string, 1)
	cfg := config(a.leaf.TLS(a.inter))
	cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- h.ServerName
		return nil, nil
	}
	target := serveTLS(t, cfg)
	for given, sent := range map[string]string{"WWW.Example.com.": "www.example.com", "münchen.de": "xn--mnchen-3ya.de", "": ""} {
		target.ServerName = given
		scan(t, newScanner(a), target)
		if got := <-names; got != sent {
			t.Errorf("%q was sent as %q, want %q", given, got, sent)
		}
	}
}

func TestCancelledScanEnds(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	arrived := make(chan struct{})
	target := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		close(arrived)
		_, _ = c.Read(make([]byte, 1))
	})
	ctx, cancel := context.WithCancel(t.Context())
	s := newScanner(a)
	s.Timeouts = Timeouts{Handshake: time.Hour, Total: time.Hour}
	done := make(chan Result, 1)
	go func() { done <- s.Scan(ctx, target) }()
	<-arrived
	cancel()
	select {
	case r := <-done:
		wantState(t, r, StateHandshakeFailed, "timeout")
	case <-time.After(30 * time.Second):
		t.Fatal("the scan did not end")
	}
}

func TestAlertIsNamed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cfg := config(a.leaf.TLS(a.inter))
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }
	r := scan(t, newScanner(a), serveTLS(t, cfg))
	wantState(t, r, StateHandshakeFailed, "tls")
	if r.Sentence != "The server refused the handshake: internal error." {
		t.Errorf("sentence %q", r.Sentence)
	}
}
