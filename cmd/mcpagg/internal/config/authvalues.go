package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// A guid is an id as Entra has them. The value is in lower case, as in tokens.
type guid struct{ text }

var guidPattern = pattern{
	regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`),
	`a GUID such as "6c1f6c8e-0000-0000-0000-000000000000"`,
}

func (v *guid) kind() kind    { return textKind("GUID") }
func (v *guid) take(in input) { v.value = strings.ToLower(in.matching(guidPattern)) }

// A tenantID is that of a tenant of Entra, or a word for several of them.
type tenantID struct{ text }

const (
	commonTenants = "common"        // of organizations, and that of personal accounts
	organizations = "organizations" // all tenants but that

	// personalAccounts is the tenant of everybody with an account of their own at
	// Microsoft.
	personalAccounts = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

var domainPattern = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

func (v *tenantID) kind() kind { return textKind("GUID, `\"common\"` or `\"organizations\"`") }

func (v *tenantID) take(in input) {
	s, ok := in.text()
	switch {
	case !ok:
	case guidPattern.MatchString(s):
		v.value = strings.ToLower(s)
	case s == commonTenants || s == organizations:
		v.value = s
	case domainPattern.MatchString(s):
		in.mistake("%v is the name of a domain, and tokens name the tenant by its id. Write the Tenant ID that the Overview page of Microsoft Entra ID shows.", in)
	default:
		in.mistake("%v is neither %s nor common nor organizations.%s", in, guidPattern.wanted,
			in.unless(didYouMean(s, []string{commonTenants, organizations})))
	}
}

// severalTenants reports whether it is a word for them.
func (v *tenantID) severalTenants() bool { return v.value == commonTenants || v.value == organizations }

// guids is a list of ids, in lower case.
type guids struct{ words }

func (v *guids) kind() kind { return listKind("GUIDs") }

func (v *guids) take(in input) {
	for _, e := range in.filled() {
		if id := strings.ToLower(e.matching(guidPattern)); id != "" && !slices.Contains(v.value, id) {
			v.value = append(v.value, id)
		}
	}
}

// filled is the elements of a list, none after noting a mistake. A list without
// any is one, since that would mean all or none.
func (in input) filled() []input {
	elements, ok := in.list()
	if ok && len(elements) == 0 {
		in.mistake("This list is empty. Leave %s out, or put something in.", in.attribute)
	}
	return elements
}

// An identifier is what a provider calls something.
type identifier struct {
	setting
	value string
	in    input
}

func (v *identifier) kind() kind { return textKind("text") }

func (v *identifier) take(in input) {
	v.value, v.in = in.identifier(" Write the id, not a name that people read."), in
}

// identifier is the input as a text without white space, or "" after noting a
// mistake, with a hint at what was meant. An id in it is in lower case.
func (in input) identifier(hint string) string {
	s, ok := in.text()
	switch {
	case !ok:
	case s == "":
		in.mistake("This must not be empty.")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		in.mistake("%v must not have white space in it.%s", in, hint)
	case guidPattern.MatchString(s):
		return strings.ToLower(s)
	default:
		return s
	}
	return ""
}

// identifiers is a list of what a provider calls something; repeated ones count
// once.
type identifiers struct {
	setting
	value    []string
	elements []input // of each value
}

func (v *identifiers) kind() kind { return listKind("texts") }

func (v *identifiers) take(in input) {
	for _, e := range in.filled() {
		v.add(e.identifier(""), e)
	}
}

// add takes one over that has no mistake.
func (v *identifiers) add(s string, e input) {
	if s != "" && !slices.Contains(v.value, s) {
		v.value, v.elements = append(v.value, s), append(v.elements, e)
	}
}

// scopes is a list of permissions (RFC 6749 section 3.3).
type scopes struct{ identifiers }

func (v *scopes) kind() kind { return listKind("scopes, such as `\"mcp.access\"`") }

var scopePattern = regexp.MustCompile(`^[!#-\[\]-~]+$`)

func (v *scopes) take(in input) {
	for _, e := range in.filled() {
		s, ok := e.text()
		switch {
		case !ok:
		case !scopePattern.MatchString(s):
			e.mistake("%v is not a scope: each is a text of its own, without spaces, quotes and backslashes.", e)
		case s == "offline_access":
			e.mistake("This asks for refresh tokens, and is no permission that a token has. Clients ask for it by themselves.")
		default:
			v.add(s, e)
		}
	}
}

// addWord adds what a word stands for, if it is one.
func (v *redirects) addWord(s string) bool {
	if s == loopback {
		v.value.Loopback = true
		return true
	}
	vendor, ok := redirect.Vendors[s]
	v.value.Allowed = append(v.value.Allowed, vendor...)
	return ok
}

// An authMode says how clients get their tokens.
type authMode struct{ text }

const (
	brokerMode     = "broker"
	entraCompat    = "entra-compat"
	resourceServer = "resource-server"
)

var authModes = []string{brokerMode, entraCompat, resourceServer}

func (v *authMode) kind() kind { return kind{codeWords(authModes), map[string]any{"enum": authModes}} }

func (v *authMode) take(in input) { v.value = in.oneOf(authModes) }

// redirects is a list of where people may be sent back to.
type redirects struct {
	setting
	value redirect.Rules
	uris  identifiers // those that are written out
}

const loopback = "loopback"

// redirectWords are what stands for URIs of well-known clients.
var redirectWords = append([]string{loopback}, slices.Sorted(maps.Keys(redirect.Vendors))...)

func (v *redirects) kind() kind { return listKind("URIs and " + codeWords(redirectWords)) }

func (v *redirects) take(in input) {
	for _, e := range in.filled() {
		s, ok := e.text()
		_, err := redirect.Parse(s)
		switch {
		case !ok || v.addWord(s):
		case !strings.Contains(s, ":"):
			e.mistake("%v is neither a URI nor one of %s.%s", e, strings.Join(redirectWords, ", "), e.unless(didYouMean(s, redirectWords)))
		case err != nil:
			e.mistake("%v cannot be redirected to: it %s.", e, e.secretOr("is no URI for that", err.Error()))
		default:
			v.value.Allowed = append(v.value.Allowed, s)
			v.uris.add(s, e)
		}
	}
}

// A tokenKind says which token of Entra clients get.
type tokenKind struct{ text }

const (
	accessToken = "access_token"
	idToken     = "id_token"
)

var tokenKinds = []string{accessToken, idToken}

func (v *tokenKind) kind() kind {
	return kind{codeWords(tokenKinds), map[string]any{"enum": tokenKinds}}
}

func (v *tokenKind) take(in input) { v.value = in.oneOf(tokenKinds) }

// A groupOverage says what happens where a token cannot hold all groups.
type groupOverage struct{ text }

const (
	askGraph   = "graph"
	denyGroups = "deny"
)

var groupOverages = []string{askGraph, denyGroups}

func (v *groupOverage) kind() kind {
	return kind{codeWords(groupOverages), map[string]any{"enum": groupOverages}}
}

func (v *groupOverage) take(in input) { v.value = in.oneOf(groupOverages) }

// A cloudName is one of the clouds of Entra.
type cloudName struct{ text }

var cloudNames = []string{"global", "usgov", "usgov-dod", "china"}

func (v *cloudName) kind() kind {
	return kind{codeWords(cloudNames), map[string]any{"enum": cloudNames}}
}

func (v *cloudName) take(in input) { v.value = in.oneOf(cloudNames) }

// A clockSkew is how far clocks may be apart.
type clockSkew struct{ duration }

const mostSkew = 5 * time.Minute

func (v *clockSkew) take(in input) {
	v.duration.take(in)
	if v.value > mostSkew {
		in.mistake("%v is more than 5m, for which a token that has expired would still count.", in)
	}
}

// A claimName is the name of a claim.
type claimName struct{ text }

func (v *claimName) take(in input) { v.value = in.identifier("") }

// An issuer is the identifier of a provider, kept exactly as it is written.
type issuer struct{ text }

func (v *issuer) kind() kind { return textKind("URL") }

func (v *issuer) take(in input) {
	u := in.webURL("https://login.contoso.com/realms/tools")
	if u == nil {
		return
	}
	s, _ := in.text()
	before, _, isMetadata := strings.Cut(s, "/.well-known/")
	switch {
	case isMetadata:
		in.mistake("This is where the metadata of the provider is; the issuer is what it says there.%s", in.unless(` Probably "`+before+`".`))
	case u.Scheme != "https" && !isLoopback(u.Hostname()):
		in.mistake("Keys for tokens come from there, so this must be an https URL.")
	case entra.IsEntra(u.Hostname()):
		in.mistake("This is Entra, whose ID tokens and programs only auth of the kind entra tells apart from people's access tokens. Write auth \"entra\" with a tenant_id.")
	case strings.ContainsAny(s, "?#"):
		in.mistake("%v must not have a part after ? or #.", in)
	default:
		v.value = s
	}
}

// A baseURL is what stands before the path of other URLs, without / at its end.
type baseURL struct{ text }

func (v *baseURL) kind() kind { return textKind("URL") }

func (v *baseURL) take(in input) {
	u := in.webURL("https://login.microsoftonline.com")
	s, _ := in.text()
	switch {
	case u == nil:
	case u.Scheme != "https" && !isLoopback(u.Hostname()):
		in.mistake("People sign in there, so this must be an https URL.")
	case strings.ContainsAny(s, "?#"):
		in.mistake("%v must not have a part after ? or #.", in)
	default:
		v.value = strings.TrimRight(s, "/")
	}
}
