// Package guard fetches what strangers point at, and lets them reach the public
// Internet only.
//
// Whoever may name a URL that a server fetches can have it ask the server's own
// network: loopback, the database next to it, the address at which a cloud gives
// a machine its credentials. [NewClient] returns an HTTP client for such URLs:
//
//	client := guard.NewClient(guard.Options{})
//	resp, err := client.Get("https://app.example.com/oauth/client.json")
//
// One request, in the order of things:
//
//	CheckURL  (url.go)      https, port 443, a full host name
//	lookUp    (dial.go)     all addresses of the host are public (address.go), or it is refused
//	dial      (dial.go)     connects to exactly these addresses, so that a name which
//	                        leads elsewhere when it is asked again gains nothing; the
//	                        socket's own address is checked once more
//	RoundTrip (guard.go)    nothing is sent that tells who asks, and errors say nothing
//	                        of the network that the gateway is in
//
// Where the gateway itself has to go through a proxy (HTTPS_PROXY), the proxy
// connects and resolves names itself. Its own address may be any, as it is the
// operator's. The host is checked before that as far as it can be resolved here;
// what the proxy reaches is the proxy's to limit.
package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

const (
	// defaultTimeout bounds a request with all of its answer.
	defaultTimeout = 5 * time.Second
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 16 << 10
	// maxConns are open to one host at once. Further requests wait.
	maxConns = 4

	userAgent = "mcpagg"
)

// Options of a client. The zero value is what a gateway needs; the functions are
// for tests, which have no public Internet.
type Options struct {
	// Timeout bounds a request from its beginning to the end of its answer's body.
	// The default is 5 seconds.
	Timeout time.Duration
	// Proxy returns the proxy through which the gateway has to go to a URL, or nil.
	// The default is http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// Resolve returns the addresses of a host. The default is the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to an address and port that have been checked. The default is
	// a net.Dialer that checks them once more. It is not used towards a proxy.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the certificate authorities that are believed. The default are the
	// system's, in whose place SSL_CERT_FILE can name others.
	Roots *x509.CertPool
}

// An Error says that a host could not be reached or did not answer as it should.
// What it prints is the same in all cases, because whoever has chosen the URL may
// read it: not whether the host has an address here, nor which.
type Error struct {
	Host  string
	Cause error // for the log of the operator, and nobody else
}

func (e *Error) Error() string { return e.Host + " could not be reached" }
func (e *Error) Unwrap() error { return e.Cause }

// NewClient returns a client for URLs that strangers choose. It is safe for
// concurrent use, starts nothing, and keeps no connection. Redirects are not
// followed: their answer is returned as it is. The caller bounds what is read
// of a body.
//
// Errors of the client, and of reading the body, have an *Error in their chain,
// or what CheckURL says of the URL.
func NewClient(opts Options) *http.Client {
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Proxy == nil {
		opts.Proxy = http.ProxyFromEnvironment
	}
	if opts.Resolve == nil {
		opts.Resolve = resolve
	}
	if opts.Dial == nil {
		opts.Dial = (&net.Dialer{ControlContext: control}).DialContext
	}
	t := &transport{opts: opts}
	t.direct, t.proxied = newTransport(opts), newTransport(opts)
	t.direct.DialContext = t.dial
	t.proxied.Proxy = func(req *http.Request) (*url.URL, error) { return proxyOf(req), nil }
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newTransport(opts Options) *http.Transport {
	return &http.Transport{
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: opts.Roots},
		TLSHandshakeTimeout:    opts.Timeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        maxConns,
		DisableKeepAlives:      true,
		DisableCompression:     true, // a small body may stand for a large one
	}
}

// A transport checks each request and sends it.
type transport struct {
	opts    Options
	direct  *http.Transport // connects to public addresses only
	proxied *http.Transport // connects to the proxy of proxyOf
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if _, err := CheckURL(req.URL.String()); err != nil {
		return nil, fmt.Errorf("the URL %w", err)
	}
	host := req.URL.Hostname()
	ctx, cancel := context.WithTimeout(req.Context(), t.opts.Timeout) // that of http.Client has errors of its own
	resp, err := t.send(anonymous(ctx, req), host)
	if err != nil {
		cancel()
		return nil, &Error{Host: host, Cause: err}
	}
	resp.Body = &body{ReadCloser: resp.Body, host: host, ctx: ctx, done: cancel}
	return resp, nil
}

func (t *transport) send(req *http.Request, host string) (*http.Response, error) {
	proxy, err := t.opts.Proxy(req)
	switch {
	case err != nil:
		return nil, errors.New("the proxy that is configured has no valid URL") // which may hold a password
	case proxy == nil:
		return t.direct.RoundTrip(req)
	}
	if err := t.checkBeforeProxy(req.Context(), host); err != nil {
		return nil, err
	}
	return t.proxied.RoundTrip(withProxy(req, proxy))
}

// anonymous is the request without what would say on whose behalf it is sent.
func anonymous(ctx context.Context, req *http.Request) *http.Request {
	req = req.Clone(ctx)
	req.Host = ""
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "Referer"} {
		req.Header.Del(name)
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept-Encoding", "identity")
	return req
}

// proxyKey is the key of a request's proxy in its context. It is decided once,
// so that no request comes to proxied without one.
type proxyKey struct{}

func withProxy(req *http.Request, proxy *url.URL) *http.Request {
	return req.WithContext(context.WithValue(req.Context(), proxyKey{}, proxy))
}

func proxyOf(req *http.Request) *url.URL { return req.Context().Value(proxyKey{}).(*url.URL) }

// A body is that of an answer. Errors of a connection name its addresses.
type body struct {
	io.ReadCloser
	host string
	ctx  context.Context // of the request, with its timeout
	done context.CancelFunc
}

func (b *body) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if late := b.ctx.Err(); late != nil {
		err = late // a server may end its answer properly once it sees that nobody waits for it
	}
	if err != nil && err != io.EOF {
		err = &Error{Host: b.host, Cause: err}
	}
	return n, err
}
