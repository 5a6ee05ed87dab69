package broker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// jwks are the published keys.
func (s *stage) jwks() jose.JSONWebKeySet {
	s.Helper()
	a := s.browser().get(s.server.URL + "/oauth2/jwks")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.body), &set); err != nil || a.status != http.StatusOK {
		s.Fatalf("HTTP %d %s", a.status, a.body)
	}
	return set
}

func TestKeysArePublic(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		a := s.browser().get(s.server.URL + "/oauth2/jwks")
		keys := a.json(s)["keys"].([]any)
		for _, k := range keys {
			if names := slices.Sorted(maps.Keys(k.(map[string]any))); !slices.Equal(names, []string{"alg", "crv", "kid", "kty", "use", "x", "y"}) {
				s.Errorf("a key has %v", names)
			}
		}
		if len(keys) != 1 || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Cache-Control") != "max-age=300" {
			s.Errorf("%d keys with %v", len(keys), a.header)
		}
		_, got := s.signedIn()
		if !verifies(s, s.jwks(), got.access) {
			s.Error("an access token does not verify by the published keys")
		}
	})
}

func verifies(t testing.TB, set jose.JSONWebKeySet, token string) bool {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	_, err = signed.Verify(set)
	return err == nil
}

func TestKeysRotate(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, got := s.signedIn()
		before := s.jwks()
		until, err := s.state.RotateKeys(t.Context())
		if err != nil {
			s.Fatal(err)
		}
		if left := time.Until(until); left < broker.MaxAccessTTL {
			s.Errorf("what was signed counts for %s", left)
		}
		next := s.refresh(client, got.refresh).tokens(s) // which the keys have nothing to do with
		if both := s.jwks(); len(both.Keys) != 2 || !verifies(s, both, got.access) || !verifies(s, both, next.access) || verifies(s, before, next.access) {
			s.Errorf("there are %d keys, and they do not verify what they have to", len(both.Keys))
		}
		s.works(got.access, true)
		s.works(next.access, true)
		time.Sleep(broker.MaxAccessTTL)
		s.works(got.access, true) // to its last second
		time.Sleep(time.Until(until) + 5*time.Second)
		if after := s.jwks(); len(after.Keys) != 1 || verifies(s, after, got.access) {
			s.Errorf("%d keys are left", len(after.Keys))
		}
		s.works(got.access, false)
		s.redeem(client, s.code(client)).tokens(s) // registrations outlive the keys
	}, func(o *broker.Options) { o.AccessTTL = broker.MaxAccessTTL })
}

func TestKeysRotateBySchedule(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		log := slog.New(slog.NewTextHandler(s.log, nil))
		state, err := broker.OpenState(t.Context(), broker.StateOptions{Store: s.store, RotateEvery: 90 * time.Minute, Log: log})
		if err != nil {
			s.Fatal(err)
		}
		defer state.Close()
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		running.Go(func() { state.Run(ctx) })
		seen := map[string]bool{}
		for range 4 {
			seen[state.Status().KeyID] = true
			time.Sleep(65 * time.Minute)
		}
		if len(seen) != 2 {
			s.Errorf("%d keys signed within 195 minutes", len(seen))
		}
		synctest.Wait()
		if s.state.Status().KeyID != state.Status().KeyID { // which follows the store
			s.Error("another State does not know the new key")
		}
	})
}

// privateKey is the one that the gateway signs with.
func (s *stage) privateKey() jose.JSONWebKey {
	s.Helper()
	var found jose.JSONWebKey
	err := s.store.List(s.Context(), "signkey", "", func(e store.Entry) error {
		var stored struct{ Key jose.JSONWebKey }
		err := json.Unmarshal(e.Value, &stored)
		if err == nil && !stored.Key.IsPublic() {
			found = stored.Key
		}
		return err
	})
	if err != nil || found.KeyID == "" {
		s.Fatalf("no key: %v", err)
	}
	return found
}

// signed is a token with claims, by any key.
func signed(t testing.TB, key any, alg jose.SignatureAlgorithm, header map[jose.HeaderKey]any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signature.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestRetiredKeysSignNothing has nothing kept of a key that is replaced but what
// verifies.
func TestRetiredKeysSignNothing(t *testing.T) {
	s := newStage(t)
	old := s.privateKey()
	if _, err := s.state.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := s.store.List(t.Context(), "signkey", "", func(e store.Entry) error {
		var stored struct{ Key jose.JSONWebKey }
		if err := json.Unmarshal(e.Value, &stored); err != nil {
			return err
		}
		if stored.Key.IsPublic() != (e.Key == old.KeyID) {
			t.Errorf("of the key %s there is the public part alone: %v", e.Key, stored.Key.IsPublic())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeysStayOffTheLog looks for the private key in the log.
func TestKeysStayOffTheLog(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		if _, err := s.state.RotateKeys(t.Context()); err != nil {
			s.Fatal(err)
		}
		text, err := s.privateKey().MarshalJSON()
		if err != nil {
			s.Fatal(err)
		}
		var key struct{ D string }
		if err := json.Unmarshal(text, &key); err != nil || key.D == "" || strings.Contains(s.log.String(), key.D) {
			s.Error("the log holds the private key")
		}
	})
}
