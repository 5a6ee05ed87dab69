package check

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/syntax"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// contradicts reports whether the conditions of a policy are false for an object, whatever
// is asked for.
func (w *world) contradicts(p *subject, o *object) bool {
	return p.contradiction() != nil || infer(w, p, o, nil, func(finding) {}).is(false)
}

// contradiction is a part of the conditions that can never be true beside the parts before
// it, since both say what one value is; nil if there is none.
func (p *subject) contradiction() *syntax.Node {
	equal := map[string][]types.Value{} // what may be at a path
	for _, c := range p.syntax.Conditions {
		if c.Unless {
			continue
		}
		for _, n := range conjuncts(c.Body) {
			path, one := oneOf(n)
			if one == nil {
				continue
			}
			before, said := equal[path]
			if said {
				one = slices.DeleteFunc(one, func(v types.Value) bool { return !slices.ContainsFunc(before, v.Equal) })
			}
			if len(one) == 0 {
				return n
			}
			equal[path] = one
		}
	}
	return nil
}

// oneOf are the literals of which a value has to be one so that an expression is true, nil
// if it says nothing of the kind.
func oneOf(n *syntax.Node) (path string, all []types.Value) {
	switch {
	case n.Kind == syntax.Compare && n.Name == "==":
		for i, a := range n.Args {
			other := bare(n.Args[1-i])
			if literal := bare(a); literal.Kind == syntax.Literal && other.Kind != syntax.Literal {
				return pathOf(other), []types.Value{literal.Value}
			}
		}
	case n.Kind == syntax.Method && n.Name == "contains" && bare(n.Args[0]).Kind == syntax.Set:
		for _, a := range bare(n.Args[0]).Args {
			if bare(a).Kind != syntax.Literal {
				return "", nil
			}
			all = append(all, bare(a).Value)
		}
		return pathOf(n.Args[1]), all
	}
	return "", nil
}

// covered is a forbid that is satisfied for an object whenever a permit is, nil if there is
// none: it is about everybody that the permit is about, and asks for nothing else.
func (w *world) covered(p *subject, o *object, all []*subject) *subject {
	for _, f := range all {
		if !f.syntax.Permit && !f.observed() && w.holds(f, o) && sameScope(f.syntax.Principal, p.syntax.Principal) && w.asksNothingElse(f, p, o) {
			return f
		}
	}
	return nil
}

// sameScope reports whether a scope of principals holds all that another does.
func sameScope(of, other *syntax.Scope) bool {
	if of.Op == "" {
		return true
	}
	return of.Op == other.Op && of.Type == other.Type &&
		slices.EqualFunc(of.Entities, other.Entities, func(a, b *syntax.Node) bool { return a.Value.Equal(b.Value) })
}

// asksNothingElse reports whether the conditions of a forbid are true for an object where
// those of a permit are.
func (w *world) asksNothingElse(forbid, permit *subject, o *object) bool {
	var holds []string
	for _, c := range permit.syntax.Conditions {
		if !c.Unless {
			for _, n := range conjuncts(c.Body) {
				holds = append(holds, pathOf(n))
			}
		}
	}
	i := &inference{world: w, policy: forbid, about: o, found: func(finding) {}}
	for _, c := range forbid.syntax.Conditions {
		if c.Unless {
			return false
		}
		for _, n := range conjuncts(c.Body) {
			if slices.Contains(holds, pathOf(n)) {
				continue
			}
			if v := i.expr(n, nil); v.typ.Kind != typed.Bool || !v.is(true) {
				return false
			}
		}
	}
	return true
}
