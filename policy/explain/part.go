package explain

import (
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// permits is the form that a permit is satisfied. One that cannot be evaluated is not.
func (b *builder) permits(p *source.Policy) *form {
	b.steps = 0
	var all []*form
	for _, n := range conjunctsOf(p) {
		r := b.result(n)
		if r.fallible {
			all = append(all, is(b.whole(n, false)))
			continue
		}
		if r.yes == falsity {
			return falsity
		}
		all = append(all, r.yes)
	}
	return simplify(both(all...))
}

// lets is the form that a forbid is not satisfied. One that cannot be evaluated forbids,
// unless such are skipped.
func (b *builder) lets(p *source.Policy, skip bool) *form {
	b.steps = 0
	r := isTrue
	nodes := conjunctsOf(p)
	for i, n := range nodes {
		if r.yes == falsity { // and so what comes is not evaluated
			break
		}
		next := b.result(n)
		if !next.fallible {
			r = r.and(next)
			continue
		}
		rest := conjunction(nodes[i:])
		a := is(b.whole(ast.Not{UnaryNode: ast.UnaryNode{Arg: rest}}, skip))
		if skip {
			return simplify(either(not(r.yes), a))
		}
		return simplify(either(r.no, both(r.yes, a)))
	}
	if skip {
		return simplify(not(r.yes))
	}
	return simplify(r.no)
}

// whole is the atom of a condition that cannot be divided, since evaluating it may
// fail.
func (b *builder) whole(n ast.Node, onFail bool) *atom {
	n = b.fold(n)
	return &atom{key: ast.Text(n), node: n, fallible: true, onFail: onFail}
}

// conjunctsOf are the conditions that all have to hold for a policy to be satisfied, in
// order.
func conjunctsOf(p *source.Policy) []ast.Node {
	var all []ast.Node
	for _, c := range p.AST.Conditions {
		body := c.Body
		if !c.Condition {
			body = ast.Not{UnaryNode: ast.UnaryNode{Arg: body}}
		}
		todo := []ast.Node{body}
		for len(todo) > 0 {
			n := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if and, ok := n.(ast.And); ok {
				todo = append(todo, and.Right, and.Left)
				continue
			}
			all = append(all, n)
		}
	}
	return all
}

// conjunction is that of one or more conditions.
func conjunction(nodes []ast.Node) ast.Node {
	all := nodes[0]
	for _, n := range nodes[1:] {
		all = ast.And{BinaryNode: ast.BinaryNode{Left: all, Right: n}}
	}
	return all
}
