package aggregator_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// An upstream that never has enough is called seventeen times, and the client
// asked sixteen.
func TestRoundsAreBounded(t *testing.T) {
	var calls atomic.Int32
	srv := upstreamtest.New(t, upstreamtest.Script{ModernOnly: true, Tools: []string{plainTool}, Reply: func(*upstreamtest.Request) upstreamtest.Reply {
		calls.Add(1)
		return upstreamtest.Result(`{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{"message":"x"}}}}`)
	}})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	got, _, _, err := newTalker(t, url, upstream.LegacyEra).round("x", `"name":"up_t",`)
	want := fmt.Sprint(strings.Repeat("question ", 16), `{"jsonrpc":"2.0","id":"x","error":{"code":-32603,"message":"upstream \"up\": its result asks for input more than 16 times"}}`)
	if err != nil || strings.Join(got, " ") != want || calls.Load() != 17 {
		t.Errorf("got %q, %v after %d calls, want %s", got, err, calls.Load(), want)
	}
}
