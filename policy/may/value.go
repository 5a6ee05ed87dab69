package may

import (
	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/typed"
)

// A form says how a value is known.
type form uint8

const (
	none       form = iota // there is no value: the evaluation fails
	exact                  // it is known, or uid if that is set
	ofType                 // some value of typ
	someEntity             // some entity of the type and with the ancestors of uid
	theContext             // the whole context
	aRecord                // a record of parts
	aSet                   // a set of parts
)

// A value is what is known of the value of an expression.
type value struct {
	form  form
	fails bool // instead, the evaluation may fail; in the first of alternatives only
	known types.Value
	uid   *types.EntityUID // instead of known, to save its allocation
	typ   *typed.Type
	parts *[]part
	or    *value // what it may be instead, or nil; never of form none
}

// A part is a member of a record, or without name of a set.
type part struct {
	name   types.String
	val    value // never of form none, does not fail
	absent bool  // it may not be there
}

// maxAlternatives is how many values one may be before only their type is kept.
const maxAlternatives = 8

// The types of values of which nothing else is known.
var (
	anything  = &typed.Type{Kind: typed.Unknown}
	boolean   = &typed.Type{Kind: typed.Bool}
	anEntity  = &typed.Type{Kind: typed.Entity}
	plainType = map[kinds]*typed.Type{
		of(typed.String): {Kind: typed.String}, of(typed.Long): {Kind: typed.Long}, of(typed.Bool): boolean,
		of(typed.Decimal): {Kind: typed.Decimal}, of(typed.Datetime): {Kind: typed.Datetime},
		of(typed.Duration): {Kind: typed.Duration}, of(typed.Address): {Kind: typed.Address},
		of(typed.Set): {Kind: typed.Set, Elem: anything}, of(typed.Entity): anEntity,
	}
)

// exactly is a known value.
func exactly(v types.Value) value { return value{form: exact, known: v} }

// some is some value of a type, anything if that is nil.
func some(t *typed.Type) value {
	if t == nil {
		t = anything
	}
	return value{form: ofType, typ: t}
}

// entity is the value's id, if it is a known entity.
func (v *value) entity() (types.EntityUID, bool) {
	if v.form != exact {
		return types.EntityUID{}, false
	}
	if v.uid != nil {
		return *v.uid, true
	}
	uid, ok := v.known.(types.EntityUID)
	return uid, ok
}

// box is a known value as Cedar has it.
func (v *value) box() types.Value {
	if v.uid != nil {
		return *v.uid
	}
	return v.known
}

// outcome is what the value may come to where a Bool is wanted.
func (v *value) outcome() Outcome {
	if v.form == none {
		return Error
	}
	var o Outcome
	if v.fails {
		o = Error
	}
	for a := v; a != nil; a = a.or {
		o |= a.outcomeOne()
	}
	return o
}

func (v *value) outcomeOne() Outcome {
	switch v.form {
	case exact:
		return truth(v.known)
	case ofType:
		switch v.typ.Kind {
		case typed.Bool:
			return True | False
		case typed.Unknown:
			return True | False | Error
		}
	}
	return Error
}

func truth(v types.Value) Outcome {
	b, ok := v.(types.Boolean)
	if !ok {
		return Error
	}
	return decided(bool(b))
}

func decided(b bool) Outcome {
	if b {
		return True
	}
	return False
}

// ofOutcome is the value of an expression that is a Bool.
func ofOutcome(o Outcome) value {
	v := value{fails: o&Error != 0}
	switch o &^ Error {
	case True:
		v.form, v.known = exact, types.True
	case False:
		v.form, v.known = exact, types.False
	case True | False:
		v.form, v.typ = ofType, boolean
	}
	return v
}

// join is what is either a or b.
func join(a, b value) value {
	fails := a.fails || b.fails || a.form == none || b.form == none
	if a.form == none {
		a, b = b, a
	}
	a.fails = fails
	if b.form == none {
		return a
	}
	b.fails = false
	n := 0
	for v := &b; v != nil; v = v.or {
		if !a.holds(v) {
			one := *v
			one.or = a.or
			a.or = &one
		}
	}
	for v := &a; v != nil; v = v.or {
		n++
	}
	if n > maxAlternatives {
		return a.widen()
	}
	return a
}

// holds reports whether one of the alternatives is plainly the same as b.
func (v *value) holds(b *value) bool {
	for a := v; a != nil; a = a.or {
		if a.form != b.form {
			continue
		}
		switch a.form {
		case exact:
			if a.box().Equal(b.box()) {
				return true
			}
		case ofType:
			if a.typ == b.typ {
				return true
			}
		}
	}
	return false
}

// widen forgets all of the alternatives but their type.
func (v *value) widen() value {
	t, ok := plainType[v.kinds()&^failure]
	if !ok {
		t = anything
	}
	return value{form: ofType, typ: t, fails: v.fails}
}

// kinds is a set of kinds of values.
type kinds uint16

const (
	failure  kinds = 1 << 15
	allKinds kinds = failure - 1
)

func of(k typed.Kind) kinds { return 1 << k }

// kinds are those that the value may have, and failure.
func (v *value) kinds() kinds {
	if v.form == none {
		return failure
	}
	var k kinds
	if v.fails {
		k = failure
	}
	for a := v; a != nil; a = a.or {
		k |= a.kindsOne()
	}
	return k
}

func (v *value) kindsOne() kinds {
	switch v.form {
	case exact:
		if v.uid != nil {
			return of(typed.Entity)
		}
		return of(typed.KindOf(v.known))
	case ofType:
		if v.typ.Kind == typed.Unknown {
			return allKinds
		}
		return of(v.typ.Kind)
	case someEntity:
		return of(typed.Entity)
	case aSet:
		return of(typed.Set)
	}
	return of(typed.Record)
}
