package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// tlsFarm is many TLS servers in this process, each on a loopback address of its own, half
// of them with ECDSA and half with RSA certificates.
type tlsFarm struct {
	clock     clock.Clock
	listeners []net.Listener
	root      *certtest.Cert
	pool      *x509.CertPool
	configs   []*tls.Config
	// renewed is added to a server's index in configs: 2 changes its certificate.
	renewed []atomic.Int32
	// silent servers accept a connection and say nothing.
	silent []atomic.Bool
	port   int

	mu    sync.Mutex
	first time.Time // the first connection since the mark
}

// farmCertificates is how many different certificates the servers share.
const farmCertificates = 40

func newTLSFarm(c clock.Clock, n int) (*tlsFarm, error) {
	f := &tlsFarm{clock: c, renewed: make([]atomic.Int32, n), silent: make([]atomic.Bool, n)}
	if err := f.issue(); err != nil {
		return nil, err
	}
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", farmAddress(i), f.port))
		if err != nil {
			f.close()
			return nil, fmt.Errorf("listen: %w", err)
		}
		if f.port == 0 {
			addr, ok := l.Addr().(*net.TCPAddr)
			if !ok {
				return nil, errors.New("listener has no TCP address")
			}
			f.port = addr.Port
		}
		f.listeners = append(f.listeners, l)
		go f.serve(i, l)
	}
	return f, nil
}

// farmAddress spreads servers over networks of 256 addresses, as an estate is: at one
// network only so many scans knock at once.
func farmAddress(i int) string { return fmt.Sprintf("127.77.%d.%d", i%250, 1+i/250) }

func farmName(i int) string { return fmt.Sprintf("h%d.bench.test", i) }

func (f *tlsFarm) issue() error {
	now := f.clock.Now()
	from, to := now.AddDate(0, 0, -10), now.AddDate(0, 0, 80)
	var err error
	if f.root, err = certtest.SelfSigned(certtest.Spec{CommonName: "Bench Root", CA: true, NotBefore: from, NotAfter: to}); err != nil {
		return fmt.Errorf("issue root: %w", err)
	}
	f.pool = certtest.Pool(f.root)
	middle, err := f.root.Issue(certtest.Spec{CommonName: "Bench Issuing", CA: true, NotBefore: from, NotAfter: to})
	if err != nil {
		return fmt.Errorf("issue intermediate: %w", err)
	}
	kinds := []certtest.KeyKind{certtest.ECDSAP256, certtest.RSA2048}
	for i := range farmCertificates {
		leaf, err := middle.Issue(certtest.Spec{
			CommonName: fmt.Sprintf("bench %d", i), DNSNames: []string{"*.bench.test"}, NotBefore: from, NotAfter: to, Key: kinds[i%2],
		})
		if err != nil {
			return fmt.Errorf("issue leaf: %w", err)
		}
		f.configs = append(f.configs, &tls.Config{
			Certificates: []tls.Certificate{leaf.TLS(middle)}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		})
	}
	return nil
}

func (f *tlsFarm) serve(i int, l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		if f.first.IsZero() {
			f.first = f.clock.Now()
		}
		f.mu.Unlock()
		go func() {
			defer conn.Close()
			if f.silent[i].Load() {
				_, _ = io.Copy(io.Discard, conn)
				return
			}
			server := tls.Server(conn, f.configs[(i+int(f.renewed[i].Load()))%farmCertificates])
			if server.Handshake() == nil {
				_, _ = io.Copy(io.Discard, server) // until the client leaves
			}
		}()
	}
}

// mark forgets when the first connection came.
func (f *tlsFarm) mark() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.first = time.Time{}
}

func (f *tlsFarm) begin() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

// renew gives n servers another certificate, of the same kind, beginning with server from.
func (f *tlsFarm) renew(from, n int) {
	for i := range n {
		f.renewed[(from+i)%len(f.renewed)].Add(2)
	}
}

// hush makes every server silent for which which is true.
func (f *tlsFarm) hush(which func(i int) bool) {
	for i := range f.silent {
		f.silent[i].Store(which(i))
	}
}

func (f *tlsFarm) close() {
	for _, l := range f.listeners {
		l.Close()
	}
}
