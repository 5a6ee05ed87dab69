package compat

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/client"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

// An upstream is Entra's two endpoints.
type upstream struct {
	authorizeURL string
	tokens       client.Endpoint
}

func newUpstream(opts Options) *upstream {
	base := opts.Cloud.V2(opts.Tenant)
	return &upstream{
		authorizeURL: base + "/authorize",
		tokens:       client.Endpoint{URL: base + "/token", Credential: client.Credential{ClientID: opts.ClientID}, HTTP: opts.HTTP},
	}
}

// ask gets a token from Entra, or says why there is none.
func (f *Facade) ask(ctx context.Context, form url.Values) (*granted, *authserver.Problem) {
	answer, err := f.upstream.tokens.Post(ctx, form)
	switch {
	case err != nil && ctx.Err() != nil:
		p := authserver.Unavailable("The request was given up.", "the client hung up before Entra answered", "")
		p.Level = slog.LevelInfo
		return nil, p
	case err != nil:
		return nil, authserver.Unavailable("Microsoft Entra ID cannot be reached at the moment; try again.", err.Error(), "Check that this machine reaches "+f.opts.Cloud.Authority+", through a proxy if need be.")
	case answer.Status == http.StatusOK:
		return f.grant(answer.Body)
	}
	wait := answer.RetryAfter(authserver.DefaultWait)
	if e, ok := entra.ParseTokenError(answer.Status, answer.Body); ok {
		return nil, f.refused(e, wait)
	}
	message, remedy := "Microsoft Entra ID did not answer as it should; try again.", "Look at what is between this machine and "+f.opts.Cloud.Authority+", if it returns."
	if answer.Status == http.StatusTooManyRequests {
		message, remedy = "Microsoft Entra ID is asked too often; try again later.", "See which client asks so often."
	}
	p := authserver.Unavailable(message, fmt.Sprintf("HTTP %d, and no error of OAuth", answer.Status), remedy)
	p.Wait = wait
	return nil, p
}

// passed are errors of a token request that the client caused and that it can
// understand.
var passed = []string{"invalid_request", "invalid_scope"}

// refused is what the client hears of an error of Entra. Clients know what to do
// with invalid_grant: they drop their tokens and let the person sign in again.
// They would drop their registration for invalid_client, which is about the
// configuration here.
func (f *Facade) refused(e *entra.TokenError, wait time.Duration) *authserver.Problem {
	code, _ := e.Code()
	p := &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: e.OAuth, Text: "Entra refused it: " + e.Description(), Cause: e.Error(),
		Remedy: strings.TrimSpace(code.Meaning + " " + code.Remedy),
	}
	switch {
	case e.Temporary():
		p = authserver.Unavailable("Microsoft Entra ID has trouble; try again. "+e.Description(), p.Cause, p.Remedy)
		p.Level, p.Wait = slog.LevelWarn, wait
	case e.NeedsPerson(), e.OAuth == "access_denied":
		p.OAuth = "invalid_grant"
	case slices.Contains(passed, e.OAuth):
		p.Level = slog.LevelWarn
	default:
		p = authserver.Unavailable("Entra does not accept how this gateway is configured; its operator has to mend that. "+e.Description(), p.Cause, p.Remedy)
	}
	return p
}
