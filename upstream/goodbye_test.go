package upstream_test

import (
	"testing"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// A server that is there for longer than the connection hears that nobody waits
// for its calls any more, be they in the middle of a question or not.
func TestCallsAreCancelledAtTheEnd(t *testing.T) {
	const calls = 10
	for range 5 { // ending a connection and giving up its calls go on at once
		begun := make(chan struct{}, calls)
		srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{`{"name":"t"}`}, Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if r.Method == "tools/call" {
				begun <- struct{}{}
				<-r.Context.Done()
			}
			return upstreamtest.Result(`{}`)
		}})
		u := run(t, upstream.Options{URL: srv.URL})
		for range calls {
			go u.Call(t.Context(), upstream.Call{Method: "tools/call", Params: []byte(`{"name":"t"}`)}) //nolint:errcheck // it is given up
		}
		for range calls {
			<-begun
		}
		u.stop()
		if got := len(srv.Requests("notifications/cancelled")); got != calls {
			t.Errorf("%d of %d calls are cancelled", got, calls)
		}
	}
}
