package suite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/block"
)

// A thing is what a catalog has: a tool, prompt, resource or template.
type thing struct {
	list      string // such as tools
	origin    string
	published string // "" if it is not known
	object    *policy.Object
	upstream  string
	tags      []string
	check     func(json.RawMessage) error // of a tool's arguments; nil for none
}

// names know the things of a catalog by what people call them.
type names struct {
	things []*thing
	byName map[string]*thing // list, blank and name
}

func namesOf(o *Options) *names {
	n := &names{byName: map[string]*thing{}}
	for _, t := range o.Catalog.Tools {
		one := &thing{list: "tools", origin: t.Upstream + "/" + t.Original, published: t.Published, object: policy.ToolObject(t), upstream: t.Upstream, tags: t.Tags}
		if o.CheckArguments != nil {
			one.check = checkerOf(o, t.InputSchema)
		}
		n.add(one)
	}
	for _, p := range o.Catalog.Prompts {
		n.add(&thing{list: "prompts", origin: p.Upstream + "/" + p.Original, published: p.Published, object: policy.PromptObject(p), upstream: p.Upstream, tags: p.Tags})
	}
	for _, r := range o.Catalog.Resources {
		n.add(&thing{list: "resources", origin: r.Upstream + "/" + r.URI, published: r.Published, object: policy.ResourceObject(r), upstream: r.Upstream, tags: r.Tags})
	}
	for _, r := range o.Catalog.Templates {
		n.add(&thing{list: "templates", origin: r.Upstream + "/" + r.URI, published: r.Published, object: policy.TemplateObject(r), upstream: r.Upstream, tags: r.Tags})
	}
	return n
}

// checkerOf compiles a schema when it is first needed.
func checkerOf(o *Options, schema json.RawMessage) func(json.RawMessage) error {
	compiled := sync.OnceValue(func() func(json.RawMessage) error { return o.CheckArguments(schema) })
	return func(raw json.RawMessage) error { return compiled()(raw) }
}

func (n *names) add(t *thing) {
	n.things = append(n.things, t)
	n.byName[t.list+" "+t.origin] = t
	if key := t.list + " " + t.published; t.published != "" && n.byName[key] == nil {
		n.byName[key] = t
	}
}

// of are the things of a list.
func (n *names) of(list string) []*thing {
	var all []*thing
	for _, t := range n.things {
		if t.list == list {
			all = append(all, t)
		}
	}
	return all
}

// find is the thing of that name. The error says what may have been meant.
func (n *names) find(list, name string) (*thing, error) {
	if t := n.byName[list+" "+name]; t != nil {
		return t, nil
	}
	if list == "resources" {
		if t := n.unlisted(name); t != nil {
			return t, nil
		}
	}
	one := strings.TrimSuffix(list, "s")
	return nil, fmt.Errorf("there is no %s %s; %s", one, block.Quote(name), n.meant(list, name))
}

// meant is a remedy for a name that there is not.
func (n *names) meant(list, name string) string {
	var candidates []string
	for _, t := range n.of(list) {
		_, original, _ := strings.Cut(t.origin, "/")
		if original == name {
			return fmt.Sprintf("did you mean %s?", block.Quote(t.origin))
		}
		candidates = append(candidates, t.origin)
		if t.published != "" {
			candidates = append(candidates, t.published)
		}
	}
	return block.DidYouMean(name, candidates, "write it as upstream/name, as the catalog has it: mcpagg catalog lists them")
}

// unlisted is a resource of an upstream that has templates, which clients may read
// though no list has it; nil if it is none.
func (n *names) unlisted(name string) *thing {
	for _, t := range n.of("templates") {
		for _, prefix := range []string{t.upstream + "/", t.upstream + "+"} {
			if uri, ok := strings.CutPrefix(name, prefix); ok && strings.Contains(uri, ":") {
				r := policy.Resource{Upstream: t.upstream, URI: uri, Tags: t.tags}
				return &thing{list: "resources", origin: t.upstream + "/" + uri, object: policy.UnlistedObject(r), upstream: t.upstream}
			}
		}
	}
	return nil
}

// match are the things of a list that a pattern is for, in which * is any text.
func (n *names) match(list, pattern string) ([]*thing, error) {
	if !strings.Contains(pattern, "*") {
		t := n.byName[list+" "+pattern]
		if t == nil {
			return nil, fmt.Errorf("there is no %s %s; %s", strings.TrimSuffix(list, "s"), block.Quote(pattern), n.meant(list, pattern))
		}
		return []*thing{t}, nil
	}
	all := slices.DeleteFunc(n.of(list), func(t *thing) bool {
		return !glob(pattern, t.origin) && !glob(pattern, t.published)
	})
	if len(all) == 0 {
		return nil, fmt.Errorf("no %s is called %s; patterns are for upstream/name and for published names", strings.TrimSuffix(list, "s"), block.Quote(pattern))
	}
	return all, nil
}

// glob reports whether the pattern matches a text; "*" is any text.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[last])
}
