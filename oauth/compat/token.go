package compat

import (
	"net/http"
	"net/url"

	"github.com/mcpagg/mcpagg/oauth/authserver"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 16 << 10

// token redeems codes and refresh tokens at Entra (RFC 6749 sections 4.1.3 and 6).
func (f *Facade) token(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	body, refusal := authserver.ReadBody(w, r, "application/x-www-form-urlencoded", "invalid_request", maxForm)
	if refusal != nil {
		return refusal
	}
	p, err := authserver.ParseParams(string(body))
	if err != nil {
		return authserver.InvalidRequest("The form cannot be read: " + err.Error() + ".")
	}
	for _, refusal := range []*authserver.Problem{p.CheckOnce(), authserver.CheckPublic(r, p), f.checkClient(p, http.StatusUnauthorized), authserver.CheckResource(f.opts.PublicURL, p.Get("resource"))} {
		if refusal != nil {
			return refusal
		}
	}
	form, refusal := f.tokenUpstream(r, p)
	if refusal != nil {
		return refusal
	}
	granted, refusal := f.ask(r.Context(), form)
	if refusal != nil {
		return refusal
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
	authserver.WriteJSON(w, http.StatusOK, granted)
	return nil
}

// tokenUpstream writes the form for Entra. A code without scopes is redeemed for
// those that it was given for, which may be fewer than are configured. A refresh
// always names them: without openid there would be no ID token, and Entra takes
// an app that asks for itself only by the qualified name.
func (f *Facade) tokenUpstream(r *http.Request, p authserver.Params) (url.Values, *authserver.Problem) {
	form := url.Values{"grant_type": {p.Get("grant_type")}}
	if asked := p.Get("scope"); asked != "" || form.Get("grant_type") == "refresh_token" {
		scope, unknown := f.upstreamScope(asked)
		f.server.Journal.Narrowed(r, unknown)
		form.Set("scope", scope)
	}
	var needed []string
	switch grant := p.Get("grant_type"); grant {
	case "authorization_code":
		needed = []string{"code", "redirect_uri", "code_verifier"}
	case "refresh_token":
		needed = []string{"refresh_token"}
	case "":
		return nil, authserver.InvalidRequest("The parameter grant_type is missing.")
	default:
		return nil, &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "unsupported_grant_type",
			Text:   "The grant type " + authserver.Brief(grant) + " is not supported; authorization_code and refresh_token are.",
			Remedy: "Programs without a person get their tokens from Entra itself, and need allow_app_tokens in the auth block.",
		}
	}
	for _, name := range needed {
		value := p.Get(name)
		if value == "" {
			return nil, authserver.InvalidRequest("The parameter " + name + " is missing.")
		}
		form.Set(name, value)
	}
	return form, f.checkGrant(p)
}

// checkGrant refuses what Entra would refuse as well, or should have.
func (f *Facade) checkGrant(p authserver.Params) *authserver.Problem {
	if p.Get("grant_type") != "authorization_code" {
		return nil
	}
	if verifier := p.Get("code_verifier"); !authserver.IsVerifier(verifier) {
		return &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "invalid_grant", Text: "The parameter code_verifier is not one of PKCE, of 43 to 128 characters.",
			Remedy: authserver.UpdateClient,
		}
	}
	return authserver.CheckRedirect(f.opts.Redirects, p.Get("redirect_uri"), "invalid_grant")
}
