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
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.stale:
			g.rebuild()
		}
	}
}

// rebuild replaces the parts whose listing changed, then the catalog.
func (g *Gateway) rebuild() {
	g.publishing.Lock()
	defer g.publishing.Unlock()
	old := g.Catalog()
	parts, changed := slices.Clone(old.parts), false
	for i, m := range old.members {
		if l := m.shared.conn.Listing(); l != parts[i].listing {
			parts[i], changed = m.publish(l, parts[i]), true
		}
	}
	if changed {
		g.replace(old, merge(old.Generation+1, old.configuration, parts))
	}
}

// replace makes c the catalog and tells the clients of both eras what is
// different for them. It is called with publishing held.
func (g *Gateway) replace(old, c *Catalog) {
	g.reportHidden(c, old)
	before := g.seenSoFar(old)
	g.catalog.Store(c)
	if c.changed(old) != (listKinds{}) {
		g.log.Info("catalog changed", "generation", c.Generation, "tools", len(c.tools.inOrder),
			"prompts", len(c.prompts.inOrder), "resources", len(c.resources.inOrder))
	}
	g.tell(before)
	close(c.told)
	close(old.replaced)
}

func emptyParts(n int) []*part {
	parts := make([]*part, n)
	for i := range parts {
		parts[i] = &part{}
	}
	return parts
}

// maxReported bounds the hidden definitions that are logged at once.
const maxReported = 50

// reportHidden logs what c hides and old did not.
func (g *Gateway) reportHidden(c, old *Catalog) {
	known := make(map[Hidden]bool, len(old.Hidden))
	for _, h := range old.Hidden {
		known[h] = true
	}
	reported := 0
	for _, h := range c.Hidden {
		if known[h] {
			continue
		}
		if reported++; reported > maxReported {
			continue
		}
		g.log.Warn("not published", "upstream", h.Upstream, "kind", h.Kind, "name", h.Original, "reason", h.Reason)
	}
	if reported > maxReported {
		g.log.Warn("more definitions are not published; see mcpagg catalog", "more", reported-maxReported)
	}
}

// shows reports whether c was made of the upstreams' current listings.
func (c *Catalog) shows() bool {
	for i, m := range c.members {
		if c.parts[i].listing != m.shared.conn.Listing() {
			return false
		}
	}
	return true
}
