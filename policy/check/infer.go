package check

import (
	"fmt"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/syntax"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// An inference finds out what the conditions of one policy are in requests about one
// object, and what of them cannot be evaluated.
type inference struct {
	world  *world
	policy *subject
	about  *object
	// found is told of each finding, visited of each expression that is evaluated; visited
	// may be nil.
	found   func(finding)
	visited func(*syntax.Node)
}

// conditions evaluates all conditions as far as they are reached, and returns what they
// come to together.
func (i *inference) conditions() value {
	all, here := decided(true), there(nil)
	for _, c := range i.policy.syntax.Conditions {
		v := i.bool(c.Body, here)
		if c.Unless {
			v = not(v)
		}
		if v.is(false) {
			return v
		}
		if v.known == nil {
			all = some(boolean)
		}
		here = here.and(v.yes)
	}
	return all
}

// expr is the value of an expression where some attributes are surely there.
func (i *inference) expr(n *syntax.Node, here there) value {
	if i.visited != nil {
		i.visited(n)
	}
	switch n.Kind {
	case syntax.Paren:
		return i.expr(n.Args[0], here)
	case syntax.Literal:
		return exactly(n.Value)
	case syntax.EntityRef:
		return exactly(i.world.ref(n))
	case syntax.Variable:
		return i.variable(n)
	case syntax.And:
		return i.and(n, here)
	case syntax.Or:
		return i.or(n, here)
	case syntax.Not:
		return not(i.bool(n.Args[0], here))
	case syntax.If:
		return i.choice(n, here)
	case syntax.Negate, syntax.Arithmetic:
		return i.arithmetic(n, here)
	case syntax.Compare:
		return i.compare(n, here)
	case syntax.In:
		return i.in(n, n.Args[0], n.Args[1], here)
	case syntax.Is:
		return i.is(n, here)
	case syntax.Has:
		return i.has(n, here)
	case syntax.Like:
		return i.like(n, here)
	case syntax.Attribute, syntax.Index:
		return i.attribute(n, here)
	case syntax.Method:
		return i.method(n, here)
	case syntax.Function:
		return i.function(n, here)
	case syntax.Set:
		return i.set(n, here)
	case syntax.Record:
		return i.record(n, here)
	}
	return anything
}

// report tells of a mistake in an expression, at a part of it.
func (i *inference) report(severity Severity, code string, n *syntax.Node, at syntax.Span, text, suggestion string) {
	i.found(finding{severity: severity, code: code, at: at, expr: n, text: text, suggestion: suggestion})
}

// wrongType reports an expression that has the wrong type.
func (i *inference) wrongType(n *syntax.Node, text, suggestion string) value {
	i.report(Error, "wrong-type", n, spot(n), text, suggestion)
	return anything
}

// spot is what a caret points at for an expression: its last name, or else all of it.
func spot(n *syntax.Node) syntax.Span {
	switch n.Kind {
	case syntax.Attribute, syntax.Index, syntax.Method, syntax.Function:
		return n.NameSpan
	case syntax.Paren:
		return spot(n.Args[0])
	}
	return n.Span
}

// bool is the value of an expression where true or false belongs.
func (i *inference) bool(n *syntax.Node, here there) value {
	v := i.expr(n, here)
	if !v.can(typed.Bool) {
		i.wrongType(n, fmt.Sprintf("%s is %s, where true or false belongs", i.policy.words(n), typeName(v.typ)), i.asBool(n, v))
		return some(boolean)
	}
	if v.typ.Kind == typed.Unknown {
		v.typ = boolean
	}
	return v
}

func (i *inference) asBool(n *syntax.Node, v value) string {
	switch v.typ.Kind {
	case typed.String:
		return fmt.Sprintf(`compare it, such as %s == "…"`, i.policy.words(n))
	case typed.Long:
		return fmt.Sprintf("compare it, such as %s > 0", i.policy.words(n))
	case typed.Set:
		return fmt.Sprintf("ask for a member, such as %s.contains(…)", i.policy.words(n))
	}
	return ""
}

func not(v value) value {
	if b, ok := v.known.(types.Boolean); ok {
		v.known = !b
	}
	v.yes, v.no = v.no, v.yes
	return v
}

// and evaluates &&. What is right of something false is not reached.
func (i *inference) and(n *syntax.Node, here there) value {
	left := i.bool(n.Args[0], here)
	if left.is(false) {
		return left
	}
	right := i.bool(n.Args[1], here.and(left.yes))
	v := value{typ: boolean, yes: left.yes.and(right.yes), no: left.no.or(left.yes.and(right.no))}
	switch {
	case left.is(true):
		v.known, v.no = right.known, right.no
	case right.is(false):
		v.known = types.False
	}
	return v
}

// or evaluates ||. What is right of something true is not reached.
func (i *inference) or(n *syntax.Node, here there) value {
	left := i.bool(n.Args[0], here)
	if left.is(true) {
		return left
	}
	right := i.bool(n.Args[1], here.and(left.no))
	v := value{typ: boolean, yes: left.yes.or(left.no.and(right.yes)), no: left.no.and(right.no)}
	switch {
	case left.is(false):
		v.known, v.yes = right.known, right.yes
	case right.is(true):
		v.known = types.True
	}
	return v
}

// choice evaluates if … then … else.
func (i *inference) choice(n *syntax.Node, here there) value {
	condition := i.bool(n.Args[0], here)
	switch {
	case condition.is(true):
		v := i.expr(n.Args[1], here.and(condition.yes))
		v.yes, v.no = condition.yes.and(v.yes), condition.yes.and(v.no)
		return v
	case condition.is(false):
		v := i.expr(n.Args[2], here.and(condition.no))
		v.yes, v.no = condition.no.and(v.yes), condition.no.and(v.no)
		return v
	}
	then, otherwise := i.expr(n.Args[1], here.and(condition.yes)), i.expr(n.Args[2], here.and(condition.no))
	if !agree(then.typ, otherwise.typ) {
		return i.wrongType(n.Args[2], fmt.Sprintf("one branch is %s, the other one %s", typeName(then.typ), typeName(otherwise.typ)), "")
	}
	v := value{typ: then.typ}
	if then.typ.Kind == typed.Unknown || then.typ.Kind == typed.Entity && then.typ != otherwise.typ {
		v.typ = unknown
	}
	v.yes = condition.yes.and(then.yes).or(condition.no.and(otherwise.yes))
	v.no = condition.yes.and(then.no).or(condition.no.and(otherwise.no))
	if then.known != nil && otherwise.known != nil && then.known.Equal(otherwise.known) {
		v.known = then.known
	}
	return v
}

func (i *inference) variable(n *syntax.Node) value {
	switch n.Name {
	case "principal":
		return value{typ: i.policy.principal, root: thePrincipal}
	case "action":
		return value{typ: &typed.Type{Kind: typed.Entity, Entity: "Action"}, known: i.about.action, root: theAction}
	case "resource":
		v := value{typ: &typed.Type{Kind: typed.Entity, Entity: i.about.entity.UID.Type}, root: theResource}
		if i.about.isOne() {
			v.known = i.about.entity.UID
		}
		return v
	}
	return value{typ: i.about.context, root: theContext}
}

// arithmetic evaluates + - * and a minus sign.
func (i *inference) arithmetic(n *syntax.Node, here there) value {
	operator := n.Name
	if n.Kind == syntax.Negate {
		operator = "-"
	}
	for _, a := range n.Args {
		if v := i.expr(a, here); !v.can(typed.Long) {
			i.wrongType(a, fmt.Sprintf("%s is %s, and %s takes a Long", i.policy.words(a), typeName(v.typ), operator), i.asLong(a, v))
		}
	}
	return some(long)
}

// asLong says how to have a number instead of a value, "" if nothing is known.
func (i *inference) asLong(n *syntax.Node, v value) string {
	s, ok := v.known.(types.String)
	var digits types.Long
	if ok && n.Kind == syntax.Literal && isNumber(string(s), &digits) {
		return didYouMean(string(s))
	}
	if path, ok := i.sizeOf(n); ok && v.can(typed.String, typed.Set) {
		return "its length is " + path
	}
	return ""
}

// sizeOf is how a policy asks for the length of an argument.
func (i *inference) sizeOf(n *syntax.Node) (path string, ok bool) {
	if n.Kind != syntax.Attribute || pathOf(n.Args[0]) != "context\x00input" {
		return "", false
	}
	return "context.size." + plain(n.Name), true
}

func (i *inference) set(n *syntax.Node, here there) value {
	elem := unknown
	known := make([]types.Value, 0, len(n.Args))
	for _, a := range n.Args {
		v := i.expr(a, here)
		if !agree(elem, v.typ) {
			i.wrongType(a, fmt.Sprintf("%s is %s, in a set of which another member is %s", i.policy.words(a), typeName(v.typ), typeName(elem)), "")
			return value{typ: &typed.Type{Kind: typed.Set, Elem: unknown}}
		}
		switch {
		case elem.Kind == typed.Unknown:
			elem = v.typ
		case elem.Kind == typed.Entity && elem.Entity != v.typ.Entity:
			elem = anEntity
		}
		if v.known != nil {
			known = append(known, v.known)
		}
	}
	all := value{typ: &typed.Type{Kind: typed.Set, Elem: elem}}
	if len(known) == len(n.Args) {
		all.known = types.NewSet(known...)
	}
	return all
}

func (i *inference) record(n *syntax.Node, here there) value {
	for _, a := range n.Args {
		i.expr(a, here)
	}
	return anything
}
