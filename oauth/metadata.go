package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// The paths of metadata. A protected resource's is also there with the path of the
// resource behind it (RFC 9728, section 3.1).
const (
	resourcePath = "/.well-known/oauth-protected-resource"
	endpoint     = "/mcp"
)

// authorizationServerPaths are where clients look for the authorization server's
// metadata (RFC 8414, section 3, and MCP "Authorization Server Metadata Discovery").
var authorizationServerPaths = []string{
	"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp",
	"/.well-known/openid-configuration", "/.well-known/openid-configuration/mcp",
	"/mcp/.well-known/openid-configuration",
}

// resourceMetadata is RFC 9728, section 2.
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name"`
}

// ServeHTTP serves the metadata, and what the facade does.
func (s *SignIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, isResource := strings.CutPrefix(r.URL.Path, resourcePath)
	switch {
	case isResource && slices.Contains([]string{"", "/", endpoint, endpoint + "/"}, path):
		serveDocument(w, r, s.resourceDocument(path))
	case s.opts.Facade != nil:
		s.opts.Facade.ServeHTTP(w, r)
	case slices.Contains(authorizationServerPaths, r.URL.Path):
		s.serveProviderMetadata(w, r)
	default:
		http.Error(w, "clients sign in at the identity provider; see "+s.publicURL(resourcePath+endpoint), http.StatusNotFound)
	}
}

func (s *SignIn) publicURL(path string) string {
	return strings.TrimSuffix(s.opts.PublicURL.String(), "/") + path
}

// resourceDocument describes the MCP endpoint as it was asked for: clients insist
// on the very URL that they were given, with or without a slash at its end.
func (s *SignIn) resourceDocument(path string) []byte {
	if strings.Trim(path, "/") == "" {
		path = endpoint
	}
	m := resourceMetadata{
		Resource: s.publicURL(path), Scopes: s.scopes(), BearerMethods: []string{"header"}, Name: "mcpagg gateway",
		AuthorizationServers: s.authorizationServers(),
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // texts can be written as JSON
	}
	return text
}

// metadataURL is where the metadata is of what has a path.
func (s *SignIn) metadataURL(path string) string {
	if path != endpoint+"/" {
		path = endpoint
	}
	return s.publicURL(resourcePath + path)
}

// authorizationServers are where clients get tokens: at the gateway itself if it
// stands in front of a provider, so that they never choose another.
func (s *SignIn) authorizationServers() []string {
	if s.opts.Facade != nil {
		return []string{s.publicURL("")}
	}
	var servers []string
	for _, p := range s.providers {
		for _, is := range p.issuers {
			if is.version != "1.0" && !slices.Contains(servers, is.url) { // whose metadata is that of version 2
				servers = append(servers, is.url)
			}
		}
	}
	return servers
}

// scopes are those that clients are told to ask for, of the provider that they
// are sent to first.
func (s *SignIn) scopes() []string {
	var scopes []string
	for _, scope := range s.providers[0].Scopes {
		scopes = append(scopes, scope.Advertised)
	}
	return scopes
}

// serveProviderMetadata passes the first provider's own metadata on, for clients
// that look for it here: those of the revision 2025-03-26 know nothing else. What
// Entra has for many tenants at once names no issuer that a client could expect.
func (s *SignIn) serveProviderMetadata(w http.ResponseWriter, r *http.Request) {
	switch m := s.providers[0].issuers[0].keys.known.Load(); {
	case m == nil:
		w.Header().Set("Retry-After", "5")
		http.Error(w, "the identity provider has not been reached yet", http.StatusServiceUnavailable)
	case strings.Contains(m.Issuer, tenantTemplate):
		http.Error(w, "there are several authorization servers; see "+s.publicURL(resourcePath+endpoint), http.StatusNotFound)
	default:
		serveDocument(w, r, m.raw)
	}
}

// serveDocument serves public JSON, also to pages of any origin.
func serveDocument(w http.ResponseWriter, r *http.Request, body []byte) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Mcp-Protocol-Version")
	h.Set("Access-Control-Max-Age", "600")
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet, http.MethodHead:
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "this document is only there to be read", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // a client that left needs no answer; HEAD has no body
}
