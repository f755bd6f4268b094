package oidcrp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// maxSubjectBytes is the longest sub a provider may issue (OpenID Connect Core 2).
const maxSubjectBytes = 255

// Identity is who signed in. Issuer and Subject together name the person for good;
// Email may change and may be claimed by anybody unless EmailVerified.
type Identity struct {
	Issuer        string
	Subject       string
	Email         string
	EmailVerified bool
	// Name is for display; empty when the provider gives none.
	Name string
	// Groups are without leading slashes, without duplicates, in the provider's order.
	Groups []string
	// GroupsPresent tells "in no group" from "the provider said nothing about groups".
	GroupsPresent bool
	// SessionID is the provider's sid, empty when it has none.
	SessionID string
	// RawIDToken is the hint for LogoutURL.
	RawIDToken string
	// AuthTime is when the person proved who they are; zero when not told.
	AuthTime time.Time
	ACR      string
	AMR      []string
}

// claimSet is what we read of an ID token or of userinfo.
type claimSet struct {
	Issuer            string       `json:"iss"`
	Subject           string       `json:"sub"`
	Expiry            numericDate  `json:"exp"`
	IssuedAt          numericDate  `json:"iat"`
	NotBefore         numericDate  `json:"nbf"`
	AuthTime          numericDate  `json:"auth_time"`
	Nonce             string       `json:"nonce"`
	AuthorizedParty   string       `json:"azp"`
	SessionID         string       `json:"sid"`
	ACR               string       `json:"acr"`
	AMR               []string     `json:"amr"`
	Email             string       `json:"email"`
	EmailVerified     tolerantBool `json:"email_verified"`
	Name              string       `json:"name"`
	GivenName         string       `json:"given_name"`
	FamilyName        string       `json:"family_name"`
	PreferredUsername string       `json:"preferred_username"`

	all map[string]any
}

// UnmarshalJSON reads the named claims and keeps the rest for the groups path.
func (c *claimSet) UnmarshalJSON(data []byte) error {
	type named claimSet
	if err := json.Unmarshal(data, (*named)(c)); err != nil {
		return err
	}
	return json.Unmarshal(data, &c.all)
}

// numericDate is seconds since 1970, possibly with a fraction (RFC 7519 section 2).
type numericDate struct{ time.Time }

func (d *numericDate) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	var seconds float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return fmt.Errorf("time of a claim: %w", err)
	}
	// Beyond the year 9999 the conversion would overflow.
	if math.Abs(seconds) > 253402300799 {
		return fmt.Errorf("time of a claim is out of range: %v", seconds)
	}
	whole, fraction := math.Modf(seconds)
	d.Time = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	return nil
}

// tolerantBool also reads "true" and "false", which some providers send.
type tolerantBool struct{ present, value bool }

func (b *tolerantBool) UnmarshalJSON(data []byte) error {
	switch text := strings.Trim(string(data), `"`); text {
	case "true", "false":
		*b = tolerantBool{present: true, value: text == "true"}
	case "null":
	default:
		return fmt.Errorf("email_verified is %.20s, not true or false", data)
	}
	return nil
}

// verifyIDToken applies OpenID Connect Core 3.1.3.7. Signature, algorithm and
// audience are go-oidc's part, the rest is ours.
func (p *Provider) verifyIDToken(ctx context.Context, d *discovered, raw, accessToken, nonce string) (claimSet, error) {
	var failure error
	token, err := d.verifier.Verify(withKeyFailure(ctx, &failure), raw)
	if failure != nil {
		return claimSet{}, fault.NewUnavailable(unavailableMessage, failure)
	}
	if err != nil {
		return claimSet{}, denied(CodeTokenInvalid, fmt.Errorf("verify ID token: %w", err))
	}
	var c claimSet
	if err := token.Claims(&c); err != nil {
		return claimSet{}, denied(CodeTokenInvalid, fmt.Errorf("decode ID token: %w", err))
	}
	if c.Issuer != p.cfg.Issuer {
		return claimSet{}, denied(CodeIssuerMismatch, fmt.Errorf("ID token comes from issuer %q", c.Issuer))
	}
	if err := p.checkParty(token, c); err != nil {
		return claimSet{}, denied(CodeTokenInvalid, err)
	}
	if err := p.checkTimes(c); err != nil {
		return claimSet{}, err
	}
	if !sameText(nonce, c.Nonce) {
		return claimSet{}, denied(CodeNonceMismatch, errors.New("nonce of the ID token is not the one we sent"))
	}
	if c.Subject == "" || len(c.Subject) > maxSubjectBytes {
		return claimSet{}, denied(CodeTokenInvalid, fmt.Errorf("ID token has a sub of %d bytes", len(c.Subject)))
	}
	// at_hash is optional in the code flow, but when present it has to fit.
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(accessToken); err != nil {
			return claimSet{}, denied(CodeTokenInvalid, fmt.Errorf("verify at_hash: %w", err))
		}
	}
	return c, nil
}

// checkParty makes sure that the token was issued to us and not only also for us.
func (p *Provider) checkParty(token *oidc.IDToken, c claimSet) error {
	if len(token.Audience) > 1 && c.AuthorizedParty == "" {
		return errors.New("ID token has several audiences and no azp")
	}
	if c.AuthorizedParty != "" && c.AuthorizedParty != p.cfg.ClientID {
		return fmt.Errorf("ID token was issued to client %q", c.AuthorizedParty)
	}
	return nil
}

func (p *Provider) checkTimes(c claimSet) error {
	now, skew := p.cfg.Clock.Now(), p.cfg.MaxSkew
	switch {
	case c.Expiry.IsZero():
		return denied(CodeTokenInvalid, errors.New("token has no exp"))
	case c.IssuedAt.IsZero():
		return denied(CodeTokenInvalid, errors.New("token has no iat"))
	case !now.Before(c.Expiry.Add(skew)):
		return denied(CodeTokenExpired, fmt.Errorf("token expired at %s", c.Expiry.Format(time.RFC3339)))
	case c.IssuedAt.After(now.Add(skew)):
		return denied(CodeTokenExpired, fmt.Errorf("token is issued in the future, at %s", c.IssuedAt.Format(time.RFC3339)))
	case c.NotBefore.After(now.Add(skew)):
		return denied(CodeTokenExpired, fmt.Errorf("token is not valid before %s", c.NotBefore.Format(time.RFC3339)))
	}
	return nil
}

// needsUserinfo reports whether the ID token lacks something that we use.
func (p *Provider) needsUserinfo(c claimSet) bool {
	_, groups := p.groups(c)
	return c.Email == "" || !c.EmailVerified.present || c.displayName() == "" || (p.cfg.GroupsClaim != "" && !groups)
}

// complete fills what c lacks from userinfo. Whether an address is verified is only
// taken for the very address it was said about.
func (c *claimSet) complete(extra claimSet) {
	if c.Email == "" {
		c.Email, c.EmailVerified = extra.Email, extra.EmailVerified
	} else if !c.EmailVerified.present && c.Email == extra.Email {
		c.EmailVerified = extra.EmailVerified
	}
	if c.displayName() == "" {
		c.Name = extra.displayName()
	}
	for name, value := range extra.all {
		if _, known := c.all[name]; !known {
			c.all[name] = value
		}
	}
}

func (c claimSet) displayName() string {
	for _, name := range []string{c.Name, c.GivenName + " " + c.FamilyName, c.PreferredUsername} {
		if name = strings.TrimSpace(name); name != "" {
			return name
		}
	}
	return ""
}

func (p *Provider) identity(c claimSet, raw string) Identity {
	groups, present := p.groups(c)
	return Identity{
		Issuer: c.Issuer, Subject: c.Subject, Email: c.Email, EmailVerified: c.EmailVerified.value,
		Name: c.displayName(), Groups: groups, GroupsPresent: present, SessionID: c.SessionID,
		RawIDToken: raw, AuthTime: c.AuthTime.Time, ACR: c.ACR, AMR: c.AMR,
	}
}

// groups reads the configured claim: an array of strings, or one string.
func (p *Provider) groups(c claimSet) (names []string, present bool) {
	if p.cfg.GroupsClaim == "" {
		return nil, false
	}
	value, ok := lookUp(c.all, p.cfg.GroupsClaim)
	if !ok {
		return nil, false
	}
	var values []any
	switch v := value.(type) {
	case []any:
		values = v
	case string:
		values = []any{v}
	default:
		return nil, false
	}
	names = []string{}
	for _, v := range values {
		name, _ := v.(string)
		if name = strings.TrimLeft(name, "/"); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, true
}

// lookUp follows a dotted path. A name may itself contain dots, as in
// https://example.org/groups, so the longest name that exists wins.
func lookUp(claims map[string]any, path string) (any, bool) {
	if value, ok := claims[path]; ok {
		return value, value != nil
	}
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		if inner, ok := claims[path[:i]].(map[string]any); ok {
			if value, ok := lookUp(inner, path[i+1:]); ok {
				return value, true
			}
		}
	}
	return nil, false
}
