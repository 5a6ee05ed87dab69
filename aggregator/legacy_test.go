package aggregator_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// A waiting upstream answers calls when it is told to, and says what became of them.
type waiting struct {
	*upstreamtest.Server
	called, release, cancelled chan struct{}
}

func newWaiting(t *testing.T) *waiting {
	w := &waiting{called: make(chan struct{}, 10), release: make(chan struct{}), cancelled: make(chan struct{}, 10)}
	w.Server = upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			w.called <- struct{}{}
			select {
			case <-w.release:
			case <-r.Context.Done():
				w.cancelled <- struct{}{}
			}
			return upstreamtest.Result(`{"content":[]}`)
		},
	})
	return w
}

const callT = `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"up_t"}}`

func TestLegacyCancel(t *testing.T) {
	w := newWaiting(t)
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", w.URL.String())}})
	c := connect(t, url, upstream.LegacyEra)
	answer := make(chan reply, 1)
	go func() { answer <- c.do("POST", callT, nil) }()
	<-w.called
	if r := c.do("POST", callT, nil); r.status != 200 || !strings.Contains(r.body, `a request with the id \"c\" is in flight`) {
		t.Errorf("the same id again: %d %s", r.status, r.body)
	}
	other := connect(t, url, upstream.LegacyEra)
	const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}`
	other.do("POST", cancel, nil) // means nothing of another session
	select {
	case <-w.cancelled:
		t.Fatal("another session cancelled the call")
	case <-time.After(50 * time.Millisecond):
	}
	if r := c.do("POST", cancel, nil); r.status != 202 {
		t.Errorf("cancel: %d %s", r.status, r.body)
	}
	<-w.cancelled
	if r := <-answer; r.status != 200 || r.body != "" {
		t.Errorf("the cancelled call: %d %s, want no answer", r.status, r.body)
	}
}

// A client that lost its stream opens another one, and is told there.
func TestNewestStreamCounts(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := connect(t, url, upstream.LegacyEra)
	first := listen(t, c, "GET", "", func(*http.Request) {})
	second := listen(t, c, "GET", "", func(*http.Request) {})
	if _, open := <-first; open {
		t.Error("the first stream was told something")
	}
	awaitStream(t, srv)
	srv.Change(func(s *upstreamtest.Script) { s.Tools = nil })
	if got := <-second; !strings.Contains(got, "notifications/tools/list_changed") {
		t.Errorf("the second stream: %s", got)
	}
}

func TestDrainWaitsForCalls(t *testing.T) {
	w := newWaiting(t)
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", w.URL.String())}})
	c := connect(t, url, upstream.LegacyEra)
	idle := connect(t, url, upstream.LegacyEra)
	stream := listen(t, idle, "GET", "", func(*http.Request) {})
	answer := make(chan reply, 1)
	go func() { answer <- c.do("POST", callT, nil) }()
	<-w.called
	g.Drain()
	if _, open := <-stream; open {
		t.Error("a stream goes on")
	}
	close(w.release)
	if r := <-answer; !strings.Contains(r.body, `"result":{"content":[]}`) {
		t.Errorf("the call in flight: %d %s", r.status, r.body)
	}
}

func TestBatches(t *testing.T) {
	var tools []string
	for i := range 1000 {
		tools = append(tools, fmt.Sprintf(`{"name":"t%d","description":"%s","inputSchema":{"type":"object"}}`, i, strings.Repeat("x", 1000)))
	}
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: tools})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := newHTTPClient(t, url)
	r := c.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, nil)
	c.session = r.header.Get("Mcp-Session-Id")
	batch := func(messages ...string) reply { return c.do("POST", "["+strings.Join(messages, ",")+"]", nil) }
	const (
		ping   = `{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}`
		list   = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
		call   = `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"up_t1","arguments":{"n":1.0},"later":1e3}}`
		notice = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	)
	if r := batch(ping, notice, call, `5`); r.status != 200 || r.body != `[{"jsonrpc":"2.0","id":9007199254740993,"result":{}},{"jsonrpc":"2.0","id":"c","result":{}},{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"not a JSON-RPC message: not a JSON object"}}]` {
		t.Errorf("a batch: %d %s", r.status, r.body)
	}
	if got := string(srv.Requests("tools/call")[0].Params); got != `{"name":"t1","arguments":{"n":1.0},"later":1e3}` {
		t.Errorf("the upstream got %s", got)
	}
	if r := batch(notice, notice); r.status != 202 || r.body != "" {
		t.Errorf("notifications only: %d %s", r.status, r.body)
	}
	for name, tt := range map[string]struct {
		message string
		times   int
	}{"many messages": {ping, 51}, "large answers": {list, 40}} {
		messages := make([]string, tt.times)
		for i := range messages {
			messages[i] = tt.message
		}
		if r := batch(messages...); r.status != 400 || len(r.body) > 1000 {
			t.Errorf("%s: %d, %d bytes: %.200s", name, r.status, len(r.body), r.body)
		}
	}
}

func TestUpstreamsMustNotAskForSampling(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		ModernOnly: true, Tools: []string{plainTool},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			method := "elicitation/create"
			if strings.Contains(string(r.Params), `"sample"`) {
				method = "sampling/createMessage"
			}
			return upstreamtest.Result(`{"resultType":"input_required","inputRequests":{"x":{"method":"` + method + `","params":{"n":1.0,"message":"Sure?"}}},"requestState":"s"}`)
		},
	})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := newTalker(t, url, upstream.ModernEra)
	call := func(params string) (got string) {
		if err := c.post("POST", modernBody("1", "tools/call", params), "up_t", nil, func(m string) { got = m }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := call(`"name":"up_t","arguments":{"ask":1},`); !strings.Contains(got, `"inputRequests":{"x":{"method":"elicitation/create","params":{"n":1.0,"message":"[up] Sure?"}}},"requestState":"m1.`) {
		t.Errorf("elicitation: %s", got)
	}
	if got := call(`"name":"up_t","arguments":{"sample":1},`); !strings.Contains(got, `asks for \"sampling/createMessage\", which is not among the upstream's requests`) {
		t.Errorf("sampling: %s", got)
	}
	if r := newHTTPClient(t, url).modern("tools/call", "up_t", `"name":"up_t","arguments":{"ask":1},`); !strings.Contains(r.body, `asks for \"elicitation/create\", which the client does not support`) {
		t.Errorf("a client that cannot be asked: %s", r.body)
	}
}

// A session must not hold on to what opened it.
func TestSessionsAreSmall(t *testing.T) {
	_, url := start(t, aggregator.Options{})
	before := heap()
	for range 20 {
		c := newHTTPClient(t, url)
		c.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"},"pad":"`+strings.Repeat("x", 3<<20)+`"}}`, nil)
	}
	if grown := int64(heap()) - int64(before); grown > 20<<20 {
		t.Errorf("20 sessions hold %d MiB", grown>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
