package fakeentra

import (
	"net/http"
)

// templated is what documents have in place of the tenant: for an alias of
// several, a placeholder.
func templated(tenant string) string {
	switch tenant {
	case "common", "organizations":
		return "{tenantid}"
	case "consumers":
		return ConsumerTenant
	}
	return tenant
}

// discoveryV2 answers with the metadata of version 2 (OpenID Connect Discovery
// 1.0). As with Entra, it says neither that PKCE is possible nor where to register.
func (s *Server) discoveryV2(w http.ResponseWriter, r *http.Request) {
	tenant, ok := s.lookTenant(r.PathValue("tenant"))
	if !ok {
		s.answerError(w, unknownTenant(r.PathValue("tenant")))
		return
	}
	base := s.url + "/" + tenant.ID
	doc := s.metadata(base+"/oauth2/v2.0", base+"/discovery/v2.0/keys")
	doc["issuer"] = s.Issuer(templated(tenant.ID))
	doc["userinfo_endpoint"] = s.GraphURL() + "/oidc/userinfo"
	doc["kerberos_endpoint"] = base + "/kerberos"
	doc["device_authorization_endpoint"] = base + "/oauth2/v2.0/devicecode"
	answerJSON(w, http.StatusOK, doc)
}

// discoveryV1 answers with the metadata of version 1, whose issuer is the STS.
func (s *Server) discoveryV1(w http.ResponseWriter, r *http.Request) {
	tenant, ok := s.lookTenant(r.PathValue("tenant"))
	if !ok {
		s.answerError(w, unknownTenant(r.PathValue("tenant")))
		return
	}
	base := s.url + "/" + tenant.ID
	doc := s.metadata(base+"/oauth2", base+"/discovery/keys")
	doc["issuer"] = s.IssuerV1(templated(tenant.ID))
	doc["microsoft_multi_refresh_token"] = true
	doc["check_session_iframe"] = base + "/oauth2/checksession"
	answerJSON(w, http.StatusOK, doc)
}

// metadata is what both versions say.
func (s *Server) metadata(endpoints, keys string) map[string]any {
	return map[string]any{
		"authorization_endpoint":                endpoints + "/authorize",
		"token_endpoint":                        endpoints + "/token",
		"end_session_endpoint":                  endpoints + "/logout",
		"jwks_uri":                              keys,
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code", "id_token", "code id_token", "id_token token"},
		"scopes_supported":                      []string{"openid", "profile", "email", "offline_access"},
		"request_uri_parameter_supported":       false,
		"http_logout_supported":                 true,
		"frontchannel_logout_supported":         true,
		"claims_supported": []string{
			"sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name", "msgraph_host", "aud", "exp",
			"iat", "auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash", "c_hash", "email",
		},
		"tenant_region_scope":   "EU",
		"cloud_instance_name":   "microsoftonline.com",
		"cloud_graph_host_name": "graph.windows.net",
		"msgraph_host":          "graph.microsoft.com",
		"rbac_url":              "https://pas.windows.net",
	}
}

// lookTenant finds the tenant that a path means.
func (s *Server) lookTenant(name string) (Tenant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.directory.tenant(name)
}
