// Package egress is the only way out of a container without a network.
//
// The gateway serves one [Proxy] for each container that may connect to a few
// hosts. It speaks HTTP CONNECT, which clients use by way of HTTPS_PROXY, and
// connects to what its [Rule] list names, and nothing else:
//
//	p := egress.New(egress.Options{Upstream: "github", Allow: rules, Log: log})
//	err := p.Serve(ctx, listener)
//
// The listener is a Unix socket in a folder that one other container sees: the
// one that owns the network namespace, which has loopback only, and runs
// [Relay] there. So the proxy is reached from this namespace alone, and the
// namespace reaches nothing else, neither the host nor a name server.
//
// One connection, in the order of things:
//
//	request    (request.go)  CONNECT host:port, or a clear refusal
//	route      (route.go)    is the name listed, where does it lead, may that be connected to: dial exactly that
//	checkHello (hello.go)    is the TLS server name that follows a listed one, too
//	pipe       (pipe.go)     bytes both ways, until both have ended or nothing has moved for long
package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

const (
	// maxConns are served at once; more are refused.
	maxConns = 128
	// requestTime is how long a client may take to send its request, and a TLS
	// ClientHello that it has begun.
	requestTime = 10 * time.Second
	// dialTime bounds resolving a name and connecting, whatever it takes.
	dialTime = 15 * time.Second
	// idleTime is how long a tunnel may be silent.
	idleTime = 15 * time.Minute
	// logLines a second are written in the long run, of refusals and of the
	// rest, and logBurst at once. What is left out is counted.
	logLines = 5
	logBurst = 50
)

// Options of a Proxy.
type Options struct {
	// Upstream is the label of the upstream whose proxy this is, for what clients read.
	Upstream string
	// Allow lists what may be connected to; nothing else may.
	Allow []Rule
	// Log must not be nil. It should have the upstream as an attribute already.
	Log *slog.Logger

	// Resolve returns the addresses of a name; nil means the system's resolver.
	Resolve func(ctx context.Context, name string) ([]netip.Addr, error)
	// Dial connects to an address and port; nil means a plain net.Dialer. For
	// a proxy that Via returns it may be a name.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Via returns the proxy through which the gateway itself has to go to a
	// URL, or nil, as http.ProxyFromEnvironment does; nil means none ever.
	//
	// That proxy gets the name to connect to. The addresses of a name that can
	// be resolved here are checked nevertheless; one that cannot is left to it.
	Via func(*http.Request) (*url.URL, error)
	// Tally counts connections; nil means one of the proxy's own.
	Tally *Tally
}

// A Tally counts the connections that were let through, and those that were
// refused or could not be made.
type Tally struct{ Allowed, Refused atomic.Uint64 }

// A Proxy serves the connections of one container. It is safe for concurrent use.
type Proxy struct {
	opts  Options
	slots chan struct{} // one element for each connection that is served

	quietAllowed, quietRefused quiet
}

// New builds a proxy. It starts nothing.
func New(opts Options) *Proxy {
	if opts.Resolve == nil {
		opts.Resolve = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	if opts.Dial == nil {
		opts.Dial = new(net.Dialer).DialContext
	}
	if opts.Via == nil {
		opts.Via = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	if opts.Tally == nil {
		opts.Tally = new(Tally)
	}
	return &Proxy{
		opts:         opts,
		slots:        make(chan struct{}, maxConns),
		quietAllowed: quiet{limit: rate.NewLimiter(logLines, logBurst)},
		quietRefused: quiet{limit: rate.NewLimiter(logLines, logBurst)},
	}
}

// Serve serves the connections of l until ctx ends, which ends all of them,
// and closes l. Its error is nil, or why l cannot be used any more.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	defer p.quietRefused.flush(p.opts.Log, slog.LevelWarn)
	defer p.quietAllowed.flush(p.opts.Log, slog.LevelInfo)
	return serve(ctx, l, 2*maxConns, func(ctx context.Context, conn net.Conn) {
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
			p.serveConn(ctx, conn)
		default:
			p.refuse(conn, "", &refusal{
				status: http.StatusServiceUnavailable,
				reason: fmt.Sprintf("it has %d connections open, and may not have more at once", maxConns),
			})
		}
	})
}

// serve accepts connections and handles each in a goroutine of its own, limit
// at once; others wait to be accepted. Connections are closed when ctx ends,
// which must end their handlers; serve returns when all have.
func serve(ctx context.Context, l net.Listener, limit int, handle func(context.Context, net.Conn)) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns errgroup.Group
	conns.SetLimit(limit)
	defer conns.Wait()
	defer cancel()
	defer closeWith(ctx, l)()
	for wait := time.Duration(0); ; {
		conn, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			conns.Go(func() error {
				defer closeWith(ctx, conn)()
				handle(ctx, conn)
				return nil
			})
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // such as no descriptors left
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	}
}

// serveConn serves one connection. The caller closes conn.
func (p *Proxy) serveConn(ctx context.Context, conn net.Conn) {
	began := time.Now()
	client, to, err := readRequest(conn)
	if err != nil {
		p.refuse(conn, to.String(), err)
		return
	}
	out, addr, err := p.connect(ctx, to)
	if err != nil {
		p.refuse(conn, to.String(), err)
		return
	}
	defer closeWith(ctx, out)()
	_ = conn.SetWriteDeadline(time.Now().Add(requestTime))
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	p.opts.Tally.Allowed.Add(1)
	p.quietAllowed.log(p.opts.Log, slog.LevelInfo, "egress allowed", "to", to.String(), "address", addr)

	client = &helloChecker{Conn: client, check: func(serverName string) error { return p.checkHello(to, serverName) }}
	sent, received, err := pipe(client, out, idleTime)
	var refused *refusal
	if errors.As(err, &refused) {
		p.noteRefusal(to.String(), refused)
	}
	p.quietAllowed.log(p.opts.Log, slog.LevelInfo, "egress ended", "to", to.String(), "address", addr,
		"sent", sent, "received", received, "took", time.Since(began).Round(time.Millisecond), "idle", errors.Is(err, errIdle))
}

// refuse answers a request that is not served.
func (p *Proxy) refuse(conn net.Conn, to string, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		return // the client has gone
	}
	p.noteRefusal(to, r)
	r.answer(conn, p.opts.Upstream)
}

func (p *Proxy) noteRefusal(to string, r *refusal) {
	p.opts.Tally.Refused.Add(1)
	attrs := []any{"reason", r.reason}
	if to != "" {
		attrs = append([]any{"to", to}, attrs...)
	}
	if r.addrs != nil {
		attrs = append(attrs, "addresses", r.addrs)
	}
	if r.cause != nil {
		attrs = append(attrs, "err", r.cause)
	}
	p.quietRefused.log(p.opts.Log, slog.LevelWarn, "egress refused", attrs...)
}

// A quiet writes only so many lines, and counts the others.
type quiet struct {
	limit   *rate.Limiter
	skipped atomic.Int64
}

func (q *quiet) log(log *slog.Logger, level slog.Level, msg string, attrs ...any) {
	if !q.limit.Allow() {
		q.skipped.Add(1)
		return
	}
	if n := q.skipped.Swap(0); n > 0 {
		attrs = append(attrs, "not_logged", n)
	}
	log.Log(context.Background(), level, msg, attrs...)
}

// flush says how many lines are missing at the end.
func (q *quiet) flush(log *slog.Logger, level slog.Level) {
	if n := q.skipped.Swap(0); n > 0 {
		log.Log(context.Background(), level, "egress lines not logged, since they came too fast", "not_logged", n)
	}
}
