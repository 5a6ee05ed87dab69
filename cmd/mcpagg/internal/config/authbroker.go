package config

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

// brokerOnly are the attributes that only the mode broker has, but for how the
// gateway proves who it is.
func (b *authBlock) brokerOnly() []setting {
	return []setting{
		b.ScopeTexts.setting, b.AccessTTL.setting, b.SessionTTL.setting, b.MetadataDocuments.setting, b.Ephemeral.setting,
		b.Prompt.setting, b.RequestScopes.setting, b.AuthorizeParameters.setting,
	}
}

// atGateway reports whether clients sign in at the gateway.
func (b *authBlock) atGateway() bool {
	switch b.Mode.value {
	case brokerMode:
		_, known := authKinds.of[b.kind]
		return known
	case entraCompat:
		return b.kind == "entra"
	}
	return false
}

// credentials are the ways in which the gateway proves who it is.
func (b *authBlock) credentials() []setting {
	return []setting{b.ClientSecret.setting, b.CertificateFile.setting, b.FederatedTokenFile.setting}
}

// refuse reports a setting that is given, unless the kind of the block has been
// said to have none.
func (b *authBlock) refuse(d *decoder, s setting, format string, args ...any) {
	if s.given && !authKinds.misplaces(b.kind, s.name) {
		d.mistake(&s.at, "Invalid "+s.name, format, args...)
	}
}

// refuseBroker refuses in another mode what only the mode broker has.
func (b *authBlock) refuseBroker(d *decoder) {
	for _, s := range b.credentials() {
		b.refuse(d, s, "This goes with the mode broker only: %s. For the application that asks Microsoft Graph who is in which group, write it in a graph block.", b.noCredential())
	}
	for _, s := range b.brokerOnly() {
		b.refuse(d, s, "This goes with the mode broker only.")
	}
}

// noCredential says why the gateway proves to nobody who it is.
func (b *authBlock) noCredential() string {
	if b.Mode.value == entraCompat {
		return "the client that people sign in with is a public one, and has no secret"
	}
	return "here, the gateway asks the provider for no token"
}

// checkBroker checks what the authorization server in front of a provider needs.
func (b *authBlock) checkBroker(d *decoder) {
	if !b.ClientID.given {
		d.mistake(&b.at, "Missing client_id", "In the mode broker, which is the default, the gateway is an application at the provider, and needs its client_id.")
	}
	b.checkCredential(d)
	b.refuseWithBroker(d)
	for i, s := range b.Scopes.value {
		b.Scopes.elements[i].checkOwnScope(s)
	}
	b.ScopeTexts.checkNames(b.scopeNames())
	if b.Prompt.value == askConsent && b.kind == "entra" {
		b.Prompt.in.mistake("With this, Entra would ask everybody for consent each time, and refuse where only an administrator may give it. The gateway itself asks people for each client. Leave prompt out, or write select_account or login.")
	}
	b.checkTTLs(d)
}

// checkTTLs refuses a session that ends before its first token.
func (b *authBlock) checkTTLs(d *decoder) {
	access, session := cmp.Or(b.AccessTTL.value, usualAccessTTL), cmp.Or(b.SessionTTL.value, usualSessionTTL)
	if session < access { // so at least session_ttl is given: the usual one is longer than any token
		d.mistake(&b.SessionTTL.at, "Invalid session_ttl", "A session of %s would end before its first token, which counts for %s.", inWords(session), inWords(access))
	}
}

// checkCredential checks how the gateway proves to the provider who it is.
func (b *authBlock) checkCredential(d *decoder) {
	ways := slices.DeleteFunc(b.credentials(), func(s setting) bool { return !s.given })
	switch {
	case len(ways) == 0 && b.kind == "entra":
		d.mistake(&b.at, "Missing credential", "In the mode broker, which is the default, the gateway signs people in as an application that has to prove who it is: give its client_secret, certificate_file or federated_token_file. To have none of these, write mode = \"entra-compat\", with which all clients sign in as one public client and get tokens of Entra, or mode = \"resource-server\", with which they get their tokens themselves.")
	case len(ways) > 1 && b.kind == "entra":
		d.mistake(&ways[1].at, "Invalid "+ways[1].name, "There is a %s already; the application needs one of them.", ways[0].name)
	}
}

// refuseWithBroker refuses what is about tokens of the provider.
func (b *authBlock) refuseWithBroker(d *decoder) {
	const beside = ` For tokens that the provider gives out itself, write another auth block beside this one, with mode = "resource-server".`
	b.refuse(d, b.Audiences.setting, "This does not go with the mode broker: clients get tokens of the gateway's own, which are for nothing else."+beside)
	b.refuse(d, b.AllowedClients.setting, "This does not go with the mode broker: people are asked for each client whether to let it in, and policies decide what it may do.")
	if b.Token.value == idToken {
		b.refuse(d, b.Token.setting, "In the mode broker the gateway itself knows people by their ID tokens, and clients get tokens of its own. Leave token out.")
	} else {
		b.refuse(d, b.Token.setting, "This goes with the mode entra-compat only.")
	}
	if apps := b.AllowAppTokens.value; apps != nil && *apps {
		b.refuse(d, b.AllowAppTokens.setting, "In the mode broker, there is a person behind each token."+beside)
	}
}

// oidcScopes are those of OpenID Connect (Core, sections 5.4 and 11).
var oidcScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// checkOwnScope refuses scopes that are those of a provider.
func (in input) checkOwnScope(scope string) {
	_, name := splitScope(scope)
	switch {
	case slices.Contains(oidcScopes, scope):
		in.mistake("%v is a scope of the provider, which the gateway asks for by itself. The scopes of the mode broker are names of the gateway's own.", in)
	case strings.Contains(scope, "/") && name != "" && name != ".default":
		in.mistake("%v is a scope of an application at the provider, and those of the mode broker are names of the gateway's own.%s", in, in.unless(` Write "`+name+`".`))
	case strings.Contains(scope, "/"):
		in.mistake("%v is a scope of an application at the provider, and those of the mode broker are names of the gateway's own, such as \"mcp.access\".", in)
	}
}

const (
	usualScope      = "mcp.access"
	usualAccessTTL  = 15 * time.Minute
	usualSessionTTL = 30 * 24 * time.Hour
	usualRotation   = 90 * 24 * time.Hour
)

// scopeNames are the scopes that clients may ask for.
func (b *authBlock) scopeNames() []string {
	if !b.Scopes.given {
		return []string{usualScope}
	}
	return b.Scopes.value
}

// fillBroker gives a block of the mode broker what it has without being written.
func (b *authBlock) fillBroker() {
	b.Scopes.words(usualScope)
	b.AccessTTL.otherwise(usualAccessTTL, inWords(usualAccessTTL))
	b.SessionTTL.otherwise(usualSessionTTL, inWords(usualSessionTTL))
	b.MetadataDocuments.otherwise(true)
	b.Ephemeral.otherwise(false)
	b.Redirects.otherwise(loopback, "vscode", "cursor")
	if b.kind == "oidc" {
		b.RequestScopes.words("openid", "profile", "email", "offline_access")
	}
}

func (b *boolean) otherwise(value bool) {
	if !b.given {
		b.value = &value
		b.keep(cty.BoolVal(value))
	}
}

// words are the values where none are written.
func (v *identifiers) words(words ...string) {
	if v.given {
		return
	}
	raw := []cty.Value{}
	for _, word := range words {
		raw = append(raw, cty.StringVal(word))
	}
	v.value = words
	v.keep(cty.TupleVal(raw))
}

// broker is the block in the mode broker, nil if there is none.
func (b *fileBlock) broker() *authBlock {
	i := slices.IndexFunc(b.Auth, func(a authBlock) bool { return a.Mode.value == brokerMode })
	if i < 0 {
		return nil
	}
	return &b.Auth[i]
}

// checkStore checks what keeps who is signed in.
func (b *fileBlock) checkStore(d *decoder) {
	a := b.broker()
	if a == nil {
		return
	}
	b.Store.RotateKeys.otherwise(usualRotation, inWords(usualRotation))
	for _, s := range []setting{b.Store.Key.setting, b.Store.PreviousKey.setting} {
		if a.isEphemeral() && s.given {
			d.mistake(&s.at, "Invalid "+s.name, "Auth %q is ephemeral: nothing is kept, so there is nothing to encrypt. Leave one of the two out.", a.label)
		}
	}
}

// isEphemeral reports whether nothing is kept of who is signed in.
func (b *authBlock) isEphemeral() bool { return b.Ephemeral.value != nil && *b.Ephemeral.value }

// checkApps checks the programs that are fixed in the configuration.
func (b *fileBlock) checkApps(d *decoder) {
	brokered := b.broker() != nil
	for i := range b.Apps {
		a := &b.Apps[i]
		for _, s := range []setting{a.Redirects.setting, a.Name.setting} {
			if s.given && !brokered {
				d.mistake(&s.at, "Invalid "+s.name, "Programs are set up in the gateway only where it signs people in itself, and there is no auth block in the mode broker.")
			}
		}
		if !brokered {
			continue
		}
		a.checkFixed(d)
		a.Redirects.checkOwnAddress(b.publicURL())
	}
}

// checkFixed checks an app of the mode broker.
func (b *appBlock) checkFixed(d *decoder) {
	if b.Name.given && !b.Redirects.given {
		d.mistake(&b.Name.at, "Invalid name", "This is for a program that has redirects. A program that registers itself, or has a document, says its name itself.")
	}
	id := b.ClientID.value
	switch {
	case strings.HasPrefix(id, "https://") && b.Redirects.given:
		d.mistake(&b.Redirects.at, "Invalid redirects", "The client id is the URL of a document, and that says where people are sent back to.")
	case len(id) > longestClientID || strings.ContainsFunc(id, func(r rune) bool { return r < '!' || r > '~' }):
		b.ClientID.in.mistake("%v is not a client id: up to %d letters, digits and marks of ASCII.", b.ClientID.in, longestClientID)
	}
}

// longestClientID is the length of a client id in bytes.
const longestClientID = 500
