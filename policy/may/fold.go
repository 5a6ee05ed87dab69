package may

import (
	"github.com/cedar-policy/cedar-go/types"
)

// finish decides of a new node what can be decided.
func (b *builder) finish(n *node) *node {
	switch n.op {
	case opAnd:
		return n.simplify(True)
	case opOr:
		return n.simplify(False)
	case opIf:
		if branch := n.decideIf(); branch != n {
			return branch
		}
	case opHas, opAccess:
		if n.args[0].op == opContext {
			return b.ofContext(n)
		}
	case opIn, opIsIn:
		if right := n.args[1]; !n.listed && right.op == opConst && right.val.form == exact && right.val.or == nil && !right.val.fails {
			n.uids, n.listed = list(&right.val, nil)
		}
	}
	for _, a := range n.args {
		if a.op != opConst {
			return n
		}
	}
	if n.asksEntity() && !b.settled(&n.args[0].val) {
		return n
	}
	env := b.env
	if env == nil {
		env = &Env{}
	}
	m := &machine{env: env}
	if n.op.bool() {
		if o := n.outcome(m); !m.early {
			return sure(o)
		}
		return n
	}
	v := n.value(m)
	if m.early {
		return n
	}
	return constant(v)
}

// The nodes that most are decided to be.
var (
	yes = constant(exactly(types.True))
	no  = constant(exactly(types.False))
)

// sure is a constant Bool.
func sure(o Outcome) *node {
	switch o {
	case True:
		return yes
	case False:
		return no
	}
	return constant(ofOutcome(o))
}

// simplify drops operands of && (goesOn is True) and || (False) that say nothing.
func (n *node) simplify(goesOn Outcome) *node {
	args := make([]*node, 0, len(n.args))
	constants := true
	for _, a := range n.args {
		o := True | False | Error
		if a.op == opConst {
			if o = a.val.outcome(); o == goesOn {
				continue
			}
		} else {
			constants = false
		}
		args = append(args, a)
		if o&goesOn == 0 {
			break
		}
	}
	switch {
	case constants:
		made := node{op: n.op, args: args}
		return sure(made.junction(nil, goesOn))
	case len(args) == 1 && args[0].op.bool():
		return args[0]
	}
	return &node{op: n.op, args: args}
}

// decideIf takes a branch, if that is sure.
func (n *node) decideIf() *node {
	cond := n.args[0]
	if cond.op != opConst {
		return n
	}
	switch cond.val.outcome() {
	case True:
		return n.args[1]
	case False:
		return n.args[2]
	case Error:
		return constant(value{})
	}
	return n
}

// ofContext decides what is asked of a known part of the context.
func (b *builder) ofContext(n *node) *node {
	if b.env == nil {
		return n
	}
	v, ok := b.env.Known.Get(n.name)
	if !ok {
		return n
	}
	if n.op == opHas {
		v = types.True
	}
	return constant(exactly(v))
}

// asksEntity reports whether the node looks at the first argument as an entity.
func (n *node) asksEntity() bool {
	switch n.op {
	case opIn, opIsIn, opHas, opAccess, opHasTag, opGetTag:
		return true
	}
	return false
}

// settled reports whether what is asked of a value is known already.
func (b *builder) settled(v *value) bool {
	for a := v; a != nil; a = a.or {
		uid, ok := a.entity()
		if !ok {
			continue
		}
		if b.env == nil {
			return false
		}
		if uid == b.env.Principal || uid == b.env.Action {
			continue
		}
		if b.env.Entities == nil {
			return false
		}
		if _, ok := b.env.Entities.Get(uid); !ok {
			return false
		}
	}
	return true
}

// again makes a node once more with what is known now.
func (b *builder) again(n *node) *node {
	switch n.op {
	case opConst, opResource, opContext:
		return n
	case opPrincipal:
		if b.principal == nil {
			b.principal = constant(known(&b.env.Principal, b.env.AnyPrincipal))
		}
		return b.principal
	case opAction:
		if b.action == nil {
			b.action = constant(known(&b.env.Action, false))
		}
		return b.action
	}
	args, changed := b.againAll(n)
	switch {
	case !changed:
		return n
	case len(args) == 1 && args[0].op == opConst && n.cuts(args[0].val.outcome()): // the first is enough
		return sure(args[0].val.outcome())
	}
	made := *n
	made.args = args
	return b.finish(&made)
}

// againAll makes the arguments once more and reports whether something is new.
func (b *builder) againAll(n *node) (args []*node, changed bool) {
	constants := true
	for i, a := range n.args {
		made := b.again(a)
		constants = constants && made.op == opConst
		cut := i < len(n.args)-1 && made.op == opConst && n.cuts(made.val.outcome())
		if !changed && (made != a || cut) {
			args, changed = append(make([]*node, 0, room(n, i, cut)), n.args[:i]...), true
		}
		if changed {
			args = append(args, made)
		}
		if cut {
			return args, true
		}
	}
	if !changed {
		args = n.args
	}
	return args, changed || constants || len(args) == 1 && args[0].op == opContext
}

// room is how many arguments there will be, the one at i being the last if cut.
func room(n *node, i int, cut bool) int {
	if cut {
		return i + 1
	}
	return len(n.args)
}

// cuts reports whether after an operand of that outcome no other matters.
func (n *node) cuts(o Outcome) bool {
	return n.op == opAnd && o&True == 0 || n.op == opOr && o&False == 0
}
