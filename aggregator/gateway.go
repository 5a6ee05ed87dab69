// Package aggregator is the MCP server that clients see: it publishes the
// tools, prompts and resources of many upstreams under unique names and serves
// each call.
//
// A [Gateway] is built from [Options]. Its handler serves clients of both eras
// at /mcp, and Run keeps the upstreams connected:
//
//	g := aggregator.New(opts)
//	go g.Run(ctx)
//	http.Serve(listener, g.Handler())
//
// One call, from the wire and back:
//
//	serveMCP  (door.go)      limits, Origin, who is calling, which era
//	a door    (legacy.go, modern.go)   session, headers, framing; the params stay raw
//	Serve     (call.go)      name -> tool in the catalog, arguments checked, original name
//	upstream  Call           the raw params out, the raw result in
//	finish    (result.go)    members of the hop and URIs; all else untouched
//
// What is published is a [Catalog]: immutable, replaced whole when an upstream
// connects, goes or changes its lists.
package aggregator

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/upstream"
)

// A Gateway serves many MCP servers as one. It is safe for concurrent use.
type Gateway struct {
	// Set by New, never changed.
	opts          Options
	log           *slog.Logger
	inOrder       []*member
	members       map[string]*member // by label
	unprefixed    *member            // the only upstream with an empty prefix, or nil
	listeners     listeners
	subscriptions subscriptions
	running       group // what sessions started
	sessions      *sessions
	rates         *rates
	stale         chan struct{} // holds a token while a listing may have changed
	draining      chan struct{} // closed by Drain
	drainOnce     sync.Once

	catalog atomic.Pointer[Catalog]
}

// New builds a gateway. It connects to nothing before Run.
func New(opts Options) *Gateway {
	opts.Version = cmp.Or(opts.Version, "dev")
	g := &Gateway{
		opts:     opts,
		log:      opts.Log,
		members:  map[string]*member{},
		sessions: newSessions(opts.Limits),
		rates:    newRates(opts.Limits.CallsPerMinute),
		stale:    make(chan struct{}, 1),
		draining: make(chan struct{}),
	}
	for _, u := range opts.Upstreams {
		g.addMember(u)
	}
	g.unprefixed = g.onlyUnprefixed()
	first := merge(0, g.inOrder, emptyParts(len(g.inOrder)))
	close(first.told) // there is nobody to tell
	g.catalog.Store(first)
	return g
}

func (g *Gateway) addMember(u Upstream) {
	u.ClientVersion = g.opts.Version
	u.Changed = g.markStale
	u.Log = g.log
	m := &member{Upstream: u, names: g.opts.Names, log: g.log, complaints: rate.NewLimiter(5, 50)}
	opts := u.Options
	opts.ClientCapabilities = m.announced()
	opts.Notify = func(method string, params json.RawMessage) { g.told(m, method, params) }
	m.conn = upstream.New(opts)
	g.inOrder = append(g.inOrder, m)
	g.members[u.Name] = m
}

func (g *Gateway) onlyUnprefixed() *member {
	bare := slices.DeleteFunc(slices.Clone(g.inOrder), func(m *member) bool { return m.Prefix != "" })
	if len(bare) != 1 {
		return nil
	}
	return bare[0]
}

// Run connects to the upstreams, keeps the catalog up to date and ends idle
// sessions. It returns when ctx has ended and all upstreams have stopped.
func (g *Gateway) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, m := range g.inOrder {
		running.Go(func() { m.conn.Run(ctx) })
	}
	running.Go(func() { g.sessions.sweep(ctx) })
	running.Go(func() {
		select {
		case <-g.draining:
			g.drain(ctx)
		case <-ctx.Done():
		}
	})
	g.keepCatalog(ctx)
	running.Wait()
	g.running.wait()
}

// Drain ends every client's session and streams while Run runs, each after the
// calls in it, so that an HTTP server that shuts down need not wait for
// clients that merely listen. It returns at once and may be called twice.
func (g *Gateway) Drain() { g.drainOnce.Do(func() { close(g.draining) }) }

// Settled waits until every upstream's first attempt to connect has ended, and
// the catalog shows it.
func (g *Gateway) Settled(ctx context.Context) error {
	for _, m := range g.inOrder {
		select {
		case <-m.conn.Attempted():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		c := g.Catalog()
		if c.shows(g.inOrder) {
			<-c.told // who connects now is not told of it again
			return nil
		}
		select {
		case <-c.replaced:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Catalog is what the gateway publishes at the moment.
func (g *Gateway) Catalog() *Catalog { return g.catalog.Load() }

// An UpstreamStatus is an upstream's label and state.
type UpstreamStatus struct {
	Name string
	upstream.Status
}

// Upstreams tells the state of every upstream, in the order of the configuration.
func (g *Gateway) Upstreams() []UpstreamStatus {
	var all []UpstreamStatus
	for _, m := range g.inOrder {
		all = append(all, UpstreamStatus{m.Name, m.conn.Status()})
	}
	return all
}
