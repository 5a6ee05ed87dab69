package fakeentra

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A TokenRequest says which token [Server.Token] makes. Tests get tokens with it
// that no sign-in would give them.
type TokenRequest struct {
	// User is whom it is about, by id or name; "" for a token of a program alone.
	User string `json:"user"`
	// Client is the client id of the program; "" takes one that is not registered.
	Client string `json:"client"`
	// Resource is the API of an access token, by client id or identifier URI. It
	// need not be registered.
	Resource string `json:"resource"`
	// Scopes are the short names in scp.
	Scopes []string `json:"scopes"`
	// ID makes an ID token for Client.
	ID bool `json:"id"`
	// Version of an access token, 1 or 2; 0 is what the API's manifest says.
	Version int `json:"version"`
	// Tenant is the id of the tenant; "" is that of the person or else the first.
	Tenant string `json:"tenant"`
	// Lifetime is until it expires; 0 is as long as a sign-in gives.
	Lifetime time.Duration `json:"lifetime"`
	// Claims replace or add claims, and Remove takes claims away after that.
	Claims map[string]any `json:"claims"`
	Remove []string       `json:"remove"`
	// Header adds members to the JOSE header, or replaces them.
	Header map[string]any `json:"header"`
	// Payload is signed instead of all claims, as it is; nil for none.
	Payload []byte `json:"-"`
	// Key is the id of the key that signs; "" for the one in use.
	Key string `json:"key"`
	// NoKeyID leaves kid out, BadSignature damages the signature.
	NoKeyID      bool `json:"no_kid"`
	BadSignature bool `json:"bad_signature"`
	// Proof is how the client authenticated (azpacr): "0" (also ""), "1" or "2".
	Proof string `json:"proof"`
	// Nonce is that of an ID token.
	Nonce string `json:"nonce"`
}

// Token makes a token without any sign-in. Switches count, such as lifetimes.
func (s *Server) Token(req TokenRequest) (string, error) {
	s.mu.Lock()
	sub, err := s.subjectLocked(req)
	now, sw := s.timeLocked(), s.switches
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	var c claims
	if req.ID {
		c = s.idClaims(sub, now, or(req.Lifetime, or(sw.IDTokenLifetime, time.Hour)), sw)
	} else {
		version := req.Version
		if version == 0 {
			version = sub.api.tokenVersion()
		}
		c = s.accessClaims(sub, version, now, or(req.Lifetime, sw.accessLifetime()), sw)
	}
	for name, value := range req.Claims {
		c[name] = value
	}
	for _, name := range req.Remove {
		delete(c, name)
	}
	return s.sign(c, req, !req.ID && sub.api.graph)
}

// subjectLocked finds whom and what a request means.
func (s *Server) subjectLocked(req TokenRequest) (subject, error) {
	d := &s.directory
	sub := subject{tenant: req.Tenant, proof: req.Proof, scopes: req.Scopes, nonce: req.Nonce, aud: req.Resource}
	if req.User != "" {
		if sub.user = d.user(req.User); sub.user == nil {
			return sub, fmt.Errorf("there is no person %q", req.User)
		}
		sub.groups = d.groupsOf(sub.user)
		if sub.tenant == "" {
			sub.tenant = sub.user.Tenant
		}
	} else if req.ID {
		return sub, fmt.Errorf("an ID token is about a person")
	}
	sub.tenant = s.tenantOr(sub.tenant)
	if sub.proof == "" {
		sub.proof = "0"
	}
	if sub.client = d.apps[req.Client]; sub.client == nil {
		sub.client = &App{ClientID: req.Client, Name: "client"}
		if req.Client == "" {
			sub.client.ClientID = id("app", "client")
		}
	}
	if sub.api = d.resource(req.Resource); sub.api == nil {
		sub.api = &App{ClientID: req.Resource, Name: "api", TokenVersion: 2}
	}
	return sub, nil
}

func (sw Switches) accessLifetime() time.Duration {
	return or(sw.AccessTokenLifetime, time.Hour+rand.N(30*time.Minute).Truncate(time.Second))
}

// sign signs claims as the token request wishes. Tokens for Graph are signed
// such that nobody else can verify them as they are.
func (s *Server) sign(c claims, req TokenRequest, graph bool) (string, error) {
	key, ok := s.keys.signing(req.Key)
	if !ok {
		return "", fmt.Errorf("there is no key %q", req.Key)
	}
	payload := req.Payload
	if payload == nil {
		var err error
		if payload, err = json.Marshal(c); err != nil {
			return "", fmt.Errorf("writing the claims: %w", err)
		}
	}
	header := map[jose.HeaderKey]any{"typ": "JWT", "x5t": key.id, "kid": key.id}
	nonce := ""
	if graph {
		nonce = newSecret("")
		header["nonce"] = hashedNonce(nonce)
	}
	for name, value := range req.Header {
		header[jose.HeaderKey(name)] = value
	}
	if req.NoKeyID {
		delete(header, "kid")
		delete(header, "x5t")
	}
	token, err := key.signed(payload, header)
	if err != nil {
		return "", err
	}
	if graph {
		token, err = withNonce(token, nonce)
	}
	if req.BadSignature {
		token = damaged(token)
	}
	return token, err
}

func (key *signingKey) signed(payload []byte, header map[jose.HeaderKey]any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.private}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	signature, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return signature.CompactSerialize()
}

// hashedNonce is what is signed in place of the nonce in the header of a token
// for Graph.
func hashedNonce(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// withNonce replaces the nonce in a token's header, without signing anew.
func withNonce(token, nonce string) (string, error) {
	head, rest, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", fmt.Errorf("reading the header of a token: %w", err)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		return "", fmt.Errorf("reading the header of a token: %w", err)
	}
	members["nonce"] = nonce
	if raw, err = json.Marshal(members); err != nil {
		return "", fmt.Errorf("writing the header of a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw) + "." + rest, nil
}

// damaged changes one character in the middle of the signature.
func damaged(token string) string {
	i := strings.LastIndexByte(token, '.') + 100
	other := byte('A')
	if token[i] == other {
		other = 'B'
	}
	return token[:i] + string(other) + token[i+1:]
}
