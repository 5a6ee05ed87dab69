package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth"
)

func optionsOf(s *signIn, n *internet, providers ...oauth.Provider) oauth.Options {
	public, _ := url.Parse(publicURL)
	return oauth.Options{PublicURL: public, HTTP: n.client(), Providers: providers, Log: s.Logger()}
}

// get asks for a document, with a Host that is not the gateway's.
func (s *signIn) get(method, path string) *http.Response {
	r := httptest.NewRequest(method, "http://evil.example"+path, nil)
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("Origin", "http://localhost:6274")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func Test53ResourceMetadata(t *testing.T) {
	s := start(t, newInternet(), entraProvider(), oidcProvider())
	for path, resource := range map[string]string{
		"/.well-known/oauth-protected-resource":      publicURL + "/mcp",
		"/.well-known/oauth-protected-resource/":     publicURL + "/mcp",
		"/.well-known/oauth-protected-resource/mcp":  publicURL + "/mcp",
		"/.well-known/oauth-protected-resource/mcp/": publicURL + "/mcp/",
	} {
		resp := s.get("GET", path)
		var m struct {
			Resource             string
			AuthorizationServers []string `json:"authorization_servers"`
			Scopes               []string `json:"scopes_supported"`
			Methods              []string `json:"bearer_methods_supported"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
		}
		want := "https://login.microsoftonline.com/" + tenant + "/v2.0 " + oidcIssuer
		if m.Resource != resource || strings.Join(m.AuthorizationServers, " ") != want || strings.Join(m.Scopes, " ") != "mcp.access" {
			t.Errorf("%s: %+v", path, m)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: CORS headers %v", path, resp.Header)
		}
		if head := s.get("HEAD", path); head.StatusCode != 200 || head.Header.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD %s: %d", path, head.StatusCode)
		}
		if pre := s.get("OPTIONS", path); pre.StatusCode != 204 || !strings.Contains(pre.Header.Get("Access-Control-Allow-Headers"), "Mcp-Protocol-Version") {
			t.Errorf("OPTIONS %s: %d %v", path, pre.StatusCode, pre.Header)
		}
		if post := s.get("POST", path); post.StatusCode != 405 {
			t.Errorf("POST %s: %d", path, post.StatusCode)
		}
	}
	if resp := s.get("GET", "/.well-known/oauth-protected-resource/other"); resp.StatusCode != 404 {
		t.Errorf("another resource: %d", resp.StatusCode)
	}
}

// TestProvidersMetadata is for clients that look for the authorization server
// at the resource.
func TestProvidersMetadata(t *testing.T) {
	s := start(t, newInternet(), oidcProvider())
	s.admit(sign(t, oidcToken(), nil))
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration/mcp", "/mcp/.well-known/openid-configuration"} {
		var m struct {
			Issuer, Authorize string
			Endpoint          string `json:"authorization_endpoint"`
		}
		resp := s.get("GET", path)
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || m.Issuer != oidcIssuer || m.Endpoint != oidcIssuer+"/auth" {
			t.Errorf("%s: %d %+v, %v", path, resp.StatusCode, m, err)
		}
	}
	if resp := s.get("GET", "/oauth2/authorize"); resp.StatusCode != 404 {
		t.Errorf("/oauth2/authorize: %d", resp.StatusCode)
	}
}

// TestMetadataOfSeveralTenants names each of them, and none that a client cannot
// find the issuer of in a token.
func TestMetadataOfSeveralTenants(t *testing.T) {
	p := entraProvider()
	p.Entra.Tenant, p.Entra.Allowed = "organizations", []string{tenant, otherTenant}
	n := newInternet()
	s := start(t, n, p)
	var m struct {
		AuthorizationServers []string `json:"authorization_servers"`
	}
	_ = json.NewDecoder(s.get("GET", "/.well-known/oauth-protected-resource").Body).Decode(&m)
	want := "https://login.microsoftonline.com/" + tenant + "/v2.0 https://login.microsoftonline.com/" + otherTenant + "/v2.0"
	if got := strings.Join(m.AuthorizationServers, " "); got != want {
		t.Errorf("the authorization servers are %s", got)
	}
	s.admit(sign(t, accessToken(), nil))
	if resp := s.get("GET", "/.well-known/oauth-authorization-server"); resp.StatusCode != 404 {
		t.Errorf("the metadata of all tenants: %d", resp.StatusCode)
	}
}

func TestFacade(t *testing.T) {
	facade := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	s := startWith(t, oauth.Options{HTTP: newInternet().client(), Providers: []oauth.Provider{entraProvider()}, Facade: facade})
	for _, path := range []string{"/oauth2/authorize", "/register", "/.well-known/oauth-authorization-server/mcp"} {
		if resp := s.get("GET", path); resp.StatusCode != http.StatusTeapot {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	var m struct {
		AuthorizationServers []string `json:"authorization_servers"`
	}
	_ = json.NewDecoder(s.get("GET", "/.well-known/oauth-protected-resource").Body).Decode(&m)
	if strings.Join(m.AuthorizationServers, " ") != publicURL {
		t.Errorf("the authorization servers are %q", m.AuthorizationServers)
	}
}

func TestChallenges(t *testing.T) {
	s := start(t, newInternet(), entraProvider())
	const first = `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="mcp.access"`
	for _, tt := range []struct {
		name    string
		change  func(*http.Request)
		status  int
		want    string // challenge, up to an error_description
		message string
	}{
		{"no token", func(*http.Request) {}, 401, first, "sign-in required"},
		{"GET", func(r *http.Request) { r.Method = "GET" }, 401, first, "sign-in required"},
		{"HEAD", func(r *http.Request) { r.Method = "HEAD" }, 401, first, "sign-in required"},
		{"with a slash", func(r *http.Request) { r.URL.Path = "/mcp/" }, 401, strings.Replace(first, `/mcp"`, `/mcp/"`, 1), "sign-in required"},
		{"44 token in the query", func(r *http.Request) { r.URL.RawQuery = "access_token=" + sign(t, accessToken(), nil) }, 401, first, "sign-in required"},
		{"44 two headers", func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }, 400, "", "more than one"},
		{"another scheme", func(r *http.Request) { r.SetBasicAuth("a", "b") }, 401, first, "bearer"},
		{"no token in the header", func(r *http.Request) { r.Header.Set("Authorization", "Bearer  ") }, 401, first, "bearer"},
		{"a wrong token", func(r *http.Request) { r.Header.Set("Authorization", "bearer x") }, 401, first + `, error="invalid_token"`, "sign in again"},
		{"a cookie", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "access_token", Value: "x"}) }, 401, first, "sign-in required"},
	} {
		r := request("")
		tt.change(r)
		_, refused := s.Authenticate(r)
		if refused == nil {
			t.Fatalf("%s: admitted", tt.name)
		}
		challenge, _, _ := strings.Cut(refused.Challenge, ", error_description=")
		if refused.Status != tt.status || challenge != tt.want || !strings.Contains(refused.Message, tt.message) {
			t.Errorf("%s: %d %s\n%s\nwant %d %s\n%s", tt.name, refused.Status, refused.Message, challenge, tt.status, tt.message, tt.want)
		}
	}
	if r := request("x"); true {
		r.Header.Set("Authorization", "bEARER "+sign(t, accessToken(), nil))
		if _, refused := s.Authenticate(r); refused != nil {
			t.Errorf("the scheme in another case: %+v", refused)
		}
	}
}
