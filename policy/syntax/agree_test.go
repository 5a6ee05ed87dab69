package syntax_test

import (
	"cmp"
	"reflect"
	"slices"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/syntax"
)

// checkAgrees wants of a text what cedar-go says of it, and places that are sound. It
// reports whether both take it.
func checkAgrees(t *testing.T, text []byte) bool {
	t.Helper()
	file, err := syntax.Parse("F", text)
	checkPlaces(t, text)
	if e, ok := err.(*syntax.Error); ok && e.TooMuch { // for which cedar-go has no bound
		return false
	}
	list, other := cedar.NewPolicyListFromBytes("F", text)
	if (err == nil) != (other == nil) {
		t.Fatalf("%q: error %v, cedar-go's is %v", text, err, other)
	}
	if err != nil {
		return false
	}
	if len(file.Policies) != len(list) {
		t.Fatalf("%q: %d policies, cedar-go has %d", text, len(file.Policies), len(list))
	}
	for i, p := range file.Policies {
		want := ast.Of(list[i])
		for s, of := range map[*syntax.Scope]any{p.Principal: want.Principal, p.Action: want.Action, p.Resource: want.Resource} {
			if scope := loweredScope(s); !reflect.DeepEqual(scope, of) {
				t.Fatalf("%q: a scope is %#v, cedar-go's is %#v", text, scope, of)
			}
		}
		got := lowered(p)
		got.Principal, got.Action, got.Resource, got.Position = want.Principal, want.Action, want.Resource, want.Position
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: the tree is\n%#v\ncedar-go's is\n%#v", text, got, want)
		}
		line, column := file.Place(p.Start)
		if at := want.Position; at.Offset != p.Start || at.Line != line || at.Column != column || p.Index != i {
			t.Fatalf("%q: policy %d is at %d (%d:%d), want %+v", text, p.Index, p.Start, line, column, at)
		}
	}
	return true
}

// lowered is the tree that cedar-go makes of a policy, without its scopes.
func lowered(p *syntax.Policy) *ast.Policy {
	made := &ast.Policy{Effect: ast.Forbid}
	if p.Permit {
		made.Effect = !ast.Forbid
	}
	for _, a := range p.Annotations {
		made.Annotations = append(made.Annotations, ast.Annotation{Key: types.AnnotationKey(a.Name), Value: types.String(a.Value)})
	}
	for _, c := range p.Conditions {
		condition := ast.Condition{Condition: true, Body: loweredNode(c.Body)}
		if c.Unless {
			condition.Condition = false
		}
		made.Conditions = append(made.Conditions, condition)
	}
	return made
}

func loweredScope(s *syntax.Scope) any {
	var uids []types.EntityUID
	for _, e := range s.Entities {
		uids = append(uids, e.Value.(types.EntityUID))
	}
	switch {
	case s.List:
		return ast.ScopeInSet{Entities: uids}
	case s.Op == "==":
		return ast.ScopeEq{Entity: uids[0]}
	case s.Op == "in":
		return ast.ScopeIn{Entity: uids[0]}
	case s.Op == "is":
		return ast.ScopeIs{Type: types.EntityType(s.Type)}
	case s.Op == "is in":
		return ast.ScopeIsIn{Type: types.EntityType(s.Type), Entity: uids[0]}
	}
	return ast.ScopeAll{}
}

func loweredNode(n *syntax.Node) ast.Node {
	var args []ast.Node
	for _, a := range n.Args {
		args = append(args, loweredNode(a))
	}
	switch n.Kind {
	case syntax.Literal, syntax.EntityRef:
		return ast.Value{Value: n.Value}
	case syntax.Variable:
		return ast.Variable{Name: types.String(n.Name)}
	case syntax.If:
		return ast.IfThenElse{If: args[0], Then: args[1], Else: args[2]}
	case syntax.Paren:
		return args[0]
	case syntax.Not:
		return ast.Not{UnaryNode: ast.UnaryNode{Arg: args[0]}}
	case syntax.Negate:
		return ast.Negate{UnaryNode: ast.UnaryNode{Arg: args[0]}}
	case syntax.Is:
		is := ast.Is{Left: args[0], EntityType: types.EntityType(n.Name)}
		if len(args) > 1 {
			return ast.IsIn{NodeTypeIs: is, Entity: args[1]}
		}
		return is
	case syntax.Has:
		return loweredHas(args[0], n.Path)
	case syntax.Like:
		return ast.Like{Arg: args[0], Value: n.Pattern}
	case syntax.Attribute, syntax.Index:
		return ast.Access{StrOpNode: ast.StrOpNode{Arg: args[0], Value: types.String(n.Name)}}
	case syntax.Function:
		return ast.Call{Name: types.Path(n.Name), Args: args}
	case syntax.Set:
		return ast.Set{Elements: args}
	case syntax.Record:
		return loweredRecord(n, args)
	}
	return loweredOperator(n, args)
}

func loweredHas(arg ast.Node, path []syntax.Name) ast.Node {
	var all ast.Node
	for _, name := range path {
		named := ast.StrOpNode{Arg: arg, Value: types.String(name.Text)}
		arg = ast.Access{StrOpNode: named}
		if all == nil {
			all = ast.Has{StrOpNode: named}
		} else {
			all = ast.And{BinaryNode: ast.BinaryNode{Left: all, Right: ast.Has{StrOpNode: named}}}
		}
	}
	return all
}

func loweredRecord(n *syntax.Node, args []ast.Node) ast.Node {
	var elements []ast.RecordElement
	for i, a := range args {
		elements = append(elements, ast.RecordElement{Key: types.String(n.Keys[i].Text), Value: a})
	}
	return ast.Record{Elements: elements}
}

func loweredOperator(n *syntax.Node, args []ast.Node) ast.Node {
	if n.Kind == syntax.Method && n.Name == "isEmpty" {
		return ast.IsEmpty{UnaryNode: ast.UnaryNode{Arg: args[0]}}
	}
	var two ast.BinaryNode
	if len(args) == 2 {
		two = ast.BinaryNode{Left: args[0], Right: args[1]}
	}
	switch n.Name {
	case "||":
		return ast.Or{BinaryNode: two}
	case "&&":
		return ast.And{BinaryNode: two}
	case "<":
		return ast.LessThan{BinaryNode: two}
	case "<=":
		return ast.LessOrEqual{BinaryNode: two}
	case ">":
		return ast.GreaterThan{BinaryNode: two}
	case ">=":
		return ast.GreaterOrEqual{BinaryNode: two}
	case "==":
		return ast.Equals{BinaryNode: two}
	case "!=":
		return ast.NotEquals{BinaryNode: two}
	case "in":
		return ast.In{BinaryNode: two}
	case "+":
		return ast.Add{BinaryNode: two}
	case "-":
		return ast.Sub{BinaryNode: two}
	case "*":
		return ast.Mult{BinaryNode: two}
	case "contains":
		return ast.Contains{BinaryNode: two}
	case "containsAll":
		return ast.ContainsAll{BinaryNode: two}
	case "containsAny":
		return ast.ContainsAny{BinaryNode: two}
	case "hasTag":
		return ast.HasTag{BinaryNode: two}
	case "getTag":
		return ast.GetTag{BinaryNode: two}
	}
	return ast.Call{Name: types.Path(n.Name), Args: args}
}

// checkPlaces wants parts of a text to lie within what they are part of, and in order.
func checkPlaces(t *testing.T, text []byte) {
	t.Helper()
	file, mistakes := syntax.ParseAll("F", text)
	whole := syntax.Span{End: len(text)}
	within := func(of, part syntax.Span) {
		t.Helper()
		if part.Start < of.Start || part.End > of.End || part.Start > part.End {
			t.Fatalf("%q: a part is %v, and not within %v", text, part, of)
		}
	}
	for _, m := range mistakes {
		within(whole, m.Span)
		if line, column := file.Place(m.Start); m.Line != line || m.Column != column || m.Text == "" || len(m.Text) > 1000 {
			t.Fatalf("%q: the mistake %+v is not at %d:%d, or says nothing, or too much", text, m, line, column)
		}
	}
	last := 0
	for _, token := range syntax.Tokens(text) {
		within(whole, token.Span)
		if token.Start < last || token.Start == token.End {
			t.Fatalf("%q: a token is %v after %d", text, token.Span, last)
		}
		last = token.End
	}
	for _, c := range file.Comments {
		within(whole, c.Span)
	}
	for _, p := range file.Policies {
		within(whole, p.Span)
		for _, a := range p.Annotations {
			within(p.Span, a.Span)
			within(a.Span, a.NameSpan)
			within(a.Span, cmp.Or(a.ValueSpan, a.NameSpan))
		}
		for _, s := range []*syntax.Scope{p.Principal, p.Action, p.Resource} {
			within(p.Span, s.Span)
			within(s.Span, s.VariableSpan)
			within(s.Span, cmp.Or(s.TypeSpan, s.VariableSpan))
			for _, e := range s.Entities {
				checkNode(t, within, s.Span, e)
			}
		}
		for _, c := range p.Conditions {
			within(p.Span, c.Span)
			checkNode(t, within, c.Span, c.Body)
		}
	}
}

func checkNode(t *testing.T, within func(of, part syntax.Span), of syntax.Span, n *syntax.Node) {
	t.Helper()
	within(of, n.Span)
	within(n.Span, cmp.Or(n.NameSpan, n.Span))
	within(n.Span, cmp.Or(n.IDSpan, n.Span))
	for _, name := range slices.Concat(n.Path, n.Keys) {
		within(n.Span, name.Span)
	}
	after := n.Start
	for _, a := range n.Args {
		checkNode(t, within, syntax.Span{Start: after, End: n.End}, a)
		after = a.End
	}
}
