package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// A Broker says how the gateway signs people in itself, with the first provider.
type Broker struct {
	// Credential is the gateway's own at the provider.
	Credential client.Credential
	// Callback is the path that the provider sends people back to.
	Callback string
	// Request are the scopes that the provider is asked for; none means openid,
	// profile, email and offline_access.
	Request []string
	// Parameters are further ones of the page where people sign in.
	Parameters map[string]string
	// Documents says that clients may have a metadata document, which is fetched.
	Documents bool
	// Store is the folder of who is signed in, "" if that is in memory only.
	Store string
}

// request are the scopes that the provider is asked for.
func (b *Broker) request() []string {
	if len(b.Request) > 0 {
		return b.Request
	}
	return []string{"openid", "profile", "email", "offline_access"}
}

// providerMetadata is what is read of a provider's (OpenID Connect Discovery 1.0,
// section 3).
type providerMetadata struct {
	Authorize  string   `json:"authorization_endpoint"`
	Token      string   `json:"token_endpoint"`
	Scopes     []string `json:"scopes_supported"`
	GrantTypes []string `json:"grant_types_supported"`
	Secrets    []string `json:"token_endpoint_auth_methods_supported"`
}

// behind is the provider behind the gateway, and what it says of itself, or false
// if there is none or it says nothing that can be used.
func (x *examination) behind() (oauth.Provider, providerMetadata, bool) {
	var m providerMetadata
	p := x.opts.SignIn.Providers[0]
	if x.opts.Broker == nil || x.signIn.Status()[0].Keys == 0 {
		return p, m, false
	}
	a, ok := x.observed.at(metadataURL(p))
	return p, m, ok && json.Unmarshal(a.body, &m) == nil && m.Authorize != "" && m.Token != ""
}

// authorizeItself asks for the page where people sign in as the gateway does, to
// see whether the provider knows it and where it sends people back to.
func (x *examination) authorizeItself(ctx context.Context) []Finding {
	p, m, ok := x.behind()
	if !ok {
		return nil
	}
	at, err := url.Parse(m.Authorize)
	if err != nil {
		return []Finding{{Verdict: Problem, Seen: p.Name + ": the authorization_endpoint in its metadata is no URL", Remedy: "See whether the issuer is the right one."}}
	}
	query := at.Query()
	for name, value := range x.opts.Broker.Parameters {
		query.Set(name, value)
	}
	for name, value := range map[string]string{
		"client_id": x.opts.Broker.Credential.ClientID, "redirect_uri": x.callback(), "response_type": "code",
		"scope": strings.Join(x.opts.Broker.request(), " "), "state": "mcpagg-doctor", "nonce": "mcpagg-doctor",
		"code_challenge": challenge, "code_challenge_method": "S256",
	} {
		query.Set(name, value)
	}
	at.RawQuery = query.Encode()
	page := x.ask(ctx, at)
	if p.Entra == nil {
		return []Finding{page.ofProvider(p.Name, x.callback())}
	}
	f := page.finding("the gateway, " + x.callback() + ": ")
	if page.aboutRedirect() {
		f.Remedy = "Add exactly this URI to the app under Authentication, on the platform Web."
	}
	return []Finding{f}
}

// callback is the URL that the provider sends people back to.
func (x *examination) callback() string { return x.publicURL(x.opts.Broker.Callback) }

// ofProvider says what a page of a provider that is not Entra means.
func (p page) ofProvider(name, callback string) Finding {
	what := "the gateway, " + callback + ": "
	to, _ := url.Parse(p.location) // nil, or a URL of no use, if it is none
	switch {
	case p.err != nil:
		return Finding{Verdict: Problem, Seen: what + why(p.err).Error(), Remedy: reach}
	case to != nil && to.Query().Get("error") != "":
		return Finding{
			Verdict: Problem, Seen: fmt.Sprintf("%s%s refuses: %.60s, %.200s", what, name, to.Query().Get("error"), to.Query().Get("error_description")),
			Remedy: "Let the client at the provider use the authorization code flow with PKCE, and the scopes in request_scopes.",
		}
	case p.status >= 400:
		return Finding{
			Verdict: Problem, Seen: fmt.Sprintf("%s%s answers HTTP %d", what, name, p.status),
			Remedy: "Register exactly this redirect URI with the client at the provider, and see whether client_id is right.",
		}
	}
	return Finding{Verdict: OK, Seen: what + name + " shows its sign-in page"}
}

// credential tries what the gateway proves with who it is.
func (x *examination) credential(ctx context.Context) []Finding {
	p, m, ok := x.behind()
	if !ok {
		return nil
	}
	proves := x.opts.Broker.Credential
	proves.Basic = !slices.Contains(m.Secrets, "client_secret_post") // as the gateway does (RFC 8414, section 2)
	endpoint := &client.Endpoint{URL: m.Token, Credential: proves, HTTP: x.http}
	a, err := endpoint.Post(ctx, x.proof(p))
	if err != nil {
		return []Finding{{Verdict: Problem, Seen: fmt.Sprintf("%s: %v", p.Name, err), Remedy: "Correct what client_secret, certificate_file or federated_token_file names, if it is about that. " + reach}}
	}
	return []Finding{judge(p, a)}
}

// proof is a request that comes to nothing, and shows whether the gateway is believed
// who it is. Entra looks at a code first, and at a program's own token only once it
// knows the program; elsewhere programs may get none.
func (x *examination) proof(p oauth.Provider) url.Values {
	id := x.opts.Broker.Credential.ClientID
	if p.Entra != nil && entra.IsTenantID(p.Entra.Tenant) {
		return url.Values{"grant_type": {"client_credentials"}, "scope": {id + "/.default"}}
	}
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {"mcpagg-doctor"}, "redirect_uri": {x.callback()},
		"code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
	}
}

// judge says what the answer to that means: the client is known, unless it says
// otherwise (RFC 6749, section 5.2).
func judge(p oauth.Provider, a *client.Answer) Finding {
	var refused struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
	}
	isJSON := json.Unmarshal(a.Body, &refused) == nil
	code, explained := explain(append(refused.Codes, entra.CodesIn(refused.Description)...))
	switch {
	case !isJSON || a.Status >= 500 || a.Status >= 300 && refused.Error == "":
		return Finding{Verdict: Warning, Seen: fmt.Sprintf("%s answers HTTP %d at its token endpoint", p.Name, a.Status), Remedy: "Try again; until it works, nobody can sign in."}
	case refused.Error == "invalid_client" || refused.Error == "unauthorized_client" || a.Status == http.StatusUnauthorized:
		f := Finding{
			Verdict: Problem, Seen: fmt.Sprintf("%s does not believe that the gateway is its client: %.60s", p.Name, refused.Error),
			Remedy: "See whether client_id is right, and make a new client_secret, or leave it out if the client is a public one.",
		}
		if explained {
			f.Seen += " (" + code.Name() + ")"
			f.Remedy = code.Meaning + " " + code.Remedy
		}
		return f
	}
	return Finding{Verdict: OK, Seen: p.Name + " knows the gateway by its credential"}
}

// refresh says whether the provider lets the gateway renew what it knows of people.
func (x *examination) refresh(context.Context) []Finding {
	p, m, ok := x.behind()
	if !ok {
		return nil
	}
	const remedy = "Without refresh tokens of the provider, people sign in again as often as access_ttl says."
	asked := slices.Contains(x.opts.Broker.request(), "offline_access")
	switch {
	case m.GrantTypes != nil && !slices.Contains(m.GrantTypes, "refresh_token"):
		return []Finding{{Verdict: Warning, Seen: p.Name + " does not list the grant type refresh_token", Remedy: remedy + " See whether it can give them to the gateway's client."}}
	case asked && m.Scopes != nil && !slices.Contains(m.Scopes, "offline_access"):
		return []Finding{{Verdict: Warning, Seen: p.Name + " does not list the scope offline_access, by which the gateway asks for refresh tokens", Remedy: remedy + " If it gives them for something else, say so with request_scopes and authorize_parameters, as for Google: access_type = \"offline\"."}}
	case !asked && x.opts.Broker.Parameters["access_type"] != "offline":
		return []Finding{{Verdict: Warning, Seen: "the gateway does not ask " + p.Name + " for refresh tokens: offline_access is not among request_scopes", Remedy: remedy}}
	}
	return []Finding{{Verdict: OK, Seen: p.Name + " is asked for refresh tokens"}}
}

// signingKeys looks at the keys by which others can verify the gateway's tokens.
func (x *examination) signingKeys(ctx context.Context) []Finding {
	const path = "/oauth2/jwks"
	at := x.publicURL(path)
	resp, err := x.get(ctx, at)
	if err != nil {
		return []Finding{{Verdict: Problem, Seen: fmt.Sprintf("%s: %v", at, why(err)), Remedy: reach}}
	}
	if resp.StatusCode != http.StatusOK {
		return []Finding{{Verdict: Problem, Seen: fmt.Sprintf("%s answers %s", at, resp.Status), Remedy: passOn}}
	}
	var set struct {
		Keys []struct {
			publicKey
			Algorithm string `json:"alg"`
		} `json:"keys"`
	}
	a, _ := x.observed.at(at)
	if json.Unmarshal(a.body, &set) != nil || len(set.Keys) == 0 {
		return []Finding{{Verdict: Problem, Seen: at + " has no keys", Remedy: "See what answers there; it is not the gateway."}}
	}
	for _, k := range set.Keys {
		if k.Type != "EC" || k.Curve != "P-256" || k.Algorithm != "ES256" {
			return []Finding{{Verdict: Problem, Seen: fmt.Sprintf("%s has a key that is none of the gateway's: %s, for %.20q", at, k, k.Algorithm), Remedy: "See what answers there; it is not the gateway."}}
		}
	}
	return []Finding{{Verdict: OK, Seen: fmt.Sprintf("%s has %d of the gateway's keys (ES256)", path, len(set.Keys))}}
}
