package explain

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A builder makes forms of conditions, with all decided that is known.
type builder struct {
	env     ast.Env
	known   types.Record // of the context
	context *typed.Type  // of the rest
	depth   int
	steps   int // that the policy at hand has taken
}

func newBuilder(l *policy.Outlook) *builder {
	return &builder{env: l.Env, known: l.Env.Context.(types.Record), context: l.Context}
}

// A result is what a condition may come to: the forms that it is true, and that it
// is false. Where neither holds it cannot be evaluated.
type result struct {
	yes, no  *form
	total    bool // it can always be evaluated
	fallible bool // it may fail in a way that forms cannot say, and yes and no mean nothing
}

var (
	isTrue   = result{yes: truth, no: falsity, total: true}
	isError  = result{yes: falsity, no: falsity}
	isUnsure = result{fallible: true}
)

// Bounds of what is simplified: beyond them, a condition is left as it stands.
const (
	maxDepth = 100
	maxSize  = 400 // literals
	maxSteps = 5_000
)

// tired reports whether too much was looked at for one policy: the same parts may be
// looked at several times.
func (b *builder) tired() bool {
	b.steps++
	return b.depth > maxDepth || b.steps > maxSteps
}

// result is what n may come to.
func (b *builder) result(n ast.Node) result {
	b.depth++
	defer func() { b.depth-- }()
	if b.tired() {
		return isUnsure
	}
	r := b.connective(n)
	if !r.fallible && r.yes.size+r.no.size > maxSize {
		return isUnsure
	}
	return r
}

func (b *builder) connective(n ast.Node) result {
	switch n := n.(type) {
	case ast.And:
		left := b.result(n.Left)
		if !left.fallible && left.yes == falsity { // so that the right one is not looked at
			return left
		}
		return left.and(b.result(n.Right))
	case ast.Or:
		left := b.result(n.Left)
		if !left.fallible && left.no == falsity {
			return left
		}
		return left.opposite().and(b.result(n.Right).opposite()).opposite()
	case ast.Not:
		return b.result(n.Arg).opposite()
	case ast.IfThenElse:
		return b.ifThenElse(n)
	case ast.Equals:
		if r, ok := b.compared(n); ok {
			return r
		}
	case ast.NotEquals:
		return b.result(ast.Equals(n)).opposite()
	case ast.GreaterThan:
		return b.result(ast.LessOrEqual(n)).opposite()
	case ast.GreaterOrEqual:
		return b.result(ast.LessThan(n)).opposite()
	}
	return b.relation(n)
}

func (r result) opposite() result {
	r.yes, r.no = r.no, r.yes
	return r
}

// and is what both come to, the left one first.
func (r result) and(right result) result {
	if r.fallible || right.fallible {
		return isUnsure
	}
	made := result{yes: both(r.yes, right.yes), total: r.total && right.total}
	if r.total {
		made.no = either(r.no, right.no)
	} else {
		made.no = either(r.no, both(r.yes, right.no))
	}
	return made
}

// compared is the result of a condition that is compared with true or false.
func (b *builder) compared(n ast.Equals) (r result, ok bool) {
	left, right := b.value(n.Left), b.value(n.Right)
	other, truth := n.Left, right.known
	if _, ok := truth.(types.Boolean); !ok {
		other, truth = n.Right, left.known
	}
	want, ok := truth.(types.Boolean)
	switch {
	case !ok || left.known != nil && right.known != nil || len(left.needs)+len(right.needs) > 0 && left.path == nil && right.path == nil:
		return result{}, false
	case !left.must(typed.Bool) || !right.must(typed.Bool):
		return result{}, false
	}
	r = b.result(other)
	if !want {
		r = r.opposite()
	}
	return r, true
}

func (b *builder) ifThenElse(n ast.IfThenElse) result {
	cond := b.result(n.If)
	switch {
	case cond.fallible:
		return isUnsure
	case cond == isError:
		return isError
	case cond.yes == truth:
		return b.result(n.Then)
	case cond.no == truth:
		return b.result(n.Else)
	}
	then, otherwise := b.result(n.Then), b.result(n.Else)
	if then.fallible || otherwise.fallible {
		return isUnsure
	}
	return result{
		yes:   either(both(cond.yes, then.yes), both(cond.no, otherwise.yes)),
		no:    either(both(cond.yes, then.no), both(cond.no, otherwise.no)),
		total: cond.total && then.total && otherwise.total,
	}
}

// relation is the result of what is no connective.
func (b *builder) relation(n ast.Node) result {
	if has, ok := n.(ast.Has); ok {
		return b.has(has)
	}
	operands, with, ok := operandsOf(n)
	if !ok { // a value that has to be true or false
		v := b.value(n)
		if v.fails || !v.may(typed.Bool) {
			return isError
		}
		if v.fallible || !v.must(typed.Bool) {
			return isUnsure
		}
		return b.literal([]value{v}, func(a []ast.Node) ast.Node { return a[0] })
	}
	for i, o := range operands { // whether a choice is compared is one of comparisons
		if choice, ok := o.(ast.IfThenElse); ok {
			branch := func(of ast.Node) ast.Node {
				replaced := slices.Clone(operands)
				replaced[i] = of
				return with(replaced)
			}
			return b.result(ast.IfThenElse{If: choice.If, Then: branch(choice.Then), Else: branch(choice.Else)})
		}
	}
	args := b.values(operands)
	switch ok, sure := fits(n, args); {
	case slices.ContainsFunc(args, func(v value) bool { return v.fails }) || !ok:
		return isError
	case !sure:
		return isUnsure
	}
	return b.literal(args, with)
}

// literal is the result of an atom.
func (b *builder) literal(args []value, with func([]ast.Node) ast.Node) result {
	all, known := join(args)
	nodes := nodesOf(args)
	node := with(nodes)
	needs := needed(all.needs)
	if known {
		v, err := ast.Eval(node, b.env)
		is, ok := v.(types.Boolean)
		if err != nil || !ok {
			return isError
		}
		return constantly(bool(is), needs)
	}
	if all.fallible {
		return isUnsure
	}
	if _, ok := node.(ast.Equals); ok && differ(args) {
		return constantly(false, needs)
	}
	a := b.normal(args, node)
	if a == nil {
		a = &atom{key: ast.Text(node), node: node, needs: all.needs}
		b.about(a, args, with)
	}
	return result{yes: is(a), no: both(needs, not(is(a))), total: needs == truth}
}

// constantly is the result that is always the same where it can be evaluated.
func constantly(is bool, needs *form) result {
	if is {
		return result{yes: needs, no: falsity, total: needs == truth}
	}
	return result{yes: falsity, no: needs, total: needs == truth}
}

// differ reports whether two values are surely of two kinds.
func differ(args []value) bool {
	return args[0].kind() != typed.Unknown && args[1].kind() != typed.Unknown && args[0].kind() != args[1].kind()
}

// about notes the one unknown value that an atom is about.
func (b *builder) about(a *atom, args []value, with func([]ast.Node) ast.Node) {
	at := -1
	for i := range args {
		if args[i].known != nil {
			continue
		}
		if at >= 0 || args[i].path == nil {
			return
		}
		at = i
	}
	if at < 0 {
		return
	}
	nodes := nodesOf(args)
	a.path = args[at].path
	a.with = func(n ast.Node) ast.Node {
		replaced := slices.Clone(nodes)
		replaced[at] = n
		return with(replaced)
	}
}

// normal is the atom that a value is one of some, nil if it says something else.
func (b *builder) normal(args []value, node ast.Node) *atom {
	switch node.(type) {
	case ast.Equals:
		for i := range args {
			if args[i].path != nil && args[1-i].known != nil {
				return membership(args[i].path, []types.Value{args[1-i].known})
			}
		}
	case ast.Contains:
		if set, ok := args[0].known.(types.Set); ok && args[1].path != nil && set.Len() > 0 {
			return membership(args[1].path, sorted(set))
		}
	}
	return nil
}

// has is whether something is there.
func (b *builder) has(n ast.Has) result {
	if isContext(n.Arg) {
		if _, ok := b.known.Get(n.Value); ok {
			return isTrue
		}
		return b.hasMember(value{node: n.Arg, typ: b.context}, n.Value)
	}
	arg := b.value(n.Arg)
	node := ast.Has{StrOpNode: ast.StrOpNode{Arg: arg.node, Value: n.Value}}
	switch {
	case arg.fails || !arg.may(typed.Record, typed.Entity):
		return isError
	case arg.known != nil:
		return b.literal([]value{arg}, func(a []ast.Node) ast.Node {
			return ast.Has{StrOpNode: ast.StrOpNode{Arg: a[0], Value: n.Value}}
		})
	case arg.fallible || arg.kind() == typed.Unknown:
		return isUnsure
	case arg.path != nil && arg.kind() == typed.Record:
		return b.hasMember(arg, n.Value)
	}
	needs := needed(arg.needs)
	a := &atom{key: ast.Text(node), node: node, needs: arg.needs, has: true}
	return result{yes: is(a), no: both(needs, not(is(a))), total: needs == truth}
}

func (b *builder) hasMember(of value, name types.String) result {
	needs := needed(of.needs)
	f, ok := of.typ.Field(string(name))
	if !ok || f.Required {
		return constantly(ok, needs)
	}
	a := b.presence(of, name)
	return result{yes: is(a), no: both(needs, not(is(a))), total: needs == truth}
}

// fits reports whether the operands are of kinds that the relation can be asked of,
// and whether that is sure.
func fits(n ast.Node, args []value) (ok, sure bool) {
	check := func(v *value, all ...typed.Kind) {
		ok = ok && v.may(all...)
		sure = sure && v.must(all...)
	}
	ok, sure = true, true
	switch n := n.(type) {
	case ast.LessThan, ast.LessOrEqual:
		check(&args[0], typed.Long, typed.Datetime, typed.Duration)
		check(&args[1], typed.Long, typed.Datetime, typed.Duration)
		ok = ok && (!sure || args[0].kind() == args[1].kind())
	case ast.In, ast.IsIn:
		check(&args[0], typed.Entity)
		check(&args[1], typed.Entity, typed.Set)
		if args[1].kind() == typed.Set {
			sure = sure && args[1].typ.Elem != nil && args[1].typ.Elem.Kind == typed.Entity
		}
	case ast.Is:
		check(&args[0], typed.Entity)
	case ast.Like:
		check(&args[0], typed.String)
	case ast.Contains, ast.IsEmpty:
		check(&args[0], typed.Set)
	case ast.ContainsAll, ast.ContainsAny:
		check(&args[0], typed.Set)
		check(&args[1], typed.Set)
	case ast.HasTag:
		check(&args[0], typed.Entity)
		check(&args[1], typed.String)
	case ast.Call:
		takes := signatures[n.Name].takes
		if len(takes) != len(args) {
			return false, false
		}
		for i := range args {
			check(&args[i], takes[i])
		}
	}
	return ok, sure
}

// operandsOf are the parts of a relation, and how it is made of others.
func operandsOf(n ast.Node) (operands []ast.Node, with func([]ast.Node) ast.Node, ok bool) {
	switch n := n.(type) {
	case ast.Equals:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.Equals{BinaryNode: pair(a)} }, true
	case ast.LessThan:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.LessThan{BinaryNode: pair(a)} }, true
	case ast.LessOrEqual:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.LessOrEqual{BinaryNode: pair(a)} }, true
	case ast.In:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.In{BinaryNode: pair(a)} }, true
	case ast.Contains:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.Contains{BinaryNode: pair(a)} }, true
	case ast.ContainsAll:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.ContainsAll{BinaryNode: pair(a)} }, true
	case ast.ContainsAny:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.ContainsAny{BinaryNode: pair(a)} }, true
	case ast.HasTag:
		return sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.HasTag{BinaryNode: pair(a)} }, true
	case ast.IsEmpty:
		return []ast.Node{n.Arg}, func(a []ast.Node) ast.Node { return ast.IsEmpty{UnaryNode: ast.UnaryNode{Arg: a[0]}} }, true
	case ast.Like:
		return []ast.Node{n.Arg}, func(a []ast.Node) ast.Node { return ast.Like{Arg: a[0], Value: n.Value} }, true
	case ast.Is:
		return []ast.Node{n.Left}, func(a []ast.Node) ast.Node { return ast.Is{Left: a[0], EntityType: n.EntityType} }, true
	case ast.IsIn:
		return []ast.Node{n.Left, n.Entity}, func(a []ast.Node) ast.Node {
			return ast.IsIn{NodeTypeIs: ast.Is{Left: a[0], EntityType: n.EntityType}, Entity: a[1]}
		}, true
	case ast.Call:
		if s := signatures[n.Name]; s.makes == typed.Bool {
			return n.Args, func(a []ast.Node) ast.Node { return ast.Call{Name: n.Name, Args: a} }, true
		}
	}
	return nil, nil, false
}
