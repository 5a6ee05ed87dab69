package fakeentra_test

import (
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// TestIndependentClient signs in with libraries that know nothing of the stand-in.
func TestIndependentClient(t *testing.T) {
	s := newStage(t)
	provider, err := oidc.NewProvider(t.Context(), s.Issuer(""))
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: s.client.ClientID, RedirectURL: "http://localhost:7000/callback", Scopes: []string{"openid", "profile", "offline_access", s.scope("mcp.access")},
		Endpoint: provider.Endpoint(),
	}
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	pkce := oauth2.GenerateVerifier()
	page := s.get(config.AuthCodeURL("state", oauth2.S256ChallengeOption(pkce), oidc.Nonce("nonce"), oauth2.SetAuthURLParam("login_hint", s.alice.Name)))
	done := s.submit(page, map[string]string{"login": s.alice.Name, "passwd": "x"})
	if done.param("state") != "state" || done.location.Host != "localhost:7000" {
		t.Fatalf("the browser was sent to %v", done.location)
	}
	token, err := config.Exchange(t.Context(), done.param("code"), oauth2.VerifierOption(pkce))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	identity, err := provider.Verifier(&oidc.Config{ClientID: s.client.ClientID}).Verify(t.Context(), raw)
	if err != nil || identity.Nonce != "nonce" {
		t.Fatalf("the ID token is %+v, %v", identity, err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: s.api.ClientID}).Verify(t.Context(), token.AccessToken); err != nil {
		t.Fatal(err)
	}
	token.Expiry = token.Expiry.AddDate(0, 0, -1)
	renewed, err := config.TokenSource(t.Context(), token).Token()
	if err != nil || renewed.AccessToken == token.AccessToken || renewed.RefreshToken == token.RefreshToken {
		t.Fatalf("the refresh gave %+v, %v", renewed, err)
	}
}

// TestIndependentVerification checks minted tokens of both versions, and that
// one for Graph cannot be verified by others.
func TestIndependentVerification(t *testing.T) {
	s := newStage(t)
	keys := oidc.NewRemoteKeySet(t.Context(), s.URL()+"/"+s.TenantID()+"/discovery/keys")
	verify := func(issuer, audience, token string) error {
		_, err := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: audience}).Verify(t.Context(), token)
		return err
	}
	mint := func(r fakeentra.TokenRequest) string {
		t.Helper()
		token, err := s.Token(r)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	v1 := mint(fakeentra.TokenRequest{User: s.alice.ID, Resource: "api://" + s.api.ClientID, Version: 1, Scopes: []string{"mcp.access"}})
	if err := verify(s.IssuerV1(""), "api://"+s.api.ClientID, v1); err != nil {
		t.Errorf("a token of version 1: %v", err)
	}
	graph := mint(fakeentra.TokenRequest{User: s.alice.ID, Resource: fakeentra.GraphApp, Scopes: []string{"User.Read"}})
	if err := verify(s.IssuerV1(""), fakeentra.GraphApp, graph); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a token for Graph: %v; want a signature that does not verify", err)
	}
	bad := mint(fakeentra.TokenRequest{User: s.alice.ID, Resource: s.api.ClientID, BadSignature: true})
	if err := verify(s.Issuer(""), s.api.ClientID, bad); err == nil {
		t.Error("a token with a bad signature verifies")
	}
}

// TestCommonIssuer says what a client must do on its own: the issuer of several
// tenants is a template.
func TestCommonIssuer(t *testing.T) {
	s := newStage(t)
	if _, err := oidc.NewProvider(t.Context(), s.URL()+"/common/v2.0"); err == nil || !strings.Contains(err.Error(), "{tenantid}") {
		t.Errorf("the metadata of common: %v; want another issuer, with {tenantid}", err)
	}
}
