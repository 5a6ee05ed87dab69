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
//	Serve     (call.go)      name -> tool in what the caller sees (excerpt.go), arguments checked
//	decide    (decide.go)    what policies say of it, and demand (obligations.go, redact.go), or
//	                         who signs in again for it (stepup.go)
//	send      (call.go)      whose instance of the upstream serves it (instance.go); what the
//	                         upstream asks meanwhile (talk.go, and between eras bridge.go, parked.go)
//	upstream  Call           the raw params out, the raw result in
//	finish    (result.go)    members of the hop and URIs; all else untouched
//
// What is published is a [Catalog]: immutable, replaced whole when an upstream
// connects, goes or changes its lists, or when a reload replaces the
// configuration, which is part of it (configuration.go).
package aggregator

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/mcpagg/mcpagg/aggregator/brake"
	"github.com/mcpagg/mcpagg/aggregator/labels"
	"github.com/mcpagg/mcpagg/upstream"
)

// A Gateway serves many MCP servers as one. It is safe for concurrent use.
type Gateway struct {
	// Set by New, never changed.
	version       string
	log           *slog.Logger
	life          context.Context // until Run returns
	end           context.CancelFunc
	listeners     listeners
	subscriptions subscriptions
	views         views
	sealer        sealer
	parked        parked
	containers    *upstream.Containers
	running       group // links, instances, and what sessions started
	sessions      *sessions
	rates         *rates
	denials       *denials
	figures       counted
	principals    principals
	quotas        quotas
	challenges    challenges
	brake         *brake.Brake   // nil for none
	labels        *labels.Labels // nil for none
	notes         notes
	offList       offList
	stale         chan struct{} // holds a token while a listing may have changed
	begun         chan struct{} // closed by Run
	draining      chan struct{} // closed by Drain
	drainOnce     sync.Once

	reloading  sync.Mutex // held during a reload
	publishing sync.Mutex // held while the catalog is replaced
	catalog    atomic.Pointer[Catalog]
}

// New builds a gateway. It connects to nothing before Run.
func New(opts Options) *Gateway {
	g := &Gateway{
		version:    cmp.Or(opts.Version, "dev"),
		log:        opts.Log,
		sessions:   newSessions(opts.Limits),
		rates:      newRates(opts.Limits.CallsPerMinute),
		denials:    newDenials(),
		notes:      newNotes(),
		brake:      opts.Brake,
		labels:     opts.Labels,
		sealer:     newSealer(),
		containers: upstream.NewContainers(opts.ContainerMemory, opts.Log),
		stale:      make(chan struct{}, 1),
		begun:      make(chan struct{}),
		draining:   make(chan struct{}),
	}
	g.containers.MakeRoom, g.containers.Dir = g.giveMemory, opts.ContainerDir
	g.life, g.end = context.WithCancel(context.Background())
	c := g.configure(opts, nil)
	first := merge(0, c, emptyParts(len(c.members)))
	close(first.told) // there is nobody to tell
	g.catalog.Store(first)
	return g
}

// Run connects to the upstreams, keeps the catalog up to date and ends idle
// sessions. It returns when ctx has ended and all upstreams have stopped.
func (g *Gateway) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, g.end)()
	for _, m := range g.Catalog().members {
		g.start(m.link)
	}
	close(g.begun)
	var running sync.WaitGroup
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
	g.end()
	g.running.wait()
	g.parked.drain() // whose timers would hold the gateway
}

// Drain ends every client's session and streams while Run runs, each after the
// calls in it, so that an HTTP server that shuts down need not wait for
// clients that merely listen. It returns at once and may be called twice.
func (g *Gateway) Drain() { g.drainOnce.Do(func() { close(g.draining) }) }

// Settled waits until every upstream's first attempt to connect has ended, and
// the catalog shows it.
func (g *Gateway) Settled(ctx context.Context) error {
	if err := g.attempted(ctx, g.Catalog().members); err != nil {
		return err
	}
	for {
		c := g.Catalog()
		if c.shows() {
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

var errStopped = errors.New("the gateway has stopped")

// attempted waits until the first attempt to connect to each has ended.
func (g *Gateway) attempted(ctx context.Context, members []*member) error {
	for _, m := range members {
		select {
		case <-m.shared.conn.Attempted():
		case <-g.life.Done():
			return errStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Catalog is what the gateway publishes at the moment.
func (g *Gateway) Catalog() *Catalog { return g.catalog.Load() }

// An UpstreamStatus is an upstream's label and state.
type UpstreamStatus struct {
	Name            string
	upstream.Status     // of the shared instance; the calls are those of all
	Instances       int // that sessions and callers have of their own
	MaxInstances    int // how many they may have
}

// Upstreams tells the state of every upstream, in the order of the configuration.
func (g *Gateway) Upstreams() []UpstreamStatus {
	var all []UpstreamStatus
	for _, m := range g.Catalog().members {
		all = append(all, UpstreamStatus{m.Name, m.shared.conn.Status(), len(m.instances()), m.limit()})
	}
	return all
}
