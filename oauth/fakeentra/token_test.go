package fakeentra_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

func TestRedeem(t *testing.T) {
	s := newStage(t)
	got := s.token(s.redeem(s.code(nil), nil))
	if got.status != http.StatusOK || got.TokenType != "Bearer" || got.Scope != s.scope("mcp.access") || got.RefreshToken == "" || got.IDToken == "" {
		t.Fatalf("the answer is %d %s", got.status, got.body)
	}
	if got.ExpiresIn < 3600 || got.ExpiresIn > 5399 {
		t.Errorf("it expires in %d s; want 3600 to 5399", got.ExpiresIn)
	}
	if cache := got.header.Get("Cache-Control"); !strings.Contains(cache, "no-store") || got.header.Get("X-Ms-Request-Id") == "" {
		t.Errorf("the header is %v", got.header)
	}
	if c := claimsOf(t, got.IDToken); c["nonce"] != "n" || c["aud"] != s.client.ClientID {
		t.Errorf("the ID token is %v", c)
	}
	for _, absent := range []string{`"iss"`, "issued_token_type"} {
		if strings.Contains(got.body, absent) {
			t.Errorf("the answer has %s", absent)
		}
	}
}

// TestOptionalTokens is what depends on the scopes of OpenID Connect.
func TestOptionalTokens(t *testing.T) {
	s := newStage(t)
	got := s.token(s.redeem(s.code(map[string]string{"scope": s.scope("mcp.access")}), nil))
	if got.IDToken != "" || got.RefreshToken != "" || got.AccessToken == "" {
		t.Errorf("without openid and offline_access: %s", got.body)
	}
	first := s.token(s.redeem(s.code(nil), nil))
	if got := s.token(s.renew(first.RefreshToken, map[string]string{"scope": s.scope("mcp.access")})); got.IDToken != "" || got.RefreshToken == "" {
		t.Errorf("a refresh without openid: %s", got.body)
	}
	if got := s.token(s.renew(first.RefreshToken, nil)); got.IDToken == "" {
		t.Errorf("a refresh without scope: %s", got.body)
	}
}

// TestGraphByAccident is what happens to clients that ask for no API.
func TestGraphByAccident(t *testing.T) {
	s := newStage(t)
	got := s.token(s.redeem(s.code(map[string]string{"scope": "openid profile"}), nil))
	c := claimsOf(t, got.AccessToken)
	if c["aud"] != fakeentra.GraphApp || c["ver"] != "1.0" || c["iss"] != s.IssuerV1("") || headerOf(t, got.AccessToken)["nonce"] == nil {
		t.Errorf("the access token is %v", c)
	}
}

func TestCodeErrors(t *testing.T) {
	s := newStage(t)
	other := s.AddApp(fakeentra.App{Name: "other", Redirects: []fakeentra.Redirect{{URI: callback}}, Preauthorized: []string{}})
	web := s.AddApp(fakeentra.App{Name: "web", Redirects: []fakeentra.Redirect{{URI: callback, Platform: fakeentra.Web}}, Secrets: []string{"secret"}})
	spa := s.AddApp(fakeentra.App{Name: "spa", Redirects: []fakeentra.Redirect{{URI: callback, Platform: fakeentra.SPA}}})
	s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.Preauthorized = append(a.Preauthorized, web.ClientID, spa.ClientID) })
	asWeb, asSPA := map[string]string{"client_id": web.ClientID}, map[string]string{"client_id": spa.ClientID}
	for _, tt := range []struct {
		name      string
		authorize map[string]string
		redeem    map[string]string
		header    []string
		wantError string
		wantCode  string
	}{
		{"no code", nil, map[string]string{"code": "-"}, nil, "invalid_request", "900144"},
		{"no such code", nil, map[string]string{"code": "x"}, nil, "invalid_grant", "70000"},
		{"of another client", nil, map[string]string{"client_id": other.ClientID}, nil, "invalid_grant", "70000"},
		{"another redirect", nil, map[string]string{"redirect_uri": "http://localhost:5124/callback"}, nil, "invalid_grant", "500112"},
		{"no redirect", nil, map[string]string{"redirect_uri": "-"}, nil, "invalid_grant", "500112"},
		{"another verifier", nil, map[string]string{"code_verifier": verifier + "x"}, nil, "invalid_grant", "501481"},
		{"no verifier", nil, map[string]string{"code_verifier": "-"}, nil, "invalid_grant", "501481"},
		{"short verifier", nil, map[string]string{"code_verifier": "short"}, nil, "invalid_request", "501491"},
		{"verifier without challenge", map[string]string{"code_challenge": "-", "code_challenge_method": "-"}, nil, nil, "invalid_grant", "50147"},
		{"two APIs", nil, map[string]string{"scope": s.scope("mcp.access") + " https://graph.microsoft.com/User.Read"}, nil, "invalid_scope", "28000"},
		{"secret of a public client", nil, map[string]string{"client_secret": "x"}, nil, "invalid_client", "700025"},
		{"Origin", nil, nil, []string{"Origin", "https://gateway.example"}, "invalid_request", "9002326"},
		{"no secret on the web", asWeb, asWeb, nil, "invalid_client", "7000218"},
		{"wrong secret on the web", asWeb, map[string]string{"client_id": web.ClientID, "client_secret": "x"}, nil, "invalid_client", "7000215"},
		{"no Origin in a browser", asSPA, asSPA, nil, "invalid_request", "9002327"},
		{"unknown client", nil, map[string]string{"client_id": "x"}, nil, "unauthorized_client", "700016"},
		{"no client", nil, map[string]string{"client_id": "-"}, nil, "invalid_request", "900144"},
		{"no grant type", nil, map[string]string{"grant_type": "-"}, nil, "invalid_request", "900144"},
		{"password grant", nil, map[string]string{"grant_type": "password"}, nil, "unsupported_grant_type", "70003"},
		{"scope without consent", nil, map[string]string{"scope": "User.Read"}, nil, "invalid_grant", "65001"},
	} {
		got := s.token(s.redeem(s.code(tt.authorize), tt.redeem), tt.header...)
		wantStatus := http.StatusBadRequest
		if tt.wantError == "invalid_client" {
			wantStatus = http.StatusUnauthorized
		}
		if got.Error != tt.wantError || got.code() != tt.wantCode || got.status != wantStatus {
			t.Errorf("%s: %d %s, AADSTS%s; want %d %s, AADSTS%s", tt.name, got.status, got.Error, got.code(), wantStatus, tt.wantError, tt.wantCode)
		}
	}
	withSecret := map[string]string{"client_id": web.ClientID, "client_secret": "secret"}
	if got := s.token(s.redeem(s.code(asWeb), withSecret)); got.status != http.StatusOK || claimsOf(t, got.AccessToken)["azpacr"] != "1" {
		t.Errorf("the right secret: %s", got.body)
	}
	if got := s.token(s.redeem(s.code(asWeb), map[string]string{"client_id": "-"}), "Authorization", "Basic "+basic(web.ClientID, "secret")); got.status != http.StatusOK {
		t.Errorf("the right secret in the header: %s", got.body)
	}
	if got := s.token(s.redeem(s.code(asSPA), asSPA), "Origin", "https://app.example"); got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("in a browser: %s", got.body)
	}
}

func TestCodeOnce(t *testing.T) {
	s := newStage(t)
	code := s.code(nil)
	if got := s.token(s.redeem(code, map[string]string{"code_verifier": verifier + "x"})); got.code() != "501481" {
		t.Fatalf("the first attempt: %s", got.body)
	}
	if got := s.token(s.redeem(code, nil)); got.status != http.StatusOK {
		t.Fatalf("after an attempt that went wrong: %s", got.body)
	}
	if got := s.token(s.redeem(code, nil)); got.Error != "invalid_grant" || got.code() != "54005" {
		t.Errorf("the second time: %s", got.body)
	}
	code = s.code(nil)
	s.Switch(func(sw *fakeentra.Switches) { sw.ClockSkew = 11 * time.Minute })
	if got := s.token(s.redeem(code, nil)); got.code() != "70008" {
		t.Errorf("after 11 minutes: %s", got.body)
	}
}

func TestOtherTenantsCode(t *testing.T) {
	s := newStage(t)
	other := s.AddTenant(fakeentra.Tenant{Domain: "fabrikam.example"})
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) { a.MultiTenant = true })
	if got := s.tokenAt(s.URL()+"/"+other.ID+"/oauth2/v2.0/token", s.redeem(s.code(nil), nil)); got.code() != "700005" {
		t.Errorf("at another tenant: %s", got.body)
	}
	if got := s.tokenAt(s.URL()+"/common/oauth2/v2.0/token", s.redeem(s.code(nil), nil)); got.status != http.StatusOK {
		t.Errorf("at common: %s", got.body)
	}
}

// TestErrorBody is the form of all errors of the token endpoint.
func TestErrorBody(t *testing.T) {
	s := newStage(t)
	got := s.token(s.redeem("x", nil))
	form := `^AADSTS70000: Provided grant is invalid or malformed\.\r\nTrace ID: [0-9a-f-]{36}\r\nCorrelation ID: [0-9a-f-]{36}\r\nTimestamp: \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$`
	if !regexp.MustCompile(form).MatchString(got.ErrorDescription) || !slices.Equal(got.ErrorCodes, []int{70000}) {
		t.Errorf("the error is %q, %v", got.ErrorDescription, got.ErrorCodes)
	}
	for _, member := range []string{"timestamp", "trace_id", "correlation_id", "error_uri"} {
		if !strings.Contains(got.body, `"`+member+`"`) {
			t.Errorf("%s has no %s", got.body, member)
		}
	}
	if got.header.Get("X-Ms-Request-Id") == "" || !strings.Contains(got.header.Get("Cache-Control"), "no-store") {
		t.Errorf("the header is %v", got.header)
	}
	if a := s.get(s.endpoint("token")); a.code() != "900561" || a.status != http.StatusBadRequest {
		t.Errorf("GET: %d %s", a.status, a.body)
	}
	if got := s.token(s.redeem("x", nil), "Content-Type", "application/json"); got.code() != "900144" {
		t.Errorf("JSON: %s", got.body)
	}
	twice := s.redeem("x", nil)
	twice.Add("code", "y")
	if got := s.token(twice); got.code() != "9000411" {
		t.Errorf("two codes: %s", got.body)
	}
	if a := s.post(s.endpoint("token"), url.Values{"code": {strings.Repeat("x", 300<<10)}}); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("300 KiB: %d", a.status)
	}
}

func TestRefresh(t *testing.T) {
	s := newStage(t)
	first := s.token(s.redeem(s.code(nil), nil))
	second := s.token(s.renew(first.RefreshToken, nil))
	if second.status != http.StatusOK || second.RefreshToken == first.RefreshToken || second.Scope != s.scope("mcp.access") {
		t.Fatalf("the refresh: %s", second.body)
	}
	if _, has := claimsOf(t, second.IDToken)["nonce"]; has {
		t.Error("the ID token of a refresh has a nonce")
	}
	if again := s.token(s.renew(first.RefreshToken, nil)); again.status != http.StatusOK {
		t.Errorf("the old one: %s; Entra does not revoke it", again.body)
	}
	s.Consent(s.alice.ID, s.client.ClientID, fakeentra.GraphApp, "User.Read")
	if graph := s.token(s.renew(first.RefreshToken, map[string]string{"scope": "User.Read"})); claimsOf(t, graph.AccessToken)["scp"] != "User.Read" {
		t.Errorf("for another API: %s", graph.body)
	}
	for name, tt := range map[string]struct {
		changes  map[string]string
		wantCode string
	}{
		"none":                  {map[string]string{"refresh_token": "-"}, "900144"},
		"unknown":               {map[string]string{"refresh_token": "x"}, "9002313"},
		"two APIs":              {map[string]string{"scope": "User.Read " + s.scope("mcp.access")}, "28000"},
		"resource":              {map[string]string{"resource": "https://other.example"}, "9010010"},
		"secret":                {map[string]string{"client_secret": "x"}, "700025"},
		"scope without consent": {map[string]string{"scope": "Mail.Read"}, "65001"},
	} {
		if got := s.token(s.renew(first.RefreshToken, tt.changes)); got.code() != tt.wantCode {
			t.Errorf("%s: %s; want AADSTS%s", name, got.body, tt.wantCode)
		}
	}
}

func TestRefreshEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		arrange   func(*stage)
		wantError string
		wantCode  string
	}{
		"after 90 days":     {func(s *stage) { s.Switch(func(sw *fakeentra.Switches) { sw.ClockSkew = 91 * 24 * time.Hour }) }, "invalid_grant", "700082"},
		"revoked":           {func(s *stage) { s.Revoke(s.alice.Name) }, "invalid_grant", "50173"},
		"disabled":          {func(s *stage) { s.ChangeUser(s.alice.ID, func(u *fakeentra.User) { u.Disabled = true }) }, "invalid_grant", "50057"},
		"MFA since":         {func(s *stage) { s.Switch(func(sw *fakeentra.Switches) { sw.RequireMFA = true }) }, "interaction_required", "50076"},
		"consent withdrawn": {func(s *stage) { s.ChangeApp(s.api.ClientID, func(a *fakeentra.App) { a.Preauthorized = nil }) }, "invalid_grant", "65001"},
	} {
		s := newStage(t)
		first := s.token(s.redeem(s.code(nil), nil))
		tt.arrange(s)
		got := s.token(s.renew(first.RefreshToken, nil))
		if got.Error != tt.wantError || got.code() != tt.wantCode {
			t.Errorf("%s: %s; want %s, AADSTS%s", name, got.body, tt.wantError, tt.wantCode)
		}
		if tt.wantCode == "50076" && !strings.Contains(got.Claims, "access_token") {
			t.Errorf("%s: the claims challenge is %q", name, got.Claims)
		}
	}
	s := newStage(t)
	s.code(nil)
	s.Revoke(s.alice.ID)
	if a := s.authorize(map[string]string{"prompt": "none"}); a.code() != "50058" {
		t.Errorf("a session that was revoked: AADSTS%s", a.code())
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.RequireMFA = true })
	first := s.token(s.redeem(s.code(nil), nil))
	if got := s.token(s.renew(first.RefreshToken, nil)); got.status != http.StatusOK {
		t.Errorf("after a sign-in with MFA: %s", got.body)
	}
	if a := s.authorize(map[string]string{"prompt": "none"}); a.param("code") == "" {
		t.Errorf("a session with MFA: %s", a.code())
	}
}

// TestRefreshInBrowser ends after 24 hours, however often it was renewed.
func TestRefreshInBrowser(t *testing.T) {
	s := newStage(t)
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) { a.Redirects = []fakeentra.Redirect{{URI: callback, Platform: fakeentra.SPA}} })
	origin := []string{"Origin", "https://app.example"}
	first := s.token(s.redeem(s.code(nil), nil), origin...)
	s.Switch(func(sw *fakeentra.Switches) { sw.ClockSkew = 20 * time.Hour })
	second := s.token(s.renew(first.RefreshToken, nil), origin...)
	if second.status != http.StatusOK {
		t.Fatalf("after 20 hours: %s", second.body)
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.ClockSkew = 25 * time.Hour })
	if got := s.token(s.renew(second.RefreshToken, nil), origin...); got.code() != "700084" {
		t.Errorf("after 25 hours: %s", got.body)
	}
}

// TestTokenForItself is an app that is client and API at once.
func TestTokenForItself(t *testing.T) {
	s := newStage(t)
	s.ChangeApp(s.client.ClientID, func(a *fakeentra.App) {
		a.Scopes, a.Preauthorized = []string{"mcp.access"}, []string{s.client.ClientID}
	})
	byURI := "api://" + s.client.ClientID + "/mcp.access openid offline_access"
	byID := s.client.ClientID + "/mcp.access"
	first := s.token(s.redeem(s.code(map[string]string{"scope": byURI}), nil))
	if first.status != http.StatusOK {
		t.Fatalf("signing in: %s", first.body)
	}
	if got := s.token(s.renew(first.RefreshToken, nil)); got.Error != "invalid_request" || got.code() != "90009" {
		t.Errorf("refreshing with the URI: %s", got.body)
	}
	if got := s.token(s.renew(first.RefreshToken, map[string]string{"scope": byID})); got.status != http.StatusOK {
		t.Errorf("refreshing with the id: %s", got.body)
	}
}

func TestPlainChallenge(t *testing.T) {
	s := newStage(t)
	code := s.code(map[string]string{"code_challenge": verifier, "code_challenge_method": "-"})
	if got := s.token(s.redeem(code, nil)); got.status != http.StatusOK {
		t.Errorf("a challenge without method is plain: %s", got.body)
	}
}

// TestLifetimes lets clients be seen to refresh within seconds.
func TestLifetimes(t *testing.T) {
	s := newStage(t)
	s.Switch(func(sw *fakeentra.Switches) {
		sw.AccessTokenLifetime, sw.IDTokenLifetime, sw.RefreshTokenLifetime = 20*time.Second, 10*time.Second, time.Minute
	})
	got := s.token(s.redeem(s.code(nil), nil))
	now := float64(time.Now().Unix())
	if exp := claimsOf(t, got.AccessToken)["exp"].(float64) - now; got.ExpiresIn != 20 || exp < 15 || exp > 20 {
		t.Errorf("the access token expires in %d s, its exp is in %v s; want 20", got.ExpiresIn, exp)
	}
	if exp := claimsOf(t, got.IDToken)["exp"].(float64) - now; exp < 5 || exp > 10 {
		t.Errorf("the ID token expires in %v s; want 10", exp)
	}
	s.Switch(func(sw *fakeentra.Switches) { sw.ClockSkew = 2 * time.Minute })
	if got := s.token(s.renew(got.RefreshToken, nil)); got.code() != "700082" {
		t.Errorf("after two minutes: %s", got.body)
	}
}
