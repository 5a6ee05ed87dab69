package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// refreshPrefix tells refresh tokens from other secrets, for those who look for
// ones that were left lying about.
const refreshPrefix = "mcpagg_rt_"

const (
	sessionIDBytes = 16
	refreshBytes   = sessionIDBytes + 4 + sha256.Size
)

// refreshToken is that of a generation. It can be made again, so that a client
// that asks twice gets the same.
func (r *record) refreshToken(id string, generation uint32) string {
	raw, err := b64.DecodeString(id)
	if err != nil || len(raw) != sessionIDBytes {
		panic("broker: a session id that was not made here: " + id)
	}
	raw = binary.BigEndian.AppendUint32(raw, generation)
	h := hmac.New(sha256.New, r.Key)
	h.Write(raw)
	return refreshPrefix + b64.EncodeToString(h.Sum(raw))
}

// parseRefresh takes a refresh token apart. What it says is not verified.
func parseRefresh(token string) (id string, generation uint32, ok bool) {
	rest, ok := strings.CutPrefix(token, refreshPrefix)
	if !ok {
		return "", 0, false
	}
	raw, err := b64.DecodeString(rest)
	if err != nil || len(raw) != refreshBytes {
		return "", 0, false
	}
	return b64.EncodeToString(raw[:sessionIDBytes]), binary.BigEndian.Uint32(raw[sessionIDBytes:]), true
}

// isOwn reports whether the session made a refresh token.
func (r *record) isOwn(token, id string, generation uint32) bool {
	return hmac.Equal([]byte(token), []byte(r.refreshToken(id, generation)))
}
