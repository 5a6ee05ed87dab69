package compat

import (
	"slices"
	"strings"
)

// always is what Entra is asked for beside the scopes of the API: openid for an
// ID token, profile for the person's object id in it, and offline_access for a
// refresh token.
const always = "openid profile offline_access"

// openID are scopes that clients may ask for and that mean nothing to the API.
var openID = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// scopeNames are the scopes as clients know them.
func (f *Facade) scopeNames() []string {
	var names []string
	for _, s := range f.opts.Scopes {
		names = append(names, s.Name)
	}
	return names
}

// upstreamScope is what Entra is asked for when a client asks for scopes. What
// nobody knows is left out, as clients ask for more than they were told of; if
// nothing is left, it is as if the client had not said anything.
func (f *Facade) upstreamScope(asked string) (scope string, unknown []string) {
	var known []string
	for name := range strings.FieldsSeq(asked) {
		qualified, ok := f.qualified(name)
		switch {
		case ok && !slices.Contains(known, qualified):
			known = append(known, qualified)
		case !ok && !slices.Contains(openID, name):
			unknown = append(unknown, name)
		}
	}
	if known == nil {
		for _, s := range f.opts.Scopes {
			known = append(known, s.Qualified)
		}
	}
	return strings.Join(append(known, always), " "), unknown
}

// qualified finds a scope by either of its names.
func (f *Facade) qualified(name string) (string, bool) {
	i := slices.IndexFunc(f.opts.Scopes, func(s Scope) bool { return s.Name == name || s.Qualified == name })
	if i < 0 {
		return "", false
	}
	return f.opts.Scopes[i].Qualified, true
}

// bareScope is what Entra granted in the names that clients know.
func (f *Facade) bareScope(granted string) string {
	var names []string
	for name := range strings.FieldsSeq(granted) {
		for _, s := range f.opts.Scopes {
			if (s.Qualified == name || s.Name == name) && !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return strings.Join(names, " ")
}
