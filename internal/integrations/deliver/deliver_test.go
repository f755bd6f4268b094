package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/integrations/deliver"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func post(t *testing.T, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(`{"name":"change.approved"}`))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func send(t *testing.T, ctx context.Context, client *http.Client, address string) deliver.Attempt { //nolint:revive // t first reads better
	t.Helper()
	return deliver.Send(ctx, client, clock.NewFixed(now), post(t, address))
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func TestAnswerDecidesTheOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		status     int
		retryAfter string
		want       deliver.Attempt
	}{
		{"200", 200, "", deliver.Attempt{Outcome: deliver.Success}},
		{"204", 204, "", deliver.Attempt{Outcome: deliver.Success}},
		{"410", 410, "", deliver.Attempt{Outcome: deliver.Gone, ErrorClass: deliver.ErrorStatus}},
		{"404", 404, "", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus}},
		{"500", 500, "", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus}},
		{"seconds", 429, "120", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus, RetryAfter: 2 * time.Minute}},
		{"date", 503, "Tue, 24 Nov 2026 12:05:00 GMT", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus, RetryAfter: 5 * time.Minute}},
		{"date in the past", 503, "Tue, 24 Nov 2026 11:55:00 GMT", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus}},
		{"a year", 503, "31536000", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus, RetryAfter: deliver.MaxRetryAfter}},
		{"seconds beyond all numbers", 503, strings.Repeat("9", 40), deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus, RetryAfter: deliver.MaxRetryAfter}},
		{"negative", 503, "-5", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus}},
		{"nonsense", 503, "soon", deliver.Attempt{Outcome: deliver.Retry, ErrorClass: deliver.ErrorStatus}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if tc.retryAfter != "" {
					w.Header().Set("Retry-After", tc.retryAfter)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, "said so") // 204 takes no body
			})
			got := send(t, t.Context(), server.Client(), server.URL)
			tc.want.Status, tc.want.Body = tc.status, []byte("said so")
			if tc.status == http.StatusNoContent {
				tc.want.Body = []byte{}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("attempt (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestArrivesWhole(t *testing.T) {
	t.Parallel()
	var body, signature string
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body, signature = string(raw), r.Header.Get("Webhook-Signature")
	})
	req := post(t, server.URL)
	req.Header.Set("Webhook-Signature", "v1,abc")
	if got := deliver.Send(t.Context(), server.Client(), clock.System(), req); got.Outcome != deliver.Success || got.Latency <= 0 {
		t.Errorf("attempt = %+v", got)
	}
	if body != `{"name":"change.approved"}` || signature != "v1,abc" {
		t.Errorf("arrived: %q, %q", body, signature)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		other := serve(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%d was followed", status) })
		server := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		got := send(t, t.Context(), server.Client(), server.URL)
		if got.Status != status || got.Outcome != deliver.Retry || got.ErrorClass != deliver.ErrorRedirect {
			t.Errorf("%d: attempt = %+v", status, got)
		}
	}
}

func TestOnlyTheFirstFourKilobytesAreKept(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10<<10)) // the reader leaves early
		w.(http.Flusher).Flush()
		<-stop // an endless answer must not hold us up
	})
	t.Cleanup(func() { close(stop) })
	got := send(t, t.Context(), server.Client(), server.URL)
	if got.Outcome != deliver.Success || len(got.Body) != 4096 {
		t.Errorf("outcome %s, %d bytes", got.Outcome, len(got.Body))
	}
}

func TestSilentEndpointTimesOut(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(http.ResponseWriter){
		"before the header": func(http.ResponseWriter) {},
		"inside the body": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stop := make(chan struct{})
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				before(w)
				<-stop
			})
			t.Cleanup(func() { close(stop) })
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			got := send(t, ctx, server.Client(), server.URL)
			if got.Outcome != deliver.Retry || got.ErrorClass != deliver.ErrorClass(outbound.ClassTimeout) || got.Err == nil {
				t.Errorf("attempt = %+v", got)
			}
		})
	}
}

func TestShutdownIsNotTheEndpointsFault(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{nil, errors.New("stopping")} {
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := make(chan struct{})
		server := serve(t, func(http.ResponseWriter, *http.Request) {
			cancel(cause)
			<-stop
		})
		t.Cleanup(func() { close(stop) })
		if got := send(t, ctx, server.Client(), server.URL); got.Outcome != deliver.Retry || got.ErrorClass != deliver.ErrorCancelled {
			t.Errorf("stopped for %v: attempt = %+v", cause, got)
		}
	}
}

func TestConnectionErrorsAreTold(t *testing.T) {
	t.Parallel()
	secured := httptest.NewTLSServer(http.NotFoundHandler())
	secured.Config.ErrorLog = nil
	t.Cleanup(secured.Close)
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	dropping := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	blocked := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("dial 10.0.0.1: %w", outbound.ErrBlocked)
	}}}
	for name, tc := range map[string]struct {
		client  *http.Client
		address string
		class   outbound.Class
	}{
		"certificate nobody vouches for": {&http.Client{}, secured.URL, outbound.ClassTLS},
		"no TLS there":                   {&http.Client{}, "https" + strings.TrimPrefix(plain.URL, "http"), outbound.ClassTLS},
		"nobody listens":                 {&http.Client{}, nobody, outbound.ClassRefused},
		"connection dropped":             {&http.Client{}, dropping.URL, outbound.ClassReset},
		"blocked by the dialer":          {blocked, "http://10.0.0.1/", outbound.ClassPolicy},
		"name does not resolve":          {&http.Client{}, "http://endpoint.invalid/", outbound.ClassDNS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := send(t, t.Context(), tc.client, tc.address)
			if got.Outcome != deliver.Retry || got.ErrorClass != deliver.ErrorClass(tc.class) || got.Err == nil || got.Status != 0 {
				t.Errorf("attempt = %+v", got)
			}
		})
	}
}

func TestAddressThatIsNoWebFailsForGood(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"ftp://example.org/", "/relative", "mailto:a@example.org"} {
		if got := send(t, t.Context(), &http.Client{}, address); got.Outcome != deliver.Failed || got.ErrorClass != deliver.ErrorRequest {
			t.Errorf("%s: attempt = %+v", address, got)
		}
	}
}

func TestBackoffFollowsTheScheduleWithJitter(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // spreads load, guards nothing
	want := []string{"5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h"}
	if len(want) != deliver.MaxAttempts-1 {
		t.Fatalf("%d pauses between %d attempts", len(want), deliver.MaxAttempts)
	}
	for i, text := range want {
		pause, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[time.Duration]bool{}
		for range 100 {
			got := deliver.Backoff(i+1, rnd)
			if got < pause || got > pause+pause/10 {
				t.Errorf("after attempt %d: %s, want %s and at most a tenth more", i+1, got, pause)
			}
			seen[got] = true
		}
		if len(seen) < 90 {
			t.Errorf("after attempt %d: only %d different pauses of 100", i+1, len(seen))
		}
	}
	for _, attempt := range []int{-1, 0, 10, 11} {
		if got := deliver.Backoff(attempt, rnd); got != 0 {
			t.Errorf("after attempt %d: %s, want no further one", attempt, got)
		}
	}
}
