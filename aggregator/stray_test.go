package aggregator_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// Where all messages come on one stream, a question that a server asks for a
// call that its client has given up is not put to another client of the caller,
// whose call is the only one by now.
func TestQuestionsOfCallsThatWereGivenUp(t *testing.T) {
	begun, late, refused := make(chan struct{}, 2), make(chan struct{}), make(chan struct{})
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			begun <- struct{}{}
			if !strings.Contains(string(r.Params), "given up") {
				<-r.Context.Done()
				return upstreamtest.Raw("")
			}
			<-late // it does not care that it was cancelled
			r.Send(`{"jsonrpc":"2.0","id":"late","method":"elicitation/create","params":{"message":"late","requestedSchema":{"type":"object","properties":{}}}}`)
			return upstreamtest.Raw("")
		},
		Answered: func(r *upstreamtest.Request) {
			if strings.Contains(string(r.Body), "-32601") {
				close(refused)
			}
		},
	})
	up := at(t, "up", srv.SSEURL.String())
	up.Protocol, up.Isolation = upstream.SSE, aggregator.PerUser
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}, Authenticate: byHeader})
	giveUp := func(members string) (stop func()) {
		ctx, hangUp := context.WithCancel(t.Context())
		left := make(chan struct{})
		c := as(t, url, "ann")
		go func() {
			defer close(left)
			c.hangUp(ctx, members)
		}()
		<-begun
		return func() { hangUp(); <-left }
	}
	giveUp(`"arguments":{"a":"given up"},`)()
	eventually(t, "the first call is given up", func() bool { return g.Held().Users == 0 })
	stop := giveUp("")
	defer stop()
	close(late)
	select {
	case <-refused:
	case <-time.After(patience):
		t.Errorf("the question was not refused; held are %+v", g.Held())
	}
}
