package broker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/entra"
	"github.com/mcpagg/mcpagg/oauth/pages"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// maxCallback bounds the query that the provider sends people back with, in bytes.
const maxCallback = 16 << 10

// maxRepeats bounds how often one sign-in may turn out not to be enough.
const maxRepeats = 2

// A person signs in once each signInEvery in the long run, and signInBurst times at
// once: each time ends a session if they have many, and what was is remembered for as
// long as the session could have lasted.
const (
	signInEvery = time.Second
	signInBurst = 5000
)

// callback is where the provider sends people back to. Only the browser that
// agreed gets any further, and only once; the provider's code is not redeemed
// before that is certain.
func (b *broker) callback(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	if len(r.URL.RawQuery) > maxCallback {
		return authserver.InvalidRequest("The answer of the identity provider is longer than 16 KiB.")
	}
	p, err := authserver.ParseParams(r.URL.RawQuery)
	if err != nil {
		return authserver.InvalidRequest("The answer of the identity provider cannot be read.")
	}
	if refusal := p.CheckOnce(); refusal != nil {
		return refusal
	}
	l, refusal := b.claimLogin(w, r, p)
	if refusal != nil {
		return refusal
	}
	who, g, claims, refusal := b.complete(r, l, p)
	if who != nil { // only by that: the provider is asked about codes that anybody makes up
		b.state.logins.end(l.Request.ID)
	}
	switch {
	case refusal == nil && claims != "":
		if refusal = b.repeat(w, r, l, claims, who); refusal == nil {
			return nil
		}
		fallthrough
	case refusal != nil:
		return b.refuseLogin(w, r, l, who, refusal)
	case l.Request.Own:
		return b.openPage(w, r, who)
	}
	return b.giveCode(w, r, l, who, g)
}

// claimLogin finds the sign-in that the person comes back from, and makes sure that
// they come back once, in the browser in which they agreed.
func (b *broker) claimLogin(w http.ResponseWriter, r *http.Request, p authserver.Params) (*login, *authserver.Problem) {
	id, ok := b.state.secret.requestOf(p.Get("state"))
	if !ok {
		return nil, strayAnswer()
	}
	cookie := b.cookie(r, signInCookie, id)
	l, revision, err := b.state.login(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, strayAnswer()
	case err != nil:
		return nil, b.storeProblem(err)
	case cookie == "" || !equal(digest(cookie), l.Binding):
		return nil, otherBrowser()
	case l.Used:
		return nil, b.storeProblem(errUsed)
	}
	b.signIn.AwaitProvider(r.Context())
	if refusal := b.checkProvider(l, p.Get("iss")); refusal != nil {
		return nil, refusal
	}
	if refusal := b.recheckReturn(r, &l.Request); refusal != nil {
		return nil, refusal
	}
	if refusal := b.storeProblem(b.state.useLogin(r.Context(), l, revision)); refusal != nil {
		return nil, refusal
	}
	b.dropCookie(w, signInCookie, id) // the consent's stays: a form that is sent again is told that it was used
	return l, nil
}

// checkProvider makes sure that an answer is of the provider that the person was sent
// to. The issuer is what the answer says, "" for nothing (RFC 9207).
func (b *broker) checkProvider(l *login, issuer string) *authserver.Problem {
	m, _, err := b.provider.known()
	switch {
	case err != nil:
		return b.unreachable(err) // so that the same answer counts in a moment
	case l.Provider != b.provider.name(): // the configuration has changed since
		return strayAnswer()
	case issuer != "" && !b.signIn.IsProvider(issuer), issuer == "" && m.IssParameter:
		return &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "invalid_request", Level: slog.LevelWarn,
			Text:  "The answer is not from the identity provider that this gateway sent you to.",
			Cause: "iss in the answer is not that of the provider (RFC 9207)",
		}
	}
	return nil
}

func strayAnswer() *authserver.Problem {
	return &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: "invalid_request", Text: "No sign-in is under way that this answer belongs to; it may have taken too long.",
		Advice: "Go back to the program that you use, and sign in from there again.",
	}
}

func otherBrowser() *authserver.Problem {
	return &authserver.Problem{
		Status: http.StatusForbidden, OAuth: "access_denied", Level: slog.LevelWarn,
		Text:   "This sign-in was begun in another browser, so it does not go on in this one.",
		Advice: "If somebody sent you a link to sign in with, do not go on: it would have signed them in as you. If you began it yourself, begin again, in one browser that keeps cookies.",
		Cause:  "the browser that came back from the provider is not the one in which somebody agreed",
	}
}

// complete turns what the provider answered into a person and a grant. The claims
// are what another sign-in has to satisfy before this one counts; "" for none.
func (b *broker) complete(r *http.Request, l *login, p authserver.Params) (who *oauth.Identity, g *grant, claims string, refusal *authserver.Problem) {
	if name := p.Get("error"); name != "" {
		return nil, nil, "", providerError(name, p.Get("error_description"))
	}
	if p.Get("code") == "" {
		return nil, nil, "", &authserver.Problem{OAuth: "server_error", Text: "The identity provider answered neither a code nor an error.", Level: slog.LevelWarn}
	}
	g, err := b.provider.redeem(r.Context(), b.state.secret, l.Request.ID, p.Get("code"))
	if refused := (*entra.TokenError)(nil); errors.As(err, &refused) {
		if refused.Claims != "" {
			return nil, nil, refused.Claims, nil
		}
		return nil, nil, "", b.refusedBy(refused)
	}
	if err != nil {
		return nil, nil, "", b.unreachable(err)
	}
	who, err = b.provider.identify(r.Context(), g, b.state.secret.leg(l.Request.ID).nonce)
	switch {
	case errors.Is(err, errUserinfo):
		return nil, nil, "", b.unreachable(err)
	case err != nil:
		return nil, nil, "", b.unfit(err)
	case who == nil:
		return nil, nil, "", b.unfit(errors.New("there is none; the provider must be asked for the scope openid"))
	}
	if !b.state.signIns.allow(who.ID()) {
		return who, nil, "", authserver.TooMany("This person has signed in too often lately; try again later.", time.Minute)
	}
	claims, refusal = b.challenge(r.Context(), l, who)
	return who, g, claims, refusal
}

// challenge is what the sign-in of a person has to satisfy and does not: something
// that they did, or the session before this one, turned out to need it.
func (b *broker) challenge(ctx context.Context, l *login, who *oauth.Identity) (claims string, refusal *authserver.Problem) {
	claims, err := b.state.challengeOf(ctx, who.ID())
	if claims != "" && claims == l.Claims { // this is the sign-in that satisfies it
		claims, err = "", b.state.dropChallenge(ctx, who.ID())
	}
	return claims, b.storeProblem(err)
}

// unfit is what a person hears of an ID token that does not count.
func (b *broker) unfit(err error) *authserver.Problem {
	return &authserver.Problem{
		Status: http.StatusForbidden, OAuth: "access_denied", Level: slog.LevelWarn,
		Text:  "The identity provider says who you are in a way that this gateway does not accept; its operator can see why in the log.",
		Cause: "the ID token: " + err.Error(),
	}
}

// passedErrors are errors of the provider's authorization endpoint that mean the
// same to a client.
var passedErrors = []string{"access_denied", "interaction_required", "login_required", "consent_required", "account_selection_required", "temporarily_unavailable"}

// providerError is what a client hears of an error that the person came back with.
// The provider's own words may be about the person, so they are not passed on.
func providerError(name, description string) *authserver.Problem {
	p := &authserver.Problem{Status: http.StatusBadRequest, OAuth: name, Text: "The identity provider did not sign the person in (" + name + ")."}
	if !slices.Contains(passedErrors, name) {
		p.OAuth, p.Level = "server_error", slog.LevelWarn
		p.Text = "The identity provider did not accept the request."
		p.Cause = "the provider answered " + authserver.Brief(name)
	}
	for _, n := range entra.CodesIn(description) {
		if c, ok := entra.Explain(n); ok {
			p.Text += " " + c.Meaning
			p.Remedy = c.Remedy
			break
		}
	}
	return p
}

// repeat begins a sign-in anew, with claims for the provider.
func (b *broker) repeat(w http.ResponseWriter, r *http.Request, l *login, claims string, who *oauth.Identity) *authserver.Problem {
	if l.Repeats >= maxRepeats {
		return &authserver.Problem{
			Status: http.StatusForbidden, OAuth: "access_denied", Level: slog.LevelWarn,
			Text: "The identity provider wants a stronger sign-in each time. A policy of your organisation may not let you in from here.",
		}
	}
	next := &login{Request: l.Request, Claims: claims, Repeats: l.Repeats + 1}
	if who != nil {
		next.Hint = plausibleHint(who.Username())
	}
	next.Request.ID = randomID()
	return b.beginLogin(w, r, next, random())
}

// refuseLogin tells the client, or the person where there is none.
func (b *broker) refuseLogin(w http.ResponseWriter, r *http.Request, l *login, who *oauth.Identity, refusal *authserver.Problem) *authserver.Problem {
	if l.Request.Own {
		return refusal
	}
	b.server.Journal.Refused(r, "callback", refusal)
	if who != nil {
		b.log.Warn("a person was not signed in", "caller", who.ID(), "client", logID(l.Request.ClientID))
	}
	b.sendBack(w, r, l.Request.RedirectURI, l.Request.State, refusal)
	return nil
}

// giveCode sends the person back to the client with a code (RFC 6749 section
// 4.1.2, RFC 9207).
func (b *broker) giveCode(w http.ResponseWriter, r *http.Request, l *login, who *oauth.Identity, g *grant) *authserver.Problem {
	text := random()
	req := &l.Request
	err := b.state.createCode(r.Context(), text, &code{
		Person: who.ID(), Name: who.Name(),
		ClientID: req.ClientID, ClientName: req.ClientName, ClientHost: req.ClientHost, RedirectURI: req.RedirectURI,
		Challenge: req.Challenge, Scopes: req.Scopes, Provider: b.opts.Provider, Claims: who.Claims(), Refresh: g.RefreshToken,
		Expires: time.Now().Add(codeTTL),
	})
	if refusal := b.storeProblem(err); refusal != nil {
		return b.refuseLogin(w, r, l, who, refusal)
	}
	answer := b.response(req.State)
	answer.Set("code", text)
	to := authserver.WithQuery(req.RedirectURI, answer)
	if u, err := url.Parse(req.RedirectURI); err == nil && u.Scheme != "http" && u.Scheme != "https" {
		b.showSignedIn(r.Context(), w, req, who, to)
		return nil
	}
	authserver.Redirect(w, r, to)
	return nil
}

// showSignedIn is a page that goes on to a program of the person's machine by
// itself: the browser would stay where it was.
func (b *broker) showSignedIn(ctx context.Context, w http.ResponseWriter, req *request, who *oauth.Identity, to string) {
	c, _ := b.signIn.Person(ctx, who, time.Now().Add(b.opts.AccessTTL))
	tools, why := b.toolsOf(c)
	pages.SignedIn(w, pages.SignedInPage{
		Gateway: b.opts.PublicURL.Host, Name: c.Name, Groups: c.Groups.Names, GroupsWhy: groupsWhy(c), Tools: len(tools), ToolsWhy: why,
		Client: first(req.ClientName, req.ClientHost), Continue: to, Me: b.server.Base + mePath,
	})
}

func groupsWhy(c *oauth.Caller) string {
	if c.Groups.Complete {
		return ""
	}
	return c.Groups.Why
}
