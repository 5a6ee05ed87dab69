package broker_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/broker"
)

func TestToken26ReplayedCodeEndsItsSession(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		code := s.code(client)
		got := s.redeem(client, code).tokens(s)
		s.works(got.access, true)
		s.redeem(client, code).refused(s, http.StatusBadRequest, "invalid_grant")
		s.works(got.access, false)
		s.refresh(client, got.refresh).refused(s, http.StatusBadRequest, "invalid_grant")
		s.logs("WARN", "the code was redeemed before")
		if n := len(s.state.Sessions()); n != 0 {
			s.Errorf("%d sessions are left", n)
		}
	})
}

// TestToken26AtOnce redeems a code ten times at the same moment: nobody ever has
// two sessions of one code.
func TestToken26AtOnce(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		code := s.code(client)
		granted := 0
		for _, a := range atOnce(10, func() *answer { return s.redeem(client, code) }) {
			if a.status == http.StatusOK {
				granted++
				continue
			}
			a.refused(s, http.StatusBadRequest, "invalid_grant")
		}
		if sessions := len(s.state.Sessions()); granted > 1 || sessions > 1 {
			s.Errorf("%d were granted, and there are %d sessions", granted, sessions)
		}
	})
}

// atOnce does the same several times at once.
func atOnce(times int, do func() *answer) []*answer {
	answers := make([]*answer, times)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = do() })
	}
	all.Wait()
	return answers
}

func TestToken27CodeOfSomethingElse(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, other := s.register(), s.register()
		code := s.code(client)
		var bodies []string
		for name, a := range map[string]*answer{
			"another client":            s.redeem(other, code),
			"another redirect":          s.redeem(client, code, "redirect_uri", "http://localhost:3119/callback"),
			"another verifier":          s.redeem(client, code, "code_verifier", strings.Repeat("a", 43)),
			"a verifier that is none":   s.redeem(client, code, "code_verifier", "short"),
			"the challenge as verifier": s.redeem(client, code, "code_verifier", challengeOf(verifier)),
			"another code":              s.redeem(client, strings.Repeat("a", 43)),
			"no text of the gateway's":  s.redeem(client, "\xff\x00"),
		} {
			if a.status != http.StatusBadRequest || a.json(s)["error"] != "invalid_grant" {
				s.Errorf("%s: HTTP %d %s", name, a.status, a.body)
			}
			bodies = append(bodies, a.body)
		}
		if hints := slices.Compact(bodies); len(hints) != 1 {
			s.Errorf("the answers tell what is wrong: %q", hints)
		}
		s.redeem(client, code).tokens(s) // none of that was the client's fault
	})
}

func TestToken27Late(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		intime, late := s.code(client), s.code(client)
		time.Sleep(59 * time.Second)
		s.redeem(client, intime).tokens(s)
		time.Sleep(2 * time.Second)
		s.redeem(client, late).refused(s, http.StatusBadRequest, "invalid_grant")
	})
}

func TestTokenMissingParameters(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		for _, name := range []string{"grant_type", "client_id", "code", "redirect_uri", "code_verifier"} {
			a := s.redeem(client, "a-code", name, "")
			a.refused(s, http.StatusBadRequest, "invalid_request")
			if !strings.Contains(a.body, name) {
				s.Errorf("the answer does not name %s: %s", name, a.body)
			}
		}
		s.refresh(client, "").refused(s, http.StatusBadRequest, "invalid_request")
		s.redeem("unknown", "a-code").refused(s, http.StatusUnauthorized, "invalid_client")
		s.redeem(client, "a-code", "resource", "https://other.example/mcp").refused(s, http.StatusBadRequest, "invalid_target")
	})
}

func TestToken30OtherGrants(t *testing.T) {
	inTime(t, func(s *stage, m *middleman) {
		client, _ := s.signedIn()
		before := len(m.forms)
		for _, grant := range []string{
			"client_credentials", "password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code",
			"urn:ietf:params:oauth:grant-type:token-exchange", "Authorization_Code", "refresh_token ",
		} {
			s.token(url.Values{"grant_type": {grant}, "client_id": {client}, "username": {alice}, "password": {"x"}, "scope": {"x/.default"}}).
				refused(s, http.StatusBadRequest, "unsupported_grant_type")
		}
		if len(m.forms) != before {
			s.Errorf("the provider was asked: %v", m.forms[before:])
		}
	})
}

func TestToken32Bodies(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		form := "grant_type=refresh_token&client_id=" + s.register() + "&refresh_token=x"
		const ofForm = "application/x-www-form-urlencoded"
		for _, tt := range []struct {
			name, method, contentType, body string
			status                          int
		}{
			{"JSON", http.MethodPost, "application/json", `{"grant_type": "refresh_token"}`, 415},
			{"multipart", http.MethodPost, "multipart/form-data; boundary=x", "--x--", 415},
			{"no type", http.MethodPost, "", form, 415},
			{"more than 16 KiB", http.MethodPost, ofForm, form + "&x=" + strings.Repeat("x", 16<<10), 413},
			{"a field twice", http.MethodPost, ofForm, form + "&client_id=x", 400},
			{"a field without meaning twice", http.MethodPost, ofForm, form + "&x=1&x=2", 400},
			{"101 fields", http.MethodPost, ofForm, strings.Repeat("a=b&", 100) + form, 400},
			{"no form", http.MethodPost, ofForm, "a=%zz", 400},
			{"a secret", http.MethodPost, ofForm, form + "&client_secret=x", 400},
			{"an assertion", http.MethodPost, ofForm, form + "&client_assertion=x", 400},
			{"GET", http.MethodGet, "", "", 405},
			{"PUT", http.MethodPut, ofForm, form, 405},
		} {
			r, err := http.NewRequest(tt.method, s.server.URL+"/oauth2/token", strings.NewReader(tt.body))
			if err != nil {
				s.Fatal(err)
			}
			r.Header.Set("Content-Type", tt.contentType)
			if a := s.browser().do(r); a.status != tt.status || a.json(s)["error"] == nil {
				s.Errorf("%s: HTTP %d %s, want %d", tt.name, a.status, a.body, tt.status)
			}
		}
	})
}

func TestToken35Answer(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		first := s.redeem(client, s.code(client))
		for name, a := range map[string]*answer{"code": first, "refresh token": s.refresh(client, first.tokens(s).refresh)} {
			got := a.json(s)
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"access_token", "expires_in", "refresh_token", "scope", "token_type"}) {
				s.Errorf("%s: the answer has %v", name, names)
			}
			exp := part(s, a.tokens(s).access, 1)["exp"].(float64)
			if left := exp - float64(time.Now().Unix()); got["expires_in"] != left || left != 900 {
				s.Errorf("%s: expires_in is %v, and the token ends in %v s", name, got["expires_in"], left)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || a.header.Get("Content-Type") != "application/json" {
				s.Errorf("%s: the headers are %v", name, a.header)
			}
		}
	})
}

// part is a part of a token: 0 for the header, 1 for the payload.
func part(t testing.TB, token string, i int) map[string]any {
	t.Helper()
	v := map[string]any{}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("it is no token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestToken36CrossOrigin(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client, got := s.signedIn()
		a := s.browser().post(s.server.URL+"/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {got.refresh}},
			"Origin", "https://evil.example")
		a.tokens(s)
		r, err := http.NewRequest(http.MethodOptions, s.server.URL+"/oauth2/token", nil)
		if err != nil {
			s.Fatal(err)
		}
		r.Header.Set("Origin", "https://evil.example")
		for name, h := range map[string]http.Header{"POST": a.header, "OPTIONS": s.browser().do(r).header} {
			if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Set-Cookie") != "" {
				s.Errorf("%s: %v", name, h)
			}
		}
		for _, e := range s.fake.Requests("token") {
			if e.Header.Get("Origin") != "" {
				s.Error("the provider heard of the origin")
			}
		}
	})
}

// TestAccessToken looks at what RFC 9068 asks of one, and that it tells nobody who
// the person is.
func TestAccessToken(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		for _, resource := range []string{"", s.server.URL, s.server.URL + "/", s.server.URL + "/mcp", s.server.URL + "/mcp/"} {
			code := s.code(client, "resource", resource)
			token := s.redeem(client, code, "resource", resource).tokens(s).access
			header, payload := part(s, token, 0), part(s, token, 1)
			if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] != s.state.Status().KeyID || len(header) != 3 {
				s.Errorf("the header is %v", header)
			}
			if names := slices.Sorted(maps.Keys(payload)); !slices.Equal(names, []string{"aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sid", "sub"}) {
				s.Errorf("the claims are %v", names)
			}
			if payload["aud"] != s.server.URL+"/mcp" || payload["iss"] != s.server.URL || payload["client_id"] != client || payload["scope"] != "mcp.access" {
				s.Errorf("for the resource %q, the claims are %v", resource, payload)
			}
			if text, _ := json.Marshal(payload); strings.Contains(string(text), "Alice") || strings.Contains(string(text), "alice@") {
				s.Errorf("it says who the person is: %s", text)
			}
			s.works(token, true)
		}
	})
}

// TestNoUpstreamRefresh is about a provider that gives no refresh token.
func TestNoUpstreamRefresh(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		client := s.register()
		a := s.redeem(client, s.code(client))
		if a.json(s)["refresh_token"] != nil {
			s.Error("the client has a refresh token that could ask nobody")
		}
		s.logs("WARN", "the provider gave no refresh token")
		token := a.tokens(s).access
		time.Sleep(15*time.Minute - time.Second)
		s.works(token, true)
		time.Sleep(20 * time.Second)
		s.works(token, false)
		if n := len(s.state.Sessions()); n != 0 {
			s.Errorf("%d sessions are left", n)
		}
	}, func(o *broker.Options) { o.Request = []string{"openid", "profile"} })
}

func TestMetadata(t *testing.T) {
	inTime(t, func(s *stage, _ *middleman) {
		for _, documents := range []bool{false, true} {
			s.configure(func(o *broker.Options) { o.Documents = documents })
			for _, path := range []string{"oauth-authorization-server", "oauth-authorization-server/mcp", "openid-configuration", "openid-configuration/mcp"} {
				got := s.browser().get(s.server.URL + "/.well-known/" + path).json(s)
				for name, want := range map[string]any{
					"issuer": s.server.URL, "authorization_endpoint": s.server.URL + "/oauth2/authorize", "token_endpoint": s.server.URL + "/oauth2/token",
					"registration_endpoint": s.server.URL + "/register", "revocation_endpoint": s.server.URL + "/oauth2/revoke", "jwks_uri": s.server.URL + "/oauth2/jwks",
					"code_challenge_methods_supported": "[S256]", "token_endpoint_auth_methods_supported": "[none]", "response_types_supported": "[code]",
					"grant_types_supported": "[authorization_code refresh_token]", "scopes_supported": "[mcp.access mcp.read]",
					"authorization_response_iss_parameter_supported": true,
				} {
					if have := plain(got[name]); have != plain(want) {
						s.Errorf("%s: %s is %s, want %s", path, name, have, plain(want))
					}
				}
				if have, _ := got["client_id_metadata_document_supported"].(bool); have != documents {
					s.Errorf("%s: metadata documents are promised: %t, want %t", path, have, documents)
				}
			}
		}
	})
}

// plain writes what JSON has as text, without quotes and commas.
func plain(v any) string {
	text, _ := json.Marshal(v)
	return strings.NewReplacer(`"`, "", ",", " ").Replace(string(text))
}
