package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// otherRoot makes a certificate that signs nothing here.
func otherRoot(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Other root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestAProviderWithACompanyCertificateIsTrusted asks doctor, which discovers the provider.
func TestAProviderWithACompanyCertificateIsTrusted(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	mux := http.NewServeMux()
	provider := httptest.NewTLSServer(mux)
	t.Cleanup(provider.Close)
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%[1]q,"authorization_endpoint":%[2]q,"token_endpoint":%[2]q,"jwks_uri":%[2]q}`, provider.URL, provider.URL+"/x")
	})
	roots := filepath.Join(t.TempDir(), "company.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := []string{
		"VIGILO_DATABASE_URL=" + d.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL=" + d.URL("vigilo_system"), "VIGILO_SECRET_KEYS=" + secret.NewKey(),
		"VIGILO_OIDC_ISSUER=" + provider.URL, "VIGILO_OIDC_CLIENT_ID=" + clientID,
	}
	if report, _, code := runBinary(t, settings, "doctor"); code == 0 || !strings.Contains(report, "FAIL  identity provider") {
		t.Errorf("doctor trusts a certificate that nobody named: exit code %d: %s", code, report)
	}
	if report, problems, code := runBinary(t, append(settings[:len(settings):len(settings)], "VIGILO_TRUSTED_ROOTS_FILE="+roots), "doctor"); code != 0 {
		t.Errorf("doctor with the company's root: exit code %d: %s%s", code, report, problems)
	}
	// Naming another root takes none of the machine's away.
	another := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(another, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: otherRoot(t)}), 0o600); err != nil {
		t.Fatal(err)
	}
	if report, problems, code := runBinary(t, append(settings, "SSL_CERT_FILE="+roots, "VIGILO_TRUSTED_ROOTS_FILE="+another), "doctor"); code != 0 {
		t.Errorf("doctor with a root of the machine and another one: exit code %d: %s%s", code, report, problems)
	}
}

func TestAProviderOfAnotherNameIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	p := &provided{}
	p.startProvider(t, "", nil)
	d := dbtest.New(t)
	issuer := strings.Replace(p.op.Issuer(), "127.0.0.1", "localhost", 1)
	proc := serveProcess(t, []string{"serve"},
		"VIGILO_DATABASE_URL="+d.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL="+d.URL("vigilo_system"), "VIGILO_SECRET_KEYS="+secret.NewKey(),
		"VIGILO_OIDC_ISSUER="+issuer, "VIGILO_OIDC_CLIENT_ID="+clientID)
	a, err := (&program{base: proc.base}).send("", "", http.MethodGet, "/login/oidc", "", "")
	if err != nil {
		t.Fatal(err)
	}
	ok(t, a, http.StatusServiceUnavailable, "sign-in with a wrong issuer")
	if !strings.Contains(a.body, "Tell your administrator") || strings.Contains(a.body, issuer) {
		t.Errorf("the page does not send people to their administrator: %s", clip(a.body))
	}
	proc.terminate(t)
	for _, want := range []string{`"code":"issuer_mismatch"`, issuer, p.op.Issuer()} {
		if !strings.Contains(proc.log.String(), want) {
			t.Errorf("the log does not name %s: %s", want, proc.log)
		}
	}
}
