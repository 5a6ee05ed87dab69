package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/compat"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// SignIn is how callers sign in, and false if nobody does; with [Config.Broker], it
// is what a broker is made of besides. A publicURL that is nil stands for
// server.public_url, or else for the address to listen on: whoever listens on
// another one, or on any port, has to give it.
func (c *Config) SignIn(publicURL *url.URL, log *slog.Logger) (oauth.Options, bool) {
	if publicURL == nil {
		publicURL = c.file.publicURL()
	}
	options := oauth.Options{PublicURL: publicURL, GroupAliases: map[string]string{}, ClientAliases: map[string]string{}, Log: log}
	for _, b := range c.file.inOrder() {
		options.Providers = append(options.Providers, b.provider(publicURL))
		if b.Mode.value == entraCompat {
			options.Facade = compat.New(b.facade(publicURL, log))
		}
	}
	for i := range c.file.Groups {
		options.GroupAliases[c.file.Groups[i].ID.value] = c.file.Groups[i].label
	}
	for i := range c.file.Apps {
		options.ClientAliases[c.file.Apps[i].ClientID.value] = c.file.Apps[i].label
	}
	return options, len(options.Providers) > 0
}

// ClientAlias is the label of the app block with a client id, "" if there is none.
func (c *Config) ClientAlias(id string) string {
	for i := range c.file.Apps {
		if a := &c.file.Apps[i]; a.ClientID.value == id {
			return a.label
		}
	}
	return ""
}

// inOrder are the providers, with the one first that clients sign in with at the
// gateway.
func (f *fileBlock) inOrder() []*authBlock {
	var blocks []*authBlock
	for i := range f.Auth {
		if f.Auth[i].atGateway() {
			blocks = slices.Insert(blocks, 0, &f.Auth[i])
		} else {
			blocks = append(blocks, &f.Auth[i])
		}
	}
	return blocks
}

func (b *authBlock) provider(public *url.URL) oauth.Provider {
	p := oauth.Provider{
		Name:           b.label,
		Issuer:         b.Issuer.value,
		Audiences:      b.audiences(public),
		Clients:        b.AllowedClients.value,
		AllowAppTokens: *b.AllowAppTokens.value,
		IDTokens:       b.Token.value == idToken || b.Mode.value == brokerMode,
		GroupsClaim:    b.GroupsClaim.value,
		Behind:         b.Mode.value == brokerMode,
		RolesClaim:     b.RolesClaim.value,
		Skew:           b.ClockSkew.value,
	}
	for _, scope := range b.Scopes.value {
		p.Scopes = append(p.Scopes, b.scope(scope, public))
	}
	if b.kind == "entra" {
		p.Entra = &oauth.EntraTenant{
			Cloud: b.cloud(), Tenant: b.TenantID.value, Allowed: b.AllowedTenants.value, GroupsMaxAge: b.GroupsMaxAge.value,
		}
		if b.Graph != nil {
			p.Entra.Graph = entra.NewGraph(b.graph())
		}
	}
	return p
}

// scope is one that tokens must have, and what clients are told to ask for: the
// facade adds the application to the name, and in front of Entra itself they need
// the whole of it.
func (b *authBlock) scope(scope string, public *url.URL) oauth.Scope {
	if b.kind == "oidc" {
		return oauth.Scope{Name: scope, Advertised: scope}
	}
	resource, name := splitScope(scope)
	switch {
	case b.atGateway():
		return oauth.Scope{Name: name, Advertised: name}
	case resource == "":
		return oauth.Scope{Name: name, Advertised: mcpURL(public) + "/" + name}
	}
	return oauth.Scope{Name: name, Advertised: scope}
}

// graph is how Microsoft Graph is asked.
func (b *authBlock) graph() entra.GraphOptions {
	return entra.GraphOptions{
		Cloud:              b.cloud(),
		Tenant:             b.tenants()[0],
		ClientID:           b.Graph.ClientID.value,
		Secret:             b.Graph.ClientSecret.value,
		CertificateFile:    b.Graph.CertificateFile.value,
		FederatedTokenFile: b.Graph.FederatedTokenFile.value,
		MaxAge:             b.GroupsMaxAge.value,
	}
}

// facade is what stands in front of Entra.
func (b *authBlock) facade(public *url.URL, log *slog.Logger) compat.Options {
	o := compat.Options{
		PublicURL: public,
		Cloud:     b.cloud(),
		Tenant:    b.TenantID.value,
		ClientID:  b.ClientID.value,
		IDToken:   b.Token.value == idToken,
		Redirects: b.Redirects.value,
		Log:       log,
	}
	for _, scope := range b.Scopes.value {
		resource, name := splitScope(scope)
		o.Scopes = append(o.Scopes, compat.Scope{Name: name, Qualified: cmp.Or(resource, b.Audiences.value[0]) + "/" + name})
	}
	return o
}

// onlyBroker reports whether all tokens are the gateway's own.
func (f *fileBlock) onlyBroker() bool {
	return len(f.Auth) > 0 && !slices.ContainsFunc(f.Auth, func(a authBlock) bool { return a.Mode.value != brokerMode })
}

// warnings are what somebody may not be aware of, though it is no mistake.
func (f *fileBlock) warnings() []string {
	var all []string
	for i := range f.Auth {
		a := &f.Auth[i]
		if a.Token.value == idToken {
			all = append(all, fmt.Sprintf("auth %q takes ID tokens: they say who somebody is, not what they may do here, and every one for the client in client_id is accepted", a.label))
		}
		if a.kind == "entra" && len(a.Audiences.value) > 0 && !slices.ContainsFunc(a.Audiences.value, guidPattern.MatchString) {
			all = append(all, fmt.Sprintf("auth %q has no client id among its audiences: tokens of version 2 name the API app by it, never by an App ID URI, and are refused", a.label))
		}
		if a.isEphemeral() {
			all = append(all, fmt.Sprintf("auth %q is ephemeral: everybody signs in again after a restart of the gateway", a.label))
		}
		if slices.Contains(a.tenants(), personalAccounts) {
			all = append(all, fmt.Sprintf("auth %q lets in the tenant of personal accounts, which is everybody who has one at Microsoft", a.label))
		}
	}
	for i := range f.Apps {
		if a := &f.Apps[i]; f.onlyBroker() && !a.Redirects.given && !strings.HasPrefix(a.ClientID.value, "https://") {
			all = append(all, fmt.Sprintf("app %q is no client that there can be: in the mode broker its client_id is the URL of a document, or it has redirects", a.label))
		}
	}
	return append(all, f.policyWarnings()...)
}
