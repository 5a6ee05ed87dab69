package compat

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	// maxQuery bounds the query of an authorization request, in bytes.
	maxQuery = 16 << 10
	// maxState bounds the parameter state, in bytes.
	maxState = 2 << 10
	// maxHint bounds the parameter login_hint, in bytes.
	maxHint = 320
)

// authorize sends people on to Entra (RFC 6749 section 4.1.1). It has no effect
// of its own: some clients fetch the URL before they open the browser.
//
// Until client and redirect URI are known to be good, a refusal is shown here;
// from then on it is the client's to know (RFC 6749 section 4.1.2.1).
func (f *Facade) authorize(w http.ResponseWriter, r *http.Request) *problem {
	if len(r.URL.RawQuery) > maxQuery {
		return invalidRequest("The request is longer than 16 KiB.")
	}
	p, err := parseParams(r.URL.RawQuery)
	if err != nil {
		return invalidRequest("The request cannot be read: " + err.Error() + ".")
	}
	if refusal := f.checkReturn(p); refusal != nil {
		return refusal
	}
	query, refusal := f.authorizeUpstream(r, p)
	if refusal != nil {
		f.journal.refused(r, "authorize", refusal)
		f.sendBack(w, p, refusal)
		return nil
	}
	w.Header().Set("Location", f.upstream.authorizeURL+"?"+query.Encode())
	w.WriteHeader(http.StatusFound)
	return nil
}

// checkReturn refuses requests whose answer should not be sent to where they ask
// for it.
func (f *Facade) checkReturn(p params) *problem {
	if refusal := f.checkClient(p, http.StatusBadRequest); refusal != nil {
		return refusal
	}
	switch {
	case p.repeated("redirect_uri", "state"):
		return p.checkOnce()
	case p.get("redirect_uri") == "":
		return invalidRequest("The parameter redirect_uri is missing.")
	case len(p.get("state")) > maxState:
		return invalidRequest("The parameter state is longer than 2 KiB.")
	}
	return f.checkRedirect(p.get("redirect_uri"), "invalid_request")
}

// sendBack tells the client of a refusal. The answer has no iss (RFC 9207), as
// the metadata promises none.
func (f *Facade) sendBack(w http.ResponseWriter, p params, refusal *problem) {
	answer := url.Values{"error": {refusal.oauth}, "error_description": {plain(refusal.text)}}
	if state := p.get("state"); state != "" {
		answer.Set("state", state)
	}
	uri := p.get("redirect_uri")
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	w.Header().Set("Location", uri+separator+answer.Encode())
	w.WriteHeader(http.StatusFound)
}

// authorizeUpstream writes the query for Entra. Of the parameters that clients
// send, it has those that Entra needs, and no others.
func (f *Facade) authorizeUpstream(r *http.Request, p params) (url.Values, *problem) {
	prompt, unknownPrompt := upstreamPrompt(p.get("prompt"))
	for _, refusal := range []*problem{p.checkOnce(), checkCodeFlow(p), checkChallenge(p), f.checkResource(p.get("resource")), unknownPrompt} {
		if refusal != nil {
			return nil, refusal
		}
	}
	scope, unknown := f.upstreamScope(p.get("scope"))
	f.journal.narrowed(r, unknown)
	query := url.Values{
		"client_id":             {f.opts.ClientID},
		"redirect_uri":          {p.get("redirect_uri")},
		"response_type":         {"code"},
		"response_mode":         {"query"},
		"scope":                 {scope},
		"code_challenge":        {p.get("code_challenge")},
		"code_challenge_method": {"S256"},
	}
	for name, value := range map[string]string{"state": p.get("state"), "prompt": prompt, "login_hint": plausibleHint(p.get("login_hint"))} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query, nil
}

// checkCodeFlow refuses everything but a code in the query of the redirect.
func checkCodeFlow(p params) *problem {
	refuse := func(oauth, text string) *problem {
		return &problem{status: http.StatusBadRequest, oauth: oauth, text: text, remedy: updateClient}
	}
	switch responseType, mode := p.get("response_type"), p.get("response_mode"); {
	case p.get("request") != "":
		return refuse("request_not_supported", "The parameter request is not supported.")
	case p.get("request_uri") != "":
		return refuse("request_uri_not_supported", "The parameter request_uri is not supported.")
	case responseType == "":
		return refuse("invalid_request", "The parameter response_type is missing.")
	case responseType != "code":
		return refuse("unsupported_response_type", "The response type "+brief(responseType)+" is not supported, only code is.")
	case mode != "" && mode != "query":
		return refuse("invalid_request", "The response mode "+brief(mode)+" is not supported, only query is.")
	}
	return nil
}

// checkChallenge insists on PKCE with SHA-256 (RFC 7636), which Entra does not:
// whoever else gets to see the code cannot redeem it.
func checkChallenge(p params) *problem {
	challenge, method := p.get("code_challenge"), p.get("code_challenge_method")
	switch {
	case challenge == "":
		return &problem{status: http.StatusBadRequest, oauth: "invalid_request", text: "The parameter code_challenge is missing; PKCE is required.", remedy: updateClient}
	case method != "S256":
		return &problem{status: http.StatusBadRequest, oauth: "invalid_request", text: "The parameter code_challenge_method is not S256.", remedy: updateClient}
	case len(challenge) != 43 || !isBase64URL(challenge):
		return &problem{status: http.StatusBadRequest, oauth: "invalid_request", text: "The parameter code_challenge is not the 43 characters that S256 gives.", remedy: updateClient}
	}
	return nil
}

func isBase64URL(s string) bool {
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// upstreamPrompt drops consent: Entra would ask even where an administrator has
// consented for everybody, and would ask an administrator where people may not
// consent themselves.
func upstreamPrompt(asked string) (string, *problem) {
	prompts := slices.DeleteFunc(strings.Fields(asked), func(prompt string) bool { return prompt == "consent" })
	switch {
	case len(prompts) == 0:
		return "", nil
	case len(prompts) == 1 && slices.Contains([]string{"login", "select_account", "none"}, prompts[0]):
		return prompts[0], nil
	}
	return "", &problem{
		status: http.StatusBadRequest, oauth: "invalid_request", remedy: updateClient,
		text: "The prompt " + brief(asked) + " is not supported; login, select_account, none and consent are, one at a time.",
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
