// Package secret seals what Vigilo must store and read back, such as the password of an
// integration, so that a stolen database dump gives nothing usable. It also makes the
// tokens that are stored only as a hash, and holds text that must not reach a log.
package secret

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
	"golang.org/x/crypto/chacha20poly1305"
)

// A sealed secret, version 1:
//
//	1 byte    version
//	1 byte    length of the key id
//	n bytes   key id, ASCII
//	24 bytes  nonce, random
//	rest      XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) of the plain bytes, 16 bytes longer
//
// The additional data is the header (version, length, key id), the 16 bytes of the
// workspace id and the purpose, in this order. Only the purpose varies in length
// without saying so, and it comes last: two different triples never read the same.
// The nonce of 24 bytes may be random for any number of secrets under one key.
const (
	formatVersion = 1
	maxKeyID      = 32
	keyBytes      = chacha20poly1305.KeySize
)

var (
	// ErrUnknownKey means that the keyring has no key with the id in the header: it was
	// removed before everything was sealed again, or the database came from elsewhere.
	ErrUnknownKey = errors.New("sealed with a key that is not in the keyring")
	// ErrNotAuthentic means that the bytes were changed, or sealed for another workspace
	// or purpose.
	ErrNotAuthentic = errors.New("sealed secret is not authentic")
	// ErrFormat means that the bytes are not a sealed secret of a known version.
	ErrFormat = errors.New("not a sealed secret")
)

// Keyring holds the keys of an installation. The current key seals; every key opens. It
// never changes after it was read and is safe for concurrent use.
type Keyring struct {
	current string
	keys    map[string]cipher.AEAD
	ids     []string
}

// CurrentKeyID returns the id of the key that seals.
func (k *Keyring) CurrentKeyID() string { return k.current }

// Has reports whether the ring holds the key with this id.
func (k *Keyring) Has(id string) bool {
	_, ok := k.keys[id]
	return ok
}

// Header returns the bytes that every secret under the current key begins with, and no
// other one does.
func (k *Keyring) Header() []byte { return header(k.current) }

func header(id string) []byte { return append([]byte{formatVersion, byte(len(id))}, id...) }

// KeyID returns the id of the key that sealed a secret, of which it needs the header only.
// Its errors match ErrFormat.
func KeyID(sealed []byte) (string, error) {
	_, id, err := parseHeader(sealed)
	return id, err
}

// Format prints no key, whatever the verb.
func (k *Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Seal encrypts plain for one workspace and one purpose under the current key. The
// purpose is a constant of the caller such as "webhooks.signing_key"; it keeps one kind
// of secret from being used as another. A secret of the whole installation has the nil
// workspace.
func (k *Keyring) Seal(workspace uuid.UUID, purpose string, plain []byte) ([]byte, error) {
	if purpose == "" {
		return nil, errors.New("seal secret: no purpose given")
	}
	aead := k.keys[k.current]
	header := k.Header()
	out := make([]byte, len(header)+aead.NonceSize(), len(header)+aead.NonceSize()+len(plain)+aead.Overhead())
	copy(out, header)
	nonce := out[len(header):]
	rand.Read(nonce)
	return aead.Seal(out, nonce, plain, additionalData(header, workspace, purpose)), nil
}

// Open decrypts what Seal returned for the same workspace and purpose. Its errors match
// ErrFormat, ErrUnknownKey or ErrNotAuthentic.
func (k *Keyring) Open(workspace uuid.UUID, purpose string, sealed []byte) ([]byte, error) {
	header, id, err := parseHeader(sealed)
	if err != nil {
		return nil, err
	}
	aead, ok := k.keys[id]
	if !ok {
		return nil, fmt.Errorf("open secret of key %q: %w", id, ErrUnknownKey)
	}
	rest := sealed[len(header):]
	if len(rest) < aead.NonceSize()+aead.Overhead() {
		return nil, fmt.Errorf("open secret: too short: %w", ErrFormat)
	}
	nonce, box := rest[:aead.NonceSize()], rest[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, box, additionalData(header, workspace, purpose))
	if err != nil {
		return nil, fmt.Errorf("open secret for %q: %w", purpose, ErrNotAuthentic)
	}
	return plain, nil
}

// Reseal returns the same secret under the current key, for the rotation command. What
// is under the current key already is returned as it is, after it was opened once: a
// rotation finds damaged secrets, too.
func (k *Keyring) Reseal(workspace uuid.UUID, purpose string, sealed []byte) ([]byte, error) {
	plain, err := k.Open(workspace, purpose, sealed)
	if err != nil {
		return nil, err
	}
	if !k.NeedsRotation(sealed) {
		return sealed, nil
	}
	return k.Seal(workspace, purpose, plain)
}

// NeedsRotation reports whether the secret is sealed by something else than the current
// key. Bytes that are no sealed secret need attention and count as such.
func (k *Keyring) NeedsRotation(sealed []byte) bool {
	_, id, err := parseHeader(sealed)
	return err != nil || id != k.current
}

func parseHeader(sealed []byte) (header []byte, keyID string, err error) {
	if len(sealed) < 2 {
		return nil, "", fmt.Errorf("read header: too short: %w", ErrFormat)
	}
	if sealed[0] != formatVersion {
		return nil, "", fmt.Errorf("read header: version %d: %w", sealed[0], ErrFormat)
	}
	end := 2 + int(sealed[1])
	if len(sealed) < end || !validKeyID(string(sealed[2:end])) {
		return nil, "", fmt.Errorf("read header: bad key id: %w", ErrFormat)
	}
	return sealed[:end], string(sealed[2:end]), nil
}

func additionalData(header []byte, workspace uuid.UUID, purpose string) []byte {
	ad := make([]byte, 0, len(header)+len(workspace)+len(purpose))
	ad = append(ad, header...)
	ad = append(ad, workspace[:]...)
	return append(ad, purpose...)
}
