package may

import (
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/typed"
)

// get is an entity that is known.
func (m *machine) get(uid types.EntityUID) (types.Entity, bool) {
	if m.env.Entities == nil {
		return types.Entity{}, false
	}
	if len(m.env.Later) > 0 && slices.Contains(m.env.Later, uid.Type) {
		m.early = true
	}
	return m.env.Entities.Get(uid)
}

// hidden reports whether entities of the type may be other than Entities says, since
// one of them that is not known may be among them.
func (m *machine) hidden(t types.EntityType) bool {
	return m.env.AnyResource && t == m.env.Resource.Type || m.env.AnyPrincipal && t == m.env.Principal.Type
}

// access evaluates opAccess.
func (n *node) access(m *machine) value {
	of := n.args[0].value(m)
	if of.form == none {
		return value{}
	}
	v := m.attribute(&of, n.name)
	for a := of.or; a != nil; a = a.or {
		v = join(v, m.attribute(a, n.name))
	}
	v.fails = (v.fails || of.fails) && !n.guarded
	return v
}

// attribute is that of a value without alternatives.
func (m *machine) attribute(v *value, name types.String) value {
	switch v.form {
	case exact:
		return m.attributeOf(v, name)
	case someEntity:
		return value{form: ofType, typ: anything, fails: true}
	case theContext:
		if a, ok := m.env.Known.Get(name); ok {
			return exactly(a)
		}
		if _, ok := m.env.Partly[name]; ok {
			parts := m.partly(name)
			return value{form: aRecord, parts: &parts}
		}
		return member(m.env.Unknown, name)
	case ofType:
		switch v.typ.Kind {
		case typed.Record:
			return member(v.typ, name)
		case typed.Unknown, typed.Entity:
			return value{form: ofType, typ: anything, fails: true}
		}
	case aRecord:
		for i := range *v.parts {
			if p := &(*v.parts)[i]; p.name == name {
				part := p.val
				part.fails = p.absent
				return part
			}
		}
	}
	return value{}
}

// attributeOf is that of a known value.
func (m *machine) attributeOf(v *value, name types.String) value {
	var attributes types.Record
	if uid, ok := v.entity(); ok {
		if m.hidden(uid.Type) {
			return value{form: ofType, typ: anything, fails: true}
		}
		if uid.IsZero() {
			return value{}
		}
		e, _ := m.get(uid)
		if _, ok := e.Attributes.Get(name); !ok && m.doubt(uid) != nil {
			return member(m.doubt(uid).Attributes, name)
		}
		attributes = e.Attributes
	} else if attributes, ok = v.known.(types.Record); !ok {
		return value{}
	}
	a, ok := attributes.Get(name)
	if !ok {
		return value{}
	}
	return exactly(a)
}

// doubt is what is not known of an entity, nil for nothing.
func (m *machine) doubt(uid types.EntityUID) *Doubt {
	if m.env.Doubt == nil || uid != m.env.Principal {
		return nil
	}
	return m.env.Doubt
}

// partly are the members that an attribute of the context has or may have.
func (m *machine) partly(name types.String) []part {
	known := m.env.Partly[name]
	parts := ofRecord(nil, known)
	if m.env.Unknown == nil {
		return parts
	}
	if f, ok := m.env.Unknown.Field(string(name)); ok {
		parts = ofFields(parts, f.Type, known)
	}
	return parts
}

// member is that of some record.
func member(t *typed.Type, name types.String) value {
	if t == nil {
		return value{}
	}
	f, ok := t.Field(string(name))
	if !ok {
		return value{}
	}
	v := some(f.Type)
	v.fails = !f.Required
	return v
}

// has is that of a value without alternatives.
func (m *machine) has(n *node, v *value) Outcome {
	switch v.form {
	case exact:
		return m.hasOne(v, n.name)
	case someEntity:
		return True | False
	case theContext:
		if _, ok := m.env.Known.Get(n.name); ok {
			return True
		}
		if _, ok := m.env.Partly[n.name]; ok {
			return True
		}
		return presence(m.env.Unknown, n.name)
	case ofType:
		switch v.typ.Kind {
		case typed.Record:
			return presence(v.typ, n.name)
		case typed.Entity:
			return True | False
		case typed.Unknown:
			return True | False | Error
		}
	case aRecord:
		i := slices.IndexFunc(*v.parts, func(p part) bool { return p.name == n.name })
		if i >= 0 && (*v.parts)[i].absent {
			return True | False
		}
		return decided(i >= 0)
	}
	return Error
}

func (m *machine) hasOne(v *value, name types.String) Outcome {
	var attributes types.Record
	if uid, ok := v.entity(); ok {
		if m.hidden(uid.Type) {
			return True | False
		}
		e, _ := m.get(uid)
		if _, ok := e.Attributes.Get(name); !ok && m.doubt(uid) != nil {
			return presence(m.doubt(uid).Attributes, name)
		}
		attributes = e.Attributes
	} else if attributes, ok = v.known.(types.Record); !ok {
		return Error
	}
	_, ok := attributes.Get(name)
	return decided(ok)
}

// presence is whether some record has a member.
func presence(t *typed.Type, name types.String) Outcome {
	if t == nil {
		return False
	}
	f, ok := t.Field(string(name))
	switch {
	case !ok:
		return False
	case f.Required:
		return True
	}
	return True | False
}

// anyTags reports whether an entity may have other tags than Entities says.
func (m *machine) anyTags(uid types.EntityUID) bool {
	d := m.doubt(uid)
	return d != nil && d.Tags
}

// hasTag is that of values without alternatives.
func (m *machine) hasTag(v, tag *value) Outcome {
	kv, kt := v.kindsOne(), tag.kindsOne()
	if kv&of(typed.Entity) == 0 || kt&of(typed.String) == 0 {
		return Error
	}
	if kv != of(typed.Entity) || kt != of(typed.String) {
		return True | False | Error
	}
	uid, ok := v.entity()
	if !ok || m.hidden(uid.Type) || m.anyTags(uid) {
		return True | False
	}
	e, _ := m.get(uid)
	if s, ok := tag.known.(types.String); ok {
		_, has := e.Tags.Get(s)
		return decided(has)
	}
	if e.Tags.Len() == 0 {
		return False
	}
	return True | False
}

// getTag evaluates opGetTag.
func (n *node) getTag(m *machine) value {
	of, tag := n.args[0].value(m), n.args[1].value(m)
	if of.form == none || tag.form == none {
		return value{}
	}
	var v value
	for a := &of; a != nil; a = a.or {
		for b := &tag; b != nil; b = b.or {
			one := m.tag(a, b)
			if a != &of || b != &tag {
				one = join(v, one)
			}
			v = one
		}
	}
	v.fails = (v.fails || of.fails || tag.fails) && !n.guarded
	return v
}

// tag is that of values without alternatives.
func (m *machine) tag(v, tag *value) value {
	if v.kindsOne()&of(typed.Entity) == 0 || tag.kindsOne()&of(typed.String) == 0 {
		return value{}
	}
	uid, ok := v.entity()
	if !ok || m.hidden(uid.Type) || m.anyTags(uid) {
		return value{form: ofType, typ: anything, fails: true}
	}
	e, ok := m.get(uid)
	if !ok || uid.IsZero() || e.Tags.Len() == 0 {
		return value{}
	}
	s, ok := tag.known.(types.String)
	if !ok {
		return value{form: ofType, typ: anything, fails: true}
	}
	t, ok := e.Tags.Get(s)
	if !ok {
		return value{}
	}
	return exactly(t)
}
