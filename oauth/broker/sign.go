package broker

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
)

// b64 writes bytes as URLs and tokens have them.
var b64 = base64.RawURLEncoding.Strict()

// A secret makes texts that only the gateway can make. Each purpose has a key of
// its own, so that a text for one means nothing for another.
type secret []byte

// key is that of a purpose.
func (s secret) key(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s, nil, "mcpagg broker: "+purpose, sha256.Size)
	if err != nil {
		panic(err) // the length is one that there is
	}
	return key
}

// mac is what stands for some parts and a purpose, in 43 characters.
func (s secret) mac(purpose string, parts ...string) string {
	h := hmac.New(sha256.New, s.key(purpose))
	for _, part := range parts {
		h.Write([]byte{byte(len(part) >> 24), byte(len(part) >> 16), byte(len(part) >> 8), byte(len(part))})
		h.Write([]byte(part))
	}
	return b64.EncodeToString(h.Sum(nil))
}

// matches compares a mac in constant time.
func (s secret) matches(mac, purpose string, parts ...string) bool {
	return hmac.Equal([]byte(mac), []byte(s.mac(purpose, parts...)))
}

var errForged = errors.New("it was not made here")

// sign writes a value so that open can tell that it was written here. Everybody
// can read it.
func (s secret) sign(purpose string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	body := b64.EncodeToString(text)
	return body + "." + s.mac(purpose, body), nil
}

// open reads what sign wrote for the same purpose.
func (s secret) open(purpose, signed string, v any) error {
	body, mac, ok := strings.Cut(signed, ".")
	if !ok || !s.matches(mac, purpose, body) {
		return errForged
	}
	text, err := b64.DecodeString(body)
	if err != nil {
		return errForged
	}
	return json.Unmarshal(text, v)
}

// random is a text that nobody can guess: 43 characters of 256 bits.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // which never fails
	return b64.EncodeToString(b)
}

// randomID is a shorter one, of 22 characters and 128 bits, for what is no secret.
// It does not begin with "-", so that it can stand on a command line.
func randomID() string {
	b := make([]byte, 16)
	for {
		_, _ = rand.Read(b) // which never fails
		if id := b64.EncodeToString(b); id[0] != '-' {
			return id
		}
	}
}

// digest is what is kept of a secret text, and where: whoever reads it has
// nothing to show.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return b64.EncodeToString(sum[:])
}
