package fakeentra_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// TestAuthorizePages are the errors that the client never hears of.
func TestAuthorizePages(t *testing.T) {
	s := newStage(t)
	other := s.AddTenant(fakeentra.Tenant{Domain: "fabrikam.example", Name: "Fabrikam"})
	none := s.AddApp(fakeentra.App{Name: "no redirects"})
	for _, tt := range []struct {
		name, tenant string
		query        url.Values
		wantCode     string
	}{
		{"unknown tenant", "nowhere.example", s.query(nil), "90002"},
		{"tenant comes before client", "nowhere.example", s.query(map[string]string{"client_id": "x"}), "90002"},
		{"no client", s.TenantID(), s.query(map[string]string{"client_id": "-"}), "900144"},
		{"unknown client", s.TenantID(), s.query(map[string]string{"client_id": "11111111-1111-1111-1111-111111111111"}), "700016"},
		{"client comes before redirect", s.TenantID(), s.query(map[string]string{"client_id": "x", "redirect_uri": "https://evil.example/"}), "700016"},
		{"client of another tenant", other.ID, s.query(nil), "700016"},
		{"client of one tenant at common", "common", s.query(nil), "50194"},
		{"no redirect", s.TenantID(), s.query(map[string]string{"redirect_uri": "-"}), "900971"},
		{"none registered", s.TenantID(), s.query(map[string]string{"client_id": none.ClientID}), "500113"},
		{"relative redirect", s.TenantID(), s.query(map[string]string{"redirect_uri": "/callback"}), "50102"},
		{"other redirect", s.TenantID(), s.query(map[string]string{"redirect_uri": "https://evil.example/callback"}), "50011"},
		{"redirect comes before response type", s.TenantID(), s.query(map[string]string{"redirect_uri": "https://evil.example/", "response_type": "-"}), "50011"},
	} {
		a := s.get(s.URL() + "/" + tt.tenant + "/oauth2/v2.0/authorize?" + tt.query.Encode())
		if a.code() != tt.wantCode || a.status != http.StatusBadRequest || a.location != nil {
			t.Errorf("%s: %d, AADSTS%s, to %v; want a page with AADSTS%s", tt.name, a.status, a.code(), a.location, tt.wantCode)
		}
	}
	twice := s.query(nil)
	twice.Add("redirect_uri", "https://evil.example/")
	if a := s.get(s.endpoint("authorize") + "?" + twice.Encode()); a.code() != "9000411" || a.location != nil {
		t.Errorf("two redirect URIs: AADSTS%s, to %v", a.code(), a.location)
	}
}

// TestAuthorizeRedirects are the errors that the client gets, with its state.
func TestAuthorizeRedirects(t *testing.T) {
	s := newStage(t)
	spa := s.AddApp(fakeentra.App{Name: "spa", Redirects: []fakeentra.Redirect{{URI: callback, Platform: fakeentra.SPA}}})
	for _, tt := range []struct {
		name      string
		changes   map[string]string
		wantError string
		wantCode  string
	}{
		{"no response type", map[string]string{"response_type": "-"}, "invalid_request", "900144"},
		{"token", map[string]string{"response_type": "token"}, "unsupported_response_type", "700051"},
		{"id_token", map[string]string{"response_type": "code id_token"}, "unsupported_response_type", "700054"},
		{"response mode", map[string]string{"response_mode": "web_message"}, "invalid_request", "70007"},
		{"no scope", map[string]string{"scope": "-"}, "invalid_request", "900144"},
		{"empty scope", map[string]string{"scope": " "}, "invalid_scope", "28003"},
		{"bad scope", map[string]string{"scope": "a\"b"}, "invalid_scope", "70011"},
		{"bare scope", map[string]string{"scope": "mcp.access"}, "invalid_scope", "650053"},
		{"unknown scope", map[string]string{"scope": s.scope("mcp.other")}, "invalid_scope", "650053"},
		{"unknown API", map[string]string{"scope": "api://nobody/x"}, "invalid_resource", "500011"},
		{".default and another", map[string]string{"scope": s.scope(".default") + " " + s.scope("mcp.access")}, "invalid_scope", "70011"},
		{".default without permission", map[string]string{"scope": s.scope(".default")}, "invalid_resource", "650057"},
		{"method", map[string]string{"code_challenge_method": "S512"}, "invalid_request", "50149"},
		{"short challenge", map[string]string{"code_challenge": "short"}, "invalid_request", "501491"},
		{"long S256 challenge", map[string]string{"code_challenge": strings.Repeat("a", 44)}, "invalid_request", "501491"},
		{"prompt", map[string]string{"prompt": "create"}, "invalid_request", "90023"},
		{"claims", map[string]string{"claims": "{"}, "invalid_request", "9002332"},
		{"nobody signed in", map[string]string{"prompt": "none"}, "interaction_required", "50058"},
		{"no PKCE in a browser", map[string]string{"client_id": spa.ClientID, "code_challenge": "-", "code_challenge_method": "-"}, "invalid_request", "9002325"},
		{"resource of another", map[string]string{"resource": "http://127.0.0.1:8080/mcp"}, "invalid_target", "9010010"},
		{"scope comes before resource", map[string]string{"scope": " ", "resource": "x"}, "invalid_scope", "28003"},
		{"resource comes before PKCE", map[string]string{"code_challenge": "short", "resource": "x"}, "invalid_target", "9010010"},
	} {
		a := s.authorize(tt.changes)
		if a.status != http.StatusFound || a.param("error") != tt.wantError || a.code() != tt.wantCode || a.param("state") != "a state" || a.param("error_uri") == "" {
			t.Errorf("%s: %d %s, AADSTS%s, state %q; want %s, AADSTS%s", tt.name, a.status, a.param("error"), a.code(), a.param("state"), tt.wantError, tt.wantCode)
		}
	}
	if a := s.authorize(map[string]string{"response_mode": "fragment", "prompt": "none"}); a.location.RawQuery != "" || a.code() != "50058" {
		t.Errorf("in a fragment: %v", a.location)
	}
}

// TestResource is the rule for the parameter resource, here and at the token
// endpoint.
func TestResource(t *testing.T) {
	s := newStage(t)
	uri := "https://mcp.contoso.example/mcp"
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.IdentifierURIs = append(a.IdentifierURIs, uri) })
	s.AddApp(fakeentra.App{Name: "second", ClientID: "22222222-2222-2222-2222-222222222222", Scopes: []string{"x"}})
	const second = "api://22222222-2222-2222-2222-222222222222/x"
	for _, tt := range []struct {
		name, scope, resource string
		wantCode              string // "" if it passes
	}{
		{"the API's URI and its scope", uri + "/mcp.access openid", uri, ""},
		{"another URI of the same API", s.scope("mcp.access"), uri, ""},
		{"the API by its id", s.api.ClientID + "/mcp.access", uri, ""},
		{"with a slash", uri + "/mcp.access", uri + "/", "9010010"},
		{"the id is no URI", s.api.ClientID + "/mcp.access", s.api.ClientID, "9010010"},
		{"a bare scope", "mcp.access", uri, "9010010"},
		{"a bare scope of Graph", "User.Read", "https://graph.microsoft.com", "9010010"},
		{"scopes of two", uri + "/mcp.access " + second, uri, "9010010"},
		{"only scopes of OpenID Connect", "openid profile", uri, "9010010"},
		{"an empty one", uri + "/mcp.access", "", "9010010"},
	} {
		a := s.authorize(map[string]string{"scope": tt.scope, "resource": tt.resource})
		if a.code() != tt.wantCode {
			t.Errorf("%s: AADSTS%s; want %q", tt.name, a.code(), tt.wantCode)
		}
	}
	code := s.code(nil)
	if got := s.token(s.redeem(code, map[string]string{"resource": "http://127.0.0.1:8080/mcp"})); got.Error != "invalid_target" || got.code() != "9010010" {
		t.Errorf("at the token endpoint: %s", got.body)
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.ResourceError = 901002 })
	if a := s.authorize(map[string]string{"scope": uri + "/mcp.access", "resource": uri}); a.param("error") != "invalid_request" || a.code() != "901002" {
		t.Errorf("in former times: %s, AADSTS%s", a.param("error"), a.code())
	}
}

// TestRedirectRule is which redirect URIs match.
func TestRedirectRule(t *testing.T) {
	s := newStage(t)
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) {
		a.Redirects = nil
		for _, uri := range []string{
			"http://localhost/callback", "http://127.0.0.1/cb", "http://127.0.0.1:33418", "http://[::1]/cb", "https://localhost/cb",
			"https://app.example/cb?a=1", "https://pathless.example", "cursor://anysphere.cursor-mcp/oauth/callback",
		} {
			a.Redirects = append(a.Redirects, fakeentra.Redirect{URI: uri, Platform: fakeentra.Native})
		}
	})
	for _, tt := range []struct {
		uri  string
		want string // where the answer goes, before its parameters; "" for nowhere
	}{
		{"http://localhost/callback", "http://localhost/callback?"},
		{"http://localhost:1234/callback", "http://localhost:1234/callback?"},
		{"http://localhost:1234/Callback", ""},
		{"http://localhost:1234/callback/", ""},
		{"http://localhost:1234/callback?x=1", ""},
		{"http://localhost:1234/callback#x", ""},
		{"http://me@localhost:1234/callback", ""},
		{"http://localhost:1234@evil.example/callback", ""},
		{"https://localhost:1234/callback", ""},
		{"https://localhost:1234/cb", ""},
		{"http://127.0.0.1/cb", "http://127.0.0.1/cb?"},
		{"http://127.0.0.1:1234/cb", ""},
		{"http://127.0.0.1:33418/", "http://127.0.0.1:33418/?"},
		{"http://127.0.0.1:33418", "http://127.0.0.1:33418/?"},
		{"http://[::1]/cb", ""},
		{"https://app.example/cb?a=1", "https://app.example/cb?a=1&"},
		{"https://app.example/cb", ""},
		{"https://pathless.example", "https://pathless.example/?"},
		{"cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback?"},
	} {
		s.newBrowser()
		a := s.authorize(map[string]string{"redirect_uri": tt.uri, "prompt": "none"})
		if tt.want == "" && (a.location != nil || a.code() != "50011") {
			t.Errorf("%s: sent to %v, AADSTS%s; want AADSTS50011", tt.uri, a.location, a.code())
		}
		if to := a.header.Get("Location"); tt.want != "" && !strings.HasPrefix(to, tt.want) {
			t.Errorf("%s: sent to %q, AADSTS%s; want %s", tt.uri, to, a.code(), tt.want)
		}
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.LoopbackIPPort = fakeentra.PortIgnore })
	if a := s.authorize(map[string]string{"redirect_uri": "http://127.0.0.1:1234/cb", "prompt": "none"}); a.location == nil {
		t.Errorf("http://127.0.0.1 at another port, which the switch allows: AADSTS%s", a.code())
	}
}

func TestEmitIss(t *testing.T) {
	s := newStage(t)
	if a := s.signIn(nil); a.location.Query().Has("iss") {
		t.Errorf("there is an iss in %v", a.location)
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.EmitIss = true })
	if a := s.signIn(nil); a.param("iss") != s.Issuer("") || a.param("code") == "" {
		t.Errorf("iss is %q with a code", a.param("iss"))
	}
	if a := s.authorize(map[string]string{"scope": "x"}); a.param("iss") != s.Issuer("") || a.param("error") == "" {
		t.Errorf("iss is %q with an error", a.param("iss"))
	}
}
