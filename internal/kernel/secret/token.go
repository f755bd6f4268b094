package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"strings"
)

const (
	tokenBytes = 32
	// tokenDigits is how many base-62 digits hold 256 bits.
	tokenDigits = 43
)

// NewToken returns a random token of 256 bits and the hash to store instead of it. The
// token is the prefix, such as "vgl_", and 43 letters or digits, so that a double click
// selects all of it.
func NewToken(prefix string) (token string, hash []byte) {
	raw := make([]byte, tokenBytes)
	rand.Read(raw)
	digits := new(big.Int).SetBytes(raw).Text(62)
	token = prefix + strings.Repeat("0", tokenDigits-len(digits)) + digits
	return token, HashToken(token)
}

// HashToken returns the SHA-256 of a token, 32 bytes. A slow hash would add nothing: the
// token has 256 random bits. Look the hash up by equality; no comparison in constant
// time is needed, because whoever guesses cannot steer the hash.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
