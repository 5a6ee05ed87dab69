package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/client"
)

const oidcClient = "gate way:1" // with what has to be encoded in a header

// An oidcProvider is one of OpenID Connect that is not Entra. Bob is signed in. What
// it does can be changed while nobody asks it.
type oidcProvider struct {
	http *httptest.Server
	key  *ecdsa.PrivateKey

	mu       sync.Mutex
	metadata map[string]any                     // replaces members; guarded by mu
	iss      string                             // in the answer; guarded by mu
	claims   map[string]any                     // of the ID token; guarded by mu
	userinfo map[string]any                     // nil answers 500; guarded by mu
	refresh  string                             // token; "" for none; guarded by mu
	sign     func(claims map[string]any) string // guarded by mu
	nonce    string                             // of the last request; guarded by mu
	asked    []url.Values                       // at the token endpoint, with Authorization; guarded by mu
}

func newOIDCProvider(t *testing.T) *oidcProvider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &oidcProvider{key: key, refresh: "a-refresh-token"}
	p.sign = p.signES256
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.serveMetadata)
	mux.HandleFunc("GET /jwks", p.serveKeys)
	mux.HandleFunc("GET /authorize", p.serveAuthorize)
	mux.HandleFunc("POST /token", p.serveToken)
	mux.HandleFunc("GET /userinfo", p.serveUserinfo)
	p.http = httptest.NewServer(mux)
	t.Cleanup(p.http.Close)
	p.claims = map[string]any{"sub": "bob", "name": "Bob", "groups": []string{"staff"}, "roles": []string{"reader"}}
	p.userinfo = map[string]any{"sub": "bob"}
	return p
}

// set changes something about it.
func (p *oidcProvider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// requests are those to the token endpoint so far.
func (p *oidcProvider) requests() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// newOIDCStage is a gateway in front of it, with the secret of the gateway unless
// that is changed.
func newOIDCStage(t *testing.T, p *oidcProvider, change ...func(*broker.Options)) *stage {
	t.Helper()
	s := newStage(t)
	s.provider = p.http.URL
	s.changeSignIn = func(o *oauth.Options) {
		o.Providers = []oauth.Provider{{
			Name: "kc", Behind: true, IDTokens: true, Issuer: p.http.URL, Audiences: []string{oidcClient}, Scopes: o.Providers[0].Scopes,
		}}
	}
	s.configure(append([]func(*broker.Options){func(o *broker.Options) {
		o.Provider, o.Credential.ClientID = "kc", oidcClient
	}}, change...)...)
	return s
}

func answerWith(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (p *oidcProvider) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[string]any{
		"issuer": p.http.URL, "authorization_endpoint": p.http.URL + "/authorize?realm=1", "token_endpoint": p.http.URL + "/token", "jwks_uri": p.http.URL + "/jwks",
		"userinfo_endpoint": p.http.URL + "/userinfo", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	}
	maps.Copy(m, p.metadata)
	answerWith(w, m)
}

func (p *oidcProvider) serveKeys(w http.ResponseWriter, _ *http.Request) {
	answerWith(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
}

func (p *oidcProvider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	p.nonce = q.Get("nonce")
	answer := url.Values{"code": {"a-code"}, "state": q["state"]}
	if p.iss != "" {
		answer.Set("iss", p.iss)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (p *oidcProvider) serveToken(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = r.ParseForm()
	form := maps.Clone(r.PostForm)
	if header := r.Header.Get("Authorization"); header != "" {
		form.Set("Authorization", header)
	}
	p.asked = append(p.asked, form)
	claims := map[string]any{
		"iss": p.http.URL, "aud": oidcClient, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "nonce": p.nonce,
	}
	maps.Copy(claims, p.claims)
	answer := map[string]any{"token_type": "bearer", "access_token": "an-access-token", "id_token": p.sign(claims)}
	if p.refresh != "" {
		answer["refresh_token"] = p.refresh
	}
	answerWith(w, answer)
}

func (p *oidcProvider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.userinfo == nil || r.Header.Get("Authorization") != "Bearer an-access-token" {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	answerWith(w, p.userinfo)
}

func (p *oidcProvider) signES256(claims map[string]any) string {
	return signedBy(jose.ES256, jose.JSONWebKey{Key: p.key, KeyID: "1"}, claims)
}

func signedBy(alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

// person signs Bob in and returns him as the gateway knows him.
func (s *stage) person(clientID string) *caller {
	s.Helper()
	c, status := s.mcp(s.redeem(clientID, s.code(clientID)).tokens(s).access)
	if status != http.StatusOK {
		s.Fatalf("HTTP %d\n%s", status, s.log)
	}
	return c
}

func TestOIDC(t *testing.T) {
	p := newOIDCProvider(t)
	s := newOIDCStage(t, p)
	registered := s.register()
	page := s.browser().authorize(s.request(registered))
	page.checkPage(t, http.StatusOK, "You sign in with kc .")
	agreed, err := url.Parse(s.browser().agreed(s.request(registered)))
	if err != nil {
		t.Fatal(err)
	}
	if q := agreed.Query(); q.Get("realm") != "1" || q.Get("client_id") != oidcClient || q.Get("scope") != "openid profile email offline_access" {
		t.Errorf("the provider is asked with %v", q)
	}
	c := s.person(registered)
	if c.ID != `User::"`+p.http.URL+`#bob"` || c.Name != "Bob" || !c.Groups.Complete || !slices.Equal(c.Groups.IDs, []string{"staff"}) {
		t.Errorf("the caller is %+v", c)
	}
}

// TestUserinfo is about what providers do not say in the ID token.
func TestUserinfo(t *testing.T) {
	p := newOIDCProvider(t)
	s := newOIDCStage(t, p)
	registered := s.register()
	sub := map[string]any{"sub": "bob"}
	for _, tt := range []struct {
		name             string
		claims, userinfo map[string]any
		want             []string // groups
		oauth            string   // the error; "" for none
	}{
		{"groups are there alone", sub, map[string]any{"sub": "bob", "name": "Bob", "groups": []string{"staff"}}, []string{"staff"}, ""},
		{"the ID token is believed first", map[string]any{"sub": "bob", "groups": []string{"staff"}}, map[string]any{"sub": "bob", "groups": []string{"admins"}}, []string{"staff"}, ""},
		{"of another person", sub, map[string]any{"sub": "eve", "groups": []string{"admins"}}, nil, "access_denied"},
		{"of nobody", sub, map[string]any{"groups": []string{"admins"}}, nil, "temporarily_unavailable"},
		{"with another issuer", sub, map[string]any{"sub": "bob", "iss": "https://evil.example", "groups": []string{"staff"}}, []string{"staff"}, ""},
		{"down", sub, nil, nil, "temporarily_unavailable"},
	} {
		s.run(tt.name, func(t *testing.T) {
			p.set(func() { p.claims, p.userinfo = tt.claims, tt.userinfo })
			if tt.oauth != "" {
				s.checkError(t, s.lastAnswer(registered), redirectURI, "a state", tt.oauth)
				return
			}
			if c := s.person(registered); !c.Groups.Complete || !slices.Equal(c.Groups.IDs, tt.want) {
				t.Errorf("the caller is %+v", c)
			}
		})
	}
	s.run("groups are nowhere", func(t *testing.T) {
		p.set(func() { p.claims, p.userinfo = sub, sub })
		if c := s.person(registered); c.Groups.Complete {
			t.Errorf("groups that nobody knows are taken for none: %+v", c)
		}
	})
}

// lastAnswer is what the callback answers to a new browser.
func (s *stage) lastAnswer(clientID string) *answer {
	s.Helper()
	b := s.browser()
	return b.get(b.returned(s.request(clientID)))
}

// Test22OIDC is about a provider that promises to say who it is (RFC 9207).
func Test22OIDC(t *testing.T) {
	p := newOIDCProvider(t)
	p.metadata = map[string]any{"authorization_response_iss_parameter_supported": true}
	s := newOIDCStage(t, p)
	registered := s.register()
	for _, iss := range []string{"", "https://evil.example", p.http.URL + "/"} {
		s.run("22 "+iss, func(t *testing.T) {
			p.set(func() { p.iss = iss })
			s.lastAnswer(registered).checkPage(t, http.StatusBadRequest, "not from the identity provider")
		})
	}
	if p.requests() != nil {
		t.Error("the code was redeemed")
	}
	p.set(func() { p.iss = p.http.URL })
	if c := s.person(registered); c.Name != "Bob" {
		t.Errorf("the caller is %+v", c)
	}
}

// TestClientAuthentication is about how the gateway proves who it is there (RFC 6749
// section 2.3.1): as the provider says, and else with the header.
func TestClientAuthentication(t *testing.T) {
	secret := func(context.Context) (string, error) { return "p&ss:w rd", nil }
	const header = "Basic Z2F0ZSt3YXklM0ExOnAlMjZzcyUzQXcrcmQ=" // gate+way%3A1:p%26ss%3Aw+rd
	for _, tt := range []struct {
		name       string
		methods    []string
		credential client.Credential
		wantHeader string
		wantSecret string // in the form
	}{
		{"nothing is said", nil, client.Credential{Secret: secret}, header, ""},
		{"basic", []string{"client_secret_basic"}, client.Credential{Secret: secret}, header, ""},
		{"post", []string{"private_key_jwt", "client_secret_post"}, client.Credential{Secret: secret}, "", "p&ss:w rd"},
		{"public", nil, client.Credential{}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newOIDCProvider(t)
			if tt.methods != nil {
				p.metadata = map[string]any{"token_endpoint_auth_methods_supported": tt.methods}
			}
			tt.credential.ClientID = oidcClient
			s := newOIDCStage(t, p, func(o *broker.Options) { o.Credential = tt.credential })
			s.person(s.register())
			got := p.requests()[0]
			if got.Get("Authorization") != tt.wantHeader || got.Get("client_secret") != tt.wantSecret || got.Has("client_id") == (tt.wantHeader != "") {
				t.Errorf("the provider is asked with %v", got)
			}
			if got.Get("code") != "a-code" || len(got.Get("code_verifier")) < 43 || got.Get("redirect_uri") != s.server.URL+broker.CallbackPath {
				t.Errorf("the provider is asked with %v", got)
			}
		})
	}
}

// Test45OIDC has ID tokens that are not signed by the provider's key.
func Test45OIDC(t *testing.T) {
	p := newOIDCProvider(t)
	s := newOIDCStage(t, p)
	registered := s.register()
	public, err := p.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(alg string) func(map[string]any) string {
		return func(claims map[string]any) string {
			payload, err := json.Marshal(claims)
			if err != nil {
				panic(err)
			}
			encode := base64.RawURLEncoding.EncodeToString
			return encode([]byte(`{"alg":"`+alg+`","kid":"1"}`)) + "." + encode(payload) + "."
		}
	}
	for name, sign := range map[string]func(map[string]any) string{
		"45 none":              unsigned("none"),
		"45 None":              unsigned("None"),
		"45 ES256 without one": unsigned("ES256"),
		"45 HS256, the secret": func(c map[string]any) string {
			return signedBy(jose.HS256, []byte(strings.Repeat(gatewaySecret, 2)), c)
		},
		"45 HS256, the public key": func(c map[string]any) string { return signedBy(jose.HS256, public, c) },
		"45 another key":           func(c map[string]any) string { return signedBy(jose.ES256, jose.JSONWebKey{Key: other, KeyID: "1"}, c) },
		"45 another key, unnamed":  func(c map[string]any) string { return signedBy(jose.ES256, other, c) },
		"45 no token":              func(map[string]any) string { return "a.b" },
	} {
		s.run(name, func(t *testing.T) {
			p.set(func() { p.sign = sign })
			s.checkError(t, s.lastAnswer(registered), redirectURI, "a state", "access_denied")
		})
	}
	for name, claims := range map[string]map[string]any{
		"23 audience":              {"sub": "bob", "aud": "another"},
		"23 audiences, azp":        {"sub": "bob", "aud": []string{oidcClient, "another"}, "azp": "another"},
		"23 issuer":                {"sub": "bob", "iss": "https://evil.example"},
		"23 nonce":                 {"sub": "bob", "nonce": "x"},
		"23 no sub":                {},
		"23 sub that is a number":  {"sub": 1},
		"23 sub with a line break": {"sub": "a\nb"},
	} {
		s.run(name, func(t *testing.T) {
			p.set(func() { p.sign, p.claims = p.signES256, claims })
			s.checkError(t, s.lastAnswer(registered), redirectURI, "a state", "access_denied")
		})
	}
	if s.storedOf("code") != 0 {
		t.Error("there is a code")
	}
}

// TestNoRefreshToken is about a provider that gives none: the session lasts as long as
// its first access token.
func TestNoRefreshToken(t *testing.T) {
	p := newOIDCProvider(t)
	p.refresh = ""
	s := newOIDCStage(t, p)
	registered := s.register()
	a := s.redeem(registered, s.code(registered))
	if got := a.tokens(t); got.refresh != "" || a.json(t)["expires_in"] != 900.0 {
		t.Errorf("the client gets %s", a.body)
	}
	one := s.state.Sessions()[0]
	if left := time.Until(one.Expires); left > 16*time.Minute {
		t.Errorf("the session lasts for %s", left)
	}
	if !strings.Contains(s.log.String(), "the provider gave no refresh token") {
		t.Error("the log does not say so")
	}
}

// TestOIDCMetadata has a provider whose metadata leads nowhere safe.
func TestOIDCMetadata(t *testing.T) {
	for name, metadata := range map[string]map[string]any{
		"token endpoint without TLS":     {"token_endpoint": "http://kc.example/token"},
		"authorize endpoint without TLS": {"authorization_endpoint": "http://kc.example/authorize"},
		"javascript":                     {"authorization_endpoint": "javascript:alert(1)"},
		"no token endpoint":              {"token_endpoint": ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newOIDCProvider(t)
			p.metadata = metadata
			s := newOIDCStage(t, p)
			b := s.browser()
			b.approve(b.authorize(s.request(s.register()))).checkPage(t, http.StatusServiceUnavailable, "cannot be reached at the moment")
			if s.stored() != 0 {
				t.Error("something is stored")
			}
		})
	}
}
