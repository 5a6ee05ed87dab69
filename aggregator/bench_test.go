package aggregator_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// benchmarkCalls has a caller call a tool with arguments, from past the door on.
func benchmarkCalls(b *testing.B, c *oauth.Caller, arguments string, limit int) {
	srv := upstreamtest.New(b, upstreamtest.Script{
		Tools: []string{strictTool},
		Reply: func(*upstreamtest.Request) upstreamtest.Reply {
			return upstreamtest.Result(inEra(upstream.ModernEra, `"content":[]`))
		},
	})
	g, _ := start(b, aggregator.Options{
		Log: slog.New(slog.DiscardHandler), Upstreams: []aggregator.Upstream{at(b, "up", srv.URL.String())},
		Authenticate: func(*http.Request) (*oauth.Caller, *oauth.Refusal) { return c, nil },
		Limits:       aggregator.Limits{CallsPerMinute: limit},
	})
	b.ReportAllocs()
	for b.Loop() {
		result, err := call(b, g, c, "up_strict", arguments)
		if refused := !strings.Contains(arguments, `"a"`); refused != (err != nil) {
			b.Fatalf("%s, %v", result, err)
		}
	}
}

const strictTool = `{"name":"strict","inputSchema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}}`

func BenchmarkCall(b *testing.B) {
	benchmarkCalls(b, &oauth.Caller{ID: "ann"}, `{"a":"x"}`, 0)
}

// BenchmarkCallOfSignIn is of a caller whose sign-in may be ended at any time.
func BenchmarkCallOfSignIn(b *testing.B) {
	benchmarkCalls(b, &oauth.Caller{ID: "ann", Ended: make(chan struct{})}, `{"a":"x"}`, 0)
}

func BenchmarkRefusedCall(b *testing.B) {
	benchmarkCalls(b, &oauth.Caller{ID: "ann"}, `{"b":"x"}`, 0)
}
