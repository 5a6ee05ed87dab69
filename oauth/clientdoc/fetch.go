package clientdoc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mcpagg/mcpagg/oauth/guard"
)

const (
	// maxDocument bounds a document, in bytes: what the draft recommends.
	maxDocument = 5 << 10

	// A document is fresh for as long as its answer says, within these bounds, and
	// for defaultFresh if it does not say (RFC 9111 section 5.2).
	minFresh, defaultFresh, maxFresh = 5 * time.Minute, time.Hour, 24 * time.Hour
)

// fetch reads the document of an id. The error is a *Refused or an *Unavailable.
func (f *Fetcher) fetch(ctx context.Context, id, host string) (*Document, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, id, nil)
	if err != nil {
		return nil, 0, refusedf("The client's id is no URL.")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, 0, unreachable(host, err)
	}
	defer resp.Body.Close()
	if err := checkAnswer(id, host, resp); err != nil {
		return nil, 0, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case len(body) > maxDocument:
		return nil, 0, badDocument(id, "is larger than %d KiB", maxDocument>>10)
	case err != nil:
		return nil, 0, unreachable(host, err)
	}
	doc, err := f.parse(id, host, body)
	return doc, freshFor(resp.Header), err
}

// checkAnswer looks at what comes before the body. Redirects are not followed
// (section 5 of the draft). A 403 is what hosts answer that take the gateway for
// somebody else's robot; it says nothing of the document.
func checkAnswer(id, host string, resp *http.Response) error {
	encoding := resp.Header.Get("Content-Encoding")
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch status := resp.StatusCode; {
	case status/100 == 3:
		return badDocument(id, "is answered with a redirect (status %d), which is not followed", status)
	case status == http.StatusForbidden || status == http.StatusTooManyRequests || status >= 500:
		return unreachable(host, fmt.Errorf("it answers with status %d", status))
	case status != http.StatusOK:
		return badDocument(id, "is answered with status %d instead of 200", status)
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return badDocument(id, "is sent compressed, although that was not asked for")
	case media != "application/json" && !(strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")):
		return badDocument(id, "is sent as %.100q instead of application/json", media)
	}
	return nil
}

// freshFor is how long an answer may be used.
func freshFor(h http.Header) time.Duration {
	fresh := defaultFresh
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			fresh = seconds(value)
		}
	}
	return min(max(fresh-seconds(h.Get("Age")), minFresh), maxFresh)
}

// seconds reads a count of seconds, which is 0 if it is none.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(strings.Trim(s, `"`), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// badDocument is worded to follow the document.
func badDocument(id, format string, args ...any) error {
	return refusedf("The client's metadata document, %s, %s.", id, fmt.Sprintf(format, args...))
}

// unreachable says the same whatever the cause is: a stranger could otherwise ask
// which names and addresses there are in the gateway's network.
func unreachable(host string, cause error) error {
	return &Unavailable{Text: "The client's metadata document could not be fetched: " + host + " does not answer over the public Internet as it should.", Cause: cause}
}

// causeOf is what the operator should know. HTTP clients print the URL, which
// the log has already.
func causeOf(u *Unavailable) error {
	if failed := (*guard.Error)(nil); errors.As(u.Cause, &failed) {
		return failed.Cause
	}
	return u.Cause
}
