package aggregator_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// A call whose connection broke may have been served. It is made once more only
// if that does no harm.
func TestCallsThatMayHaveRun(t *testing.T) {
	for definition, want := range map[string]int32{
		`{"name":"t","inputSchema":{"type":"object"}}`:                                         1,
		`{"name":"t","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}`:     2,
		`{"name":"t","inputSchema":{"type":"object"},"annotations":{"idempotentHint":true}}`:   2,
		`{"name":"t","inputSchema":{"type":"object"},"annotations":{"destructiveHint":false}}`: 1,
	} {
		t.Run(definition, func(t *testing.T) {
			var calls atomic.Int32
			srv := upstreamtest.New(t, upstreamtest.Script{
				Tools: []string{definition},
				Before: func(_ http.ResponseWriter, r *upstreamtest.Request) bool {
					if r.Method == "tools/call" && calls.Add(1) == 1 {
						panic(http.ErrAbortHandler)
					}
					return false
				},
				Reply: func(*upstreamtest.Request) upstreamtest.Reply {
					return upstreamtest.Result(`{"content":[],"resultType":"complete"}`)
				},
			})
			_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
			r := newHTTPClient(t, url).modern("tools/call", "up_t", `"name":"up_t",`)
			if answered := strings.Contains(r.body, `"result"`); answered != (want == 2) || calls.Load() != want {
				t.Errorf("called %d times, want %d: %s", calls.Load(), want, r.body)
			}
		})
	}
}
