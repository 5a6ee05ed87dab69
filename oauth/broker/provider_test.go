package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
)

// An oddProvider is one of OpenID Connect that says whatever a test wants it to. As it
// is, it signs Oda in, whose groups are at its userinfo endpoint.
type oddProvider struct {
	*httptest.Server
	key *ecdsa.PrivateKey

	mu       sync.Mutex
	nonce    string         // of the last sign-in; guarded by mu
	claims   map[string]any // that the next ID tokens have instead; nil takes one away. guarded by mu
	userinfo string         // guarded by mu
	idToken  bool           // there is one in answers to refreshes; guarded by mu
}

const oda = `{"sub": "oda", "name": "Oda", "groups": ["staff"], "roles": []}`

func newOddProvider(t *testing.T) *oddProvider {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &oddProvider{key: key, userinfo: oda, idToken: true}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// says has the next ID tokens have other claims, and the userinfo endpoint another
// answer.
func (p *oddProvider) says(claims map[string]any, userinfo string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims, p.userinfo = claims, userinfo
}

// ServeHTTP implements [http.Handler].
func (p *oddProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "userinfo_endpoint": p.URL + "/userinfo",
			"jwks_uri": p.URL + "/jwks", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	case "/jwks":
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "odd", Algorithm: "ES256", Use: "sig"}}})
	case "/authorize":
		q := r.URL.Query()
		p.nonce = q.Get("nonce")
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {"a code"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	case "/token":
		answer := map[string]any{"token_type": "Bearer", "access_token": "theirs", "refresh_token": "theirs, too", "id_token": p.token(r.PostFormValue("client_id"))}
		if r.PostFormValue("grant_type") == "refresh_token" && !p.idToken {
			delete(answer, "id_token")
		}
		_ = json.NewEncoder(w).Encode(answer)
	case "/userinfo":
		_, _ = io.WriteString(w, p.userinfo)
	}
}

func (p *oddProvider) token(client string) string {
	claims := map[string]any{
		"iss": p.URL, "sub": "oda", "aud": client, "nonce": p.nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, p.claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, _ := json.Marshal(claims)
	signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "odd"}}, nil)
	signed, _ := signer.Sign(text)
	compact, _ := signed.CompactSerialize()
	return compact
}

// newOddStage is a stage whose people sign in at such a provider.
func newOddStage(t *testing.T) (*stage, *oddProvider) {
	s, p := newStage(t), newOddProvider(t)
	s.provider = p.URL
	s.changeSignIn = func(o *oauth.Options) {
		first := &o.Providers[0]
		first.Entra, first.Issuer, first.Audiences = nil, p.URL, []string{"the gateway"}
	}
	s.configure(func(o *broker.Options) { o.Credential.ClientID, o.Credential.Secret = "the gateway", nil })
	return s, p
}

// TestOddIDTokens has a provider sign somebody in with tokens that are for something
// else, and then rightly.
func TestOddIDTokens(t *testing.T) {
	t.Parallel()
	s, p := newOddStage(t)
	clientID := s.register()
	for name, claims := range map[string]map[string]any{
		"no nonce":             {"nonce": nil},
		"another nonce":        {"nonce": "x"},
		"a nonce of two":       {"nonce": []string{"x", "y"}},
		"another audience":     {"aud": "another"},
		"no audience":          {"aud": nil},
		"another party":        {"aud": []string{"the gateway", "another"}, "azp": "another"},
		"another issuer":       {"iss": "https://idp.example"},
		"no subject":           {"sub": nil},
		"an empty subject":     {"sub": ""},
		"a number for subject": {"sub": 1},
		"a line for subject":   {"sub": "a\nb"},
		"a program's":          {"sub": "the gateway", "azp": "the gateway"},
		"a logout token":       {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}},
		"an old one":           {"iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()},
		"no end":               {"exp": nil},
		"another userinfo":     {"sub": "olaf"},
	} {
		p.says(claims, oda)
		got := s.browser().signIn(s.request(clientID))
		if got.Get("error") != "access_denied" || got.Get("code") != "" {
			t.Errorf("%s: %v", name, got)
		}
	}
	if n := s.storedOf("code") + s.storedOf("session"); n != 0 {
		t.Errorf("%d codes and sessions are stored", n)
	}
	p.says(map[string]any{"azp": "the gateway", "aud": []string{"the gateway", "another"}}, `{"sub": "oda", "name": "Oda", "groups": ["staff"], "roles": [], "iss": "x", "aud": "y", "exp": 1}`)
	c, status := s.mcp(s.redeem(clientID, s.code(clientID)).tokens(t).access)
	if status != http.StatusOK || c.ID != `User::"`+p.URL+`#oda"` || len(c.Groups.IDs) != 1 || c.Groups.IDs[0] != "staff" {
		t.Errorf("HTTP %d, %+v", status, c)
	}
}

// TestOddUserinfo has a session refreshed while the userinfo endpoint says nonsense. That
// ends no session, but that it speaks of another person does.
func TestOddUserinfo(t *testing.T) {
	t.Parallel()
	s, p := newOddStage(t)
	clientID, got := s.signedIn()
	for _, userinfo := range []string{"<html>", "", "[]", "{}", `{"sub": 1}`, `{"sub": "oda", "sub": "oda"}`, `{"error": "temporarily_unavailable"}`} {
		p.says(nil, userinfo)
		got = s.refresh(clientID, got.refresh).tokens(t)
		if c, _ := s.mcp(got.access); c == nil || len(c.Groups.IDs) != 1 {
			t.Errorf("%q: the caller is %+v", userinfo, c)
		}
		if got := s.browser().signIn(s.request(clientID)); got.Get("error") != "temporarily_unavailable" {
			t.Errorf("%q: signing in gives %v", userinfo, got)
		}
	}
	p.says(nil, `{"sub": "oda", "name": "Oda", "groups": [], "roles": []}`)
	got = s.refresh(clientID, got.refresh).tokens(t)
	if c, _ := s.mcp(got.access); c == nil || len(c.Groups.IDs) != 0 || !c.Groups.Complete {
		t.Errorf("the caller is %+v", c)
	}
	p.says(nil, `{"sub": "olaf", "name": "Olaf"}`)
	s.refresh(clientID, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
	s.works(got.access, false)
}

// TestRefreshByUserinfo has somebody leave a group at a provider that gives no new ID
// token with a refresh (OpenID Connect Core 1.0, section 12.2).
func TestRefreshByUserinfo(t *testing.T) {
	t.Parallel()
	s, p := newOddStage(t)
	p.idToken = false
	clientID, got := s.signedIn()
	p.says(nil, `{"sub": "oda", "name": "Oda", "groups": ["others"], "iss": "x", "aud": "y", "acr": "strong"}`)
	got = s.refresh(clientID, got.refresh).tokens(t)
	if c, _ := s.mcp(got.access); c == nil || len(c.Groups.IDs) != 1 || c.Groups.IDs[0] != "others" || len(c.Contexts) != 0 {
		t.Errorf("the caller is %+v", c)
	}
	p.says(nil, "<html>")
	got = s.refresh(clientID, got.refresh).tokens(t)
	if c, _ := s.mcp(got.access); c == nil || len(c.Groups.IDs) != 1 {
		t.Errorf("the caller is %+v", c)
	}
	p.says(nil, `{"sub": "olaf", "name": "Olaf"}`)
	s.refresh(clientID, got.refresh).refused(t, http.StatusBadRequest, "invalid_grant")
	s.works(got.access, false)
}
