package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
	"github.com/mcpagg/mcpagg/policy/typed"
)

func isNumber(s string, n *types.Long) bool {
	i, err := strconv.ParseInt(s, 10, 64)
	*n = types.Long(i)
	return err == nil
}

// compare evaluates == != < <= > >=.
func (i *inference) compare(n *syntax.Node, here there) value {
	left, right := i.expr(n.Args[0], here), i.expr(n.Args[1], here)
	if n.Name != "==" && n.Name != "!=" {
		i.order(n, left, right)
		return some(boolean)
	}
	v := i.equal(n, left, right)
	if n.Name == "!=" {
		v = not(v)
	}
	return v
}

// order checks the sides of < <= > >=.
func (i *inference) order(n *syntax.Node, left, right value) {
	sides := [2]value{left, right}
	for s, v := range sides {
		if !v.can(typed.Long, typed.Datetime, typed.Duration) {
			text := fmt.Sprintf("%s is %s, and %s compares Long, datetime and duration only", i.policy.words(n.Args[s]), typeName(v.typ), n.Name)
			i.wrongType(n.Args[s], text, i.ordered(n, s, v, sides[1-s]))
			return
		}
	}
	if !agree(left.typ, right.typ) {
		i.differ(n, left, right)
	}
}

// ordered says how to compare a value that < does not.
func (i *inference) ordered(n *syntax.Node, side int, v, other value) string {
	this, that := i.policy.words(n.Args[side]), i.policy.words(n.Args[1-side])
	switch {
	case v.typ.Kind == typed.Decimal && side == 0:
		method := map[string]string{"<": "lessThan", "<=": "lessThanOrEqual", ">": "greaterThan", ">=": "greaterThanOrEqual"}[n.Name]
		if number, ok := other.known.(types.Long); ok {
			return fmt.Sprintf(`write %s.%s(decimal("%d.0"))`, this, method, number)
		}
		return fmt.Sprintf("write %s.%s(%s)", this, method, that)
	case v.typ.Kind == typed.String && n.Args[side].Kind == syntax.Literal && (other.typ.Kind == typed.Datetime || other.typ.Kind == typed.Duration):
		return fmt.Sprintf("write %s(%s)", strings.Fields(typeName(other.typ))[1], this)
	}
	return i.asLong(n.Args[side], v)
}

// differ reports two sides of types that are never equal, at the one that is written
// out.
func (i *inference) differ(n *syntax.Node, left, right value) {
	at, v, other := 1, right, left
	if n.Args[0].Kind == syntax.Literal {
		at, v, other = 0, left, right
	}
	text := fmt.Sprintf("%s is %s, and %s is %s", i.policy.words(n.Args[1-at]), typeName(other.typ), i.policy.words(n.Args[at]), typeName(v.typ))
	i.report(Error, "wrong-type", n, spot(n.Args[at]), text, i.converted(n, at, v, other))
}

// converted says how to write a value so that it has the type of another one.
func (i *inference) converted(n *syntax.Node, at int, v, other value) string {
	this, that := i.policy.words(n.Args[at]), i.policy.words(n.Args[1-at])
	literal := n.Args[at].Kind == syntax.Literal
	s, isText := v.known.(types.String)
	var number types.Long
	switch kind := other.typ.Kind; {
	case kind == typed.Set && agree(other.typ.Elem, v.typ):
		return fmt.Sprintf("write %s.contains(%s)", that, this)
	case !literal:
		return ""
	case isText && kind == typed.Long && isNumber(string(s), &number),
		isText && kind == typed.Bool && (s == "true" || s == "false"):
		return didYouMean(plain(string(s)))
	case kind == typed.String:
		return didYouMean(quoted(this))
	case isText && (kind == typed.Datetime || kind == typed.Duration || kind == typed.Decimal):
		return fmt.Sprintf("write %s(%s)", strings.Fields(typeName(other.typ))[1], this)
	case isText && kind == typed.Address:
		return fmt.Sprintf("write ip(%s)", this)
	case kind == typed.Decimal && v.typ.Kind == typed.Long:
		return fmt.Sprintf(`write decimal("%s.0")`, this)
	}
	return ""
}

// equal evaluates ==.
func (i *inference) equal(n *syntax.Node, left, right value) value {
	if !agree(left.typ, right.typ) {
		i.differ(n, left, right)
		return some(boolean)
	}
	if left.known != nil && right.known != nil {
		return decided(left.known.Equal(right.known))
	}
	if left.typ.Kind == typed.Entity && right.typ.Kind == typed.Entity {
		return i.sameEntity(n, left, right)
	}
	i.allowed(n.Args[0], left.typ, n.Args[1], right)
	i.allowed(n.Args[1], right.typ, n.Args[0], left)
	return some(boolean)
}

// allowed reports a text that an argument never is, since it is one of a few.
func (i *inference) allowed(of *syntax.Node, t *typed.Type, n *syntax.Node, v value) {
	s, ok := v.known.(types.String)
	if !ok || t.Kind != typed.String || t.Enum == nil || contains(t.Enum, string(s)) {
		return
	}
	suggestion := didYouMean(quotedOrNone(source.Near(string(s), t.Enum)))
	if suggestion == "" {
		suggestion = "it is one of " + list(quotedAll(t.Enum))
	}
	i.found(finding{
		severity: Error, code: "not-in-enum", at: n.Span, whole: true, suggestion: suggestion,
		text: fmt.Sprintf("%s is never %s", i.policy.words(of), quoted(string(s))),
	})
}

// sameEntity evaluates == of entities.
func (i *inference) sameEntity(n *syntax.Node, left, right value) value {
	a, b := left.typ.Entity, right.typ.Entity
	if a == b || a == "" || b == "" || a == typeCaller && isCaller(b) || b == typeCaller && isCaller(a) {
		return some(boolean)
	}
	if left.root == thePrincipal || right.root == thePrincipal {
		i.neverEqual(n, left, right)
	}
	return decided(false)
}

// neverEqual reports that the principal is compared with what it never is.
func (i *inference) neverEqual(n *syntax.Node, left, right value) {
	other, v := n.Args[1], right
	if right.root == thePrincipal {
		other, v = n.Args[0], left
	}
	uid, ok := v.known.(types.EntityUID)
	if !ok || uid.Type == "Client" { // which is read as something else
		return
	}
	suggestion := ""
	switch {
	case isParent(source.Words().Entity("User").Parents, uid.Type):
		suggestion = "write principal in " + uidText(uid)
	case uid.Type == "App":
		suggestion = fmt.Sprintf("write context.app == %s", uidText(uid))
	}
	i.report(Error, "never-equal", other, other.Span, "a principal is never "+article(string(uid.Type)), suggestion)
}

// is evaluates is, and is … in.
func (i *inference) is(n *syntax.Node, here there) value {
	v := i.expr(n.Args[0], here)
	if !v.can(typed.Entity) {
		return i.wrongType(n.Args[0], fmt.Sprintf("%s is %s, and is asks for the type of an entity", i.policy.words(n.Args[0]), typeName(v.typ)), "")
	}
	of := some(boolean)
	wanted := types.EntityType(n.Name)
	switch t := v.typ.Entity; {
	case wanted == "Client" && v.root == thePrincipal: // of ToolHive: whoever asks
		of = decided(true)
	case v.typ.Kind == typed.Unknown || t == "":
	case t == typeCaller:
		if !isCaller(wanted) {
			of = decided(false)
		}
	default:
		of = decided(t == wanted)
	}
	if len(n.Args) == 1 || of.is(false) {
		return of
	}
	in := i.in(n, n.Args[0], n.Args[1], here)
	if of.is(true) {
		return in
	}
	return some(boolean)
}

// in evaluates in.
func (i *inference) in(n, below, above *syntax.Node, here there) value {
	left, right := i.expr(below, here), i.expr(above, here)
	if !left.can(typed.Entity) {
		return i.wrongType(below, fmt.Sprintf("%s is %s, and only entities are in others", i.policy.words(below), typeName(left.typ)), i.asMember(below, above, left, right))
	}
	members := right.typ.Kind == typed.Set && right.typ.Elem.Kind != typed.Entity && right.typ.Elem.Kind != typed.Unknown
	if members || !right.can(typed.Entity, typed.Set) {
		return i.wrongType(above, fmt.Sprintf("%s is %s, and entities are in entities or sets of them", i.policy.words(above), typeName(right.typ)), "")
	}
	return i.within(left, right)
}

func (i *inference) asMember(below, above *syntax.Node, left, right value) string {
	if right.typ.Kind == typed.Set && agree(right.typ.Elem, left.typ) {
		return fmt.Sprintf("write %s.contains(%s)", i.policy.words(above), i.policy.words(below))
	}
	return ""
}

// within is whether one entity is in another, or in one of a set.
func (i *inference) within(left, right value) value {
	var all []types.EntityUID
	switch v := right.known.(type) {
	case types.EntityUID:
		all = []types.EntityUID{v}
	case types.Set:
		for member := range v.All() {
			uid, ok := member.(types.EntityUID)
			if !ok {
				return some(boolean)
			}
			all = append(all, uid)
		}
	default:
		return some(boolean)
	}
	switch left.root {
	case theAction:
		for _, uid := range all {
			if uid == i.about.action {
				return decided(true)
			}
		}
		return decided(false)
	case theResource:
		return i.about.within(all)
	}
	return some(boolean)
}

// like evaluates like.
func (i *inference) like(n *syntax.Node, here there) value {
	v := i.expr(n.Args[0], here)
	if !v.can(typed.String) {
		return i.wrongType(n.Args[0], fmt.Sprintf("%s is %s, and like compares texts", i.policy.words(n.Args[0]), typeName(v.typ)), i.likeMember(n, v))
	}
	pattern := n.Pattern
	if s, ok := v.known.(types.String); ok {
		return decided(pattern.Match(s))
	}
	if v.typ.Enum != nil {
		for _, s := range v.typ.Enum {
			if pattern.Match(types.String(s)) {
				return some(boolean)
			}
		}
		i.found(finding{
			severity: Error, code: "not-in-enum", at: n.NameSpan, whole: true, suggestion: "it is one of " + list(quotedAll(v.typ.Enum)),
			text: fmt.Sprintf("%s is never like %s", i.policy.words(n.Args[0]), plain(string(pattern.MarshalCedar()))),
		})
	}
	return some(boolean)
}

func (i *inference) likeMember(n *syntax.Node, v value) string {
	if v.typ.Kind == typed.Set && agree(v.typ.Elem, text) {
		return fmt.Sprintf("ask for a member, such as %s.contains(…)", i.policy.words(n.Args[0]))
	}
	return ""
}
