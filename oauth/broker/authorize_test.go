package broker_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

const cursorURI = "https://www.cursor.com/agents/mcp/oauth/callback"

// TestAuthorizeOnAPage has requests that nobody must be redirected for: it is not
// certain that the client asks, or that the address is its own.
func TestAuthorizeOnAPage(t *testing.T) {
	s := newStage(t)
	registered := s.register(redirectURI, cursorURI, "http://127.0.0.1:7000/cb?session=1")
	other := newStage(t).register()
	own := s.server.URL
	port := own[strings.LastIndexByte(own, ':'):]
	for _, tt := range []struct {
		name, want string
		changes    []string
	}{
		{"01 unknown client", "is not registered", []string{"client_id", "somebody"}},
		{"01 no client", "client_id is missing", []string{"client_id", ""}},
		{"01 document where there are none", "is not registered", []string{"client_id", "https://app.example.com/client.json"}},
		{"01 long client", "longer than 4 KiB", []string{"client_id", "mcpagg." + strings.Repeat("a", 4<<10)}},
		{"02 no redirect URI", "redirect_uri is missing", []string{"redirect_uri", ""}},
		{"02 host", "is not one", []string{"redirect_uri", "https://evil.example/agents/mcp/oauth/callback"}},
		{"02 path", "is not one", []string{"redirect_uri", cursorURI + "/"}},
		{"02 case", "is not one", []string{"redirect_uri", "https://www.cursor.com/agents/MCP/oauth/callback"}},
		{"02 scheme", "is not https", []string{"redirect_uri", "http://www.cursor.com/agents/mcp/oauth/callback"}},
		{"02 extra query", "is not one", []string{"redirect_uri", cursorURI + "?a=b"}},
		{"02 extra query of a loopback", "is not one that the client registered", []string{"redirect_uri", redirectURI + "?a=b"}},
		{"02 other query", "is not one that the client registered", []string{"redirect_uri", "http://127.0.0.1:7000/cb?session=2"}},
		{"02 allowed, but not registered", "is not one that the client registered", []string{"redirect_uri", "cursor://anysphere.cursor-mcp/oauth/callback"}},
		{"03 user name", "has a user name", []string{"redirect_uri", "http://localhost:5000@evil.com/callback"}},
		{"03 begins like localhost", "is not https", []string{"redirect_uri", "http://localhost.evil.com/callback"}},
		{"03 begins like an address", "is not https", []string{"redirect_uri", "http://127.0.0.1.nip.io/callback"}},
		{"04 javascript", "no sign-in ends at", []string{"redirect_uri", "javascript:alert(1)"}},
		{"04 data", "no sign-in ends at", []string{"redirect_uri", "data:text/html,x"}},
		{"04 file", "no sign-in ends at", []string{"redirect_uri", "file:///etc/passwd"}},
		{"04 vbscript", "no sign-in ends at", []string{"redirect_uri", "vbscript:x"}},
		{"04 blob", "no sign-in ends at", []string{"redirect_uri", "blob:https://www.cursor.com/1"}},
		{"04 unknown scheme", "is not one", []string{"redirect_uri", "evil://callback"}},
		{"05 fragment", "has a fragment", []string{"redirect_uri", redirectURI + "#x"}},
		{"05 backslash", "has a backslash", []string{"redirect_uri", `http://localhost:3118\@evil.com/callback`}},
		{"05 dots", "has a dot segment", []string{"redirect_uri", "http://localhost:3118/x/../callback"}},
		{"05 escaped dots", "has the escape", []string{"redirect_uri", "http://localhost:3118/%2e%2e/callback"}},
		{"05 line break", "has the character", []string{"redirect_uri", redirectURI + "\r\nSet-Cookie: a=b"}},
		{"05 NUL", "has the character", []string{"redirect_uri", redirectURI + "\x00"}},
		{"05 long", "is longer than", []string{"redirect_uri", redirectURI + "?a=" + strings.Repeat("a", 2048)}},
		{"06 other path of a loopback", "is not one that the client registered", []string{"redirect_uri", "http://localhost:3118/other"}},
		{"06 loopback by another name", "is not one that the client registered", []string{"redirect_uri", "http://127.0.0.1:3118/callback"}},
		{"06 https", "is not one", []string{"redirect_uri", "https://localhost:3118/callback"}},
		{"07 own callback", "is an address of this gateway itself", []string{"redirect_uri", own + broker.CallbackPath}},
		{"07 own address by another name", "is an address of this gateway itself", []string{"redirect_uri", "http://localhost" + port + "/callback"}},
		{"15 long state", "state is longer than 2 KiB", []string{"state", strings.Repeat("a", 8<<10)}},
		{"15 state that is no UTF-8", "is not in UTF-8", []string{"state", "a\xff"}},
		{"15 long query", "longer than 16 KiB", []string{"x", strings.Repeat("a", 16<<10)}},
		{"41 tampered client", "is not registered", []string{"client_id", tampered(registered)}},
		{"41 client of another gateway", "is not registered", []string{"client_id", other}},
	} {
		s.run(tt.name, func(t *testing.T) {
			a := s.browser().authorize(s.request(registered, tt.changes...))
			a.checkPage(t, http.StatusBadRequest, tt.want)
			checkNoCookies(t, a)
		})
	}
	for _, name := range []string{"client_id", "redirect_uri", "state"} {
		s.run("09 two of "+name, func(t *testing.T) {
			v := s.request(registered)
			v.Add(name, v.Get(name))
			s.browser().authorize(v).checkPage(t, http.StatusBadRequest, "more than once")
		})
	}
	s.run("05 no query at all", func(t *testing.T) {
		s.browser().get(own+"/oauth2/authorize?%zz").checkPage(t, http.StatusBadRequest, "cannot be read")
	})
	if s.stored() != 0 || s.asked() != 0 {
		t.Errorf("%d things are stored, and the provider was asked %d times", s.stored(), s.asked())
	}
}

func checkNoCookies(t testing.TB, a *answer) {
	t.Helper()
	if set := a.header.Values("Set-Cookie"); set != nil {
		t.Errorf("cookies are set: %q", set)
	}
}

// tampered has another letter in the middle.
func tampered(id string) string {
	i := len(id) / 2
	letter := "A"
	if id[i] == 'A' {
		letter = "B"
	}
	return id[:i] + letter + id[i+1:]
}

// TestAuthorizeSentBack has requests whose client is told what is wrong.
func TestAuthorizeSentBack(t *testing.T) {
	s := newStage(t)
	const withQuery = "http://localhost:3118/callback?session=a%20b"
	registered := s.register(redirectURI, withQuery)
	for _, tt := range []struct {
		name, want string
		changes    []string
	}{
		{"08 no challenge", "invalid_request", []string{"code_challenge", ""}},
		{"08 plain", "invalid_request", []string{"code_challenge_method", "plain"}},
		{"08 no method", "invalid_request", []string{"code_challenge_method", ""}},
		{"08 short challenge", "invalid_request", []string{"code_challenge", challengeOf(verifier)[1:]}},
		{"08 long challenge", "invalid_request", []string{"code_challenge", challengeOf(verifier) + "A"}},
		{"08 challenge of other characters", "invalid_request", []string{"code_challenge", strings.Repeat("+", 43)}},
		{"10 no response type", "invalid_request", []string{"response_type", ""}},
		{"10 token", "unsupported_response_type", []string{"response_type", "token"}},
		{"10 id_token", "unsupported_response_type", []string{"response_type", "id_token"}},
		{"10 hybrid", "unsupported_response_type", []string{"response_type", "code token"}},
		{"10 fragment", "invalid_request", []string{"response_mode", "fragment"}},
		{"10 form_post", "invalid_request", []string{"response_mode", "form_post"}},
		{"11 other resource", "invalid_target", []string{"resource", "https://other.example/"}},
		{"11 other path", "invalid_target", []string{"resource", s.server.URL + "/other"}},
		{"11 other port", "invalid_target", []string{"resource", "http://127.0.0.1:1/mcp"}},
		{"13 prompt none", "consent_required", []string{"prompt", "none"}},
		{"13 prompt none and consent", "consent_required", []string{"prompt", "none consent"}},
		{"13 prompt login and select_account", "invalid_request", []string{"prompt", "login select_account"}},
		{"13 unknown prompt", "invalid_request", []string{"prompt", "create"}},
		{"14 request", "request_not_supported", []string{"request", "a.b.c"}},
		{"14 request_uri", "request_uri_not_supported", []string{"request_uri", "urn:x"}},
	} {
		s.run(tt.name, func(t *testing.T) {
			for _, uri := range []string{redirectURI, withQuery} {
				v := s.request(registered, append(tt.changes, "redirect_uri", uri)...)
				a := s.browser().authorize(v)
				s.checkError(t, a, uri, "a state", tt.want)
				checkNoCookies(t, a)
			}
		})
	}
	for _, name := range []string{"resource", "code_challenge", "scope", "nothing_that_is_known"} {
		s.run("09 two of "+name, func(t *testing.T) {
			v := s.request(registered)
			v[name] = []string{"a", "a"}
			s.checkError(t, s.browser().authorize(v), redirectURI, "a state", "invalid_request")
		})
	}
	s.run("15 no state", func(t *testing.T) {
		s.checkError(t, s.browser().authorize(s.request(registered, "state", "", "response_type", "token")), redirectURI, "", "unsupported_response_type")
	})
	if s.stored() != 0 || s.asked() != 0 {
		t.Errorf("%d things are stored, and the provider was asked %d times", s.stored(), s.asked())
	}
}

// TestAuthorizeAccepted has requests that are odd, and end with a code.
func TestAuthorizeAccepted(t *testing.T) {
	s := newStage(t)
	const withQuery = "http://localhost:3118/callback?session=a%20b&x"
	registered := s.register(redirectURI, withQuery)
	longest := `"><script>alert(1)</script>&iss=x#` + "é\r\n\t "
	longest += strings.Repeat("a", 2<<10-len(longest))
	for _, tt := range []struct {
		name    string
		changes []string
	}{
		{"06 other port", []string{"redirect_uri", "http://localhost:4000/callback"}},
		{"06 no port", []string{"redirect_uri", "http://localhost/callback"}},
		{"09 a redirect URI with a query", []string{"redirect_uri", withQuery}},
		{"11 no resource", []string{"resource", ""}},
		{"11 slash", []string{"resource", s.server.URL + "/mcp/"}},
		{"11 root", []string{"resource", s.server.URL}},
		{"11 root with a slash", []string{"resource", s.server.URL + "/"}},
		{"12 no scope", []string{"scope", ""}},
		{"12 unknown scopes", []string{"scope", "openid offline_access User.Read mcp.access api://x/.default"}},
		{"13 prompt consent", []string{"prompt", "consent"}},
		{"14 parameters that mean nothing", []string{"claims", `{"id_token":{}}`, "id_token_hint", "a.b.c", "acr_values", "c1", "domain_hint", "x", "nonce", "n", "x", "y"}},
		{"15 no state", []string{"state", ""}},
		{"15 long state with HTML", []string{"state", longest}},
	} {
		s.run(tt.name, func(t *testing.T) {
			s.fake.ClearJournal()
			v := s.request(registered, tt.changes...)
			b := s.browser()
			page := b.authorize(v)
			page.checkPage(t, http.StatusOK, "Let this program use your tools?")
			if strings.Contains(page.body, "<script") {
				t.Error("what the client says is part of the page")
			}
			got := s.checkSentBack(t, b.follow(b.approve(page)), v.Get("redirect_uri"), v.Get("state"))
			if len(got["code"]) != 1 || got.Has("error") {
				t.Errorf("the client gets %v", got)
			}
			s.checkProviderAsked(t)
		})
	}
}

// checkProviderAsked makes sure that the provider was told what the gateway wants,
// and nothing that the client said.
func (s *stage) checkProviderAsked(t testing.TB) {
	t.Helper()
	for _, r := range s.fake.Requests("authorize") {
		for name, want := range map[string]string{
			"client_id": s.app.ClientID, "redirect_uri": s.server.URL + broker.CallbackPath, "response_type": "code",
			"scope": "openid profile email offline_access", "code_challenge_method": "S256",
		} {
			if !slices.Equal(r.Query[name], []string{want}) {
				t.Errorf("the provider is asked with %s = %q, want %q", name, r.Query[name], want)
			}
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if len(r.Query[name]) != 1 || len(r.Query.Get(name)) < 43 {
				t.Errorf("the provider is asked with %s = %q", name, r.Query[name])
			}
		}
		if len(r.Query) != 8 || r.Query.Get("code_challenge") == challengeOf(verifier) {
			t.Errorf("the provider is asked with %v", r.Query)
		}
	}
	if got := len(s.fake.Requests("authorize")); got != 1 {
		t.Errorf("the provider was asked %d times", got)
	}
}

// Test01Programs is about programs that look whether they are still registered,
// without a browser.
func Test01Programs(t *testing.T) {
	s := newStage(t)
	for accept, want := range map[string]string{
		"application/json": "application/json", "application/json, text/plain, */*": "application/json",
		"text/html,application/json": "text/html; charset=utf-8", "*/*": "text/html; charset=utf-8", "": "text/html; charset=utf-8",
	} {
		r, err := http.NewRequest(http.MethodGet, s.server.URL+"/authorize?"+s.request("somebody").Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		a := s.browser().do(r)
		if a.status != http.StatusBadRequest || a.header.Get("Content-Type") != want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s is answered HTTP %d %v", accept, a.status, a.header)
		}
		if want != "application/json" {
			continue
		}
		if got := a.json(t); got["error"] != "invalid_client" || got["registration_endpoint"] != s.server.URL+"/register" {
			t.Errorf("%s is answered %v", accept, got)
		}
	}
}

// Test16Methods is about methods that browsers do not follow links with.
func Test16Methods(t *testing.T) {
	s := newStage(t)
	v := s.request(s.register())
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodPut, http.MethodOptions} {
		r, err := http.NewRequest(method, s.server.URL+"/authorize?"+v.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := s.browser().do(r); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET" {
			t.Errorf("%s is answered with HTTP %d, Allow: %s", method, a.status, a.header.Get("Allow"))
		}
	}
}

// TestTooManyRequests is about an address that asks without end.
func TestTooManyRequests(t *testing.T) {
	s := newStage(t)
	for path, method := range map[string]string{
		"/oauth2/authorize": http.MethodGet, "/authorize": http.MethodGet, "/oauth2/callback": http.MethodGet, "/oauth2/consent": http.MethodPost,
	} {
		var last *httptest.ResponseRecorder
		for range 300 {
			last = httptest.NewRecorder()
			s.ServeHTTP(last, httptest.NewRequest(method, path, nil))
		}
		a := &answer{last.Code, last.Header(), last.Body.String()}
		a.checkPage(t, http.StatusTooManyRequests, "too many requests from this address")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s does not say when to come back", path)
		}
	}
}

// TestProviderParameters is about what a client may say to the provider, and what
// the operator has to.
func TestProviderParameters(t *testing.T) {
	s := newStage(t, func(o *broker.Options) {
		o.Prompt = "select_account"
		o.Parameters = map[string]string{"domain_hint": "contoso.example", "state": "mine", "redirect_uri": "https://evil.example"}
	})
	registered := s.register()
	long := strings.Repeat("a", 321)
	for _, tt := range []struct {
		name       string
		changes    []string
		wantPrompt string
		wantHint   string // "" if it must not be there
	}{
		{"nothing", nil, "select_account", ""},
		{"prompt login", []string{"prompt", "login"}, "login", ""},
		{"prompt consent", []string{"prompt", "consent"}, "select_account", ""},
		{"prompt consent and login", []string{"prompt", "consent login"}, "login", ""},
		{"hint", []string{"login_hint", alice}, "select_account", alice},
		{"long hint", []string{"login_hint", long}, "select_account", ""},
		{"hint with HTML", []string{"login_hint", "<b>alice"}, "select_account", ""},
		{"hint with a line break", []string{"login_hint", "alice\r\n"}, "select_account", ""},
		{"domain_hint", []string{"domain_hint", "evil.example"}, "select_account", ""},
	} {
		s.run(tt.name, func(t *testing.T) {
			to, err := url.Parse(s.browser().agreed(s.request(registered, tt.changes...)))
			if err != nil {
				t.Fatal(err)
			}
			got := to.Query()
			if got.Get("prompt") != tt.wantPrompt || got.Get("login_hint") != tt.wantHint || !slices.Equal(got["domain_hint"], []string{"contoso.example"}) {
				t.Errorf("the provider is asked with %v", got)
			}
			if len(got["state"]) != 1 || got.Get("state") == "mine" || got.Get("redirect_uri") != s.server.URL+broker.CallbackPath {
				t.Errorf("the operator's parameters replace the gateway's own: %v", got)
			}
		})
	}
}

// TestNarrow is about scopes: a client gets those of its own that there are.
func TestNarrow(t *testing.T) {
	s := newStage(t)
	registered := s.register()
	for _, tt := range []struct{ asked, want string }{
		{"", "mcp.access mcp.read"},
		{"mcp.read", "mcp.read"},
		{"mcp.read mcp.read mcp.write", "mcp.read"},
		{"openid offline_access", "mcp.access mcp.read"},
		{"User.Read .default", "mcp.access mcp.read"},
		{"MCP.READ", "mcp.access mcp.read"},
	} {
		s.run("12 "+tt.asked, func(t *testing.T) {
			got := s.redeem(registered, s.code(registered, "scope", tt.asked)).json(t)
			if got["scope"] != tt.want {
				t.Errorf("the client gets %v, want %s", got["scope"], tt.want)
			}
		})
	}
}

// TestFixedClients is about clients that the operator has written down.
func TestFixedClients(t *testing.T) {
	const ci = "https://ci.example/callback?tenant=1"
	s := newStage(t, func(o *broker.Options) {
		o.Clients = []broker.Client{
			{ID: "ci", Name: "CI", Redirects: redirect.Rules{Allowed: []string{ci}}},
			{ID: "loop", Redirects: redirect.Rules{Allowed: []string{"https://x.example/cb?iss=https://evil.example"}}},
		}
	})
	b := s.browser()
	page := b.authorize(s.request("ci", "redirect_uri", ci))
	page.checkPage(t, http.StatusOK, "Set up by the operator of this gateway")
	got := s.checkSentBack(t, b.follow(b.approve(page)), ci, "a state")
	if a := s.redeem("ci", got.Get("code"), "redirect_uri", ci); a.status != http.StatusOK {
		t.Errorf("HTTP %d %s", a.status, a.body)
	}
	for _, uri := range []string{redirectURI, cursorURI, ci + "&a=b", "https://ci.example/callback"} {
		b.authorize(s.request("ci", "redirect_uri", uri)).checkPage(t, http.StatusBadRequest, "The redirect URI")
	}
	s.run("09 a redirect URI with iss", func(t *testing.T) {
		a := b.authorize(s.request("loop", "redirect_uri", "https://x.example/cb?iss=https://evil.example"))
		a.checkPage(t, http.StatusBadRequest, `has the parameter "iss"`)
	})
}
