// Package webhooksig signs webhooks by the Standard Webhooks scheme, version 1: an
// HMAC-SHA256 over id, time and body. It only signs; receivers have libraries to
// verify, one of which checks this package in its tests.
package webhooksig

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Names of the headers.
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// RotationPeriod is how long the previous secret keeps signing beside the new one.
const RotationPeriod = 24 * time.Hour

const (
	secretPrefix   = "whsec_"
	minSecretBytes = 24
	maxSecretBytes = 64
	newSecretBytes = 32
)

// NewSecret returns a secret of 256 random bits in the form whsec_<base64>. It is
// shown once and stored sealed.
func NewSecret() string {
	raw := make([]byte, newSecretBytes)
	rand.Read(raw) // never fails since Go 1.24
	return secretPrefix + base64.StdEncoding.EncodeToString(raw)
}

// Sign returns the three headers for a delivery. The id is the same for every attempt
// to deliver an event, so that receivers can drop repetitions; at is the time of this
// attempt, so that they can refuse old ones. One secret is the rule, two are for
// RotationPeriod after a change, the new one first.
func Sign(id string, at time.Time, body []byte, secrets ...string) (http.Header, error) {
	// A dot would let two different deliveries have the same signed text.
	if id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > 0x7e || r == '.' }) {
		return nil, fmt.Errorf("webhook id %q is empty or has dots, blanks or letters beyond ASCII", id)
	}
	if len(secrets) < 1 || len(secrets) > 2 {
		return nil, fmt.Errorf("webhook is signed with one or two secrets, not %d", len(secrets))
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		key, err := decodeSecret(secret)
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return http.Header{
		HeaderID: {id}, HeaderTimestamp: {timestamp}, HeaderSignature: {strings.Join(signatures, " ")},
	}, nil
}

// decodeSecret returns the key. Errors never quote the secret.
func decodeSecret(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return nil, errors.New("webhook secret does not begin with " + secretPrefix)
	}
	// The decoder would skip line ends; a secret has one spelling.
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("webhook secret is not base64")
	}
	if len(key) < minSecretBytes || len(key) > maxSecretBytes {
		return nil, fmt.Errorf("webhook secret has %d bytes, not %d to %d", len(key), minSecretBytes, maxSecretBytes)
	}
	return key, nil
}
