package may_test

import (
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A generator makes random expressions, mostly of kinds that fit.
type generator struct {
	*choices
	env *may.Env
}

// policy is a random policy about env.
func (c *choices) policy(env *may.Env) *ast.Policy {
	g := &generator{choices: c, env: env}
	p := &ast.Policy{Effect: true, Principal: ast.ScopeAll{}, Action: ast.ScopeAll{}, Resource: ast.ScopeAll{}}
	switch c.n(16) {
	case 1:
		p.PrincipalIn(pick(c, uids))
	case 2:
		p.PrincipalEq(pick(c, uids)).ResourceIs("Tool")
	case 3:
		p.ResourceIn(pick(c, uids)).ActionEq(call)
	case 4:
		p.ResourceIsIn("Tool", pick(c, uids)).ActionInSet(call, alice)
	}
	for range 1 + c.n(4)/3 {
		one := ast.Condition{Condition: true, Body: g.expr(typed.Bool, 1+c.n(4))}
		if c.oneIn(4) {
			one.Condition = false
		}
		p.Conditions = append(p.Conditions, one)
	}
	return p
}

// expr is a random expression of a kind, now and then of another.
func (g *generator) expr(k typed.Kind, depth int) ast.Node {
	if g.oneIn(48) || k == typed.Unknown {
		k = typed.Kind(1 + g.n(10))
	}
	if depth <= 0 {
		return g.leaf(k)
	}
	if g.oneIn(8) {
		return ast.IfThenElse{If: g.expr(typed.Bool, depth-1), Then: g.expr(k, depth-1), Else: g.expr(k, depth-1)}
	}
	switch k {
	case typed.Bool:
		return g.condition(depth - 1)
	case typed.Long:
		return g.long(depth - 1)
	case typed.Set:
		if g.oneIn(2) {
			return g.set(depth - 1)
		}
	case typed.Record:
		if g.oneIn(2) {
			return g.recordNode(depth - 1)
		}
	case typed.String, typed.Entity:
	default:
		if g.oneIn(2) {
			return g.extension(k, depth-1)
		}
	}
	return g.leaf(k)
}

// leaf is a literal, or something that is asked of a variable.
func (g *generator) leaf(k typed.Kind) ast.Node {
	if g.oneIn(5) {
		return g.literal(k)
	}
	switch {
	case k == typed.Entity && g.oneIn(2):
		return ast.Value{Value: pick(g.choices, uids)}
	case k == typed.Entity && g.oneIn(2):
		return variable(pick(g.choices, []string{"principal", "resource", "action"}))
	case k == typed.Record && g.oneIn(3):
		return variable("context")
	}
	return g.path(k)
}

func (g *generator) literal(k typed.Kind) ast.Node {
	t := &typed.Type{Kind: k, Elem: &typed.Type{Kind: typed.String}, Entity: "User"}
	return ast.Value{Value: g.value(t, 2)}
}

func variable(name string) ast.Node { return ast.Variable{Name: types.String(name)} }

// path asks for attributes, if possible one of the kind.
func (g *generator) path(k typed.Kind) ast.Node {
	if g.oneIn(20) {
		of := variable(pick(g.choices, []string{"principal", "resource", "context"}))
		return g.ask(g.ask(of))
	}
	var fit []ast.Node
	context := variable("context")
	for name, v := range sorted(g.env.Known) {
		if kindOf(v) == k {
			fit = append(fit, access(context, name))
		}
	}
	fit = append(fit, fitting(context, g.env.Unknown, k)...)
	for name, v := range sorted(g.env.Entities.(types.EntityMap)[alice].Attributes) {
		if kindOf(v) == k {
			fit = append(fit, access(variable("principal"), name))
		}
	}
	if len(fit) == 0 && !g.oneIn(8) {
		return g.literal(k)
	}
	if len(fit) == 0 {
		return g.ask(context)
	}
	return pick(g.choices, fit)
}

// fitting are the paths below of to members of a record type of the kind.
func fitting(of ast.Node, t *typed.Type, k typed.Kind) []ast.Node {
	var fit []ast.Node
	for _, f := range t.Fields {
		n := access(of, types.String(f.Name))
		if f.Type.Kind == k || f.Type.Kind == typed.Unknown {
			fit = append(fit, n)
		}
		if f.Type.Kind == typed.Record {
			fit = append(fit, fitting(n, f.Type, k)...)
		}
	}
	return fit
}

func access(of ast.Node, name types.String) ast.Node {
	return ast.Access{StrOpNode: ast.StrOpNode{Arg: of, Value: name}}
}

func has(of ast.Node, name types.String) ast.Node {
	return ast.Has{StrOpNode: ast.StrOpNode{Arg: of, Value: name}}
}

func (g *generator) ask(of ast.Node) ast.Node {
	if g.oneIn(4) {
		return of
	}
	return access(of, pick(g.choices, append(names[:len(names):len(names)], "boss", "r", "owner")))
}

func both(l, r ast.Node) ast.BinaryNode { return ast.BinaryNode{Left: l, Right: r} }

// condition is a random Bool.
func (g *generator) condition(depth int) ast.Node {
	b := func(k, l typed.Kind) ast.BinaryNode { return both(g.expr(k, depth), g.expr(l, depth)) }
	if g.oneIn(2) {
		return g.about()
	}
	switch g.n(24) {
	default:
		return ast.And{BinaryNode: b(typed.Bool, typed.Bool)}
	case 1, 2:
		return ast.Or{BinaryNode: b(typed.Bool, typed.Bool)}
	case 3:
		return ast.Not{UnaryNode: ast.UnaryNode{Arg: g.expr(typed.Bool, depth)}}
	case 4, 5, 6:
		k := typed.Kind(1 + g.n(10))
		return ast.Equals{BinaryNode: b(k, k)}
	case 7:
		k := typed.Kind(1 + g.n(10))
		return ast.NotEquals{BinaryNode: b(k, k)}
	case 8:
		return g.comparison(depth)
	case 9, 10:
		right := typed.Entity
		if g.oneIn(3) {
			return ast.In{BinaryNode: both(g.expr(typed.Entity, depth), g.list(typed.Entity, depth))}
		}
		return ast.In{BinaryNode: b(typed.Entity, right)}
	case 11:
		is := ast.Is{Left: g.expr(typed.Entity, depth), EntityType: pick(g.choices, uids).Type}
		if g.oneIn(2) {
			return is
		}
		return ast.IsIn{NodeTypeIs: is, Entity: g.expr(typed.Entity, depth)}
	case 12:
		return has(g.expr(pick(g.choices, []typed.Kind{typed.Record, typed.Entity}), depth), pick(g.choices, names))
	case 13:
		return ast.HasTag{BinaryNode: b(typed.Entity, typed.String)}
	case 14:
		patterns := []types.Pattern{
			types.NewPattern(types.Wildcard{}), types.NewPattern("x", types.Wildcard{}), types.NewPattern("x"), types.NewPattern(types.Wildcard{}, "y"),
		}
		return ast.Like{Arg: g.expr(typed.String, depth), Value: pick(g.choices, patterns)}
	case 15:
		return ast.Contains{BinaryNode: both(g.expr(typed.Set, depth), g.expr(typed.Unknown, depth))}
	case 16:
		return ast.Contains{BinaryNode: both(g.list(typed.String, depth), g.expr(typed.String, depth))}
	case 17:
		return ast.ContainsAll{BinaryNode: b(typed.Set, typed.Set)}
	case 18:
		return ast.ContainsAny{BinaryNode: b(typed.Set, typed.Set)}
	case 19:
		return ast.IsEmpty{UnaryNode: ast.UnaryNode{Arg: g.expr(typed.Set, depth)}}
	case 20, 21:
		return g.guarded()
	case 22:
		return g.extension(typed.Bool, depth)
	case 23:
		return g.leaf(typed.Bool)
	}
}

func (g *generator) comparison(depth int) ast.Node {
	k := pick(g.choices, []typed.Kind{typed.Long, typed.Long, typed.Datetime, typed.Duration})
	b := both(g.expr(k, depth), g.expr(k, depth))
	switch g.n(4) {
	case 0:
		return ast.LessThan{BinaryNode: b}
	case 1:
		return ast.LessOrEqual{BinaryNode: b}
	case 2:
		return ast.GreaterThan{BinaryNode: b}
	}
	return ast.GreaterOrEqual{BinaryNode: b}
}

// guarded asks for an attribute or tag only where it is there.
func (g *generator) guarded() ast.Node {
	k := typed.Kind(1 + g.n(10))
	path := g.path(k)
	if g.oneIn(2) {
		path = pick(g.choices, g.places()).node
	}
	if g.oneIn(4) {
		b := both(variable("resource"), ast.Value{Value: types.String("a")})
		eq := ast.Equals{BinaryNode: both(ast.GetTag{BinaryNode: b}, g.leaf(k))}
		return ast.And{BinaryNode: both(ast.HasTag{BinaryNode: b}, eq)}
	}
	a, ok := path.(ast.Access)
	if !ok {
		return path
	}
	h := has(a.Arg, a.Value)
	if g.oneIn(4) {
		h = not(h) // which guards nothing, or the wrong side
	}
	eq := ast.Equals{BinaryNode: both(path, g.leaf(k))}
	switch g.n(6) {
	case 0:
		return ast.And{BinaryNode: both(h, eq)}
	case 1:
		return ast.Or{BinaryNode: both(not(h), eq)}
	case 2:
		return ast.IfThenElse{If: h, Then: eq, Else: g.leaf(typed.Bool)}
	case 3:
		return ast.IfThenElse{If: h, Then: g.leaf(typed.Bool), Else: eq}
	case 4:
		return ast.And{BinaryNode: both(not(ast.Or{BinaryNode: both(not(h), g.leaf(typed.Bool))}), eq)}
	}
	return ast.Or{BinaryNode: both(ast.And{BinaryNode: both(h, g.leaf(typed.Bool))}, eq)}
}

func not(n ast.Node) ast.Node { return ast.Not{UnaryNode: ast.UnaryNode{Arg: n}} }

func (g *generator) long(depth int) ast.Node {
	b := func() ast.BinaryNode { return both(g.expr(typed.Long, depth), g.expr(typed.Long, depth)) }
	switch g.n(7) {
	case 0:
		return ast.Add{BinaryNode: b()}
	case 1:
		return ast.Sub{BinaryNode: b()}
	case 2:
		return ast.Mult{BinaryNode: b()}
	case 3:
		return ast.Negate{UnaryNode: ast.UnaryNode{Arg: g.expr(typed.Long, depth)}}
	case 4:
		return g.extension(typed.Long, depth)
	}
	return g.leaf(typed.Long)
}

func (g *generator) set(depth int) ast.Node { return g.list(typed.Kind(1+g.n(10)), depth) }

func (g *generator) list(k typed.Kind, depth int) ast.Node {
	s := ast.Set{}
	for range g.n(4) {
		s.Elements = append(s.Elements, g.expr(k, depth))
	}
	return s
}

func (g *generator) recordNode(depth int) ast.Node {
	r := ast.Record{}
	for range g.n(3) {
		r.Elements = append(r.Elements, ast.RecordElement{Key: pick(g.choices, names), Value: g.expr(typed.Unknown, depth)})
	}
	if g.oneIn(2) {
		return access(r, pick(g.choices, names))
	}
	return r
}

// functions are extension functions by their results, with the kinds of their arguments.
var functions = map[typed.Kind][]struct {
	name types.Path
	args []typed.Kind
}{
	typed.Bool: {
		{"isIpv4", []typed.Kind{typed.Address}},
		{"isInRange", []typed.Kind{typed.Address, typed.Address}},
		{"isLoopback", []typed.Kind{typed.Address}},
		{"lessThan", []typed.Kind{typed.Decimal, typed.Decimal}},
		{"greaterThanOrEqual", []typed.Kind{typed.Decimal, typed.Decimal}},
		{"nothing", []typed.Kind{typed.Decimal}},
		{"isIpv6", []typed.Kind{typed.Decimal, typed.Decimal}},
	},
	typed.Long: {
		{"toMilliseconds", []typed.Kind{typed.Duration}},
		{"toHours", []typed.Kind{typed.Duration}},
	},
	typed.Decimal: {{"decimal", []typed.Kind{typed.String}}},
	typed.Address: {{"ip", []typed.Kind{typed.String}}},
	typed.Datetime: {
		{"datetime", []typed.Kind{typed.String}},
		{"toDate", []typed.Kind{typed.Datetime}},
		{"offset", []typed.Kind{typed.Datetime, typed.Duration}},
	},
	typed.Duration: {
		{"duration", []typed.Kind{typed.String}},
		{"toTime", []typed.Kind{typed.Datetime}},
		{"durationSince", []typed.Kind{typed.Datetime, typed.Datetime}},
	},
}

func (g *generator) extension(k typed.Kind, depth int) ast.Node {
	f := pick(g.choices, functions[k])
	c := ast.Call{Name: f.name}
	for _, a := range f.args {
		c.Args = append(c.Args, g.expr(a, depth))
	}
	return c
}
