package broker_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
	"github.com/mcpagg/mcpagg/oauth/store"
)

const (
	gatewaySecret = "the-gateways-secret"
	redirectURI   = "http://localhost:3118/callback"
	verifier      = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	alice         = "alice@contoso.example"
)

// A stage is a gateway with a broker in front of the stand-in for Entra, where
// Alice is signed in.
type stage struct {
	testing.TB
	fake   *fakeentra.Server
	app    fakeentra.App
	alice  fakeentra.User
	server *httptest.Server
	log    *logBuffer

	store  *store.Store
	state  *broker.State
	opts   broker.Options
	signIn oauth.Options

	// changeSignIn changes signIn at each reload, and provider is where people sign in;
	// nil and "" are for the stand-in.
	changeSignIn func(*oauth.Options)
	provider     string

	mu      sync.Mutex
	current *oauth.SignIn // guarded by mu
	stop    func()        // of current
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

// newStage starts one. The broker's options may be changed before.
func newStage(t testing.TB, change ...func(*broker.Options)) *stage {
	t.Helper()
	return newStageBehind(t, httptest.NewServer, change...)
}

// newStageBehind starts one behind a server, such as one with TLS.
func newStageBehind(t testing.TB, serve func(http.Handler) *httptest.Server, change ...func(*broker.Options)) *stage {
	t.Helper()
	s := &stage{TB: t, log: &logBuffer{}}
	s.server = serve(s)
	t.Cleanup(s.server.Close)
	fake, err := fakeentra.Open(fakeentra.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	s.fake, s.provider = fake, fake.URL()
	s.app = fake.AddApp(fakeentra.App{
		Name: "gateway", Secrets: []string{gatewaySecret}, TokenVersion: 2, IDTokenGroups: true,
		Redirects: []fakeentra.Redirect{{URI: s.server.URL + broker.CallbackPath, Platform: fakeentra.Web}},
	})
	s.alice = fake.AddUser(fakeentra.User{Name: alice, DisplayName: "Alice Example"})
	fake.Switch(func(sw *fakeentra.Switches) { sw.AutoSignIn = alice })
	s.openStore(store.Options{Memory: true})
	s.configure(change...)
	return s
}

// openStore replaces the store and what is in memory of it.
func (s *stage) openStore(o store.Options) {
	s.Helper()
	o.Log = slog.New(slog.NewTextHandler(s.log, nil))
	st, err := store.Open(s.Context(), o)
	if err != nil {
		s.Fatal(err)
	}
	state, err := broker.OpenState(s.Context(), broker.StateOptions{Store: st, Log: o.Log})
	if err != nil {
		s.Fatal(err)
	}
	s.store, s.state = st, state
	s.Cleanup(func() {
		state.Close()
		if err := st.Close(); err != nil {
			s.Error(err)
		}
	})
}

// configure is a reload.
func (s *stage) configure(change ...func(*broker.Options)) {
	s.Helper()
	public, err := url.Parse(s.server.URL)
	if err != nil {
		s.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.opts = broker.Options{
		PublicURL: public, Provider: "contoso",
		Credential: client.Credential{ClientID: s.app.ClientID, Secret: func(context.Context) (string, error) { return gatewaySecret, nil }},
		Scopes:     []broker.Scope{{Name: "mcp.access"}, {Name: "mcp.read"}},
		Redirects:  redirect.Rules{Loopback: true, Allowed: redirect.Vendors["cursor"]},
		State:      s.state, Log: log,
	}
	for _, c := range change {
		c(&s.opts)
	}
	s.signIn = oauth.Options{
		PublicURL: public, Log: log, GroupAliases: map[string]string{}, ClientAliases: map[string]string{},
		Providers: []oauth.Provider{{
			Name: "contoso", Behind: true, IDTokens: true, Audiences: []string{s.app.ClientID},
			Scopes: []oauth.Scope{{Name: "mcp.access", Advertised: "mcp.access"}, {Name: "mcp.read", Advertised: "mcp.read"}},
			Entra: &oauth.EntraTenant{
				Cloud: entra.Cloud{Authority: s.fake.URL(), STS: s.fake.STS(), Graph: s.fake.GraphURL()}, Tenant: s.fake.TenantID(),
			},
		}},
	}
	if s.changeSignIn != nil {
		s.changeSignIn(&s.signIn)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := broker.New(s.opts, s.signIn, s.current)
	if s.stop != nil {
		s.stop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { next.Run(ctx) })
	s.stop = func() { cancel(); running.Wait() }
	s.current = next
	if s.stop != nil {
		s.Cleanup(s.stop)
	}
	for next.ProviderMetadata() == nil {
		time.Sleep(time.Millisecond)
	}
}

// ServeHTTP is the gateway: /mcp says who is calling.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if r.URL.Path != "/mcp" {
		current.ServeHTTP(w, r)
		return
	}
	c, refused := current.Authenticate(r)
	if refused != nil {
		w.Header().Set("WWW-Authenticate", refused.Challenge)
		w.WriteHeader(refused.Status)
		return
	}
	_ = json.NewEncoder(w).Encode(caller{c.ID, c.Name, c.Client, c.Scopes, c.Groups, c.AuthContexts})
}

// A caller is what the tests look at of one.
type caller struct {
	ID, Name string
	Client   oauth.Client
	Scopes   []string
	Groups   oauth.Groups
	Contexts []string
}

// A browser keeps cookies and follows no redirects by itself.
type browser struct {
	*stage
	http *http.Client
}

func (s *stage) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.Fatal(err)
	}
	return &browser{s, &http.Client{Jar: jar, Transport: s.server.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// An answer is one of the gateway or the provider.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a *answer) location() *url.URL {
	u, _ := url.Parse(a.header.Get("Location"))
	return u
}

func (a *answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("HTTP %d with %q: %v", a.status, a.body, err)
	}
	return v
}

func (b *browser) do(r *http.Request) *answer {
	b.Helper()
	resp, err := b.http.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return &answer{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) get(to string) *answer {
	b.Helper()
	r, err := http.NewRequest(http.MethodGet, to, nil)
	if err != nil {
		b.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) post(to string, form url.Values, headers ...string) *answer {
	b.Helper()
	r, err := http.NewRequest(http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.do(r)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// form reads the hidden fields of a page.
func (a *answer) form() url.Values {
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return form
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// register registers a client at the redirect URI and returns its id.
func (s *stage) register(uris ...string) string {
	s.Helper()
	if uris == nil {
		uris = []string{redirectURI}
	}
	body, err := json.Marshal(map[string]any{"client_name": "Test client", "redirect_uris": uris})
	if err != nil {
		s.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, s.server.URL+"/register", bytes.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	a := s.browser().do(r)
	id, _ := a.json(s)["client_id"].(string)
	if a.status != http.StatusCreated || id == "" {
		s.Fatalf("registering: HTTP %d %s", a.status, a.body)
	}
	return id
}

// request is what a client asks for, with changes: pairs of name and value, where
// "" removes a parameter.
func (s *stage) request(clientID string, changes ...string) url.Values {
	v := url.Values{
		"client_id": {clientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"a state"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}, "scope": {"mcp.access"}, "resource": {s.server.URL + "/mcp"},
	}
	return changed(v, changes...)
}

func changed(v url.Values, changes ...string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			v.Del(changes[i])
		}
	}
	return v
}

func (b *browser) authorize(v url.Values) *answer {
	b.Helper()
	return b.get(b.server.URL + "/oauth2/authorize?" + v.Encode())
}

// approve agrees on a consent page.
func (b *browser) approve(page *answer) *answer {
	b.Helper()
	if page.status != http.StatusOK {
		b.Fatalf("no page to agree on: HTTP %d to %s: %s", page.status, page.header.Get("Location"), page.body)
	}
	return b.post(b.server.URL+"/oauth2/consent", changed(page.form(), "answer", "approve"))
}

// follow goes on until it is sent to where the gateway and the provider are not, and
// returns that URL.
func (b *browser) follow(a *answer) *url.URL {
	b.Helper()
	for range 10 {
		to := a.location()
		if to == nil || to.String() == "" {
			b.Fatalf("it stops with HTTP %d: %s\n%s", a.status, a.body, b.log)
		}
		if !strings.HasPrefix(to.String(), b.server.URL) && !strings.HasPrefix(to.String(), b.provider) {
			return to
		}
		a = b.get(to.String())
	}
	b.Fatal("it goes round and round")
	return nil
}

// signIn goes all the way with a request, and returns the answer to the client.
func (b *browser) signIn(v url.Values) url.Values {
	b.Helper()
	return b.follow(b.approve(b.authorize(v))).Query()
}

// code signs in and returns the code.
func (s *stage) code(clientID string, changes ...string) string {
	s.Helper()
	got := s.browser().signIn(s.request(clientID, changes...))
	if got.Get("code") == "" {
		s.Fatalf("no code, but %v\n%s", got, s.log)
	}
	return got.Get("code")
}

// token asks for tokens.
func (s *stage) token(form url.Values) *answer {
	s.Helper()
	return s.browser().post(s.server.URL+"/oauth2/token", form)
}

func (s *stage) redeem(clientID, code string, changes ...string) *answer {
	s.Helper()
	return s.token(changed(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
	}, changes...))
}

func (s *stage) refresh(clientID, token string, changes ...string) *answer {
	s.Helper()
	return s.token(changed(url.Values{"grant_type": {"refresh_token"}, "client_id": {clientID}, "refresh_token": {token}}, changes...))
}

// tokens is what a client gets.
type tokens struct{ access, refresh string }

func (a *answer) tokens(t testing.TB) tokens {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("no tokens: HTTP %d %s", a.status, a.body)
	}
	v := a.json(t)
	access, _ := v["access_token"].(string)
	refresh, _ := v["refresh_token"].(string)
	return tokens{access, refresh}
}

// signedIn is a client that somebody has signed in with.
func (s *stage) signedIn() (clientID string, got tokens) {
	s.Helper()
	clientID = s.register()
	return clientID, s.redeem(clientID, s.code(clientID)).tokens(s)
}

// mcp calls the gateway, and returns the caller.
func (s *stage) mcp(token string) (*caller, int) {
	s.Helper()
	r, err := http.NewRequest(http.MethodPost, s.server.URL+"/mcp", nil)
	if err != nil {
		s.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a := s.browser().do(r)
	if a.status != http.StatusOK {
		return nil, a.status
	}
	c := &caller{}
	if err := json.Unmarshal([]byte(a.body), c); err != nil {
		s.Fatal(err)
	}
	return c, a.status
}

// refused makes sure of an error of OAuth.
func (a *answer) refused(t testing.TB, status int, oauth string) {
	t.Helper()
	if a.status != status || a.json(t)["error"] != oauth {
		t.Errorf("HTTP %d %s, want %d %s", a.status, a.body, status, oauth)
	}
}
