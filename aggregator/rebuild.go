package aggregator

import (
	"context"
	"slices"
)

// markStale says that some upstream's listing may have changed.
func (g *Gateway) markStale() {
	select {
	case g.stale <- struct{}{}:
	default:
	}
}

// keepCatalog rebuilds the catalog whenever a listing changed, until ctx ends.
func (g *Gateway) keepCatalog(ctx context.Context) {
	parts := emptyParts(len(g.inOrder))
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.stale:
			g.rebuild(parts)
		}
	}
}

// rebuild replaces the parts whose listing changed, then the catalog, and
// tells the clients of both eras.
func (g *Gateway) rebuild(parts []*part) {
	changed := false
	for i, m := range g.inOrder {
		if l := m.conn.Listing(); l != parts[i].listing {
			parts[i], changed = m.publish(l), true
		}
	}
	if !changed {
		return
	}
	old := g.Catalog()
	c := merge(old.Generation+1, g.inOrder, parts)
	for _, h := range c.Hidden {
		if !old.hides(h) {
			g.log.Warn("not published", "upstream", h.Upstream, "kind", h.Kind, "name", h.Original, "reason", h.Reason)
		}
	}
	g.catalog.Store(c)
	close(old.replaced)
	g.log.Info("catalog changed", "generation", c.Generation, "tools", len(c.tools.inOrder),
		"prompts", len(c.prompts.inOrder), "resources", len(c.resources.inOrder))
	g.notify(c.changed(old))
}

func emptyParts(n int) []*part {
	parts := make([]*part, n)
	for i := range parts {
		parts[i] = &part{}
	}
	return parts
}

func (c *Catalog) hides(h Hidden) bool { return slices.Contains(c.Hidden, h) }

// shows reports whether c was made of the upstreams' current listings.
func (c *Catalog) shows(members []*member) bool {
	for i, m := range members {
		if c.listings[i] != m.conn.Listing() {
			return false
		}
	}
	return true
}

// notify sends list_changed notifications to clients of both eras.
func (g *Gateway) notify(changed listKinds) {
	g.listeners.notify(changed)
	for _, method := range changed.methods() {
		for _, s := range g.sessions.all() {
			s.push(notification(method, nil))
		}
	}
}
