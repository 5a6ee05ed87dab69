package aggregator

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcpagg/mcpagg/upstream"
)

const (
	// defaultProcesses and defaultConnections are how many instances of an
	// upstream there may be beside the shared one: an HTTP server's cost little
	// more than the server's own memory.
	defaultProcesses   = 50
	defaultConnections = 1000
	// defaultIdle is how long an instance that nobody uses is kept.
	defaultIdle = 15 * time.Minute
	// roomTimeout bounds the wait for an instance that gives way.
	roomTimeout = 10 * time.Second
)

var (
	// errFull says that an upstream has as many instances as it may have.
	errFull = errors.New("too many instances")
	// errNoMemory says that the containers that run leave no memory for another one.
	errNoMemory = errors.New("no memory for another container")
	// errRetired says that a reload has replaced or removed the link.
	errRetired = errors.New("removed from the configuration")
)

// A link is all connections to one upstream: a shared instance, whose lists are
// published, and those that sessions and callers have of their own. It
// outlives the rules by which the upstream is published, as long as a reload
// changes nothing else.
type link struct {
	// Set when it is built, never changed.
	id     string           // which no other link has
	opts   upstream.Options // of every instance, but for what is its owner's
	shared *instance
	log    *slog.Logger
	// complaints bounds how often what the upstream does wrong is logged.
	complaints *rate.Limiter

	rules atomic.Pointer[member] // by which the upstream is published at the moment

	mu      sync.Mutex
	retired bool                // no instance is used any more, from the next call on; guarded by mu
	own     map[owner]*instance // guarded by mu
	live    int                 // of those, and of those that end at the moment; guarded by mu
	idle    chan struct{}       // closed when it is retired and nobody uses the shared instance; guarded by mu
}

// newLink builds the link of an upstream, which goes on counting calls in tally.
// It connects to nothing.
func (g *Gateway) newLink(m *member, tally *upstream.Tally) *link {
	l := &link{id: rand.Text(), log: g.log, complaints: rate.NewLimiter(5, 50), own: map[owner]*instance{}, idle: make(chan struct{})}
	l.opts = m.Options
	l.opts.ClientVersion = g.version
	l.opts.Log = g.log
	l.opts.Tally = tally
	l.opts.Containers = g.containers
	l.shared = &instance{link: l, stopped: make(chan struct{})}
	opts := l.opts
	opts.ClientCapabilities = m.announced()
	opts.Changed = g.markStale
	opts.Notify = func(method string, params json.RawMessage) { g.told(l.shared, method, params) }
	l.shared.conn = upstream.New(opts)
	return l
}

// limit is how many instances there may be beside the shared one.
func (l *link) limit() int {
	byDefault := defaultProcesses
	if l.opts.URL != nil {
		byDefault = defaultConnections
	}
	return cmp.Or(l.rules.Load().MaxInstances, byDefault)
}

func (l *link) idleTimeout() time.Duration { return cmp.Or(l.rules.Load().IdleTimeout, defaultIdle) }

// useShared returns the shared instance, which is in use until leave.
func (l *link) useShared() (*instance, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return nil, errRetired
	}
	l.shared.users++
	return l.shared, nil
}

// instances returns those that are there beside the shared one.
func (l *link) instances() []*instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*instance, 0, len(l.own))
	for _, in := range l.own {
		all = append(all, in)
	}
	return all
}

// of returns the owner's instance, nil for none.
func (l *link) of(who owner) *instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own[who]
}

// retire ends the link once nobody uses it, or when ctx ends. Instances that
// nobody uses end at once; their subscriptions are the owner's next instance's.
func (l *link) retire(ctx context.Context) {
	l.mu.Lock()
	l.retired = true
	if l.shared.users == 0 {
		close(l.idle)
	}
	for _, in := range l.own {
		if in.users == 0 {
			in.endLocked()
		}
	}
	l.mu.Unlock()
	select {
	case <-l.idle:
	case <-ctx.Done():
	}
	for _, in := range l.instances() { // in use, if there are some
		select {
		case <-in.stopped:
		case <-ctx.Done():
			in.end()
		}
	}
	l.shared.end()
}
