package oidctest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const accessTokenLifetime = 5 * time.Minute

// errUnsupported answers the grants that this provider does not offer.
var errUnsupported = errors.New("not supported by this provider")

// accessToken is what an opaque access token stands for.
type accessToken struct {
	subject   string
	scopes    []string
	expiresAt time.Time
}

// authRequest implements op.AuthRequest.
type authRequest struct {
	oidc.AuthRequest
	id      string
	session *Session // nil until the person has signed in
}

func (r *authRequest) GetID() string                      { return r.id }
func (r *authRequest) GetAudience() []string              { return []string{r.ClientID} }
func (r *authRequest) GetClientID() string                { return r.ClientID }
func (r *authRequest) GetNonce() string                   { return r.Nonce }
func (r *authRequest) GetScopes() []string                { return r.Scopes }
func (r *authRequest) Done() bool                         { return r.session != nil }
func (r *authRequest) GetRedirectURI() string             { return r.RedirectURI }
func (r *authRequest) GetState() string                   { return r.State }
func (r *authRequest) GetACR() string                     { return "1" }
func (r *authRequest) GetAMR() []string                   { return []string{"pwd"} }
func (r *authRequest) GetResponseType() oidc.ResponseType { return r.ResponseType }
func (r *authRequest) GetResponseMode() oidc.ResponseMode { return r.ResponseMode }

func (r *authRequest) GetSubject() string {
	if r.session == nil {
		return ""
	}
	return r.session.Subject
}

func (r *authRequest) GetAuthTime() time.Time {
	if r.session == nil {
		return time.Time{}
	}
	return r.session.AuthTime
}

func (r *authRequest) GetCodeChallenge() *oidc.CodeChallenge {
	if r.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// wantsLogin reports whether the person has to give the password again.
func (r *authRequest) wantsLogin() bool {
	return slices.Contains(r.Prompt, oidc.PromptLogin) || r.MaxAge != nil && *r.MaxAge == 0
}

// registered implements op.Client.
type registered struct {
	Client
	o *OP
}

func (c registered) GetID() string                       { return c.ID }
func (c registered) RedirectURIs() []string              { return c.RedirectURLs }
func (c registered) PostLogoutRedirectURIs() []string    { return c.PostLogoutURLs }
func (c registered) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c registered) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c registered) GrantTypes() []oidc.GrantType { return []oidc.GrantType{oidc.GrantTypeCode} }

func (c registered) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

func (c registered) IDTokenLifetime() time.Duration       { return c.o.opts.IDTokenLifetime }
func (c registered) DevMode() bool                        { return false }
func (c registered) IsScopeAllowed(string) bool           { return false }
func (c registered) IDTokenUserinfoClaimsAssertion() bool { return c.ClaimsInIDToken }
func (c registered) ClockSkew() time.Duration             { return 0 }
func (c registered) LoginURL(id string) string            { return c.o.url("/login", url.Values{"id": {id}}) }

func (c registered) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:revive // name of the interface
	return func(scopes []string) []string { return scopes }
}

func (c registered) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

func (c registered) AuthMethod() oidc.AuthMethod {
	if c.Secret == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

// storage implements op.Storage on the maps of an OP.
type storage struct{ o *OP }

var (
	_ op.Storage                        = (*storage)(nil)
	_ op.CanSetUserinfoFromRequest      = (*storage)(nil)
	_ op.CanTerminateSessionFromRequest = (*storage)(nil)
)

func (s *storage) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	// Whether a session exists is only known to the browser's cookie at the login page.
	if slices.Contains(r.Prompt, oidc.PromptNone) {
		return nil, oidc.ErrLoginRequired()
	}
	req := &authRequest{AuthRequest: *r, id: randomID()}
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.o.requests[req.id] = req
	return req, nil
}

func (s *storage) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if req, ok := s.o.requests[id]; ok {
		return req, nil
	}
	return nil, fmt.Errorf("no sign-in with id %q", id)
}

func (s *storage) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	req, ok := s.o.requests[s.o.codes[code]]
	if !ok {
		return nil, errors.New("code is unknown or was used")
	}
	return req, nil
}

func (s *storage) SaveAuthCode(_ context.Context, id, code string) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.o.codes[code] = id
	return nil
}

func (s *storage) DeleteAuthRequest(_ context.Context, id string) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	delete(s.o.requests, id)
	for code, request := range s.o.codes {
		if request == id {
			delete(s.o.codes, code)
		}
	}
	return nil
}

func (s *storage) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, expiresAt := randomID(), s.o.opts.Clock.Now().Add(accessTokenLifetime)
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.o.tokens[id] = accessToken{subject: r.GetSubject(), scopes: r.GetScopes(), expiresAt: expiresAt}
	if req, ok := r.(*authRequest); ok && req.session != nil && !slices.Contains(req.session.Clients, req.ClientID) {
		req.session.Clients = append(req.session.Clients, req.ClientID)
	}
	return id, expiresAt, nil
}

func (s *storage) CreateAccessAndRefreshTokens(context.Context, op.TokenRequest, string) (string, string, time.Time, error) {
	return "", "", time.Time{}, errUnsupported
}

func (s *storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, op.ErrInvalidRefreshToken
}

func (s *storage) TerminateSession(_ context.Context, subject, _ string) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.o.takeSessions(func(open *Session) bool { return open.Subject == subject })
	return nil
}

// TerminateSessionFromRequest ends the session that the ID token names, or all of its
// subject, and tells every client of it.
func (s *storage) TerminateSessionFromRequest(ctx context.Context, r *op.EndSessionRequest) (string, error) {
	if r.IDTokenHintClaims == nil {
		return r.RedirectURI, nil
	}
	sid, _ := r.IDTokenHintClaims.Claims["sid"].(string)
	var err error
	if sid == "" {
		err = s.o.EndSubject(ctx, r.UserID)
	} else {
		err = s.o.EndSession(ctx, sid)
	}
	if err != nil {
		s.o.opts.Logger.WarnContext(ctx, "back-channel logout failed", "error", err)
	}
	return r.RedirectURI, nil
}

func (s *storage) RevokeToken(_ context.Context, tokenID, _, _ string) *oidc.Error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	delete(s.o.tokens, tokenID)
	return nil
}

func (s *storage) GetRefreshTokenInfo(context.Context, string, string) (string, string, error) {
	return "", "", op.ErrInvalidRefreshToken
}

func (s *storage) SigningKey(context.Context) (op.SigningKey, error) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	return s.o.keys[0], nil
}

func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	var keys []op.Key
	for _, k := range s.o.keys {
		keys = append(keys, publicKey{k})
	}
	return keys, nil
}

func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	c, ok := s.o.clients[id]
	if !ok {
		return nil, fmt.Errorf("no client %q", id)
	}
	return registered{c, s.o}, nil
}

func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	c, ok := s.o.clients[id]
	if !ok || subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) != 1 {
		return errors.New("unknown client or wrong secret")
	}
	return nil
}

func (s *storage) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil // deprecated by the library in favour of SetUserinfoFromRequest
}

// SetUserinfoFromRequest fills the ID token.
func (s *storage) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if req, ok := r.(*authRequest); ok && req.session != nil {
		info.AppendClaims("sid", req.session.ID)
	}
	return s.o.fill(info, r.GetSubject(), scopes)
}

func (s *storage) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, tokenID, subject, _ string) error {
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	token, ok := s.o.tokens[tokenID]
	if !ok || !s.o.opts.Clock.Now().Before(token.expiresAt) {
		return errors.New("access token is unknown or expired")
	}
	return s.o.fill(info, subject, token.scopes)
}

func (s *storage) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnsupported
}

func (s *storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

func (s *storage) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnsupported
}

func (s *storage) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnsupported
}

func (s *storage) Health(context.Context) error { return nil }

// fill sets the claims that the scopes ask for. Groups come with profile.
func (o *OP) fill(info *oidc.UserInfo, subject string, scopes []string) error {
	user, ok := o.userBySubject(subject)
	if !ok {
		return fmt.Errorf("no user %q", subject)
	}
	info.Subject = user.Subject
	if slices.Contains(scopes, oidc.ScopeEmail) {
		info.Email, info.EmailVerified = user.Email, oidc.Bool(user.EmailVerified)
	}
	if slices.Contains(scopes, oidc.ScopeProfile) {
		info.Name, info.PreferredUsername = user.Name, user.Username
		if user.Groups != nil {
			info.AppendClaims(o.groupsClaim(user.Groups))
		}
	}
	return nil
}
