package aggregator

import (
	"slices"
	"sync"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/policy"
)

const (
	// maxExcerpts bounds the view keys that are remembered in a generation,
	// maxExcerptBytes about what their lists and pages take.
	maxExcerpts     = 10_000
	maxExcerptBytes = 32 << 20
	// maxOwnBytes is maxExcerptBytes of a session's own catalog.
	maxOwnBytes = 256 << 10
	// entryBytes is about what an entry of a list takes in an excerpt.
	entryBytes = 100
)

// excerpts are the parts of a catalog that callers see: each is a catalog with
// lists of its own, so that what is hidden in it is as unknown as what was never
// there. Callers who see the same share one. There are two generations, as in
// rates: when the young one is full, the older one is forgotten. It is safe for
// concurrent use.
type excerpts struct {
	maxBytes int

	mu         sync.Mutex
	young, old generation // guarded by mu
}

type generation struct {
	byKey map[string]*excerpt
	byBit map[string]*Catalog // by what is visible
	bytes int
}

// An excerpt is what the callers of one view key see.
type excerpt struct {
	made    sync.Once
	visible string // one bit for each object; set by made
	catalog *Catalog
}

func newExcerpts(maxBytes int) *excerpts { return &excerpts{maxBytes: maxBytes} }

// shownTo is what the caller sees of the catalog.
func (g *Gateway) shownTo(c *oauth.Caller, all *Catalog) *Catalog {
	if all.Policy == nil {
		return all
	}
	p := g.principals.of(c)
	e, fresh := all.excerpts.of(p.view(all.Policy))
	e.made.Do(func() {
		visible := all.visibleTo(p.Principal)
		e.visible = bitsOf(visible)
		e.catalog = all.excerpts.share(e.visible, func() *Catalog { return all.only(visible) })
	})
	if fresh {
		all.excerpts.keep(e)
	}
	return e.catalog
}

// of is the excerpt for a view key; fresh says that it is new in the young generation.
func (x *excerpts) of(key string) (e *excerpt, fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.young.byKey == nil || len(x.young.byKey) >= maxExcerpts || x.young.bytes > x.maxBytes {
		x.young, x.old = generation{byKey: map[string]*excerpt{}, byBit: map[string]*Catalog{}}, x.young
	}
	if e := x.young.byKey[key]; e != nil {
		return e, false
	}
	if e = x.old.byKey[key]; e == nil {
		e = &excerpt{}
	}
	x.young.byKey[key] = e
	return e, true
}

// share is the catalog with what is visible, made unless there is one.
func (x *excerpts) share(visible string, cut func() *Catalog) *Catalog {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c := x.young.byBit[visible]; c != nil {
		return c
	}
	if c := x.old.byBit[visible]; c != nil {
		return c
	}
	c := cut()
	if c.pages != nil {
		c.pages.grown = x.grow
	}
	return c
}

// keep counts what a made excerpt takes in the young generation, once for all
// that share its catalog.
func (x *excerpts) keep(e *excerpt) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.young.byBit == nil || x.young.byBit[e.visible] != nil || e.catalog.all == nil {
		return
	}
	x.young.byBit[e.visible] = e.catalog
	x.young.bytes += len(e.visible) + e.catalog.size()
}

func (x *excerpts) grow(bytes int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.young.bytes += bytes
}

// size is about what an excerpt takes, in bytes.
func (c *Catalog) size() int {
	entries := len(c.tools.inOrder) + len(c.prompts.inOrder) + len(c.resources.inOrder) + len(c.templates.inOrder)
	bytes := len(c.instructions) + entries*entryBytes
	if c.pages != nil {
		bytes += int(c.pages.bytes.Load())
	}
	return bytes
}

// objects are all that policies decide of, tools first.
func (c *Catalog) objects() []*policy.Object {
	var all []*policy.Object
	for _, t := range c.tools.inOrder {
		all = append(all, t.object)
	}
	for _, l := range []list[*item]{c.prompts, c.resources, c.templates} {
		for _, it := range l.inOrder {
			all = append(all, it.object)
		}
	}
	return all
}

// visibleTo says of each of the catalog's objects whether the principal sees it.
func (c *Catalog) visibleTo(p *policy.Principal) []bool {
	visible := c.Policy.View(p, c.objects())
	i := 0
	see := func(m *member) {
		visible[i] = visible[i] || m.Observe
		i++
	}
	for _, t := range c.tools.inOrder {
		see(t.member)
	}
	for _, l := range []list[*item]{c.prompts, c.resources, c.templates} {
		for _, it := range l.inOrder {
			see(it.member)
		}
	}
	return visible
}

// only is the excerpt of what is visible: the catalog itself if everything is.
func (c *Catalog) only(visible []bool) *Catalog {
	if !slices.Contains(visible, false) {
		return c
	}
	own := &Catalog{
		Generation: c.Generation, configuration: c.configuration, Hidden: c.Hidden,
		parts: c.parts, all: c, replaced: c.replaced, told: c.told,
	}
	if c.pages != nil {
		own.pages = &pages{}
	}
	shown := map[*member]bool{}
	own.tools, visible = excerptOf(c.tools, visible, func(t *Tool) string { shown[t.member] = true; return t.Name })
	for _, l := range []struct{ from, to *list[*item] }{
		{&c.prompts, &own.prompts}, {&c.resources, &own.resources}, {&c.templates, &own.templates},
	} {
		*l.to, visible = excerptOf(*l.from, visible, func(it *item) string { shown[it.member] = true; return it.key })
	}
	own.instructions = instructionsOf(c.members, c.parts, func(m *member) bool { return shown[m] })
	return own
}

// excerptOf is the list of what is visible, whose bits come first; rest are the
// bits of what comes next.
func excerptOf[T any](l list[T], visible []bool, name func(T) string) (own list[T], rest []bool) {
	own.ttl = l.ttl
	for i, t := range l.inOrder {
		if visible[i] {
			own.add(name(t), t)
		}
	}
	return own, visible[len(l.inOrder):]
}

func bitsOf(visible []bool) string {
	bits := make([]byte, (len(visible)+7)/8)
	for i, v := range visible {
		if v {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return string(bits)
}

// whole is the catalog with everything.
func (c *Catalog) whole() *Catalog {
	if c.all != nil {
		return c.all
	}
	return c
}

// Objects are all that policies decide of at the moment.
func (g *Gateway) Objects() []*policy.Object { return g.Catalog().objects() }
