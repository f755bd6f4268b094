package secret

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret in memory, such as a password from the configuration. It prints as
// "[redacted]" wherever it goes; only Reveal gives the text. Do not use it as the key of
// a map: encoding/json writes keys of a string type as they are.
type Text string

// Reveal returns the text itself, for the call that needs it.
func (t Text) Reveal() string { return string(t) }

// Format prints no secret, whatever the verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (t Text) String() string { return redacted }

// LogValue keeps the secret out of slog.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON and every other text encoding.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Value refuses to store the secret: what the database holds is sealed or hashed.
func (t Text) Value() (driver.Value, error) {
	return nil, errors.New("a secret text is not stored: seal or hash it")
}
