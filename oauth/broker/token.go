package broker

import (
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/clientdoc"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// maxTokenForm bounds the body of a token request, in bytes.
const maxTokenForm = 16 << 10

// granted is what a client gets (RFC 6749 section 5.1).
type granted struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // s
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

// token redeems codes and refresh tokens (RFC 6749 sections 4.1.3 and 6).
func (b *broker) token(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	p, refusal := b.readTokenForm(w, r)
	if refusal != nil {
		return refusal
	}
	id, refusal := b.knownClient(p)
	if refusal != nil {
		return refusal
	}
	var answer *granted
	switch grant := p.Get("grant_type"); grant {
	case "authorization_code":
		answer, refusal = b.redeemCode(r, p, id)
	case "refresh_token":
		answer, refusal = b.refresh(r, p, id)
	case "":
		return authserver.InvalidRequest("The parameter grant_type is missing.")
	default:
		return &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "unsupported_grant_type",
			Text:   "The grant type " + authserver.Brief(grant) + " is not supported; authorization_code and refresh_token are.",
			Remedy: "Programs without a person get their tokens from the provider itself, and need an auth block with mode = \"resource-server\" and allow_app_tokens.",
		}
	}
	if refusal != nil {
		return refusal
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
	authserver.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (b *broker) readTokenForm(w http.ResponseWriter, r *http.Request) (authserver.Params, *authserver.Problem) {
	body, refusal := authserver.ReadBody(w, r, "application/x-www-form-urlencoded", "invalid_request", maxTokenForm)
	if refusal != nil {
		return authserver.Params{}, refusal
	}
	p, err := authserver.ParseParams(string(body))
	if err != nil {
		return p, authserver.InvalidRequest("The form cannot be read: " + err.Error() + ".")
	}
	for _, refusal := range []*authserver.Problem{p.CheckOnce(), authserver.CheckPublic(r, p), authserver.CheckResource(b.opts.PublicURL, p.Get("resource"))} {
		if refusal != nil {
			return p, refusal
		}
	}
	return p, nil
}

// knownClient is the id of a client that could have been given a code. Whether it
// was is known by the code.
func (b *broker) knownClient(p authserver.Params) (string, *authserver.Problem) {
	id, refusal := p.ClientID()
	if refusal != nil {
		return "", refusal
	}
	fixed := slices.ContainsFunc(b.opts.Clients, func(c Client) bool { return c.ID == id })
	if fixed || b.documents != nil && clientdoc.IsID(id) {
		return id, nil
	}
	var c registered
	rest, ok := strings.CutPrefix(id, registrationPrefix)
	if !ok || len(id) > maxClientID || b.state.secret.open("registration", rest, &c) != nil {
		return "", authserver.UnknownClient(id, http.StatusUnauthorized)
	}
	return id, nil
}

// invalidGrant is the answer to any code or refresh token that does not count. It
// does not say why, and the log does.
func invalidGrant(cause string) *authserver.Problem {
	return &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: "invalid_grant", Text: "The code or refresh token is not valid any more; sign in again.", Cause: cause,
	}
}

// redeemCode begins a session. A code that comes a second time is in wrong hands,
// one way or the other, so that its session ends (RFC 6749 section 4.1.2).
func (b *broker) redeemCode(r *http.Request, p authserver.Params, clientID string) (*granted, *authserver.Problem) {
	for _, name := range []string{"code", "redirect_uri", "code_verifier"} {
		if p.Get(name) == "" {
			return nil, authserver.InvalidRequest("The parameter " + name + " is missing.")
		}
	}
	c, revision, err := b.state.code(r.Context(), p.Get("code"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, invalidGrant("there is no such code, or it has expired")
	case err != nil:
		return nil, b.storeProblem(err)
	case c.Session != "":
		return nil, b.replayed(r, c.Session)
	case time.Now().After(c.Expires):
		return nil, invalidGrant("the code has expired")
	case !equal(c.ClientID, clientID):
		return nil, invalidGrant("the code is another client's")
	case !equal(c.RedirectURI, p.Get("redirect_uri")):
		return nil, invalidGrant("the code was for another redirect URI")
	case !authserver.IsVerifier(p.Get("code_verifier")) || !equal(c.Challenge, digest(p.Get("code_verifier"))):
		return nil, invalidGrant("the code verifier does not match the challenge (PKCE)")
	}
	return b.beginSession(r, p.Get("code"), c, revision)
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// replayed ends the session that a code was redeemed for.
func (b *broker) replayed(r *http.Request, session string) *authserver.Problem {
	if err := b.state.endSession(r.Context(), session, "its code was redeemed a second time"); err != nil {
		return b.storeProblem(err)
	}
	refusal := invalidGrant("the code was redeemed before; its session has ended")
	refusal.Level = slog.LevelWarn
	return refusal
}

// beginSession keeps the session first and spends the code then, so that a code is
// never spent for nothing; of two that redeem it at once, one keeps its session.
func (b *broker) beginSession(r *http.Request, text string, c *code, revision uint64) (*granted, *authserver.Problem) {
	who, err := b.signIn.Recall(c.Claims)
	if err != nil {
		return nil, invalidGrant("the configuration has changed since: " + err.Error())
	}
	now := time.Now()
	rec := &record{
		Person: who.ID(), Name: who.Name(), Provider: c.Provider, ClientID: c.ClientID, ClientName: c.ClientName, ClientHost: c.ClientHost,
		Scopes: c.Scopes, Claims: c.Claims, Refresh: c.Refresh, Created: now, Refreshed: now, Rotated: now,
		Ends: now.Add(b.lifetime(c.Refresh)), Key: []byte(random()),
	}
	id, err := b.state.createSession(r.Context(), rec)
	if err != nil {
		return nil, b.storeProblem(err)
	}
	if err := b.state.spendCode(r.Context(), text, revision, id); err != nil {
		if ended := b.state.endSession(r.Context(), id, "its code was redeemed at the same time"); ended != nil {
			b.log.Error("a session could not be ended", "session", id, "err", ended)
		}
		if errors.Is(err, store.ErrConflict) {
			return nil, invalidGrant("the code was redeemed at the same time")
		}
		return nil, b.storeProblem(err)
	}
	if rec.Refresh == "" {
		b.log.Warn("the provider gave no refresh token, so the person has to sign in again when the access token ends; allow it for the gateway's client",
			"provider", b.opts.Provider, "caller", rec.Person)
	}
	b.log.Info("signed in", "caller", rec.Person, "provider", rec.Provider, "client", logID(rec.ClientID), "session", id, "remote", r.RemoteAddr)
	return b.grant(id, rec)
}

// lifetime is how long a session lasts from its last refresh: without a refresh
// token of the provider there is none.
func (b *broker) lifetime(refresh string) time.Duration {
	if refresh == "" {
		return b.opts.AccessTTL + skew
	}
	return b.opts.SessionTTL
}

// grant issues the tokens of a session.
func (b *broker) grant(id string, rec *record) (*granted, *authserver.Problem) {
	access, err := b.accessToken(id, rec)
	if err != nil {
		return nil, authserver.Unavailable("The gateway cannot issue tokens at the moment; try again.", err.Error(), "")
	}
	g := &granted{AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(b.opts.AccessTTL / time.Second), Scope: strings.Join(rec.Scopes, " ")}
	if rec.Refresh != "" {
		g.RefreshToken = rec.refreshToken(id, rec.Generation)
	}
	return g, nil
}

// logID is a client id as the log has it: registrations are long.
func logID(id string) string {
	const most = 100
	if strings.HasPrefix(id, registrationPrefix) {
		return "registered " + id[len(id)-min(len(id), 10):]
	}
	return id[:min(len(id), most)]
}
