// Package explain says in words, and in Cedar, what policies let somebody do: always,
// only when some condition holds, or never; and of one request, why it is allowed or
// denied, and what it still lacks.
//
//	answer := explain.Of(engine, caller, tool)
//	fmt.Println(answer.Outcome, answer.Condition(), answer.Sentence())
//
// Who asks about many callers and tools does so of one [Explainer], which remembers
// what it found out.
package explain

import (
	"maps"
	"sync"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"
)

// An Outcome says which requests of a caller about an object policies allow.
type Outcome uint8

// The outcomes.
const (
	Never     Outcome = iota // none
	Sometimes                // those for which a condition holds
	Always                   // all
)

// String is never, sometimes or always.
func (o Outcome) String() string { return [...]string{"never", "sometimes", "always"}[o] }

// An Answer is what policies say of all requests of a caller about an object whose
// arguments are as its schema says, and such as Cedar can hold. It says what policies
// decide, also where that is only observed. It never changes, and is safe for
// concurrent use; equal answers may be the same one.
type Answer struct {
	Outcome Outcome
	// Why says, for Never, in a few words why; "" otherwise.
	Why string
	// Permits and Forbids are the policies that matter, in the order of their files.
	Permits, Forbids []Part
	// Template says that it is about any resource of a template: then nothing is
	// known but that some may be read, or none.
	Template bool

	targets []string
	form    *form
	text    func() string
}

// A Part is a policy with what it comes to for a caller and an object.
type Part struct {
	Policy *source.Policy
	form   *form // a permit is satisfied, a forbid is not
	skip   bool  // a forbid that cannot be evaluated forbids nothing
}

// Condition is, in Cedar, that a permit is satisfied, or that a forbid is not. Where
// evaluating it fails, it is false, but for a forbid of an engine that skips those
// which fail.
func (p Part) Condition() string { return ast.Text(p.form.cedar(nil)) }

// Exact reports whether evaluating the condition never fails.
func (p Part) Exact() bool { return !p.form.fallible() }

// Condition is what has to hold, in Cedar: true for Always and false for Never. It
// is "" for a template of which nothing can be said. It names targets of binds, such as
// context has target, where a request is denied that leads to none.
func (a *Answer) Condition() string {
	switch {
	case a.Outcome == Always:
		return "true"
	case a.Outcome == Never:
		return "false"
	case a.Template:
		return ""
	}
	return a.text()
}

// Exact reports whether evaluating the condition never fails. Where it does, such as by
// an overflow, what counts is each part by itself.
func (a *Answer) Exact() bool { return a.Template || a.form == nil || !a.form.fallible() }

// An Explainer explains what one engine decides. It is safe for concurrent use.
type Explainer struct {
	engine *policy.Engine
	known  types.Record // of the context of all requests

	mu      sync.Mutex
	answers map[string]*Answer        // guarded by mu
	parts   map[partKey]*keyed        // guarded by mu
	looks   map[*source.Policy]*looks // guarded by mu
}

// New makes an explainer.
func New(e *policy.Engine) *Explainer {
	return &Explainer{engine: e, answers: map[string]*Answer{}, parts: map[partKey]*keyed{}, looks: map[*source.Policy]*looks{}}
}

// Knowing is an explainer of requests of which that much of the context is known, such as
// [policy.Engine.Circumstances] makes it.
func (x *Explainer) Knowing(context types.Record) *Explainer {
	made := New(x.engine)
	made.known = context
	return made
}

// Of is what the engine decides about requests of p about o.
func Of(e *policy.Engine, p *policy.Principal, o *policy.Object) *Answer { return New(e).Of(p, o) }

// Of is what the engine decides about requests of p about o.
func (x *Explainer) Of(p *policy.Principal, o *policy.Object) *Answer {
	l := x.outlook(p, o)
	switch {
	case l.Denied != "":
		return &Answer{Why: l.Denied}
	case l.AnyResource:
		return x.template(l, x.engine.View(p, []*policy.Object{o})[0])
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.answer(l, o)
}

// outlook is that of the engine with what is known beside.
func (x *Explainer) outlook(p *policy.Principal, o *policy.Object) *policy.Outlook {
	l := x.engine.Outlook(p, o)
	if l.Denied == "" && x.known.Len() > 0 {
		known := l.Env.Context.(types.Record).Map()
		maps.Copy(known, x.known.Map())
		l.Env.Context = types.NewRecord(known)
	}
	return l
}

// template is the answer about any resource of a template.
func (x *Explainer) template(l *policy.Outlook, shown bool) *Answer {
	a := &Answer{Template: true, Outcome: Sometimes}
	if !shown {
		a.Outcome, a.Why = Never, "no policy permits any of its resources"
	}
	for _, c := range l.Permits {
		a.Permits = append(a.Permits, Part{Policy: c.Policy, form: truth})
	}
	for _, c := range l.Forbids {
		a.Forbids = append(a.Forbids, Part{Policy: c.Policy, form: truth})
	}
	return a
}

// make is the answer that parts are together.
func (x *Explainer) make(permits, forbids []Part, targets []string) *Answer {
	a := &Answer{Permits: permits, Forbids: forbids, targets: targets}
	var any []*form
	for _, p := range permits {
		any = append(any, p.form)
	}
	permitted := either(any...)
	all := []*form{permitted}
	for _, p := range forbids {
		all = append(all, p.form)
	}
	for _, name := range targets {
		all = append(all, is(targetAtom(name)))
	}
	a.form = simplify(both(all...))
	a.text = sync.OnceValue(func() string { return ast.Text(a.form.cedar(nil)) })
	switch a.form {
	case truth:
		a.Outcome = Always
	case falsity:
		a.Why = whyNever(permitted, forbids)
	default:
		a.Outcome = Sometimes
	}
	return a
}

// targetAtom is that something is known of what arguments lead to.
func targetAtom(name string) *atom {
	n := ast.Has{StrOpNode: ast.StrOpNode{Arg: ast.Variable{Name: "context"}, Value: types.String(name)}}
	return &atom{key: ast.Text(n), node: n, has: true}
}

func whyNever(permitted *form, forbids []Part) string {
	if permitted == falsity {
		return "no policy permits it"
	}
	for _, p := range forbids {
		if p.form == falsity {
			return "always forbidden by " + p.Policy.ID
		}
	}
	return "whatever is permitted is forbidden"
}

// satisfiable reports whether a candidate need be looked at.
func satisfiable(c policy.Candidate) bool { return c.Outcome&may.True != 0 }
