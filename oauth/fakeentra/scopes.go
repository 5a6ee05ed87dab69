package fakeentra

import (
	"slices"
	"strings"
)

// oidcScopes belong to no API, and are never in scp.
var oidcScopes = []string{"openid", "profile", "email", "offline_access"}

// defaultScope means all permissions that the client has registered for an API.
const defaultScope = ".default"

// maxScopes bounds one list of scopes.
const maxScopes = 100

// A scope is one as it was asked for.
type scope struct {
	written    string
	identifier string // of the API; "" for a bare name, which is one of Graph
	name       string // the short one
	api        *App   // nil if there is none
}

func (c scope) isOIDC() bool { return c.identifier == "" && slices.Contains(oidcScopes, c.name) }

// scopes are a list of them.
type scopes []scope

// parseScopes reads a list of scopes: names separated by spaces, each with the
// identifier of its API before the last slash.
func (d *directory) parseScopes(raw string) (scopes, *failure) {
	fields := strings.Fields(raw)
	if len(fields) == 0 {
		return nil, fail(28003, "invalid_scope", "Provided value for the input parameter scope cannot be empty when requesting an access token using the provided authorization code. Please specify a valid scope.")
	}
	if len(fields) > maxScopes {
		return nil, invalidScope(raw)
	}
	var all scopes
	for _, f := range fields {
		c := scope{written: f, name: f}
		if i := strings.LastIndexByte(f, '/'); i >= 0 {
			c.identifier, c.name = f[:i], f[i+1:]
		}
		if c.name == "" || c.identifier == "" && strings.HasPrefix(f, "/") || strings.ContainsAny(f, "\"\\") || !isPrintable(f) {
			return nil, invalidScope(raw)
		}
		c.api = d.resource(c.identifier)
		if c.identifier == "" {
			c.api = d.apps[GraphApp]
		}
		if !slices.ContainsFunc(all, func(o scope) bool { return o.written == f }) {
			all = append(all, c)
		}
	}
	return all, nil
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

func invalidScope(raw string) *failure {
	return fail(70011, "invalid_scope", "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope '%s' is not valid.", clip(raw))
}

// checkResource applies Entra's rule for the parameter resource: it must be an
// identifier URI of the one app whose scopes are asked for, byte for byte, and
// none of them a bare name.
func (c scopes) checkResource(resource string, given bool, sw Switches) *failure {
	switch {
	case !given:
		return nil
	case sw.ResourceError == 901002:
		return fail(901002, "invalid_request", "The 'resource' request parameter is not supported.")
	}
	var api *App
	for _, one := range c {
		switch {
		case one.isOIDC():
		case one.identifier == "" || one.api == nil || api != nil && api.ClientID != one.api.ClientID:
			return wrongTarget(resource)
		default:
			api = one.api
		}
	}
	if api == nil || !slices.Contains(api.IdentifierURIs, resource) {
		return wrongTarget(resource)
	}
	return nil
}

func wrongTarget(resource string) *failure {
	return fail(9010010, "invalid_target", "The resource parameter '%s' provided in the request doesn't match with the requested scopes.", clip(resource))
}

// checkNames reports a scope that its API does not have.
func (c scopes) checkNames(client *App) *failure {
	for _, one := range c {
		switch {
		case one.isOIDC():
		case one.api == nil:
			return fail(500011, "invalid_resource", "The resource principal named %s was not found in the tenant. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", clip(one.identifier))
		case one.name == defaultScope:
			if c.mixesDefault(one) {
				return fail(70011, "invalid_scope", "The provided value for the input parameter 'scope' is not valid. The scope %s is not valid. .default scope can't be combined with resource-specific scopes.", clip(one.written))
			}
			if len(client.permissionsFor(one.api)) == 0 && !one.api.graph {
				return fail(650057, "invalid_resource", "Invalid resource. The client has requested access to a resource which is not listed in the requested permissions in the client's application registration. Client app ID: %s(%s). Resource value from request: %s. Resource app ID: %s.", client.ClientID, client.Name, clip(one.identifier), one.api.ClientID)
			}
		case !one.api.exposes(one.name):
			return fail(650053, "invalid_scope", "The application '%s' asked for scope '%s' that doesn't exist on the resource '%s'. Contact the app vendor.", client.Name, clip(one.name), one.api.ClientID)
		}
	}
	return nil
}

func (c scopes) mixesDefault(one scope) bool {
	return slices.ContainsFunc(c, func(o scope) bool {
		return !o.isOIDC() && o.name != defaultScope && o.api != nil && o.api.ClientID == one.api.ClientID
	})
}

// permissionsFor are the short names of scopes of an API that a client has
// registered.
func (a *App) permissionsFor(api *App) []string {
	var names []string
	for _, p := range a.Permissions {
		i := strings.LastIndexByte(p, '/')
		if i < 0 && api.graph && api.exposes(p) {
			names = append(names, p)
		} else if i >= 0 && (p[:i] == api.ClientID || slices.Contains(api.IdentifierURIs, p[:i])) {
			names = append(names, p[i+1:])
		}
	}
	return names
}

func (c scopes) has(name string) bool {
	return slices.ContainsFunc(c, func(o scope) bool { return o.isOIDC() && o.name == name })
}

// apis are the APIs of a list, each once.
func (c scopes) apis() []*App {
	var all []*App
	for _, one := range c {
		if !one.isOIDC() && one.api != nil && !slices.ContainsFunc(all, func(a *App) bool { return a.ClientID == one.api.ClientID }) {
			all = append(all, one.api)
		}
	}
	return all
}

// of are the scopes of one API.
func (c scopes) of(api *App) scopes {
	var all scopes
	for _, one := range c {
		if !one.isOIDC() && one.api != nil && one.api.ClientID == api.ClientID {
			all = append(all, one)
		}
	}
	return all
}

// names are the short ones of one API, as scp has them.
func (c scopes) names(client, api *App) []string {
	var all []string
	for _, one := range c.of(api) {
		if one.name == defaultScope {
			all = append(all, client.permissionsFor(api)...)
		} else {
			all = append(all, one.name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// written is the list as it was asked for.
func (c scopes) written() string {
	var all []string
	for _, one := range c {
		all = append(all, one.written)
	}
	return strings.Join(all, " ")
}
