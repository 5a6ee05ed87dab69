package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// firstType and lastType are the types of TLS records, in their first byte (RFC
	// 8446 section 5.1). A connection begins with 22, handshake, but some servers
	// pass over others before it.
	firstType, lastType = 20, 24
	// maxHello bounds a ClientHello, in bytes. Those in use have less than 4 KiB.
	maxHello = 64 << 10
)

// unrecognizedName is the TLS alert of that name (RFC 8446 section 6, RFC 6066
// section 3).
var unrecognizedName = [...]byte{21, 3, 3, 0, 2, 2, 112}

// A helloChecker is the connection from a client. If the client begins with
// TLS, nothing of it is passed on before check has seen the server name of its
// ClientHello; "" stands for none. An error of check is sent to the client as
// an alert, and returned by Read.
type helloChecker struct {
	net.Conn
	check func(serverName string) error
	rest  io.Reader // what Read reads; nil before it has looked
}

func (c *helloChecker) Read(b []byte) (int, error) {
	if c.rest == nil {
		head, err := c.readHead()
		if err != nil {
			return 0, err
		}
		c.rest = io.MultiReader(bytes.NewReader(head), c.Conn)
	}
	return c.rest.Read(b)
}

// readHead reads the whole ClientHello and perhaps more, or one byte if it
// begins none.
func (c *helloChecker) readHead() ([]byte, error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(c.Conn, first); err != nil || first[0] < firstType || first[0] > lastType {
		return first, err
	}
	_ = c.SetReadDeadline(time.Now().Add(requestTime))
	defer c.SetReadDeadline(time.Time{})
	serverName, head, err := readHello(io.MultiReader(bytes.NewReader(first), c.Conn))
	if err != nil {
		return nil, &refusal{reason: "what followed begins like TLS, but is no whole ClientHello", cause: err}
	}
	if err := c.check(serverName); err != nil {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write(unrecognizedName[:])
		return nil, err
	}
	return head, nil
}

func (c *helloChecker) CloseWrite() error { return closeWrite(c.Conn) }

var errHello = errors.New("the ClientHello is complete")

// readHello reads a ClientHello, from however many records, and returns its
// server name and all that it has read.
func readHello(r io.Reader) (serverName string, read []byte, err error) {
	var seen bytes.Buffer
	server := tls.Server(readOnly{r: io.TeeReader(io.LimitReader(r, maxHello), &seen)}, &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			serverName = hello.ServerName
			return nil, errHello
		},
	})
	if err := server.HandshakeContext(context.Background()); !errors.Is(err, errHello) {
		return "", nil, err
	}
	return serverName, seen.Bytes(), nil
}

// readOnly is a connection that sends nothing.
type readOnly struct {
	net.Conn // nil: the other methods are not called
	r        io.Reader
}

func (c readOnly) Read(b []byte) (int, error)       { return c.r.Read(b) }
func (c readOnly) Write(b []byte) (int, error)      { return len(b), nil }
func (c readOnly) Close() error                     { return nil }
func (c readOnly) SetDeadline(time.Time) error      { return nil }
func (c readOnly) SetReadDeadline(time.Time) error  { return nil }
func (c readOnly) SetWriteDeadline(time.Time) error { return nil }
