package aggregator

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/mcpagg/mcpagg/upstream"
)

// retireTimeout bounds how long calls that are in flight during a reload may
// go on using what it has replaced.
const retireTimeout = 5 * time.Minute

// A configuration is what a reload replaces, as one: it is part of the catalog.
type configuration struct {
	Options
	members []*member // in the order of the configuration
	byLabel map[string]*member
	over    chan struct{} // closed when another one took its place
}

// configure builds the configuration of opts. Of old, which may be nil, members
// are kept that have not changed, and the links of those that are only
// published in another way.
func (g *Gateway) configure(opts Options, old *configuration) *configuration {
	c := &configuration{Options: opts, byLabel: map[string]*member{}, over: make(chan struct{})}
	for _, u := range opts.Upstreams {
		m := g.configureMember(&member{Upstream: u, names: opts.Names, signIn: opts.Authenticate != nil}, old)
		c.members = append(c.members, m)
		c.byLabel[u.Name] = m
	}
	return c
}

func (g *Gateway) configureMember(m *member, old *configuration) *member {
	tally := &upstream.Tally{}
	if before := old.member(m.Name); before != nil {
		switch {
		case !before.connectsAs(m):
			tally = before.opts.Tally
		case before.publishesAs(m):
			return before
		default:
			m.link = before.link
			return m
		}
	}
	m.link = g.newLink(m, tally)
	m.rules.Store(m)
	return m
}

// member is the one with the label, nil for none. c may be nil.
func (c *configuration) member(label string) *member {
	if c == nil {
		return nil
	}
	return c.byLabel[label]
}

// connectsAs reports whether the link to m does for other.
func (m *member) connectsAs(other *member) bool {
	return m.Fingerprint != "" && m.Fingerprint == other.Fingerprint && m.Isolation == other.Isolation && m.signIn == other.signIn &&
		bytes.Equal(m.announced(), other.announced()) && bytes.Equal(m.capabilities(), other.capabilities())
}

// publishesAs reports whether other has the same rules.
func (m *member) publishesAs(other *member) bool {
	rules := func(m *member) Upstream {
		u := m.Upstream
		u.Options = upstream.Options{}
		return u
	}
	return m.names == other.names && reflect.DeepEqual(rules(m), rules(other))
}

// Changes are the labels of upstreams that a reload has changed.
type Changes struct {
	Added, Removed []string
	// Reconnected are those whose connection was replaced, Republished those of
	// which only the rules that publish them changed.
	Reconnected, Republished []string
}

// Reload replaces the configuration while Run runs. What it does not change
// keeps its connections and processes; what it does is connected first, and
// replaced once the attempt has ended, well or not. Calls that are in flight
// go on as they began; streams end whose callers are not let in any more. The
// gateway's version and log stay as they are.
// It waits for Run to begin; if ctx ends, or Run, nothing has changed.
func (g *Gateway) Reload(ctx context.Context, opts Options) (Changes, error) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	select {
	case <-g.begun:
	case <-ctx.Done():
		return Changes{}, ctx.Err()
	}
	if g.life.Err() != nil {
		return Changes{}, errStopped
	}
	old := g.Catalog().configuration
	g.containers.Limit(opts.ContainerMemory)
	next := g.configure(opts, old)
	changes, fresh := next.changes(old)
	for _, m := range fresh {
		g.start(m.link)
	}
	if err := g.attempted(ctx, fresh); err != nil {
		for _, m := range fresh {
			m.shared.end()
		}
		g.containers.Limit(old.ContainerMemory)
		return Changes{}, err
	}
	g.swap(next)
	g.sessions.limit(opts.Limits)
	g.rates.limit(opts.Limits.CallsPerMinute)
	for _, m := range old.members {
		if now := next.byLabel[m.Name]; now == nil || now.link != m.link {
			g.running.start(func() { g.retire(m) })
		}
	}
	return changes, nil
}

// changes says how next differs from old; fresh are its members whose link is new.
func (next *configuration) changes(old *configuration) (c Changes, fresh []*member) {
	for _, m := range next.members {
		before := old.byLabel[m.Name]
		switch {
		case before == nil:
			c.Added, fresh = append(c.Added, m.Name), append(fresh, m)
		case before.link != m.link:
			c.Reconnected, fresh = append(c.Reconnected, m.Name), append(fresh, m)
		case before != m:
			c.Republished = append(c.Republished, m.Name)
		}
	}
	for _, m := range old.members {
		if next.byLabel[m.Name] == nil {
			c.Removed = append(c.Removed, m.Name)
		}
	}
	return c, fresh
}

// swap makes next the configuration that is served.
func (g *Gateway) swap(next *configuration) {
	g.publishing.Lock()
	defer g.publishing.Unlock()
	old := g.Catalog()
	parts := make([]*part, len(next.members))
	for i, m := range next.members {
		if at := slices.Index(old.members, m); at >= 0 {
			parts[i] = old.parts[at]
		} else {
			parts[i] = m.publish(m.shared.conn.Listing(), nil)
		}
		m.rules.Store(m)
	}
	g.replace(old, merge(old.Generation+1, next, parts))
	close(old.over)
}

// start connects the shared instance of a link.
func (g *Gateway) start(l *link) {
	ctx, end := context.WithCancel(g.life)
	l.shared.end = end
	if !g.running.start(func() {
		defer close(l.shared.stopped)
		l.shared.conn.Run(ctx)
	}) {
		end()
	}
}

// retire ends the link of an upstream that a reload has replaced or removed by
// now. Who watches its resources goes on doing so with what has its label.
func (g *Gateway) retire(m *member) {
	ctx, cancel := context.WithTimeout(g.life, retireTimeout)
	defer cancel()
	g.rewatch(ctx, m)
	owned := m.instances()
	m.link.retire(ctx)
	g.log.Info("ended a connection that a reload has replaced", "upstream", m.Name)

	ctx, cancel = context.WithTimeout(g.life, retireTimeout)
	defer cancel()
	g.rewatch(ctx, m) // who began to, while requests were still on their way to the old one
	for _, in := range owned {
		if s := in.owner.session; s != nil {
			for _, uri := range s.takeSubscriptions(m.Name) {
				g.watchAgain(ctx, m, uri, s)
			}
		}
	}
}
