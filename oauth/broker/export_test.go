package broker

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
)

// Aged is the signed request of a consent page as it would be if it had been shown
// so much earlier: time cannot be made to pass for a real browser.
func (s *State) Aged(signed string, by time.Duration) string {
	var r request
	if err := s.secret.open("request", signed, &r); err != nil {
		panic(err)
	}
	r.Expires -= int64(by / time.Second)
	aged, err := s.secret.sign("request", r)
	if err != nil {
		panic(err)
	}
	return aged
}

// EndUnstored ends a session as if the store could not be written.
func (s *State) EndUnstored(id string) { s.end(id) }

// SpendSignIns has a person sign in as often as they may at once, and counts.
func (s *State) SpendSignIns(person string) (n int) {
	for s.signIns.allow(person) {
		n++
	}
	return n
}

// AbandonSignIns forgets that anybody is on the way to the provider, as time would.
func (s *State) AbandonSignIns() {
	s.logins.mu.Lock()
	defer s.logins.mu.Unlock()
	s.logins.forgetLocked(time.Now().Add(loginTTL))
}

// RememberedClaims is how many bytes of claims are remembered after n tokens of
// callers that have size bytes each.
func RememberedClaims(n, size int) (bytes int) {
	tokens := newOwnTokens()
	for i := range n {
		digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		tokens.put(digest, &ownToken{claims: &accessClaims{}, caller: &oauth.Caller{Claims: make([]byte, size)}})
	}
	for _, generation := range []map[[sha256.Size]byte]*ownToken{tokens.young, tokens.old} {
		for _, t := range generation {
			bytes += len(t.caller.Claims)
		}
	}
	return bytes
}
