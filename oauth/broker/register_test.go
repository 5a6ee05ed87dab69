package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// registerAs registers a client with metadata: a value, or the text of a body.
func (s *stage) registerAs(metadata any) *answer {
	s.Helper()
	body, ok := metadata.(string)
	if !ok {
		raw, err := json.Marshal(metadata)
		if err != nil {
			s.Fatal(err)
		}
		body = string(raw)
	}
	r, err := http.NewRequest(http.MethodPost, s.server.URL+"/register", bytes.NewReader([]byte(body)))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return s.browser().do(r)
}

// TestRegisterRefused has clients that cannot register.
func TestRegisterRefused(t *testing.T) {
	s := newStage(t)
	type object = map[string]any
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf("http://localhost:%d/callback", 4000+i))
	}
	for _, tt := range []struct {
		name     string
		metadata any
		status   int
		oauth    string
		want     string // in the description
	}{
		{"37 large body", object{"redirect_uris": []string{redirectURI}, "x": strings.Repeat("a", 64<<10)}, 413, "invalid_client_metadata", "too large"},
		{"37 name of 1 MB", object{"redirect_uris": []string{redirectURI}, "client_name": strings.Repeat("a", 1<<20)}, 413, "invalid_client_metadata", "too large"},
		{"37 name of 10 kB", object{"redirect_uris": []string{redirectURI}, "client_name": strings.Repeat("a", 10<<10)}, 400, "invalid_client_metadata", "client_name"},
		{"37 50 redirect URIs", object{"redirect_uris": many}, 400, "invalid_client_metadata", "more than 10"},
		{"37 10 long redirect URIs", object{"redirect_uris": slices.Repeat([]string{redirectURI + "?a=" + strings.Repeat("a", 1000)}, 10)}, 400, "invalid_client_metadata", "longer than 3 KiB"},
		{"37 none", object{"client_name": "x"}, 400, "invalid_redirect_uri", "no redirect URI"},
		{"37 not JSON", `redirect_uris=x`, 400, "invalid_client_metadata", "not a JSON object"},
		{"37 repeated members", `{"redirect_uris":["http://localhost/"],"redirect_uris":["javascript:x"]}`, 400, "invalid_client_metadata", "not a JSON object"},
		{"37 no UTF-8", "{\"client_name\":\"\xff\",\"redirect_uris\":[\"http://localhost/\"]}", 400, "invalid_client_metadata", ""},
		{"38 one bad among good ones", object{"redirect_uris": []string{redirectURI, "https://evil.example/cb"}}, 400, "invalid_redirect_uri", "https://evil.example/cb"},
		{"04 javascript", object{"redirect_uris": []string{"javascript:alert(1)"}}, 400, "invalid_redirect_uri", "javascript"},
		{"04 unknown scheme", object{"redirect_uris": []string{"evil://callback"}}, 400, "invalid_redirect_uri", "evil://callback"},
		{"07 own callback", object{"redirect_uris": []string{s.server.URL + "/oauth2/callback"}}, 400, "invalid_redirect_uri", "of this gateway itself"},
		{"09 redirect URI with iss", object{"redirect_uris": []string{redirectURI + "?iss=https://evil.example"}}, 400, "invalid_redirect_uri", "which the answer will have"},
		{"09 redirect URI with state", object{"redirect_uris": []string{redirectURI + "?%73tate=x"}}, 400, "invalid_redirect_uri", "which the answer will have"},
		{"30 client_credentials alone", object{"redirect_uris": []string{redirectURI}, "grant_types": []string{"client_credentials"}}, 400, "invalid_client_metadata", "authorization_code"},
		{"10 token alone", object{"redirect_uris": []string{redirectURI}, "response_types": []string{"token"}}, 400, "invalid_client_metadata", "response type"},
	} {
		s.run(tt.name, func(t *testing.T) {
			a := s.registerAs(tt.metadata)
			a.refused(t, tt.status, tt.oauth)
			if got, _ := a.json(t)["error_description"].(string); !strings.Contains(got, tt.want) || a.json(t)["client_id"] != nil {
				t.Errorf("it is answered %s", a.body)
			}
		})
	}
	if a := s.browser().post(s.server.URL+"/register", s.request("x")); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form is answered HTTP %d %s", a.status, a.body)
	}
}

// TestRegister has clients that can register.
func TestRegister(t *testing.T) {
	s := newStage(t)
	cursor := []string{"cursor://anysphere.cursor-mcp/oauth/callback", cursorURI, "http://localhost:8787/callback"}
	for _, tt := range []struct {
		name      string
		redirects []string
		more      map[string]any
	}{
		{"38 Cursor's three", cursor, nil},
		{"39 client_secret_basic", []string{redirectURI}, map[string]any{"token_endpoint_auth_method": "client_secret_basic"}},
		{"39 client_secret_post", []string{redirectURI}, map[string]any{"token_endpoint_auth_method": "client_secret_post", "client_secret": "x", "client_id": "mine"}},
		{"37 members that mean nothing", []string{redirectURI}, map[string]any{"jwks_uri": "https://evil.example", "logo_uri": "javascript:x", "scope": "admin"}},
	} {
		s.run(tt.name, func(t *testing.T) {
			metadata := map[string]any{"redirect_uris": tt.redirects, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}}
			for name, value := range tt.more {
				metadata[name] = value
			}
			a := s.registerAs(metadata)
			got := a.json(t)
			if a.status != http.StatusCreated || a.header.Get("Cache-Control") != "no-store" || got["token_endpoint_auth_method"] != "none" {
				t.Errorf("HTTP %d %v %s", a.status, a.header, a.body)
			}
			for _, name := range []string{"client_secret", "client_secret_expires_at", "logo_uri", "jwks_uri"} {
				if got[name] != nil {
					t.Errorf("the answer has %s", name)
				}
			}
			if strings.Contains(a.body, gatewaySecret) || strings.Contains(a.body, s.app.ClientID) || got["client_id"] == "mine" {
				t.Errorf("the client is told %s", a.body)
			}
			for _, uri := range tt.redirects {
				s.browser().authorize(s.request(got["client_id"].(string), "redirect_uri", uri)).checkPage(t, http.StatusOK, "")
			}
		})
	}
}

// Test40Flood is about somebody who registers again and again.
func Test40Flood(t *testing.T) {
	s := newStage(t)
	before := s.stored() + s.storedOf("secret") + s.storedOf("signkey")
	limited := 0
	for range 100 {
		if a := s.registerAs(map[string]any{"redirect_uris": []string{redirectURI}}); a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "" {
			limited++
		}
	}
	if limited < 40 {
		t.Errorf("only %d of 100 are told to come back later", limited)
	}
	if after := s.stored() + s.storedOf("secret") + s.storedOf("signkey"); after != before {
		t.Errorf("there were %d entries in the store, and there are %d", before, after)
	}
}

// TestRegistrationsStay is about ids that outlive the process.
func TestRegistrationsStay(t *testing.T) {
	s := newStage(t)
	one, two := s.register(), s.register()
	if one == two && len(one) > 300 {
		t.Errorf("the ids are %s and %s", one, two)
	}
	if _, err := s.state.RotateKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.configure()
	s.browser().authorize(s.request(one)).checkPage(t, http.StatusOK, "Test client")
}
