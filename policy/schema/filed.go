package schema

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

// filed is what files add to the gateway's own types: their attributes and what they
// are in, by the name of the type.
type filed struct {
	attributes map[string][]typed.Field
	parents    map[string][]string
}

// filedOf looks through the entities of files.
func filedOf(f *facts.Facts) filed {
	all := filed{map[string][]typed.Field{}, map[string][]string{}}
	if f == nil {
		return all
	}
	values := map[string]map[string]*typed.Type{} // nil for those of several types
	for _, e := range f.Entities {
		name := string(e.UID.Type)
		if slices.Contains(f.Types, name) {
			continue // the schema of the files says it
		}
		for p := range e.Parents.All() {
			if t := string(p.Type); !slices.Contains(all.parents[name], t) {
				all.parents[name] = append(all.parents[name], t)
			}
		}
		if values[name] == nil {
			values[name] = map[string]*typed.Type{}
		}
		for key, v := range e.Attributes.All() {
			t, seen := typeOf(v), false
			if before, ok := values[name][string(key)]; ok {
				seen = before == nil || t == nil || before.Cedar() != t.Cedar()
			}
			if seen {
				t = nil
			}
			values[name][string(key)] = t
		}
	}
	for name, of := range values {
		for _, key := range slices.Sorted(maps.Keys(of)) {
			if t := of[key]; t != nil {
				all.attributes[name] = append(all.attributes[name], typed.Field{Name: key, Type: t})
			}
		}
	}
	return all
}

// typeOf is the type of a value, nil if a schema has no word for it.
func typeOf(v types.Value) *typed.Type {
	switch v := v.(type) {
	case types.String:
		return &typed.Type{Kind: typed.String}
	case types.Long:
		return &typed.Type{Kind: typed.Long}
	case types.Boolean:
		return &typed.Type{Kind: typed.Bool}
	case types.Decimal:
		return &typed.Type{Kind: typed.Decimal}
	case types.Datetime:
		return &typed.Type{Kind: typed.Datetime}
	case types.Duration:
		return &typed.Type{Kind: typed.Duration}
	case types.IPAddr:
		return &typed.Type{Kind: typed.Address}
	case types.EntityUID:
		return &typed.Type{Kind: typed.Entity, Entity: v.Type}
	case types.Set:
		return setOf(v)
	case types.Record:
		return recordOf(v)
	}
	return nil
}

func setOf(v types.Set) *typed.Type {
	var elem *typed.Type
	for member := range v.All() {
		t := typeOf(member)
		if t == nil || elem != nil && t.Cedar() != elem.Cedar() {
			return nil
		}
		elem = t
	}
	if elem == nil { // an empty set is one of texts, mostly
		elem = &typed.Type{Kind: typed.String}
	}
	return &typed.Type{Kind: typed.Set, Elem: elem}
}

func recordOf(v types.Record) *typed.Type {
	t := &typed.Type{Kind: typed.Record}
	for name, member := range v.All() {
		if below := typeOf(member); below != nil {
			t.Fields = append(t.Fields, typed.Field{Name: string(name), Type: below, Required: true})
		}
	}
	slices.SortFunc(t.Fields, func(a, b typed.Field) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// claims are those that policies look at, with the type that they are used as. They are
// optional: no token has to have them.
func claims(policies []*source.Policy, e *source.EntityType) []typed.Field {
	found := map[string]*typed.Type{}
	for _, p := range policies {
		for _, c := range p.AST.Conditions {
			ast.Inspect(c.Body, func(n ast.Node) bool {
				name, t := claimIn(n)
				if name != "" && !declares(e, name) && (found[name] == nil || found[name].Kind == typed.String) {
					found[name] = t
				}
				return true
			})
		}
	}
	var fields []typed.Field
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fields = append(fields, typed.Field{Name: name, Type: found[name]})
	}
	return fields
}

// claimIn is a claim that is used in a node, and as what: a text unless it is used
// otherwise.
func claimIn(n ast.Node) (name string, t *typed.Type) {
	texts := &typed.Type{Kind: typed.Set, Elem: &typed.Type{Kind: typed.String}}
	switch n := n.(type) {
	case ast.Contains:
		return claimOf(n.Left), texts
	case ast.ContainsAll:
		return claimOf(n.Left), texts
	case ast.ContainsAny:
		return claimOf(n.Left), texts
	case ast.IsEmpty:
		return claimOf(n.Arg), texts
	case ast.LessThan:
		return claimCompared(n.BinaryNode)
	case ast.LessOrEqual:
		return claimCompared(n.BinaryNode)
	case ast.GreaterThan:
		return claimCompared(n.BinaryNode)
	case ast.GreaterOrEqual:
		return claimCompared(n.BinaryNode)
	case ast.Equals:
		return claimCompared(n.BinaryNode)
	case ast.NotEquals:
		return claimCompared(n.BinaryNode)
	}
	if name := claimOf(n); name != "" {
		return name, &typed.Type{Kind: typed.String}
	}
	if has, ok := n.(ast.Has); ok && strings.HasPrefix(string(has.Value), source.ClaimPrefix) {
		return string(has.Value), &typed.Type{Kind: typed.String}
	}
	return "", nil
}

// claimCompared is a claim that is compared with a literal, and the type of that.
func claimCompared(n ast.BinaryNode) (string, *typed.Type) {
	for _, side := range [][2]ast.Node{{n.Left, n.Right}, {n.Right, n.Left}} {
		if name := claimOf(side[0]); name != "" {
			if v, ok := side[1].(ast.Value); ok {
				if t := typeOf(v.Value); t != nil {
					return name, t
				}
			}
			return name, &typed.Type{Kind: typed.String}
		}
	}
	return "", nil
}

// claimOf is the claim that a node is, "" for none.
func claimOf(n ast.Node) string {
	a, ok := n.(ast.Access)
	if !ok || !strings.HasPrefix(string(a.Value), source.ClaimPrefix) {
		return ""
	}
	return string(a.Value)
}
