package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

// Options describe a [SignIn].
type Options struct {
	// PublicURL is where clients reach the gateway, without the path of the MCP
	// endpoint: all metadata is built from it, none from what a request says.
	PublicURL *url.URL
	// Providers are those whose tokens count, at least one. Clients are told to
	// ask for the scopes of the first; with a Facade, it is the one behind it.
	Providers []Provider
	// Facade serves the authorization server's endpoints and metadata where the
	// gateway stands in front of a provider; nil if clients go to it themselves.
	Facade http.Handler
	// Own says whose a token is that the gateway has issued itself; nil if it issues
	// none. The error for any other token is ErrNotOwn, or ErrForged.
	Own func(ctx context.Context, token string) (*Caller, error)
	// GroupAliases and ClientAliases map an id to the name that the configuration
	// has for it.
	GroupAliases, ClientAliases map[string]string

	// HTTP fetches keys and metadata; nil means a client of its own, which follows
	// no redirects.
	HTTP *http.Client
	// Log must not be nil.
	Log *slog.Logger
}

// A Provider is an identity provider whose tokens count.
type Provider struct {
	// Name is the label of the auth block.
	Name string
	// Entra says that it is Microsoft Entra ID; nil for any other provider of
	// OpenID Connect.
	Entra *EntraTenant
	// Issuer is its issuer identifier; not used with Entra.
	Issuer string
	// Audiences are the values of aud that mean this gateway. One is enough.
	Audiences []string
	// Scopes are those that a person's token must have, all of them.
	Scopes []Scope
	// Clients are the client ids that may use the gateway; none means any.
	Clients []string
	// AllowAppTokens admits tokens of programs that no person is behind; with
	// Entra they need an app role, too.
	AllowAppTokens bool
	// IDTokens says that clients send ID tokens instead of access tokens.
	IDTokens bool
	// Behind says that the gateway itself is the client of this provider, whose ID
	// tokens it gets and nobody else may send; see [SignIn.Identify]. The scopes are
	// then those of the gateway's own tokens.
	Behind bool
	// GroupsClaim and RolesClaim name the claims that list them; "" means "groups"
	// and "roles".
	GroupsClaim, RolesClaim string
	// Skew is how far clocks may be apart; 0 means 60 s.
	Skew time.Duration
}

// An EntraTenant says whose tokens of Entra count.
type EntraTenant struct {
	Cloud entra.Cloud
	// Tenant is the id of the tenant, or "common" or "organizations".
	Tenant string
	// Allowed are the ids of the tenants whose people may use the gateway; none
	// means Tenant alone.
	Allowed []string
	// Graph says who is in which group; nil if it may not be asked. Groups that
	// it, or a token, has told count for GroupsMaxAge; 0 means 5 min. Without
	// it, those in a token count as long as the token.
	Graph        *entra.Graph
	GroupsMaxAge time.Duration
}

// A Scope is a permission that clients ask for.
type Scope struct {
	Name       string // as tokens have it: mcp.access
	Advertised string // as clients are told to ask for it
}
