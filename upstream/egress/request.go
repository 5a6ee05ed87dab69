package egress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// maxRequest bounds the request line and headers of a request, in bytes.
const maxRequest = 8 << 10

// A target is what a client wants to connect to: a name or an address, and a port.
type target struct {
	name string     // in lower case; "" if it is an address
	addr netip.Addr // if name is ""
	port uint16
}

// String is "host:port", or "" for the zero value.
func (t target) String() string {
	switch {
	case t.name != "":
		return net.JoinHostPort(t.name, strconv.Itoa(int(t.port)))
	case t.addr.IsValid():
		return netip.AddrPortFrom(t.addr, t.port).String()
	}
	return ""
}

// parseTarget reads the host and port of a CONNECT request. An address in an
// unusual form, such as 0x7f.1, is a mistake.
func parseTarget(s string) (target, error) {
	host, port, bracketed, err := splitHostPort(s)
	if err != nil {
		return target{}, err
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" && bracketed == addr.Is6() {
		return target{addr: addr.Unmap(), port: port}, nil
	}
	if bracketed {
		return target{}, errors.New("does not begin with an IPv6 address")
	}
	name, err := parseName(host)
	return target{name: name, port: port}, err
}

// A refusal is why a connection is not made.
type refusal struct {
	status int
	reason string // for the client, and the log; tells nothing of the network outside
	remedy string // for the client; may be ""

	// Only for the log, and may be nil: what the name leads to, and what failed.
	addrs []netip.Addr
	cause error
}

func (r *refusal) Error() string { return r.reason }

// readRequest reads one request, which has to be CONNECT. The returned
// connection reads what follows it. An error that is no *refusal means that
// the client has gone.
func readRequest(conn net.Conn) (client net.Conn, to target, err error) {
	_ = conn.SetDeadline(time.Now().Add(requestTime))
	in := &noting{r: conn}
	limited := &io.LimitedReader{R: in, N: maxRequest}
	buffered := bufio.NewReader(limited)
	req, err := http.ReadRequest(buffered)
	switch {
	case err == nil:
	case errors.Is(in.err, os.ErrDeadlineExceeded):
		return nil, to, &refusal{status: http.StatusRequestTimeout, reason: "no whole request came in time"}
	case in.err != nil:
		return nil, to, in.err
	case limited.N <= 0:
		return nil, to, &refusal{status: http.StatusRequestHeaderFieldsTooLarge, reason: fmt.Sprintf("the request has more than %d bytes", maxRequest)}
	default:
		return nil, to, &refusal{status: http.StatusBadRequest, reason: "the request is malformed"}
	}
	if req.Method != http.MethodConnect {
		return nil, to, &refusal{
			status: http.StatusMethodNotAllowed, reason: "only CONNECT is served, so https:// URLs and not http:// ones",
			remedy: "Use https, or a client that tunnels http through CONNECT as well.",
		}
	}
	if to, err = parseTarget(req.RequestURI); err != nil {
		return nil, to, &refusal{status: http.StatusBadRequest, reason: "what CONNECT names " + err.Error()}
	}
	_ = conn.SetReadDeadline(time.Time{})
	return unread(conn, buffered), to, nil
}

// A noting reader keeps the error of reading, which parsers take for an end of
// what they parse.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(b []byte) (int, error) {
	read, err := n.r.Read(b)
	n.err = err
	return read, err
}

// answer sends the refusal and has the client read it: to close a connection
// that has unread bytes would reset it.
func (r *refusal) answer(conn net.Conn, upstream string) {
	body := fmt.Sprintf("mcpagg: upstream %q: %s\n", upstream, r.reason)
	if r.remedy != "" {
		body += r.remedy + "\n"
	}
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	allow := ""
	if r.status == http.StatusMethodNotAllowed {
		allow = "Allow: CONNECT\r\n"
	}
	_, err := fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		r.status, http.StatusText(r.status), allow, len(body), body)
	if err == nil {
		closeWrite(conn)
		_, _ = io.CopyN(io.Discard, conn, 2*maxRequest)
	}
}

// A prefixed connection has had some bytes read from it that are to be read again.
type prefixed struct {
	net.Conn
	r io.Reader
}

// unread returns c with what buffered has read of it, but not given out yet.
func unread(c net.Conn, buffered *bufio.Reader) net.Conn {
	rest, _ := buffered.Peek(buffered.Buffered())
	return &prefixed{Conn: c, r: io.MultiReader(bytes.NewReader(rest), c)}
}

func (c *prefixed) Read(b []byte) (int, error) { return c.r.Read(b) }

func (c *prefixed) CloseWrite() error { return closeWrite(c.Conn) }
