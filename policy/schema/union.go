package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A union is the context of several objects as one.
type union struct {
	context   *typed.Type
	conflicts []string // what they do not agree on, by path
}

// unite makes one context of those of all objects.
func unite(objects []*policy.Object, binds []facts.Bind) union {
	var u union
	records := make([]typeIn, 0, len(objects))
	for _, o := range objects {
		records = append(records, typeIn{o.Origin(), o.Context(binds)})
	}
	u.context = u.merge(records, "")
	return u
}

// A typeIn is a type, and an object that has it.
type typeIn struct {
	of  string
	typ *typed.Type
}

// found is a member that some records have.
type found struct {
	types    []typeIn
	required bool // by all that have it
}

// merge makes one record of several.
func (u *union) merge(records []typeIn, path string) *typed.Type {
	members := map[string]*found{}
	var names []string
	for _, r := range records {
		for _, f := range r.typ.Fields {
			m := members[f.Name]
			if m == nil {
				m = &found{required: true}
				members[f.Name], names = m, append(names, f.Name)
			}
			m.types = append(m.types, typeIn{r.of, f.Type})
			m.required = m.required && f.Required
		}
	}
	slices.Sort(names)
	merged := &typed.Type{Kind: typed.Record}
	for _, name := range names {
		m, at := members[name], strings.TrimPrefix(path+"."+name, ".")
		if t := u.agree(m.types, at); t != nil {
			merged.Fields = append(merged.Fields, typed.Field{Name: name, Type: t, Required: m.required})
		}
	}
	return merged
}

// agree is the type that all of them are, nil if there is none.
func (u *union) agree(types []typeIn, path string) *typed.Type {
	first := types[0]
	records := first.typ.Kind == typed.Record
	for _, other := range types[1:] {
		switch {
		case records && other.typ.Kind == typed.Record:
		case other.typ.Kind != first.typ.Kind || other.typ.Cedar() != first.typ.Cedar():
			u.conflicts = append(u.conflicts, fmt.Sprintf("%s: %s in %s, %s in %s", path,
				brief(first.typ), first.of, brief(other.typ), other.of))
			return nil
		}
	}
	if records {
		return u.merge(types, path)
	}
	return withoutEnum(types)
}

// withoutEnum is the type with the texts that all of them may be.
func withoutEnum(types []typeIn) *typed.Type {
	for _, other := range types[1:] {
		if !slices.Equal(other.typ.Enum, types[0].typ.Enum) {
			t := *types[0].typ
			t.Enum = nil
			return &t
		}
	}
	return types[0].typ
}

// brief is a type in a word or two.
func brief(t *typed.Type) string {
	if t.Kind == typed.Record {
		return "a record"
	}
	return t.Cedar()
}
