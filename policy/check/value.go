package check

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/source"
	"github.com/mcpagg/mcpagg/policy/typed"
)

// A value is what is known of an expression in requests about one object.
type value struct {
	typ   *typed.Type // of which nothing is known after a mistake, so that there is one of each
	known types.Value // nil where it depends on the request
	root  root
	// What is there if a Bool is true, and if it is false.
	yes, no there
}

// A root is a variable whose attributes are looked up in a way of their own.
type root uint8

const (
	noRoot root = iota
	thePrincipal
	theAction
	theResource
	theContext
	theInput
	theSize
)

// The types of which there is one each.
var (
	unknown  = &typed.Type{Kind: typed.Unknown}
	boolean  = &typed.Type{Kind: typed.Bool}
	long     = &typed.Type{Kind: typed.Long}
	text     = &typed.Type{Kind: typed.String}
	decimal  = &typed.Type{Kind: typed.Decimal}
	datetime = &typed.Type{Kind: typed.Datetime}
	duration = &typed.Type{Kind: typed.Duration}
	address  = &typed.Type{Kind: typed.Address}
	anEntity = &typed.Type{Kind: typed.Entity}
)

// anything is a value of which nothing is known.
var anything = value{typ: unknown}

func some(t *typed.Type) value { return value{typ: t} }

// exactly is a known value.
func exactly(v types.Value) value { return value{typ: typeOf(v), known: v} }

func decided(b bool) value { return value{typ: boolean, known: types.Boolean(b)} }

// is reports whether the value is known to be that Bool.
func (v value) is(b bool) bool {
	known, ok := v.known.(types.Boolean)
	return ok && bool(known) == b
}

// can reports whether the value may be of one of the kinds.
func (v value) can(kinds ...typed.Kind) bool {
	return v.typ.Kind == typed.Unknown || slices.Contains(kinds, v.typ.Kind)
}

// typeOf is the type of a value that is there.
func typeOf(v types.Value) *typed.Type {
	switch v := v.(type) {
	case types.Boolean:
		return boolean
	case types.Long:
		return long
	case types.String:
		return text
	case types.Decimal:
		return decimal
	case types.Datetime:
		return datetime
	case types.Duration:
		return duration
	case types.IPAddr:
		return address
	case types.EntityUID:
		return &typed.Type{Kind: typed.Entity, Entity: v.Type}
	case types.Set:
		for member := range v.All() {
			return &typed.Type{Kind: typed.Set, Elem: typeOf(member)}
		}
		return &typed.Type{Kind: typed.Set, Elem: unknown}
	case types.Record:
		t := &typed.Type{Kind: typed.Record}
		for name, member := range v.All() {
			t.Fields = append(t.Fields, typed.Field{Name: string(name), Type: typeOf(member), Required: true})
		}
		slices.SortFunc(t.Fields, func(a, b typed.Field) int { return strings.Compare(a.Name, b.Name) })
		return t
	}
	return unknown
}

// namedType reads a type as the vocabulary writes it.
func namedType(name string) *typed.Type {
	if elem, ok := strings.CutPrefix(name, "Set<"); ok {
		return &typed.Type{Kind: typed.Set, Elem: namedType(strings.TrimSuffix(elem, ">"))}
	}
	switch name {
	case "String":
		return text
	case "Long":
		return long
	case "Bool":
		return boolean
	case "datetime":
		return datetime
	case "duration":
		return duration
	case "ipaddr":
		return address
	case "decimal":
		return decimal
	}
	if source.Words().Entity(name) != nil {
		return &typed.Type{Kind: typed.Entity, Entity: types.EntityType(name)}
	}
	return unknown
}

// agree reports whether two types can be of equal values.
func agree(a, b *typed.Type) bool {
	switch {
	case a.Kind == typed.Unknown || b.Kind == typed.Unknown:
		return true
	case a.Kind != b.Kind:
		return false
	case a.Kind == typed.Set:
		return agree(a.Elem, b.Elem)
	}
	return true
}

// typeName is a type for people, with an article.
func typeName(t *typed.Type) string {
	switch t.Kind {
	case typed.String:
		return "a String"
	case typed.Long:
		return "a Long"
	case typed.Bool:
		return "a Bool"
	case typed.Decimal:
		return "a decimal"
	case typed.Datetime:
		return "a datetime"
	case typed.Duration:
		return "a duration"
	case typed.Address:
		return "an ipaddr"
	case typed.Set:
		if t.Elem.Kind == typed.Unknown || t.Elem.Kind == typed.Entity && t.Elem.Entity == "" {
			return "a set"
		}
		_, elem, _ := strings.Cut(typeName(t.Elem), " ")
		return "a set of " + elem
	case typed.Record:
		return "a record"
	case typed.Entity:
		if t.Entity == "" {
			return "an entity"
		}
		return article(string(t.Entity))
	}
	return "anything"
}

// article is a name with a or an.
func article(name string) string {
	if strings.ContainsRune("AEIO", []rune(name + " ")[0]) || strings.HasPrefix(name, "Up") {
		return "an " + plain(name)
	}
	return "a " + plain(name)
}
