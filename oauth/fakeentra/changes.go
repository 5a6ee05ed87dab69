package fakeentra

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// AddTenant adds or replaces a tenant.
func (s *Server) AddTenant(t Tenant) Tenant {
	if t.ID == "" {
		t.ID = id("tenant", t.Domain)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directory.tenants[t.ID] = t
	return t
}

// AddUser adds or replaces a person, and returns them with what was left out.
func (s *Server) AddUser(u User) User {
	if u.ID == "" {
		u.ID = id("user", u.Name)
	}
	u.Tenant = s.tenantOr(u.Tenant)
	if u.DisplayName == "" {
		u.DisplayName, _, _ = strings.Cut(u.Name, "@")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.directory.users[u.ID] == nil {
		s.directory.order = append(s.directory.order, u.ID)
	}
	kept := u.clone()
	s.directory.users[u.ID] = &kept
	return u
}

// clone copies what a person shares with whoever named it, since those who are
// kept never change.
func (u User) clone() User {
	u.Groups, u.Assigned = slices.Clone(u.Groups), slices.Clone(u.Assigned)
	u.Roles = maps.Clone(u.Roles)
	for app, roles := range u.Roles {
		u.Roles[app] = slices.Clone(roles)
	}
	return u
}

// AddGroup adds or replaces a group.
func (s *Server) AddGroup(g Group) Group {
	if g.ID == "" {
		g.ID = id("group", g.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directory.groups[g.ID] = g
	return g
}

// AddApp adds or replaces an app registration.
func (s *Server) AddApp(a App) App {
	if a.ClientID == "" {
		a.ClientID = id("app", a.Name)
	}
	a.Tenant = s.tenantOr(a.Tenant)
	if len(a.IdentifierURIs) == 0 {
		a.IdentifierURIs = []string{"api://" + a.ClientID}
	}
	a = a.clone()
	for i := range a.Redirects {
		if a.Redirects[i].Platform == "" {
			a.Redirects[i].Platform = Native
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := a.clone()
	s.directory.apps[a.ClientID] = &kept
	return a
}

// clone copies what an app shares with whoever named it.
func (a App) clone() App {
	for _, list := range []*[]string{&a.IdentifierURIs, &a.Scopes, &a.AppRoles, &a.OptionalClaims, &a.Preauthorized, &a.Secrets, &a.Permissions} {
		*list = slices.Clone(*list)
	}
	a.Redirects = slices.Clone(a.Redirects)
	a.Roles = maps.Clone(a.Roles)
	for api, roles := range a.Roles {
		a.Roles[api] = slices.Clone(roles)
	}
	return a
}

// User looks a person up by object id or name.
func (s *Server) User(idOrName string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.directory.user(idOrName); u != nil {
		return *u, true
	}
	return User{}, false
}

// Users are all people, in the order they came in.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []User{}
	for _, id := range s.directory.order {
		all = append(all, *s.directory.users[id])
	}
	return all
}

// Groups are all groups, by name.
func (s *Server) Groups() []Group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.directory.groups), func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
}

// Apps are all app registrations, by name, without Microsoft Graph.
func (s *Server) Apps() []App {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []App{}
	for _, a := range s.directory.apps {
		if !a.graph {
			all = append(all, *a)
		}
	}
	slices.SortFunc(all, func(a, b App) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// maxGroups bounds how many groups [Server.SetGroupCount] makes.
const maxGroups = 20000

// SetGroupCount puts a person into that many groups, project-001 and so on, and
// takes them out of all others.
func (s *Server) SetGroupCount(idOrName string, count int) (User, error) {
	if count < 0 || count > maxGroups {
		return User{}, fmt.Errorf("%d is not a number of groups up to %d", count, maxGroups)
	}
	var ids []string
	for i := range count {
		ids = append(ids, s.AddGroup(Group{Name: fmt.Sprintf("project-%03d", i+1)}).ID)
	}
	if !s.ChangeUser(idOrName, func(u *User) { u.Groups = ids }) {
		return User{}, noPerson(idOrName)
	}
	u, _ := s.User(idOrName)
	return u, nil
}

// ChangeUser changes a person; it reports whether there is one with that id or
// name. What they have signed in to stays so.
func (s *Server) ChangeUser(idOrName string, change func(*User)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.directory.user(idOrName)
	if old == nil {
		return false
	}
	changed := old.clone()
	change(&changed)
	changed.ID = old.ID
	s.directory.users[old.ID] = &changed
	return true
}

// ChangeApp changes an app; it reports whether there is one.
func (s *Server) ChangeApp(clientID string, change func(*App)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.directory.apps[clientID]
	if old == nil {
		return false
	}
	changed := old.clone()
	change(&changed)
	changed.ClientID = old.ClientID
	s.directory.apps[clientID] = &changed
	return true
}

// Revoke ends all sessions of a person: refresh tokens from before are refused
// (AADSTS50173). It reports whether there is such a person.
func (s *Server) Revoke(idOrName string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.directory.user(idOrName)
	if u == nil {
		return false
	}
	s.directory.revoked[u.ID]++
	return true
}

// Consent notes that a person, or everybody if user is "", agreed that a client
// uses scopes of an API. Withdraw takes it back.
func (s *Server) Consent(user, client, resource string, scopes ...string) {
	s.setConsent(true, user, client, resource, scopes)
}

// Withdraw takes consent back.
func (s *Server) Withdraw(user, client, resource string, scopes ...string) {
	s.setConsent(false, user, client, resource, scopes)
}

func (s *Server) setConsent(given bool, user, client, resource string, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tenant := s.tenant
	if u := s.directory.user(user); u != nil {
		user, tenant = u.ID, u.Tenant
	}
	for _, scope := range scopes {
		c := consent{tenant, user, client, resource, scope}
		if given {
			s.directory.consents[c] = true
		} else {
			delete(s.directory.consents, c)
		}
	}
}
