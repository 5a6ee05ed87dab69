package aggregator

import (
	"time"
)

// A client is one that hears of changes: a session of a legacy client, or a
// listener of a modern one.
type client interface {
	request() Request // as the client would send one
	listChanged(listKinds)
}

// clients are all of them, in no order.
func (g *Gateway) clients() []client {
	var all []client
	for _, s := range g.sessions.all() {
		all = append(all, s)
	}
	for _, l := range g.listeners.all() {
		all = append(all, l)
	}
	return all
}

// compareTime bounds for how long what clients see is compared: after it, who is
// left hears of changes that may concern others only.
const compareTime = time.Second

// seenSoFar is what each client sees of the catalog, which is about to be replaced;
// nil for those for whom nobody had the time to find out.
func (g *Gateway) seenSoFar(old *Catalog) map[client]*Catalog {
	seen := map[client]*Catalog{}
	begun := time.Now()
	for _, c := range g.clients() {
		seen[c] = nil
		if old.Policy == nil || time.Since(begun) < compareTime {
			seen[c] = g.catalogOf(c.request())
		}
	}
	return seen
}

// tell tells each client how what it sees differs from before.
func (g *Gateway) tell(before map[client]*Catalog) {
	type change struct{ from, to *Catalog }
	known := map[change]listKinds{}
	begun := time.Now()
	for c, old := range before {
		if old == nil || time.Since(begun) > compareTime {
			c.listChanged(everyKind)
			continue
		}
		what := change{old, g.catalogOf(c.request())}
		kinds, ok := known[what]
		if !ok {
			kinds = what.to.changed(old)
			known[what] = kinds
		}
		if kinds != (listKinds{}) {
			c.listChanged(kinds)
		}
	}
}

// noticeCaller tells the session's client what it sees in another way since its
// requests come with another token.
func (g *Gateway) noticeCaller(s *session) {
	now := s.caller.Load()
	before := s.noticed.Swap(now)
	if before == nil || before == now || g.Catalog().Policy == nil {
		return
	}
	r := s.request()
	all := g.listedFor(r)
	if kinds := g.shownTo(now, all).changed(g.shownTo(before, all)); kinds != (listKinds{}) {
		s.listChanged(kinds)
	}
}

func (s *session) listChanged(kinds listKinds) {
	for _, method := range kinds.methods() {
		s.pushOnce(notification(method, nil))
	}
}

// listChanged does not block: changes that the client has not read yet become one.
func (l *listener) listChanged(kinds listKinds) {
	news := l.wants.and(kinds)
	if news == (listKinds{}) {
		return
	}
	l.mu.Lock()
	l.changed = l.changed.or(news)
	l.mu.Unlock()
	l.poke()
}
