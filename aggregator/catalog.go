package aggregator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/yosida95/uritemplate/v3"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// A Catalog is everything the gateway publishes. It never changes; a newer one
// replaces it whole.
type Catalog struct {
	Generation uint64
	// Hidden are the definitions that are not published, with the reason.
	Hidden []Hidden

	tools     list[*Tool]
	prompts   list[*item]
	resources list[*item]
	templates list[*item]
	// instructions are those of all upstreams, each under its label.
	instructions string

	*configuration
	pages    *pages        // of the lists, as they are sent; nil for a session's own catalog
	parts    []*part       // what it was made of, one for each member
	replaced chan struct{} // closed when a newer catalog took its place
	told     chan struct{} // closed when clients were told of this one
}

// A Hidden definition of an upstream is not published.
type Hidden struct {
	Upstream, Kind, Original string
	Reason                   string
}

// An item is a published prompt, resource or template.
type item struct {
	key        string // published name, URI or URI template
	original   string
	member     *member
	definition json.RawMessage // as published
}

// A list holds published things of one kind in the order of the configuration
// and of their upstreams.
type list[T any] struct {
	inOrder []T
	index   map[string]int // published name -> place in inOrder
	ttl     time.Duration  // for how long clients may use it without asking again
}

func (l *list[T]) get(name string) (t T, ok bool) {
	i, ok := l.index[name]
	if !ok {
		return t, false
	}
	return l.inOrder[i], true
}

// add appends t, unless the name is taken; then it returns who has it.
func (l *list[T]) add(name string, t T) (taken T, ok bool) {
	if i, has := l.index[name]; has {
		return l.inOrder[i], false
	}
	if l.index == nil {
		l.index = map[string]int{}
	}
	l.index[name] = len(l.inOrder)
	l.inOrder = append(l.inOrder, t)
	return taken, true
}

// A part is one upstream's share of the catalog. It is made anew only when the
// upstream's listing changed.
type part struct {
	listing   *upstream.Listing
	tools     []*Tool
	prompts   []*item
	resources []*item
	templates []*item
	hidden    []Hidden
}

// publish makes the part of one upstream from its listing, which may be nil.
func (m *member) publish(l *upstream.Listing) *part {
	p := &part{listing: l}
	if l == nil {
		return p
	}
	m.publishTools(p, l.Tools)
	m.publishPrompts(p, l.Prompts)
	m.publishResources(p, l.Resources)
	m.publishTemplates(p, l.Templates)
	return p
}

func (m *member) publishTools(p *part, raws []json.RawMessage) {
	p.tools = nil
	for _, raw := range raws {
		t, err := newTool(m, raw)
		switch {
		case err != nil:
			p.hide(m, "tool", raw, err.Error())
		case m.Tools.admit(t.Original):
			p.tools = append(p.tools, t)
		}
	}
}

func (m *member) publishPrompts(p *part, raws []json.RawMessage) {
	p.prompts = m.publishItems(p, "prompt", raws, promptShape, "name", func(name string) string {
		return m.names.publish(m.Name, m.Prefix, name)
	})
}

func (m *member) publishResources(p *part, raws []json.RawMessage) {
	p.resources = m.publishItems(p, "resource", raws, resourceShape, "uri", m.publishURI)
}

func (m *member) publishTemplates(p *part, raws []json.RawMessage) {
	p.templates = m.publishItems(p, "resource template", raws, templateShape, "uriTemplate", m.publishURI)
}

// publishItems publishes definitions whose identity is the member key.
func (m *member) publishItems(p *part, kind string, raws []json.RawMessage, shapes []shape, key string, rename func(string) string) []*item {
	var items []*item
	for _, raw := range raws {
		def, err := parseDefinition(raw, shapes)
		if err != nil {
			p.hide(m, kind, raw, err.Error())
			continue
		}
		original, _ := def.GetString(key)
		if kind == "resource template" {
			if _, err := uritemplate.New(original); err != nil {
				p.hide(m, kind, raw, err.Error())
				continue
			}
		}
		published := rename(original)
		def.Set(key, rawjson.String(published))
		items = append(items, &item{key: published, original: original, member: m, definition: def.Bytes()})
	}
	return items
}

func (p *part) hide(m *member, kind string, raw json.RawMessage, reason string) {
	var named struct{ Name, URI, URITemplate string }
	_ = json.Unmarshal(raw, &named) // whatever name it has is good enough to report it
	p.hidden = append(p.hidden, Hidden{
		Upstream: m.Name, Kind: kind, Reason: reason,
		Original: cmp.Or(named.Name, named.URI, named.URITemplate),
	})
}

func (r ToolRules) admit(original string) bool {
	matches := func(pattern string) bool { return glob(pattern, original) }
	return (r.Allow == nil || slices.ContainsFunc(r.Allow, matches)) && !slices.ContainsFunc(r.Deny, matches)
}

// with is the catalog of the same configuration and generation that is made of
// other parts. It is a session's own, so that it keeps no pages.
func (c *Catalog) with(parts []*part) *Catalog {
	own := merge(c.Generation, c.configuration, parts)
	own.pages = nil
	return own
}

// merge makes the catalog of all parts. Where two publish one name, the
// earlier one keeps it.
func merge(generation uint64, of *configuration, parts []*part) *Catalog {
	c := &Catalog{
		Generation: generation, configuration: of, parts: slices.Clone(parts), pages: &pages{},
		replaced: make(chan struct{}), told: make(chan struct{}),
	}
	var instructions bytes.Buffer
	for i, p := range parts {
		m := of.members[i]
		c.Hidden = append(c.Hidden, p.hidden...)
		for _, t := range p.tools {
			if taken, ok := c.tools.add(t.Name, t); !ok {
				c.Hidden = append(c.Hidden, Hidden{m.Name, "tool", t.Original, takenBy(t.Name, taken.Upstream, taken.Original)})
			}
		}
		c.addItems(&c.prompts, "prompt", p.prompts)
		c.addItems(&c.resources, "resource", p.resources)
		c.addItems(&c.templates, "resource template", p.templates)
		if p.listing != nil && p.listing.Instructions != "" {
			fmt.Fprintf(&instructions, "## %s\n\n%s\n\n", m.Name, p.listing.Instructions)
		}
	}
	c.instructions = string(bytes.TrimSpace(instructions.Bytes()))
	type raws = []json.RawMessage
	c.tools.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Tools, l.TTL.Tools })
	c.prompts.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Prompts, l.TTL.Prompts })
	c.resources.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Resources, l.TTL.Resources })
	c.templates.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Templates, l.TTL.Templates })
	return c
}

// shortestTTL is the shortest time for which an upstream lets its list of one
// kind be used. One that is not there, or names no time, may change it at any
// time.
func shortestTTL(parts []*part, of func(*upstream.Listing) ([]json.RawMessage, time.Duration)) time.Duration {
	shortest := time.Duration(-1)
	for _, p := range parts {
		if p.listing == nil {
			return 0
		}
		if definitions, ttl := of(p.listing); definitions != nil && (shortest < 0 || ttl < shortest) {
			shortest = ttl
		}
	}
	return max(shortest, 0)
}

func (c *Catalog) addItems(l *list[*item], kind string, items []*item) {
	for _, it := range items {
		if taken, ok := l.add(it.key, it); !ok {
			c.Hidden = append(c.Hidden, Hidden{it.member.Name, kind, it.original, takenBy(it.key, taken.member.Name, taken.original)})
		}
	}
}

func takenBy(name, label, original string) string {
	return fmt.Sprintf("the name %s is taken by %s/%s; set prefix or an override's name to tell them apart", name, label, original)
}

// Tools are the published tools, in order.
func (c *Catalog) Tools() []*Tool { return c.tools.inOrder }

// changed says of which kinds the published definitions differ between c and old.
func (c *Catalog) changed(old *Catalog) listKinds {
	toolsEqual := slices.EqualFunc(c.tools.inOrder, old.tools.inOrder, func(a, b *Tool) bool {
		return bytes.Equal(a.definition, b.definition)
	})
	return listKinds{
		Tools:     !toolsEqual,
		Prompts:   !equalItems(c.prompts, old.prompts),
		Resources: !equalItems(c.resources, old.resources) || !equalItems(c.templates, old.templates),
	}
}

func equalItems(a, b list[*item]) bool {
	return slices.EqualFunc(a.inOrder, b.inOrder, func(a, b *item) bool { return bytes.Equal(a.definition, b.definition) })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
