package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

// authorize does what clients do to sign in at Entra, or the gateway for all of them,
// as far as that goes without a person. Where clients do, it registers with the facade, asks it for the sign-in page with each
// redirect URI, and reads what Entra makes of that. What Entra looks at only when
// somebody has signed in cannot be seen this way: consent, assignment, Conditional
// Access.
func (x *examination) authorize(ctx context.Context) []Finding {
	switch {
	case x.signIn.Status()[0].Keys == 0:
		return nil // which metadata tells
	case x.opts.Broker != nil:
		return x.authorizeItself(ctx)
	case x.opts.SignIn.Facade == nil:
		return x.authorizeDirectly(ctx)
	}
	var findings []Finding
	var works *url.URL // a request that Entra likes
	for _, a := range x.attempts() {
		at, refusal := x.startSignIn(a.uri)
		if refusal != "" {
			findings = append(findings, x.notAllowed(a, refusal)...)
			continue
		}
		page := x.ask(ctx, at)
		if page.ok() {
			works = at
		}
		if !page.ok() && !page.aboutRedirect() { // the same with every one
			return append(findings, page.finding("every client: "))
		}
		findings = append(findings, page.finding(a.String()))
	}
	switch {
	case findings == nil:
		return []Finding{{Verdict: Warning, Seen: "no client that is known here may be sent back to", Remedy: "See redirects in the auth block."}}
	case works == nil:
		return findings
	}
	if x.opts.Client == nil {
		soften(findings)
	}
	return append(findings, x.resource(ctx, works))
}

// VSCode is the client id of VS Code, the only client that Entra knows by itself.
const VSCode = "aebc6443-996d-45c2-90f0-388ff96faa56"

// authorizeDirectly asks Entra as VS Code does where no facade is in between, to
// see whether the MCP endpoint is an App ID URI of the API app.
func (x *examination) authorizeDirectly(ctx context.Context) []Finding {
	p := x.opts.SignIn.Providers[0]
	if p.Entra == nil || x.opts.Client != nil && x.opts.Client.Name != "vscode" {
		return nil
	}
	var scopes []string
	for _, s := range p.Scopes {
		scopes = append(scopes, s.Advertised)
	}
	query := url.Values{
		"client_id": {VSCode}, "redirect_uri": {"http://127.0.0.1:33418/"}, "response_type": {"code"}, "state": {"mcpagg-doctor"},
		"scope": {strings.Join(append(scopes, "openid", "offline_access"), " ")}, "resource": {x.publicURL("/mcp")},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	at, err := url.Parse(p.Entra.Cloud.V2(p.Entra.Tenant) + "/authorize?" + query.Encode())
	if err != nil {
		return nil // it was configured
	}
	page := x.ask(ctx, at)
	f := []Finding{page.finding("as VS Code, for " + x.publicURL("/mcp") + ": ")}
	if len(page.codes) > 0 && !page.aboutResource() && x.opts.Client == nil {
		soften(f)
	}
	return f
}

// An attempt is a redirect URI and the clients that have it.
type attempt struct {
	uri     string
	clients []string
}

func (a attempt) String() string { return strings.Join(a.clients, ", ") + ", " + a.uri + ": " }

// attempts are the redirect URIs that are tried, each once.
func (x *examination) attempts() []attempt {
	clients := Clients
	if x.opts.Client != nil {
		clients = []Client{*x.opts.Client}
	}
	var all []attempt
	for _, c := range clients {
		for _, uri := range c.Redirects {
			i := slices.IndexFunc(all, func(a attempt) bool { return a.uri == uri })
			if i < 0 {
				all = append(all, attempt{uri, []string{c.Title}})
				continue
			}
			all[i].clients = append(all[i].clients, c.Title)
		}
	}
	return all
}

// notAllowed is about a redirect URI that the gateway itself refuses, which only
// matters to who asks for that client.
func (x *examination) notAllowed(a attempt, refusal string) []Finding {
	if x.opts.Client == nil {
		return nil
	}
	return []Finding{{
		Verdict: Problem, Seen: a.String() + "the gateway refuses it: " + refusal,
		Remedy: fmt.Sprintf("Add it to redirects in the auth block, by the word for the client or as %q, and to the client app in Entra.", a.uri),
	}}
}

// soften makes a problem of one client's a warning, since maybe nobody uses it.
func soften(findings []Finding) {
	for i := range findings {
		if findings[i].Verdict == Problem {
			findings[i].Verdict = Warning
			findings[i].Remedy = "If people use this client: " + findings[i].Remedy
		}
	}
}

// freePort stands for the port that a program finds free.
const freePort = ":51763"

// used is a redirect URI as a client sends it that is registered as uri.
func used(uri string) string {
	if path, found := strings.CutPrefix(uri, "http://localhost/"); found {
		return "http://localhost" + freePort + "/" + path
	}
	return uri
}

// challenge is that of the verifier in RFC 7636, appendix B, which everybody knows:
// nothing is ever redeemed with it.
const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

// startSignIn is where the facade sends a client with a redirect URI, or why not.
func (x *examination) startSignIn(uri string) (at *url.URL, refusal string) {
	id, refusal := x.register(used(uri))
	if refusal != "" {
		return nil, refusal
	}
	query := url.Values{
		"client_id": {id}, "redirect_uri": {used(uri)}, "response_type": {"code"}, "state": {"mcpagg-doctor"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	r, err := http.NewRequest(http.MethodGet, x.publicURL("/oauth2/authorize?"+query.Encode()), http.NoBody)
	if err != nil {
		return nil, err.Error()
	}
	r.Header.Set("Accept", "application/json")
	answer := serve(x.opts.SignIn.Facade, r)
	if answer.status != http.StatusFound {
		return nil, refusalIn(answer)
	}
	at, err = url.Parse(answer.header.Get("Location"))
	if err != nil {
		return nil, err.Error()
	}
	return at, at.Query().Get("error_description")
}

// register is the client id that the facade gives a client (RFC 7591).
func (x *examination) register(uri string) (id, refusal string) {
	body, err := json.Marshal(map[string]any{"client_name": "mcpagg doctor", "redirect_uris": []string{uri}, "token_endpoint_auth_method": "none"})
	if err != nil {
		panic(err) // texts can be written as JSON
	}
	r, err := http.NewRequest(http.MethodPost, x.publicURL("/register"), strings.NewReader(string(body)))
	if err != nil {
		return "", err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	answer := serve(x.opts.SignIn.Facade, r)
	var registered struct {
		ID string `json:"client_id"`
	}
	if answer.status != http.StatusCreated || json.Unmarshal(answer.body.Bytes(), &registered) != nil {
		return "", refusalIn(answer)
	}
	return registered.ID, ""
}

// refusalIn is the description in an answer of the facade.
func refusalIn(a *servedAnswer) string {
	var refused struct {
		Description string `json:"error_description"`
	}
	if json.Unmarshal(a.body.Bytes(), &refused) != nil || refused.Description == "" {
		return http.StatusText(a.status)
	}
	return refused.Description
}

// A page is what Entra makes of a request to sign in.
type page struct {
	answer
	err   error
	codes []int
}

// ask fetches the page that a person would see. Errors that Entra sends to the
// redirect URI are in the address that it sends the browser to.
func (x *examination) ask(ctx context.Context, at *url.URL) page {
	if _, err := x.get(ctx, at.String()); err != nil {
		return page{err: err}
	}
	a, _ := x.observed.at(at.String())
	return readPage(a)
}

func readPage(a answer) page {
	text := string(a.body)
	if to, err := url.Parse(a.location); err == nil {
		text += " " + to.Query().Get("error_description")
	}
	return page{answer: a, codes: entra.CodesIn(text)}
}

func (p page) ok() bool {
	return p.err == nil && len(p.codes) == 0 && p.status < 400 && !strings.Contains(p.location, "error=")
}

// aboutRedirect reports whether another redirect URI could do better.
func (p page) aboutRedirect() bool {
	return slices.ContainsFunc(p.codes, func(n int) bool { return slices.Contains([]int{50011, 500113, 900971, 50102, 90102}, n) })
}

// aboutResource reports whether the parameter resource was refused.
func (p page) aboutResource() bool {
	return slices.Contains(p.codes, 9010010) || slices.Contains(p.codes, 901002)
}

// finding says what a page means, after what was asked for.
func (p page) finding(what string) Finding {
	code, explained := explain(p.codes)
	switch {
	case p.err != nil:
		return Finding{Verdict: Problem, Seen: fmt.Sprintf("%s%v", what, why(p.err)), Remedy: reach}
	case p.ok():
		return Finding{Verdict: OK, Seen: what + "Entra shows its sign-in page"}
	case explained && p.aboutRedirect():
		return Finding{
			Verdict: Problem, Seen: what + code.Name(),
			Remedy: code.Meaning + " Add the URI, as it is here, to the client app under Authentication, on the platform Mobile and desktop applications.",
		}
	case explained:
		return Finding{Verdict: Problem, Seen: what + code.Name(), Remedy: code.Meaning + " " + code.Remedy}
	case len(p.codes) > 0:
		return Finding{Verdict: Problem, Seen: fmt.Sprintf("%sAADSTS%d", what, p.codes[0]), Remedy: "Look this code up at https://login.microsoftonline.com/error."}
	}
	return Finding{Verdict: Problem, Seen: fmt.Sprintf("%sEntra answers HTTP %d, and no code", what, p.status), Remedy: "Try again; if it stays, open the gateway's sign-in in a browser and read the page."}
}

// resource asks with a resource that is nobody's. Entra is known to refuse it, so
// that this also tells whether its pages are read right.
func (x *examination) resource(ctx context.Context, at *url.URL) Finding {
	bogus := *at
	query := bogus.Query()
	query.Set("resource", "https://mcpagg.invalid/mcp")
	bogus.RawQuery = query.Encode()
	p := x.ask(ctx, &bogus)
	if p.aboutResource() {
		return Finding{Verdict: OK, Seen: "Entra refuses a foreign resource, as it should; the gateway sends none"}
	}
	return Finding{
		Verdict: Warning, Seen: "Entra does not refuse a foreign resource, as it is known to do",
		Remedy: "Either it has changed, or its pages say errors in another way than is known here: sign in once with a browser before you rely on the lines above.",
	}
}
