package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// staticResolver answers every name with the same addresses.
type staticResolver []string

func (r staticResolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, a := range r {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

// listen counts the connections that reach address.
func listen(t *testing.T, address string) (net.Listener, *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var n atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			c.Close()
		}
	}()
	return l, &n
}

// rebindingServer is a DNS server whose answers alternate between two addresses, with a
// time to live of 0.
func rebindingServer(t *testing.T, first, second netip.Addr) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for i := 0; ; {
			n, peer, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var msg dnsmessage.Message
			if msg.Unpack(buf[:n]) != nil || len(msg.Questions) != 1 {
				continue
			}
			q := msg.Questions[0]
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: msg.ID, Response: true, Authoritative: true}, Questions: msg.Questions}
			if q.Type == dnsmessage.TypeA {
				addr := first
				if i%2 == 1 {
					addr = second
				}
				i++
				answer.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: addr.As4()},
				}}
			}
			if out, err := answer.Pack(); err == nil {
				_, _ = pc.WriteTo(out, peer)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestRebindingNameNeverReachesTheCanary(t *testing.T) {
	t.Parallel()
	// 127.0.0.2 plays the public address, the canary on 127.0.0.1 the metadata service.
	canary, seen := listen(t, "127.0.0.1:0")
	port := canary.Addr().(*net.TCPAddr).Port
	_, reached := listen(t, fmt.Sprintf("127.0.0.2:%d", port))
	resolver := rebindingServer(t, netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1"))
	d := NewDialer(Policy{Mode: Hosted, OperatorAllow: prefixes("127.0.0.2/32")}, WithResolver(resolver))
	blocked := 0
	for range 1000 {
		conn, err := d.DialContext(t.Context(), "tcp4", fmt.Sprintf("rebind.example:%d", port))
		switch {
		case err == nil:
			conn.Close()
		case errors.Is(err, ErrBlocked):
			blocked++
		default:
			t.Fatal(err)
		}
	}
	if seen.Load() != 0 {
		t.Errorf("the canary saw %d connections", seen.Load())
	}
	if blocked == 0 || reached.Load() == 0 {
		t.Errorf("blocked %d, reached %d: the answers did not alternate", blocked, reached.Load())
	}
}

func TestControlHookJudgesTheSocketItself(t *testing.T) {
	t.Parallel()
	canary, seen := listen(t, "127.0.0.1:0")
	d := NewDialer(Policy{Mode: SelfHosted})
	// The filter before it is bypassed, as a second answer would.
	_, err := d.connect(t.Context(), "tcp", "canary", netip.MustParseAddrPort(canary.Addr().String()))
	blocked, ok := errors.AsType[*BlockedError](err)
	if !ok || blocked.Reason != ReasonLoopback || blocked.Host != "canary" {
		t.Errorf("got %v, want a loopback denial", err)
	}
	if seen.Load() != 0 {
		t.Error("a connection was opened")
	}
}

func TestMixedAnswersUseTheAllowedAddress(t *testing.T) {
	t.Parallel()
	canary, seen := listen(t, "127.0.0.1:0")
	port := canary.Addr().(*net.TCPAddr).Port
	_, reached := listen(t, fmt.Sprintf("127.0.0.2:%d", port))
	policy := Policy{Mode: Hosted, OperatorAllow: prefixes("127.0.0.2/32", "127.0.0.3/32")}
	for _, answers := range []staticResolver{
		{"169.254.169.254", "127.0.0.1", "127.0.0.2"},
		{"127.0.0.2", "10.0.0.1"},
		{"127.0.0.3", "127.0.0.1", "127.0.0.2"}, // nothing listens on 127.0.0.3
	} {
		conn, err := NewDialer(policy, WithResolver(answers)).DialContext(t.Context(), "tcp", fmt.Sprintf("mixed.example:%d", port))
		if err != nil {
			t.Fatalf("%v: %v", answers, err)
		}
		if got := conn.RemoteAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.2" {
			t.Errorf("%v: connected to %s", answers, got)
		}
		conn.Close()
	}
	_, err := NewDialer(policy, WithResolver(staticResolver{"10.0.0.1", "127.0.0.1"})).
		DialContext(t.Context(), "tcp", fmt.Sprintf("inner.example:%d", port))
	if !errors.Is(err, ErrBlocked) || Classify(err) != ClassPolicy {
		t.Errorf("only denied answers: got %v", err)
	}
	_, err = NewDialer(policy, WithResolver(staticResolver{"10.0.0.1", "127.0.0.3"})).
		DialContext(t.Context(), "tcp", fmt.Sprintf("down.example:%d", port))
	if Classify(err) != ClassRefused {
		t.Errorf("an allowed address that refuses must show as refused, got %v", err)
	}
	if seen.Load() != 0 || reached.Load() == 0 {
		t.Errorf("canary %d, reached %d", seen.Load(), reached.Load())
	}
}

func TestLiteralFormsOfForbiddenAddressesNeverConnect(t *testing.T) {
	t.Parallel()
	canary, seen := listen(t, "127.0.0.1:0")
	port := canary.Addr().(*net.TCPAddr).Port
	// Even a resolver that reads these forms as the C library does gets nowhere.
	d := NewDialer(Policy{Mode: Hosted}, WithResolver(staticResolver{"127.0.0.1"}))
	for _, host := range []string{
		"127.1", "0x7f000001", "2130706433", "0", "0177.0.0.1", "127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "[::]", "0.0.0.0", "",
		"localhost", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:10.0.0.1]", "[64:ff9b::a9fe:a9fe]", "harmless.example",
	} {
		_, err := d.DialContext(t.Context(), "tcp", fmt.Sprintf("%s:%d", host, port))
		if !errors.Is(err, ErrBlocked) {
			t.Errorf("%q: got %v, want ErrBlocked", host, err)
		}
	}
	if seen.Load() != 0 {
		t.Errorf("the canary saw %d connections", seen.Load())
	}
}

func TestFamilyIsHonoured(t *testing.T) {
	t.Parallel()
	d := NewDialer(Policy{Mode: SelfHosted, AllowLoopback: true})
	for network, host := range map[string]string{"tcp4": "[::1]", "tcp6": "127.0.0.1"} {
		_, err := d.DialContext(t.Context(), network, host+":1")
		if Classify(err) != ClassDNS {
			t.Errorf("%s to %s: got %v", network, host, err)
		}
	}
	for _, address := range []string{"example.org", "example.org:http", "example.org:70000"} {
		if _, err := d.DialContext(t.Context(), "tcp", address); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
}

func TestRedirectsReenterTheDialer(t *testing.T) {
	t.Parallel()
	canary, seen := listen(t, "127.0.0.1:0")
	targets := map[string]string{
		"/metadata": "http://169.254.169.254/", "/canary": "http://" + canary.Addr().String(), "/file": "file:///etc/passwd",
		"/loop": "/loop", "/ok": "/end",
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to, ok := targets[r.URL.Path]; ok {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "arrived")
	}))
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)

	d := NewDialer(Policy{Mode: Hosted, OperatorAllow: prefixes("127.0.0.2/32")})
	get := func(path string, o HTTPOptions) (*http.Response, int, error) {
		count := 0
		o.OnRedirect = func(n int, _ *url.URL) { count = n }
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		resp, err := d.HTTPClient(o).Do(req)
		if resp != nil {
			t.Cleanup(func() { resp.Body.Close() })
		}
		return resp, count, err
	}
	for _, path := range []string{"/metadata", "/canary", "/file"} {
		_, n, err := get(path, HTTPOptions{MaxRedirects: 5})
		if !errors.Is(err, ErrBlocked) || n != 1 {
			t.Errorf("%s: got %v after %d redirects, want ErrBlocked after 1", path, err, n)
		}
	}
	if _, _, err := get("/loop", HTTPOptions{MaxRedirects: 5}); !errors.Is(err, ErrTooManyRedirects) {
		t.Errorf("loop: got %v", err)
	}
	if resp, n, err := get("/metadata", HTTPOptions{}); err != nil || resp.StatusCode != http.StatusFound || n != 0 {
		t.Errorf("without redirects: got %v, %d followed, %v", resp, n, err)
	}
	if resp, _, err := get("/ok", HTTPOptions{MaxRedirects: 1}); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("ok: got %v, %v", resp, err)
	}
	if seen.Load() != 0 {
		t.Errorf("the canary saw %d connections", seen.Load())
	}
}

func TestBodiesAreCutAtTheLimit(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	}))
	t.Cleanup(srv.Close)
	d := NewDialer(Policy{Mode: SelfHosted, AllowLoopback: true})
	for _, tt := range []struct {
		client, fetch int64
		want          error
	}{{0, 1000, nil}, {0, 999, ErrTooLarge}, {999, 2000, ErrTooLarge}, {1000, 2000, nil}} {
		body, err := Fetch(t.Context(), d.HTTPClient(HTTPOptions{MaxBodyBytes: tt.client}), srv.URL, tt.fetch)
		if !errors.Is(err, tt.want) || (tt.want == nil && len(body) != 1000) {
			t.Errorf("limits %d and %d: got %d bytes, %v, want %v", tt.client, tt.fetch, len(body), err, tt.want)
		}
	}
	if _, err := Fetch(t.Context(), d.HTTPClient(HTTPOptions{}), srv.URL+"/missing", 10); err == nil {
		t.Error("a 404 was taken for a document")
	}
}

func TestProxyEnvironmentIsIgnored(t *testing.T) {
	proxy, seen := listen(t, "127.0.0.1:0")
	t.Setenv("HTTP_PROXY", "http://"+proxy.Addr().String())
	d := NewDialer(Policy{Mode: Hosted}, WithResolver(staticResolver{"10.0.0.1"}))
	_, err := Fetch(t.Context(), d.HTTPClient(HTTPOptions{}), "http://example.org/", 10)
	if !errors.Is(err, ErrBlocked) || seen.Load() != 0 {
		t.Errorf("got %v, proxy saw %d connections", err, seen.Load())
	}
}

func TestClassifyTellsTheTenantAClass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want Class
	}{
		{nil, ""},
		{&BlockedError{Host: "x", Reason: ReasonLoopback}, ClassPolicy},
		{&url.Error{Op: "Get", URL: "x", Err: &BlockedError{}}, ClassPolicy},
		{&net.DNSError{IsNotFound: true}, ClassDNS},
		{context.DeadlineExceeded, ClassTimeout},
		{&net.OpError{Err: &net.DNSError{IsTimeout: true}}, ClassDNS},
		{&net.OpError{Err: syscall.ETIMEDOUT}, ClassTimeout},
		{fmt.Errorf("x: %w", tls.AlertError(40)), ClassTLS},
		{tls.RecordHeaderError{}, ClassTLS},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}, ClassTLS},
		{&net.OpError{Err: syscall.ECONNREFUSED}, ClassRefused},
		{&net.OpError{Err: syscall.EHOSTUNREACH}, ClassUnreachable},
		{&net.OpError{Err: syscall.ECONNRESET}, ClassReset},
		{io.EOF, ClassReset},
		{errors.New("secret bytes of the peer"), ClassOther},
	} {
		got := Classify(tt.err)
		if got != tt.want {
			t.Errorf("Classify(%v) = %q, want %q", tt.err, got, tt.want)
		}
		if (got.Sentence() == "") != (tt.err == nil) {
			t.Errorf("class %q has sentence %q", got, got.Sentence())
		}
	}
}

func TestDialerGivesUpAfterItsTimeout(t *testing.T) {
	t.Parallel()
	d := NewDialer(Policy{Mode: SelfHosted}, WithTimeout(20*time.Millisecond), WithResolver(hangingResolver{}))
	if _, err := d.DialContext(context.Background(), "tcp", "slow.example:443"); Classify(err) != ClassTimeout {
		t.Errorf("got %v, want a timeout", err)
	}
}

type hangingResolver struct{}

func (hangingResolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
