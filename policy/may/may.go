// Package may finds out what a policy may come to while some of what it looks at
// is not known yet, such as the arguments of a call when tools are listed.
//
// A [Program] is a policy made ready. [Program.Outcomes] walks it with what an [Env]
// knows, as cedar-go would, but where a value is not known it goes on with what is
// known of it: its type, the texts it can be, whether it is there at all. The answer
// holds every result that the policy can have once all is known. It may hold more:
// that one value is looked at twice is not followed, so that for it
// context.input.n == context.input.n could be false.
//
// Who asks about many objects for one principal does so of the program that
// [Program.Specialise] makes, in which all that depends on the principal is decided.
package may

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// An Outcome is the set of what a policy may come to.
type Outcome uint8

// The members of an Outcome.
const (
	True  Outcome = 1 << iota // satisfied
	False                     // not satisfied
	Error                     // cannot be evaluated
)

// String names the members, such as "true or error".
func (o Outcome) String() string {
	return [...]string{
		"nothing", "true", "false", "true or false",
		"error", "true or error", "false or error", "true, false or error",
	}[o&(True|False|Error)]
}

// An Env is what is known.
type Env struct {
	Principal, Action, Resource types.EntityUID
	// Entities holds principal and resource, with their attributes and ancestors,
	// and all that they lead to.
	Entities types.EntityGetter
	// AnyPrincipal and AnyResource say that of that entity only type and
	// ancestors are known: neither its id nor its attributes. If Entities does not have
	// it, its ancestors are not known either.
	AnyPrincipal, AnyResource bool
	// Known are the attributes of the context that are known.
	Known types.Record
	// Partly are those that are records of which some members are known, which are not
	// in Known: the other members are those that Unknown has.
	Partly map[types.String]types.Record
	// Unknown is the type of the rest, a Record; an attribute in neither is absent.
	Unknown *typed.Type
	// Doubt is what is not known of Principal, beside what Entities says; nil for nothing.
	Doubt *Doubt
	// Later are types of entities of which Entities may say more than it does to
	// [Program.Specialise].
	Later []types.EntityType
}

// A Doubt is what may be so of an entity beside what is known of it.
type Doubt struct {
	// Attributes are those that it may have, a Record; nil for none.
	Attributes *typed.Type
	// Tags says that it may have any tags.
	Tags bool
	// In reports whether it may be in an entity, by whatever way; nil for in none.
	In func(types.EntityUID) bool
}

// A Program is a policy made ready. It never changes.
type Program struct{ root *node }

// Compile makes a policy ready. Of one that is nested too deep to be followed, all may come.
func Compile(p *ast.Policy) *Program {
	b := &builder{}
	root := b.policy(p)
	if b.deep {
		root = constant(value{form: ofType, typ: anything})
	}
	return &Program{root: root}
}

// Outcomes is what the policy, scope and conditions, may come to in env. It may
// hold too much, never too little.
func (p *Program) Outcomes(env *Env) Outcome {
	m := machine{env: env}
	return p.root.outcome(&m)
}

// Specialise makes the program for one principal and action. It must only be asked
// about an Env with the same Principal, AnyPrincipal and Action, with all that is Known in env, and
// whose Entities say the same of every entity that env's have, and add none that
// principal or action lead to, but for entities of a type in Later. Resource, AnyResource and
// Unknown of env are not looked at; the type of what is asked about with AnyResource
// must be in Later, unless env's Entities have none of it.
func (p *Program) Specialise(env *Env) *Program {
	b := &builder{env: &Env{
		Principal: env.Principal, AnyPrincipal: env.AnyPrincipal, Action: env.Action,
		Entities: env.Entities, Known: env.Known, Later: env.Later, Doubt: env.Doubt,
	}}
	root := b.again(p.root)
	if root == p.root {
		return p
	}
	return &Program{root: root}
}

// Constant is what the policy may come to if that is the same in every Env.
func (p *Program) Constant() (Outcome, bool) {
	if p.root.op != opConst {
		return 0, false
	}
	return p.root.val.outcome(), true
}

// Satisfiable reports whether the policy may be satisfied in some Env. It may say so
// of one that is not, and never the other way round.
func (p *Program) Satisfiable() bool {
	if p.root.op == opAnd {
		return !slices.ContainsFunc(p.root.args, func(n *node) bool { return n.op == opConst && n.val.outcome()&True == 0 })
	}
	return p.root.op != opConst || p.root.val.outcome()&True != 0
}
