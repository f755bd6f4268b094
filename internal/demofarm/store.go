package demofarm

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/certificates/x509lint"
)

const day = 24 * time.Hour

// pair is a certificate and its key in PEM.
type pair struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// state is what a farm remembers between starts.
type state struct {
	Root    pair            `json:"root"`
	Issuers []pair          `json:"issuers"`
	Leaves  map[string]leaf `json:"leaves"`
	Ports   map[string]int  `json:"ports"`
}

type leaf struct {
	pair
	Issuer int `json:"issuer"` // index of the issuing authority
}

// store keeps the state in one file, written as a whole.
type store struct {
	path    string
	state   state
	root    *certtest.Cert
	issuers []*certtest.Cert
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder of the demo farm: %w", err)
	}
	s := &store{path: filepath.Join(dir, "demofarm.json")}
	body, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read state of the demo farm: %w", err)
	default:
		if err := json.Unmarshal(body, &s.state); err != nil {
			return nil, fmt.Errorf("parse state of the demo farm in %s: %w", s.path, err)
		}
	}
	if s.state.Leaves == nil {
		s.state.Leaves = map[string]leaf{}
	}
	if s.state.Ports == nil {
		s.state.Ports = map[string]int{}
	}
	return s, nil
}

// save replaces the file by way of a new one, so that an interrupted start leaves the
// old state.
func (s *store) save() error {
	body, err := json.MarshalIndent(s.state, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state of the demo farm: %w", err)
	}
	next := s.path + ".new"
	if err := os.WriteFile(next, body, 0o600); err != nil {
		return fmt.Errorf("write state of the demo farm: %w", err)
	}
	if err := os.Rename(next, s.path); err != nil {
		return fmt.Errorf("replace state of the demo farm: %w", err)
	}
	return nil
}

// ensureAuthority reads the root and the two issuing authorities, or makes them anew,
// with everything below, when there are none or they end within a year.
func (s *store) ensureAuthority(now time.Time) error {
	if s.state.Root.Certificate != "" {
		if err := s.readAuthority(); err != nil {
			return err
		}
		if s.issuers[0].X509.NotAfter.After(now.Add(365 * day)) {
			return nil
		}
	}
	root, err := certtest.SelfSigned(certtest.Spec{
		CommonName: "Acme Demo Root", Organization: "Acme Demo Trust", CA: true,
		NotBefore: now.Add(-365 * day), NotAfter: now.Add(3650 * day),
	})
	if err != nil {
		return err
	}
	s.root, s.issuers, s.state.Leaves = root, nil, map[string]leaf{}
	s.state.Issuers = nil
	if s.state.Root, err = encode(root); err != nil {
		return err
	}
	for _, name := range []struct{ common, organization string }{
		{"Acme Demo Issuing CA", "Acme Demo Trust"}, {"Borealis Demo Issuing CA", "Borealis Demo Certificates"},
	} {
		issuer, err := root.Issue(certtest.Spec{
			CommonName: name.common, Organization: name.organization, CA: true,
			NotBefore: now.Add(-364 * day), NotAfter: now.Add(1825 * day),
		})
		if err != nil {
			return err
		}
		p, err := encode(issuer)
		if err != nil {
			return err
		}
		s.issuers, s.state.Issuers = append(s.issuers, issuer), append(s.state.Issuers, p)
	}
	return nil
}

func (s *store) readAuthority() error {
	root, err := certtest.Parse([]byte(s.state.Root.Certificate), []byte(s.state.Root.Key))
	if err != nil {
		return fmt.Errorf("read root: %w", err)
	}
	s.root = root
	for _, p := range s.state.Issuers {
		issuer, err := certtest.Parse([]byte(p.Certificate), []byte(p.Key))
		if err != nil {
			return fmt.Errorf("read issuing authority: %w", err)
		}
		s.issuers = append(s.issuers, issuer)
	}
	if len(s.issuers) != 2 {
		return fmt.Errorf("state of the demo farm in %s has %d issuing authorities, not 2", s.path, len(s.issuers))
	}
	return nil
}

// certificate returns what k serves: the kept certificate while it still shows what it
// should, else a new one.
func (s *store) certificate(k kind, issuerURL string, now time.Time) (*tls.Certificate, error) {
	kept, ok := s.state.Leaves[k.name]
	if !ok {
		return s.issue(k, 0, issuerURL, now)
	}
	cert, err := certtest.Parse([]byte(kept.Certificate), []byte(kept.Key))
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	left := x509lint.DaysLeft(cert.X509.NotAfter, now)
	if left < k.minLeft || left > k.maxLeft || !slices.Equal(cert.X509.IssuingCertificateURL, aia(k, kept.Issuer, issuerURL)) {
		return s.issue(k, kept.Issuer, issuerURL, now)
	}
	return s.chain(k, cert, kept.Issuer), nil
}

// replace issues a certificate for k from the authority that did not issue the last one.
func (s *store) replace(k kind, issuerURL string, now time.Time) (*tls.Certificate, error) {
	return s.issue(k, 1-s.state.Leaves[k.name].Issuer, issuerURL, now)
}

func (s *store) issue(k kind, issuer int, issuerURL string, now time.Time) (*tls.Certificate, error) {
	name := k.serverName
	if k.certName != "" {
		name = k.certName
	}
	// Half a day more keeps the number of days the same for a demo of some hours.
	end := now.Truncate(time.Second).Add(time.Duration(k.daysLeft)*day + 12*time.Hour)
	spec := certtest.Spec{
		CommonName: name, DNSNames: []string{name}, Key: k.key,
		NotBefore: end.Add(time.Second - lifetimeDays*day), NotAfter: end,
		Edit: func(c *x509.Certificate) { c.IssuingCertificateURL = aia(k, issuer, issuerURL) },
	}
	issue := s.issuers[issuer].Issue
	if k.selfSigned {
		issue = certtest.SelfSigned
	}
	cert, err := issue(spec)
	if err != nil {
		return nil, err
	}
	p, err := encode(cert)
	if err != nil {
		return nil, err
	}
	s.state.Leaves[k.name] = leaf{p, issuer}
	return s.chain(k, cert, issuer), nil
}

func (s *store) chain(k kind, cert *certtest.Cert, issuer int) *tls.Certificate {
	out := cert.TLS()
	if !k.selfSigned && !k.leafOnly {
		out = cert.TLS(s.issuers[issuer])
	}
	return &out
}

// aia returns the URLs at which the issuer of k's certificate can be had.
func aia(k kind, issuer int, issuerURL string) []string {
	if k.selfSigned {
		return nil
	}
	return []string{fmt.Sprintf("%sissuer-%d.cer", issuerURL, issuer)}
}

func encode(c *certtest.Cert) (pair, error) {
	key, err := c.KeyPEM()
	if err != nil {
		return pair{}, err
	}
	return pair{string(bytes.TrimSpace(c.PEM())) + "\n", string(key)}, nil
}
