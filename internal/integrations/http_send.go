package integrations

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/integrations/deliver"
	"github.com/vigilo/vigilo/internal/integrations/webhooksig"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// userAgent and contentType go with every delivery, beside the signature.
const (
	userAgent   = "Vigilo-Webhooks/1"
	contentType = "application/json"
)

// sender holds one client for each list of networks that workspaces allow, so that
// connections are kept and yet none is opened that a workspace did not allow. Workspaces
// with equal lists share a client; they could open the same connections.
type sender struct {
	policy   outbound.Policy
	resolver outbound.Resolver
	tls      *tls.Config
	clock    clock.Clock

	mu      sync.Mutex
	clients map[string]*http.Client
}

// maxClients bounds the memory: beyond it all are forgotten and made again when needed.
const maxClients = 500

func newSender(d Deps) *sender {
	s := &sender{policy: d.Network, resolver: d.Resolver, clock: d.Clock, clients: map[string]*http.Client{}}
	if d.Roots != nil {
		s.tls = &tls.Config{RootCAs: d.Roots, MinVersion: tls.VersionTLS12}
	}
	return s
}

func (s *sender) client(networks string) (*http.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[networks]; ok {
		return c, nil
	}
	prefixes, err := storedNetworks(networks)
	if err != nil {
		return nil, err
	}
	var opts []outbound.Option
	if s.resolver != nil {
		opts = append(opts, outbound.WithResolver(s.resolver))
	}
	if len(s.clients) >= maxClients {
		for _, old := range s.clients {
			old.CloseIdleConnections()
		}
		clear(s.clients)
	}
	c := outbound.NewDialer(webhookPolicy(s.policy, prefixes), opts...).HTTPClient(outbound.HTTPOptions{
		Timeout: deliver.Timeout, TLS: s.tls, KeepAlive: true,
	})
	s.clients[networks] = c
	return c, nil
}

// sentAttempt is an attempt with what the receiver was sent besides the body.
type sentAttempt struct {
	deliver.Attempt
	startedAt time.Time
	signature string
}

// send signs and sends a body once. Errors are ours; what the receiver did is in the attempt.
func (s *Service) send(ctx context.Context, workspace uuid.UUID, t target, eventID uuid.UUID, body []byte) (sentAttempt, error) {
	now := s.clock.Now()
	secrets, err := s.secrets(workspace, t, now)
	if err != nil {
		return sentAttempt{}, err
	}
	signed, err := webhooksig.Sign(eventID.String(), now, body, secrets...)
	if err != nil {
		return sentAttempt{}, fmt.Errorf("sign delivery: %w", err)
	}
	client, err := s.sender.client(t.Networks)
	if err != nil {
		return sentAttempt{}, err
	}
	out := sentAttempt{startedAt: now, signature: signed.Get(webhooksig.HeaderSignature)}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		out.Attempt = deliver.Attempt{Outcome: deliver.Failed, ErrorClass: deliver.ErrorRequest, Err: err}
		return out, nil
	}
	maps.Copy(req.Header, signed)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", userAgent)
	out.Attempt = deliver.Send(ctx, client, s.clock, req)
	return out, nil
}

// secrets opens the secrets that sign now: the present one, and the one before it while a
// rotation lasts.
func (s *Service) secrets(workspace uuid.UUID, t target, now time.Time) ([]string, error) {
	current, err := s.sealer.Open(workspace, purpose, t.SecretSealed)
	if err != nil {
		return nil, fmt.Errorf("open webhook secret: %w", err)
	}
	out := []string{string(current)}
	if t.PreviousUntil != nil && t.PreviousUntil.After(now) {
		previous, err := s.sealer.Open(workspace, purpose, t.PreviousSealed)
		if err != nil {
			return nil, fmt.Errorf("open previous webhook secret: %w", err)
		}
		out = append(out, string(previous))
	}
	return out, nil
}
