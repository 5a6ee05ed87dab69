// Package control is the private way from a command to a gateway that runs on
// the same machine: a Unix socket that only its own user and root may use.
//
//	ln, err := control.Listen("/run/mcpagg/mcpagg.sock") // in the gateway
//	(&http.Server{Handler: handler, ConnContext: control.WithPeer}).Serve(ln)
//
//	client := control.Client("/run/mcpagg/mcpagg.sock") // in a command
//	client.Get(control.URL + "/status")
//
// Two things keep others out, each of them enough: the directory of the socket
// belongs to the gateway's user and nobody else may enter it, and the kernel
// says for every connection who is at the other end.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// URL is where a [Client] finds what the gateway serves. The host means nothing.
const URL = "http://mcpagg"

// maxPath is the longest path in bytes that an address of a socket holds
// everywhere (sun_path in unix(4) of macOS and the BSDs; Linux has 4 more).
const maxPath = 103

// ErrInUse says that another gateway that is running has the socket.
var ErrInUse = errors.New("another gateway that is running has it")

// CheckPath reports why a path cannot be a socket's, or nil.
func CheckPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("the path %s has %d bytes; a socket's may have %d at most", path, len(path), maxPath)
	}
	return nil
}

// Listen makes the socket at an absolute path, and its directory if need be.
// What a gateway that has died left behind is replaced; the error is
// [ErrInUse] where one is alive. Closing the listener removes the socket.
// Connections of other users, but for root, are closed at once.
func Listen(path string) (net.Listener, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	ln, err := bind(path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &listener{UnixListener: ln, lock: lock, permit: permitted}, nil
}

// makeDirectory makes the directory, unless it is there, and checks that nobody
// but this user and root may enter it.
func makeDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, known := ownerOf(info)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case known && owner != os.Geteuid():
		return fmt.Errorf("the directory %s belongs to another user; choose one of the gateway's own", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others may enter the directory %s, which has mode %#o: chmod 700 it, or choose one that holds nothing else", dir, info.Mode().Perm())
	}
	return nil
}

// bind makes the socket in place of one that nobody listens on, which the lock
// has shown.
func bind(path string) (*net.UnixListener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there already, and is not a socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// A listener lets the gateway's own user and root in.
type listener struct {
	*net.UnixListener
	lock   *os.File // held until Close, so that it shows whether the gateway is alive
	permit func(uid int) bool
}

// Accept waits for the next connection of somebody who is let in.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(conn); err == nil && l.permit(uid) {
			return &known{conn, uid}, nil
		}
		conn.Close()
	}
}

// Close removes the socket. It may be called twice.
func (l *listener) Close() error {
	return errors.Join(l.UnixListener.Close(), l.lock.Close())
}

// known is a connection of which is known who is at the other end.
type known struct {
	*net.UnixConn
	uid int
}

type peerKey struct{}

// WithPeer notes who is at the other end of a connection, for [Peer]: it is the
// ConnContext of the gateway's [http.Server].
func WithPeer(ctx context.Context, conn net.Conn) context.Context {
	if k, ok := conn.(*known); ok {
		return context.WithValue(ctx, peerKey{}, k.uid)
	}
	return ctx
}

// Peer is the user at the other end of the connection that a request came on, by their
// number. ok is false where nobody noted it.
func Peer(ctx context.Context) (uid int, ok bool) {
	uid, ok = ctx.Value(peerKey{}).(int)
	return uid, ok
}

func permitted(uid int) bool { return uid == 0 || uid == os.Geteuid() }

// Client sends requests to the gateway that has the socket. Its errors are those of
// [net.Dial] if there is none; see [IsAbsent].
func Client(path string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// IsClosed reports whether an error says that the gateway has hung up, as it does
// with users that it does not know, and when it ends.
func IsClosed(err error) bool {
	for _, closed := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, closed) {
			return true
		}
	}
	// What net/http finds out before it has sent the request has no name there.
	return err != nil && strings.Contains(err.Error(), "server closed idle connection")
}

// IsAbsent reports whether an error says that no gateway has the socket.
func IsAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
