package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/client"
)

const (
	// renewBefore is how long before its end a token is replaced.
	renewBefore = 5 * time.Minute
)

// A tokenSource has the access token that the application has of itself for one
// API in one tenant (client credentials, RFC 6749 section 4.4). It is safe for
// concurrent use.
type tokenSource struct {
	// Set by the maker, never changed.
	endpoint *client.Endpoint
	scope    string

	turn chan struct{} // holds a token while somebody uses the following
	// current is "" while there is none.
	current  string
	obtained time.Time
	until    time.Time // when it is replaced
	failure  error     // of the last attempt
	retry    time.Time // when there may be another
}

func newTokenSource(c client.Credential, hc *http.Client, cloud Cloud, tenant string) *tokenSource {
	return &tokenSource{
		endpoint: &client.Endpoint{URL: cloud.V2(tenant) + "/token", Credential: c, HTTP: hc},
		scope:    cloud.Graph + "/.default",
		turn:     make(chan struct{}, 1),
	}
}

// take waits for the turn, which release gives on.
func (s *tokenSource) take(ctx context.Context) (release func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the gateway's own sign-in: %w", context.Cause(ctx))
	}
}

// get is a token. Who comes while another one asks for it waits for that. After a
// failure there is a pause.
func (s *tokenSource) get(ctx context.Context) (string, error) {
	release, err := s.take(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	now := time.Now()
	switch {
	case s.current != "" && now.Before(s.until):
		return s.current, nil
	case now.Before(s.retry):
		return "", s.failure
	}
	s.current, s.obtained = "", now
	token, life, err := s.request(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx) // which says nothing of Entra
		}
		s.failure = fmt.Errorf("the gateway's own sign-in as the application %s: %w", s.endpoint.Credential.ClientID, err)
		if now = time.Now(); s.retry.Before(now) {
			s.retry = now.Add(retryPause)
		}
		return "", s.failure
	}
	s.current, s.until = token, now.Add(life-min(renewBefore, life/10))
	return token, nil
}

// replace is another token than one that was not good enough: it may have been
// revoked, and it lacks what was granted meanwhile. A fresh one is not replaced.
func (s *tokenSource) replace(ctx context.Context, token string) (string, error) {
	release, err := s.take(ctx)
	if err != nil {
		return "", err
	}
	if s.current == token && time.Since(s.obtained) >= retryPause {
		s.current = ""
	}
	release()
	return s.get(ctx)
}

// request asks for a token, and says how long it lives.
func (s *tokenSource) request(ctx context.Context) (string, time.Duration, error) {
	if s.endpoint.Credential.Public() {
		return "", 0, errors.New("there is no secret, certificate or federated token")
	}
	a, err := s.endpoint.Post(ctx, url.Values{"grant_type": {"client_credentials"}, "scope": {s.scope}})
	if err != nil {
		return "", 0, err
	}
	if a.Status != http.StatusOK {
		return "", 0, s.refusal(a)
	}
	var granted struct {
		Type  string  `json:"token_type"`
		Token string  `json:"access_token"`
		Life  float64 `json:"expires_in"` // s
	}
	if err := a.Decode(&granted); err != nil {
		return "", 0, err
	}
	const day = 24 * 60 * 60
	if !strings.EqualFold(granted.Type, "Bearer") || !client.IsToken(granted.Token) || granted.Life <= 0 {
		return "", 0, errors.New("the answer of Entra has no bearer token, or does not say how long it lives")
	}
	return granted.Token, time.Duration(min(granted.Life, day) * float64(time.Second)), nil
}

// refusal is why Entra gave no token, and what to do about it. Nothing of the
// answer is quoted but codes and ids.
func (s *tokenSource) refusal(a *client.Answer) error {
	s.retry = time.Now().Add(a.RetryAfter(retryPause))
	e, ok := ParseTokenError(a.Status, a.Body)
	switch {
	case a.IsRedirect():
		return fmt.Errorf("the answer of Entra is HTTP %d, a redirect, which is not followed", a.Status)
	case !ok:
		return fmt.Errorf("the answer of Entra is HTTP %d, and no error of OAuth", a.Status)
	}
	if c, known := e.Code(); known {
		return fmt.Errorf("%w: %s", e, c.Remedy)
	}
	return e
}
