package egress

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A script is a connection from which a text is read.
type script struct {
	net.Conn // nil: the other methods are not called
	r        io.Reader
}

func (s *script) Read(b []byte) (int, error)      { return s.r.Read(b) }
func (s *script) SetDeadline(time.Time) error     { return nil }
func (s *script) SetReadDeadline(time.Time) error { return nil }

// FuzzReadRequest looks for a request that is taken for another one than it is,
// or of which something is lost.
func FuzzReadRequest(f *testing.F) {
	for _, text := range []string{
		"CONNECT api.github.com:443 HTTP/1.1\r\nHost: api.github.com:443\r\n\r\nrest",
		"CONNECT [::1]:443 HTTP/1.0\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello world", "CONNECT a:1 HTTP/1.1\nHost: b:2\n\nx", "GET http://a/ HTTP/1.1\r\n\r\n", "\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		client, to, err := readRequest(&script{r: bytes.NewReader(text)})
		var refused *refusal
		switch {
		case errors.As(err, &refused):
			if refused.status < 400 || refused.reason == "" {
				t.Fatalf("%q is refused with %+v", text, refused)
			}
			return
		case err != nil:
			return // the client has gone
		}
		line, _, _ := strings.Cut(string(text), "\n")
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] != "CONNECT" {
			t.Fatalf("%q is taken for CONNECT %v", text, to)
		}
		if asked, err := parseTarget(fields[1]); err != nil || asked != to {
			t.Fatalf("%q is taken for CONNECT %v", text, to)
		}
		rest, err := io.ReadAll(client)
		if err != nil || !bytes.HasSuffix(text, rest) || !bytes.HasSuffix(text[:len(text)-len(rest)], []byte("\n")) {
			t.Fatalf("after %q there is %q, %v", text, rest, err)
		}
	})
}

// FuzzReadHello has strangers begin like TLS. All that was read must be there to
// be passed on.
func FuzzReadHello(f *testing.F) {
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(theirs, &tls.Config{ServerName: "api.github.com"}).Handshake() }()
	hello := make([]byte, 16<<10)
	n, err := ours.Read(hello)
	if err != nil {
		f.Fatal(err)
	}
	_ = ours.Close()
	f.Add(hello[:n])
	f.Add([]byte("\x16\x03\x01\x00\x05hello"))
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		name, read, err := readHello(bytes.NewReader(text))
		if err == nil && !bytes.HasPrefix(text, read) || err != nil && name != "" {
			t.Fatalf("of %q, %q was read, with the server name %q, %v", text, read, name, err)
		}
	})
}
