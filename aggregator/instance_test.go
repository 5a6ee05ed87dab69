package aggregator

import (
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// A connection that gives way hands its subscriptions to the session's next one.
func TestSubscriptionsOutliveTheirConnection(t *testing.T) {
	subscribed := make(chan string, 10)
	srv := upstreamtest.New(t, upstreamtest.Script{
		LegacyOnly: true,
		Before: func(_ http.ResponseWriter, r *upstreamtest.Request) bool {
			if r.Method == "resources/subscribe" {
				subscribed <- string(r.Params)
			}
			return false
		},
	})
	g, m, s := withSession(t, upstream.Options{URL: srv.URL})
	first, err := g.useInstance(t.Context(), m, owner{session: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.conn.Subscribe(t.Context(), "file:///a"); err != nil {
		t.Fatal(err)
	}
	<-subscribed
	first.leave()
	if !g.makeRoom(t.Context(), m.link, errFull) {
		t.Fatal("the connection does not give way")
	}
	second, err := g.useInstance(t.Context(), m, owner{session: s})
	if err != nil {
		t.Fatal(err)
	}
	defer second.leave()
	if second == first {
		t.Fatal("the connection is the one that gave way")
	}
	if got := second.conn.Subscriptions(); !slices.Equal(got, []string{"file:///a"}) {
		t.Errorf("the next connection has the subscriptions %q", got)
	}
	if got := <-subscribed; got != `{"uri":"file:///a"}` {
		t.Errorf("the upstream was asked for %s", got)
	}
}

// What is in use, if only since its call waits for the dial, does not give way,
// nor what brings updates to a client that listens. What does has ended then.
func TestConnectionsInUseDoNotGiveWay(t *testing.T) {
	srv := upstreamtest.New(t, upstreamtest.Script{LegacyOnly: true})
	g, m, s := withSession(t, upstream.Options{URL: srv.URL})
	own, err := g.openInstance(m.link, owner{session: s})
	if err != nil {
		t.Fatal(err)
	}
	if g.makeRoom(t.Context(), m.link, errFull) || own.giveUp() {
		t.Error("a connection in use gave way")
	}
	if err := own.conn.Subscribe(t.Context(), "file:///a"); err != nil {
		t.Fatal(err)
	}
	_, _, detach := s.attach(t.Context())
	own.leave()
	if g.makeRoom(t.Context(), m.link, errFull) {
		t.Error("a connection that brings updates gave way")
	}
	detach()
	if !g.makeRoom(t.Context(), m.link, errFull) {
		t.Fatal("an idle connection does not give way")
	}
	if got := own.conn.Status().State; got != upstream.Stopped {
		t.Errorf("the connection that gave way is %v", got)
	}
}

// withSession is a gateway with one upstream and an open session. It is not
// running, so that there are no connections but the session's own.
func withSession(t *testing.T, opts upstream.Options) (*Gateway, *member, *session) {
	opts.Name, opts.Log = "up", slog.New(slog.DiscardHandler)
	g := New(Options{Log: opts.Log, Upstreams: []Upstream{{Options: opts, Prefix: "up", Isolation: PerSession}}})
	s := newSession(oauth.Anonymous, "2025-11-25", nil)
	g.sessions.open(s)
	t.Cleanup(func() {
		g.sessions.close(s.id)
		g.running.wait()
	})
	return g, g.Catalog().members[0], s
}

// A session that has ended while its request was on its way watches nothing.
func TestEndedSessionsWatchNothing(t *testing.T) {
	g, m, s := withSession(t, upstream.Options{Command: []string{"none"}})
	w := watched{m.shared, "file:///a"}
	g.subscriptions.add(w, newSession(oauth.Anonymous, "2025-11-25", nil), maxSubscriptions) // so that the upstream is not asked
	g.sessions.close(s.id)
	if err := g.watch(s.ctx, w, s, maxSubscriptions); err == nil {
		t.Error("a session that has ended can subscribe")
	}
	if got := g.subscriptions.of(s); len(got) > 0 {
		t.Errorf("a session that has ended watches %v", got)
	}
}
