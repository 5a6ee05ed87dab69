package config

import (
	"cmp"
	"net/url"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// checkAuth checks what only shows when all providers are known.
func (b *fileBlock) checkAuth(d *decoder) {
	b.checkReach()
	b.checkApps(d)
	if len(b.Auth) == 0 {
		return
	}
	b.checkPublicURL(d)
	kinds, front := map[string]string{}, ""
	for i := range b.Auth {
		a := &b.Auth[i]
		if kinds[a.label] != "" && kinds[a.label] != a.kind {
			d.mistake(&a.at, "Duplicate auth", "There is auth of the kind %s named %q already.", kinds[a.label], a.label)
		}
		kinds[a.label] = a.kind
		if a.atGateway() && front != "" {
			d.mistake(a.modeOrBlock(), "Invalid mode", "Clients sign in at the gateway with %q already, and it can be for one provider. For tokens of another one, write mode = \"resource-server\".", front)
		} else if a.atGateway() {
			front = a.label
		}
		b.checkOverlap(d, i)
		a.Redirects.checkOwnAddress(b.publicURL())
	}
	b.checkStore(d)
	b.checkNames(d)
}

// modeOrBlock is where the mode is written, or else the block.
func (b *authBlock) modeOrBlock() *hcl.Range {
	if b.Mode.given {
		return &b.Mode.at
	}
	return &b.at
}

// checkOwnAddress refuses to send people to the gateway itself.
func (v *redirects) checkOwnAddress(public *url.URL) {
	rules := redirect.Rules{Loopback: true, Allowed: v.uris.value, Own: public}
	for i, uri := range v.uris.value {
		if err := rules.Check(uri); err != nil {
			v.uris.elements[i].mistake("%v %v.", v.uris.elements[i], err)
		}
	}
}

// checkReach refuses addresses that other machines can reach where nobody signs
// in.
func (b *fileBlock) checkReach() {
	for _, a := range []*address{&b.Server.Listen, &b.Server.Admin} {
		if len(b.Auth) == 0 && isReachable(a.value) {
			a.in.mistake("%v %s%s", a.in, reachProblem, a.in.unless(reachHint(a.value)))
		}
	}
}

// checkPublicURL checks what all that clients are told about signing in is built
// from.
func (b *fileBlock) checkPublicURL(d *decoder) {
	public := &b.Server.PublicURL
	if !public.given && isReachable(b.Server.Listen.value) {
		d.mistake(&b.Auth[0].at, "Missing public_url", "Clients are told where to sign in by the URL that they know the gateway under, and other machines can reach this one. Set it: server { public_url = \"https://mcp.contoso.com\" }.")
	}
	u := public.value
	if u == nil {
		return
	}
	if u.Scheme != "https" && !isLoopback(u.Hostname()) {
		d.mistake(&public.at, "Invalid public_url", "Tokens are sent there, so with an auth block this must be an https URL.")
	}
	if u.Path != "" && u.Path != "/" {
		d.mistake(&public.at, "Invalid public_url", "With an auth block this must not have a path, since clients look for what they need to sign in at the root of the host. Give the gateway a host name of its own.")
	}
}

// publicURL is where clients reach the gateway. Without server.public_url, that is
// the address that it listens on.
func (b *fileBlock) publicURL() *url.URL {
	if u := b.Server.PublicURL.value; u != nil {
		return &url.URL{Scheme: u.Scheme, Host: u.Host}
	}
	return &url.URL{Scheme: "http", Host: b.Server.Listen.value}
}

// checkOverlap refuses a provider whose tokens belong to an earlier one as well.
func (b *fileBlock) checkOverlap(d *decoder, i int) {
	a := &b.Auth[i]
	for j := range b.Auth[:i] {
		other := &b.Auth[j]
		if a.Mode.value == brokerMode || other.Mode.value == brokerMode {
			continue // its tokens are the gateway's own
		}
		if overlap(a.issuers(), other.issuers()) && overlap(a.audiences(b.publicURL()), other.audiences(b.publicURL())) {
			d.mistake(&a.at, "Duplicate auth", "A token of its issuer and audience would belong to %q as well. Give each block audiences of its own, or make one of both.", other.label)
			return
		}
	}
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// issuers are those whose tokens belong to the block.
func (b *authBlock) issuers() []string {
	if b.Issuer.value != "" {
		return []string{b.Issuer.value}
	}
	var all []string
	for _, tenant := range b.tenants() {
		all = append(all, b.cloud().IssuerV2(tenant), b.cloud().IssuerV1(tenant))
	}
	return all
}

// tenants are the ids of those whose people may use the gateway.
func (b *authBlock) tenants() []string {
	if b.TenantID.value == "" || b.TenantID.severalTenants() {
		return b.AllowedTenants.value
	}
	return []string{b.TenantID.value}
}

// audiences are what tokens may have as their aud.
func (b *authBlock) audiences(public *url.URL) []string {
	if b.Mode.value == brokerMode {
		return []string{b.ClientID.value} // of the provider's ID tokens
	}
	if b.kind == "oidc" && !b.Audiences.given {
		return []string{mcpURL(public), mcpURL(public) + "/"} // clients send either as the resource
	}
	return b.Audiences.value
}

// mcpURL is that of the MCP endpoint.
func mcpURL(public *url.URL) string { return public.JoinPath("mcp").String() }

func (b *authBlock) cloud() entra.Cloud {
	if c := b.CustomCloud; c != nil {
		return entra.Cloud{Authority: c.Authority.value, STS: c.STS.value, Graph: c.Graph.value}
	}
	return entra.Clouds[cmp.Or(b.Cloud.value, "global")]
}

// checkNames checks what groups and apps are names for.
func (b *fileBlock) checkNames(d *decoder) {
	onlyEntra := !slices.ContainsFunc(b.Auth, func(a authBlock) bool { return a.kind != "entra" })
	groups, apps := map[string]string{}, map[string]string{}
	for i := range b.Groups {
		g := &b.Groups[i]
		g.ID.checkOnce(groups, g.label, "group")
		if onlyEntra {
			g.ID.in.checkGUID(g.ID.value, "Entra names a group by its Object ID.")
		}
	}
	for i := range b.Apps {
		a := &b.Apps[i]
		a.ClientID.checkOnce(apps, a.label, "app")
		if onlyEntra && b.broker() == nil {
			a.ClientID.in.checkGUID(a.ClientID.value, "Entra names a client by its Application (client) ID.")
		}
	}
}

// checkOnce refuses an identifier that has another name already.
func (v *identifier) checkOnce(names map[string]string, name, what string) {
	switch first, twice := names[v.value]; {
	case v.value == "":
	case twice:
		v.in.mistake("The %s %q has the same.", what, first)
	default:
		names[v.value] = name
	}
}
