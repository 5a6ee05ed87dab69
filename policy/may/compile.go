package may

import (
	"slices"
	"strconv"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
)

// maxDepth is how deep expressions may be nested. Operands of one && or || are not nested, however many.
const maxDepth = 500

// A builder makes nodes, and decides what can be decided.
type builder struct {
	env    *Env // nil if nothing is known
	depth  int
	deep   bool // something was nested too deep
	guards []string

	principal, action *node // of env; nil until they are needed
}

// policy is the condition of a whole policy, in the order in which cedar-go evaluates it.
func (b *builder) policy(p *ast.Policy) *node {
	n := &node{op: opAnd}
	n.args = b.scope(n.args, opPrincipal, p.Principal)
	n.args = b.scope(n.args, opAction, p.Action)
	n.args = b.scope(n.args, opResource, p.Resource)
	for _, c := range p.Conditions {
		body := c.Body
		if !c.Condition {
			body = ast.Not{UnaryNode: ast.UnaryNode{Arg: body}}
		}
		n.args = b.junction(n.args, body, opAnd)
	}
	return b.finish(n)
}

// scope adds the condition that a scope is.
func (b *builder) scope(args []*node, variable op, scope any) []*node {
	n := &node{op: opIn, args: []*node{{op: variable}}}
	switch s := scope.(type) {
	case ast.ScopeAll:
		return args
	case ast.ScopeEq:
		n.op = opEqual
		n.args = append(n.args, constant(ofEntity(s.Entity)))
	case ast.ScopeIn:
		n.args = append(n.args, constant(ofEntity(s.Entity)))
	case ast.ScopeInSet:
		set := make([]types.Value, len(s.Entities))
		for i, e := range s.Entities {
			set[i] = e
		}
		n.args = append(n.args, constant(exactly(types.NewSet(set...))))
	case ast.ScopeIs:
		n.op, n.typ = opIs, s.Type
	case ast.ScopeIsIn:
		n.op, n.typ = opIsIn, s.Type
		n.args = append(n.args, constant(ofEntity(s.Entity)))
	}
	return append(args, b.finish(n))
}

func ofEntity(uid types.EntityUID) value { return value{form: exact, uid: &uid} }

// node makes one of an expression.
func (b *builder) node(n ast.Node) *node {
	b.depth++
	defer func() { b.depth-- }()
	if b.deep || b.depth > maxDepth {
		b.deep = true
		return constant(some(nil))
	}
	switch n := n.(type) {
	case ast.And, ast.Or:
		return b.junctions(n)
	case ast.IfThenElse:
		return b.choice(n)
	case ast.Value:
		return constant(exactly(n.Value))
	case ast.Variable:
		return variable(n)
	case ast.Record:
		return b.record(n)
	case ast.Set:
		return b.make(&node{op: opSet}, n.Elements...)
	case ast.Call:
		return b.call(n)
	case ast.Access:
		return b.make(&node{op: opAccess, name: n.Value, guarded: b.guarded(n.Arg, '.', n.Value)}, n.Arg)
	case ast.Has:
		return b.make(&node{op: opHas, name: n.Value}, n.Arg)
	case ast.Like:
		return b.make(&node{op: opLike, pattern: n.Value, any: string(n.Value.MarshalCedar()) == `"*"`}, n.Arg)
	case ast.Is:
		return b.make(&node{op: opIs, typ: n.EntityType}, n.Left)
	case ast.IsIn:
		return b.make(&node{op: opIsIn, typ: n.EntityType}, n.Left, n.Entity)
	case ast.Not:
		return b.make(&node{op: opNot}, n.Arg)
	case ast.Negate:
		return b.make(&node{op: opCall, fn: negate}, n.Arg)
	case ast.IsEmpty:
		return b.make(&node{op: opIsEmpty}, n.Arg)
	}
	return b.binary(n)
}

// binary makes one of an operator with two sides.
func (b *builder) binary(n ast.Node) *node {
	var made node
	var sides ast.BinaryNode
	switch n := n.(type) {
	case ast.Equals:
		made.op, sides = opEqual, n.BinaryNode
	case ast.NotEquals:
		made.op, sides = opNotEqual, n.BinaryNode
	case ast.LessThan:
		made.op, sides = opLess, n.BinaryNode
	case ast.LessOrEqual:
		made.op, sides = opLessOrEqual, n.BinaryNode
	case ast.GreaterThan:
		made.op, sides = opGreater, n.BinaryNode
	case ast.GreaterOrEqual:
		made.op, sides = opGreaterOrEqual, n.BinaryNode
	case ast.In:
		made.op, sides = opIn, n.BinaryNode
	case ast.HasTag:
		made.op, sides = opHasTag, n.BinaryNode
	case ast.GetTag:
		made.op, sides = opGetTag, n.BinaryNode
		if tag, ok := literal(n.Right); ok {
			made.guarded = b.guarded(n.Left, '#', tag)
		}
	case ast.Contains:
		made.op, sides = opContains, n.BinaryNode
	case ast.ContainsAll:
		made.op, sides = opContainsAll, n.BinaryNode
	case ast.ContainsAny:
		made.op, sides = opContainsAny, n.BinaryNode
	case ast.Add:
		made.op, made.fn, sides = opCall, add, n.BinaryNode
	case ast.Sub:
		made.op, made.fn, sides = opCall, sub, n.BinaryNode
	case ast.Mult:
		made.op, made.fn, sides = opCall, mult, n.BinaryNode
	default:
		return constant(value{form: ofType, typ: anything, fails: true}) // of a later Cedar
	}
	return b.make(&made, sides.Left, sides.Right)
}

// make completes a node with its arguments.
func (b *builder) make(n *node, args ...ast.Node) *node {
	n.args = make([]*node, len(args))
	for i, a := range args {
		n.args[i] = b.node(a)
	}
	return b.finish(n)
}

func variable(v ast.Variable) *node {
	switch v.Name {
	case "principal":
		return &node{op: opPrincipal}
	case "action":
		return &node{op: opAction}
	case "resource":
		return &node{op: opResource}
	}
	return &node{op: opContext}
}

func (b *builder) call(c ast.Call) *node {
	fn, ok := extensions[c.Name]
	if !ok || len(fn.params) != len(c.Args) {
		return constant(value{})
	}
	return b.make(&node{op: opCall, fn: fn}, c.Args...)
}

// record makes one of a record, of whose members of one name cedar-go takes the last.
func (b *builder) record(r ast.Record) *node {
	n := &node{op: opRecord}
	for _, e := range r.Elements {
		v := b.node(e.Value)
		if i := slices.Index(n.keys, e.Key); i >= 0 {
			n.args[i] = v
			continue
		}
		n.keys, n.args = append(n.keys, e.Key), append(n.args, v)
	}
	return b.finish(n)
}

// choice makes one of if, then and else. What the condition asks for is there
// in the branches.
func (b *builder) choice(c ast.IfThenElse) *node {
	cond := b.node(c.If)
	kept := len(b.guards)
	b.assume(c.If, true, 0)
	then := b.node(c.Then)
	b.guards = b.guards[:kept]
	b.assume(c.If, false, 0)
	otherwise := b.node(c.Else)
	b.guards = b.guards[:kept]
	return b.finish(&node{op: opIf, args: []*node{cond, then, otherwise}})
}

// junctions makes one of && or ||, which what they ask for on the left guard on the right.
func (b *builder) junctions(n ast.Node) *node {
	kept := len(b.guards)
	made := &node{op: opOr}
	if _, ok := n.(ast.And); ok {
		made.op = opAnd
	}
	made.args = b.junction(nil, n, made.op)
	b.guards = b.guards[:kept]
	return b.finish(made)
}

// junction adds the operands of n, without recursion however many there are.
func (b *builder) junction(args []*node, n ast.Node, o op) []*node {
	todo := []ast.Node{n}
	for len(todo) > 0 {
		n, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if sides, ok := operands(n, o); ok {
			todo = append(todo, sides.Right, sides.Left)
			continue
		}
		args = append(args, b.node(n))
		b.assume(n, o == opAnd, 0)
	}
	return args
}

// operands are those of a && or ||.
func operands(n ast.Node, o op) (ast.BinaryNode, bool) {
	switch n := n.(type) {
	case ast.And:
		return n.BinaryNode, o == opAnd
	case ast.Or:
		return n.BinaryNode, o == opOr
	}
	return ast.BinaryNode{}, false
}

// maxGuards is how many guards are looked at.
const maxGuards = 64

// assume adds to the guards what must be there if n has come to is.
func (b *builder) assume(n ast.Node, is bool, depth int) {
	if depth > 32 || len(b.guards) > maxGuards {
		return
	}
	switch n := n.(type) {
	case ast.Not:
		b.assume(n.Arg, !is, depth+1)
	case ast.And:
		if is {
			b.assume(n.Left, is, depth+1)
			b.assume(n.Right, is, depth+1)
		}
	case ast.Or:
		if !is {
			b.assume(n.Left, is, depth+1)
			b.assume(n.Right, is, depth+1)
		}
	case ast.Has:
		if is {
			b.guard(n.Arg, '.', n.Value)
		}
	case ast.HasTag:
		if tag, ok := literal(n.Right); ok && is {
			b.guard(n.Left, '#', tag)
		}
	}
}

// guard notes that arg has an attribute or tag, and all that leads to arg, too.
func (b *builder) guard(arg ast.Node, sort byte, name types.String) {
	for range maxGuards {
		path, ok := pathOf(arg)
		if !ok {
			return
		}
		b.guards = append(b.guards, key(path, sort, name))
		access, ok := arg.(ast.Access)
		if !ok {
			return
		}
		arg, sort, name = access.Arg, '.', access.Value
	}
}

// guarded reports whether arg is known to have an attribute or tag.
func (b *builder) guarded(arg ast.Node, sort byte, name types.String) bool {
	if len(b.guards) == 0 {
		return false
	}
	path, ok := pathOf(arg)
	return ok && slices.Contains(b.guards, key(path, sort, name))
}

func key(path string, sort byte, name types.String) string {
	return string(sort) + strconv.Quote(string(name)) + path
}

// pathOf is a variable with the attributes that are asked of it, as text. They are
// quoted, since a name may be any text.
func pathOf(n ast.Node) (string, bool) {
	path := ""
	for range maxGuards {
		switch of := n.(type) {
		case ast.Variable:
			return path + string(of.Name), true
		case ast.Access:
			path += strconv.Quote(string(of.Value))
			n = of.Arg
		default:
			return "", false
		}
	}
	return "", false
}

// literal is a text in a policy.
func literal(n ast.Node) (types.String, bool) {
	v, ok := n.(ast.Value)
	if !ok {
		return "", false
	}
	s, ok := v.Value.(types.String)
	return s, ok
}
