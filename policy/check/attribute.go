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

// A member is what is known of an attribute of a value.
type member struct {
	value
	state state
	// optional says that it need not be there, guarded or not.
	optional bool
}

// A state says whether a value has an attribute.
type state uint8

const (
	absent   state = iota // it never has
	present               // it has, or may have
	unsure                // nothing is known, not even whether it has attributes
	lifeless              // it has no attributes
)

func has(v value, optional bool) member { return member{v, present, optional} }

// member looks an attribute up.
func (i *inference) member(v value, name string) member {
	switch {
	case v.root == thePrincipal:
		return i.ofCaller(name)
	case v.root == theResource:
		return i.ofResource(name)
	case v.root == theContext && strings.HasPrefix(name, source.ClaimPrefix):
		return i.ofCaller(name)
	case v.typ.Kind == typed.Unknown:
		return member{value: anything, state: unsure}
	case v.root == noRoot && v.known != nil && v.typ.Kind == typed.Entity:
		return i.ofKnown(v.known.(types.EntityUID), name)
	case v.typ.Kind == typed.Record:
		return i.ofRecord(v, name)
	case v.typ.Kind == typed.Entity:
		return i.ofEntity(v.typ.Entity, name)
	}
	return member{value: anything, state: lifeless}
}

// ofKnown looks up what one entity has: the one that is asked about has its attributes,
// apps and upstreams have names, and of all others only files say anything.
func (i *inference) ofKnown(uid types.EntityUID, name string) member {
	if i.about.isOne() && uid == i.about.entity.UID {
		return i.ofResource(name)
	}
	if f := i.world.in.Policy.Facts; f != nil {
		if v, ok := f.Entities[uid].Attributes.Get(types.String(name)); ok {
			return has(exactly(v), false)
		}
	}
	switch {
	case (uid.Type == "App" || uid.Type == "Upstream") && name == "name":
		return has(exactly(uid.ID), false)
	case isCaller(uid.Type): // who may be the one who asks
		m := i.ofCaller(name)
		m.optional = true
		return m
	case source.Words().Entity(string(uid.Type)) == nil:
		return i.ofEntity(uid.Type, name)
	case !i.about.isOne() && uid.Type == i.about.entity.UID.Type:
		return member{value: anything, state: unsure}
	}
	return member{value: anything}
}

func (i *inference) ofCaller(name string) member {
	for _, a := range source.Words().Entity("User").Attributes {
		if a.Name == name {
			return has(some(namedType(a.Type)), a.Optional)
		}
	}
	if strings.HasPrefix(name, source.ClaimPrefix) || contains(i.world.in.Options.Attributes, name) {
		return has(anything, true)
	}
	return member{value: anything}
}

func (i *inference) ofResource(name string) member {
	if strings.HasPrefix(name, source.ArgumentPrefix) {
		return i.ofRecord(value{typ: i.about.context, root: theContext}, name)
	}
	if !i.about.isOne() {
		return i.ofEntity(i.about.entity.UID.Type, name)
	}
	if v, ok := i.about.entity.Attributes.Get(types.String(name)); ok {
		return has(exactly(v), false)
	}
	return member{value: anything}
}

func (i *inference) ofRecord(v value, name string) member {
	f, ok := v.typ.Field(name)
	if !ok {
		if v.root == theContext && i.about.loose && strings.HasPrefix(name, source.ArgumentPrefix) {
			return has(anything, false)
		}
		return member{value: anything}
	}
	m := has(some(f.Type), !f.Required)
	switch {
	case v.root == theContext && name == "input", v.root == theInput:
		m.root = theInput
	case v.root == theContext && name == "size":
		m.root = theSize
	}
	return m
}

// ofEntity looks up what entities of a type have.
func (i *inference) ofEntity(t types.EntityType, name string) member {
	if t == "" {
		return member{value: anything, state: unsure}
	}
	if isCaller(t) || t == typeCaller {
		return i.ofCaller(name)
	}
	e := source.Words().Entity(string(t))
	if e == nil {
		return i.world.own.member(t, name)
	}
	for _, a := range e.Attributes {
		if a.Name == name {
			return has(some(namedType(a.Type)), a.Optional)
		}
	}
	if contains(i.world.in.Options.Attributes, name) {
		return has(anything, true)
	}
	return member{value: anything}
}

// attribute evaluates base.name and base["name"].
func (i *inference) attribute(n *syntax.Node, here there) value {
	base := n.Args[0]
	v := i.expr(base, here)
	m := i.member(v, n.Name)
	switch {
	case m.state == lifeless:
		return i.wrongType(base, fmt.Sprintf("%s is %s, which has no attributes", i.policy.words(base), typeName(v.typ)), i.asSize(n, v))
	case m.state == absent:
		i.missing(n, v, base, n.Name, n.NameSpan, false)
		return anything
	case m.optional && !slices.Contains(here, attributePath(base, n.Name)):
		i.unguarded(n, v, base, n.Name)
	}
	return m.value
}

// asSize says how to ask for the length of a text.
func (i *inference) asSize(n *syntax.Node, v value) string {
	if path, ok := i.sizeOf(n.Args[0]); ok && contains([]string{"length", "size", "len", "count"}, n.Name) && v.can(typed.String, typed.Set) {
		return "write " + path
	}
	return ""
}

// unguarded reports an attribute that may not be there.
func (i *inference) unguarded(n *syntax.Node, v value, base *syntax.Node, name string) {
	f := finding{severity: Error, code: "unguarded-optional", at: n.NameSpan, expr: n}
	f.suggestion = fmt.Sprintf("ask first: %s has %s && …", i.policy.words(base), nameText(name))
	switch {
	case v.root == theInput || v.root == theContext && strings.HasPrefix(name, source.ArgumentPrefix), v.root == theSize,
		v.root == theResource && strings.HasPrefix(name, source.ArgumentPrefix):
		f.text = fmt.Sprintf("%s does not require the argument %s", object0, quoted(i.argument(n, v, name)))
	case strings.HasPrefix(name, source.ClaimPrefix):
		f.code, f.severity, f.text = "unguarded-claim", Info, "a token need not have the claim "+quoted(strings.TrimPrefix(name, source.ClaimPrefix))
		if !i.policy.syntax.Permit {
			f.severity = Warning
		}
	case v.root == thePrincipal:
		f.text = "a principal need not have " + quoted(name)
	default:
		f.text = fmt.Sprintf("%s need not have %s", i.policy.words(base), quoted(name))
	}
	i.found(f)
}

// argument is the dotted path of an argument.
func (i *inference) argument(n *syntax.Node, v value, name string) string {
	if v.root == theContext || v.root == theResource {
		return strings.TrimPrefix(name, source.ArgumentPrefix)
	}
	path := name
	for at := n.Args[0]; ; at = at.Args[0] {
		for at.Kind == syntax.Paren {
			at = at.Args[0]
		}
		if at.Kind != syntax.Attribute && at.Kind != syntax.Index || at.Args[0].Kind == syntax.Variable {
			return path
		}
		path = at.Name + "." + path
	}
}

// has evaluates base has name, and base has name.below.
func (i *inference) has(n *syntax.Node, here there) value {
	base := n.Args[0]
	v := i.expr(base, here)
	all := decided(true)
	for _, step := range hasSteps(n) {
		m := i.member(v, step.name)
		switch {
		case m.state == lifeless:
			return i.wrongType(base, fmt.Sprintf("%s is %s, which has no attributes", i.policy.words(base), typeName(v.typ)), "")
		case m.state == absent:
			i.missing(n, v, step.base, step.name, step.span, true)
			return decided(false)
		case m.state == unsure, v.typ.Kind == typed.Entity && v.root != theResource, // which need not be there itself
			m.optional && !slices.Contains(here, attributePath(step.base, step.name)):
			all.known = nil
		}
		all.yes = all.yes.and(there{attributePath(step.base, step.name)})
		v = m.value
	}
	return all
}

// A hasStep is one name of what has asks for.
type hasStep struct {
	base *syntax.Node
	name string
	span syntax.Span
}

func attributeNames(entity string) []string {
	var names []string
	for _, a := range source.Words().Entity(entity).Attributes {
		names = append(names, a.Name)
	}
	return names
}

func fieldNames(t *typed.Type) []string {
	var names []string
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	return names
}

// nameText is a name as it stands behind has.
func nameText(name string) string {
	if isIdentifier(name) {
		return name
	}
	return quoted(name)
}

func isIdentifier(name string) bool {
	for at, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (at == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

func contains(all []string, s string) bool { return slices.Contains(all, s) }

func quotedOrNone(s string) string {
	if s == "" {
		return ""
	}
	return quoted(s)
}

func quotedAll(all []string) []string {
	var q []string
	for _, s := range all {
		q = append(q, quoted(s))
	}
	return q
}
