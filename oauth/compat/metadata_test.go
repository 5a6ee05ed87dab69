package compat_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/oauth/compat"
)

var metadataPaths = []string{"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp", "/.well-known/oauth-authorization-server/mcp/"}

var openIDPaths = []string{"/.well-known/openid-configuration", "/.well-known/openid-configuration/mcp", "/.well-known/openid-configuration/mcp/", "/mcp/.well-known/openid-configuration"}

func TestMetadata(t *testing.T) {
	s := newStage(t, never(t))
	want := map[string]any{
		"issuer":                                "https://mcp.example",
		"authorization_endpoint":                "https://mcp.example/oauth2/authorize",
		"token_endpoint":                        "https://mcp.example/oauth2/token",
		"registration_endpoint":                 "https://mcp.example/register",
		"scopes_supported":                      []any{"mcp.access", "mcp.read"},
		"response_types_supported":              []any{"code"},
		"response_modes_supported":              []any{"query"},
		"grant_types_supported":                 []any{"authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported": []any{"none"},
		"code_challenge_methods_supported":      []any{"S256"},
	}
	for _, path := range append(metadataPaths, openIDPaths...) {
		got := s.do(http.MethodGet, path, "", "Host", "evil.example", "X-Forwarded-Host", "evil.example").json(t)
		if strings.Contains(path, "openid") {
			for _, name := range []string{"jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported"} {
				if got[name] == nil {
					t.Errorf("%s has no %s, which clients insist on", path, name)
				}
				delete(got, name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs from what is wanted (-want +got):\n%s", path, diff)
		}
	}
}

func TestMetadataOfAPublicURLWithASlash(t *testing.T) {
	s := newStage(t, never(t), func(o *compat.Options) {
		u := *o.PublicURL
		u.Path = "/"
		o.PublicURL = &u
	})
	if got := s.do(http.MethodGet, metadataPaths[0], "").json(t)["issuer"]; got != "https://mcp.example" {
		t.Errorf("issuer %v", got)
	}
}

func TestMetadataWithoutScopes(t *testing.T) {
	s := newStage(t, never(t), func(o *compat.Options) { o.Scopes, o.IDToken = nil, true })
	if got, ok := s.do(http.MethodGet, metadataPaths[0], "").json(t)["scopes_supported"]; ok {
		t.Errorf("scopes_supported is %v", got)
	}
}

func TestHeadIsLikeGet(t *testing.T) {
	s := newStage(t, never(t))
	get, head := s.do(http.MethodGet, metadataPaths[0], ""), s.do(http.MethodHead, metadataPaths[0], "")
	for _, h := range []http.Header{get.header, head.header} {
		h.Del("Date")
		h.Del("Content-Length")
	}
	if diff := cmp.Diff(get.header, head.header); diff != "" || head.status != http.StatusOK || head.body != "" {
		t.Errorf("HEAD: HTTP %d, %q, headers (-GET +HEAD):\n%s", head.status, head.body, diff)
	}
}

func Test36CrossOrigin(t *testing.T) {
	s := newStage(t, gives(entraGives(nil)))
	for _, path := range append([]string{"/oauth2/token", "/token", "/register"}, append(metadataPaths, openIDPaths...)...) {
		r := s.do(http.MethodOptions, path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,mcp-protocol-version")
		if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: HTTP %d, %v", path, r.status, r.header)
		}
		if !strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version") {
			t.Errorf("%s allows the headers %q", path, r.header.Get("Access-Control-Allow-Headers"))
		}
	}
	r := s.token(codeForm(), "Origin", "https://evil.example", "Cookie", "a=b", "X-Forwarded-For", "192.0.2.1", "MCP-Protocol-Version", "2026-07-28")
	if r.status != http.StatusOK || r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("the token: HTTP %d, %v", r.status, r.header)
	}
	want := map[string]bool{"Accept": true, "Accept-Encoding": true, "Content-Length": true, "Content-Type": true, "User-Agent": true}
	for name := range s.onlyRequest().Header {
		if !want[name] {
			t.Errorf("Entra got the header %s", name)
		}
	}
	if r := s.do(http.MethodOptions, "/oauth2/authorize", "", "Origin", "https://evil.example"); r.status != http.StatusMethodNotAllowed || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("the authorization endpoint: HTTP %d, %v", r.status, r.header)
	}
}

func TestOtherPathsAreNotServed(t *testing.T) {
	s := newStage(t, never(t))
	for _, path := range []string{"/", "/oauth2", "/oauth2/", "/oauth2/callback", "/oauth2/authorize/", "/.well-known/", "/mcp"} {
		if r := s.do(http.MethodGet, path, ""); r.status != http.StatusNotFound {
			t.Errorf("%s: HTTP %d", path, r.status)
		}
	}
}
