package aggregator_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

func TestReload(t *testing.T) {
	servers := map[string]*upstreamtest.Server{}
	opts := func(upstreams ...aggregator.Upstream) aggregator.Options {
		return aggregator.Options{Upstreams: upstreams}
	}
	up := func(label, fingerprint string) aggregator.Upstream {
		if servers[label] == nil {
			servers[label] = upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}})
		}
		u := at(t, label, servers[label].URL.String())
		u.Fingerprint = fingerprint
		return u
	}
	g, url := start(t, opts(up("a", "1"), up("b", "1")))
	legacy := connect(t, url, upstream.LegacyEra)
	told := listen(t, legacy, "GET", "", func(*http.Request) {})
	tools := func() string {
		r := legacy.request("tools/list", `{}`)
		var names []string
		for _, part := range strings.Split(r.body, `"name":"`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			names = append(names, name)
		}
		return strings.Join(names, " ")
	}
	legacy.request("tools/call", `{"name":"a_t"}`)
	renamed := up("b", "1")
	renamed.Prefix = "bb"
	for _, step := range []struct {
		name    string
		to      aggregator.Options
		changes aggregator.Changes
		tools   string
		told    bool
		begun   map[string]int // sessions of servers so far
	}{
		{"nothing", opts(up("a", "1"), up("b", "1")), aggregator.Changes{}, "a_t b_t", false, map[string]int{"a": 2, "b": 1}},
		{"a prefix", opts(up("a", "1"), renamed), aggregator.Changes{Republished: []string{"b"}}, "a_t bb_t", true, map[string]int{"a": 2, "b": 1}},
		{"a connection", opts(up("a", "2"), renamed), aggregator.Changes{Reconnected: []string{"a"}}, "a_t bb_t", false, map[string]int{"a": 3, "b": 1}},
		{"one more", opts(up("a", "2"), renamed, up("c", "1")), aggregator.Changes{Added: []string{"c"}}, "a_t bb_t c_t", true, map[string]int{"b": 1, "c": 1}},
		{"one less", opts(up("c", "1"), up("a", "2")), aggregator.Changes{Removed: []string{"b"}}, "c_t a_t", true, map[string]int{"c": 1, "a": 3}},
	} {
		changes, err := g.Reload(t.Context(), step.to)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got, want := fmt.Sprint(changes), fmt.Sprint(step.changes); got != want {
			t.Errorf("%s: changes are %s, want %s", step.name, got, want)
		}
		if got := tools(); got != step.tools {
			t.Errorf("%s: tools are %s, want %s", step.name, got, step.tools)
		}
		if step.told {
			if got := <-told; !strings.Contains(got, "tools/list_changed") {
				t.Errorf("%s: told %s", step.name, got)
			}
		}
		for label, want := range step.begun {
			if _, begun := servers[label].Sessions(); begun != want {
				t.Errorf("%s: the server of %s has begun %d sessions, want %d", step.name, label, begun, want)
			}
		}
	}
	select {
	case got := <-told:
		t.Errorf("told %s though no list has changed", got)
	default:
	}
}

// A reload that is given up changes nothing.
func TestReloadGivenUp(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}})
	hangs := upstreamtest.New(t, upstreamtest.Script{Before: func(_ http.ResponseWriter, r *upstreamtest.Request) bool {
		<-r.Context.Done()
		return true
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := g.Reload(ctx, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "hangs", hangs.URL.String())}}); err == nil {
		t.Error("a reload that was given up succeeded")
	}
	if r := newHTTPClient(t, url).modern("tools/call", "up_t", `"name":"up_t",`); !strings.Contains(r.body, `"result"`) {
		t.Errorf("afterwards: %s", r.body)
	}
	if got := g.Upstreams(); len(got) != 1 || got[0].Name != "up" {
		t.Errorf("upstreams are %v", got)
	}
}

// Calls that are in flight end as they began, on the connection that a reload
// has replaced, which ends then.
func TestReloadDuringCalls(t *testing.T) {
	for _, isolation := range []aggregator.Isolation{aggregator.Shared, aggregator.PerSession} {
		t.Run(string(isolation), func(t *testing.T) {
			called, answer := make(chan struct{}, 1), make(chan struct{})
			srv := upstreamtest.New(t, upstreamtest.Script{
				LegacyOnly: true, Tools: []string{plainTool},
				Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
					if strings.Contains(string(r.Params), "hold") {
						called <- struct{}{}
						<-answer
						r.Progress(1, "")
					}
					return upstreamtest.Result(`{"content":[]}`)
				},
			})
			up := at(t, "up", srv.URL.String())
			up.Isolation, up.Fingerprint = isolation, "1"
			g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
			c := connect(t, url, upstream.LegacyEra)
			held := make(chan reply)
			go func() {
				held <- c.request("tools/call", `{"name":"up_t","arguments":{"a":"hold"},"_meta":{"progressToken":"p"}}`)
			}()
			<-called
			up.Fingerprint = "2"
			for range 3 {
				if _, err := g.Reload(t.Context(), aggregator.Options{Upstreams: []aggregator.Upstream{up}}); err != nil {
					t.Fatal(err)
				}
				up.Fingerprint += "2"
			}
			close(answer)
			if r := <-held; !strings.Contains(r.body, `"result"`) || len(r.events) != 2 {
				t.Errorf("the call: %s", r.events)
			}
			eventually(t, "sessions of replaced connections end", func() bool {
				alive, _ := srv.Sessions()
				return alive == 1
			})
		})
	}
}

// Who watches a resource is told of its updates whatever is reloaded meanwhile.
func TestSubscriptionsOutliveReloads(t *testing.T) {
	for _, isolation := range []aggregator.Isolation{aggregator.Shared, aggregator.PerUser, aggregator.PerSession} {
		t.Run(string(isolation), func(t *testing.T) {
			srv := upstreamtest.New(t, upstreamtest.Script{
				LegacyOnly: true, Tools: []string{plainTool}, Resources: []string{`{"uri":"file:///a","name":"a"}`},
			})
			up := at(t, "up", srv.URL.String())
			up.Isolation, up.Fingerprint = isolation, "1"
			g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
			c := connect(t, url, upstream.LegacyEra)
			told := listen(t, c, "GET", "", func(*http.Request) {})
			if r := c.request("resources/subscribe", `{"uri":"up+file:///a"}`); !strings.Contains(r.body, `"result":{}`) {
				t.Fatalf("subscribe: %s", r.body)
			}
			up.Fingerprint = "2"
			if _, err := g.Reload(t.Context(), aggregator.Options{Upstreams: []aggregator.Upstream{up}}); err != nil {
				t.Fatal(err)
			}
			want := map[aggregator.Isolation]int{aggregator.Shared: 1, aggregator.PerUser: 2, aggregator.PerSession: 2}[isolation]
			eventually(t, "only the new connections are there", func() bool {
				alive, begun := srv.Sessions()
				return alive == want && begun == 2*want && srv.Streams() == want
			})
			eventually(t, "an update arrives", func() bool {
				srv.Update("file:///a")
				select {
				case got := <-told:
					return strings.Contains(got, `"uri":"up+file:///a"`)
				case <-time.After(50 * time.Millisecond):
					return false
				}
			})
		})
	}
}

// A storm of reloads, each of which changes something, fails no call and loses
// no notification.
func TestReloadStorm(t *testing.T) {
	const callers, reloads = 16, 40
	server := func() *upstreamtest.Server {
		return upstreamtest.New(t, upstreamtest.Script{
			Tools: []string{plainTool},
			Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
				r.Progress(1, "")
				return upstreamtest.Result(`{"content":[],"resultType":"complete"}`)
			},
		})
	}
	kept, changed := server(), server()
	up := func(label string, srv *upstreamtest.Server, fingerprint int) aggregator.Upstream {
		u := at(t, label, srv.URL.String())
		u.Fingerprint = fmt.Sprint(fingerprint)
		return u
	}
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up("kept", kept, 0), up("changed", changed, 0)}})
	var done atomic.Bool
	var calls atomic.Int64
	var running sync.WaitGroup
	defer running.Wait()
	defer done.Store(true)
	for i := range callers {
		c := connect(t, url, []upstream.Era{upstream.LegacyEra, upstream.ModernEra}[i%2])
		name := []string{"kept_t", "changed_t"}[i/2%2]
		running.Go(func() {
			for !done.Load() {
				var r reply
				if c.session != "" {
					r = c.request("tools/call", `{"name":"`+name+`","_meta":{"progressToken":1}}`)
				} else {
					r = c.modernWith("tools/call", name, `"name":"`+name+`",`, `"progressToken":1`)
				}
				if !strings.Contains(r.body, `"content":[]`) || len(r.events) != 2 {
					t.Errorf("%s: %s %q", name, r.body, r.events)
					return
				}
				calls.Add(1)
			}
		})
	}
	for i := range reloads {
		changedOne := up("changed", changed, i)
		changedOne.Tags = []string{fmt.Sprint(i)}
		all := []aggregator.Upstream{up("kept", kept, 0), changedOne}
		if i%2 == 1 {
			all = append(all, up("third", kept, i))
			slices.Reverse(all)
		}
		before := calls.Load()
		if _, err := g.Reload(t.Context(), aggregator.Options{Upstreams: all}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "calls go on", func() bool { return t.Failed() || calls.Load() >= before+callers })
	}
}
