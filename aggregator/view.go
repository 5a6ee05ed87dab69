package aggregator

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mcpagg/mcpagg/upstream"
)

// A view is what one session, or one caller's modern clients, see: the catalog,
// or another one once upstreams have changed their lists for them alone.
type view struct {
	mu     sync.Mutex
	base   *Catalog // that merged was made of, nil to make it anew; guarded by mu
	merged *Catalog // guarded by mu
}

// views are those of callers that have instances of their own.
type views struct {
	differing atomic.Int64 // instances, also of sessions, that have listed something

	mu       sync.Mutex
	byCaller map[string]*callerView // guarded by mu
}

type callerView struct {
	view
	instances int // guarded by the mu of views
}

// enter notes that a caller has one more instance, leave one less.
func (v *views) enter(caller string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byCaller == nil {
		v.byCaller = map[string]*callerView{}
	}
	if v.byCaller[caller] == nil {
		v.byCaller[caller] = &callerView{}
	}
	v.byCaller[caller].instances++
}

func (v *views) leave(caller string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byCaller[caller].instances--; v.byCaller[caller].instances == 0 {
		delete(v.byCaller, caller)
	}
}

// of is the view of the request's client, nil if it sees the catalog.
func (v *views) of(r Request) *view {
	if r.session != nil {
		return &r.session.view
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if own := v.byCaller[r.Caller.ID]; own != nil {
		return &own.view
	}
	return nil
}

// catalogOf is what the request's client sees.
func (g *Gateway) catalogOf(r Request) *Catalog { return g.shownTo(r.Caller, g.listedFor(r)) }

// listedFor is what there is for the request's client, whether its caller may see
// it or not.
func (g *Gateway) listedFor(r Request) *Catalog {
	base := g.Catalog()
	if g.views.differing.Load() == 0 {
		return base
	}
	v := g.views.of(r)
	if v == nil {
		return base
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.base != base {
		v.base, v.merged = base, base.seenBy(r)
	}
	return v.merged
}

// seenBy is the catalog with the lists that the own instances of the request's
// client have.
func (c *Catalog) seenBy(r Request) *Catalog {
	parts := slices.Clone(c.parts)
	differs := false
	for i, m := range c.members {
		in := m.of(m.ownerOf(r))
		if in == nil {
			continue
		}
		if own := in.conn.Listing(); own != nil {
			if p := m.overlay(parts[i], own); p != nil {
				parts[i], differs = p, true
			}
		}
	}
	if !differs {
		return c
	}
	return c.with(parts)
}

// listed takes that the listing of an own instance has changed, as that of every
// new one does.
func (g *Gateway) listed(in *instance) {
	l := in.conn.Listing()
	lists := l != nil && (l.Tools != nil || l.Prompts != nil || l.Resources != nil || l.Templates != nil)
	switch {
	case in.differs.Load():
	case !lists:
		return
	default:
		in.differs.Store(true)
		g.views.differing.Add(1)
	}
	g.tellOwner(in.owner)
}

// unlisted takes that an own instance has ended, and its lists do not count any
// more.
func (g *Gateway) unlisted(in *instance) {
	if in.differs.Load() {
		g.tellOwner(in.owner)
		g.views.differing.Add(-1)
	}
}

// tellOwner tells the owner's clients how what they see has changed.
func (g *Gateway) tellOwner(who owner) {
	clients := slices.DeleteFunc(g.clients(), func(c client) bool {
		r := c.request()
		if who.session != nil {
			return r.session != who.session
		}
		return r.Caller.ID != who.caller
	})
	before := map[client]*Catalog{}
	for _, c := range clients {
		r := c.request()
		before[c] = g.shownTo(r.Caller, g.lastListedFor(r))
	}
	for _, c := range clients {
		if v := g.views.of(c.request()); v != nil {
			v.forget()
		}
	}
	g.tell(before)
}

// lastListedFor is what the request's client has had in its lists so far.
func (g *Gateway) lastListedFor(r Request) *Catalog {
	if v := g.views.of(r); v != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.merged != nil {
			return v.merged
		}
	}
	return g.Catalog()
}

// forget has the view made anew.
func (v *view) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.base = nil
}

// overlay is base with the lists that differ in own, which has those that have
// changed only. It is nil if none does.
func (m *member) overlay(base *part, own *upstream.Listing) *part {
	if base.listing == nil {
		return nil
	}
	p := *base
	p.hidden = slices.Clone(base.hidden)
	differs := false
	for _, kind := range []struct {
		own, base []json.RawMessage
		publish   func()
	}{
		{own.Tools, base.listing.Tools, func() { m.publishTools(&p, own.Tools, base.tools) }},
		{own.Prompts, base.listing.Prompts, func() { m.publishPrompts(&p, own.Prompts, base.prompts) }},
		{own.Resources, base.listing.Resources, func() { m.publishResources(&p, own.Resources, base.resources) }},
		{own.Templates, base.listing.Templates, func() { m.publishTemplates(&p, own.Templates, base.templates) }},
	} {
		equal := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
		if kind.own != nil && !slices.EqualFunc(kind.own, kind.base, equal) {
			kind.publish()
			differs = true
		}
	}
	if !differs {
		return nil
	}
	return &p
}
