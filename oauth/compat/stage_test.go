package compat_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/compat"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

const (
	publicURL   = "https://mcp.example"
	tenant      = "6c1f6c8e-0000-4000-8000-000000000000"
	clientID    = "0b7a2f1c-0000-4000-8000-000000000000"
	apiScope    = "aaaaaaaa-0000-4000-8000-000000000000/mcp.access"
	readScope   = "aaaaaaaa-0000-4000-8000-000000000000/mcp.read"
	redirectURI = "http://localhost:3118/callback"
	challenge   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// A stage is a facade between a client and an Entra whose answers the test says.
type stage struct {
	*testing.T
	url string // of the facade
	log *logBuffer
	now time.Time

	mu    sync.Mutex
	asked []*http.Request // what Entra was asked, with parsed forms; guarded by mu
}

// A logBuffer holds what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// options are those of a gateway in front of an Entra at an origin.
func options(authority string, log io.Writer) compat.Options {
	public, err := url.Parse(publicURL)
	if err != nil {
		panic(err)
	}
	rules := redirect.Rules{Loopback: true}
	for _, uris := range redirect.Vendors {
		rules.Allowed = append(rules.Allowed, uris...)
	}
	return compat.Options{
		PublicURL: public,
		Cloud:     entra.Cloud{Authority: authority, Graph: authority + "/graph"},
		Tenant:    tenant,
		ClientID:  clientID,
		Scopes:    []compat.Scope{{Name: "mcp.access", Qualified: apiScope}, {Name: "mcp.read", Qualified: readScope}},
		Redirects: rules,
		Log:       slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// newStage starts a facade with changed options and an Entra that answers token
// requests.
func newStage(t *testing.T, entra http.HandlerFunc, change ...func(*compat.Options)) *stage {
	t.Helper()
	s := &stage{T: t, log: &logBuffer{}, now: time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)}
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("Entra got a form that it cannot read: %v", err)
		}
		s.mu.Lock()
		s.asked = append(s.asked, r)
		s.mu.Unlock()
		entra(w, r)
	}))
	t.Cleanup(idp.Close)
	opts := options(idp.URL, s.log)
	opts.Now = func() time.Time { return s.now }
	for _, c := range change {
		c(&opts)
	}
	gateway := httptest.NewServer(compat.New(opts))
	t.Cleanup(gateway.Close)
	s.url = gateway.URL
	return s
}

// requests is what Entra was asked so far.
func (s *stage) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// onlyRequest is the one that Entra was asked.
func (s *stage) onlyRequest() *http.Request {
	s.Helper()
	all := s.requests()
	if len(all) != 1 {
		s.Fatalf("Entra was asked %d times, want once", len(all))
	}
	return all[0]
}

// A reply is an answer of the facade, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(r.body), &members); err != nil {
		t.Fatalf("HTTP %d with %q is no JSON object: %v", r.status, r.body, err)
	}
	return members
}

// location is where the reply sends the browser.
func (r reply) location(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusFound {
		t.Fatalf("HTTP %d to %q, %v; want a redirect. Body: %s", r.status, u, err, r.body)
	}
	return u
}

// do sends a request and does not follow redirects.
func (s *stage) do(method, path, body string, header ...string) reply {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// authorizeParams are those of a client as it should be, but for changes: pairs
// of name and value, where "" removes it.
func authorizeParams(changes ...string) url.Values {
	return changed(url.Values{
		"client_id": {clientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"af0ifjsldkj"},
		"scope": {"mcp.access"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}, "resource": {publicURL + "/mcp"},
	}, changes...)
}

func changed(values url.Values, changes ...string) url.Values {
	values = maps.Clone(values)
	for i := 0; i < len(changes); i += 2 {
		values.Del(changes[i])
		if changes[i+1] != "" {
			values.Set(changes[i], changes[i+1])
		}
	}
	return values
}

func (s *stage) authorize(values url.Values, header ...string) reply {
	s.Helper()
	return s.do(http.MethodGet, "/oauth2/authorize?"+values.Encode(), "", header...)
}

// codeForm and refreshForm are token requests as they should be, but for changes.
func codeForm(changes ...string) url.Values {
	return changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {"the-code"}, "redirect_uri": {redirectURI},
		"code_verifier": {verifier}, "resource": {publicURL + "/mcp"},
	}, changes...)
}

func refreshForm(changes ...string) url.Values {
	return changed(url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {"the-refresh-token"}}, changes...)
}

const formType = "application/x-www-form-urlencoded"

func (s *stage) token(form url.Values, header ...string) reply {
	s.Helper()
	return s.do(http.MethodPost, "/oauth2/token", form.Encode(), append([]string{"Content-Type", formType}, header...)...)
}

func (s *stage) register(body string) reply {
	s.Helper()
	return s.do(http.MethodPost, "/register", body, "Content-Type", "application/json")
}

// wantError checks that a reply is an error of OAuth and says something.
func (s *stage) wantError(r reply, status int, oauth, says string) {
	s.Helper()
	members := r.json(s.T)
	description, _ := members["error_description"].(string)
	if r.status != status || members["error"] != oauth || !strings.Contains(description, says) {
		s.Errorf("HTTP %d with %s; want %d, %s and %q", r.status, r.body, status, oauth, says)
	}
	if r.header.Get("Cache-Control") != "no-store" {
		s.Errorf("it may be stored: %q", r.header.Get("Cache-Control"))
	}
}

// wantLogged checks that a text stands in the log.
func (s *stage) wantLogged(text string) {
	s.Helper()
	if !strings.Contains(s.log.String(), text) {
		s.Errorf("%q is not in the log:\n%s", text, s.log)
	}
}

// mint makes a token that nobody signed.
func mint(header, payload map[string]any) string {
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(header) + "." + part(payload) + ".c2lnbmF0dXJl"
}

// gives answers token requests with members, as Entra does.
func gives(members map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(members)
	}
}

// fails answers token requests with an error, as Entra does.
func fails(status int, oauth string, code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"error": oauth, "error_description": text + "\r\nTrace ID: 11111111-2222-4333-8444-555555555555\r\nTimestamp: 2026-11-27 18:00:00Z",
			"error_codes": []int{code}, "trace_id": "11111111-2222-4333-8444-555555555555", "correlation_id": "66666666-7777-4888-8999-000000000000",
		})
	}
}

// never fails the test when Entra is asked.
func never(t *testing.T) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { t.Errorf("Entra is asked: %s %v", r.URL, r.Form) }
}
