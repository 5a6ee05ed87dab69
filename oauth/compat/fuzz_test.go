package compat_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/compat"
)

// serve asks a facade from an address of its own each time, so that nobody is
// told to come back later.
func serve(f *compat.Facade, n *atomic.Int64, r *http.Request) *httptest.ResponseRecorder {
	r.RemoteAddr = "10." + strconv.FormatInt(n.Add(1)>>16&255, 10) + "." + strconv.FormatInt(n.Load()>>8&255, 10) + "." + strconv.FormatInt(n.Load()&255, 10) + ":1"
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// FuzzAuthorize looks for a request that leads anywhere but to Entra or to a
// redirect URI that is allowed, or that reaches Entra with what it must not.
func FuzzAuthorize(f *testing.F) {
	f.Add(authorizeParams().Encode())
	f.Add(authorizeParams("redirect_uri", "cursor://anysphere.cursor-mcp/oauth/callback", "prompt", "consent login", "scope", "a "+apiScope, "code_challenge", "").Encode())
	f.Add("client_id=" + clientID + "&redirect_uri=http://localhost:1/?a=b&state=%0d%0a&client_id=x;y")
	opts := options("https://login.example", io.Discard)
	facade, n := compat.New(opts), &atomic.Int64{}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/oauth2/authorize", nil)
		r.URL.RawQuery = query
		w := serve(facade, n, r)
		location := w.Header().Get("Location")
		if w.Code != http.StatusFound {
			if w.Code != http.StatusBadRequest || location != "" || !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
				t.Fatalf("%q is answered HTTP %d, %v", query, w.Code, w.Header())
			}
			return
		}
		asked, err := url.ParseQuery(query)
		if err != nil || len(asked["redirect_uri"]) != 1 || asked.Get("client_id") != clientID {
			t.Fatalf("%q leads to %q", query, location)
		}
		to, err := url.Parse(location)
		if err != nil || strings.ContainsFunc(location, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q leads to %q: %v", query, location, err)
		}
		uri := asked.Get("redirect_uri")
		if err := opts.Redirects.Check(uri); err != nil {
			t.Fatalf("%s %v, and leads to %s", uri, err, location)
		}
		got := to.Query()
		if to.Host != "login.example" {
			if !strings.HasPrefix(location, uri) || got.Get("error") == "" || got.Has("code") {
				t.Fatalf("%q leads to %s", query, location)
			}
			return
		}
		for name, values := range got {
			if !slices.Contains([]string{"client_id", "code_challenge", "code_challenge_method", "login_hint", "prompt", "redirect_uri", "response_mode", "response_type", "scope", "state"}, name) || len(values) != 1 {
				t.Fatalf("%q reaches Entra with %s = %q", query, name, values)
			}
		}
		if got.Get("client_id") != clientID || got.Get("redirect_uri") != uri || got.Get("code_challenge_method") != "S256" || len(got.Get("code_challenge")) != 43 || got.Get("state") != asked.Get("state") {
			t.Fatalf("%q reaches Entra as %v", query, got)
		}
		checkScopes(t, got.Get("scope"))
	})
}

func checkScopes(t *testing.T, scope string) {
	own, found := strings.CutSuffix(scope, " openid profile offline_access")
	if !found || own == "" {
		t.Fatalf("Entra is asked for %q", scope)
	}
	for name := range strings.FieldsSeq(own) {
		if name != apiScope && name != readScope {
			t.Fatalf("Entra is asked for %q", scope)
		}
	}
}

// FuzzToken looks for a form that reaches Entra with what it must not.
func FuzzToken(f *testing.F) {
	f.Add(codeForm().Encode())
	f.Add(refreshForm("scope", "a b "+apiScope).Encode())
	f.Add(refreshForm("grant_type", "client_credentials", "client_secret", "x").Encode())
	f.Add(refreshForm().Encode() + "&client_id=x&%zz")
	answer := `{"token_type":"Bearer","expires_in":1,"access_token":"` + mint(map[string]any{}, map[string]any{"aud": apiID, "exp": 1 << 33}) + `"}`
	var sent string // what Entra got in this run
	opts := options("https://login.example", io.Discard)
	opts.HTTP = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		sent = string(body)
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer))}, err
	})}
	facade, n := compat.New(opts), &atomic.Int64{}
	f.Fuzz(func(t *testing.T, form string) {
		sent = ""
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form))
		r.Header.Set("Content-Type", formType)
		w := serve(facade, n, r)
		if !json.Valid(w.Body.Bytes()) || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%q is answered %s", form, w.Body)
		}
		if (w.Code == http.StatusOK) != (sent != "") {
			t.Fatalf("%q is answered HTTP %d, and Entra got %q", form, w.Code, sent)
		}
		if sent == "" {
			return
		}
		got, err := url.ParseQuery(sent)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range got {
			if !slices.Contains([]string{"client_id", "code", "code_verifier", "grant_type", "redirect_uri", "refresh_token", "scope"}, name) || len(values) != 1 {
				t.Fatalf("%q reaches Entra with %s = %q", form, name, values)
			}
		}
		if got.Get("client_id") != clientID || !slices.Contains([]string{"authorization_code", "refresh_token"}, got.Get("grant_type")) {
			t.Fatalf("%q reaches Entra as %q", form, sent)
		}
		if got.Has("scope") || got.Get("grant_type") == "refresh_token" {
			checkScopes(t, got.Get("scope"))
		}
	})
}

// FuzzRegister looks for a registration with a URI that is not allowed.
func FuzzRegister(f *testing.F) {
	f.Add(`{"client_name":"Claude Code (gw)","redirect_uris":["http://localhost:3118/callback"],"grant_types":["authorization_code"]}`)
	f.Add(`{"redirect_uris":["http://localhost:3118/callback","javascript:x"],"x":[{"a":1}]}`)
	f.Add(`{"redirect_uris":["http://localhost/","http://\u006cocalhost@evil.example"]}`)
	opts := options("https://login.example", io.Discard)
	facade, n := compat.New(opts), &atomic.Int64{}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/register", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := serve(facade, n, r)
		var answer struct {
			ClientID     string   `json:"client_id"`
			RedirectURIs []string `json:"redirect_uris"`
			Error        string   `json:"error"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%q is answered %s: %v", body, w.Body, err)
		}
		if w.Code != http.StatusCreated {
			if answer.Error == "" || answer.ClientID != "" {
				t.Fatalf("%q is answered HTTP %d with %s", body, w.Code, w.Body)
			}
			return
		}
		var asked struct {
			RedirectURIs []string `json:"redirect_uris"`
		}
		if err := jsonv2.Unmarshal([]byte(body), &asked); err != nil || !slices.Equal(asked.RedirectURIs, answer.RedirectURIs) || answer.ClientID != clientID || len(answer.RedirectURIs) == 0 {
			t.Fatalf("%q is answered %s", body, w.Body)
		}
		for _, uri := range answer.RedirectURIs {
			if err := opts.Redirects.Check(uri); err != nil {
				t.Fatalf("%s %v, and is registered", uri, err)
			}
		}
	})
}
