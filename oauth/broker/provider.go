package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// A provider is the identity provider, as its client sees it. It is safe for
// concurrent use.
type provider struct {
	// Set by newProvider, never changed.
	signIn   *oauth.SignIn
	opts     Options
	callback string
	// isEntra says that a refresh has to name its scopes: it gives no ID token
	// without openid. Elsewhere that could be more than was granted.
	isEntra bool

	mu       sync.Mutex
	raw      []byte            // the metadata that the following are of; guarded by mu
	metadata *providerMetadata // guarded by mu
	token    *client.Endpoint  // guarded by mu
}

// providerMetadata is what is read of what a provider says of itself.
type providerMetadata struct {
	Issuer        string   `json:"issuer"`
	AuthorizeURL  string   `json:"authorization_endpoint"`
	TokenURL      string   `json:"token_endpoint"`
	UserinfoURL   string   `json:"userinfo_endpoint"`
	SecretMethods []string `json:"token_endpoint_auth_methods_supported"`
	// IssParameter promises iss in authorization responses (RFC 9207).
	IssParameter bool `json:"authorization_response_iss_parameter_supported"`
}

func newProvider(signIn *oauth.SignIn, opts Options, isEntra bool) *provider {
	return &provider{
		signIn: signIn, opts: opts, isEntra: isEntra,
		callback: strings.TrimSuffix(opts.PublicURL.String(), "/") + CallbackPath,
	}
}

var errNotReached = errors.New("the identity provider has not been reached yet")

// known is what the provider says of itself, and its token endpoint.
func (p *provider) known() (*providerMetadata, *client.Endpoint, error) {
	raw := p.signIn.ProviderMetadata()
	if raw == nil {
		return nil, nil, errNotReached
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.metadata != nil && bytes.Equal(p.raw, raw) {
		return p.metadata, p.token, nil
	}
	m, err := parseMetadata(raw)
	if err != nil {
		return nil, nil, err
	}
	credential := p.opts.Credential
	credential.Basic = len(m.SecretMethods) == 0 || !slices.Contains(m.SecretMethods, "client_secret_post") // RFC 8414, section 2
	p.raw, p.metadata = raw, m
	p.token = &client.Endpoint{URL: m.TokenURL, Credential: credential, HTTP: p.opts.HTTP}
	return p.metadata, p.token, nil
}

func parseMetadata(raw []byte) (*providerMetadata, error) {
	var m providerMetadata
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, errors.New("the metadata of the identity provider is not what it should be")
	}
	for _, endpoint := range []string{m.AuthorizeURL, m.TokenURL} {
		if !oauth.IsSecureURL(endpoint) {
			return nil, fmt.Errorf("the metadata of the identity provider has %.200q for an endpoint, which is no https URL", endpoint)
		}
	}
	if !oauth.IsSecureURL(m.UserinfoURL) {
		m.UserinfoURL = ""
	}
	return &m, nil
}

// name is who people are sent to, and as which client; "" if that is not known. A code
// of one is for no other.
func (p *provider) name() string {
	m, _, err := p.known()
	if err != nil {
		return ""
	}
	return m.Issuer + " " + p.opts.Credential.ClientID
}

// origin is where people sign in; "" if that is not known.
func (p *provider) origin() string {
	m, _, err := p.known()
	if err != nil {
		return ""
	}
	u, err := url.Parse(m.AuthorizeURL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// A leg is what goes to the provider and has to come back the same. It follows
// from the id of a request, so that nothing of it has to be kept.
type leg struct{ state, nonce, verifier string }

func (s secret) leg(id string) leg {
	return leg{id + "." + s.mac("state", id), s.mac("nonce", id), s.mac("verifier", id)}
}

// requestOf is the id of the request that a state is for, or false if it was not
// made here.
func (s secret) requestOf(state string) (id string, ok bool) {
	id, mac, _ := strings.Cut(state, ".")
	return id, s.matches(mac, "state", id)
}

// authorizeURL is where the person signs in (RFC 6749 section 4.1.1, RFC 7636,
// OpenID Connect Core 1.0 section 3.1.2.1).
func (p *provider) authorizeURL(s secret, l *login) (string, error) {
	m, _, err := p.known()
	if err != nil {
		return "", err
	}
	leg := s.leg(l.Request.ID)
	query := url.Values{}
	for name, value := range p.opts.Parameters {
		query.Set(name, value)
	}
	for name, value := range map[string]string{
		"client_id": p.opts.Credential.ClientID, "redirect_uri": p.callback, "response_type": "code",
		"scope": strings.Join(p.opts.Request, " "), "state": leg.state, "nonce": leg.nonce,
		"code_challenge": digest(leg.verifier), "code_challenge_method": "S256",
		"prompt": first(l.Request.Prompt, p.opts.Prompt), "login_hint": first(l.Hint, l.Request.Hint), "claims": l.Claims,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return authserver.WithQuery(m.AuthorizeURL, query), nil
}

func first(texts ...string) string {
	i := slices.IndexFunc(texts, func(s string) bool { return s != "" })
	if i < 0 {
		return ""
	}
	return texts[i]
}

// A grant is what the provider gives when somebody has signed in, or still may.
type grant struct {
	IDToken      string `json:"id_token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
}

// redeem turns the code that the person came back with into tokens.
func (p *provider) redeem(ctx context.Context, s secret, requestID, code string) (*grant, error) {
	return p.ask(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.callback},
		"code_verifier": {s.leg(requestID).verifier},
	})
}

// refresh asks the provider whether a person may still sign in.
func (p *provider) refresh(ctx context.Context, token string) (*grant, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	if p.isEntra {
		form.Set("scope", strings.Join(p.opts.Request, " "))
	}
	return p.ask(ctx, form)
}

// ask returns a grant, or a *entra.TokenError if the provider gives none, or why it
// could not be asked. What is the operator's to mend is remembered until it is.
func (p *provider) ask(ctx context.Context, form url.Values) (*grant, error) {
	p.signIn.AwaitProvider(ctx)
	g, err := p.post(ctx, form)
	var refused *entra.TokenError
	switch {
	case ctx.Err() != nil: // which says nothing of the provider
	case err == nil, errors.As(err, &refused) && isAboutPerson(refused):
		p.opts.State.provider.Store(nil)
	default:
		p.opts.State.provider.Store(&err)
	}
	return g, err
}

// isAboutPerson reports whether the provider refuses a person, and nothing is wrong
// with the gateway.
func isAboutPerson(e *entra.TokenError) bool {
	return !e.Temporary() && (e.NeedsPerson() || e.OAuth == "access_denied")
}

func (p *provider) post(ctx context.Context, form url.Values) (*grant, error) {
	_, endpoint, err := p.known()
	if err != nil {
		return nil, err
	}
	a, err := endpoint.Post(ctx, form)
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		if refused, ok := entra.ParseTokenError(a.Status, a.Body); ok {
			return nil, refused
		}
		return nil, fmt.Errorf("the identity provider answered HTTP %d, and no error of OAuth", a.Status)
	}
	var g grant
	if err := json.Unmarshal(a.Body, &g); err != nil || !strings.EqualFold(g.TokenType, "Bearer") {
		return nil, errors.New("the identity provider answered HTTP 200, and no tokens")
	}
	return &g, nil
}

// identify says who the person of a grant is. A grant for a refresh token need not
// have an ID token (OpenID Connect Core 1.0 section 12.2); nil means that.
func (p *provider) identify(ctx context.Context, g *grant, nonce string) (*oauth.Identity, error) {
	if g.IDToken == "" {
		return nil, nil
	}
	who, err := p.signIn.Identify(ctx, g.IDToken, nonce)
	if err != nil {
		return nil, err
	}
	m, _, err := p.known()
	if err != nil {
		return nil, err
	}
	if m.UserinfoURL == "" || g.AccessToken == "" || !who.NeedsUserinfo() {
		return who, nil
	}
	return p.ofUserinfo(ctx, m.UserinfoURL, g.AccessToken, who.With)
}

// reidentify is identify for a grant that a refresh token gave to a person. A provider
// that gives no new ID token is asked at its userinfo endpoint, if it has one: nil
// means that nothing new is known.
func (p *provider) reidentify(ctx context.Context, g *grant, before *oauth.Identity) (*oauth.Identity, error) {
	if g.IDToken != "" {
		return p.identify(ctx, g, "")
	}
	m, _, err := p.known()
	if err != nil || p.isEntra || m.UserinfoURL == "" || g.AccessToken == "" {
		return nil, err
	}
	return p.ofUserinfo(ctx, m.UserinfoURL, g.AccessToken, before.Renewed)
}

// ofUserinfo is a person as make has them of what the userinfo endpoint says.
func (p *provider) ofUserinfo(ctx context.Context, endpoint, token string, make func([]byte) (*oauth.Identity, error)) (*oauth.Identity, error) {
	userinfo, err := p.userinfo(ctx, endpoint, token)
	if err != nil {
		return nil, err
	}
	who, err := make(userinfo)
	if errors.Is(err, oauth.ErrUserinfo) {
		return nil, fmt.Errorf("%w: %w", errUserinfo, err)
	}
	return who, err
}

const (
	userinfoTimeout = 10 * time.Second
	maxUserinfo     = 64 << 10 // bytes
)

// errUserinfo means that the provider did not say all of a person.
var errUserinfo = errors.New("the userinfo endpoint of the identity provider does not answer as it should")

func (p *provider) userinfo(ctx context.Context, endpoint, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: its URL is none", errUserinfo)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	a, err := client.Do(p.opts.HTTP, req, userinfoTimeout, maxUserinfo)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUserinfo, err)
	}
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("%w: it answered HTTP %d", errUserinfo, a.Status)
	}
	return a.Body, nil
}

// unreachable is what people hear while the provider cannot be asked.
func (b *broker) unreachable(err error) *authserver.Problem {
	return authserver.Unavailable("The identity provider cannot be reached at the moment; try again.", err.Error(),
		"Check that this machine reaches it, through a proxy if need be; mcpagg doctor says more.")
}

// refusedBy is what people and clients hear of an error of the provider's token
// endpoint.
func (b *broker) refusedBy(e *entra.TokenError) *authserver.Problem {
	code, _ := e.Code()
	remedy := strings.TrimSpace(code.Meaning + " " + code.Remedy)
	switch {
	case e.Temporary():
		p := authserver.Unavailable("The identity provider has trouble; try again.", e.Error(), remedy)
		p.Level = slog.LevelWarn
		return p
	case isAboutPerson(e):
		return &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "access_denied", Text: "The identity provider refused it: " + e.Description(), Cause: e.Error(), Remedy: remedy,
		}
	}
	return authserver.Unavailable("The identity provider does not accept how this gateway is configured; its operator has to mend that.", e.Error(),
		first(remedy, "Check client_id and the secret or certificate in the auth block; mcpagg doctor says more."))
}

// providerName is what people know the provider by.
func (b *broker) providerName() string {
	if b.provider.isEntra {
		return b.opts.Provider + " (Microsoft Entra ID)"
	}
	return b.opts.Provider
}

// A claimsRequest is the parameter claims (OpenID Connect Core 1.0 section 5.5).
type claimsRequest map[string]map[string]any

// contextClaims ask for an authentication context, in either token: which of them
// has it is up to the provider's configuration.
func contextClaims(context string) string {
	want := map[string]any{"acrs": map[string]any{"essential": true, "value": context}}
	text, err := json.Marshal(claimsRequest{"id_token": want, "access_token": maps.Clone(want)}, json.Deterministic(true))
	if err != nil {
		panic(err) // texts can be written as JSON
	}
	return string(text)
}

// pauseAfterLoop is how long a person is kept from a provider that found that the
// same is asked again and again (AADSTS50196).
const (
	pauseAfterLoop = 5 * time.Minute
	loopDetected   = 50196
)

func isLoop(e *entra.TokenError) bool { return slices.Contains(e.Numbers, loopDetected) }
