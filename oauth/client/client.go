// Package client is the gateway as a client of somebody's token endpoint: that of
// Entra or another identity provider.
//
//	endpoint := &client.Endpoint{
//		URL: "https://idp.example.com/token",
//		Credential: client.Credential{
//			ClientID: "5e8c4d2a-0000-0000-0000-000000000000",
//			Secret:   func(context.Context) (string, error) { return "…", nil },
//		},
//	}
//	answer, err := endpoint.Post(ctx, url.Values{"grant_type": {"client_credentials"}})
//
// Post proves which client the gateway is, sends the form once and brings back
// whatever the endpoint answered, within bounds. What the answer means is for the
// caller.
//
//	Post  (client.go)      one request: how many at once, for how long
//	form  (credential.go)  how it proves who it is: secret, certificate, federated token
//	Do    (answer.go)      the exchange itself: no redirect, nothing endless
package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// postTimeout bounds one request to an endpoint and its answer.
	postTimeout = 20 * time.Second
	// maxAnswer bounds an answer of an endpoint, in bytes.
	maxAnswer = 1 << 20
	// maxAtOnce bounds the requests to one endpoint that are under way.
	maxAtOnce = 100
)

// An Endpoint is a token endpoint and who the gateway is there. The fields must
// not change after the first use. It is safe for concurrent use; it must not be
// copied.
type Endpoint struct {
	URL        string
	Credential Credential
	// HTTP asks; nil means the default one, with the proxies of the environment.
	// Only its transport is used.
	HTTP *http.Client

	underWay atomic.Int64 // how many requests are
}

// Post sends a form with what proves who the gateway is, which replaces what the
// form says of that, and returns the answer, whatever its status.
//
// It is sent once: a code counts once, and a refresh token can. Nothing else goes
// with it; an Origin would make Entra take the gateway for a page in a browser. A
// redirect is not followed. All of it takes 20 s at most, an answer has at most
// 1 MiB, and there are at most 100 requests at once: one more is an error. An
// error says why there is no answer, for the gateway's own log, and holds nothing
// of the form; if ctx has ended, it is the cause of that.
func (e *Endpoint) Post(ctx context.Context, form url.Values) (*Answer, error) {
	defer e.underWay.Add(-1)
	if e.underWay.Add(1) > maxAtOnce {
		return nil, fmt.Errorf("%d requests to the token endpoint are under way", maxAtOnce)
	}
	ctx, cancel := bounded(ctx, postTimeout)
	defer cancel()
	form, header, err := e.Credential.apply(ctx, form, e.URL)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept-Encoding", "identity") // what is small when packed need not be small
	req.Header.Set("User-Agent", "mcpagg")
	answer, err := Do(e.HTTP, req, postTimeout, maxAnswer)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", req.URL.Host, err)
	}
	return answer, nil
}
