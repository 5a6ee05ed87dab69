package explain

import (
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// fold is n with what is known put in and evaluated. It fails exactly where n fails.
func (b *builder) fold(n ast.Node) ast.Node {
	return ast.Rewrite(n, b.foldOne)
}

// foldOne folds a node below which all is folded.
func (b *builder) foldOne(n ast.Node) ast.Node {
	switch n := n.(type) {
	case ast.Value:
		return n
	case ast.Variable:
		switch n.Name {
		case "principal":
			return ast.Value{Value: b.env.Principal}
		case "action":
			return ast.Value{Value: b.env.Action}
		case "resource":
			return ast.Value{Value: b.env.Resource}
		}
		return n
	case ast.Access:
		if v, ok := b.known.Get(n.Value); ok && isContext(n.Arg) {
			return ast.Value{Value: v}
		}
	case ast.Has:
		if _, ok := b.known.Get(n.Value); ok && isContext(n.Arg) {
			return ast.Value{Value: types.True}
		}
	case ast.And:
		switch v, known := constantOf(n.Left); {
		case known && !bool(v):
			return ast.Value{Value: types.False}
		case known && condition(n.Right):
			return n.Right
		}
	case ast.Or:
		switch v, known := constantOf(n.Left); {
		case known && bool(v):
			return ast.Value{Value: types.True}
		case known && condition(n.Right):
			return n.Right
		}
	case ast.IfThenElse:
		if v, known := constantOf(n.If); known && bool(v) {
			return n.Then
		} else if known {
			return n.Else
		}
	}
	if !closed(n) {
		return n
	}
	v, err := ast.Eval(n, b.env)
	if err != nil {
		return n
	}
	return ast.Value{Value: v}
}

func constantOf(n ast.Node) (v types.Boolean, ok bool) {
	of, _ := n.(ast.Value)
	v, ok = of.Value.(types.Boolean)
	return v, ok
}

// condition reports whether n is true, false or fails, as the sides of && and || have
// to be.
func condition(n ast.Node) bool {
	switch n := n.(type) {
	case ast.And, ast.Or, ast.Not, ast.Has:
		return true
	case ast.Value:
		_, ok := n.Value.(types.Boolean)
		return ok
	}
	_, _, ok := operandsOf(n)
	return ok
}

// closed reports whether n has no variable.
func closed(n ast.Node) bool {
	free := true
	ast.Inspect(n, func(n ast.Node) bool {
		if _, ok := n.(ast.Variable); ok {
			free = false
		}
		return free
	})
	return free
}
