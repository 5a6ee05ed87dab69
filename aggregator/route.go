package aggregator

import (
	"sync"

	"github.com/yosida95/uritemplate/v3"

	"github.com/mcpagg/mcpagg/policy"
)

// A target is what a published URI leads to.
type target struct {
	member   *member
	original string
	object   *policy.Object // nil if it is not listed
}

func (it *item) target() target { return target{it.member, it.original, it.object} }

// resource is what a URI leads to, for a caller who may see it: what is hidden is
// as unknown as what is not there.
// A template's own URI is that of a resource like any other.
func (g *Gateway) resource(r Request, uri string) (target, bool) {
	t, ok := r.catalog.whole().route(uri)
	if !ok {
		return target{}, false
	}
	if t.object != nil && t.object.IsTemplate() {
		t.object = nil
	}
	return g.shown(r, t)
}

// reference is what a completion's URI leads to, which may be a template.
func (g *Gateway) reference(r Request, uri string) (target, bool) {
	t, ok := r.catalog.whole().route(uri)
	if !ok {
		return target{}, false
	}
	return g.shown(r, t)
}

// shown is the target as policies see it, and whether the caller may see it.
func (g *Gateway) shown(r Request, t target) (target, bool) {
	t = g.known(t)
	p := r.catalog.Policy
	if p == nil || t.member.Observe {
		return t, true
	}
	return t, p.View(g.principals.of(r.Caller).Principal, []*policy.Object{t.object})[0]
}

// known is the target as policies see it, listed or not.
func (g *Gateway) known(t target) target {
	if t.object == nil {
		t.object = g.offList.object(t.member, t.original)
	}
	return t
}

// maxOffList bounds the resources of a generation.
const maxOffList = 1000

// offList remembers resources that upstreams do not list, as policies see them, in
// two generations as in rates. It is safe for concurrent use.
type offList struct {
	mu         sync.Mutex
	young, old map[offListKey]*policy.Object // guarded by mu
}

type offListKey struct {
	member *member
	uri    string
}

func (u *offList) object(m *member, uri string) *policy.Object {
	if len(uri) > maxWatchedURI {
		return unlistedObject(m, uri)
	}
	key := offListKey{m, uri}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.young == nil || len(u.young) >= maxOffList {
		u.young, u.old = map[offListKey]*policy.Object{}, u.young
	}
	o := u.young[key]
	if o == nil {
		if o = u.old[key]; o == nil {
			o = unlistedObject(m, uri)
		}
		u.young[key] = o
	}
	return o
}

// route finds whose resource a published URI is, and its original URI.
//
// A URI that carries a label belongs to that upstream, listed or not. One that
// does not belongs to the upstream that lists it, or whose template fits it,
// or is the only one with an empty prefix; a link to the web out of a result
// carries none either. No upstream is ever tried to find out.
func (c *Catalog) route(uri string) (t target, ok bool) {
	it, listed := c.resources.get(uri)
	if !listed {
		it, listed = c.templates.get(uri) // completion names the template itself
	}
	if label, original, ok := splitURI(uri); ok {
		if m := c.byLabel[label]; m != nil && m.Prefix != "" {
			if listed && it.member == m {
				return it.target(), true
			}
			return target{member: m, original: original}, true
		}
	}
	if listed {
		return it.target(), true
	}
	if isWeb(uri) {
		for _, it := range c.resources.inOrder {
			if it.original == uri {
				return it.target(), true
			}
		}
	}
	for _, it := range c.templates.inOrder {
		if it.member.Prefix == "" && templateFits(it.original, uri) {
			return target{member: it.member, original: uri}, true
		}
	}
	if m := c.onlyUnprefixed(); m != nil {
		return target{member: m, original: uri}, true
	}
	return target{}, false
}

// templateFits reports whether the URI can be made from the template (RFC 6570).
func templateFits(template, uri string) bool {
	t, err := uritemplate.New(template)
	if err != nil {
		return false
	}
	return t.Regexp().MatchString(uri)
}

// onlyUnprefixed is the only upstream with an empty prefix, nil if there are
// none or several.
func (c *Catalog) onlyUnprefixed() *member {
	var only *member
	for _, m := range c.members {
		if m.Prefix != "" {
			continue
		}
		if only != nil {
			return nil
		}
		only = m
	}
	return only
}
