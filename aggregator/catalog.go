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

	"github.com/mcpagg/mcpagg/policy"
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
	all      *Catalog      // that it is an excerpt of; nil if it is none
	excerpts *excerpts     // of it, for callers; nil in an excerpt
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
	origin     json.RawMessage // as the upstream sent it
	object     *policy.Object  // as policies see it
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
	drifted   []string // tools that are not as they were reviewed, by original name
}

// publish makes the part of one upstream from its listing, which may be nil. What
// is in before, the part so far or nil, and has not changed is the same in it:
// policies remember what they have found out of a tool by where it is.
func (m *member) publish(l *upstream.Listing, before *part) *part {
	p := &part{listing: l}
	if l == nil {
		return p
	}
	if before == nil {
		before = &part{}
	}
	m.publishTools(p, l.Tools, before.tools)
	m.publishPrompts(p, l.Prompts, before.prompts)
	m.publishResources(p, l.Resources, before.resources)
	m.publishTemplates(p, l.Templates, before.templates)
	return p
}

func (m *member) publishTools(p *part, raws []json.RawMessage, before []*Tool) {
	p.tools, p.drifted = nil, nil
	known := map[string]*Tool{}
	for _, t := range before {
		if t.member == m {
			known[string(t.origin)] = t
		}
	}
	for _, raw := range raws {
		t, err := known[string(raw)], error(nil)
		if t == nil {
			t, err = newTool(m, raw)
		}
		switch {
		case err != nil:
			p.hide(m, "tool", raw, err.Error())
		case m.Tools.Admits(t.Original):
			p.admit(t)
		}
	}
}

func (m *member) publishPrompts(p *part, raws []json.RawMessage, before []*item) {
	p.prompts = m.publishItems(p, prompts, raws, before)
}

func (m *member) publishResources(p *part, raws []json.RawMessage, before []*item) {
	p.resources = m.publishItems(p, resources, raws, before)
}

func (m *member) publishTemplates(p *part, raws []json.RawMessage, before []*item) {
	p.templates = m.publishItems(p, templates, raws, before)
}

// An itemKind says how items of a kind are published.
type itemKind struct {
	name   string
	shapes []shape
	key    string // the member that is their identity
	rename func(m *member, original string) string
	check  func(original string) error // nil for none
	object func(m *member, original string, definition rawjson.Object) *policy.Object
}

var (
	prompts = itemKind{
		name: "prompt", shapes: promptShape, key: "name", object: promptObject,
		rename: func(m *member, name string) string { return m.names.publish(m.Name, m.Prefix, name) },
	}
	resources = itemKind{
		name: "resource", shapes: resourceShape, key: "uri", object: resourceObject, rename: (*member).publishURI,
	}
	templates = itemKind{
		name: "resource template", shapes: templateShape, key: "uriTemplate", object: templateObject, rename: (*member).publishURI,
		check: func(template string) error { _, err := uritemplate.New(template); return err },
	}
)

// publishItems publishes definitions of one kind.
func (m *member) publishItems(p *part, kind itemKind, raws []json.RawMessage, before []*item) []*item {
	known := map[string]*item{}
	for _, it := range before {
		if it.member == m {
			known[string(it.origin)] = it
		}
	}
	var items []*item
	for _, raw := range raws {
		it, err := known[string(raw)], error(nil)
		if it == nil {
			it, err = kind.publish(m, raw)
		}
		if err != nil {
			p.hide(m, kind.name, raw, err.Error())
			continue
		}
		items = append(items, it)
	}
	return items
}

func (k itemKind) publish(m *member, raw json.RawMessage) (*item, error) {
	def, err := parseDefinition(raw, k.shapes)
	if err != nil {
		return nil, err
	}
	original, _ := def.GetString(k.key)
	if k.check != nil {
		if err := k.check(original); err != nil {
			return nil, err
		}
	}
	published := k.rename(m, original)
	object := k.object(m, original, def)
	def.Set(k.key, rawjson.String(published))
	return &item{key: published, original: original, member: m, definition: def.Bytes(), origin: raw, object: object}, nil
}

func (p *part) hide(m *member, kind string, raw json.RawMessage, reason string) {
	var named struct{ Name, URI, URITemplate string }
	_ = json.Unmarshal(raw, &named) // whatever name it has is good enough to report it
	p.hidden = append(p.hidden, Hidden{
		Upstream: m.Name, Kind: kind, Reason: reason,
		Original: cmp.Or(named.Name, named.URI, named.URITemplate),
	})
}

// Admits reports whether a tool of that original name is published.
func (r ToolRules) Admits(original string) bool {
	matches := func(pattern string) bool { return glob(pattern, original) }
	return (r.Allow == nil || slices.ContainsFunc(r.Allow, matches)) && !slices.ContainsFunc(r.Deny, matches)
}

// with is the catalog of the same configuration and generation that is made of
// other parts. It is a session's own, so that it keeps no pages, and few excerpts.
func (c *Catalog) with(parts []*part) *Catalog {
	own := merge(c.Generation, c.configuration, parts)
	own.pages, own.excerpts = nil, newExcerpts(maxOwnBytes)
	return own
}

// merge makes the catalog of all parts. Where two publish one name, the
// earlier one keeps it.
func merge(generation uint64, of *configuration, parts []*part) *Catalog {
	c := &Catalog{
		Generation: generation, configuration: of, parts: slices.Clone(parts), pages: &pages{}, excerpts: newExcerpts(maxExcerptBytes),
		replaced: make(chan struct{}), told: make(chan struct{}),
	}
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
	}
	c.instructions = instructionsOf(of.members, parts, func(*member) bool { return true })
	type raws = []json.RawMessage
	c.tools.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Tools, l.TTL.Tools })
	c.prompts.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Prompts, l.TTL.Prompts })
	c.resources.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Resources, l.TTL.Resources })
	c.templates.ttl = shortestTTL(parts, func(l *upstream.Listing) (raws, time.Duration) { return l.Templates, l.TTL.Templates })
	return c
}

// instructionsOf are those of the upstreams that are shown, each under its label.
func instructionsOf(members []*member, parts []*part, shown func(*member) bool) string {
	var all bytes.Buffer
	for i, p := range parts {
		if p.listing != nil && p.listing.Instructions != "" && shown(members[i]) {
			fmt.Fprintf(&all, "## %s\n\n%s\n\n", members[i].Name, p.listing.Instructions)
		}
	}
	return string(bytes.TrimSpace(all.Bytes()))
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
