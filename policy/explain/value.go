package explain

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A value is what is known of an expression before a request comes.
type value struct {
	node  ast.Node
	known types.Value // nil if it is not known
	typ   *typed.Type // nil if it is not known
	needs []*atom     // what must be there so that it can be evaluated
	path  *path       // if it is nothing but one unknown value
	fails bool        // it certainly cannot be evaluated
	// fallible says that evaluating it may fail otherwise, too.
	fallible bool
}

var failing = value{fails: true}

func exactly(v types.Value) value {
	return value{node: nodeOf(v), known: v, typ: typeOf(v)}
}

// typeOf is the type of a known value, nil for that of an unusual one.
func typeOf(v types.Value) *typed.Type {
	switch v := v.(type) {
	case types.String:
		return &typed.Type{Kind: typed.String}
	case types.Long:
		return &typed.Type{Kind: typed.Long}
	case types.Boolean:
		return &typed.Type{Kind: typed.Bool}
	case types.Decimal:
		return &typed.Type{Kind: typed.Decimal}
	case types.Datetime:
		return &typed.Type{Kind: typed.Datetime}
	case types.Duration:
		return &typed.Type{Kind: typed.Duration}
	case types.IPAddr:
		return &typed.Type{Kind: typed.Address}
	case types.EntityUID:
		return &typed.Type{Kind: typed.Entity, Entity: v.Type}
	case types.Record:
		return &typed.Type{Kind: typed.Record}
	case types.Set:
		t := &typed.Type{Kind: typed.Set}
		for member := range v.All() {
			of := typeOf(member)
			if t.Elem != nil && of != nil && t.Elem.Kind != of.Kind {
				return &typed.Type{Kind: typed.Set}
			}
			t.Elem = of
		}
		return t
	}
	return nil
}

// kind is that of the value's type, Unknown if it is not known.
func (v *value) kind() typed.Kind {
	if v.typ == nil {
		return typed.Unknown
	}
	return v.typ.Kind
}

// may reports whether the value can be of one of the kinds, and must whether it can
// be of no other.
func (v *value) may(all ...typed.Kind) bool {
	return v.kind() == typed.Unknown || slices.Contains(all, v.kind())
}

func (v *value) must(all ...typed.Kind) bool { return slices.Contains(all, v.kind()) }

// value is what is known of n.
func (b *builder) value(n ast.Node) value {
	if b.tired() {
		return value{node: n, fallible: true}
	}
	switch n := n.(type) {
	case ast.Value:
		return exactly(n.Value)
	case ast.Variable:
		return b.variable(n)
	case ast.Access:
		return b.access(n)
	case ast.Set:
		return b.compose(n.Elements, func(args []ast.Node) ast.Node { return ast.Set{Elements: args} }, b.setType)
	case ast.Record:
		return b.recordOf(n)
	case ast.IfThenElse:
		return b.choice(n)
	case ast.Negate:
		return b.arithmetic([]ast.Node{n.Arg}, func(a []ast.Node) ast.Node { return ast.Negate{UnaryNode: ast.UnaryNode{Arg: a[0]}} })
	case ast.Add:
		return b.arithmetic(sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.Add{BinaryNode: pair(a)} })
	case ast.Sub:
		return b.arithmetic(sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.Sub{BinaryNode: pair(a)} })
	case ast.Mult:
		return b.arithmetic(sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.Mult{BinaryNode: pair(a)} })
	case ast.GetTag:
		v := b.compose(sides(n.BinaryNode), func(a []ast.Node) ast.Node { return ast.GetTag{BinaryNode: pair(a)} }, nil)
		v.fallible = v.known == nil
		return v
	case ast.Call:
		return b.call(n)
	}
	return b.boolean(n)
}

// boolean is the value of an expression that is true or false.
func (b *builder) boolean(n ast.Node) value {
	r := b.result(n)
	switch {
	case r.fallible:
		return value{node: b.fold(n), typ: &typed.Type{Kind: typed.Bool}, fallible: true}
	case r.total && r.yes.sort == constant:
		return exactly(types.Boolean(r.yes.yes))
	case r.yes == falsity && r.no == falsity:
		return failing
	}
	return value{node: b.fold(n), typ: &typed.Type{Kind: typed.Bool}, fallible: !r.total}
}

func sides(n ast.BinaryNode) []ast.Node { return []ast.Node{n.Left, n.Right} }

func pair(a []ast.Node) ast.BinaryNode { return ast.BinaryNode{Left: a[0], Right: a[1]} }

func (b *builder) variable(n ast.Variable) value {
	switch n.Name {
	case "principal":
		return exactly(b.env.Principal.(types.EntityUID))
	case "action":
		return exactly(b.env.Action.(types.EntityUID))
	case "resource":
		return exactly(b.env.Resource.(types.EntityUID))
	}
	return value{node: n, typ: &typed.Type{Kind: typed.Record}, fallible: false}
}

// isContext reports whether n is the whole context.
func isContext(n ast.Node) bool {
	v, ok := n.(ast.Variable)
	return ok && v.Name == "context"
}

// access is the value of an attribute.
func (b *builder) access(n ast.Access) value {
	if isContext(n.Arg) {
		if v, ok := b.known.Get(n.Value); ok {
			return exactly(v)
		}
		return b.member(value{node: n.Arg, typ: b.context}, n.Value)
	}
	arg := b.value(n.Arg)
	switch {
	case arg.fails:
		return failing
	case arg.known != nil:
		return b.eval(ast.Access{StrOpNode: ast.StrOpNode{Arg: arg.node, Value: n.Value}}, arg.needs)
	case arg.path != nil && arg.kind() == typed.Record:
		return b.member(arg, n.Value)
	case !arg.may(typed.Record, typed.Entity):
		return failing
	}
	arg.node = ast.Access{StrOpNode: ast.StrOpNode{Arg: arg.node, Value: n.Value}}
	arg.fallible, arg.typ, arg.path = true, nil, nil
	return arg
}

// member is the value of a field of a record that is not known.
func (b *builder) member(of value, name types.String) value {
	f, ok := of.typ.Field(string(name))
	if !ok {
		return failing
	}
	needs := of.needs
	if !f.Required {
		needs = append(slices.Clip(needs), b.presence(of, name))
	}
	node := ast.Access{StrOpNode: ast.StrOpNode{Arg: of.node, Value: name}}
	p := &path{key: ast.Text(node), node: node, typ: f.Type, needs: needs}
	return value{node: node, typ: f.Type, needs: needs, path: p, fallible: of.fallible}
}

// presence is the atom that a record has a field.
func (b *builder) presence(of value, name types.String) *atom {
	node := ast.Has{StrOpNode: ast.StrOpNode{Arg: of.node, Value: name}}
	return &atom{key: ast.Text(node), node: node, needs: of.needs, has: true}
}

// eval is the value of a node all of whose parts are known.
func (b *builder) eval(n ast.Node, needs []*atom) value {
	v, err := ast.Eval(n, b.env)
	if err != nil {
		return failing
	}
	made := exactly(v)
	made.needs = needs
	return made
}

// compose is the value of something made of others. typ tells its type; nil for one
// that is not known.
func (b *builder) compose(nodes []ast.Node, with func([]ast.Node) ast.Node, typ func([]value) *typed.Type) value {
	args := b.values(nodes)
	made, known := join(args)
	if made.fails {
		return failing
	}
	made.node = with(nodesOf(args))
	if known {
		return b.eval(made.node, made.needs)
	}
	if typ != nil {
		made.typ = typ(args)
	}
	return made
}

func (b *builder) values(nodes []ast.Node) []value {
	args := make([]value, len(nodes))
	for i, n := range nodes {
		args[i] = b.value(n)
	}
	return args
}

func nodesOf(args []value) []ast.Node {
	nodes := make([]ast.Node, len(args))
	for i := range args {
		nodes[i] = args[i].node
	}
	return nodes
}

// join is what several values need together, and whether all are known.
func join(args []value) (all value, known bool) {
	known = true
	for i := range args {
		a := &args[i]
		all.fails = all.fails || a.fails
		all.fallible = all.fallible || a.fallible
		known = known && a.known != nil
		for _, need := range a.needs {
			if !slices.ContainsFunc(all.needs, func(n *atom) bool { return n.key == need.key }) {
				all.needs = append(all.needs, need)
			}
		}
	}
	return all, known
}

func (b *builder) setType(args []value) *typed.Type {
	t := &typed.Type{Kind: typed.Set}
	for i := range args {
		if i > 0 && (t.Elem == nil || args[i].kind() != t.Elem.Kind) {
			return &typed.Type{Kind: typed.Set}
		}
		t.Elem = args[i].typ
	}
	return t
}

func (b *builder) recordOf(n ast.Record) value {
	nodes := make([]ast.Node, len(n.Elements))
	for i, e := range n.Elements {
		nodes[i] = e.Value
	}
	return b.compose(nodes, func(args []ast.Node) ast.Node {
		r := ast.Record{Elements: slices.Clone(n.Elements)}
		for i := range args {
			r.Elements[i].Value = args[i]
		}
		return r
	}, func([]value) *typed.Type { return &typed.Type{Kind: typed.Record} })
}

// choice is the value of if, then and else.
func (b *builder) choice(n ast.IfThenElse) value {
	cond := b.result(n.If)
	switch {
	case cond.fallible || !cond.total:
		return value{node: b.fold(n), fallible: true}
	case cond.yes == truth:
		return b.value(n.Then)
	case cond.no == truth:
		return b.value(n.Else)
	}
	args := b.values([]ast.Node{n.Then, n.Else})
	made := value{node: b.fold(n)}
	if args[0].kind() == args[1].kind() {
		made.typ = args[0].typ
	}
	made.fallible = slices.ContainsFunc(args, func(v value) bool { return v.fails || v.fallible || len(v.needs) > 0 })
	return made
}

// arithmetic may always overflow.
func (b *builder) arithmetic(nodes []ast.Node, with func([]ast.Node) ast.Node) value {
	v := b.compose(nodes, with, func([]value) *typed.Type { return &typed.Type{Kind: typed.Long} })
	v.fallible = v.fallible || v.known == nil && !v.fails
	return v
}

// A signature is what a function of Cedar takes and makes.
type signature struct {
	takes []typed.Kind
	makes typed.Kind
	safe  bool // it does not fail where the kinds are right
}

var signatures = map[types.Path]signature{
	"ip": {[]typed.Kind{typed.String}, typed.Address, false}, "decimal": {[]typed.Kind{typed.String}, typed.Decimal, false},
	"datetime": {[]typed.Kind{typed.String}, typed.Datetime, false}, "duration": {[]typed.Kind{typed.String}, typed.Duration, false},
	"lessThan":           {[]typed.Kind{typed.Decimal, typed.Decimal}, typed.Bool, true},
	"lessThanOrEqual":    {[]typed.Kind{typed.Decimal, typed.Decimal}, typed.Bool, true},
	"greaterThan":        {[]typed.Kind{typed.Decimal, typed.Decimal}, typed.Bool, true},
	"greaterThanOrEqual": {[]typed.Kind{typed.Decimal, typed.Decimal}, typed.Bool, true},
	"isIpv4":             {[]typed.Kind{typed.Address}, typed.Bool, true}, "isIpv6": {[]typed.Kind{typed.Address}, typed.Bool, true},
	"isLoopback": {[]typed.Kind{typed.Address}, typed.Bool, true}, "isMulticast": {[]typed.Kind{typed.Address}, typed.Bool, true},
	"isInRange": {[]typed.Kind{typed.Address, typed.Address}, typed.Bool, true},
	"toDate":    {[]typed.Kind{typed.Datetime}, typed.Datetime, false}, "toTime": {[]typed.Kind{typed.Datetime}, typed.Duration, true},
	"offset":        {[]typed.Kind{typed.Datetime, typed.Duration}, typed.Datetime, false},
	"durationSince": {[]typed.Kind{typed.Datetime, typed.Datetime}, typed.Duration, false},
	"toDays":        {[]typed.Kind{typed.Duration}, typed.Long, true}, "toHours": {[]typed.Kind{typed.Duration}, typed.Long, true},
	"toMinutes": {[]typed.Kind{typed.Duration}, typed.Long, true}, "toSeconds": {[]typed.Kind{typed.Duration}, typed.Long, true},
	"toMilliseconds": {[]typed.Kind{typed.Duration}, typed.Long, true},
}

func (b *builder) call(n ast.Call) value {
	s, ok := signatures[n.Name]
	v := b.compose(n.Args, func(args []ast.Node) ast.Node { return ast.Call{Name: n.Name, Args: args} },
		func([]value) *typed.Type { return &typed.Type{Kind: s.makes} })
	if v.fails || v.known != nil {
		return v
	}
	v.fallible = v.fallible || !ok || !s.safe || !b.fit(n.Args, s.takes)
	return v
}

// fit reports whether expressions are surely of the kinds.
func (b *builder) fit(nodes []ast.Node, takes []typed.Kind) bool {
	for i, n := range nodes {
		if v := b.value(n); i >= len(takes) || !v.must(takes[i]) {
			return false
		}
	}
	return len(nodes) == len(takes)
}

// sorted are the members of a set in a steady order.
func sorted(s types.Set) []types.Value {
	values := s.Slice()
	slices.SortFunc(values, func(a, b types.Value) int { return strings.Compare(string(a.MarshalCedar()), string(b.MarshalCedar())) })
	return values
}
