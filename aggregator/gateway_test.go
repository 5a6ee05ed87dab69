package aggregator_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
)

// start runs a gateway in front of the given upstreams until the test ends and
// returns it with its endpoint's URL.
func start(t testing.TB, opts aggregator.Options) (*aggregator.Gateway, string) {
	t.Helper()
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	g := aggregator.New(opts)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.Run(ctx)
	}()
	server := httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		g.Drain()
		server.Close()
		stop()
		<-stopped
	})
	if err := g.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g, server.URL + "/mcp"
}

// at is an upstream at a URL, with its label as prefix.
func at(t testing.TB, label, endpoint string) aggregator.Upstream {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return aggregator.Upstream{Options: upstream.Options{Name: label, URL: u}, Prefix: label}
}

// serveSDK serves an SDK server over HTTP: with sessions, or without for the
// modern era.
func serveSDK(t *testing.T, s *mcp.Server, era upstream.Era) string {
	t.Helper()
	server := httptest.NewServer(mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{Stateless: era == upstream.ModernEra}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// echoServer has the tool echo, which answers with its arguments as text.
func echoServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "echo", Version: "1"}, &mcp.ServerOptions{Instructions: "Echoes."})
	s.AddTool(&mcp.Tool{
		Name:        "echo",
		InputSchema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}`),
	}, func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(req.Params.Arguments)}}}, nil
	})
	return s
}

// A reply is what came back of one HTTP request.
type reply struct {
	status int
	header http.Header
	body   string // of an event stream: the data of its last event
	events []string
}

// A httpClient speaks MCP by hand.
type httpClient struct {
	t       *testing.T
	url     string
	header  http.Header
	session string
}

func newHTTPClient(t *testing.T, url string) *httpClient {
	return &httpClient{t: t, url: url, header: http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
	}}
}

// do sends one request; edit, if not nil, changes it first.
func (c *httpClient) do(method, body string, edit func(*http.Request)) reply {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = c.header.Clone()
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	if edit != nil {
		edit(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, header: resp.Header, body: strings.TrimSpace(string(raw))}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		r.events, r.body = data(raw), ""
		if n := len(r.events); n > 0 {
			r.body = r.events[n-1]
		}
	}
	return r
}

// data is the data of every event of a stream.
func data(stream []byte) (events []string) {
	lines := bufio.NewScanner(bytes.NewReader(stream))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			events = append(events, data)
		}
	}
	return events
}

// initialize opens a legacy session.
func (c *httpClient) initialize() reply {
	c.t.Helper()
	r := c.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`, nil)
	c.session = r.header.Get("Mcp-Session-Id")
	if r.status != 200 || c.session == "" {
		c.t.Fatalf("initialize: %d %s", r.status, r.body)
	}
	c.header.Set("Mcp-Protocol-Version", "2025-11-25")
	c.do("POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil)
	return r
}

// request sends a legacy request.
func (c *httpClient) request(method, params string) reply {
	c.t.Helper()
	return c.do("POST", `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`, nil)
}

const modernMeta = `"_meta":{` + hopMeta + `}`

const hopMeta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}`

// modern sends a modern request; members are those of params besides _meta,
// each followed by a comma.
func (c *httpClient) modern(method, name, members string) reply {
	c.t.Helper()
	return c.modernWith(method, name, members, `"io.example/none":null`)
}

// modernAble is modern of a client that can be asked for everything.
func (c *httpClient) modernAble(method, name, members string) reply {
	c.t.Helper()
	able := strings.Replace(hopMeta, `Capabilities":{}`, `Capabilities":{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}`, 1)
	return c.post(method, name, `"params":{`+members+`"_meta":{`+able+`}}`)
}

// modernWith is modern with more members of _meta.
func (c *httpClient) modernWith(method, name, members, meta string) reply {
	c.t.Helper()
	return c.post(method, name, `"params":{`+members+`"_meta":{`+meta+`,`+hopMeta+`}}`)
}

func (c *httpClient) post(method, name, params string) reply {
	c.t.Helper()
	return c.do("POST", `{"jsonrpc":"2.0","id":1,"method":"`+method+`",`+params+`}`, func(r *http.Request) {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", method)
		if name != "" {
			r.Header.Set("Mcp-Name", name)
		}
	})
}

func TestOneURLForManyServersAndBothEras(t *testing.T) {
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{
		at(t, "old", serveSDK(t, echoServer(), upstream.LegacyEra)),
		at(t, "new", serveSDK(t, echoServer(), upstream.ModernEra)),
	}})
	legacy := newHTTPClient(t, url)
	if r := legacy.initialize(); !strings.Contains(r.body, `"instructions":"## old\n\nEchoes.\n\n## new\n\nEchoes."`) {
		t.Errorf("initialize: %s", r.body)
	}
	modern := newHTTPClient(t, url)
	if r := modern.modern("server/discover", "", ""); !strings.Contains(r.body, `"instructions":"## old`) || !strings.Contains(r.body, `"cacheScope":"private"`) {
		t.Errorf("server/discover: %s", r.body)
	}
	for _, r := range []reply{legacy.request("tools/list", `{}`), modern.modern("tools/list", "", "")} {
		old, new := strings.Index(r.body, `"name":"old_echo"`), strings.Index(r.body, `"name":"new_echo"`)
		if r.status != 200 || old < 0 || new < old {
			t.Errorf("tools/list: %d %s", r.status, r.body)
		}
	}
	for _, tool := range []string{"old_echo", "new_echo"} {
		call := `"name":"` + tool + `","arguments":{"text":"hi"},`
		for era, r := range map[string]reply{
			"legacy": legacy.request("tools/call", `{`+strings.TrimSuffix(call, ",")+`}`),
			"modern": modern.modern("tools/call", tool, call),
		} {
			if r.status != 200 || !strings.Contains(r.body, `"text":"{\"text\":\"hi\"}"`) {
				t.Errorf("%s calls %s: %d %s", era, tool, r.status, r.body)
			}
			if got := strings.Contains(r.body, `"resultType":"complete"`); got != (era == "modern") {
				t.Errorf("%s calls %s: resultType in the result: %v", era, tool, got)
			}
		}
	}
}
