package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcpagg/mcpagg/upstream/egress"
)

// A world is a network of fakes around one proxy.
type world struct {
	t     *testing.T
	tally egress.Tally
	at    string // the proxy's socket
	log   *buffer
	stop  func() // ends the proxy and waits for it

	mu       sync.Mutex
	names    map[string][]string       // addresses by name
	hosts    map[string]func(net.Conn) // servers by "address:port"
	resolved []string                  // what was looked up
	dialed   []string                  // what was connected to
	via      func(*http.Request) (*url.URL, error)
}

func newWorld(t *testing.T, rules ...string) *world {
	w := &world{t: t, log: new(buffer), names: map[string][]string{}, hosts: map[string]func(net.Conn){}}
	w.at = filepath.Join(t.TempDir(), "out.sock")
	l, err := net.Listen("unix", w.at)
	if err != nil {
		t.Fatal(err)
	}
	proxy := egress.New(egress.Options{
		Upstream: "jira", Allow: parse(t, rules...), Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Resolve: w.resolve, Dial: w.dial, Tally: &w.tally,
		Via: func(r *http.Request) (*url.URL, error) {
			if w.via == nil {
				return nil, nil
			}
			return w.via(r)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- proxy.Serve(ctx, l) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func parse(t *testing.T, texts ...string) (rules []egress.Rule) {
	for _, text := range texts {
		rule, err := egress.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, rule)
	}
	return rules
}

func (w *world) resolve(_ context.Context, name string) (addrs []netip.Addr, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resolved = append(w.resolved, name)
	if w.names[name] == nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, Server: "10.9.9.9", IsNotFound: true}
	}
	for _, a := range w.names[name] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

// dial connects to one of the hosts, over loopback.
func (w *world) dial(_ context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, address)
	host := w.hosts[address]
	w.mu.Unlock()
	if host == nil {
		return nil, errors.New("connection refused by 10.9.9.8")
	}
	ours, theirs := connect(w.t)
	go host(theirs)
	return ours, nil
}

// connect makes two ends of a TCP connection.
func connect(t *testing.T) (a, b net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err == nil {
		b, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func (w *world) seen() (resolved, dialed []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resolved, w.dialed
}

// send opens a connection to the proxy and writes to it.
func (w *world) send(text string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("unix", w.at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// ask sends a request and returns the status and body of the answer.
func (w *world) ask(request string) (status int, body string) {
	w.t.Helper()
	status, body, err := readAnswer(w.send(request))
	if err != nil {
		w.t.Fatalf("asking %.60q: %v", request, err)
	}
	return status, body
}

func readAnswer(conn net.Conn) (status int, body string, err error) {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func connectTo(target string) string {
	return "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n"
}

// tunnel opens a tunnel.
func (w *world) tunnel(target string) net.Conn {
	w.t.Helper()
	conn := w.send(connectTo(target))
	const want = "HTTP/1.1 200 Connection established\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		w.t.Fatalf("CONNECT %s: %q, %v", target, got, err)
	}
	return conn
}

// echo sends back what it gets, and "bye" after the end of it.
func echo(conn net.Conn) {
	_, _ = io.Copy(conn, conn)
	_, _ = io.WriteString(conn, "bye")
	_ = conn.Close()
}

// A buffer is a strings.Builder for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestTunnel(t *testing.T) {
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	w.hosts["8.8.4.4:443"] = echo
	conn := w.tunnel("API.example.com.:443")
	if _, err := io.WriteString(conn, "hello "); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.UnixConn).CloseWrite()
	if got, err := io.ReadAll(conn); string(got) != "hello bye" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	w.stop()
	for _, want := range []string{`msg="egress allowed" to=api.example.com:443 address=8.8.4.4`, `msg="egress ended" to=api.example.com:443 address=8.8.4.4 sent=6 received=9`} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("log has no %s:\n%s", want, w.log)
		}
	}
	if allowed, refused := w.tally.Allowed.Load(), w.tally.Refused.Load(); allowed != 1 || refused != 0 {
		t.Errorf("counted are %d, %d", allowed, refused)
	}
}

// TestEarlyBytes sends the request and what follows at once.
func TestEarlyBytes(t *testing.T) {
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	w.hosts["8.8.4.4:443"] = echo
	conn := w.send(connectTo("api.example.com:443") + "early")
	_ = conn.(*net.UnixConn).CloseWrite()
	if got, err := io.ReadAll(conn); !strings.HasSuffix(string(got), "\r\n\r\nearlybye") || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestLargeTransfer(t *testing.T) {
	w := newWorld(t, "8.8.4.4:443")
	w.hosts["8.8.4.4:443"] = echo
	conn := w.tunnel("8.8.4.4:443")
	sent := bytes.Repeat([]byte("0123456789abcdef"), 512<<10) // 8 MiB
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, append(sent, "bye"...)) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(sent)+3, err)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, "api.example.com:443", "gone.example.com:443", "down.example.com:443", "wiki.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	w.names["down.example.com"] = []string{"8.8.4.5", "8.8.4.6"}
	w.names["wiki.example.com"] = []string{"10.1.2.3", "fd00::1"}
	for _, c := range []struct {
		request string
		status  int
		body    string
	}{
		{connectTo("evil.example.com:443"), 403, `evil.example.com:443 is not listed` + "\n" + `To allow it, add "evil.example.com:443" to container.egress.allow`},
		{connectTo("api.example.com:22"), 403, "api.example.com:22 is not listed"},
		{connectTo("169.254.169.254:80"), 403, "169.254.169.254:80 is not listed"},
		{connectTo("8.8.4.4:443"), 403, "8.8.4.4:443 is not listed"},
		{connectTo("[::1]:443"), 403, "[::1]:443 is not listed"},
		{connectTo("wiki.example.com:443"), 403, "wiki.example.com:443 is listed, but leads to an address that is not public (private)"},
		{connectTo("gone.example.com:443"), 502, "gone.example.com:443 could not be resolved"},
		{connectTo("down.example.com:443"), 502, "down.example.com:443 could not be connected to"},
		{"GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n", 405, "only CONNECT is served"},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405, "only CONNECT is served"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 405, "only CONNECT is served"},
		{connectTo("api.example.com"), 400, "has no port"},
		{connectTo("0x7f.1:443"), 400, "unusual form"},
		{connectTo("/etc/passwd"), 400, "has no port"},
		{connectTo("user@api.example.com:443"), 400, "host name"},
		{"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "malformed"},
		{"CONNECT api.example.com:443\r\n\r\n", 400, "malformed"},
		{"CONNECT api.example.com:443 HTTP/1.1\r\nno colon\r\n\r\n", 400, "malformed"},
		{"CONNECT api.example.com:443 HTTP/1.1\r\nA: " + strings.Repeat("a", 9<<10), 431, "more than 8192 bytes"},
		{"CONNECT " + strings.Repeat("a", 9<<10), 431, "more than 8192 bytes"},
	} {
		status, body := w.ask(c.request)
		if status != c.status || !strings.Contains(body, c.body) || !strings.HasPrefix(body, `mcpagg: upstream "jira": `) {
			t.Errorf("%.60q is answered with %d %q; want %d with %q", c.request, status, body, c.status, c.body)
		}
		if strings.Contains(body, "10.") || strings.Contains(body, "8.8.4.5") {
			t.Errorf("%.60q is answered with what the network outside looks like: %q", c.request, body)
		}
	}
	resolved, dialed := w.seen()
	if diff := cmp.Diff([]string{"wiki.example.com", "gone.example.com", "down.example.com"}, resolved); diff != "" {
		t.Errorf("looked up (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"8.8.4.5:443", "8.8.4.6:443"}, dialed); diff != "" {
		t.Errorf("connected to (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		`level=WARN msg="egress refused" to=evil.example.com:443 reason="evil.example.com:443 is not listed"`,
		`addresses="[10.1.2.3 fd00::1]"`, "connection refused by 10.9.9.8", "no such host",
	} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("log has no %s:\n%s", want, w.log)
		}
	}
	if allowed, refused := w.tally.Allowed.Load(), w.tally.Refused.Load(); allowed != 0 || refused != 20 {
		t.Errorf("counted are %d, %d", allowed, refused)
	}
}

// TestAddresses checks what a name may lead to.
func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		name   string
		rules  []string
		leads  []string
		dialed []string
	}{
		{"public", nil, []string{"8.8.4.4"}, []string{"8.8.4.4:443"}},
		{"mapped", nil, []string{"::ffff:8.8.4.4"}, []string{"8.8.4.4:443"}},
		{"metadata", nil, []string{"169.254.169.254"}, nil},
		{"mapped metadata", nil, []string{"::ffff:169.254.169.254"}, nil},
		{"zone", nil, []string{"fe80::1%lo"}, nil},
		{"private beside public", nil, []string{"10.0.0.1", "8.8.4.4", "127.0.0.1"}, []string{"8.8.4.4:443"}},
		{"listed private", []string{"10.0.0.0/24:443"}, []string{"10.0.0.1"}, []string{"10.0.0.1:443"}},
		{"listed private, mapped", []string{"10.0.0.0/24:443"}, []string{"::ffff:10.0.0.1"}, []string{"10.0.0.1:443"}},
		{"listed private, another port", []string{"10.0.0.0/24:80"}, []string{"10.0.0.1"}, nil},
		{"another private", []string{"10.0.0.0/24:443"}, []string{"10.0.1.1"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, append(c.rules, "api.example.com:443")...)
			w.names["api.example.com"] = c.leads
			for _, address := range c.dialed {
				w.hosts[address] = echo
			}
			if len(c.dialed) > 0 {
				w.tunnel("api.example.com:443")
			} else if status, _ := w.ask(connectTo("api.example.com:443")); status != http.StatusForbidden {
				t.Errorf("status is %d", status)
			}
			if _, dialed := w.seen(); cmp.Diff(c.dialed, dialed) != "" {
				t.Errorf("connected to %v, want %v", dialed, c.dialed)
			}
		})
	}
}

// TestRebinding has a name that leads elsewhere when it is looked up again.
func TestRebinding(t *testing.T) {
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	w.hosts["8.8.4.4:443"] = func(conn net.Conn) {
		w.mu.Lock()
		w.names["api.example.com"] = []string{"127.0.0.1"}
		w.mu.Unlock()
		echo(conn)
	}
	w.tunnel("api.example.com:443")
	resolved, dialed := w.seen()
	if len(resolved) != 1 || cmp.Diff([]string{"8.8.4.4:443"}, dialed) != "" {
		t.Errorf("looked up %v and connected to %v", resolved, dialed)
	}
	if status, _ := w.ask(connectTo("api.example.com:443")); status != http.StatusForbidden {
		t.Errorf("status is %d after the name leads to loopback", status)
	}
}

// TestNextAddress has a host whose first address does not answer.
func TestNextAddress(t *testing.T) {
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"2a00::1", "8.8.4.4"}
	w.hosts["8.8.4.4:443"] = echo
	w.tunnel("api.example.com:443")
	if _, dialed := w.seen(); cmp.Diff([]string{"[2a00::1]:443", "8.8.4.4:443"}, dialed) != "" {
		t.Errorf("connected to %v", dialed)
	}
}

// TestAnotherProxy goes through the gateway's own proxy.
func TestAnotherProxy(t *testing.T) {
	w := newWorld(t, "api.example.com:443", "inside.example.com:443", "unknown.example.com:443", "10.5.5.5:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	w.names["inside.example.com"] = []string{"10.1.2.3"}
	requests := make(chan string, 10)
	w.hosts["proxy.corp:8080"] = func(conn net.Conn) {
		buffered := bufio.NewReader(conn)
		req, err := http.ReadRequest(buffered)
		if err != nil {
			return
		}
		requests <- req.Method + " " + req.RequestURI + " " + req.Header.Get("Proxy-Authorization")
		_, _ = io.WriteString(conn, "HTTP/1.1 200 fine\r\nVia: corp\r\n\r\nfirst ")
		_, _ = io.Copy(conn, buffered)
		_ = conn.Close()
	}
	w.via = func(r *http.Request) (*url.URL, error) {
		if r.URL.Host == "10.5.5.5:443" {
			return nil, nil
		}
		return url.Parse("http://me:secret@proxy.corp:8080")
	}
	w.hosts["10.5.5.5:443"] = echo
	for _, target := range []string{"api.example.com:443", "unknown.example.com:443"} {
		conn := w.tunnel(target)
		_, _ = io.WriteString(conn, "second")
		_ = conn.(*net.UnixConn).CloseWrite()
		if got, err := io.ReadAll(conn); string(got) != "first second" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if got, want := <-requests, "CONNECT "+target+" Basic bWU6c2VjcmV0"; got != want {
			t.Errorf("the proxy was asked %q, want %q", got, want)
		}
	}
	if status, _ := w.ask(connectTo("inside.example.com:443")); status != http.StatusForbidden {
		t.Errorf("a name that leads to a private address is answered with %d", status)
	}
	w.tunnel("10.5.5.5:443") // is an exception, as NO_PROXY makes them
	if _, dialed := w.seen(); cmp.Diff([]string{"proxy.corp:8080", "proxy.corp:8080", "10.5.5.5:443"}, dialed) != "" {
		t.Errorf("connected to %v", dialed)
	}
	if strings.Contains(w.log.String(), "secret") || strings.Contains(w.log.String(), "bWU6") {
		t.Errorf("the log has the password:\n%s", w.log)
	}
}

func TestAnotherProxyRefuses(t *testing.T) {
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	for _, c := range []struct{ proxy, answer, log string }{
		{"http://me:secret@proxy.corp:8080", "HTTP/1.1 407 no\r\nContent-Length: 0\r\n\r\n", "it answered with status 407"},
		{"http://me:secret@proxy.corp:8080", "HTTP/1.1 " + strings.Repeat("2", 10<<10), "unexpected EOF"},
		{"http://me:secret@proxy.corp:8080", "", "EOF"},
		{"http://me:secret@other.corp", "", "refused by"},
		{"socks5://me:secret@proxy.corp:1080", "", "socks5 proxy, which is not supported"},
	} {
		w.mu.Lock()
		w.hosts["proxy.corp:8080"] = func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, c.answer)
			_ = conn.Close()
		}
		w.mu.Unlock()
		w.via = func(*http.Request) (*url.URL, error) { return url.Parse(c.proxy) }
		status, body := w.ask(connectTo("api.example.com:443"))
		if status != http.StatusBadGateway || strings.Contains(body, "corp") {
			t.Errorf("%q through %s is answered with %d %q", c.answer, c.proxy, status, body)
		}
		if !strings.Contains(w.log.String(), c.log) || strings.Contains(w.log.String(), "secret") {
			t.Errorf("log has no %q, or the password:\n%s", c.log, w.log)
		}
	}
}

// TestServerName speaks TLS through the tunnel.
func TestServerName(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "hello") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients leave after the handshake
	server.StartTLS()
	defer server.Close()
	w := newWorld(t, "api.example.com:443", "*.example.org:443", "8.8.4.4:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	reached := make(chan struct{}, 10)
	w.hosts["8.8.4.4:443"] = func(conn net.Conn) {
		to, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			return
		}
		defer to.Close()
		defer conn.Close()
		go io.Copy(conn, to)
		if n, _ := io.Copy(to, conn); n > 0 {
			reached <- struct{}{}
		}
	}
	for _, c := range []struct{ target, serverName, err string }{
		{"api.example.com:443", "api.example.com", ""},
		{"api.example.com:443", "API.example.com", ""},
		{"api.example.com:443", "a.example.org", ""},
		{"api.example.com:443", "", ""},
		{"api.example.com:443", "evil.example.com", "unrecognized name"},
		{"api.example.com:443", strings.Repeat("a.", 200) + "evil", "unrecognized name"},
		{"8.8.4.4:443", "wiki.intern", ""},
	} {
		conn := tls.Client(w.tunnel(c.target), &tls.Config{ServerName: c.serverName, InsecureSkipVerify: true})
		err := conn.Handshake()
		if err == nil {
			err = conn.Close()
		}
		if got := fmt.Sprint(err); (c.err == "") != (err == nil) || !strings.Contains(got, c.err) {
			t.Errorf("server name %.40q in a tunnel to %s: %v, want %q", c.serverName, c.target, err, c.err)
		}
		if c.err == "" {
			<-reached
		}
	}
	w.stop()
	if len(reached) > 0 {
		t.Error("something of a refused ClientHello has reached the server")
	}
	if want := `evil.example.com`; !strings.Contains(w.log.String(), want) || len(w.log.String()) > 5000 {
		t.Errorf("log has no %s, or too much:\n%s", want, w.log)
	}
}

// TestHelloInPieces sends a ClientHello byte by byte, in records of a few bytes.
func TestHelloInPieces(t *testing.T) {
	hello := clientHello(t, "evil.example.com")
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	got := make(chan []byte, 1)
	w.hosts["8.8.4.4:443"] = func(conn net.Conn) {
		all, _ := io.ReadAll(conn)
		got <- all
		_ = conn.Close()
	}
	var records []byte
	for rest := hello[5:]; len(rest) > 0; {
		n := min(100, len(rest))
		records = append(append(records, 22, 3, 1, 0, byte(n)), rest[:n]...)
		rest = rest[n:]
	}
	conn := w.tunnel("api.example.com:443")
	for _, b := range records {
		if _, err := conn.Write([]byte{b}); err != nil {
			break
		}
	}
	if all, err := io.ReadAll(conn); len(all) != 7 || all[0] != 21 || all[6] != 112 {
		t.Errorf("got %x, %v, which is not the alert unrecognized_name", all, err)
	}
	if all := <-got; len(all) > 0 {
		t.Errorf("the server got %d bytes", len(all))
	}
}

// TestHelloBehindAnAlert has a record before the ClientHello that some servers
// pass over, among them those in Go.
func TestHelloBehindAnAlert(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	w.hosts["8.8.4.4:443"] = func(conn net.Conn) {
		defer conn.Close()
		to, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			return
		}
		defer to.Close()
		go io.Copy(conn, to)
		_, _ = io.Copy(to, conn)
	}
	for name, want := range map[string]string{"api.example.com": "<nil>", "evil.example.com": "unrecognized name"} {
		conn := w.tunnel("api.example.com:443")
		if _, err := conn.Write([]byte{21, 3, 1, 0, 2, 1, 90}); err != nil { // a warning: user_canceled
			t.Fatal(err)
		}
		err := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		if got := fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("server name %s: %s, want %s", name, got, want)
		}
		_ = conn.Close()
	}
}

// TestNoHello begins like TLS, and is not.
func TestNoHello(t *testing.T) {
	w := newWorld(t, "api.example.com:443")
	w.names["api.example.com"] = []string{"8.8.4.4"}
	got := make(chan []byte, 1)
	w.hosts["8.8.4.4:443"] = func(conn net.Conn) {
		all, _ := io.ReadAll(conn)
		got <- all
		_ = conn.Close()
	}
	for _, text := range []string{
		"\x14\x03\x03\x00\x01\x01", "\x15", "\x17\x03\x03\x00\x00", "\x18", "\x16", "\x16\x03\x01\x00\x05hello", "\x16\x03\x01\xff\xff" + strings.Repeat("x", 70<<10),
		// A ClientHello that is never complete.
		strings.Repeat("\x16\x03\x01\x00\x04\x01\x00\xff\xff", 1) + strings.Repeat("\x16\x03\x01\x40\x00"+strings.Repeat("x", 16<<10), 5),
	} {
		conn := w.tunnel("api.example.com:443")
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.UnixConn).CloseWrite()
		if all, _ := io.ReadAll(conn); len(all) > 0 {
			t.Errorf("%.20q is answered with %q", text, all)
		}
		if all := <-got; len(all) > 0 {
			t.Errorf("of %.20q the server got %d bytes", text, len(all))
		}
	}
}

// clientHello is the first record of a TLS client.
func clientHello(t *testing.T, serverName string) []byte {
	ours, theirs := net.Pipe()
	go func() { _ = tls.Client(theirs, &tls.Config{ServerName: serverName}).Handshake() }()
	defer ours.Close()
	buf := make([]byte, 16<<10)
	n, err := ours.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// TestPeersDie has either side reset its connection.
func TestPeersDie(t *testing.T) {
	w := newWorld(t, "8.8.4.4:443", "8.8.4.5:443")
	ended := make(chan error, 1)
	w.hosts["8.8.4.4:443"] = func(conn net.Conn) {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	w.hosts["8.8.4.5:443"] = func(conn net.Conn) {
		_, err := io.ReadAll(conn)
		ended <- err
		_ = conn.Close()
	}
	if got, _ := io.ReadAll(w.tunnel("8.8.4.4:443")); len(got) > 0 {
		t.Errorf("got %q from a server that is gone", got)
	}
	_ = w.tunnel("8.8.4.5:443").Close()
	<-ended
}

// TestFlood has far more clients than are served, who say nothing.
func TestFlood(t *testing.T) {
	before := runtime.NumGoroutine()
	w := newWorld(t, "8.8.4.4:443")
	w.hosts["8.8.4.4:443"] = echo
	var open []net.Conn
	for range 128 {
		open = append(open, w.tunnel("8.8.4.4:443"))
	}
	for range 200 {
		status, body, err := readAnswer(w.send(""))
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "128 connections") {
			t.Fatalf("one connection too many is answered with %d %q, %v", status, body, err)
		}
	}
	_ = open[0].Close()
	status := 0
	for deadline := time.Now().Add(10 * time.Second); status != http.StatusOK && time.Now().Before(deadline); {
		if _, err := fmt.Fscanf(w.send(connectTo("8.8.4.4:443")), "HTTP/1.1 %d", &status); err != nil {
			t.Fatal(err)
		}
	}
	if status != http.StatusOK {
		t.Errorf("no room after one has left: %d", status)
	}
	w.stop()
	for _, conn := range open {
		_ = conn.Close()
	}
	lines := strings.Count(w.log.String(), "level=WARN")
	if lines > 100 || !strings.Contains(w.log.String(), "not_logged=") {
		t.Errorf("%d lines of refusals, or no count of the others", lines)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+1 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before+1 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// TestNothingOfHeadersIsLogged sends what must not be in a log.
func TestNothingOfHeadersIsLogged(t *testing.T) {
	w := newWorld(t, "8.8.4.4:443")
	for _, request := range []string{
		"CONNECT evil.example.com:443 HTTP/1.1\r\nProxy-Authorization: Basic secret\r\nUser-Agent: secret\r\n\r\nsecret",
		"GET http://secret.example.com/secret HTTP/1.1\r\n\r\n", "CONNECT \x1b[31msecret:443 HTTP/1.1\r\n\r\n", "CONNECT secret HTTP/1.1\r\n\r\n",
		"secret\r\n\r\n",
	} {
		if status, body := w.ask(request); status == http.StatusOK || strings.Contains(body, "secret") {
			t.Errorf("%q is answered with %d %q", request, status, body)
		}
	}
	if strings.Contains(w.log.String(), "secret") {
		t.Errorf("the log has what it must not:\n%s", w.log)
	}
}
