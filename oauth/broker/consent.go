package broker

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// maxForm bounds the form of a page, in bytes.
const maxForm = 32 << 10

// consent takes the person's answer, and sends them on.
func (b *broker) consent(w http.ResponseWriter, r *http.Request) *authserver.Problem {
	p, refusal := b.readForm(w, r)
	if refusal != nil {
		return refusal
	}
	var req request
	if err := b.state.secret.open("request", p.Get("request"), &req); err != nil {
		return foreignForm()
	}
	cookie := b.cookie(r, consentCookie, req.ID)
	switch {
	case cookie == "" || !b.state.secret.matches(p.Get("token"), "consent", req.ID, cookie):
		return foreignForm()
	case time.Now().Unix() > req.Expires:
		return tooLate()
	}
	if refusal := b.recheckReturn(r, &req); refusal != nil {
		return refusal
	}
	if p.Get("answer") != "approve" {
		return b.decline(w, r, &req)
	}
	return b.beginLogin(w, r, &login{Request: req}, cookie)
}

// decline tells the client that the person did not agree. If they had agreed before,
// and are at the provider in another tab, nothing comes of that any more.
func (b *broker) decline(w http.ResponseWriter, r *http.Request, req *request) *authserver.Problem {
	if refusal := b.storeProblem(b.state.dropLogin(r.Context(), req.ID)); refusal != nil {
		return refusal
	}
	b.dropCookie(w, consentCookie, req.ID)
	b.dropCookie(w, signInCookie, req.ID)
	answer := b.response(req.State)
	answer.Set("error", "access_denied")
	answer.Set("error_description", "The person did not agree.")
	b.leaveForm(w, r, req.RedirectURI, "", authserver.WithQuery(req.RedirectURI, answer))
	b.server.Journal.Write(r, slog.LevelInfo, "sign-in declined", slog.String("of", logID(req.ClientID)))
	return nil
}

// readForm reads a form that a page of the gateway has sent.
func (b *broker) readForm(w http.ResponseWriter, r *http.Request) (authserver.Params, *authserver.Problem) {
	body, refusal := authserver.ReadBody(w, r, "application/x-www-form-urlencoded", "invalid_request", maxForm)
	if refusal != nil {
		return authserver.Params{}, refusal
	}
	p, err := authserver.ParseParams(string(body))
	if err != nil {
		return p, authserver.InvalidRequest("The form cannot be read: " + err.Error() + ".")
	}
	if !b.fromOwnPage(r) {
		return p, foreignForm()
	}
	return p, p.CheckOnce()
}

func foreignForm() *authserver.Problem {
	return &authserver.Problem{
		Status: http.StatusForbidden, OAuth: "access_denied", Text: "This form was not sent by the page that belongs to it, in the browser that it was shown in.",
		Advice: "If you sign in to use a program, begin again from there, and let this browser keep cookies. If somebody sent you a link, do not go on.",
	}
}

func tooLate() *authserver.Problem {
	return &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: "invalid_request", Text: "This sign-in was begun too long ago.",
		Advice: "Go back to the program that opened this page, and sign in from there again.",
	}
}

// recheckReturn makes sure that the client may still be answered where it asked
// to be: its document, or the configuration, may have changed meanwhile.
func (b *broker) recheckReturn(r *http.Request, req *request) *authserver.Problem {
	if req.Own {
		return nil
	}
	c, refusal := b.client(r, req.ClientID)
	if refusal != nil {
		return refusal
	}
	return b.checkRedirect(c, req.RedirectURI)
}

// beginLogin sends the person to the provider. Who has the browser's cookie can
// come back from there, and nobody else. What it consists of follows from the
// request and the cookie, so that a form that is sent twice leads to the same.
func (b *broker) beginLogin(w http.ResponseWriter, r *http.Request, l *login, cookie string) *authserver.Problem {
	b.signIn.AwaitProvider(r.Context())
	to, err := b.provider.authorizeURL(b.state.secret, l)
	if err != nil {
		return b.unreachable(err)
	}
	binding := b.state.secret.mac("binding", l.Request.ID, cookie)
	l.Binding, l.Provider = digest(binding), b.provider.name()
	if !b.state.logins.begin(l.Request.ID, authserver.Neighbourhood(r.RemoteAddr)) {
		return authserver.TooMany("Too many people are signing in at the moment and have not come back from the identity provider; try again in a few minutes.", time.Minute)
	}
	err = b.state.createLogin(r.Context(), l)
	if errors.Is(err, store.ErrExists) {
		err = b.state.repeatedLogin(r.Context(), l)
	}
	if refusal := b.storeProblem(err); refusal != nil {
		b.state.logins.end(l.Request.ID)
		return refusal
	}
	b.setCookie(w, r, signInCookie, l.Request.ID, binding, loginTTL)
	b.leaveForm(w, r, l.Request.RedirectURI, b.providerName(), to)
	return nil
}

var errUsed = errors.New("it was used already")

// storeProblem is what a person or client hears of an error of the store.
func (b *broker) storeProblem(err error) *authserver.Problem {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUsed):
		return &authserver.Problem{
			Status: http.StatusBadRequest, OAuth: "invalid_request", Text: "This sign-in was completed already, perhaps in another tab.",
			Advice: "If the program that you use does not know that you are signed in, begin again from there.",
		}
	}
	return authserver.Unavailable("The gateway cannot remember anything at the moment; try again.", err.Error(),
		"See what is wrong with the folder of store.dir: whether its disk is full or cannot be written to.")
}
