//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/oauth/fakeentra"
)

const (
	// brokerTTL is how long access tokens of a broker count: the least that there is,
	// and what it allows clocks to differ by.
	brokerTTL = 10*time.Second + 10*time.Second
	// fixedID is the client id of a program that is set up in the gateway.
	fixedID = "typescript-of-the-operator"
	// gatewaySecret is what a gateway proves to the provider with who it is, and
	// gatewaySecretEnv where it finds it.
	gatewaySecret    = "the-secret-of-the-gateway-itself"
	gatewaySecretEnv = "GATEWAY_SECRET"
)

// fixedClients are the clients of the matrix that neither register nor have a
// document.
var fixedClients = map[string]string{"TypeScript SDK 1.32.2": fixedID}

// fixedApp is the block of such a program.
const fixedApp = `
app "typescript" {
  client_id = "` + fixedID + `"
  name      = "TypeScript"
  redirects = ["loopback"]
}
`

// A brokered is a provider that a gateway signs people in at, for clients that get
// tokens of the gateway's own.
type brokered struct {
	provider
	front   *brokerFront
	gateway *signInGateway
}

// A brokeredProvider starts a provider for a gateway that people are sent back to
// at an address, and returns the auth block.
type brokeredProvider func(t testing.TB, callback string) (p provider, auth string)

// openBroker has clients sign in at the gateway itself, which has its people sign
// in at a provider.
func openBroker(start brokeredProvider) func(testing.TB) (*signInGateway, provider) {
	return func(t testing.TB) (*signInGateway, provider) {
		t.Helper()
		documents := startDocuments(t)
		f := startBrokerFront(t)
		p, auth := start(t, f.url+"/oauth2/callback")
		g := startSignInGateway(t, signInConfig{
			server: fmt.Sprintf("  public_url = %q\n", f.url),
			blocks: auth + fixedApp,
			env:    append(documents.environment(), gatewaySecretEnv+"="+gatewaySecret),
			flags:  []string{"--listen", f.gateway},
		})
		g.url, g.public = "http://"+f.gateway+"/mcp", f.url+"/mcp"
		b := &brokered{p, f, g}
		t.Cleanup(func() {
			f.check(t)
			documents.check(t)
		})
		return g, b
	}
}

// brokeredEntra has people sign in at Entra.
func brokeredEntra(t testing.TB, callback string) (provider, string) {
	t.Helper()
	p := startEntra(t)
	for _, c := range signInClients {
		p.AddUser(fakeentra.User{Name: userName(c.name)})
	}
	return p, p.brokerBlock(callback, "10s")
}

// openPolicy opens everything to everybody who signs in.
const openPolicy = `
policy {
  inline = "permit(principal, action, resource);"
}
`

// brokerBlock registers a gateway and returns its auth and policy blocks.
func (p *entraProvider) brokerBlock(callback, ttl string) string {
	app := p.AddApp(fakeentra.App{
		Name: "gateway", Secrets: []string{gatewaySecret}, IDTokenGroups: true,
		Redirects: []fakeentra.Redirect{{URI: callback, Platform: fakeentra.Web}},
	})
	return fmt.Sprintf(`
auth "entra" "contoso" {
  tenant_id     = %q
  client_id     = %q
  client_secret = env(%q)
  access_ttl    = %q
  clock_skew    = %q
%s}
`, p.TenantID(), app.ClientID, gatewaySecretEnv, ttl, clockSkew, p.cloud()) + openPolicy
}

// brokeredOpenID has people sign in at a provider that shares no code with the
// gateway.
func brokeredOpenID(t testing.TB, callback string) (provider, string) {
	t.Helper()
	return startBrokered(t, callback)
}

// startBrokered is brokeredOpenID with options of the provider.
func startBrokered(t testing.TB, callback string, options ...string) (provider, string) {
	t.Helper()
	p := startOpenIDProvider(t, []string{"IDP_SECRET=" + gatewaySecret}, append(options, "--callback", callback, "profile", "email")...)
	return p, fmt.Sprintf(`
auth "oidc" "independent" {
  mode          = "broker"
  issuer        = %q
  client_id     = "gateway"
  client_secret = env(%q)
  groups_claim  = "groups"
  access_ttl    = "10s"
  clock_skew    = %q
}
`, p.issuer, gatewaySecretEnv, clockSkew) + openPolicy
}

// journal also has the secrets between the clients and the gateway, and that of the
// gateway.
func (b *brokered) journal() []journalEntry {
	own := journalEntry{Route: "the gateway", Secrets: []string{gatewaySecret}}
	return slices.Concat(b.provider.journal(), b.front.journal(), []journalEntry{own})
}

// asks are the requests at the gateway. Whose each was comes out at the provider,
// when the gateway redeems the code that it was called back with.
func (b *brokered) asks(user string) []journalEntry {
	var all []journalEntry
	for _, e := range about(user, b.provider.journal()) {
		for _, secret := range e.Secrets {
			if entry, ok := b.front.askedFor(secret); ok && e.Route == "token" {
				all = append(all, entry)
			}
		}
	}
	return all
}

// endRefresh ends the user's sign-ins at the gateway, as its operator does.
func (b *brokered) endRefresh(t testing.TB, user string) {
	t.Helper()
	b.gateway.revoke(t, user)
}

// revoke ends the sign-ins of a person.
func (g *signInGateway) revoke(t testing.TB, person string) {
	t.Helper()
	g.run(t, nil, os.Getenv(binaryEnv), "sessions", "revoke", "--person", person)
}
