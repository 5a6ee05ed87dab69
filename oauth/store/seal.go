package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	maxKey   = 100
	maxValue = 256 << 10
	maxTTL   = 100 * 365 * 24 * time.Hour

	sealVersion = 1
	keyIDSize   = 8
	keySize     = 32 // AES-256
)

// errSealed means that a value is not what was stored under its key, or was sealed
// with a key that is not there.
var errSealed = errors.New("the value does not open: it was changed, moved from another key, or sealed with a key that is gone")

// checkName reports whether a kind and a key can be names: [a-z]+ and
// [A-Za-z0-9_-]+, up to 100 bytes each. The error quotes neither.
func checkName(kind, key string) error {
	if err := checkKind(kind); err != nil {
		return err
	}
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return !inKey(r) }) {
		return errors.New("a key of the store is up to 100 of A-Z, a-z, 0-9, _ and -")
	}
	return nil
}

func checkKind(kind string) error {
	if kind == "" || len(kind) > maxKey || strings.ContainsFunc(kind, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return errors.New("a kind of the store is up to 100 of a-z")
	}
	return nil
}

func inKey(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// A value is what is sealed: the data, and until when they count. Times are in whole
// milliseconds, and zero for never.
type value struct {
	expires  time.Time
	until    time.Time // when the last value that this key ever had would expire
	revision uint64    // that callers know it by, if it was sealed anew; else 0
	data     []byte
}

// longAgo is when what never was has expired.
var longAgo = time.UnixMilli(1)

// newValue makes a value for a key of which all values before expire until a time.
func newValue(data []byte, ttl time.Duration, until time.Time) (value, error) {
	v := value{data: data}
	switch {
	case len(data) > maxValue:
		return v, fmt.Errorf("a value of %d bytes is more than the %d KiB that can be stored", len(data), maxValue>>10)
	case ttl < 0 || ttl > maxTTL:
		return v, fmt.Errorf("%s is not a time that a value can be kept", ttl)
	case ttl > 0:
		v.expires = time.Now().Add(ttl).Truncate(time.Millisecond)
	}
	v.until = v.expires
	if !v.expires.IsZero() && (until.IsZero() || until.After(v.expires)) {
		v.until = until
	}
	return v, nil
}

func (v value) expired(now time.Time) bool { return !v.expires.IsZero() && !now.Before(v.expires) }

// shortened reports whether the key had a value that would have expired later.
func (v value) shortened() bool { return !v.until.Equal(v.expires) }

// untilThen is how long it is until a time: 0 for ever.
func untilThen(then time.Time) time.Duration {
	if then.IsZero() {
		return 0
	}
	return max(time.Until(then), time.Millisecond)
}

// toMillis is 0 for never.
func toMillis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}

func fromMillis(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// A dataKey seals values. It is safe for concurrent use.
type dataKey struct {
	id     [keyIDSize]byte
	secret []byte
	aead   cipher.AEAD
	users  sync.WaitGroup // writes under way that may use it
}

func newDataKey() (*dataKey, error) {
	secret := make([]byte, keySize)
	rand.Read(secret)
	var id [keyIDSize]byte
	rand.Read(id[:])
	return restoreDataKey(id[:], secret)
}

func restoreDataKey(id, secret []byte) (*dataKey, error) {
	aead, err := newAEAD(secret)
	if err != nil {
		return nil, err
	}
	if len(id) != keyIDSize {
		return nil, fmt.Errorf("a key's id of %d bytes", len(id))
	}
	return &dataKey{id: [keyIDSize]byte(id), secret: secret, aead: aead}, nil
}

// newAEAD is AES-256-GCM with random nonces (NIST SP 800-38D, section 8.2.2),
// which is good for 2^32 values.
func newAEAD(secret []byte) (cipher.AEAD, error) {
	if len(secret) != keySize {
		return nil, fmt.Errorf("a key of %d bytes", len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// done tells that a write which may have used the key is over.
func (k *dataKey) done() { k.users.Done() }

// sealedHead is the size of what is sealed before the data: times and revision.
const sealedHead = 24

// seal returns version, key id, nonce and ciphertext.
func (k *dataKey) seal(kind, key string, v value) []byte {
	plain := make([]byte, 0, sealedHead+len(v.data))
	plain = binary.BigEndian.AppendUint64(plain, toMillis(v.expires))
	plain = binary.BigEndian.AppendUint64(plain, toMillis(v.until))
	plain = binary.BigEndian.AppendUint64(plain, v.revision)
	plain = append(plain, v.data...)
	sealed := make([]byte, 0, 1+keyIDSize+len(plain)+k.aead.Overhead())
	sealed = append(append(sealed, sealVersion), k.id[:]...)
	return k.aead.Seal(sealed, nil, plain, k.bound(kind, key))
}

// bound is what a value is sealed together with.
func (k *dataKey) bound(kind, key string) []byte {
	return []byte("mcpagg value 1\x00" + kind + "\x00" + key + "\x00" + hex.EncodeToString(k.id[:]))
}

// open is the reverse of seal. The error is errSealed.
func (k *dataKey) open(kind, key string, sealed []byte) (value, error) {
	plain, err := k.aead.Open(nil, nil, sealed[1+keyIDSize:], k.bound(kind, key))
	if err != nil || len(plain) < sealedHead {
		return value{}, errSealed
	}
	return value{
		expires:  fromMillis(binary.BigEndian.Uint64(plain)),
		until:    fromMillis(binary.BigEndian.Uint64(plain[8:])),
		revision: binary.BigEndian.Uint64(plain[16:]),
		data:     plain[sealedHead:],
	}, nil
}

// sealedWith returns the id of the key that something was sealed with.
func sealedWith(sealed []byte) (id [keyIDSize]byte, err error) {
	if len(sealed) < 1+keyIDSize || sealed[0] != sealVersion {
		return id, errSealed
	}
	return [keyIDSize]byte(sealed[1:]), nil
}
