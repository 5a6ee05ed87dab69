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
	"slices"
	"strings"
	"time"

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
	opts      Options
	base      string // of all URLs, without a slash at its end
	upstream  upstream
	journal   journal
	endpoints map[string]endpoint // by path
}

// An endpoint is what a path leads to.
type endpoint struct {
	name    string
	methods []string
	// crossOrigin lets the pages of all origins read the answers. Cookies are none
	// of them: nothing here depends on who has the browser.
	crossOrigin bool
	rates       *rates // nil for no bound
	// serve answers, or returns why it did not.
	serve func(http.ResponseWriter, *http.Request) *problem
}

// bodyTimeout is how long a client may take to send a body.
const bodyTimeout = 10 * time.Second

// New returns a facade.
func New(opts Options) *Facade {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Redirects.Own == nil {
		opts.Redirects.Own = opts.PublicURL
	}
	f := &Facade{
		opts:     opts,
		base:     strings.TrimSuffix(opts.PublicURL.String(), "/"),
		upstream: newUpstream(opts),
		journal:  newJournal(opts.Log),
	}
	f.endpoints = f.routes()
	return f
}

func (f *Facade) routes() map[string]endpoint {
	get, read, post := []string{http.MethodGet}, []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	metadata := endpoint{name: "metadata", methods: read, crossOrigin: true, serve: document(f.metadata())}
	openID := endpoint{name: "metadata", methods: read, crossOrigin: true, serve: document(f.openIDConfiguration())}
	authorize := endpoint{name: "authorize", methods: get, rates: newRates(20, 200), serve: f.authorize}
	token := endpoint{name: "token", methods: post, crossOrigin: true, rates: newRates(20, 200), serve: f.token}
	return map[string]endpoint{
		"/.well-known/oauth-authorization-server":      metadata,
		"/.well-known/oauth-authorization-server/mcp":  metadata,
		"/.well-known/oauth-authorization-server/mcp/": metadata,
		"/.well-known/openid-configuration":            openID,
		"/.well-known/openid-configuration/mcp":        openID,
		"/.well-known/openid-configuration/mcp/":       openID,
		"/mcp/.well-known/openid-configuration":        openID,
		"/oauth2/authorize":                            authorize,
		"/authorize":                                   authorize,
		"/oauth2/token":                                token,
		"/token":                                       token,
		"/register":                                    {name: "register", methods: post, crossOrigin: true, rates: newRates(5, 50), serve: f.register},
	}
}

// ServeHTTP implements [http.Handler].
func (f *Facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, ok := f.endpoints[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	// The server reads what is left of a body before it answers, so that this counts
	// for those, too, that are refused unread.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // unsupported only by test recorders
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if e.crossOrigin {
		allowCrossOrigin(h, e.methods)
		if r.Method == http.MethodOptions {
			h.Set("Allow", strings.Join(append(e.methods, http.MethodOptions), ", "))
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	if p := f.serve(e, w, r); p != nil {
		f.journal.refused(r, e.name, p)
		f.answer(w, r, e, p)
	}
}

func (f *Facade) serve(e endpoint, w http.ResponseWriter, r *http.Request) *problem {
	if !slices.Contains(e.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(e.methods, ", "))
		return &problem{status: http.StatusMethodNotAllowed, oauth: "invalid_request", text: "This endpoint answers to " + strings.Join(e.methods, " and ") + " only."}
	}
	if wait := e.rates.take(r.RemoteAddr); wait > 0 {
		return &problem{
			status: http.StatusTooManyRequests, oauth: "temporarily_unavailable", text: "There were too many requests from this address; try again in a moment.", wait: wait,
			remedy: "If many people share this address, name the proxy in front of the gateway in server.trusted_proxies.",
		}
	}
	return e.serve(w, r)
}

func allowCrossOrigin(h http.Header, methods []string) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Accept, Content-Type, MCP-Protocol-Version")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	h.Set("Access-Control-Max-Age", "600")
}
