// Package demofarm runs real TLS servers on loopback that show every state a
// certificate can be in, for `vigilo dev` and for tests. The servers listen on
// 127.0.0.1; their certificates are for names such as shop.acme.test, which resolve
// nowhere, so a scan is pointed at Host and Port and told the ServerName. They chain to
// a root of the farm's own: an installation shows them as valid once Roots is among
// its trusted roots.
package demofarm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// Options say where a farm keeps its state.
type Options struct {
	// Dir holds the authority, keys, certificates and ports, so that the next start shows
	// the same servers. Certificates that are meant to expire in some days are issued anew
	// when that is no longer true. It is created with access for its owner only.
	Dir   string
	Clock clock.Clock
}

// Server is one running server, or for "refuses" a port on which nothing listens.
type Server struct {
	Name string
	// Host is 127.0.0.1 and Port the port there.
	Host string
	Port int
	// ServerName is what to send as SNI and to compare with the certificate.
	ServerName string
	// STARTTLS is "smtp" for the mail server, else empty.
	STARTTLS string
	// Note says in one sentence what the server shows.
	Note string
}

// Farm is a set of running servers.
type Farm struct {
	clock clock.Clock
	store *store

	mu      sync.Mutex // guards store and swaps
	servers []Server
	current map[string]*atomic.Pointer[tls.Certificate]

	listeners []net.Listener
	stopOnce  sync.Once
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// Start issues what is missing and opens all servers. They stop when ctx is done or
// Close is called.
func Start(ctx context.Context, o Options) (*Farm, error) {
	st, err := openStore(o.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &Farm{clock: o.Clock, store: st, current: map[string]*atomic.Pointer[tls.Certificate]{}, cancel: cancel}
	if err := f.start(ctx); err != nil {
		f.Close()
		return nil, fmt.Errorf("start demo farm: %w", err)
	}
	context.AfterFunc(ctx, f.Close)
	return f, nil
}

func (f *Farm) start(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	if err := f.store.ensureAuthority(now); err != nil {
		return err
	}
	issuers, err := f.listen(issuersName, 0)
	if err != nil {
		return err
	}
	f.serveIssuers(ctx, issuers)
	for i, k := range kinds() {
		if err := f.open(ctx, i+1, k); err != nil {
			return fmt.Errorf("server %q: %w", k.name, err)
		}
	}
	return f.store.save()
}

// open starts one server. index chooses its preferred port.
func (f *Farm) open(ctx context.Context, index int, k kind) error {
	l, err := f.listen(k.name, index)
	if err != nil {
		return err
	}
	f.servers = append(f.servers, Server{
		Name: k.name, Host: host, Port: portOf(l), ServerName: k.serverName, STARTTLS: k.starttls, Note: k.note,
	})
	switch k.behaviour {
	case refuses:
		return l.Close()
	case hangs:
		f.serveHang(ctx, l)
		return nil
	case answers:
	}
	cert, err := f.store.certificate(k, f.issuerURL(), f.clock.Now())
	if err != nil {
		return err
	}
	current := &atomic.Pointer[tls.Certificate]{}
	current.Store(cert)
	f.current[k.name] = current
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: k.maxVersion,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	}
	if k.starttls == "smtp" {
		f.serveSMTP(ctx, l, cfg, k.serverName)
		return nil
	}
	f.serveHTTPS(ctx, l, cfg, k.serverName)
	return nil
}

// Servers returns all servers in a fixed order.
func (f *Farm) Servers() []Server { return append([]Server(nil), f.servers...) }

// Server returns the server of that name.
func (f *Farm) Server(name string) (Server, bool) {
	for _, s := range f.servers {
		if s.Name == name {
			return s, true
		}
	}
	return Server{}, false
}

// Roots returns the farm's root certificate in PEM.
func (f *Farm) Roots() []byte { return []byte(f.store.state.Root.Certificate) }

// Replace gives the named server a new certificate with a new key, from the farm's other
// issuing authority, as a change of provider would. The next handshake shows it.
func (f *Farm) Replace(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	current, ok := f.current[name]
	if !ok {
		return fmt.Errorf("the demo farm has no server %q with a certificate", name)
	}
	for _, k := range kinds() {
		if k.name != name {
			continue
		}
		cert, err := f.store.replace(k, f.issuerURL(), f.clock.Now())
		if err != nil {
			return fmt.Errorf("replace certificate of %q: %w", name, err)
		}
		if err := f.store.save(); err != nil {
			return err
		}
		current.Store(cert)
	}
	return nil
}

// Close stops all servers and waits for them. It may be called more than once.
func (f *Farm) Close() {
	f.stopOnce.Do(func() {
		f.cancel()
		for _, l := range f.listeners {
			_ = l.Close()
		}
	})
	f.running.Wait()
}

const host = "127.0.0.1"

// firstPort begins the ports that a new farm prefers. They lie below the range from
// which systems take ports for outgoing connections, so the next start finds them free.
const firstPort = 18440

// listen opens the port that the server had, else its preferred one, else any.
func (f *Farm) listen(name string, index int) (net.Listener, error) {
	var failures []error
	for _, port := range []int{f.store.state.Ports[name], firstPort + index, 0} {
		if port == 0 && len(failures) == 0 {
			continue // never started before
		}
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
		if err == nil {
			f.listeners = append(f.listeners, l)
			f.store.state.Ports[name] = portOf(l)
			return l, nil
		}
		failures = append(failures, err)
	}
	return nil, fmt.Errorf("listen for %q: %w", name, errors.Join(failures...))
}

func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func (f *Farm) issuerURL() string {
	return fmt.Sprintf("http://%s:%d/", host, f.store.state.Ports[issuersName])
}
