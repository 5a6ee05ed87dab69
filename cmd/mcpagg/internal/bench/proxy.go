package main

import (
	"context"
	"flag"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// runProxy serves as the yardstick until its standard input ends.
func runProxy(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("proxy", flag.ContinueOnError)
	listen := fs.String("listen", "", "address to serve on")
	admin := fs.String("admin", "", "address to serve /debug on")
	to := fs.String("to", "", "base URL of the upstream")
	if err := fs.Parse(args); err != nil {
		return err
	}
	base, err := url.Parse(*to)
	if err != nil {
		return err
	}
	tuneLikeGateway()
	return serveAll(endWithInput(ctx), map[string]http.Handler{
		*listen: newReverseProxy(base),
		*admin:  debugHandler(),
	})
}

// tuneLikeGateway makes the collector as lazy as the gateway's, unless the
// environment, which both get, says otherwise: what a collection costs is no
// difference between the two.
func tuneLikeGateway() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}

// newReverseProxy is a bare reverse proxy with the settings that nobody who
// measures would go without: enough idle connections for every concurrent
// call, and buffers that are used again.
func newReverseProxy(to *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{
			Proxy:               nil,
			MaxIdleConns:        0, // no bound
			MaxIdleConnsPerHost: 4096,
			IdleConnTimeout:     5 * time.Minute,
		},
		FlushInterval: -1, // as it has for event streams anyway
		BufferPool:    &buffers{},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without this, net/http closes the request's body when the answer
		// begins. The transport, which looks once more whether the body has
		// ended, then takes that for a failure and cuts the answer off: one
		// call in some thousands.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})
}

// buffers are those that a reverse proxy copies with, of its own default size.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

// serveAll serves every handler on its address until ctx ends.
func serveAll(ctx context.Context, handlers map[string]http.Handler) error {
	failed := make(chan error, len(handlers))
	for address, handler := range handlers {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		defer func() { _ = server.Close() }()
		go func() { failed <- server.Serve(ln) }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}
