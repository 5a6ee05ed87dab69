package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	jsonType   = "application/json"
	eventsType = "text/event-stream"
)

// maxExcerpt bounds what is read of a body that is only shown in an error.
const maxExcerpt = 4 << 10

// An endpoint sends HTTP requests to an upstream, with its credentials. It is
// safe for concurrent use.
type endpoint struct {
	url       *url.URL
	headers   map[string]Secret
	token     Secret
	transport http.RoundTripper // not a client, which follows redirects: they could hand the credentials to somebody else

	mu   sync.Mutex
	used map[string]string // last value of each secret; guarded by mu
}

func newEndpoint(at *url.URL, opts Options) *endpoint {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns = 0 // no limit but the one per host
	t.MaxIdleConnsPerHost = 1024
	// All requests of HTTP/2 share a connection, and a dead one would fail them all.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	return &endpoint{url: at, headers: opts.Headers, token: opts.Token, used: map[string]string{}, transport: t}
}

// dialWith has the endpoint connect in another way, whatever the address is.
func (e *endpoint) dialWith(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	t := e.transport.(*http.Transport)
	t.Proxy, t.DialContext = nil, dial
}

// closeIdle closes the connections that no request uses.
func (e *endpoint) closeIdle() {
	if t, ok := e.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// do sends one request. A nil body means none.
func (e *endpoint) do(ctx context.Context, method string, to *url.URL, body []byte, fields ...headerField) (*http.Response, error) {
	req := (&http.Request{Method: method, URL: to, Header: make(http.Header, 8)}).WithContext(ctx)
	if err := e.authorize(ctx, req); err != nil {
		return nil, err
	}
	if body != nil {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = int64(len(body))
		fields = append(fields, headerField{"Content-Type", jsonType})
	}
	values := make([]string, len(fields))
	for i, f := range fields {
		values[i] = f.value
		req.Header[f.name] = values[i : i+1 : i+1]
	}
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		err = bare(err)
		if broken := (*brokenError)(nil); errors.As(err, &broken) && ctx.Err() == nil {
			e.closeIdle() // they are likely to be as dead as this one
		}
		return nil, err
	}
	return resp, nil
}

// deliver posts a message whose answer, if there is one, does not come as the
// response.
func (e *endpoint) deliver(ctx context.Context, to *url.URL, body []byte, fields ...headerField) error {
	resp, err := e.do(ctx, http.MethodPost, to, body, fields...)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxExcerpt))
	if resp.StatusCode/100 != 2 {
		return e.refusal(resp, text)
	}
	return nil
}

// bare takes the URL, which may hold secrets, out of an error of net/http.
func bare(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	switch {
	case errors.Is(err, io.EOF):
		return &brokenError{errors.New("the server closed the connection without an answer")}
	case isUnreachable(err):
		return err
	}
	return &brokenError{err}
}

// authorize sets the configured headers, and the user of the URL.
func (e *endpoint) authorize(ctx context.Context, req *http.Request) error {
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	for name, secret := range e.headers {
		value, err := secret(ctx)
		if err != nil {
			return &secretError{"header " + name, err}
		}
		e.remember(name, value)
		if strings.EqualFold(name, "Host") {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	if e.token == nil {
		return nil
	}
	token, err := e.token(ctx)
	if err != nil {
		return &secretError{"token", err}
	}
	e.remember("token", token)
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

func (e *endpoint) remember(name, value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used[name] = value
}

// redact hides what a server may have echoed: credentials, and what the URL
// has of them.
func (e *endpoint) redact(text string) string {
	var hide secrets
	if password, ok := e.url.User.Password(); ok {
		hide = append(hide, password)
	}
	for _, values := range e.url.Query() {
		hide = append(hide, values...)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, value := range e.used {
		if name != "Host" {
			hide = append(hide, value, value[strings.IndexByte(value, ' ')+1:]) // also without "Basic "
		}
	}
	return hide.redact(text)
}

// An httpError is an answer that is no JSON-RPC.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// refusal says what is wrong with an answer that is no JSON-RPC. body is its
// beginning.
func (e *endpoint) refusal(resp *http.Response, body []byte) error {
	status := fmt.Sprintf("HTTP %d", resp.StatusCode)
	if text := http.StatusText(resp.StatusCode); text != "" {
		status += " " + text
	}
	kind := mediaType(resp)
	var text string
	switch {
	case resp.StatusCode/100 == 3:
		text = fmt.Sprintf("redirects to %s, which is not followed (%s)", withoutSecrets(resp), status)
	case resp.StatusCode == http.StatusUnauthorized:
		text = "refuses the configured credentials, or asks for some (" + status + ")" + e.excerpt(kind, body)
	case isHTML(kind, body):
		text = fmt.Sprintf("answered with HTML, not JSON-RPC (HTTP %d, %s)", resp.StatusCode, kind)
	case resp.StatusCode/100 != 2:
		text = "answered " + status + e.excerpt(kind, body)
	case len(bytes.TrimSpace(body)) == 0:
		text = fmt.Sprintf("answered with an empty body (%s)", status)
	default:
		text = fmt.Sprintf("answered with something else than JSON-RPC (HTTP %d, %s)%s", resp.StatusCode, kind, e.excerpt(kind, body))
	}
	return &httpError{status: resp.StatusCode, text: text}
}

func (e *endpoint) excerpt(kind string, body []byte) string {
	text := printable(e.redact(string(body[:min(len(body), maxExcerpt)])), 200)
	if text == "" || isHTML(kind, body) {
		return ""
	}
	return ": " + text
}

func isHTML(kind string, body []byte) bool {
	return kind == "text/html" || kind == "application/xhtml+xml" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

func mediaType(resp *http.Response) string {
	kind := resp.Header.Get("Content-Type")
	if kind == eventsType || kind == jsonType { // as it mostly is
		return kind
	}
	kind, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return "no content type"
	}
	return kind
}

// withoutSecrets is where a redirect leads, as far as it can be shown.
func withoutSecrets(resp *http.Response) string {
	to, err := resp.Location()
	if err != nil {
		return "nowhere"
	}
	shown := url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}
	return shown.String()
}

// isUnreachable reports whether no connection came about.
func isUnreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// readBounded reads a body of at most max bytes.
func readBounded(resp *http.Response, max int) ([]byte, error) {
	if resp.ContentLength > int64(max) {
		return nil, &oversizeError{max}
	}
	if n := resp.ContentLength; n >= 0 {
		body := make([]byte, n)
		if _, err := io.ReadFull(resp.Body, body); err != nil {
			return nil, broken(err)
		}
		// The connection is free for the next request once the end was read.
		var none [1]byte
		_, _ = resp.Body.Read(none[:])
		return body, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(max)+1))
	if err != nil {
		return nil, broken(err)
	}
	if len(body) > max {
		return nil, &oversizeError{max}
	}
	return body, nil
}

// broken says that an answer ended before its end.
func broken(err error) error {
	return &brokenError{fmt.Errorf("the connection broke before the answer was complete: %w", err)}
}
