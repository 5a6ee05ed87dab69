package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

const (
	port = 443
	// maxAddrs of a host are tried; all are checked.
	maxAddrs = 4
	// lookUpTime bounds resolving a name that a proxy resolves again: networks
	// that have a proxy often know no names of the outside, and are slow to say so.
	lookUpTime = 2 * time.Second
)

// resolve asks the system for the addresses of a name. The dot at its end keeps
// the search list of the system from making it another one.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host+".")
}

// dial connects to the host of an address such as "app.example.com:443".
func (t *transport) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, to, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if to != strconv.Itoa(port) {
		return nil, fmt.Errorf("the port %s is not %d", to, port)
	}
	addrs, err := t.lookUp(ctx, host)
	if err != nil {
		return nil, err
	}
	return t.dialFirst(ctx, network, addrs[:min(len(addrs), maxAddrs)])
}

// lookUp returns the addresses of a host, at least one, of which all are public.
// If only some are, somebody plays with the name.
func (t *transport) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := t.opts.Resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errors.New("it has no addresses")
	}
	for _, addr := range addrs {
		if err := checkAddr(addr); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// errNotPublic is in the chain of what says that an address is not public.
var errNotPublic = errors.New("it leads to an address that is not public")

func checkAddr(addr netip.Addr) error {
	if !Public(addr) {
		return fmt.Errorf("%w: %s is %s", errNotPublic, addr, whySpecial(addr))
	}
	return nil
}

// dialFirst connects to the first of the addresses that answers. Each gets its
// share of the time.
func (t *transport) dialFirst(ctx context.Context, network string, addrs []netip.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.opts.Timeout)
	defer cancel()
	deadline, _ := ctx.Deadline()
	var failed []error
	for i, addr := range addrs {
		attempt, done := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(addrs)-i))
		conn, err := t.opts.Dial(attempt, network, netip.AddrPortFrom(addr.Unmap(), port).String())
		done()
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// control checks the address of a socket right before it connects.
func control(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if to.Port() != port {
		return fmt.Errorf("the port %d is not %d", to.Port(), port)
	}
	return checkAddr(to.Addr())
}

// checkBeforeProxy refuses a host that leads to where it must not, as far as
// that is known here.
func (t *transport) checkBeforeProxy(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, min(lookUpTime, t.opts.Timeout/2))
	defer cancel()
	if _, err := t.lookUp(ctx, host); errors.Is(err, errNotPublic) {
		return err
	}
	return nil
}
