package fakeentra

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An authorizeRequest is a request for a code, of which the tenant, the client
// and the redirect URI are known to be right.
type authorizeRequest struct {
	tenant    Tenant // maybe an alias for several
	client    *App
	redirect  string // as it was requested
	platform  string
	state     string
	hasState  bool
	mode      string // response_mode
	scopes    scopes
	nonce     string
	challenge string
	method    string
	prompt    string
	loginHint string
	claims    string   // the parameter, as JSON
	contexts  contexts // that claims asks for
}

// authorize is the authorization endpoint (RFC 6749 section 3.1). Before the
// client and its redirect URI are known to be right, errors are pages, and after
// that redirects.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		s.errorPage(w, fail(900561, "invalid_request", "The endpoint only accepts GET, POST requests. Received a %s request.", clip(r.Method)))
		return
	}
	p, bad := authorizeParams(r)
	if bad != nil {
		s.errorPage(w, bad)
		return
	}
	req, bad := s.whoAsks(r.PathValue("tenant"), p)
	if bad != nil {
		s.errorPage(w, bad)
		return
	}
	if bad := s.whatFor(req, p); bad != nil {
		s.redirectError(w, r, req, bad)
		return
	}
	s.startSignIn(w, r, req)
}

// whoAsks reads tenant, client and redirect URI, in Entra's order.
func (s *Server) whoAsks(tenantName string, p params) (*authorizeRequest, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tenant, ok := s.directory.tenant(tenantName)
	if !ok {
		return nil, unknownTenant(tenantName)
	}
	client, bad := s.directory.client(tenant, p["client_id"])
	if bad != nil {
		return nil, bad
	}
	registered, bad := client.findRedirect(p["redirect_uri"], s.switches)
	if bad != nil {
		return nil, bad
	}
	mode := p["response_mode"]
	if mode != "fragment" && mode != "form_post" {
		mode = "query"
	}
	return &authorizeRequest{
		tenant: tenant, client: client, redirect: p["redirect_uri"], platform: registered.Platform, mode: mode,
		state: p["state"], hasState: p.has("state"),
	}, nil
}

// client finds an app as a client in a tenant.
func (d *directory) client(tenant Tenant, clientID string) (*App, *failure) {
	if clientID == "" {
		return nil, missingParameter("client_id")
	}
	app := d.apps[clientID]
	switch {
	case app == nil || app.graph:
		return nil, unknownClient(clientID, tenant.ID)
	case app.MultiTenant || app.Tenant == tenant.ID:
		return app, nil
	case isAlias(tenant.ID):
		return nil, fail(50194, "invalid_request", "Application '%s'(%s) is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the application to be multi-tenant.", app.ClientID, app.Name)
	}
	return nil, unknownClient(clientID, tenant.ID)
}

// whatFor reads the rest of the parameters, in Entra's order.
func (s *Server) whatFor(req *authorizeRequest, p params) *failure {
	if bad := checkResponse(p); bad != nil {
		return bad
	}
	if !p.has("scope") {
		return missingParameter("scope")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var bad *failure
	if req.scopes, bad = s.directory.parseScopes(p["scope"]); bad != nil {
		return bad
	}
	if bad := req.scopes.checkResource(p["resource"], p.has("resource"), s.switches); bad != nil {
		return bad
	}
	if bad := req.scopes.checkNames(req.client); bad != nil {
		return bad
	}
	req.challenge, req.method = p["code_challenge"], p["code_challenge_method"]
	if bad := checkChallenge(req, p.has("code_challenge")); bad != nil {
		return bad
	}
	req.nonce, req.prompt, req.loginHint = p["nonce"], p["prompt"], p["login_hint"]
	if req.prompt != "" && !slices.Contains([]string{"login", "none", "consent", "select_account"}, req.prompt) {
		return fail(90023, "invalid_request", "Unsupported 'prompt' value.")
	}
	req.claims = p["claims"]
	req.contexts, bad = requestedContexts(req.claims)
	return bad
}

func checkResponse(p params) *failure {
	switch kind := p["response_type"]; {
	case kind == "":
		return missingParameter("response_type")
	case strings.Contains(kind, "id_token"):
		return fail(700054, "unsupported_response_type", "response_type 'id_token' is not enabled for the application.")
	case kind == "token":
		return fail(700051, "unsupported_response_type", "response_type 'token' is not enabled for the application.")
	case kind != "code":
		return fail(70005, "unsupported_response_type", "The provided value for the input parameter 'response_type' is not allowed for this client. Expected value is 'code'.")
	}
	switch p["response_mode"] {
	case "", "query", "fragment", "form_post":
		return nil
	}
	return fail(70007, "invalid_request", "'%s' is not a supported value of 'response_mode'.", clip(p["response_mode"]))
}

// checkChallenge checks the syntax of PKCE (RFC 7636). As with Entra, there need
// not be any, except for programs in a browser, and without a method it is plain.
func checkChallenge(req *authorizeRequest, given bool) *failure {
	switch {
	case !given && req.platform == SPA:
		return fail(9002325, "invalid_request", "Proof Key for Code Exchange is required for cross-origin authorization code redemption.")
	case !given:
		return nil
	case req.method == "":
		req.method = "plain"
	}
	switch {
	case req.method != "plain" && req.method != "S256":
		return fail(50149, "invalid_request", "Invalid Code_Challenge_method parameter.")
	case len(req.challenge) < 43 || len(req.challenge) > 128 || req.method == "S256" && len(req.challenge) != 43:
		return fail(501491, "invalid_request", "Invalid size of Code_Challenge parameter.")
	}
	return nil
}

// redirectError sends an error to the client.
func (s *Server) redirectError(w http.ResponseWriter, r *http.Request, req *authorizeRequest, f *failure) {
	i := s.incident(f)
	answer := url.Values{"error": {i.oauth}, "error_description": {i.description()}, "error_uri": {i.uri(s.url)}}
	if i.suberror != "" {
		answer.Set("error_subcode", i.suberror)
	}
	s.redirectAnswer(w, r, req, answer)
}

// redirectAnswer sends an answer to the client, the way it asked for.
func (s *Server) redirectAnswer(w http.ResponseWriter, r *http.Request, req *authorizeRequest, answer url.Values) {
	if req.hasState {
		answer.Set("state", req.state)
	}
	if s.Switches().EmitIss {
		answer.Set("iss", s.Issuer(templated(req.tenant.ID)))
	}
	w.Header().Set("Cache-Control", "no-store, no-cache")
	if req.mode == "form_post" {
		s.pages.post(w, req.redirect, answer)
		return
	}
	http.Redirect(w, r, withParameters(req.redirect, req.mode, answer), http.StatusFound)
}

// issueCode ends a sign-in with a code.
func (s *Server) issueCode(w http.ResponseWriter, r *http.Request, req *authorizeRequest, in session) {
	code := newSecret("1.")
	s.mu.Lock()
	now := s.timeLocked()
	u := s.directory.users[in.user]
	s.grants.codes.add(code, &grant{
		tenant: u.Tenant, user: u.ID, client: req.client.ClientID, redirect: req.redirect, platform: req.platform,
		scope: req.scopes.written(), nonce: req.nonce, challenge: req.challenge, method: req.method, contexts: req.contexts, session: in,
		code: true, issued: now, expires: now.Add(or(s.switches.CodeLifetime, codeLifetime)),
	})
	s.mu.Unlock()
	req.tenant = Tenant{ID: u.Tenant}
	s.redirectAnswer(w, r, req, url.Values{"code": {code}, "session_state": {in.id}})
}

// A flow is a sign-in that waits for the person.
type flow struct {
	req     *authorizeRequest
	session session // once they have signed in, while they are asked for consent
	expires time.Time
}
