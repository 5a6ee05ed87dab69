package may

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/typed"
)

// maxSteps is how often two values are compared within one evaluation before all
// others may be equal or not.
const maxSteps = 2000

// equal is == of values without alternatives, never Error.
func (m *machine) equal(a, b *value) Outcome {
	if a.form == exact && b.form == exact {
		return equalKnown(a, b)
	}
	if m.steps++; m.steps > maxSteps {
		return True | False
	}
	both := a.kindsOne() & b.kindsOne()
	switch both {
	case 0:
		return False
	case of(typed.String):
		return equalTexts(a, b)
	case of(typed.Entity):
		return decidedIf(a.entityType() != "" && b.entityType() != "" && a.entityType() != b.entityType())
	case of(typed.Record):
		if a.shaped() && b.shaped() {
			return m.equalRecords(a, b)
		}
	case of(typed.Set):
		if a.shaped() && b.shaped() {
			return m.equalSets(a, b)
		}
	}
	return True | False
}

// decidedIf is False, if that is sure.
func decidedIf(differ bool) Outcome {
	if differ {
		return False
	}
	return True | False
}

func equalKnown(a, b *value) Outcome {
	if a.uid == nil && b.uid == nil {
		return decided(a.known.Equal(b.known))
	}
	left, ok := a.entity()
	right, also := b.entity()
	return decided(ok && also && left == right)
}

// equalAny is equal of values that may have alternatives.
func (m *machine) equalAny(a, b *value) Outcome {
	var o Outcome
	for x := a; x != nil; x = x.or {
		for y := b; y != nil; y = y.or {
			o |= m.equal(x, y)
		}
	}
	return o
}

// shaped reports whether more than the kind is known.
func (v *value) shaped() bool { return v.form != ofType || v.typ.Kind != typed.Unknown }

// entityType is the type of an entity, "" if it is not known.
func (v *value) entityType() types.EntityType {
	switch v.form {
	case someEntity:
		return v.uid.Type
	case ofType:
		if v.typ.Kind == typed.Entity {
			return v.typ.Entity
		}
		return ""
	}
	uid, _ := v.entity()
	return uid.Type
}

// equalTexts compares texts of which one at least is not known.
func equalTexts(a, b *value) Outcome {
	if a.form == exact {
		a, b = b, a
	}
	if a.typ.Kind != typed.String || len(a.typ.Enum) == 0 {
		s, ok := b.known.(types.String)
		return decidedIf(ok && b.form == exact && a.typ.Kind == typed.String && len(s) < a.typ.Least)
	}
	if b.form == exact {
		s, _ := b.known.(types.String)
		return oneOf(a.typ.Enum, len(a.typ.Enum) == 1, func(x string) bool { return x == string(s) })
	}
	if b.typ.Kind != typed.String || len(b.typ.Enum) == 0 {
		return True | False
	}
	only := len(a.typ.Enum) == 1 && len(b.typ.Enum) == 1
	return oneOf(a.typ.Enum, only, func(x string) bool { return slices.Contains(b.typ.Enum, x) })
}

// oneOf is False if none of the texts fits, True if one does and it is the only one.
func oneOf(texts []string, only bool, fits func(string) bool) Outcome {
	if !slices.ContainsFunc(texts, fits) {
		return False
	}
	if only {
		return True
	}
	return True | False
}

// equalRecords compares records member by member.
func (m *machine) equalRecords(a, b *value) Outcome {
	left, right := m.members(a), m.members(b)
	o := True
	for len(left) > 0 || len(right) > 0 {
		one := True | False
		switch c := order(left, right); {
		case c < 0:
			one, left = missing(&left[0]), left[1:]
		case c > 0:
			one, right = missing(&right[0]), right[1:]
		default:
			one = m.equalAny(&left[0].val, &right[0].val)
			if left[0].absent && right[0].absent {
				one = True | False
			} else if left[0].absent || right[0].absent {
				one |= False
			}
			left, right = left[1:], right[1:]
		}
		if one == False {
			return False
		}
		o |= one
	}
	return o
}

// order compares the names of the first parts; what is empty comes last.
func order(a, b []part) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return strings.Compare(string(a[0].name), string(b[0].name))
}

// missing is whether records can be equal though the other has no such member.
func missing(p *part) Outcome { return decidedIf(!p.absent) }

// members are those that a record has or may have, sorted by name.
func (m *machine) members(v *value) []part {
	var parts []part
	switch v.form {
	case exact:
		r, _ := v.known.(types.Record)
		parts = ofRecord(parts, r)
	case aRecord:
		parts = slices.Clone(*v.parts)
	case ofType:
		parts = ofFields(parts, v.typ, types.Record{})
	case theContext:
		parts = m.ofContext()
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(string(a.name), string(b.name)) })
	return parts
}

// ofContext are the members of the context.
func (m *machine) ofContext() []part {
	parts := ofFields(ofRecord(nil, m.env.Known), m.env.Unknown, m.env.Known)
	parts = slices.DeleteFunc(parts, func(p part) bool { _, ok := m.env.Partly[p.name]; return ok })
	for name := range m.env.Partly {
		below := m.partly(name)
		parts = append(parts, part{name: name, val: value{form: aRecord, parts: &below}})
	}
	return parts
}

func ofRecord(parts []part, r types.Record) []part {
	for k, v := range r.All() {
		parts = append(parts, part{name: k, val: exactly(v)})
	}
	return parts
}

// ofFields adds the fields of t that are not known otherwise.
func ofFields(parts []part, t *typed.Type, known types.Record) []part {
	if t == nil {
		return parts
	}
	for _, f := range t.Fields {
		if _, ok := known.Get(types.String(f.Name)); !ok {
			parts = append(parts, part{name: types.String(f.Name), val: some(f.Type), absent: !f.Required})
		}
	}
	return parts
}

// equalSets says no only where a member of the one cannot be in the other.
func (m *machine) equalSets(a, b *value) Outcome {
	if m.excludes(a, b) || m.excludes(b, a) {
		return False
	}
	return True | False
}

// excludes reports whether a set has a member that the other cannot have.
func (m *machine) excludes(a, b *value) bool {
	for _, p := range elements(a) {
		if m.containsAny1(b, &p.val) == False {
			return true
		}
	}
	return false
}

// elements are what is certainly in a set.
func elements(v *value) []part {
	switch v.form {
	case aSet:
		return *v.parts
	case exact:
		s, _ := v.known.(types.Set)
		parts := make([]part, 0, s.Len())
		for e := range s.All() {
			parts = append(parts, part{val: exactly(e)})
		}
		return parts
	}
	return nil
}

// notSets is what a binary operator of sets says of what cannot be two sets, or
// may be something else; it is 0 for two sets.
func notSets(a, b kinds) Outcome {
	if a&of(typed.Set) == 0 || b&of(typed.Set) == 0 {
		return Error
	}
	if a != of(typed.Set) || b != of(typed.Set) {
		return True | False | Error
	}
	return 0
}

// contains is that of values without alternatives.
func (m *machine) contains(set, v *value) Outcome {
	if o := notSets(set.kindsOne(), of(typed.Set)); o != 0 {
		return o
	}
	return m.member(set, v)
}

// containsAny1 is contains of a set and a value that may have alternatives.
func (m *machine) containsAny1(set, v *value) Outcome {
	var o Outcome
	for a := v; a != nil; a = a.or {
		o |= m.member(set, a)
	}
	return o
}

// member is whether a value without alternatives is in a set.
func (m *machine) member(set, v *value) Outcome {
	if set.form == exact && v.form == exact {
		s, _ := set.known.(types.Set)
		return decided(s.Contains(v.box()))
	}
	if set.form == ofType {
		elem := some(set.typ.Elem)
		return m.equal(&elem, v)&True | False
	}
	if texts := v.texts(); len(texts) > 0 && set.form == exact {
		return allOf(set, texts)
	}
	any := False
	for _, p := range elements(set) {
		switch o := m.equalAny(&p.val, v); {
		case o == True:
			return True
		default:
			any |= o
		}
	}
	return any
}

// texts are those that a value can be; nil for any, or if it is no text.
func (v *value) texts() []string {
	if v.form != ofType || v.typ.Kind != typed.String {
		return nil
	}
	return v.typ.Enum
}

// allOf is whether a text is in a known set.
func allOf(set *value, texts []string) Outcome {
	s, _ := set.known.(types.Set)
	found := 0
	for e := range s.All() {
		if t, ok := e.(types.String); ok && slices.Contains(texts, string(t)) {
			found++
		}
	}
	switch found {
	case 0:
		return False
	case len(texts):
		return True
	}
	return True | False
}

// containsAll is that of values without alternatives.
func (m *machine) containsAll(a, b *value) Outcome {
	if o := notSets(a.kindsOne(), b.kindsOne()); o != 0 {
		return o
	}
	if b.form == ofType {
		elem := some(b.typ.Elem)
		return m.member(a, &elem)&False | True
	}
	all := True
	for _, p := range elements(b) {
		o := m.containsAny1(a, &p.val)
		if o == False {
			return False
		}
		all |= o
	}
	return all
}

// containsAny is that of values without alternatives.
func (m *machine) containsAny(a, b *value) Outcome {
	if o := notSets(a.kindsOne(), b.kindsOne()); o != 0 {
		return o
	}
	if b.form == ofType {
		a, b = b, a
	}
	if b.form == ofType {
		left, right := some(a.typ.Elem), some(b.typ.Elem)
		return m.equal(&left, &right)&True | False
	}
	any := False
	for _, p := range elements(b) {
		switch o := m.containsAny1(a, &p.val); {
		case o == True:
			return True
		default:
			any |= o
		}
	}
	return any
}

// isEmpty is that of a value without alternatives.
func isEmpty(v *value) Outcome {
	switch v.form {
	case exact:
		s, ok := v.known.(types.Set)
		if !ok {
			return Error
		}
		return decided(s.Len() == 0)
	case ofType:
		switch v.typ.Kind {
		case typed.Set:
			return True | False
		case typed.Unknown:
			return True | False | Error
		}
	case aSet:
		return False
	}
	return Error
}
