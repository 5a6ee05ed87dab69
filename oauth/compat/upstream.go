package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/authserver"
	"github.com/mcpagg/mcpagg/oauth/entra"
)

const (
	// upstreamTimeout is how long Entra may take for an answer.
	upstreamTimeout = 20 * time.Second
	// maxAnswer bounds an answer of Entra, in bytes.
	maxAnswer = 1 << 20
	// maxAsking bounds how many requests to Entra are under way.
	maxAsking = 100
	// maxWait bounds for how long Entra can send clients away.
	maxWait = 5 * time.Minute
)

// An upstream is Entra's two endpoints.
type upstream struct {
	authorizeURL, tokenURL string
	client                 *http.Client
	asking                 chan struct{} // holds a token for each request that is under way
}

func newUpstream(opts Options) upstream {
	client := http.Client{Transport: http.DefaultTransport} // with the proxies of the environment
	if opts.HTTP != nil {
		client = *opts.HTTP
	}
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	base := opts.Cloud.V2(opts.Tenant)
	return upstream{base + "/authorize", base + "/token", &client, make(chan struct{}, maxAsking)}
}

// ask gets a token from Entra, or says why there is none.
func (f *Facade) ask(ctx context.Context, form url.Values) (*granted, *authserver.Problem) {
	status, header, body, err := f.upstream.post(ctx, form)
	switch {
	case err != nil && ctx.Err() != nil:
		p := authserver.Unavailable("The request was given up.", "the client hung up before Entra answered", "")
		p.Level = slog.LevelInfo
		return nil, p
	case err != nil:
		return nil, authserver.Unavailable("Microsoft Entra ID cannot be reached at the moment; try again.", err.Error(), "Check that this machine reaches "+f.opts.Cloud.Authority+", through a proxy if need be.")
	case status == http.StatusOK:
		return f.grant(body)
	}
	if e, ok := entra.ParseTokenError(status, body); ok {
		return nil, f.refused(e, header)
	}
	message, remedy := "Microsoft Entra ID did not answer as it should; try again.", "Look at what is between this machine and "+f.opts.Cloud.Authority+", if it returns."
	if status == http.StatusTooManyRequests {
		message, remedy = "Microsoft Entra ID is asked too often; try again later.", "See which client asks so often."
	}
	p := authserver.Unavailable(message, fmt.Sprintf("HTTP %d, and no error of OAuth", status), remedy)
	p.Wait = waitOf(header)
	return nil, p
}

// post sends a form. Nothing of the client's own request goes with it: an Origin
// would make Entra take it for a page in a browser. It is sent once, as a code
// counts once.
func (u *upstream) post(ctx context.Context, form url.Values) (status int, header http.Header, body []byte, err error) {
	select {
	case u.asking <- struct{}{}:
		defer func() { <-u.asking }()
	default:
		return 0, nil, nil, fmt.Errorf("%d requests to it are under way", maxAsking)
	}
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity") // what is small when packed need not be small
	req.Header.Set("User-Agent", "mcpagg")
	resp, err := u.client.Do(req)
	if err != nil {
		return 0, nil, nil, withoutURL(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, nil, errors.New("the connection broke before the answer was complete")
	case len(body) > maxAnswer:
		return 0, nil, nil, errors.New("the answer is larger than 1 MiB")
	}
	return resp.StatusCode, resp.Header, body, nil
}

func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// passed are errors of a token request that the client caused and that it can
// understand.
var passed = []string{"invalid_request", "invalid_scope"}

// refused is what the client hears of an error of Entra. Clients know what to do
// with invalid_grant: they drop their tokens and let the person sign in again.
// They would drop their registration for invalid_client, which is about the
// configuration here.
func (f *Facade) refused(e *entra.TokenError, header http.Header) *authserver.Problem {
	code, _ := e.Code()
	p := &authserver.Problem{
		Status: http.StatusBadRequest, OAuth: e.OAuth, Text: "Entra refused it: " + e.Description(), Cause: e.Error(),
		Remedy: strings.TrimSpace(code.Meaning + " " + code.Remedy),
	}
	switch {
	case e.Temporary():
		p = authserver.Unavailable("Microsoft Entra ID has trouble; try again. "+e.Description(), p.Cause, p.Remedy)
		p.Level, p.Wait = slog.LevelWarn, waitOf(header)
	case e.NeedsPerson(), e.OAuth == "access_denied":
		p.OAuth = "invalid_grant"
	case slices.Contains(passed, e.OAuth):
		p.Level = slog.LevelWarn
	default:
		p = authserver.Unavailable("Entra does not accept how this gateway is configured; its operator has to mend that. "+e.Description(), p.Cause, p.Remedy)
	}
	return p
}

// waitOf is when Entra wants to be asked again.
func waitOf(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return authserver.DefaultWait
	}
	return min(time.Duration(min(seconds, 3600))*time.Second, maxWait)
}
