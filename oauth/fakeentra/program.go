package fakeentra

// programLocked gives a token to a program that nobody is behind (client
// credentials, RFC 6749 section 4.4).
func (s *Server) programLocked(req *tokenRequest) (*tokenAnswer, *failure) {
	switch {
	case req.origin != "":
		return nil, fail(9002326, "invalid_request", "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '%s'.", clip(req.origin))
	case !req.proof.given:
		return nil, fail(7000218, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case isAlias(req.tenant.ID):
		return nil, fail(53003, "invalid_request", "Tenant-specific endpoint required for client credentials.")
	case !req.params.has("scope"):
		return nil, missingParameter("scope")
	}
	list, bad := s.directory.parseScopes(req.params["scope"])
	if bad != nil {
		return nil, bad
	}
	if bad := list.checkResource(req.params["resource"], req.params.has("resource"), s.switches); bad != nil {
		return nil, bad
	}
	if len(list) != 1 || list[0].name != defaultScope || list[0].identifier == "" {
		return nil, fail(1002012, "invalid_scope", "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", clip(req.params["scope"]))
	}
	api := list[0].api
	if api == nil {
		return nil, fail(500011, "invalid_resource", "The resource principal named %s was not found in the tenant.", clip(list[0].identifier))
	}
	if api.AssignmentRequired && len(req.client.Roles[api.ClientID]) == 0 {
		return nil, fail(501051, "invalid_grant", "Application '%s'(%s) is not assigned to a role for the application '%s'(%s).", req.client.ClientID, req.client.Name, api.ClientID, api.Name)
	}
	answer, err := s.tokensLocked(subject{client: req.client, api: api, aud: list[0].identifier, tenant: req.tenant.ID, proof: req.proof.kind()}, false)
	if err != nil {
		return nil, serverError(err)
	}
	return answer, nil
}
