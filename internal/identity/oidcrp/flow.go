package oidcrp

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Flow is one sign-in under way. The caller keeps it sealed in a cookie, so that only
// the browser that began the sign-in can finish it. It is good for FlowLifetime.
type Flow struct {
	State     string    `json:"state"`
	Nonce     string    `json:"nonce"`
	Verifier  string    `json:"verifier"` // PKCE, RFC 7636
	ReturnTo  string    `json:"return_to"`
	CreatedAt time.Time `json:"created_at"`
	// Fresh says that the person must prove themselves anew at the provider.
	Fresh bool `json:"fresh,omitempty"`
}

// Start begins a sign-in: authURL is where to send the browser. ReturnTo is a path of
// ours with an optional query; anything else becomes "/".
func (p *Provider) Start(ctx context.Context, returnTo string) (authURL string, flow Flow, err error) {
	return p.start(ctx, returnTo, false)
}

// StartFresh is Start for somebody who has to prove again that it is them: it asks the
// provider for an authentication that is not older than this moment, whatever session it
// has (OpenID Connect Core 1.0, 3.1.2.1, max_age). Finish refuses an older one where the
// provider says how old it is, as it must; one that does not say is believed.
func (p *Provider) StartFresh(ctx context.Context, returnTo string) (authURL string, flow Flow, err error) {
	return p.start(ctx, returnTo, true)
}

func (p *Provider) start(ctx context.Context, returnTo string, fresh bool) (authURL string, flow Flow, err error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", Flow{}, err
	}
	flow = Flow{
		State: randomText(), Nonce: randomText(), Verifier: oauth2.GenerateVerifier(),
		ReturnTo: localPath(returnTo), CreatedAt: p.cfg.Clock.Now(),
		Fresh: fresh,
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(flow.Nonce), oauth2.S256ChallengeOption(flow.Verifier)}
	if fresh {
		options = append(options, oauth2.SetAuthURLParam("max_age", "0"))
	}
	return d.oauth.AuthCodeURL(flow.State, options...), flow, nil
}

// Finish judges the provider's answer at our callback and returns who signed in.
// Errors are fault.Denied with a stable code when the sign-in is refused, and
// fault.Unavailable when the provider does not answer.
func (p *Provider) Finish(ctx context.Context, flow Flow, query url.Values) (Identity, error) {
	if !sameText(flow.State, single(query, "state")) {
		return Identity{}, denied(CodeStateMismatch, errors.New("state of the answer is not the one we sent"))
	}
	age := p.cfg.Clock.Now().Sub(flow.CreatedAt)
	if age > FlowLifetime || age < -p.cfg.MaxSkew {
		return Identity{}, denied(CodeFlowExpired, fmt.Errorf("sign-in began %s ago", age))
	}
	d, err := p.discover(ctx)
	if err != nil {
		return Identity{}, err
	}
	// RFC 9207 section 2.4: also on error answers, and before the code is used.
	if query.Has("iss") || d.meta.IssuerParameter {
		if iss := single(query, "iss"); iss != p.cfg.Issuer {
			return Identity{}, denied(CodeIssuerMismatch, fmt.Errorf("answer comes from issuer %q", iss))
		}
	}
	if query.Has("error") {
		return Identity{}, answeredError(single(query, "error"), single(query, "error_description"))
	}
	code := single(query, "code")
	if code == "" {
		return Identity{}, denied(CodeProviderError, errors.New("answer has neither a code nor an error"))
	}
	token, err := d.oauth.Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(flow.Verifier))
	if err != nil {
		return Identity{}, exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return Identity{}, denied(CodeTokenInvalid, errors.New("token answer has no ID token"))
	}
	claims, err := p.verifyIDToken(ctx, d, raw, token.AccessToken, flow.Nonce)
	if err != nil {
		return Identity{}, err
	}
	if at := claims.AuthTime.Time; flow.Fresh && !at.IsZero() && at.Before(flow.CreatedAt.Add(-p.cfg.MaxSkew)) {
		return Identity{}, denied(CodeLoginRequired, fmt.Errorf("authenticated %s before the sign-in began", flow.CreatedAt.Sub(at)))
	}
	if p.needsUserinfo(claims) && d.meta.UserinfoURL != "" {
		extra, err := p.userinfo(ctx, d, token, claims.Subject)
		if err != nil {
			return Identity{}, err
		}
		claims.complete(extra)
	}
	return p.identity(claims, raw), nil
}

// userinfo asks the provider for claims that the ID token does not carry.
func (p *Provider) userinfo(ctx context.Context, d *discovered, token *oauth2.Token, subject string) (claimSet, error) {
	info, err := d.provider.UserInfo(oidc.ClientContext(ctx, p.client), oauth2.StaticTokenSource(token))
	if err != nil {
		return claimSet{}, fault.NewUnavailable(unavailableMessage, fmt.Errorf("fetch userinfo: %w", err))
	}
	// OpenID Connect Core 5.3.2: otherwise the answer is about somebody else.
	if info.Subject != subject {
		return claimSet{}, denied(CodeUserinfoMismatch, errors.New("userinfo and ID token name different subjects"))
	}
	var extra claimSet
	if err := info.Claims(&extra); err != nil {
		return claimSet{}, denied(CodeTokenInvalid, fmt.Errorf("decode userinfo: %w", err))
	}
	return extra, nil
}

// exchangeError classifies a failed code exchange.
func exchangeError(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok, refused.Response.StatusCode >= 500, refused.Response.StatusCode == http.StatusTooManyRequests:
		return fault.NewUnavailable(unavailableMessage, fmt.Errorf("exchange code: %w", err))
	case refused.ErrorCode == "invalid_client", refused.ErrorCode == "unauthorized_client",
		refused.Response.StatusCode == http.StatusUnauthorized:
		return &fault.Error{
			Kind: fault.Unavailable, Code: CodeClientRejected, Message: clientRejectedMessage,
			Cause: fmt.Errorf("exchange code: %w", err),
		}
	default:
		return denied(CodeCodeRejected, fmt.Errorf("exchange code: %w", err))
	}
}

// answeredError turns the error parameter of the provider's answer into ours. The
// text comes through the browser, so it goes to the log only, quoted and cut.
func answeredError(code, description string) error {
	cause := fmt.Errorf("provider answered %.100q: %.300q", code, description)
	switch code {
	case CodeAccessDenied, CodeLoginRequired, CodeInteractionRequired, CodeConsentRequired:
		return denied(code, cause)
	case "server_error", "temporarily_unavailable":
		return fault.NewUnavailable(unavailableMessage, cause)
	default:
		return denied(CodeProviderError, cause)
	}
}

// single returns the value of a parameter that occurs exactly once, otherwise "".
func single(query url.Values, name string) string {
	if values := query[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// sameText compares in constant time; an empty text equals nothing.
func sameText(want, got string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}

// localPath returns s when a browser resolves it to our own origin, otherwise "/".
// Browsers read a backslash as a slash and drop tabs and line ends, so "/\host" and
// "/<tab>/host" would leave us.
func localPath(s string) string {
	u, err := url.Parse(s)
	local := err == nil && u.Scheme == "" && u.Host == "" && u.User == nil &&
		strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.ContainsRune(s, '\\')
	if !local || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "/"
	}
	return s
}
