package aggregator

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mcpagg/mcpagg/upstream"
)

// ownLists are what a session sees instead of the catalog, once an upstream of
// the legacy era has changed its lists for this session alone.
type ownLists struct {
	some atomic.Bool // an own connection has listed something

	mu     sync.Mutex
	base   *Catalog // that merged was made of, nil for none; guarded by mu
	merged *Catalog // guarded by mu
}

// catalogOf is what the session's client sees; without a session, what all do.
func (g *Gateway) catalogOf(s *session) *Catalog {
	base := g.Catalog()
	if s == nil || !s.lists.some.Load() {
		return base
	}
	s.lists.mu.Lock()
	defer s.lists.mu.Unlock()
	if s.lists.base != base {
		s.lists.base, s.lists.merged = base, g.mergeOwn(base, s)
	}
	return s.lists.merged
}

// ownListed takes that the listing of the session's own connection has changed.
func (g *Gateway) ownListed(s *session, own *instance) {
	if l := own.conn.Listing(); !s.lists.some.Load() && (l == nil || l.Tools == nil && l.Prompts == nil && l.Resources == nil && l.Templates == nil) {
		return // as on every new connection
	}
	before := s.lists.seen(g)
	s.lists.some.Store(true)
	g.tellOwn(s, before)
}

// seen is what the session's client has seen last.
func (l *ownLists) seen(g *Gateway) *Catalog {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.merged != nil {
		return l.merged
	}
	return g.Catalog()
}

// tellOwn tells the session's client how what it sees differs from before.
func (g *Gateway) tellOwn(s *session, before *Catalog) {
	s.lists.mu.Lock()
	s.lists.base = nil // merge anew
	s.lists.mu.Unlock()
	for _, method := range g.catalogOf(s).changed(before).methods() {
		s.pushOnce(notification(method, nil))
	}
}

// mergeOwn is base with the lists that the session's own instances have.
func (g *Gateway) mergeOwn(base *Catalog, s *session) *Catalog {
	parts := slices.Clone(base.parts)
	differs := false
	for i, m := range base.members {
		in := m.of(owner{session: s})
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
		return base
	}
	return base.with(parts)
}

// ownInstances are those of the session.
func (g *Gateway) ownInstances(s *session) []*instance {
	var all []*instance
	for _, m := range g.Catalog().members {
		if in := m.of(owner{session: s}); in != nil {
			all = append(all, in)
		}
	}
	return all
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
