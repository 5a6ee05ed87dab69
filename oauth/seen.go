package oauth

import (
	"crypto/sha256"
	"sync"
	"time"
	"unsafe"
)

// maxSeen bounds the tokens that are remembered, and maxSeenBytes what they have
// together: their claims are kept.
const (
	maxSeen      = 20_000
	maxSeenBytes = 32 << 20
)

// seen remembers verified tokens by their digest, so that a request with one
// that was seen lately costs no verification.
type seen struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]*seenToken // guarded by mu
	bytes  int                              // of their claims; guarded by mu
}

type seenToken struct {
	caller *Caller
	until  time.Time
	source *keySource
	keys   *keySet // that its key was in
}

func newSeen() *seen { return &seen{tokens: map[[sha256.Size]byte]*seenToken{}} }

// digestOf is what a token is remembered by. A copy of it, for each request, would
// cost more than the digest does: tokens have thousands of bytes.
func digestOf(token string) [sha256.Size]byte {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token))) // which only reads it
}

// get returns the caller of a token, or nil if the token has to be verified: it
// is new, it was verified too long ago, or its issuer's keys are others by now.
func (s *seen) get(digest [sha256.Size]byte) *Caller {
	s.mu.RLock()
	t := s.tokens[digest]
	s.mu.RUnlock()
	if t == nil || !time.Now().Before(t.until) || t.source.current.Load() != t.keys {
		return nil
	}
	return t.caller
}

// put remembers a token, and reports whether it is a new one, as far as that is
// known.
func (s *seen) put(digest [sha256.Size]byte, c *Caller, v *verified, until time.Time) (fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh = s.tokens[digest] == nil
	s.forgetLocked(digest)
	if len(s.tokens) >= maxSeen || s.bytes+len(c.Claims) > maxSeenBytes {
		s.makeRoomLocked()
	}
	s.tokens[digest] = &seenToken{c, until, v.issuer.keys, v.keys}
	s.bytes += len(c.Claims)
	return fresh
}

// makeRoomLocked forgets what no longer counts, or else a part of all.
func (s *seen) makeRoomLocked() {
	now := time.Now()
	for digest, t := range s.tokens {
		if !now.Before(t.until) {
			s.forgetLocked(digest)
		}
	}
	for digest := range s.tokens {
		if len(s.tokens) < maxSeen*3/4 && s.bytes < maxSeenBytes*3/4 {
			return
		}
		s.forgetLocked(digest) // in no order
	}
}

func (s *seen) forgetLocked(digest [sha256.Size]byte) {
	if t := s.tokens[digest]; t != nil {
		s.bytes -= len(t.caller.Claims)
		delete(s.tokens, digest)
	}
}
