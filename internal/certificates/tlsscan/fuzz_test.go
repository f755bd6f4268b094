package tlsscan

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzCertificatesOnWire feeds a peer's raw bytes: no input may panic, and nothing may
// come out that was not in it.
func FuzzCertificatesOnWire(f *testing.F) {
	list := []byte{11, 0, 0, 11, 0, 0, 8, 0, 0, 2, 'a', 'b', 0, 0, 0}
	f.Add(slices.Concat(serverHello(), record(22, list)))
	f.Add(slices.Concat(serverHello(), record(22, list[:7]), record(22, list[7:]), record(21, []byte{2, 40})))
	f.Add([]byte{22, 3, 3})
	f.Fuzz(func(t *testing.T, stream []byte) {
		out := certificatesOnWire(stream)
		total := 0
		for _, der := range out {
			total += len(der)
		}
		if total > len(stream) || len(out) > MaxCertificates+1 {
			t.Errorf("%d certificates of %d bytes from %d bytes", len(out), total, len(stream))
		}
	})
}

// FuzzIssuers feeds what a foreign web server may send as an issuer.
func FuzzIssuers(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, body []byte) {
		certs, err := parseIssuers(body)
		if err == nil && (len(certs) == 0 || len(certs) > MaxCertificates) {
			t.Errorf("%d certificates without an error", len(certs))
		}
		tag, content, rest, ok := berElement(body)
		if ok && (tag != body[0] || !bytes.HasSuffix(body, slices.Concat(content, rest))) {
			t.Error("the split element is not a part of its input")
		}
	})
}

func TestCertificatesAreReadAcrossRecords(t *testing.T) {
	t.Parallel()
	list := []byte{11, 0, 0, 11, 0, 0, 8, 0, 0, 2, 'a', 'b', 0, 0, 0}
	got := certificatesOnWire(slices.Concat(serverHello(), record(22, list[:7]), record(22, list[7:])))
	if len(got) != 2 || string(got[0]) != "ab" || len(got[1]) != 0 {
		t.Errorf("got %q", got)
	}
	if got := certificatesOnWire(serverHello()); got != nil {
		t.Errorf("from a hello alone: %q", got)
	}
}
