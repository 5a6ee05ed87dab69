package oauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

const (
	tenant      = "6c1f6c8e-0000-0000-0000-000000000001"
	otherTenant = "6c1f6c8e-0000-0000-0000-000000000002"
	api         = "0b7a2f1c-0000-0000-0000-00000000000a"
	clientApp   = "0b7a2f1c-0000-0000-0000-00000000000c"
	alice       = "a11ce000-0000-0000-0000-000000000001"
	platform    = "4f1c2d3e-0000-0000-0000-000000000001"

	oidcIssuer = "https://idp.example.com"
	publicURL  = "https://mcp.example.com"
)

// keys are made once: that takes longer than all tests.
var signingKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// An internet answers for every provider without a network, so that time may
// be that of a test. It is an http.RoundTripper.
type internet struct {
	http *http.Client

	mu      sync.Mutex
	fetches map[string]int // by URL; guarded by mu
	answer  http.Handler   // in place of the documents; nil for these; guarded by mu
	keys    []jose.JSONWebKey
	extra   map[string]any // members of each key; guarded by mu
}

func newInternet() *internet {
	n := &internet{fetches: map[string]int{}}
	n.http = &http.Client{Transport: n}
	n.publish("key-1")
	return n
}

// publish makes these the ids of the published keys, of which the first signs.
func (n *internet) publish(ids ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys = nil
	for i, id := range ids {
		n.keys = append(n.keys, jose.JSONWebKey{Key: signingKeys()[i%2].Public(), KeyID: id, Use: "sig"})
	}
}

func (n *internet) fetched() (total int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for u, count := range n.fetches {
		if strings.HasSuffix(u, "/keys") {
			total += count
		}
	}
	return total
}

func (n *internet) set(h http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answer = nil; h != nil {
		n.answer = h
	}
}

func (n *internet) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.fetches[r.URL.String()]++
	answer := n.answer
	n.mu.Unlock()
	if answer == nil {
		answer = http.HandlerFunc(n.serve)
	}
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer.ServeHTTP(w, r)
	}()
	select {
	case <-done:
		return w.Result(), nil
	case <-r.Context().Done():
		<-done
		return nil, r.Context().Err()
	}
}

// serve has the documents of Entra, which name the tenant of the path, and those
// of other providers.
func (n *internet) serve(w http.ResponseWriter, r *http.Request) {
	base := "https://" + r.URL.Host
	path, found := strings.CutSuffix(r.URL.Path, "/.well-known/openid-configuration")
	switch {
	case !found:
		n.serveKeys(w)
		return
	case r.URL.Host == "idp.example.com":
		fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q, "authorization_endpoint": %q}`, base, base+"/keys", base+"/auth")
		return
	}
	named, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if named == "common" || named == "organizations" {
		named = "{tenantid}"
	}
	issuer := entra.Clouds["global"].IssuerV1(named)
	if strings.HasSuffix(path, "/v2.0") {
		issuer = entra.Clouds["global"].IssuerV2(named)
	}
	fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, issuer, base+"/keys")
}

func (n *internet) serveKeys(w http.ResponseWriter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []map[string]any
	for _, k := range n.keys {
		text, _ := k.MarshalJSON()
		one := map[string]any{}
		_ = json.Unmarshal(text, &one)
		maps.Copy(one, n.extra)
		all = append(all, one)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": all})
}

func (n *internet) client() *http.Client { return n.http }

// An object is one in JSON.
type object = map[string]any

// with is a copy of an object with other members; nil leaves one out.
func with(base object, changes object) object {
	changed := maps.Clone(base)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, v any) bool { return v == nil })
	return changed
}

// accessToken is the payload of an access token of Entra, version 2.
func accessToken() object {
	now := time.Now().Unix()
	return object{
		"iss": entra.Clouds["global"].IssuerV2(tenant), "aud": api, "tid": tenant, "oid": alice, "sub": "pairwise", "ver": "2.0",
		"azp": clientApp, "azpacr": "0", "scp": "mcp.access", "name": "Alice Example", "preferred_username": "alice@example.com",
		"iat": now, "nbf": now, "exp": now + 3600, "groups": []string{platform}, "roles": []string{"Mcp.User"},
	}
}

// idToken is the payload of an ID token for the same person.
func idToken() object {
	return with(accessToken(), object{"scp": nil, "azp": nil, "azpacr": nil})
}

// appToken is the payload of a program's own token.
func appToken() object {
	const app = "ada00000-0000-0000-0000-000000000001"
	return with(accessToken(), object{"scp": nil, "oid": app, "sub": app, "groups": nil, "name": nil, "preferred_username": nil, "roles": []string{"Mcp.Agent"}})
}

// oidcToken is the payload of an access token of another provider.
func oidcToken() object {
	now := time.Now().Unix()
	return object{
		"iss": oidcIssuer, "aud": publicURL + "/mcp", "sub": "alice", "client_id": "cli", "scope": "openid mcp:read mcp:write",
		"iat": now, "exp": now + 600, "jti": "1",
	}
}

// sign makes a token, with more members of the header.
func sign(t testing.TB, payload any, header object) string {
	t.Helper()
	text, ok := payload.(string)
	if !ok {
		raw, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	return signText(t, text, with(object{"alg": "RS256", "typ": "JWT", "kid": "key-1"}, header))
}

func signText(t testing.TB, payload string, header object) string {
	t.Helper()
	head, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	input := encode(head) + "." + encode([]byte(payload))
	digest := crypto.SHA256.New()
	io.WriteString(digest, input)
	signature, err := signingKeys()[0].Sign(rand.Reader, digest.Sum(nil), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + encode(signature)
}

// entraProvider takes access tokens of a tenant.
func entraProvider() oauth.Provider {
	return oauth.Provider{
		Name: "contoso", Entra: &oauth.EntraTenant{Cloud: entra.Clouds["global"], Tenant: tenant},
		Audiences: []string{api}, Scopes: []oauth.Scope{{Name: "mcp.access", Advertised: "mcp.access"}},
	}
}

func oidcProvider() oauth.Provider {
	return oauth.Provider{
		Name: "idp", Issuer: oidcIssuer, Audiences: []string{publicURL + "/mcp"},
		Scopes: []oauth.Scope{{Name: "mcp:read", Advertised: "mcp:read"}, {Name: "mcp:write", Advertised: "mcp:write"}},
	}
}

// A signIn under test, with what it logs.
type signIn struct {
	*oauth.SignIn
	t   testing.TB
	log *logged
}

type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a SignIn until the test ends.
func start(t testing.TB, n *internet, providers ...oauth.Provider) *signIn {
	t.Helper()
	return startWith(t, oauth.Options{HTTP: n.client(), Providers: providers})
}

func startWith(t testing.TB, opts oauth.Options) *signIn {
	t.Helper()
	s := &signIn{t: t, log: &logged{}}
	opts.PublicURL, _ = url.Parse(publicURL)
	opts.Log = s.Logger()
	s.SignIn = oauth.New(opts, nil)
	s.run()
	return s
}

// Logger logs for the test to read.
func (s *signIn) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(s.log, nil)) }

func (s *signIn) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	s.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// request is one to the MCP endpoint with a token; "" for none.
func request(token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, publicURL+"/mcp", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// admit fails if a token is refused.
func (s *signIn) admit(token string) *oauth.Caller {
	s.t.Helper()
	c, refused := s.Authenticate(request(token))
	if refused != nil {
		s.t.Fatalf("refused: %d %s\n%s", refused.Status, refused.Message, s.log)
	}
	return c
}

// refuse fails if a token is not refused with a status, for a reason in the log.
func (s *signIn) refuse(token string, status int, reason string) *oauth.Refusal {
	s.t.Helper()
	before := len(s.log.String())
	c, refused := s.Authenticate(request(token))
	if refused == nil {
		s.t.Fatalf("admitted %s", c.ID)
	}
	if refused.Status != status {
		s.t.Errorf("status %d, want %d", refused.Status, status)
	}
	if written := s.log.String()[before:]; !strings.Contains(written, reason) {
		s.t.Errorf("the log does not say %q:\n%s", reason, written)
	}
	if strings.Contains(s.log.String(), token) || slices.ContainsFunc(strings.Split(token, "."), func(part string) bool {
		return len(part) > 20 && strings.Contains(s.log.String()+refused.Message+refused.Challenge, part)
	}) {
		s.t.Error("the log or the answer holds a part of the token")
	}
	return refused
}
