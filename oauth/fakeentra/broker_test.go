package fakeentra_test

import (
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

const gatewayCallback = "http://localhost:8080/oauth2/callback"

// newGateway makes the client of a stage a gateway that signs people in itself: a
// server with a secret, that asks for no API.
func newGateway(t *testing.T) (s *stage, asks map[string]string) {
	t.Helper()
	s = newStage(t)
	s.client = s.AddApp(fakeentra.App{
		Name: "gateway", Secrets: []string{"secret"}, IDTokenGroups: true,
		Redirects: []fakeentra.Redirect{{URI: gatewayCallback, Platform: fakeentra.Web}},
	})
	return s, map[string]string{"redirect_uri": gatewayCallback, "scope": "openid profile email offline_access"}
}

// redeemed signs somebody in and redeems their code.
func (s *stage) redeemed(asks, proof map[string]string) tokens {
	s.t.Helper()
	form := s.redeem(s.code(asks), proof)
	form.Set("redirect_uri", gatewayCallback)
	return s.token(form)
}

var withSecret = map[string]string{"client_secret": "secret"}

// TestGatewayRefresh is what a gateway checks about people again and again.
func TestGatewayRefresh(t *testing.T) {
	s, asks := newGateway(t)
	first := s.redeemed(asks, withSecret)
	if c := claimsOf(t, first.IDToken); c["nonce"] != "n" || c["oid"] != s.alice.ID || len(c["groups"].([]any)) != 1 {
		t.Fatalf("the ID token is %v", c)
	}
	for name, tt := range map[string]struct {
		proof    map[string]string
		wantCode string
	}{
		"no secret":    {nil, "7000218"},
		"wrong secret": {map[string]string{"client_secret": "x"}, "7000215"},
	} {
		got := s.token(s.renew(first.RefreshToken, tt.proof))
		if got.Error != "invalid_client" || got.code() != tt.wantCode || got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s; want AADSTS%s", name, got.status, got.body, tt.wantCode)
		}
	}
	data := s.AddGroup(fakeentra.Group{Name: "data"})
	s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Groups = []string{data.ID} })
	second := s.token(s.renew(first.RefreshToken, withSecret))
	if groups := claimsOf(t, second.IDToken)["groups"].([]any); !slices.Equal(groups, []any{data.ID}) {
		t.Errorf("after the groups changed they are %v", groups)
	}
	s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Disabled = true })
	if got := s.token(s.renew(second.RefreshToken, withSecret)); got.Error != "invalid_grant" || got.code() != "50057" {
		t.Errorf("after the account was disabled: %s", got.body)
	}
}

// TestGatewayAssertions are the credentials of a gateway that has no secret, for
// codes and refresh tokens.
func TestGatewayAssertions(t *testing.T) {
	s, asks := newGateway(t)
	key, cert, thumbprint := certificate(t)
	issuerKey, _, _ := certificate(t)
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) {
		a.Secrets, a.Certificates = nil, []*x509.Certificate{cert}
		a.Federated = []fakeentra.FederatedCredential{{
			Issuer: "https://cluster.example", Subject: "system:serviceaccount:mcp:gateway",
			Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: issuerKey.Public(), KeyID: "k"}}},
		}}
	})
	expires := time.Now().Add(time.Minute).Unix()
	own := map[string]any{"iss": s.client.ClientID, "sub": s.client.ClientID, "aud": s.endpoint("token"), "exp": expires}
	pod := map[string]any{
		"iss": "https://cluster.example", "sub": "system:serviceaccount:mcp:gateway", "aud": "api://AzureADTokenExchange", "exp": expires, "jti": "pod",
	}
	for name, tt := range map[string]struct {
		signer signer
		claims map[string]any
	}{
		"certificate": {signer{t, key, jose.PS256, map[jose.HeaderKey]any{"x5t#S256": challenge(string(cert.Raw))}}, own},
		"federated":   {signer{t, issuerKey, jose.RS256, map[jose.HeaderKey]any{"kid": "k"}}, pod},
	} {
		proof := func(jti string) map[string]string {
			return map[string]string{
				"client_assertion": tt.signer.sign(tt.claims, map[string]any{"jti": name + jti}), "client_assertion_type": assertionType,
			}
		}
		first := s.redeemed(asks, proof("1"))
		if first.status != http.StatusOK {
			t.Errorf("%s, a code: %s", name, first.body)
			continue
		}
		if got := s.token(s.renew(first.RefreshToken, proof("2"))); got.status != http.StatusOK {
			t.Errorf("%s, a refresh: %s", name, got.body)
		}
	}
	other := signer{t, issuerKey, jose.RS256, map[jose.HeaderKey]any{"x5t": thumbprint}}
	bad := map[string]string{"client_assertion": other.sign(own, map[string]any{"jti": "other"}), "client_assertion_type": assertionType}
	if got := s.redeemed(asks, bad); got.Error != "invalid_client" || got.code() != "700027" {
		t.Errorf("a key of another certificate: %s", got.body)
	}
}

// TestWebRedirect is compared as it is, but for the port of localhost.
func TestWebRedirect(t *testing.T) {
	s, _ := newGateway(t)
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) {
		a.Redirects = []fakeentra.Redirect{{URI: "https://gw.example/oauth2/callback", Platform: fakeentra.Web}}
	})
	for _, uri := range []string{
		"https://gw.example/oauth2/callback/", "https://gw.example/oauth2/Callback", "https://gw.example/oauth2/callback?x=1",
		"https://gw.example:8443/oauth2/callback", "http://gw.example/oauth2/callback", "https://gw.example/",
	} {
		if a := s.authorize(map[string]string{"redirect_uri": uri, "scope": "openid"}); a.code() != "50011" || a.location != nil {
			t.Errorf("%s: AADSTS%s, %v", uri, a.code(), a.location)
		}
	}
	if a := s.authorize(map[string]string{"redirect_uri": "https://gw.example/oauth2/callback", "scope": "openid"}); a.code() != "" {
		t.Errorf("the registered one: AADSTS%s", a.code())
	}
}

// TestChallenge is a policy that comes into force: codes and refresh tokens are
// refused until somebody signs in with the claims that it wants.
func TestChallenge(t *testing.T) {
	const challenge = `{"access_token":{"acrs":{"essential":true,"value":"c3"}}}`
	s, asks := newGateway(t)
	before := s.redeemed(asks, withSecret)
	if a := s.admin("PATCH", "/switches", `{"challenge":"{\"access_token\":{\"acrs\":{\"essential\":true,\"value\":\"c3\"}}}"}`); a.status != http.StatusOK {
		t.Fatalf("the switch: %s", a.body)
	}
	for name, got := range map[string]tokens{
		"a code":    s.redeemed(asks, withSecret),
		"a refresh": s.token(s.renew(before.RefreshToken, withSecret)),
	} {
		if got.Error != "interaction_required" || got.Claims != challenge || got.Suberror != "basic_action" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	asks["claims"] = `{"access_token":{"acrs":{"essential":true,"value":"c3"}},"id_token":{"acrs":{"essential":true,"value":"c1"}}}`
	if a := s.authorize(asks); a.status != http.StatusOK || !strings.Contains(a.body, "<form") {
		t.Errorf("a session that has not shown it: %d %v", a.status, a.location)
	}
	after := s.redeemed(asks, withSecret)
	if acrs, _ := claimsOf(t, after.IDToken)["acrs"].([]any); !slices.Equal(acrs, []any{"c1"}) {
		t.Errorf("acrs of the ID token is %v", acrs)
	}
	if got := s.token(s.renew(after.RefreshToken, withSecret)); got.status != http.StatusOK {
		t.Errorf("a refresh after it: %s", got.body)
	}
	if got := s.token(s.renew(before.RefreshToken, withSecret)); got.Error != "interaction_required" {
		t.Errorf("the refresh token from before: %s", got.body)
	}
}
