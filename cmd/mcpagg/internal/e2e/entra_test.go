//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

// nativeRedirects are what an administrator has to register for the clients.
var nativeRedirects = []string{
	"http://localhost/callback",
	"http://localhost/oauth/callback",
	"http://127.0.0.1/callback",
	"http://127.0.0.1/oauth/callback",
	"http://127.0.0.1/mcp/oauth/callback",
}

// An entraProvider is a stand-in for Entra, and what went over its wires.
type entraProvider struct {
	*fakeentra.Server

	mu      sync.Mutex
	entries []journalEntry          // guarded by mu
	asked   map[string]journalEntry // guarded by mu; requests for a code, by their state
	codes   map[string]string       // guarded by mu; the state that came with each code
}

// openEntraCompat is a gateway in front of Entra that gives clients a token of
// one kind.
func openEntraCompat(token string) func(testing.TB) (*signInGateway, provider) {
	return func(t testing.TB) (*signInGateway, provider) {
		t.Helper()
		p := startEntra(t)
		api := p.AddApp(fakeentra.App{Name: "gateway", TokenVersion: 2, Scopes: []string{"mcp.access"}})
		client := fakeentra.App{Name: "clients"}
		for _, uri := range nativeRedirects {
			client.Redirects = append(client.Redirects, fakeentra.Redirect{URI: uri, Platform: fakeentra.Native})
		}
		client = p.AddApp(client)
		p.ChangeApp(api.ClientID, func(a *fakeentra.App) { a.Preauthorized = []string{client.ClientID} })
		for _, c := range signInClients {
			p.AddUser(fakeentra.User{Name: userName(c.name)})
		}
		auth := fmt.Sprintf("  tenant_id  = %q\n  client_id  = %q\n  token      = %q\n  clock_skew = %q\n", p.TenantID(), client.ClientID, token, clockSkew)
		if token == "access_token" {
			auth += fmt.Sprintf("  audiences  = [%q]\n  scopes     = [\"mcp.access\"]\n", api.ClientID)
		}
		blocks := "auth \"entra\" \"contoso\" {\n  mode       = \"entra-compat\"\n" + auth + p.cloud() + "}\n" + openPolicy
		return startSignInGateway(t, signInConfig{blocks: blocks}), p
	}
}

// cloud is the block that says where this Entra is.
func (p *entraProvider) cloud() string {
	return fmt.Sprintf("  custom_cloud {\n    authority = %q\n    sts       = %q\n    graph     = %q\n  }\n", p.URL(), p.STS(), p.GraphURL())
}

func startEntra(t testing.TB) *entraProvider {
	t.Helper()
	p := &entraProvider{asked: map[string]journalEntry{}, codes: map[string]string{}}
	server := httptest.NewUnstartedServer(nil)
	fake, err := fakeentra.New(fakeentra.Options{
		URL: "http://" + server.Listener.Addr().String(),
		Switches: fakeentra.Switches{
			LoopbackIPPort:      fakeentra.PortIgnore,
			AccessTokenLifetime: accessTTL,
			IDTokenLifetime:     accessTTL,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Server = fake
	server.Config.Handler = p.tap(fake.Handler())
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		p.check(t)
	})
	return p
}

// check makes sure that Entra was not asked for what it refuses, or would trouble
// people with.
func (p *entraProvider) check(t testing.TB) {
	for _, e := range p.journal() {
		if e.Prompt == "consent" || e.Resource != "" {
			t.Errorf("%s came with prompt %q and resource %q", e, e.Prompt, e.Resource)
		}
	}
}

// tap keeps what is asked and answered.
func (p *entraProvider) tap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := &answerTap{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		form, _ := url.ParseQuery(string(body)) // of any other body there is nothing to keep
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "/authorize"):
			p.noteAuthorizeLocked(r.URL.Query())
		case strings.HasSuffix(r.URL.Path, "/token"):
			p.noteTokenLocked(form, answer.body.Bytes())
		}
		if to, err := url.Parse(w.Header().Get("Location")); err == nil && to.Query().Has("code") {
			p.codes[to.Query().Get("code")] = to.Query().Get("state")
		}
	})
}

// An answerTap keeps the body of an answer.
type answerTap struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (a *answerTap) Write(p []byte) (int, error) {
	a.body.Write(p)
	return a.ResponseWriter.Write(p)
}

func (p *entraProvider) noteAuthorizeLocked(asked url.Values) {
	p.asked[asked.Get("state")] = journalEntry{
		Route: "authorization", At: time.Now(), Prompt: asked.Get("prompt"), Scope: asked.Get("scope"),
		Resource: asked.Get("resource"), Redirect: asked.Get("redirect_uri"), Secrets: secretsOf(asked, "state", "nonce"),
	}
}

// noteTokenLocked also says whose the request for the code was.
func (p *entraProvider) noteTokenLocked(form url.Values, answer []byte) {
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
		Error   string
	}
	_ = json.Unmarshal(answer, &got) // anything else has no token
	user := userOf(got.ID)
	if asked, ok := p.asked[p.codes[form.Get("code")]]; ok && user != "" {
		asked.User = user
		p.entries = append(p.entries, asked)
	}
	p.entries = append(p.entries, journalEntry{
		Route: "token", At: time.Now(), User: user, Grant: form.Get("grant_type"), Scope: form.Get("scope"),
		Resource: form.Get("resource"), Redirect: form.Get("redirect_uri"), Error: got.Error,
		Secrets: slices.DeleteFunc(append(secretsOf(form, "code", "code_verifier", "refresh_token", "client_secret"), got.Access, got.Refresh, got.ID),
			func(secret string) bool { return secret == "" }),
	})
}

func secretsOf(values url.Values, names ...string) (secrets []string) {
	for _, name := range names {
		if value := values.Get(name); value != "" {
			secrets = append(secrets, value)
		}
	}
	return secrets
}

// userOf is the name of whose ID token this is.
func userOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct {
		Name string `json:"preferred_username"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Name
}

func (p *entraProvider) journal() []journalEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.entries)
}

func (p *entraProvider) asks(user string) []journalEntry { return requests(about(user, p.journal())) }

func (p *entraProvider) endRefresh(t testing.TB, user string) {
	t.Helper()
	if !p.Revoke(user) {
		t.Fatalf("Entra does not know %s", user)
	}
}
