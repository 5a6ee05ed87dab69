package aggregator_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// asking is a legacy server whose tool asks for a name and answers with what
// it got.
func asking(t *testing.T) *upstreamtest.Server {
	return upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}, Reply: ask1})
}

func ask1(r *upstreamtest.Request) upstreamtest.Reply {
	got := r.Ask(`"`+string(r.ID)+`"`, "elicitation/create", `{"message":"Who?","requestedSchema":{"type":"object","properties":{}}}`)
	return upstreamtest.Result(fmt.Sprintf(`{"content":[],"structuredContent":{"got":%s}}`, got))
}

// callAsked calls as a modern client that can be asked.
func callAsked(c *httpClient, members string) reply {
	return c.modernAble("tools/call", "up_t", `"name":"up_t",`+members)
}

// stateOf is the state in a result that asks for input.
func stateOf(t *testing.T, r reply) string {
	t.Helper()
	_, rest, ok := strings.Cut(r.body, `"requestState":"`)
	state, _, _ := strings.Cut(rest, `"`)
	if !ok || !strings.Contains(r.body, `"input_required"`) {
		t.Fatalf("it does not ask for input: %s", r.body)
	}
	return state
}

const accepted = `"inputResponses":{"1":{"action":"accept","content":{"n":1.0}}},`

// A caller may have so many calls that wait for answers, and gets one more once
// one has ended.
func TestParkedCallsAreBounded(t *testing.T) {
	up := at(t, "up", asking(t).URL.String())
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}, Authenticate: byHeader})
	ann, bob := as(t, url, "ann"), as(t, url, "bob")
	var states []string
	for range 20 {
		states = append(states, stateOf(t, callAsked(ann, "")))
	}
	if r := callAsked(ann, ""); !strings.Contains(r.body, `too many questions wait for its answers`) {
		t.Errorf("one too many: %s", r.body)
	}
	stateOf(t, callAsked(bob, ""))
	if r := callAsked(bob, accepted+`"requestState":"`+states[0]+`",`); r.status != 400 || !strings.Contains(r.body, "-32602") {
		t.Errorf("another caller's state: %d %s", r.status, r.body)
	}
	if r := callAsked(ann, accepted+`"requestState":"`+states[0]+`",`); !strings.Contains(r.body, `"content":{"n":1.0}`) {
		t.Errorf("the answer: %s", r.body)
	}
	stateOf(t, callAsked(ann, ""))
}

// What is parked when the gateway stops leaves nothing, nor does what its
// clients have hung up on.
func TestParkedCallsEnd(t *testing.T) {
	before := holding()
	t.Run("gateway", func(t *testing.T) {
		up := at(t, "up", asking(t).URL.String())
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}, Authenticate: byHeader})
		for caller := range 5 {
			c := as(t, url, fmt.Sprint("caller ", caller))
			for range 20 {
				stateOf(t, callAsked(c, ""))
			}
		}
		if now := holding(); now.goroutines < before.goroutines+3*pooled+100 {
			t.Errorf("%d goroutines, %d before: the test would not see what is left of a hundred calls", now.goroutines, before.goroutines)
		}
	})
	awaitRelease(t, before)
}

// A client that comes back to a call that has failed meanwhile is told so.
func TestParkedCallsFail(t *testing.T) {
	srv := asking(t)
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := newHTTPClient(t, url)
	state := stateOf(t, callAsked(c, ""))
	srv.CloseClientConnections()
	if r := callAsked(c, accepted+`"requestState":"`+state+`",`); !strings.Contains(r.body, `upstream \"up\"`) {
		t.Errorf("after the upstream has died: %s", r.body)
	}
	stateOf(t, callAsked(c, ""))
}

// A gateway that drains takes parked calls back at the upstream, whose question
// fails, and parks no more.
func TestDrainingGatewaysParkNothing(t *testing.T) {
	answers := make(chan string, 2)
	// An upstream that replied as soon as its question has failed might be heard
	// before the call is cancelled.
	askAndWait := func(r *upstreamtest.Request) upstreamtest.Reply {
		reply := ask1(r)
		<-r.Context.Done()
		return reply
	}
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool}, Reply: askAndWait,
		Answered: func(r *upstreamtest.Request) { answers <- string(r.Body) },
	})
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	c := newHTTPClient(t, url)
	state := stateOf(t, callAsked(c, ""))
	g.Drain()
	if got := <-answers; !strings.Contains(got, `"error":{"code":-32603,"message":"the call that the request belongs to has ended"}`) {
		t.Errorf("the question is answered with %s", got)
	}
	eventually(t, "the call is not cancelled", func() bool {
		cancelled := srv.Requests("notifications/cancelled")
		return len(cancelled) == 1 && strings.Contains(string(cancelled[0].Params), `"reason":"the gateway stops"`)
	})
	for _, members := range []string{accepted + `"requestState":"` + state + `",`, ""} {
		if r := callAsked(c, members); !strings.Contains(r.body, `upstream \"up\": cancelled: the gateway stops`) {
			t.Errorf("a client of a gateway that drains gets %s", r.body)
		}
	}
}

// A question that waits is not shown to a client that says by now that it
// cannot be asked.
func TestParkedQuestionsAreForClientsThatCanAnswer(t *testing.T) {
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", asking(t).URL.String())}})
	c := newHTTPClient(t, url)
	state := stateOf(t, callAsked(c, ""))
	r := c.modern("tools/call", "up_t", `"name":"up_t","requestState":"`+state+`",`)
	if !strings.Contains(r.body, `"message":"the client cannot be asked"`) || strings.Contains(r.body, "input_required") {
		t.Errorf("a client without elicitation gets %s", r.body)
	}
}

// Of clients that bring back the same state at once, one gets the call.
func TestParkedCallsAreTakenOnce(t *testing.T) {
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", asking(t).URL.String())}})
	state := stateOf(t, callAsked(newHTTPClient(t, url), ""))
	var taken, refused atomic.Int32
	var clients sync.WaitGroup
	for range 8 {
		c := newHTTPClient(t, url)
		clients.Go(func() {
			switch r := callAsked(c, accepted+`"requestState":"`+state+`",`); {
			case strings.Contains(r.body, `"content":{"n":1.0}`):
				taken.Add(1)
			case r.status == 400 && strings.Contains(r.body, "-32602"):
				refused.Add(1)
			default:
				t.Errorf("it gets %d %s", r.status, r.body)
			}
		})
	}
	clients.Wait()
	if taken.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d got the call and %d were refused, want 1 and 7", taken.Load(), refused.Load())
	}
}

// Over stdio, a question belongs to the only call of a caller.
func TestModernClientOfAskingProcess(t *testing.T) {
	up := chattyProcess(t, aggregator.PerUser)
	up.Protocol = upstream.Legacy
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
	c := newHTTPClient(t, url)
	chat := func(members string) reply {
		return c.modernAble("tools/call", "up_chat", `"name":"up_chat","arguments":{"id":"x"},`+members)
	}
	state := stateOf(t, chat(""))
	r := chat(`"inputResponses":{"1":{"action":"accept","content":{"id":"x"}}},"requestState":"` + state + `",`)
	if !strings.Contains(r.body, `"structuredContent":{"id":"x"}`) {
		t.Errorf("the answer: %s", r.body)
	}
}
