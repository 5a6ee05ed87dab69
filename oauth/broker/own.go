package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth"
)

// skew is how far the clock may have been set back since a token was issued.
const skew = 10 * time.Second

// accessClaims are those of an access token (RFC 9068 section 2.2). Who the person
// is stands in the session, so that the token tells nobody.
type accessClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	ID       string `json:"jti"`
	Session  string `json:"sid"`
	IssuedAt int64  `json:"iat"` // s since 1970
	Expires  int64  `json:"exp"`
}

// accessToken issues one for a session.
func (b *broker) accessToken(id string, r *record) (string, error) {
	key := b.state.keys.Load().active()
	if key == nil {
		return "", errors.New("there is no signing key")
	}
	now := time.Now()
	payload, err := json.Marshal(accessClaims{
		Issuer: b.server.Base, Audience: b.resource(), Subject: subjectOf(r.Person), ClientID: r.ClientID, Scope: strings.Join(r.Scopes, " "),
		ID: randomID(), Session: id, IssuedAt: now.Unix(), Expires: now.Add(b.opts.AccessTTL).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("writing an access token: %w", err)
	}
	signed, err := key.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing an access token: %w", err)
	}
	return signed.CompactSerialize()
}

// maxOwnToken bounds a token of the gateway's own, in bytes: the client id in it may
// be a registration.
const maxOwnToken = 16 << 10

// verifyOwn reads an access token that was issued here.
func (b *broker) verifyOwn(token string) (*accessClaims, error) {
	if len(token) > maxOwnToken {
		return nil, oauth.ErrNotOwn
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{signingAlgorithm})
	if err != nil {
		return nil, oauth.ErrNotOwn
	}
	key := b.state.keys.Load().find(signed.Signatures[0].Header.KeyID)
	if key == nil {
		return nil, oauth.ErrNotOwn
	}
	payload, err := signed.Verify(key.public)
	if err != nil {
		return nil, oauth.ErrForged
	}
	var c accessClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, errors.New("it is signed by the gateway, and is no access token")
	}
	now := time.Now()
	switch {
	case signed.Signatures[0].Header.ExtraHeaders[jose.HeaderType] != "at+jwt":
		return nil, errors.New("it is signed by the gateway, and is no access token")
	case c.Issuer != b.server.Base || c.Audience != b.resource():
		return nil, fmt.Errorf("it is for %.200q, which the gateway was called before; the client must sign in again", c.Audience)
	case !now.Before(time.Unix(c.Expires, 0).Add(skew)):
		return nil, fmt.Errorf("%w, %s ago", oauth.ErrExpired, now.Sub(time.Unix(c.Expires, 0)).Round(time.Second))
	case now.Add(skew).Before(time.Unix(c.IssuedAt, 0)):
		return nil, errors.New("it was issued in the future; this machine's clock was set back")
	}
	return &c, nil
}

// authenticate says whose a token is that was issued here. Once a token is known
// that takes a look into memory, and never waits for the store: a session that has
// ended is not there.
func (b *broker) authenticate(ctx context.Context, token string) (*oauth.Caller, error) {
	digest := tokenDigest(token)
	known := b.tokens.get(digest)
	if known == nil {
		c, err := b.verifyOwn(token)
		if err != nil {
			return nil, err
		}
		known = &ownToken{claims: c, expires: time.Unix(c.Expires, 0).Add(skew)}
	}
	now := time.Now()
	if !now.Before(known.expires) {
		return nil, oauth.ErrExpired
	}
	s := b.state.session(known.claims.Session)
	if s == nil {
		return nil, oauth.ErrEnded
	}
	data := s.now.Load()
	if known.revision == data.revision && now.Before(known.counts) {
		return known.caller, nil
	}
	return b.caller(ctx, digest, known, s, data)
}

// tokenDigest is what a token is remembered by. A copy of it, for each request, would
// be most of what that costs in memory.
func tokenDigest(token string) [sha256.Size]byte {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token))) // which only reads it
}

// caller makes the caller of a token from what its session is now.
func (b *broker) caller(ctx context.Context, digest [sha256.Size]byte, known *ownToken, s *session, data *sessionData) (*oauth.Caller, error) {
	if data.clientID != known.claims.ClientID {
		return nil, errors.New("its session is another client's")
	}
	who, err := b.signIn.Recall(data.claims)
	if err != nil {
		return nil, fmt.Errorf("its session is one of the past: %w", err)
	}
	c, counts := b.signIn.Person(ctx, who, known.expires)
	c.Client = oauth.Client{ID: known.claims.ClientID, Alias: b.signIn.ClientAlias(known.claims.ClientID)}
	c.Scopes = strings.Fields(known.claims.Scope)
	c.Session, c.Ended = s.id, s.over
	b.tokens.put(digest, &ownToken{known.claims, known.expires, data.revision, c, counts})
	return c, nil
}

// An ownToken is a token that was verified, and who its caller was.
type ownToken struct {
	claims   *accessClaims
	expires  time.Time
	revision uint64 // of the session, that the caller is of; 0 if there is none yet
	caller   *oauth.Caller
	counts   time.Time // until when the caller's groups do
}

// size is about what the token takes, in bytes: a caller has the claims, and most of
// them again in groups and their names.
func (t *ownToken) size() int { return 512 + 3*len(t.caller.Claims) + len(t.claims.ClientID) }

// maxOwnTokens and maxOwnBytes bound the tokens of one generation that are remembered:
// whoever is signed in can get as many as they like.
const (
	maxOwnTokens = 20_000
	maxOwnBytes  = 48 << 20
)

// ownTokens remember verified tokens by their digest, in two generations: when the
// younger is full, the older is forgotten.
type ownTokens struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]*ownToken // guarded by mu
	bytes      int                             // of young; guarded by mu
}

func newOwnTokens() *ownTokens { return &ownTokens{young: map[[sha256.Size]byte]*ownToken{}} }

func (t *ownTokens) get(digest [sha256.Size]byte) *ownToken {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if known := t.young[digest]; known != nil {
		return known
	}
	return t.old[digest]
}

func (t *ownTokens) put(digest [sha256.Size]byte, known *ownToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.young[digest]; before != nil {
		t.bytes -= before.size()
	} else if len(t.young) >= maxOwnTokens || t.bytes >= maxOwnBytes {
		t.young, t.old, t.bytes = map[[sha256.Size]byte]*ownToken{}, t.young, 0
	}
	t.young[digest] = known
	t.bytes += known.size()
}
