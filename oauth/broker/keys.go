package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// signingAlgorithm is what access tokens are signed with (RFC 7518 section 3.4).
const signingAlgorithm = jose.ES256

// keyOverlap is for how long a key counts once there is a newer one: as long as
// the tokens that it has signed may last.
const keyOverlap = MaxAccessTTL + 5*time.Minute

// A signingKey signs access tokens, and verifies them until it is forgotten.
type signingKey struct {
	id      string
	created time.Time
	public  *ecdsa.PublicKey
	signer  jose.Signer // nil in a key that is retired, which signs nothing
	// revision is that in the store, which a key that is retired has to be at.
	revision uint64
	retired  bool
}

// A storedKey is one as it is stored.
type storedKey struct {
	Key     jose.JSONWebKey
	Created time.Time
	Retired bool
}

// signingKeys are all that there are, the newest first. They never change.
type signingKeys struct{ all []*signingKey }

// active is the one that signs; nil if there is none.
func (k *signingKeys) active() *signingKey {
	i := slices.IndexFunc(k.all, func(key *signingKey) bool { return !key.retired })
	if i < 0 {
		return nil
	}
	return k.all[i]
}

func (k *signingKeys) find(id string) *signingKey {
	i := slices.IndexFunc(k.all, func(key *signingKey) bool { return key.id == id })
	if i < 0 {
		return nil
	}
	return k.all[i]
}

// newKey makes the key that signs from now on.
func (s *State) newKey(ctx context.Context) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	id := randomID()
	k := storedKey{Key: jose.JSONWebKey{Key: private, KeyID: id, Algorithm: string(signingAlgorithm), Use: "sig"}, Created: time.Now()}
	text, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	revision, err := s.store.Create(ctx, kindKey, id, text, 0)
	if err != nil {
		return fmt.Errorf("keeping a key: %w", s.noted(err))
	}
	s.applyKey(store.Event{Entry: store.Entry{Key: id, Value: text, Revision: revision}})
	return nil
}

// RotateKeys makes a new signing key and a new key of the store, at once. What the
// old signing key has signed counts until the time that is returned, at the
// latest; what the store holds is sealed anew in the background.
func (s *State) RotateKeys(ctx context.Context) (until time.Time, err error) {
	old := s.keys.Load().all
	if err := s.newKey(ctx); err != nil {
		return time.Time{}, err
	}
	for _, k := range old {
		if !k.retired {
			err = errors.Join(err, s.retire(ctx, k))
		}
	}
	if err != nil {
		return time.Time{}, err
	}
	if err := s.store.Rotate(ctx); err != nil {
		return time.Time{}, fmt.Errorf("rotating the key of the store: %w", s.noted(err))
	}
	s.log.Info("rotated the keys", "signing_key", s.keys.Load().active().id)
	return time.Now().Add(keyOverlap), nil
}

// retire has a key be forgotten once what it signed has ended. Until then, only what
// verifies that is kept.
func (s *State) retire(ctx context.Context, k *signingKey) error {
	text, err := json.Marshal(storedKey{
		Key: k.jwk(), Created: k.created, Retired: true,
	})
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	revision, err := s.store.Update(ctx, kindKey, k.id, text, k.revision, keyOverlap)
	if errors.Is(err, store.ErrConflict) { // somebody else retires it
		return nil
	}
	if err != nil {
		return fmt.Errorf("retiring a key: %w", s.noted(err))
	}
	s.applyKey(store.Event{Entry: store.Entry{Key: k.id, Value: text, Revision: revision}})
	return nil
}

// applyKey makes the keys in memory those in the store.
func (s *State) applyKey(e store.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.keys.Load().all
	if old := s.keys.Load().find(e.Key); old != nil && !e.Deleted && old.revision >= e.Revision {
		return
	}
	known = slices.DeleteFunc(slices.Clone(known), func(k *signingKey) bool { return k.id == e.Key })
	if !e.Deleted {
		k, err := readKey(e.Entry)
		if err != nil {
			s.log.Error("a signing key in the store cannot be used", "err", err)
			return
		}
		known = append(known, k)
	}
	slices.SortFunc(known, func(a, b *signingKey) int { return b.created.Compare(a.created) })
	s.keys.Store(&signingKeys{known})
}

// keyIDs are those of the keys in memory.
func (s *State) keyIDs() (ids []string) {
	for _, k := range s.keys.Load().all {
		ids = append(ids, k.id)
	}
	return ids
}

func readKey(e store.Entry) (*signingKey, error) {
	var k storedKey
	if err := json.Unmarshal(e.Value, &k); err != nil {
		return nil, err
	}
	if k.Key.KeyID != e.Key {
		return nil, errors.New("its id is not the one by which it is kept")
	}
	key := &signingKey{id: e.Key, created: k.Created, revision: e.Revision, retired: k.Retired}
	switch found := k.Key.Key.(type) {
	case *ecdsa.PublicKey:
		key.public, key.retired = found, true
	case *ecdsa.PrivateKey:
		key.public = &found.PublicKey
		options := (&jose.SignerOptions{}).WithType("at+jwt")
		var err error
		if key.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: signingAlgorithm, Key: k.Key}, options); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("it is of another kind")
	}
	return key, nil
}

// jwk is the public part of the key.
func (k *signingKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: string(signingAlgorithm), Use: "sig"}
}

// jwks serves the keys that verify access tokens (RFC 7517 section 5).
func (b *broker) jwks(w http.ResponseWriter, _ *http.Request) *authserver.Problem {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range b.state.keys.Load().all {
		set.Keys = append(set.Keys, k.jwk())
	}
	w.Header().Set("Cache-Control", "max-age=300")
	authserver.WriteJSON(w, http.StatusOK, set)
	return nil
}
