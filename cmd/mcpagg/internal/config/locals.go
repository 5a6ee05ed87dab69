package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// locals are the attributes of all locals blocks, evaluated when something
// refers to them.
type locals struct {
	attributes map[string]*hcl.Attribute
	values     map[string]cty.Value
	path       []string // those being evaluated, each needed by the one before
}

// decodeLocals evaluates all locals and makes them visible to what follows.
func (d *decoder) decodeLocals(bodies []hcl.Body) {
	l := &locals{attributes: map[string]*hcl.Attribute{}, values: map[string]cty.Value{}}
	for _, body := range bodies {
		attributes, diags := body.JustAttributes()
		d.report(diags)
		for _, attr := range inOrder(attributes) {
			if first, ok := l.attributes[attr.Name]; ok {
				d.mistake(&attr.NameRange, "Duplicate local", "%q is already set at %s.", attr.Name, place(first.NameRange))
				continue
			}
			l.attributes[attr.Name] = attr
		}
	}
	d.localNames = slices.Sorted(maps.Keys(l.attributes))
	for _, name := range d.localNames {
		d.evaluateLocal(l, name)
	}
	d.local = cty.ObjectVal(l.values)
}

// evaluateLocal evaluates a local after those it refers to. One that fails
// becomes unknown, which keeps what refers to it quiet.
func (d *decoder) evaluateLocal(l *locals, name string) {
	attr := l.attributes[name]
	if _, done := l.values[name]; done || attr == nil {
		return
	}
	if i := slices.Index(l.path, name); i >= 0 {
		d.mistake(&attr.NameRange, "Locals in a circle", "Each needs the next: %s.",
			strings.Join(append(slices.Clone(l.path[i:]), name), " → "))
		l.values[name] = cty.DynamicVal
		return
	}
	l.path = append(l.path, name)
	for _, other := range localsIn(attr.Expr) {
		d.evaluateLocal(l, other)
	}
	l.path = l.path[:len(l.path)-1]
	if _, failed := l.values[name]; failed {
		return
	}
	d.local = cty.ObjectVal(l.values)
	value, diags := attr.Expr.Value(d.context(attr.Expr.Range().Filename))
	d.report(diags)
	if diags.HasErrors() {
		value = cty.DynamicVal
	}
	l.values[name] = value
}

// localsIn names the locals that an expression refers to.
func localsIn(expr hcl.Expression) []string {
	var names []string
	for _, t := range expr.Variables() {
		if name, _, ok := localIn(t); ok {
			names = append(names, name)
		}
	}
	return names
}

// localIn is the local that a reference is to, and where that stands.
func localIn(t hcl.Traversal) (name string, at hcl.Range, ok bool) {
	if len(t) < 2 || t.RootName() != "local" {
		return "", hcl.Range{}, false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, step.SrcRange, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), step.SrcRange, true
		}
	}
	return "", hcl.Range{}, false
}

// inOrder sorts attributes by their place.
func inOrder(attributes hcl.Attributes) []*hcl.Attribute {
	return slices.SortedFunc(maps.Values(attributes), func(a, b *hcl.Attribute) int {
		return a.NameRange.Start.Byte - b.NameRange.Start.Byte
	})
}
