package config

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

var brokerOptions = cmp.Options{
	compareOptions, cmpopts.IgnoreTypes(&slog.Logger{}), cmpopts.IgnoreFields(oauth.EntraTenant{}, "Graph"),
	cmpopts.IgnoreFields(client.Credential{}, "CertificateFile", "Secret"),
}

// TestBroker checks what becomes of a block in the mode broker in front of Entra.
func TestBroker(t *testing.T) {
	c := loadFile(t, "testdata/valid/auth_broker.txtar")
	got, ok := c.Broker(nil, slog.New(slog.DiscardHandler))
	if !ok {
		t.Fatal("there is no broker")
	}
	public := parseURL(t, "https://mcp.contoso.com")
	want := broker.Options{
		PublicURL:  public,
		Provider:   "contoso",
		Credential: client.Credential{ClientID: clientA},
		Parameters: map[string]string{"domain_hint": "contoso.com"},
		Prompt:     "select_account",
		Scopes:     []broker.Scope{{Name: "mcp.access", Text: "use the tools of your team"}, {Name: "mcp.admin"}},
		AccessTTL:  time.Hour, SessionTTL: 24 * time.Hour,
		Redirects: redirect.Rules{Allowed: []string{"https://portal.contoso.com/callback", "https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"}},
		Clients:   []broker.Client{{ID: "ci", Name: "Continuous integration", Redirects: redirect.Rules{Loopback: true, Allowed: []string{"https://ci.contoso.com/callback"}}}},
	}
	if diff := cmp.Diff(want, got, brokerOptions); diff != "" {
		t.Errorf("the broker differs (-want +got):\n%s", diff)
	}
	if file := got.Credential.CertificateFile; filepath.Base(file) != "mcpagg.pem" || !filepath.IsAbs(file) || got.Credential.Secret != nil {
		t.Errorf("the credential is %+v", got.Credential)
	}
	signIn, _ := c.SignIn(nil, slog.New(slog.DiscardHandler))
	wantSignIn := oauth.Options{
		PublicURL: public,
		Providers: []oauth.Provider{
			{
				Name: "contoso", Behind: true, IDTokens: true, Audiences: []string{clientA}, Skew: time.Minute,
				Scopes: []oauth.Scope{{Name: "mcp.access", Advertised: "mcp.access"}, {Name: "mcp.admin", Advertised: "mcp.admin"}},
				Entra:  &oauth.EntraTenant{Cloud: entra.Clouds["usgov"], Tenant: "organizations", Allowed: []string{tenantA}, GroupsMaxAge: 5 * time.Minute},
			},
			{
				Name: "robots", Audiences: []string{clientA}, AllowAppTokens: true, Skew: time.Minute,
				Entra: &oauth.EntraTenant{Cloud: entra.Clouds["global"], Tenant: tenantA},
			},
		},
		GroupAliases:  map[string]string{"4f1c2d3e-0000-0000-0000-000000000001": "platform"},
		ClientAliases: map[string]string{"https://vscode.dev/oauth/client-metadata.json": "vscode", "ci": "ci"},
	}
	if diff := cmp.Diff(wantSignIn, signIn, brokerOptions); diff != "" {
		t.Errorf("sign-in differs (-want +got):\n%s", diff)
	}
}

// TestBrokerOfAnotherProvider checks the defaults, as a public client and with a
// secret.
func TestBrokerOfAnotherProvider(t *testing.T) {
	const block = "auth \"oidc\" \"keycloak\" {\n  issuer    = \"https://login.contoso.com/realms/tools\"\n  client_id = \"mcpagg\"\n%s}\n"
	got, _ := loadText(t, fmt.Sprintf(block, "")).Broker(parseURL(t, "http://localhost:1234"), slog.New(slog.DiscardHandler))
	want := broker.Options{
		PublicURL:  parseURL(t, "http://localhost:1234"),
		Provider:   "keycloak",
		Credential: client.Credential{ClientID: "mcpagg"},
		Request:    []string{"openid", "profile", "email", "offline_access"},
		Scopes:     []broker.Scope{{Name: "mcp.access"}},
		AccessTTL:  15 * time.Minute, SessionTTL: 720 * time.Hour,
		Redirects: redirect.Rules{Loopback: true, Allowed: slices.Concat(redirect.Vendors["vscode"], redirect.Vendors["cursor"])},
		Documents: true,
	}
	if diff := cmp.Diff(want, got, brokerOptions); diff != "" {
		t.Errorf("the broker differs (-want +got):\n%s", diff)
	}
	if got.Credential.Secret != nil {
		t.Error("a public client has a secret")
	}
	got, _ = loadText(t, fmt.Sprintf(block, "  client_secret = \"hunter2hunter2\"\n")).Broker(nil, slog.New(slog.DiscardHandler))
	if secret, err := got.Credential.Secret(t.Context()); secret != "hunter2hunter2" || err != nil {
		t.Errorf("the secret is %q, %v", secret, err)
	}
}

// Without the mode broker, the gateway keeps nothing.
func TestNoBroker(t *testing.T) {
	for _, text := range []string{"", fmt.Sprintf(verifying, "")} {
		c := loadText(t, text)
		if got, ok := c.Broker(nil, slog.New(slog.DiscardHandler)); ok || c.State.Brokers {
			t.Errorf("%s: got %+v and %+v", text, got, c.State)
		}
	}
}

const storing = "store {\n  dir = %q\n  key = %s\n}\nauth \"oidc\" \"keycloak\" {\n  issuer = \"https://login.contoso.com\"\n  client_id = \"mcpagg\"\n  ephemeral = false\n}\n"

// TestState checks where who is signed in is kept.
func TestState(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	s := loadText(t, fmt.Sprintf(storing, "/srv/mcpagg", `"`+key+`"`)).State
	got, err := s.Store.Key(context.Background())
	if s.Store.Dir != "/srv/mcpagg" || s.Store.Memory || s.RotateEvery != 90*24*time.Hour || got != key || err != nil || s.Store.PreviousKey != nil {
		t.Errorf("got %+v, key %q, %v", s, got, err)
	}
	inHome := archive("-- env --\nXDG_STATE_HOME=/state\n-- gateway.hcl --\nauth \"oidc\" \"a\" {\n  issuer = \"https://login.contoso.com\"\n  client_id = \"mcpagg\"\n  ephemeral = true\n}\n" + openPolicy + "upstream \"a\" {\n  command = [\"mcpagg\"]\n}\n")
	s = run(t, inHome).config.State
	if s.Store.Dir != "/state/mcpagg" || !s.Store.Memory || s.Store.Key != nil {
		t.Errorf("got %+v", s)
	}
}

// TestStateChanged checks which changes show only after a restart.
func TestStateChanged(t *testing.T) {
	const kv = "secrets \"file\" \"kv\" {\n  dir = \"/a\"\n}\n"
	base := kv + fmt.Sprintf(storing, "/srv/mcpagg", `secret("kv", "store")`)
	before := loadText(t, base).State
	for name, test := range map[string]struct {
		from, to string
		want     []string
	}{
		"nothing":      {"", "", nil},
		"the session":  {"ephemeral = false", "ephemeral = false\n  session_ttl = \"24h\"", nil},
		"a default":    {"  ephemeral = false\n", "", nil},
		"its default":  {"store {", "store {\n  rotate_keys = \"2160h\"", nil},
		"the folder":   {"/srv/mcpagg", "/srv/other", []string{"store.dir"}},
		"the key":      {`"store"`, `"other"`, []string{"store.key"}},
		"where it is":  {`dir = "/a"`, `dir = "/b"`, []string{"store.key"}},
		"no key":       {`key = secret("kv", "store")`, "", []string{"store.key"}},
		"another key":  {"store {", "store {\n  previous_key = secret(\"kv\", \"old\")", []string{"store.previous_key"}},
		"the schedule": {"store {", "store {\n  rotate_keys = \"24h\"", []string{"store.rotate_keys"}},
		"no broker":    {"ephemeral = false", "mode = \"resource-server\"", nil},
		"two at once":  {"/srv/mcpagg\"\n", "/srv/other\"\n  rotate_keys = \"24h\"\n", []string{"store.dir", "store.rotate_keys"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(base, test.from, test.to, 1)
			if name == "no broker" {
				text = strings.Replace(text, "  client_id = \"mcpagg\"\n", "", 1)
			}
			if got := before.Changed(loadText(t, text).State); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	ephemeral := loadText(t, strings.NewReplacer(`key = secret("kv", "store")`, "", "ephemeral = false", "ephemeral = true").Replace(base)).State
	if got := before.Changed(ephemeral); !slices.Equal(got, []string{"store.key", "auth.ephemeral"}) {
		t.Errorf("got %q for an ephemeral one", got)
	}
}
