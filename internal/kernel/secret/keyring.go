package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// ParseKeyring reads keys of the form `id:base64`, one a line or separated by commas.
// The first is the current one. The id has 1 to 32 letters, digits, dots, hyphens or
// underscores; the base64 text is 32 bytes (`openssl rand -base64 32`). Empty lines and
// lines that start with # are skipped. Errors name the entry, never its text.
func ParseKeyring(text string) (*Keyring, error) {
	k := &Keyring{keys: map[string]cipher.AEAD{}}
	entry := 0
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimSpace(part)
			if part == "" {
				continue
			}
			entry++
			if err := k.add(part); err != nil {
				return nil, fmt.Errorf("key %d: %w", entry, err)
			}
		}
	}
	if len(k.ids) == 0 {
		return nil, errors.New("no key found: want lines of the form id:base64")
	}
	k.current = k.ids[0]
	return k, nil
}

func (k *Keyring) add(text string) error {
	id, encoded, ok := strings.Cut(text, ":")
	if !ok {
		return errors.New("want the form id:base64")
	}
	id = strings.TrimSpace(id)
	if !validKeyID(id) {
		return fmt.Errorf("its id must have 1 to %d letters, digits, dots, hyphens or underscores", maxKeyID)
	}
	if _, taken := k.keys[id]; taken {
		return fmt.Errorf("the id %s is used twice", id)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		// The error of the decoder is left out: it can quote the key.
		return fmt.Errorf("the part after %s: is not base64", id)
	}
	if len(raw) != keyBytes {
		return fmt.Errorf("the key %s has %d bytes, want %d", id, len(raw), keyBytes)
	}
	aead, err := chacha20poly1305.NewX(raw)
	if err != nil {
		return fmt.Errorf("use key %s: %w", id, err)
	}
	k.keys[id] = aead
	k.ids = append(k.ids, id)
	return nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._-", rune(c)) {
			return false
		}
	}
	return true
}

// LoadKeyring reads the keys from a file; see ParseKeyring.
func LoadKeyring(path string) (*Keyring, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read keyring: %w", err)
	}
	k, err := ParseKeyring(string(raw))
	if err != nil {
		return nil, fmt.Errorf("read keyring %s: %w", path, err)
	}
	return k, nil
}

// LoadOrCreateKeyring reads the keys from a file and first creates the file with one new
// key, readable by its owner only, when it does not exist. It is for development: a
// production start must not invent a key because a mount is missing. Processes that
// create at the same time end up with the same key.
func LoadOrCreateKeyring(path string) (*Keyring, error) {
	k, err := LoadKeyring(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return k, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create folder of keyring: %w", err)
	}
	// CreateTemp gives mode 0600. The link puts the whole file in place or fails if there is one.
	f, err := os.CreateTemp(filepath.Dir(path), ".keyring-")
	if err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	_, err = f.WriteString(NewKey() + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		if err = os.Link(f.Name(), path); errors.Is(err, os.ErrExist) {
			err = nil
		}
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, fmt.Errorf("create keyring: %w", err)
	}
	return LoadKeyring(path)
}

// NewKey returns a new line for a keyring: a random id and a random key.
func NewKey() string {
	id, key := make([]byte, 4), make([]byte, keyBytes)
	rand.Read(id)
	rand.Read(key)
	return "k" + hex.EncodeToString(id) + ":" + base64.StdEncoding.EncodeToString(key)
}
