package policy

import (
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// An Outlook is what can be said of all requests of a caller about an object before
// one comes. What it holds must not be changed.
type Outlook struct {
	// Denied says why every request is denied whatever policies say, "" if none is.
	Denied string
	// Class is equal for callers that no policy tells apart.
	Class string
	// Permits and Forbids are the policies in effect that may matter, in order.
	Permits, Forbids []Candidate
	// Env holds what is known: of the context, only the app.
	Env ast.Env
	// Context is the type of the rest of it.
	Context *typed.Type
	// AnyResource says that Env's resource stands for others, of which only the type
	// and what it is in are known.
	AnyResource bool

	about *about
	asked []*rule // also those that cannot be satisfied: what they look at is checked
}

// A Candidate is a policy, and what it may come to.
type Candidate struct {
	Policy  *source.Policy
	Outcome may.Outcome
}

// Outlook is that of p about o. Nothing of it is remembered, but for what is found
// out about p and o for all requests.
func (e *Engine) Outlook(p *Principal, o *Object) *Outlook {
	if why := e.GroupsNeeded(p); why != "" {
		return &Outlook{Denied: "the caller's groups are not known: " + why}
	}
	if o.disguised {
		return &Outlook{Denied: "the URI has a simpler spelling"}
	}
	c := e.classOf(p)
	a := e.about(o)
	env, x := c.env(o.kind), c.index(o.kind)
	c.about(env, o, a)
	l := &Outlook{Class: c.key, Context: a.unknown, AnyResource: o.template, about: a}
	l.Env = ast.Env{Principal: c.entity.UID, Action: actions[o.kind], Resource: o.entity.UID, Context: c.known, Entities: env.Entities}
	all := slices.Concat(x.permits.of(o, a.ancestors), x.forbids.of(o, a.ancestors))
	slices.Sort(all)
	for _, i := range all {
		r := x.rules[i]
		l.asked = append(l.asked, r)
		outcome := x.programs[i].Outcomes(env)
		switch {
		case outcome == may.False:
		case r.Permit:
			l.Permits = append(l.Permits, Candidate{r.Policy, outcome})
		default:
			l.Forbids = append(l.Forbids, Candidate{r.Policy, outcome})
		}
	}
	return l
}

// Arguments are the names of the top-level arguments that policies look at, sorted:
// a request is denied where Cedar cannot hold one. all says that they are looked at
// as a whole.
func (l *Outlook) Arguments() (names []string, all bool) {
	found := set{}
	for _, r := range l.asked {
		more, everything := r.reads.wants(l.about.binds)
		maps.Copy(found, more)
		all = all || everything
	}
	return slices.Sorted(maps.Keys(found)), all
}

// Targets are the attributes of the context that policies look at and binds make of
// arguments, in order: a request is denied where one leads to nothing.
func (l *Outlook) Targets() []string {
	if l.about == nil || len(l.about.binds) == 0 {
		return nil
	}
	var names []string
	for _, b := range l.about.binds {
		if slices.ContainsFunc(l.asked, func(r *rule) bool { return r.reads.at(b.Name) }) {
			names = append(names, b.Name)
		}
	}
	return names
}

// RequestEnv is what conditions are evaluated in for a request, with everything
// that policies look at. It fails where policies cannot be asked.
func (e *Engine) RequestEnv(r *Request) (ast.Env, error) {
	c := e.classOf(r.Principal)
	a := e.about(r.Object)
	context, err := e.context(r, r.Principal.Auth, c.app, a, &e.reads)
	if err != nil { // for what another object's policies look at, perhaps
		context, err = e.context(r, r.Principal.Auth, c.app, a, &c.ruling(r.Object).reads)
	}
	return ast.Env{
		Principal: c.entity.UID, Action: actions[r.Object.kind], Resource: r.Object.entity.UID,
		Context: context, Entities: &world{class: c, about: a},
	}, err
}

// SkipsErrors reports whether a forbid that cannot be evaluated forbids nothing.
func (e *Engine) SkipsErrors() bool { return e.o.SkipErrors }

// Circumstances are some attributes of the context of a request, which may be app, auth,
// session, ip and now.
func (e *Engine) Circumstances(r *Request, names ...string) types.Record {
	about := &reads{}
	about.context.add(names...)
	bare := *r
	bare.Object = &Object{kind: aResource}
	context, _ := e.context(&bare, r.Principal.Auth, r.Principal.app(), nil, about) // which fails for arguments only
	return context
}
