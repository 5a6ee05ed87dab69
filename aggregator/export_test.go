package aggregator

import (
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/source"
)

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

// Kept is what is kept for callers at the moment.
type Kept struct{ Instances, Views, Sessions, SessionCallers int }

// Kept counts it over all links that are still published.
func (g *Gateway) Kept() (k Kept) {
	g.views.mu.Lock()
	k.Views = len(g.views.byCaller)
	g.views.mu.Unlock()
	g.sessions.mu.Lock()
	k.Sessions, k.SessionCallers = len(g.sessions.byID), len(g.sessions.byCaller)
	g.sessions.mu.Unlock()
	for _, m := range g.Catalog().members {
		m.mu.Lock()
		k.Instances += m.live
		m.mu.Unlock()
	}
	return k
}

// TakeQuota reports whether a caller may call once more, with a permit that says how
// often.
func (g *Gateway) TakeQuota(caller string, calls int, per time.Duration) bool {
	r := Request{Caller: &oauth.Caller{ID: caller}, about: &matter{object: policy.PromptObject(policy.Prompt{})}}
	_, wait := g.quotas.take(r, []source.Rate{{Calls: calls, Per: per}}, time.Now())
	return wait == 0
}

// Quotas counts the allowances that are remembered.
func (g *Gateway) Quotas() (n int) {
	for _, pair := range g.quotas.per {
		n += len(pair.young) + len(pair.old)
	}
	return n
}
