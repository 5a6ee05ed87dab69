package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxTokenAnswer bounds an answer of the token endpoint, in bytes.
	maxTokenAnswer = 256 << 10
	// renewBefore is how long before its end a token is replaced.
	renewBefore = 5 * time.Minute
)

// A tokenSource has the access token that the application has of itself for one
// API in one tenant (client credentials, RFC 6749 section 4.4). It is safe for
// concurrent use.
type tokenSource struct {
	// Set by the maker, never changed.
	credential *credential
	http       *http.Client
	endpoint   string
	scope      string

	turn chan struct{} // holds a token while somebody uses the following
	// current is "" while there is none.
	current  string
	obtained time.Time
	until    time.Time // when it is replaced
	failure  error     // of the last attempt
	retry    time.Time // when there may be another
}

func newTokenSource(c *credential, client *http.Client, cloud Cloud, tenant string) *tokenSource {
	return &tokenSource{
		credential: c, http: client, endpoint: cloud.V2(tenant) + "/token", scope: cloud.Graph + "/.default",
		turn: make(chan struct{}, 1),
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
		s.failure = fmt.Errorf("the gateway's own sign-in as the application %s: %w", s.credential.clientID, err)
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
	form, err := s.credential.form(ctx, s.endpoint)
	if err != nil {
		return "", 0, err
	}
	form.Set("grant_type", "client_credentials")
	form.Set("scope", s.scope)
	a, err := s.post(ctx, form)
	if err != nil {
		return "", 0, err
	}
	if a.status != http.StatusOK {
		return "", 0, s.refusal(a)
	}
	var granted struct {
		Type  string  `json:"token_type"`
		Token string  `json:"access_token"`
		Life  float64 `json:"expires_in"` // s
	}
	if err := a.decode(&granted); err != nil {
		return "", 0, err
	}
	const day = 24 * 60 * 60
	if !strings.EqualFold(granted.Type, "Bearer") || !isToken(granted.Token) || granted.Life <= 0 {
		return "", 0, errors.New("the answer of Entra has no bearer token, or does not say how long it lives")
	}
	return granted.Token, time.Duration(min(granted.Life, day) * float64(time.Second)), nil
}

func (s *tokenSource) post(ctx context.Context, form url.Values) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := do(ctx, s.http, req, maxTokenAnswer)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", req.URL.Host, err)
	}
	return a, nil
}

// refusal is why Entra gave no token, and what to do about it. Nothing of the
// answer is quoted but codes and ids.
func (s *tokenSource) refusal(a *answer) error {
	s.retry = time.Now().Add(a.retryAfter(retryPause))
	e, ok := ParseTokenError(a.status, a.body)
	switch {
	case a.isRedirect():
		return fmt.Errorf("the answer of Entra is HTTP %d, a redirect, which is not followed", a.status)
	case !ok:
		return fmt.Errorf("the answer of Entra is HTTP %d, and no error of OAuth", a.status)
	}
	if c, known := e.Code(); known {
		return fmt.Errorf("%w: %s", e, c.Remedy)
	}
	return e
}
