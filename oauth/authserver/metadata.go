package authserver

import (
	"encoding/json"
	"net/http"
)

// Where the endpoints are. The shorter ones are where clients of the MCP revision
// 2025-03-26 look that find no metadata.
var (
	AuthorizePaths = []string{"/oauth2/authorize", "/authorize"}
	TokenPaths     = []string{"/oauth2/token", "/token"}
)

// MetadataPaths are where clients look for metadata of RFC 8414, and OpenIDPaths
// for that of OpenID Connect Discovery 1.0 (MCP 2026-07-28, "Authorization Server
// Metadata Discovery").
var (
	MetadataPaths = []string{
		"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp",
		"/.well-known/oauth-authorization-server/mcp/",
	}
	OpenIDPaths = []string{
		"/.well-known/openid-configuration", "/.well-known/openid-configuration/mcp",
		"/.well-known/openid-configuration/mcp/", "/mcp/.well-known/openid-configuration",
	}
)

// GrantTypes are those that clients can use.
var GrantTypes = []string{"authorization_code", "refresh_token"}

// Metadata is that of RFC 8414, with what the MCP revisions add. It never mentions
// offline_access and openid among the scopes: clients would ask for them, and
// then ask people for their consent each time.
type Metadata struct {
	Issuer                        string   `json:"issuer"`
	AuthorizationEndpoint         string   `json:"authorization_endpoint"`
	TokenEndpoint                 string   `json:"token_endpoint"`
	RegistrationEndpoint          string   `json:"registration_endpoint"`
	RevocationEndpoint            string   `json:"revocation_endpoint,omitempty"`
	JWKSURI                       string   `json:"jwks_uri,omitempty"`
	ScopesSupported               []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported        []string `json:"response_types_supported"`
	ResponseModesSupported        []string `json:"response_modes_supported"`
	GrantTypesSupported           []string `json:"grant_types_supported"`
	TokenEndpointAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	RevocationEndpointAuthMethods []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	CodeChallengeMethodsSupported []string `json:"code_challenge_methods_supported"`
	// IssParameter promises iss in authorization responses (RFC 9207).
	IssParameter bool `json:"authorization_response_iss_parameter_supported,omitempty"`
	// ClientDocuments says that a client id may be the URL of a metadata document.
	ClientDocuments bool `json:"client_id_metadata_document_supported,omitempty"`
}

// An OpenIDProvider has what readers of OpenID Connect Discovery insist on, too.
type OpenIDProvider struct {
	Metadata
	SubjectTypesSupported   []string `json:"subject_types_supported"`
	IDTokenSigningSupported []string `json:"id_token_signing_alg_values_supported"`
}

// Metadata is that of a server whose clients may ask for scopes.
func (s *Server) Metadata(scopes []string) Metadata {
	return Metadata{
		Issuer:                        s.Base,
		AuthorizationEndpoint:         s.Base + AuthorizePaths[0],
		TokenEndpoint:                 s.Base + TokenPaths[0],
		RegistrationEndpoint:          s.Base + RegisterPath,
		ScopesSupported:               scopes,
		ResponseTypesSupported:        []string{"code"},
		ResponseModesSupported:        []string{"query"},
		GrantTypesSupported:           GrantTypes,
		TokenEndpointAuthMethods:      []string{"none"},
		CodeChallengeMethodsSupported: []string{"S256"},
	}
}

// HandleDocument serves a public value that never changes.
func (s *Server) HandleDocument(v any, paths ...string) {
	s.Handle(Endpoint{
		Name: "metadata", Methods: []string{http.MethodGet, http.MethodHead}, CrossOrigin: true,
		Serve: func(w http.ResponseWriter, _ *http.Request) *Problem {
			WriteJSON(w, http.StatusOK, v)
			return nil
		},
	}, paths...)
}

// WriteJSON answers with v. That the client is gone is no concern of anybody.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
