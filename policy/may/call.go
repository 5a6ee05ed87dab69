package may

import (
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A function is an extension function, or arithmetic.
type function struct {
	params []typed.Kind
	result *typed.Type
	fails  bool // it may fail though the kinds are right
	// node is an application of it.
	node func(args []ast.Node) ast.Node
}

var (
	add = &function{params: longs, result: plainType[of(typed.Long)], fails: true, node: func(a []ast.Node) ast.Node {
		return ast.Add{BinaryNode: ast.BinaryNode{Left: a[0], Right: a[1]}}
	}}
	sub = &function{params: longs, result: plainType[of(typed.Long)], fails: true, node: func(a []ast.Node) ast.Node {
		return ast.Sub{BinaryNode: ast.BinaryNode{Left: a[0], Right: a[1]}}
	}}
	mult = &function{params: longs, result: plainType[of(typed.Long)], fails: true, node: func(a []ast.Node) ast.Node {
		return ast.Mult{BinaryNode: ast.BinaryNode{Left: a[0], Right: a[1]}}
	}}
	negate = &function{params: longs[:1], result: plainType[of(typed.Long)], fails: true, node: func(a []ast.Node) ast.Node {
		return ast.Negate{UnaryNode: ast.UnaryNode{Arg: a[0]}}
	}}

	longs = []typed.Kind{typed.Long, typed.Long}
)

// extensions are Cedar's functions and methods.
var extensions = map[types.Path]*function{
	"ip":       extension("ip", typed.Address, true, typed.String),
	"decimal":  extension("decimal", typed.Decimal, true, typed.String),
	"datetime": extension("datetime", typed.Datetime, true, typed.String),
	"duration": extension("duration", typed.Duration, true, typed.String),

	"lessThan":           extension("lessThan", typed.Bool, false, typed.Decimal, typed.Decimal),
	"lessThanOrEqual":    extension("lessThanOrEqual", typed.Bool, false, typed.Decimal, typed.Decimal),
	"greaterThan":        extension("greaterThan", typed.Bool, false, typed.Decimal, typed.Decimal),
	"greaterThanOrEqual": extension("greaterThanOrEqual", typed.Bool, false, typed.Decimal, typed.Decimal),

	"isIpv4":      extension("isIpv4", typed.Bool, false, typed.Address),
	"isIpv6":      extension("isIpv6", typed.Bool, false, typed.Address),
	"isLoopback":  extension("isLoopback", typed.Bool, false, typed.Address),
	"isMulticast": extension("isMulticast", typed.Bool, false, typed.Address),
	"isInRange":   extension("isInRange", typed.Bool, false, typed.Address, typed.Address),

	"toDate":        extension("toDate", typed.Datetime, true, typed.Datetime),
	"toTime":        extension("toTime", typed.Duration, false, typed.Datetime),
	"offset":        extension("offset", typed.Datetime, true, typed.Datetime, typed.Duration),
	"durationSince": extension("durationSince", typed.Duration, true, typed.Datetime, typed.Datetime),

	"toDays":         extension("toDays", typed.Long, false, typed.Duration),
	"toHours":        extension("toHours", typed.Long, false, typed.Duration),
	"toMinutes":      extension("toMinutes", typed.Long, false, typed.Duration),
	"toSeconds":      extension("toSeconds", typed.Long, false, typed.Duration),
	"toMilliseconds": extension("toMilliseconds", typed.Long, false, typed.Duration),
}

func extension(name types.Path, result typed.Kind, fails bool, params ...typed.Kind) *function {
	return &function{params: params, result: plainType[of(result)], fails: fails, node: func(a []ast.Node) ast.Node {
		return ast.Call{Name: name, Args: a}
	}}
}

// invoke evaluates opCall.
func (n *node) invoke(m *machine) value {
	var room [2]value
	args := room[:len(n.args)]
	fails, all := false, true
	for i, a := range n.args {
		args[i] = a.value(m)
		k, want := args[i].kinds(), of(n.fn.params[i])
		if k&want == 0 {
			return value{}
		}
		fails = fails || k != want
		all = all && args[i].form == exact && args[i].or == nil
	}
	if !all {
		v := some(n.fn.result)
		v.fails = fails || n.fn.fails
		return v
	}
	v := n.fn.of(args)
	v.fails = v.fails || fails
	return v
}

// of is what the function comes to for known values.
func (f *function) of(args []value) value {
	nodes := make([]ast.Node, len(args))
	for i := range args {
		nodes[i] = ast.Value{Value: args[i].box()}
	}
	v, err := ast.Eval(f.node(nodes), ast.Env{})
	if err != nil {
		return value{}
	}
	return exactly(v)
}
