package tlsscan

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/kernel/clock"
)

func TestAnUnchangedEndpointHasEqualFacts(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	s := newScanner(a)
	target := serveTLS(t, config(a.leaf.TLS(a.inter)))
	first := scan(t, s, target).Facts()
	later := *s
	later.Clock = clock.NewFixed(now().Add(40 * day)) // expiring by then
	again := serveTLS(t, config(a.leaf.TLS(a.inter))) // another port
	second := scan(t, &later, again).Facts()
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("facts differ:\n%s", diff)
	}
	if first.Hash() != second.Hash() || Diff(first, second) != nil {
		t.Error("equal facts have different hashes or changes")
	}
}

func TestAReplacedCertificateIsAListOfChanges(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	spec := leafSpec()
	spec.DNSNames = append(spec.DNSNames, "b.example.com")
	spec.Signer = a.leaf.Key
	next := certtest.Must(a.inter.Issue(spec))
	s := newScanner(a)
	before := scan(t, s, serveTLS(t, config(a.leaf.TLS(a.inter)))).Facts()
	after := scan(t, s, serveTLS(t, config(next.TLS(a.inter)))).Facts()
	if before.Hash() == after.Hash() {
		t.Error("different certificates have one hash")
	}
	want := []Change{
		{"fingerprint", before.Fingerprint, after.Fingerprint},
		{"serial", before.Serial, after.Serial},
		{"names", "www.example.com", "b.example.com, www.example.com"},
	}
	if diff := cmp.Diff(want, Diff(before, after)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// TestHashOfVersion1 pins the encoding: stored snapshots are found by it.
func TestHashOfVersion1(t *testing.T) {
	t.Parallel()
	f := Facts{
		Version: FactsVersion, State: "reachable", TLSVersion: "TLS 1.3", Fingerprint: "00", Names: []string{"a", "b"},
		Trust: "trusted_public", Findings: []string{"duplicate: I"},
	}
	sum := f.Hash()
	const want = "faa2c63b55ff4486719fb4093ab83b10904c9fb02924ef2b755e6eba9dd66cfb"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("hash %s, want %s: a changed encoding needs a new FactsVersion", got, want)
	}
	var back Facts
	if err := json.Unmarshal(certtest.Must(json.Marshal(f)), &back); err != nil || back.Hash() != sum {
		t.Errorf("facts do not survive JSON: %v", err)
	}
}

func TestHashTellsListsApart(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte]Facts{}
	for _, f := range []Facts{
		{},
		{Names: []string{"a", "b"}},
		{Names: []string{"ab"}},
		{Names: []string{"a"}, Intermediate: []string{"b"}},
		{Intermediate: []string{"a", "b"}},
		{Trust: "x"},
		{Anchor: "x"},
	} {
		if other, ok := seen[f.Hash()]; ok {
			t.Errorf("%+v and %+v share a hash", f, other)
		}
		seen[f.Hash()] = f
	}
}

func TestFactsHoldNothingThatPostgreSQLRefuses(t *testing.T) {
	t.Parallel()
	if got := text("a\x00b\xffc"); got != "a\uFFFDb\uFFFDc" {
		t.Errorf("got %q", got)
	}
}
