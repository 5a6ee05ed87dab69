package aggregator_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

func withHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

func TestBadRequestsOfLegacyClients(t *testing.T) {
	_, endpoint := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", serveSDK(t, echoServer(), upstream.LegacyEra))},
		Limits:    aggregator.Limits{RequestBytes: 1 << 20},
	})
	c := newHTTPClient(t, endpoint)
	c.initialize()
	const list = `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`
	call := func(args string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up_echo","arguments":` + args + `}}`
	}
	for _, tt := range []struct {
		name, method, body string
		edit               func(*http.Request)
		wantStatus         int
		wantBody           string
	}{
		{"no body", "POST", "", nil, 400, `"code":-32600,"message":"the request has no body"`},
		{"white space", "POST", " \n", nil, 400, `the request has no body`},
		{"broken JSON", "POST", `{"jsonrpc":`, nil, 400, `"id":null,"error":{"code":-32700`},
		{"not an object", "POST", `"hello"`, nil, 400, `"code":-32600`},
		{"not JSON-RPC", "POST", `{"id":7,"method":"tools/list"}`, nil, 400, `"code":-32600`},
		{"duplicate member", "POST", `{"jsonrpc":"2.0","id":7,"id":8,"method":"tools/list"}`, nil, 400, `duplicate key \"id\"`},
		{"large body", "POST", strings.Repeat("x", 1<<20+1), nil, 413, `larger than 1 MiB (server.limits.request_bytes)`},
		{"batch", "POST", "[" + list + "]", nil, 400, `batches are of revision 2025-03-26 only`},
		{"wrong content type", "POST", list, withHeader("Content-Type", "text/plain"), 415, `"id":7,"error":{"code":-32600`},
		{"wrong accept", "POST", list, withHeader("Accept", "text/html"), 400, `"id":7,"error":{"code":-32600`},
		{"foreign origin", "POST", list, withHeader("Origin", "https://evil.example"), 403, `server.allowed_origins`},
		{"opaque origin", "POST", list, withHeader("Origin", "null"), 403, `server.allowed_origins`},
		{"wrong host", "POST", list, func(r *http.Request) { r.Host = "evil.example" }, 403, `server.public_url`},
		{"unknown session", "POST", list, withHeader("Mcp-Session-Id", "nope"), 404, `"code":-32001,"message":"session not found`},
		{"unknown session, GET", "GET", "", withHeader("Mcp-Session-Id", "nope"), 404, `"code":-32001`},
		{"unknown session, DELETE", "DELETE", "", withHeader("Mcp-Session-Id", "nope"), 404, `"code":-32001`},
		{"no session", "POST", list, withHeader("Mcp-Session-Id", ""), 400, `the Mcp-Session-Id header is missing; initialize first`},
		{"GET without a session", "GET", "", withHeader("Mcp-Session-Id", ""), 400, `the Mcp-Session-Id header is missing`},
		{"DELETE without a session", "DELETE", "", withHeader("Mcp-Session-Id", ""), 400, `the Mcp-Session-Id header is missing`},
		{"HEAD", "HEAD", "", withHeader("Mcp-Session-Id", ""), 405, ``},
		{"PUT", "PUT", list, nil, 405, `method not allowed`},
		{"unknown version", "POST", list, withHeader("Mcp-Protocol-Version", "2024-01-01"), 400, `unsupported protocol version \"2024-01-01\"; supported are 2026-07-28, 2025-11-25`},
		{"missing version", "POST", list, withHeader("Mcp-Protocol-Version", ""), 200, `"name":"up_echo"`},
		{"cancel of a finished id", "POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}`, nil, 202, ``},
		{"unknown method", "POST", `{"jsonrpc":"2.0","id":7,"method":"tools/dance"}`, nil, 200, `"id":7,"error":{"code":-32601`},
		{"param in another case", "POST", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up_echo","Name":"x","arguments":{"text":"a"}}}`, nil, 200, `"code":-32602,"message":"params: \"Name\" differs from \"name\" in case only"`},
		{"ref in another case", "POST", `{"jsonrpc":"2.0","id":7,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","NAME":"x"},"argument":{}}}`, nil, 200, `"code":-32602,"message":"ref: \"NAME\" differs from \"name\" in case only"`},
		{"bad cursor", "POST", `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"cursor":"zzz"}}`, nil, 200, `"code":-32602,"message":"the cursor is not valid`},
		{"duplicate argument", "POST", call(`{"text":"a","text":"b"}`), nil, 200, `"code":-32602,"message":"arguments of up_echo: duplicate key at /text"`},
		{"misspelt argument", "POST", call(`{"text":"a","Text":"b"}`), nil, 200, `"code":-32602`},
		{"lone surrogate", "POST", call(`{"text":"\ud800"}`), nil, 200, `"code":-32602`},
		{"invalid UTF-8", "POST", call("{\"text\":\"\xff\"}"), nil, 200, `"code":-32602`},
		{"wrong type", "POST", call(`{"text":5}`), nil, 200, `"code":-32602`},
		{"duplicate param", "POST", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"up_echo","name":"x","arguments":{}}}`, nil, 200, `"code":-32602,"message":"params: duplicate key \"name\""`},
		{"unknown tool", "POST", strings.Replace(call(`{}`), "up_echo", "echo", 1), nil, 200, `"code":-32602,"message":"unknown tool \"echo\""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &httpClient{t, c.url, c.header, c.session}
			r := c.do(tt.method, tt.body, tt.edit)
			if r.status != tt.wantStatus || !strings.Contains(r.body, tt.wantBody) {
				t.Errorf("got  %d %s\nwant %d …%s…", r.status, r.body, tt.wantStatus, tt.wantBody)
			}
			if r.status >= 400 && tt.method != "HEAD" && !strings.HasPrefix(r.body, `{"jsonrpc":"2.0","id":`) {
				t.Errorf("not a JSON-RPC error: %s", r.body)
			}
		})
	}
	if r := c.request("tools/list", `{}`); r.status != 200 {
		t.Errorf("the session is broken afterwards: %d %s", r.status, r.body)
	}
}

func TestBadRequestsOfModernClients(t *testing.T) {
	_, endpoint := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", serveSDK(t, echoServer(), upstream.LegacyEra))},
	})
	c := newHTTPClient(t, endpoint)
	for name, tt := range map[string]struct {
		got        reply
		wantStatus int
		wantBody   string
	}{
		"unknown tool":       {c.modern("tools/call", "x", `"name":"x",`), 400, `"code":-32602,"message":"unknown tool \"x\""`},
		"duplicate argument": {c.modern("tools/call", "up_echo", `"name":"up_echo","arguments":{"text":"a","text":"b"},`), 400, `"code":-32602`},
		"other name":         {c.modern("tools/call", "other", `"name":"up_echo",`), 400, `"code":-32020`},
		"unknown method":     {c.modern("tools/dance", "", ""), 404, `"code":-32601`},
		"no Mcp-Method": {c.do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`,
			withHeader("Mcp-Protocol-Version", "2026-07-28")), 400, `"code":-32020`},
		"unknown version": {c.do("POST", strings.ReplaceAll(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`, "2026-07-28", "2027-01-01"), func(r *http.Request) {
			r.Header.Set("Mcp-Protocol-Version", "2027-01-01")
			r.Header.Set("Mcp-Method", "tools/list")
		}), 400, `"code":-32022`},
		"batch": {c.do("POST", `[]`, withHeader("Mcp-Protocol-Version", "2026-07-28")), 400, `"code":-32600`},
		"GET":   {c.do("GET", ``, withHeader("Mcp-Protocol-Version", "2026-07-28")), 405, `"code":-32600`},
	} {
		if tt.got.status != tt.wantStatus || !strings.Contains(tt.got.body, tt.wantBody) {
			t.Errorf("%s: got %d %s, want %d …%s…", name, tt.got.status, tt.got.body, tt.wantStatus, tt.wantBody)
		}
	}
}

func TestNamesInBase64(t *testing.T) {
	_, endpoint := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", serveSDK(t, echoServer(), upstream.LegacyEra))},
	})
	r := newHTTPClient(t, endpoint).modern("tools/call", "=?base64?dXBfZWNobw==?=", `"name":"up_echo","arguments":{"text":"hi"},`)
	if r.status != 200 {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

func TestArgumentsInHeaders(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{
		`{"name":"t","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"}}}}`,
	}})
	_, endpoint := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := newHTTPClient(t, endpoint)
	for _, tt := range []struct {
		args   string
		header map[string]string
		want   string // "" if the call passes
	}{
		{`{"region":"eu","n":7}`, map[string]string{"Region": "eu", "N": "7"}, ""},
		{`{"region":"eu","n":7}`, map[string]string{"Region": "eu", "N": "7.0"}, ""},
		{`{"region":"öst"}`, map[string]string{"Region": "=?base64?w7ZzdA==?="}, ""},
		{`{}`, nil, ""},
		{`{"region":null}`, map[string]string{"Region": "eu"}, "is sent though the argument is not"},
		{`{"region":"eu"}`, nil, `Mcp-Param-Region, for the argument \"region\", is missing`},
		{`{"region":"eu"}`, map[string]string{"Region": "us"}, `is \"us\"`},
		{`{"region":"eu"}`, map[string]string{"Region": "=?base64?%?="}, "is not valid base64"},
		{`{"n":7}`, map[string]string{"N": "8"}, `is \"8\"`},
	} {
		c.header = c.header.Clone()
		for _, name := range []string{"Region", "N"} {
			c.header.Del("Mcp-Param-" + name)
			if value := tt.header[name]; value != "" {
				c.header.Set("Mcp-Param-"+name, value)
			}
		}
		r := c.modern("tools/call", "up_t", `"name":"up_t","arguments":`+tt.args+`,`)
		refused := strings.Contains(r.body, `"code":-32020`) && r.status == 400
		if refused != (tt.want != "") || !strings.Contains(r.body, tt.want) {
			t.Errorf("%s with %v: %d %s, want %q", tt.args, tt.header, r.status, r.body, tt.want)
		}
	}
}

func TestOriginsAndHosts(t *testing.T) {
	public, err := url.Parse("https://mcp.example.com")
	if err != nil {
		t.Fatal(err)
	}
	_, endpoint := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", serveSDK(t, echoServer(), upstream.LegacyEra))},
		PublicURL: public, AllowedOrigins: []string{"https://inspector.example.com"},
	})
	c := newHTTPClient(t, endpoint)
	own := "http://" + strings.TrimSuffix(strings.TrimPrefix(endpoint, "http://"), "/mcp")
	for _, tt := range []struct {
		host, origin string
		want         int
	}{
		{"", "", 200},
		{"localhost:1", "", 200},
		{"mcp.example.com", "", 200},
		{"evil.example.com", "", 403},
		{"", "https://inspector.example.com", 200},
		{"", "https://mcp.example.com", 200},
		{"", own, 200},
		{"", "http://mcp.example.com", 403},
		{"", "https://inspector.example.com.evil.org", 403},
		{"", "http://localhost:6274", 403},
	} {
		r := c.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, func(r *http.Request) {
			if tt.host != "" {
				r.Host = tt.host
			}
			withHeader("Origin", tt.origin)(r)
		})
		if r.status != tt.want {
			t.Errorf("Host %q, Origin %q: %d %s, want %d", tt.host, tt.origin, r.status, r.body, tt.want)
		}
		if got := r.header.Get("Access-Control-Allow-Origin"); tt.want == 200 && got != tt.origin {
			t.Errorf("Origin %q: Access-Control-Allow-Origin is %q", tt.origin, got)
		}
	}
	preflight := c.do("OPTIONS", "", withHeader("Origin", "https://inspector.example.com"))
	if preflight.status != 204 || !strings.Contains(preflight.header.Get("Access-Control-Allow-Headers"), "Mcp-Session-Id") {
		t.Errorf("preflight: %d %v", preflight.status, preflight.header)
	}
}

// byHeader takes the caller's word for who it is; "" is refused.
func byHeader(r *http.Request) (*oauth.Caller, *oauth.Refusal) {
	name := r.Header.Get("X-User")
	if name == "" {
		return nil, &oauth.Refusal{Status: http.StatusUnauthorized, Challenge: "Bearer", Message: "no X-User"}
	}
	return &oauth.Caller{ID: name}, nil
}

func TestSessionsBelongToTheirCaller(t *testing.T) {
	_, endpoint := start(t, aggregator.Options{
		Upstreams:    []aggregator.Upstream{at(t, "up", serveSDK(t, echoServer(), upstream.LegacyEra))},
		Authenticate: byHeader,
		Limits:       aggregator.Limits{SessionsPerUser: 2},
	})
	as := func(name string) *httpClient {
		c := newHTTPClient(t, endpoint)
		c.header.Set("X-User", name)
		return c
	}
	alice, mallory := as("alice"), as("mallory")
	alice.initialize()
	mallory.session = alice.session
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if r := mallory.do(method, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil); r.status != 404 || !strings.Contains(r.body, "session not found") {
			t.Errorf("%s in another's session: %d %s", method, r.status, r.body)
		}
	}
	if r := newHTTPClient(t, endpoint).request("tools/list", "{}"); r.status != 401 {
		t.Errorf("nobody: %d %s", r.status, r.body)
	}
	if r := alice.request("tools/list", "{}"); r.status != 200 {
		t.Errorf("the owner: %d %s", r.status, r.body)
	}

	as("alice").initialize()
	const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	if r := as("alice").do("POST", initialize, nil); r.status != 429 || r.header.Get("Retry-After") == "" {
		t.Errorf("a third session: %d %s", r.status, r.body)
	}
	if r := alice.do("DELETE", "", nil); r.status != 204 {
		t.Errorf("DELETE: %d %s", r.status, r.body)
	}
	as("alice").initialize() // there is room again
}

func TestCallsPerMinute(t *testing.T) {
	_, endpoint := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", serveSDK(t, echoServer(), upstream.LegacyEra))},
		Limits:    aggregator.Limits{CallsPerMinute: 2},
	})
	c := newHTTPClient(t, endpoint)
	call := func() string {
		return c.modern("tools/call", "up_echo", `"name":"up_echo","arguments":{"text":"x"},`).body
	}
	call()
	call()
	if got := call(); !strings.Contains(got, `"code":-32000,"message":"more than 2 tool calls in a minute; try again in 30 s"`) {
		t.Errorf("the third call: %s", got)
	}
}

// A client that does not read its answer holds up nobody else, and a client
// that hangs up in the middle of a call leaves nothing behind.
func TestSlowReaders(t *testing.T) {
	big := strings.Repeat("x", 4<<20)
	_, endpoint := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{at(t, "up", serveSDK(t, echoServer(), upstream.LegacyEra))},
		Limits:    aggregator.Limits{RequestBytes: 8 << 20},
	})
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_echo","arguments":{"text":"` + big + `"},` + modernMeta + `}}`
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: up_echo\r\nContent-Length: %d\r\n\r\n%s", u.Host, len(body), body)
	}
	done := make(chan reply, 1)
	go func() {
		c := newHTTPClient(t, endpoint)
		done <- c.modern("tools/call", "up_echo", `"name":"up_echo","arguments":{"text":"hi"},`)
	}()
	select {
	case r := <-done:
		if r.status != 200 {
			t.Errorf("got %d %s", r.status, r.body)
		}
	case <-time.After(10 * time.Second):
		t.Error("slow readers hold up other clients")
	}
}

func TestHealth(t *testing.T) {
	g := aggregator.New(aggregator.Options{})
	for path, want := range map[string]int{"/health": 200, "/": 404, "/nothing": 404} {
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("GET %s: %d, want %d", path, w.Code, want)
		}
	}
}

// A client that names the event stream first in Accept gets its answers in
// one; errors with a status of their own stay plain.
func TestAnswersInTheFormThatIsPreferred(t *testing.T) {
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{Tools: []string{plainTool}}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		c := connect(t, url, client)
		for accept, want := range map[string]string{
			"application/json, text/event-stream": "application/json",
			"text/event-stream, application/json": "text/event-stream",
			"*/*":                                 "application/json",
		} {
			c.header.Set("Accept", accept)
			r := c.request("tools/list", `{}`)
			if client == upstream.ModernEra {
				r = c.modern("tools/list", "", "")
			}
			if got := r.header.Get("Content-Type"); got != want || !strings.Contains(r.body, `"name":"up_t"`) {
				t.Errorf("Accept %q: %s %s, want %s", accept, got, r.body, want)
			}
		}
		if client == upstream.LegacyEra {
			return
		}
		c.header.Set("Accept", "text/event-stream, application/json")
		if r := c.modern("no/such", "", ""); r.status != 404 || r.events != nil {
			t.Errorf("an unknown method: %d %s", r.status, r.body)
		}
	})
}
