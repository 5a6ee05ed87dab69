package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// keysFresh is after how long keys are fetched anew, and keysExpire until when
	// the last known ones count while the provider cannot be asked.
	keysFresh  = time.Hour
	keysExpire = 24 * time.Hour
	// missWindow is how often a token with an unknown key may cause a fetch, and
	// missTTL for how long one key that was not there causes none.
	missWindow = 5 * time.Minute
	missTTL    = 10 * time.Minute
	maxMisses  = 1000
	// maxWaiting bounds the requests that wait for one fetch, and waitForFetch how
	// long each does.
	maxWaiting   = 100
	waitForFetch = 5 * time.Second

	minRSABits = 2048
	maxKeys    = 200
)

var (
	errUnknownKey = errors.New("its key is not one of the provider's")
	// errNoKeys means that nothing can be said about any token now.
	errNoKeys = errors.New("the provider's keys could not be fetched")
)

// A key verifies signatures.
type key struct {
	jose.JSONWebKey
	issuer string // that alone may use it, maybe with {tenantid}; "" for any
}

// A keySet is the keys of an issuer at one time, by id. It never changes.
type keySet struct {
	byID    map[string][]key
	skipped int // keys that are too weak or not understood
	fetched time.Time
}

// A keySource is the keys of one issuer. All fetching is done by its Run, one
// fetch at a time, so that no number of tokens causes more of them. It is safe
// for concurrent use.
type keySource struct {
	// Set by newKeySource, never changed.
	discovery string // the URL of the issuer's metadata
	issuer    string // what the metadata has to say
	http      *http.Client

	running chan struct{} // holds a token while nobody runs it
	wanted  chan struct{} // holds a token while a request asks for a fetch
	current atomic.Pointer[keySet]
	known   atomic.Pointer[metadata]

	mu      sync.Mutex
	attempt *attempt             // under way, or the next one; guarded by mu
	askedAt time.Time            // when a token last caused a fetch; guarded by mu
	misses  map[string]time.Time // keys that were not there, and when; guarded by mu
	failure error                // of the last fetch; guarded by mu
}

// An attempt is one fetch, which is over when done is closed.
type attempt struct {
	done    chan struct{}
	wanted  bool // because of a token; guarded by keySource.mu
	waiting int  // requests that joined it; guarded by keySource.mu
}

// metadata is what a provider says of itself (OpenID Connect Discovery 1.0,
// section 3).
type metadata struct {
	Issuer  string `json:"issuer"`
	KeysURL string `json:"jwks_uri"`

	raw []byte // the document
}

func newKeySource(discovery, issuer string, client *http.Client) *keySource {
	s := &keySource{
		discovery: discovery, issuer: issuer, http: client,
		running: make(chan struct{}, 1), wanted: make(chan struct{}, 1),
		attempt: &attempt{done: make(chan struct{})}, misses: map[string]time.Time{},
	}
	s.running <- struct{}{}
	return s
}

// run keeps the keys fresh until ctx ends. A second run waits for the first.
func (s *keySource) run(ctx context.Context, report func(error)) {
	select {
	case <-s.running:
		defer func() { s.running <- struct{}{} }()
	case <-ctx.Done():
		return
	}
	for failures := s.failures(); ; {
		if !s.pause(ctx, failures) {
			return
		}
		err := s.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		if failures++; err == nil {
			failures = 0
		}
		report(err)
	}
}

// failures is 1 if the last fetch has failed, whoever ran it.
func (s *keySource) failures() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return 1
	}
	return 0
}

// pause waits until the next fetch is due, and reports whether ctx is alive.
func (s *keySource) pause(ctx context.Context, failures int) bool {
	wait := time.Duration(0)
	switch set := s.current.Load(); {
	case failures > 0:
		wait = time.Second/2 + rand.N(time.Second<<min(failures-1, 4))
	case set != nil:
		wait = time.Until(set.fetched.Add(keysFresh - rand.N(keysFresh/6))) // not all gateways at once
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.wanted:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// fetch replaces the keys, or keeps them if that is not possible. Requests go on
// waiting if ctx ends: a reload has somebody else fetch.
func (s *keySource) fetch(ctx context.Context) error {
	set, err := s.read(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.current.Store(set)
	}
	s.failure = err
	close(s.attempt.done)
	s.attempt = &attempt{done: make(chan struct{})}
	select {
	case <-s.wanted: // what was wanted meanwhile has come
	default:
	}
	return err
}

// read asks the provider for its metadata and then its keys.
func (s *keySource) read(ctx context.Context) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var m metadata
	var err error
	if m.raw, err = fetchJSON(ctx, s.http, s.discovery, &m); err != nil {
		return nil, err
	}
	if m.Issuer != s.issuer {
		return nil, fmt.Errorf("%s is the metadata of the issuer %.200q, not of %q; correct the issuer or the tenant in the configuration", s.discovery, m.Issuer, s.issuer)
	}
	if !IsSecureURL(m.KeysURL) || isHTTPS(s.discovery) && !isHTTPS(m.KeysURL) {
		return nil, fmt.Errorf("%s has the keys at %.200q, which is not an https URL", s.discovery, m.KeysURL)
	}
	s.known.Store(&m)
	var doc struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if _, err := fetchJSON(ctx, s.http, m.KeysURL, &doc); err != nil {
		return nil, err
	}
	set := parseKeys(doc.Keys)
	if len(set.byID) == 0 {
		return nil, fmt.Errorf("%s has no key that can be used: of %d, each is weak, of an unknown kind or without an id", m.KeysURL, len(doc.Keys))
	}
	return set, nil
}

// parseKeys keeps the keys that verify signatures, and counts the others.
func parseKeys(raw []jsontext.Value) *keySet {
	set := &keySet{byID: map[string][]key{}, fetched: time.Now()}
	for _, one := range raw {
		k, ok := parseKey(one)
		if !ok || len(set.byID) >= maxKeys || len(set.byID[k.KeyID]) > 3 {
			set.skipped++
			continue
		}
		set.byID[k.KeyID] = append(set.byID[k.KeyID], k)
	}
	return set
}

func parseKey(raw jsontext.Value) (key, bool) {
	var extra struct {
		Issuer string `json:"issuer"`
	}
	var k key
	if json.Unmarshal(raw, &extra) != nil || k.UnmarshalJSON(raw) != nil {
		return key{}, false
	}
	k.issuer = extra.Issuer
	return k, k.KeyID != "" && (k.Use == "sig" || k.Use == "") && strong(k.Key)
}

func strong(public any) bool {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return p.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false // private and symmetric ones have no place there
}

// find returns the keys with an id, and the set they are in. It may wait for a
// fetch. The error is errUnknownKey, errNoKeys, or that of ctx.
func (s *keySource) find(ctx context.Context, id string) ([]key, *keySet, error) {
	if set := s.current.Load(); set.has(id) {
		return set.byID[id], set, nil
	}
	a, err := s.join(id)
	if err != nil {
		return nil, nil, err
	}
	if err := s.await(ctx, a); err != nil {
		return nil, nil, err
	}
	set := s.current.Load()
	if set.has(id) {
		return set.byID[id], set, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil || !set.usable() {
		return nil, nil, s.unusableLocked()
	}
	s.missedLocked(id)
	return nil, nil, errUnknownKey
}

func (set *keySet) usable() bool { return set != nil && time.Since(set.fetched) < keysExpire }

func (set *keySet) has(id string) bool { return set.usable() && set.byID[id] != nil }

// join returns the fetch that may bring a key, or says why there is none.
func (s *keySource) join(id string) (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	usable, now := s.current.Load().usable(), time.Now()
	switch missed, before := s.misses[id]; {
	case s.failure != nil: // the key may be new
		return nil, s.unusableLocked() // the loop keeps trying
	case !usable: // the first fetch is under way
	case before && now.Sub(missed) < missTTL:
		return nil, errUnknownKey
	case s.attempt.wanted: // because of another key
	case now.Sub(s.askedAt) < missWindow:
		return nil, errUnknownKey
	default:
		s.askedAt, s.attempt.wanted = now, true
		s.wanted <- struct{}{}
	}
	if s.attempt.waiting >= maxWaiting {
		return nil, fmt.Errorf("%w yet", errNoKeys)
	}
	s.attempt.waiting++
	return s.attempt, nil
}

func (s *keySource) await(ctx context.Context, a *attempt) error {
	timer := time.NewTimer(waitForFetch)
	defer timer.Stop()
	select {
	case <-a.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("%w yet", errNoKeys)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitFirst waits until the first fetch has ended, whatever came of it.
func (s *keySource) awaitFirst(ctx context.Context) {
	if s.known.Load() != nil {
		return
	}
	s.mu.Lock()
	a, failed := s.attempt, s.failure != nil
	s.mu.Unlock()
	if !failed {
		_ = s.await(ctx, a) // whoever asks for what it brought sees that it brought nothing
	}
}

// missedLocked notes that a key is not there.
func (s *keySource) missedLocked(id string) {
	if len(s.misses) >= maxMisses {
		clear(s.misses)
	}
	s.misses[id] = time.Now()
}

// unusableLocked says why there are no keys.
func (s *keySource) unusableLocked() error {
	if s.failure == nil {
		return errNoKeys
	}
	return fmt.Errorf("%w: %w", errNoKeys, s.failure)
}
