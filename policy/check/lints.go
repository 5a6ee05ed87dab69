package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

// lints finds what one policy says and may not have been meant, whatever the types are.
func (w *world) lints(p *subject) []finding {
	var all []finding
	add := func(f finding, ok bool) {
		if ok {
			all = append(all, f)
		}
	}
	add(p.withoutID())
	add(p.unrestricted())
	all = append(all, p.mutable()...)
	all = append(all, w.hints(p)...)
	all = append(all, w.omissions(p)...)
	add(w.withoutEscape(p))
	return all
}

// observed reports whether the policy is not in effect.
func (p *subject) observed() bool {
	value, ok := p.annotation("observe")
	return ok && value != "false"
}

func (p *subject) withoutID() (finding, bool) {
	_, ok := p.annotation("id")
	f := finding{severity: Info, code: "missing-id", at: p.syntax.Effect, text: "the policy has no @id, by which logs and tests name it"}
	f.suggestion = fmt.Sprintf(`write @id("…") above it; until then it is %s`, plain(p.id))
	return f, !ok
}

func (p *subject) unrestricted() (finding, bool) {
	s := p.syntax
	free := s.Permit && s.Principal.Op == "" && s.Action.Op == "" && s.Resource.Op == "" && !slices.ContainsFunc(s.Conditions, restricts)
	return finding{
		severity: Info, code: "unrestricted-permit", at: s.Effect, text: "this permits everything to everybody who signs in",
		suggestion: "name a principal, an action or a resource, unless that is what you want",
	}, free
}

// restricts reports whether a condition is more than true.
func restricts(c *syntax.Condition) bool {
	n := bare(c.Body)
	return n.Kind != syntax.Literal || n.Value != types.Boolean(!c.Unless)
}

// bare is an expression without brackets around it.
func bare(n *syntax.Node) *syntax.Node {
	for n.Kind == syntax.Paren {
		n = n.Args[0]
	}
	return n
}

// mutableAttributes are those that a person, or somebody who manages people, can change
// or give to somebody else.
var mutableAttributes = []string{"email", "name", "claim_upn", "claim_email", "claim_preferred_username", "claim_name", "claim_unique_name"}

// mutable finds people who are told apart by what can change.
func (p *subject) mutable() []finding {
	var all []finding
	for _, c := range p.syntax.Conditions {
		syntax.Walk(c.Body, func(n *syntax.Node) bool {
			if of, ok := mutableIn(n); ok {
				severity := Warning
				if n.Kind == syntax.Like {
					severity = Info
				}
				all = append(all, finding{
					severity: severity, code: "mutable-claim", at: spot(of),
					text: fmt.Sprintf("%s can change, and be given to somebody else", p.words(of)), suggestion: `name people by principal == User::"…", or better by a group`,
				})
			}
			return true
		})
	}
	return all
}

// mutableIn is the attribute that an expression compares with a text.
func mutableIn(n *syntax.Node) (of *syntax.Node, ok bool) {
	switch {
	case n.Kind == syntax.Compare && n.Name == "==" || n.Kind == syntax.Method && n.Name == "contains":
		for i, a := range n.Args {
			if other := bare(n.Args[1-i]); isMutable(a) && (other.Kind == syntax.Literal || other.Kind == syntax.Set) {
				return bare(a), true
			}
		}
	case n.Kind == syntax.Like:
		return bare(n.Args[0]), isMutable(n.Args[0])
	}
	return nil, false
}

func isMutable(n *syntax.Node) bool {
	base, name, ok := strings.Cut(pathOf(n), "\x00")
	return ok && base == "principal" && slices.Contains(mutableAttributes, name)
}

// omissions finds arguments by whose absence a call gets past a forbid.
func (w *world) omissions(p *subject) []finding {
	if p.syntax.Permit {
		return nil
	}
	var all []finding
	for _, c := range p.syntax.Conditions {
		if c.Unless {
			continue
		}
		for _, n := range conjuncts(c.Body) {
			if n.Kind != syntax.Has || !strings.HasPrefix(pathOf(&syntax.Node{Kind: syntax.Attribute, Name: n.Name, Args: n.Args}), "context\x00input\x00") {
				continue
			}
			f := finding{severity: Info, code: "bypass-by-omission", at: n.NameSpan, expr: n, objects: w.optional(p, n)}
			if len(f.objects) == 0 {
				continue
			}
			f.text = fmt.Sprintf("whoever leaves the argument %s of %s out gets past this forbid", quoted(n.Name), object0)
			f.suggestion = fmt.Sprintf("if leaving it out is no better, write unless { %s && … } with what is harmless", p.words(n))
			all = append(all, f)
		}
	}
	return all
}

// conjuncts are the parts of an expression that all have to be true.
func conjuncts(n *syntax.Node) []*syntax.Node {
	n = bare(n)
	if n.Kind != syntax.And {
		return []*syntax.Node{n}
	}
	var all []*syntax.Node
	for _, a := range n.Args {
		all = append(all, conjuncts(a)...)
	}
	return all
}

// optional are the objects that a policy is about, and whose argument, for which has
// asks, may be left out.
func (w *world) optional(p *subject, n *syntax.Node) []*object {
	name := n.Name
	if bare(n.Args[0]).Kind == syntax.Variable {
		name = strings.TrimPrefix(name, "arg_")
	}
	var all []*object
	for _, o := range p.about {
		if f, ok := o.Shape().Input.Field(name); ok && !f.Required {
			all = append(all, o)
		}
	}
	return all
}

// withoutEscape finds a forbid that nobody gets past, whoever they are, among policies that
// tell people apart: neither its scope nor its conditions look at who asks, or with which
// app, or how they signed in.
func (w *world) withoutEscape(p *subject) (finding, bool) {
	if p.syntax.Permit || p.looksAtCaller() || p.observed() || !w.tellsApart {
		return finding{}, false
	}
	return finding{
		severity: Info, code: "no-break-glass", at: p.syntax.Effect, text: "nobody gets past this forbid, also not in an emergency",
		suggestion: `if somebody has to, write unless { principal in Group::"…" }`,
	}, true
}

// looksAtCaller reports whether a policy looks at who asks, how they signed in, or with
// which app.
func (p *subject) looksAtCaller() bool {
	looks := p.syntax.Principal.Op != ""
	for _, c := range p.syntax.Conditions {
		syntax.Walk(c.Body, func(n *syntax.Node) bool {
			path := pathOf(n)
			looks = looks || path == "principal" || path == "context\x00app" || path == "context\x00auth"
			return !looks
		})
	}
	return looks
}
