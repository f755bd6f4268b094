package oidctest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	logoutTokenLifetime = 2 * time.Minute
	logoutEvent         = "http://schemas.openid.net/event/backchannel-logout"
)

// EndSession ends one session and sends each of its clients a logout token with sub
// and sid. It returns the deliveries that failed.
func (o *OP) EndSession(ctx context.Context, sid string) error {
	o.mu.Lock()
	ended := o.takeSessions(func(s *Session) bool { return s.ID == sid })
	o.mu.Unlock()
	var failed error
	for _, s := range ended {
		for _, client := range s.Clients {
			failed = errors.Join(failed, o.sendLogout(ctx, client, s.Subject, s.ID))
		}
	}
	return failed
}

// EndSubject ends every session of a subject and sends each client one logout token
// with sub alone.
func (o *OP) EndSubject(ctx context.Context, subject string) error {
	o.mu.Lock()
	ended := o.takeSessions(func(s *Session) bool { return s.Subject == subject })
	o.mu.Unlock()
	var failed error
	told := map[string]bool{}
	for _, s := range ended {
		for _, client := range s.Clients {
			if !told[client] {
				told[client] = true
				failed = errors.Join(failed, o.sendLogout(ctx, client, subject, ""))
			}
		}
	}
	return failed
}

// takeSessions removes and returns the sessions that match. The caller holds the lock.
func (o *OP) takeSessions(match func(*Session) bool) []*Session {
	var taken []*Session
	for id, s := range o.sessions {
		if match(s) {
			taken = append(taken, s)
			delete(o.sessions, id)
		}
	}
	return taken
}

// LogoutToken returns a signed logout token for a client (Back-Channel Logout 1.0
// section 2.4). An empty subject or sid leaves that claim out.
func (o *OP) LogoutToken(clientID, subject, sid string) (string, error) {
	now := o.opts.Clock.Now()
	claims := map[string]any{
		"iss": o.issuer, "aud": clientID, "jti": randomID(), "iat": now.Unix(), "exp": now.Add(logoutTokenLifetime).Unix(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
	if subject != "" {
		claims["sub"] = subject
	}
	if sid != "" {
		claims["sid"] = sid
	}
	o.mu.Lock()
	key := o.keys[0]
	o.mu.Unlock()
	return sign(claims, jose.ES256, jose.JSONWebKey{Key: key.private, KeyID: key.id}, "logout+jwt")
}

func (o *OP) sendLogout(ctx context.Context, clientID, subject, sid string) error {
	o.mu.Lock()
	client := o.clients[clientID]
	o.mu.Unlock()
	if client.BackChannelLogoutURL == "" {
		return nil
	}
	token, err := o.LogoutToken(clientID, subject, sid)
	if err != nil {
		return err
	}
	res, err := postForm(ctx, o.outbound, client.BackChannelLogoutURL, url.Values{"logout_token": {token}})
	if err != nil {
		return fmt.Errorf("send logout token to client %s: %w", clientID, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("client %s answered the logout token with %s", clientID, res.Status)
	}
	return nil
}

func postForm(ctx context.Context, client *http.Client, to string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return client.Do(req)
}

// sign returns claims as a compact JWS.
func sign(claims map[string]any, alg jose.SignatureAlgorithm, key any, typ jose.ContentType) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", fmt.Errorf("prepare signer: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return signed.CompactSerialize()
}
