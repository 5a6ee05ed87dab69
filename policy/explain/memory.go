package explain

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// maxRemembered bounds how many parts, and answers, an explainer remembers.
const maxRemembered = 200_000

// A partKey is the same where a policy comes to the same.
type partKey struct {
	policy  *source.Policy
	class   string         // "" if the policy does not look at the caller
	object  *policy.Object // nil if it does not look at the resource
	context string         // the types of what it looks at in the context
}

// A keyed form has a number by which it is told apart.
type keyed struct {
	form *form
	key  string
}

// answer is that of the parts, from memory where there were the same.
func (x *Explainer) answer(l *policy.Outlook, o *policy.Object) *Answer {
	if len(x.answers) > maxRemembered || len(x.parts) > maxRemembered {
		clear(x.answers)
		clear(x.parts)
	}
	var key strings.Builder
	var permits, forbids []Part
	b := newBuilder(l)
	for _, c := range l.Permits {
		if !satisfiable(c) {
			continue
		}
		k := x.part(b, c, l.Class, o)
		key.WriteString(k.key)
		permits = append(permits, Part{Policy: c.Policy, form: k.form})
	}
	if permits != nil {
		key.WriteByte('/')
		for _, c := range l.Forbids {
			k := x.part(b, c, l.Class, o)
			key.WriteString(k.key)
			forbids = append(forbids, Part{Policy: c.Policy, form: k.form, skip: x.engine.SkipsErrors()})
		}
	}
	targets := l.Targets()
	key.WriteString(strings.Join(targets, ","))
	if a := x.answers[key.String()]; a != nil {
		return a
	}
	a := x.make(permits, forbids, targets)
	x.answers[key.String()] = a
	return a
}

// part is what a candidate comes to.
func (x *Explainer) part(b *builder, c policy.Candidate, class string, o *policy.Object) *keyed {
	looks := x.looksOf(c.Policy)
	key := partKey{policy: c.Policy, context: looks.signature(b.context)}
	if looks.caller {
		key.class = class
	}
	if looks.object {
		key.object = o
	}
	k := x.parts[key]
	if k == nil {
		k = &keyed{key: strconv.Itoa(len(x.parts)) + " "}
		switch {
		case c.Policy.Permit && c.Outcome == may.True:
			k.form = truth
		case c.Policy.Permit:
			k.form = b.permits(c.Policy)
		default:
			k.form = b.lets(c.Policy, x.engine.SkipsErrors())
		}
		x.parts[key] = k
	}
	return k
}

// looks is what the conditions of a policy look at.
type looks struct {
	caller, object   bool
	context          []string // attributes
	arguments, sizes []string
	nothing          bool
}

func (x *Explainer) looksOf(p *source.Policy) *looks {
	if l := x.looks[p]; l != nil {
		return l
	}
	m := source.MentionsOf(p)
	l := &looks{context: m.Context, arguments: m.Arguments, sizes: m.Sizes, nothing: len(p.AST.Conditions) == 0}
	if m.Whole || m.AnyArgument || m.AnySize {
		l.object = true
	}
	if !l.nothing {
		l.caller = m.Whole || m.Compared || m.AnyTag || len(m.Tags) > 0 || len(m.Principal) > 0 || slices.Contains(m.Context, "app")
		l.object = l.object || len(m.Resource) > 0
	}
	for _, c := range p.AST.Conditions {
		ast.Inspect(c.Body, func(n ast.Node) bool { l.node(n); return true })
	}
	x.looks[p] = l
	return l
}

// node notes whether what a node comes to depends on who asks about what.
func (l *looks) node(n ast.Node) {
	switch n := n.(type) {
	case ast.Variable:
		l.caller = l.caller || n.Name == "principal"
		l.object = l.object || n.Name == "resource" || n.Name == "action"
	case ast.Value:
		uid, ok := n.Value.(types.EntityUID)
		if ok && uid.Type != "Group" && uid.Type != "Role" && uid.Type != "App" && uid.Type != "Tag" { // of others, more is known at times
			l.caller, l.object = true, true
		}
	}
}

// signature tells apart the types of what a policy looks at in the context.
func (l *looks) signature(context *typed.Type) string {
	if l.nothing || len(l.context) == 0 {
		return ""
	}
	var s strings.Builder
	for _, name := range l.context {
		switch name {
		case "input":
			sign(&s, context, name, l.arguments)
		case "size":
			sign(&s, context, name, l.sizes)
		default:
			signField(&s, context, name)
		}
	}
	return s.String()
}

// sign writes the types of members of a record in the context.
func sign(s *strings.Builder, context *typed.Type, of string, names []string) {
	f, ok := context.Field(of)
	if !ok {
		s.WriteByte('0')
		return
	}
	for _, name := range names {
		signField(s, f.Type, name)
	}
}

func signField(s *strings.Builder, t *typed.Type, name string) {
	f, ok := t.Field(name)
	if !ok {
		s.WriteByte('-')
		return
	}
	signType(s, f.Type)
	if f.Required {
		s.WriteByte('!')
	}
}

func signType(s *strings.Builder, t *typed.Type) {
	s.WriteByte('a' + byte(t.Kind))
	s.WriteString(string(t.Entity))
	if t.Elem != nil {
		signType(s, t.Elem)
	}
	for _, text := range t.Enum {
		s.WriteString(strconv.Quote(text))
	}
	for _, f := range t.Fields {
		s.WriteString(strconv.Quote(f.Name))
		signType(s, f.Type)
		if f.Required {
			s.WriteByte('!')
		}
	}
}
