package aggregator_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// as is a client of the caller.
func as(t *testing.T, url, caller string) *httpClient {
	c := newHTTPClient(t, url)
	c.header.Set("X-User", caller)
	return c
}

// Who shares a connection to a legacy server shows in the sessions that it has.
func TestIsolation(t *testing.T) {
	for _, test := range []struct {
		isolation aggregator.Isolation
		sessions  [5]int // of the server after each of the calls below, the shared one included
	}{
		{aggregator.Shared, [5]int{1, 1, 1, 1, 1}},
		{aggregator.PerUser, [5]int{2, 2, 2, 3, 3}},
		{aggregator.PerSession, [5]int{2, 3, 4, 5, 5}},
		{"", [5]int{2, 3, 4, 5, 5}},
	} {
		t.Run("isolation="+string(test.isolation), func(t *testing.T) {
			srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}})
			up := at(t, "up", srv.URL.String())
			up.Isolation = test.isolation
			_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}, Authenticate: byHeader})
			ann, ann2, ann3, bob, bob2 := as(t, url, "ann"), as(t, url, "ann"), as(t, url, "ann"), as(t, url, "bob"), as(t, url, "bob")
			for _, c := range []*httpClient{ann, ann2} {
				c.initialize()
			}
			if _, begun := srv.Sessions(); begun != 1 {
				t.Fatalf("new sessions of clients made %d of the server, want the shared one only", begun)
			}
			legacy := func(c *httpClient) func() reply {
				return func() reply { return c.request("tools/call", `{"name":"up_t"}`) }
			}
			modern := func(c *httpClient) func() reply {
				return func() reply { return c.modern("tools/call", "up_t", `"name":"up_t",`) }
			}
			for i, call := range []func() reply{legacy(ann), legacy(ann2), modern(ann3), modern(bob), modern(bob2)} {
				if r := call(); !strings.Contains(r.body, `"result"`) {
					t.Fatalf("call %d: %s", i, r.body)
				}
				if _, begun := srv.Sessions(); begun != test.sessions[i] {
					t.Errorf("after call %d the server has begun %d sessions, want %d", i, begun, test.sessions[i])
				}
			}
		})
	}
}

// The longest idle instance gives way to a new one; while all are in use, the
// caller is told that the upstream is busy.
func TestMaxInstances(t *testing.T) {
	called, answer := make(chan struct{}, 1), make(chan struct{})
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if strings.Contains(string(r.Params), "hold") {
				called <- struct{}{}
				<-answer
			}
			return upstreamtest.Result(`{"content":[]}`)
		},
	})
	up := at(t, "up", srv.URL.String())
	up.MaxInstances = 1
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
	first, second := connect(t, url, upstream.LegacyEra), connect(t, url, upstream.LegacyEra)
	for _, c := range []*httpClient{first, second, first} {
		if r := c.request("tools/call", `{"name":"up_t"}`); !strings.Contains(r.body, `"result"`) {
			t.Fatalf("call: %s", r.body)
		}
	}
	if u := g.Upstreams()[0]; u.Instances != 1 || u.MaxInstances != 1 {
		t.Errorf("%d instances of at most %d, want 1 of 1", u.Instances, u.MaxInstances)
	}
	held := make(chan reply)
	go func() { held <- first.request("tools/call", `{"name":"up_t","arguments":{"a":"hold"}}`) }()
	<-called
	if r := second.request("tools/call", `{"name":"up_t"}`); !strings.Contains(r.body, "busy") || !strings.Contains(r.body, "-32000") {
		t.Errorf("while the only instance is in use: %s", r.body)
	}
	close(answer)
	if r := <-held; !strings.Contains(r.body, `"result"`) {
		t.Errorf("the call that was in flight: %s", r.body)
	}
	if r := second.request("tools/call", `{"name":"up_t"}`); !strings.Contains(r.body, `"result"`) {
		t.Errorf("once there is room: %s", r.body)
	}
}

// Records are the lines that are logged.
type records chan string

func (r records) Write(line []byte) (int, error) {
	r <- string(line)
	return len(line), nil
}

// with returns the next record that has the text in it.
func (r records) with(t *testing.T, text string) string {
	t.Helper()
	for {
		select {
		case line := <-r:
			if strings.Contains(line, text) {
				return line
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q is not logged", text)
		}
	}
}

// The log says whose instance begins and ends, and does not say that it has no
// tools: nobody lists them there.
func TestInstancesInLog(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}})
	for isolation, want := range map[aggregator.Isolation]string{
		aggregator.PerSession: `isolation=session caller="User::\"anonymous\""`,
		aggregator.PerUser:    `isolation=user caller="User::\"anonymous\""`,
	} {
		log := make(records, 1000)
		up := at(t, "up", srv.URL.String())
		up.Isolation, up.IdleTimeout = isolation, 100*time.Millisecond
		_, url := start(t, aggregator.Options{Log: slog.New(slog.NewTextHandler(log, nil)), Upstreams: []aggregator.Upstream{up}})
		if line := log.with(t, "msg=connected"); !strings.Contains(line, "tools=1") || strings.Contains(line, "isolation=") {
			t.Errorf("of the shared instance: %s", line)
		}
		connect(t, url, upstream.LegacyEra).request("tools/call", `{"name":"up_t"}`)
		if line := log.with(t, "msg=connected"); !strings.Contains(line, want) || strings.Contains(line, "tools=") {
			t.Errorf("want %s: %s", want, line)
		}
		if line := log.with(t, "an idle instance has ended"); !strings.Contains(line, want) {
			t.Errorf("want %s: %s", want, line)
		}
	}
}

// An instance that nobody uses ends, and the next call has another one.
func TestIdleTimeout(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool},
	})
	up := at(t, "up", srv.URL.String())
	up.IdleTimeout = 100 * time.Millisecond
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}})
	c := connect(t, url, upstream.LegacyEra)
	c.request("tools/call", `{"name":"up_t"}`)
	eventually(t, "an idle instance ends", func() bool { return g.Upstreams()[0].Instances == 0 })
	if r := c.request("tools/call", `{"name":"up_t"}`); !strings.Contains(r.body, `"result"`) {
		t.Errorf("after it has ended: %s", r.body)
	}
	if _, begun := srv.Sessions(); begun != 3 {
		t.Errorf("the server has begun %d sessions, want 3", begun)
	}
}

// What an upstream changes for one caller alone is in the lists of all of that
// caller's clients, who hear of it, and of nobody else's.
func TestListsOfACallersOwn(t *testing.T) {
	const shared, own = `{"uri":"file:///a","name":"a"}`, `{"uri":"file:///mine","name":"mine"}`
	var srv *upstreamtest.Server
	srv = upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true, Tools: []string{plainTool}, Resources: []string{shared},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			if strings.Contains(string(r.Params), "change") {
				srv.SetResources(r, own)
			}
			return upstreamtest.Result(`{"content":[]}`)
		},
	})
	up := at(t, "up", srv.URL.String())
	up.Isolation, up.IdleTimeout = aggregator.PerUser, 2*time.Second
	g, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{up}, Authenticate: byHeader})
	ann, annToo, bob := as(t, url, "ann"), as(t, url, "ann"), as(t, url, "bob")
	annToo.initialize()
	listening := func(c *httpClient) <-chan string {
		news := listen(t, c, "POST", `{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{"notifications":{"resourcesListChanged":true},`+modernMeta+`}}`, func(r *http.Request) {
			r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
			r.Header.Set("Mcp-Method", "subscriptions/listen")
		})
		<-news // the acknowledgement
		return news
	}
	modernHears, bobHears := listening(ann), listening(bob)
	legacyHears := listen(t, annToo, "GET", "", func(*http.Request) {})
	told := func(step string) {
		t.Helper()
		for who, news := range map[string]<-chan string{"modern": modernHears, "legacy": legacyHears} {
			if got := await(t, news); !strings.Contains(got, "notifications/resources/list_changed") {
				t.Errorf("%s: the %s client of the caller heard %s", step, who, got)
			}
		}
	}
	lists := func(step, want string) {
		t.Helper()
		for _, r := range []reply{ann.modern("resources/list", "", ""), annToo.request("resources/list", "{}")} {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s: %s", step, r.body)
			}
		}
		if r := bob.modern("resources/list", "", ""); !strings.Contains(r.body, "file:///a") {
			t.Errorf("%s: the other caller lists %s", step, r.body)
		}
	}
	callTool(ann, "up_t")
	eventually(t, "the instance has its stream", func() bool { return srv.Streams() == 2 })
	ann.modern("tools/call", "up_t", `"name":"up_t","arguments":{"a":"change"},`)
	told("changed")
	lists("changed", "file:///mine")
	eventually(t, "the idle instance ends", func() bool { return g.Upstreams()[0].Instances == 0 })
	told("ended")
	lists("ended", "file:///a")
	select {
	case got := <-bobHears:
		t.Errorf("the other caller heard %s", got)
	default:
	}
}
