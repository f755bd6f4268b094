package oidcrp_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/identity/oidctest"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func logoutClaims(b bench) map[string]any {
	now := b.clock.Now()
	return map[string]any{
		"iss": b.Issuer(), "aud": "vigilo", "sub": "subject-1", "sid": "ses-1", "jti": "j-1",
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
}

func (b bench) sign(t *testing.T, claims map[string]any, typ string) string {
	t.Helper()
	raw, err := b.Sign(claims, typ)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestFlawedLogoutTokenIsRefused(t *testing.T) {
	t.Parallel()
	events := func(v any) func(map[string]any) { return set("events", v) }
	tests := []struct {
		name   string
		typ    string
		flaws  oidctest.Flaws
		change func(map[string]any)
	}{
		{"nonce present", "logout+jwt", oidctest.Flaws{}, set("nonce", "n")},
		{"nonce present and null", "logout+jwt", oidctest.Flaws{}, set("nonce", nil)},
		{"no events", "logout+jwt", oidctest.Flaws{}, drop("events")},
		{"another event", "logout+jwt", oidctest.Flaws{}, events(map[string]any{"other": map[string]any{}})},
		{"event is not an object", "logout+jwt", oidctest.Flaws{}, events(map[string]any{"http://schemas.openid.net/event/backchannel-logout": "yes"})},
		{"neither sub nor sid", "logout+jwt", oidctest.Flaws{}, func(m map[string]any) { delete(m, "sub"); delete(m, "sid") }},
		{"no jti", "logout+jwt", oidctest.Flaws{}, drop("jti")},
		{"wrong audience", "logout+jwt", oidctest.Flaws{}, set("aud", "other")},
		{"wrong issuer", "logout+jwt", oidctest.Flaws{}, set("iss", "https://evil.example")},
		{"expired", "logout+jwt", oidctest.Flaws{}, set("exp", inSeconds(-60))},
		{"no expiry", "logout+jwt", oidctest.Flaws{}, drop("exp")},
		{"issued in the future", "logout+jwt", oidctest.Flaws{}, set("iat", inSeconds(61))},
		{"no issue time", "logout+jwt", oidctest.Flaws{}, drop("iat")},
		{"type of an access token", "at+jwt", oidctest.Flaws{}, nil},
		{"algorithm none", "logout+jwt", oidctest.Flaws{Alg: "none"}, nil},
		{"algorithm HS256", "logout+jwt", oidctest.Flaws{Alg: "HS256"}, nil},
		{"unknown key", "logout+jwt", oidctest.Flaws{UnknownKey: true}, nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tc.flaws, nil)
			claims := logoutClaims(b)
			if tc.change != nil {
				tc.change(claims)
			}
			_, err := b.rp.VerifyLogoutToken(t.Context(), b.sign(t, claims, tc.typ))
			wantDenied(t, err, oidcrp.CodeLogoutTokenInvalid)
		})
	}
}

func TestLogoutTokenWithinTheRulesIsAccepted(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{}, nil)
	for _, typ := range []string{"logout+jwt", "application/logout+jwt", "JWT"} {
		got, err := b.rp.VerifyLogoutToken(t.Context(), b.sign(t, logoutClaims(b), typ))
		want := oidcrp.Logout{
			Issuer: b.Issuer(), Subject: "subject-1", SessionID: "ses-1", JTI: "j-1",
			IssuedAt: b.clock.Now(), ExpiresAt: b.clock.Now().Add(2 * time.Minute),
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", typ, err, diff)
		}
	}
	if _, err := b.rp.VerifyLogoutToken(t.Context(), "garbage"); !fault.Is(err, fault.Denied) {
		t.Errorf("garbage: %v", err)
	}
}

func TestProviderWithoutLogoutEndpointHasNoLogoutURL(t *testing.T) {
	t.Parallel()
	b := newBench(t, oidctest.Flaws{Discovery: drop("end_session_endpoint")}, nil)
	if address, ok := b.rp.LogoutURL(t.Context(), "", ""); ok {
		t.Errorf("LogoutURL = %s", address)
	}
}
