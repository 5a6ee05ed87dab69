package aggregator_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// admitAs takes everybody for a caller, and remembers the address that it was
// told of.
func admitAs(c *oauth.Caller, remote *string) func(*http.Request) (*oauth.Caller, *oauth.Refusal) {
	return func(r *http.Request) (*oauth.Caller, *oauth.Refusal) {
		*remote = r.RemoteAddr
		return c, nil
	}
}

func TestRefusalsAreAnswered(t *testing.T) {
	refused := &oauth.Refusal{Status: 401, Challenge: `Bearer scope="a"`, Message: "sign-in required"}
	_, url := start(t, aggregator.Options{Authenticate: func(*http.Request) (*oauth.Caller, *oauth.Refusal) { return nil, refused }})
	for _, path := range []string{"", "/"} {
		for _, method := range []string{"POST", "GET", "HEAD", "DELETE", "PUT"} {
			c := newHTTPClient(t, url+path)
			r := c.do(method, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil)
			if r.status != 401 || r.header.Get("WWW-Authenticate") != refused.Challenge || method != "HEAD" && !strings.Contains(r.body, refused.Message) {
				t.Errorf("%s %s: %d %v %s", method, path, r.status, r.header, r.body)
			}
		}
	}
	refused.Status, refused.Challenge, refused.RetryAfter = 503, "", 1500*time.Millisecond
	r := newHTTPClient(t, url).request("tools/list", "{}")
	if r.status != 503 || r.header.Get("WWW-Authenticate") != "" || r.header.Get("Retry-After") != "2" {
		t.Errorf("503: %d %v", r.status, r.header)
	}
	if r := newHTTPClient(t, url).do("OPTIONS", "", withHeader("Origin", strings.TrimSuffix(url, "/mcp"))); r.status != 204 {
		t.Errorf("a preflight, which has no token: %d", r.status)
	}
}

func TestWaysToSignIn(t *testing.T) {
	var remote string
	signIn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		remote = r.RemoteAddr
		w.WriteHeader(http.StatusTeapot)
	})
	_, url := start(t, aggregator.Options{
		Authenticate: admitAs(oauth.Anonymous, new(string)), SignIn: signIn,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	_, open := start(t, aggregator.Options{})
	for _, path := range []string{
		"/.well-known/oauth-protected-resource/mcp", "/.well-known/openid-configuration", "/mcp/.well-known/openid-configuration",
		"/oauth2/authorize", "/authorize", "/token", "/register", "/me", "/me/sessions",
	} {
		at := func(url string) reply {
			return newHTTPClient(t, strings.TrimSuffix(url, "/mcp")+path).do("GET", "", withHeader("X-Forwarded-For", "203.0.113.7"))
		}
		if r := at(url); r.status != http.StatusTeapot || remote != "203.0.113.7" {
			t.Errorf("%s: %d, from %s", path, r.status, remote)
		}
		if r := at(open); r.status != http.StatusNotFound {
			t.Errorf("%s without sign-in: %d", path, r.status)
		}
	}
}

// Test51 keeps who may be in groups that are unavailable from everything, in
// JSON-RPC.
func Test51UnavailableGroups(t *testing.T) {
	c := &oauth.Caller{ID: "dave", Groups: oauth.Groups{Unavailable: true, Why: "Microsoft Graph could not be asked for them"}}
	var remote string
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: admitAs(c, &remote)})
	legacy := newHTTPClient(t, url)
	legacy.initialize()
	for _, r := range []reply{
		legacy.request("tools/list", "{}"), legacy.request("tools/call", `{"name":"up_t"}`),
		newHTTPClient(t, url).modern("tools/list", "", ""), newHTTPClient(t, url).modern("tools/call", "up_t", `"name":"up_t",`),
		newHTTPClient(t, url).modern("subscriptions/listen", "", `"notifications":{"toolsListChanged":true},`),
	} {
		if r.status != 200 || !strings.Contains(r.body, "your groups are unavailable, since Microsoft Graph could not be asked") || !strings.Contains(r.body, "-32003") {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if n := len(srv.Requests("tools/call")); n > 0 {
		t.Errorf("the upstream was called %d times", n)
	}
	if strings.HasPrefix(remote, "203.") {
		t.Errorf("the address is %s", remote)
	}
}

// TestStreamsEndWithTheToken cuts streams off that would outlive the token they
// were opened with.
func TestStreamsEndWithTheToken(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	_, url := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())},
		Authenticate: func(*http.Request) (*oauth.Caller, *oauth.Refusal) {
			return &oauth.Caller{ID: "ann", Expires: time.Now().Add(500 * time.Millisecond)}, nil
		},
	})
	for name, stream := range openStreams(t, newHTTPClient(t, url)) {
		checkEnds(t, name, stream)
	}
}

// openStreams opens a stream in each era.
func openStreams(t *testing.T, c *httpClient) map[string]<-chan string {
	t.Helper()
	c.initialize()
	get := listen(t, c, "GET", "", func(*http.Request) {})
	body := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + modernMeta + `}}`
	modern := listen(t, c, "POST", body, func(r *http.Request) {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", "subscriptions/listen")
	})
	return map[string]<-chan string{"GET": get, "subscriptions/listen": modern}
}

func checkEnds(t *testing.T, name string, stream <-chan string) {
	t.Helper()
	for timeout := time.After(10 * time.Second); ; {
		select {
		case _, open := <-stream:
			if !open {
				return
			}
		case <-timeout:
			t.Fatalf("the stream of %s goes on", name)
		}
	}
}

// checkTells makes sure that a stream is open and tells of the tools.
func checkTells(t *testing.T, name string, stream <-chan string) {
	t.Helper()
	for message := range stream {
		if strings.Contains(message, "notifications/tools/list_changed") {
			return
		}
	}
	t.Errorf("the stream of %s has ended", name)
}

// TestReloadEndsStreams ends the streams of those whom a reload no longer lets in,
// and only those.
func TestReloadEndsStreams(t *testing.T) {
	anybody := func(r *http.Request) (*oauth.Caller, *oauth.Refusal) {
		return &oauth.Caller{ID: r.Header.Get("X-User")}, nil
	}
	nobody := func(*http.Request) (*oauth.Caller, *oauth.Refusal) { return nil, &oauth.Refusal{Status: 401} }
	for name, tt := range map[string]struct {
		before, after func(*http.Request) (*oauth.Caller, *oauth.Refusal)
		ends          bool
	}{
		"sign-in added":        {nil, byHeader, true},
		"sign-in removed":      {anybody, nil, true},
		"refused":              {anybody, nobody, true},
		"let in as before":     {anybody, byHeader, false},
		"nobody ever signs in": {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
			opts := aggregator.Options{Authenticate: tt.before}
			g, url := start(t, opts)
			streams := openStreams(t, as(t, url, "ann"))
			opts.Authenticate = tt.after
			for range 2 {
				if _, err := g.Reload(t.Context(), opts); err != nil {
					t.Fatal(err)
				}
			}
			opts.Upstreams = []aggregator.Upstream{at(t, "up", srv.URL.String())}
			if _, err := g.Reload(t.Context(), opts); err != nil {
				t.Fatal(err)
			}
			check := checkTells
			if tt.ends {
				check = checkEnds
			}
			for kind, stream := range streams {
				check(t, kind, stream)
			}
		})
	}
}

// Test54 makes sure that nothing a client signs in with reaches an upstream.
func Test54NothingOfTheSignInGoesUpstream(t *testing.T) {
	for _, era := range eras {
		srv := upstreamtest.New(t, speaks(era, upstreamtest.Script{Tools: []string{plainTool}}))
		_, url := start(t, aggregator.Options{
			Upstreams:    []aggregator.Upstream{at(t, "up", srv.URL.String())},
			Authenticate: admitAs(&oauth.Caller{ID: "ann"}, new(string)),
		})
		for _, client := range eras {
			c := connect(t, url, client)
			c.header.Set("Authorization", "Bearer the-token")
			c.header.Set("Cookie", "session=the-token")
			if client == upstream.LegacyEra {
				c.request("tools/call", `{"name":"up_t"}`)
			} else {
				c.modern("tools/call", "up_t", `"name":"up_t",`)
			}
		}
		calls := srv.Requests("tools/call")
		if len(calls) != 2 {
			t.Fatalf("the upstream got %d calls", len(calls))
		}
		for _, call := range calls {
			for name, values := range call.Header {
				if strings.Contains(strings.Join(values, " "), "the-token") {
					t.Errorf("the upstream got %s: %s", name, values)
				}
			}
		}
	}
}

// TestReloadThatAddsSignIn starts to ask who calls: sessions from before belong to
// nobody who signs in, and isolation changes.
func TestReloadThatAddsSignIn(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	opts := aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}}
	opts.Upstreams[0].Fingerprint = "1"
	g, url := start(t, opts)
	c := newHTTPClient(t, url)
	c.initialize()
	opts.Authenticate = byHeader
	changes, err := g.Reload(t.Context(), opts)
	if err != nil || len(changes.Reconnected) != 1 {
		t.Fatalf("changes %+v, %v", changes, err)
	}
	if r := c.request("tools/list", "{}"); r.status != 401 {
		t.Errorf("without signing in: %d", r.status)
	}
	c.header.Set("X-User", "ann")
	if r := c.request("tools/list", "{}"); r.status != 404 {
		t.Errorf("in a session from before: %d", r.status)
	}
	c.session = ""
	c.initialize()
	if r := c.request("tools/call", `{"name":"up_t"}`); r.status != 200 {
		t.Errorf("after signing in: %d %s", r.status, r.body)
	}
}

// TestRefusedBodies answers a client that never sends what it announced: net/http
// would wait for it.
func TestRefusedBodies(t *testing.T) {
	_, endpoint := start(t, aggregator.Options{Authenticate: byHeader})
	address := strings.TrimSuffix(strings.TrimPrefix(endpoint, "http://"), "/mcp")
	for name, request := range map[string]string{
		"401": "POST /mcp HTTP/1.1\r\nHost: " + address,
		"403": "POST /mcp HTTP/1.1\r\nHost: evil.example",
		"404": "POST /elsewhere HTTP/1.1\r\nHost: " + address,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, request+"\r\nContent-Length: 100\r\n\r\n{")
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+name) {
				t.Errorf("answered with %q, %v", answer, err)
			}
		})
	}
}
