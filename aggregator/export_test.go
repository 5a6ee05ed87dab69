package aggregator

// Held is what parked calls and instances in use take at the moment.
type Held struct{ Places, Callers, Parked, Users, Watched int }

// Held counts it over all links that are still published.
func (g *Gateway) Held() (h Held) {
	g.parked.mu.Lock()
	h.Places, h.Callers, h.Parked = g.parked.total, len(g.parked.byCaller), len(g.parked.calls)
	g.parked.mu.Unlock()
	g.subscriptions.mu.Lock()
	h.Watched = len(g.subscriptions.byURI) + len(g.subscriptions.counts)
	g.subscriptions.mu.Unlock()
	for _, m := range g.Catalog().members {
		m.mu.Lock()
		h.Users += m.shared.users
		for _, in := range m.own {
			h.Users += in.users
		}
		m.mu.Unlock()
	}
	return h
}
