package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A provider is an identity provider of OpenID Connect with nothing but what a
// gateway needs of one: metadata, keys, and tokens that are given to whoever asks.
type provider struct {
	issuer string
	signer jose.Signer
	keys   jose.JSONWebKeySet
}

const (
	// audience is whom its tokens are for.
	audience = "https://mcp.example.com/mcp"
	// tokenLife is longer than the longest run.
	tokenLife = time.Hour
	// tokenGroups are as many as many a person is in: with them, a token has about
	// 2 KiB, as those of Entra have.
	tokenGroups = 20
)

func newProvider(issuer string) (*provider, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	signing := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "bench"}}
	signer, err := jose.NewSigner(signing, (&jose.SignerOptions{}).WithType("at+jwt"))
	public := jose.JSONWebKey{Key: key.Public(), KeyID: "bench", Use: "sig", Algorithm: string(jose.RS256)}
	return &provider{issuer, signer, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}}, err
}

// startProvider serves a provider until ctx ends.
func (b *bench) startProvider(ctx context.Context) (*provider, error) {
	address, err := b.ports.address()
	if err != nil {
		return nil, err
	}
	p, err := newProvider("http://" + address)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := serveAll(ctx, map[string]http.Handler{address: p}); err != nil {
			b.failures.add(fmt.Errorf("the identity provider: %w", err))
		}
	}()
	return p, nil
}

// ServeHTTP serves metadata (OpenID Connect Discovery 1.0) and keys.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.issuer, "jwks_uri": p.issuer + "/keys"})
	case "/keys":
		_ = json.NewEncoder(w).Encode(p.keys)
	default:
		http.NotFound(w, r)
	}
}

func groupID(i int) string { return fmt.Sprintf("4f1c2d3e-0000-4000-8000-%012d", i) }

// token is an access token (RFC 9068) of a person in several groups.
func (p *provider) token() (string, error) {
	groups := make([]string, tokenGroups)
	for i := range groups {
		groups[i] = groupID(i)
	}
	now := time.Now()
	payload, err := json.Marshal(map[string]any{
		"iss": p.issuer, "aud": audience, "sub": "a11ce000-0000-4000-8000-000000000001", "client_id": "bench",
		"scope": "mcp.access", "name": "Alice Example", "preferred_username": "alice@example.com", "jti": rand.Text(),
		"groups": groups, "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := p.signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// block makes a gateway ask for the provider's tokens. It needs policies beside it.
func (p *provider) block() string {
	return fmt.Sprintf(`auth "oidc" "bench" {
  mode      = "resource-server"
  issuer    = %q
  audiences = [%q]
  scopes    = ["mcp.access"]
}

`, p.issuer, audience)
}
