package aggregator

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mcpagg/mcpagg/oauth"
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
func (g *Gateway) catalogOf(r Request) *Catalog {
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
	if who.session != nil {
		g.tellSession(who.session)
		return
	}
	r := Request{Caller: &oauth.Caller{ID: who.caller}}
	if v := g.views.of(r); v != nil {
		g.listeners.notify(g.renew(v, r), who.caller)
	}
	for _, s := range g.sessions.all() {
		if s.owner == who.caller {
			g.tellSession(s)
		}
	}
}

func (g *Gateway) tellSession(s *session) {
	for _, method := range g.renew(&s.view, s.request()).methods() {
		s.pushOnce(notification(method, nil))
	}
}

// renew has the view made anew, and says in what it differs then.
func (g *Gateway) renew(v *view, r Request) listKinds {
	v.mu.Lock()
	before := v.merged
	if before == nil {
		before = g.Catalog()
	}
	v.base = nil
	v.mu.Unlock()
	return g.catalogOf(r).changed(before)
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
		publish   func(*part, []json.RawMessage)
	}{
		{own.Tools, base.listing.Tools, m.publishTools},
		{own.Prompts, base.listing.Prompts, m.publishPrompts},
		{own.Resources, base.listing.Resources, m.publishResources},
		{own.Templates, base.listing.Templates, m.publishTemplates},
	} {
		equal := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
		if kind.own != nil && !slices.EqualFunc(kind.own, kind.base, equal) {
			kind.publish(&p, kind.own)
			differs = true
		}
	}
	if !differs {
		return nil
	}
	return &p
}
