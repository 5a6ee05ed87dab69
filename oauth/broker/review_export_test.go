package broker

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/mcpagg/mcpagg/oauth"
)

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
