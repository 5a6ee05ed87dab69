package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// maxAddrs of a name are tried.
const maxAddrs = 8

// connect connects to a target if the rules allow it. The address it returns
// is not valid where another proxy connects. Its error is a *refusal.
func (p *Proxy) connect(ctx context.Context, to target) (net.Conn, netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if !p.lists(to) {
		return nil, netip.Addr{}, notListed(to) // and never resolved: a name can carry a message to a name server
	}
	proxy, err := p.opts.Via(&http.Request{URL: &url.URL{Scheme: "https", Host: to.String()}})
	if err != nil {
		return nil, netip.Addr{}, notConnected(to, err)
	}
	addrs, err := p.resolve(ctx, to)
	if err != nil && proxy == nil {
		return nil, netip.Addr{}, notResolved(to, err)
	}
	if len(addrs) > 0 {
		open := slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool { return !p.open(addr, to.port) })
		if len(open) == 0 {
			return nil, netip.Addr{}, notOpen(to, addrs)
		}
		addrs = open
	}
	var conn net.Conn
	var addr netip.Addr
	if proxy != nil {
		conn, err = p.dialVia(ctx, proxy, to)
	} else {
		conn, addr, err = p.dialFirst(ctx, addrs, to.port)
	}
	if err != nil {
		return nil, netip.Addr{}, notConnected(to, err)
	}
	return conn, addr, nil
}

// lists reports whether the rules list a target.
func (p *Proxy) lists(to target) bool {
	if to.name == "" {
		return p.listsAddr(to.addr, to.port)
	}
	return slices.ContainsFunc(p.opts.Allow, func(r Rule) bool { return r.allowsName(to.name, to.port) })
}

func (p *Proxy) listsAddr(addr netip.Addr, port uint16) bool {
	return slices.ContainsFunc(p.opts.Allow, func(r Rule) bool { return r.allowsAddr(addr, port) })
}

// open reports whether what a target leads to may be connected to: to list a
// name opens no addresses but public ones.
func (p *Proxy) open(addr netip.Addr, port uint16) bool {
	return whySpecial(addr) == "" || p.listsAddr(addr, port)
}

// resolve returns at least one address, or an error.
func (p *Proxy) resolve(ctx context.Context, to target) ([]netip.Addr, error) {
	if to.name == "" {
		return []netip.Addr{to.addr}, nil
	}
	addrs, err := p.opts.Resolve(ctx, to.name)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errors.New("it has no addresses")
	}
	addrs = slices.Clone(addrs[:min(len(addrs), maxAddrs)])
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

// dialFirst connects to the first of the addresses that answers. Each gets its
// share of the time.
func (p *Proxy) dialFirst(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, netip.Addr, error) {
	deadline, _ := ctx.Deadline()
	var failed []error
	for i, addr := range addrs {
		share := time.Until(deadline) / time.Duration(len(addrs)-i)
		attempt, cancel := context.WithTimeout(ctx, share)
		conn, err := p.opts.Dial(attempt, "tcp", netip.AddrPortFrom(addr, port).String())
		cancel()
		if err == nil {
			return conn, addr, nil
		}
		failed = append(failed, err)
	}
	return nil, netip.Addr{}, errors.Join(failed...)
}

// dialVia has another proxy connect to a target (RFC 9110 section 9.3.6).
func (p *Proxy) dialVia(ctx context.Context, proxy *url.URL, to target) (net.Conn, error) {
	port := map[string]string{"http": "80", "https": "443"}[proxy.Scheme]
	if port == "" {
		return nil, fmt.Errorf("the gateway's own way out is a %s proxy, which is not supported here", proxy.Scheme)
	}
	if proxy.Port() != "" {
		port = proxy.Port()
	}
	conn, err := p.opts.Dial(ctx, "tcp", net.JoinHostPort(proxy.Hostname(), port))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	through, err := connectThrough(ctx, conn, proxy, to)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("through the proxy %s: %w", proxy.Host, err)
	}
	return through, nil
}

func connectThrough(ctx context.Context, conn net.Conn, proxy *url.URL, to target) (net.Conn, error) {
	if proxy.Scheme == "https" {
		secured := tls.Client(conn, &tls.Config{ServerName: proxy.Hostname()})
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secured
	}
	auth := ""
	if proxy.User != nil {
		password, _ := proxy.User.Password()
		auth = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(proxy.User.Username()+":"+password)) + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n%s\r\n", to, auth); err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(io.LimitReader(conn, maxRequest))
	resp, err := http.ReadResponse(buffered, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("it answered with status %d", resp.StatusCode)
	}
	return unread(conn, buffered), nil
}

// checkHello refuses a TLS server name that is not listed with the target's
// port, since it may lead elsewhere at the same address. Behind an address
// that is listed, any may be.
func (p *Proxy) checkHello(to target, serverName string) error {
	if to.name == "" || serverName == "" {
		return nil
	}
	name, err := parseName(serverName)
	if err == nil && p.lists(target{name: name, port: to.port}) {
		return nil
	}
	return &refusal{reason: fmt.Sprintf("the TLS server name that followed is another one, %.100q, which is not listed", serverName)}
}

func notListed(to target) error {
	return &refusal{
		status: http.StatusForbidden, reason: fmt.Sprintf("%s is not listed", to),
		remedy: fmt.Sprintf("To allow it, add %q to container.egress.allow of this upstream in the gateway's configuration.", to),
	}
}

func notOpen(to target, addrs []netip.Addr) error {
	return &refusal{
		status: http.StatusForbidden,
		reason: fmt.Sprintf("%s is listed, but leads to an address that is not public (%s)", to, whySpecial(addrs[0])),
		remedy: fmt.Sprintf("To allow it, add its address (see the gateway's log) with port %d to container.egress.allow of this upstream as well.", to.port),
		addrs:  addrs,
	}
}

func notResolved(to target, err error) error {
	return &refusal{status: timeoutOr(err, http.StatusBadGateway), reason: fmt.Sprintf("%s could not be resolved", to), cause: err}
}

func notConnected(to target, err error) error {
	return &refusal{status: timeoutOr(err, http.StatusBadGateway), reason: fmt.Sprintf("%s could not be connected to", to), cause: err}
}

// timeoutOr is the status of an error: that of a timeout, or another.
func timeoutOr(err error, status int) int {
	var network net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() {
		return http.StatusGatewayTimeout
	}
	return status
}
