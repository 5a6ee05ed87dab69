package explain

import (
	"reflect"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// A bound is a value below which, or above which, an atom holds. Whether it holds for the
// value itself the atom says.
type bound struct {
	value types.Value
	below bool
}

// bound is that of an atom which compares its path with a known value that is ordered.
func (a *atom) bound() (b bound, ok bool) {
	if a.path == nil || a.fallible {
		return bound{}, false
	}
	switch n := a.node.(type) {
	case ast.LessThan:
		return boundOf(n.Left, n.Right, true)
	case ast.LessOrEqual:
		return boundOf(n.Left, n.Right, true)
	case ast.Call:
		if len(n.Args) != 2 {
			return bound{}, false
		}
		switch n.Name {
		case "lessThan", "lessThanOrEqual":
			return boundOf(n.Args[0], n.Args[1], true)
		case "greaterThan", "greaterThanOrEqual":
			return boundOf(n.Args[0], n.Args[1], false)
		}
	}
	return bound{}, false
}

// boundOf is that of a comparison, of which one side is known.
func boundOf(left, right ast.Node, below bool) (bound, bool) {
	v, ok := right.(ast.Value)
	if !ok {
		if v, ok = left.(ast.Value); !ok {
			return bound{}, false
		}
		below = !below
	}
	switch v.Value.(type) {
	case types.Long, types.Decimal, types.Datetime, types.Duration:
		return bound{v.Value, below}, true
	}
	return bound{}, false
}

// impliesBound reports whether g, which is about the same path, holds wherever f does,
// since one value is beyond the other.
func (f *form) impliesBound(g *form) bool {
	if !f.yes && !g.yes { // the other way round
		return is(g.atom).impliesBound(is(f.atom))
	}
	fb, ok := f.atom.bound()
	gb, okG := g.atom.bound()
	switch {
	case !f.yes || !ok || !okG || reflect.TypeOf(fb.value) != reflect.TypeOf(gb.value):
		return false
	case g.yes: // what holds for the last value that f allows holds for those on its side
		return fb.below == gb.below && g.atom.of(fb.value)
	}
	return fb.below != gb.below && !g.atom.of(fb.value)
}
