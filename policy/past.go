package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/may"
	"github.com/mcpagg/mcpagg/policy/source"
)

// A Past is what is known of a request of the past, such as a log tells it. What is not
// said in it may have been anything. In maps, nil says that there was no such value.
type Past struct {
	Object    *Object
	Principal types.EntityUID
	// Attributes are those of the principal.
	Attributes map[string]types.Value
	// In is what the principal was in directly, and Doubtful reports whether it may have
	// been in an entity that is not in In; nil for in none.
	In       []types.EntityUID
	Doubtful func(types.EntityUID) bool
	// Groups says whether the gateway knew all groups of the principal, Unresolved of
	// which groups it did not.
	Groups     Membership
	Unresolved []string

	// Context has attributes of the context, but for those that are records, of which
	// Members has the members.
	Context map[string]types.Value
	Members map[string]map[string]types.Value

	// ArgumentsKnown says that Arguments and Raw are as in a [Request], but for white
	// space in Raw. Nothing of them but bytes is in Context and Members then.
	ArgumentsKnown bool
	Arguments      map[string]any
	Raw            []byte
	// Least is how many bytes arguments have at least that are texts and not known.
	Least map[string]int
}

// Membership says whether it was known which groups a principal was in.
type Membership uint8

// The answers.
const (
	Unsaid     Membership = iota // nobody said
	Complete                     // all of them were known
	Incomplete                   // not all were
)

// A Judgement is what policies may decide about a request of which not all is known.
type Judgement struct {
	// MayAllow and MayDeny say what can come out. One of them at least is true.
	MayAllow, MayDeny bool
	// Permits and Forbids are the policies in effect that can have a say, in the order
	// of their files.
	Permits, Forbids []Prospect
	// Why says of a certain denial why, where no policy does.
	Why string
	// Lacks are the paths of what is not known and matters, such as
	// context.input.repo, where both can come out; sorted.
	Lacks []string
}

// A Prospect is a policy, and what it may come to.
type Prospect struct {
	Policy  *source.Policy
	Outcome may.Outcome
}

// Certain reports whether only one decision can come out.
func (j *Judgement) Certain() bool { return j.MayAllow != j.MayDeny }

// A Judge decides requests of which not all is known by the policies of one engine,
// whether or not they are enforced. It takes arguments that are not known for such as
// their schema allows. It is not safe for concurrent use.
type Judge struct {
	engine *Engine
	// below are the entities of files by what they are in, where a principal may be in them.
	below   map[types.EntityUID][]types.EntityUID
	lookups [][]lookup // of each rule
}

// Judge makes one.
func (e *Engine) Judge() *Judge {
	j := &Judge{engine: e, below: map[types.EntityUID][]types.EntityUID{}}
	for uid, entity := range e.entities {
		if !slices.Contains(memberships, uid.Type) {
			continue
		}
		for _, above := range e.ancestors(entity) {
			j.below[above] = append(j.below[above], uid)
		}
	}
	for _, r := range e.rules {
		j.lookups = append(j.lookups, lookupsOf(r.Policy))
	}
	return j
}

// memberships are the types of what principals are in, whatever files say.
var memberships = []types.EntityType{typeGroup, typeTHVGroup, typeRole, typeClient}

// Of is what the policies may decide about a request.
func (j *Judge) Of(p *Past) *Judgement {
	o := p.Object
	switch {
	case o.template:
		return &Judgement{MayDeny: true, Why: "a template is no resource"}
	case o.disguised:
		return &Judgement{MayDeny: true, Why: "the URI has a simpler spelling"}
	}
	c := j.newCase(p)
	groups := c.groups()
	if groups == Incomplete {
		return &Judgement{MayDeny: true, Why: "the caller's groups are not known"}
	}
	c.ask()
	v := c.verdict()
	if groups == Unsaid && v.MayAllow {
		v.MayDeny = true
		c.missing.add("principal.groups")
	}
	if !v.Certain() {
		v.Lacks = c.lacks()
	}
	return v
}

// groups says whether groups are known as far as policies name them.
func (c *pastCase) groups() Membership {
	e := c.judge.engine
	switch {
	case !e.reads.groups:
		return Complete
	case c.past.Groups != Complete:
		return c.past.Groups
	case slices.ContainsFunc(c.past.Unresolved, e.reads.mayName):
		return Incomplete
	}
	return Complete
}
