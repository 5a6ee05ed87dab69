package may

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/typed"
)

// in evaluates opIn.
func (n *node) in(m *machine) Outcome {
	left := n.args[0].value(m)
	if left.form == none {
		return Error
	}
	var o Outcome
	if left.fails {
		o = Error
	}
	if n.listed {
		for a := &left; a != nil; a = a.or {
			o |= m.inList(a, n.uids)
		}
		return o
	}
	right := n.args[1].value(m)
	if right.form == none {
		return Error
	}
	if right.fails {
		o |= Error
	}
	for a := &left; a != nil; a = a.or {
		for b := &right; b != nil; b = b.or {
			o |= m.in(a, b)
		}
	}
	return o
}

// isIn evaluates opIsIn, whose right side only matters where the type is right.
func (n *node) isIn(m *machine) Outcome {
	left := n.args[0].value(m)
	o := n.properties(m, &left)
	if o&True == 0 {
		return o
	}
	return o&^True | n.in(m)
}

// in is that of values without alternatives.
func (m *machine) in(v, right *value) Outcome {
	if v.kindsOne()&of(typed.Entity) == 0 {
		return Error
	}
	switch right.form {
	case exact:
		if uids, ok := list(right, nil); ok {
			return m.inList(v, uids)
		}
	case someEntity:
		return m.inType(v, right.uid.Type)
	case ofType:
		return m.inSome(v, right.typ)
	case aSet:
		return m.inParts(v, *right.parts)
	}
	return Error
}

// list is an entity or a set of nothing but entities, added to uids.
func list(v *value, uids []types.EntityUID) ([]types.EntityUID, bool) {
	if uid, ok := v.entity(); ok {
		return append(uids, uid), true
	}
	s, ok := v.known.(types.Set)
	if !ok {
		return nil, false
	}
	for e := range s.All() {
		uid, ok := e.(types.EntityUID)
		if !ok {
			return nil, false
		}
		uids = append(uids, uid)
	}
	return uids, true
}

// inList is in one of the entities.
func (m *machine) inList(v *value, uids []types.EntityUID) Outcome {
	switch v.form {
	case someEntity:
		if _, ok := m.get(*v.uid); !ok {
			return True | False
		}
		o := m.reaches(*v.uid, uids)
		if o == False && slices.ContainsFunc(uids, func(u types.EntityUID) bool { return u.Type == v.uid.Type }) {
			return True | False
		}
		return o
	case ofType:
		return inUnknown(v, len(uids) > 0)
	}
	uid, ok := v.entity()
	switch {
	case !ok:
		return Error
	case slices.Contains(uids, uid):
		return True
	case m.hidden(uid.Type):
		return True | False
	}
	return m.reaches(uid, uids)
}

// inUnknown is what an unknown value is in, where there is something to be in.
func inUnknown(v *value, can bool) Outcome {
	var o Outcome
	switch v.typ.Kind {
	case typed.Unknown:
		o = Error | False
	case typed.Entity:
		o = False
	default:
		return Error
	}
	if can {
		o |= True
	}
	return o
}

// inType is in some entity of a type, any if that is "".
func (m *machine) inType(v *value, t types.EntityType) Outcome {
	if v.form == ofType {
		return inUnknown(v, true)
	}
	var uid types.EntityUID
	if v.form == someEntity {
		uid = *v.uid
		if _, ok := m.get(uid); !ok {
			return True | False
		}
	} else {
		var ok bool
		if uid, ok = v.entity(); !ok {
			return Error
		}
	}
	if t == "" || uid.Type == t || v.form == exact && m.hidden(uid.Type) {
		return True | False
	}
	return m.reachesType(uid, t) | False
}

// inSome is in some value of a type.
func (m *machine) inSome(v *value, t *typed.Type) Outcome {
	switch t.Kind {
	case typed.Unknown:
		return True | False | Error
	case typed.Entity:
		return m.inType(v, t.Entity)
	case typed.Set:
		return m.inSomeSet(v, t.Elem)
	}
	return Error
}

// inSomeSet is in some set of a type, which may be empty.
func (m *machine) inSomeSet(v *value, elem *typed.Type) Outcome {
	e := some(elem)
	switch e.kindsOne() {
	case of(typed.Entity):
		return m.in(v, &e)
	case allKinds:
		return True | False | Error
	}
	return m.inList(v, nil) | Error
}

// inParts is in one of the members of a set.
func (m *machine) inParts(v *value, parts []part) Outcome {
	var sure bool
	var any Outcome
	for i := range parts {
		var one Outcome
		for a := &parts[i].val; a != nil; a = a.or {
			k := a.kindsOne()
			if k != of(typed.Entity) {
				one |= Error
			}
			if k&of(typed.Entity) != 0 {
				one |= m.in(v, a)
			}
		}
		if one == Error {
			return Error
		}
		sure = sure || one&^Error == True
		any |= one
	}
	if sure {
		any &^= False
	}
	return any
}

// reaches is whether one of the entities is above uid.
func (m *machine) reaches(uid types.EntityUID, uids []types.EntityUID) Outcome {
	return m.above(uid, func(parents types.EntityUIDSet) bool {
		for i := range uids {
			if parents.Contains(uids[i]) {
				return true
			}
		}
		return false
	}, func(d *Doubt) bool { return slices.ContainsFunc(uids, d.In) })
}

// reachesType is whether some entity of the type is above uid.
func (m *machine) reachesType(uid types.EntityUID, t types.EntityType) Outcome {
	return m.above(uid, func(parents types.EntityUIDSet) bool {
		for p := range parents.All() {
			if p.Type == t {
				return true
			}
		}
		return false
	}, func(*Doubt) bool { return true })
}

// above is whether found says so of the parents of uid or of anything above it. What is
// above an entity in doubt may be another, if doubtful says so.
func (m *machine) above(uid types.EntityUID, found func(types.EntityUIDSet) bool, doubtful func(*Doubt) bool) Outcome {
	var todo []types.EntityUID
	var seen map[types.EntityUID]bool
	no := False
	for {
		if d := m.doubt(uid); d != nil && d.In != nil && doubtful(d) {
			no = True | False
		}
		e, ok := m.get(uid)
		if ok && found(e.Parents) {
			return True
		}
		for p := range e.Parents.All() {
			if m.hidden(p.Type) {
				no = True | False // whatever is above that
				continue
			}
			above, ok := m.get(p)
			if m.doubt(p) == nil && (!ok || above.Parents.Len() == 0) || seen[p] {
				continue
			}
			if seen == nil {
				seen = make(map[types.EntityUID]bool)
			}
			seen[p] = true
			todo = append(todo, p)
		}
		if len(todo) == 0 {
			return no
		}
		uid, todo = todo[len(todo)-1], todo[:len(todo)-1]
	}
}
