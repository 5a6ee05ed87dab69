package compat

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/oauth/authserver"
)

// maxHint bounds the parameter login_hint, in bytes.
const maxHint = 320

// authorize sends people on to Entra (RFC 6749 section 4.1.1). It has no effect
// of its own: some clients fetch the URL before they open the browser.
//
// Until client and redirect URI are known to be good, a refusal is shown here;
// from then on it is the client's to know (RFC 6749 section 4.1.2.1).
func (f *Facade) authorize(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	if len(r.URL.RawQuery) > authserver.MaxQuery {
		return authserver.InvalidRequest("The request is longer than 16 KiB.")
	}
	p, err := authserver.ParseParams(r.URL.RawQuery)
	if err != nil {
		return authserver.InvalidRequest("The request cannot be read: " + err.Error() + ".")
	}
	if refusal := f.checkReturn(p); refusal != nil {
		return refusal
	}
	query, refusal := f.authorizeUpstream(r, p)
	if refusal != nil {
		f.server.Journal.Refused(r, "authorize", refusal)
		sendBack(w, r, p, refusal)
		return nil
	}
	authserver.Redirect(w, r, f.upstream.authorizeURL+"?"+query.Encode())
	return nil
}

// checkReturn refuses requests whose answer should not be sent to where they ask
// for it.
func (f *Facade) checkReturn(p authserver.Params) *authserver.Problem {
	if refusal := f.checkClient(p, http.StatusBadRequest); refusal != nil {
		return refusal
	}
	switch {
	case p.Repeated("redirect_uri", "state"):
		return p.CheckOnce()
	case p.Get("redirect_uri") == "":
		return authserver.InvalidRequest("The parameter redirect_uri is missing.")
	case len(p.Get("state")) > authserver.MaxState:
		return authserver.InvalidRequest("The parameter state is longer than 2 KiB.")
	}
	return authserver.CheckRedirect(f.opts.Redirects, p.Get("redirect_uri"), "invalid_request")
}

// sendBack tells the client of a refusal. The answer has no iss (RFC 9207), as
// the metadata promises none.
func sendBack(w http.ResponseWriter, r *http.Request, p authserver.Params, refusal *authserver.Problem) {
	answer := url.Values{}
	if state := p.Get("state"); state != "" {
		answer.Set("state", state)
	}
	authserver.SendBack(w, r, p.Get("redirect_uri"), answer, refusal)
}

// authorizeUpstream writes the query for Entra. Of the parameters that clients
// send, it has those that Entra needs, and no others.
func (f *Facade) authorizeUpstream(r *http.Request, p authserver.Params) (url.Values, *authserver.Problem) {
	prompt, unknownPrompt := upstreamPrompt(p.Get("prompt"))
	for _, refusal := range []*authserver.Problem{p.CheckOnce(), authserver.CheckCodeFlow(p), authserver.CheckChallenge(p), authserver.CheckResource(f.opts.PublicURL, p.Get("resource")), unknownPrompt} {
		if refusal != nil {
			return nil, refusal
		}
	}
	scope, unknown := f.upstreamScope(p.Get("scope"))
	f.server.Journal.Narrowed(r, unknown)
	query := url.Values{
		"client_id":             {f.opts.ClientID},
		"redirect_uri":          {p.Get("redirect_uri")},
		"response_type":         {"code"},
		"response_mode":         {"query"},
		"scope":                 {scope},
		"code_challenge":        {p.Get("code_challenge")},
		"code_challenge_method": {"S256"},
	}
	for name, value := range map[string]string{"state": p.Get("state"), "prompt": prompt, "login_hint": plausibleHint(p.Get("login_hint"))} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query, nil
}

// upstreamPrompt drops consent: Entra would ask even where an administrator has
// consented for everybody, and would ask an administrator where people may not
// consent themselves.
func upstreamPrompt(asked string) (string, *authserver.Problem) {
	prompts := slices.DeleteFunc(strings.Fields(asked), func(prompt string) bool { return prompt == "consent" })
	switch {
	case len(prompts) == 0:
		return "", nil
	case len(prompts) == 1 && slices.Contains([]string{"login", "select_account", "none"}, prompts[0]):
		return prompts[0], nil
	}
	return "", &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: "invalid_request", Remedy: authserver.UpdateClient,
		Text: "The prompt " + authserver.Brief(asked) + " is not supported; login, select_account, none and consent are, one at a time.",
	}
}

// plausibleHint is a hint at who signs in, or "" if it can be none: an e-mail
// address, or what Entra itself calls an account.
func plausibleHint(hint string) string {
	if len(hint) > maxHint || strings.ContainsFunc(hint, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>&\`, r) }) {
		return ""
	}
	return hint
}
