package aggregator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// quiet is for tests of which the log would say much, and stay in memory.
var quiet = slog.New(slog.DiscardHandler)

// An upstream that asks and does not wait for the answer takes none of its
// caller's places for calls that wait.
func TestUpstreamsThatAskAndAnswerTakeNoPlaces(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}, Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
		r.Send(fmt.Sprintf(`{"jsonrpc":"2.0","id":"%s","method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}`, r.ID))
		return upstreamtest.Result(`{"content":[]}`)
	}})
	g, url := start(t, aggregator.Options{Log: quiet, Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	var calls sync.WaitGroup
	for range 8 {
		c := newHTTPClient(t, url)
		calls.Go(func() {
			for range 100 {
				r := callAsked(c, "")
				for strings.Contains(r.body, `"input_required"`) { // it was so quick; there is nothing to answer by now
					r = callAsked(c, `"requestState":"`+stateOf(t, r)+`",`)
				}
				if !strings.Contains(r.body, `"content":[]`) {
					t.Errorf("got %s", r.body)
				}
			}
		})
	}
	calls.Wait()
	eventually(t, "nothing is held", func() bool { return g.Held() == (aggregator.Held{}) })
}

// What is said of a parked call right after it was answered reaches the client
// that has answered.
func TestProgressAfterAnAnswer(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}, Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
		reply := ask1(r)
		r.Progress(1, "")
		return reply
	}})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	var calls sync.WaitGroup
	for range 4 {
		c := newHTTPClient(t, url)
		calls.Go(func() {
			for range 100 {
				withProgress := func(members string) reply {
					able := strings.Replace(hopMeta, `Capabilities":{}`, `Capabilities":{"elicitation":{}}`, 1)
					return c.post("tools/call", "up_t", `"params":{"name":"up_t",`+members+`"_meta":{"progressToken":7,`+able+`}}`)
				}
				r := withProgress(accepted + `"requestState":"` + stateOf(t, withProgress("")) + `",`)
				if len(r.events) != 2 || !strings.Contains(r.events[0], `"progressToken":7`) {
					t.Errorf("got %q %s", r.events, r.body)
				}
			}
		})
	}
	calls.Wait()
}

// A thousand parked calls of fifty callers, under reloads, upstreams that die,
// clients that hang up, come back twice and with nonsense, leave nothing; and
// who answers gets the result of the own call or an error.
func TestParkedStorm(t *testing.T) {
	const callers, each = 50, 20
	before := holding()
	before.heap += 16 << 20 // the runtime keeps what a thousand goroutines took
	t.Run("storm", func(t *testing.T) {
		srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Forget: true, Tools: []string{plainTool}, Reply: ask1})
		up := at(t, "up", srv.URL.String())
		up.Fingerprint = "0"
		g, url := start(t, aggregator.Options{Log: quiet, Upstreams: []aggregator.Upstream{up}, Authenticate: byHeader})
		var running sync.WaitGroup
		stop := make(chan struct{})
		running.Go(func() {
			for i := 0; ; i++ {
				up.Fingerprint, up.Tags = fmt.Sprint(i/2), []string{fmt.Sprint(i)}
				if _, err := g.Reload(t.Context(), aggregator.Options{Upstreams: []aggregator.Upstream{up}}); err != nil {
					t.Error(err)
				}
				if i%5 == 4 {
					srv.CloseClientConnections()
				}
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		var calling sync.WaitGroup
		for i := range callers {
			calling.Go(func() { stormOf(t, as(t, url, fmt.Sprint("caller-", i)), each) })
		}
		calling.Wait()
		close(stop)
		running.Wait()
		srv.CloseClientConnections()
		eventually(t, "nothing but what clients have not come back for is held", func() bool { return g.Held().Users == 0 && g.Held().Places == g.Held().Parked })
	})
	http.DefaultClient.CloseIdleConnections()
	awaitRelease(t, before)
}

// stormOf has so many calls of one caller parked at once, and treats each in
// another way.
func stormOf(t *testing.T, c *httpClient, calls int) {
	var running sync.WaitGroup
	for i := range calls {
		running.Go(func() {
			arguments := fmt.Sprintf(`"arguments":{"id":"%s-%d"},`, c.header.Get("X-User"), i)
			r := callAsked(c, arguments)
			if !strings.Contains(r.body, `"input_required"`) {
				if !strings.Contains(r.body, `"error"`) && !strings.Contains(r.body, "cannot be asked") {
					t.Errorf("neither asked nor failed: %s", r.body)
				}
				return
			}
			state := `"requestState":"` + stateOf(t, r) + `",`
			mine := fmt.Sprintf(`"inputResponses":{"1":{"action":"accept","content":{"id":"%s-%d"}}},`, c.header.Get("X-User"), i)
			switch i % 5 {
			case 1: // with another call's arguments first
				if r := callAsked(c, `"arguments":{},`+mine+state); !strings.Contains(r.body, "-32602") {
					t.Errorf("with other arguments: %s", r.body)
				}
			case 2: // nonsense first
				for _, nonsense := range []string{``, `"inputResponses":7,`, `"inputResponses":{"1":"x","2":{}},`, `"inputResponses":{"1":{},"1":{}},`} {
					if r = callAsked(c, arguments+nonsense+state); !strings.Contains(r.body, `"input_required"`) {
						break
					}
					state = `"requestState":"` + stateOf(t, r) + `",`
				}
			case 3: // it hangs up
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				c.hangUp(ctx, arguments+state)
			}
			answers := make(chan reply, 2)
			for range 2 {
				running.Go(func() { answers <- callAsked(c, arguments+mine+state) })
			}
			results := 0
			for range 2 {
				r := <-answers
				if own := fmt.Sprintf(`"content":{"id":"%s-%d"}`, c.header.Get("X-User"), i); strings.Contains(r.body, own) {
					results++
				} else if strings.Contains(r.body, "caller-") || !strings.Contains(r.body, `"error"`) && !strings.Contains(r.body, `"got":{`) {
					t.Errorf("got %s", r.body)
				}
			}
			if results > 1 {
				t.Errorf("one call has had %d results", results)
			}
		})
	}
	running.Wait()
}

// hangUp makes the call and gives it up when ctx ends.
func (c *httpClient) hangUp(ctx context.Context, members string) {
	able := strings.Replace(hopMeta, `Capabilities":{}`, `Capabilities":{"elicitation":{}}`, 1)
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_t",` + members + `"_meta":{` + able + `}}}`
	req, err := http.NewRequestWithContext(ctx, "POST", c.url, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return
	}
	req.Header = c.header.Clone()
	for name, value := range map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "up_t"} {
		req.Header.Set(name, value)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
}
