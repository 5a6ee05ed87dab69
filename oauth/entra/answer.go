package entra

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

const (
	// answerTimeout bounds one request and its answer.
	answerTimeout = 10 * time.Second
	// retryPause is after how long something that failed is tried again: people who
	// are refused meanwhile should not wait long once it is mended. A server that is
	// busy gets busyPause, or what it asks for up to maxPause.
	retryPause = 5 * time.Second
	busyPause  = 30 * time.Second
	maxPause   = 5 * time.Minute
)

// client is base, or a client of its own, but follows no redirect: what it sends
// is for nobody else.
func client(base *http.Client) *http.Client {
	c := &http.Client{}
	if base == nil {
		t := http.DefaultTransport.(*http.Transport).Clone() // with the proxies of the environment
		t.MaxIdleConnsPerHost = maxAtOnce
		c.Transport = t
	} else {
		*c = *base
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// An answer is what came of a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request and reads an answer of at most limit bytes. The error says
// that there was none.
func do(ctx context.Context, c *http.Client, req *http.Request, limit int64) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req.Header.Set("Accept", "application/json")
	resp, err := c.Do(req.WithContext(ctx))
	if err != nil {
		return nil, unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, unreachable(fmt.Errorf("reading the answer: %w", err))
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("the answer is larger than %d KiB", limit>>10)
	}
	return &answer{resp.StatusCode, resp.Header, body}, nil
}

// unreachable is an error of a client without the URL.
func unreachable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("there was no answer within %s", answerTimeout)
	}
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// decode reads an answer that is a success. Members that stand twice are refused.
func (a *answer) decode(v any) error {
	switch media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); {
	case media == "text/html":
		return errors.New("the answer is a web page; is the address right, and is no proxy in between?")
	case media != "application/json":
		return fmt.Errorf("the answer is %.60q, not JSON", media)
	}
	if json.Unmarshal(a.body, v) != nil {
		return errors.New("the answer is not the JSON that is expected")
	}
	return nil
}

// isRedirect reports whether an answer sends the gateway elsewhere.
func (a *answer) isRedirect() bool { return a.status >= 300 && a.status < 400 }

// retryAfter is for how long an answer asks to wait (RFC 9110, section 10.2.3),
// at most maxPause; otherwise if it does not say.
func (a *answer) retryAfter(otherwise time.Duration) time.Duration {
	asked := a.header.Get("Retry-After")
	wait := otherwise
	if seconds, err := strconv.ParseUint(asked, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(asked); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, time.Second), maxPause)
}
