package broker

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/pages"
)

const (
	// consentTTL is how long a person may take to agree, and loginTTL to sign in.
	consentTTL = 10 * time.Minute
	loginTTL   = 10 * time.Minute
	// maxHint bounds the parameter login_hint, in bytes.
	maxHint = 320
)

// A request is what a client asks for: to sign somebody in. It goes through the
// person's browser, signed, until they agree.
type request struct {
	ID          string   `json:"i"` // random; of this one sign-in
	Expires     int64    `json:"x"` // s since 1970, by which the person has to agree
	ClientID    string   `json:"c"`
	ClientName  string   `json:"n,omitzero"`
	ClientHost  string   `json:"h,omitzero"`
	RedirectURI string   `json:"r"`
	State       string   `json:"s,omitzero"`
	Challenge   string   `json:"p"` // of PKCE
	Scopes      []string `json:"o,omitzero"`
	Prompt      string   `json:"m,omitzero"` // for the provider
	Hint        string   `json:"l,omitzero"` // who may want to sign in
	// Own says that it is the person's own page that they sign in to, so that there
	// is no client.
	Own bool `json:"w,omitzero"`
}

// authorize asks the person in front of the browser whether a client may act for
// them (RFC 6749 section 4.1.1). It has no effect of its own: some clients fetch
// the URL before they open the browser.
//
// Until client and redirect URI are known to be good, a refusal is shown here;
// from then on it is the client's to know (RFC 6749 section 4.1.2.1).
func (b *broker) authorize(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	if len(r.URL.RawQuery) > authserver.MaxQuery {
		return authserver.InvalidRequest("The request is longer than 16 KiB.")
	}
	p, err := authserver.ParseParams(r.URL.RawQuery)
	if err != nil {
		return authserver.InvalidRequest("The request cannot be read: " + err.Error() + ".")
	}
	c, refusal := b.checkReturn(r, p)
	if refusal != nil {
		return refusal
	}
	req, refusal := b.readRequest(r, p, c)
	if refusal != nil {
		b.server.Journal.Refused(r, "authorize", refusal)
		b.sendBack(w, r, p.Get("redirect_uri"), p.Get("state"), refusal)
		return nil
	}
	return b.askConsent(w, r, req, c)
}

// checkReturn refuses requests whose answer should not be sent to where they ask
// for it.
func (b *broker) checkReturn(r *http.Request, p authserver.Params) (*mcpClient, *authserver.Problem) {
	id, refusal := p.ClientID()
	switch {
	case refusal != nil:
		return nil, refusal
	case p.Repeated("redirect_uri", "state"):
		return nil, p.CheckOnce()
	case len(p.Get("state")) > authserver.MaxState:
		return nil, authserver.InvalidRequest("The parameter state is longer than 2 KiB.")
	}
	c, refusal := b.client(r, id)
	if refusal != nil {
		return nil, refusal
	}
	if p.Get("redirect_uri") == "" {
		return nil, authserver.InvalidRequest("The parameter redirect_uri is missing.")
	}
	return c, b.checkRedirect(c, p.Get("redirect_uri"))
}

// readRequest takes what a client asks for from the parameters that have a meaning
// here, and no others.
func (b *broker) readRequest(r *http.Request, p authserver.Params, c *mcpClient) (*request, *authserver.Problem) {
	prompt, unknownPrompt := promptOf(p.Get("prompt"))
	for _, refusal := range []*authserver.Problem{
		p.CheckOnce(), authserver.CheckCodeFlow(p), authserver.CheckChallenge(p),
		authserver.CheckResource(b.opts.PublicURL, p.Get("resource")), unknownPrompt,
	} {
		if refusal != nil {
			return nil, refusal
		}
	}
	scopes, unknown := b.narrow(p.Get("scope"))
	b.server.Journal.Narrowed(r, unknown)
	return &request{
		ID: randomID(), Expires: time.Now().Add(consentTTL).Unix(),
		ClientID: c.id, ClientName: c.name, ClientHost: c.host, RedirectURI: p.Get("redirect_uri"), State: p.Get("state"),
		Challenge: p.Get("code_challenge"), Scopes: scopes, Prompt: prompt, Hint: plausibleHint(p.Get("login_hint")),
	}, nil
}

// promptOf is what the provider is told of the parameter prompt. The person is
// always asked here, so that consent means nothing more, and none cannot be done.
func promptOf(asked string) (string, *authserver.Problem) {
	prompts := slices.DeleteFunc(strings.Fields(asked), func(prompt string) bool { return prompt == "consent" })
	switch {
	case len(prompts) == 0:
		return "", nil
	case len(prompts) == 1 && slices.Contains([]string{"login", "select_account"}, prompts[0]):
		return prompts[0], nil
	case len(prompts) == 1 && prompts[0] == "none":
		return "", &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "consent_required",
			Text: "People are asked each time whether a client may act for them, so this cannot be done without them.",
		}
	}
	return "", &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: "invalid_request", Remedy: authserver.UpdateClient,
		Text: "The prompt " + authserver.Brief(asked) + " is not supported; login, select_account and consent are, one at a time.",
	}
}

// openIDScopes are scopes that clients may ask for and that mean nothing here.
var openIDScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// narrow is those of the scopes that a client asks for which there are, or all if
// there is none among them: clients ask for more than they were told of.
func (b *broker) narrow(asked string) (scopes, unknown []string) {
	names := b.scopeNames()
	for name := range strings.FieldsSeq(asked) {
		switch {
		case slices.Contains(names, name) && !slices.Contains(scopes, name):
			scopes = append(scopes, name)
		case !slices.Contains(names, name) && !slices.Contains(openIDScopes, name):
			unknown = append(unknown, name)
		}
	}
	if scopes == nil {
		scopes = names
	}
	return scopes, unknown
}

// plausibleHint is a hint at who signs in, or "" if it can be none.
func plausibleHint(hint string) string {
	if len(hint) > maxHint || strings.ContainsFunc(hint, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>&\`, r) }) {
		return ""
	}
	return hint
}

// askConsent shows who wants to act for the person. Only a form of this page, in
// this browser, can agree: the form has what stands for the cookie.
func (b *broker) askConsent(w http.ResponseWriter, r *http.Request, req *request, c *mcpClient) *authserver.Problem {
	signed, err := b.state.secret.sign("request", req)
	if err != nil {
		return authserver.InvalidRequest("The request is not in UTF-8.")
	}
	cookie := random()
	b.setCookie(w, r, consentCookie, req.ID, cookie, consentTTL)
	pages.Consent(w, pages.ConsentPage{
		Gateway: b.opts.PublicURL.Host, Provider: b.providerName(), Action: b.server.Base + consentPath,
		Client: pages.Client{Name: c.name, ID: c.id, Host: c.host, Verified: c.known, Redirect: req.RedirectURI}, Scopes: b.pageScopes(req.Scopes),
		Request: signed, Token: b.state.secret.mac("consent", req.ID, cookie), FormTargets: b.formTargets(req.RedirectURI),
		Me: b.opts.PublicURL.Host + mePath,
	})
	return nil
}

func (b *broker) pageScopes(names []string) []pages.Scope {
	var scopes []pages.Scope
	for _, s := range b.opts.Scopes {
		if slices.Contains(names, s.Name) {
			scopes = append(scopes, pages.Scope{Name: s.Name, Text: s.Text})
		}
	}
	return scopes
}

// formTargets are where the form may lead by redirects: browsers apply the policy
// of the page to all of them, and providers send people to others of their own.
func (b *broker) formTargets(redirectURI string) []string {
	targets := []string{"https:"}
	for _, to := range []string{b.provider.origin(), redirectURI} {
		u, err := url.Parse(to)
		switch {
		case err != nil || u.Scheme == "https" || u.Scheme == "" || isIPv6(u):
		case u.Scheme == "http":
			targets = append(targets, "http://"+u.Host)
		default:
			targets = append(targets, u.Scheme+":")
		}
	}
	return targets
}

// isIPv6 reports whether the host of a URL is an address that no content security
// policy can name.
func isIPv6(u *url.URL) bool { return strings.HasPrefix(u.Host, "[") }

// leaveForm sends a browser on after a form that ends at a redirect URI. Where the
// policy of the form's page could not name that, another page comes in between. The
// provider is where they go first, "" if they do not.
func (b *broker) leaveForm(w http.ResponseWriter, r *http.Request, redirectURI, provider, to string) {
	if u, err := url.Parse(redirectURI); err == nil && isIPv6(u) {
		pages.Leave(w, pages.LeavePage{Gateway: b.opts.PublicURL.Host, Provider: provider, URL: to})
		return
	}
	authserver.Redirect(w, r, to)
}
