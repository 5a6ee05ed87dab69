package broker

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/pages"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// Options describe a broker.
type Options struct {
	// PublicURL is where clients reach the gateway, without the path of the MCP
	// endpoint. It is the issuer of the tokens, and all URLs are built from it.
	PublicURL *url.URL
	// Provider is the name of the auth block of the provider that people sign in at.
	Provider string
	// Credential is the gateway's own at the provider, where it is a client with the
	// redirect URI CallbackPath below PublicURL.
	Credential client.Credential
	// Request are the scopes that the provider is asked for; none means openid,
	// profile, email and offline_access.
	Request []string
	// Parameters are further ones for the provider's authorization endpoint.
	Parameters map[string]string
	// Prompt is that parameter there: "", "select_account", "login" or "consent".
	Prompt string

	// Scopes are what clients may ask for, and get if they name none of them.
	Scopes []Scope
	// AccessTTL is how long access tokens last, 0 means 15 min. SessionTTL is how
	// long a session lasts that is not refreshed; 0 means 30 days.
	AccessTTL, SessionTTL time.Duration
	// Redirects say where codes may be sent. Own is set from PublicURL if it is nil.
	Redirects redirect.Rules
	// Documents lets clients have the URL of a metadata document as their id.
	Documents bool
	// DocumentHTTP fetches them; nil means a client that reaches public addresses
	// only.
	DocumentHTTP *http.Client
	// Clients are those that need not register.
	Clients []Client

	// State is what outlives the broker. It must not be nil.
	State *State
	// Tools and Denials are what the pages tell people about themselves; ToolsWhy is
	// why there are none of the former.
	Tools   func(*oauth.Caller) (tools []pages.Tool, why string)
	Denials func(*oauth.Caller) []pages.Denial

	// HTTP asks the provider; nil means a client of its own.
	HTTP *http.Client
	// Log must not be nil.
	Log *slog.Logger
}

// A Scope is a permission that clients ask for.
type Scope struct {
	Name string // as clients and tokens have it: mcp.access
	Text string // what it allows, in words that people understand; "" for a general one
}

// A Client is one that the operator knows.
type Client struct {
	ID, Name  string
	Redirects redirect.Rules
}

// CallbackPath is where the provider sends people back to.
const CallbackPath = "/oauth2/callback"
