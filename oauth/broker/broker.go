// Package broker is the gateway's own authorization server (RFC 6749, OAuth 2.1 as
// MCP 2026-07-28 "Authorization" has it) in front of an identity provider.
//
// The gateway is one client of the provider, and MCP clients are clients of the
// gateway: they register here or are described by a metadata document, get codes
// and tokens from here, and never see one of the provider's. One sign-in:
//
//	GET  /oauth2/authorize  (authorize.go)  client, redirect URI and PKCE are checked; the
//	                                        person is asked (nothing is stored yet)
//	POST /oauth2/consent    (consent.go)    the person agrees; a cookie binds the browser
//	     the provider                       signs the person in
//	GET  /oauth2/callback   (callback.go)   the cookie is the same; the ID token says who it
//	                                        is; the client gets a code
//	POST /oauth2/token      (token.go)      the code, or a refresh token, becomes an access
//	                                        token; each refresh asks the provider again
//
// Every later request of a client costs a look into memory (own.go): its token is
// verified once, and its session has to be there, so that it ends when the
// session does. What outlives a reload and the process is in [State].
package broker

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/clientdoc"
)

const (
	defaultAccessTTL  = 15 * time.Minute
	defaultSessionTTL = 30 * 24 * time.Hour
	// MaxAccessTTL bounds how long an access token may last.
	MaxAccessTTL = 12 * time.Hour
)

// A broker is the authorization server of one configuration. It is safe for
// concurrent use.
type broker struct {
	// Set by New, never changed.
	opts      Options
	state     *State
	server    *authserver.Server
	signIn    *oauth.SignIn
	provider  *provider
	documents *clientdoc.Fetcher // nil without them
	fetches   *authserver.Rates  // of documents: all addresses share what the Fetcher does
	tokens    *ownTokens
	log       *slog.Logger
}

// New returns a SignIn whose authorization server is a broker. Of signIn, the
// provider that people sign in at has to be first, and Behind; Facade and Own are
// set here. What previous, which may be nil, has fetched stays.
func New(opts Options, signIn oauth.Options, previous *oauth.SignIn) *oauth.SignIn {
	opts.fill()
	b := &broker{
		opts: opts, state: opts.State, server: authserver.New(opts.PublicURL, opts.Log),
		fetches: authserver.NewRates(1, 15), tokens: newOwnTokens(), log: opts.Log,
	}
	if opts.Documents {
		b.documents = opts.State.fetcher(clientdoc.Options{HTTP: opts.DocumentHTTP, Rules: opts.Redirects, Log: opts.Log})
	}
	signIn.Facade, signIn.Own = b.server, b.authenticate
	b.signIn = oauth.New(signIn, previous)
	b.provider = newProvider(b.signIn, opts, signIn.Providers[0].Entra != nil)
	b.serve()
	return b.signIn
}

func (o *Options) fill() {
	if o.Redirects.Own == nil {
		o.Redirects.Own = o.PublicURL
	}
	if o.AccessTTL == 0 {
		o.AccessTTL = defaultAccessTTL
	}
	if o.SessionTTL == 0 {
		o.SessionTTL = defaultSessionTTL
	}
	if len(o.Request) == 0 {
		o.Request = []string{"openid", "profile", "email", "offline_access"}
	}
}

// serve has the server lead to the methods of b.
func (b *broker) serve() {
	get, post := []string{http.MethodGet}, []string{http.MethodPost}
	page := func(path string, methods []string, serve func(http.ResponseWriter, *http.Request) *authserver.Problem) {
		b.server.Handle(authserver.Endpoint{Name: path, Methods: methods, Page: true, Rates: authserver.NewRates(20, 200), Serve: serve}, path)
	}
	b.server.HandleDocument(b.metadata(), authserver.MetadataPaths...)
	b.server.HandleDocument(b.openIDConfiguration(), authserver.OpenIDPaths...)
	b.server.Handle(authserver.Endpoint{
		Name: "authorize", Methods: get, Page: true, Rates: authserver.NewRates(20, 200), Serve: b.authorize,
	}, authserver.AuthorizePaths...)
	b.server.Handle(authserver.Endpoint{
		Name: "token", Methods: post, CrossOrigin: true, Rates: authserver.NewRates(50, 500), Serve: b.token,
	}, authserver.TokenPaths...)
	b.server.Handle(authserver.Endpoint{
		Name: "register", Methods: post, CrossOrigin: true, Rates: authserver.NewRates(5, 50), Serve: b.register,
	}, authserver.RegisterPath)
	b.server.Handle(authserver.Endpoint{
		Name: "revoke", Methods: post, CrossOrigin: true, Rates: authserver.NewRates(20, 200), Serve: b.revoke,
	}, revokePath)
	b.server.Handle(authserver.Endpoint{
		Name: "jwks", Methods: []string{http.MethodGet, http.MethodHead}, CrossOrigin: true, Serve: b.jwks,
	}, jwksPath)
	page(consentPath, post, b.consent)
	page(CallbackPath, get, b.callback)
	page(mePath, get, b.me)
	page(mePath+"/", get, b.me)
	page(meSignInPath, post, b.meSignIn)
	page(meRevokePath, post, b.meRevoke)
	page(meSignOutPath, post, b.meSignOut)
}

const (
	consentPath = "/oauth2/consent"
	revokePath  = "/oauth2/revoke"
	jwksPath    = "/oauth2/jwks"
)

// metadata is that of RFC 8414.
func (b *broker) metadata() authserver.Metadata {
	m := b.server.Metadata(b.scopeNames())
	m.RevocationEndpoint = b.server.Base + revokePath
	m.RevocationEndpointAuthMethods = []string{"none"}
	m.JWKSURI = b.server.Base + jwksPath
	m.IssParameter = true
	m.ClientDocuments = b.documents != nil
	return m
}

func (b *broker) openIDConfiguration() authserver.OpenIDProvider {
	return authserver.OpenIDProvider{
		Metadata: b.metadata(), SubjectTypesSupported: []string{"public"}, IDTokenSigningSupported: []string{string(signingAlgorithm)},
	}
}

// resource is what access tokens are for (RFC 8707), however clients name it.
func (b *broker) resource() string { return b.server.Base + "/mcp" }

func (b *broker) scopeNames() []string {
	var names []string
	for _, s := range b.opts.Scopes {
		names = append(names, s.Name)
	}
	return names
}

// sendBack tells a client of a problem where it wants to hear of it, together with
// who says so (RFC 9207).
func (b *broker) sendBack(w http.ResponseWriter, r *http.Request, redirectURI, state string, p *authserver.Problem) {
	authserver.SendBack(w, r, redirectURI, b.response(state), p)
}

// response is what every authorization response has.
func (b *broker) response(state string) url.Values {
	v := url.Values{"iss": {b.server.Base}}
	if state != "" {
		v.Set("state", state)
	}
	return v
}

// secure reports whether browsers reach the gateway by https.
func (b *broker) secure() bool { return strings.EqualFold(b.opts.PublicURL.Scheme, "https") }
