package fakeentra

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GraphApp is the client id of Microsoft Graph.
const GraphApp = "00000003-0000-0000-c000-000000000000"

// errUnknownKey is of a token that another has signed.
var errUnknownKey = errors.New("the key is not known")

const (
	// graphPage is how many entries a page has if nobody asks for another number,
	// and graphTop how many it may have.
	graphPage = 100
	graphTop  = 999
	// graphIDs bounds the ids in one request by ids.
	graphIDs = 1000
)

// addGraph registers Microsoft Graph as an app that every tenant has.
func (s *Server) addGraph() {
	s.directory.apps[GraphApp] = &App{
		ClientID: GraphApp, Name: "Microsoft Graph", Tenant: s.tenant, MultiTenant: true, graph: true,
		IdentifierURIs: []string{s.GraphURL(), "https://graph.microsoft.com"},
		Scopes:         []string{"User.Read", "User.Read.All", "User.ReadBasic.All", "GroupMember.Read.All", "Group.Read.All", "Directory.Read.All", "Mail.Read"},
		AppRoles:       []string{"User.Read.All", "GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"},
	}
}

// graph serves the part of Microsoft Graph that says who is in which group.
func (s *Server) graph() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, answer func(graphCall) (any, *graphError)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answerGraph(w, r, answer) })
	}
	for _, version := range []string{"/v1.0", "/beta"} {
		for _, who := range []string{"/users/{user}", "/me"} {
			handle("GET "+version+who, s.graphUser)
			for _, relation := range []string{"/transitiveMemberOf", "/memberOf"} {
				handle("GET "+version+who+relation+"/microsoft.graph.group", s.graphMemberOf)
				handle("GET "+version+who+relation, s.graphMemberOf)
			}
			handle("POST "+version+who+"/getMemberObjects", s.graphMemberObjects)
			handle("POST "+version+who+"/getMemberGroups", s.graphMemberObjects)
		}
		handle("GET "+version+"/groups/{group}", s.graphGroup)
		handle("GET "+version+"/groups", s.graphGroups)
		handle("POST "+version+"/directoryObjects/getByIds", s.graphByIDs)
	}
	handle("GET /oidc/userinfo", s.graphUserinfo)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answerGraphError(w, graphFail(http.StatusBadRequest, "BadRequest", "Resource not found for the segment."))
	})
	return mux
}

// A graphError is an error as Graph answers.
type graphError struct {
	status        int
	code, message string
}

func graphFail(status int, code, message string) *graphError {
	return &graphError{status, code, message}
}

func answerGraphError(w http.ResponseWriter, e *graphError) {
	answerJSON(w, e.status, map[string]any{"error": map[string]any{
		"code": e.code, "message": e.message, "innerError": map[string]string{"request-id": newGUID(), "client-request-id": newGUID()},
	}})
}

// A graphCall is a request with a token that Graph accepts.
type graphCall struct {
	request *http.Request
	token   presented
}

// answerGraph checks the token and answers.
func (s *Server) answerGraph(w http.ResponseWriter, r *http.Request, answer func(graphCall) (any, *graphError)) {
	token, bad := s.graphToken(r)
	if bad != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+s.url+`/common/oauth2/authorize", client_id="`+GraphApp+`"`)
		answerGraphError(w, bad)
		return
	}
	body, bad := answer(graphCall{r, token})
	if bad != nil {
		answerGraphError(w, bad)
		return
	}
	answerJSON(w, http.StatusOK, body)
}

// graphToken accepts tokens for Graph alone.
func (s *Server) graphToken(r *http.Request) (presented, *graphError) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || raw == "" {
		return presented{}, graphFail(http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token is empty.")
	}
	token, err := s.keys.verify(raw)
	if err != nil {
		return token, graphFail(http.StatusUnauthorized, "InvalidAuthenticationToken", "Signature validation failed.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	api := s.directory.resource(token.Audience)
	switch {
	case api == nil || !api.graph:
		return token, graphFail(http.StatusUnauthorized, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
	case s.timeLocked().After(time.Unix(token.Expires, 0)):
		return token, graphFail(http.StatusUnauthorized, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
	}
	return token, nil
}

// may reports whether a token has one of several permissions, of a person or of
// a program.
func (c graphCall) may(permissions ...string) bool {
	own := append(strings.Fields(c.token.Scopes), c.token.Roles...)
	return slices.ContainsFunc(own, func(p string) bool { return slices.Contains(permissions, p) })
}

func denied() *graphError {
	return graphFail(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
}

func notFound(id string) *graphError {
	return graphFail(http.StatusNotFound, "Request_ResourceNotFound", fmt.Sprintf("Resource '%s' does not exist or one of its queried reference-property objects are not present.", clip(id)))
}

// person is the one that a path means, if the token may read what is asked for.
func (s *Server) person(c graphCall, permissions ...string) (*User, *graphError) {
	id := c.request.PathValue("user")
	if id == "" {
		if c.token.Scopes == "" {
			return nil, graphFail(http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.")
		}
		id = c.token.Object
		permissions = append(permissions, "User.Read")
	}
	if !c.may(permissions...) {
		return nil, denied()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.directory.user(id)
	if u == nil || u.Tenant != c.token.Tenant {
		return nil, notFound(id)
	}
	return u, nil
}

func (s *Server) graphUser(c graphCall) (any, *graphError) {
	u, bad := s.person(c, "User.Read.All", "User.ReadBasic.All", "Directory.Read.All")
	if bad != nil {
		return nil, bad
	}
	return map[string]any{
		"@odata.context": s.GraphURL() + "/v1.0/$metadata#users/$entity", "id": u.ID, "displayName": u.DisplayName, "userPrincipalName": u.Name, "mail": u.Name,
	}, nil
}

func (s *Server) graphUserinfo(c graphCall) (any, *graphError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.directory.users[c.token.Object]
	if u == nil {
		return nil, denied()
	}
	return map[string]any{"sub": u.ID, "name": u.DisplayName, "email": u.Name}, nil
}

// graphMemberOf lists the groups of a person, page by page.
func (s *Server) graphMemberOf(c graphCall) (any, *graphError) {
	u, bad := s.person(c, "GroupMember.Read.All", "Group.Read.All", "Directory.Read.All")
	if bad != nil {
		return nil, bad
	}
	s.mu.Lock()
	ids := s.directory.groupsOf(u)
	s.mu.Unlock()
	return s.pageOf(c.request, ids)
}

// pageOf is one page of groups, with a link to the next.
func (s *Server) pageOf(r *http.Request, ids []string) (any, *graphError) {
	query := r.URL.Query()
	top, from := graphPage, 0
	var err error
	if query.Has("$top") {
		if top, err = strconv.Atoi(query.Get("$top")); err != nil || top < 1 || top > graphTop {
			return nil, graphFail(http.StatusBadRequest, "Request_UnsupportedQuery", fmt.Sprintf("Invalid page size specified: '%s'. Must be between 1 and 999 inclusive.", clip(query.Get("$top"))))
		}
	}
	if query.Has("$skiptoken") {
		if from, err = strconv.Atoi(query.Get("$skiptoken")); err != nil || from < 0 || from > len(ids) {
			return nil, graphFail(http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in the request.")
		}
	}
	until := min(from+top, len(ids))
	answer := map[string]any{"@odata.context": s.GraphURL() + "/v1.0/$metadata#groups", "value": s.groupsByID(ids[from:until], query.Get("$select"))}
	if until < len(ids) {
		query.Set("$skiptoken", strconv.Itoa(until))
		next, _ := url.Parse(s.GraphURL() + r.URL.Path)
		next.RawQuery = query.Encode()
		answer["@odata.nextLink"] = next.String()
	}
	return answer, nil
}

// groupsByID are groups as Graph writes them, of which unknown ones have no name.
func (s *Server) groupsByID(ids []string, selected string) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []map[string]any{}
	for _, id := range ids {
		g := map[string]any{"@odata.type": "#microsoft.graph.group", "id": id, "displayName": s.directory.groups[id].Name, "securityEnabled": true}
		if selected != "" {
			for name := range g {
				if !strings.HasPrefix(name, "@") && !slices.Contains(strings.Split(selected, ","), name) {
					delete(g, name)
				}
			}
		}
		all = append(all, g)
	}
	return all
}

// graphMemberObjects lists the ids of all groups of a person at once.
func (s *Server) graphMemberObjects(c graphCall) (any, *graphError) {
	u, bad := s.person(c, "GroupMember.Read.All", "Group.Read.All", "Directory.Read.All")
	if bad != nil {
		return nil, bad
	}
	var body struct {
		SecurityEnabledOnly *bool `json:"securityEnabledOnly"`
	}
	if json.NewDecoder(c.request.Body).Decode(&body) != nil || body.SecurityEnabledOnly == nil {
		return nil, graphFail(http.StatusBadRequest, "Request_BadRequest", "Parameter 'securityEnabledOnly' is missing.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.directory.groupsOf(u)
	if ids == nil {
		ids = []string{}
	}
	return map[string]any{"@odata.context": s.GraphURL() + "/v1.0/$metadata#Collection(Edm.String)", "value": ids}, nil
}

func (s *Server) graphGroup(c graphCall) (any, *graphError) {
	if !c.may("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All") {
		return nil, denied()
	}
	found := s.known([]string{c.request.PathValue("group")})
	if len(found) == 0 {
		return nil, notFound(c.request.PathValue("group"))
	}
	return s.groupsByID(found, c.request.URL.Query().Get("$select"))[0], nil
}

// known keeps the ids of groups that there are.
func (s *Server) known(ids []string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, ok := s.directory.groups[id]; return !ok })
}

// graphGroups lists groups: all, or those of a filter "id in ('…','…')".
func (s *Server) graphGroups(c graphCall) (any, *graphError) {
	if !c.may("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All") {
		return nil, denied()
	}
	filter := c.request.URL.Query().Get("$filter")
	if filter == "" {
		s.mu.Lock()
		var ids []string
		for id := range s.directory.groups {
			ids = append(ids, id)
		}
		s.mu.Unlock()
		slices.Sort(ids)
		return s.pageOf(c.request, ids)
	}
	list, ok := strings.CutPrefix(filter, "id in (")
	if !ok || !strings.HasSuffix(list, ")") {
		return nil, graphFail(http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
	}
	var ids []string
	for _, quoted := range strings.Split(strings.TrimSuffix(list, ")"), ",") {
		ids = append(ids, strings.Trim(strings.TrimSpace(quoted), "'"))
	}
	if len(ids) > 15 {
		return nil, graphFail(http.StatusBadRequest, "BadRequest", "Too many child clauses specified in search filter expression containing 'OR' operators. Max allowed: 15.")
	}
	return s.pageOf(c.request, s.known(ids))
}

func (s *Server) graphByIDs(c graphCall) (any, *graphError) {
	if !c.may("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All") {
		return nil, denied()
	}
	var body struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if json.NewDecoder(c.request.Body).Decode(&body) != nil || len(body.IDs) == 0 {
		return nil, graphFail(http.StatusBadRequest, "Request_BadRequest", "Parameter 'ids' is missing.")
	}
	if len(body.IDs) > graphIDs {
		return nil, graphFail(http.StatusBadRequest, "Directory_ResultSizeLimitExceeded", "The number of ids is more than 1000.")
	}
	return map[string]any{"@odata.context": s.GraphURL() + "/v1.0/$metadata#directoryObjects", "value": s.groupsByID(s.known(body.IDs), "")}, nil
}
