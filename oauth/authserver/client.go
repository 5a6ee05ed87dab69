package authserver

import (
	"net/http"
	"strings"

	"github.com/mcpagg/mcpagg/oauth/redirect"
)

// UnknownClient is the problem of a client id that nobody knows. Clients register
// anew when they hear of it.
func UnknownClient(id string, status int) *Problem {
	return &Problem{
		Status: status, OAuth: "invalid_client", Text: "The client " + Brief(id) + " is not registered.", Unregistered: true,
		Advice: "Remove this server from your client and add it again, so that it registers anew. If a client id is written in its settings, take the one that the operator of this gateway gives you.",
		Remedy: "Clients get the right client id from the registration endpoint. One that has another in its settings should have it removed.",
	}
}

// ClientID is the parameter client_id, which must be there once.
func (p Params) ClientID() (string, *Problem) {
	switch {
	case p.Repeated("client_id"):
		return "", InvalidRequest("The parameter client_id is there more than once.")
	case p.Get("client_id") == "":
		return "", InvalidRequest("The parameter client_id is missing.")
	}
	return p.Get("client_id"), nil
}

// CheckPublic refuses clients that prove who they are: all are public ones.
func CheckPublic(r *http.Request, p Params) *Problem {
	refuse := func(what string) *Problem {
		return &Problem{
			Status: http.StatusBadRequest, OAuth: "invalid_request", Text: what + " was sent, but this client is a public one, which has no secret.",
			Remedy: "Remove the client secret from the settings of the client.",
		}
	}
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		if p.Get(name) != "" {
			return refuse("The parameter " + name)
		}
	}
	if len(r.Header.Values("Authorization")) > 0 {
		return refuse("The header Authorization")
	}
	return nil
}

// CheckRedirect refuses URIs that no code may be sent to.
func CheckRedirect(rules redirect.Rules, uri, oauth string) *Problem {
	err := rules.Check(uri)
	if err == nil {
		return nil
	}
	return &Problem{
		Status: http.StatusBadRequest, OAuth: oauth,
		Text:   "The redirect URI " + Brief(WithoutQuery(uri)) + " " + err.Error() + ".",
		Advice: "If this program is one that you want to use, show this page to who runs the gateway. If you did not start a sign-in, close it.",
		Remedy: "If this is a client that people should use, add exactly this URI to redirects in the auth block; in the mode entra-compat, to the client app in Entra, too.",
	}
}

// IsVerifier reports whether a text can be a code verifier (RFC 7636 section 4.1).
func IsVerifier(s string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(s) >= 43 && len(s) <= 128 && strings.Trim(s, unreserved) == ""
}
