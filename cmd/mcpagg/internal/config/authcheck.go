package config

import (
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

// authKinds are what a provider can be.
var authKinds = kinds{
	names: []string{"entra", "oidc"},
	of: map[string]kindSettings{
		"entra": {
			[]string{"tenant_id"},
			[]string{
				"certificate_file", "federated_token_file", "token", "allowed_tenants", "group_overage", "groups_max_age",
				"cloud", "custom_cloud", "graph",
			},
		},
		"oidc": {[]string{"issuer"}, []string{"groups_claim", "roles_claim", "request_scopes"}},
	},
	unknown:   "Unknown kind of auth",
	noSuch:    "There is no auth of the kind %q; there are %s.%s",
	misplaced: "This does not go with auth of the kind %s.",
	missing:   "Auth of the kind %s needs its %s.",
}

// settings are the attributes and blocks that only one kind has.
func (b *authBlock) settings() []setting {
	all := []setting{
		b.TenantID.setting, b.Issuer.setting, b.CertificateFile.setting, b.FederatedTokenFile.setting, b.Token.setting,
		b.AllowedTenants.setting, b.GroupsClaim.setting, b.RolesClaim.setting, b.GroupOverage.setting,
		b.GroupsMaxAge.setting, b.RequestScopes.setting, b.Cloud.setting,
	}
	if b.CustomCloud != nil {
		all = append(all, setting{given: true, name: "custom_cloud", at: b.CustomCloud.at})
	}
	if b.Graph != nil {
		all = append(all, setting{given: true, name: "graph", at: b.Graph.at})
	}
	return all
}

func (b *authBlock) check(d *decoder) {
	checkLabel(d, &b.header)
	if !authKinds.check(d, &b.header, b.settings()) {
		return
	}
	b.checkMode(d)
	if b.kind == "entra" {
		b.checkEntra(d)
	}
	b.fill()
}

// checkMode checks what goes with how clients get their tokens.
func (b *authBlock) checkMode(d *decoder) {
	switch b.Mode.value {
	case brokerMode:
		b.checkBroker(d)
	case entraCompat:
		b.refuseBroker(d)
		b.checkCompat(d)
	case resourceServer:
		b.refuseBroker(d)
		b.checkResourceServer(d)
	}
}

// checkCompat checks what the facade in front of Entra needs.
func (b *authBlock) checkCompat(d *decoder) {
	if b.kind == "oidc" {
		d.mistake(&b.Mode.at, "Invalid mode", `The mode entra-compat is for Entra only. Write mode = "broker", with which all clients can sign in, or mode = "resource-server", with which they get their tokens from the provider themselves.`)
		return
	}
	if !b.ClientID.given {
		d.mistake(&b.at, "Missing client_id", "The mode entra-compat needs a client_id: that of the public client which every client of the gateway signs in as.")
	}
	if b.Token.value == idToken {
		b.checkIDToken(d)
		return
	}
	if !b.Scopes.given {
		d.mistake(&b.at, "Missing scopes", "The mode entra-compat needs the scopes to ask Entra for: those that the application exposes, such as scopes = [\"mcp.access\"].")
	}
	if allowed := b.AllowedClients.value; len(allowed) > 0 && b.ClientID.value != "" && !slices.Contains(allowed, b.ClientID.value) {
		d.mistake(&b.AllowedClients.at, "Invalid allowed_clients", "Every client of the gateway signs in as the one in client_id, which is not among these.")
	}
	b.checkOwnScopes()
	b.checkOneApplication()
}

// checkOwnScopes refuses names of scopes with which Entra does not renew the token
// of an application for itself (AADSTS90009).
func (b *authBlock) checkOwnScopes() {
	own := "api://" + b.ClientID.value
	const why = "%v is the client in client_id itself, for which Entra renews no token by this name. Write the client id without api://."
	for i, s := range b.Scopes.value {
		if b.ClientID.value != "" && strings.HasPrefix(strings.ToLower(s), own+"/") {
			b.Scopes.elements[i].mistake(why, b.Scopes.elements[i])
		}
	}
	if len(b.Audiences.value) > 0 && strings.EqualFold(b.Audiences.value[0], own) {
		b.Audiences.elements[0].mistake(why+" The App ID URI can come after it.", b.Audiences.elements[0])
	}
}

// checkOneApplication refuses scopes of several applications: Entra makes a token
// for one of them at a time (AADSTS28000). An App ID URI does not say whose it is.
func (b *authBlock) checkOneApplication() {
	first := ""
	for i, s := range b.Scopes.value {
		resource, _ := splitScope(s)
		if resource == "" && len(b.Audiences.value) > 0 {
			resource = b.Audiences.value[0]
		} else if resource == "" {
			resource = b.ClientID.value
		}
		id := strings.ToLower(strings.TrimPrefix(resource, "api://"))
		switch {
		case !guidPattern.MatchString(id) || id == first:
		case first == "":
			first = id
		default:
			b.Scopes.elements[i].mistake("%v is not of the same application as those before it, and Entra gives no token for two of them. A scope without its application belongs to the first of the audiences.", b.Scopes.elements[i])
		}
	}
}

// checkIDToken refuses what no ID token can say.
func (b *authBlock) checkIDToken(d *decoder) {
	refuse := func(s setting, why string) {
		if s.given {
			d.mistake(&s.at, "Invalid "+s.name, "This does not go with token = \"id_token\": %s.", why)
		}
	}
	refuse(b.Scopes.setting, "an ID token has no scopes")
	refuse(b.AllowedClients.setting, "an ID token is always for the client in client_id")
	refuse(b.Audiences.setting, "the audience of an ID token is always the client in client_id")
	if apps := b.AllowAppTokens.value; apps != nil && *apps {
		refuse(b.AllowAppTokens.setting, "a program that no person is behind gets none")
	}
}

// checkResourceServer refuses what only the facade does.
func (b *authBlock) checkResourceServer(d *decoder) {
	switch {
	case b.Token.value == idToken:
		d.mistake(&b.Token.at, "Invalid token", "The mode resource-server takes access tokens only: an ID token is for the client that signed somebody in, not for the gateway.")
	case b.Token.given:
		d.mistake(&b.Token.at, "Invalid token", "This goes with the mode entra-compat only.")
	}
	if b.Redirects.given {
		d.mistake(&b.Redirects.at, "Invalid redirects", "This goes with the modes broker and entra-compat only; here, the provider alone decides where people are sent back to.")
	}
	if b.ClientID.given && b.kind == "oidc" {
		d.mistake(&b.ClientID.at, "Invalid client_id", "This does not go with the mode resource-server here: tokens are told apart by audiences.")
	}
	if b.kind == "entra" && !b.ClientID.given && !b.Audiences.given {
		d.mistake(&b.at, "Missing client_id", "The gateway needs to know which tokens are for it: give the client_id of the application that has the scopes, or audiences.")
	}
}

// checkEntra checks what does not depend on the mode.
func (b *authBlock) checkEntra(d *decoder) {
	if b.Cloud.given && b.CustomCloud != nil {
		d.mistake(&b.CustomCloud.at, "Both cloud and custom_cloud", "The tenant is in one of Microsoft's clouds (cloud), or elsewhere (custom_cloud).")
	}
	b.ClientID.in.checkGUID(b.ClientID.value, "Entra names an application by its Application (client) ID.")
	b.checkTenants(d)
	b.checkOverage(d)
	for i, id := range b.AllowedClients.value {
		b.AllowedClients.elements[i].checkGUID(id, "Entra names a client by its Application (client) ID.")
	}
	for i, audience := range b.Audiences.value {
		if b.cloud().IsGraph(audience) {
			b.Audiences.elements[i].mistake("Tokens for Microsoft Graph are not for the gateway: whoever gets one, for whatever purpose, could use it here.")
		}
	}
	if b.Mode.value == brokerMode {
		return // its scopes are not Entra's
	}
	for i, scope := range b.Scopes.value {
		b.checkEntraScope(scope, b.Scopes.elements[i])
	}
}

// checkGUID refuses an identifier that is none.
func (in input) checkGUID(id, why string) {
	if id != "" && !guidPattern.MatchString(id) {
		in.mistake("%v is not %s. %s", in, guidPattern.wanted, why)
	}
}

// checkEntraScope refuses scopes that no access token for the gateway has.
func (b *authBlock) checkEntraScope(scope string, in input) {
	resource, name := splitScope(scope)
	switch {
	case slices.Contains([]string{"openid", "profile", "email"}, scope):
		in.mistake("Access tokens of Entra do not have %v, which is for ID tokens.", in)
	case name == ".default":
		in.mistake("Tokens have the scopes that .default stands for, each by its own name. Write those.")
	case name == "":
		in.mistake("%v is the name of an application; the name of the scope is missing behind it.", in)
	case b.cloud().IsGraph(resource):
		in.mistake("Tokens with a scope of Microsoft Graph are not for the gateway. Write a scope of your own application.")
	case slices.ContainsFunc(b.Scopes.value, func(other string) bool {
		_, same := splitScope(other)
		return other != scope && same == name
	}):
		in.mistake("There is another scope of this name, and tokens have the name only.")
	}
}

// splitScope takes a scope of Entra apart: what it belongs to, "" if it does not
// say, and the name that tokens have.
func splitScope(scope string) (resource, name string) {
	i := strings.LastIndexByte(scope, '/')
	return scope[:max(i, 0)], scope[i+1:]
}

// checkTenants checks whose people may use the gateway.
func (b *authBlock) checkTenants(d *decoder) {
	switch several := b.TenantID.severalTenants(); {
	case several && !b.AllowedTenants.given:
		d.mistake(&b.TenantID.at, "Missing allowed_tenants", "With this, people of all tenants there are can sign in. List the ids of those whose people may use the gateway: allowed_tenants = [\"…\"].")
	case b.TenantID.value != "" && !several && b.AllowedTenants.given:
		d.mistake(&b.AllowedTenants.at, "Invalid allowed_tenants", "The tenant_id is that of one tenant, and only its people can sign in. For several: tenant_id = \"organizations\".")
	}
}

// checkOverage checks what Microsoft Graph is for.
func (b *authBlock) checkOverage(d *decoder) {
	switch {
	case b.GroupOverage.value == askGraph && b.Graph == nil:
		d.mistake(&b.GroupOverage.at, "Missing graph", "To ask Microsoft Graph, the gateway needs a graph block, with the application that it asks as.")
	case b.GroupOverage.value == denyGroups && b.Graph != nil:
		d.mistake(&b.GroupOverage.at, "Invalid group_overage", "There is a graph block, so Microsoft Graph is asked. Leave out one of the two.")
	}
	if b.GroupsMaxAge.given && b.Graph == nil {
		d.mistake(&b.GroupsMaxAge.at, "Invalid groups_max_age", "This is for groups that Microsoft Graph lists, and there is no graph block. Those in a token count as long as the token does.")
	}
}

func (b *customCloudBlock) check(d *decoder) {
	for _, s := range []setting{b.Authority.setting, b.STS.setting, b.Graph.setting} {
		if !s.given {
			d.mistake(&b.at, "Incomplete custom_cloud", "A cloud has an authority, an sts and a graph.")
			return
		}
	}
}

func (b *graphBlock) check(d *decoder) {
	if !b.ClientID.given {
		d.mistake(&b.at, "Missing client_id", "Microsoft Graph needs to know which application asks it.")
	}
	var ways []setting
	for _, s := range []setting{b.ClientSecret.setting, b.CertificateFile.setting, b.FederatedTokenFile.setting} {
		if s.given {
			ways = append(ways, s)
		}
	}
	switch {
	case len(ways) == 0:
		d.mistake(&b.at, "Missing credential", "The application needs a client_secret, a certificate_file or a federated_token_file.")
	case len(ways) > 1:
		d.mistake(&ways[1].at, "Invalid "+ways[1].name, "There is a %s already; the application needs one of them.", ways[0].name)
	}
}

func (b *groupBlock) check(d *decoder) {
	checkLabel(d, &b.header)
	if !b.ID.given {
		d.mistake(&b.at, "Missing id", "A group has the id that tokens name it by.")
	}
}

func (b *appBlock) check(d *decoder) {
	checkLabel(d, &b.header)
	if !b.ClientID.given {
		d.mistake(&b.at, "Missing client_id", "An app has the client id that tokens name it by.")
	}
}

// fill gives a block what it has without being written, where that depends on
// what else is.
func (b *authBlock) fill() {
	if b.Mode.value == brokerMode {
		b.fillBroker()
	}
	if b.kind == "oidc" {
		b.GroupsClaim.otherwise("groups")
		b.RolesClaim.otherwise("roles")
		return
	}
	if b.CustomCloud == nil {
		b.Cloud.otherwise("global")
	}
	if b.Graph != nil {
		b.GroupOverage.otherwise(askGraph)
		b.GroupsMaxAge.otherwise(5*time.Minute, "5m")
	} else {
		b.GroupOverage.otherwise(denyGroups)
	}
	if b.Mode.value == entraCompat {
		b.Token.otherwise(accessToken)
		b.Redirects.otherwise(loopback, "vscode", "cursor")
	}
	if b.Mode.value != brokerMode {
		b.Audiences.otherwise(&b.ClientID.identifier)
	}
}

// otherwise is the value where none is written.
func (t *text) otherwise(s string) {
	if !t.given {
		t.value = s
		t.keep(cty.StringVal(s))
	}
}

func (v *duration) otherwise(value time.Duration, s string) {
	if !v.given {
		v.value = value
		v.keep(cty.StringVal(s))
	}
}

func (v *redirects) otherwise(words ...string) {
	if v.given {
		return
	}
	raw := []cty.Value{}
	for _, word := range words {
		v.addWord(word)
		raw = append(raw, cty.StringVal(word))
	}
	v.keep(cty.TupleVal(raw))
}

func (v *identifiers) otherwise(only *identifier) {
	if !v.given && only.value != "" {
		v.value = []string{only.value}
		v.keep(cty.TupleVal([]cty.Value{only.raw}))
	}
}
