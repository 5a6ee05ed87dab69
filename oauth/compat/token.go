package compat

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 16 << 10

// grantTypes are those that a client may use. No other one reaches Entra.
var grantTypes = []string{"authorization_code", "refresh_token"}

// token redeems codes and refresh tokens at Entra (RFC 6749 sections 4.1.3 and 6).
func (f *Facade) token(w http.ResponseWriter, r *http.Request) *problem {
	body, refusal := readBody(w, r, "application/x-www-form-urlencoded", "invalid_request", maxForm)
	if refusal != nil {
		return refusal
	}
	p, err := parseParams(string(body))
	if err != nil {
		return invalidRequest("The form cannot be read: " + err.Error() + ".")
	}
	for _, refusal := range []*problem{p.checkOnce(), checkPublic(r, p), f.checkClient(p, http.StatusUnauthorized), f.checkResource(p.get("resource"))} {
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
	writeJSON(w, http.StatusOK, granted)
	return nil
}

// readBody reads a whole body of a type and size.
func readBody(w http.ResponseWriter, r *http.Request, wantType, oauth string, most int64) ([]byte, *problem) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != wantType {
		return nil, &problem{status: http.StatusUnsupportedMediaType, oauth: oauth, text: "The body must be " + wantType + "."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &problem{status: http.StatusRequestEntityTooLarge, oauth: oauth, text: "The body is too large."}
	case err != nil:
		return nil, &problem{status: http.StatusBadRequest, oauth: oauth, text: "The body did not arrive within 10 seconds."}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // an answer may take longer
	return body, nil
}

// checkPublic refuses clients that prove who they are: Entra would take the
// proof for one of the client app, which has none.
func checkPublic(r *http.Request, p params) *problem {
	refuse := func(what string) *problem {
		return &problem{
			status: http.StatusBadRequest, oauth: "invalid_request", text: what + " was sent, but this client is a public one, which has no secret.",
			remedy: "Remove the client secret from the settings of the client.",
		}
	}
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		if p.get(name) != "" {
			return refuse("The parameter " + name)
		}
	}
	if len(r.Header.Values("Authorization")) > 0 {
		return refuse("The header Authorization")
	}
	return nil
}

// tokenUpstream writes the form for Entra. A code without scopes is redeemed for
// those that it was given for, which may be fewer than are configured. A refresh
// always names them: without openid there would be no ID token, and Entra takes
// an app that asks for itself only by the qualified name.
func (f *Facade) tokenUpstream(r *http.Request, p params) (url.Values, *problem) {
	form := url.Values{"client_id": {f.opts.ClientID}, "grant_type": {p.get("grant_type")}}
	if asked := p.get("scope"); asked != "" || form.Get("grant_type") == "refresh_token" {
		scope, unknown := f.upstreamScope(asked)
		f.journal.narrowed(r, unknown)
		form.Set("scope", scope)
	}
	var needed []string
	switch grant := p.get("grant_type"); grant {
	case "authorization_code":
		needed = []string{"code", "redirect_uri", "code_verifier"}
	case "refresh_token":
		needed = []string{"refresh_token"}
	case "":
		return nil, invalidRequest("The parameter grant_type is missing.")
	default:
		return nil, &problem{
			status: http.StatusBadRequest, oauth: "unsupported_grant_type",
			text:   "The grant type " + brief(grant) + " is not supported; authorization_code and refresh_token are.",
			remedy: "Programs without a person get their tokens from Entra itself, and need allow_app_tokens in the auth block.",
		}
	}
	for _, name := range needed {
		value := p.get(name)
		if value == "" {
			return nil, invalidRequest("The parameter " + name + " is missing.")
		}
		form.Set(name, value)
	}
	return form, f.checkGrant(p)
}

// checkGrant refuses what Entra would refuse as well, or should have.
func (f *Facade) checkGrant(p params) *problem {
	if p.get("grant_type") != "authorization_code" {
		return nil
	}
	if verifier := p.get("code_verifier"); len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, unreserved) != "" {
		return &problem{
			status: http.StatusBadRequest, oauth: "invalid_grant", text: "The parameter code_verifier is not one of PKCE, of 43 to 128 characters.",
			remedy: updateClient,
		}
	}
	return f.checkRedirect(p.get("redirect_uri"), "invalid_grant")
}

// unreserved are the characters of a code verifier (RFC 7636 section 4.1).
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
