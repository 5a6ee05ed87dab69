package aggregator

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// A level that an upstream was not told, since who told it gave up, is told again.
func TestLevelsAreToldAgain(t *testing.T) {
	told := make(chan string, 10)
	var first atomic.Bool
	first.Store(true)
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Capabilities: `{"logging":{}}`,
		Before: func(_ http.ResponseWriter, r *upstreamtest.Request) bool {
			if r.Method == "logging/setLevel" {
				told <- string(r.Params)
			}
			return false
		},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if first.Swap(false) {
				<-r.Context.Done()
			}
			return upstreamtest.Result(`{}`)
		},
	})
	g, m, s := withSession(t, upstream.Options{URL: srv.URL})
	s.setLevel(json.RawMessage(`"info"`))
	ctx, giveUp := context.WithCancel(t.Context())
	gaveUp := make(chan struct{})
	go func() {
		defer close(gaveUp)
		if in, err := g.instanceFor(ctx, Request{Caller: oauth.Anonymous, session: s}, m); err != nil {
			t.Error(err)
		} else {
			in.leave()
		}
	}()
	<-told
	giveUp()
	<-gaveUp
	for range 2 {
		in, err := g.instanceFor(t.Context(), Request{Caller: oauth.Anonymous, session: s}, m)
		if err != nil {
			t.Fatal(err)
		}
		in.leave()
	}
	if n := len(told); n != 1 {
		t.Fatalf("told %d times again, want once", n)
	}
	if got := <-told; got != `{"level":"info"}` {
		t.Errorf("told %s", got)
	}
}
