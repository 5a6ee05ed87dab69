package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An Identity is what the provider behind the gateway says of a person who has
// signed in. It never changes.
type Identity struct {
	token  *verified
	person *Caller // without groups
}

// protocolClaims are those of a token that say nothing of a person.
var protocolClaims = []string{"nonce", "at_hash", "c_hash", "s_hash", "aio", "rh", "uti", "nbf", "jti", "sid", "azp", "xms_st", "xms_ftd"}

// maxStoredClaims bounds the claims of a person, in bytes. Entra lists up to 200
// groups, of 39 bytes each.
const maxStoredClaims = 32 << 10

// Identify says who a person is by the ID token that the provider behind the
// gateway gave it (OpenID Connect Core 1.0, section 3.1.3.7), which must have
// the nonce; "" means that there is none to compare, as in a token that was
// refreshed (section 12.2).
func (s *SignIn) Identify(ctx context.Context, idToken, nonce string) (*Identity, error) {
	t, err := parseToken(idToken)
	switch {
	case err != nil:
		return nil, err
	case strings.HasSuffix(strings.ToLower(t.header.Type), "at+jwt"):
		return nil, errors.New("it is an access token")
	}
	candidates := s.behind[t.claims.Issuer]
	if len(candidates) == 0 {
		return nil, s.strangeIssuer(t)
	}
	is, err := choose(candidates, t)
	if err != nil {
		return nil, err
	}
	v, err := is.verify(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := t.claims.checkFor(is.provider.Audiences, nonce); err != nil {
		return nil, err
	}
	i, err := newIdentity(v)
	if err != nil {
		return nil, err
	}
	return i.compact()
}

// checkFor makes sure that an ID token was made for the gateway, and for this
// sign-in.
func (t *claims) checkFor(clients []string, nonce string) error {
	if t.AZP != "" && !slices.Contains(clients, t.AZP) {
		return errors.New("it was issued to another client (azp)")
	}
	if nonce == "" {
		return nil
	}
	var got string
	if t.Nonce == nil || json.Unmarshal(t.Nonce, &got) != nil || subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) != 1 {
		return errors.New("its nonce is not that of this sign-in")
	}
	return nil
}

// newIdentity takes what a verified token says of the person.
func newIdentity(v *verified) (*Identity, error) {
	c := v.identity()
	if err := v.issuer.provider.checkKind(v, c); err != nil {
		return nil, err
	}
	if c.Workload {
		return nil, errors.New("it is of a program, not of a person")
	}
	if c.ID = principal("User", c); c.ID == "" {
		return nil, errors.New("its subject (sub) is empty, too long or not printable")
	}
	return &Identity{v, c}, nil
}

// ID is the principal of the person, and Name what they are called.
func (i *Identity) ID() string   { return i.person.ID }
func (i *Identity) Name() string { return i.person.Name }

// Username is what the provider is told so that it asks for this person; "" if
// it is not known.
func (i *Identity) Username() string {
	return string(first(i.token.claims.Username, i.token.claims.Email))
}

// Claims are what the provider says, to be kept for [SignIn.Recall]. They hold what
// people call private.
func (i *Identity) Claims() []byte { return i.token.payload }

// ErrUserinfo means that nothing is said of anybody, so that it can be asked again.
var ErrUserinfo = errors.New("what the userinfo endpoint says is nothing of a person")

// With adds what the userinfo endpoint says of the same person (OpenID Connect
// Core 1.0, section 5.3), as far as the ID token does not say it.
func (i *Identity) With(userinfo []byte) (*Identity, error) {
	more, err := i.readUserinfo(userinfo)
	if err != nil {
		return nil, err
	}
	var told map[string]jsontext.Value
	if err := json.Unmarshal(i.token.payload, &told); err != nil {
		return nil, badJSON(err)
	}
	maps.Copy(more, told)
	return i.restate(more)
}

// tokenClaims are those that only an ID token can say.
var tokenClaims = []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "acrs", "amr"}

// Renewed is the same person as the userinfo endpoint speaks of them now, where there
// is no new ID token.
func (i *Identity) Renewed(userinfo []byte) (*Identity, error) {
	now, err := i.readUserinfo(userinfo)
	if err != nil {
		return nil, err
	}
	var told map[string]jsontext.Value
	if err := json.Unmarshal(i.token.payload, &told); err != nil {
		return nil, badJSON(err)
	}
	for _, name := range slices.Concat(tokenClaims, protocolClaims) {
		delete(now, name)
	}
	maps.Copy(told, now)
	return i.restate(told)
}

// readUserinfo reads what the userinfo endpoint says of the person, and of no other.
func (i *Identity) readUserinfo(userinfo []byte) (claims map[string]jsontext.Value, err error) {
	if err := json.Unmarshal(userinfo, &claims); err != nil {
		return nil, fmt.Errorf("%w: it is %w", ErrUserinfo, badJSON(err))
	}
	var subject string
	if json.Unmarshal(claims["sub"], &subject) != nil || subject == "" {
		return nil, fmt.Errorf("%w: it has no subject (sub)", ErrUserinfo)
	}
	if subject != i.token.claims.Subject {
		return nil, errors.New("the userinfo endpoint speaks of another person (sub)")
	}
	return claims, nil
}

// compact leaves out what says nothing of the person.
func (i *Identity) compact() (*Identity, error) {
	var told map[string]jsontext.Value
	if err := json.Unmarshal(i.token.payload, &told); err != nil {
		return nil, badJSON(err)
	}
	for _, name := range protocolClaims {
		delete(told, name)
	}
	return i.restate(told)
}

// restate is the same person with other claims.
func (i *Identity) restate(members map[string]jsontext.Value) (*Identity, error) {
	payload, err := json.Marshal(members, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("writing claims: %w", err)
	}
	return recall(payload, i.token.issuer)
}

// Recall is a person by the claims of an Identity that were kept, unless they are
// of a provider that is not behind the gateway any more.
func (s *SignIn) Recall(claims []byte) (*Identity, error) {
	var t struct {
		Issuer   string      `json:"iss"`
		Audience textOrTexts `json:"aud"`
	}
	if err := json.Unmarshal(claims, &t); err != nil {
		return nil, badJSON(err)
	}
	for _, is := range s.behind[t.Issuer] {
		if is.provider.admits(t.Audience) {
			return recall(claims, is)
		}
	}
	return nil, fmt.Errorf("people do not sign in at %.200q any more, or not with the client that they did", t.Issuer)
}

func recall(payload []byte, is *issuer) (*Identity, error) {
	if len(payload) > maxStoredClaims {
		return nil, fmt.Errorf("the provider says more than %d KiB of the person; make it list fewer groups", maxStoredClaims>>10)
	}
	t := &jwt{payload: payload}
	if err := json.Unmarshal(payload, &t.claims); err != nil {
		return nil, badJSON(err)
	}
	return newIdentity(&verified{t, is, nil})
}

// NeedsUserinfo reports whether groups or roles that policies could ask for may be
// at the userinfo endpoint: the ID token does not say them.
func (i *Identity) NeedsUserinfo() bool {
	p := i.token.issuer.provider
	if p.Entra != nil { // has them nowhere else but in Graph
		return false
	}
	_, groups := listAt(i.token.payload, first(p.GroupsClaim, "groups"))
	_, roles := listAt(i.token.payload, first(p.RolesClaim, "roles"))
	return !groups || !roles || i.person.Name == ""
}

// Person is the caller that an Identity is until a time, with the groups that are
// known now, and until when those count.
func (s *SignIn) Person(ctx context.Context, i *Identity, expires time.Time) (*Caller, time.Time) {
	c := *i.person
	c.Expires = expires
	var counts time.Time
	c.Groups, counts = s.groups(ctx, i.token, &c)
	return &c, counts
}

// ClientAlias is the name that the configuration has for a client, or "".
func (s *SignIn) ClientAlias(id string) string { return s.opts.ClientAliases[id] }

// AwaitProvider waits for the first answer of the provider behind the gateway, right
// after a start, for a few seconds at most. Later, it does not wait.
func (s *SignIn) AwaitProvider(ctx context.Context) {
	for _, p := range s.providers {
		if p.Behind {
			p.issuers[0].keys.awaitFirst(ctx)
		}
	}
}

// ProviderMetadata is what the provider behind the gateway says of itself (OpenID
// Connect Discovery 1.0, section 3), or nil before it was reached.
func (s *SignIn) ProviderMetadata() []byte {
	for _, p := range s.providers {
		if m := p.issuers[0].keys.known.Load(); p.Behind && m != nil {
			return m.raw
		}
	}
	return nil
}

// IsProvider reports whether an issuer is the provider behind the gateway, or, at
// Entra, a tenant whose people may use it.
func (s *SignIn) IsProvider(issuer string) bool { return len(s.behind[issuer]) > 0 }
