package fakeentra_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 by definition
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

func basic(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
}

// credentials is the form with which a program asks for a token.
func (s *stage) credentials(client string, changes map[string]string) url.Values {
	return form(map[string]string{"grant_type": "client_credentials", "client_id": client, "scope": s.scope(".default")}, changes)
}

func TestProgram(t *testing.T) {
	s := newStage(t)
	daemon := s.AddApp(fakeentra.App{Name: "daemon", Secrets: []string{"secret", "other"}, Roles: map[string][]string{s.api.ClientID: {"Mcp.Agent"}}})
	got := s.token(s.credentials(daemon.ClientID, map[string]string{"client_secret": "other"}))
	c := claimsOf(t, got.AccessToken)
	if got.RefreshToken != "" || got.IDToken != "" || c["oid"] != c["sub"] || c["azp"] != daemon.ClientID || c["azpacr"] != "1" || c["scp"] != nil || c["idtyp"] != nil {
		t.Errorf("the token is %v", c)
	}
	if roles, _ := c["roles"].([]any); len(roles) != 1 || roles[0] != "Mcp.Agent" {
		t.Errorf("its roles are %v", c["roles"])
	}
	for _, tt := range []struct {
		name, client string
		changes      map[string]string
		header       []string
		wantStatus   int
		wantCode     string
	}{
		{"no secret", daemon.ClientID, nil, nil, 401, "7000218"},
		{"wrong secret", daemon.ClientID, map[string]string{"client_secret": "x"}, nil, 401, "7000215"},
		{"public client", s.client.ClientID, map[string]string{"client_secret": "x"}, nil, 401, "700025"},
		{"no .default", daemon.ClientID, map[string]string{"client_secret": "secret", "scope": s.scope("mcp.access")}, nil, 400, "1002012"},
		{"no scope", daemon.ClientID, map[string]string{"client_secret": "secret", "scope": "-"}, nil, 400, "900144"},
		{"unknown API", daemon.ClientID, map[string]string{"client_secret": "secret", "scope": "api://nobody/.default"}, nil, 400, "500011"},
		{"Origin", daemon.ClientID, map[string]string{"client_secret": "secret"}, []string{"Origin", "https://app.example"}, 400, "9002326"},
	} {
		if got := s.token(s.credentials(tt.client, tt.changes), tt.header...); got.status != tt.wantStatus || got.code() != tt.wantCode {
			t.Errorf("%s: %d %s; want %d, AADSTS%s", tt.name, got.status, got.body, tt.wantStatus, tt.wantCode)
		}
	}
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.OptionalClaims, a.AssignmentRequired = []string{"idtyp"}, true })
	if got := s.token(s.credentials(daemon.ClientID, map[string]string{"client_secret": "secret"})); claimsOf(t, got.AccessToken)["idtyp"] != "app" {
		t.Errorf("with the optional claim idtyp: %s", got.body)
	}
	s.ChangeApp(daemon.ClientID, func(a *fakeentra.App) { a.Roles = nil })
	if got := s.token(s.credentials(daemon.ClientID, map[string]string{"client_secret": "secret"})); got.code() != "501051" {
		t.Errorf("without a role where assignment is required: %s", got.body)
	}
}

// A signer makes assertions.
type signer struct {
	t      *testing.T
	key    any
	alg    jose.SignatureAlgorithm
	header map[jose.HeaderKey]any
}

func (g signer) sign(claims, changes map[string]any) string {
	g.t.Helper()
	all := maps.Clone(claims)
	maps.Copy(all, changes)
	payload, err := json.Marshal(all)
	if err != nil {
		g.t.Fatal(err)
	}
	sig, err := jose.NewSigner(jose.SigningKey{Algorithm: g.alg, Key: g.key}, &jose.SignerOptions{ExtraHeaders: g.header})
	if err != nil {
		g.t.Fatal(err)
	}
	signed, err := sig.Sign(payload)
	if err != nil {
		g.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

func certificate(t *testing.T) (*rsa.PrivateKey, *x509.Certificate, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(der) //nolint:gosec // as above
	return key, cert, base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestCertificate(t *testing.T) {
	s := newStage(t)
	key, cert, thumbprint := certificate(t)
	otherKey, _, otherThumbprint := certificate(t)
	app := s.AddApp(fakeentra.App{Name: "daemon", Certificates: []*x509.Certificate{cert}})
	good := signer{t, key, jose.RS256, map[jose.HeaderKey]any{"x5t": thumbprint}}
	claims := map[string]any{
		"iss": app.ClientID, "sub": app.ClientID, "aud": s.endpoint("token"), "jti": "first",
		"exp": time.Now().Add(10 * time.Minute).Unix(), "nbf": time.Now().Unix(),
	}
	ask := func(assertion string, changes map[string]string) tokens {
		t.Helper()
		all := map[string]string{"client_assertion": assertion, "client_assertion_type": assertionType}
		maps.Copy(all, changes)
		return s.token(s.credentials(app.ClientID, all))
	}
	if got := ask(good.sign(claims, nil), nil); got.status != http.StatusOK || claimsOf(t, got.AccessToken)["azpacr"] != "2" {
		t.Fatalf("a good one: %s", got.body)
	}
	ps256 := good
	ps256.alg = jose.PS256
	if got := ask(ps256.sign(claims, map[string]any{"jti": "second"}), nil); got.status != http.StatusOK {
		t.Errorf("with PS256: %s", got.body)
	}
	for _, tt := range []struct {
		name     string
		signer   signer
		claims   map[string]any
		changes  map[string]string
		wantCode string
	}{
		{"used before", good, nil, nil, "700028"},
		{"no jti", good, map[string]any{"jti": ""}, nil, "50027"},
		{"unknown certificate", signer{t, otherKey, jose.RS256, map[jose.HeaderKey]any{"x5t": otherThumbprint}}, nil, nil, "700027"},
		{"another key", signer{t, otherKey, jose.RS256, map[jose.HeaderKey]any{"x5t": thumbprint}}, nil, nil, "700027"},
		{"no x5t", signer{t, key, jose.RS256, nil}, nil, nil, "700027"},
		{"another audience", good, map[string]any{"aud": "https://other.example", "jti": "a"}, nil, "700023"},
		{"another subject", good, map[string]any{"sub": "other", "jti": "b"}, nil, "700021"},
		{"expired", good, map[string]any{"exp": time.Now().Add(-time.Minute).Unix(), "jti": "c"}, nil, "700024"},
		{"no exp", good, map[string]any{"exp": 0, "jti": "d"}, nil, "700024"},
		{"not yet", good, map[string]any{"nbf": time.Now().Add(time.Hour).Unix(), "jti": "e"}, nil, "700024"},
		{"no type", good, map[string]any{"jti": "f"}, map[string]string{"client_assertion_type": "-"}, "900144"},
	} {
		got := ask(tt.signer.sign(claims, tt.claims), tt.changes)
		if got.code() != tt.wantCode || got.status == http.StatusOK {
			t.Errorf("%s: %s; want AADSTS%s", tt.name, got.body, tt.wantCode)
		}
	}
	if got := ask("no token", nil); got.code() != "50027" || got.status != http.StatusUnauthorized {
		t.Errorf("no JWT: %s", got.body)
	}
}

func TestFederated(t *testing.T) {
	s := newStage(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const issuer, subject = "https://cluster.example", "system:serviceaccount:mcp:gateway"
	app := s.AddApp(fakeentra.App{Name: "daemon", Federated: []fakeentra.FederatedCredential{{
		Issuer: issuer, Subject: subject,
		Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256"}}},
	}}})
	claims := map[string]any{"iss": issuer, "sub": subject, "aud": []string{"api://AzureADTokenExchange"}, "exp": time.Now().Add(time.Hour).Unix()}
	good := signer{t, key, jose.ES256, map[jose.HeaderKey]any{"kid": "k"}}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		signer   signer
		claims   map[string]any
		wantCode string // "" if it is accepted
	}{
		{"a good one", good, nil, ""},
		{"again", good, nil, ""},
		{"another issuer", good, map[string]any{"iss": "https://other.example"}, "700211"},
		{"another audience", good, map[string]any{"aud": "other"}, "700212"},
		{"another subject", good, map[string]any{"sub": "other"}, "700213"},
		{"expired", good, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, "700024"},
		{"unknown key", signer{t, key, jose.ES256, map[jose.HeaderKey]any{"kid": "x"}}, nil, "50013"},
		{"another key", signer{t, other, jose.ES256, map[jose.HeaderKey]any{"kid": "k"}}, nil, "50013"},
	} {
		got := s.token(s.credentials(app.ClientID, map[string]string{"client_assertion": tt.signer.sign(claims, tt.claims), "client_assertion_type": assertionType}))
		if got.code() != tt.wantCode || (got.AccessToken != "") != (tt.wantCode == "") {
			t.Errorf("%s: %s; want AADSTS%s", tt.name, got.body, tt.wantCode)
		}
	}
}

// TestOnBehalf exchanges a person's token for one for Graph.
func TestOnBehalf(t *testing.T) {
	s := newStage(t)
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.Secrets = []string{"secret"} })
	s.Consent("", s.api.ClientID, fakeentra.GraphApp, "User.Read")
	mint := func(r fakeentra.TokenRequest) string {
		t.Helper()
		token, err := s.Token(r)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	person := fakeentra.TokenRequest{User: s.alice.ID, Client: s.client.ClientID, Resource: s.api.ClientID, Scopes: []string{"mcp.access"}}
	ask := func(assertion string, changes map[string]string) tokens {
		t.Helper()
		all := map[string]string{
			"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "requested_token_use": "on_behalf_of", "client_id": s.api.ClientID,
			"client_secret": "secret", "assertion": assertion, "scope": "https://graph.microsoft.com/User.Read",
		}
		return s.token(form(all, changes))
	}
	got := ask(mint(person), nil)
	if c := claimsOf(t, got.AccessToken); c["oid"] != s.alice.ID || c["appid"] != s.api.ClientID || c["aud"] != "https://graph.microsoft.com" || c["scp"] != "User.Read" {
		t.Fatalf("the token is %s", got.body)
	}
	with := func(change func(*fakeentra.TokenRequest)) string {
		r := person
		change(&r)
		return mint(r)
	}
	for _, tt := range []struct {
		name      string
		assertion string
		changes   map[string]string
		wantCode  string
	}{
		{"another audience", with(func(r *fakeentra.TokenRequest) { r.Resource = "api://other" }), nil, "500131"},
		{"an ID token", with(func(r *fakeentra.TokenRequest) { r.ID, r.Client = true, s.api.ClientID }), nil, "240002"},
		{"a program's", with(func(r *fakeentra.TokenRequest) { r.User, r.Claims = "", map[string]any{"roles": []string{"Mcp.Agent"}} }), nil, "7000114"},
		{"expired", with(func(r *fakeentra.TokenRequest) { r.Lifetime = -time.Minute }), nil, "500133"},
		{"bad signature", with(func(r *fakeentra.TokenRequest) { r.BadSignature = true }), nil, "50013"},
		{"no secret", mint(person), map[string]string{"client_secret": "-"}, "7000218"},
		{"no consent", mint(person), map[string]string{"scope": "https://graph.microsoft.com/Mail.Read"}, "65001"},
		{"no use", mint(person), map[string]string{"requested_token_use": "-"}, "900144"},
	} {
		if got := ask(tt.assertion, tt.changes); got.code() != tt.wantCode || got.AccessToken != "" {
			t.Errorf("%s: %s; want AADSTS%s", tt.name, got.body, tt.wantCode)
		}
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.RequireMFA = true })
	if got := ask(mint(person), nil); got.Error != "interaction_required" || !slices.Equal(got.ErrorCodes, []int{50076}) || got.Claims == "" {
		t.Errorf("where a policy wants MFA: %s", got.body)
	}
}
