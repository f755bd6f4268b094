package oidcrp_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/identity/oidctest"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// bench is a provider with flaws and our side of it, on one fixed clock.
type bench struct {
	*oidctest.Bad
	rp    *oidcrp.Provider
	clock *clock.Fixed
}

func newBench(t *testing.T, flaws oidctest.Flaws, change func(*oidcrp.Config)) bench {
	t.Helper()
	fixed := clock.NewFixed(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	bad := oidctest.StartBad(t, oidctest.BadOptions{
		ClientID: "vigilo", ClientSecret: "a shared secret of at least 32 bytes", Clock: fixed, Flaws: flaws, IssuerPath: "/realms/demo",
	})
	cfg := oidcrp.Config{
		Issuer: bad.Issuer(), ClientID: "vigilo", ClientSecret: "a shared secret of at least 32 bytes",
		RedirectURL: callbackURL, Clock: fixed, HTTPClient: &http.Client{},
	}
	if change != nil {
		change(&cfg)
	}
	return bench{Bad: bad, rp: oidcrp.New(cfg), clock: fixed}
}

func (b bench) begin(t *testing.T) (oidcrp.Flow, url.Values) {
	t.Helper()
	authURL, flow, err := b.rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	query, err := b.Authorize(authURL)
	if err != nil {
		t.Fatal(err)
	}
	return flow, query
}

func (b bench) signIn(t *testing.T) (oidcrp.Identity, error) {
	t.Helper()
	flow, query := b.begin(t)
	return b.rp.Finish(t.Context(), flow, query)
}

func wantDenied(t *testing.T, err error, code string) {
	t.Helper()
	f := fault.Find(err)
	if f == nil || f.Kind != fault.Denied || f.Code != code {
		t.Fatalf("error = %v, want Denied %s", err, code)
	}
	if f.Message == "" {
		t.Error("the person gets no message")
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("error = %v, want Unavailable", err)
	}
}

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func drop(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }

func inSeconds(s int64) int64 { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Unix() + s }

func TestFlawedIDTokenIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		flaws oidctest.Flaws
		code  string
	}{
		{"audience is another client", oidctest.Flaws{Claims: set("aud", "other")}, oidcrp.CodeTokenInvalid},
		{"no audience", oidctest.Flaws{Claims: drop("aud")}, oidcrp.CodeTokenInvalid},
		{"issuer is another", oidctest.Flaws{Claims: set("iss", "https://evil.example")}, oidcrp.CodeIssuerMismatch},
		{"issuer differs by a slash", oidctest.Flaws{Claims: func(m map[string]any) { m["iss"] = m["iss"].(string) + "/" }}, oidcrp.CodeIssuerMismatch},
		{"expired beyond the skew", oidctest.Flaws{Claims: set("exp", inSeconds(-60))}, oidcrp.CodeTokenExpired},
		{"no expiry", oidctest.Flaws{Claims: drop("exp")}, oidcrp.CodeTokenInvalid},
		{"issued in the future beyond the skew", oidctest.Flaws{Claims: set("iat", inSeconds(61))}, oidcrp.CodeTokenExpired},
		{"no issue time", oidctest.Flaws{Claims: drop("iat")}, oidcrp.CodeTokenInvalid},
		{"not valid yet beyond the skew", oidctest.Flaws{Claims: set("nbf", inSeconds(61))}, oidcrp.CodeTokenExpired},
		{"wrong nonce", oidctest.Flaws{Claims: set("nonce", "another")}, oidcrp.CodeNonceMismatch},
		{"no nonce", oidctest.Flaws{Claims: drop("nonce")}, oidcrp.CodeNonceMismatch},
		{"no subject", oidctest.Flaws{Claims: drop("sub")}, oidcrp.CodeTokenInvalid},
		{"subject too long", oidctest.Flaws{Claims: set("sub", strings.Repeat("s", 256))}, oidcrp.CodeTokenInvalid},
		{"several audiences without azp", oidctest.Flaws{Claims: set("aud", []string{"vigilo", "other"})}, oidcrp.CodeTokenInvalid},
		{"several audiences and azp is another", oidctest.Flaws{Claims: func(m map[string]any) {
			m["aud"], m["azp"] = []string{"vigilo", "other"}, "other"
		}}, oidcrp.CodeTokenInvalid},
		{"one audience and azp is another", oidctest.Flaws{Claims: set("azp", "other")}, oidcrp.CodeTokenInvalid},
		{"hash of another access token", oidctest.Flaws{Claims: set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")}, oidcrp.CodeTokenInvalid},
		{"algorithm none", oidctest.Flaws{Alg: "none"}, oidcrp.CodeTokenInvalid},
		{"algorithm HS256 with the client secret", oidctest.Flaws{Alg: "HS256"}, oidcrp.CodeTokenInvalid},
		{"algorithm that was not announced", oidctest.Flaws{Alg: "RS256", Discovery: set("id_token_signing_alg_values_supported", []string{"ES256"})}, oidcrp.CodeTokenInvalid},
		{"unknown key id", oidctest.Flaws{UnknownKey: true}, oidcrp.CodeTokenInvalid},
		{"other key under a known id", oidctest.Flaws{Impostor: true}, oidcrp.CodeTokenInvalid},
		{"e-mail verified is not a boolean", oidctest.Flaws{Claims: set("email_verified", "perhaps")}, oidcrp.CodeTokenInvalid},
		{"time out of range", oidctest.Flaws{Claims: set("auth_time", 1e300)}, oidcrp.CodeTokenInvalid},
		{"no ID token at all", oidctest.Flaws{TokenAnswer: drop("id_token")}, oidcrp.CodeTokenInvalid},
		{"userinfo about somebody else", oidctest.Flaws{Claims: drop("email"), Userinfo: set("sub", "subject-2")}, oidcrp.CodeUserinfoMismatch},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := newBench(t, tc.flaws, nil).signIn(t)
			wantDenied(t, err, tc.code)
		})
	}
}

func TestIDTokenWithinTheRulesIsAccepted(t *testing.T) {
	t.Parallel()
	for name, flaws := range map[string]oidctest.Flaws{
		"no flaw":                              {},
		"RSA signature":                        {Alg: "RS256"},
		"expired within the skew":              {Claims: set("exp", inSeconds(-59))},
		"issued in the future within the skew": {Claims: set("iat", inSeconds(60))},
		"not valid yet within the skew":        {Claims: set("nbf", inSeconds(60))},
		"times with a fraction":                {Claims: set("iat", float64(inSeconds(0))+0.25)},
		"several audiences and azp is us": {Claims: func(m map[string]any) {
			m["aud"], m["azp"] = []string{"account", "vigilo"}, "vigilo"
		}},
		"no access token hash":                          {Claims: drop("at_hash")},
		"verified as text":                              {Claims: set("email_verified", "true")},
		"client authentication not announced, so basic": {Discovery: drop("token_endpoint_auth_methods_supported")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newBench(t, flaws, nil).signIn(t)
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != "subject-1" || got.Email != "ada@example.org" || !got.EmailVerified || got.Name != "Ada Lovelace" {
				t.Errorf("identity = %+v", got)
			}
		})
	}
}

func TestCallbackIsJudgedBeforeTheCodeIsUsed(t *testing.T) {
	t.Parallel()
	announced := set("authorization_response_iss_parameter_supported", true)
	tests := []struct {
		name  string
		flaws oidctest.Flaws
		code  string
	}{
		{"state of another browser", oidctest.Flaws{Callback: func(q url.Values) { q.Set("state", "another") }}, oidcrp.CodeStateMismatch},
		{"no state", oidctest.Flaws{Callback: func(q url.Values) { q.Del("state") }}, oidcrp.CodeStateMismatch},
		{"state twice", oidctest.Flaws{Callback: func(q url.Values) { q.Add("state", "another") }}, oidcrp.CodeStateMismatch},
		{"issuer parameter of another provider", oidctest.Flaws{Callback: func(q url.Values) { q.Set("iss", "https://evil.example") }}, oidcrp.CodeIssuerMismatch},
		{"empty issuer parameter", oidctest.Flaws{Callback: func(q url.Values) { q.Set("iss", "") }}, oidcrp.CodeIssuerMismatch},
		{"issuer parameter announced but missing", oidctest.Flaws{Discovery: announced}, oidcrp.CodeIssuerMismatch},
		{"error of another provider", oidctest.Flaws{Callback: func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("iss", "https://evil.example")
		}}, oidcrp.CodeIssuerMismatch},
		{"error", oidctest.Flaws{Callback: func(q url.Values) { q.Set("error", "access_denied") }}, oidcrp.CodeAccessDenied},
		{"login required", oidctest.Flaws{Callback: func(q url.Values) { q.Set("error", "login_required") }}, oidcrp.CodeLoginRequired},
		{"unknown error", oidctest.Flaws{Callback: func(q url.Values) { q.Set("error", "state_mismatch\nx") }}, oidcrp.CodeProviderError},
		{"neither code nor error", oidctest.Flaws{Callback: func(q url.Values) { q.Del("code") }}, oidcrp.CodeProviderError},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tc.flaws, nil)
			_, err := b.signIn(t)
			wantDenied(t, err, tc.code)
			if n := b.Hits("/token"); n != 0 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
}

func TestEmptyFlowMatchesNoState(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	_, err := b.rp.Finish(t.Context(), oidcrp.Flow{CreatedAt: b.clock.Now()}, url.Values{"state": {""}, "code": {"x"}})
	wantDenied(t, err, oidcrp.CodeStateMismatch)
}

func TestIssuerParameterOfTheProviderIsAccepted(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{Discovery: set("authorization_response_iss_parameter_supported", true)}, nil)
	flow, query := b.begin(t)
	query.Set("iss", b.Issuer())
	if _, err := b.rp.Finish(t.Context(), flow, query); err != nil {
		t.Fatal(err)
	}
}

func TestFlowExpiresAfterTenMinutes(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	flow, query := b.begin(t)
	b.clock.Advance(oidcrp.FlowLifetime)
	if _, err := b.rp.Finish(t.Context(), flow, query); err != nil {
		t.Fatalf("at ten minutes: %v", err)
	}
	flow, query = b.begin(t)
	b.clock.Advance(oidcrp.FlowLifetime + time.Second)
	_, err := b.rp.Finish(t.Context(), flow, query)
	wantDenied(t, err, oidcrp.CodeFlowExpired)
}

func TestFreshSignInRefusesAnOldAuthentication(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		claims  func(map[string]any)
		refused bool
	}{
		{"a minute before", set("auth_time", inSeconds(-60)), false},
		{"longer ago", set("auth_time", inSeconds(-61)), true},
		{"the provider does not say", drop("auth_time"), false},
	}
	for _, tc := range tests {
		b := newBench(t, oidctest.Flaws{Claims: tc.claims}, nil)
		if _, err := b.signIn(t); err != nil {
			t.Errorf("%s, an ordinary sign-in: %v", tc.name, err)
		}
		authURL, flow, err := b.rp.StartFresh(t.Context(), "/")
		if err != nil || !strings.Contains(authURL, "max_age=0") {
			t.Fatalf("%s: %s, %v", tc.name, authURL, err)
		}
		query, err := b.Authorize(authURL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.rp.Finish(t.Context(), flow, query)
		switch {
		case tc.refused:
			wantDenied(t, err, oidcrp.CodeLoginRequired)
		case err != nil:
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestKeyRotatedDuringASignInIsFetchedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	if _, err := b.signIn(t); err != nil {
		t.Fatal(err)
	}
	flow, query := b.begin(t)
	if err := b.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.rp.Finish(t.Context(), flow, query); err != nil {
		t.Fatal(err)
	}
	if n := b.Hits("/keys"); n != 2 {
		t.Errorf("keys were fetched %d times, want 2", n)
	}
}

func TestUnknownKeysDoNotMakeUsHammerTheProvider(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{UnknownKey: true}, nil)
	for range 20 {
		_, err := b.signIn(t)
		wantDenied(t, err, oidcrp.CodeTokenInvalid)
	}
	if n := b.Hits("/keys"); n > 5 {
		t.Errorf("keys were fetched %d times, want at most 5", n)
	}
	b.SetFlaws(oidctest.Flaws{})
	if err := b.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(10 * time.Second)
	if _, err := b.signIn(t); err != nil {
		t.Errorf("ten seconds later: %v", err)
	}
}

func TestWithdrawnKeyIsRefusedAfterAnHour(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	claims := func() map[string]any { return logoutClaims(b) }
	if _, err := b.rp.VerifyLogoutToken(t.Context(), b.sign(t, claims(), "logout+jwt")); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Hour)
	stolen := b.sign(t, claims(), "logout+jwt")
	if err := b.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	_, err := b.rp.VerifyLogoutToken(t.Context(), stolen)
	wantDenied(t, err, oidcrp.CodeLogoutTokenInvalid)
}

func TestFailingEndpointIsUnavailable(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/token", "/keys", "/userinfo"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			_, err := newBench(t, oidctest.Flaws{Status: map[string]int{path: 503}, Claims: drop("email")}, nil).signIn(t)
			wantUnavailable(t, err)
		})
	}
	for _, code := range []string{"server_error", "temporarily_unavailable"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			_, err := newBench(t, oidctest.Flaws{Callback: func(q url.Values) { q.Set("error", code) }}, nil).signIn(t)
			wantUnavailable(t, err)
		})
	}
}

func TestDeadlineIsHonouredByEveryEndpoint(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/.well-known/openid-configuration", "/token", "/keys", "/userinfo"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, oidctest.Flaws{}, nil)
			flow, query := oidcrp.Flow{State: "s", CreatedAt: b.clock.Now()}, url.Values{"state": {"s"}, "code": {"c"}}
			if path != "/.well-known/openid-configuration" {
				flow, query = b.begin(t)
			}
			b.SetFlaws(oidctest.Flaws{Hang: map[string]bool{path: true}, Claims: drop("email")})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := b.rp.Finish(ctx, flow, query)
			wantUnavailable(t, err)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want the deadline in its chain", err)
			}
		})
	}
}

func TestWrongClientSecretIsTheAdministratorsMatter(t *testing.T) {
	t.Parallel()
	_, err := newBench(t, oidctest.Flaws{}, func(c *oidcrp.Config) { c.ClientSecret = "wrong" }).signIn(t)
	if f := fault.Find(err); f == nil || f.Kind != fault.Unavailable || f.Code != oidcrp.CodeClientRejected {
		t.Errorf("error = %v", err)
	}
}

func TestDiscoveryIsLazyHeldOffAfterAFailureAndThenRecovers(t *testing.T) {
	t.Parallel()
	const path = "/.well-known/openid-configuration"
	b := newBench(t, oidctest.Flaws{Status: map[string]int{path: 503}}, nil)
	if n := b.Hits(path); n != 0 {
		t.Fatalf("New fetched %d times", n)
	}
	_, _, err := b.rp.Start(t.Context(), "/")
	wantUnavailable(t, err)
	tries := b.Hits(path)
	if tries < 2 {
		t.Errorf("one call tried %d times, want a retry", tries)
	}
	_, _, err = b.rp.Start(t.Context(), "/")
	wantUnavailable(t, err)
	if n := b.Hits(path); n != tries {
		t.Errorf("a second call at once made %d fetches", n-tries)
	}
	b.SetFlaws(oidctest.Flaws{})
	b.clock.Advance(time.Second)
	if _, err := b.signIn(t); err != nil {
		t.Errorf("once the provider is back: %v", err)
	}
}

func TestKnownMetadataOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	if _, err := b.signIn(t); err != nil {
		t.Fatal(err)
	}
	b.SetFlaws(oidctest.Flaws{Status: map[string]int{"/.well-known/openid-configuration": 503}})
	b.clock.Advance(2 * time.Hour)
	if _, err := b.signIn(t); err != nil {
		t.Error(err)
	}
}

func TestUnfitMetadataIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"another issuer":           set("issuer", "https://evil.example"),
		"no token endpoint":        drop("token_endpoint"),
		"endpoint of no web":       set("end_session_endpoint", "javascript:alert(1)"),
		"endpoint without a host":  set("authorization_endpoint", "/authorize"),
		"larger than one mebibyte": set("padding", strings.Repeat("x", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := newBench(t, oidctest.Flaws{Discovery: change}, nil).rp.Start(t.Context(), "/")
			wantUnavailable(t, err)
		})
	}
}

func TestAProviderOfAnotherNameIsToldFromOneThatIsAway(t *testing.T) {
	t.Parallel()
	_, _, err := newBench(t, oidctest.Flaws{Discovery: set("issuer", "https://evil.example")}, nil).rp.Start(t.Context(), "/")
	if e := fault.Find(err); e == nil || e.Kind != fault.Unavailable || e.Code != oidcrp.CodeIssuerMismatch {
		t.Errorf("got %v, want %s", err, oidcrp.CodeIssuerMismatch)
	}
}

func TestKeycloakShapedTokensAreUnderstood(t *testing.T) {
	t.Parallel()
	flaws := oidctest.Flaws{
		Alg: "RS256",
		Claims: func(m map[string]any) {
			delete(m, "at_hash")
			m["azp"], m["typ"], m["sid"], m["session_state"] = "vigilo", "ID", "ses-1", "ses-1"
			m["acr"], m["auth_time"] = "1", inSeconds(-30)
			m["realm_access"] = map[string]any{"roles": []string{"offline_access", "vigilo-admin"}}
			m["resource_access"] = map[string]any{"vigilo": map[string]any{"roles": []string{"editor"}}}
			m["groups"] = []string{"/platform/on-call", "/platform/on-call", "/"}
		},
		// The access token is for the account console; it is opaque to us.
		TokenAnswer: set("access_token", "eyJhbGciOiJub25lIn0.eyJhdWQiOiJhY2NvdW50In0."),
	}
	for path, want := range map[string][]string{
		"realm_access.roles":           {"offline_access", "vigilo-admin"},
		"resource_access.vigilo.roles": {"editor"},
		"groups":                       {"platform/on-call"},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			got, err := newBench(t, flaws, func(c *oidcrp.Config) { c.GroupsClaim = path }).signIn(t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
			if got.SessionID != "ses-1" || got.ACR != "1" || got.AuthTime.Unix() != inSeconds(-30) {
				t.Errorf("identity = %+v", got)
			}
		})
	}
}

func TestGroupsClaimIsReadByPath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path string
		value      func(map[string]any)
		want       []string
		present    bool
	}{
		{"absent", "groups", drop("groups"), nil, false},
		{"null", "groups", set("groups", nil), nil, false},
		{"empty", "groups", set("groups", []string{}), []string{}, true},
		{"one text", "groups", set("groups", "/ops"), []string{"ops"}, true},
		{"name with dots", "https://example.org/claims.groups", set("https://example.org/claims", map[string]any{"groups": []string{"ops"}}), []string{"ops"}, true},
		{"whole name with dots", "https://example.org/groups", set("https://example.org/groups", []string{"ops"}), []string{"ops"}, true},
		{"values of other kinds", "groups", set("groups", []any{"ops", 7, nil}), []string{"ops"}, true},
		{"an object", "groups", set("groups", map[string]any{"ops": true}), nil, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := newBench(t, oidctest.Flaws{Claims: tc.value}, func(c *oidcrp.Config) { c.GroupsClaim = tc.path }).signIn(t)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.Groups); diff != "" || got.GroupsPresent != tc.present {
				t.Errorf("present = %v, groups (-want +got):\n%s", got.GroupsPresent, diff)
			}
		})
	}
}

func TestUserinfoFillsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	userinfo := func(m map[string]any) {
		m["email"], m["email_verified"], m["name"], m["groups"] = "other@example.org", true, "Somebody", []string{"ops"}
	}
	tests := []struct {
		name     string
		claims   func(map[string]any)
		email    string
		verified bool
		display  string
	}{
		{"no e-mail", func(m map[string]any) { delete(m, "email"); delete(m, "email_verified") }, "other@example.org", true, "Ada Lovelace"},
		{"verified missing, and userinfo has another address", drop("email_verified"), "ada@example.org", false, "Ada Lovelace"},
		{"no name", drop("name"), "ada@example.org", true, "Somebody"},
		{"only groups missing", func(map[string]any) {}, "ada@example.org", true, "Ada Lovelace"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, oidctest.Flaws{Claims: tc.claims, Userinfo: userinfo}, func(c *oidcrp.Config) { c.GroupsClaim = "groups" })
			got, err := b.signIn(t)
			if err != nil {
				t.Fatal(err)
			}
			if got.Email != tc.email || got.EmailVerified != tc.verified || got.Name != tc.display || !cmp.Equal(got.Groups, []string{"ops"}) {
				t.Errorf("identity = %+v", got)
			}
		})
	}
}

func TestCompleteIDTokenNeedsNoUserinfo(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{Status: map[string]int{"/userinfo": 503}}, nil)
	if _, err := b.signIn(t); err != nil {
		t.Fatal(err)
	}
	if n := b.Hits("/userinfo"); n != 0 {
		t.Errorf("userinfo was fetched %d times", n)
	}
}

func TestReturnToStaysOnOurOrigin(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	for in, want := range map[string]string{
		"":                       "/",
		"/ws/a?tab=1#x":          "/ws/a?tab=1#x",
		"//evil.example":         "/",
		"https://evil.example/":  "/",
		`/\evil.example`:         "/",
		"/\t/evil.example":       "/",
		"javascript:alert(1)":    "/",
		"relative":               "/",
		"/ws/a?next=//evil.test": "/ws/a?next=//evil.test",
	} {
		if _, flow, err := b.rp.Start(t.Context(), in); err != nil || flow.ReturnTo != want {
			t.Errorf("Start(%q) returns to %q, want %q (%v)", in, flow.ReturnTo, want, err)
		}
	}
}

func TestEverySignInHasItsOwnSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	authURL, one, err := b.rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	_, two, err := b.rp.Start(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	if one.State == two.State || one.Nonce == two.Nonce || one.Verifier == two.Verifier || len(one.State) < 43 || len(one.Nonce) < 43 {
		t.Errorf("flows share secrets: %+v %+v", one, two)
	}
	if strings.Contains(authURL, one.Verifier) {
		t.Error("the PKCE verifier is in the browser's address")
	}
}

func TestSecretIsNotCarriedAlongARedirect(t *testing.T) {
	t.Parallel()
	_, err := newBench(t, oidctest.Flaws{Status: map[string]int{"/token": 307}}, nil).signIn(t)
	if err == nil {
		t.Error("a redirecting token endpoint signed somebody in")
	}
}
