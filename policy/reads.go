package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
)

// reads is what policies look at, as sets. Whatever is not in it makes no
// difference to them, so that nobody need make it, and callers who differ in
// nothing else are one class.
type reads struct {
	principal set // attributes
	identity  bool
	tags      bool
	groups    bool // who is in which group
	uids      map[types.EntityUID]bool
	resource  set // attributes
	context   set // attributes
	whole     bool
	input     set  // top-level arguments, by any spelling
	all       bool // arguments as a whole
	contexts  set  // authentication contexts that are asked for by name
}

type set map[string]bool

func (s *set) add(names ...string) {
	if *s == nil {
		*s = set{}
	}
	for _, name := range names {
		(*s)[name] = true
	}
}

func readsOf(p *source.Policy) reads {
	m := source.MentionsOf(p)
	r := reads{
		identity: m.Compared, tags: m.AnyTag || len(m.Tags) > 0, groups: m.Groups,
		whole: m.Whole, all: m.Whole || m.AnyArgument || m.AnySize, uids: map[types.EntityUID]bool{},
	}
	r.principal.add(m.Principal...)
	r.resource.add(m.Resource...)
	r.context.add(m.Context...)
	r.input.add(m.Arguments...)
	r.input.add(m.Sizes...)
	for _, uid := range m.Entities {
		r.uids[uid] = true
		r.identity = r.identity || uid.Type == typeUser || uid.Type == typeWorkload // who is named is told apart
	}
	for _, c := range p.AST.Conditions {
		ast.Inspect(c.Body, func(n ast.Node) bool { r.authContext(n); return true })
	}
	return r
}

// authContext notes the c1 of context.auth.acrs.contains("c1").
func (r *reads) authContext(n ast.Node) {
	contains, _ := n.(ast.Contains)
	acrs, _ := contains.Left.(ast.Access)
	auth, _ := acrs.Arg.(ast.Access)
	of, _ := auth.Arg.(ast.Variable)
	literal, _ := contains.Right.(ast.Value)
	if text, ok := literal.Value.(types.String); ok && acrs.Value == "acrs" && auth.Value == "auth" && of.Name == "context" {
		r.contexts.add(string(text))
	}
}

// add makes r what either looks at.
func (r *reads) add(other *reads) {
	for to, from := range map[*set]set{
		&r.principal: other.principal, &r.resource: other.resource, &r.context: other.context,
		&r.input: other.input, &r.contexts: other.contexts,
	} {
		to.add()
		maps.Copy(*to, from)
	}
	if r.uids == nil {
		r.uids = map[types.EntityUID]bool{}
	}
	maps.Copy(r.uids, other.uids)
	r.identity, r.tags, r.groups = r.identity || other.identity, r.tags || other.tags, r.groups || other.groups
	r.whole, r.all = r.whole || other.whole, r.all || other.all
}

// at reports whether an attribute of the context matters.
func (r *reads) at(attribute string) bool { return r.whole || r.context[attribute] }

// toolHive reports whether arguments matter in ToolHive's spelling.
func (r *reads) toolHive() bool {
	for name := range r.context {
		if strings.HasPrefix(name, source.ArgumentPrefix) {
			return true
		}
	}
	return r.whole
}

// mayName reports whether the group of that name may matter.
func (r *reads) mayName(group string) bool {
	named := func(t types.EntityType) bool { return r.uids[types.NewEntityUID(t, types.String(group))] }
	return r.identity || r.principal["groups"] || r.principal["claim_groups"] || named(typeGroup) || named(typeTHVGroup)
}

// principalNames are the attributes of the principal, in order.
func (r *reads) principalNames() []string { return slices.Sorted(maps.Keys(r.principal)) }

// arguments reports whether arguments matter, of a tool with these binds.
func (r *reads) arguments(binds []*facts.Bind) bool {
	return r.at("bytes") || r.all || len(r.input) > 0 || slices.ContainsFunc(binds, func(b *facts.Bind) bool { return r.at(b.Name) })
}

// wants are the names of the top-level arguments that matter, unless all do.
func (r *reads) wants(binds []*facts.Bind) (names set, all bool) {
	names = r.input
	for _, b := range binds {
		if !r.at(b.Name) {
			continue
		}
		names = maps.Clone(names)
		for _, part := range b.ID {
			if part.Argument != nil {
				names.add(part.Argument[0])
			}
		}
	}
	return names, r.all
}
