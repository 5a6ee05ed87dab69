package compat_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/oauth/compat"
)

func TestRegisterTellsTheClientId(t *testing.T) {
	s := newStage(t, never(t))
	r := s.register(`{"client_name":"Claude Code (gw)","redirect_uris":["http://localhost:3118/callback"],"grant_types":["authorization_code","refresh_token"],
		"response_types":["code"],"token_endpoint_auth_method":"none","scope":"mcp.access offline_access","application_type":"native","software_id":"x"}`)
	want := map[string]any{
		"client_id": clientID, "client_id_issued_at": float64(s.now.Unix()), "client_name": "Claude Code (gw)", "redirect_uris": []any{"http://localhost:3118/callback"},
		"grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}, "scope": "mcp.access mcp.read", "token_endpoint_auth_method": "none",
	}
	if diff := cmp.Diff(want, r.json(t)); diff != "" || r.status != http.StatusCreated || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("HTTP %d, %v, answer (-want +got):\n%s", r.status, r.header, diff)
	}
}

func Test37LargeRegistrations(t *testing.T) {
	s := newStage(t, never(t))
	uris := func(n int) string {
		return `["http://localhost/0"` + strings.Repeat(`,"http://localhost/1"`, n-1) + `]`
	}
	s.wantError(s.register(`{"redirect_uris":["http://localhost/"],"x":"`+strings.Repeat("a", 64<<10)+`"}`), http.StatusRequestEntityTooLarge, "invalid_client_metadata", "too large")
	s.wantError(s.register(`{"redirect_uris":`+uris(50)+`}`), http.StatusBadRequest, "invalid_client_metadata", "more than 10")
	s.wantError(s.register(`{"redirect_uris":["http://localhost/"],"client_name":"`+strings.Repeat("a", 1<<20)+`"}`), http.StatusRequestEntityTooLarge, "invalid_client_metadata", "too large")
	s.wantError(s.register(`{"redirect_uris":["http://localhost/"],"client_name":"`+strings.Repeat("a", 10_000)+`"}`), http.StatusBadRequest, "invalid_client_metadata", "client_name")
	if r := s.register(`{"redirect_uris":` + uris(10) + `}`); r.status != http.StatusCreated {
		t.Errorf("ten: HTTP %d with %s", r.status, r.body)
	}
}

func Test38RegisteredRedirects(t *testing.T) {
	s := newStage(t, never(t))
	cursor := `"cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"`
	if r := s.register(`{"redirect_uris":[` + cursor + `]}`); r.status != http.StatusCreated {
		t.Errorf("Cursor: HTTP %d with %s", r.status, r.body)
	}
	for uri, says := range map[string]string{
		"https://evil.example/cb":                       "'https://evil.example/cb' is not one",
		"javascript:alert(1)":                           "'javascript:alert(1)' has the scheme",
		"data:text/html,x":                              "has the scheme",
		"http://localhost:5000@evil.com/callback":       "has a user name",
		"http://localhost/../x":                         "dot segment",
		"http://localhost/callback#":                    "fragment",
		"https://mcp.example/oauth2/callback":           "is an address of this gateway",
		"https://localhost/callback":                    "is not one",
		"":                                              "is empty",
		`http://evil.example/"<script>`:                 "has the character",
		"http://localhost/" + strings.Repeat("a", 2048): "longer than",
	} {
		quoted, err := json.Marshal(uri)
		if err != nil {
			t.Fatal(err)
		}
		r := s.register(`{"redirect_uris":[` + cursor + `,` + string(quoted) + `]}`)
		s.wantError(r, http.StatusBadRequest, "invalid_redirect_uri", says)
		if strings.Contains(r.body, "<script>") || strings.Contains(r.body, clientID) {
			t.Errorf("%q: %s", uri, r.body)
		}
	}
}

func Test39ConfidentialClientsAreRegisteredAsPublic(t *testing.T) {
	s := newStage(t, never(t))
	for _, method := range []string{"client_secret_basic", "client_secret_post", "private_key_jwt"} {
		r := s.register(`{"redirect_uris":["http://localhost/"],"token_endpoint_auth_method":"` + method + `"}`)
		if got := r.json(t); got["token_endpoint_auth_method"] != "none" || got["client_secret"] != nil {
			t.Errorf("%s: %s", method, r.body)
		}
	}
}

func TestRegistrationsThatAreNone(t *testing.T) {
	s := newStage(t, never(t))
	for body, oauth := range map[string]string{
		``:                                      "invalid_client_metadata",
		`[]`:                                    "invalid_client_metadata",
		`null`:                                  "invalid_redirect_uri",
		`{}`:                                    "invalid_redirect_uri",
		`{"redirect_uris":[]}`:                  "invalid_redirect_uri",
		`{"redirect_uris":"http://localhost/"}`: "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/",5]}`:                                      "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/"],"redirect_uris":["http://localhost/a"]}`: "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/"],"x":{"a":1,"a":2}}`:                      "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/"]} x`:                                      "invalid_client_metadata",
		`{"Redirect_URIs":["http://localhost/"]}`:                                        "invalid_redirect_uri",
		"{\"redirect_uris\":[\"http://localhost/\"],\"client_name\":\"\xff\"}":           "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/"],"grant_types":["client_credentials"]}`:   "invalid_client_metadata",
		`{"redirect_uris":["http://localhost/"],"response_types":["token"]}`:             "invalid_client_metadata",
	} {
		s.wantError(s.register(body), http.StatusBadRequest, oauth, "")
	}
	r := s.do(http.MethodPost, "/register", `{"redirect_uris":["http://localhost/"]}`, "Content-Type", formType)
	s.wantError(r, http.StatusUnsupportedMediaType, "invalid_client_metadata", "application/json")
	if r := s.do(http.MethodGet, "/register", ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "POST" {
		t.Errorf("GET: HTTP %d, %v", r.status, r.header)
	}
}

// knock registers at f from an address and returns what came.
func knock(f *compat.Facade, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/register", strings.NewReader(`{"redirect_uris":["http://localhost/"]}`))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func Test40RegisterFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := compat.New(options("https://login.example", io.Discard))
		count := func(n int, from func(int) string) (created int) {
			for i := range n {
				switch w := knock(f, from(i)); {
				case w.Code == http.StatusCreated:
					created++
				case w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "temporarily_unavailable"):
					t.Errorf("HTTP %d, %v, %s", w.Code, w.Header(), w.Body)
				}
			}
			return created
		}
		one := func(i int) string { return "192.0.2.1:" + strconv.Itoa(i+1) }
		if got := count(10_000, one); got != 50 {
			t.Errorf("of 10,000 at once, %d are registered, want 50", got)
		}
		time.Sleep(2 * time.Second)
		if got := count(100, one); got != 10 {
			t.Errorf("after 2 s, %d more are registered, want 10", got)
		}
		if got := count(1, func(int) string { return "192.0.2.2:1" }); got != 1 {
			t.Error("another address has to suffer")
		}
		network := func(i int) string { return "[2001:db8::" + strconv.FormatInt(int64(i+1), 16) + "]:1" }
		if got := count(1000, network); got != 50 {
			t.Errorf("from 1,000 addresses of one IPv6 network, %d are registered, want 50", got)
		}
		if got := count(12_000, func(i int) string {
			return "10." + strconv.Itoa(i>>16) + "." + strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255) + ":1"
		}); got != 12_000 {
			t.Errorf("from 12,000 addresses, %d are registered", got)
		}
	})
}

func TestTooManyRequestsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := compat.New(options("https://login.example", io.Discard))
		for _, tt := range []struct{ method, path string }{{http.MethodGet, "/authorize"}, {http.MethodPost, "/oauth2/token"}} {
			refused := 0
			for range 300 {
				w := httptest.NewRecorder()
				f.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
				if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "1" {
					refused++
				}
			}
			if refused != 100 {
				t.Errorf("%s: %d of 300 are too many, want 100", tt.path, refused)
			}
		}
	})
}

func TestFewLinesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		f := compat.New(options("https://login.example", &log))
		for range 1000 {
			knock(f, "192.0.2.1:1")
		}
		if got := strings.Count(log.String(), "\n"); got != 50 {
			t.Errorf("%d lines for 950 refusals, want 50", got)
		}
		time.Sleep(time.Minute)
		for range 60 {
			knock(f, "192.0.2.1:1")
		}
		if !strings.Contains(log.String(), "skipped=900") {
			t.Errorf("it is not said how many are left out:\n%s", log.String())
		}
	})
}
