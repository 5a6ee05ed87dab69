package aggregator

import (
	"sync/atomic"

	"github.com/mcpagg/mcpagg/aggregator/audit"
)

// Figures are how much of everything there is at a moment.
type Figures struct {
	// Sessions are those of legacy clients that are open. Modern clients have
	// none.
	Sessions int
	// Streams are those that clients of both eras hold open to hear of changes.
	Streams int

	// Allowed, Denied and WouldDeny count what was decided of requests, whether or
	// not there is a record of it.
	Allowed, Denied, WouldDeny uint64

	// Generation counts the catalogs so far.
	Generation uint64
	// Tools, Prompts, Resources and Templates are published, Hidden are not; see
	// [Catalog].
	Tools, Prompts, Resources, Templates, Hidden int
	// Drifted are the tools that are not as they were reviewed; see [Catalog.Drifted].
	Drifted int

	// Memory is what the containers that run may use together, and MemoryLimit
	// what all may, in bytes; 0 means any amount.
	Memory, MemoryLimit int64
}

// Figures counts what there is now.
func (g *Gateway) Figures() Figures {
	c := g.Catalog()
	f := Figures{
		Generation: c.Generation,
		Tools:      len(c.tools.inOrder), Prompts: len(c.prompts.inOrder),
		Resources: len(c.resources.inOrder), Templates: len(c.templates.inOrder), Hidden: len(c.Hidden),
		Streams: g.listeners.count(),
		Allowed: g.figures.allowed.Load(), Denied: g.figures.denied.Load(), WouldDeny: g.figures.wouldDeny.Load(),
	}
	for _, p := range c.parts {
		f.Drifted += len(p.drifted)
	}
	f.Memory, f.MemoryLimit = g.containers.Usage()
	for _, s := range g.sessions.all() {
		f.Sessions++
		if s.listens() {
			f.Streams++
		}
	}
	return f
}

// counted are figures that only grow. It is safe for concurrent use.
type counted struct {
	allowed, denied, wouldDeny atomic.Uint64
}

// decided counts one decision.
func (c *counted) decided(d audit.Decision) {
	switch d {
	case audit.Allow:
		c.allowed.Add(1)
	case audit.WouldDeny:
		c.wouldDeny.Add(1)
	default:
		c.denied.Add(1)
	}
}

func (ls *listeners) count() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.open)
}
