package compat_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/compat"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// An entraStage is a facade in front of the stand-in for Entra, which has an API
// app, a client app and Alice.
type entraStage struct {
	*stage
	fake *fakeentra.Server
}

// newEntraStage starts both.
func newEntraStage(t *testing.T, change ...func(*compat.Options)) *entraStage {
	t.Helper()
	fake, err := fakeentra.Open(fakeentra.Options{TenantID: tenant})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	client := fake.AddApp(fakeentra.App{ClientID: clientID, Name: "clients", Scopes: []string{"mcp.access"}, TokenVersion: 2, Redirects: []fakeentra.Redirect{
		{URI: "http://localhost/callback"}, {URI: "https://vscode.dev/redirect", Platform: fakeentra.Web},
	}})
	fake.AddApp(fakeentra.App{ClientID: apiID, Name: "mcp", Scopes: []string{"mcp.access", "mcp.read"}, TokenVersion: 2, Preauthorized: []string{client.ClientID}})
	fake.AddUser(fakeentra.User{Name: "alice@contoso.example"})
	fake.Switch(func(s *fakeentra.Switches) { s.AutoSignIn = "alice@contoso.example" })
	s := newStage(t, never(t), append([]func(*compat.Options){func(o *compat.Options) {
		o.Cloud = entra.Cloud{Authority: fake.URL(), STS: fake.STS(), Graph: fake.GraphURL()}
		o.Now = time.Now
	}}, change...)...)
	return &entraStage{s, fake}
}

// signIn goes through the browser and returns the code.
func (s *entraStage) signIn(params url.Values) string {
	s.Helper()
	to := s.authorize(params).location(s.T)
	resp, err := http.DefaultTransport.RoundTrip(&http.Request{Method: http.MethodGet, URL: to, Header: http.Header{}})
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		s.Fatalf("Entra shows HTTP %d for %s", resp.StatusCode, to)
	}
	q := back.Query()
	if !strings.HasPrefix(back.String(), params.Get("redirect_uri")) || q.Get("code") == "" || q.Get("state") != params.Get("state") {
		s.Fatalf("Entra sends people to %s", back)
	}
	return q.Get("code")
}

// claims reads a token that nobody verifies here.
func claims(t *testing.T, token any) map[string]any {
	t.Helper()
	text, _ := token.(string)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("%v is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// asClientsDo are the parameters that Entra by itself would not take.
func asClientsDo(changes ...string) url.Values {
	return authorizeParams(append([]string{"prompt", "consent", "scope", "mcp.access mcp.read offline_access"}, changes...)...)
}

func TestEntraSignsInAndRefreshes(t *testing.T) {
	s := newEntraStage(t)
	s.fake.Switch(func(s *fakeentra.Switches) { s.UserConsentDisabled = true }) // prompt=consent would stop everybody
	answer := s.token(codeForm("code", s.signIn(asClientsDo()))).json(t)
	for range 2 {
		c := claims(t, answer["access_token"])
		left := c["exp"].(float64) - float64(time.Now().Unix())
		if c["aud"] != apiID || c["scp"] != "mcp.access mcp.read" || answer["scope"] != "mcp.access mcp.read" || answer["id_token"] != nil {
			t.Fatalf("answer %v with claims %v", answer, c)
		}
		if got := answer["expires_in"].(float64); got < left-2 || got > left+2 {
			t.Errorf("it lasts %v s, and is said to last %v", left, got)
		}
		refresh, _ := answer["refresh_token"].(string)
		answer = s.token(refreshForm("refresh_token", refresh, "resource", publicURL+"/mcp")).json(t)
	}
	for _, e := range s.fake.Journal() {
		if e.Query.Has("resource") || e.Form.Has("resource") || e.Query.Get("prompt") == "consent" || e.Header.Get("Origin") != "" && e.Endpoint() == "token" {
			t.Errorf("Entra got %+v", e)
		}
	}
}

func TestEntraOfFewerScopes(t *testing.T) {
	s := newEntraStage(t)
	answer := s.token(codeForm("code", s.signIn(asClientsDo("scope", "mcp.read")))).json(t)
	if scopes, _ := claims(t, answer["access_token"])["scp"].(string); !slices.Contains(strings.Fields(scopes), "mcp.read") {
		t.Errorf("the token has the scopes %q", scopes)
	}
}

// TestEntraIDTokens has one app for clients and API, which Entra refuses to
// refresh under the API's URI.
func TestEntraIDTokens(t *testing.T) {
	s := newEntraStage(t, idTokens, func(o *compat.Options) {
		o.Scopes = []compat.Scope{{Name: "mcp.access", Qualified: clientID + "/mcp.access"}}
	})
	answer := s.token(codeForm("code", s.signIn(asClientsDo()))).json(t)
	for range 2 {
		c := claims(t, answer["access_token"])
		left := c["exp"].(float64) - float64(time.Now().Unix())
		if got := answer["expires_in"].(float64); c["aud"] != clientID || c["scp"] != nil || got < left-2 || got > left+2 {
			t.Fatalf("answer %v with claims %v", answer, c)
		}
		refresh, _ := answer["refresh_token"].(string)
		answer = s.token(refreshForm("refresh_token", refresh)).json(t)
	}
}

func Test34EntraGivesATokenForGraph(t *testing.T) {
	s := newEntraStage(t, func(o *compat.Options) { o.Scopes = nil })
	r := s.token(codeForm("code", s.signIn(authorizeParams("scope", ""))))
	s.wantError(r, http.StatusServiceUnavailable, "temporarily_unavailable", "token for Microsoft Graph")
	if strings.Contains(r.body, "eyJ") {
		t.Errorf("the answer has a token: %s", r.body)
	}
}

func TestEntraRefuses(t *testing.T) {
	s := newEntraStage(t)
	code := s.signIn(asClientsDo())
	answer := s.token(codeForm("code", code)).json(t)
	refresh, _ := answer["refresh_token"].(string)
	s.wantError(s.token(codeForm("code", code)), http.StatusBadRequest, "invalid_grant", "AADSTS54005")
	s.wantError(s.token(codeForm("code", s.signIn(asClientsDo()), "code_verifier", strings.Repeat("a", 43))), http.StatusBadRequest, "invalid_grant", "AADSTS501481")
	s.wantError(s.token(codeForm("code", s.signIn(asClientsDo()), "redirect_uri", "http://localhost:1/other")), http.StatusBadRequest, "invalid_grant", "AADSTS")
	s.wantError(s.token(refreshForm("refresh_token", "nonsense")), http.StatusBadRequest, "invalid_grant", "AADSTS")

	vscode := []string{"redirect_uri", "https://vscode.dev/redirect"}
	s.wantError(s.token(codeForm(append(vscode, "code", s.signIn(asClientsDo(vscode...)))...)), http.StatusServiceUnavailable, "temporarily_unavailable", "AADSTS7000218")
	s.wantLogged("Mobile and desktop applications instead of Web")

	s.fake.Switch(func(s *fakeentra.Switches) { s.RequireMFA = true })
	s.wantError(s.token(refreshForm("refresh_token", refresh)), http.StatusBadRequest, "invalid_grant", "AADSTS50076")
	s.fake.Switch(func(s *fakeentra.Switches) { s.RequireMFA = false })
	s.fake.Revoke("alice@contoso.example")
	s.wantError(s.token(refreshForm("refresh_token", refresh)), http.StatusBadRequest, "invalid_grant", "AADSTS50173")
}

func Test33EntraHasTrouble(t *testing.T) {
	s := newEntraStage(t)
	refresh, _ := s.token(codeForm("code", s.signIn(asClientsDo()))).json(t)["refresh_token"].(string)
	for _, fault := range []fakeentra.Fault{
		{Status: 503, RetryAfter: "3"},
		{Status: 429, RetryAfter: "3"},
		{Status: 500, Body: fakeentra.BodyHTML},
		{Body: fakeentra.BodyHTML},
		{Status: 503, Body: fakeentra.BodyTransient},
		{Status: 200, Body: fakeentra.BodyHuge},
		{Status: 200, Body: fakeentra.BodyCut},
		{Status: 302, Body: fakeentra.BodyRedirect},
		{Body: fakeentra.BodyRedirect},
	} {
		fault.Endpoint, fault.Times = "token", 1
		s.fake.Fail(fault)
		r := s.token(refreshForm("refresh_token", refresh))
		if s.wantError(r, http.StatusServiceUnavailable, "temporarily_unavailable", "Entra"); r.header.Get("Retry-After") == "" {
			t.Errorf("%+v: no Retry-After", fault)
		}
		if r := s.token(refreshForm("refresh_token", refresh)); r.status != http.StatusOK {
			t.Errorf("after %+v, the session is lost: HTTP %d with %s", fault, r.status, r.body)
		}
	}
}
