package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/facts"
	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// own are entity types of the operator's own.
type own struct{ types map[types.EntityType]ownType }

type ownType struct {
	attributes map[string]typed.Field
	tags       bool
}

func (o own) member(t types.EntityType, name string) member {
	of, ok := o.types[t]
	if !ok {
		return member{value: anything, state: unsure}
	}
	f, ok := of.attributes[name]
	if !ok {
		return member{value: anything}
	}
	return has(some(f.Type), !f.Required)
}

// names are the attributes of a type, also one of the gateway's.
func (o own) names(t types.EntityType) []string {
	if of, ok := o.types[t]; ok {
		return slices.Sorted(maps.Keys(of.attributes))
	}
	if source.Words().Entity(string(t)) != nil {
		return attributeNames(string(t))
	}
	return nil
}

// tagged reports whether entities of a type have tags.
func (o own) tagged(t types.EntityType) bool {
	if t == typeCaller {
		return true
	}
	if e := source.Words().Entity(string(t)); e != nil {
		return e.Claims
	}
	of, ok := o.types[t]
	return !ok || of.tags
}

// ownTypes are what the operator's schemas declare.
func ownTypes(f *facts.Facts, names []string) own {
	o := own{types: map[types.EntityType]ownType{}}
	if f == nil || f.Resolved == nil {
		return o
	}
	for _, name := range f.Types {
		declared, ok := f.Resolved.Entities[types.EntityType(name)]
		if !ok {
			continue // an enumeration
		}
		of := ownType{attributes: map[string]typed.Field{}, tags: declared.Tags != nil}
		for attribute, a := range declared.Shape {
			of.attributes[string(attribute)] = typed.Field{Name: string(attribute), Type: declaredType(a.Type), Required: !a.Optional}
		}
		o.types[types.EntityType(name)] = of
	}
	return o
}

// declaredType is a type of a schema.
func declaredType(t ast.SchemaType) *typed.Type {
	switch t := t.(type) {
	case ast.StringType:
		return text
	case ast.LongType:
		return long
	case ast.BoolType:
		return boolean
	case ast.ExtensionType:
		return namedType(string(t))
	case ast.SetType:
		return &typed.Type{Kind: typed.Set, Elem: declaredType(t.Element)}
	case ast.RecordType:
		r := &typed.Type{Kind: typed.Record}
		for name, a := range t {
			r.Fields = append(r.Fields, typed.Field{Name: string(name), Type: declaredType(a.Type), Required: !a.Optional})
		}
		slices.SortFunc(r.Fields, func(a, b typed.Field) int { return strings.Compare(a.Name, b.Name) })
		return r
	case ast.EntityRefType:
		return &typed.Type{Kind: typed.Entity, Entity: types.EntityType(t)}
	}
	return unknown
}
