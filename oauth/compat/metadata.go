package compat

import (
	"encoding/json"
	"net/http"
)

// authorizationServer is metadata of RFC 8414. It does not mention:
//   - offline_access and openid among the scopes, which clients would ask for, and
//     then ask people for their consent each time; the facade adds them itself
//   - iss in authorization responses (RFC 9207): those come from Entra
//   - client ID metadata documents: Entra knows only its own client ids
type authorizationServer struct {
	Issuer                        string   `json:"issuer"`
	AuthorizationEndpoint         string   `json:"authorization_endpoint"`
	TokenEndpoint                 string   `json:"token_endpoint"`
	RegistrationEndpoint          string   `json:"registration_endpoint"`
	ScopesSupported               []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported        []string `json:"response_types_supported"`
	ResponseModesSupported        []string `json:"response_modes_supported"`
	GrantTypesSupported           []string `json:"grant_types_supported"`
	TokenEndpointAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	CodeChallengeMethodsSupported []string `json:"code_challenge_methods_supported"`
}

// openIDProvider has what readers of OpenID Connect Discovery insist on, too.
type openIDProvider struct {
	authorizationServer
	JWKSURI                 string   `json:"jwks_uri"`
	SubjectTypesSupported   []string `json:"subject_types_supported"`
	IDTokenSigningSupported []string `json:"id_token_signing_alg_values_supported"`
}

func (f *Facade) metadata() authorizationServer {
	return authorizationServer{
		Issuer:                        f.base,
		AuthorizationEndpoint:         f.base + "/oauth2/authorize",
		TokenEndpoint:                 f.base + "/oauth2/token",
		RegistrationEndpoint:          f.registrationEndpoint(),
		ScopesSupported:               f.scopeNames(),
		ResponseTypesSupported:        []string{"code"},
		ResponseModesSupported:        []string{"query"},
		GrantTypesSupported:           grantTypes,
		TokenEndpointAuthMethods:      []string{"none"},
		CodeChallengeMethodsSupported: []string{"S256"},
	}
}

func (f *Facade) openIDConfiguration() openIDProvider {
	return openIDProvider{
		authorizationServer:     f.metadata(),
		JWKSURI:                 f.opts.Cloud.Authority + "/" + f.opts.Tenant + "/discovery/v2.0/keys",
		SubjectTypesSupported:   []string{"pairwise"},
		IDTokenSigningSupported: []string{"RS256"},
	}
}

func (f *Facade) registrationEndpoint() string { return f.base + "/register" }

// document serves a value that never changes.
func document(v any) func(http.ResponseWriter, *http.Request) *problem {
	return func(w http.ResponseWriter, _ *http.Request) *problem {
		writeJSON(w, http.StatusOK, v)
		return nil
	}
}

// writeJSON answers with v. That the client is gone is no concern of anybody.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
