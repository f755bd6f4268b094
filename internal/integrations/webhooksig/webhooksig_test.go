package webhooksig_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/vigilo/vigilo/internal/integrations/webhooksig"
)

// verify asks the independent library, which is what receivers use.
func verify(t *testing.T, secret string, body []byte, id string, at time.Time, secrets ...string) error {
	t.Helper()
	headers, err := webhooksig.Sign(id, at, body, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return receiver.Verify(body, headers)
}

func TestIndependentLibraryVerifiesTheSignature(t *testing.T) {
	t.Parallel()
	secret := webhooksig.NewSecret()
	if err := verify(t, secret, []byte(`{"name":"change.approved"}`), "0198c1", time.Now(), secret); err != nil {
		t.Error(err)
	}
}

func TestBothSecretsVerifyDuringRotation(t *testing.T) {
	t.Parallel()
	previous, current := webhooksig.NewSecret(), webhooksig.NewSecret()
	for name, secret := range map[string]string{"previous": previous, "current": current} {
		if err := verify(t, secret, []byte("{}"), "0198c1", time.Now(), current, previous); err != nil {
			t.Errorf("%s secret: %v", name, err)
		}
	}
	if err := verify(t, webhooksig.NewSecret(), []byte("{}"), "0198c1", time.Now(), current, previous); err == nil {
		t.Error("a third secret verifies")
	}
}

func TestChangedDeliveryDoesNotVerify(t *testing.T) {
	t.Parallel()
	secret, now := webhooksig.NewSecret(), time.Now()
	receiver, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string][]string){
		"another id":   func(h map[string][]string) { h[webhooksig.HeaderID] = []string{"0198c2"} },
		"another time": func(h map[string][]string) { h[webhooksig.HeaderTimestamp] = []string{"1"} },
	} {
		headers, err := webhooksig.Sign("0198c1", now, []byte("{}"), secret)
		if err != nil {
			t.Fatal(err)
		}
		change(headers)
		if receiver.VerifyIgnoringTimestamp([]byte("{}"), headers) == nil {
			t.Errorf("%s verifies", name)
		}
	}
}

const knownSignature = "v1,khlcJWxcWYck3sM/sRcuSG+7aCx5iyksIBZASCu7/gk="

// The expected value was computed with the openssl command line.
func TestSignatureHasTheKnownValue(t *testing.T) {
	t.Parallel()
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef01234567"))
	headers, err := webhooksig.Sign("msg_1", time.Unix(1700000000, 999), []byte("body"), secret)
	if err != nil {
		t.Fatal(err)
	}
	if got := headers.Get("webhook-signature"); got != knownSignature {
		t.Errorf("signature = %s", got)
	}
	if headers.Get("webhook-timestamp") != "1700000000" || headers.Get("webhook-id") != "msg_1" {
		t.Errorf("headers = %v", headers)
	}
}

func TestNewSecretsAreLongAndDifferent(t *testing.T) {
	t.Parallel()
	one, two := webhooksig.NewSecret(), webhooksig.NewSecret()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "whsec_"))
	if err != nil || len(raw) != 32 || one == two {
		t.Errorf("secrets %q and %q, %v", one, two, err)
	}
}

func TestUnfitInputIsRefusedWithoutQuotingTheSecret(t *testing.T) {
	t.Parallel()
	encode := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	good := encode(24)
	for name, tc := range map[string]struct {
		id      string
		secrets []string
	}{
		"no secret":                {"a", nil},
		"three secrets":            {"a", []string{good, good, good}},
		"secret too short":         {"a", []string{encode(23)}},
		"secret too long":          {"a", []string{encode(65)}},
		"secret without prefix":    {"a", []string{strings.TrimPrefix(good, "whsec_")}},
		"secret is not base64":     {"a", []string{"whsec_not~base64~but~long~enough~~~~~~~"}},
		"secret with a line break": {"a", []string{good + "\n"}},
		"second secret unfit":      {"a", []string{good, "whsec_"}},
		"no id":                    {"", []string{good}},
		"id with a dot":            {"a.1", []string{good}},
		"id with a line break":     {"a\r\nX: y", []string{good}},
	} {
		headers, err := webhooksig.Sign(tc.id, time.Unix(0, 0), nil, tc.secrets...)
		if err == nil {
			t.Errorf("%s: headers = %v", name, headers)
			continue
		}
		for _, secret := range tc.secrets {
			if len(secret) > len("whsec_") && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: error quotes the secret", name)
			}
		}
	}
	if _, err := webhooksig.Sign("a", time.Unix(0, 0), nil, encode(24), encode(64)); err != nil {
		t.Errorf("shortest and longest secret: %v", err)
	}
}

func FuzzEverySignedDeliveryVerifies(f *testing.F) {
	f.Add("0198c1", int64(1700000000), []byte(`{"a":1}`), []byte("0123456789abcdef01234567"))
	f.Add("a", int64(0), []byte{0, '.', 0xff}, make([]byte, 64))
	f.Fuzz(func(t *testing.T, id string, seconds int64, body, key []byte) {
		secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
		at := time.Unix(seconds, 0)
		headers, err := webhooksig.Sign(id, at, body, secret)
		if err != nil {
			return
		}
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatalf("receiver refuses a secret that we sign with: %v", err)
		}
		if err := receiver.VerifyIgnoringTimestamp(body, headers); err != nil {
			t.Errorf("id %q at %d: %v", id, seconds, err)
		}
		if receiver.VerifyIgnoringTimestamp(append(body, 'x'), headers) == nil {
			t.Error("a longer body verifies")
		}
	})
}
