package aggregator_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// Progress comes in order, ahead of the answer and under the client's own
// token; a client that asks for none gets a plain answer.
func TestProgress(t *testing.T) {
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{plainTool},
			Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
				for i := range 20 {
					r.Progress(float64(i), `,"total":20,"message":"<step>"`)
				}
				return upstreamtest.Result(inEra(server, `"content":[]`))
			},
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		c := connect(t, url, client)
		call := func(meta string) reply {
			members := `"name":"up_t",`
			if client == upstream.LegacyEra {
				return c.request("tools/call", "{"+members+`"_meta":{`+meta+`}}`)
			}
			return c.modernWith("tools/call", "up_t", members, meta)
		}
		r := call(`"progressToken":"mine"`)
		if len(r.events) != 21 {
			t.Fatalf("%d events: %.500v", len(r.events), r.events)
		}
		for i, event := range r.events[:20] {
			want := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine","progress":%d,"total":20,"message":"<step>"}}`, i)
			if event != want {
				t.Errorf("event %d: %s, want %s", i, event, want)
			}
		}
		if !strings.Contains(r.events[20], `"result":{"content":[]`) {
			t.Errorf("the answer: %s", r.events[20])
		}
		if r := call(`"other":1`); r.events != nil || !strings.Contains(r.body, `"result":{"content":[]`) {
			t.Errorf("without a token: %+v", r)
		}
	})
}

func TestMissingResourcesByEra(t *testing.T) {
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Resources: []string{`{"uri":"file:///a","name":"a"}`},
			Reply: func(*upstreamtest.Request) upstreamtest.Reply {
				return upstreamtest.Error(`{"code":-32002,"message":"gone","data":{"n":1.0}}`)
			},
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
		c := connect(t, url, client)
		code := map[upstream.Era]string{upstream.LegacyEra: "-32002", upstream.ModernEra: "-32602"}[client]
		if got := ask(t, c, client, "resources/read", "up+file:///a", `"uri":"up+file:///a",`, "error"); got != `{"code":`+code+`,"message":"gone","data":{"n":1.0}}` {
			t.Errorf("the upstream's: %s", got)
		}
		if got := ask(t, c, client, "resources/read", "nobody:///a", `"uri":"nobody:///a",`, "error"); got != `{"code":`+code+`,"message":"unknown resource \"nobody:///a\""}` {
			t.Errorf("the gateway's: %s", got)
		}
	})
}
