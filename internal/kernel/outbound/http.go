package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/trace"
)

// ErrTooLarge is returned by reads of a body beyond its limit.
var ErrTooLarge = errors.New("response is larger than the limit")

// ErrTooManyRedirects is returned when a chain of redirects does not end in time.
var ErrTooManyRedirects = errors.New("too many redirects")

// DefaultBodyBytes is how much of a body is read unless asked otherwise: 1 MiB.
const DefaultBodyBytes = 1 << 20

// HTTPOptions shapes a client. The zero value follows no redirect, waits 10 s for the
// whole exchange and reads 1 MiB.
type HTTPOptions struct {
	// Timeout bounds the exchange including the body. 0 means 10 s.
	Timeout time.Duration
	// MaxRedirects is how many redirects are followed. With 0 the redirect itself is the response.
	MaxRedirects int
	// OnRedirect, if set, hears of each redirect before it is followed; n counts from 1.
	OnRedirect func(n int, to *url.URL)
	// MaxBodyBytes bounds every response body after decompression. 0 means DefaultBodyBytes.
	MaxBodyBytes int64
	// TLS is the client's TLS configuration; nil verifies against the roots of the machine.
	TLS *tls.Config
	// KeepAlive keeps connections for the next request. A kept connection was judged when it was opened.
	KeepAlive bool
}

// HTTPClient returns a client whose connections are all opened by d. It reads no proxy
// from the environment, keeps no cookies and speaks http and https only.
func (d *Dialer) HTTPClient(o HTTPOptions) *http.Client {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = DefaultBodyBytes
	}
	transport := &http.Transport{
		Proxy:                  nil,
		DialContext:            d.DialContext,
		TLSClientConfig:        o.TLS.Clone(),
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  o.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      !o.KeepAlive,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        30 * time.Second,
	}
	return &http.Client{
		Transport: &boundedTransport{base: transport, limit: o.MaxBodyBytes},
		Timeout:   o.Timeout,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if o.MaxRedirects == 0 {
				return http.ErrUseLastResponse
			}
			if o.OnRedirect != nil {
				o.OnRedirect(len(via), req.URL)
			}
			if len(via) > o.MaxRedirects {
				return ErrTooManyRedirects
			}
			return checkScheme(req.URL)
		},
	}
}

// Fetch gets one document with client and returns its whole body. Any status but 200
// is an error, and so is a body above limit bytes.
func Fetch(ctx context.Context, client *http.Client, address string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch %q: %w", address, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch %q: status %d", address, resp.StatusCode)
	}
	body, err := io.ReadAll(&boundedReader{r: resp.Body, left: limit})
	if err != nil {
		return nil, fmt.Errorf("fetch %q: %w", address, err)
	}
	return body, nil
}

func checkScheme(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return &BlockedError{Host: u.Host, Reason: "scheme_denied"}
	}
	return nil
}

// boundedTransport refuses foreign schemes and cuts bodies at the limit, so that no
// caller can forget to.
type boundedTransport struct {
	base  http.RoundTripper
	limit int64
}

func (t *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := checkScheme(req.URL); err != nil {
		return nil, err
	}
	resp, err := t.traced(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{boundedReader{r: resp.Body, left: t.limit}, resp.Body}
	return resp, nil
}

// traced makes a span of the exchange up to the header of the response, below the one that
// asks for it. The receiver is a stranger and is not told about it.
func (t *boundedTransport) traced(req *http.Request) (*http.Response, error) {
	if !trace.On(req.Context()) {
		return t.base.RoundTrip(req)
	}
	ctx, end := trace.StartCall(req.Context(), "HTTP "+req.Method,
		trace.Text("http.request.method", req.Method), trace.Text("server.address", req.URL.Hostname()))
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		end(err)
		return nil, err
	}
	end(nil, trace.Number("http.response.status_code", resp.StatusCode))
	return resp, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (t *boundedTransport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type boundedBody struct {
	boundedReader
	io.Closer
}

// boundedReader is io.LimitReader that tells "ended" from "cut".
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), ErrTooLarge
		b.left = -1
		return n, err
	}
	b.left -= int64(n)
	return n, err
}
