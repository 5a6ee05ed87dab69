// Package compat lets MCP clients sign in with Microsoft Entra ID, which neither
// registers clients nor takes what they send.
//
// Its [Facade] looks like an authorization server: it has metadata (RFC 8414),
// it registers every client as the one public client app that Entra knows
// (RFC 7591), and it has an authorization and a token endpoint (RFC 6749, RFC
// 7636). Behind them is Entra, which issues the tokens and shows its own pages;
// what reaches it is never what a client sent, but a request that is written
// anew from the few parameters that it needs.
//
// A facade holds no secret and remembers nothing: it has none to lend to whom it
// does not know, and any number of gateways can serve one sign-in.
//
//	facade := compat.New(compat.Options{
//		PublicURL: publicURL,
//		Cloud:     entra.Clouds["global"],
//		Tenant:    tenantID,
//		ClientID:  clientID,
//		Scopes:    []compat.Scope{{Name: "mcp.access", Qualified: apiID + "/mcp.access"}},
//		Redirects: redirect.Rules{Loopback: true},
//		Log:       log,
//	})
package compat

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// Options describe a [Facade].
type Options struct {
	// PublicURL is where clients reach the gateway, without the path of the MCP
	// endpoint. It is the issuer, and every URL in the metadata is built from it.
	PublicURL *url.URL
	// Cloud and Tenant say where people sign in. Tenant is an id, "common" or
	// "organizations".
	Cloud  entra.Cloud
	Tenant string
	// ClientID is the client app: a public client, for it has no secret here.
	ClientID string
	// Scopes are what clients may ask for, and get asked for if they name none.
	Scopes []Scope
	// IDToken gives clients the ID token as their access token.
	IDToken bool
	// Redirects say where codes may be sent. Own is set from PublicURL if it is nil.
	Redirects redirect.Rules

	// HTTP asks Entra for tokens; nil means a client of its own. Redirects are never
	// followed, and an answer has 20 s and 1 MiB.
	HTTP *http.Client
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
	// Log must not be nil.
	Log *slog.Logger
}

// A Scope is a permission of the API app.
type Scope struct {
	Name      string // as clients and tokens have it: mcp.access
	Qualified string // as Entra is asked for it: <client id of the API app>/mcp.access
}

// A Facade is the [http.Handler] in front of Entra. The address in a request is
// taken for the client's. It is safe for concurrent use and starts nothing.
type Facade struct {
	opts     Options
	server   *authserver.Server
	upstream *upstream
}

// New returns a facade.
func New(opts Options) *Facade {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Redirects.Own == nil {
		opts.Redirects.Own = opts.PublicURL
	}
	f := &Facade{opts: opts, server: authserver.New(opts.PublicURL, opts.Log), upstream: newUpstream(opts)}
	f.serve()
	return f
}

// serve has the server lead to the methods of f.
func (f *Facade) serve() {
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	f.server.HandleDocument(f.metadata(), authserver.MetadataPaths...)
	f.server.HandleDocument(f.openIDConfiguration(), authserver.OpenIDPaths...)
	f.server.Handle(authserver.Endpoint{
		Name: "authorize", Methods: get, Page: true, Rates: authserver.NewRates(20, 200), Serve: f.authorize,
	}, authserver.AuthorizePaths...)
	f.server.Handle(authserver.Endpoint{
		Name: "token", Methods: post, CrossOrigin: true, Rates: authserver.NewRates(20, 200), Serve: f.token,
	}, authserver.TokenPaths...)
	f.server.Handle(authserver.Endpoint{
		Name: "register", Methods: post, CrossOrigin: true, Rates: authserver.NewRates(5, 50), Serve: f.register,
	}, authserver.RegisterPath)
}

// ServeHTTP implements [http.Handler].
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.server.ServeHTTP(w, r) }
