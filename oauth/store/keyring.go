package store

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

const minSecret = 16

// errWrongKey means that a key does not open the keyring.
var errWrongKey = errors.New("the key does not fit")

// keys are the data keys in use, of which the last seals what is written. They are
// safe for concurrent use.
type keys struct {
	mu       sync.RWMutex
	ring     []*dataKey // guarded by mu; the slice never changes
	sequence uint64     // of the record it is kept in; guarded by mu
}

// use returns the key to write with. The caller calls its done when that is over.
func (k *keys) use() *dataKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	current := k.ring[len(k.ring)-1]
	current.users.Add(1)
	return current
}

// all returns the keys and the sequence of their record.
func (k *keys) all() ([]*dataKey, uint64) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.ring, k.sequence
}

func (k *keys) set(ring []*dataKey, sequence uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ring, k.sequence = ring, sequence
}

// open opens a value, or returns errSealed.
func (k *keys) open(kind, key string, sealed []byte) (value, error) {
	id, err := sealedWith(sealed)
	if err != nil {
		return value{}, err
	}
	ring, _ := k.all()
	i := slices.IndexFunc(ring, func(d *dataKey) bool { return d.id == id })
	if i < 0 {
		return value{}, errSealed
	}
	return ring[i].open(kind, key, sealed)
}

// A master is the key of the keyring, derived from the text that the operator has.
type master struct{ secret []byte }

func newMaster(text string) (master, error) {
	text = strings.TrimSpace(text)
	if len(text) < minSecret {
		return master{}, fmt.Errorf("the store's key has %d bytes; it needs at least %d, such as openssl rand -base64 32 prints", len(text), minSecret)
	}
	secret, err := hkdf.Key(sha256.New, []byte(text), nil, "mcpagg store master key 1", keySize)
	return master{secret: secret}, err
}

var boundKeyring = []byte("mcpagg keyring 1")

// ringRecord is the keyring as it is sealed, the current key last.
type ringRecord struct {
	Keys []keyRecord `json:"keys"`
}

type keyRecord struct {
	ID     []byte `json:"id"`
	Secret []byte `json:"secret"`
}

func (m master) seal(ring []*dataKey) ([]byte, error) {
	var r ringRecord
	for _, k := range ring {
		r.Keys = append(r.Keys, keyRecord{ID: k.id[:], Secret: k.secret})
	}
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(m.secret)
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{sealVersion}, nil, plain, boundKeyring), nil
}

// open is the reverse of seal. It returns errWrongKey if another key sealed it.
func (m master) open(sealed []byte) ([]*dataKey, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return nil, errWrongKey
	}
	aead, err := newAEAD(m.secret)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed[1:], boundKeyring)
	if err != nil {
		return nil, errWrongKey
	}
	var r ringRecord
	if err := json.Unmarshal(plain, &r); err != nil {
		return nil, fmt.Errorf("reading the keyring: %w", err)
	}
	var ring []*dataKey
	for _, one := range r.Keys {
		k, err := restoreDataKey(one.ID, one.Secret)
		if err != nil {
			return nil, fmt.Errorf("reading the keyring: %w", err)
		}
		ring = append(ring, k)
	}
	if len(ring) == 0 {
		return nil, errors.New("the keyring is empty")
	}
	return ring, nil
}
