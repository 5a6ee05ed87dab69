package fakeentra

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// token is the token endpoint (RFC 6749 section 3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions { // programs in browsers ask first
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "POST, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.Method != http.MethodPost {
		s.answerError(w, fail(900561, "invalid_request", "The endpoint only accepts POST, OPTIONS requests. Received a %s request.", clip(r.Method)))
		return
	}
	body, bad := s.exchange(r)
	if bad != nil {
		s.answerError(w, bad)
		return
	}
	if r.Header.Get("Origin") != "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	answerJSON(w, http.StatusOK, body)
}

// A tokenRequest is a request for tokens by a known client.
type tokenRequest struct {
	params
	tenant Tenant // maybe an alias for several
	client *App
	proof  proof
	origin string // of the program in a browser that asks; "" for another program
	url    string // of the endpoint, which assertions name
}

// A tokenAnswer is the body of a success (RFC 6749 section 5.1).
type tokenAnswer struct {
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope,omitzero"`
	ExpiresIn    int    `json:"expires_in"`
	ExtExpiresIn int    `json:"ext_expires_in"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitzero"`
	IDToken      string `json:"id_token,omitzero"`
}

// exchange answers one request for tokens.
func (s *Server) exchange(r *http.Request) (*tokenAnswer, *failure) {
	p, bad := formParams(r)
	if bad != nil {
		return nil, bad
	}
	if p["grant_type"] == "" {
		return nil, missingParameter("grant_type")
	}
	tenant, ok := s.lookTenant(r.PathValue("tenant"))
	if !ok {
		return nil, unknownTenant(r.PathValue("tenant"))
	}
	clientID, secret, isBasic := r.BasicAuth()
	if !isBasic {
		clientID, secret = p["client_id"], p["client_secret"]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	client, bad := s.directory.client(tenant, clientID)
	if bad != nil {
		return nil, bad
	}
	req := &tokenRequest{params: p, tenant: tenant, client: client, origin: r.Header.Get("Origin"), url: s.url + "/" + tenant.ID + "/oauth2/v2.0/token"}
	if req.proof, bad = s.proveLocked(req, secret, isBasic || p.has("client_secret")); bad != nil {
		return nil, bad
	}
	return s.grantLocked(req)
}

// grantLocked answers by the kind of grant.
func (s *Server) grantLocked(req *tokenRequest) (*tokenAnswer, *failure) {
	switch req.params["grant_type"] {
	case "authorization_code":
		return s.redeemLocked(req)
	case "refresh_token":
		return s.refreshLocked(req)
	case "client_credentials":
		return s.programLocked(req)
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		return s.onBehalfLocked(req)
	}
	return nil, fail(70003, "unsupported_grant_type", "The app requested an unsupported grant type '%s'.", clip(req.params["grant_type"]))
}

// redeemLocked takes an authorization code (RFC 6749 section 4.1.3).
func (s *Server) redeemLocked(req *tokenRequest) (*tokenAnswer, *failure) {
	if req.params["code"] == "" {
		return nil, missingParameter("code")
	}
	g := s.grants.codes.byName[req.params["code"]]
	switch {
	case g == nil || g.client != req.client.ClientID:
		return nil, fail(70000, "invalid_grant", "Provided grant is invalid or malformed.")
	case !isAlias(req.tenant.ID) && req.tenant.ID != g.tenant:
		return nil, fail(700005, "invalid_grant", "Provided Authorization Code is intended to use against other tenant, thus rejected.")
	case s.timeLocked().After(g.expires):
		return nil, fail(70008, "invalid_grant", "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	case g.redeemed:
		return nil, fail(54005, "invalid_grant", "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	case req.params["redirect_uri"] != g.redirect:
		return nil, fail(500112, "invalid_grant", "The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code.", clip(req.params["redirect_uri"]), g.redirect)
	}
	if bad := req.checkClient(g); bad != nil {
		return nil, bad
	}
	if bad := checkVerifier(g, req.params["code_verifier"]); bad != nil {
		return nil, bad
	}
	if bad := s.challengedLocked(g); bad != nil {
		return nil, bad
	}
	answer, bad := s.issueLocked(req, g, false)
	if bad == nil {
		g.redeemed = true
	}
	return answer, bad
}

// refreshLocked takes a refresh token (RFC 6749 section 6). It stays valid, and
// there is a new one each time.
func (s *Server) refreshLocked(req *tokenRequest) (*tokenAnswer, *failure) {
	if req.params["refresh_token"] == "" {
		return nil, missingParameter("refresh_token")
	}
	g := s.grants.refresh.byName[req.params["refresh_token"]]
	if g == nil || g.client != req.client.ClientID || !isAlias(req.tenant.ID) && req.tenant.ID != g.tenant {
		return nil, fail(9002313, "invalid_grant", "Invalid request. Request is malformed or invalid.")
	}
	u := s.directory.users[g.user]
	switch now := s.timeLocked(); {
	case now.After(g.expires) && g.platform == SPA:
		return nil, fail(700084, "invalid_grant", "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which cannot be extended. It is now expired and a new sign in request must be sent by the SPA to the sign in page.")
	case now.After(g.expires):
		return nil, fail(700082, "invalid_grant", "The refresh token has expired due to inactivity. The token was issued on %s and was inactive for 90.00:00:00.", g.issued.UTC().Format(time.RFC3339))
	case u == nil || u.Disabled:
		return nil, fail(50057, "invalid_grant", "The user account is disabled.")
	case g.session.revoked != s.directory.revoked[g.user]:
		return nil, fail(50173, "invalid_grant", "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password.")
	}
	if bad := req.checkClient(g); bad != nil {
		return nil, bad
	}
	if bad := s.challengedLocked(g); bad != nil {
		return nil, bad
	}
	return s.issueLocked(req, g, true)
}

// checkClient applies the rules of the platform whose redirect URI a grant came by.
func (req *tokenRequest) checkClient(g *grant) *failure {
	switch {
	case g.platform == SPA && req.origin == "":
		return fail(9002327, "invalid_request", "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.")
	case g.platform != SPA && req.origin != "":
		return fail(9002326, "invalid_request", "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '%s'.", clip(req.origin))
	case g.platform == Web && !req.proof.given:
		return fail(7000218, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	case g.platform != Web && req.proof.given:
		return publicClient()
	}
	return nil
}

func publicClient() *failure {
	return fail(700025, "invalid_client", "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")
}

// checkVerifier checks PKCE (RFC 7636 section 4.6).
func checkVerifier(g *grant, verifier string) *failure {
	switch {
	case g.challenge == "" && verifier == "":
		return nil
	case g.challenge == "":
		return fail(50147, "invalid_grant", "Missing code_challenge parameter.")
	case verifier != "" && (len(verifier) < 43 || len(verifier) > 128):
		return fail(501491, "invalid_request", "Invalid size of Code_Verifier parameter.")
	}
	computed := verifier
	if g.method == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		computed = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if subtle.ConstantTimeCompare([]byte(computed), []byte(g.challenge)) != 1 {
		return fail(501481, "invalid_grant", "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	return nil
}

// effectiveScopesLocked are those that a request for a token means: its own, or
// those of the sign-in.
func (s *Server) effectiveScopesLocked(req *tokenRequest, g *grant) (scopes, *failure) {
	raw, own := req.params["scope"]
	if !own {
		raw = g.scope
	}
	list, bad := s.directory.parseScopes(raw)
	if bad != nil {
		return nil, bad
	}
	if bad := list.checkResource(req.params["resource"], req.params.has("resource"), s.switches); bad != nil {
		return nil, bad
	}
	if bad := list.checkNames(req.client); bad != nil {
		return nil, bad
	}
	if own && len(list.apis()) > 1 {
		return nil, fail(28000, "invalid_scope", "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope %s is not valid.", clip(raw))
	}
	return list, nil
}

// issueLocked makes the tokens of a person's grant.
func (s *Server) issueLocked(req *tokenRequest, g *grant, refreshing bool) (*tokenAnswer, *failure) {
	list, bad := s.effectiveScopesLocked(req, g)
	if bad != nil {
		return nil, bad
	}
	u := s.directory.users[g.user]
	api := s.directory.apps[GraphApp]
	if apis := list.apis(); len(apis) > 0 {
		api = apis[0]
	}
	asked := list.of(api)
	if refreshing && asksForItselfByURI(req.client, api, asked) {
		return nil, fail(90009, "invalid_request", "Application '%s'(%s) is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier.", req.client.ClientID, req.client.Name)
	}
	names := asked.names(req.client, api)
	for _, name := range names {
		if !s.directory.consented(u, req.client, api, name) {
			return nil, consentRequired(req.client)
		}
	}
	sub := subject{
		user: u, client: req.client, api: api, aud: audience(asked, api), scopes: names, tenant: g.tenant, proof: req.proof.kind(),
		session: g.session, contexts: g.contexts, groups: s.directory.groupsOf(u), nonce: g.nonce,
	}
	if len(asked) == 0 { // the APIs of OpenID Connect are Graph's
		sub.scopes = slices.DeleteFunc(strings.Fields(list.written()), func(n string) bool { return n == "offline_access" })
	}
	answer, err := s.tokensLocked(sub, list.has("openid"))
	if err != nil {
		return nil, serverError(err)
	}
	answer.Scope = grantedScope(list, asked, names, api)
	if refreshing || list.has("offline_access") {
		answer.RefreshToken = s.newRefreshLocked(g, list)
	}
	return answer, nil
}

func serverError(err error) *failure {
	f := fail(90033, "temporarily_unavailable", "A transient error has occurred. Please try again. (%v)", err)
	f.status = http.StatusServiceUnavailable
	return f
}

// asksForItselfByURI is what Entra does not allow in a refresh.
func asksForItselfByURI(client, api *App, asked scopes) bool {
	return client.ClientID == api.ClientID && slices.ContainsFunc(asked, func(c scope) bool { return c.identifier != api.ClientID })
}

// audience is aud in a token of version 1: the identifier as it was asked for.
func audience(asked scopes, api *App) string {
	if len(asked) > 0 && asked[0].identifier != "" {
		return asked[0].identifier
	}
	return api.ClientID
}

// grantedScope is the member scope, whose names are qualified as they were
// asked for.
func grantedScope(list, asked scopes, names []string, api *App) string {
	if len(asked) == 0 || api.graph {
		all := slices.Clone(names)
		for _, name := range oidcScopes[:3] {
			if list.has(name) {
				all = append(all, name)
			}
		}
		return strings.Join(all, " ")
	}
	var all []string
	for _, name := range names {
		all = append(all, asked[0].identifier+"/"+name)
	}
	return strings.Join(all, " ")
}

// tokensLocked signs an access token and maybe an ID token.
func (s *Server) tokensLocked(sub subject, openid bool) (*tokenAnswer, error) {
	now, lifetime := s.timeLocked(), s.switches.accessLifetime()
	access, err := s.sign(s.accessClaims(sub, sub.api.tokenVersion(), now, lifetime, s.switches), TokenRequest{}, sub.api.graph)
	if err != nil {
		return nil, err
	}
	seconds := int(lifetime / time.Second)
	answer := &tokenAnswer{TokenType: "Bearer", ExpiresIn: seconds, ExtExpiresIn: seconds, AccessToken: access}
	if openid {
		answer.IDToken, err = s.sign(s.idClaims(sub, now, or(s.switches.IDTokenLifetime, time.Hour), s.switches), TokenRequest{}, false)
	}
	return answer, err
}

// newRefreshLocked hands out a refresh token, which is for the person and the
// client, and for no API.
func (s *Server) newRefreshLocked(g *grant, list scopes) string {
	now, next := s.timeLocked(), *g
	next.issued, next.redeemed = now, false
	next.nonce, next.challenge, next.code = "", "", false
	next.scope = list.written()
	switch {
	case g.platform != SPA:
		next.expires = now.Add(or(s.switches.RefreshTokenLifetime, refreshLifetime))
	case g.code: // the first one; those after it end with it
		next.expires = now.Add(or(s.switches.RefreshTokenLifetime, spaLifetime))
	}
	name := newSecret("1.AX")
	s.grants.refresh.add(name, &next)
	return name
}
