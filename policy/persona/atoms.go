package persona

import (
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/mcpagg/mcpagg/policy/ast"
	"github.com/mcpagg/mcpagg/policy/source"
)

// Anybody is the name of the persona that is in no group and has no role.
const Anybody = "anybody"

// Atoms are those that policies speak of: anybody, one for each group that is named,
// and one for each role; in the order of their names.
func Atoms(policies []*source.Policy) []*Persona {
	m := mentioned{groups: map[string]bool{}, roles: map[string]bool{}}
	for _, p := range policies {
		for _, uid := range source.MentionsOf(p).Entities {
			switch uid.Type {
			case "Group", "THVGroup":
				m.groups[string(uid.ID)] = true
			case "Role":
				m.roles[string(uid.ID)] = true
			}
		}
		for _, c := range p.AST.Conditions {
			ast.Inspect(c.Body, m.node)
		}
	}
	all := []*Persona{{Name: Anybody, ID: "somebody"}}
	for _, g := range slices.Sorted(maps.Keys(m.groups)) {
		all = append(all, &Persona{Name: "Group " + g, ID: "somebody", Groups: []string{g}})
	}
	for _, r := range slices.Sorted(maps.Keys(m.roles)) {
		all = append(all, &Persona{Name: "Role " + r, ID: "somebody", Roles: []string{r}})
	}
	return all
}

// mentioned are the groups and roles that policies name.
type mentioned struct{ groups, roles map[string]bool }

// node notes texts that the attributes of a caller are searched for.
func (m mentioned) node(n ast.Node) bool {
	switch n := n.(type) {
	case ast.Contains:
		m.texts(n.Left, n.Right)
	case ast.ContainsAll:
		m.texts(n.Left, n.Right)
	case ast.ContainsAny:
		m.texts(n.Left, n.Right)
	}
	return true
}

func (m mentioned) texts(list, searched ast.Node) {
	into := m.of(list)
	if into == nil {
		return
	}
	ast.Inspect(searched, func(n ast.Node) bool {
		if v, ok := n.(ast.Value); ok {
			note(into, v.Value)
		}
		return true
	})
}

// of is where to note what is searched for in n, nil for what is no such attribute.
func (m mentioned) of(n ast.Node) map[string]bool {
	access, ok := n.(ast.Access)
	if !ok {
		return nil
	}
	if v, ok := access.Arg.(ast.Variable); !ok || v.Name != "principal" {
		return nil
	}
	switch access.Value {
	case "groups", "claim_groups":
		return m.groups
	case "roles", "claim_roles":
		return m.roles
	}
	return nil
}

func note(into map[string]bool, v types.Value) {
	switch v := v.(type) {
	case types.String:
		into[string(v)] = true
	case types.Set:
		for member := range v.All() {
			note(into, member)
		}
	}
}
