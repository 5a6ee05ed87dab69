package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A lookup is one thing that a policy looks at.
type lookup struct {
	variable     string          // principal or context; "" for in
	name, member string          // of an attribute, and of one in it; "" for the whole
	in           types.EntityUID // that the principal is asked to be in
	tag          bool            // some tag of the principal
}

// String is its path, such as context.input.repo.
func (l lookup) String() string {
	switch {
	case l.tag:
		return "principal.getTag"
	case l.variable == "" && !slices.Contains(memberships, l.in.Type): // by way of a group, or a role
		return "principal.groups"
	case l.variable == "":
		return "principal in " + l.in.String()
	case l.member != "":
		return l.variable + "." + l.name + "." + l.member
	case l.name != "":
		return l.variable + "." + l.name
	}
	return l.variable
}

// lookupsOf are those of a policy, each once.
func lookupsOf(p *source.Policy) []lookup {
	var all []lookup
	add := func(l lookup) {
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	m := source.MentionsOf(p)
	for _, uid := range m.Entities {
		add(lookup{in: uid})
	}
	for _, name := range m.Principal {
		add(lookup{variable: "principal", name: name})
	}
	if m.AnyTag || len(m.Tags) > 0 {
		add(lookup{variable: "principal", tag: true})
	}
	for _, c := range p.AST.Conditions {
		ast.Inspect(c.Body, func(n ast.Node) bool { return inContext(n, add) })
	}
	return all
}

// inContext adds what a node looks at in the context, and reports whether to go on
// below it.
func inContext(n ast.Node, add func(lookup)) bool {
	var of ast.Node
	var name types.String
	switch n := n.(type) {
	case ast.Access:
		of, name = n.Arg, n.Value
	case ast.Has:
		of, name = n.Arg, n.Value
	case ast.Variable:
		if n.Name == "context" {
			add(lookup{variable: "context"})
		}
		return true
	default:
		return true
	}
	if inner, ok := of.(ast.Access); ok && isTheContext(inner.Arg) && slices.Contains(recordsInContext, string(inner.Value)) {
		add(lookup{variable: "context", name: string(inner.Value), member: string(name)})
		return false
	}
	if !isTheContext(of) {
		return true
	}
	if _, has := n.(ast.Has); !has || !slices.Contains(recordsInContext, string(name)) {
		add(lookup{variable: "context", name: string(name)})
	}
	return false
}

func isTheContext(n ast.Node) bool {
	v, ok := n.(ast.Variable)
	return ok && v.Name == "context"
}

// knows reports whether that is known, or nowhere to be looked at.
func (c *pastCase) knows(l lookup) bool {
	switch {
	case l.tag:
		return false
	case l.variable == "":
		return slices.Contains(c.past.In, l.in) || !c.mayBeIn(l.in)
	case l.variable == "principal":
		_, known := c.past.Attributes[l.name]
		_, own := principalField(l.name)
		return known || !own
	case l.member != "":
		_, known := c.members(l.name)[l.member]
		f, _ := c.about.unknown.Field(l.name)
		if f.Type == nil {
			return true
		}
		_, there := f.Type.Field(l.member)
		return known || !there
	}
	return c.knowsAttribute(l.name)
}

// knowsAttribute is knows of an attribute of the context, or of the whole.
func (c *pastCase) knowsAttribute(name string) bool {
	if name == "" {
		return len(c.env.Unknown.Fields) == 0
	}
	_, open := c.env.Unknown.Field(name)
	return !open
}

// isAhead reports whether it is known before there is a request.
func (l lookup) isAhead() bool { return l.variable != "context" || l.name == "app" }

// Lookups are the paths of what a policy looks at beside who asks, and what for, such as
// context.input.repo; nil if it permits, or forbids, whatever the request is like.
func Lookups(p *source.Policy) []string {
	var all []string
	for _, l := range lookupsOf(p) {
		if l.variable != "" {
			all = append(all, l.String())
		}
	}
	return all
}
