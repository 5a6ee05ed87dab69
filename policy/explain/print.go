package explain

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// cedar is a form as Cedar has it: what a part of it needs is asked first, unless the
// facts say it.
func (f *form) cedar(k *facts) ast.Node {
	switch f.sort {
	case constant:
		return ast.Value{Value: types.Boolean(f.yes)}
	case literal:
		return f.cedarLiteral(k)
	}
	var parts []ast.Node
	for _, a := range guardsFirst(f) {
		n := a.cedar(k)
		if _, and := n.(ast.And); and && f.sort == every {
			parts = append(parts, operandsOfSame(n)...)
		} else {
			parts = append(parts, n)
		}
		if f.sort == some {
			a = not(a)
		}
		if literals := conjuncts(a); literals != nil {
			k = k.with(literals)
		}
	}
	if f.sort == every {
		return conjunction(parts)
	}
	made := parts[0]
	for _, n := range parts[1:] {
		made = ast.Or{BinaryNode: ast.BinaryNode{Left: made, Right: n}}
	}
	return made
}

// conjuncts are the literals of which f says that they hold.
func conjuncts(f *form) []*form {
	switch f.sort {
	case literal:
		return []*form{f}
	case every:
		return slices.DeleteFunc(slices.Clone(f.args), func(a *form) bool { return a.sort != literal })
	}
	return nil
}

// guardsFirst are the arguments, those first that ask whether something is there.
func guardsFirst(f *form) []*form {
	args := slices.Clone(f.args)
	guards := func(a *form) int {
		if a.sort == literal && a.atom.has && a.yes == (f.sort == every) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(args, func(a, b *form) int { return guards(a) - guards(b) })
	return args
}

func (f *form) cedarLiteral(k *facts) ast.Node {
	n := f.atom.node
	missing := missingNeeds(f.atom, k, nil)
	if len(missing) == 0 && !f.yes {
		return opposite(n)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		n = ast.And{BinaryNode: ast.BinaryNode{Left: missing[i].node, Right: n}}
	}
	if !f.yes {
		return ast.Not{UnaryNode: ast.UnaryNode{Arg: n}}
	}
	return n
}

// missingNeeds adds what has to be asked before an atom.
func missingNeeds(a *atom, k *facts, missing []*atom) []*atom {
	for _, n := range a.needs {
		if is, ok := k.known(n.key); ok && is || slices.ContainsFunc(missing, func(m *atom) bool { return m.key == n.key }) {
			continue
		}
		missing = append(missingNeeds(n, k, missing), n)
	}
	return missing
}

// opposite is the negation of a condition.
func opposite(n ast.Node) ast.Node {
	switch n := n.(type) {
	case ast.Equals:
		return ast.NotEquals(n)
	case ast.LessThan:
		return ast.GreaterOrEqual(n)
	case ast.LessOrEqual:
		return ast.GreaterThan(n)
	case ast.Not:
		return n.Arg
	}
	return ast.Not{UnaryNode: ast.UnaryNode{Arg: n}}
}

// nodeOf is a known value as a node that is always written in the same way.
func nodeOf(v types.Value) ast.Node {
	set, ok := v.(types.Set)
	if !ok {
		return ast.Value{Value: v}
	}
	n := ast.Set{}
	for _, member := range sorted(set) {
		n.Elements = append(n.Elements, nodeOf(member))
	}
	return n
}
