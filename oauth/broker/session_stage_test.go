package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/oauth/broker"
	"github.com/mcpagg/mcpagg/oauth/fakeentra"
	"github.com/mcpagg/mcpagg/oauth/store"
)

// inTime runs a test on a stage whose time is its own, and whose network has no
// sockets. The provider's token endpoint is behind a middleman.
func inTime(t *testing.T, test func(*stage, *middleman), change ...func(*broker.Options)) {
	t.Helper()
	// The engine of all stores has one goroutine in common, which must not be of
	// that time.
	other, err := store.Open(t.Context(), store.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	synctest.Test(t, func(t *testing.T) {
		s, m := newTimedStage(t, change...)
		test(s, m)
	})
}

func newTimedStage(t *testing.T, change ...func(*broker.Options)) (*stage, *middleman) {
	n := network{}
	s := &stage{TB: t, log: &logBuffer{}}
	s.server = n.serve(t, "127.0.0.1:1001", s)
	fake, err := fakeentra.New(fakeentra.Options{URL: "http://127.0.0.1:1002"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	n.serve(t, "127.0.0.1:1002", fake.Handler())
	m := &middleman{next: n.client(t)}
	s.people(fake)
	s.changeSignIn = func(o *oauth.Options) {
		o.HTTP, s.opts.HTTP = &http.Client{Transport: m.next}, &http.Client{Transport: m}
	}
	s.openStore(store.Options{Memory: true})
	s.configure(change...)
	t.Cleanup(func() { s.checkLog(m) })
	return s, m
}

// checkLog makes sure, after each test, that the log holds nothing of what the
// provider gave, and nobody's name.
func (s *stage) checkLog(m *middleman) {
	m.mu.Lock()
	defer m.mu.Unlock()
	log := s.log.String()
	for _, secret := range append(m.got, gatewaySecret, "Example", "@contoso") {
		if strings.Contains(log, secret) {
			s.Errorf("the log holds %s:\n%s", secret, log)
		}
	}
}

// people makes a stand-in for Entra the one of the stage.
func (s *stage) people(fake *fakeentra.Server) {
	s.fake, s.provider = fake, fake.URL()
	s.app = fake.AddApp(fakeentra.App{
		Name: "gateway", Secrets: []string{gatewaySecret}, TokenVersion: 2, IDTokenGroups: true,
		Redirects: []fakeentra.Redirect{{URI: s.server.URL + broker.CallbackPath, Platform: fakeentra.Web}},
	})
	s.alice = fake.AddUser(fakeentra.User{Name: alice, DisplayName: "Alice Example"})
	fake.Switch(func(sw *fakeentra.Switches) { sw.AutoSignIn = alice })
}

// A network leads to servers without sockets, by address.
type network map[string]*pipes

// serve starts a server at an address until the test ends.
func (n network) serve(t *testing.T, addr string, h http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	n[addr] = &pipes{addr: addr, incoming: make(chan net.Conn), closed: make(chan struct{})}
	server.Listener = n[addr]
	server.Start()
	server.Client().Transport = n.client(t)
	t.Cleanup(server.Close)
	return server
}

func (n network) client(t *testing.T) *http.Transport {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		p, ok := n[addr]
		if !ok {
			return nil, &net.AddrError{Err: "nobody is there", Addr: addr}
		}
		ours, theirs := net.Pipe()
		select {
		case p.incoming <- remote{theirs}:
			return ours, nil
		case <-p.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// pipes is a listener of connections within the process.
type pipes struct {
	addr     string
	incoming chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return address(p.addr) }

// remote is a connection from an address.
type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr { return address("192.0.2.1:1234") }

type address string

func (address) Network() string  { return "pipe" }
func (a address) String() string { return string(a) }

// A middleman stands between the gateway and its provider, and meddles with
// refreshes: the zero value changes nothing.
type middleman struct {
	next http.RoundTripper

	mu sync.Mutex
	// instead is the answer; nil for that of the provider. guarded by mu
	instead func() *http.Response
	// change alters what the provider gives; nil for nothing. guarded by mu
	change func(answer map[string]any)
	// hold is what a refresh waits for before the provider is asked; guarded by mu
	hold chan struct{}
	// sent are the refresh tokens that were used, and got all tokens that were given;
	// guarded by mu
	sent, got []string
	forms     []url.Values // all; guarded by mu
}

// RoundTrip implements [http.RoundTripper].
func (m *middleman) RoundTrip(r *http.Request) (*http.Response, error) {
	form := formOf(r)
	m.mu.Lock()
	hold, instead, change := m.hold, m.instead, m.change
	if form.Get("grant_type") != "" {
		m.forms = append(m.forms, form)
	}
	refresh := form.Get("grant_type") == "refresh_token"
	if refresh {
		m.sent = append(m.sent, form.Get("refresh_token"))
	}
	m.mu.Unlock()
	if refresh && hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if refresh && instead != nil {
		return instead(), nil
	}
	resp, err := m.next.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK || form == nil {
		return resp, err
	}
	return m.pass(resp, refresh && change != nil, change)
}

// pass notes what an answer gives, and changes it.
func (m *middleman) pass(resp *http.Response, changed bool, change func(map[string]any)) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, err
	}
	answer := map[string]any{}
	if json.Unmarshal(body, &answer) != nil { // there may be no end to it
		resp.Body = &unread{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
		return resp, nil
	}
	resp.Body.Close()
	if changed {
		change(answer)
		body, _ = json.Marshal(answer)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range []string{"id_token", "access_token", "refresh_token"} {
		if token, ok := answer[name].(string); ok {
			m.got = append(m.got, token)
		}
	}
	return reply(http.StatusOK, string(body)), nil
}

// unread is a body of which the beginning was read.
type unread struct {
	io.Reader
	io.Closer
}

func formOf(r *http.Request) url.Values {
	if r.Body == nil || r.Method != http.MethodPost {
		return nil
	}
	body, _ := io.ReadAll(r.Body)
	r.Body.Close()
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	form, _ := url.ParseQuery(string(body))
	return form
}

// reply is an answer of the provider in JSON.
func reply(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// answers has each refresh be answered instead of by the provider.
func (m *middleman) answers(status int, body string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instead = func() *http.Response { return reply(status, body) }
}

// changes has what the provider gives for a refresh be altered: nil takes a member
// away.
func (m *middleman) changes(members map[string]any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change = func(answer map[string]any) {
		maps.Copy(answer, members)
		maps.DeleteFunc(answer, func(_ string, v any) bool { return v == nil })
	}
}

// holds has refreshes wait until the channel is closed.
func (m *middleman) holds() chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = make(chan struct{})
	return m.hold
}

// retires has everything go its way again.
func (m *middleman) retires() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instead, m.change, m.hold = nil, nil, nil
}

// refreshes are the refresh tokens that the provider was asked with.
func (m *middleman) refreshes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.sent...)
}

// logs makes sure that the log says something at a level.
func (s *stage) logs(level, text string) {
	s.Helper()
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "level="+level) && strings.Contains(line, text) {
			return
		}
	}
	s.Errorf("the log does not say %q at level %s:\n%s", text, level, s.log)
}

// works makes sure that an access token does, or not.
func (s *stage) works(token string, want bool) {
	s.Helper()
	_, status := s.mcp(token)
	if got := status == http.StatusOK; got != want || !want && status != http.StatusUnauthorized {
		s.Errorf("HTTP %d for an access token, want it to work: %t\n%s", status, want, s.log)
	}
}

// tick lets a moment pass: otherwise all that happens is at the same time.
func tick() { time.Sleep(time.Second) }
