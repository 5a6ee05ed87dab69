package may

import (
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/typed"
)

// An op is what a node does with its arguments.
type op uint8

const (
	opConst op = iota
	opPrincipal
	opAction
	opResource
	opContext
	opAnd // of any number
	opOr  // of any number
	opNot
	opIf
	opEqual
	opNotEqual
	opLess
	opLessOrEqual
	opGreater
	opGreaterOrEqual
	opIn
	opIs
	opIsIn
	opHas
	opHasTag
	opLike
	opContains
	opContainsAll
	opContainsAny
	opIsEmpty
	opAccess // from here on, what is not always a Bool
	opGetTag
	opCall // arithmetic, too
	opRecord
	opSet
)

// bool reports whether the node has no value but a Bool.
func (o op) bool() bool { return o >= opAnd && o < opAccess && o != opIf }

// A node is one expression. It never changes.
type node struct {
	op   op
	args []*node
	// guarded says of opAccess and opGetTag that it is only reached where
	// what it asks for is there.
	guarded bool
	val     value             // of opConst
	name    types.String      // of opHas and opAccess
	typ     types.EntityType  // of opIs and opIsIn
	uids    []types.EntityUID // right of opIn and opIsIn, where listed
	listed  bool              // uids are all of the right side
	pattern types.Pattern     // of opLike
	any     bool              // pattern fits every text
	keys    []types.String    // of opRecord
	fn      *function         // of opCall
}

func constant(v value) *node { return &node{op: opConst, val: v} }

// A machine evaluates nodes in one Env.
type machine struct {
	env   *Env
	steps int  // that comparing unknown values has taken
	early bool // it looked at an entity of which more may be known later
}

// outcome evaluates a node where a Bool is wanted.
func (n *node) outcome(m *machine) Outcome {
	switch n.op {
	case opConst:
		return n.val.outcome()
	case opAnd:
		return n.junction(m, True)
	case opOr:
		return n.junction(m, False)
	case opNot:
		return n.args[0].outcome(m).not()
	case opIf:
		return n.choose(m)
	case opHas, opIs, opLike, opIsEmpty:
		v := n.args[0].value(m)
		return n.properties(m, &v)
	case opEqual, opNotEqual, opLess, opLessOrEqual, opGreater, opGreaterOrEqual,
		opContains, opContainsAll, opContainsAny, opHasTag:
		return n.binary(m)
	case opIn:
		return n.in(m)
	case opIsIn:
		return n.isIn(m)
	}
	v := n.value(m)
	return v.outcome()
}

// value evaluates a node.
func (n *node) value(m *machine) value {
	switch n.op {
	case opConst:
		return n.val
	case opPrincipal:
		return known(&m.env.Principal, m.env.AnyPrincipal)
	case opAction:
		return known(&m.env.Action, false)
	case opResource:
		return known(&m.env.Resource, m.env.AnyResource)
	case opContext:
		return value{form: theContext}
	case opIf:
		return n.either(m)
	case opAccess:
		return n.access(m)
	case opGetTag:
		return n.getTag(m)
	case opCall:
		return n.invoke(m)
	case opRecord:
		return n.record(m)
	case opSet:
		return n.set(m)
	}
	return ofOutcome(n.outcome(m))
}

// known is the value of a variable.
func known(uid *types.EntityUID, any bool) value {
	if any {
		return value{form: someEntity, uid: uid}
	}
	return value{form: exact, uid: uid}
}

func (o Outcome) not() Outcome {
	return o&Error | o&True<<1 | o&False>>1
}

// junction is that of && where goesOn is True, of || where it is False.
func (n *node) junction(m *machine, goesOn Outcome) Outcome {
	var all Outcome
	for _, a := range n.args {
		o := a.outcome(m)
		all |= o &^ goesOn
		if o&goesOn == 0 {
			return all
		}
	}
	return all | goesOn
}

// choose is opIf where a Bool is wanted.
func (n *node) choose(m *machine) Outcome {
	cond := n.args[0].outcome(m)
	o := cond & Error
	if cond&True != 0 {
		o |= n.args[1].outcome(m)
	}
	if cond&False != 0 {
		o |= n.args[2].outcome(m)
	}
	return o
}

// either is the value of opIf.
func (n *node) either(m *machine) value {
	cond := n.args[0].outcome(m)
	var v value
	switch cond &^ Error {
	case True:
		v = n.args[1].value(m)
	case False:
		v = n.args[2].value(m)
	case True | False:
		v = join(n.args[1].value(m), n.args[2].value(m))
	}
	v.fails = v.fails || cond&Error != 0
	return v
}

// properties is what opHas, opIs, opIsIn, opLike and opIsEmpty say of a value.
func (n *node) properties(m *machine, v *value) Outcome {
	if v.form == none {
		return Error
	}
	var o Outcome
	if v.fails {
		o = Error
	}
	for a := v; a != nil; a = a.or {
		o |= n.property(m, a)
	}
	return o
}

// property is properties of a value without alternatives.
func (n *node) property(m *machine, v *value) Outcome {
	switch n.op {
	case opHas:
		return m.has(n, v)
	case opLike:
		return n.like(v)
	case opIsEmpty:
		return isEmpty(v)
	}
	return n.is(v)
}

func (n *node) binary(m *machine) Outcome {
	left, right := n.args[0].value(m), n.args[1].value(m)
	if left.form == none || right.form == none {
		return Error
	}
	var o Outcome
	if left.fails || right.fails {
		o = Error
	}
	for a := &left; a != nil; a = a.or {
		for b := &right; b != nil; b = b.or {
			o |= n.relation(m, a, b)
		}
	}
	return o
}

// relation is what a binary operator says of two values without alternatives.
func (n *node) relation(m *machine, a, b *value) Outcome {
	switch n.op {
	case opEqual:
		return m.equal(a, b)
	case opNotEqual:
		return m.equal(a, b).not()
	case opContains:
		return m.contains(a, b)
	case opContainsAll:
		return m.containsAll(a, b)
	case opContainsAny:
		return m.containsAny(a, b)
	case opHasTag:
		return m.hasTag(a, b)
	}
	return n.order(a, b)
}

// ordered are the kinds that < can compare.
const ordered = kinds(1<<typed.Long | 1<<typed.Datetime | 1<<typed.Duration)

// order is <, <=, > and >=.
func (n *node) order(a, b *value) Outcome {
	ka, kb := a.kindsOne(), b.kindsOne()
	both := ka & kb & ordered
	if both == 0 {
		return Error
	}
	if a.form == exact && b.form == exact {
		return n.compare(a.known, b.known)
	}
	if ka == both && kb == both {
		return True | False
	}
	return True | False | Error
}

func (n *node) compare(a, b types.Value) Outcome {
	left, ok := a.(interface {
		LessThan(types.Value) (bool, error)
		LessThanOrEqual(types.Value) (bool, error)
	})
	if !ok {
		return Error
	}
	compare := left.LessThan
	if n.op == opLessOrEqual || n.op == opGreater {
		compare = left.LessThanOrEqual
	}
	less, err := compare(b)
	if err != nil {
		return Error
	}
	if n.op == opGreater || n.op == opGreaterOrEqual {
		less = !less
	}
	return decided(less)
}

func (n *node) is(v *value) Outcome {
	switch {
	case v.form == someEntity:
		return decided(v.uid.Type == n.typ)
	case v.form == exact:
		uid, ok := v.entity()
		if !ok {
			return Error
		}
		return decided(uid.Type == n.typ)
	case v.form == ofType && v.typ.Kind == typed.Unknown:
		return True | False | Error
	case v.form == ofType && v.typ.Kind == typed.Entity:
		if v.typ.Entity == "" {
			return True | False
		}
		return decided(v.typ.Entity == n.typ)
	}
	return Error
}

func (n *node) like(v *value) Outcome {
	switch v.form {
	case exact:
		s, ok := v.known.(types.String)
		if !ok {
			return Error
		}
		return decided(n.pattern.Match(s))
	case ofType:
		switch v.typ.Kind {
		case typed.Unknown:
			return n.likeAny() | Error
		case typed.String:
			return n.likeOne(v.typ.Enum)
		}
	}
	return Error
}

func (n *node) likeAny() Outcome {
	if n.any {
		return True
	}
	return True | False
}

// likeOne is like of one of the texts, nil for any.
func (n *node) likeOne(texts []string) Outcome {
	if len(texts) == 0 {
		return n.likeAny()
	}
	var o Outcome
	for _, s := range texts {
		o |= decided(n.pattern.Match(types.String(s)))
		if o == True|False {
			break
		}
	}
	return o
}

// record evaluates the members of a record.
func (n *node) record(m *machine) value {
	parts, fails, all := n.evaluate(m)
	if parts == nil {
		return value{}
	}
	if !all {
		return value{form: aRecord, parts: &parts, fails: fails}
	}
	r := make(types.RecordMap, len(parts))
	for _, p := range parts {
		r[p.name] = p.val.box()
	}
	return value{form: exact, known: types.NewRecord(r), fails: fails}
}

// set evaluates the members of a set.
func (n *node) set(m *machine) value {
	parts, fails, all := n.evaluate(m)
	if parts == nil {
		return value{}
	}
	if !all {
		return value{form: aSet, parts: &parts, fails: fails}
	}
	s := make([]types.Value, len(parts))
	for i, p := range parts {
		s[i] = p.val.box()
	}
	return value{form: exact, known: types.NewSet(s...), fails: fails}
}

// evaluate evaluates the arguments of a record or set, and says whether that may fail and whether
// all are known. It is nil if it certainly fails.
func (n *node) evaluate(m *machine) (parts []part, fails, all bool) {
	parts, all = make([]part, len(n.args)), true
	for i, a := range n.args {
		v := a.value(m)
		if v.form == none {
			return nil, true, false
		}
		fails = fails || v.fails
		v.fails = false
		all = all && v.form == exact && v.or == nil
		parts[i].val = v
		if n.op == opRecord {
			parts[i].name = n.keys[i]
		}
	}
	return parts, fails, all
}
