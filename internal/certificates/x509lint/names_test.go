package x509lint

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
)

func extension(id asn1.ObjectIdentifier, critical bool, value []byte) pkix.Extension {
	return pkix.Extension{Id: id, Critical: critical, Value: value}
}

func rsaPublic(bits, exponent int) *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), uint(bits-1)), E: exponent}
}

func TestNamesFollowRFC9525(t *testing.T) {
	t.Parallel()
	dns := func(names ...string) *x509.Certificate { return &x509.Certificate{DNSNames: names} }
	ip := func(text string) *x509.Certificate {
		return &x509.Certificate{IPAddresses: []net.IP{net.ParseIP(text)}}
	}
	cnOnly := &x509.Certificate{Subject: pkix.Name{CommonName: "www.example.com"}}
	for _, tt := range []struct {
		cert    *x509.Certificate
		host    string
		want    NameState
		finding string
		goSays  NameState
	}{
		{dns("*.example.com"), "a.example.com", NameMatch, "", NameMatch},
		{dns("*.example.com"), "example.com", NameMismatch, "", NameMismatch},
		{dns("*.example.com"), "a.b.example.com", NameMismatch, "", NameMismatch},
		{dns("w*.example.com"), "www.example.com", NameMismatch, "", NameMismatch},
		{dns("a.*.com"), "a.b.com", NameMismatch, "", NameMismatch},
		{dns("WWW.Example.COM"), "www.example.com", NameMatch, "", NameMatch},
		{dns("www.example.com"), "www.example.com.", NameMatch, "", NameMatch},
		{dns("www.example.com."), "www.example.com", NameMismatch, CodeMalformedSAN, NameMismatch},
		{dns("*.com"), "example.com", NameMatch, CodePublicWildcard, NameMatch},
		{dns("192.0.2.1"), "192.0.2.1", NameMismatch, CodeIPAsDNS, NameMismatch},
		{ip("192.0.2.1"), "192.0.2.1", NameMatch, "", NameMatch},
		{ip("2001:db8::1"), "2001:db8:0:0::1", NameMatch, "", NameMatch},
		{dns("xn--mnchen-3ya.de"), "münchen.de", NameMatch, "", NameMismatch},
		{cnOnly, "www.example.com", NameMismatch, CodeCNOnly, NameMismatch},
		// Beyond the specification's table.
		{dns("other.example", "www.example.com"), "WWW.example.com", NameMatch, "", NameMatch},
		{dns("*.co.uk"), "example.co.uk", NameMatch, CodePublicWildcard, NameMatch},
		{dns("*.github.io"), "vigilo.github.io", NameMatch, "", NameMatch},
		{dns("*"), "localhost", NameMismatch, "", NameMismatch},
		{dns("*.*.example.com"), "a.b.example.com", NameMismatch, "", NameMismatch},
		{dns("a b.example.com"), "www.example.com", NameMismatch, CodeMalformedSAN, NameMismatch},
		{ip("192.0.2.1"), "192.0.2.2", NameMismatch, "", NameMismatch},
	} {
		host, err := NormalizeHost(tt.host)
		if err != nil {
			t.Errorf("NormalizeHost(%q): %v", tt.host, err)
			continue
		}
		if got := MatchName(tt.cert, host); got != tt.want {
			t.Errorf("%v %v for %s: %q, want %q", tt.cert.DNSNames, tt.cert.IPAddresses, tt.host, got, tt.want)
		}
		goSays := NameMatch
		if tt.cert.VerifyHostname(tt.host) != nil {
			goSays = NameMismatch
		}
		if goSays != tt.goSays {
			t.Errorf("%v for %s: Go now says %q", tt.cert.DNSNames, tt.host, goSays)
		}
		var want []string
		if tt.finding != "" {
			want = []string{tt.finding}
		}
		if got := codes(NameFindings(tt.cert)); !slices.Equal(got, want) {
			t.Errorf("%v: findings %v, want %v", tt.cert.DNSNames, got, want)
		}
	}
}

func TestNormalizeHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"Example.COM.":        "example.com",
		"MÜNCHEN.de":          "xn--mnchen-3ya.de",
		"[2001:DB8::1]":       "2001:db8::1",
		"::ffff:192.0.2.1":    "192.0.2.1",
		"_sip._tcp.example":   "_sip._tcp.example",
		"xn--mnchen-3ya.de":   "xn--mnchen-3ya.de",
		"fe80::1%eth0":        "fe80::1",
		"shop.acme.test":      "shop.acme.test",
		"":                    "",
		".":                   "",
		"a..b":                "",
		"*.example.com":       "",
		"exa mple.com":        "",
		"example.com/path":    "",
		"-\x00.example":       "",
		"a" + longLabel():     "",
		"example.com:443":     "",
		"exam\u202eple.com":   "",
		"xn--a\u00fc.example": "",
	} {
		got, err := NormalizeHost(host)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("NormalizeHost(%q) = %q, %v; want %q", host, got, err, want)
		}
	}
}

func longLabel() string { return strings.Repeat("a", 63) + ".example" }

func TestForeignTextIsClipped(t *testing.T) {
	t.Parallel()
	long := &x509.Certificate{DNSNames: []string{strings.Repeat("x ", 5000) + "\xff"}}
	f := NameFindings(long)
	if len(f) != 1 || len(f[0].Detail) > 210 {
		t.Errorf("got %d findings, first detail of %d bytes", len(f), len(f[0].Detail))
	}
}
