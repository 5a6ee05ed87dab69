package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/syntax"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A signature is what an extension's method takes, itself first, and gives.
type signature struct {
	takes []*typed.Type
	gives *typed.Type
}

var signatures = map[string]signature{
	"lessThan":           {[]*typed.Type{decimal, decimal}, boolean},
	"lessThanOrEqual":    {[]*typed.Type{decimal, decimal}, boolean},
	"greaterThan":        {[]*typed.Type{decimal, decimal}, boolean},
	"greaterThanOrEqual": {[]*typed.Type{decimal, decimal}, boolean},
	"isIpv4":             {[]*typed.Type{address}, boolean},
	"isIpv6":             {[]*typed.Type{address}, boolean},
	"isLoopback":         {[]*typed.Type{address}, boolean},
	"isMulticast":        {[]*typed.Type{address}, boolean},
	"isInRange":          {[]*typed.Type{address, address}, boolean},
	"toDate":             {[]*typed.Type{datetime}, datetime},
	"toTime":             {[]*typed.Type{datetime}, duration},
	"offset":             {[]*typed.Type{datetime, duration}, datetime},
	"durationSince":      {[]*typed.Type{datetime, datetime}, duration},
	"toDays":             {[]*typed.Type{duration}, long},
	"toHours":            {[]*typed.Type{duration}, long},
	"toMinutes":          {[]*typed.Type{duration}, long},
	"toSeconds":          {[]*typed.Type{duration}, long},
	"toMilliseconds":     {[]*typed.Type{duration}, long},
}

// operators are what decimals have methods for.
var operators = map[string]string{"lessThan": "<", "lessThanOrEqual": "<=", "greaterThan": ">", "greaterThanOrEqual": ">="}

// method evaluates receiver.name(…).
func (i *inference) method(n *syntax.Node, here there) value {
	switch n.Name {
	case "contains":
		return i.contains(n, here)
	case "containsAll", "containsAny":
		return i.containsSome(n, here)
	case "isEmpty":
		return i.isEmpty(n, here)
	case "hasTag", "getTag":
		return i.tag(n, here)
	}
	s, ok := signatures[n.Name]
	if !ok {
		return anything
	}
	for at, a := range n.Args {
		v := i.expr(a, here)
		if at < len(s.takes) && !agree(v.typ, s.takes[at]) {
			i.wrongOperand(n, at, v, s.takes[at])
			break
		}
	}
	return some(s.gives)
}

// wrongOperand reports what a method is called on, or with.
func (i *inference) wrongOperand(n *syntax.Node, at int, v value, wanted *typed.Type) {
	this := i.policy.words(n.Args[at])
	var suggestion string
	switch operator := operators[n.Name]; {
	case operator != "" && v.typ.Kind == typed.Long && at == 0:
		suggestion = fmt.Sprintf("write %s %s 5", this, operator)
	case n.Args[at].Kind == syntax.Literal && v.typ.Kind == typed.Long && wanted.Kind == typed.Decimal:
		suggestion = fmt.Sprintf(`write decimal("%s.0")`, this)
	case n.Args[at].Kind == syntax.Literal && v.typ.Kind == typed.String:
		suggestion = fmt.Sprintf("write %s(%s)", constructor(wanted), this)
	}
	verb := "is called on"
	if at > 0 {
		verb = "takes"
	}
	i.wrongType(n.Args[at], fmt.Sprintf("%s is %s, and %s %s %s", this, typeName(v.typ), plain(n.Name), verb, typeName(wanted)), suggestion)
}

// constructor is the function that makes a value of a type.
func constructor(t *typed.Type) string {
	if t.Kind == typed.Address {
		return "ip"
	}
	return strings.Fields(typeName(t))[1]
}

// onSet evaluates what a method of sets is called on.
func (i *inference) onSet(n *syntax.Node, here there) (value, bool) {
	v := i.expr(n.Args[0], here)
	if v.can(typed.Set) {
		return v, true
	}
	i.wrongType(n.Args[0], fmt.Sprintf("%s is %s, and %s is called on a set", i.policy.words(n.Args[0]), typeName(v.typ), plain(n.Name)), i.asText(n, v))
	return v, false
}

// asText says how to look for a text within another one.
func (i *inference) asText(n *syntax.Node, v value) string {
	if v.typ.Kind != typed.String {
		return ""
	}
	part := "…"
	if len(n.Args) == 2 {
		if s, ok := n.Args[1].Value.(types.String); ok {
			part = plain(strings.ReplaceAll(string(s), "*", `\*`))
		}
	}
	if n.Name == "isEmpty" {
		return fmt.Sprintf(`write %s == ""`, i.policy.words(n.Args[0]))
	}
	return fmt.Sprintf(`write %s like "*%s*"`, i.policy.words(n.Args[0]), part)
}

func (i *inference) contains(n *syntax.Node, here there) value {
	set, ok := i.onSet(n, here)
	member := i.expr(n.Args[1], here)
	if !ok {
		return some(boolean)
	}
	if set.typ.Kind == typed.Set && !agree(set.typ.Elem, member.typ) {
		suggestion := ""
		if member.typ.Kind == typed.Set {
			suggestion = "write containsAll or containsAny for several"
		}
		i.wrongType(n.Args[1], fmt.Sprintf("%s is %s, and %s is %s", i.policy.words(n.Args[1]), typeName(member.typ), i.policy.words(n.Args[0]), typeName(set.typ)), suggestion)
		return some(boolean)
	}
	if s, ok := set.known.(types.Set); ok && member.known != nil {
		return decided(s.Contains(member.known))
	}
	i.allowedIn(n.Args[0], set, n.Args[1], member)
	if pathOf(n.Args[0]) == "context\x00session\x00labels" {
		i.label(n.Args[1])
	}
	return some(boolean)
}

// label reports a label that no tool gives to anybody.
func (i *inference) label(n *syntax.Node) {
	s, ok := n.Value.(types.String)
	all := i.world.in.Labels
	if !ok || all == nil || contains(all, string(s)) {
		return
	}
	suggestion := didYouMean(quotedOrNone(source.Near(string(s), all)))
	if suggestion == "" {
		suggestion = fmt.Sprintf("tools have labels in their override: labels = [%s]", quoted(string(s)))
	}
	i.found(finding{severity: Warning, code: "unknown-label", at: n.Span, expr: n, text: "no tool has the label " + quoted(string(s)), suggestion: suggestion})
}

// allowedIn reports texts of which an argument, or a member of one, is never one.
func (i *inference) allowedIn(setNode *syntax.Node, set value, memberNode *syntax.Node, member value) {
	if set.typ.Kind == typed.Set {
		i.allowed(setNode, set.typ.Elem, memberNode, member)
	}
	for setNode.Kind == syntax.Paren {
		setNode = setNode.Args[0]
	}
	if setNode.Kind != syntax.Set {
		return
	}
	for _, a := range setNode.Args {
		if a.Kind == syntax.Literal {
			i.allowed(memberNode, member.typ, a, exactly(a.Value))
		}
	}
}

func (i *inference) containsSome(n *syntax.Node, here there) value {
	set, ok := i.onSet(n, here)
	other := i.expr(n.Args[1], here)
	if !ok {
		return some(boolean)
	}
	if !other.can(typed.Set) {
		i.wrongType(n.Args[1], fmt.Sprintf("%s is %s, and %s takes a set", i.policy.words(n.Args[1]), typeName(other.typ), plain(n.Name)), fmt.Sprintf("write contains(%s)", i.policy.words(n.Args[1])))
		return some(boolean)
	}
	if !agree(set.typ, other.typ) {
		i.differ(n, set, other)
		return some(boolean)
	}
	if set.typ.Kind == typed.Set && n.Args[1].Kind == syntax.Set {
		for _, a := range n.Args[1].Args {
			if a.Kind == syntax.Literal {
				i.allowed(n.Args[0], set.typ.Elem, a, exactly(a.Value))
			}
		}
	}
	return some(boolean)
}

func (i *inference) isEmpty(n *syntax.Node, here there) value {
	i.onSet(n, here)
	return some(boolean)
}

// tag evaluates hasTag and getTag.
func (i *inference) tag(n *syntax.Node, here there) value {
	of, key := i.expr(n.Args[0], here), i.expr(n.Args[1], here)
	if !of.can(typed.Entity) {
		return i.wrongType(n.Args[0], fmt.Sprintf("%s is %s, and only entities have tags", i.policy.words(n.Args[0]), typeName(of.typ)), "")
	}
	if !key.can(typed.String) {
		return i.wrongType(n.Args[1], fmt.Sprintf("%s is %s, and tags go by texts", i.policy.words(n.Args[1]), typeName(key.typ)), "")
	}
	path := tagPath(n.Args[0], n.Args[1])
	if of.typ.Kind == typed.Entity && of.typ.Entity != "" && !i.world.own.tagged(of.typ.Entity) {
		i.found(finding{
			severity: Error, code: "no-tags", at: n.NameSpan, expr: n, text: article(string(of.typ.Entity)) + " has no tags of this kind",
			suggestion: `a tag of an upstream is resource in Tag::"…"`,
		})
		return decided(false)
	}
	if n.Name == "hasTag" {
		return value{typ: boolean, yes: there{path}}
	}
	if !slices.Contains(here, path) {
		f := finding{severity: Error, code: "unguarded-tag", at: n.NameSpan, expr: n, text: fmt.Sprintf("%s need not have the tag %s", i.policy.words(n.Args[0]), i.policy.words(n.Args[1]))}
		f.suggestion = fmt.Sprintf("ask first: %s.hasTag(%s) && …", i.policy.words(n.Args[0]), i.policy.words(n.Args[1]))
		i.found(f)
	}
	if of.root == thePrincipal || isCaller(of.typ.Entity) {
		return some(text)
	}
	return anything
}

// literalExamples are literals that the functions of extensions take.
var literalExamples = map[string]string{
	"ip":       `write an address or a range, such as ip("10.0.0.0/8")`,
	"decimal":  `write one to four digits behind the point, such as decimal("1.50")`,
	"datetime": `write a date, or a time with its zone, such as datetime("2026-12-31T23:59:00Z")`,
	"duration": `write days, hours, minutes and seconds, such as duration("1h30m")`,
}

// function evaluates ip("…") and its like.
func (i *inference) function(n *syntax.Node, here there) value {
	gives := map[string]*typed.Type{"ip": address, "decimal": decimal, "datetime": datetime, "duration": duration}[n.Name]
	if gives == nil || len(n.Args) != 1 {
		return anything
	}
	a := n.Args[0]
	v := i.expr(a, here)
	s, literal := a.Value.(types.String)
	switch {
	case !v.can(typed.String):
		i.wrongType(a, fmt.Sprintf("%s is %s, and %s takes a text", i.policy.words(a), typeName(v.typ), plain(n.Name)), fmt.Sprintf(`write %s("%s")`, n.Name, i.policy.words(a)))
	case !literal || a.Kind != syntax.Literal:
		i.report(Warning, "unchecked-text", n, a.Span, fmt.Sprintf("%s fails for every text that is no %s", plain(n.Name), strings.TrimPrefix(strings.TrimPrefix(typeName(gives), "an "), "a ")), "")
	default:
		known, err := parseLiteral(n.Name, string(s))
		if err != nil {
			i.report(Error, "bad-literal", n, a.Span, fmt.Sprintf("%s is no %s", i.policy.words(a), strings.Join(strings.Fields(typeName(gives))[1:], " ")), literalExamples[n.Name])
			return some(gives)
		}
		return exactly(known)
	}
	return some(gives)
}

func parseLiteral(function, s string) (types.Value, error) {
	switch function {
	case "ip":
		return types.ParseIPAddr(s)
	case "decimal":
		return types.ParseDecimal(s)
	case "datetime":
		return types.ParseDatetime(s)
	}
	return types.ParseDuration(s)
}
