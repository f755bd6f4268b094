package demofarm

import (
	"bytes"
	"context"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

func start(t *testing.T, dir string, c clock.Clock) *Farm {
	t.Helper()
	f, err := Start(context.WithoutCancel(t.Context()), Options{Dir: dir, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func newClock() *clock.Fixed {
	return clock.NewFixed(time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC))
}

// scan examines one server of f as an installation that trusts f's root does.
func scan(t *testing.T, f *Farm, name string, c clock.Clock) tlsscan.Result {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(f.Roots()) {
		t.Fatal("no root")
	}
	d := outbound.NewDialer(outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true})
	client := d.HTTPClient(outbound.HTTPOptions{})
	s := &tlsscan.Scanner{
		Dial: d.DialContext, Clock: c, Roots: x509lint.Roots{Workspace: roots},
		FetchAIA: func(ctx context.Context, url string) ([]byte, error) { return outbound.Fetch(ctx, client, url, 64<<10) },
	}
	if name == "hangs" {
		s.Timeouts.Handshake = 200 * time.Millisecond
	}
	server, ok := f.Server(name)
	if !ok {
		t.Fatalf("no server %q", name)
	}
	return s.Scan(t.Context(), tlsscan.Target{
		Host: server.Host, Port: uint16(server.Port), ServerName: server.ServerName, STARTTLS: server.STARTTLS,
	})
}

func TestEveryServerShowsItsState(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := start(t, t.TempDir(), c)
	want := map[string]x509lint.Status{
		"healthy": x509lint.StatusValid, "expires-in-20-days": x509lint.StatusExpiring, "expires-in-5-days": x509lint.StatusCritical,
		"expires-today": x509lint.StatusCritical, "expired": x509lint.StatusExpired, "self-signed": x509lint.StatusSelfSigned,
		"wrong-name": x509lint.StatusNameMismatch, "missing-intermediate": x509lint.StatusIncompleteChain,
		"tls12-only": x509lint.StatusValid, "weak-key": x509lint.StatusWeak, "mail": x509lint.StatusValid,
	}
	days := map[string]int{"expires-in-20-days": 20, "expires-in-5-days": 5, "expires-today": 0, "expired": -3}
	for _, server := range f.Servers() {
		r := scan(t, f, server.Name, c)
		switch server.Name {
		case "hangs":
			if r.State != tlsscan.StateHandshakeFailed || r.ErrorClass != "timeout" {
				t.Errorf("hangs: %q %q", r.State, r.ErrorClass)
			}
			continue
		case "refuses":
			if r.State != tlsscan.StateUnreachable || r.ErrorClass != "refused" {
				t.Errorf("refuses: %q %q", r.State, r.ErrorClass)
			}
			continue
		}
		if r.Status != want[server.Name] || r.State != tlsscan.StateReachable {
			t.Errorf("%s: state %q, status %q, want %q (%v %v)", server.Name, r.State, r.Status, want[server.Name], r.Err, r.Findings)
		}
		if left, ok := days[server.Name]; ok && x509lint.DaysLeft(r.NotAfter, c.Now()) != left {
			t.Errorf("%s: %d days left, want %d", server.Name, x509lint.DaysLeft(r.NotAfter, c.Now()), left)
		}
		if r.TLSVersion == "TLS 1.3" == (server.Name == "tls12-only") {
			t.Errorf("%s: %s", server.Name, r.TLSVersion)
		}
		if server.Note == "" {
			t.Errorf("%s has no note", server.Name)
		}
	}
	if len(f.Servers()) != len(want)+2 {
		t.Errorf("%d servers", len(f.Servers()))
	}
}

func TestTheSameFolderGivesTheSameServers(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	fingerprints := func(f *Farm) map[string]string {
		out := map[string]string{}
		for _, s := range f.Servers() {
			if s.Name != "hangs" {
				out[s.Name] = scan(t, f, s.Name, c).Facts().Fingerprint
			}
		}
		return out
	}
	first := start(t, dir, c)
	issuersPort := first.store.state.Ports[issuersName]
	roots, before := first.Roots(), fingerprints(first)
	first.Close()

	c.Advance(time.Hour)
	second := start(t, dir, c)
	if !bytes.Equal(roots, second.Roots()) {
		t.Error("the root changed")
	}
	after := fingerprints(second)
	// Should another process have taken the issuers' port meanwhile, the URL in the
	// certificates had to change, and they with it.
	if second.store.state.Ports[issuersName] == issuersPort {
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("certificates changed (-before +after):\n%s", diff)
		}
	}
	second.Close()

	c.Advance(2 * day)
	third := start(t, dir, c)
	later := fingerprints(third)
	for name := range before {
		if third.store.state.Ports[issuersName] != issuersPort {
			break
		}
		relative := name == "expires-in-20-days" || name == "expires-in-5-days" || name == "expires-today"
		if before[name] != "" && (before[name] != later[name]) != relative {
			t.Errorf("%s: certificate issued anew after two days: %v, want %v", name, before[name] != later[name], relative)
		}
	}
	if got := scan(t, third, "expires-in-5-days", c); x509lint.DaysLeft(got.NotAfter, c.Now()) != 5 {
		t.Errorf("%d days left after a restart", x509lint.DaysLeft(got.NotAfter, c.Now()))
	}
}

func TestPortsAreKeptWhenFree(t *testing.T) {
	t.Parallel()
	f := &Farm{store: &store{state: state{Ports: map[string]int{}}}, cancel: func() {}}
	t.Cleanup(f.Close)
	kept := false
	// A port that was just free may be taken by another process; not three times in a row.
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := portOf(l)
		f.store.state.Ports["x"] = port
		moved, err := f.listen("x", 1)
		if err != nil || portOf(moved) == port || f.store.state.Ports["x"] != portOf(moved) {
			t.Fatalf("with the port taken: %v, %v", moved, err)
		}
		l.Close()
		f.store.state.Ports["x"] = port
		again, err := f.listen("x", 1)
		if err != nil {
			t.Fatal(err)
		}
		kept = kept || portOf(again) == port
	}
	if !kept {
		t.Error("a free port was not used again")
	}
}

func TestReplaceChangesCertificateAndIssuer(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	f := start(t, dir, c)
	before := scan(t, f, "healthy", c).Facts()
	if err := f.Replace("healthy"); err != nil {
		t.Fatal(err)
	}
	after := scan(t, f, "healthy", c).Facts()
	changed := map[string]bool{}
	for _, ch := range tlsscan.Diff(before, after) {
		changed[ch.Field] = true
	}
	for _, field := range []string{"fingerprint", "issuer", "issuer_organization", "key_hash", "serial", "intermediates"} {
		if !changed[field] {
			t.Errorf("%s did not change", field)
		}
	}
	if changed["trust"] || changed["names"] {
		t.Errorf("too much changed: %v", changed)
	}
	f.Close()
	if again := scan(t, start(t, dir, c), "healthy", c).Facts(); again.Fingerprint != after.Fingerprint {
		t.Error("the replacement was forgotten")
	}
	for _, name := range []string{"hangs", "refuses", "nobody"} {
		if f.Replace(name) == nil {
			t.Errorf("%s has no certificate to replace", name)
		}
	}
}

func TestStateIsPrivateAndBrokenStateIsReported(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "farm")
	f := start(t, dir, newClock())
	f.Close()
	path := filepath.Join(dir, "demofarm.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: dir, Clock: newClock()}); err == nil {
		t.Error("a broken state was accepted")
	}
}

func TestAuthorityIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	c, dir := newClock(), t.TempDir()
	first := start(t, dir, c)
	root := first.Roots()
	first.Close()
	c.Advance(4 * 365 * day)
	second := start(t, dir, c)
	if bytes.Equal(root, second.Roots()) {
		t.Error("the root is the old one")
	}
	if r := scan(t, second, "healthy", c); r.Status != x509lint.StatusValid {
		t.Errorf("status %q", r.Status)
	}
}

func TestFarmStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f, err := Start(ctx, Options{Dir: t.TempDir(), Clock: newClock()})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	f.Close() // waits
	if r := scan(t, f, "healthy", newClock()); r.State != tlsscan.StateUnreachable {
		t.Errorf("state %q", r.State)
	}
}
