package aggregator_test

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// A desk says who is calling by tokens such as "ann/1/a": a person, the sign-in,
// and which of its tokens it is. A sign-in may be ended.
type desk struct {
	mu    sync.Mutex
	ended map[string]chan struct{} // by sign-in, such as "ann/1"; guarded by mu
}

func (d *desk) signIn(name string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended == nil {
		d.ended = map[string]chan struct{}{}
	}
	if d.ended[name] == nil {
		d.ended[name] = make(chan struct{})
	}
	return d.ended[name]
}

func (d *desk) end(name string) { close(d.signIn(name)) }

func (d *desk) authenticate(r *http.Request) (*oauth.Caller, *oauth.Refusal) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	signIn, name := token[:strings.LastIndex(token, "/")], token[strings.LastIndex(token, "/")+1:]
	person, _, _ := strings.Cut(token, "/")
	c := &oauth.Caller{ID: person, Name: name, Expires: time.Now().Add(time.Hour), Ended: d.signIn(signIn)}
	select {
	case <-c.Ended:
		return nil, &oauth.Refusal{Status: 401, Challenge: "Bearer", Message: "the token is not valid; sign in again"}
	default:
		return c, nil
	}
}

// with makes the client use the token.
func with(c *httpClient, token string) *httpClient {
	c.header.Set("Authorization", "Bearer "+token)
	return c
}

// TestStreamsEndWithTheSignIn ends the streams of one sign-in, and none of another
// one, even of the same person.
func TestStreamsEndWithTheSignIn(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	var d desk
	opts := aggregator.Options{Authenticate: d.authenticate}
	g, url := start(t, opts)
	streams := openStreams(t, with(newHTTPClient(t, url), "ann/1/a"))
	others := openStreams(t, with(newHTTPClient(t, url), "ann/2/a"))
	d.end("ann/1")
	for name, stream := range streams {
		checkEnds(t, name, stream)
	}
	opts.Upstreams = []aggregator.Upstream{at(t, "up", srv.URL.String())}
	if _, err := g.Reload(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	for name, stream := range others {
		checkTells(t, name, stream)
	}
}

// TestCallsEndWithTheSignIn cuts off what is under way, at the upstream as well.
func TestCallsEndWithTheSignIn(t *testing.T) {
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		called, gone := make(chan struct{}), make(chan struct{})
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{plainTool},
			Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
				r.Progress(1, "")
				close(called)
				<-r.Context.Done()
				close(gone)
				return upstreamtest.Result(inEra(server, `"content":[]`))
			},
		}))
		var d desk
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: d.authenticate})
		c := with(newHTTPClient(t, url), "ann/1/a")
		if client == upstream.LegacyEra {
			c.initialize()
		}
		answers := make(chan reply, 1)
		go func() { answers <- callTool(c, "up_t") }()
		<-called
		d.end("ann/1")
		if r := <-answers; !strings.Contains(r.body, `"code":-32003`) || !strings.Contains(r.body, "sign in again") || strings.Contains(r.body, "result") {
			t.Errorf("%d %s", r.status, r.body)
		}
		<-gone
		if r := callTool(c, "up_t"); r.status != 401 {
			t.Errorf("afterwards: %d %s", r.status, r.body)
		}
	})
}

// TestNoResultsAfterTheSignIn has upstreams answer just then.
func TestNoResultsAfterTheSignIn(t *testing.T) {
	inEveryEra(t, func(t *testing.T, client, server upstream.Era) {
		var d desk
		srv := upstreamtest.New(t, speaks(server, upstreamtest.Script{
			Tools: []string{plainTool},
			Reply: func(*upstreamtest.Request) upstreamtest.Reply {
				d.end("ann/1")
				return upstreamtest.Result(inEra(server, `"content":[{"type":"text","text":"secret"}]`))
			},
		}))
		_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: d.authenticate})
		c := with(newHTTPClient(t, url), "ann/1/a")
		if client == upstream.LegacyEra {
			c.initialize()
		}
		if r := callTool(c, "up_t"); !strings.Contains(r.body, `"code":-32003`) || strings.Contains(r.body, "secret") {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// TestParkedCallsEndWithTheSignIn ends calls that wait for answers: of a client
// that nobody hears of, and of one that is attached.
func TestParkedCallsEndWithTheSignIn(t *testing.T) {
	asked := make(chan struct{}, 2)
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			answer := ask1(r)
			asked <- struct{}{}
			<-r.Context.Done() // as it goes on, with the client attached again
			return answer
		},
	})
	var d desk
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: d.authenticate})
	cancelled := func() int { return len(srv.Requests("notifications/cancelled")) }

	state := stateOf(t, callAsked(with(newHTTPClient(t, url), "ann/1/a"), ""))
	d.end("ann/1")
	eventually(t, "the parked call ends", func() bool { return g.Held().Parked == 0 && g.Held().Places == 0 && cancelled() == 1 })
	<-asked
	if r := callAsked(with(newHTTPClient(t, url), "ann/2/a"), accepted+`"requestState":"`+state+`",`); r.status != 400 {
		t.Errorf("with its state: %d %s", r.status, r.body)
	}

	c := with(newHTTPClient(t, url), "ann/2/a")
	state = stateOf(t, callAsked(c, ""))
	answers := make(chan reply, 1)
	go func() { answers <- callAsked(c, accepted+`"requestState":"`+state+`",`) }()
	<-asked
	d.end("ann/2")
	if r := <-answers; !strings.Contains(r.body, `"code":-32003`) || strings.Contains(r.body, `"result"`) {
		t.Errorf("while it is attached: %d %s", r.status, r.body)
	}
	eventually(t, "the call ends", func() bool { return g.Held().Users == 0 && cancelled() == 2 })
}

// TestSignInsCostNoGoroutine opens sessions that may be ended, and parks a call
// that is taken up again.
func TestSignInsCostNoGoroutine(t *testing.T) {
	var d desk
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", asking(t).URL.String())}, Authenticate: d.authenticate})
	c := with(newHTTPClient(t, url), "ann/1/a")
	once := func() {
		c.session = ""
		c.initialize()
		state := stateOf(t, callAsked(c, ""))
		callAsked(c, accepted+`"requestState":"`+state+`",`)
	}
	once()
	before := runtime.NumGoroutine()
	for range 100 {
		once()
	}
	eventually(t, "the goroutines of calls end", func() bool { return runtime.NumGoroutine() < before+50 })
}
