package explain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A form is a condition that is always either true or false: what of it might fail in
// Cedar is false where it does. So parts of it may be moved and dropped by the rules
// of logic alone; what has to be asked first is added again when it is written.
// Only atoms are negated, and a form never changes.
type form struct {
	sort formSort
	yes  bool    // of a constant; of a literal, that its atom is not negated
	atom *atom   // of a literal
	args []*form // of all and some
	key  string  // the same for the same form
	size int     // in literals
}

// A formSort is what a form is.
type formSort uint8

const (
	constant formSort = iota
	literal
	every // true if all args are
	some  // true if one is
)

// An atom is a condition that is not divided.
type atom struct {
	key  string
	node ast.Node // as Cedar has it, for where needs hold
	// needs are what must be there so that node can be evaluated. Without one, the
	// atom is false.
	needs []*atom
	has   bool // it asks whether something is there
	// fallible says that node may fail in a way that needs do not say; onFail is
	// what it is then.
	fallible, onFail bool

	// Where it is about one unknown value and otherwise constant:
	path *path
	with func(ast.Node) ast.Node // the node with something else in place of the value
	// members are the values one of which path has to be, where it says that.
	members []types.Value
}

// A path leads to a value that is not known yet, such as context.input.repo.
type path struct {
	key   string
	node  ast.Node
	typ   *typed.Type // nil if it is not known
	needs []*atom
}

var (
	truth   = &form{sort: constant, yes: true, key: "T"}
	falsity = &form{sort: constant, key: "F"}
)

func decided(b bool) *form {
	if b {
		return truth
	}
	return falsity
}

// is is an atom as a form.
func is(a *atom) *form { return &form{sort: literal, yes: true, atom: a, key: "+" + a.key, size: 1} }

// not is the opposite of a form.
func not(f *form) *form {
	switch f.sort {
	case constant:
		return decided(!f.yes)
	case literal:
		if f.yes {
			return &form{sort: literal, atom: f.atom, key: "-" + f.atom.key, size: 1}
		}
		return is(f.atom)
	}
	args := make([]*form, len(f.args))
	for i, a := range f.args {
		args[i] = not(a)
	}
	return junction(f.sort.dual(), args)
}

func (s formSort) dual() formSort {
	if s == every {
		return some
	}
	return every
}

// both and either join forms.
func both(args ...*form) *form   { return junction(every, args) }
func either(args ...*form) *form { return junction(some, args) }

// junction joins forms, without those that say nothing or say the same.
func junction(s formSort, args []*form) *form {
	neutral := s == every
	var kept []*form
	seen := map[string]bool{}
	var add func([]*form) bool
	add = func(args []*form) bool {
		for _, a := range args {
			switch {
			case a.sort == constant && a.yes == neutral:
			case a.sort == constant:
				return false
			case a.sort == s:
				if !add(a.args) {
					return false
				}
			case !seen[a.key]:
				seen[a.key] = true
				kept = append(kept, a)
			}
		}
		return true
	}
	switch {
	case !add(args):
		return decided(!neutral)
	case len(kept) == 0:
		return decided(neutral)
	case len(kept) == 1:
		return kept[0]
	}
	return joined(s, kept)
}

func joined(s formSort, args []*form) *form {
	f := &form{sort: s, args: args}
	var key strings.Builder
	key.WriteString("(" + strconv.Itoa(int(s)))
	for _, a := range args {
		f.size += a.size
		key.WriteString(" " + a.key)
	}
	key.WriteByte(')')
	f.key = key.String()
	return f
}

// needed is the form that all needs hold.
func needed(needs []*atom) *form {
	args := make([]*form, len(needs))
	for i, a := range needs {
		args[i] = is(a)
	}
	return both(args...)
}

// fallible reports whether some atom of the form may fail.
func (f *form) fallible() bool {
	if f.sort == literal {
		return f.atom.fallible
	}
	return slices.ContainsFunc(f.args, (*form).fallible)
}

// membership is the atom that the value at p is one of some.
func membership(p *path, values []types.Value) *atom {
	if len(values) == 1 {
		with := func(n ast.Node) ast.Node {
			return ast.Equals{BinaryNode: ast.BinaryNode{Left: n, Right: ast.Value{Value: values[0]}}}
		}
		return &atom{key: ast.Text(with(p.node)), node: with(p.node), needs: p.needs, path: p, with: with, members: values}
	}
	elements := make([]ast.Node, len(values))
	for i, v := range values {
		elements[i] = ast.Value{Value: v}
	}
	with := func(n ast.Node) ast.Node {
		return ast.Contains{BinaryNode: ast.BinaryNode{Left: ast.Set{Elements: elements}, Right: n}}
	}
	return &atom{key: ast.Text(with(p.node)), node: with(p.node), needs: p.needs, path: p, with: with, members: values}
}

// of is what the atom says of one value of its path.
func (a *atom) of(v types.Value) bool {
	if a.members != nil {
		return slices.ContainsFunc(a.members, v.Equal)
	}
	got, err := ast.Eval(a.with(ast.Value{Value: v}), ast.Env{Entities: types.EntityMap{}, Context: types.NewRecord(nil)})
	return err == nil && got == types.True
}
