package fakeentra

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// sessionCookie is what a browser in which somebody is signed in is known by.
const sessionCookie = "fake_entra_session"

// startSignIn asks who it is, or goes on with who is signed in already.
func (s *Server) startSignIn(w http.ResponseWriter, r *http.Request, req *authorizeRequest) {
	sw := s.Switches()
	if sw.AutoSignIn != "" {
		if in, ok := s.newSession(sw.AutoSignIn, req.claims); ok {
			s.finish(w, r, req, in, true)
			return
		}
	}
	in, signedIn := s.currentSession(r, req)
	switch {
	case signedIn && (req.prompt == "" || req.prompt == "none" || req.prompt == "consent"):
		s.finish(w, r, req, in, false)
	case req.prompt == "none":
		s.redirectError(w, r, req, fail(50058, "interaction_required", "A silent sign-in request was sent but no user is signed in."))
	default:
		id := s.keepFlow(&flow{req: req})
		s.showSignIn(w, id, req, req.loginHint, "")
	}
}

// newSession signs somebody in, who shows what a claims parameter asks for.
func (s *Server) newSession(idOrName, claims string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.directory.user(idOrName)
	if u == nil {
		return session{}, false
	}
	return session{id: newGUID(), user: u.ID, signed: s.timeLocked(), mfa: s.switches.RequireMFA, claims: claims, revoked: s.directory.revoked[u.ID]}, true
}

// currentSession is that of the browser, if it is one of the tenant's people.
func (s *Server) currentSession(r *http.Request, req *authorizeRequest) (session, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.grants.sessions.byName[cookie.Value]
	u := s.directory.users[in.user]
	switch {
	case !ok || u == nil || u.Disabled || s.timeLocked().Sub(in.signed) > sessionLifetime || in.revoked != s.directory.revoked[u.ID]:
		return session{}, false
	case req.loginHint != "" && !strings.EqualFold(req.loginHint, u.Name):
		return session{}, false
	case s.switches.RequireMFA && !in.mfa, !claimsInclude(in.claims, req.claims):
		return session{}, false
	}
	return in, isAlias(req.tenant.ID) || u.Tenant == req.tenant.ID
}

func (s *Server) keepFlow(f *flow) string {
	id := newSecret("")
	s.mu.Lock()
	defer s.mu.Unlock()
	f.expires = s.timeLocked().Add(flowLifetime)
	s.grants.flows.add(id, f)
	return id
}

// takeFlow takes a flow, which can be gone on with only once.
func (s *Server) takeFlow(id string) (flow, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.grants.flows.byName[id]
	if f == nil || s.timeLocked().After(f.expires) {
		return flow{}, false
	}
	delete(s.grants.flows.byName, id)
	return *f, true
}

// login takes the form of the sign-in page: a name, and then a password.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	p, bad := formParams(r)
	if bad != nil {
		s.errorPage(w, bad)
		return
	}
	f, ok := s.takeFlow(p["flow"])
	if !ok {
		s.errorPage(w, expiredFlow())
		return
	}
	name := strings.TrimSpace(p["login"])
	u, known := s.User(name)
	switch {
	case p.has("back") || name == "":
		s.showSignIn(w, s.keepFlow(&f), f.req, "", "")
	case !known:
		s.showSignIn(w, s.keepFlow(&f), f.req, "", fail(50034, "", "The user account %s does not exist in the directory. To sign into this application, the account must be added to the directory.", clip(name)).Error())
	case !p.has("passwd"):
		s.showSignIn(w, s.keepFlow(&f), f.req, u.Name, "")
	case u.Password != "" && p["passwd"] != u.Password:
		s.showSignIn(w, s.keepFlow(&f), f.req, u.Name, fail(50126, "", "Error validating credentials due to invalid username or password.").Error())
	default:
		s.signIn(w, r, f.req, u)
	}
}

func expiredFlow() *failure {
	return fail(90100, "invalid_request", "The sign-in has expired or was gone on with elsewhere. Start again in the program that you came from.")
}

// signIn notes that somebody is signed in in this browser, and goes on.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, req *authorizeRequest, u User) {
	in, ok := s.newSession(u.ID, req.claims)
	if !ok || u.Disabled {
		s.errorPage(w, fail(50057, "invalid_grant", "The user account is disabled."))
		return
	}
	secret := newSecret("")
	s.mu.Lock()
	s.grants.sessions.add(secret, in)
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(sessionLifetime / time.Second)})
	s.finish(w, r, req, in, false)
}

// finish checks whether a person may use the app, and sends a code. With
// agree they consent without being asked.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, req *authorizeRequest, in session, agree bool) {
	if bad := s.mayUse(req, in); bad != nil {
		s.errorPage(w, bad)
		return
	}
	missing := s.missingConsent(req, in)
	ask := len(missing) > 0 || req.prompt == "consent"
	s.mu.Lock()
	u, disabled := s.directory.users[in.user], s.switches.UserConsentDisabled
	s.mu.Unlock()
	switch {
	case !ask:
		s.issueCode(w, r, req, in)
	case req.prompt == "none":
		needed := consentRequired(req.client)
		needed.oauth = "interaction_required"
		s.redirectError(w, r, req, needed)
	case disabled && !u.Admin:
		s.errorPage(w, approvalRequired(req))
	case agree:
		s.agree(req, in)
		s.issueCode(w, r, req, in)
	default:
		s.showConsent(w, s.keepFlow(&flow{req: req, session: in}), req, *u)
	}
}

func consentRequired(client *App) *failure {
	f := fail(65001, "invalid_grant", "The user or administrator has not consented to use the application with ID '%s' named '%s'. Send an interactive authorization request for this user and resource.", client.ClientID, client.Name)
	f.suberror = "consent_required"
	return f
}

// approvalRequired is what people see who may not consent, and with
// prompt=consent even where it was given for everybody.
func approvalRequired(req *authorizeRequest) *failure {
	if req.prompt == "consent" {
		return fail(90095, "access_denied", "Approval required: admin consent is required for the permissions requested by '%s'. You can ask your administrator for it.", req.client.Name)
	}
	return fail(90094, "access_denied", "Need admin approval: %s needs permission to access resources in your organization that only an admin can grant.", req.client.Name)
}

// mayUse reports why a person may not use an app.
func (s *Server) mayUse(req *authorizeRequest, in session) *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.directory.users[in.user]
	switch {
	case u.Disabled:
		return fail(50057, "invalid_grant", "The user account is disabled.")
	case !isAlias(req.tenant.ID) && u.Tenant != req.tenant.ID:
		return fail(50020, "invalid_grant", "User account '%s' from identity provider '%s' does not exist in tenant '%s' and cannot access the application '%s'(%s) in that tenant. The account needs to be added as an external user in the tenant first. Sign out and sign in again with a different Azure Active Directory user account.", u.Name, s.IssuerV1(u.Tenant), req.tenant.Name, req.client.ClientID, req.client.Name)
	case req.tenant.ID == "consumers" && u.Tenant != ConsumerTenant || req.tenant.ID == "organizations" && u.Tenant == ConsumerTenant:
		return fail(50020, "invalid_grant", "User account '%s' cannot be used at this endpoint.", u.Name)
	case s.switches.BlockNativeClients && req.platform == Native:
		return fail(53003, "access_denied", "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.")
	}
	for _, app := range append(req.scopes.apis(), req.client) {
		if app.AssignmentRequired && len(u.Roles[app.ClientID]) == 0 && !slices.Contains(u.Assigned, app.ClientID) {
			return fail(50105, "access_denied", "Your administrator has configured the application %s ('%s') to block users unless they are specifically granted ('assigned') access to the application. The signed in user '%s' is blocked because they are not a direct member of a group with access, nor had access directly assigned by an administrator.", app.Name, app.ClientID, u.Name)
		}
	}
	return nil
}

// missingConsent are the scopes that neither the person nor anybody for them has
// agreed to.
func (s *Server) missingConsent(req *authorizeRequest, in session) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.directory.users[in.user]
	var missing []string
	for _, api := range req.scopes.apis() {
		for _, name := range req.scopes.names(req.client, api) {
			if !s.directory.consented(u, req.client, api, name) {
				missing = append(missing, name)
			}
		}
	}
	return missing
}

// agree notes that a person agreed to all scopes of a request.
func (s *Server) agree(req *authorizeRequest, in session) {
	for _, api := range req.scopes.apis() {
		s.Consent(in.user, req.client.ClientID, api.ClientID, req.scopes.names(req.client, api)...)
	}
}

// consent takes the form of the consent page.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	p, bad := formParams(r)
	if bad != nil {
		s.errorPage(w, bad)
		return
	}
	f, ok := s.takeFlow(p["flow"])
	switch {
	case !ok || f.session.user == "":
		s.errorPage(w, expiredFlow())
	case p["answer"] != "accept":
		s.redirectError(w, r, f.req, fail(65004, "access_denied", "User declined to consent to access the app."))
	default:
		s.agree(f.req, f.session)
		s.issueCode(w, r, f.req, f.session)
	}
}

// logout signs out of this browser.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		s.mu.Lock()
		delete(s.grants.sessions.byName, cookie.Value)
		s.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", HttpOnly: true, MaxAge: -1})
	s.pages.signedOut(w)
}
