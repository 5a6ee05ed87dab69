package oauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestTokensOfEntra(t *testing.T) {
	s := start(t, newInternet(), entraProvider())
	global := entra.Clouds["global"]
	v1 := func() object {
		return with(accessToken(), object{"iss": global.IssuerV1(tenant), "ver": "1.0", "azp": nil, "appid": clientApp})
	}
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, tt := range []struct {
		name    string
		payload any
		header  object
		status  int    // 0 if it is admitted
		reason  string // in the log
	}{
		{name: "version 2", payload: accessToken()},
		{name: "version 1", payload: v1()},
		{name: "an access token by its type", payload: accessToken(), header: object{"typ": "at+jwt"}},
		{name: "without a type", payload: accessToken(), header: object{"typ": nil}},
		{name: "several audiences", payload: with(accessToken(), object{"aud": []string{"other", api}})},

		{name: "45 none", payload: accessToken(), header: object{"alg": "none"}, status: 401, reason: "which is not accepted"},
		{name: "45 HS256", payload: accessToken(), header: object{"alg": "HS256"}, status: 401, reason: "which is not accepted"},
		{name: "45 RS512", payload: accessToken(), header: object{"alg": "RS512"}, status: 401, reason: "which is not accepted"},
		{name: "45 jwk", payload: accessToken(), header: object{"jwk": object{"kty": "RSA"}}, status: 401, reason: "a key of its own"},
		{name: "45 jku", payload: accessToken(), header: object{"jku": "https://evil.example/keys"}, status: 401, reason: "a key of its own"},
		{name: "45 x5u", payload: accessToken(), header: object{"x5u": "https://evil.example/cert"}, status: 401, reason: "a key of its own"},
		{name: "crit", payload: accessToken(), header: object{"crit": []string{"exp"}}, status: 401, reason: "extension"},
		{name: "another type", payload: accessToken(), header: object{"typ": "logout+jwt"}, status: 401, reason: "not JWT or at+jwt"},
		{name: "no key id", payload: accessToken(), header: object{"kid": nil}, status: 401, reason: "(kid)"},
		{name: "46 Graph by its header", payload: accessToken(), header: object{"nonce": "x"}, status: 401, reason: "it is for Microsoft Graph"},
		{name: "46 Graph by its audience", payload: with(v1(), object{"aud": "00000003-0000-0000-c000-000000000000"}), status: 401, reason: "it is for Microsoft Graph"},
		{name: "46 Graph by its URL", payload: with(v1(), object{"aud": "https://graph.microsoft.com/"}), status: 401, reason: "it is for Microsoft Graph"},
		{name: "46 a sibling's", payload: with(accessToken(), object{"aud": clientApp}), status: 401, reason: "not for this gateway"},
		{name: "46 an ID token", payload: idToken(), status: 401, reason: "it is an ID token"},
		{name: "47 tenant not allowed", payload: with(accessToken(), object{"iss": global.IssuerV2(otherTenant), "tid": otherTenant}), status: 401, reason: "not one of allowed_tenants"},
		{name: "47 tenant is not the issuer's", payload: with(accessToken(), object{"tid": otherTenant}), status: 401, reason: "(tid) is not the one in its issuer"},
		{name: "47 tenant that is no GUID", payload: with(accessToken(), object{"iss": global.IssuerV2("common"), "tid": "common"}), status: 401, reason: "that of no auth block"},
		{name: "another issuer", payload: with(accessToken(), object{"iss": "https://idp.example.com"}), status: 401, reason: "that of no auth block"},
		{name: "another cloud", payload: with(accessToken(), object{"iss": entra.Clouds["china"].IssuerV2(tenant)}), status: 401, reason: "that of no auth block"},
		{name: "a version that is not the issuer's", payload: with(accessToken(), object{"ver": "1.0"}), status: 401, reason: "(ver) is not that of its issuer"},
		{name: "no object id", payload: with(accessToken(), object{"oid": nil}), status: 401, reason: "no object id"},
		{name: "49 expired within the skew", payload: with(accessToken(), object{"exp": in(-30 * time.Second)})},
		{name: "49 expired", payload: with(accessToken(), object{"exp": in(-2 * time.Minute)}), status: 401, reason: "it has expired"},
		{name: "49 for ten years", payload: with(accessToken(), object{"exp": in(10 * 365 * 24 * time.Hour)}), status: 401, reason: "no token may be for more than"},
		{name: "no end", payload: with(accessToken(), object{"exp": nil}), status: 401, reason: "(iat, exp)"},
		{name: "no beginning", payload: with(accessToken(), object{"iat": nil, "nbf": nil}), status: 401, reason: "(iat, exp)"},
		{name: "from the future", payload: with(accessToken(), object{"iat": in(2 * time.Minute), "nbf": nil}), status: 401, reason: "in the future"},
		{name: "not yet", payload: with(accessToken(), object{"nbf": in(2 * time.Minute)}), status: 401, reason: "does not count before"},
		{name: "a clock ten minutes off", payload: with(accessToken(), object{"iat": in(10 * time.Minute), "nbf": in(10 * time.Minute), "exp": in(70 * time.Minute)}), status: 401, reason: "clock is behind"},
		{name: "an end that overflows", payload: with(accessToken(), object{"exp": 1e300}), status: 401, reason: "wrong type"},
		{name: "50 a program", payload: appToken(), status: 401, reason: "allow_app_tokens"},
		{name: "50 a program by idtyp", payload: with(appToken(), object{"idtyp": "app"}), status: 401, reason: "allow_app_tokens"},
		{name: "a device", payload: with(accessToken(), object{"idtyp": "device"}), status: 401, reason: "(idtyp)"},
		{name: "no scope", payload: with(accessToken(), object{"scp": nil}), status: 401, reason: "(scp)"},
		{name: "another scope", payload: with(accessToken(), object{"scp": "other.read"}), status: 403, reason: `it lacks the scope`},
		{name: "55 UTF-8", payload: `{"iss": "` + "\xff" + `"}`, status: 401, reason: "UTF-8"},
		{name: "55 duplicate members", payload: `{"iss": "a", "iss": "b"}`, status: 401, reason: "duplicate"},
		{name: "a list", payload: `[]`, status: 401, reason: "not one JSON object"},
		{name: "a wrong type", payload: with(accessToken(), object{"oid": 7}), status: 401, reason: `/oid`},
		{name: "members of another case", payload: with(accessToken(), object{"iss": nil, "ISS": global.IssuerV2(tenant)}), status: 401, reason: "that of no auth block"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := *s
			s.t = t
			token := sign(t, tt.payload, tt.header)
			if tt.status == 0 {
				if got := s.admit(token).ID; got != `User::"`+tenant+`/`+alice+`"` {
					t.Errorf("the caller is %s", got)
				}
				return
			}
			refused := s.refuse(token, tt.status, tt.reason)
			code := map[int]string{401: `error="invalid_token"`, 403: `error="insufficient_scope"`}[tt.status]
			if !strings.Contains(refused.Challenge, code) || !strings.Contains(refused.Challenge, `scope="mcp.access"`) {
				t.Errorf("the challenge is %s", refused.Challenge)
			}
		})
	}
}

// TestForgedTokens signs with what a client can know.
func TestForgedTokens(t *testing.T) {
	s := start(t, newInternet(), entraProvider())
	good := sign(t, accessToken(), nil)
	s.admit(good)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	public, err := x509.MarshalPKIXPublicKey(signingKeys()[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	forged := encode([]byte(`{"alg":"HS256","kid":"key-1"}`)) + "." + payload
	mac := hmac.New(sha256.New, public)
	mac.Write([]byte(forged))
	changed, _ := json.Marshal(with(accessToken(), object{"oid": "b0b00000-0000-0000-0000-000000000001"}))
	for name, token := range map[string]string{
		"45 the public key as a secret": forged + "." + encode(mac.Sum(nil)),
		"no signature":                  head + "." + payload + ".",
		"two parts":                     head + "." + payload,
		"five parts":                    good + ".a.b",
		"another payload":               head + "." + encode(changed) + "." + signature,
		"padding":                       head + "." + payload + "=." + signature,
		"opaque":                        "opaque-token",
		"too long":                      strings.Repeat("a", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			s.refuse(token, http.StatusUnauthorized, "refused a token")
		})
	}
}

// TestOneWayToWriteTokens refuses a token that is written in another way: each
// would be remembered for itself.
func TestOneWayToWriteTokens(t *testing.T) {
	s := start(t, newInternet(), oidcProvider())
	good := sign(t, oidcToken(), nil)
	s.admit(good)
	end := len(good) - 1
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for name, token := range map[string]string{
		"a space in the signature":     good[:end] + " " + good[end:],
		"a tab":                        good[:end] + "\t" + good[end:],
		"the end of a line":            good[:end] + "\n" + good[end:],
		"bits that are not looked at":  good[:end] + string(alphabet[strings.IndexByte(alphabet, good[end])^1]),
		"padding behind the signature": good + "==",
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			s.refuse(token, http.StatusUnauthorized, "its signature is not base64url")
		})
	}
}

// TestLogIsBounded has a token of unknown sender say much where refusals quote it.
func TestLogIsBounded(t *testing.T) {
	s := start(t, newInternet(), oidcProvider())
	many := strings.Repeat("x\n", 4000)
	for name, token := range map[string]string{
		"aud":         sign(t, with(oidcToken(), object{"aud": strings.Split(many, "\n")}), nil),
		"one aud":     sign(t, with(oidcToken(), object{"aud": many}), nil),
		"iss":         sign(t, with(oidcToken(), object{"iss": many}), nil),
		"another ISS": sign(t, with(oidcToken(), object{"ISS": many}), nil),
		"kid":         sign(t, oidcToken(), object{"kid": many}),
		"alg":         sign(t, oidcToken(), object{"alg": many}),
		"typ":         sign(t, oidcToken(), object{"typ": many}),
		"x5c":         sign(t, oidcToken(), object{"x5c": []string{many}}),
		"a member":    sign(t, with(oidcToken(), object{many: 1, "sub": 7}), nil),
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			before := len(s.log.String())
			s.refuse(token, http.StatusUnauthorized, "refused a token")
			if line := s.log.String()[before:]; len(line) > 1000 || strings.Count(line, "\n") != 1 {
				t.Errorf("%d bytes in the log: %.200s", len(line), line)
			}
		})
	}
}

func TestTokensOfOthers(t *testing.T) {
	s := start(t, newInternet(), oidcProvider())
	for _, tt := range []struct {
		name    string
		payload object
		header  object
		status  int
		reason  string
	}{
		{name: "an access token", payload: oidcToken()},
		{name: "scopes as a list", payload: with(oidcToken(), object{"scope": nil, "scp": []string{"mcp:read", "mcp:write"}})},
		{name: "an ID token", payload: with(oidcToken(), object{"at_hash": "x"}), status: 401, reason: "it is an ID token"},
		{name: "an ID token with a nonce", payload: with(oidcToken(), object{"nonce": "x", "scope": nil}), status: 401, reason: "it is an ID token"},
		{name: "Keycloak's ID token", payload: with(oidcToken(), object{"typ": "ID"}), status: 401, reason: "it is an ID token"},
		{name: "Keycloak's refresh token", payload: with(oidcToken(), object{"typ": "Refresh"}), status: 401, reason: "not an access token"},
		{name: "a logout token", payload: with(oidcToken(), object{"events": object{}}), status: 401, reason: "not an access token"},
		{name: "at_hash in an access token by its type", payload: with(oidcToken(), object{"at_hash": "x"}), header: object{"typ": "at+jwt"}},
		{name: "another audience", payload: with(oidcToken(), object{"aud": "https://other.example.com"}), status: 401, reason: "not for this gateway"},
		{name: "the audience with a slash", payload: with(oidcToken(), object{"aud": publicURL + "/mcp/"}), status: 401, reason: "not for this gateway"},
		{name: "one scope of two", payload: with(oidcToken(), object{"scope": "mcp:read"}), status: 403, reason: "mcp:write"},
		{name: "a program", payload: with(oidcToken(), object{"sub": "cli"}), status: 401, reason: "allow_app_tokens"},
		{name: "Keycloak's program", payload: with(oidcToken(), object{"preferred_username": "service-account-cli"}), status: 401, reason: "allow_app_tokens"},
		{name: "a person who calls themselves a program", payload: with(oidcToken(), object{"client_id": nil, "azp": "cli", "preferred_username": "service-account-cli"})},
		{name: "Okta's access token", payload: with(oidcToken(), object{"client_id": nil, "cid": "cli", "ver": 1, "scope": nil, "scp": []string{"mcp:read", "mcp:write"}})},
		{name: "Okta's program", payload: with(oidcToken(), object{"client_id": nil, "cid": "alice", "ver": 1}), status: 401, reason: "allow_app_tokens"},
		{name: "Cognito's ID token", payload: with(oidcToken(), object{"token_use": "id"}), status: 401, reason: "it is an ID token"},
		{name: "claims that are of another type elsewhere", payload: with(oidcToken(), object{"acr": 1, "roles": object{"admin": true}, "email": []string{"a"}, "name": 7})},
		{name: "a client of another type", payload: with(oidcToken(), object{"client_id": 7}), status: 401, reason: "/client_id"},
		{name: "an audience of another type", payload: with(oidcToken(), object{"aud": object{publicURL + "/mcp": true}}), status: 401, reason: "not for this gateway"},
		{name: "no subject", payload: with(oidcToken(), object{"sub": ""}), status: 401, reason: "(sub)"},
		{name: "a subject that ends a line", payload: with(oidcToken(), object{"sub": "a\nb"}), status: 401, reason: "(sub)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := *s
			s.t = t
			token := sign(t, tt.payload, tt.header)
			if tt.status != 0 {
				s.refuse(token, tt.status, tt.reason)
				return
			}
			if got := s.admit(token).ID; got != `User::"https://idp.example.com#alice"` {
				t.Errorf("the caller is %s", got)
			}
		})
	}
}

func TestIDTokensInsteadOfAccessTokens(t *testing.T) {
	p := entraProvider()
	p.IDTokens, p.Audiences, p.Scopes = true, []string{clientApp}, nil
	s := start(t, newInternet(), p)
	c := s.admit(sign(t, with(idToken(), object{"aud": clientApp}), nil))
	if c.Client.ID != clientApp || len(c.Scopes) != 0 {
		t.Errorf("client %q, scopes %q", c.Client.ID, c.Scopes)
	}
	s.refuse(sign(t, with(accessToken(), object{"aud": clientApp}), nil), 401, "told to take ID tokens")
	s.refuse(sign(t, with(appToken(), object{"aud": clientApp}), nil), 401, "allow_app_tokens")
}

func TestPrograms(t *testing.T) {
	p := entraProvider()
	p.AllowAppTokens = true
	s := start(t, newInternet(), p)
	c := s.admit(sign(t, appToken(), nil))
	if !c.Workload || c.ID != `Workload::"`+tenant+`/ada00000-0000-0000-0000-000000000001"` || len(c.Roles) != 1 {
		t.Errorf("the caller is %+v", c)
	}
	for _, roles := range []any{nil, json.RawMessage("null"), "", []string{""}, []any{7}} {
		s.refuse(sign(t, with(appToken(), object{"roles": roles}), nil), 401, "without any app role")
	}
	s.refuse(sign(t, with(idToken(), object{"roles": []string{"Mcp.Admin"}}), nil), 401, "it is an ID token")
}

func TestSeveralTenants(t *testing.T) {
	p := entraProvider()
	p.Entra.Tenant, p.Entra.Allowed = "common", []string{tenant, otherTenant}
	n := newInternet()
	s := start(t, n, p)
	other := with(accessToken(), object{"iss": entra.Clouds["global"].IssuerV2(otherTenant), "tid": otherTenant})
	if a, b := s.admit(sign(t, accessToken(), nil)), s.admit(sign(t, other, nil)); a.ID == b.ID {
		t.Errorf("both are %s", a.ID)
	}
	n.mu.Lock()
	n.extra = object{"issuer": entra.Clouds["global"].IssuerV2(tenant)} // the keys are one tenant's
	n.mu.Unlock()
	s = start(t, n, p)
	s.admit(sign(t, accessToken(), nil))
	s.refuse(sign(t, other, nil), 401, "does not verify")
	third := "6c1f6c8e-0000-0000-0000-000000000003"
	s.refuse(sign(t, with(other, object{"iss": entra.Clouds["global"].IssuerV2(third), "tid": third}), nil), 401, "allowed_tenants")
}

func TestSeveralProviders(t *testing.T) {
	humans, programs := entraProvider(), entraProvider()
	programs.Name, programs.Audiences, programs.AllowAppTokens = "programs", []string{"api://programs"}, true
	s := start(t, newInternet(), humans, oidcProvider(), programs)
	for want, payload := range map[string]object{
		"contoso": accessToken(), "idp": oidcToken(), "programs": with(appToken(), object{"aud": "api://programs"}),
	} {
		if got := s.admit(sign(t, payload, nil)).Provider; got != want {
			t.Errorf("a token for %s is of %s", want, got)
		}
	}
	s.refuse(sign(t, appToken(), nil), 401, "allow_app_tokens") // it is for the humans' audience
}

func TestAllowedClients(t *testing.T) {
	p := entraProvider()
	p.Clients = []string{"another"}
	s := start(t, newInternet(), p)
	s.refuse(sign(t, accessToken(), nil), 401, "allowed_clients")
	s.refuse(sign(t, with(accessToken(), object{"azp": nil, "appid": "another"}), nil), 401, "allowed_clients") // as version 1 has it
	v1 := with(accessToken(), object{"iss": entra.Clouds["global"].IssuerV1(tenant), "ver": "1.0", "appid": clientApp, "azp": "another"})
	s.refuse(sign(t, v1, nil), 401, "allowed_clients")
	p = oidcProvider()
	p.Clients = []string{"cli"}
	s = start(t, newInternet(), p)
	s.admit(sign(t, oidcToken(), nil))
	s.admit(sign(t, with(oidcToken(), object{"azp": "cli"}), nil))
	s.refuse(sign(t, with(oidcToken(), object{"azp": "another"}), nil), 401, "allowed_clients")
	s.refuse(sign(t, with(oidcToken(), object{"azp": "cli", "client_id": "another"}), nil), 401, "allowed_clients")
	s.refuse(sign(t, with(oidcToken(), object{"client_id": nil}), nil), 401, "allowed_clients")
}

// TestProgramsOfOthers have no roles that would stand for scopes.
func TestProgramsOfOthers(t *testing.T) {
	p := oidcProvider()
	p.AllowAppTokens = true
	s := start(t, newInternet(), p)
	if c := s.admit(sign(t, with(oidcToken(), object{"sub": "cli"}), nil)); !c.Workload || c.ID != `Workload::"https://idp.example.com#cli"` {
		t.Errorf("the caller is %+v", c)
	}
	s.refuse(sign(t, with(oidcToken(), object{"sub": "cli", "scope": "mcp:read"}), nil), 403, "mcp:write")
}
