package aggregator_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpagg/mcpagg/aggregator"
	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// Test52SessionsBelongToAPerson lets nobody else into a session, whatever they do,
// and tells nobody that it exists.
func Test52SessionsBelongToAPerson(t *testing.T) {
	var d desk
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{plainTool}})
	_, url := start(t, aggregator.Options{Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())}, Authenticate: d.authenticate})
	ann, bob := with(newHTTPClient(t, url), "ann/1/a"), with(newHTTPClient(t, url), "bob/1/a")
	ann.initialize()
	bob.session = ann.session
	of, unknown := bob, with(newHTTPClient(t, url), "bob/1/a")
	unknown.session = strings.Repeat("X", len(ann.session))
	for _, method := range []string{"POST", "GET", "DELETE"} {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"up_t"}}`
		r, want := of.do(method, body, nil), unknown.do(method, body, nil)
		if r.status != 404 || r.body != want.body || r.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %s, want as for no session: %s", method, r.status, r.body, want.body)
		}
	}
	if n := len(srv.Requests("tools/call")); n > 0 {
		t.Errorf("the upstream was called %d times", n)
	}
	if r := callTool(ann, "up_t"); r.status != 200 {
		t.Errorf("its owner gets %d %s", r.status, r.body)
	}
}

// Test52RevokedSignIn refuses the next request of a sign-in that has ended, in a
// session that is open and in each way. The person's next sign-in may go on with
// the session.
func Test52RevokedSignIn(t *testing.T) {
	var d desk
	_, url := start(t, aggregator.Options{Authenticate: d.authenticate})
	c := with(newHTTPClient(t, url), "ann/1/a")
	c.initialize()
	if r := c.request("tools/list", "{}"); r.status != 200 {
		t.Fatalf("before: %d %s", r.status, r.body)
	}
	d.end("ann/1")
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if r := c.do(method, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil); r.status != 401 || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", method, r.status, r.body)
		}
	}
	if r := c.modern("tools/list", "", ""); r.status != 401 {
		t.Errorf("without the session: %d %s", r.status, r.body)
	}
	if r := with(c, "ann/2/a").request("tools/list", "{}"); r.status != 200 {
		t.Errorf("signed in again: %d %s", r.status, r.body)
	}
}

// TestSessionsFollowTheirTokens judges each request in a session by its own token,
// and opens streams for as long as theirs lasts.
func TestSessionsFollowTheirTokens(t *testing.T) {
	var d desk
	expires := map[string]time.Duration{"a": 500 * time.Millisecond, "b": time.Hour, "c": time.Hour}
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}})
	up := at(t, "up", srv.URL.String())
	up.Isolation = aggregator.PerSession
	g, url := start(t, aggregator.Options{
		Upstreams: []aggregator.Upstream{up},
		Authenticate: func(r *http.Request) (*oauth.Caller, *oauth.Refusal) {
			c, refused := d.authenticate(r)
			if refused != nil {
				return nil, refused
			}
			c.Expires = time.Now().Add(expires[c.Name])
			c.Groups = oauth.Groups{Unavailable: c.Name == "c", Why: "Graph is away"}
			return c, nil
		},
	})
	c := with(newHTTPClient(t, url), "ann/1/a")
	c.initialize()
	old := listen(t, c, "GET", "", func(*http.Request) {})
	callTool(c, "up_t")
	checkEnds(t, "GET with the first token", old)

	with(c, "ann/1/b")
	stream := listen(t, c, "GET", "", func(*http.Request) {})
	if r := callTool(c, "up_t"); !strings.Contains(r.body, `"result"`) {
		t.Errorf("with the next token: %s", r.body)
	}
	if r := callTool(with(c, "ann/1/c"), "up_t"); !strings.Contains(r.body, "-32003") {
		t.Errorf("with a token whose groups are unavailable: %s", r.body)
	}
	if r := callTool(with(c, "ann/1/b"), "up_t"); !strings.Contains(r.body, `"result"`) {
		t.Errorf("with the one before: %s", r.body)
	}
	if _, begun := srv.Sessions(); begun != 2 || g.Kept().Sessions != 1 {
		t.Errorf("the server has begun %d sessions, want 2: the shared one, and that of the session", begun)
	}
	d.end("ann/1")
	checkEnds(t, "GET with the next token", stream)
}

// TestManyCallersLeaveNothing has callers open a session and call, each with
// connections of their own.
func TestManyCallersLeaveNothing(t *testing.T) {
	for _, isolation := range []aggregator.Isolation{aggregator.PerUser, aggregator.PerSession} {
		var d desk
		srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true, Tools: []string{plainTool}, Forget: true})
		up := at(t, "up", srv.URL.String())
		up.Isolation, up.MaxInstances, up.IdleTimeout = isolation, 10, time.Second
		g, url := start(t, aggregator.Options{
			Log:       slog.New(slog.DiscardHandler),
			Upstreams: []aggregator.Upstream{up}, Authenticate: d.authenticate,
			Limits: aggregator.Limits{SessionIdle: 2 * time.Second, SessionsPerUser: 3, CallsPerMinute: 600},
		})
		for i := range 150 {
			c := with(newHTTPClient(t, url), fmt.Sprintf("caller %d/1/a", i))
			if r := callTool(c, "up_t"); !strings.Contains(r.body, `"result"`) {
				t.Fatalf("modern: %s", r.body)
			}
			c.initialize()
			if r := callTool(c, "up_t"); !strings.Contains(r.body, `"result"`) {
				t.Fatalf("legacy: %s", r.body)
			}
			if i%2 == 0 { // the others just go
				c.do("DELETE", "", nil)
			}
			if n := g.Kept(); n.Instances > 10 || n.Views > 10 {
				t.Fatalf("after %d callers: %+v", i, n)
			}
		}
		eventually(t, "everything of the callers is gone", func() bool { return g.Held() == aggregator.Held{} && g.Kept() == aggregator.Kept{} })
	}
}

// TestMemoryOfManyCallers looks at the heap while 100,000 callers come and go.
func TestMemoryOfManyCallers(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{Tools: []string{strictTool}})
	g, _ := start(t, aggregator.Options{
		Log: slog.New(slog.DiscardHandler), Upstreams: []aggregator.Upstream{at(t, "up", srv.URL.String())},
		Authenticate: byHeader, Limits: aggregator.Limits{CallsPerMinute: 600},
	})
	come := func(from, to int) {
		for i := from; i < to; i++ {
			c := &oauth.Caller{ID: fmt.Sprintf(`User::"%d/6c1f6c8e-0000-0000-0000-000000000001"`, i), Ended: make(chan struct{})}
			if _, err := call(t, g, c, "up_strict", `{}`); err == nil {
				t.Fatal("a call without its argument is let through")
			}
			if _, _, err := g.Serve(t.Context(), aggregator.Request{Caller: c, Era: upstream.ModernEra, Method: "tools/list"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	come(0, 25_000)
	before := holding().heap
	come(25_000, 125_000)
	if grown := int64(holding().heap) - int64(before); grown > 4<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
}
