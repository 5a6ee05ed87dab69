package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Relay joins a network namespace that has loopback only with the gateway's
// end of a folder that both can see. It runs in a process of its own, which
// holds the namespace.
type Relay struct {
	// Out is where the clients in the namespace find the proxy, such as
	// "127.0.0.1:3128", and OutSocket the Unix socket that the proxy listens on.
	Out, OutSocket string
	// In is the address of a server in the namespace, and InSocket the Unix
	// socket to make for those who want to reach it; both are "" for none.
	In, InSocket string
}

// maxRelayed connections are open at once each way; others wait. They are more
// than the proxy serves, so that it is the proxy that says no.
const maxRelayed = 2 * maxConns

// Run relays connections until ctx ends. It calls ready when it listens.
func (r Relay) Run(ctx context.Context, ready func()) error {
	out, err := net.Listen("tcp", r.Out)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if r.InSocket != "" {
		in, err := Listen(r.InSocket)
		if err != nil {
			return errors.Join(err, out.Close())
		}
		group.Go(func() error { return relayTo(ctx, in, "tcp", r.In, 0) })
	}
	group.Go(func() error { return relayTo(ctx, out, "unix", r.OutSocket, idleTime+time.Minute) }) // the proxy is to end it first
	ready()
	return group.Wait()
}

// relayTo passes the connections of l on to an address, until ctx ends.
func relayTo(ctx context.Context, l net.Listener, network, address string, idle time.Duration) error {
	dialer := net.Dialer{Timeout: dialTime}
	return serve(ctx, l, maxRelayed, func(ctx context.Context, conn net.Conn) {
		other, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return
		}
		defer closeWith(ctx, other)()
		_, _, _ = pipe(conn, other, idle)
	})
}

// Listen makes a Unix socket to which every user may connect: who can is up to
// the folder it is in. One that is left there is replaced.
func Listen(path string) (net.Listener, error) {
	const most = 107 // sun_path in unix(7)
	if len(path) > most {
		return nil, fmt.Errorf("the path %s has %d bytes, and that of a socket may have %d at most", path, len(path), most)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
