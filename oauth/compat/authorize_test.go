package compat_test

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/oauth/compat"
)

const upstreamScope = apiScope + " openid profile offline_access"

func TestAuthorizeSendsPeopleToEntra(t *testing.T) {
	s := newStage(t, never(t))
	for _, path := range []string{"/oauth2/authorize", "/authorize"} {
		to := s.do(http.MethodGet, path+"?"+authorizeParams().Encode(), "").location(t)
		if !strings.HasPrefix(to.String(), "http://127.0.0.1:") || to.Path != "/"+tenant+"/oauth2/v2.0/authorize" {
			t.Errorf("%s leads to %s", path, to)
		}
		want := url.Values{
			"client_id": {clientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "response_mode": {"query"}, "state": {"af0ifjsldkj"},
			"scope": {upstreamScope}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
		}
		if diff := cmp.Diff(want, to.Query()); diff != "" {
			t.Errorf("the query differs (-want +got):\n%s", diff)
		}
	}
}

// TestAuthorizeRefusesHere has what is shown to the person, since nobody knows
// where else it may be told.
func TestAuthorizeRefusesHere(t *testing.T) {
	twice := func(name, value string) url.Values {
		v := authorizeParams()
		v.Add(name, value)
		return v
	}
	for _, tt := range []struct {
		name   string
		params url.Values
		oauth  string
		says   string
	}{
		{"01 unknown client", authorizeParams("client_id", "11111111-0000-4000-8000-000000000000"), "invalid_client", "The client '11111111-0000-4000-8000-000000000000' is not registered"},
		{"01 client by its document", authorizeParams("client_id", "https://claude.ai/oauth/claude-code-client-metadata"), "invalid_client", "is not registered"},
		{"01 client in upper case", authorizeParams("client_id", strings.ToUpper(clientID)), "invalid_client", "is not registered"},
		{"01 no client", authorizeParams("client_id", ""), "invalid_request", "client_id is missing"},
		{"02 redirect not registered", authorizeParams("redirect_uri", "https://evil.example/callback"), "invalid_request", "'https://evil.example/callback' is not one that this gateway sends people to"},
		{"02 other path of a vendor", authorizeParams("redirect_uri", "https://vscode.dev/redirect/x"), "invalid_request", "is not one"},
		{"02 no redirect", authorizeParams("redirect_uri", ""), "invalid_request", "redirect_uri is missing"},
		{"03 user name", authorizeParams("redirect_uri", "http://localhost:5000@evil.com/callback"), "invalid_request", "has a user name"},
		{"03 localhost in front", authorizeParams("redirect_uri", "http://localhost.evil.com"), "invalid_request", "is not https"},
		{"04 javascript", authorizeParams("redirect_uri", "javascript:alert(1)"), "invalid_request", "no sign-in ends at"},
		{"04 custom scheme", authorizeParams("redirect_uri", "evil://callback"), "invalid_request", "is not one"},
		{"05 fragment", authorizeParams("redirect_uri", "http://localhost/callback#a"), "invalid_request", "has a fragment"},
		{"05 long", authorizeParams("redirect_uri", "http://localhost/"+strings.Repeat("a", 2048)), "invalid_request", "is longer than"},
		{"05 CR LF", authorizeParams("redirect_uri", "http://localhost/\r\nSet-Cookie: a=b"), "invalid_request", "has the character"},
		{"06 https on loopback", authorizeParams("redirect_uri", "https://localhost/callback"), "invalid_request", "is not one"},
		{"07 own", authorizeParams("redirect_uri", "https://mcp.example/oauth2/callback"), "invalid_request", "is an address of this gateway"},
		{"09 two clients", twice("client_id", clientID), "invalid_request", "client_id is there more than once"},
		{"09 two redirects", twice("redirect_uri", "http://localhost:1/"), "invalid_request", "'redirect_uri' is there more than once"},
		{"09 two states", twice("state", "b"), "invalid_request", "'state' is there more than once"},
		{"15 long state", authorizeParams("state", strings.Repeat("s", 8<<10)), "invalid_request", "state is longer than 2 KiB"},
		{"15 long query", authorizeParams("x", strings.Repeat("s", 17<<10)), "invalid_request", "longer than 16 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, never(t))
			r := s.authorize(tt.params, "Accept", "application/json")
			s.wantError(r, http.StatusBadRequest, tt.oauth, tt.says)
			if r.header.Get("Location") != "" {
				t.Errorf("it leads to %s", r.header.Get("Location"))
			}
			page := s.authorize(tt.params, "Accept", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
			if page.status != http.StatusBadRequest || page.header.Get("Location") != "" || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("the browser gets HTTP %d, %v", page.status, page.header)
			}
			s.wantLogged("sign-in refused")
		})
	}
}

func Test01UnknownClientIsToldWhereToRegister(t *testing.T) {
	s := newStage(t, never(t))
	r := s.authorize(authorizeParams("client_id", "stale"), "Accept", "application/json")
	if got := r.json(t)["registration_endpoint"]; got != "https://mcp.example/register" {
		t.Errorf("registration_endpoint %v", got)
	}
	s.wantError(s.token(codeForm("client_id", "stale")), http.StatusUnauthorized, "invalid_client", "The client 'stale' is not registered")
}

func Test06AnyPortOnLoopback(t *testing.T) {
	s := newStage(t, never(t))
	for _, uri := range []string{"http://localhost:1/callback", "http://localhost:65535/callback", "http://127.0.0.1:33418/", "http://127.0.0.1:19876/mcp/oauth/callback", "http://[::1]:4/x", "cursor://anysphere.cursor-mcp/oauth/callback", "https://vscode.dev/redirect"} {
		if got := s.authorize(authorizeParams("redirect_uri", uri)).location(t).Query().Get("redirect_uri"); got != uri {
			t.Errorf("Entra is given %s for %s", got, uri)
		}
	}
}

// TestAuthorizeRefusesAtTheClient has what the client is told.
func TestAuthorizeRefusesAtTheClient(t *testing.T) {
	twice := func(name, value string) url.Values {
		v := authorizeParams(name, value)
		v.Add(name, value)
		return v
	}
	for _, tt := range []struct {
		name   string
		params url.Values
		oauth  string
	}{
		{"08 no challenge", authorizeParams("code_challenge", ""), "invalid_request"},
		{"08 plain", authorizeParams("code_challenge_method", "plain"), "invalid_request"},
		{"08 no method", authorizeParams("code_challenge_method", ""), "invalid_request"},
		{"08 short challenge", authorizeParams("code_challenge", challenge[:42]), "invalid_request"},
		{"08 long challenge", authorizeParams("code_challenge", challenge+"a"), "invalid_request"},
		{"08 challenge with padding", authorizeParams("code_challenge", challenge[:42]+"="), "invalid_request"},
		{"09 two resources", twice("resource", publicURL+"/mcp"), "invalid_request"},
		{"09 two challenges", twice("code_challenge", challenge), "invalid_request"},
		{"09 two of anything", twice("anything", "x"), "invalid_request"},
		{"10 token", authorizeParams("response_type", "token"), "unsupported_response_type"},
		{"10 ID token", authorizeParams("response_type", "id_token"), "unsupported_response_type"},
		{"10 code and token", authorizeParams("response_type", "code token"), "unsupported_response_type"},
		{"10 none", authorizeParams("response_type", ""), "invalid_request"},
		{"10 fragment", authorizeParams("response_mode", "fragment"), "invalid_request"},
		{"10 form", authorizeParams("response_mode", "form_post"), "invalid_request"},
		{"11 other resource", authorizeParams("resource", "https://other.example/"), "invalid_target"},
		{"11 other scheme", authorizeParams("resource", "http://mcp.example/mcp"), "invalid_target"},
		{"11 other path", authorizeParams("resource", publicURL+"/other"), "invalid_target"},
		{"11 two slashes", authorizeParams("resource", publicURL+"/mcp//"), "invalid_target"},
		{"11 query", authorizeParams("resource", publicURL+"/mcp?a"), "invalid_target"},
		{"11 fragment", authorizeParams("resource", publicURL+"/mcp#"), "invalid_target"},
		{"11 user name", authorizeParams("resource", "https://u@mcp.example/mcp"), "invalid_target"},
		{"11 other port", authorizeParams("resource", "https://mcp.example:444/mcp"), "invalid_target"},
		{"11 no URL", authorizeParams("resource", "mcp"), "invalid_target"},
		{"13 unknown prompt", authorizeParams("prompt", "create"), "invalid_request"},
		{"13 two prompts", authorizeParams("prompt", "none login"), "invalid_request"},
		{"14 request", authorizeParams("request", "ey.ey.ey"), "request_not_supported"},
		{"14 request_uri", authorizeParams("request_uri", "https://evil.example/"), "request_uri_not_supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, never(t))
			to := s.authorize(tt.params).location(t)
			if !strings.HasPrefix(to.String(), redirectURI+"?") {
				t.Errorf("it leads to %s", to)
			}
			got := to.Query()
			if got.Get("error") != tt.oauth || got.Get("state") != "af0ifjsldkj" || got.Get("error_description") == "" || len(got) != 3 {
				t.Errorf("the client is told %v; want the error %s", got, tt.oauth)
			}
			s.wantLogged("error=" + tt.oauth)
		})
	}
}

func TestRefusalIsAddedToAQuery(t *testing.T) {
	s := newStage(t, never(t))
	to := s.authorize(authorizeParams("redirect_uri", "http://localhost:1/cb?a=b", "code_challenge", "", "state", "")).location(t)
	if q := to.Query(); q.Get("a") != "b" || q.Get("error") != "invalid_request" || q.Has("state") {
		t.Errorf("it leads to %s", to)
	}
}

func Test11ResourceIsThisGateway(t *testing.T) {
	s := newStage(t, never(t))
	for _, resource := range []string{"", publicURL, publicURL + "/", publicURL + "/mcp", publicURL + "/mcp/", "https://MCP.example:443/mcp"} {
		if q := s.authorize(authorizeParams("resource", resource)).location(t).Query(); q.Has("resource") || q.Has("error") {
			t.Errorf("resource %q: %v", resource, q)
		}
	}
}

func Test12ScopesAreMapped(t *testing.T) {
	for _, tt := range []struct {
		name, asked, want string
		unknown           string // in the log; "" if there is none
	}{
		{"bare", "mcp.access", upstreamScope, ""},
		{"qualified", apiScope, upstreamScope, ""},
		{"both ways", "mcp.access " + apiScope, upstreamScope, ""},
		{"all", "mcp.read mcp.access", readScope + " " + upstreamScope, ""},
		{"none", "", apiScope + " " + readScope + " openid profile offline_access", ""},
		{"of OpenID Connect", "openid profile email offline_access mcp.access", upstreamScope, ""},
		{"only of OpenID Connect", "openid offline_access", apiScope + " " + readScope + " openid profile offline_access", ""},
		{"unknown beside", "mcp.access claudeai", upstreamScope, "claudeai"},
		{"only unknown", "claudeai", apiScope + " " + readScope + " openid profile offline_access", "claudeai"},
		{"of Graph", "https://graph.microsoft.com/Mail.Read mcp.access", upstreamScope, "https://graph.microsoft.com/Mail.Read"},
		{"default", "aaaaaaaa-0000-4000-8000-000000000000/.default mcp.access", upstreamScope, ".default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, never(t))
			if got := s.authorize(authorizeParams("scope", tt.asked)).location(t).Query().Get("scope"); got != tt.want {
				t.Errorf("Entra is asked for %q, want %q", got, tt.want)
			}
			if tt.unknown != "" {
				s.wantLogged(tt.unknown)
			} else if s.log.String() != "" {
				t.Errorf("logged:\n%s", s.log)
			}
		})
	}
}

func TestScopesOfIDTokensAlone(t *testing.T) {
	s := newStage(t, never(t), func(o *compat.Options) { o.Scopes, o.IDToken = nil, true })
	if got := s.authorize(authorizeParams("scope", "")).location(t).Query().Get("scope"); got != "openid profile offline_access" {
		t.Errorf("Entra is asked for %q", got)
	}
}

func Test13Prompt(t *testing.T) {
	s := newStage(t, never(t))
	for asked, want := range map[string]string{"consent": "", "login": "login", "select_account": "select_account", "none": "none", "login consent": "login", "consent consent": "", " ": ""} {
		if got := s.authorize(authorizeParams("prompt", asked)).location(t).Query().Get("prompt"); got != want {
			t.Errorf("prompt %q reaches Entra as %q, want %q", asked, got, want)
		}
	}
}

func Test14OtherParametersAreDropped(t *testing.T) {
	s := newStage(t, never(t))
	to := s.authorize(authorizeParams("claims", "{}", "id_token_hint", "ey", "nonce", "n", "domain_hint", "x", "tenant", "x", "resource", publicURL, "login_hint", "ada@contoso.com", "acr_values", "1", "a[]", "b")).location(t)
	want := []string{"client_id", "code_challenge", "code_challenge_method", "login_hint", "redirect_uri", "response_mode", "response_type", "scope", "state"}
	if got := slices.Sorted(maps.Keys(to.Query())); !slices.Equal(got, want) {
		t.Errorf("Entra gets %v, want %v", got, want)
	}
}

func TestLoginHintIsPlausible(t *testing.T) {
	s := newStage(t, never(t))
	for hint, want := range map[string]string{"ada@contoso.com": "ada@contoso.com", "O.CiRlLmYw": "O.CiRlLmYw", "<script>": "", "a b": "", "a\r\nb": "", "ä@contoso.com": "", strings.Repeat("a", 321): ""} {
		if got := s.authorize(authorizeParams("login_hint", hint)).location(t).Query().Get("login_hint"); got != want {
			t.Errorf("the hint %.20q reaches Entra as %q", hint, got)
		}
	}
}

func Test15StateIsKeptAsItIs(t *testing.T) {
	s := newStage(t, never(t))
	for _, state := range []string{strings.Repeat("s", 2<<10), `"><script>alert(1)</script>`, "a+b c%20&d=é\x00", "eyJ9"} {
		if got := s.authorize(authorizeParams("state", state)).location(t).Query().Get("state"); got != state {
			t.Errorf("state %.40q became %.40q", state, got)
		}
		to := s.authorize(authorizeParams("state", state, "response_type", "token"))
		if got := to.location(t).Query().Get("state"); got != state || strings.ContainsAny(to.header.Get("Location"), "<>\" ") {
			t.Errorf("state %.40q is told as %.400q", state, to.header.Get("Location"))
		}
	}
}

func Test16OtherMethods(t *testing.T) {
	s := newStage(t, never(t))
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodPut, http.MethodOptions} {
		r := s.do(method, "/oauth2/authorize?"+authorizeParams().Encode(), "")
		if r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "GET" || r.header.Get("Location") != "" {
			t.Errorf("%s: HTTP %d, %v", method, r.status, r.header)
		}
	}
}

func TestUnreadableQuery(t *testing.T) {
	s := newStage(t, never(t))
	for _, query := range []string{"client_id=%zz", "a;b", strings.Repeat("a&", 200)} {
		s.wantError(s.do(http.MethodGet, "/authorize?"+query, "", "Accept", "application/json"), http.StatusBadRequest, "invalid_request", "cannot be read")
	}
}

func TestPage(t *testing.T) {
	s := newStage(t, never(t))
	r := s.authorize(authorizeParams("client_id", `"><script>alert(1)</script>`), "Accept", "text/html")
	for _, want := range []string{"mcp.example", "is not registered", "What you can do", "add it again", "&lt;script&gt;"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("%q is not on the page:\n%s", want, r.body)
		}
	}
	if strings.Contains(r.body, "<script") || strings.Contains(r.body, "af0ifjsldkj") {
		t.Errorf("the page has what it must not have:\n%s", r.body)
	}
	policy := r.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "style-src 'sha256-"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%q is not in the policy %q", want, policy)
		}
	}
	_, style, _ := strings.Cut(r.body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	digest := sha256.Sum256([]byte(style))
	if hash := base64.StdEncoding.EncodeToString(digest[:]); style == "" || !strings.Contains(policy, "'sha256-"+hash+"'") {
		t.Errorf("the policy %q does not allow the style, whose hash is %s:\n%s", policy, hash, style)
	}
	for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
