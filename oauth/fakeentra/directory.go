package fakeentra

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// A Tenant is an organization.
type Tenant struct {
	ID     string `json:"id"`
	Domain string `json:"domain"` // such as contoso.example; endpoints take it, too
	Name   string `json:"name"`
}

// A User is a person in a tenant.
type User struct {
	// ID is the object id; "" makes one of the name, the same each time.
	ID string `json:"id"`
	// Tenant is the tenant's id; "" means the first one.
	Tenant string `json:"tenant"`
	// Name is what they sign in with (user principal name), such as
	// alice@contoso.example, and DisplayName what they are called.
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	// Password is what signs them in; "" takes anything.
	Password string `json:"password,omitzero"`
	// Groups are the ids of groups they are in directly.
	Groups []string `json:"groups,omitzero"`
	// Roles are app roles, by the client id of the app.
	Roles map[string][]string `json:"roles,omitzero"`
	// Assigned are the client ids of apps that they may use although they have no
	// role there, where assignment is required.
	Assigned []string `json:"assigned,omitzero"`
	// HomeTenant is the id of the tenant they are at home in; "" for the same one.
	HomeTenant string `json:"home_tenant,omitzero"`
	Disabled   bool   `json:"disabled,omitzero"`
	Admin      bool   `json:"admin,omitzero"` // may consent for all
}

// IsGuest reports whether a person is at home elsewhere.
func (u User) IsGuest() bool { return u.HomeTenant != "" && u.HomeTenant != u.Tenant }

// A Group is one of people.
type Group struct {
	// ID is the object id; "" makes one of the name, the same each time.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Parents are the ids of groups that this one is in.
	Parents []string `json:"parents,omitzero"`
}

// Platforms of a [Redirect].
const (
	Web    = "web"    // a server with a credential
	SPA    = "spa"    // a program in a browser
	Native = "native" // mobile and desktop applications
)

// A Redirect is a redirect URI as an app registers it.
type Redirect struct {
	URI      string `json:"uri"`
	Platform string `json:"platform"` // "" is Native
}

// An App is an app registration.
type App struct {
	// ClientID is its id; "" makes one of the name, the same each time.
	ClientID string `json:"client_id"`
	Name     string `json:"name"`
	// Tenant is the tenant's id; "" means the first one. MultiTenant lets others use
	// the app as well.
	Tenant      string `json:"tenant"`
	MultiTenant bool   `json:"multi_tenant,omitzero"`

	// As an API: its identifier URIs ("" in none makes api://CLIENTID the only one),
	// the scopes it exposes and the app roles it defines.
	IdentifierURIs []string `json:"identifier_uris,omitzero"`
	Scopes         []string `json:"scopes,omitzero"`
	AppRoles       []string `json:"app_roles,omitzero"`
	// TokenVersion is requestedAccessTokenVersion of its manifest: 2, or 1 (also 0).
	TokenVersion int `json:"token_version,omitzero"`
	// Groups of people are in access tokens for it, and in ID tokens for it as a
	// client, where these are set.
	AccessTokenGroups bool `json:"access_token_groups,omitzero"`
	IDTokenGroups     bool `json:"id_token_groups,omitzero"`
	// OptionalClaims are those of "acct", "idtyp", "email" that its tokens have.
	OptionalClaims []string `json:"optional_claims,omitzero"`
	// Preauthorized are client ids of apps that need no consent for its scopes.
	Preauthorized []string `json:"preauthorized,omitzero"`
	// AssignmentRequired keeps out whom nobody has assigned.
	AssignmentRequired bool `json:"assignment_required,omitzero"`

	// As a client: where it may be redirected to, and how it proves who it is.
	Redirects    []Redirect            `json:"redirects,omitzero"`
	Secrets      []string              `json:"secrets,omitzero"`
	Certificates []*x509.Certificate   `json:"-"`
	Federated    []FederatedCredential `json:"-"`
	Permissions  []string              `json:"permissions,omitzero"` // qualified scopes that .default means
	Roles        map[string][]string   `json:"roles,omitzero"`       // app roles that it has itself, by the client id of the API
	graph        bool
}

// A FederatedCredential lets a token of another issuer stand for an app.
type FederatedCredential struct {
	Issuer, Subject string
	Audience        string // "" is api://AzureADTokenExchange
	Keys            jose.JSONWebKeySet
}

// tokenVersion is the version of access tokens for an app.
func (a *App) tokenVersion() int {
	if a.TokenVersion == 2 && !a.graph {
		return 2
	}
	return 1
}

func (a *App) isConfidential() bool {
	return len(a.Secrets) > 0 || len(a.Certificates) > 0 || len(a.Federated) > 0
}

// exposes reports whether an app has a scope.
func (a *App) exposes(scope string) bool { return slices.Contains(a.Scopes, scope) }

// A directory is all tenants with what is in them. People and apps in it are
// replaced, and never changed.
type directory struct {
	first   string
	tenants map[string]Tenant
	users   map[string]*User
	groups  map[string]Group
	apps    map[string]*App
	order   []string // ids of users in the order they came in
	// consents are the scopes that were agreed to.
	consents map[consent]bool
	// revoked is how often a person's sessions were revoked.
	revoked map[string]int
}

// A consent is one of a person, or of everybody in the tenant if user is "".
type consent struct{ tenant, user, client, resource, scope string }

func newDirectory(first string) directory {
	return directory{
		first: first, tenants: map[string]Tenant{}, users: map[string]*User{}, groups: map[string]Group{},
		apps: map[string]*App{}, consents: map[consent]bool{}, revoked: map[string]int{},
	}
}

// id makes a GUID of a kind and a name, the same one each time.
func id(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + strings.ToLower(name)))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// user looks a person up by object id or name; nil if there is none.
func (d *directory) user(idOrName string) *User {
	if u := d.users[idOrName]; u != nil {
		return u
	}
	for _, u := range d.users {
		if strings.EqualFold(u.Name, idOrName) {
			return u
		}
	}
	return nil
}

// tenant looks a tenant up by id or domain. An alias for all tenants is itself.
func (d *directory) tenant(name string) (Tenant, bool) {
	if isAlias(name) {
		return Tenant{ID: name}, true
	}
	name = strings.ToLower(name)
	if t, ok := d.tenants[name]; ok {
		return t, true
	}
	for _, t := range d.tenants {
		if t.Domain != "" && strings.EqualFold(t.Domain, name) {
			return t, true
		}
	}
	return Tenant{}, false
}

// isAlias reports whether a name stands for several tenants.
func isAlias(name string) bool {
	return name == "common" || name == "organizations" || name == "consumers"
}

// resource finds the API that an identifier means: a client id or an identifier
// URI. Microsoft Graph is one.
func (d *directory) resource(identifier string) *App {
	if a := d.apps[identifier]; a != nil {
		return a
	}
	for _, a := range d.apps {
		if slices.Contains(a.IdentifierURIs, identifier) {
			return a
		}
	}
	return nil
}

// groupsOf are the ids of all groups a person is in, also through others, sorted.
func (d *directory) groupsOf(u *User) []string {
	seen := map[string]bool{}
	todo := slices.Clone(u.Groups)
	for len(todo) > 0 {
		g := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[g] {
			seen[g] = true
			todo = append(todo, d.groups[g].Parents...)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// consented reports whether somebody agreed to a scope.
func (d *directory) consented(u *User, client *App, resource *App, scope string) bool {
	if slices.Contains(resource.Preauthorized, client.ClientID) {
		return true
	}
	c := consent{u.Tenant, u.ID, client.ClientID, resource.ClientID, scope}
	everybody := c
	everybody.user = ""
	return d.consents[c] || d.consents[everybody]
}

// people are the users of a tenant, in the order they came in.
func (d *directory) people(tenant string) []User {
	var all []User
	for _, id := range d.order {
		if u := d.users[id]; u != nil && (isAlias(tenant) || u.Tenant == tenant) {
			all = append(all, *u)
		}
	}
	return all
}
