package fakeentra

import (
	"encoding/json"
	"reflect"
)

// Contexts are the authentication contexts that an access token and an ID token
// say were satisfied (acrs).
type contexts struct{ access, id []string }

// requestedContexts reads which authentication contexts the parameter claims asks
// for (OpenID Connect Core 1.0 section 5.5).
func requestedContexts(claims string) (contexts, *failure) {
	if claims == "" {
		return contexts{}, nil
	}
	type token struct {
		ACRs struct {
			Value  string   `json:"value"`
			Values []string `json:"values"`
		} `json:"acrs"`
	}
	var asked struct {
		AccessToken token `json:"access_token"`
		IDToken     token `json:"id_token"`
	}
	if json.Unmarshal([]byte(claims), &asked) != nil {
		return contexts{}, fail(9002332, "invalid_request", "The claims parameter is not valid JSON.")
	}
	all := func(t token) []string {
		if t.ACRs.Value == "" {
			return t.ACRs.Values
		}
		return append(t.ACRs.Values, t.ACRs.Value)
	}
	return contexts{all(asked.AccessToken), all(asked.IDToken)}, nil
}

// mfaChallenge is what a policy that wants multi-factor authentication asks for.
const mfaChallenge = `{"access_token":{"polids":{"essential":true,"values":["9ab03e19-ed42-4168-b6b7-7001fb3e933a"]}}}`

// challengedLocked is why somebody has to sign in once more, if a policy wants what
// they have not shown in the sign-in that a grant is of.
func (s *Server) challengedLocked(g *grant) *failure {
	switch {
	case s.switches.RequireMFA && !g.session.mfa:
		return mfaRequired(mfaChallenge)
	case !claimsInclude(g.session.claims, s.switches.Challenge):
		return mfaRequired(s.switches.Challenge)
	}
	return nil
}

// mfaRequired is a claims challenge of a Conditional Access policy.
func mfaRequired(claims string) *failure {
	f := fail(50076, "interaction_required", "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access the resource.")
	f.suberror, f.claims = "basic_action", claims
	return f
}

// claimsInclude reports whether one claims parameter asks for all that another one
// does. One that is no JSON asks for nothing.
func claimsInclude(asked, wanted string) bool {
	var have, want any
	if json.Unmarshal([]byte(wanted), &want) != nil {
		return true
	}
	_ = json.Unmarshal([]byte(asked), &have) // if it is none, it includes nothing
	return includes(have, want)
}

// includes reports whether an object has the members of another one, and more
// maybe. Other values have to be the same.
func includes(have, want any) bool {
	members, isObject := want.(map[string]any)
	if !isObject {
		return reflect.DeepEqual(have, want)
	}
	object, _ := have.(map[string]any)
	for name, value := range members {
		if own, ok := object[name]; !ok || !includes(own, value) {
			return false
		}
	}
	return true
}
