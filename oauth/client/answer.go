package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// An Answer is what came of a request.
type Answer struct {
	Status int // of HTTP
	Header http.Header
	Body   []byte
}

// Do sends a request, once and without cookies, and reads an answer of at most
// limit bytes. It follows no redirect: what it sends is for nobody else. Of client
// it uses the transport only; nil means the default one, with the proxies of the
// environment. The error says why there is no answer, in words for an operator and
// without the URL; if the context of the request has ended, it is the cause of that.
func Do(client *http.Client, req *http.Request, timeout time.Duration, limit int64) (*Answer, error) {
	ctx, cancel := bounded(req.Context(), timeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	resp, err := alone(client).Do(req)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", unreachable(ctx, err))
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("the answer is larger than %s", size(limit))
	}
	return &Answer{resp.StatusCode, resp.Header, body}, nil
}

// alone is a client that shares nothing with base but its connections.
func alone(base *http.Client) *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if base != nil {
		c.Transport = base.Transport
	}
	return c
}

// bounded is ctx with an end, and its reason in words.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("there was no answer within %s", timeout))
}

func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return withoutURL(err)
}

// withoutURL is an error of net/http or net/url without what was asked.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func size(bytes int64) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// Decode reads JSON into v. Members that stand twice are refused. The error holds
// nothing of the answer but its type.
func (a *Answer) Decode(v any) error {
	switch media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type")); {
	case media == "text/html":
		return errors.New("the answer is a web page; is the address right, and is no proxy in between?")
	case media != "application/json":
		return fmt.Errorf("the answer is %.60q, not JSON", media)
	}
	if json.Unmarshal(a.Body, v) != nil {
		return errors.New("the answer is not the JSON that is expected")
	}
	return nil
}

// IsRedirect reports whether the answer sends the gateway elsewhere.
func (a *Answer) IsRedirect() bool { return a.Status >= 300 && a.Status < 400 }

// maxPause bounds for how long an answer can send the gateway away.
const maxPause = 5 * time.Minute

// RetryAfter is for how long the answer asks to wait (RFC 9110, section 10.2.3),
// at least 1 s and at most 5 min; otherwise if it does not say.
func (a *Answer) RetryAfter(otherwise time.Duration) time.Duration {
	asked := a.Header.Get("Retry-After")
	wait := otherwise
	if seconds, err := strconv.ParseUint(asked, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(asked); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, time.Second), maxPause)
}
