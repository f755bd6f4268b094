package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

const (
	// answerTime bounds one call, downloadTime an export.
	answerTime   = time.Minute
	downloadTime = 30 * time.Minute
	// answerBytes bounds an answer that is kept in memory, downloadBytes one that is written
	// to a file.
	answerBytes   = 64 << 20
	downloadBytes = 16 << 30
	// maxPatience is the longest Retry-After that is waited for, tries how often.
	maxPatience = time.Minute
	tries       = 4
)

// client calls the API of one workspace.
type client struct {
	base      *url.URL
	token     string
	calls     *http.Client
	downloads *http.Client
}

// newClient returns a client that verifies TLS against the roots of the machine and
// follows no redirect, so that the token never goes to another host.
func newClient(base *url.URL, token string) *client {
	d := outbound.NewDialer(outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true})
	return &client{
		base: base, token: token,
		calls:     d.HTTPClient(outbound.HTTPOptions{Timeout: answerTime, MaxBodyBytes: answerBytes, KeepAlive: true}),
		downloads: d.HTTPClient(outbound.HTTPOptions{Timeout: downloadTime, MaxBodyBytes: downloadBytes}),
	}
}

// request is one call. path starts below the API and is escaped already.
type request struct {
	method      string
	path        string
	query       url.Values
	contentType string
	body        []byte // nil for none
	header      map[string]string
}

// answer is what a successful call returned.
type answer struct {
	header http.Header
	body   []byte
}

// isJSON reports whether the answer is JSON, whatever else its media type says.
func (a answer) isJSON() bool { return jsonType(a.header.Get("Content-Type")) }

func jsonType(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.TrimSpace(strings.ToLower(kind)) == "application/json"
}

// apiError is a refusal in the words of the API (api.md, Errors).
type apiError struct {
	status int
	raw    []byte // as it was received
	Info   struct {
		Code      string        `json:"code"`
		Message   string        `json:"message"`
		Details   []errorDetail `json:"details"`
		RequestID string        `json:"request_id"`
	} `json:"error"`
}

type errorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field"`
}

func (e *apiError) Error() string { return e.Info.Message }

// call sends a request and returns the whole answer. A refusal is an *apiError.
func (c *client) call(ctx context.Context, rq request) (answer, error) {
	res, err := c.open(ctx, c.calls, rq)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read the answer: %w", err)
	}
	return answer{header: res.Header, body: body}, nil
}

// download sends a request and copies the answer to w.
func (c *client) download(ctx context.Context, rq request, w io.Writer) error {
	res, err := c.open(ctx, c.downloads, rq)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	return nil
}

// open returns the successful response of a request. One that came too fast is repeated
// after the pause that the server asks for: it had no effect.
func (c *client) open(ctx context.Context, hc *http.Client, rq request) (*http.Response, error) {
	for n := 1; ; n++ {
		res, err := c.send(ctx, hc, rq)
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 && res.StatusCode < 300 {
			return res, nil
		}
		refusal := c.refused(res)
		after, parseErr := strconv.Atoi(res.Header.Get("Retry-After"))
		patience := time.Duration(after) * time.Second
		if res.StatusCode != http.StatusTooManyRequests || parseErr != nil || patience > maxPatience || n == tries {
			return nil, refusal
		}
		if err := pause(ctx, patience); err != nil {
			return nil, err
		}
	}
}

func (c *client) send(ctx context.Context, hc *http.Client, rq request) (*http.Response, error) {
	address := c.base.String() + rq.path
	if len(rq.query) > 0 {
		address += "?" + rq.query.Encode()
	}
	var body io.Reader
	if rq.body != nil {
		body = bytes.NewReader(rq.body)
	}
	req, err := http.NewRequestWithContext(ctx, rq.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "vigilo-cli")
	if rq.body != nil {
		req.Header.Set("Content-Type", rq.contentType)
	}
	for name, value := range rq.header {
		req.Header.Set(name, value)
	}
	res, err := hc.Do(req)
	if err != nil {
		// url.Error repeats method and address, which the person knows.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("reach %s: %w", c.base.Host, err)
	}
	return res, nil
}

// refused turns a response that is no success into an error.
func (c *client) refused(res *http.Response) error {
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if to := res.Header.Get("Location"); res.StatusCode >= 300 && res.StatusCode < 400 {
		return fmt.Errorf("%s redirects to %s, which is not followed because it would pass on the token; correct --url", c.base.Host, to)
	}
	e := &apiError{status: res.StatusCode, raw: raw}
	if !jsonType(res.Header.Get("Content-Type")) || json.Unmarshal(raw, e) != nil || e.Info.Code == "" {
		return fmt.Errorf("%s answered %s and no error of the API; is --url the address of Vigilo?", c.base.Host, res.Status)
	}
	return e
}

// pause waits, unless the command is stopped.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
