package oidcrp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

const backchannelLogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Logout is a verified back-channel logout. With SessionID that session ends; with
// Subject alone every session of that subject ends.
type Logout struct {
	Issuer    string
	Subject   string
	SessionID string
	// JTI is unique. The caller refuses one it has seen, at least until ExpiresAt plus
	// the allowed skew; after that the token is refused here.
	JTI       string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// LogoutURL returns where to send the browser to end the session at the provider
// (RP-Initiated Logout 1.0 section 2). It is false when the provider has no such
// endpoint or cannot be asked; the local session ends regardless.
func (p *Provider) LogoutURL(ctx context.Context, idTokenHint, state string) (string, bool) {
	d, err := p.discover(ctx)
	if err != nil || d.meta.EndSessionURL == "" {
		return "", false
	}
	u, err := url.Parse(d.meta.EndSessionURL)
	if err != nil {
		return "", false
	}
	query := u.Query()
	query.Set("client_id", p.cfg.ClientID)
	if idTokenHint != "" {
		query.Set("id_token_hint", idTokenHint)
	}
	if p.cfg.PostLogoutURL != "" {
		query.Set("post_logout_redirect_uri", p.cfg.PostLogoutURL)
		if state != "" {
			query.Set("state", state)
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), true
}

// VerifyLogoutToken applies Back-Channel Logout 1.0 section 2.6 to the posted
// logout_token. Errors are as for Finish. That the token was not used before is the
// caller's to check, by JTI.
func (p *Provider) VerifyLogoutToken(ctx context.Context, raw string) (Logout, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return Logout{}, err
	}
	var failure error
	// go-oidc checks signature, algorithm, audience, jti, sub or sid, and the nonce
	// that must not be there.
	token, err := d.verifier.VerifyLogout(withKeyFailure(ctx, &failure), raw)
	if failure != nil {
		return Logout{}, fault.NewUnavailable(unavailableMessage, failure)
	}
	if err != nil {
		return Logout{}, denied(CodeLogoutTokenInvalid, fmt.Errorf("verify logout token: %w", err))
	}
	var c claimSet
	var events struct {
		Events map[string]json.RawMessage `json:"events"`
	}
	if err := errors.Join(token.Claims(&c), token.Claims(&events)); err != nil {
		return Logout{}, denied(CodeLogoutTokenInvalid, fmt.Errorf("decode logout token: %w", err))
	}
	if err := p.checkLogout(raw, c, events.Events[backchannelLogoutEvent]); err != nil {
		return Logout{}, denied(CodeLogoutTokenInvalid, err)
	}
	return Logout{
		Issuer: token.Issuer, Subject: token.Subject, SessionID: token.SessionID, JTI: token.TokenID,
		IssuedAt: c.IssuedAt.Time, ExpiresAt: c.Expiry.Time,
	}, nil
}

func (p *Provider) checkLogout(raw string, c claimSet, event json.RawMessage) error {
	if c.Issuer != p.cfg.Issuer {
		return fmt.Errorf("logout token comes from issuer %q", c.Issuer)
	}
	if err := p.checkTimes(c); err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(event), []byte("{")) {
		return errors.New("logout event is not a JSON object")
	}
	// typ is recommended, not required (section 2.4); older providers send JWT. Any
	// other type, such as at+jwt, says that this is not a logout token.
	typ, err := tokenType(raw)
	if err != nil {
		return err
	}
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "", "jwt", "logout+jwt":
		return nil
	default:
		return fmt.Errorf("token has type %q", typ)
	}
}

// tokenType returns the typ of the header of a JWT whose signature was verified.
func tokenType(raw string) (string, error) {
	header, _, _ := strings.Cut(raw, ".")
	data, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return "", fmt.Errorf("decode header: %w", err)
	}
	var h struct {
		Type string `json:"typ"`
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return "", fmt.Errorf("decode header: %w", err)
	}
	return h.Type, nil
}
