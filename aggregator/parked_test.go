package aggregator_test

import (
	"fmt"
	"strings"
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
	if r := callAsked(ann, ""); !strings.Contains(r.body, `the client cannot be asked`) {
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

// What is parked when the gateway stops, or its upstream dies, leaves nothing,
// and a client that comes back to a call that has failed is told so.
func TestParkedCallsEnd(t *testing.T) {
	before := holding()
	t.Run("gateway", func(t *testing.T) {
		srv := asking(t)
		up := at(t, "up", srv.URL.String())
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
		c := newHTTPClient(t, url)
		for range 5 {
			stateOf(t, callAsked(c, ""))
		}
		state := stateOf(t, callAsked(c, ""))
		srv.CloseClientConnections()
		if r := callAsked(c, accepted+`"requestState":"`+state+`",`); !strings.Contains(r.body, `upstream \"up\"`) {
			t.Errorf("after the upstream has died: %s", r.body)
		}
		stateOf(t, callAsked(c, ""))
	})
	awaitRelease(t, before)
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
