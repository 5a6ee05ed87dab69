package aggregator_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// reload replaces the upstreams, which must work.
func reload(t *testing.T, g *aggregator.Gateway, upstreams ...aggregator.Upstream) {
	t.Helper()
	if _, err := g.Reload(t.Context(), aggregator.Options{Upstreams: upstreams}); err != nil {
		t.Fatal(err)
	}
}

// What a server had the client keep is not for another one that has got its
// label; what waits at the old one goes on there.
func TestStatesAfterReloads(t *testing.T) {
	const needsInput = `{"resultType":"input_required","inputRequests":{},"requestState":"secret"}`
	stateful := func(r *upstreamtest.Request) upstreamtest.Reply {
		if strings.Contains(string(r.Params), "secret") {
			return upstreamtest.Result(`{"resultType":"complete","content":[]}`)
		}
		return upstreamtest.Result(needsInput)
	}
	server := func(reply func(*upstreamtest.Request) upstreamtest.Reply, legacy bool) *upstreamtest.Server {
		return upstreamtest.New(t, upstreamtest.Script{LegacyOnly: legacy, ModernOnly: !legacy, Tools: []string{plainTool}, Reply: reply})
	}
	up := func(srv *upstreamtest.Server, fingerprint, tag string) aggregator.Upstream {
		u := at(t, "up", srv.URL.String())
		u.Fingerprint, u.Tags = fingerprint, []string{tag}
		return u
	}
	one, other, legacy := server(stateful, false), server(stateful, false), server(ask1, true)
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up(one, "1", "a")}})
	c := newHTTPClient(t, url)
	state := `"requestState":"` + stateOf(t, callAsked(c, "")) + `",`
	reload(t, g, up(one, "1", "b"))
	if r := callAsked(c, state); !strings.Contains(r.body, `"content":[]`) {
		t.Errorf("with the connection that it came over: %s", r.body)
	}
	reload(t, g, up(other, "2", "b"))
	if r := callAsked(c, state); !strings.Contains(r.body, "-32602") || len(other.Requests("tools/call")) > 0 {
		t.Errorf("another server got %v, the client %s", other.Requests("tools/call"), r.body)
	}
	reload(t, g, up(legacy, "3", "b"))
	parked := stateOf(t, callAsked(c, ""))
	reload(t, g, up(other, "2", "b"))
	if r := callAsked(c, accepted+`"requestState":"`+parked+`",`); !strings.Contains(r.body, `"content":{"n":1.0}`) {
		t.Errorf("a parked call: %s", r.body)
	}
	eventually(t, "the old connection ends", func() bool { alive, _ := legacy.Sessions(); return alive == 0 })
}

// A reload ends with the gateway, and may come ahead of Run.
func TestReloadWithoutRun(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	up := at(t, "up", srv.URL.String())
	g := aggregator.New(aggregator.Options{Log: quiet, Upstreams: []aggregator.Upstream{up}})
	up.Fingerprint = "ahead"
	reloaded := make(chan error, 1)
	go func() {
		_, err := g.Reload(t.Context(), aggregator.Options{Upstreams: []aggregator.Upstream{up}})
		reloaded <- err
	}()
	time.Sleep(10 * time.Millisecond) // so that it comes first, as far as that can be arranged
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.Run(ctx)
	}()
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	up.Prefix = "now"
	reload(t, g, up)
	if got := g.Upstreams()[0].State; got != upstream.Connected {
		t.Errorf("the upstream is %s", got)
	}
	stop()
	<-stopped
	done := make(chan error, 1)
	go func() {
		_, err := g.Reload(context.Background(), aggregator.Options{Upstreams: []aggregator.Upstream{up}})
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a gateway that has stopped was reloaded")
		}
	case <-time.After(patience):
		t.Error("a reload waits for a gateway that has stopped")
	}
}

// Reloads, drains and stops at once leave nothing.
func TestReloadWhileStopping(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Forget: true, Tools: []string{plainTool}})
	for i := range 30 {
		up := at(t, "up", srv.URL.String())
		g := aggregator.New(aggregator.Options{Log: quiet, Upstreams: []aggregator.Upstream{up}})
		ctx, stop := context.WithCancel(t.Context())
		stopped, reloaded := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			g.Run(ctx)
		}()
		go func() {
			defer close(reloaded)
			for range 10 {
				_, _ = g.Reload(t.Context(), aggregator.Options{Upstreams: []aggregator.Upstream{up}}) // fails once it has stopped
			}
		}()
		time.Sleep(time.Duration(i) * time.Millisecond / 2) // at another point of it
		g.Drain()
		stop()
		for what, done := range map[string]<-chan struct{}{"Run": stopped, "Reload": reloaded} {
			select {
			case <-done:
			case <-time.After(patience):
				t.Fatalf("%s does not end", what)
			}
		}
	}
}

// subscribed is a client that watches the resource and what it is told.
func subscribed(t *testing.T, url string) (*httpClient, <-chan string) {
	c := connect(t, url, upstream.LegacyEra)
	told := listen(t, c, "GET", "", func(*http.Request) {})
	if r := c.request("resources/subscribe", `{"uri":"up+file:///a"}`); !strings.Contains(r.body, `"result":{}`) {
		t.Fatalf("subscribe: %s", r.body)
	}
	return c, told
}

// awaitUpdate waits until an update of the resource reaches the client.
func awaitUpdate(t *testing.T, srv *upstreamtest.Server, told <-chan string) {
	t.Helper()
	awaitUpdateOf(t, srv, told, "file:///a")
}

func awaitUpdateOf(t *testing.T, srv *upstreamtest.Server, told <-chan string, uri string) {
	t.Helper()
	eventually(t, "an update of "+uri+" arrives", func() bool {
		srv.Update(uri)
		select {
		case got := <-told:
			return strings.Contains(got, `"uri":"up+`+uri+`"`)
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
}

func watchable(t *testing.T, isolation aggregator.Isolation, reply func(*upstreamtest.Request) upstreamtest.Reply) (*upstreamtest.Server, aggregator.Upstream) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool}, Resources: []string{`{"uri":"file:///a","name":"a"}`}, Reply: reply,
	})
	up := at(t, "up", srv.URL.String())
	up.Isolation, up.Fingerprint = isolation, "0"
	return srv, up
}

var isolations = []aggregator.Isolation{aggregator.Shared, aggregator.PerUser, aggregator.PerSession}

// A reload that follows before the last one is through loses no subscription.
func TestSubscriptionsOutliveReloadsInARow(t *testing.T) {
	for _, isolation := range isolations {
		t.Run(string(isolation), func(t *testing.T) {
			srv, up := watchable(t, isolation, nil)
			srv.Change(func(s *upstreamtest.Script) {
				s.Before = func(_ http.ResponseWriter, r *upstreamtest.Request) bool {
					if r.Method == "resources/subscribe" {
						time.Sleep(20 * time.Millisecond) // longer than a reload
					}
					return false
				}
			})
			g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
			c, told := subscribed(t, url)
			for _, uri := range []string{"b", "c", "d"} {
				c.request("resources/subscribe", `{"uri":"up+file:///`+uri+`"}`)
			}
			for i := range 5 {
				up.Fingerprint = fmt.Sprint(i + 1)
				reload(t, g, up)
			}
			eventually(t, "only the newest connections are there", func() bool {
				alive, _ := srv.Sessions()
				return alive == map[aggregator.Isolation]int{aggregator.Shared: 1, aggregator.PerUser: 2, aggregator.PerSession: 2}[isolation]
			})
			for _, uri := range []string{"a", "b", "c", "d"} {
				awaitUpdateOf(t, srv, told, "file:///"+uri)
			}
		})
	}
}

// A session that has used its next connection already, while a long call holds
// the old one, goes on hearing of updates, and only of those that it wants.
func TestSubscriptionsOutliveLongCalls(t *testing.T) {
	for _, isolation := range isolations {
		t.Run(string(isolation), func(t *testing.T) {
			called, answer := make(chan struct{}, 1), make(chan struct{})
			srv, up := watchable(t, isolation, func(r *upstreamtest.Request) upstreamtest.Reply {
				if strings.Contains(string(r.Params), "hold") {
					called <- struct{}{}
					<-answer
				}
				return upstreamtest.Result(`{"content":[]}`)
			})
			g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
			c, told := subscribed(t, url)
			leaves, leftTold := subscribed(t, url)
			held := make(chan reply, 2)
			for _, c := range []*httpClient{c, leaves} {
				go func() {
					held <- c.do("POST", `{"jsonrpc":"2.0","id":"held","method":"tools/call","params":{"name":"up_t","arguments":{"a":"hold"}}}`, nil)
				}()
				<-called
			}
			up.Fingerprint = "1"
			reload(t, g, up)
			c.request("tools/call", `{"name":"up_t"}`)
			leaves.request("tools/call", `{"name":"up_t"}`)
			if r := leaves.request("resources/unsubscribe", `{"uri":"up+file:///a"}`); !strings.Contains(r.body, `"result":{}`) {
				t.Fatalf("unsubscribe: %s", r.body)
			}
			close(answer)
			<-held
			<-held
			eventually(t, "the old connections end", func() bool {
				alive, _ := srv.Sessions()
				return alive == map[aggregator.Isolation]int{aggregator.Shared: 1, aggregator.PerUser: 2, aggregator.PerSession: 3}[isolation]
			})
			eventually(t, "only who still watches is told", func() bool {
				drained(leftTold)
				awaitUpdate(t, srv, told)
				time.Sleep(10 * time.Millisecond)
				return len(drained(leftTold)) == 0
			})
		})
	}
}

// Isolation may change with a reload: who watches goes on watching, and can
// stop to.
func TestSubscriptionsOutliveAnotherIsolation(t *testing.T) {
	for _, from := range isolations {
		for _, to := range isolations {
			t.Run(string(from+" to "+to), func(t *testing.T) {
				srv, up := watchable(t, from, nil)
				g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
				c, told := subscribed(t, url)
				_, leftTold := subscribed(t, url)
				up.Fingerprint, up.Isolation = "1", to
				reload(t, g, up)
				awaitUpdate(t, srv, told)
				awaitUpdate(t, srv, leftTold)
				c.request("resources/unsubscribe", `{"uri":"up+file:///a"}`)
				eventually(t, "only who still watches is told", func() bool {
					time.Sleep(10 * time.Millisecond) // what is on its way may arrive
					drained(told)
					awaitUpdate(t, srv, leftTold)
					time.Sleep(10 * time.Millisecond)
					return len(drained(told)) == 0
				})
			})
		}
	}
}

// A lower max_instances makes room for whoever comes next.
func TestLessInstancesAfterAReload(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}})
	up := at(t, "up", srv.URL.String())
	up.Fingerprint = "1"
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
	for range 8 {
		connect(t, url, upstream.LegacyEra).request("tools/call", `{"name":"up_t"}`)
	}
	up.MaxInstances = 1
	reload(t, g, up)
	if r := connect(t, url, upstream.LegacyEra).request("tools/call", `{"name":"up_t"}`); !strings.Contains(r.body, `"result"`) {
		t.Errorf("got %s", r.body)
	}
	if got := g.Upstreams()[0].Instances; got != 1 {
		t.Errorf("%d instances, want 1", got)
	}
}
